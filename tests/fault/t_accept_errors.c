/* SPDX-License-Identifier: MIT */
/*
 * t_accept_errors.c - what accept(2) can say, and what a listener makes of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "faults.h"
#include "listening.h"
#include "net/listener.h"
#include "runner.h"
#include "support.h"

/* Errors of a client that has gone: accept(2), "Error handling", and EPERM. */
static const int of_a_client[] = {
    ECONNABORTED, EPROTO,       EINTR,      ENETDOWN,    ENOPROTOOPT, EHOSTDOWN,
    ENONET,       EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, EPERM};
#define OF_A_CLIENT ((int)(sizeof(of_a_client) / sizeof(of_a_client[0])))

static const int shortages[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
#define SHORTAGES ((int)(sizeof(shortages) / sizeof(shortages[0])))

static const int fatal[] = {EBADF, EINVAL, ENOTSOCK, EFAULT};
#define FATAL ((int)(sizeof(fatal) / sizeof(fatal[0])))

static tcpx_listener *l;

static void make_listener(void)
{
    l = listen_on("127.0.0.1:0", NULL);
}

static void close_listener(void)
{
    fail_none();
    tcpx_listener_close(l);
}

static int new_client(void)
{
    return raw_connect(tcpx_listener_address(l));
}

START_TEST(an_error_of_a_client_that_has_gone_is_retried)
{
    int client = new_client();

    fail_calls(TCPX__SYS_accept4, 1, 5, -of_a_client[_i]);
    tcpx_abort(accept_on(l));
    ck_assert_int_eq(fail_none(), 6);
    close(client);
}
END_TEST

START_TEST(clients_that_have_gone_hide_nobody_even_with_now)
{
    int client = new_client();
    tcpx_conn *c = NULL;

    fail_calls(TCPX__SYS_accept4, 1, 20, -of_a_client[_i]);
    ck_ok(tcpx_accept(&c, l, TCPX_NOW));
    tcpx_abort(c);
    close(client);
}
END_TEST

START_TEST(errors_of_clients_without_end_end_at_the_deadline)
{
    tcpx_time deadline = tcpx_after(20 * TCPX_MSEC);
    tcpx_conn *c = NULL;

    fail_calls(TCPX__SYS_accept4, 1, INT32_MAX, -ECONNABORTED);
    ck_fails(tcpx_accept(&c, l, deadline), TCPX_EDEADLINE);
    ck_assert(tcpx_now() >= deadline);
    ck_fails(tcpx_accept(&c, l, TCPX_NOW), TCPX_EDEADLINE);
}
END_TEST

/* A firewall's EPERM about one client looks like that of a security module
   about all of them, which lasts. */
START_TEST(errors_of_clients_that_last_do_not_spin)
{
    tcpx_time began = tcpx_now();
    tcpx_conn *c = NULL;
    int client = new_client();
    int pauses;

    fail_calls(TCPX__SYS_accept4, 1, INT32_MAX, -EPERM);
    ck_fails(tcpx_accept(&c, l, tcpx_after(100 * TCPX_MSEC)), TCPX_EDEADLINE);
    pauses = (int)((tcpx_now() - began) / (10 * TCPX_MSEC));
    ck_assert_int_gt(calls_seen(), 64); /* it looks again after a pause */
    ck_assert_int_le(calls_seen(), 64 * (pauses + 1));
    fail_none();
    ck_ok(tcpx_accept(&c, l, TCPX_NOW));
    tcpx_abort(c);
    close(client);
}
END_TEST

START_TEST(a_shortage_is_told_and_the_client_stays_queued)
{
    int client = new_client();
    tcpx_conn *c = NULL;

    fail_calls(TCPX__SYS_accept4, 1, 2, -shortages[_i]);
    ck_fails(tcpx_accept(&c, l, soon()), -shortages[_i]);
    ck_says(tcpx_listener_address(l));
    ck_assert_ptr_null(c);
    fail_none();
    ck_ok(tcpx_accept(&c, l, TCPX_NOW));
    tcpx_abort(c);
    close(client);
}
END_TEST

START_TEST(a_shortage_that_keeps_nobody_out_is_no_failure)
{
    tcpx_conn *c = NULL;

    fail_calls(TCPX__SYS_accept4, 1, INT32_MAX, -shortages[_i]);
    ck_fails(tcpx_accept(&c, l, TCPX_NOW), TCPX_EDEADLINE);
    ck_fails(tcpx_accept(&c, l, tcpx_after(20 * TCPX_MSEC)), TCPX_EDEADLINE);
    ck_assert_int_le(calls_seen(), 2); /* it does not spin meanwhile */
    tcpx_listener_cancel(l);
    ck_fails(tcpx_accept(&c, l, soon()), TCPX_ECANCELED);
}
END_TEST

START_TEST(a_shortage_that_is_over_when_the_client_comes_is_no_failure)
{
    int client = new_client();

    fail_calls(TCPX__SYS_accept4, 1, 1, -shortages[_i]);
    tcpx_abort(accept_on(l));
    close(client);
}
END_TEST

START_TEST(an_error_of_the_listener_itself_ends_accept_at_once)
{
    int client = new_client();
    tcpx_conn *c = NULL;

    fail_calls(TCPX__SYS_accept4, 1, INT32_MAX, -fatal[_i]);
    ck_fails(tcpx_accept(&c, l, soon()), -fatal[_i]);
    ck_assert_int_eq(fail_none(), 1);
    close(client);
}
END_TEST

START_TEST(without_memory_for_the_connection_the_client_stays_queued)
{
    int client = new_client();
    tcpx_conn *c = NULL;

    fail_calls(TCPX__SYS_malloc, 1, INT32_MAX, -ENOMEM);
    ck_fails(tcpx_accept(&c, l, soon()), -ENOMEM);
    ck_assert_ptr_null(c);
    fail_none();
    ck_ok(tcpx_accept(&c, l, TCPX_NOW));
    tcpx_abort(c);
    close(client);
}
END_TEST

/* Uses up every descriptor but `left`; returns how many it made. */
static int use_up(int *fds, int most, int left)
{
    int n = 0;

    while (n < most && (fds[n] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0)
        n++;
    ck_assert_int_lt(n, most);
    while (left-- > 0)
        close(fds[--n]);
    return n;
}

START_TEST(a_real_descriptor_limit_keeps_the_client_queued)
{
    struct rlimit old;
    struct rlimit low;
    static int fds[256];
    tcpx_conn *c = NULL;
    int client;
    int n;

    /* The eventfd of this task's waits is made while there is room. */
    ck_fails(tcpx_accept(&c, l, tcpx_after(TCPX_MSEC)), TCPX_EDEADLINE);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = (struct rlimit){.rlim_cur = 128, .rlim_max = old.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    n = use_up(fds, 256, 0);
    ck_fails(tcpx_accept(&c, l, tcpx_after(20 * TCPX_MSEC)), TCPX_EDEADLINE);
    close(fds[--n]);
    client = new_client();
    ck_fails(tcpx_accept(&c, l, soon()), -EMFILE);
    ck_fails(tcpx_accept(&c, l, TCPX_NOW), -EMFILE);
    close(fds[--n]);
    ck_ok(tcpx_accept(&c, l, TCPX_NOW));
    tcpx_abort(c);
    close(client);
    while (n > 0)
        close(fds[--n]);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
}
END_TEST

START_TEST(without_a_descriptor_to_be_woken_by_a_wait_ends_all_the_same)
{
    tcpx_conn *c = NULL;

    fail_calls(TCPX__SYS_eventfd, 1, INT32_MAX, -EMFILE);
    ck_fails(tcpx_accept(&c, l, tcpx_after(30 * TCPX_MSEC)), TCPX_EDEADLINE);
    ck_assert_int_ge(calls_seen(), 1);
}
END_TEST

static void *accept_blindly(void *unused)
{
    tcpx_conn *c = NULL;

    (void)unused;
    fail_calls(TCPX__SYS_eventfd, 1, INT32_MAX, -EMFILE);
    ck_fails(tcpx_accept(&c, l, soon()), TCPX_ECANCELED);
    return NULL;
}

START_TEST(without_a_descriptor_to_be_woken_by_cancel_is_found_all_the_same)
{
    pthread_t thread = start_thread(accept_blindly, NULL);

    tcpx_listener_cancel(l);
    end_thread(thread);
}
END_TEST

static int other_fd;

/* Another process that holds the listener is faster. */
static void take_client(void)
{
    int fd = accept4(other_fd, NULL, NULL, SOCK_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    close(fd);
}

START_TEST(a_client_that_another_process_took_is_no_error_and_blocks_nobody)
{
    int client = new_client();
    struct pollfd item = {.fd = tcpx_listener_fd(l), .events = POLLIN};
    tcpx_conn *c = NULL;

    other_fd = fcntl(tcpx_listener_fd(l), F_DUPFD_CLOEXEC, 0);
    ck_assert_int_eq(poll(&item, 1, -1), 1);
    before_call(TCPX__SYS_accept4, 1, take_client);
    ck_fails(tcpx_accept(&c, l, TCPX_NOW), TCPX_EDEADLINE);
    close(client);
    client = new_client();
    before_call(TCPX__SYS_accept4, 1, take_client);
    ck_fails(tcpx_accept(&c, l, tcpx_after(20 * TCPX_MSEC)), TCPX_EDEADLINE);
    close(client);
    close(other_fd);
}
END_TEST

static void fill_errors(TCase *tc)
{
    tcase_add_checked_fixture(tc, make_listener, close_listener);
    tcase_add_loop_test(tc, an_error_of_a_client_that_has_gone_is_retried, 0,
                        OF_A_CLIENT);
    tcase_add_loop_test(tc, clients_that_have_gone_hide_nobody_even_with_now, 0,
                        OF_A_CLIENT);
    tcase_add_test(tc, errors_of_clients_without_end_end_at_the_deadline);
    tcase_add_test(tc, errors_of_clients_that_last_do_not_spin);
    tcase_add_loop_test(tc, an_error_of_the_listener_itself_ends_accept_at_once,
                        0, FATAL);
    tcase_add_test(
        tc, a_client_that_another_process_took_is_no_error_and_blocks_nobody);
}

static void fill_shortage(TCase *tc)
{
    tcase_add_checked_fixture(tc, make_listener, close_listener);
    tcase_add_loop_test(tc, a_shortage_is_told_and_the_client_stays_queued, 0,
                        SHORTAGES);
    tcase_add_loop_test(tc, a_shortage_that_keeps_nobody_out_is_no_failure, 0,
                        SHORTAGES);
    tcase_add_loop_test(
        tc, a_shortage_that_is_over_when_the_client_comes_is_no_failure, 0,
        SHORTAGES);
    tcase_add_test(tc,
                   without_memory_for_the_connection_the_client_stays_queued);
    tcase_add_test(tc, a_real_descriptor_limit_keeps_the_client_queued);
    tcase_add_test(
        tc, without_a_descriptor_to_be_woken_by_a_wait_ends_all_the_same);
    tcase_add_test(
        tc, without_a_descriptor_to_be_woken_by_cancel_is_found_all_the_same);
}

const struct test_case test_cases[] = {
    {"accept", "errors", fill_errors},
    {"accept", "shortage", fill_shortage},
    {NULL, NULL, NULL},
};
