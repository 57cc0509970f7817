/* SPDX-License-Identifier: MIT */
/*
 * slot.c - one client that was admitted: its handler, and how it ended.
 *
 * A slot is whole again when both who work on it are done: the handler, and the
 * program if the handler gave it the connection.  The last one hands it back.
 */
#include <errno.h>
#include <string.h>
#include "net/close.h"
#include "net/task.h"
#include "server/server.h"

static struct tcpx__slot *slot_of(const struct tcpx__owner *owner)
{
    return TCPX__CONTAINER(owner, struct tcpx__slot, owner);
}

static int is_draining(const struct tcpx__owner *owner)
{
    const tcpx_server *s = slot_of(owner)->server;

    return atomic_load(&s->stops) > 0 ||
           (s->stops_shared && atomic_load(s->stops_shared) > 0);
}

/* The first to know how the connection ended says so. */
static void set_outcome(struct tcpx__slot *slot, int outcome, int err)
{
    tcpx_server *s = slot->server;

    slot->outcome = outcome;
    slot->error = err;
    tcpx__server_count(s, TCPX__N_BYTES_READ, tcpx_conn_bytes_read(slot->conn));
    tcpx__server_count(s, TCPX__N_BYTES_WRITTEN,
                       tcpx_conn_bytes_written(slot->conn));
}

/* What a close that said err was: a matter of whose will it was. */
static int outcome_of(const tcpx_conn *c, int err)
{
    if (tcpx__handle_canceled(&c->h) == TCPX_ELIMIT)
        return TCPX__LIMITED;
    switch (err) {
    case 0:
        return TCPX__CLOSED;
    case TCPX_EDEADLINE:
        return TCPX__EXPIRED;
    case TCPX_ECANCELED:
        return TCPX__CANCELED;
    default:
        return TCPX__FAILED;
    }
}

static int take(struct tcpx__owner *owner)
{
    atomic_fetch_add(&slot_of(owner)->parts, 1);
    return 0;
}

static void taken_ended(struct tcpx__owner *owner, int err)
{
    struct tcpx__slot *slot = slot_of(owner);

    set_outcome(slot, outcome_of(slot->conn, err), err);
    tcpx__slot_done(slot);
}

struct tcpx__slot *tcpx__slot_new(tcpx_server *s)
{
    struct tcpx__slot *slot = tcpx__calloc(sizeof(*slot));

    if (!slot)
        return NULL;
    slot->server = s;
    slot->owner.take = take;
    slot->owner.ended = taken_ended;
    slot->owner.is_draining = is_draining;
    atomic_init(&slot->parts, 1);
    tcpx__list_init(&slot->in_all);
    tcpx__list_init(&slot->in_queue);
    return slot;
}

void tcpx__slot_free(struct tcpx__slot *slot)
{
    if (!slot)
        return;
    tcpx_conn_unref(slot->conn);
    tcpx__free(slot);
}

void tcpx__slot_admit(struct tcpx__slot *slot)
{
    tcpx_server *s = slot->server;

    /* The memory stays until the slot goes: a cancel may come late, and an
       event names the peer. */
    tcpx_conn_ref(slot->conn);
    atomic_store(&slot->owner.lent, 1);
    slot->conn->owner = &slot->owner;
    slot->active_at = slot->accepted;
    tcpx__list_append(&s->all, &slot->in_all);
    tcpx__list_append(&s->pending, &slot->in_queue);
    tcpx__server_count(s, TCPX__N_ACCEPTED, 1);
    tcpx__server_count(s, TCPX__N_ACTIVE, 1);
    tcpx__server_most(s, TCPX__N_MOST_ACTIVE,
                      tcpx__server_counter(s, TCPX__N_ACTIVE));
    tcpx__slot_arm(slot, slot->accepted);
    tcpx__server_tell(s, TCPX_EVENT_ACCEPTED, 0, 0, slot->conn);
}

static void set_task(struct tcpx__slot *slot, tcpx_task *t)
{
    pthread_mutex_lock(&slot->server->lock);
    slot->task = t;
    pthread_mutex_unlock(&slot->server->lock);
}

int tcpx__slot_handle(struct tcpx__slot *slot)
{
    tcpx_server *s = slot->server;
    tcpx_task *t = tcpx__task();
    int canceled;

    atomic_store(&slot->state, TCPX__SLOT_RUNNING);
    set_task(slot, t);
    /* A cancel that came before there was a task struck the connection. */
    canceled = tcpx__handle_canceled(&slot->conn->h);
    if (canceled)
        atomic_store(&t->canceled, canceled);
    t->has_scope = 1;
    s->handler(slot->conn, s->arg);
    tcpx__tasks_end_all(t);
    t->has_scope = 0;
    set_task(slot, NULL);
    return atomic_exchange(&t->canceled, 0);
}

/* Waits for the client's end, as long as it goes on sending, up to the limit
   on all of it. */
