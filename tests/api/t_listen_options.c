/* SPDX-License-Identifier: MIT */
/*
 * t_listen_options.c - each option of listening, read back.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "listening.h"
#include "runner.h"
#include "support.h"

START_TEST(the_backlog_in_force_is_what_was_asked_for_up_to_the_limit)
{
    static const int asked[] = {0, 1, 2, 100, 4096, 1000000, INT32_MAX};
    int most = somaxconn();

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        int expected = asked[i] && asked[i] < most ? asked[i] : most;
        tcpx_listener *l =
            listen_on("127.0.0.1:0", TCPX_LISTEN(.backlog = asked[i]));

        ck_assert_int_eq(tcpx_listener_backlog(l), expected);
        close(raw_connect(tcpx_listener_address(l)));
        tcpx_listener_close(l);
    }
}
END_TEST

START_TEST(a_listener_is_non_blocking_and_closed_on_exec)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    int fd = tcpx_listener_fd(l);

    ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(what_shapes_a_listener_is_set_on_and_off)
{
    tcpx_listener *l = listen_on("[::]:0", NULL);
    int fd = tcpx_listener_fd(l);

    ck_assert_int_eq(option(fd, SOL_SOCKET, SO_REUSEADDR), 1);
    ck_assert_int_eq(option(fd, SOL_SOCKET, SO_REUSEPORT), 0);
    ck_assert_int_eq(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
    ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_FASTOPEN), 0);
    tcpx_listener_close(l);

    l = listen_on("[::]:0",
                  TCPX_LISTEN(.no_reuse_address = 1, .reuse_port = 1,
                              .v6_only = 1, .defer_accept = 3, .fastopen = 16));
    fd = tcpx_listener_fd(l);
    ck_assert_int_eq(option(fd, SOL_SOCKET, SO_REUSEADDR), 0);
    ck_assert_int_eq(option(fd, SOL_SOCKET, SO_REUSEPORT), 1);
    ck_assert_int_eq(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    ck_assert_int_ge(option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 3);
    ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_FASTOPEN), 16);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(defer_accept_keeps_a_silent_client_out_of_accept)
{
    tcpx_listener *l =
        listen_on("127.0.0.1:0", TCPX_LISTEN(.defer_accept = 30));
    tcpx_conn *c = NULL;
    int client = raw_connect(tcpx_listener_address(l));

    ck_fails(tcpx_accept(&c, l, TCPX_NOW), TCPX_EDEADLINE);
    raw_send(client, "hello", 5);
    ck_ok(tcpx_accept(&c, l, soon()));
    tcpx_abort(c);
    close(client);
    tcpx_listener_close(l);
}
END_TEST

static int can_have_mptcp(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 262);

    if (fd < 0)
        return 0;
    close(fd);
    return 1;
}

START_TEST(mptcp_is_spoken_if_asked_for_and_plain_tcp_is_served_too)
{
    tcpx_listener *l;
    tcpx_conn *c = NULL;
    int client;

    if (!can_have_mptcp())
        skip_test("this kernel has no Multipath TCP");
    l = listen_on("127.0.0.1:0", NULL);
    ck_assert_int_eq(option(tcpx_listener_fd(l), SOL_SOCKET, SO_PROTOCOL),
                     IPPROTO_TCP);
    tcpx_listener_close(l);
    l = listen_on("127.0.0.1:0", TCPX_LISTEN(.mptcp = 1, .backlog = 7));
    ck_assert_int_eq(option(tcpx_listener_fd(l), SOL_SOCKET, SO_PROTOCOL), 262);
    ck_assert_int_eq(tcpx_listener_backlog(l), 7);
    client = raw_connect(tcpx_listener_address(l));
    ck_ok(tcpx_accept(&c, l, soon()));
    ck_assert_int_eq(option(tcpx_conn_fd(c), IPPROTO_TCP, TCP_NODELAY), 1);
    ck_assert_int_eq(option(tcpx_conn_fd(c), SOL_SOCKET, SO_KEEPALIVE), 1);
    tcpx_abort(c);
    close(client);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(an_option_that_mptcp_lacks_makes_the_listener_plain_tcp)
{
    tcpx_listener *l = listen_on(
        "127.0.0.1:0", TCPX_LISTEN(.mptcp = 1, .user_timeout = 30 * TCPX_SEC));
    int fd = tcpx_listener_fd(l);

    /* Either this kernel has both, or the option wins. */
    ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 30000);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(an_interface_is_bound_to_or_named_if_there_is_none)
{
    char name[IFNAMSIZ] = "";
    socklen_t len = sizeof(name);
    tcpx_listener *l = listen_on("127.0.0.1:0", TCPX_LISTEN(.interface = "lo"));

    ck_assert_int_eq(getsockopt(tcpx_listener_fd(l), SOL_SOCKET,
                                SO_BINDTODEVICE, name, &len),
                     0);
    ck_assert_str_eq(name, "lo");
    close(raw_connect(tcpx_listener_address(l)));
    tcpx_listener_close(l);
    ck_refused("127.0.0.1:0", TCPX_LISTEN(.interface = "no-such-if"), -ENODEV,
               "no-such-if");
    ck_refused("127.0.0.1:0", TCPX_LISTEN(.interface = ""), -EINVAL,
               "interface");
    /* The kernel would cut this to the 15 bytes that a name may have. */
    ck_refused("127.0.0.1:0", TCPX_LISTEN(.interface = "lo-and-twenty-more"),
               -ENODEV, "interface");
}
END_TEST

