/*
 * Test of the emulated AMD secure processor: guest contexts, ASIDs, policy,
 * debugging, and random commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "sev-psp-test.h"

#define POLICY_NODBG    1
#define POLICY_NOKS     2
#define POLICY_ES       4

static uint32_t launch_start_as(Psp *p, uint32_t source, uint32_t policy)
{
    Buf buf = { 0 };

    put32(&buf, 0, source);
    put32(&buf, 4, policy);
    return psp_cmd(p, CMD_LAUNCH_START, &buf);
}

static void test_asid_values(void)
{
    static const uint32_t bad[] = {
        0, 1, MIN_ASID - 1, MAX_ASID + 1, 511, 512, 0x10005, 0xffffffff,
    };
    Psp *p = psp_new("");
    uint32_t h;

    psp_up(p);
    h = launch_start(p, 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_cmpuint(activate(p, h, bad[i]), ==, INVALID_ASID);
    }
    g_assert_cmpuint(activate(p, h, MAX_ASID), ==, OK);
    g_assert_cmpuint(activate(p, h, MAX_ASID), ==, ACTIVE);
    g_assert_cmpuint(activate(p, launch_start(p, 0), MAX_ASID), ==,
                     ASID_OWNED);
    psp_free(p);
}

/* The range of ASIDs and the C-bit are the CPU model's. */
static void test_cpu_model(void)
{
    Psp *p = psp_new_args("", "-cpu EPYC,svm=on,npt=on,phys-bits=44,"
                          "sev-host=on,sev-cbitpos=43,sev-min-asid=2,"
                          "sev-max-asid=3");
    uint32_t a, b;

    psp_up(p);
    a = launch_start(p, 0);
    b = launch_start(p, 0);
    g_assert_cmpuint(activate(p, a, 1), ==, INVALID_ASID);
    g_assert_cmpuint(activate(p, a, 4), ==, INVALID_ASID);
    g_assert_cmpuint(activate(p, a, 2), ==, OK);
    g_assert_cmpuint(activate(p, b, 3), ==, OK);
    g_assert_cmpuint(update_data(p, a, DATA | 1ULL << 43, 16), ==, OK);
    g_assert_cmpuint(update_data(p, a, DATA | 1ULL << CBITPOS, 16), ==,
                     INVALID_ADDRESS);
    psp_free(p);
}

/* An ASID comes back after WBINVD on all CPUs and then DF_FLUSH, not before. */
static void test_asid_recycling(void)
{
    Psp *p = psp_new_args("", "-smp 2");
    uint32_t a, b;

    g_assert_cmpuint(psp_init(p), ==, OK);
    a = launch_start(p, 0);
    b = launch_start(p, 0);
    g_assert_cmpuint(activate(p, a, 5), ==, DFFLUSH_REQUIRED);
    g_assert_cmpuint(psp_cmd(p, CMD_DF_FLUSH, NULL), ==, WBINVD_REQUIRED);
    psp_wbinvd_all(p, true);
    g_assert_cmpuint(activate(p, a, 5), ==, DFFLUSH_REQUIRED);
    g_assert_cmpuint(psp_cmd(p, CMD_DF_FLUSH, NULL), ==, OK);
    g_assert_cmpuint(activate(p, a, 5), ==, OK);

    g_assert_cmpuint(handle_cmd(p, CMD_DEACTIVATE, a), ==, OK);
    g_assert_cmpuint(handle_cmd(p, CMD_DEACTIVATE, a), ==, INACTIVE);
    g_assert_cmpuint(activate(p, b, 5), ==, DFFLUSH_REQUIRED);
    /* Other ASIDs stay clean, and what WBINVD did before does not count. */
    g_assert_cmpuint(activate(p, b, 6), ==, OK);
    g_assert_cmpuint(psp_cmd(p, CMD_DF_FLUSH, NULL), ==, WBINVD_REQUIRED);
    psp_flush(p);
    g_assert_cmpuint(activate(p, a, 5), ==, OK);
    g_assert_cmpuint(activate(p, b, 6), ==, ACTIVE);
    /* A flush does not take an ASID away from its owner. */
    psp_flush(p);
    g_assert_cmpuint(activate(p, launch_start(p, 0), 6), ==, ASID_OWNED);
    psp_free(p);
}

