/*
 * Test of the emulated AMD secure processor: the machine and the mailbox.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include <glib/gstdio.h>
#include "sev-psp-test.h"

static void save_dev(QPCIDevice *dev, int devfn, void *data)
{
    QPCIDevice **out = data;

    g_assert_null(*out);
    *out = dev;
}

char *bios_new(void)
{
    static const char zeroes[64 * 1024];
    char *name = g_strdup_printf("%s/sev-psp-bios-XXXXXX", g_get_tmp_dir());
    int fd = g_mkstemp(name);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, zeroes, sizeof(zeroes)), ==, sizeof(zeroes));
    close(fd);
    return name;
}

Psp *psp_new_args(const char *opts, const char *args)
{
    Psp *p = g_new0(Psp, 1);

    p->bios = bios_new();
    p->qts = qtest_initf("-machine q35 -nodefaults -m %dM -bios %s %s "
                         "-device sev-psp,id=psp%s", RAM_MB, p->bios, args,
                         opts);
    p->bus = qpci_new_pc(p->qts, NULL);
    qpci_device_foreach(p->bus, 0x1022, 0x14ca, save_dev, &p->dev);
    g_assert_nonnull(p->dev);
    p->regs = qpci_iomap(p->dev, 2, &p->regs_size);
    qpci_device_enable(p->dev);
    return p;
}

Psp *psp_new(const char *opts)
{
    return psp_new_args(opts, "");
}

void psp_free(Psp *p)
{
    g_free(p->dev);
    qpci_free_pc(p->bus);
    qtest_quit(p->qts);
    g_unlink(p->bios);
    g_free(p->bios);
    g_free(p);
}

uint32_t reg_get(Psp *p, uint32_t reg)
{
    return qpci_io_readl(p->dev, p->regs, reg);
}

void reg_set(Psp *p, uint32_t reg, uint32_t val)
{
    qpci_io_writel(p->dev, p->regs, reg, val);
}

void put32(Buf *buf, unsigned off, uint32_t val)
{
    stl_le_p(buf->b + off, val);
}

void put64(Buf *buf, unsigned off, uint64_t val)
{
    stq_le_p(buf->b + off, val);
}

uint32_t get32(const Buf *buf, unsigned off)
{
    return ldl_le_p(buf->b + off);
}

uint32_t psp_cmd_at(Psp *p, uint32_t id, uint64_t buf_pa, bool ioc)
{
    uint32_t resp;

    reg_set(p, REG_CMDBUF_LO, buf_pa);
    reg_set(p, REG_CMDBUF_HI, buf_pa >> 32);
    reg_set(p, REG_CMDRESP, id << 16 | ioc);
    resp = reg_get(p, REG_CMDRESP);
    g_assert_cmphex(resp >> 16, ==, 0x8000 | id);
    return resp & 0xffff;
}

uint32_t psp_cmd(Psp *p, uint32_t id, Buf *buf)
{
    uint32_t ret;

    if (!buf) {
        return psp_cmd_at(p, id, 0, false);
    }
    qtest_memwrite(p->qts, CMD_BUF, buf, sizeof(*buf));
    ret = psp_cmd_at(p, id, CMD_BUF, false);
    qtest_memread(p->qts, CMD_BUF, buf, sizeof(*buf));
    return ret;
}

void psp_wbinvd_all(Psp *p, bool done)
{
    qtest_qom_set_bool(p->qts, "/machine/peripheral/psp", "x-wbinvd-all", done);
}

uint32_t psp_init(Psp *p)
{
    Buf buf = { 0 };

    return psp_cmd(p, CMD_INIT, &buf);
}

void psp_flush(Psp *p)
{
    psp_wbinvd_all(p, true);
    g_assert_cmpuint(psp_cmd(p, CMD_DF_FLUSH, NULL), ==, OK);
}

void psp_up(Psp *p)
{
    g_assert_cmpuint(psp_init(p), ==, OK);
    psp_flush(p);
}

void psp_status(Psp *p, uint8_t *state, uint32_t *guests)
{
    Buf buf = { 0 };

    g_assert_cmpuint(psp_cmd(p, CMD_PLATFORM_STATUS, &buf), ==, OK);
    *state = buf.b[2];
    *guests = get32(&buf, 8);
}

uint32_t launch_start(Psp *p, uint32_t policy)
{
    Buf buf = { 0 };

    put32(&buf, 4, policy);
    g_assert_cmpuint(psp_cmd(p, CMD_LAUNCH_START, &buf), ==, OK);
    g_assert_cmpuint(get32(&buf, 0), !=, 0);
    return get32(&buf, 0);
}

uint32_t handle_cmd(Psp *p, uint32_t id, uint32_t handle)
{
    Buf buf = { 0 };

    put32(&buf, 0, handle);
    return psp_cmd(p, id, &buf);
}

uint32_t activate(Psp *p, uint32_t handle, uint32_t asid)
{
    Buf buf = { 0 };

    put32(&buf, 0, handle);
    put32(&buf, 4, asid);
    return psp_cmd(p, CMD_ACTIVATE, &buf);
}

uint32_t update_data(Psp *p, uint32_t handle, uint64_t pa, uint32_t len)
{
    Buf buf = { 0 };

    put32(&buf, 0, handle);
    put64(&buf, 8, pa);
    put32(&buf, 16, len);
    return psp_cmd(p, CMD_LAUNCH_UPDATE_DATA, &buf);
}

uint32_t measure(Psp *p, uint32_t handle, uint8_t out[48])
{
    Buf buf = { 0 };
    uint32_t ret;

    put32(&buf, 0, handle);
    put64(&buf, 8, DATA2);
    put32(&buf, 16, 48);
    ret = psp_cmd(p, CMD_LAUNCH_MEASURE, &buf);
    qtest_memread(p->qts, DATA2, out, 48);
    return ret;
}

uint32_t dbg(Psp *p, uint32_t id, uint32_t handle, uint64_t src, uint64_t dst,
             uint32_t len)
{
    Buf buf = { 0 };

    put32(&buf, 0, handle);
    put64(&buf, 8, src);
    put64(&buf, 16, dst);
    put32(&buf, 24, len);
    return psp_cmd(p, id, &buf);
}
