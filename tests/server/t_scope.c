/* SPDX-License-Identifier: MIT */
/*
 * t_scope.c - tasks of a handler, which end with it.
 */
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "runner.h"
#include "sanitizers.h"
#include "server/serving.h"

/* ThreadSanitizer lets no child of a process with threads start its own. */
#define skip_fork_under_tsan()                                                 \
    do {                                                                       \
        if (TEST_TSAN && _i == FORK)                                           \
            return;                                                            \
    } while (0)

/* How many tasks of handlers run.  In a fork server each child has its own, so
   that the handler itself tells its client. */
static _Atomic int running;

static void sleep_on(void *arg)
{
    (void)arg;
    atomic_fetch_add(&running, 1);
    tcpx_sleep(TCPX_FOREVER);
    atomic_fetch_sub(&running, 1);
}

/* Starts tasks of its own, and leaves without a look at them. */
static void have_children(void *arg)
{
    tcpx_task *t;

    (void)arg;
    atomic_fetch_add(&running, 1);
    ck_ok(tcpx_task_spawn(&t, sleep_on, NULL, NULL));
    ck_ok(tcpx_task_spawn(NULL, sleep_on, NULL, NULL));
    tcpx_sleep(TCPX_FOREVER);
    atomic_fetch_sub(&running, 1);
}

static void await_running(int n)
{
    tcpx_time until = soon();

    while (atomic_load(&running) != n) {
        ck_assert_int_lt(tcpx_now(), until);
        tcpx_sleep(tcpx_after(TCPX_MSEC / 10));
    }
}

/* One level of tasks, two levels, with and without a handle: eight of them. */
static void leave_tasks_behind(tcpx_conn *c, void *arg)
{
    tcpx_task *t;

    (void)arg;
    ck_ok(tcpx_task_spawn(&t, sleep_on, NULL, NULL));
    ck_ok(tcpx_task_spawn(NULL, sleep_on, NULL, NULL));
    ck_ok(tcpx_task_spawn(&t, have_children, NULL, NULL));
    ck_ok(tcpx_task_spawn(NULL, have_children, NULL, NULL));
    await_running(8);
    ck_ok(tcpx_writen(c, "left", 4, NULL, TCPX_FOREVER));
}

START_TEST(all_tasks_of_a_handler_end_with_it)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;

    skip_fork_under_tsan();
    serve(&s, leave_tasks_behind, NULL, &o);
    for (int i = 0; i < 5; i++) {
        char got[5];
        int fd = client_of(&s);

        /* The end comes after the tasks': the client sees it last. */
        ck_assert_uint_eq(raw_recv(fd, got, sizeof(got)), 4);
        ck_assert_int_eq(atomic_load(&running), 0);
        leave(fd);
    }
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 5);
    ck_assert_int_eq(atomic_load(&events.reason), 0);
}
END_TEST

static void read_for_ever(void *arg)
{
    char byte;

    atomic_fetch_add(&running, 1);
    ck_fails(tcpx_read(arg, &byte, 1, TCPX_FOREVER), TCPX_ECANCELED);
    atomic_fetch_sub(&running, 1);
}

static void leave_a_reader(tcpx_conn *c, void *arg)
{
    tcpx_task *t;

    (void)arg;
    ck_ok(tcpx_task_spawn(&t, read_for_ever, c, NULL));
    await_running(1);
}

/* Its read is canceled, and the connection with it, as tcpx_task_cancel(3)
   says: so the client sees no clean end. */
START_TEST(a_task_that_reads_its_handlers_connection_is_ended_too)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;

    skip_fork_under_tsan();
    serve(&s, leave_a_reader, NULL, &o);
    for (int i = 0; i < 5; i++) {
        int fd = client_of(&s);

        ck_assert(!ends_cleanly(fd));
        leave(fd);
    }
    await_count(&s, canceled, 5);
    ck_ok(stop_serving(&s));
    end_serving(&s);
}
END_TEST

/* Two that know each other: whichever is ended first, the other may join it. */
static void join_sibling(void *arg)
{
    tcpx_task *t = arg;
    int err;

    do
        err = tcpx_task_join(t, tcpx_after(TCPX_MSEC));
    while (err == TCPX_EDEADLINE);
    ck_assert(err == 0 || err == TCPX_ECANCELED);
}

static void leave_siblings(tcpx_conn *c, void *arg)
{
    tcpx_task *t[3];

    (void)arg;
    ck_ok(tcpx_task_spawn(&t[0], sleep_on, NULL, NULL));
    ck_ok(tcpx_task_spawn(&t[1], join_sibling, t[0], NULL));
    ck_ok(tcpx_task_spawn(&t[2], join_sibling, t[1], NULL));
    ck_ok(tcpx_writen(c, "x", 1, NULL, TCPX_FOREVER));
}

START_TEST(tasks_that_join_each_other_end_with_their_handler)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;

    skip_fork_under_tsan();
    serve(&s, leave_siblings, NULL, &o);
    for (int i = 0; i < 50; i++) {
        char got[2];
        int fd = client_of(&s);

        ck_assert_uint_eq(raw_recv(fd, got, sizeof(got)), 1);
        leave(fd);
    }
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 50);
    ck_assert_int_eq(atomic_load(&events.reason), 0);
}
END_TEST

static void end_at_once(void *arg)
{
    atomic_fetch_add((_Atomic int *)arg, 1);
}

