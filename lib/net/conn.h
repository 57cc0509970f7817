/* SPDX-License-Identifier: MIT */
/*
 * conn.h - a connection, from the inside.
 *
 * Two directions, each with one user at a time (reading, writing), its own
 * latched error and its own count of bytes.  What a direction owns is written
 * by its user alone; what the other side looks at is atomic.
 */
#ifndef TCPX_NET_CONN_H
#define TCPX_NET_CONN_H

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/time.h>
#include <tcpx/conn.h>
#include <tcpx/error.h>
#include "base/sys.h"
#include "base/util.h"
#include "io/world.h"

/*
 * Bytes that were read ahead: data[start..end).  The first `looked` of them
 * were searched in vain by the last line, delimiter or frame read, which was
 * of kind `search`.  `ahead` tells whether tcpx_wait() counts them: not if that
 * read found all of them too few, for then it would spin on half a line.
 * `held` is end - start, for tasks that are not the reader and only look.
 */
struct tcpx__buffer {
    unsigned char *data;
    size_t start;
    size_t end;
    size_t cap;
    size_t looked;
    _Atomic size_t held;
    int16_t search;
    _Atomic uint8_t ahead;
};

/* What a printf or frame left unsent; goes out before anything else. */
struct tcpx__kept {
    size_t start;
    size_t end;
    unsigned char data[];
};

/*
 * The server that lent a connection to a handler.  While it is lent, the
 * handler may neither close nor release it.
 */
struct tcpx__owner {
    _Atomic uint8_t lent;
    _Atomic uint8_t aborted; /* the handler wants it to end with a reset */

    /* The program takes it over: 0, or why it cannot. */
    int (*take)(struct tcpx__owner *owner);

    /* The program has ended one that it took, with this result. */
    void (*ended)(struct tcpx__owner *owner, int err);

    int (*is_draining)(const struct tcpx__owner *owner);
};

struct tcpx_conn {
    struct tcpx__handle h;
    struct tcpx__owner *owner; /* NULL: the program */
    _Atomic unsigned refs;
    _Atomic uint8_t reading; /* claimed: tcpx__conn_claim() */
    _Atomic uint8_t writing;
    _Atomic uint8_t peer_finished; /* recv gave 0 */
    _Atomic uint8_t finished;      /* we half-closed */
    _Atomic uint8_t connecting;    /* enum tcpx__connecting */
    uint8_t restore;               /* enum tcpx__restore */
    _Atomic int16_t read_error;    /* latched: what every read ends with */
    _Atomic int16_t write_error;   /* latched: what every write ends with */
    _Atomic int16_t reset_seen;    /* met by a write; readers learn it last */
    _Atomic int16_t cut;           /* what stopped an answer before its end */
    _Atomic uint64_t bytes_read;
    _Atomic uint64_t bytes_written;
    struct tcpx__buffer in;
    struct tcpx__kept *_Atomic kept;
    _Atomic size_t kept_size;   /* of what is kept, for those who only look */
    struct timeval old_timeout; /* of an adopted socket, to be restored */
    char *_Atomic peer_text;
    char *_Atomic local_text;
    socklen_t peer_len; /* 0 for a Unix socket */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } peer;
};

_Static_assert(sizeof(struct tcpx_conn) <= 256,
               "a connection takes at most 256 bytes before it buffers");

/*
 * What is known of the connect: all there is to know; it is under way; a task
 * is asking or sending the SYN; the SYN was put off until there is data to go
 * with it.
 */
enum tcpx__connecting {
    TCPX__KNOWN,
    TCPX__UNDER_WAY,
    TCPX__SETTLING,
    TCPX__PUT_OFF
};

/* What tcpx_conn_release() puts back on an adopted socket. */
enum tcpx__restore {
    TCPX__RESTORE_TIMEOUT = 1,  /* SO_RCVTIMEO, from old_timeout */
    TCPX__RESTORE_NONBLOCK = 2, /* O_NONBLOCK was set */
    TCPX__RESTORE_EXEC = 4      /* FD_CLOEXEC was not */
};

/*
 * A connection over fd, which it owns from then on; flags as in
 * tcpx__handle_init().  peer may be NULL for a socket of the Unix family,
 * whose name is asked for when it is wanted; an IPv4 address in IPv6 form is
 * kept as plain IPv4.  NULL if memory ran out.
 */
tcpx_conn *tcpx__conn_new(int fd, unsigned flags, const struct sockaddr *peer,
                          socklen_t len);

static inline int tcpx__conn_is_lent(const tcpx_conn *c)
{
    return c->owner && atomic_load(&c->owner->lent);
}

/* Tells the server whose handler took the connection that it has ended. */
void tcpx__conn_end_ownership(tcpx_conn *c, int err);

/* Closes the descriptor, with a reset if asked, and gives up the reference. */
void tcpx__conn_dispose(tcpx_conn *c, int reset);

