/* SPDX-License-Identifier: MIT */
/*
 * read.c - reading what is there, exactly so much, and the buffer behind both.
 *
 * Plain reads go straight into the caller's memory; only what a line, frame or
 * peek had to read ahead lies in the buffer, and comes first.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include "net/conn.h"

#define FIRST_BUFFER 4096
/* A buffer that grew beyond this goes back to the heap when it is empty. */
#define KEEP_BUFFER 16384

int tcpx__is_final(int err)
{
    switch (err) {
    case 0:
    case TCPX_EDEADLINE:
    case TCPX_ECANCELED: /* kept in the handle, as is the limit */
    case TCPX_ELIMIT:
    case -ENOMEM:
    case -ENOBUFS:
    case -ENOSPC: /* epoll's, for one user */
    case -EMFILE:
    case -ENFILE:
    case -ENOTSUP: /* in a child of a core */
    case -EFAULT:
    case -EINVAL:
    case -EINPROGRESS:
        return 0;
    default:
        return 1;
    }
}

void tcpx__conn_latch_read(tcpx_conn *c, int err)
{
    int16_t none = 0;

    atomic_compare_exchange_strong(&c->read_error, &none, (int16_t)err);
}

int tcpx__buffer_refuse(const char *operation, const tcpx_conn *c,
                        const void *buf, size_t len)
{
    if (!c)
        return tcpx__refuse(operation, "no connection");
    if (len == 0)
        return tcpx__refuse(operation, "the length is 0");
    if (!buf)
        return tcpx__refuse(operation, "no buffer");
    return tcpx__refuse(operation, "the length is over SSIZE_MAX");
}

int tcpx__read_refuse(tcpx_time deadline, const char *operation)
{
    return tcpx__is_duration(deadline) ? tcpx__refuse_duration(operation)
                                       : -ENOMEM;
}

static inline void count_read(tcpx_conn *c, size_t n)
{
    /* One task writes it, so that a plain add will do; others only look. */
    uint64_t sum =
        atomic_load_explicit(&c->bytes_read, memory_order_relaxed) + n;

    atomic_store_explicit(&c->bytes_read, sum, memory_order_relaxed);
}

/* What recv 0 or an error means for every read from now on. */
static TCPX__APART ssize_t receive_ended(tcpx_conn *c, ssize_t n)
{
    int reset;

    if (n < 0) {
        if (tcpx__is_final((int)n))
            tcpx__conn_latch_read(c, (int)n);
        return n;
    }
    /* The kernel tells a reset once, and a write was told: what looks like the
       end of the stream is where the reset cut it. */
    reset = atomic_load(&c->reset_seen);
    if (reset) {
        tcpx__conn_latch_read(c, reset);
        return reset;
    }
    atomic_store(&c->peer_finished, 1);
    return 0;
}

/* Whether the kernel is to be asked for more: no end, nothing under way. */
static inline int is_open(tcpx_conn *c)
{
    return !atomic_load_explicit(&c->read_error, memory_order_relaxed) &&
           !atomic_load_explicit(&c->peer_finished, memory_order_relaxed) &&
           !atomic_load_explicit(&c->connecting, memory_order_relaxed);
}

/* What a read of one that is not gives; 1 once it is. */
static TCPX__COLD int settle(tcpx_conn *c, tcpx_time deadline)
{
    int err = atomic_load_explicit(&c->read_error, memory_order_relaxed);

    if (err || atomic_load_explicit(&c->peer_finished, memory_order_relaxed))
        return err;
    err = tcpx__conn_settle_connect(c, deadline);
    return err ? err : 1;
}

static inline ssize_t receive(tcpx_conn *c, void *buf, size_t len,
                              tcpx_time deadline)
{
    ssize_t n;

    if (TCPX__UNLIKELY(!is_open(c))) {
        n = settle(c, deadline);
        if (n <= 0)
            return n;
    }
    if (TCPX__UNLIKELY(len > TCPX__AT_ONCE))
        len = TCPX__AT_ONCE;
    n = tcpx__world()->recv(&c->h, buf, len, deadline);
    return TCPX__LIKELY(n > 0) ? n : receive_ended(c, n);
}

