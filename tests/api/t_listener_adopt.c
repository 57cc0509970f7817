/* SPDX-License-Identifier: MIT */
/*
 * t_listener_adopt.c - listeners that the program was given, and groups.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "listening.h"
#include "runner.h"
#include "support.h"

static int ignore(int fd, void *arg)
{
    (void)arg;
    return fd;
}

START_TEST(a_group_with_reuse_port_shares_the_clients)
{
    const tcpx_listen_opts *opts = TCPX_LISTEN(.reuse_port = 1);
    tcpx_listener *a = listen_on("127.0.0.1:0", opts);
    tcpx_listener *b = listen_on(tcpx_listener_address(a), opts);
    int clients[32];
    int got_a = 0;
    int got_b = 0;
    tcpx_conn *c;

    for (int i = 0; i < 32; i++)
        clients[i] = raw_connect(tcpx_listener_address(a));
    for (; tcpx_accept(&c, a, TCPX_NOW) == 0; got_a++)
        tcpx_abort(c);
    for (; tcpx_accept(&c, b, TCPX_NOW) == 0; got_b++)
        tcpx_abort(c);
    ck_assert_int_eq(got_a + got_b, 32);
    /* A hash that gives all of 32 to one of two is a broken group. */
    ck_assert_int_gt(got_a, 0);
    ck_assert_int_gt(got_b, 0);
    for (int i = 0; i < 32; i++)
        close(clients[i]);
    tcpx_listener_close(a);
    tcpx_listener_close(b);
}
END_TEST

START_TEST(clients_queued_on_one_of_a_group_can_be_served_before_it_closes)
{
    const tcpx_listen_opts *opts = TCPX_LISTEN(.reuse_port = 1);
    tcpx_listener *a = listen_on("127.0.0.1:0", opts);
    tcpx_listener *b = listen_on(tcpx_listener_address(a), opts);
    int clients[20];
    tcpx_conn *c;
    char byte;

    for (int i = 0; i < 20; i++)
        clients[i] = raw_connect(tcpx_listener_address(a));
    while (tcpx_accept(&c, a, TCPX_NOW) == 0) {
        ck_ok(tcpx_writen(c, "x", 1, NULL, soon()));
        tcpx_close(c, TCPX_NOW);
    }
    tcpx_listener_close(a);
    while (tcpx_accept(&c, b, TCPX_NOW) == 0) {
        ck_ok(tcpx_writen(c, "x", 1, NULL, soon()));
        tcpx_close(c, TCPX_NOW);
    }
    for (int i = 0; i < 20; i++) {
        ck_assert_uint_eq(raw_recv(clients[i], &byte, 1), 1);
        close(clients[i]);
    }
    tcpx_listener_close(b);
}
END_TEST

START_TEST(without_reuse_port_a_second_listener_cannot_join_a_group)
{
    tcpx_listener *a = listen_on("127.0.0.1:0", TCPX_LISTEN(.reuse_port = 1));
    tcpx_listener *b = NULL;

    ck_fails(tcpx_listen(&b, tcpx_listener_address(a), NULL), -EADDRINUSE);
    tcpx_listener_close(a);
}
END_TEST

START_TEST(an_adopted_listener_accepts_and_is_not_shut_down_by_its_close)
{
    char address[32];
    int fd = raw_listen(address, sizeof(address));
    int other = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    tcpx_listener *l = NULL;
    int client;

    ck_ok(tcpx_listener_adopt(&l, fd, NULL));
    ck_assert_int_eq(tcpx_listener_fd(l), fd);
    ck_assert_str_eq(tcpx_listener_address(l), address);
    ck_assert_int_gt(tcpx_listener_backlog(l), 0);
    ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    client = raw_connect(address);
    tcpx_abort(accept_on(l));
    close(client);
    tcpx_listener_close(l);
    ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
    client = raw_connect(address);
    close(raw_accept(other));
    close(client);
    close(other);
}
END_TEST

