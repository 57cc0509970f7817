/* SPDX-License-Identifier: MIT */
/*
 * t_activation.c - sockets that the program was started with, checked.
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
#include "base/sys.h"
#include "net/activation.h"
#include "runner.h"
#include "support.h"

static int find(const char *text)
{
    tcpx_address a;

    ck_ok(tcpx_address_parse(&a, text));
    return tcpx__activation_find(&a);
}

/* Asserts the result of "fd:N" for fd, and the sentence; closes fd. */
static void judged(int fd, int err, const char *what)
{
    char text[32], sentence[128];

    ck_assert_int_ge(fd, 0);
    (void)snprintf(text, sizeof(text), "fd:%d", fd);
    (void)snprintf(sentence, sizeof(sentence),
                   "listen fd:%d: descriptor %d is %s", fd, fd, what);
    if (err) {
        ck_fails(find(text), err);
        ck_assert_str_eq(tcpx_errmsg(), sentence);
    } else {
        ck_assert_int_eq(find(text), fd);
    }
    close(fd);
}

/* A socket that listens, or only could. */
static int stream(int family, int protocol, int listens)
{
    int fd = socket(family, SOCK_STREAM, protocol);

    if (fd >= 0 && listens) {
        struct sockaddr_un un = {.sun_family = AF_UNIX}; /* any name */

        if (family == AF_UNIX)
            ck_assert_int_eq(
                bind(fd, (struct sockaddr *)&un, sizeof(sa_family_t)), 0);
        ck_assert_int_eq(listen(fd, 8), 0);
    }
    return fd;
}

START_TEST(a_listening_stream_socket_is_taken)
{
    int fd;

    judged(stream(AF_INET, 0, 1), 0, NULL);
    judged(stream(AF_UNIX, 0, 1), 0, NULL);
    fd = stream(AF_INET6, 0, 1);
    if (fd >= 0)
        judged(fd, 0, NULL);
    fd = stream(AF_INET, IPPROTO_MPTCP, 1);
    if (fd >= 0)
        judged(fd, 0, NULL);
    fd = stream(AF_INET, IPPROTO_SCTP, 1);
    if (fd >= 0)
        judged(fd, -EINVAL, "a stream socket that is not TCP");
}
END_TEST

START_TEST(what_is_no_listening_stream_socket_is_refused_by_what_it_is)
{
    int pair[2];
    int fd = stream(AF_INET, 0, 0);

    ck_fails(find("fd:54321"), -EBADF);
    ck_assert_str_eq(tcpx_errmsg(),
                     "listen fd:54321: descriptor 54321 is not open");
    judged(open("/dev/null", O_RDONLY), -ENOTSOCK, "not a socket");
    judged(fd, -EINVAL, "a socket that does not listen");
    judged(socket(AF_INET, SOCK_DGRAM, 0), -EINVAL, "a datagram socket");
    judged(socket(AF_UNIX, SOCK_DGRAM, 0), -EINVAL, "a datagram socket");
    judged(socket(AF_UNIX, SOCK_SEQPACKET, 0), -EINVAL,
           "a socket that is no stream");
    judged(socket(AF_NETLINK, SOCK_RAW, 0), -EINVAL,
           "a socket of another family than IP or Unix");
    raw_pair(pair);
    judged(pair[0], -EINVAL, "a connected socket, not a listening one");
    close(pair[1]);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    judged(pair[0], -EINVAL, "a connected socket, not a listening one");
    close(pair[1]);
}
END_TEST

static int left; /* so many getsockopt calls succeed */

static int refuse_options(enum tcpx__sys_call call, size_t *len)
{
    (void)len;
    return call == TCPX__SYS_getsockopt && left-- == 0 ? -EACCES : 0;
}

START_TEST(a_socket_that_cannot_be_asked_is_refused)
{
    tcpx__sys_hook = refuse_options;
    for (int i = 0; i < 4; i++) {
        left = i;
        judged(stream(AF_INET, 0, 1), -EACCES,
               "a socket that does not say what it is");
    }
}
END_TEST

