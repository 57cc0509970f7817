/* SPDX-License-Identifier: MIT */
/*
 * write.c - writing what fits, and all or an error.
 *
 * A write that had to reach its end and did not leaves the connection cut,
 * until a later one completes: ending it then must not look like the end of a
 * whole answer.
 */
#include <errno.h>
#include <limits.h>
#include "net/conn.h"

/* Parts handed to the kernel at a time: a KiB of stack, few enough calls. */
#define PARTS 64

/*
 * A reset is told once, to whoever asks first.  After EPIPE there is nothing
 * to pass on: the peer's FIN came before, or a reader was told already.
 */
void tcpx__conn_latch_write(tcpx_conn *c, int err)
{
    int16_t none = 0;

    atomic_compare_exchange_strong(&c->write_error, &none, (int16_t)err);
    none = 0;
    if (err != -EPIPE)
        atomic_compare_exchange_strong(&c->reset_seen, &none, (int16_t)err);
}

int tcpx__write_refuse(tcpx_conn *c, tcpx_time deadline, const char *operation)
{
    if (tcpx__is_duration(deadline))
        return tcpx__refuse_duration(operation);
    /* What was to be sent was not, and the end must not hide that. */
    atomic_store(&c->cut, -ENOMEM);
    return -ENOMEM;
}

void tcpx__conn_count_written(tcpx_conn *c, size_t n)
{
    /* One task writes it, so that a plain add will do; others only look. */
    uint64_t sum =
        atomic_load_explicit(&c->bytes_written, memory_order_relaxed) + n;

    atomic_store_explicit(&c->bytes_written, sum, memory_order_relaxed);
}

/*
 * What an error of send means for every write from now on.  The kernel tells
 * why a connection died only once, and then EPIPE: if a reader was told, that
 * is the reason here too.
 */
static TCPX__APART int send_ended(tcpx_conn *c, int err)
{
    if (err == -EPIPE && atomic_load(&c->read_error))
        err = atomic_load(&c->read_error);
    if (tcpx__is_final(err))
        tcpx__conn_latch_write(c, err);
    return err;
}

/*
 * Sends with the SYN if that was put off; else sees how the connect went.
 * Returns the count of bytes that went, 0 to go on as usual, or an error.
 */
static TCPX__COLD ssize_t send_first(tcpx_conn *c, const struct iovec *iov,
                                     size_t n, tcpx_time deadline)
{
    ssize_t sent = tcpx__conn_send_syn(c, iov, n);

    if (sent == TCPX_EDEADLINE)
        return tcpx__conn_settle_connect(c, deadline);
    if (sent > 0)
        tcpx__conn_count_written(c, (size_t)sent);
    return sent;
}

static inline ssize_t send_some(tcpx_conn *c, const struct iovec *iov, size_t n,
                                tcpx_time deadline)
{
    ssize_t sent;

    if (TCPX__UNLIKELY(
            atomic_load_explicit(&c->connecting, memory_order_relaxed))) {
        sent = send_first(c, iov, n, deadline);
        if (sent)
            return sent;
    }
    sent = tcpx__world()->send(&c->h, iov, n, deadline);
    if (TCPX__LIKELY(sent > 0)) {
        tcpx__conn_count_written(c, (size_t)sent);
        return sent;
    }
    return send_ended(c, (int)sent);
}

static inline ssize_t send_one(tcpx_conn *c, const void *buf, size_t len,
                               tcpx_time deadline)
{
    struct iovec part = {(void *)(uintptr_t)buf, len};

    if (TCPX__UNLIKELY(len > TCPX__AT_ONCE))
        part.iov_len = TCPX__AT_ONCE;
    return send_some(c, &part, 1, deadline);
}

ssize_t tcpx__conn_send(tcpx_conn *c, const struct iovec *iov, size_t n,
                        tcpx_time deadline)
{
    if (n == 1)
        return send_one(c, iov->iov_base, iov->iov_len, deadline);
    return send_some(c, iov, n, deadline);
}

ssize_t tcpx__conn_send_from(tcpx_conn *c, int pipe, size_t len,
                             tcpx_time deadline)
{
    ssize_t n = tcpx__world()->splice(&c->h, pipe, 0, len, deadline);

    if (n > 0)
        tcpx__conn_count_written(c, (size_t)n);
    else if (tcpx__is_final((int)n))
        tcpx__conn_latch_write(c, (int)n);
    return n;
}

int tcpx__conn_send_kept_now(tcpx_conn *c, tcpx_time deadline)
{
    struct tcpx__kept *kept =
        atomic_load_explicit(&c->kept, memory_order_relaxed);

    while (kept->start < kept->end) {
        struct iovec part = {kept->data + kept->start, kept->end - kept->start};
        ssize_t n = tcpx__conn_send(c, &part, 1, deadline);

        if (n < 0)
            return (int)n;
        kept->start += (size_t)n;
        atomic_store_explicit(&c->kept_size, kept->end - kept->start,
                              memory_order_relaxed);
        if (kept->start < kept->end) {
            int err = tcpx__conn_go_on(c, deadline);

            if (err)
                return err;
        }
    }
    atomic_store(&c->kept, NULL);
    tcpx__free(kept);
    return 0;
}

/* Fills window with the parts from *next on, *offset bytes into the first, for
   one call; empty parts are left out, for a vector of nothing else would send
   0. */
