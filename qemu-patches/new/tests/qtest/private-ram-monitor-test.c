/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test of private RAM in a machine: debuggers and the monitor.
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "standard-headers/linux/virtio_pci.h"
#include "private-ram-test.h"

#define VIRTIO_VENDOR   0x1af4

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

static void test_sum(void)
{
    Machine *m = machine_to_look_at();

    check_hmp(m, "sum 0x1000000 8", "44098");
    check_hmp(m, "sum 0x1000ff8 16", "at 0x1001000: it is private");
    machine_free(m);
}

/* Paging is off: every address is mapped. */
static void test_addresses(void)
{
    Machine *m = machine_to_look_at();

    check_hmp(m, "gva2gpa 0x1001008", "gpa: 0x1001008");
    check_hmp(m, "gpa2hva 0x1001008", "Host virtual address for 0x1001008");
    check_hmp(m, "gpa2hpa 0x1000008", "Host physical address for 0x1000008");
    check_hmp(m, "gpa2hpa 0x1001008", "0x1001008 is private to the guest");
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

/* Sampling would be all over memory, by a thread. */
static void test_dirty_rate(void)
{
    static const char *const modes[] = { "page-sampling", "dirty-bitmap" };
    Machine *m = machine_to_look_at();
    size_t i;

    for (i = 0; i < ARRAY_SIZE(modes); i++) {
        g_autofree char *error = machine_qmp_error(m,
            "{ 'execute': 'calc-dirty-rate',"
            "'arguments': { 'calc-time': 1, 'mode': %s } }", modes[i]);

        g_assert(strstr(error, "calc-dirty-rate: the memory of 'ram1' is"));
    }
    check_hmp(m, "calc_dirty_rate 1", "'ram1' is private");
    check_hmp(m, "info dirty_rate", "Status: unstarted");
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

static void save_virtio(QPCIDevice *dev, int devfn, void *data)
{
    QPCIDevice **out = data;

    *out = dev;
}

static QPCIDevice *find_virtio(Machine *m)
{
    QPCIDevice *dev = NULL;

    qpci_device_foreach(m->bus, VIRTIO_VENDOR, -1, save_virtio,
                        &dev);
    g_assert_nonnull(dev);
    return dev;
}

/* The queue's second page holds what the device writes. */
static void test_virtqueue(void)
{
    static const char query[] = "{ 'execute': 'x-query-virtio-queue-element',"
        "'arguments': { 'path': '/machine/peripheral/rng0/virtio-backend',"
        "'queue': 0 } }";
    Machine *m = machine_new("", "-device virtio-rng-pci,id=rng0,"
                             "disable-modern=on,disable-legacy=off");
    g_autofree QPCIDevice *dev = find_virtio(m);
    g_autofree char *error = NULL;
    QPCIBar regs;

    qpci_device_enable(dev);
    regs = qpci_iomap(dev, 0, NULL);
    qpci_io_writew(dev, regs, VIRTIO_PCI_QUEUE_SEL, 0);
    qpci_io_writel(dev, regs, VIRTIO_PCI_QUEUE_PFN, SOMEWHERE / PAGE);
    machine_convert(m, SOMEWHERE, 1, false);
    error = machine_qmp_error(m, query);
    g_assert(strstr(error, "The queue is in memory that is private"));
    g_assert_cmpuint(machine_strays(m), ==, 0);
    g_assert(machine_is_in_state(m, "running"));
    machine_convert(m, SOMEWHERE + PAGE, 1, false);
    qtest_qmp_assert_success(m->qts, query);
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
    qtest_add_func("/private-ram/monitor/sum", test_sum);
    qtest_add_func("/private-ram/monitor/addresses", test_addresses);
    qtest_add_func("/private-ram/monitor/save", test_save);
    qtest_add_func("/private-ram/monitor/refused", test_refused);
    qtest_add_func("/private-ram/monitor/dirty-rate", test_dirty_rate);
    qtest_add_func("/private-ram/monitor/prealloc", test_prealloc);
    qtest_add_func("/private-ram/monitor/virtqueue", test_virtqueue);
    qtest_add_func("/private-ram/monitor/info", test_info);
    qtest_add_func("/private-ram/monitor/without", test_without);
}
