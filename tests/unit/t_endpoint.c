/* SPDX-License-Identifier: MIT */
/*
 * t_endpoint.c - socket addresses as text, and text that is safe to show.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <tcpx.h>
#include <unistd.h>
#include "base/sys.h"
#include "net/address.h"
#include "net/endpoint.h"
#include "net/text.h"
#include "runner.h"
#include "support.h"

#define PATH_OFFSET ((socklen_t)offsetof(struct sockaddr_un, sun_path))

static struct tcpx__endpoint ip4(const char *ip, uint16_t port)
{
    struct tcpx__endpoint e = {.len = sizeof(e.in)};

    e.in.sin_family = AF_INET;
    e.in.sin_port = htons(port);
    ck_assert_int_eq(inet_pton(AF_INET, ip, &e.in.sin_addr), 1);
    return e;
}

static struct tcpx__endpoint ip6(const char *ip, uint32_t zone, uint16_t port)
{
    struct tcpx__endpoint e = {.len = sizeof(e.in6)};

    e.in6.sin6_family = AF_INET6;
    e.in6.sin6_port = htons(port);
    e.in6.sin6_scope_id = zone;
    ck_assert_int_eq(inet_pton(AF_INET6, ip, &e.in6.sin6_addr), 1);
    return e;
}

static struct tcpx__endpoint un(const char *path, size_t len)
{
    struct tcpx__endpoint e = {.len = PATH_OFFSET + (socklen_t)len};

    e.un.sun_family = AF_UNIX;
    memcpy(e.un.sun_path, path, len);
    return e;
}

static void reads(struct tcpx__endpoint e, const char *expected)
{
    char text[TCPX__ENDPOINT_TEXT];
    size_t len = strlen(expected);

    ck_assert_int_eq(tcpx__endpoint_format(&e.sa, e.len, text, sizeof(text)),
                     (ssize_t)len);
    ck_assert_str_eq(text, expected);

    ck_fails(tcpx__endpoint_format(&e.sa, e.len, text, len), TCPX_ETOOLONG);
    ck_fails(tcpx__endpoint_format(&e.sa, e.len, text, 0), TCPX_ETOOLONG);
    ck_ok(tcpx__endpoint_format(&e.sa, e.len, text, len + 1));
}

START_TEST(an_ip_endpoint_reads_as_its_address_does)
{
    reads(ip4("192.0.2.1", 80), "192.0.2.1:80");
    reads(ip4("0.0.0.0", 0), "0.0.0.0:0");
    reads(ip6("::1", 0, 65535), "[::1]:65535");
    reads(ip6("2001:db8:0:1::", 0, 1), "[2001:db8:0:1::]:1");
    reads(ip6("::", 0, 0), "[::]:0");
}
END_TEST

START_TEST(an_ipv4_peer_of_an_ipv6_socket_reads_as_plain_ipv4)
{
    reads(ip6("::ffff:192.0.2.1", 0, 80), "192.0.2.1:80");
}
END_TEST

START_TEST(a_zone_reads_by_its_name_or_else_its_number)
{
    char expected[64];
    char lo[IF_NAMESIZE] = "";

    ck_assert_ptr_nonnull(if_indextoname(1, lo));
    (void)snprintf(expected, sizeof(expected), "[fe80::1%%%s]:80", lo);
    reads(ip6("fe80::1", 1, 80), expected);
    reads(ip6("fe80::1", 4000000000, 80), "[fe80::1%4000000000]:80");
}
END_TEST

START_TEST(a_unix_endpoint_reads_by_its_path_or_name)
{
    char longest[109];

    reads(un("/run/x.sock", sizeof("/run/x.sock")), "unix:/run/x.sock");
    reads(un("/run/x.sock", strlen("/run/x.sock")), "unix:/run/x.sock");
    reads(un("", 0), "unix:");
    reads(un("\0name", 5), "unix:@name");
    reads(un("\0a\0b\n", 5), "unix:@a\\x00b\\x0a");

    memset(longest, 'p', sizeof(longest));
    longest[108] = 0;
    struct tcpx__endpoint e = un(longest, 108);
    char text[TCPX__ENDPOINT_TEXT];
    ck_assert_int_eq(tcpx__endpoint_format(&e.sa, e.len, text, sizeof(text)),
                     5 + 108);

    /* A length past the end of the structure reads no further. */
    e.len = sizeof(e.ss);
    ck_assert_int_eq(tcpx__endpoint_format(&e.sa, e.len, text, sizeof(text)),
                     5 + 108);

    memset(longest, 1, sizeof(longest));
    longest[0] = 0;
    e = un(longest, 108);
    ck_assert_int_eq(tcpx__endpoint_format(&e.sa, e.len, text, sizeof(text)),
                     6 + 4 * 107);
}
END_TEST

