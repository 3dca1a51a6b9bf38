// SPDX-License-Identifier: GPL-2.0-only
/*
 * The processor of an SEV host (sev-host=on), without an operating system: where the C-bit is
 * reserved and where it is not, what VMRUN refuses, which registers cannot be changed, and whose
 * WBINVD counts. The SEV guest is launched by hand.
 *
 * Numbers are those of svm_bare_test.sh's machine: the C-bit is bit 47, ASIDs 5 to 8 are for SEV.
 */
#include "svm_bare.h"

#define CBIT		(1ul << 47)
#define SEV_ASID	5
#define LAST_ASID	8
#define PLAIN_ASID	9

#define FAULT_RESERVED	(1ul << 3)
#define FAULT_FINAL	(1ul << 32)
#define FAULT_TABLE	(1ul << 33)
#define MSR_INTERCEPT	(1u << 28)

/* In the second gigabyte of guest physical memory, where nothing is. */
#define NESTED_FAR	0x40000000ul

static u32 buffer[16] __attribute__((aligned(16)));
static u8 measurement[48] __attribute__((aligned(16)));
static u8 all_msrs[8192] __attribute__((aligned(4096)));
static u64 status_seen;

static void set_and_keep(u32 msr, u64 bit)
{
	u64 before = read_msr(msr);

	expect("the bit after reset", bit, before & bit);
	write_msr(msr, 0);
	expect("the register, cleared", bit, read_msr(msr));
	write_msr(msr, before | 1ul << 20);
	expect("another bit", before | 1ul << 20, read_msr(msr));
	write_msr(msr, before);
}

static void registers_stay_set(void)
{
	set_and_keep(MSR_SYSCFG, 1ul << 23);
	set_and_keep(MSR_HWCR, 1);
}

static void host_in_cpuid(void)
{
	struct cpuid r = read_cpuid(0x8000001f);

	expect("SEV and VM_PAGE_FLUSH, no more", 6, r.eax);
	expect("the C-bit and what it costs", 47 | 1 << 6, r.ebx);
	expect("the largest ASID", LAST_ASID, r.ecx);
	expect("the smallest ASID", SEV_ASID, r.edx);
	expect("ASIDs", 0x8000, read_cpuid(0x8000000a).ebx);
	expect("SEV_STATUS", 0, read_msr(MSR_SEV_STATUS));
}

/* In the host, and run by a plain guest. */
static void cbit_in_cr3(void)
{
	u64 cr3 = READ_REG("cr3");

	expect("CR3 with the C-bit", GP_VECTOR, TRY("movq %1, %%cr3", cr3 | CBIT));
	expect("error code", 0, seen.error);
	expect("CR3 as it was", cr3, READ_REG("cr3"));
}

static void cbit_in_host_tables(void)
{
	for (int level = 0; level < WINDOW_LEVELS; level++) {
		map_window(level, CBIT);
		expect("a load", PF_VECTOR, TRY("movq (%1), %%r10", WINDOW));
		expect("reserved", FAULT_RESERVED, seen.error & FAULT_RESERVED);
		expect("the address", WINDOW, READ_REG("cr2"));
		expect("a store", PF_VECTOR, TRY("movq %%r10, (%1)", WINDOW));
		expect("reserved", FAULT_RESERVED, seen.error & FAULT_RESERVED);
		map_window(level, 0);
		svm_bare_load_window();
	}
	unmap_window();
}

/* What a guest is that is no SEV guest; the last two have an ASID of SEV's, but not the bit. */
static const struct {
	u64 nested_ctl;
	u32 asid;
} plain[] = {
	{ 0, 1 }, { NESTED_PAGING, PLAIN_ASID }, { NESTED_PAGING, SEV_ASID }, { 0, SEV_ASID },
};

static void cbit_in_cr3_of_a_plain_guest(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(plain); i++) {
		make_nested_vmcb(plain[i].nested_ctl, plain[i].asid);
		svm_bare_vmrun(vmcb, cbit_in_cr3);
		expect_exit(EXIT_VMMCALL);
		make_nested_vmcb(plain[i].nested_ctl, plain[i].asid);
		FIELD(u64, VMCB_CR3) |= CBIT;
		svm_bare_vmrun(vmcb, svm_bare_do_nothing);
		expect_exit(EXIT_INVALID);
	}
}

