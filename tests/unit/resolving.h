/* SPDX-License-Identifier: MIT */
/*
 * resolving.h - what the tests of resolving share.
 */
#ifndef TESTS_UNIT_RESOLVING_H
#define TESTS_UNIT_RESOLVING_H

#include <tcpx.h>
#include "net/resolve.h"

struct tcpx__resolution *start_resolving(const char *text, int family);

/* Waits for the answer as a connect does: parked. */
const struct tcpx__names *await_names(struct tcpx__resolution *r, int family);

/* Asserts that address i of an answer reads so. */
void names_read(const struct tcpx__names *names, size_t i,
                const char *expected);

struct sockaddr_storage ip_address(const char *text, uint16_t port);

/* A resolver that answers 192.0.2.1 or 2001:db8::1, within the call. */
void answer_at_once(tcpx_lookup *lookup, const char *host, int family,
                    void *arg);

#endif