START_TEST(an_unknown_family_and_an_empty_address_read_as_what_they_are)
{
    struct tcpx__endpoint e = {.len = sizeof(e.sa)};

    e.sa.sa_family = AF_PACKET;
    reads(e, "family:17");
    e.sa.sa_family = AF_UNSPEC;
    e.len = 0;
    reads(e, "unix:");
}
END_TEST

START_TEST(the_kernel_agrees_on_a_unix_name)
{
    tcpx_address a;
    struct tcpx__endpoint e, got = {.len = sizeof(got.ss)};
    char text[TCPX__ENDPOINT_TEXT], name[64];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)snprintf(name, sizeof(name), "unix:@tcpx-test-%d", (int)getpid());
    ck_ok(tcpx_address_parse(&a, name));
    ck_ok(tcpx__endpoint_of(&e, &a, 0));
    ck_assert_int_eq(bind(fd, &e.sa, e.len), 0);
    ck_assert_int_eq(getsockname(fd, &got.sa, &got.len), 0);
    ck_assert(tcpx__endpoint_equal(&e, &got));
    ck_ok(tcpx__endpoint_format(&got.sa, got.len, text, sizeof(text)));
    ck_assert_str_eq(text, name);
    close(fd);
}
END_TEST

static int endpoint_of(struct tcpx__endpoint *e, const char *text)
{
    tcpx_address a;

    ck_ok(tcpx_address_parse(&a, text));
    return tcpx__endpoint_of(e, &a, (uint16_t)a.port);
}

START_TEST(an_address_becomes_the_endpoint_that_reads_like_it)
{
    static const char *const texts[] = {"192.0.2.1:80", "[2001:db8::1]:443",
                                        "[fe80::1%lo]:1", "unix:/run/x",
                                        "unix:@x"};
    struct tcpx__endpoint e;
    char text[TCPX__ENDPOINT_TEXT];

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ck_ok(endpoint_of(&e, texts[i]));
        ck_ok(tcpx__endpoint_format(&e.sa, e.len, text, sizeof(text)));
        ck_assert_str_eq(text, texts[i]);
    }
    ck_fails(endpoint_of(&e, "h:80"), -EINVAL);
    ck_fails(endpoint_of(&e, ":80"), -EINVAL);
    ck_fails(endpoint_of(&e, "fd:3"), -EINVAL);
}
END_TEST

START_TEST(parts_of_the_wrong_kind_become_no_endpoint)
{
    static const tcpx_address odd[] = {
        {.kind = TCPX_ADDRESS_IPV4, .host = "127.1"},
        {.kind = TCPX_ADDRESS_IPV6, .host = "192.0.2.1"},
        {.kind = TCPX_ADDRESS_UNIX, .host = ""},
        {.kind = TCPX_ADDRESS_ABSTRACT, .host = ""},
    };
    tcpx_address long_path = {.kind = TCPX_ADDRESS_UNIX};
    struct tcpx__endpoint e;

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        ck_fails(tcpx__endpoint_of(&e, &odd[i], 80), -EINVAL);
    memset(long_path.host, 'p', 108);
    ck_fails(tcpx__endpoint_of(&e, &long_path, 0), -EINVAL);
}
END_TEST

