/* SPDX-License-Identifier: MIT */
/*
 * calls.c - a call of the library in a thread of its own, to be watched.
 */
#include "calls.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "support.h"

static const char block[65536];

tcpx_time thread_cpu_time(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * TCPX_SEC + ts.tv_nsec;
}

static ssize_t wait_for(struct call *call, unsigned want)
{
    tcpx_waitfor items[] = {TCPX_ON_CONN(call->c, want)};

    return tcpx_wait(items, 1, call->deadline);
}

/* What comes to the peer, and each probe of its window, makes room again. */
static ssize_t write_until_it_fails(struct call *call)
{
    ssize_t n;

    do
        n = tcpx_write(call->c, block, sizeof(block), call->deadline);
    while (n > 0);
    return n;
}

static ssize_t wait_until_it_fails(struct call *call)
{
    ssize_t n;

    do
        n = wait_for(call, TCPX_WRITABLE);
    while (n == 1 && tcpx_write(call->c, block, sizeof(block), TCPX_NOW) > 0);
    return n;
}

static ssize_t write_parts(struct call *call, char *buf, size_t len)
{
    struct iovec parts[] = {{buf, len / 2}, {buf + len / 2, len - len / 2}};

    return tcpx_writev(call->c, parts, 2, &call->done, call->deadline);
}

static ssize_t make(struct call *call, void *buf, size_t len)
{
    tcpx_conn *c = call->c;
    tcpx_time deadline = call->deadline;

    switch (call->kind) {
    case CALL_READ:
        return tcpx_read(c, buf, len, deadline);
    case CALL_READN:
        return tcpx_readn(c, buf, len, &call->done, deadline);
    case CALL_PEEK:
        return tcpx_peek(c, buf, len, deadline);
    case CALL_WAIT_READABLE:
        return wait_for(call, TCPX_READABLE);
    case CALL_WRITE:
        return write_until_it_fails(call);
    case CALL_WRITEN:
        return tcpx_writen(c, buf, len, &call->done, deadline);
    case CALL_WRITEV:
        return write_parts(call, buf, len);
    case CALL_WAIT_WRITABLE:
        return wait_until_it_fails(call);
    case CALL_FLUSH:
        return tcpx_flush(c, deadline);
    case CALL_CLOSE:
        return tcpx_close(c, deadline);
    case CALL_SLEEP:
        return tcpx_sleep(deadline);
    case CALL_ACCEPT:
        return tcpx_accept(&call->accepted, call->listener, deadline);
    default:
        abort();
    }
}

ssize_t call_make(struct call *call)
{
    size_t len = call->len ? call->len : 64;
    void *own = call->buf ? NULL : calloc(1, len);
    tcpx_time cpu = thread_cpu_time();

    call->result = make(call, call->buf ? call->buf : own, len);
    call->ended = tcpx_now();
    call->cpu_time = thread_cpu_time() - cpu;
    if (call->result < 0)
        snprintf(call->errmsg, sizeof(call->errmsg), "%s", tcpx_errmsg());
    free(own);
    return call->result;
}

static void *run(void *arg)
{
    struct call *call = arg;

    atomic_store(&call->task, tcpx_task_ref(tcpx_task_self()));
    atomic_store(&call->thread_id, (int)syscall(SYS_gettid));
    call_make(call);
    return NULL;
}

void call_begin(struct call *call)
{
    atomic_store(&call->thread_id, 0);
    call->thread = start_thread(run, call);
    while (!atomic_load(&call->thread_id))
        sched_yield();
}

ssize_t call_end(struct call *call)
{
    end_thread(call->thread);
    tcpx_task_unref(atomic_exchange(&call->task, NULL));
    return call->result;
}

/* The number of the system call that a thread of ours is in, -1 for none, or
   0 once the thread has ended. */
static long system_call_of(int thread_id)
{
    char path[64];
    char text[256] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", thread_id);
    file = fopen(path, "re");
    if (!file)
        return 0;
    if (!fgets(text, sizeof(text), file))
        text[0] = 'r';
    fclose(file);
    return text[0] == 'r' ? -1 : strtol(text, NULL, 10);
}

static int is_sleep(long number)
{
    switch (number) {
    case SYS_recvfrom:
    case SYS_ppoll:
    case SYS_futex:
        return 1;
    default:
        return 0;
    }
}

void until_asleep(struct call *call)
{
    tcpx_time limit = soon();

    for (;;) {
        long number = system_call_of(atomic_load(&call->thread_id));

        if (is_sleep(number))
            return;
        ck_assert_msg(number != 0, "the call ended with %zd: %s", call->result,
                      call->errmsg);
        ck_assert_msg(tcpx_now() < limit, "the call does not sleep");
        sched_yield();
    }
}

void await_arrival(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};

    ck_assert_msg(poll(&item, 1, 20000) == 1, "nothing arrived");
}

void await_failure(int fd)
{
    struct pollfd item = {.fd = fd};

    ck_assert_msg(poll(&item, 1, 20000) == 1, "it did not fail");
}

size_t fill_up(tcpx_conn *c)
{
    size_t total = 0;
    ssize_t n;

    while ((n = tcpx_write(c, block, sizeof(block), TCPX_NOW)) > 0)
        total += (size_t)n;
    ck_fails(n, TCPX_EDEADLINE);
    return total;
}

int raw_drain(int fd, size_t *count)
{
    static char dropped[65536];
    struct pollfd item = {.fd = fd, .events = POLLIN};

    *count = 0;
    for (;;) {
        ck_assert_msg(poll(&item, 1, 20000) == 1, "no end after %zu bytes",
                      *count);
        ssize_t n = recv(fd, dropped, sizeof(dropped), 0);

        if (n <= 0)
            return n < 0 ? -errno : 0;
        *count += (size_t)n;
    }
}
