// SPDX-License-Identifier: GPL-2.0-only
/*
 * A machine to look at from outside: it stops where it is known what its monitor has to say about an
 * SEV guest, about the caches and about memory. svm_bare_monitor_test.sh asks, and lets it go on; the
 * steps there are the tests here.
 */
#include "svm_bare_launch.h"

#define SECRET		0x5ec2e75ec2e75ec2ul
#define COPY		(PLAIN + PAGE)

/* Guest's code. */
static void guest_writes(void)
{
	*word(PRIVATE) = SECRET;
}

static void launch(void)
{
	launch_guest();
	/* What marks page tables as used comes with the first run, and is flushed. */
	run_guest(guest_writes);
	wbinvd();
	svm_bare_stop();
}

static void guest_has_written(void)
{
	*word(PAGE_OF_GUEST) = 0;
	wbinvd();
	run_guest(guest_writes);
	svm_bare_stop();
}

static void host_has_read(void)
{
	(void)*word(PAGE_OF_GUEST);
	svm_bare_stop();
}

static void copy_page(u64 from, u64 to)
{
	for (u64 i = 0; i < PAGE; i += 8)
		*word(to + i) = *word(from + i);
}

/* The page as the host has it, and as the guest has it. */
static void page_is_flushed(void)
{
	wbinvd();
	copy_page(PAGE_OF_GUEST, COPY);
	expect("DBG_DECRYPT", 0, decrypt(PAGE_OF_GUEST, PLAIN, PAGE));
	expect("what the guest wrote", SECRET, *word(PLAIN));
	expect("it shows", 0, *word(COPY) == SECRET);
	svm_bare_stop();
}

static const struct bare_test tests[] = {
	{ "an SEV guest has run", launch },
	{ "it has written to a page", guest_has_written },
	{ "the host has read that page", host_has_read },
	{ "the caches are flushed", page_is_flushed },
};

void svm_bare_main(void)
{
	svm_bare_run(tests, ARRAY_SIZE(tests));
}
