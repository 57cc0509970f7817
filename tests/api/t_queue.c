/* SPDX-License-Identifier: MIT */
/*
 * t_queue.c - passing pointers from task to task.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include "runner.h"
#include "support.h"

/* Items are numbers, from 1 on, because NULL is none. */
static void *item(uintptr_t n)
{
    return (void *)n;
}

static uintptr_t number(void *p)
{
    return (uintptr_t)p;
}

static uintptr_t get(tcpx_queue *q)
{
    void *p = NULL;

    ck_ok(tcpx_queue_get(q, &p, soon()));
    return number(p);
}

static void put(tcpx_queue *q, uintptr_t n)
{
    ck_ok(tcpx_queue_put(q, item(n), soon()));
}

static tcpx_queue *new_queue(size_t capacity, const tcpx_queue_opts *opts)
{
    tcpx_queue *q;

    ck_ok(tcpx_queue_create(&q, capacity, opts));
    return q;
}

static uintptr_t destroyed[64];
static int destroyed_count;
static tcpx_queue *destroying; /* put to by destroy */

static void note_destroyed(void *p)
{
    destroyed[destroyed_count++] = number(p);
    if (destroying && number(p) == 1)
        tcpx_queue_put(destroying, item(99), TCPX_NOW);
}

START_TEST(items_come_out_in_the_order_they_went_in)
{
    tcpx_queue *q = new_queue(1000, NULL);

    for (uintptr_t round = 0; round < 5; round++) {
        for (uintptr_t i = 1; i <= 100 * (round + 1); i++)
            put(q, i);
        for (uintptr_t i = 1; i <= 100 * (round + 1); i++)
            ck_assert_uint_eq(get(q), i);
    }
    ck_ok(tcpx_queue_free(q));
}
END_TEST

