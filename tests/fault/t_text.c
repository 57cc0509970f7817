/* SPDX-License-Identifier: MIT */
/*
 * t_text.c - lines, frames and texts while the system fails at every turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "calls.h"
#include "faults.h"
#include "net/conn.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

/* What a task takes is taken before anything is planned. */
static void begin(void)
{
    ck_assert_ptr_nonnull(tcpx_task_self());
}

static void end(void)
{
    tcpx__sys_hook = NULL;
}

/* Everything moves one byte at a time, and every third try is interrupted. */
static int drip(enum tcpx__sys_call call, size_t *len)
{
    static int tries;

    if (call != TCPX__SYS_recv && call != TCPX__SYS_sendmsg)
        return 0;
    if (++tries % 3 == 0)
        return -EINTR;
    if (*len > 1)
        *len = 1;
    return 0;
}

START_TEST(lines_and_frames_do_not_depend_on_how_bytes_move)
{
    struct pair p = pair_open(_i);
    char buf[64];

    tcpx__sys_hook = drip;
    ck_ok(tcpx_printf(p.a, NULL, soon(), "line %d\r\n%s\n", 1, "two"));
    ck_ok(tcpx_write_frame(p.a, TCPX_FRAME(.length = TCPX_FRAME_VARINT),
                           "framed", 6, NULL, soon()));
    ck_ok(tcpx_write_frame(p.a, NULL, NULL, 0, NULL, soon()));
    ck_ok(tcpx_printf(p.a, NULL, soon(), "skipped;until;rest"));
    ck_assert_int_eq(tcpx_readline(p.b, buf, sizeof(buf), soon()), 6);
    ck_assert_str_eq(buf, "line 1");
    ck_assert_int_eq(tcpx_readline(p.b, buf, sizeof(buf), soon()), 3);
    ck_assert_str_eq(buf, "two");
    ck_assert_int_eq(tcpx_read_frame(p.b,
                                     TCPX_FRAME(.length = TCPX_FRAME_VARINT),
                                     buf, sizeof(buf), soon()),
                     6);
    ck_assert_mem_eq(buf, "framed", 6);
    ck_assert_int_eq(tcpx_read_frame(p.b, NULL, buf, sizeof(buf), soon()), 0);
    ck_ok(tcpx_skip_until(p.b, ';', NULL, soon()));
    ck_assert_int_eq(tcpx_read_until(p.b, buf, sizeof(buf), ';', soon()), 6);
    ck_ok(tcpx_readn(p.b, buf, 4, NULL, soon()));
    ck_assert_mem_eq(buf, "rest", 4);
    ck_assert_uint_eq(tcpx_conn_bytes_read(p.b), tcpx_conn_bytes_written(p.a));
    pair_end(&p);
}
END_TEST

static int64_t late;

static int64_t clock_with_delay(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * TCPX_SEC + ts.tv_nsec + late;
}

/* The deadline passes while the bytes come. */
static int be_late(enum tcpx__sys_call call, size_t *len)
{
    (void)len;
    if (call == TCPX__SYS_recv)
        late = 3600 * TCPX_SEC;
    return 0;
}

START_TEST(what_more_bytes_cannot_mend_is_told_although_the_deadline_passed)
{
    struct fed f = fed_open(_i);
    char line[4];

    feed(&f, "12345");
    await_arrival(tcpx_conn_fd(f.c));
    late = 0;
    tcpx__sys_clock = clock_with_delay;
    tcpx__sys_hook = be_late;
    ck_fails(tcpx_readline(f.c, line, 4, tcpx_after(TCPX_SEC)), TCPX_ETOOLONG);
    /* tcpx_wait() tells of them: another kind of read can have them. */
    ck_assert_int_eq(atomic_load(&f.c->in.ahead), 1);
    late = 0;
    ck_fails(tcpx_readline(f.c, line, 4, tcpx_after(TCPX_SEC)), TCPX_ETOOLONG);
    tcpx__sys_hook = NULL;
    tcpx__sys_clock = NULL;
    fed_end(&f);
}
END_TEST

