/*
 * Emulated AMD Platform Security Processor: command dispatch and the
 * platform commands of the SEV API.
 *
 * What can be checked alike for many commands (platform state, command
 * buffer, handle, guest state, activation) is in the command table; a
 * handler only sees commands that passed it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "qemu/log.h"
#include "sev-psp-internal.h"
#include "trace.h"

#define CMD_BUF_MAX         128
#define CMD_BUF_ALIGN       16
#define TMR_LEN             (1 * MiB)
#define NV_LEN              (32 * KiB)
#define NV_ALIGN            (4 * KiB)
#define FIRMWARE_ALIGN      32
#define FIRMWARE_MAX        (1 * MiB)
#define INIT_FLAG_ES        BIT(0)
#define CERT_LEN            2084
#define CERT_CHAIN_LEN      (3 * CERT_LEN)
#define GET_ID_LEN          (2 * SEV_PSP_ID_LEN)

typedef uint32_t (*SevPspHandler)(SevPspState *s, SevPspGuest *g, void *buf);

#define P(state)    BIT(SEV_PSP_ ## state)
#define P_ANY       (P(UNINIT) | P(INIT) | P(WORKING))
#define P_UP        (P(INIT) | P(WORKING))
#define G(state)    BIT(SEV_PSP_GUEST_ ## state)
#define G_ANY       (G(LUPDATE) | G(LSECRET) | G(RUNNING))

typedef struct SevPspCommand {
    uint32_t id;
    const char *name;
    uint16_t len;           /* of the command buffer, 0: none */
    bool out;               /* the buffer has output fields */
    bool active;            /* the guest must have an ASID */
    uint8_t pstates;        /* platform states it is permitted in */
    uint8_t gstates;        /* guest states, 0: the command has no guest */
    SevPspHandler fn;       /* NULL: UNSUPPORTED in every state */
} SevPspCommand;

typedef struct QEMU_PACKED {
    uint32_t flags;
    uint32_t reserved;
    uint64_t tmr_address;
    uint32_t tmr_len;
} Init;
QEMU_BUILD_BUG_ON(sizeof(Init) != 20);

typedef struct QEMU_PACKED {
    uint32_t length;
    uint32_t flags;
    uint64_t tmr_address;
    uint32_t tmr_len;
    uint32_t reserved;
    uint64_t nv_address;
    uint32_t nv_len;
} InitEx;
QEMU_BUILD_BUG_ON(sizeof(InitEx) != 36);

typedef struct QEMU_PACKED {
    uint8_t api_major;
    uint8_t api_minor;
    uint8_t state;
    uint32_t flags;
    uint8_t build;
    uint32_t guest_count;
} PlatformStatus;
QEMU_BUILD_BUG_ON(sizeof(PlatformStatus) != 12);

/* PEK_CSR, DOWNLOAD_FIRMWARE and GET_ID */
typedef struct QEMU_PACKED {
    uint64_t address;
    uint32_t len;
} Blob;
QEMU_BUILD_BUG_ON(sizeof(Blob) != 12);

typedef struct QEMU_PACKED {
    uint64_t pdh_address;
    uint32_t pdh_len;
    uint32_t reserved;
    uint64_t chain_address;
    uint32_t chain_len;
} PdhExport;
QEMU_BUILD_BUG_ON(sizeof(PdhExport) != 28);

/* What INIT_EX keeps in the host's non-volatile area. */
typedef struct QEMU_PACKED {
    uint8_t magic[16];
    uint8_t chip_id[SEV_PSP_ID_LEN];
} NvArea;
QEMU_BUILD_BUG_ON(sizeof(NvArea) != 80);

static const uint8_t nv_magic[16] = "sev-psp nv 1";

void sev_psp_set_state(SevPspState *s, SevPspPlatformState state)
{
    if (s->state != state) {
        trace_sev_psp_platform_state(s->state, state);
        s->state = state;
    }
}

/* Drops all guests and their keys: SHUTDOWN and device reset. */
void sev_psp_reset_firmware(SevPspState *s)
{
    g_hash_table_remove_all(s->guests);
    for (uint32_t asid = 1; asid < SEV_EMU_NR_ASIDS; asid++) {
        if (s->asid_owner[asid]) {
            s->asid_owner[asid] = 0;
            trace_sev_psp_asid(asid, 0, SEV_EMU_ASID_FREE);
            sev_emu_asid_set(asid, SEV_EMU_ASID_FREE);
            sev_enc_bind(asid, NULL);
        }
    }
    sev_psp_set_state(s, SEV_PSP_UNINIT);
}

/*
 * The memory region that SEV-ES would need is checked but not used: Linux
 * passes one whether or not the CPU offers SEV-ES.
 */
