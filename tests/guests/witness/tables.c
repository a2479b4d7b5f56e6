/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The page tables as handed over: walked from the top by machine frame through our windows, so that nothing depends on
 * where start_info says they are; then compared with what start_info says.
 */
#include "witness.h"

#ifdef __x86_64__
#define LEVELS 4U
#define TOP_ENTRIES 512U
#else
#define LEVELS 3U
#define TOP_ENTRIES 4U
#endif
#define MAX_TABLES 2048
#define MAX_RUNS 48
#define MAX_KINDS 8

static struct table { unsigned long pfn, mfn; unsigned level; } tables[MAX_TABLES];
static unsigned table_count, shared_tables, unmappable;
static unsigned long nonzero_absent, leaf_count, foreign_leaves, tables_writable, tables_readable;
static struct run { unsigned long va, pfn, pages; pte_t flags; } runs[MAX_RUNS];
static unsigned run_count, runs_lost;
static struct kind { pte_t flags; unsigned long count; } kinds[LEVELS + 1][MAX_KINDS];
static enum { COLLECT, LEAVES } pass;

int is_table(unsigned long pfn)
{
    unsigned i;

    for (i = 0; i < table_count; i++)
        if (tables[i].pfn == pfn)
            return 1;
    return 0;
}

/* Accessed and dirty bits are the processor's, and set by running at all. */
static pte_t flags_of(pte_t pte)
{
    return pte & ~(PTE_FRAME | PTE_ACCESSED | PTE_DIRTY);
}

static void count_kind(unsigned level, pte_t flags)
{
    unsigned i;

    for (i = 0; i < MAX_KINDS; i++) {
        struct kind *k = &kinds[level][i];
        if (k->count && k->flags != flags)
            continue;
        k->flags = flags;
        k->count++;
        return;
    }
}

/* True for what Xen keeps for itself in a guest's tables. */
static int xen_area(unsigned long va)
{
#ifdef __x86_64__
    return va >= __HYPERVISOR_VIRT_START && va < __HYPERVISOR_VIRT_END;
#else
    static unsigned long hole;
    struct xen_platform_parameters p;

    if (!hole)
        hole = xen_version(XENVER_platform_parameters, &p) ? __HYPERVISOR_VIRT_START_PAE : p.virt_start;
    return va >= hole;
#endif
}

static unsigned long sign_extend(unsigned long va)
{
#ifdef __x86_64__
    return va & 1UL << 47 ? va | 0xffff000000000000UL : va;
#else
    return va;
#endif
}

static void leaf(unsigned long va, pte_t pte)
{
    struct run *r = &runs[run_count ? run_count - 1 : 0];
    unsigned long pfn;
    pte_t flags = flags_of(pte);

    leaf_count++;
    if (in_window(va)) { /* rewritten by us; window_check() vouches for the original */
        pfn = (va - VIRT_BASE) / PAGE;
        flags = run_count ? r->flags : flags;
    } else {
        pfn = pfn_of((pte & PTE_FRAME) >> 12);
    }
    count_kind(1, flags);
    if (pfn == NOT_OURS)
        foreign_leaves++;
    else if (is_table(pfn))
        *(pte & PTE_RW ? &tables_writable : &tables_readable) += 1;
    if (run_count && va == r->va + r->pages * PAGE && pfn == r->pfn + r->pages && flags == r->flags) {
        r->pages++;
    } else if (run_count < MAX_RUNS) {
        runs[run_count++] = (struct run){ va, pfn, 1, flags };
    } else {
        runs_lost++;
    }
}

static void walk(unsigned level, uint64_t mfn, unsigned long va)
{
    unsigned i, entries = level == LEVELS ? TOP_ENTRIES : 512;
    unsigned shift = 12 + 9 * (level - 1);
    volatile pte_t *table;

    if (pass == COLLECT) {
        for (i = 0; i < table_count; i++)
            if (tables[i].mfn == mfn) {
                shared_tables++;
                return;
            }
        if (table_count < MAX_TABLES)
            tables[table_count++] = (struct table){ pfn_of(mfn), (unsigned long)mfn, level };
    }
    table = window_map(SLOT_WALK1 + level - 1, mfn, PTE_PRESENT);
    if (!table) {
        unmappable++;
        return;
    }
    for (i = 0; i < entries; i++) {
        unsigned long at = sign_extend(va + ((unsigned long)i << shift));
        pte_t pte = table[i];

        if (xen_area(at))
            continue;
        if (!(pte & PTE_PRESENT)) {
            nonzero_absent += pass == COLLECT && pte;
        } else if (level > 1) {
            if (pass == COLLECT)
                count_kind(level, flags_of(pte));
            walk(level - 1, (pte & PTE_FRAME) >> 12, at);
        } else if (pass == LEAVES) {
            leaf(at, pte);
        }
    }
}

