/* SPDX-License-Identifier: MIT */
/*
 * t_server.c - making and asking a server; connections that a handler gives
 * away.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "runner.h"
#include "server/serving.h"

static void refuse(const tcpx_server_opts *o, const char *address, int code)
{
    tcpx_server *s = NULL;

    ck_fails(tcpx_server_create(&s, address, echo_handler, NULL, o), code);
    ck_assert_ptr_null(s);
    ck_assert_str_ne(tcpx_errmsg(), "");
}

START_TEST(wrong_options_are_refused)
{
    static const struct {
        const char *address;
        int code;
        tcpx_server_opts o;
    } wrong[] = {
#define WITH(...) {.size = (uint32_t)sizeof(tcpx_server_opts), __VA_ARGS__}
        {"127.0.0.1:0", -EINVAL, WITH(.model = 99)},
        {"127.0.0.1:0", -EINVAL, WITH(.model = -1)},
        {"127.0.0.1:0", -EINVAL, WITH(.model = TCPX_POOL, .workers = -1)},
        {"127.0.0.1:0", -EINVAL, WITH(.model = TCPX_THREAD, .workers = 4)},
        {"127.0.0.1:0", -EINVAL, WITH(.model = TCPX_FORK, .workers = 4)},
        {"127.0.0.1:0", -EINVAL, WITH(.model = TCPX_ITERATIVE, .workers = 1)},
        {"127.0.0.1:0", -EINVAL, WITH(.workers = 4)},
        {"127.0.0.1:0", -EINVAL, WITH(.max_connections = -1)},
        {"127.0.0.1:0", -EINVAL, WITH(.max_per_client = -5)},
        {"127.0.0.1:0", -EINVAL, WITH(.accept_rate = -1)},
        {"127.0.0.1:0", -EINVAL, WITH(.accept_rate = 5, .accept_burst = -1)},
        {"127.0.0.1:0", -EINVAL,
         WITH(.accept_rate = 5, .accept_burst = TCPX_UNLIMITED)},
        {"127.0.0.1:0", -EINVAL, WITH(.idle = -1)},
        {"127.0.0.1:0", -EINVAL, WITH(.lifetime = -TCPX_SEC)},
        {"127.0.0.1:0", -EINVAL, WITH(.first_byte = -1)},
        {"127.0.0.1:0", -EINVAL, WITH(.drain = -1)},
        {"127.0.0.1:0", -EINVAL, WITH(.close_idle = -1)},
        {"127.0.0.1:0", -EINVAL, WITH(.accept_burst = 5)},
        {"127.0.0.1:0", -EINVAL,
         WITH(.accept_rate = TCPX_UNLIMITED, .accept_burst = 5)},
        {"127.0.0.1:0", -EINVAL, WITH(.refuse_when_full = 1)},
        {"127.0.0.1:0", -EINVAL,
         WITH(.refuse_when_full = 1, .max_connections = TCPX_UNLIMITED)},
        {"127.0.0.1:0", -EINVAL, WITH(.stack_size = 1000)},
        {"127.0.0.1:0", -EINVAL, WITH(.stack_size = UINT64_MAX)},
        {"127.0.0.1:0",
         -E2BIG,
         {.size = (uint32_t)sizeof(tcpx_server_opts) + 8}},
        {NULL, -EINVAL, WITH(.model = TCPX_THREAD)},
        {"127.0.0.1:99999", TCPX_EADDRESS, WITH(.model = TCPX_THREAD)},
        {"192.0.2.1:0", -EADDRNOTAVAIL, WITH(.model = TCPX_THREAD)},
#undef WITH
    };
    tcpx_server *s;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        /* What follows the struct must be there to be read, and not be 0. */
        struct {
            tcpx_server_opts o;
            uint64_t more;
        } o = {wrong[i].o, 1};

        refuse(&o.o, wrong[i].address, wrong[i].code);
    }
    ck_fails(tcpx_server_create(NULL, "127.0.0.1:0", echo_handler, NULL, NULL),
             -EINVAL);
    ck_fails(tcpx_server_create(&s, "127.0.0.1:0", NULL, NULL, NULL), -EINVAL);
}
END_TEST

