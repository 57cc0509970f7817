/* SPDX-License-Identifier: MIT */
/*
 * t_deadline.c - every wait ends at its deadline, not before it, and asleep.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A call that has to wait, on something of its own. */
struct bench {
    struct call call;
    int peer;
    tcpx_time duration;
};

static void bench_open(struct bench *b, int kind, enum call_kind what)
{
    memset(b, 0, sizeof(*b));
    b->call.kind = what;
    b->peer = -1;
    if (what == CALL_SLEEP)
        return;
    if (what == CALL_ACCEPT) {
        ck_ok(tcpx_listen(&b->call.listener, "127.0.0.1:0", NULL));
        return;
    }
    b->call.c = conn_open(kind, &b->peer);
    if (what < CALL_WRITE)
        return;
    /* So much that no room is left, however much the kernel makes of it. */
    b->call.len = (size_t)64 << 20;
    narrow(tcpx_conn_fd(b->call.c));
    narrow(b->peer);
    if (what == CALL_WRITE || what == CALL_WAIT_WRITABLE || what == CALL_FLUSH)
        fill_up(b->call.c);
}

static void bench_end(struct bench *b)
{
    if (b->call.kind != CALL_CLOSE)
        tcpx_abort(b->call.c);
    tcpx_listener_close(b->call.listener);
    if (b->peer >= 0)
        close(b->peer);
}

/* What a call gives whose deadline passes; a flush of a Unix socket has nothing
   to wait for. */
static int at_deadline(int kind, enum call_kind what)
{
    if (what == CALL_SLEEP || (what == CALL_FLUSH && kind == PAIR_UNIX))
        return 0;
    return TCPX_EDEADLINE;
}

/* ---- how long ---------------------------------------------------------- */

static const tcpx_time durations[] = {
    1,
    TCPX_USEC,
    100 * TCPX_USEC,
    TCPX_MSEC,
    7 * TCPX_MSEC,
    20 * TCPX_MSEC,
    41 * TCPX_MSEC,
    47 * TCPX_MSEC,
    150 * TCPX_MSEC,
    TCPX_SEC,
};

static void check_end(struct bench *b, int kind)
{
    long long late;
    int expected = at_deadline(kind, b->call.kind);
    ssize_t n = call_end(&b->call);

    late = b->call.ended - b->call.deadline;
    ck_assert_msg(n == expected, "call %d of %lld ns gave %zd", b->call.kind,
                  (long long)b->duration, n);
    ck_assert_msg(late >= 0 || (b->call.kind == CALL_FLUSH && n == 0),
                  "call %d of %lld ns came %lld ns early", b->call.kind,
                  (long long)b->duration, -late);
    ck_assert_msg(late < 2 * TCPX_SEC, "call %d of %lld ns came late",
                  b->call.kind, (long long)b->duration);
    ck_assert_msg(b->call.cpu_time < 100 * TCPX_MSEC,
                  "call %d of %lld ns took %lld ns of the processor",
                  b->call.kind, (long long)b->duration,
                  (long long)b->call.cpu_time);
}

START_TEST(no_wait_ends_before_its_deadline_or_burns_the_processor)
{
    static struct bench benches[CALL_KINDS * COUNT(durations)];

    for (size_t i = 0; i < COUNT(benches); i++) {
        bench_open(&benches[i], _i, (enum call_kind)(i % CALL_KINDS));
        benches[i].duration = durations[i / CALL_KINDS];
    }
    for (size_t i = 0; i < COUNT(benches); i++) {
        benches[i].call.deadline = tcpx_after(benches[i].duration);
        call_begin(&benches[i].call);
    }
    for (size_t i = 0; i < COUNT(benches); i++)
        check_end(&benches[i], _i);
    for (size_t i = 0; i < COUNT(benches); i++)
        bench_end(&benches[i]);
}
END_TEST

START_TEST(progress_does_not_move_the_deadline)
{
    char buf[1000];
    struct call call = {.kind = CALL_READN, .buf = buf, .len = sizeof(buf)};
    int peer;

    call.c = conn_open(_i, &peer);
    call.deadline = tcpx_after(300 * TCPX_MSEC);
    call_begin(&call);
    for (int i = 0; i < 40; i++) {
        raw_send(peer, "x", 1);
        ck_assert_int_eq(tcpx_sleep(tcpx_after(10 * TCPX_MSEC)), 0);
    }
    ck_fails(call_end(&call), TCPX_EDEADLINE);
    ck_assert_int_ge(call.ended, call.deadline);
    ck_assert_uint_gt(call.done, 0);
    ck_assert_uint_le(call.done, 40);
    ck_assert_uint_eq(call.done, tcpx_conn_bytes_read(call.c));
    tcpx_abort(call.c);
    close(peer);
}
END_TEST

