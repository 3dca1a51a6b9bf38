/*
 * Emulated AMD Platform Security Processor: guest commands of the SEV API
 * (launch, activation, debugging, status, teardown).
 *
 * A command validates everything it was given before it changes anything.
 * The structures are those of the SEV API, little endian and packed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "sev-psp-internal.h"
#include "trace.h"

#define DH_CERT_LEN         0x824
#define SESSION_LEN         0x80
#define MEASURE_LEN         (SEV_PSP_DIGEST_LEN + SEV_PSP_NONCE_LEN)
#define SECRET_HDR_LEN      52
#define SECRET_IV_OFFSET    4
#define SECRET_COMPRESSED   BIT(0)
/* Ranges may be as large as the machine's memory; they are done in pieces. */
#define CHUNK               (64 * KiB)

typedef struct QEMU_PACKED {
    uint32_t handle;
    uint32_t policy;
    uint64_t dh_cert_address;
    uint32_t dh_cert_len;
    uint32_t reserved;
    uint64_t session_address;
    uint32_t session_len;
} LaunchStart;
QEMU_BUILD_BUG_ON(sizeof(LaunchStart) != 36);

/* LAUNCH_UPDATE_DATA and LAUNCH_MEASURE */
typedef struct QEMU_PACKED {
    uint32_t handle;
    uint32_t reserved;
    uint64_t address;
    uint32_t len;
} LaunchRange;
QEMU_BUILD_BUG_ON(sizeof(LaunchRange) != 20);

typedef struct QEMU_PACKED {
    uint32_t handle;
    uint32_t reserved1;
    uint64_t hdr_address;
    uint32_t hdr_len;
    uint32_t reserved2;
    uint64_t guest_address;
    uint32_t guest_len;
    uint32_t reserved3;
    uint64_t trans_address;
    uint32_t trans_len;
} LaunchSecret;
QEMU_BUILD_BUG_ON(sizeof(LaunchSecret) != 52);

typedef struct QEMU_PACKED {
    uint32_t handle;
    uint32_t asid;
} Activate;
QEMU_BUILD_BUG_ON(sizeof(Activate) != 8);

typedef struct QEMU_PACKED {
    uint32_t handle;
    uint32_t policy;
    uint32_t asid;
    uint8_t state;
} GuestStatus;
QEMU_BUILD_BUG_ON(sizeof(GuestStatus) != 13);

typedef struct QEMU_PACKED {
    uint32_t handle;
    uint32_t reserved;
    uint64_t src_address;
    uint64_t dst_address;
    uint32_t len;
} Dbg;
QEMU_BUILD_BUG_ON(sizeof(Dbg) != 28);

void sev_psp_guest_free(gpointer guest)
{
    SevPspGuest *g = guest;

    if (g->ld) {
        g_checksum_free(g->ld);
    }
    sev_enc_key_unref(g->key);
    /* Keys do not stay behind in the allocator. */
    memset(g, 0, sizeof(*g));
    g_free(g);
}

static void set_guest_state(SevPspGuest *g, SevPspGuestState state)
{
    trace_sev_psp_guest_state(g->handle, g->state, state);
    g->state = state;
}

/* @g: the ASID's owner, NULL: none. */
static void set_asid(SevPspState *s, uint32_t asid, const SevPspGuest *g,
                     SevEmuAsidState state)
{
    uint32_t owner = g ? g->handle : 0;

    trace_sev_psp_asid(asid, owner, state);
    s->asid_owner[asid] = owner;
    sev_emu_asid_set(asid, state);
    sev_enc_bind(asid, g ? g->key : NULL);
}

static SevPspGuest *find_guest(SevPspState *s, uint32_t handle)
{
    return g_hash_table_lookup(s->guests, GUINT_TO_POINTER(handle));
}

/*
 * Handles count up and are not reused soon, so that a host that uses the
 * handle of a guest that is gone gets INVALID_GUEST and not another guest.
 */
static uint32_t new_handle(SevPspState *s)
{
    do {
        s->last_handle++;
    } while (!s->last_handle || find_guest(s, s->last_handle));
    return s->last_handle;
}

/* The policy's minimum API version is in its upper half: major, minor. */
static bool policy_version_ok(SevPspState *s, uint32_t policy)
{
    uint8_t major = policy >> 16;
    uint8_t minor = policy >> 24;

    return s->api_major > major ||
           (s->api_major == major && s->api_minor >= minor);
}

