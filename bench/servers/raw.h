/* SPDX-License-Identifier: MIT */
/*
 * raw.h - what the servers on bare system calls share, so that each file is
 * one model and nothing else.
 *
 * They set what the library sets and end connections as carefully, or there
 * would be nothing to compare: no Nagle, keepalive with numbers, close on exec,
 * 60 s for each call; a reset for an answer that was cut short; FIN and a drain
 * where the client has not finished.  What can be inherited from the listener
 * is set there, once.
 */
#ifndef SERVERS_RAW_H
#define SERVERS_RAW_H

/* What a handler's stack may grow to, and what it reads at a time; both also in
   the library's server. */
#define RAW_STACK (256 * 1024)
#define RAW_BUFFER (16 * 1024)

/* Listens on a free port of 127.0.0.1 and prints "listening on ADDRESS". */
int raw_listen(void);

/* The next client; a shortage is waited out. */
int raw_accept(int listener);

/* Echoes until the client has finished, or is no good any more: 0, or -1. */
int raw_echo(int fd);

/* Ends the connection after raw_echo(), which returned that. */
void raw_close(int fd, int result);

/* The number of workers that the command line asks for. */
int raw_workers(int argc, char **argv);

#endif
