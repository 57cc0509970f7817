/* SPDX-License-Identifier: MIT */
/*
 * t_listen_unix.c - listening on a Unix path where something is in the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "listening.h"
#include "runner.h"
#include "socket_file.h"
#include "support.h"

#define STARTERS 8

START_TEST(a_path_with_nothing_there_is_made_and_removed_at_close)
{
    tcpx_listener *l = listen_on(address, NULL);

    ck_assert_str_eq(tcpx_listener_address(l), address);
    ck_assert_int_eq(tcpx_listener_backlog(l), somaxconn());
    ck_answers(l);
    tcpx_listener_close(l);
    ck_assert_int_eq(exists(path), 0);
}
END_TEST

START_TEST(a_stale_socket_is_replaced)
{
    tcpx_listener *l;

    leave_stale_socket();
    l = listen_on(address, NULL);
    ck_answers(l);
    tcpx_listener_close(l);
    ck_assert_int_eq(exists(path), 0);
}
END_TEST

START_TEST(a_stale_datagram_socket_is_replaced_too)
{
    tcpx_listener *l;

    close(bind_raw(SOCK_DGRAM));
    l = listen_on(address, NULL);
    ck_answers(l);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(a_live_server_stays_and_meets_no_client_by_the_attempt)
{
    tcpx_listener *l = listen_on(address, NULL);
    ino_t inode = inode_of(path);
    tcpx_conn *c = NULL;

    ck_refused(address, NULL, -EADDRINUSE, "live");
    ck_says(address);
    ck_assert_uint_eq(inode_of(path), inode);
    ck_fails(tcpx_accept(&c, l, TCPX_NOW), TCPX_EDEADLINE);
    ck_answers(l);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(a_server_that_does_not_listen_yet_is_live)
{
    int fd = bind_raw(SOCK_STREAM);

    ck_assert_int_eq(connect_unix(path), -ECONNREFUSED);
    ck_refused(address, NULL, -EADDRINUSE, "live");
    ck_assert_int_eq(listen(fd, 1), 0);
    close(connect_unix(path));
    close(fd);
    unlink(path);
}
END_TEST

START_TEST(sockets_of_other_kinds_stay)
{
    int fd = bind_raw(SOCK_DGRAM);

    ck_refused(address, NULL, -EADDRINUSE, "datagram");
    ck_assert_int_eq(exists(path), 1);
    close(fd);
    unlink(path);
    fd = bind_raw(SOCK_SEQPACKET);
    ck_refused(address, NULL, -EADDRINUSE, "live");
    ck_assert_int_eq(exists(path), 1);
    close(fd);
    unlink(path);
}
END_TEST

START_TEST(what_is_no_socket_stays_and_is_named)
{
    char target[64];

    snprintf(target, sizeof(target), "%s/t", directory);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    ck_refused(address, NULL, -EADDRINUSE, "ordinary file");
    ck_assert_int_eq(unlink(path), 0);

    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_refused(address, NULL, -EADDRINUSE, "directory");
    ck_assert_int_eq(rmdir(path), 0);

    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_refused(address, NULL, -EADDRINUSE, "no socket");
    ck_assert_int_eq(unlink(path), 0);

    /* Neither a link that leads nowhere, nor one to a stale socket. */
    ck_assert_int_eq(symlink(target, path), 0);
    ck_refused(address, NULL, -EADDRINUSE, "symbolic link");
    ck_assert_int_eq(exists(target), 0);
    ck_assert_int_eq(unlink(path), 0);
    leave_stale_socket();
    ck_assert_int_eq(rename(path, target), 0);
    ck_assert_int_eq(symlink(target, path), 0);
    ck_refused(address, NULL, -EADDRINUSE, "symbolic link");
    ck_assert_int_eq(unlink(target), 0);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

struct start {
    pthread_barrier_t barrier;
    tcpx_listener *listeners[STARTERS];
    atomic_int next;
};

static void *start_one(void *arg)
{
    struct start *start = arg;
    int i = atomic_fetch_add(&start->next, 1);
    int err;

    pthread_barrier_wait(&start->barrier);
    err = tcpx_listen(&start->listeners[i], address, NULL);
    if (err)
        ck_fails(err, -EADDRINUSE);
    return NULL;
}

START_TEST(of_many_starters_at_once_exactly_one_gets_a_stale_path)
{
    for (int round = 0; round < 30; round++) {
        struct start start = {.next = 0};
        pthread_t threads[STARTERS];
        tcpx_listener *winner = NULL;

        leave_stale_socket();
        pthread_barrier_init(&start.barrier, NULL, STARTERS);
        for (int i = 0; i < STARTERS; i++)
            threads[i] = start_thread(start_one, &start);
        for (int i = 0; i < STARTERS; i++)
            end_thread(threads[i]);
        pthread_barrier_destroy(&start.barrier);
        for (int i = 0; i < STARTERS; i++) {
            if (!start.listeners[i])
                continue;
            ck_assert_ptr_null(winner);
            winner = start.listeners[i];
        }
        ck_assert_ptr_nonnull(winner);
        ck_answers(winner);
        tcpx_listener_close(winner);
    }
}
END_TEST

START_TEST(a_stale_socket_stays_while_its_directory_cannot_be_locked)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    leave_stale_socket();
    ck_refused(address, NULL, -EADDRINUSE, "locked");
    ck_assert_int_eq(exists(path), 1);
    close(fd);
    tcpx_listener_close(listen_on(address, NULL));
}
END_TEST

START_TEST(a_stale_socket_of_another_user_stays)
{
    if (geteuid() != 0)
        skip_test("only root can make files of another user");
    ck_assert_int_eq(chmod(directory, 01777), 0);
    leave_stale_socket();
    ck_assert_int_eq(setresuid(65534, 65534, 0), 0);
    ck_assert_int_eq(chmod(directory, 01777), -1);
    ck_refused(address, NULL, -EADDRINUSE, "not ours");
    ck_assert_int_eq(setresuid(0, 0, 0), 0);
    ck_assert_int_eq(chmod(path, 0666), 0);
    ck_assert_int_eq(setresuid(65534, 65534, 0), 0);
    ck_refused(address, NULL, -EADDRINUSE, "cannot be removed");
    ck_assert_int_eq(setresuid(0, 0, 0), 0);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

static void fill_in_the_way(TCase *tc)
{
    tcase_add_checked_fixture(tc, make_directory, remove_directory);
    tcase_add_test(tc, a_path_with_nothing_there_is_made_and_removed_at_close);
    tcase_add_test(tc, a_stale_socket_is_replaced);
    tcase_add_test(tc, a_stale_datagram_socket_is_replaced_too);
    tcase_add_test(tc, a_live_server_stays_and_meets_no_client_by_the_attempt);
    tcase_add_test(tc, a_server_that_does_not_listen_yet_is_live);
    tcase_add_test(tc, sockets_of_other_kinds_stay);
    tcase_add_test(tc, what_is_no_socket_stays_and_is_named);
    tcase_add_test(tc, of_many_starters_at_once_exactly_one_gets_a_stale_path);
    tcase_add_test(tc,
                   a_stale_socket_stays_while_its_directory_cannot_be_locked);
    tcase_add_test(tc, a_stale_socket_of_another_user_stays);
}

const struct test_case test_cases[] = {
    {"listen_unix", "in-the-way", fill_in_the_way},
    {NULL, NULL, NULL},
};
