/* SPDX-License-Identifier: MIT */
/*
 * t_big_tls.c - threads of a program whose thread-local variables are larger
 * than the stack that they ask for.
 */
#include <string.h>
#include <tcpx.h>
#include "base/sys.h"
#include "runner.h"
#include "support.h"

static __thread volatile char much[1 << 20];

/* So that all of it is there, and nobody can leave it out. */
static void use(void *arg)
{
    for (size_t i = 0; i < sizeof(much); i += 4096)
        much[i] = 1;
    *(int *)arg = much[4096];
}

START_TEST(a_task_has_room_for_them)
{
    tcpx_task *t;
    int used = 0;

    ck_ok(tcpx_task_spawn(&t, use, &used, NULL));
    ck_ok(tcpx_task_join(t, soon()));
    ck_assert_int_eq(used, 1);
}
END_TEST

static void *use_it(void *arg)
{
    use(arg);
    return NULL;
}

START_TEST(so_has_any_thread_however_small)
{
    pthread_t thread;
    int used = 0;

    ck_ok(tcpx__sys_thread_start(&thread, use_it, &used, 64 << 10));
    tcpx__sys_thread_join(thread);
    ck_assert_int_eq(used, 1);
}
END_TEST

static void fill_threads(TCase *tc)
{
    tcase_add_test(tc, a_task_has_room_for_them);
    tcase_add_test(tc, so_has_any_thread_however_small);
}

const struct test_case test_cases[] = {
    {"big_tls", "threads", fill_threads},
    {NULL, NULL, NULL},
};
