/* SPDX-License-Identifier: MIT */
/*
 * t_connect_race.c - races over loopback, where all of 127.0.0.0/8 is at hand.
 *
 * t_race.c has the rules to the nanosecond; these show that real sockets, real
 * waits and answers from other threads come to the same.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "base/sys.h"
#include "peers.h"
#include "runner.h"
#include "support.h"

static tcpx_conn *c;

/* ---- A name with addresses ----------------------------------------------- */

static struct {
    const char *first; /* IPv4, the next ones follow it */
    int n;
} name;

static void give(tcpx_lookup *lookup, int family)
{
    struct sockaddr_storage addresses[32];
    struct sockaddr_in in = {.sin_family = AF_INET};
    int n = family == AF_INET ? name.n : 0;

    ck_assert_int_eq(inet_pton(AF_INET, name.first, &in.sin_addr), 1);
    for (int i = 0; i < n; i++) {
        memset(&addresses[i], 0, sizeof(addresses[i]));
        memcpy(&addresses[i], &in, sizeof(in));
        in.sin_addr.s_addr = htonl(ntohl(in.sin_addr.s_addr) + 1);
    }
    tcpx_lookup_finish(lookup, 0, addresses, (size_t)n);
}

static void answer(tcpx_lookup *lookup, const char *host, int family, void *arg)
{
    (void)host;
    (void)arg;
    give(lookup, family);
}

static void set_name(const char *first, int n)
{
    name.first = first;
    name.n = n;
    tcpx_resolver_set(answer, NULL);
}

static void unset(void)
{
    tcpx_resolver_set(NULL, NULL);
    tcpx__sys_hook = NULL;
}

/* Listens on one address and the port, or any. */
static int listen_at(const char *ip, int port, int backlog)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(inet_pton(AF_INET, ip, &sin.sin_addr), 1);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    ck_assert_int_eq(listen(fd, backlog), 0);
    return fd;
}

static int port_of(int fd)
{
    struct sockaddr_in sin;
    socklen_t len = sizeof(sin);

    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    return ntohs(sin.sin_port);
}

static struct full full_at(const char *ip, int port)
{
    struct full f = {.listener = listen_at(ip, port, 0)};
    char address[64];

    snprintf(address, sizeof(address), "127.0.0.1:%d", port_of(f.listener));
    if (strcmp(ip, "0.0.0.0") != 0)
        snprintf(address, sizeof(address), "%s:%d", ip, port_of(f.listener));
    f.client = raw_connect(address);
    return f;
}

/* ---- The races ----------------------------------------------------------- */

START_TEST(a_silent_address_is_overtaken_by_the_next)
{
    struct full dead = full_at("127.0.0.2", 0);
    int port = port_of(dead.listener);
    int listener = listen_at("127.0.0.3", port, 8);
    tcpx_connect_report *report = NULL;
    const tcpx_attempt *first;
    const tcpx_attempt *second;
    char address[64];

    set_name("127.0.0.2", 2);
    snprintf(address, sizeof(address), "name:%d", port);
    ck_ok(tcpx_connect(&c, address, TCPX_CONNECT(.report = &report), soon()));
    first = tcpx_connect_report_at(report, 0);
    second = tcpx_connect_report_at(report, 1);
    ck_assert_int_eq(first->error, TCPX_ECANCELED);
    ck_assert_int_eq(second->error, 0);
    ck_assert_int_ge(second->start / TCPX_MSEC, 250);
    snprintf(address, sizeof(address), "127.0.0.3:%d", port);
    ck_assert_str_eq(second->address, address);
    ck_assert_str_eq(tcpx_conn_peer(c), address);
    tcpx_connect_report_free(report);
    check_works(c, raw_accept(listener));
    close(listener);
    full_end(&dead);
}
END_TEST

START_TEST(twenty_silent_addresses_end_at_the_deadline_and_leave_nothing)
{
    struct full dead = full_at("0.0.0.0", 0);
    tcpx_connect_report *report = NULL;
    tcpx_time since = tcpx_now();
    char address[64];

    set_name("127.0.0.2", 20);
    snprintf(address, sizeof(address), "name:%d", port_of(dead.listener));
    ck_fails(tcpx_connect(&c, address,
                          TCPX_CONNECT(.report = &report,
                                       .attempt_delay = 10 * TCPX_MSEC),
                          tcpx_after(300 * TCPX_MSEC)),
             TCPX_EDEADLINE);
    ck_assert_int_ge(elapsed_ms(since), 300);
    ck_assert_uint_eq(tcpx_connect_report_count(report), 6);
    for (size_t i = 0; i < 6; i++)
        ck_assert_int_eq(tcpx_connect_report_at(report, i)->error,
                         TCPX_EDEADLINE);
    ck_says("14 not tried");
    tcpx_connect_report_free(report);
    full_end(&dead);
}
END_TEST