static void test_reset(void)
{
    Psp *p = psp_new("");
    uint8_t state;
    uint32_t guests, h;

    psp_up(p);
    h = launch_start(p, 0);
    g_assert_cmpuint(activate(p, h, 5), ==, OK);
    /* After SHUTDOWN and INIT nothing of the old platform is left. */
    g_assert_cmpuint(psp_cmd(p, CMD_SHUTDOWN, NULL), ==, OK);
    psp_up(p);
    g_assert_cmpuint(activate(p, launch_start(p, 0), 5), ==, OK);
    g_assert_cmpuint(handle_cmd(p, CMD_GUEST_STATUS, h), ==, INVALID_GUEST);

    qobject_unref(qtest_qmp(p->qts, "{'execute': 'system_reset'}"));
    qtest_qmp_eventwait(p->qts, "RESET");
    p->regs = qpci_iomap(p->dev, 2, NULL);
    qpci_device_enable(p->dev);
    psp_status(p, &state, &guests);
    g_assert_cmpuint(state, ==, PSTATE_UNINIT);
    g_assert_cmpuint(guests, ==, 0);
    psp_free(p);
}

static void test_policy(void)
{
    static const struct {
        uint32_t policy, expect;
    } t[] = {
        { 0, OK },
        { 0x37010000, OK },                 /* 1.55 */
        { 0x38010000, POLICY_FAILURE },     /* 1.56 */
        { 0x00020000, POLICY_FAILURE },     /* 2.0 */
        { 0xff000000, OK },                 /* 0.255 */
        { POLICY_NODBG | POLICY_NOKS, OK },
        { POLICY_ES, UNSUPPORTED },
    };
    Psp *p = psp_new("");
    Buf buf = { 0 };
    uint32_t h;

    psp_up(p);
    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        g_assert_cmpuint(launch_start_as(p, 0, t[i].policy), ==, t[i].expect);
    }

    /* Key sharing. */
    h = launch_start(p, POLICY_NODBG);
    g_assert_cmpuint(launch_start_as(p, h, POLICY_NODBG), ==, OK);
    g_assert_cmpuint(launch_start_as(p, h, 0), ==, POLICY_FAILURE);
    g_assert_cmpuint(launch_start_as(p, h + 1000, POLICY_NODBG), ==,
                     INVALID_GUEST);
    h = launch_start(p, POLICY_NOKS);
    g_assert_cmpuint(launch_start_as(p, h, POLICY_NOKS), ==, POLICY_FAILURE);

    /* A session: its lengths are checked, but it cannot be had. */
    put64(&buf, 8, DATA);
    put32(&buf, 16, 0x824);
    put64(&buf, 24, DATA2);
    put32(&buf, 32, 0x7f);
    g_assert_cmpuint(psp_cmd(p, CMD_LAUNCH_START, &buf), ==, INVALID_LEN);
    put32(&buf, 32, 0x80);
    g_assert_cmpuint(psp_cmd(p, CMD_LAUNCH_START, &buf), ==, UNSUPPORTED);
    put32(&buf, 16, 0x823);
    g_assert_cmpuint(psp_cmd(p, CMD_LAUNCH_START, &buf), ==, INVALID_LEN);
    psp_free(p);
}

static void test_guest_status(void)
{
    Psp *p = psp_new("");
    Buf buf;
    uint32_t h;
    uint8_t blob[48];

    psp_up(p);
    h = launch_start(p, 0x37010003);
    memset(&buf, 0xff, sizeof(buf));
    put32(&buf, 0, h);
    g_assert_cmpuint(psp_cmd(p, CMD_GUEST_STATUS, &buf), ==, OK);
    g_assert_cmpuint(get32(&buf, 0), ==, h);
    g_assert_cmphex(get32(&buf, 4), ==, 0x37010003);
    g_assert_cmpuint(get32(&buf, 8), ==, 0);
    g_assert_cmpuint(buf.b[12], ==, GSTATE_LUPDATE);
    g_assert_cmphex(buf.b[13], ==, 0xff);
    g_assert_cmpuint(activate(p, h, 7), ==, OK);
    g_assert_cmpuint(measure(p, h, blob), ==, OK);
    put32(&buf, 0, h);
    g_assert_cmpuint(psp_cmd(p, CMD_GUEST_STATUS, &buf), ==, OK);
    g_assert_cmpuint(get32(&buf, 8), ==, 7);
    g_assert_cmpuint(buf.b[12], ==, GSTATE_LSECRET);
    g_assert_cmpuint(handle_cmd(p, CMD_LAUNCH_FINISH, h), ==, OK);
    g_assert_cmpuint(psp_cmd(p, CMD_GUEST_STATUS, &buf), ==, OK);
    g_assert_cmpuint(buf.b[12], ==, GSTATE_RUNNING);
    psp_free(p);
}

