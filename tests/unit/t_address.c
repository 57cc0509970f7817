/* SPDX-License-Identifier: MIT */
/*
 * t_address.c - address text: every form and every fault.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tcpx.h>
#include "base/task.h"
#include "net/address.h"
#include "runner.h"
#include "support.h"

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A61 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NAME_253 A63 "." A63 "." A63 "." A61
#define P10 "0123456789"
#define PATH_107 "/" P10 P10 P10 P10 P10 P10 P10 P10 P10 P10 "012345"

/* ---- What is accepted -------------------------------------------------- */

struct good {
    const char *text;
    int kind;
    int port;
    const char *host;
    const char *zone;
    const char *service;
    const char *canonical; /* NULL: text itself */
};

static const struct good goods[] = {
    {"example.org:80", TCPX_ADDRESS_NAME, 80, "example.org", "", "", NULL},
    {"Example.ORG.:80", TCPX_ADDRESS_NAME, 80, "Example.ORG.", "", "", NULL},
    {"localhost:0", TCPX_ADDRESS_NAME, 0, "localhost", "", "", NULL},
    {"h:65535", TCPX_ADDRESS_NAME, 65535, "h", "", "", NULL},
    {"_sip._tcp.a-b.c9:1", TCPX_ADDRESS_NAME, 1, "_sip._tcp.a-b.c9", "", "",
     NULL},
    {"1and1.com:80", TCPX_ADDRESS_NAME, 80, "1and1.com", "", "", NULL},
    {"1.2.3.4a:80", TCPX_ADDRESS_NAME, 80, "1.2.3.4a", "", "", NULL},
    {"0xfg:80", TCPX_ADDRESS_NAME, 80, "0xfg", "", "", NULL},
    {"h:http", TCPX_ADDRESS_NAME, -1, "h", "", "http", NULL},
    {"h:x11-1_a.b+c", TCPX_ADDRESS_NAME, -1, "h", "", "x11-1_a.b+c", NULL},
    {NAME_253 ":80", TCPX_ADDRESS_NAME, 80, NAME_253, "", "", NULL},
    {NAME_253 ".:80", TCPX_ADDRESS_NAME, 80, NAME_253 ".", "", "", NULL},
    {"UNIX:80", TCPX_ADDRESS_NAME, 80, "UNIX", "", "", NULL},
    {"192.0.2.1:80", TCPX_ADDRESS_IPV4, 80, "192.0.2.1", "", "", NULL},
    {"0.0.0.0:0", TCPX_ADDRESS_IPV4, 0, "0.0.0.0", "", "", NULL},
    {"255.255.255.255:1", TCPX_ADDRESS_IPV4, 1, "255.255.255.255", "", "",
     NULL},
    {"[::1]:80", TCPX_ADDRESS_IPV6, 80, "::1", "", "", NULL},
    {"[::]:http", TCPX_ADDRESS_IPV6, -1, "::", "", "http", NULL},
    {"[1:2:3:4:5:6:7::]:1", TCPX_ADDRESS_IPV6, 1, "1:2:3:4:5:6:7:0", "", "",
     "[1:2:3:4:5:6:7:0]:1"},
    {"[2001:0DB8:0:0:0:0:0:1]:80", TCPX_ADDRESS_IPV6, 80, "2001:db8::1", "", "",
     "[2001:db8::1]:80"},
    {"[::ffff:192.0.2.1]:80", TCPX_ADDRESS_IPV6, 80, "::ffff:192.0.2.1", "", "",
     NULL},
    {"[::192.0.2.1]:80", TCPX_ADDRESS_IPV6, 80, "::c000:201", "", "",
     "[::c000:201]:80"},
    {"[1:2:3:4:5:6:192.0.2.1]:80", TCPX_ADDRESS_IPV6, 80,
     "1:2:3:4:5:6:c000:201", "", "", "[1:2:3:4:5:6:c000:201]:80"},
    {"[fe80::1%eth0]:80", TCPX_ADDRESS_IPV6, 80, "fe80::1", "eth0", "", NULL},
    {"[fe80::1%25eth0]:80", TCPX_ADDRESS_IPV6, 80, "fe80::1", "25eth0", "",
     NULL},
    {"[fe80::1%br-1_2.3~4]:0", TCPX_ADDRESS_IPV6, 0, "fe80::1", "br-1_2.3~4",
     "", NULL},
    {":80", TCPX_ADDRESS_WILDCARD, 80, "", "", "", NULL},
    {"*:80", TCPX_ADDRESS_WILDCARD, 80, "", "", "", ":80"},
    {":http", TCPX_ADDRESS_WILDCARD, -1, "", "", "http", NULL},
    {"unix:/run/x.sock", TCPX_ADDRESS_UNIX, 0, "/run/x.sock", "", "", NULL},
    {"unix:x", TCPX_ADDRESS_UNIX, 0, "x", "", "", NULL},
    {"unix:./@x", TCPX_ADDRESS_UNIX, 0, "./@x", "", "", NULL},
    {"unix:/a b:[%]*\xc3\xbc", TCPX_ADDRESS_UNIX, 0, "/a b:[%]*\xc3\xbc", "",
     "", NULL},
    {"unix:" PATH_107, TCPX_ADDRESS_UNIX, 0, PATH_107, "", "", NULL},
    {"unix:@x y:@", TCPX_ADDRESS_ABSTRACT, 0, "x y:@", "", "", NULL},
    {"unix:@" PATH_107, TCPX_ADDRESS_ABSTRACT, 0, PATH_107, "", "", NULL},
    {"fd:0", TCPX_ADDRESS_FD, 0, "", "", "", NULL},
    {"fd:2147483647", TCPX_ADDRESS_FD, 2147483647, "", "", "", NULL},
    {"systemd:", TCPX_ADDRESS_SYSTEMD, 0, "", "", "", NULL},
    {"systemd:web.socket", TCPX_ADDRESS_SYSTEMD, 0, "web.socket", "", "", NULL},
};

