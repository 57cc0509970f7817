/* SPDX-License-Identifier: MIT */
/*
 * info.c - what the kernel knows of a connection.
 *
 * May be asked by a task that is neither reader nor writer, while others are,
 * and of a connection that another task has just closed: of that one nothing is
 * known.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include "net/conn.h"
#include "net/tcp_info.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef SOL_MPTCP
#define SOL_MPTCP 284
#endif
#define MPTCP_INFO 1

/* struct mptcp_info of the kernel, as far as it is looked at. */
struct mptcp_head {
    uint8_t counts[8];
    uint32_t flags;
};

enum mptcp_flags { FELL_BACK = 1, PEER_KEY_RECEIVED = 2 };

#define NO_RATE UINT64_MAX
#define NO_RTT UINT32_MAX

_Static_assert(sizeof(tcpx_conn_information) == 256,
               "the record is never resized");

static int is_tcp(const tcpx_conn *c)
{
    return !(atomic_load(&c->h.flags) & TCPX__UNIX);
}

/* Looking takes part in the closing, and so is no change of c. */
static struct tcpx__handle *handle_of(const tcpx_conn *c)
{
    return (struct tcpx__handle *)(uintptr_t)&c->h;
}

/* A queue's length; 0 if the kernel does not say. */
static uint64_t queued(int fd, unsigned long request)
{
    int n = 0;

    if (tcpx__sys_ioctl_int(fd, request, &n) || n < 0)
        return 0;
    return (uint64_t)n;
}

int tcpx__tcp_info_get(int fd, struct tcpx__tcp_info *out)
{
    socklen_t len = sizeof(*out);
    int err;

    memset(out, 0, sizeof(*out));
    err = tcpx__sys_getsockopt(fd, IPPROTO_TCP, TCP_INFO, out, &len);
    return err ? err : (int)len;
}

/* A socket of Multipath TCP that fell back to plain TCP has none of its
   options; one whose peer's key has not come has not spoken it yet. */
static int speaks_mptcp(int fd)
{
    unsigned char info[256] = {0};
    struct mptcp_head head;
    socklen_t len = sizeof(info);

    if (tcpx__sys_getsockopt(fd, SOL_MPTCP, MPTCP_INFO, info, &len) ||
        len < sizeof(head))
        return 0;
    memcpy(&head, info, sizeof(head));
    return !(head.flags & FELL_BACK) && (head.flags & PEER_KEY_RECEIVED);
}

int tcpx__tcp_counts_syn(int fd, const struct tcpx__tcp_info *info)
{
    int protocol = 0;

    return !info->unacknowledged && !info->unsent &&
           !tcpx__sys_getsockopt_int(fd, SOL_SOCKET, SO_PROTOCOL, &protocol) &&
           protocol == IPPROTO_MPTCP && !speaks_mptcp(fd);
}

/* Whether the peer's FIN is among the bytes that the kernel counts. */
static int has_peers_fin(const tcpx_conn *c, int state)
{
    switch (state) {
    case TCPX__TCP_CLOSE_WAIT:
    case TCPX__TCP_LAST_ACK:
    case TCPX__TCP_CLOSING:
    case TCPX__TCP_TIME_WAIT:
        return 1;
    case TCPX__TCP_CLOSE:
        return atomic_load(&c->peer_finished);
    default:
        return 0;
    }
}

/* Whether our FIN is among what waits for its ACK. */
static int has_our_fin(const tcpx_conn *c, int state)
{
    return state == TCPX__TCP_FIN_WAIT1 || state == TCPX__TCP_CLOSING ||
           state == TCPX__TCP_LAST_ACK || atomic_load(&c->finished);
}

