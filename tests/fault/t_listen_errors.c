/* SPDX-License-Identifier: MIT */
/*
 * t_listen_errors.c - listening while system calls fail.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "faults.h"
#include "listening.h"
#include "runner.h"
#include "socket_file.h"
#include "support.h"

/* ---- A family that is off ------------------------------------------------ */

static void ck_listens_on(const char *asked, const char *prefix)
{
    tcpx_listener *l = listen_on(asked, NULL);

    ck_assert_msg(!strncmp(tcpx_listener_address(l), prefix, strlen(prefix)),
                  "%s listens on %s", asked, tcpx_listener_address(l));
    tcpx_listener_close(l);
}

START_TEST(a_wildcard_is_ipv4_alone_where_ipv6_is_off)
{
    fail_calls(TCPX__SYS_socket, 1, 1, -EAFNOSUPPORT);
    ck_listens_on(":0", "0.0.0.0:");
    fail_calls(TCPX__SYS_bind, 1, 1, -EADDRNOTAVAIL);
    ck_listens_on("*:0", "0.0.0.0:");
}
END_TEST

START_TEST(what_asks_for_ipv6_says_that_it_is_off)
{
    fail_calls(TCPX__SYS_socket, 1, 1, -EAFNOSUPPORT);
    ck_refused("[::1]:0", NULL, -EAFNOSUPPORT, "IPv6 is off");
    fail_calls(TCPX__SYS_socket, 1, 1, -EAFNOSUPPORT);
    ck_refused(":0", TCPX_LISTEN(.v6_only = 1), -EAFNOSUPPORT, "IPv6 is off");
    ck_assert_int_eq(calls_seen(), 1);
}
END_TEST

START_TEST(localhost_is_ipv6_where_ipv4_is_off)
{
    fail_calls(TCPX__SYS_socket, 1, 1, -EAFNOSUPPORT);
    ck_listens_on("localhost:0", "[::1]:");
    fail_calls(TCPX__SYS_bind, 1, 1, -EADDRNOTAVAIL);
    ck_listens_on("localhost:0", "[::1]:");
}
END_TEST

START_TEST(another_error_of_ipv6_does_not_turn_to_ipv4)
{
    fail_calls(TCPX__SYS_bind, 1, 1, -EADDRINUSE);
    ck_refused(":0", NULL, -EADDRINUSE, ":0");
    ck_assert_int_eq(calls_seen(), 1);
}
END_TEST

/* ---- In use, as only listen(2) says ---------------------------------------
 */

static int rival;

static void rival_listens(void)
{
    ck_assert_int_eq(listen(rival, 1), 0);
}

START_TEST(a_port_that_only_listen_finds_taken_is_in_use)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof(sin);
    const int one = 1;
    char text[32];

    rival = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(rival, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(rival, (struct sockaddr *)&sin, sizeof(sin)), 0);
    ck_assert_int_eq(getsockname(rival, (struct sockaddr *)&sin, &len), 0);
    snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)ntohs(sin.sin_port));
    before_call(TCPX__SYS_listen, 1, rival_listens);
    ck_refused(text, NULL, -EADDRINUSE, "sport = ");
    ck_assert_int_eq(fail_none(), 1);
    close(rival);
}
END_TEST

/* ---- Multipath TCP and the backlog -----------------------------------------
 */

