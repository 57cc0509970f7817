/* SPDX-License-Identifier: MIT */
/*
 * t_relay.c - a relay between two ends that do not keep up.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <time.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

#define SIZE ((size_t)16 << 20)

/* A relay between two connections of a kind, in a thread, and their peers. */
struct relay {
    tcpx_conn *c[2];
    int peer[2];
    tcpx_time deadline;
    tcpx_time ended;
    tcpx_time cpu_time;
    int result;
    int pipe_size;
    tcpx_task *_Atomic task;   /* that relays */
    tcpx_task *beside;         /* another of its world */
    void (*companion)(void *); /* what that one does; may be NULL */
    pthread_t thread;
};

static struct relay *under_way;

static void relay_here(int unused)
{
    struct relay *r = under_way;
    struct timespec used;

    (void)unused;
    if (r->companion)
        ck_ok(tcpx_task_spawn(&r->beside, r->companion, r, NULL));
    atomic_store(&r->task, tcpx_task_ref(tcpx_task_self()));
    r->result = tcpx_relay(r->c[0], r->c[1],
                           TCPX_RELAY(.pipe_size = r->pipe_size), r->deadline);
    r->ended = tcpx_now();
    ck_assert_int_eq(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used), 0);
    r->cpu_time = used.tv_sec * TCPX_SEC + used.tv_nsec;
    tcpx_task_clear_cancel();
    tcpx_task_end(r->beside);
}

/* In a thread beside the test, and there in the world of the test. */
static void *run(void *unused)
{
    run_body(relay_here, 0);
    return unused;
}

static void relay_begin(struct relay *r, int kind, tcpx_time deadline)
{
    for (int i = 0; i < 2; i++)
        r->c[i] = conn_open(kind, &r->peer[i]);
    r->deadline = deadline;
    atomic_init(&r->task, NULL);
    r->beside = NULL;
    under_way = r;
    r->thread = start_thread(run, NULL);
}

static void relay_end(struct relay *r)
{
    tcpx_task_unref(r->task);
    for (int i = 0; i < 2; i++) {
        tcpx_abort(r->c[i]);
        close(r->peer[i]);
    }
}

/* Sends until there is no room; gives the count. */
static size_t stuff(int fd)
{
    static char block[65536];
    size_t count = 0;
    ssize_t n;

    while ((n = send(fd, block, sizeof(block), MSG_DONTWAIT)) > 0)
        count += (size_t)n;
    return count;
}

/* Nobody reads, and all buffers fill: that must not be for ever. */
START_TEST(two_ends_that_only_write_are_left_at_the_deadline)
{
    struct relay r = {.companion = NULL};

    relay_begin(&r, _i, tcpx_after(300 * TCPX_MSEC));
    while (tcpx_now() < r.deadline - 100 * TCPX_MSEC) {
        stuff(r.peer[0]);
        stuff(r.peer[1]);
        sched_yield();
    }
    end_thread(r.thread);
    ck_fails(r.result, TCPX_EDEADLINE);
    ck_assert_int_ge(r.ended, r.deadline);
    ck_assert_int_lt(r.ended - r.deadline, 5 * TCPX_SEC);
    relay_end(&r);
}
END_TEST

/* Both write more than the buffers hold before either reads; then they do. */
START_TEST(two_ends_that_write_first_and_then_read_get_all)
{
    struct relay r = {.companion = NULL};
    struct collector k[2];
    size_t sent[2];
    unsigned char *data = malloc(SIZE);

    ck_assert_ptr_nonnull(data);
    fill_pattern(data, SIZE, 0);
    relay_begin(&r, _i, soon());
    for (int i = 0; i < 2; i++) {
        ssize_t n;

        for (sent[i] = 0; (n = send(r.peer[i], data + sent[i], SIZE - sent[i],
                                    MSG_DONTWAIT)) > 0;)
            sent[i] += (size_t)n;
        ck_assert_uint_lt(sent[i], SIZE);
    }
    for (int i = 0; i < 2; i++)
        collect_start(&k[i], r.peer[i], SIZE);
    for (int i = 0; i < 2; i++) {
        raw_send(r.peer[i], data + sent[i], SIZE - sent[i]);
        ck_assert_int_eq(shutdown(r.peer[i], SHUT_WR), 0);
    }
    end_thread(r.thread);
    ck_ok(r.result);
    for (int i = 0; i < 2; i++) {
        /* The relay has carried the end. */
        collect_end(&k[i]);
        ck_assert_int_eq(k[i].error, 0);
        ck_assert_uint_eq(k[i].len, SIZE);
        ck_assert_int_eq(memcmp(k[i].data, data, SIZE), 0);
        free(k[i].data);
    }
    free(data);
    relay_end(&r);
}
END_TEST