START_TEST(a_line_without_memory_takes_nothing)
{
    struct fed f = fed_open(_i);
    char line[9000];

    feed(&f, "short\n");
    fail_calls(TCPX__SYS_malloc, 1, 1, -ENOMEM);
    ck_fails(tcpx_readline(f.c, line, sizeof(line), soon()), -ENOMEM);
    ck_assert_int_eq(tcpx_readline(f.c, line, sizeof(line), soon()), 5);
    ck_assert_str_eq(line, "short");
    fail_none();
    /* Now while it grows. */
    memset(line, 'x', 6000);
    raw_send(f.peer, line, 6000);
    feed(&f, "\n");
    fail_calls(TCPX__SYS_malloc, 1, 2, -ENOMEM);
    ck_fails(tcpx_readline(f.c, line, sizeof(line), soon()), -ENOMEM);
    ck_fails(tcpx_readline(f.c, line, sizeof(line), soon()), -ENOMEM);
    ck_assert_uint_eq(tcpx_conn_bytes_read(f.c), 6);
    ck_assert_int_eq(tcpx_readline(f.c, line, sizeof(line), soon()), 6000);
    fed_end(&f);
}
END_TEST

START_TEST(a_frame_without_memory_takes_nothing)
{
    static char buf[100000];
    struct fed f = fed_open(_i);

    raw_send(f.peer, "\0\0\100\0", 4);
    raw_send(f.peer, buf, 16384);
    fail_calls(TCPX__SYS_malloc, 2, 1, -ENOMEM);
    ck_fails(tcpx_read_frame(f.c, NULL, buf, sizeof(buf), soon()), -ENOMEM);
    ck_assert_uint_eq(tcpx_conn_bytes_read(f.c), 0);
    ck_assert_int_eq(tcpx_read_frame(f.c, NULL, buf, sizeof(buf), soon()),
                     16384);
    fed_end(&f);
}
END_TEST

START_TEST(a_text_without_memory_is_not_begun)
{
    struct pair p = pair_open(_i);
    char text[1000];
    size_t done = 7;

    memset(text, 'x', sizeof(text));
    /* The first of its memory, and the second that a long text needs. */
    for (int nth = 1; nth <= 2; nth++) {
        fail_calls(TCPX__SYS_malloc, nth, 1, -ENOMEM);
        ck_fails(tcpx_printf(p.a, &done, soon(), "%.*s", 1000, text), -ENOMEM);
        ck_assert_uint_eq(done, 0);
        ck_assert_int_eq(tcpx_conn_state(p.a), TCPX_STATE_CUT);
        ck_fails(tcpx_half_close(p.a), -ENOMEM);
        fail_none();
        ck_ok(tcpx_printf(p.a, NULL, soon(), "%.*s", 1000, text));
        ck_assert_int_eq(tcpx_conn_state(p.a), 0);
        ck_ok(tcpx_readn(p.b, text, 1000, NULL, soon()));
    }
    pair_end(&p);
}
END_TEST

#define LONG (512 * 1024)

/* A frame that goes out in part and cannot be kept. */
START_TEST(a_frame_that_can_neither_go_out_nor_be_kept_ends_in_a_reset)
{
    unsigned char *data = calloc(1, LONG);
    struct fed f = fed_open(_i);
    struct collector k;
    size_t done = 0;

    ck_assert_ptr_nonnull(data);
    narrow(tcpx_conn_fd(f.c));
    narrow(f.peer);
    fail_calls(TCPX__SYS_malloc, 1, 1, -ENOMEM);
    ck_fails(tcpx_write_frame(f.c, NULL, data, LONG, &done, TCPX_NOW), -ENOMEM);
    fail_none();
    ck_assert_uint_gt(done, 0);
    ck_assert_uint_lt(done, LONG);
    ck_assert_int_eq(tcpx_conn_state(f.c), TCPX_STATE_CUT | TCPX_STATE_FAILED);
    ck_fails(tcpx_writen(f.c, "more", 4, NULL, soon()), -ENOMEM);
    ck_fails(tcpx_half_close(f.c), -ENOMEM);
    /* The peer may still speak. */
    feed(&f, "alive\n");
    ck_assert_int_eq(tcpx_skip_until(f.c, '\n', NULL, soon()), 0);
    ck_fails(tcpx_close(f.c, soon()), -ENOMEM);
    collect_start(&k, f.peer, 0);
    collect_end(&k);
    ck_assert_uint_le(k.len, done);
    ck_assert_int_eq(k.error, _i == PAIR_UNIX ? 0 : ECONNRESET);
    free(k.data);
    free(data);
    close(f.peer);
}
END_TEST

