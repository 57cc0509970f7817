/* SPDX-License-Identifier: MIT */
/*
 * t_connect_control.c - codes of a .control hook that mean something else
 * elsewhere in a connect.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "peers.h"
#include "runner.h"
#include "support.h"

static tcpx_conn *c;

/* What the hook says, and how often it was asked. */
static int fails_from;
static int code;
static int calls;

static int control(int fd, void *unused)
{
    (void)fd;
    (void)unused;
    return ++calls >= fails_from ? code : 0;
}

static const int codes[] = {
    -EINPROGRESS, -EAGAIN,        -EINTR,         -ENOMEM,  -EMFILE,
    -ENOBUFS,     -EADDRINUSE,    -ECONNRESET,    -EPIPE,   -EALREADY,
    -EISCONN,     TCPX_EDEADLINE, TCPX_ECANCELED, TCPX_EOF, -123456,
};
#define CODES ((int)(sizeof(codes) / sizeof(codes[0])))

static void connect_in_vain(const char *address, int start_only, int result,
                            size_t attempts)
{
    tcpx_connect_report *report;
    const tcpx_attempt *last;

    ck_fails(
        tcpx_connect(&c, address,
                     TCPX_CONNECT(.control = control,
                                  .attempt_delay = 10 * TCPX_MSEC,
                                  .start_only = start_only, .report = &report),
                     tcpx_after(500 * TCPX_MSEC)),
        result);
    ck_assert_int_eq(calls, (int)attempts);
    ck_assert_uint_eq(tcpx_connect_report_count(report), attempts);
    last = tcpx_connect_report_at(report, attempts - 1);
    ck_assert_int_eq(last->error, code);
    tcpx_connect_report_free(report);
}

START_TEST(it_is_the_error_of_the_attempt)
{
    tcpx_time since = tcpx_now();
    char address[64];
    int listener = raw_listen(address, sizeof(address));

    fails_from = 1;
    code = codes[_i % CODES];
    connect_in_vain(address, _i / CODES, code, 1);
    ck_assert_int_lt(elapsed_ms(since), 400);
    close(listener);
}
END_TEST

START_TEST(so_it_is_on_a_unix_socket)
{
    tcpx_time since = tcpx_now();
    char path[64];
    int listener;

    (void)snprintf(path, sizeof(path), "unix:@tcpx-test-%d", (int)getpid());
    listener = unix_listen(path + strlen("unix:"), 1);
    fails_from = 1;
    code = codes[_i % CODES];
    connect_in_vain(path, _i / CODES, code, 1);
    ck_assert_int_lt(elapsed_ms(since), 400);
    close(listener);
}
END_TEST

/* A name with two addresses, 127.0.0.1 and .2. */
static void answer(tcpx_lookup *lookup, const char *host, int family,
                   void *unused)
{
    struct sockaddr_storage found[2];
    struct sockaddr_in in = {.sin_family = AF_INET};

    (void)host;
    (void)unused;
    memset(found, 0, sizeof(found));
    for (uint32_t i = 0; i < 2; i++) {
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
        memcpy(&found[i], &in, sizeof(in));
    }
    tcpx_lookup_finish(lookup, 0, found, family == AF_INET ? 2 : 0);
}

/* A shortage of the host is waited out while others are under way; this is
   none, whatever its name. */
START_TEST(so_it_is_beside_another_attempt)
{
    char address[64];
    char named[64];
    struct full f = full_open(address, sizeof(address));

    (void)snprintf(named, sizeof(named), "two.test%s", strchr(address, ':'));
    tcpx_resolver_set(answer, NULL);
    fails_from = 2;
    code = codes[_i];
    /* A failure of this host's says less than what the other met. */
    connect_in_vain(named, 0, TCPX_EDEADLINE, 2);
    tcpx_resolver_set(NULL, NULL);
    full_end(&f);
}
END_TEST

static void fill_codes(TCase *tc)
{
    tcase_add_loop_test(tc, it_is_the_error_of_the_attempt, 0, CODES * 2);
    tcase_add_loop_test(tc, so_it_is_on_a_unix_socket, 0, CODES * 2);
    tcase_add_loop_test(tc, so_it_is_beside_another_attempt, 0, CODES);
}

const struct test_case test_cases[] = {
    {"connect_control", "codes", fill_codes},
    {NULL, NULL, NULL},
};
