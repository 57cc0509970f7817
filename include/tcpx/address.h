/* SPDX-License-Identifier: MIT */
/*
 * address.h - address text, strictly, and the resolver behind names.
 *
 * The forms:
 *
 *     example.org:80          a name, resolved by connect; never by listen
 *     192.0.2.1:80            four decimal numbers, no octal, no short forms
 *     [::1]:80                RFC 4291 text, in the brackets of RFC 3986
 *     [fe80::1%eth0]:80       with a zone (RFC 4007): a name or an index
 *     host:http               a service of services(5) in place of the number
 *     :7000  *:7000           listen: every address of both families
 *     unix:/run/x.sock        a Unix socket by path; at most 107 bytes
 *     unix:@name              a Unix socket in the abstract namespace
 *     fd:3                    listen: a descriptor that the program inherited
 *     systemd:  systemd:name  listen: a socket passed by sd_listen_fds(3)
 *
 * Ports are decimal, 0 to 65535, without sign, blank or leading zero; 0 asks a
 * listener for any free port.
 */
#ifndef TCPX_ADDRESS_H
#define TCPX_ADDRESS_H

#include <tcpx/base.h>

struct sockaddr_storage;

TCPX_BEGIN_DECLS

enum tcpx_address_kind {
    TCPX_ADDRESS_NAME = 1, /* .host is a host name */
    TCPX_ADDRESS_IPV4,     /* .host is numeric */
    TCPX_ADDRESS_IPV6,     /* .host is numeric; .zone may be set */
    TCPX_ADDRESS_WILDCARD, /* .host is empty */
    TCPX_ADDRESS_UNIX,     /* .host is the path */
    TCPX_ADDRESS_ABSTRACT, /* .host is the abstract name, without the @ */
    TCPX_ADDRESS_FD,       /* .port is the descriptor's number */
    TCPX_ADDRESS_SYSTEMD   /* .host is the socket's name, or empty */
};

/*
 * The parts of an address.  A record that the caller owns: 512 bytes, never
 * resized.  Every string ends with NUL.
 */
typedef struct tcpx_address {
    int32_t kind;       /* enum tcpx_address_kind */
    int32_t port;       /* 0 to 65535; -1: .service names it */
    char host[256];     /* at most 253 bytes for a name, RFC 1035 */
    char zone[48];      /* the scope of an IPv6 address, "" for none */
    char service[32];   /* "http"; "" if the port was a number */
    char reserved[168]; /* zero */
} tcpx_address;

/*
 * Takes text apart into *out.  Reads nothing but the text: no lookup, no file,
 * no check that a zone, path or descriptor exists.
 *
 * Returns 0; TCPX_EADDRESS if the text is malformed, and tcpx_errmsg() then
 * names the fault and its column, counted in bytes from 1; -EINVAL if an
 * argument is NULL.
 */
TCPX_API int tcpx_address_parse(tcpx_address *out, const char *text);

/*
 * Writes the text of *address into buf, NUL-terminated: IPv6 as RFC 5952 has
 * it, and in brackets.  tcpx_address_parse() of the result gives the same
 * parts again.
 *
 * Returns the text's length; TCPX_ETOOLONG if it does not fit into cap bytes
 * with its NUL; TCPX_EADDRESS if the parts make no address; -EINVAL if an
 * argument is NULL.
 */
TCPX_API ssize_t tcpx_address_format(const tcpx_address *address, char *buf,
                                     size_t cap);

/* One question to a resolver; see tcpx_resolver_set(). */
typedef struct tcpx_lookup tcpx_lookup;

/*
 * A resolver: is asked for the addresses of host in one family, AF_INET or
 * AF_INET6, and must answer exactly once through tcpx_lookup_finish(), during
 * the call or later, from any thread.  host lives until then.  It is called in
 * the task that connects and must not wait there.  A connect asks for both
 * families, AF_INET6 first, each with a lookup of its own.
 */
typedef void tcpx_resolver_fn(tcpx_lookup *lookup, const char *host, int family,
                              void *arg);

/*
 * Replaces the resolver of the process for lookups that start from now on; fn
 * NULL puts the library's own back: getaddrinfo(3) on at most four helper
 * threads, which start when a name needs them, with all signals blocked, and
 * end when none does.  Numeric addresses and "localhost" (RFC 6761) never ask
 * a resolver.  Thread-safe; arg must outlive every lookup that was started with
 * it.
 */
TCPX_API void tcpx_resolver_set(tcpx_resolver_fn *fn, void *arg);

/*
 * Answers a lookup: err 0 and n addresses, in the order in which they are to be
 * tried; the library copies them, ignores their ports, and leaves out those of
 * another family, repeated ones, and those after the first 1024.  Or a negative
 * error: TCPX_ERESOLVE if there is no such name, -EAGAIN if the server did not
 * answer and a later try may succeed, or another -errno.  n 0 with err 0 means
 * that the name has no address in this family.  The lookup is gone afterwards,
 * also where the connect that asked has long ended at its deadline.  Safe from
 * any thread, not from a signal handler.
 */
TCPX_API void tcpx_lookup_finish(tcpx_lookup *lookup, int err,
                                 const struct sockaddr_storage *addresses,
                                 size_t n);

/*
 * 1 once nobody waits for the answer any more, so that a resolver may give up
 * early; it must call tcpx_lookup_finish() all the same.
 */
TCPX_API int tcpx_lookup_is_abandoned(const tcpx_lookup *lookup);

TCPX_END_DECLS

#endif
