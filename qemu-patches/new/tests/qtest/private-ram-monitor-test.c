/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test of private RAM in a machine: debuggers and the monitor.
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "private-ram-test.h"

/* A shared page with content at SOMEWHERE, and a private one after it. */
static Machine *machine_to_look_at(void)
{
    Machine *m = machine_new("", "");

    machine_convert(m, SOMEWHERE, 1, false);
    machine_cmd(m, TESTDEV_WRITE, SOMEWHERE, 8, 0x1122334455667788);
    return m;
}

/* Looking has no effect. */
static void check_untouched(Machine *m)
{
    g_assert_cmpuint(machine_strays(m), ==, 0);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, PAGE);
    g_assert(machine_is_in_state(m, "running"));
}

static void check_hmp(Machine *m, const char *cmd, const char *want)
{
    g_autofree char *out = qtest_hmp(m->qts, "%s", cmd);

    if (!strstr(out, want)) {
        g_test_message("'%s' says '%s'", cmd, out);
        g_assert_not_reached();
    }
    check_untouched(m);
}

static void test_x(void)
{
    Machine *m = machine_to_look_at();

    check_hmp(m, "xp /1gx 0x1000000", "0x1122334455667788");
    check_hmp(m, "xp /1gx 0x1001000", "private to the guest");
    check_hmp(m, "x /1gx 0x1000000", "0x1122334455667788");
    check_hmp(m, "x /1gx 0x1001000", "private to the guest");
    /* A line over the border of the two */
    check_hmp(m, "xp /2gx 0x1000ff8", "private to the guest");
    check_hmp(m, "x /2gx 0x1000ff8", "private to the guest");
    machine_free(m);
}

static char *temp_name(void)
{
    char *name = g_strdup_printf("%s/private-ram-XXXXXX", g_get_tmp_dir());
    int fd = g_mkstemp(name);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    return name;
}

static void check_save(Machine *m, const char *cmd, char *file)
{
    g_autofree char *content = NULL;
    g_autofree char *error = NULL;
    gsize len;

    qtest_qmp_assert_success(m->qts, "{ 'execute': %s, 'arguments': {"
                             "'val': %lld, 'size': 4096, 'filename': %s } }",
                             cmd, (long long)SOMEWHERE, file);
    g_assert(g_file_get_contents(file, &content, &len, NULL));
    g_assert_cmpuint(len, ==, PAGE);
    g_assert_cmphex((uint8_t)content[0], ==, 0x88);

    error = machine_qmp_error(m, "{ 'execute': %s, 'arguments': {"
                              "'val': %lld, 'size': 8192, 'filename': %s } }",
                              cmd, (long long)SOMEWHERE, file);
    g_assert(strstr(error, "0x1001000") && strstr(error, "private"));
    check_untouched(m);
}

static void test_save(void)
{
    Machine *m = machine_to_look_at();
    g_autofree char *file = temp_name();

    check_save(m, "memsave", file);
    check_save(m, "pmemsave", file);
    g_unlink(file);
    machine_free(m);
}

static void test_refused(void)
{
    Machine *m = machine_to_look_at();
    g_autofree char *error = NULL;

    error = machine_qmp_error(m, "{ 'execute': 'dump-guest-memory',"
                              "'arguments': { 'paging': false,"
                              "'protocol': 'file:/dev/null' } }");
    g_assert(strstr(error, "'ram1' is private"));
    check_hmp(m, "info mem", "'ram1' is private");
    check_hmp(m, "info tlb", "'ram1' is private");
    machine_free(m);
}

/* What is shared by now would be allocated a second time. */
static void test_prealloc(void)
{
    Machine *m = machine_to_look_at();
    g_autofree char *error = machine_qmp_error(m, "{ 'execute': 'qom-set',"
        "'arguments': { 'path': '/objects/ram1', 'property': 'prealloc',"
        "'value': true } }");

    g_assert(strstr(error, "prealloc: for the start only"));
    g_assert_cmpuint(machine_stat(m, "populated-private"), ==, 0);
    check_untouched(m);
    machine_free(m);
}

static void test_info(void)
{
    Machine *m = machine_to_look_at();

    check_hmp(m, "info private-memory", "ram1:");
    check_hmp(m, "info private-memory", "shared: 4 KiB");
    check_hmp(m, "info private-memory", "populated, shared half: 4 KiB");
    check_hmp(m, "info private-memory", "became shared: 1 pages in 1 conv");
    check_hmp(m, "info private-memory", "stray accesses (stop): 0 reads, 0 w");
    machine_free(m);
}

/* A machine without private memory has none of this. */
static void test_without(void)
{
    g_autofree char *bios = bios_new();
    QTestState *qts = qtest_initf("-machine q35 -nodefaults -m 64M -bios %s",
                                  bios);
    QDict *response = qtest_qmp(qts, "{ 'execute': 'query-private-memory' }");
    g_autofree char *out = qtest_hmp(qts, "info private-memory");
    g_autofree char *x = qtest_hmp(qts, "xp /1gx 0x1000");
    g_autofree char *mem = qtest_hmp(qts, "info mem");

    g_assert(qlist_empty(qdict_get_qlist(response, "return")));
    g_assert(strstr(out, "No memory is private"));
    g_assert(strstr(x, "0x0000000000000000"));
    g_assert(!strstr(mem, "private"));
    qobject_unref(response);
    qtest_quit(qts);
    g_unlink(bios);
}

void add_monitor_tests(void)
{
    qtest_add_func("/private-ram/monitor/x", test_x);
    qtest_add_func("/private-ram/monitor/save", test_save);
    qtest_add_func("/private-ram/monitor/refused", test_refused);
    qtest_add_func("/private-ram/monitor/prealloc", test_prealloc);
    qtest_add_func("/private-ram/monitor/info", test_info);
    qtest_add_func("/private-ram/monitor/without", test_without);
}
