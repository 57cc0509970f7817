/* SPDX-License-Identifier: MIT */
/*
 * t_info.c - what the kernel knows of a connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "network.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static tcpx_conn_information info_of(const tcpx_conn *c)
{
    tcpx_conn_information info;

    memset(&info, 0xff, sizeof(info));
    ck_ok(tcpx_conn_info(c, &info));
    for (size_t i = 0; i < sizeof(info.reserved) / 8; i++)
        ck_assert_uint_eq(info.reserved[i], 0);
    return info;
}

START_TEST(a_fresh_connection_is_described)
{
    struct pair p = pair_open(_i);
    tcpx_conn_information info = info_of(p.a);

    ck_assert_uint_eq(info.state, 1);
    ck_assert_uint_gt(info.rtt, 0);
    ck_assert_uint_lt(info.rtt, (uint64_t)TCPX_SEC);
    ck_assert_uint_eq(info.rtt % TCPX_USEC, 0);
    ck_assert_uint_gt(info.rtt_variation, 0);
    ck_assert_uint_le(info.rtt_min, info.rtt);
    ck_assert_uint_gt(info.send_mss, 500);
    ck_assert_uint_gt(info.receive_mss, 0);
    ck_assert_uint_ge(info.path_mtu, info.send_mss);
    ck_assert_uint_ge(info.congestion_window, info.send_mss);
    ck_assert_uint_eq(info.congestion_window % info.send_mss, 0);
    ck_assert_uint_gt(info.peer_window, 1000);
    /* Nothing was said yet, whatever the SYN counts as. */
    ck_assert_uint_eq(info.bytes_acknowledged, 0);
    ck_assert_uint_eq(info.bytes_received, 0);
    ck_assert_uint_eq(info.unacknowledged, 0);
    ck_assert_uint_eq(info.unread, 0);
    ck_assert_uint_eq(info.retransmits, 0);
    ck_assert_uint_eq(info.lost, 0);
    ck_assert_uint_lt(info.idle_sent, 30 * (uint64_t)TCPX_SEC);
    pair_end(&p);
}
END_TEST

START_TEST(bytes_are_counted_without_syn_and_fin)
{
    struct pair p = pair_open(_i);
    char buf[100];

    memset(buf, 'x', sizeof(buf));
    ck_ok(tcpx_writen(p.a, buf, 100, NULL, soon()));
    ck_ok(tcpx_flush(p.a, soon()));
    ck_assert_uint_eq(info_of(p.a).bytes_acknowledged, 100);
    ck_assert_uint_eq(info_of(p.a).unacknowledged, 0);
    ck_assert_uint_gt(info_of(p.a).segments_sent, 0);
    ck_assert_uint_eq(info_of(p.b).bytes_received, 100);
    ck_assert_uint_gt(info_of(p.b).segments_received, 0);
    ck_assert_uint_eq(info_of(p.b).unread, 100);
    ck_ok(tcpx_readn(p.b, buf, 40, NULL, soon()));
    ck_assert_uint_eq(info_of(p.b).unread, 60);
    ck_ok(tcpx_half_close(p.a));
    ck_ok(tcpx_readn(p.b, buf, 60, NULL, soon()));
    ck_assert_int_eq(tcpx_read(p.b, buf, 1, soon()), 0);
    ck_ok(tcpx_flush(p.a, soon()));
    ck_assert_uint_eq(info_of(p.a).state, 5);
    ck_assert_uint_eq(info_of(p.b).state, 8);
    ck_assert_uint_eq(info_of(p.a).bytes_acknowledged, 100);
    ck_assert_uint_eq(info_of(p.a).unacknowledged, 0);
    ck_assert_uint_eq(info_of(p.b).bytes_received, 100);
    ck_ok(tcpx_writen(p.b, "back", 4, NULL, soon()));
    ck_ok(tcpx_half_close(p.b));
    ck_ok(tcpx_readn(p.a, buf, 4, NULL, soon()));
    ck_assert_int_eq(tcpx_read(p.a, buf, 1, soon()), 0);
    ck_ok(tcpx_flush(p.b, soon()));
    ck_assert_uint_eq(info_of(p.a).bytes_received, 4);
    ck_assert_uint_eq(info_of(p.b).bytes_acknowledged, 4);
    pair_end(&p);
}
END_TEST

