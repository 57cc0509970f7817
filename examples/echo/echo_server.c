/* SPDX-License-Identifier: MIT */
/*
 * echo_server.c - sends every byte back to who sent it, one client at a time.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "common/cli.h"
#include "echo/echo_handler.h"

#define DEFAULT_ADDRESS "127.0.0.1:7007"
#define DEFAULT_IDLE (60 * TCPX_SEC)

/* How long a client may take to finish after we have. */
#define CLOSE_TIME (2 * TCPX_SEC)

/* A pause when this host is short of something that accept needs. */
#define SHORTAGE_PAUSE (100 * TCPX_MSEC)

static const char help[] =
    "Usage: tcpx-echo-server [OPTION]...\n"
    "Sends every byte back to who sent it (RFC 862), one client at a time.\n"
    "\n"
    "  -l, --listen=ADDRESS  where to listen; " DEFAULT_ADDRESS "\n"
    "  -i, --idle=SECONDS    end a client that lets nothing move for so long;\n"
    "                        60; 0 for no limit\n"
    "  -v, --verbose         a line on standard error for each client\n"
    "  -h, --help            this text\n"
    "  -V, --version         the version of program and library\n"
    "\n"
    "ADDRESS is 192.0.2.1:7007, [::1]:7007, :7007 for every address of this\n"
    "host, unix:/path, unix:@name, fd:3 or systemd:.  Port 0 takes any free\n"
    "one.  The first line of output, 'listening on ADDRESS', has the real "
    "port;\n"
    "from then on clients can connect.  SIGTERM and SIGINT stop the server.\n"
    "\n"
    "Exit: 0 stopped by a signal, 1 cannot listen or serve, 2 bad usage.\n"
    "Try it: printf 'hello\\n' | tcpx-echo-client " DEFAULT_ADDRESS "\n";

struct options {
    const char *address;
    struct echo_settings echo;
    int verbose;
};

/* What a signal has to end; NULL while there is nothing. */
static tcpx_listener *_Atomic listener;
static tcpx_conn *_Atomic current;
static volatile sig_atomic_t stopping;

/* Both cancels may be called from a signal handler: that is all it takes. */
static void on_stop(int signal)
{
    (void)signal;
    stopping = 1;
    tcpx_listener_cancel(listener);
    tcpx_cancel(current);
}

static int handle_signals(void)
{
    struct sigaction stop;

    memset(&stop, 0, sizeof(stop));
    stop.sa_handler = on_stop;
    sigemptyset(&stop.sa_mask);
    if (sigaction(SIGTERM, &stop, NULL) || sigaction(SIGINT, &stop, NULL)) {
        cli_error("cannot handle signals: %s", strerror(errno));
        return -1;
    }
    return 0;
}

static int announce(const tcpx_listener *l)
{
    printf("listening on %s\n", tcpx_listener_address(l));
    if (fflush(stdout) == 0)
        return 0;
    cli_error("cannot write to standard output: %s", strerror(errno));
    return -1;
}

static void serve(tcpx_conn *c, struct options *options)
{
    char line[256];
    int err;

    /* The reference keeps the memory, so that on_stop() may still find c while
       tcpx_close() waits for the client to finish. */
    current = tcpx_conn_ref(c);
    if (stopping) /* the signal came before c could be found */
        tcpx_cancel(c);

    echo_handler(c, &options->echo);

    snprintf(line, sizeof(line), "%s: %llu bytes in, %llu out",
             tcpx_conn_peer(c), (unsigned long long)tcpx_conn_bytes_read(c),
             (unsigned long long)tcpx_conn_bytes_written(c));
    err = tcpx_close(c, tcpx_after(CLOSE_TIME));
    if (options->verbose)
        cli_error("%s; %s", line, err ? tcpx_strerror(err) : "ended well");
    current = NULL;
    tcpx_conn_unref(c);
}

static int is_shortage(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS ||
           err == -ENOMEM;
}

/* Serves until a signal comes; returns the exit code. */
static int serve_all(tcpx_listener *l, struct options *options)
{
    int complained = 0;

    for (;;) {
        tcpx_conn *c;
        int err = tcpx_accept(&c, l, TCPX_FOREVER);

        if (err == TCPX_ECANCELED)
            return CLI_DONE;
        if (err == 0) {
            complained = 0;
            serve(c, options);
            continue;
        }
        if (!complained)
            cli_cannot("accept a client of", tcpx_listener_address(l), err);
        if (!is_shortage(err))
            return CLI_FAILED;
        /* The client waits in the kernel's queue, so that accept would fail
           again at once, and again. */
        complained = 1;
        tcpx_sleep(tcpx_after(SHORTAGE_PAUSE));
    }
}

/* Returns -1 to go on, or the exit code. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"listen", required_argument, NULL, 'l'},
        {"idle", required_argument, NULL, 'i'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "l:i:vhV", known, NULL)) != -1) {
        switch (option) {
        case 'l':
            options->address = optarg;
            break;
        case 'i':
            if (cli_seconds(optarg, &options->echo.idle))
                return cli_bad_usage("--idle: '%s' is no number of seconds",
                                     optarg);
            break;
        case 'v':
            options->verbose = 1;
            break;
        case 'h':
            return cli_print(help);
        case 'V':
            return cli_version();
        default:
            return cli_bad_usage(NULL);
        }
    }
    if (optind < argc)
        return cli_bad_usage("'%s' is one argument too many; to listen "
                             "elsewhere, use --listen",
                             argv[optind]);
    return -1;
}

int main(int argc, char **argv)
{
    struct options options = {.address = DEFAULT_ADDRESS,
                              .echo.idle = DEFAULT_IDLE};
    tcpx_listener *l;
    int code;
    int err;

    cli_start("tcpx-echo-server");
    code = parse(argc, argv, &options);
    if (code >= 0)
        return code;
    err = tcpx_listen(&l, options.address, NULL);
    if (err) {
        cli_cannot("listen on", options.address, err);
        return err == TCPX_EADDRESS ? CLI_USAGE : CLI_FAILED;
    }
    listener = l;
    code = CLI_FAILED;
    if (handle_signals() == 0 && announce(l) == 0)
        code = serve_all(l, &options);
    listener = NULL; /* a second signal finds nothing that is being freed */
    tcpx_listener_close(l);
    return code;
}
