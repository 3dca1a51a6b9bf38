/*
 * Emulated AMD Platform Security Processor (PSP), SEV part only: the PCI
 * function with its mailbox. The commands are in sev-psp-cmd.c and
 * sev-psp-guest.c.
 *
 * The host writes the physical address of a command buffer and then the
 * command register; the device runs the command, reports its status in the
 * same register and, if asked, raises MSI-X vector 0.
 *
 * Locking: registers are accessed with the big QEMU lock held, and the
 * completion timer runs under it.
 *
 * Lifetime: the device is not hotpluggable; guest contexts go away with a
 * reset. It cannot be migrated: the keys and guest contexts have no wire
 * format.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "hw/boards.h"
#include "hw/pci/msix.h"
#include "hw/qdev-properties.h"
#include "migration/blocker.h"
#include "sysemu/qtest.h"
#include "sev-psp-internal.h"
#include "trace.h"

#define SEV_PSP_GUESTS_LIMIT    4096

static void sev_psp_notify(SevPspState *s)
{
    if (s->intsts & s->inten) {
        trace_sev_psp_irq(s->intsts, s->inten);
        msix_notify(PCI_DEVICE(s), 0);
    }
}

static void sev_psp_complete(SevPspState *s)
{
    uint32_t id = (s->cmdresp >> SEV_PSP_CMDRESP_SHIFT) &
                  SEV_PSP_CMDRESP_ID_MASK;
    bool ioc = s->cmdresp & SEV_PSP_CMDRESP_IOC;
    uint32_t status = sev_psp_run_command(s, id, s->busy_buf);

    s->cmdresp = SEV_PSP_CMDRESP_RESP | (id << SEV_PSP_CMDRESP_SHIFT) | status;
    s->busy = false;
    if (ioc) {
        s->intsts |= SEV_PSP_INT_CMD_DONE;
        sev_psp_notify(s);
    }
}

static void sev_psp_busy_timer(void *opaque)
{
    sev_psp_complete(opaque);
}

static void sev_psp_write_cmdresp(SevPspState *s, uint32_t val)
{
    if (s->busy) {
        qemu_log_mask(LOG_GUEST_ERROR, "sev-psp: command 0x%" PRIx32
                      " written while another is being executed: ignored\n",
                      val);
        return;
    }
    if (val & SEV_PSP_CMDRESP_RESP) {
        qemu_log_mask(LOG_GUEST_ERROR, "sev-psp: command 0x%" PRIx32
                      " has the response bit set: ignored\n", val);
        return;
    }
    s->cmdresp = val;
    s->busy = true;
    s->busy_buf = ((uint64_t)s->buf_hi << 32) | s->buf_lo;
    if (s->busy_ns) {
        timer_mod(s->busy_timer,
                  qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + s->busy_ns);
    } else {
        sev_psp_complete(s);
    }
}

static uint64_t sev_psp_mmio_read(void *opaque, hwaddr addr, unsigned size)
{
    SevPspState *s = opaque;
    uint32_t val = 0;

    switch (addr) {
    case SEV_PSP_REG_FEATURE:
        val = SEV_PSP_FEATURE_SEV;
        break;
    case SEV_PSP_REG_INTEN:
        val = s->inten;
        break;
    case SEV_PSP_REG_INTSTS:
        val = s->intsts;
        break;
    case SEV_PSP_REG_CMDRESP:
        val = s->cmdresp;
        break;
    case SEV_PSP_REG_CMDBUF_LO:
        val = s->buf_lo;
        break;
    case SEV_PSP_REG_CMDBUF_HI:
        val = s->buf_hi;
        break;
    default:
        if (!sev_psp_counter_read(s, addr, &val)) {
            qemu_log_mask(LOG_GUEST_ERROR, "sev-psp: read of unknown register"
                          " 0x%" HWADDR_PRIx "\n", addr);
        }
        break;
    }
    trace_sev_psp_mmio_read(addr, val);
    return val;
}

static void sev_psp_mmio_write(void *opaque, hwaddr addr, uint64_t val,
                               unsigned size)
{
    SevPspState *s = opaque;
    uint32_t enabled;

    trace_sev_psp_mmio_write(addr, val);
    switch (addr) {
    case SEV_PSP_REG_INTEN:
        enabled = val & ~s->inten;
        s->inten = val;
        /* What is pending is signalled once, when it becomes enabled. */
        if (enabled & s->intsts) {
            sev_psp_notify(s);
        }
        break;
    case SEV_PSP_REG_INTSTS:
        s->intsts &= ~val;
        break;
    case SEV_PSP_REG_CMDRESP:
        sev_psp_write_cmdresp(s, val);
        break;
    case SEV_PSP_REG_CMDBUF_LO:
        s->buf_lo = val;
        break;
    case SEV_PSP_REG_CMDBUF_HI:
        s->buf_hi = val;
        break;
    default:
        qemu_log_mask(LOG_GUEST_ERROR, "sev-psp: write of 0x%" PRIx64
                      " to unknown register 0x%" HWADDR_PRIx "\n", val, addr);
        break;
    }
}

