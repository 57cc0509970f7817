/* SPDX-License-Identifier: MIT */
/*
 * t_close_race.c - the peer acts between two questions that a close asks.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>
#include "faults.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

#define MUCH 400000

static int ours;
static int peer;
static size_t received;

static int state_of(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);

    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return info.tcpi_state;
}

static void until_closed(void)
{
    tcpx_time limit = soon();

    while (state_of(ours) != TCP_CLOSE) {
        ck_assert(tcpx_now() < limit);
        sched_yield();
    }
}

/* The peer, who has half-closed, takes everything: our end is closed then. */
static void peer_reads_all(void)
{
    char *data = malloc(MUCH + 1);

    ck_assert_ptr_nonnull(data);
    received = raw_recv(peer, data, MUCH + 1);
    free(data);
    until_closed();
}

static void peer_resets(void)
{
    raw_reset(peer);
    until_closed();
}

/* A connection to a peer that has half-closed, with bytes that are not yet
   acknowledged; do_now runs after these were counted. */
static tcpx_conn *open_unread(int kind, void (*do_now)(void))
{
    tcpx_conn *c = conn_open(kind, &peer);
    char *data = calloc(1, MUCH);
    char buf[1];
    int size = 2 << 20;

    ck_assert_ptr_nonnull(data);
    ours = tcpx_conn_fd(c);
    ck_assert_int_eq(
        setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
    ck_assert_int_eq(tcpx_read(c, buf, 1, soon()), 0);
    ck_ok(tcpx_writen(c, data, MUCH, NULL, soon()));
    free(data);
    ck_ok(tcpx_half_close(c));
    ck_assert_int_ne(state_of(ours), TCP_CLOSE);
    received = 0;
    before_call(TCPX__SYS_getsockopt, 1, do_now);
    return c;
}

START_TEST(a_last_acknowledgement_between_two_questions_is_a_clean_end)
{
    tcpx_conn *c = open_unread(_i, peer_reads_all);

    ck_ok(tcpx_close(c, soon()));
    ck_assert_uint_eq(received, MUCH);
    close(peer);
    fail_none();
}
END_TEST

START_TEST(a_flush_sees_a_last_acknowledgement_between_two_questions)
{
    tcpx_conn *c = open_unread(_i, peer_reads_all);

    ck_ok(tcpx_flush(c, soon()));
    ck_assert_uint_eq(received, MUCH);
    ck_ok(tcpx_close(c, soon()));
    close(peer);
    fail_none();
}
END_TEST

START_TEST(a_reset_between_two_questions_is_no_clean_end)
{
    tcpx_conn *c = open_unread(_i, peer_resets);

    ck_fails(tcpx_close(c, soon()), -ECONNRESET);
    fail_none();
}
END_TEST

static void fill_questions(TCase *tc)
{
    tcase_add_loop_test(
        tc, a_last_acknowledgement_between_two_questions_is_a_clean_end,
        PAIR_SHARED, PAIRS);
    tcase_add_loop_test(
        tc, a_flush_sees_a_last_acknowledgement_between_two_questions,
        PAIR_SHARED, PAIRS);
    tcase_add_loop_test(tc, a_reset_between_two_questions_is_no_clean_end,
                        PAIR_SHARED, PAIRS);
}

const struct test_case test_cases[] = {
    {"close-race", "questions", fill_questions},
    {NULL, NULL, NULL},
};
