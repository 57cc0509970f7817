/* SPDX-License-Identifier: MIT */
/*
 * listen.c - from an address, or a descriptor, to a listener.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <tcpx/error.h>

#include "base/sys.h"
#include "base/util.h"
#include "io/world.h"
#include "net/activation.h"
#include "net/listener.h"
#include "net/opts.h"
#include "net/text.h"

/* Room for the longest address that is well-formed, a Unix socket's. */
#define SHOWN 128

#define SOMAXCONN_FILE "/proc/sys/net/core/somaxconn"

static int check_not_negative(const struct tcpx__listen_plan *plan,
                              int32_t value, const char *member)
{
    if (value >= 0)
        return 0;
    return tcpx__fail_because(-EINVAL, plan->operation, plan->shown,
                              "%s is %d, less than none", member, (int)value);
}

static int check_interface(const struct tcpx__listen_plan *plan)
{
    const char *name = plan->opts.interface;

    if (!name)
        return 0;
    if (!*name)
        return tcpx__fail_because(-EINVAL, plan->operation, plan->shown,
                                  "interface is an empty name");
    /* The kernel would cut the name, and bind to whatever is called so. */
    if (strlen(name) >= IFNAMSIZ)
        return tcpx__fail_because(-ENODEV, plan->operation, plan->shown,
                                  "no interface has a name that long");
    return 0;
}

static int check_opts(const struct tcpx__listen_plan *plan)
{
    const tcpx_listen_opts *opts = &plan->opts;
    const struct {
        const char *member;
        int32_t value;
    } switches[] = {
        {"reuse_port", opts->reuse_port},
        {"no_reuse_address", opts->no_reuse_address},
        {"v6_only", opts->v6_only},
        {"keep_socket_file", opts->keep_socket_file},
        {"mptcp", opts->mptcp},
    };
    int err = check_not_negative(plan, opts->backlog, "backlog");

    for (size_t i = 0; i < TCPX__COUNT(switches) && !err; i++)
        err = tcpx__switch_check(switches[i].value, switches[i].member,
                                 plan->operation, plan->shown);
    if (!err)
        err = check_not_negative(plan, opts->defer_accept, "defer_accept");
    if (!err)
        err = check_not_negative(plan, opts->fastopen, "fastopen");
    if (!err && (opts->unix_mode < 0 || opts->unix_mode > 0777))
        err = tcpx__fail_because(-EINVAL, plan->operation, plan->shown,
                                 "unix_mode is %d, not in 0 to 0777",
                                 (int)opts->unix_mode);
    if (!err)
        err = check_interface(plan);
    if (!err)
        err = tcpx__tuning_check(&plan->tuning, plan->operation, plan->shown);
    return err;
}

/* Takes the options over and checks them. */
static int make_plan(struct tcpx__listen_plan *plan, const char *operation,
                     const char *shown, const tcpx_listen_opts *opts)
{
    int err;

    plan->operation = operation;
    plan->shown = shown;
    err = tcpx__opts_copy(&plan->opts, sizeof(plan->opts), sizeof(plan->opts),
                          opts);
    if (err)
        return tcpx__opts_fail(err, operation, shown);
    plan->tuning = TCPX__TUNING_OF(&plan->opts);
    return check_opts(plan);
}

/* What cannot be asked of a socket that is bound and listens already. */
static int check_adoptable(const struct tcpx__listen_plan *plan)
{
    const tcpx_listen_opts *opts = &plan->opts;
    const struct {
        const char *member;
        int given;
    } shaping[] = {
        {"backlog", opts->backlog != 0},
        {"reuse_port", opts->reuse_port != 0},
        {"no_reuse_address", opts->no_reuse_address != 0},
        {"v6_only", opts->v6_only != 0},
        {"unix_mode", opts->unix_mode != 0},
        {"defer_accept", opts->defer_accept != 0},
        {"mptcp", opts->mptcp != 0},
        {"fastopen", opts->fastopen != 0},
        {"interface", opts->interface != NULL},
        {"control", opts->control != NULL},
    };

    for (size_t i = 0; i < TCPX__COUNT(shaping); i++) {
        if (shaping[i].given)
            return tcpx__fail_because(-EINVAL, plan->operation, plan->shown,
                                      "%s cannot be set on a socket that "
                                      "listens already",
                                      shaping[i].member);
    }
    return 0;
}

