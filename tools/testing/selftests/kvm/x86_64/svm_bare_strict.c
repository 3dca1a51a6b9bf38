// SPDX-License-Identifier: GPL-2.0-only
/*
 * What flushes a cache, and what does not, on a machine with coherency=strict: host and SEV guest are
 * all its software, so nothing is flushed but by a test.
 *
 * The guest is a copy of this program, encrypted, with the same addresses: its physical memory begins
 * GUEST_RAM higher. At PRIVATE both see one page, the guest under its key; at ALIAS the guest sees it
 * without.
 */
#include "svm_bare.h"

#define CBIT		(1ul << 47)
#define SEV_ASID	5
#define OTHER_ASID	6
#define SEV		(NESTED_PAGING | NESTED_SEV)

#define LARGE		0x200000ul
#define GUEST_RAM	0x1000000ul
#define IMAGE		0x100000ul
#define IMAGE_END	0x400000ul
#define PRIVATE		0x800000ul
#define ALIAS		0xa00000ul
#define PLAIN		0xc00000ul	/* the host's own, for what is decrypted */
#define PAGE		0x1000ul
#define LINE		64ul

#define MSR_VM_PAGE_FLUSH	0xc001011e

/* The secure processor's counters of the machine, and how a page came into use (sev_machine.h). */
enum { COUNTER_VIOLATIONS = 7, COUNTER_ADDRESS, COUNTER_WHAT };
enum { HOST_READ, HOST_WRITE, SHARED_READ = 3, SHARED_WRITE, USE_PRIVATE, PSP_READ = 8, PSP_WRITE };
#define HOST_LINES	(1u << 8)

static u32 buffer[16] __attribute__((aligned(16)));
static u8 measurement[48] __attribute__((aligned(16)));
static u64 nested_pd[512] __attribute__((aligned(4096)));
static u32 handle;
static u64 reported;

static volatile u64 *word(u64 at)
{
	return (volatile u64 *)at;
}

/* The host's addresses are physical ones. */
#define PAGE_OF_GUEST	(PRIVATE + GUEST_RAM)

static u64 read_host(void)
{
	return *word(PAGE_OF_GUEST);
}

static void write_host(u64 at)
{
	*word(at) = *word(PLAIN) + 1;
}

static void wbinvd(void)
{
	asm volatile("wbinvd" : : : "memory");
}

static void flush_line(u64 at)
{
	asm volatile("clflush (%0)" : : "r"(at) : "memory");
}

static void flush_page(u64 at, u64 lines)
{
	for (u64 i = 0; i < lines; i++)
		flush_line(at + i * LINE);
}

/* Reports since the last time; the last one must be of this use. */
static void expect_reports(const char *what, u64 n, u64 use)
{
	u64 now = psp_counter(COUNTER_VIOLATIONS);

	expect(what, n, now - reported);
	reported = now;
	if (!n || svm_bare_failed())
		return;
	expect("the page", PAGE_OF_GUEST, psp_counter(COUNTER_ADDRESS));
	expect("its use", use, psp_counter(COUNTER_WHAT) & 0xffff);
	expect("the guest", handle, psp_counter(COUNTER_WHAT) >> 32);
}

/* Guests' code. What it changes is the guest's copy: each run begins where the last one ended. */
static void guest_writes(void)
{
	(*word(PRIVATE))++;
}

static void guest_writes_two_lines(void)
{
	(*word(PRIVATE))++;
	(*word(PRIVATE + LINE))++;
	flush_line(PRIVATE);
}

static void guest_writes_and_flushes(void)
{
	(*word(PRIVATE))++;
	flush_line(PRIVATE);
}

static void guest_writes_and_flushes_alias(void)
{
	(*word(PRIVATE))++;
	flush_line(ALIAS);
}

static void guest_writes_the_same(void)
{
	u64 value = *word(PRIVATE);

	*word(PRIVATE) = value;
}

static void guest_reads(void)
{
	(void)*word(PRIVATE);
}

