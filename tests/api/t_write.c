/* SPDX-License-Identifier: MIT */
/*
 * t_write.c - writing what fits, and all or an error.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

static unsigned char *pattern(size_t len)
{
    unsigned char *p = malloc(len);

    ck_assert_ptr_nonnull(p);
    fill_pattern(p, len, 0);
    return p;
}

/* A peer that reads so much at a time and checks each byte. */
struct reader {
    int fd;
    size_t at_once;
    size_t count;
    int wrong;
    pthread_t thread;
};

static void *read_all(void *arg)
{
    struct reader *r = arg;
    unsigned char *got = malloc(r->at_once);
    unsigned char *want = malloc(r->at_once);
    ssize_t n;

    while ((n = recv(r->fd, got, r->at_once, 0)) > 0) {
        fill_pattern(want, (size_t)n, r->count);
        r->wrong |= memcmp(got, want, (size_t)n) != 0;
        r->count += (size_t)n;
    }
    free(got);
    free(want);
    return NULL;
}

static void begin_reading(struct reader *r, int fd, size_t at_once)
{
    *r = (struct reader){.fd = fd, .at_once = at_once};
    r->thread = start_thread(read_all, r);
}

static void end_reading(struct reader *r, size_t expected)
{
    end_thread(r->thread);
    ck_assert_uint_eq(r->count, expected);
    ck_assert_int_eq(r->wrong, 0);
    close(r->fd);
}

/* ---- what is written --------------------------------------------------- */

