/* SPDX-License-Identifier: MIT */
/*
 * serving.c - a server in a thread of its own, under any model.
 */
#include "server/serving.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of a client that waits for what must come. */
#define PATIENCE (20 * TCPX_SEC)

int model_at(int i)
{
    static const int models[MODELS] = {TCPX_ITERATIVE, TCPX_FORK,  TCPX_THREAD,
                                       TCPX_POOL,      TCPX_FIBER, TCPX_FIBER};

    return models[i];
}

tcpx_server_opts serving_opts(int i)
{
    tcpx_server_opts o = tcpx_server_defaults();

    o.model = model_at(i);
    if (i == FIBER_EPOLL)
        o.engine = TCPX_ENGINE_EPOLL;
    if (i == FIBER_URING)
        o.engine = TCPX_ENGINE_AUTO;
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
    prepare(s, handler, arg, opts);
    start_serving(s);
}

void prepare(struct serving *s, tcpx_handler_fn *handler, void *arg,
             tcpx_server_opts *opts)
{
    ck_ok(tcpx_server_create(&s->server, "127.0.0.1:0", handler, arg, opts));
}

void start_serving(struct serving *s)
{
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

int new_gate(void)
{
    int gate = eventfd(0, EFD_CLOEXEC);

    ck_assert_int_ge(gate, 0);
    return gate;
}

void open_gate(int gate)
{
    ck_assert_int_eq(eventfd_write(gate, 1), 0);
}

void gated_handler(tcpx_conn *c, void *arg)
{
    tcpx_waitfor gate = TCPX_ON_FD(*(int *)arg, TCPX_READABLE);

    if (tcpx_wait(&gate, 1, TCPX_FOREVER) == 1)
        echo_handler(c, NULL);
}

void note_event(const tcpx_event *e, void *arg)
{
    struct events *events = arg;
    tcpx_server *s = atomic_load(&events->stop_at_first);

    if (e->kind == TCPX_EVENT_REFUSED)
        atomic_fetch_add(&events->refused[e->reason], 1);
    if (e->kind == TCPX_EVENT_HANDLER_ENDED) {
        atomic_store(&events->error, e->error);
        atomic_store(&events->reason, e->reason);
    }
    if (e->kind == TCPX_EVENT_ACCEPTED && s)
        tcpx_server_stop(s);
    atomic_fetch_add(&events->n[e->kind], 1);
}

tcpx_server_opts telling_opts(int i, struct events *events)
{
    tcpx_server_opts o = serving_opts(i);

    o.on_event = note_event;
    o.event_arg = events;
    o.workers = i == POOL ? 8 : 0;
    return o;
}

void await_int(const _Atomic int *what, int value, const char *name)
{
    tcpx_time until = soon();

    while (atomic_load(what) != value) {
        ck_assert_msg(tcpx_now() < until, "%s is %d, never %d", name,
                      atomic_load(what), value);
        tcpx_sleep(tcpx_after(TCPX_MSEC));
    }
}

pid_t start_clients(int (*body)(const char *address, int arg),
                    const struct serving *s, int arg)
{
    pid_t clients = fork();

    ck_assert_int_ge(clients, 0);
    if (clients == 0) {
        signal(SIGPIPE, SIG_IGN);
        close_range(3, ~0U, 0);
        _exit(body(tcpx_server_address(s->server), arg));
    }
    return clients;
}

int end_clients(pid_t clients)
{
    int status = child_status(clients);

    ck_assert_msg(WIFEXITED(status), "the clients crashed: %#x",
                  (unsigned)status);
    return WEXITSTATUS(status);
}

static void set_patience(int fd, tcpx_time patience)
{
    const struct timeval tv = {.tv_sec = patience / TCPX_SEC,
                               .tv_usec = patience % TCPX_SEC / TCPX_USEC};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

int dial_for(const char *address, tcpx_time patience)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    const char *colon = strrchr(address, ':');
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    set_patience(fd, patience);
    if (connect(fd, (struct sockaddr *)&sin, sizeof(sin))) {
        close(fd);
        return -1;
    }
    set_patience(fd, PATIENCE);
    return fd;
}

int dial(const char *address)
{
    return dial_for(address, PATIENCE);
}

int expect_answer(int fd, const char *text)
{
    size_t len = strlen(text);
    size_t done = 0;
    char got[256];
    ssize_t n;

    do {
        n = recv(fd, got + done, sizeof(got) - done, 0);
        done += n > 0 ? (size_t)n : 0;
    } while (n > 0 && done < sizeof(got));
    close(fd);
    return n == 0 && done == len && !memcmp(got, text, len) ? ANSWERED : LOST;
}

int ask_over(int fd, const char *text)
{
    if (fd < 0)
        return NOT_CONNECTED;
    if (send(fd, text, strlen(text), 0) != (ssize_t)strlen(text) ||
        shutdown(fd, SHUT_WR)) {
        close(fd);
        return LOST;
    }
    return expect_answer(fd, text);
}

int ask(const char *address, const char *text)
{
    return ask_over(dial(address), text);
}
