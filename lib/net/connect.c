/* SPDX-License-Identifier: MIT */
/*
 * connect.c - the active open: from a call to one attempt, or to a race.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tcpx/connect.h>
#include <tcpx/error.h>
#include "base/sys.h"
#include "io/world.h"
#include "net/address.h"
#include "net/attempt.h"
#include "net/conn.h"
#include "net/opts.h"
#include "net/race.h"
#include "net/report.h"
#include "net/resolve.h"
#include "net/text.h"

/* There is no event for "the queue of a Unix listener has room": ask again
   after growing pauses. */
#define FIRST_PAUSE (1 * TCPX_MSEC)
#define LAST_PAUSE (50 * TCPX_MSEC)

/* One call of tcpx_connect(). */
struct call {
    struct tcpx__plan plan;
    tcpx_address address;
    char name[TCPX__ADDRESS_TEXT]; /* the address as given, fit to be shown */
    tcpx_time began;
    tcpx_time deadline;
    tcpx_connect_report *report;
};

static int refuse(const struct call *k, const char *why)
{
    return tcpx__fail_because(-EINVAL, "connect", k->name, "%s", why);
}

/* ---- Options ----------------------------------------------------------- */

static int check_delays(struct call *k)
{
    tcpx_connect_opts *opts = &k->plan.opts;
    int err = tcpx__duration_check(opts->attempt_delay, "attempt_delay",
                                   "connect", k->name);

    if (!err && opts->resolution_delay != TCPX_NONE)
        err = tcpx__duration_check(opts->resolution_delay, "resolution_delay",
                                   "connect", k->name);
    if (err)
        return err;
    if (opts->attempt_delay == 0)
        opts->attempt_delay = TCPX__ATTEMPT_DELAY;
    if (opts->attempt_delay < TCPX__ATTEMPT_DELAY_LEAST)
        opts->attempt_delay = TCPX__ATTEMPT_DELAY_LEAST;
    if (opts->resolution_delay == 0)
        opts->resolution_delay = TCPX__RESOLUTION_DELAY;
    return 0;
}

static int check_switches(const struct call *k)
{
    const tcpx_connect_opts *opts = &k->plan.opts;
    int err =
        tcpx__switch_check(opts->start_only, "start_only", "connect", k->name);

    if (!err)
        err = tcpx__switch_check(opts->mptcp, "mptcp", "connect", k->name);
    if (!err)
        err =
            tcpx__switch_check(opts->fastopen, "fastopen", "connect", k->name);
    if (!err && opts->family && opts->family != AF_INET &&
        opts->family != AF_INET6)
        err = refuse(k, "family is neither AF_INET nor AF_INET6");
    if (!err && opts->reserved_0)
        err = refuse(k, "reserved_0 is not zero");
    return err;
}

/* Takes .bind apart.  An address in it settles the family. */
static int check_bind(struct call *k)
{
    struct tcpx__plan *plan = &k->plan;
    struct tcpx__address_fault found = {0};
    char shown[TCPX__ADDRESS_SHOWN];
    tcpx_address local;
    char why[80] = "no such zone";
    int err;

    if (!plan->opts.bind)
        return 0;
    err = tcpx__address_scan_local(&local, plan->opts.bind, &found);
    if (err) {
        tcpx__address_show(shown, plan->opts.bind);
        return tcpx__fail_because(err, "connect", k->name,
                                  "bind %s: column %zu: %s", shown,
                                  found.column, found.what);
    }
    err = tcpx__resolve_port(&local, &plan->local_port, why);
    if (!err && local.kind != TCPX_ADDRESS_WILDCARD)
        err = tcpx__endpoint_of(&plan->local, &local, plan->local_port);
    if (err)
        return tcpx__fail_because(err, "connect", k->name, "bind %s: %s",
                                  plan->opts.bind,
                                  why[0] ? why : tcpx_strerror(err));
    if (!plan->local.len)
        return 0;
    if (plan->family && plan->family != plan->local.sa.sa_family)
        return refuse(k, "family is not that of bind");
    plan->family = plan->local.sa.sa_family;
    return 0;
}

static int take_options(struct call *k, const tcpx_connect_opts *opts)
{
    struct tcpx__plan *plan = &k->plan;
    int err = tcpx__opts_copy(&plan->opts, sizeof(plan->opts),
                              sizeof(plan->opts), opts);

    if (err)
        return tcpx__opts_fail(err, "connect", k->name);
    if (plan->opts.report)
        *plan->opts.report = NULL;
    plan->tuning = TCPX__TUNING_OF(&plan->opts);
    err = tcpx__tuning_check(&plan->tuning, "connect", k->name);
    if (!err)
        err = check_delays(k);
    if (!err)
        err = check_switches(k);
    plan->family = plan->opts.family;
    return err ? err : check_bind(k);
}

/* ---- The address ------------------------------------------------------- */

static int fault(const struct call *k, const char *why)
{
    return tcpx__fail_because(TCPX_EADDRESS, "connect", k->name, "%s", why);
}

static int is_unix(const tcpx_address *a)
{
    return a->kind == TCPX_ADDRESS_UNIX || a->kind == TCPX_ADDRESS_ABSTRACT;
}

