/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test of private RAM in a machine: a device model that accesses a private
 * page.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "private-ram-test.h"

#define ACCESS_ERROR    4       /* MEMTX_ACCESS_ERROR */

typedef struct Strays {
    uint64_t reads, writes;
} Strays;

/* One more read, or write, and nothing is populated. */
static void check_stray(Machine *m, Strays *seen, bool is_write, uint64_t gpa,
                        uint64_t size)
{
    QDict *stray = machine_last_stray(m);

    seen->reads += !is_write;
    seen->writes += is_write;
    g_assert_cmpuint(machine_stat(m, "stray-reads"), ==, seen->reads);
    g_assert_cmpuint(machine_stat(m, "stray-writes"), ==, seen->writes);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, 0);

    g_assert_nonnull(stray);
    g_assert_cmpstr(qdict_get_str(stray, "device"), ==,
                    "private-ram-testdev 'dev0'");
    g_assert_cmpint(qdict_get_bool(stray, "write"), ==, is_write);
    g_assert_cmphex(qdict_get_int(stray, "gpa"), ==, gpa);
    g_assert_cmpuint(qdict_get_int(stray, "size"), ==, size);
    qobject_unref(stray);
}

static void test_buffers(void)
{
    Machine *m = machine_new(",stray-dma=warn", "");
    Strays seen = { };

    g_assert_cmpuint(machine_cmd(m, TESTDEV_READ, SOMEWHERE, 64, 0), ==,
                     ACCESS_ERROR);
    g_assert_cmphex(machine_data(m), ==, UINT64_MAX);
    check_stray(m, &seen, false, SOMEWHERE, 64);
    g_assert_cmpuint(machine_cmd(m, TESTDEV_WRITE, HIGH_GPA + 8, 64, 1), ==,
                     ACCESS_ERROR);
    check_stray(m, &seen, true, HIGH_GPA + 8, 64);

    /* It begins in a shared page, and no byte of it is written. */
    machine_convert(m, SOMEWHERE, 1, false);
    g_assert_cmpuint(machine_cmd(m, TESTDEV_WRITE, SOMEWHERE + PAGE - 4, 8, -1),
                     ==, ACCESS_ERROR);
    check_stray(m, &seen, true, SOMEWHERE + PAGE, 4);
    g_assert_cmpuint(machine_cmd(m, TESTDEV_READ, SOMEWHERE + PAGE - 8, 8, 0),
                     ==, 0);
    g_assert_cmphex(machine_data(m), ==, 0);
    g_assert(machine_is_in_state(m, "running"));
    machine_free(m);
}

static void test_words(void)
{
    Machine *m = machine_new(",stray-dma=warn", "");
    Strays seen = { };
    uint64_t len;

    for (len = 1; len <= 8; len *= 2) {
        uint64_t ones = UINT64_MAX >> (64 - 8 * len);

        g_assert_cmpuint(machine_cmd(m, TESTDEV_LOAD, SOMEWHERE, len, 0), ==,
                         ACCESS_ERROR);
        g_assert_cmphex(machine_data(m), ==, ones);
        check_stray(m, &seen, false, SOMEWHERE, len);
        g_assert_cmpuint(machine_cmd(m, TESTDEV_STORE, SOMEWHERE, len, 1), ==,
                         ACCESS_ERROR);
        check_stray(m, &seen, true, SOMEWHERE, len);
    }

    machine_convert(m, SOMEWHERE, 1, false);
    for (len = 1; len <= 8; len *= 2) {
        g_assert_cmpuint(machine_cmd(m, TESTDEV_STORE, SOMEWHERE + 8 * len,
                                     len, 0x42), ==, 0);
        g_assert_cmpuint(machine_cmd(m, TESTDEV_LOAD, SOMEWHERE + 8 * len,
                                     len, 0), ==, 0);
        g_assert_cmphex(machine_data(m), ==, 0x42);
    }
    g_assert_cmpuint(machine_strays(m), ==, seen.reads + seen.writes);
    machine_free(m);
}

static void test_map(void)
{
    Machine *m = machine_new(",stray-dma=warn", "");
    Strays seen = { };

    /* Private: a page at most, of ones; what is written to it goes nowhere. */
    g_assert_cmpuint(machine_cmd(m, TESTDEV_MAP_READ, SOMEWHERE + 16, 3 * PAGE,
                                 0), ==, 0);
    g_assert_cmpuint(machine_len(m), ==, PAGE - 16);
    g_assert_cmphex(machine_data(m), ==, 0xff);
    machine_cmd(m, TESTDEV_UNMAP, 0, PAGE - 16, 0);
    check_stray(m, &seen, false, SOMEWHERE + 16, PAGE - 16);

    machine_cmd(m, TESTDEV_MAP_WRITE, SOMEWHERE, PAGE, 0);
    machine_cmd(m, TESTDEV_TOUCH, 0, 0, 0x11);
    g_assert_cmpuint(machine_strays(m), ==, 1);
    machine_cmd(m, TESTDEV_UNMAP, 0, PAGE, 0);
    check_stray(m, &seen, true, SOMEWHERE, PAGE);

    /* Never used: no access */
    machine_cmd(m, TESTDEV_MAP_WRITE, SOMEWHERE, PAGE, 0);
    machine_cmd(m, TESTDEV_UNMAP, 0, 0, 0);
    g_assert_cmpuint(machine_strays(m), ==, 2);

    /* Shared: up to the private page */
    machine_convert(m, SOMEWHERE, 2, false);
    machine_cmd(m, TESTDEV_MAP_WRITE, SOMEWHERE + 16, 3 * PAGE, 0);
    g_assert_cmpuint(machine_len(m), ==, 2 * PAGE - 16);
    machine_cmd(m, TESTDEV_TOUCH, 0, 0, 0x11);
    machine_cmd(m, TESTDEV_UNMAP, 0, 2 * PAGE - 16, 0);
    g_assert_cmpuint(machine_strays(m), ==, 2);
    machine_cmd(m, TESTDEV_LOAD, SOMEWHERE + 2 * PAGE - 1, 1, 0);
    g_assert_cmphex(machine_data(m), ==, 0x11);
    machine_free(m);
}

