/* SPDX-License-Identifier: MIT */
/*
 * t_close.c - half-close, graceful close, abort: what arrives, and what is
 * said about it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

#define ANSWER ((size_t)3919872)

/* ---- half-close -------------------------------------------------------- */

START_TEST(after_a_half_close_the_answer_is_read_to_its_end)
{
    char buf[32];
    size_t done;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_ok(tcpx_writen(c, "question", 8, NULL, soon()));
    ck_ok(tcpx_half_close(c));
    ck_assert_uint_eq(raw_recv(peer, buf, sizeof(buf)), 8); /* to the end */
    ck_assert_mem_eq(buf, "question", 8);
    raw_send(peer, "a long answer", 13);
    close(peer);
    ck_fails(tcpx_readn(c, buf, sizeof(buf), &done, soon()), TCPX_ETRUNC);
    ck_assert_uint_eq(done, 13);
    ck_assert_mem_eq(buf, "a long answer", 13);
    ck_ok(tcpx_close(c, soon()));
}
END_TEST

START_TEST(a_half_close_is_made_once)
{
    size_t count;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    for (int i = 0; i < 3; i++)
        ck_ok(tcpx_half_close(c));
    ck_assert_int_eq(raw_drain(peer, &count), 0);
    close(peer);
    ck_ok(tcpx_half_close(c));
    ck_ok(tcpx_close(c, soon()));
}
END_TEST

START_TEST(both_sides_may_half_close_at_once)
{
    struct pair p = pair_open(_i);
    char buf[1];

    ck_ok(tcpx_half_close(p.a));
    ck_ok(tcpx_half_close(p.b));
    ck_assert_int_eq(tcpx_read(p.a, buf, 1, soon()), 0);
    ck_assert_int_eq(tcpx_read(p.b, buf, 1, soon()), 0);
    ck_ok(tcpx_close(p.a, soon()));
    ck_ok(tcpx_close(p.b, soon()));
}
END_TEST

START_TEST(a_half_close_after_a_reset_says_so)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_reset(peer);
    await_failure(tcpx_conn_fd(c));
    ck_fails(tcpx_half_close(c), -ECONNRESET);
    ck_fails(tcpx_half_close(c), -ECONNRESET);
    ck_fails(tcpx_close(c, soon()), -ECONNRESET);
}
END_TEST

START_TEST(a_writer_whose_peer_half_closed_sleeps)
{
    struct call call = {.kind = CALL_WRITEN, .len = (size_t)64 << 20};
    char buf[1];
    int peer;

    call.c = conn_open(_i, &peer);
    ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
    ck_assert_int_eq(tcpx_read(call.c, buf, 1, soon()), 0);
    call.deadline = tcpx_after(200 * TCPX_MSEC);
    ck_fails(call_make(&call), TCPX_EDEADLINE);
    ck_slept(call);
    tcpx_abort(call.c);
    close(peer);
}
END_TEST

static void fill_half(TCase *tc)
{
    tcase_add_loop_test(tc, after_a_half_close_the_answer_is_read_to_its_end, 0,
                        PAIRS);
    tcase_add_loop_test(tc, a_half_close_is_made_once, 0, PAIRS);
    tcase_add_loop_test(tc, both_sides_may_half_close_at_once, 0, PAIRS);
    tcase_add_loop_test(tc, a_half_close_after_a_reset_says_so, PAIR_SHARED,
                        PAIRS);
    tcase_add_loop_test(tc, a_writer_whose_peer_half_closed_sleeps, 0, PAIRS);
}

/* ---- close: what arrives ----------------------------------------------- */

static void *drain_and_close(void *arg)
{
    int *fd = arg;
    size_t count = 0;
    int err = raw_drain(*fd, &count);

    ck_assert_int_eq(err, 0);
    close(*fd);
    return (void *)(uintptr_t)count;
}

