// SPDX-License-Identifier: GPL-2.0-only
/*
 * The processor of svm_bare_sev.c without sev-host=on, beside a secure processor: nothing of SEV is
 * there, and the secure processor says so.
 */
#include "svm_bare.h"

#define BIT_47		(1ul << 47)

static u32 buffer[16] __attribute__((aligned(16)));

static void no_sev_in_cpuid(void)
{
	u32 last = read_cpuid(0x80000000).eax;

	expect("leaves up to 0x8000001E", 1, last < 0x8000001f);
	expect("ASIDs", 16, read_cpuid(0x8000000a).ebx);
}

static void no_sev_registers(void)
{
	write_msr(MSR_SYSCFG, ~0ul);
	expect("SYSCFG", 0, read_msr(MSR_SYSCFG));
	expect("HWCR", 0, read_msr(MSR_HWCR));
	expect("SEV_STATUS", 0, read_msr(MSR_SEV_STATUS));
}

/* There is no memory so far up, but the address is one. */
static void bit_47_is_an_address_bit(void)
{
	map_window(WINDOW_LEVELS - 1, BIT_47);
	expect("a load", 0, TRY("movq (%1), %%r10", WINDOW));
	unmap_window();
}

static void vmrun_knows_no_sev(void)
{
	make_nested_vmcb(NESTED_PAGING | NESTED_SEV, 5);
	svm_bare_vmrun(vmcb, svm_bare_do_nothing);
	expect_exit(EXIT_VMMCALL);
}

static void init_is_refused(void)
{
	expect("a secure processor", 1, psp_find());
	if (svm_bare_failed())
		return;
	expect("INIT", PSP_HW_PLATFORM, psp_command(PSP_INIT, buffer));
	expect("PLATFORM_STATUS", 0, psp_command(PSP_STATUS, buffer));
	expect("the state, the third byte", 0, buffer[0] >> 16 & 0xff);
}

static const struct bare_test tests[] = {
	{ "CPUID has no SEV", no_sev_in_cpuid },
	{ "there are no registers of SEV", no_sev_registers },
	{ "bit 47 of an entry is an address bit", bit_47_is_an_address_bit },
	{ "VMRUN knows no SEV", vmrun_knows_no_sev },
	{ "INIT is refused: the platform", init_is_refused },
};

void svm_bare_main(void)
{
	svm_bare_run(tests, ARRAY_SIZE(tests));
}
