/* SPDX-License-Identifier: MIT */
/*
 * raw.c - what the servers on bare system calls share.
 */
#include "raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define BACKLOG 4096
#define CALL_SECONDS 60
#define DRAIN_SECONDS 2

static void ok(int result, const char *what)
{
    if (result >= 0)
        return;
    perror(what);
    exit(1);
}

static void set(int fd, int level, int name, int value)
{
    ok(setsockopt(fd, level, name, &value, sizeof(value)), "setsockopt");
}

static void limit_calls(int fd, int name, time_t seconds)
{
    struct timeval tv = {.tv_sec = seconds};

    setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv));
}

int raw_listen(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ok(fd, "socket");
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
    limit_calls(fd, SO_RCVTIMEO, CALL_SECONDS);
    limit_calls(fd, SO_SNDTIMEO, CALL_SECONDS);
    ok(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), "bind");
    ok(listen(fd, BACKLOG), "listen");
    ok(getsockname(fd, (struct sockaddr *)&sa, &len), "getsockname");
    printf("listening on 127.0.0.1:%d\n", ntohs(sa.sin_port));
    fflush(stdout);
    return fd;
}

int raw_accept(int listener)
{
    for (;;) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof(peer);
        int fd =
            accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);

        if (fd >= 0)
            return fd;
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
            errno == ENOBUFS)
            usleep(10000);
    }
}

static int send_all(int fd, const char *buf, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        buf += n;
        len -= (size_t)n;
    }
    return 0;
}

int raw_echo(int fd)
{
    char buf[RAW_BUFFER];

    for (;;) {
        ssize_t n = recv(fd, buf, sizeof(buf), 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            return 0;
        if (n < 0 && errno == EAGAIN) /* idle: it ends well, from this side */
            return shutdown(fd, SHUT_WR) ? -1 : 1;
        if (n < 0 || send_all(fd, buf, (size_t)n))
            return -1;
    }
}

void raw_close(int fd, int result)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    char dropped[4096];

    if (result < 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    if (result > 0) {
        /* Input left unread would turn the close into a reset. */
        limit_calls(fd, SO_RCVTIMEO, DRAIN_SECONDS);
        while (recv(fd, dropped, sizeof(dropped), 0) > 0)
            ;
    }
    close(fd);
}

int raw_workers(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 64;

    return n > 0 ? n : 1;
}
