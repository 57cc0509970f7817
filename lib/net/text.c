/* SPDX-License-Identifier: MIT */
/*
 * text.c - bytes as ASCII, whatever the locale, and text that is safe to show.
 */
#include "net/text.h"

#include <stdint.h>
#include <string.h>

long tcpx__decimal(const char *text, size_t len, long max)
{
    long value = 0;

    if (len == 0 || (len > 1 && text[0] == '0'))
        return -1;
    for (size_t i = 0; i < len; i++) {
        long digit = text[i] - '0';

        if (!tcpx__is_digit(text[i]) || value > max / 10 ||
            value * 10 > max - digit)
            return -1;
        value = value * 10 + digit;
    }

    return value;
}

/*
 * The code point of the UTF-8 sequence at p, and its length in *len; 0 if it is
 * malformed, longer than it need be, a surrogate or past the last code point.
 */
static uint32_t utf8(const unsigned char *p, size_t left, size_t *len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    uint32_t code = p[0] & (0xffu >> (n + 1));

    if (p[0] < 0xc2 || p[0] > 0xf4 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3fu);
    }
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;

    *len = n;
    return code;
}

/* How many bytes at p may be shown as they are: 0, or a whole character. */
static size_t printable(const unsigned char *p, size_t left)
{
    size_t n = 0;
    uint32_t code;

    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7f;

    code = utf8(p, left, &n);
    if (code < 0xa0)
        return 0; /* malformed, or one of the second set of controls */
    if (code == 0x61c || (code >= 0x200b && code <= 0x200f) ||
        (code >= 0x2028 && code <= 0x202e) ||
        (code >= 0x2060 && code <= 0x206f) || code == 0xfeff)
        return 0; /* invisible, a line's end, or a change of direction */

    return n;
}

size_t tcpx__text_show(char *out, size_t cap, const char *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t used = 0, keep = 0; /* keep: the last length that "..." fits after */

    for (size_t i = 0; i < len;) {
        const unsigned char *p = (const unsigned char *)text + i;
        size_t n = printable(p, len - i);
        char escaped[4] = {'\\', 'x', hex[p[0] >> 4], hex[p[0] & 15]};

        if (used + (n > 0 ? n : 4) >= cap) {
            memcpy(out + keep, "...", 4);
            return keep + 3;
        }
        if (n > 0)
            memcpy(out + used, p, n);
        else
            memcpy(out + used, escaped, 4);
        used += n > 0 ? n : 4;
        i += n > 0 ? n : 1;
        if (used + 4 <= cap)
            keep = used;
    }

    out[used] = 0;
    return used;
}
