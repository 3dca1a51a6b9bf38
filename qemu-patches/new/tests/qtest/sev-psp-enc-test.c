/*
 * Test of the emulated AMD secure processor: what its commands leave in memory
 * when it encrypts (enc=xts).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "sev-psp-test.h"
#include "../unit/sev-cipher-model.h"

#define PAGE        SEV_MODEL_PAGE
#define BLOCK       SEV_MODEL_BLOCK
#define KEY_HEX     "000102030405060708090a0b0c0d0e0f" \
                    "f0e0d0c0b0a090807060504030201000"
#define KNOWN_KEY   ",enc=xts,debug-key=" KEY_HEX

static const uint8_t known_key[32] = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
    0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
    0xf0, 0xe0, 0xd0, 0xc0, 0xb0, 0xa0, 0x90, 0x80,
    0x70, 0x60, 0x50, 0x40, 0x30, 0x20, 0x10, 0x00,
};

static void fill(uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = i * 7 + (i >> 8);
    }
}

/* A guest in LUPDATE; @share: the guest whose key it gets, 0: its own. */
static uint32_t new_guest(Psp *p, uint32_t asid, uint32_t share)
{
    Buf buf = { 0 };
    uint32_t h;

    put32(&buf, 0, share);
    g_assert_cmpuint(psp_cmd(p, CMD_LAUNCH_START, &buf), ==, OK);
    h = get32(&buf, 0);
    g_assert_cmpuint(activate(p, h, asid), ==, OK);
    return h;
}

/* Encrypt @len bytes of @plain at @pa; @raw: what memory has then. */
static void launch(Psp *p, uint32_t h, uint64_t pa, const uint8_t *plain,
                   uint8_t *raw, size_t len)
{
    qtest_memwrite(p->qts, pa, plain, len);
    g_assert_cmpuint(update_data(p, h, pa, len), ==, OK);
    qtest_memread(p->qts, pa, raw, len);
}

static void decrypt(Psp *p, uint32_t h, uint64_t pa, uint8_t *out, size_t len)
{
    g_assert_cmpuint(dbg(p, CMD_DBG_DECRYPT, h, pa, DATA2, len), ==, OK);
    qtest_memread(p->qts, DATA2, out, len);
}

static int same_blocks(const uint8_t *a, const uint8_t *b, size_t len)
{
    int same = 0;

    for (size_t pos = 0; pos < len; pos += BLOCK) {
        same += !memcmp(a + pos, b + pos, BLOCK);
    }
    return same;
}

static void test_known_answer(void)
{
    static const struct {
        uint64_t pa;
        size_t len;
    } ranges[] = {
        { DATA, PAGE }, { BIG, 32 * PAGE }, { DATA + 48, BLOCK },
        { DATA + PAGE - 32, PAGE + 64 }, { RAM_END - PAGE, PAGE },
    };
    size_t max = 32 * PAGE;
    g_autofree uint8_t *plain = g_malloc(max), *raw = g_malloc(max);
    g_autofree uint8_t *want = g_malloc(max);
    Psp *p = psp_new(KNOWN_KEY);
    uint32_t h;

    psp_up(p);
    h = new_guest(p, MIN_ASID, 0);
    fill(plain, max);
    for (int i = 0; i < ARRAY_SIZE(ranges); i++) {
        size_t len = ranges[i].len;

        launch(p, h, ranges[i].pa, plain, raw, len);
        sev_model(known_key, ranges[i].pa, plain, want, len);
        g_assert_cmpmem(raw, len, want, len);
        decrypt(p, h, ranges[i].pa, raw, len);
        g_assert_cmpmem(raw, len, plain, len);
    }
    psp_free(p);
}

/* DBG_ENCRYPT writes what the guest reads at the destination's address. */
static void test_debug(void)
{
    uint8_t plain[64], raw[64], want[64];
    Psp *p = psp_new(KNOWN_KEY);
    uint32_t h;

    psp_up(p);
    h = new_guest(p, MIN_ASID, 0);
    fill(plain, sizeof(plain));
    qtest_memwrite(p->qts, DATA2, plain, sizeof(plain));
    g_assert_cmpuint(dbg(p, CMD_DBG_ENCRYPT, h, DATA2, DATA + 32,
                         sizeof(plain)), ==, OK);
    qtest_memread(p->qts, DATA + 32, raw, sizeof(raw));
    sev_model(known_key, DATA + 32, plain, want, sizeof(want));
    g_assert_cmpmem(raw, sizeof(raw), want, sizeof(want));
    psp_free(p);
}

static void test_keys(void)
{
    g_autofree uint8_t *plain = g_malloc(PAGE), *one = g_malloc(PAGE);
    g_autofree uint8_t *two = g_malloc(PAGE);
    Psp *p = psp_new(",enc=xts");
    uint32_t h1, h2, h3;

    psp_up(p);
    h1 = new_guest(p, MIN_ASID, 0);
    h2 = new_guest(p, MIN_ASID + 1, 0);
    h3 = new_guest(p, MIN_ASID + 2, h1);
    fill(plain, PAGE);
    launch(p, h2, DATA, plain, two, PAGE);
    launch(p, h1, DATA, plain, one, PAGE);
    g_assert_cmpint(same_blocks(one, two, PAGE), ==, 0);
    g_assert_cmpint(same_blocks(one, plain, PAGE), ==, 0);
    decrypt(p, h1, DATA, two, PAGE);
    g_assert_cmpmem(two, PAGE, plain, PAGE);
    decrypt(p, h3, DATA, two, PAGE);
    g_assert_cmpmem(two, PAGE, plain, PAGE);
    decrypt(p, h2, DATA, two, PAGE);
    g_assert_cmpint(same_blocks(two, plain, PAGE), ==, 0);
    psp_free(p);
}

