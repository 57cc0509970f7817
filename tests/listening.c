/* SPDX-License-Identifier: MIT */
/*
 * listening.c - what the tests of listeners share.
 */
#include "listening.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "support.h"

tcpx_listener *listen_on(const char *address, const tcpx_listen_opts *opts)
{
    tcpx_listener *l = NULL;

    ck_ok(tcpx_listen(&l, address, opts));
    ck_assert_ptr_nonnull(l);
    return l;
}

tcpx_conn *accept_on(tcpx_listener *l)
{
    tcpx_conn *c = NULL;

    ck_ok(tcpx_accept(&c, l, soon()));
    ck_assert_ptr_nonnull(c);
    return c;
}

void ck_refused(const char *address, const tcpx_listen_opts *opts, int code,
                const char *words)
{
    tcpx_listener *l = NULL;

    ck_fails(tcpx_listen(&l, address, opts), code);
    ck_assert_ptr_null(l);
    ck_says(words);
}

unsigned port_of(const tcpx_listener *l)
{
    const char *colon = strrchr(tcpx_listener_address(l), ':');

    ck_assert_ptr_nonnull(colon);
    return (unsigned)strtoul(colon + 1, NULL, 10);
}

int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);

    ck_assert_msg(getsockopt(fd, level, name, &value, &len) == 0,
                  "getsockopt %d: %s", name, strerror(errno));
    return value;
}

/* A new socket that is connected so, or -errno. */
static int connect_to(int family, const void *sa, size_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    if (connect(fd, sa, (socklen_t)len) < 0) {
        int err = -errno;

        close(fd);
        return err;
    }
    return fd;
}

int is_refused(const char *address)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    const char *colon = strrchr(address, ':');
    int fd;

    ck_assert_ptr_nonnull(colon);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    fd = connect_to(AF_INET, &sin, sizeof(sin));
    if (fd >= 0)
        close(fd);
    return fd == -ECONNREFUSED;
}

void local_text(int fd, char *text, size_t cap)
{
    struct sockaddr_in sin;
    socklen_t len = sizeof(sin);
    char ip[INET_ADDRSTRLEN];

    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    ck_assert_ptr_nonnull(inet_ntop(AF_INET, &sin.sin_addr, ip, sizeof(ip)));
    snprintf(text, cap, "%s:%u", ip, (unsigned)ntohs(sin.sin_port));
}

int connect_ipv6(unsigned port)
{
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6,
                                .sin6_addr = in6addr_loopback};

    sin6.sin6_port = htons((uint16_t)port);
    return connect_to(AF_INET6, &sin6, sizeof(sin6));
}

int connect_unix(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};

    ck_assert_uint_lt(strlen(path), sizeof(sun.sun_path));
    memcpy(sun.sun_path, path, strlen(path) + 1);
    return connect_to(AF_UNIX, &sun, sizeof(sun));
}

int somaxconn(void)
{
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "r");
    int value = 0;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%d", &value), 1);
    fclose(file);
    return value;
}

struct options options_of(const tcpx_conn *c)
{
    int fd = tcpx_conn_fd(c);

    return (struct options){
        .nodelay = option(fd, IPPROTO_TCP, TCP_NODELAY),
        .keepalive = option(fd, SOL_SOCKET, SO_KEEPALIVE),
        .idle = option(fd, IPPROTO_TCP, TCP_KEEPIDLE),
        .interval = option(fd, IPPROTO_TCP, TCP_KEEPINTVL),
        .count = option(fd, IPPROTO_TCP, TCP_KEEPCNT),
        .timeout = option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT),
        .send_buffer = option(fd, SOL_SOCKET, SO_SNDBUF),
        .receive_buffer = option(fd, SOL_SOCKET, SO_RCVBUF),
    };
}
