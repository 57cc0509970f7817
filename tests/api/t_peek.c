/* SPDX-License-Identifier: MIT */
/*
 * t_peek.c - looking at what is there without taking it.
 */
#include <stdlib.h>
#include <string.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

START_TEST(peek_takes_nothing)
{
    char buf[16];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_send(peer, "look", 4);
    for (int i = 0; i < 3; i++) {
        memset(buf, 0, sizeof(buf));
        ck_assert_int_eq(tcpx_peek(c, buf, sizeof(buf), soon()), 4);
        ck_assert_str_eq(buf, "look");
        ck_assert_uint_eq(tcpx_conn_bytes_read(c), 0);
    }
    ck_assert_int_eq(tcpx_peek(c, buf, 2, TCPX_NOW), 2);
    ck_assert_int_eq(tcpx_read(c, buf, sizeof(buf), TCPX_NOW), 4);
    ck_assert_uint_eq(tcpx_conn_bytes_read(c), 4);
    ck_fails(tcpx_peek(c, buf, 1, TCPX_NOW), TCPX_EDEADLINE);
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(peek_sees_what_came_since_the_last_peek)
{
    char buf[16];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_send(peer, "one", 3);
    ck_assert_int_eq(tcpx_peek(c, buf, 2, soon()), 2);
    raw_send(peer, "two", 3);
    while (tcpx_peek(c, buf, sizeof(buf), soon()) == 3)
        ;
    ck_assert_int_eq(tcpx_peek(c, buf, sizeof(buf), soon()), 6);
    ck_assert_mem_eq(buf, "onetwo", 6);
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(what_was_peeked_comes_first)
{
    char buf[16];
    size_t done;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_send(peer, "abcdef", 6);
    ck_assert_int_eq(tcpx_peek(c, buf, 3, soon()), 3);
    raw_send(peer, "ghi", 3);
    ck_assert_int_eq(tcpx_read(c, buf, 2, TCPX_NOW), 2);
    ck_ok(tcpx_readn(c, buf + 2, 7, &done, soon()));
    ck_assert_uint_eq(done, 7);
    ck_assert_mem_eq(buf, "abcdefghi", 9);
    ck_assert_uint_eq(tcpx_conn_bytes_read(c), 9);
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(the_end_after_peeked_bytes_counts_them)
{
    char buf[16];
    size_t done;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_send(peer, "abc", 3);
    close(peer);
    ck_assert_int_eq(tcpx_peek(c, buf, 9, soon()), 3);
    ck_assert_int_eq(tcpx_peek(c, buf, 9, soon()), 3);
    ck_fails(tcpx_readn(c, buf, 9, &done, soon()), TCPX_ETRUNC);
    ck_assert_uint_eq(done, 3);
    ck_assert_int_eq(tcpx_peek(c, buf, 9, soon()), 0);
    ck_assert_int_eq(tcpx_peek(c, buf, 9, TCPX_NOW), 0);
    tcpx_abort(c);
}
END_TEST

START_TEST(peek_grows_with_what_it_is_asked_for)
{
    const size_t size = 300000;
    char *want = malloc(size);
    char *got = malloc(size);
    struct pair p = pair_open(_i);
    size_t sent = 0;
    size_t seen = 0;

    ck_assert_ptr_nonnull(want);
    ck_assert_ptr_nonnull(got);
    fill_pattern(want, size, 0);
    while (seen < size) {
        if (sent < size) {
            ssize_t n = tcpx_write(p.b, want + sent, size - sent, TCPX_NOW);

            sent += n > 0 ? (size_t)n : 0;
        }
        seen = (size_t)ck_ok(tcpx_peek(p.a, got, size, soon()));
        ck_assert_uint_le(seen, sent);
    }
    ck_assert_mem_eq(got, want, size);
    memset(got, 0, size);
    ck_ok(tcpx_readn(p.a, got, size, NULL, TCPX_NOW));
    ck_assert_mem_eq(got, want, size);
    pair_end(&p);
    free(want);
    free(got);
}
END_TEST

static void fill_peek(TCase *tc)
{
    tcase_add_loop_test(tc, peek_takes_nothing, 0, PAIRS);
    tcase_add_loop_test(tc, peek_sees_what_came_since_the_last_peek, 0, PAIRS);
    tcase_add_loop_test(tc, what_was_peeked_comes_first, 0, PAIRS);
    tcase_add_loop_test(tc, the_end_after_peeked_bytes_counts_them, 0, PAIRS);
    tcase_add_loop_test(tc, peek_grows_with_what_it_is_asked_for, 0, PAIRS);
}

const struct test_case test_cases[] = {
    {"peek", "peek", fill_peek},
    {NULL, NULL, NULL},
};