static void test_limit(void)
{
    Psp *p = psp_new(",max-guests=3");
    uint32_t h[3];

    psp_up(p);
    for (int i = 0; i < 3; i++) {
        h[i] = launch_start(p, 0);
    }
    g_assert_cmpuint(launch_start_as(p, 0, 0), ==, RESOURCE_LIMIT);
    g_assert_cmpuint(handle_cmd(p, CMD_DECOMMISSION, h[1]), ==, OK);
    g_assert_cmpuint(launch_start_as(p, 0, 0), ==, OK);
    psp_free(p);
}

static void test_dbg(void)
{
    static const struct {
        uint64_t src, dst;
        uint32_t len, expect;
    } t[] = {
        { DATA, DATA2, 0, INVALID_LEN },
        { DATA, DATA2, 8, INVALID_LEN },
        { DATA, DATA2, 17, INVALID_LEN },
        { DATA + 8, DATA2, 16, INVALID_ADDRESS },
        { DATA, DATA2 + 8, 16, INVALID_ADDRESS },
        { RAM_END, DATA2, 16, INVALID_ADDRESS },
        { DATA, RAM_END, 16, INVALID_ADDRESS },
        { RAM_END - 16, DATA2, 32, INVALID_ADDRESS },
        { DATA, 0xffff0000, 16, INVALID_ADDRESS },      /* ROM */
        { 0xffff0000, DATA2, 16, OK },
        { DATA, DATA2, 0xfffffff0, INVALID_ADDRESS },
        { 0xfffffffffffffff0, DATA2, 32, INVALID_ADDRESS },
        { DATA, DATA2, 0x20010, OK },
    };
    Psp *p = psp_new(",enc=none");
    g_autofree uint8_t *src = g_malloc(0x20020);
    g_autofree uint8_t *dst = g_malloc(0x20020);
    uint32_t h, locked;

    psp_up(p);
    h = launch_start(p, 0);
    locked = launch_start(p, POLICY_NODBG);
    g_assert_cmpuint(activate(p, h, 5), ==, OK);
    g_assert_cmpuint(activate(p, locked, 6), ==, OK);
    for (uint32_t i = 0; i < 0x20020; i++) {
        src[i] = g_random_int();
    }
    for (uint32_t id = CMD_DBG_DECRYPT; id <= CMD_DBG_ENCRYPT; id++) {
        for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
            qtest_memwrite(p->qts, DATA, src, 0x20020);
            qtest_memset(p->qts, DATA2, 0xcc, 0x20020);
            g_assert_cmpuint(dbg(p, id, h, t[i].src, t[i].dst, t[i].len), ==,
                             t[i].expect);
        }
        /* The last one copied, and not more than it should. */
        qtest_memread(p->qts, DATA2, dst, 0x20020);
        g_assert_cmpmem(dst, 0x20010, src, 0x20010);
        g_assert_cmphex(dst[0x20010], ==, 0xcc);
        g_assert_cmpuint(dbg(p, id, locked, DATA, DATA2, 16), ==,
                         POLICY_FAILURE);
    }
    psp_free(p);
}

/* A host that starts and ends guests for a long time, over all ASIDs. */
static void test_many_launches(void)
{
    Psp *p = psp_new("");
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    uint8_t blob[48], state;
    uint32_t guests;

    psp_up(p);
    for (int i = 0; i < 100; i++) {
        uint32_t h = launch_start(p, 0);
        uint32_t asid = MIN_ASID + i % (MAX_ASID - MIN_ASID + 1);

        g_assert_true(g_hash_table_add(seen, GUINT_TO_POINTER(h)));
        if (i > MAX_ASID - MIN_ASID && asid == MIN_ASID) {
            g_assert_cmpuint(activate(p, h, asid), ==, DFFLUSH_REQUIRED);
            psp_flush(p);
        }
        g_assert_cmpuint(activate(p, h, asid), ==, OK);
        g_assert_cmpuint(update_data(p, h, DATA, 4096), ==, OK);
        g_assert_cmpuint(measure(p, h, blob), ==, OK);
        g_assert_cmpuint(handle_cmd(p, CMD_LAUNCH_FINISH, h), ==, OK);
        g_assert_cmpuint(handle_cmd(p, CMD_DEACTIVATE, h), ==, OK);
        g_assert_cmpuint(handle_cmd(p, CMD_DECOMMISSION, h), ==, OK);
        g_assert_cmpuint(handle_cmd(p, CMD_DECOMMISSION, h), ==,
                         INVALID_PLATFORM_STATE);
    }
    psp_status(p, &state, &guests);
    g_assert_cmpuint(state, ==, PSTATE_INIT);
    g_assert_cmpuint(guests, ==, 0);
    psp_free(p);
}

