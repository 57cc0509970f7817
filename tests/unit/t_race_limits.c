/* SPDX-License-Identifier: MIT */
/*
 * t_race_limits.c - races that end badly: at the deadline, by a cancel, out of
 * descriptors or memory, or with every address dead.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "fault/faults.h"
#include "races.h"
#include "runner.h"
#include "support.h"

/* ---- Many dead addresses ------------------------------------------------- */

static const char twenty[] =
    "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 192.0.2.7 "
    "192.0.2.8 192.0.2.9 192.0.2.10 192.0.2.11 192.0.2.12 192.0.2.13 "
    "192.0.2.14 192.0.2.15 192.0.2.16 192.0.2.17 192.0.2.18 192.0.2.19 "
    "192.0.2.20";

START_TEST(at_most_six_attempts_are_in_flight_until_the_deadline)
{
    fakenet_names(AF_INET6, "", 0);
    fakenet_names(AF_INET, twenty, 0);

    ck_fails(race(3 * TCPX_SEC), TCPX_EDEADLINE);

    ck_assert_int_eq(fakenet_now() / MS, 3000);
    ck_assert_int_eq(fakenet_most_open(), 6);
    ck_assert_int_eq(fakenet_open(), 0);
    ck_lines(6);
    ck_line(0, "192.0.2.1:80", TCPX_EDEADLINE, 0, 3000 * MS);
    ck_line(5, "192.0.2.6:80", TCPX_EDEADLINE, 1250 * MS, 1750 * MS);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(),
                                 "192.0.2.6:80 deadline after 1750 ms; 14 not "
                                 "tried"));
}
END_TEST

START_TEST(the_oldest_of_six_gives_way_so_that_every_address_is_tried)
{
    fakenet_names(AF_INET6, "", 0);
    fakenet_names(AF_INET, twenty, 0);
    fakenet_host("192.0.2.20", 0, 10 * MS);

    ck_ok(race(60 * TCPX_SEC));

    ck_assert_int_eq(fakenet_most_open(), 6);
    ck_lines(20);
    ck_line(0, "192.0.2.1:80", TCPX_EDEADLINE, 0, 5000 * MS);
    ck_line(6, "192.0.2.7:80", TCPX_EDEADLINE, 5000 * MS, 5000 * MS);
    ck_line(19, "192.0.2.20:80", 0, 15250 * MS, 10 * MS);
}
END_TEST

START_TEST(when_everything_is_refused_it_ends_at_once)
{
    fakenet_names(AF_INET6, "2001:db8::1 2001:db8::2", 0);
    fakenet_names(AF_INET, "192.0.2.1 192.0.2.2", 0);
    race_refuse(AF_INET6, 2);
    race_refuse(AF_INET, 2);

    ck_fails(race(60 * TCPX_SEC), -ECONNREFUSED);

    ck_assert_int_eq(fakenet_now() / MS, 4);
    ck_assert_str_eq(tcpx_errmsg(),
                     "connect name:80: [2001:db8::1]:80 connection refused "
                     "after 1 ms; 192.0.2.1:80 connection refused after 1 ms; "
                     "[2001:db8::2]:80 connection refused after 1 ms; "
                     "192.0.2.2:80 connection refused after 1 ms");
}
END_TEST

START_TEST(the_sentence_is_bounded_and_says_how_many_more)
{
    fakenet_names(AF_INET6, "", 0);
    fakenet_names(AF_INET, twenty, 0);
    race_refuse(AF_INET, 20);

    ck_fails(race(60 * TCPX_SEC), -ECONNREFUSED);

    ck_lines(20);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), "192.0.2.8:80"));
    ck_assert_ptr_null(strstr(tcpx_errmsg(), "192.0.2.9:80"));
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), "; and 12 more"));
}
END_TEST

static void fill_dead(TCase *tc)
{
    tcase_add_checked_fixture(tc, race_begin, race_end);
    tcase_add_test(tc, at_most_six_attempts_are_in_flight_until_the_deadline);
    tcase_add_test(tc,
                   the_oldest_of_six_gives_way_so_that_every_address_is_tried);
    tcase_add_test(tc, when_everything_is_refused_it_ends_at_once);
    tcase_add_test(tc, the_sentence_is_bounded_and_says_how_many_more);
}

/* ---- Which reason is returned -------------------------------------------- */

START_TEST(the_code_is_the_first_address_s_reason_whoever_failed_first)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, -EHOSTUNREACH, 400 * MS);
    fakenet_host(FOUR, -ECONNREFUSED, 1 * MS);

    ck_fails(race(5 * TCPX_SEC), -EHOSTUNREACH);
}
END_TEST

