/* SPDX-License-Identifier: MIT */
/*
 * endpoint.c - the binary address of one end of a connection, and its text.
 */
#include "net/endpoint.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <tcpx/error.h>

#include "base/sys.h"
#include "net/address.h"
#include "net/ip.h"
#include "net/text.h"

#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)

/* An IPv4 address in IPv6 form is its last four bytes. */
static const uint8_t *mapped(const struct sockaddr_in6 *in6)
{
    return IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ? &in6->sin6_addr.s6_addr[12]
                                                 : NULL;
}

static size_t put_ip4(char *text, size_t size, const uint8_t *bytes,
                      in_port_t port)
{
    char ip[TCPX__IP4_TEXT];

    (void)tcpx__ip4_format(ip, bytes);
    return (size_t)snprintf(text, size, "%s:%u", ip, (unsigned)ntohs(port));
}

static size_t put_ip6(char *text, size_t size, const struct sockaddr_in6 *in6)
{
    char ip[TCPX__IP6_TEXT], zone[IF_NAMESIZE + 1] = "";

    if (mapped(in6))
        return put_ip4(text, size, mapped(in6), in6->sin6_port);

    (void)tcpx__ip6_format(ip, in6->sin6_addr.s6_addr);
    if (in6->sin6_scope_id) {
        zone[0] = '%';
        if (tcpx__sys_if_indextoname(in6->sin6_scope_id, zone + 1) < 0)
            (void)snprintf(zone, sizeof(zone), "%%%u",
                           (unsigned)in6->sin6_scope_id);
    }
    return (size_t)snprintf(text, size, "[%s%s]:%u", ip, zone,
                            (unsigned)ntohs(in6->sin6_port));
}

static size_t put_unix(char *text, size_t size, const struct sockaddr_un *un,
                       socklen_t len)
{
    size_t n = len > PATH_OFFSET ? len - PATH_OFFSET : 0;

    if (n > sizeof(un->sun_path))
        n = sizeof(un->sun_path);
    memcpy(text, "unix:@", 6);
    if (n > 0 && !un->sun_path[0])
        return 6 + tcpx__text_show(text + 6, size - 6, un->sun_path + 1, n - 1);

    return 5 + tcpx__text_show(text + 5, size - 5, un->sun_path,
                               strnlen(un->sun_path, n));
}

ssize_t tcpx__endpoint_format(const struct sockaddr *sa, socklen_t len,
                              char *buf, size_t cap)
{
    char text[TCPX__ENDPOINT_TEXT];
    struct tcpx__endpoint e;
    size_t n;

    tcpx__endpoint_set(&e, sa, len);
    switch (e.sa.sa_family) {
    case AF_INET:
        n = put_ip4(text, sizeof(text), (const uint8_t *)&e.in.sin_addr,
                    e.in.sin_port);
        break;
    case AF_INET6:
        n = put_ip6(text, sizeof(text), &e.in6);
        break;
    case AF_UNIX:
    case AF_UNSPEC: /* what accept(2) leaves of a client without a name */
        n = put_unix(text, sizeof(text), &e.un, e.len);
        break;
    default:
        n = (size_t)snprintf(text, sizeof(text), "family:%d",
                             (int)e.sa.sa_family);
    }

    if (n >= cap)
        return TCPX_ETOOLONG;
    memcpy(buf, text, n + 1);
    return (ssize_t)n;
}

/* The index of a zone: an interface's name, or its number. */
static int zone_index(const char *zone, uint32_t *out)
{
    char name[IF_NAMESIZE];
    int n = tcpx__sys_if_nametoindex(zone);
    long index = tcpx__decimal(zone, strlen(zone), INT_MAX);

    /* A name wins over a number, for an interface may be called "7". */
    if (n < 0) {
        if (index < 1 || tcpx__sys_if_indextoname((unsigned)index, name) < 0)
            return -ENODEV;
        n = (int)index;
    }

    *out = (uint32_t)n;
    return 0;
}