/*
 * Sees how a connect went that is not known yet; 0 once it is a connection.  A
 * failure is latched in both directions.  Readers and writers may ask at the
 * same time.  Every call that reads, finishes or waits must ask: the kernel
 * forgets a connection that is shut down in the middle of its handshake, with
 * all that was written to it.
 */
int tcpx__conn_settle_connect(tcpx_conn *c, tcpx_time deadline);

/*
 * Sends a SYN that was put off, and with it some of n parts.  The count of
 * bytes that went along; TCPX_EDEADLINE if none did, or none was put off; or
 * an error.  Waits for nothing.
 */
ssize_t tcpx__conn_send_syn(tcpx_conn *c, const struct iovec *iov, size_t n);

/* The same without data, for who has none.  0, or an error. */
int tcpx__conn_begin_handshake(tcpx_conn *c);

/*
 * Claims a direction for the calling task, &c->reading or &c->writing.  1, or
 * 0 if it is another's; what a thread claimed that did not come along in a
 * fork(2) is nobody's.
 */
static inline int tcpx__conn_claim(_Atomic uint8_t *direction)
{
    uint8_t mark =
        atomic_load_explicit(&tcpx__claim_mark, memory_order_relaxed);

    return atomic_exchange_explicit(direction, mark, memory_order_acquire) !=
           mark;
}

static inline void tcpx__conn_unclaim(_Atomic uint8_t *direction)
{
    atomic_store_explicit(direction, 0, memory_order_release);
}

/* Records a failure about c and returns it. */
TCPX__COLD int tcpx__conn_fail(const tcpx_conn *c, int err,
                               const char *operation);

/* Refuses a call whose connection, memory or length makes no sense. */
TCPX__COLD int tcpx__buffer_refuse(const char *operation, const tcpx_conn *c,
                                   const void *buf, size_t len);

/* Why a read or write cannot begin: a duration as deadline, or no task. */
TCPX__COLD int tcpx__read_refuse(tcpx_time deadline, const char *operation);
TCPX__COLD int tcpx__write_refuse(tcpx_conn *c, tcpx_time deadline,
                                  const char *operation);

/*
 * Begins and ends a read or write: checks the deadline, claims the direction
 * (-EBUSY), tells a cancel.  Each begin that returned 0 needs its end, which
 * returns `result`, having recorded it as a failure of `operation` if it is.
 */
static inline ssize_t tcpx__read_end(tcpx_conn *c, ssize_t result,
                                     const char *operation)
{
    if (TCPX__UNLIKELY(result < 0))
        tcpx__conn_fail(c, (int)result, operation);
    tcpx__conn_unclaim(&c->reading);
    return result;
}

static inline int tcpx__read_begin(tcpx_conn *c, tcpx_time deadline,
                                   const char *operation)
{
    int canceled;

    if (TCPX__UNLIKELY(tcpx__is_duration(deadline) || !tcpx__task()))
        return tcpx__read_refuse(deadline, operation);
    if (TCPX__UNLIKELY(!tcpx__conn_claim(&c->reading)))
        return tcpx__conn_fail(c, -EBUSY, operation);
    canceled = tcpx__handle_canceled(&c->h);
    if (TCPX__UNLIKELY(canceled))
        return (int)tcpx__read_end(c, canceled, operation);
    return 0;
}

static inline ssize_t tcpx__write_end(tcpx_conn *c, ssize_t result,
                                      const char *operation)
{
    if (TCPX__UNLIKELY(result < 0))
        tcpx__conn_fail(c, (int)result, operation);
    tcpx__conn_unclaim(&c->writing);
    return result;
}

/* For a flush: after a half-close too, when there is no more to write. */
static inline int tcpx__flush_begin(tcpx_conn *c, tcpx_time deadline,
                                    const char *operation)
{
    int err;

    if (TCPX__UNLIKELY(tcpx__is_duration(deadline) || !tcpx__task()))
        return tcpx__write_refuse(c, deadline, operation);
    if (TCPX__UNLIKELY(!tcpx__conn_claim(&c->writing)))
        return tcpx__conn_fail(c, -EBUSY, operation);
    err = tcpx__handle_canceled(&c->h);
    if (TCPX__LIKELY(!err))
        err = atomic_load_explicit(&c->write_error, memory_order_relaxed);
    if (TCPX__UNLIKELY(err != 0))
        return (int)tcpx__write_end(c, err, operation);
    return 0;
}

static inline int tcpx__write_begin(tcpx_conn *c, tcpx_time deadline,
                                    const char *operation)
{
    int err = tcpx__flush_begin(c, deadline, operation);

    if (TCPX__UNLIKELY(err != 0))
        return err;
    /* Our own half-close is nothing to latch. */
    if (TCPX__UNLIKELY(
            atomic_load_explicit(&c->finished, memory_order_relaxed)))
        return (int)tcpx__write_end(c, -EPIPE, operation);
    return 0;
}

/*
 * Receives past the buffer, at most TCPX__AT_ONCE bytes, latching what is
 * final.  Returns a count, 0 at the end of the stream, or an error.  The
 * reader's alone.
 */
