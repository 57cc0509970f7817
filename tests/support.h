/* SPDX-License-Identifier: MIT */
/*
 * support.h - what tests share: deadlines, threads, children, raw sockets.
 *
 * Helpers fail the running test if they cannot do what they say.  The sockets
 * are made by plain system calls, so that a fault of the library cannot hide
 * behind itself.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <check.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/types.h>
#include <tcpx.h>

/* The deadline of what must happen: far enough for a loaded machine, near
   enough to end the test before its own limit does. */
tcpx_time soon(void);

/* Asserts that a result is no failure; gives it. */
#define ck_ok(call) check_ok((call), #call, __FILE__, __LINE__)
ssize_t check_ok(ssize_t result, const char *call, const char *file, int line);

/* Asserts that a result is this one code. */
#define ck_fails(call, code)                                                   \
    check_code((call), (code), #call, __FILE__, __LINE__)
void check_code(ssize_t result, int code, const char *call, const char *file,
                int line);

/* Asserts that tcpx_errmsg() has these words in it. */
void ck_says(const char *words);

/* A thread, to be joined by end_thread(), which gives up after a while. */
pthread_t start_thread(void *(*run)(void *), void *arg);
void *end_thread(pthread_t thread);

/* A child that runs body and exits 0; end_child() expects that of it. */
pid_t start_child(void (*body)(void *), void *arg);
void end_child(pid_t child);

/* The same for a child that is expected to end by this wait status. */
int child_status(pid_t child);

/* A listening socket on 127.0.0.1; its address as text, "127.0.0.1:41233". */
int raw_listen(char *address, size_t cap);

/* A blocking connection to such an address, and the listener's end of one. */
int raw_connect(const char *address);
int raw_accept(int listener);

/* Both ends of a TCP connection over loopback. */
void raw_pair(int fd[2]);

void raw_send(int fd, const void *data, size_t len);

/* Reads exactly len bytes, or until the end of the stream; gives the count. */
size_t raw_recv(int fd, void *data, size_t len);

/* Closes with a reset. */
void raw_reset(int fd);

#endif
