/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private RAM: accesses by QEMU itself (exec/private-ram-access.h).
 *
 * Locking: the tests take no lock. A stray access takes the private-RAM mutex
 * to be counted, so it must not be reported with a lock held that the
 * accelerator takes under the mutex. Inspection is a matter of one thread.
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "exec/private-ram-access.h"
#include "exec/ramblock.h"
#include "hw/pci/pci.h"
#include "sysemu/cpus.h"
#include "sysemu/runstate.h"
#include "private-ram-internal.h"
#include "trace.h"

/* A guest can make strays at will: more than these are counted and traced. */
#define STRAY_MESSAGES  8

bool private_ram_in_use;

static PrivateRAMObserver *observer;

static __thread unsigned int inspect_depth;
static __thread bool inspect_hit;
static __thread const char *named_device;
static __thread hwaddr vcpu_gpa = HWADDR_MAX;

void private_ram_observe(PrivateRAMObserver *fn)
{
    assert(!observer);
    observer = fn;
    private_ram_in_use = true;
}

static void show_observer(AddressSpace *as, MemoryRegion *mr, hwaddr offset,
                          hwaddr len, bool is_write)
{
    if (observer && !inspect_depth) {
        observer(as, mr, offset, len, is_write);
    }
}

PrivateRAMInspect *private_ram_inspect_begin(void)
{
    static PrivateRAMInspect scope;

    if (inspect_depth++ == 0) {
        inspect_hit = false;
    }
    return &scope;
}

void private_ram_inspect_end(PrivateRAMInspect *inspect)
{
    inspect_depth--;
}

PrivateRAMInspect *private_ram_reload_begin(void)
{
    return qatomic_read(&private_ram_sealed) ? private_ram_inspect_begin()
                                             : NULL;
}

bool private_ram_inspect_hit(void)
{
    return inspect_hit;
}

const char *private_ram_inspect_reason(void)
{
    return inspect_hit ? ": it is private to the guest" : "";
}

bool private_ram_inspect_denied(uint64_t addr, Error **errp)
{
    if (inspect_hit) {
        error_setg(errp, "Memory at 0x%" PRIx64 " is private to the guest, or "
                   "reached through a page table that is", addr);
    }
    return inspect_hit;
}

uint64_t private_ram_no_data(void)
{
    return inspect_depth ? 0 : UINT64_MAX;
}

void private_ram_fill_no_data(void *buf, size_t len)
{
    memset(buf, private_ram_no_data(), len);
}

/* RAM that the guest can have private, or NULL. */
static PrivateRAM *private_ram_behind(MemoryRegion *mr)
{
    return mr->ram_block ? qatomic_rcu_read(&mr->ram_block->private_ram)
                         : NULL;
}

bool private_ram_backs(MemoryRegion *mr)
{
    return observer || private_ram_behind(mr);
}

/*
 * Where the private part of a range begins. One look at the bitmap, which
 * changes meanwhile: the answer was true at some time.
 */
static bool find_private(PrivateRAM *pr, hwaddr offset, hwaddr len,
                         hwaddr *first)
{
    uint64_t page = offset >> PRIVATE_RAM_PAGE_BITS;
    uint64_t end = DIV_ROUND_UP(offset + len, PRIVATE_RAM_PAGE_SIZE);

    end = MIN(end, pr->nr_pages);
    if (!len || page >= end) {
        return false;
    }
    page = find_next_zero_bit(pr->shared, end, page);
    *first = MAX(offset, page << PRIVATE_RAM_PAGE_BITS);
    return page < end;
}

PrivateRAMDevice *private_ram_device_begin(const char *name)
{
    static PrivateRAMDevice scope;

    named_device = name;
    return &scope;
}

void private_ram_device_end(PrivateRAMDevice *device)
{
    named_device = NULL;
}

void private_ram_vcpu_begin(hwaddr gpa)
{
    vcpu_gpa = gpa;
}

void private_ram_vcpu_end(void)
{
    vcpu_gpa = HWADDR_MAX;
}

