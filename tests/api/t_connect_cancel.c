/* SPDX-License-Identifier: MIT */
/*
 * t_connect_cancel.c - connects that are canceled, at every moment.
 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <tcpx.h>
#include <unistd.h>
#include "peers.h"
#include "runner.h"
#include "support.h"

static tcpx_conn *c;
static char address[64];

/* ---- One cancel ---------------------------------------------------------- */

static void *cancel(void *arg)
{
    tcpx_task_cancel(arg);
    return NULL;
}

static pthread_t cancel_from_a_thread(void)
{
    return start_thread(cancel, tcpx_task_self());
}

START_TEST(a_task_that_was_canceled_before_does_not_wait)
{
    struct full f = full_open(address, sizeof(address));

    tcpx_task_cancel(tcpx_task_self());
    ck_fails(tcpx_connect(&c, address, NULL, TCPX_FOREVER), TCPX_ECANCELED);
    ck_fails(tcpx_connect(&c, address, NULL, TCPX_FOREVER), TCPX_ECANCELED);
    ck_says("canceled after 0 ms");
    full_end(&f);
}
END_TEST

START_TEST(another_thread_cancels_a_connect)
{
    struct full f = full_open(address, sizeof(address));

    for (int i = 0; i < 300; i++) {
        pthread_t thread = cancel_from_a_thread();

        ck_fails(tcpx_connect(&c, address, NULL, TCPX_FOREVER), TCPX_ECANCELED);
        end_thread(thread);
        ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
    }
    full_end(&f);
}
END_TEST

START_TEST(another_thread_cancels_a_connect_to_a_full_unix_socket)
{
    struct full f = full_unix(address, sizeof(address));

    for (int i = 0; i < 20; i++) {
        pthread_t thread = cancel_from_a_thread();

        ck_fails(tcpx_connect(&c, address, NULL, TCPX_FOREVER), TCPX_ECANCELED);
        end_thread(thread);
        tcpx_task_clear_cancel();
    }
    full_end(&f);
}
END_TEST

static tcpx_task *struck;

static void strike(int number)
{
    (void)number;
    tcpx_task_cancel(struck);
}

START_TEST(a_signal_handler_cancels_a_connect)
{
    static const struct itimerval soon_once = {{0, 0}, {0, 3000}};
    struct sigaction action = {.sa_handler = strike, .sa_flags = SA_RESTART};
    struct full f = full_open(address, sizeof(address));

    struck = tcpx_task_self();
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(setitimer(ITIMER_REAL, &soon_once, NULL), 0);
        ck_fails(tcpx_connect(&c, address, NULL, TCPX_FOREVER), TCPX_ECANCELED);
        tcpx_task_clear_cancel();
    }
    full_end(&f);
}
END_TEST

static void fill_once(TCase *tc)
{
    tcase_add_test(tc, a_task_that_was_canceled_before_does_not_wait);
    tcase_add_test(tc, another_thread_cancels_a_connect);
    tcase_add_test(tc, another_thread_cancels_a_connect_to_a_full_unix_socket);
    tcase_add_test(tc, a_signal_handler_cancels_a_connect);
}

/* ---- In the same instant as success -------------------------------------- */

static tcpx_task *connecting;
static atomic_int round_number;
static atomic_int canceled_round;

/* Cancels once a round, a little later each time. */
static void *cancel_each_round(void *arg)
{
    int rounds = *(int *)arg;

    for (int i = 1; i <= rounds; i++) {
        while (atomic_load(&round_number) < i)
            ;
        for (volatile int spin = 0; spin < i % 200 * 50; spin++)
            ;
        tcpx_task_cancel(connecting);
        atomic_store(&canceled_round, i);
    }
    return NULL;
}

START_TEST(a_cancel_beside_success_leaves_a_good_connection_or_none)
{
    int listener = raw_listen(address, sizeof(address));
    int rounds = 600;
    int good = 0;
    pthread_t thread;

    connecting = tcpx_task_self();
    thread = start_thread(cancel_each_round, &rounds);
    for (int i = 1; i <= rounds; i++) {
        int err;

        atomic_store(&round_number, i);
        err = tcpx_connect(&c, address, NULL, soon());
        while (atomic_load(&canceled_round) < i)
            ;
        tcpx_task_clear_cancel();
        if (err) {
            ck_fails(err, TCPX_ECANCELED);
            /* Whoever had come through to the listener is gone again. */
            continue;
        }
        good++;
        ck_assert_int_eq((int)tcpx_write(c, "x", 1, soon()), 1);
        ck_assert_int_eq(tcpx_conn_state(c), 0);
        tcpx_abort(c);
    }
    end_thread(thread);
    ck_assert_int_gt(good, 0);
    close(listener);
}
END_TEST

