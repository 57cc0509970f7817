/* SPDX-License-Identifier: MIT */
/*
 * tcp_info.h - TCP_INFO as the kernel fills it, tcp(7).
 *
 * The C library's struct ends where it did many releases ago, and the kernel's
 * own header cannot be included beside the C library's.  Members come in the
 * kernel's order and are never moved; an older kernel fills fewer of them.
 */
#ifndef TCPX_NET_TCP_INFO_H
#define TCPX_NET_TCP_INFO_H

#include <stddef.h>
#include <stdint.h>

struct tcpx__tcp_info {
    uint8_t state; /* enum tcpx__tcp_state */
    uint8_t congestion_state;
    uint8_t retransmits;
    uint8_t probes;
    uint8_t backoff;
    uint8_t options; /* enum tcpx__tcp_option */
    uint8_t window_scales;
    uint8_t bits;
    uint32_t rto;
    uint32_t ato;
    uint32_t send_mss;
    uint32_t receive_mss;
    uint32_t unacknowledged; /* segments */
    uint32_t sacked;
    uint32_t lost;
    uint32_t retransmitted;
    uint32_t fackets;
    uint32_t last_data_sent; /* ms ago, as all four */
    uint32_t last_ack_sent;
    uint32_t last_data_received;
    uint32_t last_ack_received;
    uint32_t path_mtu;
    uint32_t receive_threshold;
    uint32_t rtt; /* microseconds */
    uint32_t rtt_variation;
    uint32_t send_threshold;
    uint32_t congestion_window; /* segments */
    uint32_t advertised_mss;
    uint32_t reordering;
    uint32_t receive_rtt;
    uint32_t receive_space;
    uint32_t total_retransmits;
    uint64_t pacing_rate; /* all ones: not paced */
    uint64_t max_pacing_rate;
    uint64_t bytes_acknowledged; /* SYN and FIN are a byte each */
    uint64_t bytes_received;     /* FIN is a byte */
    uint32_t segments_sent;
    uint32_t segments_received;
    uint32_t unsent;
    uint32_t rtt_min; /* all ones: not measured */
    uint32_t data_segments_received;
    uint32_t data_segments_sent;
    uint64_t delivery_rate;
    uint64_t busy; /* microseconds, as all three */
    uint64_t window_limited;
    uint64_t buffer_limited;
    uint32_t delivered;
    uint32_t delivered_ce;
    uint64_t bytes_sent; /* of data, those sent again included */
    uint64_t bytes_retransmitted;
    uint32_t duplicate_sacks;
    uint32_t reordering_seen;
    uint32_t out_of_order;
    uint32_t peer_window;
};

_Static_assert(offsetof(struct tcpx__tcp_info, pacing_rate) == 104 &&
                   sizeof(struct tcpx__tcp_info) == 232,
               "the kernel's layout has no padding");

/* States of a connection, as the kernel numbers them. */
enum tcpx__tcp_state {
    TCPX__TCP_ESTABLISHED = 1,
    TCPX__TCP_FIN_WAIT1 = 4,
    TCPX__TCP_TIME_WAIT = 6,
    TCPX__TCP_CLOSE = 7,
    TCPX__TCP_CLOSE_WAIT = 8,
    TCPX__TCP_LAST_ACK = 9,
    TCPX__TCP_CLOSING = 11
};

/*
 * Asks fd; what this kernel does not know is 0.  Returns how many bytes it
 * filled, or -errno.
 */
int tcpx__tcp_info_get(int fd, struct tcpx__tcp_info *out);

/*
 * 1 if SIOCOUTQ counts a byte that nobody sent: a socket of Multipath TCP that
 * fell back to plain TCP counts its SYN there until the first ACK of data.
 */
int tcpx__tcp_counts_syn(int fd, const struct tcpx__tcp_info *info);

enum tcpx__tcp_option {
    TCPX__TCP_SYN_DATA = 32 /* data in the SYN was acknowledged */
};

#endif
