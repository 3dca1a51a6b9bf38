/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What private RAM stands on, for its unit test. Functions of QEMU's that are
 * defined here are called by the code under test.
 */
#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "qapi/error.h"
#include "sysemu/cpus.h"
#include "sysemu/runstate.h"
#include "exec/address-spaces.h"
#include "private-ram-world.h"

#include <linux/falloc.h>

World world;
/* Nothing here goes through it. */
AddressSpace address_space_memory;

/* The map, as private-ram-view.c would find it. */

typedef struct WorldPart {
    RAMBlock *rb;
    uint64_t gpa;
    uint64_t page;
    uint64_t pages;
} WorldPart;

static const WorldPart world_map[] = {
    { &world.a, A_LOW_GPA, 0, A_LOW_PAGES },
    { &world.a, A_HIGH_GPA, A_LOW_PAGES, A_HIGH_PAGES },
    { &world.b, B_GPA, 0, B_PAGES },
    { &world.big, BIG_GPA, 0, BIG_PAGES },
};

bool private_ram_find_section(hwaddr start, hwaddr end,
                              PrivateRAMSection *section)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(world_map); i++) {
        const WorldPart *part = &world_map[i];
        hwaddr part_start = MAX(start, part->gpa * PAGE);
        hwaddr part_end = MIN(end, (part->gpa + part->pages) * PAGE);

        if (part->rb->private_ram && part_start < part_end) {
            section->pr = part->rb->private_ram;
            section->gpa = part_start;
            section->offset = part_start - part->gpa * PAGE +
                              part->page * PAGE;
            section->size = part_end - part_start;
            return true;
        }
    }
    return false;
}

uint64_t world_gpa(RAMBlock *rb, uint64_t page)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(world_map); i++) {
        const WorldPart *part = &world_map[i];

        if (part->rb == rb && page >= part->page &&
            page < part->page + part->pages) {
            return part->gpa + page - part->page;
        }
    }
    g_assert_not_reached();
}

bool private_ram_find_gpa(const PrivateRAM *pr, ram_addr_t offset, hwaddr *gpa)
{
    *gpa = world_gpa(pr->rb, offset / PAGE) * PAGE + offset % PAGE;
    return true;
}

void private_ram_watch(void)
{
    private_ram_in_use = true;
}

/* The accelerator */

static int world_set_private(hwaddr gpa, uint64_t size, bool to_private,
                             Error **errp)
{
    WorldAccel *accel = &world.accel;
    uint64_t page;

    g_assert(size && gpa % PAGE == 0 && size % PAGE == 0);
    g_assert_cmpuint(gpa + size, <=, MAP_PAGES * PAGE);
    accel->calls++;
    accel->largest = MAX(accel->largest, size);
    if (accel->fail) {
        int ret = -accel->fail;

        accel->fail = 0;
        error_setg_errno(errp, -ret, "the accelerator");
        return ret;
    }
    for (page = gpa / PAGE; page < (gpa + size) / PAGE; page++) {
        accel->priv[page] = to_private;
        accel->told[page] = true;
    }
    if (accel->hook) {
        accel->hook(gpa, size, to_private);
    }
    return 0;
}

static const PrivateRAMOps world_ops = {
    .set_private = world_set_private,
};

/* The halves */

/* What is told of a discard, and what can fail, is the shared half's. */
static bool is_shared_half(int fd)
{
    return fd == world.a.fd || fd == world.b.fd || fd == world.big.fd;
}

int private_ram_file_punch(int fd, ram_addr_t start, uint64_t size)
{
    WorldDiscard *discard = &world.discard;
    int ret;

    g_assert(size && start % PAGE == 0 && size % PAGE == 0);
    if (is_shared_half(fd)) {
        discard->calls++;
        if (discard->fail) {
            ret = -discard->fail;
            discard->fail = 0;
            return ret;
        }
        if (discard->before) {
            discard->before(start, size);
        }
    }
    ret = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start,
                    size) < 0 ? -errno : 0;
    if (is_shared_half(fd) && discard->after) {
        discard->after(start, size);
    }
    return ret;
}

