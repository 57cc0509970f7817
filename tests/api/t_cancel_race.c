/* SPDX-License-Identifier: MIT */
/*
 * t_cancel_race.c - cancels at every instant: before the wait, in a signal
 * handler, against a close, and after it.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "sanitizers.h"
#include "support.h"

/* A cheap generator, so that the instants differ and can be had again. */
static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

static void waste_time(unsigned steps)
{
    for (volatile unsigned i = 0; i < steps; i++)
        ;
}

/* ---- two threads that meet --------------------------------------------- */

struct meeting {
    atomic_uint round; /* that both sides have come to */
    atomic_uint done;
};

static void await_round(const atomic_uint *word, unsigned value)
{
    for (unsigned i = 0; atomic_load(word) < value; i++) {
        if (i > 100)
            sched_yield();
    }
}

/* ---- a cancel as the wait begins --------------------------------------- */

struct duel {
    struct meeting meeting;
    tcpx_conn *c;
    tcpx_task *task; /* NULL: c is canceled */
    unsigned rounds;
};

static void *cancel_each(void *arg)
{
    struct duel *d = arg;
    unsigned seed = 1;

    for (unsigned i = 1; i <= d->rounds; i++) {
        await_round(&d->meeting.round, i);
        waste_time(next_random(&seed) % 2000);
        if (d->task)
            tcpx_task_cancel(d->task);
        else
            tcpx_cancel(d->c);
        atomic_store(&d->meeting.done, i);
    }
    return NULL;
}

#define WHATS 3
#define KINDS 3 /* the Unix, shared and sole ones */

/* What each kind of wait makes of a cancel. */
static void wait_for_it(tcpx_conn *c, int what)
{
    static const char block[65536];
    char buf[8];
    ssize_t n;

    switch (what) {
    case 0:
        n = tcpx_read(c, buf, sizeof(buf), TCPX_FOREVER);
        break;
    case 1:
        n = tcpx_read(c, buf, sizeof(buf), tcpx_after(3600 * TCPX_SEC));
        break;
    default:
        do
            n = tcpx_write(c, block, sizeof(block), TCPX_FOREVER);
        while (n > 0);
        break;
    }
    ck_fails(n, TCPX_ECANCELED);
}

/* Many rounds, fewer where a sanitizer makes each of them dear. */
static unsigned rounds(unsigned many)
{
    return TEST_TSAN || TEST_ASAN || on_valgrind() ? many / 20 : many;
}

static void play(struct duel *d, int kind, int what)
{
    unsigned seed = 2;
    pthread_t thread;

    if (what == WHATS - 1)
        d->rounds /= 5; /* which fill a socket each */
    thread = start_thread(cancel_each, d);
    for (unsigned i = 1; i <= d->rounds; i++) {
        int peer;

        d->c = conn_open(kind, &peer);
        atomic_store(&d->meeting.round, i);
        waste_time(next_random(&seed) % 2000);
        wait_for_it(d->c, what);
        await_round(&d->meeting.done, i);
        if (d->task)
            ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
        tcpx_abort(d->c);
        close(peer);
    }
    end_thread(thread);
}

START_TEST(a_cancel_is_never_lost)
{
    struct duel d = {.rounds = rounds(2000)};

    play(&d, _i / WHATS, _i % WHATS);
}
END_TEST

START_TEST(a_cancel_of_the_task_is_never_lost)
{
    struct duel d = {.rounds = rounds(2000), .task = tcpx_task_self()};

    play(&d, _i / WHATS, _i % WHATS);
}
END_TEST

static void *cancel_sleeper(void *arg)
{
    struct duel *d = arg;
    unsigned seed = 3;

    for (unsigned i = 1; i <= d->rounds; i++) {
        await_round(&d->meeting.round, i);
        waste_time(next_random(&seed) % 500);
        tcpx_task_cancel(d->task);
        atomic_store(&d->meeting.done, i);
    }
    return NULL;
}

START_TEST(a_cancel_of_a_sleep_or_wait_is_never_lost)
{
    struct duel d = {.rounds = rounds(20000), .task = tcpx_task_self()};
    tcpx_waitfor item;
    unsigned seed = 4;
    pthread_t thread;
    int peer;

    d.c = conn_open(PAIR_UNIX, &peer);
    item = (tcpx_waitfor)TCPX_ON_CONN(d.c, TCPX_READABLE);
    thread = start_thread(cancel_sleeper, &d);
    for (unsigned i = 1; i <= d.rounds; i++) {
        atomic_store(&d.meeting.round, i);
        waste_time(next_random(&seed) % 500);
        if (_i)
            ck_fails(tcpx_wait(&item, 1, TCPX_FOREVER), TCPX_ECANCELED);
        else
            ck_fails(tcpx_sleep(TCPX_FOREVER), TCPX_ECANCELED);
        await_round(&d.meeting.done, i);
        ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
    }
    end_thread(thread);
    ck_assert_int_eq(tcpx_conn_state(d.c), 0);
    tcpx_abort(d.c);
    close(peer);
}
END_TEST

