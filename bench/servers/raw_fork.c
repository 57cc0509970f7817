/* SPDX-License-Identifier: MIT */
/*
 * raw_fork.c - a process for each client, on bare system calls.
 *
 * As in the library, a child that crashes resets its connection: what it had
 * not sent must not look like the end of an answer.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "raw.h"

static void reap(int number)
{
    int saved = errno;

    (void)number;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = saved;
}

static void reset_on_crash(int fd, int on)
{
    struct linger how = {.l_onoff = on, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &how, sizeof(how));
}

static void be_child(int listener, int fd)
{
    int result;

    close(listener);
    reset_on_crash(fd, 1);
    result = raw_echo(fd);
    reset_on_crash(fd, 0);
    raw_close(fd, result);
    _exit(0);
}

int main(void)
{
    struct sigaction action = {.sa_handler = reap,
                               .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    int listener = raw_listen();

    sigaction(SIGCHLD, &action, NULL);
    for (;;) {
        int fd = raw_accept(listener);
        pid_t pid = fork();

        while (pid < 0) {
            usleep(10000);
            pid = fork();
        }
        if (pid == 0)
            be_child(listener, fd);
        close(fd);
    }
}
