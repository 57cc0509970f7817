/* SPDX-License-Identifier: MIT */
/*
 * activation.c - listening sockets that the program was started with.
 *
 * What a service manager passes is taken at its word nowhere: a wrapper may
 * have changed the process, a unit file may name the wrong kind of socket, and
 * a descriptor number may be anything.
 */
#include "net/activation.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx/error.h>

#include "base/sys.h"
#include "base/task.h"
#include "net/address.h"
#include "net/text.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START of sd_listen_fds(3) */

/* What systemd calls a socket that has no name of its own. */
#define UNNAMED "unknown"

static int wrong(int err, const char **why, const char *what)
{
    *why = what;
    return err;
}

static int check_kind(int domain, int type, int protocol, const char **why)
{
    if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)
        return wrong(-EINVAL, why,
                     "a socket of another family than IP or Unix");
    if (type == SOCK_DGRAM)
        return wrong(-EINVAL, why, "a datagram socket");
    if (type != SOCK_STREAM)
        return wrong(-EINVAL, why, "a socket that is no stream");
    if (domain != AF_UNIX && protocol != IPPROTO_TCP &&
        protocol != IPPROTO_MPTCP)
        return wrong(-EINVAL, why, "a stream socket that is not TCP");

    return 0;
}

int tcpx__activation_check(int fd, const char **why)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    int domain = 0, type = 0, protocol = 0, accepts = 0;
    int err = tcpx__sys_getsockopt_int(fd, SOL_SOCKET, SO_DOMAIN, &domain);

    if (err == -EBADF)
        return wrong(err, why, "not open");
    if (err == -ENOTSOCK)
        return wrong(err, why, "not a socket");
    if (err == 0)
        err = tcpx__sys_getsockopt_int(fd, SOL_SOCKET, SO_TYPE, &type);
    if (err == 0)
        err = tcpx__sys_getsockopt_int(fd, SOL_SOCKET, SO_PROTOCOL, &protocol);
    if (err == 0)
        err = tcpx__sys_getsockopt_int(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts);
    if (err < 0)
        return wrong(err, why, "a socket that does not say what it is");

    err = check_kind(domain, type, protocol, why);
    if (err < 0 || accepts)
        return err;
    if (tcpx__sys_getpeername(fd, (struct sockaddr *)&peer, &len) == 0)
        return wrong(-EINVAL, why, "a connected socket, not a listening one");

    return wrong(-EINVAL, why, "a socket that does not listen");
}

/* What the environment says, taken apart. */
struct passed {
    long count;
    const char *names; /* separated by colons; may be shorter than count */
};

/*
 * Reads the three variables.  A process id that is not ours means that they
 * were meant for another process, and then nothing was passed.
 */
static int read_environment(struct passed *out, const char *shown)
{
    const char *pid = tcpx__sys_getenv("LISTEN_PID");
    const char *count = tcpx__sys_getenv("LISTEN_FDS");
    const char *names = tcpx__sys_getenv("LISTEN_FDNAMES");
    char text[40];
    long id;

    if (!pid || !count)
        return tcpx__fail_because(-ENOENT, "listen", shown,
                                  "systemd passed no sockets to this process");

    id = tcpx__decimal(pid, strlen(pid), INT_MAX);
    if (id < 0) {
        (void)tcpx__text_show(text, sizeof(text), pid, strlen(pid));
        return tcpx__fail_because(-EINVAL, "listen", shown,
                                  "LISTEN_PID is \"%s\", no process id", text);
    }
    if (id != tcpx__sys_getpid())
        return tcpx__fail_because(-ENOENT, "listen", shown,
                                  "systemd passed no sockets to this process "
                                  "(LISTEN_PID is %ld, this is %d)",
                                  id, tcpx__sys_getpid());

    out->count = tcpx__decimal(count, strlen(count), INT_MAX - FIRST_FD);
    if (out->count < 0) {
        (void)tcpx__text_show(text, sizeof(text), count, strlen(count));
        return tcpx__fail_because(-EINVAL, "listen", shown,
                                  "LISTEN_FDS is \"%s\", no number of sockets",
                                  text);
    }
    if (out->count == 0)
        return tcpx__fail_because(-ENOENT, "listen", shown,
                                  "systemd passed no sockets to this process");

    out->names = names ? names : "";
    return 0;
}

/* How many of the sockets are called name; the first one's place in *first. */
static long count_named(const struct passed *passed, const char *name,
                        long *first)
{
    size_t len = strlen(name);
    const char *p = passed->names;
    long i = 0, found = 0;

    for (; i < passed->count && *p; i++) {
        size_t n = strcspn(p, ":");

        if (n == len && memcmp(p, name, n) == 0 && found++ == 0)
            *first = i;
        p += n + (p[n] == ':');
    }
    if (i < passed->count && strcmp(name, UNNAMED) == 0) {
        if (found == 0)
            *first = i;
        found += passed->count - i;
    }

    return found;
}

/* The descriptor that systemd passed under that name, or the only one. */
static int find_passed(const tcpx_address *a, const char *shown)
{
    struct passed passed = {0, ""};
    long first = 0, found;
    int err = read_environment(&passed, shown);

    if (err < 0)
        return err;

    found = *a->host ? count_named(&passed, a->host, &first) : passed.count;
    if (found == 0)
        return tcpx__fail_because(-ENOENT, "listen", shown,
                                  "systemd passed no socket of that name");
    if (found > 1)
        return tcpx__fail_because(
            -EINVAL, "listen", shown,
            "systemd passed %ld sockets%s; tell which by %sfd:%d and up", found,
            *a->host ? " of that name" : "", *a->host ? "" : "its name or ",
            FIRST_FD + (int)first);

    return FIRST_FD + (int)first;
}

int tcpx__activation_find(const tcpx_address *a)
{
    char text[TCPX__ADDRESS_TEXT] = "", shown[TCPX__ADDRESS_SHOWN];
    const char *why;
    int fd, err;

    if (tcpx_address_format(a, text, sizeof(text)) < 0)
        return TCPX_EADDRESS;
    (void)tcpx__text_show(shown, sizeof(shown), text, strlen(text));

    fd = a->kind == TCPX_ADDRESS_FD ? (int)a->port : find_passed(a, shown);
    if (fd < 0)
        return fd;

    err = tcpx__activation_check(fd, &why);
    if (err < 0)
        return tcpx__fail_because(err, "listen", shown, "descriptor %d is %s",
                                  fd, why);

    return fd;
}
