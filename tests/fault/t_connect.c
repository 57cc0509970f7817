/* SPDX-License-Identifier: MIT */
/*
 * t_connect.c - connects in which one system call or allocation fails.
 *
 * Each of them, in turn: the connect then succeeds all the same, or it fails
 * with that error or one that follows from it; the runner sees descriptors that
 * are left behind, a sanitizer memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "faults.h"
#include "peers.h"
#include "runner.h"
#include "support.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char address[64];
static int listener;

/* Takes whoever came, so that the queue never fills. */
static void empty_queue(int fd)
{
    for (;;) {
        int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (client < 0)
            return;
        close(client);
    }
}

static int connect_once(const char *to, const tcpx_connect_opts *opts)
{
    tcpx_connect_report *report = NULL;
    tcpx_connect_opts with_report = *opts;
    tcpx_conn *c = NULL;
    int err;

    with_report.report = &report;
    err = tcpx_connect(&c, to, &with_report, soon());
    fail_none();
    ck_assert_int_eq(c != NULL, err == 0);
    if (err)
        ck_assert_int_gt((int)strlen(tcpx_errmsg()), 0);
    tcpx_connect_report_free(report);
    tcpx_abort(c);
    empty_queue(listener);
    return err;
}

/* Lets each of the calls of one name fail once; gives their number. */
static int each_fails(const char *to, const tcpx_connect_opts *opts,
                      enum tcpx__sys_call call, int err)
{
    for (int n = 1;; n++) {
        int rc;

        ck_assert_int_lt(n, 300);
        fail_calls(call, n, 1, err);
        rc = connect_once(to, opts);
        if (calls_seen() < n) {
            ck_ok(rc);
            return n - 1;
        }
        if (rc && rc != err)
            ck_assert_msg(rc == -ENOMEM || rc == -ECONNREFUSED ||
                              rc == TCPX_ERESOLVE,
                          "call %d, %s made it %s", n, tcpx_errname(err),
                          tcpx_errname(rc));
    }
}

static void listen_nonblocking(void)
{
    /* Without a task there is nobody to keep a message for. */
    ck_assert_ptr_nonnull(tcpx_task_self());
    listener = raw_listen(address, sizeof(address));
    ck_assert_int_eq(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
}

static void close_listener(void)
{
    fail_none();
    close(listener);
}

static const enum tcpx__sys_call calls[] = {
    TCPX__SYS_malloc,     TCPX__SYS_realloc,     TCPX__SYS_socket,
    TCPX__SYS_bind,       TCPX__SYS_connect,     TCPX__SYS_getsockopt,
    TCPX__SYS_setsockopt, TCPX__SYS_getsockname, TCPX__SYS_getpeername,
    TCPX__SYS_fcntl,      TCPX__SYS_ppoll,       TCPX__SYS_eventfd};

static const int errors[] = {-ENOMEM, -ENOBUFS, -EMFILE, -EPERM, -EINVAL};

static void *connect_without_memory(void *arg)
{
    tcpx_conn *c = NULL;

    (void)arg;
    fail_calls(TCPX__SYS_malloc, 1, 1000, -ENOMEM);
    ck_fails(tcpx_connect(&c, address, NULL, soon()), -ENOMEM);
    fail_none();
    return NULL;
}

START_TEST(a_thread_that_has_no_memory_for_its_task_is_told)
{
    end_thread(start_thread(connect_without_memory, NULL));
}
END_TEST

START_TEST(whichever_call_fails_a_numeric_connect_leaves_nothing_behind)
{
    const tcpx_connect_opts *opts =
        TCPX_CONNECT(.bind = "127.0.0.1", .mptcp = 1, .fastopen = 1,
                     .send_buffer = 9000);
    int failed = 0;

    for (size_t i = 0; i < COUNT(calls); i++)
        failed += each_fails(address, opts, calls[i], errors[_i]);
    ck_assert_int_gt(failed, 20);
}
END_TEST

START_TEST(whichever_call_fails_a_race_leaves_nothing_behind)
{
    char name[64];

    snprintf(name, sizeof(name), "localhost%s", strchr(address, ':'));
    for (size_t i = 0; i < COUNT(calls); i++)
        each_fails(name, TCPX_CONNECT(.nagle = 0), calls[i], errors[_i]);
}
END_TEST

START_TEST(whichever_call_fails_a_started_connect_leaves_nothing_behind)
{
    for (size_t i = 0; i < COUNT(calls); i++)
        each_fails(address, TCPX_CONNECT(.start_only = 1), calls[i],
                   errors[_i]);
}
END_TEST

START_TEST(whichever_call_fails_a_unix_connect_leaves_nothing_behind)
{
    close(listener);
    listener = unix_listen("@tcpx-faults", 64);
    ck_assert_int_eq(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    for (size_t i = 0; i < COUNT(calls); i++)
        each_fails("unix:@tcpx-faults", TCPX_CONNECT(.nagle = 0), calls[i],
                   errors[_i]);
}
END_TEST

static void fill_faults(TCase *tc)
{
    tcase_add_checked_fixture(tc, listen_nonblocking, close_listener);
    tcase_add_test(tc, a_thread_that_has_no_memory_for_its_task_is_told);
    tcase_add_loop_test(
        tc, whichever_call_fails_a_numeric_connect_leaves_nothing_behind, 0,
        COUNT(errors));
    tcase_add_loop_test(tc, whichever_call_fails_a_race_leaves_nothing_behind,
                        0, COUNT(errors));
    tcase_add_loop_test(
        tc, whichever_call_fails_a_started_connect_leaves_nothing_behind, 0,
        COUNT(errors));
    tcase_add_loop_test(
        tc, whichever_call_fails_a_unix_connect_leaves_nothing_behind, 0,
        COUNT(errors));
}

const struct test_case test_cases[] = {
    {"connect_faults", "faults", fill_faults},
    {NULL, NULL, NULL},
};
