/* SPDX-License-Identifier: MIT */
/*
 * t_connect_start.c - connects that are only started.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <time.h>
#include <unistd.h>
#include "peers.h"
#include "runner.h"
#include "support.h"

#define START TCPX_CONNECT(.start_only = 1)

static tcpx_conn *c;
static char address[64];

START_TEST(it_returns_at_once_and_the_first_write_waits)
{
    struct full f = full_open(address, sizeof(address));
    tcpx_time since = tcpx_now();

    ck_ok(tcpx_connect(&c, address, START, TCPX_NOW));
    ck_assert_int_lt(elapsed_ms(since), 900);
    ck_assert_int_eq(tcpx_conn_state(c), TCPX_STATE_CONNECTING);
    ck_fails(tcpx_write(c, "x", 1, TCPX_NOW), TCPX_EDEADLINE);
    ck_fails(tcpx_write(c, "x", 1, tcpx_after(50 * TCPX_MSEC)), TCPX_EDEADLINE);
    ck_assert_int_eq(tcpx_conn_state(c), TCPX_STATE_CONNECTING);

    full_make_room(&f);
    ck_assert_int_eq((int)tcpx_write(c, "x", 1, soon()), 1);
    ck_assert_int_eq(tcpx_conn_state(c), 0);
    tcpx_abort(c);
    full_end(&f);
}
END_TEST

START_TEST(once_it_stands_it_is_like_any_connection)
{
    int listener = raw_listen(address, sizeof(address));
    int peer;
    char byte;

    ck_ok(tcpx_connect(&c, address, START, soon()));
    peer = raw_accept(listener);
    raw_send(peer, "a", 1);
    ck_assert_int_eq((int)tcpx_read(c, &byte, 1, soon()), 1);
    ck_assert_int_eq(fcntl(tcpx_conn_fd(c), F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(option_of(c, IPPROTO_TCP, TCP_NODELAY), 1);
    ck_assert_int_eq(option_of(c, SOL_SOCKET, SO_KEEPALIVE), 1);
    ck_assert_str_eq(tcpx_conn_peer(c), address);
    check_works(c, peer);
    close(listener);
}
END_TEST

START_TEST(a_refusal_is_told_by_every_call_and_again)
{
    int held = dead_port(address, sizeof(address));
    char byte;

    for (int first = 0; first < 2; first++) {
        ck_ok(tcpx_connect(&c, address, START, soon()));
        if (first == 0)
            ck_fails(tcpx_read(c, &byte, 1, soon()), -ECONNREFUSED);
        ck_fails(tcpx_write(c, "x", 1, soon()), -ECONNREFUSED);
        ck_fails(tcpx_read(c, &byte, 1, soon()), -ECONNREFUSED);
        ck_says(address);
        ck_assert_int_eq(tcpx_conn_state(c), TCPX_STATE_FAILED);
        ck_fails(tcpx_close(c, soon()), -ECONNREFUSED);
    }
    close(held);
}
END_TEST

START_TEST(close_before_the_outcome_waits_for_it)
{
    int held = dead_port(address, sizeof(address));
    struct full f;

    ck_ok(tcpx_connect(&c, address, START, soon()));
    ck_fails(tcpx_close(c, soon()), -ECONNREFUSED);
    close(held);

    f = full_open(address, sizeof(address));
    ck_ok(tcpx_connect(&c, address, START, soon()));
    ck_fails(tcpx_close(c, tcpx_after(50 * TCPX_MSEC)), TCPX_EDEADLINE);
    ck_ok(tcpx_connect(&c, address, START, soon()));
    tcpx_abort(c);
    full_end(&f);
}
END_TEST

START_TEST(a_wait_tells_when_it_is_over)
{
    struct full f = full_open(address, sizeof(address));
    tcpx_waitfor item;

    ck_ok(tcpx_connect(&c, address, START, soon()));
    item = (tcpx_waitfor)TCPX_ON_CONN(c, TCPX_WRITABLE);
    ck_fails(tcpx_wait(&item, 1, tcpx_after(50 * TCPX_MSEC)), TCPX_EDEADLINE);
    full_make_room(&f);
    ck_assert_int_eq(tcpx_wait(&item, 1, soon()), 1);
    ck_assert_uint_eq(item.got, TCPX_WRITABLE);
    check_works(c, raw_accept(f.listener));
    full_end(&f);

    int held = dead_port(address, sizeof(address));

    ck_ok(tcpx_connect(&c, address, START, soon()));
    item = (tcpx_waitfor)TCPX_ON_CONN(c, TCPX_READABLE);
    ck_assert_int_eq(tcpx_wait(&item, 1, soon()), 1);
    ck_fails(tcpx_write(c, "x", 1, TCPX_NOW), -ECONNREFUSED);
    tcpx_abort(c);
    close(held);
}
END_TEST

START_TEST(a_cancel_ends_the_wait_for_the_outcome)
{
    struct full f = full_open(address, sizeof(address));
    char byte;

    ck_ok(tcpx_connect(&c, address, START, soon()));
    tcpx_cancel(c);
    ck_fails(tcpx_read(c, &byte, 1, soon()), TCPX_ECANCELED);
    ck_fails(tcpx_write(c, "x", 1, soon()), TCPX_ECANCELED);
    tcpx_abort(c);
    full_end(&f);
}
END_TEST

/* ---- Two at a time ------------------------------------------------------- */