static void guest_reads_alias(void)
{
	(void)*word(ALIAS);
}

static void guest_writes_alias(void)
{
	*word(ALIAS) = 1;
}

static void run_guest(void (*fn)(void))
{
	make_nested_vmcb(SEV, SEV_ASID);
	svm_bare_nested_pdpt[0] = (u64)nested_pd | 7;
	FIELD(u64, VMCB_CR3) |= CBIT;
	svm_bare_vmrun(vmcb, fn);
	expect_exit(EXIT_VMMCALL);
}

/* All caches are clean, and the guest's page is not mapped. */
static void begin(void)
{
	wbinvd();
	reported = psp_counter(COUNTER_VIOLATIONS);
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

static void launch(void)
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
	run_guest(guest_writes);
	expect("reports", 0, psp_counter(COUNTER_VIOLATIONS));
}

static void host_uses_the_page(void)
{
	begin();
	run_guest(guest_writes);
	expect_reports("by the guest alone", 0, 0);
	read_host();
	expect_reports("a load", 1, HOST_READ);
	read_host();
	write_host(PAGE_OF_GUEST + 8);
	expect_reports("again", 0, 0);
	begin();
	run_guest(guest_writes);
	write_host(PAGE_OF_GUEST);
	expect_reports("a store", 1, HOST_WRITE);
	/* The host's line is there now, and the guest's no more. */
	wbinvd();
	read_host();
	run_guest(guest_reads);
	expect_reports("after WBINVD", 0, 0);
	run_guest(guest_writes_the_same);
	read_host();
	expect_reports("after a store that changed nothing", 0, 0);
}

static void nothing_but_flushes_flushes(void)
{
	begin();
	run_guest(guest_writes);
	run_guest(svm_bare_do_nothing);
	asm volatile("invlpg (%0)" : : "r"(PAGE_OF_GUEST) : "memory");
	asm volatile("invlpga" : : "a"(PAGE_OF_GUEST), "c"(SEV_ASID));
	WRITE_REG("cr3", READ_REG("cr3"));
	asm volatile("invd");
	asm volatile(".byte 0xf3, 0x0f, 0x09");
	expect("DF_FLUSH", 0, psp_command(PSP_DF_FLUSH, 0));
	/* CLFLUSH finds no line of the host's, and is no use of the page. */
	flush_page(PAGE_OF_GUEST, PAGE / LINE);
	expect_reports("until then", 0, 0);
	read_host();
	expect_reports("a load", 1, HOST_READ);
}

static void wbinvd_flushes(void)
{
	u64 before = read_host();

	begin();
	run_guest(guest_writes);
	wbinvd();
	expect("memory has changed", 1, read_host() != before);
	expect_reports("a load", 0, 0);
}

static void page_flush(void)
{
	begin();
	run_guest(guest_writes);
	write_msr(MSR_VM_PAGE_FLUSH, PAGE_OF_GUEST | SEV_ASID);
	read_host();
	expect_reports("the page", 0, 0);
	run_guest(guest_writes);
	write_msr(MSR_VM_PAGE_FLUSH, PAGE_OF_GUEST | OTHER_ASID);
	write_msr(MSR_VM_PAGE_FLUSH, (PAGE_OF_GUEST + PAGE) | SEV_ASID);
	read_host();
	expect_reports("of another ASID, and another page", 1, HOST_READ);
}

static void guest_flushes(void)
{
	begin();
	run_guest(guest_writes_and_flushes);
	read_host();
	expect_reports("its line", 0, 0);
	run_guest(guest_writes_two_lines);
	read_host();
	expect_reports("one of two", 1, HOST_READ);
	begin();
	run_guest(guest_writes_and_flushes_alias);
	read_host();
	expect_reports("without the C-bit", 1, HOST_READ);
}

