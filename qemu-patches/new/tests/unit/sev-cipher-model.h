/*
 * What the emulated SEV platform must write to RAM: XTS as IEEE 1619 defines
 * it, over QEMU's own table-driven AES. The machine itself uses the XTS mode of
 * the crypto library, and shares no code with this.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_SEV_CIPHER_MODEL_H
#define TESTS_UNIT_SEV_CIPHER_MODEL_H

#include "qemu/bswap.h"
#include "crypto/aes.h"

#define SEV_MODEL_BLOCK 16
#define SEV_MODEL_PAGE  4096

/* Multiply by the polynomial x, the least significant byte first. */
static inline void sev_model_next_tweak(uint8_t t[SEV_MODEL_BLOCK])
{
    bool carry = false;

    for (int i = 0; i < SEV_MODEL_BLOCK; i++) {
        bool out = t[i] & 0x80;

        t[i] = t[i] << 1 | carry;
        carry = out;
    }
    if (carry) {
        t[0] ^= 0x87;
    }
}

static inline void sev_model_block(const AES_KEY *aes, const uint8_t *tweak,
                                   const uint8_t *in, uint8_t *out)
{
    uint8_t x[SEV_MODEL_BLOCK];

    for (int i = 0; i < SEV_MODEL_BLOCK; i++) {
        x[i] = in[i] ^ tweak[i];
    }
    AES_encrypt(x, x, aes);
    for (int i = 0; i < SEV_MODEL_BLOCK; i++) {
        out[i] = x[i] ^ tweak[i];
    }
}

/* What must be at [pa, pa + len) for the plaintext @in, block by block. */
static inline void sev_model(const uint8_t *k, uint64_t pa, const uint8_t *in,
                             uint8_t *out, size_t len)
{
    AES_KEY data, tweak;

    AES_set_encrypt_key(k, 128, &data);
    AES_set_encrypt_key(k + 16, 128, &tweak);
    for (size_t pos = 0; pos < len; pos += SEV_MODEL_BLOCK) {
        uint64_t at = pa + pos;
        uint8_t t[SEV_MODEL_BLOCK] = { 0 };

        stq_le_p(t, at / SEV_MODEL_PAGE);
        AES_encrypt(t, t, &tweak);
        for (uint64_t i = 0; i < at % SEV_MODEL_PAGE / SEV_MODEL_BLOCK; i++) {
            sev_model_next_tweak(t);
        }
        sev_model_block(&data, t, in + pos, out + pos);
    }
}

#endif