START_TEST(an_address_that_this_host_has_no_way_to_does_not_give_the_code)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, -ENETUNREACH, 0);
    fakenet_host(FOUR, -ECONNREFUSED, 1 * MS);

    ck_fails(race(5 * TCPX_SEC), -ECONNREFUSED);
    ck_line(0, "[" SIX "]:80", -ENETUNREACH, 0, 0);
}
END_TEST

START_TEST(without_a_way_to_any_address_the_first_reason_is_given)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, -EADDRNOTAVAIL, 0);
    fakenet_host(FOUR, -ENETUNREACH, 0);

    ck_fails(race(5 * TCPX_SEC), -EADDRNOTAVAIL);
}
END_TEST

START_TEST(the_deadline_gives_the_code_whatever_failed_before)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, -ECONNREFUSED, 1 * MS);

    ck_fails(race(500 * MS), TCPX_EDEADLINE);

    ck_line(0, "[" SIX "]:80", -ECONNREFUSED, 0, 1 * MS);
    ck_line(1, FOUR ":80", TCPX_EDEADLINE, 1 * MS, 499 * MS);
    ck_assert_str_eq(tcpx_errmsg(),
                     "connect name:80: [2001:db8::1]:80 connection refused "
                     "after 1 ms; 192.0.2.1:80 deadline after 499 ms");
}
END_TEST

START_TEST(a_connection_that_was_reset_at_once_was_a_connection)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, -ECONNRESET, 1 * MS);
    fakenet_host(FOUR, 0, 1 * MS);

    ck_ok(race(5 * TCPX_SEC));

    ck_lines(1);
    ck_line(0, "[" SIX "]:80", 0, 0, 1 * MS);
}
END_TEST

START_TEST(a_firewall_is_named_where_the_kernel_talks_of_permission)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, "", 0);
    fakenet_host(SIX, -EACCES, 2 * MS);

    ck_fails(race(5 * TCPX_SEC), -EACCES);
    ck_assert_str_eq(tcpx_errmsg(),
                     "connect name:80: [2001:db8::1]:80 forbidden by a "
                     "firewall or a route after 2 ms");
}
END_TEST

static void fill_reasons(TCase *tc)
{
    tcase_add_checked_fixture(tc, race_begin, race_end);
    tcase_add_test(tc,
                   the_code_is_the_first_address_s_reason_whoever_failed_first);
    tcase_add_test(
        tc, an_address_that_this_host_has_no_way_to_does_not_give_the_code);
    tcase_add_test(tc, without_a_way_to_any_address_the_first_reason_is_given);
    tcase_add_test(tc, the_deadline_gives_the_code_whatever_failed_before);
    tcase_add_test(tc, a_connection_that_was_reset_at_once_was_a_connection);
    tcase_add_test(tc,
                   a_firewall_is_named_where_the_kernel_talks_of_permission);
}

/* ---- Ended from outside -------------------------------------------------- */

START_TEST(a_cancel_in_the_race_ends_it_there_and_closes_all)
{
    fakenet_names(AF_INET6, "2001:db8::1 2001:db8::2", 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_cancel(600 * MS);

    ck_fails(race(5 * TCPX_SEC), TCPX_ECANCELED);

    ck_assert_int_eq(fakenet_now() / MS, 600);
    ck_assert_int_eq(fakenet_open(), 0);
    ck_assert_uint_eq(race_count(TCPX_ECANCELED), 3);
    ck_line(2, "[2001:db8::2]:80", TCPX_ECANCELED, 500 * MS, 100 * MS);
}
END_TEST

START_TEST(a_cancel_in_the_lookup_leaves_it_behind)
{
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_cancel(20 * MS);

    ck_fails(race(5 * TCPX_SEC), TCPX_ECANCELED);

    ck_assert_int_eq(fakenet_now() / MS, 20);
    ck_assert_int_eq(fakenet_begun(), 0);
    ck_line(0, "name:80", TCPX_ECANCELED, 0, 20 * MS);
}
END_TEST

START_TEST(a_task_that_is_canceled_already_waits_for_nothing)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, 0, 1);
    tcpx_task_cancel(tcpx_task_self());

    ck_fails(race(TCPX_FOREVER), TCPX_ECANCELED);
    ck_assert_int_eq((int)fakenet_now(), 0);
}
END_TEST

START_TEST(a_deadline_that_has_passed_allows_one_try)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);

    ck_fails(race(-MS), TCPX_EDEADLINE);
    ck_assert_int_eq((int)fakenet_now(), 0);
    ck_lines(1);

    fakenet_host(SIX, 0, 0);
    ck_ok(race(-MS));
}
END_TEST

