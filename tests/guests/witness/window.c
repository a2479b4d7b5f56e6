/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Pages of our own .bss whose level-1 entries are rewritten to look at any frame. That needs no new page table and no
 * trust in where the handed-over tables say they are mapped.
 */
#include "witness.h"

char window[SLOTS][4096] __attribute__((aligned(4096), section(".bss.window")));
const char *window_identity;

int in_window(unsigned long va)
{
    return va >= UL(window) && va < UL(window + SLOTS);
}

/* Before the first remapping: each window page is writable, and the frame behind it is the one p2m names. The walk of
 * the tables later meets our own rewritten entries here, so this is what is known of the original ones. */
void window_check(void)
{
    unsigned i, j;

    for (i = 0; i < SLOTS; i++)
        for (j = 0; j < PAGE; j += 8)
            *(volatile uint64_t *)(window[i] + j) = 0x77690000ULL + i * 512 + j / 8;
    for (i = 0; i < SLOTS; i++) {
        xen_pfn_t mfn = p2m[(UL(window[i]) - VIRT_BASE) / PAGE];
        if (!window_map(SLOT_ANY, mfn, PTE_PRESENT)) {
            window_identity = "a frame cannot be mapped";
            return;
        }
        for (j = 0; j < PAGE; j += 8)
            if (*(volatile uint64_t *)(window[SLOT_ANY] + j) != 0x77690000ULL + i * 512 + j / 8) {
                window_identity = "a page is not the frame p2m names";
                return;
            }
    }
    window_identity = "ok";
}

void *window_map(enum slot slot, uint64_t mfn, pte_t flags)
{
    if (update_va_mapping(UL(window[slot]), mfn << 12 | flags, UVMF_INVLPG))
        return NULL;
    return window[slot];
}

void window_batch(const xen_pfn_t *mfns, unsigned count, unsigned char *refused)
{
    static struct mmu_update updates[WINDOW_BATCH];
    static uint64_t entries[WINDOW_BATCH];
    static struct mmuext_op flush = { .cmd = MMUEXT_TLB_FLUSH_LOCAL };
    unsigned i, at = 0;

    for (i = 0; i < count; i++) {
        if (!entries[i])
            entries[i] = l1_entry_address(UL(window[SLOT_BATCH + i]));
        updates[i].ptr = entries[i] | MMU_NORMAL_PT_UPDATE;
        updates[i].val = (uint64_t)mfns[i] << 12 | PTE_PRESENT | PTE_RW;
        refused[i] = 0;
    }
    while (at < count) {
        unsigned done = 0;
        if (mmu_update(updates + at, count - at, &done) == 0)
            break;
        at += done;
        if (at < count)
            refused[at++] = 1;
    }
    mmuext_op(&flush);
}
