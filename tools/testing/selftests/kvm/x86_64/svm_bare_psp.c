// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulated secure processor as programs without an operating system use it: found at its place
 * on the bus (svm_bare_test.sh gives it one), and asked until a command is done.
 */
#include "svm_bare.h"

/* Configuration space of device 6. */
#define PSP_CONFIG	0xb0030000ul
#define PSP_ID		0x14ca1022u
#define PCI_COMMAND	0x04
#define PCI_MEM_MASTER	6
#define PCI_BAR2	0x18

#define PSP_CMDRESP	0x10980
#define PSP_CMDBUF_LO	0x109e0
#define PSP_CMDBUF_HI	0x109e4
#define PSP_DONE	(1u << 31)
#define PSP_COUNTERS	0x1f008

static u64 registers;

static volatile u32 *reg(u64 at)
{
	return (volatile u32 *)at;
}

int psp_find(void)
{
	if (*reg(PSP_CONFIG) != PSP_ID)
		return 0;
	registers = *reg(PSP_CONFIG + PCI_BAR2) & ~0xfu;
	*reg(PSP_CONFIG + PCI_COMMAND) |= PCI_MEM_MASTER;
	return registers != 0;
}

void psp_start(u32 command, void *buffer)
{
	*reg(registers + PSP_CMDBUF_LO) = (u32)(u64)buffer;
	*reg(registers + PSP_CMDBUF_HI) = (u64)buffer >> 32;
	*reg(registers + PSP_CMDRESP) = command << 16;
}

u32 psp_wait(void)
{
	u32 response;

	do
		response = *reg(registers + PSP_CMDRESP);
	while (!(response & PSP_DONE));
	return response & 0xffff;
}

u32 psp_command(u32 command, void *buffer)
{
	psp_start(command, buffer);
	return psp_wait();
}

u64 psp_counter(int index)
{
	u64 at = registers + PSP_COUNTERS + 8 * index;

	return *reg(at) | (u64)*reg(at + 4) << 32;
}
