/* SPDX-License-Identifier: MIT */
/*
 * contest.c - servers against each other: starts each alone on one CPU and its
 * clients on another, all of them in turn, round after round.
 *
 *   contest churn   connect, one exchange of 64 bytes, close
 *   contest echo    one exchange after another over connections that stay
 *   contest idle    what a connection costs on which nothing happens
 *   contest list    MODEL|NAME|COMMAND of those who take part in churn
 *
 * A server more is a file in servers/, a line in CMakeLists.txt and a line
 * here.  It is measured against the first one of its model.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bench.h"
#include "process.h"

enum { CHURN = 1, ECHO = 2, IDLE = 4, ALL = 7 };

struct contender {
    const char *model;
    const char *name;
    const char *program; /* bench_PROGRAM, beside this one */
    const char *argument;
    int has_workers; /* takes their number as its last argument */
    int events;
};

static const struct contender contenders[] = {
    {"iterative", "plain system calls", "raw_iterative", NULL, 0, CHURN},
    {"iterative", "libtcpx", "tcpx", "iterative", 0, CHURN},
    {"fork", "plain system calls", "raw_fork", NULL, 0, CHURN | IDLE},
    {"fork", "libtcpx", "tcpx", "fork", 0, CHURN | IDLE},
    {"thread", "plain system calls", "raw_thread", NULL, 0, ALL},
    {"thread", "the same once more", "raw_thread", NULL, 0, CHURN | ECHO},
    {"thread", "libtcpx", "tcpx", "thread", 0, ALL},
    {"pool", "plain system calls", "raw_pool", NULL, 1, ALL},
    {"pool", "libtcpx", "tcpx", "pool", 1, ALL},
    {"pool", "plain, each worker accepts", "raw_prethread", NULL, 1, CHURN},
    {"fiber", "plain epoll, one thread", "raw_epoll", NULL, 0, ALL},
    {"fiber", "libtcpx, io_uring", "tcpx", "fiber", 0, ALL},
    {"fiber", "libtcpx, epoll", "tcpx", "fiber-epoll", 0, ALL},
};
#define CONTENDERS (sizeof(contenders) / sizeof(contenders[0]))

#define MAX_ROUNDS 99
#define POOL 64 /* workers, if there are not more clients */
#define WARM_UP "50"

/* More of a CPU than this, taken by others, spoils a run. */
#define DISTURBED 0.1

/* Of memory, the difference of two numbers of clients is taken. */
#define FEW 100

struct settings {
    int event;
    const char *event_name;
    long clients;
    long rounds;
    long ms;
    int cpu[2];        /* of the server and of its clients */
    const char *model; /* only this one; NULL: all */
    long patience;     /* seconds to wait for others to be done, in all */
    FILE *figures;
    long runs;
    long disturbed; /* of those */
};

/* What one contender came to in each round. */
struct results {
    double time[MAX_ROUNDS]; /* microseconds of the clock for each */
    double cpu[MAX_ROUNDS];  /* and of the server's processor time */
    double time_ratio[MAX_ROUNDS];
    double cpu_ratio[MAX_ROUNDS];
    struct memory memory[MAX_ROUNDS]; /* KiB for each client */
};
static struct results results[CONTENDERS];

static char folder[4096];

/* ---- One run ------------------------------------------------------------- */

struct arguments {
    char program[sizeof(folder) + 32];
    char numbers[2][24];
    char *argv[16];
};

static void serve(struct process *p, const struct contender *c, long clients,
                  const struct settings *s, char *address)
{
    struct arguments a;
    char line[128];
    size_t n = 0;

    snprintf(a.program, sizeof(a.program), "%s/bench_%s", folder, c->program);
    snprintf(a.numbers[0], sizeof(a.numbers[0]), "%ld",
             clients > POOL ? clients : POOL);
    a.argv[n++] = a.program;
    if (c->argument)
        a.argv[n++] = (char *)c->argument;
    if (c->has_workers)
        a.argv[n++] = a.numbers[0];
    a.argv[n] = NULL;
    process_start(p, c->program, a.argv, s->cpu[0]);
    process_line(p, line, sizeof(line));
    if (sscanf(line, "listening on %63s", address) != 1)
        exit(1);
}

static void load(struct process *p, const struct contender *c,
                 const char *address, long clients, const struct settings *s)
{
    static char name[128];
    struct arguments a;
    char line[128];

    snprintf(a.program, sizeof(a.program), "%s/bench_load", folder);
    snprintf(a.numbers[0], sizeof(a.numbers[0]), "%ld", clients);
    snprintf(a.numbers[1], sizeof(a.numbers[1]), "%ld", s->ms);
    memcpy(a.argv,
           (char *[]){a.program, (char *)s->event_name, (char *)address,
                      "--clients", a.numbers[0], "--ms", a.numbers[1],
                      "--warm-up", s->event == IDLE ? "0" : WARM_UP, NULL},
           10 * sizeof(char *));
    snprintf(name, sizeof(name), "the load of %s, %s", c->name, c->model);
    process_start(p, name, a.argv, s->cpu[1]);
    process_line(p, line, sizeof(line)); /* begin */
}

