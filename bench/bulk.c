/* SPDX-License-Identifier: MIT */
/*
 * bulk.c - many bytes one way over one connection, by plain system calls and by
 * the library, alternating; prints a table in Markdown.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "bench.h"

#define BUFFER (64 * 1024)
#define MAX_ROUNDS 999
#define LIMIT (60 * TCPX_SEC)

struct variant {
    const char *name;
    enum way way;
    int timed;
};

static const struct variant variants[] = {
    {"plain system calls", RAW, 0},
    {"the same once more", RAW, 0},
    {"libtcpx, no deadline", TCPX, 0},
    {"libtcpx, timeout of 60 s a call", TCPX, 1},
};
#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

struct run {
    const struct variant *variant;
    struct end pair[2];
    long long bytes;
    int cpu[2];
    long long received;
};

static tcpx_time deadline_of(const struct run *run)
{
    return run->variant->timed ? tcpx_after(LIMIT) : TCPX_FOREVER;
}

static void raw_send_all(const struct run *run, const char *buf)
{
    for (long long left = run->bytes; left > 0;) {
        size_t len = left < BUFFER ? (size_t)left : BUFFER;
        ssize_t n = send(run->pair[0].fd, buf, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        bench_ok(n, "send");
        left -= n;
    }
    shutdown(run->pair[0].fd, SHUT_WR);
}

static void tcpx_send_all(const struct run *run, const char *buf)
{
    for (long long left = run->bytes; left > 0;) {
        size_t len = left < BUFFER ? (size_t)left : BUFFER;

        bench_ok(
            tcpx_writen(run->pair[0].conn, buf, len, NULL, deadline_of(run)),
            "tcpx_writen");
        left -= (long long)len;
    }
    tcpx_half_close(run->pair[0].conn);
}

static ssize_t receive(const struct run *run, char *buf)
{
    ssize_t n;

    if (run->variant->way == TCPX)
        return tcpx_read(run->pair[1].conn, buf, BUFFER, deadline_of(run));
    do
        n = recv(run->pair[1].fd, buf, BUFFER, 0);
    while (n < 0 && errno == EINTR);
    return n;
}

static void *receive_all(void *arg)
{
    struct run *run = arg;
    char *buf = malloc(BUFFER);
    ssize_t n;

    if (!buf)
        exit(1);
    bench_pin(run->cpu[1]);
    while ((n = receive(run, buf)) > 0)
        run->received += n;
    bench_ok(n, "receive");
    free(buf);
    return NULL;
}

/* Seconds until all bytes and the end have arrived. */
static double measure(struct run *run, int reno, double *cpu)
{
    struct pair_options options = {.way = run->variant->way, .reno = reno};
    char *buf = malloc(BUFFER);
    pthread_t receiver;
    tcpx_time start;
    tcpx_time end;

    if (!buf)
        exit(1);
    memset(buf, 'x', BUFFER);
    bench_pair(run->pair, &options);
    bench_pin(run->cpu[0]);
    start = tcpx_now();
    *cpu = bench_cpu_time();
    if (pthread_create(&receiver, NULL, receive_all, run) != 0)
        exit(1);
    if (run->variant->way == RAW)
        raw_send_all(run, buf);
    else
        tcpx_send_all(run, buf);
    pthread_join(receiver, NULL);
    end = tcpx_now();
    *cpu = bench_cpu_time() - *cpu;
    if (run->received != run->bytes) {
        fprintf(stderr, "bulk: bytes are missing\n");
        exit(1);
    }
    bench_close(&run->pair[0], run->variant->way);
    bench_close(&run->pair[1], run->variant->way);
    free(buf);
    return (double)(end - start) / (double)TCPX_SEC;
}

static double rate[VARIANTS][MAX_ROUNDS];
static double processor[VARIANTS][MAX_ROUNDS];
static double ratio[VARIANTS][MAX_ROUNDS];
static double processor_ratio[VARIANTS][MAX_ROUNDS];

static void one_round(const struct run *model, size_t round, int reno)
{
    double gib = (double)model->bytes / (1024.0 * 1024.0 * 1024.0);
    double seconds[VARIANTS];
    size_t order[VARIANTS];

    for (size_t i = 0; i < VARIANTS; i++)
        order[i] = i;
    bench_shuffle(order, VARIANTS);
    for (size_t i = 0; i < VARIANTS; i++) {
        struct run run = *model;
        double cpu;

        run.variant = &variants[order[i]];
        seconds[order[i]] = measure(&run, reno, &cpu);
        rate[order[i]][round] = gib / seconds[order[i]];
        processor[order[i]][round] = 1e3 * cpu / gib;
    }
    for (size_t v = 0; v < VARIANTS; v++) {
        ratio[v][round] = seconds[v] / seconds[0];
        processor_ratio[v][round] = processor[v][round] / processor[0][round];
    }
}

static void print_table(size_t rounds)
{
    printf("| way | GiB/s | quartiles | time ratio | 95 %% interval "
           "| CPU ms/GiB | ratio | 95 %% interval |\n"
           "| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (size_t v = 0; v < VARIANTS; v++) {
        struct summary g = bench_summary(rate[v], rounds);
        struct summary p = bench_summary(processor[v], rounds);
        struct summary r = bench_summary(ratio[v], rounds);
        struct summary pr = bench_summary(processor_ratio[v], rounds);

        printf("| %s | %.2f | %.2f-%.2f | ", variants[v].name, g.median,
               g.quartile1, g.quartile3);
        if (v == 0)
            printf("1 | | %.0f | 1 | |\n", p.median);
        else
            printf("%.3f | %.3f-%.3f | %.0f | %.3f | %.3f-%.3f |\n", r.median,
                   r.low, r.high, p.median, pr.median, pr.low, pr.high);
    }
}

static const char help[] =
    "usage: bulk [--rounds N] [--mib N] [--cpus SENDER,RECEIVER]\n";

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"rounds", required_argument, NULL, 'r'},
        {"mib", required_argument, NULL, 'b'},
        {"cpus", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    struct run model = {.bytes = 1024LL << 20, .cpu = {-1, -1}};
    long rounds = 15;
    int reno = bench_has_reno();
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'r')
            rounds = atol(optarg);
        else if (option == 'b')
            model.bytes = atoll(optarg) << 20;
        else if (option != 'c' || bench_parse_cpus(optarg, model.cpu))
            rounds = 0;
    }
    if (rounds < 1 || rounds > MAX_ROUNDS || model.bytes < 1) {
        fputs(help, stderr);
        return 2;
    }
    printf("Congestion control: %s.\n\n", reno ? "reno" : "the default");
    for (long i = 0; i < rounds; i++)
        one_round(&model, (size_t)i, reno);
    print_table((size_t)rounds);
    return 0;
}
