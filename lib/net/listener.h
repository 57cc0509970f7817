/* SPDX-License-Identifier: MIT */
/*
 * listener.h - a listening socket, from the inside.
 */
#ifndef TCPX_NET_LISTENER_H
#define TCPX_NET_LISTENER_H

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>
#include <tcpx/address.h>
#include <tcpx/listener.h>
#include "io/handle.h"
#include "net/address.h"
#include "net/endpoint.h"
#include "net/options.h"

/*
 * A Unix socket's file that this process made.  The path is absolute, for the
 * working directory may change; its end, from `given` on, is what was asked
 * for, which works where the directories above may not be passed.
 */
struct tcpx__socket_file {
    char *path; /* NULL: there is none */
    size_t given;
    int maker; /* process id */
    dev_t device;
    ino_t inode;
};

struct tcpx_listener {
    struct tcpx__handle h;
    /*
     * The tasks in tcpx_accept(), which a close waits for: their number below,
     * above it tcpx__forks when they came, for a child has a copy of the number
     * but not of the threads.
     */
    _Atomic uint64_t users;
    unsigned conn_flags;     /* enum tcpx__handle_flags of what is accepted */
    uint32_t spin;           /* of what is accepted */
    int64_t receive_timeout; /* that accepted sockets inherit; -1: unknown */
    int backlog;
    struct tcpx__socket_file file;
    char address[TCPX__ENDPOINT_TEXT];
};

/* How many clients wait in the kernel's queue; 0 if it does not say. */
int tcpx__listener_queued(const tcpx_listener *l);

/* Removes the file of a Unix socket now, so that nobody new finds it. */
void tcpx__listener_unlink(tcpx_listener *l);

/* Everything that tcpx_listener_close() does, but freeing l. */
void tcpx__listener_stop(tcpx_listener *l);

/* Whether other processes may hold the socket: it was given to this one. */
static inline int tcpx__listener_is_shared(const tcpx_listener *l)
{
    return (atomic_load(&l->h.flags) & TCPX__SHARED) != 0;
}

/* What a listen is to do, checked. */
struct tcpx__listen_plan {
    const char *operation; /* in messages: "listen" */
    const char *shown;     /* the address as messages name it */
    tcpx_listen_opts opts;
    struct tcpx__tuning tuning;
};

/*
 * Make a listening socket: O_NONBLOCK, its options those of the plan.  Return
 * the descriptor, or a negative error, which is recorded.
 */
int tcpx__listen_inet(const struct tcpx__listen_plan *plan,
                      const tcpx_address *address);
int tcpx__listen_unix(const struct tcpx__listen_plan *plan,
                      const tcpx_address *address,
                      struct tcpx__socket_file *file);

/* The steps that both share; their failures are recorded. */
int tcpx__listen_control(const struct tcpx__listen_plan *plan, int fd);
static inline int tcpx__listen_backlog(const struct tcpx__listen_plan *plan)
{
    return plan->opts.backlog ? plan->opts.backlog : INT_MAX;
}

/*
 * Removes the file, if this process made it and it still is that file, and
 * forgets it.  To be called while the socket is open: then no other starter can
 * take the file for a stale one and put its own there, between the look and the
 * removal.
 */
void tcpx__socket_file_remove(struct tcpx__socket_file *file);

#endif
