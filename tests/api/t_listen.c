/* SPDX-License-Identifier: MIT */
/*
 * t_listen.c - listening on IPv4 and IPv6: addresses, ports, errors.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "listening.h"
#include "runner.h"
#include "support.h"

/* ---- Addresses ---------------------------------------------------------- */

START_TEST(port_0_gives_a_port_that_can_be_asked_for)
{
    tcpx_listener *a = listen_on("127.0.0.1:0", NULL);
    tcpx_listener *b = listen_on("127.0.0.1:0", NULL);
    struct sockaddr_in sin;
    socklen_t len = sizeof(sin);

    ck_assert_int_eq(
        getsockname(tcpx_listener_fd(a), (struct sockaddr *)&sin, &len), 0);
    ck_assert_uint_eq(port_of(a), ntohs(sin.sin_port));
    ck_assert_uint_ne(port_of(a), 0);
    ck_assert_uint_ne(port_of(a), port_of(b));
    close(raw_connect(tcpx_listener_address(a)));
    close(raw_connect(tcpx_listener_address(b)));
    tcpx_listener_close(a);
    tcpx_listener_close(b);
}
END_TEST

START_TEST(the_address_of_each_form_reads_as_it_can_be_connected_to)
{
    static const struct {
        const char *asked;
        const char *prefix;
    } forms[] = {
        {":0", "[::]:"},
        {"*:0", "[::]:"},
        {"0.0.0.0:0", "0.0.0.0:"},
        {"127.0.0.1:0", "127.0.0.1:"},
        {"[::1]:0", "[::1]:"},
        {"[::ffff:127.0.0.1]:0", "127.0.0.1:"},
        {"localhost:0", "127.0.0.1:"},
        {"LOCALHOST:0", "127.0.0.1:"},
    };

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        tcpx_listener *l = listen_on(forms[i].asked, NULL);
        const char *address = tcpx_listener_address(l);

        ck_assert_msg(
            !strncmp(address, forms[i].prefix, strlen(forms[i].prefix)),
            "%s listens on %s", forms[i].asked, address);
        tcpx_listener_close(l);
    }
}
END_TEST

START_TEST(a_name_is_refused_for_listening_never_resolves)
{
    ck_refused("example.org:80", NULL, TCPX_EADDRESS, "a name");
    ck_refused("localhost.example:80", NULL, TCPX_EADDRESS, "a name");
    ck_refused("127.0.0.1:70000", NULL, TCPX_EADDRESS, "column 11");
    ck_refused("", NULL, TCPX_EADDRESS, "column 1");
}
END_TEST

START_TEST(a_service_that_does_not_exist_is_named)
{
    ck_refused("127.0.0.1:no-such-thing", NULL, TCPX_ERESOLVE, "no-such-thing");
}
END_TEST

START_TEST(a_taken_port_is_refused_by_listen_itself)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    char words[64];

    snprintf(words, sizeof(words), "sport = :%u", port_of(l));
    ck_refused(tcpx_listener_address(l), NULL, -EADDRINUSE, words);
    ck_says(tcpx_listener_address(l));
    tcpx_listener_close(l);
}
END_TEST

START_TEST(an_address_that_is_not_ours_is_refused)
{
    ck_refused("192.0.2.1:0", NULL, -EADDRNOTAVAIL, "192.0.2.1:0");
    ck_refused("[2001:db8::1]:0", NULL, -EADDRNOTAVAIL, "[2001:db8::1]:0");
    ck_refused("[fe80::1]:0", NULL, -EINVAL, "needs its interface");
    ck_refused("[fe80::1%no-such-if]:0", NULL, -ENODEV, "no-such-if");
}
END_TEST

START_TEST(a_privileged_port_says_what_it_needs)
{
    FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
    int first = 0;

    if (file) {
        ck_assert_int_eq(fscanf(file, "%d", &first), 1);
        fclose(file);
    }
    if (first < 2)
        skip_test("this host has no privileged ports");
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
        skip_test("root cannot become another user here");
    ck_refused("127.0.0.1:1", NULL, -EACCES, "CAP_NET_BIND_SERVICE");
}
END_TEST

/* ---- Who may listen beside whom ----------------------------------------- */

/* What a listener covers: bits of the places where a client can reach it. */
enum { V4_LOOP = 1, V4_REST = 2, V6_LOOP = 4, V6_REST = 8 };

static const struct place {
    const char *host;
    int v6_only;
    int covers;
} places[] = {
    {"*", 0, V4_LOOP | V4_REST | V6_LOOP | V6_REST},
    {"*", 1, V6_LOOP | V6_REST},
    {"[::]", 0, V4_LOOP | V4_REST | V6_LOOP | V6_REST},
    {"[::]", 1, V6_LOOP | V6_REST},
    {"0.0.0.0", 0, V4_LOOP | V4_REST},
    {"127.0.0.1", 0, V4_LOOP},
    {"[::ffff:127.0.0.1]", 0, V4_LOOP},
    {"[::1]", 0, V6_LOOP},
    {"[::1]", 1, V6_LOOP},
};
#define PLACES ((int)(sizeof(places) / sizeof(places[0])))

