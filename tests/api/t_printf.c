/* SPDX-License-Identifier: MIT */
/*
 * t_printf.c - formatted text, and what a deadline leaves of a message.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include <wchar.h>
#include "pairs.h"
#include "runner.h"
#include "support.h"

__attribute__((format(printf, 3, 4))) static int say(tcpx_conn *c, size_t *done,
                                                     const char *format, ...)
{
    va_list args;
    int err;

    va_start(args, format);
    err = tcpx_vprintf(c, done, soon(), format, args);
    va_end(args);
    return err;
}

START_TEST(text_goes_out_as_printf_makes_it)
{
    struct pair p = pair_open(_i);
    char line[64];
    size_t done = 0;

    ck_ok(tcpx_printf(p.a, &done, soon(), "%s %d%%%c\n", "answer", 42, '!'));
    ck_assert_uint_eq(done, 12);
    ck_assert_int_eq(tcpx_readline(p.b, line, sizeof(line), soon()), 11);
    ck_assert_str_eq(line, "answer 42%!");
    ck_ok(say(p.a, &done, "%05.1f|%-4s|\n", 2.25, "ab"));
    ck_assert_int_eq(tcpx_readline(p.b, line, sizeof(line), soon()), 11);
    ck_assert_str_eq(line, "002.2|ab  |");
    ck_assert_uint_eq(tcpx_conn_bytes_written(p.a), 24);
    pair_end(&p);
}
END_TEST

START_TEST(nuls_are_text_too)
{
    struct pair p = pair_open(PAIR_UNIX);
    char buf[3];

    ck_ok(tcpx_printf(p.a, NULL, soon(), "a%cb", 0));
    ck_ok(tcpx_readn(p.b, buf, 3, NULL, soon()));
    ck_assert_mem_eq(buf, "a\0b", 3);
    pair_end(&p);
}
END_TEST

START_TEST(text_of_any_length_comes_whole)
{
    struct pair p = pair_open(_i);
    char text[2000];
    char line[2001];

    memset(text, 'x', sizeof(text));
    for (int len = 505; len < 520; len++) {
        ck_ok(tcpx_printf(p.a, NULL, soon(), "%.*s\n", len, text));
        ck_assert_int_eq(tcpx_readline(p.b, line, sizeof(line), soon()), len);
        ck_assert_mem_eq(line, text, (size_t)len);
    }
    ck_ok(tcpx_printf(p.a, NULL, soon(), "%.*s\n", 2000, text));
    ck_assert_int_eq(tcpx_readline(p.b, line, sizeof(line), soon()), 2000);
    pair_end(&p);
}
END_TEST

START_TEST(an_empty_text_is_nothing)
{
    struct pair p = pair_open(PAIR_UNIX);
    const char *volatile empty = "";
    size_t done = 7;

    ck_ok(tcpx_printf(p.a, &done, TCPX_NOW, "%s", empty));
    ck_assert_uint_eq(done, 0);
    ck_ok(tcpx_printf(p.a, NULL, TCPX_NOW, empty, 0));
    ck_assert_uint_eq(tcpx_conn_bytes_written(p.a), 0);
    pair_end(&p);
}
END_TEST

START_TEST(what_cannot_be_formatted_sends_nothing)
{
    /* volatile: so that the compiler does not see through it */
    const char *volatile too_wide = "%2147483648d";
    wchar_t beyond[] = {0x7fffffff, 0};
    struct pair p = pair_open(_i);
    char buf[8];
    size_t done = 7;

    ck_fails(tcpx_printf(p.a, &done, soon(), "fine %ls", beyond), -EINVAL);
    ck_assert_uint_eq(done, 0);
    ck_assert_int_eq(tcpx_conn_state(p.a), TCPX_STATE_CUT);
    done = 7;
    ck_fails(tcpx_printf(p.a, &done, soon(), too_wide, 1), -EOVERFLOW);
    ck_assert_uint_eq(done, 0);
    /* An answer is missing: its end must not look like one. */
    ck_fails(tcpx_half_close(p.a), -EOVERFLOW);
    ck_fails(tcpx_read(p.b, buf, 8, TCPX_NOW), TCPX_EDEADLINE);
    ck_ok(tcpx_printf(p.a, &done, soon(), "now"));
    ck_assert_int_eq(tcpx_conn_state(p.a), 0);
    ck_ok(tcpx_half_close(p.a));
    pair_end(&p);
}
END_TEST

