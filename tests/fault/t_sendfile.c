/* SPDX-License-Identifier: MIT */
/*
 * t_sendfile.c - sending files while the system fails at every turn.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "faults.h"
#include "net/conn.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

#define SIZE 200000

static void begin(void)
{
    ck_assert_ptr_nonnull(tcpx_task_self());
}

static void end(void)
{
    tcpx__sys_hook = NULL;
}

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

/* The peer gets the file's first len bytes, and then the end. */
static void check_sent(struct fed *f, struct collector *k, size_t len)
{
    unsigned char *expected = malloc(len + 1);

    ck_assert_ptr_nonnull(expected);
    ck_assert_int_eq(shutdown(tcpx_conn_fd(f->c), SHUT_WR), 0);
    collect_end(k);
    fill_pattern(expected, len, 0);
    ck_assert_uint_eq(k->len, len);
    ck_assert_int_eq(memcmp(k->data, expected, len), 0);
    free(expected);
    free(k->data);
}

static size_t most;
static int moves;

/* Everything moves few bytes at a time, and is interrupted every fifth. */
static int move_little(enum tcpx__sys_call call, size_t *len)
{
    if (call != TCPX__SYS_sendfile && call != TCPX__SYS_splice &&
        call != TCPX__SYS_read && call != TCPX__SYS_sendmsg)
        return 0;
    if (++moves % 5 == 0)
        return -EINTR;
    if (*len > most)
        *len = most;
    return 0;
}

START_TEST(a_file_comes_whole_however_little_moves_at_a_time)
{
    static const size_t lens[] = {300, SIZE};
    static const size_t steps[] = {1, 997};

    for (int i = 0; i < 2; i++) {
        struct fed f = fed_open(_i);
        int fd = make_file();
        struct collector k;
        int64_t offset = 0;
        uint64_t done;

        collect_start(&k, f.peer, SIZE);
        most = steps[i];
        tcpx__sys_hook = move_little;
        ck_ok(tcpx_sendfile(f.c, fd, &offset, lens[i], &done, soon()));
        tcpx__sys_hook = NULL;
        ck_assert_uint_eq(done, lens[i]);
        ck_assert_int_eq(offset, (int64_t)lens[i]);
        ck_assert_int_gt(moves, 300 / 5);
        check_sent(&f, &k, lens[i]);
        close(fd);
        fed_end(&f);
    }
}
END_TEST

START_TEST(a_pipe_comes_whole_however_little_moves_at_a_time)
{
    struct fed f = fed_open(_i ? PAIR_SOLE : PAIR_UNIX);
    unsigned char data[5000];
    struct collector k;
    uint64_t done;
    int fd[2];

    fill_pattern(data, sizeof(data), 0);
    ck_assert_int_eq(pipe(fd), 0);
    ck_assert_int_eq(write(fd[1], data, sizeof(data)), sizeof(data));
    collect_start(&k, f.peer, sizeof(data));
    most = 7;
    tcpx__sys_hook = move_little;
    ck_ok(tcpx_sendfile(f.c, fd[0], NULL, sizeof(data), &done, soon()));
    tcpx__sys_hook = NULL;
    ck_assert_uint_eq(done, sizeof(data));
    check_sent(&f, &k, sizeof(data));
    close(fd[0]);
    close(fd[1]);
    fed_end(&f);
}
END_TEST

/* Some files' systems cannot do it, which may show at once or in the middle. */
static int sendfiles;
static int refuse_from;

static int refuse_sendfile(enum tcpx__sys_call call, size_t *len)
{
    if (call != TCPX__SYS_sendfile)
        return 0;
    if (++sendfiles >= refuse_from)
        return -EINVAL;
    if (*len > 1000)
        *len = 1000;
    return 0;
}

