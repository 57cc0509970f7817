/* SPDX-License-Identifier: MIT */
/*
 * text.h - bytes as ASCII, whatever the locale, and text that is safe to show.
 */
#ifndef TCPX_NET_TEXT_H
#define TCPX_NET_TEXT_H

#include <stdbool.h>
#include <stddef.h>

static inline bool tcpx__is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool tcpx__is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool tcpx__is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* The value of a hexadecimal digit, or -1. */
static inline int tcpx__hex_value(char c)
{
    if (tcpx__is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;

    return -1;
}

/*
 * Reads the len bytes at text as a decimal number: digits alone, no leading
 * zero, at most max.  Returns it, or -1.
 */
long tcpx__decimal(const char *text, size_t len, long max);

/*
 * Copies len bytes of text into out so that a terminal or a log can do nothing
 * but show them: what is not printable UTF-8 becomes \xNN, and so do marks that
 * change the direction of what follows.  Text that does not fit is cut and ends
 * with "...".  Always NUL-terminated; cap is at least 8.  Returns the length.
 */
size_t tcpx__text_show(char *out, size_t cap, const char *text, size_t len);

#endif
