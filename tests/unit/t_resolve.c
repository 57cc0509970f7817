/* SPDX-License-Identifier: MIT */
/*
 * t_resolve.c - resolutions that nobody need be asked for.
 */
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/resource.h>
#include <tcpx.h>
#include "base/sys.h"
#include "base/task.h"
#include "runner.h"
#include "support.h"
#include "unit/resolving.h"

/* One answer, and nothing in the other family. */
static void answers(const char *text, int family, const char *expected)
{
    struct tcpx__resolution *r = start_resolving(text, 0);
    const struct tcpx__names *names = tcpx__resolution_names(r, family);
    const struct tcpx__names *other =
        tcpx__resolution_names(r, family == AF_INET ? AF_INET6 : AF_INET);

    ck_assert_ptr_nonnull(names);
    ck_ok(names->err);
    ck_assert_uint_eq(names->n, 1);
    names_read(names, 0, expected);
    ck_assert_ptr_nonnull(other);
    ck_ok(other->err);
    ck_assert_uint_eq(other->n, 0);
    tcpx__resolve_abandon(r);
}

/* ---- Without asking anyone --------------------------------------------- */

static int calls;

static int count_calls(enum tcpx__sys_call call, size_t *len)
{
    (void)len;
    calls += call != TCPX__SYS_malloc;
    return 0;
}