/* Sends until all buffers on the way are full. */
static void stuff_all(int fd)
{
    const struct timespec pause = {0, 1000000};

    for (int full = 0; full < 50; full++) {
        if (stuff(fd) > 0)
            full = 0;
        nanosleep(&pause, NULL);
    }
}

START_TEST(an_end_that_does_not_read_does_not_hold_what_it_writes)
{
    struct relay r = {.companion = NULL};
    struct collector k;
    unsigned char *data = malloc(SIZE);

    ck_assert_ptr_nonnull(data);
    fill_pattern(data, SIZE, 0);
    relay_begin(&r, _i / 2, TCPX_FOREVER);
    stuff_all(r.peer[0]); /* which peer 1 never reads */
    collect_start(&k, r.peer[0], SIZE);
    raw_send(r.peer[1], data, SIZE);
    ck_assert_int_eq(shutdown(r.peer[1], SHUT_WR), 0);
    collect_end(&k); /* the end is carried, too */
    ck_assert_int_eq(k.error, 0);
    ck_assert_uint_eq(k.len, SIZE);
    ck_assert_int_eq(memcmp(k.data, data, SIZE), 0);
    free(k.data);
    free(data);
    /* The relay waits for the second connection alone; but for both cancels. */
    tcpx_cancel(r.c[_i % 2]);
    end_thread(r.thread);
    ck_fails(r.result, TCPX_ECANCELED);
    ck_assert_int_lt(r.cpu_time, 5 * TCPX_SEC);
    relay_end(&r);
}
END_TEST

/* ---- one way goes on for ever ---- */

/*
 * Peer 0 sends all that the relay takes, and peer 1 takes it all.  They are
 * faster than a relay with a small pipe, which so never has to wait.
 */
struct flood {
    struct relay r;
    pthread_t source;
    pthread_t sink;
    _Atomic int64_t passed; /* bytes */
};

static void *pour(void *arg)
{
    static char block[65536];
    struct flood *f = arg;

    while (send(f->r.peer[0], block, sizeof(block), MSG_NOSIGNAL) > 0)
        continue;
    return NULL;
}

static void *swallow(void *arg)
{
    static char block[65536];
    struct flood *f = arg;
    ssize_t n;

    while ((n = recv(f->r.peer[1], block, sizeof(block), 0)) > 0)
        atomic_fetch_add(&f->passed, n);
    return NULL;
}

/* Returns when the flood has come through. */
static void flood_begin(struct flood *f, int kind, tcpx_time deadline)
{
    tcpx_time until = soon();

    atomic_init(&f->passed, 0);
    f->r.pipe_size = 4096;
    relay_begin(&f->r, kind, deadline);
    f->source = start_thread(pour, f);
    f->sink = start_thread(swallow, f);
    while (atomic_load(&f->passed) == 0 && tcpx_now() < deadline) {
        ck_assert_int_lt(tcpx_now(), until);
        sched_yield();
    }
}

static void flood_end(struct flood *f)
{
    for (int i = 0; i < 2; i++)
        shutdown(f->r.peer[i], SHUT_RDWR);
    end_thread(f->source);
    end_thread(f->sink);
    relay_end(&f->r);
}

