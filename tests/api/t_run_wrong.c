/* SPDX-License-Identifier: MIT */
/*
 * t_run_wrong.c - what a core does where things go wrong: forks, overflows,
 * refusals, cancels.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cores.h"
#include "pairs.h"

static int tell_engine(void *arg)
{
    (void)arg;
    return tcpx_task_engine(tcpx_task_self());
}

/* ---- what goes wrong ---- */

static int fork_and_wait(void *arg)
{
    pid_t child = fork();
    int status;

    (void)arg;
    if (child == 0)
        return tcpx_sleep(soon()); /* which is its parent's to wait for */
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(a_child_of_a_fiber_cannot_wait_in_its_parents_core)
{
    pid_t self = getpid();
    int result = 0;
    int err;

    need_engine(_i);
    if (TEST_TSAN)
        skip_test("the thread sanitizer knows no fibers in a child");
    err = tcpx_run(fork_and_wait, NULL, &result, TCPX_RUN(.engine = _i));
    if (getpid() != self)
        _exit(err == -ENOTSUP ? 42 : 1);
    ck_ok(err);
    ck_assert_int_eq(result, 42);
}
END_TEST

/* ---- what others hold ---- */

static void read_one(void *arg)
{
    char byte;

    ck_fails(tcpx_read(arg, &byte, 1, soon()), TCPX_ECANCELED);
}

static void accept_one(void *arg)
{
    tcpx_conn *c;

    ck_fails(tcpx_accept(&c, arg, soon()), TCPX_ECANCELED);
}

/* One that is canceled cannot park, and must let the other leave first. */
static int close_while_canceled(void *arg)
{
    tcpx_listener *l;
    struct pair p = pair_open(PAIR_SOLE);

    (void)arg;
    ck_ok(tcpx_listen(&l, "127.0.0.1:0", NULL));
    spawn(read_one, p.a);
    spawn(read_one, p.b);
    spawn(accept_one, l);
    ck_ok(tcpx_sleep(tcpx_after(TCPX_MSEC)));
    tcpx_task_cancel(tcpx_task_self());
    ck_fails(tcpx_close(p.a, soon()), TCPX_ECANCELED);
    tcpx_abort(p.b);
    tcpx_listener_close(l);
    ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
    return 0;
}

START_TEST(a_canceled_fiber_closes_what_others_wait_for)
{
    need_engine(_i);
    run(_i, close_while_canceled, NULL);
}
END_TEST

static void read_own(void *arg)
{
    char buf[8] = "";

    ck_assert_int_eq(tcpx_read(arg, buf, sizeof(buf), soon()), 5);
    ck_assert_str_eq(buf, "mine!");
}

static int read_in_child(void *arg)
{
    struct pair p = pair_open(PAIR_SOLE);
    struct pair q = pair_open(PAIR_SOLE);
    char buf[8];
    tcpx_task *t;
    int status;

    (void)arg;
    ck_ok(tcpx_task_spawn(&t, read_own, p.a, NULL));
    ck_ok(tcpx_sleep(tcpx_after(TCPX_MSEC)));
    pid_t child = fork();

    if (child == 0) {
        ssize_t n = tcpx_read(q.a, buf, sizeof(buf), soon());

        _exit(n == -ENOTSUP ? 42 : 1);
    }
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 42);
    ck_ok(tcpx_writen(p.b, "mine!", 5, NULL, soon()));
    ck_ok(tcpx_task_join(t, soon()));
    pair_end(&p);
    pair_end(&q);
    return 0;
}

START_TEST(a_child_takes_nothing_from_its_parents_core)
{
    need_engine(_i);
    if (TEST_TSAN)
        skip_test("the thread sanitizer knows no fibers in a child");
    run(_i, read_in_child, NULL);
}
END_TEST

static int use_up(void *arg)
{
    volatile char more[4096];

    more[0] = *(char *)arg;
    more[4095] = more[0];
    if (more[0] == 2)
        return 0;
    return use_up((void *)(uintptr_t)more) + more[4095];
}

static void overflow(void *arg)
{
    char first = 1;

    tcpx_run(use_up, &first, NULL, TCPX_RUN(.engine = *(int *)arg));
}

START_TEST(a_stack_that_is_too_small_faults_at_its_guard)
{
    int engine = _i;
    int status;

    need_engine(_i);
    if (TEST_ASAN || TEST_TSAN || on_valgrind())
        skip_test("what watches memory meets the overflow first");
    status = child_status(start_child(overflow, &engine));
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGSEGV);
}
END_TEST

/* As containers do. */
static void refuse_uring(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

START_TEST(where_io_uring_is_refused_it_is_epoll)
{
    int result = 0;

    refuse_uring();
    for (int i = 0; i < 2; i++) {
        ck_ok(tcpx_run(tell_engine, NULL, &result, NULL));
        ck_assert_int_eq(result, TCPX_ENGINE_EPOLL);
        ck_fails(tcpx_run(tell_engine, NULL, &result,
                          TCPX_RUN(.engine = TCPX_ENGINE_URING)),
                 -ENOTSUP);
    }
}
END_TEST

static void fill_wrong(TCase *tc)
{
    tcase_add_loop_test(tc, a_child_of_a_fiber_cannot_wait_in_its_parents_core,
                        TCPX_ENGINE_EPOLL, TCPX_ENGINE_URING + 1);
    tcase_add_loop_test(tc, a_stack_that_is_too_small_faults_at_its_guard,
                        TCPX_ENGINE_EPOLL, TCPX_ENGINE_URING + 1);
    tcase_add_loop_test(tc, a_canceled_fiber_closes_what_others_wait_for,
                        TCPX_ENGINE_EPOLL, TCPX_ENGINE_URING + 1);
    tcase_add_loop_test(tc, a_child_takes_nothing_from_its_parents_core,
                        TCPX_ENGINE_EPOLL, TCPX_ENGINE_URING + 1);
    tcase_add_test(tc, where_io_uring_is_refused_it_is_epoll);
}

const struct test_case test_cases[] = {
    {"run", "wrong", fill_wrong},
    {NULL, NULL, NULL},
};
