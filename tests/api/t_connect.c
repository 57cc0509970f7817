/* SPDX-License-Identifier: MIT */
/*
 * t_connect.c - connecting over loopback: success, refusal, and deadlines.
 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <tcpx.h>
#include <time.h>
#include <unistd.h>
#include "peers.h"
#include "runner.h"
#include "support.h"

static tcpx_conn *c;
static char address[128];

/* ---- How it goes --------------------------------------------------------- */

START_TEST(a_connect_gives_a_connection_that_works)
{
    int listener = raw_listen(address, sizeof(address));

    ck_ok(tcpx_connect(&c, address, NULL, soon()));
    ck_assert_str_eq(tcpx_conn_peer(c), address);
    ck_assert_int_eq(tcpx_conn_state(c), 0);
    check_works(c, raw_accept(listener));
    close(listener);
}
END_TEST

START_TEST(a_port_where_nobody_listens_is_refused_at_once_and_named)
{
    int held = dead_port(address, sizeof(address));
    tcpx_time since = tcpx_now();

    ck_fails(tcpx_connect(&c, address, NULL, tcpx_after(60 * TCPX_SEC)),
             -ECONNREFUSED);
    ck_assert_int_lt(elapsed_ms(since), 5000);
    ck_says(address);
    ck_says("connection refused after ");
    close(held);
}
END_TEST

START_TEST(localhost_is_whichever_family_answers)
{
    int listener = raw_listen(address, sizeof(address));
    char name[64];

    snprintf(name, sizeof(name), "localhost%s", strchr(address, ':'));
    ck_ok(tcpx_connect(&c, name, NULL, soon()));
    ck_assert_str_eq(tcpx_conn_peer(c), address);
    check_works(c, raw_accept(listener));
    close(listener);
}
END_TEST

START_TEST(the_address_of_no_host_is_this_host)
{
    int listener = raw_listen(address, sizeof(address));
    char any[64];

    snprintf(any, sizeof(any), "0.0.0.0%s", strchr(address, ':'));
    ck_ok(tcpx_connect(&c, any, NULL, soon()));
    ck_assert_str_eq(tcpx_conn_peer(c), address);
    check_works(c, raw_accept(listener));
    close(listener);
}
END_TEST

/* Notes which sockets there were. */
static ino_t sockets[2];
static int n_sockets;

static int note_socket(int fd, void *arg)
{
    struct stat st;

    (void)arg;
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_int_lt(n_sockets, 2);
    sockets[n_sockets++] = st.st_ino;
    return 0;
}

START_TEST(every_attempt_has_a_socket_of_its_own)
{
    int listener = raw_listen(address, sizeof(address));
    char name[64];

    snprintf(name, sizeof(name), "localhost%s", strchr(address, ':'));
    ck_ok(tcpx_connect(&c, name, TCPX_CONNECT(.control = note_socket), soon()));
    ck_assert_int_eq(n_sockets, 2);
    ck_assert_uint_ne(sockets[0], sockets[1]);
    check_works(c, raw_accept(listener));
    close(listener);
}
END_TEST

START_TEST(a_peer_that_closes_at_once_is_told_by_the_first_read)
{
    int listener = raw_listen(address, sizeof(address));
    char byte;

    for (int i = 0; i < 100; i++) {
        ck_ok(tcpx_connect(&c, address, NULL, soon()));
        close(raw_accept(listener));
        ck_fails(tcpx_read(c, &byte, 1, soon()), 0);
        ck_ok(tcpx_close(c, soon()));
    }
    close(listener);
}
END_TEST

static void *reset_clients(void *arg)
{
    int listener = *(int *)arg;

    for (int i = 0; i < 300; i++)
        raw_reset(raw_accept(listener));
    return NULL;
}

START_TEST(a_peer_that_resets_at_once_is_told_by_the_first_read)
{
    int listener = raw_listen(address, sizeof(address));
    pthread_t thread = start_thread(reset_clients, &listener);
    char byte;

    for (int i = 0; i < 300; i++) {
        ck_ok(tcpx_connect(&c, address, NULL, soon()));
        ck_fails(tcpx_read(c, &byte, 1, soon()), -ECONNRESET);
        ck_fails(tcpx_read(c, &byte, 1, soon()), -ECONNRESET);
        tcpx_abort(c);
    }
    end_thread(thread);
    close(listener);
}
END_TEST

START_TEST(the_first_write_never_finds_itself_unconnected)
{
    int listener = raw_listen(address, sizeof(address));

    for (int i = 0; i < 2000; i++) {
        ck_ok(tcpx_connect(&c, address, NULL, soon()));
        ck_assert_int_eq((int)tcpx_write(c, "x", 1, TCPX_NOW), 1);
        tcpx_abort(c);
        close(raw_accept(listener));
    }
    close(listener);
}
END_TEST

