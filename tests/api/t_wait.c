/* SPDX-License-Identifier: MIT */
/*
 * t_wait.c - waiting for connections, listeners and descriptors at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "pairs.h"
#include "runner.h"
#include "support.h"

/* A library connection, and the plain socket at its other end. */
static tcpx_conn *tcp_conn(int *peer)
{
    tcpx_conn *c;
    int fd[2];

    raw_pair(fd);
    ck_ok(tcpx_conn_adopt(&c, fd[0], TCPX_ADOPT(.sole_owner = 1)));
    *peer = fd[1];
    return c;
}

static void end(tcpx_conn *c, int peer)
{
    close(peer);
    tcpx_abort(c);
}

static void *wait_readable(void *arg)
{
    tcpx_waitfor w[] = {TCPX_ON_CONN(arg, TCPX_READABLE)};

    return tcpx_wait(w, 1, soon()) == 1 ? arg : NULL;
}

static uint32_t ready_now(tcpx_conn *c, uint32_t want)
{
    tcpx_waitfor w[] = {TCPX_ON_CONN(c, want)};
    int n = tcpx_wait(w, 1, TCPX_NOW);

    if (n != TCPX_EDEADLINE)
        ck_assert_int_eq(n, w[0].got != 0);
    return w[0].got;
}

START_TEST(a_connection_is_readable_once_data_comes_and_writable_while_room)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);
    tcpx_waitfor w[] = {TCPX_ON_CONN(c, TCPX_READABLE)};

    ck_assert_uint_eq(ready_now(c, TCPX_READABLE), 0);
    ck_assert_uint_eq(ready_now(c, TCPX_READABLE | TCPX_WRITABLE),
                      TCPX_WRITABLE);
    raw_send(peer, "x", 1);
    ck_assert_int_eq(tcpx_wait(w, 1, soon()), 1);
    ck_assert_uint_eq(w[0].got, TCPX_READABLE);
    ck_assert_uint_eq(ready_now(c, TCPX_READABLE | TCPX_WRITABLE),
                      TCPX_READABLE | TCPX_WRITABLE);
    end(c, peer);
}
END_TEST

START_TEST(bytes_that_were_read_ahead_are_ready_at_once)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);
    char line[16];

    raw_send(peer, "one\ntwo\n", 8);
    ck_assert_int_eq(ck_ok(tcpx_readline(c, line, sizeof(line), soon())), 3);
    ck_assert_uint_eq(ready_now(c, TCPX_READABLE), TCPX_READABLE);
    end(c, peer);
}
END_TEST

START_TEST(half_a_line_that_was_looked_at_does_not_make_wait_spin)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);
    tcpx_waitfor w[] = {TCPX_ON_CONN(c, TCPX_READABLE)};
    char line[16];

    raw_send(peer, "half", 4);
    ck_assert_int_eq(tcpx_wait(w, 1, soon()), 1);
    ck_fails(tcpx_readline(c, line, sizeof(line), TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_uint_eq(ready_now(c, TCPX_READABLE), 0);
    raw_send(peer, "\n", 1);
    ck_assert_int_eq(tcpx_wait(w, 1, soon()), 1);
    ck_assert_int_eq(ck_ok(tcpx_readline(c, line, sizeof(line), TCPX_NOW)), 4);
    end(c, peer);
}
END_TEST

START_TEST(half_a_line_counts_again_for_another_kind_of_read)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);
    tcpx_waitfor w[] = {TCPX_ON_CONN(c, TCPX_READABLE)};
    char buf[16];

    raw_send(peer, "half", 4);
    ck_assert_int_eq(tcpx_wait(w, 1, soon()), 1);
    ck_fails(tcpx_readline(c, buf, sizeof(buf), TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_int_eq(ck_ok(tcpx_peek(c, buf, sizeof(buf), TCPX_NOW)), 4);
    ck_assert_uint_eq(ready_now(c, TCPX_READABLE), TCPX_READABLE);
    end(c, peer);
}
END_TEST

START_TEST(a_line_over_its_limit_stays_ready_for_who_skips_it)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);
    tcpx_waitfor w[] = {TCPX_ON_CONN(c, TCPX_READABLE)};
    char line[4];

    raw_send(peer, "much too long\n", 14);
    ck_assert_int_eq(tcpx_wait(w, 1, soon()), 1);
    ck_fails(tcpx_readline(c, line, sizeof(line), soon()), TCPX_ETOOLONG);
    ck_assert_uint_eq(ready_now(c, TCPX_READABLE), TCPX_READABLE);
    ck_ok(tcpx_skip_until(c, '\n', NULL, soon()));
    ck_assert_uint_eq(ready_now(c, TCPX_READABLE), 0);
    end(c, peer);
}
END_TEST

