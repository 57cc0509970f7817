/* SPDX-License-Identifier: MIT */
/*
 * activated.c - what t_activate.c has started: listens on the address in its
 * argument, sends the first client the listener's own idea of it and whether
 * its descriptor is closed over exec and never waited in, and ends.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <tcpx.h>
#include <unistd.h>

#define PATIENCE (10 * TCPX_SEC)

static int fail(void)
{
    (void)fprintf(stderr, "activated: %s\n", tcpx_errmsg());
    return 1;
}

int main(int argc, char **argv)
{
    tcpx_listener *l;
    tcpx_conn *c;
    char text[128];
    int fd;

    if (argc != 2 || tcpx_listen(&l, argv[1], NULL) < 0)
        return fail();
    fd = tcpx_listener_fd(l);
    if (tcpx_accept(&c, l, tcpx_after(PATIENCE)) < 0)
        return fail();
    (void)snprintf(text, sizeof(text), "%s %d %d\n", tcpx_listener_address(l),
                   (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0,
                   (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    if (tcpx_writen(c, text, strlen(text), NULL, tcpx_after(PATIENCE)) < 0)
        return fail();
    if (tcpx_close(c, tcpx_after(PATIENCE)) < 0)
        return fail();
    tcpx_listener_close(l);
    return 0;
}
