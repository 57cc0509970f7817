/* SPDX-License-Identifier: MIT */
/*
 * t_admission.c - who is let in.
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

const struct test_case test_cases[] = {
    {"admission", "counts", fill_counts},
    {"admission", "rates", fill_rates},
    {NULL, NULL, NULL},
};
