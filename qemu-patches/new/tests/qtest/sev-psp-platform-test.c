/*
 * Test of the emulated AMD secure processor: platform commands and the table
 * of all commands in all states.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "sev-psp-test.h"

#define CERT_LEN    2084
#define CHAIN_LEN   (3 * CERT_LEN)

/* The states in which every command is tried. */
typedef enum State {
    S_UNINIT, S_INIT, S_LUPDATE_INACTIVE, S_LUPDATE, S_LSECRET,
    S_LSECRET_INACTIVE, S_RUNNING, S_RUNNING_INACTIVE, S_MAX
} State;

typedef struct Row {
    uint32_t id;
    uint8_t expect[S_MAX];
} Row;

#define ALL(x) { x, x, x, x, x, x, x, x }

/*                     UNINIT INIT LU-inact LU LS LS-inact RUN RUN-inact */
static const Row rows[] = {
    { CMD_INIT,                 { 0, 1, 1, 1, 1, 1, 1, 1 } },
    { CMD_SHUTDOWN,             ALL(0) },
    { CMD_FACTORY_RESET,        { 0, 1, 1, 1, 1, 1, 1, 1 } },
    { CMD_PLATFORM_STATUS,      ALL(0) },
    { CMD_PEK_GEN,              ALL(21) },
    { CMD_PEK_CSR,              { 1, 4, 4, 4, 4, 4, 4, 4 } },
    { CMD_PEK_CERT_IMPORT,      ALL(21) },
    { CMD_PDH_CERT_EXPORT,      { 1, 4, 4, 4, 4, 4, 4, 4 } },
    { CMD_PDH_GEN,              ALL(21) },
    { CMD_DF_FLUSH,             { 1, 0, 0, 0, 0, 14, 0, 14 } },
    { CMD_DOWNLOAD_FIRMWARE,    { 0, 1, 1, 1, 1, 1, 1, 1 } },
    { CMD_GET_ID,               ALL(0) },
    { CMD_INIT_EX,              { 0, 1, 1, 1, 1, 1, 1, 1 } },
    { CMD_DECOMMISSION,         { 1, 1, 0, 18, 18, 0, 18, 0 } },
    { CMD_ACTIVATE,             { 1, 1, 0, 18, 18, 0, 18, 0 } },
    { CMD_DEACTIVATE,           { 1, 1, 8, 0, 0, 8, 0, 8 } },
    { CMD_GUEST_STATUS,         { 1, 1, 0, 0, 0, 0, 0, 0 } },
    { CMD_LAUNCH_START,         { 1, 0, 0, 0, 0, 0, 0, 0 } },
    { CMD_LAUNCH_UPDATE_DATA,   { 1, 1, 8, 0, 2, 2, 2, 2 } },
    { CMD_LAUNCH_UPDATE_VMSA,   ALL(21) },
    { CMD_LAUNCH_MEASURE,       { 1, 1, 0, 0, 2, 2, 2, 2 } },
    { CMD_LAUNCH_UPDATE_SECRET, { 1, 1, 2, 2, 11, 8, 2, 2 } },
    { CMD_LAUNCH_FINISH,        { 1, 1, 2, 2, 0, 0, 2, 2 } },
    { CMD_ATTESTATION_REPORT,   ALL(21) },
    { CMD_SEND_START,           ALL(21) },
    { CMD_SEND_UPDATE_DATA,     ALL(21) },
    { CMD_SEND_UPDATE_VMSA,     ALL(21) },
    { CMD_SEND_FINISH,          ALL(21) },
    { CMD_SEND_CANCEL,          ALL(21) },
    { CMD_RECEIVE_START,        ALL(21) },
    { CMD_RECEIVE_UPDATE_DATA,  ALL(21) },
    { CMD_RECEIVE_UPDATE_VMSA,  ALL(21) },
    { CMD_RECEIVE_FINISH,       ALL(21) },
    { CMD_DBG_DECRYPT,          { 1, 1, 8, 0, 0, 8, 0, 8 } },
    { CMD_DBG_ENCRYPT,          { 1, 1, 8, 0, 0, 8, 0, 8 } },
};

