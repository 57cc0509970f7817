/* SPDX-License-Identifier: MIT */
/*
 * t_cancel.c - canceling a connection ends every wait on it, and never looks
 * like a clean end to the peer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

/* ---- waits ------------------------------------------------------------- */

/* The kinds of call that wait on a connection: the first ones of the list. */
#define CONN_KINDS CALL_SLEEP

/* A call on a new connection, that sleeps. */
static void open_asleep(struct call *call, int kind, int *peer)
{
    call->c = conn_open(kind, peer);
    call->deadline = TCPX_FOREVER;
    call->len = (size_t)64 << 20;
    if (call->kind >= CALL_WRITE && call->kind != CALL_CLOSE) {
        narrow(tcpx_conn_fd(call->c));
        narrow(*peer);
        fill_up(call->c);
    }
    tcpx_conn_ref(call->c);
    call_begin(call);
    until_asleep(call);
}

START_TEST(a_cancel_ends_every_wait)
{
    struct call call = {.kind = (enum call_kind)(_i % CONN_KINDS)};
    int kind = _i / CONN_KINDS;
    tcpx_time began;
    int peer;

    if (call.kind == CALL_FLUSH && kind == PAIR_UNIX)
        return; /* which never waits */
    open_asleep(&call, kind, &peer);
    began = tcpx_now();
    tcpx_cancel(call.c);
    call_end(&call);
    if (call.kind == CALL_WAIT_READABLE || call.kind == CALL_WAIT_WRITABLE)
        ck_assert_int_eq(call.result, 1); /* the call that follows tells */
    else
        ck_fails(call.result, TCPX_ECANCELED);
    ck_assert_int_lt(call.ended - began, TCPX_SEC);
    if (call.kind != CALL_CLOSE)
        ck_fails(tcpx_close(call.c, soon()), TCPX_ECANCELED);
    tcpx_conn_unref(call.c);
    close(peer);
}
END_TEST

START_TEST(a_cancel_ends_a_reader_and_a_writer)
{
    struct call reader = {.kind = CALL_READ, .deadline = TCPX_FOREVER};
    struct call writer = {.kind = CALL_WRITEN};
    int peer;

    open_asleep(&writer, _i, &peer);
    reader.c = writer.c;
    call_begin(&reader);
    until_asleep(&reader);
    tcpx_cancel(reader.c);
    ck_fails(call_end(&reader), TCPX_ECANCELED);
    ck_fails(call_end(&writer), TCPX_ECANCELED);
    tcpx_conn_unref(reader.c);
    tcpx_abort(reader.c);
    close(peer);
}
END_TEST

/* More than a handle has names for. */
#define MANY 9

START_TEST(a_cancel_ends_as_many_waits_as_there_are)
{
    struct call calls[MANY];
    tcpx_conn *c;
    int peer;

    memset(calls, 0, sizeof(calls));
    c = conn_open(_i, &peer);
    for (int i = 0; i < MANY; i++) {
        calls[i].kind = i == 0 ? CALL_READ : CALL_WAIT_READABLE;
        calls[i].c = c;
        calls[i].deadline = TCPX_FOREVER;
        call_begin(&calls[i]);
    }
    for (int i = 0; i < MANY; i++)
        until_asleep(&calls[i]);
    tcpx_cancel(c);
    ck_fails(call_end(&calls[0]), TCPX_ECANCELED);
    for (int i = 1; i < MANY; i++)
        ck_assert_int_eq(call_end(&calls[i]), 1);
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(a_canceled_connection_stays_canceled)
{
    tcpx_waitfor item;
    size_t done = 99;
    char buf[8];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_send(peer, "there is data", 13);
    await_arrival(tcpx_conn_fd(c));
    tcpx_cancel(c);
    tcpx_cancel(c);
    ck_assert_int_eq(tcpx_conn_state(c), TCPX_STATE_CANCELED);
    for (int i = 0; i < 2; i++) {
        tcpx_time deadline = i ? soon() : TCPX_NOW;

        ck_fails(tcpx_read(c, buf, 8, deadline), TCPX_ECANCELED);
        ck_fails(tcpx_readn(c, buf, 8, &done, deadline), TCPX_ECANCELED);
        ck_assert_uint_eq(done, 0);
        ck_fails(tcpx_peek(c, buf, 8, deadline), TCPX_ECANCELED);
        ck_fails(tcpx_write(c, buf, 8, deadline), TCPX_ECANCELED);
        ck_fails(tcpx_writen(c, buf, 8, &done, deadline), TCPX_ECANCELED);
        ck_assert_uint_eq(done, 0);
        ck_fails(tcpx_flush(c, deadline), TCPX_ECANCELED);
        ck_fails(tcpx_half_close(c), TCPX_ECANCELED);
        item = (tcpx_waitfor)TCPX_ON_CONN(c, TCPX_READABLE | TCPX_WRITABLE);
        ck_assert_int_eq(tcpx_wait(&item, 1, deadline), 1);
        ck_assert_uint_eq(item.got, TCPX_READABLE | TCPX_WRITABLE);
    }
    ck_fails(tcpx_close(c, soon()), TCPX_ECANCELED);
    close(peer);
}
END_TEST

START_TEST(nothing_is_canceled_by_null)
{
    tcpx_cancel(NULL);
    tcpx_conn_unref(NULL);
    ck_assert_ptr_null(tcpx_conn_ref(NULL));
}
END_TEST

START_TEST(a_cancel_leaves_errno_alone)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    errno = EDOM;
    tcpx_cancel(c);
    ck_assert_int_eq(errno, EDOM);
    /* Now the system calls in it would fail. */
    close(peer);
    errno = EDOM;
    tcpx_cancel(c);
    tcpx_task_cancel(tcpx_task_self());
    ck_assert_int_eq(errno, EDOM);
    tcpx_abort(c);
}
END_TEST

