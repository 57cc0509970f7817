/* SPDX-License-Identifier: MIT */
/*
 * consumer.c - a program of someone who has the installed library: it listens,
 * connects to itself, and sends a line each way.
 */
#include <stdio.h>
#include <string.h>
#include <tcpx.h>

static int exchange(tcpx_conn *client, tcpx_conn *server)
{
    char line[64];
    tcpx_time deadline = tcpx_after(10 * TCPX_SEC);
    int err = tcpx_printf(client, NULL, deadline, "hello from %s\n", "afar");

    if (err < 0)
        return err;
    ssize_t n = tcpx_readline(server, line, sizeof(line), deadline);

    if (n < 0)
        return (int)n;
    err = tcpx_printf(server, NULL, deadline, "%s, indeed\r\n", line);
    if (err < 0)
        return err;
    n = tcpx_readline(client, line, sizeof(line), deadline);
    if (n < 0)
        return (int)n;
    return strcmp(line, "hello from afar, indeed") ? TCPX_EPROTO : 0;
}

int main(void)
{
    tcpx_listener *listener = NULL;
    tcpx_conn *client = NULL;
    tcpx_conn *server = NULL;
    tcpx_time deadline = tcpx_after(10 * TCPX_SEC);
    int err = tcpx_listen(&listener, "127.0.0.1:0", NULL);

    if (err == 0)
        err = tcpx_connect(&client, tcpx_listener_address(listener), NULL,
                           deadline);
    if (err == 0)
        err = tcpx_accept(&server, listener, deadline);
    if (err == 0)
        err = exchange(client, server);
    if (err < 0)
        fprintf(stderr, "%s\n", tcpx_errmsg());
    else
        printf("libtcpx %s: a line each way\n", tcpx_version());
    tcpx_abort(client);
    tcpx_abort(server);
    tcpx_listener_close(listener);
    return err < 0;
}
