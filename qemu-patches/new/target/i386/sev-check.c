/*
 * Emulated SEV platform: the checker of an SEV guest's reports. See
 * sev-check.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qjson.h"
#include "exec/exec-all.h"
#include "hw/core/cpu.h"
#include "sysemu/tcg.h"
#include "tcg/tcg.h"
#include "sev-check-internal.h"
#include "sev-emu.h"
#include "svm.h"

#define HC_MAP_GPA_RANGE    12
#define HC_ENCRYPTED        (1 << 4)
#define PAGES_END           (1ULL << (64 - TARGET_PAGE_BITS))

/* Of a PC: video memory and ROMs; what lies below 4 GiB that is no RAM. */
#define HOLE_START          0xa0000
#define HOLE_END            (1 * MiB)
#define DEVICES_START       0xfec00000
#define DEVICES_END         (4 * GiB)

/* Where a processor begins after a reset. */
#define RESET_CS_BASE       0xffff0000
#define RESET_RIP           0xfff0

/* Below, firmware may run; a kernel that is up does not. */
#define FIRMWARE_END        (4 * GiB)
/* TLB fills from one try to read names to the next. */
#define TRY_EVERY           256

typedef struct Guest {
    uint32_t asid;
    unsigned number;        /* of this machine's guests */
    unsigned boot;          /* how often it started at the reset vector */
    unsigned reports;       /* hypercalls, of all its boots */
    unsigned pages;         /* used otherwise, of all its boots */
    bool fresh;             /* it is at the reset vector, and did nothing yet */
    SevCheckMap *map;
    GHashTable *found;      /* pages that were named since their report */
} Guest;

/* One page that was used otherwise. */
typedef struct Finding {
    hwaddr gpa;
    const char *access;
    bool private;
    SevCheckReport report;
    uint32_t asid;
    unsigned guest, boot;
    int cpu;
    uint64_t rip;
} Finding;

bool sev_check_on;

static QemuMutex lock;
static Guest *guests[SEV_EMU_NR_ASIDS];
static unsigned last_guest;
static FILE *text, *json;
/* Findings in firmware whose names could not be read yet. */
static GArray *waiting;
static unsigned tries;
/* This CPU's accesses are the checker's own. */
static __thread bool looking;

static const char *const report_names[] = {
    [SEV_CHECK_NOTHING] = "nothing",
    [SEV_CHECK_PRIVATE] = "private",
    [SEV_CHECK_SHARED] = "shared",
};

static void G_GNUC_PRINTF(1, 2) say(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    fprintf(text, "sev-check: ");
    vfprintf(text, format, list);
    va_end(list);
    fflush(text);
}

static void put_hex(QDict *dict, const char *key, uint64_t value)
{
    g_autofree char *hex = g_strdup_printf("0x%" PRIx64, value);

    qdict_put_str(dict, key, hex);
}

/* Takes @dict. */
static void say_json(QDict *dict)
{
    if (json) {
        GString *line = qobject_to_json(QOBJECT(dict));

        fprintf(json, "%s\n", line->str);
        fflush(json);
        g_string_free(line, true);
    }
    qobject_unref(dict);
}

static QDict *new_event(const char *event, uint32_t asid, unsigned guest,
                        unsigned boot)
{
    QDict *dict = qdict_new();

    qdict_put_str(dict, "event", event);
    qdict_put_int(dict, "asid", asid);
    qdict_put_int(dict, "guest", guest);
    qdict_put_int(dict, "boot", boot);
    return dict;
}

static void put_name(QDict *dict, const SevCheckName *name)
{
    if (name->name) {
        qdict_put_str(dict, "where", name->name);
        put_hex(dict, "offset", name->offset);
    } else {
        qdict_put_null(dict, "where");
    }
}

