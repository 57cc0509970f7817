/* SPDX-License-Identifier: MIT */
/*
 * closing.c - what comes back from workers, the clients that are waited for
 * after their handler, and the limits on time.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include "net/close.h"
#include "server/server.h"

/* The idle limit is looked at so often in its length. */
#define IDLE_LOOKS 4
#define NEXT_LOOK (50 * TCPX_MSEC)

/* Parks a slot whose client has not finished, outside every worker. */
static void park(struct tcpx__slot *slot)
{
    tcpx_server *s = slot->server;
    tcpx_time now = tcpx__sys_now();
    int err = tcpx__sys_epoll_add(s->watch, slot->conn->h.fd, slot);

    tcpx__list_append(&s->closing, &slot->in_queue);
    slot->close_until = now + s->opts.close_total;
    tcpx__slot_arm(slot, now);
    if (err)
        tcpx__slot_expire(slot, err);
}

void tcpx__slot_expire(struct tcpx__slot *slot, int err)
{
    tcpx__sys_epoll_remove(slot->server->watch, slot->conn->h.fd);
    tcpx__slot_dispose(slot, tcpx__wait_ended(err));
    tcpx__slot_end(slot);
}

void tcpx__slot_closing_ready(struct tcpx__slot *slot)
{
    int err = tcpx__conn_drain_some(slot->conn, TCPX_NOW);

    if (err == TCPX_EDEADLINE || err == -EAGAIN)
        tcpx__slot_arm(slot, tcpx__sys_now());
    else
        tcpx__slot_expire(slot, err);
}

void tcpx__server_collect(tcpx_server *s)
{
    for (;;) {
        struct tcpx__list *node;
        struct tcpx__slot *slot;

        pthread_mutex_lock(&s->lock);
        node = tcpx__list_pop(&s->handed);
        pthread_mutex_unlock(&s->lock);
        if (!node)
            return;
        slot = TCPX__LIST_ENTRY(node, struct tcpx__slot, in_queue);
        if (s->model->reap)
            s->model->reap(s, slot);
        tcpx__server_tell(s, TCPX_EVENT_HANDLER_ENDED, slot->error,
                          slot->reason, slot->conn);
        if (slot->outcome)
            tcpx__slot_end(slot);
        else
            park(slot);
    }
}

static tcpx_time add(tcpx_time at, tcpx_time duration)
{
    return duration == TCPX_FOREVER ? TCPX_FOREVER : at + duration;
}

tcpx_time tcpx__slot_limit_at(const struct tcpx__slot *slot, tcpx_time now)
{
    const tcpx_server_opts *o = &slot->server->opts;
    tcpx_time at = add(slot->accepted, o->lifetime);

    if (tcpx_conn_bytes_read(slot->conn) == 0)
        at = tcpx__earlier(at, add(slot->accepted, o->first_byte));
    if (o->idle != TCPX_FOREVER)
        at = tcpx__earlier(at, tcpx__earlier(now + o->idle / IDLE_LOOKS,
                                             slot->active_at + o->idle));
    /* Looked at and not struck: look again, but do not spin. */
    return at <= now ? now + NEXT_LOOK : at;
}

void tcpx__slot_arm(struct tcpx__slot *slot, tcpx_time now)
{
    tcpx_server *s = slot->server;
    tcpx_time at;

    if (slot->close_until)
        at = tcpx__earlier(slot->close_until, now + s->opts.close_idle);
    else if (s->model->keeps_limits &&
             atomic_load(&slot->state) != TCPX__SLOT_TAKEN)
        return; /* the handler looks itself */
    else
        at = tcpx__slot_limit_at(slot, now);
    if (at != TCPX_FOREVER)
        tcpx__heap_set(&s->timers, &slot->timer, at);
}

/* Bytes that have come and that the handler has not asked for yet. */
static int has_unread(const tcpx_conn *c)
{
    int waiting = 0;

    return tcpx__sys_ioctl_int(c->h.fd, SIOCINQ, &waiting) == 0 && waiting > 0;
}

int tcpx__slot_is_over_limit(struct tcpx__slot *slot, tcpx_time now)
{
    const tcpx_server_opts *o = &slot->server->opts;
    uint64_t bytes_read = tcpx_conn_bytes_read(slot->conn);
    uint64_t bytes = bytes_read + tcpx_conn_bytes_written(slot->conn);

    if (now >= add(slot->accepted, o->lifetime))
        return 1;
    /* A client that waits for a worker has done nothing wrong. */
    if (bytes != slot->bytes_at_check ||
        atomic_load(&slot->state) == TCPX__SLOT_QUEUED) {
        slot->bytes_at_check = bytes;
        slot->active_at = now;
        return 0;
    }
    if (bytes_read == 0 && now >= add(slot->accepted, o->first_byte) &&
        !has_unread(slot->conn))
        return 1;
    return now >= add(slot->active_at, o->idle);
}

void tcpx__slot_timer(struct tcpx__slot *slot, tcpx_time now)
{
    if (slot->close_until) {
        tcpx__slot_expire(slot, TCPX_EDEADLINE);
        return;
    }
    if (slot->child) {
        slot->server->model->watched(slot->server, slot);
        return;
    }
    if (tcpx__slot_is_over_limit(slot, now))
        tcpx__slot_cancel(slot, TCPX_ELIMIT);
    else
        tcpx__slot_arm(slot, now);
}
