/* SPDX-License-Identifier: MIT */
/*
 * t_crowd.c - a crowd of clients that connect and say nothing.
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "runner.h"
#include "sanitizers.h"
#include "server/serving.h"

#define CROWD 10000
#define ADMITTED 100

static int ready[2]; /* a byte once all are there */
static int left[2];  /* its end when they may go */

/* In a child, which has the pipes: as many silent clients as there may be, all
 * at a time. */
static int say_nothing(const char *address, int size)
{
    char byte = 1;

    close(left[1]);
    for (int i = 0; i < size; i++) {
        if (dial(address) < 0)
            return NOT_CONNECTED;
    }
    return write(ready[1], &byte, 1) != 1 || read(left[0], &byte, 1) != 0;
}

/* So many descriptors for this process and its children; 0 if they may not. */
static int allow(rlim_t descriptors)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < descriptors)
        return 0;
    if (limit.rlim_cur < descriptors)
        limit.rlim_cur = descriptors;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

START_TEST(a_silent_crowd_is_kept_to_the_limit_and_an_honest_client_served)
{
    tcpx_server_opts o = serving_opts(_i);
    tcpx_server_counts n;
    int size = TEST_ASAN || TEST_TSAN || on_valgrind() ? CROWD / 10 : CROWD;
    struct serving s;
    pid_t clients;
    char byte;
    int fd;

    /* A pool takes nobody while no worker is free: they wait for one in the
       kernel's queue, each with its own two seconds. */
    if (_i == POOL)
        return;
    if (!allow(CROWD + 1000))
        skip_test("a process may not have %d descriptors here", CROWD + 1000);
    o.max_connections = ADMITTED;
    o.refuse_when_full = 1;
    o.first_byte = 2 * TCPX_SEC;
    ck_assert_int_eq(pipe(ready), 0);
    ck_assert_int_eq(pipe(left), 0);
    prepare(&s, echo_handler, NULL, &o);
    clients = fork(); /* before there are threads */
    if (clients == 0)
        _exit(say_nothing(tcpx_server_address(s.server), size));
    start_serving(&s);
    close(ready[1]);
    close(left[0]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    /* Their time is up, though none of them has left. */
    await_count(&s, active, 0);
    fd = client_of(&s);
    expect_echo(fd, "an honest word");
    ck_ok(tcpx_server_stats(s.server, &n));
    ck_assert_uint_le(n.most_active, ADMITTED);
    ck_assert_uint_ge(n.limited, ADMITTED);
    ck_assert_uint_eq(n.accepted + n.refused_connections, (uint64_t)size + 1);
    close(left[1]);
    ck_assert_int_eq(end_clients(clients), 0);
    ck_ok(stop_serving(&s));
    end_serving(&s);
    close(ready[0]);
}
END_TEST

static void fill_crowd(TCase *tc)
{
    /* Not one at a time: each would have its two seconds. */
    tcase_add_loop_test(
        tc, a_silent_crowd_is_kept_to_the_limit_and_an_honest_client_served,
        FORK, MODELS);
}

const struct test_case test_cases[] = {
    {"crowd", "silent", fill_crowd},
    {NULL, NULL, NULL},
};
