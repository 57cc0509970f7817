/* SPDX-License-Identifier: MIT */
/*
 * t_connect_netns.c - connects in a network that the test makes: firewalls,
 * black holes, no routes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <time.h>
#include <unistd.h>
#include "firewall.h"
#include "network.h"
#include "peers.h"
#include "runner.h"
#include "support.h"

static tcpx_conn *c;

/* "both" has the first address of both families. */
static void name_both(void)
{
    write_etc("nsswitch.conf", "hosts: files\n");
    write_etc("hosts", "2001:db8::1 both\n192.0.2.1 both\n");
}

static int connect_both(tcpx_connect_report **report, tcpx_time deadline)
{
    return tcpx_connect(&c, "both:7001", TCPX_CONNECT(.report = report),
                        deadline);
}

/* ---- One address --------------------------------------------------------- */

START_TEST(a_dropped_syn_ends_at_the_deadline_and_no_other_is_sent)
{
    tcpx_time since;
    long sent;

    FIREWALL();
    rule("192.0.2.1", "drop");
    since = tcpx_now();
    ck_fails(
        tcpx_connect(&c, "192.0.2.1:7001", NULL, tcpx_after(500 * TCPX_MSEC)),
        TCPX_EDEADLINE);
    ck_assert_int_ge(elapsed_ms(since), 500);
    ck_assert_int_lt(elapsed_ms(since), 5000);
    sent = syns(AF_INET);
    ck_assert_int_ge(sent, 1);
    let_a_syn_pass();
    ck_assert_int_eq(syns(AF_INET), sent);
}
END_TEST

static const struct {
    const char *address;
    const char *verdict;
    int err;
    const char *words;
} refusals[] = {
    {"192.0.2.1", "reject with tcp reset", -ECONNREFUSED, "connection refused"},
    {"2001:db8::1", "reject with tcp reset", -ECONNREFUSED,
     "connection refused"},
    {"192.0.2.1", "reject with icmp type port-unreachable", -ECONNREFUSED,
     "connection refused"},
    {"2001:db8::1", "reject with icmpv6 type port-unreachable", -ECONNREFUSED,
     "connection refused"},
    {"192.0.2.1", "reject with icmp type host-unreachable", -EHOSTUNREACH,
     "no route to host"},
    {"192.0.2.1", "reject with icmp type net-unreachable", -ENETUNREACH,
     "network unreachable"},
    {"192.0.2.1", "reject with icmp type admin-prohibited", -EHOSTUNREACH,
     "no route to host"},
    {"2001:db8::1", "reject with icmpv6 type addr-unreachable", -EHOSTUNREACH,
     "no route to host"},
    {"2001:db8::1", "reject with icmpv6 type no-route", -ENETUNREACH,
     "network unreachable"},
    {"2001:db8::1", "reject with icmpv6 type admin-prohibited", -EACCES,
     "forbidden by a firewall or a route"},
};

START_TEST(each_way_to_say_no_has_its_code_and_words)
{
    int six;
    char address[64];

    FIREWALL();
    six = strchr(refusals[_i].address, ':') != NULL;
    snprintf(address, sizeof(address), six ? "[%s]:7001" : "%s:7001",
             refusals[_i].address);
    rule(refusals[_i].address, refusals[_i].verdict);
    ck_fails(tcpx_connect(&c, address, NULL, soon()), refusals[_i].err);
    ck_says(refusals[_i].words);
}
END_TEST

START_TEST(without_a_route_it_ends_at_once)
{
    tcpx_time since;

    FIREWALL();
    since = tcpx_now();
    ck_fails(tcpx_connect(&c, "198.51.100.1:80", NULL, TCPX_FOREVER),
             -ENETUNREACH);
    ck_says("network unreachable after ");
    ck_fails(tcpx_connect(&c, "[2001:db8:1::1]:80", NULL, TCPX_FOREVER),
             -ENETUNREACH);
    ck_assert_int_lt(elapsed_ms(since), 5000);
}
END_TEST

START_TEST(a_prohibited_route_is_told_as_such)
{
    FIREWALL();
    shell("ip route add prohibit 198.51.100.0/24");
    ck_fails(tcpx_connect(&c, "198.51.100.1:80", NULL, soon()), -EACCES);
    ck_says("forbidden by a firewall or a route");
}
END_TEST

START_TEST(a_neighbour_that_does_not_answer_is_no_route_to_host)
{
    FIREWALL();
    if (system("ip link add v0 type veth peer name v1 2>/dev/null") != 0)
        skip_test("there is no veth in this kernel");
    shell("ip addr add 203.0.113.1/24 dev v0; ip link set v0 up;"
          "ip link set v1 up");
    ck_fails(tcpx_connect(&c, "203.0.113.9:80", NULL, soon()), -EHOSTUNREACH);
    ck_says("no route to host after ");
}
END_TEST

