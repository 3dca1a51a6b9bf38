/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PCI device for the test of private RAM: it converts pages, and makes them
 * private at a reset, as the accelerator would for a guest, and it accesses
 * memory in every way in which a device model can.
 *
 * For qtest only: a guest that has this device could convert pages behind the
 * back of its accelerator.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "exec/private-ram.h"
#include "hw/misc/private-ram-testdev.h"
#include "hw/pci/pci.h"
#include "qom/object.h"
#include "sysemu/qtest.h"

OBJECT_DECLARE_SIMPLE_TYPE(PrivateRAMTestDev, PRIVATE_RAM_TESTDEV)

struct PrivateRAMTestDev {
    PCIDevice parent_obj;

    MemoryRegion bar;
    uint64_t addr;
    uint64_t len;
    uint64_t data;
    uint64_t result;

    void *map;
    dma_addr_t map_len;
    DMADirection map_dir;

    MemoryRegionCache cache;
};

static const MemTxAttrs attrs = MEMTXATTRS_UNSPECIFIED;

static void convert(PrivateRAMTestDev *s, bool to_private)
{
    Error *err = NULL;
    int ret = private_ram_convert(s->addr, s->len, to_private, &err);

    if (ret < 0) {
        error_report_err(err);
    }
    s->result = -ret;
}

static void access_buffer(PrivateRAMTestDev *s, DMADirection dir)
{
    uint8_t buf[PRIVATE_RAM_PAGE_SIZE];
    size_t len = MIN(s->len, sizeof(buf));

    memset(buf, 0, sizeof(buf));
    if (dir == DMA_DIRECTION_FROM_DEVICE) {
        stq_le_p(buf, s->data);
    }
    s->result = pci_dma_rw(PCI_DEVICE(s), s->addr, buf, len, dir, attrs);
    if (dir == DMA_DIRECTION_TO_DEVICE) {
        s->data = ldq_le_p(buf);
    }
}

static void load(PrivateRAMTestDev *s)
{
    AddressSpace *as = pci_get_address_space(PCI_DEVICE(s));
    MemTxResult result = MEMTX_ERROR;

    switch (s->len) {
    case 1:
        s->data = address_space_ldub(as, s->addr, attrs, &result);
        break;
    case 2:
        s->data = address_space_lduw_le(as, s->addr, attrs, &result);
        break;
    case 4:
        s->data = address_space_ldl_le(as, s->addr, attrs, &result);
        break;
    case 8:
        s->data = address_space_ldq_le(as, s->addr, attrs, &result);
        break;
    }
    s->result = result;
}

static void store(PrivateRAMTestDev *s)
{
    AddressSpace *as = pci_get_address_space(PCI_DEVICE(s));
    MemTxResult result = MEMTX_ERROR;

    switch (s->len) {
    case 1:
        address_space_stb(as, s->addr, s->data, attrs, &result);
        break;
    case 2:
        address_space_stw_le(as, s->addr, s->data, attrs, &result);
        break;
    case 4:
        address_space_stl_le(as, s->addr, s->data, attrs, &result);
        break;
    case 8:
        address_space_stq_le(as, s->addr, s->data, attrs, &result);
        break;
    }
    s->result = result;
}

static void map(PrivateRAMTestDev *s, DMADirection dir)
{
    assert(!s->map);
    s->map_len = s->len;
    s->map_dir = dir;
    s->map = pci_dma_map(PCI_DEVICE(s), s->addr, &s->map_len, dir);
    s->len = s->map ? s->map_len : 0;
    s->data = s->map && dir == DMA_DIRECTION_TO_DEVICE ? ldub_p(s->map) : 0;
    s->result = s->map ? 0 : ENOMEM;
}

static void unmap(PrivateRAMTestDev *s)
{
    if (s->map) {
        pci_dma_unmap(PCI_DEVICE(s), s->map, s->map_len, s->map_dir, s->len);
        s->map = NULL;
    }
    s->result = 0;
}

static void cache(PrivateRAMTestDev *s)
{
    int64_t len = address_space_cache_init(&s->cache,
                                           pci_get_address_space(PCI_DEVICE(s)),
                                           s->addr, s->len, true);

    s->result = len == s->len ? 0 : ENOMEM;
}

static void cache_access(PrivateRAMTestDev *s, bool is_write)
{
    MemTxResult result = MEMTX_OK;
    uint8_t buf[2];

    if (is_write) {
        address_space_stw_le_cached(&s->cache, s->addr, s->data, attrs,
                                    &result);
        s->result = result;
        return;
    }
    s->data = address_space_lduw_le_cached(&s->cache, s->addr, attrs, &result);
    s->result = result |
                address_space_read_cached(&s->cache, s->addr, buf, sizeof(buf));
    assert(lduw_le_p(buf) == s->data);
}

