/* SPDX-License-Identifier: MIT */
/*
 * t_resolve_dns.c - real lookups, against a name server that the test plays.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "base/sys.h"
#include "base/task.h"
#include "io/world.h"
#include "network.h"
#include "runner.h"
#include "support.h"
#include "unit/resolving.h"

static enum dns_reply policy(const char *name, int family, int *n)
{
    if (strcmp(name, "both.test") == 0)
        *n = family == AF_INET ? 2 : 3;
    else if (strcmp(name, "four.test") == 0 && family == AF_INET6)
        return DNS_NO_DATA;
    else if (strcmp(name, "none.test") == 0)
        return DNS_NO_NAME;
    else if (strcmp(name, "empty.test") == 0)
        return DNS_NO_DATA;
    else if (strcmp(name, "silent.test") == 0)
        return DNS_SILENCE;

    return DNS_ADDRESS;
}

/* Ends the test that calls it as skipped where there can be no network. */
#define NETWORK_OR_SKIP(dns)                                                   \
    do {                                                                       \
        const char *why_not = enter_network();                                 \
        if (why_not)                                                           \
            skip_test("%s", why_not);                                          \
        dns_start((dns), policy);                                              \
    } while (0)

START_TEST(a_name_has_the_addresses_that_its_server_gives)
{
    struct dns dns;
    struct tcpx__resolution *r;
    const struct tcpx__names *four, *six;

    NETWORK_OR_SKIP(&dns);
    r = start_resolving("both.test:80", 0);
    four = await_names(r, AF_INET);
    six = await_names(r, AF_INET6);
    ck_assert_uint_eq(four->n, 2);
    ck_assert_uint_eq(six->n, 3);
    for (size_t i = 0; i < 2; i++) /* getaddrinfo sorts: RFC 6724 */
        ck_assert_int_eq(four->at[i].in.sin_port, six->at[i].in6.sin6_port);
    tcpx__resolve_abandon(r);

    r = start_resolving("four.test.:443", 0);
    names_read(await_names(r, AF_INET), 0, "192.0.2.1:443");
    six = await_names(r, AF_INET6);
    ck_ok(six->err);
    ck_assert_uint_eq(six->n, 0);
    tcpx__resolve_abandon(r);
    dns_stop(&dns);
}
END_TEST

START_TEST(a_name_of_the_hosts_file_needs_no_server)
{
    struct dns dns;
    struct tcpx__resolution *r;

    NETWORK_OR_SKIP(&dns);
    write_etc("hosts", "198.51.100.7 silent.test\n2001:db8::7 silent.test\n");
    r = start_resolving("silent.test:80", 0);
    names_read(await_names(r, AF_INET), 0, "198.51.100.7:80");
    names_read(await_names(r, AF_INET6), 0, "[2001:db8::7]:80");
    tcpx__resolve_abandon(r);
    dns_stop(&dns);
}
END_TEST

START_TEST(a_service_is_found_with_the_name)
{
    struct dns dns;
    struct tcpx__resolution *r;

    NETWORK_OR_SKIP(&dns);
    write_etc("services", "speech 4711/tcp talk\nspeech 4712/udp\nu 1/udp\n");
    r = start_resolving("four.test:speech", AF_INET);
    names_read(await_names(r, AF_INET), 0, "192.0.2.1:4711");
    tcpx__resolve_abandon(r);
    r = start_resolving("four.test:talk", AF_INET);
    names_read(await_names(r, AF_INET), 0, "192.0.2.1:4711");
    tcpx__resolve_abandon(r);
    r = start_resolving("four.test:u", AF_INET);
    ck_assert_str_eq(await_names(r, AF_INET)->detail,
                     "no such service \"u\" for tcp");
    tcpx__resolve_abandon(r);
    r = start_resolving("192.0.2.9:speech", AF_INET);
    names_read(tcpx__resolution_names(r, AF_INET), 0, "192.0.2.9:4711");
    tcpx__resolve_abandon(r);
    dns_stop(&dns);
}
END_TEST