static tcpx_time kernel_timeout(int fd)
{
    struct timeval tv;
    socklen_t len = sizeof(tv);

    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len), 0);
    return tv.tv_sec * TCPX_SEC + tv.tv_usec * TCPX_USEC;
}

/*
 * SO_RCVTIMEO ends late, by up to 8/63 of a long time (2.147 s came back after
 * 2.33 s), so that what is set must leave room for that.
 */
START_TEST(a_receive_does_not_sleep_past_its_deadline)
{
    static const tcpx_time waits[] = {
        1080 * TCPX_MSEC,  1230 * TCPX_MSEC, 2150 * TCPX_MSEC,
        2400 * TCPX_MSEC,  4300 * TCPX_MSEC, 8600 * TCPX_MSEC,
        17200 * TCPX_MSEC, 3600 * TCPX_SEC,  100000000 * TCPX_SEC,
    };
    struct call call = {.kind = CALL_READ};
    int peer;

    call.c = conn_open(PAIR_SOLE + _i / (int)COUNT(waits), &peer);
    tcpx_time began = tcpx_now();
    tcpx_time wait = waits[_i % (int)COUNT(waits)];

    call.deadline = began + wait;
    call_begin(&call);
    /* The first sleep is chosen for what is left then: not more than all. */
    tcpx_time timeout = 0;

    while (timeout == 0) {
        timeout = kernel_timeout(tcpx_conn_fd(call.c));
        ck_assert_int_lt(tcpx_now(), call.deadline);
    }
    ck_assert_msg(timeout + timeout * 8 / 63 <= wait,
                  "%lld ns sleeps over %lld ns", (long long)timeout,
                  (long long)wait);
    /* Nor is it needlessly short. */
    ck_assert_int_gt(timeout, wait / 8);
    tcpx_cancel(call.c);
    ck_fails(call_end(&call), TCPX_ECANCELED);
    tcpx_abort(call.c);
    close(peer);
}
END_TEST

START_TEST(a_deadline_at_the_end_of_time_does_not_overflow)
{
    struct bench b;

    bench_open(&b, _i / CALL_KINDS, (enum call_kind)(_i % CALL_KINDS));
    if (!at_deadline(_i / CALL_KINDS, b.call.kind) &&
        b.call.kind != CALL_SLEEP) {
        bench_end(&b);
        return;
    }
    b.call.deadline = TCPX_FOREVER - 1;
    call_begin(&b.call);
    until_asleep(&b.call);
    tcpx_task_cancel(atomic_load(&b.call.task));
    call_end(&b.call);
    ck_assert_int_ne((int)b.call.result, TCPX_EDEADLINE);
    bench_end(&b);
}
END_TEST

static void fill_length(TCase *tc)
{
    const int waits = 9;

    tcase_add_loop_test(
        tc, no_wait_ends_before_its_deadline_or_burns_the_processor, 0, PAIRS);
    tcase_add_loop_test(tc, progress_does_not_move_the_deadline, 0, PAIRS);
    tcase_add_loop_test(tc, a_receive_does_not_sleep_past_its_deadline, 0,
                        (PAIRS - PAIR_SOLE) * waits);
    tcase_add_loop_test(tc, a_deadline_at_the_end_of_time_does_not_overflow, 0,
                        PAIRS * CALL_KINDS);
}

/* ---- TCPX_NOW ---------------------------------------------------------- */

/* Deadlines that have passed, in every form. */
static tcpx_time passed(int i)
{
    switch (i) {
    case 0:
        return TCPX_NOW;
    case 1:
        return -1;
    case 2:
        return INT64_MIN;
    default:
        return tcpx_now();
    }
}

#define PASSED 4

START_TEST(a_passed_deadline_ends_at_once_what_would_have_waited)
{
    int kind = _i / PASSED;

    for (int k = 0; k < CALL_KINDS; k++) {
        struct bench b;

        bench_open(&b, kind, (enum call_kind)k);
        b.call.deadline = passed(_i % PASSED);
        ck_fails(call_make(&b.call), at_deadline(kind, b.call.kind));
        ck_assert_int_lt(b.call.cpu_time, TCPX_SEC);
        if (k == CALL_WRITEN || k == CALL_WRITEV)
            ck_assert_uint_eq(b.call.done, tcpx_conn_bytes_written(b.call.c));
        bench_end(&b);
    }
}
END_TEST

