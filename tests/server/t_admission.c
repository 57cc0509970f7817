/* SPDX-License-Identifier: MIT */
/*
 * t_admission.c - who is let in, and for how long.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "runner.h"
#include "server/serving.h"

static int connect_from(int fd, const struct sockaddr *from, socklen_t from_len,
                        const struct sockaddr *to, socklen_t to_len)
{
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, from, from_len), 0);
    ck_assert_int_eq(connect(fd, to, to_len), 0);
    return fd;
}

static in_port_t port_of(const struct serving *s)
{
    const char *colon = strrchr(tcpx_server_address(s->server), ':');

    return htons((in_port_t)strtoul(colon + 1, NULL, 10));
}

/* A client whose address is another than the others': 127.0.0.x. */
static int client_from(const struct serving *s, unsigned x)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = port_of(s)};

    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + x);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect_from(socket(AF_INET, SOCK_STREAM, 0),
                        (struct sockaddr *)&from, sizeof(from),
                        (struct sockaddr *)&to, sizeof(to));
}

static tcpx_server_opts telling_opts(int model, struct events *events)
{
    tcpx_server_opts o = serving_opts(model);

    o.on_event = note_event;
    o.event_arg = events;
    o.workers = model == POOL ? 8 : 0;
    return o;
}

/* The loops below leave out the iterative server: it has one client at a
   time, so that no limit on several is ever met. */

START_TEST(clients_beyond_the_limit_wait_in_the_kernel_and_are_served)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    tcpx_server_counts n;
    int fds[5];

    o.max_connections = 2;
    serve(&s, echo_handler, NULL, &o);
    for (int i = 0; i < 5; i++)
        fds[i] = client_of(&s);
    await_count(&s, longest_queue, 3);
    for (int i = 0; i < 5; i++)
        expect_echo(fds[i], "in turn");
    ck_ok(stop_serving(&s));
    n = end_serving(&s);
    ck_assert_uint_eq(n.closed, 5);
    ck_assert_uint_eq(n.most_active, 2);
    ck_assert_int_eq(atomic_load(&events.n[TCPX_EVENT_REFUSED]), 0);
    ck_assert_int_eq(atomic_load(&events.n[TCPX_EVENT_ACCEPTED]), 5);
    ck_assert_int_eq(atomic_load(&events.n[TCPX_EVENT_HANDLER_ENDED]), 5);
}
END_TEST

/* Expects the words and a clean end: a client that asked nothing yet. */
static void expect_refusal(int fd, const char *words)
{
    char got[64];
    size_t n = raw_recv(fd, got, sizeof(got));

    ck_assert_uint_eq(n, strlen(words));
    ck_assert_mem_eq(got, words, n);
    leave(fd);
}

START_TEST(a_full_server_may_refuse_and_says_why)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    tcpx_server_counts n;
    int fd;

    o.max_connections = 1;
    o.refuse_when_full = 1;
    o.refusal_text = "come back later\r\n";
    serve(&s, echo_handler, NULL, &o);
    fd = client_of(&s);
    await_count(&s, active, 1);
    for (int i = 0; i < 3; i++)
        expect_refusal(client_of(&s), "come back later\r\n");
    expect_echo(fd, "the first");
    await_count(&s, closed, 1);
    expect_echo(client_of(&s), "later");
    ck_ok(stop_serving(&s));
    n = end_serving(&s);
    ck_assert_uint_eq(n.accepted, 2);
    ck_assert_uint_eq(n.refused_connections, 3);
    ck_assert_int_eq(atomic_load(&events.refused[TCPX_REFUSED_CONNECTIONS]), 3);
}
END_TEST

START_TEST(a_client_that_has_gone_makes_room_at_once)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;

    o.max_connections = 1;
    o.max_per_client = 1;
    serve(&s, echo_handler, NULL, &o);
    for (int i = 0; i < 30; i++) {
        expect_echo(client_of(&s), "one at a time");
        await_count(&s, active, 0);
    }
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 30);
}
END_TEST

