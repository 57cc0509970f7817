/* SPDX-License-Identifier: MIT */
/*
 * sendfile.c - sending a file or a pipe without copying it through the program.
 *
 * sendfile(2) and splice(2) take no MSG_DONTWAIT, so they need the socket to be
 * non-blocking.  That is a property of the open file, which for an adopted
 * socket belongs to others as well: there, and where the file's own system
 * cannot do it, the bytes are read and sent, and only what was sent counts.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>
#include "net/conn.h"

#define COPY_SIZE 65536

/* A transfer under way. */
struct transfer {
    tcpx_conn *c;
    int fd;
    int has_offset; /* else the file's own position counts, and moves */
    int64_t offset;
    uint64_t count;
    uint64_t sent;
    tcpx_time deadline;
};

static size_t rest(const struct transfer *t, size_t most)
{
    uint64_t left = t->count - t->sent;

    return left < most ? (size_t)left : most;
}

/* Errors of sendfile(2) and splice(2) that are the socket's, unless the file is
   on another machine, whose connection has an end as well. */
static int may_be_of_the_socket(int err)
{
    switch (-err) {
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ECONNREFUSED:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENOTCONN:
    case EPROTO:
        return 1;
    default:
        return 0;
    }
}

/* What the socket itself says: 0, or why nothing can be sent any more.  An
   error that it has told already has become EPIPE. */
static int ask_socket(const tcpx_conn *c)
{
    ssize_t n = tcpx__sys_send(c->h.fd, "", 0, MSG_DONTWAIT);

    return n < 0 && tcpx__is_final((int)n) && n != -EAGAIN && n != -EINTR
               ? (int)n
               : 0;
}

/* What an error of sendfile(2) or splice(2) means for every write from now on:
   nothing if it is the file's. */
static int transfer_ended(tcpx_conn *c, int err)
{
    int why = may_be_of_the_socket(err) ? ask_socket(c) : 0;

    if (why && why != -EPIPE)
        err = why;
    if (why)
        tcpx__conn_latch_write(c, err);
    return err;
}

/* Takes note of what one call moved.  Returns 1 to go on, 0 at the end of the
   file, or an error. */
static int moved(struct transfer *t, ssize_t n)
{
    int err = 0;

    if (n > 0) {
        t->sent += (uint64_t)n;
        tcpx__conn_count_written(t->c, (size_t)n);
        if (t->sent < t->count)
            err = tcpx__conn_go_on(t->c, t->deadline);
        return err ? err : 1;
    }
    return n < 0 ? transfer_ended(t->c, (int)n) : 0;
}

/* ---- By reading and sending -------------------------------------------- */

/* Reads the next bytes of the file; 0 is its end. */
static ssize_t read_file(const struct transfer *t, void *buf, int64_t from)
{
    ssize_t n;

    do
        n = tcpx__sys_pread(t->fd, buf, rest(t, COPY_SIZE), from);
    while (n == -EINTR);
    return n;
}

static int send_block(struct transfer *t, char *block, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        struct iovec part = {block + sent, len - sent};
        ssize_t n = tcpx__conn_send(t->c, &part, 1, t->deadline);

        if (n < 0)
            return (int)n;
        sent += (size_t)n;
        t->sent += (uint64_t)n;
    }
    return 0;
}

static int copy_blocks(struct transfer *t, int64_t start, char *block)
{
    uint64_t before = t->sent;

    while (t->sent < t->count) {
        ssize_t n = read_file(t, block, start + (int64_t)(t->sent - before));
        int err;

        if (n <= 0)
            return n < 0 ? (int)n : TCPX_ETRUNC;
        err = send_block(t, block, (size_t)n);
        if (!err && t->sent < t->count)
            err = tcpx__conn_go_on(t->c, t->deadline);
        if (err)
            return err;
    }
    return 0;
}

/* The file's position, if it counts, is set once: to after what was sent. */
static int copy(struct transfer *t)
{
    uint64_t before = t->sent;
    int64_t start = t->offset + (int64_t)before;
    char *block;
    int err;

    if (!t->has_offset) {
        start = tcpx__sys_lseek(t->fd, 0, SEEK_CUR);
        if (start < 0)
            return (int)start;
    }
    block = tcpx__malloc(COPY_SIZE);
    if (!block)
        return -ENOMEM;
    err = copy_blocks(t, start, block);
    tcpx__free(block);
    if (!t->has_offset)
        tcpx__sys_lseek(t->fd, start + (int64_t)(t->sent - before), SEEK_SET);
    return err;
}

/* ---- By the kernel ----------------------------------------------------- */

static int send_file(struct transfer *t)
{
    const struct tcpx__world *world = tcpx__world();
    int64_t at = t->offset;
    int rc = 1;

    while (rc > 0 && t->sent < t->count) {
        ssize_t n = world->sendfile(&t->c->h, t->fd, t->has_offset ? &at : NULL,
                                    rest(t, TCPX__AT_ONCE), t->deadline);

        if (n == -EINVAL)
            return copy(t); /* not from this file's system */
        rc = moved(t, n);
        if (rc == 0)
            return TCPX_ETRUNC;
    }
    return rc < 0 ? rc : 0;
}

