/* SPDX-License-Identifier: MIT */
/*
 * fakenet.c - a network for races, with a clock of its own.
 */
#include "fakenet.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include "base/sys.h"
#include "base/util.h"
#include "io/world.h"

#define HOSTS 64
#define NAMES 64

struct host {
    char address[INET6_ADDRSTRLEN];
    int result;
    tcpx_time after;
};

/* A connect under way. */
struct under_way {
    int fd;
    int result;
    int hints; /* false ones, still to be told */
    tcpx_time due;
};

struct answer {
    tcpx_lookup *lookup; /* NULL: not asked, or answered */
    int err;
    size_t n;
    struct sockaddr_storage addresses[NAMES];
    tcpx_time after;
};

static struct {
    struct host hosts[HOSTS];
    size_t n_hosts;
    struct under_way open[HOSTS];
    size_t n_open;
    struct answer answers[2]; /* IPv6, IPv4 */
    tcpx_time began;
    tcpx_time now;
    tcpx_time cancel;
    int unparked;
    int begun;
    int most_open;
    int hints;
    int waits;
} net;

static int64_t virtual_clock(void)
{
    return net.now;
}

tcpx_time fakenet_now(void)
{
    return net.now - net.began;
}

tcpx_time fakenet_at(tcpx_time after)
{
    return after == TCPX_FOREVER ? after : net.began + after;
}

int fakenet_begun(void)
{
    return net.begun;
}

int fakenet_most_open(void)
{
    return net.most_open;
}

int fakenet_waits(void)
{
    return net.waits;
}

void fakenet_false_hints(int n)
{
    net.hints = n;
}

void fakenet_cancel(tcpx_time after)
{
    net.cancel = fakenet_at(after);
}

/* ---- Hosts and names ---------------------------------------------------- */

void fakenet_host(const char *address, int result, tcpx_time after)
{
    struct host *host = &net.hosts[net.n_hosts++];

    ck_assert_uint_le(net.n_hosts, HOSTS);
    snprintf(host->address, sizeof(host->address), "%s", address);
    host->result = result;
    host->after = after;
}

static const struct host *find_host(const struct sockaddr *sa)
{
    static const struct host silent = {.result = SILENT};
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    const void *bytes = &in.sin_addr;

    if (sa->sa_family == AF_INET6) {
        memcpy(&in6, sa, sizeof(in6));
        bytes = &in6.sin6_addr;
    } else {
        memcpy(&in, sa, sizeof(in));
    }
    inet_ntop(sa->sa_family, bytes, text, sizeof(text));
    for (size_t i = 0; i < net.n_hosts; i++) {
        if (strcmp(net.hosts[i].address, text) == 0)
            return &net.hosts[i];
    }
    return &silent;
}

static struct answer *answer_of(int family)
{
    return &net.answers[family == AF_INET];
}

static void add_name(struct answer *a, int family, const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    void *bytes = family == AF_INET ? (void *)&in.sin_addr : &in6.sin6_addr;

    ck_assert_uint_lt(a->n, NAMES);
    ck_assert_int_eq(inet_pton(family, text, bytes), 1);
    if (family == AF_INET)
        memcpy(&a->addresses[a->n++], &in, sizeof(in));
    else
        memcpy(&a->addresses[a->n++], &in6, sizeof(in6));
}

void fakenet_names(int family, const char *addresses, tcpx_time after)
{
    struct answer *a = answer_of(family);
    char copy[NAMES * INET6_ADDRSTRLEN];
    char *rest = copy;

    snprintf(copy, sizeof(copy), "%s", addresses);
    for (char *one; (one = strsep(&rest, " "));) {
        if (*one)
            add_name(a, family, one);
    }
    a->after = after;
}

void fakenet_names_fail(int family, int err, tcpx_time after)
{
    answer_of(family)->err = err;
    answer_of(family)->after = after;
}

static void answer(struct answer *a)
{
    tcpx_lookup *lookup = a->lookup;

    a->lookup = NULL;
    tcpx_lookup_finish(lookup, a->err, a->addresses, a->n);
}

/* A resolver must answer, also when nobody waits any more. */
static void finish_late(struct answer *a)
{
    if (!a->lookup)
        return;
    ck_assert(tcpx_lookup_is_abandoned(a->lookup));
    answer(a);
}

static void resolve(tcpx_lookup *lookup, const char *host, int family,
                    void *arg)
{
    struct answer *a = answer_of(family);

    (void)host;
    (void)arg;
    finish_late(a);
    a->lookup = lookup;
    if (a->after == 0)
        answer(a);
}

/* ---- Time ---------------------------------------------------------------- */

static tcpx_time due_of(const struct answer *a)
{
    return a->lookup ? fakenet_at(a->after) : TCPX_FOREVER;
}

