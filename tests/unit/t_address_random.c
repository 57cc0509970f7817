/* SPDX-License-Identifier: MIT */
/*
 * t_address_random.c - what holds of every address and of every text.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tcpx.h>
#include "net/address.h"
#include "net/ip.h"
#include "runner.h"
#include "support.h"

/* Numbers that are the same in every run (xorshift64*). */
static uint64_t seed = 0x9e3779b97f4a7c15;

static unsigned any(unsigned below)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (unsigned)((seed * 0x2545f4914f6cdd1d) >> 33) % below;
}

static char *put(char *p, const char *alphabet, unsigned n)
{
    size_t letters = strlen(alphabet);

    while (n-- > 0)
        *p++ = alphabet[any((unsigned)letters)];
    *p = 0;
    return p;
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static void make_name(tcpx_address *a)
{
    char *p = a->host;
    unsigned labels = 1 + any(4);

    a->kind = TCPX_ADDRESS_NAME;
    for (unsigned i = 0; i < labels; i++) {
        p = put(p, LETTERS DIGITS "_", 1);
        p = put(p, LETTERS DIGITS "-_", any(20));
        p = put(p, LETTERS, 1); /* no label is a number */
        if (i + 1 < labels || any(8) == 0)
            p = put(p, ".", 1);
    }
}

static void make_ipv6(tcpx_address *a)
{
    uint8_t bytes[16] = {0};

    a->kind = TCPX_ADDRESS_IPV6;
    for (unsigned i = 0; i < 8; i++) {
        if (any(2))
            bytes[2 * i] = (uint8_t)any(256);
        if (any(3))
            bytes[2 * i + 1] = (uint8_t)any(256);
        if (any(3) == 0)
            bytes[2 * i] = bytes[2 * i + 1] = 0;
    }
    if (any(10) == 0)
        memcpy(bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    (void)tcpx__ip6_format(a->host, bytes);
    if (any(4) == 0)
        put(a->zone, LETTERS DIGITS "-_.~", 1 + any(47));
}

static void make_port(tcpx_address *a)
{
    if (any(4)) {
        a->port = (int32_t)any(65536);
        return;
    }
    a->port = -1;
    put(put(a->service, LETTERS, 1), LETTERS DIGITS "-_.+", any(31));
}

static void make_address(tcpx_address *a)
{
    memset(a, 0, sizeof(*a));
    switch (any(8)) {
    case 0:
        make_name(a);
        make_port(a);
        break;
    case 1:
        a->kind = TCPX_ADDRESS_IPV4;
        (void)snprintf(a->host, sizeof(a->host), "%u.%u.%u.%u", any(256),
                       any(256), any(256), any(256));
        make_port(a);
        break;
    case 2:
    case 3:
        make_ipv6(a);
        make_port(a);
        break;
    case 4:
        a->kind = TCPX_ADDRESS_WILDCARD;
        make_port(a);
        break;
    case 5:
        a->kind = TCPX_ADDRESS_UNIX;
        put(put(a->host, "/.x", 1), LETTERS "/:@%[]* \xff\x80", any(107));
        break;
    case 6:
        a->kind = TCPX_ADDRESS_ABSTRACT;
        put(a->host, LETTERS "/:@%[]* \xff\x80", 1 + any(107));
        break;
    default:
        a->kind = any(2) ? TCPX_ADDRESS_FD : TCPX_ADDRESS_SYSTEMD;
        if (a->kind == TCPX_ADDRESS_FD)
            a->port = (int32_t)any(2147483647);
        else
            put(a->host, LETTERS DIGITS "@.-", any(256));
    }
}

START_TEST(parsing_what_was_formatted_gives_the_same_parts)
{
    tcpx_address a, b;
    char text[TCPX__ADDRESS_TEXT];

    for (int i = 0; i < 20000; i++) {
        ssize_t n;

        make_address(&a);
        n = ck_ok(tcpx_address_format(&a, text, sizeof(text)));
        ck_assert_int_eq(n, (ssize_t)strlen(text));
        memset(&b, 0xa5, sizeof(b));
        ck_ok(tcpx_address_parse(&b, text));
        ck_assert_msg(memcmp(&a, &b, sizeof(a)) == 0, "%s", text);
    }
}
END_TEST

/* Texts near valid ones: a byte lost, doubled, changed or put in, or a cut. */
static size_t make_text(char *text)
{
    tcpx_address a;
    static const char spice[] = ":.[]%@*/-+ 0019afx\r\n\x01\x7f\x80\xff";
    size_t len;

    make_address(&a);
    len = (size_t)ck_ok(tcpx_address_format(&a, text, TCPX__ADDRESS_TEXT));
    for (unsigned i = any(4); i > 0 && len > 0; i--) {
        size_t at = any((unsigned)len);

        switch (any(4)) {
        case 0:
            memmove(text + at, text + at + 1, len - at);
            len--;
            break;
        case 1:
            memmove(text + at + 1, text + at, len - at + 1);
            len++;
            break;
        case 2:
            text[at] = spice[any(sizeof(spice) - 1)];
            break;
        default:
            text[at] = 0;
            len = at;
        }
    }
    return len;
}

/* What must hold of any text at all, in memory that ends with its NUL. */
static void try_text(const char *text, size_t len)
{
    tcpx_address a, b;
    struct tcpx__address_fault why = {0};
    char again[TCPX__ADDRESS_TEXT], more[TCPX__ADDRESS_TEXT];
    int err = tcpx__address_scan(&a, text, &why);

    if (err < 0) {
        ck_assert_int_eq(err, TCPX_EADDRESS);
        ck_assert_uint_ge(why.column, 1);
        ck_assert_uint_le(why.column, len + 1);
        ck_assert_uint_gt(strlen(why.what), 0);
        for (const char *p = why.what; *p; p++)
            ck_assert(*p >= ' ' && *p < 0x7f);
        return;
    }

    ck_ok(tcpx_address_format(&a, again, sizeof(again)));
    ck_ok(tcpx_address_parse(&b, again));
    ck_assert_mem_eq(&a, &b, sizeof(a));
    ck_ok(tcpx_address_format(&b, more, sizeof(more)));
    ck_assert_str_eq(again, more);
}

START_TEST(any_text_is_parsed_or_refused_within_its_bytes)
{
    char text[TCPX__ADDRESS_TEXT + 8];

    for (int i = 0; i < 30000; i++) {
        size_t len = make_text(text);
        char *copy;

        if (i % 4 == 0) { /* no address at all */
            len = any(24);
            for (size_t j = 0; j < len; j++)
                text[j] = (char)(1 + any(255));
            text[len] = 0;
        }
        copy = malloc(len + 1);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, text, len + 1);
        try_text(copy, len);
        free(copy);
    }
}
END_TEST

/* ---- The same as the C library, where it is strict --------------------- */

START_TEST(numeric_ipv6_is_accepted_exactly_where_inet_pton_accepts_it)
{
    int good = 0;

    for (int i = 0; i < 60000; i++) {
        char text[64], *p = text;
        uint8_t ours[16], theirs[16];
        const char *why = NULL;
        int rc;

        for (unsigned n = any(9); n > 0; n--) {
            p = put(p, "0123456789abcdefABCDEF", any(16) ? any(5) : 5);
            p = put(p, ":", any(8) ? 1 : 2);
        }
        if (any(2))
            p = put(p, "0123456789abcdef", 1);
        if (any(4) == 0)
            (void)sprintf(p, "%u.%u.%u.%u", any(300), any(256), any(256),
                          any(256));
        rc = inet_pton(AF_INET6, text, theirs);
        ck_assert_msg(!tcpx__ip6_parse(ours, text, text + strlen(text), &why) ==
                          (rc == 1),
                      "%s", text);
        if (rc == 1)
            ck_assert_mem_eq(ours, theirs, 16);
        good += rc;
    }
    ck_assert_int_gt(good, 1000);
}
END_TEST

START_TEST(numeric_ipv6_is_written_as_inet_ntop_writes_it)
{
    for (int i = 0; i < 20000; i++) {
        tcpx_address a = {0};
        uint8_t bytes[16];
        char theirs[INET6_ADDRSTRLEN];

        make_ipv6(&a);
        ck_assert_int_eq(inet_pton(AF_INET6, a.host, bytes), 1);
        inet_ntop(AF_INET6, bytes, theirs, sizeof(theirs));
        /* glibc writes ::/96 with a dotted tail, which RFC 5952 5 wants only
           for prefixes that are known to hold an IPv4 address. */
        if (strncmp(theirs, "::", 2) == 0 && strchr(theirs, '.') &&
            strncmp(theirs, "::ffff:", 7) != 0)
            continue;
        ck_assert_str_eq(a.host, theirs);
    }
}
END_TEST

static void fill_random(TCase *tc)
{
    tcase_add_test(tc, parsing_what_was_formatted_gives_the_same_parts);
    tcase_add_test(tc, any_text_is_parsed_or_refused_within_its_bytes);
    tcase_add_test(tc,
                   numeric_ipv6_is_accepted_exactly_where_inet_pton_accepts_it);
    tcase_add_test(tc, numeric_ipv6_is_written_as_inet_ntop_writes_it);
}

const struct test_case test_cases[] = {
    {"address", "random", fill_random},
    {NULL, NULL, NULL},
};