/*
 * Is it the vCPU's access itself, and not what a device does because of it? The
 * map may have changed once more, and say nothing of the RAM.
 */
static bool is_vcpus(AddressSpace *as, const PrivateRAMStray *stray)
{
    if (vcpu_gpa == HWADDR_MAX) {
        return false;
    }
    if (!stray->mapped) {
        return as == &address_space_memory;
    }
    return stray->gpa >> PRIVATE_RAM_PAGE_BITS ==
           vcpu_gpa >> PRIVATE_RAM_PAGE_BITS;
}

typedef struct DeviceSearch {
    AddressSpace *as;
    char *path;
} DeviceSearch;

static int match_device(Object *obj, void *opaque)
{
    DeviceSearch *search = opaque;
    PCIDevice *dev = (PCIDevice *)object_dynamic_cast(obj, TYPE_PCI_DEVICE);

    if (!dev || pci_get_address_space(dev) != search->as) {
        return 0;
    }
    if (DEVICE(dev)->id) {
        search->path = g_strdup_printf("%s '%s'", object_get_typename(obj),
                                       DEVICE(dev)->id);
    } else {
        search->path = g_strdup_printf("%s at %02x.%x",
                                       object_get_typename(obj),
                                       PCI_SLOT(dev->devfn),
                                       PCI_FUNC(dev->devfn));
    }
    return 1;
}

/*
 * A PCI device has an address space of its own, and so a name. The others
 * share that of the system, where some say who they are, and one of an I/O
 * thread cannot walk the devices.
 */
static char *device_name(AddressSpace *as)
{
    DeviceSearch search = { .as = as };

    if (named_device) {
        return g_strdup(named_device);
    }
    if (!as) {
        return g_strdup("a device");
    }
    if (qemu_mutex_iothread_locked()) {
        object_child_foreach_recursive(object_get_root(), match_device,
                                       &search);
    }
    return search.path ?: g_strdup_printf("a device in address space '%s'",
                                          as->name);
}

static void stop_vm(void)
{
    /* A vCPU stops here. Others would drain the request that they are in. */
    if (qemu_in_vcpu_thread()) {
        vm_stop(RUN_STATE_INTERNAL_ERROR);
    } else {
        qemu_system_vmstop_request_prepare();
        qemu_system_vmstop_request(RUN_STATE_INTERNAL_ERROR);
    }
}

static uint64_t count_stray(PrivateRAM *pr, PrivateRAMStray *stray)
{
    uint64_t n;

    private_ram_lock();
    if (stray->is_write) {
        pr->stats.stray_writes++;
    } else {
        pr->stats.stray_reads++;
    }
    n = pr->stats.stray_reads + pr->stats.stray_writes;
    g_free(pr->last_stray.device);
    pr->last_stray = *stray;
    private_ram_unlock();
    return n;
}

static void report_stray(PrivateRAM *pr, AddressSpace *as, hwaddr first,
                         hwaddr end, bool is_write)
{
    bool stop = pr->stray_policy == PRIVATE_RAM_STRAY_STOP;
    PrivateRAMStray stray = {
        .offset = first,
        .size = end - first,
        .is_write = is_write,
    };
    g_autofree char *where = NULL;
    g_autofree char *message = NULL;

    stray.mapped = private_ram_find_gpa(pr, first, &stray.gpa);
    if (is_vcpus(as, &stray)) {
        trace_private_ram_early(pr->id, is_write, vcpu_gpa, stray.size);
        return;
    }
    stray.device = device_name(as);
    where = stray.mapped
            ? g_strdup_printf("gpa 0x%" HWADDR_PRIx, stray.gpa)
            : g_strdup_printf("offset 0x" RAM_ADDR_FMT, stray.offset);
    message = g_strdup_printf("%s: %s %s %" PRIu64 " bytes of private memory "
                              "at %s", pr->id, stray.device,
                              is_write ? "wrote" : "read", stray.size, where);

    trace_private_ram_stray(pr->id, stray.device, is_write, stray.gpa,
                            stray.offset, stray.size);
    if (count_stray(pr, &stray) <= STRAY_MESSAGES) {
        if (stop) {
            error_report("%s: the VM stops", message);
        } else {
            warn_report("%s", message);
        }
    }
    if (stop) {
        stop_vm();
    }
}

