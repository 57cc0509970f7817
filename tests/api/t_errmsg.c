/* SPDX-License-Identifier: MIT */
/*
 * t_errmsg.c - the calling task's last failure as a sentence.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

static void *ask_without_failure(void *arg)
{
    (void)arg;
    ck_assert_str_eq(tcpx_errmsg(), "");
    ck_ok(tcpx_sleep(TCPX_NOW));
    ck_assert_str_eq(tcpx_errmsg(), "");
    return NULL;
}

START_TEST(without_a_failure_there_is_nothing_to_say)
{
    char buf[1];

    /* Each task has its own. */
    ck_fails(tcpx_read(NULL, buf, 1, TCPX_NOW), -EINVAL);
    end_thread(start_thread(ask_without_failure, NULL));
    ck_assert_str_eq(tcpx_errmsg(), "read: invalid argument");
}
END_TEST

START_TEST(a_failure_names_the_call_the_peer_and_the_reason)
{
    char expected[160];
    char buf[8];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_fails(tcpx_read(c, buf, 8, TCPX_NOW), TCPX_EDEADLINE);
    snprintf(expected, sizeof(expected), "read %s: the deadline passed",
             tcpx_conn_peer(c));
    ck_assert_str_eq(tcpx_errmsg(), expected);
    raw_send(peer, "abc", 3);
    close(peer);
    ck_fails(tcpx_readn(c, buf, 8, NULL, soon()), TCPX_ETRUNC);
    snprintf(expected, sizeof(expected), "readn %s: %s", tcpx_conn_peer(c),
             tcpx_strerror(TCPX_ETRUNC));
    ck_assert_str_eq(tcpx_errmsg(), expected);
    tcpx_abort(c);
    /* It does not need the handle. */
    ck_assert_str_eq(tcpx_errmsg(), expected);
    ck_assert_str_eq(tcpx_errmsg(), expected);
}
END_TEST

START_TEST(a_socket_without_a_name_reads_well_too)
{
    tcpx_conn *pair[2];
    char buf[1];

    ck_ok(tcpx_conn_pair(pair));
    ck_fails(tcpx_read(pair[0], buf, 1, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_str_eq(tcpx_errmsg(), "read unix: the deadline passed");
    ck_assert_str_eq(tcpx_conn_peer(pair[0]), "unix:");
    ck_fails(tcpx_read(pair[0], buf, 1, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_str_eq(tcpx_errmsg(), "read unix: the deadline passed");
    tcpx_abort(pair[0]);
    tcpx_abort(pair[1]);
}
END_TEST

START_TEST(a_success_leaves_it_and_the_next_failure_replaces_it)
{
    char first[160];
    char buf[8];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_fails(tcpx_peek(c, buf, 8, TCPX_NOW), TCPX_EDEADLINE);
    snprintf(first, sizeof(first), "%s", tcpx_errmsg());
    ck_ok(tcpx_writen(c, "fine", 4, NULL, soon()));
    ck_ok(tcpx_half_close(c));
    ck_assert_str_eq(tcpx_errmsg(), first);
    ck_fails(tcpx_write(c, "x", 1, soon()), -EPIPE);
    ck_assert_str_ne(tcpx_errmsg(), first);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), tcpx_conn_peer(c)));
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(each_ending_says_what_happened)
{
    char buf[8];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_reset(peer);
    await_failure(tcpx_conn_fd(c));
    ck_fails(tcpx_read(c, buf, 8, soon()), -ECONNRESET);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), tcpx_strerror(-ECONNRESET)));
    ck_fails(tcpx_close(c, soon()), -ECONNRESET);
    ck_assert_mem_eq(tcpx_errmsg(), "close 127.0.0.1:", 16);

    c = conn_open(_i, &peer);
    tcpx_cancel(c);
    ck_fails(tcpx_close(c, soon()), TCPX_ECANCELED);
    ck_assert_mem_eq(tcpx_errmsg(), "close 127.0.0.1:", 16);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), "canceled"));
    close(peer);
}
END_TEST

START_TEST(an_ipv6_peer_is_shown_in_brackets)
{
    tcpx_listener *l = NULL;
    tcpx_conn *c = NULL;
    char expected[160];
    char buf[1];

    if (tcpx_listen(&l, "[::1]:0", NULL) < 0)
        skip_test("no IPv6 here: %s", tcpx_errmsg());
    ck_ok(tcpx_connect(&c, tcpx_listener_address(l), NULL, soon()));
    ck_fails(tcpx_read(c, buf, 1, TCPX_NOW), TCPX_EDEADLINE);
    snprintf(expected, sizeof(expected), "read %s: the deadline passed",
             tcpx_listener_address(l));
    ck_assert_str_eq(tcpx_errmsg(), expected);
    tcpx_abort(c);
    tcpx_listener_close(l);
}
END_TEST

static void *fail_often(void *arg)
{
    tcpx_conn *c = arg;
    char buf[1];

    for (int i = 0; i < 1000; i++) {
        ck_assert_int_lt(tcpx_write(c, buf, 1, TCPX_NOW), 0);
        ck_assert_mem_eq(tcpx_errmsg(), "write ", 6);
    }
    return NULL;
}

START_TEST(tasks_that_fail_at_once_do_not_mix)
{
    pthread_t thread;
    char buf[1];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_ok(tcpx_half_close(c));
    thread = start_thread(fail_often, c);
    for (int i = 0; i < 1000; i++) {
        ck_fails(tcpx_read(c, buf, 1, TCPX_NOW), TCPX_EDEADLINE);
        ck_assert_mem_eq(tcpx_errmsg(), "read ", 5);
    }
    end_thread(thread);
    tcpx_abort(c);
    close(peer);
}
END_TEST

static void fill_errmsg(TCase *tc)
{
    tcase_add_test(tc, without_a_failure_there_is_nothing_to_say);
    tcase_add_loop_test(tc, a_failure_names_the_call_the_peer_and_the_reason,
                        PAIR_SHARED, PAIRS);
    tcase_add_test(tc, a_socket_without_a_name_reads_well_too);
    tcase_add_loop_test(tc,
                        a_success_leaves_it_and_the_next_failure_replaces_it,
                        PAIR_SHARED, PAIRS);
    tcase_add_loop_test(tc, each_ending_says_what_happened, PAIR_SHARED, PAIRS);
    tcase_add_test(tc, an_ipv6_peer_is_shown_in_brackets);
    tcase_add_loop_test(tc, tasks_that_fail_at_once_do_not_mix, 0, PAIRS);
}

const struct test_case test_cases[] = {
    {"errmsg", "errmsg", fill_errmsg},
    {NULL, NULL, NULL},
};
