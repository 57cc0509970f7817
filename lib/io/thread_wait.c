/* SPDX-License-Identifier: MIT */
/*
 * thread_wait.c - a thread waits for several descriptors at once.
 */
#include "io/thread.h"

#include <errno.h>
#include "base/sys.h"
#include "base/util.h"

int tcpx__thread_wake_fd(tcpx_task *t)
{
    int fd = atomic_load(&t->wake_fd);

    if (fd < 0) {
        fd = tcpx__sys_eventfd();
        if (fd < 0)
            return -1;
        atomic_store(&t->wake_fd, fd);
    }
    return fd;
}

int tcpx__thread_poll(tcpx_task *t, struct pollfd *items, nfds_t n,
                      tcpx_time until)
{
    struct timespec left;
    struct timespec *limit = NULL;
    int rc;

    if (until != TCPX_FOREVER) {
        tcpx_time now = tcpx__sys_now();
        tcpx_time ns = until > now ? until - now : 0;

        left.tv_sec = (time_t)(ns / TCPX_SEC);
        left.tv_nsec = (long)(ns % TCPX_SEC);
        limit = &left;
    }
    rc = tcpx__sys_ppoll(items, n, limit);
    if (rc > 0 && items[n - 1].revents) {
        uint64_t count;

        tcpx__sys_read(items[n - 1].fd, &count, sizeof(count));
    }
    atomic_store(&t->sleeping, TCPX__AWAKE);
    return rc == -EINTR ? 0 : rc;
}

tcpx_time tcpx__thread_until(const tcpx_task *t, tcpx_time now,
                             tcpx_time deadline, int blind)
{
    tcpx_time until = deadline;

    if (TCPX__UNLIKELY(t->leash != NULL) && t->leash->until < until)
        until = t->leash->until;
    if (blind) {
        tcpx_time slice = TCPX__BLIND_SLICE << (blind - 1);

        if (now + slice < until)
            until = now + slice;
    }
    return until;
}

int tcpx__thread_blinder(int blind)
{
    return blind > 0 && blind < TCPX__BLIND_SLICES ? blind + 1 : blind;
}

int tcpx__thread_struck(tcpx_task *t, tcpx_time now)
{
    int code = atomic_load(&t->canceled);

    if (TCPX__LIKELY(code || !t->leash))
        return code;
    code = t->leash->look(t->leash, now);
    if (code)
        atomic_store(&t->canceled, code);
    return code;
}

/* Everything that one wait needs, on the stack for the usual few items. */
struct wait_set {
    struct pollfd *polls; /* n + 2: the leash's, and the task's own */
    int *slots;           /* of the items' handles; -1: unnamed */
    int blind;            /* somebody who cancels could not find this task:
                             1 and more, by the slices of its wait */
};

static void enter(struct wait_set *set, tcpx_task *t,
                  const struct tcpx__poll_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct tcpx__poll_item *item = &items[i];

        set->polls[i] = (struct pollfd){.fd = item->fd, .events = item->want};
        set->slots[i] = -1;
        if (item->handle) {
            set->slots[i] = tcpx__handle_enter(item->handle, t, 0);
            set->blind |= set->slots[i] < 0;
        }
    }
    set->polls[n].events = POLLIN;
    set->polls[n + 1] =
        (struct pollfd){.fd = tcpx__thread_wake_fd(t), .events = POLLIN};
    set->blind |= set->polls[n + 1].fd < 0;
}

static void leave(struct wait_set *set, tcpx_task *t,
                  const struct tcpx__poll_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i].handle)
            tcpx__handle_leave(items[i].handle, t, set->slots[i]);
    }
}

/* Counts what is ready, a canceled handle included: its next call says so. */
static int collect(const struct wait_set *set, struct tcpx__poll_item *items,
                   size_t n)
{
    int ready = 0;

    for (size_t i = 0; i < n; i++) {
        items[i].got = set->polls[i].revents; /* 0 without a descriptor */
        if (items[i].handle && tcpx__handle_canceled(items[i].handle))
            items[i].got |= POLLERR;
        ready += items[i].got != 0;
    }
    return ready;
}

static int wait_in_set(struct wait_set *set, tcpx_task *t,
                       struct tcpx__poll_item *items, size_t n,
                       tcpx_time deadline)
{
    for (;;) {
        tcpx_time now = tcpx__sys_now();
        tcpx_time until;
        uint32_t wakes;
        int ready;
        int code;
        int rc;

        atomic_store(&t->sleeping, TCPX__IN_POLL);
        ready = collect(set, items, n);
        wakes = atomic_load(&t->wakes);
        code = tcpx__thread_struck(t, now);
        until = ready || code || wakes != t->seen
                    ? TCPX_NOW
                    : tcpx__thread_until(t, now, deadline, set->blind);
        set->polls[n].fd = tcpx__thread_leash_fd(t);
        rc = tcpx__thread_poll(t, set->polls, (nfds_t)n + 2, until);
        set->blind = tcpx__thread_blinder(set->blind);
        if (rc < 0)
            return rc;
        ready = collect(set, items, n);
        if (ready)
            return ready;
        code = tcpx__thread_struck(t, tcpx__sys_now());
        if (code)
            return code;
        wakes = atomic_load(&t->wakes);
        if (wakes != t->seen) {
            t->seen = wakes;
            return 0;
        }
        if (deadline != TCPX_FOREVER && tcpx__sys_now() >= deadline)
            return TCPX_EDEADLINE;
    }
}

int tcpx__thread_wait(struct tcpx__poll_item *items, size_t n,
                      tcpx_time deadline)
{
    tcpx_task *t = tcpx__task();
    struct pollfd few_polls[10] = {{.fd = -1}};
    int few_slots[8];
    struct wait_set set = {.polls = few_polls, .slots = few_slots};
    void *memory = NULL;
    int rc;

    if (n > TCPX__COUNT(few_slots)) {
        memory = tcpx__malloc((n + 2) * (sizeof(struct pollfd) + sizeof(int)));
        if (!memory)
            return -ENOMEM;
        set.polls = memory;
        set.slots = (int *)(void *)(set.polls + n + 2);
    }
    enter(&set, t, items, n);
    for (size_t i = 0; i < n + 2; i++)
        set.polls[i].revents = 0;
    rc = wait_in_set(&set, t, items, n, deadline);
    atomic_store(&t->sleeping, TCPX__AWAKE);
    leave(&set, t, items, n);
    tcpx__free(memory);
    return rc;
}
