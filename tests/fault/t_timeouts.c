/* SPDX-License-Identifier: MIT */
/*
 * t_timeouts.c - what a deadline costs in system calls, and what is left when
 * something that deadlines and cancels stand on is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "fault/hooks.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

/* ---- the cost of data that is there ------------------------------------ */

static void exchange(tcpx_conn *c, int peer, tcpx_time deadline)
{
    char buf[64] = "";

    raw_send(peer, buf, sizeof(buf));
    ck_ok(tcpx_readn(c, buf, sizeof(buf), NULL, deadline));
    ck_ok(tcpx_writen(c, buf, sizeof(buf), NULL, deadline));
    raw_recv(peer, buf, sizeof(buf));
}

START_TEST(a_message_costs_one_system_call_each_way)
{
    static const tcpx_time timeouts[] = {
        TCPX_FOREVER, 200 * TCPX_MSEC, TCPX_SEC,
        5 * TCPX_SEC, 30 * TCPX_SEC,   3600 * TCPX_SEC,
    };
    tcpx_time timeout = timeouts[_i / PAIRS];
    int peer;
    tcpx_conn *c = conn_open(_i % PAIRS, &peer);

    /* The first receive may have to set a timeout: the last time for all that
       have the same. */
    exchange(c, peer,
             timeout == TCPX_FOREVER ? TCPX_FOREVER : tcpx_after(timeout));
    hooks_on();
    for (int i = 0; i < 1000; i++)
        exchange(c, peer,
                 timeout == TCPX_FOREVER ? TCPX_FOREVER : tcpx_after(timeout));
    ck_assert_uint_eq(hooks_count(TCPX__SYS_sendmsg), 1000);
    ck_assert_uint_eq(hooks_count(TCPX__SYS_recv), 1000);
    /* Stopped for long between the clock and the call, less is left. */
    ck_assert_uint_le(hooks_count(TCPX__SYS_setsockopt), 1);
    ck_assert_uint_eq(hooks_count_all() - hooks_count(TCPX__SYS_setsockopt),
                      2000);
    hooks_off();
    tcpx_abort(c);
    close(peer);
}
END_TEST

static tcpx_time simulated;

static int64_t simulated_now(void)
{
    return simulated;
}

