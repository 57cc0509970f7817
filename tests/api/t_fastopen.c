/* SPDX-License-Identifier: MIT */
/*
 * t_fastopen.c - connects whose SYN is put off until there is data for it.
 *
 * With a cookie of the server at hand connect(2) succeeds and sends nothing.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <time.h>
#include <unistd.h>
#include "firewall.h"
#include "peers.h"
#include "runner.h"
#include "support.h"

static tcpx_conn *c;

/* ---- Data for the SYN ---------------------------------------------------- */

static int sent_with_the_syn(void)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);

    memset(&info, 0, sizeof(info));
    ck_assert_int_eq(
        getsockopt(tcpx_conn_fd(c), IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return (info.tcpi_options & TCPI_OPT_SYN_DATA) != 0;
}

/* One request and answer; the answer shows that the request was acknowledged.
 */
static void exchange(int listener, int with_the_syn)
{
    char byte = 0;
    int peer;

    ck_assert_int_eq((int)tcpx_write(c, "q", 1, soon()), 1);
    peer = raw_accept(listener);
    ck_assert_uint_eq(raw_recv(peer, &byte, 1), 1);
    raw_send(peer, "a", 1);
    ck_assert_int_eq((int)tcpx_read(c, &byte, 1, soon()), 1);
    ck_assert_int_eq(sent_with_the_syn(), with_the_syn);
    check_works(c, peer);
}

static int listen_fast(void)
{
    int listener;
    int queue = 8;

    shell("sysctl -qw net.ipv4.tcp_fastopen=3");
    listener = listen_in(AF_INET);
    ck_assert_int_eq(
        setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)),
        0);
    return listener;
}

static void connect_fast(void)
{
    ck_ok(tcpx_connect(&c, "192.0.2.1:7001", TCPX_CONNECT(.fastopen = 1),
                       soon()));
}

/* A listener whose cookie is known, and a connection whose SYN is put off. */
static int put_off(void)
{
    int listener = listen_fast();
    long before;

    connect_fast();
    exchange(listener, 0);
    before = syns(AF_INET);
    connect_fast();
    ck_assert_int_eq(syns(AF_INET), before);
    ck_assert_int_eq(tcpx_conn_state(c), TCPX_STATE_CONNECTING);
    return listener;
}

/* Waits for c: what it is ready for. */
static int wait_for(uint32_t want, tcpx_time deadline)
{
    tcpx_waitfor item = TCPX_ON_CONN(c, want);
    int rc = tcpx_wait(&item, 1, deadline);

    return rc < 0 ? rc : (int)item.got;
}

/* The handshake takes a second from now on: its first packet is lost. */
static void lose_the_syn(void)
{
    shell("nft insert rule inet t in tcp dport %d "
          "limit rate 1/hour burst 1 packets drop",
          PORT);
}

/* What the server gets from a client, to the end. */
static void expect_whole(int listener, const char *expected)
{
    char buf[64] = "";
    int peer = raw_accept(listener);

    ck_assert_uint_eq(raw_recv(peer, buf, sizeof(buf)), strlen(expected));
    ck_assert_str_eq(buf, expected);
    close(peer);
}

START_TEST(fast_open_sends_with_the_syn_from_the_second_time_on)
{
    int listener;

    FIREWALL();
    listener = listen_fast();
    connect_fast(); /* gets the server's cookie */
    exchange(listener, 0);
    connect_fast();
    ck_assert_str_eq(tcpx_conn_peer(c), "192.0.2.1:7001");
    exchange(listener, 1);
    close(listener);
}
END_TEST

START_TEST(fast_open_whose_cookie_is_lost_in_between_goes_on_as_usual)
{
    int listener;

    FIREWALL();
    listener = listen_fast();
    connect_fast();
    exchange(listener, 0);
    connect_fast();
    /* The connect has counted on the cookie; the write finds none. */
    shell("ip tcp_metrics flush 2>/dev/null >&2");
    exchange(listener, 0);
    close(listener);
}
END_TEST

