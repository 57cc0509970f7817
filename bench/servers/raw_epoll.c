/* SPDX-License-Identifier: MIT */
/*
 * raw_epoll.c - one thread for all clients, over edge-triggered epoll(7), as
 * one would write it by hand for speed.
 *
 * A client is a descriptor, and what could not be sent at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "raw.h"

#define EVENTS 256

struct client {
    int fd;
    size_t start; /* of what is unsent */
    size_t end;
    char unsent[];
};

static char buf[RAW_BUFFER];
static struct client **clients; /* by descriptor; NULL: nothing unsent */
static size_t room;

static void keep(int fd, const char *data, size_t len)
{
    struct client *c = malloc(sizeof(*c) + len);

    if (!c)
        abort();
    c->fd = fd;
    c->start = 0;
    c->end = len;
    memcpy(c->unsent, data, len);
    clients[fd] = c;
}

static void drop(int fd)
{
    free(clients[fd]);
    clients[fd] = NULL;
}

/* Sends what was kept: 1 all, 0 not yet, -1 the client is gone. */
static int flush_kept(int fd)
{
    struct client *c = clients[fd];

    while (c && c->start < c->end) {
        ssize_t n = send(fd, c->unsent + c->start, c->end - c->start,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        c->start += (size_t)n;
    }
    drop(fd);
    return 1;
}

/* Echoes what there is: 1 to go on, 0 the client has finished, -1 is gone.
   With to_end, no edge will tell of an end that has come already. */
static int echo(int fd, int to_end)
{
    for (;;) {
        ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
        ssize_t sent;

        if (n <= 0)
            return n == 0 ? 0 : errno == EAGAIN ? 1 : -1;
        sent = send(fd, buf, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return -1;
        if (sent < n) {
            sent = sent < 0 ? 0 : sent;
            keep(fd, buf + sent, (size_t)(n - sent));
            return 1;
        }
        /* A short read has emptied the socket: an edge will tell of more. */
        if ((size_t)n < sizeof(buf) && !to_end)
            return 1;
    }
}

static void serve(int fd, unsigned events)
{
    int to_end = clients[fd] || (events & (EPOLLRDHUP | EPOLLHUP));
    int rc = clients[fd] ? flush_kept(fd) : 1;

    if (rc == 0)
        return;
    if (rc > 0)
        rc = echo(fd, to_end);
    if (rc > 0)
        return;
    if (clients[fd])
        drop(fd);
    raw_close(fd, rc);
}

static void take(int epoll, int listener)
{
    struct epoll_event event = {.events =
                                    EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        while ((size_t)fd >= room) {
            size_t more = room ? room * 2 : 1024;

            clients = realloc(clients, more * sizeof(struct client *));
            if (!clients)
                abort();
            memset(clients + room, 0, (more - room) * sizeof(struct client *));
            room = more;
        }
        event.data.fd = fd;
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(void)
{
    int listener = raw_listen();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS] = {
        {.events = EPOLLIN, .data = {.fd = listener}}};

    fcntl(listener, F_SETFL, O_RDWR | O_NONBLOCK);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &events[0]);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                take(epoll, listener);
            else
                serve(events[i].data.fd, events[i].events);
        }
    }
}