START_TEST(a_file_that_the_kernel_cannot_send_is_read_and_sent)
{
    for (refuse_from = 1; refuse_from <= 3; refuse_from++) {
        for (int by_position = 0; by_position < 2; by_position++) {
            struct fed f = fed_open(_i ? PAIR_SOLE : PAIR_UNIX);
            int fd = make_file();
            struct collector k;
            int64_t offset = 0;
            uint64_t done;

            sendfiles = 0;
            collect_start(&k, f.peer, SIZE);
            tcpx__sys_hook = refuse_sendfile;
            ck_ok(tcpx_sendfile(f.c, fd, by_position ? NULL : &offset, SIZE,
                                &done, soon()));
            tcpx__sys_hook = NULL;
            ck_assert_int_eq(sendfiles, refuse_from);
            ck_assert_uint_eq(done, SIZE);
            ck_assert_int_eq(offset, by_position ? 0 : SIZE);
            ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), by_position ? SIZE : 0);
            ck_assert_uint_eq(tcpx_conn_bytes_written(f.c), SIZE);
            check_sent(&f, &k, SIZE);
            close(fd);
            fed_end(&f);
        }
    }
}
END_TEST

START_TEST(a_disk_that_fails_is_not_the_connections_end)
{
    struct fed f = fed_open(_i);
    int shared = _i == PAIR_SHARED;
    int fd = make_file();
    int64_t offset = 0;
    uint64_t done;

    fail_calls(shared ? TCPX__SYS_read : TCPX__SYS_sendfile, 1, 1, -EIO);
    ck_fails(tcpx_sendfile(f.c, fd, &offset, 100, &done, soon()), -EIO);
    fail_none();
    ck_assert_uint_eq(done, 0);
    ck_assert_int_eq(offset, 0);
    ck_assert_int_eq(tcpx_conn_state(f.c), TCPX_STATE_CUT);
    ck_fails(tcpx_half_close(f.c), -EIO);
    ck_ok(tcpx_sendfile(f.c, fd, &offset, 100, &done, soon()));
    ck_assert_int_eq(tcpx_conn_state(f.c), 0);
    close(fd);
    fed_end(&f);
}
END_TEST

/* A file on another machine, whose connection is not the one sent to. */
START_TEST(a_file_whose_network_fails_is_not_the_connections_end)
{
    static const int errors[] = {-ENOTCONN, -ETIMEDOUT, -ECONNRESET,
                                 -EHOSTUNREACH};

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct fed f = fed_open(_i);
        int shared = _i == PAIR_SHARED;
        int fd = make_file();
        int64_t offset = 0;
        uint64_t done;

        fail_calls(shared ? TCPX__SYS_read : TCPX__SYS_sendfile, 1, 1,
                   errors[i]);
        ck_fails(tcpx_sendfile(f.c, fd, &offset, 100, &done, soon()),
                 errors[i]);
        fail_none();
        ck_assert_int_eq(tcpx_conn_state(f.c), TCPX_STATE_CUT);
        ck_ok(tcpx_sendfile(f.c, fd, &offset, 100, &done, soon()));
        ck_assert_int_eq(tcpx_conn_state(f.c), 0);
        close(fd);
        fed_end(&f);
    }
}
END_TEST

static int network_error;

/* The kernel tells an error once, and EPIPE from then on. */
static int fail_network(enum tcpx__sys_call call, size_t *len)
{
    int err = network_error;

    (void)len;
    if (call != TCPX__SYS_sendfile && call != TCPX__SYS_sendmsg)
        return 0;
    network_error = -EPIPE;
    return err;
}

START_TEST(a_network_that_fails_is)
{
    static const int errors[] = {-ECONNRESET, -EPIPE, -ETIMEDOUT,
                                 -EHOSTUNREACH};

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct fed f = fed_open(_i);
        int fd = make_file();
        int64_t offset = 0;
        uint64_t done;

        network_error = errors[i];
        tcpx__sys_hook = fail_network;
        ck_fails(tcpx_sendfile(f.c, fd, &offset, 100, &done, soon()),
                 errors[i]);
        tcpx__sys_hook = NULL;
        ck_assert_uint_eq(done, 0);
        ck_assert_int_eq(tcpx_conn_state(f.c),
                         TCPX_STATE_CUT | TCPX_STATE_FAILED);
        ck_fails(tcpx_writen(f.c, "x", 1, NULL, soon()), errors[i]);
        close(fd);
        fed_end(&f);
    }
}
END_TEST

