/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The report's way out: Xen's console ring (public/io/console.h).
 */
#include "witness.h"

static volatile struct xencons_interface *ring;
static uint32_t console_port, unannounced;
struct ring_snapshot console_at_entry;

void console_start(unsigned long mfn, uint32_t port)
{
    ring = window_map(SLOT_CONSOLE, mfn, PTE_PRESENT | PTE_RW);
    if (!ring)
        give_up("console page cannot be mapped");
    console_port = port;
    console_at_entry = (struct ring_snapshot){ ring->in_cons, ring->in_prod, ring->out_cons, ring->out_prod };
}

int console_works(void)
{
    return ring != NULL;
}

static void notify(void)
{
    struct evtchn_send send = { .port = console_port };

    unannounced = 0;
    event_op(EVTCHNOP_send, &send);
}

/* Announces half a ring at a time, because xenconsoled reads from a guest only so many times a second.
 * Gives up on a reader that takes nothing for 30 seconds: then there is nobody to tell. */
static void put(const char *text, size_t bytes)
{
    unsigned waits = 0;

    while (bytes) {
        uint32_t prod = ring->out_prod;
        uint32_t room = (uint32_t)sizeof ring->out - (prod - ring->out_cons);

        if (room > sizeof ring->out || ++waits > 300)
            give_up("console ring is not being read");
        memory_fence();
        for (; room && bytes; room--, bytes--, unannounced++, waits = 0)
            ring->out[MASK_XENCONS_IDX(prod++, ring->out)] = *text++;
        memory_fence();
        ring->out_prod = prod;
        if (bytes || unannounced >= sizeof ring->out / 2)
            notify();
        if (bytes) {
            clear_pending(console_port);
            if (ring->out_prod - ring->out_cons == sizeof ring->out)
                sleep_ms(console_port, 100);
        }
    }
}

void console_drain(void)
{
    unsigned waits;

    notify();
    for (waits = 0; ring->out_cons != ring->out_prod && waits < 100; waits++) {
        clear_pending(console_port);
        if (ring->out_cons != ring->out_prod)
            sleep_ms(console_port, 50);
    }
}

/* The ring is answered in both directions: what was written was read by the other side within a bounded time. */
void console_listen(void)
{
    console_drain();
    say("console.answers=%s", ring->out_cons == ring->out_prod ? "yes" : "no");
}

static char *put_number(char *at, char *end, uint64_t value, int hex)
{
    char digits[24];
    unsigned n = 0;

    if (hex) {
        do
            digits[n++] = "0123456789abcdef"[value & 15];
        while (value >>= 4);
    } else {
        /* Decimal numbers of this report fit a machine word; no 64-bit division, which would need a library. */
        unsigned long word = (unsigned long)value;
        do
            digits[n++] = (char)('0' + word % 10);
        while (word /= 10);
    }
    while (n && at < end)
        *at++ = digits[--n];
    return at;
}

static char *put_text(char *at, char *end, const char *text)
{
    while (*text && at < end)
        *at++ = *text++;
    return at;
}

static char *put_va(char *at, char *end, unsigned long va)
{
    if (va >= VIRT_BASE) {
        at = put_text(at, end, "virt_base+0x");
        va -= VIRT_BASE;
    } else {
        at = put_text(at, end, "0x");
    }
    return put_number(at, end, va, 1);
}

void vappend(char *out, size_t size, const char *format, va_list args)
{
    char *at = out + length(out), *end = out + size - 1;
    long number;

    for (; *format && at < end; format++) {
        if (*format != '%') {
            *at++ = *format;
            continue;
        }
        switch (*++format) {
        case 's': at = put_text(at, end, va_arg(args, const char *)); break;
        case 'u': at = put_number(at, end, va_arg(args, unsigned long), 0); break;
        case 'x': at = put_number(put_text(at, end, "0x"), end, va_arg(args, unsigned long), 1); break;
        case 'l': at = put_number(put_text(at, end, "0x"), end, va_arg(args, uint64_t), 1); break;
        case 'v': at = put_va(at, end, va_arg(args, unsigned long)); break;
        case 'd':
            number = va_arg(args, long);
            if (number < 0)
                at = put_text(at, end, "-");
            at = put_number(at, end, number < 0 ? -(uint64_t)number : (uint64_t)number, 0);
            break;
        }
    }
    *at = 0;
}

void append(char *out, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vappend(out, size, format, args);
    va_end(args);
}

/* Long enough for a whole xenstore value or command line. */
static char line[6144];

static void emit(const char *prefix, const char *format, va_list args)
{
    char *at;

    line[0] = 0;
    append(line, sizeof line, "%s ", prefix);
    vappend(line, sizeof line - 1, format, args);
    for (at = line; *at; at++)
        if ((unsigned char)*at < ' ' || (unsigned char)*at > '~')
            *at = '?';
    *at++ = '\n';
    put(line, (size_t)(at - line));
}

void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    emit("WITNESS", format, args);
    va_end(args);
}

void note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    emit("NOTE", format, args);
    va_end(args);
}

/* Ends the domain as crashed. Before there is a console the reason goes where Xen's log shows it: into registers. */
void give_up(const char *why)
{
    struct sched_shutdown crash = { .reason = SHUTDOWN_crash };
    static const char *first;

    if (!ring || first) {
        set_trap_table(NULL);
        asm volatile("ud2" : : "a"(why), "d"(__builtin_return_address(0)), "c"(first));
    } else {
        first = why;
        note("the witness gives up: %s", why);
        console_drain();
    }
    for (;;)
        sched_op(SCHEDOP_shutdown, &crash);
}
