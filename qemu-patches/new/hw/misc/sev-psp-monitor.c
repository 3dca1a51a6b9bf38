/*
 * Emulated AMD Platform Security Processor: query-sev-platform and "info
 * sev-platform", for people who look at the machine from outside.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor/hmp-target.h"
#include "monitor/monitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-sev-platform-target.h"
#include "sev-psp-internal.h"
#include "target/i386/sev-enc-internal.h"
#include "target/i386/sev-count.h"
#include "target/i386/sev-strict.h"

/* Their order is the schema's. */
QEMU_BUILD_BUG_ON((int)SEV_STRICT_USES != SEV_CACHE_USE__MAX);

static SevPspState *find_psp(Error **errp)
{
    Object *obj = object_resolve_path_type("", TYPE_SEV_PSP, NULL);

    if (!obj) {
        error_setg(errp, "This machine has no " TYPE_SEV_PSP " device");
        return NULL;
    }
    return SEV_PSP(obj);
}

static SevPlatformMemory *guest_memory(const SevPspGuest *g)
{
    SevPlatformMemory *memory = g_new0(SevPlatformMemory, 1);
    SevEncKeyStats stats = sev_enc_key_stats(g->key);

    memory->pages = stats.pages;
    memory->dirty = stats.dirty;
    memory->written_back = stats.write_backs;
    memory->violations = stats.stale;
    return memory;
}

static SevPlatformGuest *guest_info(SevPspState *s, const SevPspGuest *g)
{
    SevPlatformGuest *info = g_new0(SevPlatformGuest, 1);

    info->handle = g->handle;
    info->asid = g->asid;
    info->policy = g->policy;
    /* Both have the numbers of the SEV API. */
    info->state = (SevState)g->state;
    if (s->encrypts) {
        info->has_memory = true;
        info->memory = guest_memory(g);
    }
    return info;
}

static gint compare_guests(gconstpointer a, gconstpointer b)
{
    const SevPspGuest *x = a, *y = b;

    if (x->asid != y->asid) {
        return x->asid < y->asid ? -1 : 1;
    }
    return x->handle < y->handle ? -1 : x->handle > y->handle;
}

static SevPlatformGuestList *all_guests(SevPspState *s)
{
    SevPlatformGuestList *list = NULL, **tail = &list;
    GList *guests = g_list_sort(g_hash_table_get_values(s->guests),
                                compare_guests);

    for (GList *item = guests; item; item = item->next) {
        QAPI_LIST_APPEND(tail, guest_info(s, item->data));
    }
    g_list_free(guests);
    return list;
}

static uint32List *unflushed_asids(SevPspState *s)
{
    uint32List *list = NULL, **tail = &list;
    SevEmuParams params;

    if (!sev_emu_params(&params)) {
        return NULL;
    }
    for (uint32_t asid = params.min_sev_asid; asid <= params.max_asid; asid++) {
        if (s->asid_dirty[asid]) {
            QAPI_LIST_APPEND(tail, asid);
        }
    }
    return list;
}

static SevPlatformFlushesList *all_flushes(void)
{
    SevPlatformFlushesList *list = NULL, **tail = &list;
    CPUState *cs;

    CPU_FOREACH(cs) {
        SevPlatformFlushes *flushes = g_new0(SevPlatformFlushes, 1);

        flushes->cpu = cs->cpu_index;
        flushes->wbinvd = sev_count_flushes(cs, SEV_FLUSH_WBINVD);
        flushes->clflush = sev_count_flushes(cs, SEV_FLUSH_LINE);
        flushes->guest_clflush = sev_count_flushes(cs, SEV_FLUSH_GUEST_LINE);
        flushes->page_flush = sev_count_flushes(cs, SEV_FLUSH_PAGE);
        QAPI_LIST_APPEND(tail, flushes);
    }
    return list;
}

static SevPlatformCommandList *command_log(SevPspState *s)
{
    SevPlatformCommandList *list = NULL, **tail = &list;

    for (uint64_t i = sev_psp_log_first(s); i < s->log_nr; i++) {
        const SevPspLogEntry *entry = sev_psp_log_get(s, i);
        SevPlatformCommand *cmd = g_new0(SevPlatformCommand, 1);

        cmd->number = entry->number;
        cmd->time = entry->time;
        cmd->id = entry->id;
        cmd->name = g_strdup(entry->name);
        cmd->has_handle = entry->handle;
        cmd->handle = entry->handle;
        cmd->status = entry->status;
        cmd->state = (SevPlatformState)entry->state;
        QAPI_LIST_APPEND(tail, cmd);
    }
    return list;
}

