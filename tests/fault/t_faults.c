/* SPDX-License-Identifier: MIT */
/*
 * t_faults.c - each system call fails at its nth use, with each error that its
 * man page names.
 *
 * A whole conversation is run with the first use of a call failing, then the
 * second, and so on, until it has no further use.  Whatever fails must be told
 * by that very code (or by what the library makes of it on purpose), leave the
 * connection in the state that was promised, and lose neither a descriptor nor
 * a byte; and no call may hang.
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

#define MOST_ERRORS 10

/* The errors of a call that a connection's life can meet, and what they are. */
struct line {
    enum tcpx__sys_call call;
    int harmless; /* the library does without that call, or asks again */
    int errors[MOST_ERRORS];
};

static const struct line lines[] = {
    {TCPX__SYS_recv,
     0,
     {ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ENOMEM, ENOBUFS, EBADF,
      ENOTCONN, ENOTSOCK}},
    {TCPX__SYS_recv, 1, {EINTR}},
    {TCPX__SYS_sendmsg,
     0,
     {EPIPE, ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ENOBUFS, ENOMEM,
      EBADF, EACCES, ENOTSOCK}},
    {TCPX__SYS_sendmsg, 1, {EINTR}},
    {TCPX__SYS_ppoll, 0, {ENOMEM, EINVAL}},
    {TCPX__SYS_ppoll, 1, {EINTR}},
    {TCPX__SYS_eventfd, 1, {EMFILE, ENFILE, ENOMEM, ENODEV}},
    {TCPX__SYS_setsockopt, 1, {ENOBUFS, ENOMEM, EINVAL}},
    {TCPX__SYS_getsockopt, 0, {ENOBUFS, ENOMEM, EBADF}},
    {TCPX__SYS_ioctl, 0, {EBADF, EINVAL}},
    {TCPX__SYS_shutdown, 0, {ENOTCONN, ENOBUFS, EBADF}},
    {TCPX__SYS_futex, 1, {EINTR, EAGAIN, ETIMEDOUT}},
};

#define LINES (int)(sizeof(lines) / sizeof(lines[0]))

/* A run of the conversation with one fault in it. */
struct run {
    const struct line *line;
    int err; /* negative; what is injected */
    unsigned at;
    int failed; /* some call gave a code of the fault */
};

/* Whether a result may come of the fault: its own code; or what the socket's
   own story is, if an answer about it was refused (ENOTCONN: it is over). */
static int is_due(const struct run *r, ssize_t result)
{
    if (result == r->err)
        return 1;
    return r->err == -ENOTCONN && result == -ECONNRESET;
}

/* A result: fine, or due to the fault.  1 if fine. */
static int passed(struct run *r, ssize_t result, const char *what)
{
    if (result >= 0)
        return 1;
    ck_assert_msg(is_due(r, result), "%s %u %s: %s gave %s",
                  hooks_name(r->line->call), r->at, tcpx_errname(r->err), what,
                  tcpx_errname((int)result));
    r->failed = 1;
    return 0;
}

static int is_passing(int err)
{
    return err == -ENOMEM || err == -ENOBUFS || err == -EINVAL;
}

/* Reads four bytes in spite of the fault, if they can be read at all. */
static int get_four(struct run *r, tcpx_conn *c, tcpx_time deadline)
{
    char buf[4] = "";
    size_t done = 0;
    int err = tcpx_readn(c, buf, 4, &done, deadline);

    if (!passed(r, err, "readn")) {
        if (!is_passing(err)) {
            /* Latched: for ever. */
            ck_fails(tcpx_readn(c, buf, 4, NULL, deadline), err);
            ck_assert_int_ne(tcpx_conn_state(c) & TCPX_STATE_FAILED, 0);
            return err;
        }
        ck_assert_int_eq(tcpx_conn_state(c) & TCPX_STATE_FAILED, 0);
        ck_ok(tcpx_readn(c, buf + done, 4 - done, NULL, deadline));
    }
    ck_assert_mem_eq(buf, "data", 4);
    return 0;
}

static int put_four(struct run *r, tcpx_conn *c)
{
    size_t done = 0;
    int err = tcpx_writen(c, "data", 4, &done, soon());

    if (passed(r, err, "writen")) {
        ck_assert_int_eq(tcpx_conn_state(c) & TCPX_STATE_CUT, 0);
        return 0;
    }
    ck_assert_int_ne(tcpx_conn_state(c) & TCPX_STATE_CUT, 0);
    if (!is_passing(err)) {
        ck_fails(tcpx_writen(c, "data", 4, NULL, soon()), err);
        ck_assert_int_ne(tcpx_conn_state(c) & TCPX_STATE_FAILED, 0);
        return err;
    }
    ck_fails(tcpx_half_close(c), err); /* it is cut */
    ck_ok(tcpx_writen(c, &"data"[done], 4 - done, NULL, soon()));
    return 0;
}

