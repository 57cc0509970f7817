/* SPDX-License-Identifier: MIT */
/*
 * t_concurrency.c - one reader beside one writer; a second of either is told.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

START_TEST(a_second_reader_is_told_and_the_first_is_unharmed)
{
    char buf[8];
    size_t done = 99;
    struct call call = {.kind = CALL_READN, .buf = buf, .len = 8};
    tcpx_waitfor item;
    char other[8];
    int peer;

    call.c = conn_open(_i, &peer);
    call.deadline = TCPX_FOREVER;
    call_begin(&call);
    until_asleep(&call);
    for (int i = 0; i < 2; i++) {
        tcpx_time deadline = i ? soon() : TCPX_NOW;

        ck_fails(tcpx_read(call.c, other, 8, deadline), -EBUSY);
        ck_fails(tcpx_readn(call.c, other, 8, &done, deadline), -EBUSY);
        ck_assert_uint_eq(done, 0);
        ck_fails(tcpx_peek(call.c, other, 8, deadline), -EBUSY);
        ck_fails(tcpx_readline(call.c, other, 8, deadline), -EBUSY);
        ck_fails(tcpx_skip_until(call.c, 'x', NULL, deadline), -EBUSY);
    }
    /* Writing and waiting are other things. */
    ck_ok(tcpx_writen(call.c, "hello", 5, NULL, soon()));
    ck_ok(tcpx_flush(call.c, soon()));
    item = (tcpx_waitfor)TCPX_ON_CONN(call.c, TCPX_WRITABLE);
    ck_assert_int_eq(tcpx_wait(&item, 1, soon()), 1);
    raw_send(peer, "untouche", 8);
    ck_ok(call_end(&call));
    ck_assert_mem_eq(buf, "untouche", 8);
    tcpx_abort(call.c);
    close(peer);
}
END_TEST

START_TEST(a_second_writer_is_told_and_the_first_is_unharmed)
{
    struct call call = {.kind = CALL_WRITEN, .len = (size_t)16 << 20};
    struct iovec part = {"x", 1};
    char buf[4];
    size_t done = 99;
    size_t count;
    int peer;

    call.c = conn_open(_i, &peer);
    call.deadline = TCPX_FOREVER;
    call_begin(&call);
    until_asleep(&call);
    for (int i = 0; i < 2; i++) {
        tcpx_time deadline = i ? soon() : TCPX_NOW;

        ck_fails(tcpx_write(call.c, "x", 1, deadline), -EBUSY);
        ck_fails(tcpx_writen(call.c, "x", 1, &done, deadline), -EBUSY);
        ck_assert_uint_eq(done, 0);
        ck_fails(tcpx_writev(call.c, &part, 1, NULL, deadline), -EBUSY);
        ck_fails(tcpx_printf(call.c, NULL, deadline, "x"), -EBUSY);
        ck_fails(tcpx_flush(call.c, deadline), -EBUSY);
        ck_fails(tcpx_half_close(call.c), -EBUSY);
    }
    raw_send(peer, "ping", 4);
    ck_ok(tcpx_readn(call.c, buf, 4, NULL, soon()));
    shutdown(peer, SHUT_WR);
    for (count = 0; count < call.len;) {
        static char dropped[65536];

        count += raw_recv(peer, dropped, sizeof(dropped));
    }
    ck_assert_uint_eq(count, call.len);
    ck_ok(call_end(&call));
    ck_assert_uint_eq(call.done, call.len);
    ck_assert_int_eq(tcpx_conn_state(call.c), 0);
    ck_ok(tcpx_close(call.c, soon()));
    close(peer);
}
END_TEST

#define SIZE ((size_t)16 << 20)

struct stream {
    tcpx_conn *c;
    size_t count;
    int wrong;
    int err;
};

static void *send_stream(void *arg)
{
    struct stream *s = arg;
    unsigned char block[5000];

    while (s->count < SIZE && !s->err) {
        size_t n = sizeof(block) - s->count % 1013;

        if (n > SIZE - s->count)
            n = SIZE - s->count;
        fill_pattern(block, n, s->count);
        s->err = tcpx_writen(s->c, block, n, NULL, soon());
        s->count += n;
    }
    if (!s->err)
        s->err = tcpx_half_close(s->c);
    return NULL;
}