START_TEST(a_printf_needs_a_connection_and_a_format)
{
    struct pair p = pair_open(PAIR_UNIX);
    const char *volatile none = NULL;
    size_t done = 7;

    ck_fails(tcpx_printf(NULL, &done, TCPX_NOW, "x"), -EINVAL);
    ck_assert_uint_eq(done, 0);
    ck_fails(tcpx_printf(p.a, &done, TCPX_NOW, none, 0), -EINVAL);
    ck_fails(tcpx_printf(p.a, &done, TCPX_MSEC, "x"), -EINVAL);
    ck_assert_int_eq(tcpx_conn_state(p.a), 0);
    pair_end(&p);
}
END_TEST

static void fill_text(TCase *tc)
{
    tcase_add_loop_test(tc, text_goes_out_as_printf_makes_it, 0, PAIRS);
    tcase_add_test(tc, nuls_are_text_too);
    tcase_add_loop_test(tc, text_of_any_length_comes_whole, 0, PAIRS);
    tcase_add_test(tc, an_empty_text_is_nothing);
    tcase_add_loop_test(tc, what_cannot_be_formatted_sends_nothing, 0, PAIRS);
    tcase_add_test(tc, a_printf_needs_a_connection_and_a_format);
}

#define LONG (512 * 1024)

/* A connection whose peer does not read, with one long message sent as far as
   it went; *done is how far. */
static struct fed stuck(int kind, size_t *done)
{
    struct fed f = fed_open(kind);
    char *text = malloc(LONG + 1);

    ck_assert_ptr_nonnull(text);
    fill_pattern(text, LONG, 0);
    for (size_t i = 0; i < LONG; i++)
        text[i] = (char)('a' + (text[i] & 15));
    text[LONG] = '\0';
    narrow(tcpx_conn_fd(f.c));
    narrow(f.peer);
    ck_fails(tcpx_printf(f.c, done, TCPX_NOW, "%s", text), TCPX_EDEADLINE);
    ck_assert_uint_gt(*done, 0);
    ck_assert_uint_lt(*done, LONG);
    ck_assert_uint_eq(tcpx_conn_bytes_written(f.c), *done);
    ck_assert_int_eq(tcpx_conn_state(f.c), TCPX_STATE_CUT);
    free(text);
    return f;
}

/* What the peer got: the long message whole, once, then `after`. */
static void check_stream(struct collector *k, const char *after)
{
    unsigned char *expected = malloc(LONG);

    ck_assert_ptr_nonnull(expected);
    fill_pattern(expected, LONG, 0);
    for (size_t i = 0; i < LONG; i++)
        expected[i] = (unsigned char)('a' + (expected[i] & 15));
    ck_assert_uint_eq(k->len, LONG + strlen(after));
    ck_assert_int_eq(memcmp(k->data, expected, LONG), 0);
    ck_assert_mem_eq(k->data + LONG, after, strlen(after));
    free(expected);
    free(k->data);
}

/* Ways to write on after a message that was left. */
static void write_after(tcpx_conn *c, int how)
{
    struct iovec parts[2] = {{(char *)(uintptr_t) "af", 2},
                             {(char *)(uintptr_t) "ter", 3}};
    size_t done = 0;

    switch (how) {
    case 0:
        ck_ok(tcpx_printf(c, &done, soon(), "%s", "after"));
        break;
    case 1:
        ck_ok(tcpx_writen(c, "after", 5, &done, soon()));
        break;
    case 2:
        ck_ok(tcpx_writev(c, parts, 2, &done, soon()));
        break;
    case 3:
        ck_ok(tcpx_write_frame(
            c, TCPX_FRAME(.length = TCPX_FRAME_U8, .counts_itself = 1), "after",
            5, &done, soon()));
        ck_assert_uint_eq(done--, 6);
        break;
    default:
        done = (size_t)ck_ok(tcpx_write(c, "after", 5, soon()));
        break;
    }
    ck_assert_uint_eq(done, 5);
}

START_TEST(what_a_deadline_left_goes_first_in_the_next_write)
{
    for (int how = 0; how < 5; how++) {
        struct collector k;
        size_t done;
        struct fed f = stuck(_i, &done);

        collect_start(&k, f.peer, 2 * LONG);
        write_after(f.c, how);
        ck_assert_int_eq(tcpx_conn_state(f.c), 0);
        ck_assert_uint_eq(tcpx_conn_bytes_written(f.c), LONG + 5 + (how == 3));
        ck_ok(tcpx_half_close(f.c));
        collect_end(&k);
        ck_assert_int_eq(k.error, 0);
        check_stream(&k, how == 3 ? "\6after" : "after");
        fed_end(&f);
    }
}
END_TEST

