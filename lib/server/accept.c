/* SPDX-License-Identifier: MIT */
/*
 * accept.c - THE ACCEPT LOOP: the only one in the library.
 *
 * What accept(2) says is one of three things: an error of a client that has
 * already gone (retried inside tcpx_accept()), a shortage on this host (clients
 * wait in the kernel's queue; a pause that doubles, ended early when something
 * becomes free), or the end of the listener.
 *
 * At the limit every connection that ends lets one client in, and the next
 * meets the limit again.  All that is one episode: it ends once nothing was
 * short for a while.
 */
#include <errno.h>
#include <string.h>
#include "server/server.h"

#define FIRST_PAUSE (10 * TCPX_MSEC)
#define LONGEST_PAUSE TCPX_SEC

/* An episode of shortage is over after so long without one. */
#define QUIET TCPX_SEC

/* The kernel is asked for the length of a queue at most so often. */
#define QUEUE_LOOK (10 * TCPX_MSEC)

/* Clients taken from one door in a turn, so that the others and those who are
   being served come to their right in a burst. */
#define LONGEST_BURST 16

/* Clients that come alone before a second one is looked for again, at most. */
#define LONGEST_PATIENCE 64

static int is_shortage(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS ||
           err == -ENOMEM || err == -EAGAIN;
}

static void begin_shortage(tcpx_server *s, int err)
{
    struct tcpx__shortage *sh = &s->shortage;

    if (!sh->error) {
        sh->error = err;
        sh->pause = FIRST_PAUSE;
        tcpx__server_count(s, TCPX__N_SHORTAGES, 1);
        tcpx__server_tell(s, TCPX_EVENT_SHORTAGE, err, 0, NULL);
    } else if (sh->over_at != TCPX_FOREVER) {
        sh->pause = FIRST_PAUSE; /* something went well since */
    } else if (sh->pause < LONGEST_PAUSE) {
        sh->pause *= 2;
    }
    sh->over_at = TCPX_FOREVER;
    sh->until = tcpx_after(sh->pause);
    /* A client that has its answer and does not finish is the first to give
       up a descriptor for one that waits. */
    if (!tcpx__list_is_empty(&s->closing))
        tcpx__slot_expire(
            TCPX__LIST_ENTRY(s->closing.next, struct tcpx__slot, in_queue),
            TCPX_EDEADLINE);
}

/* Nothing was short this time. */
static void went_well(tcpx_server *s)
{
    if (s->shortage.error && s->shortage.over_at == TCPX_FOREVER)
        s->shortage.over_at = tcpx_after(QUIET);
}

void tcpx__server_end_shortage(tcpx_server *s, tcpx_time now)
{
    if (!s->shortage.error || now < s->shortage.over_at)
        return;
    s->shortage.error = 0;
    tcpx__server_tell(s, TCPX_EVENT_SHORTAGE_END, 0, 0, NULL);
}

int tcpx__server_is_short(const tcpx_server *s, tcpx_time now)
{
    return s->shortage.error && now < s->shortage.until;
}

void tcpx__server_relieve(tcpx_server *s)
{
    s->shortage.until = 0;
}

static int is_full(const tcpx_server *s)
{
    return s->opts.max_connections != TCPX_UNLIMITED &&
           tcpx__server_counter(s, TCPX__N_ACTIVE) >=
               (uint64_t)s->opts.max_connections;
}

int tcpx__server_takes(const tcpx_server *s, tcpx_time now)
{
    if (s->phase > TCPX__EMPTYING)
        return 0;
    if (tcpx__server_is_short(s, now))
        return 0;
    if (s->phase == TCPX__EMPTYING)
        return 1; /* whoever is in the queue is served, when there is room */
    if (!tcpx__list_is_empty(&s->pending) || !s->model->has_room(s))
        return 0;
    return s->opts.refuse_when_full || !is_full(s);
}

/* Says no: the text, if there is one, FIN, and no waiting for anything. */
static void refuse(tcpx_server *s, tcpx_conn *c, int reason)
{
    static const enum tcpx__counter counters[] = {
        [TCPX_REFUSED_CONNECTIONS] = TCPX__N_REFUSED_CONNECTIONS,
        [TCPX_REFUSED_CLIENT] = TCPX__N_REFUSED_CLIENT,
        [TCPX_REFUSED_RATE] = TCPX__N_REFUSED_RATE,
        [TCPX_REFUSED_SHORTAGE] = TCPX__N_REFUSED_SHORTAGE,
    };

    tcpx__server_count(s, counters[reason], 1);
    tcpx__server_tell(s, TCPX_EVENT_REFUSED, TCPX_EREFUSED, reason, c);
    if (s->refusal_text)
        tcpx_writen(c, s->refusal_text, strlen(s->refusal_text), NULL,
                    TCPX_NOW);
    tcpx_close(c, TCPX_NOW);
}

static int enter(tcpx_server *s, struct tcpx__slot *slot)
{
    if (s->phase == TCPX__SERVING && is_full(s))
        return TCPX_REFUSED_CONNECTIONS;
    return tcpx__admission_enter(s->admission, slot, slot->accepted);
}