START_TEST(a_descriptor_stays_as_it_came)
{
    int fd = stream(AF_INET, 0, 1);
    int status = fcntl(fd, F_GETFL), flags = fcntl(fd, F_GETFD);
    char text[32];

    (void)snprintf(text, sizeof(text), "fd:%d", fd);
    ck_assert_int_eq(find(text), fd);
    ck_assert_int_eq(fcntl(fd, F_GETFL), status);
    ck_assert_int_eq(fcntl(fd, F_GETFD), flags);
    close(fd);
}
END_TEST

/* ---- systemd ----------------------------------------------------------- */

/* What systemd passes, and what comes of it. */
struct scene {
    const char *pid; /* "self", or the variable's text; NULL: unset */
    const char *fds;
    const char *names;
    const char *address;
    int result; /* a descriptor or an error */
    const char *sentence;
};

#define NONE "systemd passed no sockets to this process"

static const struct scene scenes[] = {
    {"self", "1", NULL, "systemd:", 3, NULL},
    {"self", "1", "web", "systemd:", 3, NULL},
    {"self", "1", "web", "systemd:web", 3, NULL},
    {"self", "2", "web:chat", "systemd:web", 3, NULL},
    {"self", "2", "web:chat", "systemd:chat", 4, NULL},
    {"self", "2", "web", "systemd:unknown", 4, NULL},
    {"self", "1", NULL, "systemd:unknown", 3, NULL},
    {"self", "2", ":chat", "systemd:chat", 4, NULL},
    {"self", "1", "unknown", "systemd:unknown", 3, NULL},
    {NULL, NULL, NULL, "systemd:", -ENOENT, NONE},
    {"self", NULL, NULL, "systemd:", -ENOENT, NONE},
    {NULL, "1", NULL, "systemd:", -ENOENT, NONE},
    {"self", "0", NULL, "systemd:", -ENOENT, NONE},
    {"1", "1", NULL, "systemd:", -ENOENT,
     NONE " (LISTEN_PID is 1, this is another)"},
    {"x", "1", NULL, "systemd:", -EINVAL, "LISTEN_PID is \"x\", no process id"},
    {"", "1", NULL, "systemd:", -EINVAL, "LISTEN_PID is \"\", no process id"},
    {" 1", "1", NULL, "systemd:", -EINVAL,
     "LISTEN_PID is \" 1\", no process id"},
    {"99999999999", "1", NULL, "systemd:", -EINVAL,
     "LISTEN_PID is \"99999999999\", no process id"},
    {"self", "", NULL, "systemd:", -EINVAL,
     "LISTEN_FDS is \"\", no number of sockets"},
    {"self", "one\n", NULL, "systemd:", -EINVAL,
     "LISTEN_FDS is \"one\\x0a\", no number of sockets"},
    {"self", "-1", NULL, "systemd:", -EINVAL,
     "LISTEN_FDS is \"-1\", no number of sockets"},
    {"self", "+1", NULL, "systemd:", -EINVAL,
     "LISTEN_FDS is \"+1\", no number of sockets"},
    {"self", "01", NULL, "systemd:", -EINVAL,
     "LISTEN_FDS is \"01\", no number of sockets"},
    {"self", "1x", NULL, "systemd:", -EINVAL,
     "LISTEN_FDS is \"1x\", no number of sockets"},
    {"self", "2147483645", NULL, "systemd:", -EINVAL,
     "LISTEN_FDS is \"2147483645\", no number of sockets"},
    {"self", "18446744073709551617", NULL, "systemd:", -EINVAL,
     "LISTEN_FDS is \"18446744073709551617\", no number of sockets"},
    {"self", "2147483644", NULL, "systemd:", -EINVAL,
     "systemd passed 2147483644 sockets; tell which by its name or fd:3 and "
     "up"},
    {"self", "2", "web:chat", "systemd:", -EINVAL,
     "systemd passed 2 sockets; tell which by its name or fd:3 and up"},
    {"self", "2", "web:web", "systemd:web", -EINVAL,
     "systemd passed 2 sockets of that name; tell which by fd:3 and up"},
    {"self", "3", "web", "systemd:unknown", -EINVAL,
     "systemd passed 2 sockets of that name; tell which by fd:4 and up"},
    {"self", "2", "web:chat", "systemd:We", -ENOENT,
     "systemd passed no socket of that name"},
    {"self", "1", "web:chat", "systemd:chat", -ENOENT,
     "systemd passed no socket of that name"},
    {"self", "1", NULL, "systemd:web", -ENOENT,
     "systemd passed no socket of that name"},
    {"self", "3", "a:b:null", "systemd:null", -ENOTSOCK,
     "descriptor 5 is not a socket"},
};

