/* SPDX-License-Identifier: MIT */
/*
 * t_task.c - the calling task: canceling it, taking that back, sleeping, fork.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

/* ---- canceling --------------------------------------------------------- */

static void *own_task(void *arg)
{
    (void)arg;
    ck_assert_ptr_eq(tcpx_task_self(), tcpx_task_self());
    return tcpx_task_ref(tcpx_task_self());
}

START_TEST(each_thread_is_a_task_of_its_own)
{
    tcpx_task *mine = tcpx_task_self();
    tcpx_task *other = end_thread(start_thread(own_task, NULL));

    ck_assert_ptr_nonnull(mine);
    ck_assert_ptr_nonnull(other);
    ck_assert_ptr_eq(mine, tcpx_task_self());
    ck_assert_ptr_ne(mine, other);
    tcpx_task_unref(other);
}
END_TEST

START_TEST(nothing_happens_to_null)
{
    tcpx_task_cancel(NULL);
    tcpx_task_unref(NULL);
    ck_assert_ptr_null(tcpx_task_ref(NULL));
}
END_TEST

static void open_call(struct call *call, int kind, int *peer)
{
    *peer = -1;
    call->deadline = TCPX_FOREVER;
    call->len = (size_t)64 << 20;
    if (call->kind == CALL_ACCEPT)
        ck_ok(tcpx_listen(&call->listener, "127.0.0.1:0", NULL));
    if (call->kind >= CALL_SLEEP)
        return;
    call->c = conn_open(kind, peer);
    if (call->kind >= CALL_WRITE && call->kind != CALL_CLOSE) {
        narrow(tcpx_conn_fd(call->c));
        narrow(*peer);
        fill_up(call->c);
    }
}

/* Whether a cancel of the task that makes such a call strikes its connection;
   a flush or wait has nothing under way that it would cut. */
static int takes_connection(enum call_kind kind)
{
    switch (kind) {
    case CALL_READ:
    case CALL_READN:
    case CALL_PEEK:
    case CALL_WRITE:
    case CALL_WRITEN:
    case CALL_WRITEV:
        return 1;
    default:
        return 0;
    }
}

START_TEST(a_cancel_ends_whatever_the_task_waits_in)
{
    struct call call = {.kind = (enum call_kind)(_i % CALL_KINDS)};
    int kind = _i / CALL_KINDS;
    int peer;

    if (call.kind == CALL_FLUSH && kind == PAIR_UNIX)
        return; /* which never waits */
    open_call(&call, kind, &peer);
    call_begin(&call);
    until_asleep(&call);
    tcpx_task_cancel(atomic_load(&call.task));
    ck_fails(call_end(&call), TCPX_ECANCELED);
    if (call.c && call.kind != CALL_CLOSE) {
        ck_assert_int_eq(!!(tcpx_conn_state(call.c) & TCPX_STATE_CANCELED),
                         takes_connection(call.kind));
        tcpx_abort(call.c);
    }
    if (call.listener) {
        /* Others may go on to accept. */
        int client = raw_connect(tcpx_listener_address(call.listener));

        ck_ok(tcpx_accept(&call.accepted, call.listener, soon()));
        tcpx_abort(call.accepted);
        tcpx_listener_close(call.listener);
        close(client);
    }
    if (peer >= 0)
        close(peer);
}
END_TEST

START_TEST(a_cancel_before_the_wait_ends_it_too)
{
    int kind = _i / CALL_KINDS;
    struct call call = {.kind = (enum call_kind)(_i % CALL_KINDS)};
    int peer;

    if (call.kind == CALL_FLUSH && kind == PAIR_UNIX)
        return;
    open_call(&call, kind, &peer);
    tcpx_task_cancel(tcpx_task_self());
    call_make(&call);
    /* A close then acts as with a deadline that has passed. */
    ck_fails(call.result,
             call.kind == CALL_CLOSE ? TCPX_EDEADLINE : TCPX_ECANCELED);
    if (call.kind != CALL_CLOSE)
        tcpx_abort(call.c);
    tcpx_listener_close(call.listener);
    if (peer >= 0)
        close(peer);
}
END_TEST

START_TEST(a_cancel_lasts_until_it_is_taken_back)
{
    struct pair p = pair_open(_i);
    char buf[8];

    tcpx_task_cancel(tcpx_task_self());
    for (int i = 0; i < 3; i++) {
        ck_fails(tcpx_sleep(soon()), TCPX_ECANCELED);
        ck_fails(tcpx_sleep(TCPX_FOREVER), TCPX_ECANCELED);
    }
    ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
    ck_assert_int_eq(tcpx_task_clear_cancel(), 0);
    ck_ok(tcpx_sleep(tcpx_after(TCPX_MSEC)));
    ck_fails(tcpx_read(p.a, buf, 8, tcpx_after(TCPX_MSEC)), TCPX_EDEADLINE);
    ck_ok(tcpx_writen(p.a, "goodbye", 7, NULL, soon()));
    ck_ok(tcpx_readn(p.b, buf, 7, NULL, soon()));
    ck_assert_int_eq(tcpx_conn_state(p.a), 0);
    pair_end(&p);
}
END_TEST

