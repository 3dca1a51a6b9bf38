/*
 * Emulated SEV platform: which of a UEFI firmware's images an address in an
 * SEV guest is in. See sev-check.h.
 *
 * UEFI lets a debugger find all images: the System Table Pointer lies on a
 * boundary of 4 MiB, the System Table has a table of loaded images, and an
 * image that came out of a firmware volume has the GUID of its file. The guest
 * may write anything there: all counts are bounded, and nothing is trusted to
 * be more than a name.
 *
 * Firmware maps its memory one to one. This reads through the CPU's page
 * tables as a load of the guest would: encrypted where that is. Where the host
 * has taken pages of the tables out of the guest's nested page tables there is
 * nothing to read; images that were found before are remembered for that, as
 * long as the guest is not reset.
 *
 * Locking: one lock for what is remembered, taken inside.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "qemu/units.h"
#include "exec/exec-all.h"
#include "sev-check-internal.h"

#define POINTER_SIGNATURE   0x5453595320494249ULL   /* "IBI SYST" */
#define POINTER_STEP        (4 * MiB)
#define POINTER_LIMIT       (4 * GiB)
#define MAX_TABLES          64
#define MAX_IMAGES          1024
#define MAX_PATH            64
#define IMAGE_NORMAL        1

/* Offsets in EFI's structures, of 64 bits. */
#define POINTER_TABLE       8       /* EFI_SYSTEM_TABLE_POINTER */
#define SYSTEM_NR_TABLES    104     /* EFI_SYSTEM_TABLE */
#define SYSTEM_TABLES       112
#define CONFIG_TABLE        16      /* EFI_CONFIGURATION_TABLE */
#define CONFIG_SIZE         24
#define DEBUG_NR_IMAGES     4       /* EFI_DEBUG_IMAGE_INFO_TABLE_HEADER */
#define DEBUG_IMAGES        8
#define NORMAL_LOADED       8       /* EFI_DEBUG_IMAGE_INFO_NORMAL */
#define LOADED_PATH         32      /* EFI_LOADED_IMAGE_PROTOCOL */
#define LOADED_BASE         64
#define LOADED_SIZE         72
#define PATH_NODE           4       /* EFI_DEVICE_PATH_PROTOCOL */

#define PATH_MEDIA          4
#define PATH_FILE           4
#define PATH_FV_FILE        6

/* EFI_DEBUG_IMAGE_INFO_TABLE_GUID, as it is in memory. */
static const uint8_t debug_table_guid[16] = {
    0x77, 0x2e, 0x15, 0x49, 0xda, 0x1a, 0x64, 0x47,
    0xb7, 0xa2, 0x7a, 0xfe, 0xfe, 0xd9, 0x5e, 0x8b,
};

/* An image in which something was found. */
typedef struct Image {
    uint32_t asid;
    uint64_t base, size;
    char *name;
} Image;

static QemuMutex lock;
static GArray *images;      /* the newest last */

void sev_check_efi_init(void)
{
    qemu_mutex_init(&lock);
    images = g_array_new(false, false, sizeof(Image));
}

void sev_check_efi_forget(uint32_t asid)
{
    QEMU_LOCK_GUARD(&lock);
    for (unsigned i = images->len; i-- > 0;) {
        Image *image = &g_array_index(images, Image, i);

        if (image->asid == asid) {
            g_free(image->name);
            g_array_remove_index(images, i);
        }
    }
}

static bool image_has(const Image *image, uint64_t address)
{
    return image->base && address >= image->base &&
           address - image->base < image->size;
}

static bool is_same(const Image *a, const Image *b)
{
    return a->asid == b->asid && a->base == b->base && a->size == b->size &&
           !strcmp(a->name, b->name);
}

/* Takes the name. */
static void remember(Image *image)
{
    QEMU_LOCK_GUARD(&lock);
    for (unsigned i = 0; i < images->len; i++) {
        if (is_same(&g_array_index(images, Image, i), image)) {
            g_free(image->name);
            return;
        }
    }
    g_array_append_val(images, *image);
}

static bool remembered(uint32_t asid, uint64_t address, SevCheckName *name)
{
    QEMU_LOCK_GUARD(&lock);
    for (unsigned i = images->len; i-- > 0;) {
        const Image *image = &g_array_index(images, Image, i);

        if (image->asid == asid && image_has(image, address)) {
            name->name = g_strdup(image->name);
            name->offset = address - image->base;
            return true;
        }
    }
    return false;
}

/* False: it is not mapped. Nothing faults. */
static bool read_guest(CPUX86State *env, uint64_t address, void *buf,
                       size_t len)
{
    int saved = env->error_code;
    bool ok = true;

    while (ok && len) {
        size_t part = MIN(len, -(address | TARGET_PAGE_MASK));
        void *host;
        int flags = probe_access_flags(env, address, MMU_DATA_LOAD,
                                       cpu_mmu_index_kernel(env), true, &host,
                                       0);

        ok = !(flags & (TLB_INVALID_MASK | TLB_MMIO)) && host;
        if (ok) {
            memcpy(buf, host, part);
        }
        buf += part;
        address += part;
        len -= part;
    }
    env->error_code = saved;
    return ok;
}