START_TEST(a_close_with_unread_input_loses_nothing)
{
    char *answer = calloc(1, ANSWER);
    pthread_t thread;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_assert_ptr_nonnull(answer);
    /* close(2) would answer the rest of the request with a reset. */
    raw_send(peer, "request that nobody reads", 25);
    await_arrival(tcpx_conn_fd(c));
    thread = start_thread(drain_and_close, &peer);
    ck_ok(tcpx_writen(c, answer, ANSWER, NULL, soon()));
    ck_ok(tcpx_close(c, soon()));
    ck_assert_uint_eq((size_t)(uintptr_t)end_thread(thread), ANSWER);
    free(answer);
}
END_TEST

START_TEST(a_close_that_does_not_wait_loses_nothing_either)
{
    const size_t size = 100000;
    char *answer = calloc(1, size);
    pthread_t thread;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_assert_ptr_nonnull(answer);
    raw_send(peer, "request that nobody reads", 25);
    await_arrival(tcpx_conn_fd(c));
    ck_ok(tcpx_writen(c, answer, size, NULL, soon()));
    ck_fails(tcpx_close(c, TCPX_NOW), TCPX_EDEADLINE);
    thread = start_thread(drain_and_close, &peer);
    ck_assert_uint_eq((size_t)(uintptr_t)end_thread(thread), size);
    free(answer);
}
END_TEST

START_TEST(what_was_looked_at_and_not_read_is_no_hindrance)
{
    char buf[8];
    size_t count;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_send(peer, "looked at", 9);
    ck_assert_int_gt((int)tcpx_peek(c, buf, 8, soon()), 0);
    shutdown(peer, SHUT_WR);
    ck_ok(tcpx_close(c, soon()));
    ck_assert_int_eq(raw_drain(peer, &count), 0);
    close(peer);
}
END_TEST

static void fill_arrives(TCase *tc)
{
    tcase_add_loop_test(tc, a_close_with_unread_input_loses_nothing, 0, PAIRS);
    /* A Unix socket holds no more than its buffer: nothing is under way. */
    tcase_add_loop_test(tc, a_close_that_does_not_wait_loses_nothing_either, 0,
                        PAIRS);
    tcase_add_loop_test(tc, what_was_looked_at_and_not_read_is_no_hindrance, 0,
                        PAIRS);
}

/* ---- close: what is said ----------------------------------------------- */

START_TEST(a_clean_end_on_both_sides_is_zero)
{
    struct pair p = pair_open(_i / 2);
    struct call call = {.kind = CALL_CLOSE, .c = p.b};
    char buf[8];

    ck_ok(tcpx_writen(p.a, "bye", 3, NULL, soon()));
    if (_i % 2)
        ck_ok(tcpx_readn(p.b, buf, 3, NULL, soon()));
    call.deadline = soon();
    call_begin(&call);
    ck_ok(tcpx_close(p.a, soon()));
    ck_ok(call_end(&call));
}
END_TEST

START_TEST(unacknowledged_data_is_no_clean_end)
{
    struct call call = {.kind = CALL_CLOSE};
    char buf[1];
    size_t went;
    size_t count;
    int peer;

    /* The peer half-closed long ago, so that recv says 0 at once; it does not
       read, so that much is undelivered. */
    call.c = conn_open(_i / 2, &peer);
    narrow(peer);
    ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
    ck_assert_int_eq(tcpx_read(call.c, buf, 1, soon()), 0);
    went = fill_up(call.c);
    if (_i % 2 == 0) {
        call.deadline = tcpx_after(30 * TCPX_MSEC);
        ck_fails(call_make(&call), TCPX_EDEADLINE);
        ck_assert_int_ge(call.ended, call.deadline);
        /* The kernel goes on by itself. */
        ck_assert_int_eq(raw_drain(peer, &count), 0);
    } else {
        call.deadline = soon();
        call_begin(&call);
        until_asleep(&call);
        ck_assert_int_eq(raw_drain(peer, &count), 0);
        ck_ok(call_end(&call));
    }
    ck_assert_uint_eq(count, went);
    close(peer);
}
END_TEST