/* Listens on the same port at both; what the second attempt gives. */
static int listen_at_both(const struct place *a, const struct place *b)
{
    tcpx_listen_opts opts = tcpx_listen_defaults();
    tcpx_listener *first;
    tcpx_listener *second = NULL;
    char address[64];
    int rc;

    snprintf(address, sizeof(address), "%s:0", a->host);
    opts.v6_only = a->v6_only;
    first = listen_on(address, &opts);
    snprintf(address, sizeof(address), "%s:%u", b->host, port_of(first));
    opts.v6_only = b->v6_only;
    rc = tcpx_listen(&second, address, &opts);
    tcpx_listener_close(second);
    tcpx_listener_close(first);
    return rc;
}

START_TEST(listeners_share_a_port_only_where_no_client_could_reach_both)
{
    for (int i = 0; i < PLACES * PLACES; i++) {
        const struct place *a = &places[i / PLACES];
        const struct place *b = &places[i % PLACES];
        int expected = a->covers & b->covers ? -EADDRINUSE : 0;
        int rc = -EADDRINUSE;

        /* Another program may have the port in the other family. */
        for (int tries = 0; tries < 5 && rc == -EADDRINUSE; tries++)
            rc = listen_at_both(a, b);
        ck_assert_msg(rc == expected, "%s (v6_only %d), %s (v6_only %d): %s",
                      a->host, a->v6_only, b->host, b->v6_only,
                      tcpx_errname(rc));
    }
}
END_TEST

/* Makes a connection whose listening side is the first to close. */
static void leave_time_wait(tcpx_listener *l)
{
    int client = raw_connect(tcpx_listener_address(l));
    int server = raw_accept(tcpx_listener_fd(l));
    char byte;

    close(server);
    ck_assert_uint_eq(raw_recv(client, &byte, 1), 0);
    close(client);
}

/* Listens, leaves TIME_WAIT behind, and listens again. */
static int listen_again(const tcpx_listen_opts *opts)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", opts);
    char address[32];
    int rc;

    snprintf(address, sizeof(address), "%s", tcpx_listener_address(l));
    leave_time_wait(l);
    tcpx_listener_close(l);
    l = NULL;
    rc = tcpx_listen(&l, address, opts);
    tcpx_listener_close(l);
    return rc;
}

START_TEST(a_restart_listens_at_once_beside_time_wait)
{
    ck_ok(listen_again(NULL));
}
END_TEST

START_TEST(without_reuse_address_time_wait_keeps_the_port)
{
    ck_fails(listen_again(TCPX_LISTEN(.no_reuse_address = 1)), -EADDRINUSE);
}
END_TEST

struct serving {
    int client;
    int conn;
    int listener;
};

static void serve_until_end(void *arg)
{
    const struct serving *s = arg;
    char byte;

    close(s->client);
    close(s->listener);
    raw_send(s->conn, "r", 1); /* the parent holds it alone from here on */
    raw_recv(s->conn, &byte, 1);
}

START_TEST(a_restart_listens_at_once_beside_children_that_still_serve)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    char address[32];
    struct serving serving;
    char byte;
    pid_t child;

    snprintf(address, sizeof(address), "%s", tcpx_listener_address(l));
    serving.client = raw_connect(address);
    serving.listener = tcpx_listener_fd(l);
    serving.conn = raw_accept(serving.listener);
    child = start_child(serve_until_end, &serving);
    close(serving.conn);
    ck_assert_uint_eq(raw_recv(serving.client, &byte, 1), 1);
    tcpx_listener_close(l);
    l = listen_on(address, NULL);
    close(raw_connect(address));
    tcpx_listener_close(l);
    close(serving.client);
    end_child(child);
}
END_TEST

static void fill_addresses(TCase *tc)
{
    tcase_add_test(tc, port_0_gives_a_port_that_can_be_asked_for);
    tcase_add_test(tc,
                   the_address_of_each_form_reads_as_it_can_be_connected_to);
    tcase_add_test(tc, a_name_is_refused_for_listening_never_resolves);
    tcase_add_test(tc, a_service_that_does_not_exist_is_named);
    tcase_add_test(tc, a_taken_port_is_refused_by_listen_itself);
    tcase_add_test(tc, an_address_that_is_not_ours_is_refused);
    tcase_add_test(tc, a_privileged_port_says_what_it_needs);
}

static void fill_ports(TCase *tc)
{
    tcase_add_test(
        tc, listeners_share_a_port_only_where_no_client_could_reach_both);
    tcase_add_test(tc, a_restart_listens_at_once_beside_time_wait);
    tcase_add_test(tc, without_reuse_address_time_wait_keeps_the_port);
    tcase_add_test(tc,
                   a_restart_listens_at_once_beside_children_that_still_serve);
}

const struct test_case test_cases[] = {
    {"listen", "addresses", fill_addresses},
    {"listen", "ports", fill_ports},
    {NULL, NULL, NULL},
};
