/*
 * Emulated AMD Platform Security Processor: what its source files share.
 *
 * Locking: everything here is used with the big QEMU lock held; a command
 * runs to completion inside one MMIO write or one timer callback.
 *
 * Lifetime: guest contexts live from LAUNCH_START to DECOMMISSION, SHUTDOWN
 * or a device reset, in SevPspState.guests, which owns them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_MISC_SEV_PSP_INTERNAL_H
#define HW_MISC_SEV_PSP_INTERNAL_H

#include "hw/pci/pci.h"
#include "hw/misc/sev-psp.h"
#include "qemu/timer.h"
#include "target/i386/sev-check.h"
#include "target/i386/sev-emu.h"
#include "target/i386/sev-enc.h"

#define SEV_PSP_KEY_LEN         16
#define SEV_PSP_DIGEST_LEN      32
#define SEV_PSP_NONCE_LEN       16
#define SEV_PSP_ID_LEN          64
#define SEV_PSP_GRANULE         SEV_CIPHER_BLOCK
#define SEV_PSP_SECRET_MAX      (16 * 1024)
#define SEV_PSP_LOG_LEN         256

/* Status codes of the SEV API, as the mailbox reports them. */
enum {
    SEV_PSP_OK                      = 0,
    SEV_PSP_INVALID_PLATFORM_STATE  = 1,
    SEV_PSP_INVALID_GUEST_STATE     = 2,
    SEV_PSP_INVALID_CONFIG          = 3,
    SEV_PSP_INVALID_LEN             = 4,
    SEV_PSP_POLICY_FAILURE          = 7,
    SEV_PSP_INACTIVE                = 8,
    SEV_PSP_INVALID_ADDRESS         = 9,
    SEV_PSP_BAD_MEASUREMENT         = 11,
    SEV_PSP_ASID_OWNED              = 12,
    SEV_PSP_INVALID_ASID            = 13,
    SEV_PSP_WBINVD_REQUIRED         = 14,
    SEV_PSP_DFFLUSH_REQUIRED        = 15,
    SEV_PSP_INVALID_GUEST           = 16,
    SEV_PSP_INVALID_COMMAND         = 17,
    SEV_PSP_ACTIVE                  = 18,
    SEV_PSP_HW_PLATFORM             = 19,
    SEV_PSP_UNSUPPORTED             = 21,
    SEV_PSP_INVALID_PARAM           = 22,
    SEV_PSP_RESOURCE_LIMIT          = 23,
    SEV_PSP_SECURE_DATA_INVALID     = 24,
};

typedef enum SevPspPlatformState {
    SEV_PSP_UNINIT,
    SEV_PSP_INIT,
    SEV_PSP_WORKING,
} SevPspPlatformState;

typedef enum SevPspGuestState {
    SEV_PSP_GUEST_UNINIT,
    SEV_PSP_GUEST_LUPDATE,
    SEV_PSP_GUEST_LSECRET,
    SEV_PSP_GUEST_RUNNING,
} SevPspGuestState;

#define SEV_PSP_POLICY_NODBG        BIT(0)
#define SEV_PSP_POLICY_NOKS         BIT(1)
#define SEV_PSP_POLICY_ES           BIT(2)

typedef struct SevPspGuest {
    uint32_t handle;
    uint32_t policy;
    uint32_t asid;                          /* 0: not activated */
    SevPspGuestState state;
    SevEncKey *key;                         /* of its memory; NULL: plain */
    uint8_t tek[SEV_PSP_KEY_LEN];
    uint8_t tik[SEV_PSP_KEY_LEN];
    GChecksum *ld;                          /* running launch digest */
    uint8_t measure[SEV_PSP_DIGEST_LEN];    /* valid from LSECRET on */
} SevPspGuest;

/* A command that was run. */
typedef struct SevPspLogEntry {
    uint64_t number;                        /* from 0 on */
    int64_t time;                           /* of the virtual clock, in ns */
    uint32_t id;
    const char *name;                       /* static */
    uint32_t handle;                        /* 0: not about one guest */
    uint32_t status;
    SevPspPlatformState state;              /* after it */
} SevPspLogEntry;

struct SevPspState {
    PCIDevice parent_obj;
    MemoryRegion regs;
    QEMUTimer *busy_timer;
    Error *migration_blocker;

    /* properties */
    char *enc;
    char *debug_key_hex;
    bool paranoid;
    char *coherency;
    SevCheckConfig check;
    char *tek_hex;
    char *tik_hex;
    char *chip_id_hex;
    uint8_t api_major;
    uint8_t api_minor;
    uint8_t build;
    uint32_t max_guests;
    uint64_t busy_ns;
    bool encrypts;                          /* enc=xts */
    bool strict;                            /* coherency=strict */
    uint8_t debug_key[SEV_CIPHER_KEY_LEN];
    uint8_t tek[SEV_PSP_KEY_LEN];
    uint8_t tik[SEV_PSP_KEY_LEN];
    uint8_t chip_id[SEV_PSP_ID_LEN];

