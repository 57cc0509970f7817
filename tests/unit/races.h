/* SPDX-License-Identifier: MIT */
/*
 * races.h - connecting over the fake network, and what came of it.
 */
#ifndef TESTS_UNIT_RACES_H
#define TESTS_UNIT_RACES_H

#include "fakenet.h"

#define MS TCPX_MSEC
#define SIX "2001:db8::1"
#define FOUR "192.0.2.1"

/* Checked fixtures. */
void race_begin(void);
void race_end(void);

/* Connects to "name:80"; the deadline lies so far after race_begin(). */
int race(tcpx_time deadline);
int race_with(tcpx_connect_opts *opts, tcpx_time deadline);

/* The first n addresses of a family, 192.0.2.1 or 2001:db8::1 and on, refuse
   after 1 ms. */
void race_refuse(int family, int n);

/* Asserts that line i of the report is this. */
void ck_line(size_t i, const char *address, int error, tcpx_time start,
             tcpx_time duration);

/* Asserts that the report has n lines. */
void ck_lines(size_t n);

/* Asserts that the report has these addresses: "6.1 4.1 6.2" means 2001:db8::1,
   192.0.2.1, 2001:db8::2. */
void ck_order(const char *expected);

/* So many lines of the report ended like this. */
size_t race_count(int error);

#endif
