/* SPDX-License-Identifier: MIT */
/*
 * t_adopt.c - connections made of what the program has, and given back.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <tcpx.h>
#include <unistd.h>
#include "pairs.h"
#include "runner.h"
#include "support.h"

static int exec_flag(int fd)
{
    return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static int is_nonblocking(int fd)
{
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

static void set_nonblocking(int fd)
{
    ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

static struct timeval timeout_of(int fd)
{
    struct timeval tv;
    socklen_t len = sizeof(tv);

    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len), 0);
    return tv;
}

static void set_timeout(int fd, long seconds)
{
    struct timeval tv = {.tv_sec = seconds};

    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)),
                     0);
}

/* An adoption that must fail leaves the descriptor and out as they are. */
static void refuse(int fd, int code)
{
    tcpx_conn *untouched = (tcpx_conn *)&untouched;
    tcpx_conn *c = untouched;
    int flags = fd < 0 ? 0 : fcntl(fd, F_GETFD);

    ck_fails(tcpx_conn_adopt(&c, fd, NULL), code);
    ck_assert_ptr_eq(c, untouched);
    if (fd >= 0)
        ck_assert_int_eq(fcntl(fd, F_GETFD), flags);
}

static void refuse_and_close(int fd, int code)
{
    ck_assert_int_ge(fd, 0);
    refuse(fd, code);
    ck_assert_int_eq(close(fd), 0);
}

START_TEST(what_is_no_connected_stream_is_refused)
{
    char address[32];
    int pipes[2];

    refuse(-1, -EBADF);
    refuse(1000, -EBADF);
    refuse_and_close(open("/dev/null", O_RDWR), -ENOTSOCK);
    ck_assert_int_eq(pipe(pipes), 0);
    refuse_and_close(pipes[0], -ENOTSOCK);
    refuse_and_close(pipes[1], -ENOTSOCK);
    refuse_and_close(socket(AF_INET, SOCK_DGRAM, 0), -EINVAL);
    refuse_and_close(socket(AF_UNIX, SOCK_DGRAM, 0), -EINVAL);
    refuse_and_close(socket(AF_UNIX, SOCK_SEQPACKET, 0), -EINVAL);
    refuse_and_close(raw_listen(address, sizeof(address)), -EINVAL);
    refuse_and_close(socket(AF_INET, SOCK_STREAM, 0), -ENOTCONN);
    refuse_and_close(socket(AF_INET6, SOCK_STREAM, 0), -ENOTCONN);
    refuse_and_close(socket(AF_UNIX, SOCK_STREAM, 0), -ENOTCONN);
}
END_TEST

START_TEST(a_listening_socket_and_a_datagram_socket_are_told_apart)
{
    char address[32];
    int fd = raw_listen(address, sizeof(address));

    refuse_and_close(fd, -EINVAL);
    ck_assert_str_eq(tcpx_errmsg(), "conn_adopt: it listens");
    refuse_and_close(socket(AF_INET, SOCK_DGRAM, 0), -EINVAL);
    ck_assert_str_eq(tcpx_errmsg(), "conn_adopt: it is no stream socket");
}
END_TEST

START_TEST(another_family_is_refused)
{
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

    if (fd < 0)
        skip_test("this kernel makes no AF_VSOCK socket");
    refuse_and_close(fd, -EPROTONOSUPPORT);
}
END_TEST

