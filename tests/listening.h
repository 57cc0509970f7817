/* SPDX-License-Identifier: MIT */
/*
 * listening.h - what the tests of listeners share.
 */
#ifndef TESTS_LISTENING_H
#define TESTS_LISTENING_H

#include <tcpx.h>

/* These succeed, or fail the test. */
tcpx_listener *listen_on(const char *address, const tcpx_listen_opts *opts);
tcpx_conn *accept_on(tcpx_listener *l);

/* Listening must fail so, in words that hold these, and give no listener. */
void ck_refused(const char *address, const tcpx_listen_opts *opts, int code,
                const char *words);

/* The port that l listens on, as its address says. */
unsigned port_of(const tcpx_listener *l);

/* An option of a socket that is an int. */
int option(int fd, int level, int name);

/* Whether a connect to 127.0.0.1 on the port of an address is refused. */
int is_refused(const char *address);

/* The text of the address that a raw IPv4 socket is bound to. */
void local_text(int fd, char *text, size_t cap);

/* A connection to ::1, and to a Unix socket; -errno if that is refused. */
int connect_ipv6(unsigned port);
int connect_unix(const char *path);

/* net.core.somaxconn of this network namespace. */
int somaxconn(void);

/* The options of an accepted socket. */
struct options {
    int nodelay;
    int keepalive;
    int idle;
    int interval;
    int count;
    int timeout;
    int send_buffer;
    int receive_buffer;
};
struct options options_of(const tcpx_conn *c);

#endif