static void say_finding(const Finding *f, const SevCheckName *name)
{
    QDict *dict = new_event("page", f->asid, f->guest, f->boot);
    const char *use = f->private ? "private" : "shared";

    say("guest %u boot %u: page 0x%" HWADDR_PRIx ": %s, %s, but reported %s;"
        " CPU %d at 0x%" PRIx64 " %s+0x%" PRIx64 "\n", f->guest, f->boot,
        f->gpa, f->access, use, report_names[f->report],
        f->cpu, f->rip, name->name ?: "?", name->offset);
    put_hex(dict, "gpa", f->gpa);
    qdict_put_str(dict, "access", f->access);
    qdict_put_bool(dict, "c-bit", f->private);
    qdict_put_str(dict, "reported", report_names[f->report]);
    qdict_put_int(dict, "cpu", f->cpu);
    put_hex(dict, "rip", f->rip);
    put_name(dict, name);
    say_json(dict);
}

/* It is over: what waits for a name gets none. */
static void give_up_names(const Guest *g)
{
    static const SevCheckName none;

    for (unsigned i = 0; i < waiting->len;) {
        const Finding *f = &g_array_index(waiting, Finding, i);

        if (f->guest == g->number) {
            say_finding(f, &none);
            g_array_remove_index(waiting, i);
        } else {
            i++;
        }
    }
}

static void forget_reports(Guest *g)
{
    give_up_names(g);
    sev_check_efi_forget(g->asid);
    sev_check_map_free(g->map);
    g->map = sev_check_map_new();
    g_hash_table_remove_all(g->found);
}

static void end_guest(Guest *g)
{
    QDict *dict = new_event("end", g->asid, g->number, g->boot);

    give_up_names(g);
    say("guest %u: end, %u reports, %u pages used otherwise\n", g->number,
        g->reports, g->pages);
    qdict_put_int(dict, "reports", g->reports);
    qdict_put_int(dict, "pages", g->pages);
    say_json(dict);
    sev_check_efi_forget(g->asid);
    sev_check_map_free(g->map);
    g_hash_table_destroy(g->found);
    g_free(g);
}

static void begin_guest(uint32_t asid)
{
    Guest *g = g_new0(Guest, 1);

    g->asid = asid;
    g->number = ++last_guest;
    g->map = sev_check_map_new();
    g->found = g_hash_table_new(NULL, NULL);
    guests[asid] = g;
    say("guest %u: ASID %u\n", g->number, asid);
    say_json(new_event("guest", asid, g->number, 0));
}

void sev_check_new_guest(uint32_t asid, bool active)
{
    if (!sev_check_on) {
        return;
    }
    QEMU_LOCK_GUARD(&lock);
    if (guests[asid]) {
        end_guest(guests[asid]);
        guests[asid] = NULL;
    }
    if (active) {
        begin_guest(asid);
    }
}

void sev_check_vmrun(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    hwaddr save = env->vm_vmcb + offsetof(struct vmcb, save);
    Guest *g;

    if (!sev_check_on ||
        x86_ldq_phys(cs, save + offsetof(struct vmcb_save_area, cs.base)) !=
        RESET_CS_BASE ||
        x86_ldq_phys(cs, save + offsetof(struct vmcb_save_area, rip)) !=
        RESET_RIP ||
        x86_ldq_phys(cs, save + offsetof(struct vmcb_save_area, cr0)) &
        CR0_PE_MASK) {
        return;
    }
    QEMU_LOCK_GUARD(&lock);
    g = guests[env->sev_host.guest_asid];
    /* A vCPU may need several tries to execute its first instruction. */
    if (!g || g->fresh) {
        return;
    }
    forget_reports(g);
    g->fresh = true;
    g->boot++;
    say("guest %u: reset %u\n", g->number, g->boot);
    say_json(new_event("reset", g->asid, g->number, g->boot));
}

static gboolean is_in_range(gpointer key, gpointer value, gpointer range)
{
    const uint64_t *bounds = range;
    uint64_t page = (uintptr_t)key;

    return page >= bounds[0] && page < bounds[1];
}

