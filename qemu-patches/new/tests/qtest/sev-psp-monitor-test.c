/*
 * Test of the emulated AMD secure processor: what the monitor tells of it, and
 * the window of counters.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qlist.h"
#include "qapi/qmp/qnum.h"
#include "sev-psp-test.h"

#define LOG_LEN         256
#define REG_COUNTERS    0x1f000
enum { COUNT_WBINVD, COUNT_DF_FLUSH = 4 };

static QDict *query(Psp *p)
{
    QDict *rsp = qtest_qmp(p->qts, "{'execute': 'query-sev-platform'}");
    QDict *info;

    g_assert_true(qdict_haskey(rsp, "return"));
    info = qdict_get_qdict(rsp, "return");
    qobject_ref(info);
    qobject_unref(rsp);
    return info;
}

static QDict *nth(QDict *dict, const char *key, unsigned n)
{
    const QListEntry *entry = qlist_first(qdict_get_qlist(dict, key));

    while (n--) {
        entry = qlist_next(entry);
    }
    return qobject_to(QDict, qlist_entry_obj(entry));
}

static size_t length(QDict *dict, const char *key)
{
    return qlist_size(qdict_get_qlist(dict, key));
}

static void assert_command(QDict *cmd, int64_t number, const char *name,
                           int64_t handle, int64_t status, const char *state)
{
    g_assert_cmpint(qdict_get_int(cmd, "number"), ==, number);
    g_assert_cmpstr(qdict_get_str(cmd, "name"), ==, name);
    g_assert_cmpint(qdict_get_try_int(cmd, "handle", 0), ==, handle);
    g_assert_cmpint(qdict_get_int(cmd, "status"), ==, status);
    g_assert_cmpstr(qdict_get_str(cmd, "state"), ==, state);
}

static void test_log(void)
{
    Psp *p = psp_new("");
    QDict *info = query(p);
    uint32_t h;

    g_assert_cmpint(qdict_get_int(info, "commands"), ==, 0);
    g_assert_cmpuint(length(info, "log"), ==, 0);
    g_assert_cmpstr(qdict_get_str(info, "state"), ==, "uninit");
    g_assert_cmpstr(qdict_get_str(info, "encryption"), ==, "xts");
    g_assert_false(qdict_get_bool(info, "strict"));
    qobject_unref(info);

    psp_up(p);
    h = launch_start(p, 0);
    /* What fails is there too: not activated, no such guest or command. */
    g_assert_cmpuint(update_data(p, h, DATA, 16), ==, INACTIVE);
    g_assert_cmpuint(handle_cmd(p, CMD_DECOMMISSION, h + 1), ==,
                     INVALID_GUEST);
    g_assert_cmpuint(psp_cmd(p, 0x7f, NULL), ==, INVALID_COMMAND);
    info = query(p);
    g_assert_cmpint(qdict_get_int(info, "commands"), ==, 6);
    g_assert_cmpuint(length(info, "log"), ==, 6);
    assert_command(nth(info, "log", 0), 0, "INIT", 0, OK, "init");
    assert_command(nth(info, "log", 1), 1, "DF_FLUSH", 0, OK, "init");
    assert_command(nth(info, "log", 2), 2, "LAUNCH_START", h, OK, "working");
    assert_command(nth(info, "log", 3), 3, "LAUNCH_UPDATE_DATA", h, INACTIVE,
                   "working");
    assert_command(nth(info, "log", 4), 4, "DECOMMISSION", h + 1,
                   INVALID_GUEST, "working");
    assert_command(nth(info, "log", 5), 5, "unknown", 0, INVALID_COMMAND,
                   "working");
    qobject_unref(info);
    psp_free(p);
}

/* The last ones are kept, also across a reset of the machine. */
static void test_log_is_a_ring(void)
{
    Psp *p = psp_new("");
    const unsigned more = 10;
    QDict *info;

    for (unsigned i = 0; i < LOG_LEN; i++) {
        Buf buf = { 0 };

        g_assert_cmpuint(psp_cmd(p, CMD_PLATFORM_STATUS, &buf), ==, OK);
    }
    for (unsigned i = 0; i < more; i++) {
        psp_cmd(p, CMD_FACTORY_RESET, NULL);
    }
    qtest_qmp_assert_success(p->qts, "{'execute': 'system_reset'}");
    qtest_qmp_eventwait(p->qts, "RESET");
    info = query(p);
    g_assert_cmpint(qdict_get_int(info, "commands"), ==, LOG_LEN + more);
    g_assert_cmpuint(length(info, "log"), ==, LOG_LEN);
    assert_command(nth(info, "log", 0), more, "PLATFORM_STATUS", 0, OK,
                   "uninit");
    assert_command(nth(info, "log", LOG_LEN - 1), LOG_LEN + more - 1,
                   "FACTORY_RESET", 0, OK, "uninit");
    qobject_unref(info);
    psp_free(p);
}

static void assert_guest(QDict *g, uint32_t handle, uint32_t asid,
                         uint32_t policy, const char *state)
{
    g_assert_cmpint(qdict_get_int(g, "handle"), ==, handle);
    g_assert_cmpint(qdict_get_int(g, "asid"), ==, asid);
    g_assert_cmpint(qdict_get_int(g, "policy"), ==, policy);
    g_assert_cmpstr(qdict_get_str(g, "state"), ==, state);
}

