/* SPDX-License-Identifier: MIT */
/*
 * t_resolver_hook.c - a resolver of the program's own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <tcpx.h>
#include "base/task.h"
#include "runner.h"
#include "support.h"
#include "unit/resolving.h"

/* What was asked, in order; answered by the tests. */
static struct {
    int n;
    struct {
        tcpx_lookup *lookup;
        char host[256];
        int family;
    } at[8];
} asked;

static void note(tcpx_lookup *lookup, const char *host, int family, void *arg)
{
    ck_assert_ptr_eq(arg, &asked);
    ck_assert_int_lt(asked.n, 8);
    asked.at[asked.n].lookup = lookup;
    asked.at[asked.n].family = family;
    strcpy(asked.at[asked.n].host, host);
    asked.n++;
}

START_TEST(each_family_is_asked_for_once_with_ipv6_first)
{
    struct tcpx__resolution *r;

    tcpx_resolver_set(note, &asked);
    r = start_resolving("Example.org.:80", 0);
    ck_assert_int_eq(asked.n, 2);
    ck_assert_int_eq(asked.at[0].family, AF_INET6);
    ck_assert_int_eq(asked.at[1].family, AF_INET);
    ck_assert_str_eq(asked.at[0].host, "Example.org.");
    ck_assert_str_eq(asked.at[1].host, "Example.org.");
    ck_assert_ptr_null(tcpx__resolution_names(r, AF_INET6));
    ck_assert_ptr_null(tcpx__resolution_names(r, AF_INET));

    tcpx_lookup_finish(asked.at[1].lookup, 0, NULL, 0);
    ck_assert_ptr_null(tcpx__resolution_names(r, AF_INET6));
    ck_assert_ptr_nonnull(tcpx__resolution_names(r, AF_INET));
    tcpx_lookup_finish(asked.at[0].lookup, 0, NULL, 0);
    tcpx__resolve_abandon(r);
}
END_TEST

START_TEST(an_answer_keeps_its_order_and_takes_our_port)
{
    struct sockaddr_storage *got = malloc(5 * sizeof(*got));
    struct tcpx__resolution *r;
    const struct tcpx__names *names;

    ck_assert_ptr_nonnull(got);
    got[0] = ip_address("192.0.2.9", 1);
    got[1] = ip_address("192.0.2.1", 0);
    got[2] = ip_address("2001:db8::1", 2); /* of another family */
    got[3] = ip_address("192.0.2.9", 3);   /* a second time */
    got[4] = ip_address("192.0.2.2", 4);
    tcpx_resolver_set(note, &asked);
    r = start_resolving("h:80", AF_INET);
    tcpx_lookup_finish(asked.at[0].lookup, 0, got, 5);
    free(got); /* the library has copied it */

    names = tcpx__resolution_names(r, AF_INET);
    ck_ok(names->err);
    ck_assert_uint_eq(names->n, 3);
    names_read(names, 0, "192.0.2.9:80");
    names_read(names, 1, "192.0.2.1:80");
    names_read(names, 2, "192.0.2.2:80");
    tcpx__resolve_abandon(r);
}
END_TEST

START_TEST(an_answer_of_thousands_is_cut_off)
{
    size_t n = 3 * TCPX__NAMES_MAX;
    struct sockaddr_storage *got = calloc(n, sizeof(*got));
    struct tcpx__resolution *r;

    ck_assert_ptr_nonnull(got);
    for (size_t i = 0; i < n; i++) {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)&got[i];

        in->sin_family = AF_INET;
        in->sin_addr.s_addr = htonl(0x0a000000 + (uint32_t)i);
    }
    tcpx_resolver_set(note, &asked);
    r = start_resolving("h:80", AF_INET);
    tcpx_lookup_finish(asked.at[0].lookup, 0, got, n);
    ck_assert_uint_eq(tcpx__resolution_names(r, AF_INET)->n, TCPX__NAMES_MAX);
    tcpx__resolve_abandon(r);
    free(got);
}
END_TEST