START_TEST(the_end_of_the_stream_is_ready_and_stays_so)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);
    tcpx_waitfor w[] = {TCPX_ON_CONN(c, TCPX_READABLE)};
    char byte;

    ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
    ck_assert_int_eq(tcpx_wait(w, 1, soon()), 1);
    ck_assert_int_eq(tcpx_read(c, &byte, 1, TCPX_NOW), 0);
    ck_assert_uint_eq(ready_now(c, TCPX_READABLE), TCPX_READABLE);
    end(c, peer);
}
END_TEST

START_TEST(a_reset_is_ready_in_all_that_was_wanted)
{
    int peer;
    tcpx_conn *c = tcp_conn(&peer);
    tcpx_waitfor w[] = {TCPX_ON_CONN(c, TCPX_READABLE | TCPX_WRITABLE)};
    char byte;

    raw_reset(peer);
    do
        ck_assert_int_eq(tcpx_wait(w, 1, soon()), 1);
    while (!(w[0].got & TCPX_READABLE));
    ck_assert_uint_eq(w[0].got, TCPX_READABLE | TCPX_WRITABLE);
    ck_fails(tcpx_read(c, &byte, 1, TCPX_NOW), -ECONNRESET);
    ck_assert_uint_eq(ready_now(c, TCPX_READABLE), TCPX_READABLE);
    tcpx_abort(c);
}
END_TEST

static void *cancel_conn(void *arg)
{
    tcpx_cancel(arg);
    return NULL;
}

START_TEST(a_cancel_of_the_item_ends_the_wait_and_the_next_call_tells)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);
    tcpx_waitfor w[] = {TCPX_ON_CONN(c, TCPX_READABLE)};
    pthread_t t = start_thread(cancel_conn, c);
    char byte;

    ck_assert_int_eq(tcpx_wait(w, 1, soon()), 1);
    end_thread(t);
    ck_fails(tcpx_read(c, &byte, 1, soon()), TCPX_ECANCELED);
    end(c, peer);
}
END_TEST

START_TEST(a_cancel_ends_a_wait_for_room_too)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);
    tcpx_waitfor w[] = {TCPX_ON_CONN(c, TCPX_WRITABLE)};
    char much[65536];
    pthread_t t;

    memset(much, 'x', sizeof(much));
    while (tcpx_write(c, much, sizeof(much), TCPX_NOW) > 0)
        ;
    t = start_thread(cancel_conn, c);
    ck_assert_int_eq(tcpx_wait(w, 1, soon()), 1);
    end_thread(t);
    ck_fails(tcpx_write(c, much, 1, soon()), TCPX_ECANCELED);
    end(c, peer);
}
END_TEST

static void *cancel_task(void *arg)
{
    tcpx_task_cancel(arg);
    return NULL;
}

START_TEST(a_cancel_of_the_waiting_task_is_the_waits_own_and_spares_the_item)
{
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);
    tcpx_waitfor w[] = {TCPX_ON_CONN(c, TCPX_READABLE)};
    pthread_t t = start_thread(cancel_task, tcpx_task_self());
    char byte;

    ck_fails(tcpx_wait(w, 1, soon()), TCPX_ECANCELED);
    end_thread(t);
    ck_assert_int_eq(tcpx_task_clear_cancel(), 1);
    raw_send(peer, "x", 1);
    ck_assert_int_eq(ck_ok(tcpx_read(c, &byte, 1, soon())), 1);
    end(c, peer);
}
END_TEST

