/* SPDX-License-Identifier: MIT */
/*
 * raw_thread.c - a thread for each client, on bare system calls.
 */
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>
#include "raw.h"

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;

    raw_close(fd, raw_echo(fd));
    return NULL;
}

int main(void)
{
    int listener = raw_listen();
    pthread_attr_t attr;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, RAW_STACK);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (;;) {
        void *fd = (void *)(intptr_t)raw_accept(listener);
        pthread_t thread;

        while (pthread_create(&thread, &attr, serve, fd))
            usleep(10000);
    }
}
