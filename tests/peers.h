/* SPDX-License-Identifier: MIT */
/*
 * peers.h - what a connect may meet: by plain system calls.
 */
#ifndef TESTS_PEERS_H
#define TESTS_PEERS_H

#include <stddef.h>
#include <tcpx.h>

/*
 * A port of 127.0.0.1 where nobody listens, nor can: a socket is bound to it,
 * which is returned and is to be closed.
 */
int dead_port(char *address, size_t cap);

/* A listener whose queue is full: the kernel drops what asks to be let in, and
   asks again after a second. */
struct full {
    int listener;
    int client; /* who sits in the queue */
};

struct full full_open(char *address, size_t cap);
/* Accepts who sits in the queue, so that another may come in. */
void full_make_room(struct full *f);
void full_end(struct full *f);

/* The same of a Unix socket, under an abstract name of this process's own. */
struct full full_unix(char *address, size_t cap);

/* A listening Unix socket. */
int unix_listen(const char *path, int backlog);

/* Asserts that c carries bytes both ways to fd, and ends both. */
void check_works(tcpx_conn *c, int fd);

/* So long did it take, in ms, since `since`. */
long elapsed_ms(tcpx_time since);

/* The integer value of an option of c's socket. */
int option_of(const tcpx_conn *c, int level, int name);

#endif
