/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Every frame of the domain: p2m against M2P, frames that Xen holds typed, frames that somebody still writes to.
 */
#include "witness.h"

#define HASHED_LIMIT 0x20000UL /* pages: 512 MiB; beyond that the two passes would take too long under emulation */

static const xen_pfn_t *m2p;
unsigned long max_mfn;

void frames_start(void)
{
    struct xen_machphys_mapping m;

    if (memory_op(XENMEM_machphys_mapping, &m))
        give_up("XENMEM_machphys_mapping");
    m2p = (const xen_pfn_t *)m.v_start;
    max_mfn = m.max_mfn;
}

/* The PFN of a frame of this domain, if both directions say so. */
unsigned long pfn_of(uint64_t mfn)
{
    unsigned long pfn;

    if (mfn > max_mfn)
        return NOT_OURS;
    pfn = m2p[mfn];
    return pfn < nr_pages && p2m[pfn] == mfn ? pfn : NOT_OURS;
}

static void report_agreement(void)
{
    unsigned long pfn, wrong = 0, beyond = 0, tail = nr_pages, zeros = 0, ones = 0;

    for (pfn = 0; pfn < nr_pages; pfn++) {
        if (p2m[pfn] > max_mfn) {
            beyond++;
        } else if (m2p[p2m[pfn]] != pfn) {
            if (wrong++ < 8)
                note("m2p disagrees: p2m[%x] = %x, m2p there %x", pfn, UL(p2m[pfn]), UL(m2p[p2m[pfn]]));
        }
    }
    /* With both directions equal for every PFN, no frame can be listed twice. */
    say("p2m.entries=%x", nr_pages);
    say("p2m.entries_m2p_disagrees=%x", wrong);
    say("p2m.entries_without_frame=%x", beyond);
    for (; tail % (PAGE / sizeof(xen_pfn_t)); tail++) {
        zeros += p2m[tail] == 0;
        ones += p2m[tail] == ~(xen_pfn_t)0;
    }
    say("p2m.last_page_rest=%s", zeros == tail - nr_pages ? "zero" : ones == tail - nr_pages ? "invalid" : "other");
}

static uint64_t hash_page(const uint64_t *page)
{
    uint64_t hash = 0;
    unsigned i;

    for (i = 0; i < 512; i++)
        hash = (hash << 5 | hash >> 59) + page[i];
    return hash;
}

static int own_or_ring(unsigned long pfn, unsigned long store, unsigned long console)
{
    unsigned long va = VIRT_BASE + pfn * PAGE;

    return pfn == store || pfn == console || (va >= UL(image_start) / PAGE * PAGE && va < UL(image_end));
}

static unsigned long refused_tables, refused_others;
static uint64_t hashes[2][HASHED_LIMIT / WINDOW_BATCH];

/* Maps each frame writable once. Xen refuses just those that it holds as page table or descriptor page. */
static void pass(unsigned round)
{
    static unsigned char refused[WINDOW_BATCH];
    unsigned long pfn, store = pfn_of(start->store_mfn), console = pfn_of(start->console.domU.mfn);

    for (pfn = 0; pfn < nr_pages; pfn += WINDOW_BATCH) {
        unsigned i, count = nr_pages - pfn < WINDOW_BATCH ? (unsigned)(nr_pages - pfn) : WINDOW_BATCH;
        uint64_t hash = 0;

        window_batch(p2m + pfn, count, refused);
        for (i = 0; i < count; i++) {
            if (refused[i]) {
                if (round == 0 && is_table(pfn + i))
                    refused_tables++;
                else if (round == 0 && refused_others++ < 16)
                    note("pfn %x cannot be mapped writable and is no table of ours", pfn + i);
            } else if (nr_pages <= HASHED_LIMIT && !own_or_ring(pfn + i, store, console)) {
                hash = hash * 31 + hash_page((const uint64_t *)window[SLOT_BATCH + i]);
            }
        }
        if (nr_pages <= HASHED_LIMIT)
            hashes[round][pfn / WINDOW_BATCH] = hash;
    }
}

void report_frames(void)
{
    domid_t self = DOMID_SELF;

    report_agreement();
    say("memory.current_less_nr_pages=%d", memory_op(XENMEM_current_reservation, &self) - (long)nr_pages);
    say("memory.maximum_less_nr_pages=%d", memory_op(XENMEM_maximum_reservation, &self) - (long)nr_pages);
    say("window=%s", window_identity);
    pass(0);
    say("frames.tables_not_writable=%u", refused_tables);
    say("frames.others_not_writable=%u", refused_others);
}

/* A second look after everything else: memory that changed without us is memory that somebody else still writes to. */
void report_quiet_memory(void)
{
    unsigned long i, changed = 0;

    if (nr_pages > HASHED_LIMIT) {
        say("memory.written_by_others=not measured above %x pages", HASHED_LIMIT);
        return;
    }
    pass(1);
    for (i = 0; i < HASHED_LIMIT / WINDOW_BATCH; i++)
        if (hashes[0][i] != hashes[1][i] && changed++ < 8)
            note("memory changed near pfn %x", i * WINDOW_BATCH);
    say("memory.written_by_others=%u blocks of 256 KiB", changed);
}
