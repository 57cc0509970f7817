/* SPDX-License-Identifier: MIT */
/*
 * frame.c - messages that announce their length.
 *
 * An announcement is a peer's word: it is checked against the limits before
 * anything follows from it, and memory grows only with what has arrived.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include "net/kept.h"
#include "net/opts.h"

/* The size of tcpx_frame in its first release. */
#define FRAME_LEAST 24

#define VARINT_MAX 10 /* bytes that hold 64 bits, seven in each */
#define LONGEST_WRITTEN (INT64_C(16) << 20)

/* How many bytes the length has, and which of them is first. */
struct encoding {
    uint8_t bytes; /* 0: as many as the value takes */
    uint8_t little;
};

static const struct encoding encodings[] = {
    [TCPX_FRAME_BE32] = {4, 0}, [TCPX_FRAME_U8] = {1, 0},
    [TCPX_FRAME_BE16] = {2, 0}, [TCPX_FRAME_BE64] = {8, 0},
    [TCPX_FRAME_LE16] = {2, 1}, [TCPX_FRAME_LE32] = {4, 1},
    [TCPX_FRAME_LE64] = {8, 1}, [TCPX_FRAME_VARINT] = {0, 1},
};

/* A format that was checked. */
struct shape {
    struct encoding length;
    int counts_itself;
    uint64_t max; /* longest payload */
};

static int get_shape(struct shape *out, const tcpx_frame *format,
                     uint64_t default_max, const char *operation)
{
    tcpx_frame f;
    int err = tcpx__opts_copy(&f, sizeof(f), FRAME_LEAST, format);

    if (err)
        return tcpx__opts_fail(err, operation, NULL);
    if (f.length < 0 || (size_t)f.length >= TCPX__COUNT(encodings))
        return tcpx__fail_because(-EINVAL, operation, NULL,
                                  "unknown kind of length: %d", (int)f.length);
    if (f.max < 0)
        return tcpx__fail_because(-EINVAL, operation, NULL,
                                  "max is negative: %lld", (long long)f.max);
    if (f.counts_itself != 0 && f.counts_itself != 1)
        return tcpx__fail_because(-EINVAL, operation, NULL,
                                  "counts_itself is neither 0 nor 1");
    if (f.reserved_0)
        return tcpx__fail_because(-EINVAL, operation, NULL,
                                  "a reserved member is not zero");
    out->length = encodings[f.length];
    out->counts_itself = f.counts_itself;
    out->max = f.max ? (uint64_t)f.max : default_max;
    return 0;
}

/* ---- Reading ----------------------------------------------------------- */

/*
 * Decodes a length from the first of `held` bytes.  Returns the bytes that it
 * takes; 0 if more are needed; TCPX_EPROTO if it is over 64 bits or could have
 * been shorter, for two forms of one value get past whoever compares them.
 */
static int get_varint(const unsigned char *p, size_t held, uint64_t *value)
{
    uint64_t sum = 0;

    for (int i = 0; i < VARINT_MAX && (size_t)i < held; i++) {
        uint64_t bits = p[i] & 0x7f;

        if (i == VARINT_MAX - 1 && p[i] > 1)
            return TCPX_EPROTO;
        sum |= bits << (7 * i);
        if (p[i] & 0x80)
            continue;
        if (i > 0 && bits == 0)
            return TCPX_EPROTO;
        *value = sum;
        return i + 1;
    }
    return 0;
}

static int get_fixed(const struct encoding *e, const unsigned char *p,
                     size_t held, uint64_t *value)
{
    uint64_t sum = 0;

    if (held < e->bytes)
        return 0;
    for (int i = 0; i < e->bytes; i++)
        sum = sum << 8 | p[e->little ? e->bytes - 1 - i : i];
    *value = sum;
    return e->bytes;
}

/* What is known of the frame at the head of the buffer. */
struct head {
    size_t field; /* bytes of the length; 0: not all of it has come */
    size_t payload;
    uint64_t announced; /* the payload, even if it is too long */
};

/* Decodes and checks the announcement as far as it has come. */
static int get_head(const tcpx_conn *c, const struct shape *shape,
                    struct head *out)
{
    size_t held = tcpx__conn_buffered(c);
    uint64_t value = 0;
    int n = 0;

    out->field = 0;
    out->payload = 0;
    out->announced = 0;
    if (held > 0 && shape->length.bytes)
        n = get_fixed(&shape->length, tcpx__conn_data(c), held, &value);
    else if (held > 0)
        n = get_varint(tcpx__conn_data(c), held, &value);
    if (n <= 0)
        return n;
    if (shape->counts_itself) {
        if (value < (uint64_t)n)
            return TCPX_EPROTO;
        value -= (uint64_t)n;
    }
    out->announced = value;
    if (value > shape->max)
        return TCPX_ETOOLONG;
    out->field = (size_t)n;
    out->payload = (size_t)value;
    return 0;
}

/* Receives until the whole frame is in the buffer.  Takes nothing. */
static int await_frame(tcpx_conn *c, const struct shape *shape,
                       tcpx_time deadline, struct head *head)
{
    ssize_t got = 0;

    for (;;) {
        size_t held = tcpx__conn_buffered(c);
        int err = get_head(c, shape, head);
        size_t need = head->field ? head->field + head->payload : held + 1;

        if (!err && head->field && held >= need)
            return 0;
        if (!err && got > 0)
            err = tcpx__conn_go_on(c, deadline);
        got = err ? err : tcpx__conn_fill(c, need, deadline);
        if (got <= 0)
            return tcpx__conn_give_up(c, TCPX__SEARCH_FRAME, held, got);
    }
}

