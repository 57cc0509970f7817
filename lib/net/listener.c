/* SPDX-License-Identifier: MIT */
/*
 * listener.c - a listener's life: accept, cancel, close.
 *
 * A close never shuts the socket down: shutdown(2) would stop it for every
 * process that holds it.  It wakes the tasks in tcpx_accept() and waits for
 * them, because a task that sleeps on the socket would keep it listening after
 * close(2), and swallow the next client.
 */
#include "net/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

#include "base/sys.h"
#include "base/util.h"
#include "net/conn.h"

#define FIRST_PAUSE (50 * TCPX_USEC)
#define LAST_PAUSE (10 * TCPX_MSEC)

static void enter(tcpx_listener *l)
{
    uint64_t era = (uint64_t)atomic_load(&tcpx__forks) << 32;
    uint64_t old = atomic_load(&l->users);
    uint64_t next;

    do
        next = (old >> 32 == era >> 32 ? old : era) + 1;
    while (!atomic_compare_exchange_weak(&l->users, &old, next));
}

static void leave(tcpx_listener *l)
{
    atomic_fetch_sub(&l->users, 1);
}

static int has_users(const tcpx_listener *l)
{
    uint64_t users = atomic_load(&l->users);

    return users >> 32 == atomic_load(&tcpx__forks) && (uint32_t)users != 0;
}

/*
 * accept(2) tells of a shortage before it looks whether anybody is there.  A
 * shortage that keeps nobody out is no failure: the wait goes on.  Returns 0
 * once a client is queued, or the listener was canceled.
 */
static int await_client(tcpx_listener *l, tcpx_time deadline)
{
    struct tcpx__poll_item item = {
        .fd = l->h.fd, .want = POLLIN, .handle = &l->h};
    int rc = 0;

    while (rc == 0)
        rc = tcpx__world()->wait(&item, 1, deadline);
    return rc < 0 ? rc : 0;
}

static int is_shortage(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS ||
           err == -ENOMEM;
}

static int accept_client(tcpx_listener *l, struct tcpx__endpoint *peer,
                         tcpx_time deadline)
{
    const struct tcpx__world *world = tcpx__world();

    for (;;) {
        int err;
        int fd;

        peer->len = sizeof(peer->ss);
        fd = world->accept(&l->h, &peer->sa, &peer->len, deadline);
        if (!is_shortage(fd))
            return fd;
        err = await_client(l, deadline);
        if (err)
            return err;
        peer->len = sizeof(peer->ss);
        fd = world->accept(&l->h, &peer->sa, &peer->len, TCPX_NOW);
        if (fd != TCPX_EDEADLINE)
            return fd;
    }
}

/* The peer as accept(2) told it: a client that has reset the connection since
   has no name any more. */
static void set_peer(tcpx_conn *c, struct tcpx__endpoint *peer)
{
    tcpx__endpoint_unmap(peer);
    if (peer->len > sizeof(c->peer))
        return;
    memcpy(&c->peer, &peer->ss, peer->len);
    c->peer_len = peer->len;
}

static int accept_into(tcpx_conn *c, tcpx_listener *l, tcpx_time deadline)
{
    struct tcpx__endpoint peer;
    int fd = accept_client(l, &peer, deadline);

    if (fd < 0)
        return tcpx__fail(fd, "accept", l->address);
    c->h.fd = fd;
    c->h.spin = l->spin;
    c->h.receive_timeout = l->receive_timeout;
    if (!(l->conn_flags & TCPX__UNIX))
        set_peer(c, &peer);
    return 0;
}

int tcpx_accept(tcpx_conn **out, tcpx_listener *l, tcpx_time deadline)
{
    tcpx_conn *c;
    int err;

    if (!out || !l)
        return tcpx__refuse("accept",
                            l ? "no place for the connection" : "no listener");
    if (tcpx__is_duration(deadline))
        return tcpx__fail_because(-EINVAL, "accept", l->address,
                                  "a duration was passed as deadline; use "
                                  "tcpx_after()");
    if (!tcpx__world())
        return -ENOMEM;
    /* Before the client is taken out of the queue: with no memory it stays. */
    c = tcpx__conn_new(-1, l->conn_flags, NULL, 0);
    if (!c)
        return tcpx__fail(-ENOMEM, "accept", l->address);
    enter(l);
    err = accept_into(c, l, deadline);
    leave(l);
    if (err) {
        tcpx_conn_unref(c);
        return err;
    }
    *out = c;
    return 0;
}

const char *tcpx_listener_address(const tcpx_listener *l)
{
    return l ? l->address : "";
}

int tcpx_listener_backlog(const tcpx_listener *l)
{
    return l ? l->backlog : 0;
}

int tcpx_listener_fd(const tcpx_listener *l)
{
    return l ? l->h.fd : -1;
}

int tcpx__listener_queued(const tcpx_listener *l)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);

    /* Of a listener, tcpi_unacked is the length of its queue. */
    memset(&info, 0, sizeof(info));
    if (tcpx__sys_getsockopt(l->h.fd, IPPROTO_TCP, TCP_INFO, &info, &len) ||
        info.tcpi_state != TCP_LISTEN)
        return 0;
    return (int)info.tcpi_unacked;
}

void tcpx_listener_cancel(tcpx_listener *l)
{
    int saved = errno; /* a signal handler must leave it as it was */

    if (l)
        tcpx__handle_cancel(&l->h, TCPX_ECANCELED);
    errno = saved;
}

/* A task that was canceled cannot sleep, but must wait all the same. */
static void await_users(const tcpx_listener *l)
{
    const struct tcpx__world *world = tcpx__world();
    tcpx_time pause = FIRST_PAUSE;

    while (has_users(l) || tcpx__handle_in_use(&l->h)) {
        if (!world || world->park(tcpx_after(pause)) == TCPX_ECANCELED)
            tcpx__yield();
        if (pause < LAST_PAUSE)
            pause *= 2;
    }
}

void tcpx__listener_unlink(tcpx_listener *l)
{
    tcpx__socket_file_remove(&l->file);
}

void tcpx__listener_stop(tcpx_listener *l)
{
    const struct tcpx__world *world = tcpx__world();

    tcpx__handle_cancel(&l->h, TCPX_ECANCELED);
    await_users(l);
    tcpx__handle_seal(&l->h);
    tcpx__listener_unlink(l);
    if (world) {
        world->forget(&l->h);
        world->close(&l->h);
    } else {
        tcpx__sys_close(l->h.fd);
    }
    l->h.fd = -1;
}

void tcpx_listener_close(tcpx_listener *l)
{
    if (!l)
        return;
    if (l->h.fd >= 0)
        tcpx__listener_stop(l);
    tcpx__free(l);
}
