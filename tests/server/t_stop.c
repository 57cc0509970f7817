/* SPDX-License-Identifier: MIT */
/*
 * t_stop.c - stopping a server, from everywhere.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "runner.h"
#include "server/serving.h"

static tcpx_server *_Atomic the_server;

START_TEST(an_idle_server_stops_at_once)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;

    serve(&s, echo_handler, NULL, &o);
    ck_ok(stop_serving(&s));
    ck_assert_uint_lt(end_serving(&s).uptime, 10 * TCPX_SEC);
    ck_assert_int_eq(atomic_load(&events.n[TCPX_EVENT_DRAINING]), 1);
    ck_assert_int_eq(atomic_load(&events.n[TCPX_EVENT_DRAINED]), 1);
}
END_TEST

START_TEST(two_stops_before_run_let_nobody_in)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    int fd;

    prepare(&s, echo_handler, NULL, &o);
    fd = client_of(&s);
    raw_send(fd, "too late", 8);
    tcpx_server_stop(s.server);
    tcpx_server_stop(s.server);
    start_serving(&s);
    end_thread(s.thread);
    ck_ok(s.result); /* who was never accepted was not cut */
    ck_assert(!ends_cleanly(fd));
    leave(fd);
    ck_assert_uint_eq(end_serving(&s).accepted, 0);
}
END_TEST

static void stop_and_answer(tcpx_conn *c, void *arg)
{
    (void)arg;
    tcpx_server_stop(atomic_load(&the_server));
    ck_assert_int_eq(tcpx_conn_is_draining(c), 1);
    ck_ok(tcpx_writen(c, "bye", 3, NULL, TCPX_FOREVER));
}

START_TEST(a_handler_may_stop_its_server)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    char got[4];
    int fd;

    prepare(&s, stop_and_answer, NULL, &o);
    atomic_store(&the_server, s.server);
    start_serving(&s);
    fd = client_of(&s);
    ck_assert_uint_eq(raw_recv(fd, got, sizeof(got)), 3);
    leave(fd);
    end_thread(s.thread);
    ck_ok(s.result);
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

START_TEST(the_event_callback_may_stop_its_server)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;

    prepare(&s, echo_handler, NULL, &o);
    atomic_store(&events.stop_at_first, s.server);
    start_serving(&s);
    expect_echo(client_of(&s), "the last one");
    end_thread(s.thread);
    ck_ok(s.result);
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

static void stop_in_handler(int number)
{
    (void)number;
    tcpx_server_stop(atomic_load(&the_server));
}

START_TEST(a_signal_handler_may_stop_a_server)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct sigaction action = {.sa_handler = stop_in_handler};
    struct serving s;
    int fd;

    prepare(&s, echo_handler, NULL, &o);
    atomic_store(&the_server, s.server);
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    start_serving(&s);
    fd = client_of(&s);
    await_count(&s, active, 1);
    /* In the very thread that runs, wherever it is. */
    ck_assert_int_eq(pthread_kill(s.thread, SIGUSR1), 0);
    if (_i != ITERATIVE) /* there its own handler is in the way */
        await_value(events.n[TCPX_EVENT_DRAINING], 1);
    expect_echo(fd, "still served");
    end_thread(s.thread);
    ck_ok(s.result);
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

static void program_term(int number)
{
    (void)number;
}

START_TEST(handle_signals_stops_and_puts_the_old_dispositions_back)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i / 2, &events);
    struct sigaction term = {.sa_handler = program_term};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction now;
    struct serving s;

    ck_assert_int_eq(sigaction(SIGTERM, &term, NULL), 0);
    ck_assert_int_eq(sigaction(SIGINT, &ignore, NULL), 0);
    o.handle_signals = 1;
    prepare(&s, echo_handler, NULL, &o);
    start_serving(&s);
    expect_echo(client_of(&s), "before");
    ck_assert_int_eq(kill(getpid(), numbers[_i % 2]), 0);
    end_thread(s.thread);
    ck_ok(s.result);
    end_serving(&s);
    ck_assert_int_eq(sigaction(SIGTERM, NULL, &now), 0);
    ck_assert(now.sa_handler == program_term);
    ck_assert_int_eq(sigaction(SIGINT, NULL, &now), 0);
    ck_assert(now.sa_handler == SIG_IGN);
}
END_TEST

static void answer(tcpx_conn *c, void *arg)
{
    (void)arg;
    ck_ok(tcpx_writen(c, "whole", 5, NULL, soon()));
}