static const MemoryRegionOps sev_psp_ops = {
    .read = sev_psp_mmio_read,
    .write = sev_psp_mmio_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 4 },
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

static void sev_psp_reset(DeviceState *dev)
{
    SevPspState *s = SEV_PSP(dev);

    timer_del(s->busy_timer);
    s->busy = false;
    s->inten = s->intsts = 0;
    s->cmdresp = s->buf_lo = s->buf_hi = 0;
    sev_psp_reset_firmware(s);
    sev_enc_reset();
}

/* Fills @out from a hex string of exactly its length, or leaves it as it is. */
static bool sev_psp_parse_hex(const char *name, const char *hex, uint8_t *out,
                              size_t len, Error **errp)
{
    if (!hex) {
        return true;
    }
    if (strlen(hex) != 2 * len) {
        error_setg(errp, "sev-psp: %s needs %zu hexadecimal digits", name,
                   2 * len);
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        int hi = g_ascii_xdigit_value(hex[2 * i]);
        int lo = g_ascii_xdigit_value(hex[2 * i + 1]);

        if (hi < 0 || lo < 0) {
            error_setg(errp, "sev-psp: %s has a character that is not a"
                       " hexadecimal digit", name);
            return false;
        }
        out[i] = hi << 4 | lo;
    }
    return true;
}

static bool sev_psp_check_encryption(SevPspState *s, Error **errp)
{
    s->encrypts = !s->enc || !strcmp(s->enc, "xts");
    if (!s->encrypts && strcmp(s->enc, "none")) {
        error_setg(errp, "sev-psp: enc=%s is not supported", s->enc);
        error_append_hint(errp, "Supported: enc=xts (the default), enc=none"
                          " (guest memory is not encrypted).\n");
        return false;
    }
    if (!s->encrypts && (s->debug_key_hex || s->paranoid)) {
        error_setg(errp, "sev-psp: debug-key and paranoid need enc=xts");
        return false;
    }
    return true;
}

static bool sev_psp_check_coherency(SevPspState *s, Error **errp)
{
    const char *problem = NULL;
    SevEmuParams params;

    s->strict = s->coherency && !strcmp(s->coherency, "strict");
    if (s->coherency && !s->strict && strcmp(s->coherency, "eager")) {
        problem = "is not supported: eager or strict";
    } else if (s->strict && !s->encrypts) {
        problem = "needs enc=xts";
    } else if (s->strict && s->paranoid) {
        problem = "and paranoid=on exclude each other";
    } else if (s->strict && sev_emu_params(&params) && params.coherent) {
        problem = "models CPUs without sme-coherent=on";
    }
    if (problem) {
        error_setg(errp, "sev-psp: coherency=%s %s", s->coherency, problem);
        return false;
    }
    return true;
}

