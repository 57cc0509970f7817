/* SPDX-License-Identifier: MIT */
/*
 * printf.c - writing formatted text, formatted whole before any of it goes out.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include "net/kept.h"

/* Enough for most; a longer text is formatted twice. */
#define FIRST_SIZE 512

/* One try with that much room.  Returns the text's length, NUL not counted,
   which may be more, or why it cannot be formatted. */
static int format_into(struct tcpx__kept **out, size_t size, const char *format,
                       va_list args)
{
    struct tcpx__kept *text = tcpx__kept_new(size);
    va_list copy;
    int n;

    if (!text)
        return -ENOMEM;
    va_copy(copy, args);
    errno = EINVAL; /* for a C library that does not say why */
    n = vsnprintf((char *)text->data, size, format, copy);
    if (n < 0)
        n = errno == EOVERFLOW || errno == ENOMEM ? -errno : -EINVAL;
    va_end(copy);
    if (n < 0 || (size_t)n >= size) {
        tcpx__free(text);
        return n;
    }
    text->end = (size_t)n;
    *out = text;
    return n;
}

/* The text in memory that can be kept as it is. */
static int format_whole(struct tcpx__kept **out, const char *format,
                        va_list args)
{
    int n = format_into(out, FIRST_SIZE, format, args);

    if (n >= FIRST_SIZE)
        n = format_into(out, (size_t)n + 1, format, args);
    if (n < 0)
        return n;
    return *out ? 0 : -EINVAL; /* an argument grew in between */
}

static int send_text(tcpx_conn *c, struct tcpx__kept *text, size_t *done,
                     tcpx_time deadline)
{
    struct tcpx__message m = {{{text->data, text->end}, {NULL, 0}}, text};

    return tcpx__message_send(c, &m, done, deadline);
}

int tcpx_vprintf(tcpx_conn *c, size_t *done, tcpx_time deadline,
                 const char *format, va_list args)
{
    struct tcpx__kept *text = NULL;
    size_t sent = 0;
    int failed;
    int err;

    if (done)
        *done = 0;
    if (!c || !format)
        return tcpx__refuse("printf", c ? "no format" : "no connection");
    failed = format_whole(&text, format, args);
    if (!failed && text->end == 0) {
        tcpx__free(text);
        return 0;
    }
    err = tcpx__write_begin(c, deadline, "printf");
    if (err) {
        tcpx__free(text);
        return err;
    }
    if (failed)
        tcpx__conn_cut(c, failed); /* what was to be said was not */
    else
        failed = send_text(c, text, &sent, deadline);
    if (done)
        *done = sent;
    return (int)tcpx__write_end(c, failed, "printf");
}

int tcpx_printf(tcpx_conn *c, size_t *done, tcpx_time deadline,
                const char *format, ...)
{
    va_list args;
    int err;

    va_start(args, format);
    err = tcpx_vprintf(c, done, deadline, format, args);
    va_end(args);
    return err;
}
