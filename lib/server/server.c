/* SPDX-License-Identifier: MIT */
/*
 * server.c - making, stopping, asking and freeing a server, and its run.
 */
#include "server/server.h"

#include <errno.h>
#include <string.h>
#include <tcpx/task.h>
#include "net/options.h"
#include "net/opts.h"
#include "net/task.h"

#define DEFAULT_WORKERS 64

void tcpx__server_count(tcpx_server *s, enum tcpx__counter which, uint64_t n)
{
    atomic_fetch_add_explicit(&s->counters[which], n, memory_order_relaxed);
}

void tcpx__server_uncount(tcpx_server *s, enum tcpx__counter which)
{
    atomic_fetch_sub_explicit(&s->counters[which], 1, memory_order_relaxed);
}

uint64_t tcpx__server_counter(const tcpx_server *s, enum tcpx__counter which)
{
    return atomic_load_explicit(&s->counters[which], memory_order_relaxed);
}

void tcpx__server_most(tcpx_server *s, enum tcpx__counter which, uint64_t n)
{
    if (n > tcpx__server_counter(s, which))
        atomic_store_explicit(&s->counters[which], n, memory_order_relaxed);
}

void tcpx__server_tell(tcpx_server *s, int kind, int error, int reason,
                       const tcpx_conn *c)
{
    tcpx_event e = {.size = (uint32_t)sizeof(e),
                    .kind = kind,
                    .error = error,
                    .reason = reason};

    if (!s->opts.on_event)
        return;
    e.peer = tcpx_conn_peer(c);
    s->opts.on_event(&e, s->opts.event_arg);
}

void tcpx__server_wake(tcpx_server *s)
{
    tcpx_task *t = atomic_load(&s->runner);

    if (t)
        tcpx__unpark(t);
}

static const struct tcpx__model *model_of(int model)
{
    switch (model) {
    case TCPX_MODEL_DEFAULT:
    case TCPX_THREAD:
        return &tcpx__model_thread;
    case TCPX_FORK:
        return &tcpx__model_fork;
    case TCPX_ITERATIVE:
        return &tcpx__model_iterative;
    case TCPX_POOL:
        return &tcpx__model_pool;
    case TCPX_FIBER:
        return &tcpx__model_fiber;
    default:
        return NULL;
    }
}

static int wrong(const char *what)
{
    return tcpx__fail_because(-EINVAL, "server", NULL, "%s", what);
}

/* A count: 0 is the default; of the special values only UNLIMITED. */
static int fill_count(int32_t *count, int32_t fallback)
{
    if (*count == 0)
        *count = fallback;
    return *count < 0 && *count != TCPX_UNLIMITED;
}

static int fill_time(tcpx_time *duration, tcpx_time fallback,
                     const char *member)
{
    if (*duration == 0)
        *duration = fallback;
    if (*duration == TCPX_UNLIMITED)
        *duration = TCPX_FOREVER;
    return tcpx__duration_check(*duration, member, "server", NULL);
}

static int fill_times(tcpx_server_opts *o)
{
    int err = fill_time(&o->idle, TCPX_FOREVER, "idle");

    if (!err)
        err = fill_time(&o->lifetime, TCPX_FOREVER, "lifetime");
    if (!err)
        err = fill_time(&o->first_byte, TCPX_FOREVER, "first_byte");
    if (!err)
        err = fill_time(&o->drain, 30 * TCPX_SEC, "drain");
    if (!err)
        err = fill_time(&o->close_idle, 2 * TCPX_SEC, "close_idle");
    if (!err)
        err = fill_time(&o->close_total, 10 * TCPX_SEC, "close_total");
    return err;
}

static int fill_limits(tcpx_server_opts *o)
{
    if (o->accept_burst &&
        (o->accept_rate == 0 || o->accept_rate == TCPX_UNLIMITED))
        return wrong("accept_burst without accept_rate limits nothing");
    if (o->refuse_when_full &&
        (o->max_connections == 0 || o->max_connections == TCPX_UNLIMITED))
        return wrong("refuse_when_full without max_connections: it is never "
                     "full");
    if (fill_count(&o->max_connections, TCPX_UNLIMITED) ||
        fill_count(&o->max_per_client, TCPX_UNLIMITED) ||
        fill_count(&o->accept_rate, TCPX_UNLIMITED) ||
        fill_count(&o->accept_burst, o->accept_rate) ||
        (o->accept_burst == TCPX_UNLIMITED && o->accept_rate > 0))
        return wrong("max_connections, max_per_client, accept_rate and "
                     "accept_burst are 1 or more");
    return fill_times(o);
}

