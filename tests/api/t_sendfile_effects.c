/* SPDX-License-Identifier: MIT */
/*
 * t_sendfile_effects.c - what can be sent, and what sending leaves as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "pairs.h"
#include "runner.h"
#include "support.h"

#define SIZE (1 << 20)

/* A file of SIZE bytes of the pattern. */
static int make_file(void)
{
    static unsigned char data[SIZE];
    int fd = memfd_create("t_sendfile", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    fill_pattern(data, SIZE, 0);
    ck_assert_int_eq(write(fd, data, SIZE), SIZE);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void refuse(struct fed *f, int fd, int64_t *offset, int code)
{
    uint64_t done = 7;

    ck_fails(tcpx_sendfile(f->c, fd, offset, 1, &done, soon()), code);
    ck_assert_uint_eq(done, 0);
}

START_TEST(what_is_no_file_is_refused_and_does_no_harm)
{
    struct fed f = fed_open(_i);
    int64_t offset = 0;
    int64_t before = -1;
    int fd[2];
    int one;

    refuse(&f, -1, NULL, -EBADF);
    refuse(&f, 1000, NULL, -EBADF);
    refuse(&f, f.peer, NULL, -EINVAL);
    one = open("/tmp", O_RDONLY | O_DIRECTORY);
    refuse(&f, one, NULL, -EINVAL);
    close(one);
    one = open("/dev/zero", O_RDONLY);
    refuse(&f, one, NULL, -EINVAL);
    close(one);
    ck_assert_int_eq(pipe(fd), 0);
    refuse(&f, fd[0], &offset, -ESPIPE);
    close(fd[0]);
    close(fd[1]);
    one = make_file();
    refuse(&f, one, &before, -EINVAL);
    ck_assert_int_eq(before, -1);
    ck_fails(
        tcpx_sendfile(f.c, one, NULL, (uint64_t)INT64_MAX + 1, NULL, TCPX_NOW),
        -EINVAL);
    ck_fails(tcpx_sendfile(NULL, one, NULL, 1, NULL, TCPX_NOW), -EINVAL);
    ck_fails(tcpx_sendfile(f.c, one, NULL, 1, NULL, TCPX_MSEC), -EINVAL);
    close(one);
    ck_assert_int_eq(tcpx_conn_state(f.c), 0);
    ck_ok(tcpx_writen(f.c, "fine", 4, NULL, soon()));
    fed_end(&f);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_not_the_connections_fault)
{
    struct fed f = fed_open(_i);
    char name[] = "/tmp/t_sendfile.XXXXXX";
    int made = mkstemp(name);
    int fd = open(name, O_WRONLY);

    ck_assert_int_ge(made, 0);
    ck_assert_int_ge(fd, 0);
    unlink(name);
    ck_assert_int_eq(write(fd, "x", 1), 1);
    refuse(&f, fd, NULL, -EBADF);
    ck_assert_int_eq(tcpx_conn_state(f.c), TCPX_STATE_CUT);
    ck_ok(tcpx_writen(f.c, "fine", 4, NULL, soon()));
    ck_assert_int_eq(tcpx_conn_state(f.c), 0);
    close(fd);
    close(made);
    fed_end(&f);
}
END_TEST

/* A file whose system may not know how to send it, and that has no size. */
START_TEST(a_file_of_proc_is_sent)
{
    char expected[256];
    int fd = open("/proc/version", O_RDONLY);
    struct fed f = fed_open(_i);
    struct collector k;
    ssize_t n;
    uint64_t done;

    ck_assert_int_ge(fd, 0);
    n = read(fd, expected, sizeof(expected));
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    collect_start(&k, f.peer, sizeof(expected));
    ck_ok(tcpx_sendfile(f.c, fd, NULL, (uint64_t)n, &done, soon()));
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), n);
    ck_ok(tcpx_half_close(f.c));
    collect_end(&k);
    ck_assert_uint_eq(k.len, (size_t)n);
    ck_assert_mem_eq(k.data, expected, (size_t)n);
    free(k.data);
    close(fd);
    fed_end(&f);
}
END_TEST

