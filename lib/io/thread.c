/* SPDX-License-Identifier: MIT */
/*
 * thread.c - the world of a task that is a thread of its own.
 *
 * Descriptors stay blocking.  A receive sleeps in recv(2) itself, its limit
 * kept in SO_RCVTIMEO, which is free while it need not change; everything else
 * tries without waiting and sleeps in ppoll(2) beside the task's eventfd.
 */
#include "io/thread.h"
#include <errno.h>
#include <poll.h>
#include <sys/time.h>
#include "base/sys.h"
#include "base/util.h"
#include "io/world.h"

/* SO_RCVTIMEO is counted in ticks, and may end two of them late: 20 ms of the
   slowest clock.  Times over WHEEL are kept on a wheel whose spokes are up to
   8/63 of the time apart; below, that is within the two ticks. */
#define TICKS (20 * TCPX_MSEC)
#define WHEEL (INT64_C(1) << 27)
#define SHORTEST_SLEEP (INT64_C(1) << 24)

/*
 * Why a wait on h must end: its own cancel, or the task's, which takes a
 * connection with it; a listener serves others.
 */
static int struck(struct tcpx__handle *h, tcpx_task *t, tcpx_time now)
{
    int code = tcpx__thread_struck(t, now);

    if (TCPX__UNLIKELY(code)) {
        if (h->flags & TCPX__LISTENER)
            return code;
        tcpx__handle_cancel(h, code);
    }
    return tcpx__handle_canceled(h);
}

static int thread_await(struct tcpx__handle *h, short events,
                        tcpx_time deadline)
{
    tcpx_task *t = tcpx__task();
    struct pollfd items[3] = {
        {.fd = h->fd, .events = events},
        {.fd = -1, .events = POLLIN}, /* the leash's */
        {.fd = tcpx__thread_wake_fd(t), .events = POLLIN}};
    int slot = tcpx__handle_enter(h, t, !(h->flags & TCPX__LISTENER));
    int blind = slot < 0 || items[2].fd < 0;
    int err = 0;

    for (;;) {
        tcpx_time now = tcpx__sys_now();
        int rc;

        atomic_store(&t->sleeping, TCPX__IN_POLL);
        /* A task that was canceled takes h along only if it would wait. */
        err = now < deadline ? struck(h, t, now) : tcpx__handle_canceled(h);
        if (!err && now >= deadline)
            err = TCPX_EDEADLINE;
        if (err)
            break;
        items[1].fd = tcpx__thread_leash_fd(t);
        rc = tcpx__thread_poll(t, items, 3,
                               tcpx__thread_until(t, now, deadline, blind));
        blind = tcpx__thread_blinder(blind);
        if (rc < 0) {
            err = rc;
            break;
        }
        if (items[0].revents) {
            err = struck(h, t, now);
            break;
        }
    }
    atomic_store(&t->sleeping, TCPX__AWAKE);
    tcpx__handle_leave(h, t, slot);
    return err;
}

/* How long a sleep of that SO_RCVTIMEO may last. */
static inline tcpx_time at_worst(tcpx_time timeout)
{
    return timeout + TICKS + (timeout > WHEEL ? timeout / 7 : 0);
}

/*
 * Whether the SO_RCVTIMEO in force will do for a wait of `left`, which is not
 * TCPX_FOREVER.  It is changed only if it is too long or under a quarter of
 * what remains: a constant timeout then never costs a system call, an absolute
 * deadline one for each halving.
 */
static inline int is_armed(const struct tcpx__handle *h, tcpx_time left)
{
    int64_t in_force = h->receive_timeout; /* 0: none, -1: unknown */

    return in_force > 0 && in_force >= left / 4 && in_force < left &&
           at_worst(in_force) <= left;
}

/*
 * Sees to it that SO_RCVTIMEO ends a receive at the deadline at the latest: the
 * largest power of two that ends in time even at worst, and the rest of the
 * wait has another one.  Returns 0, or -1 if polling must do, which is exact.
 */
static int arm_timeout(struct tcpx__handle *h, tcpx_time left)
{
    int64_t wanted = 0;
    struct timeval tv;

    if (left == TCPX_FOREVER) {
        if (h->receive_timeout == 0)
            return 0;
    } else {
        if (left < at_worst(SHORTEST_SLEEP))
            return -1;
        if (is_armed(h, left))
            return 0;
        wanted = INT64_C(1) << (63 - __builtin_clzll((uint64_t)left));
        while (at_worst(wanted) > left)
            wanted /= 2;
    }
    tv.tv_sec = (time_t)(wanted / TCPX_SEC);
    tv.tv_usec = (suseconds_t)(wanted % TCPX_SEC / TCPX_USEC);
    if (tcpx__sys_setsockopt(h->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)))
        return -1;
    h->receive_timeout = wanted;
    return 0;
}

/* Tries for a while before a sleep: a wake-up of a CPU that was halted costs
   more than the wait for an answer that is under way. */