START_TEST(every_form_is_taken_apart_and_put_together)
{
    const struct good *g = &goods[_i];
    tcpx_address a;
    char text[TCPX__ADDRESS_TEXT];
    const char *canonical = g->canonical ? g->canonical : g->text;

    memset(&a, 0xa5, sizeof(a));
    ck_ok(tcpx_address_parse(&a, g->text));
    ck_assert_int_eq(a.kind, g->kind);
    ck_assert_int_eq(a.port, g->port);
    ck_assert_str_eq(a.host, g->host);
    ck_assert_str_eq(a.zone, g->zone);
    ck_assert_str_eq(a.service, g->service);
    for (size_t i = 0; i < sizeof(a.reserved); i++)
        ck_assert_int_eq(a.reserved[i], 0);

    ck_assert_int_eq(ck_ok(tcpx_address_format(&a, text, sizeof(text))),
                     (ssize_t)strlen(canonical));
    ck_assert_str_eq(text, canonical);
}
END_TEST

/* ---- What is refused --------------------------------------------------- */

struct bad {
    const char *text;
    int column;
    const char *what; /* the whole sentence */
};

#define FOUR "an IPv4 address is four decimal numbers"
#define SECOND "a second colon; an IPv6 address is written [::1]:80"

static const struct bad bads[] = {
    {"", 1, "the address is empty"},
    {"h", 2, "the port is missing"},
    {"[::1]", 6, "the port is missing"},
    {"*", 2, "the port is missing"},
    {"unix", 5, "the port is missing"},
    {"h:", 3, "the port is empty"},
    {":", 2, "the port is empty"},
    {"::1:80", 2, SECOND},
    {"fe80::1%nope", 6, SECOND},
    {"h:80:90", 5, SECOND},
    {"h:65536", 3, "port 65536 is over 65535"},
    {"h:70000", 3, "port 70000 is over 65535"},
    {"h:99999999999", 3, "port 99999999999 is over 65535"},
    {"h:111111111111111111111111111111", 3,
     "port 11111111111111111111... is over 65535"},
    {"h:+80", 3, "'+' in a port"},
    {"h:-1", 3, "'-' in a port"},
    {"h: 80", 3, "a blank in a port"},
    {"h:80 ", 5, "a blank in a port"},
    {"h:80\r\n", 5, "byte 0x0d in a port"},
    {"h:80x", 5, "'x' in a port"},
    {"h:0x50", 4, "'x' in a port"},
    {"h:080", 3, "the port begins with 0"},
    {"h:00", 3, "the port begins with 0"},
    {"h:http/", 7, "'/' in a service's name"},
    {"h:http\n", 7, "byte 0x0a in a service's name"},
    {"h:a" P10 P10 P10 "1", 34, "a service's name has over 31 bytes"},
    {"h/p:80", 2, "'/' in a host name"},
    {"http://h:80", 9, SECOND},
    {"http://h", 6, "'/' in a port"},
    {"a b:80", 2, "a blank in a host name"},
    {" h:80", 1, "a blank in a host name"},
    {"h\r\n:80", 2, "byte 0x0d in a host name"},
    {"h\x1b[31m:80", 2, "byte 0x1b in a host name"},
    {"*.h:80", 1, "'*' in a host name"},
    {"a@h:80", 2, "'@' in a host name"},
    {"b\xc3\xbc.de:80", 2, "a host name is written in ASCII: xn--..."},
    {"-h:80", 1, "a label of a host name begins with '-'"},
    {"a.h-:80", 4, "a label of a host name ends with '-'"},
    {".:80", 1, "an empty label in a host name"},
    {".h:80", 1, "an empty label in a host name"},
    {"a..h:80", 3, "an empty label in a host name"},
    {"h..:80", 3, "an empty label in a host name"},
    {"b." A63 "a:80", 3, "a label of a host name has over 63 bytes"},
    {NAME_253 "a:80", 254, "a host name has over 253 bytes"},
    {NAME_253 ".a.b:80", 254, "a host name has over 253 bytes"},
    {"127.1:80", 1, FOUR},
    {"127.1", 1, FOUR},
    {"2130706433:80", 1, FOUR},
    {"0x7f000001:80", 1, FOUR},
    {"0x7f.0.0.1:80", 1, FOUR},
    {"127.0.0.0x1:80", 10, FOUR " and no more"},
    {"host.1:80", 1, FOUR},
    {"80", 1, FOUR},
    {"1.2.3.4.5:80", 8, FOUR " and no more"},
    {"127.0.0.1.:80", 10, FOUR " and no more"},
    {"0177.0.0.1:80", 1, "a number begins with 0"},
    {"1.2.3.04:80", 7, "a number begins with 0"},
    {"1.256.3.4:80", 3, "a number is over 255"},
    {"1.2.3.99999999999999999999:80", 7, "a number is over 255"},
    {"[]:80", 2, "an IPv6 address has eight groups"},
    {"[::1:80", 8, "']' is missing"},
    {"[::1%eth0:80", 10, "':' in a zone"},
    {"[::1]80", 6, "':' and a port are expected"},
    {"[::1]]:80", 6, "':' and a port are expected"},
    {"[:::]:80", 4, "a group of hexadecimal digits is expected"},
    {"[1::2::3]:80", 6, "'::' stands here a second time"},
    {"[:1]:80", 2, "a single colon begins or ends the address"},
    {"[1:2:3:4:5:6:7:]:80", 15, "a single colon begins or ends the address"},
    {"[1:2]:80", 5, "an IPv6 address has eight groups"},
    {"[1:2:3:4:5:6:7:8:9]:80", 18,
     "an IPv6 address has no more than eight groups"},
    {"[1::2:3:4:5:6:7:8]:80", 2, "'::' stands for nothing beside eight groups"},
    {"[::12345]:80", 4, "a group has more than four digits"},
    {"[::g]:80", 4, "a group of hexadecimal digits is expected"},
    {"[::1g]:80", 5, "no part of an IPv6 address"},
    {"[::1 ]:80", 5, "no part of an IPv6 address"},
    {"[::1.2.3]:80", 4, FOUR},
    {"[::1.2.3.256]:80", 10, "a number is over 255"},
    {"[::01.2.3.4]:80", 4, "a number begins with 0"},
    {"[1:2:3:4:5:6:7:1.2.3.4]:80", 16,
     "no room for an IPv4 address at the end"},
    {"[1.2.3.4]:80", 9, "an IPv6 address has eight groups"},
    {"[fe80::1%]:80", 10, "the zone is empty"},
    {"[fe80::1%a/b]:80", 11, "'/' in a zone"},
    {"[fe80::1%a b]:80", 11, "a blank in a zone"},
    {"[fe80::1%" P10 P10 P10 P10 "12345678]:80", 57,
     "a zone has over 47 bytes"},
    {"unix:", 6, "the path is empty"},
    {"unix:@", 7, "the abstract name is empty"},
    {"unix:" PATH_107 "x", 113, "a socket's path has over 107 bytes"},
    {"unix:" PATH_107 "xy", 113, "a socket's path has over 107 bytes"},
    {"unix:@" PATH_107 "x", 114, "a socket's abstract name has over 107 bytes"},
    {"unix:/a\nb", 8, "byte 0x0a in a socket's path"},
    {"unix:@a\x7f", 8, "byte 0x7f in a socket's abstract name"},
    {"fd:", 4, "the descriptor's number is missing"},
    {"fd:-1", 4, "'-' in a descriptor"},
    {"fd:3x", 5, "'x' in a descriptor"},
    {"fd:03", 4, "the descriptor begins with 0"},
    {"fd:2147483648", 4, "descriptor 2147483648 is over 2147483647"},
    {"systemd:a:b", 10, "':' in a socket's name"},
    {"systemd:a\tb", 10, "byte 0x09 in a socket's name"},
};

