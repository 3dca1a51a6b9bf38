/*
 * Emulated SEV platform: what the parts of the checker share. See sev-check.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_CHECK_INTERNAL_H
#define TARGET_I386_SEV_CHECK_INTERNAL_H

#include "sev-check.h"

typedef enum SevCheckReport {
    SEV_CHECK_NOTHING,      /* never reported: private */
    SEV_CHECK_PRIVATE,
    SEV_CHECK_SHARED,
} SevCheckReport;

/* sev-check-map.c: which page was reported as what; with the lock held. */
typedef struct SevCheckMap SevCheckMap;
SevCheckMap *sev_check_map_new(void);
void sev_check_map_free(SevCheckMap *map);
void sev_check_map_set(SevCheckMap *map, uint64_t first, uint64_t end,
                       SevCheckReport report);
SevCheckReport sev_check_map_get(const SevCheckMap *map, uint64_t page);

/* sev-check-name.c: what an address in a guest is called. */
typedef struct SevCheckName {
    char *name;             /* NULL: it has none */
    uint64_t offset;        /* from where the name begins */
} SevCheckName;
bool sev_check_load_names(const char *files, Error **errp);
/* Returns false if there is no symbol; sets @name otherwise. */
bool sev_check_symbol(uint64_t address, SevCheckName *name);
/* What a map calls a GUID; itself, if no map does. */
char *sev_check_guid_name(const uint8_t guid[16]);

/* sev-check-efi.c: the same, for firmware's images. Reads guest memory. */
void sev_check_efi_init(void);
/* The guest that has @asid is reset, or gone. */
void sev_check_efi_forget(uint32_t asid);
bool sev_check_efi_image(CPUX86State *env, uint64_t address,
                         SevCheckName *name);

#endif