/* The same for what goes straight to the program. */
static inline ssize_t receive_counted(tcpx_conn *c, void *buf, size_t len,
                                      tcpx_time deadline)
{
    ssize_t n = receive(c, buf, len, deadline);

    if (TCPX__LIKELY(n > 0))
        count_read(c, (size_t)n);
    return n;
}

ssize_t tcpx__conn_receive(tcpx_conn *c, void *buf, size_t len,
                           tcpx_time deadline)
{
    return receive(c, buf, len, deadline);
}

ssize_t tcpx__conn_receive_into(tcpx_conn *c, int pipe, size_t len,
                                tcpx_time deadline)
{
    ssize_t n = is_open(c) ? 1 : settle(c, deadline);

    if (n <= 0)
        return n;
    n = tcpx__world()->splice(&c->h, pipe, 1, len, deadline);
    if (n <= 0)
        return receive_ended(c, n);
    count_read(c, (size_t)n);
    return n;
}

/* Sets the ends of what is buffered; others look at the difference. */
static void set_ends(struct tcpx__buffer *in, size_t start, size_t end)
{
    in->start = start;
    in->end = end;
    atomic_store_explicit(&in->held, end - start, memory_order_relaxed);
}

size_t tcpx__conn_take(tcpx_conn *c, void *buf, size_t len)
{
    struct tcpx__buffer *in = &c->in;
    size_t n = in->end - in->start;

    if (n > len)
        n = len;
    if (n == 0)
        return 0;
    if (buf)
        memcpy(buf, in->data + in->start, n);
    set_ends(in, in->start + n, in->end);
    tcpx__conn_forget_search(c);
    count_read(c, n);
    if (in->start == in->end) {
        set_ends(in, 0, 0);
        if (in->cap > KEEP_BUFFER) {
            tcpx__free(in->data);
            in->data = NULL;
            in->cap = 0;
        }
    }
    return n;
}

/* Makes room for more behind what is buffered; grows by doubling, so that
   memory follows what has arrived and not what was announced. */
static int make_room(struct tcpx__buffer *in)
{
    size_t held = in->end - in->start;
    size_t cap = FIRST_BUFFER;
    unsigned char *data;

    if (in->end < in->cap)
        return 0;
    if (in->start > 0 && held <= in->cap / 2) {
        memmove(in->data, in->data + in->start, held);
        set_ends(in, 0, held);
        return 0;
    }
    while (cap <= held && cap <= SSIZE_MAX / 2)
        cap *= 2;
    data = tcpx__malloc(cap);
    if (!data)
        return -ENOMEM;
    if (held)
        memcpy(data, in->data + in->start, held);
    tcpx__free(in->data);
    in->data = data;
    in->cap = cap;
    set_ends(in, 0, held);
    return 0;
}

ssize_t tcpx__conn_fill(tcpx_conn *c, size_t limit, tcpx_time deadline)
{
    struct tcpx__buffer *in = &c->in;
    ssize_t n;
    int err;

    if (in->end - in->start >= limit)
        return TCPX_ETOOLONG;
    err = make_room(in);
    if (err)
        return err;
    n = tcpx__conn_receive(c, in->data + in->end, in->cap - in->end, deadline);
    if (n > 0) {
        set_ends(in, in->start, in->end + (size_t)n);
        atomic_store_explicit(&in->ahead, 1, memory_order_relaxed);
    }
    return n;
}

int tcpx__conn_give_up(tcpx_conn *c, int search, size_t looked, ssize_t got)
{
    size_t held = tcpx__conn_buffered(c);
    int interrupted =
        got == TCPX_EDEADLINE || got == TCPX_ECANCELED || got == TCPX_ELIMIT;

    c->in.search = (int16_t)search;
    c->in.looked = looked;
    atomic_store_explicit(&c->in.ahead, held > 0 && !interrupted,
                          memory_order_relaxed);
    if (got)
        return (int)got;
    return held ? TCPX_ETRUNC : TCPX_EOF;
}

