/* SPDX-License-Identifier: MIT */
/*
 * t_line.c - lines, and whatever else ends by one byte.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "pairs.h"
#include "runner.h"
#include "support.h"

static void expect_line(struct fed *f, const char *expected)
{
    char line[64];
    size_t len = strlen(expected);

    ck_assert_int_eq(tcpx_readline(f->c, line, sizeof(line), soon()),
                     (ssize_t)len);
    ck_assert_str_eq(line, expected);
}

START_TEST(a_line_comes_without_its_end)
{
    struct fed f = fed_open(_i);

    feed(&f, "unix\nnet\r\n\n\r\nlast\n");
    expect_line(&f, "unix");
    expect_line(&f, "net");
    expect_line(&f, "");
    expect_line(&f, "");
    expect_line(&f, "last");
    feed_end(&f);
    ck_assert_uint_eq(tcpx_conn_bytes_read(f.c), 18);
    fed_end(&f);
}
END_TEST

START_TEST(carriage_returns_and_nuls_inside_a_line_are_bytes)
{
    static const char sent[] = "a\rb\0c\r\r\n\r\0\n\r\n";
    struct fed f = fed_open(_i);
    char line[16];

    raw_send(f.peer, sent, sizeof(sent) - 1);
    ck_assert_int_eq(tcpx_readline(f.c, line, sizeof(line), soon()), 6);
    ck_assert_mem_eq(line, "a\rb\0c\r\0", 7);
    ck_assert_int_eq(tcpx_readline(f.c, line, sizeof(line), soon()), 2);
    ck_assert_mem_eq(line, "\r\0\0", 3);
    ck_assert_int_eq(tcpx_readline(f.c, line, sizeof(line), soon()), 0);
    fed_end(&f);
}
END_TEST

/*
 * What a line of `length` bytes, its end included, must give at each limit: the
 * same however it is cut into segments.
 */
static void try_split(int kind, const char *sent, size_t cut, size_t cap)
{
    size_t len = strlen(sent);
    size_t content = len - (sent[len - 2] == '\r' ? 2 : 1);
    struct fed f = fed_open(kind);
    char line[32];
    ssize_t n;

    memset(line, 0x55, sizeof(line));
    raw_send(f.peer, sent, cut);
    n = tcpx_readline(f.c, line, cap, TCPX_NOW);
    if (n == TCPX_EDEADLINE) {
        raw_send(f.peer, sent + cut, len - cut);
        n = tcpx_readline(f.c, line, cap, soon());
    } else {
        raw_send(f.peer, sent + cut, len - cut);
    }
    if (content < cap) {
        ck_assert_int_eq(n, (ssize_t)content);
        ck_assert_mem_eq(line, sent, content);
        ck_assert_int_eq(line[content], '\0');
        ck_assert_int_eq(line[content + 1], 0x55);
        feed(&f, "next\n");
        expect_line(&f, "next");
    } else {
        ck_fails(n, TCPX_ETOOLONG);
        ck_assert_int_eq(line[0], 0x55);
        ck_ok(tcpx_skip_until(f.c, '\n', NULL, soon()));
        feed(&f, "next\n");
        expect_line(&f, "next");
    }
    fed_end(&f);
}

START_TEST(a_line_is_the_same_however_it_is_split)
{
    static const char *const lines[] = {"abcdef\r\n", "abcdef\n", "abcde\r\r\n",
                                        "\r\n", "\r\r\n"};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        size_t len = strlen(lines[i]);

        for (size_t cut = 0; cut <= len; cut++) {
            for (size_t cap = 1; cap <= len + 1; cap++)
                try_split(_i, lines[i], cut, cap);
        }
    }
}
END_TEST

START_TEST(a_line_can_come_byte_by_byte)
{
    static const char sent[] = "byte by byte\r\n";
    struct fed f = fed_open(_i);
    char line[16];

    for (size_t i = 0; i < strlen(sent); i++) {
        ck_fails(tcpx_readline(f.c, line, sizeof(line), TCPX_NOW),
                 TCPX_EDEADLINE);
        raw_send(f.peer, sent + i, 1);
    }
    expect_line(&f, "byte by byte");
    fed_end(&f);
}
END_TEST

static void *drip(void *arg)
{
    static const char sent[] = "one\r\n\ntwo\n";
    struct fed *f = arg;

    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < strlen(sent); i++)
            raw_send(f->peer, sent + i, 1);
    }
    return NULL;
}

