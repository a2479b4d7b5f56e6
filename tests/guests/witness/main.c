/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The order of the report. First everything that looking at would change, then the rest, last what changes the domain.
 */
#include "witness.h"

const struct start_info *start;
xen_pfn_t *p2m;
unsigned long nr_pages;

static uint64_t image_hash, text_hash;
static int bss_zero, tail_zero, odd_intact, stack_known, stack_zero, slack_zero;

/* Before anything is written to .bss or mapped: the image, what follows it in its last page, the boot stack. */
static void memory_snapshot(const struct start_info *info, int results[5], uint64_t *hash)
{
    const unsigned char *odd = (const unsigned char *)odd_load_address;
    unsigned long stack_page = entry_regs.sp - PAGE, i;

    *hash = fnv1a(FNV_START, image_start, (size_t)(data_end - image_start));
#ifdef WITNESS_HYPERCALL_PAGE
    results[0] = all_zero(bss_start, hypercall_page) && all_zero(hypercall_page + PAGE, bss_end);
#else
    results[0] = all_zero(bss_start, bss_end);
#endif
    results[1] = all_zero(bss_end, image_end);
    results[2] = 1;
    for (i = 0; i < UL(odd_size); i++)
        results[2] &= odd[i] == (unsigned char)(7 * i);
    /* Only where the ABI puts the stack: right behind the page tables. */
    results[3] = stack_page == info->pt_base + info->nr_pt_frames * PAGE;
    results[4] = results[3] && all_zero((void *)stack_page, (void *)(stack_page + PAGE));
}

/* The padding after the boot stack: at least 512 KiB of it. */
static void slack_snapshot(void)
{
    slack_zero = stack_known && all_zero((void *)entry_regs.sp, (void *)(entry_regs.sp + 512 * 1024));
}

static void report_image(void)
{
    say("variant=%s", WITNESS_VARIANT);
    say("image.start=%v", UL(image_start));
    say("image.end=%v", UL(image_end));
    say("image.hash=%l", image_hash);
    say("image.bss=%s", bss_zero ? "zero" : "not zero");
    say("image.rest_of_last_page=%s", tail_zero ? "zero" : "not zero");
    say("image.odd_segment=%s", odd_intact ? "intact" : "damaged");
    say("stack.place=%s", stack_known ? "behind the page tables" : "elsewhere");
    /* What the ABI leaves open: xl does not clear these pages either, so they hold whatever their frames held. */
    note("boot stack page: %s", stack_zero ? "zero" : "not zero");
    note("first 512 KiB behind it: %s", slack_zero ? "zero" : "not zero");
    note("rest of the start_info page: %s", all_zero(start + 1, (const char *)start + PAGE) ? "zero" : "not zero");
}

static void report_start_info(unsigned long at)
{
    unsigned long pfn = (at - VIRT_BASE) / PAGE;
    const char *text = (const char *)start->cmd_line;
    char magic[33] = "", line[MAX_GUEST_CMDLINE + 1];
    size_t n;

    memcpy(magic, start->magic, 32);
    say("start_info=%v", at);
    say("start_info.magic=%s", magic);
    say("start_info.magic_rest=%s", all_zero(start->magic + length(magic), start->magic + 32) ? "zero" : "not zero");
    say("start_info.nr_pages=%x", start->nr_pages);
    say("start_info.flags=%x", UL(start->flags));
    say("start_info.shared_info_offset=%x", start->shared_info % PAGE);
    say("start_info.shared_info=%s", pfn_of(start->shared_info / PAGE) == NOT_OURS ? "Xen's own frame" : "a frame of ours");
    say("start_info.store_pfn_less_own=%d", (long)(pfn_of(start->store_mfn) - pfn));
    say("start_info.store_evtchn=%u", UL(start->store_evtchn));
    say("start_info.console_pfn_less_own=%d", (long)(pfn_of(start->console.domU.mfn) - pfn));
    say("start_info.console_evtchn=%u", UL(start->console.domU.evtchn));
    say("start_info.pt_base=%v", start->pt_base);
    say("start_info.nr_pt_frames=%u", start->nr_pt_frames);
    say("start_info.mfn_list=%v", start->mfn_list);
    say("start_info.mod_start=%x", start->mod_start);
    say("start_info.mod_len=%x", start->mod_len);
    memcpy(line, text, MAX_GUEST_CMDLINE);
    line[MAX_GUEST_CMDLINE] = 0;
    n = length(line);
    say("start_info.cmd_line=%s", line);
    say("start_info.cmd_line_len=%u", UL(n));
    say("start_info.cmd_line_rest=%s", all_zero(text + n, text + MAX_GUEST_CMDLINE) ? "zero" : "not zero");
    say("start_info.first_p2m_pfn=%x", start->first_p2m_pfn);
    say("start_info.nr_p2m_frames=%u", start->nr_p2m_frames);
    note("mfn: shared_info %x store %x console %x", start->shared_info / PAGE, UL(start->store_mfn),
         UL(start->console.domU.mfn));
    note("top table in frame %x", UL(p2m[(start->pt_base - VIRT_BASE) / PAGE]));
}

void witness(const struct start_info *info) __attribute__((noreturn));
void witness(const struct start_info *info)
{
    struct sched_shutdown off = { .reason = SHUTDOWN_poweroff };
    int results[5];
    uint64_t hash;

#ifdef WITNESS_VANDAL
    bss_zero = 1; /* a byte that ought to be 0 */
#endif
    memory_snapshot(info, results, &hash);
    image_hash = hash;
    text_hash = fnv1a(FNV_START, image_start, (size_t)(text_end - image_start));
    bss_zero = results[0];
    tail_zero = results[1];
    odd_intact = results[2];
    stack_known = results[3];
    stack_zero = results[4];
    start = info;
    nr_pages = info->nr_pages;
    p2m = (xen_pfn_t *)info->mfn_list;

    frames_start();
    window_check();
    events_snapshot();
    traps_start();
    console_start(info->console.domU.mfn, info->console.domU.evtchn);
    store_start(info->store_mfn, info->store_evtchn);
#ifdef WITNESS_VANDAL
    vandalise();
    events_snapshot();
    store_start(info->store_mfn, info->store_evtchn);
#endif
    slack_snapshot();

    report_image();
    report_start_info(UL(info));
    report_cpu();
    report_hypercall_page();
    report_events();
    report_vcpus();
    say("console.output_waiting=%u", UL(console_at_entry.d - console_at_entry.c));
    say("console.input_waiting=%u", UL(console_at_entry.b - console_at_entry.a));
    console_listen();
    report_e820();
    report_tables();
    report_frames();
    report_module();
    report_grants();
    report_store();
    report_timer();
    report_quiet_memory();
    say("image.at_the_end=%s", fnv1a(FNV_START, image_start, (size_t)(text_end - image_start)) == text_hash
        ? "unchanged" : "changed");
    report_store_leftovers();
    report_grant_versions();
    report_vcpu_info();
    say("done");
    console_drain();
    for (;;)
        sched_op(SCHEDOP_shutdown, &off);
}
