/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The virtual processor as handed over: registers, descriptor tables, control and debug registers, and our own exceptions.
 */
#include "witness.h"

static struct trap_info traps[TRAPS + 1];

void traps_start(void)
{
    unsigned vector, n = 0;

    for (vector = 0; vector < TRAPS; vector++) {
        if (vector == 2 || vector == 9 || vector == 15) /* NMI and reserved: Xen delivers none through this table */
            continue;
        traps[n++] = (struct trap_info){ .vector = (uint8_t)vector, .flags = 4, .cs = FLAT_KERNEL_CS,
                                         .address = trap_stubs[vector] };
    }
    set_trap_table(traps);
}

void trap(unsigned long vector, unsigned long *frame) __attribute__((used, noreturn));
void trap(unsigned long vector, unsigned long *frame)
{
    static const uint32_t with_error = 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17;
    unsigned long error = 0;

#ifdef __x86_64__
    frame += 2;
#endif
    if (with_error >> vector & 1)
        error = *frame++;
    if (!console_works()) {
        set_trap_table(NULL);
        asm volatile("ud2" : : "a"(vector), "d"(frame[0]), "c"(shared ? shared->vcpu_info[0].arch.cr2 : 0UL), "b"(error));
    }
    note("exception %u error %x at %v, cr2 %x", vector, error, frame[0], shared ? shared->vcpu_info[0].arch.cr2 : 0UL);
    give_up("unexpected exception");
}

/* Control registers as Xen emulates reading them; descriptor-table selectors, which user mode may read. */
static unsigned long cr0, cr3, cr4;
static uint16_t ldt_selector;
static void read_cr0(void) { asm volatile("mov %%cr0, %0" : "=r"(cr0)); }
static void read_cr3(void) { asm volatile("mov %%cr3, %0" : "=r"(cr3)); }
static void read_cr4(void) { asm volatile("mov %%cr4, %0" : "=r"(cr4)); }
static void read_ldt(void) { asm volatile("sldt %0" : "=m"(ldt_selector)); }

static unsigned long selector;
static int selector_valid;
static void try_selector(void)
{
    unsigned long rights;

    asm volatile("lar %2, %1; setz %b0" : "=q"(selector_valid), "=r"(rights) : "r"(selector) : "cc");
    selector_valid &= 1;
}

static uint16_t fpu_control;
static uint32_t sse_control;
static void read_fpu(void) { asm volatile("fnstcw %0" : "=m"(fpu_control)); }
static void read_sse(void) { asm volatile("stmxcsr %0" : "=m"(sse_control)); }

#ifdef __x86_64__
static uint32_t msr, msr_low, msr_high;
static void read_msr(void) { asm volatile("rdmsr" : "=a"(msr_low), "=d"(msr_high) : "c"(msr)); }

static void report_base(const char *name, uint32_t number)
{
    msr = number;
    if (guarded(read_msr))
        say("cpu.%s=unreadable", name);
    else
        say("cpu.%s=%l", name, (uint64_t)msr_high << 32 | msr_low);
}
#endif

static void report_registers(void)
{
    const struct entry_regs *r = &entry_regs;
#define ZERO(name) say("register." #name "=%x", r->name)

    ZERO(ax);
    ZERO(bx);
    ZERO(cx);
    ZERO(dx);
    say("register.si=%v", r->si);
    ZERO(di);
    ZERO(bp);
    say("register.sp=%v", r->sp);
#ifdef __x86_64__
    ZERO(r8);
    ZERO(r9);
    ZERO(r10);
    ZERO(r11);
    ZERO(r12);
    ZERO(r13);
    ZERO(r14);
    ZERO(r15);
#endif
    /* All but the arithmetic flags (CF PF AF ZF SF OF), which the ABI leaves open. */
    say("register.flags=%x", r->flags & ~0x8d5UL);
    ZERO(cs);
    ZERO(ss);
    ZERO(ds);
    ZERO(es);
    ZERO(fs);
    ZERO(gs);
}