static int wait_for_end(tcpx_conn *c, const tcpx_server_opts *o)
{
    tcpx_time until = tcpx_after(o->close_total);
    int err;

    do {
        tcpx_time idle = tcpx_after(o->close_idle);

        err = tcpx__conn_drain_some(c, idle < until ? idle : until);
    } while (err == -EAGAIN && tcpx__sys_now() < until);
    return err == -EAGAIN ? TCPX_EDEADLINE : err;
}

static void dispose(struct tcpx__slot *slot, int outcome, int err, int reset)
{
    set_outcome(slot, outcome, err);
    slot->conn->owner = NULL;
    tcpx__conn_dispose(slot->conn, reset);
}

void tcpx__slot_dispose(struct tcpx__slot *slot, int err)
{
    dispose(slot, outcome_of(slot->conn, err), err,
            tcpx__conn_is_incomplete(slot->conn));
}

void tcpx__slot_finish(struct tcpx__slot *slot, int wait)
{
    tcpx_server *s = slot->server;
    tcpx_conn *c = slot->conn;
    int err;

    if (!atomic_load(&slot->owner.lent)) {
        atomic_store(&slot->state, TCPX__SLOT_TAKEN);
        return;
    }
    if (atomic_load(&slot->owner.aborted)) {
        dispose(slot, TCPX__CANCELED, TCPX_ECANCELED, 1);
        return;
    }
    err = tcpx__conn_begin_close(c);
    if (!err && !atomic_load(&c->peer_finished)) {
        err = tcpx__conn_drain_some(c, TCPX_NOW);
        if (err == TCPX_EDEADLINE || err == -EAGAIN) {
            atomic_store(&slot->state, TCPX__SLOT_CLOSING);
            tcpx__server_uncount(s, TCPX__N_ACTIVE);
            tcpx__server_count(s, TCPX__N_CLOSING, 1);
            if (!wait)
                return;
            err = wait_for_end(c, &s->opts);
        }
        err = tcpx__wait_ended(err);
    }
    tcpx__slot_dispose(slot, err);
}

/* Counts how it ended, as soon as that is known. */
static void settle(struct tcpx__slot *slot)
{
    static const enum tcpx__counter counters[] = {
        [TCPX__CLOSED] = TCPX__N_CLOSED,     [TCPX__EXPIRED] = TCPX__N_EXPIRED,
        [TCPX__FAILED] = TCPX__N_FAILED,     [TCPX__LIMITED] = TCPX__N_LIMITED,
        [TCPX__CANCELED] = TCPX__N_CANCELED,
    };
    tcpx_server *s = slot->server;
    int state = atomic_exchange(&slot->state, TCPX__SLOT_ENDED);

    if (state == TCPX__SLOT_ENDED)
        return;
    tcpx__server_uncount(s, state == TCPX__SLOT_CLOSING ? TCPX__N_CLOSING
                                                        : TCPX__N_ACTIVE);
    tcpx__server_count(s, counters[slot->outcome], 1);
}

void tcpx__slot_done(struct tcpx__slot *slot)
{
    tcpx_server *s = slot->server;

    if (atomic_fetch_sub(&slot->parts, 1) != 1)
        return;
    if (slot->outcome)
        settle(slot);
    pthread_mutex_lock(&s->lock);
    tcpx__list_append(&s->handed, &slot->in_queue);
    /* A supervisor that has room for clients needs not hear at once of one
       that has gone: it looks when the next comes, or within a second.  Under
       the lock, because the server may be freed once the slot is back. */
    if (atomic_load(&s->wants_word))
        tcpx__server_wake(s);
    pthread_mutex_unlock(&s->lock);
}

void tcpx__slot_cancel(struct tcpx__slot *slot, int code)
{
    tcpx__handle_cancel(&slot->conn->h, code);
    pthread_mutex_lock(&slot->server->lock);
    if (slot->task)
        tcpx__task_cancel_with(slot->task, code);
    pthread_mutex_unlock(&slot->server->lock);
}

void tcpx__slot_cancel_in_thread(tcpx_server *s, struct tcpx__slot *slot,
                                 int code, int hard)
{
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    (void)s;
    tcpx__slot_cancel(slot, code);
    /* A thread cannot be ended from outside, but its connection can: connecting
       to nobody resets it and leaves the descriptor alone. */
    if (hard && tcpx__handle_hold(&slot->conn->h)) {
        tcpx__sys_connect(slot->conn->h.fd, &nobody, sizeof(nobody));
        tcpx__handle_let_go(&slot->conn->h);
    }
}

void tcpx__slot_end(struct tcpx__slot *slot)
{
    tcpx_server *s = slot->server;

    settle(slot);
    if (slot->is_cut && slot->outcome == TCPX__CANCELED)
        s->cut = 1;
    tcpx__heap_remove(&s->timers, &slot->timer);
    tcpx__list_remove(&slot->in_all);
    tcpx__list_remove(&slot->in_queue);
    tcpx__admission_leave(s->admission, slot);
    tcpx__server_relieve(s);
    tcpx__slot_free(slot);
}
