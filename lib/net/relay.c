/* SPDX-License-Identifier: MIT */
/*
 * relay.c - passing everything between two connections.
 *
 * Each direction has a pipe: splice(2) moves pages from a socket into it and
 * out of it into the other, without a copy through the program.  A pipe is
 * emptied before it is filled again, for it is full when its pages are, however
 * few bytes they hold, and then only the receiving side is worth waiting for.
 *
 * The directions take turns of a few pipes each, and between turns the relay
 * looks at the clock and for a cancel: one way may go on for ever without
 * anything that would have to wait, and a wait is where all else looks.
 */
#include <tcpx/relay.h>

#include <errno.h>
#include <poll.h>
#include "io/thread.h"
#include "net/close.h"
#include "net/conn.h"
#include "net/options.h"
#include "net/opts.h"

#define DEFAULT_PIPE (256 * 1024)
#define SMALLEST_PIPE 4096

/* How often one direction fills its pipe before the other has its turn. */
#define TURN 4

struct flow {
    tcpx_conn *from;
    tcpx_conn *to;
    int pipe[2];
    size_t in_pipe;
    int has_ended; /* the end of `from` was carried to `to` */
};

struct relay {
    struct flow flows[2];
    size_t pipe_size;
    tcpx_time idle; /* TCPX_FOREVER: no limit */
    tcpx_time moved_at;
    int has_moved;
};

static int copy_opts(struct relay *r, const tcpx_relay_opts *given)
{
    tcpx_relay_opts o;
    int err = tcpx__opts_copy(&o, sizeof(o), sizeof(o), given);

    if (err)
        return tcpx__opts_fail(err, "relay", NULL);
    if (o.pipe_size < 0 || (o.pipe_size && o.pipe_size < SMALLEST_PIPE))
        return tcpx__fail_because(-EINVAL, "relay", NULL,
                                  "pipe_size is %lld, under %d",
                                  (long long)o.pipe_size, SMALLEST_PIPE);
    err = o.idle == TCPX_UNLIMITED
              ? 0
              : tcpx__duration_check(o.idle, "idle", "relay", NULL);
    if (err)
        return err;
    r->pipe_size = o.pipe_size ? (size_t)o.pipe_size : DEFAULT_PIPE;
    r->idle = o.idle > 0 ? o.idle : TCPX_FOREVER;
    return 0;
}

static int open_flow(struct flow *f, tcpx_conn *from, tcpx_conn *to,
                     size_t pipe_size)
{
    f->from = from;
    f->to = to;
    return tcpx__sys_pipe(f->pipe, pipe_size);
}

static void close_flow(struct flow *f)
{
    tcpx__sys_close(f->pipe[0]);
    tcpx__sys_close(f->pipe[1]);
}

/* What was read ahead goes first; it is in the program's memory already. */
static int pass_buffered(struct relay *r, struct flow *f)
{
    while (tcpx__conn_buffered(f->from)) {
        struct iovec part = {tcpx__conn_data(f->from),
                             tcpx__conn_buffered(f->from)};
        ssize_t n = tcpx__conn_send(f->to, &part, 1, TCPX_NOW);

        if (n < 0)
            return (int)n;
        tcpx__conn_take(f->from, NULL, (size_t)n);
        r->has_moved = 1;
    }
    return 0;
}

/* Fills an empty pipe: 1 filled, 0 the end, or why not. */
static ssize_t fill(struct relay *r, struct flow *f)
{
    size_t most = r->pipe_size < TCPX__AT_ONCE ? r->pipe_size : TCPX__AT_ONCE;
    ssize_t n = tcpx__conn_receive_into(f->from, f->pipe[1], most, TCPX_NOW);

    if (n <= 0)
        return n;
    f->in_pipe = (size_t)n;
    r->has_moved = 1;
    return 1;
}

static int empty(struct relay *r, struct flow *f)
{
    while (f->in_pipe) {
        ssize_t n =
            tcpx__conn_send_from(f->to, f->pipe[0], f->in_pipe, TCPX_NOW);

        if (n < 0)
            return (int)n;
        f->in_pipe -= (size_t)n;
        r->has_moved = 1;
    }
    return 0;
}

/* Fills the pipe and empties it, or carries the end. */
static int move_once(struct relay *r, struct flow *f)
{
    ssize_t n = fill(r, f);
    int err;

    if (n > 0)
        return empty(r, f);
    if (n < 0)
        return (int)n;
    err = tcpx__conn_finish_sending(f->to);
    f->has_ended = !err;
    return err;
}

/* The turn of one direction: moves what can be moved without waiting, up to so
   much.  0, or why the relay must end. */
static int move(struct relay *r, struct flow *f)
{
    int err = tcpx__conn_send_kept(f->to, TCPX_NOW);

    if (!err)
        err = pass_buffered(r, f);
    if (!err)
        err = empty(r, f);
    for (int i = 0; i < TURN && !err && !f->has_ended; i++)
        err = move_once(r, f);
    return err == TCPX_EDEADLINE ? 0 : err;
}

