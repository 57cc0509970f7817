/* SPDX-License-Identifier: MIT */
/*
 * server.h - a handler that is written once, and the ways to run it.
 */
#ifndef TCPX_SERVER_H
#define TCPX_SERVER_H

#include <tcpx/base.h>
#include <tcpx/connect.h>
#include <tcpx/listener.h>

TCPX_BEGIN_DECLS

typedef struct tcpx_server tcpx_server;

/*
 * Serves one client, straight down, in blocking style.  c is borrowed: the
 * server ends it gracefully after the handler has returned, so that the handler
 * neither closes nor releases it (both give -EBUSY); tcpx_abort() there marks
 * it for a reset.  arg is what tcpx_server_create() was given.
 */
typedef void tcpx_handler_fn(tcpx_conn *c, void *arg);

/* How handlers run. */
enum tcpx_model {
    TCPX_MODEL_DEFAULT = 0, /* threads */
    TCPX_ITERATIVE,         /* one at a time, in the thread that runs */
    TCPX_FORK,              /* a process for each connection */
    TCPX_THREAD,            /* a thread for each connection */
    TCPX_POOL,              /* a fixed number of threads */
    TCPX_FIBER              /* a fiber for each connection, on a few cores */
};

/* What a server tells its event callback. */
enum tcpx_event_kind {
    TCPX_EVENT_ACCEPTED = 1, /* a client was admitted; its handler will run */
    TCPX_EVENT_REFUSED,      /* .error: TCPX_EREFUSED; .reason: enum
                                tcpx_refusal */
    TCPX_EVENT_SHORTAGE, /* .error: why clients must wait; once an episode */
    TCPX_EVENT_SHORTAGE_END,  /* clients are accepted again */
    TCPX_EVENT_HANDLER_ENDED, /* .error: how the connection ended; .reason: in a
                                 fork server, the child's wait status, or -1 if
                                 it is unknown */
    TCPX_EVENT_DRAINING,      /* stopped: what is queued is served, no more */
    TCPX_EVENT_DRAINED /* .error: 0, or TCPX_ECANCELED if some were cut */
};

/* Why a client was refused. */
enum tcpx_refusal {
    TCPX_REFUSED_CONNECTIONS = 1, /* .max_connections */
    TCPX_REFUSED_CLIENT,          /* .max_per_client */
    TCPX_REFUSED_RATE,            /* .accept_rate */
    TCPX_REFUSED_SHORTAGE         /* no memory to count it */
};

/* An event.  Owned by the library, valid during the call; members are only
   ever appended. */
typedef struct tcpx_event {
    uint32_t size;
    int32_t kind;  /* enum tcpx_event_kind */
    int32_t error; /* 0 or a negative result */
    int32_t reason;
    const char *peer; /* the client's address, or "" */
} tcpx_event;

/*
 * Is told events in the thread that runs the server.  It may cancel, stop, put
 * into a queue with TCPX_NOW, close queues, and take a mutex that nobody holds
 * across a wait; it may not wait.
 */
typedef void tcpx_event_fn(const tcpx_event *e, void *arg);

/*
 * How to serve.  Zero is the default of every member; durations are in
 * nanoseconds; TCPX_UNLIMITED takes a bound away, TCPX_NONE switches off.  Make
 * one with TCPX_SERVER(...) or tcpx_server_defaults().
 */
typedef struct tcpx_server_opts {
    uint32_t size;            /* sizeof(tcpx_server_opts); the macro sets it */
    int32_t model;            /* enum tcpx_model */
    int32_t workers;          /* threads of the pool, 64; cores of fibers, one
                                 for each CPU; -EINVAL where there are none */
    int32_t max_connections;  /* at a time; unlimited; clients beyond it wait in
                                 the kernel's queue, or are refused if
                                 .refuse_when_full */
    int32_t refuse_when_full; /* 1: accept and close what is over the limit */
    int32_t max_per_client;   /* at a time, from one IPv4 address or IPv6 /64;
                                 unlimited; more are refused */
    int32_t accept_rate;      /* clients a second, on average; unlimited; more
                                 are refused */
    int32_t accept_burst;   /* clients at once above that; one second's worth */
    int32_t handle_signals; /* 1: SIGTERM and SIGINT stop it, from create until
                               run has returned or the server is freed; then
                               the old dispositions are back */
    int32_t shares_memory;  /* 1: the handler needs memory that all connections
                               share; then TCPX_FORK is -ENOTSUP */
    const char *const *addresses; /* more to listen on; NULL-terminated */
    tcpx_listener *const
        *listeners;                 /* the program's own, which stay its own:
                                       run accepts from them; NULL-terminated */
    const tcpx_listen_opts *listen; /* for every address that it listens on */
    tcpx_time idle;                 /* no byte either way for so long ends the
                                       connection; unlimited; up to a quarter late */
    tcpx_time lifetime;             /* since accept; unlimited */
    tcpx_time first_byte;     /* until the client's first byte; unlimited */
    tcpx_time drain;          /* after a stop, handlers may finish; 30 s */
    tcpx_time close_idle;     /* after the handler: wait for the client's bytes
                                 and FIN; 2 s without either */
    tcpx_time close_total;    /* the same, in all; 10 s */
    const char *refusal_text; /* sent to a client that is refused; none */
    tcpx_event_fn *on_event;
    void *event_arg;
    uint64_t stack_size; /* of a handler's thread or fiber in bytes; 256 KiB */
    int32_t engine;      /* enum tcpx_engine; -EINVAL but for fibers */
    int32_t reserved_0;  /* zero */
} tcpx_server_opts;

