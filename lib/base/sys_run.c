/* SPDX-License-Identifier: MIT */
/*
 * sys_run.c - the system calls that make and watch threads and processes.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/sys_ask.h"

/*
 * A thread begins with the mask, so that it never runs a moment without it: the
 * program's handlers run in the program's threads.  glibc takes it with the
 * attributes, which saves two system calls; elsewhere it is inherited.
 */
static int start_masked(pthread_t *thread, pthread_attr_t *attr,
                        void *(*run)(void *), void *arg)
{
    sigset_t all;
    sigset_t old;
    int err;

    sigfillset(&all);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
    if (pthread_attr_setsigmask_np(attr, &all) == 0)
        return -pthread_create(thread, attr, run, arg);
#endif
    pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(thread, attr, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -err;
}

static int start_sized(pthread_t *thread, int detach, void *(*run)(void *),
                       void *arg, size_t stack)
{
    pthread_attr_t attr;
    int err = -pthread_attr_init(&attr);

    if (err)
        return err;
    if (detach)
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    err = -pthread_attr_setstacksize(&attr, stack);
    if (!err)
        err = start_masked(thread, &attr, run, arg);
    pthread_attr_destroy(&attr);
    return err;
}

/* What a thread has that asks for none. */
static size_t usual_stack(void)
{
    pthread_attr_t attr;
    size_t size = 0;

    if (pthread_attr_init(&attr))
        return 0;
    pthread_attr_getstacksize(&attr, &size);
    pthread_attr_destroy(&attr);
    return size;
}

/* The program's thread-local variables lie in every thread's stack; where they
   take more than was asked for, the C library says EINVAL. */
static int start_thread(pthread_t *thread, int detach, void *(*run)(void *),
                        void *arg, size_t stack)
{
    int err;

    ASK(pthread_create, NULL);
    err = start_sized(thread, detach, run, arg, stack);
    if (err == -EINVAL && usual_stack() > stack)
        err = start_sized(thread, detach, run, arg, usual_stack());
    return err;
}

int tcpx__sys_thread(void *(*run)(void *), void *arg, size_t stack)
{
    pthread_t thread;

    return start_thread(&thread, 1, run, arg, stack);
}

int tcpx__sys_thread_start(pthread_t *thread, void *(*run)(void *), void *arg,
                           size_t stack)
{
    return start_thread(thread, 0, run, arg, stack);
}

void tcpx__sys_thread_join(pthread_t thread)
{
    pthread_join(thread, NULL);
}

void tcpx__sys_thread_detach(void)
{
    pthread_detach(pthread_self());
}

int tcpx__sys_epoll_create(void)
{
    ASK(epoll_create1, NULL);
    return result_int(epoll_create1(EPOLL_CLOEXEC));
}

int tcpx__sys_epoll_add(int watch, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = what}};

    ASK(epoll_ctl, NULL);
    return result_int(epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event));
}

void tcpx__sys_epoll_remove(int watch, int fd)
{
    epoll_ctl(watch, EPOLL_CTL_DEL, fd, NULL);
}

int tcpx__sys_epoll_collect(int watch, void **ready, int n)
{
    struct epoll_event events[64];
    int got;

    ASK(epoll_wait, NULL);
    got = epoll_wait(watch, events, n < 64 ? n : 64, 0);
    for (int i = 0; i < got; i++)
        ready[i] = events[i].data.ptr;
    return result_int(got);
}

uint64_t tcpx__sys_random(void)
{
    uint64_t n = 0;

    /* Before the kernel has gathered entropy there is the address space. */
    if (getrandom(&n, sizeof(n), GRND_NONBLOCK) != (ssize_t)sizeof(n))
        n = (uint64_t)(uintptr_t)&n ^ (uint64_t)tcpx__sys_now();
    return n;
}

int tcpx__sys_sigaction(int number, const struct sigaction *action,
                        struct sigaction *old)
{
    ASK(sigaction, NULL);
    return result_int(sigaction(number, action, old));
}

int tcpx__sys_pipe(int fd[2], size_t size)
{
    ASK(pipe2, NULL);
    if (pipe2(fd, O_CLOEXEC | O_NONBLOCK))
        return -errno;
    /* A limit of the user's may refuse it; then the pipe is a smaller one. */
    fcntl(fd[0], F_SETPIPE_SZ, (int)size);
    return 0;
}

_Thread_local int tcpx__sys_is_forking;

int tcpx__sys_fork(void)
{
    int pid;

    ASK(fork, NULL);
    tcpx__sys_is_forking = 1;
    pid = result_int(fork());
    tcpx__sys_is_forking = 0;
    return pid;
}

void tcpx__sys_exit(int status)
{
    /* Not exit(3): the parent's buffers would be written twice. */
    _exit(status);
}

int tcpx__sys_close_range(unsigned first, unsigned last)
{
    ASK(close_range, NULL);
    return result_int((int)syscall(SYS_close_range, first, last, 0));
}

int tcpx__sys_pidfd_open(int pid)
{
    ASK(pidfd_open, NULL);
    return result_int((int)syscall(SYS_pidfd_open, pid, 0));
}

void tcpx__sys_kill(int pidfd, int pid)
{
    if (pidfd >= 0)
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    else
        kill(pid, SIGKILL);
}

int tcpx__sys_reap(int pidfd, int pid, int *status)
{
    siginfo_t info = {.si_pid = 0};

    ASK(waitid, NULL);
    /* Only ever this child: the program may have others of its own. */
    if (pidfd >= 0
            ? waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG)
            : waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG))
        return -errno;
    if (info.si_pid == 0)
        return 0;
    *status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8
                                         : info.si_status;
    return 1;
}

void *tcpx__sys_map_shared(size_t size)
{
    void *p;

    ASK_MEMORY(mmap);
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
             0);
    return p == MAP_FAILED ? NULL : p;
}

void tcpx__sys_unmap(void *p, size_t size)
{
    if (p)
        munmap(p, size);
}
