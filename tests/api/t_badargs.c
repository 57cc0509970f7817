/* SPDX-License-Identifier: MIT */
/*
 * t_badargs.c - every function with what it must refuse, from tables.
 *
 * The result of each call stands in a row beside what it must be.  A function
 * that the library exports and that has no row fails the run.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "pairs.h"
#include "runner.h"
#include "support.h"

struct row {
    const char *call;
    ssize_t result;
    ssize_t expected;
};

#define ROW(call, expected)                                                    \
    {                                                                          \
#call, (ssize_t)(call), (expected)                                     \
    }

#define CHECK(rows) check((rows), sizeof(rows) / sizeof((rows)[0]))

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(rows[i].result == rows[i].expected,
                      "%s gave %zd (%s), not %zd", rows[i].call, rows[i].result,
                      tcpx_errname((int)rows[i].result), rows[i].expected);
}

/* What must stay as it was: no output is touched on failure. */
#define UNTOUCHED ((void *)(uintptr_t)0x5a5a5a5a)

static char buf[64];
static struct iovec part = {buf, 4};

static void never(void *arg)
{
    (void)arg;
    ck_abort_msg("a task that was refused runs");
}

static void nothing(void *arg)
{
    (void)arg;
}

static void never_handle(tcpx_conn *c, void *arg)
{
    (void)c;
    never(arg);
}

/* ---- NULL -------------------------------------------------------------- */

static int vprintf_null(tcpx_conn *c, const char *format, ...)
{
    va_list args;
    int err;

    va_start(args, format);
    err = tcpx_vprintf(c, NULL, TCPX_NOW, format, args);
    va_end(args);
    return err;
}

