/* SPDX-License-Identifier: MIT */
/*
 * server.h - a server, from the inside.
 *
 * One task supervises: it runs the accept loop, keeps the timers, reaps what
 * has ended.  A client that was admitted is a slot; its model gives the slot to
 * a worker, which runs the handler and hands the slot back.  Between the two
 * hand-overs the slot is the worker's, but for what is atomic in it; everything
 * else of a server is the supervisor's, but for what is atomic or under `lock`.
 */
#ifndef TCPX_SERVER_SERVER_H
#define TCPX_SERVER_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <tcpx/server.h>
#include "base/heap.h"
#include "base/list.h"
#include "net/conn.h"
#include "net/listener.h"

/* How a connection ended, for the counters. */
enum tcpx__outcome {
    TCPX__CLOSED = 1, /* well */
    TCPX__EXPIRED,    /* the client did not finish in time */
    TCPX__FAILED,     /* reset, network, crash */
    TCPX__LIMITED,
    TCPX__CANCELED
};

/* Where a slot is. */
enum tcpx__slot_state {
    TCPX__SLOT_QUEUED,  /* admitted, waits for a worker */
    TCPX__SLOT_RUNNING, /* in its handler */
    TCPX__SLOT_TAKEN,   /* the program has the connection */
    TCPX__SLOT_CLOSING, /* handler ended, waits for the client's end */
    TCPX__SLOT_ENDED    /* outcome known and counted, to be freed */
};

/* One client that was admitted. */
struct tcpx__slot {
    struct tcpx__list in_all;   /* of the server, the supervisor's */
    struct tcpx__list in_queue; /* pending, a model's, handed back or closing */
    struct tcpx__heap_node timer;
    struct tcpx__owner owner; /* what the connection knows of all this */
    tcpx_server *server;
    tcpx_conn *conn;   /* with a reference of the slot's own */
    tcpx_task *task;   /* that runs the handler; under the lock */
    _Atomic int parts; /* who still works on it: handler, program */
    _Atomic int state; /* enum tcpx__slot_state */
    int outcome;       /* enum tcpx__outcome; 0: not known yet */
    int error;         /* how the connection ended */
    int reason;        /* of HANDLER_ENDED */
    tcpx_time accepted;
    tcpx_time close_until;   /* of a closing slot that is parked; else 0 */
    uint64_t bytes_at_check; /* what the idle limit saw last */
    tcpx_time active_at;     /* when that last changed, as far as seen */
    unsigned char client[8]; /* the key of its per-client count */
    uint8_t client_len;      /* 0: not counted */
    uint8_t has_thread;
    uint8_t is_cut; /* canceled by a stop; the supervisor's */
    pthread_t thread;
    struct tcpx__child *child; /* of a fork server */
    struct place *place;       /* of a fiber server: its core */
};

/*
 * A model: how many workers there are, and what becomes of a slot.  Called by
 * the supervisor alone.
 */
struct tcpx__model {
    const char *name;
    int has_workers;  /* whether .workers means something */
    int keeps_limits; /* handlers look to their limits themselves */
    int is_core;      /* the thread that runs the server is a core of fibers */

    /* Makes what the model needs for a run, and gives it up after; may be
       NULL. */
    int (*begin)(tcpx_server *s);
    void (*end)(tcpx_server *s);

    /* Whether a slot could be dispatched now; else clients wait. */
    int (*has_room)(const tcpx_server *s);

    /* Gives the slot to a worker: 0, or a shortage, and the slot waits. */
    int (*dispatch)(tcpx_server *s, struct tcpx__slot *slot);

    /* A slot has come back; may be NULL. */
    void (*reap)(tcpx_server *s, struct tcpx__slot *slot);

    /* A watched descriptor of a slot that is not closing is ready. */
    void (*watched)(tcpx_server *s, struct tcpx__slot *slot);

    /* A watched descriptor of the model's own is ready; may be NULL. */
    void (*heed)(tcpx_server *s);

    /* Makes the calls of a handler end with code; `hard` ends what ignored
       that. */
    void (*cancel)(tcpx_server *s, struct tcpx__slot *slot, int code, int hard);

    /* Tells handlers of a stop, where memory is not shared; may be NULL. */
    void (*drain)(tcpx_server *s);
};

extern const struct tcpx__model tcpx__model_iterative;
extern const struct tcpx__model tcpx__model_fork;
extern const struct tcpx__model tcpx__model_thread;
extern const struct tcpx__model tcpx__model_pool;
extern const struct tcpx__model tcpx__model_fiber;

/* A listener of the server. */
struct tcpx__door {
    tcpx_listener *listener;
    int is_ours; /* made by the server, which closes it */
    int is_open;
    int is_ready;    /* the last wait said so */
    int burst;       /* clients to take at a time before looking elsewhere */
    int patience;    /* clients to come alone before a second is looked for */
    int alone;       /* of those, how many are left */
    int filtered;    /* drops SYNs: what is queued can only become less */
    tcpx_time again; /* when an emptied queue is looked at once more */
};

