/* SPDX-License-Identifier: MIT */
/*
 * model_fiber.c - a fiber for each connection, on a few cores.
 *
 * The supervisor is a fiber itself, on the first core, which is the thread that
 * runs the server.  Clients go to the core with the fewest.  One that goes to
 * another core than the first is laid in that one's list, and its keeper, the
 * fiber that keeps a core alive between clients, starts the handler there.
 */
#include <errno.h>
#include <tcpx/task.h>
#include "io/engine.h"
#include "net/task.h"
#include "server/server.h"

/* A core without memory for a handler's stack tries again after so long. */
#define SHORT_OF_MEMORY (10 * TCPX_MSEC)

struct place {
    tcpx_server *server;
    struct tcpx__core core; /* but of the first place */
    pthread_t thread;
    _Atomic int load; /* clients whose handlers have not ended */

    pthread_mutex_t lock;  /* guards what follows */
    pthread_cond_t opened; /* result is there */
    struct tcpx__list new_slots;
    tcpx_task *keeper; /* while it runs */
    int has_opened;
    int result; /* of opening the core */
    int ends;
};

struct fibers {
    int count;
    int started;
    struct place places[];
};

static void run_slot(void *arg)
{
    struct tcpx__slot *slot = arg;
    struct place *place = slot->place;

    tcpx__slot_handle(slot);
    tcpx__slot_finish(slot, 0);
    atomic_fetch_sub(&place->load, 1);
    tcpx__slot_done(slot);
}

/* Starts the slot's handler on the calling task's core. */
static int start_slot(struct tcpx__slot *slot)
{
    struct tcpx__core *core = tcpx__task()->fiber->core;
    size_t stack = (size_t)slot->server->opts.stack_size;
    tcpx_task *t = tcpx__task_create(core->world, run_slot, slot, stack);
    int err;

    if (!t)
        return -ENOMEM;
    t->spawned->is_detached = 1; /* the slot tells of its end */
    err = tcpx__fiber_start(core, t, stack);
    if (err)
        tcpx__task_drop(t);
    return err;
}

/* ---- the other cores ---- */

static struct tcpx__slot *next_slot(struct place *place)
{
    struct tcpx__list *node;

    pthread_mutex_lock(&place->lock);
    node = tcpx__list_pop(&place->new_slots);
    pthread_mutex_unlock(&place->lock);
    return node ? TCPX__LIST_ENTRY(node, struct tcpx__slot, in_queue) : NULL;
}

static int is_over(struct place *place)
{
    int over;

    pthread_mutex_lock(&place->lock);
    over = place->ends && tcpx__list_is_empty(&place->new_slots);
    pthread_mutex_unlock(&place->lock);
    return over;
}

static void keep(void *arg)
{
    struct place *place = arg;
    tcpx_task *self = tcpx__task();
    struct tcpx__slot *slot;

    while (!is_over(place)) {
        while ((slot = next_slot(place))) {
            while (start_slot(slot))
                tcpx_sleep(tcpx_after(SHORT_OF_MEMORY));
        }
        if (!is_over(place))
            self->world->park(TCPX_FOREVER);
    }
    /* Nobody wakes it from here on. */
    pthread_mutex_lock(&place->lock);
    place->keeper = NULL;
    pthread_mutex_unlock(&place->lock);
}

static int open_core(struct place *place)
{
    const tcpx_server_opts *o = &place->server->opts;
    size_t stack = (size_t)o->stack_size;
    int err = tcpx__task() ? tcpx__core_open(&place->core, o->engine, stack)
                           : -ENOMEM;

    if (err)
        return err;
    place->keeper = tcpx__task_create(place->core.world, keep, place, stack);
    err = place->keeper ? tcpx__fiber_start(&place->core, place->keeper, stack)
                        : -ENOMEM;
    if (!err)
        return 0;
    if (place->keeper)
        tcpx__task_drop(place->keeper);
    place->keeper = NULL;
    tcpx__core_close(&place->core);
    return err;
}