/* Brings the platform from any state into @state; returns the handle. */
static uint32_t enter_state(Psp *p, State state)
{
    uint8_t blob[48];
    uint32_t h;

    g_assert_cmpuint(psp_cmd(p, CMD_SHUTDOWN, NULL), ==, OK);
    if (state == S_UNINIT) {
        return 1;
    }
    psp_up(p);
    if (state == S_INIT) {
        return 1;
    }
    h = launch_start(p, 0);
    if (state == S_LUPDATE_INACTIVE) {
        return h;
    }
    g_assert_cmpuint(activate(p, h, MIN_ASID), ==, OK);
    if (state == S_LUPDATE) {
        return h;
    }
    g_assert_cmpuint(measure(p, h, blob), ==, OK);
    if (state == S_LSECRET) {
        return h;
    }
    if (state == S_LSECRET_INACTIVE) {
        g_assert_cmpuint(handle_cmd(p, CMD_DEACTIVATE, h), ==, OK);
        return h;
    }
    g_assert_cmpuint(handle_cmd(p, CMD_LAUNCH_FINISH, h), ==, OK);
    if (state == S_RUNNING) {
        return h;
    }
    g_assert_cmpuint(handle_cmd(p, CMD_DEACTIVATE, h), ==, OK);
    return h;
}

/* A command buffer with which @id can succeed, as far as it ever can. */
static void good_buffer(Psp *p, uint32_t id, uint32_t handle, Buf *buf)
{
    memset(buf, 0, sizeof(*buf));
    if (id >= CMD_DECOMMISSION && id != CMD_LAUNCH_START) {
        put32(buf, 0, handle);
    }
    switch (id) {
    case CMD_GET_ID:
        put64(buf, 0, DATA);
        put32(buf, 8, 128);
        break;
    case CMD_DOWNLOAD_FIRMWARE:
        put64(buf, 0, DATA);
        put32(buf, 8, 4096);
        break;
    case CMD_INIT_EX:
        put32(buf, 0, 36);
        put64(buf, 24, NV_AREA);
        put32(buf, 32, 32 * 1024);
        qtest_memset(p->qts, NV_AREA, 0xff, 32 * 1024);
        break;
    case CMD_ACTIVATE:
        put32(buf, 4, MIN_ASID + 1);
        break;
    case CMD_LAUNCH_UPDATE_DATA:
    case CMD_LAUNCH_MEASURE:
        put64(buf, 8, DATA);
        put32(buf, 16, 4096);
        break;
    case CMD_LAUNCH_UPDATE_SECRET:
        put64(buf, 8, DATA);
        put32(buf, 16, 52);
        put64(buf, 24, DATA2);
        put32(buf, 32, 64);
        put64(buf, 40, DATA);
        put32(buf, 48, 64);
        break;
    case CMD_DBG_DECRYPT:
    case CMD_DBG_ENCRYPT:
        put64(buf, 8, DATA);
        put64(buf, 16, DATA2);
        put32(buf, 24, 4096);
        break;
    }
}

static void test_states(void)
{
    Psp *p = psp_new("");

    for (State state = 0; state < S_MAX; state++) {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
            uint32_t handle = enter_state(p, state);
            uint32_t ret;
            Buf buf;

            good_buffer(p, rows[i].id, handle, &buf);
            ret = psp_cmd(p, rows[i].id, &buf);
            if (ret != rows[i].expect[state]) {
                g_test_message("command 0x%03x in state %d: got %u, not %u",
                               rows[i].id, state, ret, rows[i].expect[state]);
                g_test_fail();
            }
        }
    }
    psp_free(p);
}

static void test_bad_handles(void)
{
    Psp *p = psp_new("");
    uint32_t gone = enter_state(p, S_LUPDATE_INACTIVE);

    g_assert_cmpuint(handle_cmd(p, CMD_DECOMMISSION, gone), ==, OK);
    launch_start(p, 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const uint32_t bad[] = { 0, gone, 0x7fffffff, 0xffffffff };
        uint32_t id = rows[i].id;

        if (id < CMD_DECOMMISSION || id == CMD_LAUNCH_START ||
            rows[i].expect[S_LUPDATE] == UNSUPPORTED) {
            continue;
        }
        for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
            Buf buf;

            good_buffer(p, id, bad[k], &buf);
            g_assert_cmpuint(psp_cmd(p, id, &buf), ==, INVALID_GUEST);
        }
    }
    psp_free(p);
}