static const struct {
    int given;
    int err;
    const char *detail;
} verdicts[] = {
    {TCPX_ERESOLVE, TCPX_ERESOLVE, "no such name"},
    {-EAGAIN, TCPX_ERESOLVE, "the name server did not answer"},
    {-ENOMEM, -ENOMEM, ""},
    {-EMFILE, -EMFILE, ""},
    {-EIO, -EIO, ""},
    {1, -EINVAL, ""},
};

START_TEST(the_resolvers_errors_are_told_apart)
{
    struct sockaddr_storage one = ip_address("192.0.2.1", 0);
    struct tcpx__resolution *r;
    const struct tcpx__names *names;

    tcpx_resolver_set(note, &asked);
    r = start_resolving("h:80", AF_INET);
    tcpx_lookup_finish(asked.at[0].lookup, verdicts[_i].given, &one, 1);
    names = tcpx__resolution_names(r, AF_INET);
    ck_fails(names->err, verdicts[_i].err);
    ck_assert_str_eq(names->detail, verdicts[_i].detail);
    ck_assert_uint_eq(names->n, 0);
    tcpx__resolve_abandon(r);
}
END_TEST

START_TEST(addresses_that_are_null_are_an_invalid_answer)
{
    struct tcpx__resolution *r;

    tcpx_resolver_set(note, &asked);
    r = start_resolving("h:80", AF_INET);
    tcpx_lookup_finish(asked.at[0].lookup, 0, NULL, 1);
    ck_fails(tcpx__resolution_names(r, AF_INET)->err, -EINVAL);
    tcpx__resolve_abandon(r);

    tcpx_lookup_finish(NULL, 0, NULL, 0);
    ck_assert_int_eq(tcpx_lookup_is_abandoned(NULL), 0);
    tcpx__resolve_abandon(NULL);
}
END_TEST

START_TEST(an_answer_within_the_call_is_there_when_it_returns)
{
    struct tcpx__resolution *r;

    tcpx_resolver_set(answer_at_once, NULL);
    r = start_resolving("h:80", 0);
    names_read(tcpx__resolution_names(r, AF_INET6), 0, "[2001:db8::1]:80");
    names_read(tcpx__resolution_names(r, AF_INET), 0, "192.0.2.1:80");
    tcpx__resolve_abandon(r);
}
END_TEST

static void *answer_from_a_thread(void *arg)
{
    answer_at_once(arg, "", AF_INET, NULL);
    return NULL;
}

START_TEST(an_answer_of_another_thread_wakes_who_asked)
{
    struct tcpx__resolution *r;
    pthread_t thread;

    tcpx_resolver_set(note, &asked);
    r = start_resolving("h:80", AF_INET);
    thread = start_thread(answer_from_a_thread, asked.at[0].lookup);
    names_read(await_names(r, AF_INET), 0, "192.0.2.1:80");
    tcpx__resolve_abandon(r);
    end_thread(thread);
}
END_TEST

START_TEST(an_answer_after_the_asker_left_wakes_nobody)
{
    struct tcpx__resolution *r;
    uint32_t wakes;
    pthread_t thread;

    tcpx_resolver_set(note, &asked);
    r = start_resolving("h:80", AF_INET);
    ck_assert_int_eq(tcpx_lookup_is_abandoned(asked.at[0].lookup), 0);
    tcpx__resolve_abandon(r);
    ck_assert_int_eq(tcpx_lookup_is_abandoned(asked.at[0].lookup), 1);
    ck_assert_str_eq(asked.at[0].host, "h"); /* lives until the answer */

    wakes = atomic_load(&tcpx__task()->wakes);
    thread = start_thread(answer_from_a_thread, asked.at[0].lookup);
    end_thread(thread);
    ck_assert_uint_eq(atomic_load(&tcpx__task()->wakes), wakes);
}
END_TEST

static void *ask_and_end(void *arg)
{
    (void)arg;
    tcpx__resolve_abandon(start_resolving("h:80", 0));
    return NULL;
}