static void cbit_in_tables_of_a_plain_guest(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(plain); i++) {
		for (int level = 0; level < WINDOW_LEVELS; level++) {
			map_window(level, CBIT);
			make_nested_vmcb(plain[i].nested_ctl, plain[i].asid);
			FIELD(u32, EXCEPTIONS) = 1u << PF_VECTOR;
			svm_bare_vmrun(vmcb, svm_bare_load_window);
			expect_exit(EXIT_EXCP + PF_VECTOR);
			expect("reserved", FAULT_RESERVED,
			       FIELD(u64, EXIT_INFO1) & FAULT_RESERVED);
			expect("the address", WINDOW, FIELD(u64, EXIT_INFO2));
		}
		map_window(0, 0);
		make_nested_vmcb(plain[i].nested_ctl, plain[i].asid);
		svm_bare_vmrun(vmcb, svm_bare_load_window);
		expect_exit(EXIT_VMMCALL);
	}
	unmap_window();
}

static void load_far(void)
{
	(void)*(volatile u64 *)NESTED_FAR;
}

/* Of an access that is translated, and of the walk through the guest's own tables. */
static void expect_nested_reserved(u64 nested_ctl, u32 asid)
{
	make_nested_vmcb(nested_ctl, asid);
	svm_bare_nested_pdpt[1] |= CBIT;
	svm_bare_vmrun(vmcb, load_far);
	expect_exit(EXIT_NPF);
	expect("reserved, of the access", FAULT_FINAL | FAULT_RESERVED,
	       FIELD(u64, EXIT_INFO1) & (FAULT_FINAL | FAULT_TABLE | FAULT_RESERVED));
	expect("the address", NESTED_FAR, FIELD(u64, EXIT_INFO2));
	make_nested_vmcb(nested_ctl, asid);
	svm_bare_nested_pdpt[0] |= CBIT;
	svm_bare_vmrun(vmcb, svm_bare_do_nothing);
	expect_exit(EXIT_NPF);
	expect("reserved, of a table", FAULT_TABLE | FAULT_RESERVED,
	       FIELD(u64, EXIT_INFO1) & (FAULT_FINAL | FAULT_TABLE | FAULT_RESERVED));
}

static void cbit_in_a_nested_table(void)
{
	expect_nested_reserved(NESTED_PAGING, PLAIN_ASID);
	make_nested_vmcb(NESTED_PAGING, PLAIN_ASID);
	svm_bare_vmrun(vmcb, load_far);
	expect_exit(EXIT_VMMCALL);
}

static void guest_wbinvd(void)
{
	asm volatile("wbinvd");
}

/* A guest's does not count. WBNOINVD is WBINVD where CPUID does not have it. */
static void wbinvd_of_the_host_counts(void)
{
	expect("a secure processor", 1, psp_find());
	if (svm_bare_failed())
		return;
	expect("INIT", 0, psp_command(PSP_INIT, buffer));
	expect("DF_FLUSH", PSP_WBINVD_REQUIRED, psp_command(PSP_DF_FLUSH, 0));
	make_vmcb();
	svm_bare_vmrun(vmcb, guest_wbinvd);
	expect_exit(EXIT_VMMCALL);
	expect("DF_FLUSH after a guest's", PSP_WBINVD_REQUIRED, psp_command(PSP_DF_FLUSH, 0));
	expect("WBNOINVD's bit", 0, read_cpuid(0x80000008).ebx & 1u << 9);
	asm volatile(".byte 0xf3, 0x0f, 0x09");
	expect("DF_FLUSH after it", 0, psp_command(PSP_DF_FLUSH, 0));
}

static void run_sev(u64 nested_ctl, u32 asid, u64 code)
{
	make_nested_vmcb(nested_ctl, asid);
	svm_bare_vmrun(vmcb, svm_bare_do_nothing);
	expect_exit(code);
}