static void test_status(void)
{
    Psp *p = psp_new(",api-major=3,api-minor=7,build=99");
    Buf buf;
    uint32_t h;
    uint8_t state;
    uint32_t guests;

    memset(&buf, 0xff, sizeof(buf));
    g_assert_cmpuint(psp_cmd(p, CMD_PLATFORM_STATUS, &buf), ==, OK);
    g_assert_cmpuint(buf.b[0], ==, 3);
    g_assert_cmpuint(buf.b[1], ==, 7);
    g_assert_cmpuint(buf.b[2], ==, PSTATE_UNINIT);
    g_assert_cmphex(get32(&buf, 3), ==, 0);
    g_assert_cmpuint(buf.b[7], ==, 99);
    g_assert_cmpuint(get32(&buf, 8), ==, 0);
    g_assert_cmphex(buf.b[12], ==, 0xff);   /* nothing written behind it */

    psp_up(p);
    psp_status(p, &state, &guests);
    g_assert_cmpuint(state, ==, PSTATE_INIT);
    h = launch_start(p, 0);
    launch_start(p, 0);
    psp_status(p, &state, &guests);
    g_assert_cmpuint(state, ==, PSTATE_WORKING);
    g_assert_cmpuint(guests, ==, 2);
    g_assert_cmpuint(handle_cmd(p, CMD_DECOMMISSION, h), ==, OK);
    psp_status(p, &state, &guests);
    g_assert_cmpuint(state, ==, PSTATE_WORKING);
    g_assert_cmpuint(guests, ==, 1);
    g_assert_cmpuint(psp_cmd(p, CMD_SHUTDOWN, NULL), ==, OK);
    psp_status(p, &state, &guests);
    g_assert_cmpuint(state, ==, PSTATE_UNINIT);
    g_assert_cmpuint(guests, ==, 0);
    psp_free(p);
}

static uint32_t init_es(Psp *p, uint64_t tmr, uint32_t len)
{
    Buf buf = { 0 };

    put32(&buf, 0, 1);
    put64(&buf, 8, tmr);
    put32(&buf, 16, len);
    return psp_cmd(p, CMD_INIT, &buf);
}

static void test_init(void)
{
    Psp *p = psp_new("");
    uint8_t state;
    uint32_t guests;
    Buf buf = { 0 };

    g_assert_cmpuint(init_es(p, TMR + 0x1000, 0x100000), ==, INVALID_CONFIG);
    g_assert_cmpuint(init_es(p, TMR, 0xfffff), ==, INVALID_CONFIG);
    g_assert_cmpuint(init_es(p, RAM_END, 0x100000), ==, INVALID_CONFIG);
    g_assert_cmpuint(init_es(p, RAM_END - 0x100000, 0x200000), ==,
                     INVALID_CONFIG);
    psp_status(p, &state, &guests);
    g_assert_cmpuint(state, ==, PSTATE_UNINIT);
    g_assert_cmpuint(init_es(p, TMR, 0x100000), ==, OK);
    /* Accepted as Linux always asks, but SEV-ES is not offered. */
    g_assert_cmpuint(psp_cmd(p, CMD_PLATFORM_STATUS, &buf), ==, OK);
    g_assert_cmphex(get32(&buf, 3), ==, 0);
    /* What the CPUs did before INIT does not count. */
    psp_flush(p);
    g_assert_cmpuint(psp_cmd(p, CMD_SHUTDOWN, NULL), ==, OK);
    g_assert_cmpuint(psp_init(p), ==, OK);
    g_assert_cmpuint(psp_cmd(p, CMD_DF_FLUSH, NULL), ==, WBINVD_REQUIRED);
    psp_free(p);
}

static uint32_t init_ex(Psp *p, uint32_t length, uint64_t nv, uint32_t nv_len)
{
    Buf buf = { 0 };

    put32(&buf, 0, length);
    put64(&buf, 24, nv);
    put32(&buf, 32, nv_len);
    return psp_cmd(p, CMD_INIT_EX, &buf);
}

