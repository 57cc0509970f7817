/* SPDX-License-Identifier: MIT */
/*
 * serving.c - what the example servers share: running until a signal comes.
 */
#include "common/serving.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "common/cli.h"

int serving_model(const char *name, int32_t *out)
{
    static const struct {
        const char *name;
        int32_t model;
    } models[] = {{"iterative", TCPX_ITERATIVE},
                  {"fork", TCPX_FORK},
                  {"thread", TCPX_THREAD},
                  {"pool", TCPX_POOL},
                  {"fiber", TCPX_FIBER}};

    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        if (strcmp(name, models[i].name) == 0) {
            *out = models[i].model;
            return 0;
        }
    }
    return -1;
}

static void print_stats(const tcpx_server *s)
{
    tcpx_server_counts n;

    if (tcpx_server_stats(s, &n))
        return;
    cli_error("accepted %" PRIu64 ", active %" PRIu64 ", closing %" PRIu64
              ", closed %" PRIu64 ", expired %" PRIu64 ", failed %" PRIu64
              ", limited %" PRIu64 ", canceled %" PRIu64 ", refused %" PRIu64
              ", %" PRIu64 " bytes in, %" PRIu64 " out, up %.1f s",
              n.accepted, n.active, n.closing, n.closed, n.expired, n.failed,
              n.limited, n.canceled,
              n.refused_connections + n.refused_client + n.refused_rate +
                  n.refused_shortage,
              n.bytes_read, n.bytes_written, (double)n.uptime / TCPX_SEC);
}

/* A second task that prints the counts whenever SIGUSR1 comes. */
struct reporter {
    const tcpx_server *server;
    tcpx_task *task;
    int signals; /* signalfd(2) */
};

static void report(void *arg)
{
    struct reporter *r = arg;
    tcpx_waitfor w[] = {TCPX_ON_FD(r->signals, TCPX_READABLE)};
    struct signalfd_siginfo info;

    while (tcpx_wait(w, 1, TCPX_FOREVER) == 1 &&
           read(r->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        print_stats(r->server);
}

static int start_reporter(struct reporter *r)
{
    sigset_t usr1;

    /* Blocked everywhere, so that only the descriptor tells of it. */
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    r->signals = signalfd(-1, &usr1, SFD_CLOEXEC | SFD_NONBLOCK);
    if (r->signals < 0) {
        cli_error("cannot watch for SIGUSR1: %s", strerror(errno));
        return -1;
    }
    if (tcpx_task_spawn(&r->task, report, r, NULL)) {
        cli_error("cannot watch for SIGUSR1: %s", tcpx_errmsg());
        close(r->signals);
        return -1;
    }
    return 0;
}

static void end_reporter(struct reporter *r)
{
    tcpx_task_end(r->task);
    close(r->signals);
    print_stats(r->server);
}

static int announce(const tcpx_server *s)
{
    printf("listening on %s\n", tcpx_server_address(s));
    if (fflush(stdout) == 0)
        return 0;
    cli_error("cannot write to standard output: %s", strerror(errno));
    return -1;
}

static void tell(const tcpx_event *e, void *arg)
{
    (void)arg;
    if (e->kind == TCPX_EVENT_SHORTAGE)
        cli_error("clients have to wait: %s", tcpx_strerror(e->error));
}

static int run(tcpx_server *s, int stats)
{
    struct reporter reporter = {.server = s};
    int err;

    if (stats && start_reporter(&reporter))
        return CLI_FAILED;
    err = tcpx_server_run(s);
    if (stats)
        end_reporter(&reporter);
    /* Clients that were cut because they did not finish in time are no failure
       of a server that was told to stop. */
    if (err == 0 || err == TCPX_ECANCELED)
        return CLI_DONE;
    cli_cannot(CLI_LISTENS, "serve on", tcpx_server_address(s), err);
    return CLI_FAILED;
}

int serving_run(const char *address, tcpx_handler_fn *handler, void *arg,
                tcpx_server_opts *opts, int stats)
{
    tcpx_server *s;
    int code = CLI_FAILED;
    int err;

    opts->handle_signals = 1;
    opts->on_event = tell;
    err = tcpx_server_create(&s, address, handler, arg, opts);
    if (err) {
        cli_cannot(CLI_LISTENS, "listen on", address, err);
        return err == TCPX_EADDRESS || err == -EINVAL ? CLI_USAGE : CLI_FAILED;
    }
    if (announce(s) == 0)
        code = run(s, stats);
    tcpx_server_free(s);
    return code;
}