static void fill_never_lost(TCase *tc)
{
    tcase_add_loop_test(tc, a_cancel_is_never_lost, 0, KINDS * WHATS);
    tcase_add_loop_test(tc, a_cancel_of_the_task_is_never_lost, 0,
                        KINDS * WHATS);
    tcase_add_loop_test(tc, a_cancel_of_a_sleep_or_wait_is_never_lost, 0, 2);
}

/* ---- a cancel in a signal handler -------------------------------------- */

static tcpx_conn *_Atomic target;
static tcpx_task *_Atomic target_task;
static atomic_uint handled;

static void cancel_in_handler(int number)
{
    tcpx_conn *c = atomic_load(&target);
    tcpx_task *t = atomic_load(&target_task);

    (void)number;
    if (t)
        tcpx_task_cancel(t);
    else if (c)
        tcpx_cancel(c);
    atomic_fetch_add(&handled, 1);
}

struct shooter {
    pthread_t victim;
    atomic_int stop;
};

/* Waits until the handler has run so often.  The thread sanitizer holds a
   signal back that came just before a call: then the call sleeps, with the
   handler still to run, until another signal interrupts it. */
static void await_handler(struct shooter *s, unsigned sent)
{
    tcpx_time patience = tcpx_after(TCPX_SEC);

    while (atomic_load(&handled) < sent && !atomic_load(&s->stop)) {
        sched_yield();
        if (TEST_TSAN && tcpx_now() > patience) {
            ck_assert_int_eq(pthread_kill(s->victim, SIGUSR1), 0);
            patience = tcpx_after(TCPX_SEC);
        }
    }
}

/* One signal after another, each at an instant of its own. */
static void *shoot(void *arg)
{
    struct shooter *s = arg;
    unsigned seed = 5;
    unsigned sent = 0;

    while (!atomic_load(&s->stop)) {
        waste_time(next_random(&seed) % 3000);
        ck_assert_int_eq(pthread_kill(s->victim, SIGUSR1), 0);
        sent++;
        await_handler(s, sent);
    }
    return NULL;
}

static void handle_signals(int flags)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = cancel_in_handler;
    action.sa_flags = flags;
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
}

/* The test's own connect(2) would have to be retried. */
static tcpx_conn *open_unstruck(int kind, int *peer)
{
    sigset_t shots;
    sigset_t old;
    tcpx_conn *c;

    sigemptyset(&shots);
    sigaddset(&shots, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &shots, &old);
    c = tcpx_conn_ref(conn_open(kind, peer));
    atomic_store(&target, c);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return c;
}

/*
 * The signal strikes anywhere in a connection's life: in malloc, in the
 * library's own atomics, in each system call, in the close and after it.
 */
START_TEST(a_signal_handler_may_cancel_at_any_instant)
{
    struct shooter s = {.victim = pthread_self()};
    /* A TCP connection takes ten times as long to make. */
    unsigned shots = rounds(_i % KINDS == PAIR_UNIX ? 50000 : 5000);
    pthread_t thread;
    char buf[8];

    handle_signals(_i / KINDS ? SA_RESTART : 0);
    thread = start_thread(shoot, &s);
    while (atomic_load(&handled) < shots) {
        int peer;
        tcpx_conn *c = open_unstruck(_i % KINDS, &peer);

        for (size_t size = 1; size < 100000; size *= 7)
            free(malloc(size));
        ck_fails(tcpx_read(c, buf, 8, TCPX_FOREVER), TCPX_ECANCELED);
        ck_fails(tcpx_close(c, soon()), TCPX_ECANCELED);
        atomic_store(&target, NULL);
        tcpx_conn_unref(c);
        close(peer);
    }
    atomic_store(&s.stop, 1);
    end_thread(thread);
}
END_TEST

