/*
 * Test of the emulated AMD secure processor: PCI function, mailbox,
 * interrupts, options, and the list of tests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "libqos/pci.h"
#include "qapi/qmp/qdict.h"
#include "standard-headers/linux/pci_regs.h"
#include "sev-psp-test.h"

#define BUSY_NS     1000000
#define MSI_DATA    0x12345678

static void test_pci(void)
{
    Psp *p = psp_new("");

    g_assert_cmphex(qpci_config_readw(p->dev, PCI_CLASS_DEVICE), ==, 0x1080);
    g_assert_cmphex(p->regs_size, ==, 0x20000);
    g_assert_cmphex(reg_get(p, REG_FEATURE), ==, 1);
    reg_set(p, REG_FEATURE, 0xffffffff);
    g_assert_cmphex(reg_get(p, REG_FEATURE), ==, 1);
    g_assert_cmphex(reg_get(p, REG_CMDRESP), ==, 0);
    /* An unknown register reads as zero, not as the all ones of no device. */
    g_assert_cmphex(reg_get(p, 0x10000), ==, 0);
    reg_set(p, REG_CMDBUF_LO, 0x11223344);
    reg_set(p, REG_CMDBUF_HI, 0x55667788);
    g_assert_cmphex(reg_get(p, REG_CMDBUF_LO), ==, 0x11223344);
    g_assert_cmphex(reg_get(p, REG_CMDBUF_HI), ==, 0x55667788);
    qpci_msix_enable(p->dev);
    g_assert_cmpuint(qpci_msix_table_size(p->dev), ==, 2);
    psp_free(p);
}

static void msix_setup(Psp *p)
{
    qpci_msix_enable(p->dev);
    qpci_io_writel(p->dev, p->dev->msix_table_bar, p->dev->msix_table_off,
                   MSI_ADDR);
    qpci_io_writel(p->dev, p->dev->msix_table_bar, p->dev->msix_table_off + 4,
                   0);
    qpci_io_writel(p->dev, p->dev->msix_table_bar, p->dev->msix_table_off + 8,
                   MSI_DATA);
    qpci_io_writel(p->dev, p->dev->msix_table_bar, p->dev->msix_table_off + 12,
                   0);
    qtest_writel(p->qts, MSI_ADDR, 0);
}

/* Was the message sent since the last call? */
static bool msi_sent(Psp *p)
{
    uint32_t val = qtest_readl(p->qts, MSI_ADDR);

    g_assert(val == 0 || val == MSI_DATA);
    qtest_writel(p->qts, MSI_ADDR, 0);
    return val;
}

static void test_irq(void)
{
    Psp *p = psp_new("");

    msix_setup(p);
    /* Enabled, but the command does not ask for it. */
    reg_set(p, REG_INTEN, 0xffffffff);
    g_assert_cmpuint(psp_cmd_at(p, CMD_SHUTDOWN, 0, false), ==, OK);
    g_assert_cmphex(reg_get(p, REG_INTSTS), ==, 0);
    g_assert_false(msi_sent(p));
    /* Asked for and enabled; once per command, acknowledged or not. */
    for (int i = 0; i < 2; i++) {
        g_assert_cmpuint(psp_cmd_at(p, CMD_SHUTDOWN, 0, true), ==, OK);
        g_assert_cmphex(reg_get(p, REG_INTSTS), ==, 2);
        g_assert_true(msi_sent(p));
    }
    /* Failed commands complete as well. */
    g_assert_cmpuint(psp_cmd_at(p, 0x7fff, 0, true), ==, INVALID_COMMAND);
    g_assert_true(msi_sent(p));
    /* Write 1 to clear. */
    reg_set(p, REG_INTSTS, 1);
    g_assert_cmphex(reg_get(p, REG_INTSTS), ==, 2);
    reg_set(p, REG_INTSTS, 2);
    g_assert_cmphex(reg_get(p, REG_INTSTS), ==, 0);
    /* Disabled: pending, and sent once when it is enabled. */
    reg_set(p, REG_INTEN, 0);
    g_assert_cmpuint(psp_cmd_at(p, CMD_SHUTDOWN, 0, true), ==, OK);
    g_assert_cmphex(reg_get(p, REG_INTSTS), ==, 2);
    g_assert_false(msi_sent(p));
    reg_set(p, REG_INTEN, 0xffffffff);
    g_assert_true(msi_sent(p));
    reg_set(p, REG_INTEN, 0xffffffff);
    g_assert_false(msi_sent(p));
    psp_free(p);
}

