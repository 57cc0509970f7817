/* SPDX-License-Identifier: MIT */
/*
 * t_run.c - a thread as a core of fibers, over each engine.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "cores.h"
#include "pairs.h"

/* ---- running ---- */

static int tell_engine(void *arg)
{
    (void)arg;
    return tcpx_task_engine(tcpx_task_self());
}

START_TEST(the_result_of_the_first_is_told_and_so_is_the_engine)
{
    need_engine(_i);
    ck_assert_int_eq(tcpx_task_engine(tcpx_task_self()), 0);
    ck_assert_int_eq(run(_i, tell_engine, NULL), _i);
    ck_assert_int_eq(tcpx_task_engine(tcpx_task_self()), 0);
    ck_ok(tcpx_run(tell_engine, NULL, NULL, NULL));
}
END_TEST

static int run_again(void *arg)
{
    (void)arg;
    ck_fails(tcpx_run(tell_engine, NULL, NULL, NULL), -EBUSY);
    ck_says("a core already");
    return 0;
}

START_TEST(what_cannot_be_run_is_refused)
{
    tcpx_run_opts o = tcpx_run_defaults();
    int result = 77;

    ck_fails(tcpx_run(NULL, NULL, &result, NULL), -EINVAL);
    ck_fails(tcpx_run(tell_engine, NULL, &result, TCPX_RUN(.engine = 3)),
             -EINVAL);
    ck_fails(tcpx_run(tell_engine, NULL, &result, TCPX_RUN(.engine = -1)),
             -EINVAL);
    ck_fails(tcpx_run(tell_engine, NULL, &result, TCPX_RUN(.stack_size = 1)),
             -EINVAL);
    o.size = 0;
    ck_fails(tcpx_run(tell_engine, NULL, &result, &o), -EINVAL);
    ck_assert_int_eq(result, 77);
    ck_assert_int_eq(run(TCPX_ENGINE_AUTO, run_again, NULL), 0);
}
END_TEST

static atomic_int ended;

static void sleep_and_count(void *arg)
{
    (void)arg;
    ck_ok(tcpx_sleep(tcpx_after(20 * TCPX_MSEC)));
    atomic_fetch_add(&ended, 1);
}

static int leave_some_behind(void *arg)
{
    for (int i = 0; i < *(int *)arg; i++)
        spawn(sleep_and_count, NULL);
    return 0;
}

START_TEST(all_that_came_of_it_is_waited_for)
{
    int n = 1000;

    need_engine(_i);
    run(_i, leave_some_behind, &n);
    ck_assert_int_eq(atomic_load(&ended), n);
}
END_TEST

START_TEST(ten_thousand_fibers_sleep_at_once)
{
    int n = TEST_ASAN || TEST_TSAN || on_valgrind() ? 500 : 10000;

    need_engine(_i);
    run(_i, leave_some_behind, &n);
    ck_assert_int_eq(atomic_load(&ended), n);
}
END_TEST

struct sleeper {
    tcpx_time until;
    int place;
};

static int woken;

static void sleep_until(void *arg)
{
    struct sleeper *s = arg;

    ck_ok(tcpx_sleep(s->until));
    ck_assert_int_ge(tcpx_now(), s->until);
    s->place = woken++;
}

#define SLEEPERS 100

static int sleep_out_of_order(void *arg)
{
    static struct sleeper s[SLEEPERS];
    tcpx_task *t[SLEEPERS];
    tcpx_time begin;

    (void)arg;
    for (int i = 0; i < SLEEPERS; i++)
        ck_ok(tcpx_task_spawn(&t[i], sleep_until, &s[i], NULL));
    /* None runs before this one waits. */
    begin = tcpx_after(500 * TCPX_MSEC);
    for (int i = 0; i < SLEEPERS; i++)
        s[i].until = begin + (i * 37 % SLEEPERS) * 2 * TCPX_MSEC;
    for (int i = 0; i < SLEEPERS; i++)
        ck_ok(tcpx_task_join(t[i], soon()));
    for (int i = 0; i < SLEEPERS; i++)
        ck_assert_int_eq(s[i].place, i * 37 % SLEEPERS);
    return 0;
}

START_TEST(deadlines_come_in_their_order)
{
    need_engine(_i);
    run(_i, sleep_out_of_order, NULL);
}
END_TEST

/* ---- turns ---- */

static int stop_reading;

static void stop_them(void *arg)
{
    (void)arg;
    stop_reading = 1;
}

/* Reads that never have to wait, each answered by a write. */
static int read_for_ever(void *arg)
{
    struct pair p = pair_open(PAIR_UNIX);
    char byte = 'x';

    (void)arg;
    spawn(stop_them, NULL);
    while (!stop_reading) {
        ck_ok(tcpx_writen(p.a, &byte, 1, NULL, TCPX_NOW));
        ck_assert_int_eq(tcpx_read(p.b, &byte, 1, TCPX_NOW), 1);
    }
    pair_end(&p);
    return 0;
}

START_TEST(one_that_never_waits_lets_others_have_a_turn)
{
    need_engine(_i);
    run(_i, read_for_ever, NULL);
}
END_TEST

/* ---- from outside ---- */

static tcpx_task *_Atomic victim;

static void *cancel_victim(void *arg)
{
    tcpx_task *t;

    while (!(t = atomic_load(&victim)))
        tcpx_sleep(tcpx_after(TCPX_MSEC));
    tcpx_task_cancel(t);
    return arg;
}

static int sleep_long(void *arg)
{
    atomic_store(&victim, (tcpx_task *)arg);
    return tcpx_sleep(soon());
}

