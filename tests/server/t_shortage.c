/* SPDX-License-Identifier: MIT */
/*
 * t_shortage.c - a server at its limit of descriptors.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "runner.h"
#include "server/serving.h"

#define CLIENTS 500
#define DESCRIPTORS 64

/* Models that serve several at a time: one alone never comes to the limit. */
static const int concurrent[] = {FORK, THREAD, POOL};
#define CONCURRENT ((int)(sizeof(concurrent) / sizeof(concurrent[0])))

static void limit_descriptors(rlim_t n)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = n < limit.rlim_max ? n : limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* All connect and ask before one of them waits for its answer. */
static int many_at_once(const char *address, int n)
{
    static int fds[CLIENTS];
    int lost = 0;

    for (int i = 0; i < n; i++) {
        fds[i] = dial(address);
        if (fds[i] < 0 || send(fds[i], "ask", 3, 0) != 3 ||
            shutdown(fds[i], SHUT_WR))
            return 2;
    }
    for (int i = 0; i < n; i++)
        lost |= expect_answer(fds[i], "ask") != ANSWERED;
    return lost;
}

static tcpx_time cpu_time(void)
{
    struct rusage u;

    ck_assert_int_eq(getrusage(RUSAGE_SELF, &u), 0);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * TCPX_SEC +
           (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * TCPX_USEC;
}

/* What a second costs.  The sleep is what is measured. */
static tcpx_time cost_of_a_second(void)
{
    tcpx_time before = cpu_time();

    tcpx_sleep(tcpx_after(TCPX_SEC));
    return cpu_time() - before;
}

static tcpx_server_opts starving_opts(int model, struct events *events)
{
    tcpx_server_opts o = serving_opts(model);

    o.on_event = note_event;
    o.event_arg = events;
    o.workers = model == POOL ? 2 * DESCRIPTORS : 0;
    return o;
}

START_TEST(many_clients_on_few_descriptors_cost_nothing_and_are_all_served)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = starving_opts(concurrent[_i], &events);
    struct serving s;
    tcpx_server_counts n;
    int gate = new_gate();
    pid_t clients;
    tcpx_time cost;

    limit_descriptors(2 * CLIENTS);
    prepare(&s, gated_handler, &gate, &o);
    clients = start_clients(many_at_once, &s, CLIENTS);
    limit_descriptors(DESCRIPTORS);
    start_serving(&s);
    await_value(events.n[TCPX_EVENT_SHORTAGE], 1);
    cost = cost_of_a_second();
    ck_assert_msg(cost < TCPX_SEC / 20, "a starved second cost %d ms",
                  (int)(cost / TCPX_MSEC));
    ck_assert_int_eq(atomic_load(&events.n[TCPX_EVENT_SHORTAGE]), 1);
    ck_assert_int_eq(atomic_load(&events.n[TCPX_EVENT_SHORTAGE_END]), 0);
    open_gate(gate);
    ck_assert_int_eq(end_clients(clients), 0);
    ck_ok(stop_serving(&s));
    n = end_serving(&s);
    ck_assert_uint_eq(n.accepted, CLIENTS);
    ck_assert_uint_eq(n.closed, CLIENTS);
    ck_assert_uint_eq(n.bytes_read, 3 * CLIENTS);
    ck_assert_uint_eq(n.bytes_written, 3 * CLIENTS);
    /* A child whose pidfd found no place is looked after by its id alone. */
    if (model_at(_i) != TCPX_FORK)
        ck_assert_uint_lt(n.most_active, 2 * DESCRIPTORS);
    ck_assert_uint_ge(n.longest_queue, CLIENTS / 2);
    ck_assert_int_eq(atomic_load(&events.n[TCPX_EVENT_SHORTAGE]),
                     (int)n.shortages);
    ck_assert_int_eq(atomic_load(&events.n[TCPX_EVENT_SHORTAGE_END]),
                     (int)n.shortages);
    ck_assert_int_eq(atomic_load(&events.n[TCPX_EVENT_HANDLER_ENDED]), CLIENTS);
    close(gate);
}
END_TEST

/* Until so many clients have come: a stop turns away who comes after it. */
static void await_queued(const struct serving *s, uint64_t all)
{
    tcpx_server_counts n = {.accepted = 0};
    tcpx_time until = soon();

    while (n.longest_queue + n.accepted < all) {
        ck_assert_msg(tcpx_now() < until, "%d clients never came", (int)all);
        tcpx_sleep(tcpx_after(TCPX_MSEC));
        ck_ok(tcpx_server_stats(s->server, &n));
    }
}

