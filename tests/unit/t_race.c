/* SPDX-License-Identifier: MIT */
/*
 * t_race.c - Happy Eyeballs over a network whose clock the test owns.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "races.h"
#include "runner.h"
#include "support.h"

/* ---- Who wins ------------------------------------------------------------ */

START_TEST(ipv6_wins_alone_where_both_families_work)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, 0, 249 * MS);
    fakenet_host(FOUR, 0, 1 * MS);

    ck_ok(race(5 * TCPX_SEC));

    ck_lines(1);
    ck_line(0, "[" SIX "]:80", 0, 0, 249 * MS);
    ck_assert_int_eq(fakenet_begun(), 1);
}
END_TEST

START_TEST(ipv4_joins_after_250_ms_while_ipv6_is_silent_and_wins)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, SILENT, 0);
    fakenet_host(FOUR, 0, 20 * MS);

    ck_ok(race(5 * TCPX_SEC));

    ck_lines(2);
    ck_line(0, "[" SIX "]:80", TCPX_ECANCELED, 0, 270 * MS);
    ck_line(1, FOUR ":80", 0, 250 * MS, 20 * MS);
    ck_assert_int_eq(fakenet_open(), 0);
}
END_TEST

START_TEST(a_slow_ipv6_may_still_win_after_ipv4_joined)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, 0, 400 * MS);
    fakenet_host(FOUR, 0, 200 * MS);

    ck_ok(race(5 * TCPX_SEC));

    ck_line(0, "[" SIX "]:80", 0, 0, 400 * MS);
    ck_line(1, FOUR ":80", TCPX_ECANCELED, 250 * MS, 150 * MS);
}
END_TEST

START_TEST(ipv4_starts_at_once_when_ipv6_is_refused)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, -ECONNREFUSED, 7 * MS);
    fakenet_host(FOUR, 0, 1 * MS);

    ck_ok(race(5 * TCPX_SEC));

    ck_lines(2);
    ck_line(0, "[" SIX "]:80", -ECONNREFUSED, 0, 7 * MS);
    ck_line(1, FOUR ":80", 0, 7 * MS, 1 * MS);
}
END_TEST

START_TEST(ipv4_starts_at_once_when_there_is_no_way_to_ipv6)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, -ENETUNREACH, 0);
    fakenet_host(FOUR, 0, 1 * MS);

    ck_ok(race(5 * TCPX_SEC));

    ck_line(0, "[" SIX "]:80", -ENETUNREACH, 0, 0);
    ck_line(1, FOUR ":80", 0, 0, 1 * MS);
}
END_TEST

START_TEST(
    of_two_that_succeed_together_the_earlier_wins_and_the_other_is_closed)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, 0, 300 * MS);
    fakenet_host(FOUR, 0, 50 * MS);

    ck_ok(race(5 * TCPX_SEC));

    ck_line(0, "[" SIX "]:80", 0, 0, 300 * MS);
    ck_line(1, FOUR ":80", TCPX_ECANCELED, 250 * MS, 50 * MS);
    ck_assert_int_eq(fakenet_open(), 0);
}
END_TEST

START_TEST(a_false_hint_of_success_is_not_believed)
{
    fakenet_names(AF_INET6, SIX, 0);
    fakenet_names(AF_INET, "", 0);
    fakenet_host(SIX, 0, 10 * MS);
    fakenet_false_hints(200);

    ck_ok(race(5 * TCPX_SEC));

    ck_lines(1);
    ck_line(0, "[" SIX "]:80", 0, 0, 210 * MS);
}
END_TEST

static void fill_winners(TCase *tc)
{
    tcase_add_checked_fixture(tc, race_begin, race_end);
    tcase_add_test(tc, ipv6_wins_alone_where_both_families_work);
    tcase_add_test(tc, ipv4_joins_after_250_ms_while_ipv6_is_silent_and_wins);
    tcase_add_test(tc, a_slow_ipv6_may_still_win_after_ipv4_joined);
    tcase_add_test(tc, ipv4_starts_at_once_when_ipv6_is_refused);
    tcase_add_test(tc, ipv4_starts_at_once_when_there_is_no_way_to_ipv6);
    tcase_add_test(
        tc,
        of_two_that_succeed_together_the_earlier_wins_and_the_other_is_closed);
    tcase_add_test(tc, a_false_hint_of_success_is_not_believed);
}

/* ---- The order ----------------------------------------------------------- */