START_TEST(fast_open_to_a_server_that_is_gone_is_told_by_the_write)
{
    int listener;

    FIREWALL();
    listener = listen_fast();
    connect_fast();
    exchange(listener, 0);
    close(listener);
    connect_fast();
    /* The kernel takes the byte, and learns from the answer to it. */
    for (int err = 1; err > 0;) {
        const struct timespec pause = {0, 1000000};

        err = (int)tcpx_write(c, "q", 1, soon());
        if (err < 0)
            ck_fails(err, -ECONNREFUSED);
        nanosleep(&pause, NULL);
    }
    tcpx_abort(c);
}
END_TEST

static void fill_data(TCase *tc)
{
    tcase_add_test(tc, fast_open_sends_with_the_syn_from_the_second_time_on);
    tcase_add_test(tc,
                   fast_open_whose_cookie_is_lost_in_between_goes_on_as_usual);
    tcase_add_test(tc, fast_open_to_a_server_that_is_gone_is_told_by_the_write);
}

/* ---- Whoever does not write first ---------------------------------------- */

START_TEST(a_client_that_reads_first_reaches_the_server)
{
    char buf[8] = "";
    int listener;
    int peer;

    FIREWALL();
    listener = put_off();
    ck_fails(tcpx_read(c, buf, sizeof(buf), TCPX_NOW), TCPX_EDEADLINE);
    peer = raw_accept(listener);
    raw_send(peer, "220 hi\n", 7);
    ck_assert_int_eq(tcpx_readline(c, buf, sizeof(buf), soon()), 6);
    ck_assert_int_eq(tcpx_conn_state(c), 0);
    check_works(c, peer);
    close(listener);
}
END_TEST

START_TEST(a_client_that_waits_to_read_reaches_the_server)
{
    int listener;
    int peer;

    FIREWALL();
    listener = put_off();
    ck_fails(wait_for(TCPX_READABLE, TCPX_NOW), TCPX_EDEADLINE);
    peer = raw_accept(listener);
    raw_send(peer, "x", 1);
    ck_assert_int_eq(wait_for(TCPX_READABLE, soon()), TCPX_READABLE);
    tcpx_abort(c);
    close(peer);
    close(listener);
}
END_TEST

START_TEST(a_client_that_waits_to_write_can_at_once_and_with_the_syn)
{
    int listener;

    FIREWALL();
    listener = put_off();
    ck_assert_int_eq(wait_for(TCPX_READABLE | TCPX_WRITABLE, soon()),
                     TCPX_WRITABLE);
    exchange(listener, 1);
    close(listener);
}
END_TEST

START_TEST(a_client_that_half_closes_first_reaches_the_server)
{
    char byte;
    int listener;

    FIREWALL();
    listener = put_off();
    lose_the_syn(); /* for a half-close does not wait for the handshake */
    ck_fails(tcpx_half_close(c), TCPX_EDEADLINE);
    ck_ok(tcpx_flush(c, soon()));
    ck_ok(tcpx_half_close(c));
    expect_whole(listener, "");
    ck_assert_int_eq((int)tcpx_read(c, &byte, 1, soon()), 0);
    ck_ok(tcpx_close(c, soon()));
    close(listener);
}
END_TEST

START_TEST(a_client_that_flushes_first_reaches_the_server)
{
    int listener;

    FIREWALL();
    listener = put_off();
    ck_ok(tcpx_flush(c, soon()));
    check_works(c, raw_accept(listener));
    close(listener);
}
END_TEST

static int listening;

static void *serve(void *expected)
{
    expect_whole(listening, expected);
    return NULL;
}

START_TEST(a_client_that_closes_first_reaches_the_server)
{
    pthread_t server;

    FIREWALL();
    listening = put_off();
    server = start_thread(serve, "");
    ck_ok(tcpx_close(c, soon()));
    end_thread(server);
    close(listening);
}
END_TEST

