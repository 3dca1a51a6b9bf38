/*
 * Private guest memory in KVM: memory slots with a private half, and the
 * attribute that says which guest frames are private.
 *
 * The state of every page is kept by softmmu/private-ram.c, by offset in its
 * RAM block, and is KVM's attribute of a guest frame while the page is mapped
 * there. A frame keeps its attribute when its slot goes: QEMU deletes and makes
 * slots anew while vCPUs run (PAM, SMRAM, BARs that overlap), and a vCPU that
 * finds a private frame without a slot comes back as a memory fault and tries
 * again, while one that found it shared would make the page twice. So the
 * attribute is set before a slot is made, and cleared only where, at the end of
 * a memory transaction, the frame belongs to something else.
 *
 * Locking: all of the listener runs under the BQL and, because it is part of a
 * memory transaction, under the private-RAM mutex: no conversion comes between.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/ioctl.h>
#include "sysemu/kvm-private-uapi.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "exec/address-spaces.h"
#include "exec/private-ram.h"
#include "exec/ramblock.h"
#include "hw/core/cpu.h"
#include "hw/qdev-core.h"
#include "sysemu/cpus.h"
#include "sysemu/kvm-private.h"
#include "sysemu/memfd-private.h"
#include "sysemu/reset.h"
#include "sysemu/runstate.h"
#include "sysemu/sysemu.h"
#include "kvm-private-int.h"

/* Before KVM's own listener (10) when slots are made, after it when they go. */
#define KVM_PRIVATE_LISTENER_PRIORITY 9

typedef struct FrameRange {
    hwaddr start;
    hwaddr end;                 /* not part of it */
} FrameRange;

/* A section of private RAM in the memory map. */
typedef struct Mapping {
    PrivateRAM *pr;
    FrameRange frames;
    ram_addr_t offset;          /* of the first frame, in the block */
    bool second;                /* a second view: has no slot */
} Mapping;

typedef struct PoisonedPage {
    MemoryRegion *mr;
    ram_addr_t offset;
    QSLIST_ENTRY(PoisonedPage) next;
} PoisonedPage;

static KVMState *private_state;
static GArray *mappings;        /* of type Mapping */
static GArray *orphans;         /* frames whose private slot is gone */
static unsigned int map_generation;
static QSLIST_HEAD(, PoisonedPage) poisoned =
    QSLIST_HEAD_INITIALIZER(poisoned);

bool kvm_private_vm(void)
{
    return private_state;
}

unsigned int kvm_private_map_generation(void)
{
    return map_generation;
}

/*
 * What a page has in both of its halves is seen by every vCPU that still runs.
 * They are asked, and not waited for: this may be inside a memory transaction,
 * or hold a lock that they want.
 */
void kvm_private_stop_others(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (cpu != current_cpu) {
            cpu->stop = true;
            qemu_cpu_kick(cpu);
        }
    }
}

void kvm_private_stop(const char *fmt, ...)
{
    va_list ap;

    kvm_private_stop_others();
    va_start(ap, fmt);
    error_vreport(fmt, ap);
    va_end(ap);
    /* A request, not do_vm_stop(), which waits for vCPUs. */
    qemu_system_vmstop_request_prepare();
    qemu_system_vmstop_request(RUN_STATE_INTERNAL_ERROR);
    if (qemu_in_vcpu_thread()) {
        cpu_stop_current();
    }
}

/* A slot or an attribute is not what it must be. */
static void mapping_failed(Error *err)
{
    if (!phase_check(PHASE_MACHINE_READY)) {
        error_report_err(err);
        exit(EXIT_FAILURE);
    }
    kvm_private_stop("%s", error_get_pretty(err));
    error_free(err);
}

/*
 * The attribute belongs to the address that has the slot. It cannot be set by
 * way of another one: KVM and the state of the page would disagree.
 */
static bool is_second_view(hwaddr start, hwaddr end)
{
    guint i;

    for (i = 0; i < mappings->len; i++) {
        Mapping *m = &g_array_index(mappings, Mapping, i);

        if (m->second && m->frames.start < end && start < m->frames.end) {
            return true;
        }
    }
    return false;
}

static int set_private(hwaddr gpa, uint64_t size, bool to_private, Error **errp)
{
    struct kvm_memory_attributes attributes = {
        .address = gpa,
        .size = size,
        .attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
    };
    int ret;

    if (is_second_view(gpa, gpa + size)) {
        error_setg(errp, "the guest converts memory at gpa 0x" TARGET_FMT_plx
                   ", a second view of memory that has another address", gpa);
        return -EINVAL;
    }
    ret = kvm_vm_ioctl(private_state, KVM_SET_MEMORY_ATTRIBUTES, &attributes);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "KVM_SET_MEMORY_ATTRIBUTES");
    }
    return ret;
}