START_TEST(a_malformed_text_is_refused_by_its_fault_and_column)
{
    const struct bad *b = &bads[_i];
    tcpx_address a, before;
    struct tcpx__failure *f = &tcpx__task()->failure;
    char detail[128];

    memset(&a, 0xa5, sizeof(a));
    before = a;
    ck_fails(tcpx_address_parse(&a, b->text), TCPX_EADDRESS);
    ck_assert_mem_eq(&a, &before, sizeof(a));

    (void)snprintf(detail, sizeof(detail), "column %d: %s", b->column, b->what);
    ck_assert_str_eq(f->detail, detail);
    ck_assert_int_eq(f->err, TCPX_EADDRESS);
    ck_assert_str_eq(f->operation, "address");
}
END_TEST

START_TEST(a_hostile_text_is_recorded_harmless_and_short)
{
    struct tcpx__failure *f = &tcpx__task()->failure;
    tcpx_address a;
    char *long_text = malloc(1 << 20);

    ck_fails(tcpx_address_parse(&a, "h\x1b]0;x\x07\r\n\xe2\x80\xae:80"),
             TCPX_EADDRESS);
    ck_assert_str_eq(f->text,
                     "\"h\\x1b]0;x\\x07\\x0d\\x0a\\xe2\\x80\\xae:80\"");

    ck_assert_ptr_nonnull(long_text);
    memset(long_text, 'a', (1 << 20) - 1);
    long_text[(1 << 20) - 1] = 0;
    ck_fails(tcpx_address_parse(&a, long_text), TCPX_EADDRESS);
    ck_assert_uint_lt(strlen(f->text), 100);
    ck_assert_str_eq(f->text + strlen(f->text) - 5, "a...\"");
    free(long_text);
}
END_TEST

