/* SPDX-License-Identifier: MIT */
/*
 * sys.c - every system call and every allocation of the library.
 */
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <net/if.h>
#include <netdb.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/kernel.h"
#include "base/sys_ask.h"

#ifdef TCPX_TESTING
tcpx__sys_hook_fn *tcpx__sys_hook;
int64_t (*tcpx__sys_clock)(void);
#endif

int64_t tcpx__sys_started;

__attribute__((constructor)) static void note_start(void)
{
    tcpx__sys_started = tcpx__sys_now();
}

void *tcpx__malloc(size_t size)
{
    ASK_MEMORY(malloc);
    return malloc(size);
}

void *tcpx__calloc(size_t size)
{
    ASK_MEMORY(malloc);
    return calloc(1, size);
}

void *tcpx__realloc(void *p, size_t size)
{
    ASK_MEMORY(realloc);
    return realloc(p, size);
}

void tcpx__free(void *p)
{
    free(p);
}

char *tcpx__strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = tcpx__malloc(size);

    if (copy)
        memcpy(copy, s, size);
    return copy;
}

int64_t tcpx__sys_now(void)
{
    struct timespec ts;

#ifdef TCPX_TESTING
    if (tcpx__sys_clock)
        return tcpx__sys_clock();
#endif
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int tcpx__sys_socket(int family, int type, int protocol)
{
    ASK(socket, NULL);
    return result_int(socket(family, type | SOCK_CLOEXEC, protocol));
}

int tcpx__sys_socketpair(int family, int type, int fd[2])
{
    ASK(socketpair, NULL);
    return result_int(socketpair(family, type | SOCK_CLOEXEC, 0, fd));
}

int tcpx__sys_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
    ASK(bind, NULL);
    return result_int(bind(fd, sa, len));
}

int tcpx__sys_listen(int fd, int backlog)
{
    ASK(listen, NULL);
    return result_int(listen(fd, backlog));
}

int tcpx__sys_accept(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
    ASK(accept4, NULL);
    return result_int(accept4(fd, sa, len, flags | SOCK_CLOEXEC));
}

int tcpx__sys_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    ASK(connect, NULL);
    return result_int(connect(fd, sa, len));
}

int tcpx__sys_shutdown(int fd, int how)
{
    ASK(shutdown, NULL);
    return result_int(shutdown(fd, how));
}

void tcpx__sys_close(int fd)
{
    /* Linux frees the number whatever close says: a second try could hit a
       descriptor that another thread has just opened. */
    if (fd >= 0)
        close(fd);
}

ssize_t tcpx__sys_recv(int fd, void *buf, size_t len, int flags)
{
    ASK(recv, &len);
    return tcpx__kernel_recv(fd, buf, len, flags);
}

ssize_t tcpx__sys_recvmsg(int fd, struct msghdr *msg, int flags)
{
    ASK(recvmsg, NULL);
    return result(recvmsg(fd, msg, flags | MSG_CMSG_CLOEXEC));
}

ssize_t tcpx__sys_send(int fd, const void *buf, size_t len, int flags)
{
    ASK(sendmsg, &len);
    return tcpx__kernel_send(fd, buf, len, flags | MSG_NOSIGNAL);
}

ssize_t tcpx__sys_sendmsg(int fd, const struct iovec *iov, size_t n, int flags)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                         .msg_iovlen = n};

#ifdef TCPX_TESTING
    size_t len = iov[0].iov_len;
    struct iovec first = iov[0];
    ASK(sendmsg, &len);
    if (len < iov[0].iov_len) {
        first.iov_len = len;
        msg.msg_iov = &first;
        msg.msg_iovlen = 1;
    }
#endif
    return result(sendmsg(fd, &msg, flags | MSG_NOSIGNAL));
}

ssize_t tcpx__sys_sendfile(int out, int in, int64_t *offset, size_t len)
{
    _Static_assert(sizeof(off_t) == sizeof(int64_t), "off_t has 64 bits");
    ASK(sendfile, &len);
    return result(sendfile(out, in, offset, len));
}

ssize_t tcpx__sys_splice(int in, int out, size_t len, unsigned flags)
{
    ASK(splice, &len);
    return result(splice(in, NULL, out, NULL, len, flags));
}

int tcpx__sys_getsockopt(int fd, int level, int name, void *value,
                         socklen_t *len)
{
    ASK(getsockopt, NULL);
    return result_int(getsockopt(fd, level, name, value, len));
}

int tcpx__sys_setsockopt(int fd, int level, int name, const void *value,
                         socklen_t len)
{
    ASK(setsockopt, NULL);
    return result_int(setsockopt(fd, level, name, value, len));
}

int tcpx__sys_setsockopt_int(int fd, int level, int name, int value)
{
    return tcpx__sys_setsockopt(fd, level, name, &value, sizeof(value));
}

int tcpx__sys_getsockopt_int(int fd, int level, int name, int *value)
{
    socklen_t len = sizeof(*value);

    return tcpx__sys_getsockopt(fd, level, name, value, &len);
}

int tcpx__sys_getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
    ASK(getsockname, NULL);
    return result_int(getsockname(fd, sa, len));
}

int tcpx__sys_getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
    ASK(getpeername, NULL);
    return result_int(getpeername(fd, sa, len));
}

