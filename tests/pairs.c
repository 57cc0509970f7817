/* SPDX-License-Identifier: MIT */
/*
 * pairs.c - connected pairs, one for each way in which a connection waits.
 */
#include "pairs.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "support.h"

static tcpx_conn *adopt(int fd, int kind)
{
    tcpx_conn *c = NULL;

    ck_ok(
        tcpx_conn_adopt(&c, fd, TCPX_ADOPT(.sole_owner = kind != PAIR_SHARED)));
    return c;
}

/* A connection that the library accepted, and its client. */
static tcpx_conn *accept_one(int *peer)
{
    tcpx_listener *l = NULL;
    tcpx_conn *c = NULL;

    ck_ok(tcpx_listen(&l, "127.0.0.1:0", NULL));
    *peer = raw_connect(tcpx_listener_address(l));
    ck_ok(tcpx_accept(&c, l, soon()));
    tcpx_listener_close(l);
    return c;
}

static tcpx_conn *connect_one(int *peer)
{
    char address[32];
    int listener = raw_listen(address, sizeof(address));
    tcpx_conn *c = NULL;

    ck_ok(tcpx_connect(&c, address, NULL, soon()));
    *peer = raw_accept(listener);
    close(listener);
    return c;
}

struct pair pair_open(int kind)
{
    struct pair p = {NULL, NULL};
    int peer;

    if (kind == PAIR_UNIX) {
        tcpx_conn *ends[2];

        ck_ok(tcpx_conn_pair(ends));
        p.a = ends[0];
        p.b = ends[1];
        return p;
    }
    p.a = conn_open(kind, &peer);
    p.b = adopt(peer, kind);
    return p;
}

void pair_end(struct pair *p)
{
    tcpx_abort(p->a);
    tcpx_abort(p->b);
}

tcpx_conn *conn_open(int kind, int *peer)
{
    int fd[2];

    if (kind == PAIR_ACCEPTED)
        return accept_one(peer);
    if (kind == PAIR_CONNECTED)
        return connect_one(peer);
    if (kind == PAIR_UNIX)
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd),
                         0);
    else
        raw_pair(fd);
    *peer = fd[1];
    return adopt(fd[0], kind);
}

struct fed fed_open(int kind)
{
    struct fed f;

    f.c = conn_open(kind, &f.peer);
    return f;
}

void feed(struct fed *f, const char *text)
{
    raw_send(f->peer, text, strlen(text));
}

void feed_end(struct fed *f)
{
    ck_assert_int_eq(shutdown(f->peer, SHUT_WR), 0);
}

void fed_end(struct fed *f)
{
    tcpx_abort(f->c);
    close(f->peer);
}

void expect_bytes(struct fed *f, const char *expected)
{
    char buf[64];
    size_t len = strlen(expected);

    ck_assert_uint_le(len, sizeof(buf));
    ck_ok(tcpx_readn(f->c, buf, len, NULL, soon()));
    ck_assert_mem_eq(buf, expected, len);
}

void narrow(int fd)
{
    int size = 65536;

    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)),
                     0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)),
                     0);
}

static void *collect(void *arg)
{
    struct collector *k = arg;
    static _Thread_local unsigned char block[16384];

    for (;;) {
        ssize_t n = recv(k->fd, block, sizeof(block), 0);

        if (n <= 0) {
            k->error = n < 0 ? errno : 0;
            return NULL;
        }
        if (k->len < k->want) {
            size_t room = k->want - k->len;

            memcpy(k->data + k->len, block,
                   (size_t)n < room ? (size_t)n : room);
        }
        k->len += (size_t)n;
    }
}

void collect_start(struct collector *k, int fd, size_t want)
{
    *k = (struct collector){.fd = fd, .want = want};
    k->data = malloc(want ? want : 1);
    ck_assert_ptr_nonnull(k->data);
    k->thread = start_thread(collect, k);
}

void collect_end(struct collector *k)
{
    end_thread(k->thread);
}

void fill_pattern(void *buf, size_t len, size_t offset)
{
    uint8_t *p = buf;

    for (size_t i = 0; i < len; i++) {
        uint32_t x = (uint32_t)(offset + i) * 2654435761u;

        p[i] = (uint8_t)(x >> 24 ^ x >> 11);
    }
}
