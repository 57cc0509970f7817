/* SPDX-License-Identifier: MIT */
/*
 * task.c - the running flow of control, and its last failure.
 */
#include "base/task.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/sys.h"
#include "base/util.h"

/* A thread runs in the world of lib/io/thread.c until a core says otherwise. */
extern const struct tcpx__world tcpx__world_thread;

_Thread_local tcpx_task *tcpx__task_current;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_made;

_Atomic uint32_t tcpx__forks;
_Atomic uint8_t tcpx__claim_mark = 1;
_Atomic int tcpx__is_forked;

void tcpx__task_end_running(tcpx_task *t)
{
    atomic_store(&t->ended, 1);
    tcpx__task_settle(t);
    tcpx__sys_close(atomic_exchange(&t->wake_fd, -1));
    tcpx__task_drop(t);
}

static void thread_ends(void *arg)
{
    tcpx__task_current = NULL;
    tcpx__task_end_running(arg);
}

/*
 * The child has this thread alone.  Its eventfd is one with the parent's: a
 * wake of the parent's task would be taken by the child, and the other way
 * round; and whoever looked at the task looks no more.
 */
static void renew_after_fork(void)
{
    uint32_t forks = atomic_fetch_add(&tcpx__forks, 1) + 1;

    atomic_store(&tcpx__claim_mark, (uint8_t)(forks % UINT8_MAX + 1));
    if (!tcpx__task_current)
        return;
    atomic_store(&tcpx__task_current->lookers, 0);
    tcpx__sys_close(atomic_exchange(&tcpx__task_current->wake_fd, -1));
}

static void note_fork(void)
{
    if (!tcpx__sys_is_forking)
        atomic_store(&tcpx__is_forked, 1);
}

static void prepare_process(void)
{
    key_made = pthread_key_create(&key, thread_ends) == 0;
    pthread_atfork(note_fork, NULL, renew_after_fork);
}

tcpx_task *tcpx__task_adopt_thread(void)
{
    tcpx_task *t;

    pthread_once(&once, prepare_process);
    if (!key_made)
        return NULL;
    t = tcpx__task_new(&tcpx__world_thread);
    if (t && tcpx__task_begin_thread(t)) {
        tcpx__task_drop(t);
        return NULL;
    }
    return t;
}

int tcpx__task_begin_thread(tcpx_task *t)
{
    int err = -pthread_setspecific(key, t);

    if (!err)
        tcpx__task_current = t;
    return err;
}

tcpx_task *tcpx__task_new(const struct tcpx__world *world)
{
    tcpx_task *t = tcpx__calloc(sizeof(*t));

    if (!t)
        return NULL;
    atomic_init(&t->refs, 1);
    atomic_init(&t->wake_fd, -1);
    pthread_mutex_init(&t->lock, NULL);
    tcpx__list_init(&t->scope);
    t->world = world;
    return t;
}

void tcpx__task_set(tcpx_task *t)
{
    tcpx__task_current = t;
}

void tcpx__task_retain(tcpx_task *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
}

void tcpx__task_drop(tcpx_task *t)
{
    /* Whoever frees must see what the others wrote before they let go. */
    if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    tcpx__free(t->failure.report);
    tcpx__free(t->failure.message);
    if (t->spawned && t->spawned->parent)
        tcpx__task_drop(t->spawned->parent);
    tcpx__free(t->spawned);
    pthread_mutex_destroy(&t->lock);
    tcpx__free(t);
}

void tcpx__task_settle_slowly(tcpx_task *t)
{
    while (atomic_load(&t->lookers) != 0)
        tcpx__sys_yield();
}

/* Starts the record of a failure; NULL if there is no task to keep it. */
static struct tcpx__failure *record(int err, const char *operation)
{
    tcpx_task *t = tcpx__task();
    struct tcpx__failure *f;

    if (!t)
        return NULL;
    f = &t->failure;
    f->err = err;
    f->operation = operation;
    f->peer_len = 0;
    f->text[0] = '\0';
    f->detail[0] = '\0';
    if (TCPX__UNLIKELY(f->report != NULL)) {
        tcpx__free(f->report);
        f->report = NULL;
    }
    return f;
}

/* Copies what fits, never half of a byte sequence that was escaped before. */
static void set_text(char *out, size_t cap, const char *text)
{
    size_t len = strlen(text);

    if (len < cap) {
        memcpy(out, text, len + 1);
        return;
    }
    memcpy(out, text, cap - 4);
    memcpy(out + cap - 4, "...", 4);
}

int tcpx__fail(int err, const char *operation, const char *subject)
{
    struct tcpx__failure *f = record(err, operation);

    if (f && subject)
        set_text(f->text, sizeof(f->text), subject);
    return err;
}

int tcpx__fail_because(int err, const char *operation, const char *subject,
                       const char *detail, ...)
{
    struct tcpx__failure *f = record(err, operation);
    va_list args;

    if (!f)
        return err;
    if (subject)
        set_text(f->text, sizeof(f->text), subject);
    va_start(args, detail);
    vsnprintf(f->detail, sizeof(f->detail), detail, args);
    va_end(args);
    return err;
}

int tcpx__refuse(const char *operation, const char *why)
{
    return tcpx__fail_because(-EINVAL, operation, NULL, "%s", why);
}

int tcpx__refuse_duration(const char *operation)
{
    return tcpx__refuse(operation, "a duration was passed as deadline; use "
                                   "tcpx_after()");
}

void tcpx__fail_detail(const char *detail, ...)
{
    tcpx_task *t = tcpx__task_current;
    va_list args;

    if (!t)
        return;
    va_start(args, detail);
    vsnprintf(t->failure.detail, sizeof(t->failure.detail), detail, args);
    va_end(args);
}

int tcpx__fail_at(int err, const char *operation, const struct sockaddr *peer,
                  socklen_t len)
{
    struct tcpx__failure *f = record(err, operation);

    if (f && peer && len <= sizeof(f->peer)) {
        memcpy(f->peer, peer, len);
        f->peer_len = len;
    }
    return err;
}

int tcpx__fail_report(int err, const char *operation, const char *subject,
                      char *report)
{
    struct tcpx__failure *f = record(err, operation);

    if (!f) {
        tcpx__free(report);
        return err;
    }
    set_text(f->text, sizeof(f->text), subject);
    f->report = report;
    return err;
}