static void test_unknown_commands(void)
{
    static const uint32_t known[][2] = {
        { 0x001, 0x00d }, { 0x020, 0x023 }, { 0x030, 0x036 },
        { 0x040, 0x044 }, { 0x050, 0x053 }, { 0x060, 0x061 },
    };
    Psp *p = psp_new("");

    psp_up(p);
    for (uint32_t id = 0; id < 0x100; id++) {
        bool is_known = false;
        uint32_t ret;

        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
            is_known |= id >= known[i][0] && id <= known[i][1];
        }
        ret = psp_cmd_at(p, id, CMD_BUF, false);
        if (is_known) {
            g_assert_cmpuint(ret, !=, INVALID_COMMAND);
        } else {
            g_assert_cmpuint(ret, ==, INVALID_COMMAND);
        }
    }
    g_assert_cmpuint(psp_cmd_at(p, 0x7fff, CMD_BUF, false), ==,
                     INVALID_COMMAND);
    psp_free(p);
}

static void test_command_buffer(void)
{
    Psp *p = psp_new("");
    static const uint8_t ones[16] = { [0 ... 15] = 0xff };
    uint8_t mem[16], state;
    uint32_t guests;

    qtest_memwrite(p->qts, CMD_BUF, ones, sizeof(ones));
    for (int off = 1; off < 16; off++) {
        g_assert_cmpuint(psp_cmd_at(p, CMD_PLATFORM_STATUS, CMD_BUF + off,
                                    false), ==, INVALID_ADDRESS);
    }
    qtest_memread(p->qts, CMD_BUF, mem, sizeof(mem));
    g_assert_cmpmem(mem, 16, ones, 16);
    /* The last bytes of RAM hold it; one granule on, it does not fit. */
    g_assert_cmpuint(psp_cmd_at(p, CMD_PLATFORM_STATUS, RAM_END - 16, false),
                     ==, OK);
    g_assert_cmpuint(psp_cmd_at(p, CMD_INIT, RAM_END - 16, false), ==,
                     INVALID_ADDRESS);
    g_assert_cmpuint(psp_cmd_at(p, CMD_PLATFORM_STATUS, RAM_END, false), ==,
                     INVALID_ADDRESS);
    g_assert_cmpuint(psp_cmd_at(p, CMD_PLATFORM_STATUS, ~0ULL - 15, false), ==,
                     INVALID_ADDRESS);
    /* Its own registers and the ROM. */
    g_assert_cmpuint(psp_cmd_at(p, CMD_PLATFORM_STATUS,
                                p->regs.addr + 0x10980, false), ==,
                     INVALID_ADDRESS);
    g_assert_cmpuint(psp_cmd_at(p, CMD_PLATFORM_STATUS, 0xfffffff0, false), ==,
                     INVALID_ADDRESS);
    /* The C-bit is not part of the address. */
    g_assert_cmpuint(psp_cmd_at(p, CMD_PLATFORM_STATUS,
                                CMD_BUF | 1ULL << CBITPOS, false), ==, OK);
    qtest_memread(p->qts, CMD_BUF, mem, sizeof(mem));
    g_assert_cmpuint(mem[0], ==, 1);
    g_assert_cmpuint(mem[1], ==, 55);
    /* A buffer that cannot take the answer stops the command itself. */
    psp_up(p);
    g_assert_cmpuint(psp_cmd_at(p, CMD_LAUNCH_START, 0xffff0000, false), ==,
                     INVALID_ADDRESS);
    psp_status(p, &state, &guests);
    g_assert_cmpuint(state, ==, PSTATE_INIT);
    g_assert_cmpuint(guests, ==, 0);
    /* A function that is no bus master cannot reach memory. */
    qpci_config_writew(p->dev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmpuint(psp_cmd_at(p, CMD_PLATFORM_STATUS, CMD_BUF, false), ==,
                     INVALID_ADDRESS);
    psp_free(p);
}

static void test_busy(void)
{
    g_autofree char *log = g_strdup_printf("%s/sev-psp-log-%d",
                                           g_get_tmp_dir(), getpid());
    g_autofree char *args = g_strdup_printf("-d guest_errors -D %s", log);
    g_autofree char *text = NULL;
    Psp *p = psp_new_args(",busy-ns=1000000", args);
    Buf buf = { 0 };

    qtest_memwrite(p->qts, CMD_BUF, &buf, sizeof(buf));
    reg_set(p, REG_CMDBUF_LO, CMD_BUF);
    reg_set(p, REG_CMDRESP, CMD_PLATFORM_STATUS << 16 | 1);
    g_assert_cmphex(reg_get(p, REG_CMDRESP), ==, CMD_PLATFORM_STATUS << 16 | 1);
    /* Neither a second command nor another buffer changes the first one. */
    reg_set(p, REG_CMDBUF_LO, DATA);
    reg_set(p, REG_CMDRESP, 0x7fff << 16);
    qtest_clock_step(p->qts, BUSY_NS - 1);
    g_assert_cmphex(reg_get(p, REG_CMDRESP), ==, CMD_PLATFORM_STATUS << 16 | 1);
    g_assert_cmphex(reg_get(p, REG_INTSTS), ==, 0);
    qtest_clock_step(p->qts, 1);
    g_assert_cmphex(reg_get(p, REG_CMDRESP), ==,
                    0x80000000 | CMD_PLATFORM_STATUS << 16);
    g_assert_cmphex(reg_get(p, REG_INTSTS), ==, 2);
    g_assert_cmpuint(qtest_readb(p->qts, CMD_BUF + 1), ==, 55);
    g_assert_cmpuint(qtest_readb(p->qts, DATA + 1), ==, 0);
    /* A reset while busy forgets the command. */
    reg_set(p, REG_CMDRESP, CMD_SHUTDOWN << 16);
    qobject_unref(qtest_qmp(p->qts, "{'execute': 'system_reset'}"));
    qtest_qmp_eventwait(p->qts, "RESET");
    qtest_clock_step(p->qts, 2 * BUSY_NS);
    qpci_iounmap(p->dev, p->regs);
    p->regs = qpci_iomap(p->dev, 2, NULL);
    qpci_device_enable(p->dev);
    g_assert_cmphex(reg_get(p, REG_CMDRESP), ==, 0);
    /* The response bit makes it no command. */
    reg_set(p, REG_CMDRESP, 0x80000000 | CMD_SHUTDOWN << 16);
    g_assert_cmphex(reg_get(p, REG_CMDRESP), ==, 0);
    psp_free(p);

    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    g_assert_nonnull(strstr(text, "while another is being executed"));
    g_assert_nonnull(strstr(text, "has the response bit set"));
    g_unlink(log);
}

static void refused_with(const char *accel, const char *args,
                         const char *message)
{
    g_autofree char *bios = bios_new();
    /* One that is not refused would run for ever. */
    g_autofree char *line = g_strdup_printf(
        "timeout 30 %s -machine q35 -accel %s -nodefaults -display none"
        " -bios %s %s", getenv("QTEST_QEMU_BINARY"), accel, bios, args);
    g_autofree char *err = NULL;
    int status;

    g_assert_true(g_spawn_command_line_sync(line, NULL, &err, &status, NULL));
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    if (!strstr(err, message)) {
        g_test_message("%s", err);
        g_test_fail();
    }
    g_unlink(bios);
}

static void refused(const char *args, const char *message)
{
    refused_with("qtest", args, message);
}

static void test_options(void)
{
    Psp *p;
    QDict *rsp;

    refused("-device sev-psp,enc=ecb", "Supported: enc=xts");
    refused("-device sev-psp,enc=xts,debug-key=00", "debug-key needs 64");
    refused("-device sev-psp,enc=none,debug-key=00", "need enc=xts");
    refused("-device sev-psp,enc=none,paranoid=on", "need enc=xts");
    refused("-device sev-psp,coherency=lazy", "eager or strict");
    /* The encryption that nobody asked for has its needs, too. */
    refused_with("tcg,thread=multi", "-device sev-psp", "needs -accel tcg");
    refused_with("tcg,thread=multi", "-device sev-psp", "say enc=none");
    refused("-device sev-psp,coherency=strict,enc=none", "needs enc=xts");
    refused("-device sev-psp,enc=xts,paranoid=on,coherency=strict",
            "exclude each other");
    refused("-cpu EPYC,svm=on,npt=on,phys-bits=48,sev-host=on,sme-coherent=on"
            " -device sev-psp,enc=xts,coherency=strict",
            "without sme-coherent=on");
    refused("-device sev-psp -device sev-psp", "at most one sev-psp");
    refused("-smp 2,maxcpus=3 -device sev-psp", "maxcpus must be 2");
    refused("-smp 2,maxcpus=3 -device sev-psp,enc=none", "maxcpus must be 2");
    refused("-device sev-psp,max-guests=0", "from 1 to 4096");
    refused("-device sev-psp,max-guests=4097", "from 1 to 4096");
    refused("-device sev-psp,tek=0011", "tek needs 32");
    refused("-device sev-psp,tik=0011223344556677889900112233445g",
            "tik has a character");
    refused("-device sev-psp,chip-id=00", "chip-id needs 128");
    refused("-device sev-psp,busy-ns=9223372036854775807", "busy-ns");
    refused("-device sev-psp,api-major=256", "api-major");
    refused("-only-migratable -device sev-psp", "cannot be migrated");

    p = psp_new(",enc=none");
    rsp = qtest_qmp(p->qts, "{'execute': 'migrate',"
                    " 'arguments': {'uri': 'exec:cat > /dev/null'}}");
    g_assert_true(qdict_haskey(rsp, "error"));
    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(rsp, "error"),
                                          "desc"), "sev-psp"));
    qobject_unref(rsp);
    psp_free(p);
}

void add_mailbox_tests(void)
{
    qtest_add_func("sev-psp/pci", test_pci);
    qtest_add_func("sev-psp/irq", test_irq);
    qtest_add_func("sev-psp/unknown-commands", test_unknown_commands);
    qtest_add_func("sev-psp/command-buffer", test_command_buffer);
    qtest_add_func("sev-psp/busy", test_busy);
    qtest_add_func("sev-psp/options", test_options);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_mailbox_tests();
    add_platform_tests();
    add_guest_tests();
    add_launch_tests();
    add_encryption_tests();
    add_monitor_tests();
    return g_test_run();
}
