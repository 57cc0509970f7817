/* SPDX-License-Identifier: MIT */
/*
 * resolve.h - from an address to endpoints, without ever waiting.
 *
 * A resolution asks for both families of a name at once, so that A and AAAA
 * race (RFC 8305 3), and the one who connects looks between its waits at what
 * has come; each answer unparks its task.
 *
 * A lookup belongs to two: the one who asked and the one who will answer.  The
 * last of them frees it, so that an answer which comes after the asker left
 * finds memory that is still there, and nobody to wake.
 */
#ifndef TCPX_NET_RESOLVE_H
#define TCPX_NET_RESOLVE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <tcpx/address.h>

#include "net/endpoint.h"

struct tcpx__resolution;

/* Addresses of one name in one family beyond this number are left out. */
#define TCPX__NAMES_MAX 1024

/* The answer for one family. */
struct tcpx__names {
    int err;    /* 0, or why there is no answer: TCPX_ERESOLVE, or a shortage */
    int absent; /* with TCPX_ERESOLVE: no such name, in this family at least */
    size_t n;   /* 0 without an error: no address in this family */
    const struct tcpx__endpoint *at; /* in the order to try, each once, with
                                        the port */
    char detail[80]; /* the reason in words; "" where err says it all */
};

/*
 * Starts resolving a name, or a numeric address, which is answered at once, as
 * is localhost (RFC 6761 6.3).  family is AF_INET, AF_INET6, or 0 for both.
 * Answers unpark the calling task, until tcpx__resolve_abandon().
 *
 * Returns 0, also where a lookup has failed already; -ENOMEM.
 */
int tcpx__resolve_start(struct tcpx__resolution **out, const tcpx_address *a,
                        int family);

/*
 * The answer for AF_INET or AF_INET6; NULL while it is pending.  A family that
 * was not asked for has an empty answer.  Lives until tcpx__resolve_abandon().
 */
const struct tcpx__names *tcpx__resolution_names(
    const struct tcpx__resolution *r, int family);

/*
 * Ends a resolution and frees its answers; lookups under way are left behind.
 * Once it has returned, nothing of it unparks the task.  NULL is nothing.
 */
void tcpx__resolve_abandon(struct tcpx__resolution *r);

/*
 * The port of an address that has a number or a service there; services are
 * those of services(5) for TCP.  Returns 0 or TCPX_ERESOLVE, which is not
 * recorded: detail says why, in at most 80 bytes.
 */
int tcpx__resolve_port(const tcpx_address *a, uint16_t *port, char detail[80]);

/* ---- Between resolve.c and resolve_pool.c ------------------------------ */

/* One question, as <tcpx/address.h> calls it. */
struct tcpx_lookup {
    _Atomic unsigned refs;
    _Atomic int abandoned;
    _Atomic int answered;     /* set after .names was written */
    struct tcpx_task *task;   /* who asks; a reference */
    struct tcpx_task *waiter; /* the same, NULL if it needs no wake */
    int family;
    int running;               /* in the pool: a helper has it; see the lock */
    struct tcpx_lookup *next;  /* in the pool's list; see the lock */
    struct tcpx_lookup **link; /* what points here; NULL in no list */
    struct tcpx__endpoint *endpoints; /* owned; what .names.at shows */
    struct tcpx__names names;
    tcpx_address address;
};

/*
 * The one lock of all lookups, held for a few instructions: who waits, which
 * resolver answers, and the pool's list.  One lock, so that a fork can hold it
 * and leave everything whole to the child.
 */
extern pthread_mutex_t tcpx__lookups;

/*
 * Sees to it that a fork takes tcpx__lookups first, so that no child begins
 * with a lock that a thread held which it does not have.  To be called before
 * the lock is taken for the first time; -ENOMEM if that cannot be had.
 */
int tcpx__lookups_prepare(void);

/* Asks getaddrinfo(3) and services(5), and answers: for a helper thread. */
void tcpx__lookup_run(tcpx_lookup *lookup);

/*
 * Fails a lookup whose helper is gone with a fork, and drops the helper's
 * reference; tcpx__lookups is held.
 */
void tcpx__lookup_orphan(tcpx_lookup *lookup);

void tcpx__lookup_drop(tcpx_lookup *lookup);

/*
 * Hands a lookup to the helper threads, with a reference.  Returns 0, or why no
 * helper could be started: -EAGAIN, -ENOMEM; the reference is the caller's
 * then.
 */
int tcpx__pool_submit(tcpx_lookup *lookup);

/*
 * Takes a lookup that no helper has begun out of the queue; tcpx__lookups is
 * held.  Returns 1 if it did: the pool's reference is the caller's then.
 */
int tcpx__pool_withdraw(tcpx_lookup *lookup);

#endif