/* Until its launch is finished, with the ASID of another, and without nested paging. */
static void vmrun_of_an_sev_guest(void)
{
	const u64 sev = NESTED_PAGING | NESTED_SEV;

	run_sev(sev, SEV_ASID, EXIT_INVALID);
	expect("LAUNCH_START", 0, psp_command(PSP_LAUNCH_START, buffer));
	buffer[1] = SEV_ASID;
	expect("ACTIVATE", 0, psp_command(PSP_ACTIVATE, buffer));
	run_sev(sev, SEV_ASID, EXIT_INVALID);
	buffer[1] = 0;
	buffer[2] = (u64)measurement;
	buffer[3] = 0;
	buffer[4] = sizeof(measurement);
	expect("LAUNCH_MEASURE", 0, psp_command(PSP_LAUNCH_MEASURE, buffer));
	run_sev(sev, SEV_ASID, EXIT_INVALID);
	expect("LAUNCH_FINISH", 0, psp_command(PSP_LAUNCH_FINISH, buffer));
	run_sev(sev, SEV_ASID, EXIT_VMMCALL);
	for (u32 asid = 0; asid <= LAST_ASID + 1; asid++) {
		if (asid != SEV_ASID)
			run_sev(sev, asid, EXIT_INVALID);
	}
	run_sev(NESTED_SEV, SEV_ASID, EXIT_INVALID);
	run_sev(sev, SEV_ASID, EXIT_VMMCALL);
}

static void with_cbit_in_cr3(void)
{
	u64 cr3 = READ_REG("cr3");

	WRITE_REG("cr3", cr3 | CBIT);
	svm_bare_load_window();
	expect("CR3 with the C-bit", cr3 | CBIT, READ_REG("cr3"));
	WRITE_REG("cr3", cr3 & ~CBIT);
	svm_bare_load_window();
}

static void cbit_in_an_sev_guest(void)
{
	for (int level = 0; level < WINDOW_LEVELS; level++) {
		map_window(level, CBIT);
		make_nested_vmcb(NESTED_PAGING | NESTED_SEV, SEV_ASID);
		FIELD(u64, VMCB_CR3) |= level ? CBIT : 0;
		svm_bare_vmrun(vmcb, with_cbit_in_cr3);
		expect_exit(EXIT_VMMCALL);
	}
	unmap_window();
	expect_nested_reserved(NESTED_PAGING | NESTED_SEV, SEV_ASID);
}

static void read_status(void)
{
	status_seen = read_msr(MSR_SEV_STATUS);
}

/* Whatever the map of registers says. */
static void status_without_an_exit(void)
{
	for (int i = 0; i < (int)sizeof(all_msrs); i++)
		all_msrs[i] = 0xff;
	make_nested_vmcb(NESTED_PAGING | NESTED_SEV, SEV_ASID);
	FIELD(u32, INTERCEPT) |= MSR_INTERCEPT;
	FIELD(u64, MSRPM_BASE) = (u64)all_msrs;
	svm_bare_vmrun(vmcb, read_status);
	expect_exit(EXIT_VMMCALL);
	expect("SEV_STATUS", 1, status_seen);
	make_nested_vmcb(NESTED_PAGING, SEV_ASID);
	svm_bare_vmrun(vmcb, read_status);
	expect_exit(EXIT_VMMCALL);
	expect("SEV_STATUS of a plain guest", 0, status_seen);
}

/* The host and plain guests after an SEV guest are what they were before. */
static void nothing_is_left_of_it(void)
{
	run_sev(NESTED_PAGING | NESTED_SEV, SEV_ASID, EXIT_VMMCALL);
	cbit_in_cr3();
	cbit_in_host_tables();
	cbit_in_cr3_of_a_plain_guest();
	cbit_in_tables_of_a_plain_guest();
	expect("SHUTDOWN", 0, psp_command(PSP_SHUTDOWN, 0));
	run_sev(NESTED_PAGING | NESTED_SEV, SEV_ASID, EXIT_INVALID);
}

static const struct bare_test tests[] = {
	{ "CPUID of an SEV host", host_in_cpuid },
	{ "SYSCFG and HWCR keep encryption enabled", registers_stay_set },
	{ "the C-bit in the host's CR3", cbit_in_cr3 },
	{ "the C-bit in the host's tables", cbit_in_host_tables },
	{ "the C-bit in CR3 of a plain guest", cbit_in_cr3_of_a_plain_guest },
	{ "the C-bit in tables of a plain guest", cbit_in_tables_of_a_plain_guest },
	{ "the C-bit in a nested table", cbit_in_a_nested_table },
	{ "WBINVD of the host, and no other, allows DF_FLUSH", wbinvd_of_the_host_counts },
	{ "VMRUN of an SEV guest", vmrun_of_an_sev_guest },
	{ "the C-bit in an SEV guest", cbit_in_an_sev_guest },
	{ "SEV_STATUS exits from nowhere", status_without_an_exit },
	{ "nothing is left of an SEV guest", nothing_is_left_of_it },
};

void svm_bare_main(void)
{
	svm_bare_run(tests, ARRAY_SIZE(tests));
}