static const PrivateRAMOps private_ops = {
    .set_private = set_private,
};

static int create_guest_memfd(uint64_t size, Error **errp)
{
    struct kvm_create_guest_memfd create = { .size = size };
    int fd = kvm_vm_ioctl(private_state, KVM_CREATE_GUEST_MEMFD, &create);

    if (fd < 0) {
        error_setg_errno(errp, -fd, "KVM cannot create a file for %" PRIu64
                         " bytes of private memory", size);
        return -1;
    }
    qemu_set_cloexec(fd);
    return fd;
}

int kvm_private_mem_flags(const MemoryRegion *mr)
{
    return private_state && private_ram_of(mr) ? KVM_MEM_GUEST_MEMFD : 0;
}

int kvm_private_set_region(KVMState *s,
                           const struct kvm_userspace_memory_region *mem)
{
    struct kvm_userspace_memory_region2 mem2 = {
        .slot = mem->slot,
        .flags = mem->flags,
        .guest_phys_addr = mem->guest_phys_addr,
        .memory_size = mem->memory_size,
        .userspace_addr = mem->userspace_addr,
    };
    ram_addr_t offset;
    RAMBlock *rb;

    if (!(mem->flags & KVM_MEM_GUEST_MEMFD)) {
        return kvm_vm_ioctl(s, KVM_SET_USER_MEMORY_REGION, (void *)mem);
    }
    rb = qemu_ram_block_from_host((void *)(uintptr_t)mem->userspace_addr,
                                  false, &offset);
    mem2.guest_memfd = private_ram_fd(rb->private_ram);
    mem2.guest_memfd_offset = offset;
    return kvm_vm_ioctl(s, KVM_SET_USER_MEMORY_REGION2, &mem2);
}

/* The whole pages of a section, as KVM's slots have them. */
static FrameRange section_frames(const MemoryRegionSection *section)
{
    hwaddr start = section->offset_within_address_space;
    hwaddr end = start + int128_get64(section->size);
    FrameRange range = {
        .start = ROUND_UP(start, PRIVATE_RAM_PAGE_SIZE),
        .end = QEMU_ALIGN_DOWN(end, PRIVATE_RAM_PAGE_SIZE),
    };

    range.end = MAX(range.start, range.end);
    return range;
}

/*
 * Take [range->start, range->end) out of the orphans. What was one of them is
 * made shared first if @clear: something else is about to be there.
 */
static void adopt(const FrameRange *range, bool clear)
{
    guint i;

    for (i = 0; i < orphans->len;) {
        FrameRange o = g_array_index(orphans, FrameRange, i);
        FrameRange both = {
            .start = MAX(o.start, range->start),
            .end = MIN(o.end, range->end),
        };
        Error *err = NULL;

        if (both.start >= both.end) {
            i++;
            continue;
        }
        if (clear &&
            set_private(both.start, both.end - both.start, false, &err) < 0) {
            mapping_failed(err);
        }
        g_array_remove_index_fast(orphans, i);
        if (o.start < both.start) {
            FrameRange left = { o.start, both.start };
            g_array_append_val(orphans, left);
        }
        if (both.end < o.end) {
            FrameRange right = { both.end, o.end };
            g_array_append_val(orphans, right);
        }
    }
}

static Mapping section_mapping(const MemoryRegionSection *section)
{
    FrameRange frames = section_frames(section);
    Mapping mapping = {
        .pr = private_ram_of(section->mr),
        .frames = frames,
        .offset = section->offset_within_region +
            (frames.start - section->offset_within_address_space),
    };

    return mapping;
}

static uint64_t mapping_size(const Mapping *mapping)
{
    return mapping->frames.end - mapping->frames.start;
}

/* Is memory of @mapping in the map already? */
static bool mapped_elsewhere(const Mapping *mapping)
{
    guint i;

    for (i = 0; i < mappings->len; i++) {
        Mapping *m = &g_array_index(mappings, Mapping, i);

        if (m->pr == mapping->pr && !m->second &&
            m->offset < mapping->offset + mapping_size(mapping) &&
            mapping->offset < m->offset + mapping_size(m)) {
            return true;
        }
    }
    return false;
}

static Mapping *find_mapping(hwaddr start)
{
    guint i;

    for (i = 0; i < mappings->len; i++) {
        Mapping *m = &g_array_index(mappings, Mapping, i);

        if (m->frames.start == start) {
            return m;
        }
    }
    return NULL;
}

/*
 * A page has one state, so it can be seen at one address only: KVM binds no
 * part of a file twice. A second view, such as the one of SMRAM that q35 can
 * open below 4 GiB, gets no slot. The guest's access to it comes here as MMIO,
 * and is a stray one if the page is private.
 */