START_TEST(a_limit_on_time_that_forgot_its_unit_is_named)
{
    static const struct {
        const char *member;
        tcpx_server_opts o;
    } wrong[] = {
#define WITH(...) {.size = (uint32_t)sizeof(tcpx_server_opts), __VA_ARGS__}
        {"idle is 30 nanoseconds", WITH(.idle = 30)},
        {"lifetime is 600 nanoseconds", WITH(.lifetime = 600)},
        {"first_byte is 5 nanoseconds", WITH(.first_byte = 5)},
        {"drain is 999999 nanoseconds", WITH(.drain = TCPX_MSEC - 1)},
        {"close_idle is 2 nanoseconds", WITH(.close_idle = 2)},
        {"close_total is 10 nanoseconds; seconds are written 10 * TCPX_SEC",
         WITH(.close_total = 10)},
        {"drain is negative", WITH(.drain = -1)},
#undef WITH
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        refuse(&wrong[i].o, "127.0.0.1:0", -EINVAL);
        ck_says(wrong[i].member);
    }
}
END_TEST

START_TEST(a_seventeenth_server_that_handles_signals_is_told_the_limit)
{
    tcpx_server_opts o = serving_opts(THREAD);
    tcpx_server *s[16];

    o.handle_signals = 1;
    for (int i = 0; i < 16; i++)
        ck_ok(tcpx_server_create(&s[i], "127.0.0.1:0", echo_handler, NULL, &o));
    refuse(&o, "127.0.0.1:0", -EBUSY);
    ck_says("handle_signals is for 16 servers at a time");
    ck_ok(tcpx_server_free(s[15]));
    ck_ok(tcpx_server_create(&s[15], "127.0.0.1:0", echo_handler, NULL, &o));
    for (int i = 0; i < 16; i++)
        ck_ok(tcpx_server_free(s[i]));
}
END_TEST

START_TEST(one_wrong_address_of_several_leaves_nothing_open)
{
    static const char *const more[] = {"127.0.0.1:0", "192.0.2.1:0", NULL};
    tcpx_server_opts o = serving_opts(THREAD);

    o.addresses = more;
    refuse(&o, "127.0.0.1:0", -EADDRNOTAVAIL);
}
END_TEST

START_TEST(null_is_answered_everywhere)
{
    tcpx_server_counts n;

    ck_fails(tcpx_server_run(NULL), -EINVAL);
    ck_fails(tcpx_server_free(NULL), -EINVAL);
    ck_fails(tcpx_server_stats(NULL, &n), -EINVAL);
    ck_assert_str_eq(tcpx_server_address(NULL), "");
    tcpx_server_stop(NULL);
    ck_fails(tcpx_conn_take(NULL), -EINVAL);
    ck_assert_int_eq(tcpx_conn_is_draining(NULL), 0);
}
END_TEST

START_TEST(a_server_runs_once_and_is_not_freed_meanwhile)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    tcpx_server_counts n;

    serve(&s, echo_handler, NULL, &o);
    expect_echo(client_of(&s), "it runs");
    ck_fails(tcpx_server_run(s.server), -EBUSY);
    ck_fails(tcpx_server_free(s.server), -EBUSY);
    ck_fails(tcpx_server_stats(s.server, NULL), -EINVAL);
    ck_ok(stop_serving(&s));
    ck_fails(tcpx_server_run(s.server), -EBUSY);
    ck_ok(tcpx_server_stats(s.server, &n)); /* after the run as well */
    ck_assert_uint_eq(n.closed, 1);
    ck_assert_uint_gt(n.uptime, 0);
    end_serving(&s);
}
END_TEST

START_TEST(a_server_that_never_ran_is_freed)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    int fd;

    prepare(&s, echo_handler, NULL, &o);
    fd = client_of(&s);
    ck_ok(tcpx_server_free(s.server));
    ck_assert(!ends_cleanly(fd));
    leave(fd);
}
END_TEST

