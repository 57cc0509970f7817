/* SPDX-License-Identifier: MIT */
/*
 * t_listen_network.c - listening on hosts that are set up in other ways.
 *
 * Each test runs in a network of its own, or under a filter that refuses
 * system calls, as a service manager or a container sets it up.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "listening.h"
#include "network.h"
#include "runner.h"
#include "support.h"

#define SYSCTL "/proc/sys/net/"

/* Writes a sysctl of this network; whether it could. */
static int set_sysctl(const char *name, const char *value)
{
    char file_name[128];
    FILE *file;
    int rc;

    snprintf(file_name, sizeof(file_name), SYSCTL "%s", name);
    file = fopen(file_name, "w");
    if (!file)
        return 0;
    rc = fputs(value, file) >= 0;
    return fclose(file) == 0 && rc;
}

/* From here on socket(2) refuses a family, as RestrictAddressFamilies= of
   systemd.exec(5) does. */
static const char *forbid_family(int family)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)family, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = sizeof(program) / sizeof(program[0]),
                              .filter = program};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
        return "no seccomp filter can be set here";
    return NULL;
}

/* A client at 127.0.0.1 must be served by l. */
static void ck_serves_ipv4(tcpx_listener *l)
{
    char text[32];
    tcpx_conn *c;
    int client;

    snprintf(text, sizeof(text), "127.0.0.1:%u", port_of(l));
    client = raw_connect(text);
    c = accept_on(l);
    ck_assert_int_eq(strncmp(tcpx_conn_peer(c), "127.0.0.1:", 10), 0);
    tcpx_abort(c);
    close(client);
}

static void ck_serves_ipv6(tcpx_listener *l)
{
    int client = connect_ipv6(port_of(l));

    ck_assert_int_ge(client, 0);
    tcpx_abort(accept_on(l));
    close(client);
}

