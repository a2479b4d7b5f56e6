/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A guest that starts in no time: prints its command line and a hash of its module on the console, and powers off.
 *
 * With "hello.silent" as its first word it writes nothing: for consoles that nobody reads.
 *
 * For scenarios that ask whether a kernel was found, loaded and started, and by which name; what exactly a kernel is
 * handed is the witness's matter. Built for either width. With HELLO_PVH_ONLY it has no PV entry, for the loader to
 * refuse.
 */
#define __XEN_INTERFACE_VERSION__ 0x00040b00
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/io/console.h>
#include <xen/sched.h>

#include "../witness/hypercall.h"

#define PAGE 4096UL
#ifdef __x86_64__
#define VIRT_BASE 0xffffffff80000000
#define WORD ".quad "
#else
#define VIRT_BASE 0xc0000000
#define WORD ".long "
#endif
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
/* Numbers of public/elfnote.h, which has no C in it: as text for the assembler. */
#define NOTE(id, value)                                                                                          \
    asm(".pushsection .note.Xen, \"a\", @note\n.balign 4\n.long 4, 2f - 1f, " #id "\n.asciz \"Xen\"\n1: " value \
        "\n2: .balign 4\n.popsection")

#ifdef HELLO_PVH_ONLY
NOTE(18, ".long 0x100000"); /* PHYS32_ENTRY */
#else
NOTE(1, WORD "entry");           /* ENTRY */
NOTE(3, WORD TEXT(VIRT_BASE));   /* VIRT_BASE */
NOTE(4, WORD "0");               /* PADDR_OFFSET */
NOTE(5, ".asciz \"xen-3.0\""); /* XEN_VERSION */
NOTE(8, ".asciz \"generic\""); /* LOADER */
#ifdef __i386__
NOTE(9, ".asciz \"yes\""); /* PAE_MODE */
#endif
#endif
NOTE(6, ".asciz \"hello\""); /* GUEST_OS */

asm(".pushsection .text.entry, \"ax\"\n"
    ".globl entry\n"
    "entry: cld\n"
#ifdef __x86_64__
    "    leaq stack + 16384(%rip), %rsp\n"
    "    movq %rsi, %rdi\n" /* start_info */
#else
    "    movl $stack + 16384 - 12, %esp\n"
    "    pushl %esi\n" /* start_info */
#endif
    "    call hello\n"
    ".popsection");

char stack[16384] __attribute__((aligned(16)));

static volatile struct xencons_interface *ring;
static evtchn_port_t port;

static void notify(void)
{
    struct evtchn_send send = { .port = port };

    event_op(EVTCHNOP_send, &send);
}

static void put(const char *text, size_t bytes)
{
    for (; bytes; bytes--, text++) {
        while (ring->out_prod - ring->out_cons >= sizeof ring->out) {
            notify();
            sched_op(SCHEDOP_yield, NULL);
        }
        ring->out[MASK_XENCONS_IDX(ring->out_prod, ring->out)] = *text;
        memory_fence();
        ring->out_prod++;
    }
    notify();
}

static void say(const char *text)
{
    size_t bytes = 0;

    while (text[bytes])
        bytes++;
    put(text, bytes);
}

static int begins(const char *text, const char *with)
{
    while (*with && *text == *with)
        text++, with++;
    return !*with;
}

static void say_decimal(unsigned long value)
{
    char digits[20];
    unsigned at = sizeof digits;

    do
        digits[--at] = '0' + value % 10;
    while (value /= 10);
    put(digits + at, sizeof digits - at);
}

/* Shifts, as 32-bit processors divide no 64-bit numbers. */
static void say_hex(uint64_t value)
{
    char digits[16];
    unsigned at = sizeof digits;

    do
        digits[--at] = "0123456789abcdef"[value & 15];
    while (value >>= 4);
    put(digits + at, sizeof digits - at);
}

static uint64_t fnv1a(const unsigned char *bytes, size_t count)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (; count; count--)
        hash = (hash ^ *bytes++) * 0x100000001b3;
    return hash;
}

void hello(const struct start_info *info) __attribute__((noreturn));
void hello(const struct start_info *info)
{
    const unsigned long *numbers = (const unsigned long *)MACH2PHYS_VIRT_START;
    struct sched_shutdown off = { .reason = SHUTDOWN_poweroff };

    if (begins((const char *)info->cmd_line, "hello.silent"))
        sched_op(SCHEDOP_shutdown, &off);
    ring = (void *)(UL(VIRT_BASE) + numbers[info->console.domU.mfn] * PAGE);
    port = info->console.domU.evtchn;
    say("\r\nHELLO cmdline=[");
    say((const char *)info->cmd_line);
    say("]\r\nHELLO module=");
    say_decimal(info->mod_len);
    say(" hash=");
    say_hex(fnv1a((const unsigned char *)info->mod_start, info->mod_len));
    say("\r\nHELLO pages=");
    say_decimal(info->nr_pages);
    say(" bye\r\n");
    while (ring->out_cons != ring->out_prod)
        sched_op(SCHEDOP_yield, NULL);
    for (;;)
        sched_op(SCHEDOP_shutdown, &off);
}
