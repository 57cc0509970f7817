/* SPDX-License-Identifier: MIT */
/*
 * serving.h - a server in a thread of its own, under any model.
 */
#ifndef TESTS_SERVING_H
#define TESTS_SERVING_H

#include <tcpx.h>
#include "support.h"

/* The models, as the index of a loop test; MODELS is their number. */
enum { ITERATIVE, FORK, THREAD, POOL, MODELS };
int model_at(int i);

struct serving {
    tcpx_server *server;
    pthread_t thread;
    int result; /* of tcpx_server_run(), once it was stopped */
};

/* Creates a server on 127.0.0.1, port 0, and runs it. */
void serve(struct serving *s, tcpx_handler_fn *handler, void *arg,
           tcpx_server_opts *opts);

/* Options for model i: what a test then changes. */
tcpx_server_opts serving_opts(int i);

/* A raw client of it. */
int client_of(const struct serving *s);

/* Sends text, half-closes, and expects the same text and a clean end. */
void expect_echo(int fd, const char *text);

/*
 * How a client leaves, or resets.  Not by close: the children of a fork server
 * have copies of this process's descriptors, which keep a connection open.
 */
void leave(int fd);
void reset(int fd);

/* Reads until the end: 1 if it was clean, 0 after a reset. */
int ends_cleanly(int fd);

/* Stops, waits for the end of run, and gives its result. */
int stop_serving(struct serving *s);

/* Then the counts, whose sum is checked, and the end of the server. */
tcpx_server_counts end_serving(struct serving *s);

/* Waits until one of the server's counts has a value. */
#define await_count(s, member, value)                                          \
    do {                                                                       \
        tcpx_server_counts now_;                                               \
        tcpx_time until_ = soon();                                             \
        while (tcpx_server_stats((s)->server, &now_) == 0 &&                   \
               now_.member != (value)) {                                       \
            ck_assert_msg(tcpx_now() < until_, "%s never was %d", #member,     \
                          (int)(value));                                       \
            tcpx_sleep(tcpx_after(TCPX_MSEC));                                 \
        }                                                                      \
    } while (0)

void echo_handler(tcpx_conn *c, void *arg);

#endif
