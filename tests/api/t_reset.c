/* SPDX-License-Identifier: MIT */
/*
 * t_reset.c - a reset, and what had arrived before it.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

START_TEST(a_reset_is_told_to_every_read_for_ever)
{
    char buf[8];
    size_t done = 99;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_reset(peer);
    ck_fails(tcpx_read(c, buf, 8, soon()), -ECONNRESET);
    for (int i = 0; i < 3; i++) {
        ck_fails(tcpx_read(c, buf, 8, TCPX_NOW), -ECONNRESET);
        ck_fails(tcpx_readn(c, buf, 8, &done, soon()), -ECONNRESET);
        ck_assert_uint_eq(done, 0);
        ck_fails(tcpx_peek(c, buf, 8, TCPX_NOW), -ECONNRESET);
    }
    ck_assert_int_eq(tcpx_conn_state(c), TCPX_STATE_FAILED);
    ck_fails(tcpx_close(c, soon()), -ECONNRESET);
}
END_TEST

START_TEST(what_a_reader_was_told_a_writer_is_told_too)
{
    char buf[8] = "";
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_reset(peer);
    ck_fails(tcpx_read(c, buf, 8, soon()), -ECONNRESET);
    ck_fails(tcpx_write(c, buf, 8, soon()), -ECONNRESET);
    ck_fails(tcpx_writen(c, buf, 8, NULL, soon()), -ECONNRESET);
    ck_fails(tcpx_half_close(c), -ECONNRESET);
    ck_fails(tcpx_flush(c, soon()), -ECONNRESET);
    tcpx_abort(c);
}
END_TEST

START_TEST(what_had_arrived_comes_before_the_reset)
{
    char buf[16];
    size_t done;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_send(peer, "before", 6);
    raw_reset(peer);
    await_failure(tcpx_conn_fd(c));
    ck_fails(tcpx_readn(c, buf, sizeof(buf), &done, soon()), -ECONNRESET);
    ck_assert_uint_eq(done, 6);
    ck_assert_mem_eq(buf, "before", 6);
    ck_fails(tcpx_read(c, buf, 8, TCPX_NOW), -ECONNRESET);
    ck_assert_uint_eq(tcpx_conn_bytes_read(c), 6);
    tcpx_abort(c);
}
END_TEST

/* Each way in which the library may learn of a reset before a reader does; the
   kernel tells it once. */
static int learn(tcpx_conn *c, int way)
{
    switch (way) {
    case 0:
        return (int)tcpx_write(c, "x", 1, soon());
    case 1:
        return tcpx_half_close(c);
    default:
        return tcpx_flush(c, soon());
    }
}

START_TEST(a_reset_that_a_writer_met_is_no_clean_end_for_a_reader)
{
    char buf[16];
    size_t done;
    int peer;
    tcpx_conn *c = conn_open(PAIR_SHARED + _i / 3, &peer);

    raw_send(peer, "queued", 6);
    if (_i % 3 == 2)
        fill_up(c); /* a flush has something to wait for */
    raw_reset(peer);
    await_failure(tcpx_conn_fd(c));
    ck_fails(learn(c, _i % 3), -ECONNRESET);
    ck_fails(tcpx_readn(c, buf, sizeof(buf), &done, soon()), -ECONNRESET);
    ck_assert_uint_eq(done, 6);
    ck_assert_mem_eq(buf, "queued", 6);
    ck_fails(tcpx_read(c, buf, 8, TCPX_NOW), -ECONNRESET);
    tcpx_abort(c);
}
END_TEST

START_TEST(a_clean_end_before_the_reset_stays_a_clean_end)
{
    char buf[16];
    size_t done;
    int peer;
    tcpx_conn *c = conn_open(PAIR_SHARED + _i / 3, &peer);

    raw_send(peer, "all of it", 9);
    if (_i % 3 == 2)
        fill_up(c);
    /* FIN; what we write now, or what the peer has not read, makes a reset. */
    ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
    close(peer);
    while (_i % 3 < 2 && tcpx_write(c, "x", 1, soon()) > 0)
        ;
    await_failure(tcpx_conn_fd(c));
    ck_fails(learn(c, _i % 3), -EPIPE);
    ck_fails(tcpx_readn(c, buf, sizeof(buf), &done, soon()), TCPX_ETRUNC);
    ck_assert_uint_eq(done, 9);
    ck_assert_mem_eq(buf, "all of it", 9);
    ck_assert_int_eq(tcpx_read(c, buf, 8, TCPX_NOW), 0);
    tcpx_abort(c);
}
END_TEST

START_TEST(a_waiting_reader_wakes_at_a_reset)
{
    struct call call = {.kind = CALL_READ, .deadline = TCPX_FOREVER};
    int peer;

    call.c = conn_open(_i, &peer);
    call_begin(&call);
    until_asleep(&call);
    raw_reset(peer);
    ck_fails(call_end(&call), -ECONNRESET);
    tcpx_abort(call.c);
}
END_TEST

static void fill_reset(TCase *tc)
{
    const int tcp = PAIR_SHARED;

    tcase_add_loop_test(tc, a_reset_is_told_to_every_read_for_ever, tcp, PAIRS);
    tcase_add_loop_test(tc, what_a_reader_was_told_a_writer_is_told_too, tcp,
                        PAIRS);
    tcase_add_loop_test(tc, what_had_arrived_comes_before_the_reset, tcp,
                        PAIRS);
    tcase_add_loop_test(tc,
                        a_reset_that_a_writer_met_is_no_clean_end_for_a_reader,
                        0, 3 * (PAIRS - tcp));
    tcase_add_loop_test(tc, a_clean_end_before_the_reset_stays_a_clean_end, 0,
                        3 * (PAIRS - tcp));
    tcase_add_loop_test(tc, a_waiting_reader_wakes_at_a_reset, tcp, PAIRS);
}

const struct test_case test_cases[] = {
    {"reset", "reset", fill_reset},
    {NULL, NULL, NULL},
};
