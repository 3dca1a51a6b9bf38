/*
 * Emulated SEV platform: the shadow of memory encryption. See sev-enc.h, and
 * sev-strict.h for coherency=strict.
 *
 * A page is named by its number in the machine's RAM block, which the shadow
 * has the same layout as; its physical address is another thing, because RAM
 * goes on above 4 GiB.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/madvise.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "exec/exec-all.h"
#include "exec/ram_addr.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "hw/i386/x86.h"
#include "sysemu/cpus.h"
#include "sysemu/tcg.h"
#include "sev-enc-internal.h"
#include "sev-strict.h"
#include "trace.h"

#define PAGE SEV_CIPHER_PAGE
#define LINE SEV_STRICT_LINE
#define MAX_CPUS 64         /* bits of SevEncDirty.cpus */
/* Structs that wait for a page: an exit makes as many clean as were written. */
#define MAX_SPARE 256
/* Below, what the guest's host sees depends on the chip set's switches. */
#define FIRST_PA (1 * MiB)

/* One for each page of RAM. */
typedef struct SevEncPage {
    uint32_t key;           /* id of the key it was decrypted with, 0: none */
    uint32_t dirty;         /* its place in enc.dirty plus one, 0: clean */
} SevEncPage;
QEMU_BUILD_BUG_ON(sizeof(SevEncPage) != 8);

static struct {
    bool on;
    bool paranoid;
    MemoryRegion shadow, low, high;
    uint8_t *raw, *plain;
    ram_addr_t raw_addr, plain_addr;
    uint64_t low_size, high_start, high_size;
    SevEncPage *page;
    uint64_t pages;
    GPtrArray *dirty;       /* of SevEncDirty */
    unsigned nr_dirty;      /* those in use; the others are spare */
    /* When paranoid: pages to forget at #VMEXIT, and what they held. */
    GArray *filled;
    uint8_t *forgotten;
    unsigned long *has_forgotten;
    SevEncStats stats;
} enc;

int64_t sev_enc_page_of(hwaddr pa)
{
    if (pa < FIRST_PA) {
        return -1;
    }
    if (pa < enc.low_size) {
        return pa / PAGE;
    }
    if (pa >= enc.high_start && pa - enc.high_start < enc.high_size) {
        return (enc.low_size + pa - enc.high_start) / PAGE;
    }
    return -1;
}

uint64_t sev_enc_pages(void)
{
    return enc.pages;
}

bool sev_enc_is_ram(MemoryRegion *mr)
{
    return memory_region_get_ram_addr(mr) == enc.raw_addr;
}

hwaddr sev_enc_pa_of(uint64_t page)
{
    uint64_t offset = page * PAGE;

    return offset < enc.low_size ? offset
                                 : enc.high_start + offset - enc.low_size;
}

static bool has_code(ram_addr_t addr)
{
    return !cpu_physical_memory_get_dirty_flag(addr, DIRTY_MEMORY_CODE);
}

/* Code that was translated from a page which now has other contents. */
static void forget_code(ram_addr_t addr)
{
    if (has_code(addr)) {
        tb_invalidate_phys_range(addr, addr + PAGE);
    }
}

/*
 * Nothing is executed from a page that was forgotten before it is loaded again,
 * and then it mostly is what it was. To translate all of a guest's code anew
 * after each exit would take more time than all the rest.
 */
static void keep_code(uint64_t page)
{
    if (has_code(enc.plain_addr + page * PAGE)) {
        memcpy(enc.forgotten + page * PAGE, enc.plain + page * PAGE, PAGE);
        set_bit(page, enc.has_forgotten);
    }
}

static bool is_as_forgotten(uint64_t page)
{
    return enc.paranoid && test_and_clear_bit(page, enc.has_forgotten) &&
           !memcmp(enc.plain + page * PAGE, enc.forgotten + page * PAGE, PAGE);
}

static bool raw_changed(uint64_t page)
{
    return cpu_physical_memory_get_dirty_flag(enc.raw_addr + page * PAGE,
                                              DIRTY_MEMORY_VGA);
}

static void copy_changed_lines(uint8_t *raw, const uint8_t *crypted,
                               const uint8_t *plain, const uint8_t *old)
{
    for (int pos = 0; pos < PAGE; pos += LINE) {
        if (memcmp(plain + pos, old + pos, LINE)) {
            memcpy(raw + pos, crypted + pos, LINE);
        }
    }
}

bool sev_enc_is_stale(const SevEncDirty *d)
{
    return memcmp(enc.plain + d->page * PAGE, d->old, PAGE);
}

