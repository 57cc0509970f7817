/* SPDX-License-Identifier: MIT */
/*
 * model_fork.c - a process for each connection.
 *
 * The child holds its connection and the standard descriptors, and nothing
 * else of ours.  It looks to its own limits, waits for its client's end, leaves
 * what it did in a page that it shares with the parent, and is reaped by its
 * pidfd, never by waitpid(-1), which would take the program's own children.
 */
#include <errno.h>
#include <signal.h>
#include "net/close.h"
#include "server/server.h"

/* Without a pidfd, for the file table was full, a child is looked at so often.
 */
#define BLIND_LOOK (50 * TCPX_MSEC)

/* What a child leaves behind. */
struct record {
    uint64_t bytes_read;
    uint64_t bytes_written;
    int32_t outcome; /* enum tcpx__outcome; 0: it did not come to its end */
    int32_t error;
};

#define PAGE 4096
#define RECORDS ((PAGE - 64) / sizeof(struct record))

/* A page of records.  The first one's word tells children of a stop, and the
   parent of a handler that stops the server. */
struct page {
    union {
        struct {
            _Atomic int stops;
            _Atomic int asked; /* stops that handlers asked for */
        } word;
        char line[64];
    } head;
    struct record records[RECORDS];
};

_Static_assert(sizeof(struct page) <= PAGE, "a page is a page");

struct tcpx__child {
    int pid;
    int pidfd;
    int was_killed;
    struct record *record;
    struct tcpx__list in_free; /* while the record is unused */
};

struct forks {
    struct page **pages;
    size_t page_count;
    struct tcpx__list free; /* children without a process */
    int drain_fd;           /* readable once a stop began */
    int cancel_fd;          /* readable once handlers are canceled */
    int ask_fd;             /* readable once a handler asked for a stop */
    int heeded;             /* of those */
};

/* ---- the child ---- */

struct errand {
    struct tcpx__leash leash;
    struct tcpx__slot *slot;
    const struct forks *forks;
};

static int look(struct tcpx__leash *leash, tcpx_time now)
{
    struct errand *errand = TCPX__CONTAINER(leash, struct errand, leash);
    struct tcpx__slot *slot = errand->slot;
    int stops = atomic_load(slot->server->stops_shared);

    if (stops > 1)
        return tcpx__slot_strike(slot, TCPX_ECANCELED);
    /* The one that has told its news would wake every wait for ever. */
    leash->extra_fd =
        stops ? errand->forks->cancel_fd : errand->forks->drain_fd;
    if (tcpx__slot_is_over_limit(slot, now))
        return tcpx__slot_strike(slot, TCPX_ELIMIT);
    leash->until = tcpx__slot_limit_at(slot, now);
    return 0;
}

/* A child cannot give its connection to the program, which is its parent. */
static int refuse_to_take(struct tcpx__owner *owner)
{
    (void)owner;
    return -ENOTSUP;
}

static void ask_parent(tcpx_server *s)
{
    static const uint64_t one = 1;
    struct forks *f = s->model_data;

    atomic_fetch_add(&f->pages[0]->head.word.asked, 1);
    tcpx__sys_write(f->ask_fd, &one, sizeof(one));
}

/* Descriptors to be closed, which lie beside each other if the program did not
   come between: a run of them costs one call, and not one for each client. */
#define MARKS 16384
struct marks {
    uint64_t words[MARKS / 64];
};

static void mark(struct marks *marks, int fd)
{
    if (fd >= MARKS)
        tcpx__sys_close(fd);
    else if (fd >= 0)
        marks->words[fd / 64] |= UINT64_C(1) << (fd % 64);
}

static int is_marked(const struct marks *marks, int fd)
{
    return fd < MARKS && (marks->words[fd / 64] >> (fd % 64) & 1);
}

static void close_run(int first, int last)
{
    if (first < last &&
        tcpx__sys_close_range((unsigned)first, (unsigned)last) == 0)
        return;
    for (int fd = first; fd <= last; fd++)
        tcpx__sys_close(fd);
}

static void close_marked(const struct marks *marks)
{
    for (int fd = 0; fd < MARKS; fd++) {
        int first = fd;

        if (!marks->words[fd / 64]) {
            fd |= 63;
            continue;
        }
        while (is_marked(marks, fd))
            fd++;
        if (fd > first)
            close_run(first, fd - 1);
    }
}

static void close_what_is_not_its_own(tcpx_server *s,
                                      const struct tcpx__slot *own)
{
    struct marks marks = {.words = {0}};

    for (size_t i = 0; i < s->door_count; i++) {
        if (s->doors[i].is_open)
            mark(&marks, s->doors[i].listener->h.fd);
    }
    mark(&marks, s->watch);
    for (struct tcpx__list *node = s->all.next; node != &s->all;
         node = node->next) {
        const struct tcpx__slot *slot =
            TCPX__LIST_ENTRY(node, struct tcpx__slot, in_all);

        if (slot == own)
            continue;
        mark(&marks, slot->child ? slot->child->pidfd : slot->conn->h.fd);
    }
    close_marked(&marks);
}

