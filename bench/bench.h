/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the benchmarks share: connections made by plain system calls
 * or by the library with the same options, CPUs, clocks, statistics.
 *
 * Every comparison alternates between the two within one run and looks at
 * ratios inside a round: a machine's speed changes from second to second, and
 * both sides of a ratio then change with it.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <tcpx.h>

enum way { RAW, TCPX };

/* One end of a connection: fd for RAW, conn for TCPX. */
struct end {
    int fd;
    tcpx_conn *conn;
};

struct pair_options {
    enum way way;
    int reno;       /* TCP_CONGESTION reno: the default may pace loopback */
    tcpx_time spin; /* TCPX only */
};

/* Ends the program with a message if something failed. */
void bench_ok(long result, const char *what);

/* A connection over 127.0.0.1: pair[0] connected, pair[1] was accepted. */
void bench_pair(struct end pair[2], const struct pair_options *options);
void bench_close(struct end *end, enum way way);

/* Whether reno can be asked for here. */
int bench_has_reno(void);

/* Ties the calling thread to one CPU; negative: to none. */
void bench_pin(int cpu);

/* Takes "0,1" apart. */
int bench_parse_cpus(const char *text, int cpu[2]);

/* Processor time of all threads so far, in seconds. */
double bench_cpu_time(void);

/* The order of `n` things in one round: another one each time. */
void bench_shuffle(size_t *order, size_t n);

/* Of n samples, which are sorted by it; low and high hold the true median with
   a probability of at least 95 %, by the order statistics alone. */
struct summary {
    double median;
    double quartile1;
    double quartile3;
    double low;
    double high;
};
struct summary bench_summary(double *samples, size_t n);

#endif
