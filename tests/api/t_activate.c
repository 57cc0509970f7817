/* SPDX-License-Identifier: MIT */
/*
 * t_activate.c - sockets passed by systemd-socket-activate, the real one.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <tcpx.h>
#include <unistd.h>
#include "network.h"
#include "runner.h"
#include "support.h"

#define TOOL "/usr/bin/systemd-socket-activate"

/* How the tool is called. */
struct call {
    const char *arguments[8];
    int said; /* the pipe that it writes to */
};

static void run_tool(void *arg)
{
    const struct call *call = arg;
    const char *argv[16] = {TOOL};
    int n = 1;

    for (int i = 0; call->arguments[i]; i++)
        argv[n++] = call->arguments[i];
    if (dup2(call->said, STDERR_FILENO) < 0)
        _exit(126);
    execv(TOOL, (char **)(uintptr_t)argv);
    _exit(127);
}

/* Starts the tool, and waits until it says that it listens n times. */
static pid_t start_tool(struct call *call, int n)
{
    char said[4096];
    size_t len = 0;
    int pipes[2];
    pid_t child;

    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    call->said = pipes[1];
    child = start_child(run_tool, call);
    close(pipes[1]);
    while (n > 0) {
        ssize_t got = read(pipes[0], said + len, sizeof(said) - 1 - len);

        ck_assert_msg(got > 0, "%.*s", (int)len, said);
        len += (size_t)got;
        said[len] = 0;
        for (char *p = strstr(said, "Listening on"); p && strchr(p, '\n');
             p = strstr(said, "Listening on")) {
            p[0] = 'l'; /* seen */
            n--;
        }
    }
    /* What it says later must find a reader, or it dies of SIGPIPE. */
    call->said = pipes[0];
    return child;
}

/* What the program says to a client at that address. */
static void says(const struct sockaddr *sa, socklen_t len, const char *expected)
{
    char text[128] = "";
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(connect(fd, sa, len), 0);
    (void)raw_recv(fd, text, sizeof(text) - 1);
    ck_assert_str_eq(text, expected);
    close(fd);
}

static struct sockaddr_un unix_at(const char *folder, const char *name)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", folder, name);
    return un;
}

#define TOOL_OR_SKIP()                                                         \
    do {                                                                       \
        if (access(TOOL, X_OK) < 0)                                            \
            skip_test("there is no " TOOL);                                    \
    } while (0)

START_TEST(a_unix_socket_is_served_and_its_file_left_to_systemd)
{
    char folder[] = "/tmp/tcpx-activate-XXXXXX", expected[128];
    struct sockaddr_un un;
    struct call call = {{"--listen", NULL, ACTIVATED, "systemd:"}, -1};
    pid_t child;

    TOOL_OR_SKIP();
    ck_assert_ptr_nonnull(mkdtemp(folder));
    un = unix_at(folder, "only");
    call.arguments[1] = un.sun_path;
    child = start_tool(&call, 1);
    (void)snprintf(expected, sizeof(expected), "unix:%s 1 1\n", un.sun_path);
    says((struct sockaddr *)&un, sizeof(un), expected);
    end_child(child);
    close(call.said);
    ck_assert_int_eq(unlink(un.sun_path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(the_socket_of_a_name_is_the_one_that_is_served)
{
    char folder[] = "/tmp/tcpx-activate-XXXXXX", expected[128];
    struct sockaddr_un one, two;
    struct call call = {{"--listen", NULL, "--listen", NULL, "--fdname=one:two",
                         ACTIVATED, "systemd:two"},
                        -1};
    pid_t child;

    TOOL_OR_SKIP();
    ck_assert_ptr_nonnull(mkdtemp(folder));
    one = unix_at(folder, "one");
    two = unix_at(folder, "two");
    call.arguments[1] = one.sun_path;
    call.arguments[3] = two.sun_path;
    child = start_tool(&call, 2);
    (void)snprintf(expected, sizeof(expected), "unix:%s 1 1\n", two.sun_path);
    says((struct sockaddr *)&two, sizeof(two), expected);
    end_child(child);
    close(call.said);
    ck_assert_int_eq(unlink(one.sun_path), 0);
    ck_assert_int_eq(unlink(two.sun_path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(a_tcp_socket_is_served_by_its_number_too)
{
    static const char *const addresses[] = {"systemd:", "fd:3"};
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_port = htons(7000),
                              .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const char *why;

    TOOL_OR_SKIP();
    why = enter_network();
    if (why)
        skip_test("%s", why);
    for (int i = 0; i < 2; i++) {
        struct call call = {
            {"--listen", "127.0.0.1:7000", ACTIVATED, addresses[i]}, -1};
        pid_t child = start_tool(&call, 1);

        says((struct sockaddr *)&sin, sizeof(sin), "127.0.0.1:7000 1 1\n");
        end_child(child);
        close(call.said);
    }
}
END_TEST

START_TEST(without_systemd_there_is_no_socket_to_listen_on)
{
    tcpx_listener *l = NULL;

    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    ck_fails(tcpx_listen(&l, "systemd:", NULL), -ENOENT);
    ck_assert_str_eq(
        tcpx_errmsg(),
        "listen systemd: systemd passed no sockets to this process");
    ck_fails(tcpx_listen(&l, "fd:12345", NULL), -EBADF);
    ck_assert_str_eq(tcpx_errmsg(),
                     "listen fd:12345: descriptor 12345 is not open");
    ck_assert_ptr_null(l);
}
END_TEST

static void fill_activate(TCase *tc)
{
    tcase_add_test(tc, a_unix_socket_is_served_and_its_file_left_to_systemd);
    tcase_add_test(tc, the_socket_of_a_name_is_the_one_that_is_served);
    tcase_add_test(tc, a_tcp_socket_is_served_by_its_number_too);
    tcase_add_test(tc, without_systemd_there_is_no_socket_to_listen_on);
}

const struct test_case test_cases[] = {
    {"activation", "socket-activate", fill_activate},
    {NULL, NULL, NULL},
};
