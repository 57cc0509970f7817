/* SPDX-License-Identifier: MIT */
/*
 * t_oom.c - every allocation fails in turn, once or from then on.
 *
 * Each scenario is run with its first allocation failing, then its second, and
 * so on, until it needs no more of them.  Every call then either does what it
 * always does or says -ENOMEM, and nothing is lost: neither memory, which the
 * address sanitizer would tell, nor a descriptor, nor a byte.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tcpx.h>
#include <unistd.h>
#include "fault/hooks.h"
#include "pairs.h"
#include "runner.h"
#include "support.h"

/* Either it worked, or memory ran out. */
#define ck_oom(call) check_oom((call), #call, __LINE__)

static ssize_t check_oom(ssize_t result, const char *call, int line)
{
    ck_assert_msg(result >= 0 || result == -ENOMEM, "%d: %s: %s", line, call,
                  tcpx_errname((int)result));
    return result;
}

/* ---- scenarios --------------------------------------------------------- */

static void peek_and_read(int *fd)
{
    tcpx_conn *c = NULL;
    char buf[16] = "";
    ssize_t n;

    raw_send(fd[1], "line one\r\ntail", 14);
    if (ck_oom(tcpx_conn_adopt(&c, fd[0], NULL)) < 0) {
        ck_assert_ptr_null(c);
        close(fd[0]);
        return;
    }
    ck_oom(tcpx_peek(c, buf, 4, soon()));
    n = ck_oom(tcpx_readline(c, buf, sizeof(buf), soon()));
    /* What failed has taken nothing: the same call gives it all. */
    if (n < 0)
        n = ck_oom(tcpx_readline(c, buf, sizeof(buf), soon()));
    if (n >= 0) {
        ck_assert_str_eq(buf, "line one");
        ck_ok(tcpx_readn(c, buf, 4, NULL, soon()));
        ck_assert_mem_eq(buf, "tail", 4);
        ck_assert_uint_eq(tcpx_conn_bytes_read(c), 14);
    }
    tcpx_abort(c);
}

static void read_much(int *fd)
{
    static char line[100001];
    static char got[sizeof(line)];
    tcpx_conn *c = NULL;
    ssize_t n;

    if (ck_oom(tcpx_conn_adopt(&c, fd[0], TCPX_ADOPT(.sole_owner = 1))) < 0) {
        close(fd[0]);
        return;
    }
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\n';
    raw_send(fd[1], line, sizeof(line));
    n = ck_oom(tcpx_readline(c, got, sizeof(got), soon()));
    if (n < 0)
        n = ck_oom(tcpx_readline(c, got, sizeof(got), soon()));
    if (n >= 0)
        ck_assert_int_eq(n, sizeof(line) - 1);
    tcpx_abort(c);
}

static void write_and_keep(int *fd)
{
    static const char block[1 << 20];
    tcpx_conn *c = NULL;
    size_t done;
    int err;

    if (ck_oom(tcpx_conn_adopt(&c, fd[0], NULL)) < 0) {
        close(fd[0]);
        return;
    }
    ck_oom(tcpx_writen(c, "plain", 5, NULL, soon()));
    err = (int)ck_oom(tcpx_printf(c, &done, soon(), "%s\n", "text"));
    ck_assert_uint_eq(done, err ? 0 : 5);
    while (tcpx_write(c, block, sizeof(block), TCPX_NOW) > 0)
        ;
    /* No room is left, so that it must be kept. */
    err = tcpx_write_frame(c, NULL, block, sizeof(block), &done, TCPX_NOW);
    ck_assert_msg(err == TCPX_EDEADLINE || err == -ENOMEM, "%s",
                  tcpx_errname(err));
    ck_assert_int_eq(!!(tcpx_conn_state(c) & TCPX_STATE_CUT), 1);
    err = tcpx_close(c, TCPX_NOW);
    ck_assert_int_lt(err, 0);
}

