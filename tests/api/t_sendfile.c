/* SPDX-License-Identifier: MIT */
/*
 * t_sendfile.c - sending files and pipes.
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

/* What the peer got is the file from there on. */
static void check_sent(struct collector *k, size_t from, size_t len)
{
    unsigned char *expected = malloc(len + 1);

    ck_assert_ptr_nonnull(expected);
    fill_pattern(expected, len, from);
    ck_assert_uint_eq(k->len, len);
    ck_assert_int_eq(memcmp(k->data, expected, len), 0);
    free(expected);
    free(k->data);
}

START_TEST(a_file_is_sent_whole)
{
    struct fed f = fed_open(_i);
    struct collector k;
    int fd = make_file();
    uint64_t done = 7;

    collect_start(&k, f.peer, SIZE);
    ck_ok(tcpx_sendfile(f.c, fd, NULL, SIZE, &done, soon()));
    ck_assert_uint_eq(done, SIZE);
    ck_assert_uint_eq(tcpx_conn_bytes_written(f.c), SIZE);
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), SIZE);
    ck_assert_int_eq(tcpx_conn_state(f.c), 0);
    ck_ok(tcpx_half_close(f.c));
    collect_end(&k);
    ck_assert_int_eq(k.error, 0);
    check_sent(&k, 0, SIZE);
    close(fd);
    fed_end(&f);
}
END_TEST

START_TEST(a_piece_of_a_file_is_sent_from_an_offset)
{
    struct fed f = fed_open(_i);
    struct collector k;
    int fd = make_file();
    int64_t offset = 1000;
    uint64_t done;

    ck_assert_int_eq(lseek(fd, 77, SEEK_SET), 77);
    collect_start(&k, f.peer, SIZE);
    ck_ok(tcpx_sendfile(f.c, fd, &offset, 500000, &done, soon()));
    ck_assert_uint_eq(done, 500000);
    ck_assert_int_eq(offset, 501000);
    ck_ok(tcpx_sendfile(f.c, fd, &offset, 1, NULL, soon()));
    ck_assert_int_eq(offset, 501001);
    /* The file's own position is left alone. */
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 77);
    ck_ok(tcpx_half_close(f.c));
    collect_end(&k);
    check_sent(&k, 1000, 500001);
    close(fd);
    fed_end(&f);
}
END_TEST

START_TEST(no_bytes_are_no_work)
{
    struct pair p = pair_open(_i);
    int64_t offset = 3;
    uint64_t done = 7;

    ck_ok(tcpx_sendfile(p.a, -1, &offset, 0, &done, TCPX_NOW));
    ck_assert_uint_eq(done, 0);
    ck_assert_int_eq(offset, 3);
    pair_end(&p);
}
END_TEST

START_TEST(a_file_that_ends_too_soon_is_told)
{
    struct fed f = fed_open(_i);
    struct collector k;
    int fd = make_file();
    int64_t offset = SIZE - 1000;
    uint64_t done;

    collect_start(&k, f.peer, SIZE);
    ck_fails(tcpx_sendfile(f.c, fd, &offset, 1001, &done, soon()), TCPX_ETRUNC);
    ck_assert_uint_eq(done, 1000);
    ck_assert_int_eq(offset, SIZE);
    /* The answer is cut: it must not look like a whole one. */
    ck_assert_int_eq(tcpx_conn_state(f.c), TCPX_STATE_CUT);
    ck_fails(tcpx_half_close(f.c), TCPX_ETRUNC);
    ck_assert_int_eq(lseek(fd, 0, SEEK_END), SIZE);
    ck_fails(tcpx_sendfile(f.c, fd, NULL, INT64_MAX, &done, soon()),
             TCPX_ETRUNC);
    ck_assert_uint_eq(done, 0);
    offset = (int64_t)10 * SIZE;
    ck_fails(tcpx_sendfile(f.c, fd, &offset, 1, &done, soon()), TCPX_ETRUNC);
    ck_assert_int_eq(offset, (int64_t)10 * SIZE);
    /* A write that completes mends it. */
    offset = 0;
    ck_ok(tcpx_sendfile(f.c, fd, &offset, 1, NULL, soon()));
    ck_ok(tcpx_half_close(f.c));
    collect_end(&k);
    ck_assert_uint_eq(k.len, 1001);
    free(k.data);
    close(fd);
    fed_end(&f);
}
END_TEST