START_TEST(a_passed_deadline_gives_what_is_there)
{
    tcpx_time deadline = passed(_i % PASSED);
    tcpx_listener *l = NULL;
    tcpx_conn *c;
    tcpx_conn *accepted = NULL;
    tcpx_waitfor item;
    char buf[8];
    size_t done;
    int client;
    int peer;

    c = conn_open(_i / PASSED, &peer);
    raw_send(peer, "12345678", 8);
    await_arrival(tcpx_conn_fd(c));
    item = (tcpx_waitfor)TCPX_ON_CONN(c, TCPX_READABLE | TCPX_WRITABLE);
    ck_assert_int_eq(tcpx_wait(&item, 1, deadline), 1);
    ck_assert_uint_eq(item.got, TCPX_READABLE | TCPX_WRITABLE);
    ck_assert_int_eq(tcpx_peek(c, buf, 1, deadline), 1);
    ck_assert_int_eq(tcpx_read(c, buf, 2, deadline), 2);
    ck_ok(tcpx_readn(c, buf, 6, &done, deadline));
    ck_assert_uint_eq(done, 6);
    ck_assert_int_eq(tcpx_write(c, buf, 3, deadline), 3);
    ck_ok(tcpx_writen(c, buf, 5, &done, deadline));
    ck_assert_uint_eq(done, 5);
    ck_assert_uint_eq(raw_recv(peer, buf, 8), 8);
    tcpx_abort(c);
    close(peer);

    ck_ok(tcpx_listen(&l, "127.0.0.1:0", NULL));
    client = raw_connect(tcpx_listener_address(l));
    await_arrival(tcpx_listener_fd(l));
    ck_ok(tcpx_accept(&accepted, l, deadline));
    tcpx_abort(accepted);
    close(client);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(a_passed_deadline_writes_what_fits)
{
    char *block = calloc(1, 64 << 20);
    size_t done = 0;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_assert_ptr_nonnull(block);
    ck_fails(tcpx_writen(c, block, 64 << 20, &done, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_uint_gt(done, 0);
    ck_assert_uint_lt(done, 64 << 20);
    ck_assert_uint_eq(done, tcpx_conn_bytes_written(c));
    tcpx_abort(c);
    close(peer);
    free(block);
}
END_TEST

START_TEST(a_duration_in_place_of_a_deadline_is_refused)
{
    int kind = _i / CALL_KINDS;
    struct bench b;

    bench_open(&b, kind, (enum call_kind)(_i % CALL_KINDS));
    b.call.deadline = 5 * TCPX_SEC;
    ck_fails(call_make(&b.call), -EINVAL);
    ck_assert_ptr_nonnull(strstr(b.call.errmsg, "tcpx_after"));
    b.call.deadline = 1;
    ck_fails(call_make(&b.call), -EINVAL);
    if (b.call.kind == CALL_CLOSE) /* which was refused, and so frees nothing */
        tcpx_abort(b.call.c);
    bench_end(&b);
}
END_TEST

static void fill_now(TCase *tc)
{
    tcase_add_loop_test(tc,
                        a_passed_deadline_ends_at_once_what_would_have_waited,
                        0, PAIRS * PASSED);
    tcase_add_loop_test(tc, a_passed_deadline_gives_what_is_there, 0,
                        PAIRS * PASSED);
    tcase_add_loop_test(tc, a_passed_deadline_writes_what_fits, 0, PAIRS);
    tcase_add_loop_test(tc, a_duration_in_place_of_a_deadline_is_refused, 0,
                        PAIRS * CALL_KINDS);
}

/* ---- afterwards -------------------------------------------------------- */

START_TEST(after_a_deadline_the_connection_is_as_good_as_before)
{
    struct pair p = pair_open(_i);
    char buf[8];
    tcpx_waitfor item = TCPX_ON_CONN(p.a, TCPX_READABLE);

    for (int round = 0; round < 3; round++) {
        tcpx_time soonest = tcpx_after((round ? 50 : 1) * TCPX_MSEC);

        ck_fails(tcpx_read(p.a, buf, 8, soonest), TCPX_EDEADLINE);
        ck_fails(tcpx_readn(p.a, buf, 8, NULL, soonest), TCPX_EDEADLINE);
        ck_fails(tcpx_peek(p.a, buf, 8, soonest), TCPX_EDEADLINE);
        ck_fails(tcpx_wait(&item, 1, soonest), TCPX_EDEADLINE);
        ck_assert_int_eq(tcpx_conn_state(p.a), 0);
        ck_ok(tcpx_writen(p.a, "question", 8, NULL, soon()));
        ck_ok(tcpx_readn(p.b, buf, 8, NULL, soon()));
        ck_assert_mem_eq(buf, "question", 8);
        ck_ok(tcpx_writen(p.b, "the end.", 8, NULL, soon()));
        ck_ok(tcpx_readn(p.a, buf, 8, NULL, soon()));
        ck_assert_mem_eq(buf, "the end.", 8);
    }
    pair_end(&p);
}
END_TEST

static void fill_after(TCase *tc)
{
    tcase_add_loop_test(
        tc, after_a_deadline_the_connection_is_as_good_as_before, 0, PAIRS);
}

const struct test_case test_cases[] = {
    {"deadline", "length", fill_length},
    {"deadline", "now", fill_now},
    {"deadline", "after", fill_after},
    {NULL, NULL, NULL},
};
