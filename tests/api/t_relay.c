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
    pthread_t thread;
};

static struct relay *under_way;

static void relay_here(int unused)
{
    struct relay *r = under_way;
    struct timespec used;

    (void)unused;
    r->result = tcpx_relay(r->c[0], r->c[1], NULL, r->deadline);
    r->ended = tcpx_now();
    ck_assert_int_eq(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used), 0);
    r->cpu_time = used.tv_sec * TCPX_SEC + used.tv_nsec;
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
    under_way = r;
    r->thread = start_thread(run, NULL);
}

static void relay_end(struct relay *r)
{
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
    struct relay r;

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
    struct relay r;
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
    struct relay r;
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

const struct test_case test_cases[] = {
    {"relay", "full", fill_full},
    {NULL, NULL, NULL},
};