void sev_enc_write_back(SevEncDirty *d)
{
    uint8_t plain[PAGE], crypted[PAGE];

    if (!sev_enc_is_stale(d)) {
        return;
    }
    /* Of a moment: a CPU that stores meanwhile makes the page stale again. */
    memcpy(plain, enc.plain + d->page * PAGE, PAGE);
    if (raw_changed(d->page)) {
        enc.stats.conflicts++;
        trace_sev_enc_conflict(sev_enc_pa_of(d->page), d->key->id);
        if (sev_strict_on) {
            /* A device that has a pointer, and said nothing. */
            sev_enc_report_stale(d, SEV_STRICT_DMA_WRITE, NULL, 0);
        }
    }
    sev_cipher_crypt(d->key->cipher, sev_enc_pa_of(d->page), plain, crypted,
                     PAGE, true);
    forget_code(enc.raw_addr + d->page * PAGE);
    copy_changed_lines(enc.raw + d->page * PAGE, crypted, plain, d->old);
    memcpy(d->old, plain, PAGE);
    enc.stats.write_backs++;
    d->key->write_backs++;
    trace_sev_enc_write_back(sev_enc_pa_of(d->page), d->key->id);
}

void sev_enc_write_back_line(SevEncDirty *d, unsigned offset)
{
    const uint8_t *plain = enc.plain + d->page * PAGE + offset;
    uint8_t crypted[LINE];

    if (!memcmp(plain, d->old + offset, LINE)) {
        return;
    }
    sev_cipher_crypt(d->key->cipher, sev_enc_pa_of(d->page) + offset, plain,
                     crypted, LINE, true);
    forget_code(enc.raw_addr + d->page * PAGE);
    memcpy(enc.raw + d->page * PAGE + offset, crypted, LINE);
    memcpy(d->old + offset, plain, LINE);
}

unsigned sev_enc_nr_dirty(void)
{
    return qatomic_read(&enc.nr_dirty);
}

SevEncDirty *sev_enc_dirty_at(unsigned i)
{
    return g_ptr_array_index(enc.dirty, i);
}

SevEncDirty *sev_enc_dirty_of(uint64_t page)
{
    unsigned at = enc.page[page].dirty;

    return at ? sev_enc_dirty_at(at - 1) : NULL;
}

void sev_enc_make_clean(SevEncDirty *d)
{
    unsigned at = enc.page[d->page].dirty - 1;
    SevEncDirty *last = sev_enc_dirty_at(--enc.nr_dirty);

    g_ptr_array_index(enc.dirty, at) = last;
    g_ptr_array_index(enc.dirty, enc.nr_dirty) = d;
    enc.page[last->page].dirty = at + 1;
    enc.page[d->page].dirty = 0;
    sev_enc_key_put(d->key);
    if (enc.dirty->len - enc.nr_dirty > MAX_SPARE) {
        g_free(g_ptr_array_remove_index(enc.dirty, enc.dirty->len - 1));
    }
}

static SevEncDirty *make_dirty(uint64_t page, SevEncKey *key, uint32_t asid)
{
    SevEncDirty *d;

    if (sev_strict_on) {
        /* Who uses it next is seen. */
        sev_strict_unmap(page);
    }
    if (enc.nr_dirty == enc.dirty->len) {
        g_ptr_array_add(enc.dirty, g_new(SevEncDirty, 1));
    }
    d = sev_enc_dirty_at(enc.nr_dirty++);
    d->page = page;
    d->cpus = 0;
    d->key = key;
    key->refs++;
    d->asid = asid;
    d->reported = false;
    memcpy(d->old, enc.plain + page * PAGE, PAGE);
    enc.page[page].dirty = enc.nr_dirty;
    return d;
}

static uint64_t cpu_bit(CPUState *cs)
{
    return 1ULL << cs->cpu_index;
}

/* Is it one of those in @mask, and runs a guest? */
static bool in_guest(CPUState *cs, uint64_t mask)
{
    return mask & cpu_bit(cs) && X86_CPU(cs)->env.sev_host.guest_asid;
}

static void flush_cpus(uint64_t mask)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (in_guest(cs, mask)) {
            tlb_flush(cs);
        }
    }
}

/*
 * May they store through entries that flush_cpus() has asked them to drop? Not
 * in their own thread: they drop them before they go on.
 */
static bool may_still_store(uint64_t mask)
{
    CPUState *cs;

    if (qemu_in_vcpu_thread()) {
        return false;
    }
    CPU_FOREACH(cs) {
        if (in_guest(cs, mask)) {
            return true;
        }
    }
    return false;
}