START_TEST(the_families_take_turns_and_the_rest_follows_in_order)
{
    fakenet_names(AF_INET6, "2001:db8::1 2001:db8::2", 0);
    fakenet_names(AF_INET, "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4", 0);
    race_refuse(AF_INET6, 2);
    race_refuse(AF_INET, 4);

    ck_fails(race(5 * TCPX_SEC), -ECONNREFUSED);

    ck_order("6.1 4.1 6.2 4.2 4.3 4.4");
    ck_assert_int_eq(fakenet_now() / MS, 6);
}
END_TEST

START_TEST(one_family_alone_is_tried_in_the_order_of_the_answer)
{
    fakenet_names(AF_INET6, "", 0);
    fakenet_names(AF_INET, "192.0.2.3 192.0.2.1 192.0.2.2", 0);
    race_refuse(AF_INET, 3);

    ck_fails(race(5 * TCPX_SEC), -ECONNREFUSED);

    ck_order("4.3 4.1 4.2");
}
END_TEST

START_TEST(an_address_that_is_told_twice_is_tried_once)
{
    fakenet_names(AF_INET6, "2001:db8::1 2001:db8::1", 0);
    fakenet_names(AF_INET, "192.0.2.1 192.0.2.2 192.0.2.1", 0);
    race_refuse(AF_INET6, 1);
    race_refuse(AF_INET, 2);

    ck_fails(race(5 * TCPX_SEC), -ECONNREFUSED);

    ck_order("6.1 4.1 4.2");
}
END_TEST

START_TEST(the_family_that_is_asked_for_is_the_only_one_looked_up)
{
    tcpx_connect_opts opts = tcpx_connect_defaults();

    /* An IPv4 lookup would never be answered, and would be waited for. */
    fakenet_names(AF_INET6, SIX, 0);
    race_refuse(AF_INET6, 1);
    opts.family = AF_INET6;

    ck_fails(race_with(&opts, 5 * TCPX_SEC), -ECONNREFUSED);

    ck_order("6.1");
    ck_assert_int_eq(fakenet_now() / MS, 1);
}
END_TEST

START_TEST(addresses_that_come_late_take_their_turn)
{
    fakenet_names(AF_INET6, "2001:db8::1 2001:db8::2", 300 * MS);
    fakenet_names(AF_INET, "192.0.2.1 192.0.2.2 192.0.2.3", 0);

    ck_fails(race(1500 * MS), TCPX_EDEADLINE);

    /* At 50, 300, 550, 800 and 1050 ms. */
    ck_order("4.1 6.1 4.2 6.2 4.3");
    ck_line(0, "192.0.2.1:80", TCPX_EDEADLINE, 50 * MS, 1450 * MS);
    ck_line(1, "[2001:db8::1]:80", TCPX_EDEADLINE, 300 * MS, 1200 * MS);
    ck_line(4, "192.0.2.3:80", TCPX_EDEADLINE, 1050 * MS, 450 * MS);
}
END_TEST

static void fill_order(TCase *tc)
{
    tcase_add_checked_fixture(tc, race_begin, race_end);
    tcase_add_test(tc, the_families_take_turns_and_the_rest_follows_in_order);
    tcase_add_test(tc, one_family_alone_is_tried_in_the_order_of_the_answer);
    tcase_add_test(tc, an_address_that_is_told_twice_is_tried_once);
    tcase_add_test(tc, the_family_that_is_asked_for_is_the_only_one_looked_up);
    tcase_add_test(tc, addresses_that_come_late_take_their_turn);
}

/* ---- Lookups ------------------------------------------------------------- */

START_TEST(ipv6_comes_first_if_its_answer_is_less_than_50_ms_behind)
{
    fakenet_names(AF_INET6, SIX, 49 * MS);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(SIX, 0, 10 * MS);

    ck_ok(race(5 * TCPX_SEC));

    ck_lines(1);
    ck_line(0, "[" SIX "]:80", 0, 49 * MS, 10 * MS);
}
END_TEST

START_TEST(ipv4_waits_50_ms_for_ipv6_answers_and_no_longer)
{
    fakenet_names(AF_INET6, SIX, 80 * MS);
    fakenet_names(AF_INET, FOUR, 5 * MS);
    fakenet_host(SIX, 0, 10 * MS);

    ck_ok(race(5 * TCPX_SEC));

    ck_lines(2);
    ck_line(0, FOUR ":80", TCPX_ECANCELED, 55 * MS, 260 * MS);
    ck_line(1, "[" SIX "]:80", 0, 305 * MS, 10 * MS);
}
END_TEST