START_TEST(a_server_that_starves_can_be_stopped)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = starving_opts(concurrent[_i], &events);
    struct serving s;
    int gate = new_gate();
    pid_t clients;

    limit_descriptors(2 * CLIENTS);
    prepare(&s, gated_handler, &gate, &o);
    clients = start_clients(many_at_once, &s, CLIENTS / 2);
    limit_descriptors(DESCRIPTORS);
    start_serving(&s);
    await_value(events.n[TCPX_EVENT_SHORTAGE], 1);
    await_queued(&s, CLIENTS / 2);
    tcpx_server_stop(s.server);
    await_value(events.n[TCPX_EVENT_DRAINING], 1);
    ck_assert_int_lt(cost_of_a_second(), TCPX_SEC / 20);
    open_gate(gate);
    ck_assert_int_eq(end_clients(clients), 0);
    end_thread(s.thread);
    ck_ok(s.result);
    ck_assert_uint_eq(end_serving(&s).closed, CLIENTS / 2);
    close(gate);
}
END_TEST

/* Workers that are busy, and a shortage whose pause is over. */
/* Over a socket made beforehand: there may be no descriptor for another. */
static void connect_over(int fd, const char *address)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    sin.sin_port =
        htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
}

START_TEST(a_shortage_that_met_a_full_server_costs_nothing)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = starving_opts(THREAD, &events);
    struct serving s;
    int gate = new_gate();
    int spare[DESCRIPTORS];
    int n = 0;
    int fds[2];

    o.max_connections = 2;
    serve(&s, gated_handler, &gate, &o);
    fds[0] = client_of(&s);
    await_count(&s, active, 1);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    limit_descriptors(DESCRIPTORS);
    while (n < DESCRIPTORS && (spare[n] = dup(gate)) >= 0)
        n++;
    connect_over(fds[1], tcpx_server_address(s.server));
    await_value(events.n[TCPX_EVENT_SHORTAGE], 1);
    while (n > 0)
        close(spare[--n]);
    await_count(&s, active, 2);
    ck_assert_int_lt(cost_of_a_second(), TCPX_SEC / 20);
    open_gate(gate);
    for (int i = 0; i < 2; i++)
        expect_echo(fds[i], "at last");
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 2);
    close(gate);
}
END_TEST

/* Its queue is another holder's too, which takes the client that waited. */
START_TEST(a_client_that_another_process_took_leaves_no_spinning_shortage)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = starving_opts(THREAD, &events);
    struct serving s;
    char address[32];
    int listener = raw_listen(address, sizeof(address));
    tcpx_listener *l;
    tcpx_listener *listeners[2] = {NULL, NULL};
    int spare[DESCRIPTORS];
    int n = 0;
    int fd;

    ck_ok(tcpx_listener_adopt(&l, dup(listener), NULL));
    listeners[0] = l;
    o.listeners = listeners;
    ck_ok(tcpx_server_create(&s.server, NULL, echo_handler, NULL, &o));
    start_serving(&s);
    fd = raw_connect(address); /* so that all that a wait needs is there */
    expect_echo(fd, "first");
    fd = socket(AF_INET, SOCK_STREAM, 0);
    limit_descriptors(DESCRIPTORS);
    while (n < DESCRIPTORS && (spare[n] = dup(listener)) >= 0)
        n++;
    connect_over(fd, address);
    await_value(events.n[TCPX_EVENT_SHORTAGE], 1);
    close(spare[--n]);
    /* Either took it: the server, or this test for somebody else. */
    spare[n] = accept(listener, NULL, NULL);
    n += spare[n] >= 0;
    ck_assert_int_lt(cost_of_a_second(), TCPX_SEC / 20);
    while (n > 0)
        close(spare[--n]);
    leave(fd);
    ck_ok(stop_serving(&s));
    end_serving(&s);
    tcpx_listener_close(l);
    close(listener);
}
END_TEST

static void fill_starved(TCase *tc)
{
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(
        tc, many_clients_on_few_descriptors_cost_nothing_and_are_all_served, 0,
        CONCURRENT);
    tcase_add_loop_test(tc, a_server_that_starves_can_be_stopped, 0,
                        CONCURRENT);
}

static void fill_spins(TCase *tc)
{
    tcase_add_test(tc, a_shortage_that_met_a_full_server_costs_nothing);
    tcase_add_test(
        tc, a_client_that_another_process_took_leaves_no_spinning_shortage);
}

const struct test_case test_cases[] = {
    {"shortage", "starved", fill_starved},
    {"shortage", "spins", fill_spins},
    {NULL, NULL, NULL},
};
