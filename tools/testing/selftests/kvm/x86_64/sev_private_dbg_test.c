// SPDX-License-Identifier: GPL-2.0-only
/*
 * DBG_DECRYPT and DBG_ENCRYPT on private memory. Each of their two sides is a private page of the
 * guest, a shared one, or plain memory of the VMM; all places and lengths of the stock path work.
 * What the host writes is what the guest reads and the other way round, and the VMM's mapping of
 * a private page is never involved.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "sev_holdings.h"
#include "sev_test.h"

#define PAGE	SEV_PAGE_SIZE
#define PAGES	8ul
#define DATA	SEV_GUEST_DATA
#define FROM	1	/* seeds: what is launched, and what the guest writes */
#define TO	2

FIXTURE(dbg) {
	struct sev_vm vm;
	struct sev_holdings before;
	/* What is in the guest's pages from DATA on, as it sees them. */
	uint8_t want[PAGES * PAGE];
	uint8_t buf[PAGES * PAGE + 64];
};

FIXTURE_VARIANT(dbg) {
	enum sev_memory memory;
};

FIXTURE_VARIANT_ADD(dbg, ordinary) {
	.memory = SEV_MEMORY_DEFAULT,
};

FIXTURE_VARIANT_ADD(dbg, pinned) {
	.memory = SEV_MEMORY_PINNED,
};

FIXTURE_VARIANT_ADD(dbg, restricted) {
	.memory = SEV_MEMORY_PRIVATE,
};

FIXTURE_VARIANT_ADD(dbg, guest_memfd) {
	.memory = SEV_MEMORY_GUEST_MEMFD,
};

static void fill(uint8_t *at, uint64_t seed)
{
	for (size_t i = 0; i < PAGES * PAGE / 8; i++)
		((uint64_t *)at)[i] = sev_guest_pattern(seed, i);
}

/* The guest has written its pages and waits. */
FIXTURE_SETUP(dbg)
{
	struct sev_vm_config cfg = {
		.sev = true, .memory = variant->memory, .program = SEV_GUEST_PRIVATE,
		.args = { DATA, PAGES, FROM, TO },
	};
	struct sev_vm *vm = &self->vm;

	SKIP_IF(variant->memory ? sev_type_unavailable() : sev_unavailable());
	self->before = sev_holdings_now();
	OK_VM(vm, sev_vm_create(vm, &cfg));
	sev_vm_load_guest(vm);
	fill(vm->mem + DATA, FROM);
	OK_VM(vm, sev_vm_launch(vm));
	OK_VM(vm, sev_vm_add_vcpus(vm));
	RUN_VCPU(&vm->vcpus[0], SYNC);
	fill(self->want, TO);
}

FIXTURE_TEARDOWN(dbg)
{
	sev_vm_destroy(&self->vm);
	NOTHING_LEFT_SINCE(&self->before);
}

#define OK(call)	OK_VM(&self->vm, call)
#define PRIVATE		sev_vm_is_private(&self->vm)

static const struct {
	uint32_t offset, len;
} places[] = {
	{ 0, 16 }, { 0, PAGE }, { 0, PAGES * PAGE }, { 16, PAGE }, { 32, 4064 },	/* aligned */
	{ 1, 1 }, { 5, 21 }, { 15, 2 }, { 0x7f8, 16 }, { 3, 4000 },			/* in a page */
	{ PAGE - 1, 2 }, { PAGE - 7, 3 * PAGE }, { PAGES * PAGE - 1, 1 },		/* across */
};

TEST_F_TIMEOUT(dbg, decrypt, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		for (uint32_t to = 0; to < 32; to += 11) {
			uint32_t offset = places[i].offset, len = places[i].len;

			memset(self->buf, 0xee, sizeof(self->buf));
			ASSERT_EQ(0, sev_dbg_decrypt(vm, vm->mem + DATA + offset,
						     self->buf + to, len)) {
				TH_LOG("%u+%u to %u: %s", offset, len, to, vm->error);
			}
			EXPECT_EQ(0, memcmp(self->want + offset, self->buf + to, len)) {
				TH_LOG("%u+%u to %u", offset, len, to);
			}
			/* Rounded to 16 bytes at the most. */
			for (uint32_t j = 0; j + 16 < to; j++)
				EXPECT_EQ(0xee, self->buf[j]);
		}
	}
	RUN_VCPU(&vm->vcpus[0], DONE);
}

