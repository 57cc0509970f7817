/* SPDX-License-Identifier: MIT */
/*
 * close.c - the ways to end a connection, and to know that it ended well.
 */
#include "net/close.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include "net/tcp_info.h"

/* There is no event for "acknowledged": ask again after growing pauses, the
   first about a round trip on a local network. */
#define FIRST_PAUSE (50 * TCPX_USEC)
#define LAST_PAUSE (10 * TCPX_MSEC)

/* What still comes during a close is dropped by so much at a time; once the
   deadline has passed, only as much as a receive queue can hold. */
#define DRAIN_SIZE 4096
#define DRAIN_LATE (16 << 20)

/* The deadline of a task that was canceled: it may do what need not wait. */
static tcpx_time for_canceled(tcpx_time deadline)
{
    return atomic_load(&tcpx__task()->canceled) ? TCPX_NOW : deadline;
}

static int is_tcp(const tcpx_conn *c)
{
    return !(atomic_load(&c->h.flags) & TCPX__UNIX);
}

/* The error that the socket holds, which asking takes out of it. */
static int take_error(tcpx_conn *c)
{
    int pending = 0;
    int err = tcpx__sys_getsockopt_int(c->h.fd, SOL_SOCKET, SO_ERROR, &pending);

    if (err || !pending)
        return err;
    /* Readers are told by this too, but only after all that had arrived. */
    tcpx__conn_latch_write(c, -pending);
    return -pending;
}

/* Whether the peer's kernel has everything: 1, 0 not yet, or why never. */
static int acknowledged(tcpx_conn *c)
{
    struct tcpx__tcp_info info;
    int queued = 0;
    int err = tcpx__sys_ioctl_int(c->h.fd, SIOCOUTQ, &queued);

    if (err)
        return err;
    if (queued == 0)
        return 1;
    err = tcpx__tcp_info_get(c->h.fd, &info);
    if (err < 0)
        return err;
    if (info.state != TCPX__TCP_CLOSE)
        return tcpx__tcp_counts_syn(c->h.fd, &info);
    /* The last acknowledgement may have come since the count was asked for; now
       it is final: 0 after a clean end, and above it after a reset. */
    err = tcpx__sys_ioctl_int(c->h.fd, SIOCOUTQ, &queued);
    if (err || queued == 0)
        return err ? err : 1;
    err = take_error(c);
    if (!err)
        err = atomic_load(&c->read_error); /* a reader was told */
    if (!err)
        err = -ECONNRESET;
    tcpx__conn_latch_write(c, err);
    return err;
}

/* Sleeps for a while; 0: look again. */
static int pause_until(tcpx_time *pause, tcpx_time deadline)
{
    tcpx_time now = tcpx__sys_now();
    tcpx_time until = deadline;
    int err;

    if (now >= deadline)
        return TCPX_EDEADLINE;
    if (deadline - now > *pause)
        until = now + *pause;
    if (*pause < LAST_PAUSE)
        *pause *= 2;
    err = tcpx__world()->park(until);
    return err == TCPX_EDEADLINE ? 0 : err;
}

static int wait_acknowledged(tcpx_conn *c, tcpx_time deadline)
{
    tcpx_time pause = FIRST_PAUSE;
    int rc;

    if (!is_tcp(c))
        return 0; /* a byte that was sent is in the peer's queue */
    while ((rc = acknowledged(c)) == 0) {
        int err = tcpx__handle_canceled(&c->h);

        if (!err)
            err = pause_until(&pause, deadline);
        if (err)
            return err;
    }
    return rc < 0 ? rc : 0;
}

int tcpx_flush(tcpx_conn *c, tcpx_time deadline)
{
    int err;

    if (!c)
        return tcpx__refuse("flush", "no connection");
    err = tcpx__flush_begin(c, deadline, "flush");
    if (err)
        return err;
    err = tcpx__conn_send_kept(c, deadline);
    /* Data of a SYN is not counted as long as the SYN is under way. */
    if (!err)
        err = tcpx__conn_settle_connect(c, deadline);
    if (!err)
        err = wait_acknowledged(c, deadline);
    return (int)tcpx__write_end(c, err, "flush");
}

