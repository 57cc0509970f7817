/* SPDX-License-Identifier: MIT */
/*
 * support.c - what tests share.
 */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Twenty seconds, as many times as libcheck multiplies its own limits. */
static int patience(void)
{
    const char *times = getenv("CK_TIMEOUT_MULTIPLIER");
    long n = times ? strtol(times, NULL, 10) : 1;

    return n >= 1 && n <= 100 ? 20 * (int)n : 20;
}

tcpx_time soon(void)
{
    return tcpx_after(patience() * TCPX_SEC);
}

ssize_t check_ok(ssize_t result, const char *call, const char *file, int line)
{
    if (result < 0)
        ck_abort_msg("%s:%d: %s: %s (%s)", file, line, call,
                     tcpx_errname((int)result), tcpx_strerror((int)result));
    return result;
}

void check_code(ssize_t result, int code, const char *call, const char *file,
                int line)
{
    if (result != code)
        ck_abort_msg("%s:%d: %s: gave %zd (%s), not %s", file, line, call,
                     result, tcpx_errname((int)result), tcpx_errname(code));
}

void ck_says(const char *words)
{
    ck_assert_msg(strstr(tcpx_errmsg(), words) != NULL,
                  "the sentence is \"%s\", without \"%s\"", tcpx_errmsg(),
                  words);
}

pthread_t start_thread(void *(*run)(void *), void *arg)
{
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, run, arg), 0);
    return thread;
}

void *end_thread(pthread_t thread)
{
    struct timespec until;
    void *result = NULL;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += patience();
    ck_assert_msg(pthread_timedjoin_np(thread, &result, &until) == 0,
                  "a thread did not end");
    return result;
}

pid_t start_child(void (*body)(void *), void *arg)
{
    fflush(NULL);
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child > 0)
        return child;
    body(arg);
    /* exit() would run what the test registered, once more. */
    _exit(0);
}

int child_status(pid_t child)
{
    const struct timespec pause = {0, 2000000};
    int status = 0;

    for (int i = patience() * 500; i > 0; i--) {
        pid_t pid = waitpid(child, &status, WNOHANG);

        if (pid == child)
            return status;
        ck_assert_int_eq(pid, 0);
        nanosleep(&pause, NULL);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    ck_abort_msg("child %d did not end", (int)child);
    return status;
}

void end_child(pid_t child)
{
    int status = child_status(child);

    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
                  "a child ended by wait status %#x", (unsigned)status);
}

int raw_listen(char *address, size_t cap)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof(sin);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    ck_assert_int_eq(listen(fd, SOMAXCONN), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    snprintf(address, cap, "127.0.0.1:%u", (unsigned)ntohs(sin.sin_port));
    return fd;
}

int raw_connect(const char *address)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN] = "";
    const char *colon = strrchr(address, ':');
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_ptr_nonnull(colon);
    ck_assert_int_lt(colon - address, (long)sizeof(host));
    memcpy(host, address, (size_t)(colon - address));
    ck_assert_int_eq(inet_pton(AF_INET, host, &sin.sin_addr), 1);
    sin.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    ck_assert_msg(connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0,
                  "connect %s: %s", address, strerror(errno));
    return fd;
}

int raw_accept(int listener)
{
    struct pollfd item = {.fd = listener, .events = POLLIN};

    ck_assert_msg(poll(&item, 1, patience() * 1000) == 1, "no client came");
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    return fd;
}

void raw_pair(int fd[2])
{
    char address[32];
    int listener = raw_listen(address, sizeof(address));

    fd[0] = raw_connect(address);
    fd[1] = raw_accept(listener);
    close(listener);
}

void raw_send(int fd, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

        ck_assert_msg(n > 0, "send: %s", strerror(errno));
        p += n;
        len -= (size_t)n;
    }
}

size_t raw_recv(int fd, void *data, size_t len)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    char *p = data;
    size_t done = 0;

    while (done < len) {
        ck_assert_msg(poll(&item, 1, patience() * 1000) == 1,
                      "nothing came after %zu bytes", done);
        ssize_t n = recv(fd, p + done, len - done, 0);

        ck_assert_msg(n >= 0, "recv: %s", strerror(errno));
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return done;
}

void raw_reset(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)),
                     0);
    close(fd);
}
