/* SPDX-License-Identifier: MIT */
/*
 * signals.c - SIGTERM and SIGINT stop the servers that asked for it.
 *
 * A handler has no argument, so that the servers stand in a table; it is
 * written under a lock and read without, for a signal may come at any time.
 */
#include <errno.h>
#include <signal.h>
#include "server/server.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static tcpx_server *_Atomic servers[TCPX__SIGNALS_MOST];
static _Atomic int handling; /* handlers that are in the table now */
static int caught;
static struct sigaction old_term;
static struct sigaction old_int;

static void stop_all(int number)
{
    (void)number;
    atomic_fetch_add(&handling, 1);
    /* Only here: a signal to the whole process group reaches every child of a
       fork server, and must not count as so many stops. */
    for (size_t i = 0; i < TCPX__SIGNALS_MOST; i++) {
        tcpx_server *s = atomic_load(&servers[i]);

        if (s)
            tcpx__server_stop_here(s);
    }
    atomic_fetch_sub(&handling, 1);
}

static int catch_both(void)
{
    struct sigaction action = {.sa_handler = stop_all, .sa_flags = SA_RESTART};
    int err;

    sigemptyset(&action.sa_mask);
    err = tcpx__sys_sigaction(SIGTERM, &action, &old_term);
    if (err)
        return err;
    err = tcpx__sys_sigaction(SIGINT, &action, &old_int);
    if (err)
        tcpx__sys_sigaction(SIGTERM, &old_term, NULL);
    return err;
}

int tcpx__signals_catch(tcpx_server *s)
{
    size_t free = TCPX__SIGNALS_MOST;
    int err = 0;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < TCPX__SIGNALS_MOST && free == TCPX__SIGNALS_MOST;
         i++) {
        if (!atomic_load(&servers[i]))
            free = i;
    }
    if (free == TCPX__SIGNALS_MOST)
        err = -EBUSY;
    if (!err && caught == 0)
        err = catch_both();
    if (!err) {
        caught++;
        atomic_store(&servers[free], s);
    }
    pthread_mutex_unlock(&lock);
    return err;
}

void tcpx__signals_release(tcpx_server *s)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < TCPX__SIGNALS_MOST; i++) {
        if (atomic_load(&servers[i]) == s)
            atomic_store(&servers[i], NULL);
    }
    if (--caught == 0) {
        tcpx__sys_sigaction(SIGINT, &old_int, NULL);
        tcpx__sys_sigaction(SIGTERM, &old_term, NULL);
    }
    /* A handler in another thread may still hold the pointer. */
    while (atomic_load(&handling))
        tcpx__sys_yield();
    pthread_mutex_unlock(&lock);
}
