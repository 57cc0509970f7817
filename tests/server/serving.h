/* SPDX-License-Identifier: MIT */
/*
 * serving.h - a server in a thread of its own, under any model.
 */
#ifndef TESTS_SERVING_H
#define TESTS_SERVING_H

#include <stdatomic.h>
#include <tcpx.h>
#include "support.h"

/* The models, as the index of a loop test; MODELS is their number. */
enum { ITERATIVE, FORK, THREAD, POOL, FIBER_EPOLL, FIBER_URING, MODELS };
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
 * have copies of this process's descriptors, which keep a connection open.  So
 * a test whose clients must be able to end by close(2), or by the end of their
 * process, has them in another: see start_clients().
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

/* What a server told: give note_event and one of these as .on_event. */
struct events {
    _Atomic int n[TCPX_EVENT_DRAINED + 1]; /* of each kind */
    _Atomic int refused[TCPX_REFUSED_SHORTAGE + 1];
    _Atomic int error;                  /* of the last HANDLER_ENDED */
    _Atomic int reason;                 /* the same */
    tcpx_server *_Atomic stop_at_first; /* stopped by the first ACCEPTED */
};
void note_event(const tcpx_event *e, void *arg);

/* Options for model i that note events; a pool has eight workers. */
tcpx_server_opts telling_opts(int i, struct events *events);

/* Waits until an atomic int has a value. */
#define await_value(what, value) await_int(&(what), (value), #what)
void await_int(const _Atomic int *what, int value, const char *name);

/*
 * Clients in a process of their own, which has none of this one's descriptors
 * and exits with what body returns.  To be started before the server runs, for
 * it is forked off.
 */
pid_t start_clients(int (*body)(const char *address, int arg),
                    const struct serving *s, int arg);
int end_clients(pid_t clients);

/* For such a body: a connection, or -1 if there was none in time; one request,
   with a half-close, and what became of it. */
enum { ANSWERED, NOT_CONNECTED, LOST };
int dial_for(const char *address, tcpx_time patience);
int dial(const char *address);
int expect_answer(int fd, const char *text);
int ask_over(int fd, const char *text);
int ask(const char *address, const char *text);

/* Creates a server without running it; then runs it in a thread. */
void prepare(struct serving *s, tcpx_handler_fn *handler, void *arg,
             tcpx_server_opts *opts);
void start_serving(struct serving *s);

/* A handler that waits until the eventfd, whose number arg points at, is
   written to; then echoes. */
int new_gate(void);
void open_gate(int gate);
void gated_handler(tcpx_conn *c, void *arg);

void echo_handler(tcpx_conn *c, void *arg);

#endif