START_TEST(what_a_peer_does_not_read_adds_up)
{
    struct pair p = pair_open(_i);
    char *data = calloc(1, 1 << 20);
    tcpx_conn_information a;
    tcpx_conn_information b;

    ck_assert_ptr_nonnull(data);
    narrow(tcpx_conn_fd(p.a));
    narrow(tcpx_conn_fd(p.b));
    ck_fails(tcpx_writen(p.a, data, 1 << 20, NULL, tcpx_after(50 * TCPX_MSEC)),
             TCPX_EDEADLINE);
    a = info_of(p.a);
    b = info_of(p.b);
    ck_assert_uint_gt(a.unacknowledged, 0);
    ck_assert_uint_gt(b.unread, 0);
    ck_assert_uint_ge(a.bytes_acknowledged + a.unacknowledged,
                      tcpx_conn_bytes_written(p.a));
    ck_assert_uint_eq(b.unread, b.bytes_received);
    ck_assert_uint_gt(a.busy, 0);
    free(data);
    pair_end(&p);
}
END_TEST

START_TEST(what_the_library_holds_is_told)
{
    struct pair p = pair_open(_i);
    char *text = malloc(1 << 20);
    size_t done;
    char buf[8];

    ck_assert_ptr_nonnull(text);
    memset(text, 'x', (1 << 20) - 1);
    text[(1 << 20) - 1] = '\0';
    ck_ok(tcpx_writen(p.b, "line\nrest", 9, NULL, soon()));
    ck_assert_int_eq(tcpx_readline(p.a, buf, 8, soon()), 4);
    ck_assert_uint_eq(info_of(p.a).buffered, 4);
    ck_assert_uint_eq(info_of(p.a).unread, 0);
    ck_ok(tcpx_readn(p.a, buf, 4, NULL, soon()));
    ck_assert_uint_eq(info_of(p.a).buffered, 0);

    narrow(tcpx_conn_fd(p.a));
    narrow(tcpx_conn_fd(p.b));
    ck_fails(tcpx_printf(p.a, &done, TCPX_NOW, "%s", text), TCPX_EDEADLINE);
    ck_assert_uint_eq(info_of(p.a).kept, (1 << 20) - 1 - done);
    while (tcpx_flush(p.a, TCPX_NOW) == TCPX_EDEADLINE)
        ck_ok(tcpx_read(p.b, text, 1 << 20, soon()));
    ck_assert_uint_eq(info_of(p.a).kept, 0);
    free(text);
    pair_end(&p);
}
END_TEST

START_TEST(a_unix_socket_has_nothing_of_tcp)
{
    struct pair p = pair_open(PAIR_UNIX);
    tcpx_conn_information expected = {.unread = 5};
    tcpx_conn_information info;

    ck_ok(tcpx_writen(p.a, "12345", 5, NULL, soon()));
    info = info_of(p.b);
    ck_assert_mem_eq(&info, &expected, sizeof(info));
    expected.unread = 0;
    info = info_of(p.a);
    ck_assert_mem_eq(&info, &expected, sizeof(info));
    pair_end(&p);
}
END_TEST

START_TEST(a_closed_connection_is_not_described)
{
    struct pair p = pair_open(_i);
    tcpx_conn_information expected = {0};
    tcpx_conn_information info;

    tcpx_conn_ref(p.a);
    ck_ok(tcpx_writen(p.b, "x", 1, NULL, soon()));
    tcpx_abort(p.a);
    info = info_of(p.a);
    ck_assert_mem_eq(&info, &expected, sizeof(info));
    ck_assert_int_eq(tcpx_conn_has(p.a, TCPX_HAS_FASTOPEN), 0);
    tcpx_conn_unref(p.a);
    p.a = NULL;
    pair_end(&p);
}
END_TEST

START_TEST(nobody_has_nothing)
{
    struct pair p = pair_open(PAIR_UNIX);
    tcpx_conn_information info;

    memset(&info, 0x55, sizeof(info));
    ck_fails(tcpx_conn_info(NULL, &info), -EINVAL);
    ck_assert_uint_eq(info.state, UINT64_C(0x5555555555555555));
    ck_fails(tcpx_conn_info(p.a, NULL), -EINVAL);
    ck_assert_int_eq(tcpx_conn_has(NULL, TCPX_HAS_MPTCP), 0);
    pair_end(&p);
}
END_TEST

