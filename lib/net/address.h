/* SPDX-License-Identifier: MIT */
/*
 * address.h - what the parser and the formatter of addresses share.
 */
#ifndef TCPX_NET_ADDRESS_H
#define TCPX_NET_ADDRESS_H

#include <tcpx/address.h>

/* The longest text of an address, with its NUL. */
#define TCPX__ADDRESS_TEXT 320

/* Room for an address as an error message shows it. */
#define TCPX__ADDRESS_SHOWN 96

/* Bytes of a socket's path or abstract name: sun_path less one, for NUL. */
#define TCPX__UNIX_MAX 107

/* The first fault of a text, from the left. */
struct tcpx__address_fault {
    size_t column; /* in bytes, from 1 */
    char what[80];
};

/* tcpx_address_parse() that records nothing. */
int tcpx__address_scan(tcpx_address *out, const char *text,
                       struct tcpx__address_fault *fault);

/*
 * Parses a local address to connect from: a numeric one, with or without a
 * port, or a port alone (TCPX_ADDRESS_WILDCARD).  Returns 0, or TCPX_EADDRESS
 * with the fault, which is not recorded.
 */
int tcpx__address_scan_local(tcpx_address *out, const char *text,
                             struct tcpx__address_fault *why);

/* The text of an address, in quotes, for an error message. */
void tcpx__address_show(char out[TCPX__ADDRESS_SHOWN], const char *text);

#endif