/* Sends after a while, so that the other side has to wait. */
static void *send_later(void *arg)
{
    const struct timespec pause = {0, 2000000};

    nanosleep(&pause, NULL);
    raw_send(*(int *)arg, "data", 4);
    return NULL;
}

static int read_three_times(struct run *r, tcpx_conn *c, int *peer)
{
    tcpx_waitfor item = TCPX_ON_CONN(c, TCPX_READABLE);
    pthread_t thread;
    char buf[4];
    int err;

    /* What is there, what has to be waited for, what does not come. */
    raw_send(*peer, "data", 4);
    err = get_four(r, c, soon());
    if (err)
        return err;
    thread = start_thread(send_later, peer);
    err = get_four(r, c, TCPX_FOREVER);
    end_thread(thread);
    if (err)
        return err;
    err = (int)tcpx_read(c, buf, 4, tcpx_after(2 * TCPX_MSEC));
    if (err != TCPX_EDEADLINE && !passed(r, err, "read") && !is_passing(err))
        return err;
    raw_send(*peer, "data", 4);
    err = tcpx_wait(&item, 1, soon());
    if (!passed(r, err, "wait"))
        ck_assert_int_eq(tcpx_wait(&item, 1, soon()), 1);
    return get_four(r, c, soon());
}

/* Ends it; whatever is said, the descriptor is gone. */
static void end(struct run *r, tcpx_conn *c, int *peer)
{
    int err;

    if (passed(r, tcpx_flush(c, soon()), "flush") &&
        passed(r, tcpx_half_close(c), "half_close"))
        ck_assert_int_eq(tcpx_conn_state(c) & TCPX_STATE_FINISHED,
                         TCPX_STATE_FINISHED);
    close(*peer);
    *peer = -1;
    err = tcpx_close(c, soon());
    /* An end that could not be said makes a reset. */
    if (err != -EPIPE && err != -ECONNRESET)
        passed(r, err, "close");
}

static unsigned converse(struct run *r, int kind)
{
    int peer;
    tcpx_conn *c = conn_open(kind, &peer);
    char buf[4];
    int err;

    hooks_on();
    hooks_fail(r->line->call, r->at, 1, r->err);
    ck_ok(tcpx_sleep(tcpx_after(TCPX_MSEC)));
    err = read_three_times(r, c, &peer);
    if (!err)
        err = put_four(r, c);
    if (!err)
        ck_assert_uint_eq(raw_recv(peer, buf, 4), 4);
    if (err)
        ck_assert_int_lt(tcpx_close(c, soon()), 0);
    else
        end(r, c, &peer);
    if (peer >= 0)
        close(peer);
    hooks_off();
    if (r->line->harmless)
        ck_assert_msg(!r->failed, "%s %u %s is no failure",
                      hooks_name(r->line->call), r->at, tcpx_errname(r->err));
    return hooks_struck();
}

/* Whether such a conversation needs that call at all: an eventfd is made once
   and kept, and only who owns a socket alone sets its timeout. */
static int is_used(enum tcpx__sys_call call, int kind)
{
    switch (call) {
    case TCPX__SYS_eventfd:
        return 0;
    case TCPX__SYS_setsockopt:
        return kind != PAIR_SHARED;
    case TCPX__SYS_ioctl:
        return kind != PAIR_UNIX;
    default:
        return 1;
    }
}

START_TEST(a_system_call_that_fails_is_told_by_its_code)
{
    const struct line *line = &lines[_i % LINES];

    for (int e = 0; e < MOST_ERRORS && line->errors[e]; e++) {
        struct run r = {.line = line, .err = -line->errors[e]};

        while (converse(&r, _i / LINES)) {
            r.at++;
            r.failed = 0;
            ck_assert_uint_lt(r.at, 1000);
        }
        ck_assert_msg(r.at > 0 || !is_used(line->call, _i / LINES),
                      "%s was not tried", hooks_name(line->call));
    }
}
END_TEST

static void fill_faults(TCase *tc)
{
    tcase_add_loop_test(tc, a_system_call_that_fails_is_told_by_its_code, 0,
                        PAIRS * LINES);
}

const struct test_case test_cases[] = {
    {"faults", "faults", fill_faults},
    {NULL, NULL, NULL},
};