static inline tcpx_server_opts tcpx_server_defaults(void)
{
    tcpx_server_opts opts;

    memset(&opts, 0, sizeof(opts));
    opts.size = (uint32_t)sizeof(opts);
    return opts;
}

/* In C: TCPX_SERVER(.model = TCPX_POOL, .workers = 8). */
#define TCPX_SERVER(...)                                                       \
    (&(tcpx_server_opts){.size = (uint32_t)sizeof(tcpx_server_opts),           \
                         __VA_ARGS__})

/*
 * What a server has done: 512 bytes, never resized.  Totals since create,
 * but for the members that say "now".
 */
typedef struct tcpx_server_counts {
    uint64_t accepted; /* admitted: the sum of the seven that follow */
    uint64_t active;   /* now: handlers that run or wait for a worker */
    uint64_t closing;  /* now: handlers ended, the close under way */
    uint64_t closed;   /* ended well: the client has all, and has finished */
    uint64_t expired;  /* ended, but the client did not finish in time */
    uint64_t failed;   /* reset by the client, by the network or a crash */
    uint64_t limited;  /* cut by idle, lifetime or first_byte */
    uint64_t canceled; /* cut by a stop, a cancel or an abort */
    uint64_t refused_connections;
    uint64_t refused_client;
    uint64_t refused_rate;
    uint64_t refused_shortage;
    uint64_t shortages;      /* episodes */
    uint64_t accept_retries; /* clients that had gone before accept */
    uint64_t bytes_read;     /* by handlers whose connections have ended */
    uint64_t bytes_written;
    uint64_t longest_queue; /* most clients seen waiting for accept */
    uint64_t most_active;   /* at a time */
    uint64_t crashed;       /* fork: children that ended by a signal */
    uint64_t uptime;        /* nanoseconds since create */
    uint64_t reserved[44];
} tcpx_server_counts;

/*
 * Makes a server and listens: clients queue from then on, and are served once
 * it runs.  address may be NULL if .addresses or .listeners name one.
 *
 * Returns 0; what tcpx_listen() returns; -EINVAL for a NULL argument, an
 * unknown model, workers where the model has none, an impossible limit;
 * -ENOTSUP for TCPX_FORK with .shares_memory; -E2BIG; -ENOMEM, -EMFILE.
 */
TCPX_API int tcpx_server_create(tcpx_server **out, const char *address,
                                tcpx_handler_fn *handler, void *arg,
                                const tcpx_server_opts *opts);

/*
 * Serves until it was stopped and drained.  Errors of single clients never end
 * it; a shortage of descriptors, memory, threads or processes makes clients
 * wait.  Returns 0 if every connection was served to its end, TCPX_ECANCELED
 * if some were cut, -EBUSY if it runs or ran already, another error if it
 * could not begin or its listener broke.
 */
TCPX_API int tcpx_server_run(tcpx_server *s);

/*
 * Stops a server: what the kernel has queued is accepted, the listeners are
 * closed, handlers finish until .drain has passed, are then canceled, and then
 * aborted.  A second call cancels at once.  Any thread, any signal handler;
 * before run, run only drains.
 */
TCPX_API void tcpx_server_stop(tcpx_server *s);

/* The first listener's address, with its real port.  Lives as long as s. */
TCPX_API const char *tcpx_server_address(const tcpx_server *s);

/* The engine of a fiber server once it runs: TCPX_ENGINE_EPOLL or
   TCPX_ENGINE_URING; 0 before, and for other models.  Any thread. */
TCPX_API int tcpx_server_engine(const tcpx_server *s);

/* Fills *out.  Any thread, while it runs and after.  Returns 0 or -EINVAL. */
TCPX_API int tcpx_server_stats(const tcpx_server *s, tcpx_server_counts *out);

/* Frees a server that does not run, closing what it listens on.  Returns 0;
   -EBUSY while it runs; -EINVAL for NULL. */
TCPX_API int tcpx_server_free(tcpx_server *s);

/*
 * Takes c out of its handler's hands into the program's, which ends it from
 * then on with tcpx_close() or tcpx_abort(): to match two people, say.  It
 * stays counted and limited until then.  Only within the handler.  Returns 0;
 * -EINVAL if c belongs to no running handler; -ENOTSUP in a fork server.
 */
TCPX_API int tcpx_conn_take(tcpx_conn *c);

/*
 * 1 once the server that accepted c has been stopped: time to say goodbye.
 * True before TCPX_EVENT_DRAINING is told.  Any thread.
 */
TCPX_API int tcpx_conn_is_draining(const tcpx_conn *c);

TCPX_END_DECLS

#endif