/* The helper threads get no memory; who asks does. */
static int starve_helpers(enum tcpx__sys_call call, size_t *len)
{
    (void)len;
    return call == TCPX__SYS_malloc && gettid() != getpid() ? -ENOMEM : 0;
}

START_TEST(an_answer_that_finds_no_memory_says_so)
{
    struct dns dns;
    struct tcpx__resolution *r;

    NETWORK_OR_SKIP(&dns);
    (void)tcpx__task();
    tcpx__sys_hook = starve_helpers;
    r = start_resolving("both.test:80", 0);
    ck_fails(await_names(r, AF_INET)->err, -ENOMEM);
    ck_fails(await_names(r, AF_INET6)->err, -ENOMEM);
    ck_assert_uint_eq(tcpx__resolution_names(r, AF_INET)->n, 0);
    tcpx__resolve_abandon(r);
    dns_stop(&dns);
}
END_TEST

START_TEST(no_such_name_is_told_from_no_address)
{
    struct dns dns;
    struct tcpx__resolution *r;
    const struct tcpx__names *names;

    NETWORK_OR_SKIP(&dns);
    r = start_resolving("none.test:80", 0);
    ck_fails(await_names(r, AF_INET)->err, TCPX_ERESOLVE);
    ck_assert_str_eq(await_names(r, AF_INET)->detail, "no such name");
    ck_assert_str_eq(await_names(r, AF_INET6)->detail, "no such name");
    tcpx__resolve_abandon(r);

    r = start_resolving("empty.test:80", AF_INET);
    names = await_names(r, AF_INET);
    ck_ok(names->err);
    ck_assert_uint_eq(names->n, 0);
    tcpx__resolve_abandon(r);
    dns_stop(&dns);
}
END_TEST

START_TEST(a_silent_server_holds_nobody_past_his_deadline)
{
    struct dns dns;
    struct tcpx__resolution *r;
    tcpx_time begin, deadline, took;

    NETWORK_OR_SKIP(&dns);
    begin = tcpx_now();
    deadline = tcpx_after(100 * TCPX_MSEC);
    r = start_resolving("silent.test:80", 0);
    while (tcpx__world()->park(deadline) == 0)
        ck_assert_ptr_null(tcpx__resolution_names(r, AF_INET));
    ck_assert_ptr_null(tcpx__resolution_names(r, AF_INET6));
    tcpx__resolve_abandon(r);
    took = tcpx_now() - begin;
    ck_assert_msg(took < 900 * TCPX_MSEC, "%lld ns", (long long)took);

    /* Another name goes its way meanwhile, and getaddrinfo comes back after
       a second, to find nobody. */
    r = start_resolving("four.test:80", AF_INET);
    names_read(await_names(r, AF_INET), 0, "192.0.2.1:80");
    tcpx__resolve_abandon(r);
    ck_assert(tcpx_now() - begin < 900 * TCPX_MSEC);

    r = start_resolving("silent.test:80", AF_INET);
    ck_fails(await_names(r, AF_INET)->err, TCPX_ERESOLVE);
    ck_assert_str_eq(tcpx__resolution_names(r, AF_INET)->detail,
                     "the name server did not answer");
    tcpx__resolve_abandon(r);
    dns_stop(&dns);
}
END_TEST

static void fill_dns(TCase *tc)
{
    tcase_add_test(tc, a_name_has_the_addresses_that_its_server_gives);
    tcase_add_test(tc, a_name_of_the_hosts_file_needs_no_server);
    tcase_add_test(tc, a_service_is_found_with_the_name);
    tcase_add_test(tc, an_answer_that_finds_no_memory_says_so);
    tcase_add_test(tc, no_such_name_is_told_from_no_address);
    tcase_add_test(tc, a_silent_server_holds_nobody_past_his_deadline);
}

const struct test_case test_cases[] = {
    {"resolve", "name-server", fill_dns},
    {NULL, NULL, NULL},
};