START_TEST(a_descriptor_that_is_released_reaches_the_server)
{
    char byte = 0;
    int listener;
    int peer;
    int fd;

    FIREWALL();
    listener = put_off();
    ck_ok(tcpx_conn_release(c, &fd, NULL, 0, NULL));
    peer = raw_accept(listener);
    raw_send(peer, "x", 1);
    ck_assert_uint_eq(raw_recv(fd, &byte, 1), 1);
    close(fd);
    close(peer);
    close(listener);
}
END_TEST

static void *relay_it(void *other)
{
    return (void *)(intptr_t)tcpx_relay(other, c, NULL, soon());
}

START_TEST(a_relay_to_a_server_that_speaks_first_reaches_it)
{
    tcpx_conn *pair[2];
    pthread_t relay;
    char byte;
    int listener;
    int peer;

    FIREWALL();
    listener = put_off();
    ck_ok(tcpx_conn_pair(pair));
    relay = start_thread(relay_it, pair[0]);
    peer = raw_accept(listener);
    raw_send(peer, "x", 1);
    ck_assert_int_eq((int)tcpx_read(pair[1], &byte, 1, soon()), 1);
    ck_ok(tcpx_half_close(pair[1]));
    ck_assert_uint_eq(raw_recv(peer, &byte, 1), 0);
    close(peer);
    ck_assert_ptr_null(end_thread(relay));
    tcpx_abort(pair[0]);
    tcpx_abort(pair[1]);
    tcpx_abort(c);
    close(listener);
}
END_TEST

START_TEST(a_file_that_is_sent_first_reaches_the_server)
{
    int64_t offset = 0;
    int listener;

    FIREWALL();
    FILE *file = tmpfile();
    listener = put_off();
    ck_assert_int_eq(fputs("file", file), 1);
    ck_assert_int_eq(fflush(file), 0);
    ck_ok(tcpx_sendfile(c, fileno(file), &offset, 4, NULL, soon()));
    ck_ok(tcpx_half_close(c));
    expect_whole(listener, "file");
    tcpx_abort(c);
    (void)fclose(file);
    close(listener);
}
END_TEST

START_TEST(a_reader_learns_that_nobody_listens)
{
    char byte;

    FIREWALL();
    close(put_off());
    ck_assert_int_eq(wait_for(TCPX_READABLE, soon()), TCPX_READABLE);
    ck_fails(tcpx_read(c, &byte, 1, soon()), -ECONNREFUSED);
    ck_fails(tcpx_write(c, "x", 1, soon()), -ECONNREFUSED);
    ck_fails(tcpx_close(c, soon()), -ECONNREFUSED);
}
END_TEST

START_TEST(an_abort_sends_nothing_at_all)
{
    long before;

    FIREWALL();
    listening = put_off();
    before = syns(AF_INET);
    tcpx_abort(c);
    let_a_syn_pass();
    ck_assert_int_eq(syns(AF_INET), before);
    close(listening);
}
END_TEST

START_TEST(of_two_paths_multipath_puts_its_syn_off_too)
{
    char byte;
    int listener;
    int peer;

    FIREWALL();
    listener = put_off();
    tcpx_abort(c);
    ck_ok(tcpx_connect(&c, "192.0.2.1:7001",
                       TCPX_CONNECT(.mptcp = 1, .fastopen = 1), soon()));
    ck_fails(tcpx_read(c, &byte, 1, TCPX_NOW), TCPX_EDEADLINE);
    peer = raw_accept(listener);
    raw_send(peer, "x", 1);
    ck_assert_int_eq((int)tcpx_read(c, &byte, 1, soon()), 1);
    check_works(c, peer);
    close(listener);
}
END_TEST