START_TEST(ipv4_waits_for_nothing_once_ipv6_answered_that_there_is_none)
{
    fakenet_names(AF_INET6, "", 20 * MS);
    fakenet_names(AF_INET, FOUR, 5 * MS);
    fakenet_host(FOUR, 0, 10 * MS);

    ck_ok(race(5 * TCPX_SEC));

    ck_lines(1);
    ck_line(0, FOUR ":80", 0, 20 * MS, 10 * MS);
}
END_TEST

START_TEST(ipv6_waits_for_no_ipv4_answer)
{
    fakenet_names(AF_INET6, SIX, 5 * MS);
    fakenet_host(SIX, 0, 10 * MS);

    ck_ok(race(5 * TCPX_SEC));

    ck_lines(1);
    ck_line(0, "[" SIX "]:80", 0, 5 * MS, 10 * MS);
}
END_TEST

START_TEST(the_delays_can_be_chosen_and_switched_off)
{
    tcpx_connect_opts opts = tcpx_connect_defaults();

    fakenet_names(AF_INET6, SIX, 80 * MS);
    fakenet_names(AF_INET, "192.0.2.1 192.0.2.2", 0);
    fakenet_host("192.0.2.2", 0, 1 * MS);
    opts.resolution_delay = TCPX_NONE;
    opts.attempt_delay = 60 * MS;

    ck_ok(race_with(&opts, 5 * TCPX_SEC));

    ck_line(0, "192.0.2.1:80", TCPX_ECANCELED, 0, 61 * MS);
    ck_line(1, "192.0.2.2:80", 0, 60 * MS, 1 * MS);
}
END_TEST

START_TEST(no_attempt_starts_within_10_ms_of_another_that_is_under_way)
{
    tcpx_connect_opts opts = tcpx_connect_defaults();

    fakenet_names(AF_INET6, "2001:db8::1 2001:db8::2", 0);
    fakenet_names(AF_INET, "", 0);
    fakenet_host("2001:db8::2", 0, 1 * MS);
    opts.attempt_delay = 1 * MS;

    ck_ok(race_with(&opts, 5 * TCPX_SEC));

    ck_line(1, "[2001:db8::2]:80", 0, 10 * MS, 1 * MS);
}
END_TEST

START_TEST(delays_without_end_are_taken_at_their_word)
{
    tcpx_connect_opts opts = tcpx_connect_defaults();

    fakenet_names(AF_INET6, SIX, 7 * TCPX_SEC);
    fakenet_names(AF_INET, FOUR, 0);
    opts.resolution_delay = INT64_MAX;
    opts.attempt_delay = INT64_MAX;

    ck_fails(race_with(&opts, 9 * TCPX_SEC), TCPX_EDEADLINE);

    ck_lines(1);
    ck_line(0, "[" SIX "]:80", TCPX_EDEADLINE, 7 * TCPX_SEC, 2 * TCPX_SEC);
}
END_TEST

START_TEST(a_lookup_that_is_awaited_keeps_the_race_open)
{
    fakenet_names(AF_INET6, SIX, 700 * MS);
    fakenet_names(AF_INET, FOUR, 0);
    fakenet_host(FOUR, -ECONNREFUSED, 1 * MS);
    fakenet_host(SIX, 0, 1 * MS);

    ck_ok(race(5 * TCPX_SEC));

    ck_line(0, FOUR ":80", -ECONNREFUSED, 50 * MS, 1 * MS);
    ck_line(1, "[" SIX "]:80", 0, 700 * MS, 1 * MS);
}
END_TEST

START_TEST(a_name_that_nobody_answers_for_ends_at_the_deadline)
{
    ck_fails(race(5 * TCPX_SEC), TCPX_EDEADLINE);

    ck_assert_int_eq(fakenet_now() / MS, 5000);
    ck_lines(1);
    ck_line(0, "name:80", TCPX_EDEADLINE, 0, 5 * TCPX_SEC);
    ck_assert_str_eq(tcpx_errmsg(),
                     "connect name:80: name lookup deadline after 5000 ms");
}
END_TEST

