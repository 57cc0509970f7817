/* SPDX-License-Identifier: MIT */
/*
 * t_resolve_pool.c - the helper threads: how many, how long, and after a fork.
 *
 * A hook stands in for getaddrinfo(3), and answers or blocks.
 */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <tcpx.h>
#include <unistd.h>
#include "base/sys.h"
#include "base/task.h"
#include "io/world.h"
#include "runner.h"
#include "sanitizers.h"
#include "support.h"
#include "unit/resolving.h"

#define HELPERS 4

/* What getaddrinfo gives, and the gate that it waits at. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int open;
    int inside;
    int most;    /* of them inside at a time */
    int entered; /* in all */
    int code;
    int error; /* errno */
    int threads_made;
    int thread_error;
    pid_t parent; /* only there the gate is shut */
    sigset_t mask;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .changed = PTHREAD_COND_INITIALIZER,
          .code = EAI_NONAME};

static int pass_gate(void)
{
    pthread_mutex_lock(&fake.lock);
    fake.inside++;
    fake.entered++;
    if (fake.inside > fake.most)
        fake.most = fake.inside;
    pthread_sigmask(SIG_SETMASK, NULL, &fake.mask);
    pthread_cond_broadcast(&fake.changed);
    while (!fake.open)
        pthread_cond_wait(&fake.changed, &fake.lock);
    fake.inside--;
    pthread_mutex_unlock(&fake.lock);

    errno = fake.error;
    return fake.code;
}

static int hook(enum tcpx__sys_call call, size_t *len)
{
    (void)len;
    if (call == TCPX__SYS_pthread_create) {
        fake.threads_made++; /* under the library's lock */
        return fake.thread_error;
    }
    if (call != TCPX__SYS_getaddrinfo)
        return 0;

    return getpid() == fake.parent ? pass_gate() : fake.code;
}

static void wait_inside(int n)
{
    pthread_mutex_lock(&fake.lock);
    while (fake.inside < n)
        pthread_cond_wait(&fake.changed, &fake.lock);
    pthread_mutex_unlock(&fake.lock);
}

static void open_gate(void)
{
    pthread_mutex_lock(&fake.lock);
    fake.open = 1;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
}

static void shut_gate(void)
{
    fake.parent = getpid();
    tcpx__sys_hook = hook;
}

static void give(int code, int error)
{
    shut_gate();
    fake.open = 1;
    fake.code = code;
    fake.error = error;
}

/* ---- Codes ------------------------------------------------------------- */

static const struct {
    int code;
    int error;
    int err;
    const char *detail;
} codes[] = {
    {EAI_NONAME, 0, TCPX_ERESOLVE, "no such name"},
    {EAI_NODATA, 0, 0, ""},
    {EAI_ADDRFAMILY, 0, 0, ""},
    {EAI_AGAIN, 0, TCPX_ERESOLVE, "the name server did not answer"},
    {EAI_FAIL, 0, TCPX_ERESOLVE, "the name server failed"},
    {EAI_MEMORY, 0, -ENOMEM, ""},
    {EAI_SYSTEM, EMFILE, -EMFILE, "too many open files in this process"},
    {EAI_SYSTEM, EIO, TCPX_ERESOLVE, "input/output error"},
    {EAI_SYSTEM, 0, TCPX_ERESOLVE, "success"},
    {EAI_FAMILY, 0, TCPX_ERESOLVE,
     "getaddrinfo failed for a reason of its own"},
};

START_TEST(the_codes_of_getaddrinfo_are_told_apart)
{
    struct tcpx__resolution *r;
    const struct tcpx__names *names;

    give(codes[_i].code, codes[_i].error);
    r = start_resolving("h:80", AF_INET);
    names = await_names(r, AF_INET);
    ck_assert_int_eq(names->err, codes[_i].err);
    ck_assert_str_eq(names->detail, codes[_i].detail);
    ck_assert_uint_eq(names->n, 0);
    tcpx__resolve_abandon(r);
}
END_TEST