START_TEST(a_zone_is_an_interface_by_name_or_number)
{
    struct tcpx__endpoint e = {0};

    ck_ok(endpoint_of(&e, "[fe80::1%lo]:80"));
    ck_assert_uint_eq(e.in6.sin6_scope_id, if_nametoindex("lo"));
    ck_ok(endpoint_of(&e, "[fe80::1%1]:80"));
    ck_assert_uint_eq(e.in6.sin6_scope_id, 1);

    memset(&e, 0, sizeof(e));
    ck_fails(endpoint_of(&e, "[fe80::1%nope]:80"), -ENODEV);
    ck_fails(endpoint_of(&e, "[fe80::1%0]:80"), -ENODEV);
    ck_fails(endpoint_of(&e, "[fe80::1%2000000000]:80"), -ENODEV);
    ck_fails(endpoint_of(&e, "[fe80::1%99999999999]:80"), -ENODEV);
    ck_fails(endpoint_of(&e, "[fe80::1%01]:80"), -ENODEV);
    ck_fails(endpoint_of(&e, "[fe80::1%25lo]:80"), -ENODEV);
    ck_assert_uint_eq(e.len, 0);
}
END_TEST

START_TEST(unmapping_makes_plain_ipv4_and_leaves_others_alone)
{
    struct tcpx__endpoint mapped = ip6("::ffff:192.0.2.1", 0, 80);
    struct tcpx__endpoint plain = ip4("192.0.2.1", 80);
    struct tcpx__endpoint six = ip6("::1", 0, 80), same = six;
    struct tcpx__endpoint path = un("/x", 3), same_path = path;

    tcpx__endpoint_unmap(&mapped);
    ck_assert_uint_eq(mapped.len, plain.len);
    ck_assert_mem_eq(&mapped.in, &plain.in, sizeof(plain.in));
    tcpx__endpoint_unmap(&six);
    ck_assert(tcpx__endpoint_equal(&six, &same));
    tcpx__endpoint_unmap(&path);
    ck_assert(tcpx__endpoint_equal(&path, &same_path));
}
END_TEST

START_TEST(endpoints_are_equal_if_they_are_the_same_place)
{
    struct tcpx__endpoint a = ip4("192.0.2.1", 80), b = a;

    b.in.sin_zero[0] = 1; /* padding is no part of a place */
    ck_assert(tcpx__endpoint_equal(&a, &b));
    tcpx__endpoint_set_port(&b, 81);
    ck_assert_uint_eq(tcpx__endpoint_port(&b), 81);
    ck_assert(!tcpx__endpoint_equal(&a, &b));
    b = ip4("192.0.2.2", 80);
    ck_assert(!tcpx__endpoint_equal(&a, &b));

    a = b = ip6("fe80::1", 1, 80);
    b.in6.sin6_flowinfo = 7;
    ck_assert(tcpx__endpoint_equal(&a, &b));
    b.in6.sin6_scope_id = 2;
    ck_assert(!tcpx__endpoint_equal(&a, &b));
    b = a;
    tcpx__endpoint_set_port(&b, 81);
    ck_assert_uint_eq(tcpx__endpoint_port(&b), 81);
    ck_assert(!tcpx__endpoint_equal(&a, &b));
    b = ip4("192.0.2.1", 80);
    ck_assert(!tcpx__endpoint_equal(&a, &b));

    a = un("/x", 3);
    b = un("/y", 3);
    ck_assert(!tcpx__endpoint_equal(&a, &b));
    tcpx__endpoint_set_port(&a, 7);
    ck_assert_uint_eq(tcpx__endpoint_port(&a), 0);
    b = un("/x", 3);
    ck_assert(tcpx__endpoint_equal(&a, &b));
}
END_TEST

/* ---- Text that is safe to show ----------------------------------------- */

static void shows(const char *text, size_t cap, const char *expected)
{
    char out[64];

    memset(out, 'x', sizeof(out));
    ck_assert_uint_eq(tcpx__text_show(out, cap, text, strlen(text)),
                      strlen(expected));
    ck_assert_str_eq(out, expected);
}