struct hook {
    int calls;
    int answer;
    int was_bound;
};

static int note_hook(int fd, void *arg)
{
    struct hook *hook = arg;
    struct sockaddr_in sin;
    socklen_t len = sizeof(sin);

    hook->calls++;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    hook->was_bound = sin.sin_port != 0;
    return hook->answer;
}

START_TEST(the_control_hook_sees_the_socket_before_bind_and_may_refuse)
{
    struct hook hook = {.answer = 7};
    tcpx_listener *l = listen_on(
        "127.0.0.1:0", TCPX_LISTEN(.control = note_hook, .control_arg = &hook));

    ck_assert_int_eq(hook.calls, 1);
    ck_assert_int_eq(hook.was_bound, 0);
    tcpx_listener_close(l);
    hook.answer = -ENOTSUP;
    ck_refused("127.0.0.1:0",
               TCPX_LISTEN(.control = note_hook, .control_arg = &hook),
               -ENOTSUP, "control hook");
    ck_assert_int_eq(hook.calls, 2);
}
END_TEST

START_TEST(a_wrong_option_is_refused_by_name)
{
    const struct {
        const char *member;
        const tcpx_listen_opts *opts;
    } wrong[] = {
        {"backlog", TCPX_LISTEN(.backlog = -1)},
        {"reuse_port", TCPX_LISTEN(.reuse_port = 2)},
        {"no_reuse_address", TCPX_LISTEN(.no_reuse_address = -1)},
        {"v6_only", TCPX_LISTEN(.v6_only = 2)},
        {"unix_mode", TCPX_LISTEN(.unix_mode = 01000)},
        {"unix_mode", TCPX_LISTEN(.unix_mode = -1)},
        {"keep_socket_file", TCPX_LISTEN(.keep_socket_file = 3)},
        {"defer_accept", TCPX_LISTEN(.defer_accept = -1)},
        {"mptcp", TCPX_LISTEN(.mptcp = -1)},
        {"fastopen", TCPX_LISTEN(.fastopen = -1)},
        {"keepalive_idle", TCPX_LISTEN(.keepalive_idle = -2)},
        {"keepalive_idle", TCPX_LISTEN(.keepalive_idle = 32768 * TCPX_SEC)},
        {"keepalive_interval", TCPX_LISTEN(.keepalive_interval = TCPX_NONE)},
        {"keepalive_interval",
         TCPX_LISTEN(.keepalive_interval = 32768 * TCPX_SEC)},
        {"keepalive_count", TCPX_LISTEN(.keepalive_count = -1)},
        {"keepalive_count", TCPX_LISTEN(.keepalive_count = 128)},
        {"user_timeout", TCPX_LISTEN(.user_timeout = -2)},
        {"user_timeout", TCPX_LISTEN(.user_timeout = TCPX_FOREVER)},
        {"spin", TCPX_LISTEN(.spin = TCPX_SEC * 5)},
        {"spin", TCPX_LISTEN(.spin = -2)},
        {"send_buffer", TCPX_LISTEN(.send_buffer = -1)},
        {"receive_buffer", TCPX_LISTEN(.receive_buffer = -1)},
        {"nagle", TCPX_LISTEN(.nagle = TCPX_NONE)},
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_refused("127.0.0.1:0", wrong[i].opts, -EINVAL, wrong[i].member);
}
END_TEST

START_TEST(the_limits_of_the_kernel_themselves_are_allowed)
{
    tcpx_listener *l =
        listen_on("127.0.0.1:0",
                  TCPX_LISTEN(.keepalive_idle = 32767 * TCPX_SEC,
                              .keepalive_interval = 32767 * TCPX_SEC,
                              .keepalive_count = 127, .spin = 4 * TCPX_SEC));
    int fd = tcpx_listener_fd(l);

    ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 32767);
    ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 32767);
    ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 127);
    tcpx_listener_close(l);
}
END_TEST

