/* SPDX-License-Identifier: MIT */
/*
 * address_parse.c - address text into parts.
 *
 * One pass from left to right, which stops at the first byte that cannot be
 * right.  Nothing is guessed and nothing is looked up: whatever getaddrinfo(3)
 * would bend into an address (a port over 65535, a sign, a blank, an octal or
 * a short IPv4 address) is refused here, so that it never gets there.
 */
#include "net/address.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tcpx/error.h>

#include "base/task.h"
#include "net/ip.h"
#include "net/text.h"

#define NAME_MAX_BYTES 253 /* RFC 1035 2.3.4, as text, without the last dot */
#define LABEL_MAX_BYTES 63

struct scan {
    const char *text; /* the whole */
    const char *p;    /* the next byte */
    bool port_optional;
    struct tcpx__address_fault *fault;
};

__attribute__((format(printf, 3, 4))) static int fault(const struct scan *s,
                                                       const char *at,
                                                       const char *what, ...)
{
    va_list args;

    s->fault->column = (size_t)(at - s->text) + 1;
    va_start(args, what);
    (void)vsnprintf(s->fault->what, sizeof(s->fault->what), what, args);
    va_end(args);

    return TCPX_EADDRESS;
}

/* The fault of a byte that has no business in a `noun`. */
static int fault_byte(const struct scan *s, const char *at, const char *noun)
{
    if (*at == ' ')
        return fault(s, at, "a blank in a %s", noun);
    if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f)
        return fault(s, at, "byte 0x%02x in a %s", (unsigned char)*at, noun);

    return fault(s, at, "'%c' in a %s", *at, noun);
}

/* Whether the len bytes at p are what inet_aton(3) takes for a number. */
static bool looks_numeric(const char *p, size_t len)
{
    bool hex = len >= 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X');

    for (size_t i = hex ? 2 : 0; i < len; i++)
        if (hex ? tcpx__hex_value(p[i]) < 0 : !tcpx__is_digit(p[i]))
            return false;

    return len > 0;
}

/*
 * Whether the host from p to end is meant as an IPv4 address: its last label
 * is a number, which no top-level domain is (RFC 3696 2).
 */
static bool ends_in_number(const char *p, const char *end)
{
    const char *label;

    if (end > p && end[-1] == '.')
        end--;
    label = end;
    while (label > p && label[-1] != '.')
        label--;

    return looks_numeric(label, (size_t)(end - label));
}

static int scan_ipv4(struct scan *s, const char *end, tcpx_address *out)
{
    uint8_t bytes[4];
    const char *why;
    const char *at = tcpx__ip4_parse(bytes, s->p, end, &why);

    if (at)
        return fault(s, at, "%s", why);

    out->kind = TCPX_ADDRESS_IPV4;
    (void)tcpx__ip4_format(out->host, bytes);
    return 0;
}

/* One label of a host name: RFC 1123 2.1, and the underscore of real life. */
static int scan_label(const struct scan *s, const char *label, const char *end)
{
    if (label == end)
        return fault(s, label, "an empty label in a host name");

    for (const char *p = label; p < end; p++) {
        if ((unsigned char)*p >= 0x80)
            return fault(s, p, "a host name is written in ASCII: xn--...");
        if (!tcpx__is_letter(*p) && !tcpx__is_digit(*p) && *p != '-' &&
            *p != '_')
            return fault_byte(s, p, "host name");
        if (p - label == LABEL_MAX_BYTES)
            return fault(s, label, "a label of a host name has over %d bytes",
                         LABEL_MAX_BYTES);
    }

    if (*label == '-')
        return fault(s, label, "a label of a host name begins with '-'");
    if (end[-1] == '-')
        return fault(s, end - 1, "a label of a host name ends with '-'");

    return 0;
}

static int scan_name(struct scan *s, const char *end, tcpx_address *out)
{
    const char *stop = end[-1] == '.' ? end - 1 : end;
    const char *label = s->p;

    for (const char *p = s->p; p <= stop; p++) {
        if (p < stop && *p != '.')
            continue;
        int err = scan_label(s, label, p);
        if (err < 0)
            return err;
        label = p + 1;
        if (p - s->p > NAME_MAX_BYTES)
            return fault(s, s->p + NAME_MAX_BYTES,
                         "a host name has over %d bytes", NAME_MAX_BYTES);
    }

    out->kind = TCPX_ADDRESS_NAME;
    memcpy(out->host, s->p, (size_t)(end - s->p));
    return 0;
}

