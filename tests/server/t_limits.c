/* SPDX-License-Identifier: MIT */
/*
 * t_limits.c - how long a client may take, whatever its handler waits in.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "runner.h"
#include "server/serving.h"

START_TEST(a_client_that_says_nothing_first_is_ended)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    int fd;

    o.first_byte = 50 * TCPX_MSEC;
    serve(&s, echo_handler, NULL, &o);
    fd = client_of(&s);
    ck_assert(!ends_cleanly(fd));
    leave(fd);
    await_count(&s, limited, 1);
    ck_ok(stop_serving(&s));
    ck_assert_int_eq(atomic_load(&events.error), TCPX_ELIMIT);
    end_serving(&s);
}
END_TEST

/* Reads only after several times the limit. */
static void read_late(tcpx_conn *c, void *arg)
{
    ck_assert_int_eq(tcpx_sleep(tcpx_after(300 * TCPX_MSEC)), 0);
    echo_handler(c, arg);
}

START_TEST(a_client_that_has_spoken_is_not_ended_because_its_handler_is_slow)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;

    o.first_byte = 50 * TCPX_MSEC;
    serve(&s, read_late, NULL, &o);
    expect_echo(client_of(&s), "in time");
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

/* At a stop clients are accepted before there is a worker for them. */
START_TEST(a_client_that_waits_for_a_worker_is_not_ended)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(POOL, &events);
    struct serving s;
    int gate = new_gate();
    int fds[4];

    o.workers = 1;
    o.first_byte = 50 * TCPX_MSEC;
    prepare(&s, gated_handler, &gate, &o);
    for (int i = 0; i < 4; i++) {
        fds[i] = client_of(&s);
        raw_send(fds[i], "patient", 7);
    }
    tcpx_server_stop(s.server);
    start_serving(&s);
    await_count(&s, active, 4);
    tcpx_sleep(tcpx_after(4 * o.first_byte)); /* the limit passes */
    open_gate(gate);
    for (int i = 0; i < 4; i++) {
        char got[8];

        ck_assert_int_eq(shutdown(fds[i], SHUT_WR), 0);
        ck_assert_uint_eq(raw_recv(fds[i], got, sizeof(got)), 7);
        leave(fds[i]);
    }
    end_thread(s.thread);
    ck_ok(s.result);
    ck_assert_uint_eq(end_serving(&s).closed, 4);
    close(gate);
}
END_TEST

/* Ways to wait for ever; each is to end with TCPX_ELIMIT. */

static void wait_in_read(tcpx_conn *c)
{
    char byte;

    ck_fails(tcpx_read(c, &byte, 1, TCPX_FOREVER), TCPX_ELIMIT);
}

static void wait_in_write(tcpx_conn *c)
{
    static char much[1 << 20];
    int err;

    do
        err = tcpx_writen(c, much, sizeof(much), NULL, TCPX_FOREVER);
    while (err == 0);
    ck_fails(err, TCPX_ELIMIT);
}

static void wait_in_sleep(tcpx_conn *c)
{
    (void)c;
    ck_fails(tcpx_sleep(TCPX_FOREVER), TCPX_ELIMIT);
}

static void wait_in_queue(tcpx_conn *c)
{
    tcpx_queue *q;
    void *item;

    (void)c;
    ck_ok(tcpx_queue_create(&q, 1, NULL));
    ck_fails(tcpx_queue_get(q, &item, TCPX_FOREVER), TCPX_ELIMIT);
    ck_ok(tcpx_queue_free(q));
}

static void wait_in_wait(tcpx_conn *c)
{
    tcpx_queue *q;
    tcpx_waitfor items[1];

    (void)c;
    ck_ok(tcpx_queue_create(&q, 1, NULL));
    items[0] = (tcpx_waitfor)TCPX_ON_QUEUE(q, TCPX_READABLE);
    ck_fails(tcpx_wait(items, 1, TCPX_FOREVER), TCPX_ELIMIT);
    ck_ok(tcpx_queue_free(q));
}

