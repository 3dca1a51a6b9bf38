/*
 * Emulated SEV platform: a checker of missing cache flushes. See sev-strict.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "exec/exec-all.h"
#include "hw/core/cpu.h"
#include "sev-emu.h"
#include "sev-strict.h"
#include "trace.h"

/* A host that never flushes would fill the disk: more are only counted. */
#define MESSAGES    2000

/* What the host's caches may hold of a page. */
typedef struct HostPage {
    uint64_t flushed;   /* lines that CLFLUSH reached since the last store */
    uint32_t written;   /* strict.now when it was last mapped to be written */
    uint32_t mapped;    /* strict.maps of the last TLB entry, and of the last */
    uint32_t writable;  /* writable one; 0: never */
    int32_t cpu;        /* that wrote it last, plus one */
} HostPage;

bool sev_strict_on;
bool sev_strict_probing;

static struct {
    HostPage *page;
    uint32_t now;           /* goes on at each WBINVD */
    uint32_t flushed[SEV_EMU_MAX_CPUS];     /* when each CPU did so last */
    uint32_t all_flushed;   /* the least of these */
    uint32_t maps;          /* goes on when all TLBs are flushed */
    SevStrictReport log[SEV_STRICT_LOG_LEN];
    uint64_t reports;
} strict;

static const char *const use_str[SEV_STRICT_USES] = {
    [SEV_STRICT_HOST_READ] = "host-read",
    [SEV_STRICT_HOST_WRITE] = "host-write",
    [SEV_STRICT_HOST_WALK] = "host-walk",
    [SEV_STRICT_SHARED_READ] = "guest-shared-read",
    [SEV_STRICT_SHARED_WRITE] = "guest-shared-write",
    [SEV_STRICT_PRIVATE] = "guest-private",
    [SEV_STRICT_DMA_READ] = "dma-read",
    [SEV_STRICT_DMA_WRITE] = "dma-write",
    [SEV_STRICT_PSP_READ] = "psp-read",
    [SEV_STRICT_PSP_WRITE] = "psp-write",
};

const char *sev_strict_use_str(SevStrictUse use)
{
    return use_str[use];
}

bool sev_strict_is_write(SevStrictUse use)
{
    switch (use) {
    case SEV_STRICT_HOST_READ:
    case SEV_STRICT_SHARED_READ:
    case SEV_STRICT_DMA_READ:
    case SEV_STRICT_PSP_READ:
        return false;
    default:
        return true;
    }
}

void sev_strict_init(uint64_t pages)
{
    strict.page = g_new0(HostPage, pages);
    strict.maps = 1;
    sev_strict_on = true;
}

static void print_report(const SevStrictReport *r)
{
    g_autofree char *cpu = r->user_cpu < 0 ? g_strdup("") :
                           g_strdup_printf(" on CPU %d", r->user_cpu);
    g_autofree char *asid = !r->user_asid ? g_strdup("") :
                            g_strdup_printf(" by ASID %u", r->user_asid);

    if (r->host_lines) {
        warn_report("sev-strict: page 0x%" HWADDR_PRIx ": lines of the host"
                    " (CPU %d) are not flushed; used encrypted by guest %u"
                    " (ASID %u): %s%s", r->pa, r->cpu, r->handle, r->asid,
                    use_str[r->use], cpu);
    } else {
        warn_report("sev-strict: page 0x%" HWADDR_PRIx ": lines of guest %u"
                    " (ASID %u, CPU %d) are not flushed; used by others:"
                    " %s%s%s", r->pa, r->handle, r->asid, r->cpu,
                    use_str[r->use], asid, cpu);
    }
}

void sev_strict_report(SevStrictReport report)
{
    report.number = strict.reports;
    report.time = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    strict.log[strict.reports++ % SEV_STRICT_LOG_LEN] = report;
    trace_sev_strict_report(report.pa, report.host_lines, report.asid,
                            report.handle, use_str[report.use]);
    if (report.number < MESSAGES) {
        print_report(&report);
    } else if (report.number == MESSAGES) {
        warn_report("sev-strict: more reports are counted only");
    }
}

uint64_t sev_strict_reports(void)
{
    return strict.reports;
}

uint64_t sev_strict_first_report(void)
{
    return strict.reports > SEV_STRICT_LOG_LEN
           ? strict.reports - SEV_STRICT_LOG_LEN : 0;
}

const SevStrictReport *sev_strict_get_report(uint64_t number)
{
    assert(number >= sev_strict_first_report() && number < strict.reports);
    return &strict.log[number % SEV_STRICT_LOG_LEN];
}

static bool is_dirty(const HostPage *h)
{
    return h->flushed != UINT64_MAX && h->written >= strict.all_flushed;
}

/* All TLBs: who has a certain page mapped is not known. */
static void flush_tlbs(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        tlb_flush(cs);
    }
    strict.maps++;
}

void sev_strict_unmap(uint64_t page)
{
    if (strict.page[page].mapped == strict.maps) {
        flush_tlbs();
    }
}

/* The next store to the page is seen. */
static void write_protect(const HostPage *h)
{
    if (h->writable == strict.maps) {
        flush_tlbs();
    }
}

static void mark_stored(HostPage *h, CPUState *cs, uint64_t lines)
{
    if (h->written < strict.all_flushed) {
        /* WBINVD has cleaned it: what CLFLUSH did before says nothing. */
        h->flushed = 0;
    }
    h->flushed &= ~lines;
    h->written = strict.now;
    h->cpu = cs->cpu_index + 1;
}

void sev_strict_map(CPUState *cs, uint64_t page, uint64_t stored, int *prot)
{
    HostPage *h = &strict.page[page];

    if (stored) {
        mark_stored(h, cs, stored);
        if (h->flushed) {
            /* For this store only: the next may be to a line without a mark. */
            *prot |= PAGE_WRITE_INV;
        }
    } else if (h->flushed || h->written < strict.flushed[cs->cpu_index]) {
        *prot &= ~PAGE_WRITE;
    }
    h->mapped = strict.maps;
    if (*prot & PAGE_WRITE) {
        h->writable = strict.maps;
    }
}

void sev_strict_wbinvd(CPUState *cs)
{
    CPUState *other;

    strict.flushed[cs->cpu_index] = ++strict.now;
    strict.all_flushed = strict.now;
    CPU_FOREACH(other) {
        strict.all_flushed = MIN(strict.all_flushed,
                                 strict.flushed[other->cpu_index]);
    }
    /* What this CPU stores from now on is newer. */
    tlb_flush(cs);
}

void sev_strict_flush_line(uint64_t page, unsigned line)
{
    HostPage *h = &strict.page[page];

    if (is_dirty(h)) {
        write_protect(h);
        h->flushed |= 1ULL << line;
    }
}

void sev_strict_encrypted(uint64_t page, uint64_t lines,
                          SevStrictReport report)
{
    HostPage *h = &strict.page[page];

    if (!is_dirty(h) || !(lines & ~h->flushed)) {
        return;
    }
    report.host_lines = true;
    report.cpu = h->cpu - 1;
    sev_strict_report(report);
    /* Once: until the host stores there again. */
    write_protect(h);
    h->flushed = UINT64_MAX;
}
