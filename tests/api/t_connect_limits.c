/* SPDX-License-Identifier: MIT */
/*
 * t_connect_limits.c - connects that need a network of their own: out of ports,
 * with Multipath TCP, and limits on a peer that is gone.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "firewall.h"
#include "peers.h"
#include "runner.h"
#include "support.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static tcpx_conn *c;

/* ---- Ports --------------------------------------------------------------- */

static void ports(int first, int last)
{
    shell("sysctl -qw net.ipv4.ip_local_port_range='%d %d'", first, last);
}

static int connect_from(const char *local, const char *address)
{
    return tcpx_connect(&c, address, TCPX_CONNECT(.bind = local), soon());
}

START_TEST(when_the_local_ports_ran_out_it_says_so)
{
    static const char *const locals[] = {NULL, "192.0.2.2"};
    int listener;

    FIREWALL();
    ports(40000, 40001);
    listener = listen_in(AF_INET);
    for (size_t i = 0; i < 2; i++) {
        tcpx_conn *held[2];

        for (int k = 0; k < 2; k++) {
            ck_ok(connect_from(locals[i], "192.0.2.1:7001"));
            held[k] = c;
            close(raw_accept(listener));
        }
        ck_fails(connect_from(locals[i], "192.0.2.1:7001"), -EADDRNOTAVAIL);
        ck_says("no free local port");
        /* The ports are used up for one peer, not for another. */
        ck_ok(connect_from(locals[i], "192.0.2.3:7001"));
        tcpx_abort(c);
        close(raw_accept(listener));
        tcpx_abort(held[0]);
        tcpx_abort(held[1]);
    }
    close(listener);
}
END_TEST

START_TEST(a_port_that_the_connect_takes_for_itself_is_refused)
{
    FIREWALL();
    ports(40000, 40001);
    for (int i = 0; i < 50; i++) {
        ck_fails(tcpx_connect(&c, "192.0.2.1:40000", NULL, soon()),
                 -ECONNREFUSED);
        ck_fails(tcpx_connect(&c, "192.0.2.1:40001", NULL, soon()),
                 -ECONNREFUSED);
    }
}
END_TEST

static void fill_ports(TCase *tc)
{
    tcase_add_test(tc, when_the_local_ports_ran_out_it_says_so);
    tcase_add_test(tc, a_port_that_the_connect_takes_for_itself_is_refused);
}

/* ---- What the peer must agree to ----------------------------------------- */

static int listen_multipath(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

    if (fd < 0)
        return fd;
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    return fd;
}

START_TEST(multipath_tcp_is_spoken_where_both_ends_can)
{
    int listener;

    FIREWALL();
    listener = listen_multipath();
    if (listener < 0)
        skip_test("there is no Multipath TCP in this kernel");
    ck_ok(tcpx_connect(&c, "192.0.2.1:7001",
                       TCPX_CONNECT(.mptcp = 1, .bind = "192.0.2.2"), soon()));
    ck_assert_int_eq(option_of(c, SOL_SOCKET, SO_PROTOCOL), IPPROTO_MPTCP);
    ck_assert_int_eq(option_of(c, IPPROTO_TCP, TCP_NODELAY), 1);
    check_works(c, raw_accept(listener));
    close(listener);
}
END_TEST

START_TEST(multipath_tcp_that_is_off_leaves_plain_tcp)
{
    int listener;

    FIREWALL();
    if (system("sysctl -qw net.mptcp.enabled=0 2>/dev/null") != 0)
        skip_test("there is no Multipath TCP in this kernel");
    listener = listen_in(AF_INET);
    ck_ok(tcpx_connect(&c, "192.0.2.1:7001", TCPX_CONNECT(.mptcp = 1), soon()));
    ck_assert_int_eq(option_of(c, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
    check_works(c, raw_accept(listener));
    close(listener);
}
END_TEST

static void fill_features(TCase *tc)
{
    tcase_add_test(tc, multipath_tcp_is_spoken_where_both_ends_can);
    tcase_add_test(tc, multipath_tcp_that_is_off_leaves_plain_tcp);
}

/* ---- A peer that is gone ------------------------------------------------- */

/* A connection to a host that vanishes right after. */
static void connect_to_the_doomed(const tcpx_connect_opts *opts, int *peer)
{
    int listener = listen_in(AF_INET);

    ck_ok(tcpx_connect(&c, "192.0.2.1:7001", opts, soon()));
    *peer = raw_accept(listener);
    close(listener);
    shell("nft add rule inet t in tcp dport %d drop", PORT);
    shell("nft add rule inet t in tcp sport %d drop", PORT);
}

START_TEST(the_user_timeout_finds_a_peer_that_takes_nothing)
{
    int peer;
    char byte;

    FIREWALL();
    connect_to_the_doomed(TCPX_CONNECT(.user_timeout = 2 * TCPX_SEC), &peer);
    ck_assert_int_eq((int)tcpx_write(c, "x", 1, soon()), 1);
    ck_fails(tcpx_read(c, &byte, 1, soon()), -ETIMEDOUT);
    ck_fails(tcpx_write(c, "x", 1, soon()), -ETIMEDOUT);
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(the_user_timeout_ends_a_connect_too_and_not_as_a_deadline)
{
    FIREWALL();
    rule("192.0.2.1", "drop");
    ck_fails(tcpx_connect(&c, "192.0.2.1:7001",
                          TCPX_CONNECT(.user_timeout = 1500 * TCPX_MSEC),
                          soon()),
             -ETIMEDOUT);
    ck_says("the connection timed out after ");
}
END_TEST

START_TEST(keepalive_finds_an_idle_peer_that_is_gone)
{
    int peer;
    char byte;

    FIREWALL();
    connect_to_the_doomed(TCPX_CONNECT(.keepalive_idle = TCPX_SEC,
                                       .keepalive_interval = TCPX_SEC,
                                       .keepalive_count = 3),
                          &peer);
    ck_fails(tcpx_read(c, &byte, 1, soon()), -ETIMEDOUT);
    tcpx_abort(c);
    close(peer);
}
END_TEST

static void fill_gone(TCase *tc)
{
    tcase_add_test(tc, the_user_timeout_finds_a_peer_that_takes_nothing);
    tcase_add_test(tc,
                   the_user_timeout_ends_a_connect_too_and_not_as_a_deadline);
    tcase_add_test(tc, keepalive_finds_an_idle_peer_that_is_gone);
}

const struct test_case test_cases[] = {
    {"connect_limits", "ports", fill_ports},
    {"connect_limits", "features", fill_features},
    {"connect_limits", "gone", fill_gone},
    {NULL, NULL, NULL},
};