START_TEST(a_frame_that_was_not_begun_can_be_tried_again)
{
    struct fed f = fed_open(_i);
    char *data = calloc(1, LONG);
    char buf[5];
    size_t done = 7;
    ssize_t n;

    ck_assert_ptr_nonnull(data);
    narrow(tcpx_conn_fd(f.c));
    narrow(f.peer);
    do
        n = tcpx_write(f.c, data, LONG, TCPX_NOW);
    while (n >= 0);
    ck_fails(n, TCPX_EDEADLINE);
    fail_calls(TCPX__SYS_malloc, 1, 1, -ENOMEM);
    ck_fails(tcpx_write_frame(f.c, NULL, "x", 1, &done, TCPX_NOW), -ENOMEM);
    ck_assert_uint_eq(done, 0);
    ck_assert_int_eq(tcpx_conn_state(f.c), TCPX_STATE_CUT);
    /* With memory it is taken, and goes out when there is room. */
    ck_fails(tcpx_write_frame(f.c, NULL, "x", 1, &done, TCPX_NOW),
             TCPX_EDEADLINE);
    ck_assert_uint_eq(done, 0);
    for (uint64_t left = tcpx_conn_bytes_written(f.c); left > 0;)
        left -= raw_recv(f.peer, data, left < LONG ? left : LONG);
    ck_ok(tcpx_flush(f.c, soon()));
    ck_assert_uint_eq(raw_recv(f.peer, buf, 5), 5);
    ck_assert_mem_eq(buf, "\0\0\0\1x", 5);
    free(data);
    fed_end(&f);
}
END_TEST

/* A shortage of the kernel's, at the first send and in the middle. */
START_TEST(a_shortage_in_the_middle_of_a_message_keeps_the_rest)
{
    static const int shortages[] = {-ENOBUFS, -ENOMEM};
    char text[600 + 1];

    memset(text, 'x', 600);
    text[600] = '\0';
    for (int i = 0; i < 2; i++) {
        struct fed f = fed_open(_i);
        size_t done = 7;

        fail_calls(TCPX__SYS_sendmsg, 1, 1, shortages[i]);
        ck_fails(tcpx_printf(f.c, &done, soon(), "%s", text), shortages[i]);
        ck_assert_uint_eq(done, 0);
        ck_assert_int_eq(tcpx_conn_state(f.c), TCPX_STATE_CUT);
        ck_ok(tcpx_printf(f.c, &done, soon(), "%s", text));
        fail_none();
        ck_assert_uint_eq(raw_recv(f.peer, text, 600), 600);
        fed_end(&f);
    }
}
END_TEST

static int sends;

/* The first send moves one byte, the second fails. */
static int one_byte_then_shortage(enum tcpx__sys_call call, size_t *len)
{
    if (call != TCPX__SYS_sendmsg)
        return 0;
    if (++sends == 2)
        return -ENOBUFS;
    *len = 1;
    return 0;
}

START_TEST(a_message_half_sent_is_kept_through_a_shortage)
{
    struct fed f = fed_open(_i);
    char buf[16];
    size_t done = 7;

    sends = 0;
    tcpx__sys_hook = one_byte_then_shortage;
    ck_fails(tcpx_write_frame(f.c, NULL, "payload", 7, &done, soon()),
             TCPX_EDEADLINE);
    ck_assert_uint_eq(done, 1);
    tcpx__sys_hook = NULL;
    ck_assert_int_eq(tcpx_conn_state(f.c), TCPX_STATE_CUT);
    ck_ok(tcpx_printf(f.c, &done, soon(), "next"));
    ck_assert_uint_eq(done, 4);
    ck_assert_uint_eq(raw_recv(f.peer, buf, 15), 15);
    ck_assert_mem_eq(buf, "\0\0\0\7payloadnext", 15);
    fed_end(&f);
}
END_TEST

static int one_byte_then_reset(enum tcpx__sys_call call, size_t *len)
{
    if (call != TCPX__SYS_sendmsg)
        return 0;
    if (++sends == 2)
        return -ECONNRESET;
    *len = 1;
    return 0;
}

START_TEST(a_message_half_sent_to_a_peer_that_resets_is_told)
{
    struct fed f = fed_open(_i);
    size_t done = 7;

    sends = 0;
    tcpx__sys_hook = one_byte_then_reset;
    ck_fails(tcpx_printf(f.c, &done, soon(), "text"), -ECONNRESET);
    ck_assert_uint_eq(done, 1);
    tcpx__sys_hook = NULL;
    ck_fails(tcpx_printf(f.c, &done, soon(), "text"), -ECONNRESET);
    ck_assert_uint_eq(done, 0);
    ck_fails(tcpx_close(f.c, soon()), -ECONNRESET);
    close(f.peer);
}
END_TEST

