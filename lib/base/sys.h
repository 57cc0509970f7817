/* SPDX-License-Identifier: MIT */
/*
 * sys.h - every system call and every allocation of the library.
 *
 * The one door to the kernel.  Each wrapper returns a count or -errno, retries
 * nothing and waits for nothing that its system call does not; flags that
 * every caller needs (MSG_NOSIGNAL, CLOEXEC) are set here.
 *
 * In the test build each call first asks tcpx__sys_hook, which may let it
 * fail, shorten what it moves, or set the clock.  The shipped build has no
 * trace of that.
 */
#ifndef TCPX_BASE_SYS_H
#define TCPX_BASE_SYS_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include "base/util.h"

/* The table: every call that can fail, by its name in section 2 or 3. */
#define TCPX__SYS_CALLS(X)                                                     \
    X(malloc)                                                                  \
    X(realloc)                                                                 \
    X(socket)                                                                  \
    X(socketpair)                                                              \
    X(bind)                                                                    \
    X(listen)                                                                  \
    X(accept4)                                                                 \
    X(connect)                                                                 \
    X(shutdown)                                                                \
    X(close)                                                                   \
    X(recv)                                                                    \
    X(recvmsg)                                                                 \
    X(sendmsg)                                                                 \
    X(sendfile)                                                                \
    X(splice)                                                                  \
    X(getsockopt)                                                              \
    X(setsockopt)                                                              \
    X(getsockname)                                                             \
    X(getpeername)                                                             \
    X(ioctl)                                                                   \
    X(fcntl)                                                                   \
    X(ppoll)                                                                   \
    X(eventfd)                                                                 \
    X(read)                                                                    \
    X(write)                                                                   \
    X(futex)                                                                   \
    X(getcwd)                                                                  \
    X(stat)                                                                    \
    X(open)                                                                    \
    X(unlink)                                                                  \
    X(rename)                                                                  \
    X(link)                                                                    \
    X(fchmod)                                                                  \
    X(chmod)                                                                   \
    X(flock)                                                                   \
    X(pthread_create)                                                          \
    X(epoll_create1)                                                           \
    X(epoll_ctl)                                                               \
    X(epoll_wait)                                                              \
    X(sigaction)                                                               \
    X(pipe2)                                                                   \
    X(fork)                                                                    \
    X(mmap)                                                                    \
    X(close_range)                                                             \
    X(mprotect)                                                                \
    X(io_uring_setup)                                                          \
    X(io_uring_enter)                                                          \
    X(pidfd_open)                                                              \
    X(waitid)                                                                  \
    X(getaddrinfo)                                                             \
    X(getservbyname)

enum tcpx__sys_call {
#define TCPX__SYS_ENUM(name) TCPX__SYS_##name,
    TCPX__SYS_CALLS(TCPX__SYS_ENUM)
#undef TCPX__SYS_ENUM
        TCPX__SYS_COUNT
};

#ifdef TCPX_TESTING
/*
 * Asked before each call: returns 0 to let it happen, or the -errno with which
 * it fails in place of happening.  *len, where the call moves bytes, may be
 * lowered.  Must not claim -EAGAIN where there is data: an edge-triggered
 * engine would wait for ever.
 */
typedef int tcpx__sys_hook_fn(enum tcpx__sys_call call, size_t *len);
extern tcpx__sys_hook_fn *tcpx__sys_hook;

/* Replaces the clock; NULL puts CLOCK_MONOTONIC back. */
extern int64_t (*tcpx__sys_clock)(void);
#endif

void *tcpx__malloc(size_t size); /* NULL if memory ran out */
void *tcpx__calloc(size_t size); /* one zeroed object */
void *tcpx__realloc(void *p, size_t size);
void tcpx__free(void *p);
char *tcpx__strdup(const char *s);

int64_t tcpx__sys_now(void); /* CLOCK_MONOTONIC in ns */

/* When the library was loaded: a positive deadline before it is a duration. */
extern int64_t tcpx__sys_started TCPX__HIDDEN;

static inline int tcpx__is_duration(int64_t deadline)
{
    return deadline > 0 && deadline < tcpx__sys_started;
}

int tcpx__sys_socket(int family, int type, int protocol);  /* adds CLOEXEC */
int tcpx__sys_socketpair(int family, int type, int fd[2]); /* adds CLOEXEC */
int tcpx__sys_bind(int fd, const struct sockaddr *sa, socklen_t len);
int tcpx__sys_listen(int fd, int backlog);
int tcpx__sys_accept(int fd, struct sockaddr *sa, socklen_t *len,
                     int flags); /* adds CLOEXEC */
int tcpx__sys_connect(int fd, const struct sockaddr *sa, socklen_t len);
int tcpx__sys_shutdown(int fd, int how);
void tcpx__sys_close(int fd); /* negative is nothing; once, whatever it says */
ssize_t tcpx__sys_recv(int fd, void *buf, size_t len, int flags);
ssize_t tcpx__sys_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t tcpx__sys_send(int fd, const void *buf, size_t len, int flags);
ssize_t tcpx__sys_sendmsg(int fd, const struct iovec *iov, size_t n, int flags);
ssize_t tcpx__sys_sendfile(int out, int in, int64_t *offset, size_t len);
ssize_t tcpx__sys_splice(int in, int out, size_t len, unsigned flags);
int tcpx__sys_getsockopt(int fd, int level, int name, void *value,
                         socklen_t *len);
int tcpx__sys_setsockopt(int fd, int level, int name, const void *value,
                         socklen_t len);