START_TEST(only_the_connection_that_was_waited_on_is_lost)
{
    struct pair other = pair_open(_i);
    struct call call = {.kind = CALL_READ};
    char buf[8];
    int peer;

    open_call(&call, _i, &peer);
    tcpx_task_cancel(tcpx_task_self());
    ck_fails(call_make(&call), TCPX_ECANCELED);
    ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
    /* Its cancel is for ever. */
    ck_fails(tcpx_read(call.c, buf, 8, TCPX_NOW), TCPX_ECANCELED);
    ck_fails(tcpx_write(call.c, buf, 8, TCPX_NOW), TCPX_ECANCELED);
    ck_ok(tcpx_writen(other.a, "goodbye", 7, NULL, soon()));
    ck_ok(tcpx_readn(other.b, buf, 7, NULL, soon()));
    ck_fails(tcpx_close(call.c, soon()), TCPX_ECANCELED);
    pair_end(&other);
    close(peer);
}
END_TEST

START_TEST(a_canceled_task_may_do_what_need_not_wait)
{
    struct pair p = pair_open(_i);
    tcpx_waitfor item = TCPX_ON_CONN(p.a, TCPX_READABLE | TCPX_WRITABLE);
    char buf[8] = "";

    ck_ok(tcpx_writen(p.b, "12345678", 8, NULL, soon()));
    await_arrival(tcpx_conn_fd(p.a));
    tcpx_task_cancel(tcpx_task_self());
    ck_assert_int_eq(tcpx_wait(&item, 1, soon()), 1);
    ck_assert_int_eq(tcpx_peek(p.a, buf, 2, soon()), 2);
    ck_assert_int_eq(tcpx_read(p.a, buf, 2, soon()), 2);
    ck_ok(tcpx_readn(p.a, buf, 4, NULL, soon()));
    /* What would have to wait, but is told not to, is no wait. */
    ck_assert_int_eq(tcpx_read(p.a, buf, 8, TCPX_NOW), 2);
    ck_fails(tcpx_read(p.a, buf, 8, TCPX_NOW), TCPX_EDEADLINE);
    ck_fails(tcpx_read(p.a, buf, 8, tcpx_now()), TCPX_EDEADLINE);
    ck_fails(tcpx_wait(&item, 0, TCPX_NOW), TCPX_ECANCELED);
    ck_ok(tcpx_sleep(TCPX_NOW));
    ck_ok(tcpx_sleep(tcpx_now()));
    ck_ok(tcpx_writen(p.a, buf, 8, NULL, soon()));
    ck_assert_int_eq(tcpx_write(p.a, buf, 8, soon()), 8);
    ck_ok(tcpx_half_close(p.a));
    ck_assert_int_eq(tcpx_conn_state(p.a), TCPX_STATE_FINISHED);
    ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
    pair_end(&p);
}
END_TEST

START_TEST(a_cancel_after_the_tasks_end_does_nothing)
{
    tcpx_task *ended[10];

    for (int i = 0; i < 10; i++)
        ended[i] = end_thread(start_thread(own_task, NULL));
    for (int i = 0; i < 10; i++) {
        tcpx_task_cancel(tcpx_task_ref(ended[i]));
        tcpx_task_unref(ended[i]);
        tcpx_task_cancel(ended[i]);
        tcpx_task_unref(ended[i]);
    }
    ck_assert_int_eq(tcpx_task_clear_cancel(), 0);
}
END_TEST

static void fill_cancel(TCase *tc)
{
    tcase_add_test(tc, each_thread_is_a_task_of_its_own);
    tcase_add_test(tc, nothing_happens_to_null);
    tcase_add_loop_test(tc, a_cancel_ends_whatever_the_task_waits_in, 0,
                        PAIRS * CALL_KINDS);
    tcase_add_loop_test(tc, a_cancel_before_the_wait_ends_it_too, 0,
                        PAIRS * CALL_KINDS);
    tcase_add_loop_test(tc, a_cancel_lasts_until_it_is_taken_back, 0, PAIRS);
    tcase_add_loop_test(tc, only_the_connection_that_was_waited_on_is_lost, 0,
                        PAIRS);
    tcase_add_loop_test(tc, a_canceled_task_may_do_what_need_not_wait, 0,
                        PAIRS);
    tcase_add_test(tc, a_cancel_after_the_tasks_end_does_nothing);
}

/* ---- sleeping ---------------------------------------------------------- */