START_TEST(wrong_options_are_refused)
{
    struct {
        tcpx_adopt_opts known;
        int64_t beyond;
    } newer = {{sizeof(newer), 0, 0}, 0};
    tcpx_adopt_opts opts = {0, 0, 0};
    tcpx_conn *c = NULL;
    int fd[2];

    raw_pair(fd);
    ck_fails(tcpx_conn_adopt(NULL, fd[0], NULL), -EINVAL);
    ck_fails(tcpx_conn_adopt(&c, fd[0], &opts), -EINVAL);
    opts.size = sizeof(opts) - 1;
    ck_fails(tcpx_conn_adopt(&c, fd[0], &opts), -EINVAL);
    ck_fails(tcpx_conn_adopt(&c, fd[0], TCPX_ADOPT(.sole_owner = 2)), -EINVAL);
    ck_fails(tcpx_conn_adopt(&c, fd[0], TCPX_ADOPT(.sole_owner = -1)), -EINVAL);
    ck_fails(tcpx_conn_adopt(&c, fd[0], TCPX_ADOPT(.spin = -2)), -EINVAL);
    ck_fails(tcpx_conn_adopt(&c, fd[0], TCPX_ADOPT(.spin = 5 * TCPX_SEC)),
             -EINVAL);
    newer.beyond = 1;
    ck_fails(tcpx_conn_adopt(&c, fd[0], &newer.known), -E2BIG);
    ck_assert_ptr_null(c);
    newer.beyond = 0;
    ck_ok(tcpx_conn_adopt(&c, fd[0], &newer.known));
    tcpx_abort(c);
    close(fd[1]);
}
END_TEST

START_TEST(an_adopted_socket_is_not_inherited)
{
    tcpx_conn *c = NULL;
    int fd[2];

    raw_pair(fd);
    ck_assert_int_eq(fcntl(fd[0], F_SETFD, 0), 0);
    ck_ok(tcpx_conn_adopt(&c, fd[0], NULL));
    ck_assert_int_eq(exec_flag(fd[0]), FD_CLOEXEC);
    tcpx_abort(c);
    close(fd[1]);
}
END_TEST

START_TEST(a_shared_socket_keeps_its_timeout_and_mode)
{
    tcpx_conn *c = NULL;
    char buf[1];
    int fd[2];
    int back;

    raw_pair(fd);
    set_timeout(fd[0], 7);
    if (_i)
        set_nonblocking(fd[0]);
    ck_ok(tcpx_conn_adopt(&c, fd[0], NULL));
    /* Reads that time out, that wait, and that find what they want. */
    ck_fails(tcpx_read(c, buf, 1, TCPX_NOW), TCPX_EDEADLINE);
    ck_fails(tcpx_read(c, buf, 1, tcpx_after(30 * TCPX_MSEC)), TCPX_EDEADLINE);
    raw_send(fd[1], "x", 1);
    ck_assert_int_eq(tcpx_read(c, buf, 1, soon()), 1);
    ck_ok(tcpx_writen(c, "y", 1, NULL, soon()));
    ck_assert_int_eq(timeout_of(fd[0]).tv_sec, 7);
    ck_assert_int_eq(is_nonblocking(fd[0]), _i);
    ck_ok(tcpx_conn_release(c, &back, NULL, 0, NULL));
    ck_assert_int_eq(back, fd[0]);
    ck_assert_int_eq(timeout_of(fd[0]).tv_sec, 7);
    ck_assert_int_eq(is_nonblocking(fd[0]), _i);
    close(fd[0]);
    close(fd[1]);
}
END_TEST

START_TEST(what_was_changed_on_a_sole_owned_socket_is_put_back)
{
    only_in_threads();
    tcpx_conn *c = NULL;
    char buf[1];
    int fd[2];
    int back = -1;

    raw_pair(fd);
    set_timeout(fd[0], 7);
    set_nonblocking(fd[0]);
    ck_assert_int_eq(fcntl(fd[0], F_SETFD, 0), 0);
    ck_ok(tcpx_conn_adopt(&c, fd[0], TCPX_ADOPT(.sole_owner = 1)));
    ck_assert_int_eq(is_nonblocking(fd[0]), 0);
    if (_i) {
        tcpx_time deadline = _i == 1 ? TCPX_FOREVER : soon();

        raw_send(fd[1], "x", 1);
        ck_assert_int_eq(tcpx_read(c, buf, 1, deadline), 1);
        ck_assert_int_ne(timeout_of(fd[0]).tv_sec, 7);
    }
    ck_ok(tcpx_conn_release(c, &back, NULL, 0, NULL));
    ck_assert_int_eq(back, fd[0]);
    ck_assert_int_eq(timeout_of(fd[0]).tv_sec, 7);
    ck_assert_int_eq(is_nonblocking(fd[0]), 1);
    ck_assert_int_eq(exec_flag(fd[0]), 0);
    close(fd[0]);
    close(fd[1]);
}
END_TEST

