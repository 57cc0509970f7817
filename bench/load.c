/* SPDX-License-Identifier: MIT */
/*
 * load.c - the clients of the servers in this folder: one thread, epoll.
 *
 *   load churn ADDRESS   each client connects, sends 64 bytes, takes them back
 *                        and closes, again and again
 *   load echo ADDRESS    each client does so over one connection
 *   load idle ADDRESS    each client does so once; then all wait for the end of
 *                        standard input
 *
 * Prints how often, and in how many seconds.  A wrong byte count ends it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "bench.h"

#define MAX_SIZE 65536
#define EVENTS 256

/* Clients come from so many addresses of the loopback in turn: the ports of one
   would run out, for each is held for a minute after a close. */
#define SOURCES 200

enum mode { CHURN, ECHO, IDLE };

struct client {
    int fd;
    size_t missing; /* bytes of the answer */
};

struct load {
    enum mode mode;
    struct sockaddr_in server;
    size_t size;
    long clients;
    long exchanges; /* stop after so many; 0: after `ms` */
    long ms;
    long warm_up; /* of the ms, before those that count */
    int epoll;
    uint32_t turn; /* of the source addresses */
    long begun;
    long done;
};

static char message[MAX_SIZE];

static void set(int fd, int level, int name, int value)
{
    bench_ok(setsockopt(fd, level, name, &value, sizeof(value)), "setsockopt");
}

static void take_source(struct load *load, int fd)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + load->turn++ % SOURCES);
    set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    bench_ok(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), "bind");
}

static void ask(struct load *load, struct client *c)
{
    c->missing = load->size;
    load->begun++;
    if (send(c->fd, message, load->size, MSG_NOSIGNAL) != (ssize_t)load->size)
        bench_ok(-1, "send");
}

static void begin(struct load *load, struct client *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bench_ok(c->fd, "socket");
    set(c->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    take_source(load, c->fd);
    bench_ok(
        connect(c->fd, (struct sockaddr *)&load->server, sizeof(load->server)),
        "connect");
    bench_ok(epoll_ctl(load->epoll, EPOLL_CTL_ADD, c->fd, &event), "epoll_ctl");
    ask(load, c);
}

/* Takes what came; goes on with the next exchange if `more`. */
static void take(struct load *load, struct client *c, int more)
{
    static char buf[MAX_SIZE];
    ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return;
    bench_ok(n, "recv");
    if (n == 0 || (size_t)n > c->missing) {
        fprintf(stderr, "load: %zd bytes came, %zu were missing\n", n,
                c->missing);
        exit(1);
    }
    c->missing -= (size_t)n;
    if (c->missing > 0)
        return;
    load->done++;
    if (load->mode == CHURN) {
        close(c->fd);
        c->fd = -1;
        if (more)
            begin(load, c);
    } else if (more) {
        ask(load, c);
    }
}

static int wants_more(const struct load *load, tcpx_time until)
{
    if (load->exchanges)
        return load->begun < load->exchanges;
    return load->mode != IDLE && tcpx_now() < until;
}

/* Runs until nobody is to ask any more, and every answer has come. */
static void run(struct load *load, tcpx_time until)
{
    struct epoll_event events[EVENTS];

    while (load->done < load->begun) {
        int n = epoll_wait(load->epoll, events, EVENTS, 10000);

        if (n == 0) {
            fprintf(stderr,
                    "load: no answer for 10 s, and %ld of %ld are missing\n",
                    load->begun - load->done, load->begun);
            exit(1);
        }
        if (n < 0 && errno != EINTR)
            bench_ok(n, "epoll_wait");
        for (int i = 0; i < n; i++)
            take(load, events[i].data.ptr, wants_more(load, until));
        /* Those who are already counted for the end must not begin anew. */
        if (!wants_more(load, until) && load->done == load->begun)
            return;
    }
}

static void begin_all(struct load *load, struct client *clients)
{
    for (long i = 0; i < load->clients; i++) {
        if (load->mode != CHURN || clients[i].fd < 0)
            begin(load, &clients[i]);
    }
}

static void measure(struct load *load, struct client *clients)
{
    tcpx_time start;

    if (load->warm_up) {
        begin_all(load, clients);
        run(load, tcpx_after(load->warm_up * TCPX_MSEC));
        load->done = load->begun = 0;
        for (long i = 0; load->mode == ECHO && i < load->clients; i++)
            ask(load, &clients[i]);
    }
    puts("begin");
    fflush(stdout);
    start = tcpx_now();
    if (load->mode == CHURN || !load->warm_up)
        begin_all(load, clients);
    run(load, start + load->ms * TCPX_MSEC);
    printf("%ld %.6f\n", load->done,
           (double)(tcpx_now() - start) / (double)TCPX_SEC);
    fflush(stdout);
}

static const char help[] =
    "usage: load churn|echo|idle 127.0.0.1:PORT [--clients N] [--ms N]\n"
    "            [--warm-up MS] [--exchanges N] [--size BYTES] [--cpu N]\n";

static int parse_address(struct sockaddr_in *sa, const char *text)
{
    unsigned port;

    sa->sin_family = AF_INET;
    sa->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (sscanf(text, "127.0.0.1:%u", &port) != 1 || port > 65535)
        return -1;
    sa->sin_port = htons((uint16_t)port);
    return 0;
}

static int parse_mode(enum mode *mode, const char *text)
{
    static const char *const names[] = {"churn", "echo", "idle"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *mode = (enum mode)i;
            return 0;
        }
    }
    return -1;
}

static int parse(struct load *load, int argc, char **argv)
{
    static const struct option known[] = {
        {"clients", required_argument, NULL, 'n'},
        {"ms", required_argument, NULL, 'm'},
        {"warm-up", required_argument, NULL, 'w'},
        {"exchanges", required_argument, NULL, 'e'},
        {"size", required_argument, NULL, 's'},
        {"cpu", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        long number = optarg ? atol(optarg) : -1;

        switch (option) {
        case 'n':
            load->clients = number;
            break;
        case 'm':
            load->ms = number;
            break;
        case 'w':
            load->warm_up = number;
            break;
        case 'e':
            load->exchanges = number;
            break;
        case 's':
            load->size = (size_t)number;
            break;
        case 'c':
            bench_pin((int)number);
            break;
        default:
            return -1;
        }
        if (number < 0)
            return -1;
    }
    if (load->clients < 1 || load->size < 1 || load->size > MAX_SIZE ||
        argc - optind != 2)
        return -1;
    return parse_mode(&load->mode, argv[optind]) ||
                   parse_address(&load->server, argv[optind + 1])
               ? -1
               : 0;
}

int main(int argc, char **argv)
{
    struct load load = {.size = 64, .clients = 1, .ms = 1000};
    struct client *clients;

    if (parse(&load, argc, argv)) {
        fputs(help, stderr);
        return 2;
    }
    clients = calloc((size_t)load.clients, sizeof(*clients));
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!clients)
        return 1;
    bench_ok(load.epoll, "epoll_create");
    for (long i = 0; i < load.clients; i++)
        clients[i].fd = -1;
    memset(message, 'x', sizeof(message));
    measure(&load, clients);
    while (load.mode == IDLE && getchar() != EOF)
        ;
    return 0;
}