static void fill_waits(TCase *tc)
{
    tcase_add_loop_test(tc, a_cancel_ends_every_wait, 0, PAIRS * CONN_KINDS);
    tcase_add_loop_test(tc, a_cancel_ends_a_reader_and_a_writer, 0, PAIRS);
    tcase_add_loop_test(tc, a_cancel_ends_as_many_waits_as_there_are, 0, PAIRS);
    tcase_add_loop_test(tc, a_canceled_connection_stays_canceled, 0, PAIRS);
    tcase_add_test(tc, nothing_is_canceled_by_null);
    tcase_add_loop_test(tc, a_cancel_leaves_errno_alone, 0, PAIRS);
}

/* ---- the peer ---------------------------------------------------------- */

START_TEST(a_cancel_alone_tells_the_peer_nothing)
{
    struct call call = {.kind = CALL_READ};
    char buf[8];
    int peer;

    open_asleep(&call, _i, &peer);
    tcpx_cancel(call.c);
    ck_fails(call_end(&call), TCPX_ECANCELED);
    ck_assert_int_eq(recv(peer, buf, 8, MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, EAGAIN);
    tcpx_conn_unref(call.c);
    tcpx_abort(call.c);
    close(peer);
}
END_TEST

/* Each way to end a connection. */
static void end_by(tcpx_conn *c, int way)
{
    switch (way) {
    case 0:
        ck_fails(tcpx_close(c, soon()), TCPX_ECANCELED);
        break;
    case 1:
        ck_fails(tcpx_close(c, TCPX_NOW), TCPX_ECANCELED);
        break;
    default:
        tcpx_abort(c);
        break;
    }
}

START_TEST(the_peer_of_a_canceled_answer_reads_a_reset)
{
    struct call call = {.kind = CALL_WRITEN};
    size_t count;
    int peer;

    open_asleep(&call, PAIR_SHARED + _i / 3, &peer);
    tcpx_cancel(call.c);
    ck_fails(call_end(&call), TCPX_ECANCELED);
    ck_assert_int_eq(tcpx_conn_state(call.c),
                     TCPX_STATE_CANCELED | TCPX_STATE_CUT);
    tcpx_conn_unref(call.c);
    end_by(call.c, _i % 3);
    ck_assert_int_eq(raw_drain(peer, &count), -ECONNRESET);
    close(peer);
}
END_TEST

START_TEST(even_an_idle_canceled_connection_ends_in_a_reset)
{
    size_t count;
    int peer;
    tcpx_conn *c = conn_open(PAIR_SHARED + _i / 3, &peer);

    ck_ok(tcpx_writen(c, "all?", 4, NULL, soon()));
    tcpx_cancel(c);
    end_by(c, _i % 3);
    ck_assert_int_eq(raw_drain(peer, &count), -ECONNRESET);
    ck_assert_uint_eq(count, 4);
    close(peer);
}
END_TEST

START_TEST(what_was_finished_before_the_cancel_arrives_whole)
{
    const size_t size = 300000;
    char *block = calloc(1, size);
    size_t count;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_assert_ptr_nonnull(block);
    ck_ok(tcpx_writen(c, block, size, NULL, soon()));
    ck_ok(tcpx_half_close(c));
    tcpx_cancel(c);
    ck_fails(tcpx_close(c, soon()), TCPX_ECANCELED);
    ck_assert_int_eq(raw_drain(peer, &count), 0);
    ck_assert_uint_eq(count, size);
    close(peer);
    free(block);
}
END_TEST

static void fill_peer(TCase *tc)
{
    const int tcp = PAIRS - PAIR_SHARED;

    tcase_add_loop_test(tc, a_cancel_alone_tells_the_peer_nothing, 0, PAIRS);
    tcase_add_loop_test(tc, the_peer_of_a_canceled_answer_reads_a_reset, 0,
                        3 * tcp);
    tcase_add_loop_test(tc, even_an_idle_canceled_connection_ends_in_a_reset, 0,
                        3 * tcp);
    tcase_add_loop_test(tc, what_was_finished_before_the_cancel_arrives_whole,
                        PAIR_SHARED, PAIRS);
}

/* ---- close ------------------------------------------------------------- */

START_TEST(a_close_turns_out_whoever_waits)
{
    struct call call = {.kind = (enum call_kind)(_i % CALL_CLOSE)};
    int kind = _i / CALL_CLOSE;
    int peer;

    if (call.kind == CALL_FLUSH && kind == PAIR_UNIX)
        return; /* which never waits */
    open_asleep(&call, kind, &peer);
    ck_fails(tcpx_close(call.c, soon()), TCPX_ECANCELED);
    call_end(&call);
    if (call.kind == CALL_WAIT_READABLE || call.kind == CALL_WAIT_WRITABLE)
        ck_assert_int_eq(call.result, 1);
    else
        ck_fails(call.result, TCPX_ECANCELED);
    tcpx_conn_unref(call.c);
    close(peer);
}
END_TEST

START_TEST(an_abort_turns_out_whoever_waits)
{
    struct call reader = {.kind = CALL_READ, .deadline = TCPX_FOREVER};
    struct call waiter = {.kind = CALL_WAIT_READABLE, .deadline = TCPX_FOREVER};
    struct call writer = {.kind = CALL_WRITEN};
    int peer;

    open_asleep(&writer, _i, &peer);
    reader.c = waiter.c = writer.c;
    call_begin(&reader);
    call_begin(&waiter);
    until_asleep(&reader);
    until_asleep(&waiter);
    tcpx_abort(writer.c);
    ck_fails(call_end(&reader), TCPX_ECANCELED);
    ck_fails(call_end(&writer), TCPX_ECANCELED);
    ck_assert_int_eq(call_end(&waiter), 1);
    tcpx_conn_unref(writer.c);
    close(peer);
}
END_TEST

START_TEST(a_canceled_task_can_turn_others_out_too)
{
    struct call call = {.kind = CALL_READ};
    int peer;

    open_asleep(&call, _i, &peer);
    tcpx_task_cancel(tcpx_task_self());
    ck_fails(tcpx_close(call.c, soon()), TCPX_ECANCELED);
    ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
    ck_fails(call_end(&call), TCPX_ECANCELED);
    tcpx_conn_unref(call.c);
    close(peer);
}
END_TEST

START_TEST(a_cancel_after_the_close_does_nothing)
{
    char buf[4];
    int peer;
    int other[2];
    tcpx_conn *c = conn_open(_i, &peer);
    int number = tcpx_conn_fd(c);

    tcpx_conn_ref(c);
    close(peer);
    ck_ok(tcpx_close(c, soon()));
    /* Another socket under the same number. */
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    if (other[0] != number && other[1] != number) {
        ck_assert_int_eq(dup2(other[0], number), number);
        close(other[0]);
        other[0] = number;
    }
    tcpx_cancel(c);
    ck_assert_int_eq(tcpx_conn_state(c) & TCPX_STATE_CANCELED, 0);
    raw_send(other[0], "ping", 4);
    ck_assert_uint_eq(raw_recv(other[1], buf, 4), 4);
    raw_send(other[1], "pong", 4);
    ck_assert_uint_eq(raw_recv(other[0], buf, 4), 4);
    tcpx_conn_unref(c);
    close(other[0]);
    close(other[1]);
}
END_TEST

static void fill_close(TCase *tc)
{
    tcase_add_loop_test(tc, a_close_turns_out_whoever_waits, 0,
                        PAIRS * CALL_CLOSE);
    tcase_add_loop_test(tc, an_abort_turns_out_whoever_waits, 0, PAIRS);
    tcase_add_loop_test(tc, a_canceled_task_can_turn_others_out_too, 0, PAIRS);
    tcase_add_loop_test(tc, a_cancel_after_the_close_does_nothing, 0, PAIRS);
}

const struct test_case test_cases[] = {
    {"cancel", "waits", fill_waits},
    {"cancel", "peer", fill_peer},
    {"cancel", "close", fill_close},
    {NULL, NULL, NULL},
};