    /* registers */
    uint32_t inten;
    uint32_t intsts;
    uint32_t cmdresp;
    uint32_t buf_lo;
    uint32_t buf_hi;
    /* the command that is being executed, latched when it was written */
    bool busy;
    uint64_t busy_buf;

    /* SEV firmware state */
    SevPspPlatformState state;
    GHashTable *guests;                     /* handle -> SevPspGuest, owned */
    uint32_t last_handle;
    uint32_t asid_owner[SEV_EMU_NR_ASIDS];  /* handle, 0: free */
    bool asid_dirty[SEV_EMU_NR_ASIDS];      /* unusable until DF_FLUSH */

    /* what was done, since the machine started */
    uint64_t df_flushes;
    SevPspLogEntry log[SEV_PSP_LOG_LEN];
    uint64_t log_nr;                        /* of all commands */
};

/* sev-psp-log.c: number, time and state of an entry are filled in. */
void sev_psp_log_add(SevPspState *s, const SevPspLogEntry *entry);
/* Entries [first, log_nr) can be read. */
uint64_t sev_psp_log_first(const SevPspState *s);
const SevPspLogEntry *sev_psp_log_get(const SevPspState *s, uint64_t number);

/* sev-psp-counters.c: false: there is no such counter. */
bool sev_psp_counter_read(SevPspState *s, hwaddr addr, uint32_t *val);

/* sev-psp-cmd.c */
uint32_t sev_psp_run_command(SevPspState *s, uint32_t id, uint64_t buf_pa);
void sev_psp_reset_firmware(SevPspState *s);

/* sev-psp-mem.c */
hwaddr sev_psp_pa(uint64_t address);
bool sev_psp_ram_ok(SevPspState *s, hwaddr pa, uint64_t len, bool is_write);
/* @key: of the guest whose memory it is; NULL: a buffer without a key. */
bool sev_psp_read(SevPspState *s, SevEncKey *key, hwaddr pa, void *buf,
                  size_t len);
bool sev_psp_write(SevPspState *s, SevEncKey *key, hwaddr pa, const void *buf,
                   size_t len);

/* sev-psp-crypto.c */
bool sev_psp_make_key(SevPspState *s, SevPspGuest *g,
                      const SevPspGuest *source);
bool sev_psp_crypt(SevPspState *s, const SevPspGuest *g, hwaddr pa,
                   uint8_t *buf, size_t len, bool encrypt);
bool sev_psp_measure(SevPspState *s, SevPspGuest *g,
                     uint8_t nonce[SEV_PSP_NONCE_LEN]);
bool sev_psp_secret_mac_ok(const SevPspGuest *g, const uint8_t *hdr,
                           uint32_t guest_len, const uint8_t *data,
                           uint32_t trans_len);
bool sev_psp_secret_decrypt(const SevPspGuest *g, const uint8_t *iv,
                            uint8_t *data, size_t len);
bool sev_psp_random(void *buf, size_t len);

/*
 * sev-psp-guest.c: the guest commands. The dispatcher has checked platform
 * state, handle, guest state and activation before it calls one of them;
 * @buf is the command buffer, which it writes back afterwards.
 */
uint32_t sev_psp_launch_start(SevPspState *s, SevPspGuest *g, void *buf);
uint32_t sev_psp_launch_update_data(SevPspState *s, SevPspGuest *g, void *buf);
uint32_t sev_psp_launch_measure(SevPspState *s, SevPspGuest *g, void *buf);
uint32_t sev_psp_launch_secret(SevPspState *s, SevPspGuest *g, void *buf);
uint32_t sev_psp_launch_finish(SevPspState *s, SevPspGuest *g, void *buf);
uint32_t sev_psp_activate(SevPspState *s, SevPspGuest *g, void *buf);
uint32_t sev_psp_deactivate(SevPspState *s, SevPspGuest *g, void *buf);
uint32_t sev_psp_decommission(SevPspState *s, SevPspGuest *g, void *buf);
uint32_t sev_psp_guest_status(SevPspState *s, SevPspGuest *g, void *buf);
uint32_t sev_psp_dbg_decrypt(SevPspState *s, SevPspGuest *g, void *buf);
uint32_t sev_psp_dbg_encrypt(SevPspState *s, SevPspGuest *g, void *buf);
void sev_psp_guest_free(gpointer guest);

/* sev-psp-cmd.c, for sev-psp-guest.c */
void sev_psp_set_state(SevPspState *s, SevPspPlatformState state);

#endif
