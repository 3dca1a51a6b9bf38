// SPDX-License-Identifier: GPL-2.0-only
/*
 * What flushes a cache, and what does not, on a machine with coherency=strict: host and SEV guest are
 * all its software, so nothing is flushed but by a test.
 */
#include "svm_bare_launch.h"

#define MSR_VM_PAGE_FLUSH	0xc001011e

/* How a page came into use (sev_machine.h). */
enum { HOST_READ, HOST_WRITE, SHARED_READ = 3, SHARED_WRITE, USE_PRIVATE, PSP_READ = 8, PSP_WRITE };
#define HOST_LINES	(1u << 8)

static u32 handle;
static u64 reported;

static u64 read_host(void)
{
	return *word(PAGE_OF_GUEST);
}

static void write_host(u64 at)
{
	*word(at) = *word(PLAIN) + 1;
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

/* All caches are clean, and the guest's page is not mapped. */
static void begin(void)
{
	wbinvd();
	reported = psp_counter(COUNTER_VIOLATIONS);
}

static void launch(void)
{
	handle = launch_guest();
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
	u64 before = psp_counter(COUNTER_PAGE_FLUSH);

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
	/* Whatever they reached. */
	expect("so many", 3, psp_counter(COUNTER_PAGE_FLUSH) - before);
}

static void guest_flushes(void)
{
	u64 before = psp_counter(COUNTER_GUEST_CLFLUSH);

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
	flush_line(PLAIN);
	expect("so many, without the host's", 3, psp_counter(COUNTER_GUEST_CLFLUSH) - before);
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
	flush_page(PAGE_OF_GUEST + LINE, PAGE / LINE - 1);
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

/* It sees what its guest has in the caches, and nothing of the host's. */
static void secure_processor(void)
{
	u64 before;

	begin();
	expect("DBG_DECRYPT", 0, decrypt(PAGE_OF_GUEST, PLAIN, 16));
	before = *word(PLAIN);
	run_guest(guest_writes);
	expect("DBG_DECRYPT", 0, decrypt(PAGE_OF_GUEST, PLAIN, 16));
	expect("the guest's last", before + 1, *word(PLAIN));
	read_host();
	expect_reports("for its guest", 0, 0);
	write_host(PAGE_OF_GUEST);
	expect("DBG_DECRYPT", 0, decrypt(PAGE_OF_GUEST, PLAIN, 16));
	expect_reports("lines of the host", 1, HOST_LINES | PSP_READ);
}

/* A buffer without a key is used by others than the guest that the command is for. */
static void plain_buffer(void)
{
	begin();
	run_guest(guest_writes);
	expect("DBG_DECRYPT", 0, decrypt(PAGE_OF_GUEST + PAGE, PAGE_OF_GUEST, 16));
	expect_reports("over lines of its guest", 1, PSP_WRITE);
	/* RAM has won, and the host has no lines there. */
	run_guest(guest_reads);
	expect("DBG_DECRYPT", 0, decrypt(PAGE_OF_GUEST + PAGE, PLAIN, 16));
	expect("what is in memory", *word(PLAIN), *word(PAGE_OF_GUEST));
	expect_reports("after that", 0, 0);
}

/* The lines outlive the guest. */
static void guest_is_gone(void)
{
	begin();
	run_guest(guest_writes);
	remove_guest();
	expect("DF_FLUSH", PSP_WBINVD_REQUIRED, psp_command(PSP_DF_FLUSH, 0));
	write_host(PAGE_OF_GUEST);
	expect_reports("a store", 1, HOST_WRITE);
}

/* Some lines are flushed, and some of these stored to again: each line counts for itself. */
static void lines_of_the_host_one_by_one(void)
{
	const u64 half = PAGE / LINE / 2, last = PAGE_OF_GUEST + PAGE - LINE;

	begin();
	write_host(PAGE_OF_GUEST);
	flush_page(PAGE_OF_GUEST, half);
	write_host(last);
	flush_page(PAGE_OF_GUEST + half * LINE, half);
	run_guest(guest_reads);
	expect_reports("a store between the halves", 0, 0);
	write_host(PAGE_OF_GUEST + LINE);
	flush_line(PAGE_OF_GUEST + LINE);
	run_guest(guest_reads);
	expect_reports("a line of a page that was clean", 0, 0);
	write_host(PAGE_OF_GUEST + LINE);
	write_host(last);
	flush_line(PAGE_OF_GUEST + LINE);
	run_guest(guest_reads);
	expect_reports("one of two", 1, HOST_LINES | USE_PRIVATE);
	write_host(last - 4);
	flush_page(last - LINE, 2);
	run_guest(guest_reads);
	expect_reports("both halves of a store", 0, 0);
	/* Twice: the first one after the guest takes the emulator's slow path. */
	write_host(last - 4);
	flush_page(last - LINE, 2);
	write_host(last - 4);
	flush_line(last - LINE);
	run_guest(guest_reads);
	expect_reports("one half", 1, HOST_LINES | USE_PRIVATE);
	/* WBINVD ends it: others may follow the next store unseen, so all lines count. */
	wbinvd();
	write_host(PAGE_OF_GUEST);
	flush_line(PAGE_OF_GUEST);
	run_guest(guest_reads);
	expect_reports("after WBINVD", 1, HOST_LINES | USE_PRIVATE);
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
	{ "lines of the host, one by one", lines_of_the_host_one_by_one },
	{ "the secure processor", secure_processor },
	{ "its buffers without a key", plain_buffer },
	{ "lines of a guest that is gone", guest_is_gone },
};

void svm_bare_main(void)
{
	svm_bare_run(tests, ARRAY_SIZE(tests));
}