static void fill_sources(TCase *tc)
{
    tcase_add_loop_test(tc, what_is_no_file_is_refused_and_does_no_harm, 0,
                        PAIRS);
    tcase_add_loop_test(
        tc, a_file_that_cannot_be_read_is_not_the_connections_fault, 0, PAIRS);
    tcase_add_loop_test(tc, a_file_of_proc_is_sent, 0, PAIRS);
}

START_TEST(a_shared_socket_stays_blocking_and_a_sole_owned_one_comes_back_so)
{
    struct fed f = fed_open(_i);
    int fd = make_file();
    char buf[4];
    int back = -1;

    ck_ok(tcpx_sendfile(f.c, fd, NULL, 1000, NULL, soon()));
    if (_i == PAIR_SHARED)
        ck_assert_int_eq(fcntl(tcpx_conn_fd(f.c), F_GETFL) & O_NONBLOCK, 0);
    /* Reading goes on as before: it waits, and it ends in time. */
    ck_fails(tcpx_read(f.c, buf, 4, tcpx_after(30 * TCPX_MSEC)),
             TCPX_EDEADLINE);
    feed(&f, "more");
    ck_ok(tcpx_readn(f.c, buf, 4, NULL, soon()));
    ck_ok(tcpx_conn_release(f.c, &back, NULL, 0, NULL));
    ck_assert_int_eq(fcntl(back, F_GETFL) & O_NONBLOCK, 0);
    close(back);
    close(f.peer);
    close(fd);
}
END_TEST

static sig_atomic_t pipes_handled;

static void handle_pipe(int sig)
{
    (void)sig;
    pipes_handled++;
}

/* Sends to a peer that is gone until it is told; the code. */
static int send_until_told(tcpx_conn *c, int fd)
{
    int err;

    do {
        int64_t offset = 0;

        err = tcpx_sendfile(c, fd, &offset, 1000, NULL, soon());
    } while (!err);
    return err;
}

START_TEST(a_gone_peer_raises_no_signal)
{
    struct sigaction action = {.sa_handler = handle_pipe};
    struct fed f = fed_open(_i);
    int fd = make_file();
    sigset_t mask;

    ck_assert_int_eq(sigaction(SIGPIPE, &action, NULL), 0);
    close(f.peer);
    ck_assert_int_eq(tcpx_is_peer_gone(send_until_told(f.c, fd)), 1);
    ck_assert_int_eq(tcpx_is_peer_gone(send_until_told(f.c, fd)), 1);
    ck_assert_int_eq(pipes_handled, 0);
    ck_assert_int_eq(sigaction(SIGPIPE, NULL, &action), 0);
    ck_assert(action.sa_handler == handle_pipe);
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    ck_assert_int_eq(sigismember(&mask, SIGPIPE), 0);
    ck_assert_int_eq(sigpending(&mask), 0);
    ck_assert_int_eq(sigismember(&mask, SIGPIPE), 0);
    close(fd);
    tcpx_abort(f.c);
}
END_TEST

START_TEST(a_signal_that_was_pending_is_still_pending)
{
    struct fed f = fed_open(_i);
    int fd = make_file();
    sigset_t pipe_only;
    sigset_t mask;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &pipe_only, NULL), 0);
    ck_assert_int_eq(pthread_kill(pthread_self(), SIGPIPE), 0);
    close(f.peer);
    ck_assert_int_eq(tcpx_is_peer_gone(send_until_told(f.c, fd)), 1);
    ck_assert_int_eq(sigpending(&mask), 0);
    ck_assert_int_eq(sigismember(&mask, SIGPIPE), 1);
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    ck_assert_int_eq(sigismember(&mask, SIGPIPE), 1);
    close(fd);
    tcpx_abort(f.c);
}
END_TEST

static void fill_side_effects(TCase *tc)
{
    tcase_add_loop_test(
        tc, a_shared_socket_stays_blocking_and_a_sole_owned_one_comes_back_so,
        0, PAIRS);
    tcase_add_loop_test(tc, a_gone_peer_raises_no_signal, 0, PAIRS);
    tcase_add_loop_test(tc, a_signal_that_was_pending_is_still_pending, 0,
                        PAIRS);
}

const struct test_case test_cases[] = {
    {"sendfile-effects", "sources", fill_sources},
    {"sendfile-effects", "side-effects", fill_side_effects},
    {NULL, NULL, NULL},
};
