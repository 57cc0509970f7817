/* SPDX-License-Identifier: MIT */
/*
 * t_until.c - reading up to a byte, skipping past one, and very long lines.
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
#include "sanitizers.h"
#include "support.h"

static void expect_line(struct fed *f, const char *expected)
{
    char line[64];
    size_t len = strlen(expected);

    ck_assert_int_eq(tcpx_readline(f->c, line, sizeof(line), soon()),
                     (ssize_t)len);
    ck_assert_str_eq(line, expected);
}

START_TEST(any_byte_can_be_the_delimiter)
{
    struct fed f = fed_open(_i);
    unsigned char sent[256];
    unsigned char buf[256];

    for (int i = 0; i < 256; i++)
        sent[i] = (unsigned char)i;
    raw_send(f.peer, sent, sizeof(sent));
    ck_assert_int_eq(tcpx_read_until(f.c, buf, sizeof(buf), 0, soon()), 1);
    ck_assert_int_eq(tcpx_read_until(f.c, buf, sizeof(buf), '\n', soon()), 10);
    ck_assert_int_eq(buf[9], '\n');
    ck_assert_int_eq(tcpx_read_until(f.c, buf, sizeof(buf), 255, soon()), 245);
    ck_assert_mem_eq(buf, sent + 11, 245);
    fed_end(&f);
}
END_TEST

START_TEST(a_delimiter_counts_within_the_limit)
{
    struct fed f = fed_open(_i);
    char buf[8] = "untouche";

    feed(&f, "12345;678;");
    ck_fails(tcpx_read_until(f.c, buf, 5, ';', soon()), TCPX_ETOOLONG);
    ck_assert_mem_eq(buf, "untouche", 8);
    ck_assert_int_eq(tcpx_read_until(f.c, buf, 6, ';', soon()), 6);
    ck_assert_mem_eq(buf, "12345;he", 8); /* no NUL is added */
    ck_assert_int_eq(tcpx_read_until(f.c, buf, 8, ';', soon()), 4);
    fed_end(&f);
}
END_TEST

START_TEST(a_delimiter_that_never_comes_is_told_as_a_line_is)
{
    struct fed f = fed_open(_i);
    char buf[8];

    feed(&f, "tail");
    ck_fails(tcpx_read_until(f.c, buf, 8, ';', TCPX_NOW), TCPX_EDEADLINE);
    feed_end(&f);
    ck_fails(tcpx_read_until(f.c, buf, 8, ';', soon()), TCPX_ETRUNC);
    ck_fails(tcpx_read_until(f.c, buf, 4, ';', soon()), TCPX_ETOOLONG);
    expect_bytes(&f, "tail");
    ck_fails(tcpx_read_until(f.c, buf, 8, ';', soon()), TCPX_EOF);
    fed_end(&f);
}
END_TEST

