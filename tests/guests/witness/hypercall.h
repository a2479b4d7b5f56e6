/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Hypercalls by hand (no hypercall page): the two widths' conventions of Xen's arch-x86 headers.
 */
#ifndef HYPERCALL_H
#define HYPERCALL_H

#ifdef __x86_64__
static inline long hypercall(unsigned nr, unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e)
{
    register unsigned long r10 asm("r10") = d;
    register unsigned long r8 asm("r8") = e;
    long result = nr;
    asm volatile("syscall" : "+a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8) : : "rcx", "r11", "memory");
    return result;
}
#else
static inline long hypercall(unsigned nr, unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e)
{
    long result = nr;
    asm volatile("int $0x82" : "+a"(result), "+b"(a), "+c"(b), "+d"(c), "+S"(d), "+D"(e) : : "memory");
    return result;
}
#endif

#define UL(x) ((unsigned long)(x))

static inline long mmu_update(struct mmu_update *requests, unsigned count, unsigned *done)
{
    return hypercall(__HYPERVISOR_mmu_update, UL(requests), count, UL(done), DOMID_SELF, 0);
}
static inline long mmuext_op(struct mmuext_op *op)
{
    return hypercall(__HYPERVISOR_mmuext_op, UL(op), 1, 0, DOMID_SELF, 0);
}
static inline long update_va_mapping(unsigned long va, uint64_t pte, unsigned long flags)
{
#ifdef __x86_64__
    return hypercall(__HYPERVISOR_update_va_mapping, va, pte, flags, 0, 0);
#else
    return hypercall(__HYPERVISOR_update_va_mapping, va, UL(pte), UL(pte >> 32), flags, 0);
#endif
}
static inline long memory_op(unsigned cmd, void *arg) { return hypercall(__HYPERVISOR_memory_op, cmd, UL(arg), 0, 0, 0); }
static inline long event_op(unsigned cmd, void *arg) { return hypercall(__HYPERVISOR_event_channel_op, cmd, UL(arg), 0, 0, 0); }
static inline long sched_op(unsigned cmd, void *arg) { return hypercall(__HYPERVISOR_sched_op, cmd, UL(arg), 0, 0, 0); }
static inline long grant_op(unsigned cmd, void *arg) { return hypercall(__HYPERVISOR_grant_table_op, cmd, UL(arg), 1, 0, 0); }
static inline long vcpu_op(unsigned cmd, unsigned vcpu, void *arg) { return hypercall(__HYPERVISOR_vcpu_op, cmd, vcpu, UL(arg), 0, 0); }
static inline long xen_version(unsigned cmd, void *arg) { return hypercall(__HYPERVISOR_xen_version, cmd, UL(arg), 0, 0, 0); }
static inline long get_debugreg(unsigned reg) { return hypercall(__HYPERVISOR_get_debugreg, reg, 0, 0, 0, 0); }
static inline long set_trap_table(void *table) { return hypercall(__HYPERVISOR_set_trap_table, UL(table), 0, 0, 0, 0); }

#define barrier() asm volatile("" ::: "memory")
#define memory_fence() __sync_synchronize()

#endif
