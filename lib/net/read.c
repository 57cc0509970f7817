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

int tcpx__read_begin(tcpx_conn *c, tcpx_time deadline)
{
    int canceled;

    if (TCPX__UNLIKELY(tcpx__is_duration(deadline)))
        return tcpx__fail_because(-EINVAL, "read", NULL,
                                  "a duration was passed as deadline; use "
                                  "tcpx_after()");
    if (TCPX__UNLIKELY(!tcpx__task()))
        return -ENOMEM;
    if (TCPX__UNLIKELY(!tcpx__conn_claim(&c->reading)))
        return tcpx__conn_fail(c, -EBUSY, "read");
    canceled = tcpx__handle_canceled(&c->h);
    if (TCPX__UNLIKELY(canceled))
        return (int)tcpx__read_end(c, canceled, "read");
    return 0;
}

ssize_t tcpx__read_end(tcpx_conn *c, ssize_t result, const char *operation)
{
    if (TCPX__UNLIKELY(result < 0))
        tcpx__conn_fail(c, (int)result, operation);
    tcpx__conn_unclaim(&c->reading);
    return result;
}

static void count_read(tcpx_conn *c, size_t n)
{
    /* One task writes it, so that a plain add will do; others only look. */
    uint64_t sum =
        atomic_load_explicit(&c->bytes_read, memory_order_relaxed) + n;

    atomic_store_explicit(&c->bytes_read, sum, memory_order_relaxed);
}

/* What recv 0 or an error means for every read from now on. */
static ssize_t receive_ended(tcpx_conn *c, ssize_t n)
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

/* What there is to say before the kernel is asked: 1 to ask it, else the
   result. */
static int before_receive(tcpx_conn *c, tcpx_time deadline)
{
    int err = atomic_load_explicit(&c->read_error, memory_order_relaxed);

    if (TCPX__UNLIKELY(err != 0))
        return err;
    if (TCPX__UNLIKELY(
            atomic_load_explicit(&c->peer_finished, memory_order_relaxed)))
        return 0;
    if (TCPX__UNLIKELY(
            atomic_load_explicit(&c->connecting, memory_order_relaxed))) {
        err = tcpx__conn_settle_connect(c, deadline);
        if (err)
            return err;
    }
    return 1;
}

ssize_t tcpx__conn_receive(tcpx_conn *c, void *buf, size_t len,
                           tcpx_time deadline)
{
    ssize_t n = before_receive(c, deadline);

    if (TCPX__UNLIKELY(n <= 0))
        return n;
    if (TCPX__UNLIKELY(len > TCPX__AT_ONCE))
        len = TCPX__AT_ONCE;
    n = tcpx__world()->recv(&c->h, buf, len, deadline);
    return TCPX__LIKELY(n > 0) ? n : receive_ended(c, n);
}

ssize_t tcpx__conn_receive_into(tcpx_conn *c, int pipe, size_t len,
                                tcpx_time deadline)
{
    ssize_t n = before_receive(c, deadline);

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
        return tcpx__fail(-EINVAL, "read", NULL);
    err = tcpx__read_begin(c, deadline);
    if (err)
        return err;
    n = (ssize_t)tcpx__conn_take(c, buf, len);
    if (n == 0) {
        n = tcpx__conn_receive(c, buf, len, deadline);
        if (n > 0)
            count_read(c, (size_t)n);
    }
    return tcpx__read_end(c, n, "read");
}

int tcpx_readn(tcpx_conn *c, void *buf, size_t len, size_t *done,
               tcpx_time deadline)
{
    size_t got;
    int err;

    if (done)
        *done = 0;
    if (TCPX__UNLIKELY(!c || !buf || len == 0 || len > SSIZE_MAX))
        return tcpx__fail(-EINVAL, "readn", NULL);
    err = tcpx__read_begin(c, deadline);
    if (err)
        return err;
    got = tcpx__conn_take(c, buf, len);
    while (got < len && !err) {
        ssize_t n =
            tcpx__conn_receive(c, (char *)buf + got, len - got, deadline);

        if (n <= 0) {
            err = n < 0 ? (int)n : got ? TCPX_ETRUNC : TCPX_EOF;
            break;
        }
        got += (size_t)n;
        count_read(c, (size_t)n);
        if (got < len)
            err = tcpx__conn_go_on(c, deadline);
    }
    if (done)
        *done = got;
    return (int)tcpx__read_end(c, err, "readn");
}

ssize_t tcpx_peek(tcpx_conn *c, void *buf, size_t len, tcpx_time deadline)
{
    ssize_t n = 1;
    size_t held;
    int err;

    if (!c || !buf || len == 0 || len > SSIZE_MAX)
        return tcpx__fail(-EINVAL, "peek", NULL);
    err = tcpx__read_begin(c, deadline);
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
