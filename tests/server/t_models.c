/* SPDX-License-Identifier: MIT */
/*
 * t_models.c - what every model does alike.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "runner.h"
#include "server/serving.h"

START_TEST(clients_are_echoed_one_after_another)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    tcpx_server_counts n;

    serve(&s, echo_handler, NULL, &o);
    for (int i = 0; i < 20; i++)
        expect_echo(client_of(&s), "hello");
    ck_ok(stop_serving(&s));
    n = end_serving(&s);
    ck_assert_uint_eq(n.accepted, 20);
    ck_assert_uint_eq(n.closed, 20);
    ck_assert_uint_eq(n.bytes_read, 100);
    ck_assert_uint_eq(n.bytes_written, 100);
}
END_TEST

START_TEST(a_client_that_is_silent_holds_up_others_only_where_one_is_served)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    int silent;

    o.workers = _i == POOL ? 2 : 0;
    serve(&s, echo_handler, NULL, &o);
    silent = client_of(&s);
    await_count(&s, active, 1);
    if (_i != ITERATIVE)
        expect_echo(client_of(&s), "past it");
    leave(silent);
    expect_echo(client_of(&s), "after it");
    ck_ok(stop_serving(&s));
    end_serving(&s);
}
END_TEST

START_TEST(a_reset_in_the_middle_is_counted_as_a_failure)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    tcpx_server_counts n;
    char byte;
    int fd;

    serve(&s, echo_handler, NULL, &o);
    fd = client_of(&s);
    raw_send(fd, "x", 1);
    ck_assert_uint_eq(raw_recv(fd, &byte, 1), 1);
    reset(fd);
    await_count(&s, failed, 1);
    expect_echo(client_of(&s), "goes on");
    ck_ok(stop_serving(&s));
    n = end_serving(&s);
    ck_assert_uint_eq(n.closed, 1);
}
END_TEST

static void answer_and_leave(tcpx_conn *c, void *arg)
{
    (void)arg;
    tcpx_writen(c, "answer", 6, NULL, TCPX_FOREVER);
}

START_TEST(a_handler_that_leaves_input_unread_does_not_destroy_its_answer)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    char got[7];
    char many[4096];
    int fd;

    memset(many, 'x', sizeof(many));
    serve(&s, answer_and_leave, NULL, &o);
    fd = client_of(&s);
    for (int i = 0; i < 16; i++)
        raw_send(fd, many, sizeof(many));
    ck_assert_uint_eq(raw_recv(fd, got, sizeof(got)), 6);
    leave(fd);
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

START_TEST(a_client_that_never_finishes_is_let_go_after_the_close_limit)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    char got[7];
    int fd;

    o.close_idle = 50 * TCPX_MSEC;
    serve(&s, answer_and_leave, NULL, &o);
    fd = client_of(&s);
    ck_assert_uint_eq(raw_recv(fd, got, sizeof(got)), 6);
    await_count(&s, expired, 1);
    leave(fd);
    ck_ok(stop_serving(&s));
    end_serving(&s);
}
END_TEST

static void abort_it(tcpx_conn *c, void *arg)
{
    (void)arg;
    tcpx_writen(c, "half an ans", 11, NULL, TCPX_FOREVER);
    tcpx_abort(c);
    ck_fails(tcpx_writen(c, "wer", 3, NULL, TCPX_FOREVER), TCPX_ECANCELED);
}

START_TEST(an_abort_in_the_handler_ends_with_a_reset)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    int fd;

    serve(&s, abort_it, NULL, &o);
    fd = client_of(&s);
    ck_assert(!ends_cleanly(fd));
    leave(fd);
    await_count(&s, canceled, 1);
    ck_ok(stop_serving(&s));
    end_serving(&s);
}
END_TEST

static void misuse(tcpx_conn *c, void *arg)
{
    int fd;

    (void)arg;
    ck_fails(tcpx_close(c, TCPX_NOW), -EBUSY);
    ck_fails(tcpx_conn_release(c, &fd, NULL, 0, NULL), -EBUSY);
    tcpx_writen(c, "still here", 10, NULL, TCPX_FOREVER);
}

START_TEST(a_handler_can_neither_close_nor_release)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    char got[11];
    int fd;

    serve(&s, misuse, NULL, &o);
    fd = client_of(&s);
    ck_assert_uint_eq(raw_recv(fd, got, sizeof(got)), 10);
    leave(fd);
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

START_TEST(the_idle_limit_ends_a_silent_client_whatever_its_handler_waits)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    int fd;

    o.idle = 80 * TCPX_MSEC;
    serve(&s, echo_handler, NULL, &o);
    fd = client_of(&s);
    ck_assert(!ends_cleanly(fd));
    leave(fd);
    await_count(&s, limited, 1);
    ck_ok(stop_serving(&s));
    end_serving(&s);
}
END_TEST

static void sleep_for_ever(tcpx_conn *c, void *arg)
{
    (void)arg;
    (void)c;
    ck_fails(tcpx_sleep(TCPX_FOREVER), TCPX_ELIMIT);
}

START_TEST(the_lifetime_limit_ends_whatever_the_handler_waits_in)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    int fd;

    o.lifetime = 80 * TCPX_MSEC;
    serve(&s, sleep_for_ever, NULL, &o);
    fd = client_of(&s);
    ck_assert(!ends_cleanly(fd));
    leave(fd);
    await_count(&s, limited, 1);
    ck_ok(stop_serving(&s));
    end_serving(&s);
}
END_TEST

START_TEST(a_stop_lets_handlers_finish)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    char byte;
    int fd;

    serve(&s, echo_handler, NULL, &o);
    fd = client_of(&s);
    raw_send(fd, "x", 1);
    ck_assert_uint_eq(raw_recv(fd, &byte, 1), 1);
    tcpx_server_stop(s.server);
    expect_echo(fd, "last words");
    end_thread(s.thread);
    ck_assert_int_eq(s.result, 0);
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

START_TEST(handlers_that_do_not_finish_are_canceled_after_the_drain_time)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    int fd;

    o.drain = 50 * TCPX_MSEC;
    serve(&s, echo_handler, NULL, &o);
    fd = client_of(&s);
    await_count(&s, active, 1);
    ck_assert_int_eq(stop_serving(&s), TCPX_ECANCELED);
    ck_assert(!ends_cleanly(fd));
    leave(fd);
    ck_assert_uint_eq(end_serving(&s).canceled, 1);
}
END_TEST

START_TEST(a_second_stop_cancels_at_once)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    int fd;

    serve(&s, echo_handler, NULL, &o);
    fd = client_of(&s);
    await_count(&s, active, 1);
    tcpx_server_stop(s.server);
    ck_assert_int_eq(stop_serving(&s), TCPX_ECANCELED);
    leave(fd);
    ck_assert_uint_eq(end_serving(&s).canceled, 1);
}
END_TEST

START_TEST(clients_that_queue_in_the_kernel_at_a_stop_are_served)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    int fds[10];

    ck_ok(tcpx_server_create(&s.server, "127.0.0.1:0", echo_handler, NULL, &o));
    for (int i = 0; i < 10; i++) {
        fds[i] = client_of(&s);
        raw_send(fds[i], "queued", 6);
        ck_assert_int_eq(shutdown(fds[i], SHUT_WR), 0);
    }
    tcpx_server_stop(s.server);
    ck_ok(tcpx_server_run(s.server));
    for (int i = 0; i < 10; i++) {
        char got[7];

        ck_assert_uint_eq(raw_recv(fds[i], got, sizeof(got)), 6);
        leave(fds[i]);
    }
    ck_assert_uint_eq(end_serving(&s).closed, 10);
}
END_TEST

static void return_at_once(tcpx_conn *c, void *arg)
{
    (void)c;
    (void)arg;
}

START_TEST(a_handler_that_returns_at_once_ends_its_client_cleanly)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    int fd;

    serve(&s, return_at_once, NULL, &o);
    fd = client_of(&s);
    ck_assert(ends_cleanly(fd));
    leave(fd);
    await_count(&s, closed, 1);
    ck_ok(stop_serving(&s));
    end_serving(&s);
}
END_TEST

static void half_close_and_read(tcpx_conn *c, void *arg)
{
    char got[8];
    size_t done = 0;

    (void)arg;
    ck_ok(tcpx_writen(c, "answer", 6, NULL, TCPX_FOREVER));
    ck_ok(tcpx_half_close(c));
    tcpx_readn(c, got, sizeof(got), &done, TCPX_FOREVER);
}

START_TEST(a_handler_that_half_closes_goes_on_reading)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    char got[7];
    int fd;

    serve(&s, half_close_and_read, NULL, &o);
    fd = client_of(&s);
    ck_assert_uint_eq(raw_recv(fd, got, sizeof(got)), 6);
    raw_send(fd, "late", 4);
    leave(fd);
    await_count(&s, closed, 1);
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).bytes_read, 4);
}
END_TEST

START_TEST(a_client_that_half_closes_first_gets_a_clean_end)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    int fd;

    serve(&s, echo_handler, NULL, &o);
    fd = client_of(&s);
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    ck_assert(ends_cleanly(fd));
    leave(fd);
    await_count(&s, closed, 1);
    ck_ok(stop_serving(&s));
    end_serving(&s);
}
END_TEST

START_TEST(clients_that_reset_before_they_are_accepted_harm_nobody)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;

    prepare(&s, echo_handler, NULL, &o);
    for (int i = 0; i < 10; i++)
        reset(client_of(&s));
    start_serving(&s);
    expect_echo(client_of(&s), "honest");
    ck_ok(stop_serving(&s));
    ck_assert_uint_ge(end_serving(&s).closed, 1);
}
END_TEST

/* Whoever asks for it with a byte has its handler cancel itself. */
static void cancel_if_asked(tcpx_conn *c, void *arg)
{
    char byte = 0;

    (void)arg;
    if (tcpx_readn(c, &byte, 1, NULL, TCPX_FOREVER))
        return;
    if (byte == 'c') {
        tcpx_task_cancel(tcpx_task_self());
        ck_fails(tcpx_readn(c, &byte, 1, NULL, TCPX_FOREVER), TCPX_ECANCELED);
        return;
    }
    tcpx_writen(c, &byte, 1, NULL, TCPX_FOREVER);
}