/* ---- Threads ----------------------------------------------------------- */

START_TEST(a_helper_has_all_signals_blocked)
{
    struct tcpx__resolution *r;

    give(EAI_NONAME, 0);
    r = start_resolving("h:80", AF_INET);
    (void)await_names(r, AF_INET);
    for (int i = 1; i < SIGRTMIN; i++) {
        if (i != SIGKILL && i != SIGSTOP && i < 32)
            ck_assert_msg(sigismember(&fake.mask, i) == 1, "signal %d", i);
    }
    tcpx__resolve_abandon(r);
}
END_TEST

START_TEST(helpers_end_when_there_is_nothing_to_look_up)
{
    /* That none is left after the test, the runner asserts. */
    give(EAI_NONAME, 0);
    for (int i = 0; i < 20; i++) {
        struct tcpx__resolution *r = start_resolving("h:80", 0);

        (void)await_names(r, AF_INET);
        (void)await_names(r, AF_INET6);
        tcpx__resolve_abandon(r);
    }
    ck_assert_int_ge(fake.threads_made, 2);
    ck_assert_int_eq(fake.entered, 40);
}
END_TEST

START_TEST(two_hundred_stuck_lookups_hold_four_threads_and_no_one_else)
{
    struct tcpx__resolution *stuck[100], *r;
    tcpx_time deadline;

    shut_gate();
    for (int i = 0; i < 100; i++)
        stuck[i] = start_resolving("stuck.example:80", 0);
    wait_inside(HELPERS);
    ck_assert_int_eq(fake.threads_made, HELPERS);

    r = start_resolving("192.0.2.1:80", 0);
    names_read(tcpx__resolution_names(r, AF_INET), 0, "192.0.2.1:80");
    tcpx__resolve_abandon(r);
    r = start_resolving("localhost:80", 0);
    names_read(tcpx__resolution_names(r, AF_INET), 0, "127.0.0.1:80");
    tcpx__resolve_abandon(r);

    /* Whoever waits for a name ends at his own deadline. */
    deadline = tcpx_after(30 * TCPX_MSEC);
    r = start_resolving("other.example:80", AF_INET);
    do {
        ck_assert_ptr_null(tcpx__resolution_names(r, AF_INET));
    } while (tcpx__world()->park(deadline) == 0);
    ck_assert_int_ge(tcpx_now(), deadline);
    tcpx__resolve_abandon(r);

    for (int i = 0; i < 100; i++)
        tcpx__resolve_abandon(stuck[i]);
    ck_assert_int_eq(fake.entered, HELPERS);

    /* What nobody waits for any more was taken out of the queue. */
    open_gate();
    r = start_resolving("h:80", 0);
    ck_fails(await_names(r, AF_INET)->err, TCPX_ERESOLVE);
    ck_fails(await_names(r, AF_INET6)->err, TCPX_ERESOLVE);
    tcpx__resolve_abandon(r);
    ck_assert_int_eq(fake.entered, HELPERS + 2);
    ck_assert_int_eq(fake.most, HELPERS);
}
END_TEST

START_TEST(names_that_queue_are_served_when_a_helper_comes_back)
{
    struct tcpx__resolution *r[10];

    shut_gate();
    for (int i = 0; i < 10; i++)
        r[i] = start_resolving("h:80", 0);
    wait_inside(HELPERS);
    tcpx__resolve_abandon(r[4]); /* out of the middle of the queue */
    tcpx__resolve_abandon(r[9]); /* and from its end */
    open_gate();
    for (int i = 0; i < 9; i++) {
        if (i == 4)
            continue;
        ck_fails(await_names(r[i], AF_INET)->err, TCPX_ERESOLVE);
        ck_fails(await_names(r[i], AF_INET6)->err, TCPX_ERESOLVE);
        tcpx__resolve_abandon(r[i]);
    }
    ck_assert_int_eq(fake.entered, 16);
}
END_TEST

