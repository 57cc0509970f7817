/* SPDX-License-Identifier: MIT */
/*
 * t_accept.c - accepting clients, and what ends a wait for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "listening.h"
#include "runner.h"
#include "support.h"

/* ---- What comes out ------------------------------------------------------ */

START_TEST(accept_gives_the_client_that_is_there)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    int client = raw_connect(tcpx_listener_address(l));
    tcpx_conn *c = NULL;
    char text[64];
    char byte = 0;

    ck_ok(tcpx_accept(&c, l, TCPX_NOW));
    raw_send(client, "x", 1);
    ck_assert_int_eq(tcpx_read(c, &byte, 1, soon()), 1);
    ck_assert_int_eq(byte, 'x');
    local_text(client, text, sizeof(text));
    ck_assert_str_eq(tcpx_conn_peer(c), text);
    ck_assert_str_eq(tcpx_conn_local(c), tcpx_listener_address(l));
    tcpx_abort(c);
    close(client);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(accept_without_a_client_ends_at_the_deadline)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    tcpx_time begin = tcpx_now();
    tcpx_conn *c = NULL;

    ck_fails(tcpx_accept(&c, l, TCPX_NOW), TCPX_EDEADLINE);
    ck_fails(tcpx_accept(&c, l, begin), TCPX_EDEADLINE);
    ck_fails(tcpx_accept(&c, l, begin + 50 * TCPX_MSEC), TCPX_EDEADLINE);
    ck_assert(tcpx_now() >= begin + 50 * TCPX_MSEC);
    ck_assert_ptr_null(c);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), tcpx_listener_address(l)));
    tcpx_listener_close(l);
}
END_TEST

static void *accept_one(void *listener)
{
    tcpx_conn *c = NULL;

    ck_ok(tcpx_accept(&c, listener, soon()));
    return c;
}

START_TEST(accept_waits_for_a_client)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    pthread_t thread = start_thread(accept_one, l);
    int client = raw_connect(tcpx_listener_address(l));

    tcpx_abort(end_thread(thread));
    close(client);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(an_accepted_socket_is_blocking_and_closed_on_exec)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    int client = raw_connect(tcpx_listener_address(l));
    tcpx_conn *c = accept_on(l);
    int fd = tcpx_conn_fd(c);

    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    tcpx_abort(c);
    close(client);
    tcpx_listener_close(l);
}
END_TEST

/* The options of a client that was accepted under opts. */
static struct options accepted_with(const tcpx_listen_opts *opts)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", opts);
    int client = raw_connect(tcpx_listener_address(l));
    tcpx_conn *c = accept_on(l);
    struct options seen = options_of(c);

    tcpx_abort(c);
    close(client);
    tcpx_listener_close(l);
    return seen;
}

START_TEST(accepted_sockets_have_the_careful_defaults)
{
    struct options seen = accepted_with(NULL);

    ck_assert_int_eq(seen.nodelay, 1);
    ck_assert_int_eq(seen.keepalive, 1);
    ck_assert_int_eq(seen.idle, 60);
    ck_assert_int_eq(seen.interval, 15);
    ck_assert_int_eq(seen.count, 4);
    ck_assert_int_eq(seen.timeout, 0);
}
END_TEST

START_TEST(each_option_of_accepted_sockets_can_be_set)
{
    /* Durations are rounded up to what the kernel counts in. */
    struct options seen = accepted_with(
        TCPX_LISTEN(.keepalive_idle = 7 * TCPX_SEC - TCPX_MSEC,
                    .keepalive_interval = TCPX_MSEC, .keepalive_count = 9,
                    .user_timeout = 2500 * TCPX_MSEC + 1, .send_buffer = 20000,
                    .receive_buffer = 30000));

    ck_assert_int_eq(seen.keepalive, 1);
    ck_assert_int_eq(seen.idle, 7);
    ck_assert_int_eq(seen.interval, 1);
    ck_assert_int_eq(seen.count, 9);
    ck_assert_int_eq(seen.timeout, 2501);
    ck_assert_int_eq(seen.send_buffer, 40000); /* the kernel doubles it */
    ck_assert_int_eq(seen.receive_buffer, 60000);
}
END_TEST