static void ask(int *fd)
{
    tcpx_waitfor items[40];
    tcpx_conn_information info;
    tcpx_conn *c = NULL;
    char buf[1];
    int n;

    if (ck_oom(tcpx_conn_adopt(&c, fd[0], NULL)) < 0) {
        close(fd[0]);
        return;
    }
    ck_assert_ptr_nonnull(tcpx_conn_peer(c));
    ck_assert_ptr_nonnull(tcpx_conn_local(c));
    ck_ok(tcpx_conn_info(c, &info));
    n = (int)tcpx_read(c, buf, 1, TCPX_NOW);
    ck_assert_msg(n == TCPX_EDEADLINE || n == -ENOMEM, "%s", tcpx_errname(n));
    /* With or without memory for the whole sentence; without memory for a
       task there was nowhere to keep it. */
    ck_assert(strstr(tcpx_errmsg(), tcpx_strerror(n)) || n == -ENOMEM);
    for (int i = 0; i < 40; i++)
        items[i] = (tcpx_waitfor)TCPX_ON_CONN(c, TCPX_READABLE);
    n = tcpx_wait(items, 40, TCPX_NOW);
    ck_assert_msg(n == TCPX_EDEADLINE || n == -ENOMEM, "%s", tcpx_errname(n));
    tcpx_abort(c);
}

static void make_pairs(int *fd)
{
    tcpx_listener *l = NULL;
    tcpx_conn *pair[2] = {NULL, NULL};
    tcpx_conn *a = NULL;
    tcpx_conn *b = NULL;

    close(fd[0]);
    if (ck_oom(tcpx_conn_pair(pair)) == 0) {
        ck_oom(tcpx_writen(pair[0], "x", 1, NULL, soon()));
        tcpx_abort(pair[0]);
        tcpx_abort(pair[1]);
    }
    if (ck_oom(tcpx_listen(&l, "127.0.0.1:0", NULL)) < 0)
        return;
    if (ck_oom(tcpx_connect(&a, tcpx_listener_address(l), NULL, soon())) == 0) {
        if (ck_oom(tcpx_accept(&b, l, soon())) < 0)
            ck_oom(tcpx_accept(&b, l, soon())); /* the client is still there */
    }
    tcpx_abort(a);
    tcpx_abort(b);
    tcpx_listener_close(l);
}

typedef void scenario_fn(int *fd);

static scenario_fn *const scenarios[] = {peek_and_read, read_much,
                                         write_and_keep, ask, make_pairs};

#define SCENARIOS (int)(sizeof(scenarios) / sizeof(scenarios[0]))

/* ---- all of them ------------------------------------------------------- */

struct round {
    scenario_fn *scenario;
    enum tcpx__sys_call call;
    unsigned at;
    unsigned times;
    unsigned struck;
};

/* In a thread of its own, so that its task has to be made as well. */
static void *play(void *arg)
{
    struct round *r = arg;
    int fd[2];

    raw_pair(fd);
    hooks_on();
    hooks_fail(r->call, r->at, r->times, -ENOMEM);
    r->scenario(fd);
    r->struck = hooks_struck();
    hooks_off();
    close(fd[1]);
    return NULL;
}

START_TEST(each_allocation_may_fail)
{
    static const enum tcpx__sys_call calls[] = {TCPX__SYS_malloc,
                                                TCPX__SYS_realloc};
    unsigned most = 0;

    for (size_t k = 0; k < sizeof(calls) / sizeof(calls[0]); k++) {
        struct round r = {.scenario = scenarios[_i / 2],
                          .call = calls[k],
                          .times = _i % 2 ? HOOKS_FOR_EVER : 1};

        do {
            end_thread(start_thread(play, &r));
            most = r.at > most ? r.at : most;
            r.at++;
            ck_assert_uint_lt(r.at, 1000);
        } while (r.struck);
    }
    /* The task and the handle at the least. */
    ck_assert_uint_ge(most, 2);
}
END_TEST

static void fill_oom(TCase *tc)
{
    tcase_add_loop_test(tc, each_allocation_may_fail, 0, 2 * SCENARIOS);
}

const struct test_case test_cases[] = {
    {"oom", "oom", fill_oom},
    {NULL, NULL, NULL},
};
