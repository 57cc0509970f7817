/* SPDX-License-Identifier: MIT */
/*
 * resolving.c - what the tests of resolving share.
 */
#include "unit/resolving.h"

#include <arpa/inet.h>
#include <string.h>
#include "io/world.h"
#include "support.h"

struct tcpx__resolution *start_resolving(const char *text, int family)
{
    tcpx_address a;
    struct tcpx__resolution *r = NULL;

    ck_ok(tcpx_address_parse(&a, text));
    ck_ok(tcpx__resolve_start(&r, &a, family));
    return r;
}

/* Waits for the answer as a connect does: parked. */
const struct tcpx__names *await_names(struct tcpx__resolution *r, int family)
{
    tcpx_time deadline = soon();

    while (!tcpx__resolution_names(r, family))
        ck_ok(tcpx__world()->park(deadline));
    return tcpx__resolution_names(r, family);
}

void names_read(const struct tcpx__names *names, size_t i, const char *expected)
{
    char text[TCPX__ENDPOINT_TEXT];

    ck_assert_uint_lt(i, names->n);
    ck_ok(tcpx__endpoint_format(&names->at[i].sa, names->at[i].len, text,
                                sizeof(text)));
    ck_assert_str_eq(text, expected);
}

struct sockaddr_storage ip_address(const char *text, uint16_t port)
{
    union {
        struct sockaddr_storage ss;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } sa = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}};

    if (inet_pton(AF_INET, text, &sa.in.sin_addr) == 1)
        return sa.ss;
    memset(&sa, 0, sizeof(sa));
    sa.in6.sin6_family = AF_INET6;
    sa.in6.sin6_port = htons(port);
    ck_assert_int_eq(inet_pton(AF_INET6, text, &sa.in6.sin6_addr), 1);
    return sa.ss;
}

void answer_at_once(tcpx_lookup *lookup, const char *host, int family,
                    void *arg)
{
    struct sockaddr_storage one =
        ip_address(family == AF_INET ? "192.0.2.1" : "2001:db8::1", 0);

    (void)host;
    (void)arg;
    tcpx_lookup_finish(lookup, 0, &one, 1);
}
