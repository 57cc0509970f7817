/* SPDX-License-Identifier: MIT */
/*
 * echo_server.c - sends every byte back to who sent it, by any model.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/cli.h"
#include "common/serving.h"
#include "echo/echo_handler.h"

#define DEFAULT_ADDRESS "127.0.0.1:7007"
#define DEFAULT_IDLE (60 * TCPX_SEC)
#define DEFAULT_DRAIN (5 * TCPX_SEC)

static const char help[] =
    "Usage: tcpx-echo-server [OPTION]...\n"
    "Sends every byte back to who sent it (RFC 862).\n"
    "\n"
    "  -l, --listen=ADDRESS  where to listen; " DEFAULT_ADDRESS "\n"
    "  -m, --model=MODEL     how clients are served: iterative, fork, thread,\n"
    "                        pool or fiber; thread\n"
    "  -w, --workers=N       threads of the pool, 64; cores of fibers, one "
    "for\n"
    "                        each CPU\n"
    "      --max-connections=N  clients at a time; more wait; no limit\n"
    "      --per-client=N    clients at a time from one IPv4 address or IPv6\n"
    "                        /64; more are refused; no limit\n"
    "  -i, --idle=SECONDS    end a client that lets nothing move for so long;\n"
    "                        60; 0 for no limit\n"
    "  -d, --drain=SECONDS   after a stop, let clients finish for so long; 5;\n"
    "                        0 for no limit\n"
    "  -s, --stats           a line of counts on standard error at the end, "
    "and\n"
    "                        at each SIGUSR1\n"
    "  -v, --verbose         a line on standard error for each client\n"
    "  -h, --help            this text\n"
    "  -V, --version         the version of program and library\n"
    "\n"
    "ADDRESS is 192.0.2.1:7007, [::1]:7007, :7007 for every address of this\n"
    "host, unix:/path, unix:@name, fd:3 or systemd:.  Port 0 takes any free\n"
    "one.  The first line of output, 'listening on ADDRESS', has the real "
    "port;\n"
    "from then on clients can connect.  SIGTERM and SIGINT stop the server; a\n"
    "second one ends the clients that are left.\n"
    "\n"
    "Exit: 0 stopped by a signal, 1 cannot listen or serve, 2 bad usage.\n"
    "Try it: printf 'hello\\n' | tcpx-echo-client " DEFAULT_ADDRESS "\n";

struct options {
    const char *address;
    struct echo_settings echo;
    tcpx_server_opts server;
    int stats;
    int verbose;
};

/* The handler of the server: the echo, and a line about it if asked. */
static void serve_client(tcpx_conn *c, void *arg)
{
    struct options *options = arg;

    echo_handler(c, &options->echo);
    if (options->verbose)
        cli_error("%s: %llu bytes in, %llu out", tcpx_conn_peer(c),
                  (unsigned long long)tcpx_conn_bytes_read(c),
                  (unsigned long long)tcpx_conn_bytes_written(c));
}

enum { OPTION_MAX_CONNECTIONS = 256, OPTION_PER_CLIENT };

static int count_of(const char *name, int32_t *out)
{
    if (cli_count(optarg, out) == 0)
        return -1;
    return cli_bad_usage("--%s: '%s' is no number from 1 on", name, optarg);
}

static int duration_of(const char *name, tcpx_time *out)
{
    if (cli_seconds(optarg, out) == 0)
        return -1;
    return cli_bad_usage("--%s: '%s' is no number of seconds", name, optarg);
}

static int model_of(int32_t *out)
{
    if (serving_model(optarg, out) == 0)
        return -1;
    return cli_bad_usage("--model: there is no model '%s'", optarg);
}

static int has_workers(int32_t model)
{
    return model == TCPX_POOL || model == TCPX_FIBER;
}

/* Takes one option; returns -1 to go on, or the exit code. */
static int take_option(int option, struct options *options)
{
    switch (option) {
    case 'l':
        options->address = optarg;
        return -1;
    case 'm':
        return model_of(&options->server.model);
    case 'w':
        return count_of("workers", &options->server.workers);
    case OPTION_MAX_CONNECTIONS:
        return count_of("max-connections", &options->server.max_connections);
    case OPTION_PER_CLIENT:
        return count_of("per-client", &options->server.max_per_client);
    case 'i':
        return duration_of("idle", &options->echo.idle);
    case 'd':
        return duration_of("drain", &options->server.drain);
    case 's':
        options->stats = 1;
        return -1;
    case 'v':
        options->verbose = 1;
        return -1;
    case 'h':
        return cli_print(help);
    case 'V':
        return cli_version();
    default:
        return cli_bad_usage(NULL);
    }
}

/* Returns -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"listen", required_argument, NULL, 'l'},
        {"model", required_argument, NULL, 'm'},
        {"workers", required_argument, NULL, 'w'},
        {"max-connections", required_argument, NULL, OPTION_MAX_CONNECTIONS},
        {"per-client", required_argument, NULL, OPTION_PER_CLIENT},
        {"idle", required_argument, NULL, 'i'},
        {"drain", required_argument, NULL, 'd'},
        {"stats", no_argument, NULL, 's'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int code = -1;
    int option;

    while (code < 0 && (option = getopt_long(argc, argv, "l:m:w:i:d:svhV",
                                             known, NULL)) != -1)
        code = take_option(option, options);
    if (code >= 0)
        return code;
    if (optind < argc)
        return cli_bad_usage("'%s' is one argument too many; to listen "
                             "elsewhere, use --listen",
                             argv[optind]);
    if (options->server.workers && !has_workers(options->server.model))
        return cli_bad_usage("--workers: only --model=pool and --model=fiber "
                             "have workers");
    return -1;
}

int main(int argc, char **argv)
{
    struct options options = {.address = DEFAULT_ADDRESS,
                              .echo.idle = DEFAULT_IDLE,
                              .server = tcpx_server_defaults()};
    int code;

    cli_start("tcpx-echo-server");
    options.server.drain = DEFAULT_DRAIN;
    code = parse(argc, argv, &options);
    if (code >= 0)
        return code;
    return serving_run(options.address, serve_client, &options, &options.server,
                       options.stats);
}