/* Forgets the connects whose sockets are closed, or were: fd is a new one. */
static void prune(int fd)
{
    size_t n = 0;

    for (size_t i = 0; i < net.n_open; i++) {
        int old = net.open[i].fd;

        if (old != fd && fcntl(old, F_GETFD) >= 0)
            net.open[n++] = net.open[i];
    }
    net.n_open = n;
}

/* Lets time pass, but not beyond `until`, to the next thing that happens. */
static void pass_time(tcpx_time until)
{
    tcpx_time next = until < net.cancel ? until : net.cancel;

    prune(-1);
    for (size_t i = 0; i < net.n_open; i++) {
        if (net.open[i].due < next)
            next = net.open[i].due;
    }
    for (size_t i = 0; i < TCPX__COUNT(net.answers); i++) {
        if (due_of(&net.answers[i]) < next)
            next = due_of(&net.answers[i]);
    }
    ck_assert_msg(next != TCPX_FOREVER, "the library would wait for ever");
    if (next > net.now)
        net.now = next;
    for (size_t i = 0; i < TCPX__COUNT(net.answers); i++) {
        if (due_of(&net.answers[i]) <= net.now)
            answer(&net.answers[i]);
    }
    if (net.cancel <= net.now) {
        net.cancel = TCPX_FOREVER;
        tcpx_task_cancel(tcpx_task_self());
    }
}

static struct under_way *find_open(int fd)
{
    for (size_t i = 0; i < net.n_open; i++) {
        if (net.open[i].fd == fd)
            return &net.open[i];
    }
    ck_abort_msg("descriptor %d is not connecting", fd);
    return NULL;
}

static int collect(struct tcpx__poll_item *items, size_t n)
{
    int ready = 0;

    for (size_t i = 0; i < n; i++) {
        const struct under_way *u = find_open(items[i].fd);

        ck_assert_int_eq(items[i].want, POLLOUT);
        items[i].got = u->due <= net.now ? POLLOUT : 0;
        ready += items[i].got != 0;
    }
    return ready;
}

static int wait_for(struct tcpx__poll_item *items, size_t n, tcpx_time until)
{
    ck_assert_int_lt(net.waits++, 1000);
    for (;;) {
        int ready = collect(items, n);

        if (ready)
            return ready;
        if (atomic_load(&tcpx__task()->canceled))
            return TCPX_ECANCELED;
        if (net.unparked) {
            net.unparked = 0;
            return 0;
        }
        if (net.now >= until)
            return TCPX_EDEADLINE;
        pass_time(until);
    }
}

static int park(tcpx_time until)
{
    return wait_for(NULL, 0, until);
}

static void unpark(tcpx_task *t)
{
    (void)t;
    net.unparked = 1;
}

/* ---- Connects ------------------------------------------------------------ */

static int connect_begin(int fd, const struct sockaddr *sa, socklen_t len)
{
    const struct host *host = find_host(sa);
    struct under_way *u;

    (void)len;
    ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    net.begun++;
    if (host->after == 0 && host->result < 0)
        return host->result;
    prune(fd);
    u = &net.open[net.n_open++];
    ck_assert_uint_le(net.n_open, HOSTS);
    u->fd = fd;
    u->result = host->result;
    u->hints = net.hints;
    u->due = host->result == SILENT ? TCPX_FOREVER : net.now + host->after;
    if ((int)net.n_open > net.most_open)
        net.most_open = (int)net.n_open;
    return -EINPROGRESS;
}

static int connect_result(int fd)
{
    struct under_way *u = find_open(fd);

    if (u->hints > 0) {
        u->hints--;
        u->due += TCPX_MSEC;
        return -EINPROGRESS;
    }
    return u->result;
}

int fakenet_open(void)
{
    prune(-1);
    return (int)net.n_open;
}

/* ---- Begin and end ------------------------------------------------------- */

static struct tcpx__world world;

void fakenet_begin(void)
{
    tcpx_task *t = tcpx__task();

    memset(&net, 0, sizeof(net));
    net.now = net.began = tcpx_after(1000 * TCPX_SEC);
    net.cancel = TCPX_FOREVER;
    net.answers[0].after = net.answers[1].after = TCPX_FOREVER;
    world = tcpx__world_thread;
    world.name = "fakenet";
    world.connect_begin = connect_begin;
    world.connect_result = connect_result;
    world.wait = wait_for;
    world.park = park;
    world.unpark = unpark;
    t->world = &world;
    tcpx__sys_clock = virtual_clock;
    tcpx_resolver_set(resolve, NULL);
}

void fakenet_end(void)
{
    for (size_t i = 0; i < TCPX__COUNT(net.answers); i++)
        finish_late(&net.answers[i]);
    tcpx_task_clear_cancel();
    tcpx_resolver_set(NULL, NULL);
    tcpx__sys_clock = NULL;
    tcpx__sys_hook = NULL;
    tcpx__task()->world = &tcpx__world_thread;
}
