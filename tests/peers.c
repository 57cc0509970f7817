/* SPDX-License-Identifier: MIT */
/*
 * peers.c - what a connect may meet: by plain system calls.
 */
#include "peers.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "support.h"

static int bind_loopback(char *address, size_t cap)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof(sin);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    snprintf(address, cap, "127.0.0.1:%u", (unsigned)ntohs(sin.sin_port));
    return fd;
}

int dead_port(char *address, size_t cap)
{
    return bind_loopback(address, cap);
}

struct full full_open(char *address, size_t cap)
{
    struct full f;

    /* A queue of 0 holds one. */
    f.listener = bind_loopback(address, cap);
    ck_assert_int_eq(listen(f.listener, 0), 0);
    f.client = raw_connect(address);
    return f;
}

void full_make_room(struct full *f)
{
    close(raw_accept(f->listener));
}

void full_end(struct full *f)
{
    close(f->client);
    close(f->listener);
}

static struct sockaddr_un unix_name(const char *path, socklen_t *len)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    ck_assert_uint_lt(strlen(path), sizeof(un.sun_path));
    memcpy(un.sun_path, path, strlen(path));
    if (path[0] == '@')
        un.sun_path[0] = '\0';
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    return un;
}

int unix_listen(const char *path, int backlog)
{
    socklen_t len;
    struct sockaddr_un un = unix_name(path, &len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, len), 0);
    ck_assert_int_eq(listen(fd, backlog), 0);
    return fd;
}

struct full full_unix(char *address, size_t cap)
{
    char path[64];
    socklen_t len;
    struct sockaddr_un un;
    struct full f;

    snprintf(path, sizeof(path), "@tcpx-full-%d", (int)getpid());
    snprintf(address, cap, "unix:%s", path);
    un = unix_name(path, &len);
    f.listener = unix_listen(path, 0);
    f.client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(f.client, 0);
    ck_assert_int_eq(connect(f.client, (struct sockaddr *)&un, len), 0);
    return f;
}

void check_works(tcpx_conn *c, int fd)
{
    char buf[4] = "";

    ck_ok(tcpx_writen(c, "ping", 4, NULL, soon()));
    ck_assert_uint_eq(raw_recv(fd, buf, 4), 4);
    ck_assert_int_eq(memcmp(buf, "ping", 4), 0);
    raw_send(fd, "pong", 4);
    ck_ok(tcpx_readn(c, buf, 4, NULL, soon()));
    ck_assert_int_eq(memcmp(buf, "pong", 4), 0);
    close(fd);
    ck_ok(tcpx_close(c, soon()));
}

long elapsed_ms(tcpx_time since)
{
    return (long)((tcpx_now() - since) / TCPX_MSEC);
}

int option_of(const tcpx_conn *c, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);

    ck_assert_int_eq(getsockopt(tcpx_conn_fd(c), level, name, &value, &len), 0);
    return value;
}
