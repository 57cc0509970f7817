/* SPDX-License-Identifier: MIT */
/*
 * t_clean.c - a conversation that goes well leaves no reset behind: the
 * kernel's own counters say so.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <tcpx.h>
#include <unistd.h>
#include "network.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

#define FILE_SIZE 300000

/* A counter of this network, from a file of two lines a group: names, values.
 */
static long counter(const char *path, const char *group, const char *name)
{
    char names[4096];
    char values[4096];
    FILE *file = fopen(path, "r");
    long found = -1;

    ck_assert_ptr_nonnull(file);
    while (found < 0 && fgets(names, sizeof(names), file) &&
           fgets(values, sizeof(values), file)) {
        char *name_at = names;
        char *value_at = values;
        char *a;
        char *b;

        if (strncmp(names, group, strlen(group)) != 0)
            continue;
        while ((a = strtok_r(name_at, " \n", &name_at)) &&
               (b = strtok_r(value_at, " \n", &value_at))) {
            if (strcmp(a, name) == 0)
                found = strtol(b, NULL, 10);
        }
    }
    fclose(file);
    ck_assert_msg(found >= 0, "there is no counter %s", name);
    return found;
}

static long resets(void)
{
    return counter("/proc/net/snmp", "Tcp:", "OutRsts");
}

static int make_file(void)
{
    static char data[FILE_SIZE];
    int fd = memfd_create("t_clean", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    fill_pattern(data, FILE_SIZE, 0);
    ck_assert_int_eq(write(fd, data, FILE_SIZE), FILE_SIZE);
    return fd;
}

/* Answers a line, a frame and a request for the file; the client's last words
   stay unread. */
static void *serve(void *arg)
{
    tcpx_conn *c = arg;
    int fd = make_file();
    int64_t offset = 0;
    char buf[64];

    ck_ok(tcpx_readline(c, buf, sizeof(buf), soon()));
    ck_ok(tcpx_printf(c, NULL, soon(), "you said %s\r\n", buf));
    ck_ok(tcpx_read_frame(c, NULL, buf, sizeof(buf), soon()));
    ck_ok(tcpx_write_frame(c, NULL, buf, 5, NULL, soon()));
    ck_ok(tcpx_sendfile(c, fd, &offset, FILE_SIZE, NULL, soon()));
    close(fd);
    ck_ok(tcpx_half_close(c));
    ck_ok(tcpx_close(c, soon()));
    return NULL;
}

/* Talks, half-closes, and reads the answer to its end. */
static void talk(tcpx_conn *c)
{
    static char expected[FILE_SIZE];
    static char got[FILE_SIZE + 1];
    char buf[64];

    ck_ok(tcpx_printf(c, NULL, soon(), "hello\n"));
    ck_ok(tcpx_write_frame(c, NULL, "frame", 5, NULL, soon()));
    ck_ok(tcpx_writen(c, "words that nobody reads", 23, NULL, soon()));
    ck_ok(tcpx_half_close(c));
    ck_ok(tcpx_readline(c, buf, sizeof(buf), soon()));
    ck_assert_str_eq(buf, "you said hello");
    ck_assert_int_eq(tcpx_read_frame(c, NULL, buf, sizeof(buf), soon()), 5);
    ck_assert_mem_eq(buf, "frame", 5);
    ck_ok(tcpx_readn(c, got, FILE_SIZE, NULL, soon()));
    fill_pattern(expected, FILE_SIZE, 0);
    ck_assert_int_eq(memcmp(got, expected, FILE_SIZE), 0);
    ck_assert_int_eq(tcpx_read(c, got, 1, soon()), 0);
    ck_ok(tcpx_close(c, soon()));
}

START_TEST(no_reset_is_sent_when_all_goes_well)
{
    const char *why = enter_network();
    tcpx_listener *l = NULL;
    tcpx_conn *client = NULL;
    tcpx_conn *server = NULL;

    if (why)
        skip_test("%s", why);
    ck_ok(tcpx_listen(&l, "127.0.0.1:0", NULL));
    for (int i = 0; i < 50; i++) {
        pthread_t thread;

        ck_ok(tcpx_connect(&client, tcpx_listener_address(l), NULL, soon()));
        ck_ok(tcpx_accept(&server, l, soon()));
        thread = start_thread(serve, server);
        talk(client);
        end_thread(thread);
    }
    tcpx_listener_close(l);
    ck_assert_int_eq(resets(), 0);
    ck_assert_int_eq(counter("/proc/net/netstat", "TcpExt:", "TCPAbortOnClose"),
                     0);
    ck_assert_int_eq(counter("/proc/net/netstat", "TcpExt:", "TCPAbortOnData"),
                     0);
}
END_TEST

/* The oracle must be able to say otherwise. */
START_TEST(an_abort_is_counted)
{
    const char *why = enter_network();
    struct pair p;

    if (why)
        skip_test("%s", why);
    p = pair_open(PAIR_SOLE);
    ck_assert_int_eq(resets(), 0);
    pair_end(&p);
    ck_assert_int_gt(resets(), 0);
}
END_TEST

static void fill_resets(TCase *tc)
{
    tcase_add_test(tc, no_reset_is_sent_when_all_goes_well);
    tcase_add_test(tc, an_abort_is_counted);
}

const struct test_case test_cases[] = {
    {"clean", "resets", fill_resets},
    {NULL, NULL, NULL},
};
