/* SPDX-License-Identifier: MIT */
/*
 * t_sendpipe.c - sending what comes out of a pipe.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "pairs.h"
#include "runner.h"
#include "support.h"

/* A pipe into a connection that alone has its socket. */
struct piped {
    tcpx_conn *c;
    int peer;
    int in;
    int out;
};

static struct piped piped_open(int kind)
{
    struct piped p;
    int fd[2];

    p.c = conn_open(kind, &p.peer);
    ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
    p.out = fd[0];
    p.in = fd[1];
    return p;
}

static void piped_end(struct piped *p)
{
    tcpx_abort(p->c);
    close(p->peer);
    close(p->out);
    close(p->in);
}

static void put(struct piped *p, const char *text)
{
    size_t len = strlen(text);

    ck_assert_int_eq(write(p->in, text, len), (ssize_t)len);
}

/* The kinds that a pipe can be sent to. */
static const int kinds[] = {PAIR_UNIX, PAIR_SOLE};
#define KINDS 2

START_TEST(a_pipe_is_sent_up_to_the_count)
{
    struct piped p = piped_open(kinds[_i]);
    char buf[16];
    uint64_t done = 7;

    put(&p, "1234567890");
    ck_ok(tcpx_sendfile(p.c, p.out, NULL, 4, &done, soon()));
    ck_assert_uint_eq(done, 4);
    ck_ok(tcpx_sendfile(p.c, p.out, NULL, 5, &done, TCPX_NOW));
    ck_assert_uint_eq(done, 5);
    ck_assert_uint_eq(raw_recv(p.peer, buf, 9), 9);
    ck_assert_mem_eq(buf, "123456789", 9);
    ck_assert_int_eq(read(p.out, buf, 16), 1);
    ck_assert_uint_eq(tcpx_conn_bytes_written(p.c), 9);
    ck_assert_int_eq(tcpx_conn_state(p.c), 0);
    piped_end(&p);
}
END_TEST

struct writer {
    int fd;
    size_t len;
    size_t step;
};

static void *write_pattern(void *arg)
{
    struct writer *w = arg;
    unsigned char *data = malloc(w->len);

    ck_assert_ptr_nonnull(data);
    fill_pattern(data, w->len, 0);
    for (size_t at = 0; at < w->len;) {
        size_t n = w->len - at < w->step ? w->len - at : w->step;
        ssize_t put = write(w->fd, data + at, n);

        ck_assert_int_gt(put, 0);
        at += (size_t)put;
    }
    free(data);
    return NULL;
}

START_TEST(a_pipe_that_fills_slowly_is_waited_for)
{
    static const size_t steps[] = {1, 1000, 1 << 20};
    static const size_t lens[] = {2000, 300000, 3 << 20};

    for (int i = 0; i < 3; i++) {
        struct piped p = piped_open(kinds[_i]);
        struct writer w = {p.in, lens[i], steps[i]};
        struct collector k;
        pthread_t thread;
        unsigned char *expected = malloc(w.len);
        uint64_t done;

        ck_assert_ptr_nonnull(expected);
        fill_pattern(expected, w.len, 0);
        collect_start(&k, p.peer, w.len);
        thread = start_thread(write_pattern, &w);
        ck_ok(tcpx_sendfile(p.c, p.out, NULL, w.len, &done, soon()));
        ck_assert_uint_eq(done, w.len);
        ck_ok(tcpx_half_close(p.c));
        end_thread(thread);
        collect_end(&k);
        ck_assert_uint_eq(k.len, w.len);
        ck_assert_int_eq(memcmp(k.data, expected, w.len), 0);
        free(expected);
        free(k.data);
        piped_end(&p);
    }
}
END_TEST

START_TEST(a_pipe_that_ends_too_soon_is_told)
{
    struct piped p = piped_open(kinds[_i]);
    uint64_t done;

    put(&p, "12345");
    close(p.in);
    ck_fails(tcpx_sendfile(p.c, p.out, NULL, 6, &done, soon()), TCPX_ETRUNC);
    ck_assert_uint_eq(done, 5);
    ck_fails(tcpx_half_close(p.c), TCPX_ETRUNC);
    p.in = -1;
    piped_end(&p);
}
END_TEST

