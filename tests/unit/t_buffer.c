/* SPDX-License-Identifier: MIT */
/*
 * t_buffer.c - how far a search has looked, and how much memory reading ahead
 * takes.
 */
#include <string.h>
#include <unistd.h>
#include "net/conn.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

static int is_ahead(const tcpx_conn *c)
{
    return atomic_load(&c->in.ahead);
}

START_TEST(a_search_goes_on_where_it_stopped)
{
    struct fed f = fed_open(_i);
    char line[64];

    for (size_t held = 1; held < 20; held++) {
        feed(&f, "x");
        ck_fails(tcpx_readline(f.c, line, sizeof(line), TCPX_NOW),
                 TCPX_EDEADLINE);
        ck_assert_uint_eq(tcpx__conn_search_from(f.c, '\n'), held);
        ck_assert_uint_eq(tcpx__conn_search_from(f.c, ';'), 0);
    }
    /* Another byte is searched for from the start, and then the first again. */
    ck_fails(tcpx_read_until(f.c, line, sizeof(line), ';', TCPX_NOW),
             TCPX_EDEADLINE);
    ck_assert_uint_eq(tcpx__conn_search_from(f.c, ';'), 19);
    ck_assert_uint_eq(tcpx__conn_search_from(f.c, '\n'), 0);
    feed(&f, "\n");
    ck_assert_int_eq(tcpx_readline(f.c, line, sizeof(line), soon()), 19);
    ck_assert_uint_eq(tcpx__conn_search_from(f.c, '\n'), 0);
    fed_end(&f);
}
END_TEST