/* Checks the options and puts every default into its place. */
static int fill_options(tcpx_server *s)
{
    tcpx_server_opts *o = &s->opts;
    int err;

    s->model = model_of(o->model);
    if (!s->model)
        return wrong("the model is none that this library has");
    if (o->workers < 0 || (o->workers && !s->model->has_workers))
        return wrong("workers is negative, or the model has none");
    if (o->model == TCPX_FORK && o->shares_memory)
        return tcpx__fail_because(-ENOTSUP, "server", NULL,
                                  "the handler shares memory, and processes "
                                  "do not");
    if (o->workers == 0)
        o->workers = s->model->is_core ? tcpx__sys_cpus() : DEFAULT_WORKERS;
    if (o->reserved_0 || o->engine < TCPX_ENGINE_AUTO ||
        o->engine > TCPX_ENGINE_URING || (o->engine && !s->model->is_core))
        return wrong("the engine is none, or the model has none");
    err = fill_limits(o);
    if (err)
        return err;
    if (o->stack_size == 0)
        o->stack_size = TCPX__STACK_SIZE;
    if (o->stack_size < TCPX__SMALLEST_STACK || o->stack_size > SSIZE_MAX)
        return wrong("stack_size is under 64 KiB, or impossible");
    if (o->refusal_text) {
        s->refusal_text = tcpx__strdup(o->refusal_text);
        if (!s->refusal_text)
            return tcpx__fail(-ENOMEM, "server", NULL);
    }
    return 0;
}

static int open_door(tcpx_server *s, const char *address)
{
    struct tcpx__door *door = &s->doors[s->door_count];
    int err = tcpx_listen(&door->listener, address, s->opts.listen);

    if (err)
        return err;
    door->is_ours = door->is_open = 1;
    s->door_count++;
    return 0;
}

/* Listens on every address, and borrows the program's own listeners. */
static int open_doors(tcpx_server *s, const char *address)
{
    const tcpx_server_opts *o = &s->opts;
    size_t n = address != NULL;
    int err = 0;

    for (size_t i = 0; o->addresses && o->addresses[i]; i++)
        n++;
    for (size_t i = 0; o->listeners && o->listeners[i]; i++)
        n++;
    if (n == 0)
        return wrong("there is no address to listen on");
    s->doors = tcpx__calloc(n * sizeof(*s->doors));
    s->items = tcpx__calloc((n + 1) * sizeof(*s->items));
    if (!s->doors || !s->items)
        return tcpx__fail(-ENOMEM, "server", NULL);
    if (address)
        err = open_door(s, address);
    for (size_t i = 0; !err && o->addresses && o->addresses[i]; i++)
        err = open_door(s, o->addresses[i]);
    for (size_t i = 0; !err && o->listeners && o->listeners[i]; i++) {
        struct tcpx__door *door = &s->doors[s->door_count++];

        door->listener = o->listeners[i];
        door->is_open = 1;
    }
    for (size_t i = 0; i < s->door_count; i++)
        s->doors[i].burst = 1;
    if (err)
        return err;
    /* A copy: a listener of the program's may be gone before the server. */
    s->address = tcpx__strdup(tcpx_listener_address(s->doors[0].listener));
    return s->address ? 0 : tcpx__fail(-ENOMEM, "server", NULL);
}

static void destroy(tcpx_server *s)
{
    tcpx_task *runner = atomic_load(&s->runner);

    if (s->catches_signals)
        tcpx__signals_release(s);
    for (size_t i = 0; i < s->door_count; i++) {
        if (s->doors[i].is_ours)
            tcpx_listener_close(s->doors[i].listener);
    }
    if (runner)
        tcpx__task_drop(runner);
    tcpx__slot_free(s->spare);
    tcpx__admission_free(s->admission);
    tcpx__sys_close(s->watch);
    tcpx__free(s->doors);
    tcpx__free(s->items);
    tcpx__free(s->refusal_text);
    tcpx__free(s->address);
    pthread_mutex_destroy(&s->lock);
    tcpx__free(s);
}