START_TEST(an_empty_pipe_is_waited_for_until_the_deadline)
{
    struct piped p = piped_open(kinds[_i]);
    tcpx_time deadline;
    uint64_t done;

    ck_fails(tcpx_sendfile(p.c, p.out, NULL, 6, &done, TCPX_NOW),
             TCPX_EDEADLINE);
    ck_assert_uint_eq(done, 0);
    put(&p, "123");
    deadline = tcpx_after(30 * TCPX_MSEC);
    ck_fails(tcpx_sendfile(p.c, p.out, NULL, 6, &done, deadline),
             TCPX_EDEADLINE);
    ck_assert(tcpx_now() >= deadline);
    ck_assert_uint_eq(done, 3);
    put(&p, "456");
    ck_ok(tcpx_sendfile(p.c, p.out, NULL, 3, &done, TCPX_NOW));
    piped_end(&p);
}
END_TEST

START_TEST(a_full_socket_is_waited_for_until_the_deadline)
{
    struct piped p = piped_open(kinds[_i]);
    struct writer w = {p.in, 1 << 20, 1 << 20};
    struct collector k;
    pthread_t thread;
    uint64_t first;
    uint64_t done;

    narrow(tcpx_conn_fd(p.c));
    narrow(p.peer);
    thread = start_thread(write_pattern, &w);
    ck_fails(tcpx_sendfile(p.c, p.out, NULL, w.len, &first,
                           tcpx_after(100 * TCPX_MSEC)),
             TCPX_EDEADLINE);
    ck_assert_uint_gt(first, 0);
    ck_assert_uint_lt(first, w.len);
    ck_assert_uint_eq(tcpx_conn_bytes_written(p.c), first);
    collect_start(&k, p.peer, w.len);
    ck_ok(tcpx_sendfile(p.c, p.out, NULL, w.len - first, &done, soon()));
    ck_assert_uint_eq(done, w.len - first);
    ck_ok(tcpx_half_close(p.c));
    end_thread(thread);
    collect_end(&k);
    ck_assert_uint_eq(k.len, w.len);
    free(k.data);
    piped_end(&p);
}
END_TEST

/* Another thread that sends from a pipe which stays empty. */
struct sender {
    struct piped *p;
    tcpx_task *_Atomic task;
    int err;
};

static void *send_in_vain(void *arg)
{
    struct sender *s = arg;

    atomic_store(&s->task, tcpx_task_ref(tcpx_task_self()));
    s->err = tcpx_sendfile(s->p->c, s->p->out, NULL, 10, NULL, soon());
    return NULL;
}

/* Starts it and waits until it has taken the first bytes: then it waits. */
static pthread_t start_sender(struct sender *s, struct piped *p)
{
    pthread_t thread;
    char buf[3];

    *s = (struct sender){.p = p, .err = 7};
    put(p, "123");
    thread = start_thread(send_in_vain, s);
    ck_assert_uint_eq(raw_recv(p->peer, buf, 3), 3);
    return thread;
}

START_TEST(a_cancel_ends_the_wait_for_a_pipe)
{
    struct piped p = piped_open(kinds[_i]);
    struct sender s;
    pthread_t thread = start_sender(&s, &p);

    tcpx_cancel(p.c);
    end_thread(thread);
    ck_assert_int_eq(s.err, TCPX_ECANCELED);
    tcpx_task_unref(s.task);
    piped_end(&p);
}
END_TEST

START_TEST(a_cancel_of_the_task_takes_the_connection_with_it)
{
    struct piped p = piped_open(kinds[_i]);
    struct sender s;
    pthread_t thread = start_sender(&s, &p);

    tcpx_task_cancel(s.task);
    end_thread(thread);
    ck_assert_int_eq(s.err, TCPX_ECANCELED);
    ck_assert_int_eq(tcpx_conn_state(p.c) & TCPX_STATE_CANCELED,
                     TCPX_STATE_CANCELED);
    tcpx_task_unref(s.task);
    piped_end(&p);
}
END_TEST