START_TEST(the_sentence_names_the_text_the_column_and_the_fault)
{
    tcpx_address a;

    ck_fails(tcpx_address_parse(&a, "h:70000"), TCPX_EADDRESS);
    ck_assert_str_eq(tcpx_errmsg(), "address \"h:70000\": "
                                    "column 3: port 70000 is over 65535");
    ck_fails(tcpx_address_parse(&a, ""), TCPX_EADDRESS);
    ck_assert_str_eq(tcpx_errmsg(),
                     "address \"\": column 1: the address is empty");
}
END_TEST

START_TEST(null_is_an_invalid_argument)
{
    tcpx_address a = {.kind = TCPX_ADDRESS_WILDCARD};
    char text[8];

    ck_fails(tcpx_address_parse(NULL, "h:80"), -EINVAL);
    ck_fails(tcpx_address_parse(&a, NULL), -EINVAL);
    ck_fails(tcpx_address_format(NULL, text, sizeof(text)), -EINVAL);
    ck_fails(tcpx_address_format(&a, NULL, sizeof(text)), -EINVAL);
}
END_TEST

START_TEST(a_buffer_that_is_too_small_is_left_alone)
{
    tcpx_address a;
    char text[32];

    ck_ok(tcpx_address_parse(&a, "192.0.2.1:80"));
    memset(text, 'x', sizeof(text));
    ck_fails(tcpx_address_format(&a, text, 0), TCPX_ETOOLONG);
    ck_fails(tcpx_address_format(&a, text, 12), TCPX_ETOOLONG);
    ck_assert_int_eq(text[0], 'x');
    ck_assert_int_eq(ck_ok(tcpx_address_format(&a, text, 13)), 12);
    ck_assert_str_eq(text, "192.0.2.1:80");
    ck_assert_int_eq(text[13], 'x');
}
END_TEST

