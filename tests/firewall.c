/* SPDX-License-Identifier: MIT */
/*
 * firewall.c - a network of the test's own, with a firewall in it.
 */
#include "firewall.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "network.h"

void shell(const char *format, ...)
{
    char command[512];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    ck_assert_msg(system(command) == 0, "this failed: %s", command);
}

/* A packet to 2001:db8::i arrives only a while after the address was added. */
static void await_route(int i)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                               .sin6_port = htons(PORT)};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct pollfd item = {.fd = fd, .events = POLLIN};
    int arrived = 0;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(inet_pton(AF_INET6, "2001:db8::", &in6.sin6_addr), 1);
    in6.sin6_addr.s6_addr[15] = (uint8_t)i;
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
    for (int tries = 0; tries < 1000 && !arrived; tries++) {
        (void)sendto(fd, "", 1, 0, (struct sockaddr *)&in6, sizeof(in6));
        arrived = poll(&item, 1, 5) == 1 && (item.revents & POLLIN);
        if (!arrived) /* takes a pending error out, if that was it */
            (void)recv(fd, &arrived, 0, MSG_DONTWAIT);
    }
    ck_assert_msg(arrived, "nothing comes to 2001:db8::%d", i);
    close(fd);
}

const char *firewall_network(void)
{
    const char *why = NULL;

    if (system("command -v nft ip sysctl >/dev/null") != 0)
        return "nft, ip or sysctl is not installed";
    why = enter_network();
    if (why)
        return why;
    if (system("nft add table inet t 2>/dev/null") != 0)
        return "there is no nftables in this kernel";
    shell("nft add chain inet t in '{ type filter hook input priority 0; }'");
    shell("nft add counter inet t syn4; nft add counter inet t syn6");
    shell("nft add rule inet t in ip daddr 192.0.2.1 "
          "'tcp flags & (syn | ack) == syn' counter name syn4");
    shell("nft add rule inet t in ip6 daddr 2001:db8::1 "
          "'tcp flags & (syn | ack) == syn' counter name syn6");
    for (int i = 1; i <= 3; i++)
        shell("ip addr add 192.0.2.%d/32 dev lo;"
              "ip addr add 2001:db8::%d/128 dev lo nodad",
              i, i);
    for (int i = 1; i <= 3; i++)
        await_route(i);
    return NULL;
}

void rule(const char *address, const char *verdict)
{
    shell("nft add rule inet t in %s daddr %s tcp dport %d %s",
          strchr(address, ':') ? "ip6" : "ip", address, PORT, verdict);
}

long syns(int family)
{
    char command[128];
    char line[128];
    long n = -1;
    FILE *pipe;

    snprintf(command, sizeof(command), "nft list counter inet t syn%d",
             family == AF_INET ? 4 : 6);
    pipe = popen(command, "re");
    ck_assert_ptr_nonnull(pipe);
    while (fgets(line, sizeof(line), pipe)) {
        const char *packets = strstr(line, "packets ");

        if (packets)
            n = strtol(packets + 8, NULL, 10);
    }
    pclose(pipe);
    ck_assert_int_ge(n, 0);
    return n;
}

void let_a_syn_pass(void)
{
    const struct timespec pause = {1, 300 * 1000000};

    nanosleep(&pause, NULL);
}

int listen_in(int family)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                               .sin6_port = htons(PORT)};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    ck_assert_int_ge(fd, 0);
    if (family == AF_INET6) {
        ck_assert_int_eq(
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)), 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
    } else {
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    }
    ck_assert_int_eq(listen(fd, 8), 0);
    return fd;
}
