/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test of private RAM in a machine: conversions over its memory map, and what
 * is seen of them.
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "private-ram-test.h"

static void test_start(void)
{
    Machine *m = machine_new("", "");

    g_assert_cmpuint(machine_stat(m, "size"), ==, RAM_SIZE);
    g_assert_cmpuint(machine_stat(m, "private"), ==, RAM_SIZE);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 0);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, 0);
    g_assert_cmpuint(machine_stat(m, "populated-private"), ==, 0);
    g_assert_cmpuint(machine_strays(m), ==, 0);
    machine_free(m);
}

static void test_convert(void)
{
    Machine *m = machine_new("", "");

    machine_convert(m, SOMEWHERE, 8, false);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 8 * PAGE);
    g_assert_cmpuint(machine_stat(m, "pages-to-shared"), ==, 8);
    g_assert_cmpuint(machine_stat(m, "conversions-to-shared"), ==, 1);
    g_assert_cmpuint(machine_stat(m, "discarded-private"), ==, 8 * PAGE);

    g_assert_cmpuint(machine_cmd(m, TESTDEV_WRITE, SOMEWHERE, 8, 0x1234),
                     ==, 0);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, PAGE);
    machine_cmd(m, TESTDEV_READ, SOMEWHERE, 8, 0);
    g_assert_cmphex(machine_data(m), ==, 0x1234);

    machine_convert(m, SOMEWHERE, 8, false);
    g_assert_cmpuint(machine_stat(m, "unchanged"), ==, 1);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, PAGE);

    machine_convert(m, SOMEWHERE, 4, true);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, 0);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 4 * PAGE);
    g_assert_cmpuint(machine_stat(m, "discarded-shared"), >=, 4 * PAGE);
    g_assert_cmpuint(machine_strays(m), ==, 0);
    machine_free(m);
}

/* The hole below 4 GiB, devices, ROM, and what is behind the end of memory. */
static void test_clamp(void)
{
    Machine *m = machine_new("", "");

    machine_convert(m, LOW_SIZE - PAGE, (HIGH_GPA - LOW_SIZE) / PAGE + 2,
                    false);
    g_assert_cmpuint(machine_stat(m, "pages-to-shared"), ==, 2);
    g_assert_cmpuint(machine_cmd(m, TESTDEV_WRITE, HIGH_GPA, 8, 1), ==, 0);

    machine_convert(m, LOW_SIZE, (HIGH_GPA - LOW_SIZE) / PAGE, true);
    g_assert_cmpuint(machine_stat(m, "pages-to-private"), ==, 0);
    machine_convert(m, HIGH_GPA + GiB, UINT64_MAX, false);
    machine_convert(m, -PAGE, 3, false);
    machine_convert(m, SOMEWHERE + 1, 1, false);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 2 * PAGE);

    machine_convert(m, 0, 1ULL << 40, false);
    machine_convert(m, 0, 1ULL << 40, true);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 0);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, 0);
    machine_free(m);
}

static void test_reset(void)
{
    Machine *m = machine_new("", "");

    machine_convert(m, SOMEWHERE, 100, false);
    machine_convert(m, HIGH_GPA, 100, false);
    machine_cmd(m, TESTDEV_WRITE, SOMEWHERE, 8, 1);
    machine_cmd(m, TESTDEV_WRITE, HIGH_GPA, 8, 1);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, 2 * PAGE);
    machine_reset(m);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 0);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, 0);
    g_assert_cmpuint(machine_stat(m, "pages-to-private"), ==, 200);
    machine_free(m);
}

/*
 * Images for private pages, of both kinds that loaders have: they are for a
 * launch, which this machine has not. A reset does not bring them back, and is
 * no stray access.
 */
static void test_loader(void)
{
    g_autofree char *image = bios_new();
    g_autofree char *args =
        g_strdup_printf("-device loader,addr=0x1000000,data=0x55,data-len=8 "
                        "-device loader,addr=0x2000000,file=%s,force-raw=on",
                        image);
    Machine *m = machine_new("", args);

    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, 0);
    g_assert_cmpuint(machine_stat(m, "discarded-shared"), >=, RAM_SIZE);
    machine_reset(m);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, 0);
    g_assert_cmpuint(machine_strays(m), ==, 0);
    g_assert(machine_is_in_state(m, "running"));
    machine_free(m);
    g_unlink(image);
}

