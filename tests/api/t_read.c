/* SPDX-License-Identifier: MIT */
/*
 * t_read.c - reading what is there, and exactly so much.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

/* ---- read -------------------------------------------------------------- */

START_TEST(read_gives_what_is_there)
{
    char buf[16] = "";
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_send(peer, "seven b", 7);
    ck_assert_int_eq(tcpx_read(c, buf, sizeof(buf), soon()), 7);
    ck_assert_mem_eq(buf, "seven b", 7);
    ck_assert_uint_eq(tcpx_conn_bytes_read(c), 7);
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(read_takes_no_more_than_asked)
{
    char buf[16] = "";
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_send(peer, "abcdefgh", 8);
    ck_assert_int_eq(tcpx_read(c, buf, 3, soon()), 3);
    ck_assert_mem_eq(buf, "abc\0", 4);
    ck_assert_int_eq(tcpx_read(c, buf, 5, soon()), 5);
    ck_assert_mem_eq(buf, "defgh", 5);
    ck_assert_uint_eq(tcpx_conn_bytes_read(c), 8);
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(read_waits_for_the_first_byte)
{
    struct call call = {.kind = CALL_READ, .deadline = TCPX_FOREVER};
    int peer;

    call.c = conn_open(_i, &peer);
    call_begin(&call);
    until_asleep(&call);
    raw_send(peer, "x", 1);
    ck_assert_int_eq(call_end(&call), 1);
    tcpx_abort(call.c);
    close(peer);
}
END_TEST

START_TEST(the_peers_end_is_zero_for_ever)
{
    char buf[8];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_send(peer, "last", 4);
    close(peer);
    ck_assert_int_eq(tcpx_read(c, buf, 8, soon()), 4);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(tcpx_read(c, buf, 8, i ? TCPX_NOW : soon()), 0);
    ck_assert_int_eq(tcpx_conn_state(c), TCPX_STATE_PEER_FINISHED);
    ck_assert_uint_eq(tcpx_conn_bytes_read(c), 4);
    tcpx_abort(c);
}
END_TEST

START_TEST(after_the_peers_half_close_writing_goes_on)
{
    char buf[8];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
    ck_assert_int_eq(tcpx_read(c, buf, 8, soon()), 0);
    ck_ok(tcpx_writen(c, "answer", 6, NULL, soon()));
    ck_assert_uint_eq(raw_recv(peer, buf, 6), 6);
    ck_assert_mem_eq(buf, "answer", 6);
    tcpx_abort(c);
    close(peer);
}
END_TEST

static void fill_read(TCase *tc)
{
    tcase_add_loop_test(tc, read_gives_what_is_there, 0, PAIRS);
    tcase_add_loop_test(tc, read_takes_no_more_than_asked, 0, PAIRS);
    tcase_add_loop_test(tc, read_waits_for_the_first_byte, 0, PAIRS);
    tcase_add_loop_test(tc, the_peers_end_is_zero_for_ever, 0, PAIRS);
    tcase_add_loop_test(tc, after_the_peers_half_close_writing_goes_on, 0,
                        PAIRS);
}

/* ---- readn ------------------------------------------------------------- */

START_TEST(readn_fills_whatever_the_segments)
{
    unsigned char want[64];
    unsigned char got[64];
    struct call call = {.kind = CALL_READN, .buf = got, .len = sizeof(got)};
    int peer;

    fill_pattern(want, sizeof(want), 0);
    call.c = conn_open(_i, &peer);
    call.deadline = soon();
    call_begin(&call);
    for (size_t i = 0; i < sizeof(want); i++) {
        until_asleep(&call);
        raw_send(peer, want + i, 1);
    }
    ck_assert_int_eq(call_end(&call), 0);
    ck_assert_uint_eq(call.done, sizeof(want));
    ck_assert_mem_eq(got, want, sizeof(want));
    tcpx_abort(call.c);
    close(peer);
}
END_TEST

START_TEST(readn_leaves_the_rest)
{
    char buf[8] = "";
    size_t done = 99;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_send(peer, "abcdefgh", 8);
    ck_ok(tcpx_readn(c, buf, 5, &done, soon()));
    ck_assert_uint_eq(done, 5);
    ck_assert_mem_eq(buf, "abcde\0", 6);
    ck_ok(tcpx_readn(c, buf, 3, NULL, soon()));
    ck_assert_mem_eq(buf, "fgh", 3);
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(the_end_before_the_first_byte_is_eof)
{
    char buf[8];
    size_t done = 99;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    close(peer);
    ck_fails(tcpx_readn(c, buf, 8, &done, soon()), TCPX_EOF);
    ck_assert_uint_eq(done, 0);
    ck_fails(tcpx_readn(c, buf, 8, NULL, TCPX_NOW), TCPX_EOF);
    tcpx_abort(c);
}
END_TEST

START_TEST(the_end_in_the_middle_is_truncation_with_the_count)
{
    char buf[8];
    size_t done = 99;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_send(peer, "abc", 3);
    close(peer);
    ck_fails(tcpx_readn(c, buf, 8, &done, soon()), TCPX_ETRUNC);
    ck_assert_uint_eq(done, 3);
    ck_assert_mem_eq(buf, "abc", 3);
    ck_assert_uint_eq(tcpx_conn_bytes_read(c), 3);
    ck_fails(tcpx_readn(c, buf, 8, &done, soon()), TCPX_EOF);
    tcpx_abort(c);
}
END_TEST

START_TEST(a_readn_that_met_its_deadline_can_be_resumed)
{
    char buf[8];
    size_t done = 99;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_send(peer, "abc", 3);
    await_arrival(tcpx_conn_fd(c));
    ck_fails(tcpx_readn(c, buf, 8, &done, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_uint_eq(done, 3);
    ck_assert_uint_eq(tcpx_conn_bytes_read(c), 3);
    ck_fails(tcpx_readn(c, buf + 3, 5, &done, tcpx_after(30 * TCPX_MSEC)),
             TCPX_EDEADLINE);
    ck_assert_uint_eq(done, 0);
    raw_send(peer, "defgh", 5);
    ck_ok(tcpx_readn(c, buf + 3, 5, &done, soon()));
    ck_assert_uint_eq(done, 5);
    ck_assert_mem_eq(buf, "abcdefgh", 8);
    ck_assert_uint_eq(tcpx_conn_bytes_read(c), 8);
    tcpx_abort(c);
    close(peer);
}
END_TEST

struct flood {
    int fd;
    size_t sent;
    int err; /* what ended it */
};

static void *send_for_ever(void *arg)
{
    struct flood *flood = arg;
    static const char block[1 << 20];
    ssize_t n;

    while ((n = send(flood->fd, block, sizeof(block), MSG_NOSIGNAL)) > 0)
        flood->sent += (size_t)n;
    flood->err = errno;
    return NULL;
}

/* Memory without pages behind it until it is touched; also where a sanitizer
   would touch what malloc gives. */
static void *much_memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    ck_assert_ptr_ne(p, MAP_FAILED);
    return p;
}

START_TEST(a_deadline_ends_a_readn_that_never_has_to_wait)
{
    const size_t size = (size_t)8 << 30;
    struct flood flood = {.fd = -1};
    size_t done = 0;
    tcpx_time deadline;
    pthread_t thread;
    tcpx_conn *c = conn_open(_i, &flood.fd);
    void *buf = much_memory(size);

    thread = start_thread(send_for_ever, &flood);
    deadline = tcpx_after(50 * TCPX_MSEC);
    ck_fails(tcpx_readn(c, buf, size, &done, deadline), TCPX_EDEADLINE);
    ck_assert_int_ge(tcpx_now(), deadline);
    ck_assert_uint_eq(done, tcpx_conn_bytes_read(c));
    ck_assert_uint_gt(done, 0);
    tcpx_abort(c);
    end_thread(thread);
    close(flood.fd);
    munmap(buf, size);
}
END_TEST

START_TEST(a_deadline_ends_a_search_that_never_has_to_wait)
{
    const size_t size = (size_t)1 << 30;
    struct flood flood = {.fd = -1};
    size_t done = 0;
    pthread_t thread;
    tcpx_conn *c = conn_open(_i / 2, &flood.fd);
    void *buf = much_memory(size);
    ssize_t n;

    thread = start_thread(send_for_ever, &flood);
    if (_i % 2)
        n = tcpx_skip_until(c, 'x', &done, tcpx_after(50 * TCPX_MSEC));
    else
        n = tcpx_read_until(c, buf, size, 'x', tcpx_after(50 * TCPX_MSEC));
    ck_fails(n, TCPX_EDEADLINE);
    ck_assert_uint_eq(done, tcpx_conn_bytes_read(c));
    tcpx_abort(c);
    end_thread(thread);
    close(flood.fd);
    munmap(buf, size);
}
END_TEST

START_TEST(a_cancel_ends_a_readn_that_never_has_to_wait)
{
    const size_t size = (size_t)8 << 30;
    struct flood flood = {.fd = -1};
    struct call call = {.kind = CALL_READN, .deadline = TCPX_FOREVER};
    pthread_t thread;

    call.c = conn_open(_i, &flood.fd);
    call.buf = much_memory(size);
    call.len = size;
    thread = start_thread(send_for_ever, &flood);
    call_begin(&call);
    while (tcpx_conn_bytes_read(call.c) < 10 << 20)
        ck_assert_int_eq(tcpx_sleep(tcpx_after(100 * TCPX_USEC)), 0);
    tcpx_cancel(call.c);
    ck_fails(call_end(&call), TCPX_ECANCELED);
    ck_assert_uint_eq(call.done, tcpx_conn_bytes_read(call.c));
    ck_assert_uint_lt(call.done, size);
    tcpx_abort(call.c);
    end_thread(thread);
    close(flood.fd);
    munmap(call.buf, size);
}
END_TEST

static void fill_readn(TCase *tc)
{
    tcase_add_loop_test(tc, readn_fills_whatever_the_segments, 0, PAIRS);
    tcase_add_loop_test(tc, readn_leaves_the_rest, 0, PAIRS);
    tcase_add_loop_test(tc, the_end_before_the_first_byte_is_eof, 0, PAIRS);
    tcase_add_loop_test(tc, the_end_in_the_middle_is_truncation_with_the_count,
                        0, PAIRS);
    tcase_add_loop_test(tc, a_readn_that_met_its_deadline_can_be_resumed, 0,
                        PAIRS);
    tcase_add_loop_test(tc, a_deadline_ends_a_readn_that_never_has_to_wait, 0,
                        PAIRS);
    tcase_add_loop_test(tc, a_deadline_ends_a_search_that_never_has_to_wait, 0,
                        2 * PAIRS);
    tcase_add_loop_test(tc, a_cancel_ends_a_readn_that_never_has_to_wait, 0,
                        PAIRS);
}

/* ---- urgent data ------------------------------------------------------- */

START_TEST(an_urgent_byte_does_not_make_a_reader_spin)
{
    struct call call = {.kind = CALL_READN, .len = 4};
    int peer;

    call.c = conn_open(_i, &peer);
    call.deadline = tcpx_after(100 * TCPX_MSEC);
    ck_assert_int_eq(send(peer, "!", 1, MSG_OOB), 1);
    ck_fails(call_make(&call), TCPX_EDEADLINE);
    ck_assert_uint_eq(call.done, 0);
    ck_slept(call);
    raw_send(peer, "rest", 4);
    call.deadline = soon();
    ck_ok(call_make(&call));
    tcpx_abort(call.c);
    close(peer);
}
END_TEST

static void fill_urgent(TCase *tc)
{
    tcase_add_loop_test(tc, an_urgent_byte_does_not_make_a_reader_spin,
                        PAIR_SHARED, PAIRS);
}

const struct test_case test_cases[] = {
    {"read", "read", fill_read},
    {"read", "readn", fill_readn},
    {"read", "urgent", fill_urgent},
    {NULL, NULL, NULL},
};