static uint32_t check_launch_policy(SevPspState *s, const LaunchStart *c,
                                    const SevPspGuest *source)
{
    uint32_t policy = le32_to_cpu(c->policy);

    if (!policy_version_ok(s, policy)) {
        return SEV_PSP_POLICY_FAILURE;
    }
    if (policy & SEV_PSP_POLICY_ES) {
        return SEV_PSP_UNSUPPORTED;
    }
    if (source && (source->policy != policy ||
                   (policy & SEV_PSP_POLICY_NOKS))) {
        return SEV_PSP_POLICY_FAILURE;
    }
    return SEV_PSP_OK;
}

static uint32_t check_launch_session(const LaunchStart *c)
{
    if (!c->dh_cert_address) {
        return SEV_PSP_OK;
    }
    if (le32_to_cpu(c->dh_cert_len) != DH_CERT_LEN ||
        le32_to_cpu(c->session_len) != SESSION_LEN) {
        return SEV_PSP_INVALID_LEN;
    }
    /* The platform has no PDH key, so no session can be agreed on. */
    return SEV_PSP_UNSUPPORTED;
}

uint32_t sev_psp_launch_start(SevPspState *s, SevPspGuest *unused, void *buf)
{
    LaunchStart *c = buf;
    uint32_t shared = le32_to_cpu(c->handle);
    SevPspGuest *g, *source = NULL;
    uint32_t ret;

    if (shared) {
        source = find_guest(s, shared);
        if (!source) {
            return SEV_PSP_INVALID_GUEST;
        }
    }
    ret = check_launch_policy(s, c, source);
    if (ret == SEV_PSP_OK) {
        ret = check_launch_session(c);
    }
    if (ret != SEV_PSP_OK) {
        return ret;
    }
    if (g_hash_table_size(s->guests) >= s->max_guests) {
        return SEV_PSP_RESOURCE_LIMIT;
    }

    g = g_new0(SevPspGuest, 1);
    if (!sev_psp_make_key(s, g, source)) {
        sev_psp_guest_free(g);
        return SEV_PSP_RESOURCE_LIMIT;
    }
    memcpy(g->tek, s->tek, sizeof(g->tek));
    memcpy(g->tik, s->tik, sizeof(g->tik));
    g->ld = g_checksum_new(G_CHECKSUM_SHA256);
    g->policy = le32_to_cpu(c->policy);
    g->handle = new_handle(s);
    sev_enc_key_name(g->key, g->handle);
    g_hash_table_insert(s->guests, GUINT_TO_POINTER(g->handle), g);
    set_guest_state(g, SEV_PSP_GUEST_LUPDATE);
    sev_psp_set_state(s, SEV_PSP_WORKING);
    c->handle = cpu_to_le32(g->handle);
    return SEV_PSP_OK;
}

/* Encryption works on whole granules; a range of none is refused as well. */
static uint32_t check_range(SevPspState *s, hwaddr pa, uint32_t len,
                            bool is_write)
{
    if (!len || len % SEV_PSP_GRANULE) {
        return SEV_PSP_INVALID_LEN;
    }
    if (pa % SEV_PSP_GRANULE || !sev_psp_ram_ok(s, pa, len, is_write)) {
        return SEV_PSP_INVALID_ADDRESS;
    }
    return SEV_PSP_OK;
}

uint32_t sev_psp_launch_update_data(SevPspState *s, SevPspGuest *g, void *buf)
{
    LaunchRange *c = buf;
    hwaddr pa = sev_psp_pa(le64_to_cpu(c->address));
    uint32_t left = le32_to_cpu(c->len);
    g_autofree uint8_t *data = NULL;
    uint32_t ret = check_range(s, pa, left, true);

    if (ret != SEV_PSP_OK) {
        return ret;
    }
    data = g_malloc(MIN(left, CHUNK));
    while (left) {
        uint32_t part = MIN(left, CHUNK);

        if (!sev_psp_read(s, g->key, pa, data, part)) {
            return SEV_PSP_INVALID_ADDRESS;
        }
        g_checksum_update(g->ld, data, part);
        if (!sev_psp_crypt(s, g, pa, data, part, true) ||
            !sev_psp_write(s, g->key, pa, data, part)) {
            return SEV_PSP_INVALID_ADDRESS;
        }
        pa += part;
        left -= part;
    }
    return SEV_PSP_OK;
}