static size_t take_window(struct iovec *window, const struct iovec *iov,
                          size_t n, size_t next, size_t offset)
{
    size_t left = TCPX__AT_ONCE;
    size_t used = 0;

    for (size_t i = next; i < n && used < PARTS && left > 0; i++) {
        size_t skip = i == next ? offset : 0;
        size_t len = iov[i].iov_len - skip;

        if (len == 0)
            continue;
        if (len > left)
            len = left;
        window[used].iov_base = (char *)iov[i].iov_base + skip;
        window[used].iov_len = len;
        left -= len;
        used++;
    }
    return used;
}

static int send_parts(tcpx_conn *c, const struct iovec *iov, size_t n,
                      size_t *done, tcpx_time deadline)
{
    struct iovec window[PARTS];
    size_t next = 0;
    size_t offset = 0;
    size_t used = take_window(window, iov, n, next, offset);
    int err = 0;

    while (used > 0 && !err) {
        ssize_t sent = tcpx__conn_send(c, window, used, deadline);

        if (sent < 0)
            return (int)sent;
        *done += (size_t)sent;
        offset += (size_t)sent;
        while (next < n && offset >= iov[next].iov_len)
            offset -= iov[next++].iov_len;
        used = take_window(window, iov, n, next, offset);
        if (used > 0)
            err = tcpx__conn_go_on(c, deadline);
    }
    return err;
}

/* What follows a send of one part that gave `sent`: more of them, up to the
   result. */
static TCPX__APART int send_rest(tcpx_conn *c, const char *buf, size_t len,
                                 size_t *done, ssize_t sent, tcpx_time deadline)
{
    for (;;) {
        int err;

        if (sent < 0)
            return (int)sent;
        *done += (size_t)sent;
        if (*done == len)
            return 0;
        err = tcpx__conn_go_on(c, deadline);
        if (err)
            return err;
        sent = send_one(c, buf + *done, len - *done, deadline);
    }
}

/* One part needs no window, is what most writes are, and mostly goes at
   once. */
static inline int send_part(tcpx_conn *c, const char *buf, size_t len,
                            size_t *done, tcpx_time deadline)
{
    ssize_t sent = send_one(c, buf, len, deadline);

    if (TCPX__UNLIKELY(sent != (ssize_t)len))
        return send_rest(c, buf, len, done, sent, deadline);
    *done = len;
    return 0;
}

static inline int writen(tcpx_conn *c, const char *buf, size_t len,
                         size_t *done, tcpx_time deadline)
{
    int err = tcpx__write_begin(c, deadline, "writen");

    if (TCPX__UNLIKELY(err))
        return err;
    err = tcpx__conn_send_kept(c, deadline);
    if (TCPX__LIKELY(!err))
        err = send_part(c, buf, len, done, deadline);
    tcpx__conn_cut(c, err);
    return (int)tcpx__write_end(c, err, "writen");
}

int tcpx__conn_send_all(tcpx_conn *c, const struct iovec *iov, size_t n,
                        size_t *done, tcpx_time deadline)
{
    int err = tcpx__conn_send_kept(c, deadline);

    if (!err)
        err = send_parts(c, iov, n, done, deadline);
    tcpx__conn_cut(c, err);
    return err;
}

ssize_t tcpx_write(tcpx_conn *c, const void *buf, size_t len,
                   tcpx_time deadline)
{
    ssize_t n;
    int err;

    if (TCPX__UNLIKELY(!c || (!buf && len) || len > SSIZE_MAX))
        return tcpx__buffer_refuse("write", c, buf, len);
    if (len == 0)
        return 0;
    err = tcpx__write_begin(c, deadline, "write");
    if (err)
        return err;
    n = tcpx__conn_send_kept(c, deadline);
    if (n == 0)
        n = send_one(c, buf, len, deadline);
    if (n == (ssize_t)len)
        atomic_store_explicit(&c->cut, 0, memory_order_relaxed);
    return tcpx__write_end(c, n, "write");
}

int tcpx_writen(tcpx_conn *c, const void *buf, size_t len, size_t *done,
                tcpx_time deadline)
{
    size_t sent = 0;
    int err = 0;

    if (TCPX__UNLIKELY(!c || (!buf && len) || len > SSIZE_MAX))
        err = tcpx__buffer_refuse("writen", c, buf, len);
    else if (TCPX__LIKELY(len > 0))
        err = writen(c, buf, len, &sent, deadline);
    if (done)
        *done = sent;
    return err;
}

int tcpx_writev(tcpx_conn *c, const struct iovec *iov, int count, size_t *done,
                tcpx_time deadline)
{
    size_t total = 0;
    size_t sent = 0;
    int err;

    if (done)
        *done = 0;
    if (!c || count < 0 || (!iov && count))
        return tcpx__refuse("writev", !c          ? "no connection"
                                      : count < 0 ? "the count is negative"
                                                  : "no parts");
    for (int i = 0; i < count; i++) {
        if ((!iov[i].iov_base && iov[i].iov_len) ||
            iov[i].iov_len > SSIZE_MAX - total)
            return tcpx__refuse("writev", iov[i].iov_base
                                              ? "over SSIZE_MAX bytes in all"
                                              : "a part without its bytes");
        total += iov[i].iov_len;
    }
    if (total == 0)
        return 0;
    err = tcpx__write_begin(c, deadline, "writev");
    if (err)
        return err;
    err = tcpx__conn_send_all(c, iov, (size_t)count, &sent, deadline);
    if (done)
        *done = sent;
    return (int)tcpx__write_end(c, err, "writev");
}
