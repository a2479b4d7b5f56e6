/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The memory map and the module.
 */
#include "witness.h"

void report_e820(void)
{
    static struct { uint64_t address, size; uint32_t type; } __attribute__((packed)) entries[64];
    struct xen_memory_map map = { .nr_entries = 64 };
    long error;
    unsigned i;

    set_xen_guest_handle_raw(map.buffer, entries);
    error = memory_op(XENMEM_memory_map, &map);
    say("e820=error %d entries %u", error, error ? 0UL : UL(map.nr_entries));
    for (i = 0; !error && i < map.nr_entries && i < 64; i++)
        say("e820.%u=%l size %l type %u", UL(i), entries[i].address, entries[i].size, UL(entries[i].type));
}

/* A page of the module, by whichever of the two ways start_info uses. */
static const unsigned char *module_page(unsigned long index)
{
    if (!(start->flags & SIF_MOD_START_PFN))
        return (const unsigned char *)(start->mod_start + index * PAGE);
    if (start->mod_start + index >= nr_pages)
        return NULL;
    return window_map(SLOT_ANY, p2m[start->mod_start + index], PTE_PRESENT);
}

void report_module(void)
{
    unsigned long pages = (start->mod_len + PAGE - 1) / PAGE, index, significant = 0, i;
    uint64_t hash = FNV_START, at_last_nonzero = FNV_START;

    if (!start->mod_len) {
        say("module=none, mod_start %x", start->mod_start);
        return;
    }
    if (start->flags & SIF_MOD_START_PFN)
        say("module=at pfn %x", start->mod_start);
    else
        say("module=at %v", start->mod_start);
    say("module.len=%x", start->mod_len);
    for (index = 0; index < pages; index++) {
        const unsigned char *page = module_page(index);

        if (!page) {
            say("module.unmappable_page=%x", index);
            return;
        }
        /* To the end of the last page: what follows the module's last byte there must be zero, or it would leak. */
        for (i = 0; i < PAGE; i++) {
            hash = (hash ^ page[i]) * 0x100000001b3ULL;
            if (page[i]) {
                at_last_nonzero = hash;
                significant = index * PAGE + i + 1;
            }
        }
    }
    /* Trailing zeros left out of both, as the domain builder may round a module's length up to pages. */
    say("module.hash=%l", at_last_nonzero);
    say("module.len_without_trailing_zeros=%x", significant);
    say("module.after_its_end=%s", significant <= start->mod_len ? "zero" : "not zero");
}
