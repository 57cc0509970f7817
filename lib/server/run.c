/* SPDX-License-Identifier: MIT */
/*
 * run.c - the supervisor: one turn after another, until stopped and drained.
 */
#include <errno.h>
#include <poll.h>
#include <tcpx/task.h>
#include "net/task.h"
#include "server/server.h"

/* Slots of threads that ended are reaped at the latest so long after. */
#define REAP_INTERVAL TCPX_SEC

/* After a wait for which there was no memory. */
#define SHORTAGE_PAUSE (10 * TCPX_MSEC)

/* Descriptors of the watch that one turn looks at. */
#define WATCHED 64

/* When something is due though nothing happens. */
static tcpx_time next_turn(const tcpx_server *s, tcpx_time now)
{
    tcpx_time at = tcpx__heap_earliest(&s->timers);

    at = tcpx__earlier(at, tcpx__server_drain_at(s, now));
    /* A pause that is over has nothing more to say: what it kept waiting may
       be gone, or may now wait for something else. */
    if (tcpx__server_is_short(s, now))
        at = tcpx__earlier(at, s->shortage.until);
    if (s->shortage.error)
        at = tcpx__earlier(at, s->shortage.over_at);
    if (!tcpx__list_is_empty(&s->all))
        at = tcpx__earlier(at, now + REAP_INTERVAL);
    return at;
}

/* Looks at closing slots and children whose descriptors are ready. */
static void look_at_watched(tcpx_server *s)
{
    void *ready[WATCHED];
    int n = tcpx__sys_epoll_collect(s->watch, ready, WATCHED);

    for (int i = 0; i < n; i++) {
        struct tcpx__slot *slot = ready[i];

        if (!slot)
            s->model->heed(s);
        else if (slot->close_until)
            tcpx__slot_closing_ready(slot);
        else
            s->model->watched(s, slot);
    }
}

/* A slot that came back before its worker could see that word is wanted. */
static int has_handed(tcpx_server *s)
{
    int has;

    if (!atomic_load(&s->wants_word))
        return 0;
    pthread_mutex_lock(&s->lock);
    has = !tcpx__list_is_empty(&s->handed);
    pthread_mutex_unlock(&s->lock);
    return has;
}

/* Sleeps until a door, the watch, a worker or the clock wants something. */
static int wait_turn(tcpx_server *s)
{
    const struct tcpx__world *world = tcpx__world();
    tcpx_time now = tcpx__sys_now();
    int takes = tcpx__server_takes(s, now);
    int rc;

    if (!takes && s->phase <= TCPX__EMPTYING)
        tcpx__server_see_queues(s, now);

    /* Who cannot take clients, or wants to be done, must hear of every slot
       that comes back. */
    atomic_store(&s->wants_word, !takes || s->phase != TCPX__SERVING ||
                                     s->opts.on_event || s->shortage.error);
    for (size_t i = 0; i < s->door_count; i++) {
        const struct tcpx__door *door = &s->doors[i];
        int is_on = takes && door->is_open && door->again <= now;

        s->items[i] = (struct tcpx__poll_item){
            .fd = is_on ? door->listener->h.fd : -1,
            .want = POLLIN,
            .handle = is_on ? &door->listener->h : NULL};
    }
    s->items[s->door_count] = (struct tcpx__poll_item){
        .fd = s->watch, .want = POLLIN, .handle = &s->watch_handle};
    rc = world->wait(s->items, s->door_count + 1,
                     has_handed(s) ? TCPX_NOW : next_turn(s, now));
    atomic_store(&s->wants_word, 0);
    if (rc == -ENOMEM || rc == -ENOBUFS) {
        /* No shortage ends a server: it looks again by itself. */
        world->park(tcpx_after(SHORTAGE_PAUSE));
        rc = 0;
    }
    for (size_t i = 0; i < s->door_count; i++)
        s->doors[i].is_ready = rc > 0 && s->items[i].got;
    if (rc > 0 && s->items[s->door_count].got)
        look_at_watched(s);
    if (rc == TCPX_ECANCELED) {
        /* A cancel of the running task is a stop, and a second one a cut. */
        tcpx_task_clear_cancel();
        atomic_fetch_add(&s->stops, 1);
    }
    return rc == TCPX_EDEADLINE || rc == TCPX_ECANCELED || rc >= 0 ? 0 : rc;
}

static void run_timers(tcpx_server *s, tcpx_time now)
{
    while (tcpx__heap_earliest(&s->timers) <= now) {
        struct tcpx__slot *slot =
            TCPX__CONTAINER(s->timers.root, struct tcpx__slot, timer);

        tcpx__heap_remove(&s->timers, &slot->timer);
        tcpx__slot_timer(slot, now);
    }
}

static int serve(tcpx_server *s)
{
    for (;;) {
        tcpx_time now;
        int err;

        tcpx__server_collect(s);
        now = tcpx__sys_now();
        run_timers(s, now);
        tcpx__server_end_shortage(s, now);
        tcpx__server_dispatch(s);
        if (tcpx__server_drain(s, now))
            return s->fatal ? s->fatal : s->cut ? TCPX_ECANCELED : 0;
        tcpx__server_accept(s);
        err = wait_turn(s);
        if (err && !s->fatal) {
            s->fatal = err;
            atomic_fetch_add(&s->stops, 2);
        }
    }
}

/* Serves in the calling task, which supervises. */
static int supervise(void *arg)
{
    tcpx_server *s = arg;
    tcpx_task *t = tcpx__task();
    int err;

    tcpx__task_retain(t);
    atomic_store(&s->runner, t);
    atomic_store(&s->engine, tcpx_task_engine(t));
    err = s->model->begin ? s->model->begin(s) : 0;
    if (!err)
        err = serve(s);
    /* Handlers that ignored their cancel still use what it made. */
    if (s->model->end && s->model_data && tcpx__list_is_empty(&s->all))
        s->model->end(s);
    return err;
}

/* Makes the calling thread the first core.  Handlers that ignore their cancel
   are not waited for: they stand where they are, for ever. */
static int supervise_in_core(tcpx_server *s)
{
    int result = 0;
    int err = tcpx__run(supervise, s, &result, s->opts.engine,
                        (size_t)s->opts.stack_size, 0);

    return err ? err : result;
}

/* Whether this model's handlers can run beside fibers, in the calling task. */
static int check_task(const tcpx_server *s, const tcpx_task *t)
{
    if (!t->fiber || s->model->is_core || !s->model->keeps_limits)
        return 0;
    return tcpx__fail_because(-ENOTSUP, "server", NULL,
                              "an iterative or fork server cannot run in a "
                              "fiber");
}

int tcpx_server_run(tcpx_server *s)
{
    tcpx_task *t = tcpx__task();
    int created = TCPX__CREATED;
    int err;

    if (!s)
        return tcpx__refuse("server", "no server");
    if (!t)
        return -ENOMEM;
    err = check_task(s, t);
    if (err)
        return err;
    if (!atomic_compare_exchange_strong(&s->life, &created, TCPX__RUNNING))
        return tcpx__fail_because(-EBUSY, "server", NULL,
                                  "it runs, or ran, already");
    err = s->model->is_core && !t->fiber ? supervise_in_core(s) : supervise(s);
    if (s->catches_signals)
        tcpx__signals_release(s);
    s->catches_signals = 0;
    atomic_store(&s->life, TCPX__RAN);
    return err ? tcpx__fail(err, "server", tcpx_server_address(s)) : 0;
}
