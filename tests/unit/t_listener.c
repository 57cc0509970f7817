/* SPDX-License-Identifier: MIT */
/*
 * t_listener.c - cancel and close of a listener while tasks wait in accept.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "listening.h"
#include "net/listener.h"
#include "runner.h"
#include "support.h"

#define TASKS 8

/* Returns once n tasks are in accept on l. */
static void await_users(tcpx_listener *l, uint32_t n)
{
    while ((uint32_t)atomic_load(&l->users) != n)
        sched_yield();
}

struct waiters {
    tcpx_listener *l;
    atomic_int accepted;
    tcpx_task *_Atomic task; /* of one of them */
    pthread_t threads[TASKS];
};

/* Accepts until it is canceled, and counts. */
static void *accept_all(void *arg)
{
    struct waiters *w = arg;
    int err;

    do {
        tcpx_conn *c = NULL;

        err = tcpx_accept(&c, w->l, soon());
        if (!err) {
            tcpx_close(c, TCPX_NOW); /* a reset might fail its connect */
            atomic_fetch_add(&w->accepted, 1);
        }
    } while (!err);
    ck_fails(err, TCPX_ECANCELED);
    return NULL;
}

static void *accept_none(void *arg)
{
    struct waiters *w = arg;
    tcpx_conn *c = NULL;

    atomic_store(&w->task, tcpx_task_self());
    ck_fails(tcpx_accept(&c, w->l, soon()), TCPX_ECANCELED);
    ck_assert_ptr_null(c);
    return NULL;
}

static void start_waiters(struct waiters *w, void *(*run)(void *),
                          tcpx_listener *l)
{
    memset(w, 0, sizeof(*w));
    w->l = l;
    for (int i = 0; i < TASKS; i++)
        w->threads[i] = start_thread(run, w);
    await_users(l, TASKS);
}

static void end_waiters(struct waiters *w)
{
    for (int i = 0; i < TASKS; i++)
        end_thread(w->threads[i]);
}

START_TEST(canceling_ends_every_wait_and_every_later_one)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    struct waiters w;
    tcpx_conn *c = NULL;
    int client;

    start_waiters(&w, accept_none, l);
    tcpx_listener_cancel(l);
    end_waiters(&w);
    /* What is queued stays queued, and is not given out any more. */
    client = raw_connect(tcpx_listener_address(l));
    ck_fails(tcpx_accept(&c, l, soon()), TCPX_ECANCELED);
    ck_fails(tcpx_accept(&c, l, TCPX_NOW), TCPX_ECANCELED);
    close(client);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(closing_ends_every_wait_and_the_next_client_is_refused)
{
    /* Each round meets the tasks at other points of their way into the wait. */
    for (int round = 0; round < 50; round++) {
        tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
        struct waiters w;
        char address[32];

        snprintf(address, sizeof(address), "%s", tcpx_listener_address(l));
        start_waiters(&w, accept_none, l);
        tcpx_listener_close(l);
        ck_assert_int_eq(is_refused(address), 1);
        end_waiters(&w);
    }
}
END_TEST

START_TEST(a_closed_listener_swallows_no_client)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    char address[32];
    tcpx_listener *again = NULL;
    struct waiters w;
    int client;

    snprintf(address, sizeof(address), "%s", tcpx_listener_address(l));
    start_waiters(&w, accept_none, l);
    tcpx_listener_close(l);
    ck_ok(tcpx_listen(&again, address, NULL));
    client = raw_connect(address);
    close(raw_accept(tcpx_listener_fd(again)));
    end_waiters(&w);
    close(client);
    tcpx_listener_close(again);
}
END_TEST

START_TEST(each_client_goes_to_exactly_one_of_many_tasks)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    struct waiters w;

    start_waiters(&w, accept_all, l);
    for (int i = 1; i <= 200; i++) {
        int client = raw_connect(tcpx_listener_address(l));
        char byte;

        ck_assert_uint_eq(raw_recv(client, &byte, 1), 0);
        close(client);
    }
    tcpx_listener_cancel(l);
    end_waiters(&w);
    ck_assert_int_eq(atomic_load(&w.accepted), 200);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(canceling_one_task_leaves_the_listener_to_the_others)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    struct waiters w = {.l = l};
    struct waiters others;
    pthread_t thread;
    tcpx_task *task;
    int client;

    thread = start_thread(accept_none, &w);
    await_users(l, 1);
    task = tcpx_task_ref(atomic_load(&w.task));
    tcpx_task_cancel(task);
    end_thread(thread);
    tcpx_task_unref(task);
    start_waiters(&others, accept_all, l);
    client = raw_connect(tcpx_listener_address(l));
    while (atomic_load(&others.accepted) == 0)
        sched_yield();
    close(client);
    tcpx_listener_cancel(l);
    end_waiters(&others);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(a_canceled_task_can_close_a_listener_that_others_wait_on)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    struct waiters w;

    start_waiters(&w, accept_none, l);
    tcpx_task_cancel(tcpx_task_self());
    tcpx_listener_close(l);
    tcpx_task_clear_cancel();
    end_waiters(&w);
}
END_TEST

START_TEST(a_canceled_task_takes_a_client_that_is_there_and_waits_for_none)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    int client = raw_connect(tcpx_listener_address(l));
    tcpx_conn *c = NULL;

    tcpx_task_cancel(tcpx_task_self());
    ck_ok(tcpx_accept(&c, l, soon()));
    tcpx_abort(c);
    ck_fails(tcpx_accept(&c, l, soon()), TCPX_ECANCELED);
    tcpx_task_clear_cancel();
    close(client);
    tcpx_listener_close(l);
}
END_TEST