/* A page that was moved, and one with a bit that was flipped. */
static void test_tampering(void)
{
    g_autofree uint8_t *plain = g_malloc(PAGE), *raw = g_malloc(PAGE);
    g_autofree uint8_t *got = g_malloc(PAGE);
    Psp *p = psp_new(",enc=xts");
    uint32_t h;

    psp_up(p);
    h = new_guest(p, MIN_ASID, 0);
    fill(plain, PAGE);
    launch(p, h, DATA, plain, raw, PAGE);
    qtest_memwrite(p->qts, BIG, raw, PAGE);
    decrypt(p, h, BIG, got, PAGE);
    g_assert_cmpint(same_blocks(got, plain, PAGE), ==, 0);
    raw[100] ^= 1;
    qtest_memwrite(p->qts, DATA, raw, PAGE);
    decrypt(p, h, DATA, got, PAGE);
    g_assert_cmpint(same_blocks(got, plain, PAGE), ==, PAGE / BLOCK - 1);
    g_assert_cmpint(memcmp(got + 96, plain + 96, BLOCK), !=, 0);
    raw[100] ^= 1;
    qtest_memwrite(p->qts, DATA, raw, PAGE);
    decrypt(p, h, DATA, got, PAGE);
    g_assert_cmpmem(got, PAGE, plain, PAGE);
    psp_free(p);
}

static void end_guest(Psp *p, uint32_t h)
{
    g_assert_cmpuint(handle_cmd(p, CMD_DEACTIVATE, h), ==, OK);
    g_assert_cmpuint(handle_cmd(p, CMD_DECOMMISSION, h), ==, OK);
    psp_flush(p);
}

/* The next guest with the same ASID has another key; so has one after INIT. */
static void test_teardown(void)
{
    g_autofree uint8_t *plain = g_malloc(PAGE), *raw = g_malloc(PAGE);
    g_autofree uint8_t *got = g_malloc(PAGE);
    Psp *p = psp_new(",enc=xts");
    uint32_t h, sharer;

    psp_up(p);
    h = new_guest(p, MIN_ASID, 0);
    sharer = new_guest(p, MIN_ASID + 1, h);
    fill(plain, PAGE);
    launch(p, h, DATA, plain, raw, PAGE);
    end_guest(p, h);
    /* The key lives as long as one of those who share it. */
    decrypt(p, sharer, DATA, got, PAGE);
    g_assert_cmpmem(got, PAGE, plain, PAGE);
    end_guest(p, sharer);

    h = new_guest(p, MIN_ASID, 0);
    decrypt(p, h, DATA, got, PAGE);
    g_assert_cmpint(same_blocks(got, plain, PAGE), ==, 0);

    g_assert_cmpuint(psp_cmd(p, CMD_SHUTDOWN, NULL), ==, OK);
    psp_up(p);
    h = new_guest(p, MIN_ASID, 0);
    decrypt(p, h, DATA, got, PAGE);
    g_assert_cmpint(same_blocks(got, plain, PAGE), ==, 0);
    psp_free(p);
}

/* The measurement is of plain text: encryption does not change it. */
static void test_measurement(void)
{
    static const char *const opts[2] = { ",enc=none", KNOWN_KEY };
    uint8_t plain[256], raw[256], blob[48], msg[72] = { 0x04, 1, 55, 24 };
    uint8_t mac[32];
    const uint8_t tik[16] = { 0 };

    fill(plain, sizeof(plain));
    for (int i = 0; i < 2; i++) {
        Psp *p = psp_new(opts[i]);
        GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
        GHmac *hmac = g_hmac_new(G_CHECKSUM_SHA256, tik, sizeof(tik));
        gsize len = 32;
        uint32_t h;

        psp_up(p);
        h = new_guest(p, MIN_ASID, 0);
        launch(p, h, DATA, plain, raw, sizeof(plain));
        g_assert_cmpuint(measure(p, h, blob), ==, OK);
        g_checksum_update(sum, plain, sizeof(plain));
        g_checksum_get_digest(sum, msg + 8, &len);
        memcpy(msg + 40, blob + 32, 16);
        g_hmac_update(hmac, msg, 56);
        g_hmac_get_digest(hmac, mac, &len);
        g_assert_cmpmem(blob, 32, mac, 32);
        g_checksum_free(sum);
        g_hmac_unref(hmac);
        psp_free(p);
    }
}

void add_encryption_tests(void)
{
    qtest_add_func("sev-psp/enc/known-answer", test_known_answer);
    qtest_add_func("sev-psp/enc/debug", test_debug);
    qtest_add_func("sev-psp/enc/keys", test_keys);
    qtest_add_func("sev-psp/enc/tampering", test_tampering);
    qtest_add_func("sev-psp/enc/teardown", test_teardown);
    qtest_add_func("sev-psp/enc/measurement", test_measurement);
}
