/*
 * Test of the emulated AMD secure processor: launch digest, measurement and
 * secret packets against values that are computed here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "crypto/aes.h"
#include "sev-psp-test.h"

#define DIGEST_LEN  32
#define SECRET_LEN  64
#define POLICY      0x37010001

static const uint8_t zero_key[16];
static const uint8_t test_tik[16] = {
    0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
    0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
};
static const uint8_t test_tek[16] = {
    0xf0, 0xe1, 0xd2, 0xc3, 0xb4, 0xa5, 0x96, 0x87,
    0x78, 0x69, 0x5a, 0x4b, 0x3c, 0x2d, 0x1e, 0x0f,
};
/* And memory that reads as it was. */
#define KEY_OPTIONS ",enc=none" \
                    ",tik=101112131415161718191a1b1c1d1e1f" \
                    ",tek=f0e1d2c3b4a5968778695a4b3c2d1e0f"

static void sha256(const void *data, size_t len, uint8_t out[DIGEST_LEN])
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize out_len = DIGEST_LEN;

    g_checksum_update(sum, data, len);
    g_checksum_get_digest(sum, out, &out_len);
    g_checksum_free(sum);
}

static void hmac256(const uint8_t key[16], const void *data, size_t len,
                    uint8_t out[DIGEST_LEN])
{
    GHmac *hmac = g_hmac_new(G_CHECKSUM_SHA256, key, 16);
    gsize out_len = DIGEST_LEN;

    g_hmac_update(hmac, data, len);
    g_hmac_get_digest(hmac, out, &out_len);
    g_hmac_unref(hmac);
}

/* The measurement blob of a guest that was launched with @len bytes @data. */
static void check_measurement(const uint8_t blob[48], const uint8_t tik[16],
                              uint32_t policy, const void *data, size_t len)
{
    uint8_t msg[4 + 4 + DIGEST_LEN + 16] = { 0x04, 1, 55, 24 };
    uint8_t mac[DIGEST_LEN];

    stl_le_p(msg + 4, policy);
    sha256(data, len, msg + 8);
    memcpy(msg + 40, blob + DIGEST_LEN, 16);
    hmac256(tik, msg, sizeof(msg), mac);
    g_assert_cmpmem(blob, DIGEST_LEN, mac, DIGEST_LEN);
}

static uint8_t *random_bytes(size_t len)
{
    uint8_t *data = g_malloc(len);

    for (size_t i = 0; i < len; i++) {
        data[i] = g_random_int() >> 7;
    }
    return data;
}

static uint32_t launch_active(Psp *p, uint32_t policy, uint32_t asid)
{
    uint32_t h = launch_start(p, policy);

    g_assert_cmpuint(activate(p, h, asid), ==, OK);
    return h;
}

static void test_measure_lengths(void)
{
    Psp *p = psp_new("");
    static const uint32_t lens[] = { 0, 1, 47 };
    Buf buf = { 0 };
    uint32_t h;

    psp_up(p);
    h = launch_active(p, 0, 5);
    qtest_memset(p->qts, DATA2, 0xee, 64);
    for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
        put32(&buf, 0, h);
        put64(&buf, 8, DATA2);
        put32(&buf, 16, lens[i]);
        g_assert_cmpuint(psp_cmd(p, CMD_LAUNCH_MEASURE, &buf), ==,
                         INVALID_LEN);
        g_assert_cmpuint(get32(&buf, 16), ==, 48);
        g_assert_cmphex(qtest_readb(p->qts, DATA2), ==, 0xee);
    }
    put64(&buf, 8, RAM_END - 32);
    g_assert_cmpuint(psp_cmd(p, CMD_LAUNCH_MEASURE, &buf), ==,
                     INVALID_ADDRESS);
    /* None of these ended the measurable phase. */
    g_assert_cmpuint(update_data(p, h, DATA, 16), ==, OK);
    put64(&buf, 8, DATA2);
    put32(&buf, 16, 1000);
    g_assert_cmpuint(psp_cmd(p, CMD_LAUNCH_MEASURE, &buf), ==, OK);
    g_assert_cmpuint(get32(&buf, 16), ==, 48);
    g_assert_cmphex(qtest_readb(p->qts, DATA2 + 48), ==, 0xee);
    psp_free(p);
}

