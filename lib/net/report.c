/* SPDX-License-Identifier: MIT */
/*
 * report.c - what became of each attempt of a connect.
 *
 * Made for every connect, asked for or not: the sentence about a failure comes
 * from it, and a connect costs far more than a few lines in memory.
 */
#include "net/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tcpx/error.h>
#include "base/sys.h"

/* Lines that the text shows; how many more there are is told as a number. */
#define TEXT_LINES 8
#define TEXT_SIZE 2048

#define FIRST_LINES 4

tcpx_connect_report *tcpx__report_new(void)
{
    return tcpx__calloc(sizeof(tcpx_connect_report));
}

void tcpx_connect_report_free(tcpx_connect_report *report)
{
    if (!report)
        return;
    for (size_t i = 0; i < report->n; i++) {
        tcpx__free(report->tried[i].address);
        tcpx__free(report->tried[i].why);
    }
    tcpx__free(report->tried);
    tcpx__free(report);
}

size_t tcpx_connect_report_count(const tcpx_connect_report *report)
{
    return report ? report->n : 0;
}

const tcpx_attempt *tcpx_connect_report_at(const tcpx_connect_report *report,
                                           size_t i)
{
    return report && i < report->n ? &report->tried[i].shown : NULL;
}

static int make_room(tcpx_connect_report *r)
{
    size_t cap = r->cap ? r->cap * 2 : FIRST_LINES;
    struct tcpx__tried *tried;

    if (r->n < r->cap)
        return 0;
    tried = tcpx__realloc(r->tried, cap * sizeof(*tried));
    if (!tried)
        return -ENOMEM;
    r->tried = tried;
    r->cap = cap;
    return 0;
}

/* Puts a new line before line `at`. */
static int insert(tcpx_connect_report *r, size_t at, const char *address)
{
    char *copy = tcpx__strdup(address);
    struct tcpx__tried *line;

    if (!copy || make_room(r)) {
        tcpx__free(copy);
        return -ENOMEM;
    }
    line = &r->tried[at];
    memmove(line + 1, line, (r->n - at) * sizeof(*line));
    memset(line, 0, sizeof(*line));
    line->address = copy;
    line->shown.size = (uint32_t)sizeof(line->shown);
    line->shown.address = copy;
    r->n++;
    return 0;
}

int tcpx__report_begin(tcpx_connect_report *r, const struct tcpx__endpoint *to,
                       tcpx_time start)
{
    char text[TCPX__ENDPOINT_TEXT];

    if (tcpx__endpoint_format(&to->sa, to->len, text, sizeof(text)) < 0)
        text[0] = '\0';
    if (insert(r, r->n, text))
        return -ENOMEM;
    r->tried[r->n - 1].shown.start = start;
    return (int)(r->n - 1);
}

void tcpx__report_end(tcpx_connect_report *r, size_t i, int err,
                      const char *why, tcpx_time end)
{
    struct tcpx__tried *line = &r->tried[i];

    line->shown.error = err;
    line->shown.duration = end - line->shown.start;
    if (why)
        line->why = tcpx__strdup(why); /* without it the code must do */
}

int tcpx__report_lookup(tcpx_connect_report *r, const char *name, int err,
                        const char *why, tcpx_time end)
{
    int rc = insert(r, 0, name);

    if (rc)
        return rc;
    r->tried[0].lookup = 1;
    tcpx__report_end(r, 0, err, why, end);
    return 0;
}

/* ---- In words ---------------------------------------------------------- */

struct text {
    size_t used;
    char at[TEXT_SIZE];
};

static void put(struct text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *format, ...)
{
    size_t room = sizeof(t->at) - t->used;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->at + t->used, room, format, args);
    va_end(args);
    if (n > 0)
        t->used += (size_t)n < room ? (size_t)n : room - 1;
}

static const char *words_of(const struct tcpx__tried *line)
{
    if (line->why)
        return line->why;
    return line->shown.error == TCPX_EDEADLINE
               ? "deadline"
               : tcpx_strerror(line->shown.error);
}

static void put_line(struct text *t, const struct tcpx__tried *line,
                     const char *name)
{
    /* The sentence begins with the name and need not say it again. */
    if (strcmp(line->address, name) != 0)
        put(t, "%s ", line->address);
    else if (line->lookup && !line->why)
        put(t, "name lookup ");
    put(t, "%s after %lld ms", words_of(line),
        (long long)(line->shown.duration / TCPX_MSEC));
}

char *tcpx__report_text(const tcpx_connect_report *r, const char *name)
{
    struct text t;

    if (!r || r->n == 0)
        return NULL;
    t.used = 0;
    for (size_t i = 0; i < r->n && i < TEXT_LINES; i++) {
        if (i > 0)
            put(&t, "; ");
        put_line(&t, &r->tried[i], name);
    }
    if (r->n > TEXT_LINES)
        put(&t, "; and %zu more", r->n - TEXT_LINES);
    if (r->untried)
        put(&t, "; %zu not tried", r->untried);
    return tcpx__strdup(t.at);
}
