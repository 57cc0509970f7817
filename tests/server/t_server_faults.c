/* SPDX-License-Identifier: MIT */
/*
 * t_server_faults.c - a server whose system calls fail.
 *
 * Faults strike the thread that planned them: so the server runs in the test's
 * own, and its clients are in another process.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "fault/faults.h"
#include "runner.h"
#include "server/serving.h"

#define CLIENTS 6

/* Notes events, and stops the server after the last client. */
struct script {
    struct events events;
    tcpx_server *server;
    int shortage; /* the first SHORTAGE's error */
};

static void follow(const tcpx_event *e, void *arg)
{
    struct script *script = arg;

    note_event(e, &script->events);
    if (e->kind == TCPX_EVENT_SHORTAGE && !script->shortage)
        script->shortage = e->error;
    if (script->events.n[TCPX_EVENT_HANDLER_ENDED] == CLIENTS &&
        e->kind == TCPX_EVENT_HANDLER_ENDED)
        tcpx_server_stop(script->server);
}

static int ask_in_turn(const char *address, int n)
{
    int lost = 0;

    for (int i = 0; i < n; i++)
        lost += ask(address, "answer me") != ANSWERED;
    return lost;
}

struct fault {
    enum tcpx__sys_call call;
    int model; /* MODELS: every one */
    int err;
};

/* Runs a server for CLIENTS clients, with calls that fail `times` times. */
static tcpx_server_counts run_with(struct script *script, int model,
                                   const struct fault *fault, int times)
{
    tcpx_server_opts o = serving_opts(model);
    struct serving s;
    pid_t clients;

    o.workers = model == POOL ? 2 : 0;
    o.on_event = follow;
    o.event_arg = script;
    prepare(&s, echo_handler, NULL, &o);
    script->server = s.server;
    clients = start_clients(ask_in_turn, &s, CLIENTS);
    fail_calls(fault->call, 2, times, fault->err);
    s.result = tcpx_server_run(s.server);
    fail_none();
    ck_ok(s.result);
    ck_assert_int_eq(end_clients(clients), 0);
    return end_serving(&s);
}

static const struct fault shortages[] = {
    {TCPX__SYS_accept4, ITERATIVE, -ENFILE},
    {TCPX__SYS_accept4, FORK, -EMFILE},
    {TCPX__SYS_accept4, THREAD, -ENOBUFS},
    {TCPX__SYS_accept4, POOL, -ENOMEM},
    {TCPX__SYS_pthread_create, THREAD, -EAGAIN},
    {TCPX__SYS_fork, FORK, -EAGAIN},
    {TCPX__SYS_fork, FORK, -ENOMEM},
};
#define SHORTAGES ((int)(sizeof(shortages) / sizeof(shortages[0])))

START_TEST(a_shortage_makes_clients_wait_and_is_told_once)
{
    const struct fault *fault = &shortages[_i];
    struct script script = {.shortage = 0};
    tcpx_time begun = tcpx_now();
    tcpx_server_counts n = run_with(&script, fault->model, fault, 8);

    ck_assert_uint_eq(n.closed, CLIENTS);
    ck_assert_uint_eq(n.shortages, 1);
    ck_assert_int_eq(script.shortage, fault->err);
    ck_assert_int_eq(script.events.n[TCPX_EVENT_SHORTAGE], 1);
    ck_assert_int_eq(script.events.n[TCPX_EVENT_SHORTAGE_END], 1);
    /* Pauses that grow, of which some may be cut short by a client's end. */
    ck_assert_int_gt(tcpx_now() - begun, 30 * TCPX_MSEC);
}
END_TEST

START_TEST(without_memory_for_a_client_it_stays_in_the_queue)
{
    static const struct fault fault = {TCPX__SYS_malloc, MODELS, -ENOMEM};
    struct script script = {.shortage = 0};
    tcpx_server_counts n = run_with(&script, THREAD, &fault, 5);

    ck_assert_uint_eq(n.closed, CLIENTS);
    ck_assert_int_eq(script.shortage, -ENOMEM);
}
END_TEST

/* What a model can do without. */
static const struct fault comforts[] = {
    {TCPX__SYS_pidfd_open, FORK, -EMFILE},
    {TCPX__SYS_epoll_ctl, FORK, -ENOSPC},
    {TCPX__SYS_setsockopt, MODELS, -EINVAL},
    {TCPX__SYS_eventfd, ITERATIVE, -EMFILE},
    {TCPX__SYS_eventfd, THREAD, -EMFILE},
    {TCPX__SYS_eventfd, POOL, -EMFILE},
};
#define COMFORTS ((int)(sizeof(comforts) / sizeof(comforts[0])))

