/* SPDX-License-Identifier: MIT */
/*
 * t_lookup.c - connecting by name, with real lookups, in a network of its own
 * whose name server the test plays.
 */
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <tcpx.h>
#include <unistd.h>
#include "network.h"
#include "runner.h"
#include "sanitizers.h"
#include "support.h"

#define HELPERS 4

/* "silent.test" gets no answer, "none.test" is no name; others have two
   addresses, to which there is no route. */
static enum dns_reply policy(const char *name, int family, int *n)
{
    (void)family;
    (void)n;
    if (strcmp(name, "silent.test") == 0)
        return DNS_SILENCE;

    return strcmp(name, "none.test") == 0 ? DNS_NO_NAME : DNS_ADDRESS;
}

/* The server, a listener on loopback, and its address by name. */
struct stage {
    struct dns dns;
    int listener;
    char numeric[64];
    char named[64]; /* the same, by way of /etc/hosts */
};

/* Returns NULL, or why there can be no network of its own. */
static const char *stage_open(struct stage *s)
{
    const char *why = enter_network();

    if (why)
        return why;
    dns_start(&s->dns, policy);
    s->listener = raw_listen(s->numeric, sizeof(s->numeric));
    (void)snprintf(s->named, sizeof(s->named), "here.test:%s",
                   strchr(s->numeric, ':') + 1);
    write_etc("hosts", "127.0.0.1 here.test\n");
    return NULL;
}

static void stage_end(struct stage *s)
{
    close(s->listener);
    dns_stop(&s->dns);
}

#define STAGE_OR_SKIP(s)                                                       \
    do {                                                                       \
        const char *why_not = stage_open(s);                                   \
        if (why_not)                                                           \
            skip_test("%s", why_not);                                          \
    } while (0)

static void reach(const struct stage *s, const char *address)
{
    tcpx_conn *c = NULL;

    ck_ok(tcpx_connect(&c, address, NULL, soon()));
    tcpx_abort(c);
    close(raw_accept(s->listener)); /* or the queue would fill */
}

static int count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = 0;

    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

START_TEST(a_name_leads_to_its_host)
{
    struct stage s;
    tcpx_conn *c = NULL;

    STAGE_OR_SKIP(&s);
    ck_ok(tcpx_connect(&c, s.named, NULL, soon()));
    ck_assert_str_eq(tcpx_conn_peer(c), s.numeric);
    tcpx_abort(c);
    stage_end(&s);
}
END_TEST

START_TEST(no_such_name_is_said_in_words)
{
    struct stage s;
    tcpx_conn *c = NULL;

    STAGE_OR_SKIP(&s);
    ck_fails(tcpx_connect(&c, "none.test:80", NULL, soon()), TCPX_ERESOLVE);
    ck_assert_msg(strstr(tcpx_errmsg(), "none.test:80"), "%s", tcpx_errmsg());
    ck_assert_msg(strstr(tcpx_errmsg(), "no such name"), "%s", tcpx_errmsg());
    ck_fails(tcpx_connect(&c, "here.test:nope", NULL, soon()), TCPX_ERESOLVE);
    ck_assert_msg(strstr(tcpx_errmsg(), "no such service \"nope\" for tcp"),
                  "%s", tcpx_errmsg());
    ck_assert_ptr_null(c);
    stage_end(&s);
}
END_TEST

START_TEST(a_silent_name_server_ends_a_connect_at_its_deadline)
{
    struct stage s;
    tcpx_conn *c = NULL;
    tcpx_time begin;

    STAGE_OR_SKIP(&s);
    begin = tcpx_now();
    ck_fails(
        tcpx_connect(&c, "silent.test:80", NULL, tcpx_after(100 * TCPX_MSEC)),
        TCPX_EDEADLINE);
    ck_assert_int_ge(tcpx_now() - begin, 100 * TCPX_MSEC);
    ck_assert_int_lt(tcpx_now() - begin, 900 * TCPX_MSEC);
    ck_assert_ptr_null(c);

    /* getaddrinfo gives up after a second: who still waits is told. */
    ck_fails(tcpx_connect(&c, "silent.test:80", NULL, soon()), TCPX_ERESOLVE);
    ck_assert_msg(strstr(tcpx_errmsg(), "the name server did not answer"), "%s",
                  tcpx_errmsg());
    stage_end(&s);
}
END_TEST

START_TEST(a_numeric_address_starts_no_thread)
{
    struct stage s;
    int before;

    STAGE_OR_SKIP(&s);
    before = count_threads();
    for (int i = 0; i < 20; i++) {
        tcpx_conn *c = NULL;

        ck_ok(tcpx_connect(&c, s.numeric, NULL, soon()));
        ck_assert_int_eq(count_threads(), before);
        tcpx_abort(c);
    }
    stage_end(&s);
}
END_TEST

/* ---- Stuck ------------------------------------------------------------- */

/* A connect that is stuck in its lookup, and what became of it. */
struct stuck {
    pthread_t thread;
    tcpx_task *_Atomic task;
    tcpx_time deadline;
    int result;
};

static void *get_stuck(void *arg)
{
    struct stuck *s = arg;
    tcpx_conn *c = NULL;

    s->task = tcpx_task_ref(tcpx_task_self());
    s->result = tcpx_connect(&c, "silent.test:80", NULL, s->deadline);
    return NULL;
}