int tcpx__listen_control(const struct tcpx__listen_plan *plan, int fd)
{
    int err = 0;

    if (plan->opts.control)
        err = plan->opts.control(fd, plan->opts.control_arg);
    if (err >= 0)
        return 0;
    return tcpx__fail_because(err, plan->operation, plan->shown,
                              "the control hook gave it up: %s",
                              tcpx_strerror(err));
}

/* The kernel's limit in this network namespace, or our best knowledge. */
static int somaxconn(void)
{
    char text[16];
    ssize_t n = -1;
    long value;
    int fd = tcpx__sys_open(SOMAXCONN_FILE, O_RDONLY, 0);

    if (fd >= 0)
        n = tcpx__sys_read(fd, text, sizeof(text));
    tcpx__sys_close(fd);
    if (n > 0 && text[n - 1] == '\n')
        n--;
    value = n > 0 ? tcpx__decimal(text, (size_t)n, INT_MAX) : -1;
    return value < 0 ? SOMAXCONN : (int)value;
}

/*
 * The backlog in force.  A TCP listener tells it in TCP_INFO; of a Unix one
 * that was passed in, nothing tells.
 */
static int read_backlog(int fd, int asked)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    int most;

    memset(&info, 0, sizeof(info));
    if (tcpx__sys_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
        info.tcpi_state == TCP_LISTEN)
        return (int)info.tcpi_sacked;
    most = somaxconn();
    return asked < most ? asked : most;
}

/*
 * Fills in what is known once the socket listens; backlog is what was asked
 * for.  The caller's fd is l's once this has returned 0.
 */
static int complete(tcpx_listener *l, int fd, unsigned flags, int backlog)
{
    struct tcpx__endpoint local;
    ssize_t len;
    int err;

    local.len = sizeof(local.ss);
    err = tcpx__sys_getsockname(fd, &local.sa, &local.len);
    if (err)
        return err;
    len = tcpx__endpoint_format(&local.sa, local.len, l->address,
                                sizeof(l->address));
    if (len < 0)
        return (int)len;
    if (local.sa.sa_family == AF_UNIX)
        l->conn_flags = TCPX__UNIX;
    l->backlog = read_backlog(fd, backlog);
    tcpx__handle_init(&l->h, fd, flags | l->conn_flags);
    return 0;
}

/* Listens on an address that is not a descriptor's. */
static int open_address(tcpx_listener *l, const struct tcpx__listen_plan *plan,
                        const tcpx_address *address)
{
    int err;
    int fd;

    if (address->kind == TCPX_ADDRESS_UNIX ||
        address->kind == TCPX_ADDRESS_ABSTRACT)
        fd = tcpx__listen_unix(plan, address, &l->file);
    else
        fd = tcpx__listen_inet(plan, address);
    if (fd < 0)
        return fd;
    err = complete(l, fd, TCPX__LISTENER | TCPX__NONBLOCK,
                   tcpx__listen_backlog(plan));
    if (err) {
        tcpx__socket_file_remove(&l->file);
        tcpx__sys_close(fd);
        return tcpx__fail(err, plan->operation, plan->shown);
    }
    /* A hook may have set a timeout, which accepted sockets inherit. */
    l->receive_timeout = plan->opts.control ? -1 : 0;
    return 0;
}

/* The flags of an adopted descriptor, which it gets back if it is not kept. */
struct flags {
    int of_descriptor;
    int of_file;
};

static int read_flags(struct flags *before, int fd)
{
    before->of_descriptor = tcpx__sys_fcntl(fd, F_GETFD, 0);
    if (before->of_descriptor < 0)
        return before->of_descriptor;
    before->of_file = tcpx__sys_fcntl(fd, F_GETFL, 0);
    return before->of_file < 0 ? before->of_file : 0;
}

static void put_back(const struct flags *before, int fd)
{
    tcpx__sys_fcntl(fd, F_SETFD, before->of_descriptor);
    tcpx__sys_fcntl(fd, F_SETFL, before->of_file);
}

