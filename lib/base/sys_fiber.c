/* SPDX-License-Identifier: MIT */
/*
 * sys_fiber.c - the system calls of fibers: stacks, and epoll as an engine.
 */
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <tcpx/base.h>
#include <time.h>
#include <unistd.h>
#include "base/sys_ask.h"

/* Since Linux 6.13, by its number, which older headers lack. */
#define GUARD_INSTALL 102

int tcpx__sys_cpus(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

    return n > 0 ? n : 1;
}

size_t tcpx__sys_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

void *tcpx__sys_map_stacks(size_t size)
{
    void *p;

    ASK_MEMORY(mmap);
    p = mmap(NULL, size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    /* A huge page would make memory of 2 MiB where one page was touched. */
    madvise(p, size, MADV_NOHUGEPAGE);
    return p;
}

int tcpx__sys_guard(void *page, size_t size)
{
    ASK(mprotect, NULL);
    /* It splits no mapping, of which a process may have 65,530. */
    if (madvise(page, size, GUARD_INSTALL) == 0)
        return 0;
    return result_int(mprotect(page, size, PROT_NONE));
}

void tcpx__sys_drop_pages(void *p, size_t size)
{
    madvise(p, size, MADV_DONTNEED);
}

int tcpx__sys_epoll_ctl(int epoll, int operation, int fd, uint32_t events,
                        uint64_t data)
{
    struct epoll_event event = {.events = events, .data = {.u64 = data}};

    ASK(epoll_ctl, NULL);
    return result_int(epoll_ctl(epoll, operation, fd, &event));
}

/* Milliseconds, rounded up: too early would be a turn in vain. */
static int milliseconds(int64_t left)
{
    left = (left + TCPX_MSEC - 1) / TCPX_MSEC;
    return left > INT_MAX ? INT_MAX : (int)left;
}

/* A wait of so many nanoseconds; of milliseconds before Linux 5.11. */
static int wait_for(int epoll, struct epoll_event *events, int n, int64_t left)
{
    static _Atomic int is_coarse;
    struct timespec ts = {.tv_sec = (time_t)(left / TCPX_SEC),
                          .tv_nsec = (long)(left % TCPX_SEC)};
    long got = -1;

    if (!atomic_load_explicit(&is_coarse, memory_order_relaxed)) {
        got = syscall(SYS_epoll_pwait2, epoll, events, n, &ts, NULL, 0);
        /* EPERM: the word of an old filter for a call that it does not know. */
        if (got >= 0 || (errno != ENOSYS && errno != EPERM))
            return (int)got;
        atomic_store_explicit(&is_coarse, 1, memory_order_relaxed);
    }
    return epoll_wait(epoll, events, n, milliseconds(left));
}

int tcpx__sys_epoll_wait(int epoll, struct epoll_event *events, int n,
                         int64_t until)
{
    int64_t left = until;

    ASK(epoll_wait, NULL);
    if (until > 0 && until < INT64_MAX)
        left = until - tcpx__sys_now();
    if (left <= 0 || left == INT64_MAX)
        return result_int(epoll_wait(epoll, events, n, left <= 0 ? 0 : -1));
    return result_int(wait_for(epoll, events, n, left));
}