START_TEST(each_default_of_accepted_sockets_can_be_switched_off)
{
    struct options seen =
        accepted_with(TCPX_LISTEN(.nagle = 1, .keepalive_idle = TCPX_NONE));

    ck_assert_int_eq(seen.nodelay, 0);
    ck_assert_int_eq(seen.keepalive, 0);
    ck_assert_int_eq(seen.timeout, 0);
}
END_TEST

START_TEST(a_client_that_reset_before_accept_is_given_with_its_address)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    int client = raw_connect(tcpx_listener_address(l));
    struct sockaddr_storage peer;
    tcpx_conn *c;
    char text[64];
    char byte;

    local_text(client, text, sizeof(text));
    raw_reset(client);
    c = accept_on(l);
    ck_assert_str_eq(tcpx_conn_peer(c), text);
    ck_assert_int_eq(tcpx_conn_peer_sockaddr(c, &peer),
                     (int)sizeof(struct sockaddr_in));
    ck_fails(tcpx_read(c, &byte, 1, soon()), -ECONNRESET);
    tcpx_abort(c);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(an_ipv4_client_of_a_wildcard_listener_reads_as_plain_ipv4)
{
    tcpx_listener *l = listen_on(":0", NULL);
    const char *port = strrchr(tcpx_listener_address(l), ':');
    struct sockaddr_storage peer;
    char address[32];
    char text[64];
    tcpx_conn *c;
    int client;

    snprintf(address, sizeof(address), "127.0.0.1%s", port);
    client = raw_connect(address);
    c = accept_on(l);
    local_text(client, text, sizeof(text));
    ck_assert_str_eq(tcpx_conn_peer(c), text);
    ck_assert_str_eq(tcpx_conn_local(c), address);
    ck_ok(tcpx_conn_peer_sockaddr(c, &peer));
    ck_assert_int_eq(peer.ss_family, AF_INET);
    tcpx_abort(c);
    close(client);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(an_ipv6_client_of_a_wildcard_listener_is_served_too)
{
    tcpx_listener *l = listen_on("*:0", NULL);
    int client = connect_ipv6(port_of(l));
    tcpx_conn *c = accept_on(l);

    ck_assert_int_eq(strncmp(tcpx_conn_peer(c), "[::1]:", 6), 0);
    tcpx_abort(c);
    close(client);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(v6_only_takes_no_ipv4_client)
{
    tcpx_listener *l = listen_on("*:0", TCPX_LISTEN(.v6_only = 1));
    const char *address = tcpx_listener_address(l);

    ck_assert_int_eq(is_refused(address), 1);
    close(connect_ipv6(port_of(l)));
    tcpx_listener_close(l);
}
END_TEST

START_TEST(wrong_arguments_of_accept_are_errors)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    tcpx_conn *c = NULL;

    ck_fails(tcpx_accept(NULL, l, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_accept(&c, NULL, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_accept(&c, l, 5 * TCPX_MSEC), -EINVAL);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), "tcpx_after"));
    ck_assert_ptr_null(c);
    tcpx_listener_close(l);
}
END_TEST

static void fill_clients(TCase *tc)
{
    tcase_add_test(tc, accept_gives_the_client_that_is_there);
    tcase_add_test(tc, accept_without_a_client_ends_at_the_deadline);
    tcase_add_test(tc, accept_waits_for_a_client);
    tcase_add_test(tc,
                   a_client_that_reset_before_accept_is_given_with_its_address);
    tcase_add_test(tc,
                   an_ipv4_client_of_a_wildcard_listener_reads_as_plain_ipv4);
    tcase_add_test(tc, an_ipv6_client_of_a_wildcard_listener_is_served_too);
    tcase_add_test(tc, v6_only_takes_no_ipv4_client);
    tcase_add_test(tc, wrong_arguments_of_accept_are_errors);
}

static void fill_options(TCase *tc)
{
    tcase_add_test(tc, an_accepted_socket_is_blocking_and_closed_on_exec);
    tcase_add_test(tc, accepted_sockets_have_the_careful_defaults);
    tcase_add_test(tc, each_option_of_accepted_sockets_can_be_set);
    tcase_add_test(tc, each_default_of_accepted_sockets_can_be_switched_off);
}

const struct test_case test_cases[] = {
    {"accept", "clients", fill_clients},
    {"accept", "options", fill_options},
    {NULL, NULL, NULL},
};