static void put_variable(const char *name, const char *value)
{
    char self[16];

    (void)snprintf(self, sizeof(self), "%d", (int)getpid());
    if (!value)
        unsetenv(name);
    else
        setenv(name, strcmp(value, "self") == 0 ? self : value, 1);
}

/* Ends the child with a number that says what went wrong. */
static void play(void *arg)
{
    const struct scene *s = arg;
    /* Out of the way of the numbers that they are to get. */
    int null = fcntl(open("/dev/null", O_RDONLY), F_DUPFD, 10);
    int listener = fcntl(stream(AF_INET, 0, 1), F_DUPFD, 10);
    char sentence[256], expected[256];

    if (dup2(null, 5) < 0 || dup2(listener, 4) < 0 || dup2(listener, 3) < 0)
        _exit(2);
    put_variable("LISTEN_PID", s->pid);
    put_variable("LISTEN_FDS", s->fds);
    put_variable("LISTEN_FDNAMES", s->names);

    if (find(s->address) != s->result)
        _exit(3);
    if (s->result >= 0)
        return;
    (void)snprintf(expected, sizeof(expected), "listen %s%s %s", s->address,
                   s->address[strlen(s->address) - 1] == ':' ? "" : ":",
                   s->sentence);
    (void)snprintf(sentence, sizeof(sentence), "%s", tcpx_errmsg());
    if (strstr(sentence, "this is "))
        strcpy(strstr(sentence, "this is "), "this is another)");
    if (strcmp(sentence, expected) != 0) {
        (void)fprintf(stderr, "%s\n%s\n", sentence, expected);
        _exit(4);
    }
}

START_TEST(what_systemd_passed_is_found_or_its_fault_named)
{
    end_child(start_child(play, (void *)(uintptr_t)&scenes[_i]));
}
END_TEST

START_TEST(the_environment_is_not_changed)
{
    put_variable("LISTEN_PID", "1");
    put_variable("LISTEN_FDS", "1");
    put_variable("LISTEN_FDNAMES", "a:b");
    ck_fails(find("systemd:"), -ENOENT);
    ck_assert_str_eq(getenv("LISTEN_PID"), "1");
    ck_assert_str_eq(getenv("LISTEN_FDS"), "1");
    ck_assert_str_eq(getenv("LISTEN_FDNAMES"), "a:b");
}
END_TEST

static void fill_descriptor(TCase *tc)
{
    tcase_add_test(tc, a_listening_stream_socket_is_taken);
    tcase_add_test(tc,
                   what_is_no_listening_stream_socket_is_refused_by_what_it_is);
    tcase_add_test(tc, a_socket_that_cannot_be_asked_is_refused);
    tcase_add_test(tc, a_descriptor_stays_as_it_came);
}

static void fill_systemd(TCase *tc)
{
    tcase_add_loop_test(tc, what_systemd_passed_is_found_or_its_fault_named, 0,
                        sizeof(scenes) / sizeof(scenes[0]));
    tcase_add_test(tc, the_environment_is_not_changed);
}

const struct test_case test_cases[] = {
    {"activation", "inherited", fill_descriptor},
    {"activation", "systemd", fill_systemd},
    {NULL, NULL, NULL},
};