START_TEST(wrong_arguments_are_refused_and_touch_nothing)
{
    tcpx_queue *q = NULL;
    void *p = item(5);

    ck_fails(tcpx_queue_create(NULL, 1, NULL), -EINVAL);
    ck_fails(tcpx_queue_create(&q, 0, NULL), -EINVAL);
    ck_fails(tcpx_queue_create(&q, SIZE_MAX, NULL), -EINVAL);
    ck_fails(tcpx_queue_create(&q, 1, TCPX_QUEUE(.full = 4)), -EINVAL);
    ck_fails(tcpx_queue_create(&q, 1, TCPX_QUEUE(.full = -1)), -EINVAL);
    ck_assert_ptr_null(q);
    q = new_queue(1, NULL);
    ck_fails(tcpx_queue_put(q, NULL, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_queue_put(NULL, item(1), TCPX_NOW), -EINVAL);
    ck_fails(tcpx_queue_put(q, item(1), TCPX_SEC), -EINVAL);
    ck_fails(tcpx_queue_get(q, NULL, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_queue_get(NULL, &p, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_queue_get(q, &p, TCPX_SEC), -EINVAL);
    ck_fails(tcpx_queue_get(q, &p, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_uint_eq(number(p), 5);
    ck_fails(tcpx_queue_close_with(q, NULL), -EINVAL);
    ck_fails(tcpx_queue_close_with(NULL, item(1)), -EINVAL);
    ck_fails(tcpx_queue_free(NULL), -EINVAL);
    tcpx_queue_close(NULL);
    ck_ok(tcpx_queue_free(q));
}
END_TEST

START_TEST(a_full_queue_makes_putters_wait_until_their_deadline)
{
    tcpx_queue *q = new_queue(2, NULL);
    tcpx_time begun;

    put(q, 1);
    put(q, 2);
    ck_fails(tcpx_queue_put(q, item(3), TCPX_NOW), TCPX_EDEADLINE);
    begun = tcpx_now();
    ck_fails(tcpx_queue_put(q, item(3), tcpx_after(30 * TCPX_MSEC)),
             TCPX_EDEADLINE);
    ck_assert_int_ge(tcpx_now() - begun, 30 * TCPX_MSEC);
    ck_assert_uint_eq(get(q), 1);
    put(q, 3);
    ck_assert_uint_eq(get(q), 2);
    ck_assert_uint_eq(get(q), 3);
    ck_ok(tcpx_queue_free(q));
}
END_TEST

START_TEST(a_full_queue_may_refuse)
{
    tcpx_queue *q = new_queue(1, TCPX_QUEUE(.full = TCPX_FULL_REFUSE));

    put(q, 1);
    ck_fails(tcpx_queue_put(q, item(2), TCPX_FOREVER), -ENOBUFS);
    ck_assert_uint_eq(get(q), 1);
    put(q, 2);
    ck_assert_uint_eq(get(q), 2);
    ck_ok(tcpx_queue_free(q));
}
END_TEST

START_TEST(a_full_queue_may_drop_its_oldest)
{
    tcpx_queue *q = new_queue(2, TCPX_QUEUE(.full = TCPX_FULL_DROP_OLDEST,
                                            .destroy = note_destroyed));

    for (uintptr_t i = 1; i <= 5; i++)
        put(q, i);
    ck_assert_int_eq(destroyed_count, 3);
    for (uintptr_t i = 0; i < 3; i++)
        ck_assert_uint_eq(destroyed[i], i + 1);
    ck_assert_uint_eq(get(q), 4);
    ck_assert_uint_eq(get(q), 5);
    ck_ok(tcpx_queue_free(q));
    ck_assert_int_eq(destroyed_count, 3);
}
END_TEST

START_TEST(a_full_queue_may_drop_what_is_new)
{
    tcpx_queue *q = new_queue(2, TCPX_QUEUE(.full = TCPX_FULL_DROP_NEWEST,
                                            .destroy = note_destroyed));

    for (uintptr_t i = 1; i <= 4; i++)
        put(q, i);
    ck_assert_int_eq(destroyed_count, 2);
    ck_assert_uint_eq(destroyed[0], 3);
    ck_assert_uint_eq(destroyed[1], 4);
    ck_assert_uint_eq(get(q), 1);
    ck_assert_uint_eq(get(q), 2);
    ck_ok(tcpx_queue_free(q));
}
END_TEST

START_TEST(destroy_is_called_without_the_queues_lock)
{
    tcpx_queue *q = new_queue(1, TCPX_QUEUE(.full = TCPX_FULL_DROP_OLDEST,
                                            .destroy = note_destroyed));

    put(q, 1);
    destroying = q; /* which is full again, and drops what it has just got */
    put(q, 2);
    destroying = NULL;
    ck_assert_int_eq(destroyed_count, 2);
    ck_assert_uint_eq(get(q), 99);
    ck_ok(tcpx_queue_free(q));
}
END_TEST

START_TEST(a_closed_queue_is_drained_and_then_at_its_end)
{
    tcpx_queue *q = new_queue(4, NULL);
    void *p = item(7);

    put(q, 1);
    put(q, 2);
    tcpx_queue_close(q);
    tcpx_queue_close(q);
    ck_fails(tcpx_queue_put(q, item(3), TCPX_FOREVER), -EPIPE);
    ck_fails(tcpx_queue_close_with(q, item(3)), -EPIPE);
    ck_assert_uint_eq(get(q), 1);
    ck_assert_uint_eq(get(q), 2);
    ck_fails(tcpx_queue_get(q, &p, TCPX_FOREVER), TCPX_EOF);
    ck_fails(tcpx_queue_get(q, &p, TCPX_NOW), TCPX_EOF);
    ck_assert_uint_eq(number(p), 7);
    ck_ok(tcpx_queue_free(q));
}
END_TEST

START_TEST(a_last_item_goes_in_beyond_the_capacity)
{
    tcpx_queue *q = new_queue(1, NULL);
    void *p;

    put(q, 1);
    ck_ok(tcpx_queue_close_with(q, item(2)));
    ck_fails(tcpx_queue_put(q, item(3), TCPX_NOW), -EPIPE);
    ck_assert_uint_eq(get(q), 1);
    ck_assert_uint_eq(get(q), 2);
    ck_fails(tcpx_queue_get(q, &p, TCPX_FOREVER), TCPX_EOF);
    ck_ok(tcpx_queue_free(q));
}
END_TEST

START_TEST(leftovers_are_destroyed_in_order)
{
    tcpx_queue *q = new_queue(8, TCPX_QUEUE(.destroy = note_destroyed));

    for (uintptr_t i = 1; i <= 3; i++)
        put(q, i);
    ck_ok(tcpx_queue_free(q));
    ck_assert_int_eq(destroyed_count, 3);
    for (uintptr_t i = 0; i < 3; i++)
        ck_assert_uint_eq(destroyed[i], i + 1);
}
END_TEST

/* ---- with other tasks ---- */

struct getter {
    tcpx_queue *q;
    tcpx_time deadline;
    _Atomic int waits; /* the thread that is about to */
    void *got;
    int result;
};

static void get_one(void *arg)
{
    struct getter *g = arg;

    atomic_store(&g->waits, gettid());
    g->result = tcpx_queue_get(g->q, &g->got, g->deadline);
}

static void put_one(void *arg)
{
    struct getter *g = arg;

    atomic_store(&g->waits, gettid());
    g->result = tcpx_queue_put(g->q, item(77), g->deadline);
}

/* Until the task sleeps, as far as the kernel says so: it has no other wait. */
static void await_asleep(const struct getter *g)
{
    tcpx_time until = soon();
    char state = 0;

    while (!let_fibers_run() && state != 'S') {
        char path[64];
        FILE *f = NULL;

        ck_assert_int_lt(tcpx_now(), until);
        snprintf(path, sizeof(path), "/proc/self/task/%d/stat",
                 atomic_load(&g->waits));
        if (atomic_load(&g->waits))
            f = fopen(path, "re");
        if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
            state = 0;
        if (f)
            fclose(f);
    }
}

START_TEST(a_close_wakes_all_who_wait)
{
    tcpx_queue *empty = new_queue(1, NULL);
    tcpx_queue *full = new_queue(1, NULL);
    struct getter g[4];
    tcpx_task *t[4];

    put(full, 1);
    for (int i = 0; i < 4; i++) {
        g[i] = (struct getter){.q = i % 2 ? full : empty,
                               .deadline = TCPX_FOREVER};
        ck_ok(tcpx_task_spawn(&t[i], i % 2 ? put_one : get_one, &g[i], NULL));
    }
    for (int i = 0; i < 4; i++)
        await_asleep(&g[i]);
    tcpx_queue_close(empty);
    tcpx_queue_close(full);
    for (int i = 0; i < 4; i++) {
        ck_ok(tcpx_task_join(t[i], soon()));
        ck_fails(g[i].result, i % 2 ? -EPIPE : TCPX_EOF);
    }
    ck_ok(tcpx_queue_free(empty));
    ck_ok(tcpx_queue_free(full));
}
END_TEST

START_TEST(a_queue_in_which_a_task_waits_is_not_freed)
{
    tcpx_queue *q = new_queue(1, NULL);
    struct getter g = {.q = q, .deadline = TCPX_FOREVER};
    tcpx_task *t;

    ck_ok(tcpx_task_spawn(&t, get_one, &g, NULL));
    await_asleep(&g);
    ck_fails(tcpx_queue_free(q), -EBUSY);
    put(q, 1);
    ck_ok(tcpx_task_join(t, soon()));
    ck_ok(g.result);
    ck_assert_uint_eq(number(g.got), 1);
    ck_ok(tcpx_queue_free(q));
}
END_TEST

START_TEST(a_canceled_task_still_gets_and_puts_what_need_not_wait)
{
    tcpx_queue *q = new_queue(1, NULL);
    void *p;

    tcpx_task_cancel(tcpx_task_self());
    ck_ok(tcpx_queue_put(q, item(1), TCPX_FOREVER));
    ck_fails(tcpx_queue_put(q, item(2), TCPX_FOREVER), TCPX_ECANCELED);
    ck_ok(tcpx_queue_get(q, &p, TCPX_FOREVER));
    ck_fails(tcpx_queue_get(q, &p, TCPX_FOREVER), TCPX_ECANCELED);
    ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
    ck_ok(tcpx_queue_free(q));
}
END_TEST

/*
 * No word may be lost: of two getters one is canceled, or times out, at the
 * moment the item comes; if it was chosen, the other must get the word.
 */
static void get_fails_or_gets(int i, int cancel)
{
    tcpx_queue *q = new_queue(4, NULL);
    struct getter weak = {.q = q,
                          .deadline = cancel ? TCPX_FOREVER
                                             : tcpx_after((i % 50) * 4000)};
    struct getter strong = {.q = q, .deadline = TCPX_FOREVER};
    tcpx_task *a;
    tcpx_task *b;

    ck_ok(tcpx_task_spawn(&a, get_one, &weak, NULL));
    ck_ok(tcpx_task_spawn(&b, get_one, &strong, NULL));
    for (int spin = (i % 7) * 300; spin > 0; spin--)
        atomic_thread_fence(memory_order_seq_cst);
    put(q, 1);
    if (cancel)
        tcpx_task_cancel(a);
    ck_ok(tcpx_task_join(a, soon()));
    if (weak.result == 0)
        put(q, 2);
    else
        ck_fails(weak.result, cancel ? TCPX_ECANCELED : TCPX_EDEADLINE);
    ck_ok(tcpx_task_join(b, soon()));
    ck_ok(strong.result);
    ck_ok(tcpx_queue_free(q));
}

START_TEST(a_chosen_getter_that_is_canceled_passes_the_word_on)
{
    for (int i = 0; i < 300; i++)
        get_fails_or_gets(i, 1);
}
END_TEST

START_TEST(a_chosen_getter_that_times_out_passes_the_word_on)
{
    for (int i = 0; i < 300; i++)
        get_fails_or_gets(i, 0);
}
END_TEST

/* The same on the other side: two putters and one place. */
START_TEST(a_chosen_putter_that_is_canceled_passes_the_word_on)
{
    for (int i = 0; i < 300; i++) {
        tcpx_queue *q = new_queue(1, NULL);
        struct getter weak = {.q = q, .deadline = TCPX_FOREVER};
        struct getter strong = weak;
        tcpx_task *a;
        tcpx_task *b;

        put(q, 1);
        ck_ok(tcpx_task_spawn(&a, put_one, &weak, NULL));
        ck_ok(tcpx_task_spawn(&b, put_one, &strong, NULL));
        for (int spin = (i % 7) * 300; spin > 0; spin--)
            atomic_thread_fence(memory_order_seq_cst);
        ck_assert_uint_eq(get(q), 1);
        tcpx_task_cancel(a);
        ck_ok(tcpx_task_join(a, soon()));
        ck_assert_uint_eq(get(q), 77);
        if (weak.result == 0)
            ck_assert_uint_eq(get(q), 77);
        ck_ok(tcpx_task_join(b, soon()));
        ck_ok(strong.result);
        ck_ok(tcpx_queue_free(q));
    }
}
END_TEST

/* ---- many producers and consumers ---- */

#define PRODUCERS 4
#define CONSUMERS 3
#define EACH 2000

static tcpx_queue *shared;
static _Atomic int seen[PRODUCERS][EACH];

static void produce(void *arg)
{
    int from = *(int *)arg;
    uintptr_t me = (uintptr_t)from;

    for (uintptr_t i = 0; i < EACH; i++)
        ck_ok(tcpx_queue_put(shared, item(me * EACH + i + 1), soon()));
}

static void consume(void *arg)
{
    uintptr_t last[PRODUCERS] = {0};
    void *p;
    int rc;

    while ((rc = tcpx_queue_get(shared, &p, soon())) == 0) {
        uintptr_t from = (number(p) - 1) / EACH;

        /* Of one producer, each consumer sees a rising part. */
        ck_assert_uint_gt(number(p), last[from]);
        last[from] = number(p);
        atomic_fetch_add(&seen[from][(number(p) - 1) % EACH], 1);
    }
    ck_fails(rc, TCPX_EOF);
    (void)arg;
}

START_TEST(every_item_of_many_producers_comes_to_one_of_many_consumers)
{
    static const size_t capacities[] = {1, 7, 100000};
    int me[PRODUCERS];
    tcpx_task *producers[PRODUCERS];
    tcpx_task *consumers[CONSUMERS];

    shared = new_queue(capacities[_i], NULL);
    for (int i = 0; i < CONSUMERS; i++)
        ck_ok(tcpx_task_spawn(&consumers[i], consume, NULL, NULL));
    for (int i = 0; i < PRODUCERS; i++) {
        me[i] = i;
        ck_ok(tcpx_task_spawn(&producers[i], produce, &me[i], NULL));
    }
    for (int i = 0; i < PRODUCERS; i++)
        ck_ok(tcpx_task_join(producers[i], soon()));
    tcpx_queue_close(shared);
    for (int i = 0; i < CONSUMERS; i++)
        ck_ok(tcpx_task_join(consumers[i], soon()));
    for (int i = 0; i < PRODUCERS; i++) {
        for (int k = 0; k < EACH; k++)
            ck_assert_int_eq(atomic_load(&seen[i][k]), 1);
    }
    ck_ok(tcpx_queue_free(shared));
}
END_TEST

static void fill_rules(TCase *tc)
{
    tcase_add_test(tc, items_come_out_in_the_order_they_went_in);
    tcase_add_test(tc, wrong_arguments_are_refused_and_touch_nothing);
    tcase_add_test(tc, a_full_queue_makes_putters_wait_until_their_deadline);
    tcase_add_test(tc, a_full_queue_may_refuse);
    tcase_add_test(tc, a_full_queue_may_drop_its_oldest);
    tcase_add_test(tc, a_full_queue_may_drop_what_is_new);
    tcase_add_test(tc, destroy_is_called_without_the_queues_lock);
    tcase_add_test(tc, a_closed_queue_is_drained_and_then_at_its_end);
    tcase_add_test(tc, a_last_item_goes_in_beyond_the_capacity);
    tcase_add_test(tc, leftovers_are_destroyed_in_order);
}

static void fill_waits(TCase *tc)
{
    tcase_add_test(tc, a_close_wakes_all_who_wait);
    tcase_add_test(tc, a_queue_in_which_a_task_waits_is_not_freed);
    tcase_add_test(tc, a_canceled_task_still_gets_and_puts_what_need_not_wait);
    tcase_add_test(tc, a_chosen_getter_that_is_canceled_passes_the_word_on);
    tcase_add_test(tc, a_chosen_getter_that_times_out_passes_the_word_on);
    tcase_add_test(tc, a_chosen_putter_that_is_canceled_passes_the_word_on);
    tcase_add_loop_test(
        tc, every_item_of_many_producers_comes_to_one_of_many_consumers, 0, 3);
}

const struct test_case test_cases[] = {
    {"queue", "rules", fill_rules},
    {"queue", "waits", fill_waits},
    {NULL, NULL, NULL},
};