/* Returns the processor time that others took, for each second. */
static double measure_time(const struct contender *c, const struct settings *s,
                           double *time, double *cpu)
{
    struct process server;
    struct process clients;
    char address[64];
    char line[128];
    double seconds;
    double serving;
    double asking;
    double all;
    long n;

    serve(&server, c, s->clients, s, address);
    load(&clients, c, address, s->clients, s);
    all = -machine_cpu_time();
    serving = -process_cpu_time(&server);
    asking = -process_cpu_time(&clients);
    process_line(&clients, line, sizeof(line));
    serving += process_cpu_time(&server);
    asking += process_cpu_time(&clients);
    all += machine_cpu_time();
    process_stop(&clients, 0);
    process_stop(&server, SIGTERM);
    if (sscanf(line, "%ld %lf", &n, &seconds) != 2 || n < 1)
        exit(1);
    *time = 1e6 * seconds / (double)n;
    *cpu = 1e6 * serving / (double)n;
    return (all - serving - asking) / seconds;
}

/* Measures again as long as others use the machine and there is patience. */
static void measure_time_in_peace(const struct contender *c, struct settings *s,
                                  double *time, double *cpu)
{
    tcpx_time start = tcpx_now();
    tcpx_time until = start + s->patience * TCPX_SEC;
    int is_disturbed;

    for (;;) {
        is_disturbed = measure_time(c, s, time, cpu) > DISTURBED;
        if (!is_disturbed || tcpx_now() >= until)
            break;
        sleep(1);
    }
    s->runs++;
    s->disturbed += is_disturbed;
    s->patience -= (long)((tcpx_now() - start) / TCPX_SEC);
    if (s->patience < 0)
        s->patience = 0;
}

static struct memory measure_memory(const struct contender *c, long n,
                                    const struct settings *s)
{
    double kernel = kernel_memory();
    struct process server;
    struct process clients;
    struct memory m;
    char address[64];
    char line[128];

    serve(&server, c, n, s, address);
    load(&clients, c, address, n, s);
    process_line(&clients, line, sizeof(line)); /* all have been answered */
    m = process_memory(&server);
    m.kernel -= kernel;
    process_stop(&clients, 0);
    process_stop(&server, SIGTERM);
    return m;
}

/* ---- All rounds ---------------------------------------------------------- */

static int takes_part(size_t i, const struct settings *s)
{
    return (contenders[i].events & s->event) != 0 &&
           (!s->model || strcmp(s->model, contenders[i].model) == 0);
}

/* The first of the same model. */
static size_t base_of(size_t i)
{
    size_t base = i;

    while (base > 0 &&
           strcmp(contenders[base - 1].model, contenders[i].model) == 0)
        base--;
    return base;
}

static void measure(size_t i, long round, struct settings *s)
{
    struct results *r = &results[i];
    struct memory few;
    struct memory many;

    if (s->event != IDLE) {
        measure_time_in_peace(&contenders[i], s, &r->time[round],
                              &r->cpu[round]);
        return;
    }
    few = measure_memory(&contenders[i], FEW, s);
    many = measure_memory(&contenders[i], FEW + s->clients, s);
    r->memory[round] = (struct memory){
        .own = (many.own - few.own) / (double)s->clients,
        .resident = (many.resident - few.resident) / (double)s->clients,
        .kernel = (many.kernel - few.kernel) / (double)s->clients,
    };
}

static void one_round(long round, struct settings *s)
{
    size_t order[CONTENDERS];

    for (size_t i = 0; i < CONTENDERS; i++)
        order[i] = i;
    bench_shuffle(order, CONTENDERS);
    for (size_t i = 0; i < CONTENDERS; i++) {
        if (takes_part(order[i], s))
            measure(order[i], round, s);
    }
    for (size_t i = 0; s->event != IDLE && i < CONTENDERS; i++) {
        const struct results *base = &results[base_of(i)];
        struct results *r = &results[i];

        r->time_ratio[round] = r->time[round] / base->time[round];
        r->cpu_ratio[round] = r->cpu[round] / base->cpu[round];
    }
}

/* ---- Tables -------------------------------------------------------------- */

static void note(const struct settings *s, size_t i, const char *what,
                 double value)
{
    if (s->figures)
        fprintf(s->figures, "%s|%ld|%s|%s|%s|%.2f\n", s->event_name, s->clients,
                contenders[i].model, contenders[i].name, what, value);
}

static void print_times(const struct settings *s)
{
    size_t n = (size_t)s->rounds;

    printf("| model | server | a second | quartiles | time ratio "
           "| 95 %% interval | CPU us | ratio | 95 %% interval |\n"
           "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < CONTENDERS; i++) {
        struct results *r = &results[i];
        struct summary t;
        struct summary c;
        struct summary tr;
        struct summary cr;

        if (!takes_part(i, s))
            continue;
        t = bench_summary(r->time, n);
        c = bench_summary(r->cpu, n);
        tr = bench_summary(r->time_ratio, n);
        cr = bench_summary(r->cpu_ratio, n);
        note(s, i, "rate", 1e6 / t.median);
        note(s, i, "cpu", c.median);
        printf("| %s | %s | %.0f | %.0f-%.0f | ", contenders[i].model,
               contenders[i].name, 1e6 / t.median, 1e6 / t.quartile3,
               1e6 / t.quartile1);
        if (base_of(i) == i)
            printf("1 | | %.2f | 1 | |\n", c.median);
        else
            printf("%.3f | %.3f-%.3f | %.2f | %.3f | %.3f-%.3f |\n", tr.median,
                   tr.low, tr.high, c.median, cr.median, cr.low, cr.high);
    }
}