START_TEST(a_handler_that_cancels_itself_ends_only_its_client)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    int fd;

    serve(&s, cancel_if_asked, NULL, &o);
    fd = client_of(&s);
    raw_send(fd, "c", 1);
    ends_cleanly(fd);
    leave(fd);
    expect_echo(client_of(&s), "x");
    ck_ok(stop_serving(&s));
    ck_assert_uint_ge(end_serving(&s).closed, 1);
}
END_TEST

/* An iterative server's handler is the task that runs the server, whose cancel
   is a stop. */
static void fill_rude(TCase *tc)
{
    tcase_add_loop_test(
        tc, a_handler_that_returns_at_once_ends_its_client_cleanly, 0, MODELS);
    tcase_add_loop_test(tc, a_handler_that_half_closes_goes_on_reading, 0,
                        MODELS);
    tcase_add_loop_test(tc, a_client_that_half_closes_first_gets_a_clean_end, 0,
                        MODELS);
    tcase_add_loop_test(
        tc, clients_that_reset_before_they_are_accepted_harm_nobody, 0, MODELS);
    tcase_add_loop_test(tc, a_handler_that_cancels_itself_ends_only_its_client,
                        FORK, MODELS);
}

static void fill_models(TCase *tc)
{
    tcase_add_loop_test(tc, clients_are_echoed_one_after_another, 0, MODELS);
    tcase_add_loop_test(
        tc, a_client_that_is_silent_holds_up_others_only_where_one_is_served, 0,
        MODELS);
    tcase_add_loop_test(tc, a_reset_in_the_middle_is_counted_as_a_failure, 0,
                        MODELS);
    tcase_add_loop_test(
        tc, a_handler_that_leaves_input_unread_does_not_destroy_its_answer, 0,
        MODELS);
    tcase_add_loop_test(
        tc, a_client_that_never_finishes_is_let_go_after_the_close_limit, 0,
        MODELS);
    tcase_add_loop_test(tc, an_abort_in_the_handler_ends_with_a_reset, 0,
                        MODELS);
    tcase_add_loop_test(tc, a_handler_can_neither_close_nor_release, 0, MODELS);
}

static void fill_limits(TCase *tc)
{
    tcase_add_loop_test(
        tc, the_idle_limit_ends_a_silent_client_whatever_its_handler_waits, 0,
        MODELS);
    tcase_add_loop_test(
        tc, the_lifetime_limit_ends_whatever_the_handler_waits_in, 0, MODELS);
}

static void fill_stops(TCase *tc)
{
    tcase_add_loop_test(tc, a_stop_lets_handlers_finish, 0, MODELS);
    tcase_add_loop_test(
        tc, handlers_that_do_not_finish_are_canceled_after_the_drain_time, 0,
        MODELS);
    tcase_add_loop_test(tc, a_second_stop_cancels_at_once, 0, MODELS);
    tcase_add_loop_test(
        tc, clients_that_queue_in_the_kernel_at_a_stop_are_served, 0, MODELS);
}

const struct test_case test_cases[] = {
    {"server", "models", fill_models},
    {"server", "limits", fill_limits},
    {"server", "stops", fill_stops},
    {"server", "rude", fill_rude},
    {NULL, NULL, NULL},
};
