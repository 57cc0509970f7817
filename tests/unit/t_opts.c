/* SPDX-License-Identifier: MIT */
/*
 * t_opts.c - option structs of older and newer programs.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include "net/opts.h"
#include "runner.h"
#include "support.h"

/* The same struct in three releases. */
struct first {
    uint32_t size;
    int32_t a;
};

struct second {
    uint32_t size;
    int32_t a;
    int64_t b;
};

struct third {
    uint32_t size;
    int32_t a;
    int64_t b;
    int64_t c;
};

static int take(struct second *out, const void *given)
{
    return tcpx__opts_copy(out, sizeof(*out), sizeof(struct first), given);
}

START_TEST(no_options_are_the_defaults)
{
    struct second out = {1, 2, 3};

    ck_ok(take(&out, NULL));
    ck_assert_uint_eq(out.size, sizeof(out));
    ck_assert_int_eq(out.a, 0);
    ck_assert_int_eq(out.b, 0);
}
END_TEST

START_TEST(every_member_is_copied)
{
    struct second given = {sizeof(given), -1, INT64_MIN};
    struct second out;

    ck_ok(take(&out, &given));
    ck_assert_mem_eq(&out, &given, sizeof(out));
}
END_TEST

START_TEST(members_that_an_older_program_lacks_are_zero)
{
    struct {
        struct first given;
        int64_t not_given;
    } older = {{sizeof(struct first), 7}, -1};
    struct second out = {1, 2, 3};

    ck_ok(take(&out, &older.given));
    ck_assert_uint_eq(out.size, sizeof(out));
    ck_assert_int_eq(out.a, 7);
    ck_assert_int_eq(out.b, 0);
}
END_TEST

START_TEST(a_newer_program_is_served_if_it_asks_for_nothing_new)
{
    struct third given = {sizeof(given), 7, 8, 0};
    struct second out;

    ck_ok(take(&out, &given));
    ck_assert_uint_eq(out.size, sizeof(out));
    ck_assert_int_eq(out.a, 7);
    ck_assert_int_eq(out.b, 8);
}
END_TEST

START_TEST(a_newer_program_that_asks_for_more_is_refused)
{
    struct third given = {sizeof(given), 7, 8, 0};
    struct second out = {1, 2, 3};
    struct second untouched = out;

    /* Every byte beyond what is known counts, the last as well. */
    for (size_t i = sizeof(struct second); i < sizeof(given); i++) {
        memset((char *)&given + i, 1, 1);
        ck_fails(take(&out, &given), -E2BIG);
        memset((char *)&given + i, 0, 1);
    }
    ck_assert_mem_eq(&out, &untouched, sizeof(out));
}
END_TEST

START_TEST(a_size_that_was_not_set_is_refused)
{
    struct second given = {0, 7, 8};
    struct second out = {1, 2, 3};
    struct second untouched = out;

    for (uint32_t size = 0; size < sizeof(struct first); size++) {
        given.size = size;
        ck_fails(take(&out, &given), -EINVAL);
    }
    given.size = UINT32_MAX;
    ck_fails(take(&out, &given), -E2BIG);
    ck_assert_mem_eq(&out, &untouched, sizeof(out));
}
END_TEST

static void fill_versions(TCase *tc)
{
    tcase_add_test(tc, no_options_are_the_defaults);
    tcase_add_test(tc, every_member_is_copied);
    tcase_add_test(tc, members_that_an_older_program_lacks_are_zero);
    tcase_add_test(tc, a_newer_program_is_served_if_it_asks_for_nothing_new);
    tcase_add_test(tc, a_newer_program_that_asks_for_more_is_refused);
    tcase_add_test(tc, a_size_that_was_not_set_is_refused);
}

const struct test_case test_cases[] = {
    {"opts", "versions", fill_versions},
    {NULL, NULL, NULL},
};