static void print_disturbed(const struct settings *s)
{
    if (s->disturbed)
        printf("\nIn %ld of %ld runs others took more than a tenth of a CPU.\n",
               s->disturbed, s->runs);
}

static void print_memory(const struct settings *s)
{
    size_t n = (size_t)s->rounds;

    printf("| model | server | of its own, KiB | quartiles | resident, KiB "
           "| in the kernel, KiB | quartiles |\n"
           "| --- | --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < CONTENDERS; i++) {
        double own[MAX_ROUNDS];
        double resident[MAX_ROUNDS];
        double kernel[MAX_ROUNDS];
        struct summary o;
        struct summary k;

        if (!takes_part(i, s))
            continue;
        for (size_t r = 0; r < n; r++) {
            own[r] = results[i].memory[r].own;
            resident[r] = results[i].memory[r].resident;
            kernel[r] = results[i].memory[r].kernel;
        }
        o = bench_summary(own, n);
        k = bench_summary(kernel, n);
        note(s, i, "own", o.median);
        note(s, i, "kernel", k.median);
        printf("| %s | %s | %.1f | %.1f-%.1f | %.1f | %.1f | %.1f-%.1f |\n",
               contenders[i].model, contenders[i].name, o.median, o.quartile1,
               o.quartile3, bench_summary(resident, n).median, k.median,
               k.quartile1, k.quartile3);
    }
}

static void print_list(void)
{
    for (size_t i = 0; i < CONTENDERS; i++) {
        const struct contender *c = &contenders[i];

        /* What is measured twice to see the noise need not be counted twice. */
        if ((c->events & CHURN) &&
            (base_of(i) == i ||
             strcmp(c->program, contenders[base_of(i)].program) != 0))
            printf("%s|%s|%s/bench_%s%s%s\n", c->model, c->name, folder,
                   c->program, c->argument ? " " : "",
                   c->argument ? c->argument : "");
    }
}

/* ---- Options ------------------------------------------------------------- */

static const char help[] =
    "usage: contest churn|echo|idle [--clients N] [--rounds N] [--ms N]\n"
    "               [--cpus SERVER,CLIENTS] [--model MODEL]\n"
    "               [--patience SECONDS] [--figures FILE]\n"
    "       contest list\n";

static int find_event(struct settings *s, const char *name)
{
    static const struct {
        const char *name;
        int event;
    } events[] = {
        {"churn", CHURN}, {"echo", ECHO}, {"idle", IDLE}, {"list", 0}};

    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        if (strcmp(events[i].name, name) == 0) {
            s->event = events[i].event;
            s->event_name = name;
            return 0;
        }
    }
    return -1;
}

static int parse(struct settings *s, int argc, char **argv)
{
    static const struct option known[] = {
        {"clients", required_argument, NULL, 'n'},
        {"rounds", required_argument, NULL, 'r'},
        {"ms", required_argument, NULL, 'm'},
        {"cpus", required_argument, NULL, 'c'},
        {"model", required_argument, NULL, 'o'},
        {"patience", required_argument, NULL, 'p'},
        {"figures", required_argument, NULL, 'f'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'n')
            s->clients = atol(optarg);
        else if (option == 'r')
            s->rounds = atol(optarg);
        else if (option == 'm')
            s->ms = atol(optarg);
        else if (option == 'p')
            s->patience = atol(optarg);
        else if (option == 'o')
            s->model = optarg;
        else if (option == 'f')
            s->figures = fopen(optarg, "a");
        else if (option != 'c' || bench_parse_cpus(optarg, s->cpu))
            return -1;
    }
    if (s->clients < 1 || s->ms < 1 || s->rounds < 1 ||
        s->rounds > MAX_ROUNDS || argc - optind != 1)
        return -1;
    return find_event(s, argv[optind]);
}

/* The programs are beside this one. */
static void find_folder(void)
{
    ssize_t n = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
    char *slash;

    bench_ok(n, "/proc/self/exe");
    folder[n] = '\0';
    slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
}

int main(int argc, char **argv)
{
    struct settings s = {
        .clients = 16, .rounds = 9, .ms = 300, .cpu = {-1, -1}};

    if (parse(&s, argc, argv)) {
        fputs(help, stderr);
        return 2;
    }
    find_folder();
    if (!s.event) {
        print_list();
        return 0;
    }
    for (long i = 0; i < s.rounds; i++)
        one_round(i, &s);
    if (s.event == IDLE)
        print_memory(&s);
    else
        print_times(&s);
    print_disturbed(&s);
    if (s.figures)
        fclose(s.figures);
    return 0;
}