int tcpx__sys_setsockopt_int(int fd, int level, int name, int value);
int tcpx__sys_getsockopt_int(int fd, int level, int name, int *value);
int tcpx__sys_getsockname(int fd, struct sockaddr *sa, socklen_t *len);
int tcpx__sys_getpeername(int fd, struct sockaddr *sa, socklen_t *len);
int tcpx__sys_ioctl_int(int fd, unsigned long request, int *value);
int tcpx__sys_fcntl(int fd, int command, int argument);
int tcpx__sys_ppoll(struct pollfd *items, nfds_t n, const struct timespec *t);
int tcpx__sys_eventfd(void); /* non-blocking, CLOEXEC */
ssize_t tcpx__sys_read(int fd, void *buf, size_t len);
ssize_t tcpx__sys_pread(int fd, void *buf, size_t len, int64_t offset);
int64_t tcpx__sys_lseek(int fd, int64_t offset, int whence);
ssize_t tcpx__sys_write(int fd, const void *buf, size_t len);
int tcpx__sys_futex_wait(_Atomic uint32_t *word, uint32_t value,
                         int64_t until); /* INT64_MAX: no limit */
int tcpx__sys_futex_wake(_Atomic uint32_t *word);
int tcpx__sys_getcwd(char *out, size_t size);
int tcpx__sys_lstat(const char *path, struct stat *out);
int tcpx__sys_fstat(int fd, struct stat *out);
int tcpx__sys_open(const char *path, int flags, mode_t mode); /* + CLOEXEC */
int tcpx__sys_unlink(const char *path);
int tcpx__sys_rename(const char *from, const char *to);
int tcpx__sys_link(const char *from, const char *to);
int tcpx__sys_fchmod(int fd, mode_t mode);
int tcpx__sys_chmod(const char *path, mode_t mode);
int tcpx__sys_flock(int fd, int operation);
void tcpx__sys_yield(void);

/* A thread with all signals blocked and a stack of that size, to be joined. */
int tcpx__sys_thread_start(pthread_t *thread, void *(*run)(void *), void *arg,
                           size_t stack);
void tcpx__sys_thread_join(pthread_t thread);
void tcpx__sys_thread_detach(void); /* the calling one */

/* An epoll(7) instance that watches for input, by level, CLOEXEC. */
int tcpx__sys_epoll_create(void);
int tcpx__sys_epoll_add(int watch, int fd, void *what);
void tcpx__sys_epoll_remove(int watch, int fd);

/* What was added for descriptors that are ready, at most 64; does not wait. */
int tcpx__sys_epoll_collect(int watch, void **ready, int n);

/* The engine's own: events as in epoll_ctl(2), with `data` to come back. */
struct epoll_event;
int tcpx__sys_epoll_ctl(int epoll, int operation, int fd, uint32_t events,
                        uint64_t data);
int tcpx__sys_epoll_wait(int epoll, struct epoll_event *events, int n,
                         int64_t until); /* as in tcpx__sys_futex_wait() */

/* A pipe, non-blocking and CLOEXEC, with room for about `size` bytes. */
int tcpx__sys_pipe(int fd[2], size_t size);

/* Processes.  A pidfd of -1 stands for a child that is known by its id only. */
int tcpx__sys_fork(void);
extern _Thread_local int tcpx__sys_is_forking; /* in tcpx__sys_fork() */
void tcpx__sys_exit(int status) __attribute__((noreturn));
int tcpx__sys_close_range(unsigned first, unsigned last); /* -ENOSYS */
int tcpx__sys_pidfd_open(int pid);
void tcpx__sys_kill(int pidfd, int pid); /* SIGKILL */

/* Reaps that one child: 1 and its wait status, 0 if it lives, -ECHILD if
   somebody else has reaped it. */
int tcpx__sys_reap(int pidfd, int pid, int *status);

/* Zeroed memory that children share; NULL if there is none. */
void *tcpx__sys_map_shared(size_t size);
void tcpx__sys_unmap(void *p, size_t size);

/*
 * Address space for stacks, of which no page is memory before it is touched;
 * a page that faults; and giving the memory of pages back.
 */
int tcpx__sys_cpus(void); /* that this process may use */
size_t tcpx__sys_page_size(void);
void *tcpx__sys_map_stacks(size_t size);
int tcpx__sys_guard(void *page, size_t size);
void tcpx__sys_drop_pages(void *p, size_t size);

int tcpx__sys_sigaction(int number, const struct sigaction *action,
                        struct sigaction *old);

/* A number that nobody can guess. */
uint64_t tcpx__sys_random(void);

/* A detached thread with all signals blocked and a stack of that size. */
int tcpx__sys_thread(void *(*run)(void *), void *arg, size_t stack);

/* The number of an interface, or -errno; and its name, IF_NAMESIZE bytes. */
int tcpx__sys_if_nametoindex(const char *name);
int tcpx__sys_if_indextoname(unsigned index, char *name);

/* The port of a service of services(5) for TCP; -ENOENT if there is none. */
int tcpx__sys_getservbyname(const char *service);

/* NULL also in a program that runs with more rights than its caller has. */
const char *tcpx__sys_getenv(const char *name);
int tcpx__sys_getpid(void);

/*
 * getaddrinfo(3): 0, or its EAI_ code, which is no -errno; of EAI_SYSTEM errno
 * says more.  A hook fails it with such a code too.
 */
struct addrinfo;
int tcpx__sys_getaddrinfo(const char *host, const char *service,
                          const struct addrinfo *hints, struct addrinfo **out);
void tcpx__sys_freeaddrinfo(struct addrinfo *list);

/*
 * Blocks SIGPIPE in the calling thread around a call that can raise it, and
 * takes back one that the call raised, but not one that was pending before.
 */
struct tcpx__sigpipe {
    sigset_t old;
    int was_pending;
};
void tcpx__sigpipe_hold(struct tcpx__sigpipe *held);
void tcpx__sigpipe_release(struct tcpx__sigpipe *held);

#endif
