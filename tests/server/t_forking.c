/* SPDX-License-Identifier: MIT */
/*
 * t_forking.c - a process for each connection.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "runner.h"
#include "server/serving.h"

#define OWN_EXIT 7

/* What a client orders its handler to do, by one byte. */
static void obey(tcpx_conn *c, void *arg)
{
    char order = 0;
    int fd = -1;

    (void)arg;
    while (tcpx_read(c, &order, 1, TCPX_FOREVER) == 1) {
        switch (order) {
        case 'e':
            ck_ok(tcpx_writen(c, "e", 1, NULL, TCPX_FOREVER));
            break;
        case 'k':
            kill(getpid(), SIGKILL);
            break;
        case 'x':
            _exit(OWN_EXIT);
        case 't':
            ck_fails(tcpx_conn_take(c), -ENOTSUP);
            ck_fails(tcpx_conn_release(c, &fd, NULL, 0, NULL), -EBUSY);
            ck_ok(tcpx_writen(c, "t", 1, NULL, TCPX_FOREVER));
            break;
        default:
            return;
        }
    }
}

static void order(int fd, char what)
{
    raw_send(fd, &what, 1);
}

static void expect_byte(int fd, char what)
{
    char got;

    ck_assert_uint_eq(raw_recv(fd, &got, 1), 1);
    ck_assert_int_eq(got, what);
}

START_TEST(a_crash_is_a_reset_for_its_client_alone_and_is_told)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(FORK, &events);
    struct serving s;
    tcpx_server_counts n;
    int dies;
    int lives;

    serve(&s, obey, NULL, &o);
    dies = client_of(&s);
    lives = client_of(&s);
    order(dies, 'e');
    expect_byte(dies, 'e');
    order(dies, 'k');
    ck_assert(!ends_cleanly(dies));
    await_value(events.n[TCPX_EVENT_HANDLER_ENDED], 1);
    ck_assert_int_eq(atomic_load(&events.reason), SIGKILL);
    ck_assert_int_eq(atomic_load(&events.error), -ECONNRESET);
    order(lives, 'e');
    expect_byte(lives, 'e');
    leave(dies);
    leave(lives);
    ck_ok(stop_serving(&s));
    n = end_serving(&s);
    ck_assert_uint_eq(n.crashed, 1);
    ck_assert_uint_eq(n.failed, 1);
    ck_assert_uint_eq(n.closed, 1);
}
END_TEST

START_TEST(an_exit_of_the_handlers_own_is_told_and_is_no_clean_end)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(FORK, &events);
    struct serving s;
    tcpx_server_counts n;
    int fd;

    serve(&s, obey, NULL, &o);
    fd = client_of(&s);
    order(fd, 'x');
    ck_assert(!ends_cleanly(fd));
    leave(fd);
    await_value(events.n[TCPX_EVENT_HANDLER_ENDED], 1);
    ck_assert(WIFEXITED(atomic_load(&events.reason)));
    ck_assert_int_eq(WEXITSTATUS(atomic_load(&events.reason)), OWN_EXIT);
    ck_ok(stop_serving(&s));
    n = end_serving(&s);
    ck_assert_uint_eq(n.failed, 1);
    ck_assert_uint_eq(n.crashed, 0);
}
END_TEST

START_TEST(a_child_cannot_give_its_connection_away)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(FORK, &events);
    struct serving s;
    int fd;

    serve(&s, obey, NULL, &o);
    fd = client_of(&s);
    order(fd, 't');
    expect_byte(fd, 't');
    leave(fd);
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).closed, 1);
}
END_TEST

/* Zombies of this process, except `mine`. */
static int zombies(pid_t mine)
{
    DIR *dir = opendir("/proc");
    int n = 0;

    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char path[300];
        char state = 0;
        int parent = 0;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
        f = atoi(e->d_name) > 0 && atoi(e->d_name) != mine ? fopen(path, "re")
                                                           : NULL;
        if (!f)
            continue;
        if (fscanf(f, "%*d (%*[^)]) %c %d", &state, &parent) == 2)
            n += state == 'Z' && parent == getpid();
        fclose(f);
    }
    closedir(dir);
    return n;
}

