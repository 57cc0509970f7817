/* SPDX-License-Identifier: MIT */
/*
 * conn.h - a connection: reading, writing and ending it.
 *
 * Every call that can wait takes an absolute deadline, see tcpx_after().  A
 * deadline that passes leaves the connection good: the same call, made again,
 * goes on where this one stopped.  *done counts may be NULL; they are exact on
 * success and on every failure.
 *
 * One task may read while another writes; a second reader or a second writer
 * gets -EBUSY and disturbs nobody.
 *
 * Errors of every call below, besides those that it names:
 *
 * -EINVAL            a NULL argument, a length that is 0 (for a read) or over
 *                    SSIZE_MAX, or a duration where a deadline belongs
 * -EBUSY             another task is reading, or writing, this connection
 * TCPX_EDEADLINE     the deadline passed
 * TCPX_ECANCELED     tcpx_cancel() or tcpx_task_cancel() struck; for ever
 * TCPX_ELIMIT        a limit of the server struck; for ever
 * -ECONNRESET        the peer reset the connection; for ever, in both
 *                    directions, once all that had arrived was read
 * -EPIPE             (writing) the peer is gone, or we half-closed
 * -ETIMEDOUT, -EHOSTUNREACH, -ENETUNREACH
 *                    the network or keepalive gave the connection up; for ever
 * -ENOMEM, -ENOBUFS  a shortage on this host; try again later
 *
 * Not to be confused: TCPX_EDEADLINE is your own limit on a live connection,
 * -ETIMEDOUT is the kernel's word that the connection is dead.
 */
#ifndef TCPX_CONN_H
#define TCPX_CONN_H

#include <stdarg.h>
#include <sys/uio.h>
#include <tcpx/base.h>
#include <tcpx/connect.h>

struct sockaddr_storage;

TCPX_BEGIN_DECLS

/* ---- Reading ----------------------------------------------------------- */

/*
 * Reads what is there, at least one byte, at most len; waits if there is none.
 * Returns the count; 0 when the peer has finished (its FIN; RFC 9293 3.6) and
 * everything before it was read.
 */
TCPX_API ssize_t tcpx_read(tcpx_conn *c, void *buf, size_t len,
                           tcpx_time deadline);

/*
 * Reads exactly len bytes.  Returns 0; TCPX_EOF if the stream ended before the
 * first, TCPX_ETRUNC if it ended after.  *done is the number of bytes in buf,
 * whatever is returned: go on with buf + *done and len - *done.
 */
TCPX_API int tcpx_readn(tcpx_conn *c, void *buf, size_t len, size_t *done,
                        tcpx_time deadline);

/*
 * Reads a line of at most cap - 1 bytes into line and ends it with NUL.  The
 * LF, or CR LF, is taken from the stream and left out; other CRs and NULs are
 * bytes like any other, so use the length.
 *
 * Returns the line's length, 0 for an empty line; TCPX_EOF at the end of the
 * stream; TCPX_ETRUNC if the stream ended within a line, which tcpx_read()
 * then gives; TCPX_ETOOLONG if there is no end of line within the limit,
 * which tcpx_skip_until() passes over.  A failure takes nothing from the
 * stream.  Memory grows with what arrived, up to cap.
 */
TCPX_API ssize_t tcpx_readline(tcpx_conn *c, char *line, size_t cap,
                               tcpx_time deadline);

/*
 * Reads up to and with the byte delimiter (0 to 255), at most cap bytes.
 * Returns the count, the delimiter included; fails as tcpx_readline() does,
 * and takes nothing if it fails.
 */
TCPX_API ssize_t tcpx_read_until(tcpx_conn *c, void *buf, size_t cap,
                                 int delimiter, tcpx_time deadline);

/*
 * Drops everything up to and with the byte delimiter.  Returns 0; TCPX_EOF if
 * the stream ended before anything was dropped, TCPX_ETRUNC if it ended after.
 * *done is the number of bytes dropped, also on failure: what was dropped
 * before a deadline stays dropped.
 */
TCPX_API int tcpx_skip_until(tcpx_conn *c, int delimiter, size_t *done,
                             tcpx_time deadline);

