/* SPDX-License-Identifier: MIT */
/*
 * serving.h - what the example servers share: running until a signal comes.
 */
#ifndef EXAMPLES_SERVING_H
#define EXAMPLES_SERVING_H

#include <tcpx.h>

/* Takes "fork" or another model by its name.  Returns 0, or -1. */
int serving_model(const char *name, int32_t *out);

/*
 * Listens on address, says so in the first line of output, and serves until
 * SIGTERM or SIGINT; with stats a line of counts on standard error at the end
 * and at each SIGUSR1.  Returns the exit code; failures have been told.
 */
int serving_run(const char *address, tcpx_handler_fn *handler, void *arg,
                tcpx_server_opts *opts, int stats);

#endif