START_TEST(mptcp_that_is_refused_is_plain_tcp)
{
    tcpx_listener *l;

    fail_calls(TCPX__SYS_socket, 1, 1, -EPROTONOSUPPORT);
    l = listen_on("127.0.0.1:0", TCPX_LISTEN(.mptcp = 1));
    ck_assert_int_eq(fail_none(), 2);
    ck_assert_int_eq(option(tcpx_listener_fd(l), SOL_SOCKET, SO_PROTOCOL),
                     IPPROTO_TCP);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(a_backlog_that_the_socket_does_not_tell_is_known_from_the_limit)
{
    int most = somaxconn();
    tcpx_listener *l;

    fail_calls(TCPX__SYS_getsockopt, 1, INT32_MAX, -EOPNOTSUPP);
    l = listen_on("127.0.0.1:0", NULL);
    ck_assert_int_eq(tcpx_listener_backlog(l), most);
    tcpx_listener_close(l);
    l = listen_on("127.0.0.1:0", TCPX_LISTEN(.backlog = 2));
    ck_assert_int_eq(tcpx_listener_backlog(l), 2 < most ? 2 : most);
    tcpx_listener_close(l);
}
END_TEST

/* ---- Unix files ------------------------------------------------------------
 */

static unsigned seen_mode;

static void look_at_mode(void)
{
    seen_mode = mode_of(path);
}

START_TEST(the_file_has_its_mode_from_the_first_instant)
{
    mode_t old = umask(0);

    before_call(TCPX__SYS_stat, 2, look_at_mode); /* the first after bind */
    tcpx_listener_close(listen_on(address, TCPX_LISTEN(.unix_mode = 0640)));
    ck_assert_uint_eq(seen_mode, 0640);
    /* What the umask takes away is back before anybody can connect. */
    umask(077);
    before_call(TCPX__SYS_stat, 2, look_at_mode);
    tcpx_listener_close(listen_on(address, TCPX_LISTEN(.unix_mode = 0666)));
    ck_assert_uint_eq(seen_mode, 0600);
    before_call(TCPX__SYS_listen, 1, look_at_mode);
    tcpx_listener_close(listen_on(address, TCPX_LISTEN(.unix_mode = 0666)));
    ck_assert_uint_eq(seen_mode, 0666);
    umask(old);
}
END_TEST

START_TEST(a_listen_that_fails_after_bind_removes_its_file)
{
    mode_t old = umask(0777);

    fail_calls(TCPX__SYS_listen, 1, 1, -EADDRINUSE);
    ck_refused(address, NULL, -EADDRINUSE, address);
    ck_assert_int_eq(exists(path), 0);
    fail_calls(TCPX__SYS_chmod, 1, 1, -EPERM);
    ck_refused(address, NULL, -EPERM, address);
    ck_assert_int_eq(exists(path), 0);
    fail_calls(TCPX__SYS_getsockname, 1, 1, -ENOBUFS);
    ck_refused(address, NULL, -ENOBUFS, address);
    ck_assert_int_eq(exists(path), 0);
    umask(old);
}
END_TEST

START_TEST(a_socket_that_cannot_be_tried_or_locked_or_removed_stays)
{
    leave_stale_socket();
    fail_calls(TCPX__SYS_connect, 1, 1, -EACCES);
    ck_refused(address, NULL, -EADDRINUSE, "not ours");
    fail_calls(TCPX__SYS_connect, 1, 1, -ENOBUFS);
    ck_refused(address, NULL, -ENOBUFS, address);
    fail_calls(TCPX__SYS_flock, 1, 1, -ENOLCK);
    ck_refused(address, NULL, -EADDRINUSE, "locked");
    fail_calls(TCPX__SYS_unlink, 1, 1, -EPERM);
    ck_refused(address, NULL, -EADDRINUSE, "cannot be removed");
    ck_assert_int_eq(exists(path), 1);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

static void rival_starts(void)
{
    rival = bind_raw(SOCK_STREAM);
}

START_TEST(a_starter_that_was_faster_after_the_removal_keeps_the_path)
{
    leave_stale_socket();
    before_call(TCPX__SYS_bind, 2, rival_starts);
    ck_refused(address, NULL, -EADDRINUSE, address);
    ck_assert_int_eq(fail_none(), 2);
    ck_assert_int_eq(listen(rival, 1), 0);
    close(connect_unix(path));
    close(rival);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

static tcpx_listener *closing;

static void owner_closes(void)
{
    tcpx_listener_close(closing);
}

START_TEST(a_path_that_its_owner_frees_meanwhile_is_taken)
{
    closing = listen_on(address, NULL);
    before_call(TCPX__SYS_flock, 1, owner_closes);
    tcpx_listener_close(listen_on(address, NULL));
}
END_TEST

/* ---- Whatever fails --------------------------------------------------------
 */

/*
 * Lets one call after the other fail, until listening succeeds without having
 * come that far.  What fails must leave nothing behind that hinders the next;
 * descriptors are compared by the runner.
 */
static void ck_every_failure_is_clean(const char *asked,
                                      const tcpx_listen_opts *opts, int err,
                                      void (*prepare)(void))
{
    for (int i = 1;; i++) {
        tcpx_listener *l = NULL;
        int rc;
        int seen;

        ck_assert_int_lt(i, 100);
        if (prepare)
            prepare();
        fail_calls(TCPX__SYS_COUNT, i, 1, err);
        rc = tcpx_listen(&l, asked, opts);
        seen = fail_none();
        ck_assert_int_eq(rc == 0, l != NULL);
        if (!rc)
            tcpx_listener_close(l);
        else
            tcpx_listener_close(listen_on(asked, opts));
        if (seen < i) {
            ck_assert_int_gt(i, 10); /* else the hook was not asked */
            return;
        }
    }
}

START_TEST(whatever_call_fails_an_inet_listen_leaves_nothing)
{
    const tcpx_listen_opts *opts =
        TCPX_LISTEN(.mptcp = 1, .reuse_port = 1, .defer_accept = 1,
                    .fastopen = 5, .send_buffer = 9000, .interface = "lo",
                    .user_timeout = TCPX_SEC);
    static const int errors[] = {EMFILE, ENOMEM, ENOBUFS, EINVAL};

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        ck_every_failure_is_clean(":0", opts, -errors[i], NULL);
        ck_every_failure_is_clean("localhost:0", NULL, -errors[i], NULL);
    }
}
END_TEST

static void make_stale(void)
{
    if (!exists(path))
        leave_stale_socket();
}

START_TEST(whatever_call_fails_a_unix_listen_leaves_nothing)
{
    static const int errors[] = {EMFILE, ENOMEM, EACCES, EIO};

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        ck_every_failure_is_clean(address, NULL, -errors[i], NULL);
        ck_every_failure_is_clean(address, TCPX_LISTEN(.unix_mode = 0666),
                                  -errors[i], make_stale);
    }
}
END_TEST

START_TEST(whatever_call_fails_an_adopted_descriptor_stays_the_callers)
{
    for (int i = 1;; i++) {
        char text[32];
        int fd = raw_listen(text, sizeof(text));
        tcpx_listener *l = NULL;
        int rc;

        ck_assert_int_lt(i, 100);
        ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
        fail_calls(TCPX__SYS_COUNT, i, 1, -ENOBUFS);
        rc = tcpx_listener_adopt(&l, fd, NULL);
        ck_assert_int_eq(rc == 0, l != NULL);
        if (fail_none() < i) {
            ck_assert_int_gt(i, 10);
            tcpx_listener_close(l);
            return;
        }
        if (l) {
            tcpx_listener_close(l);
            continue;
        }
        /* Just as it was. */
        ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
        ck_assert_int_eq(fcntl(fd, F_GETFL), O_RDWR);
        close(raw_connect(text));
        ck_assert_int_eq(close(fd), 0);
    }
}
END_TEST

static void fill_families(TCase *tc)
{
    tcase_add_test(tc, a_wildcard_is_ipv4_alone_where_ipv6_is_off);
    tcase_add_test(tc, what_asks_for_ipv6_says_that_it_is_off);
    tcase_add_test(tc, localhost_is_ipv6_where_ipv4_is_off);
    tcase_add_test(tc, another_error_of_ipv6_does_not_turn_to_ipv4);
    tcase_add_test(tc, a_port_that_only_listen_finds_taken_is_in_use);
    tcase_add_test(tc, mptcp_that_is_refused_is_plain_tcp);
    tcase_add_test(
        tc, a_backlog_that_the_socket_does_not_tell_is_known_from_the_limit);
}

static void fill_files(TCase *tc)
{
    tcase_add_checked_fixture(tc, make_directory, remove_directory);
    tcase_add_test(tc, the_file_has_its_mode_from_the_first_instant);
    tcase_add_test(tc, a_listen_that_fails_after_bind_removes_its_file);
    tcase_add_test(tc,
                   a_socket_that_cannot_be_tried_or_locked_or_removed_stays);
    tcase_add_test(tc,
                   a_starter_that_was_faster_after_the_removal_keeps_the_path);
    tcase_add_test(tc, a_path_that_its_owner_frees_meanwhile_is_taken);
    tcase_add_test(tc, whatever_call_fails_a_unix_listen_leaves_nothing);
}

static void fill_everything(TCase *tc)
{
    tcase_add_test(tc, whatever_call_fails_an_inet_listen_leaves_nothing);
    tcase_add_test(tc,
                   whatever_call_fails_an_adopted_descriptor_stays_the_callers);
}

const struct test_case test_cases[] = {
    {"listen", "families", fill_families},
    {"listen", "files", fill_files},
    {"listen", "failures", fill_everything},
    {NULL, NULL, NULL},
};