START_TEST(an_absolute_deadline_costs_a_call_for_each_halving)
{
    const tcpx_time hour = 3600 * TCPX_SEC;
    char buf[1];
    tcpx_time deadline;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    simulated = tcpx_now();
    deadline = simulated + hour;
    hooks_on();
    tcpx__sys_clock = simulated_now;
    /* One byte every 0.1 s until a second before. */
    while (simulated < deadline - TCPX_SEC) {
        raw_send(peer, "x", 1);
        ck_assert_int_eq(tcpx_read(c, buf, 1, deadline), 1);
        simulated += 100 * TCPX_MSEC;
    }
    tcpx__sys_clock = NULL;
    /* 3600 s are 12 halvings of a second. */
    ck_assert_uint_ge(hooks_count(TCPX__SYS_setsockopt), 6);
    ck_assert_uint_le(hooks_count(TCPX__SYS_setsockopt), 13);
    ck_assert_uint_eq(hooks_count(TCPX__SYS_ppoll), 0);
    hooks_off();
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(timeouts_that_take_turns_cost_a_call_each_at_most)
{
    char buf[1];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    hooks_on();
    for (int i = 0; i < 100; i++) {
        raw_send(peer, "x", 1);
        ck_assert_int_eq(
            tcpx_read(c, buf, 1,
                      i % 2 ? TCPX_FOREVER : tcpx_after(5 * TCPX_SEC)),
            1);
    }
    ck_assert_uint_le(hooks_count(TCPX__SYS_setsockopt), 100);
    /* The like of each other share one. */
    hooks_on();
    for (int i = 0; i < 100; i++) {
        raw_send(peer, "x", 1);
        ck_assert_int_eq(
            tcpx_read(c, buf, 1, tcpx_after((i % 2 ? 5 : 6) * TCPX_SEC)), 1);
    }
    ck_assert_uint_le(hooks_count(TCPX__SYS_setsockopt), 1);
    hooks_off();
    tcpx_abort(c);
    close(peer);
}
END_TEST

static void fill_cost(TCase *tc)
{
    tcase_add_loop_test(tc, a_message_costs_one_system_call_each_way, 0,
                        6 * PAIRS);
    tcase_add_loop_test(tc, an_absolute_deadline_costs_a_call_for_each_halving,
                        PAIR_SOLE, PAIRS);
    tcase_add_loop_test(tc, timeouts_that_take_turns_cost_a_call_each_at_most,
                        PAIR_SOLE, PAIRS);
}

/* ---- the cost of waiting ----------------------------------------------- */

START_TEST(a_wait_makes_few_calls)
{
    struct call call = {.kind = (enum call_kind)(_i % CALL_CLOSE)};
    int kind = _i / CALL_CLOSE;
    int peer;

    call.c = conn_open(kind, &peer);
    call.len = (size_t)64 << 20;
    narrow(peer);
    if (call.kind == CALL_FLUSH || call.kind == CALL_WAIT_WRITABLE)
        fill_up(call.c);
    hooks_on();
    call.deadline = tcpx_after(150 * TCPX_MSEC);
    call_make(&call);
    ck_assert_int_lt((int)call.result, 1);
    /* Room comes and is written to; a flush asks again every 10 ms. */
    if (call.kind == CALL_FLUSH || call.kind == CALL_WAIT_WRITABLE)
        ck_assert_uint_le(hooks_count_all(), 150);
    else
        ck_assert_uint_le(hooks_count(TCPX__SYS_ppoll) +
                              hooks_count(TCPX__SYS_recv) +
                              hooks_count(TCPX__SYS_setsockopt),
                          20);
    hooks_off();
    tcpx_abort(call.c);
    close(peer);
}
END_TEST

START_TEST(a_spin_ends_with_its_time)
{
    struct call call = {.kind = CALL_READ};
    tcpx_time began;
    int fd[2];

    raw_pair(fd);
    ck_ok(tcpx_conn_adopt(&call.c, fd[0],
                          TCPX_ADOPT(.sole_owner = _i, .spin = 2 * TCPX_MSEC)));
    /* Within it, nothing sleeps. */
    hooks_on();
    raw_send(fd[1], "x", 1);
    call.deadline = soon();
    ck_assert_int_eq(call_make(&call), 1);
    ck_assert_uint_eq(hooks_count(TCPX__SYS_ppoll), 0);
    ck_assert_uint_eq(hooks_count(TCPX__SYS_setsockopt), 0);
    /* After it, the rest of the wait is slept. */
    call.deadline = tcpx_after(100 * TCPX_MSEC);
    ck_fails(call_make(&call), TCPX_EDEADLINE);
    ck_assert_int_ge(call.ended, call.deadline);
    ck_slept(call);
    /* A deadline in the middle of it ends it. */
    began = tcpx_now();
    call.deadline = began + TCPX_MSEC;
    ck_fails(call_make(&call), TCPX_EDEADLINE);
    ck_assert_int_ge(call.ended, call.deadline);
    hooks_off();
    tcpx_abort(call.c);
    close(fd[1]);
}
END_TEST

START_TEST(a_spin_sees_a_cancel)
{
    struct call call = {.kind = CALL_READ, .deadline = TCPX_FOREVER};
    int of_the_task = _i % 2;
    tcpx_time began;
    int fd[2];

    raw_pair(fd);
    ck_ok(tcpx_conn_adopt(
        &call.c, fd[0],
        TCPX_ADOPT(.sole_owner = _i / 2, .spin = 4 * TCPX_SEC)));
    hooks_on();
    call_begin(&call);
    while (hooks_count(TCPX__SYS_recv) < 2)
        sched_yield();
    began = tcpx_now();
    if (of_the_task)
        tcpx_task_cancel(atomic_load(&call.task));
    else
        tcpx_cancel(call.c);
    ck_fails(call_end(&call), TCPX_ECANCELED);
    ck_assert_int_lt(call.ended - began, 2 * TCPX_SEC);
    ck_assert_uint_eq(hooks_count(TCPX__SYS_ppoll), 0);
    hooks_off();
    ck_assert_int_eq(tcpx_conn_state(call.c), TCPX_STATE_CANCELED);
    tcpx_abort(call.c);
    close(fd[1]);
}
END_TEST

static void fill_waiting(TCase *tc)
{
    tcase_add_loop_test(tc, a_wait_makes_few_calls, 0, PAIRS * CALL_CLOSE);
    tcase_add_loop_test(tc, a_spin_ends_with_its_time, 0, 2);
    tcase_add_loop_test(tc, a_spin_sees_a_cancel, 0, 4);
}

/* ---- an open file that others change ----------------------------------- */

/* What another holder of the socket may do to it. */
static void meddle(int fd, int what)
{
    struct timeval tv = {.tv_usec = 1000};

    if (what == 0)
        ck_assert_int_eq(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
    else if (what == 1)
        ck_assert_int_eq(
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
    else
        ck_assert_int_eq(
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
}

#define MEDDLINGS 3

START_TEST(what_another_holder_does_makes_no_wait_short_or_busy)
{
    int what = _i % MEDDLINGS;
    int forever = _i / MEDDLINGS % 2;
    struct call call = {.kind = CALL_READ};
    char buf[1];
    int other;
    int peer;

    call.c = conn_open(_i / MEDDLINGS / 2, &peer);
    other = dup(tcpx_conn_fd(call.c));
    /* The library has set what it wants, and believes that it is so. */
    raw_send(peer, "x", 1);
    ck_assert_int_eq(tcpx_read(call.c, buf, 1, forever ? TCPX_FOREVER : soon()),
                     1);
    meddle(other, what);
    hooks_on();
    if (!forever) {
        call.deadline = tcpx_after(200 * TCPX_MSEC);
        ck_fails(call_make(&call), TCPX_EDEADLINE);
        ck_assert_int_ge(call.ended, call.deadline);
    } else {
        call.deadline = TCPX_FOREVER;
        call_begin(&call);
        until_asleep(&call);
        ck_assert_int_eq(tcpx_sleep(tcpx_after(50 * TCPX_MSEC)), 0);
        raw_send(peer, "x", 1);
        ck_assert_int_eq(call_end(&call), 1);
    }
    ck_assert_uint_lt(hooks_count_all(), 30);
    hooks_off();
    tcpx_abort(call.c);
    close(other);
    close(peer);
}
END_TEST

START_TEST(a_shared_socket_is_not_touched)
{
    struct timeval before = {.tv_sec = 3};
    struct timeval after;
    socklen_t len = sizeof(after);
    char buf[1];
    int peer;
    tcpx_conn *c = conn_open(PAIR_SHARED, &peer);
    int fd = tcpx_conn_fd(c);

    ck_assert_int_eq(
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &before, sizeof(before)), 0);
    hooks_on();
    ck_fails(tcpx_read(c, buf, 1, tcpx_after(60 * TCPX_MSEC)), TCPX_EDEADLINE);
    fill_up(c);
    ck_fails(tcpx_writen(c, buf, 1, NULL, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_uint_eq(hooks_count(TCPX__SYS_setsockopt), 0);
    ck_assert_uint_eq(hooks_count(TCPX__SYS_fcntl), 0);
    hooks_off();
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &after, &len), 0);
    ck_assert_int_eq(after.tv_sec, 3);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    tcpx_abort(c);
    close(peer);
}
END_TEST

static void fill_shared(TCase *tc)
{
    tcase_add_loop_test(tc,
                        what_another_holder_does_makes_no_wait_short_or_busy, 0,
                        PAIRS * MEDDLINGS * 2);
    tcase_add_test(tc, a_shared_socket_is_not_touched);
}

/* ---- no eventfd -------------------------------------------------------- */

START_TEST(without_an_eventfd_every_wait_still_ends)
{
    struct call call = {.kind = (enum call_kind)(_i % CALL_KINDS)};
    int kind = _i / CALL_KINDS;
    tcpx_time began;
    int peer = -1;

    if (call.kind == CALL_FLUSH && kind == PAIR_UNIX)
        return; /* which never waits */
    if (call.kind < CALL_SLEEP)
        call.c = conn_open(kind, &peer);
    if (call.kind == CALL_ACCEPT)
        ck_ok(tcpx_listen(&call.listener, "127.0.0.1:0", NULL));
    call.len = (size_t)64 << 20;
    if (call.kind == CALL_FLUSH) {
        narrow(peer);
        fill_up(call.c);
    }
    hooks_on();
    hooks_fail(TCPX__SYS_eventfd, 0, HOOKS_FOR_EVER, -EMFILE);
    call.deadline = TCPX_FOREVER;
    call_begin(&call);
    until_asleep(&call);
    began = tcpx_now();
    tcpx_task_cancel(atomic_load(&call.task));
    ck_fails(call_end(&call), TCPX_ECANCELED);
    ck_assert_int_lt(call.ended - began, TCPX_SEC);
    ck_assert_int_lt(call.cpu_time, 100 * TCPX_MSEC);
    hooks_off();
    if (call.kind != CALL_CLOSE)
        tcpx_abort(call.c);
    tcpx_listener_close(call.listener);
    if (peer >= 0)
        close(peer);
}
END_TEST

START_TEST(without_an_eventfd_a_cancel_of_the_connection_ends_it_too)
{
    struct call call = {.kind = (enum call_kind)(_i % CALL_CLOSE)};
    int kind = _i / CALL_CLOSE;
    int peer;

    if (call.kind == CALL_FLUSH && kind == PAIR_UNIX)
        return;
    call.c = conn_open(kind, &peer);
    call.len = (size_t)64 << 20;
    if (call.kind == CALL_FLUSH) {
        narrow(peer);
        fill_up(call.c);
    }
    hooks_on();
    hooks_fail(TCPX__SYS_eventfd, 0, HOOKS_FOR_EVER, -EMFILE);
    call.deadline = TCPX_FOREVER;
    call_begin(&call);
    until_asleep(&call);
    tcpx_cancel(call.c);
    call_end(&call);
    if (call.kind != CALL_WAIT_READABLE && call.kind != CALL_WAIT_WRITABLE)
        ck_fails(call.result, TCPX_ECANCELED);
    hooks_off();
    tcpx_abort(call.c);
    close(peer);
}
END_TEST

static void fill_blind(TCase *tc)
{
    tcase_add_loop_test(tc, without_an_eventfd_every_wait_still_ends, 0,
                        PAIRS * CALL_KINDS);
    tcase_add_loop_test(
        tc, without_an_eventfd_a_cancel_of_the_connection_ends_it_too, 0,
        PAIRS * CALL_CLOSE);
}

/* ---- lengths above 2 GiB ----------------------------------------------- */

static size_t longest;

static int note_length(enum tcpx__sys_call call, size_t *len)
{
    if ((call == TCPX__SYS_recv || call == TCPX__SYS_sendmsg) && *len > longest)
        longest = *len;
    return 0;
}

START_TEST(no_length_is_too_long_for_the_kernel)
{
    const size_t size = (size_t)5 << 30;
    char *much = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct iovec parts[2] = {{much, size / 2}, {much, size / 2}};
    size_t done = 0;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_assert_ptr_ne(much, MAP_FAILED);
    raw_send(peer, "0123456789", 10);
    await_arrival(tcpx_conn_fd(c));
    tcpx__sys_hook = note_length;
    ck_assert_int_eq(tcpx_read(c, much, size, soon()), 10);
    raw_send(peer, "0123456789", 10);
    await_arrival(tcpx_conn_fd(c));
    ck_fails(tcpx_readn(c, much, size, &done, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_uint_eq(done, 10);
    ck_assert_int_gt((int)tcpx_write(c, much, size, TCPX_NOW), 0);
    ck_fails(tcpx_writen(c, much, size, &done, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_uint_lt(done, size);
    ck_fails(tcpx_writev(c, parts, 2, &done, TCPX_NOW), TCPX_EDEADLINE);
    tcpx__sys_hook = NULL;
    /* The kernel's own limit is 0x7ffff000, and would take seconds. */
    ck_assert_uint_le(longest, 0x7ffff000);
    ck_assert_uint_le(longest, 4 << 20);
    tcpx_abort(c);
    close(peer);
    munmap(much, size);
}
END_TEST

static void fill_lengths(TCase *tc)
{
    tcase_add_loop_test(tc, no_length_is_too_long_for_the_kernel, 0, PAIRS);
}

const struct test_case test_cases[] = {
    {"timeouts", "cost", fill_cost},
    {"timeouts", "waiting", fill_waiting},
    {"timeouts", "shared", fill_shared},
    {"timeouts", "blind", fill_blind},
    {"timeouts", "lengths", fill_lengths},
    {NULL, NULL, NULL},
};