/* A crash must be a reset, and not look like a clean end: so it stands from
   the start, and is taken back for the graceful close. */
static int reset_on_crash(const tcpx_conn *c, int on)
{
    struct linger how = {.l_onoff = on, .l_linger = 0};

    return tcpx__sys_setsockopt(c->h.fd, SOL_SOCKET, SO_LINGER, &how,
                                sizeof(how));
}

static void be_child(tcpx_server *s, struct tcpx__slot *slot,
                     struct record *record)
{
    struct errand errand = {.leash = {.look = look, .extra_fd = -1},
                            .slot = slot,
                            .forks = s->model_data};

    close_what_is_not_its_own(s, slot);
    slot->owner.take = refuse_to_take;
    s->stop_elsewhere = ask_parent;
    reset_on_crash(slot->conn, 1);
    tcpx__task()->leash = &errand.leash;
    tcpx__slot_handle(slot);
    /* If it cannot be taken back, FIN has to be out before the close. */
    if (reset_on_crash(slot->conn, 0) && !tcpx__conn_is_incomplete(slot->conn))
        tcpx__conn_finish_sending(slot->conn);
    record->bytes_read = tcpx_conn_bytes_read(slot->conn);
    record->bytes_written = tcpx_conn_bytes_written(slot->conn);
    tcpx__slot_finish(slot, 1);
    record->error = slot->error;
    record->outcome = slot->outcome;
    tcpx__sys_exit(0);
}

/* ---- the parent ---- */

static int more_children(struct forks *f)
{
    size_t n = f->page_count + 1;
    struct page **pages = tcpx__realloc(f->pages, n * sizeof(struct page *));
    struct page *page;

    if (!pages)
        return -ENOMEM;
    f->pages = pages;
    page = tcpx__sys_map_shared(PAGE);
    if (!page)
        return -ENOMEM;
    f->pages[f->page_count++] = page;
    for (size_t i = 0; i < RECORDS; i++) {
        struct tcpx__child *child = tcpx__calloc(sizeof(*child));

        if (!child)
            return tcpx__list_is_empty(&f->free) ? -ENOMEM : 0;
        child->record = &page->records[i];
        tcpx__list_append(&f->free, &child->in_free);
    }
    return 0;
}

static void fork_end(tcpx_server *s)
{
    struct forks *f = s->model_data;
    struct tcpx__list *node;

    while ((node = tcpx__list_pop(&f->free)))
        tcpx__free(TCPX__LIST_ENTRY(node, struct tcpx__child, in_free));
    s->stops_shared = NULL;
    for (size_t i = 0; i < f->page_count; i++)
        tcpx__sys_unmap(f->pages[i], PAGE);
    tcpx__free(f->pages);
    tcpx__sys_close(f->drain_fd);
    tcpx__sys_close(f->cancel_fd);
    tcpx__sys_close(f->ask_fd);
    tcpx__free(f);
    s->model_data = NULL;
}

static int fork_begin(tcpx_server *s)
{
    struct forks *f = tcpx__calloc(sizeof(*f));
    int err;

    if (!f)
        return -ENOMEM;
    tcpx__list_init(&f->free);
    s->model_data = f;
    f->drain_fd = tcpx__sys_eventfd();
    f->cancel_fd = tcpx__sys_eventfd();
    f->ask_fd = tcpx__sys_eventfd();
    err = f->drain_fd < 0 ? f->drain_fd : f->cancel_fd < 0 ? f->cancel_fd : 0;
    if (!err && f->ask_fd < 0)
        err = f->ask_fd;
    if (!err)
        err = tcpx__sys_epoll_add(s->watch, f->ask_fd, NULL);
    if (!err)
        err = more_children(f);
    if (err)
        fork_end(s);
    else
        s->stops_shared = &f->pages[0]->head.word.stops;
    return err;
}

static int always(const tcpx_server *s)
{
    (void)s;
    return 1;
}

/* The child has the connection; a copy here would keep it open after the
   child's end. */
static void let_go(struct tcpx__slot *slot)
{
    slot->conn->owner = NULL;
    tcpx__conn_dispose(slot->conn, 0);
}

