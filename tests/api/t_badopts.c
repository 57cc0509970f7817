/* SPDX-License-Identifier: MIT */
/*
 * t_badopts.c - option structs of every size: older, newer, and garbage.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "pairs.h"
#include "runner.h"
#include "support.h"

/* Each gives the result of one call with such options, and leaves nothing. */

static int try_connect(const void *opts)
{
    char address[32];
    int listener = raw_listen(address, sizeof(address));
    tcpx_conn *c = NULL;
    int err = tcpx_connect(&c, address, opts, soon());

    tcpx_abort(c);
    close(listener);
    return err;
}

static int try_listen(const void *opts)
{
    tcpx_listener *l = NULL;
    int err = tcpx_listen(&l, "127.0.0.1:0", opts);

    tcpx_listener_close(l);
    return err;
}

static int try_listener_adopt(const void *opts)
{
    char address[32];
    int fd = raw_listen(address, sizeof(address));
    tcpx_listener *l = NULL;
    int err = tcpx_listener_adopt(&l, fd, opts);

    if (err)
        close(fd);
    tcpx_listener_close(l);
    return err;
}

static int try_conn_adopt(const void *opts)
{
    tcpx_conn *c = NULL;
    int fd[2];
    int err;

    raw_pair(fd);
    err = tcpx_conn_adopt(&c, fd[0], opts);
    if (err)
        close(fd[0]);
    tcpx_abort(c);
    close(fd[1]);
    return err;
}

static int try_write_frame(const void *opts)
{
    struct pair p = pair_open(PAIR_UNIX);
    int err = tcpx_write_frame(p.a, opts, "x", 1, NULL, soon());

    pair_end(&p);
    return err;
}

static int try_read_frame(const void *opts)
{
    struct pair p = pair_open(PAIR_UNIX);
    char buf[8];
    ssize_t n;

    ck_ok(tcpx_write_frame(p.b, NULL, "x", 1, NULL, soon()));
    n = tcpx_read_frame(p.a, opts, buf, sizeof(buf), soon());
    pair_end(&p);
    return n == 1 ? 0 : (int)n;
}

static int try_queue(const void *opts)
{
    tcpx_queue *q = NULL;
    int err = tcpx_queue_create(&q, 1, opts);

    if (!err)
        ck_ok(tcpx_queue_free(q));
    return err;
}

static void handle(tcpx_conn *c, void *arg)
{
    (void)c;
    (void)arg;
}

static int try_server(const void *opts)
{
    tcpx_server *s = NULL;
    int err = tcpx_server_create(&s, "127.0.0.1:0", handle, NULL, opts);

    if (!err)
        ck_ok(tcpx_server_free(s));
    return err;
}

static void nothing(void *arg)
{
    (void)arg;
}

static int try_task(const void *opts)
{
    tcpx_task *t = NULL;
    int err = tcpx_task_spawn(&t, nothing, NULL, opts);

    if (!err)
        ck_ok(tcpx_task_join(t, soon()));
    return err;
}

static int try_relay(const void *opts)
{
    struct pair p = pair_open(PAIR_UNIX);
    struct pair q = pair_open(PAIR_UNIX);
    int err;

    tcpx_half_close(p.b);
    tcpx_half_close(q.b);
    err = tcpx_relay(p.a, q.a, opts, soon());
    pair_end(&p);
    pair_end(&q);
    return err;
}

static const struct {
    const char *name;
    size_t size;
    int (*make)(const void *opts);
} takers[] = {
    {"tcpx_connect", sizeof(tcpx_connect_opts), try_connect},
    {"tcpx_listen", sizeof(tcpx_listen_opts), try_listen},
    {"tcpx_listener_adopt", sizeof(tcpx_listen_opts), try_listener_adopt},
    {"tcpx_conn_adopt", sizeof(tcpx_adopt_opts), try_conn_adopt},
    {"tcpx_write_frame", sizeof(tcpx_frame), try_write_frame},
    {"tcpx_read_frame", sizeof(tcpx_frame), try_read_frame},
    {"tcpx_queue_create", sizeof(tcpx_queue_opts), try_queue},
    {"tcpx_server_create", sizeof(tcpx_server_opts), try_server},
    {"tcpx_task_spawn", sizeof(tcpx_task_opts), try_task},
    {"tcpx_relay", sizeof(tcpx_relay_opts), try_relay},
};

#define TAKERS (int)(sizeof(takers) / sizeof(takers[0]))
#define MEMORY 8192

/* The result with a struct of that size, all zero but perhaps its last byte.
   There is no memory behind it, so that a look beyond it is seen. */
static int with(int i, uint32_t size, unsigned char last)
{
    size_t real = size < sizeof(size) ? sizeof(size)
                  : size > MEMORY     ? MEMORY
                                      : size;
    unsigned char *opts = calloc(1, real);
    int err;

    ck_assert_ptr_nonnull(opts);
    if (last)
        opts[real - 1] = last;
    memcpy(opts, &size, sizeof(size));
    err = takers[i].make(opts);
    free(opts);
    return err;
}

static void expect(int i, uint32_t size, unsigned char last, int expected)
{
    int err = with(i, size, last);

    ck_assert_msg(err == expected, "%s of %u bytes: %s, not %s", takers[i].name,
                  (unsigned)size, tcpx_errname(err), tcpx_errname(expected));
}

START_TEST(a_struct_that_is_too_small_is_refused)
{
    expect(_i, 0, 0, -EINVAL);
    expect(_i, 1, 0, -EINVAL);
    expect(_i, sizeof(uint32_t), 0, -EINVAL);
    expect(_i, (uint32_t)takers[_i].size - 1, 0, -EINVAL);
}
END_TEST

START_TEST(a_newer_struct_is_taken_if_it_asks_for_nothing_new)
{
    uint32_t size = (uint32_t)takers[_i].size;

    ck_assert_int_eq(takers[_i].make(NULL), 0);
    expect(_i, size, 0, 0);
    expect(_i, size + 8, 0, 0);
    expect(_i, size + 1, 0, 0);
    expect(_i, 4096, 0, 0);
    expect(_i, size + 8, 1, -E2BIG);
    expect(_i, size + 1, 1, -E2BIG);
    expect(_i, 4096, 1, -E2BIG);
}
END_TEST

START_TEST(a_size_that_cannot_be_is_refused)
{
    expect(_i, 4097, 0, -E2BIG);
    expect(_i, INT32_MAX, 0, -E2BIG);
    expect(_i, UINT32_MAX, 0, -E2BIG);
}
END_TEST

static void fill_size(TCase *tc)
{
    tcase_add_loop_test(tc, a_struct_that_is_too_small_is_refused, 0, TAKERS);
    tcase_add_loop_test(tc, a_newer_struct_is_taken_if_it_asks_for_nothing_new,
                        0, TAKERS);
    tcase_add_loop_test(tc, a_size_that_cannot_be_is_refused, 0, TAKERS);
}

const struct test_case test_cases[] = {
    {"badopts", "size", fill_size},
    {NULL, NULL, NULL},
};