static void fill_info(TCase *tc)
{
    tcase_add_loop_test(tc, a_fresh_connection_is_described, PAIR_SHARED,
                        PAIRS);
    tcase_add_loop_test(tc, bytes_are_counted_without_syn_and_fin, PAIR_SHARED,
                        PAIRS);
    tcase_add_loop_test(tc, what_a_peer_does_not_read_adds_up, PAIR_SHARED,
                        PAIRS);
    tcase_add_loop_test(tc, what_the_library_holds_is_told, 0, PAIRS);
    tcase_add_test(tc, a_unix_socket_has_nothing_of_tcp);
    tcase_add_loop_test(tc, a_closed_connection_is_not_described, 0, PAIRS);
    tcase_add_test(tc, nobody_has_nothing);
}

struct watched {
    tcpx_conn *c;
    _Atomic int over;
};

static void *watch(void *arg)
{
    struct watched *w = arg;

    while (!atomic_load(&w->over)) {
        tcpx_conn_information info = info_of(w->c);

        ck_assert_uint_le(info.buffered, 65536);
        ck_assert_uint_le(info.kept, 65536);
        ck_assert_int_eq(tcpx_conn_has(w->c, TCPX_HAS_MPTCP), 0);
    }
    return NULL;
}

START_TEST(another_task_may_watch_while_one_reads_and_writes)
{
    struct pair p = pair_open(_i);
    struct watched w = {.c = p.a};
    pthread_t thread = start_thread(watch, &w);
    char line[16];

    for (int i = 0; i < 2000; i++) {
        ck_ok(tcpx_printf(p.b, NULL, soon(), "%d\nmore\n", i));
        ck_ok(tcpx_readline(p.a, line, sizeof(line), soon()));
        ck_assert_int_eq(atoi(line), i);
        ck_ok(tcpx_printf(p.a, NULL, soon(), "%d\n", i));
        ck_ok(tcpx_readline(p.a, line, sizeof(line), soon()));
        ck_ok(tcpx_readline(p.b, line, sizeof(line), soon()));
    }
    atomic_store(&w.over, 1);
    end_thread(thread);
    pair_end(&p);
}
END_TEST

static void fill_watching(TCase *tc)
{
    tcase_add_loop_test(tc, another_task_may_watch_while_one_reads_and_writes,
                        0, PAIRS);
}

/* ---- tcpx_conn_has() --------------------------------------------------- */

static struct pair adopt_both(int fd[2])
{
    struct pair p = {NULL, NULL};

    ck_ok(tcpx_conn_adopt(&p.a, fd[0], NULL));
    ck_ok(tcpx_conn_adopt(&p.b, fd[1], NULL));
    return p;
}

/* A client and what its server accepts, of those protocols; returns 0 if this
   kernel does not make them. */
static int connect_by(int client, int server, int fd[2])
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof(sin);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, server);

    if (listener < 0)
        return 0;
    fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, client);
    ck_assert_int_ge(fd[0], 0);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&sin, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
    ck_assert_int_eq(connect(fd[0], (struct sockaddr *)&sin, len), 0);
    fd[1] = raw_accept(listener);
    close(listener);
    return 1;
}

static int makes_mptcp(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

    if (fd < 0)
        return 0;
    close(fd);
    return 1;
}

START_TEST(mptcp_is_told_where_both_ends_speak_it)
{
    struct pair p;
    char buf[4];
    int fd[2];

    if (!makes_mptcp())
        skip_test("this kernel makes no MPTCP socket");
    ck_assert_int_eq(connect_by(IPPROTO_MPTCP, IPPROTO_MPTCP, fd), 1);
    p = adopt_both(fd);
    ck_ok(tcpx_writen(p.a, "ping", 4, NULL, soon()));
    ck_ok(tcpx_readn(p.b, buf, 4, NULL, soon()));
    ck_assert_int_eq(tcpx_conn_has(p.a, TCPX_HAS_MPTCP), 1);
    ck_assert_int_eq(tcpx_conn_has(p.b, TCPX_HAS_MPTCP), 1);
    ck_assert_int_eq(tcpx_conn_has(p.a, TCPX_HAS_MPTCP | TCPX_HAS_FASTOPEN), 0);
    ck_assert_uint_eq(info_of(p.a).state, 1);
    pair_end(&p);
}
END_TEST

