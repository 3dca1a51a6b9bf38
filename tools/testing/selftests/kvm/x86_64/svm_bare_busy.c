// SPDX-License-Identifier: GPL-2.0-only
/*
 * An SEV guest that runs while the secure processor works on its memory, on a machine whose commands
 * take time (busy-ns): they are carried out beside the guest.
 *
 * The guest stores all over a page, without a pause. The command decrypts that page, for which what
 * the guest has stored must get to memory; what the guest stores at that moment must not be lost.
 */
#include "svm_bare_launch.h"

#define WORDS		(PAGE / 8)
#define ROUNDS		24

/* Pages that the guest sees without its key. */
#define DONE		PAGE		/* its first word is not 0 after the command */
#define LAST		(2 * PAGE)	/* what the guest has stored last */

/* The guest's copy goes on counting. */
static u64 count;

static void store_one(void)
{
	count++;
	*word(PRIVATE + 8 * (count % WORDS)) = count;
}

static void guest_fills_the_page(void)
{
	for (u64 i = 0; i < WORDS; i++)
		store_one();
}

static void guest_stores_until_done(void)
{
	do
		store_one();
	while (!*word(ALIAS + DONE));
	*word(ALIAS + LAST) = count;
}

static void launch(void)
{
	launch_guest();
	run_guest(guest_fills_the_page);
}

/* Each word is what the guest stored there last. */
static void expect_page(u64 last)
{
	expect("DBG_DECRYPT", 0, decrypt(PAGE_OF_GUEST, PLAIN, PAGE));
	for (u64 i = 0; i < WORDS && !svm_bare_failed(); i++)
		expect("a word of the page", last - (last - i) % WORDS, *word(PLAIN + 8 * i));
}

static void stores_during_a_command(void)
{
	u64 before = 0, last;

	for (int i = 0; i < ROUNDS && !svm_bare_failed(); i++) {
		*word(PAGE_OF_GUEST + DONE) = 0;
		psp_start(PSP_DBG_DECRYPT,
			  decrypt_buffer(PAGE_OF_GUEST, PAGE_OF_GUEST + DONE, PAGE));
		run_guest(guest_stores_until_done);
		expect("the command", 0, psp_wait());
		last = *word(PAGE_OF_GUEST + LAST);
		expect("the guest has stored", 1, last > before);
		expect_page(last);
		before = last;
	}
}

static void nothing_is_reported(void)
{
	expect("reports", 0, psp_counter(COUNTER_VIOLATIONS));
	remove_guest();
}

static const struct bare_test tests[] = {
	{ "an SEV guest is launched by commands that take time", launch },
	{ "a guest's stores while a command works on the page", stores_during_a_command },
	{ "nothing is reported", nothing_is_reported },
};

void svm_bare_main(void)
{
	svm_bare_run(tests, ARRAY_SIZE(tests));
}
