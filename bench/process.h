/* SPDX-License-Identifier: MIT */
/*
 * process.h - programs that a contest starts, and what they cost.
 */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <stdio.h>
#include <sys/types.h>

struct process {
    const char *name;
    pid_t pid;
    FILE *out; /* its standard output */
    int in;    /* its standard input */
};

/* Starts argv[0], tied to one CPU; negative: to none.  The name is for what
   may have to be said of it. */
void process_start(struct process *p, const char *name, char *const argv[],
                   int cpu);

/* Its next line, without the end of it; ends the program if there is none. */
void process_line(const struct process *p, char *line, int size);

/* Closes its standard input, sends the signal if it is not 0, and waits. */
void process_stop(struct process *p, int number);

/* Processor time of the process and of its children, as far as it has reaped
   them, in seconds. */
double process_cpu_time(const struct process *p);

/* Processor time of every program on this machine, in seconds; interrupts and
   what the host took away are not in it. */
double machine_cpu_time(void);

/* Memory in KiB, of the process and its children: what is its own, where what
   is shared is divided among those who share it; all that is resident; and what
   the whole kernel has. */
struct memory {
    double own;
    double resident;
    double kernel;
};
struct memory process_memory(const struct process *p);
double kernel_memory(void);

#endif