bool private_ram_file_holds(int fd, ram_addr_t start, uint64_t size)
{
    off_t data = lseek(fd, start, SEEK_DATA);
    bool holds = data >= 0 && data < start + size;

    if (!holds && world.discard.nothing) {
        world.discard.nothing(start, size);
    }
    return holds;
}

int world_file(uint64_t pages)
{
    /* With a seal, so that a test can add another. */
    return qemu_memfd_create("private-ram-world", pages * PAGE, false, 0,
                             F_SEAL_GROW, &error_abort);
}

void world_block(RAMBlock *rb, MemoryRegion *mr, uint64_t pages)
{
    memset(rb, 0, sizeof(*rb));
    memset(mr, 0, sizeof(*mr));
    rb->mr = mr;
    mr->ram_block = rb;
    rb->used_length = pages * PAGE;
    rb->max_length = rb->used_length;
    rb->page_size = PAGE;
    rb->flags = RAM_SHARED;
    rb->fd = world_file(pages);
    rb->host = mmap(NULL, rb->used_length, PROT_READ | PROT_WRITE, MAP_SHARED,
                    rb->fd, 0);
    g_assert(rb->host != MAP_FAILED);
}

void world_free_block(RAMBlock *rb)
{
    private_ram_free(rb->private_ram);
    munmap(rb->host, rb->max_length);
    close(rb->fd);
    rb->private_ram = NULL;
}

static bool filled(int fd, uint64_t page)
{
    return lseek(fd, page * PAGE, SEEK_DATA) == page * PAGE;
}

void world_fill_shared(RAMBlock *rb, uint64_t page)
{
    qatomic_set((uint8_t *)rb->host + page * PAGE, 0x5a);
}

void world_fill_private(RAMBlock *rb, uint64_t page)
{
    ssize_t ret = pwrite(private_ram_fd(rb->private_ram), "", 1, page * PAGE);

    g_assert_cmpint(ret, ==, 1);
}

bool world_shared_filled(RAMBlock *rb, uint64_t page)
{
    return filled(rb->fd, page);
}

bool world_private_filled(RAMBlock *rb, uint64_t page)
{
    return filled(private_ram_fd(rb->private_ram), page);
}

void world_check(RAMBlock *rb)
{
    PrivateRAMStats *stats = &rb->private_ram->stats;
    uint64_t page, nr_shared = 0;

    for (page = 0; page < rb->used_length / PAGE; page++) {
        bool is_private = private_ram_test(rb->private_ram, page * PAGE);
        uint64_t gpa = world_gpa(rb, page);

        nr_shared += !is_private;
        if (world.accel.told[gpa]) {
            g_assert_cmpint(world.accel.priv[gpa], ==, is_private);
        }
        g_assert(!is_private || !world_shared_filled(rb, page));
        g_assert(is_private || !world_private_filled(rb, page));
    }
    g_assert_cmpuint(rb->private_ram->nr_shared, ==, nr_shared);
    g_assert_cmpuint(stats->pages_to_shared - stats->pages_to_private, ==,
                     nr_shared);
}

/* The machine */

int vm_stop(RunState state)
{
    g_assert_cmpint(state, ==, RUN_STATE_INTERNAL_ERROR);
    qatomic_inc(&world.stops);
    return 0;
}

void qemu_system_vmstop_request_prepare(void)
{
}

void qemu_system_vmstop_request(RunState state)
{
    vm_stop(state);
}

bool qemu_in_vcpu_thread(void)
{
    return false;
}

void world_begin(PrivateRAMStrayPolicy stray)
{
    memset(&world, 0, sizeof(world));
    world.as.name = (char *)"world";
    private_ram_sealed = false;
    private_ram_register_accel(&world_ops);

    world_block(&world.a, &world.mr_a, A_PAGES);
    world_block(&world.b, &world.mr_b, B_PAGES);
    g_assert(private_ram_new(&world.a, "a", world_file(A_PAGES), stray,
                             &error_abort));
    g_assert(private_ram_new(&world.b, "b", world_file(B_PAGES), stray,
                             &error_abort));
}

void world_end(void)
{
    world_free_block(&world.a);
    world_free_block(&world.b);
}