START_TEST(a_reset_during_the_close_is_told_at_once)
{
    struct call call = {.kind = CALL_CLOSE, .deadline = TCPX_FOREVER};
    char buf[1];
    int peer;

    call.c = conn_open(_i / 3, &peer);
    if (_i % 3 == 1) {
        ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
        ck_assert_int_eq(tcpx_read(call.c, buf, 1, soon()), 0);
    }
    if (_i % 3)
        fill_up(call.c); /* which stays unacknowledged for ever */
    call_begin(&call);
    until_asleep(&call);
    raw_reset(peer);
    ck_fails(call_end(&call), -ECONNRESET);
}
END_TEST

START_TEST(a_reset_before_the_close_is_told)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_ok(tcpx_writen(c, "x", 1, NULL, soon()));
    raw_reset(peer);
    await_failure(tcpx_conn_fd(c));
    ck_fails(tcpx_close(c, soon()), -ECONNRESET);
}
END_TEST

START_TEST(a_peer_that_never_closes_cannot_hold_a_close)
{
    struct call call = {.kind = CALL_CLOSE};
    size_t count;
    int peer;

    call.c = conn_open(_i, &peer);
    call.deadline = tcpx_after(200 * TCPX_MSEC);
    ck_fails(call_make(&call), TCPX_EDEADLINE);
    ck_assert_int_ge(call.ended, call.deadline);
    ck_slept(call);
    ck_assert_int_eq(raw_drain(peer, &count), 0);
    close(peer);
}
END_TEST

static void *send_for_ever(void *arg)
{
    static const char block[65536];
    int *fd = arg;

    while (send(*fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
        ;
    return NULL;
}

START_TEST(a_peer_that_never_stops_sending_cannot_hold_a_close)
{
    struct call call = {.kind = CALL_CLOSE};
    pthread_t thread;
    int peer;

    call.c = conn_open(_i / 2, &peer);
    thread = start_thread(send_for_ever, &peer);
    await_arrival(tcpx_conn_fd(call.c));
    call.deadline = _i % 2 ? tcpx_after(100 * TCPX_MSEC) : TCPX_NOW;
    ck_fails(call_make(&call), TCPX_EDEADLINE);
    ck_assert_int_lt(call.ended, tcpx_now() + 10 * TCPX_SEC);
    end_thread(thread);
    close(peer);
}
END_TEST

START_TEST(a_cancel_ends_a_close_whose_peer_never_stops_sending)
{
    struct call call = {.kind = CALL_CLOSE, .deadline = TCPX_FOREVER};
    pthread_t thread;
    int peer;

    call.c = tcpx_conn_ref(conn_open(_i / 2, &peer));
    thread = start_thread(send_for_ever, &peer);
    call_begin(&call);
    while (!(tcpx_conn_state(call.c) & TCPX_STATE_FINISHED))
        ;
    if (_i % 2) {
        tcpx_cancel(call.c);
        ck_fails(call_end(&call), TCPX_ECANCELED);
    } else {
        tcpx_task_cancel(atomic_load(&call.task));
        call_end(&call);
        /* It did not have to wait, or had to just then. */
        ck_assert_msg(call.result == TCPX_EDEADLINE ||
                          call.result == TCPX_ECANCELED,
                      "%zd", call.result);
    }
    tcpx_conn_unref(call.c);
    end_thread(thread);
    close(peer);
}
END_TEST

static void fill_verdict(TCase *tc)
{
    const int tcp = PAIR_SHARED;

    tcase_add_loop_test(tc, a_clean_end_on_both_sides_is_zero, 0, 2 * PAIRS);
    tcase_add_loop_test(tc, unacknowledged_data_is_no_clean_end, 2 * tcp,
                        2 * PAIRS);
    tcase_add_loop_test(tc, a_reset_during_the_close_is_told_at_once, 3 * tcp,
                        3 * PAIRS);
    tcase_add_loop_test(tc, a_reset_before_the_close_is_told, tcp, PAIRS);
    tcase_add_loop_test(tc, a_peer_that_never_closes_cannot_hold_a_close, 0,
                        PAIRS);
    tcase_add_loop_test(tc, a_peer_that_never_stops_sending_cannot_hold_a_close,
                        0, 2 * PAIRS);
    tcase_add_loop_test(
        tc, a_cancel_ends_a_close_whose_peer_never_stops_sending, 0, 2 * PAIRS);
}

/* ---- abort ------------------------------------------------------------- */

static unsigned port_of(const char *address)
{
    return (unsigned)strtoul(strrchr(address, ':') + 1, NULL, 10);
}

/* Whether /proc lists that connection in TIME_WAIT. */
static int is_in_time_wait(unsigned local, unsigned remote)
{
    FILE *file = fopen("/proc/net/tcp", "re");
    char line[256];
    int found = 0;

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file)) {
        unsigned one = 0;
        unsigned other = 0;
        unsigned state = 0;

        if (sscanf(line, "%*s %*8x:%x %*8x:%x %x", &one, &other, &state) == 3)
            found |= one == local && other == remote && state == 6;
    }
    fclose(file);
    return found;
}