/* A shortage of descriptors, memory, threads or processes. */
struct tcpx__shortage {
    int error;         /* 0: there is none */
    tcpx_time pause;   /* doubles while it lasts */
    tcpx_time until;   /* when to try again */
    tcpx_time over_at; /* if nothing is short until then; FOREVER: it is now */
};

enum tcpx__phase {
    TCPX__SERVING,
    TCPX__EMPTYING,  /* stopped: accepts what the kernel has queued */
    TCPX__FINISHING, /* doors closed: handlers finish, until .drain */
    TCPX__CANCELING, /* handlers were canceled, a second of grace */
    TCPX__GONE       /* what is left was aborted, and is not waited for */
};

/* The counters, in the order of tcpx_server_counts. */
enum tcpx__counter {
    TCPX__N_ACCEPTED,
    TCPX__N_ACTIVE,
    TCPX__N_CLOSING,
    TCPX__N_CLOSED,
    TCPX__N_EXPIRED,
    TCPX__N_FAILED,
    TCPX__N_LIMITED,
    TCPX__N_CANCELED,
    TCPX__N_REFUSED_CONNECTIONS,
    TCPX__N_REFUSED_CLIENT,
    TCPX__N_REFUSED_RATE,
    TCPX__N_REFUSED_SHORTAGE,
    TCPX__N_SHORTAGES,
    TCPX__N_ACCEPT_RETRIES,
    TCPX__N_BYTES_READ,
    TCPX__N_BYTES_WRITTEN,
    TCPX__N_LONGEST_QUEUE,
    TCPX__N_MOST_ACTIVE,
    TCPX__N_CRASHED,
    TCPX__N_UPTIME,
    TCPX__N_COUNTERS
};

enum tcpx__life { TCPX__CREATED, TCPX__RUNNING, TCPX__RAN };

struct tcpx_server {
    tcpx_server_opts opts; /* with every default filled in */
    const struct tcpx__model *model;
    tcpx_handler_fn *handler;
    void *arg;
    char *refusal_text;
    char *address; /* of the first door */

    struct tcpx__door *doors;
    size_t door_count;
    struct tcpx__poll_item *items;    /* the doors', and the watch */
    int watch;                        /* epoll of closing slots and children */
    struct tcpx__handle watch_handle; /* so that a core knows it again */

    struct tcpx__list all;     /* slots */
    struct tcpx__list pending; /* admitted, wait for room in the model */
    struct tcpx__list closing; /* wait for the client's end, oldest first */
    struct tcpx__heap timers;
    struct tcpx__admission *admission;
    struct tcpx__shortage shortage;
    struct tcpx__slot *spare; /* made before accept, so that none is lost */
    tcpx_time queues_again;   /* when the queues are looked at once more */

    pthread_mutex_t lock;     /* guards what follows, and model_data's lists */
    struct tcpx__list handed; /* slots that workers gave back */
    void *model_data;

    /* In a child: how a handler stops the server, which is its parent's. */
    void (*stop_elsewhere)(tcpx_server *s);

    tcpx_task *_Atomic runner; /* the supervisor, to be woken */
    _Atomic int life;          /* enum tcpx__life */
    _Atomic int engine;        /* enum tcpx_engine, once fibers run */
    _Atomic int stops;         /* calls of tcpx_server_stop() */
    int catches_signals;       /* from create until run has returned */
    _Atomic int *stops_shared; /* the same for processes; else NULL */
    _Atomic int wants_word;    /* wake the supervisor when a slot comes back */
    int phase;                 /* enum tcpx__phase */
    tcpx_time phase_until;
    tcpx_time stopped_at; /* when the first stop was seen; 0: not yet */
    int cut;              /* some connection was cut by the stop */
    int fatal;            /* a listener broke: what run returns */
    tcpx_time created;
    _Atomic uint64_t counters[TCPX__N_COUNTERS];
};

static inline tcpx_time tcpx__earlier(tcpx_time a, tcpx_time b)
{
    return a < b ? a : b;
}

/* ---- server.c ---- */
void tcpx__server_count(tcpx_server *s, enum tcpx__counter which, uint64_t n);
void tcpx__server_uncount(tcpx_server *s, enum tcpx__counter which);
void tcpx__server_most(tcpx_server *s, enum tcpx__counter which, uint64_t n);
uint64_t tcpx__server_counter(const tcpx_server *s, enum tcpx__counter which);
void tcpx__server_tell(tcpx_server *s, int kind, int error, int reason,
                       const tcpx_conn *c);
void tcpx__server_wake(tcpx_server *s); /* any thread, any signal handler */

/* Stops the server as far as this process goes; any signal handler. */
void tcpx__server_stop_here(tcpx_server *s);

/* ---- accept.c: the accept loop ---- */

/* Takes clients from every door that is ready, as far as there is room. */
void tcpx__server_accept(tcpx_server *s);

