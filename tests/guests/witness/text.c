/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Strings, numbers and the checksum; and the four functions a compiler may call by itself.
 */
#include "witness.h"

void *memcpy(void *to, const void *from, size_t bytes)
{
    char *out = to;
    const char *in = from;

    while (bytes--)
        *out++ = *in++;
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    char *out = to;
    const char *in = from;

    if (out < in)
        return memcpy(to, from, bytes);
    while (bytes--)
        out[bytes] = in[bytes];
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    char *out = to;

    while (bytes--)
        *out++ = (char)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const unsigned char *x = a, *y = b;

    for (; bytes--; x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t length(const char *text)
{
    size_t n = 0;

    while (text[n])
        n++;
    return n;
}

int compare_text(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

int same(const char *a, const char *b)
{
    return compare_text(a, b) == 0;
}

int all_zero(const void *from, const void *to)
{
    const unsigned char *at = from;

    for (; at < (const unsigned char *)to; at++)
        if (*at)
            return 0;
    return 1;
}

/* The number `text` starts with, in decimal; 0 if it starts with none. */
unsigned long parse_number(const char *text)
{
    unsigned long n = 0;

    for (; *text >= '0' && *text <= '9'; text++)
        n = n * 10 + (unsigned long)(*text - '0');
    return n;
}

/* FNV-1a, 64 bits. */
uint64_t fnv1a(uint64_t hash, const void *from, size_t bytes)
{
    const unsigned char *at = from;

    while (bytes--)
        hash = (hash ^ *at++) * 0x100000001b3ULL;
    return hash;
}
