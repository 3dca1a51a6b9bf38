/*
 * Emulated AMD Platform Security Processor: access to the machine's memory.
 *
 * Every address a command names comes from the host's software. Only RAM is
 * accepted: a command that named the PSP's own registers would otherwise
 * re-enter the mailbox, and one that named another device's would have side
 * effects there.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "exec/memory.h"
#include "sev-psp-internal.h"

static const MemTxAttrs psp_attrs = { .memory = true };

/* The host may leave the C-bit in an address; it is not part of it. */
hwaddr sev_psp_pa(uint64_t address)
{
    SevEmuParams params;

    if (sev_emu_params(&params) && params.cbitpos < 64) {
        address &= ~(1ULL << params.cbitpos);
    }
    return address;
}

/*
 * True when all of [pa, pa + len) is RAM, writable if @is_write. Commands
 * check this before they change anything, so that a bad address leaves
 * neither a half encrypted range nor a half made state change behind.
 */
bool sev_psp_ram_ok(SevPspState *s, hwaddr pa, uint64_t len, bool is_write)
{
    AddressSpace *as = pci_get_address_space(PCI_DEVICE(s));

    if (pa + len < pa) {
        return false;
    }
    RCU_READ_LOCK_GUARD();
    while (len) {
        hwaddr xlat, part = len;
        MemoryRegion *mr = address_space_translate(as, pa, &xlat, &part,
                                                   is_write, psp_attrs);

        if (!memory_region_is_ram(mr) || !memory_access_is_direct(mr, is_write)
            || !part) {
            return false;
        }
        pa += part;
        len -= part;
    }
    return true;
}

bool sev_psp_read(SevPspState *s, SevEncKey *key, hwaddr pa, void *buf,
                  size_t len)
{
    sev_enc_sync(key, pa, len, false);
    return pci_dma_rw(PCI_DEVICE(s), pa, buf, len, DMA_DIRECTION_TO_DEVICE,
                      psp_attrs) == MEMTX_OK;
}

bool sev_psp_write(SevPspState *s, SevEncKey *key, hwaddr pa, const void *buf,
                   size_t len)
{
    sev_enc_sync(key, pa, len, true);
    return pci_dma_rw(PCI_DEVICE(s), pa, (void *)buf, len,
                      DMA_DIRECTION_FROM_DEVICE, psp_attrs) == MEMTX_OK;
}
