/* SPDX-License-Identifier: MIT */
/*
 * t_connect_options.c - what connect's options do, and which are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "peers.h"
#include "runner.h"
#include "support.h"

static int listener;
static char address[64];
static tcpx_conn *c;
static int peer;

static void listen_first(void)
{
    listener = raw_listen(address, sizeof(address));
}

static void close_last(void)
{
    close(listener);
}

static void connect_with(const tcpx_connect_opts *opts)
{
    ck_ok(tcpx_connect(&c, address, opts, soon()));
    peer = raw_accept(listener);
}

static void end(void)
{
    check_works(c, peer);
}

/* ---- The socket ---------------------------------------------------------- */

START_TEST(by_default_the_socket_is_as_a_careful_program_sets_it)
{
    connect_with(NULL);
    ck_assert_int_eq(option_of(c, IPPROTO_TCP, TCP_NODELAY), 1);
    ck_assert_int_eq(option_of(c, SOL_SOCKET, SO_KEEPALIVE), 1);
    ck_assert_int_eq(option_of(c, IPPROTO_TCP, TCP_KEEPIDLE), 60);
    ck_assert_int_eq(option_of(c, IPPROTO_TCP, TCP_KEEPINTVL), 15);
    ck_assert_int_eq(option_of(c, IPPROTO_TCP, TCP_KEEPCNT), 4);
    /* It would kill a live peer that only does not read. */
    ck_assert_int_eq(option_of(c, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    ck_assert_int_eq(fcntl(tcpx_conn_fd(c), F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(tcpx_conn_fd(c), F_GETFL) & O_NONBLOCK, 0);
    end();
}
END_TEST

START_TEST(every_option_reaches_the_socket)
{
    connect_with(TCPX_CONNECT(.keepalive_idle = 7 * TCPX_SEC + 1,
                              .keepalive_interval = 3 * TCPX_SEC,
                              .keepalive_count = 9,
                              .user_timeout = 4 * TCPX_SEC, .nagle = 1,
                              .send_buffer = 30000, .receive_buffer = 20000));
    ck_assert_int_eq(option_of(c, IPPROTO_TCP, TCP_NODELAY), 0);
    ck_assert_int_eq(option_of(c, SOL_SOCKET, SO_KEEPALIVE), 1);
    ck_assert_int_eq(option_of(c, IPPROTO_TCP, TCP_KEEPIDLE), 8);
    ck_assert_int_eq(option_of(c, IPPROTO_TCP, TCP_KEEPINTVL), 3);
    ck_assert_int_eq(option_of(c, IPPROTO_TCP, TCP_KEEPCNT), 9);
    ck_assert_int_eq(option_of(c, IPPROTO_TCP, TCP_USER_TIMEOUT), 4000);
    /* The kernel doubles what it is asked for, socket(7). */
    ck_assert_int_eq(option_of(c, SOL_SOCKET, SO_SNDBUF), 60000);
    ck_assert_int_eq(option_of(c, SOL_SOCKET, SO_RCVBUF), 40000);
    end();
}
END_TEST

START_TEST(what_is_on_can_be_switched_off)
{
    connect_with(TCPX_CONNECT(.keepalive_idle = TCPX_NONE,
                              .user_timeout = TCPX_NONE, .spin = TCPX_NONE));
    ck_assert_int_eq(option_of(c, SOL_SOCKET, SO_KEEPALIVE), 0);
    ck_assert_int_eq(option_of(c, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    end();
}
END_TEST

START_TEST(options_made_by_the_function_are_the_same)
{
    tcpx_connect_opts opts = tcpx_connect_defaults();

    opts.nagle = 1;
    connect_with(&opts);
    ck_assert_int_eq(option_of(c, IPPROTO_TCP, TCP_NODELAY), 0);
    end();
}
END_TEST

START_TEST(multipath_and_fast_open_fall_back_to_plain_tcp_in_silence)
{
    /* The listener speaks neither. */
    connect_with(TCPX_CONNECT(.mptcp = 1, .fastopen = 1));
    end();
}
END_TEST

/* What the control hook of a test is to do. */
static struct {
    int result;
    int calls;
    int named;     /* the socket had a name already */
    int connected; /* or a peer */
} hook;

static int control(int fd, void *arg)
{
    struct sockaddr_in name;
    socklen_t len = sizeof(name);
    int on = 1;

    ck_assert_ptr_eq(arg, &hook);
    hook.calls++;
    hook.connected = getpeername(fd, (struct sockaddr *)&name, &len) == 0;
    len = sizeof(name);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    hook.named = name.sin_port != 0;
    setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on));
    return hook.result;
}

START_TEST(the_control_hook_has_the_socket_before_bind_and_connect)
{
    connect_with(TCPX_CONNECT(.control = control, .control_arg = &hook,
                              .bind = "127.0.0.1"));
    ck_assert_int_eq(hook.calls, 1);
    ck_assert_int_eq(hook.named, 0);
    ck_assert_int_eq(hook.connected, 0);
    ck_assert_int_eq(option_of(c, IPPROTO_IP, IP_RECVTTL), 1);
    end();
}
END_TEST

START_TEST(a_control_hook_that_fails_gives_the_attempt_up)
{
    hook.result = -EXDEV;
    ck_fails(
        tcpx_connect(&c, address,
                     TCPX_CONNECT(.control = control, .control_arg = &hook),
                     soon()),
        -EXDEV);
    ck_says("given up by .control");
}
END_TEST

static void fill_socket(TCase *tc)
{
    tcase_add_checked_fixture(tc, listen_first, close_last);
    tcase_add_test(tc, by_default_the_socket_is_as_a_careful_program_sets_it);
    tcase_add_test(tc, every_option_reaches_the_socket);
    tcase_add_test(tc, what_is_on_can_be_switched_off);
    tcase_add_test(tc, options_made_by_the_function_are_the_same);
    tcase_add_test(tc,
                   multipath_and_fast_open_fall_back_to_plain_tcp_in_silence);
    tcase_add_test(tc, the_control_hook_has_the_socket_before_bind_and_connect);
    tcase_add_test(tc, a_control_hook_that_fails_gives_the_attempt_up);
}

/* ---- From where ---------------------------------------------------------- */

static int fails_with_bind(const char *local)
{
    return tcpx_connect(&c, address, TCPX_CONNECT(.bind = local), soon());
}

START_TEST(bind_chooses_the_local_address)
{
    connect_with(TCPX_CONNECT(.bind = "127.1.2.3"));
    ck_assert_int_eq(strncmp(tcpx_conn_local(c), "127.1.2.3:", 10), 0);
    end();
}
END_TEST

/* Connects to name from a port that was free a moment ago, written to local;
   without its address, if `with` is 0. */
static void connect_from_port(const char *name, char local[64], int with)
{
    int err;

    /* Another test may have taken it since. */
    do {
        close(dead_port(local, 64));
        err = tcpx_connect(
            &c, name, TCPX_CONNECT(.bind = with ? local : strchr(local, ':')),
            soon());
    } while (err == -EADDRINUSE);
    ck_ok(err);
    peer = raw_accept(listener);
}

START_TEST(bind_chooses_the_local_port)
{
    char local[64];

    for (int with = 0; with < 2; with++) {
        connect_from_port(address, local, with);
        ck_assert_str_eq(tcpx_conn_local(c), local);
        end();
    }
}
END_TEST

START_TEST(a_local_port_serves_both_families_of_a_name)
{
    char local[64];
    char name[64];

    snprintf(name, sizeof(name), "localhost%s", strchr(address, ':'));
    connect_from_port(name, local, 0);
    ck_assert_str_eq(tcpx_conn_local(c), local);
    end();
}
END_TEST

START_TEST(a_local_address_that_is_not_ours_is_named)
{
    ck_fails(fails_with_bind("192.0.2.77"), -EADDRNOTAVAIL);
    ck_says("the local address is not this host's");
}
END_TEST

START_TEST(a_local_port_that_is_taken_is_named)
{
    ck_fails(fails_with_bind(address), -EADDRINUSE);
    ck_says("the local port is taken");
}
END_TEST

START_TEST(a_local_address_is_numeric)
{
    static const char *const wrong[] = {"localhost", "unix:/x",     "127.1",
                                        "",          "127.0.0.1:x", "fd:1"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_fails(fails_with_bind(wrong[i]),
                 i == 4 ? TCPX_ERESOLVE : TCPX_EADDRESS);
    ck_fails(fails_with_bind("[fe80::1%nope]"), -ENODEV);
    ck_fails(fails_with_bind("x"), TCPX_EADDRESS);
    ck_says(": bind \"x\": column 1: a local address is numeric");
}
END_TEST

START_TEST(a_link_local_peer_without_a_zone_is_told_how_to_write_it)
{
    int err = tcpx_connect(&c, "[fe80::1]:80", NULL, soon());

    if (err != -EINVAL)
        skip_test("no IPv6 here: %s", tcpx_errmsg());
    ck_says("a link-local address needs a zone, as in [fe80::1%eth0]:80");
}
END_TEST

START_TEST(a_local_address_leaves_the_other_family_out)
{
    tcpx_connect_report *report = NULL;
    char name[64];

    ck_fails(fails_with_bind("[::1]"), TCPX_ERESOLVE);
    ck_says("no IPv6 address");

    snprintf(name, sizeof(name), "localhost%s", strchr(address, ':'));
    ck_ok(tcpx_connect(&c, name,
                       TCPX_CONNECT(.bind = "127.0.0.1", .report = &report),
                       soon()));
    peer = raw_accept(listener);
    ck_assert_uint_eq(tcpx_connect_report_count(report), 1);
    tcpx_connect_report_free(report);
    end();
}
END_TEST

START_TEST(an_interface_can_be_chosen)
{
    int err =
        tcpx_connect(&c, address, TCPX_CONNECT(.interface = "lo"), soon());

    if (err == -EPERM)
        skip_test("binding to an interface is not permitted here");
    ck_ok(err);
    peer = raw_accept(listener);
    end();
}
END_TEST

START_TEST(an_interface_that_does_not_exist_is_named)
{
    static const char *const wrong[] = {"nope0", "", "lo_and_fifteen_more"};

    for (size_t i = 0; i < 3; i++) {
        ck_fails(tcpx_connect(&c, address, TCPX_CONNECT(.interface = wrong[i]),
                              soon()),
                 -ENODEV);
        ck_says("no such interface");
    }
}
END_TEST

START_TEST(a_family_can_be_chosen)
{
    ck_fails(
        tcpx_connect(&c, address, TCPX_CONNECT(.family = AF_INET6), soon()),
        TCPX_ERESOLVE);
    ck_says("no IPv6 address");
    connect_with(TCPX_CONNECT(.family = AF_INET));
    end();
}
END_TEST

static void fill_from(TCase *tc)
{
    tcase_add_checked_fixture(tc, listen_first, close_last);
    tcase_add_test(tc, bind_chooses_the_local_address);
    tcase_add_test(tc, bind_chooses_the_local_port);
    tcase_add_test(tc, a_local_port_serves_both_families_of_a_name);
    tcase_add_test(tc, a_local_address_that_is_not_ours_is_named);
    tcase_add_test(tc, a_local_port_that_is_taken_is_named);
    tcase_add_test(tc, a_local_address_is_numeric);
    tcase_add_test(tc,
                   a_link_local_peer_without_a_zone_is_told_how_to_write_it);
    tcase_add_test(tc, a_local_address_leaves_the_other_family_out);
    tcase_add_test(tc, an_interface_can_be_chosen);
    tcase_add_test(tc, an_interface_that_does_not_exist_is_named);
    tcase_add_test(tc, a_family_can_be_chosen);
}

/* ---- Bad input ----------------------------------------------------------- */

START_TEST(a_wrong_option_is_refused_and_named)
{
    const struct {
        tcpx_connect_opts opts;
        const char *name;
    } wrong[] = {
        {*TCPX_CONNECT(.start_only = 2), "start_only"},
        {*TCPX_CONNECT(.mptcp = -1), "mptcp"},
        {*TCPX_CONNECT(.fastopen = 3), "fastopen"},
        {*TCPX_CONNECT(.nagle = 2), "nagle"},
        {*TCPX_CONNECT(.family = AF_UNIX), "family"},
        {*TCPX_CONNECT(.family = AF_INET6, .bind = "127.0.0.1"), "family"},
        {*TCPX_CONNECT(.reserved_0 = 1), "reserved_0"},
        {*TCPX_CONNECT(.attempt_delay = TCPX_NONE), "attempt_delay"},
        {*TCPX_CONNECT(.resolution_delay = -2), "resolution_delay"},
        {*TCPX_CONNECT(.keepalive_idle = -2), "keepalive_idle"},
        {*TCPX_CONNECT(.keepalive_interval = -1), "keepalive_interval"},
        {*TCPX_CONNECT(.keepalive_count = -1), "keepalive_count"},
        {*TCPX_CONNECT(.send_buffer = -1), "send_buffer"},
        {*TCPX_CONNECT(.receive_buffer = INT_MIN), "receive_buffer"},
        {*TCPX_CONNECT(.user_timeout = INT64_MAX), "user_timeout"},
        {*TCPX_CONNECT(.spin = -7), "spin"},
        {*TCPX_CONNECT(.attempt_delay = 250), "attempt_delay is 250 nano"},
        {*TCPX_CONNECT(.resolution_delay = 50), "50 * TCPX_SEC"},
        {*TCPX_CONNECT(.keepalive_idle = 60), "keepalive_idle is 60 nano"},
        {*TCPX_CONNECT(.keepalive_interval = TCPX_MSEC - 1), "nanoseconds"},
        {*TCPX_CONNECT(.user_timeout = 30), "user_timeout is 30 nano"},
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ck_fails(tcpx_connect(&c, address, &wrong[i].opts, soon()), -EINVAL);
        ck_says(wrong[i].name);
    }
}
END_TEST

START_TEST(options_without_their_size_are_refused)
{
    static const uint32_t sizes[] = {0, 8, sizeof(tcpx_connect_opts) - 1};
    tcpx_connect_opts opts = tcpx_connect_defaults();

    for (size_t i = 0; i < 3; i++) {
        opts.size = sizes[i];
        ck_fails(tcpx_connect(&c, address, &opts, soon()), -EINVAL);
        ck_says("size");
    }
}
END_TEST

START_TEST(options_of_a_newer_program_are_taken_if_they_ask_for_nothing_new)
{
    struct {
        tcpx_connect_opts opts;
        char more[16];
    } newer;

    memset(&newer, 0, sizeof(newer));
    newer.opts.size = sizeof(newer);
    connect_with(&newer.opts);
    end();
    newer.more[15] = 1;
    ck_fails(tcpx_connect(&c, address, &newer.opts, soon()), -E2BIG);
}
END_TEST

START_TEST(a_missing_argument_is_refused)
{
    tcpx_conn *none = NULL;

    ck_fails(tcpx_connect(NULL, address, NULL, soon()), -EINVAL);
    ck_fails(tcpx_connect(&none, NULL, NULL, soon()), -EINVAL);
    ck_assert_ptr_null(none);
    ck_assert_uint_eq(tcpx_connect_report_count(NULL), 0);
    ck_assert_ptr_null(tcpx_connect_report_at(NULL, 0));
    tcpx_connect_report_free(NULL);
}
END_TEST

START_TEST(text_that_is_no_address_to_connect_to_is_refused)
{
    static const char *const wrong[] = {"",
                                        "127.0.0.1",
                                        ":80",
                                        "*:80",
                                        "fd:3",
                                        "systemd:",
                                        "127.1",
                                        "host:0",
                                        "[::1]:0",
                                        "::1:80",
                                        "127.0.0.1:70000",
                                        "unix:",
                                        "host name:80"};
    tcpx_connect_report *report;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        memset(&report, 0xa5, sizeof(report));
        ck_fails(
            tcpx_connect(&c, wrong[i], TCPX_CONNECT(.report = &report), soon()),
            TCPX_EADDRESS);
        ck_assert_ptr_null(report);
        ck_assert_int_eq(strncmp(tcpx_errmsg(), "connect ", 8), 0);
    }
}
END_TEST

START_TEST(what_is_for_tcp_alone_is_refused_for_a_unix_socket)
{
    const tcpx_connect_opts wrong[] = {*TCPX_CONNECT(.bind = "127.0.0.1"),
                                       *TCPX_CONNECT(.interface = "lo"),
                                       *TCPX_CONNECT(.family = AF_INET)};

    for (size_t i = 0; i < 3; i++)
        ck_fails(tcpx_connect(&c, "unix:@x", &wrong[i], soon()), -EINVAL);
}
END_TEST

START_TEST(a_failure_leaves_the_output_as_it_was)
{
    tcpx_conn *mark = (tcpx_conn *)&c;
    tcpx_conn *out = mark;
    int held = dead_port(address, sizeof(address));

    ck_fails(tcpx_connect(&out, address, NULL, soon()), -ECONNREFUSED);
    ck_assert_ptr_eq(out, mark);
    ck_fails(tcpx_connect(&out, "nonsense", NULL, soon()), TCPX_EADDRESS);
    ck_assert_ptr_eq(out, mark);
    close(held);
}
END_TEST

static void fill_bad(TCase *tc)
{
    tcase_add_checked_fixture(tc, listen_first, close_last);
    tcase_add_test(tc, a_wrong_option_is_refused_and_named);
    tcase_add_test(tc, options_without_their_size_are_refused);
    tcase_add_test(
        tc, options_of_a_newer_program_are_taken_if_they_ask_for_nothing_new);
    tcase_add_test(tc, a_missing_argument_is_refused);
    tcase_add_test(tc, text_that_is_no_address_to_connect_to_is_refused);
    tcase_add_test(tc, what_is_for_tcp_alone_is_refused_for_a_unix_socket);
    tcase_add_test(tc, a_failure_leaves_the_output_as_it_was);
}

const struct test_case test_cases[] = {
    {"connect_options", "socket", fill_socket},
    {"connect_options", "from", fill_from},
    {"connect_options", "bad", fill_bad},
    {NULL, NULL, NULL},
};