START_TEST(what_can_command_a_terminal_is_shown_as_its_bytes)
{
    shows("plain ~text", 64, "plain ~text");
    shows("\x1b[2J\r\n\t\x7f", 64, "\\x1b[2J\\x0d\\x0a\\x09\\x7f");
    shows("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", 64,
          "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    shows("\x9b\xc2\x9b", 64, "\\x9b\\xc2\\x9b");          /* CSI in one byte */
    shows("\xe2\x80\xae", 64, "\\xe2\\x80\\xae");          /* right to left */
    shows("\xe2\x81\xa7", 64, "\\xe2\\x81\\xa7");          /* an isolate */
    shows("\xc0\xaf", 64, "\\xc0\\xaf");                   /* too long a form */
    shows("\xe0\x80\xaf", 64, "\\xe0\\x80\\xaf");          /* too long a form */
    shows("\xed\xa0\x80", 64, "\\xed\\xa0\\x80");          /* a surrogate */
    shows("\xf4\x90\x80\x80", 64, "\\xf4\\x90\\x80\\x80"); /* past the end */
    shows("\xe2\x82", 64, "\\xe2\\x82");                   /* cut off */
    shows("\xe2\x82z", 64, "\\xe2\\x82z");
}
END_TEST

START_TEST(text_that_does_not_fit_is_cut_between_characters)
{
    shows("1234567", 8, "1234567");
    shows("12345678", 8, "1234...");
    shows("123\xe2\x82\xac"
          "78",
          8, "123...");
    shows("123456\n", 8, "1234...");
    shows("1\n3\n", 8, "1...");
    shows("\n\n", 8, "\\x0a...");
}
END_TEST

START_TEST(a_decimal_number_has_no_sign_blank_zero_or_excess)
{
    ck_assert_int_eq(tcpx__decimal("0", 1, 0), 0);
    ck_assert_int_eq(tcpx__decimal("5", 1, 4), -1);
    ck_assert_int_eq(tcpx__decimal("65535", 5, 65535), 65535);
    ck_assert_int_eq(tcpx__decimal("65536", 5, 65535), -1);
    ck_assert_int_eq(tcpx__decimal("2147483647", 10, 2147483647), 2147483647);
    ck_assert_int_eq(tcpx__decimal("99999999999999999999", 20, 2147483647), -1);
    ck_assert_int_eq(tcpx__decimal("", 0, 9), -1);
    ck_assert_int_eq(tcpx__decimal("01", 2, 9), -1);
    ck_assert_int_eq(tcpx__decimal("-1", 2, 9), -1);
    ck_assert_int_eq(tcpx__decimal("+1", 2, 9), -1);
    ck_assert_int_eq(tcpx__decimal("1 ", 2, 99), -1);
}
END_TEST

static void fill_text(TCase *tc)
{
    tcase_add_test(tc, an_ip_endpoint_reads_as_its_address_does);
    tcase_add_test(tc, an_ipv4_peer_of_an_ipv6_socket_reads_as_plain_ipv4);
    tcase_add_test(tc, a_zone_reads_by_its_name_or_else_its_number);
    tcase_add_test(tc, a_unix_endpoint_reads_by_its_path_or_name);
    tcase_add_test(
        tc, an_unknown_family_and_an_empty_address_read_as_what_they_are);
    tcase_add_test(tc, the_kernel_agrees_on_a_unix_name);
}

static void fill_binary(TCase *tc)
{
    tcase_add_test(tc, an_address_becomes_the_endpoint_that_reads_like_it);
    tcase_add_test(tc, parts_of_the_wrong_kind_become_no_endpoint);
    tcase_add_test(tc, a_zone_is_an_interface_by_name_or_number);
    tcase_add_test(tc, unmapping_makes_plain_ipv4_and_leaves_others_alone);
    tcase_add_test(tc, endpoints_are_equal_if_they_are_the_same_place);
}

static void fill_show(TCase *tc)
{
    tcase_add_test(tc, what_can_command_a_terminal_is_shown_as_its_bytes);
    tcase_add_test(tc, text_that_does_not_fit_is_cut_between_characters);
    tcase_add_test(tc, a_decimal_number_has_no_sign_blank_zero_or_excess);
}

const struct test_case test_cases[] = {
    {"endpoint", "endpoint-text", fill_text},
    {"endpoint", "endpoint-binary", fill_binary},
    {"endpoint", "safe-text", fill_show},
    {NULL, NULL, NULL},
};