START_TEST(the_address_lives_as_long_as_the_server)
{
    tcpx_server_opts o = serving_opts(THREAD);
    tcpx_listener *listeners[2] = {NULL, NULL};
    struct serving s;
    char address[64];

    ck_ok(tcpx_listen(&listeners[0], "127.0.0.1:0", NULL));
    strcpy(address, tcpx_listener_address(listeners[0]));
    o.listeners = listeners;
    ck_ok(tcpx_server_create(&s.server, NULL, echo_handler, NULL, &o));
    start_serving(&s);
    expect_echo(client_of(&s), "hello");
    ck_ok(stop_serving(&s));
    tcpx_listener_close(listeners[0]);
    ck_assert_str_eq(tcpx_server_address(s.server), address);
    end_serving(&s);
}
END_TEST

static void *ask_often(void *arg)
{
    struct serving *s = arg;
    tcpx_server_counts n = {.closed = 0};
    uint64_t last = 0;

    while (n.closed < 50) {
        ck_ok(tcpx_server_stats(s->server, &n));
        ck_assert_uint_ge(n.accepted, last);
        last = n.accepted;
        sched_yield();
    }
    return NULL;
}

START_TEST(statistics_are_there_for_every_thread_at_any_time)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    pthread_t asker;

    serve(&s, echo_handler, NULL, &o);
    asker = start_thread(ask_often, &s);
    for (int i = 0; i < 50; i++)
        expect_echo(client_of(&s), "hello");
    end_thread(asker);
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).bytes_read, 250);
}
END_TEST

/* ---- connections that are taken ---- */

static tcpx_conn *_Atomic taken;

static void take_it(tcpx_conn *c, void *arg)
{
    (void)arg;
    ck_ok(tcpx_conn_take(c));
    ck_fails(tcpx_conn_take(c), -EINVAL); /* it is in nobody's hands now */
    ck_ok(tcpx_writen(c, "t", 1, NULL, TCPX_FOREVER));
    atomic_store(&taken, c);
}

static void take_and_close(tcpx_conn *c, void *arg)
{
    (void)arg;
    ck_ok(tcpx_conn_take(c));
    ck_ok(tcpx_writen(c, "t", 1, NULL, TCPX_FOREVER));
    ck_ok(tcpx_close(c, soon()));
}

static tcpx_conn *await_taken(void)
{
    tcpx_time until = soon();

    while (!atomic_load(&taken)) {
        ck_assert_int_lt(tcpx_now(), until);
        tcpx_sleep(tcpx_after(TCPX_MSEC));
    }
    return atomic_exchange(&taken, NULL);
}

/* Models in which memory is shared. */
static const int shared[] = {ITERATIVE, THREAD, POOL};
#define SHARED ((int)(sizeof(shared) / sizeof(shared[0])))

START_TEST(a_taken_connection_goes_on_after_its_handler)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(shared[_i], &events);
    struct serving s;
    tcpx_server_counts n;
    tcpx_conn *c;
    char byte;
    int fd;

    o.max_connections = 1;
    o.refuse_when_full = 1;
    serve(&s, take_it, NULL, &o);
    fd = client_of(&s);
    c = await_taken();
    ck_assert_int_eq(tcpx_conn_is_draining(c), 0);
    await_count(&s, active, 1); /* and counted, so that nobody else comes in */
    leave(client_of(&s));
    await_count(&s, refused_connections, 1);
    raw_send(fd, "x", 1);
    ck_assert_int_eq(tcpx_read(c, &byte, 1, soon()), 1);
    ck_assert_uint_eq(raw_recv(fd, &byte, 1), 1);
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    ck_ok(tcpx_close(c, soon()));
    ck_assert(ends_cleanly(fd));
    leave(fd);
    await_count(&s, closed, 1);
    ck_ok(stop_serving(&s));
    n = end_serving(&s);
    ck_assert_uint_eq(n.bytes_read, 1);
    ck_assert_uint_eq(n.bytes_written, 1);
}
END_TEST

START_TEST(a_taken_connection_may_end_before_its_handler_does)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(shared[_i], &events);
    struct serving s;
    char byte;

    serve(&s, take_and_close, NULL, &o);
    for (int i = 0; i < 20; i++) {
        int fd = client_of(&s);

        ck_assert_uint_eq(raw_recv(fd, &byte, 1), 1);
        leave(fd);
    }
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 20);
}
END_TEST