TEST_F_TIMEOUT(dbg, encrypt_aligned, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	static uint8_t new[PAGES * PAGE] __aligned(4096);

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		uint32_t offset = places[i].offset, len = places[i].len;

		if (offset % 16 || len % 16)
			continue;
		for (uint32_t j = 0; j < len; j++)
			new[j] = i * 31 + j;
		ASSERT_EQ(0, sev_dbg_encrypt(vm, new, vm->mem + DATA + offset, len)) {
			TH_LOG("%u+%u: %s", offset, len, vm->error);
		}
		memcpy(self->want + offset, new, len);
		OK(sev_vm_peek(vm, DATA, self->buf, PAGES * PAGE));
		EXPECT_EQ(0, memcmp(self->want, self->buf, PAGES * PAGE)) {
			TH_LOG("%u+%u", offset, len);
		}
	}
	/* The guest agrees: this is not what it wrote. */
	RUN_VCPU(&vm->vcpus[0], ASSERT);
}

/* Pieces that are not of 16 bytes are read, changed and written by KVM. */
TEST_F_TIMEOUT(dbg, encrypt_unaligned, SEV_TEST_SECONDS)
{
	static const struct {
		uint32_t from, to, len;
	} pieces[] = {
		{ 0, 0, 5 }, { 0, 3, 4 }, { 1, 0, 16 }, { 7, 32, 48 }, { 3, 0x105, 1 }, { 0, 0x7f0, 13 },
		{ 1, PAGE - 16, 16 },
	};
	struct sev_vm *vm = &self->vm;
	static uint8_t new[PAGE] __aligned(4096);

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		for (uint32_t j = 0; j < PAGE; j++)
			new[j] = i * 31 + j * 3;
		ASSERT_EQ(0, sev_dbg_encrypt(vm, new + pieces[i].from, vm->mem + DATA + pieces[i].to,
					     pieces[i].len)) {
			TH_LOG("piece %zu: %s", i, vm->error);
		}
		memcpy(self->want + pieces[i].to, new + pieces[i].from, pieces[i].len);
		OK(sev_vm_peek(vm, DATA, self->buf, PAGES * PAGE));
		EXPECT_EQ(0, memcmp(self->want, self->buf, PAGES * PAGE)) {
			TH_LOG("piece %zu", i);
		}
	}
}

/* The guest goes on with what the host wrote. */
TEST_F_TIMEOUT(dbg, guest_reads_it, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	static uint8_t other[PAGES * PAGE] __aligned(4096);

	fill(other, TO + 1);
	OK(sev_dbg_encrypt(vm, other, vm->mem + DATA, PAGES * PAGE));
	OK(sev_dbg_encrypt(vm, self->want, vm->mem + DATA, PAGES * PAGE));
	RUN_VCPU(&vm->vcpus[0], DONE);
}

/*
 * Both sides guest memory: decrypted from one page into another, where the plain text lies as the
 * guest cannot read it, and from there encrypted into a third. The second page must not have lines of
 * the guest in a cache, which would come over the plain text: a command that reads it meets them before.
 */
TEST_F_TIMEOUT(dbg, guest_to_guest, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	uint8_t *a = vm->mem + DATA, *b = vm->mem + DATA + 2 * PAGE, *c = vm->mem + DATA + 4 * PAGE;

	OK(sev_vm_peek(vm, DATA + 2 * PAGE, self->buf, 2 * PAGE));
	OK(sev_dbg_decrypt(vm, a, b, 2 * PAGE));
	OK(sev_dbg_encrypt(vm, b, c, 2 * PAGE));
	OK(sev_vm_peek(vm, DATA, self->buf, PAGES * PAGE));
	EXPECT_EQ(0, memcmp(self->want, self->buf, 2 * PAGE));
	EXPECT_EQ(0, memcmp(self->want, self->buf + 4 * PAGE, 2 * PAGE));
	EXPECT_EQ(0, memcmp(self->want + 6 * PAGE, self->buf + 6 * PAGE, 2 * PAGE));
	if (!PRIVATE)
		return;
	/* KVM would have to read the source as memory of the VMM, which it is not. */
	EXPECT_EQ(-EINVAL, sev_dbg_encrypt(vm, b + 1, c, 16));
	EXPECT_EQ(-EINVAL, sev_dbg_encrypt(vm, b, c, 5));
	EXPECT_EQ(-EINVAL, sev_dbg_decrypt(vm, a + 1, b, 16));
}