START_TEST(without_a_thread_a_lookup_fails_at_once)
{
    struct tcpx__resolution *r;
    const struct tcpx__names *names;

    give(EAI_NONAME, 0);
    fake.thread_error = -EAGAIN;
    r = start_resolving("h:80", AF_INET);
    names = tcpx__resolution_names(r, AF_INET);
    ck_assert_ptr_nonnull(names);
    ck_fails(names->err, -EAGAIN);
    ck_assert_str_eq(names->detail, "no thread to look the name up");
    tcpx__resolve_abandon(r);

    fake.thread_error = 0;
    r = start_resolving("h:80", AF_INET);
    ck_fails(await_names(r, AF_INET)->err, TCPX_ERESOLVE);
    tcpx__resolve_abandon(r);
}
END_TEST

START_TEST(with_one_thread_and_no_more_names_take_turns)
{
    struct tcpx__resolution *a, *b;

    shut_gate();
    a = start_resolving("h:80", AF_INET);
    wait_inside(1);
    fake.thread_error = -EAGAIN;
    b = start_resolving("h:80", 0);
    ck_assert_ptr_null(tcpx__resolution_names(b, AF_INET));
    open_gate();
    ck_fails(await_names(a, AF_INET)->err, TCPX_ERESOLVE);
    ck_fails(await_names(b, AF_INET)->err, TCPX_ERESOLVE);
    ck_fails(await_names(b, AF_INET6)->err, TCPX_ERESOLVE);
    tcpx__resolve_abandon(a);
    tcpx__resolve_abandon(b);
    ck_assert_int_eq(fake.most, 1);
}
END_TEST

static void *resolve_often(void *arg)
{
    int n = *(int *)arg;

    for (int i = 0; i < n; i++) {
        struct tcpx__resolution *r = start_resolving("h:80", 0);

        if (i % 4 == 0)
            (void)await_names(r, AF_INET);
        tcpx__resolve_abandon(r);
    }
    return NULL;
}

START_TEST(many_threads_may_resolve_and_leave_at_once)
{
    pthread_t threads[4];
    int n = 500;

    give(EAI_NONAME, 0);
    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(resolve_often, &n);
    for (int i = 0; i < 4; i++)
        end_thread(threads[i]);
    ck_assert_int_le(fake.most, HELPERS);
}
END_TEST

/* ---- Ending and forking ------------------------------------------------ */

static void end_with_a_lookup_stuck(void *arg)
{
    struct tcpx__resolution *r;

    (void)arg;
    fake.parent = getpid();
    r = start_resolving("h:80", 0);
    wait_inside(2);
    tcpx__resolve_abandon(r);
    exit(0); /* LeakSanitizer, if there is one, speaks here */
}

START_TEST(a_program_ends_with_a_lookup_stuck)
{
    shut_gate();
    end_child(start_child(end_with_a_lookup_stuck, NULL));
}
END_TEST

static void resolve_in_child(void *arg)
{
    struct tcpx__resolution *r = start_resolving("h:80", 0);

    (void)arg;
    if (await_names(r, AF_INET)->err != TCPX_ERESOLVE ||
        await_names(r, AF_INET6)->err != TCPX_ERESOLVE)
        _exit(1);
    tcpx__resolve_abandon(r);
}

static _Atomic int stuck;

static void *get_stuck(void *arg)
{
    struct tcpx__resolution *r = start_resolving("h:80", 0);

    (void)arg;
    atomic_fetch_add(&stuck, 1); /* and allocates nothing any more */
    ck_fails(await_names(r, AF_INET)->err, TCPX_ERESOLVE);
    ck_fails(await_names(r, AF_INET6)->err, TCPX_ERESOLVE);
    tcpx__resolve_abandon(r);
    return NULL;
}