START_TEST(a_sleep_ends_at_its_deadline)
{
    tcpx_time deadline = tcpx_after(20 * TCPX_MSEC);

    ck_ok(tcpx_sleep(deadline));
    ck_assert_int_ge(tcpx_now(), deadline);
    ck_ok(tcpx_sleep(TCPX_NOW));
    ck_ok(tcpx_sleep(-1));
    ck_ok(tcpx_sleep(deadline));
    ck_fails(tcpx_sleep(TCPX_SEC), -EINVAL);
}
END_TEST

START_TEST(a_wake_up_for_another_reason_does_not_end_a_sleep)
{
    int peer;
    tcpx_conn *c = conn_open(PAIR_SHARED, &peer);
    tcpx_time deadline;
    char buf[8];

    /* Which leaves the task with a wake-up that nobody waited for. */
    tcpx_task_cancel(tcpx_task_self());
    ck_fails(tcpx_read(c, buf, 8, soon()), TCPX_ECANCELED);
    ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
    deadline = tcpx_after(20 * TCPX_MSEC);
    ck_ok(tcpx_sleep(deadline));
    ck_assert_int_ge(tcpx_now(), deadline);
    tcpx_abort(c);
    close(peer);
}
END_TEST

static void fill_sleep(TCase *tc)
{
    tcase_add_test(tc, a_sleep_ends_at_its_deadline);
    tcase_add_test(tc, a_wake_up_for_another_reason_does_not_end_a_sleep);
}

/* ---- fork -------------------------------------------------------------- */

static int count_eventfds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char what[64] = "";

        if (readlinkat(dirfd(dir), e->d_name, what, sizeof(what) - 1) > 0)
            n += strstr(what, "eventfd") != NULL;
    }
    closedir(dir);
    return n;
}

static void cancel_in_child(void *arg)
{
    tcpx_conn *c = arg;
    char buf[8];

    ck_assert_int_eq(count_eventfds(), 0);
    tcpx_task_cancel(tcpx_task_self());
    ck_fails(tcpx_read(c, buf, 8, soon()), TCPX_ECANCELED);
    ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
    ck_ok(tcpx_sleep(tcpx_after(TCPX_MSEC)));
    tcpx_abort(c);
}

START_TEST(a_childs_task_shares_no_wake_up_with_its_parents)
{
    only_in_threads();
    struct pair p = pair_open(PAIR_SHARED);
    tcpx_conn *c;
    char buf[8];
    int peer;

    /* A wait in ppoll(2) is what makes the eventfd. */
    ck_fails(tcpx_read(p.a, buf, 8, tcpx_after(TCPX_MSEC)), TCPX_EDEADLINE);
    ck_assert_int_eq(count_eventfds(), 1);
    c = conn_open(PAIR_SHARED, &peer);
    end_child(start_child(cancel_in_child, c));
    /* Nothing came over here. */
    ck_assert_int_eq(tcpx_task_clear_cancel(), 0);
    ck_fails(tcpx_read(p.a, buf, 8, tcpx_after(TCPX_MSEC)), TCPX_EDEADLINE);
    ck_assert_int_eq(count_eventfds(), 1);
    tcpx_abort(c);
    close(peer);
    pair_end(&p);
}
END_TEST

static void end_in_child(void *arg)
{
    tcpx_conn **c = arg;

    /* The threads that waited on them stayed behind. */
    ck_fails(tcpx_close(c[0], tcpx_after(TCPX_MSEC)), TCPX_EDEADLINE);
    tcpx_abort(c[1]);
    ck_assert_int_eq(tcpx_conn_release(c[2], &(int){0}, NULL, 0, NULL), 0);
}

START_TEST(a_child_can_end_what_its_parents_threads_wait_on)
{
    only_in_threads();
    struct call calls[3];
    tcpx_conn *c[3];
    char bytes[3][64];
    int peer[3];

    memset(calls, 0, sizeof(calls));
    for (int i = 0; i < 3; i++) {
        calls[i].kind = i == 1 ? CALL_WAIT_READABLE : CALL_READ;
        /* What a thread holds when a child is made is lost there. */
        calls[i].buf = bytes[i];
        calls[i].c = c[i] = conn_open(_i, &peer[i]);
        calls[i].deadline = TCPX_FOREVER;
        call_begin(&calls[i]);
        until_asleep(&calls[i]);
    }
    pid_t child = start_child(end_in_child, c);

    close(peer[0]);
    end_child(child);
    for (int i = 0; i < 3; i++) {
        tcpx_cancel(c[i]);
        call_end(&calls[i]);
        tcpx_abort(c[i]);
        if (i)
            close(peer[i]);
    }
}
END_TEST

static void fill_fork(TCase *tc)
{
    tcase_add_test(tc, a_childs_task_shares_no_wake_up_with_its_parents);
    tcase_add_loop_test(tc, a_child_can_end_what_its_parents_threads_wait_on, 0,
                        PAIRS);
}

const struct test_case test_cases[] = {
    {"task", "cancel", fill_cancel},
    {"task", "sleep", fill_sleep},
    {"task", "fork", fill_fork},
    {NULL, NULL, NULL},
};
