/* SPDX-License-Identifier: MIT */
/*
 * t_wait_queue.c - waiting for queues and tasks beside connections.
 */
#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>
#include "runner.h"
#include "support.h"

static char an_item;

/* One of each: what tcpx_wait() is for. */
struct scene {
    tcpx_queue *q;
    tcpx_conn *c;
    int peer;
    tcpx_task *t;
    _Atomic int go;
    tcpx_waitfor items[3];
};

static void sleep_on(void *arg)
{
    (void)arg;
    tcpx_sleep(TCPX_FOREVER);
}

static void set_up(struct scene *s)
{
    int fds[2];

    raw_pair(fds);
    s->peer = fds[0];
    ck_ok(tcpx_conn_adopt(&s->c, fds[1], NULL));
    ck_ok(tcpx_queue_create(&s->q, 2, NULL));
    ck_ok(tcpx_task_spawn(&s->t, sleep_on, s, NULL));
    s->items[0] = (tcpx_waitfor)TCPX_ON_QUEUE(s->q, TCPX_READABLE);
    s->items[1] = (tcpx_waitfor)TCPX_ON_CONN(s->c, TCPX_READABLE);
    s->items[2] = (tcpx_waitfor)TCPX_ON_TASK(s->t);
}

static void tear_down(struct scene *s)
{
    tcpx_task_end(s->t);
    tcpx_queue_free(s->q);
    tcpx_abort(s->c);
    close(s->peer);
}

static void expect_ready(struct scene *s, tcpx_time deadline, int first,
                         int second, int third)
{
    ck_assert_int_eq(tcpx_wait(s->items, 3, deadline), first + second + third);
    ck_assert_uint_eq(s->items[0].got, first ? TCPX_READABLE : 0);
    ck_assert_uint_eq(s->items[1].got, second ? TCPX_READABLE : 0);
    ck_assert_uint_eq(s->items[2].got, third ? TCPX_READABLE : 0);
}

START_TEST(what_is_ready_is_told_at_once_and_all_of_it)
{
    struct scene s;
    char byte;
    void *item;

    set_up(&s);
    ck_fails(tcpx_wait(s.items, 3, TCPX_NOW), TCPX_EDEADLINE);
    ck_ok(tcpx_queue_put(s.q, &an_item, TCPX_NOW));
    expect_ready(&s, TCPX_FOREVER, 1, 0, 0);
    raw_send(s.peer, "x", 1);
    ck_assert_int_eq(tcpx_wait(&s.items[1], 1, soon()), 1);
    expect_ready(&s, TCPX_FOREVER, 1, 1, 0);
    tcpx_task_cancel(s.t);
    ck_assert_int_eq(tcpx_wait(&s.items[2], 1, soon()), 1);
    expect_ready(&s, TCPX_FOREVER, 1, 1, 1);
    ck_ok(tcpx_queue_get(s.q, &item, TCPX_NOW));
    expect_ready(&s, TCPX_NOW, 0, 1, 1);
    ck_assert_int_eq(tcpx_read(s.c, &byte, 1, TCPX_NOW), 1);
    expect_ready(&s, TCPX_NOW, 0, 0, 1);
    tear_down(&s);
}
END_TEST

static void put_later(void *arg)
{
    struct scene *s = arg;

    ck_ok(tcpx_queue_put(s->q, &an_item, TCPX_NOW));
}

static void send_later(void *arg)
{
    struct scene *s = arg;

    raw_send(s->peer, "x", 1);
}

static void cancel_later(void *arg)
{
    struct scene *s = arg;

    tcpx_task_cancel(s->t);
}

static void close_later(void *arg)
{
    struct scene *s = arg;

    tcpx_queue_close(s->q);
}

/* Another task brings it, now or while this one sleeps, a hundred times. */
START_TEST(whatever_comes_wakes_the_wait)
{
    static void (*const bring[])(void *) = {put_later, send_later, cancel_later,
                                            close_later};

    for (int i = 0; i < 100; i++) {
        struct scene s;
        tcpx_task *t;

        set_up(&s);
        ck_ok(tcpx_task_spawn(&t, bring[_i], &s, NULL));
        expect_ready(&s, soon(), _i == 0 || _i == 3, _i == 1, _i == 2);
        ck_ok(tcpx_task_join(t, soon()));
        tear_down(&s);
    }
}
END_TEST

static void get_later(void *arg)
{
    struct scene *s = arg;
    void *item;

    ck_ok(tcpx_queue_get(s->q, &item, TCPX_NOW));
}