static int scan_zone(const struct scan *s, const char *zone, const char *end,
                     tcpx_address *out)
{
    if (zone == end)
        return fault(s, zone, "the zone is empty");

    for (const char *p = zone; p < end; p++) {
        if (!tcpx__is_letter(*p) && !tcpx__is_digit(*p) && *p != '-' &&
            *p != '_' && *p != '.' && *p != '~')
            return fault_byte(s, p, "zone");
        if ((size_t)(p - zone) == sizeof(out->zone) - 1)
            return fault(s, p, "a zone has over %zu bytes",
                         sizeof(out->zone) - 1);
    }

    memcpy(out->zone, zone, (size_t)(end - zone));
    return 0;
}

static int scan_ipv6(struct scan *s, tcpx_address *out)
{
    const char *start = s->p + 1;
    const char *end = start + strcspn(start, "]%");
    const char *close = end + strcspn(end, "]");
    const char *at, *why;
    uint8_t bytes[16];

    at = tcpx__ip6_parse(bytes, start, end, &why);
    if (at)
        return fault(s, at, "%s", why);
    if (*end == '%') {
        int err = scan_zone(s, end + 1, close, out);
        if (err < 0)
            return err;
    }
    if (!*close)
        return fault(s, close, "']' is missing");

    out->kind = TCPX_ADDRESS_IPV6;
    (void)tcpx__ip6_format(out->host, bytes);
    s->p = close + 1;
    return 0;
}

static int scan_host(struct scan *s, tcpx_address *out)
{
    const char *end = s->p + strcspn(s->p, ":");
    int err;

    if (*s->p == '[')
        return scan_ipv6(s, out);

    if (end == s->p || (end == s->p + 1 && *s->p == '*')) {
        out->kind = TCPX_ADDRESS_WILDCARD;
        s->p = end;
        return 0;
    }

    err = ends_in_number(s->p, end) ? scan_ipv4(s, end, out)
                                    : scan_name(s, end, out);
    s->p = end;
    return err;
}

/* A service's name; it begins with a letter, so that "80x" is a mistake. */
static int scan_service(struct scan *s, tcpx_address *out)
{
    const char *p = s->p;

    for (; *p; p++) {
        if (!tcpx__is_letter(*p) && !tcpx__is_digit(*p) && *p != '-' &&
            *p != '_' && *p != '.' && *p != '+')
            return fault_byte(s, p, "service's name");
        if ((size_t)(p - s->p) == sizeof(out->service) - 1)
            return fault(s, p, "a service's name has over %zu bytes",
                         sizeof(out->service) - 1);
    }

    out->port = -1;
    memcpy(out->service, s->p, (size_t)(p - s->p));
    return 0;
}

/* A decimal number that ends the text. */
static int scan_number(const struct scan *s, const char *noun, long max,
                       int32_t *out)
{
    size_t len = strspn(s->p, "0123456789");
    long value = tcpx__decimal(s->p, len, max);

    if (len == 0 || s->p[len])
        return fault_byte(s, s->p + len, noun);
    if (*s->p == '0' && len > 1)
        return fault(s, s->p, "the %s begins with 0", noun);
    if (value < 0)
        return fault(s, s->p, "%s %.*s%s is over %ld", noun,
                     len > 20 ? 20 : (int)len, s->p, len > 20 ? "..." : "",
                     max);

    *out = (int32_t)value;
    return 0;
}

static int scan_port(struct scan *s, tcpx_address *out)
{
    const char *colon;

    if (!*s->p && s->port_optional)
        return 0;
    if (!*s->p)
        return fault(s, s->p, "the port is missing");
    if (*s->p != ':')
        return fault(s, s->p, "':' and a port are expected");
    if (!*++s->p)
        return fault(s, s->p, "the port is empty");

    colon = strchr(s->p, ':');
    if (colon)
        return fault(s, colon,
                     "a second colon; an IPv6 address is written [::1]:80");
    if (tcpx__is_letter(*s->p))
        return scan_service(s, out);

    return scan_number(s, "port", 65535, &out->port);
}