int tcpx__conn_finish_sending(tcpx_conn *c)
{
    int err = atomic_load(&c->cut);

    if (err)
        return err;
    err = tcpx__sys_shutdown(c->h.fd, SHUT_WR);
    if (err == -ENOTCONN) {
        /* The connection is over already; the socket knows why. */
        err = take_error(c);
        if (!err)
            err = atomic_load(&c->read_error);
        if (!err)
            err = -ECONNRESET;
        tcpx__conn_latch_write(c, err);
        return err;
    }
    if (!err)
        atomic_store(&c->finished, 1);
    return err;
}

int tcpx_half_close(tcpx_conn *c)
{
    int err;

    if (!c)
        return tcpx__refuse("half_close", "no connection");
    if (atomic_load(&c->finished))
        return 0;
    err = tcpx__write_begin(c, TCPX_NOW, "half_close");
    if (err)
        return err;
    err = tcpx__conn_settle_connect(c, TCPX_NOW);
    if (!err)
        err = tcpx__conn_send_kept(c, TCPX_NOW);
    if (!err)
        err = tcpx__conn_finish_sending(c);
    return (int)tcpx__write_end(c, err, "half_close");
}

/*
 * Reads and drops until the peer's FIN.  Input left unread would make the
 * kernel answer the close with a reset, which destroys what the peer has not
 * read yet (RFC 2525 2.17).
 */
static int drain(tcpx_conn *c, tcpx_time deadline)
{
    char dropped[DRAIN_SIZE];
    size_t late = 0;

    for (;;) {
        ssize_t n = tcpx__conn_receive(c, dropped, sizeof(dropped), deadline);
        int err;

        if (n <= 0)
            return (int)n;
        /* A peer that never stops sending must not outlast the deadline or a
           cancel: with data always there, no receive waits and looks. */
        deadline = for_canceled(deadline);
        err = tcpx__conn_go_on(c, deadline);
        if (err == TCPX_EDEADLINE)
            deadline = TCPX_NOW;
        else if (err)
            return err;
        if (deadline <= 0)
            late += (size_t)n;
        if (late > DRAIN_LATE)
            return TCPX_EDEADLINE;
    }
}

/* What is kept, and FIN. */
static int finish_writing(tcpx_conn *c, tcpx_time deadline)
{
    int err = tcpx__conn_settle_connect(c, deadline);

    if (!err)
        err = tcpx__conn_send_kept(c, deadline);
    if (!err && !atomic_load(&c->finished))
        err = tcpx__conn_finish_sending(c);
    return err;
}

int tcpx__conn_drain_some(tcpx_conn *c, tcpx_time deadline)
{
    char dropped[DRAIN_SIZE];
    ssize_t n = tcpx__conn_receive(c, dropped, sizeof(dropped), deadline);

    return n > 0 ? -EAGAIN : (int)n;
}

/* Sends what is kept, FIN, drains, and waits for the last ACK. */
static int close_gracefully(tcpx_conn *c, tcpx_time deadline)
{
    int err = finish_writing(c, deadline);

    if (!err)
        err = drain(c, deadline);
    if (!err)
        err = wait_acknowledged(c, deadline);
    if (!err)
        err = take_error(c);
    return err;
}

/*
 * Turns other tasks out, and keeps them out: claims both directions, and
 * cancels what others wait in until none is left.
 */
static void take_over(tcpx_conn *c)
{
    tcpx_time pause = FIRST_PAUSE;
    int reader = 0;
    int writer = 0;

    for (;;) {
        reader = reader || tcpx__conn_claim(&c->reading);
        writer = writer || tcpx__conn_claim(&c->writing);
        if (reader && writer && !tcpx__handle_in_use(&c->h))
            return;
        tcpx__handle_cancel(&c->h, TCPX_ECANCELED);
        if (pause_until(&pause, TCPX_FOREVER) == TCPX_ECANCELED)
            tcpx__yield(); /* this task was canceled: it must wait still */
    }
}