START_TEST(a_flush_sends_what_a_deadline_left)
{
    struct collector k;
    size_t done;
    struct fed f = stuck(_i, &done);

    ck_fails(tcpx_flush(f.c, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_int_eq(tcpx_conn_state(f.c), TCPX_STATE_CUT);
    collect_start(&k, f.peer, 2 * LONG);
    ck_ok(tcpx_flush(f.c, soon()));
    ck_assert_int_eq(tcpx_conn_state(f.c), 0);
    ck_ok(tcpx_half_close(f.c));
    collect_end(&k);
    check_stream(&k, "");
    fed_end(&f);
}
END_TEST

START_TEST(a_close_sends_what_a_deadline_left)
{
    struct collector k;
    size_t done;
    struct fed f = stuck(_i, &done);

    feed_end(&f); /* so that the close need not wait for the peer's FIN */
    collect_start(&k, f.peer, 2 * LONG);
    ck_ok(tcpx_close(f.c, soon()));
    collect_end(&k);
    ck_assert_int_eq(k.error, 0);
    check_stream(&k, "");
    close(f.peer);
}
END_TEST

START_TEST(a_close_that_cannot_send_what_was_left_does_not_look_clean)
{
    struct collector k;
    size_t done;
    struct fed f = stuck(_i, &done);

    ck_fails(tcpx_half_close(f.c), TCPX_EDEADLINE);
    ck_fails(tcpx_close(f.c, TCPX_NOW), TCPX_EDEADLINE);
    collect_start(&k, f.peer, 0);
    collect_end(&k);
    ck_assert_int_eq(k.error, ECONNRESET);
    ck_assert_uint_lt(k.len, LONG);
    free(k.data);
    close(f.peer);
}
END_TEST

START_TEST(a_second_message_is_not_taken_while_one_is_left)
{
    struct collector k;
    size_t first;
    size_t done = 7;
    struct fed f = stuck(_i, &first);

    ck_fails(tcpx_printf(f.c, &done, TCPX_NOW, "second"), -ENOBUFS);
    ck_assert_uint_eq(done, 0);
    done = 7;
    ck_fails(tcpx_write_frame(f.c, NULL, "second", 6, &done,
                              tcpx_after(10 * TCPX_MSEC)),
             -ENOBUFS);
    ck_assert_uint_eq(done, 0);
    /* The peer was promised what never came. */
    ck_assert_int_eq(tcpx_conn_state(f.c), TCPX_STATE_CUT);
    collect_start(&k, f.peer, 2 * LONG);
    ck_ok(tcpx_flush(f.c, soon()));
    ck_assert_int_eq(tcpx_conn_state(f.c), TCPX_STATE_CUT);
    ck_fails(tcpx_half_close(f.c), -ENOBUFS);
    ck_ok(tcpx_printf(f.c, &done, soon(), "second"));
    ck_assert_uint_eq(done, 6);
    ck_ok(tcpx_half_close(f.c));
    collect_end(&k);
    check_stream(&k, "second");
    fed_end(&f);
}
END_TEST

START_TEST(a_peer_that_never_reads_costs_the_memory_of_one_message)
{
    tcpx_conn_information info;
    size_t done;
    struct fed f = stuck(_i, &done);
    char *text = malloc(LONG + 1);

    ck_assert_ptr_nonnull(text);
    memset(text, 'x', LONG);
    text[LONG] = '\0';
    for (int i = 0; i < 20; i++) {
        ck_fails(tcpx_printf(f.c, NULL, TCPX_NOW, "%s", text), -ENOBUFS);
        ck_fails(tcpx_write_frame(f.c, NULL, text, LONG, NULL, TCPX_NOW),
                 -ENOBUFS);
    }
    ck_ok(tcpx_conn_info(f.c, &info));
    ck_assert_uint_eq(info.kept, LONG - tcpx_conn_bytes_written(f.c));
    free(text);
    fed_end(&f);
}
END_TEST

START_TEST(a_connection_with_something_left_is_not_released)
{
    struct collector k;
    size_t done;
    struct fed f = stuck(_i, &done);
    int fd = -1;

    ck_fails(tcpx_conn_release(f.c, &fd, NULL, 0, NULL), TCPX_EDEADLINE);
    ck_assert_int_eq(fd, -1);
    collect_start(&k, f.peer, 2 * LONG);
    ck_ok(tcpx_flush(f.c, soon()));
    ck_ok(tcpx_conn_release(f.c, &fd, NULL, 0, NULL));
    raw_send(fd, "mine", 4);
    close(fd);
    collect_end(&k);
    check_stream(&k, "mine");
    close(f.peer);
}
END_TEST

START_TEST(a_frame_is_kept_as_a_text_is)
{
    unsigned char *data = malloc(LONG);
    struct fed f = fed_open(_i);
    struct collector k;
    size_t done = 0;

    ck_assert_ptr_nonnull(data);
    fill_pattern(data, LONG, 0);
    narrow(tcpx_conn_fd(f.c));
    narrow(f.peer);
    ck_fails(tcpx_write_frame(f.c, NULL, data, LONG, &done, TCPX_NOW),
             TCPX_EDEADLINE);
    ck_assert_uint_gt(done, 0);
    ck_assert_uint_eq(tcpx_conn_bytes_written(f.c), done);
    memset(data, 0, LONG); /* it is the library's own copy that follows */
    collect_start(&k, f.peer, 2 * LONG);
    ck_ok(tcpx_flush(f.c, soon()));
    ck_ok(tcpx_half_close(f.c));
    collect_end(&k);
    fill_pattern(data, LONG, 0);
    ck_assert_uint_eq(k.len, LONG + 4);
    ck_assert_mem_eq(k.data, "\0\10\0\0", 4);
    ck_assert_int_eq(memcmp(k.data + 4, data, LONG), 0);
    free(k.data);
    free(data);
    fed_end(&f);
}
END_TEST

START_TEST(a_message_to_a_gone_peer_says_so)
{
    struct fed f = fed_open(_i);
    int err;

    close(f.peer);
    /* On TCP the first goes out, and brings the reset back. */
    do
        err = tcpx_printf(f.c, NULL, soon(), "anybody there?\n");
    while (!err);
    ck_assert_int_eq(tcpx_is_peer_gone(err), 1);
    ck_assert_int_eq(
        tcpx_is_peer_gone(tcpx_write_frame(f.c, NULL, "x", 1, NULL, soon())),
        1);
    tcpx_abort(f.c);
}
END_TEST

START_TEST(a_canceled_message_is_not_kept)
{
    size_t done;
    struct fed f = stuck(_i, &done);

    tcpx_cancel(f.c);
    ck_fails(tcpx_printf(f.c, &done, soon(), "more"), TCPX_ECANCELED);
    ck_assert_uint_eq(done, 0);
    ck_fails(tcpx_flush(f.c, soon()), TCPX_ECANCELED);
    fed_end(&f);
}
END_TEST

static void fill_kept(TCase *tc)
{
    tcase_add_loop_test(tc, what_a_deadline_left_goes_first_in_the_next_write,
                        0, PAIRS);
    tcase_add_loop_test(tc, a_flush_sends_what_a_deadline_left, 0, PAIRS);
    tcase_add_loop_test(tc, a_close_sends_what_a_deadline_left, 0, PAIRS);
    /* A Unix socket has no reset. */
    tcase_add_loop_test(
        tc, a_close_that_cannot_send_what_was_left_does_not_look_clean,
        PAIR_SHARED, PAIRS);
    tcase_add_loop_test(tc, a_second_message_is_not_taken_while_one_is_left, 0,
                        PAIRS);
    tcase_add_loop_test(
        tc, a_peer_that_never_reads_costs_the_memory_of_one_message, 0, PAIRS);
    tcase_add_loop_test(tc, a_connection_with_something_left_is_not_released, 0,
                        PAIRS);
    tcase_add_loop_test(tc, a_frame_is_kept_as_a_text_is, 0, PAIRS);
    tcase_add_loop_test(tc, a_message_to_a_gone_peer_says_so, 0, PAIRS);
    tcase_add_loop_test(tc, a_canceled_message_is_not_kept, 0, PAIRS);
}

const struct test_case test_cases[] = {
    {"printf", "text", fill_text},
    {"printf", "kept", fill_kept},
    {NULL, NULL, NULL},
};