START_TEST(a_listener_is_ready_when_a_client_waits)
{
    tcpx_listener *l;
    tcpx_conn *c;
    int client;

    ck_ok(tcpx_listen(&l, "127.0.0.1:0", NULL));
    tcpx_waitfor w[] = {TCPX_ON_LISTENER(l)};
    ck_fails(tcpx_wait(w, 1, TCPX_NOW), TCPX_EDEADLINE);
    client = raw_connect(tcpx_listener_address(l));
    ck_assert_int_eq(tcpx_wait(w, 1, soon()), 1);
    ck_ok(tcpx_accept(&c, l, TCPX_NOW));
    tcpx_abort(c);
    close(client);
    tcpx_listener_cancel(l);
    ck_assert_int_eq(tcpx_wait(w, 1, soon()), 1);
    ck_fails(tcpx_accept(&c, l, soon()), TCPX_ECANCELED);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(plain_descriptors_are_watched_by_level_for_one_wait)
{
    int p[2];
    char byte;

    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    tcpx_waitfor w[] = {TCPX_ON_FD(p[0], TCPX_READABLE),
                        TCPX_ON_FD(p[1], TCPX_WRITABLE)};
    ck_assert_int_eq(tcpx_wait(w, 2, soon()), 1);
    ck_assert_uint_eq(w[0].got, 0);
    ck_assert_uint_eq(w[1].got, TCPX_WRITABLE);
    ck_assert_int_eq(write(p[1], "x", 1), 1);
    ck_assert_int_eq(tcpx_wait(w, 2, soon()), 2);
    ck_assert_int_eq(tcpx_wait(w, 2, soon()), 2);
    ck_assert_int_eq(read(p[0], &byte, 1), 1);
    close(p[1]);
    ck_assert_int_eq(tcpx_wait(w, 1, soon()), 1);
    close(p[0]);
    ck_assert_int_eq(tcpx_wait(w, 1, soon()), 1);
}
END_TEST

START_TEST(a_regular_file_is_always_ready)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    tcpx_waitfor w[] = {TCPX_ON_FD(fd, TCPX_READABLE)};

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(tcpx_wait(w, 1, soon()), 1);
    close(fd);
}
END_TEST

START_TEST(what_is_ready_does_not_hide_what_else_is)
{
    enum { N = 40 }; /* more than the wait keeps on its stack */
    tcpx_conn *c[N];
    tcpx_waitfor w[N];
    int peer[N];

    for (int i = 0; i < N; i++) {
        c[i] = tcp_conn(&peer[i]);
        w[i] = (tcpx_waitfor)TCPX_ON_CONN(c[i], TCPX_READABLE);
        if (i % 2)
            raw_send(peer[i], "x", 1);
        if (i % 4 == 3)
            w[i].want = 0;
    }
    for (int i = 1; i < N; i += 4) {
        tcpx_waitfor one[] = {TCPX_ON_CONN(c[i], TCPX_READABLE)};

        ck_assert_int_eq(tcpx_wait(one, 1, soon()), 1);
    }
    ck_assert_int_eq(tcpx_wait(w, N, soon()), N / 4);
    for (int i = 0; i < N; i++) {
        ck_assert_uint_eq(w[i].got, i % 4 == 1 ? TCPX_READABLE : 0);
        end(c[i], peer[i]);
    }
}
END_TEST

START_TEST(several_tasks_may_wait_for_one_connection_while_another_reads)
{
    enum { N = 6 }; /* more than a handle has places for */
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);
    pthread_t t[N];

    for (int i = 0; i < N; i++)
        t[i] = start_thread(wait_readable, c);
    tcpx_cancel(c);
    for (int i = 0; i < N; i++)
        ck_assert_ptr_eq(end_thread(t[i]), c);
    end(c, peer);
}
END_TEST

