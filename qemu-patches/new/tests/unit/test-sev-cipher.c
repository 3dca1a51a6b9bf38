/*
 * Test of the cipher of the emulated SEV platform's memory encryption, against
 * published ciphertext and against another implementation (sev-cipher-model.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "crypto/init.h"
#include "target/i386/sev-cipher.h"
#include "sev-cipher-model.h"

#define BLOCK SEV_CIPHER_BLOCK
#define PAGE SEV_CIPHER_PAGE
#define HIGH_PA 0x7123456000ULL

static uint8_t key[SEV_CIPHER_KEY_LEN];

static void fill(uint8_t *buf, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        buf[i] = seed >> 24;
    }
}

/* IEEE 1619-2007, annex B, vectors 1 and 2. */
static void test_published(void)
{
    static const uint8_t zeros[32] = {
        0x91, 0x7c, 0xf6, 0x9e, 0xbd, 0x68, 0xb2, 0xec,
        0x9b, 0x9f, 0xe9, 0xa3, 0xea, 0xdd, 0xa6, 0x92,
        0xcd, 0x43, 0xd2, 0xf5, 0x95, 0x98, 0xed, 0x85,
        0x8c, 0x02, 0xc2, 0x65, 0x2f, 0xbf, 0x92, 0x2e,
    };
    static const uint8_t fours[32] = {
        0xc4, 0x54, 0x18, 0x5e, 0x6a, 0x16, 0x93, 0x6e,
        0x39, 0x33, 0x40, 0x38, 0xac, 0xef, 0x83, 0x8b,
        0xfb, 0x18, 0x6f, 0xff, 0x74, 0x80, 0xad, 0xc4,
        0x28, 0x93, 0x82, 0xec, 0xd6, 0xd3, 0x94, 0xf0,
    };
    uint8_t k[SEV_CIPHER_KEY_LEN] = { 0 };
    uint8_t buf[32] = { 0 };
    SevCipher *c = sev_cipher_new(k);

    g_assert_nonnull(c);
    sev_cipher_crypt(c, 0, buf, buf, sizeof(buf), true);
    g_assert_cmpmem(buf, sizeof(buf), zeros, sizeof(zeros));
    sev_cipher_free(c);

    memset(k, 0x11, 16);
    memset(k + 16, 0x22, 16);
    memset(buf, 0x44, sizeof(buf));
    c = sev_cipher_new(k);
    sev_cipher_crypt(c, 0x3333333333ULL * PAGE, buf, buf, sizeof(buf), true);
    g_assert_cmpmem(buf, sizeof(buf), fours, sizeof(fours));
    sev_cipher_free(c);
}

/* Whole pages, parts of pages, ranges that begin and end inside a page. */
static void test_model(void)
{
    static const struct {
        uint64_t pa;
        size_t len;
    } ranges[] = {
        { 0, PAGE }, { 0x100000, 3 * PAGE }, { HIGH_PA, PAGE },
        { HIGH_PA + BLOCK, BLOCK }, { HIGH_PA + PAGE - BLOCK, BLOCK },
        { HIGH_PA + 64, 128 }, { HIGH_PA + PAGE - 48, 2 * PAGE + 96 },
        { HIGH_PA, 0 },
    };
    g_autofree uint8_t *plain = g_malloc(4 * PAGE);
    g_autofree uint8_t *want = g_malloc(4 * PAGE);
    g_autofree uint8_t *got = g_malloc(4 * PAGE);
    SevCipher *c = sev_cipher_new(key);

    for (int i = 0; i < ARRAY_SIZE(ranges); i++) {
        size_t len = ranges[i].len;

        fill(plain, 4 * PAGE, i + 1);
        memset(got, 0, 4 * PAGE);
        sev_model(key, ranges[i].pa, plain, want, len);
        sev_cipher_crypt(c, ranges[i].pa, plain, got, len, true);
        g_assert_cmpmem(got, len, want, len);
        g_assert_true(buffer_is_zero(got + len, 4 * PAGE - len));
        sev_cipher_crypt(c, ranges[i].pa, got, got, len, false);
        g_assert_cmpmem(got, len, plain, len);
    }
    sev_cipher_free(c);
}

/* How many blocks of two pages are the same. */
static int same_blocks(const uint8_t *a, const uint8_t *b)
{
    int same = 0;

    for (int pos = 0; pos < PAGE; pos += BLOCK) {
        same += !memcmp(a + pos, b + pos, BLOCK);
    }
    return same;
}

static void test_moved(void)
{
    g_autofree uint8_t *plain = g_malloc0(PAGE);
    g_autofree uint8_t *here = g_malloc(PAGE);
    g_autofree uint8_t *there = g_malloc(PAGE);
    SevCipher *c = sev_cipher_new(key);

    sev_cipher_crypt(c, 0x200000, plain, here, PAGE, true);
    sev_cipher_crypt(c, 0x201000, plain, there, PAGE, true);
    g_assert_cmpint(same_blocks(here, there), ==, 0);
    sev_cipher_crypt(c, 0x201000, here, there, PAGE, false);
    g_assert_cmpint(same_blocks(plain, there), ==, 0);
    /* Nor do equal blocks of one page look alike. */
    for (int pos = BLOCK; pos < PAGE; pos += BLOCK) {
        g_assert_cmpint(memcmp(here, here + pos, BLOCK), !=, 0);
    }
    sev_cipher_free(c);
}

static void test_other_key(void)
{
    uint8_t other[SEV_CIPHER_KEY_LEN];
    g_autofree uint8_t *plain = g_malloc(PAGE);
    g_autofree uint8_t *buf = g_malloc(PAGE);
    SevCipher *c = sev_cipher_new(key), *c2;

    memcpy(other, key, sizeof(other));
    other[0] ^= 1;
    c2 = sev_cipher_new(other);
    fill(plain, PAGE, 77);
    sev_cipher_crypt(c, 0x200000, plain, buf, PAGE, true);
    sev_cipher_crypt(c2, 0x200000, buf, buf, PAGE, false);
    g_assert_cmpint(same_blocks(plain, buf), ==, 0);
    sev_cipher_free(c);
    sev_cipher_free(c2);
}

static void test_flipped_bit(void)
{
    g_autofree uint8_t *plain = g_malloc(PAGE);
    g_autofree uint8_t *buf = g_malloc(PAGE);
    SevCipher *c = sev_cipher_new(key);

    fill(plain, PAGE, 5);
    sev_cipher_crypt(c, HIGH_PA, plain, buf, PAGE, true);
    buf[1000] ^= 0x10;
    sev_cipher_crypt(c, HIGH_PA, buf, buf, PAGE, false);
    g_assert_cmpint(same_blocks(plain, buf), ==, PAGE / BLOCK - 1);
    g_assert_cmpint(memcmp(plain + 992, buf + 992, BLOCK), !=, 0);
    sev_cipher_free(c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(qcrypto_init(NULL), ==, 0);
    fill(key, sizeof(key), 1);
    g_test_add_func("/sev-cipher/published", test_published);
    g_test_add_func("/sev-cipher/model", test_model);
    g_test_add_func("/sev-cipher/moved", test_moved);
    g_test_add_func("/sev-cipher/other-key", test_other_key);
    g_test_add_func("/sev-cipher/flipped-bit", test_flipped_bit);
    return g_test_run();
}
