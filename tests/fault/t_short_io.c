/* SPDX-License-Identifier: MIT */
/*
 * t_short_io.c - every transfer cut to one byte, and storms of EINTR: what
 * arrives must never depend on how it was cut.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "calls.h"
#include "fault/hooks.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

#define SIZE ((size_t)20000)

/* What disturbs: 0 short transfers, 1 interrupts, 2 both. */
#define WAYS 3

static void disturb(int way)
{
    hooks_on();
    if (way != 1)
        hooks_shorten(1);
    if (way != 0)
        hooks_interrupt(7);
}

static void *write_everything(void *arg)
{
    tcpx_conn *c = arg;
    unsigned char *data = malloc(SIZE);
    struct iovec parts[50];
    size_t done = 0;
    ssize_t n;

    fill_pattern(data, SIZE, 0);
    ck_ok(tcpx_writen(c, data, SIZE, &done, soon()));
    ck_assert_uint_eq(done, SIZE);
    for (size_t i = 0; i < 50; i++)
        parts[i] = (struct iovec){data + i * (SIZE / 50), SIZE / 50};
    ck_ok(tcpx_writev(c, parts, 50, &done, soon()));
    ck_assert_uint_eq(done, SIZE);
    for (size_t sent = 0; sent < 100; sent += (size_t)n)
        n = ck_ok(tcpx_write(c, data + sent, 100 - sent, soon()));
    ck_ok(tcpx_printf(c, &done, soon(), "%s %d\r\n", "line", 42));
    ck_assert_uint_eq(done, 9);
    ck_ok(tcpx_write_frame(c, NULL, data, 1000, &done, soon()));
    ck_assert_uint_eq(done, 1004);
    ck_ok(tcpx_flush(c, soon()));
    ck_ok(tcpx_half_close(c));
    ck_assert_uint_eq(tcpx_conn_bytes_written(c), 2 * SIZE + 100 + 9 + 1004);
    free(data);
    return NULL;
}

static void read_everything(tcpx_conn *c)
{
    unsigned char *want = malloc(SIZE);
    unsigned char *got = malloc(SIZE);
    size_t done;
    ssize_t n;

    ck_assert_ptr_nonnull(want);
    ck_assert_ptr_nonnull(got);
    fill_pattern(want, SIZE, 0);
    ck_ok(tcpx_readn(c, got, SIZE, &done, soon()));
    ck_assert_uint_eq(done, SIZE);
    ck_assert_mem_eq(got, want, SIZE);
    memset(got, 0, SIZE);
    for (size_t have = 0; have < SIZE; have += (size_t)n)
        n = ck_ok(tcpx_read(c, got + have, SIZE - have, soon()));
    ck_assert_mem_eq(got, want, SIZE);
    ck_assert_int_eq(tcpx_peek(c, got, 1, soon()), 1);
    ck_assert_int_eq(got[0], want[0]);
    ck_ok(tcpx_readn(c, got, 100, NULL, soon()));
    ck_assert_mem_eq(got, want, 100);
    ck_assert_int_eq(tcpx_readline(c, (char *)got, 100, soon()), 7);
    ck_assert_str_eq((char *)got, "line 42");
    ck_assert_int_eq(tcpx_read_frame(c, NULL, got, SIZE, soon()), 1000);
    ck_assert_mem_eq(got, want, 1000);
    ck_assert_int_eq(tcpx_read(c, got, 1, soon()), 0);
    ck_assert_uint_eq(tcpx_conn_bytes_read(c), 2 * SIZE + 100 + 9 + 1004);
    free(want);
    free(got);
}

START_TEST(what_arrives_does_not_depend_on_how_it_was_cut)
{
    struct pair p = pair_open(_i / WAYS);
    struct call call = {.kind = CALL_CLOSE, .c = p.b};
    pthread_t thread;

    disturb(_i % WAYS);
    thread = start_thread(write_everything, p.a);
    read_everything(p.b);
    end_thread(thread);
    ck_assert_uint_gt(hooks_struck(), 20);
    call.deadline = soon();
    call_begin(&call);
    ck_ok(tcpx_close(p.a, soon()));
    ck_ok(call_end(&call));
    hooks_off();
}
END_TEST

START_TEST(interrupts_neither_end_a_wait_nor_stretch_it)
{
    struct call call = {.kind = (enum call_kind)(_i % CALL_CLOSE)};
    int peer;

    call.c = conn_open(_i / CALL_CLOSE, &peer);
    call.len = (size_t)16 << 20;
    if (call.kind == CALL_FLUSH && _i / CALL_CLOSE == PAIR_UNIX) {
        tcpx_abort(call.c); /* which has nothing to wait for */
        close(peer);
        return;
    }
    narrow(peer);
    if (call.kind == CALL_FLUSH)
        fill_up(call.c);
    hooks_on();
    hooks_interrupt(10);
    call.deadline = tcpx_after(50 * TCPX_MSEC);
    ck_fails(call_make(&call), TCPX_EDEADLINE);
    ck_assert_int_ge(call.ended, call.deadline);
    ck_assert_int_lt(call.ended, call.deadline + 2 * TCPX_SEC);
    hooks_off();
    tcpx_abort(call.c);
    close(peer);
}
END_TEST

START_TEST(an_interrupted_sleep_goes_on)
{
    tcpx_time deadline;

    hooks_on();
    hooks_interrupt(10);
    deadline = tcpx_after(20 * TCPX_MSEC);
    ck_ok(tcpx_sleep(deadline));
    ck_assert_int_ge(tcpx_now(), deadline);
    ck_assert_uint_gt(hooks_struck(), 0);
    hooks_off();
}
END_TEST

static void fill_short(TCase *tc)
{
    tcase_add_loop_test(tc, what_arrives_does_not_depend_on_how_it_was_cut, 0,
                        PAIRS * WAYS);
    tcase_add_loop_test(tc, interrupts_neither_end_a_wait_nor_stretch_it, 0,
                        PAIRS * CALL_CLOSE);
    tcase_add_test(tc, an_interrupted_sleep_goes_on);
}

const struct test_case test_cases[] = {
    {"short-io", "short-io", fill_short},
    {NULL, NULL, NULL},
};
