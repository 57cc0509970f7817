/* SPDX-License-Identifier: MIT */
/*
 * race.c - Happy Eyeballs: the attempts of one connect, RFC 8305.
 *
 * One loop in one task: start what is due, wait for the attempts under way and
 * for the lookups, see who is done.  There is nothing here to lock and no
 * thread to leave behind; whatever ends the loop, the sockets that remain are
 * in one array, and are closed in one place.
 */
#include "net/race.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include "base/sys.h"
#include "base/util.h"
#include "io/world.h"
#include "net/resolve.h"

enum { V6, V4 };

static const int families[2] = {[V6] = AF_INET6, [V4] = AF_INET};

/* What becomes of one family's addresses. */
struct lane {
    const struct tcpx__names *names; /* NULL while they are awaited */
    tcpx_time answered;              /* when they were first seen */
    size_t used;                     /* the first so many were tried */
};

struct race {
    const struct tcpx__plan *plan;
    const struct tcpx__world *world;
    struct tcpx__resolution *resolution;
    tcpx_connect_report *report;
    tcpx_time began;
    tcpx_time deadline;
    tcpx_time next_start; /* of another attempt beside those under way */
    struct lane lanes[2];
    int last; /* the family that was tried last; -1: none yet */
    size_t n; /* under way, the oldest first */
    struct tcpx__attempt at[TCPX__RACERS];
    int first_failure; /* of an attempt that never left this host */
    int first_answer;  /* of one that did, and which of the report it was */
    size_t first_answer_line;
};

static tcpx_time earlier(tcpx_time a, tcpx_time b)
{
    return a < b ? a : b;
}

/* A delay may be as long as a program likes. */
static tcpx_time later(tcpx_time instant, tcpx_time delay)
{
    return delay < TCPX_FOREVER - instant ? instant + delay : TCPX_FOREVER;
}

/* ---- Addresses --------------------------------------------------------- */

static void look_at_lookups(struct race *r, tcpx_time now)
{
    for (int i = V6; i <= V4; i++) {
        struct lane *lane = &r->lanes[i];

        if (lane->names)
            continue;
        lane->names = tcpx__resolution_names(r->resolution, families[i]);
        lane->answered = now;
    }
}

static size_t left(const struct lane *lane)
{
    return lane->names && !lane->names->err ? lane->names->n - lane->used : 0;
}

/*
 * Until when IPv4 addresses wait for IPv6 ones that may still come (section
 * 3), which they do before the first attempt only; 0 if they need not.
 */
static tcpx_time held_until(const struct race *r)
{
    if (r->lanes[V6].names || r->last >= 0 ||
        r->plan->opts.resolution_delay == TCPX_NONE)
        return 0;
    return later(r->lanes[V4].answered, r->plan->opts.resolution_delay);
}

/* The family of the next address: the one that was not tried last, IPv6 first
   (section 4); -1 if there is no address to try now. */
static int next_lane(const struct race *r, tcpx_time now)
{
    int six = left(&r->lanes[V6]) > 0;
    int four = left(&r->lanes[V4]) > 0;

    if (six && (!four || r->last != V6))
        return V6;
    return four && now >= held_until(r) ? V4 : -1;
}

/* ---- Attempts ---------------------------------------------------------- */

/* Notes how an attempt ended; its socket is closed. */
static void ended(struct race *r, struct tcpx__attempt *a, int err,
                  tcpx_time now)
{
    tcpx__attempt_end(a);
    tcpx__report_end(r->report, a->line, err, a->why, now - r->began);
}

/* Takes attempt i out of those under way. */
static void take_out(struct race *r, size_t i)
{
    r->n--;
    memmove(&r->at[i], &r->at[i + 1], (r->n - i) * sizeof(r->at[0]));
}

static int is_shortage(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS ||
           err == -ENOMEM || err == -EAGAIN;
}

/*
 * Makes room for one more attempt, if one is due.  A host with many addresses
 * of which the first are dead must still be reached before the deadline.
 */
