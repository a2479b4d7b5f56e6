/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A guest that starts in no time: prints its command line and a hash of its module on the console, and powers off.
 *
 * With "hello.silent" as its first word it writes nothing: for consoles that nobody reads.
 *
 * For scenarios that ask whether a kernel was found, loaded and started, and by which name; what exactly a kernel is
 * handed is the witness's matter. With HELLO_PVH_ONLY it has no PV entry, for the loader to refuse.
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
#define VIRT_BASE 0xffffffff80000000UL
/* Numbers of public/elfnote.h, which has no C in it: as text for the assembler. */
#define NOTE(id, value)                                                                                          \
    asm(".pushsection .note.Xen, \"a\", @note\n.balign 4\n.long 4, 2f - 1f, " #id "\n.asciz \"Xen\"\n1: " value \
        "\n2: .balign 4\n.popsection")

#ifdef HELLO_PVH_ONLY
NOTE(18, ".long 0x100000"); /* PHYS32_ENTRY */
#else
NOTE(1, ".quad entry");                   /* ENTRY */
NOTE(3, ".quad 0xffffffff80000000");      /* VIRT_BASE */
NOTE(4, ".quad 0");                       /* PADDR_OFFSET */
NOTE(5, ".asciz \"xen-3.0\"");            /* XEN_VERSION */
NOTE(8, ".asciz \"generic\"");            /* LOADER */
#endif
NOTE(6, ".asciz \"hello\""); /* GUEST_OS */

asm(".pushsection .text.entry, \"ax\"\n"
    ".globl entry\n"
    "entry: cld\n"
    "    leaq stack + 16384(%rip), %rsp\n"
    "    movq %rsi, %rdi\n" /* start_info */
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

static void say_number(uint64_t value, unsigned base)
{
    char digits[20];
    unsigned at = sizeof digits;

    do
        digits[--at] = "0123456789abcdef"[value % base];
    while (value /= base);
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
    ring = (void *)(VIRT_BASE + numbers[info->console.domU.mfn] * PAGE);
    port = info->console.domU.evtchn;
    say("\r\nHELLO cmdline=[");
    say((const char *)info->cmd_line);
    say("]\r\nHELLO module=");
    say_number(info->mod_len, 10);
    say(" hash=");
    say_number(fnv1a((const unsigned char *)info->mod_start, info->mod_len), 16);
    say("\r\nHELLO pages=");
    say_number(info->nr_pages, 10);
    say(" bye\r\n");
    while (ring->out_cons != ring->out_prod)
        sched_op(SCHEDOP_yield, NULL);
    for (;;)
        sched_op(SCHEDOP_shutdown, &off);
}