START_TEST(a_socket_of_the_librarys_own_is_given_back_plain)
{
    only_in_threads();
    struct pair p = pair_open(PAIR_UNIX);
    char buf[1];
    int fd = -1;

    ck_ok(tcpx_writen(p.b, "x", 1, NULL, soon()));
    ck_assert_int_eq(tcpx_read(p.a, buf, 1, tcpx_after(TCPX_SEC)), 1);
    ck_assert_int_ne(timeout_of(tcpx_conn_fd(p.a)).tv_usec, 0);
    ck_ok(tcpx_conn_release(p.a, &fd, NULL, 0, NULL));
    p.a = NULL;
    ck_assert_int_eq(timeout_of(fd).tv_sec, 0);
    ck_assert_int_eq(timeout_of(fd).tv_usec, 0);
    ck_assert_int_eq(is_nonblocking(fd), 0);
    ck_assert_int_eq(exec_flag(fd), FD_CLOEXEC);
    close(fd);
    pair_end(&p);
}
END_TEST

START_TEST(standard_input_can_be_a_connection)
{
    int saved = dup(STDIN_FILENO);
    tcpx_conn *c = NULL;
    char buf[4];
    int fd[2];
    int back = -1;

    raw_pair(fd);
    ck_assert_int_eq(dup2(fd[0], STDIN_FILENO), STDIN_FILENO);
    close(fd[0]);
    ck_ok(tcpx_conn_adopt(&c, STDIN_FILENO, NULL));
    ck_assert_int_eq(tcpx_conn_fd(c), STDIN_FILENO);
    raw_send(fd[1], "ping", 4);
    ck_ok(tcpx_readn(c, buf, 4, NULL, soon()));
    ck_assert_mem_eq(buf, "ping", 4);
    ck_ok(tcpx_conn_release(c, &back, NULL, 0, NULL));
    ck_assert_int_eq(back, STDIN_FILENO);
    /* It was inherited, and is to be inherited again. */
    ck_assert_int_eq(exec_flag(STDIN_FILENO), 0);
    ck_assert_int_eq(dup2(saved, STDIN_FILENO), STDIN_FILENO);
    close(saved);
    close(fd[1]);
}
END_TEST

static void fill_adopt(TCase *tc)
{
    tcase_add_test(tc, what_is_no_connected_stream_is_refused);
    tcase_add_test(tc, a_listening_socket_and_a_datagram_socket_are_told_apart);
    tcase_add_test(tc, another_family_is_refused);
    tcase_add_test(tc, wrong_options_are_refused);
    tcase_add_test(tc, an_adopted_socket_is_not_inherited);
    tcase_add_loop_test(tc, a_shared_socket_keeps_its_timeout_and_mode, 0, 2);
    tcase_add_loop_test(tc, what_was_changed_on_a_sole_owned_socket_is_put_back,
                        0, 3);
    tcase_add_test(tc, a_socket_of_the_librarys_own_is_given_back_plain);
    tcase_add_test(tc, standard_input_can_be_a_connection);
}