static ssize_t spin(struct tcpx__handle *h, void *buf, size_t len,
                    tcpx_time deadline)
{
    tcpx_time now = tcpx__sys_now();
    tcpx_time until = now + h->spin;

    if (until > deadline)
        until = deadline;
    for (;;) {
        ssize_t n = tcpx__sys_recv(h->fd, buf, len, MSG_DONTWAIT);

        if (n != -EAGAIN && n != -EINTR)
            return tcpx__recv_verdict(h, n);
        if (tcpx__handle_canceled(h) ||
            atomic_load_explicit(&tcpx__task()->canceled,
                                 memory_order_relaxed) ||
            tcpx__sys_now() >= until)
            return -EAGAIN;
    }
}

/*
 * One recv(2) that sleeps.  The task names itself where a cancel of it looks;
 * a cancel of h needs no name here, for SHUT_RD ends the call.
 */
static inline ssize_t recv_asleep(struct tcpx__handle *h, tcpx_task *t,
                                  void *buf, size_t len)
{
    int flags = 0;
    ssize_t n;

    atomic_store(&t->waiting, h);
    if (TCPX__UNLIKELY(atomic_load(&t->canceled)))
        flags = MSG_DONTWAIT;
    n = tcpx__sys_recv(h->fd, buf, len, flags);
    atomic_store(&t->waiting, NULL);
    tcpx__task_settle(t);
    return n;
}

/* What a sleep that gave no bytes says; a task that was canceled takes h
   along. */
static ssize_t recv_says(struct tcpx__handle *h, tcpx_task *t, ssize_t n)
{
    int canceled = n == -EAGAIN ? atomic_load(&t->canceled) : 0;

    if (canceled)
        tcpx__handle_cancel(h, canceled);
    return tcpx__recv_verdict(h, n);
}

/* Whether t may sleep in recv(2) on h: nobody else has the open file, it is as
   it was left, and t has nothing to look at meanwhile. */
static inline int may_sleep(const struct tcpx__handle *h, const tcpx_task *t)
{
    return !tcpx__handle_has(h,
                             TCPX__SHARED | TCPX__NONBLOCK | TCPX__MISTRUST) &&
           !tcpx__handle_is_inherited(h) && !t->leash;
}

/* A receive that has something to prepare, or to find out about. */
static TCPX__APART ssize_t recv_with_care(struct tcpx__handle *h, void *buf,
                                          size_t len, tcpx_time deadline)
{
    tcpx_task *t = tcpx__task();
    tcpx_time left = TCPX_FOREVER;
    tcpx_time now = 0;

    if (h->spin != 0 && deadline > 0) {
        ssize_t n = spin(h, buf, len, deadline);

        if (n != -EAGAIN)
            return n;
    }
    for (;;) {
        ssize_t n;

        if (!may_sleep(h, t) || deadline <= 0)
            return tcpx__ready_recv(h, buf, len, deadline);
        if (deadline != TCPX_FOREVER) {
            now = tcpx__sys_now();
            left = deadline - now;
        }
        if (arm_timeout(h, left))
            return tcpx__ready_recv(h, buf, len, deadline);
        n = recv_says(h, t, recv_asleep(h, t, buf, len));
        if (n != -EAGAIN && n != -EINTR)
            return n;
        /* Far too early: whoever shares the socket changed its timeout, or
           made it non-blocking. */
        if (n == -EAGAIN && (deadline == TCPX_FOREVER ||
                             tcpx__sys_now() - now < h->receive_timeout / 2))
            atomic_fetch_or(&h->flags, TCPX__MISTRUST);
    }
}

/* What follows a receive that gave no bytes: its result, or another one. */
static TCPX__APART ssize_t recv_gave_none(struct tcpx__handle *h, void *buf,
                                          size_t len, tcpx_time deadline,
                                          ssize_t n)
{
    n = recv_says(h, tcpx__task_current, n);
    if (n != -EAGAIN && n != -EINTR)
        return n;
    return recv_with_care(h, buf, len, deadline);
}

static TCPX__APART ssize_t recv_until(struct tcpx__handle *h, void *buf,
                                      size_t len, tcpx_time deadline)
{
    tcpx_task *t = tcpx__task_current;
    ssize_t n;

    if (TCPX__UNLIKELY(deadline <= 0 || h->spin != 0 || !may_sleep(h, t) ||
                       !is_armed(h, deadline - tcpx__sys_now())))
        return recv_with_care(h, buf, len, deadline);
    n = recv_asleep(h, t, buf, len);
    return TCPX__LIKELY(n > 0) ? n : recv_gave_none(h, buf, len, deadline, n);
}

static TCPX__APART ssize_t recv_forever(struct tcpx__handle *h, void *buf,
                                        size_t len)
{
    tcpx_task *t = tcpx__task_current;
    ssize_t n;

    if (TCPX__UNLIKELY(h->receive_timeout != 0 || h->spin != 0 ||
                       !may_sleep(h, t)))
        return recv_with_care(h, buf, len, TCPX_FOREVER);
    n = recv_asleep(h, t, buf, len);
    return TCPX__LIKELY(n > 0) ? n
                               : recv_gave_none(h, buf, len, TCPX_FOREVER, n);
}

