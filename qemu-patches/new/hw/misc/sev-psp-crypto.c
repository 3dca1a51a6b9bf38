/*
 * Emulated AMD Platform Security Processor: cryptography of the guest
 * commands (memory encryption, launch measurement, secret packets).
 *
 * Digests and MACs use GLib, whose SHA-256 can be fed in pieces; the block
 * cipher is qcrypto's AES in ECB mode, which every backend has, and the
 * counter mode of the secret packets is built on it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "crypto/cipher.h"
#include "crypto/random.h"
#include "qapi/error.h"
#include "sev-psp-internal.h"

#define SECRET_FLAGS_LEN    4
#define SECRET_IV_LEN       16
#define SECRET_MAC_LEN      32
#define AES_BLOCK           16

/*
 * A new memory key, or that of the guest which @g shares one with. enc=none
 * has no keys: guest memory is plain text.
 */
bool sev_psp_make_key(SevPspState *s, SevPspGuest *g,
                      const SevPspGuest *source)
{
    uint8_t bytes[SEV_CIPHER_KEY_LEN];

    if (!s->encrypts) {
        return true;
    }
    if (source) {
        g->key = sev_enc_key_ref(source->key);
        return true;
    }
    if (s->debug_key_hex) {
        memcpy(bytes, s->debug_key, sizeof(bytes));
    } else if (!sev_psp_random(bytes, sizeof(bytes))) {
        return false;
    }
    g->key = sev_enc_key_new(bytes);
    memset(bytes, 0, sizeof(bytes));
    return g->key;
}

/*
 * The one place where memory contents pass through the memory key: @buf
 * holds what is or will be at [pa, pa + len).
 */
bool sev_psp_crypt(SevPspState *s, const SevPspGuest *g, hwaddr pa,
                   uint8_t *buf, size_t len, bool encrypt)
{
    if (pa % SEV_PSP_GRANULE || len % SEV_PSP_GRANULE) {
        return false;
    }
    if (g->key) {
        sev_enc_crypt(g->key, pa, buf, len, encrypt);
    }
    return true;
}

bool sev_psp_random(void *buf, size_t len)
{
    return qcrypto_random_bytes(buf, len, NULL) == 0;
}

static void hmac_u32(GHmac *hmac, uint32_t value)
{
    uint8_t bytes[4];

    stl_le_p(bytes, value);
    g_hmac_update(hmac, bytes, sizeof(bytes));
}

static void hmac_finish(GHmac *hmac, uint8_t out[SEV_PSP_DIGEST_LEN])
{
    gsize len = SEV_PSP_DIGEST_LEN;

    g_hmac_get_digest(hmac, out, &len);
    g_hmac_unref(hmac);
}

/*
 * Closes the launch digest and computes the measurement that the guest owner
 * verifies. A GChecksum cannot be continued after it was read, which suits:
 * the guest leaves LUPDATE here.
 */
bool sev_psp_measure(SevPspState *s, SevPspGuest *g,
                     uint8_t nonce[SEV_PSP_NONCE_LEN])
{
    const uint8_t head[4] = { 0x04, s->api_major, s->api_minor, s->build };
    uint8_t ld[SEV_PSP_DIGEST_LEN];
    gsize ld_len = sizeof(ld);
    GHmac *hmac;

    if (!sev_psp_random(nonce, SEV_PSP_NONCE_LEN)) {
        return false;
    }
    g_checksum_get_digest(g->ld, ld, &ld_len);
    hmac = g_hmac_new(G_CHECKSUM_SHA256, g->tik, sizeof(g->tik));
    g_hmac_update(hmac, head, sizeof(head));
    hmac_u32(hmac, g->policy);
    g_hmac_update(hmac, ld, sizeof(ld));
    g_hmac_update(hmac, nonce, SEV_PSP_NONCE_LEN);
    hmac_finish(hmac, g->measure);
    return true;
}

/* @hdr is flags, IV and MAC of the packet; @data is still encrypted. */
bool sev_psp_secret_mac_ok(const SevPspGuest *g, const uint8_t *hdr,
                           uint32_t guest_len, const uint8_t *data,
                           uint32_t trans_len)
{
    const uint8_t head = 0x01;
    uint8_t mac[SEV_PSP_DIGEST_LEN];
    GHmac *hmac = g_hmac_new(G_CHECKSUM_SHA256, g->tik, sizeof(g->tik));

    g_hmac_update(hmac, &head, 1);
    g_hmac_update(hmac, hdr, SECRET_FLAGS_LEN + SECRET_IV_LEN);
    hmac_u32(hmac, guest_len);
    hmac_u32(hmac, trans_len);
    g_hmac_update(hmac, data, trans_len);
    g_hmac_update(hmac, g->measure, sizeof(g->measure));
    hmac_finish(hmac, mac);
    return !memcmp(mac, hdr + SECRET_FLAGS_LEN + SECRET_IV_LEN,
                   SECRET_MAC_LEN);
}

/* The IV is the first counter block; the counter is its big-endian value. */
static void ctr_next(uint8_t counter[AES_BLOCK])
{
    for (int i = AES_BLOCK - 1; i >= 0; i--) {
        if (++counter[i]) {
            break;
        }
    }
}

bool sev_psp_secret_decrypt(const SevPspGuest *g, const uint8_t *iv,
                            uint8_t *data, size_t len)
{
    g_autoptr(QCryptoCipher) aes =
        qcrypto_cipher_new(QCRYPTO_CIPHER_ALG_AES_128, QCRYPTO_CIPHER_MODE_ECB,
                           g->tek, sizeof(g->tek), NULL);
    uint8_t counter[AES_BLOCK], stream[AES_BLOCK];

    if (!aes) {
        return false;
    }
    memcpy(counter, iv, sizeof(counter));
    for (size_t pos = 0; pos < len; pos += AES_BLOCK) {
        if (qcrypto_cipher_encrypt(aes, counter, stream, AES_BLOCK, NULL)) {
            return false;
        }
        for (size_t i = 0; i < AES_BLOCK && pos + i < len; i++) {
            data[pos + i] ^= stream[i];
        }
        ctr_next(counter);
    }
    return true;
}