/* Unreadable: 0, which leads nowhere. */
static uint64_t read_u64(CPUX86State *env, uint64_t address)
{
    uint64_t value;

    return read_guest(env, address, &value, sizeof(value)) ? le64_to_cpu(value)
                                                           : 0;
}

static uint32_t read_u32(CPUX86State *env, uint64_t address)
{
    uint32_t value;

    return read_guest(env, address, &value, sizeof(value)) ? le32_to_cpu(value)
                                                           : 0;
}

static uint64_t find_system_table(CPUX86State *env)
{
    /* It stays where it is; another guest may have it elsewhere. */
    static uint64_t hint;

    if (hint && read_u64(env, hint) == POINTER_SIGNATURE) {
        return read_u64(env, hint + POINTER_TABLE);
    }
    for (uint64_t at = POINTER_STEP; at < POINTER_LIMIT; at += POINTER_STEP) {
        if (read_u64(env, at) == POINTER_SIGNATURE) {
            hint = at;
            return read_u64(env, at + POINTER_TABLE);
        }
    }
    return 0;
}

static uint64_t find_debug_table(CPUX86State *env)
{
    uint64_t system = find_system_table(env), entry, nr;
    uint8_t guid[16];

    if (!system) {
        return 0;
    }
    nr = MIN(read_u64(env, system + SYSTEM_NR_TABLES), MAX_TABLES);
    entry = read_u64(env, system + SYSTEM_TABLES);
    for (; nr; nr--, entry += CONFIG_SIZE) {
        if (read_guest(env, entry, guid, sizeof(guid)) &&
            !memcmp(guid, debug_table_guid, sizeof(guid))) {
            return read_u64(env, entry + CONFIG_TABLE);
        }
    }
    return 0;
}

/* The end of the path of a file, as far as it is ASCII. */
static char *file_name(CPUX86State *env, uint64_t node)
{
    char name[MAX_PATH];
    unsigned i;

    for (i = 0; i < MAX_PATH - 1; i++) {
        uint16_t c = read_u32(env, node + PATH_NODE + 2 * i);

        if (!c) {
            break;
        }
        name[i] = g_ascii_isgraph(c) ? c : '_';
    }
    name[i] = '\0';
    return g_strdup(i ? name : "image");
}

static char *image_name(CPUX86State *env, uint64_t loaded)
{
    uint64_t node = read_u64(env, loaded + LOADED_PATH);
    uint32_t head = read_u32(env, node);
    uint8_t guid[16];

    if ((head & 0xff) != PATH_MEDIA) {
        return g_strdup("image");
    }
    if ((head >> 8 & 0xff) == PATH_FV_FILE &&
        read_guest(env, node + PATH_NODE, guid, sizeof(guid))) {
        return sev_check_guid_name(guid);
    }
    return (head >> 8 & 0xff) == PATH_FILE ? file_name(env, node)
                                           : g_strdup("image");
}

static bool is_in_image(CPUX86State *env, uint64_t loaded, uint64_t address,
                        SevCheckName *name)
{
    Image image = {
        .asid = env->sev_host.guest_asid,
        .base = read_u64(env, loaded + LOADED_BASE),
        .size = read_u64(env, loaded + LOADED_SIZE),
    };

    if (!image_has(&image, address)) {
        return false;
    }
    image.name = image_name(env, loaded);
    name->name = g_strdup(image.name);
    name->offset = address - image.base;
    remember(&image);
    return true;
}

/* As the guest's tables are now. */
static bool listed(CPUX86State *env, uint64_t address, SevCheckName *name)
{
    uint64_t table = find_debug_table(env), image;
    uint32_t nr;

    if (!table) {
        return false;
    }
    nr = MIN(read_u32(env, table + DEBUG_NR_IMAGES), MAX_IMAGES);
    image = read_u64(env, table + DEBUG_IMAGES);
    for (; nr; nr--, image += sizeof(uint64_t)) {
        uint64_t normal = read_u64(env, image);

        if (normal && read_u32(env, normal) == IMAGE_NORMAL &&
            is_in_image(env, read_u64(env, normal + NORMAL_LOADED), address,
                        name)) {
            return true;
        }
    }
    return false;
}

bool sev_check_efi_image(CPUX86State *env, uint64_t address,
                         SevCheckName *name)
{
    /* Before its last phase firmware has no such table. */
    return env->hflags & HF_LMA_MASK && address < POINTER_LIMIT &&
           (listed(env, address, name) ||
            remembered(env->sev_host.guest_asid, address, name));
}