/* The two are apart, for each needs fewer registers than both in one. */
static ssize_t thread_recv(struct tcpx__handle *h, void *buf, size_t len,
                           tcpx_time deadline)
{
    return deadline == TCPX_FOREVER ? recv_forever(h, buf, len)
                                    : recv_until(h, buf, len, deadline);
}

/* Sleeps until the count of wakes is no longer `wakes`, or until then. */
static void sleep_until_woken(tcpx_task *t, uint32_t wakes, tcpx_time until)
{
    struct pollfd items[2] = {
        {.fd = tcpx__thread_leash_fd(t), .events = POLLIN},
        {.fd = -1, .events = POLLIN}};

    if (TCPX__LIKELY(items[0].fd < 0)) {
        tcpx__sys_futex_wait(&t->wakes, wakes, until);
        return;
    }
    items[1].fd = tcpx__thread_wake_fd(t);
    atomic_store(&t->sleeping, TCPX__IN_POLL);
    if (atomic_load(&t->wakes) == wakes)
        tcpx__thread_poll(
            t, items, 2,
            tcpx__thread_until(t, tcpx__sys_now(), until, items[1].fd < 0));
}

static int thread_park(tcpx_time deadline)
{
    tcpx_task *t = tcpx__task();
    int err = 0;

    for (;;) {
        tcpx_time now = deadline > 0 ? tcpx__sys_now() : 0;
        uint32_t wakes;

        atomic_store(&t->sleeping, TCPX__IN_FUTEX);
        wakes = atomic_load(&t->wakes);
        if (wakes != t->seen) {
            t->seen = wakes;
            break;
        }
        err = deadline <= 0 || now >= deadline ? TCPX_EDEADLINE
                                               : tcpx__thread_struck(t, now);
        if (err)
            break;
        sleep_until_woken(t, wakes, tcpx__thread_until(t, now, deadline, 0));
    }
    atomic_store(&t->sleeping, TCPX__AWAKE);
    return err;
}

static void thread_unpark(tcpx_task *t)
{
    static const uint64_t one = 1;

    atomic_fetch_add(&t->lookers, 1);
    if (!atomic_load(&t->ended)) {
        int fd;

        atomic_fetch_add(&t->wakes, 1);
        switch (atomic_load(&t->sleeping)) {
        case TCPX__IN_FUTEX:
            tcpx__sys_futex_wake(&t->wakes);
            break;
        case TCPX__IN_POLL:
            /* A full eventfd says EAGAIN and is readable all the same. */
            fd = atomic_load(&t->wake_fd);
            if (fd >= 0)
                tcpx__sys_write(fd, &one, sizeof(one));
            break;
        default:
            break;
        }
    }
    atomic_fetch_sub(&t->lookers, 1);
}

static void thread_forget(struct tcpx__handle *h)
{
    (void)h; /* a thread remembers nothing of a descriptor between calls */
}

static void thread_close(struct tcpx__handle *h)
{
    tcpx__sys_close(h->fd);
}

static void *run_spawned(void *arg)
{
    tcpx_task *t = arg;

    /* The task was counted for this thread, whose end gives it up. */
    if (tcpx__task_begin_thread(t)) {
        tcpx__task_set(t);
        tcpx__task_run(t);
        tcpx__task_set(NULL);
        tcpx__task_end_running(t);
    } else {
        tcpx__task_run(t);
    }
    return NULL;
}

static int thread_spawn(tcpx_task *t)
{
    struct tcpx__spawned *s = t->spawned;
    size_t stack = s->stack_size ? s->stack_size : TCPX__STACK_SIZE;

    if (s->is_detached)
        return tcpx__sys_thread(run_spawned, t, stack);
    return tcpx__sys_thread_start(&s->thread, run_spawned, t, stack);
}

static void thread_reap(tcpx_task *t)
{
    tcpx__sys_thread_join(t->spawned->thread);
}

static void thread_disown(tcpx_task *t)
{
    (void)t;
    tcpx__sys_thread_detach();
}

const struct tcpx__world tcpx__world_thread = {
    .name = "thread",
    .await = thread_await,
    .recv = thread_recv,
    .send = tcpx__ready_send,
    .sendfile = tcpx__ready_sendfile,
    .splice = tcpx__ready_splice,
    .accept = tcpx__ready_accept,
    .connect_begin = tcpx__ready_connect_begin,
    .connect_result = tcpx__ready_connect_result,
    .wait = tcpx__thread_wait,
    .forget = thread_forget,
    .close = thread_close,
    .park = thread_park,
    .yield = tcpx__sys_yield,
    .unpark = thread_unpark,
    .spawn = thread_spawn,
    .reap = thread_reap,
    .disown = thread_disown,
};
