/* SPDX-License-Identifier: MIT */
/*
 * t_errmsg.c - the calling task's last failure as a sentence.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

static void *ask_without_failure(void *arg)
{
    (void)arg;
    ck_assert_str_eq(tcpx_errmsg(), "");
    ck_ok(tcpx_sleep(TCPX_NOW));
    ck_assert_str_eq(tcpx_errmsg(), "");
    return NULL;
}

START_TEST(without_a_failure_there_is_nothing_to_say)
{
    char buf[1];

    /* Each task has its own. */
    ck_fails(tcpx_read(NULL, buf, 1, TCPX_NOW), -EINVAL);
    end_thread(start_thread(ask_without_failure, NULL));
    ck_assert_str_eq(tcpx_errmsg(), "read: no connection");
}
END_TEST

START_TEST(a_failure_names_the_call_the_peer_and_the_reason)
{
    char expected[160];
    char buf[8];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_fails(tcpx_read(c, buf, 8, TCPX_NOW), TCPX_EDEADLINE);
    snprintf(expected, sizeof(expected), "read %s: the deadline passed",
             tcpx_conn_peer(c));
    ck_assert_str_eq(tcpx_errmsg(), expected);
    raw_send(peer, "abc", 3);
    close(peer);
    ck_fails(tcpx_readn(c, buf, 8, NULL, soon()), TCPX_ETRUNC);
    snprintf(expected, sizeof(expected), "readn %s: %s", tcpx_conn_peer(c),
             tcpx_strerror(TCPX_ETRUNC));
    ck_assert_str_eq(tcpx_errmsg(), expected);
    tcpx_abort(c);
    /* It does not need the handle. */
    ck_assert_str_eq(tcpx_errmsg(), expected);
    ck_assert_str_eq(tcpx_errmsg(), expected);
}
END_TEST

START_TEST(a_socket_without_a_name_reads_well_too)
{
    tcpx_conn *pair[2];
    char buf[1];

    ck_ok(tcpx_conn_pair(pair));
    ck_fails(tcpx_read(pair[0], buf, 1, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_str_eq(tcpx_errmsg(), "read unix: the deadline passed");
    ck_assert_str_eq(tcpx_conn_peer(pair[0]), "unix:");
    ck_fails(tcpx_read(pair[0], buf, 1, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_str_eq(tcpx_errmsg(), "read unix: the deadline passed");
    tcpx_abort(pair[0]);
    tcpx_abort(pair[1]);
}
END_TEST

START_TEST(a_success_leaves_it_and_the_next_failure_replaces_it)
{
    char first[160];
    char buf[8];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_fails(tcpx_peek(c, buf, 8, TCPX_NOW), TCPX_EDEADLINE);
    snprintf(first, sizeof(first), "%s", tcpx_errmsg());
    ck_ok(tcpx_writen(c, "fine", 4, NULL, soon()));
    ck_ok(tcpx_half_close(c));
    ck_assert_str_eq(tcpx_errmsg(), first);
    ck_fails(tcpx_write(c, "x", 1, soon()), -EPIPE);
    ck_assert_str_ne(tcpx_errmsg(), first);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), tcpx_conn_peer(c)));
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(each_ending_says_what_happened)
{
    char buf[8];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_reset(peer);
    await_failure(tcpx_conn_fd(c));
    ck_fails(tcpx_read(c, buf, 8, soon()), -ECONNRESET);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), tcpx_strerror(-ECONNRESET)));
    ck_fails(tcpx_close(c, soon()), -ECONNRESET);
    ck_assert_mem_eq(tcpx_errmsg(), "close 127.0.0.1:", 16);

    c = conn_open(_i, &peer);
    tcpx_cancel(c);
    ck_fails(tcpx_close(c, soon()), TCPX_ECANCELED);
    ck_assert_mem_eq(tcpx_errmsg(), "close 127.0.0.1:", 16);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), "canceled"));
    close(peer);
}
END_TEST

START_TEST(an_ipv6_peer_is_shown_in_brackets)
{
    tcpx_listener *l = NULL;
    tcpx_conn *c = NULL;
    char expected[160];
    char buf[1];

    if (tcpx_listen(&l, "[::1]:0", NULL) < 0)
        skip_test("no IPv6 here: %s", tcpx_errmsg());
    ck_ok(tcpx_connect(&c, tcpx_listener_address(l), NULL, soon()));
    ck_fails(tcpx_read(c, buf, 1, TCPX_NOW), TCPX_EDEADLINE);
    snprintf(expected, sizeof(expected), "read %s: the deadline passed",
             tcpx_listener_address(l));
    ck_assert_str_eq(tcpx_errmsg(), expected);
    tcpx_abort(c);
    tcpx_listener_close(l);
}
END_TEST

