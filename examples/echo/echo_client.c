/* SPDX-License-Identifier: MIT */
/*
 * echo_client.c - sends a file to an echo server and takes what comes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/cli.h"
#include "echo/transfer.h"

#define DEFAULT_TIMEOUT (30 * TCPX_SEC)
#define MIB (1024.0 * 1024.0)

static const char help[] =
    "Usage: tcpx-echo-client [OPTION]... ADDRESS [FILE]\n"
    "Sends FILE, or standard input, to ADDRESS, says that it is all, and "
    "writes\n"
    "what comes back to standard output until the other side finishes too.\n"
    "\n"
    "  -c, --check            compare every byte that comes back with what "
    "was\n"
    "                         sent, say whether they agree, write no data\n"
    "  -t, --timeout=SECONDS  give up when connecting takes longer, or when\n"
    "                         the network moves nothing for so long; 30;\n"
    "                         0 for no limit\n"
    "  -h, --help             this text\n"
    "  -V, --version          the version of program and library\n"
    "\n"
    "ADDRESS is host:7007, 192.0.2.1:7007, [::1]:7007, unix:/path or\n"
    "unix:@name.  FILE may be '-' for standard input.  Long transfers show\n"
    "their progress if standard error is a terminal.\n"
    "\n"
    "Exit: 0 done, and with --check every byte came back; 1 not so, or the\n"
    "network failed; 2 bad usage; 3 a time limit was reached.\n"
    "Try it: printf 'hello\\n' | tcpx-echo-client 127.0.0.1:7007\n";

struct options {
    const char *address;
    const char *file; /* NULL: standard input */
    int check;
    tcpx_time timeout;
};

/* A line that says that all came back; returns the exit code. */
static int confirm(const struct transfer *t)
{
    double seconds = (double)(t->moved - t->started) / (double)TCPX_SEC;
    char line[128];

    snprintf(line, sizeof(line),
             "%llu bytes came back as they were sent, in %.3f s, %.1f MiB/s\n",
             (unsigned long long)t->returned, seconds,
             seconds > 0 ? (double)t->returned / MIB / seconds : 0.0);
    return cli_print(line);
}

/* Says what is different; returns the exit code. */
static int report_difference(const struct transfer *t)
{
    unsigned long long at = t->returned;

    if (t->returned == t->sent)
        cli_error("more came back than the %llu bytes that were sent", at);
    else
        cli_error("byte %llu came back as 0x%02x, but was sent as 0x%02x", at,
                  t->came, t->expected);
    return CLI_FAILED;
}

/* Ends the connection of a transfer that came to its end. */
static int finish(const struct transfer *t, const struct options *options)
{
    int err = tcpx_close(t->conn, tcpx_after(options->timeout));

    if (err) {
        cli_cannot(CLI_CONNECTS, "end the connection well with",
                   options->address, err);
        return err == TCPX_EDEADLINE ? CLI_TIME : CLI_FAILED;
    }
    if (!options->check)
        return CLI_DONE;
    if (t->returned == t->sent)
        return confirm(t);
    cli_error("only %llu of %llu bytes came back",
              (unsigned long long)t->returned, (unsigned long long)t->sent);
    return CLI_FAILED;
}

/* Says why a transfer failed; returns the exit code. */
static int explain(enum transfer_end end, const struct transfer *t, int err,
                   const struct options *options)
{
    switch (end) {
    case TRANSFER_EARLY:
        cli_error("%s finished after %llu bytes, before all was sent",
                  options->address, (unsigned long long)t->returned);
        return CLI_FAILED;
    case TRANSFER_IDLE:
        cli_error("%s: nothing moved for %.3g s, %llu bytes sent, %llu back",
                  options->address, (double)options->timeout / (double)TCPX_SEC,
                  (unsigned long long)t->sent, (unsigned long long)t->returned);
        return CLI_TIME;
    case TRANSFER_DIFFERENT:
        return report_difference(t);
    case TRANSFER_INPUT:
        cli_error("cannot read %s: %s",
                  options->file ? options->file : "standard input",
                  strerror(-err));
        return CLI_FAILED;
    case TRANSFER_OUTPUT:
        if (err != -EPIPE) /* who reads us has seen enough */
            cli_error("cannot write to standard output: %s", strerror(-err));
        return CLI_FAILED;
    default:
        cli_cannot(CLI_CONNECTS, "go on with", options->address, err);
        return CLI_FAILED;
    }
}

static int echo(const struct options *options, int input)
{
    struct transfer t = {
        .input = input, .check = options->check, .idle = options->timeout};
    enum transfer_end end;
    int err = tcpx_connect(&t.conn, options->address, NULL,
                           tcpx_after(options->timeout));

    if (err) {
        cli_cannot(CLI_CONNECTS, "connect to", options->address, err);
        if (err == TCPX_EADDRESS)
            return CLI_USAGE;
        return err == TCPX_EDEADLINE ? CLI_TIME : CLI_FAILED;
    }
    /* Where people type, or the data itself is shown, a line in between would
       be in the way. */
    t.progress = isatty(STDERR_FILENO) && !isatty(input) &&
                 (t.check || !isatty(STDOUT_FILENO));
    end = transfer_run(&t, &err);
    if (end == TRANSFER_DONE)
        return finish(&t, options);
    /* A reset, so that the other side cannot take a part for the whole. */
    tcpx_abort(t.conn);
    return explain(end, &t, err, options);
}

/* Returns -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"check", no_argument, NULL, 'c'},
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "ct:hV", known, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->check = 1;
            break;
        case 't':
            if (cli_seconds(optarg, &options->timeout))
                return cli_bad_usage("--timeout: '%s' is no number of seconds",
                                     optarg);
            break;
        case 'h':
            return cli_print(help);
        case 'V':
            return cli_version();
        default:
            return cli_bad_usage(NULL);
        }
    }
    if (optind >= argc)
        return cli_bad_usage("to which address?");
    if (argc - optind > 2)
        return cli_bad_usage("'%s' is one argument too many", argv[optind + 2]);
    options->address = argv[optind];
    if (argv[optind + 1] && strcmp(argv[optind + 1], "-") != 0)
        options->file = argv[optind + 1];
    return -1;
}

int main(int argc, char **argv)
{
    struct options options = {.timeout = DEFAULT_TIMEOUT};
    int input = STDIN_FILENO;
    int code;

    cli_start("tcpx-echo-client");
    code = parse(argc, argv, &options);
    if (code >= 0)
        return code;
    if (options.file)
        input = open(options.file, O_RDONLY | O_CLOEXEC);
    if (input < 0) {
        cli_error("cannot open %s: %s", options.file, strerror(errno));
        return CLI_USAGE;
    }
    return echo(&options, input);
}