START_TEST(mptcp_that_fell_back_is_told)
{
    struct pair p;
    char buf[4];
    int fd[2];

    if (!makes_mptcp())
        skip_test("this kernel makes no MPTCP socket");
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(
            connect_by(i ? IPPROTO_MPTCP : 0, i ? 0 : IPPROTO_MPTCP, fd), 1);
        p = adopt_both(fd);
        ck_assert_int_eq(tcpx_conn_has(p.a, TCPX_HAS_MPTCP), 0);
        ck_assert_int_eq(tcpx_conn_has(p.b, TCPX_HAS_MPTCP), 0);
        /* Nothing was sent, whatever the kernel counts. */
        ck_assert_uint_eq(info_of(p.a).unacknowledged, 0);
        ck_ok(tcpx_flush(p.a, soon()));
        ck_ok(tcpx_flush(p.b, soon()));
        ck_ok(tcpx_writen(p.a, "ping", 4, NULL, soon()));
        ck_ok(tcpx_readn(p.b, buf, 4, NULL, soon()));
        ck_assert_int_eq(tcpx_conn_has(p.a, TCPX_HAS_MPTCP), 0);
        ck_assert_int_eq(tcpx_conn_has(p.b, TCPX_HAS_MPTCP), 0);
        pair_end(&p);
    }
}
END_TEST

START_TEST(a_plain_connection_has_none_of_it)
{
    struct pair p = pair_open(_i);

    ck_assert_int_eq(tcpx_conn_has(p.a, TCPX_HAS_MPTCP), 0);
    ck_assert_int_eq(tcpx_conn_has(p.a, TCPX_HAS_FASTOPEN), 0);
    ck_assert_int_eq(tcpx_conn_has(p.a, 0), 0);
    ck_assert_int_eq(tcpx_conn_has(p.a, 0x80000000u), 0);
    pair_end(&p);
}
END_TEST

/* Connects with the first bytes in the SYN, if the kernel has the cookie. */
static int connect_fast(const struct sockaddr_in *sin)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)sendto(fd, "fast", 4, MSG_FASTOPEN,
                                 (const struct sockaddr *)sin, sizeof(*sin)),
                     4);
    return fd;
}

static int allow_fastopen(void)
{
    int fd = open("/proc/sys/net/ipv4/tcp_fastopen", O_WRONLY);
    int ok = fd >= 0 && write(fd, "3\n", 2) == 2;

    close(fd);
    return ok;
}

START_TEST(fast_open_is_told_once_it_happened)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof(sin);
    const char *why = enter_network();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int queue = 8;
    struct pair p;
    char buf[4];
    int fd[2];

    if (!why && !allow_fastopen())
        why = "tcp_fastopen cannot be set";
    if (why) {
        close(listener);
        skip_test("%s", why);
    }
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&sin, len), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
    ck_assert_int_eq(
        setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)),
        0);
    ck_assert_int_eq(listen(listener, 8), 0);
    /* The first connection gets the cookie, the second uses it. */
    for (int round = 0; round < 2; round++) {
        fd[0] = connect_fast(&sin);
        fd[1] = raw_accept(listener);
        p = adopt_both(fd);
        ck_ok(tcpx_readn(p.b, buf, 4, NULL, soon()));
        ck_assert_mem_eq(buf, "fast", 4);
        ck_ok(tcpx_flush(p.a, soon()));
        ck_assert_int_eq(tcpx_conn_has(p.a, TCPX_HAS_FASTOPEN), round);
        ck_assert_int_eq(tcpx_conn_has(p.b, TCPX_HAS_FASTOPEN), round);
        ck_assert_uint_eq(info_of(p.a).bytes_acknowledged, 4);
        pair_end(&p);
    }
    close(listener);
}
END_TEST

static void fill_features(TCase *tc)
{
    tcase_add_test(tc, mptcp_is_told_where_both_ends_speak_it);
    tcase_add_test(tc, mptcp_that_fell_back_is_told);
    tcase_add_loop_test(tc, a_plain_connection_has_none_of_it, 0, PAIRS);
}

static void fill_fastopen(TCase *tc)
{
    tcase_add_test(tc, fast_open_is_told_once_it_happened);
}

const struct test_case test_cases[] = {
    {"info", "info", fill_info},
    {"info", "watching", fill_watching},
    {"info", "features", fill_features},
    {"info", "fastopen", fill_fastopen},
    {NULL, NULL, NULL},
};
