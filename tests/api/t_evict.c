/* SPDX-License-Identifier: MIT */
/*
 * t_evict.c - ending a connection so that the peer has all, or knows it has
 * not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

START_TEST(a_close_that_turns_a_reader_out_still_delivers_everything)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);
    struct call reader = {.kind = CALL_READ, .c = c, .deadline = soon()};
    struct collector k;
    size_t len = 100000;
    char *data = malloc(len);

    ck_assert_ptr_nonnull(data);
    fill_pattern(data, len, 0);
    call_begin(&reader);
    until_asleep(&reader);
    ck_ok(tcpx_writen(c, data, len, NULL, soon()));
    collect_start(&k, peer, len);
    ck_fails(tcpx_close(c, soon()), TCPX_ECANCELED);
    ck_fails(call_end(&reader), TCPX_ECANCELED);
    collect_end(&k);
    ck_assert_int_eq(k.error, 0);
    ck_assert_uint_eq(k.len, len);
    ck_assert_mem_eq(k.data, data, len);
    free(k.data);
    free(data);
    close(peer);
}
END_TEST

START_TEST(a_sleep_that_is_over_is_good_in_a_canceled_task)
{
    tcpx_task_cancel(tcpx_task_self());
    ck_ok(tcpx_sleep(TCPX_NOW));
    ck_ok(tcpx_sleep(tcpx_after(-60 * TCPX_SEC)));
    ck_fails(tcpx_sleep(soon()), TCPX_ECANCELED);
    ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
}
END_TEST

static void fill_evictions(TCase *tc)
{
    tcase_add_loop_test(
        tc, a_close_that_turns_a_reader_out_still_delivers_everything, 0,
        PAIRS);
    tcase_add_test(tc, a_sleep_that_is_over_is_good_in_a_canceled_task);
}

const struct test_case test_cases[] = {
    {"evict", "evictions", fill_evictions},
    {NULL, NULL, NULL},
};
