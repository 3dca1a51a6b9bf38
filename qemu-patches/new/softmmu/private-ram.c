/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private RAM: the state of each page, and how it changes.
 *
 * The rule that all of this is for: while the VM runs, a page has content in
 * at most one of its halves. So a conversion is three steps in this order:
 *
 *  1. The attribute. From here on the guest reaches the half of the new state.
 *  2. To private: the bitmap, then the discard of the shared half. Whoever
 *     reaches for the shared half tests the bitmap, accesses, and tests it
 *     again (private-ram-access.c). Either its first test sees the bit; or the
 *     discard comes after its access and takes what that has populated; or its
 *     second test sees the bit, and it discards itself. A discard looks first
 *     whether there is anything: it stands at the same place in this order.
 *     To shared: the discard of the private half, then the bitmap. Nobody but
 *     the guest can reach the private half, and the attribute keeps the guest
 *     away from it.
 *
 * When a step fails the bitmap follows the attribute, and the error tells the
 * caller to stop the VM.
 *
 * Locking: the mutex is around all three steps, so that two vCPUs which
 * convert the same page do so one after the other. It is recursive because
 * the memory map's transactions hold it (private-ram-view.c), and the
 * accelerator replays the state from inside of them.
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#include "private-ram-internal.h"
#include "trace.h"

PrivateRAMList private_rams = QTAILQ_HEAD_INITIALIZER(private_rams);
bool private_ram_sealed;

static QemuRecMutex private_ram_mutex;
static const PrivateRAMOps *private_ram_ops;

static void __attribute__((constructor)) private_ram_init(void)
{
    qemu_rec_mutex_init(&private_ram_mutex);
}

void private_ram_lock(void)
{
    qemu_rec_mutex_lock(&private_ram_mutex);
}

void private_ram_unlock(void)
{
    qemu_rec_mutex_unlock(&private_ram_mutex);
}

void private_ram_register_accel(const PrivateRAMOps *ops)
{
    assert(!private_ram_ops || private_ram_ops == ops);
    private_ram_ops = ops;
}

static uint64_t page_of(ram_addr_t offset)
{
    return offset >> PRIVATE_RAM_PAGE_BITS;
}

static uint64_t bytes_of(uint64_t pages)
{
    return pages << PRIVATE_RAM_PAGE_BITS;
}

/* The page after the last one that [.., end) touches, without overflow. */
static uint64_t page_after(const PrivateRAM *pr, ram_addr_t offset,
                           uint64_t size)
{
    uint64_t block = bytes_of(pr->nr_pages);

    if (offset >= block || size > block - offset) {
        return pr->nr_pages;
    }
    return page_of(offset + size + PRIVATE_RAM_PAGE_SIZE - 1);
}

static bool halves_fit(RAMBlock *rb, int fd, Error **errp)
{
    struct stat st;

    if (!(rb->flags & RAM_SHARED) || rb->fd < 0 ||
        rb->used_length != rb->max_length) {
        error_setg(errp, "the shared half of private memory must be a shared "
                   "mapping of a file, and of constant size");
        return false;
    }
    if (rb->page_size != PRIVATE_RAM_PAGE_SIZE ||
        !QEMU_IS_ALIGNED(rb->used_length, PRIVATE_RAM_PAGE_SIZE)) {
        error_setg(errp, "private memory is converted in pages of %llu bytes, "
                   "and its shared half has pages of %zu",
                   PRIVATE_RAM_PAGE_SIZE, rb->page_size);
        return false;
    }
    if (fstat(fd, &st) < 0) {
        error_setg_errno(errp, errno, "cannot look at the file of the private "
                         "half");
        return false;
    }
    if (st.st_size < rb->used_length) {
        error_setg(errp, "the private half has %" PRIu64 " bytes, and the "
                   "shared one " RAM_ADDR_FMT, (uint64_t)st.st_size,
                   rb->used_length);
        return false;
    }
    return true;
}