static uint32_t check_init(SevPspState *s, uint32_t flags, uint64_t tmr,
                           uint32_t tmr_len)
{
    tmr = sev_psp_pa(tmr);
    if ((flags & INIT_FLAG_ES) &&
        (tmr % TMR_LEN || tmr_len < TMR_LEN ||
         !sev_psp_ram_ok(s, tmr, tmr_len, true))) {
        return SEV_PSP_INVALID_CONFIG;
    }
    return sev_emu_platform_enabled() ? SEV_PSP_OK : SEV_PSP_HW_PLATFORM;
}

static void init_done(SevPspState *s)
{
    /* Nothing is known about the caches: no ASID is usable before a flush. */
    for (uint32_t asid = 1; asid < SEV_EMU_NR_ASIDS; asid++) {
        s->asid_dirty[asid] = true;
    }
    sev_emu_wbinvd_rearm();
    sev_psp_set_state(s, SEV_PSP_INIT);
}

static uint32_t cmd_init(SevPspState *s, SevPspGuest *g, void *buf)
{
    const Init *c = buf;
    uint32_t ret = check_init(s, le32_to_cpu(c->flags),
                              le64_to_cpu(c->tmr_address),
                              le32_to_cpu(c->tmr_len));

    if (ret == SEV_PSP_OK) {
        init_done(s);
    }
    return ret;
}

/*
 * An area that is not ours is replaced and reported, so that the host's
 * second attempt succeeds; one of all ones is a new, empty area.
 */
static uint32_t nv_load(SevPspState *s, hwaddr pa)
{
    NvArea nv, ours, empty;

    if (!sev_psp_read(s, NULL, pa, &nv, sizeof(nv))) {
        return SEV_PSP_INVALID_ADDRESS;
    }
    memcpy(ours.magic, nv_magic, sizeof(ours.magic));
    memcpy(ours.chip_id, s->chip_id, sizeof(ours.chip_id));
    memset(&empty, 0xff, sizeof(empty));
    if (!memcmp(&nv, &ours, sizeof(nv))) {
        return SEV_PSP_OK;
    }
    if (!sev_psp_write(s, NULL, pa, &ours, sizeof(ours))) {
        return SEV_PSP_INVALID_ADDRESS;
    }
    return memcmp(&nv, &empty, sizeof(nv)) ? SEV_PSP_SECURE_DATA_INVALID
                                           : SEV_PSP_OK;
}

static uint32_t cmd_init_ex(SevPspState *s, SevPspGuest *g, void *buf)
{
    const InitEx *c = buf;
    hwaddr nv = sev_psp_pa(le64_to_cpu(c->nv_address));
    uint32_t ret;

    if (le32_to_cpu(c->length) != sizeof(*c) ||
        le32_to_cpu(c->nv_len) != NV_LEN) {
        return SEV_PSP_INVALID_LEN;
    }
    if (nv % NV_ALIGN || !sev_psp_ram_ok(s, nv, NV_LEN, true)) {
        return SEV_PSP_INVALID_ADDRESS;
    }
    ret = check_init(s, le32_to_cpu(c->flags), le64_to_cpu(c->tmr_address),
                     le32_to_cpu(c->tmr_len));
    if (ret == SEV_PSP_OK) {
        ret = nv_load(s, nv);
    }
    if (ret == SEV_PSP_OK) {
        init_done(s);
    }
    return ret;
}

static uint32_t cmd_shutdown(SevPspState *s, SevPspGuest *g, void *buf)
{
    sev_psp_reset_firmware(s);
    return SEV_PSP_OK;
}

/* There is no identity to forget: the chip's is a property of the device. */
static uint32_t cmd_factory_reset(SevPspState *s, SevPspGuest *g, void *buf)
{
    return SEV_PSP_OK;
}

static uint32_t cmd_platform_status(SevPspState *s, SevPspGuest *g, void *buf)
{
    PlatformStatus *c = buf;

    memset(c, 0, sizeof(*c));
    c->api_major = s->api_major;
    c->api_minor = s->api_minor;
    c->build = s->build;
    c->state = s->state;
    c->guest_count = cpu_to_le32(g_hash_table_size(s->guests));
    return SEV_PSP_OK;
}

static uint32_t cmd_df_flush(SevPspState *s, SevPspGuest *g, void *buf)
{
    if (!sev_emu_wbinvd_done_on_all()) {
        return SEV_PSP_WBINVD_REQUIRED;
    }
    memset(s->asid_dirty, 0, sizeof(s->asid_dirty));
    s->df_flushes++;
    return SEV_PSP_OK;
}