ssize_t tcpx__conn_receive(tcpx_conn *c, void *buf, size_t len,
                           tcpx_time deadline);

/* The same into an empty pipe, past the program; counts what it read. */
ssize_t tcpx__conn_receive_into(tcpx_conn *c, int pipe, size_t len,
                                tcpx_time deadline);

/* Takes up to len bytes out of the buffer and counts them as read; buf NULL
   drops them. */
size_t tcpx__conn_take(tcpx_conn *c, void *buf, size_t len);

/*
 * Receives more into the buffer, which grows by what it holds, up to `limit`
 * bytes in all.  Returns the count of new bytes; 0 at the end of the stream;
 * TCPX_ETOOLONG if limit bytes are there already; or an error.
 */
ssize_t tcpx__conn_fill(tcpx_conn *c, size_t limit, tcpx_time deadline);

static inline size_t tcpx__conn_buffered(const tcpx_conn *c)
{
    return c->in.end - c->in.start;
}

static inline unsigned char *tcpx__conn_data(const tcpx_conn *c)
{
    return c->in.data + c->in.start;
}

/*
 * Ends a search in vain; `got` is what the last fill said, 0 for the end of the
 * stream.  Remembers how far it has looked, so that the next one of the same
 * kind goes on from there.  One that was only interrupted needs more bytes, so
 * that tcpx_wait() must not count those at hand; after every other end another
 * kind of read may want them.  Returns the error that the reader is told.
 */
int tcpx__conn_give_up(tcpx_conn *c, int search, size_t looked, ssize_t got);

/* Where a search of kind `search` may begin. */
size_t tcpx__conn_search_from(const tcpx_conn *c, int search);

/*
 * Kinds of search: 0 to 255 a delimiter, then these.  A plain read or a peek
 * makes what was looked at count again: tcpx__conn_forget_search().
 */
enum tcpx__search { TCPX__SEARCH_NONE = -1, TCPX__SEARCH_FRAME = 256 };

static inline void tcpx__conn_forget_search(tcpx_conn *c)
{
    c->in.search = TCPX__SEARCH_NONE;
    c->in.looked = 0;
    atomic_store_explicit(&c->in.ahead, c->in.end > c->in.start,
                          memory_order_relaxed);
}

/*
 * The most that one system call moves.  The kernel would go on for as long as
 * the other side keeps up, for seconds, and sees neither a cancel of ours nor
 * a deadline meanwhile.
 */
#define TCPX__AT_ONCE ((size_t)4 << 20)

/*
 * Whether a call that has moved something may try for more: 0, or why not.
 * With data or room always there nothing ever waits, and so nothing else would
 * see that the deadline has passed.  TCPX_NOW goes on until it would wait.
 */
static inline int tcpx__conn_go_on(const tcpx_conn *c, tcpx_time deadline)
{
    int err = tcpx__handle_canceled(&c->h);

    if (!err && deadline > 0 && deadline != TCPX_FOREVER &&
        tcpx__sys_now() >= deadline)
        err = TCPX_EDEADLINE;
    return err;
}

/* Sends some of n parts, at most TCPX__AT_ONCE bytes if it is one, latching
   what is final; the writer's alone. */
ssize_t tcpx__conn_send(tcpx_conn *c, const struct iovec *iov, size_t n,
                        tcpx_time deadline);

/* The same out of a pipe that holds len bytes or more; counts them. */
ssize_t tcpx__conn_send_from(tcpx_conn *c, int pipe, size_t len,
                             tcpx_time deadline);

/* Counts bytes that the kernel took. */
void tcpx__conn_count_written(tcpx_conn *c, size_t n);

/* Latches what a write, or a read, met: for ever. */
void tcpx__conn_latch_write(tcpx_conn *c, int err);
void tcpx__conn_latch_read(tcpx_conn *c, int err);

/* Whether err is the end of a direction, as against a shortage or a limit. */
int tcpx__is_final(int err);

/*
 * Remembers what stopped an answer before its end; 0: one was completed.  The
 * writer's alone.
 */
static inline void tcpx__conn_cut(tcpx_conn *c, int err)
{
    if (err || atomic_load_explicit(&c->cut, memory_order_relaxed))
        atomic_store(&c->cut, (int16_t)err);
}

/* Sends what a printf or frame left behind.  0 once nothing is kept. */
TCPX__APART int tcpx__conn_send_kept_now(tcpx_conn *c, tcpx_time deadline);

static inline int tcpx__conn_send_kept(tcpx_conn *c, tcpx_time deadline)
{
    if (TCPX__LIKELY(!atomic_load_explicit(&c->kept, memory_order_relaxed)))
        return 0;
    return tcpx__conn_send_kept_now(c, deadline);
}

/*
 * Sends all the parts, what is kept first; *done, which begins at 0, counts
 * the bytes of the parts.  Sets or clears the cut.  The body of every write
 * that is all or error.
 */
int tcpx__conn_send_all(tcpx_conn *c, const struct iovec *iov, size_t n,
                        size_t *done, tcpx_time deadline);

#endif