static void *receive_stream(void *arg)
{
    struct stream *s = arg;
    unsigned char got[7000];
    unsigned char want[7000];
    ssize_t n;

    while ((n = tcpx_read(s->c, got, sizeof(got), soon())) > 0) {
        fill_pattern(want, (size_t)n, s->count);
        s->wrong |= memcmp(got, want, (size_t)n) != 0;
        s->count += (size_t)n;
    }
    s->err = (int)n;
    return NULL;
}

/* What anybody may ask meanwhile. */
static void *watch(void *arg)
{
    const struct pair *p = arg;
    uint64_t seen = 0;

    while (seen < SIZE) {
        tcpx_conn_information info;
        uint64_t now = tcpx_conn_bytes_read(p->b);

        ck_assert_uint_ge(now, seen);
        seen = now;
        ck_assert_int_eq(tcpx_conn_state(p->a) & TCPX_STATE_CANCELED, 0);
        ck_assert_ptr_nonnull(tcpx_conn_peer(p->a));
        ck_assert_ptr_nonnull(tcpx_conn_local(p->b));
        ck_ok(tcpx_conn_info(p->a, &info));
        ck_assert_uint_le(tcpx_conn_bytes_written(p->a), SIZE);
        sched_yield();
    }
    return NULL;
}

START_TEST(both_directions_flow_at_once)
{
    struct pair p = pair_open(_i);
    struct stream s[4] = {{.c = p.a}, {.c = p.a}, {.c = p.b}, {.c = p.b}};
    pthread_t threads[5];

    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(i % 2 ? receive_stream : send_stream, &s[i]);
    threads[4] = start_thread(watch, &p);
    for (int i = 0; i < 5; i++)
        end_thread(threads[i]);
    for (int i = 0; i < 4; i++) {
        ck_assert_msg(s[i].err == 0, "%d: %s", i, tcpx_errname(s[i].err));
        ck_assert_uint_eq(s[i].count, SIZE);
        ck_assert_int_eq(s[i].wrong, 0);
    }
    ck_assert_uint_eq(tcpx_conn_bytes_read(p.a), SIZE);
    ck_assert_uint_eq(tcpx_conn_bytes_written(p.a), SIZE);
    ck_ok(tcpx_close(p.a, soon()));
    ck_ok(tcpx_close(p.b, soon()));
}
END_TEST

/* Several threads read from one connection, as they find it free. */
struct crowd {
    tcpx_conn *c;
    atomic_size_t count;
    atomic_uint sum;
};

static void *read_when_free(void *arg)
{
    struct crowd *crowd = arg;
    unsigned char buf[100];
    ssize_t n;

    do {
        n = tcpx_read(crowd->c, buf, sizeof(buf), TCPX_NOW);
        for (ssize_t i = 0; i < n; i++)
            atomic_fetch_add(&crowd->sum, buf[i]);
        if (n > 0)
            atomic_fetch_add(&crowd->count, (size_t)n);
        else
            sched_yield();
    } while (n != 0);
    return NULL;
}

START_TEST(readers_that_meet_lose_nothing)
{
    const size_t size = 100000;
    unsigned char *data = malloc(size);
    struct crowd crowd = {.c = NULL};
    unsigned expected = 0;
    pthread_t threads[4];
    int peer;

    ck_assert_ptr_nonnull(data);
    fill_pattern(data, size, 0);
    for (size_t i = 0; i < size; i++)
        expected += data[i];
    crowd.c = conn_open(_i, &peer);
    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(read_when_free, &crowd);
    raw_send(peer, data, size);
    close(peer);
    for (int i = 0; i < 4; i++)
        end_thread(threads[i]);
    ck_assert_uint_eq(atomic_load(&crowd.count), size);
    ck_assert_uint_eq(atomic_load(&crowd.sum), expected);
    ck_assert_uint_eq(tcpx_conn_bytes_read(crowd.c), size);
    tcpx_abort(crowd.c);
    free(data);
}
END_TEST

static void fill_concurrency(TCase *tc)
{
    tcase_add_loop_test(tc, a_second_reader_is_told_and_the_first_is_unharmed,
                        0, PAIRS);
    tcase_add_loop_test(tc, a_second_writer_is_told_and_the_first_is_unharmed,
                        0, PAIRS);
    tcase_add_loop_test(tc, both_directions_flow_at_once, 0, PAIRS);
    tcase_add_loop_test(tc, readers_that_meet_lose_nothing, 0, PAIRS);
}

const struct test_case test_cases[] = {
    {"concurrency", "concurrency", fill_concurrency},
    {NULL, NULL, NULL},
};
