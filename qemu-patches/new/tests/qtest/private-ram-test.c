/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test of private RAM in a machine: the machine.
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "private-ram-test.h"

char *bios_new(void)
{
    static const char zeroes[64 * KiB];
    char *name = g_strdup_printf("%s/private-ram-bios-XXXXXX",
                                 g_get_tmp_dir());
    int fd = g_mkstemp(name);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, zeroes, sizeof(zeroes)), ==, sizeof(zeroes));
    close(fd);
    return name;
}

static void save_dev(QPCIDevice *dev, int devfn, void *data)
{
    QPCIDevice **out = data;

    g_assert_null(*out);
    *out = dev;
}

/* A reset moves the BAR away, and the device stays. */
static void find_device(Machine *m)
{
    m->bus = qpci_new_pc(m->qts, NULL);
    qpci_device_foreach(m->bus, PRIVATE_RAM_TESTDEV_VENDOR,
                        PRIVATE_RAM_TESTDEV_DEVICE, save_dev, &m->dev);
    g_assert_nonnull(m->dev);
    qpci_device_enable(m->dev);
    m->regs = qpci_iomap(m->dev, 0, NULL);
}

static void forget_device(Machine *m)
{
    g_free(m->dev);
    m->dev = NULL;
    qpci_free_pc(m->bus);
}

Machine *machine_new_of(const char *type, const char *backend_args,
                        const char *args)
{
    Machine *m = g_new0(Machine, 1);

    m->bios = bios_new();
    m->qts = qtest_initf("-machine %s,memory-backend=ram1 -nodefaults -m 3G "
                         "-object memory-backend-memfd-private,id=ram1,size=3G"
                         "%s -device private-ram-testdev,id=dev0 -bios %s %s",
                         type, backend_args, m->bios, args);
    find_device(m);
    return m;
}

Machine *machine_new(const char *backend_args, const char *args)
{
    return machine_new_of("q35", backend_args, args);
}

void machine_free(Machine *m)
{
    forget_device(m);
    qtest_quit(m->qts);
    g_unlink(m->bios);
    g_free(m->bios);
    g_free(m);
}

void machine_reset(Machine *m)
{
    forget_device(m);
    qtest_qmp_assert_success(m->qts, "{ 'execute': 'system_reset' }");
    qtest_qmp_eventwait(m->qts, "RESET");
    find_device(m);
}

static void set_reg(Machine *m, uint64_t reg, uint64_t val)
{
    qpci_io_writeq(m->dev, m->regs, reg, val);
}

static uint64_t get_reg(Machine *m, uint64_t reg)
{
    return qpci_io_readq(m->dev, m->regs, reg);
}

uint64_t machine_cmd(Machine *m, uint64_t cmd, uint64_t addr, uint64_t len,
                     uint64_t data)
{
    set_reg(m, PRIVATE_RAM_TESTDEV_ADDR, addr);
    set_reg(m, PRIVATE_RAM_TESTDEV_LEN, len);
    set_reg(m, PRIVATE_RAM_TESTDEV_DATA, data);
    set_reg(m, PRIVATE_RAM_TESTDEV_CMD, cmd);
    return get_reg(m, PRIVATE_RAM_TESTDEV_RESULT);
}

uint64_t machine_data(Machine *m)
{
    return get_reg(m, PRIVATE_RAM_TESTDEV_DATA);
}

uint64_t machine_len(Machine *m)
{
    return get_reg(m, PRIVATE_RAM_TESTDEV_LEN);
}

void machine_convert(Machine *m, uint64_t gpa, uint64_t npages,
                     bool to_private)
{
    g_assert_cmpuint(machine_cmd(m, to_private ? TESTDEV_TO_PRIVATE
                                               : TESTDEV_TO_SHARED,
                                 gpa, npages, 0), ==, 0);
}

static QDict *backend_info(Machine *m)
{
    QDict *response, *info;
    QList *list;

    response = qtest_qmp(m->qts, "{ 'execute': 'query-private-memory' }");
    list = qdict_get_qlist(response, "return");
    g_assert(list && qlist_size(list) == 1);
    info = qobject_to(QDict, qlist_peek(list));
    g_assert_cmpstr(qdict_get_str(info, "id"), ==, "ram1");
    qobject_ref(info);
    qobject_unref(response);
    return info;
}

uint64_t machine_stat(Machine *m, const char *name)
{
    QDict *info = backend_info(m);
    QNum *num = qobject_to(QNum, qdict_get(info, name));
    uint64_t value;

    g_assert_nonnull(num);
    value = qnum_get_uint(num);
    qobject_unref(info);
    return value;
}

QDict *machine_last_stray(Machine *m)
{
    QDict *info = backend_info(m);
    QDict *stray = qdict_get_qdict(info, "last-stray");

    qobject_ref(stray);
    qobject_unref(info);
    return stray;
}

uint64_t machine_strays(Machine *m)
{
    return machine_stat(m, "stray-reads") + machine_stat(m, "stray-writes");
}

char *machine_qmp_error(Machine *m, const char *cmd, ...)
{
    QDict *response, *error;
    char *text;
    va_list ap;

    va_start(ap, cmd);
    response = qtest_vqmp(m->qts, cmd, ap);
    va_end(ap);
    error = qdict_get_qdict(response, "error");
    g_assert_nonnull(error);
    text = g_strdup(qdict_get_str(error, "desc"));
    qobject_unref(response);
    return text;
}

bool machine_is_in_state(Machine *m, const char *state)
{
    QDict *response = qtest_qmp(m->qts, "{ 'execute': 'query-status' }");
    QDict *status = qdict_get_qdict(response, "return");
    bool is = g_str_equal(qdict_get_str(status, "status"), state);

    qobject_unref(response);
    return is;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_map_tests();
    add_remap_tests();
    add_dma_tests();
    add_monitor_tests();
    return g_test_run();
}