uint32_t sev_psp_launch_measure(SevPspState *s, SevPspGuest *g, void *buf)
{
    LaunchRange *c = buf;
    hwaddr pa = sev_psp_pa(le64_to_cpu(c->address));
    uint32_t len = le32_to_cpu(c->len);
    uint8_t out[MEASURE_LEN];

    /* Both callers that ask for the size and callers that misjudge it. */
    c->len = cpu_to_le32(MEASURE_LEN);
    if (len < MEASURE_LEN) {
        return SEV_PSP_INVALID_LEN;
    }
    if (!sev_psp_ram_ok(s, pa, MEASURE_LEN, true)) {
        return SEV_PSP_INVALID_ADDRESS;
    }
    if (!sev_psp_measure(s, g, out + SEV_PSP_DIGEST_LEN)) {
        return SEV_PSP_RESOURCE_LIMIT;
    }
    memcpy(out, g->measure, SEV_PSP_DIGEST_LEN);
    /* A command that fails changes no state. */
    if (!sev_psp_write(s, NULL, pa, out, sizeof(out))) {
        return SEV_PSP_INVALID_ADDRESS;
    }
    set_guest_state(g, SEV_PSP_GUEST_LSECRET);
    return SEV_PSP_OK;
}

static uint32_t check_secret(SevPspState *s, const LaunchSecret *c)
{
    uint32_t guest_len = le32_to_cpu(c->guest_len);
    uint32_t trans_len = le32_to_cpu(c->trans_len);

    if (le32_to_cpu(c->hdr_len) != SECRET_HDR_LEN ||
        guest_len > SEV_PSP_SECRET_MAX || guest_len != trans_len) {
        return SEV_PSP_INVALID_LEN;
    }
    if (!sev_psp_ram_ok(s, sev_psp_pa(le64_to_cpu(c->hdr_address)),
                        SECRET_HDR_LEN, false) ||
        !sev_psp_ram_ok(s, sev_psp_pa(le64_to_cpu(c->trans_address)),
                        trans_len, false)) {
        return SEV_PSP_INVALID_ADDRESS;
    }
    return check_range(s, sev_psp_pa(le64_to_cpu(c->guest_address)), guest_len,
                       true);
}

uint32_t sev_psp_launch_secret(SevPspState *s, SevPspGuest *g, void *buf)
{
    const LaunchSecret *c = buf;
    hwaddr pa = sev_psp_pa(le64_to_cpu(c->guest_address));
    uint32_t len = le32_to_cpu(c->guest_len);
    uint8_t hdr[SECRET_HDR_LEN];
    g_autofree uint8_t *data = NULL;
    uint32_t ret = check_secret(s, c);

    if (ret != SEV_PSP_OK) {
        return ret;
    }
    data = g_malloc(len);
    if (!sev_psp_read(s, NULL, sev_psp_pa(le64_to_cpu(c->hdr_address)), hdr,
                      sizeof(hdr)) ||
        !sev_psp_read(s, NULL, sev_psp_pa(le64_to_cpu(c->trans_address)), data,
                      len)) {
        return SEV_PSP_INVALID_ADDRESS;
    }
    if (ldl_le_p(hdr) & SECRET_COMPRESSED) {
        return SEV_PSP_UNSUPPORTED;
    }
    if (!sev_psp_secret_mac_ok(g, hdr, len, data, len)) {
        return SEV_PSP_BAD_MEASUREMENT;
    }
    if (!sev_psp_secret_decrypt(g, hdr + SECRET_IV_OFFSET, data, len)) {
        return SEV_PSP_UNSUPPORTED;
    }
    if (!sev_psp_crypt(s, g, pa, data, len, true) ||
        !sev_psp_write(s, g->key, pa, data, len)) {
        return SEV_PSP_INVALID_ADDRESS;
    }
    return SEV_PSP_OK;
}