START_TEST(many_stuck_lookups_hold_four_threads_and_no_one_else)
{
    static struct stuck all[100]; /* of two lookups each */
    struct stage s;
    tcpx_time deadline;
    int before;

    STAGE_OR_SKIP(&s);
    before = count_threads();
    deadline = tcpx_after(500 * TCPX_MSEC);
    for (int i = 0; i < 100; i++) {
        all[i].deadline = deadline;
        all[i].thread = start_thread(get_stuck, &all[i]);
    }
    while (tcpx_now() < deadline) {
        reach(&s, s.numeric);
        ck_assert_int_le(count_threads(), before + 100 + HELPERS);
    }
    for (int i = 0; i < 100; i++) {
        end_thread(all[i].thread);
        tcpx_task_unref(all[i].task);
        ck_fails(all[i].result, TCPX_EDEADLINE);
    }
    if (!on_valgrind())
        ck_assert_int_lt(tcpx_now() - deadline, TCPX_SEC);
    ck_assert_int_le(count_threads(), before + HELPERS);

    reach(&s, s.named); /* once a helper comes back */
    stage_end(&s);
}
END_TEST

START_TEST(a_lookup_can_be_canceled)
{
    struct stage s;
    struct stuck one = {.deadline = TCPX_FOREVER};
    tcpx_time begin;

    STAGE_OR_SKIP(&s);
    begin = tcpx_now();
    one.thread = start_thread(get_stuck, &one);
    while (!one.task)
        sched_yield();
    tcpx_task_cancel(one.task);
    end_thread(one.thread);
    tcpx_task_unref(one.task);
    ck_fails(one.result, TCPX_ECANCELED);
    ck_assert_int_lt(tcpx_now() - begin, TCPX_SEC);
    stage_end(&s);
}
END_TEST

/* In a process that had one thread when it began, as sanitizers like it. */
static void end_with_a_lookup_stuck(void *arg)
{
    static struct stage s;
    tcpx_conn *c = NULL;

    (void)arg;
    if (stage_open(&s))
        _exit(77);
    write_etc("resolv.conf", "nameserver 127.0.0.1\noptions timeout:15\n");
    if (tcpx_connect(&c, "silent.test:80", NULL, tcpx_after(50 * TCPX_MSEC)) !=
        TCPX_EDEADLINE)
        _exit(1);
    exit(0); /* LeakSanitizer, if there is one, speaks here */
}

START_TEST(a_program_ends_at_once_with_a_lookup_stuck)
{
    tcpx_time begin = tcpx_now();
    int status;

    only_in_threads();
    if (on_valgrind())
        skip_test("valgrind takes what a stuck thread holds for lost");
    status = child_status(start_child(end_with_a_lookup_stuck, NULL));
    ck_assert(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip_test("no network of its own");
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_int_lt(tcpx_now() - begin, 5 * TCPX_SEC);
}
END_TEST

static void reach_in_child(void *arg)
{
    const struct stage *s = arg;
    tcpx_conn *c = NULL;

    if (tcpx_connect(&c, s->named, NULL, soon()) < 0)
        _exit(1);
    tcpx_abort(c);
}

START_TEST(a_child_of_a_fork_amid_a_lookup_connects_by_name)
{
    only_in_threads();
    struct stage s;
    struct stuck all[HELPERS];
    int before;

    if (TEST_TSAN || TEST_ASAN || on_valgrind())
        skip_test("what watches this test cannot fork amid threads");
    STAGE_OR_SKIP(&s);
    before = count_threads();
    for (int i = 0; i < HELPERS; i++) {
        all[i].deadline = tcpx_after(400 * TCPX_MSEC);
        all[i].thread = start_thread(get_stuck, &all[i]);
    }
    while (count_threads() < before + 2 * HELPERS)
        sched_yield();
    end_child(start_child(reach_in_child, &s));
    for (int i = 0; i < HELPERS; i++) {
        end_thread(all[i].thread);
        tcpx_task_unref(all[i].task);
        ck_fails(all[i].result, TCPX_EDEADLINE);
    }
    stage_end(&s);
}
END_TEST

static void fill_names(TCase *tc)
{
    tcase_add_test(tc, a_name_leads_to_its_host);
    tcase_add_test(tc, no_such_name_is_said_in_words);
    tcase_add_test(tc, a_numeric_address_starts_no_thread);
    tcase_add_test(tc, a_silent_name_server_ends_a_connect_at_its_deadline);
}

static void fill_stuck(TCase *tc)
{
    tcase_add_test(tc, many_stuck_lookups_hold_four_threads_and_no_one_else);
    tcase_add_test(tc, a_lookup_can_be_canceled);
}

static void fill_ends(TCase *tc)
{
    tcase_add_test(tc, a_program_ends_at_once_with_a_lookup_stuck);
    tcase_add_test(tc, a_child_of_a_fork_amid_a_lookup_connects_by_name);
}

const struct test_case test_cases[] = {
    {"lookup", "connect-by-name", fill_names},
    {"lookup", "stuck-lookups", fill_stuck},
    {"lookup", "lookups-left-behind", fill_ends},
    {NULL, NULL, NULL},
};
