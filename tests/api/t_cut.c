/* SPDX-License-Identifier: MIT */
/*
 * t_cut.c - an answer that was cut short never looks whole to the peer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

#define SIZE ((size_t)16 << 20)

/* A writen or writev that is stopped by its deadline; gives what went out. */
static size_t cut_short(tcpx_conn *c, int parts)
{
    struct call call = {.kind = parts ? CALL_WRITEV : CALL_WRITEN,
                        .c = c,
                        .len = SIZE,
                        .deadline = TCPX_NOW};

    ck_fails(call_make(&call), TCPX_EDEADLINE);
    ck_assert_uint_lt(call.done, SIZE);
    ck_assert_int_eq(tcpx_conn_state(c), TCPX_STATE_CUT);
    return call.done;
}

static void *drop(void *arg)
{
    size_t count = 0;
    int *fd = arg;
    int err = raw_drain(*fd, &count);

    ck_assert_int_eq(err, 0);
    return (void *)(uintptr_t)count;
}

START_TEST(a_half_close_after_a_cut_sends_nothing)
{
    char buf[8];
    size_t went;
    size_t count = 0;
    int peer;
    tcpx_conn *c = conn_open(_i / 2, &peer);

    went = cut_short(c, _i % 2);
    for (int i = 0; i < 3; i++) {
        ck_fails(tcpx_half_close(c), TCPX_EDEADLINE);
        ck_assert_int_eq(tcpx_conn_state(c), TCPX_STATE_CUT);
    }
    while (count < went) {
        static char dropped[65536];

        count += raw_recv(peer, dropped,
                          went - count < sizeof(dropped) ? went - count
                                                         : sizeof(dropped));
    }
    /* All that went out is here, and no end after it. */
    ck_assert_int_eq(recv(peer, buf, 8, MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, EAGAIN);
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(what_is_written_to_its_end_after_all_ends_cleanly)
{
    char *data = calloc(1, SIZE);
    pthread_t thread;
    size_t went;
    int peer;
    tcpx_conn *c = conn_open(_i / 2, &peer);

    ck_assert_ptr_nonnull(data);
    went = cut_short(c, _i % 2);
    thread = start_thread(drop, &peer);
    ck_ok(tcpx_writen(c, data + went, SIZE - went, NULL, soon()));
    ck_assert_int_eq(tcpx_conn_state(c), 0);
    ck_ok(tcpx_half_close(c));
    ck_assert_uint_eq((size_t)(uintptr_t)end_thread(thread), SIZE);
    close(peer);
    ck_ok(tcpx_close(c, soon()));
    free(data);
}
END_TEST

START_TEST(write_completes_it_only_by_its_last_byte)
{
    char *data = calloc(1, SIZE);
    struct call rest = {.kind = CALL_READN};
    struct pair p = pair_open(_i);
    size_t went;
    ssize_t n;

    ck_assert_ptr_nonnull(data);
    went = cut_short(p.a, 0);
    rest.c = p.b;
    rest.len = SIZE;
    rest.deadline = soon();
    call_begin(&rest);
    while (went < SIZE) {
        ck_assert_int_eq(tcpx_conn_state(p.a), TCPX_STATE_CUT);
        n = ck_ok(tcpx_write(p.a, data + went, SIZE - went, soon()));
        went += (size_t)n;
    }
    ck_assert_int_eq(tcpx_conn_state(p.a), 0);
    ck_ok(call_end(&rest));
    ck_ok(tcpx_half_close(p.a));
    pair_end(&p);
    free(data);
}
END_TEST

START_TEST(a_plain_write_never_cuts)
{
    char *data = calloc(1, SIZE);
    size_t went;
    size_t count;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_assert_ptr_nonnull(data);
    went = (size_t)ck_ok(tcpx_write(c, data, SIZE, TCPX_NOW));
    ck_assert_uint_lt(went, SIZE);
    while (tcpx_write(c, data, SIZE, TCPX_NOW) > 0)
        ;
    ck_fails(tcpx_write(c, data, SIZE, TCPX_NOW), TCPX_EDEADLINE);
    ck_fails(tcpx_write(c, data, SIZE, tcpx_now()), TCPX_EDEADLINE);
    ck_assert_int_eq(tcpx_conn_state(c), 0);
    went = tcpx_conn_bytes_written(c);
    ck_ok(tcpx_half_close(c));
    ck_assert_int_eq(raw_drain(peer, &count), 0);
    ck_assert_uint_eq(count, went);
    tcpx_abort(c);
    close(peer);
    free(data);
}
END_TEST

START_TEST(even_nothing_of_an_answer_is_a_cut)
{
    size_t done = 99;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    fill_up(c);
    /* Whatever room has come in the meantime is not enough. */
    char *data = calloc(1, SIZE);

    ck_assert_ptr_nonnull(data);
    ck_fails(tcpx_writen(c, data, SIZE, &done, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_int_eq(tcpx_conn_state(c), TCPX_STATE_CUT);
    ck_fails(tcpx_half_close(c), TCPX_EDEADLINE);
    tcpx_abort(c);
    close(peer);
    free(data);
}
END_TEST

START_TEST(a_call_that_was_refused_is_no_cut)
{
    struct iovec wrong[1] = {{NULL, 1}};
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_fails(tcpx_writen(c, NULL, 1, NULL, soon()), -EINVAL);
    ck_fails(tcpx_writen(c, "x", 1, NULL, TCPX_SEC), -EINVAL);
    ck_fails(tcpx_writev(c, wrong, 1, NULL, soon()), -EINVAL);
    ck_assert_int_eq(tcpx_conn_state(c), 0);
    ck_ok(tcpx_half_close(c));
    ck_fails(tcpx_writen(c, "x", 1, NULL, soon()), -EPIPE);
    ck_assert_int_eq(tcpx_conn_state(c), TCPX_STATE_FINISHED);
    close(peer);
    ck_ok(tcpx_close(c, soon()));
}
END_TEST

START_TEST(closing_after_a_cut_resets)
{
    size_t count;
    int peer;
    tcpx_conn *c = conn_open(PAIR_SHARED + _i / 4, &peer);

    cut_short(c, _i % 2);
    if (_i % 4 < 2)
        ck_fails(tcpx_close(c, soon()), TCPX_EDEADLINE);
    else
        ck_fails(tcpx_close(c, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_int_eq(raw_drain(peer, &count), -ECONNRESET);
    close(peer);
}
END_TEST

/* The echo loop of every textbook, right as it stands. */
static int echo(tcpx_conn *c, tcpx_time patience)
{
    static char buf[65536];
    ssize_t n;

    while ((n = tcpx_read(c, buf, sizeof(buf), soon())) > 0) {
        if (tcpx_writen(c, buf, (size_t)n, NULL, tcpx_after(patience)) < 0)
            break;
    }
    return tcpx_close(c, soon());
}

static void *flood(void *arg)
{
    static const char block[65536];
    int *fd = arg;

    while (send(*fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
        ;
    return (void *)(intptr_t)errno;
}

/* There is no reset there: the kernel tells the peer of input that was not
   read, and else of a clean end.  Only the answer itself can say where it
   ends. */
START_TEST(on_a_unix_socket_a_cut_answer_may_look_whole)
{
    int unread = _i % 2;
    int canceled = _i / 2;
    size_t went;
    size_t count = 0;
    int peer;
    tcpx_conn *c = conn_open(PAIR_UNIX, &peer);

    went = cut_short(c, 0);
    if (unread)
        raw_send(peer, "unread", 6);
    if (canceled)
        tcpx_cancel(c);
    ck_fails(tcpx_close(c, soon()), canceled ? TCPX_ECANCELED : TCPX_EDEADLINE);
    ck_assert_int_eq(raw_drain(peer, &count), unread ? -ECONNRESET : 0);
    ck_assert_uint_eq(count, went);
    close(peer);
}
END_TEST

START_TEST(an_echo_that_gave_up_ends_in_a_reset)
{
    pthread_t thread;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    /* A client that sends and never reads. */
    thread = start_thread(flood, &peer);
    ck_fails(echo(c, 20 * TCPX_MSEC), TCPX_EDEADLINE);
    /* After a FIN this would be EPIPE. */
    ck_assert_int_eq((int)(intptr_t)end_thread(thread), ECONNRESET);
    close(peer);
}
END_TEST

static void fill_cut(TCase *tc)
{
    const int tcp = PAIRS - PAIR_SHARED;

    tcase_add_loop_test(tc, a_half_close_after_a_cut_sends_nothing, 0,
                        2 * PAIRS);
    tcase_add_loop_test(tc, what_is_written_to_its_end_after_all_ends_cleanly,
                        0, 2 * PAIRS);
    tcase_add_loop_test(tc, write_completes_it_only_by_its_last_byte, 0, PAIRS);
    tcase_add_loop_test(tc, a_plain_write_never_cuts, 0, PAIRS);
    tcase_add_loop_test(tc, even_nothing_of_an_answer_is_a_cut, 0, PAIRS);
    tcase_add_loop_test(tc, a_call_that_was_refused_is_no_cut, 0, PAIRS);
    tcase_add_loop_test(tc, on_a_unix_socket_a_cut_answer_may_look_whole, 0, 4);
    tcase_add_loop_test(tc, closing_after_a_cut_resets, 0, 4 * tcp);
    tcase_add_loop_test(tc, an_echo_that_gave_up_ends_in_a_reset, PAIR_SHARED,
                        PAIRS);
}

const struct test_case test_cases[] = {
    {"cut", "cut", fill_cut},
    {NULL, NULL, NULL},
};
