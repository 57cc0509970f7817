/* SPDX-License-Identifier: MIT */
/*
 * calls.h - a call of the library in a thread of its own, to be watched.
 *
 *     struct call call = {.kind = CALL_READ, .c = c, .deadline = soon()};
 *
 *     call_begin(&call);
 *     until_asleep(&call);
 *     tcpx_cancel(c);
 *     ck_fails(call_end(&call), TCPX_ECANCELED);
 */
#ifndef TESTS_CALLS_H
#define TESTS_CALLS_H

#include <pthread.h>
#include <stdatomic.h>
#include <tcpx.h>
#include "sanitizers.h"

enum call_kind {
    CALL_READ,
    CALL_READN,
    CALL_PEEK,
    CALL_WAIT_READABLE,
    CALL_WRITE, /* again and again, as long as there is room */
    CALL_WRITEN,
    CALL_WRITEV,
    CALL_WAIT_WRITABLE, /* as long as there is no room, however short */
    CALL_FLUSH,
    CALL_CLOSE,
    CALL_SLEEP,
    CALL_ACCEPT,
    CALL_KINDS
};

struct call {
    enum call_kind kind;
    tcpx_conn *c;
    tcpx_listener *listener;
    void *buf; /* NULL: some memory that the call may use */
    size_t len;
    tcpx_time deadline;

    /* Set by the thread. */
    _Atomic int thread_id;
    tcpx_task *_Atomic task; /* kept until call_end() */
    ssize_t result;
    size_t done;
    tcpx_conn *accepted;
    tcpx_time ended;    /* when the call came back */
    tcpx_time cpu_time; /* that it took of the processor */
    char errmsg[256];   /* tcpx_errmsg() after a failure */
    pthread_t thread;
};

/* Makes the call here and now. */
ssize_t call_make(struct call *call);

/* Makes it in a thread; returns when the thread runs. */
void call_begin(struct call *call);

/* Asserts that it slept and did not spin; who watches it takes a share. */
#define ck_slept(call)                                                         \
    ck_assert_int_lt((call).cpu_time,                                          \
                     (on_valgrind() || TEST_ASAN || TEST_TSAN ? 500 : 50) *    \
                         TCPX_MSEC)

/* Waits for its end, and gives its result. */
ssize_t call_end(struct call *call);

/* Waits until the call sleeps in the kernel, as /proc tells. */
void until_asleep(struct call *call);

/* Waits until there is something to read, or the end. */
void await_arrival(int fd);

/* Waits until the connection of a descriptor was reset or has ended in both
   directions; asks without taking the error out of the socket. */
void await_failure(int fd);

/* Writes to c until there is no more room; gives the number of bytes.  There
   will be some again when they have come to the peer. */
size_t fill_up(tcpx_conn *c);

/* Reads and drops what is there until the end of the stream, whether that is
   clean (0) or an error (-errno); *count is the number of bytes. */
int raw_drain(int fd, size_t *count);

/* The time that the calling thread has had of the processor. */
tcpx_time thread_cpu_time(void);

#endif