static void *fail_often(void *arg)
{
    tcpx_conn *c = arg;
    char buf[1];

    for (int i = 0; i < 1000; i++) {
        ck_assert_int_lt(tcpx_write(c, buf, 1, TCPX_NOW), 0);
        ck_assert_mem_eq(tcpx_errmsg(), "write ", 6);
    }
    return NULL;
}

START_TEST(tasks_that_fail_at_once_do_not_mix)
{
    pthread_t thread;
    char buf[1];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_ok(tcpx_half_close(c));
    thread = start_thread(fail_often, c);
    for (int i = 0; i < 1000; i++) {
        ck_fails(tcpx_read(c, buf, 1, TCPX_NOW), TCPX_EDEADLINE);
        ck_assert_mem_eq(tcpx_errmsg(), "read ", 5);
    }
    end_thread(thread);
    tcpx_abort(c);
    close(peer);
}
END_TEST

static void nothing(void *arg)
{
    (void)arg;
}

static int no_result(void *arg)
{
    (void)arg;
    return 0;
}

START_TEST(an_argument_that_makes_no_sense_is_named)
{
    tcpx_conn *pair[2];
    tcpx_task *t = NULL;
    char buf[8];

    ck_ok(tcpx_conn_pair(pair));
    ck_fails(tcpx_read(pair[0], buf, 0, soon()), -EINVAL);
    ck_assert_str_eq(tcpx_errmsg(), "read: the length is 0");
    ck_fails(tcpx_readline(pair[0], buf, 0, soon()), -EINVAL);
    ck_assert_str_eq(tcpx_errmsg(), "readline: the length is 0");
    ck_fails(tcpx_peek(pair[0], NULL, 8, soon()), -EINVAL);
    ck_assert_str_eq(tcpx_errmsg(), "peek: no buffer");
    ck_fails(tcpx_writen(pair[0], NULL, 8, NULL, soon()), -EINVAL);
    ck_assert_str_eq(tcpx_errmsg(), "writen: no buffer");
    ck_fails(tcpx_read_until(pair[0], buf, 8, 300, soon()), -EINVAL);
    ck_says("the delimiter is 300, not in 0 to 255");
    ck_fails(tcpx_wait(NULL, 0, TCPX_FOREVER), -EINVAL);
    ck_says("nothing to wait for, and no deadline");
    ck_fails(tcpx_task_join(tcpx_task_self(), soon()), -EINVAL);
    ck_says("its own end");
    ck_fails(tcpx_task_spawn(&t, NULL, NULL, NULL), -EINVAL);
    ck_says("no function");
    ck_fails(tcpx_task_spawn(&t, nothing, NULL, TCPX_TASK(.stack_size = 1)),
             -EINVAL);
    ck_says("stack_size is 1, not 65536 or more");
    ck_fails(tcpx_run(NULL, NULL, NULL, NULL), -EINVAL);
    ck_says("no function");
    ck_fails(tcpx_run(no_result, NULL, NULL, TCPX_RUN(.engine = 9)), -EINVAL);
    ck_says("engine 9");
    ck_fails(tcpx_run(no_result, NULL, NULL, TCPX_RUN(.stack_size = 5)),
             -EINVAL);
    ck_says("stack_size is 5");
    tcpx_abort(pair[0]);
    tcpx_abort(pair[1]);
}
END_TEST

START_TEST(what_is_wrong_with_a_queue_is_said)
{
    tcpx_queue *q = NULL;
    void *item;

    ck_fails(tcpx_queue_create(&q, 0, NULL), -EINVAL);
    ck_says("the capacity is 0");
    ck_fails(tcpx_queue_create(&q, 1, TCPX_QUEUE(.full = 9)), -EINVAL);
    ck_says("full is 9");
    ck_ok(tcpx_queue_create(&q, 1, NULL));
    ck_fails(tcpx_queue_put(q, &q, 3 * TCPX_SEC), -EINVAL);
    ck_says("put: a duration was passed as deadline; use tcpx_after()");
    ck_fails(tcpx_queue_get(q, &item, 3 * TCPX_SEC), -EINVAL);
    ck_says("get: a duration was passed as deadline; use tcpx_after()");
    ck_ok(tcpx_queue_free(q));
}
END_TEST