START_TEST(a_cancel_of_the_threads_task_ends_its_first_fiber)
{
    pthread_t thread;

    need_engine(_i);
    thread = start_thread(cancel_victim, NULL);
    ck_assert_int_eq(run(_i, sleep_long, tcpx_task_self()), TCPX_ECANCELED);
    end_thread(thread);
    ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
}
END_TEST

struct belt {
    tcpx_queue *there;
    tcpx_queue *back;
    int engine;
};

#define ITEMS 2000

static int send_back(void *arg)
{
    struct belt *b = arg;
    void *item;

    while (tcpx_queue_get(b->there, &item, soon()) == 0)
        ck_ok(tcpx_queue_put(b->back, item, soon()));
    tcpx_queue_close(b->back);
    return 0;
}

static void *other_core(void *arg)
{
    struct belt *b = arg;

    run(b->engine, send_back, b);
    return NULL;
}

static void put_all(void *arg)
{
    struct belt *b = arg;

    for (uintptr_t i = 1; i <= ITEMS; i++)
        ck_ok(tcpx_queue_put(b->there, (void *)i, soon()));
    tcpx_queue_close(b->there);
}

static int get_all(void *arg)
{
    struct belt *b = arg;
    uintptr_t expected = 1;
    void *item;
    int err;

    spawn(put_all, b);
    while ((err = tcpx_queue_get(b->back, &item, soon())) == 0)
        ck_assert_uint_eq((uintptr_t)item, expected++);
    ck_fails(err, TCPX_EOF);
    ck_assert_uint_eq(expected, ITEMS + 1);
    return 0;
}

START_TEST(queues_go_from_core_to_core)
{
    struct belt b = {.engine = _i};
    pthread_t thread;

    need_engine(_i);
    ck_ok(tcpx_queue_create(&b.there, 3, NULL));
    ck_ok(tcpx_queue_create(&b.back, 3, NULL));
    thread = start_thread(other_core, &b);
    run(_i, get_all, &b);
    end_thread(thread);
    ck_ok(tcpx_queue_free(b.there));
    ck_ok(tcpx_queue_free(b.back));
}
END_TEST

struct handed {
    tcpx_conn *c;
    int engine;
};

static int echo_handed(void *arg)
{
    struct handed *h = arg;
    char buf[16];

    for (int i = 0; i < 10; i++) {
        ck_ok(tcpx_readn(h->c, buf, sizeof(buf), NULL, soon()));
        ck_ok(tcpx_writen(h->c, buf, sizeof(buf), NULL, soon()));
    }
    return 0;
}

static void *echo_in_thread(void *arg)
{
    echo_handed(arg);
    return NULL;
}

static void *echo_in_core(void *arg)
{
    struct handed *h = arg;

    run(h->engine, echo_handed, h);
    return NULL;
}

static void talk(int fd)
{
    char got[16];

    for (int i = 0; i < 10; i++) {
        raw_send(fd, "sixteen letters!", 16);
        ck_assert_uint_eq(raw_recv(fd, got, 16), 16);
        ck_assert_mem_eq(got, "sixteen letters!", 16);
    }
}

/* To a core, a thread, the core's engine of the other kind, and back. */
START_TEST(a_connection_may_be_handed_from_world_to_world)
{
    struct handed h = {.engine = _i};
    int peer;

    need_engine(_i);
    h.c = conn_open(PAIR_SOLE, &peer);
    for (int i = 0; i < 4; i++) {
        pthread_t thread =
            start_thread(i % 2 ? echo_in_thread : echo_in_core, &h);

        talk(peer);
        end_thread(thread);
        h.engine = TCPX_ENGINE_EPOLL;
    }
    tcpx_abort(h.c);
    close(peer);
}
END_TEST

static void fill_running(TCase *tc)
{
    tcase_add_loop_test(tc,
                        the_result_of_the_first_is_told_and_so_is_the_engine,
                        TCPX_ENGINE_EPOLL, TCPX_ENGINE_URING + 1);
    tcase_add_test(tc, what_cannot_be_run_is_refused);
    tcase_add_loop_test(tc, all_that_came_of_it_is_waited_for,
                        TCPX_ENGINE_EPOLL, TCPX_ENGINE_URING + 1);
    tcase_add_loop_test(tc, ten_thousand_fibers_sleep_at_once,
                        TCPX_ENGINE_EPOLL, TCPX_ENGINE_URING + 1);
    tcase_add_loop_test(tc, deadlines_come_in_their_order, TCPX_ENGINE_EPOLL,
                        TCPX_ENGINE_URING + 1);
    tcase_add_loop_test(tc, one_that_never_waits_lets_others_have_a_turn,
                        TCPX_ENGINE_EPOLL, TCPX_ENGINE_URING + 1);
}

static void fill_outside(TCase *tc)
{
    tcase_add_loop_test(tc, a_cancel_of_the_threads_task_ends_its_first_fiber,
                        TCPX_ENGINE_EPOLL, TCPX_ENGINE_URING + 1);
    tcase_add_loop_test(tc, queues_go_from_core_to_core, TCPX_ENGINE_EPOLL,
                        TCPX_ENGINE_URING + 1);
    tcase_add_loop_test(tc, a_connection_may_be_handed_from_world_to_world,
                        TCPX_ENGINE_EPOLL, TCPX_ENGINE_URING + 1);
}

const struct test_case test_cases[] = {
    {"run", "running", fill_running},
    {"run", "outside", fill_outside},
    {NULL, NULL, NULL},
};