START_TEST(what_an_adopted_listener_accepts_has_the_options_asked_for)
{
    char address[32];
    int fd = raw_listen(address, sizeof(address));
    const int one = 1;
    const int ms = 5000;
    tcpx_listener *l = NULL;
    tcpx_conn *c;
    struct options seen;
    int client;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
    ck_ok(tcpx_listener_adopt(
        &l, fd, TCPX_LISTEN(.nagle = 1, .keepalive_idle = TCPX_NONE)));
    client = raw_connect(address);
    c = accept_on(l);
    seen = options_of(c);
    ck_assert_int_eq(seen.nodelay, 0);
    ck_assert_int_eq(seen.keepalive, 0);
    ck_assert_int_eq(seen.timeout, 0);
    tcpx_abort(c);
    close(client);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(a_timeout_on_an_adopted_listener_ends_no_read_too_early)
{
    only_in_threads();
    const struct timeval short_time = {.tv_usec = 20000};
    struct timeval in_force = {.tv_sec = -1};
    socklen_t len = sizeof(in_force);
    char address[32];
    int fd = raw_listen(address, sizeof(address));
    tcpx_listener *l = NULL;
    tcpx_time begin;
    tcpx_conn *c;
    char byte;
    int client;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof(short_time));
    ck_ok(tcpx_listener_adopt(&l, fd, NULL));
    client = raw_connect(address);
    c = accept_on(l);
    begin = tcpx_now();
    ck_fails(tcpx_read(c, &byte, 1, tcpx_after(200 * TCPX_MSEC)),
             TCPX_EDEADLINE);
    ck_assert(tcpx_now() - begin >= 200 * TCPX_MSEC);
    tcpx_abort(c);
    close(client);

    /* Nor does it wake a read without end again and again. */
    client = raw_connect(address);
    c = accept_on(l);
    raw_send(client, "x", 1);
    ck_assert_int_eq(tcpx_read(c, &byte, 1, TCPX_FOREVER), 1);
    ck_assert_int_eq(
        getsockopt(tcpx_conn_fd(c), SOL_SOCKET, SO_RCVTIMEO, &in_force, &len),
        0);
    ck_assert_int_eq(in_force.tv_sec, 0);
    ck_assert_int_eq(in_force.tv_usec, 0);
    tcpx_abort(c);
    close(client);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(options_that_shape_a_socket_are_refused_on_one_that_listens)
{
    const struct {
        const char *member;
        const tcpx_listen_opts *opts;
    } shaping[] = {
        {"backlog", TCPX_LISTEN(.backlog = 5)},
        {"reuse_port", TCPX_LISTEN(.reuse_port = 1)},
        {"no_reuse_address", TCPX_LISTEN(.no_reuse_address = 1)},
        {"v6_only", TCPX_LISTEN(.v6_only = 1)},
        {"unix_mode", TCPX_LISTEN(.unix_mode = 0600)},
        {"defer_accept", TCPX_LISTEN(.defer_accept = 1)},
        {"mptcp", TCPX_LISTEN(.mptcp = 1)},
        {"fastopen", TCPX_LISTEN(.fastopen = 1)},
        {"interface", TCPX_LISTEN(.interface = "lo")},
        {"control", TCPX_LISTEN(.control = ignore)},
    };
    char address[32];
    int fd = raw_listen(address, sizeof(address));
    tcpx_listener *l = NULL;
    char text[16];

    snprintf(text, sizeof(text), "fd:%d", fd);
    for (size_t i = 0; i < sizeof(shaping) / sizeof(shaping[0]); i++) {
        ck_fails(tcpx_listener_adopt(&l, fd, shaping[i].opts), -EINVAL);
        ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), shaping[i].member));
        ck_fails(tcpx_listen(&l, text, shaping[i].opts), -EINVAL);
        ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), shaping[i].member));
    }
    ck_assert_ptr_null(l);
    close(raw_connect(address)); /* it listens still, and is still ours */
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(only_a_listening_stream_socket_can_be_adopted)
{
    int closed = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    int datagram = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int idle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tcpx_listener *l = NULL;
    int pair[2];

    close(closed);
    raw_pair(pair);
    ck_fails(tcpx_listener_adopt(NULL, idle, NULL), -EINVAL);
    ck_fails(tcpx_listener_adopt(&l, -1, NULL), -EBADF);
    ck_fails(tcpx_listener_adopt(&l, closed, NULL), -EBADF);
    ck_fails(tcpx_listener_adopt(&l, file, NULL), -ENOTSOCK);
    ck_fails(tcpx_listener_adopt(&l, datagram, NULL), -EINVAL);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), "datagram"));
    ck_fails(tcpx_listener_adopt(&l, pair[0], NULL), -EINVAL);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), "connected"));
    ck_fails(tcpx_listener_adopt(&l, idle, NULL), -EINVAL);
    ck_assert_ptr_null(l);
    ck_assert_int_eq(close(file), 0);
    ck_assert_int_eq(close(datagram), 0);
    ck_assert_int_eq(close(idle), 0);
    close(pair[0]);
    close(pair[1]);
}
END_TEST

