/* SPDX-License-Identifier: MIT */
/*
 * t_spawn.c - tasks beside tasks: starting, joining, ending them.
 */
#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "runner.h"
#include "sanitizers.h"
#include "support.h"

struct sleeper {
    _Atomic int started;
    _Atomic int ended;
    int result;
};

static void sleep_for_ever(void *arg)
{
    struct sleeper *s = arg;

    atomic_store(&s->started, 1);
    s->result = tcpx_sleep(TCPX_FOREVER);
    atomic_store(&s->ended, 1);
}

static void say_done(void *arg)
{
    atomic_store((_Atomic int *)arg, 1);
}

static void await(const _Atomic int *what)
{
    tcpx_time until = soon();

    while (!atomic_load(what)) {
        ck_assert_int_lt(tcpx_now(), until);
        tcpx_sleep(tcpx_after(TCPX_MSEC / 10));
    }
}

START_TEST(a_join_waits_for_the_end)
{
    _Atomic int done = 0;
    tcpx_task *t;

    ck_ok(tcpx_task_spawn(&t, say_done, (void *)&done, NULL));
    ck_ok(tcpx_task_join(t, TCPX_FOREVER));
    ck_assert_int_eq(atomic_load(&done), 1);
}
END_TEST

START_TEST(a_join_ends_at_its_deadline_and_the_task_goes_on)
{
    struct sleeper s = {.result = 1};
    tcpx_task *t;

    ck_ok(tcpx_task_spawn(&t, sleep_for_ever, &s, NULL));
    ck_fails(tcpx_task_join(t, TCPX_NOW), TCPX_EDEADLINE);
    ck_fails(tcpx_task_join(t, tcpx_after(20 * TCPX_MSEC)), TCPX_EDEADLINE);
    ck_assert_int_eq(atomic_load(&s.ended), 0);
    tcpx_task_end(t);
    ck_assert_int_eq(atomic_load(&s.ended), 1);
    ck_fails(s.result, TCPX_ECANCELED);
}
END_TEST

START_TEST(an_end_cancels_and_joins_whenever_it_comes)
{
    for (int i = 0; i < 500; i++) {
        struct sleeper s = {.result = 1};
        tcpx_task *t;

        ck_ok(tcpx_task_spawn(&t, sleep_for_ever, &s, NULL));
        if (i % 2)
            await(&s.started);
        tcpx_task_end(t);
        ck_assert_int_eq(atomic_load(&s.ended), 1);
        ck_fails(s.result, TCPX_ECANCELED);
    }
}
END_TEST

static void join_another(void *arg)
{
    tcpx_task *t = arg;

    ck_fails(tcpx_task_join(t, TCPX_FOREVER), TCPX_ECANCELED);
    ck_ok(tcpx_task_clear_cancel() == 1 ? 0 : -1);
}

START_TEST(a_join_is_canceled_with_the_task_that_joins)
{
    struct sleeper s = {.result = 1};
    tcpx_task *sleeping;
    tcpx_task *joining;

    ck_ok(tcpx_task_spawn(&sleeping, sleep_for_ever, &s, NULL));
    ck_ok(tcpx_task_spawn(&joining, join_another, sleeping, NULL));
    tcpx_task_cancel(joining);
    ck_ok(tcpx_task_join(joining, soon()));
    ck_assert_int_eq(atomic_load(&s.ended), 0);
    tcpx_task_end(sleeping);
}
END_TEST

START_TEST(a_canceled_task_joins_one_that_has_ended)
{
    _Atomic int done = 0;
    tcpx_waitfor end[1];
    tcpx_task *t;

    ck_ok(tcpx_task_spawn(&t, say_done, (void *)&done, NULL));
    end[0] = (tcpx_waitfor)TCPX_ON_TASK(t);
    ck_assert_int_eq(tcpx_wait(end, 1, soon()), 1);
    tcpx_task_cancel(tcpx_task_self());
    ck_ok(tcpx_task_join(t, TCPX_FOREVER));
    ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
}
END_TEST

static void end_late(void *arg)
{
    struct sleeper *s = arg;

    /* Twice as long as what the test allows the waiting to cost. */
    atomic_store(&s->started, 1);
    tcpx_sleep(TCPX_FOREVER);
    tcpx_task_clear_cancel();
    s->result = tcpx_sleep(tcpx_after(200 * TCPX_MSEC));
    atomic_store(&s->ended, 1);
}