static void take_report(Guest *g, uint64_t first, uint64_t end, bool private)
{
    uint64_t bounds[2] = { first, end };

    sev_check_map_set(g->map, first, end,
                      private ? SEV_CHECK_PRIVATE : SEV_CHECK_SHARED);
    g_hash_table_foreach_remove(g->found, is_in_range, bounds);
    g->reports++;
}

/* Of its guest's other CPUs: this one's is flushed when it leaves. */
static void flush_guest(uint32_t asid)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (X86_CPU(cs)->env.sev_host.guest_asid == asid) {
            tlb_flush(cs);
        }
    }
}

void sev_check_hypercall(CPUX86State *env)
{
    bool is_64 = env->hflags & HF_CS64_MASK;
    uint64_t mask = is_64 ? UINT64_MAX : UINT32_MAX;
    uint64_t gpa = env->regs[R_EBX] & mask, pages = env->regs[R_ECX] & mask;
    uint64_t first = gpa >> TARGET_PAGE_BITS;
    uint32_t asid = env->sev_host.guest_asid;

    if (!sev_check_on || !asid ||
        (env->regs[R_EAX] & mask) != HC_MAP_GPA_RANGE) {
        return;
    }
    /* What KVM refuses says nothing. */
    if (gpa & ~TARGET_PAGE_MASK || !pages || first + pages <= first ||
        env->hflags & HF_CPL_MASK) {
        return;
    }
    QEMU_LOCK_GUARD(&lock);
    if (guests[asid]) {
        take_report(guests[asid], first, MIN(first + pages, PAGES_END),
                    env->regs[R_EDX] & HC_ENCRYPTED);
        flush_guest(asid);
    }
}

/* The address of the instruction whose code on this machine is at @ra. */
static uint64_t guest_rip(CPUX86State *env, uintptr_t ra)
{
    uint64_t data[TARGET_INSN_START_WORDS];
    target_ulong pc, cs_base;
    uint32_t flags;

    cpu_get_tb_cpu_state(env, &pc, &cs_base, &flags);
    if (cpu_unwind_state_data(env_cpu(env), ra, data)) {
        pc = (pc & TARGET_PAGE_MASK) | data[0];
    }
    return pc;
}

/* The CPU's own accesses must not be found, nor leave entries behind. */
static void find_name(CPUX86State *env, uint64_t rip, SevCheckName *name)
{
    if (sev_check_symbol(rip, name)) {
        return;
    }
    looking = true;
    sev_check_efi_image(env, rip, name);
    looking = false;
    tlb_flush(env_cpu(env));
}

static bool is_ram(hwaddr gpa)
{
    return (gpa < HOLE_START || gpa >= HOLE_END) &&
           (gpa < DEVICES_START || gpa >= DEVICES_END);
}

/* Returns whether this is the first use of the page otherwise. */
static bool is_finding(CPUX86State *env, Finding *f)
{
    hwaddr page = f->gpa >> TARGET_PAGE_BITS;
    Guest *g;

    QEMU_LOCK_GUARD(&lock);
    g = guests[env->sev_host.guest_asid];
    if (!g) {
        return false;
    }
    g->fresh &= env->eip == RESET_RIP;
    if (!is_ram(f->gpa)) {
        return false;
    }
    f->report = sev_check_map_get(g->map, page);
    if (f->private == (f->report != SEV_CHECK_SHARED) ||
        !g_hash_table_add(g->found, (gpointer)(uintptr_t)page)) {
        return false;
    }
    g->pages++;
    f->asid = g->asid;
    f->guest = g->number;
    f->boot = g->boot;
    return true;
}

/*
 * The host may have taken the page of the names out of the guest's nested page
 * tables, until the guest uses it again.
 */
static bool may_come(CPUX86State *env, const Finding *f)
{
    return f->rip < FIRMWARE_END && env->eip < FIRMWARE_END &&
           env->hflags & HF_LMA_MASK;
}

