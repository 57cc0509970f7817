/* SPDX-License-Identifier: MIT */
/*
 * listen_inet.c - listening sockets of IPv4 and IPv6.
 *
 * ":port" is one IPv6 socket that takes both families, its IPV6_V6ONLY always
 * set, because the system's default is the administrator's; where IPv6 is off
 * it is an IPv4 socket.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <tcpx/error.h>

#include "base/sys.h"
#include "base/task.h"
#include "base/util.h"
#include "net/listener.h"
#include "net/resolve.h"

#define PRIVILEGED_PORTS 1024

static int fail(const struct tcpx__listen_plan *plan, int err,
                const char *detail)
{
    return tcpx__fail_because(err, plan->operation, plan->shown, "%s%s%s",
                              tcpx_strerror(err), *detail ? "; " : "", detail);
}

static int is_link_local(const struct tcpx__endpoint *local)
{
    return local->sa.sa_family == AF_INET6 &&
           IN6_IS_ADDR_LINKLOCAL(&local->in6.sin6_addr);
}

/* Records why a bind or listen failed, with what can be done about it. */
static int fail_bind(const struct tcpx__listen_plan *plan, int err,
                     const struct tcpx__endpoint *local)
{
    unsigned port = tcpx__endpoint_port(local);
    char detail[96] = "";

    if (err == -EADDRINUSE && port)
        snprintf(detail, sizeof(detail), "ss -tlnp 'sport = :%u' shows by whom",
                 port);
    else if (err == -EACCES && port && port < PRIVILEGED_PORTS)
        snprintf(detail, sizeof(detail),
                 "port %u needs root or CAP_NET_BIND_SERVICE", port);
    else if (err == -EINVAL && is_link_local(local))
        snprintf(detail, sizeof(detail),
                 "a link-local address needs its interface: [fe80::1%%eth0]");
    return fail(plan, err, detail);
}

static int fail_family(const struct tcpx__listen_plan *plan, int err,
                       int family)
{
    char detail[64] = "";

    if (err == -EAFNOSUPPORT)
        snprintf(detail, sizeof(detail), "%s is off on this host",
                 family == AF_INET6 ? "IPv6" : "IPv4");
    return fail(plan, err, detail);
}

static int bind_to_interface(const struct tcpx__listen_plan *plan, int fd)
{
    const char *name = plan->opts.interface;
    char detail[64] = "";
    int err;

    if (!name)
        return 0;
    err = tcpx__sys_setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name,
                               (socklen_t)strlen(name) + 1);
    if (!err)
        return 0;
    if (err == -ENODEV)
        snprintf(detail, sizeof(detail), "no interface is called so");
    else if (err == -EPERM)
        snprintf(detail, sizeof(detail), "it needs CAP_NET_RAW");
    return tcpx__fail_because(err, plan->operation, plan->shown,
                              "interface %s: %s%s%s", name, tcpx_strerror(err),
                              *detail ? "; " : "", detail);
}

/* The options that shape the listener itself. */
static int shape(const struct tcpx__listen_plan *plan, int fd, int family)
{
    const tcpx_listen_opts *opts = &plan->opts;
    const struct {
        int level;
        int name;
        int value;
        int wanted;
    } options[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1, !opts->no_reuse_address},
        {SOL_SOCKET, SO_REUSEPORT, 1, opts->reuse_port},
        {IPPROTO_IPV6, IPV6_V6ONLY, opts->v6_only, family == AF_INET6},
        {IPPROTO_TCP, TCP_DEFER_ACCEPT, opts->defer_accept,
         opts->defer_accept != 0},
        {IPPROTO_TCP, TCP_FASTOPEN, opts->fastopen, opts->fastopen != 0},
    };

    for (size_t i = 0; i < TCPX__COUNT(options); i++) {
        int err;

        if (!options[i].wanted)
            continue;
        err = tcpx__sys_setsockopt_int(fd, options[i].level, options[i].name,
                                       options[i].value);
        if (err)
            return fail(plan, err, "");
    }
    return bind_to_interface(plan, fd);
}