/* What this direction waits for: room where it has something, else input. */
static tcpx_conn *want(const struct flow *f, short *events)
{
    int has_output =
        f->in_pipe || tcpx__conn_buffered(f->from) || atomic_load(&f->to->kept);

    *events = has_output ? POLLOUT : POLLIN;
    return has_output ? f->to : f->from;
}

/* Both connections, the first of them first, each with what is wanted of it:
   nothing of one that neither direction waits for, but its cancel counts. */
static void want_both(const struct relay *r, struct tcpx__poll_item items[2])
{
    tcpx_conn *both[2] = {r->flows[0].from, r->flows[0].to};

    for (int i = 0; i < 2; i++)
        items[i] = (struct tcpx__poll_item){.fd = -1, .handle = &both[i]->h};
    for (int i = 0; i < 2; i++) {
        short events;
        tcpx_conn *c = want(&r->flows[i], &events);
        struct tcpx__poll_item *item = &items[c == both[1]];

        if (r->flows[i].has_ended)
            continue;
        item->fd = c->h.fd;
        item->want = (short)(item->want | events);
    }
}

static int wait_moved(struct relay *r, tcpx_time deadline)
{
    struct tcpx__poll_item items[2];
    tcpx_time until = deadline;
    int err;
    int rc;

    if (r->idle != TCPX_FOREVER && r->moved_at + r->idle < until)
        until = r->moved_at + r->idle;
    want_both(r, items);
    rc = tcpx__world()->wait(items, 2, until);
    err = tcpx__handle_canceled(items[0].handle);
    if (!err)
        err = tcpx__handle_canceled(items[1].handle);
    if (err)
        return err;
    if (rc == TCPX_EDEADLINE && until < deadline)
        return TCPX_ELIMIT;
    return rc < 0 ? rc : 0;
}

/* What a wait would see, after a turn that had none: 0, or why to end.  A task
   of any world may ask about the leash, which only threads have. */
static int look_up(struct relay *r, tcpx_time deadline)
{
    const struct flow *f = &r->flows[0];
    tcpx_time now = tcpx__sys_now();
    int err = tcpx__thread_struck(tcpx__task(), now);

    if (tcpx__handle_canceled(&f->to->h))
        err = tcpx__handle_canceled(&f->to->h);
    if (tcpx__handle_canceled(&f->from->h))
        err = tcpx__handle_canceled(&f->from->h);
    if (!err && deadline > 0 && now >= deadline)
        err = TCPX_EDEADLINE;
    if (r->has_moved)
        r->moved_at = now;
    return err;
}

static int is_over(const struct relay *r)
{
    return r->flows[0].has_ended && r->flows[1].has_ended;
}

static int run(struct relay *r, tcpx_time deadline)
{
    int err = 0;

    r->moved_at = tcpx__sys_now();
    while (!err && !is_over(r)) {
        r->has_moved = 0;
        for (int i = 0; i < 2 && !err; i++)
            err = move(r, &r->flows[i]);
        if (!err && !is_over(r))
            err = look_up(r, deadline);
        if (!err && !is_over(r) && !r->has_moved)
            err = wait_moved(r, deadline);
    }
    return err;
}

/* Claims both directions of c, as one who reads and writes at a time. */
static int claim(tcpx_conn *c, tcpx_time deadline)
{
    int err = tcpx__read_begin(c, deadline, "relay");

    if (err)
        return err;
    err = tcpx__write_begin(c, deadline, "relay");
    if (err)
        tcpx__read_end(c, 0, "relay");
    return err;
}

static void unclaim(tcpx_conn *c)
{
    tcpx__write_end(c, 0, "relay");
    tcpx__read_end(c, 0, "relay");
}

static int relay_claimed(struct relay *r, tcpx_conn *a, tcpx_conn *b,
                         tcpx_time deadline)
{
    int err = open_flow(&r->flows[0], a, b, r->pipe_size);

    if (err)
        return err;
    err = open_flow(&r->flows[1], b, a, r->pipe_size);
    if (!err) {
        err = tcpx__conn_settle_connect(a, deadline);
        if (!err)
            err = tcpx__conn_settle_connect(b, deadline);
        if (!err)
            err = run(r, deadline);
        close_flow(&r->flows[1]);
    }
    close_flow(&r->flows[0]);
    /* What is in a pipe is lost, and the connection that it was for must not
       end as if it had had everything. */
    for (int i = 0; i < 2 && err; i++) {
        if (!r->flows[i].has_ended && r->flows[i].to)
            atomic_store(&r->flows[i].to->cut, (int16_t)err);
    }
    return err;
}

int tcpx_relay(tcpx_conn *a, tcpx_conn *b, const tcpx_relay_opts *opts,
               tcpx_time deadline)
{
    struct relay r = {.flows = {{.pipe = {-1, -1}}, {.pipe = {-1, -1}}}};
    int err;

    if (!a || !b || a == b)
        return tcpx__refuse("relay", a && b ? "both connections are one"
                                            : "no connection");
    err = copy_opts(&r, opts);
    if (err)
        return err;
    err = claim(a, deadline);
    if (err)
        return err;
    err = claim(b, deadline);
    if (!err) {
        err = relay_claimed(&r, a, b, deadline);
        unclaim(b);
    }
    unclaim(a);
    return err ? tcpx__fail(err, "relay", NULL) : 0;
}