int tcpx__sys_ioctl_int(int fd, unsigned long request, int *value)
{
    ASK(ioctl, NULL);
    return result_int(ioctl(fd, request, value));
}

int tcpx__sys_fcntl(int fd, int command, int argument)
{
    ASK(fcntl, NULL);
    return result_int(fcntl(fd, command, argument));
}

int tcpx__sys_ppoll(struct pollfd *items, nfds_t n, const struct timespec *t)
{
    ASK(ppoll, NULL);
    return result_int(ppoll(items, n, t, NULL));
}

int tcpx__sys_eventfd(void)
{
    ASK(eventfd, NULL);
    return result_int(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

ssize_t tcpx__sys_read(int fd, void *buf, size_t len)
{
    ASK(read, &len);
    return result(read(fd, buf, len));
}

ssize_t tcpx__sys_pread(int fd, void *buf, size_t len, int64_t offset)
{
    ASK(read, &len);
    return result(pread(fd, buf, len, offset));
}

int64_t tcpx__sys_lseek(int fd, int64_t offset, int whence)
{
    off_t at = lseek(fd, offset, whence);

    return at < 0 ? -errno : at;
}

ssize_t tcpx__sys_write(int fd, const void *buf, size_t len)
{
    ASK(write, &len);
    return result(write(fd, buf, len));
}

int tcpx__sys_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t until)
{
    struct timespec ts = {.tv_sec = (time_t)(until / 1000000000),
                          .tv_nsec = (long)(until % 1000000000)};

    ASK(futex, NULL);
    /* The BITSET form takes an instant on CLOCK_MONOTONIC. */
    return result_int((int)syscall(
        SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value,
        until == INT64_MAX ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY));
}

int tcpx__sys_futex_wake(_Atomic uint32_t *word)
{
    ASK(futex, NULL);
    return result_int((int)syscall(SYS_futex, word,
                                   FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX,
                                   NULL, NULL, 0));
}

int tcpx__sys_getcwd(char *out, size_t size)
{
    ASK(getcwd, NULL);
    return getcwd(out, size) ? 0 : -errno;
}

int tcpx__sys_lstat(const char *path, struct stat *out)
{
    ASK(stat, NULL);
    return result_int(lstat(path, out));
}

int tcpx__sys_fstat(int fd, struct stat *out)
{
    ASK(stat, NULL);
    return result_int(fstat(fd, out));
}

int tcpx__sys_open(const char *path, int flags, mode_t mode)
{
    ASK(open, NULL);
    return result_int(open(path, flags | O_CLOEXEC, mode));
}

int tcpx__sys_unlink(const char *path)
{
    ASK(unlink, NULL);
    return result_int(unlink(path));
}

int tcpx__sys_rename(const char *from, const char *to)
{
    ASK(rename, NULL);
    return result_int(rename(from, to));
}

int tcpx__sys_link(const char *from, const char *to)
{
    ASK(link, NULL);
    return result_int(link(from, to));
}

int tcpx__sys_fchmod(int fd, mode_t mode)
{
    ASK(fchmod, NULL);
    return result_int(fchmod(fd, mode));
}

int tcpx__sys_chmod(const char *path, mode_t mode)
{
    ASK(chmod, NULL);
    return result_int(chmod(path, mode));
}

int tcpx__sys_flock(int fd, int operation)
{
    ASK(flock, NULL);
    return result_int(flock(fd, operation));
}

void tcpx__sys_yield(void)
{
    sched_yield();
}

int tcpx__sys_if_nametoindex(const char *name)
{
    unsigned index;

    ASK(ioctl, NULL);
    index = if_nametoindex(name);
    return index ? (int)index : -errno;
}

int tcpx__sys_if_indextoname(unsigned index, char *name)
{
    ASK(ioctl, NULL);
    return if_indextoname(index, name) ? 0 : -errno;
}

int tcpx__sys_getservbyname(const char *service)
{
    struct servent entry;
    struct servent *found = NULL;
    char text[4096]; /* the names and aliases of one line */
    int err;

    ASK(getservbyname, NULL);
    err = getservbyname_r(service, "tcp", &entry, text, sizeof(text), &found);
    if (found)
        return ntohs((uint16_t)found->s_port);
    return err ? -err : -ENOENT;
}

const char *tcpx__sys_getenv(const char *name)
{
    return secure_getenv(name);
}

int tcpx__sys_getpid(void)
{
    return (int)getpid();
}

int tcpx__sys_getaddrinfo(const char *host, const char *service,
                          const struct addrinfo *hints, struct addrinfo **out)
{
    ASK(getaddrinfo, NULL);
    return getaddrinfo(host, service, hints, out);
}

void tcpx__sys_freeaddrinfo(struct addrinfo *list)
{
    if (list)
        freeaddrinfo(list);
}

void tcpx__sigpipe_hold(struct tcpx__sigpipe *held)
{
    sigset_t pipe_only;
    sigset_t pending;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &held->old);
    sigpending(&pending);
    held->was_pending = sigismember(&pending, SIGPIPE);
}

void tcpx__sigpipe_release(struct tcpx__sigpipe *held)
{
    static const struct timespec at_once;
    sigset_t pipe_only;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    if (!held->was_pending) {
        while (sigtimedwait(&pipe_only, NULL, &at_once) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &held->old, NULL);
}