void sev_enc_retire(SevEncDirty *d)
{
    sev_enc_write_back(d);
    flush_cpus(d->cpus);
    /* What comes late stays dirty, for the next exit or flush. */
    if (!may_still_store(d->cpus)) {
        sev_enc_make_clean(d);
    }
}

static void load_page(uint64_t page, SevEncKey *key)
{
    uint8_t *plain = enc.plain + page * PAGE;
    SevEncPage *p = &enc.page[page];

    /* First the bit: who writes to RAM after this is seen next time. */
    cpu_physical_memory_test_and_clear_dirty(enc.raw_addr + page * PAGE, PAGE,
                                             DIRTY_MEMORY_VGA);
    sev_cipher_crypt(key->cipher, sev_enc_pa_of(page), enc.raw + page * PAGE,
                     plain, PAGE, false);
    if (!is_as_forgotten(page)) {
        forget_code(enc.plain_addr + page * PAGE);
    }
    if (enc.paranoid && !p->key) {
        g_array_append_val(enc.filled, page);
    }
    p->key = key->id;
    enc.stats.fills++;
    trace_sev_enc_fill(sev_enc_pa_of(page), key->id);
}

void sev_enc_discard(SevEncDirty *d)
{
    enc.page[d->page].key = 0;
    flush_cpus(UINT64_MAX);
    sev_enc_make_clean(d);
}

/* Make the shadow's page what RAM is under @key. */
static void refresh(CPUX86State *env, uint64_t page, SevEncKey *key)
{
    SevEncPage *p = &enc.page[page];
    SevEncDirty *d = p->dirty ? sev_enc_dirty_at(p->dirty - 1) : NULL;

    if (p->key != key->id) {
        if (d && sev_strict_on) {
            sev_enc_used_by_other(page, SEV_STRICT_PRIVATE, env_cpu(env),
                                  env->sev_host.guest_asid);
        } else if (d) {
            sev_enc_retire(d);
        }
        if (p->key) {
            /* Who has it mapped under the other key loses it. */
            flush_cpus(UINT64_MAX);
        }
        load_page(page, key);
    } else if (raw_changed(page)) {
        if (d) {
            sev_enc_write_back(d);
        }
        load_page(page, key);
        if (d) {
            memcpy(d->old, enc.plain + page * PAGE, PAGE);
        }
    }
}

/* Returns whether the CPU may write to the page without asking again. */
static bool access_page(CPUX86State *env, uint64_t page, bool store)
{
    SevEncKey *key = sev_enc_asid_key(env->sev_host.guest_asid);
    SevEncPage *p = &enc.page[page];
    uint64_t cpu = cpu_bit(env_cpu(env));
    SevEncDirty *d;

    if (sev_strict_on) {
        sev_strict_encrypted(page, UINT64_MAX, (SevStrictReport) {
            .pa = sev_enc_pa_of(page),
            .asid = env->sev_host.guest_asid,
            .handle = key->handle,
            .use = SEV_STRICT_PRIVATE,
            .user_cpu = env_cpu(env)->cpu_index,
            .user_asid = env->sev_host.guest_asid,
        });
    }
    refresh(env, page, key);
    if (store) {
        d = p->dirty ? sev_enc_dirty_at(p->dirty - 1)
                     : make_dirty(page, key, env->sev_host.guest_asid);
        d->cpus |= cpu;
        d->last_cpu = env_cpu(env)->cpu_index;
    }
    return p->dirty && sev_enc_dirty_at(p->dirty - 1)->cpus & cpu;
}

/* The guest is about to see RAM itself: no later write-back may undo that. */
static void access_shared(uint64_t page)
{
    SevEncDirty *d = sev_enc_dirty_of(page);

    if (d) {
        sev_enc_retire(d);
    }
}