START_TEST(a_client_that_has_all_but_stays_is_expired_by_a_stop_and_not_cut)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    tcpx_server_counts n;
    char got[8];
    int fd;

    o.close_idle = o.close_total = 600 * TCPX_SEC;
    o.drain = 20 * TCPX_MSEC;
    serve(&s, answer, NULL, &o);
    fd = client_of(&s);
    ck_assert_uint_eq(raw_recv(fd, got, sizeof(got)), 5); /* and the end */
    ck_ok(stop_serving(&s));
    n = end_serving(&s);
    ck_assert_uint_eq(n.expired, 1);
    ck_assert_uint_eq(n.canceled, 0);
    ck_assert_int_eq(ends_cleanly(fd), 1);
    close(fd);
}
END_TEST

START_TEST(a_stop_serves_what_queues_at_every_listener)
{
    static const char *const more[] = {"127.0.0.1:0", NULL};
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    tcpx_listener *mine;
    tcpx_listener *listeners[2] = {NULL, NULL};
    int fds[6];

    ck_ok(tcpx_listen(&mine, "127.0.0.1:0", NULL));
    listeners[0] = mine;
    o.addresses = more;
    o.listeners = listeners;
    prepare(&s, echo_handler, NULL, &o);
    for (int i = 0; i < 6; i++) {
        fds[i] =
            i % 2 ? client_of(&s) : raw_connect(tcpx_listener_address(mine));
        raw_send(fds[i], "queued", 6);
        ck_assert_int_eq(shutdown(fds[i], SHUT_WR), 0);
    }
    tcpx_server_stop(s.server);
    start_serving(&s);
    end_thread(s.thread);
    ck_ok(s.result);
    for (int i = 1; i < 6; i += 2) {
        char got[7];

        ck_assert_uint_eq(raw_recv(fds[i], got, sizeof(got)), 6);
    }
    ck_assert_uint_eq(end_serving(&s).closed, 3);
    /* The program's own is as it was: it listens, and its queue is there. */
    for (int i = 0; i < 6; i += 2) {
        tcpx_conn *c;
        char got[6];

        ck_ok(tcpx_accept(&c, mine, soon()));
        ck_ok(tcpx_readn(c, got, sizeof(got), NULL, soon()));
        ck_ok(tcpx_close(c, soon()));
    }
    for (int i = 0; i < 6; i++)
        leave(fds[i]);
    tcpx_listener_close(mine);
}
END_TEST

static int unix_client(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strncpy(sun.sun_path, path, sizeof(sun.sun_path) - 1);
    ck_assert_int_ge(fd, 0);
    if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
        return fd;
    close(fd);
    return -1;
}

START_TEST(a_unix_listener_is_unlinked_first_and_its_queue_served)
{
    char dir[] = "/tmp/tcpx-stop-XXXXXX";
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    char address[80];
    char path[64];
    char got[6];
    int gate = new_gate();
    int fds[2];

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/s", dir);
    snprintf(address, sizeof(address), "unix:%s", path);
    ck_ok(tcpx_server_create(&s.server, address, gated_handler, &gate, &o));
    for (int i = 0; i < 2; i++) {
        fds[i] = unix_client(path);
        raw_send(fds[i], "queue", 5);
        ck_assert_int_eq(shutdown(fds[i], SHUT_WR), 0);
    }
    tcpx_server_stop(s.server);
    start_serving(&s);
    await_value(events.n[TCPX_EVENT_DRAINING], 1);
    ck_assert_int_eq(access(path, F_OK), -1);
    ck_assert_int_eq(unix_client(path), -1);
    open_gate(gate);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(raw_recv(fds[i], got, sizeof(got)), 5);
        leave(fds[i]);
    }
    end_thread(s.thread);
    ck_ok(s.result);
    ck_assert_uint_eq(end_serving(&s).closed, 2);
    close(gate);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

/* Waits where no cancel reaches: in a read(2) of its own. */
static void ignore_cancel(tcpx_conn *c, void *arg)
{
    char byte;
    ssize_t n = read(*(int *)arg, &byte, 1);

    (void)n;
    (void)c;
}