static int may_start(struct race *r, tcpx_time now)
{
    struct tcpx__attempt *oldest = &r->at[0];

    if (r->n == 0)
        return 1;
    if (now < r->next_start)
        return 0;
    if (r->n < TCPX__RACERS)
        return 1;
    if (now - oldest->start < TCPX__PATIENCE)
        return 0;
    ended(r, oldest, TCPX_EDEADLINE, now);
    take_out(r, 0);
    return 1;
}

/*
 * Starts an attempt.  1 if it won at once, 0 if it is under way or failed,
 * -EAGAIN if this host is short of something while others are under way, or
 * -ENOMEM.
 */
static int start(struct race *r, int i, tcpx_time now)
{
    struct lane *lane = &r->lanes[i];
    struct tcpx__attempt *a = &r->at[r->n];
    int err = tcpx__attempt_begin(a, r->plan, &lane->names->at[lane->used]);
    int line;

    if (r->n > 0 && is_shortage(err) && !a->given_up)
        return -EAGAIN;
    lane->used++;
    r->last = i;
    line = tcpx__report_begin(r->report, &a->to, now - r->began);
    if (line < 0) {
        tcpx__attempt_end(a);
        return line;
    }
    a->line = (size_t)line;
    a->start = now;
    if (tcpx__attempt_stands(a)) {
        r->n++;
        return !err;
    }
    ended(r, a, err, tcpx__sys_now());
    if (!r->first_failure)
        r->first_failure = err;
    return 0;
}

/* Starts every attempt that is due; 1 if one won at once. */
static int start_due(struct race *r)
{
    for (;;) {
        tcpx_time now = tcpx__sys_now();
        size_t before = r->n;
        int i;
        int rc;

        look_at_lookups(r, now);
        i = next_lane(r, now);
        if (i < 0 || !may_start(r, now))
            return 0;
        rc = start(r, i, now);
        if (rc != 0 && rc != -EAGAIN)
            return rc;
        /* One that failed at once makes nobody wait. */
        if (rc || r->n > before)
            r->next_start = later(now, r->plan->opts.attempt_delay);
        if (rc)
            return 0;
    }
}

/* Sees which attempts ended; 1 if one won, which is last in the array then. */
static int see(struct race *r, const struct tcpx__poll_item *items, size_t n)
{
    size_t i = 0;

    for (size_t k = 0; k < n; k++) {
        struct tcpx__attempt a = r->at[i];
        int err = items[k].got ? tcpx__attempt_result(&a) : -EINPROGRESS;
        tcpx_time now;

        if (err == -EINPROGRESS) {
            i++;
            continue;
        }
        take_out(r, i);
        if (!err) {
            r->at[r->n++] = a;
            return 1;
        }
        now = tcpx__sys_now();
        ended(r, &a, err, now);
        if (!r->first_answer || a.line < r->first_answer_line) {
            r->first_answer = err;
            r->first_answer_line = a.line;
        }
        r->next_start = now;
    }
    return 0;
}

/* ---- The loop ---------------------------------------------------------- */

/* When there is something to do even if nothing happens. */
static tcpx_time wake_time(const struct race *r)
{
    tcpx_time due = r->next_start;

    if (left(&r->lanes[V6]) + left(&r->lanes[V4]) == 0)
        return r->deadline;
    if (r->n == TCPX__RACERS && due < r->at[0].start + TCPX__PATIENCE)
        due = r->at[0].start + TCPX__PATIENCE;
    if (left(&r->lanes[V6]) == 0 && due < held_until(r))
        due = held_until(r);
    return earlier(r->deadline, due);
}

/* Waits for what is under way; 1 if somebody won. */
static int wait_and_see(struct race *r)
{
    struct tcpx__poll_item items[TCPX__RACERS];
    tcpx_time until = wake_time(r);
    size_t n = r->n;
    int rc;

    for (size_t i = 0; i < n; i++)
        items[i] = (struct tcpx__poll_item){.fd = r->at[i].fd, .want = POLLOUT};
    rc = n > 0 ? r->world->wait(items, n, until) : r->world->park(until);
    if (rc == TCPX_EDEADLINE && until < r->deadline)
        return 0;
    return rc > 0 ? see(r, items, n) : rc;
}

