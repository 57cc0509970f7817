/* SPDX-License-Identifier: MIT */
/*
 * pairs.h - connected pairs, one for each way in which a connection waits.
 *
 * A test of the stream is a loop test over PAIRS, with _i as the kind:
 *
 *     START_TEST(a_line_comes_whole)
 *     {
 *         struct pair p = pair_open(_i);
 *         ...
 *         pair_end(&p);
 *     }
 *     END_TEST
 *
 *     tcase_add_loop_test(tc, a_line_comes_whole, 0, PAIRS);
 */
#ifndef TESTS_PAIRS_H
#define TESTS_PAIRS_H

#include <pthread.h>
#include <tcpx.h>

enum pair_kind {
    PAIR_UNIX,      /* tcpx_conn_pair() */
    PAIR_SHARED,    /* TCP over loopback, adopted: it waits in ppoll(2) */
    PAIR_SOLE,      /* the same with .sole_owner: it sleeps in recv(2) */
    PAIR_ACCEPTED,  /* TCP, from tcpx_accept() */
    PAIR_CONNECTED, /* TCP, from tcpx_connect() */
    PAIRS
};

struct pair {
    tcpx_conn *a;
    tcpx_conn *b;
};

struct pair pair_open(int kind);

/* Aborts both ends; one that the test has ended itself is NULL. */
void pair_end(struct pair *p);

/* A connection of that kind, and the plain descriptor of its peer. */
tcpx_conn *conn_open(int kind, int *peer);

/* A connection that is read, and the plain descriptor that feeds it. */
struct fed {
    tcpx_conn *c;
    int peer;
};

struct fed fed_open(int kind);
void feed(struct fed *f, const char *text);
void feed_end(struct fed *f); /* no more will come */
void fed_end(struct fed *f);

/* Asserts what a plain read gives next. */
void expect_bytes(struct fed *f, const char *expected);

/* Makes the buffers of a descriptor small, so that a write soon waits. */
void narrow(int fd);

/*
 * Reads a plain descriptor in a thread, to its end or its error.  The first
 * want bytes are kept; len counts all.
 */
struct collector {
    int fd;
    size_t want;
    unsigned char *data;
    size_t len;
    int error; /* errno of the last read; 0: the end of the stream */
    pthread_t thread;
};

void collect_start(struct collector *k, int fd, size_t want);
void collect_end(struct collector *k); /* data is freed by the caller */

/* len bytes of which no two places look alike; the same in every call. */
void fill_pattern(void *buf, size_t len, size_t offset);

#endif