/* Gives pending slots to the model, as far as it has room. */
void tcpx__server_dispatch(tcpx_server *s);

/* Whether clients are to be taken now, and if not, until when. */
int tcpx__server_takes(const tcpx_server *s, tcpx_time now);

/* A descriptor, thread or process has become free. */
void tcpx__server_relieve(tcpx_server *s);

/* Whether a shortage makes clients wait now.  And its end, if it is time. */
int tcpx__server_is_short(const tcpx_server *s, tcpx_time now);
void tcpx__server_end_shortage(tcpx_server *s, tcpx_time now);

/* Notes how many clients wait in the kernel's queues. */
void tcpx__server_see_queues(tcpx_server *s, tcpx_time now);

/* ---- slot.c ---- */
struct tcpx__slot *tcpx__slot_new(tcpx_server *s);
void tcpx__slot_free(struct tcpx__slot *slot);

/* Lets the slot's connection in: counts it, tells, sets its timers. */
void tcpx__slot_admit(struct tcpx__slot *slot);

/* Runs the handler in the calling task; the worker's, as are the next two.
   Returns the code that the task was canceled with, and is no more. */
int tcpx__slot_handle(struct tcpx__slot *slot);

/*
 * Ends the connection after its handler.  `wait`: until the client's end, in
 * the calling task; else a client that has not finished leaves the slot
 * without an outcome, to be parked by the supervisor.
 */
void tcpx__slot_finish(struct tcpx__slot *slot, int wait);

/* Says that one who worked on the slot is done; the last hands it back. */
void tcpx__slot_done(struct tcpx__slot *slot);

/* Closes the connection, which err ended, and notes the outcome. */
void tcpx__slot_dispose(struct tcpx__slot *slot, int err);

/* Cancels the task and the connection of a handler; any thread. */
void tcpx__slot_cancel(struct tcpx__slot *slot, int code);

/* Ends the connection of a handler that is on a leash, with that code, which it
   returns. */
static inline int tcpx__slot_strike(struct tcpx__slot *slot, int code)
{
    tcpx__handle_cancel(&slot->conn->h, code);
    return code;
}

/* The cancel of a model whose handlers run in this process. */
void tcpx__slot_cancel_in_thread(tcpx_server *s, struct tcpx__slot *slot,
                                 int code, int hard);

/* Ends a slot whose outcome is known: counts, frees.  The supervisor's. */
void tcpx__slot_end(struct tcpx__slot *slot);

/* ---- closing.c; the supervisor's ---- */

/* Takes in what was handed back. */
void tcpx__server_collect(tcpx_server *s);

/* A parked client sent something, or finished. */
void tcpx__slot_closing_ready(struct tcpx__slot *slot);

/* What ended the wait for a client that has its whole answer and FIN: a stop
   cuts nothing there, and only shortens the wait. */
static inline int tcpx__wait_ended(int err)
{
    return err == TCPX_ECANCELED ? TCPX_EDEADLINE : err;
}

/* Gives a parked client up, err being why. */
void tcpx__slot_expire(struct tcpx__slot *slot, int err);

/* Sets the slot's timer to the next instant at which a limit may strike; and
   what happens then. */
void tcpx__slot_arm(struct tcpx__slot *slot, tcpx_time now);
void tcpx__slot_timer(struct tcpx__slot *slot, tcpx_time now);

/* Whether a limit on the connection's time has struck.  And when to ask next.
   Whoever keeps the limits of this slot's model. */
int tcpx__slot_is_over_limit(struct tcpx__slot *slot, tcpx_time now);
tcpx_time tcpx__slot_limit_at(const struct tcpx__slot *slot, tcpx_time now);

/* ---- drain.c ---- */

/* Takes the next step of a stop, if it is time; 1 once all is done. */
int tcpx__server_drain(tcpx_server *s, tcpx_time now);

/* The queue of a door was seen empty during a stop. */
void tcpx__door_is_empty(tcpx_server *s, struct tcpx__door *door);

/* Until when handlers may finish, given that a stop was seen. */
tcpx_time tcpx__server_stop_until(tcpx_server *s, tcpx_time now);

/* When the stop wants to be looked at next. */
tcpx_time tcpx__server_drain_at(const tcpx_server *s, tcpx_time now);

/* ---- admission.c ---- */
int tcpx__admission_new(struct tcpx__admission **out,
                        const tcpx_server_opts *opts);
void tcpx__admission_free(struct tcpx__admission *a);

/* 0, or why the client is refused (enum tcpx_refusal).  Counts it if 0. */
int tcpx__admission_enter(struct tcpx__admission *a, struct tcpx__slot *slot,
                          tcpx_time now);
void tcpx__admission_leave(struct tcpx__admission *a, struct tcpx__slot *slot);

/* ---- signals.c ---- */
#define TCPX__SIGNALS_MOST 16 /* servers at a time; more are -EBUSY */
int tcpx__signals_catch(tcpx_server *s);
void tcpx__signals_release(tcpx_server *s);

#endif