/* Why there is no connection although everything was tried. */
static int verdict(const struct race *r)
{
    int err = TCPX_ERESOLVE;

    /* An address that this host has no way to says nothing of the peer. */
    if (r->first_answer)
        return r->first_answer;
    if (r->first_failure)
        return r->first_failure;
    for (int i = V4; i >= V6; i--) {
        int lookup = r->lanes[i].names->err;

        if (lookup && (lookup != TCPX_ERESOLVE || err == TCPX_ERESOLVE))
            err = lookup;
    }
    return err;
}

static int run(struct race *r)
{
    for (;;) {
        int rc = start_due(r);

        if (rc)
            return rc;
        if (r->n == 0 && r->lanes[V6].names && r->lanes[V4].names)
            return verdict(r);
        rc = wait_and_see(r);
        if (rc)
            return rc;
    }
}

/* ---- The end ----------------------------------------------------------- */

const char *tcpx__no_address(int family)
{
    switch (family) {
    case AF_INET:
        return "no IPv4 address";
    case AF_INET6:
        return "no IPv6 address";
    default:
        return "no address";
    }
}

/* Whether the other family's lookup tells all that this one could. */
static int is_redundant(const struct race *r, int i)
{
    const struct tcpx__names *names = r->lanes[i].names;
    const struct tcpx__names *other = r->lanes[!i].names;

    if (!names || !other)
        return i == V4 && names == other;
    if (other->n > 0) /* where all the addresses are */
        return names->absent;
    return i == V4 && names->err == other->err &&
           !strcmp(names->detail, other->detail);
}

/* Tells of a lookup that failed or, unless `result` is 0, had not ended. */
static int report_lookup(struct race *r, int i, const char *name, int result)
{
    const struct lane *lane = &r->lanes[i];
    const struct tcpx__names *names = lane->names;
    int err = names ? names->err : result;

    if (!err || is_redundant(r, i))
        return 0;
    return tcpx__report_lookup(r->report, name, err,
                               names && names->detail[0] ? names->detail : NULL,
                               lane->answered - r->began);
}

/* Adds what is no attempt's; 0 or -ENOMEM. */
static int finish_report(struct race *r, const char *name, int result)
{
    int err = 0;

    for (int i = V4; i >= V6 && !err; i--)
        err = report_lookup(r, i, name, result);
    r->report->untried = left(&r->lanes[V6]) + left(&r->lanes[V4]);
    if (!err && r->report->n == 0 && r->report->untried == 0)
        err = tcpx__report_lookup(r->report, name, result,
                                  tcpx__no_address(r->plan->family),
                                  r->lanes[V4].answered - r->began);
    return err;
}

/* Everybody under way has lost, or was given up with the whole. */
static void close_all(struct race *r, int err, tcpx_time now)
{
    for (size_t i = 0; i < r->n; i++)
        ended(r, &r->at[i], err, now);
    r->n = 0;
}

static int conclude(struct race *r, struct tcpx__attempt *won, const char *name,
                    int rc)
{
    tcpx_time now = tcpx__sys_now();
    int err = rc < 0 ? rc : 0;

    look_at_lookups(r, now);
    if (!err) {
        *won = r->at[--r->n];
        tcpx__report_end(r->report, won->line, 0, NULL, now - r->began);
    }
    close_all(r, err ? err : TCPX_ECANCELED, now);
    if (finish_report(r, name, err) && err)
        return -ENOMEM;
    return err;
}

int tcpx__race(struct tcpx__attempt *won, const struct tcpx__plan *plan,
               const tcpx_address *address, const char *name,
               tcpx_time deadline, tcpx_connect_report *report)
{
    struct race r = {.plan = plan,
                     .world = tcpx__world(),
                     .report = report,
                     .began = tcpx__sys_now(),
                     .deadline = deadline,
                     .last = -1};
    int rc = tcpx__resolve_start(&r.resolution, address, plan->family);

    if (rc)
        return rc;
    rc = conclude(&r, won, name, run(&r));
    tcpx__resolve_abandon(r.resolution);
    return rc;
}