PrivateRAM *private_ram_new(RAMBlock *rb, const char *id, int fd,
                            PrivateRAMStrayPolicy stray, Error **errp)
{
    PrivateRAM *pr;

    assert(!rb->private_ram);
    if (!halves_fit(rb, fd, errp)) {
        return NULL;
    }

    pr = g_new0(PrivateRAM, 1);
    pr->rb = rb;
    pr->id = g_strdup(id);
    pr->fd = fd;
    pr->stray_policy = stray;
    pr->nr_pages = page_of(rb->used_length);
    pr->shared = bitmap_new(pr->nr_pages);

    private_ram_watch();
    private_ram_lock();
    QTAILQ_INSERT_TAIL(&private_rams, pr, next);
    qatomic_rcu_set(&rb->private_ram, pr);
    private_ram_unlock();
    trace_private_ram_new(pr->id, rb->used_length, fd);
    return pr;
}

void private_ram_free(PrivateRAM *pr)
{
    if (!pr) {
        return;
    }
    private_ram_lock();
    QTAILQ_REMOVE(&private_rams, pr, next);
    private_ram_unlock();
    trace_private_ram_free(pr->id);
    close(pr->fd);
    g_free(pr->last_stray.device);
    g_free(pr->shared);
    g_free(pr->id);
    g_free(pr);
}

PrivateRAM *private_ram_of(const MemoryRegion *mr)
{
    return mr->ram_block ? mr->ram_block->private_ram : NULL;
}

int private_ram_fd(const PrivateRAM *pr)
{
    return pr->fd;
}

const char *private_ram_id(const PrivateRAM *pr)
{
    return pr->id;
}

bool private_ram_test(const PrivateRAM *pr, ram_addr_t offset)
{
    return private_ram_any_private(pr, offset, 1);
}

bool private_ram_any_private(const PrivateRAM *pr, ram_addr_t offset,
                             uint64_t size)
{
    uint64_t start = page_of(offset), end = page_after(pr, offset, size);

    return start < end && size &&
           find_next_zero_bit(pr->shared, end, start) < end;
}

bool private_ram_next_run(const PrivateRAM *pr, uint64_t start, uint64_t end,
                          PrivateRAMRun *run)
{
    if (start >= end) {
        return false;
    }
    run->start = start;
    run->is_private = !test_bit(start, pr->shared);
    run->end = run->is_private ? find_next_bit(pr->shared, end, start)
                               : find_next_zero_bit(pr->shared, end, start);
    return true;
}

static int set_attribute(hwaddr gpa, uint64_t size, bool to_private,
                         Error **errp)
{
    int ret;

    trace_private_ram_attribute(gpa, size, to_private);
    if (!private_ram_ops) {
        return 0;
    }
    ret = private_ram_ops->set_private(gpa, size, to_private, errp);
    if (ret < 0) {
        error_prepend(errp, "cannot make the memory from 0x%" HWADDR_PRIx
                      " to 0x%" HWADDR_PRIx " %s: ", gpa, gpa + size,
                      to_private ? "private" : "shared");
    }
    return ret;
}

static void set_bitmap(PrivateRAM *pr, uint64_t start, uint64_t end,
                       bool to_private)
{
    if (to_private) {
        bitmap_test_and_clear_atomic(pr->shared, start, end - start);
    } else {
        bitmap_set_atomic(pr->shared, start, end - start);
    }
}

/*
 * Give the memory of one half of [start, end) back to the host.
 *
 * The shared half is punched in its file and not unmapped here besides: its
 * mapping is one of the file, so the punch takes its pages away. Each of the
 * two is an event for the accelerator, and for an SEV guest a flush of all
 * caches. Hence also no punch where there is nothing; see the top of this file
 * for an access that puts something there meanwhile.
 */
