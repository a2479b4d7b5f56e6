/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The grant table: which entries are in use, and whether any frame is still mapped by another domain.
 */
#include "witness.h"

#define MAX_FRAMES 64
#define V1_ENTRIES (PAGE / sizeof(grant_entry_v1_t))

static unsigned long used_in_frame(const volatile grant_entry_v1_t *entries, unsigned frame)
{
    unsigned long used = 0;
    unsigned i;

    for (i = 0; i < V1_ENTRIES; i++) {
        const volatile grant_entry_v1_t *e = &entries[i];
        unsigned ref = frame * (unsigned)V1_ENTRIES + i;
        const char *what;

        if (!e->flags && !e->domid && !e->frame)
            continue;
        what = e->frame == start->console.domU.mfn ? "console" : e->frame == start->store_mfn ? "store"
               : !e->frame ? "none" : pfn_of(e->frame) != NOT_OURS ? "a frame of ours" : "unknown frame";
        if (ref < GNTTAB_NR_RESERVED_ENTRIES) {
            say("grant.reserved.%u=flags %x domain %u frame %s", UL(ref), UL(e->flags), UL(e->domid), what);
        } else if (used++ < 8) {
            say("grant.leftover.%u=flags %x domain %u frame %s", UL(ref), UL(e->flags), UL(e->domid), what);
        }
    }
    return used;
}

void report_grants(void)
{
    static xen_pfn_t list[MAX_FRAMES];
    struct gnttab_get_version version = { .dom = DOMID_SELF };
    struct gnttab_query_size size = { .dom = DOMID_SELF };
    struct gnttab_setup_table setup = { .dom = DOMID_SELF };
    unsigned long used = 0;
    unsigned i;
    long error;

    error = grant_op(GNTTABOP_get_version, &version);
    if (error)
        say("grant.version=error %d", error);
    else
        say("grant.version=%u", UL(version.version));
    error = grant_op(GNTTABOP_query_size, &size);
    say("grant.query=error %d status %d", error, (long)size.status);
    say("grant.table_frames=%u", UL(size.nr_frames));
    say("grant.table_frames_max=%u", UL(size.max_nr_frames));

    setup.nr_frames = size.nr_frames ? size.nr_frames : 1;
    if (setup.nr_frames > MAX_FRAMES)
        setup.nr_frames = MAX_FRAMES;
    set_xen_guest_handle(setup.frame_list, list);
    error = grant_op(GNTTABOP_setup_table, &setup);
    say("grant.setup=error %d status %d", error, (long)setup.status);
    if (error || setup.status)
        return;
    for (i = 0; i < setup.nr_frames; i++) {
        const grant_entry_v1_t *entries = window_map(SLOT_ANY, list[i], PTE_PRESENT | PTE_RW);
        if (!entries) {
            say("grant.table_frame_unmappable=%u", UL(i));
            return;
        }
        used += used_in_frame(entries, i);
    }
    say("grant.leftovers=%u", used);
}

/* Xen refuses to change the version while any grant beyond the reserved ones is mapped, even one whose entry has been
 * cleared; so this finds frames that a backend still holds. It wipes those entries, and so comes last. */
void report_grant_versions(void)
{
    struct gnttab_set_version version = { .version = 2 };
    long to_two = grant_op(GNTTABOP_set_version, &version), to_one;

    version.version = 1;
    to_one = grant_op(GNTTABOP_set_version, &version);
    say("grant.set_version=to 2: %d, to 1: %d", to_two, to_one);
}
