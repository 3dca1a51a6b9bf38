/*
 * Emulated SEV platform: what the key table and the shadow of memory encryption
 * share. See sev-enc.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_SEV_ENC_INTERNAL_H
#define TARGET_I386_SEV_ENC_INTERNAL_H

#include "qemu/lockable.h"
#include "sev-enc.h"
#include "sev-strict.h"

struct SevEncKey {
    uint32_t id;            /* tag of its pages; never used again */
    uint32_t refs;
    uint32_t handle;        /* of the first guest that has it, 0: none */
    SevCipher *cipher;
    uint64_t write_backs;
    uint64_t stale;         /* reports about its lines, see sev-strict.h */
};

extern QemuMutex sev_enc_lock;

/* A page that CPUs may have written since it was written back last. */
typedef struct SevEncDirty {
    uint64_t page;
    /* By index: those with a writable TLB entry; strict: with dirty lines. */
    uint64_t cpus;
    SevEncKey *key;         /* with a reference */
    uint32_t asid;
    int last_cpu;           /* that became one of @cpus */
    bool reported;          /* strict: somebody else has used the page */
    uint8_t old[SEV_CIPHER_PAGE];   /* what is in RAM, decrypted */
} SevEncDirty;

/*
 * sev-enc.c: all with the lock held, except those that say what never changes.
 */
int64_t sev_enc_page_of(hwaddr pa);     /* -1: no page of RAM */
hwaddr sev_enc_pa_of(uint64_t page);
bool sev_enc_is_ram(MemoryRegion *mr);
uint64_t sev_enc_pages(void);           /* 0: nothing is encrypted */
/* Those that are dirty; may be asked without the lock whether there are any. */
unsigned sev_enc_nr_dirty(void);
SevEncDirty *sev_enc_dirty_at(unsigned i);
SevEncDirty *sev_enc_dirty_of(uint64_t page);   /* NULL: it is clean */
/* Did the guest change anything? */
bool sev_enc_is_stale(const SevEncDirty *d);
void sev_enc_write_back(SevEncDirty *d);
void sev_enc_write_back_line(SevEncDirty *d, unsigned offset);
/* No CPU may write to it any more; its struct waits for another page. */
void sev_enc_make_clean(SevEncDirty *d);
/*
 * Write a page back and have the next write to it seen: by a TLB entry that is
 * made for it, or, outside of the CPUs' thread while its guest runs, because it
 * stays dirty.
 */
void sev_enc_retire(SevEncDirty *d);
/* Strict: what a guest has of the page is lost, RAM wins. */
void sev_enc_discard(SevEncDirty *d);
/* Nothing written under @key is missing in RAM, and no CPU writes unseen. */
void sev_enc_retire_key(SevEncKey *key);
/* @key is about to go: so does all that was decrypted with it. */
void sev_enc_forget_key(SevEncKey *key);

/* sev-enc-flush.c: for coherency=strict, with the lock held. */
/* Somebody else has used the page while a guest has lines of it. */
void sev_enc_report_stale(SevEncDirty *d, SevStrictUse use, CPUState *cs,
                          uint32_t asid);
/*
 * The page is used by somebody whom the lines of its guest do not reach: CPU
 * @cs or NULL, running guest @asid or 0.
 */
void sev_enc_used_by_other(uint64_t page, SevStrictUse use, CPUState *cs,
                           uint32_t asid);
/* A CPU is about to access RAM under no key; @size as for sev_enc_fill(). */
void sev_enc_strict_fill(CPUX86State *env, hwaddr pa, int size,
                         MMUAccessType type, int mmu_idx, int *prot);
/* The secure processor works under @key. */
void sev_enc_strict_crypt(SevEncKey *key, hwaddr pa, size_t len, bool encrypt);

/* sev-enc-key.c: with the lock held. */
/* The key that a guest with @asid uses. */
SevEncKey *sev_enc_asid_key(uint32_t asid);
void sev_enc_key_put(SevEncKey *key);

#endif