int tcpx_server_create(tcpx_server **out, const char *address,
                       tcpx_handler_fn *handler, void *arg,
                       const tcpx_server_opts *opts)
{
    tcpx_server *s;
    int err;

    if (!out || !handler)
        return wrong(out ? "no handler" : "no place for the server");
    s = tcpx__calloc(sizeof(*s));
    if (!s)
        return tcpx__fail(-ENOMEM, "server", NULL);
    s->handler = handler;
    s->arg = arg;
    s->watch = -1;
    s->created = tcpx__sys_now();
    tcpx__list_init(&s->all);
    tcpx__list_init(&s->pending);
    tcpx__list_init(&s->closing);
    tcpx__list_init(&s->handed);
    pthread_mutex_init(&s->lock, NULL);
    err = tcpx__opts_copy(&s->opts, sizeof(s->opts), sizeof(s->opts), opts);
    if (err)
        tcpx__fail_because(err, "server", NULL,
                           "the options are of no size "
                           "that this library knows");
    if (!err)
        err = fill_options(s);
    if (!err)
        err = tcpx__admission_new(&s->admission, &s->opts);
    if (!err)
        err = open_doors(s, address);
    if (!err) {
        s->watch = tcpx__sys_epoll_create();
        if (s->watch < 0)
            err = tcpx__fail(s->watch, "server", NULL);
        tcpx__handle_init(&s->watch_handle, s->watch, TCPX__LISTENER);
    }
    /* Before anybody is told that it listens: from then on a signal is to stop
       it, and not to kill. */
    if (!err && s->opts.handle_signals) {
        err = tcpx__signals_catch(s);
        s->catches_signals = !err;
        if (err == -EBUSY)
            tcpx__fail_because(err, "server", NULL,
                               "handle_signals is for %d servers at a time",
                               TCPX__SIGNALS_MOST);
        else if (err)
            tcpx__fail(err, "server", NULL);
    }
    if (err) {
        destroy(s);
        return err;
    }
    /* They were copied or used; the caller may free them. */
    s->opts.listen = NULL;
    s->opts.addresses = NULL;
    s->opts.listeners = NULL;
    *out = s;
    return 0;
}

int tcpx_server_free(tcpx_server *s)
{
    if (!s)
        return wrong("no server");
    if (atomic_load(&s->life) == TCPX__RUNNING)
        return tcpx__fail(-EBUSY, "server", NULL);
    /* Events are told in the thread that ran it, which has come back. */
    s->opts.on_event = NULL;
    tcpx__server_collect(s);
    if (!tcpx__list_is_empty(&s->all))
        return tcpx__fail_because(-EBUSY, "server", s->address,
                                  "a handler has not ended, or a connection "
                                  "that was taken");
    if (s->model_data)
        s->model->end(s);
    destroy(s);
    return 0;
}

void tcpx__server_stop_here(tcpx_server *s)
{
    int saved = errno; /* a signal handler must leave it as it was */

    atomic_fetch_add(&s->stops, 1);
    tcpx__server_wake(s);
    errno = saved;
}

void tcpx_server_stop(tcpx_server *s)
{
    int saved = errno;

    if (!s)
        return;
    tcpx__server_stop_here(s);
    if (s->stop_elsewhere)
        s->stop_elsewhere(s);
    errno = saved;
}

int tcpx_server_engine(const tcpx_server *s)
{
    return s ? atomic_load(&s->engine) : 0;
}

const char *tcpx_server_address(const tcpx_server *s)
{
    return s ? s->address : "";
}

int tcpx_server_stats(const tcpx_server *s, tcpx_server_counts *out)
{
    uint64_t *members = (uint64_t *)(void *)out;

    _Static_assert(sizeof(*out) == 512, "the counts are 512 bytes for ever");
    if (!s || !out)
        return wrong(s ? "no place for the counts" : "no server");
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < TCPX__N_COUNTERS; i++)
        members[i] = tcpx__server_counter(s, (enum tcpx__counter)i);
    out->uptime = (uint64_t)(tcpx__sys_now() - s->created);
    return 0;
}