static uint32_t cmd_download_firmware(SevPspState *s, SevPspGuest *g,
                                      void *buf)
{
    const Blob *c = buf;
    hwaddr pa = sev_psp_pa(le64_to_cpu(c->address));
    uint32_t len = le32_to_cpu(c->len);

    if (!len || len > FIRMWARE_MAX) {
        return SEV_PSP_INVALID_LEN;
    }
    if (pa % FIRMWARE_ALIGN || !sev_psp_ram_ok(s, pa, len, false)) {
        return SEV_PSP_INVALID_ADDRESS;
    }
    qemu_log_mask(LOG_UNIMP, "sev-psp: firmware image accepted and not used\n");
    return SEV_PSP_OK;
}

static uint32_t cmd_get_id(SevPspState *s, SevPspGuest *g, void *buf)
{
    Blob *c = buf;
    hwaddr pa = sev_psp_pa(le64_to_cpu(c->address));
    uint32_t len = le32_to_cpu(c->len);
    uint8_t out[GET_ID_LEN] = { 0 };

    c->len = cpu_to_le32(GET_ID_LEN);
    if (len < GET_ID_LEN) {
        return SEV_PSP_INVALID_LEN;
    }
    /* The second half is that of a second socket, which does not exist. */
    memcpy(out, s->chip_id, SEV_PSP_ID_LEN);
    if (!sev_psp_ram_ok(s, pa, sizeof(out), true) ||
        !sev_psp_write(s, NULL, pa, out, sizeof(out))) {
        return SEV_PSP_INVALID_ADDRESS;
    }
    return SEV_PSP_OK;
}

/* Sizes can be asked for; there is no certificate to hand out. */
static uint32_t cmd_pek_csr(SevPspState *s, SevPspGuest *g, void *buf)
{
    Blob *c = buf;
    uint32_t len = le32_to_cpu(c->len);

    c->len = cpu_to_le32(CERT_LEN);
    return len < CERT_LEN ? SEV_PSP_INVALID_LEN : SEV_PSP_UNSUPPORTED;
}

static uint32_t cmd_pdh_cert_export(SevPspState *s, SevPspGuest *g, void *buf)
{
    PdhExport *c = buf;
    bool fits = le32_to_cpu(c->pdh_len) >= CERT_LEN &&
                le32_to_cpu(c->chain_len) >= CERT_CHAIN_LEN;

    c->pdh_len = cpu_to_le32(CERT_LEN);
    c->chain_len = cpu_to_le32(CERT_CHAIN_LEN);
    return fits ? SEV_PSP_UNSUPPORTED : SEV_PSP_INVALID_LEN;
}

static const SevPspCommand commands[] = {
    /* id    name                 len out   active pstates    gstates  fn */
    { 0x001, "INIT",               20, false, false, P(UNINIT), 0, cmd_init },
    { 0x002, "SHUTDOWN",            0, false, false, P_ANY, 0, cmd_shutdown },
    { 0x003, "FACTORY_RESET",       0, false, false, P(UNINIT), 0,
      cmd_factory_reset },
    { 0x004, "PLATFORM_STATUS",    12, true, false, P_ANY, 0,
      cmd_platform_status },
    { 0x005, "PEK_GEN" },
    { 0x006, "PEK_CSR",            12, true, false, P_UP, 0, cmd_pek_csr },
    { 0x007, "PEK_CERT_IMPORT" },
    { 0x008, "PDH_CERT_EXPORT",    28, true, false, P_UP, 0,
      cmd_pdh_cert_export },
    { 0x009, "PDH_GEN" },
    { 0x00a, "DF_FLUSH",            0, false, false, P_UP, 0, cmd_df_flush },
    { 0x00b, "DOWNLOAD_FIRMWARE",  12, false, false, P(UNINIT), 0,
      cmd_download_firmware },
    { 0x00c, "GET_ID",             12, true, false, P_ANY, 0, cmd_get_id },
    { 0x00d, "INIT_EX",            36, false, false, P(UNINIT), 0,
      cmd_init_ex },
    { 0x020, "DECOMMISSION",        4, false, false, P(WORKING), G_ANY,
      sev_psp_decommission },
    { 0x021, "ACTIVATE",            8, false, false, P(WORKING), G_ANY,
      sev_psp_activate },
    { 0x022, "DEACTIVATE",          4, false, true, P(WORKING), G_ANY,
      sev_psp_deactivate },
    { 0x023, "GUEST_STATUS",       13, true, false, P(WORKING), G_ANY,
      sev_psp_guest_status },
    { 0x030, "LAUNCH_START",       36, true, false, P_UP, 0,
      sev_psp_launch_start },
    { 0x031, "LAUNCH_UPDATE_DATA", 20, false, true, P(WORKING), G(LUPDATE),
      sev_psp_launch_update_data },
    { 0x032, "LAUNCH_UPDATE_VMSA" },
    { 0x033, "LAUNCH_MEASURE",     20, true, false, P(WORKING), G(LUPDATE),
      sev_psp_launch_measure },
    { 0x034, "LAUNCH_UPDATE_SECRET", 52, false, true, P(WORKING), G(LSECRET),
      sev_psp_launch_secret },
    { 0x035, "LAUNCH_FINISH",       4, false, false, P(WORKING), G(LSECRET),
      sev_psp_launch_finish },
    { 0x036, "ATTESTATION_REPORT" },
    { 0x040, "SEND_START" },
    { 0x041, "SEND_UPDATE_DATA" },
    { 0x042, "SEND_UPDATE_VMSA" },
    { 0x043, "SEND_FINISH" },
    { 0x044, "SEND_CANCEL" },
    { 0x050, "RECEIVE_START" },
    { 0x051, "RECEIVE_UPDATE_DATA" },
    { 0x052, "RECEIVE_UPDATE_VMSA" },
    { 0x053, "RECEIVE_FINISH" },
    { 0x060, "DBG_DECRYPT",        28, false, true, P(WORKING), G_ANY,
      sev_psp_dbg_decrypt },
    { 0x061, "DBG_ENCRYPT",        28, false, true, P(WORKING), G_ANY,
      sev_psp_dbg_encrypt },
};

