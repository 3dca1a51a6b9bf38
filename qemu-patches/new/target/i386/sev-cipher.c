/*
 * Emulated SEV platform: the cipher of memory encryption. See sev-cipher.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "crypto/cipher.h"
#include "qapi/error.h"
#include "sev-cipher.h"

struct SevCipher {
    QCryptoCipher *xts;
};

SevCipher *sev_cipher_new(const uint8_t key[SEV_CIPHER_KEY_LEN])
{
    QCryptoCipher *xts = qcrypto_cipher_new(QCRYPTO_CIPHER_ALG_AES_128,
                                            QCRYPTO_CIPHER_MODE_XTS, key,
                                            SEV_CIPHER_KEY_LEN, NULL);
    SevCipher *c;

    if (!xts) {
        return NULL;
    }
    c = g_new0(SevCipher, 1);
    c->xts = xts;
    return c;
}

void sev_cipher_free(SevCipher *c)
{
    if (c) {
        qcrypto_cipher_free(c->xts);
        g_free(c);
    }
}

/* The first @len bytes of a page; only a broken library can fail here. */
static void crypt_unit(SevCipher *c, uint64_t page, const void *in, void *out,
                       size_t len, bool encrypt)
{
    uint8_t iv[SEV_CIPHER_BLOCK] = { 0 };

    stq_le_p(iv, page);
    qcrypto_cipher_setiv(c->xts, iv, sizeof(iv), &error_abort);
    if (encrypt) {
        qcrypto_cipher_encrypt(c->xts, in, out, len, &error_abort);
    } else {
        qcrypto_cipher_decrypt(c->xts, in, out, len, &error_abort);
    }
}

/* A block's tweak follows from its place in the unit, so lead up to it. */
static void crypt_part(SevCipher *c, uint64_t pa, const void *in, void *out,
                       size_t len, bool encrypt)
{
    size_t offset = pa % SEV_CIPHER_PAGE;
    uint8_t unit[SEV_CIPHER_PAGE];

    memset(unit, 0, offset);
    memcpy(unit + offset, in, len);
    crypt_unit(c, pa / SEV_CIPHER_PAGE, unit, unit, offset + len, encrypt);
    memcpy(out, unit + offset, len);
}

void sev_cipher_crypt(SevCipher *c, uint64_t pa, const void *in, void *out,
                      size_t len, bool encrypt)
{
    assert(!(pa % SEV_CIPHER_BLOCK) && !(len % SEV_CIPHER_BLOCK));
    while (len) {
        size_t offset = pa % SEV_CIPHER_PAGE;
        size_t part = MIN(len, SEV_CIPHER_PAGE - offset);

        if (offset) {
            crypt_part(c, pa, in, out, part, encrypt);
        } else {
            crypt_unit(c, pa / SEV_CIPHER_PAGE, in, out, part, encrypt);
        }
        pa += part;
        in = (const uint8_t *)in + part;
        out = (uint8_t *)out + part;
        len -= part;
    }
}