/*
 * Looks at what is there, at most len bytes, without taking it; waits only if
 * nothing is there.  Returns the count, or 0 when the peer has finished.
 * Asking for more than has arrived gives what has: peek cannot wait for more.
 */
TCPX_API ssize_t tcpx_peek(tcpx_conn *c, void *buf, size_t len,
                           tcpx_time deadline);

/* How a frame announces its length. */
enum tcpx_frame_length {
    TCPX_FRAME_BE32 = 0, /* four bytes, network order */
    TCPX_FRAME_U8,       /* one byte */
    TCPX_FRAME_BE16,     /* two bytes, network order */
    TCPX_FRAME_BE64,     /* eight bytes, network order */
    TCPX_FRAME_LE16,     /* little-endian */
    TCPX_FRAME_LE32,
    TCPX_FRAME_LE64,
    TCPX_FRAME_VARINT /* seven bits a byte, lowest first, as in Protocol
                         Buffers; at most ten bytes, the shortest form only */
};

/* The shape of a frame: a length, then so many bytes. */
typedef struct tcpx_frame {
    uint32_t size;         /* sizeof(tcpx_frame); the macro sets it */
    int32_t length;        /* enum tcpx_frame_length */
    int64_t max;           /* longest payload in bytes; 0: 16 MiB when writing,
                              cap when reading */
    int32_t counts_itself; /* 1: the length counts its own bytes too */
    int32_t reserved_0;
} tcpx_frame;

static inline tcpx_frame tcpx_frame_defaults(void)
{
    tcpx_frame format;

    memset(&format, 0, sizeof(format));
    format.size = (uint32_t)sizeof(format);
    return format;
}

/* In C: TCPX_FRAME(.length = TCPX_FRAME_VARINT, .max = 65536). */
#define TCPX_FRAME(...)                                                        \
    (&(tcpx_frame){.size = (uint32_t)sizeof(tcpx_frame), __VA_ARGS__})

/*
 * Reads one frame: its length is taken off, its payload goes into buf.  format
 * NULL is a 32-bit length in network order.
 *
 * Returns the payload's length, which may be 0; TCPX_EOF at the end of the
 * stream, TCPX_ETRUNC if it ended within a frame; TCPX_ETOOLONG if the frame
 * announces more than cap or .max; TCPX_EPROTO if the announcement is
 * malformed.  A failure takes nothing from the stream.  Memory grows with what
 * arrived, never with what was announced.
 */
TCPX_API ssize_t tcpx_read_frame(tcpx_conn *c, const tcpx_frame *format,
                                 void *buf, size_t cap, tcpx_time deadline);

/* ---- Writing ----------------------------------------------------------- */

/*
 * Writes what fits, at least one byte; waits if there is no room.  Returns the
 * count: bytes that this host's kernel has taken, which is no proof that the
 * peer has.  Length 0 returns 0 and does nothing.
 */
TCPX_API ssize_t tcpx_write(tcpx_conn *c, const void *buf, size_t len,
                            tcpx_time deadline);

/*
 * Writes all of buf.  Returns 0, or an error with the number of bytes that
 * were sent in *done: go on with buf + *done and len - *done, and no byte is
 * lost or doubled.
 *
 * A writen, writev, sendfile, printf or frame that stopped early leaves the
 * connection cut until a later write call completes: tcpx_half_close() then
 * sends nothing and tcpx_close() ends with a reset, so that the peer cannot
 * take the piece for the whole.  (On a Unix socket it can: there is no reset,
 * see tcpx_abort(); an answer must say there where it ends.)
 */
TCPX_API int tcpx_writen(tcpx_conn *c, const void *buf, size_t len,
                         size_t *done, tcpx_time deadline);

/*
 * Writes all the parts, in order, as one; any count of parts, empty ones too.
 * Returns as tcpx_writen(); *done counts bytes over all parts.
 */
TCPX_API int tcpx_writev(tcpx_conn *c, const struct iovec *iov, int count,
                         size_t *done, tcpx_time deadline);

/*
 * Writes one frame.  Returns 0; TCPX_ETOOLONG, with nothing sent, if len is
 * over .max or does not fit the length field.  *done counts bytes on the wire,
 * the length field included.  What a deadline left unsent is kept and goes
 * first in the next write, flush or close: do not call again with the same
 * frame.
 *
 * -ENOBUFS: what an earlier frame or printf left is still unsent; nothing of
 * this one was taken: call again later.  -ENOMEM likewise, unless *done tells
 * that a part had gone out: then nothing can follow it, and the connection
 * ends with a reset.
 */