START_TEST(an_abort_is_a_reset_whatever_the_state)
{
    char *block = calloc(1, ANSWER);
    unsigned local;
    unsigned remote;
    size_t count;
    tcpx_time began;
    int peer;
    tcpx_conn *c = conn_open(_i / 4, &peer);

    ck_assert_ptr_nonnull(block);
    local = port_of(tcpx_conn_local(c));
    remote = port_of(tcpx_conn_peer(c));
    if (_i % 4 == 1)
        fill_up(c);
    if (_i % 4 == 2)
        raw_send(peer, "unread", 6);
    if (_i % 4 == 3)
        ck_ok(tcpx_half_close(c));
    began = tcpx_now();
    tcpx_abort(c);
    ck_assert_int_lt(tcpx_now() - began, TCPX_SEC);
    if (_i % 4 == 3) {
        /* The end came first; what is written now meets the reset. */
        while (send(peer, "x", 1, MSG_NOSIGNAL) == 1)
            ;
        ck_assert_msg(errno == ECONNRESET || errno == EPIPE, "%d", errno);
    } else {
        ck_assert_int_eq(raw_drain(peer, &count), -ECONNRESET);
    }
    ck_assert_int_eq(is_in_time_wait(local, remote), 0);
    close(peer);
    free(block);
}
END_TEST

START_TEST(an_aborted_unix_socket_ends_or_resets)
{
    size_t count;
    int peer;
    tcpx_conn *c = conn_open(PAIR_UNIX, &peer);

    if (_i)
        raw_send(peer, "unread", 6);
    tcpx_abort(c);
    ck_assert_int_eq(raw_drain(peer, &count), _i ? -ECONNRESET : 0);
    close(peer);
}
END_TEST

START_TEST(nothing_is_aborted_by_null)
{
    tcpx_abort(NULL);
}
END_TEST

START_TEST(no_close_can_linger)
{
    struct linger linger = {.l_onoff = 7};
    socklen_t len = sizeof(linger);
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_assert_int_eq(
        getsockopt(tcpx_conn_fd(c), SOL_SOCKET, SO_LINGER, &linger, &len), 0);
    ck_assert_int_eq(linger.l_onoff, 0);
    tcpx_abort(c);
    close(peer);
}
END_TEST

static void fill_abort(TCase *tc)
{
    tcase_add_loop_test(tc, an_abort_is_a_reset_whatever_the_state,
                        4 * PAIR_SHARED, 4 * PAIRS);
    tcase_add_loop_test(tc, an_aborted_unix_socket_ends_or_resets, 0, 2);
    tcase_add_test(tc, nothing_is_aborted_by_null);
    tcase_add_loop_test(tc, no_close_can_linger, 0, PAIRS);
}

const struct test_case test_cases[] = {
    {"close", "half", fill_half},
    {"close", "arrives", fill_arrives},
    {"close", "verdict", fill_verdict},
    {"close", "abort", fill_abort},
    {NULL, NULL, NULL},
};