/* The two models in which a handler cannot be ended from outside. */
START_TEST(a_handler_that_ignores_its_cancel_is_left_behind_but_not_freed)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    tcpx_server_counts n;
    tcpx_time begun;
    int ends[2];
    int rc;
    int fd;

    ck_assert_int_eq(pipe(ends), 0);
    o.drain = 50 * TCPX_MSEC;
    serve(&s, ignore_cancel, &ends[0], &o);
    fd = client_of(&s);
    await_count(&s, active, 1);
    begun = tcpx_now();
    ck_assert_int_eq(stop_serving(&s), TCPX_ECANCELED);
    ck_assert_int_lt(tcpx_now() - begun, 12 * TCPX_SEC);
    ck_assert(!ends_cleanly(fd));
    ck_ok(tcpx_server_stats(s.server, &n));
    ck_assert_uint_eq(n.active, 1);
    ck_fails(tcpx_server_free(s.server), -EBUSY);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    while ((rc = tcpx_server_free(s.server)) == -EBUSY)
        tcpx_sleep(tcpx_after(TCPX_MSEC));
    ck_ok(rc);
    leave(fd);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(a_child_that_ignores_its_cancel_is_killed)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(FORK, &events);
    struct serving s;
    tcpx_server_counts n;
    int ends[2];
    int fd;

    ck_assert_int_eq(pipe(ends), 0);
    o.drain = 50 * TCPX_MSEC;
    serve(&s, ignore_cancel, &ends[0], &o);
    fd = client_of(&s);
    await_count(&s, active, 1);
    ck_assert_int_eq(stop_serving(&s), TCPX_ECANCELED);
    ck_assert(!ends_cleanly(fd));
    leave(fd);
    n = end_serving(&s);
    ck_assert_uint_eq(n.canceled, 1);
    ck_assert_uint_eq(n.crashed, 0); /* it was this server's doing */
    ck_assert_int_eq(atomic_load(&events.reason), SIGKILL);
    ck_assert_int_eq(atomic_load(&events.error), TCPX_ECANCELED);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

static void wait_for_drain(tcpx_conn *c, void *arg)
{
    (void)arg;
    ck_ok(tcpx_writen(c, "r", 1, NULL, TCPX_FOREVER));
    while (!tcpx_conn_is_draining(c))
        ck_ok(tcpx_sleep(tcpx_after(TCPX_MSEC)));
    ck_ok(tcpx_writen(c, "bye", 3, NULL, TCPX_FOREVER));
}

START_TEST(handlers_learn_of_a_drain_and_say_goodbye)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    char got[5];
    int fd;

    serve(&s, wait_for_drain, NULL, &o);
    fd = client_of(&s);
    ck_assert_uint_eq(raw_recv(fd, got, 1), 1);
    tcpx_server_stop(s.server);
    ck_assert_uint_eq(raw_recv(fd, got, sizeof(got)), 3);
    leave(fd);
    end_thread(s.thread);
    ck_ok(s.result);
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

/* A server that is run by the task in arg, to be canceled as a whole. */
struct runner {
    tcpx_server *server;
    tcpx_task *_Atomic task;
    int result;
};

static void *run_as_task(void *arg)
{
    struct runner *r = arg;

    atomic_store(&r->task, tcpx_task_ref(tcpx_task_self()));
    r->result = tcpx_server_run(r->server);
    return NULL;
}

START_TEST(a_cancel_of_the_task_that_runs_is_a_stop)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct runner r = {.result = 1};
    struct serving s;
    pthread_t thread;

    prepare(&s, echo_handler, NULL, &o);
    r.server = s.server;
    thread = start_thread(run_as_task, &r);
    expect_echo(client_of(&s), "hello");
    tcpx_task_cancel(atomic_load(&r.task));
    end_thread(thread);
    ck_ok(r.result);
    tcpx_task_unref(r.task);
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

static void fill_stops(TCase *tc)
{
    tcase_add_loop_test(tc, an_idle_server_stops_at_once, 0, MODELS);
    tcase_add_loop_test(tc, two_stops_before_run_let_nobody_in, 0, MODELS);
    tcase_add_loop_test(tc, a_handler_may_stop_its_server, 0, MODELS);
    tcase_add_loop_test(tc, the_event_callback_may_stop_its_server, 0, MODELS);
    tcase_add_loop_test(tc, a_cancel_of_the_task_that_runs_is_a_stop, 0,
                        MODELS);
    tcase_add_loop_test(tc, a_signal_handler_may_stop_a_server, 0, MODELS);
    tcase_add_loop_test(tc,
                        handle_signals_stops_and_puts_the_old_dispositions_back,
                        0, 2 * MODELS);
}

static void fill_listeners(TCase *tc)
{
    tcase_add_loop_test(tc, a_stop_serves_what_queues_at_every_listener, 0,
                        MODELS);
    tcase_add_loop_test(
        tc, a_unix_listener_is_unlinked_first_and_its_queue_served, 0, MODELS);
}

static void fill_drains(TCase *tc)
{
    tcase_add_loop_test(
        tc, a_handler_that_ignores_its_cancel_is_left_behind_but_not_freed,
        THREAD, FIBER_EPOLL);
    tcase_add_loop_test(
        tc, a_client_that_has_all_but_stays_is_expired_by_a_stop_and_not_cut, 0,
        MODELS);
    tcase_add_test(tc, a_child_that_ignores_its_cancel_is_killed);
    tcase_add_loop_test(tc, handlers_learn_of_a_drain_and_say_goodbye, 0,
                        MODELS);
}

const struct test_case test_cases[] = {
    {"stop", "from", fill_stops},
    {"stop", "listeners", fill_listeners},
    {"stop", "drains", fill_drains},
    {NULL, NULL, NULL},
};