START_TEST(a_child_of_a_fork_amid_lookups_resolves)
{
    pthread_t threads[3];

    if (TEST_TSAN)
        skip_test("the thread sanitizer allows no threads after a fork");

    shut_gate();
    for (int i = 0; i < 3; i++)
        threads[i] = start_thread(get_stuck, NULL);
    wait_inside(HELPERS); /* and two are queued */
    while (atomic_load(&stuck) < 3)
        sched_yield();
    end_child(start_child(resolve_in_child, NULL));
    open_gate();
    for (int i = 0; i < 3; i++)
        end_thread(threads[i]);
}
END_TEST

static void lose_own_lookup(void *arg)
{
    struct tcpx__resolution *r = arg;
    const struct tcpx__names *names = tcpx__resolution_names(r, AF_INET);

    if (!names || names->err != TCPX_ERESOLVE ||
        strcmp(names->detail, "the process forked in the lookup") != 0)
        _exit(1);
    tcpx__resolve_abandon(r);
    resolve_in_child(NULL);
}

START_TEST(a_lookup_of_the_forking_task_fails_in_the_child_alone)
{
    struct tcpx__resolution *r;

    if (TEST_TSAN)
        skip_test("the thread sanitizer allows no threads after a fork");

    shut_gate();
    r = start_resolving("h:80", 0);
    wait_inside(2);
    end_child(start_child(lose_own_lookup, r));
    ck_assert_ptr_null(tcpx__resolution_names(r, AF_INET));
    open_gate();
    ck_assert_str_eq(await_names(r, AF_INET)->detail, "no such name");
    ck_assert_str_eq(await_names(r, AF_INET6)->detail, "no such name");
    tcpx__resolve_abandon(r);
}
END_TEST

START_TEST(forks_at_any_moment_leave_no_lock_behind)
{
    pthread_t threads[2];
    int n = 1500;

    if (TEST_TSAN || TEST_ASAN) /* whose allocator's lock may be held */
        skip_test("the sanitizer itself cannot fork at any moment");

    give(EAI_NONAME, 0);
    for (int i = 0; i < 2; i++)
        threads[i] = start_thread(resolve_often, &n);
    for (int i = 0; i < 25; i++)
        end_child(start_child(resolve_in_child, NULL));
    for (int i = 0; i < 2; i++)
        end_thread(threads[i]);
}
END_TEST

static void fill_codes(TCase *tc)
{
    tcase_add_loop_test(tc, the_codes_of_getaddrinfo_are_told_apart, 0,
                        sizeof(codes) / sizeof(codes[0]));
}

static void fill_threads(TCase *tc)
{
    tcase_add_test(tc, a_helper_has_all_signals_blocked);
    tcase_add_test(tc, helpers_end_when_there_is_nothing_to_look_up);
    tcase_add_test(tc,
                   two_hundred_stuck_lookups_hold_four_threads_and_no_one_else);
    tcase_add_test(tc, names_that_queue_are_served_when_a_helper_comes_back);
    tcase_add_test(tc, without_a_thread_a_lookup_fails_at_once);
    tcase_add_test(tc, with_one_thread_and_no_more_names_take_turns);
    tcase_add_test(tc, many_threads_may_resolve_and_leave_at_once);
}

static void fill_forks(TCase *tc)
{
    tcase_add_test(tc, a_program_ends_with_a_lookup_stuck);
    tcase_add_test(tc, a_child_of_a_fork_amid_lookups_resolves);
    tcase_add_test(tc, a_lookup_of_the_forking_task_fails_in_the_child_alone);
    tcase_add_test(tc, forks_at_any_moment_leave_no_lock_behind);
}

const struct test_case test_cases[] = {
    {"resolve", "getaddrinfo-codes", fill_codes},
    {"resolve", "helper-threads", fill_threads},
    {"resolve", "resolve-forks", fill_forks},
    {NULL, NULL, NULL},
};