static void report_descriptors(void)
{
    unsigned valid = 0, faults = 0;

    if (guarded(read_ldt))
        say("cpu.ldt=unreadable");
    else
        say("cpu.ldt=%x", (unsigned long)ldt_selector);
    /* A GDT that nobody set reads as empty below Xen's own part. */
    for (selector = 8; selector < FIRST_RESERVED_GDT_BYTE; selector += 8) {
        if (guarded(try_selector))
            faults++;
        else
            valid += (unsigned)selector_valid;
    }
    say("cpu.gdt.guest_descriptors=%u", UL(valid));
    say("cpu.gdt.faulting_selectors=%u", UL(faults));
}

void report_cpu(void)
{
    unsigned long top;
    unsigned i;

    report_registers();
    if (guarded(read_cr0) || guarded(read_cr4)) {
        say("cpu.control=unreadable");
    } else {
        say("cpu.cr0=%x", cr0);
        say("cpu.cr4=%x", cr4);
    }
    if (guarded(read_cr3)) {
        say("cpu.cr3=unreadable");
    } else {
#ifdef __x86_64__
        top = pfn_of(cr3 >> 12);
#else
        top = pfn_of(cr3 >> 12 | cr3 << 20);
#endif
        say("cpu.cr3=%s", top == (start->pt_base - VIRT_BASE) / PAGE ? "pt_base" : "another table");
    }
    report_descriptors();
    for (i = 0; i < 8; i++)
        if (i < 4 || i > 5)
            say("cpu.dr%u=%x", UL(i), UL(get_debugreg(i)));
#ifdef __x86_64__
    report_base("fs_base", 0xc0000100);
    report_base("gs_base", 0xc0000101);
    report_base("gs_base_user", 0xc0000102);
#endif
    if (guarded(read_fpu) || guarded(read_sse)) {
        say("cpu.fpu=unreadable");
    } else {
        say("cpu.fpu_control=%x", UL(fpu_control));
        say("cpu.sse_control=%x", UL(sse_control));
    }
}

#ifdef WITNESS_HYPERCALL_PAGE
/* Calls xen_version (17) through the page, as a kernel that has one does. */
static long through_page;
static void call_through_page(void)
{
    unsigned char *stub = hypercall_page + 32 * __HYPERVISOR_xen_version;
#ifdef __x86_64__
    register unsigned long a asm("rdi") = XENVER_version, b asm("rsi") = 0;

    asm volatile("call *%[stub]" : "=a"(through_page), "+r"(a), "+r"(b) : [stub] "r"(stub)
                 : "rdx", "r10", "r8", "rcx", "r11", "memory");
#else
    unsigned long a = XENVER_version, b = 0;

    asm volatile("call *%[stub]" : "=a"(through_page), "+b"(a), "+c"(b) : [stub] "r"(stub) : "memory");
#endif
}
#endif

void report_hypercall_page(void)
{
#ifdef WITNESS_HYPERCALL_PAGE
    unsigned i, filled = 0;

    for (i = 0; i < 128; i++) {
        unsigned char *stub = hypercall_page + 32 * i;
        unsigned char *number = stub;
        while (number < stub + 8 && *number != 0xb8)
            number++;
        if (*number == 0xb8 && number[1] == i && !number[2] && !number[3] && !number[4])
            filled++;
    }
    say("hypercall_page.stubs=%u", UL(filled));
    say("hypercall_page.hash=%l", fnv1a(FNV_START, hypercall_page, PAGE));
    if (filled > __HYPERVISOR_xen_version && !guarded(call_through_page))
        say("hypercall_page.works=%s", through_page == xen_version(XENVER_version, NULL) ? "yes" : "no");
    else
        say("hypercall_page.works=no");
#else
    say("hypercall_page=not asked for");
#endif
}