START_TEST(write_gives_the_count_that_went_out)
{
    char buf[16];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_assert_int_eq(tcpx_write(c, "seven b", 7, soon()), 7);
    ck_assert_uint_eq(tcpx_conn_bytes_written(c), 7);
    ck_assert_uint_eq(raw_recv(peer, buf, 7), 7);
    ck_assert_mem_eq(buf, "seven b", 7);
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(a_write_of_nothing_does_nothing)
{
    char buf[1];
    size_t done = 99;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_assert_int_eq(tcpx_write(c, buf, 0, TCPX_NOW), 0);
    ck_assert_int_eq(tcpx_write(c, NULL, 0, TCPX_FOREVER), 0);
    ck_ok(tcpx_writen(c, NULL, 0, &done, TCPX_NOW));
    ck_assert_uint_eq(done, 0);
    ck_assert_int_eq(recv(peer, buf, 1, MSG_DONTWAIT), -1);
    tcpx_abort(c);
    close(peer);
}
END_TEST

START_TEST(a_write_waits_for_room)
{
    const size_t size = 1 << 20;
    unsigned char *data = pattern(size);
    struct call call = {.kind = CALL_WRITEN, .buf = data, .len = size};
    struct reader r;
    int peer;

    call.c = conn_open(_i, &peer);
    call.deadline = TCPX_FOREVER;
    narrow(tcpx_conn_fd(call.c));
    narrow(peer);
    call_begin(&call);
    until_asleep(&call);
    begin_reading(&r, peer, size);
    ck_ok(call_end(&call));
    ck_assert_uint_eq(call.done, size);
    ck_ok(tcpx_half_close(call.c));
    end_reading(&r, size);
    ck_ok(tcpx_close(call.c, soon()));
    free(data);
}
END_TEST

START_TEST(much_data_arrives_whole_at_a_slow_reader)
{
    const size_t size = 64 << 20;
    unsigned char *data = pattern(size);
    struct reader r;
    size_t done = 0;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    begin_reading(&r, peer, 4096);
    ck_ok(tcpx_writen(c, data, size, &done, soon()));
    ck_assert_uint_eq(done, size);
    ck_assert_uint_eq(tcpx_conn_bytes_written(c), size);
    ck_ok(tcpx_half_close(c));
    end_reading(&r, size);
    ck_ok(tcpx_close(c, soon()));
    free(data);
}
END_TEST

START_TEST(a_writen_that_met_its_deadline_can_be_resumed)
{
    const size_t size = 8 << 20;
    unsigned char *data = pattern(size);
    struct reader r;
    size_t total = 0;
    int stops = 0;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    narrow(tcpx_conn_fd(c));
    /* The first pieces find nobody who reads. */
    for (int err = TCPX_EDEADLINE; err; stops++) {
        size_t done = 0;

        if (stops == 2)
            begin_reading(&r, peer, 1000);
        err = tcpx_writen(c, data + total, size - total, &done,
                          tcpx_after(TCPX_MSEC));
        ck_assert(err == 0 || err == TCPX_EDEADLINE);
        total += done;
        ck_assert_uint_eq(total, tcpx_conn_bytes_written(c));
    }
    ck_assert_int_gt(stops, 2);
    ck_assert_uint_eq(total, size);
    ck_ok(tcpx_half_close(c));
    end_reading(&r, size);
    ck_ok(tcpx_close(c, soon()));
    free(data);
}
END_TEST

START_TEST(two_that_both_write_first_end_at_their_deadlines)
{
    const size_t size = 16 << 20;
    struct pair p = pair_open(_i);
    struct call a = {.kind = CALL_WRITEN, .c = p.a, .len = size};
    struct call b = {.kind = CALL_WRITEN, .c = p.b, .len = size};
    size_t count;

    a.deadline = b.deadline = tcpx_after(100 * TCPX_MSEC);
    call_begin(&a);
    call_begin(&b);
    ck_fails(call_end(&a), TCPX_EDEADLINE);
    ck_fails(call_end(&b), TCPX_EDEADLINE);
    ck_assert_uint_lt(a.done, size);
    ck_assert_uint_eq(a.done, tcpx_conn_bytes_written(p.a));
    ck_assert_uint_eq(b.done, tcpx_conn_bytes_written(p.b));
    /* Each finds just so much. */
    for (count = 0; count < a.done;) {
        static char dropped[65536];

        count +=
            (size_t)ck_ok(tcpx_read(p.b, dropped, sizeof(dropped), soon()));
    }
    ck_assert_uint_eq(count, a.done);
    ck_fails(tcpx_read(p.b, &count, 1, tcpx_after(TCPX_MSEC)), TCPX_EDEADLINE);
    pair_end(&p);
}
END_TEST

static void fill_data(TCase *tc)
{
    tcase_add_loop_test(tc, write_gives_the_count_that_went_out, 0, PAIRS);
    tcase_add_loop_test(tc, a_write_of_nothing_does_nothing, 0, PAIRS);
    tcase_add_loop_test(tc, a_write_waits_for_room, 0, PAIRS);
    tcase_add_loop_test(tc, much_data_arrives_whole_at_a_slow_reader, 0, PAIRS);
    tcase_add_loop_test(tc, a_writen_that_met_its_deadline_can_be_resumed, 0,
                        PAIRS);
    tcase_add_loop_test(tc, two_that_both_write_first_end_at_their_deadlines, 0,
                        PAIRS);
}

/* ---- a peer that is gone ----------------------------------------------- */

START_TEST(a_reset_in_the_middle_leaves_an_exact_count)
{
    struct call call = {.kind = CALL_WRITEN, .len = (size_t)64 << 20};
    tcpx_time began;
    int peer;

    call.c = conn_open(_i, &peer);
    call.deadline = TCPX_FOREVER;
    call_begin(&call);
    until_asleep(&call);
    began = tcpx_now();
    raw_reset(peer);
    call_end(&call);
    ck_assert_int_lt(call.ended - began, TCPX_SEC); /* at once */
    ck_assert_msg(tcpx_is_peer_gone((int)call.result), "%s", call.errmsg);
    ck_assert_uint_gt(call.done, 0);
    ck_assert_uint_lt(call.done, call.len);
    ck_assert_uint_eq(call.done, tcpx_conn_bytes_written(call.c));
    /* For ever. */
    ck_fails(tcpx_write(call.c, "x", 1, soon()), (int)call.result);
    ck_fails(tcpx_half_close(call.c), (int)call.result);
    ck_fails(tcpx_close(call.c, soon()), (int)call.result);
}
END_TEST

START_TEST(a_write_to_a_peer_that_is_gone_raises_no_signal)
{
    struct iovec parts[2] = {{(void *)(uintptr_t) "ab", 2},
                             {(void *)(uintptr_t) "cd", 2}};
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    /* Its default would end the process here. */
    ck_assert(signal(SIGPIPE, SIG_DFL) == SIG_DFL);
    close(peer);
    while (tcpx_write(c, "x", 1, soon()) > 0)
        ;
    ck_fails(tcpx_write(c, "x", 1, soon()), -EPIPE);
    ck_fails(tcpx_writen(c, "x", 1, NULL, soon()), -EPIPE);
    ck_fails(tcpx_writev(c, parts, 2, NULL, soon()), -EPIPE);
    ck_fails(tcpx_close(c, soon()), -EPIPE);
}
END_TEST

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

START_TEST(the_programs_own_sigpipe_stays_as_it_is)
{
    struct sigaction action;
    struct sigaction after;
    sigset_t pipe_only;
    sigset_t pending;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    memset(&action, 0, sizeof(action));
    action.sa_handler = count_signal;
    ck_assert_int_eq(sigaction(SIGPIPE, &action, NULL), 0);
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
    raise(SIGPIPE); /* one that is pending before */
    close(peer);
    while (tcpx_writen(c, "x", 1, NULL, soon()) == 0)
        ;
    tcpx_abort(c);
    sigpending(&pending);
    ck_assert_int_eq(sigismember(&pending, SIGPIPE), 1);
    ck_assert_int_eq(signals, 0);
    pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL);
    ck_assert_int_eq(signals, 1);
    ck_assert_int_eq(sigaction(SIGPIPE, NULL, &after), 0);
    ck_assert(after.sa_handler == count_signal);
}
END_TEST

