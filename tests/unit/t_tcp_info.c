/* SPDX-License-Identifier: MIT */
/*
 * t_tcp_info.c - our view of TCP_INFO is the kernel's.
 *
 * No header of the C library's that defines the struct may come in here.
 */
#include <linux/tcp.h>
#include "net/tcp_info.h"
#include "runner.h"

#define SAME(ours, kernels)                                                    \
    {                                                                          \
#ours, offsetof(struct tcpx__tcp_info, ours),                          \
            offsetof(struct tcp_info, kernels),                                \
            sizeof(((struct tcpx__tcp_info *)0)->ours),                        \
            sizeof(((struct tcp_info *)0)->kernels)                            \
    }

static const struct {
    const char *name;
    size_t ours;
    size_t kernels;
    size_t our_size;
    size_t kernels_size;
} members[] = {
    SAME(state, tcpi_state),
    SAME(options, tcpi_options),
    SAME(send_mss, tcpi_snd_mss),
    SAME(receive_mss, tcpi_rcv_mss),
    SAME(lost, tcpi_lost),
    SAME(last_data_sent, tcpi_last_data_sent),
    SAME(last_data_received, tcpi_last_data_recv),
    SAME(path_mtu, tcpi_pmtu),
    SAME(rtt, tcpi_rtt),
    SAME(rtt_variation, tcpi_rttvar),
    SAME(congestion_window, tcpi_snd_cwnd),
    SAME(total_retransmits, tcpi_total_retrans),
    SAME(pacing_rate, tcpi_pacing_rate),
    SAME(bytes_acknowledged, tcpi_bytes_acked),
    SAME(bytes_received, tcpi_bytes_received),
    SAME(segments_sent, tcpi_segs_out),
    SAME(segments_received, tcpi_segs_in),
    SAME(unsent, tcpi_notsent_bytes),
    SAME(rtt_min, tcpi_min_rtt),
    SAME(delivery_rate, tcpi_delivery_rate),
    SAME(busy, tcpi_busy_time),
    SAME(window_limited, tcpi_rwnd_limited),
    SAME(buffer_limited, tcpi_sndbuf_limited),
    SAME(bytes_sent, tcpi_bytes_sent),
    SAME(bytes_retransmitted, tcpi_bytes_retrans),
    SAME(peer_window, tcpi_snd_wnd),
};

START_TEST(every_member_lies_where_the_kernel_has_it)
{
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        ck_assert_msg(members[i].ours == members[i].kernels &&
                          members[i].our_size == members[i].kernels_size,
                      "%s", members[i].name);
    }
}
END_TEST

START_TEST(constants_are_the_kernels)
{
    ck_assert_int_eq(TCPX__TCP_SYN_DATA, TCPI_OPT_SYN_DATA);
}
END_TEST

static void fill_layout(TCase *tc)
{
    tcase_add_test(tc, every_member_lies_where_the_kernel_has_it);
    tcase_add_test(tc, constants_are_the_kernels);
}

const struct test_case test_cases[] = {
    {"tcp_info", "layout", fill_layout},
    {NULL, NULL, NULL},
};