START_TEST(a_file_that_shrinks_meanwhile_is_told)
{
    struct fed f = fed_open(_i);
    struct collector k;
    int fd = make_file();
    int64_t offset = 0;
    uint64_t first;
    uint64_t done;

    narrow(tcpx_conn_fd(f.c));
    narrow(f.peer);
    ck_fails(tcpx_sendfile(f.c, fd, &offset, SIZE, &first, TCPX_NOW),
             TCPX_EDEADLINE);
    ck_assert_uint_gt(first, 0);
    ck_assert_int_eq(ftruncate(fd, (off_t)first + 100), 0);
    collect_start(&k, f.peer, SIZE);
    ck_fails(tcpx_sendfile(f.c, fd, &offset, SIZE - first, &done, soon()),
             TCPX_ETRUNC);
    ck_assert_uint_eq(done, 100);
    ck_assert_int_eq(offset, (int64_t)first + 100);
    ck_assert_int_eq(shutdown(tcpx_conn_fd(f.c), SHUT_WR), 0);
    collect_end(&k);
    check_sent(&k, 0, first + 100);
    close(fd);
    fed_end(&f);
}
END_TEST

static void fill_files(TCase *tc)
{
    tcase_add_loop_test(tc, a_file_is_sent_whole, 0, PAIRS);
    tcase_add_loop_test(tc, a_piece_of_a_file_is_sent_from_an_offset, 0, PAIRS);
    tcase_add_loop_test(tc, no_bytes_are_no_work, 0, PAIRS);
    tcase_add_loop_test(tc, a_file_that_ends_too_soon_is_told, 0, PAIRS);
    tcase_add_loop_test(tc, a_file_that_shrinks_meanwhile_is_told, 0, PAIRS);
}

/*
 * Sends the whole file in as many calls as deadlines cut it into, the peer
 * reading a little between them, and checks every count.
 */
static void send_in_pieces(struct fed *f, int fd, int64_t *offset)
{
    unsigned char got[30000];
    unsigned char expected[30000];
    uint64_t sent = 0;
    size_t seen = 0;
    int pieces = 0;
    int err;

    do {
        uint64_t done = 7;
        size_t n;

        err = tcpx_sendfile(f->c, fd, offset, SIZE - sent, &done, TCPX_NOW);
        sent += done;
        ck_assert_uint_eq(tcpx_conn_bytes_written(f->c), sent);
        if (offset)
            ck_assert_int_eq(*offset, (int64_t)sent);
        else
            ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), (off_t)sent);
        if (err)
            ck_fails(err, TCPX_EDEADLINE);
        n = sent - seen < sizeof(got) ? (size_t)(sent - seen) : sizeof(got);
        ck_assert_uint_eq(raw_recv(f->peer, got, n), n);
        fill_pattern(expected, n, seen);
        ck_assert_int_eq(memcmp(got, expected, n), 0);
        seen += n;
        pieces++;
    } while (err);
    ck_assert_uint_eq(sent, SIZE);
    ck_assert_int_gt(pieces, 3);
}

START_TEST(a_deadline_leaves_exact_counts)
{
    struct fed f = fed_open(_i);
    int fd = make_file();
    int64_t offset = 0;

    narrow(tcpx_conn_fd(f.c));
    narrow(f.peer);
    send_in_pieces(&f, fd, &offset);
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 0);
    close(fd);
    fed_end(&f);
}
END_TEST