bool kvm_private_has_slot(const MemoryRegionSection *section)
{
    Mapping *mapping;

    if (!private_state || !private_ram_of(section->mr)) {
        return true;
    }
    mapping = find_mapping(section_frames(section).start);
    return mapping && !mapping->second;
}

static void kvm_private_region_add(MemoryListener *listener,
                                   MemoryRegionSection *section)
{
    Mapping mapping = section_mapping(section);
    Error *err = NULL;

    if (mapping_size(&mapping) == 0) {
        return;
    }
    mapping.second = mapping.pr && mapped_elsewhere(&mapping);
    adopt(&mapping.frames, !mapping.pr || mapping.second);
    if (!mapping.pr) {
        return;
    }
    g_array_append_val(mappings, mapping);
    if (!mapping.second &&
        private_ram_apply(mapping.pr, mapping.frames.start, mapping.offset,
                          mapping_size(&mapping), &err) < 0) {
        mapping_failed(err);
    }
}

static void kvm_private_region_del(MemoryListener *listener,
                                   MemoryRegionSection *section)
{
    Mapping mapping = section_mapping(section);
    Mapping *old;

    if (!mapping.pr || mapping_size(&mapping) == 0) {
        return;
    }
    old = find_mapping(mapping.frames.start);
    assert(old);                /* what goes has come */
    if (!old->second) {
        g_array_append_val(orphans, mapping.frames);
        map_generation++;
    }
    g_array_remove_index_fast(mappings, old - (Mapping *)mappings->data);
}

static void kvm_private_commit(MemoryListener *listener)
{
    static const FrameRange everything = { 0, HWADDR_MAX };

    adopt(&everything, true);
}

static MemoryListener kvm_private_listener = {
    .name = "kvm-private",
    .priority = KVM_PRIVATE_LISTENER_PRIORITY,
    .region_add = kvm_private_region_add,
    .region_del = kvm_private_region_del,
    .commit = kvm_private_commit,
};

bool kvm_private_poison(MemoryRegion *mr, ram_addr_t offset)
{
    PoisonedPage *page;

    offset = QEMU_ALIGN_DOWN(offset, PRIVATE_RAM_PAGE_SIZE);
    QSLIST_FOREACH(page, &poisoned, next) {
        if (page->mr == mr && page->offset == offset) {
            return false;       /* the guest touches it again */
        }
    }
    page = g_new0(PoisonedPage, 1);
    memory_region_ref(mr);
    page->mr = mr;
    page->offset = offset;
    QSLIST_INSERT_HEAD(&poisoned, page, next);
    return true;
}

/* If the guest has shared the page and taken it back, it has another one. */
static bool still_poisoned(int fd, ram_addr_t offset)
{
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, offset,
                     PRIVATE_RAM_PAGE_SIZE) < 0 && errno == EHWPOISON;
}

/* The file forgets that a page was lost when the page is punched. */
static void replace_poisoned_pages(void)
{
    while (!QSLIST_EMPTY(&poisoned)) {
        PoisonedPage *page = QSLIST_FIRST(&poisoned);
        int fd = private_ram_fd(private_ram_of(page->mr));

        QSLIST_REMOVE_HEAD(&poisoned, next);
        if (still_poisoned(fd, page->offset) &&
            fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                      page->offset, PRIVATE_RAM_PAGE_SIZE) < 0) {
            error_report("private page at offset 0x" RAM_ADDR_FMT " of %s,"
                         " lost to a memory error, cannot be replaced: %s",
                         page->offset, memory_region_name(page->mr),
                         strerror(errno));
        }
        memory_region_unref(page->mr);
        g_free(page);
    }
}

/*
 * The guest starts from firmware that takes all of its memory for private.
 * Private content stays: what was measured at the launch, such as the hashes
 * of the kernel, is needed again and cannot be put there a second time.
 */
static void kvm_private_reset(void *opaque)
{
    Error *err = NULL;

    replace_poisoned_pages();
    if (private_ram_reset_all(&err) < 0) {
        mapping_failed(err);
    }
}

/*
 * Handlers run in the order of their registration. Devices must have ended
 * their DMA before the pages that it goes to are private, and those of the
 * machine are registered right before its notifiers are called.
 */
static void kvm_private_machine_done(Notifier *notifier, void *data)
{
    qemu_register_reset(kvm_private_reset, NULL);
}

static Notifier kvm_private_done = {
    .notify = kvm_private_machine_done,
};

void kvm_private_init(KVMState *s, const KVMPrivateTarget *target)
{
    private_state = s;
    kvm_private_fault_init(target);
    mappings = g_array_new(false, false, sizeof(Mapping));
    orphans = g_array_new(false, false, sizeof(FrameRange));
    private_ram_register_accel(&private_ops);
    memfd_private_enable(create_guest_memfd);
    memory_listener_register(&kvm_private_listener, &address_space_memory);
    qemu_add_machine_init_done_notifier(&kvm_private_done);
}