START_TEST(one_address_may_have_so_many_connections_and_others_theirs)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    tcpx_server_counts n;
    int mine[2];
    int theirs[2];

    o.max_per_client = 2;
    serve(&s, echo_handler, NULL, &o);
    for (int i = 0; i < 2; i++)
        mine[i] = client_from(&s, 2);
    await_count(&s, active, 2);
    expect_refusal(client_from(&s, 2), "");
    for (int i = 0; i < 2; i++)
        theirs[i] = client_from(&s, 3);
    await_count(&s, active, 4);
    expect_refusal(client_from(&s, 3), "");
    expect_echo(mine[0], "goes");
    await_count(&s, active, 3);
    expect_echo(client_from(&s, 2), "comes");
    expect_echo(mine[1], "goes");
    for (int i = 0; i < 2; i++)
        expect_echo(theirs[i], "goes");
    ck_ok(stop_serving(&s));
    n = end_serving(&s);
    ck_assert_uint_eq(n.accepted, 5);
    ck_assert_uint_eq(n.refused_client, 2);
    ck_assert_int_eq(atomic_load(&events.refused[TCPX_REFUSED_CLIENT]), 2);
}
END_TEST

/* Many addresses that come and go, so that the table grows and shrinks. */
START_TEST(every_address_is_counted_by_itself)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(THREAD, &events);
    struct serving s;
    int fds[200];

    o.max_per_client = 1;
    serve(&s, echo_handler, NULL, &o);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 200; i++)
            fds[i] = client_from(&s, 2 + i);
        await_count(&s, active, 200);
        for (unsigned i = 0; i < 200; i += 7)
            expect_refusal(client_from(&s, 2 + i), "");
        for (unsigned i = 0; i < 200; i++)
            expect_echo(fds[i], "one of many");
        await_count(&s, active, 0);
    }
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).refused_client, 2 * 29);
}
END_TEST

static int has_ipv6(void)
{
    struct sockaddr_in6 sin = {.sin6_family = AF_INET6,
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    int has = fd >= 0 && bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0;

    if (fd >= 0)
        close(fd);
    return has;
}

/* ::1 is the one IPv6 address that every host has; it is a /64 too. */
START_TEST(an_ipv6_client_is_counted_apart_from_ipv4_ones)
{
    static const char *const more[] = {"[::1]:0", NULL};
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(THREAD, &events);
    struct sockaddr_in6 from = {.sin6_family = AF_INET6,
                                .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in6 to = from;
    struct serving s;
    int fds[3];

    if (!has_ipv6())
        skip_test("this host has no IPv6");
    o.max_per_client = 1;
    o.addresses = more;
    ck_ok(tcpx_server_create(&s.server, NULL, echo_handler, NULL, &o));
    start_serving(&s);
    to.sin6_port = port_of(&s);
    for (int i = 0; i < 2; i++)
        fds[i] = connect_from(socket(AF_INET6, SOCK_STREAM, 0),
                              (struct sockaddr *)&from, sizeof(from),
                              (struct sockaddr *)&to, sizeof(to));
    expect_refusal(fds[1], "");
    expect_echo(fds[0], "six");
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).refused_client, 1);
}
END_TEST

START_TEST(more_clients_than_the_rate_allows_are_refused)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    tcpx_server_counts n;

    o.accept_rate = 1; /* a loaded host takes its time, so a slow bucket */
    o.accept_burst = 3;
    serve(&s, echo_handler, NULL, &o);
    for (int i = 0; i < 40; i++) {
        int fd = client_of(&s);

        shutdown(fd, SHUT_WR); /* fails if it was refused already */
        ends_cleanly(fd);
        leave(fd);
    }
    ck_ok(stop_serving(&s));
    n = end_serving(&s);
    ck_assert_uint_ge(n.accepted, 3);
    ck_assert_uint_le(n.accepted, 3 + n.uptime / TCPX_SEC);
    ck_assert_uint_eq(n.accepted + n.refused_rate, 40);
    ck_assert_int_eq(atomic_load(&events.refused[TCPX_REFUSED_RATE]),
                     (int)n.refused_rate);
}
END_TEST

START_TEST(the_rate_is_kept_up_over_time)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(THREAD, &events);
    tcpx_time until;
    struct serving s;
    tcpx_server_counts n;

    o.accept_rate = 50;
    o.accept_burst = 1;
    serve(&s, echo_handler, NULL, &o);
    until = tcpx_after(TCPX_SEC);
    while (tcpx_now() < until) {
        int fd = client_of(&s);

        shutdown(fd, SHUT_WR);
        ends_cleanly(fd);
        leave(fd);
    }
    ck_ok(stop_serving(&s));
    n = end_serving(&s);
    ck_assert_uint_le(n.accepted, 1 + n.uptime / (TCPX_SEC / 50));
    ck_assert_uint_ge(n.accepted, 5); /* of 50: hosts are slow */
}
END_TEST