START_TEST(searches_for_different_bytes_do_not_disturb_each_other)
{
    struct fed f = fed_open(_i);
    char buf[16];

    feed(&f, "a;b");
    ck_fails(tcpx_readline(f.c, buf, sizeof(buf), TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_int_eq(tcpx_read_until(f.c, buf, sizeof(buf), ';', TCPX_NOW), 2);
    ck_fails(tcpx_read_until(f.c, buf, sizeof(buf), ';', TCPX_NOW),
             TCPX_EDEADLINE);
    feed(&f, "c\nd;");
    expect_line(&f, "bc");
    ck_assert_int_eq(tcpx_read_until(f.c, buf, sizeof(buf), ';', TCPX_NOW), 2);
    fed_end(&f);
}
END_TEST

START_TEST(a_skip_drops_up_to_the_delimiter)
{
    struct fed f = fed_open(_i);
    size_t done = 77;

    feed(&f, "long line\nnext\n;");
    ck_ok(tcpx_skip_until(f.c, '\n', &done, soon()));
    ck_assert_uint_eq(done, 10);
    expect_line(&f, "next");
    ck_ok(tcpx_skip_until(f.c, ';', NULL, soon()));
    ck_assert_uint_eq(tcpx_conn_bytes_read(f.c), 16);
    fed_end(&f);
}
END_TEST

START_TEST(what_a_skip_dropped_before_a_deadline_stays_dropped)
{
    struct fed f = fed_open(_i);
    size_t done;

    feed(&f, "12345");
    ck_fails(tcpx_skip_until(f.c, '\n', &done, tcpx_after(50 * TCPX_MSEC)),
             TCPX_EDEADLINE);
    ck_assert_uint_eq(done, 5);
    ck_fails(tcpx_skip_until(f.c, '\n', &done, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_uint_eq(done, 0);
    feed(&f, "67\nrest");
    ck_ok(tcpx_skip_until(f.c, '\n', &done, soon()));
    ck_assert_uint_eq(done, 3);
    expect_bytes(&f, "rest");
    fed_end(&f);
}
END_TEST

START_TEST(a_skip_tells_the_end_of_the_stream)
{
    struct fed f = fed_open(_i);
    size_t done;

    feed(&f, "tail");
    feed_end(&f);
    ck_fails(tcpx_skip_until(f.c, '\n', &done, soon()), TCPX_ETRUNC);
    ck_assert_uint_eq(done, 4);
    ck_fails(tcpx_skip_until(f.c, '\n', &done, soon()), TCPX_EOF);
    ck_assert_uint_eq(done, 0);
    fed_end(&f);
}
END_TEST

static void fill_delimiters(TCase *tc)
{
    tcase_add_loop_test(tc, any_byte_can_be_the_delimiter, 0, PAIRS);
    tcase_add_loop_test(tc, a_delimiter_counts_within_the_limit, 0, PAIRS);
    tcase_add_loop_test(tc, a_delimiter_that_never_comes_is_told_as_a_line_is,
                        0, PAIRS);
    tcase_add_loop_test(
        tc, searches_for_different_bytes_do_not_disturb_each_other, 0, PAIRS);
    tcase_add_loop_test(tc, a_skip_drops_up_to_the_delimiter, 0, PAIRS);
    tcase_add_loop_test(tc, what_a_skip_dropped_before_a_deadline_stays_dropped,
                        0, PAIRS);
    tcase_add_loop_test(tc, a_skip_tells_the_end_of_the_stream, 0, PAIRS);
}

START_TEST(bytes_left_after_a_line_come_first_whichever_read_comes)
{
    struct fed f = fed_open(_i);
    char held[16];
    char buf[16];
    size_t n;
    int fd = -1;

    feed(&f, "line\nABCDEFGHIJ;KL");
    expect_line(&f, "line");
    ck_assert_int_eq(tcpx_peek(f.c, buf, 3, TCPX_NOW), 3);
    ck_assert_mem_eq(buf, "ABC", 3);
    ck_assert_int_eq(tcpx_read(f.c, buf, 2, TCPX_NOW), 2);
    ck_assert_mem_eq(buf, "AB", 2);
    ck_ok(tcpx_readn(f.c, buf, 3, NULL, TCPX_NOW));
    ck_assert_mem_eq(buf, "CDE", 3);
    ck_assert_int_eq(tcpx_read_until(f.c, buf, 16, ';', TCPX_NOW), 6);
    ck_assert_mem_eq(buf, "FGHIJ;", 6);
    feed(&f, "M");
    ck_ok(tcpx_readn(f.c, buf, 1, NULL, soon()));
    ck_ok(tcpx_conn_release(f.c, &fd, held, sizeof(held), &n));
    ck_assert_uint_eq(n, 1);
    ck_assert_mem_eq(held, "L", 1);
    ck_assert_uint_eq(raw_recv(fd, buf, 1), 1);
    ck_assert_int_eq(buf[0], 'M');
    close(fd);
    close(f.peer);
}
END_TEST

START_TEST(a_line_read_refuses_what_makes_no_sense)
{
    struct fed f = fed_open(PAIR_UNIX);
    char buf[4];
    size_t done = 7;

    feed(&f, "x\n");
    ck_fails(tcpx_readline(NULL, buf, 4, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_readline(f.c, NULL, 4, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_readline(f.c, buf, 0, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_readline(f.c, buf, (size_t)SSIZE_MAX + 1, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_readline(f.c, buf, 4, TCPX_SEC / 1000), -EINVAL);
    ck_fails(tcpx_read_until(NULL, buf, 4, 'x', TCPX_NOW), -EINVAL);
    ck_fails(tcpx_read_until(f.c, NULL, 4, 'x', TCPX_NOW), -EINVAL);
    ck_fails(tcpx_read_until(f.c, buf, 0, 'x', TCPX_NOW), -EINVAL);
    ck_fails(tcpx_read_until(f.c, buf, SIZE_MAX, 'x', TCPX_NOW), -EINVAL);
    ck_fails(tcpx_read_until(f.c, buf, 4, -1, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_read_until(f.c, buf, 4, 256, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_skip_until(NULL, 'x', &done, TCPX_NOW), -EINVAL);
    ck_assert_uint_eq(done, 0);
    ck_fails(tcpx_skip_until(f.c, 256, &done, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_skip_until(f.c, -1, &done, TCPX_NOW), -EINVAL);
    /* The largest limit there is costs no memory. */
    ck_assert_int_eq(tcpx_readline(f.c, buf, SSIZE_MAX, TCPX_NOW), 1);
    fed_end(&f);
}
END_TEST

static void fill_mixed(TCase *tc)
{
    tcase_add_loop_test(
        tc, bytes_left_after_a_line_come_first_whichever_read_comes, 0, PAIRS);
    tcase_add_test(tc, a_line_read_refuses_what_makes_no_sense);
}

struct flood {
    int fd;
    size_t len;
};

/* Sends one line of that length; the reader may be gone before its end. */
static void *send_flood(void *arg)
{
    struct flood *flood = arg;
    static char block[65536];

    memset(block, 'x', sizeof(block));
    for (size_t sent = 0; sent < flood->len;) {
        size_t left = flood->len - sent;
        ssize_t n =
            send(flood->fd, block, left < sizeof(block) ? left : sizeof(block),
                 MSG_NOSIGNAL);

        if (n < 0)
            return NULL;
        sent += (size_t)n;
    }
    raw_send(flood->fd, "\nnext\n", 6);
    return NULL;
}

static long peak_memory_kib(void)
{
    struct rusage usage;

    ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

START_TEST(a_line_of_a_gigabyte_costs_no_more_than_the_limit)
{
    struct fed f = fed_open(_i);
    /* Watched at every step, a gigabyte takes a minute. */
    int watched = TEST_ASAN || TEST_TSAN || on_valgrind();
    struct flood flood = {f.peer, (size_t)1 << (watched ? 26 : 30)};
    pthread_t thread = start_thread(send_flood, &flood);
    long before = peak_memory_kib();
    char line[8192];
    size_t done = 0;

    ck_fails(tcpx_readline(f.c, line, sizeof(line), soon()), TCPX_ETOOLONG);
    ck_ok(tcpx_skip_until(f.c, '\n', &done, soon()));
    ck_assert_uint_eq(done, flood.len + 1);
    expect_line(&f, "next");
    /* A sanitizer keeps memory of its own beside each stack. */
    ck_assert_int_lt(peak_memory_kib() - before, watched ? 16384 : 4096);
    end_thread(thread);
    fed_end(&f);
}
END_TEST

static void fill_long(TCase *tc)
{
    tcase_add_loop_test(tc, a_line_of_a_gigabyte_costs_no_more_than_the_limit,
                        0, PAIRS);
}

const struct test_case test_cases[] = {
    {"until", "delimiters", fill_delimiters},
    {"until", "mixed", fill_mixed},
    {"until", "long", fill_long},
    {NULL, NULL, NULL},
};