START_TEST(the_backlog_is_capped_by_the_limit_of_this_network)
{
    const char *why = enter_network();
    tcpx_listener *l;

    if (why)
        skip_test("%s", why);
    ck_assert(set_sysctl("core/somaxconn", "5"));
    l = listen_on("127.0.0.1:0", NULL);
    ck_assert_int_eq(tcpx_listener_backlog(l), 5);
    tcpx_listener_close(l);
    l = listen_on("127.0.0.1:0", TCPX_LISTEN(.backlog = 100));
    ck_assert_int_eq(tcpx_listener_backlog(l), 5);
    tcpx_listener_close(l);
    l = listen_on("unix:@backlog", TCPX_LISTEN(.backlog = 100));
    ck_assert_int_eq(tcpx_listener_backlog(l), 5);
    tcpx_listener_close(l);
    l = listen_on("127.0.0.1:0", TCPX_LISTEN(.backlog = 3));
    ck_assert_int_eq(tcpx_listener_backlog(l), 3);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(both_families_are_served_whatever_the_hosts_bindv6only)
{
    const char *why = enter_network();
    tcpx_listener *l;

    if (why)
        skip_test("%s", why);
    for (int bindv6only = 0; bindv6only < 2; bindv6only++) {
        ck_assert(set_sysctl("ipv6/bindv6only", bindv6only ? "1" : "0"));
        l = listen_on(":0", NULL);
        ck_serves_ipv4(l);
        ck_serves_ipv6(l);
        tcpx_listener_close(l);
        l = listen_on("*:0", TCPX_LISTEN(.v6_only = 1));
        ck_assert_int_eq(is_refused(tcpx_listener_address(l)), 1);
        ck_serves_ipv6(l);
        tcpx_listener_close(l);
    }
}
END_TEST

START_TEST(a_wildcard_serves_ipv4_where_ipv6_is_disabled)
{
    const char *why = enter_network();
    tcpx_listener *l;

    if (why)
        skip_test("%s", why);
    ck_assert(set_sysctl("ipv6/conf/all/disable_ipv6", "1"));
    ck_assert(set_sysctl("ipv6/conf/lo/disable_ipv6", "1"));
    l = listen_on(":0", NULL);
    ck_serves_ipv4(l);
    tcpx_listener_close(l);
    ck_refused("[::1]:0", NULL, -EADDRNOTAVAIL, "[::1]:0");
}
END_TEST

START_TEST(a_wildcard_is_ipv4_alone_where_ipv6_sockets_are_refused)
{
    const char *why = forbid_family(AF_INET6);
    tcpx_listener *l;

    if (why)
        skip_test("%s", why);
    l = listen_on(":0", NULL);
    ck_assert_int_eq(strncmp(tcpx_listener_address(l), "0.0.0.0:", 8), 0);
    ck_serves_ipv4(l);
    tcpx_listener_close(l);
    ck_refused("[::1]:0", NULL, -EAFNOSUPPORT, "IPv6 is off");
    ck_refused(":0", TCPX_LISTEN(.v6_only = 1), -EAFNOSUPPORT, "IPv6 is off");
}
END_TEST

START_TEST(localhost_is_ipv6_where_ipv4_sockets_are_refused)
{
    const char *why = forbid_family(AF_INET);
    tcpx_listener *l;

    if (why)
        skip_test("%s", why);
    l = listen_on("localhost:0", NULL);
    ck_assert_int_eq(strncmp(tcpx_listener_address(l), "[::1]:", 6), 0);
    ck_serves_ipv6(l);
    tcpx_listener_close(l);
    ck_refused("127.0.0.1:0", NULL, -EAFNOSUPPORT, "IPv4 is off");
}
END_TEST

/* What "ifconfig lo 0.0.0.0" does. */
static void remove_ipv4_loopback(void)
{
    struct ifreq lo = {.ifr_name = "lo"};
    const struct sockaddr_in none = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(&lo.ifr_addr, &none, sizeof(none));
    ck_assert_int_eq(ioctl(fd, SIOCSIFADDR, &lo), 0);
    close(fd);
}

START_TEST(localhost_is_ipv6_where_loopback_has_no_ipv4_address)
{
    const char *why = enter_network();
    tcpx_listener *l;

    if (why)
        skip_test("%s", why);
    remove_ipv4_loopback();
    l = listen_on("localhost:0", NULL);
    ck_assert_int_eq(strncmp(tcpx_listener_address(l), "[::1]:", 6), 0);
    ck_serves_ipv6(l);
    tcpx_listener_close(l);
    ck_refused("127.0.0.1:0", NULL, -EADDRNOTAVAIL, "127.0.0.1:0");
}
END_TEST

START_TEST(localhost_without_any_family_says_why)
{
    const char *why = enter_network();

    if (why)
        skip_test("%s", why);
    remove_ipv4_loopback();
    ck_assert(set_sysctl("ipv6/conf/lo/disable_ipv6", "1"));
    ck_refused("localhost:0", NULL, -EADDRNOTAVAIL, "localhost:0");
}
END_TEST

START_TEST(mptcp_that_is_switched_off_is_plain_tcp)
{
    const char *why = enter_network();
    tcpx_listener *l;

    if (why)
        skip_test("%s", why);
    if (!set_sysctl("mptcp/enabled", "0"))
        skip_test("this kernel has no Multipath TCP");
    l = listen_on("127.0.0.1:0", TCPX_LISTEN(.mptcp = 1));
    ck_assert_int_eq(option(tcpx_listener_fd(l), SOL_SOCKET, SO_PROTOCOL),
                     IPPROTO_TCP);
    ck_serves_ipv4(l);
    tcpx_listener_close(l);
}
END_TEST

static void fill_networks(TCase *tc)
{
    tcase_add_test(tc, the_backlog_is_capped_by_the_limit_of_this_network);
    tcase_add_test(tc, both_families_are_served_whatever_the_hosts_bindv6only);
    tcase_add_test(tc, a_wildcard_serves_ipv4_where_ipv6_is_disabled);
    tcase_add_test(tc, localhost_is_ipv6_where_loopback_has_no_ipv4_address);
    tcase_add_test(tc, localhost_without_any_family_says_why);
    tcase_add_test(tc, mptcp_that_is_switched_off_is_plain_tcp);
}

static void fill_filters(TCase *tc)
{
    tcase_add_test(tc, a_wildcard_is_ipv4_alone_where_ipv6_sockets_are_refused);
    tcase_add_test(tc, localhost_is_ipv6_where_ipv4_sockets_are_refused);
}

const struct test_case test_cases[] = {
    {"listen", "networks", fill_networks},
    {"listen", "filters", fill_filters},
    {NULL, NULL, NULL},
};