static void fill_text(TCase *tc)
{
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_loop_test(tc, lines_and_frames_do_not_depend_on_how_bytes_move, 0,
                        PAIRS);
    tcase_add_loop_test(
        tc, what_more_bytes_cannot_mend_is_told_although_the_deadline_passed, 0,
        PAIRS);
    tcase_add_loop_test(tc, a_line_without_memory_takes_nothing, 0, PAIRS);
    tcase_add_loop_test(tc, a_frame_without_memory_takes_nothing, 0, PAIRS);
    tcase_add_loop_test(tc, a_text_without_memory_is_not_begun, 0, PAIRS);
    tcase_add_loop_test(
        tc, a_frame_that_can_neither_go_out_nor_be_kept_ends_in_a_reset, 0,
        PAIRS);
    tcase_add_loop_test(tc, a_frame_that_was_not_begun_can_be_tried_again, 0,
                        PAIRS);
    tcase_add_loop_test(
        tc, a_shortage_in_the_middle_of_a_message_keeps_the_rest, 0, PAIRS);
    tcase_add_loop_test(tc, a_message_half_sent_is_kept_through_a_shortage, 0,
                        PAIRS);
    tcase_add_loop_test(tc, a_message_half_sent_to_a_peer_that_resets_is_told,
                        0, PAIRS);
}

/* ---- Adopting and naming without memory -------------------------------- */

START_TEST(a_pair_without_memory_or_descriptors_leaves_nothing)
{
    tcpx_conn *pair[2] = {NULL, NULL};

    for (int nth = 1; nth <= 2; nth++) {
        fail_calls(TCPX__SYS_malloc, nth, 1, -ENOMEM);
        ck_fails(tcpx_conn_pair(pair), -ENOMEM);
        ck_assert_ptr_null(pair[0]);
        ck_assert_ptr_null(pair[1]);
    }
    fail_calls(TCPX__SYS_socketpair, 1, 1, -EMFILE);
    ck_fails(tcpx_conn_pair(pair), -EMFILE);
    ck_assert_ptr_null(pair[0]);
}
END_TEST

static void adopt_failing(int fd, enum tcpx__sys_call call, int nth)
{
    int exec = fcntl(fd, F_GETFD);
    int flags = fcntl(fd, F_GETFL);
    tcpx_conn *c = NULL;
    int err;

    fail_calls(call, nth, 1, -ENOMEM);
    err = tcpx_conn_adopt(&c, fd, TCPX_ADOPT(.sole_owner = 1));
    fail_none();
    if (!err) {
        ck_assert_int_lt(calls_seen(), nth); /* so many were not made */
        ck_ok(tcpx_conn_release(c, &fd, NULL, 0, NULL));
    } else {
        ck_assert_int_eq(err, -ENOMEM);
        ck_assert_ptr_null(c);
    }
    ck_assert_int_eq(fcntl(fd, F_GETFD), exec);
    ck_assert_int_eq(fcntl(fd, F_GETFL), flags);
}

START_TEST(an_adoption_that_fails_anywhere_leaves_the_descriptor_as_it_was)
{
    static const enum tcpx__sys_call calls[] = {
        TCPX__SYS_malloc, TCPX__SYS_getsockopt, TCPX__SYS_getpeername,
        TCPX__SYS_fcntl};
    int fd[2];

    raw_pair(fd);
    ck_assert_int_eq(fcntl(fd[0], F_SETFD, 0), 0);
    ck_assert_int_eq(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        for (int nth = 1; nth <= 6; nth++)
            adopt_failing(fd[0], calls[i], nth);
    }
    close(fd[0]);
    close(fd[1]);
}
END_TEST

START_TEST(a_name_without_memory_is_empty_and_comes_later)
{
    struct pair p = pair_open(_i);

    fail_calls(TCPX__SYS_malloc, 1, 2, -ENOMEM);
    ck_assert_str_eq(tcpx_conn_peer(p.a), "");
    ck_assert_str_eq(tcpx_conn_local(p.a), "");
    ck_assert_str_ne(tcpx_conn_peer(p.a), "");
    ck_assert_str_ne(tcpx_conn_local(p.a), "");
    fail_none();
    pair_end(&p);
}
END_TEST

static void fill_adopt(TCase *tc)
{
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, a_pair_without_memory_or_descriptors_leaves_nothing);
    tcase_add_test(
        tc, an_adoption_that_fails_anywhere_leaves_the_descriptor_as_it_was);
    tcase_add_loop_test(tc, a_name_without_memory_is_empty_and_comes_later, 0,
                        PAIRS);
}

const struct test_case test_cases[] = {
    {"text-faults", "text", fill_text},
    {"text-faults", "adopt", fill_adopt},
    {NULL, NULL, NULL},
};