/*
 * Turns the others out, and says what has ended the connection already.
 * *evicted: it was only this that canceled it, and nothing that was to be
 * written is missing; the peer is to have it whole.
 */
static int begin_close(tcpx_conn *c, int *evicted)
{
    int before = tcpx__handle_canceled(&c->h);
    int err;

    take_over(c);
    err = tcpx__handle_canceled(&c->h);
    *evicted = err && !before && !atomic_load(&c->cut) &&
               !atomic_load(&c->kept) && !atomic_load(&c->write_error);
    if (!err)
        err = atomic_load(&c->write_error);
    if (!err)
        err = atomic_load(&c->read_error);
    return err;
}

/* The end of a connection whose reader was turned out by the close: what was
   written is whole, and must not be destroyed by a reset.  The kernel goes on
   with it; there is nobody to tell how it went. */
static void end_whole(tcpx_conn *c)
{
    char dropped[DRAIN_SIZE];
    size_t late = 0;
    ssize_t n;

    if (tcpx__conn_finish_sending(c))
        return;
    /* Input left unread would make the kernel reset all the same. */
    while (late < DRAIN_LATE &&
           (n = tcpx__sys_recv(c->h.fd, dropped, sizeof(dropped),
                               MSG_DONTWAIT)) > 0)
        late += (size_t)n;
}

int tcpx__conn_begin_close(tcpx_conn *c)
{
    int evicted;
    int err = begin_close(c, &evicted);

    if (err)
        return err;
    /* Both directions are over with FIN, which close(2) sends as well: the peer
       has finished, so that nothing can be unread.  But not if another process
       has the socket open too. */
    if (atomic_load(&c->peer_finished) && !atomic_load(&tcpx__is_forked) &&
        !atomic_load(&c->cut) && !atomic_load(&c->kept))
        return 0;
    return finish_writing(c, TCPX_NOW);
}

int tcpx__conn_is_incomplete(const tcpx_conn *c)
{
    return !atomic_load(&c->finished) &&
           (atomic_load(&c->cut) || atomic_load(&c->kept) ||
            tcpx__handle_canceled(&c->h));
}

void tcpx__conn_end_ownership(tcpx_conn *c, int err)
{
    struct tcpx__owner *owner = c->owner;

    c->owner = NULL;
    if (owner)
        owner->ended(owner, err);
}

int tcpx_close(tcpx_conn *c, tcpx_time deadline)
{
    int evicted;
    int err;

    if (!c)
        return tcpx__refuse("close", "no connection");
    if (tcpx__is_duration(deadline))
        return tcpx__refuse_duration("close");
    if (!tcpx__task()) {
        tcpx__conn_end_ownership(c, -ENOMEM);
        tcpx__conn_dispose(c, tcpx__conn_is_incomplete(c));
        return -ENOMEM;
    }
    if (tcpx__conn_is_lent(c))
        return tcpx__fail_because(-EBUSY, "close", tcpx_conn_peer(c),
                                  "the server ends it after the handler");
    err = begin_close(c, &evicted);
    if (!err)
        err = close_gracefully(c, for_canceled(deadline));
    else if (evicted)
        end_whole(c);
    if (err)
        tcpx__conn_fail(c, err, "close");
    tcpx__conn_end_ownership(c, err);
    tcpx__conn_dispose(c, tcpx__conn_is_incomplete(c));
    return err;
}

void tcpx_abort(tcpx_conn *c)
{
    if (!c)
        return;
    if (tcpx__conn_is_lent(c)) {
        /* The handler's own calls end with it; the reset comes after. */
        atomic_store(&c->owner->aborted, 1);
        tcpx__handle_cancel(&c->h, TCPX_ECANCELED);
        return;
    }
    if (tcpx__task())
        take_over(c);
    tcpx__conn_end_ownership(c, TCPX_ECANCELED);
    tcpx__conn_dispose(c, 1);
}