static void fill_silent(TCase *tc)
{
    tcase_add_test(tc, a_client_that_reads_first_reaches_the_server);
    tcase_add_test(tc, a_client_that_waits_to_read_reaches_the_server);
    tcase_add_test(tc,
                   a_client_that_waits_to_write_can_at_once_and_with_the_syn);
    tcase_add_test(tc, a_client_that_half_closes_first_reaches_the_server);
    tcase_add_test(tc, a_client_that_flushes_first_reaches_the_server);
    tcase_add_test(tc, a_client_that_closes_first_reaches_the_server);
    tcase_add_test(tc, a_descriptor_that_is_released_reaches_the_server);
    tcase_add_test(tc, a_relay_to_a_server_that_speaks_first_reaches_it);
    tcase_add_test(tc, a_file_that_is_sent_first_reaches_the_server);
    tcase_add_test(tc, a_reader_learns_that_nobody_listens);
    tcase_add_test(tc, an_abort_sends_nothing_at_all);
    tcase_add_test(tc, of_two_paths_multipath_puts_its_syn_off_too);
}

/* ---- In the middle of the handshake -------------------------------------- */

/* Data is on its way with the SYN, which is lost: a second is to be waited. */
static int half_way(void)
{
    int listener = put_off();

    lose_the_syn();
    ck_assert_int_eq((int)tcpx_write(c, "question", 8, soon()), 8);
    ck_assert_int_eq(tcpx_conn_state(c), TCPX_STATE_CONNECTING);
    return listener;
}

/* The kernel forgets a socket that is shut down now, and its data. */
START_TEST(a_half_close_right_after_the_question_does_not_lose_it)
{
    int listener;

    FIREWALL();
    listener = half_way();
    ck_fails(tcpx_half_close(c), TCPX_EDEADLINE);
    ck_ok(tcpx_flush(c, soon()));
    ck_ok(tcpx_half_close(c));
    expect_whole(listener, "question");
    ck_ok(tcpx_close(c, soon()));
    close(listener);
}
END_TEST

START_TEST(a_flush_right_after_the_question_waits_for_it_to_arrive)
{
    tcpx_conn_information info;
    int listener;

    FIREWALL();
    listener = half_way();
    ck_fails(tcpx_flush(c, tcpx_after(20 * TCPX_MSEC)), TCPX_EDEADLINE);
    ck_ok(tcpx_flush(c, soon()));
    ck_ok(tcpx_conn_info(c, &info));
    ck_assert_uint_eq(info.unacknowledged + info.state, 1); /* ESTABLISHED */
    tcpx_abort(c);
    close(listener);
}
END_TEST

START_TEST(a_close_right_after_the_question_delivers_it)
{
    pthread_t server;

    FIREWALL();
    listening = half_way();
    server = start_thread(serve, "question");
    ck_ok(tcpx_close(c, soon()));
    end_thread(server);
    close(listening);
}
END_TEST

START_TEST(a_second_write_waits_for_the_handshake_and_loses_nothing)
{
    int listener;

    FIREWALL();
    listener = half_way();
    ck_fails(tcpx_write(c, "s", 1, TCPX_NOW), TCPX_EDEADLINE);
    ck_ok(tcpx_writen(c, " and more", 9, NULL, soon()));
    ck_assert_int_eq(tcpx_conn_state(c), 0);
    ck_ok(tcpx_half_close(c));
    expect_whole(listener, "question and more");
    ck_assert_uint_eq(tcpx_conn_bytes_written(c), 17);
    tcpx_abort(c);
    close(listener);
}
END_TEST

static void fill_handshake(TCase *tc)
{
    tcase_add_test(tc, a_half_close_right_after_the_question_does_not_lose_it);
    tcase_add_test(tc, a_flush_right_after_the_question_waits_for_it_to_arrive);
    tcase_add_test(tc, a_close_right_after_the_question_delivers_it);
    tcase_add_test(tc,
                   a_second_write_waits_for_the_handshake_and_loses_nothing);
}

const struct test_case test_cases[] = {
    {"fastopen", "data", fill_data},
    {"fastopen", "silent", fill_silent},
    {"fastopen", "handshake", fill_handshake},
    {NULL, NULL, NULL},
};