/* Pieces of several sizes; what is refused is not measured. */
static void test_digest(void)
{
    static const struct {
        uint64_t pa;
        uint32_t len, expect;
    } bad[] = {
        { DATA, 0, INVALID_LEN },
        { DATA, 8, INVALID_LEN },
        { DATA, 4095, INVALID_LEN },
        { DATA + 1, 16, INVALID_ADDRESS },
        { DATA + 8, 16, INVALID_ADDRESS },
        { RAM_END, 16, INVALID_ADDRESS },
        { RAM_END - 4096, 8192, INVALID_ADDRESS },
        { 0xffff0000, 4096, INVALID_ADDRESS },
        { ~0ULL - 15, 16, INVALID_ADDRESS },
        { DATA, 0xfffffff0, INVALID_ADDRESS },
    };
    static const uint32_t pieces[] = {
        16, 4096, 4096 + 16, 64 * 1024, 64 * 1024 + 16, 200 * 1024 + 48,
    };
    const size_t size = 512 * 1024;
    g_autofree uint8_t *data = random_bytes(size);
    g_autofree uint8_t *after = g_malloc(size);
    Psp *p = psp_new(",enc=none");
    uint8_t blob[48];
    uint32_t h, pos = 0;

    psp_up(p);
    h = launch_active(p, POLICY, 5);
    qtest_memwrite(p->qts, BIG, data, size);
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        g_assert_cmpuint(update_data(p, h, BIG + pos, pieces[i]), ==, OK);
        pos += pieces[i];
        for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
            g_assert_cmpuint(update_data(p, h, bad[k].pa, bad[k].len), ==,
                             bad[k].expect);
        }
    }
    /* With the C-bit in the address, too. */
    g_assert_cmpuint(update_data(p, h, (BIG + pos) | 1ULL << CBITPOS, 16), ==,
                     OK);
    pos += 16;
    g_assert_cmpuint(measure(p, h, blob), ==, OK);
    check_measurement(blob, zero_key, POLICY, data, pos);
    /* enc=none: memory reads as it was. */
    qtest_memread(p->qts, BIG, after, size);
    g_assert_cmpmem(after, size, data, size);
    psp_free(p);
}

static void test_large(void)
{
    const uint32_t size = 32 * 1024 * 1024;
    g_autofree uint8_t *data = g_malloc(size);
    Psp *p = psp_new("");
    uint8_t blob[48];
    uint32_t h;

    psp_up(p);
    h = launch_active(p, 0, 5);
    memset(data, 0x77, size);
    qtest_memset(p->qts, BIG, 0x77, size);
    g_assert_cmpuint(update_data(p, h, BIG, size), ==, OK);
    g_assert_cmpuint(measure(p, h, blob), ==, OK);
    check_measurement(blob, zero_key, 0, data, size);
    psp_free(p);
}

/* Two guests in turn have their own digests, and their own nonces. */
static void test_two_guests(void)
{
    Psp *p = psp_new(KEY_OPTIONS);
    g_autofree uint8_t *data = random_bytes(4096);
    uint8_t blob1[48], blob2[48];
    uint32_t a, b;

    psp_up(p);
    a = launch_active(p, 0, 5);
    b = launch_active(p, 1, 6);
    qtest_memwrite(p->qts, DATA, data, 4096);
    g_assert_cmpuint(update_data(p, a, DATA, 32), ==, OK);
    g_assert_cmpuint(update_data(p, b, DATA, 64), ==, OK);
    g_assert_cmpuint(update_data(p, a, DATA + 32, 16), ==, OK);
    g_assert_cmpuint(measure(p, a, blob1), ==, OK);
    g_assert_cmpuint(measure(p, b, blob2), ==, OK);
    check_measurement(blob1, test_tik, 0, data, 48);
    check_measurement(blob2, test_tik, 1, data, 64);
    g_assert_cmpint(memcmp(blob1 + 32, blob2 + 32, 16), !=, 0);
    psp_free(p);
}

/* AES-128 in counter mode, from the block cipher alone. */
static void aes_ctr(const uint8_t key[16], const uint8_t iv[16], uint8_t *data,
                    size_t len)
{
    uint8_t counter[16], stream[16];
    AES_KEY aes;

    AES_set_encrypt_key(key, 128, &aes);
    memcpy(counter, iv, 16);
    for (size_t i = 0; i < len; i++) {
        if (i % 16 == 0) {
            AES_encrypt(counter, stream, &aes);
            for (int k = 15; k >= 0 && !++counter[k]; k--) {
                /* carry */
            }
        }
        data[i] ^= stream[i % 16];
    }
}

/* Header of a secret packet: flags, IV, MAC over all of it. */
static void secret_header(uint8_t hdr[52], const uint8_t *cipher, uint32_t len,
                          const uint8_t measurement[DIGEST_LEN])
{
    g_autofree uint8_t *msg = g_malloc0(1 + 20 + 8 + len + DIGEST_LEN);

    msg[0] = 0x01;
    memcpy(msg + 1, hdr, 20);
    stl_le_p(msg + 21, len);
    stl_le_p(msg + 25, len);
    memcpy(msg + 29, cipher, len);
    memcpy(msg + 29 + len, measurement, DIGEST_LEN);
    hmac256(test_tik, msg, 29 + len + DIGEST_LEN, hdr + 20);
}

static uint32_t secret(Psp *p, uint32_t h, uint32_t hdr_len, uint64_t guest,
                       uint32_t guest_len, uint64_t trans, uint32_t trans_len)
{
    Buf buf = { 0 };

    put32(&buf, 0, h);
    put64(&buf, 8, TMR);
    put32(&buf, 16, hdr_len);
    put64(&buf, 24, guest);
    put32(&buf, 32, guest_len);
    put64(&buf, 40, trans);
    put32(&buf, 48, trans_len);
    return psp_cmd(p, CMD_LAUNCH_UPDATE_SECRET, &buf);
}