uint32_t sev_psp_launch_finish(SevPspState *s, SevPspGuest *g, void *buf)
{
    set_guest_state(g, SEV_PSP_GUEST_RUNNING);
    if (g->asid) {
        set_asid(s, g->asid, g, SEV_EMU_ASID_RUNNABLE);
    }
    return SEV_PSP_OK;
}

uint32_t sev_psp_activate(SevPspState *s, SevPspGuest *g, void *buf)
{
    uint32_t asid = le32_to_cpu(((Activate *)buf)->asid);
    SevEmuParams params;

    if (!sev_emu_params(&params)) {
        return SEV_PSP_HW_PLATFORM;
    }
    if (g->asid) {
        return SEV_PSP_ACTIVE;
    }
    /* The ASIDs below min_sev_asid are for guests with encrypted state. */
    if (!asid || asid < params.min_sev_asid || asid > params.max_asid ||
        asid >= SEV_EMU_NR_ASIDS) {
        return SEV_PSP_INVALID_ASID;
    }
    if (s->asid_owner[asid]) {
        return SEV_PSP_ASID_OWNED;
    }
    if (s->asid_dirty[asid]) {
        return SEV_PSP_DFFLUSH_REQUIRED;
    }
    g->asid = asid;
    set_asid(s, asid, g, g->state == SEV_PSP_GUEST_RUNNING ?
             SEV_EMU_ASID_RUNNABLE : SEV_EMU_ASID_BOUND);
    return SEV_PSP_OK;
}

uint32_t sev_psp_deactivate(SevPspState *s, SevPspGuest *g, void *buf)
{
    /* Caches may hold lines of this ASID until WBINVD and DF_FLUSH. */
    s->asid_dirty[g->asid] = true;
    set_asid(s, g->asid, NULL, SEV_EMU_ASID_FREE);
    g->asid = 0;
    sev_emu_wbinvd_rearm();
    return SEV_PSP_OK;
}

uint32_t sev_psp_decommission(SevPspState *s, SevPspGuest *g, void *buf)
{
    if (g->asid) {
        return SEV_PSP_ACTIVE;
    }
    set_guest_state(g, SEV_PSP_GUEST_UNINIT);
    g_hash_table_remove(s->guests, GUINT_TO_POINTER(g->handle));
    if (!g_hash_table_size(s->guests)) {
        sev_psp_set_state(s, SEV_PSP_INIT);
    }
    return SEV_PSP_OK;
}

uint32_t sev_psp_guest_status(SevPspState *s, SevPspGuest *g, void *buf)
{
    GuestStatus *c = buf;

    c->policy = cpu_to_le32(g->policy);
    c->asid = cpu_to_le32(g->asid);
    c->state = g->state;
    return SEV_PSP_OK;
}

static uint32_t dbg_copy(SevPspState *s, SevPspGuest *g, const Dbg *c,
                         bool encrypt)
{
    hwaddr src = sev_psp_pa(le64_to_cpu(c->src_address));
    hwaddr dst = sev_psp_pa(le64_to_cpu(c->dst_address));
    uint32_t left = le32_to_cpu(c->len);
    g_autofree uint8_t *data = NULL;
    uint32_t ret;

    if (g->policy & SEV_PSP_POLICY_NODBG) {
        return SEV_PSP_POLICY_FAILURE;
    }
    ret = check_range(s, src, left, false);
    if (ret == SEV_PSP_OK) {
        ret = check_range(s, dst, left, true);
    }
    if (ret != SEV_PSP_OK) {
        return ret;
    }
    data = g_malloc(MIN(left, CHUNK));
    while (left) {
        uint32_t part = MIN(left, CHUNK);

        if (!sev_psp_read(s, encrypt ? NULL : g->key, src, data, part) ||
            !sev_psp_crypt(s, g, encrypt ? dst : src, data, part, encrypt) ||
            !sev_psp_write(s, encrypt ? g->key : NULL, dst, data, part)) {
            return SEV_PSP_INVALID_ADDRESS;
        }
        src += part;
        dst += part;
        left -= part;
    }
    return SEV_PSP_OK;
}

uint32_t sev_psp_dbg_decrypt(SevPspState *s, SevPspGuest *g, void *buf)
{
    return dbg_copy(s, g, buf, false);
}

uint32_t sev_psp_dbg_encrypt(SevPspState *s, SevPspGuest *g, void *buf)
{
    return dbg_copy(s, g, buf, true);
}