START_TEST(a_limit_is_told_with_its_number)
{
    static const tcpx_frame format = {
        .size = (uint32_t)sizeof(format), .length = TCPX_FRAME_U8, .max = 5};
    char buf[8];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_fails(tcpx_write_frame(c, &format, "123456", 6, NULL, soon()),
             TCPX_ETOOLONG);
    ck_says("a frame of 6 bytes; at most 5 are sent");
    raw_send(peer, "12345678", 8);
    ck_fails(tcpx_readline(c, buf, 5, soon()), TCPX_ETOOLONG);
    ck_says(": no end of line within 4 bytes");
    ck_says(tcpx_conn_peer(c));
    ck_fails(tcpx_read_until(c, buf, 6, ';', soon()), TCPX_ETOOLONG);
    ck_says("no delimiter within 6 bytes");
    ck_fails(tcpx_read_frame(c, &format, buf, 8, soon()), TCPX_ETOOLONG);
    ck_says("a frame of 49 bytes; at most 5 are taken");
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(an_early_end_is_told_with_its_place)
{
    static const tcpx_frame format = {.size = (uint32_t)sizeof(format),
                                      .length = TCPX_FRAME_BE16};
    char buf[16];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    raw_send(peer, "\0\6abc", 5);
    close(peer);
    ck_fails(tcpx_readline(c, buf, 16, soon()), TCPX_ETRUNC);
    ck_says("the stream ended 5 bytes after the last end of line");
    ck_fails(tcpx_read_frame(c, &format, buf, 16, soon()), TCPX_ETRUNC);
    ck_says("the stream ended in a frame of 6 bytes, after 3 of them");
    ck_ok(tcpx_readn(c, buf, 4, NULL, soon()));
    ck_fails(tcpx_read_frame(c, &format, buf, 16, soon()), TCPX_ETRUNC);
    ck_says("the stream ended in the length of a frame");
    tcpx_abort(c);
}
END_TEST

START_TEST(what_cannot_be_sent_of_a_file_is_said)
{
    char path[] = "/tmp/tcpx-errmsg-XXXXXX";
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);
    int folder = open("/", O_RDONLY | O_DIRECTORY);
    int file = mkstemp(path);

    ck_assert_int_ge(folder, 0);
    ck_assert_int_ge(file, 0);
    unlink(path);
    ck_fails(tcpx_sendfile(c, folder, NULL, 1, NULL, soon()), -EINVAL);
    ck_says("neither a file nor a pipe");
    ck_assert_int_eq(pwrite(file, "12345", 5, 0), 5);
    ck_fails(tcpx_sendfile(c, file, NULL, 15, NULL, soon()), TCPX_ETRUNC);
    ck_says("ended 10 bytes early");
    tcpx_abort(c);
    close(folder);
    close(file);
    close(peer);
}
END_TEST

START_TEST(each_call_goes_by_its_own_name)
{
    char buf[1];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    tcpx_cancel(c);
    ck_fails(tcpx_peek(c, buf, 1, soon()), TCPX_ECANCELED);
    ck_assert_mem_eq(tcpx_errmsg(), "peek ", 5);
    ck_fails(tcpx_flush(c, soon()), TCPX_ECANCELED);
    ck_assert_mem_eq(tcpx_errmsg(), "flush ", 6);
    ck_fails(tcpx_writen(c, "x", 1, NULL, soon()), TCPX_ECANCELED);
    ck_assert_mem_eq(tcpx_errmsg(), "writen ", 7);
    ck_fails(tcpx_flush(c, TCPX_SEC), -EINVAL);
    ck_assert_mem_eq(tcpx_errmsg(), "flush: ", 7);
    tcpx_abort(c);
    close(peer);
}
END_TEST

static void fill_errmsg(TCase *tc)
{
    tcase_add_test(tc, without_a_failure_there_is_nothing_to_say);
    tcase_add_loop_test(tc, a_failure_names_the_call_the_peer_and_the_reason,
                        PAIR_SHARED, PAIRS);
    tcase_add_test(tc, a_socket_without_a_name_reads_well_too);
    tcase_add_loop_test(tc,
                        a_success_leaves_it_and_the_next_failure_replaces_it,
                        PAIR_SHARED, PAIRS);
    tcase_add_loop_test(tc, each_ending_says_what_happened, PAIR_SHARED, PAIRS);
    tcase_add_test(tc, an_ipv6_peer_is_shown_in_brackets);
    tcase_add_loop_test(tc, tasks_that_fail_at_once_do_not_mix, 0, PAIRS);
    tcase_add_test(tc, an_argument_that_makes_no_sense_is_named);
    tcase_add_test(tc, what_is_wrong_with_a_queue_is_said);
    tcase_add_loop_test(tc, a_limit_is_told_with_its_number, 0, PAIRS);
    tcase_add_loop_test(tc, an_early_end_is_told_with_its_place, 0, PAIRS);
    tcase_add_loop_test(tc, what_cannot_be_sent_of_a_file_is_said, 0, PAIRS);
    tcase_add_loop_test(tc, each_call_goes_by_its_own_name, 0, PAIRS);
}

const struct test_case test_cases[] = {
    {"errmsg", "errmsg", fill_errmsg},
    {NULL, NULL, NULL},
};
