/* SPDX-License-Identifier: MIT */
/*
 * t_flush.c - waiting until the peer's kernel has everything.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

static int unacknowledged(int fd)
{
    int queued = -1;

    ck_assert_int_eq(ioctl(fd, SIOCOUTQ, &queued), 0);
    return queued;
}

START_TEST(a_flush_waits_until_all_is_acknowledged)
{
    struct call call = {.kind = CALL_FLUSH};
    static char dropped[65536];
    size_t left;
    int peer;

    call.c = conn_open(_i, &peer);
    narrow(peer);
    left = fill_up(call.c);
    call.deadline = soon();
    call_begin(&call);
    until_asleep(&call);
    while (left > 0)
        left -= raw_recv(peer, dropped,
                         left < sizeof(dropped) ? left : sizeof(dropped));
    ck_ok(call_end(&call));
    ck_assert_int_eq(unacknowledged(tcpx_conn_fd(call.c)), 0);
    ck_ok(tcpx_flush(call.c, TCPX_NOW));
    tcpx_abort(call.c);
    close(peer);
}
END_TEST

START_TEST(a_flush_ends_at_its_deadline_and_can_be_repeated)
{
    size_t count;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    narrow(peer);
    fill_up(c);
    ck_fails(tcpx_flush(c, TCPX_NOW), TCPX_EDEADLINE);
    ck_fails(tcpx_flush(c, tcpx_after(20 * TCPX_MSEC)), TCPX_EDEADLINE);
    ck_assert_int_eq(tcpx_conn_state(c), 0);
    ck_ok(tcpx_half_close(c));
    ck_assert_int_eq(raw_drain(peer, &count), 0);
    ck_ok(tcpx_flush(c, soon()));
    close(peer);
    ck_ok(tcpx_close(c, soon()));
}
END_TEST

static void *flush_after_half_close(void *arg)
{
    tcpx_conn *c = arg;

    ck_ok(tcpx_half_close(c));
    ck_ok(tcpx_flush(c, soon()));
    ck_ok(tcpx_flush(c, TCPX_NOW));
    /* Nothing failed in this thread. */
    ck_assert_str_eq(tcpx_errmsg(), "");
    return NULL;
}

START_TEST(a_flush_after_a_half_close_is_no_failure)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_ok(tcpx_writen(c, "all of it", 9, NULL, soon()));
    end_thread(start_thread(flush_after_half_close, c));
    if (_i != PAIR_UNIX)
        ck_assert_int_eq(unacknowledged(tcpx_conn_fd(c)), 0);
    close(peer);
    tcpx_abort(c);
}
END_TEST

START_TEST(a_flush_tells_of_a_reset_for_ever)
{
    struct call call = {.kind = CALL_FLUSH, .deadline = TCPX_FOREVER};
    int peer;

    call.c = conn_open(_i, &peer);
    fill_up(call.c);
    call_begin(&call);
    until_asleep(&call);
    raw_reset(peer);
    ck_fails(call_end(&call), -ECONNRESET);
    ck_fails(tcpx_flush(call.c, soon()), -ECONNRESET);
    ck_fails(tcpx_flush(call.c, TCPX_NOW), -ECONNRESET);
    ck_fails(tcpx_write(call.c, "x", 1, soon()), -ECONNRESET);
    tcpx_abort(call.c);
}
END_TEST

START_TEST(a_flush_of_a_unix_socket_has_nothing_to_wait_for)
{
    int peer;
    tcpx_conn *c = conn_open(PAIR_UNIX, &peer);

    fill_up(c);
    ck_ok(tcpx_flush(c, TCPX_NOW));
    tcpx_abort(c);
    close(peer);
}
END_TEST

static void fill_flush(TCase *tc)
{
    const int tcp = PAIR_SHARED;

    tcase_add_loop_test(tc, a_flush_waits_until_all_is_acknowledged, tcp,
                        PAIRS);
    tcase_add_loop_test(tc, a_flush_ends_at_its_deadline_and_can_be_repeated,
                        tcp, PAIRS);
    tcase_add_loop_test(tc, a_flush_after_a_half_close_is_no_failure, 0, PAIRS);
    tcase_add_loop_test(tc, a_flush_tells_of_a_reset_for_ever, tcp, PAIRS);
    tcase_add_test(tc, a_flush_of_a_unix_socket_has_nothing_to_wait_for);
}

const struct test_case test_cases[] = {
    {"flush", "flush", fill_flush},
    {NULL, NULL, NULL},
};