static void *run_place(void *arg)
{
    struct place *place = arg;
    int err = open_core(place);

    pthread_mutex_lock(&place->lock);
    place->result = err;
    place->has_opened = 1;
    pthread_cond_signal(&place->opened);
    pthread_mutex_unlock(&place->lock);
    if (err)
        return NULL;
    tcpx__core_run(&place->core);
    tcpx__core_close(&place->core);
    return NULL;
}

static int start_place(struct place *place)
{
    int err = tcpx__sys_thread_start(&place->thread, run_place, place,
                                     TCPX__STACK_SIZE);

    if (err)
        return err;
    pthread_mutex_lock(&place->lock);
    while (!place->has_opened)
        pthread_cond_wait(&place->opened, &place->lock);
    err = place->result;
    pthread_mutex_unlock(&place->lock);
    if (err)
        tcpx__sys_thread_join(place->thread);
    return err;
}

static void end_place(struct place *place)
{
    pthread_mutex_lock(&place->lock);
    place->ends = 1;
    if (place->keeper)
        tcpx__unpark(place->keeper);
    pthread_mutex_unlock(&place->lock);
    tcpx__sys_thread_join(place->thread);
}

/* ---- the model ---- */

static void fiber_end(tcpx_server *s)
{
    struct fibers *f = s->model_data;

    for (int i = 1; i < f->started; i++)
        end_place(&f->places[i]);
    for (int i = 0; i < f->count; i++) {
        pthread_cond_destroy(&f->places[i].opened);
        pthread_mutex_destroy(&f->places[i].lock);
    }
    tcpx__free(f);
    s->model_data = NULL;
}

static int fiber_begin(tcpx_server *s)
{
    size_t n = (size_t)s->opts.workers;
    struct fibers *f = tcpx__calloc(sizeof(*f) + n * sizeof(struct place));
    int err = 0;

    if (!f)
        return -ENOMEM;
    f->count = s->opts.workers;
    for (int i = 0; i < f->count; i++) {
        struct place *place = &f->places[i];

        place->server = s;
        pthread_mutex_init(&place->lock, NULL);
        pthread_cond_init(&place->opened, NULL);
        tcpx__list_init(&place->new_slots);
    }
    s->model_data = f;
    f->started = 1;
    while (!err && f->started < f->count) {
        err = start_place(&f->places[f->started]);
        f->started += !err;
    }
    if (err)
        fiber_end(s);
    return err;
}

static int fiber_has_room(const tcpx_server *s)
{
    (void)s;
    return 1;
}

static struct place *least_loaded(struct fibers *f)
{
    struct place *best = &f->places[0];
    int least = atomic_load_explicit(&best->load, memory_order_relaxed);

    for (int i = 1; i < f->count; i++) {
        int load =
            atomic_load_explicit(&f->places[i].load, memory_order_relaxed);

        if (load < least) {
            best = &f->places[i];
            least = load;
        }
    }
    return best;
}

static int fiber_dispatch(tcpx_server *s, struct tcpx__slot *slot)
{
    struct fibers *f = s->model_data;
    struct place *place = least_loaded(f);
    int err = 0;

    slot->place = place;
    atomic_fetch_add(&place->load, 1);
    if (place == &f->places[0]) {
        err = start_slot(slot);
        if (err)
            atomic_fetch_sub(&place->load, 1);
        return err;
    }
    pthread_mutex_lock(&place->lock);
    tcpx__list_append(&place->new_slots, &slot->in_queue);
    tcpx__unpark(place->keeper);
    pthread_mutex_unlock(&place->lock);
    return 0;
}

const struct tcpx__model tcpx__model_fiber = {
    .name = "fiber",
    .has_workers = 1,
    .is_core = 1,
    .begin = fiber_begin,
    .end = fiber_end,
    .has_room = fiber_has_room,
    .dispatch = fiber_dispatch,
    .cancel = tcpx__slot_cancel_in_thread,
};