START_TEST(a_plain_read_makes_a_search_begin_anew)
{
    struct fed f = fed_open(_i);
    char line[64];

    feed(&f, "abc");
    ck_fails(tcpx_readline(f.c, line, sizeof(line), TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_int_eq(tcpx_read(f.c, line, 1, TCPX_NOW), 1);
    ck_assert_uint_eq(tcpx__conn_search_from(f.c, '\n'), 0);
    feed(&f, "\n");
    ck_assert_int_eq(tcpx_readline(f.c, line, sizeof(line), soon()), 2);
    ck_assert_str_eq(line, "bc");
    fed_end(&f);
}
END_TEST

START_TEST(half_a_line_is_nothing_to_be_told_of_until_more_comes)
{
    struct fed f = fed_open(_i);
    char buf[64];

    feed(&f, "half");
    ck_fails(tcpx_readline(f.c, buf, sizeof(buf), TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_int_eq(is_ahead(f.c), 0);
    /* Another kind of read finds the same too few, or looks at it. */
    ck_fails(tcpx_read_frame(f.c, TCPX_FRAME(.length = TCPX_FRAME_BE64), buf,
                             sizeof(buf), TCPX_NOW),
             TCPX_EDEADLINE);
    ck_assert_int_eq(is_ahead(f.c), 0);
    ck_assert_int_eq(tcpx_peek(f.c, buf, 1, TCPX_NOW), 1);
    ck_assert_int_eq(is_ahead(f.c), 1);
    ck_fails(tcpx_readline(f.c, buf, sizeof(buf), TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_int_eq(is_ahead(f.c), 0);
    feed(&f, "\nrest");
    ck_assert_int_eq(tcpx_readline(f.c, buf, sizeof(buf), soon()), 4);
    ck_assert_int_eq(is_ahead(f.c), 1);
    ck_ok(tcpx_readn(f.c, buf, 4, NULL, TCPX_NOW));
    ck_assert_int_eq(is_ahead(f.c), 0);
    fed_end(&f);
}
END_TEST

START_TEST(what_only_another_read_can_take_is_told_of)
{
    struct fed f = fed_open(_i);
    char buf[64];

    feed(&f, "123456");
    ck_fails(tcpx_readline(f.c, buf, 4, TCPX_NOW), TCPX_ETOOLONG);
    ck_assert_int_eq(is_ahead(f.c), 1);
    ck_fails(tcpx_readline(f.c, buf, 64, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_int_eq(is_ahead(f.c), 0);
    ck_fails(tcpx_read_frame(f.c, NULL, buf, 4, TCPX_NOW), TCPX_ETOOLONG);
    ck_assert_int_eq(is_ahead(f.c), 1);
    ck_fails(tcpx_readline(f.c, buf, 64, TCPX_NOW), TCPX_EDEADLINE);
    feed_end(&f);
    ck_fails(tcpx_readline(f.c, buf, 64, soon()), TCPX_ETRUNC);
    ck_assert_int_eq(is_ahead(f.c), 1);
    ck_ok(tcpx_skip_until(f.c, '6', NULL, TCPX_NOW));
    ck_fails(tcpx_readline(f.c, buf, 64, soon()), TCPX_EOF);
    ck_assert_int_eq(is_ahead(f.c), 0);
    fed_end(&f);
}
END_TEST

static void fill_search(TCase *tc)
{
    tcase_add_loop_test(tc, a_search_goes_on_where_it_stopped, 0, PAIRS);
    tcase_add_loop_test(tc, a_plain_read_makes_a_search_begin_anew, 0, PAIRS);
    tcase_add_loop_test(
        tc, half_a_line_is_nothing_to_be_told_of_until_more_comes, 0, PAIRS);
    tcase_add_loop_test(tc, what_only_another_read_can_take_is_told_of, 0,
                        PAIRS);
}

START_TEST(plain_reads_have_no_buffer)
{
    struct fed f = fed_open(_i);
    char buf[4];

    feed(&f, "abcd");
    ck_assert_int_eq(tcpx_read(f.c, buf, 2, soon()), 2);
    ck_ok(tcpx_readn(f.c, buf, 2, NULL, soon()));
    ck_assert_ptr_null(f.c->in.data);
    ck_fails(tcpx_readn(f.c, buf, 2, NULL, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_ptr_null(f.c->in.data);
    fed_end(&f);
}
END_TEST

static void feed_many(struct fed *f, size_t n)
{
    static const char block[4096] = "x";

    for (; n >= sizeof(block); n -= sizeof(block))
        raw_send(f->peer, block, sizeof(block));
    raw_send(f->peer, block, n);
}

START_TEST(a_line_buffers_no_more_than_its_limit)
{
    struct fed f = fed_open(_i);
    char line[8192];

    feed_many(&f, 100000);
    ck_fails(tcpx_readline(f.c, line, sizeof(line), TCPX_NOW), TCPX_ETOOLONG);
    ck_assert_uint_le(f.c->in.cap, 16384);
    /* Passing over the rest does not even need that. */
    feed(&f, "\n");
    ck_ok(tcpx_skip_until(f.c, '\n', NULL, soon()));
    ck_assert_uint_le(f.c->in.cap, 16384);
    ck_assert_uint_eq(tcpx_conn_bytes_read(f.c), 100001);
    fed_end(&f);
}
END_TEST

START_TEST(a_skip_needs_one_small_buffer)
{
    struct fed f = fed_open(_i);

    feed_many(&f, 100000);
    feed(&f, "\n");
    ck_ok(tcpx_skip_until(f.c, '\n', NULL, soon()));
    ck_assert_uint_eq(f.c->in.cap, 4096);
    fed_end(&f);
}
END_TEST

START_TEST(an_announced_length_takes_no_memory)
{
    static char buf[1 << 20];
    struct fed f = fed_open(_i);

    raw_send(f.peer, "\0\17\377\377few", 7);
    ck_fails(tcpx_read_frame(f.c, NULL, buf, sizeof(buf), TCPX_NOW),
             TCPX_EDEADLINE);
    ck_assert_uint_eq(f.c->in.cap, 4096);
    /* It grows with what arrives, and at most to twice that. */
    for (size_t sent = 10007; sent < 200000; sent += 10000) {
        tcpx_time limit = soon();

        feed_many(&f, 10000);
        while (tcpx__conn_buffered(f.c) < sent) {
            size_t held;

            ck_assert(tcpx_now() < limit);
            ck_fails(tcpx_read_frame(f.c, NULL, buf, sizeof(buf), TCPX_NOW),
                     TCPX_EDEADLINE);
            held = tcpx__conn_buffered(f.c);
            ck_assert_uint_le(f.c->in.cap, held < 4096 ? 4096 : 2 * held);
        }
    }
    fed_end(&f);
}
END_TEST

START_TEST(a_buffer_that_grew_is_given_back_when_it_is_empty)
{
    static char buf[1 << 20];
    struct fed f = fed_open(_i);

    raw_send(f.peer, "\0\1\206\240", 4);
    feed_many(&f, 100000);
    ck_assert_int_eq(tcpx_read_frame(f.c, NULL, buf, sizeof(buf), soon()),
                     100000);
    ck_assert_uint_eq(f.c->in.cap, 0);
    ck_assert_ptr_null(f.c->in.data);
    fed_end(&f);
}
END_TEST

static void fill_memory(TCase *tc)
{
    tcase_add_loop_test(tc, plain_reads_have_no_buffer, 0, PAIRS);
    tcase_add_loop_test(tc, a_line_buffers_no_more_than_its_limit, 0, PAIRS);
    tcase_add_loop_test(tc, a_skip_needs_one_small_buffer, 0, PAIRS);
    tcase_add_loop_test(tc, an_announced_length_takes_no_memory, 0, PAIRS);
    tcase_add_loop_test(tc, a_buffer_that_grew_is_given_back_when_it_is_empty,
                        0, PAIRS);
}

const struct test_case test_cases[] = {
    {"buffer", "search", fill_search},
    {"buffer", "memory", fill_memory},
    {NULL, NULL, NULL},
};