/* Lets the spare slot's connection in, or refuses it. */
static void admit(tcpx_server *s, tcpx_conn *c)
{
    struct tcpx__slot *slot = s->spare;
    int reason;

    slot->conn = c;
    slot->accepted = tcpx__sys_now();
    reason = enter(s, slot);
    if (reason == TCPX_REFUSED_CONNECTIONS || reason == TCPX_REFUSED_CLIENT) {
        /* Those who have ended are no reason to refuse anybody. */
        tcpx__server_collect(s);
        reason = enter(s, slot);
    }
    if (reason) {
        slot->conn = NULL;
        refuse(s, c, reason);
        return;
    }
    s->spare = NULL;
    tcpx__slot_admit(slot);
    tcpx__server_dispatch(s);
}

/* Takes one client: 1, 0 if the queue is empty, or why not. */
static int take_client(tcpx_server *s, struct tcpx__door *door)
{
    tcpx_task *t = tcpx__task();
    uint64_t gone = t->clients_gone;
    tcpx_conn *c;
    int err;

    /* The memory first: a client that was accepted must not be lost. */
    if (!s->spare)
        s->spare = tcpx__slot_new(s);
    if (!s->spare)
        return -ENOMEM;
    err = tcpx_accept(&c, door->listener, TCPX_NOW);
    if (t->clients_gone != gone)
        tcpx__server_count(s, TCPX__N_ACCEPT_RETRIES, t->clients_gone - gone);
    if (err == TCPX_EDEADLINE)
        return 0;
    if (err)
        return err;
    went_well(s);
    admit(s, c);
    return 1;
}

void tcpx__server_see_queues(tcpx_server *s, tcpx_time now)
{
    if (now < s->queues_again)
        return;
    s->queues_again = now + QUEUE_LOOK;
    for (size_t i = 0; i < s->door_count; i++) {
        const struct tcpx__door *door = &s->doors[i];

        if (door->is_open)
            tcpx__server_most(s, TCPX__N_LONGEST_QUEUE,
                              (uint64_t)tcpx__listener_queued(door->listener));
    }
}

/*
 * How many clients to take at the next turn.  A queue that turned out empty
 * cost an accept for nothing; after that, more and more clients must have come
 * alone before a second one is looked for behind the first.
 */
static void was_empty(struct tcpx__door *door)
{
    door->burst = 1;
    if (door->patience < LONGEST_PATIENCE)
        door->patience = door->patience * 2 + 1;
    door->alone = door->patience;
}

static void was_not_empty(struct tcpx__door *door)
{
    if (door->burst > 1)
        door->patience = 0; /* it was right to look */
    else if (door->alone-- > 0)
        return;
    if (door->burst < LONGEST_BURST)
        door->burst *= 2;
}

static void take_burst(tcpx_server *s, struct tcpx__door *door)
{
    int taken = 0;
    int rc = 1;

    if (s->phase == TCPX__EMPTYING)
        door->burst = LONGEST_BURST;
    while (rc == 1 && taken < door->burst &&
           atomic_load(&s->stops) <= s->phase &&
           tcpx__server_takes(s, tcpx__sys_now())) {
        rc = take_client(s, door);
        taken += rc == 1;
    }
    if (rc == 0) {
        was_empty(door);
        if (s->phase == TCPX__EMPTYING)
            tcpx__door_is_empty(s, door);
    } else if (rc == 1) {
        if (taken == LONGEST_BURST)
            tcpx__server_see_queues(s, tcpx__sys_now());
        if (taken == door->burst)
            was_not_empty(door);
    } else if (is_shortage(rc)) {
        begin_shortage(s, rc);
    } else if (rc == TCPX_ECANCELED &&
               !tcpx__handle_canceled(&door->listener->h)) {
        return; /* of this task: the next wait tells of it */
    } else {
        /* EBADF, EINVAL, a cancel: nobody will come through here any more. */
        if (rc != TCPX_ECANCELED)
            s->fatal = rc;
        atomic_fetch_add(&s->stops, 1);
        door->is_open = 0;
    }
}

void tcpx__server_accept(tcpx_server *s)
{
    for (size_t i = 0; i < s->door_count; i++) {
        struct tcpx__door *door = &s->doors[i];

        if (door->is_open && (door->is_ready || s->phase == TCPX__EMPTYING) &&
            door->again <= tcpx__sys_now())
            take_burst(s, door);
        door->is_ready = 0;
    }
}

void tcpx__server_dispatch(tcpx_server *s)
{
    while (!tcpx__list_is_empty(&s->pending) && s->model->has_room(s)) {
        struct tcpx__slot *slot =
            TCPX__LIST_ENTRY(s->pending.next, struct tcpx__slot, in_queue);
        int err;

        if (s->shortage.error && tcpx__server_is_short(s, tcpx__sys_now()))
            return;
        tcpx__list_remove(&slot->in_queue);
        err = s->model->dispatch(s, slot);
        if (err) {
            /* It keeps its place, and nobody is accepted before it runs. */
            tcpx__list_insert(&s->pending, &slot->in_queue);
            begin_shortage(s, err);
            return;
        }
        went_well(s);
    }
}