static tcpx_time thread_time(void)
{
    struct rusage u;

    ck_assert_int_eq(getrusage(RUSAGE_THREAD, &u), 0);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * TCPX_SEC +
           (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * TCPX_USEC;
}

START_TEST(a_canceled_task_waits_for_another_without_spinning)
{
    struct sleeper s = {.result = 1};
    tcpx_task *t;
    tcpx_time cost;

    ck_ok(tcpx_task_spawn(&t, end_late, &s, NULL));
    await(&s.started);
    tcpx_task_cancel(tcpx_task_self());
    cost = thread_time();
    tcpx_task_end(t);
    cost = thread_time() - cost;
    ck_assert_int_eq(atomic_load(&s.ended), 1);
    ck_ok(s.result);
    ck_assert_int_lt(cost, 100 * TCPX_MSEC);
    ck_assert_int_eq(tcpx_task_clear_cancel(), 1); /* it is canceled still */
}
END_TEST

static void detached_end(void *arg)
{
    atomic_fetch_add((_Atomic int *)arg, 1);
}

START_TEST(a_detached_task_frees_itself)
{
    static _Atomic int count;
    tcpx_time until = soon();

    for (int i = 0; i < 50; i++)
        ck_ok(tcpx_task_spawn(NULL, detached_end, (void *)&count, NULL));
    while (atomic_load(&count) < 50) {
        ck_assert_int_lt(tcpx_now(), until);
        tcpx_sleep(tcpx_after(TCPX_MSEC));
    }
}
END_TEST

START_TEST(a_late_cancel_of_a_task_that_was_kept_does_nothing)
{
    _Atomic int done = 0;
    tcpx_task *t;

    ck_ok(tcpx_task_spawn(&t, say_done, (void *)&done, NULL));
    tcpx_task_ref(t);
    ck_ok(tcpx_task_join(t, TCPX_FOREVER));
    tcpx_task_cancel(t);
    tcpx_task_unref(t);
}
END_TEST

START_TEST(wrong_arguments_are_refused)
{
    tcpx_task *t = NULL;
    struct {
        tcpx_task_opts o;
        uint64_t more;
    } big = {tcpx_task_defaults(), 1};

    big.o.size += 8;
    ck_fails(tcpx_task_spawn(&t, NULL, NULL, NULL), -EINVAL);
    ck_fails(tcpx_task_spawn(&t, say_done, NULL, TCPX_TASK(.stack_size = 1)),
             -EINVAL);
    ck_fails(tcpx_task_spawn(&t, say_done, NULL, TCPX_TASK(.reserved_0 = 1)),
             -EINVAL);
    ck_fails(tcpx_task_spawn(&t, say_done, NULL, &big.o), -E2BIG);
    ck_assert_ptr_null(t);
    ck_fails(tcpx_task_join(NULL, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_task_join(tcpx_task_self(), TCPX_NOW), -EINVAL);
    ck_fails(tcpx_sleep(TCPX_SEC), -EINVAL);
    tcpx_task_end(NULL);
    tcpx_task_end(tcpx_task_self());
}
END_TEST

START_TEST(a_task_that_cannot_be_started_is_an_error_and_no_leak)
{
    only_in_threads();
    tcpx_task *t = NULL;
    int err = tcpx_task_spawn(&t, say_done, NULL,
                              TCPX_TASK(.stack_size = UINT64_C(1) << 46));

    /* valgrind refuses such a mapping by EINVAL. */
    ck_assert_msg(err == -EAGAIN || err == -ENOMEM ||
                      (on_valgrind() && err == -EINVAL),
                  "gave %d", err);
    ck_assert_ptr_null(t);
}
END_TEST

static void use_stack(void *arg)
{
    volatile char much[6 << 20];

    for (size_t i = 0; i < sizeof(much); i += 1024)
        much[i] = 1;
    *(int *)arg = much[1024];
}

START_TEST(a_task_has_the_stack_it_asked_for)
{
    tcpx_task *t;
    int touched = 0;

    ck_ok(tcpx_task_spawn(&t, use_stack, &touched,
                          TCPX_TASK(.stack_size = 8 << 20)));
    ck_ok(tcpx_task_join(t, soon()));
    ck_assert_int_eq(touched, 1);
}
END_TEST

static void fill_tasks(TCase *tc)
{
    tcase_add_test(tc, a_join_waits_for_the_end);
    tcase_add_test(tc, a_join_ends_at_its_deadline_and_the_task_goes_on);
    tcase_add_test(tc, an_end_cancels_and_joins_whenever_it_comes);
    tcase_add_test(tc, a_join_is_canceled_with_the_task_that_joins);
    tcase_add_test(tc, a_canceled_task_joins_one_that_has_ended);
    tcase_add_test(tc, a_canceled_task_waits_for_another_without_spinning);
    tcase_add_test(tc, a_detached_task_frees_itself);
    tcase_add_test(tc, a_late_cancel_of_a_task_that_was_kept_does_nothing);
    tcase_add_test(tc, wrong_arguments_are_refused);
    tcase_add_test(tc, a_task_that_cannot_be_started_is_an_error_and_no_leak);
    tcase_add_test(tc, a_task_has_the_stack_it_asked_for);
}

const struct test_case test_cases[] = {
    {"spawn", "tasks", fill_tasks},
    {NULL, NULL, NULL},
};