START_TEST(a_wait_ends_at_its_deadline_and_never_before_it)
{
    int peer;
    tcpx_conn *c = tcp_conn(&peer);
    tcpx_waitfor w[] = {TCPX_ON_CONN(c, TCPX_READABLE)};
    tcpx_time until = tcpx_after(30 * TCPX_MSEC);

    ck_fails(tcpx_wait(w, 1, until), TCPX_EDEADLINE);
    ck_assert_int_ge(tcpx_now(), until);
    until = tcpx_after(5 * TCPX_MSEC);
    ck_fails(tcpx_wait(NULL, 0, until), TCPX_EDEADLINE);
    ck_assert_int_ge(tcpx_now(), until);
    end(c, peer);
}
END_TEST

START_TEST(a_wait_that_makes_no_sense_is_refused_by_name)
{
    tcpx_waitfor w[] = {TCPX_ON_FD(0, TCPX_READABLE)};

    ck_fails(tcpx_wait(NULL, 1, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_wait(NULL, 0, TCPX_FOREVER), -EINVAL);
    ck_fails(tcpx_wait(w, 1, 5), -EINVAL);
    w[0].want = 8;
    ck_fails(tcpx_wait(w, 1, TCPX_NOW), -EINVAL);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), "item 0"));
    w[0] = (tcpx_waitfor)TCPX_ON_FD(-1, TCPX_READABLE);
    ck_fails(tcpx_wait(w, 1, TCPX_NOW), -EINVAL);
    w[0] = (tcpx_waitfor)TCPX_ON_CONN(NULL, TCPX_READABLE);
    ck_fails(tcpx_wait(w, 1, TCPX_NOW), -EINVAL);
    w[0].want = 0;
    ck_fails(tcpx_wait(w, 1, TCPX_NOW), TCPX_EDEADLINE);
    w[0].kind = 99;
    ck_fails(tcpx_wait(w, 1, TCPX_NOW), -EINVAL);
}
END_TEST

static void fill_connections(TCase *tc)
{
    tcase_add_loop_test(
        tc, a_connection_is_readable_once_data_comes_and_writable_while_room, 0,
        PAIRS);
    tcase_add_loop_test(tc, bytes_that_were_read_ahead_are_ready_at_once, 0,
                        PAIRS);
    tcase_add_loop_test(
        tc, half_a_line_that_was_looked_at_does_not_make_wait_spin, 0, PAIRS);
    tcase_add_loop_test(tc, half_a_line_counts_again_for_another_kind_of_read,
                        0, PAIRS);
    tcase_add_loop_test(tc, a_line_over_its_limit_stays_ready_for_who_skips_it,
                        0, PAIRS);
    tcase_add_loop_test(tc, the_end_of_the_stream_is_ready_and_stays_so, 0,
                        PAIRS);
    tcase_add_test(tc, a_reset_is_ready_in_all_that_was_wanted);
}

static void fill_cancels(TCase *tc)
{
    tcase_add_loop_test(
        tc, a_cancel_of_the_item_ends_the_wait_and_the_next_call_tells, 0,
        PAIRS);
    tcase_add_loop_test(tc, a_cancel_ends_a_wait_for_room_too, 0, PAIRS);
    tcase_add_loop_test(
        tc, a_cancel_of_the_waiting_task_is_the_waits_own_and_spares_the_item,
        0, PAIRS);
    tcase_add_loop_test(
        tc, several_tasks_may_wait_for_one_connection_while_another_reads, 0,
        PAIRS);
}

static void fill_others(TCase *tc)
{
    tcase_add_test(tc, a_listener_is_ready_when_a_client_waits);
    tcase_add_test(tc, plain_descriptors_are_watched_by_level_for_one_wait);
    tcase_add_test(tc, a_regular_file_is_always_ready);
    tcase_add_test(tc, what_is_ready_does_not_hide_what_else_is);
    tcase_add_test(tc, a_wait_ends_at_its_deadline_and_never_before_it);
    tcase_add_test(tc, a_wait_that_makes_no_sense_is_refused_by_name);
}

const struct test_case test_cases[] = {
    {"wait", "wait_connections", fill_connections},
    {"wait", "wait_cancels", fill_cancels},
    {"wait", "wait_others", fill_others},
    {NULL, NULL, NULL},
};