static void guest_without_the_cbit(void)
{
	begin();
	run_guest(guest_writes);
	run_guest(guest_reads_alias);
	expect_reports("a load", 1, SHARED_READ);
	begin();
	run_guest(guest_writes);
	run_guest(guest_writes_alias);
	expect_reports("a store", 1, SHARED_WRITE);
	/* Its own line without a key is now over the page. */
	run_guest(guest_reads);
	expect_reports("under the key again", 1, HOST_LINES | USE_PRIVATE);
}

static void lines_of_the_host(void)
{
	begin();
	write_host(PAGE_OF_GUEST);
	run_guest(guest_reads);
	expect_reports("not flushed", 1, HOST_LINES | USE_PRIVATE);
	run_guest(guest_reads);
	expect_reports("again", 0, 0);
	write_host(PAGE_OF_GUEST);
	flush_page(PAGE_OF_GUEST, PAGE / LINE);
	run_guest(guest_reads);
	expect_reports("flushed by lines", 0, 0);
	write_host(PAGE_OF_GUEST);
	flush_page(PAGE_OF_GUEST, PAGE / LINE - 1);
	run_guest(guest_reads);
	expect_reports("but for one line", 1, HOST_LINES | USE_PRIVATE);
	write_host(PAGE_OF_GUEST);
	flush_page(PAGE_OF_GUEST, PAGE / LINE);
	write_host(PAGE_OF_GUEST + 8);
	run_guest(guest_reads);
	expect_reports("stored again", 1, HOST_LINES | USE_PRIVATE);
	write_host(PAGE_OF_GUEST);
	wbinvd();
	run_guest(guest_reads);
	expect_reports("flushed by WBINVD", 0, 0);
	write_host(PAGE_OF_GUEST);
	run_guest(guest_reads);
	expect_reports("stored after WBINVD", 1, HOST_LINES | USE_PRIVATE);
}

static u32 decrypt(void)
{
	buffer[0] = handle;
	buffer[1] = 0;
	buffer[2] = PAGE_OF_GUEST;
	buffer[3] = 0;
	buffer[4] = PLAIN;
	buffer[5] = 0;
	buffer[6] = 16;
	return psp_command(PSP_DBG_DECRYPT, buffer);
}

/* It sees what its guest has in the caches, and nothing of the host's. */
static void secure_processor(void)
{
	u64 before;

	begin();
	expect("DBG_DECRYPT", 0, decrypt());
	before = *word(PLAIN);
	run_guest(guest_writes);
	expect("DBG_DECRYPT", 0, decrypt());
	expect("the guest's last", before + 1, *word(PLAIN));
	read_host();
	expect_reports("for its guest", 0, 0);
	write_host(PAGE_OF_GUEST);
	expect("DBG_DECRYPT", 0, decrypt());
	expect_reports("lines of the host", 1, HOST_LINES | PSP_READ);
}

/* The lines outlive the guest. */
static void guest_is_gone(void)
{
	begin();
	run_guest(guest_writes);
	buffer[0] = handle;
	expect("DEACTIVATE", 0, psp_command(PSP_DEACTIVATE, buffer));
	expect("DECOMMISSION", 0, psp_command(PSP_DECOMMISSION, buffer));
	expect("DF_FLUSH", PSP_WBINVD_REQUIRED, psp_command(PSP_DF_FLUSH, 0));
	write_host(PAGE_OF_GUEST);
	expect_reports("a store", 1, HOST_WRITE);
}

static const struct bare_test tests[] = {
	{ "an SEV guest is launched, and nothing reported", launch },
	{ "the host uses the page", host_uses_the_page },
	{ "nothing but flushes flushes", nothing_but_flushes_flushes },
	{ "WBINVD", wbinvd_flushes },
	{ "VM_PAGE_FLUSH", page_flush },
	{ "CLFLUSH by the guest", guest_flushes },
	{ "the guest uses the page without the C-bit", guest_without_the_cbit },
	{ "lines of the host", lines_of_the_host },
	{ "the secure processor", secure_processor },
	{ "lines of a guest that is gone", guest_is_gone },
};

void svm_bare_main(void)
{
	svm_bare_run(tests, ARRAY_SIZE(tests));
}
