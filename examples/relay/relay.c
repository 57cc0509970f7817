/* SPDX-License-Identifier: MIT */
/*
 * relay.c - a TCP proxy: connects each client to a target, and passes on
 * everything, both ways, until both have finished.
 */
#include <getopt.h>
#include "common/cli.h"
#include "common/serving.h"

#define CONNECT_TIME (10 * TCPX_SEC)
#define CLOSE_TIME (5 * TCPX_SEC)

static const char help[] =
    "Usage: tcpx-relay [OPTION]... LISTEN TARGET\n"
    "Listens on LISTEN and connects each client to TARGET.\n"
    "\n"
    "  -m, --model=MODEL     iterative, fork, thread, pool or fiber;\n"
    "                        thread\n"
    "  -i, --idle=SECONDS    end a pair that passes nothing for so long; 300;\n"
    "                        0 for no limit\n"
    "  -s, --stats           a line of counts on standard error at the end, "
    "and\n"
    "                        at each SIGUSR1\n"
    "  -h, --help            this text\n"
    "  -V, --version         the version of program and library\n"
    "\n"
    "Both are addresses such as 127.0.0.1:8080, [::1]:80, unix:/path; LISTEN\n"
    "also :8080, fd:3 or systemd:, TARGET also example.org:http.\n"
    "Exit: 0 stopped by a signal, 1 cannot listen or serve, 2 bad usage.\n";

struct options {
    const char *target;
    tcpx_time idle;
    tcpx_server_opts server;
    int stats;
};

static void relay_client(tcpx_conn *client, void *arg)
{
    const struct options *options = arg;
    tcpx_conn *target;

    if (tcpx_connect(&target, options->target, NULL,
                     tcpx_after(CONNECT_TIME))) {
        cli_error("%s: %s", tcpx_conn_peer(client), tcpx_errmsg());
        tcpx_abort(client);
        return;
    }
    if (tcpx_relay(client, target, TCPX_RELAY(.idle = options->idle),
                   TCPX_FOREVER)) {
        cli_error("%s: %s", tcpx_conn_peer(client), tcpx_errmsg());
        tcpx_abort(client);
        tcpx_abort(target);
        return;
    }
    tcpx_close(target, tcpx_after(CLOSE_TIME));
}

/* A target that no connect will ever take is told of at the start and not by
   the first client.  Returns -1 to go on, or the exit code. */
static int check_target(const char *text)
{
    tcpx_address target;

    if (tcpx_address_parse(&target, text))
        return cli_bad_usage("%s", tcpx_errmsg());
    switch (target.kind) {
    case TCPX_ADDRESS_WILDCARD:
    case TCPX_ADDRESS_FD:
    case TCPX_ADDRESS_SYSTEMD:
        return cli_bad_usage("%s: this is an address to listen on only", text);
    case TCPX_ADDRESS_UNIX:
    case TCPX_ADDRESS_ABSTRACT:
        return -1;
    default:
        if (target.port)
            return -1;
        return cli_bad_usage("%s: port 0 can only be listened on", text);
    }
}

/* Takes one option; returns -1 to go on, or the exit code. */
static int take_option(int option, struct options *options)
{
    switch (option) {
    case 'm':
        if (serving_model(optarg, &options->server.model) == 0)
            return -1;
        return cli_bad_usage("--model: there is no model '%s'", optarg);
    case 'i':
        if (cli_seconds(optarg, &options->idle) == 0)
            return -1;
        return cli_bad_usage("--idle: '%s' is no number of seconds", optarg);
    case 's':
        options->stats = 1;
        return -1;
    case 'h':
        return cli_print(help);
    case 'V':
        return cli_version();
    default:
        return cli_bad_usage(NULL);
    }
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"model", required_argument, NULL, 'm'},
        {"idle", required_argument, NULL, 'i'},
        {"stats", no_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.idle = 300 * TCPX_SEC,
                              .server = tcpx_server_defaults()};
    int code = -1;
    int option;

    cli_start("tcpx-relay");
    while (code < 0 &&
           (option = getopt_long(argc, argv, "m:i:shV", known, NULL)) != -1)
        code = take_option(option, &options);
    if (code >= 0)
        return code;
    if (argc - optind != 2)
        return cli_bad_usage("it takes two addresses: where to listen, and the "
                             "target");
    options.target = argv[optind + 1];
    code = check_target(options.target);
    if (code >= 0)
        return code;
    return serving_run(argv[optind], relay_client, &options, &options.server,
                       options.stats);
}
