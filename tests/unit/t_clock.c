/* SPDX-License-Identifier: MIT */
/*
 * t_clock.c - instants and durations.
 */
#include <tcpx/base.h>
#include "runner.h"
#include "support.h"

START_TEST(an_instant_is_never_before_the_last)
{
    tcpx_time a = tcpx_now();

    for (int i = 0; i < 1000; i++) {
        tcpx_time b = tcpx_now();

        ck_assert(b >= a);
        a = b;
    }
    ck_assert(a > 0);
}
END_TEST

START_TEST(after_adds_to_now)
{
    tcpx_time low = tcpx_now() + 5 * TCPX_SEC;
    tcpx_time t = tcpx_after(5 * TCPX_SEC);

    ck_assert(t >= low);
    ck_assert(t <= tcpx_now() + 5 * TCPX_SEC);
}
END_TEST

START_TEST(after_stops_at_forever)
{
    ck_assert(tcpx_after(TCPX_FOREVER) == TCPX_FOREVER);
    ck_assert(tcpx_after(TCPX_FOREVER - 1) == TCPX_FOREVER);
    ck_assert(tcpx_after(TCPX_FOREVER - tcpx_now()) == TCPX_FOREVER);
}
END_TEST

START_TEST(after_a_negative_duration_has_passed)
{
    tcpx_time t = tcpx_after(-TCPX_SEC);

    ck_assert(t < tcpx_now());
    ck_assert(tcpx_after(INT64_MIN) == TCPX_NOW);
    ck_assert(tcpx_after(-tcpx_now() - TCPX_SEC * 3600) == TCPX_NOW);
}
END_TEST

static void fill_instants(TCase *tc)
{
    tcase_add_test(tc, an_instant_is_never_before_the_last);
    tcase_add_test(tc, after_adds_to_now);
    tcase_add_test(tc, after_stops_at_forever);
    tcase_add_test(tc, after_a_negative_duration_has_passed);
}

const struct test_case test_cases[] = {
    {"clock", "instants", fill_instants},
    {NULL, NULL, NULL},
};