static bool sev_psp_check_properties(SevPspState *s, Error **errp)
{
    if (!sev_psp_check_encryption(s, errp) ||
        !sev_psp_check_coherency(s, errp)) {
        return false;
    }
    if (s->max_guests < 1 || s->max_guests > SEV_PSP_GUESTS_LIMIT) {
        error_setg(errp, "sev-psp: max-guests must be from 1 to %d",
                   SEV_PSP_GUESTS_LIMIT);
        return false;
    }
    if (s->busy_ns > INT64_MAX / 2) {
        error_setg(errp, "sev-psp: busy-ns is too large");
        return false;
    }
    for (int i = 0; i < SEV_PSP_ID_LEN; i++) {
        s->chip_id[i] = i;
    }
    return sev_psp_parse_hex("tek", s->tek_hex, s->tek, sizeof(s->tek), errp) &&
           sev_psp_parse_hex("tik", s->tik_hex, s->tik, sizeof(s->tik), errp) &&
           sev_psp_parse_hex("chip-id", s->chip_id_hex, s->chip_id,
                             sizeof(s->chip_id), errp) &&
           sev_psp_parse_hex("debug-key", s->debug_key_hex, s->debug_key,
                             sizeof(s->debug_key), errp);
}

/* Which CPUs owe a flush is known only when they are there from the start. */
static bool sev_psp_check_cpus(Error **errp)
{
    const CpuTopology *smp = &MACHINE(qdev_get_machine())->smp;

    if (smp->max_cpus > smp->cpus) {
        error_setg(errp, "sev-psp: CPUs cannot be plugged in later: maxcpus"
                   " must be %u, as many as there are", smp->cpus);
        return false;
    }
    return true;
}

static void sev_psp_realize(PCIDevice *pdev, Error **errp)
{
    SevPspState *s = SEV_PSP(pdev);
    bool ambiguous = false;

    object_resolve_path_type("", TYPE_SEV_PSP, &ambiguous);
    if (ambiguous) {
        error_setg(errp, "at most one %s device is permitted", TYPE_SEV_PSP);
        return;
    }
    if (!sev_psp_check_cpus(errp) || !sev_psp_check_properties(s, errp)) {
        return;
    }
    if (s->encrypts && !sev_enc_enable(OBJECT(s), s->paranoid, errp)) {
        return;
    }
    if (s->strict) {
        sev_enc_enable_strict(pci_get_address_space(pdev));
    }
    if (!sev_check_enable(&s->check, errp)) {
        return;
    }
    error_setg(&s->migration_blocker, "The guest contexts and keys of a "
               TYPE_SEV_PSP " device cannot be migrated");
    if (migrate_add_blocker(s->migration_blocker, errp) < 0) {
        goto err_blocker;
    }
    if (msix_init_exclusive_bar(pdev, SEV_PSP_MSIX_VECTORS, SEV_PSP_MSIX_BAR,
                                errp) < 0) {
        goto err_msix;
    }
    msix_vector_use(pdev, 0);

    memory_region_init_io(&s->regs, OBJECT(s), &sev_psp_ops, s, TYPE_SEV_PSP,
                          SEV_PSP_REGS_SIZE);
    pci_register_bar(pdev, SEV_PSP_REGS_BAR, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->regs);
    s->busy_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, sev_psp_busy_timer, s);
    s->guests = g_hash_table_new_full(NULL, NULL, NULL, sev_psp_guest_free);
    return;

err_msix:
    migrate_del_blocker(s->migration_blocker);
err_blocker:
    error_free(s->migration_blocker);
    s->migration_blocker = NULL;
}

static void sev_psp_exit(PCIDevice *pdev)
{
    SevPspState *s = SEV_PSP(pdev);

    sev_psp_reset_firmware(s);
    g_hash_table_destroy(s->guests);
    timer_free(s->busy_timer);
    msix_vector_unuse(pdev, 0);
    msix_uninit_exclusive_bar(pdev);
    migrate_del_blocker(s->migration_blocker);
    error_free(s->migration_blocker);
}