/* A guest that asks for anything: what is told stays the truth. */
static void test_hostile(void)
{
    Machine *m = machine_new("", "");
    uint64_t shared;
    int i;

    for (i = 0; i < 300; i++) {
        uint64_t gpa = (uint32_t)g_test_rand_int();
        uint64_t npages = (uint32_t)g_test_rand_int();

        gpa <<= g_test_rand_int_range(0, 33);
        if (i % 3) {
            gpa &= -PAGE;
        }
        npages >>= g_test_rand_int_range(0, 32);
        npages <<= g_test_rand_int_range(0, 32);
        machine_convert(m, gpa, npages, g_test_rand_bit());
    }
    shared = machine_stat(m, "shared");
    g_assert_cmpuint(machine_stat(m, "private"), ==, RAM_SIZE - shared);
    g_assert_cmpuint(machine_stat(m, "pages-to-shared") -
                     machine_stat(m, "pages-to-private"), ==, shared / PAGE);
    g_assert_cmpuint(machine_stat(m, "pages-to-shared"), >, 0);
    g_assert_cmpuint(machine_strays(m), ==, 0);
    g_assert(machine_is_in_state(m, "running"));
    machine_free(m);
}

/* Cells as numbers: what, of a cell of query-private-memory-map. */
static uint64_t cell(QDict *map, size_t n, const char *what)
{
    QList *cells = qdict_get_qlist(map, "cells");
    QListEntry *entry = QTAILQ_FIRST(&cells->head);

    while (n--) {
        entry = QTAILQ_NEXT(entry, next);
    }
    return qdict_get_int(qobject_to(QDict, entry->value), what);
}

static void test_cells(void)
{
    Machine *m = machine_new("", "");
    QDict *response, *map;
    char *error;

    machine_convert(m, GiB - PAGE, 2, false);
    machine_convert(m, HIGH_GPA, 1, false);
    machine_cmd(m, TESTDEV_WRITE, HIGH_GPA, 8, 1);

    response = qtest_qmp(m->qts, "{ 'execute': 'query-private-memory-map',"
                         "'arguments': { 'id': 'ram1', 'cells': 3 } }");
    map = qdict_get_qdict(response, "return");
    g_assert_cmpuint(qdict_get_int(map, "cell-size"), ==, GiB);
    g_assert_cmpuint(qlist_size(qdict_get_qlist(map, "cells")), ==, 3);
    g_assert_cmpuint(cell(map, 0, "shared"), ==, PAGE);
    g_assert_cmpuint(cell(map, 0, "private"), ==, GiB - PAGE);
    g_assert_cmpuint(cell(map, 1, "shared"), ==, PAGE);
    g_assert_cmpuint(cell(map, 1, "populated-shared"), ==, 0);
    g_assert_cmpuint(cell(map, 2, "shared"), ==, PAGE);
    g_assert_cmpuint(cell(map, 2, "populated-shared"), ==, PAGE);
    qobject_unref(response);

    /* A number that does not divide: the last cell stands for less. */
    response = qtest_qmp(m->qts, "{ 'execute': 'query-private-memory-map',"
                         "'arguments': { 'id': 'ram1', 'cells': 4096 } }");
    map = qdict_get_qdict(response, "return");
    g_assert_cmpuint(qdict_get_int(map, "cell-size"), ==, 192 * PAGE);
    qobject_unref(response);
    response = qtest_qmp(m->qts, "{ 'execute': 'query-private-memory-map',"
                         "'arguments': { 'id': 'ram1', 'cells': 7 } }");
    map = qdict_get_qdict(response, "return");
    g_assert_cmpuint(cell(map, 6, "private") + cell(map, 6, "shared"), <,
                     qdict_get_int(map, "cell-size"));
    qobject_unref(response);

    error = machine_qmp_error(m, "{ 'execute': 'query-private-memory-map',"
                              "'arguments': { 'id': 'ram2' } }");
    g_assert(strstr(error, "ram2"));
    g_free(error);
    error = machine_qmp_error(m, "{ 'execute': 'query-private-memory-map',"
                              "'arguments': { 'id': 'ram1', 'cells': 0 } }");
    g_assert(strstr(error, "4096"));
    g_free(error);
    error = machine_qmp_error(m, "{ 'execute': 'query-private-memory-map',"
                              "'arguments': { 'id': 'ram1', 'cells': 4097 } }");
    g_assert(strstr(error, "4096"));
    g_free(error);
    machine_free(m);
}

void add_map_tests(void)
{
    qtest_add_func("/private-ram/start", test_start);
    qtest_add_func("/private-ram/convert", test_convert);
    qtest_add_func("/private-ram/clamp", test_clamp);
    qtest_add_func("/private-ram/reset", test_reset);
    qtest_add_func("/private-ram/loader", test_loader);
    qtest_add_func("/private-ram/hostile", test_hostile);
    qtest_add_func("/private-ram/cells", test_cells);
}
