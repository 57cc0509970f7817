/* SPDX-License-Identifier: MIT */
/*
 * raw_prethread.c - a fixed number of threads, on bare system calls, each of
 * which accepts for itself: nothing is handed over, and nobody can say stop.
 */
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>
#include "raw.h"

static void *serve(void *arg)
{
    int listener = (int)(intptr_t)arg;

    for (;;) {
        int fd = raw_accept(listener);

        raw_close(fd, raw_echo(fd));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int listener = raw_listen();
    pthread_attr_t attr;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, RAW_STACK);
    for (int i = raw_workers(argc, argv); i > 0; i--) {
        pthread_t thread;

        if (pthread_create(&thread, &attr, serve, (void *)(intptr_t)listener))
            return 1;
    }
    for (;;)
        pause();
}