static int read_result;

static void *read_one(void *arg)
{
    char byte;

    (void)arg;
    read_result = (int)tcpx_read(c, &byte, 1, soon());
    return NULL;
}

START_TEST(a_reader_and_a_writer_may_both_wait_for_the_outcome)
{
    struct full f = full_open(address, sizeof(address));
    pthread_t reader;
    int peer;

    ck_ok(tcpx_connect(&c, address, START, soon()));
    reader = start_thread(read_one, NULL);
    full_make_room(&f);
    ck_assert_int_eq((int)tcpx_write(c, "x", 1, soon()), 1);
    peer = raw_accept(f.listener);
    raw_send(peer, "y", 1);
    end_thread(reader);
    ck_assert_int_eq(read_result, 1);
    ck_assert_int_eq(fcntl(tcpx_conn_fd(c), F_GETFL) & O_NONBLOCK, 0);
    close(peer);
    tcpx_abort(c);
    full_end(&f);
}
END_TEST

START_TEST(a_reader_and_a_writer_are_both_told_the_refusal)
{
    int held = dead_port(address, sizeof(address));

    for (int i = 0; i < 200; i++) {
        pthread_t reader;

        ck_ok(tcpx_connect(&c, address, START, soon()));
        reader = start_thread(read_one, NULL);
        ck_fails(tcpx_write(c, "x", 1, soon()), -ECONNREFUSED);
        end_thread(reader);
        ck_assert_int_eq(read_result, -ECONNREFUSED);
        tcpx_abort(c);
    }
    close(held);
}
END_TEST

/* ---- What can be started ------------------------------------------------- */

START_TEST(a_name_cannot_be_started)
{
    ck_fails(tcpx_connect(&c, "localhost:80", START, soon()), -EINVAL);
    ck_says("start_only");
    ck_fails(tcpx_connect(&c, "example.org:80", START, soon()), -EINVAL);
}
END_TEST

START_TEST(a_unix_socket_is_connected_at_once_or_not)
{
    struct full f = full_unix(address, sizeof(address));

    ck_fails(tcpx_connect(&c, address, START, soon()), -EAGAIN);
    ck_says("the queue is full");
    full_make_room(&f);
    ck_ok(tcpx_connect(&c, address, START, soon()));
    ck_assert_int_eq(tcpx_conn_state(c), 0);
    check_works(c, raw_accept(f.listener));
    full_end(&f);
}
END_TEST

START_TEST(an_address_of_the_other_family_cannot_be_started)
{
    ck_fails(tcpx_connect(&c, "127.0.0.1:80",
                          TCPX_CONNECT(.start_only = 1, .family = AF_INET6),
                          soon()),
             TCPX_ERESOLVE);
    ck_says("no IPv6 address");
}
END_TEST

START_TEST(its_report_says_that_it_is_under_way)
{
    int listener = raw_listen(address, sizeof(address));
    tcpx_connect_report *report = NULL;
    const tcpx_connect_opts *opts =
        TCPX_CONNECT(.start_only = 1, .report = &report);

    ck_ok(tcpx_connect(&c, address, opts, soon()));
    ck_assert_uint_eq(tcpx_connect_report_count(report), 1);
    ck_assert_int_eq(tcpx_connect_report_at(report, 0)->error, -EINPROGRESS);
    tcpx_connect_report_free(report);
    check_works(c, raw_accept(listener));
    close(listener);

    ck_fails(tcpx_connect(&c, "[fe80::1%nope]:80", opts, soon()), -ENODEV);
    ck_says("no such zone");
    ck_assert_int_eq(tcpx_connect_report_at(report, 0)->error, -ENODEV);
    tcpx_connect_report_free(report);
}
END_TEST

START_TEST(a_socket_that_met_itself_was_refused_here_too)
{
    char byte;

    close(dead_port(address, sizeof(address)));
    ck_ok(tcpx_connect(&c, address,
                       TCPX_CONNECT(.start_only = 1, .bind = address), soon()));
    ck_fails(tcpx_read(c, &byte, 1, soon()), -ECONNREFUSED);
    tcpx_abort(c);
}
END_TEST

static void fill_started(TCase *tc)
{
    tcase_add_test(tc, it_returns_at_once_and_the_first_write_waits);
    tcase_add_test(tc, once_it_stands_it_is_like_any_connection);
    tcase_add_test(tc, a_refusal_is_told_by_every_call_and_again);
    tcase_add_test(tc, close_before_the_outcome_waits_for_it);
    tcase_add_test(tc, a_wait_tells_when_it_is_over);
    tcase_add_test(tc, a_cancel_ends_the_wait_for_the_outcome);
    tcase_add_test(tc, a_reader_and_a_writer_may_both_wait_for_the_outcome);
    tcase_add_test(tc, a_reader_and_a_writer_are_both_told_the_refusal);
    tcase_add_test(tc, a_name_cannot_be_started);
    tcase_add_test(tc, a_unix_socket_is_connected_at_once_or_not);
    tcase_add_test(tc, an_address_of_the_other_family_cannot_be_started);
    tcase_add_test(tc, its_report_says_that_it_is_under_way);
    tcase_add_test(tc, a_socket_that_met_itself_was_refused_here_too);
}

const struct test_case test_cases[] = {
    {"connect_start", "started", fill_started},
    {NULL, NULL, NULL},
};
