// SPDX-License-Identifier: GPL-2.0-only
/*
 * The SEV guest of svm_bare_launch.h: launched, run, read and removed by hand.
 */
#include "svm_bare_launch.h"

#define CBIT		(1ul << 47)
#define SEV		(NESTED_PAGING | NESTED_SEV)

#define LARGE		0x200000ul
#define IMAGE		0x100000ul
#define IMAGE_END	0x400000ul

static u32 buffer[16] __attribute__((aligned(16)));
static u8 measurement[48] __attribute__((aligned(16)));
static u64 nested_pd[512] __attribute__((aligned(4096)));
static u32 handle;

void run_guest(void (*fn)(void))
{
	make_nested_vmcb(SEV, SEV_ASID);
	svm_bare_nested_pdpt[0] = (u64)nested_pd | 7;
	FIELD(u64, VMCB_CR3) |= CBIT;
	svm_bare_vmrun(vmcb, fn);
	expect_exit(EXIT_VMMCALL);
}

/* The copy's own tables: its memory is private, but for one view of it. */
static void make_guest_private(void)
{
	u64 *pdpt = (u64 *)(svm_bare_pml4[0] & ~0xffful);
	u64 *pd = (u64 *)((pdpt[0] & ~0xffful) + GUEST_RAM);

	for (u64 i = 0; i < GUEST_RAM / LARGE; i++) {
		nested_pd[i] = (GUEST_RAM + i * LARGE) | 0x87;
		pd[i] |= CBIT;
	}
	pd[ALIAS / LARGE] = PRIVATE | 0x83;
}

u32 launch_guest(void)
{
	expect("a secure processor", 1, psp_find());
	expect("INIT", 0, psp_command(PSP_INIT, buffer));
	wbinvd();
	expect("DF_FLUSH", 0, psp_command(PSP_DF_FLUSH, 0));
	expect("LAUNCH_START", 0, psp_command(PSP_LAUNCH_START, buffer));
	handle = buffer[0];
	buffer[1] = SEV_ASID;
	expect("ACTIVATE", 0, psp_command(PSP_ACTIVATE, buffer));
	for (u64 at = IMAGE; at < IMAGE_END; at += 8)
		*word(GUEST_RAM + at) = *word(at);
	make_guest_private();
	wbinvd();
	buffer[1] = 0;
	buffer[2] = IMAGE + GUEST_RAM;
	buffer[3] = 0;
	buffer[4] = IMAGE_END - IMAGE;
	expect("LAUNCH_UPDATE_DATA", 0, psp_command(PSP_LAUNCH_UPDATE_DATA, buffer));
	buffer[2] = (u64)measurement;
	buffer[4] = sizeof(measurement);
	expect("LAUNCH_MEASURE", 0, psp_command(PSP_LAUNCH_MEASURE, buffer));
	expect("LAUNCH_FINISH", 0, psp_command(PSP_LAUNCH_FINISH, buffer));
	return handle;
}

void *decrypt_buffer(u64 from, u64 to, u32 len)
{
	buffer[0] = handle;
	buffer[1] = 0;
	buffer[2] = from;
	buffer[3] = 0;
	buffer[4] = to;
	buffer[5] = 0;
	buffer[6] = len;
	return buffer;
}

u32 decrypt(u64 from, u64 to, u32 len)
{
	return psp_command(PSP_DBG_DECRYPT, decrypt_buffer(from, to, len));
}

void remove_guest(void)
{
	buffer[0] = handle;
	expect("DEACTIVATE", 0, psp_command(PSP_DEACTIVATE, buffer));
	expect("DECOMMISSION", 0, psp_command(PSP_DECOMMISSION, buffer));
}