static void fill_one(TCase *tc)
{
    tcase_add_test(tc, a_dropped_syn_ends_at_the_deadline_and_no_other_is_sent);
    tcase_add_loop_test(tc, each_way_to_say_no_has_its_code_and_words, 0,
                        sizeof(refusals) / sizeof(refusals[0]));
    tcase_add_test(tc, without_a_route_it_ends_at_once);
    tcase_add_test(tc, a_prohibited_route_is_told_as_such);
    tcase_add_test(tc, a_neighbour_that_does_not_answer_is_no_route_to_host);
}

/* ---- Two families -------------------------------------------------------- */

START_TEST(where_both_families_work_no_ipv4_packet_is_sent)
{
    int listeners[2];

    FIREWALL();
    name_both();
    listeners[0] = listen_in(AF_INET6);
    listeners[1] = listen_in(AF_INET);
    ck_ok(connect_both(NULL, soon()));
    ck_assert_str_eq(tcpx_conn_peer(c), "[2001:db8::1]:7001");
    check_works(c, raw_accept(listeners[0]));
    ck_assert_int_eq(syns(AF_INET6), 1);
    ck_assert_int_eq(syns(AF_INET), 0);
    close(listeners[0]);
    close(listeners[1]);
}
END_TEST

START_TEST(a_black_hole_in_ipv6_costs_a_quarter_of_a_second)
{
    tcpx_connect_report *report = NULL;
    const tcpx_attempt *second;
    int listener;
    long sent;

    FIREWALL();
    name_both();
    listener = listen_in(AF_INET);
    rule("2001:db8::1", "drop");
    ck_ok(connect_both(&report, soon()));
    ck_assert_uint_eq(tcpx_connect_report_count(report), 2);
    ck_assert_int_eq(tcpx_connect_report_at(report, 0)->error, TCPX_ECANCELED);
    second = tcpx_connect_report_at(report, 1);
    ck_assert_str_eq(second->address, "192.0.2.1:7001");
    ck_assert_int_ge(second->start / TCPX_MSEC, 250);
    tcpx_connect_report_free(report);

    /* The loser is gone: its SYN is not repeated. */
    sent = syns(AF_INET6);
    ck_assert_int_ge(sent, 1);
    let_a_syn_pass();
    ck_assert_int_eq(syns(AF_INET6), sent);
    check_works(c, raw_accept(listener));
    close(listener);
}
END_TEST

START_TEST(a_refusal_in_ipv6_costs_no_wait)
{
    tcpx_connect_report *report = NULL;
    int listener;

    FIREWALL();
    name_both();
    listener = listen_in(AF_INET);
    ck_ok(tcpx_connect(
        &c, "both:7001",
        TCPX_CONNECT(.report = &report, .attempt_delay = 15 * TCPX_SEC),
        soon()));
    ck_assert_int_eq(tcpx_connect_report_at(report, 0)->error, -ECONNREFUSED);
    ck_assert_int_lt(tcpx_connect_report_at(report, 1)->start, 5 * TCPX_SEC);
    tcpx_connect_report_free(report);
    check_works(c, raw_accept(listener));
    close(listener);
}
END_TEST

static void *cancel_after_two_syns(void *arg)
{
    const struct timespec pause = {0, 20 * 1000000};

    while (syns(AF_INET) == 0 || syns(AF_INET6) == 0)
        nanosleep(&pause, NULL);
    tcpx_task_cancel(arg);
    return NULL;
}

START_TEST(a_cancel_in_the_race_stops_every_attempt)
{
    pthread_t thread;
    long sent[2];

    FIREWALL();
    name_both();
    rule("2001:db8::1", "drop");
    rule("192.0.2.1", "drop");
    thread = start_thread(cancel_after_two_syns, tcpx_task_self());
    ck_fails(connect_both(NULL, TCPX_FOREVER), TCPX_ECANCELED);
    end_thread(thread);
    tcpx_task_clear_cancel();
    sent[0] = syns(AF_INET);
    sent[1] = syns(AF_INET6);
    let_a_syn_pass();
    ck_assert_int_eq(syns(AF_INET), sent[0]);
    ck_assert_int_eq(syns(AF_INET6), sent[1]);
}
END_TEST

START_TEST(without_ipv6_the_code_is_what_ipv4_said)
{
    FIREWALL();
    name_both();
    shell("sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
    ck_fails(tcpx_connect(&c, "localhost:7001", NULL, soon()), -ECONNREFUSED);
    ck_fails(connect_both(NULL, soon()), -ECONNREFUSED);

    int listener = listen_in(AF_INET);

    ck_ok(connect_both(NULL, soon()));
    check_works(c, raw_accept(listener));
    close(listener);
}
END_TEST

static void fill_two(TCase *tc)
{
    tcase_add_test(tc, where_both_families_work_no_ipv4_packet_is_sent);
    tcase_add_test(tc, a_black_hole_in_ipv6_costs_a_quarter_of_a_second);
    tcase_add_test(tc, a_refusal_in_ipv6_costs_no_wait);
    tcase_add_test(tc, a_cancel_in_the_race_stops_every_attempt);
    tcase_add_test(tc, without_ipv6_the_code_is_what_ipv4_said);
}

const struct test_case test_cases[] = {
    {"connect_netns", "one", fill_one},
    {"connect_netns", "two", fill_two},
    {NULL, NULL, NULL},
};
