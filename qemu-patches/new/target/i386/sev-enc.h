/*
 * Emulated SEV platform: memory encryption (enc=xts).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The machine's RAM always holds what DRAM would: ciphertext, where a guest
 * wrote privately. The host's CPUs, devices, the secure processor and dumps
 * access it as ever, so none of them needs a hook. What a guest's CPUs access
 * under the guest's key is the *shadow*, a second block of RAM of the same
 * layout that works as a cache of plaintext: each page is tagged with the key
 * that it was decrypted with, is filled when a guest's TLB entry for it is
 * made, and is written back, encrypted, at the next #VMEXIT of each CPU that
 * could write to it. A page of the shadow whose RAM was written by anybody, or
 * that is used under another key, is filled again.
 *
 * Whether RAM was written is known from QEMU's dirty bits, which every writer
 * honours. The client is DIRTY_MEMORY_VGA, which no display here needs: this
 * machine's RAM is no frame buffer.
 *
 * Writing back touches only the cache lines (64 bytes) that the guest changed:
 * what others wrote to the rest of the page meanwhile stays, as in hardware.
 *
 * Locking: one lock for keys and shadow, taken inside the functions and never
 * held while calling out to devices. Guest accesses through existing TLB
 * entries take none, which is why the vCPUs must share one thread. Other
 * threads write pages back beside a guest that runs: they copy a page before
 * they encrypt it, and leave it dirty.
 *
 * Lifetime: a key lives as long as a guest context, or an ASID, has it; with
 * its last user, its pages of the shadow are given back. The shadow is made
 * once and stays.
 */
#ifndef TARGET_I386_SEV_ENC_H
#define TARGET_I386_SEV_ENC_H

#include "cpu.h"
#include "sev-cipher.h"

typedef struct SevEncKey SevEncKey;

/*
 * Switch encryption on for this machine, for good. @paranoid: forget all pages
 * of the shadow at each #VMEXIT, so that a page that was not written back, or
 * not filled again, cannot go unnoticed.
 */
bool sev_enc_enable(Object *owner, bool paranoid, Error **errp);
/*
 * Then, instead of @paranoid: nothing is written back before something flushes
 * it, and missing flushes are reported (sev-strict.h). @psp: what the secure
 * processor accesses RAM through, which says so with sev_enc_sync().
 */
void sev_enc_enable_strict(AddressSpace *psp);

/* NULL: the library refuses the key. A new key has one reference. */
SevEncKey *sev_enc_key_new(const uint8_t key[SEV_CIPHER_KEY_LEN]);
SevEncKey *sev_enc_key_ref(SevEncKey *key);
void sev_enc_key_unref(SevEncKey *key);
/* For reports: the guest that @key was made for. */
void sev_enc_key_name(SevEncKey *key, uint32_t handle);
/* Guests with this ASID use @key from now on; NULL: a key that nobody has. */
void sev_enc_bind(uint32_t asid, SevEncKey *key);
/* For the secure processor: @buf is what is or will be at [pa, pa + len). */
void sev_enc_crypt(SevEncKey *key, hwaddr pa, void *buf, size_t len,
                   bool encrypt);

/*
 * The secure processor is about to access [pa, pa + len), for a guest with
 * @key or for none (NULL). RAM is up to date when this returns, unless the
 * host had to flush and did not.
 */
void sev_enc_sync(SevEncKey *key, hwaddr pa, uint64_t len, bool is_write);
/* WBINVD of a host's CPU. */
void sev_enc_wbinvd(CPUState *cs);
/* The machine is reset: no cache holds anything. */
void sev_enc_reset(void);
/* VM_PAGE_FLUSH: the page at @pa, under the key of @asid. */
void sev_enc_flush_page(hwaddr pa, uint32_t asid);
/* Strict: a guest has lines of the page at @pa that are not flushed. */
bool sev_enc_has_lines(hwaddr pa);
/* CLFLUSH, under the key of the guest that runs on this CPU if @private. */
void sev_enc_flush_line(CPUX86State *env, hwaddr pa, bool private);

/* Numbers since the machine started. */
typedef struct SevEncStats {
    uint64_t fills;         /* pages decrypted */
    uint64_t write_backs;   /* pages encrypted */
    uint64_t conflicts;     /* RAM written while the shadow was too */
} SevEncStats;
SevEncStats sev_enc_stats(void);

/* What encryption takes of the emulating machine's memory, in pages. */
typedef struct SevEncUse {
    uint64_t pages;         /* in the shadow: decrypted with some key */
    uint64_t resident;      /* memory that the shadow takes */
    uint64_t copies;        /* as RAM has it, of pages that CPUs write to */
} SevEncUse;
SevEncUse sev_enc_use(void);

/* Of one key, NULL: zeroes. */
typedef struct SevEncKeyStats {
    uint64_t pages;         /* in the shadow now */
    uint64_t dirty;         /* of these, maybe newer there than in RAM */
    uint64_t write_backs;   /* pages encrypted since the key was made */
    uint64_t stale;         /* reports of coherency=strict about its lines */
} SevEncKeyStats;
SevEncKeyStats sev_enc_key_stats(const SevEncKey *key);

/* The root of the address space SEV_ENC_ASIDX, the same for all CPUs. */
MemoryRegion *sev_enc_memory(void);

/*
 * For the TLB of a CPU that runs an SEV guest: make the page at @pa ready for
 * an access of @type and @size (0: not known) and say whether it is one to the
 * shadow. @private: the guest's data there is. Narrows @prot to what needs no
 * other decision.
 */
bool sev_enc_fill(CPUX86State *env, hwaddr pa, int size, bool private,
                  MMUAccessType type, int mmu_idx, int *prot);
/* The same for an entry of the guest's page tables, which is in the shadow. */
void sev_enc_walk(CPUX86State *env, hwaddr pa, MMUAccessType type);
/* The CPU leaves its guest, or is reset while it runs one. */
void sev_enc_leave(CPUX86State *env);

#endif