static void fill_gone(TCase *tc)
{
    tcase_add_loop_test(tc, a_reset_in_the_middle_leaves_an_exact_count,
                        PAIR_SHARED, PAIRS);
    tcase_add_loop_test(tc, a_write_to_a_peer_that_is_gone_raises_no_signal, 0,
                        PAIRS);
    tcase_add_loop_test(tc, the_programs_own_sigpipe_stays_as_it_is, 0, PAIRS);
}

/* ---- after our own half-close ------------------------------------------ */

START_TEST(after_a_half_close_writing_is_over_and_reading_goes_on)
{
    char buf[8];
    size_t done = 99;
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    ck_ok(tcpx_half_close(c));
    ck_assert_int_eq(tcpx_conn_state(c), TCPX_STATE_FINISHED);
    ck_fails(tcpx_write(c, "x", 1, soon()), -EPIPE);
    ck_fails(tcpx_writen(c, "x", 1, &done, TCPX_NOW), -EPIPE);
    ck_assert_uint_eq(done, 0);
    /* That is our own doing and no failure of the connection. */
    ck_assert_int_eq(tcpx_conn_state(c), TCPX_STATE_FINISHED);
    raw_send(peer, "answer", 6);
    close(peer);
    ck_ok(tcpx_readn(c, buf, 6, NULL, soon()));
    ck_assert_int_eq(tcpx_read(c, buf, 8, soon()), 0);
    ck_ok(tcpx_close(c, soon()));
}
END_TEST

static void fill_finished(TCase *tc)
{
    tcase_add_loop_test(
        tc, after_a_half_close_writing_is_over_and_reading_goes_on, 0, PAIRS);
}

/* ---- Nagle ------------------------------------------------------------- */

START_TEST(two_small_writes_and_a_read_do_not_stall)
{
    tcpx_time fastest = TCPX_FOREVER;
    char buf[2];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);

    /* With Nagle's algorithm each round takes the 40 ms of a delayed ACK. */
    for (int i = 0; i < 10; i++) {
        tcpx_time began = tcpx_now();

        ck_ok(tcpx_writen(c, "a", 1, NULL, soon()));
        ck_ok(tcpx_writen(c, "b", 1, NULL, soon()));
        ck_assert_uint_eq(raw_recv(peer, buf, 2), 2);
        raw_send(peer, "c", 1);
        ck_ok(tcpx_readn(c, buf, 1, NULL, soon()));
        if (tcpx_now() - began < fastest)
            fastest = tcpx_now() - began;
    }
    ck_assert_int_lt(fastest, 20 * TCPX_MSEC);
    tcpx_abort(c);
    close(peer);
}
END_TEST

static void fill_nagle(TCase *tc)
{
    tcase_add_loop_test(tc, two_small_writes_and_a_read_do_not_stall,
                        PAIR_ACCEPTED, PAIRS);
}

const struct test_case test_cases[] = {
    {"write", "data", fill_data},
    {"write", "gone", fill_gone},
    {"write", "finished", fill_finished},
    {"write", "nagle", fill_nagle},
    {NULL, NULL, NULL},
};
