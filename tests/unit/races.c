/* SPDX-License-Identifier: MIT */
/*
 * races.c - connecting over the fake network, and what came of it.
 */
#include "races.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The last race. */
static tcpx_connect_report *report;

void race_begin(void)
{
    fakenet_begin();
}

void race_end(void)
{
    tcpx_connect_report_free(report);
    report = NULL;
    fakenet_end();
}

int race_with(tcpx_connect_opts *opts, tcpx_time deadline)
{
    tcpx_conn *c = NULL;
    int err;

    opts->report = &report;
    tcpx_connect_report_free(report);
    report = NULL;
    err = tcpx_connect(&c, "name:80", opts, fakenet_at(deadline));
    ck_assert(!err == !!c);
    tcpx_abort(c);
    return err;
}

int race(tcpx_time deadline)
{
    tcpx_connect_opts opts = tcpx_connect_defaults();

    return race_with(&opts, deadline);
}

void ck_line(size_t i, const char *address, int error, tcpx_time start,
             tcpx_time duration)
{
    const tcpx_attempt *a = tcpx_connect_report_at(report, i);

    ck_assert_msg(a != NULL, "the report has %zu lines, not line %zu",
                  tcpx_connect_report_count(report), i);
    ck_assert_msg(!strcmp(a->address, address) && a->error == error &&
                      a->start == start && a->duration == duration,
                  "line %zu is %s, %s, %lld us + %lld us", i, a->address,
                  tcpx_errname(a->error), (long long)(a->start / 1000),
                  (long long)(a->duration / 1000));
    ck_assert_uint_eq(a->size, sizeof(*a));
}

void ck_lines(size_t n)
{
    ck_assert_uint_eq(tcpx_connect_report_count(report), n);
    ck_assert_ptr_null(tcpx_connect_report_at(report, n));
}

void race_refuse(int family, int n)
{
    char address[64];

    for (int i = 1; i <= n; i++) {
        snprintf(address, sizeof(address),
                 family == AF_INET ? "192.0.2.%d" : "2001:db8::%x", i);
        fakenet_host(address, -ECONNREFUSED, MS);
    }
}

void ck_order(const char *expected)
{
    char got[512] = "";
    size_t used = 0;

    for (size_t i = 0; i < tcpx_connect_report_count(report); i++) {
        const char *address = tcpx_connect_report_at(report, i)->address;
        int six = address[0] == '[';
        unsigned last =
            six ? (unsigned)strtoul(strstr(address, "::") + 2, NULL, 16)
                : (unsigned)strtoul(strrchr(address, '.') + 1, NULL, 10);

        used += (size_t)snprintf(got + used, sizeof(got) - used, "%s%d.%u",
                                 i ? " " : "", six ? 6 : 4, last);
    }
    ck_assert_str_eq(got, expected);
}

size_t race_count(int error)
{
    size_t n = 0;

    for (size_t i = 0; i < tcpx_connect_report_count(report); i++)
        n += tcpx_connect_report_at(report, i)->error == error;
    return n;
}