static SevCacheViolation *violation(const SevStrictReport *r)
{
    SevCacheViolation *v = g_new0(SevCacheViolation, 1);

    v->number = r->number;
    v->time = r->time;
    v->address = r->pa;
    v->lines = r->host_lines ? SEV_CACHE_OWNER_HOST : SEV_CACHE_OWNER_GUEST;
    v->has_cpu = r->cpu >= 0;
    v->cpu = r->cpu;
    v->asid = r->asid;
    v->handle = r->handle;
    v->use = (SevCacheUse)r->use;
    v->has_user_cpu = r->user_cpu >= 0;
    v->user_cpu = r->user_cpu;
    v->has_user_asid = r->user_asid;
    v->user_asid = r->user_asid;
    return v;
}

static SevCacheViolationList *violations(void)
{
    SevCacheViolationList *list = NULL, **tail = &list;

    QEMU_LOCK_GUARD(&sev_enc_lock);
    for (uint64_t i = sev_strict_first_report(); i < sev_strict_reports();
         i++) {
        QAPI_LIST_APPEND(tail, violation(sev_strict_get_report(i)));
    }
    return list;
}

SevPlatformInfo *qmp_query_sev_platform(Error **errp)
{
    SevPspState *s = find_psp(errp);
    SevEncStats stats = sev_enc_stats();
    SevPlatformInfo *info;

    if (!s) {
        return NULL;
    }
    info = g_new0(SevPlatformInfo, 1);
    info->state = (SevPlatformState)s->state;
    info->encryption = g_strdup(s->encrypts ? "xts" : "none");
    info->guests = all_guests(s);
    info->unflushed_asids = unflushed_asids(s);
    info->flushes = all_flushes();
    info->df_flushes = s->df_flushes;
    info->pages_decrypted = stats.fills;
    info->pages_written_back = stats.write_backs;
    info->commands = s->log_nr;
    info->log = command_log(s);
    info->strict = s->strict;
    info->violations = sev_strict_reports();
    info->reports = violations();
    return info;
}

static void print_guests(Monitor *mon, const SevPlatformGuestList *item)
{
    for (; item; item = item->next) {
        const SevPlatformGuest *g = item->value;

        monitor_printf(mon, "guest %u: asid %u, %s, policy 0x%x\n", g->handle,
                       g->asid, SevState_str(g->state), g->policy);
        if (g->has_memory) {
            monitor_printf(mon, "  pages in the shadow: %" PRIu64 ", dirty: %"
                           PRIu64 ", written back: %" PRIu64 ", violations: %"
                           PRIu64 "\n", g->memory->pages, g->memory->dirty,
                           g->memory->written_back, g->memory->violations);
        }
    }
}

static void print_flushes(Monitor *mon, const SevPlatformFlushesList *item)
{
    for (; item; item = item->next) {
        const SevPlatformFlushes *f = item->value;

        monitor_printf(mon, "CPU %" PRId64 ": WBINVD %" PRIu64 ", CLFLUSH %"
                       PRIu64 ", of guests %" PRIu64 ", VM_PAGE_FLUSH %" PRIu64
                       "\n", f->cpu, f->wbinvd, f->clflush, f->guest_clflush,
                       f->page_flush);
    }
}

static void print_log(Monitor *mon, const SevPlatformCommandList *item)
{
    for (; item; item = item->next) {
        const SevPlatformCommand *cmd = item->value;

        monitor_printf(mon, "%6" PRIu64 " %12" PRId64 " us  %-20s", cmd->number,
                       cmd->time / 1000, cmd->name);
        if (cmd->has_handle) {
            monitor_printf(mon, " guest %u", cmd->handle);
        }
        monitor_printf(mon, " status %u (%s)\n", cmd->status,
                       SevPlatformState_str(cmd->state));
    }
}

static void print_violations(Monitor *mon, const SevPlatformInfo *info)
{
    const SevCacheViolationList *item;

    monitor_printf(mon, "violations: %" PRIu64 "\n", info->violations);
    for (item = info->reports; item; item = item->next) {
        const SevCacheViolation *v = item->value;

        monitor_printf(mon, "%6" PRIu64 " %12" PRId64 " us  page 0x%" PRIx64
                       ": lines of the %s, guest %u (ASID %u), %s\n",
                       v->number, v->time / 1000, v->address,
                       SevCacheOwner_str(v->lines), v->handle, v->asid,
                       SevCacheUse_str(v->use));
    }
}

void hmp_info_sev_platform(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    SevPlatformInfo *info = qmp_query_sev_platform(&err);

    if (!info) {
        monitor_printf(mon, "%s\n", error_get_pretty(err));
        error_free(err);
        return;
    }
    monitor_printf(mon, "platform: %s, enc=%s, %" PRIu64 " commands\n",
                   SevPlatformState_str(info->state), info->encryption,
                   info->commands);
    print_guests(mon, info->guests);
    print_flushes(mon, info->flushes);
    monitor_printf(mon, "DF_FLUSH %" PRIu64 ", pages decrypted %" PRIu64
                   ", written back %" PRIu64 "\n", info->df_flushes,
                   info->pages_decrypted, info->pages_written_back);
    if (info->strict) {
        print_violations(mon, info);
    }
    print_log(mon, info->log);
    qapi_free_SevPlatformInfo(info);
}