static void check_secret_arguments(Psp *p, uint32_t h)
{
    const uint32_t len = SECRET_LEN;

    g_assert_cmpuint(secret(p, h, 51, DATA, len, DATA2, len), ==, INVALID_LEN);
    g_assert_cmpuint(secret(p, h, 52, DATA, len, DATA2, len + 16), ==,
                     INVALID_LEN);
    g_assert_cmpuint(secret(p, h, 52, DATA, 8, DATA2, 8), ==, INVALID_LEN);
    g_assert_cmpuint(secret(p, h, 52, DATA, 0, DATA2, 0), ==, INVALID_LEN);
    g_assert_cmpuint(secret(p, h, 52, DATA, 0x4010, DATA2, 0x4010), ==,
                     INVALID_LEN);
    g_assert_cmpuint(secret(p, h, 52, DATA + 8, len, DATA2, len), ==,
                     INVALID_ADDRESS);
    g_assert_cmpuint(secret(p, h, 52, RAM_END, len, DATA2, len), ==,
                     INVALID_ADDRESS);
    g_assert_cmpuint(secret(p, h, 52, DATA, len, RAM_END, len), ==,
                     INVALID_ADDRESS);
}

static void test_secret(void)
{
    Psp *p = psp_new(KEY_OPTIONS);
    g_autofree uint8_t *plain = random_bytes(SECRET_LEN);
    g_autofree uint8_t *cipher = g_memdup2(plain, SECRET_LEN);
    /* The counter carries out of its lowest byte within the packet. */
    uint8_t hdr[52] = { [19] = 0xfe, [18] = 0xff, [4] = 0x42 };
    uint8_t blob[48], out[SECRET_LEN];
    uint32_t h;

    psp_up(p);
    h = launch_active(p, 0, 5);
    g_assert_cmpuint(measure(p, h, blob), ==, OK);
    check_secret_arguments(p, h);

    aes_ctr(test_tek, hdr + 4, cipher, SECRET_LEN);
    secret_header(hdr, cipher, SECRET_LEN, blob);
    qtest_memwrite(p->qts, TMR, hdr, sizeof(hdr));
    qtest_memwrite(p->qts, DATA2, cipher, SECRET_LEN);
    qtest_memset(p->qts, DATA, 0, SECRET_LEN);

    /* Every part of the packet is under the MAC. */
    for (int i = 0; i < 52; i += 13) {
        qtest_writeb(p->qts, TMR + 4 + i % 48, hdr[4 + i % 48] ^ 1);
        g_assert_cmpuint(secret(p, h, 52, DATA, SECRET_LEN, DATA2, SECRET_LEN),
                         ==, BAD_MEASUREMENT);
        qtest_memwrite(p->qts, TMR, hdr, sizeof(hdr));
    }
    qtest_writeb(p->qts, DATA2 + 63, cipher[63] ^ 1);
    g_assert_cmpuint(secret(p, h, 52, DATA, SECRET_LEN, DATA2, SECRET_LEN), ==,
                     BAD_MEASUREMENT);
    qtest_writeb(p->qts, DATA2 + 63, cipher[63]);
    g_assert_cmpuint(secret(p, h, 52, DATA, 48, DATA2, 48), ==,
                     BAD_MEASUREMENT);
    g_assert_cmphex(qtest_readb(p->qts, DATA), ==, 0);
    /* A compressed packet. */
    qtest_writeb(p->qts, TMR, 1);
    g_assert_cmpuint(secret(p, h, 52, DATA, SECRET_LEN, DATA2, SECRET_LEN), ==,
                     UNSUPPORTED);
    qtest_writeb(p->qts, TMR, 0);

    g_assert_cmpuint(secret(p, h, 52, DATA, SECRET_LEN, DATA2, SECRET_LEN), ==,
                     OK);
    qtest_memread(p->qts, DATA, out, SECRET_LEN);
    g_assert_cmpmem(out, SECRET_LEN, plain, SECRET_LEN);
    /* A guest that was launched the same way does not accept it again. */
    h = launch_active(p, 0, 6);
    g_assert_cmpuint(measure(p, h, blob), ==, OK);
    qtest_memwrite(p->qts, DATA2, cipher, SECRET_LEN);
    g_assert_cmpuint(secret(p, h, 52, DATA, SECRET_LEN, DATA2, SECRET_LEN), ==,
                     BAD_MEASUREMENT);
    psp_free(p);
}

void add_launch_tests(void)
{
    qtest_add_func("sev-psp/measure-lengths", test_measure_lengths);
    qtest_add_func("sev-psp/digest", test_digest);
    qtest_add_func("sev-psp/large", test_large);
    qtest_add_func("sev-psp/two-guests", test_two_guests);
    qtest_add_func("sev-psp/secret", test_secret);
}