static int discard_half(PrivateRAM *pr, uint64_t start, uint64_t end,
                        bool private_half, Error **errp)
{
    const char *half = private_half ? "private" : "shared";
    int fd = private_half ? pr->fd : pr->rb->fd;
    ram_addr_t offset = bytes_of(start);
    uint64_t size = bytes_of(end - start);
    int ret;

    if (!private_half && !private_ram_file_holds(fd, offset, size)) {
        return 0;
    }
    ret = private_ram_file_punch(fd, offset, size);
    trace_private_ram_discard(pr->id, offset, size, half, ret);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "cannot discard the %s half of '%s' from "
                         "0x" RAM_ADDR_FMT " to 0x" RAM_ADDR_FMT, half, pr->id,
                         offset, offset + size);
        return ret;
    }
    if (private_half) {
        pr->stats.discarded_private += size;
    } else {
        pr->stats.discarded_shared += size;
    }
    return 0;
}

/*
 * What of [start, end) changes: from the first to the last page of the other
 * state, and how many of the pages between are of that state.
 */
typedef struct Change {
    uint64_t start;
    uint64_t end;
    uint64_t pages;
} Change;

static Change find_change(const PrivateRAM *pr, uint64_t start, uint64_t end,
                          bool to_private)
{
    Change change = { };
    PrivateRAMRun run;

    while (private_ram_next_run(pr, start, end, &run)) {
        if (run.is_private != to_private) {
            if (!change.pages) {
                change.start = run.start;
            }
            change.end = run.end;
            change.pages += run.end - run.start;
        }
        start = run.end;
    }
    return change;
}

static void count_change(PrivateRAM *pr, const Change *change, bool to_private)
{
    if (to_private) {
        pr->nr_shared -= change->pages;
        pr->stats.pages_to_private += change->pages;
        pr->stats.conversions_to_private++;
    } else {
        pr->nr_shared += change->pages;
        pr->stats.pages_to_shared += change->pages;
        pr->stats.conversions_to_shared++;
    }
}

/*
 * The pages between the first and the last change go with them, even those
 * that are in the wanted state: for these the attribute is set to what it is,
 * and the half that is discarded is the one without content. Alternating
 * pages would otherwise cost two system calls each.
 */
static int convert_pages(PrivateRAM *pr, hwaddr gpa, uint64_t start,
                         uint64_t end, bool to_private, bool by_guest,
                         Error **errp)
{
    Change change = find_change(pr, start, end, to_private);
    int ret;

    if (!change.pages) {
        pr->stats.unchanged += by_guest;
        return 0;
    }
    gpa += bytes_of(change.start - start);
    trace_private_ram_convert_pages(pr->id, gpa, bytes_of(change.start),
                                    bytes_of(change.end - change.start),
                                    change.pages, to_private);
    ret = set_attribute(gpa, bytes_of(change.end - change.start), to_private,
                        errp);
    if (ret < 0) {
        return ret;
    }
    if (to_private) {
        set_bitmap(pr, change.start, change.end, true);
        /* An access that still sees the page shared is before the discard. */
        smp_mb();
        ret = discard_half(pr, change.start, change.end, false, errp);
    } else {
        ret = discard_half(pr, change.start, change.end, true, errp);
        set_bitmap(pr, change.start, change.end, false);
    }
    count_change(pr, &change, to_private);
    return ret;
}

/*
 * Convert the first piece of private RAM in [*gpa, end), and say where the
 * rest begins.
 */
static int convert_next(hwaddr *gpa, hwaddr end, bool to_private, bool by_guest,
                        Error **errp)
{
    PrivateRAMSection section;
    hwaddr piece_end;
    uint64_t start;

    if (!private_ram_find_section(*gpa, end, &section)) {
        *gpa = end;
        return 0;
    }
    piece_end = ROUND_DOWN(section.gpa, PRIVATE_RAM_PIECE) + PRIVATE_RAM_PIECE;
    *gpa = MIN(piece_end, section.gpa + section.size);
    start = page_of(section.offset);
    return convert_pages(section.pr, section.gpa, start,
                         start + page_of(*gpa - section.gpa), to_private,
                         by_guest, errp);
}