static const tcpx_address odd_parts[] = {
    {.kind = 0, .port = 80, .host = "h"},
    {.kind = 99, .port = 80, .host = "h"},
    {.kind = TCPX_ADDRESS_NAME, .port = 80, .host = "unix"},
    {.kind = TCPX_ADDRESS_NAME, .port = 80, .host = "fd"},
    {.kind = TCPX_ADDRESS_NAME, .port = 80, .host = "systemd"},
    {.kind = TCPX_ADDRESS_NAME, .port = 80, .host = "192.0.2.1"},
    {.kind = TCPX_ADDRESS_NAME, .port = 80, .host = ""},
    {.kind = TCPX_ADDRESS_NAME, .port = 80, .host = "a:80"},
    {.kind = TCPX_ADDRESS_NAME, .port = 80, .host = "h", .zone = "eth0"},
    {.kind = TCPX_ADDRESS_NAME, .port = 80, .host = "h", .service = "http"},
    {.kind = TCPX_ADDRESS_NAME, .port = -1, .host = "h"},
    {.kind = TCPX_ADDRESS_NAME, .port = -2, .host = "h"},
    {.kind = TCPX_ADDRESS_NAME, .port = 65536, .host = "h"},
    {.kind = TCPX_ADDRESS_NAME, .port = -1, .host = "h", .service = "80"},
    {.kind = TCPX_ADDRESS_IPV4, .port = 80, .host = "127.1"},
    {.kind = TCPX_ADDRESS_IPV4, .port = 80, .host = "h"},
    {.kind = TCPX_ADDRESS_IPV6, .port = 80, .host = "::1%eth0"},
    {.kind = TCPX_ADDRESS_IPV6, .port = 80, .host = "::1]:443#["},
    {.kind = TCPX_ADDRESS_IPV6, .port = 80, .host = "192.0.2.1"},
    {.kind = TCPX_ADDRESS_WILDCARD, .port = 80, .host = "*"},
    {.kind = TCPX_ADDRESS_UNIX, .host = ""},
    {.kind = TCPX_ADDRESS_UNIX, .host = "@x"},
    {.kind = TCPX_ADDRESS_UNIX, .host = "/x", .port = 1},
    {.kind = TCPX_ADDRESS_UNIX, .host = PATH_107 "x"},
    {.kind = TCPX_ADDRESS_ABSTRACT, .host = ""},
    {.kind = TCPX_ADDRESS_FD, .port = -1},
    {.kind = TCPX_ADDRESS_FD, .port = 3, .host = "h"},
    {.kind = TCPX_ADDRESS_SYSTEMD, .host = "a:b"},
    {.kind = TCPX_ADDRESS_SYSTEMD, .host = "a", .service = "http"},
};

