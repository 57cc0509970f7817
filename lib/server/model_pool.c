/* SPDX-License-Identifier: MIT */
/*
 * model_pool.c - a fixed number of threads.
 *
 * A client is accepted only when a worker is free: until then it waits in the
 * kernel's queue, which is what pushes back on too many clients.  During a
 * stop everybody is accepted, and the rest waits here.
 */
#include <errno.h>
#include "server/server.h"

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct tcpx__list queue; /* slots that a worker will take at once */
    int idle;                /* workers without a slot, less the queue */
    int ends;                /* no more slots will come */
    int started;
    pthread_t threads[];
};

static struct tcpx__slot *next_slot(struct pool *pool)
{
    struct tcpx__list *node;

    pthread_mutex_lock(&pool->lock);
    while (!(node = tcpx__list_pop(&pool->queue)) && !pool->ends)
        pthread_cond_wait(&pool->work, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    return node ? TCPX__LIST_ENTRY(node, struct tcpx__slot, in_queue) : NULL;
}

static void *run_worker(void *arg)
{
    tcpx_server *s = arg;
    struct pool *pool = s->model_data;
    struct tcpx__slot *slot;

    while ((slot = next_slot(pool))) {
        tcpx__slot_handle(slot);
        tcpx__slot_finish(slot, 0);
        pthread_mutex_lock(&pool->lock);
        pool->idle++;
        pthread_mutex_unlock(&pool->lock);
        tcpx__slot_done(slot);
    }
    return NULL;
}

static void pool_end(tcpx_server *s)
{
    struct pool *pool = s->model_data;

    pthread_mutex_lock(&pool->lock);
    pool->ends = 1;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->started; i++)
        tcpx__sys_thread_join(pool->threads[i]);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    tcpx__free(pool);
    s->model_data = NULL;
}

static int pool_begin(tcpx_server *s)
{
    size_t n = (size_t)s->opts.workers;
    struct pool *pool = tcpx__calloc(sizeof(*pool) + n * sizeof(pthread_t));
    int err = 0;

    if (!pool)
        return -ENOMEM;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    tcpx__list_init(&pool->queue);
    s->model_data = pool;
    while (!err && pool->started < s->opts.workers) {
        err = tcpx__sys_thread_start(&pool->threads[pool->started], run_worker,
                                     s, (size_t)s->opts.stack_size);
        pool->started += !err;
    }
    pool->idle = pool->started;
    if (err)
        pool_end(s);
    return err;
}

static int pool_has_room(const tcpx_server *s)
{
    struct pool *pool = s->model_data;
    int idle;

    pthread_mutex_lock(&pool->lock);
    idle = pool->idle;
    pthread_mutex_unlock(&pool->lock);
    return idle > 0;
}

static int pool_dispatch(tcpx_server *s, struct tcpx__slot *slot)
{
    struct pool *pool = s->model_data;

    pthread_mutex_lock(&pool->lock);
    pool->idle--;
    tcpx__list_append(&pool->queue, &slot->in_queue);
    pthread_mutex_unlock(&pool->lock);
    /* Not before: the worker that wakes would meet the lock. */
    pthread_cond_signal(&pool->work);
    return 0;
}

const struct tcpx__model tcpx__model_pool = {
    .name = "pool",
    .has_workers = 1,
    .begin = pool_begin,
    .end = pool_end,
    .has_room = pool_has_room,
    .dispatch = pool_dispatch,
    .cancel = tcpx__slot_cancel_in_thread,
};