static unsigned long top_mfn(void)
{
    unsigned long pfn = (start->pt_base - VIRT_BASE) / PAGE;

    if (start->pt_base < VIRT_BASE || start->pt_base % PAGE || pfn >= nr_pages)
        give_up("pt_base is not an address of a page of this domain");
    return p2m[pfn];
}

uint64_t l1_entry_address(unsigned long va)
{
    uint64_t mfn = top_mfn();
    unsigned level;

    for (level = LEVELS; ; level--) {
        unsigned index = (unsigned)(va >> (12 + 9 * (level - 1))) & 511;
        volatile pte_t *table = window_map(SLOT_WALK1 + level - 1, mfn, PTE_PRESENT);

        if (level == 1)
            return mfn << 12 | index * sizeof(pte_t);
        if (!table || !(table[index] & PTE_PRESENT))
            give_up("the tables do not map the witness itself");
        mfn = (table[index] & PTE_FRAME) >> 12;
    }
}

static const struct table *table_at(unsigned long pfn)
{
    unsigned i;

    for (i = 0; i < table_count; i++)
        if (tables[i].pfn == pfn)
            return &tables[i];
    return NULL;
}

/* The tables of a declared range in PFN order, as "level x how many in a row". */
static unsigned long report_order(const char *name, unsigned long first, unsigned long count)
{
    unsigned long pfn = first, found = 0;
    char text[400] = "";

    while (pfn < first + count) {
        const struct table *t = table_at(pfn);
        unsigned long many = 0;
        unsigned level = t ? t->level : 0;

        for (; pfn < first + count; pfn++, many++) {
            t = table_at(pfn);
            if ((t ? t->level : 0) != level)
                break;
            found += t != NULL;
        }
        append(text, sizeof text, level ? " L%ux%u" : " none%u", level ? UL(level) : many, many);
    }
    say("tables.%s=%s", name, text[0] ? text + 1 : "nothing declared");
    return found;
}

/* A pin shows itself by letting itself be undone; it is made anew at once. */
static int pinned(const struct table *t)
{
    struct mmuext_op op = { .cmd = MMUEXT_UNPIN_TABLE, .arg1.mfn = t->mfn };

    if (mmuext_op(&op))
        return 0;
    op.cmd = MMUEXT_PIN_L1_TABLE + t->level - 1;
    if (mmuext_op(&op))
        note("pinning %x at level %u again failed", t->pfn, UL(t->level));
    return 1;
}

static void report_runs(void)
{
    unsigned i;

    for (i = 0; i < run_count; i++)
        if (runs[i].pfn == NOT_OURS)
            say("map.%u=%v pages %x of another owner flags %l", UL(i), runs[i].va, runs[i].pages, runs[i].flags);
        else
            say("map.%u=%v pages %x from pfn %x flags %l", UL(i), runs[i].va, runs[i].pages, runs[i].pfn, runs[i].flags);
    say("map.runs_not_shown=%u", UL(runs_lost));
    say("map.pages=%x", leaf_count);
    say("map.pages_of_others=%x", foreign_leaves);
}

static void report_kinds(void)
{
    unsigned level, i;

    for (level = LEVELS; level; level--) {
        char text[300] = "";
        for (i = 0; i < MAX_KINDS && kinds[level][i].count; i++)
            append(text, sizeof text, " %lx%u", kinds[level][i].flags, kinds[level][i].count);
        say("tables.flags.L%u=%s", UL(level), text[0] ? text + 1 : "none");
    }
}

void report_tables(void)
{
    unsigned long pt_pfn = (start->pt_base - VIRT_BASE) / PAGE, in_boot, in_p2m = 0;
    unsigned i, others_pinned = 0;

    pass = COLLECT;
    walk(LEVELS, top_mfn(), 0);
    pass = LEAVES;
    walk(LEVELS, top_mfn(), 0);

    report_runs();
    report_kinds();
    say("tables.count=%u", UL(table_count));
    say("tables.used_twice=%u", UL(shared_tables));
    say("tables.unmappable=%u", UL(unmappable));
    say("tables.nonzero_absent_entries=%u", nonzero_absent);
    in_boot = report_order("at_pt_base", pt_pfn, start->nr_pt_frames);
    if (start->nr_p2m_frames) {
        unsigned long list = (nr_pages * sizeof(xen_pfn_t) + PAGE - 1) / PAGE;
        if (start->nr_p2m_frames >= list)
            in_p2m = report_order("at_p2m", start->first_p2m_pfn + list, start->nr_p2m_frames - list);
        else
            say("tables.at_p2m=list alone has %u frames", list);
    }
    say("tables.undeclared=%u", UL(table_count) - in_boot - in_p2m);
    say("tables.mapped_readonly=%u", tables_readable);
    say("tables.mapped_writable=%u", tables_writable);
    say("tables.top_pinned=%s", table_count && pinned(&tables[0]) ? "yes" : "no");
    for (i = 1; i < table_count; i++)
        others_pinned += (unsigned)pinned(&tables[i]);
    say("tables.others_pinned=%u", UL(others_pinned));
}