START_TEST(an_abort_of_a_taken_connection_is_counted_as_a_cancel)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(shared[_i], &events);
    struct serving s;
    int fd;

    serve(&s, take_it, NULL, &o);
    fd = client_of(&s);
    tcpx_abort(await_taken());
    ck_assert(!ends_cleanly(fd));
    leave(fd);
    await_count(&s, canceled, 1);
    ck_ok(stop_serving(&s));
    end_serving(&s);
}
END_TEST

START_TEST(the_limits_hold_for_a_taken_connection_too)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(shared[_i], &events);
    struct serving s;
    tcpx_conn *c;
    char byte;
    int fd;

    o.lifetime = 100 * TCPX_MSEC;
    serve(&s, take_it, NULL, &o);
    fd = client_of(&s);
    c = await_taken();
    ck_fails(tcpx_read(c, &byte, 1, soon()), TCPX_ELIMIT);
    ck_fails(tcpx_close(c, TCPX_NOW), TCPX_ELIMIT);
    leave(fd);
    await_count(&s, limited, 1);
    ck_ok(stop_serving(&s));
    end_serving(&s);
}
END_TEST

START_TEST(a_stop_waits_for_a_taken_connection_and_then_cancels_it)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(shared[_i], &events);
    struct serving s;
    tcpx_conn *c;
    char byte;
    int fd;

    o.drain = 100 * TCPX_MSEC;
    serve(&s, take_it, NULL, &o);
    fd = client_of(&s);
    c = await_taken();
    tcpx_server_stop(s.server);
    ck_assert_int_eq(tcpx_conn_is_draining(c), 1);
    ck_fails(tcpx_read(c, &byte, 1, soon()), TCPX_ECANCELED);
    end_thread(s.thread); /* it is not closed, so that run gives it up */
    ck_assert_int_eq(s.result, TCPX_ECANCELED);
    ck_fails(tcpx_server_free(s.server), -EBUSY);
    tcpx_abort(c);
    leave(fd);
    ck_ok(tcpx_server_free(s.server));
}
END_TEST

START_TEST(only_a_connection_in_a_handlers_hands_can_be_taken)
{
    int fds[2];
    tcpx_conn *c;

    raw_pair(fds);
    ck_ok(tcpx_conn_adopt(&c, fds[1], NULL));
    ck_fails(tcpx_conn_take(c), -EINVAL);
    ck_assert_int_eq(tcpx_conn_is_draining(c), 0);
    tcpx_abort(c);
    close(fds[0]);
}
END_TEST

static void fill_making(TCase *tc)
{
    tcase_add_test(tc, wrong_options_are_refused);
    tcase_add_test(tc, a_limit_on_time_that_forgot_its_unit_is_named);
    tcase_add_test(tc,
                   a_seventeenth_server_that_handles_signals_is_told_the_limit);
    tcase_add_test(tc, one_wrong_address_of_several_leaves_nothing_open);
    tcase_add_test(tc, null_is_answered_everywhere);
    tcase_add_loop_test(tc, a_server_runs_once_and_is_not_freed_meanwhile, 0,
                        MODELS);
    tcase_add_loop_test(tc, a_server_that_never_ran_is_freed, 0, MODELS);
    tcase_add_test(tc, the_address_lives_as_long_as_the_server);
    tcase_add_loop_test(tc, statistics_are_there_for_every_thread_at_any_time,
                        0, MODELS);
}

static void fill_taken(TCase *tc)
{
    tcase_add_loop_test(tc, a_taken_connection_goes_on_after_its_handler, 0,
                        SHARED);
    tcase_add_loop_test(tc, a_taken_connection_may_end_before_its_handler_does,
                        0, SHARED);
    tcase_add_loop_test(
        tc, an_abort_of_a_taken_connection_is_counted_as_a_cancel, 0, SHARED);
    tcase_add_loop_test(tc, the_limits_hold_for_a_taken_connection_too, 0,
                        SHARED);
    tcase_add_loop_test(
        tc, a_stop_waits_for_a_taken_connection_and_then_cancels_it, 0, SHARED);
    tcase_add_test(tc, only_a_connection_in_a_handlers_hands_can_be_taken);
}

const struct test_case test_cases[] = {
    {"serving", "making", fill_making},
    {"serving", "taken", fill_taken},
    {NULL, NULL, NULL},
};
