/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What private RAM stands on, for its unit test: a memory map with two blocks,
 * an accelerator that keeps attributes, and halves that tell whether a page
 * has content.
 */
#ifndef PRIVATE_RAM_WORLD_H
#define PRIVATE_RAM_WORLD_H

#include "exec/memory.h"
#include "exec/ramblock.h"
#include "exec/private-ram.h"
#include "exec/private-ram-access.h"
#include "../../softmmu/private-ram-internal.h"

#define PAGE            PRIVATE_RAM_PAGE_SIZE

/*
 * The map, in pages: block A in two parts with a hole between them, B after
 * another hole, and, where a test makes it, a block of several pieces.
 */
#define A_PAGES         256
#define B_PAGES         64
#define A_LOW_GPA       0
#define A_LOW_PAGES     160
#define A_HIGH_GPA      192
#define A_HIGH_PAGES    (A_PAGES - A_LOW_PAGES)
#define B_GPA           1000
#define BIG_GPA         300000
#define BIG_PAGES       (2 * PRIVATE_RAM_PIECE / PAGE)
#define MAP_PAGES       (BIG_GPA + BIG_PAGES)

/* What the accelerator was told. */
typedef struct WorldAccel {
    unsigned int calls;
    uint64_t largest;           /* bytes */
    int fail;                   /* the errno of the next call, once */
    bool priv[MAP_PAGES];
    bool told[MAP_PAGES];
    void (*hook)(hwaddr gpa, uint64_t size, bool to_private);
} WorldAccel;

typedef struct WorldDiscard {
    unsigned int calls;
    int fail;                   /* of the shared half */
    void (*before)(ram_addr_t offset, uint64_t size);
    void (*after)(ram_addr_t offset, uint64_t size);
    /* There was nothing to discard */
    void (*nothing)(ram_addr_t offset, uint64_t size);
} WorldDiscard;

typedef struct World {
    RAMBlock a, b, big;
    MemoryRegion mr_a, mr_b, mr_big;
    AddressSpace as;
    WorldAccel accel;
    WorldDiscard discard;
    unsigned int stops;
} World;

extern World world;

/* A world as it is before the machine runs. All that was told is forgotten. */
void world_begin(PrivateRAMStrayPolicy stray);
void world_end(void);

/* A block that is in no map; its halves are files. */
void world_block(RAMBlock *rb, MemoryRegion *mr, uint64_t pages);
void world_free_block(RAMBlock *rb);
int world_file(uint64_t pages);

/* Content of a half. The guest's and a device's way to it is not asked. */
void world_fill_shared(RAMBlock *rb, uint64_t page);
void world_fill_private(RAMBlock *rb, uint64_t page);
bool world_shared_filled(RAMBlock *rb, uint64_t page);
bool world_private_filled(RAMBlock *rb, uint64_t page);

/* The page of the map where a page of a block is. */
uint64_t world_gpa(RAMBlock *rb, uint64_t page);

/*
 * The rule: bitmap and attribute agree, for what was told, and no page has
 * content in the half of the other state.
 */
void world_check(RAMBlock *rb);

#endif
