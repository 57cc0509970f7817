/* SPDX-License-Identifier: MIT */
/*
 * serving.c - a server in a thread of its own, under any model.
 */
#include "server/serving.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int model_at(int i)
{
    static const int models[MODELS] = {TCPX_ITERATIVE, TCPX_FORK, TCPX_THREAD,
                                       TCPX_POOL};

    return models[i];
}

tcpx_server_opts serving_opts(int i)
{
    tcpx_server_opts o = tcpx_server_defaults();

    o.model = model_at(i);
    return o;
}

static void *run(void *arg)
{
    struct serving *s = arg;

    s->result = tcpx_server_run(s->server);
    return NULL;
}

void serve(struct serving *s, tcpx_handler_fn *handler, void *arg,
           tcpx_server_opts *opts)
{
    ck_ok(tcpx_server_create(&s->server, "127.0.0.1:0", handler, arg, opts));
    s->thread = start_thread(run, s);
}

int client_of(const struct serving *s)
{
    return raw_connect(tcpx_server_address(s->server));
}

void expect_echo(int fd, const char *text)
{
    size_t len = strlen(text);
    char *got = malloc(len + 1);

    ck_assert_ptr_nonnull(got);
    raw_send(fd, text, len);
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    ck_assert_uint_eq(raw_recv(fd, got, len + 1), len);
    ck_assert_mem_eq(got, text, len);
    free(got);
    leave(fd);
}

void leave(int fd)
{
    shutdown(fd, SHUT_RDWR);
    close(fd);
}

void reset(int fd)
{
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    ck_assert_int_eq(connect(fd, &nobody, sizeof(nobody)), 0);
    close(fd);
}

int ends_cleanly(int fd)
{
    char buf[4096];
    ssize_t n;

    do
        n = recv(fd, buf, sizeof(buf), 0);
    while (n > 0 || (n < 0 && errno == EINTR));
    ck_assert_msg(n == 0 || errno == ECONNRESET || errno == EPIPE, "recv: %s",
                  strerror(errno));
    return n == 0;
}

int stop_serving(struct serving *s)
{
    tcpx_server_stop(s->server);
    end_thread(s->thread);
    return s->result;
}

tcpx_server_counts end_serving(struct serving *s)
{
    tcpx_server_counts n;

    ck_ok(tcpx_server_stats(s->server, &n));
    ck_assert_uint_eq(n.accepted, n.active + n.closing + n.closed + n.expired +
                                      n.failed + n.limited + n.canceled);
    ck_assert_uint_eq(n.active, 0);
    ck_assert_uint_eq(n.closing, 0);
    ck_ok(tcpx_server_free(s->server));
    return n;
}

void echo_handler(tcpx_conn *c, void *arg)
{
    char buf[16384];
    ssize_t n;

    (void)arg;
    while ((n = tcpx_read(c, buf, sizeof(buf), TCPX_FOREVER)) > 0) {
        if (tcpx_writen(c, buf, (size_t)n, NULL, TCPX_FOREVER))
            return;
    }
}