START_TEST(no_stream_call_takes_null_for_a_connection)
{
    const struct row rows[] = {
        ROW(tcpx_read(NULL, buf, 1, TCPX_NOW), -EINVAL),
        ROW(tcpx_readn(NULL, buf, 1, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_readline(NULL, buf, 8, TCPX_NOW), -EINVAL),
        ROW(tcpx_read_until(NULL, buf, 8, 'x', TCPX_NOW), -EINVAL),
        ROW(tcpx_skip_until(NULL, 'x', NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_peek(NULL, buf, 1, TCPX_NOW), -EINVAL),
        ROW(tcpx_read_frame(NULL, NULL, buf, 8, TCPX_NOW), -EINVAL),
        ROW(tcpx_write(NULL, buf, 1, TCPX_NOW), -EINVAL),
        ROW(tcpx_writen(NULL, buf, 1, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_writev(NULL, &part, 1, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_write_frame(NULL, NULL, buf, 1, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_printf(NULL, NULL, TCPX_NOW, "x"), -EINVAL),
        ROW(vprintf_null(NULL, "x"), -EINVAL),
        ROW(tcpx_sendfile(NULL, 0, NULL, 1, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_flush(NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_half_close(NULL), -EINVAL),
        ROW(tcpx_close(NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_conn_release(NULL, &(int){0}, NULL, 0, NULL), -EINVAL),
        ROW(tcpx_relay(NULL, NULL, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_conn_take(NULL), -EINVAL),
        ROW(tcpx_conn_info(NULL, &(tcpx_conn_information){0}), -EINVAL),
        ROW(tcpx_conn_peer_sockaddr(NULL, &(struct sockaddr_storage){0}),
            -EINVAL),
    };

    CHECK(rows);
}
END_TEST

START_TEST(no_stream_call_takes_null_for_memory)
{
    struct pair p = pair_open(_i);
    const struct row rows[] = {
        ROW(tcpx_read(p.a, NULL, 1, TCPX_NOW), -EINVAL),
        ROW(tcpx_readn(p.a, NULL, 1, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_readline(p.a, NULL, 8, TCPX_NOW), -EINVAL),
        ROW(tcpx_read_until(p.a, NULL, 8, 'x', TCPX_NOW), -EINVAL),
        ROW(tcpx_peek(p.a, NULL, 1, TCPX_NOW), -EINVAL),
        ROW(tcpx_read_frame(p.a, NULL, NULL, 8, TCPX_NOW), -EINVAL),
        ROW(tcpx_write(p.a, NULL, 1, TCPX_NOW), -EINVAL),
        ROW(tcpx_writen(p.a, NULL, 1, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_writev(p.a, NULL, 1, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_write_frame(p.a, NULL, NULL, 1, NULL, TCPX_NOW), -EINVAL),
        ROW(vprintf_null(p.a, NULL), -EINVAL),
        ROW(tcpx_conn_release(p.a, NULL, NULL, 0, NULL), -EINVAL),
        ROW(tcpx_conn_release(p.a, &(int){0}, NULL, 1, NULL), -EINVAL),
        ROW(tcpx_conn_info(p.a, NULL), -EINVAL),
        ROW(tcpx_conn_peer_sockaddr(p.a, NULL), -EINVAL),
        ROW(tcpx_relay(p.a, NULL, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_relay(NULL, p.a, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_relay(p.a, p.a, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_sendfile(p.a, -1, NULL, 1, NULL, TCPX_NOW), -EBADF),
        ROW(tcpx_conn_state(p.a), 0),
    };

    CHECK(rows);
    pair_end(&p);
}
END_TEST

START_TEST(no_constructor_takes_null_and_none_touches_its_output)
{
    tcpx_conn *c = UNTOUCHED;
    tcpx_listener *l = UNTOUCHED;
    tcpx_queue *q = UNTOUCHED;
    tcpx_server *s = UNTOUCHED;
    tcpx_task *t = UNTOUCHED;
    tcpx_address address;
    const struct row rows[] = {
        ROW(tcpx_connect(NULL, "127.0.0.1:1", NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_connect(&c, NULL, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_listen(NULL, "127.0.0.1:0", NULL), -EINVAL),
        ROW(tcpx_listen(&l, NULL, NULL), -EINVAL),
        ROW(tcpx_listener_adopt(NULL, 0, NULL), -EINVAL),
        ROW(tcpx_listener_adopt(&l, -1, NULL), -EBADF),
        ROW(tcpx_accept(NULL, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_accept(&c, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_conn_adopt(NULL, 0, NULL), -EINVAL),
        ROW(tcpx_conn_adopt(&c, -1, NULL), -EBADF),
        ROW(tcpx_conn_pair(NULL), -EINVAL),
        ROW(tcpx_queue_create(NULL, 1, NULL), -EINVAL),
        ROW(tcpx_queue_create(&q, 0, NULL), -EINVAL),
        ROW(tcpx_queue_put(NULL, buf, TCPX_NOW), -EINVAL),
        ROW(tcpx_queue_get(NULL, &(void *){NULL}, TCPX_NOW), -EINVAL),
        ROW(tcpx_queue_close_with(NULL, buf), -EINVAL),
        ROW(tcpx_queue_free(NULL), -EINVAL),
        ROW(tcpx_server_create(NULL, "127.0.0.1:0", never_handle, NULL, NULL),
            -EINVAL),
        ROW(tcpx_server_create(&s, "127.0.0.1:0", NULL, NULL, NULL), -EINVAL),
        ROW(tcpx_server_run(NULL), -EINVAL),
        ROW(tcpx_server_stats(NULL, &(tcpx_server_counts){0}), -EINVAL),
        ROW(tcpx_server_free(NULL), -EINVAL),
        ROW(tcpx_task_spawn(&t, NULL, NULL, NULL), -EINVAL),
        ROW(tcpx_run(NULL, NULL, NULL, NULL), -EINVAL),
        ROW(tcpx_server_engine(NULL), 0),
        ROW(tcpx_task_engine(NULL), 0),
        ROW(tcpx_task_join(NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_task_join(tcpx_task_self(), TCPX_NOW), -EINVAL),
        ROW(tcpx_address_parse(NULL, "127.0.0.1:1"), -EINVAL),
        ROW(tcpx_address_parse(&address, NULL), -EINVAL),
        ROW(tcpx_address_format(NULL, buf, sizeof(buf)), -EINVAL),
        ROW(tcpx_address_format(&address, NULL, 1), -EINVAL),
        ROW(tcpx_wait(NULL, 1, TCPX_NOW), -EINVAL),
        ROW(tcpx_wait(NULL, 0, TCPX_FOREVER), -EINVAL),
    };

    CHECK(rows);
    ck_assert_ptr_eq(c, UNTOUCHED);
    ck_assert_ptr_eq(l, UNTOUCHED);
    ck_assert_ptr_eq(q, UNTOUCHED);
    ck_assert_ptr_eq(s, UNTOUCHED);
    ck_assert_ptr_eq(t, UNTOUCHED);
}
END_TEST

START_TEST(getters_of_null_have_an_answer)
{
    const struct row rows[] = {
        ROW(tcpx_conn_fd(NULL), -1),
        ROW(tcpx_conn_state(NULL), 0),
        ROW(tcpx_conn_has(NULL, TCPX_HAS_MPTCP), 0),
        ROW(tcpx_conn_is_draining(NULL), 0),
        ROW(tcpx_conn_bytes_read(NULL), 0),
        ROW(tcpx_conn_bytes_written(NULL), 0),
        ROW(strcmp(tcpx_conn_peer(NULL), ""), 0),
        ROW(strcmp(tcpx_conn_local(NULL), ""), 0),
        ROW(strcmp(tcpx_listener_address(NULL), ""), 0),
        ROW(strcmp(tcpx_server_address(NULL), ""), 0),
        ROW(tcpx_listener_fd(NULL), -1),
        ROW(tcpx_listener_backlog(NULL), 0),
        ROW(tcpx_connect_report_count(NULL), 0),
        ROW(tcpx_connect_report_at(NULL, 0) == NULL, 1),
        ROW(tcpx_conn_ref(NULL) == NULL, 1),
        ROW(tcpx_task_ref(NULL) == NULL, 1),
        ROW(tcpx_task_self() != NULL, 1),
        ROW(tcpx_task_clear_cancel(), 0),
        ROW(tcpx_is_peer_gone(0), 0),
        ROW(strlen(tcpx_strerror(INT_MIN)) > 0, 1),
        ROW(strcmp(tcpx_errname(INT_MIN), "unknown"), 0),
        ROW(strlen(tcpx_errmsg()), 0),
        ROW(strlen(tcpx_version()) > 0, 1),
        ROW(tcpx_now() > 0, 1),
        ROW(tcpx_after(INT64_MIN) <= tcpx_now(), 1),
        ROW(tcpx_after(INT64_MAX) == TCPX_FOREVER, 1),
        ROW(tcpx_lookup_is_abandoned(NULL), 0),
    };

    CHECK(rows);
}
END_TEST

START_TEST(void_functions_of_null_do_nothing)
{
    tcpx_abort(NULL);
    tcpx_cancel(NULL);
    tcpx_conn_unref(NULL);
    tcpx_connect_report_free(NULL);
    tcpx_listener_cancel(NULL);
    tcpx_listener_close(NULL);
    tcpx_lookup_finish(NULL, 0, NULL, 0);
    tcpx_queue_close(NULL);
    tcpx_resolver_set(NULL, NULL);
    tcpx_server_stop(NULL);
    tcpx_task_cancel(NULL);
    tcpx_task_end(NULL);
    tcpx_task_unref(NULL);
}
END_TEST

static void fill_null(TCase *tc)
{
    tcase_add_test(tc, no_stream_call_takes_null_for_a_connection);
    tcase_add_loop_test(tc, no_stream_call_takes_null_for_memory, 0, PAIRS);
    tcase_add_test(tc, no_constructor_takes_null_and_none_touches_its_output);
    tcase_add_test(tc, getters_of_null_have_an_answer);
    tcase_add_test(tc, void_functions_of_null_do_nothing);
}

/* ---- lengths and deadlines --------------------------------------------- */

#define TOO_LONG ((size_t)SSIZE_MAX + 1)

START_TEST(lengths_that_no_call_can_have_are_refused)
{
    struct pair p = pair_open(_i);
    const struct row rows[] = {
        ROW(tcpx_read(p.a, buf, 0, TCPX_NOW), -EINVAL),
        ROW(tcpx_read(p.a, buf, TOO_LONG, TCPX_NOW), -EINVAL),
        ROW(tcpx_read(p.a, buf, SIZE_MAX, TCPX_NOW), -EINVAL),
        ROW(tcpx_readn(p.a, buf, 0, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_readn(p.a, buf, TOO_LONG, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_peek(p.a, buf, 0, TCPX_NOW), -EINVAL),
        ROW(tcpx_peek(p.a, buf, TOO_LONG, TCPX_NOW), -EINVAL),
        ROW(tcpx_readline(p.a, buf, 0, TCPX_NOW), -EINVAL),
        ROW(tcpx_readline(p.a, buf, TOO_LONG, TCPX_NOW), -EINVAL),
        ROW(tcpx_read_until(p.a, buf, 0, 'x', TCPX_NOW), -EINVAL),
        ROW(tcpx_read_until(p.a, buf, TOO_LONG, 'x', TCPX_NOW), -EINVAL),
        ROW(tcpx_read_until(p.a, buf, 8, -1, TCPX_NOW), -EINVAL),
        ROW(tcpx_read_until(p.a, buf, 8, 256, TCPX_NOW), -EINVAL),
        ROW(tcpx_skip_until(p.a, -1, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_skip_until(p.a, 256, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_read_frame(p.a, NULL, buf, 0, TCPX_NOW), -EINVAL),
        ROW(tcpx_read_frame(p.a, NULL, buf, TOO_LONG, TCPX_NOW), -EINVAL),
        ROW(tcpx_write(p.a, buf, TOO_LONG, TCPX_NOW), -EINVAL),
        ROW(tcpx_write(p.a, buf, SIZE_MAX, TCPX_NOW), -EINVAL),
        ROW(tcpx_writen(p.a, buf, TOO_LONG, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_writev(p.a, &part, -1, NULL, TCPX_NOW), -EINVAL),
        ROW(tcpx_write_frame(p.a, NULL, buf, TOO_LONG, NULL, TCPX_NOW),
            -EINVAL),
        ROW(tcpx_write(p.a, buf, 0, TCPX_NOW), 0),
        ROW(tcpx_writen(p.a, buf, 0, NULL, TCPX_NOW), 0),
        ROW(tcpx_writev(p.a, &part, 0, NULL, TCPX_NOW), 0),
        ROW(tcpx_conn_state(p.a), 0),
        ROW(tcpx_conn_bytes_written(p.a), 0),
    };

    CHECK(rows);
    pair_end(&p);
}
END_TEST

static const tcpx_time duration = 3 * TCPX_SEC;

START_TEST(no_call_takes_a_duration_for_a_deadline)
{
    struct pair p = pair_open(_i);
    tcpx_waitfor item = TCPX_ON_CONN(p.a, TCPX_READABLE);
    tcpx_listener *l = NULL;
    tcpx_queue *q = NULL;
    tcpx_task *t = NULL;
    tcpx_conn *c = UNTOUCHED;
    int file = open(__FILE__, O_RDONLY | O_CLOEXEC);

    ck_ok(tcpx_listen(&l, "127.0.0.1:0", NULL));
    ck_ok(tcpx_queue_create(&q, 1, NULL));
    ck_ok(tcpx_task_spawn(&t, nothing, NULL, NULL));
    const struct row rows[] = {
        ROW(tcpx_read(p.a, buf, 1, duration), -EINVAL),
        ROW(tcpx_readn(p.a, buf, 1, NULL, duration), -EINVAL),
        ROW(tcpx_peek(p.a, buf, 1, duration), -EINVAL),
        ROW(tcpx_readline(p.a, buf, 8, duration), -EINVAL),
        ROW(tcpx_read_until(p.a, buf, 8, 'x', duration), -EINVAL),
        ROW(tcpx_skip_until(p.a, 'x', NULL, duration), -EINVAL),
        ROW(tcpx_read_frame(p.a, NULL, buf, 8, duration), -EINVAL),
        ROW(tcpx_write(p.a, buf, 1, duration), -EINVAL),
        ROW(tcpx_writen(p.a, buf, 1, NULL, duration), -EINVAL),
        ROW(tcpx_writev(p.a, &part, 1, NULL, duration), -EINVAL),
        ROW(tcpx_write_frame(p.a, NULL, buf, 1, NULL, duration), -EINVAL),
        ROW(tcpx_printf(p.a, NULL, duration, "x"), -EINVAL),
        ROW(tcpx_sendfile(p.a, file, NULL, 1, NULL, duration), -EINVAL),
        ROW(tcpx_flush(p.a, duration), -EINVAL),
        ROW(tcpx_relay(p.a, p.b, NULL, duration), -EINVAL),
        ROW(tcpx_close(p.a, duration), -EINVAL),
        ROW(tcpx_wait(&item, 1, duration), -EINVAL),
        ROW(tcpx_accept(&c, l, duration), -EINVAL),
        ROW(tcpx_connect(&c, "127.0.0.1:1", NULL, duration), -EINVAL),
        ROW(tcpx_queue_put(q, buf, duration), -EINVAL),
        ROW(tcpx_queue_get(q, &(void *){NULL}, duration), -EINVAL),
        ROW(tcpx_task_join(t, duration), -EINVAL),
        ROW(tcpx_sleep(duration), -EINVAL),
        ROW(tcpx_conn_state(p.a), 0),
        ROW(tcpx_conn_bytes_written(p.a), 0),
    };

    CHECK(rows);
    ck_assert_ptr_eq(c, UNTOUCHED);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), "tcpx_after"));
    ck_ok(tcpx_task_join(t, soon()));
    ck_ok(tcpx_queue_free(q));
    tcpx_listener_close(l);
    close(file);
    pair_end(&p);
}
END_TEST

static void fill_numbers(TCase *tc)
{
    tcase_add_loop_test(tc, lengths_that_no_call_can_have_are_refused, 0,
                        PAIRS);
    tcase_add_loop_test(tc, no_call_takes_a_duration_for_a_deadline, 0, PAIRS);
}

/* ---- a descriptor that the program has closed -------------------------- */

START_TEST(a_closed_descriptor_is_an_error_and_nothing_worse)
{
    int file = open(__FILE__, O_RDONLY | O_CLOEXEC);
    char quick[1];
    int peer;
    tcpx_conn *c = conn_open(_i, &peer);
    tcpx_waitfor item = TCPX_ON_CONN(c, TCPX_READABLE | TCPX_WRITABLE);

    /* So that what a wait needs is made before the number is free. */
    ck_fails(tcpx_read(c, quick, 1, tcpx_after(TCPX_MSEC)), TCPX_EDEADLINE);
    close(tcpx_conn_fd(c));
    const struct row rows[] = {
        ROW(tcpx_wait(&item, 1, soon()), 1),
        ROW(item.got, TCPX_READABLE | TCPX_WRITABLE),
        ROW(tcpx_read(c, buf, 1, soon()), -EBADF),
        ROW(tcpx_readn(c, buf, 1, NULL, soon()), -EBADF),
        ROW(tcpx_peek(c, buf, 1, soon()), -EBADF),
        ROW(tcpx_readline(c, buf, 8, soon()), -EBADF),
        ROW(tcpx_read_until(c, buf, 8, 'x', soon()), -EBADF),
        ROW(tcpx_skip_until(c, 'x', NULL, soon()), -EBADF),
        ROW(tcpx_read_frame(c, NULL, buf, 8, soon()), -EBADF),
        ROW(tcpx_write(c, buf, 1, soon()), -EBADF),
        ROW(tcpx_writen(c, buf, 1, NULL, soon()), -EBADF),
        ROW(tcpx_writev(c, &part, 1, NULL, soon()), -EBADF),
        ROW(tcpx_write_frame(c, NULL, buf, 1, NULL, soon()), -EBADF),
        ROW(tcpx_printf(c, NULL, soon(), "x"), -EBADF),
        ROW(tcpx_sendfile(c, file, NULL, 1, NULL, soon()), -EBADF),
        ROW(tcpx_flush(c, soon()), -EBADF),
        ROW(tcpx_half_close(c), -EBADF),
        ROW(tcpx_conn_has(c, TCPX_HAS_MPTCP), 0),
        ROW(tcpx_close(c, soon()), -EBADF),
    };

    CHECK(rows);
    close(peer);
    close(file);
}
END_TEST

static void fill_closed(TCase *tc)
{
    tcase_add_loop_test(tc, a_closed_descriptor_is_an_error_and_nothing_worse,
                        0, PAIRS);
}

/* ---- the rest of the list ---------------------------------------------- */

/* The sources of the rows, and of the list that they must cover. */
static char *slurp(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, 1 << 18);

    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_gt(fread(text, 1, (1 << 18) - 1, file), 0);
    fclose(file);
    return text;
}

START_TEST(every_exported_function_is_here)
{
    char *map = slurp(TCPX_MAP);
    char *rows = slurp(__FILE__);
    int count = 0;

    for (char *name = strtok(map, " \n;{}:"); name;
         name = strtok(NULL, " \n;{}:")) {
        char call[80];

        if (strncmp(name, "tcpx_", 5) != 0)
            continue;
        snprintf(call, sizeof(call), "%s(", name);
        ck_assert_msg(strstr(rows, call) != NULL, "%s is not tried", name);
        count++;
    }
    ck_assert_int_gt(count, 70);
    free(map);
    free(rows);
}
END_TEST

static void fill_list(TCase *tc)
{
    tcase_add_test(tc, every_exported_function_is_here);
}

const struct test_case test_cases[] = {
    {"badargs", "null", fill_null},
    {"badargs", "numbers", fill_numbers},
    {"badargs", "closed", fill_closed},
    {"badargs", "list", fill_list},
    {NULL, NULL, NULL},
};