/* The guest takes back what the device still has mapped. */
static void test_map_overtaken(void)
{
    Machine *m = machine_new(",stray-dma=warn", "");
    Strays seen = { };

    machine_convert(m, SOMEWHERE, 2, false);
    machine_cmd(m, TESTDEV_MAP_WRITE, SOMEWHERE, 2 * PAGE, 0);
    g_assert_cmpuint(machine_len(m), ==, 2 * PAGE);
    machine_convert(m, SOMEWHERE, 2, true);
    machine_cmd(m, TESTDEV_TOUCH, 0, 0, 0x11);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, PAGE);
    machine_cmd(m, TESTDEV_UNMAP, 0, 2 * PAGE, 0);
    check_stray(m, &seen, true, SOMEWHERE, 2 * PAGE);
    machine_free(m);
}

/* Vrings are accessed like this. */
static void test_cache(void)
{
    Machine *m = machine_new(",stray-dma=warn", "");
    Strays seen = { };

    machine_convert(m, SOMEWHERE, 1, false);
    g_assert_cmpuint(machine_cmd(m, TESTDEV_CACHE, SOMEWHERE, PAGE, 0), ==, 0);
    g_assert_cmpuint(machine_cmd(m, TESTDEV_CACHE_STORE, 8, 0, 0xabcd), ==, 0);
    g_assert_cmpuint(machine_cmd(m, TESTDEV_CACHE_LOAD, 8, 0, 0), ==, 0);
    g_assert_cmphex(machine_data(m), ==, 0xabcd);

    machine_convert(m, SOMEWHERE, 1, true);
    g_assert_cmpuint(machine_cmd(m, TESTDEV_CACHE_STORE, 8, 0, 1), ==,
                     ACCESS_ERROR);
    check_stray(m, &seen, true, SOMEWHERE + 8, 2);
    g_assert_cmpuint(machine_cmd(m, TESTDEV_CACHE_LOAD, 8, 0, 0), ==,
                     ACCESS_ERROR);
    g_assert_cmphex(machine_data(m), ==, 0xffff);
    seen.reads++;               /* of its two accesses this is the first */
    check_stray(m, &seen, false, SOMEWHERE + 8, 2);

    machine_convert(m, SOMEWHERE, 1, false);
    g_assert_cmpuint(machine_cmd(m, TESTDEV_CACHE_LOAD, 8, 0, 0), ==, 0);
    g_assert_cmphex(machine_data(m), ==, 0);
    machine_cmd(m, TESTDEV_UNCACHE, 0, 0, 0);
    machine_free(m);
}

/* fw_cfg has no address space of its own; it is a device all the same. */
#define FW_CFG_DMA_ADDR     0x514

static void test_fw_cfg(void)
{
    Machine *m = machine_new(",stray-dma=warn", "");
    QDict *stray;

    qtest_outl(m->qts, FW_CFG_DMA_ADDR, 0);
    qtest_outl(m->qts, FW_CFG_DMA_ADDR + 4, cpu_to_be32(SOMEWHERE));
    g_assert_cmpuint(machine_stat(m, "stray-reads"), >=, 1);
    stray = machine_last_stray(m);
    g_assert_cmphex(qdict_get_int(stray, "gpa"), ==, SOMEWHERE);
    g_assert_cmpstr(qdict_get_str(stray, "device"), ==, "fw_cfg");
    qobject_unref(stray);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, 0);
    machine_free(m);
}

/* The default: the VM stops, and only a reset lets it go on. */
static void test_stop(void)
{
    Machine *m = machine_new("", "");
    char *error;

    g_assert_cmpuint(machine_cmd(m, TESTDEV_READ, SOMEWHERE, 8, 0), ==,
                     ACCESS_ERROR);
    qtest_qmp_eventwait(m->qts, "STOP");
    g_assert(machine_is_in_state(m, "internal-error"));
    error = machine_qmp_error(m, "{ 'execute': 'cont' }");
    g_assert(strstr(error, "eset"));
    g_free(error);

    machine_convert(m, SOMEWHERE, 1, false);
    machine_reset(m);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 0);
    qtest_qmp_assert_success(m->qts, "{ 'execute': 'cont' }");
    g_assert(machine_is_in_state(m, "running"));
    machine_free(m);
}

void add_dma_tests(void)
{
    qtest_add_func("/private-ram/dma/buffers", test_buffers);
    qtest_add_func("/private-ram/dma/words", test_words);
    qtest_add_func("/private-ram/dma/map", test_map);
    qtest_add_func("/private-ram/dma/map-overtaken", test_map_overtaken);
    qtest_add_func("/private-ram/dma/cache", test_cache);
    qtest_add_func("/private-ram/dma/fw-cfg", test_fw_cfg);
    qtest_add_func("/private-ram/dma/stop", test_stop);
}