START_TEST(a_pair_is_each_others_peer)
{
    struct pair p = pair_open(_i);
    char buf[8];

    ck_ok(tcpx_writen(p.a, "to b", 4, NULL, soon()));
    ck_ok(tcpx_writen(p.b, "to a", 4, NULL, soon()));
    ck_ok(tcpx_readn(p.b, buf, 4, NULL, soon()));
    ck_assert_mem_eq(buf, "to b", 4);
    ck_ok(tcpx_readn(p.a, buf, 4, NULL, soon()));
    ck_assert_mem_eq(buf, "to a", 4);
    ck_assert_uint_eq(tcpx_conn_bytes_written(p.a), 4);
    ck_assert_uint_eq(tcpx_conn_bytes_read(p.a), 4);
    ck_assert_int_eq(exec_flag(tcpx_conn_fd(p.a)), FD_CLOEXEC);
    pair_end(&p);
}
END_TEST

START_TEST(a_pair_needs_somewhere_to_go)
{
    ck_fails(tcpx_conn_pair(NULL), -EINVAL);
}
END_TEST

static void fill_pair(TCase *tc)
{
    tcase_add_loop_test(tc, a_pair_is_each_others_peer, 0, PAIRS);
    tcase_add_test(tc, a_pair_needs_somewhere_to_go);
}

START_TEST(released_bytes_come_with_the_descriptor)
{
    tcpx_conn *c;
    char held[64];
    size_t held_len = 77;
    int peer;
    int fd = -1;
    char buf[8];

    c = conn_open(_i, &peer);
    raw_send(peer, "read ahead", 10);
    ck_assert_int_eq(tcpx_peek(c, buf, 8, soon()), 8);
    ck_fails(tcpx_conn_release(c, &fd, held, 9, &held_len), -ENOBUFS);
    ck_assert_uint_eq(held_len, 10);
    ck_fails(tcpx_conn_release(c, &fd, NULL, 0, NULL), -ENOBUFS);
    ck_assert_int_eq(fd, -1);
    /* The connection lives on. */
    ck_assert_int_eq(tcpx_read(c, buf, 5, soon()), 5);
    ck_assert_mem_eq(buf, "read ", 5);
    ck_ok(tcpx_conn_release(c, &fd, held, 5, &held_len));
    ck_assert_uint_eq(held_len, 5);
    ck_assert_mem_eq(held, "ahead", 5);
    raw_send(peer, "rest", 4);
    ck_assert_uint_eq(raw_recv(fd, buf, 4), 4);
    ck_assert_mem_eq(buf, "rest", 4);
    close(fd);
    close(peer);
}
END_TEST

struct waiting_reader {
    tcpx_conn *c;
    ssize_t result;
};

static void *read_one(void *arg)
{
    struct waiting_reader *r = arg;
    char buf[1];

    /* until_claimed() may be faster, and then is the one who reads. */
    do
        r->result = tcpx_read(r->c, buf, 1, soon());
    while (r->result == -EBUSY);
    return NULL;
}

/* Waits until the other thread is the reader. */
static void until_claimed(tcpx_conn *c)
{
    char buf[1];
    ssize_t n;

    while ((n = tcpx_peek(c, buf, 1, TCPX_NOW)) == TCPX_EDEADLINE)
        sched_yield(); /* valgrind runs one thread at a time, in turns */
    ck_fails(n, -EBUSY);
}

START_TEST(a_connection_in_use_is_not_released)
{
    struct waiting_reader r = {.result = -1};
    pthread_t thread;
    int peer;
    int fd = -1;

    r.c = conn_open(_i, &peer);
    thread = start_thread(read_one, &r);
    until_claimed(r.c);
    ck_fails(tcpx_conn_release(r.c, &fd, NULL, 0, NULL), -EBUSY);
    raw_send(peer, "x", 1);
    end_thread(thread);
    ck_assert_int_eq(r.result, 1);
    ck_ok(tcpx_conn_release(r.c, &fd, NULL, 0, NULL));
    close(fd);
    close(peer);
}
END_TEST