START_TEST(a_peer_that_is_gone_is)
{
    struct fed f = fed_open(PAIR_SOLE);
    int fd = make_file();
    int64_t offset = 0;
    int err;

    raw_reset(f.peer);
    do {
        offset = 0;
        err = tcpx_sendfile(f.c, fd, &offset, 100, NULL, soon());
    } while (err == 0);
    ck_assert_int_eq(tcpx_is_peer_gone(err), 1);
    ck_assert_int_eq(tcpx_conn_state(f.c), TCPX_STATE_CUT | TCPX_STATE_FAILED);
    ck_fails(tcpx_writen(f.c, "x", 1, NULL, soon()), err);
    close(fd);
    tcpx_abort(f.c);
}
END_TEST

START_TEST(a_copy_without_memory_sends_nothing)
{
    struct fed f = fed_open(PAIR_SHARED);
    int fd = make_file();
    uint64_t done;

    fail_calls(TCPX__SYS_malloc, 1, 1, -ENOMEM);
    ck_fails(tcpx_sendfile(f.c, fd, NULL, 100, &done, soon()), -ENOMEM);
    fail_none();
    ck_assert_uint_eq(done, 0);
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 0);
    ck_ok(tcpx_sendfile(f.c, fd, NULL, 100, &done, soon()));
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 100);
    close(fd);
    fed_end(&f);
}
END_TEST

static size_t largest;

static int note_largest(enum tcpx__sys_call call, size_t *len)
{
    if (call == TCPX__SYS_sendfile && *len > largest)
        largest = *len;
    return 0;
}

START_TEST(a_file_of_gigabytes_is_asked_for_in_pieces)
{
    struct fed f = fed_open(PAIR_SOLE);
    int fd = memfd_create("t_sendfile", MFD_CLOEXEC);
    int64_t offset = INT64_C(5) << 30;
    uint64_t done;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, INT64_C(10) << 30), 0); /* holes */
    tcpx__sys_hook = note_largest;
    ck_fails(
        tcpx_sendfile(f.c, fd, &offset, UINT64_C(5) << 30, &done, TCPX_NOW),
        TCPX_EDEADLINE);
    tcpx__sys_hook = NULL;
    ck_assert_uint_eq(largest, TCPX__AT_ONCE);
    ck_assert_uint_gt(done, 0);
    ck_assert_int_eq(offset, (INT64_C(5) << 30) + (int64_t)done);
    close(fd);
    fed_end(&f);
}
END_TEST

static void fill_sendfile(TCase *tc)
{
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_loop_test(tc, a_file_comes_whole_however_little_moves_at_a_time,
                        0, PAIRS);
    tcase_add_loop_test(tc, a_pipe_comes_whole_however_little_moves_at_a_time,
                        0, 2);
    tcase_add_loop_test(tc, a_file_that_the_kernel_cannot_send_is_read_and_sent,
                        0, 2);
    tcase_add_loop_test(tc, a_disk_that_fails_is_not_the_connections_end, 0,
                        PAIRS);
    tcase_add_loop_test(
        tc, a_file_whose_network_fails_is_not_the_connections_end, 0, PAIRS);
    tcase_add_loop_test(tc, a_network_that_fails_is, 0, PAIRS);
    tcase_add_test(tc, a_peer_that_is_gone_is);
    tcase_add_test(tc, a_copy_without_memory_sends_nothing);
    tcase_add_test(tc, a_file_of_gigabytes_is_asked_for_in_pieces);
}

const struct test_case test_cases[] = {
    {"sendfile-faults", "sendfile", fill_sendfile},
    {NULL, NULL, NULL},
};