START_TEST(the_deadline_holds_though_one_way_never_waits)
{
    struct flood f = {.r = {.companion = NULL}};

    flood_begin(&f, _i, tcpx_after(300 * TCPX_MSEC));
    end_thread(f.r.thread);
    ck_fails(f.r.result, TCPX_EDEADLINE);
    ck_assert_int_ge(f.r.ended, f.r.deadline);
    ck_assert_int_lt(f.r.ended - f.r.deadline, 5 * TCPX_SEC);
    flood_end(&f);
}
END_TEST

/* Of either connection, and of the task. */
START_TEST(a_cancel_ends_a_relay_though_one_way_never_waits)
{
    struct flood f = {.r = {.companion = NULL}};
    tcpx_time began;

    flood_begin(&f, _i / 3, TCPX_FOREVER);
    began = tcpx_now();
    if (_i % 3 < 2)
        tcpx_cancel(f.r.c[_i % 3]);
    else
        tcpx_task_cancel(atomic_load(&f.r.task));
    end_thread(f.r.thread);
    ck_fails(f.r.result, TCPX_ECANCELED);
    ck_assert_int_lt(f.r.ended - began, 5 * TCPX_SEC);
    flood_end(&f);
}
END_TEST

START_TEST(a_flood_one_way_lets_the_other_way_pass)
{
    struct flood f = {.r = {.companion = NULL}};
    char got[4];

    flood_begin(&f, _i, TCPX_FOREVER);
    for (int i = 0; i < 100; i++) {
        raw_send(f.r.peer[1], "ping", 4);
        ck_assert_uint_eq(raw_recv(f.r.peer[0], got, 4), 4);
        ck_assert_int_eq(memcmp(got, "ping", 4), 0);
    }
    tcpx_cancel(f.r.c[0]);
    end_thread(f.r.thread);
    ck_fails(f.r.result, TCPX_ECANCELED);
    flood_end(&f);
}
END_TEST

static void cancel_after_some_turns(void *arg)
{
    struct relay *r = arg;

    for (int i = 0; i < 10; i++)
        ck_ok(tcpx_sleep(tcpx_after(TCPX_MSEC)));
    while (tcpx_conn_bytes_written(r->c[1]) < (1 << 20))
        ck_ok(tcpx_sleep(tcpx_after(TCPX_MSEC)));
    tcpx_cancel(r->c[0]);
}

/* In a fiber, only if the relay leaves the thread to others. */
START_TEST(a_flood_lets_other_tasks_go_on)
{
    struct flood f = {.r = {.companion = cancel_after_some_turns}};

    flood_begin(&f, _i, soon());
    end_thread(f.r.thread);
    ck_fails(f.r.result, TCPX_ECANCELED);
    flood_end(&f);
}
END_TEST

static void fill_full(TCase *tc)
{
    tcase_add_loop_test(tc, two_ends_that_only_write_are_left_at_the_deadline,
                        PAIR_SOLE, PAIRS);
    tcase_add_loop_test(tc, two_ends_that_write_first_and_then_read_get_all,
                        PAIR_SOLE, PAIRS);
    tcase_add_loop_test(tc,
                        an_end_that_does_not_read_does_not_hold_what_it_writes,
                        2 * PAIR_SOLE, 2 * PAIRS);
}

static void fill_flood(TCase *tc)
{
    tcase_add_loop_test(tc, the_deadline_holds_though_one_way_never_waits,
                        PAIR_SOLE, PAIRS);
    tcase_add_loop_test(tc, a_cancel_ends_a_relay_though_one_way_never_waits,
                        3 * PAIR_SOLE, 3 * PAIRS);
    tcase_add_loop_test(tc, a_flood_one_way_lets_the_other_way_pass, PAIR_SOLE,
                        PAIRS);
    tcase_add_loop_test(tc, a_flood_lets_other_tasks_go_on, PAIR_SOLE, PAIRS);
}

const struct test_case test_cases[] = {
    {"relay", "full", fill_full},
    {"relay", "flood", fill_flood},
    {NULL, NULL, NULL},
};
