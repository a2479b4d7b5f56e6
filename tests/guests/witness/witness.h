/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The witness: a PV guest that reports what it was handed at entry.
 *
 * Shares nothing with the loader: types and numbers come from Xen's public headers, everything else is here.
 * See README.md for the report's format and for what each line means. MFN: machine frame; PFN: the guest's own number.
 */
#ifndef WITNESS_H
#define WITNESS_H

#define __XEN_INTERFACE_VERSION__ 0x00040b00
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/elfnote.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#include "hypercall.h"

#define PAGE 4096UL
typedef uint64_t pte_t; /* long mode and PAE alike */

#define PTE_PRESENT 0x001ULL
#define PTE_RW 0x002ULL
#define PTE_ACCESSED 0x020ULL
#define PTE_DIRTY 0x040ULL
#define PTE_FRAME 0x000ffffffffff000ULL

/* --- linker script and command line of the build --- */
#ifndef WITNESS_VIRT_BASE
#error "build with -DWITNESS_VIRT_BASE=..., see build table"
#endif
#define VIRT_BASE ((unsigned long)WITNESS_VIRT_BASE)
extern char image_start[], text_end[], data_end[], bss_start[], bss_end[], image_end[], odd_load_address[], odd_size[];

/* --- entry.S --- */
#ifdef __x86_64__
struct entry_regs {
    unsigned long ax, bx, cx, dx, si, di, bp, sp, r8, r9, r10, r11, r12, r13, r14, r15, flags;
    unsigned long cs, ss, ds, es, fs, gs;
};
#else
struct entry_regs {
    unsigned long ax, bx, cx, dx, si, di, bp, sp, flags;
    unsigned long cs, ss, ds, es, fs, gs;
};
#endif
extern struct entry_regs entry_regs;
#define TRAPS 20
extern unsigned long trap_stubs[TRAPS];
#ifdef WITNESS_HYPERCALL_PAGE
extern unsigned char hypercall_page[4096];
#endif
/* Runs `probe`; returns 0, or 1 + the vector of the exception that ended it. */
int guarded(void (*probe)(void));

/* --- output.c: the console ring --- */
struct ring_snapshot { uint32_t a, b, c, d; };
extern struct ring_snapshot console_at_entry;
int console_works(void);
void console_start(unsigned long mfn, uint32_t port);
/* One report line: "WITNESS " + text + newline. Formats: %s, %u, %x (unsigned long), %l (uint64_t, hex),
 * %v (virtual address, relative to virt_base where that is possible), %d (long). */
void say(const char *format, ...);
/* A line that two boots need not share (raw machine frames and the like): "NOTE " + text. */
void note(const char *format, ...);
void append(char *out, size_t size, const char *format, ...);
void vappend(char *out, size_t size, const char *format, va_list args);
void console_drain(void);
void console_listen(void);
void give_up(const char *why) __attribute__((noreturn));

/* --- text.c --- */
void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t length(const char *text);
int same(const char *a, const char *b);
int compare_text(const char *a, const char *b);
int all_zero(const void *from, const void *to);
unsigned long parse_number(const char *text);
#define FNV_START 0xcbf29ce484222325ULL
uint64_t fnv1a(uint64_t hash, const void *from, size_t bytes);

/* --- window.c: pages of our own image through which any frame can be seen --- */
#define WINDOW_BATCH 64
enum slot { SLOT_SHARED, SLOT_CONSOLE, SLOT_STORE, SLOT_WALK1, SLOT_WALK2, SLOT_WALK3, SLOT_WALK4, SLOT_ANY,
            SLOT_BATCH, SLOTS = SLOT_BATCH + WINDOW_BATCH };
extern char window[SLOTS][4096];
extern const char *window_identity;
void window_check(void);
/* Maps a frame; returns its address or NULL when Xen refuses. */
void *window_map(enum slot slot, uint64_t mfn, pte_t flags);
int in_window(unsigned long va);
/* Maps `count` frames at SLOT_BATCH.. writable; refused[i] says which Xen would not. */
void window_batch(const xen_pfn_t *mfns, unsigned count, unsigned char *refused);

/* --- tables.c, frames.c --- */
extern const struct start_info *start;
extern xen_pfn_t *p2m;
extern unsigned long nr_pages, max_mfn;
#define NOT_OURS (~0UL)
unsigned long pfn_of(uint64_t mfn);
void frames_start(void);
void report_tables(void);
int is_table(unsigned long pfn);
/* Machine address of the level-1 entry that maps `va`. */
uint64_t l1_entry_address(unsigned long va);
void report_frames(void);
void report_quiet_memory(void);

/* --- the rest of the report --- */
extern shared_info_t *shared;
void traps_start(void);
void cpu_snapshot(void);
void report_cpu(void);
void report_hypercall_page(void);
void events_snapshot(void);
void report_events(void);
void report_timer(void);
void report_vcpus(void);
void report_vcpu_info(void);
void report_grants(void);
void report_grant_versions(void);
void store_start(unsigned long mfn, uint32_t port);
void report_store(void);
void report_store_leftovers(void);
#ifdef WITNESS_VANDAL
void vandalise(void);
void vandalise_store(void);
#endif
void report_e820(void);
void report_module(void);
/* Sleeps, waking for `port` (0: for the time only). */
void sleep_ms(uint32_t port, unsigned ms);
uint64_t now_ns(void);
void clear_pending(uint32_t port);

#endif