bool private_ram_access_begin(AddressSpace *as, MemoryRegion *mr,
                              hwaddr offset, hwaddr len, bool is_write)
{
    PrivateRAM *pr = private_ram_behind(mr);
    hwaddr first;

    show_observer(as, mr, offset, len, is_write);
    if (!pr || !find_private(pr, offset, len, &first)) {
        return true;
    }
    if (inspect_depth) {
        inspect_hit = true;
        trace_private_ram_inspect(pr->id, offset, len, is_write);
        return false;
    }
    if (!qatomic_read(&private_ram_sealed)) {
        return true;
    }
    report_stray(pr, as, first, offset + len, is_write);
    return false;
}

/*
 * Has the guest made part of the range private? Then what the access left in
 * the shared half goes.
 */
static bool overtaken(PrivateRAM *pr, hwaddr offset, hwaddr len, hwaddr *first)
{
    Error *err = NULL;

    /* Pairs with the one of a conversion, between its bitmap and discard. */
    smp_mb();
    if (!qatomic_read(&private_ram_sealed) ||
        !find_private(pr, offset, len, first)) {
        return false;
    }
    if (private_ram_discard_shared(pr, offset, len, &err) < 0) {
        error_report_err(err);
        stop_vm();
    }
    return true;
}

MemTxResult private_ram_access_end(AddressSpace *as, MemoryRegion *mr,
                                   hwaddr offset, hwaddr len, bool is_write)
{
    PrivateRAM *pr = private_ram_behind(mr);
    hwaddr first;

    if (!pr || !overtaken(pr, offset, len, &first)) {
        return MEMTX_OK;
    }
    if (inspect_depth) {
        inspect_hit = true;
    } else {
        report_stray(pr, as, first, offset + len, is_write);
    }
    return MEMTX_ACCESS_ERROR;
}

bool private_ram_map_bounces_slow(MemoryRegion *mr, hwaddr offset, hwaddr *len)
{
    PrivateRAM *pr = private_ram_behind(mr);

    if (!pr || !qatomic_read(&private_ram_sealed) ||
        !private_ram_test(pr, offset)) {
        return false;
    }
    *len = MIN(*len, PRIVATE_RAM_PAGE_SIZE - offset % PRIVATE_RAM_PAGE_SIZE);
    return true;
}

/* If the first page no longer is shared, the unmapping will see. */
hwaddr private_ram_map_length_slow(MemoryRegion *mr, hwaddr offset, hwaddr len)
{
    hwaddr next = ROUND_DOWN(offset, PRIVATE_RAM_PAGE_SIZE) +
                  PRIVATE_RAM_PAGE_SIZE;
    PrivateRAM *pr = private_ram_behind(mr);
    hwaddr first;

    if (pr && qatomic_read(&private_ram_sealed) && next < offset + len &&
        find_private(pr, next, offset + len - next, &first)) {
        return first - offset;
    }
    return len;
}

void private_ram_unmapped(AddressSpace *as, MemoryRegion *mr, hwaddr offset,
                          hwaddr len, hwaddr access_len, bool is_write)
{
    PrivateRAM *pr;
    hwaddr first;

    if (likely(!private_ram_in_use)) {
        return;
    }
    show_observer(as, mr, offset, access_len, is_write);
    pr = private_ram_behind(mr);
    if (pr && overtaken(pr, offset, len, &first) &&
        first < offset + access_len) {
        report_stray(pr, as, first, offset + access_len, is_write);
    }
}

bool private_ram_refuses(const char *what, Error **errp)
{
    PrivateRAM *pr;
    bool refused = false;

    private_ram_lock();
    pr = QTAILQ_FIRST(&private_rams);
    if (pr) {
        refused = true;
        error_setg(errp, "%s: the memory of '%s' is private to the guest, and "
                   "would be missing", what, pr->id);
    }
    private_ram_unlock();
    return refused;
}
