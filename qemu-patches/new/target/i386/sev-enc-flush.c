/*
 * Emulated SEV platform: what writes pages of the shadow back, and with
 * coherency=strict, who uses a page before something has. See sev-enc.h and
 * sev-strict.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "exec/exec-all.h"
#include "exec/private-ram-access.h"
#include "hw/core/cpu.h"
#include "sev-enc-internal.h"
#include "sev-strict.h"

#define PAGE SEV_CIPHER_PAGE
#define LINE SEV_STRICT_LINE

void sev_enc_report_stale(SevEncDirty *d, SevStrictUse use, CPUState *cs,
                          uint32_t asid)
{
    if (d->reported) {
        return;
    }
    d->reported = true;
    d->key->stale++;
    sev_strict_report((SevStrictReport) {
        .pa = sev_enc_pa_of(d->page),
        .cpu = d->last_cpu,
        .asid = d->asid,
        .handle = d->key->handle,
        .use = use,
        .user_cpu = cs ? cs->cpu_index : -1,
        .user_asid = asid,
    });
}

void sev_enc_used_by_other(uint64_t page, SevStrictUse use, CPUState *cs,
                           uint32_t asid)
{
    SevEncDirty *d = sev_enc_dirty_of(page);

    if (!d) {
        return;
    }
    if (!sev_enc_is_stale(d)) {
        sev_enc_retire(d);
        return;
    }
    sev_enc_report_stale(d, use, cs, asid);
    if (sev_strict_is_write(use)) {
        sev_enc_discard(d);
    }
}

static SevStrictUse use_of(CPUX86State *env, MMUAccessType type, int mmu_idx)
{
    if (mmu_idx == MMU_PHYS_IDX) {
        return SEV_STRICT_HOST_WALK;
    }
    if (env->sev_host.guest_asid) {
        return type == MMU_DATA_STORE ? SEV_STRICT_SHARED_WRITE
                                      : SEV_STRICT_SHARED_READ;
    }
    return type == MMU_DATA_STORE ? SEV_STRICT_HOST_WRITE
                                  : SEV_STRICT_HOST_READ;
}

/* Of a page: those in [at, at + len), as far as it goes. */
static uint64_t lines_of(hwaddr at, uint64_t len)
{
    unsigned first = at % PAGE / LINE;
    unsigned last = MIN(at % PAGE + len - 1, PAGE - 1) / LINE;

    return MAKE_64BIT_MASK(first, last - first + 1);
}

void sev_enc_strict_fill(CPUX86State *env, hwaddr pa, int size,
                         MMUAccessType type, int mmu_idx, int *prot)
{
    uint64_t stored = type == MMU_DATA_STORE ? lines_of(pa, MAX(size, 1)) : 0;
    int64_t page = sev_enc_page_of(pa);

    if (page < 0) {
        return;
    }
    if (!sev_strict_probing || mmu_idx == MMU_PHYS_IDX) {
        sev_enc_used_by_other(page, use_of(env, type, mmu_idx), env_cpu(env),
                              env->sev_host.guest_asid);
    }
    if (sev_enc_dirty_of(page)) {
        /* It was read only. A store will be another use. */
        *prot &= ~PAGE_WRITE;
    }
    sev_strict_map(env_cpu(env), page, stored, prot);
}

/*
 * Strict: the secure processor is taken to see the lines of the guest that it
 * works for, and no other's.
 */
static void psp_access(SevEncKey *key, uint64_t page, bool is_write)
{
    SevEncDirty *d = sev_enc_dirty_of(page);

    if (!d) {
        return;
    }
    if (!sev_strict_on || d->key == key) {
        sev_enc_retire(d);
    } else {
        sev_enc_used_by_other(page, is_write ? SEV_STRICT_PSP_WRITE
                                             : SEV_STRICT_PSP_READ, NULL, 0);
    }
}

void sev_enc_sync(SevEncKey *key, hwaddr pa, uint64_t len, bool is_write)
{
    QEMU_LOCK_GUARD(&sev_enc_lock);
    for (hwaddr at = pa & -PAGE; sev_enc_nr_dirty() && at < pa + len;
         at += PAGE) {
        int64_t page = sev_enc_page_of(at);

        if (page >= 0) {
            psp_access(key, page, is_write);
        }
    }
}

