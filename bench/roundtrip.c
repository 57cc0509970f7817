/* SPDX-License-Identifier: MIT */
/*
 * roundtrip.c - a small request and its answer over one connection, by plain
 * system calls and by the library.
 *
 * Without --compare it makes one run and says how it went: strace and callgrind
 * count what such a run does, see cost.sh.  With --compare it alternates
 * between all the ways and prints a table in Markdown.
 */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "bench.h"

#define MAX_SIZE 65536
#define MAX_ROUNDS 999

enum limit { NO_LIMIT, TIMEOUT, ABSOLUTE };

/* A constant timeout, and how far away an absolute deadline is at first. */
#define LIMIT (5 * TCPX_SEC)

/* One way to exchange messages. */
struct variant {
    const char *name;
    enum way way;
    enum limit limit;
    tcpx_time spin;
};

struct run {
    struct variant variant;
    struct end pair[2];
    size_t size;
    long exchanges;
    int cpu[2];
    tcpx_time allowed;    /* ABSOLUTE: how far away the deadline begins */
    tcpx_time until_left; /* ABSOLUTE: stop when so little is left; 0: do not */
    tcpx_time deadline;
    long done;
    double seconds; /* of the clock and of the processor, for all exchanges */
    double cpu_seconds;
    size_t handle; /* what a connection takes of the heap; TCPX */
};

/* ---- By plain system calls ---------------------------------------------- */

static void raw_send(int fd, const char *buf, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        bench_ok(n, "send");
        buf += n;
        len -= (size_t)n;
    }
}