static _Atomic int program_signals;

static void on_child(int number)
{
    (void)number;
    atomic_fetch_add(&program_signals, 1);
}

static void end_quietly(void *arg)
{
    (void)arg;
}

START_TEST(the_programs_own_children_and_handler_are_left_alone)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(FORK, &events);
    struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART};
    struct sigaction now;
    struct serving s;
    pid_t mine;
    siginfo_t info;

    ck_assert_int_eq(sigaction(SIGCHLD, &action, NULL), 0);
    mine = start_child(end_quietly, NULL);
    ck_assert_int_eq(waitid(P_PID, (id_t)mine, &info, WEXITED | WNOWAIT), 0);
    serve(&s, echo_handler, NULL, &o);
    for (int i = 0; i < 10; i++)
        expect_echo(client_of(&s), "hello");
    await_count(&s, closed, 10);
    ck_assert_int_eq(zombies(mine), 0);
    ck_ok(stop_serving(&s));
    end_serving(&s);
    end_child(mine); /* its status was nobody else's */
    ck_assert_int_gt(atomic_load(&program_signals), 1);
    ck_assert_int_eq(sigaction(SIGCHLD, NULL, &now), 0);
    ck_assert(now.sa_handler == on_child);
}
END_TEST

START_TEST(a_program_that_ignores_its_children_gets_an_outcome_all_the_same)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(FORK, &events);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct serving s;
    tcpx_server_counts n;
    int fd;

    ck_assert_int_eq(sigaction(SIGCHLD, &ignore, NULL), 0);
    serve(&s, obey, NULL, &o);
    fd = client_of(&s);
    order(fd, 'e');
    expect_byte(fd, 'e');
    leave(fd);
    await_count(&s, closed, 1);
    ck_assert_int_eq(atomic_load(&events.reason), -1);
    fd = client_of(&s);
    order(fd, 'k');
    ck_assert(!ends_cleanly(fd));
    leave(fd);
    await_count(&s, failed, 1);
    ck_assert_int_eq(atomic_load(&events.reason), -1);
    ck_ok(stop_serving(&s));
    n = end_serving(&s);
    ck_assert_uint_eq(n.bytes_read, 1);
    ck_assert_uint_eq(n.bytes_written, 1);
}
END_TEST

/* Says which descriptors it holds: "0,1,2,7". */
static void list_descriptors(tcpx_conn *c, void *arg)
{
    char text[1024] = "";
    size_t len = 0;
    DIR *dir = opendir("/proc/self/fd");

    (void)arg;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char link[128] = "";
        int fd = atoi(e->d_name);

        if (e->d_name[0] == '.' || fd == dirfd(dir))
            continue;
        if (readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1) < 0)
            continue;
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s\n",
                                fd == tcpx_conn_fd(c) ? "mine " : "", link);
    }
    closedir(dir);
    ck_ok(tcpx_writen(c, text, len, NULL, TCPX_FOREVER));
}

static int list_after_others(const char *address, int others)
{
    char text[2048] = "";
    size_t len = 0;
    int fds[8];
    ssize_t n;
    int sockets = 0;

    /* The others' handlers have written, so that they run. */
    for (int i = 0; i <= others; i++) {
        fds[i] = dial(address);
        if (fds[i] < 0 || recv(fds[i], text, 1, MSG_PEEK) != 1)
            return 2;
    }
    do {
        n = recv(fds[others], text + len, sizeof(text) - 1 - len, 0);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    text[len] = '\0';
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (!strncmp(line, "mine ", 5))
            sockets += 100;
        else if (strstr(line, "socket:") || strstr(line, "eventpoll") ||
                 strstr(line, "pidfd"))
            sockets++;
    }
    return sockets;
}

/*
 * The handler of every client lists; all but the last are kept waiting by
 * clients that do not finish, so that their descriptors exist in the parent.
 */
START_TEST(a_child_holds_its_own_connection_and_no_others)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(FORK, &events);
    struct serving s;
    pid_t clients;

    prepare(&s, list_descriptors, NULL, &o);
    clients = start_clients(list_after_others, &s, 5);
    start_serving(&s);
    ck_assert_int_eq(end_clients(clients), 100);
    ck_ok(stop_serving(&s));
    ck_assert_uint_eq(end_serving(&s).accepted, 6);
}
END_TEST

