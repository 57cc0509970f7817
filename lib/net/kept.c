/* SPDX-License-Identifier: MIT */
/*
 * kept.c - messages that are taken as a whole: what does not go out is kept.
 *
 * The caller of a printf or frame cannot go on in the middle of one, so the
 * rest stays here and goes out first the next time.  There is never more than
 * one message's rest: a peer that does not read cannot make it grow.
 */
#include "net/kept.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

struct tcpx__kept *tcpx__kept_new(size_t size)
{
    struct tcpx__kept *kept;

    if (size > TCPX__KEPT_MAX)
        return NULL;
    kept = tcpx__malloc(sizeof(*kept) + size);
    if (kept)
        kept->start = kept->end = 0;
    return kept;
}

/* Copies the parts after the first `skip` bytes. */
static struct tcpx__kept *copy_rest(const struct iovec part[2], size_t skip)
{
    struct tcpx__kept *kept =
        tcpx__kept_new(part[0].iov_len + part[1].iov_len - skip);

    for (int i = 0; kept && i < 2; i++) {
        size_t over = skip < part[i].iov_len ? skip : part[i].iov_len;
        size_t n = part[i].iov_len - over;

        skip -= over;
        if (n == 0)
            continue;
        memcpy(kept->data + kept->end, (char *)part[i].iov_base + over, n);
        kept->end += n;
    }
    return kept;
}

/* A part of a message is out and the rest never can be: nothing that follows
   would be understood, so nothing does, and the connection ends cut. */
static int give_up_writing(tcpx_conn *c, int err)
{
    int16_t none = 0;

    atomic_compare_exchange_strong(&c->write_error, &none, (int16_t)err);
    tcpx__conn_cut(c, err);
    return err;
}

/*
 * Keeps what did not go out.  A shortage in the middle of a message is told as
 * the deadline it is to the caller: this much went out, the rest goes later.
 */
static int keep(tcpx_conn *c, struct tcpx__message *m, size_t done)
{
    struct tcpx__kept *kept = m->whole;

    if (kept)
        kept->start = done;
    else
        kept = copy_rest(m->part, done);
    m->whole = NULL;
    if (!kept && done)
        return give_up_writing(c, -ENOMEM);
    if (!kept) {
        tcpx__conn_cut(c, -ENOMEM);
        return -ENOMEM;
    }
    atomic_store_explicit(&c->kept_size, kept->end - kept->start,
                          memory_order_relaxed);
    atomic_store(&c->kept, kept);
    tcpx__conn_cut(c, 0); /* while it is kept, that says the same */
    return TCPX_EDEADLINE;
}

static int send_or_keep(tcpx_conn *c, struct tcpx__message *m, size_t *done,
                        tcpx_time deadline)
{
    int err = tcpx__conn_send_kept(c, deadline);

    if (err) {
        if (err == TCPX_EDEADLINE)
            err = -ENOBUFS;
        tcpx__conn_cut(c, err);
        return err;
    }
    err = tcpx__conn_send_all(c, m->part, m->part[1].iov_len ? 2 : 1, done,
                              deadline);
    if (err == TCPX_EDEADLINE)
        return keep(c, m, *done);
    if (err == 0 || *done == 0)
        return err;
    if (err == -ENOMEM || err == -ENOBUFS)
        return keep(c, m, *done);
    /* Part of it is out.  A canceled connection ends with a reset as it is. */
    return tcpx__handle_canceled(&c->h) ? err : give_up_writing(c, err);
}

int tcpx__message_send(tcpx_conn *c, struct tcpx__message *m, size_t *done,
                       tcpx_time deadline)
{
    int err = send_or_keep(c, m, done, deadline);

    tcpx__free(m->whole);
    m->whole = NULL;
    return err;
}
