/* SPDX-License-Identifier: MIT */
/*
 * t_fork.c - one connection in two processes: one goes on, one lets go.
 */
#include <unistd.h>
#include "pairs.h"
#include "runner.h"
#include "support.h"

/* Long enough for a receive to sleep in recv(2) with a timeout in force. */
#define WAIT (200 * TCPX_MSEC)

struct shared {
    struct fed f;
    int go[2]; /* a pipe: what the child waits for */
};

/* A connection on which a read has left a timeout in force. */
static struct shared open_shared(int kind)
{
    struct shared s = {.f = fed_open(kind)};
    char byte;

    ck_assert_int_eq(pipe(s.go), 0);
    feed(&s.f, "x");
    ck_assert_int_eq(ck_ok(tcpx_read(s.f.c, &byte, 1, tcpx_after(WAIT))), 1);
    return s;
}

static void end_shared(struct shared *s)
{
    close(s->go[0]);
    close(s->go[1]);
}

static void let_go(struct fed *f)
{
    int fd;

    ck_ok(tcpx_conn_release(f->c, &fd, NULL, 0, NULL));
    close(fd);
}

/* A read ends at its deadline, then gives what comes. */
static void expect_deadline_kept(struct fed *f)
{
    char byte;

    ck_fails(tcpx_read(f->c, &byte, 1, tcpx_after(WAIT)), TCPX_EDEADLINE);
    feed(f, "y");
    expect_bytes(f, "y");
}

static void go_on_in_child(void *arg)
{
    struct shared *s = arg;
    char byte;

    if (read(s->go[0], &byte, 1) != 1)
        _exit(1);
    expect_deadline_kept(&s->f);
}

START_TEST(deadlines_hold_in_a_child_whose_parent_let_go)
{
    struct shared s = open_shared(_i);
    pid_t child = start_child(go_on_in_child, &s);

    let_go(&s.f);
    ck_assert_int_eq(write(s.go[1], "g", 1), 1);
    end_child(child);
    close(s.f.peer);
    end_shared(&s);
}
END_TEST

static void let_go_in_child(void *arg)
{
    let_go(&((struct shared *)arg)->f);
}

START_TEST(deadlines_hold_in_a_parent_whose_child_let_go)
{
    struct shared s = open_shared(_i);

    end_child(start_child(let_go_in_child, &s));
    expect_deadline_kept(&s.f);
    fed_end(&s.f);
    end_shared(&s);
}
END_TEST

static void cancel_in_child(void *arg)
{
    char byte;
    struct fed *f = &((struct shared *)arg)->f;

    tcpx_cancel(f->c);
    ck_fails(tcpx_read(f->c, &byte, 1, soon()), TCPX_ECANCELED);
}

START_TEST(a_cancel_in_a_child_does_not_reach_its_parent)
{
    struct shared s = open_shared(_i);

    end_child(start_child(cancel_in_child, &s));
    expect_deadline_kept(&s.f);
    fed_end(&s.f);
    end_shared(&s);
}
END_TEST

static void fill_fork(TCase *tc)
{
    tcase_add_loop_test(tc, deadlines_hold_in_a_child_whose_parent_let_go, 0,
                        PAIRS);
    tcase_add_loop_test(tc, deadlines_hold_in_a_parent_whose_child_let_go, 0,
                        PAIRS);
    tcase_add_loop_test(tc, a_cancel_in_a_child_does_not_reach_its_parent, 0,
                        PAIRS);
}

const struct test_case test_cases[] = {
    {"fork", "fork", fill_fork},
    {NULL, NULL, NULL},
};