/* What the CPUs are told about an ASID, as the trace shows it. */
static void test_asid_states(void)
{
    g_autofree char *log = g_strdup_printf("%s/sev-psp-trace-%d",
                                           g_get_tmp_dir(), getpid());
    g_autofree char *args = g_strdup_printf("-d trace:sev_psp_asid -D %s", log);
    g_autofree char *text = NULL, *want = NULL;
    Psp *p = psp_new_args("", args);
    uint8_t blob[48];
    const char *pos;
    uint32_t h;

    psp_up(p);
    h = launch_start(p, 0);
    g_assert_cmpuint(activate(p, h, 6), ==, OK);
    g_assert_cmpuint(measure(p, h, blob), ==, OK);
    g_assert_cmpuint(handle_cmd(p, CMD_LAUNCH_FINISH, h), ==, OK);
    g_assert_cmpuint(handle_cmd(p, CMD_DEACTIVATE, h), ==, OK);
    g_assert_cmpuint(activate(p, h, 7), ==, OK);
    g_assert_cmpuint(psp_cmd(p, CMD_SHUTDOWN, NULL), ==, OK);
    psp_free(p);

    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    pos = text;
    for (int i = 0; i < 5; i++) {
        static const struct {
            int asid, owned, state;
        } t[] = {
            { 6, 1, 1 }, { 6, 1, 2 }, { 6, 0, 0 }, { 7, 1, 2 }, { 7, 0, 0 },
        };

        g_free(want);
        want = g_strdup_printf("asid %d guest %u state %d", t[i].asid,
                               t[i].owned ? h : 0, t[i].state);
        pos = strstr(pos, want);
        g_assert_nonnull(pos);
        pos += strlen(want);
    }
    g_assert_null(strstr(pos, "asid"));
    g_unlink(log);
}

static uint32_t random_word(GRand *rand)
{
    static const uint32_t interesting[] = {
        0, 1, 2, 3, 5, 6, 16, 36, 48, 52, 4096, DATA, DATA2, 0x7fffffff,
        0x80000000, 0xfffffff0, 0xffffffff, RAM_END - 16, RAM_END,
    };

    return g_rand_boolean(rand) ? g_rand_int(rand)
        : interesting[g_rand_int_range(rand, 0, ARRAY_SIZE(interesting))];
}

/* Whatever the host writes: the device answers, and goes on working. */
static void test_random(void)
{
    Psp *p = psp_new(",max-guests=20");
    GRand *rand = g_rand_new_with_seed(20240607);
    uint8_t state;
    uint32_t guests;

    for (int i = 0; i < 4000; i++) {
        uint32_t id = g_rand_int_range(rand, 0, 0x70);
        Buf buf;

        for (unsigned off = 0; off < sizeof(buf); off += 4) {
            put32(&buf, off, random_word(rand));
        }
        if (g_rand_boolean(rand)) {
            put32(&buf, 0, g_rand_int_range(rand, 0, 30));
        }
        if (g_rand_boolean(rand)) {
            put32(&buf, 12, 0);
            put32(&buf, 20, 0);
        }
        if (id == CMD_SHUTDOWN && i % 16) {
            id = CMD_INIT;
        }
        if (i % 7 == 0) {
            psp_wbinvd_all(p, true);
        }
        g_assert_cmpuint(psp_cmd(p, id, &buf), <=, SECURE_DATA_INVALID);
    }
    g_assert_cmpuint(psp_cmd(p, CMD_SHUTDOWN, NULL), ==, OK);
    psp_up(p);
    g_assert_cmpuint(activate(p, launch_start(p, 0), 5), ==, OK);
    psp_status(p, &state, &guests);
    g_assert_cmpuint(guests, ==, 1);
    g_rand_free(rand);
    psp_free(p);
}

void add_guest_tests(void)
{
    qtest_add_func("sev-psp/asid-values", test_asid_values);
    qtest_add_func("sev-psp/cpu-model", test_cpu_model);
    qtest_add_func("sev-psp/asid-recycling", test_asid_recycling);
    qtest_add_func("sev-psp/asid-states", test_asid_states);
    qtest_add_func("sev-psp/reset", test_reset);
    qtest_add_func("sev-psp/policy", test_policy);
    qtest_add_func("sev-psp/guest-status", test_guest_status);
    qtest_add_func("sev-psp/limit", test_limit);
    qtest_add_func("sev-psp/dbg", test_dbg);
    qtest_add_func("sev-psp/many-launches", test_many_launches);
    qtest_add_func("sev-psp/random", test_random);
}