/* Ends a read that got no frame, in words that tell the sizes. */
static TCPX__COLD int end_in_vain(tcpx_conn *c, int err,
                                  const struct shape *shape,
                                  const struct head *head)
{
    size_t held = tcpx__conn_buffered(c);

    tcpx__read_end(c, err, "read_frame");
    if (err == TCPX_ETOOLONG)
        tcpx__fail_detail("a frame of %llu bytes; at most %llu are taken",
                          (unsigned long long)head->announced,
                          (unsigned long long)shape->max);
    else if (err == TCPX_ETRUNC && head->field)
        tcpx__fail_detail("the stream ended in a frame of %llu bytes, after "
                          "%zu of them",
                          (unsigned long long)head->announced,
                          held - head->field);
    else if (err == TCPX_ETRUNC)
        tcpx__fail_detail("the stream ended in the length of a frame");
    return err;
}

ssize_t tcpx_read_frame(tcpx_conn *c, const tcpx_frame *format, void *buf,
                        size_t cap, tcpx_time deadline)
{
    struct shape shape = {.max = 0};
    struct head head;
    int err;

    if (!c || !buf || cap == 0 || cap > SSIZE_MAX)
        return tcpx__buffer_refuse("read_frame", c, buf, cap);
    err = get_shape(&shape, format, cap, "read_frame");
    if (err)
        return err;
    if (shape.max > cap)
        shape.max = cap;
    err = tcpx__read_begin(c, deadline, "read_frame");
    if (err)
        return err;
    err = await_frame(c, &shape, deadline, &head);
    if (err)
        return end_in_vain(c, err, &shape, &head);
    tcpx__conn_take(c, NULL, head.field);
    tcpx__conn_take(c, buf, head.payload);
    return tcpx__read_end(c, (ssize_t)head.payload, "read_frame");
}

/* ---- Writing ----------------------------------------------------------- */

static int varint_size(uint64_t value)
{
    int n = 1;

    while (value >>= 7)
        n++;
    return n;
}

/* Encodes value in n bytes, which are enough; a varint in just so many. */
static void put_length(const struct encoding *e, unsigned char *p, int n,
                       uint64_t value)
{
    for (int i = 0; i < n; i++) {
        if (e->bytes) {
            p[e->little ? i : n - 1 - i] = (unsigned char)value;
            value >>= 8;
        } else {
            p[i] = (unsigned char)((value & 0x7f) | (i < n - 1 ? 0x80 : 0));
            value >>= 7;
        }
    }
}

/* Writes the length of a payload into p, which has VARINT_MAX bytes.  Returns
   how many it takes, or TCPX_ETOOLONG. */
static int put_head(const struct shape *shape, unsigned char *p, uint64_t len)
{
    const struct encoding *e = &shape->length;
    uint64_t own = 0;
    int n = e->bytes;

    if (len > shape->max)
        return TCPX_ETOOLONG;
    if (n == 0) {
        /* A length that counts its own bytes may need one more for that. */
        n = varint_size(len);
        if (shape->counts_itself)
            n = varint_size(len + (uint64_t)n);
    }
    if (shape->counts_itself)
        own = (uint64_t)n;
    if (e->bytes && e->bytes < 8 && (len + own) >> (8 * e->bytes))
        return TCPX_ETOOLONG;
    put_length(e, p, n, len + own);
    return n;
}

static TCPX__COLD int refuse_length(const tcpx_conn *c, int err,
                                    const struct shape *shape, uint64_t len)
{
    tcpx__conn_fail(c, err, "write_frame");
    if (len > shape->max)
        tcpx__fail_detail("a frame of %llu bytes; at most %llu are sent",
                          (unsigned long long)len,
                          (unsigned long long)shape->max);
    else
        tcpx__fail_detail("a frame of %llu bytes, and a length of %d",
                          (unsigned long long)len, shape->length.bytes);
    return err;
}

int tcpx_write_frame(tcpx_conn *c, const tcpx_frame *format, const void *buf,
                     size_t len, size_t *done, tcpx_time deadline)
{
    unsigned char field[VARINT_MAX];
    struct tcpx__message m = {{{field, 0}, {(void *)(uintptr_t)buf, len}},
                              NULL};
    struct shape shape = {.max = 0};
    size_t sent = 0;
    int err;
    int n;

    if (done)
        *done = 0;
    if (!c || (!buf && len) || len > SSIZE_MAX)
        return tcpx__buffer_refuse("write_frame", c, buf, len);
    err = get_shape(&shape, format, LONGEST_WRITTEN, "write_frame");
    if (err)
        return err;
    n = put_head(&shape, field, len);
    if (n < 0)
        return refuse_length(c, n, &shape, len);
    m.part[0].iov_len = (size_t)n;
    err = tcpx__write_begin(c, deadline, "write_frame");
    if (err)
        return err;
    err = tcpx__message_send(c, &m, &sent, deadline);
    if (done)
        *done = sent;
    return (int)tcpx__write_end(c, err, "write_frame");
}