TCPX_API int tcpx_write_frame(tcpx_conn *c, const tcpx_frame *format,
                              const void *buf, size_t len, size_t *done,
                              tcpx_time deadline);

/*
 * Formats as printf(3), the whole text first, and writes it; an empty text is
 * nothing.  Returns 0; -EINVAL or -EOVERFLOW, with nothing sent, if it cannot
 * be formatted.  *done, what is kept at a deadline, and -ENOBUFS are as in
 * tcpx_write_frame(); -ENOMEM always with nothing taken.
 */
TCPX_API int tcpx_printf(tcpx_conn *c, size_t *done, tcpx_time deadline,
                         const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* tcpx_printf() for a va_list, which is undefined after the call. */
TCPX_API int tcpx_vprintf(tcpx_conn *c, size_t *done, tcpx_time deadline,
                          const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

/*
 * Sends count bytes of the file fd, without copying them through the program
 * where the kernel can (sendfile(2)).  With offset NULL it reads from the
 * file's own position and moves it; else from *offset, and leaves the file's
 * position alone.  Either is advanced by exactly what was sent, also on
 * failure.  fd may be a block device, or a pipe with offset NULL.
 *
 * Returns 0; TCPX_ETRUNC if the file ended before count bytes; -EINVAL if fd
 * is of another kind, such as a socket; -ESPIPE for an offset into a pipe;
 * -EOPNOTSUPP for a pipe if c was adopted without .sole_owner, or is from
 * before the fork(2) of this process; -EBADF or another -errno of reading fd,
 * after which c is as good as before.  *done is the number of bytes sent.
 */
TCPX_API int tcpx_sendfile(tcpx_conn *c, int fd, int64_t *offset,
                           uint64_t count, uint64_t *done, tcpx_time deadline);

/*
 * Waits until the peer's kernel has acknowledged every byte written (SIOCOUTQ
 * is 0, tcp(7)).  It does not prove that the peer's program has read them:
 * only an answer proves that.  On a Unix socket it only sends what is kept:
 * there, a written byte is in the peer's queue.  A connect that is under way
 * is waited for first.
 */
TCPX_API int tcpx_flush(tcpx_conn *c, tcpx_time deadline);

/* ---- Ending ------------------------------------------------------------ */

/*
 * Says that we are done writing (FIN; shutdown(2) with SHUT_WR); reading goes
 * on.  Returns 0, also when it was done before; the code that cut it if an
 * answer was cut short, and then nothing is sent; TCPX_EDEADLINE if what a
 * printf or frame left behind cannot be sent without waiting, or a connect with
 * .start_only or .fastopen is under way: tcpx_flush() first.
 */
TCPX_API int tcpx_half_close(tcpx_conn *c);

/*
 * Ends the connection so that nothing is lost: sends what is kept, then FIN,
 * reads and drops what still comes until the peer's FIN, and waits until ours
 * and all before it was acknowledged.  Frees c, whatever it returns (but for
 * -EINVAL and -EBUSY).  A call of another task that is in progress is canceled
 * and waited for.
 *
 * Returns 0 if and only if the peer's kernel acknowledged every byte and
 * finished its own direction without an error; it cannot prove that its
 * program read them.  TCPX_EDEADLINE: the descriptor is closed with the FIN
 * under way, and the kernel goes on by itself; but a connect that is under way
 * is given up.  A latched error, or the code
 * that cut an answer, which ends with a reset, or on a Unix socket as
 * tcpx_abort() tells.  -EBUSY if c belongs to the
 * server whose handler was given it: then c lives on.
 *
 * With TCPX_NOW it sends FIN, drops what has arrived and closes, without
 * waiting; that alone saves the tail of an answer that close(2) with unread
 * input destroys (RFC 1122 4.2.2.13, RFC 2525 2.17).
 */
TCPX_API int tcpx_close(tcpx_conn *c, tcpx_time deadline);

/*
 * Ends the connection with a reset, at once: the peer reads -ECONNRESET, what
 * was under way is dropped, no TIME_WAIT stays.  Frees c; NULL is nothing.
 *
 * A Unix socket has no reset: the peer reads all that was written, and then
 * -ECONNRESET if it had sent what was never read here, else the end.
 */
TCPX_API void tcpx_abort(tcpx_conn *c);

/*
 * Makes every call on c, in progress and to come, return TCPX_ECANCELED.  May
 * be called from any thread and from any signal handler.  A canceled
 * connection ends with a reset, whoever ends it, so that the peer cannot take
 * a cut answer for a whole one; on a Unix socket as tcpx_abort() tells.  c must
 * be alive, or kept by tcpx_conn_ref().
 */
TCPX_API void tcpx_cancel(tcpx_conn *c);

/*
 * Gives the descriptor back, with the options that the library changed on an
 * adopted one restored, and the bytes that were read ahead: at most cap of
 * them into held, their count into *held_len.  Frees c.
 *
 * Returns 0; -ENOBUFS, with the count needed in *held_len and c alive, if more
 * than cap bytes are held; TCPX_EDEADLINE, with c alive, if written bytes are
 * still kept: tcpx_flush() first; -EBUSY while a call is in progress.  held
 * may be NULL if cap is 0; held_len may be NULL.
 */
TCPX_API int tcpx_conn_release(tcpx_conn *c, int *fd, void *held, size_t cap,
                               size_t *held_len);

/* ---- Making one from what the program has ------------------------------ */

/* How to take a descriptor over; see tcpx_connect_opts for zero and NONE. */
typedef struct tcpx_adopt_opts {
    uint32_t size;
    int32_t sole_owner; /* 1: nobody else holds this open file, so that its
                           timeouts and O_NONBLOCK may be changed */
    tcpx_time spin;     /* as in tcpx_connect_opts */
} tcpx_adopt_opts;

static inline tcpx_adopt_opts tcpx_adopt_defaults(void)
{
    tcpx_adopt_opts opts;

    memset(&opts, 0, sizeof(opts));
    opts.size = (uint32_t)sizeof(opts);
    return opts;
}

/* In C: TCPX_ADOPT(.sole_owner = 1). */
#define TCPX_ADOPT(...)                                                        \
    (&(tcpx_adopt_opts){.size = (uint32_t)sizeof(tcpx_adopt_opts), __VA_ARGS__})

/*
 * Makes a connection of a connected stream socket, TCP or Unix, which belongs
 * to it from then on.  The options of the socket stay as they are, but
 * FD_CLOEXEC is set.  Returns 0; -EBADF, -ENOTSOCK; -ENOTCONN; -EINVAL if it
 * listens or is no stream; -EPROTONOSUPPORT for another family; -ENOMEM.  On
 * failure fd is still the caller's.
 */
TCPX_API int tcpx_conn_adopt(tcpx_conn **out, int fd,
                             const tcpx_adopt_opts *opts);

/*
 * Makes two connections that are each other's peer (socketpair(2), Unix).
 * Returns 0; -EMFILE, -ENFILE, -ENOMEM.
 */
TCPX_API int tcpx_conn_pair(tcpx_conn *out[2]);

/*
 * Keeps the memory of c, not its socket, until as many tcpx_conn_unref(): for
 * whoever may call tcpx_cancel() after another task closed c.  Returns c.
 * Thread-safe.
 */
TCPX_API tcpx_conn *tcpx_conn_ref(tcpx_conn *c);

/* Gives up one tcpx_conn_ref(); NULL is nothing.  Thread-safe. */
TCPX_API void tcpx_conn_unref(tcpx_conn *c);

/* ---- Asking ------------------------------------------------------------ */

/* The bits of tcpx_conn_state(). */
enum tcpx_conn_state_bits {
    TCPX_STATE_CONNECTING = 1,    /* .start_only or .fastopen, and not known
                                     how it went */
    TCPX_STATE_PEER_FINISHED = 2, /* a read has seen the peer's FIN */
    TCPX_STATE_FINISHED = 4,      /* we half-closed */
    TCPX_STATE_CUT = 8,           /* an answer was cut short */
    TCPX_STATE_FAILED = 16,       /* an error is latched */
    TCPX_STATE_CANCELED = 32      /* tcpx_cancel() struck */
};

/* What tcpx_conn_has() can be asked. */
enum tcpx_conn_features {
    TCPX_HAS_MPTCP = 1,   /* Multipath TCP is spoken (RFC 8684) */
    TCPX_HAS_FASTOPEN = 2 /* the SYN's data was accepted (RFC 7413) */
};

/*
 * What this library knows of c without asking the kernel: bits, 0 for an open
 * connection of which nothing is to be said.  Thread-safe.
 */
TCPX_API int tcpx_conn_state(const tcpx_conn *c);

/*
 * 1 if c has all of what, bits of TCPX_HAS_..., as the kernel says now; else
 * 0.  Fast open is known once the first data was acknowledged.
 */
TCPX_API int tcpx_conn_has(const tcpx_conn *c, unsigned what);

/*
 * The descriptor, for poll(2) in a loop of the program's own beside calls with
 * TCPX_NOW.  It stays c's: never read, write or close it.  -1 for NULL.
 */
TCPX_API int tcpx_conn_fd(const tcpx_conn *c);

/*
 * Bytes given to the program, or taken by the kernel from it, since the
 * connection began; bytes read ahead or kept back are not counted.  Exact
 * whenever no call is in progress in that direction.
 */
TCPX_API uint64_t tcpx_conn_bytes_read(const tcpx_conn *c);
TCPX_API uint64_t tcpx_conn_bytes_written(const tcpx_conn *c);

/*
 * The peer's and our own address as text, "192.0.2.1:4711", "[::1]:80",
 * "unix:/run/x.sock", "unix:" for a socket without a name; an IPv4 peer of a
 * socket of both families reads as plain IPv4.  Live as long as the handle;
 * "" if memory ran out.  Thread-safe.
 */
TCPX_API const char *tcpx_conn_peer(const tcpx_conn *c);
TCPX_API const char *tcpx_conn_local(const tcpx_conn *c);

/*
 * The peer's address in binary form, an IPv4 peer always as AF_INET.  Returns
 * the length of the address, -EINVAL for NULL.
 */
TCPX_API int tcpx_conn_peer_sockaddr(const tcpx_conn *c,
                                     struct sockaddr_storage *out);

/*
 * What the kernel knows of a connection: 256 bytes, never resized; a member
 * that this kernel does not tell is 0.  Times are in nanoseconds.
 */
typedef struct tcpx_conn_information {
    uint64_t state; /* 1 ESTABLISHED ... 11, as in tcp(7); 0 unknown */
    uint64_t rtt;   /* smoothed round trip, RFC 6298 */
    uint64_t rtt_variation;
    uint64_t rtt_min;
    uint64_t unacknowledged;    /* bytes sent, or queued here, without an ACK */
    uint64_t unread;            /* bytes in the kernel, not yet read by us */
    uint64_t buffered;          /* bytes that the library has read ahead */
    uint64_t kept;              /* bytes that a printf or frame left unsent */
    uint64_t retransmits;       /* segments sent again, in all */
    uint64_t lost;              /* segments thought lost now */
    uint64_t congestion_window; /* bytes */
    uint64_t send_mss;
    uint64_t receive_mss;
    uint64_t path_mtu;
    uint64_t delivery_rate; /* bytes a second */
    uint64_t pacing_rate;   /* bytes a second */
    uint64_t bytes_acknowledged;
    uint64_t bytes_received;
    uint64_t segments_sent;
    uint64_t segments_received;
    uint64_t idle_sent;      /* since data was last sent */
    uint64_t idle_received;  /* since data last came */
    uint64_t busy;           /* time with data to send */
    uint64_t window_limited; /* of that, waiting for the peer's window */
    uint64_t buffer_limited; /* of that, waiting for our send buffer */
    uint64_t peer_window;    /* bytes that the peer has room for */
    uint64_t reserved[6];
} tcpx_conn_information;

/*
 * Fills *out from TCP_INFO, SIOCOUTQ and SIOCINQ (tcp(7)).  Returns 0;
 * -EINVAL for NULL.  On a Unix socket the members of TCP are 0.
 */
TCPX_API int tcpx_conn_info(const tcpx_conn *c, tcpx_conn_information *out);

TCPX_END_DECLS

#endif