/* The kernel counts SYN and FIN as a byte each; a program wants its own. */
static void count_bytes(const tcpx_conn *c, const struct tcpx__tcp_info *k,
                        int len, tcpx_conn_information *out)
{
    uint64_t sent = k->bytes_sent - k->bytes_retransmitted;
    int knows_sent =
        (size_t)len >= offsetof(struct tcpx__tcp_info, duplicate_sacks);

    out->bytes_acknowledged = k->bytes_acknowledged;
    if (knows_sent && out->bytes_acknowledged > sent)
        out->bytes_acknowledged = sent;
    out->bytes_received = k->bytes_received;
    if (out->bytes_received && has_peers_fin(c, k->state))
        out->bytes_received--;
    if (out->unacknowledged && has_our_fin(c, k->state))
        out->unacknowledged--;
}

static void translate(const struct tcpx__tcp_info *k,
                      tcpx_conn_information *out)
{
    out->state = k->state;
    out->rtt = k->rtt * (uint64_t)TCPX_USEC;
    out->rtt_variation = k->rtt_variation * (uint64_t)TCPX_USEC;
    if (k->rtt_min != NO_RTT)
        out->rtt_min = k->rtt_min * (uint64_t)TCPX_USEC;
    out->retransmits = k->total_retransmits;
    out->lost = k->lost;
    out->congestion_window = (uint64_t)k->congestion_window * k->send_mss;
    out->send_mss = k->send_mss;
    out->receive_mss = k->receive_mss;
    out->path_mtu = k->path_mtu;
    out->delivery_rate = k->delivery_rate;
    if (k->pacing_rate != NO_RATE)
        out->pacing_rate = k->pacing_rate;
    out->segments_sent = k->segments_sent;
    out->segments_received = k->segments_received;
    out->idle_sent = k->last_data_sent * (uint64_t)TCPX_MSEC;
    out->idle_received = k->last_data_received * (uint64_t)TCPX_MSEC;
    out->busy = k->busy * (uint64_t)TCPX_USEC;
    out->window_limited = k->window_limited * (uint64_t)TCPX_USEC;
    out->buffer_limited = k->buffer_limited * (uint64_t)TCPX_USEC;
    out->peer_window = k->peer_window;
}

static void ask_kernel(const tcpx_conn *c, tcpx_conn_information *out)
{
    struct tcpx__tcp_info k;
    int len;

    out->unread = queued(c->h.fd, SIOCINQ);
    if (!is_tcp(c)) /* its SIOCOUTQ is memory, not bytes */
        return;
    out->unacknowledged = queued(c->h.fd, SIOCOUTQ);
    len = tcpx__tcp_info_get(c->h.fd, &k);
    if (len > 0) {
        if (out->unacknowledged && tcpx__tcp_counts_syn(c->h.fd, &k))
            out->unacknowledged = 0;
        translate(&k, out);
        count_bytes(c, &k, len, out);
    }
}

int tcpx_conn_info(const tcpx_conn *c, tcpx_conn_information *out)
{
    tcpx_conn_information info = {0};

    if (!c || !out)
        return tcpx__refuse("conn_info", c ? "no place for the information"
                                           : "no connection");
    if (tcpx__handle_hold(handle_of(c))) {
        ask_kernel(c, &info);
        tcpx__handle_let_go(handle_of(c));
    }
    info.buffered = atomic_load_explicit(&c->in.held, memory_order_relaxed);
    info.kept = atomic_load_explicit(&c->kept_size, memory_order_relaxed);
    *out = info;
    return 0;
}

static int used_fastopen(int fd)
{
    struct tcpx__tcp_info info;

    return tcpx__tcp_info_get(fd, &info) > 0 &&
           (info.options & TCPX__TCP_SYN_DATA);
}

int tcpx_conn_has(const tcpx_conn *c, unsigned what)
{
    int has = 1;

    if (!c || !what || (what & ~(unsigned)(TCPX_HAS_MPTCP | TCPX_HAS_FASTOPEN)))
        return 0;
    if (!is_tcp(c) || !tcpx__handle_hold(handle_of(c)))
        return 0;
    if (what & TCPX_HAS_MPTCP)
        has = speaks_mptcp(c->h.fd);
    if (has && (what & TCPX_HAS_FASTOPEN))
        has = used_fastopen(c->h.fd);
    tcpx__handle_let_go(handle_of(c));
    return has;
}