START_TEST(a_numeric_address_asks_nothing_and_starts_nothing)
{
    struct rlimit limit, none;

    (void)tcpx__task();
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    tcpx__sys_hook = count_calls;
    answers("192.0.2.1:80", AF_INET, "192.0.2.1:80");
    answers("[2001:db8::1]:443", AF_INET6, "[2001:db8::1]:443");
    answers("[::ffff:192.0.2.1]:80", AF_INET6, "192.0.2.1:80");
    ck_assert_int_eq(calls, 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
END_TEST

static void ask_nobody(tcpx_lookup *lookup, const char *host, int family,
                       void *arg)
{
    (void)lookup;
    (void)family;
    (void)arg;
    ck_abort_msg("somebody was asked for %s", host);
}

START_TEST(localhost_is_this_host_and_nobody_is_asked)
{
    static const char *const names[] = {"localhost:80", "LocalHost.:80",
                                        "a.b.localhost:80", "x.LOCALHOST.:80"};

    tcpx_resolver_set(ask_nobody, NULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct tcpx__resolution *r = start_resolving(names[i], 0);

        names_read(tcpx__resolution_names(r, AF_INET6), 0, "[::1]:80");
        names_read(tcpx__resolution_names(r, AF_INET), 0, "127.0.0.1:80");
        tcpx__resolve_abandon(r);
    }
}
END_TEST

START_TEST(a_family_that_was_not_asked_for_has_no_address)
{
    struct tcpx__resolution *r = start_resolving("localhost:80", AF_INET);

    ck_assert_uint_eq(tcpx__resolution_names(r, AF_INET)->n, 1);
    ck_assert_uint_eq(tcpx__resolution_names(r, AF_INET6)->n, 0);
    tcpx__resolve_abandon(r);
    r = start_resolving("localhost:80", AF_INET6);
    ck_assert_uint_eq(tcpx__resolution_names(r, AF_INET6)->n, 1);
    ck_assert_uint_eq(tcpx__resolution_names(r, AF_INET)->n, 0);
    tcpx__resolve_abandon(r);
    r = start_resolving("192.0.2.1:80", AF_INET6);
    ck_assert_uint_eq(tcpx__resolution_names(r, AF_INET6)->n, 0);
    tcpx__resolve_abandon(r);
}
END_TEST

START_TEST(a_zone_without_an_interface_is_no_device)
{
    struct tcpx__resolution *r = start_resolving("[fe80::1%nope]:80", 0);
    const struct tcpx__names *names = tcpx__resolution_names(r, AF_INET6);

    ck_fails(names->err, -ENODEV);
    ck_assert_str_eq(names->detail, "no such zone \"nope\"");
    tcpx__resolve_abandon(r);
}
END_TEST

START_TEST(a_service_of_the_host_gives_the_port)
{
    if (!getservbyname("http", "tcp"))
        skip_test("no service http in /etc/services");

    answers("192.0.2.1:http", AF_INET, "192.0.2.1:80");
    answers("[::1]:http", AF_INET6, "[::1]:80");
}
END_TEST

START_TEST(an_unknown_service_is_said_by_name_and_nobody_is_asked)
{
    static const char *const texts[] = {"192.0.2.1:xyz-none",
                                        "localhost:xyz-none", "h:xyz-none"};

    tcpx_resolver_set(ask_nobody, NULL);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct tcpx__resolution *r = start_resolving(texts[i], AF_INET);
        const struct tcpx__names *names = tcpx__resolution_names(r, AF_INET);

        ck_assert_ptr_nonnull(names);
        ck_fails(names->err, TCPX_ERESOLVE);
        ck_assert_str_eq(names->detail, "no such service \"xyz-none\" for tcp");
        tcpx__resolve_abandon(r);
    }
}
END_TEST

static int no_descriptor_for_services(enum tcpx__sys_call call, size_t *len)
{
    (void)len;
    return call == TCPX__SYS_getservbyname ? -EMFILE : 0;
}

START_TEST(a_shortage_in_looking_a_service_up_is_no_unknown_service)
{
    struct tcpx__resolution *r;

    tcpx__sys_hook = no_descriptor_for_services;
    r = start_resolving("192.0.2.1:http", 0);
    ck_fails(tcpx__resolution_names(r, AF_INET)->err, -EMFILE);
    ck_assert_str_eq(tcpx__resolution_names(r, AF_INET)->detail, "");
    tcpx__resolve_abandon(r);
}
END_TEST

/* ---- Memory ------------------------------------------------------------ */

static int allocations_left;

static int run_out(enum tcpx__sys_call call, size_t *len)
{
    (void)len;
    return call == TCPX__SYS_malloc && allocations_left-- <= 0 ? -ENOMEM : 0;
}

START_TEST(running_out_of_memory_at_any_point_is_said_and_leaks_nothing)
{
    tcpx_address a;
    struct tcpx__resolution *r;
    int starved = 0, answered = 0;

    ck_ok(tcpx_address_parse(&a, _i ? "192.0.2.1:80" : "h:80"));
    tcpx_resolver_set(answer_at_once, NULL);
    (void)tcpx__task();
    tcpx__sys_hook = run_out;
    for (int n = 0; !answered; n++) {
        const struct tcpx__names *six, *four;
        int err;

        ck_assert_int_lt(n, 20);
        allocations_left = n;
        r = NULL;
        err = tcpx__resolve_start(&r, &a, 0);
        if (err < 0) {
            ck_fails(err, -ENOMEM);
            ck_assert_ptr_null(r);
            starved++;
            continue;
        }
        six = tcpx__resolution_names(r, AF_INET6);
        four = tcpx__resolution_names(r, AF_INET);
        answered = six->err == 0 && four->err == 0;
        ck_assert(six->err == 0 || six->err == -ENOMEM);
        ck_assert(four->err == 0 || four->err == -ENOMEM);
        tcpx__resolve_abandon(r);
    }
    ck_assert_int_gt(starved, 2);
}
END_TEST

static void fill_numeric(TCase *tc)
{
    tcase_add_test(tc, a_numeric_address_asks_nothing_and_starts_nothing);
    tcase_add_test(tc, localhost_is_this_host_and_nobody_is_asked);
    tcase_add_test(tc, a_family_that_was_not_asked_for_has_no_address);
    tcase_add_test(tc, a_zone_without_an_interface_is_no_device);
    tcase_add_test(tc, a_service_of_the_host_gives_the_port);
    tcase_add_test(tc,
                   a_shortage_in_looking_a_service_up_is_no_unknown_service);
    tcase_add_test(tc, an_unknown_service_is_said_by_name_and_nobody_is_asked);
}

static void fill_memory(TCase *tc)
{
    tcase_add_loop_test(
        tc, running_out_of_memory_at_any_point_is_said_and_leaks_nothing, 0, 2);
}

const struct test_case test_cases[] = {
    {"resolve", "resolve-numeric", fill_numeric},
    {"resolve", "resolve-memory", fill_memory},
    {NULL, NULL, NULL},
};
