/* SPDX-License-Identifier: MIT */
/*
 * t_listen.c - listening on IPv4 and IPv6: addresses, options, errors.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "runner.h"
#include "support.h"

static tcpx_listener *listen_on(const char *address,
                                const tcpx_listen_opts *opts)
{
    tcpx_listener *l = NULL;

    ck_ok(tcpx_listen(&l, address, opts));
    ck_assert_ptr_nonnull(l);
    return l;
}

/* The port that l listens on, as its address says. */
static unsigned port_of(const tcpx_listener *l)
{
    const char *colon = strrchr(tcpx_listener_address(l), ':');

    ck_assert_ptr_nonnull(colon);
    return (unsigned)strtoul(colon + 1, NULL, 10);
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);

    ck_assert_msg(getsockopt(fd, level, name, &value, &len) == 0,
                  "getsockopt %d: %s", name, strerror(errno));
    return value;
}

static void ck_says(const char *words)
{
    ck_assert_msg(strstr(tcpx_errmsg(), words) != NULL, "\"%s\" has no \"%s\"",
                  tcpx_errmsg(), words);
}

/* Listening must fail so, in words that hold this, and give no listener. */
static void ck_refused(const char *address, const tcpx_listen_opts *opts,
                       int code, const char *words)
{
    tcpx_listener *l = NULL;

    ck_fails(tcpx_listen(&l, address, opts), code);
    ck_assert_ptr_null(l);
    ck_says(words);
}

/* ---- Addresses ---------------------------------------------------------- */

START_TEST(port_0_gives_a_port_that_can_be_asked_for)
{
    tcpx_listener *a = listen_on("127.0.0.1:0", NULL);
    tcpx_listener *b = listen_on("127.0.0.1:0", NULL);
    struct sockaddr_in sin;
    socklen_t len = sizeof(sin);

    ck_assert_int_eq(
        getsockname(tcpx_listener_fd(a), (struct sockaddr *)&sin, &len), 0);
    ck_assert_uint_eq(port_of(a), ntohs(sin.sin_port));
    ck_assert_uint_ne(port_of(a), 0);
    ck_assert_uint_ne(port_of(a), port_of(b));
    close(raw_connect(tcpx_listener_address(a)));
    close(raw_connect(tcpx_listener_address(b)));
    tcpx_listener_close(a);
    tcpx_listener_close(b);
}
END_TEST

START_TEST(the_address_of_each_form_reads_as_it_can_be_connected_to)
{
    static const struct {
        const char *asked;
        const char *prefix;
    } forms[] = {
        {":0", "[::]:"},
        {"*:0", "[::]:"},
        {"0.0.0.0:0", "0.0.0.0:"},
        {"127.0.0.1:0", "127.0.0.1:"},
        {"[::1]:0", "[::1]:"},
        {"[::ffff:127.0.0.1]:0", "127.0.0.1:"},
        {"localhost:0", "127.0.0.1:"},
        {"LOCALHOST:0", "127.0.0.1:"},
    };

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        tcpx_listener *l = listen_on(forms[i].asked, NULL);
        const char *address = tcpx_listener_address(l);

        ck_assert_msg(
            !strncmp(address, forms[i].prefix, strlen(forms[i].prefix)),
            "%s listens on %s", forms[i].asked, address);
        tcpx_listener_close(l);
    }
}
END_TEST

START_TEST(a_name_is_refused_for_listening_never_resolves)
{
    ck_refused("example.org:80", NULL, TCPX_EADDRESS, "a name");
    ck_refused("localhost.example:80", NULL, TCPX_EADDRESS, "a name");
    ck_refused("127.0.0.1:70000", NULL, TCPX_EADDRESS, "column 11");
    ck_refused("", NULL, TCPX_EADDRESS, "column 1");
}
END_TEST

START_TEST(a_service_that_does_not_exist_is_named)
{
    ck_refused("127.0.0.1:no-such-thing", NULL, TCPX_ERESOLVE, "no-such-thing");
}
END_TEST

START_TEST(a_taken_port_is_refused_by_listen_itself)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    char words[64];

    snprintf(words, sizeof(words), "sport = :%u", port_of(l));
    ck_refused(tcpx_listener_address(l), NULL, -EADDRINUSE, words);
    ck_says(tcpx_listener_address(l));
    tcpx_listener_close(l);
}
END_TEST

START_TEST(an_address_that_is_not_ours_is_refused)
{
    ck_refused("192.0.2.1:0", NULL, -EADDRNOTAVAIL, "192.0.2.1:0");
    ck_refused("[2001:db8::1]:0", NULL, -EADDRNOTAVAIL, "[2001:db8::1]:0");
    ck_refused("[fe80::1]:0", NULL, -EINVAL, "needs its interface");
    ck_refused("[fe80::1%no-such-if]:0", NULL, -ENODEV, "no-such-if");
}
END_TEST

START_TEST(a_privileged_port_says_what_it_needs)
{
    FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
    int first = 0;

    if (file) {
        ck_assert_int_eq(fscanf(file, "%d", &first), 1);
        fclose(file);
    }
    if (first < 2)
        skip_test("this host has no privileged ports");
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
        skip_test("root cannot become another user here");
    ck_refused("127.0.0.1:1", NULL, -EACCES, "CAP_NET_BIND_SERVICE");
}
END_TEST

/* ---- Who may listen beside whom ----------------------------------------- */

/* What a listener covers: bits of the places where a client can reach it. */
enum { V4_LOOP = 1, V4_REST = 2, V6_LOOP = 4, V6_REST = 8 };

