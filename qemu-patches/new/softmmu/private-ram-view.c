/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private RAM: where its blocks are in the memory map, and when the machine
 * starts to run.
 *
 * Locking: the memory map changes in transactions, under the BQL. Here each
 * transaction also holds the private-RAM mutex, from before the first listener
 * hears of it until after the new map is visible. A conversion, which does not
 * have the BQL, looks at the map and changes attributes under the mutex: so it
 * is wholly before the transaction, and the accelerator replays its result; or
 * wholly after, and it sees the new map. Without that it could find a page in
 * the old map, and set the attribute of what the new map has there.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/rcu.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "exec/private-ram-access.h"
#include "sysemu/runstate.h"
#include "private-ram-internal.h"
#include "trace.h"

typedef struct SectionSearch {
    hwaddr start;
    hwaddr end;
    PrivateRAMSection *section;
    bool found;
} SectionSearch;

/* Ranges come in the order of their addresses. */
static bool match_range(Int128 start128, Int128 len, const MemoryRegion *mr,
                        hwaddr offset, void *opaque)
{
    SectionSearch *search = opaque;
    PrivateRAM *pr = private_ram_of(mr);
    hwaddr start, end, part;

    if (int128_ge(start128, int128_make64(search->end))) {
        return true;
    }
    if (!pr) {
        return false;
    }
    start = int128_get64(start128);
    part = MAX(start, search->start);
    end = int128_get64(int128_min(int128_add(start128, len),
                                  int128_make64(search->end)));
    offset += part - start;

    /* A page that is RAM only in part, or lies across two of the block's. */
    if (!QEMU_IS_ALIGNED(offset - part, PRIVATE_RAM_PAGE_SIZE)) {
        return false;
    }
    offset += ROUND_UP(part, PRIVATE_RAM_PAGE_SIZE) - part;
    part = ROUND_UP(part, PRIVATE_RAM_PAGE_SIZE);
    end = ROUND_DOWN(end, PRIVATE_RAM_PAGE_SIZE);
    if (part >= end) {
        return false;
    }

    *search->section = (PrivateRAMSection) {
        .pr = pr,
        .gpa = part,
        .offset = offset,
        .size = end - part,
    };
    search->found = true;
    return true;
}

bool private_ram_find_section(hwaddr start, hwaddr end,
                              PrivateRAMSection *section)
{
    SectionSearch search = {
        .start = start,
        .end = end,
        .section = section,
    };

    RCU_READ_LOCK_GUARD();
    flatview_for_each_range(address_space_to_flatview(&address_space_memory),
                            match_range, &search);
    return search.found;
}

typedef struct GpaSearch {
    const PrivateRAM *pr;
    ram_addr_t offset;
    hwaddr gpa;
    bool found;
} GpaSearch;

static bool match_offset(Int128 start, Int128 len, const MemoryRegion *mr,
                         hwaddr offset, void *opaque)
{
    GpaSearch *search = opaque;

    if (private_ram_of(mr) == search->pr && search->offset >= offset &&
        int128_lt(int128_make64(search->offset - offset), len)) {
        search->gpa = int128_get64(start) + search->offset - offset;
        search->found = true;
    }
    return search->found;
}

bool private_ram_find_gpa(const PrivateRAM *pr, ram_addr_t offset, hwaddr *gpa)
{
    GpaSearch search = {
        .pr = pr,
        .offset = offset,
    };

    RCU_READ_LOCK_GUARD();
    flatview_for_each_range(address_space_to_flatview(&address_space_memory),
                            match_offset, &search);
    *gpa = search.gpa;
    return search.found;
}

static void transaction_begin(MemoryListener *listener)
{
    private_ram_lock();
}

static void transaction_commit(MemoryListener *listener)
{
    private_ram_unlock();
}

/* Two, because listeners are told of both ends in the same order. */
static MemoryListener first_listener = {
    .name = "private-ram-first",
    .priority = 0,
    .begin = transaction_begin,
};

static MemoryListener last_listener = {
    .name = "private-ram-last",
    .priority = UINT_MAX,
    .commit = transaction_commit,
};

static void seal_at_first_run(void *opaque, bool running, RunState state)
{
    Error *err = NULL;

    if (!running || private_ram_sealed) {
        return;
    }
    /* The vCPUs are about to be let go: nothing has run that could be lost. */
    if (private_ram_seal(&err) < 0) {
        error_report_err(err);
        exit(EXIT_FAILURE);
    }
}

void private_ram_watch(void)
{
    static bool watching;

    if (watching) {
        return;
    }
    watching = true;
    /* Each is told of a transaction of its own: together they make one. */
    memory_listener_register(&first_listener, &address_space_memory);
    memory_listener_register(&last_listener, &address_space_memory);
    qemu_add_vm_change_state_handler(seal_at_first_run, NULL);
    private_ram_in_use = true;
}