static int prepare_adopted(const struct tcpx__listen_plan *plan, int fd,
                           const struct flags *before)
{
    int family = AF_UNSPEC;
    int err = tcpx__sys_getsockopt_int(fd, SOL_SOCKET, SO_DOMAIN, &family);

    if (err)
        return err;
    err = tcpx__sys_fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (err < 0)
        return err;
    err = tcpx__sys_fcntl(fd, F_SETFL, before->of_file | O_NONBLOCK);
    if (err < 0)
        return err;
    return tcpx__tuning_apply(fd, family, &plan->tuning, 0);
}

/* Takes over a descriptor that was checked. */
static int adopt(tcpx_listener *l, const struct tcpx__listen_plan *plan, int fd)
{
    struct flags before;
    int err = check_adoptable(plan);

    if (err)
        return err;
    err = read_flags(&before, fd);
    if (err)
        return tcpx__fail(err, plan->operation, plan->shown);
    err = prepare_adopted(plan, fd, &before);
    if (!err)
        err =
            complete(l, fd, TCPX__LISTENER | TCPX__NONBLOCK | TCPX__SHARED, 0);
    if (err) {
        put_back(&before, fd);
        return tcpx__fail(err, plan->operation, plan->shown);
    }
    l->receive_timeout = -1; /* whoever made it may have set one */
    return 0;
}

static tcpx_listener *new_listener(const struct tcpx__listen_plan *plan)
{
    tcpx_listener *l = tcpx__calloc(sizeof(*l));

    if (!l) {
        tcpx__fail(-ENOMEM, plan->operation, plan->shown);
        return NULL;
    }
    atomic_init(&l->users, 0);
    l->spin = tcpx__tuning_spin(&plan->tuning);
    return l;
}

static int check_kind(const struct tcpx__listen_plan *plan,
                      const tcpx_address *address)
{
    if (address->kind != TCPX_ADDRESS_NAME ||
        strcasecmp(address->host, "localhost") == 0)
        return 0;
    return tcpx__fail_because(TCPX_EADDRESS, plan->operation, plan->shown,
                              "a name; listening takes numeric addresses, "
                              "\":port\" and \"localhost:port\"");
}

static int listen_on(tcpx_listener *l, const struct tcpx__listen_plan *plan,
                     const tcpx_address *address)
{
    int err = check_kind(plan, address);

    if (err)
        return err;
    if (address->kind == TCPX_ADDRESS_FD ||
        address->kind == TCPX_ADDRESS_SYSTEMD) {
        int fd = tcpx__activation_find(address);

        return fd < 0 ? fd : adopt(l, plan, fd);
    }
    return open_address(l, plan, address);
}

int tcpx_listen(tcpx_listener **out, const char *address,
                const tcpx_listen_opts *opts)
{
    char shown[SHOWN];
    struct tcpx__listen_plan plan;
    tcpx_address parsed;
    tcpx_listener *l;
    int err;

    if (!out || !address)
        return tcpx__refuse("listen",
                            out ? "no address" : "no place for the listener");
    if (!tcpx__world())
        return -ENOMEM;
    tcpx__text_show(shown, sizeof(shown), address,
                    strnlen(address, TCPX__ADDRESS_TEXT));
    err = make_plan(&plan, "listen", shown, opts);
    if (!err)
        err = tcpx_address_parse(&parsed, address);
    if (err)
        return err;
    l = new_listener(&plan);
    if (!l)
        return -ENOMEM;
    err = listen_on(l, &plan, &parsed);
    if (err) {
        tcpx__free(l);
        return err;
    }
    *out = l;
    return 0;
}

int tcpx_listener_adopt(tcpx_listener **out, int fd,
                        const tcpx_listen_opts *opts)
{
    char shown[24];
    struct tcpx__listen_plan plan;
    const char *why;
    tcpx_listener *l;
    int err;

    if (!out)
        return tcpx__refuse("listener_adopt", "no place for the listener");
    if (!tcpx__world())
        return -ENOMEM;
    snprintf(shown, sizeof(shown), "fd:%d", fd);
    err = make_plan(&plan, "listener_adopt", shown, opts);
    if (err)
        return err;
    err = tcpx__activation_check(fd, &why);
    if (err)
        return tcpx__fail_because(err, plan.operation, shown,
                                  "the descriptor is %s", why);
    l = new_listener(&plan);
    if (!l)
        return -ENOMEM;
    err = adopt(l, &plan, fd);
    if (err) {
        tcpx__free(l);
        return err;
    }
    *out = l;
    return 0;
}
