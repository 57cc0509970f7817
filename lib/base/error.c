/* SPDX-License-Identifier: MIT */
/*
 * error.c - names and words for results.
 *
 * The system's codes that a call of this library can meet are in a table here,
 * so that they read alike under every C library and locale and need no buffer.
 * The rest is asked of the C library, where that is thread-safe.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <tcpx/error.h>
#include "base/util.h"

#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 32)
#define HAVE_ERRNO_TABLE 1
#endif
#endif

struct word {
    int err;
    const char *name;
    const char *sentence;
};

/* clang-format off */
#define SYSTEM(name, sentence) {-name, #name, sentence}
#define OWN(name, value, sentence) {name, #name, sentence},

static const struct word words[] = {
    TCPX_ERRORS(OWN)
    SYSTEM(EACCES, "permission denied"),
    SYSTEM(EADDRINUSE, "address already in use"),
    SYSTEM(EADDRNOTAVAIL, "the address is not this host's"),
    SYSTEM(EAFNOSUPPORT, "address family not supported"),
    SYSTEM(EAGAIN, "try again later"),
    SYSTEM(EALREADY, "already under way"),
    SYSTEM(EBADF, "bad file descriptor"),
    SYSTEM(EBUSY, "busy"),
    SYSTEM(ECANCELED, "canceled"),
    SYSTEM(ECHILD, "no child process"),
    SYSTEM(ECONNABORTED, "connection aborted"),
    SYSTEM(ECONNREFUSED, "connection refused"),
    SYSTEM(ECONNRESET, "connection reset by the peer"),
    SYSTEM(EDESTADDRREQ, "no destination address"),
    SYSTEM(E2BIG, "larger than this version of the library knows"),
    SYSTEM(EEXIST, "exists already"),
    SYSTEM(EFAULT, "bad address in memory"),
    SYSTEM(EFBIG, "file too large"),
    SYSTEM(EHOSTDOWN, "host is down"),
    SYSTEM(EHOSTUNREACH, "no route to host"),
    SYSTEM(EINPROGRESS, "under way"),
    SYSTEM(EINTR, "interrupted"),
    SYSTEM(EINVAL, "invalid argument"),
    SYSTEM(EIO, "input/output error"),
    SYSTEM(EISCONN, "already connected"),
    SYSTEM(EISDIR, "is a directory"),
    SYSTEM(ELOOP, "too many symbolic links"),
    SYSTEM(EMFILE, "too many open files in this process"),
    SYSTEM(EMSGSIZE, "message too long"),
    SYSTEM(ENAMETOOLONG, "name too long"),
    SYSTEM(ENETDOWN, "network is down"),
    SYSTEM(ENETRESET, "connection dropped by the network"),
    SYSTEM(ENETUNREACH, "network unreachable"),
    SYSTEM(ENFILE, "too many open files in the system"),
    SYSTEM(ENOBUFS, "no buffer space"),
    SYSTEM(ENODEV, "no such device"),
    SYSTEM(ENOENT, "no such file or directory"),
    SYSTEM(ENOMEM, "out of memory"),
    SYSTEM(ENOPROTOOPT, "protocol option not available"),
    SYSTEM(ENOSPC, "no space left"),
    SYSTEM(ENOSYS, "not in this kernel"),
    SYSTEM(ENOTCONN, "not connected"),
    SYSTEM(ENOTDIR, "not a directory"),
    SYSTEM(ENOTSOCK, "not a socket"),
    SYSTEM(ENOTSUP, "not supported"),
    SYSTEM(ENXIO, "no such device or address"),
    SYSTEM(EOVERFLOW, "number too large"),
    SYSTEM(EPERM, "operation not permitted"),
    SYSTEM(EPIPE, "the peer is gone, or writing was finished"),
    SYSTEM(EPROTO, "protocol error"),
    SYSTEM(EPROTONOSUPPORT, "protocol not supported"),
    SYSTEM(EPROTOTYPE, "wrong type of socket"),
    SYSTEM(EROFS, "read-only file system"),
    SYSTEM(ESHUTDOWN, "writing was finished"),
    SYSTEM(ESRCH, "no such process"),
    SYSTEM(ETIMEDOUT, "the connection timed out"),
};

#undef SYSTEM
#undef OWN
/* clang-format on */

static const struct word *find(int err)
{
    for (size_t i = 0; i < TCPX__COUNT(words); i++) {
        if (words[i].err == err)
            return &words[i];
    }
    return NULL;
}

const char *tcpx_strerror(int err)
{
    const struct word *w = find(err);
    const char *text = NULL;

    if (err >= 0)
        return "success";
    if (w)
        return w->sentence;
#ifdef HAVE_ERRNO_TABLE
    if (err > TCPX_EOF)
        text = strerrordesc_np(-err);
#endif
    return text ? text : "unknown error";
}

const char *tcpx_errname(int err)
{
    const struct word *w = find(err);
    const char *text = NULL;

    if (err >= 0)
        return "0";
    if (w)
        return w->name;
#ifdef HAVE_ERRNO_TABLE
    if (err > TCPX_EOF)
        text = strerrorname_np(-err);
#endif
    return text ? text : "unknown";
}

int tcpx_is_peer_gone(int err)
{
    return err == -EPIPE || err == -ECONNRESET;
}
