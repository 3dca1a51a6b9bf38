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

struct SevEncKey {
    uint32_t id;            /* tag of its pages; never used again */
    uint32_t refs;
    SevCipher *cipher;
};

extern QemuMutex sev_enc_lock;

/* sev-enc.c: all with the lock held. */
/* Nothing written under @key is missing in RAM, and no CPU writes unseen. */
void sev_enc_retire_key(SevEncKey *key);
/* @key is about to go: so does all that was decrypted with it. */
void sev_enc_forget_key(SevEncKey *key);

/* sev-enc-key.c: the key that a guest with @asid uses, with the lock held. */
SevEncKey *sev_enc_asid_key(uint32_t asid);

#endif