/*
 * Waits until the pipe has something, or has ended, beside the connection,
 * which may be canceled or fail meanwhile.
 */
static int await_pipe(struct transfer *t)
{
    tcpx_conn *c = t->c;
    struct tcpx__poll_item items[2] = {
        {.fd = t->fd, .want = POLLIN},
        {.fd = c->h.fd, .handle = &c->h},
    };
    tcpx_time until = t->deadline;

    for (;;) {
        int rc = tcpx__world()->wait(items, 2, until);
        int err;

        if (rc == TCPX_ECANCELED) /* the task: the connection goes with it */
            tcpx__handle_cancel(&c->h, TCPX_ECANCELED);
        err = tcpx__handle_canceled(&c->h);
        if (err)
            return err;
        if (rc == TCPX_EDEADLINE && until < t->deadline)
            rc = 0;
        if (rc < 0 || (rc > 0 && items[0].got))
            return rc < 0 ? rc : 0;
        err = rc > 0 ? ask_socket(c) : 0;
        if (err) {
            tcpx__conn_latch_write(c, err);
            return err;
        }
        if (rc > 0)
            items[1].fd = -1; /* it would say so at once, again and again */
        if (items[1].fd < 0) {
            until = tcpx_after(TCPX__BLIND_SLICE);
            if (until > t->deadline)
                until = t->deadline;
        }
    }
}

/*
 * The world waits for room in the socket, but would not know that it is the
 * pipe which is empty; so it is only ever asked to try, and both are waited for
 * here.
 */
static int send_pipe(struct transfer *t)
{
    const struct tcpx__world *world = tcpx__world();

    while (t->sent < t->count) {
        ssize_t n =
            world->splice(&t->c->h, t->fd, 0, rest(t, TCPX__AT_ONCE), TCPX_NOW);
        int err;

        if (n == TCPX_EDEADLINE) {
            if (t->deadline <= 0)
                return TCPX_EDEADLINE;
            err = await_pipe(t);
            if (!err)
                err = world->await(&t->c->h, POLLOUT, t->deadline);
            if (err)
                return err;
            continue;
        }
        err = moved(t, n);
        if (err <= 0)
            return err < 0 ? err : TCPX_ETRUNC;
    }
    return 0;
}

/* ---- Which of them ----------------------------------------------------- */

typedef int transfer_fn(struct transfer *t);

/* Chooses a way, by what fd is. */
static int choose(const struct transfer *t, transfer_fn **way)
{
    int shared = tcpx__handle_is_shared(&t->c->h);
    struct stat st;
    int err = tcpx__sys_fstat(t->fd, &st);

    if (err)
        return err;
    if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) {
        *way = shared ? copy : send_file;
        return 0;
    }
    if (!S_ISFIFO(st.st_mode))
        return -EINVAL;
    if (t->has_offset)
        return -ESPIPE;
    *way = send_pipe;
    return shared ? -EOPNOTSUPP : 0;
}

static int transfer(struct transfer *t, transfer_fn *way)
{
    int err = tcpx__conn_settle_connect(t->c, t->deadline);

    if (!err)
        err = tcpx__conn_send_kept(t->c, t->deadline);
    if (!err)
        err = way(t);
    tcpx__conn_cut(t->c, err);
    return err;
}

static const char *why_not(int err)
{
    if (err == -EINVAL)
        return "the descriptor is neither a file nor a pipe";
    if (err == -ESPIPE)
        return "a pipe has no offsets";
    if (err == -EOPNOTSUPP)
        return "no pipe can be sent on a socket that others share";
    return tcpx_strerror(err);
}

int tcpx_sendfile(tcpx_conn *c, int fd, int64_t *offset, uint64_t count,
                  uint64_t *done, tcpx_time deadline)
{
    struct transfer t = {.c = c,
                         .fd = fd,
                         .has_offset = offset != NULL,
                         .offset = offset ? *offset : 0,
                         .count = count,
                         .deadline = deadline};
    transfer_fn *way = NULL;
    int err;

    if (done)
        *done = 0;
    if (!c || t.offset < 0 || count > INT64_MAX)
        return tcpx__refuse("sendfile", !c             ? "no connection"
                                        : t.offset < 0 ? "a negative offset"
                                                       : "count is over 2^63");
    if (count == 0)
        return 0;
    err = choose(&t, &way);
    if (err) {
        tcpx__conn_fail(c, err, "sendfile");
        tcpx__fail_detail("%s", why_not(err));
        return err;
    }
    err = tcpx__write_begin(c, deadline, "sendfile");
    if (err)
        return err;
    err = transfer(&t, way);
    if (offset)
        *offset = t.offset + (int64_t)t.sent;
    if (done)
        *done = t.sent;
    tcpx__write_end(c, err, "sendfile");
    if (err == TCPX_ETRUNC)
        tcpx__fail_detail("the file or pipe ended %llu bytes early",
                          (unsigned long long)(count - t.sent));
    return err;
}