/* A listener whose queue is full lets nobody connect. */
static void wait_in_connect(tcpx_conn *c)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof(sin);
    int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tcpx_conn *out[4] = {NULL};
    char address[32];
    int err = 0;

    (void)c;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(full, (struct sockaddr *)&sin, sizeof(sin)), 0);
    ck_assert_int_eq(listen(full, 0), 0);
    ck_assert_int_eq(getsockname(full, (struct sockaddr *)&sin, &len), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(sin.sin_port));
    for (int i = 0; i < 4 && !err; i++)
        err = tcpx_connect(&out[i], address, NULL, TCPX_FOREVER);
    ck_fails(err, TCPX_ELIMIT);
    for (int i = 0; i < 4; i++)
        tcpx_abort(out[i]);
    close(full);
}

static void (*const waits[])(tcpx_conn *) = {wait_in_read,  wait_in_write,
                                             wait_in_sleep, wait_in_queue,
                                             wait_in_wait,  wait_in_connect};
#define WAITS ((int)(sizeof(waits) / sizeof(waits[0])))

static void wait_somehow(tcpx_conn *c, void *arg)
{
    waits[*(int *)arg](c);
}

START_TEST(a_limit_ends_every_kind_of_wait)
{
    struct events events = {.error = 0};
    int how = _i % WAITS;
    tcpx_server_opts o = telling_opts(_i / WAITS, &events);
    struct serving s;
    int fd;

    o.lifetime = 100 * TCPX_MSEC;
    serve(&s, wait_somehow, &how, &o);
    fd = client_of(&s);
    await_count(&s, limited, 1);
    ck_assert(!ends_cleanly(fd));
    leave(fd);
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).limited, 1);
    ck_assert_int_eq(atomic_load(&events.reason), 0); /* no crash of a child */
}
END_TEST

static void say_bye(tcpx_conn *c, void *arg)
{
    (void)arg;
    ck_ok(tcpx_writen(c, "bye", 3, NULL, TCPX_FOREVER));
}

/* The limit strikes while the server waits for the client's end. */
START_TEST(a_limit_that_strikes_after_the_handler_ends_only_its_client)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    char got[4];
    int fd;

    o.lifetime = 100 * TCPX_MSEC;
    o.close_idle = o.close_total = _i >= POOL ? 100 * TCPX_MSEC : 0;
    serve(&s, say_bye, NULL, &o);
    fd = client_of(&s);
    ck_assert_uint_eq(raw_recv(fd, got, sizeof(got)), 3);
    if (_i >= POOL)
        await_count(&s, expired, 1);
    else
        await_count(&s, limited, 1);
    leave(fd);
    fd = client_of(&s);
    ck_assert_uint_eq(raw_recv(fd, got, sizeof(got)), 3);
    leave(fd);
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

static void trickle(tcpx_conn *c, void *arg)
{
    (void)arg;
    for (int i = 0; i < 8; i++) {
        tcpx_sleep(tcpx_after(50 * TCPX_MSEC));
        ck_ok(tcpx_writen(c, "x", 1, NULL, TCPX_FOREVER));
    }
}

START_TEST(a_byte_now_and_then_is_not_idle)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;
    int fd;

    o.idle = 250 * TCPX_MSEC;
    serve(&s, trickle, NULL, &o);
    fd = client_of(&s);
    ck_assert(ends_cleanly(fd));
    leave(fd);
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

static void fill_times(TCase *tc)
{
    tcase_add_loop_test(tc, a_client_that_says_nothing_first_is_ended, 0,
                        MODELS);
    tcase_add_loop_test(
        tc, a_client_that_has_spoken_is_not_ended_because_its_handler_is_slow,
        0, MODELS);
    tcase_add_test(tc, a_client_that_waits_for_a_worker_is_not_ended);
    tcase_add_loop_test(
        tc, a_limit_that_strikes_after_the_handler_ends_only_its_client, 0,
        MODELS);
    tcase_add_loop_test(tc, a_byte_now_and_then_is_not_idle, 0, MODELS);
}

static void fill_waits(TCase *tc)
{
    tcase_add_loop_test(tc, a_limit_ends_every_kind_of_wait, 0, MODELS * WAITS);
}

const struct test_case test_cases[] = {
    {"limits", "times", fill_times},
    {"limits", "waits", fill_waits},
    {NULL, NULL, NULL},
};
