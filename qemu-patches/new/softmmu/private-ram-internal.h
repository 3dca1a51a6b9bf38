/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private RAM: what the bookkeeping (private-ram.c), the view of the memory
 * map (private-ram-view.c), the checks of accesses (private-ram-access.c) and
 * the monitor's commands (private-ram-monitor.c) share.
 *
 * Everything here is under the private-RAM mutex but where it says otherwise.
 */
#ifndef SOFTMMU_PRIVATE_RAM_INTERNAL_H
#define SOFTMMU_PRIVATE_RAM_INTERNAL_H

#include "qemu/queue.h"
#include "qemu/thread.h"
#include "exec/private-ram.h"

typedef struct PrivateRAMStats {
    /* Changes of state by the guest and by resets, in pages and in calls */
    uint64_t pages_to_private;
    uint64_t pages_to_shared;
    uint64_t conversions_to_private;
    uint64_t conversions_to_shared;
    /* Requests, or parts of them, that named only pages that were so already */
    uint64_t unchanged;
    /* Bytes of the ranges that were discarded, populated or not */
    uint64_t discarded_private;
    uint64_t discarded_shared;
    uint64_t stray_reads;
    uint64_t stray_writes;
} PrivateRAMStats;

/* An access that should not have been; @device is NULL as long as none was */
typedef struct PrivateRAMStray {
    char *device;
    bool mapped;            /* is @gpa known? */
    hwaddr gpa;
    ram_addr_t offset;
    hwaddr size;
    bool is_write;
} PrivateRAMStray;

struct PrivateRAM {
    /* Constant */
    RAMBlock *rb;
    char *id;
    int fd;
    PrivateRAMStrayPolicy stray_policy;
    uint64_t nr_pages;

    /* A bit a page, set: shared. Written under the mutex, read without. */
    unsigned long *shared;
    uint64_t nr_shared;
    PrivateRAMStats stats;
    PrivateRAMStray last_stray;
    QTAILQ_ENTRY(PrivateRAM) next;
};

typedef QTAILQ_HEAD(PrivateRAMList, PrivateRAM) PrivateRAMList;
extern PrivateRAMList private_rams;

void private_ram_lock(void);
void private_ram_unlock(void);

/*
 * The first run of pages of one state in [start, end), in pages. False when
 * the range is empty.
 */
typedef struct PrivateRAMRun {
    uint64_t start;
    uint64_t end;
    bool is_private;
} PrivateRAMRun;

bool private_ram_next_run(const PrivateRAM *pr, uint64_t start, uint64_t end,
                          PrivateRAMRun *run);

/* A part of the memory map that is a part of a block with a private half. */
typedef struct PrivateRAMSection {
    PrivateRAM *pr;
    hwaddr gpa;
    ram_addr_t offset;
    uint64_t size;
} PrivateRAMSection;

/*
 * The section with the lowest address that overlaps [start, end), clipped to
 * it. It stays mapped as long as the mutex is held.
 */
bool private_ram_find_section(hwaddr start, hwaddr end,
                              PrivateRAMSection *section);

/* Where @offset of the block is mapped, if it is. */
bool private_ram_find_gpa(const PrivateRAM *pr, ram_addr_t offset,
                          hwaddr *gpa);

/*
 * The files of the halves. Punch: 0 or a negative errno. The others may change
 * the file's position, which nobody uses.
 */
int private_ram_file_punch(int fd, ram_addr_t offset, uint64_t size);

/* Does the range of the shared half hold memory, or may it? */
bool private_ram_file_holds(int fd, ram_addr_t offset, uint64_t size);

/*
 * How much memory a file holds, in all, and in a range. False if it does not
 * tell; the private half does not tell the latter.
 */
bool private_ram_file_bytes(int fd, uint64_t *bytes);
bool private_ram_file_bytes_in(int fd, ram_addr_t offset, uint64_t size,
                               uint64_t *bytes);

/* A first block has a private half: watch the memory map and the run state. */
void private_ram_watch(void);

/*
 * The machine is about to run for the first time: what its loaders have left
 * in the shared half of private pages goes, and from now on an access to a
 * private page is a stray one.
 */
int private_ram_seal(Error **errp);
extern bool private_ram_sealed;

#endif