/* Says it, or lets it wait. */
static bool settle(CPUX86State *env, const Finding *f)
{
    SevCheckName name = { 0 };

    find_name(env, f->rip, &name);
    QEMU_LOCK_GUARD(&lock);
    if (!name.name && may_come(env, f)) {
        g_array_append_val(waiting, *f);
        return false;
    }
    say_finding(f, &name);
    g_free(name.name);
    return true;
}

/* The oldest of the guest that runs. */
static bool take_waiting(CPUX86State *env, Finding *f)
{
    QEMU_LOCK_GUARD(&lock);
    for (unsigned i = 0; i < waiting->len; i++) {
        *f = g_array_index(waiting, Finding, i);
        if (f->asid == env->sev_host.guest_asid) {
            g_array_remove_index(waiting, i);
            return true;
        }
    }
    return false;
}

static void settle_waiting(CPUX86State *env)
{
    Finding f;

    if (waiting->len && !(++tries % TRY_EVERY)) {
        while (take_waiting(env, &f) && settle(env, &f)) {
            ;
        }
    }
}

static void check_access(CPUX86State *env, hwaddr gpa, bool private,
                         const char *access, uintptr_t ra)
{
    Finding f = {
        .gpa = gpa & TARGET_PAGE_MASK, .private = private, .access = access,
    };

    if (looking) {
        return;
    }
    if (is_finding(env, &f)) {
        f.cpu = env_cpu(env)->cpu_index;
        f.rip = guest_rip(env, ra);
        settle(env, &f);
    }
    settle_waiting(env);
}

void sev_check_walk(CPUX86State *env, hwaddr gpa, uintptr_t ra)
{
    if (sev_check_on && env->sev_host.guest_asid) {
        check_access(env, gpa, true, "page table", ra);
    }
}

void sev_check_fill(CPUX86State *env, hwaddr gpa, bool private,
                    MMUAccessType type, int mmu_idx, int *prot, uintptr_t ra)
{
    static const char *const names[] = {
        [MMU_DATA_LOAD] = "read",
        [MMU_DATA_STORE] = "write",
        [MMU_INST_FETCH] = "execute",
    };
    bool fetch = type == MMU_INST_FETCH;

    if (!sev_check_on || !env->sev_host.guest_asid ||
        mmu_idx == MMU_NESTED_IDX || mmu_idx == MMU_PHYS_IDX) {
        return;
    }
    if (!private) {
        /* Instructions are private all the same. */
        *prot &= fetch ? PAGE_EXEC : ~PAGE_EXEC;
    }
    check_access(env, gpa, private || fetch, names[type], ra);
}

static bool open_file(const char *path, FILE **file, Error **errp)
{
    if (!path) {
        return true;
    }
    *file = fopen(path, "w");
    if (!*file) {
        error_setg_file_open(errp, errno, path);
        return false;
    }
    return true;
}

bool sev_check_enable(const SevCheckConfig *config, Error **errp)
{
    if (!config->what) {
        if (config->text || config->json || config->maps) {
            error_setg(errp, "check-text, check-json and check-maps need"
                       " check=c-bit");
            return false;
        }
        return true;
    }
    if (strcmp(config->what, "c-bit")) {
        error_setg(errp, "check=%s is not supported", config->what);
        error_append_hint(errp, "Supported: check=c-bit.\n");
        return false;
    }
    if (!tcg_enabled()) {
        error_setg(errp, "check=c-bit needs the TCG accelerator");
        return false;
    }
    text = stderr;
    if (!open_file(config->text, &text, errp) ||
        !open_file(config->json, &json, errp) ||
        (config->maps && !sev_check_load_names(config->maps, errp))) {
        return false;
    }
    qemu_mutex_init(&lock);
    sev_check_efi_init();
    waiting = g_array_new(false, false, sizeof(Finding));
    sev_check_on = true;
    return true;
}