/* Two sockets with SO_REUSEADDR may both be bound; then only listen(2) says
   that the address is taken. */
static int bind_and_listen(const struct tcpx__listen_plan *plan, int fd,
                           const struct tcpx__endpoint *local)
{
    int err = tcpx__sys_bind(fd, &local->sa, local->len);

    if (!err)
        err = tcpx__sys_listen(fd, tcpx__listen_backlog(plan));
    return err ? fail_bind(plan, err, local) : 0;
}

static int listen_at(const struct tcpx__listen_plan *plan,
                     const struct tcpx__endpoint *local)
{
    int family = local->sa.sa_family;
    int fd = tcpx__tuning_socket(family, plan->opts.mptcp, &plan->tuning);
    int err;

    if (fd < 0)
        return fail_family(plan, fd, family);
    err = shape(plan, fd, family);
    if (!err)
        err = tcpx__listen_control(plan, fd);
    if (!err)
        err = bind_and_listen(plan, fd, local);
    if (err) {
        tcpx__sys_close(fd);
        return err;
    }
    return fd;
}

/* Whether err says that a family, or its loopback address, is off here. */
static int is_off(int err)
{
    return err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL;
}

static int to_endpoint(struct tcpx__endpoint *out, int kind, const char *host,
                       uint16_t port)
{
    tcpx_address numeric;

    memset(&numeric, 0, sizeof(numeric));
    numeric.kind = kind;
    snprintf(numeric.host, sizeof(numeric.host), "%s", host);
    return tcpx__endpoint_of(out, &numeric, port);
}

/* Listens on the first of two numeric hosts whose family this host has. */
static int listen_either(const struct tcpx__listen_plan *plan, uint16_t port,
                         const int kind[2], const char *const host[2])
{
    int fd = -EAFNOSUPPORT;

    for (int i = 0; i < 2 && is_off(fd); i++) {
        struct tcpx__endpoint local;
        int err = to_endpoint(&local, kind[i], host[i], port);

        fd = err ? fail(plan, err, "") : listen_at(plan, &local);
    }
    return fd;
}

static int listen_wildcard(const struct tcpx__listen_plan *plan, uint16_t port)
{
    static const int kind[2] = {TCPX_ADDRESS_IPV6, TCPX_ADDRESS_IPV4};
    static const char *const host[2] = {"::", "0.0.0.0"};
    struct tcpx__endpoint any6;
    int err;

    if (!plan->opts.v6_only)
        return listen_either(plan, port, kind, host);
    err = to_endpoint(&any6, kind[0], host[0], port);
    return err ? fail(plan, err, "") : listen_at(plan, &any6);
}

static int listen_localhost(const struct tcpx__listen_plan *plan, uint16_t port)
{
    static const int kind[2] = {TCPX_ADDRESS_IPV4, TCPX_ADDRESS_IPV6};
    static const char *const host[2] = {"127.0.0.1", "::1"};

    return listen_either(plan, port, kind, host);
}

static int listen_numeric(const struct tcpx__listen_plan *plan,
                          const tcpx_address *address, uint16_t port)
{
    struct tcpx__endpoint local;
    int err = tcpx__endpoint_of(&local, address, port);

    if (err == -ENODEV)
        return tcpx__fail_because(err, plan->operation, plan->shown,
                                  "no interface is called \"%s\"",
                                  address->zone);
    if (err)
        return fail(plan, err, "");
    tcpx__endpoint_unmap(&local);
    return listen_at(plan, &local);
}

int tcpx__listen_inet(const struct tcpx__listen_plan *plan,
                      const tcpx_address *address)
{
    char detail[80] = "";
    uint16_t port = 0;
    int err = tcpx__resolve_port(address, &port, detail);

    if (err)
        return tcpx__fail_because(err, plan->operation, plan->shown, "%s",
                                  *detail ? detail : tcpx_strerror(err));
    switch (address->kind) {
    case TCPX_ADDRESS_WILDCARD:
        return listen_wildcard(plan, port);
    case TCPX_ADDRESS_NAME:
        return listen_localhost(plan, port);
    default:
        return listen_numeric(plan, address, port);
    }
}
