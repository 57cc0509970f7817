/* SPDX-License-Identifier: MIT */
/*
 * endpoint.h - the binary address of one end of a connection, and its text.
 */
#ifndef TCPX_NET_ENDPOINT_H
#define TCPX_NET_ENDPOINT_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <tcpx/address.h>

struct tcpx__endpoint {
    socklen_t len;
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sockaddr_storage ss;
    };
};

/* The longest text of an endpoint, with its NUL: a name all of escapes. */
#define TCPX__ENDPOINT_TEXT 448

/*
 * Writes the text of a socket's address into buf, NUL-terminated:
 * "192.0.2.1:80", "[::1]:80", "[fe80::1%eth0]:80", "unix:/path", "unix:@name",
 * "unix:" for a socket without a name.  An IPv4 address in IPv6 form reads as
 * plain IPv4; a zone without a name as its index; bytes that are not fit to be
 * shown as \xNN.  len is what the kernel gave.  Returns the text's length, or
 * TCPX_ETOOLONG if it does not fit.
 */
ssize_t tcpx__endpoint_format(const struct sockaddr *sa, socklen_t len,
                              char *buf, size_t cap);

/*
 * Makes the endpoint of a numeric or Unix address, with that port.  Returns 0;
 * -ENODEV if no interface has the name or number of its zone; -EINVAL for
 * another kind.  Records nothing.
 */
int tcpx__endpoint_of(struct tcpx__endpoint *out, const tcpx_address *a,
                      uint16_t port);

/* Copies what the kernel, or a resolver, gave; at most a sockaddr_storage. */
void tcpx__endpoint_set(struct tcpx__endpoint *out, const struct sockaddr *sa,
                        socklen_t len);

/* Makes AF_INET of an IPv4 address in IPv6 form; others stay. */
void tcpx__endpoint_unmap(struct tcpx__endpoint *e);

/* The port of an IPv4 or IPv6 endpoint, else 0; and how to set it. */
uint16_t tcpx__endpoint_port(const struct tcpx__endpoint *e);
void tcpx__endpoint_set_port(struct tcpx__endpoint *e, uint16_t port);

/* 1 if both are the same place: family, address, port and zone. */
int tcpx__endpoint_equal(const struct tcpx__endpoint *a,
                         const struct tcpx__endpoint *b);

#endif
