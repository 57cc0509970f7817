/* SPDX-License-Identifier: MIT */
/*
 * ip.h - numeric IPv4 and IPv6 addresses, strictly.
 *
 * inet_pton(3) is as strict, but cannot say where the fault lies; inet_ntop(3)
 * departs from RFC 5952 for addresses below ::1:0:0.
 */
#ifndef TCPX_NET_IP_H
#define TCPX_NET_IP_H

#include <stddef.h>
#include <stdint.h>

#define TCPX__IP4_TEXT 16 /* 255.255.255.255 */
#define TCPX__IP6_TEXT 40 /* eight groups of four digits */

/*
 * Parse the bytes from text up to end, which need not be NUL.  Return NULL, or
 * the byte at which the fault lies (perhaps end) with a sentence in *why.
 */
const char *tcpx__ip4_parse(uint8_t out[4], const char *text, const char *end,
                            const char **why);
const char *tcpx__ip6_parse(uint8_t out[16], const char *text, const char *end,
                            const char **why);

/* Write the canonical text, NUL-terminated; return its length. */
size_t tcpx__ip4_format(char out[TCPX__IP4_TEXT], const uint8_t address[4]);
size_t tcpx__ip6_format(char out[TCPX__IP6_TEXT], const uint8_t address[16]);

#endif