static const struct place {
    const char *host;
    int v6_only;
    int covers;
} places[] = {
    {"*", 0, V4_LOOP | V4_REST | V6_LOOP | V6_REST},
    {"*", 1, V6_LOOP | V6_REST},
    {"[::]", 0, V4_LOOP | V4_REST | V6_LOOP | V6_REST},
    {"[::]", 1, V6_LOOP | V6_REST},
    {"0.0.0.0", 0, V4_LOOP | V4_REST},
    {"127.0.0.1", 0, V4_LOOP},
    {"[::ffff:127.0.0.1]", 0, V4_LOOP},
    {"[::1]", 0, V6_LOOP},
    {"[::1]", 1, V6_LOOP},
};
#define PLACES ((int)(sizeof(places) / sizeof(places[0])))

/* Listens on the same port at both; what the second attempt gives. */
static int listen_at_both(const struct place *a, const struct place *b)
{
    tcpx_listen_opts opts = tcpx_listen_defaults();
    tcpx_listener *first;
    tcpx_listener *second = NULL;
    char address[64];
    int rc;

    snprintf(address, sizeof(address), "%s:0", a->host);
    opts.v6_only = a->v6_only;
    first = listen_on(address, &opts);
    snprintf(address, sizeof(address), "%s:%u", b->host, port_of(first));
    opts.v6_only = b->v6_only;
    rc = tcpx_listen(&second, address, &opts);
    tcpx_listener_close(second);
    tcpx_listener_close(first);
    return rc;
}

START_TEST(listeners_share_a_port_only_where_no_client_could_reach_both)
{
    for (int i = 0; i < PLACES * PLACES; i++) {
        const struct place *a = &places[i / PLACES];
        const struct place *b = &places[i % PLACES];
        int expected = a->covers & b->covers ? -EADDRINUSE : 0;
        int rc = -EADDRINUSE;

        /* Another program may have the port in the other family. */
        for (int tries = 0; tries < 5 && rc == -EADDRINUSE; tries++)
            rc = listen_at_both(a, b);
        ck_assert_msg(rc == expected, "%s (v6_only %d), %s (v6_only %d): %s",
                      a->host, a->v6_only, b->host, b->v6_only,
                      tcpx_errname(rc));
    }
}
END_TEST

/* Makes a connection whose listening side is the first to close. */
static void leave_time_wait(tcpx_listener *l)
{
    int client = raw_connect(tcpx_listener_address(l));
    int server = raw_accept(tcpx_listener_fd(l));
    char byte;

    close(server);
    ck_assert_uint_eq(raw_recv(client, &byte, 1), 0);
    close(client);
}

/* Listens, leaves TIME_WAIT behind, and listens again. */
static int listen_again(const tcpx_listen_opts *opts)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", opts);
    char address[32];
    int rc;

    snprintf(address, sizeof(address), "%s", tcpx_listener_address(l));
    leave_time_wait(l);
    tcpx_listener_close(l);
    l = NULL;
    rc = tcpx_listen(&l, address, opts);
    tcpx_listener_close(l);
    return rc;
}

START_TEST(a_restart_listens_at_once_beside_time_wait)
{
    ck_ok(listen_again(NULL));
}
END_TEST

START_TEST(without_reuse_address_time_wait_keeps_the_port)
{
    ck_fails(listen_again(TCPX_LISTEN(.no_reuse_address = 1)), -EADDRINUSE);
}
END_TEST

struct serving {
    int client;
    int conn;
    int listener;
};

static void serve_until_end(void *arg)
{
    const struct serving *s = arg;
    char byte;

    close(s->client);
    close(s->listener);
    raw_send(s->conn, "r", 1); /* the parent holds it alone from here on */
    raw_recv(s->conn, &byte, 1);
}

START_TEST(a_restart_listens_at_once_beside_children_that_still_serve)
{
    tcpx_listener *l = listen_on("127.0.0.1:0", NULL);
    char address[32];
    struct serving serving;
    char byte;
    pid_t child;

    snprintf(address, sizeof(address), "%s", tcpx_listener_address(l));
    serving.client = raw_connect(address);
    serving.listener = tcpx_listener_fd(l);
    serving.conn = raw_accept(serving.listener);
    child = start_child(serve_until_end, &serving);
    close(serving.conn);
    ck_assert_uint_eq(raw_recv(serving.client, &byte, 1), 1);
    tcpx_listener_close(l);
    l = listen_on(address, NULL);
    close(raw_connect(address));
    tcpx_listener_close(l);
    close(serving.client);
    end_child(child);
}
END_TEST

/* ---- Options ------------------------------------------------------------ */

static int somaxconn(void)
{
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "r");
    int value = 0;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%d", &value), 1);
    fclose(file);
    return value;
}

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

static void fill_addresses(TCase *tc)
{
    tcase_add_test(tc, port_0_gives_a_port_that_can_be_asked_for);
    tcase_add_test(tc,
                   the_address_of_each_form_reads_as_it_can_be_connected_to);
    tcase_add_test(tc, a_name_is_refused_for_listening_never_resolves);
    tcase_add_test(tc, a_service_that_does_not_exist_is_named);
    tcase_add_test(tc, a_taken_port_is_refused_by_listen_itself);
    tcase_add_test(tc, an_address_that_is_not_ours_is_refused);
    tcase_add_test(tc, a_privileged_port_says_what_it_needs);
}

static void fill_ports(TCase *tc)
{
    tcase_add_test(
        tc, listeners_share_a_port_only_where_no_client_could_reach_both);
    tcase_add_test(tc, a_restart_listens_at_once_beside_time_wait);
    tcase_add_test(tc, without_reuse_address_time_wait_keeps_the_port);
    tcase_add_test(tc,
                   a_restart_listens_at_once_beside_children_that_still_serve);
}

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
    {"listen", "addresses", fill_addresses},
    {"listen", "ports", fill_ports},
    {"listen", "options", fill_options},
    {NULL, NULL, NULL},
};
