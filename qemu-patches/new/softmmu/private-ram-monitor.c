/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private RAM: the monitor's commands that look at it.
 *
 * Locking: the private-RAM mutex for the counters and for the list of blocks,
 * which a command under the BQL may walk without: blocks go under the BQL.
 * What is populated is asked of the files, with no lock.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-private-memory.h"
#include "qapi/qmp/qdict.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "private-ram-internal.h"

#define MAP_CELLS_DEFAULT   256
#define MAP_CELLS_MAX       4096

static PrivateMemoryStrayAccess *stray_to_qapi(const PrivateRAMStray *stray)
{
    PrivateMemoryStrayAccess *out = g_new0(PrivateMemoryStrayAccess, 1);

    out->device = g_strdup(stray->device);
    out->has_gpa = stray->mapped;
    out->gpa = stray->gpa;
    out->offset = stray->offset;
    out->size = stray->size;
    out->write = stray->is_write;
    return out;
}

static PrivateMemoryInfo *info_locked(const PrivateRAM *pr)
{
    const PrivateRAMStats *stats = &pr->stats;
    PrivateMemoryInfo *info = g_new0(PrivateMemoryInfo, 1);

    info->id = g_strdup(pr->id);
    info->size = pr->nr_pages << PRIVATE_RAM_PAGE_BITS;
    info->shared = pr->nr_shared << PRIVATE_RAM_PAGE_BITS;
    info->q_private = info->size - info->shared;
    info->has_populated_private =
        private_ram_file_bytes(pr->fd, &info->populated_private);
    info->has_populated_shared =
        private_ram_file_bytes(pr->rb->fd, &info->populated_shared);
    info->pages_to_private = stats->pages_to_private;
    info->pages_to_shared = stats->pages_to_shared;
    info->conversions_to_private = stats->conversions_to_private;
    info->conversions_to_shared = stats->conversions_to_shared;
    info->unchanged = stats->unchanged;
    info->discarded_private = stats->discarded_private;
    info->discarded_shared = stats->discarded_shared;
    info->stray_dma = pr->stray_policy;
    info->stray_reads = stats->stray_reads;
    info->stray_writes = stats->stray_writes;
    if (pr->last_stray.device) {
        info->has_last_stray = true;
        info->last_stray = stray_to_qapi(&pr->last_stray);
    }
    return info;
}

PrivateMemoryInfoList *qmp_query_private_memory(Error **errp)
{
    PrivateMemoryInfoList *head = NULL, **tail = &head;
    PrivateRAM *pr;

    private_ram_lock();
    QTAILQ_FOREACH(pr, &private_rams, next) {
        QAPI_LIST_APPEND(tail, info_locked(pr));
    }
    private_ram_unlock();
    return head;
}

static PrivateRAM *find_by_id(const char *id)
{
    PrivateRAM *pr;

    QTAILQ_FOREACH(pr, &private_rams, next) {
        if (g_str_equal(pr->id, id)) {
            return pr;
        }
    }
    return NULL;
}

static PrivateMemoryMapCell *map_cell(const PrivateRAM *pr, uint64_t start,
                                      uint64_t end)
{
    PrivateMemoryMapCell *cell = g_new0(PrivateMemoryMapCell, 1);
    uint64_t first = start >> PRIVATE_RAM_PAGE_BITS;
    uint64_t last = end >> PRIVATE_RAM_PAGE_BITS;
    PrivateRAMRun run;

    while (private_ram_next_run(pr, first, last, &run)) {
        uint64_t size = (run.end - run.start) << PRIVATE_RAM_PAGE_BITS;

        if (run.is_private) {
            cell->q_private += size;
        } else {
            cell->shared += size;
        }
        first = run.end;
    }
    cell->has_populated_shared =
        private_ram_file_bytes_in(pr->rb->fd, start, end - start,
                                  &cell->populated_shared);
    return cell;
}

PrivateMemoryMap *qmp_query_private_memory_map(const char *id, bool has_cells,
                                               uint32_t cells, Error **errp)
{
    PrivateMemoryMapCellList **tail;
    PrivateMemoryMap *map;
    PrivateRAM *pr = find_by_id(id);
    uint64_t offset;

    if (!pr) {
        error_setg(errp, "No memory backend '%s' with private memory", id);
        return NULL;
    }
    if (!has_cells) {
        cells = MAP_CELLS_DEFAULT;
    }
    if (cells < 1 || cells > MAP_CELLS_MAX) {
        error_setg(errp, "A map has 1 to %d cells", MAP_CELLS_MAX);
        return NULL;
    }

    map = g_new0(PrivateMemoryMap, 1);
    map->id = g_strdup(pr->id);
    map->size = pr->nr_pages << PRIVATE_RAM_PAGE_BITS;
    map->cell_size = ROUND_UP(DIV_ROUND_UP(map->size, cells),
                              PRIVATE_RAM_PAGE_SIZE);
    tail = &map->cells;
    for (offset = 0; offset < map->size; offset += map->cell_size) {
        uint64_t end = MIN(offset + map->cell_size, map->size);

        QAPI_LIST_APPEND(tail, map_cell(pr, offset, end));
    }
    return map;
}

static void print_size(Monitor *mon, const char *what, bool known,
                       uint64_t bytes)
{
    g_autofree char *size = size_to_str(bytes);

    monitor_printf(mon, "  %s: %s\n", what, known ? size : "not known");
}

static void print_info(Monitor *mon, const PrivateMemoryInfo *info)
{
    const PrivateMemoryStrayAccess *stray = info->last_stray;
    g_autofree char *to_private = size_to_str(info->discarded_shared);
    g_autofree char *to_shared = size_to_str(info->discarded_private);

    monitor_printf(mon, "%s:\n", info->id);
    print_size(mon, "size", true, info->size);
    print_size(mon, "private", true, info->q_private);
    print_size(mon, "shared", true, info->shared);
    print_size(mon, "populated, private half", info->has_populated_private,
               info->populated_private);
    print_size(mon, "populated, shared half", info->has_populated_shared,
               info->populated_shared);
    monitor_printf(mon, "  became private: %" PRIu64 " pages in %" PRIu64
                   " conversions; discarded of the shared half: %s\n",
                   info->pages_to_private, info->conversions_to_private,
                   to_private);
    monitor_printf(mon, "  became shared: %" PRIu64 " pages in %" PRIu64
                   " conversions; discarded of the private half: %s\n",
                   info->pages_to_shared, info->conversions_to_shared,
                   to_shared);
    monitor_printf(mon, "  requests that changed nothing: %" PRIu64 "\n",
                   info->unchanged);
    monitor_printf(mon, "  stray accesses (%s): %" PRIu64 " reads, %" PRIu64
                   " writes\n", PrivateRAMStrayPolicy_str(info->stray_dma),
                   info->stray_reads, info->stray_writes);
    if (info->has_last_stray) {
        monitor_printf(mon, "  the last one: %s %s %" PRIu64 " bytes at offset "
                       "0x%" PRIx64, stray->device,
                       stray->write ? "wrote" : "read", stray->size,
                       stray->offset);
        if (stray->has_gpa) {
            monitor_printf(mon, ", gpa 0x%" PRIx64, stray->gpa);
        }
        monitor_printf(mon, "\n");
    }
}

void hmp_info_private_memory(Monitor *mon, const QDict *qdict)
{
    PrivateMemoryInfoList *list = qmp_query_private_memory(NULL), *item;

    if (!list) {
        monitor_printf(mon, "No memory is private\n");
    }
    for (item = list; item; item = item->next) {
        print_info(mon, item->value);
    }
    qapi_free_PrivateMemoryInfoList(list);
}