START_TEST(an_answer_after_the_asking_thread_ended_is_freed)
{
    tcpx_resolver_set(note, &asked);
    end_thread(start_thread(ask_and_end, NULL));
    ck_assert_int_eq(asked.n, 2);
    for (int i = 0; i < 2; i++)
        end_thread(start_thread(answer_from_a_thread, asked.at[i].lookup));
}
END_TEST

START_TEST(a_resolver_serves_only_lookups_that_start_after_it_was_set)
{
    struct tcpx__resolution *r;

    tcpx_resolver_set(note, &asked);
    r = start_resolving("h:80", AF_INET);
    tcpx_resolver_set(answer_at_once, NULL);
    ck_assert_ptr_null(tcpx__resolution_names(r, AF_INET));
    answer_at_once(asked.at[0].lookup, "", AF_INET, NULL);
    ck_assert_uint_eq(tcpx__resolution_names(r, AF_INET)->n, 1);
    tcpx__resolve_abandon(r);
}
END_TEST

/* ---- Answers against leaving, many times ------------------------------- */

#define ROUNDS 3000

/* A slot through which the asking threads hand lookups to the answering one. */
static tcpx_lookup *_Atomic handed[4];
static _Atomic int asking;

static void hand_over(tcpx_lookup *lookup, const char *host, int family,
                      void *arg)
{
    (void)host;
    for (size_t i = 0; i < 4; i++) {
        tcpx_lookup *none = NULL;

        if (atomic_compare_exchange_strong(&handed[i], &none, lookup))
            return;
    }
    answer_at_once(lookup, host, family, arg);
}

static void *ask_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct tcpx__resolution *r = start_resolving("h:80", 0);

        if (i % 3 == 0)
            (void)await_names(r, AF_INET);
        if (i % 3 == 1)
            (void)tcpx__resolution_names(r, AF_INET6);
        tcpx__resolve_abandon(r);
    }
    atomic_fetch_sub(&asking, 1);
    return NULL;
}

static void *answer_often(void *arg)
{
    int more = 1;

    (void)arg;
    while (more) {
        more = atomic_load(&asking) > 0; /* once more after the last left */
        for (size_t i = 0; i < 4; i++) {
            tcpx_lookup *lookup = atomic_exchange(&handed[i], NULL);

            if (lookup)
                answer_at_once(lookup, "", AF_INET, NULL);
        }
    }
    return NULL;
}

START_TEST(answering_and_leaving_may_meet_at_any_moment)
{
    pthread_t askers[2], answerer;

    tcpx_resolver_set(hand_over, NULL);
    atomic_store(&asking, 2);
    askers[0] = start_thread(ask_often, NULL);
    askers[1] = start_thread(ask_often, NULL);
    answerer = start_thread(answer_often, NULL);
    end_thread(askers[0]);
    end_thread(askers[1]);
    end_thread(answerer);
}
END_TEST

static void fill_hook(TCase *tc)
{
    tcase_add_test(tc, each_family_is_asked_for_once_with_ipv6_first);
    tcase_add_test(tc, an_answer_keeps_its_order_and_takes_our_port);
    tcase_add_test(tc, an_answer_of_thousands_is_cut_off);
    tcase_add_loop_test(tc, the_resolvers_errors_are_told_apart, 0,
                        sizeof(verdicts) / sizeof(verdicts[0]));
    tcase_add_test(tc, addresses_that_are_null_are_an_invalid_answer);
    tcase_add_test(tc, an_answer_within_the_call_is_there_when_it_returns);
    tcase_add_test(tc, an_answer_of_another_thread_wakes_who_asked);
    tcase_add_test(tc, an_answer_after_the_asker_left_wakes_nobody);
    tcase_add_test(tc, an_answer_after_the_asking_thread_ended_is_freed);
    tcase_add_test(tc,
                   a_resolver_serves_only_lookups_that_start_after_it_was_set);
}

static void fill_races(TCase *tc)
{
    tcase_add_test(tc, answering_and_leaving_may_meet_at_any_moment);
}

const struct test_case test_cases[] = {
    {"resolve", "resolver-hook", fill_hook},
    {"resolve", "resolve-races", fill_races},
    {NULL, NULL, NULL},
};