START_TEST(success_at_the_very_deadline_is_success)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, 0, 200 * MS);

    ck_ok(race(200 * MS));
}
END_TEST

static void fill_ended(TCase *tc)
{
    tcase_add_checked_fixture(tc, race_begin, race_end);
    tcase_add_test(tc, a_cancel_in_the_race_ends_it_there_and_closes_all);
    tcase_add_test(tc, a_cancel_in_the_lookup_leaves_it_behind);
    tcase_add_test(tc, a_task_that_is_canceled_already_waits_for_nothing);
    tcase_add_test(tc, a_deadline_that_has_passed_allows_one_try);
    tcase_add_test(tc, success_at_the_very_deadline_is_success);
}

/* ---- Shortages ----------------------------------------------------------- */

START_TEST(out_of_descriptors_for_the_second_attempt_the_first_goes_on)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, 0, 900 * MS);
    for (int i = 0; i < 100; i++) {
        fail_calls(TCPX__SYS_socket, 2, 1000, -EMFILE);
        ck_ok(race(TCPX_FOREVER));
    }

    ck_lines(1);
    ck_assert_int_eq(fakenet_open(), 0);
}
END_TEST

START_TEST(an_address_that_met_a_shortage_is_tried_again)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(FOUR, 0, 10 * MS);
    fail_calls(TCPX__SYS_socket, 2, 2, -EMFILE);

    ck_ok(race(5 * TCPX_SEC));

    ck_lines(2);
    ck_line(1, FOUR ":80", 0, 750 * MS, 10 * MS);
}
END_TEST

START_TEST(out_of_descriptors_altogether_it_ends_and_says_so)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fail_calls(TCPX__SYS_socket, 1, 1000, -EMFILE);

    ck_fails(race(5 * TCPX_SEC), -EMFILE);

    ck_assert_int_eq((int)fakenet_now(), 0);
    ck_assert_ptr_nonnull(strstr(tcpx_errmsg(), "too many open files"));
}
END_TEST

static int connect_until_no_fault(enum tcpx__sys_call call, int err)
{
    int rounds = 0;
    int rc;

    do {
        rounds++;
        fail_calls(call, rounds, 1, err);
        rc = race(TCPX_FOREVER);
        ck_assert_int_lt(rounds, 200);
    } while (calls_seen() >= rounds);
    ck_ok(rc);
    return rounds;
}

START_TEST(whichever_allocation_fails_nothing_is_left_behind)
{
    /* Enough addresses for the report to grow. */
    fakenet_names(AF_INET6, SIX, 1 * MS);
    fakenet_names(AF_INET, twenty, 0);
    race_refuse(AF_INET, 19);
    race_refuse(AF_INET6, 1);
    fakenet_host("192.0.2.20", 0, MS);

    ck_assert_int_gt(connect_until_no_fault(TCPX__SYS_malloc, -ENOMEM), 20);
    ck_assert_int_gt(connect_until_no_fault(TCPX__SYS_realloc, -ENOMEM), 2);
}
END_TEST

START_TEST(whichever_system_call_fails_no_socket_is_left_behind)
{
    static const enum tcpx__sys_call calls[] = {
        TCPX__SYS_socket, TCPX__SYS_setsockopt, TCPX__SYS_fcntl,
        TCPX__SYS_getsockname};

    fakenet_names(AF_INET6, SIX, 1 * MS);
    fakenet_names(AF_INET, "192.0.2.1 192.0.2.2", 0);
    fakenet_host(FOUR, -ECONNREFUSED, MS);
    fakenet_host("192.0.2.2", 0, MS);

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        connect_until_no_fault(calls[i], -ENOBUFS);
        ck_assert_int_eq(fakenet_open(), 0);
    }
}
END_TEST

static void fill_shortages(TCase *tc)
{
    tcase_add_checked_fixture(tc, race_begin, race_end);
    tcase_add_test(tc,
                   out_of_descriptors_for_the_second_attempt_the_first_goes_on);
    tcase_add_test(tc, an_address_that_met_a_shortage_is_tried_again);
    tcase_add_test(tc, out_of_descriptors_altogether_it_ends_and_says_so);
    tcase_add_test(tc, whichever_allocation_fails_nothing_is_left_behind);
    tcase_add_test(tc, whichever_system_call_fails_no_socket_is_left_behind);
}

const struct test_case test_cases[] = {
    {"race_limits", "dead", fill_dead},
    {"race_limits", "reasons", fill_reasons},
    {"race_limits", "ended", fill_ended},
    {"race_limits", "shortages", fill_shortages},
    {NULL, NULL, NULL},
};