START_TEST(a_socket_that_met_itself_was_refused)
{
    int held = dead_port(address, sizeof(address));
    tcpx_connect_report *report = NULL;

    close(held); /* the connect takes the port itself */
    ck_fails(tcpx_connect(&c, address,
                          TCPX_CONNECT(.bind = address, .report = &report),
                          soon()),
             -ECONNREFUSED);
    ck_assert_int_eq(tcpx_connect_report_at(report, 0)->error, -ECONNREFUSED);
    tcpx_connect_report_free(report);

    /* And leaves no TIME_WAIT behind on the port. */
    held = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_addr = {htonl(INADDR_LOOPBACK)}};
    sin.sin_port = htons((uint16_t)strtoul(strchr(address, ':') + 1, NULL, 10));
    ck_assert_int_eq(bind(held, (struct sockaddr *)&sin, sizeof(sin)), 0);
    close(held);
}
END_TEST

static void fill_outcomes(TCase *tc)
{
    tcase_add_test(tc, a_connect_gives_a_connection_that_works);
    tcase_add_test(tc,
                   a_port_where_nobody_listens_is_refused_at_once_and_named);
    tcase_add_test(tc, localhost_is_whichever_family_answers);
    tcase_add_test(tc, the_address_of_no_host_is_this_host);
    tcase_add_test(tc, every_attempt_has_a_socket_of_its_own);
    tcase_add_test(tc, a_peer_that_closes_at_once_is_told_by_the_first_read);
    tcase_add_test(tc, a_peer_that_resets_at_once_is_told_by_the_first_read);
    tcase_add_test(tc, the_first_write_never_finds_itself_unconnected);
    tcase_add_test(tc, a_socket_that_met_itself_was_refused);
}

/* ---- Deadlines and interruptions ----------------------------------------- */

START_TEST(a_full_queue_is_waited_for_until_the_deadline)
{
    struct full f = full_open(address, sizeof(address));
    tcpx_time since = tcpx_now();

    ck_fails(tcpx_connect(&c, address, NULL, tcpx_after(300 * TCPX_MSEC)),
             TCPX_EDEADLINE);
    ck_assert_int_ge(elapsed_ms(since), 300);
    ck_assert_int_lt(elapsed_ms(since), 5000);
    /* The attempt began a moment after the call, and may have lasted 299 ms. */
    ck_says("deadline after ");
    full_end(&f);
}
END_TEST

START_TEST(a_deadline_that_has_passed_ends_at_once)
{
    static const tcpx_time past[] = {TCPX_NOW, -1, INT64_MIN};
    struct full f = full_open(address, sizeof(address));
    tcpx_time since = tcpx_now();

    for (size_t i = 0; i < sizeof(past) / sizeof(past[0]); i++)
        ck_fails(tcpx_connect(&c, address, NULL, past[i]), TCPX_EDEADLINE);
    ck_fails(tcpx_connect(&c, address, NULL, tcpx_now() - 1), TCPX_EDEADLINE);
    ck_assert_int_lt(elapsed_ms(since), 5000);
    full_end(&f);
}
END_TEST

START_TEST(a_deadline_near_the_end_of_time_is_like_none)
{
    static const tcpx_time far[] = {TCPX_FOREVER, TCPX_FOREVER - 1};
    int listener = raw_listen(address, sizeof(address));

    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
        ck_ok(tcpx_connect(&c, address, NULL, far[i]));
        check_works(c, raw_accept(listener));
    }
    close(listener);
}
END_TEST

START_TEST(a_duration_is_no_deadline)
{
    ck_fails(tcpx_connect(&c, "127.0.0.1:9", NULL, 1), -EINVAL);
    ck_says("tcpx_after()");
}
END_TEST

static void *make_room(void *arg)
{
    const struct timespec pause = {0, 200 * 1000000};

    nanosleep(&pause, NULL);
    full_make_room(arg);
    return NULL;
}

START_TEST(a_server_that_accepts_late_is_connected_to)
{
    struct full f = full_open(address, sizeof(address));
    pthread_t thread = start_thread(make_room, &f);

    ck_ok(tcpx_connect(&c, address, NULL, soon()));
    end_thread(thread);
    check_works(c, raw_accept(f.listener));
    full_end(&f);
}
END_TEST

static volatile sig_atomic_t alarms;

static void count_alarm(int number)
{
    (void)number;
    alarms++;
}

/* The process is interrupted every 2 ms from then on, without SA_RESTART. */
static void interrupt_often(int often)
{
    struct itimerval timer = {{0, often ? 2000 : 0}, {0, often ? 2000 : 0}};
    struct sigaction action = {.sa_handler = count_alarm};

    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/* Blocks SIGALRM first: the signal must hit the thread that connects. */
static void *make_room_undisturbed(void *arg)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return make_room(arg);
}

