/*
 * Emulated SEV platform: the keys of memory encryption, and which ASID uses
 * which. See sev-enc.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "crypto/random.h"
#include "qapi/error.h"
#include "sev-emu.h"
#include "sev-enc-internal.h"
#include "sev-strict.h"

QemuMutex sev_enc_lock;

static SevEncKey *asid_key[SEV_EMU_NR_ASIDS];
/* Of ASIDs that have none: what it decrypts is noise. Made when needed. */
static SevEncKey *nobody;
static uint32_t last_id;

static void __attribute__((constructor)) sev_enc_lock_init(void)
{
    qemu_mutex_init(&sev_enc_lock);
}

SevEncKey *sev_enc_key_new(const uint8_t bytes[SEV_CIPHER_KEY_LEN])
{
    SevCipher *cipher = sev_cipher_new(bytes);
    SevEncKey *key;

    if (!cipher) {
        return NULL;
    }
    key = g_new0(SevEncKey, 1);
    key->cipher = cipher;
    key->refs = 1;
    key->id = qatomic_inc_fetch(&last_id);
    return key;
}

SevEncKey *sev_enc_key_ref(SevEncKey *key)
{
    QEMU_LOCK_GUARD(&sev_enc_lock);
    if (key) {
        key->refs++;
    }
    return key;
}

void sev_enc_key_put(SevEncKey *key)
{
    if (key && !--key->refs) {
        sev_enc_forget_key(key);
        sev_cipher_free(key->cipher);
        g_free(key);
    }
}

void sev_enc_key_unref(SevEncKey *key)
{
    QEMU_LOCK_GUARD(&sev_enc_lock);
    sev_enc_key_put(key);
}

void sev_enc_bind(uint32_t asid, SevEncKey *key)
{
    QEMU_LOCK_GUARD(&sev_enc_lock);
    if (asid >= SEV_EMU_NR_ASIDS || asid_key[asid] == key) {
        return;
    }
    if (asid_key[asid]) {
        sev_enc_retire_key(asid_key[asid]);
        sev_enc_key_put(asid_key[asid]);
    }
    if (key) {
        key->refs++;
    }
    asid_key[asid] = key;
}

SevEncKey *sev_enc_asid_key(uint32_t asid)
{
    uint8_t bytes[SEV_CIPHER_KEY_LEN];

    if (asid < SEV_EMU_NR_ASIDS && asid_key[asid]) {
        return asid_key[asid];
    }
    if (!nobody) {
        qcrypto_random_bytes(bytes, sizeof(bytes), &error_abort);
        nobody = sev_enc_key_new(bytes);
        assert(nobody);
    }
    return nobody;
}

void sev_enc_key_name(SevEncKey *key, uint32_t handle)
{
    if (key && !key->handle) {
        key->handle = handle;
    }
}

void sev_enc_crypt(SevEncKey *key, hwaddr pa, void *buf, size_t len,
                   bool encrypt)
{
    QEMU_LOCK_GUARD(&sev_enc_lock);
    if (sev_strict_on) {
        sev_enc_strict_crypt(key, pa, len, encrypt);
    }
    sev_cipher_crypt(key->cipher, pa, buf, buf, len, encrypt);
}