bool sev_enc_fill(CPUX86State *env, hwaddr pa, int size, bool private,
                  MMUAccessType type, int mmu_idx, int *prot)
{
    int64_t page;

    if (!enc.on || !env->sev_host.guest_asid || mmu_idx == MMU_PHYS_IDX) {
        if (unlikely(sev_strict_on)) {
            QEMU_LOCK_GUARD(&sev_enc_lock);
            sev_enc_strict_fill(env, pa, size, type, mmu_idx, prot);
        }
        return false;
    }
    page = sev_enc_page_of(pa);
    if (page < 0) {
        if (private && mmu_idx != MMU_NESTED_IDX) {
            qemu_log_mask(LOG_GUEST_ERROR, "SEV: private access to 0x%"
                          HWADDR_PRIx ", which is not RAM\n", pa);
        }
        return false;
    }
    if (mmu_idx == MMU_NESTED_IDX) {
        /* Whose page this is, only the guest's own tables tell. */
        return true;
    }
    QEMU_LOCK_GUARD(&sev_enc_lock);
    if (!private && type != MMU_INST_FETCH) {
        if (sev_strict_on) {
            sev_enc_strict_fill(env, pa, size, type, mmu_idx, prot);
        } else {
            access_shared(page);
        }
        *prot &= ~PAGE_EXEC;
        return false;
    }
    if (!access_page(env, page, type == MMU_DATA_STORE)) {
        *prot &= ~PAGE_WRITE;
    }
    if (!private) {
        *prot &= PAGE_EXEC;
    }
    return true;
}

void sev_enc_walk(CPUX86State *env, hwaddr pa, MMUAccessType type)
{
    int64_t page = sev_enc_page_of(pa);

    assert(page >= 0);
    QEMU_LOCK_GUARD(&sev_enc_lock);
    access_page(env, page, type == MMU_DATA_STORE);
}

static bool another_cpu_in_guest(CPUState *self)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (cs != self && X86_CPU(cs)->env.sev_host.guest_asid) {
            return true;
        }
    }
    return false;
}

static void poison(void)
{
    for (unsigned i = 0; i < enc.filled->len; i++) {
        uint64_t page = g_array_index(enc.filled, uint64_t, i);

        assert(!enc.page[page].dirty);
        keep_code(page);
        memset(enc.plain + page * PAGE, 0xa5, PAGE);
        enc.page[page].key = 0;
    }
    g_array_set_size(enc.filled, 0);
}

void sev_enc_leave(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);

    if (!enc.on) {
        return;
    }
    tlb_flush(cs);
    if (sev_strict_on) {
        /* Leaving a guest flushes no cache. */
        return;
    }
    QEMU_LOCK_GUARD(&sev_enc_lock);
    for (int i = (int)enc.nr_dirty - 1; i >= 0; i--) {
        SevEncDirty *d = sev_enc_dirty_at(i);

        if (!(d->cpus & cpu_bit(cs))) {
            continue;
        }
        sev_enc_write_back(d);
        d->cpus &= ~cpu_bit(cs);
        if (!d->cpus) {
            sev_enc_make_clean(d);
        }
    }
    if (enc.paranoid && !another_cpu_in_guest(cs)) {
        poison();
    }
}

void sev_enc_retire_key(SevEncKey *key)
{
    /* Strict: its lines stay, as those of an ASID that is not flushed. */
    for (int i = (int)enc.nr_dirty - 1; i >= 0 && !sev_strict_on; i--) {
        if (sev_enc_dirty_at(i)->key == key) {
            sev_enc_retire(sev_enc_dirty_at(i));
        }
    }
    /* Nor may anybody go on reading. */
    if (enc.on) {
        flush_cpus(UINT64_MAX);
    }
}

static void give_back(uint64_t first, uint64_t end)
{
    uint8_t *plain = enc.plain + first * PAGE;

    if (qemu_madvise(plain, (end - first) * PAGE, QEMU_MADV_DONTNEED)) {
        memset(plain, 0, (end - first) * PAGE);
    }
}

void sev_enc_forget_key(SevEncKey *key)
{
    uint64_t end;

    sev_enc_retire_key(key);
    for (uint64_t i = 0; enc.on && i < enc.pages; i = end + 1) {
        for (end = i; end < enc.pages && enc.page[end].key == key->id; end++) {
            enc.page[end].key = 0;
            forget_code(enc.plain_addr + end * PAGE);
        }
        if (end > i) {
            give_back(i, end);
        }
    }
}

SevEncStats sev_enc_stats(void)
{
    QEMU_LOCK_GUARD(&sev_enc_lock);
    return enc.stats;
}

/* As mincore() says it; 0 where there is none. */
static uint64_t resident_pages(uint8_t *start, uint64_t pages)
{
    uint64_t n = 0;
#ifdef CONFIG_LINUX
    unsigned char vec[4096];

    for (uint64_t i = 0; i < pages; i += sizeof(vec)) {
        uint64_t some = MIN(pages - i, sizeof(vec));

        if (mincore(start + i * PAGE, some * PAGE, vec)) {
            return n;
        }
        for (uint64_t k = 0; k < some; k++) {
            n += vec[k] & 1;
        }
    }
#endif
    return n;
}