/* A qtest has no CPU that could execute WBINVD; it writes this instead. */
static void sev_psp_set_wbinvd_all(Object *obj, bool value, Error **errp)
{
    CPUState *cs;

    if (!value) {
        sev_emu_wbinvd_rearm();
        return;
    }
    CPU_FOREACH(cs) {
        sev_emu_wbinvd_done(cs);
    }
}

static bool sev_psp_get_wbinvd_all(Object *obj, Error **errp)
{
    return sev_emu_wbinvd_done_on_all();
}

static void sev_psp_instance_init(Object *obj)
{
    if (qtest_enabled()) {
        object_property_add_bool(obj, "x-wbinvd-all", sev_psp_get_wbinvd_all,
                                 sev_psp_set_wbinvd_all);
    }
}

static Property sev_psp_properties[] = {
    DEFINE_PROP_STRING("enc", SevPspState, enc),
    DEFINE_PROP_STRING("debug-key", SevPspState, debug_key_hex),
    DEFINE_PROP_BOOL("paranoid", SevPspState, paranoid, false),
    DEFINE_PROP_STRING("check", SevPspState, check.what),
    DEFINE_PROP_STRING("check-text", SevPspState, check.text),
    DEFINE_PROP_STRING("check-json", SevPspState, check.json),
    DEFINE_PROP_STRING("check-maps", SevPspState, check.maps),
    DEFINE_PROP_UINT8("api-major", SevPspState, api_major, 1),
    DEFINE_PROP_UINT8("api-minor", SevPspState, api_minor, 55),
    DEFINE_PROP_UINT8("build", SevPspState, build, 24),
    DEFINE_PROP_STRING("coherency", SevPspState, coherency),
    DEFINE_PROP_STRING("tek", SevPspState, tek_hex),
    DEFINE_PROP_STRING("tik", SevPspState, tik_hex),
    DEFINE_PROP_STRING("chip-id", SevPspState, chip_id_hex),
    DEFINE_PROP_UINT32("max-guests", SevPspState, max_guests, 512),
    DEFINE_PROP_UINT64("busy-ns", SevPspState, busy_ns, 0),
    DEFINE_PROP_END_OF_LIST(),
};

static void sev_psp_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);

    k->realize = sev_psp_realize;
    k->exit = sev_psp_exit;
    k->vendor_id = PCI_VENDOR_ID_AMD;
    k->device_id = PCI_DEVICE_ID_AMD_PSP_GENOA;
    k->class_id = PCI_CLASS_CRYPT_OTHER;
    dc->reset = sev_psp_reset;
    dc->hotpluggable = false;
    dc->desc = "AMD Platform Security Processor for SEV (emulated)";
    device_class_set_props(dc, sev_psp_properties);
    object_class_property_set_description(klass, "enc",
        "memory encryption: none (guest memory is plain text), xts");
    object_class_property_set_description(klass, "debug-key",
        "the memory key of all guests, 64 hexadecimal digits");
    object_class_property_set_description(klass, "paranoid",
        "forget all plain text at each exit of a guest (slow)");
    object_class_property_set_description(klass, "coherency",
        "eager, or strict: dirty lines stay in caches, missing flushes are"
        " reported");
    object_class_property_set_description(klass, "check",
        "c-bit: name pages that a guest uses otherwise than it reports");
    object_class_property_set_description(klass, "check-text",
        "file for what check finds (default: standard error)");
    object_class_property_set_description(klass, "check-json",
        "file for the same, one JSON object a line");
    object_class_property_set_description(klass, "check-maps",
        "files with symbols or GUIDs for the names in it, separated by ':'");
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo sev_psp_info = {
    .name = TYPE_SEV_PSP,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(SevPspState),
    .instance_init = sev_psp_instance_init,
    .class_init = sev_psp_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_CONVENTIONAL_PCI_DEVICE },
        { },
    },
};

static void sev_psp_register_types(void)
{
    type_register_static(&sev_psp_info);
}

type_init(sev_psp_register_types)
