/* SPDX-License-Identifier: MIT */
/*
 * process.c - programs that a contest starts, and what they cost.
 */
#include "process.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "bench.h"

/* What counts as no change of the kernel's memory, and how often to look. */
#define STILL_KIB 64
#define LOOK_US 50000
#define MAX_LOOKS 40

static void run(char *const argv[], int cpu, const int in[2], const int out[2])
{
    /* Nobody is left behind, however the contest ends. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bench_pin(cpu);
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    close(in[0]);
    close(in[1]);
    close(out[0]);
    close(out[1]);
    execv(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

void process_start(struct process *p, const char *name, char *const argv[],
                   int cpu)
{
    int in[2];
    int out[2];

    bench_ok(pipe(in), "pipe");
    bench_ok(pipe(out), "pipe");
    fflush(stdout);
    p->name = name;
    p->pid = fork();
    bench_ok(p->pid, "fork");
    if (p->pid == 0)
        run(argv, cpu, in, out);
    close(in[0]);
    close(out[1]);
    p->in = in[1];
    p->out = fdopen(out[0], "r");
    if (!p->out)
        exit(1);
}

void process_line(const struct process *p, char *line, int size)
{
    if (!fgets(line, size, p->out)) {
        fprintf(stderr, "%s has ended\n", p->name);
        exit(1);
    }
    line[strcspn(line, "\n")] = '\0';
}

void process_stop(struct process *p, int number)
{
    close(p->in);
    if (number)
        kill(p->pid, number);
    waitpid(p->pid, NULL, 0);
    fclose(p->out);
}

/* Ticks of the reaped children, which only stat tells; the second number after
   the command's name in parentheses is the fourth of the line. */
static double children_cpu_time(pid_t pid)
{
    char path[64];
    char line[1024];
    unsigned long user = 0;
    unsigned long system = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    f = fopen(path, "r");
    if (f && fgets(line, sizeof(line), f)) {
        const char *rest = strrchr(line, ')');

        if (rest)
            sscanf(rest,
                   ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
                   "%*u %*u %lu %lu",
                   &user, &system);
    }
    if (f)
        fclose(f);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

double process_cpu_time(const struct process *p)
{
    struct timespec ts = {0, 0};
    clockid_t clock;

    if (clock_getcpuclockid(p->pid, &clock) == 0)
        clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9 +
           children_cpu_time(p->pid);
}

double machine_cpu_time(void)
{
    unsigned long user = 0;
    unsigned long low = 0;
    unsigned long system = 0;
    FILE *f = fopen("/proc/stat", "r");

    if (!f || fscanf(f, "cpu %lu %lu %lu", &user, &low, &system) != 3)
        user = low = system = 0;
    if (f)
        fclose(f);
    return (double)(user + low + system) / (double)sysconf(_SC_CLK_TCK);
}

/* The number behind a name in one of the kernel's lists, or 0. */
static double number_in(const char *path, const char *name)
{
    FILE *f = fopen(path, "r");
    size_t len = strlen(name);
    double number = 0;
    char line[256];

    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, name, len) == 0 && line[len] == ':')
            number = atof(line + len + 1);
    }
    if (f)
        fclose(f);
    return number;
}

static double kernel_memory_now(void)
{
    static const char *const kinds[] = {"Slab", "KernelStack", "PageTables"};
    double sum = 0;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        sum += number_in("/proc/meminfo", kinds[i]);
    return sum;
}

/* The kernel frees much a moment later: asks until it changes no more. */
double kernel_memory(void)
{
    double before = kernel_memory_now();
    double now = before;

    for (int tries = 0; tries < MAX_LOOKS; tries++) {
        usleep(LOOK_US);
        now = kernel_memory_now();
        if (now - before < STILL_KIB && before - now < STILL_KIB)
            break;
        before = now;
    }
    return now;
}

static void add_memory(struct memory *m, pid_t pid)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    m->own += number_in(path, "Pss");
    m->resident += number_in(path, "Rss");
}

struct memory process_memory(const struct process *p)
{
    struct memory m = {.kernel = kernel_memory()};
    char path[64];
    FILE *children;
    int child;

    add_memory(&m, p->pid);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)p->pid,
             (int)p->pid);
    children = fopen(path, "r");
    while (children && fscanf(children, "%d", &child) == 1)
        add_memory(&m, child);
    if (children)
        fclose(children);
    return m;
}
