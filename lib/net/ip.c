/* SPDX-License-Identifier: MIT */
/*
 * ip.c - numeric IPv4 and IPv6 addresses, strictly.
 */
#include "net/ip.h"

#include <stdio.h>
#include <string.h>

#include "net/text.h"

const char *tcpx__ip4_parse(uint8_t out[4], const char *text, const char *end,
                            const char **why)
{
    const char *number[4], *p = text;

    for (int i = 0; i < 4; i++) {
        number[i] = p;
        while (p < end && tcpx__is_digit(*p))
            p++;
        if (p == number[i] || (i < 3 && (p == end || *p++ != '.'))) {
            *why = "an IPv4 address is four decimal numbers";
            return text;
        }
    }
    if (p != end) {
        *why = "an IPv4 address is four decimal numbers and no more";
        return p;
    }

    for (int i = 0; i < 4; i++) {
        const char *stop = i < 3 ? number[i + 1] - 1 : end;
        long value = tcpx__decimal(number[i], (size_t)(stop - number[i]), 255);

        if (value < 0) {
            *why = number[i][0] == '0' ? "a number begins with 0"
                                       : "a number is over 255";
            return number[i];
        }
        out[i] = (uint8_t)value;
    }

    return NULL;
}

/* An IPv6 address while it is taken apart. */
struct scan6 {
    const char *p; /* the next byte */
    const char *end;
    const char *why;
    uint8_t bytes[16];
    size_t n;   /* bytes so far */
    size_t gap; /* where :: stands in them, or over 16 */
};

static const char *fault6(struct scan6 *s, const char *at, const char *why)
{
    s->why = why;
    return at;
}

/* One group, or the four decimal numbers that may end the address. */
static const char *scan_group(struct scan6 *s)
{
    const char *start = s->p;
    unsigned value = 0;

    if (s->n == 16)
        return fault6(s, start,
                      "an IPv6 address has no more than eight groups");
    while (s->p < s->end && tcpx__hex_value(*s->p) >= 0) {
        value = value << 4 | (unsigned)tcpx__hex_value(*s->p);
        if (++s->p - start > 4)
            return fault6(s, start, "a group has more than four digits");
    }

    if (s->p < s->end && *s->p == '.' && s->p > start) {
        if (s->n > 12)
            return fault6(s, start, "no room for an IPv4 address at the end");
        s->p = s->end;
        s->n += 4;
        return tcpx__ip4_parse(s->bytes + s->n - 4, start, s->end, &s->why);
    }
    if (s->p == start)
        return fault6(s, start, "a group of hexadecimal digits is expected");

    s->bytes[s->n++] = (uint8_t)(value >> 8);
    s->bytes[s->n++] = (uint8_t)value;
    return NULL;
}

/* What stands between two groups, or ends the address. */
static const char *scan_colons(struct scan6 *s)
{
    const char *start = s->p;

    if (*s->p++ != ':')
        return fault6(s, start, "no part of an IPv6 address");
    if (s->p < s->end && *s->p == ':') {
        if (s->gap <= 16)
            return fault6(s, start, "'::' stands here a second time");
        s->gap = s->n;
        s->p++;
        return NULL;
    }
    if (s->p == s->end || s->n == 0)
        return fault6(s, start, "a single colon begins or ends the address");

    return NULL;
}

static const char *scan_all(struct scan6 *s)
{
    const char *start = s->p, *at = NULL;

    if (s->p < s->end && *s->p == ':')
        at = scan_colons(s);
    while (!at && s->p < s->end) {
        at = scan_group(s);
        if (!at && s->p < s->end)
            at = scan_colons(s);
    }
    if (at)
        return at;

    if (s->gap > 16 && s->n < 16)
        return fault6(s, s->end, "an IPv6 address has eight groups");
    if (s->gap <= 16 && s->n == 16)
        return fault6(s, start, "'::' stands for nothing beside eight groups");
    return NULL;
}

const char *tcpx__ip6_parse(uint8_t out[16], const char *text, const char *end,
                            const char **why)
{
    struct scan6 s = {.p = text, .end = end, .gap = SIZE_MAX};
    const char *at = scan_all(&s);
    size_t tail;

    if (at) {
        *why = s.why;
        return at;
    }

    tail = s.gap <= 16 ? s.n - s.gap : 0;
    memset(out, 0, 16);
    memcpy(out, s.bytes, s.n - tail);
    memcpy(out + 16 - tail, s.bytes + s.n - tail, tail);
    return NULL;
}

size_t tcpx__ip4_format(char out[TCPX__IP4_TEXT], const uint8_t address[4])
{
    return (size_t)snprintf(out, TCPX__IP4_TEXT, "%u.%u.%u.%u", address[0],
                            address[1], address[2], address[3]);
}

/* The first of the longest runs of zero groups, which :: replaces. */
static int longest_gap(const unsigned group[8], int *length)
{
    int best = -1,
        most = 1; /* one group alone is not worth it: RFC 5952 4.2.2 */

    for (int i = 0; i < 8; i++) {
        int n = 0;

        while (i + n < 8 && group[i + n] == 0)
            n++;
        if (n > most) {
            best = i;
            most = n;
        }
    }

    *length = most;
    return best;
}

size_t tcpx__ip6_format(char out[TCPX__IP6_TEXT], const uint8_t address[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    unsigned group[8];
    size_t used = 0;
    int gap, length;

    if (memcmp(address, mapped, sizeof(mapped)) == 0) {
        memcpy(out, "::ffff:", 7);
        return 7 + tcpx__ip4_format(out + 7, address + 12);
    }

    for (int i = 0; i < 8; i++)
        group[i] = (unsigned)address[2 * i] << 8 | address[2 * i + 1];
    gap = longest_gap(group, &length);
    for (int i = 0; i < 8; i++) {
        if (i == gap) {
            out[used++] = ':';
            i += length - 1;
            if (i == 7)
                out[used++] = ':';
            continue;
        }
        if (i > 0)
            out[used++] = ':';
        used +=
            (size_t)snprintf(out + used, TCPX__IP6_TEXT - used, "%x", group[i]);
    }

    out[used] = 0;
    return used;
}
