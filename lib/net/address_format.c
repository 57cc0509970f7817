/* SPDX-License-Identifier: MIT */
/*
 * address_format.c - the parts of an address into text.
 */
#include "net/address.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tcpx/error.h>

#include "base/task.h"

/* Puts the parts together, whatever they are; returns the text's length. */
static size_t join(char text[TCPX__ADDRESS_TEXT], const tcpx_address *a)
{
    const char *before = "", *after = "", *mark = *a->zone ? "%" : "";
    char port[16] = "";
    int n;

    switch (a->kind) {
    case TCPX_ADDRESS_UNIX:
    case TCPX_ADDRESS_ABSTRACT:
    case TCPX_ADDRESS_SYSTEMD:
        before = a->kind == TCPX_ADDRESS_UNIX       ? "unix:"
                 : a->kind == TCPX_ADDRESS_ABSTRACT ? "unix:@"
                                                    : "systemd:";
        break;
    case TCPX_ADDRESS_FD:
        (void)snprintf(port, sizeof(port), "fd:%d", (int)a->port);
        break;
    default:
        if (a->kind == TCPX_ADDRESS_IPV6) {
            before = "[";
            after = "]";
        }
        (void)snprintf(port, sizeof(port), a->port == -1 ? ":" : ":%d",
                       (int)a->port);
    }

    n = snprintf(text, TCPX__ADDRESS_TEXT, "%s%.*s%s%.*s%s%s%.*s", before,
                 (int)strnlen(a->host, sizeof(a->host)), a->host, mark,
                 (int)strnlen(a->zone, sizeof(a->zone)), a->zone, after, port,
                 (int)strnlen(a->service, sizeof(a->service)), a->service);
    return n < TCPX__ADDRESS_TEXT ? (size_t)n : TCPX__ADDRESS_TEXT - 1;
}

/* IPv6 text is left out: the parser writes it in its own, canonical way. */
static int same(const tcpx_address *a, const tcpx_address *b)
{
    return a->kind == b->kind && a->port == b->port &&
           (a->kind == TCPX_ADDRESS_IPV6 ||
            strncmp(a->host, b->host, sizeof(a->host)) == 0) &&
           strncmp(a->zone, b->zone, sizeof(a->zone)) == 0 &&
           strncmp(a->service, b->service, sizeof(a->service)) == 0;
}

/*
 * The parser judges the parts: what it does not read back as the same address,
 * such as a host that is called "unix" or holds a colon, is none.
 */
ssize_t tcpx_address_format(const tcpx_address *address, char *buf, size_t cap)
{
    char text[TCPX__ADDRESS_TEXT], shown[TCPX__ADDRESS_SHOWN];
    struct tcpx__address_fault why;
    tcpx_address again;
    size_t len;

    if (!address || !buf)
        return tcpx__refuse("address", buf ? "no parts" : "no buffer");

    (void)join(text, address);
    tcpx__address_show(shown, text);
    if (tcpx__address_scan(&again, text, &why) < 0 || !same(address, &again))
        return tcpx__fail_because(TCPX_EADDRESS, "address", shown,
                                  "its parts make no address");

    len = join(text, &again);
    if (len >= cap)
        return tcpx__fail_because(TCPX_ETOOLONG, "address", shown,
                                  "its text takes %zu bytes", len + 1);

    memcpy(buf, text, len + 1);
    return (ssize_t)len;
}