START_TEST(a_client_that_says_nothing_first_is_ended)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    int fd;

    o.first_byte = 50 * TCPX_MSEC;
    serve(&s, echo_handler, NULL, &o);
    fd = client_of(&s);
    ck_assert(!ends_cleanly(fd));
    leave(fd);
    await_count(&s, limited, 1);
    ck_assert_int_eq(atomic_load(&events.error), TCPX_ELIMIT);
    ck_ok(stop_serving(&s));
    end_serving(&s);
}
END_TEST

/* Reads only after several times the limit. */
static void read_late(tcpx_conn *c, void *arg)
{
    ck_assert_int_eq(tcpx_sleep(tcpx_after(300 * TCPX_MSEC)), 0);
    echo_handler(c, arg);
}

START_TEST(a_client_that_has_spoken_is_not_ended_because_its_handler_is_slow)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;

    o.first_byte = 50 * TCPX_MSEC;
    serve(&s, read_late, NULL, &o);
    expect_echo(client_of(&s), "in time");
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

/* At a stop clients are accepted before there is a worker for them. */
START_TEST(a_client_that_waits_for_a_worker_is_not_ended)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(POOL, &events);
    struct serving s;
    int gate = new_gate();
    int fds[4];

    o.workers = 1;
    o.first_byte = 50 * TCPX_MSEC;
    prepare(&s, gated_handler, &gate, &o);
    for (int i = 0; i < 4; i++) {
        fds[i] = client_of(&s);
        raw_send(fds[i], "patient", 7);
    }
    tcpx_server_stop(s.server);
    start_serving(&s);
    await_count(&s, active, 4);
    tcpx_sleep(tcpx_after(4 * o.first_byte)); /* the limit passes */
    open_gate(gate);
    for (int i = 0; i < 4; i++) {
        char got[8];

        ck_assert_int_eq(shutdown(fds[i], SHUT_WR), 0);
        ck_assert_uint_eq(raw_recv(fds[i], got, sizeof(got)), 7);
        leave(fds[i]);
    }
    end_thread(s.thread);
    ck_ok(s.result);
    ck_assert_uint_eq(end_serving(&s).closed, 4);
    close(gate);
}
END_TEST

/* Ways to wait for ever; each is to end with TCPX_ELIMIT. */

static void wait_in_read(tcpx_conn *c)
{
    char byte;

    ck_fails(tcpx_read(c, &byte, 1, TCPX_FOREVER), TCPX_ELIMIT);
}

static void wait_in_write(tcpx_conn *c)
{
    static char much[1 << 20];
    int err;

    do
        err = tcpx_writen(c, much, sizeof(much), NULL, TCPX_FOREVER);
    while (err == 0);
    ck_fails(err, TCPX_ELIMIT);
}

static void wait_in_sleep(tcpx_conn *c)
{
    (void)c;
    ck_fails(tcpx_sleep(TCPX_FOREVER), TCPX_ELIMIT);
}

static void wait_in_queue(tcpx_conn *c)
{
    tcpx_queue *q;
    void *item;

    (void)c;
    ck_ok(tcpx_queue_create(&q, 1, NULL));
    ck_fails(tcpx_queue_get(q, &item, TCPX_FOREVER), TCPX_ELIMIT);
    ck_ok(tcpx_queue_free(q));
}

static void wait_in_wait(tcpx_conn *c)
{
    tcpx_queue *q;
    tcpx_waitfor items[1];

    (void)c;
    ck_ok(tcpx_queue_create(&q, 1, NULL));
    items[0] = (tcpx_waitfor)TCPX_ON_QUEUE(q, TCPX_READABLE);
    ck_fails(tcpx_wait(items, 1, TCPX_FOREVER), TCPX_ELIMIT);
    ck_ok(tcpx_queue_free(q));
}

/* A listener whose queue is full lets nobody connect. */
static void wait_in_connect(tcpx_conn *c)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof(sin);
    int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tcpx_conn *out[4] = {NULL};
    char address[32];
    int err = 0;

    (void)c;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(full, (struct sockaddr *)&sin, sizeof(sin)), 0);
    ck_assert_int_eq(listen(full, 0), 0);
    ck_assert_int_eq(getsockname(full, (struct sockaddr *)&sin, &len), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(sin.sin_port));
    for (int i = 0; i < 4 && !err; i++)
        err = tcpx_connect(&out[i], address, NULL, TCPX_FOREVER);
    ck_fails(err, TCPX_ELIMIT);
    for (int i = 0; i < 4; i++)
        tcpx_abort(out[i]);
    close(full);
}