/* Returns 0 at the end of the stream. */
static int raw_recv(int fd, char *buf, size_t len)
{
    while (len > 0) {
        ssize_t n = recv(fd, buf, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        bench_ok(n, "recv");
        if (n == 0)
            return 0;
        buf += n;
        len -= (size_t)n;
    }
    return 1;
}

static long raw_ask(const struct run *run, long exchanges)
{
    char buf[MAX_SIZE];
    long i;

    memset(buf, 'x', run->size);
    for (i = 0; i < exchanges; i++) {
        raw_send(run->pair[0].fd, buf, run->size);
        if (!raw_recv(run->pair[0].fd, buf, run->size))
            break;
    }
    return i;
}

static void raw_answer(const struct run *run)
{
    char buf[MAX_SIZE];

    while (raw_recv(run->pair[1].fd, buf, run->size))
        raw_send(run->pair[1].fd, buf, run->size);
}

/* ---- By the library ------------------------------------------------------ */

static inline tcpx_time deadline_of(const struct run *run)
{
    if (run->variant.limit == TIMEOUT)
        return tcpx_after(LIMIT);
    return run->variant.limit == ABSOLUTE ? run->deadline : TCPX_FOREVER;
}

static long tcpx_ask(const struct run *run, long exchanges)
{
    tcpx_conn *c = run->pair[0].conn;
    char buf[MAX_SIZE];
    long i;

    memset(buf, 'x', run->size);
    for (i = 0; i < exchanges; i++) {
        if (run->until_left && run->deadline - tcpx_now() < run->until_left)
            break;
        bench_ok(tcpx_writen(c, buf, run->size, NULL, deadline_of(run)),
                 "tcpx_writen");
        bench_ok(tcpx_readn(c, buf, run->size, NULL, deadline_of(run)),
                 "tcpx_readn");
    }
    return i;
}

static void tcpx_answer(const struct run *run)
{
    tcpx_conn *c = run->pair[1].conn;
    char buf[MAX_SIZE];

    for (;;) {
        int err = tcpx_readn(c, buf, run->size, NULL, deadline_of(run));

        if (err == TCPX_EOF)
            return;
        bench_ok(err, "tcpx_readn");
        bench_ok(tcpx_writen(c, buf, run->size, NULL, deadline_of(run)),
                 "tcpx_writen");
    }
}

/* ---- One run ------------------------------------------------------------- */

static void *answer(void *arg)
{
    struct run *run = arg;

    bench_pin(run->cpu[1]);
    if (run->variant.way == RAW)
        raw_answer(run);
    else
        tcpx_answer(run);
    return NULL;
}

static long ask(const struct run *run, long exchanges)
{
    if (run->variant.way == RAW)
        return raw_ask(run, exchanges);
    return tcpx_ask(run, exchanges);
}

/* Makes the connection, exchanges some to warm up, then those that
   count; leaves the ends to the caller. */
static void measure(struct run *run, long warm_up)
{
    struct pair_options options = {.way = run->variant.way,
                                   .spin = run->variant.spin};
    pthread_t server;
    tcpx_time start;
    double cpu;

    bench_pair(run->pair, &options);
    if (run->variant.way == TCPX)
        run->handle = malloc_usable_size(run->pair[0].conn);
    run->deadline = tcpx_after(run->allowed);
    bench_pin(run->cpu[0]);
    if (pthread_create(&server, NULL, answer, run) != 0)
        exit(1);
    ask(run, warm_up);
    start = tcpx_now();
    cpu = bench_cpu_time();
    run->done = ask(run, run->exchanges);
    run->seconds = (double)(tcpx_now() - start) / (double)TCPX_SEC;
    run->cpu_seconds = bench_cpu_time() - cpu;
    if (run->variant.way == RAW)
        shutdown(run->pair[0].fd, SHUT_WR);
    else
        tcpx_half_close(run->pair[0].conn);
    pthread_join(server, NULL);
    bench_close(&run->pair[1], run->variant.way);
    bench_close(&run->pair[0], run->variant.way);
}

static void run_once(struct run *run)
{
    measure(run, 0);
    printf("exchanges %ld us %.3f handle %zu\n", run->done,
           1e6 * run->seconds / (double)(run->done ? run->done : 1),
           run->handle);
}

/* ---- All the ways, alternating ------------------------------------------ */

static const struct variant variants[] = {
    {"plain system calls", RAW, NO_LIMIT, 0},
    {"the same once more", RAW, NO_LIMIT, 0},
    {"libtcpx, no deadline", TCPX, NO_LIMIT, 0},
    {"libtcpx, timeout of 5 s a call", TCPX, TIMEOUT, 0},
    {"libtcpx, one deadline for all", TCPX, ABSOLUTE, 0},
    {"libtcpx, no deadline, spin of 50 us", TCPX, NO_LIMIT, 50 * TCPX_USEC},
};
#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

static double wall[VARIANTS][MAX_ROUNDS];
static double processor[VARIANTS][MAX_ROUNDS];
static double ratio[VARIANTS][MAX_ROUNDS];
static double processor_ratio[VARIANTS][MAX_ROUNDS];

static void one_round(const struct run *model, size_t round, size_t used)
{
    size_t order[VARIANTS];

    for (size_t i = 0; i < used; i++)
        order[i] = i;
    bench_shuffle(order, used);
    for (size_t i = 0; i < used; i++) {
        size_t v = order[i];
        struct run run = *model;

        run.variant = variants[v];
        measure(&run, run.exchanges / 20 + 1);
        wall[v][round] = 1e6 * run.seconds / (double)run.done;
        processor[v][round] = 1e6 * run.cpu_seconds / (double)run.done;
    }
    for (size_t v = 0; v < used; v++) {
        ratio[v][round] = wall[v][round] / wall[0][round];
        processor_ratio[v][round] = processor[v][round] / processor[0][round];
    }
}

static void print_table(size_t used, size_t rounds)
{
    printf("| way | us | quartiles | ratio | 95 %% interval "
           "| CPU us | ratio | 95 %% interval |\n"
           "| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (size_t v = 0; v < used; v++) {
        struct summary w = bench_summary(wall[v], rounds);
        struct summary p = bench_summary(processor[v], rounds);
        struct summary r = bench_summary(ratio[v], rounds);
        struct summary pr = bench_summary(processor_ratio[v], rounds);

        printf("| %s | %.2f | %.2f-%.2f | ", variants[v].name, w.median,
               w.quartile1, w.quartile3);
        if (v == 0)
            printf("1 | | %.2f | 1 | |\n", p.median);
        else
            printf("%.3f | %.3f-%.3f | %.2f | %.3f | %.3f-%.3f |\n", r.median,
                   r.low, r.high, p.median, pr.median, pr.low, pr.high);
    }
}

/* Every run of a round has as many exchanges as take about `ms`. */
static void compare(struct run *model, long rounds, long ms)
{
    /* On one CPU a spin only keeps the other side from running. */
    size_t used = model->cpu[0] == model->cpu[1] ? VARIANTS - 1 : VARIANTS;
    struct run trial = *model;

    trial.variant = variants[0];
    trial.exchanges = 2000;
    measure(&trial, 200);
    model->exchanges =
        (long)((double)ms / 1e3 * (double)trial.done / trial.seconds) + 1;
    for (long i = 0; i < rounds; i++)
        one_round(model, (size_t)i, used);
    print_table(used, (size_t)rounds);
}

/* ---- Options ------------------------------------------------------------- */

static const char help[] =
    "usage: roundtrip [--way raw|tcpx] [--limit none|timeout|absolute]\n"
    "                 [--exchanges N] [--size BYTES] [--deadline MS]\n"
    "                 [--until-left MS] [--cpus CLIENT,SERVER]\n"
    "       roundtrip --compare [--rounds N] [--ms N] [--size BYTES]\n"
    "                 [--cpus CLIENT,SERVER]\n";

struct settings {
    struct run run;
    int comparing;
    long rounds;
    long ms;
};

/* The place of text in a list that ends with NULL, or -1. */
static int find(const char *const *list, const char *text)
{
    for (int i = 0; list[i]; i++) {
        if (strcmp(list[i], text) == 0)
            return i;
    }
    return -1;
}

/* Takes one option of getopt_long; returns 0, or -1 if it makes no sense. */
static int take(struct settings *s, int option)
{
    static const char *const ways[] = {"raw", "tcpx", NULL};
    static const char *const limits[] = {"none", "timeout", "absolute", NULL};
    long number = optarg ? atol(optarg) : 0;
    int found;

    switch (option) {
    case 'w':
        found = find(ways, optarg);
        s->run.variant.way = found == TCPX ? TCPX : RAW;
        return found < 0 ? -1 : 0;
    case 'l':
        found = find(limits, optarg);
        s->run.variant.limit = (enum limit)found;
        return found < 0 ? -1 : 0;
    case 'n':
        s->run.exchanges = number;
        return number < 0 ? -1 : 0;
    case 's':
        s->run.size = (size_t)number;
        return number < 1 || number > MAX_SIZE ? -1 : 0;
    case 'd':
        s->run.allowed = number * TCPX_MSEC;
        return number < 1 ? -1 : 0;
    case 'u':
        s->run.until_left = number * TCPX_MSEC;
        return number < 1 ? -1 : 0;
    case 'c':
        return bench_parse_cpus(optarg, s->run.cpu);
    case 'C':
        s->comparing = 1;
        return 0;
    case 'r':
        s->rounds = number;
        return number < 1 || number > MAX_ROUNDS ? -1 : 0;
    case 'm':
        s->ms = number;
        return number < 1 ? -1 : 0;
    default:
        return -1;
    }
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"way", required_argument, NULL, 'w'},
        {"limit", required_argument, NULL, 'l'},
        {"exchanges", required_argument, NULL, 'n'},
        {"size", required_argument, NULL, 's'},
        {"deadline", required_argument, NULL, 'd'},
        {"until-left", required_argument, NULL, 'u'},
        {"cpus", required_argument, NULL, 'c'},
        {"compare", no_argument, NULL, 'C'},
        {"rounds", required_argument, NULL, 'r'},
        {"ms", required_argument, NULL, 'm'},
        {NULL, 0, NULL, 0},
    };
    struct settings s = {.run = {.size = 64,
                                 .exchanges = 1000,
                                 .cpu = {-1, -1},
                                 .allowed = LIMIT},
                         .rounds = 15,
                         .ms = 200};
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (take(&s, option)) {
            fputs(help, stderr);
            return 2;
        }
    }
    if (s.comparing)
        compare(&s.run, s.rounds, s.ms);
    else
        run_once(&s.run);
    return 0;
}