static int of_ip6(struct tcpx__endpoint *e, const tcpx_address *a,
                  uint16_t port)
{
    const char *why;

    e->len = sizeof(e->in6);
    e->in6.sin6_family = AF_INET6;
    e->in6.sin6_port = htons(port);
    if (tcpx__ip6_parse(e->in6.sin6_addr.s6_addr, a->host,
                        a->host + strlen(a->host), &why))
        return -EINVAL;

    return *a->zone ? zone_index(a->zone, &e->in6.sin6_scope_id) : 0;
}

static int of_ip4(struct tcpx__endpoint *e, const tcpx_address *a,
                  uint16_t port)
{
    const char *why;

    e->len = sizeof(e->in);
    e->in.sin_family = AF_INET;
    e->in.sin_port = htons(port);
    if (tcpx__ip4_parse((uint8_t *)&e->in.sin_addr, a->host,
                        a->host + strlen(a->host), &why))
        return -EINVAL;

    return 0;
}

/* An abstract name is as long as its socklen says; a path ends with NUL. */
static int of_unix(struct tcpx__endpoint *e, const tcpx_address *a)
{
    int abstract = a->kind == TCPX_ADDRESS_ABSTRACT;
    size_t n = strlen(a->host);

    if (n == 0 || n > TCPX__UNIX_MAX)
        return -EINVAL;

    e->un.sun_family = AF_UNIX;
    memcpy(e->un.sun_path + abstract, a->host, n);
    e->len = (socklen_t)(PATH_OFFSET + n + 1);
    return 0;
}

int tcpx__endpoint_of(struct tcpx__endpoint *out, const tcpx_address *a,
                      uint16_t port)
{
    struct tcpx__endpoint e;
    int err = -EINVAL;

    memset(&e, 0, sizeof(e));
    if (a->kind == TCPX_ADDRESS_IPV4)
        err = of_ip4(&e, a, port);
    else if (a->kind == TCPX_ADDRESS_IPV6)
        err = of_ip6(&e, a, port);
    else if (a->kind == TCPX_ADDRESS_UNIX || a->kind == TCPX_ADDRESS_ABSTRACT)
        err = of_unix(&e, a);
    if (err == 0)
        *out = e;

    return err;
}

void tcpx__endpoint_set(struct tcpx__endpoint *out, const struct sockaddr *sa,
                        socklen_t len)
{
    memset(out, 0, sizeof(*out));
    out->len = len < sizeof(out->ss) ? len : sizeof(out->ss);
    memcpy(&out->ss, sa, out->len);
}

void tcpx__endpoint_unmap(struct tcpx__endpoint *e)
{
    struct tcpx__endpoint plain;

    if (e->sa.sa_family != AF_INET6 || !mapped(&e->in6))
        return;

    memset(&plain, 0, sizeof(plain));
    plain.len = sizeof(plain.in);
    plain.in.sin_family = AF_INET;
    plain.in.sin_port = e->in6.sin6_port;
    memcpy(&plain.in.sin_addr, mapped(&e->in6), 4);
    *e = plain;
}

uint16_t tcpx__endpoint_port(const struct tcpx__endpoint *e)
{
    if (e->sa.sa_family == AF_INET)
        return ntohs(e->in.sin_port);

    return e->sa.sa_family == AF_INET6 ? ntohs(e->in6.sin6_port) : 0;
}

void tcpx__endpoint_set_port(struct tcpx__endpoint *e, uint16_t port)
{
    if (e->sa.sa_family == AF_INET)
        e->in.sin_port = htons(port);
    else if (e->sa.sa_family == AF_INET6)
        e->in6.sin6_port = htons(port);
}

int tcpx__endpoint_equal(const struct tcpx__endpoint *a,
                         const struct tcpx__endpoint *b)
{
    if (a->sa.sa_family != b->sa.sa_family)
        return 0;
    if (a->sa.sa_family == AF_INET)
        return a->in.sin_port == b->in.sin_port &&
               a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    if (a->sa.sa_family == AF_INET6)
        return a->in6.sin6_port == b->in6.sin6_port &&
               a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
               memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0;

    return a->len == b->len && memcmp(&a->ss, &b->ss, a->len) == 0;
}