SevEncUse sev_enc_use(void)
{
    SevEncUse use = { 0 };

    if (!enc.on) {
        return use;
    }
    QEMU_LOCK_GUARD(&sev_enc_lock);
    for (uint64_t i = 0; i < enc.pages; i++) {
        use.pages += enc.page[i].key != 0;
    }
    use.resident = resident_pages(enc.plain, enc.pages);
    use.copies = enc.dirty->len;
    return use;
}

SevEncKeyStats sev_enc_key_stats(const SevEncKey *key)
{
    SevEncKeyStats stats = { 0 };

    QEMU_LOCK_GUARD(&sev_enc_lock);
    if (!key) {
        return stats;
    }
    stats.write_backs = key->write_backs;
    stats.stale = key->stale;
    for (uint64_t i = 0; i < enc.pages; i++) {
        stats.pages += enc.page[i].key == key->id;
    }
    for (unsigned i = 0; i < enc.nr_dirty; i++) {
        stats.dirty += sev_enc_dirty_at(i)->key == key;
    }
    return stats;
}

MemoryRegion *sev_enc_memory(void)
{
    static MemoryRegion root;

    if (!root.name) {
        memory_region_init(&root, NULL, "sev-private", UINT64_MAX);
    }
    return &root;
}

static bool check_machine(MachineState *ms, Error **errp)
{
    CPUState *cs;

    if (!ms->ram || !ms->ram->ram_block) {
        error_setg(errp, "enc=xts needs all RAM in one block");
        return false;
    }
    if (qemu_tcg_mttcg_enabled()) {
        error_setg(errp, "enc=xts needs -accel tcg,thread=single");
        return false;
    }
    CPU_FOREACH(cs) {
        if (cs->cpu_index >= MAX_CPUS) {
            error_setg(errp, "enc=xts works with %d CPUs", MAX_CPUS);
            return false;
        }
    }
    return true;
}

static void map_shadow(Object *owner, X86MachineState *x86ms)
{
    MemoryRegion *root = sev_enc_memory();

    enc.low_size = x86ms->below_4g_mem_size;
    enc.high_start = x86ms->above_4g_mem_start;
    enc.high_size = x86ms->above_4g_mem_size;
    memory_region_init_alias(&enc.low, owner, "sev-private-low", &enc.shadow,
                             0, enc.low_size);
    memory_region_add_subregion(root, 0, &enc.low);
    if (enc.high_size) {
        memory_region_init_alias(&enc.high, owner, "sev-private-high",
                                 &enc.shadow, enc.low_size, enc.high_size);
        memory_region_add_subregion(root, enc.high_start, &enc.high);
    }
}

bool sev_enc_enable(Object *owner, bool paranoid, Error **errp)
{
    ERRP_GUARD();
    MachineState *ms = MACHINE(qdev_get_machine());
    Error *err = NULL;

    if (!tcg_enabled()) {
        /* A test of the secure processor alone. */
        return true;
    }
    if (!check_machine(ms, errp)) {
        error_append_hint(errp, "Change the machine, or say enc=none on the"
                          " sev-psp device.\n");
        return false;
    }
    memory_region_init_ram_flags_nomigrate(&enc.shadow, owner, "sev-shadow",
                                           memory_region_size(ms->ram),
                                           RAM_NORESERVE, &err);
    if (err) {
        error_propagate(errp, err);
        return false;
    }
    enc.pages = memory_region_size(ms->ram) / PAGE;
    enc.page = g_new0(SevEncPage, enc.pages);
    enc.dirty = g_ptr_array_new();
    enc.filled = g_array_new(false, false, sizeof(uint64_t));
    enc.raw = memory_region_get_ram_ptr(ms->ram);
    enc.raw_addr = memory_region_get_ram_addr(ms->ram);
    enc.plain = memory_region_get_ram_ptr(&enc.shadow);
    enc.plain_addr = memory_region_get_ram_addr(&enc.shadow);
    enc.paranoid = paranoid;
    if (paranoid) {
        enc.forgotten = qemu_anon_ram_alloc(enc.pages * PAGE, NULL, false,
                                            true);
        if (!enc.forgotten) {
            error_setg_errno(errp, errno, "no memory for paranoid=on");
            return false;
        }
        enc.has_forgotten = bitmap_new(enc.pages);
    }
    /* Huge pages would make it larger than what guests touch. */
    qemu_madvise(enc.plain, enc.pages * PAGE, QEMU_MADV_NOHUGEPAGE);
    memory_region_set_log(ms->ram, true, DIRTY_MEMORY_VGA);
    map_shadow(owner, X86_MACHINE(ms));
    enc.on = true;
    return true;
}
