/* SPDX-License-Identifier: MIT */
/*
 * line.c - reading up to a byte: lines, and whatever else ends by one.
 *
 * A search goes on where the last one for the same byte stopped, so that a peer
 * who sends byte by byte costs no more than one who sends all at once.  Nothing
 * is taken before the whole is there.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include "net/conn.h"

/* Searches the buffered bytes [from, end).  Returns the number of bytes up to
   and with the delimiter, counted from the first buffered one; 0: none. */
static size_t search(const tcpx_conn *c, int delimiter, size_t from, size_t end)
{
    const unsigned char *data;
    const unsigned char *at;

    if (from >= end)
        return 0;
    data = tcpx__conn_data(c);
    at = memchr(data + from, delimiter, end - from);
    return at ? (size_t)(at - data) + 1 : 0;
}

/*
 * Receives until the delimiter is among the first `limit` bytes; *len is then
 * the number of bytes up to and with it.  Takes nothing.
 */
static int find(tcpx_conn *c, int delimiter, size_t limit, tcpx_time deadline,
                size_t *len)
{
    size_t looked = tcpx__conn_search_from(c, delimiter);
    ssize_t got = 0;

    for (;;) {
        size_t held = tcpx__conn_buffered(c);
        size_t end = held < limit ? held : limit;

        *len = search(c, delimiter, looked, end);
        if (*len)
            return 0;
        if (looked < end)
            looked = end;
        if (got > 0 && held < limit)
            got = tcpx__conn_go_on(c, deadline);
        if (got >= 0)
            got = tcpx__conn_fill(c, limit, deadline);
        if (got <= 0)
            return tcpx__conn_give_up(c, delimiter, looked, got);
    }
}

/* Finds the end of a line of at most cap - 1 bytes, its end not counted. */
static int find_line(tcpx_conn *c, size_t cap, tcpx_time deadline, size_t *len)
{
    int err = find(c, '\n', cap, deadline, len);

    /* The last byte looked at may be the CR of an end that is two bytes. */
    if (err == TCPX_ETOOLONG && tcpx__conn_data(c)[cap - 1] == '\r')
        err = find(c, '\n', cap + 1, deadline, len);
    return err;
}

/* Ends a search in vain for `what`, in words that tell its limit. */
static TCPX__COLD int end_in_vain(tcpx_conn *c, int err, const char *operation,
                                  const char *what, size_t limit)
{
    size_t held = tcpx__conn_buffered(c);

    tcpx__read_end(c, err, operation);
    if (err == TCPX_ETOOLONG)
        tcpx__fail_detail("no %s within %zu bytes", what, limit);
    else if (err == TCPX_ETRUNC)
        tcpx__fail_detail("the stream ended %zu bytes after the last %s", held,
                          what);
    return err;
}

ssize_t tcpx_readline(tcpx_conn *c, char *line, size_t cap, tcpx_time deadline)
{
    size_t len = 0;
    size_t end = 1;
    int err;

    if (!c || !line || cap == 0 || cap > SSIZE_MAX)
        return tcpx__buffer_refuse("readline", c, line, cap);
    err = tcpx__read_begin(c, deadline, "readline");
    if (err)
        return err;
    err = find_line(c, cap, deadline, &len);
    if (err)
        return end_in_vain(c, err, "readline", "end of line", cap - 1);
    if (len > 1 && tcpx__conn_data(c)[len - 2] == '\r')
        end = 2;
    tcpx__conn_take(c, line, len - end);
    tcpx__conn_take(c, NULL, end);
    line[len - end] = '\0';
    return tcpx__read_end(c, (ssize_t)(len - end), "readline");
}

static TCPX__COLD int refuse_delimiter(const char *operation, int delimiter)
{
    return tcpx__fail_because(-EINVAL, operation, NULL,
                              "the delimiter is %d, not in 0 to %d", delimiter,
                              UCHAR_MAX);
}

ssize_t tcpx_read_until(tcpx_conn *c, void *buf, size_t cap, int delimiter,
                        tcpx_time deadline)
{
    size_t len = 0;
    int err;

    if (!c || !buf || cap == 0 || cap > SSIZE_MAX)
        return tcpx__buffer_refuse("read_until", c, buf, cap);
    if (delimiter < 0 || delimiter > UCHAR_MAX)
        return refuse_delimiter("read_until", delimiter);
    err = tcpx__read_begin(c, deadline, "read_until");
    if (err)
        return err;
    err = find(c, delimiter, cap, deadline, &len);
    if (err)
        return end_in_vain(c, err, "read_until", "delimiter", cap);
    tcpx__conn_take(c, buf, len);
    return tcpx__read_end(c, (ssize_t)len, "read_until");
}

/* Drops what it looks at, so that a skip of any length needs no more memory
   than the buffer that is there. */
static int skip(tcpx_conn *c, int delimiter, size_t *done, tcpx_time deadline)
{
    for (;;) {
        size_t looked = tcpx__conn_search_from(c, delimiter);
        size_t held = tcpx__conn_buffered(c);
        size_t len = search(c, delimiter, looked, held);
        ssize_t got;

        if (len) {
            *done += tcpx__conn_take(c, NULL, len);
            return 0;
        }
        *done += tcpx__conn_take(c, NULL, held);
        got = *done ? tcpx__conn_go_on(c, deadline) : 0;
        if (got < 0)
            return (int)got;
        got = tcpx__conn_fill(c, 1, deadline);
        if (got < 0)
            return (int)got;
        if (got == 0)
            return *done ? TCPX_ETRUNC : TCPX_EOF;
    }
}

int tcpx_skip_until(tcpx_conn *c, int delimiter, size_t *done,
                    tcpx_time deadline)
{
    size_t dropped = 0;
    int err;

    if (done)
        *done = 0;
    if (!c)
        return tcpx__refuse("skip_until", "no connection");
    if (delimiter < 0 || delimiter > UCHAR_MAX)
        return refuse_delimiter("skip_until", delimiter);
    err = tcpx__read_begin(c, deadline, "skip_until");
    if (err)
        return err;
    err = skip(c, delimiter, &dropped, deadline);
    if (done)
        *done = dropped;
    return (int)tcpx__read_end(c, err, "skip_until");
}