START_TEST(a_peer_that_goes_ends_the_wait_for_a_pipe)
{
    struct piped p = piped_open(kinds[_i]);
    struct sender s;
    pthread_t thread = start_sender(&s, &p);

    raw_reset(p.peer);
    end_thread(thread);
    ck_assert_int_eq(tcpx_is_peer_gone(s.err), 1);
    ck_assert_int_eq(tcpx_is_peer_gone(tcpx_writen(p.c, "x", 1, NULL, soon())),
                     1);
    p.peer = -1;
    tcpx_task_unref(s.task);
    piped_end(&p);
}
END_TEST

START_TEST(a_peer_that_half_closes_does_not_end_the_wait)
{
    struct piped p = piped_open(kinds[_i]);
    struct sender s;
    pthread_t thread = start_sender(&s, &p);
    char buf[7];

    ck_assert_int_eq(shutdown(p.peer, SHUT_WR), 0);
    put(&p, "4567890");
    ck_assert_uint_eq(raw_recv(p.peer, buf, 7), 7);
    end_thread(thread);
    ck_assert_int_eq(s.err, 0);
    tcpx_task_unref(s.task);
    piped_end(&p);
}
END_TEST

START_TEST(a_pipe_to_a_gone_peer_raises_no_signal)
{
    struct piped p = piped_open(kinds[_i]);
    int err;

    /* The default action would end the test. */
    close(p.peer);
    p.peer = -1;
    do {
        put(&p, "x");
        err = tcpx_sendfile(p.c, p.out, NULL, 1, NULL, soon());
    } while (!err);
    ck_assert_int_eq(tcpx_is_peer_gone(err), 1);
    piped_end(&p);
}
END_TEST

START_TEST(a_pipe_needs_a_socket_of_our_own)
{
    struct piped p = piped_open(PAIR_SHARED);
    uint64_t done = 7;
    int held = 0;

    put(&p, "123");
    ck_fails(tcpx_sendfile(p.c, p.out, NULL, 3, &done, soon()), -EOPNOTSUPP);
    ck_assert_uint_eq(done, 0);
    /* Nothing was taken out of it. */
    ck_assert_int_eq(ioctl(p.out, FIONREAD, &held), 0);
    ck_assert_int_eq(held, 3);
    piped_end(&p);
}
END_TEST

static void fill_pipes(TCase *tc)
{
    tcase_add_loop_test(tc, a_pipe_is_sent_up_to_the_count, 0, KINDS);
    tcase_add_loop_test(tc, a_pipe_that_fills_slowly_is_waited_for, 0, KINDS);
    tcase_add_loop_test(tc, a_pipe_that_ends_too_soon_is_told, 0, KINDS);
    tcase_add_loop_test(tc, an_empty_pipe_is_waited_for_until_the_deadline, 0,
                        KINDS);
    tcase_add_loop_test(tc, a_full_socket_is_waited_for_until_the_deadline, 0,
                        KINDS);
    tcase_add_test(tc, a_pipe_needs_a_socket_of_our_own);
}

static void fill_ends(TCase *tc)
{
    tcase_add_loop_test(tc, a_cancel_ends_the_wait_for_a_pipe, 0, KINDS);
    tcase_add_loop_test(tc, a_cancel_of_the_task_takes_the_connection_with_it,
                        0, KINDS);
    tcase_add_loop_test(tc, a_peer_that_goes_ends_the_wait_for_a_pipe, 0,
                        KINDS);
    tcase_add_loop_test(tc, a_peer_that_half_closes_does_not_end_the_wait, 0,
                        KINDS);
    tcase_add_loop_test(tc, a_pipe_to_a_gone_peer_raises_no_signal, 0, KINDS);
}

const struct test_case test_cases[] = {
    {"sendpipe", "pipes", fill_pipes},
    {"sendpipe", "ends", fill_ends},
    {NULL, NULL, NULL},
};