START_TEST(a_waiting_reader_gets_each_line_of_a_dripping_peer)
{
    struct fed f = fed_open(_i);
    pthread_t thread = start_thread(drip, &f);

    for (int round = 0; round < 200; round++) {
        expect_line(&f, "one");
        expect_line(&f, "");
        expect_line(&f, "two");
    }
    end_thread(thread);
    fed_end(&f);
}
END_TEST

START_TEST(a_limit_of_one_byte_allows_empty_lines_only)
{
    struct fed f = fed_open(_i);
    char line[2] = "??";

    feed(&f, "\n\r\nx\n");
    ck_assert_int_eq(tcpx_readline(f.c, line, 1, soon()), 0);
    ck_assert_int_eq(line[0], '\0');
    ck_assert_int_eq(tcpx_readline(f.c, line, 1, soon()), 0);
    ck_fails(tcpx_readline(f.c, line, 1, soon()), TCPX_ETOOLONG);
    ck_assert_int_eq(line[1], '?');
    expect_line(&f, "x");
    fed_end(&f);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_told_before_its_end_comes)
{
    struct fed f = fed_open(_i);
    char line[8];

    feed(&f, "1234567"); /* as much as fits, and no end */
    ck_fails(tcpx_readline(f.c, line, 8, TCPX_NOW), TCPX_EDEADLINE);
    feed(&f, "8");
    ck_fails(tcpx_readline(f.c, line, 8, soon()), TCPX_ETOOLONG);
    /* It takes nothing, however often it is asked. */
    ck_fails(tcpx_readline(f.c, line, 8, soon()), TCPX_ETOOLONG);
    ck_assert_uint_eq(tcpx_conn_bytes_read(f.c), 0);
    /* A larger limit finds the line. */
    ck_fails(tcpx_readline(f.c, line, 64, TCPX_NOW), TCPX_EDEADLINE);
    feed(&f, "\n");
    ck_fails(tcpx_readline(f.c, line, 8, soon()), TCPX_ETOOLONG);
    expect_line(&f, "12345678");
    fed_end(&f);
}
END_TEST

START_TEST(a_return_at_the_limit_waits_for_what_follows)
{
    struct fed f = fed_open(_i);
    char line[8];

    feed(&f, "123\r");
    ck_fails(tcpx_readline(f.c, line, 4, TCPX_NOW), TCPX_EDEADLINE);
    feed(&f, "\n123\r");
    ck_assert_int_eq(tcpx_readline(f.c, line, 4, soon()), 3);
    ck_assert_str_eq(line, "123");
    ck_fails(tcpx_readline(f.c, line, 4, TCPX_NOW), TCPX_EDEADLINE);
    feed(&f, "x\n");
    ck_fails(tcpx_readline(f.c, line, 4, soon()), TCPX_ETOOLONG);
    expect_line(&f, "123\rx");
    fed_end(&f);
}
END_TEST

START_TEST(the_end_of_the_stream_is_told_from_a_line_cut_short)
{
    struct fed f = fed_open(_i);
    char line[16] = "untouched";

    feed(&f, "whole\ntail");
    feed_end(&f);
    expect_line(&f, "whole");
    ck_fails(tcpx_readline(f.c, line, sizeof(line), soon()), TCPX_ETRUNC);
    ck_fails(tcpx_readline(f.c, line, sizeof(line), soon()), TCPX_ETRUNC);
    ck_assert_str_eq(line, "untouched");
    expect_bytes(&f, "tail");
    ck_fails(tcpx_readline(f.c, line, sizeof(line), soon()), TCPX_EOF);
    ck_fails(tcpx_readline(f.c, line, sizeof(line), TCPX_NOW), TCPX_EOF);
    ck_assert_int_eq(tcpx_read(f.c, line, sizeof(line), soon()), 0);
    fed_end(&f);
}
END_TEST

START_TEST(a_return_at_the_end_of_the_stream_is_a_tail)
{
    struct fed f = fed_open(_i);
    char line[8];

    feed(&f, "ab\r");
    feed_end(&f);
    ck_fails(tcpx_readline(f.c, line, 3, soon()), TCPX_ETRUNC);
    expect_bytes(&f, "ab\r");
    fed_end(&f);
}
END_TEST