START_TEST(listening_on_a_descriptor_takes_it_over)
{
    char address[32];
    int fd = raw_listen(address, sizeof(address));
    char text[16];
    tcpx_listener *l;
    int client;

    snprintf(text, sizeof(text), "fd:%d", fd);
    l = listen_on(text, TCPX_LISTEN(.keepalive_count = 6));
    ck_assert_str_eq(tcpx_listener_address(l), address);
    client = raw_connect(address);
    tcpx_conn *c = accept_on(l);
    ck_assert_int_eq(options_of(c).count, 6);
    tcpx_abort(c);
    close(client);
    tcpx_listener_close(l);
    ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
}
END_TEST

/* As systemd starts it: the socket is descriptor 3, which may well be the
   pipe of libcheck, so that no ck_ may be used here. */
static void serve_passed_socket(void *arg)
{
    tcpx_listener *l = NULL;
    tcpx_conn *c = NULL;
    char pid[16];

    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    if (dup2(*(const int *)arg, 3) != 3 || setenv("LISTEN_PID", pid, 1) ||
        setenv("LISTEN_FDS", "1", 1) || setenv("LISTEN_FDNAMES", "web", 1))
        _exit(10);
    if (tcpx_listen(&l, "systemd:web", NULL) || tcpx_listener_fd(l) != 3)
        _exit(11);
    if (tcpx_accept(&c, l, soon()))
        _exit(12);
    tcpx_abort(c);
    tcpx_listener_close(l);
}

START_TEST(a_socket_passed_by_systemd_is_served_and_not_shut_down)
{
    char address[32];
    int fd = raw_listen(address, sizeof(address));
    int client = raw_connect(address);

    end_child(start_child(serve_passed_socket, &fd));
    close(client);
    client = raw_connect(address);
    close(raw_accept(fd));
    close(client);
    close(fd);
}
END_TEST

static void fill_groups(TCase *tc)
{
    tcase_add_test(tc, a_group_with_reuse_port_shares_the_clients);
    tcase_add_test(
        tc, clients_queued_on_one_of_a_group_can_be_served_before_it_closes);
    tcase_add_test(tc,
                   without_reuse_port_a_second_listener_cannot_join_a_group);
}

static void fill_adopted(TCase *tc)
{
    tcase_add_test(
        tc, an_adopted_listener_accepts_and_is_not_shut_down_by_its_close);
    tcase_add_test(tc,
                   what_an_adopted_listener_accepts_has_the_options_asked_for);
    tcase_add_test(tc, a_timeout_on_an_adopted_listener_ends_no_read_too_early);
    tcase_add_test(tc,
                   options_that_shape_a_socket_are_refused_on_one_that_listens);
    tcase_add_test(tc, only_a_listening_stream_socket_can_be_adopted);
    tcase_add_test(tc, listening_on_a_descriptor_takes_it_over);
    tcase_add_test(tc, a_socket_passed_by_systemd_is_served_and_not_shut_down);
}

const struct test_case test_cases[] = {
    {"accept", "groups", fill_groups},
    {"accept", "adopted", fill_adopted},
    {NULL, NULL, NULL},
};