size_t tcpx__conn_search_from(const tcpx_conn *c, int search)
{
    return c->in.search == search ? c->in.looked : 0;
}

ssize_t tcpx_read(tcpx_conn *c, void *buf, size_t len, tcpx_time deadline)
{
    ssize_t n;
    int err;

    if (TCPX__UNLIKELY(!c || !buf || len == 0 || len > SSIZE_MAX))
        return tcpx__buffer_refuse("read", c, buf, len);
    err = tcpx__read_begin(c, deadline, "read");
    if (err)
        return err;
    n = TCPX__UNLIKELY(tcpx__conn_buffered(c))
            ? (ssize_t)tcpx__conn_take(c, buf, len)
            : receive_counted(c, buf, len, deadline);
    return tcpx__read_end(c, n, "read");
}

/* What follows a receive of readn's that gave n: more of them, up to the
   result. */
static TCPX__APART int read_rest(tcpx_conn *c, char *buf, size_t len,
                                 size_t *done, ssize_t n, tcpx_time deadline)
{
    for (;;) {
        int err;

        if (n <= 0)
            return n < 0 ? (int)n : *done ? TCPX_ETRUNC : TCPX_EOF;
        *done += (size_t)n;
        if (*done == len)
            return 0;
        err = tcpx__conn_go_on(c, deadline);
        if (err)
            return err;
        n = receive_counted(c, buf + *done, len - *done, deadline);
    }
}

/* A readn for which something lies in the buffer. */
static TCPX__APART int read_buffered(tcpx_conn *c, char *buf, size_t len,
                                     size_t *done, tcpx_time deadline)
{
    ssize_t n;

    *done = tcpx__conn_take(c, buf, len);
    if (*done == len)
        return 0;
    n = receive_counted(c, buf + *done, len - *done, deadline);
    return read_rest(c, buf, len, done, n, deadline);
}

/* What is asked for mostly comes in one piece, straight from the kernel. */
static inline int readn(tcpx_conn *c, char *buf, size_t len, size_t *done,
                        tcpx_time deadline)
{
    int err = tcpx__read_begin(c, deadline, "readn");
    ssize_t n;

    if (TCPX__UNLIKELY(err))
        return err;
    if (TCPX__UNLIKELY(tcpx__conn_buffered(c))) {
        err = read_buffered(c, buf, len, done, deadline);
    } else {
        n = receive_counted(c, buf, len, deadline);
        if (TCPX__LIKELY(n == (ssize_t)len))
            *done = len;
        else
            err = read_rest(c, buf, len, done, n, deadline);
    }
    return (int)tcpx__read_end(c, err, "readn");
}

int tcpx_readn(tcpx_conn *c, void *buf, size_t len, size_t *done,
               tcpx_time deadline)
{
    size_t got = 0;
    int err;

    if (TCPX__UNLIKELY(!c || !buf || len == 0 || len > SSIZE_MAX))
        err = tcpx__buffer_refuse("readn", c, buf, len);
    else
        err = readn(c, buf, len, &got, deadline);
    if (done)
        *done = got;
    return err;
}

ssize_t tcpx_peek(tcpx_conn *c, void *buf, size_t len, tcpx_time deadline)
{
    ssize_t n = 1;
    size_t held;
    int err;

    if (!c || !buf || len == 0 || len > SSIZE_MAX)
        return tcpx__buffer_refuse("peek", c, buf, len);
    err = tcpx__read_begin(c, deadline, "peek");
    if (err)
        return err;
    tcpx__conn_forget_search(c);
    held = tcpx__conn_buffered(c);
    if (held < len) {
        n = tcpx__conn_fill(c, len, held ? TCPX_NOW : deadline);
        held = tcpx__conn_buffered(c);
    }
    if (held == 0)
        return tcpx__read_end(c, n, "peek");
    if (held > len)
        held = len;
    memcpy(buf, tcpx__conn_data(c), held);
    return tcpx__read_end(c, (ssize_t)held, "peek");
}