static int check_address(const struct call *k)
{
    const tcpx_connect_opts *opts = &k->plan.opts;

    switch (k->address.kind) {
    case TCPX_ADDRESS_NAME:
        if (opts->start_only)
            return refuse(k, "start_only takes no name, for a lookup waits");
        break;
    case TCPX_ADDRESS_IPV4:
    case TCPX_ADDRESS_IPV6:
        break;
    case TCPX_ADDRESS_UNIX:
    case TCPX_ADDRESS_ABSTRACT:
        if (opts->bind || opts->interface || opts->family)
            return refuse(k, "bind, interface and family are not for Unix "
                             "sockets");
        return 0;
    default:
        return fault(k, "this is an address to listen on only");
    }
    return k->address.port ? 0 : fault(k, "port 0 can only be listened on");
}

static int take_address(struct call *k, const char *text)
{
    struct tcpx__address_fault found = {0};
    char shown[TCPX__ADDRESS_SHOWN];

    if (tcpx__address_scan(&k->address, text, &found) == 0)
        return check_address(k);
    tcpx__address_show(shown, text);
    return tcpx__fail_because(TCPX_EADDRESS, "connect", shown, "column %zu: %s",
                              found.column, found.what);
}

/* ---- One attempt: a Unix socket, or .start_only ------------------------ */

static int pause_until(tcpx_time *pause, tcpx_time deadline)
{
    tcpx_time until = tcpx_after(*pause);
    int err;

    if (until > deadline)
        until = deadline;
    if (*pause < LAST_PAUSE)
        *pause *= 2;
    err = tcpx__world()->park(until);
    return err == TCPX_EDEADLINE && until < deadline ? 0 : err;
}

static int attempt(const struct call *k, struct tcpx__attempt *a,
                   const struct tcpx__endpoint *to)
{
    tcpx_time pause = FIRST_PAUSE;

    for (;;) {
        int err = tcpx__attempt_begin(a, &k->plan, to);

        if (err != -EAGAIN || a->given_up || to->sa.sa_family != AF_UNIX ||
            k->plan.opts.start_only)
            return err;
        err = pause_until(&pause, k->deadline);
        if (err)
            return err;
    }
}

static int locate(const struct call *k, struct tcpx__endpoint *to, char why[80])
{
    uint16_t port = 0;
    int err = 0;

    if (!is_unix(&k->address))
        err = tcpx__resolve_port(&k->address, &port, why);
    if (!err)
        err = tcpx__endpoint_of(to, &k->address, port);
    if (err == -ENODEV)
        (void)snprintf(why, 80, "no such zone \"%s\"", k->address.zone);
    if (!err && k->plan.family && k->plan.family != to->sa.sa_family) {
        (void)snprintf(why, 80, "%s", tcpx__no_address(k->plan.family));
        err = TCPX_ERESOLVE;
    }
    return err;
}

static int connect_one(struct call *k, struct tcpx__attempt *a)
{
    struct tcpx__endpoint to;
    char why[80] = "";
    int err = locate(k, &to, why);
    int line;

    if (err) {
        tcpx__report_lookup(k->report, k->name, err, why[0] ? why : NULL, 0);
        return err;
    }
    line = tcpx__report_begin(k->report, &to, 0);
    if (line < 0)
        return line;
    err = attempt(k, a, &to);
    tcpx__report_end(k->report, (size_t)line, err, a->why,
                     tcpx__sys_now() - k->began);
    return err;
}

/* ---- The call ---------------------------------------------------------- */

static int run(struct call *k, tcpx_conn **out)
{
    int start_only = k->plan.opts.start_only;
    struct tcpx__attempt won = {.fd = -1};
    int err;

    k->report = tcpx__report_new();
    if (!k->report)
        return -ENOMEM;
    if (start_only || is_unix(&k->address))
        err = connect_one(k, &won);
    else
        err = tcpx__race(&won, &k->plan, &k->address, k->name, k->deadline,
                         k->report);
    if (tcpx__attempt_stands(&won))
        err = tcpx__attempt_finish(&won, &k->plan, err == -EINPROGRESS, out);
    return err;
}

/* Hands the report over, or its text. */
static int finish(struct call *k, int err)
{
    if (err)
        tcpx__fail_report(
            err, "connect", k->name,
            err == -ENOMEM ? NULL : tcpx__report_text(k->report, k->name));
    if (k->plan.opts.report)
        *k->plan.opts.report = k->report;
    else
        tcpx_connect_report_free(k->report);
    return err;
}

int tcpx_connect(tcpx_conn **out, const char *address,
                 const tcpx_connect_opts *opts, tcpx_time deadline)
{
    struct call k;
    int err;

    if (!address)
        return tcpx__fail_because(-EINVAL, "connect", NULL, "no address");
    memset(&k, 0, sizeof(k));
    tcpx__text_show(k.name, sizeof(k.name), address,
                    strnlen(address, TCPX__ADDRESS_TEXT));
    if (!out)
        return refuse(&k, "no place for the connection");
    err = take_options(&k, opts);
    if (!err && tcpx__is_duration(deadline))
        err = refuse(&k, "a duration was passed as deadline; use "
                         "tcpx_after()");
    if (!err)
        err = take_address(&k, address);
    if (err)
        return err;
    if (!tcpx__task())
        return -ENOMEM;
    k.began = tcpx__sys_now();
    k.deadline = deadline;
    return finish(&k, run(&k, out));
}