START_TEST(room_in_a_queue_is_waited_for_too)
{
    struct scene s;
    tcpx_task *t;
    tcpx_waitfor room[1];

    set_up(&s);
    room[0] = (tcpx_waitfor)TCPX_ON_QUEUE(s.q, TCPX_WRITABLE);
    ck_assert_int_eq(tcpx_wait(room, 1, TCPX_NOW), 1);
    ck_ok(tcpx_queue_put(s.q, &an_item, TCPX_NOW));
    ck_ok(tcpx_queue_put(s.q, &an_item, TCPX_NOW));
    ck_fails(tcpx_wait(room, 1, TCPX_NOW), TCPX_EDEADLINE);
    ck_ok(tcpx_task_spawn(&t, get_later, &s, NULL));
    ck_assert_int_eq(tcpx_wait(room, 1, soon()), 1);
    ck_assert_uint_eq(room[0].got, TCPX_WRITABLE);
    ck_ok(tcpx_task_join(t, soon()));
    tear_down(&s);
}
END_TEST

START_TEST(a_queue_that_never_keeps_a_putter_is_always_writable)
{
    tcpx_queue *q;
    tcpx_waitfor room[1];

    ck_ok(tcpx_queue_create(&q, 1, TCPX_QUEUE(.full = TCPX_FULL_DROP_OLDEST)));
    ck_ok(tcpx_queue_put(q, &an_item, TCPX_NOW));
    room[0] = (tcpx_waitfor)TCPX_ON_QUEUE(q, TCPX_WRITABLE);
    ck_assert_int_eq(tcpx_wait(room, 1, TCPX_NOW), 1);
    ck_ok(tcpx_queue_free(q));
}
END_TEST

static void wait_on_queue(void *arg)
{
    struct scene *s = arg;

    atomic_store(&s->go, 1);
    ck_fails(tcpx_wait(s->items, 1, TCPX_FOREVER), TCPX_ECANCELED);
}

START_TEST(a_cancel_ends_a_wait_for_a_queue)
{
    struct scene s = {.go = 0};
    tcpx_task *t;

    set_up(&s);
    for (int i = 0; i < 100; i++) {
        ck_ok(tcpx_task_spawn(&t, wait_on_queue, &s, NULL));
        while (i % 2 && !atomic_load(&s.go))
            tcpx_sleep(tcpx_after(TCPX_MSEC / 10));
        atomic_store(&s.go, 0);
        tcpx_task_end(t);
    }
    tear_down(&s);
}
END_TEST

START_TEST(what_cannot_be_waited_for_is_refused)
{
    struct scene s;
    tcpx_waitfor item[1];

    set_up(&s);
    item[0] = (tcpx_waitfor)TCPX_ON_QUEUE(NULL, TCPX_READABLE);
    ck_fails(tcpx_wait(item, 1, TCPX_NOW), -EINVAL);
    item[0] = (tcpx_waitfor)TCPX_ON_QUEUE(s.q, 4);
    ck_fails(tcpx_wait(item, 1, TCPX_NOW), -EINVAL);
    item[0] = (tcpx_waitfor)TCPX_ON_TASK(NULL);
    ck_fails(tcpx_wait(item, 1, TCPX_NOW), -EINVAL);
    item[0] = (tcpx_waitfor)TCPX_ON_TASK(tcpx_task_self());
    ck_fails(tcpx_wait(item, 1, TCPX_NOW), -EINVAL);
    item[0] = (tcpx_waitfor)TCPX_ON_TASK(s.t);
    item[0].want = TCPX_WRITABLE;
    ck_fails(tcpx_wait(item, 1, TCPX_NOW), -EINVAL);
    tear_down(&s);
}
END_TEST

/* More than fit on the stack of a wait, and the same queue several times. */
START_TEST(many_items_are_waited_for_at_once)
{
    struct scene s;
    tcpx_waitfor items[60];
    tcpx_task *t;

    set_up(&s);
    for (int i = 0; i < 60; i++)
        items[i] = s.items[i % 3];
    ck_fails(tcpx_wait(items, 60, tcpx_after(5 * TCPX_MSEC)), TCPX_EDEADLINE);
    ck_ok(tcpx_task_spawn(&t, put_later, &s, NULL));
    ck_assert_int_eq(tcpx_wait(items, 60, soon()), 20);
    ck_ok(tcpx_task_join(t, soon()));
    tear_down(&s);
}
END_TEST

static void fill_ready(TCase *tc)
{
    tcase_add_test(tc, what_is_ready_is_told_at_once_and_all_of_it);
    tcase_add_loop_test(tc, whatever_comes_wakes_the_wait, 0, 4);
    tcase_add_test(tc, room_in_a_queue_is_waited_for_too);
    tcase_add_test(tc, a_queue_that_never_keeps_a_putter_is_always_writable);
    tcase_add_test(tc, a_cancel_ends_a_wait_for_a_queue);
    tcase_add_test(tc, what_cannot_be_waited_for_is_refused);
    tcase_add_test(tc, many_items_are_waited_for_at_once);
}

const struct test_case test_cases[] = {
    {"wait-queue", "ready", fill_ready},
    {NULL, NULL, NULL},
};
