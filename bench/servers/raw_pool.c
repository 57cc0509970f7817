/* SPDX-License-Identifier: MIT */
/*
 * raw_pool.c - a fixed number of threads, on bare system calls: one accepts
 * and hands over, and only while a worker is free.
 */
#include <pthread.h>
#include <stdlib.h>
#include "raw.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static pthread_cond_t room = PTHREAD_COND_INITIALIZER;
static int workers;
static int idle;   /* workers without a client, less the queue */
static int *queue; /* a ring of clients that a worker will take at once */
static int first;
static int queued;

static int next_client(void)
{
    int fd;

    pthread_mutex_lock(&lock);
    while (queued == 0)
        pthread_cond_wait(&work, &lock);
    fd = queue[first];
    first = (first + 1) % workers;
    queued--;
    pthread_mutex_unlock(&lock);
    return fd;
}

static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = next_client();

        raw_close(fd, raw_echo(fd));
        pthread_mutex_lock(&lock);
        if (idle++ == 0)
            pthread_cond_signal(&room);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void wait_for_room(void)
{
    pthread_mutex_lock(&lock);
    while (idle == 0)
        pthread_cond_wait(&room, &lock);
    pthread_mutex_unlock(&lock);
}

static void hand_over(int fd)
{
    pthread_mutex_lock(&lock);
    idle--;
    queue[(first + queued++) % workers] = fd;
    pthread_mutex_unlock(&lock);
    pthread_cond_signal(&work);
}

int main(int argc, char **argv)
{
    int listener = raw_listen();
    pthread_attr_t attr;

    workers = idle = raw_workers(argc, argv);
    queue = calloc((size_t)workers, sizeof(*queue));
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, RAW_STACK);
    for (int i = 0; i < workers; i++) {
        pthread_t thread;

        if (!queue || pthread_create(&thread, &attr, serve, NULL))
            return 1;
    }
    for (;;) {
        wait_for_room();
        hand_over(raw_accept(listener));
    }
}