START_TEST(null_and_wrong_sizes_are_errors_that_leave_the_output_alone)
{
    struct {
        tcpx_listen_opts opts;
        char more[8];
    } newer = {.opts = tcpx_listen_defaults()};
    tcpx_listen_opts opts = tcpx_listen_defaults();
    tcpx_listener *l = NULL;

    ck_fails(tcpx_listen(NULL, "127.0.0.1:0", NULL), -EINVAL);
    ck_fails(tcpx_listen(&l, NULL, NULL), -EINVAL);
    opts.size = 0;
    ck_fails(tcpx_listen(&l, "127.0.0.1:0", &opts), -EINVAL);
    newer.opts.size = sizeof(newer);
    ck_ok(tcpx_listen(&l, "127.0.0.1:0", &newer.opts));
    tcpx_listener_close(l);
    l = NULL;
    newer.more[7] = 1;
    ck_fails(tcpx_listen(&l, "127.0.0.1:0", &newer.opts), -E2BIG);
    ck_assert_ptr_null(l);
    ck_assert_str_eq(tcpx_listener_address(NULL), "");
    ck_assert_int_eq(tcpx_listener_fd(NULL), -1);
    ck_assert_int_eq(tcpx_listener_backlog(NULL), 0);
    tcpx_listener_cancel(NULL);
    tcpx_listener_close(NULL);
}
END_TEST

static void fill_options(TCase *tc)
{
    tcase_add_test(tc,
                   the_backlog_in_force_is_what_was_asked_for_up_to_the_limit);
    tcase_add_test(tc, a_listener_is_non_blocking_and_closed_on_exec);
    tcase_add_test(tc, what_shapes_a_listener_is_set_on_and_off);
    tcase_add_test(tc, defer_accept_keeps_a_silent_client_out_of_accept);
    tcase_add_test(tc,
                   mptcp_is_spoken_if_asked_for_and_plain_tcp_is_served_too);
    tcase_add_test(tc, an_option_that_mptcp_lacks_makes_the_listener_plain_tcp);
    tcase_add_test(tc, an_interface_is_bound_to_or_named_if_there_is_none);
    tcase_add_test(tc,
                   the_control_hook_sees_the_socket_before_bind_and_may_refuse);
    tcase_add_test(tc, a_wrong_option_is_refused_by_name);
    tcase_add_test(tc, the_limits_of_the_kernel_themselves_are_allowed);
    tcase_add_test(tc,
                   null_and_wrong_sizes_are_errors_that_leave_the_output_alone);
}

const struct test_case test_cases[] = {
    {"listen", "options", fill_options},
    {NULL, NULL, NULL},
};