static void uncache(PrivateRAMTestDev *s)
{
    address_space_cache_destroy(&s->cache);
    s->result = 0;
}

static void command(PrivateRAMTestDev *s, uint64_t cmd)
{
    switch (cmd) {
    case TESTDEV_TO_PRIVATE:
        return convert(s, true);
    case TESTDEV_TO_SHARED:
        return convert(s, false);
    case TESTDEV_READ:
        return access_buffer(s, DMA_DIRECTION_TO_DEVICE);
    case TESTDEV_WRITE:
        return access_buffer(s, DMA_DIRECTION_FROM_DEVICE);
    case TESTDEV_LOAD:
        return load(s);
    case TESTDEV_STORE:
        return store(s);
    case TESTDEV_MAP_READ:
        return map(s, DMA_DIRECTION_TO_DEVICE);
    case TESTDEV_MAP_WRITE:
        return map(s, DMA_DIRECTION_FROM_DEVICE);
    case TESTDEV_TOUCH:
        stb_p((uint8_t *)s->map + s->map_len - 1, s->data);
        return;
    case TESTDEV_UNMAP:
        return unmap(s);
    case TESTDEV_CACHE:
        return cache(s);
    case TESTDEV_CACHE_LOAD:
        return cache_access(s, false);
    case TESTDEV_CACHE_STORE:
        return cache_access(s, true);
    case TESTDEV_UNCACHE:
        return uncache(s);
    }
    s->result = EINVAL;
}

static uint64_t *testdev_register(PrivateRAMTestDev *s, hwaddr addr)
{
    switch (addr) {
    case PRIVATE_RAM_TESTDEV_ADDR:
        return &s->addr;
    case PRIVATE_RAM_TESTDEV_LEN:
        return &s->len;
    case PRIVATE_RAM_TESTDEV_DATA:
        return &s->data;
    case PRIVATE_RAM_TESTDEV_RESULT:
        return &s->result;
    }
    return NULL;
}

static uint64_t testdev_read(void *opaque, hwaddr addr, unsigned size)
{
    uint64_t *reg = testdev_register(opaque, addr);

    return reg ? *reg : 0;
}

static void testdev_write(void *opaque, hwaddr addr, uint64_t val,
                          unsigned size)
{
    uint64_t *reg = testdev_register(opaque, addr);

    if (reg) {
        *reg = val;
    } else if (addr == PRIVATE_RAM_TESTDEV_CMD) {
        command(opaque, val);
    }
}

static const MemoryRegionOps testdev_ops = {
    .read = testdev_read,
    .write = testdev_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 8,
        .max_access_size = 8,
    },
    .impl = {
        .min_access_size = 8,
        .max_access_size = 8,
    },
};

static void testdev_realize(PCIDevice *dev, Error **errp)
{
    PrivateRAMTestDev *s = PRIVATE_RAM_TESTDEV(dev);

    if (!qtest_enabled()) {
        error_setg(errp, TYPE_PRIVATE_RAM_TESTDEV " is for -accel qtest only");
        return;
    }
    memory_region_init_io(&s->bar, OBJECT(s), &testdev_ops, s,
                          TYPE_PRIVATE_RAM_TESTDEV, 0x1000);
    pci_register_bar(dev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY, &s->bar);
}

/* With KVM this is the accelerator's. */
static void testdev_reset(DeviceState *dev)
{
    private_ram_reset_all(&error_abort);
}

static void testdev_exit(PCIDevice *dev)
{
    PrivateRAMTestDev *s = PRIVATE_RAM_TESTDEV(dev);

    s->len = 0;
    unmap(s);
    uncache(s);
}

static void testdev_class_init(ObjectClass *oc, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(oc);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);

    pc->realize = testdev_realize;
    pc->exit = testdev_exit;
    pc->vendor_id = PRIVATE_RAM_TESTDEV_VENDOR;
    pc->device_id = PRIVATE_RAM_TESTDEV_DEVICE;
    pc->class_id = PCI_CLASS_OTHERS;
    dc->reset = testdev_reset;
    dc->desc = "Test device of private RAM (qtest)";
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo testdev_info = {
    .name = TYPE_PRIVATE_RAM_TESTDEV,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(PrivateRAMTestDev),
    .class_init = testdev_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_CONVENTIONAL_PCI_DEVICE },
        { },
    },
};

static void register_types(void)
{
    type_register_static(&testdev_info);
}

type_init(register_types);