int private_ram_convert(hwaddr gpa, uint64_t npages, bool to_private,
                        Error **errp)
{
    /* The last page of the address space, which is no RAM, stays out. */
    const hwaddr limit = ROUND_DOWN(UINT64_MAX, PRIVATE_RAM_PAGE_SIZE);
    hwaddr end;
    int ret = 0;

    trace_private_ram_convert(gpa, npages, to_private);
    if (!QEMU_IS_ALIGNED(gpa, PRIVATE_RAM_PAGE_SIZE)) {
        return 0;
    }
    end = npages <= page_of(limit - gpa) ? gpa + bytes_of(npages) : limit;

    while (gpa < end && ret == 0) {
        private_ram_lock();
        ret = convert_next(&gpa, end, to_private, true, errp);
        private_ram_unlock();
    }
    return ret;
}

static int apply_locked(PrivateRAM *pr, hwaddr gpa, uint64_t start,
                        uint64_t end, Error **errp)
{
    PrivateRAMRun run;
    int ret;

    while (private_ram_next_run(pr, start, end, &run)) {
        ret = set_attribute(gpa, bytes_of(run.end - run.start), run.is_private,
                            errp);
        if (ret < 0) {
            return ret;
        }
        gpa += bytes_of(run.end - run.start);
        start = run.end;
    }
    return 0;
}

int private_ram_apply(PrivateRAM *pr, hwaddr gpa, ram_addr_t offset,
                      uint64_t size, Error **errp)
{
    int ret;

    private_ram_lock();
    ret = apply_locked(pr, gpa, page_of(offset), page_after(pr, offset, size),
                       errp);
    private_ram_unlock();
    return ret;
}

/* Only the runs that are private: the shared half of the others is in use. */
static int discard_shared_locked(PrivateRAM *pr, uint64_t start, uint64_t end,
                                 Error **errp)
{
    PrivateRAMRun run;
    int ret;

    while (private_ram_next_run(pr, start, end, &run)) {
        if (run.is_private) {
            ret = discard_half(pr, run.start, run.end, false, errp);
            if (ret < 0) {
                return ret;
            }
        }
        start = run.end;
    }
    return 0;
}

int private_ram_discard_shared(PrivateRAM *pr, ram_addr_t offset,
                               uint64_t size, Error **errp)
{
    int ret;

    private_ram_lock();
    ret = discard_shared_locked(pr, page_of(offset),
                                page_after(pr, offset, size), errp);
    private_ram_unlock();
    return ret;
}

int private_ram_seal(Error **errp)
{
    PrivateRAM *pr;
    int ret = 0;

    private_ram_lock();
    QTAILQ_FOREACH(pr, &private_rams, next) {
        ret = discard_shared_locked(pr, 0, pr->nr_pages, errp);
        if (ret < 0) {
            break;
        }
    }
    if (ret == 0) {
        qatomic_set(&private_ram_sealed, true);
    }
    private_ram_unlock();
    return ret;
}

/* All that is mapped, then what is not: the bitmap is all there is of that. */
static int reset_locked(Error **errp)
{
    hwaddr gpa = 0, end = ROUND_DOWN(UINT64_MAX, PRIVATE_RAM_PAGE_SIZE);
    PrivateRAM *pr;
    int ret;

    while (gpa < end) {
        ret = convert_next(&gpa, end, true, false, errp);
        if (ret < 0) {
            return ret;
        }
    }
    QTAILQ_FOREACH(pr, &private_rams, next) {
        Change change = find_change(pr, 0, pr->nr_pages, true);

        if (change.pages) {
            set_bitmap(pr, change.start, change.end, true);
            count_change(pr, &change, true);
        }
        ret = discard_half(pr, 0, pr->nr_pages, false, errp);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

int private_ram_reset_all(Error **errp)
{
    int ret;

    private_ram_lock();
    ret = reset_locked(errp);
    trace_private_ram_reset(ret);
    private_ram_unlock();
    return ret;
}
