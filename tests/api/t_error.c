/* SPDX-License-Identifier: MIT */
/*
 * t_error.c - names and words for results.
 */
#include <errno.h>
#include <string.h>
#include <tcpx/base.h>
#include <tcpx/error.h>
#include "runner.h"
#include "support.h"

static const struct {
    int err;
    int value;
    const char *name;
    const char *sentence;
} own[] = {
#define ROW(name, value, sentence) {name, value, #name, sentence},
    TCPX_ERRORS(ROW)
#undef ROW
};

#define OWN (int)(sizeof(own) / sizeof(own[0]))

START_TEST(every_own_code_has_its_value_name_and_sentence)
{
    ck_assert_int_eq(own[_i].err, own[_i].value);
    ck_assert_int_lt(own[_i].err, -4096);
    ck_assert_int_ge(own[_i].err, TCPX_ERROR_LAST);
    ck_assert_str_eq(tcpx_errname(own[_i].err), own[_i].name);
    ck_assert_str_eq(tcpx_strerror(own[_i].err), own[_i].sentence);
}
END_TEST

START_TEST(no_two_own_codes_are_alike)
{
    for (int a = 0; a < OWN; a++) {
        for (int b = 0; b < a; b++) {
            ck_assert_int_ne(own[a].err, own[b].err);
            ck_assert_str_ne(own[a].sentence, own[b].sentence);
        }
    }
}
END_TEST

START_TEST(system_codes_have_names_and_sentences)
{
    ck_assert_str_eq(tcpx_errname(-ECONNREFUSED), "ECONNREFUSED");
    ck_assert_str_eq(tcpx_strerror(-ECONNREFUSED), "connection refused");
    ck_assert_str_eq(tcpx_errname(-EAGAIN), "EAGAIN");
    ck_assert_str_eq(tcpx_errname(-ENOTSUP), "ENOTSUP");
    for (int e = 1; e <= EHWPOISON; e++)
        ck_assert_int_gt((int)strlen(tcpx_strerror(-e)), 3);
    /* One that is in no table of the library's own. */
    ck_assert_str_eq(tcpx_errname(-EHWPOISON), "EHWPOISON");
}
END_TEST

START_TEST(success_and_nonsense_have_words_too)
{
    ck_assert_str_eq(tcpx_errname(0), "0");
    ck_assert_str_eq(tcpx_errname(17), "0");
    ck_assert_str_eq(tcpx_strerror(0), "success");
    ck_assert_str_eq(tcpx_strerror(4096), "success");
    ck_assert_str_eq(tcpx_errname(-4096), "unknown");
    ck_assert_str_eq(tcpx_strerror(-4096), "unknown error");
    ck_assert_str_eq(tcpx_errname(TCPX_ERROR_LAST - 1), "unknown");
    ck_assert_str_eq(tcpx_strerror(INT32_MIN), "unknown error");
    ck_assert_str_eq(tcpx_errname(INT32_MIN), "unknown");
}
END_TEST

START_TEST(a_gone_peer_has_two_codes)
{
    ck_assert_int_eq(tcpx_is_peer_gone(-EPIPE), 1);
    ck_assert_int_eq(tcpx_is_peer_gone(-ECONNRESET), 1);
    ck_assert_int_eq(tcpx_is_peer_gone(-ETIMEDOUT), 0);
    ck_assert_int_eq(tcpx_is_peer_gone(TCPX_EOF), 0);
    ck_assert_int_eq(tcpx_is_peer_gone(0), 0);
    ck_assert_int_eq(tcpx_is_peer_gone(EPIPE), 0);
}
END_TEST

START_TEST(the_library_is_the_headers_version)
{
    ck_assert_str_eq(tcpx_version(), TCPX_VERSION);
}
END_TEST

static void fill_words(TCase *tc)
{
    tcase_add_loop_test(tc, every_own_code_has_its_value_name_and_sentence, 0,
                        OWN);
    tcase_add_test(tc, no_two_own_codes_are_alike);
    tcase_add_test(tc, system_codes_have_names_and_sentences);
    tcase_add_test(tc, success_and_nonsense_have_words_too);
    tcase_add_test(tc, a_gone_peer_has_two_codes);
    tcase_add_test(tc, the_library_is_the_headers_version);
}

const struct test_case test_cases[] = {
    {"error", "words", fill_words},
    {NULL, NULL, NULL},
};
