/* SPDX-License-Identifier: MIT */
/*
 * victims.c - tests that must fail, to prove that the runner notices.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "runner.h"
#include "support.h"

START_TEST(a_descriptor_is_left_open)
{
    ck_assert_int_ge(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
}
END_TEST

START_TEST(a_descriptor_of_someone_else_is_closed)
{
    ck_assert_int_eq(close(STDIN_FILENO), 0);
}
END_TEST

static void *sleep_on(void *unused)
{
    (void)unused;
    for (;;)
        pause();
    return NULL;
}

START_TEST(a_thread_goes_on)
{
    start_thread(sleep_on, NULL);
}
END_TEST

static void end_at_once(void *unused)
{
    (void)unused;
}

START_TEST(a_child_is_not_waited_for)
{
    start_child(end_at_once, NULL);
}
END_TEST

START_TEST(a_skipped_test)
{
    skip_test("because %d", 42);
}
END_TEST

START_TEST(memory_is_lost)
{
    /* Through a volatile, or the compiler leaves malloc out. */
    void *volatile lost = malloc(100);

    ck_assert_ptr_nonnull(lost);
    lost = NULL;
}
END_TEST

static int unguarded;

static void *count(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000; i++)
        unguarded++;
    return NULL;
}

START_TEST(two_threads_race)
{
    pthread_t a = start_thread(count, NULL);
    pthread_t b = start_thread(count, NULL);

    end_thread(a);
    end_thread(b);
    ck_assert_int_gt(unguarded, 0);
}
END_TEST

static void fill_descriptor(TCase *tc)
{
    tcase_add_test(tc, a_descriptor_is_left_open);
}

static void fill_closed(TCase *tc)
{
    tcase_add_test(tc, a_descriptor_of_someone_else_is_closed);
}

static void fill_thread(TCase *tc)
{
    tcase_add_test(tc, a_thread_goes_on);
}

static void fill_child(TCase *tc)
{
    tcase_add_test(tc, a_child_is_not_waited_for);
}

static void fill_skip(TCase *tc)
{
    tcase_add_test(tc, a_skipped_test);
}

static void fill_leak(TCase *tc)
{
    tcase_add_test(tc, memory_is_lost);
}

static void fill_race(TCase *tc)
{
    tcase_add_test(tc, two_threads_race);
}

const struct test_case test_cases[] = {
    {"victims", "descriptor", fill_descriptor},
    {"victims", "closed-descriptor", fill_closed},
    {"victims", "thread", fill_thread},
    {"victims", "child", fill_child},
    {"victims", "leak", fill_leak},
    {"victims", "race", fill_race},
    {"victims", "skip", fill_skip},
    {NULL, NULL, NULL},
};