START_TEST(a_name_that_does_not_exist_is_told_once)
{
    fakenet_names_fail(AF_INET6, TCPX_ERESOLVE, 3 * MS);
    fakenet_names_fail(AF_INET, TCPX_ERESOLVE, 4 * MS);

    ck_fails(race(5 * TCPX_SEC), TCPX_ERESOLVE);

    ck_lines(1);
    ck_line(0, "name:80", TCPX_ERESOLVE, 0, 3 * MS);
    ck_assert_str_eq(tcpx_errmsg(), "connect name:80: no such name after 3 ms");
}
END_TEST

START_TEST(lookups_that_fail_differently_are_told_both)
{
    fakenet_names_fail(AF_INET6, -EAGAIN, 30 * MS);
    fakenet_names_fail(AF_INET, TCPX_ERESOLVE, 4 * MS);

    ck_fails(race(5 * TCPX_SEC), TCPX_ERESOLVE);

    ck_lines(2);
    ck_assert_str_eq(tcpx_errmsg(),
                     "connect name:80: the name server did not answer after "
                     "30 ms; no such name after 4 ms");
}
END_TEST

START_TEST(a_name_without_an_address_says_so)
{
    tcpx_connect_opts opts = tcpx_connect_defaults();

    fakenet_names(AF_INET6, "", 0);
    fakenet_names(AF_INET, "", 0);

    ck_fails(race(5 * TCPX_SEC), TCPX_ERESOLVE);
    ck_assert_str_eq(tcpx_errmsg(), "connect name:80: no address after 0 ms");

    opts.family = AF_INET6;
    ck_fails(race_with(&opts, 5 * TCPX_SEC), TCPX_ERESOLVE);
    ck_assert_str_eq(tcpx_errmsg(),
                     "connect name:80: no IPv6 address after 0 ms");
}
END_TEST

START_TEST(a_name_that_is_only_in_one_family_does_not_fail_in_the_other)
{
    fakenet_names_fail(AF_INET6, TCPX_ERESOLVE, 0);
    fakenet_names(AF_INET, FOUR, 0);
    race_refuse(AF_INET, 1);

    ck_fails(race(5 * TCPX_SEC), -ECONNREFUSED);

    ck_lines(1);
}
END_TEST

START_TEST(a_name_server_that_failed_is_told_beside_the_attempts)
{
    fakenet_names_fail(AF_INET6, -EAGAIN, 900 * MS);
    fakenet_names(AF_INET, FOUR, 0);
    race_refuse(AF_INET, 1);

    ck_fails(race(5 * TCPX_SEC), -ECONNREFUSED);

    ck_lines(2);
    ck_line(0, "name:80", TCPX_ERESOLVE, 0, 900 * MS);
    ck_assert_str_eq(tcpx_errmsg(),
                     "connect name:80: the name server did not answer after "
                     "900 ms; 192.0.2.1:80 connection refused after 1 ms");
}
END_TEST

static void fill_lookups(TCase *tc)
{
    tcase_add_checked_fixture(tc, race_begin, race_end);
    tcase_add_test(tc,
                   ipv6_comes_first_if_its_answer_is_less_than_50_ms_behind);
    tcase_add_test(tc, ipv4_waits_50_ms_for_ipv6_answers_and_no_longer);
    tcase_add_test(
        tc, ipv4_waits_for_nothing_once_ipv6_answered_that_there_is_none);
    tcase_add_test(tc, ipv6_waits_for_no_ipv4_answer);
    tcase_add_test(tc, the_delays_can_be_chosen_and_switched_off);
    tcase_add_test(tc,
                   no_attempt_starts_within_10_ms_of_another_that_is_under_way);
    tcase_add_test(tc, delays_without_end_are_taken_at_their_word);
    tcase_add_test(tc, a_lookup_that_is_awaited_keeps_the_race_open);
    tcase_add_test(tc, a_name_that_nobody_answers_for_ends_at_the_deadline);
    tcase_add_test(tc, a_name_that_does_not_exist_is_told_once);
    tcase_add_test(tc, lookups_that_fail_differently_are_told_both);
    tcase_add_test(tc, a_name_without_an_address_says_so);
    tcase_add_test(
        tc, a_name_that_is_only_in_one_family_does_not_fail_in_the_other);
    tcase_add_test(tc, a_name_server_that_failed_is_told_beside_the_attempts);
}

const struct test_case test_cases[] = {
    {"race", "winners", fill_winners},
    {"race", "order", fill_order},
    {"race", "lookups", fill_lookups},
    {NULL, NULL, NULL},
};
