/* SPDX-License-Identifier: MIT */
/*
 * t_writev.c - writing parts as one.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* len bytes of the pattern in n parts, many of them empty. */
static struct iovec *cut_up(unsigned char *data, size_t len, int n,
                            unsigned seed)
{
    struct iovec *iov = calloc((size_t)n + 1, sizeof(*iov));
    size_t at = 0;

    ck_assert_ptr_nonnull(iov);
    for (int i = 0; i < n; i++) {
        size_t most = 2 * (len - at) / (size_t)(n - i) + 1;
        size_t part = i == n - 1 ? len - at : next_random(&seed) % most;

        if (next_random(&seed) % 4 == 0 && i < n - 1)
            part = 0;
        if (part > len - at)
            part = len - at;
        iov[i].iov_base = part ? data + at : NULL;
        iov[i].iov_len = part;
        at += part;
    }
    ck_assert_uint_eq(at, len);
    return iov;
}

static void *read_whole(void *arg)
{
    struct iovec *got = arg;
    size_t n =
        raw_recv(*(int *)got[1].iov_base, got[0].iov_base, got[0].iov_len);

    ck_assert_uint_eq(n, got[0].iov_len);
    return NULL;
}

/* Writes n parts and checks what comes. */
static void check_parts(tcpx_conn *c, int peer, size_t len, int n,
                        unsigned seed)
{
    unsigned char *data = malloc(len);
    unsigned char *got = malloc(len);
    struct iovec reading[2] = {{got, len}, {&peer, sizeof(peer)}};
    struct iovec *iov;
    struct iovec *copy;
    size_t done = 99;
    pthread_t thread;

    ck_assert_ptr_nonnull(data);
    ck_assert_ptr_nonnull(got);
    fill_pattern(data, len, 0);
    iov = cut_up(data, len, n, seed);
    copy = cut_up(data, len, n, seed);
    thread = start_thread(read_whole, reading);
    ck_ok(tcpx_writev(c, iov, n, &done, soon()));
    ck_assert_uint_eq(done, len);
    end_thread(thread);
    ck_assert_mem_eq(got, data, len);
    /* The caller's vector is the caller's. */
    ck_assert_mem_eq(iov, copy, (size_t)n * sizeof(*iov));
    free(iov);
    free(copy);
    free(data);
    free(got);
}

START_TEST(any_count_of_parts_arrives_in_order)
{
    static const int counts[] = {1,   2,    3,    63,   64,   65,
                                 128, 1023, 1024, 1025, 1026, 5000};
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);
    uint64_t total = 0;

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        check_parts(c, peer, 20000, counts[i], (unsigned)i);
        total += 20000;
    }
    ck_assert_uint_eq(tcpx_conn_bytes_written(c), total);
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(parts_may_be_large)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    check_parts(c, peer, 20 << 20, 3, 1);
    check_parts(c, peer, 20 << 20, 100, 2);
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(empty_parts_are_nothing)
{
    struct iovec empty[3] = {{NULL, 0}, {(void *)empty, 0}, {NULL, 0}};
    struct iovec one[3] = {{NULL, 0}, {"x", 1}, {NULL, 0}};
    char buf[2];
    size_t done = 99;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_ok(tcpx_writev(c, empty, 3, &done, TCPX_NOW));
    ck_assert_uint_eq(done, 0);
    done = 99;
    ck_ok(tcpx_writev(c, NULL, 0, &done, TCPX_NOW));
    ck_assert_uint_eq(done, 0);
    ck_ok(tcpx_writev(c, one, 3, NULL, soon()));
    ck_assert_int_eq(tcpx_conn_state(c), 0);
    ck_assert_uint_eq(raw_recv(peer, buf, 1), 1);
    ck_assert_uint_eq(tcpx_conn_bytes_written(c), 1);
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(wrong_parts_are_refused)
{
    struct iovec missing[2] = {{"ok", 2}, {NULL, 1}};
    struct iovec huge[2] = {{"ok", 2}, {"", SSIZE_MAX}};
    struct iovec huger[1] = {{"", SIZE_MAX}};
    char buf[1];
    size_t done = 99;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_fails(tcpx_writev(c, missing, 2, &done, soon()), -EINVAL);
    ck_assert_uint_eq(done, 0);
    ck_fails(tcpx_writev(c, huge, 2, NULL, soon()), -EINVAL);
    ck_fails(tcpx_writev(c, huger, 1, NULL, soon()), -EINVAL);
    ck_fails(tcpx_writev(c, missing, -1, NULL, soon()), -EINVAL);
    ck_fails(tcpx_writev(c, NULL, 1, NULL, soon()), -EINVAL);
    ck_fails(tcpx_writev(NULL, missing, 1, NULL, soon()), -EINVAL);
    ck_assert_int_eq(tcpx_conn_state(c), 0);
    ck_assert_int_eq(tcpx_read(c, buf, 1, TCPX_NOW), TCPX_EDEADLINE);
    tcpx_abort(c);
    close(peer);
}
END_TEST

/* What is left of a vector after so many bytes. */
static int rest_of(struct iovec *iov, int n, size_t done)
{
    int i = 0;

    while (i < n && done >= iov[i].iov_len)
        done -= iov[i++].iov_len;
    if (i < n) {
        iov[i].iov_base = (char *)iov[i].iov_base + done;
        iov[i].iov_len -= done;
    }
    return i;
}

START_TEST(a_stop_inside_a_part_can_be_resumed)
{
    const size_t size = 4 << 20;
    const int n = 700;
    unsigned char *data = malloc(size);
    unsigned char *got = malloc(size);
    struct iovec reading[2] = {{got, size}, {NULL, 0}};
    struct iovec *iov;
    pthread_t thread = pthread_self();
    size_t total = 0;
    int stops = 0;
    int next = 0;
    int err = TCPX_EDEADLINE;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_assert_ptr_nonnull(data);
    ck_assert_ptr_nonnull(got);
    fill_pattern(data, size, 0);
    iov = cut_up(data, size, n, 7);
    narrow(tcpx_conn_fd(c));
    reading[1].iov_base = &peer;
    for (; err; stops++) {
        size_t done = 0;

        if (stops == 1)
            thread = start_thread(read_whole, reading);
        err =
            tcpx_writev(c, iov + next, n - next, &done, tcpx_after(TCPX_MSEC));
        ck_assert(err == 0 || err == TCPX_EDEADLINE);
        ck_assert_int_eq(tcpx_conn_state(c), err ? TCPX_STATE_CUT : 0);
        next += rest_of(iov + next, n - next, done);
        total += done;
        ck_assert_uint_eq(total, tcpx_conn_bytes_written(c));
    }
    ck_assert_int_gt(stops, 1);
    ck_assert_uint_eq(total, size);
    end_thread(thread);
    ck_assert_mem_eq(got, data, size);
    tcpx_abort(c);
    close(peer);
    free(iov);
    free(data);
    free(got);
}
END_TEST

static void fill_writev(TCase *tc)
{
    tcase_add_loop_test(tc, any_count_of_parts_arrives_in_order, 0, PAIRS);
    tcase_add_loop_test(tc, parts_may_be_large, 0, PAIRS);
    tcase_add_loop_test(tc, empty_parts_are_nothing, 0, PAIRS);
    tcase_add_loop_test(tc, wrong_parts_are_refused, 0, PAIRS);
    tcase_add_loop_test(tc, a_stop_inside_a_part_can_be_resumed, 0, PAIRS);
}

const struct test_case test_cases[] = {
    {"writev", "writev", fill_writev},
    {NULL, NULL, NULL},
};