START_TEST(a_reset_in_the_middle_of_a_line_leaves_the_bytes)
{
    struct fed f = fed_open(_i);
    char line[16];

    feed(&f, "first\nhalf");
    expect_line(&f, "first");
    ck_fails(tcpx_readline(f.c, line, sizeof(line), TCPX_NOW), TCPX_EDEADLINE);
    raw_reset(f.peer);
    ck_fails(tcpx_readline(f.c, line, sizeof(line), soon()), -ECONNRESET);
    ck_fails(tcpx_readline(f.c, line, sizeof(line), soon()), -ECONNRESET);
    expect_bytes(&f, "half");
    ck_fails(tcpx_read(f.c, line, sizeof(line), soon()), -ECONNRESET);
    tcpx_abort(f.c);
}
END_TEST

START_TEST(whole_lines_come_before_a_reset_is_told)
{
    struct fed f = fed_open(_i);
    char line[16];

    feed(&f, "one\ntwo\nthree\n");
    expect_line(&f, "one");
    raw_reset(f.peer);
    expect_line(&f, "two");
    expect_line(&f, "three");
    ck_fails(tcpx_readline(f.c, line, sizeof(line), soon()), -ECONNRESET);
    tcpx_abort(f.c);
}
END_TEST

START_TEST(a_deadline_in_the_middle_of_a_line_takes_nothing)
{
    struct fed f = fed_open(_i);
    char buf[16];

    feed(&f, "half");
    ck_fails(tcpx_readline(f.c, buf, 16, tcpx_after(TCPX_MSEC)),
             TCPX_EDEADLINE);
    ck_assert_uint_eq(tcpx_conn_bytes_read(f.c), 0);
    ck_fails(tcpx_read_until(f.c, buf, 16, ';', tcpx_after(TCPX_MSEC)),
             TCPX_EDEADLINE);
    ck_assert_int_eq(tcpx_peek(f.c, buf, 4, TCPX_NOW), 4);
    ck_assert_mem_eq(buf, "half", 4);
    feed(&f, " a line\nrest");
    expect_line(&f, "half a line");
    expect_bytes(&f, "rest");
    fed_end(&f);
}
END_TEST

START_TEST(a_cancel_in_the_middle_of_a_line_is_told)
{
    struct fed f = fed_open(_i);
    char line[16];

    feed(&f, "half");
    ck_fails(tcpx_readline(f.c, line, sizeof(line), TCPX_NOW), TCPX_EDEADLINE);
    tcpx_cancel(f.c);
    ck_fails(tcpx_readline(f.c, line, sizeof(line), soon()), TCPX_ECANCELED);
    ck_assert_uint_eq(tcpx_conn_bytes_read(f.c), 0);
    fed_end(&f);
}
END_TEST

static void fill_lines(TCase *tc)
{
    tcase_add_loop_test(tc, a_line_comes_without_its_end, 0, PAIRS);
    tcase_add_loop_test(tc, carriage_returns_and_nuls_inside_a_line_are_bytes,
                        0, PAIRS);
    tcase_add_loop_test(tc, a_line_is_the_same_however_it_is_split, 0, PAIRS);
    tcase_add_loop_test(tc, a_line_can_come_byte_by_byte, 0, PAIRS);
    tcase_add_loop_test(tc, a_waiting_reader_gets_each_line_of_a_dripping_peer,
                        0, PAIRS);
    tcase_add_loop_test(tc, a_limit_of_one_byte_allows_empty_lines_only, 0,
                        PAIRS);
    tcase_add_loop_test(
        tc, a_line_that_is_too_long_is_told_before_its_end_comes, 0, PAIRS);
    tcase_add_loop_test(tc, a_return_at_the_limit_waits_for_what_follows, 0,
                        PAIRS);
}

static void fill_ends(TCase *tc)
{
    tcase_add_loop_test(tc, the_end_of_the_stream_is_told_from_a_line_cut_short,
                        0, PAIRS);
    tcase_add_loop_test(tc, a_return_at_the_end_of_the_stream_is_a_tail, 0,
                        PAIRS);
    /* A Unix socket has no reset. */
    tcase_add_loop_test(tc, a_reset_in_the_middle_of_a_line_leaves_the_bytes,
                        PAIR_SHARED, PAIRS);
    tcase_add_loop_test(tc, whole_lines_come_before_a_reset_is_told,
                        PAIR_SHARED, PAIRS);
    tcase_add_loop_test(tc, a_deadline_in_the_middle_of_a_line_takes_nothing, 0,
                        PAIRS);
    tcase_add_loop_test(tc, a_cancel_in_the_middle_of_a_line_is_told, 0, PAIRS);
}

const struct test_case test_cases[] = {
    {"line", "lines", fill_lines},
    {"line", "ends", fill_ends},
    {NULL, NULL, NULL},
};