void sev_enc_strict_crypt(SevEncKey *key, hwaddr pa, size_t len, bool encrypt)
{
    hwaddr end;

    for (hwaddr at = pa; at < pa + len; at = end) {
        int64_t page = sev_enc_page_of(at);

        end = MIN((at & -PAGE) + PAGE, pa + len);
        if (page < 0) {
            continue;
        }
        sev_strict_encrypted(page, lines_of(at, end - at), (SevStrictReport) {
            .pa = sev_enc_pa_of(page),
            .handle = key->handle,
            .use = encrypt ? SEV_STRICT_PSP_WRITE : SEV_STRICT_PSP_READ,
            .user_cpu = -1,
        });
    }
}

static void strict_wbinvd(CPUState *cs)
{
    for (int i = (int)sev_enc_nr_dirty() - 1; i >= 0; i--) {
        SevEncDirty *d = sev_enc_dirty_at(i);

        d->cpus &= ~(1ULL << cs->cpu_index);
        if (!d->cpus) {
            sev_enc_write_back(d);
            sev_enc_make_clean(d);
        }
    }
    sev_strict_wbinvd(cs);
}

void sev_enc_wbinvd(CPUState *cs)
{
    QEMU_LOCK_GUARD(&sev_enc_lock);
    if (sev_strict_on) {
        strict_wbinvd(cs);
        return;
    }
    for (unsigned i = 0; i < sev_enc_nr_dirty(); i++) {
        sev_enc_write_back(sev_enc_dirty_at(i));
    }
}

void sev_enc_reset(void)
{
    CPUState *cs;

    if (sev_strict_on) {
        QEMU_LOCK_GUARD(&sev_enc_lock);
        CPU_FOREACH(cs) {
            strict_wbinvd(cs);
        }
    }
}

void sev_enc_flush_page(hwaddr pa, uint32_t asid)
{
    int64_t page = sev_enc_page_of(pa);
    SevEncDirty *d;

    QEMU_LOCK_GUARD(&sev_enc_lock);
    d = page < 0 ? NULL : sev_enc_dirty_of(page);
    if (d && d->key == sev_enc_asid_key(asid)) {
        sev_enc_retire(d);
    }
}

bool sev_enc_has_lines(hwaddr pa)
{
    int64_t page = sev_enc_page_of(pa);

    QEMU_LOCK_GUARD(&sev_enc_lock);
    return sev_strict_on && page >= 0 && sev_enc_dirty_of(page);
}

void sev_enc_flush_line(CPUX86State *env, hwaddr pa, bool private)
{
    int64_t page = sev_enc_page_of(pa);
    SevEncDirty *d;

    if (!sev_strict_on || page < 0) {
        return;
    }
    QEMU_LOCK_GUARD(&sev_enc_lock);
    if (!private) {
        sev_strict_flush_line(page, pa % PAGE / LINE);
        return;
    }
    d = sev_enc_dirty_of(page);
    if (d && d->key == sev_enc_asid_key(env->sev_host.guest_asid)) {
        sev_enc_write_back_line(d, pa % PAGE & -LINE);
        if (!sev_enc_is_stale(d)) {
            sev_enc_retire(d);
        }
    }
}

/* The secure processor's. */
static AddressSpace *psp_as;

/*
 * For DMA that goes through QEMU. The secure processor has told before, with
 * its guest's key: what that guest stores since is no other's.
 */
static void strict_dma(AddressSpace *as, MemoryRegion *mr, hwaddr offset,
                       hwaddr len, bool is_write)
{
    SevStrictUse use = is_write ? SEV_STRICT_DMA_WRITE : SEV_STRICT_DMA_READ;
    CPUState *cs;

    if (!sev_enc_nr_dirty() || !len || !sev_enc_is_ram(mr) || as == psp_as) {
        return;
    }
    CPU_FOREACH(cs) {
        if (as == cs->as) {
            use = is_write ? SEV_STRICT_HOST_WRITE : SEV_STRICT_HOST_READ;
        }
    }
    QEMU_LOCK_GUARD(&sev_enc_lock);
    for (uint64_t i = offset / PAGE; i <= (offset + len - 1) / PAGE; i++) {
        sev_enc_used_by_other(i, use, NULL, 0);
    }
}

void sev_enc_enable_strict(AddressSpace *psp)
{
    if (sev_enc_pages()) {
        psp_as = psp;
        sev_strict_init(sev_enc_pages());
        private_ram_observe(strict_dma);
    }
}