static int connects;

/* The waits of the race see nothing until both attempts are under way, and
   both have succeeded: on loopback that is before connect(2) returns. */
static int hide_until_two(enum tcpx__sys_call call, size_t *len)
{
    (void)len;
    if (call == TCPX__SYS_connect)
        connects++;
    return call == TCPX__SYS_ppoll && connects < 2 ? -EINTR : 0;
}

START_TEST(of_two_that_succeed_one_is_closed_without_a_byte)
{
    int listeners[2] = {listen_at("127.0.0.2", 0, 8), 0};
    int port = port_of(listeners[0]);
    int peers[2];
    char address[64];
    char byte;

    listeners[1] = listen_at("127.0.0.3", port, 8);
    set_name("127.0.0.2", 2);
    snprintf(address, sizeof(address), "name:%d", port);
    tcpx__sys_hook = hide_until_two;
    ck_ok(tcpx_connect(&c, address,
                       TCPX_CONNECT(.attempt_delay = 10 * TCPX_MSEC), soon()));
    tcpx__sys_hook = NULL;

    for (int i = 0; i < 2; i++)
        peers[i] = raw_accept(listeners[i]);
    ck_assert_uint_eq(raw_recv(peers[1], &byte, 1), 0);
    close(peers[1]);
    check_works(c, peers[0]);
    close(listeners[0]);
    close(listeners[1]);
}
END_TEST

static int sockets;

/* Only one socket can be had; the race sees how it does once it wanted two. */
static int one_socket_only(enum tcpx__sys_call call, size_t *len)
{
    (void)len;
    if (call == TCPX__SYS_socket)
        return sockets++ > 0 ? -EMFILE : 0;
    return call == TCPX__SYS_ppoll && sockets < 2 ? -EINTR : 0;
}

START_TEST(without_descriptors_for_a_second_attempt_the_first_still_wins)
{
    int listener = listen_at("127.0.0.2", 0, 8);
    char address[64];

    set_name("127.0.0.2", 2);
    snprintf(address, sizeof(address), "name:%d", port_of(listener));
    for (int i = 0; i < 100; i++) {
        sockets = 0;
        tcpx__sys_hook = one_socket_only;
        ck_ok(tcpx_connect(&c, address,
                           TCPX_CONNECT(.attempt_delay = 10 * TCPX_MSEC),
                           soon()));
        tcpx__sys_hook = NULL;
        ck_assert_int_eq(sockets, 2);
        check_works(c, raw_accept(listener));
    }
    close(listener);
}
END_TEST

/* ---- Answers from another thread ----------------------------------------- */

static tcpx_lookup *_Atomic asked[2];
static atomic_int done;

static void hand_over(tcpx_lookup *lookup, const char *host, int family,
                      void *arg)
{
    (void)host;
    (void)arg;
    atomic_store(&asked[family == AF_INET], lookup);
}

static void *answer_all(void *arg)
{
    (void)arg;
    while (!atomic_load(&done)) {
        for (int i = 0; i < 2; i++) {
            tcpx_lookup *lookup = atomic_exchange(&asked[i], NULL);

            if (lookup)
                give(lookup, i ? AF_INET : AF_INET6);
        }
    }
    return NULL;
}

START_TEST(an_answer_that_comes_as_the_race_falls_asleep_wakes_it)
{
    int listener = listen_at("127.0.0.2", 0, 1024);
    pthread_t thread = start_thread(answer_all, NULL);
    char address[64];

    name.first = "127.0.0.2";
    name.n = 1;
    tcpx_resolver_set(hand_over, NULL);
    snprintf(address, sizeof(address), "name:%d", port_of(listener));
    for (int i = 0; i < 500; i++) {
        ck_ok(tcpx_connect(&c, address, NULL, soon()));
        tcpx_abort(c);
        close(raw_accept(listener));
    }
    atomic_store(&done, 1);
    end_thread(thread);
    close(listener);
}
END_TEST

static void fill_races(TCase *tc)
{
    tcase_add_checked_fixture(tc, NULL, unset);
    tcase_add_test(tc, a_silent_address_is_overtaken_by_the_next);
    tcase_add_test(
        tc, twenty_silent_addresses_end_at_the_deadline_and_leave_nothing);
    tcase_add_test(tc, of_two_that_succeed_one_is_closed_without_a_byte);
    tcase_add_test(
        tc, without_descriptors_for_a_second_attempt_the_first_still_wins);
    tcase_add_test(tc, an_answer_that_comes_as_the_race_falls_asleep_wakes_it);
}

const struct test_case test_cases[] = {
    {"connect_race", "loopback", fill_races},
    {NULL, NULL, NULL},
};