START_TEST(a_canceled_connection_is_not_released)
{
    struct pair p = pair_open(_i);
    int fd = -1;

    tcpx_cancel(p.a);
    ck_fails(tcpx_conn_release(p.a, &fd, NULL, 0, NULL), TCPX_ECANCELED);
    ck_assert_int_eq(fd, -1);
    ck_assert_int_eq(tcpx_conn_state(p.a), TCPX_STATE_CANCELED);
    pair_end(&p);
}
END_TEST

START_TEST(a_cancel_after_the_release_does_nothing)
{
    tcpx_conn *c;
    char buf[4];
    int peer;
    int fd;

    c = conn_open(_i, &peer);
    tcpx_conn_ref(c);
    ck_ok(tcpx_conn_release(c, &fd, NULL, 0, NULL));
    tcpx_cancel(c);
    ck_fails(tcpx_read(c, buf, 4, TCPX_NOW), -EBUSY);
    ck_fails(tcpx_writen(c, buf, 4, NULL, TCPX_NOW), -EBUSY);
    tcpx_conn_unref(c);
    raw_send(peer, "here", 4);
    ck_assert_uint_eq(raw_recv(fd, buf, 4), 4);
    close(fd);
    close(peer);
}
END_TEST

START_TEST(a_connection_under_way_is_given_back_blocking)
{
    char address[32];
    int listener = raw_listen(address, sizeof(address));
    tcpx_conn *c;
    char buf[4];
    int peer;
    int fd;

    ck_ok(tcpx_connect(&c, address, TCPX_CONNECT(.start_only = 1), soon()));
    ck_ok(tcpx_conn_release(c, &fd, NULL, 0, NULL));
    ck_assert_int_eq(is_nonblocking(fd), 0);
    peer = raw_accept(listener);
    raw_send(peer, "here", 4);
    ck_assert_uint_eq(raw_recv(fd, buf, 4), 4);
    close(fd);
    close(peer);
    close(listener);
}
END_TEST

START_TEST(a_release_needs_somewhere_to_go)
{
    struct pair p = pair_open(PAIR_UNIX);
    int fd = -1;

    ck_fails(tcpx_conn_release(NULL, &fd, NULL, 0, NULL), -EINVAL);
    ck_fails(tcpx_conn_release(p.a, NULL, NULL, 0, NULL), -EINVAL);
    ck_fails(tcpx_conn_release(p.a, &fd, NULL, 1, NULL), -EINVAL);
    ck_assert_int_eq(fd, -1);
    pair_end(&p);
}
END_TEST

START_TEST(a_released_socket_can_be_adopted_again)
{
    tcpx_conn *c;
    char buf[1];
    int peer;
    int fd;

    c = conn_open(_i, &peer);
    for (int round = 0; round < 3; round++) {
        ck_ok(tcpx_conn_release(c, &fd, NULL, 0, NULL));
        ck_ok(tcpx_conn_adopt(&c, fd, NULL));
        raw_send(peer, "x", 1);
        ck_assert_int_eq(tcpx_read(c, buf, 1, soon()), 1);
    }
    close(peer);
    ck_ok(tcpx_close(c, soon()));
}
END_TEST

static void fill_release(TCase *tc)
{
    tcase_add_loop_test(tc, released_bytes_come_with_the_descriptor, 0, PAIRS);
    tcase_add_loop_test(tc, a_connection_in_use_is_not_released, 0, PAIRS);
    tcase_add_loop_test(tc, a_canceled_connection_is_not_released, 0, PAIRS);
    tcase_add_loop_test(tc, a_cancel_after_the_release_does_nothing, 0, PAIRS);
    tcase_add_test(tc, a_connection_under_way_is_given_back_blocking);
    tcase_add_test(tc, a_release_needs_somewhere_to_go);
    tcase_add_loop_test(tc, a_released_socket_can_be_adopted_again, 0, PAIRS);
}

const struct test_case test_cases[] = {
    {"adopt", "adopt", fill_adopt},
    {"adopt", "pair", fill_pair},
    {"adopt", "release", fill_release},
    {NULL, NULL, NULL},
};