/* The rest of the text as a name that is neither a host nor a number. */
static int scan_rest(const struct scan *s, const char *noun, size_t max,
                     char *out)
{
    const char *p = s->p;

    for (; *p; p++) {
        if (tcpx__is_control(*p))
            return fault_byte(s, p, noun);
        if ((size_t)(p - s->p) == max)
            return fault(s, p, "a %s has over %zu bytes", noun, max);
    }

    memcpy(out, s->p, (size_t)(p - s->p));
    return 0;
}

static int scan_unix(struct scan *s, tcpx_address *out)
{
    if (*s->p != '@') {
        out->kind = TCPX_ADDRESS_UNIX;
        return *s->p ? scan_rest(s, "socket's path", TCPX__UNIX_MAX, out->host)
                     : fault(s, s->p, "the path is empty");
    }

    s->p++;
    out->kind = TCPX_ADDRESS_ABSTRACT;
    return *s->p ? scan_rest(s, "socket's abstract name", TCPX__UNIX_MAX,
                             out->host)
                 : fault(s, s->p, "the abstract name is empty");
}

static int scan_systemd(const struct scan *s, tcpx_address *out)
{
    const char *colon = strchr(s->p, ':');

    out->kind = TCPX_ADDRESS_SYSTEMD;
    if (colon) /* it separates the names in LISTEN_FDNAMES */
        return fault_byte(s, colon, "socket's name");

    return scan_rest(s, "socket's name", sizeof(out->host) - 1, out->host);
}

/* Whether the text begins with a scheme, which it then moves past. */
static bool take(struct scan *s, const char *scheme)
{
    size_t len = strlen(scheme);

    if (strncmp(s->p, scheme, len) != 0)
        return false;

    s->p += len;
    return true;
}

static int scan_any(struct scan *s, tcpx_address *out)
{
    int err;

    if (!*s->p)
        return fault(s, s->p, "the address is empty");
    if (take(s, "unix:"))
        return scan_unix(s, out);
    if (take(s, "systemd:"))
        return scan_systemd(s, out);
    if (take(s, "fd:")) {
        out->kind = TCPX_ADDRESS_FD;
        return *s->p ? scan_number(s, "descriptor", INT_MAX, &out->port)
                     : fault(s, s->p, "the descriptor's number is missing");
    }

    err = scan_host(s, out);
    return err < 0 ? err : scan_port(s, out);
}

int tcpx__address_scan(tcpx_address *out, const char *text,
                       struct tcpx__address_fault *fault)
{
    struct scan s = {.text = text, .p = text, .fault = fault};
    tcpx_address parts = {0};
    int err = scan_any(&s, &parts);

    if (err == 0)
        *out = parts;

    return err;
}

void tcpx__address_show(char out[TCPX__ADDRESS_SHOWN], const char *text)
{
    size_t n = tcpx__text_show(out + 1, TCPX__ADDRESS_SHOWN - 2, text,
                               strnlen(text, TCPX__ADDRESS_TEXT));

    out[0] = '"';
    memcpy(out + 1 + n, "\"", 2);
}

static int refuse(const char *text, const struct tcpx__address_fault *fault)
{
    char shown[TCPX__ADDRESS_SHOWN];

    tcpx__address_show(shown, text);
    return tcpx__fail_because(TCPX_EADDRESS, "address", shown, "column %zu: %s",
                              fault->column, fault->what);
}

int tcpx__address_scan_local(tcpx_address *out, const char *text,
                             struct tcpx__address_fault *why)
{
    struct scan s = {
        .text = text, .p = text, .port_optional = true, .fault = why};
    tcpx_address parts = {0};
    int err = scan_any(&s, &parts);

    if (err == 0 && parts.kind != TCPX_ADDRESS_IPV4 &&
        parts.kind != TCPX_ADDRESS_IPV6 && parts.kind != TCPX_ADDRESS_WILDCARD)
        err = fault(&s, text, "a local address is numeric");
    if (err == 0)
        *out = parts;

    return err;
}

int tcpx_address_parse(tcpx_address *out, const char *text)
{
    struct tcpx__address_fault why = {0};

    if (!out || !text)
        return tcpx__refuse("address",
                            text ? "no place for the parts" : "no text");
    if (tcpx__address_scan(out, text, &why) < 0)
        return refuse(text, &why);

    return 0;
}