START_TEST(parts_that_make_no_address_are_not_formatted)
{
    char text[TCPX__ADDRESS_TEXT] = "x";

    ck_fails(tcpx_address_format(&odd_parts[_i], text, sizeof(text)),
             TCPX_EADDRESS);
    ck_assert_str_eq(text, "x");
}
END_TEST

START_TEST(parts_without_their_nul_are_read_to_their_end_only)
{
    tcpx_address *a = malloc(sizeof(*a)); /* so that ASan sees its end */
    char text[TCPX__ADDRESS_TEXT];

    ck_assert_ptr_nonnull(a);
    memset(a, 'a', sizeof(*a));
    a->port = 80;
    for (a->kind = TCPX_ADDRESS_NAME; a->kind <= TCPX_ADDRESS_SYSTEMD;
         a->kind++)
        ck_fails(tcpx_address_format(a, text, sizeof(text)), TCPX_EADDRESS);
    free(a);
}
END_TEST

static int scan_local(tcpx_address *a, const char *text)
{
    struct tcpx__address_fault found;

    return tcpx__address_scan_local(a, text, &found);
}

START_TEST(a_local_address_is_numeric_and_its_port_optional)
{
    tcpx_address a;

    ck_ok(scan_local(&a, "192.0.2.1"));
    ck_assert_int_eq(a.kind, TCPX_ADDRESS_IPV4);
    ck_assert_int_eq(a.port, 0);
    ck_ok(scan_local(&a, "[2001:db8::1]"));
    ck_assert_int_eq(a.kind, TCPX_ADDRESS_IPV6);
    ck_ok(scan_local(&a, "[2001:db8::1%lo]:80"));
    ck_assert_int_eq(a.port, 80);
    ck_assert_str_eq(a.zone, "lo");
    ck_ok(scan_local(&a, ":80"));
    ck_assert_int_eq(a.kind, TCPX_ADDRESS_WILDCARD);

    ck_fails(scan_local(&a, ""), TCPX_EADDRESS);
    ck_fails(scan_local(&a, "h"), TCPX_EADDRESS);
    ck_fails(scan_local(&a, "localhost:80"), TCPX_EADDRESS);
    ck_fails(scan_local(&a, "192.0.2.1:"), TCPX_EADDRESS);
    ck_fails(scan_local(&a, "2001:db8::1"), TCPX_EADDRESS);
    ck_fails(scan_local(&a, "unix:/x"), TCPX_EADDRESS);
    ck_fails(scan_local(&a, "fd:3"), TCPX_EADDRESS);
}
END_TEST

static void fill_forms(TCase *tc)
{
    tcase_add_loop_test(tc, every_form_is_taken_apart_and_put_together, 0,
                        sizeof(goods) / sizeof(goods[0]));
    tcase_add_test(tc, a_local_address_is_numeric_and_its_port_optional);
}

static void fill_faults(TCase *tc)
{
    tcase_add_loop_test(tc, a_malformed_text_is_refused_by_its_fault_and_column,
                        0, sizeof(bads) / sizeof(bads[0]));
    tcase_add_test(tc, a_hostile_text_is_recorded_harmless_and_short);
    tcase_add_test(tc, the_sentence_names_the_text_the_column_and_the_fault);
    tcase_add_test(tc, null_is_an_invalid_argument);
}

static void fill_format(TCase *tc)
{
    tcase_add_test(tc, a_buffer_that_is_too_small_is_left_alone);
    tcase_add_loop_test(tc, parts_that_make_no_address_are_not_formatted, 0,
                        sizeof(odd_parts) / sizeof(odd_parts[0]));
    tcase_add_test(tc, parts_without_their_nul_are_read_to_their_end_only);
}

const struct test_case test_cases[] = {
    {"address", "forms", fill_forms},
    {"address", "faults", fill_faults},
    {"address", "format", fill_format},
    {NULL, NULL, NULL},
};