START_TEST(a_signal_handler_may_cancel_its_own_task)
{
    struct shooter s = {.victim = pthread_self()};
    unsigned shots = rounds(50000);
    pthread_t thread;
    int peer;
    tcpx_conn *other = conn_open(PAIR_UNIX, &peer);
    tcpx_waitfor item = TCPX_ON_CONN(other, TCPX_READABLE);
    char buf[8];

    atomic_store(&target_task, tcpx_task_self());
    handle_signals(_i ? SA_RESTART : 0);
    thread = start_thread(shoot, &s);
    while (atomic_load(&handled) < shots) {
        struct pair p = pair_open(PAIR_UNIX);

        ck_fails(tcpx_sleep(TCPX_FOREVER), TCPX_ECANCELED);
        tcpx_task_clear_cancel();
        ck_fails(tcpx_wait(&item, 1, TCPX_FOREVER), TCPX_ECANCELED);
        tcpx_task_clear_cancel();
        ck_fails(tcpx_read(p.a, buf, 8, TCPX_FOREVER), TCPX_ECANCELED);
        tcpx_task_clear_cancel();
        pair_end(&p);
    }
    atomic_store(&s.stop, 1);
    end_thread(thread);
    ck_assert_int_eq(tcpx_conn_state(other), 0);
    tcpx_abort(other);
    close(peer);
}
END_TEST

static void fill_signals(TCase *tc)
{
    /* The thread sanitizer holds a signal back until the next call that it
       watches; one that the kernel restarts does not end. */
    const int flags = TEST_TSAN ? 1 : 2;

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, a_signal_handler_may_cancel_at_any_instant, 0,
                        flags * KINDS);
    tcase_add_loop_test(tc, a_signal_handler_may_cancel_its_own_task, 0, flags);
}

/* ---- a cancel against a close ------------------------------------------ */

/* Cancels the round's connection again and again, long after it was closed. */
static void *cancel_late(void *arg)
{
    struct duel *d = arg;

    for (unsigned i = 1; i <= d->rounds; i++) {
        await_round(&d->meeting.round, i);
        for (int k = 0; k < 20; k++)
            tcpx_cancel(d->c);
        atomic_store(&d->meeting.done, i);
    }
    return NULL;
}

/* A new socket, very likely under the number of the one just closed, is whole
   and nobody else has touched its bytes. */
static void check_new_owner(void)
{
    char buf[8];
    int fd[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    raw_send(fd[0], "for b", 5);
    raw_send(fd[1], "for a", 5);
    sched_yield();
    ck_assert_int_eq(recv(fd[1], buf, 8, MSG_DONTWAIT), 5);
    ck_assert_mem_eq(buf, "for b", 5);
    ck_assert_int_eq(recv(fd[0], buf, 8, MSG_DONTWAIT), 5);
    ck_assert_mem_eq(buf, "for a", 5);
    close(fd[0]);
    close(fd[1]);
}

START_TEST(a_number_in_use_again_is_never_touched)
{
    struct duel d = {.rounds = rounds(700)};
    pthread_t thread;

    thread = start_thread(cancel_late, &d);
    for (unsigned i = 1; i <= d.rounds; i++) {
        struct call reader = {.kind = CALL_READ, .deadline = TCPX_FOREVER};
        struct call waiter = {.kind = CALL_WAIT_READABLE,
                              .deadline = TCPX_FOREVER};
        int peer;

        d.c = tcpx_conn_ref(conn_open(_i, &peer));
        reader.c = waiter.c = d.c;
        call_begin(&reader);
        call_begin(&waiter);
        if (i % 2)
            until_asleep(&reader);
        until_asleep(&waiter);
        atomic_store(&d.meeting.round, i);
        if (i % 5 == 0)
            tcpx_abort(d.c);
        else
            ck_fails(tcpx_close(d.c, soon()), TCPX_ECANCELED);
        check_new_owner();
        call_end(&reader);
        /* The reader may have come too late, when c was closed already. */
        ck_assert(reader.result == TCPX_ECANCELED || reader.result == -EBUSY);
        ck_assert_int_eq(call_end(&waiter), 1);
        await_round(&d.meeting.done, i);
        tcpx_conn_unref(d.c);
        close(peer);
    }
    end_thread(thread);
}
END_TEST

static void fill_close(TCase *tc)
{
    tcase_add_loop_test(tc, a_number_in_use_again_is_never_touched, 0, KINDS);
}

const struct test_case test_cases[] = {
    {"cancel-race", "never-lost", fill_never_lost},
    {"cancel-race", "signals", fill_signals},
    {"cancel-race", "close", fill_close},
    {NULL, NULL, NULL},
};
