/* SPDX-License-Identifier: MIT */
/*
 * t_resolve_fork.c - a fork while another thread connects to a numeric address.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include "net/resolve.h"
#include "runner.h"
#include "support.h"
#include "unit/resolving.h"

/* Whether a thread of this process sleeps, and goes on doing so. */
static int sleeps(pid_t thread)
{
    char path[64];
    char state = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)thread);
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%*d (%*[^)]) %c", &state), 1);
    (void)fclose(file);
    return state == 'S';
}

static struct {
    pid_t main_thread;
    _Atomic int held;
    _Atomic int forking;
    _Atomic int forked;
} numeric;

/* Gives up a numeric resolution, as every connect does at its end; stopped in
   the middle of it, with the lock. */
static void *hold_the_lock(void *arg)
{
    tcpx__resolve_abandon(start_resolving("127.0.0.1:80", 0));
    pthread_mutex_lock(&tcpx__lookups);
    atomic_store(&numeric.held, 1);
    while (!atomic_load(&numeric.forked) &&
           !(atomic_load(&numeric.forking) && sleeps(numeric.main_thread)))
        sched_yield();
    pthread_mutex_unlock(&tcpx__lookups);
    return arg;
}

static void resolve_numeric_in_child(void *arg)
{
    (void)arg;
    tcpx__resolve_abandon(start_resolving("127.0.0.1:80", 0));
}

START_TEST(a_fork_amid_a_numeric_connect_leaves_no_lock_behind)
{
    pthread_t thread;
    pid_t child;

    numeric.main_thread = getpid();
    thread = start_thread(hold_the_lock, NULL);
    while (!atomic_load(&numeric.held))
        sched_yield();
    atomic_store(&numeric.forking, 1);
    child = start_child(resolve_numeric_in_child, NULL);
    atomic_store(&numeric.forked, 1);
    end_thread(thread);
    end_child(child);
}
END_TEST

static void fill_fork(TCase *tc)
{
    tcase_add_test(tc, a_fork_amid_a_numeric_connect_leaves_no_lock_behind);
}

const struct test_case test_cases[] = {
    {"resolve-fork", "numeric", fill_fork},
    {NULL, NULL, NULL},
};