static void (*const waits[])(tcpx_conn *) = {wait_in_read,  wait_in_write,
                                             wait_in_sleep, wait_in_queue,
                                             wait_in_wait,  wait_in_connect};
#define WAITS ((int)(sizeof(waits) / sizeof(waits[0])))

static void wait_somehow(tcpx_conn *c, void *arg)
{
    waits[*(int *)arg](c);
}

START_TEST(a_limit_ends_every_kind_of_wait)
{
    struct events events = {.error = 0};
    int how = _i % WAITS;
    tcpx_server_opts o = telling_opts(_i / WAITS, &events);
    struct serving s;
    int fd;

    o.lifetime = 100 * TCPX_MSEC;
    serve(&s, wait_somehow, &how, &o);
    fd = client_of(&s);
    await_count(&s, limited, 1);
    ck_assert(!ends_cleanly(fd));
    leave(fd);
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).limited, 1);
    ck_assert_int_eq(atomic_load(&events.reason), 0); /* no crash of a child */
}
END_TEST

static void say_bye(tcpx_conn *c, void *arg)
{
    (void)arg;
    ck_ok(tcpx_writen(c, "bye", 3, NULL, TCPX_FOREVER));
}

/* The limit strikes while the server waits for the client's end. */
START_TEST(a_limit_that_strikes_after_the_handler_ends_only_its_client)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    char got[4];
    int fd;

    o.lifetime = 100 * TCPX_MSEC;
    o.close_idle = o.close_total = _i == POOL ? 100 * TCPX_MSEC : 0;
    serve(&s, say_bye, NULL, &o);
    fd = client_of(&s);
    ck_assert_uint_eq(raw_recv(fd, got, sizeof(got)), 3);
    if (_i == POOL)
        await_count(&s, expired, 1);
    else
        await_count(&s, limited, 1);
    leave(fd);
    fd = client_of(&s);
    ck_assert_uint_eq(raw_recv(fd, got, sizeof(got)), 3);
    leave(fd);
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

static void trickle(tcpx_conn *c, void *arg)
{
    (void)arg;
    for (int i = 0; i < 8; i++) {
        tcpx_sleep(tcpx_after(50 * TCPX_MSEC));
        ck_ok(tcpx_writen(c, "x", 1, NULL, TCPX_FOREVER));
    }
}

START_TEST(a_byte_now_and_then_is_not_idle)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    int fd;

    o.idle = 250 * TCPX_MSEC;
    serve(&s, trickle, NULL, &o);
    fd = client_of(&s);
    ck_assert(ends_cleanly(fd));
    leave(fd);
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

static void fill_counts(TCase *tc)
{
    tcase_add_loop_test(
        tc, clients_beyond_the_limit_wait_in_the_kernel_and_are_served, FORK,
        MODELS);
    tcase_add_loop_test(tc, a_full_server_may_refuse_and_says_why, FORK,
                        MODELS);
    tcase_add_loop_test(tc, a_client_that_has_gone_makes_room_at_once, 0,
                        MODELS);
    tcase_add_loop_test(
        tc, one_address_may_have_so_many_connections_and_others_theirs, FORK,
        MODELS);
    tcase_add_test(tc, every_address_is_counted_by_itself);
    tcase_add_test(tc, an_ipv6_client_is_counted_apart_from_ipv4_ones);
}

static void fill_rates(TCase *tc)
{
    tcase_add_loop_test(tc, more_clients_than_the_rate_allows_are_refused, 0,
                        MODELS);
    tcase_add_test(tc, the_rate_is_kept_up_over_time);
}

static void fill_times(TCase *tc)
{
    tcase_add_loop_test(tc, a_client_that_says_nothing_first_is_ended, 0,
                        MODELS);
    tcase_add_loop_test(
        tc, a_client_that_has_spoken_is_not_ended_because_its_handler_is_slow,
        0, MODELS);
    tcase_add_test(tc, a_client_that_waits_for_a_worker_is_not_ended);
    tcase_add_loop_test(
        tc, a_limit_that_strikes_after_the_handler_ends_only_its_client, 0,
        MODELS);
    tcase_add_loop_test(tc, a_byte_now_and_then_is_not_idle, 0, MODELS);
}

static void fill_waits(TCase *tc)
{
    tcase_add_loop_test(tc, a_limit_ends_every_kind_of_wait, 0, MODELS * WAITS);
}

const struct test_case test_cases[] = {
    {"admission", "counts", fill_counts},
    {"admission", "rates", fill_rates},
    {"admission", "times", fill_times},
    {"admission", "waits", fill_waits},
    {NULL, NULL, NULL},
};