static void watch(tcpx_server *s, struct tcpx__slot *slot)
{
    struct tcpx__child *child = slot->child;

    child->pidfd = tcpx__sys_pidfd_open(child->pid);
    if (child->pidfd >= 0 &&
        tcpx__sys_epoll_add(s->watch, child->pidfd, slot)) {
        tcpx__sys_close(child->pidfd);
        child->pidfd = -1;
    }
    if (child->pidfd < 0)
        tcpx__heap_set(&s->timers, &slot->timer, tcpx_after(BLIND_LOOK));
}

static int fork_dispatch(tcpx_server *s, struct tcpx__slot *slot)
{
    struct forks *f = s->model_data;
    struct tcpx__child *child;
    int err = 0;
    int pid;

    if (tcpx__list_is_empty(&f->free))
        err = more_children(f);
    if (err)
        return err;
    child = TCPX__LIST_ENTRY(f->free.next, struct tcpx__child, in_free);
    *child->record = (struct record){.outcome = 0};
    pid = tcpx__sys_fork();
    if (pid < 0)
        return pid;
    if (pid == 0)
        be_child(s, slot, child->record);
    tcpx__list_remove(&child->in_free);
    child->pid = pid;
    child->was_killed = 0;
    slot->child = child;
    atomic_store(&slot->state, TCPX__SLOT_RUNNING);
    let_go(slot);
    watch(s, slot);
    return 0;
}

/* What the child left, or what became of it before it could. */
static void note_outcome(tcpx_server *s, struct tcpx__slot *slot)
{
    const struct tcpx__child *child = slot->child;
    const struct record *record = child->record;
    int by_signal = slot->reason > 0 && (slot->reason & 0x7f);

    if (record->outcome) {
        slot->outcome = record->outcome;
        slot->error = record->error;
    } else {
        slot->outcome = child->was_killed ? TCPX__CANCELED : TCPX__FAILED;
        slot->error = child->was_killed ? TCPX_ECANCELED : -ECONNRESET;
    }
    if (by_signal && !child->was_killed)
        tcpx__server_count(s, TCPX__N_CRASHED, 1);
    tcpx__server_count(s, TCPX__N_BYTES_READ, record->bytes_read);
    tcpx__server_count(s, TCPX__N_BYTES_WRITTEN, record->bytes_written);
}

static void fork_watched(tcpx_server *s, struct tcpx__slot *slot)
{
    struct forks *f = s->model_data;
    struct tcpx__child *child = slot->child;
    int status = 0;
    int rc = tcpx__sys_reap(child->pidfd, child->pid, &status);

    if (rc == 0) {
        if (child->pidfd < 0)
            tcpx__heap_set(&s->timers, &slot->timer, tcpx_after(BLIND_LOOK));
        return;
    }
    if (child->pidfd >= 0) {
        tcpx__sys_epoll_remove(s->watch, child->pidfd);
        tcpx__sys_close(child->pidfd);
    }
    /* ECHILD: the program ignores SIGCHLD, or its handler took the status. */
    slot->reason = rc < 0 ? -1 : status;
    note_outcome(s, slot);
    slot->child = NULL;
    tcpx__list_append(&f->free, &child->in_free);
    tcpx__server_tell(s, TCPX_EVENT_HANDLER_ENDED, slot->error, slot->reason,
                      slot->conn);
    tcpx__slot_end(slot);
}

static void fork_heed(tcpx_server *s)
{
    struct forks *f = s->model_data;
    uint64_t count;
    int asked;

    tcpx__sys_read(f->ask_fd, &count, sizeof(count));
    asked = atomic_load(&f->pages[0]->head.word.asked);
    atomic_fetch_add(&s->stops, asked - f->heeded);
    f->heeded = asked;
}

static void tell_children(tcpx_server *s, int stops, int fd)
{
    static const uint64_t one = 1;

    if (atomic_load(s->stops_shared) < stops) {
        atomic_store(s->stops_shared, stops);
        tcpx__sys_write(fd, &one, sizeof(one));
    }
}

static void fork_drain(tcpx_server *s)
{
    tell_children(s, 1, ((struct forks *)s->model_data)->drain_fd);
}

static void fork_cancel(tcpx_server *s, struct tcpx__slot *slot, int code,
                        int hard)
{
    struct forks *f = s->model_data;

    (void)code;
    /* A child that has not seen the drain still waits for it: both. */
    tell_children(s, 1, f->drain_fd);
    tell_children(s, 2, f->cancel_fd);
    if (hard && slot->child) {
        slot->child->was_killed = 1;
        tcpx__sys_kill(slot->child->pidfd, slot->child->pid);
    }
}

const struct tcpx__model tcpx__model_fork = {
    .name = "fork",
    .keeps_limits = 1,
    .begin = fork_begin,
    .end = fork_end,
    .has_room = always,
    .dispatch = fork_dispatch,
    .watched = fork_watched,
    .heed = fork_heed,
    .cancel = fork_cancel,
    .drain = fork_drain,
};
