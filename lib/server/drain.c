/* SPDX-License-Identifier: MIT */
/*
 * drain.c - how a server stops.
 *
 * A listener that is closed resets the clients in its queue.  So one that is
 * ours first gets a filter that drops SYNs, which no client notices, for it
 * asks again; then its queue can only become less, and is accepted until it is
 * empty, and once more a millisecond later, for handshakes that were under way.
 * A listener that is not ours is left to whoever else holds it.
 */
#include <errno.h>
#include <linux/filter.h>
#include <stddef.h>
#include "server/server.h"

/* For handshakes whose last ACK was under way when the queue was empty. */
#define SECOND_LOOK TCPX_MSEC

/* For handlers to return after their calls were canceled. */
#define GRACE TCPX_SEC

/* The flags of a TCP header: its byte 13; SYN is bit 1. */
#define TCP_FLAGS 13
#define TCP_SYN 0x02

static void drop_syns(struct tcpx__door *door)
{
    static struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, TCP_SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),          /* drop */
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff), /* keep */
    };
    static const struct sock_fprog program = {TCPX__COUNT(code), code};

    door->filtered = 1;
    if (!(atomic_load(&door->listener->h.flags) & TCPX__UNIX))
        tcpx__sys_setsockopt(door->listener->h.fd, SOL_SOCKET, SO_ATTACH_FILTER,
                             &program, sizeof(program));
    else
        tcpx__listener_unlink(door->listener);
}

static void close_door(struct tcpx__door *door)
{
    door->is_open = 0;
    if (door->is_ours)
        tcpx__listener_stop(door->listener);
}

void tcpx__door_is_empty(tcpx_server *s, struct tcpx__door *door)
{
    (void)s;
    if (door->again)
        close_door(door);
    else
        door->again = tcpx_after(SECOND_LOOK);
}

tcpx_time tcpx__server_stop_until(tcpx_server *s, tcpx_time now)
{
    if (!s->stopped_at)
        s->stopped_at = now;
    return s->opts.drain == TCPX_FOREVER ? TCPX_FOREVER
                                         : s->stopped_at + s->opts.drain;
}

static void begin_emptying(tcpx_server *s, tcpx_time now)
{
    s->phase = TCPX__EMPTYING;
    s->phase_until = tcpx__server_stop_until(s, now);
    if (s->model->drain)
        s->model->drain(s);
    for (size_t i = 0; i < s->door_count; i++) {
        struct tcpx__door *door = &s->doors[i];

        if (!door->is_open)
            continue;
        if (door->is_ours && !tcpx__listener_is_shared(door->listener))
            drop_syns(door);
        else
            close_door(door); /* the queue is somebody else's too */
    }
    tcpx__server_tell(s, TCPX_EVENT_DRAINING, 0, 0, NULL);
}

static int has_open_door(const tcpx_server *s)
{
    for (size_t i = 0; i < s->door_count; i++) {
        if (s->doors[i].is_open)
            return 1;
    }
    return 0;
}

/* Clients that no worker will ever see. */
static void give_up_pending(tcpx_server *s)
{
    struct tcpx__list *node;

    while ((node = tcpx__list_pop(&s->pending))) {
        struct tcpx__slot *slot =
            TCPX__LIST_ENTRY(node, struct tcpx__slot, in_queue);

        slot->is_cut = 1;
        tcpx__handle_cancel(&slot->conn->h, TCPX_ECANCELED);
        tcpx__slot_dispose(slot, TCPX_ECANCELED);
        tcpx__server_tell(s, TCPX_EVENT_HANDLER_ENDED, slot->error, 0,
                          slot->conn);
        tcpx__slot_end(slot);
    }
}

static void give_up_closing(tcpx_server *s)
{
    while (!tcpx__list_is_empty(&s->closing))
        tcpx__slot_expire(
            TCPX__LIST_ENTRY(s->closing.next, struct tcpx__slot, in_queue),
            TCPX_EDEADLINE);
}

static void cancel_all(tcpx_server *s, int hard)
{
    for (struct tcpx__list *node = s->all.next; node != &s->all;
         node = node->next) {
        struct tcpx__slot *slot =
            TCPX__LIST_ENTRY(node, struct tcpx__slot, in_all);

        slot->is_cut = 1;
        s->model->cancel(s, slot, TCPX_ECANCELED, hard);
    }
}

static void begin_canceling(tcpx_server *s, tcpx_time now)
{
    for (size_t i = 0; i < s->door_count; i++) {
        if (s->doors[i].is_open)
            close_door(&s->doors[i]);
    }
    s->phase = TCPX__CANCELING;
    s->phase_until = now + GRACE;
    give_up_pending(s);
    give_up_closing(s);
    cancel_all(s, 0);
}

static int finish(tcpx_server *s)
{
    if (!tcpx__list_is_empty(&s->all))
        s->cut = 1; /* handlers that ignore their cancel */
    tcpx__server_end_shortage(s, TCPX_FOREVER);
    tcpx__server_tell(s, TCPX_EVENT_DRAINED, s->cut ? TCPX_ECANCELED : 0, 0,
                      NULL);
    return 1;
}

int tcpx__server_drain(tcpx_server *s, tcpx_time now)
{
    int stops = atomic_load(&s->stops);

    if (s->phase == TCPX__SERVING && stops)
        begin_emptying(s, now);
    if (s->phase == TCPX__EMPTYING && !has_open_door(s))
        s->phase = TCPX__FINISHING;
    if ((s->phase == TCPX__EMPTYING || s->phase == TCPX__FINISHING) &&
        (stops > 1 || now >= s->phase_until))
        begin_canceling(s, now);
    if (s->phase == TCPX__CANCELING && now >= s->phase_until) {
        s->phase = TCPX__GONE;
        s->phase_until = now + GRACE;
        cancel_all(s, 1);
    }
    if (s->phase >= TCPX__FINISHING && tcpx__list_is_empty(&s->all))
        return finish(s);
    return s->phase == TCPX__GONE && now >= s->phase_until ? finish(s) : 0;
}

tcpx_time tcpx__server_drain_at(const tcpx_server *s, tcpx_time now)
{
    int stops = atomic_load(&s->stops);
    tcpx_time at = s->phase_until;

    if (s->phase == TCPX__SERVING)
        return stops ? TCPX_NOW : TCPX_FOREVER;
    if (s->phase > TCPX__EMPTYING)
        return s->phase == TCPX__FINISHING && stops > 1 ? TCPX_NOW : at;
    if (stops > 1 || !has_open_door(s))
        return TCPX_NOW;
    if (tcpx__server_is_short(s, now))
        return at; /* nobody can be accepted before the pause is over */
    for (size_t i = 0; i < s->door_count; i++) {
        const struct tcpx__door *door = &s->doors[i];

        /* A queue that has not been looked at is looked at now. */
        if (door->is_open && door->again < at)
            at = door->again;
    }
    return at;
}
