/* SPDX-License-Identifier: MIT */
/*
 * kernel.h - recv and send without the C library's ceremony; for sys.c alone.
 *
 * In the C library both are places where pthread_cancel(3) may end the thread.
 * Preparing for that takes more instructions than all the rest of a read or
 * write here, for a thread that would leave its connection claimed for ever.
 * So the kernel is asked directly, whose answer is a count or -errno already.
 *
 * Not where somebody watches the C library's functions: sanitizers, and with
 * TCPX_DIRECT_CALLS off whatever LD_PRELOAD puts before them.  The test build
 * goes by the C library too, so that both ways are tested.
 */
#ifndef TCPX_BASE_KERNEL_H
#define TCPX_BASE_KERNEL_H

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>

#if defined(TCPX_NO_DIRECT_CALLS) || defined(TCPX_TESTING) ||                  \
    defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TCPX__WATCHED 1
#elif defined(__has_feature) /* clang's word for it */
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||     \
    __has_feature(thread_sanitizer)
#define TCPX__WATCHED 1
#endif
#endif

#if defined(__x86_64__) && defined(__LP64__) && !defined(TCPX__WATCHED)
#define TCPX__ASK_KERNEL 1
static inline ssize_t tcpx__ask_kernel(long number, int fd, const void *buf,
                                       size_t len, int flags)
{
    register long r10 __asm__("r10") = flags;
    register long r8 __asm__("r8") = 0;
    register long r9 __asm__("r9") = 0;
    long answer;

    __asm__ volatile("syscall"
                     : "=a"(answer)
                     : "a"(number), "D"((long)fd), "S"(buf), "d"(len), "r"(r10),
                       "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return answer;
}
#elif defined(__aarch64__) && defined(__LP64__) && !defined(TCPX__WATCHED)
#define TCPX__ASK_KERNEL 1
static inline ssize_t tcpx__ask_kernel(long number, int fd, const void *buf,
                                       size_t len, int flags)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = fd;
    register const void *x1 __asm__("x1") = buf;
    register size_t x2 __asm__("x2") = len;
    register long x3 __asm__("x3") = flags;
    register long x4 __asm__("x4") = 0;
    register long x5 __asm__("x5") = 0;

    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#endif

static inline ssize_t tcpx__kernel_recv(int fd, void *buf, size_t len,
                                        int flags)
{
#ifdef TCPX__ASK_KERNEL
    return tcpx__ask_kernel(SYS_recvfrom, fd, buf, len, flags);
#else
    ssize_t n = recv(fd, buf, len, flags);

    return n < 0 ? -errno : n;
#endif
}

static inline ssize_t tcpx__kernel_send(int fd, const void *buf, size_t len,
                                        int flags)
{
#ifdef TCPX__ASK_KERNEL
    return tcpx__ask_kernel(SYS_sendto, fd, buf, len, flags);
#else
    ssize_t n = send(fd, buf, len, flags);

    return n < 0 ? -errno : n;
#endif
}

#endif