static void test_guests(void)
{
    Psp *p = psp_new(",enc=xts,coherency=strict");
    uint8_t blob[48];
    uint32_t a, b, c;
    QDict *info;

    psp_up(p);
    a = launch_start(p, 1);
    b = launch_start(p, 0);
    c = launch_start(p, 0);
    g_assert_cmpuint(activate(p, a, MIN_ASID + 1), ==, OK);
    g_assert_cmpuint(activate(p, b, MIN_ASID), ==, OK);
    g_assert_cmpuint(measure(p, b, blob), ==, OK);
    info = query(p);
    g_assert_cmpstr(qdict_get_str(info, "encryption"), ==, "xts");
    g_assert_cmpuint(length(info, "guests"), ==, 3);
    assert_guest(nth(info, "guests", 0), c, 0, 0, "launch-update");
    assert_guest(nth(info, "guests", 1), b, MIN_ASID, 0, "launch-secret");
    assert_guest(nth(info, "guests", 2), a, MIN_ASID + 1, 1, "launch-update");
    g_assert_true(qdict_haskey(nth(info, "guests", 0), "memory"));
    g_assert_true(qdict_get_bool(info, "strict"));
    g_assert_cmpint(qdict_get_int(info, "violations"), ==, 0);
    g_assert_cmpuint(length(info, "reports"), ==, 0);
    g_assert_cmpuint(length(info, "unflushed-asids"), ==, 0);
    qobject_unref(info);

    g_assert_cmpuint(handle_cmd(p, CMD_DEACTIVATE, a), ==, OK);
    g_assert_cmpuint(handle_cmd(p, CMD_DECOMMISSION, a), ==, OK);
    info = query(p);
    g_assert_cmpuint(length(info, "guests"), ==, 2);
    g_assert_cmpuint(length(info, "unflushed-asids"), ==, 1);
    g_assert_cmpint(qnum_get_int(qobject_to(QNum, qlist_peek(
                    qdict_get_qlist(info, "unflushed-asids")))), ==,
                    MIN_ASID + 1);
    qobject_unref(info);
    psp_free(p);
}

static uint64_t counter(Psp *p, unsigned n)
{
    uint32_t reg = REG_COUNTERS + 8 + 8 * n;

    return reg_get(p, reg) | (uint64_t)reg_get(p, reg + 4) << 32;
}

static void test_flushes(void)
{
    Psp *p = psp_new_args("", "-smp 2");
    QDict *info;

    g_assert_cmphex(reg_get(p, REG_COUNTERS), ==, 0x31564553);
    g_assert_cmpuint(counter(p, COUNT_WBINVD), ==, 0);
    psp_up(p);
    g_assert_cmpuint(psp_cmd(p, CMD_DF_FLUSH, NULL), ==, OK);
    psp_wbinvd_all(p, true);
    /* One that is refused has flushed nothing. */
    psp_wbinvd_all(p, false);
    g_assert_cmpuint(psp_cmd(p, CMD_DF_FLUSH, NULL), ==, WBINVD_REQUIRED);
    g_assert_cmpuint(counter(p, COUNT_WBINVD), ==, 4);
    g_assert_cmpuint(counter(p, COUNT_DF_FLUSH), ==, 2);
    /* The window is read-only. */
    reg_set(p, REG_COUNTERS + 8, 0);
    g_assert_cmpuint(counter(p, COUNT_WBINVD), ==, 4);

    info = query(p);
    g_assert_cmpint(qdict_get_int(info, "df-flushes"), ==, 2);
    g_assert_cmpuint(length(info, "flushes"), ==, 2);
    for (int i = 0; i < 2; i++) {
        QDict *cpu = nth(info, "flushes", i);

        g_assert_cmpint(qdict_get_int(cpu, "cpu"), ==, i);
        g_assert_cmpint(qdict_get_int(cpu, "wbinvd"), ==, 2);
        g_assert_cmpint(qdict_get_int(cpu, "clflush"), ==, 0);
    }
    qobject_unref(info);
    psp_free(p);
}

static void test_hmp(void)
{
    Psp *p = psp_new(",enc=xts");
    g_autofree char *text = NULL;
    uint32_t h;

    psp_up(p);
    h = launch_start(p, 0);
    g_assert_cmpuint(activate(p, h, MIN_ASID), ==, OK);
    text = qtest_hmp(p->qts, "info sev-platform");
    g_assert_nonnull(strstr(text, "platform: working, enc=xts, 4 commands"));
    g_assert_nonnull(strstr(text, "guest 1: asid 5, launch-update"));
    g_assert_nonnull(strstr(text, "CPU 0: WBINVD 1"));
    g_assert_nonnull(strstr(text, "ACTIVATE             guest 1 status 0"));
    psp_free(p);
}

static void test_no_device(void)
{
    g_autofree char *bios = bios_new();
    QTestState *qts = qtest_initf("-machine q35 -nodefaults -bios %s", bios);
    QDict *rsp = qtest_qmp(qts, "{'execute': 'query-sev-platform'}");
    g_autofree char *text = qtest_hmp(qts, "info sev-platform");

    g_assert_true(qdict_haskey(rsp, "error"));
    g_assert_nonnull(strstr(text, "no sev-psp device"));
    qobject_unref(rsp);
    qtest_quit(qts);
    unlink(bios);
}

void add_monitor_tests(void)
{
    qtest_add_func("sev-psp/monitor/log", test_log);
    qtest_add_func("sev-psp/monitor/log-is-a-ring", test_log_is_a_ring);
    qtest_add_func("sev-psp/monitor/guests", test_guests);
    qtest_add_func("sev-psp/monitor/flushes", test_flushes);
    qtest_add_func("sev-psp/monitor/hmp", test_hmp);
    qtest_add_func("sev-psp/monitor/no-device", test_no_device);
}