START_TEST(a_server_does_without_what_is_only_a_comfort)
{
    const struct fault *fault = &comforts[_i];

    for (int model = 0; model < MODELS; model++) {
        struct script script = {.shortage = 0};

        if (fault->model != MODELS && fault->model != model)
            continue;
        ck_assert_uint_eq(run_with(&script, model, fault, 1000).closed,
                          CLIENTS);
    }
}
END_TEST

static const int of_clients[] = {
    -ECONNABORTED, -EPROTO,       -ENETDOWN,   -ENOPROTOOPT, -EHOSTDOWN,
    -ENONET,       -EHOSTUNREACH, -EOPNOTSUPP, -ENETUNREACH, -EPERM};
#define OF_CLIENTS ((int)(sizeof(of_clients) / sizeof(of_clients[0])))

START_TEST(an_error_of_one_client_is_counted_and_ends_nothing)
{
    const struct fault fault = {TCPX__SYS_accept4, MODELS, of_clients[_i]};

    for (int model = 0; model < MODELS; model++) {
        struct script script = {.shortage = 0};
        tcpx_server_counts n = run_with(&script, model, &fault, 3);

        ck_assert_uint_eq(n.closed, CLIENTS);
        ck_assert_uint_eq(n.accept_retries, 3);
        ck_assert_uint_eq(n.shortages, 0);
    }
}
END_TEST

static const int fatal[] = {-EBADF, -EINVAL, -ENOTSOCK, -EFAULT};
#define FATAL ((int)(sizeof(fatal) / sizeof(fatal[0])))

static int ask_once(const char *address, int none)
{
    (void)none;
    return ask(address, "answer me") == ANSWERED;
}

START_TEST(a_listener_that_broke_ends_the_run_with_its_error)
{
    for (int model = 0; model < MODELS; model++) {
        tcpx_server_opts o = serving_opts(model);
        struct serving s;
        pid_t clients;

        prepare(&s, echo_handler, NULL, &o);
        clients = start_clients(ask_once, &s, 0);
        fail_calls(TCPX__SYS_accept4, 1, 1000, fatal[_i]);
        s.result = tcpx_server_run(s.server);
        ck_assert_int_lt(calls_seen(), 20);
        fail_none();
        ck_assert_int_eq(s.result, fatal[_i]);
        ck_assert_uint_eq(end_serving(&s).accepted, 0);
        ck_assert_int_eq(end_clients(clients), 0);
    }
}
END_TEST

/* Whatever fails while a server is made or begins: an error, and no leak. */
START_TEST(no_failure_at_the_start_leaves_anything_behind)
{
    int failed = 1;

    for (int first = 1; failed; first++) {
        tcpx_server_opts o = serving_opts(_i);
        tcpx_server *s = NULL;
        int err;

        o.workers = _i == POOL ? 3 : 0;
        o.max_per_client = 2;
        o.refusal_text = "no";
        fail_calls(TCPX__SYS_COUNT, first, 1, -ENOMEM);
        err = tcpx_server_create(&s, "127.0.0.1:0", echo_handler, NULL, &o);
        if (!err) {
            tcpx_server_stop(s);
            err = tcpx_server_run(s);
        }
        failed = fail_none() >= first;
        ck_assert_msg(err <= 0, "failure %d gave %d", first, err);
        ck_assert(failed || err == 0);
        if (s)
            ck_ok(tcpx_server_free(s));
    }
}
END_TEST

static void fill_shortages(TCase *tc)
{
    tcase_add_loop_test(tc, a_shortage_makes_clients_wait_and_is_told_once, 0,
                        SHORTAGES);
    tcase_add_test(tc, without_memory_for_a_client_it_stays_in_the_queue);
    tcase_add_loop_test(tc, a_server_does_without_what_is_only_a_comfort, 0,
                        COMFORTS);
}

static void fill_errors(TCase *tc)
{
    tcase_add_loop_test(tc, an_error_of_one_client_is_counted_and_ends_nothing,
                        0, OF_CLIENTS);
    tcase_add_loop_test(tc, a_listener_that_broke_ends_the_run_with_its_error,
                        0, FATAL);
    tcase_add_loop_test(tc, no_failure_at_the_start_leaves_anything_behind, 0,
                        MODELS);
}

const struct test_case test_cases[] = {
    {"server-faults", "shortages", fill_shortages},
    {"server-faults", "errors", fill_errors},
    {NULL, NULL, NULL},
};
