/* SPDX-License-Identifier: MIT */
/*
 * t_socket_file.c - the file of a Unix socket, its path, and its clients.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "listening.h"
#include "runner.h"
#include "socket_file.h"
#include "support.h"

/* ---- The file ------------------------------------------------------------ */

START_TEST(the_file_has_the_mode_asked_for_whatever_the_umask)
{
    static const mode_t masks[] = {0, 022, 077, 0777};

    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        mode_t old = umask(masks[i]);
        tcpx_listener *l = listen_on(address, NULL);

        ck_assert_uint_eq(mode_of(path), 0600);
        tcpx_listener_close(l);
        l = listen_on(address, TCPX_LISTEN(.unix_mode = 0666));
        ck_assert_uint_eq(mode_of(path), 0666);
        tcpx_listener_close(l);
        l = listen_on(address, TCPX_LISTEN(.unix_mode = 0620));
        ck_assert_uint_eq(mode_of(path), 0620);
        tcpx_listener_close(l);
        ck_assert_uint_eq(umask(old), masks[i]);
    }
}
END_TEST

START_TEST(keep_socket_file_leaves_the_file_at_close)
{
    tcpx_listener_close(listen_on(address, TCPX_LISTEN(.keep_socket_file = 1)));
    ck_assert_int_eq(exists(path), 1);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(close_leaves_a_file_that_is_no_longer_its_own)
{
    tcpx_listener *first = listen_on(address, NULL);
    tcpx_listener *second;

    /* An administrator removes the file and starts the next server. */
    ck_assert_int_eq(unlink(path), 0);
    second = listen_on(address, NULL);
    tcpx_listener_close(first);
    ck_answers(second);
    tcpx_listener_close(second);

    first = listen_on(address, NULL);
    ck_assert_int_eq(unlink(path), 0);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    tcpx_listener_close(first);
    ck_assert_int_eq(unlink(path), 0);

    first = listen_on(address, NULL);
    ck_assert_int_eq(unlink(path), 0);
    tcpx_listener_close(first);
}
END_TEST

static void close_listener(void *listener)
{
    tcpx_listener_close(listener);
}

START_TEST(a_forked_child_does_not_remove_the_file)
{
    tcpx_listener *l = listen_on(address, NULL);

    end_child(start_child(close_listener, l));
    ck_answers(l);
    tcpx_listener_close(l);
    ck_assert_int_eq(exists(path), 0);
}
END_TEST

START_TEST(an_adopted_listener_leaves_the_file)
{
    int fd = bind_raw(SOCK_STREAM);
    tcpx_listener *l = NULL;

    ck_assert_int_eq(listen(fd, 5), 0);
    ck_ok(tcpx_listener_adopt(&l, fd, NULL));
    ck_assert_str_eq(tcpx_listener_address(l), address);
    ck_assert_int_eq(tcpx_listener_backlog(l), 0); /* nothing tells it */
    ck_answers(l);
    tcpx_listener_close(l);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

static int refuse(int fd, void *arg)
{
    (void)fd;
    (void)arg;
    return -EPERM;
}

START_TEST(a_listen_that_fails_leaves_no_file)
{
    ck_refused(address, TCPX_LISTEN(.control = refuse), -EPERM, "hook");
    ck_assert_int_eq(exists(path), 0);
}
END_TEST

START_TEST(the_backlog_is_what_was_asked_for_up_to_the_limit)
{
    int most = somaxconn();
    tcpx_listener *l = listen_on(address, TCPX_LISTEN(.backlog = 3));

    ck_assert_int_eq(tcpx_listener_backlog(l), 3 < most ? 3 : most);
    tcpx_listener_close(l);
    l = listen_on(address, TCPX_LISTEN(.backlog = 1000000));
    ck_assert_int_eq(tcpx_listener_backlog(l), most);
    tcpx_listener_close(l);
}
END_TEST

/* ---- Paths and names ----------------------------------------------------- */

/* "unix:", the directory, and names of `n` bytes in all after "unix:". */
static void long_address(char *out, size_t n)
{
    snprintf(out, 256, "unix:%s/", directory);
    memset(out + strlen(out), 'x', n + 5 - strlen(out));
    out[n + 5] = '\0';
}

START_TEST(a_path_of_107_bytes_works_and_a_longer_one_is_no_address)
{
    char text[256] = "";
    tcpx_listener *l;

    long_address(text, 107);
    l = listen_on(text, NULL);
    ck_assert_str_eq(tcpx_listener_address(l), text);
    close(connect_unix(text + 5));
    tcpx_listener_close(l);
    ck_assert_int_eq(exists(text + 5), 0);
    /* Linux would take 108 bytes without a NUL, and few could connect. */
    memset(text, 0, sizeof(text));
    long_address(text, 108);
    ck_refused(text, NULL, TCPX_EADDRESS, "column");
    memset(text, 0, sizeof(text));
    long_address(text, 109);
    ck_refused(text, NULL, TCPX_EADDRESS, "column");
}
END_TEST

START_TEST(a_directory_that_does_not_exist_is_told_apart)
{
    char text[128];

    snprintf(text, sizeof(text), "unix:%s/no/s", directory);
    ck_refused(text, NULL, -ENOENT, "directory");
}
END_TEST

START_TEST(a_directory_where_anybody_may_replace_the_file_is_refused)
{
    ck_assert_int_eq(chmod(directory, 0777), 0);
    ck_refused(address, NULL, -EACCES, "anybody");
    ck_assert_int_eq(exists(path), 0);
    ck_assert_int_eq(chmod(directory, 01777), 0);
    tcpx_listener_close(listen_on(address, NULL));
}
END_TEST

START_TEST(a_path_relative_to_the_working_directory_works)
{
    char *old = getcwd(NULL, 0);
    tcpx_listener *l;

    ck_assert_ptr_nonnull(old);
    ck_assert_int_eq(chdir(directory), 0);
    l = listen_on("unix:s", NULL);
    ck_assert_str_eq(tcpx_listener_address(l), "unix:s");
    ck_answers(l);
    tcpx_listener_close(l);
    ck_assert_int_eq(exists(path), 0);
    leave_stale_socket();
    tcpx_listener_close(listen_on("unix:s", NULL));
    ck_assert_int_eq(chdir(old), 0);
    free(old);
}
END_TEST

START_TEST(a_file_is_removed_also_from_another_working_directory)
{
    char *old = getcwd(NULL, 0);
    tcpx_listener *l;

    ck_assert_ptr_nonnull(old);
    ck_assert_int_eq(chdir(directory), 0);
    l = listen_on("unix:s", NULL);
    ck_assert_int_eq(chdir(old), 0);
    ck_answers(l);
    tcpx_listener_close(l);
    ck_assert_int_eq(exists(path), 0);
    /* Nor is another's, by the same name elsewhere. */
    ck_assert_int_eq(chdir(directory), 0);
    l = listen_on("unix:./s", NULL);
    ck_assert_int_eq(rename("s", "t"), 0);
    leave_stale_socket();
    ck_assert_int_eq(chdir(old), 0);
    tcpx_listener_close(l);
    ck_assert_int_eq(exists(path), 1);
    ck_assert_int_eq(chdir(directory), 0);
    ck_assert_int_eq(unlink("s") | unlink("t"), 0);
    ck_assert_int_eq(chdir(old), 0);
    free(old);
}
END_TEST

START_TEST(a_file_is_removed_also_where_its_directory_was_renamed)
{
    char *old = getcwd(NULL, 0);
    tcpx_listener *l;

    ck_assert_ptr_nonnull(old);
    ck_assert_int_eq(chdir(directory), 0);
    ck_assert_int_eq(mkdir("d", 0700) | chdir("d"), 0);
    l = listen_on("unix:s", NULL);
    ck_assert_int_eq(rename("../d", "../e"), 0);
    tcpx_listener_close(l);
    ck_assert_int_eq(exists("s"), 0);
    ck_assert_int_eq(rmdir("../e"), 0);
    ck_assert_int_eq(chdir(old), 0);
    free(old);
}
END_TEST

START_TEST(an_abstract_name_has_no_file_and_one_listener)
{
    char name[64];
    tcpx_listener *l;

    snprintf(name, sizeof(name), "unix:@tcpx-test-%d", (int)getpid());
    l = listen_on(name, NULL);
    ck_assert_str_eq(tcpx_listener_address(l), name);
    ck_refused(name, NULL, -EADDRINUSE, name);
    tcpx_listener_close(l);
    tcpx_listener_close(listen_on(name, NULL));
}
END_TEST

/* ---- Clients ------------------------------------------------------------- */

START_TEST(a_client_is_served_and_options_of_tcp_are_left_out)
{
    tcpx_listener *l = listen_on(
        address,
        TCPX_LISTEN(.keepalive_count = 5, .user_timeout = TCPX_SEC, .nagle = 1,
                    .mptcp = 1, .defer_accept = 1, .fastopen = 5, .v6_only = 1,
                    .reuse_port = 1, .interface = "lo", .send_buffer = 30000));
    int client = connect_unix(path);
    tcpx_conn *c = accept_on(l);
    char text[5];

    ck_assert_str_eq(tcpx_conn_peer(c), "unix:");
    ck_assert_str_eq(tcpx_conn_local(c), address);
    ck_assert_int_eq(fcntl(tcpx_conn_fd(c), F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(tcpx_conn_fd(c), F_GETFD) & FD_CLOEXEC, 0);
    raw_send(client, "hello", 5);
    ck_ok(tcpx_readn(c, text, 5, NULL, soon()));
    ck_ok(tcpx_writen(c, text, 5, NULL, soon()));
    ck_ok(tcpx_flush(c, TCPX_NOW)); /* there is nothing to acknowledge */
    ck_assert_uint_eq(raw_recv(client, text, 5), 5);
    tcpx_abort(c);
    close(client);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(what_is_unread_at_a_close_resets_the_client)
{
    tcpx_listener *l = listen_on(address, NULL);
    int client = connect_unix(path);
    tcpx_conn *c = accept_on(l);
    char byte;

    raw_send(client, "x", 1);
    tcpx_abort(c);
    ck_assert_int_eq((int)recv(client, &byte, 1, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    close(client);
    tcpx_listener_close(l);
}
END_TEST

static void fill_file(TCase *tc)
{
    tcase_add_checked_fixture(tc, make_directory, remove_directory);
    tcase_add_test(tc, the_file_has_the_mode_asked_for_whatever_the_umask);
    tcase_add_test(tc, keep_socket_file_leaves_the_file_at_close);
    tcase_add_test(tc, close_leaves_a_file_that_is_no_longer_its_own);
    tcase_add_test(tc, a_forked_child_does_not_remove_the_file);
    tcase_add_test(tc, an_adopted_listener_leaves_the_file);
    tcase_add_test(tc, a_listen_that_fails_leaves_no_file);
    tcase_add_test(tc, the_backlog_is_what_was_asked_for_up_to_the_limit);
}

static void fill_paths(TCase *tc)
{
    tcase_add_checked_fixture(tc, make_directory, remove_directory);
    tcase_add_test(tc,
                   a_path_of_107_bytes_works_and_a_longer_one_is_no_address);
    tcase_add_test(tc, a_directory_that_does_not_exist_is_told_apart);
    tcase_add_test(tc,
                   a_directory_where_anybody_may_replace_the_file_is_refused);
    tcase_add_test(tc, a_path_relative_to_the_working_directory_works);
    tcase_add_test(tc, a_file_is_removed_also_from_another_working_directory);
    tcase_add_test(tc, a_file_is_removed_also_where_its_directory_was_renamed);
    tcase_add_test(tc, an_abstract_name_has_no_file_and_one_listener);
}

static void fill_clients(TCase *tc)
{
    tcase_add_checked_fixture(tc, make_directory, remove_directory);
    tcase_add_test(tc, a_client_is_served_and_options_of_tcp_are_left_out);
    tcase_add_test(tc, what_is_unread_at_a_close_resets_the_client);
}

const struct test_case test_cases[] = {
    {"listen_unix", "file", fill_file},
    {"listen_unix", "paths", fill_paths},
    {"listen_unix", "clients", fill_clients},
    {NULL, NULL, NULL},
};