/* Of the VMM's mapping of private pages nothing is read, written, or made resident. */
TEST_F_TIMEOUT(dbg, mapping_is_not_involved, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	static uint8_t page[PAGE] __aligned(4096);

	if (!PRIVATE)
		return;
	ASSERT_EQ(0, madvise(vm->mem, vm->cfg.pages * PAGE, MADV_DONTNEED));
	OK(sev_vm_peek(vm, DATA, self->buf, PAGES * PAGE));
	EXPECT_EQ(0, memcmp(self->want, self->buf, PAGES * PAGE));
	OK(sev_dbg_encrypt(vm, self->want, vm->mem + DATA, PAGE));
	OK(sev_dbg_encrypt(vm, self->want, vm->mem + DATA, 5));
	OK(sev_dbg_decrypt(vm, vm->mem + DATA, vm->mem + DATA + PAGE, PAGE));
	EXPECT_EQ(0, pvm_resident(vm->mem, vm->cfg.pages * PAGE));
	EXPECT_EQ((long)vm->cfg.pages, pvm_file_pages(vm->file));
	/* Nor when it is not there at all. */
	ASSERT_EQ(0, mprotect(vm->mem + DATA, PAGES * PAGE, PROT_NONE));
	OK(sev_dbg_encrypt(vm, self->want, vm->mem + DATA, PAGE));
	OK(sev_vm_peek(vm, DATA, page, PAGE));
	EXPECT_EQ(0, memcmp(self->want, page, PAGE));
	EXPECT_EQ(0, sev_holdings_now().pinned - self->before.pinned);
}

/* A shared frame is the VMM's page. */
TEST_F_TIMEOUT(dbg, shared_frames, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	uint8_t *page = vm->mem + DATA + 3 * PAGE;

	if (!PRIVATE)
		return;
	OK(sev_vm_set_private(vm, DATA + 3 * PAGE, PAGE, false));
	ASSERT_EQ(0, pvm_punch(vm->file, DATA + 3 * PAGE, PAGE));
	memset(page, 0x11, PAGE);
	OK(sev_dbg_decrypt(vm, vm->mem + DATA, page, PAGE));
	EXPECT_EQ(0, memcmp(self->want, page, PAGE));
	/* The page holds plain text now, and is a source like any other. */
	OK(sev_dbg_encrypt(vm, page, vm->mem + DATA + PAGE, PAGE));
	OK(sev_vm_peek(vm, DATA + PAGE, self->buf, PAGE));
	EXPECT_EQ(0, memcmp(self->want, self->buf, PAGE));
	EXPECT_EQ((long)vm->cfg.pages - 1, pvm_file_pages(vm->file));
}

TEST_F_TIMEOUT(dbg, bad_ranges, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;

	EXPECT_EQ(-EINVAL, sev_dbg_decrypt(vm, vm->mem + DATA, self->buf, 0));
	EXPECT_EQ(-EINVAL, sev_dbg_decrypt(vm, (void *)-16, self->buf, 32));
	EXPECT_EQ(-EINVAL, sev_dbg_encrypt(vm, self->buf, NULL, 16));
	EXPECT_NE(0, sev_dbg_decrypt(vm, (void *)PAGE, self->buf, 16));
	EXPECT_NE(0, sev_dbg_decrypt(vm, vm->mem + DATA, (void *)PAGE, 16));
	EXPECT_NE(0, sev_dbg_decrypt(vm, vm->mem + DATA + 1, (void *)PAGE, 16));
	EXPECT_NE(0, sev_dbg_encrypt(vm, (void *)PAGE, vm->mem + DATA, 16));
	RUN_VCPU(&vm->vcpus[0], DONE);
}

TEST_HARNESS_MAIN