START_TEST(a_deadline_beside_success_leaves_a_good_connection_or_none)
{
    int listener = raw_listen(address, sizeof(address));
    int good = 0;

    for (int i = 0; i < 600; i++) {
        int err =
            tcpx_connect(&c, address, NULL, tcpx_after(i % 100 * TCPX_USEC));

        if (err) {
            ck_fails(err, TCPX_EDEADLINE);
            continue;
        }
        good++;
        ck_assert_int_eq((int)tcpx_write(c, "x", 1, soon()), 1);
        tcpx_abort(c);
    }
    ck_assert_int_gt(good, 0);
    close(listener);
}
END_TEST

static void fill_beside(TCase *tc)
{
    tcase_add_test(tc,
                   a_cancel_beside_success_leaves_a_good_connection_or_none);
    tcase_add_test(tc,
                   a_deadline_beside_success_leaves_a_good_connection_or_none);
}

/* ---- In the lookup ------------------------------------------------------- */

static tcpx_lookup *_Atomic lookups[2];

static void never_answer(tcpx_lookup *lookup, const char *host, int family,
                         void *arg)
{
    (void)host;
    (void)arg;
    atomic_store(&lookups[family == AF_INET], lookup);
}

static void *cancel_in_lookup(void *arg)
{
    /* Once both questions are asked the connect waits, or is about to. */
    while (!atomic_load(&lookups[0]) || !atomic_load(&lookups[1]))
        ;
    tcpx_task_cancel(arg);
    return NULL;
}

/* The answers come after all; addresses that nobody wants any more. */
static void answer_late(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_storage ss = {.ss_family = AF_INET};

    for (int i = 0; i < 2; i++) {
        tcpx_lookup *lookup = atomic_exchange(&lookups[i], NULL);

        ck_assert_int_eq(tcpx_lookup_is_abandoned(lookup), 1);
        memcpy(&ss, &in, sizeof(in));
        tcpx_lookup_finish(lookup, 0, &ss, 1);
    }
}

START_TEST(a_cancel_in_the_lookup_leaves_it_behind_safely)
{
    tcpx_resolver_set(never_answer, NULL);
    for (int i = 0; i < 100; i++) {
        pthread_t thread = start_thread(cancel_in_lookup, tcpx_task_self());

        ck_fails(tcpx_connect(&c, "name:80", NULL, TCPX_FOREVER),
                 TCPX_ECANCELED);
        end_thread(thread);
        ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
        answer_late();
    }
    ck_says("name lookup canceled");
    tcpx_resolver_set(NULL, NULL);
}
END_TEST

START_TEST(a_deadline_in_the_lookup_leaves_it_behind_safely)
{
    tcpx_time since = tcpx_now();

    tcpx_resolver_set(never_answer, NULL);
    ck_fails(tcpx_connect(&c, "name:80", NULL, tcpx_after(100 * TCPX_MSEC)),
             TCPX_EDEADLINE);
    ck_assert_int_ge(elapsed_ms(since), 100);
    answer_late();
    ck_fails(tcpx_connect(&c, "name:80", NULL, TCPX_NOW), TCPX_EDEADLINE);
    answer_late();
    tcpx_resolver_set(NULL, NULL);
}
END_TEST

static void fill_lookup(TCase *tc)
{
    tcase_add_test(tc, a_cancel_in_the_lookup_leaves_it_behind_safely);
    tcase_add_test(tc, a_deadline_in_the_lookup_leaves_it_behind_safely);
}

const struct test_case test_cases[] = {
    {"connect_cancel", "once", fill_once},
    {"connect_cancel", "beside", fill_beside},
    {"connect_cancel", "lookup", fill_lookup},
    {NULL, NULL, NULL},
};