static const SevPspCommand *find_command(uint32_t id)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (commands[i].id == id) {
            return &commands[i];
        }
    }
    return NULL;
}

/* The handle is the first field of every command that is about one guest. */
static uint32_t check_guest(SevPspState *s, const SevPspCommand *cmd,
                            const void *buf, SevPspGuest **out)
{
    SevPspGuest *g;

    if (!cmd->gstates) {
        *out = NULL;
        return SEV_PSP_OK;
    }
    g = g_hash_table_lookup(s->guests, GUINT_TO_POINTER(ldl_le_p(buf)));
    if (!g) {
        return SEV_PSP_INVALID_GUEST;
    }
    if (!(cmd->gstates & BIT(g->state))) {
        return SEV_PSP_INVALID_GUEST_STATE;
    }
    if (cmd->active && !g->asid) {
        return SEV_PSP_INACTIVE;
    }
    *out = g;
    return SEV_PSP_OK;
}

/* @handle: of the guest that the command names, or has made. */
static uint32_t run(SevPspState *s, const SevPspCommand *cmd, hwaddr pa,
                    uint32_t *handle)
{
    uint8_t buf[CMD_BUF_MAX];
    SevPspGuest *g;
    uint32_t ret;

    if (!cmd->fn) {
        return SEV_PSP_UNSUPPORTED;
    }
    if (!(cmd->pstates & BIT(s->state))) {
        return SEV_PSP_INVALID_PLATFORM_STATE;
    }
    if (cmd->len && (pa % CMD_BUF_ALIGN ||
                     !sev_psp_ram_ok(s, pa, cmd->len, cmd->out) ||
                     !sev_psp_read(s, NULL, pa, buf, cmd->len))) {
        return SEV_PSP_INVALID_ADDRESS;
    }
    *handle = cmd->gstates ? ldl_le_p(buf) : 0;
    ret = check_guest(s, cmd, buf, &g);
    if (ret != SEV_PSP_OK) {
        return ret;
    }
    ret = cmd->fn(s, g, buf);
    if (cmd->fn == sev_psp_launch_start) {
        *handle = ldl_le_p(buf);
    }
    /* Also after a failure: that is how a needed length is reported. */
    if (cmd->out && !sev_psp_write(s, NULL, pa, buf, cmd->len)) {
        return SEV_PSP_INVALID_ADDRESS;
    }
    return ret;
}

uint32_t sev_psp_run_command(SevPspState *s, uint32_t id, uint64_t buf_pa)
{
    const SevPspCommand *cmd = find_command(id);
    SevPspLogEntry entry = { .id = id, .name = cmd ? cmd->name : "unknown" };
    uint32_t ret;

    trace_sev_psp_cmd(id, entry.name, buf_pa, s->state);
    if (cmd) {
        ret = run(s, cmd, sev_psp_pa(buf_pa), &entry.handle);
    } else {
        qemu_log_mask(LOG_GUEST_ERROR, "sev-psp: unknown command 0x%" PRIx32
                      "\n", id);
        ret = SEV_PSP_INVALID_COMMAND;
    }
    trace_sev_psp_cmd_done(id, entry.name, ret, s->state);
    entry.status = ret;
    sev_psp_log_add(s, &entry);
    return ret;
}