static tcpx_listener *for_handler;

static void cancel_in_handler(int signal)
{
    (void)signal;
    tcpx_listener_cancel(for_handler);
}

START_TEST(a_signal_handler_may_cancel_a_listener)
{
    struct sigaction act = {.sa_handler = cancel_in_handler};
    struct sigaction old;
    struct waiters w;

    for_handler = listen_on("127.0.0.1:0", NULL);
    ck_assert_int_eq(sigaction(SIGUSR1, &act, &old), 0);
    start_waiters(&w, accept_none, for_handler);
    /* In a thread that waits there itself. */
    ck_assert_int_eq(pthread_kill(w.threads[0], SIGUSR1), 0);
    end_waiters(&w);
    ck_assert_int_eq(sigaction(SIGUSR1, &old, NULL), 0);
    tcpx_listener_close(for_handler);
}
END_TEST

static void do_nothing(int signal)
{
    (void)signal;
}

START_TEST(a_signal_does_not_end_a_wait_for_clients)
{
    struct sigaction act = {.sa_handler = do_nothing};
    struct sigaction old;
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    struct waiters w;
    int client;

    ck_assert_int_eq(sigaction(SIGUSR1, &act, &old), 0);
    start_waiters(&w, accept_all, l);
    for (int i = 0; i < TASKS * 20; i++)
        ck_assert_int_eq(pthread_kill(w.threads[i % TASKS], SIGUSR1), 0);
    client = raw_connect(tcpx_listener_address(l));
    while (atomic_load(&w.accepted) == 0)
        sched_yield();
    tcpx_listener_cancel(l);
    end_waiters(&w);
    ck_assert_int_eq(sigaction(SIGUSR1, &old, NULL), 0);
    close(client);
    tcpx_listener_close(l);
}
END_TEST

/* ---- Fork ---------------------------------------------------------------- */

static void close_in_child(void *listener)
{
    tcpx_listener_close(listener);
}

START_TEST(a_child_that_closes_an_inherited_listener_disturbs_nobody)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    struct waiters w;
    int client;

    /* The child has a copy of everything but the threads that wait. */
    start_waiters(&w, accept_all, l);
    end_child(start_child(close_in_child, l));
    client = raw_connect(tcpx_listener_address(l));
    while (atomic_load(&w.accepted) == 0)
        sched_yield();
    close(client);
    tcpx_listener_cancel(l);
    end_waiters(&w);
    tcpx_listener_close(l);
}
END_TEST

static void accept_in_child(void *listener)
{
    tcpx_listener *l = listener;
    struct waiters w;
    tcpx_conn *c = NULL;

    ck_ok(tcpx_accept(&c, l, soon()));
    tcpx_abort(c);
    start_waiters(&w, accept_none, l);
    tcpx_listener_close(l);
    end_waiters(&w);
}

START_TEST(a_child_may_accept_on_an_inherited_listener_and_close_it)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    int client = raw_connect(tcpx_listener_address(l));

    end_child(start_child(accept_in_child, l));
    close(client);
    client = raw_connect(tcpx_listener_address(l));
    close(raw_accept(tcpx_listener_fd(l)));
    close(client);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(a_listener_that_another_process_holds_listens_on_after_close)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    int other = fcntl(tcpx_listener_fd(l), F_DUPFD_CLOEXEC, 0);
    char address[32];
    struct waiters w;
    int client;

    snprintf(address, sizeof(address), "%s", tcpx_listener_address(l));
    start_waiters(&w, accept_none, l);
    tcpx_listener_close(l);
    end_waiters(&w);
    client = raw_connect(address);
    close(raw_accept(other));
    close(client);
    close(other);
}
END_TEST

static void fill_cancel(TCase *tc)
{
    tcase_add_test(tc, canceling_ends_every_wait_and_every_later_one);
    tcase_add_test(tc, canceling_one_task_leaves_the_listener_to_the_others);
    tcase_add_test(
        tc, a_canceled_task_takes_a_client_that_is_there_and_waits_for_none);
    tcase_add_test(tc, a_signal_handler_may_cancel_a_listener);
    tcase_add_test(tc, a_signal_does_not_end_a_wait_for_clients);
    tcase_add_test(tc, each_client_goes_to_exactly_one_of_many_tasks);
}

static void fill_close(TCase *tc)
{
    tcase_add_test(tc, closing_ends_every_wait_and_the_next_client_is_refused);
    tcase_add_test(tc, a_closed_listener_swallows_no_client);
    tcase_add_test(tc,
                   a_canceled_task_can_close_a_listener_that_others_wait_on);
    tcase_add_test(
        tc, a_listener_that_another_process_holds_listens_on_after_close);
}

static void fill_fork(TCase *tc)
{
    tcase_add_test(tc,
                   a_child_that_closes_an_inherited_listener_disturbs_nobody);
    tcase_add_test(tc,
                   a_child_may_accept_on_an_inherited_listener_and_close_it);
}

const struct test_case test_cases[] = {
    {"listener", "cancel", fill_cancel},
    {"listener", "close", fill_close},
    {"listener", "fork", fill_fork},
    {NULL, NULL, NULL},
};
