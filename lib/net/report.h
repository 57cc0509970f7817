/* SPDX-License-Identifier: MIT */
/*
 * report.h - what became of each attempt of a connect.
 */
#ifndef TCPX_NET_REPORT_H
#define TCPX_NET_REPORT_H

#include <stddef.h>
#include <tcpx/connect.h>
#include "net/endpoint.h"

/* One line of a report. */
struct tcpx__tried {
    tcpx_attempt shown;
    char *address; /* owned; what shown.address is */
    char *why;     /* owned; the error in words, NULL where the code says it */
    int lookup;    /* of a name, in place of an attempt */
};

struct tcpx_connect_report {
    size_t n;
    size_t cap;
    size_t untried; /* addresses that no attempt was made for */
    struct tcpx__tried *tried;
};

/* An empty report; NULL if memory ran out. */
tcpx_connect_report *tcpx__report_new(void);

/* Adds an attempt that began at `start`, counted from the connect's begin;
   returns its number, or -ENOMEM. */
int tcpx__report_begin(tcpx_connect_report *r, const struct tcpx__endpoint *to,
                       tcpx_time start);

/* Says how attempt i ended, and when; why may be NULL and is copied. */
void tcpx__report_end(tcpx_connect_report *r, size_t i, int err,
                      const char *why, tcpx_time end);

/* Puts a lookup of `name` that failed before what is there; 0 or -ENOMEM. */
int tcpx__report_lookup(tcpx_connect_report *r, const char *name, int err,
                        const char *why, tcpx_time end);

/*
 * The report in one line, to be freed by tcpx__free(): every attempt's address,
 * unless it is `name`, its reason and duration, up to a bound.  NULL if there
 * is nothing to tell, or if memory ran out.
 */
char *tcpx__report_text(const tcpx_connect_report *r, const char *name);

#endif