START_TEST(signals_change_nothing)
{
    struct full f = full_open(address, sizeof(address));
    tcpx_connect_report *report = NULL;
    pthread_t thread = start_thread(make_room_undisturbed, &f);

    interrupt_often(1);
    ck_ok(tcpx_connect(&c, address, TCPX_CONNECT(.report = &report), soon()));
    interrupt_often(0);

    ck_assert_int_gt(alarms, 10);
    ck_assert_uint_eq(tcpx_connect_report_count(report), 1);
    tcpx_connect_report_free(report);
    end_thread(thread);
    check_works(c, raw_accept(f.listener));
    full_end(&f);
}
END_TEST

START_TEST(a_deadline_is_kept_under_signals)
{
    struct full f = full_open(address, sizeof(address));
    tcpx_time since = tcpx_now();

    interrupt_often(1);
    ck_fails(tcpx_connect(&c, address, NULL, tcpx_after(200 * TCPX_MSEC)),
             TCPX_EDEADLINE);
    interrupt_often(0);
    ck_assert_int_ge(elapsed_ms(since), 200);
    ck_assert_int_lt(elapsed_ms(since), 5000);
    full_end(&f);
}
END_TEST

static void fill_deadlines(TCase *tc)
{
    tcase_add_test(tc, a_full_queue_is_waited_for_until_the_deadline);
    tcase_add_test(tc, a_deadline_that_has_passed_ends_at_once);
    tcase_add_test(tc, a_deadline_near_the_end_of_time_is_like_none);
    tcase_add_test(tc, a_duration_is_no_deadline);
    tcase_add_test(tc, a_server_that_accepts_late_is_connected_to);
    tcase_add_test(tc, signals_change_nothing);
    tcase_add_test(tc, a_deadline_is_kept_under_signals);
}

/* ---- Unix sockets -------------------------------------------------------- */

static void make_name(char *out, size_t cap, const char *prefix)
{
    snprintf(out, cap, "%s/tcpx-test-%d", prefix, (int)getpid());
}

START_TEST(a_unix_socket_is_connected_to_by_path_and_by_abstract_name)
{
    static const char *const prefixes[] = {"/tmp", "@tcpx"};
    char path[64];

    for (size_t i = 0; i < 2; i++) {
        int listener;

        make_name(path, sizeof(path), prefixes[i]);
        snprintf(address, sizeof(address), "unix:%s", path);
        listener = unix_listen(path, 1);
        ck_ok(tcpx_connect(&c, address, NULL, TCPX_NOW));
        ck_assert_str_eq(tcpx_conn_peer(c), address);
        check_works(c, raw_accept(listener));
        close(listener);
        unlink(path);
    }
}
END_TEST

START_TEST(a_unix_socket_says_why_nobody_answers)
{
    char path[64];
    int fd;

    make_name(path, sizeof(path), "/tmp");
    snprintf(address, sizeof(address), "unix:%s", path);
    ck_fails(tcpx_connect(&c, address, NULL, soon()), -ENOENT);
    close(unix_listen(path, 1));
    ck_fails(tcpx_connect(&c, address, NULL, soon()), -ECONNREFUSED);
    ck_says("connection refused");
    unlink(path);

    struct sockaddr_un un = {.sun_family = AF_UNIX};
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    memcpy(un.sun_path, path, strlen(path));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    ck_fails(tcpx_connect(&c, address, NULL, soon()), -EPROTOTYPE);
    close(fd);
    unlink(path);
}
END_TEST

START_TEST(a_full_unix_queue_is_waited_for_until_the_deadline)
{
    struct full f = full_unix(address, sizeof(address));
    tcpx_time since = tcpx_now();

    ck_fails(tcpx_connect(&c, address, NULL, TCPX_NOW), TCPX_EDEADLINE);
    ck_fails(tcpx_connect(&c, address, NULL, tcpx_after(200 * TCPX_MSEC)),
             TCPX_EDEADLINE);
    ck_assert_int_ge(elapsed_ms(since), 200);
    ck_says("the queue is full after 2");
    full_end(&f);
}
END_TEST

START_TEST(a_unix_server_that_accepts_late_is_connected_to)
{
    struct full f = full_unix(address, sizeof(address));
    pthread_t thread = start_thread(make_room, &f);

    ck_ok(tcpx_connect(&c, address, NULL, soon()));
    end_thread(thread);
    check_works(c, raw_accept(f.listener));
    full_end(&f);
}
END_TEST

static void fill_unix(TCase *tc)
{
    tcase_add_test(tc,
                   a_unix_socket_is_connected_to_by_path_and_by_abstract_name);
    tcase_add_test(tc, a_unix_socket_says_why_nobody_answers);
    tcase_add_test(tc, a_full_unix_queue_is_waited_for_until_the_deadline);
    tcase_add_test(tc, a_unix_server_that_accepts_late_is_connected_to);
}

const struct test_case test_cases[] = {
    {"connect", "outcomes", fill_outcomes},
    {"connect", "deadlines", fill_deadlines},
    {"connect", "unix", fill_unix},
    {NULL, NULL, NULL},
};