static void test_init_ex(void)
{
    Psp *p = psp_new("");
    const uint32_t len = 32 * 1024;

    qtest_memset(p->qts, NV_AREA, 0x5a, len);
    g_assert_cmpuint(init_ex(p, 35, NV_AREA, len), ==, INVALID_LEN);
    g_assert_cmpuint(init_ex(p, 36, NV_AREA, len - 1), ==, INVALID_LEN);
    g_assert_cmpuint(init_ex(p, 36, NV_AREA + 16, len), ==, INVALID_ADDRESS);
    g_assert_cmpuint(init_ex(p, 36, RAM_END - 0x1000, len), ==,
                     INVALID_ADDRESS);
    /* Garbage is reported once and replaced. */
    g_assert_cmpuint(init_ex(p, 36, NV_AREA, len), ==, SECURE_DATA_INVALID);
    g_assert_cmpuint(init_ex(p, 36, NV_AREA, len), ==, OK);
    g_assert_cmpuint(psp_cmd(p, CMD_SHUTDOWN, NULL), ==, OK);
    g_assert_cmpuint(init_ex(p, 36, NV_AREA, len), ==, OK);
    g_assert_cmpuint(psp_cmd(p, CMD_SHUTDOWN, NULL), ==, OK);
    /* One changed byte. */
    qtest_writeb(p->qts, NV_AREA + 20, qtest_readb(p->qts, NV_AREA + 20) ^ 1);
    g_assert_cmpuint(init_ex(p, 36, NV_AREA, len), ==, SECURE_DATA_INVALID);
    /* A new one. */
    qtest_memset(p->qts, NV_AREA, 0xff, len);
    g_assert_cmpuint(init_ex(p, 36, NV_AREA, len), ==, OK);
    psp_free(p);
}

static void test_identity(void)
{
    Psp *p = psp_new("");
    Buf buf = { 0 };
    uint8_t id[128];

    psp_up(p);
    put64(&buf, 0, DATA);
    put32(&buf, 8, 127);
    g_assert_cmpuint(psp_cmd(p, CMD_GET_ID, &buf), ==, INVALID_LEN);
    g_assert_cmpuint(get32(&buf, 8), ==, 128);
    qtest_memset(p->qts, DATA, 0xee, 256);
    g_assert_cmpuint(psp_cmd(p, CMD_GET_ID, &buf), ==, OK);
    qtest_memread(p->qts, DATA, id, sizeof(id));
    for (int i = 0; i < 128; i++) {
        g_assert_cmpuint(id[i], ==, i < 64 ? i : 0);
    }
    g_assert_cmphex(qtest_readb(p->qts, DATA + 128), ==, 0xee);
    put64(&buf, 0, RAM_END - 64);
    g_assert_cmpuint(psp_cmd(p, CMD_GET_ID, &buf), ==, INVALID_ADDRESS);

    memset(&buf, 0, sizeof(buf));
    g_assert_cmpuint(psp_cmd(p, CMD_PEK_CSR, &buf), ==, INVALID_LEN);
    g_assert_cmpuint(get32(&buf, 8), ==, CERT_LEN);
    g_assert_cmpuint(psp_cmd(p, CMD_PEK_CSR, &buf), ==, UNSUPPORTED);

    memset(&buf, 0, sizeof(buf));
    g_assert_cmpuint(psp_cmd(p, CMD_PDH_CERT_EXPORT, &buf), ==, INVALID_LEN);
    g_assert_cmpuint(get32(&buf, 8), ==, CERT_LEN);
    g_assert_cmpuint(get32(&buf, 24), ==, CHAIN_LEN);
    g_assert_cmpuint(psp_cmd(p, CMD_PDH_CERT_EXPORT, &buf), ==, UNSUPPORTED);
    psp_free(p);
}

static void test_download_firmware(void)
{
    Psp *p = psp_new("");
    static const struct {
        uint64_t pa;
        uint32_t len, expect;
    } t[] = {
        { DATA, 0, INVALID_LEN },
        { DATA, 0x100001, INVALID_LEN },
        { DATA + 16, 4096, INVALID_ADDRESS },
        { RAM_END, 4096, INVALID_ADDRESS },
        { DATA, 0x100000, OK },
    };

    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        Buf buf = { 0 };

        put64(&buf, 0, t[i].pa);
        put32(&buf, 8, t[i].len);
        g_assert_cmpuint(psp_cmd(p, CMD_DOWNLOAD_FIRMWARE, &buf), ==,
                         t[i].expect);
    }
    psp_free(p);
}

void add_platform_tests(void)
{
    qtest_add_func("sev-psp/states", test_states);
    qtest_add_func("sev-psp/bad-handles", test_bad_handles);
    qtest_add_func("sev-psp/status", test_status);
    qtest_add_func("sev-psp/init", test_init);
    qtest_add_func("sev-psp/init-ex", test_init_ex);
    qtest_add_func("sev-psp/identity", test_identity);
    qtest_add_func("sev-psp/download-firmware", test_download_firmware);
}