/* Threads of this process that there are now. */
static int threads(void)
{
    char line[128];
    int n = 0;
    FILE *f = fopen("/proc/self/status", "re");

    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof(line), f) && !sscanf(line, "Threads: %d", &n))
        ;
    fclose(f);
    return n;
}

/* Virtual memory in KiB: where the stack of a thread shows that nobody
   joined. */
static long address_space(void)
{
    char line[128];
    long n = 0;
    FILE *f = fopen("/proc/self/status", "re");

    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof(line), f) && !sscanf(line, "VmSize: %ld", &n))
        ;
    fclose(f);
    return n;
}

static void start_many_without_handles(tcpx_conn *c, void *arg)
{
    static _Atomic int ended;
    int before = threads();
    long size = 0;

    (void)arg;
    for (int i = 1; i <= 300; i++) {
        tcpx_time until = soon();

        ck_ok(tcpx_task_spawn(NULL, end_at_once, (void *)&ended,
                              TCPX_TASK(.stack_size = 1 << 20)));
        while (atomic_load(&ended) < i || threads() > before) {
            ck_assert_int_lt(tcpx_now(), until);
            sched_yield();
        }
        if (i == 100)
            size = address_space();
    }
    /* Two hundred stacks that were kept would be two hundred MiB. */
    ck_assert_int_lt(address_space() - size, 100 << 10);
    ck_ok(tcpx_writen(c, "x", 1, NULL, TCPX_FOREVER));
}

START_TEST(a_task_without_a_handle_holds_nothing_once_it_has_ended)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(THREAD, &events);
    struct serving s;
    char got[2];
    int fd;

    serve(&s, start_many_without_handles, NULL, &o);
    fd = client_of(&s);
    ck_assert_uint_eq(raw_recv(fd, got, sizeof(got)), 1);
    leave(fd);
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

/* A chat member: a writer beside the reader, ended before locals go. */
struct member {
    tcpx_conn *c;
    tcpx_queue *q;
};

static void write_from_queue(void *arg)
{
    struct member *m = arg;
    void *item;

    while (tcpx_queue_get(m->q, &item, TCPX_FOREVER) == 0) {
        char byte = (char)(uintptr_t)item;

        ck_ok(tcpx_writen(m->c, &byte, 1, NULL, TCPX_FOREVER));
    }
}

static void chat_with_itself(tcpx_conn *c, void *arg)
{
    struct member m = {.c = c};
    tcpx_task *writer;
    char byte;

    (void)arg;
    ck_ok(tcpx_queue_create(&m.q, 4, NULL));
    ck_ok(tcpx_task_spawn(&writer, write_from_queue, &m, NULL));
    while (tcpx_read(c, &byte, 1, TCPX_FOREVER) == 1)
        ck_ok(tcpx_queue_put(m.q, (void *)(uintptr_t)byte, TCPX_FOREVER));
    tcpx_queue_close(m.q);
    ck_ok(tcpx_task_join(writer, TCPX_FOREVER));
    ck_ok(tcpx_queue_free(m.q));
}

START_TEST(a_reader_and_a_writer_share_a_client)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(_i, &events);
    struct serving s;

    skip_fork_under_tsan();
    serve(&s, chat_with_itself, NULL, &o);
    for (int i = 0; i < 10; i++)
        expect_echo(client_of(&s), "hello, who is there?");
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 10);
    ck_assert_int_eq(atomic_load(&events.reason), 0);
}
END_TEST

/* ---- a child of a handler ---- */

static _Atomic int child_of_handler;

/* Leaves a child behind that holds every descriptor, as a program does that
   was started without a thought of them. */
static void leave_a_child(tcpx_conn *c, void *arg)
{
    char byte;
    pid_t child;

    (void)arg;
    ck_assert_int_eq(tcpx_read(c, &byte, 1, soon()), 0);
    child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    atomic_store(&child_of_handler, child);
}

START_TEST(a_client_sees_the_end_though_a_child_holds_its_socket)
{
    tcpx_server_opts o = serving_opts(_i);
    struct serving s;
    char byte;
    int fd;

    if (_i == FORK || TEST_TSAN)
        return; /* its handler is a child itself; no child amid threads */
    serve(&s, leave_a_child, NULL, &o);
    fd = client_of(&s);
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    ck_assert_uint_eq(raw_recv(fd, &byte, 1), 0);
    ck_assert_int_gt(atomic_load(&child_of_handler), 0);
    kill(atomic_load(&child_of_handler), SIGKILL);
    child_status(atomic_load(&child_of_handler));
    close(fd);
    ck_ok(stop_serving(&s));
    end_serving(&s);
}
END_TEST

static void fill_scope(TCase *tc)
{
    tcase_add_loop_test(tc, all_tasks_of_a_handler_end_with_it, 0, MODELS);
    tcase_add_loop_test(
        tc, a_task_that_reads_its_handlers_connection_is_ended_too, 0, MODELS);
    tcase_add_loop_test(tc, tasks_that_join_each_other_end_with_their_handler,
                        0, MODELS);
    tcase_add_test(tc, a_task_without_a_handle_holds_nothing_once_it_has_ended);
    tcase_add_loop_test(tc, a_reader_and_a_writer_share_a_client, 0, MODELS);
    tcase_add_loop_test(
        tc, a_client_sees_the_end_though_a_child_holds_its_socket, 0, MODELS);
}

const struct test_case test_cases[] = {
    {"scope", "tasks", fill_scope},
    {NULL, NULL, NULL},
};
