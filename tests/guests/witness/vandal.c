/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Proof that the witness sees: commits, before anything is looked at, the faults that a careless loader would leave.
 * Built in with -DWITNESS_VANDAL only; the scenario names the line by which each must show.
 */
#include "witness.h"

#ifdef WITNESS_VANDAL
static char pages[4][4096] __attribute__((aligned(4096)));

static xen_pfn_t frame_of(const void *at)
{
    return p2m[(UL(at) - VIRT_BASE) / PAGE];
}

static void must(long error, const char *what)
{
    if (error < 0)
        note("the vandal failed: %s: %d", what, error);
}

static void leave_events(void)
{
    struct evtchn_alloc_unbound unbound = { .dom = DOMID_SELF, .remote_dom = 0 };
    struct evtchn_bind_virq virq = { .virq = VIRQ_DEBUG, .vcpu = 0 };

    must(event_op(EVTCHNOP_alloc_unbound, &unbound), "unbound port");
    must(event_op(EVTCHNOP_bind_virq, &virq), "VIRQ");
    shared->evtchn_pending[0] = 0; /* what our own requests to xenstore left */
    shared->vcpu_info[0].evtchn_upcall_pending = 0;
    shared->vcpu_info[0].evtchn_pending_sel = 0;
    shared->evtchn_mask[1] |= 1UL << 5;
    shared->evtchn_pending[1] |= 1UL << 6;
    shared->vcpu_info[0].evtchn_pending_sel |= 2;
}

static void leave_grant(void)
{
    static xen_pfn_t list[1];
    struct gnttab_setup_table setup = { .dom = DOMID_SELF, .nr_frames = 1 };
    grant_entry_v1_t *entries;

    set_xen_guest_handle(setup.frame_list, list);
    must(grant_op(GNTTABOP_setup_table, &setup), "grant table");
    entries = window_map(SLOT_ANY, list[0], PTE_PRESENT | PTE_RW);
    if (!entries)
        return;
    entries[9].frame = (uint32_t)frame_of(pages[0]);
    entries[9].flags = GTF_permit_access;
}

/* A descriptor table, a pinned page table, an absent entry that is not zero. */
static void leave_typed_frames(void)
{
    static xen_pfn_t gdt[1];
    struct mmuext_op pin = { .cmd = MMUEXT_PIN_L1_TABLE };

    ((volatile uint64_t *)pages[1])[4] = 0x00cff3000000ffffULL; /* a flat data segment */
    gdt[0] = frame_of(pages[1]);
    must(update_va_mapping(UL(pages[1]), (uint64_t)gdt[0] << 12 | PTE_PRESENT, UVMF_INVLPG), "read-only GDT page");
    must(hypercall(__HYPERVISOR_set_gdt, UL(gdt), 512, 0, 0, 0), "GDT");

    pin.arg1.mfn = frame_of(pages[2]);
    must(update_va_mapping(UL(pages[2]), (uint64_t)pin.arg1.mfn << 12 | PTE_PRESENT, UVMF_INVLPG), "read-only table");
    must(mmuext_op(&pin), "pin");

    must(update_va_mapping(UL(pages[3]), 0x1000, UVMF_INVLPG), "absent entry");
}

static void leave_wrong_m2p(void)
{
    struct mmu_update update = { .ptr = (uint64_t)frame_of(pages[0]) << 12 | MMU_MACHPHYS_UPDATE, .val = 1 };
    unsigned done;

    must(mmu_update(&update, 1, &done), "M2P");
}

static void leave_in_processor(void)
{
    /* Xen writes the runstate whenever the processor is given away: into a page that now is somebody else's. */
    struct vcpu_register_runstate_memory_area area = { .addr.p = entry_regs.sp + 64 * 1024 };

    must(vcpu_op(VCPUOP_register_runstate_memory_area, 0, &area), "runstate area");
    must(hypercall(__HYPERVISOR_set_debugreg, 0, 0x1000, 0, 0, 0), "debug register");
#ifdef __x86_64__
    must(hypercall(__HYPERVISOR_set_segment_base, SEGBASE_FS, 0x1000, 0, 0, 0), "FS base");
#endif
}

static void leave_vcpu_info(void)
{
    static struct vcpu_info elsewhere __attribute__((aligned(64)));
    struct vcpu_register_vcpu_info where = { .mfn = frame_of(&elsewhere), .offset = (uint32_t)(UL(&elsewhere) % PAGE) };

    must(vcpu_op(VCPUOP_register_vcpu_info, 0, &where), "vcpu_info");
}

void vandalise(void)
{
    leave_grant();
    leave_typed_frames();
    leave_wrong_m2p();
    leave_in_processor();
    vandalise_store();
    leave_events();
    leave_vcpu_info();
}
#endif