/* No end of the client's reaches it while the parent holds a copy. */
static int close_and_see(const char *address, int n)
{
    for (int i = 0; i < n; i++) {
        int fd = dial(address);

        if (fd < 0 || send(fd, "e", 1, 0) != 1)
            return 1;
        if (recv(fd, (char[1]){0}, 1, 0) != 1)
            return 2;
        close(fd);
    }
    return 0;
}

START_TEST(clients_that_close_leave_nothing_in_the_parent)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(FORK, &events);
    struct serving s;
    pid_t clients;

    prepare(&s, obey, NULL, &o);
    clients = start_clients(close_and_see, &s, 100);
    start_serving(&s);
    ck_assert_int_eq(end_clients(clients), 0);
    await_count(&s, closed, 100);
    ck_assert_int_eq(zombies(0), 0);
    ck_ok(stop_serving(&s));
    end_serving(&s);
}
END_TEST

static int die_by_turns(const char *address, int n)
{
    static const char orders[] = "ekxeq";

    for (int i = 0; i < n; i++) {
        int fd = dial(address);
        char byte;

        if (fd < 0 || send(fd, &orders[i % 5], 1, 0) != 1)
            return 1;
        if (orders[i % 5] != 'e')
            while (recv(fd, &byte, 1, 0) > 0)
                ;
        else if (recv(fd, &byte, 1, 0) != 1)
            return 2;
        close(fd);
    }
    return 0;
}

START_TEST(children_that_end_in_every_way_are_all_counted)
{
    struct events events = {.error = 0};
    tcpx_server_opts o = telling_opts(FORK, &events);
    struct serving s;
    tcpx_server_counts n;
    pid_t clients[4];

    prepare(&s, obey, NULL, &o);
    for (int i = 0; i < 4; i++)
        clients[i] = start_clients(die_by_turns, &s, 25);
    start_serving(&s);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(end_clients(clients[i]), 0);
    await_count(&s, active, 0);
    ck_assert_int_eq(zombies(0), 0);
    ck_ok(stop_serving(&s));
    n = end_serving(&s);
    ck_assert_uint_eq(n.accepted, 100);
    ck_assert_uint_eq(n.crashed, 20);
    ck_assert_uint_eq(n.failed, 40);
    ck_assert_uint_eq(n.closed, 60);
    ck_assert_int_eq(atomic_load(&events.n[TCPX_EVENT_HANDLER_ENDED]), 100);
}
END_TEST

START_TEST(a_handler_that_needs_shared_memory_is_not_forked)
{
    tcpx_server_opts o = serving_opts(FORK);
    tcpx_server *s;

    o.shares_memory = 1;
    ck_fails(tcpx_server_create(&s, "127.0.0.1:0", echo_handler, NULL, &o),
             -ENOTSUP);
}
END_TEST

static void fill_children(TCase *tc)
{
    tcase_add_test(tc, a_crash_is_a_reset_for_its_client_alone_and_is_told);
    tcase_add_test(tc, an_exit_of_the_handlers_own_is_told_and_is_no_clean_end);
    tcase_add_test(tc, a_child_cannot_give_its_connection_away);
    tcase_add_test(tc, the_programs_own_children_and_handler_are_left_alone);
    tcase_add_test(
        tc, a_program_that_ignores_its_children_gets_an_outcome_all_the_same);
    tcase_add_test(tc, children_that_end_in_every_way_are_all_counted);
    tcase_add_test(tc, a_handler_that_needs_shared_memory_is_not_forked);
}

static void fill_descriptors(TCase *tc)
{
    tcase_add_test(tc, a_child_holds_its_own_connection_and_no_others);
    tcase_add_test(tc, clients_that_close_leave_nothing_in_the_parent);
}

const struct test_case test_cases[] = {
    {"forking", "children", fill_children},
    {"forking", "descriptors", fill_descriptors},
    {NULL, NULL, NULL},
};