START_TEST(a_deadline_leaves_the_position_exact)
{
    struct fed f = fed_open(_i);
    int fd = make_file();

    narrow(tcpx_conn_fd(f.c));
    narrow(f.peer);
    send_in_pieces(&f, fd, NULL);
    close(fd);
    fed_end(&f);
}
END_TEST

START_TEST(a_waiting_sendfile_ends_at_its_deadline)
{
    struct fed f = fed_open(_i);
    int fd = make_file();
    tcpx_time deadline;
    uint64_t done;

    narrow(tcpx_conn_fd(f.c));
    narrow(f.peer);
    deadline = tcpx_after(30 * TCPX_MSEC);
    ck_fails(tcpx_sendfile(f.c, fd, NULL, SIZE, &done, deadline),
             TCPX_EDEADLINE);
    ck_assert(tcpx_now() >= deadline);
    ck_assert_uint_lt(done, SIZE);
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), (off_t)done);
    close(fd);
    fed_end(&f);
}
END_TEST

START_TEST(a_reader_that_keeps_up_holds_no_deadline_off)
{
    struct fed f = fed_open(_i);
    int fd = memfd_create("t_sendfile", MFD_CLOEXEC);
    uint64_t count = UINT64_C(1) << 40;
    struct collector k;
    uint64_t done;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, (off_t)count), 0); /* a hole */
    collect_start(&k, f.peer, 0);
    ck_fails(
        tcpx_sendfile(f.c, fd, NULL, count, &done, tcpx_after(50 * TCPX_MSEC)),
        TCPX_EDEADLINE);
    ck_assert_uint_gt(done, 0);
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), (off_t)done);
    ck_assert_int_eq(shutdown(tcpx_conn_fd(f.c), SHUT_WR), 0);
    collect_end(&k);
    ck_assert_uint_eq(k.len, done);
    free(k.data);
    close(fd);
    fed_end(&f);
}
END_TEST

START_TEST(what_a_message_left_goes_before_a_file)
{
    struct fed f = fed_open(_i);
    char *text = malloc(SIZE);
    int fd = make_file();
    struct collector k;

    ck_assert_ptr_nonnull(text);
    memset(text, 'x', SIZE - 1);
    text[SIZE - 1] = '\0';
    narrow(tcpx_conn_fd(f.c));
    narrow(f.peer);
    ck_fails(tcpx_printf(f.c, NULL, TCPX_NOW, "%s", text), TCPX_EDEADLINE);
    ck_fails(tcpx_sendfile(f.c, fd, NULL, 10, NULL, TCPX_NOW), TCPX_EDEADLINE);
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 0);
    collect_start(&k, f.peer, 2 * SIZE);
    ck_ok(tcpx_sendfile(f.c, fd, NULL, 10, NULL, soon()));
    ck_assert_int_eq(tcpx_conn_state(f.c), 0);
    ck_ok(tcpx_half_close(f.c));
    collect_end(&k);
    ck_assert_uint_eq(k.len, SIZE - 1 + 10);
    ck_assert_int_eq(memcmp(k.data, text, SIZE - 1), 0);
    memmove(k.data, k.data + SIZE - 1, 10);
    k.len = 10;
    check_sent(&k, 0, 10);
    free(text);
    close(fd);
    fed_end(&f);
}
END_TEST

static void fill_deadlines(TCase *tc)
{
    tcase_add_loop_test(tc, a_deadline_leaves_exact_counts, 0, PAIRS);
    tcase_add_loop_test(tc, a_deadline_leaves_the_position_exact, 0, PAIRS);
    tcase_add_loop_test(tc, a_waiting_sendfile_ends_at_its_deadline, 0, PAIRS);
    tcase_add_loop_test(tc, a_reader_that_keeps_up_holds_no_deadline_off, 0,
                        PAIRS);
    tcase_add_loop_test(tc, what_a_message_left_goes_before_a_file, 0, PAIRS);
}

const struct test_case test_cases[] = {
    {"sendfile", "files", fill_files},
    {"sendfile", "deadlines", fill_deadlines},
    {NULL, NULL, NULL},
};
