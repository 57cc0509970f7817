/* SPDX-License-Identifier: MIT */
/*
 * cli.h - what the example programs share: options, messages, exit codes.
 */
#ifndef EXAMPLES_CLI_H
#define EXAMPLES_CLI_H

#include <tcpx.h>

enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1, /* the network, or what the program was to say of it */
    CLI_USAGE = 2,  /* the command line asks for what cannot be */
    CLI_TIME = 3    /* a time limit that was asked for has passed */
};

/*
 * To be called first: name is what messages begin with.  Descriptors 0 to 2
 * that are closed are filled, lest a connection becomes standard output.
 */
void cli_start(const char *name);

/* Writes "name: message" to standard error. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What an address was for; not all forms are good for both. */
enum cli_side { CLI_LISTENS, CLI_CONNECTS };

/*
 * Writes "name: cannot DO ADDRESS: REASON", the library's own sentence if it
 * says more, and a line on what to do about it if one is known.  To be called
 * right after the call that failed with err.
 */
void cli_cannot(enum cli_side side, const char *what, const char *address,
                int err);

/* Says what is wrong with the command line, or nothing if format is NULL
   because getopt_long() has, and where to read more.  Returns CLI_USAGE. */
int cli_bad_usage(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Takes "30" or "0.5" as a duration; 0 means no limit, TCPX_FOREVER.  Returns
   0, or -1 if the text is no such number. */
int cli_seconds(const char *text, tcpx_time *out);

/* Takes "64" as a count from 1 on.  Returns 0, or -1. */
int cli_count(const char *text, int32_t *out);

/* Writes a text, or "name (libtcpx) version", to standard output.  Each
   returns the exit code. */
int cli_print(const char *text);
int cli_version(void);

/* Writes all to standard output at once; returns 0 or a negative errno. */
int cli_write(const void *data, size_t len);

#endif
