/* SPDX-License-Identifier: MIT */
/*
 * bench.c - what the benchmarks share.
 */
#include "bench.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void bench_ok(long result, const char *what)
{
    if (result >= 0)
        return;
    if (result == -1 && errno)
        perror(what);
    else
        fprintf(stderr, "%s: %s\n", what, tcpx_strerror((int)result));
    exit(1);
}

static int set_reno(int fd, void *arg)
{
    (void)arg;
    return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) ? -errno : 0;
}

int bench_has_reno(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int rc = set_reno(fd, NULL);

    close(fd);
    return rc == 0;
}

static void set(int fd, int level, int name, int value)
{
    bench_ok(setsockopt(fd, level, name, &value, sizeof(value)), "setsockopt");
}

/* What the library sets on a connection, in the same words. */
static void set_options(int fd)
{
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

static int raw_socket(const struct pair_options *options)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    bench_ok(fd, "socket");
    if (options->reno)
        bench_ok(set_reno(fd, NULL), "reno");
    return fd;
}

static void raw_pair(struct end pair[2], const struct pair_options *options)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int listener = raw_socket(options);

    bench_ok(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), "bind");
    bench_ok(listen(listener, 1), "listen");
    bench_ok(getsockname(listener, (struct sockaddr *)&sa, &len),
             "getsockname");
    pair[0].fd = raw_socket(options);
    set_options(pair[0].fd);
    bench_ok(connect(pair[0].fd, (struct sockaddr *)&sa, sizeof(sa)),
             "connect");
    pair[1].fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    bench_ok(pair[1].fd, "accept");
    set_options(pair[1].fd);
    close(listener);
}

static void tcpx_pair(struct end pair[2], const struct pair_options *options)
{
    int (*control)(int, void *) = options->reno ? set_reno : NULL;
    tcpx_time soon = tcpx_after(10 * TCPX_SEC);
    tcpx_listener *listener;

    bench_ok(
        tcpx_listen(&listener, "127.0.0.1:0",
                    TCPX_LISTEN(.spin = options->spin, .control = control)),
        "tcpx_listen");
    bench_ok(tcpx_connect(
                 &pair[0].conn, tcpx_listener_address(listener),
                 TCPX_CONNECT(.spin = options->spin, .control = control), soon),
             "tcpx_connect");
    bench_ok(tcpx_accept(&pair[1].conn, listener, soon), "tcpx_accept");
    tcpx_listener_close(listener);
}

void bench_pair(struct end pair[2], const struct pair_options *options)
{
    if (options->way == RAW)
        raw_pair(pair, options);
    else
        tcpx_pair(pair, options);
}

void bench_close(struct end *end, enum way way)
{
    if (way == RAW)
        close(end->fd);
    else
        tcpx_close(end->conn, TCPX_NOW);
}

void bench_pin(int cpu)
{
    cpu_set_t cpus;

    if (cpu < 0)
        return;
    CPU_ZERO(&cpus);
    CPU_SET((size_t)cpu, &cpus);
    bench_ok(sched_setaffinity(0, sizeof(cpus), &cpus), "sched_setaffinity");
}

int bench_parse_cpus(const char *text, int cpu[2])
{
    return sscanf(text, "%d,%d", &cpu[0], &cpu[1]) == 2 ? 0 : -1;
}

double bench_cpu_time(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void bench_shuffle(size_t *order, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)random() % i;
        size_t other = order[j];

        order[j] = order[i - 1];
        order[i - 1] = other;
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The sample at a fraction of the way from the first to the last. */
static double quantile(const double *sorted, size_t n, double fraction)
{
    double at = fraction * (double)(n - 1);
    size_t below = (size_t)at;
    double rest = at - (double)below;

    if (below + 1 >= n)
        return sorted[n - 1];
    return sorted[below] * (1 - rest) + sorted[below + 1] * rest;
}

/*
 * Each sample lies above the true median with a chance of one half, so that
 * their number below it is binomial: as many samples are left out at either
 * end as leaves less than 2.5 % beyond it.
 */
static size_t left_out(size_t n)
{
    double chance = 1;
    double sum = 0;
    size_t k = 0;

    for (size_t i = 0; i < n; i++)
        chance /= 2;
    while (k < n / 2 && sum + chance <= 0.025) {
        sum += chance;
        chance = chance * (double)(n - k) / (double)(k + 1);
        k++;
    }
    return k > 0 ? k - 1 : 0;
}

struct summary bench_summary(double *samples, size_t n)
{
    size_t out = left_out(n);
    struct summary s;

    qsort(samples, n, sizeof(*samples), compare);
    s.median = quantile(samples, n, 0.5);
    s.quartile1 = quantile(samples, n, 0.25);
    s.quartile3 = quantile(samples, n, 0.75);
    s.low = samples[out];
    s.high = samples[n - 1 - out];
    return s;
}
