// SPDX-License-Identifier: GPL-2.0-only
/*
 * LAUNCH_UPDATE_DATA and LAUNCH_SECRET on private memory: what the VMM's mapping holds goes into
 * private pages, at any place that the stock path takes, and the guest's owner measures the same.
 * And what does not go: bad ranges are refused, and the VM can go on or be destroyed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"
#include "sev_crypto.h"
#include "sev_holdings.h"
#include "sev_test.h"

#define PAGE		SEV_PAGE_SIZE
#define SIZE		(SEV_DEFAULT_PAGES * PAGE)

/* All that was given to LAUNCH_UPDATE_DATA, one after the other. */
struct fed {
	uint8_t *data;
	size_t len, room;
};

FIXTURE(update) {
	struct sev_vm vm;
	struct sev_keys keys;
	struct sev_holdings before;
	struct fed fed;
};

FIXTURE_VARIANT(update) {
	enum sev_memory memory;
};

FIXTURE_VARIANT_ADD(update, ordinary) {
	.memory = SEV_MEMORY_DEFAULT,
};

FIXTURE_VARIANT_ADD(update, pinned) {
	.memory = SEV_MEMORY_PINNED,
};

FIXTURE_VARIANT_ADD(update, restricted) {
	.memory = SEV_MEMORY_PRIVATE,
};

FIXTURE_VARIANT_ADD(update, guest_memfd) {
	.memory = SEV_MEMORY_GUEST_MEMFD,
};

FIXTURE_SETUP(update)
{
	struct sev_vm_config cfg = { .sev = true, .memory = variant->memory, .program = SEV_GUEST_COUNT,
				     .args = { SEV_GUEST_DATA } };

	SKIP_IF(variant->memory ? sev_type_unavailable() : sev_unavailable());
	ASSERT_TRUE(sev_crypto_init(&self->keys));
	self->before = sev_holdings_now();
	OK_VM(&self->vm, sev_vm_create(&self->vm, &cfg));
	for (size_t i = 0; i < SIZE / 8; i++)
		((uint64_t *)self->vm.mem)[i] = sev_guest_pattern(1, i);
	self->fed = (struct fed) { .data = malloc(4 * SIZE), .room = 4 * SIZE };
	ASSERT_NE(NULL, self->fed.data);
}

FIXTURE_TEARDOWN(update)
{
	free(self->fed.data);
	sev_vm_destroy(&self->vm);
	NOTHING_LEFT_SINCE(&self->before);
}

#define OK(call)		OK_VM(&self->vm, call)
#define REFUSED(status, call)	REFUSED_VM(&self->vm, status, call)
#define PRIVATE			sev_vm_is_private(&self->vm)

static int feed(struct sev_vm *vm, struct fed *fed, uint64_t gpa, uint32_t len)
{
	if (fed->len + len > fed->room)
		return -E2BIG;
	memcpy(fed->data + fed->len, vm->mem + gpa, len);
	fed->len += len;
	return sev_launch_update(vm, vm->mem + gpa, len);
}

/* The firmware measured what was fed, and nothing else. */
static bool measured_as_fed(struct sev_vm *vm, const struct sev_keys *keys, const struct fed *fed)
{
	uint8_t digest[SEV_DIGEST_LEN], want[SEV_DIGEST_LEN], blob[SEV_MEASURE_LEN];
	struct sev_piece piece = { fed->data, fed->len };
	struct sev_user_data_status platform;
	uint32_t len = sizeof(blob);

	if (sev_launch_measure(vm, blob, &len) || sev_platform_status(&platform))
		return false;
	sev_digest(&piece, 1, digest);
	return sev_measurement(keys, &platform, 0, digest, blob + SEV_DIGEST_LEN, want) &&
	       !memcmp(want, blob, sizeof(want));
}

/* What the guest would find. */
static int found(struct sev_vm *vm, uint64_t gpa, const void *want, uint32_t len)
{
	static uint8_t buf[SIZE] __aligned(4096);
	int ret = sev_vm_peek(vm, gpa, buf, len);

	return ret ? ret : memcmp(want, buf, len) ? -EILSEQ : 0;
}

/* Offsets and lengths that the firmware takes: multiples of 16, across any number of pages. */
static const struct range {
	uint64_t gpa;
	uint32_t len;
} ranges[] = {
	{ 0x10000, PAGE },			/* a page */
	{ 0x11000, 16 },			/* the start of one */
	{ 0x12000 + PAGE - 16, 16 },		/* its end */
	{ 0x13000 + 0x7f0, 176 },		/* inside, as the hashes of a kernel are */
	{ 0x14000 + PAGE - 16, 32 },		/* across a boundary */
	{ 0x16000 + 16, PAGE - 16 },		/* all but the start */
	{ 0x17000, PAGE - 16 },			/* all but the end */
	{ 0x18000 + 16, 2 * PAGE },		/* three pages, none of the outer ones whole */
	{ 0x1c000 + PAGE - 16, 3 * PAGE + 32 },	/* five */
	{ 0x30000, 64 * PAGE },
	{ SEV_GUEST_DATA, 0x40000 },		/* contiguous, if that makes a difference */
	{ SIZE - 16, 16 },			/* the last there is */
	{ 0, 16 },
};

TEST_F_TIMEOUT(update, places, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	static uint8_t plain[SIZE];

	memcpy(plain, vm->mem, SIZE);
	OK(sev_launch_start(vm, 0, 0));
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		ASSERT_EQ(0, feed(vm, &self->fed, ranges[i].gpa, ranges[i].len)) {
			TH_LOG("range %zu: %s", i, vm->error);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		EXPECT_EQ(0, found(vm, ranges[i].gpa, plain + ranges[i].gpa, ranges[i].len)) {
			TH_LOG("range %zu: %s", i, vm->error);
		}
	}
	EXPECT_TRUE(measured_as_fed(vm, &self->keys, &self->fed));
	if (!PRIVATE)
		return;
	/* The VMM's copy was read and is not what the guest has. */
	EXPECT_EQ(0, memcmp(plain, vm->mem, SIZE));
	memset(vm->mem, 0xee, SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		EXPECT_EQ(0, found(vm, ranges[i].gpa, plain + ranges[i].gpa, ranges[i].len));
	EXPECT_EQ(0, madvise(vm->mem, SIZE, MADV_DONTNEED));
	EXPECT_EQ(0, found(vm, SEV_GUEST_DATA, plain + SEV_GUEST_DATA, 0x40000));
}

TEST_F_TIMEOUT(update, only_what_was_fed_is_resident, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;

	if (!PRIVATE)
		return;
	OK(sev_launch_start(vm, 0, 0));
	EXPECT_EQ(0, pvm_file_pages(vm->file));
	OK(feed(vm, &self->fed, PAGE - 16, 32));
	EXPECT_EQ(2, pvm_file_pages(vm->file));
	OK(feed(vm, &self->fed, 8 * PAGE, 4 * PAGE));
	EXPECT_EQ(6, pvm_file_pages(vm->file));
	OK(feed(vm, &self->fed, 8 * PAGE + 16, PAGE));
	EXPECT_EQ(6, pvm_file_pages(vm->file));
	EXPECT_EQ(0, sev_holdings_now().pinned - self->before.pinned);
	EXPECT_TRUE(measured_as_fed(vm, &self->keys, &self->fed));
}

/* A page that is fed in pieces, out of order and the last one anew. */
TEST_F_TIMEOUT(update, pieces_of_a_page, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	static uint8_t plain[PAGE];

	memcpy(plain, vm->mem + SEV_GUEST_DATA, PAGE);
	OK(sev_launch_start(vm, 0, 0));
	for (int i = 0; i < 16; i++) {
		int piece = i * 7 % 16;

		OK(feed(vm, &self->fed, SEV_GUEST_DATA + piece * 256, 256));
	}
	EXPECT_EQ(0, found(vm, SEV_GUEST_DATA, plain, PAGE));
	memset(plain + 512, 0x3c, 256);
	memcpy(vm->mem + SEV_GUEST_DATA + 512, plain + 512, 256);
	OK(feed(vm, &self->fed, SEV_GUEST_DATA + 512, 256));
	EXPECT_EQ(0, found(vm, SEV_GUEST_DATA, plain, PAGE));
	EXPECT_TRUE(measured_as_fed(vm, &self->keys, &self->fed));
}

/* From the VMM's memory as the VMM has it: not touched yet, or not to be written. */
TEST_F_TIMEOUT(update, mappings, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	static const uint8_t zero[PAGE];

	OK(sev_launch_start(vm, 0, 0));
	ASSERT_EQ(0, madvise(vm->mem + SEV_GUEST_DATA, 2 * PAGE, MADV_DONTNEED));
	OK(feed(vm, &self->fed, SEV_GUEST_DATA, PAGE));
	EXPECT_EQ(0, found(vm, SEV_GUEST_DATA, zero, PAGE));
	if (PRIVATE) {
		/* Reading is all that is needed of it. */
		ASSERT_EQ(0, mprotect(vm->mem + 0x20000, PAGE, PROT_READ));
		OK(feed(vm, &self->fed, 0x20000, PAGE));
		EXPECT_EQ(0, found(vm, 0x20000, vm->mem + 0x20000, PAGE));
	}
	EXPECT_TRUE(measured_as_fed(vm, &self->keys, &self->fed));
}

static int guest_state(struct sev_vm *vm)
{
	struct kvm_sev_guest_status status;
	int ret = sev_guest_status(vm, &status);

	return ret ? ret : (int)status.state;
}

TEST_F_TIMEOUT(update, bad_ranges, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;

	OK(sev_launch_start(vm, 0, 0));
	EXPECT_EQ(-EINVAL, sev_launch_update(vm, vm->mem, 0));
	REFUSED(SEV_RET_INVALID_LEN, sev_launch_update(vm, vm->mem, 8));
	REFUSED(SEV_RET_INVALID_LEN, sev_launch_update(vm, vm->mem, 24));
	REFUSED(SEV_RET_INVALID_ADDRESS, sev_launch_update(vm, vm->mem + 8, 16));
	EXPECT_EQ(-EINVAL, sev_launch_update(vm, (void *)-PAGE, 2 * PAGE));
	EXPECT_EQ(SEV_GUEST_STATE_LUPDATE, guest_state(vm));
	/* Nothing of these was measured. */
	OK(feed(vm, &self->fed, 0, PAGE));
	EXPECT_TRUE(measured_as_fed(vm, &self->keys, &self->fed));
}

/* Of a mapping that ends in the middle nothing is encrypted, or the VM is of no use: it can go. */
TEST_F_TIMEOUT(update, mapping_gone, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	int ret;

	OK(sev_launch_start(vm, 0, 0));
	ASSERT_EQ(0, mprotect(vm->mem + 4 * PAGE, PAGE, PROT_NONE));
	ret = sev_launch_update(vm, vm->mem + 4 * PAGE, PAGE);
	EXPECT_TRUE(ret == -EFAULT || ret == -ENOMEM) {
		TH_LOG("%s", vm->error);
	}
	ret = sev_launch_update(vm, vm->mem, 16 * PAGE);
	EXPECT_TRUE(ret == -EFAULT || ret == -ENOMEM) {
		TH_LOG("%s", vm->error);
	}
	ASSERT_EQ(0, munmap(vm->mem + 4 * PAGE, PAGE));
	ret = sev_launch_update(vm, vm->mem + 4 * PAGE, 16);
	EXPECT_TRUE(ret == -EFAULT || ret == -ENOMEM) {
		TH_LOG("%s", vm->error);
	}
	EXPECT_EQ(SEV_GUEST_STATE_LUPDATE, guest_state(vm));
}

/* What is shared has no private page: encrypting the VMM's page in place would be of no use. */
TEST_F_TIMEOUT(update, shared_frames, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;

	if (!PRIVATE)
		return;
	OK(sev_launch_start(vm, 0, 0));
	OK(sev_vm_set_private(vm, SEV_GUEST_DATA, PAGE, false));
	EXPECT_EQ(-EINVAL, sev_launch_update(vm, vm->mem + SEV_GUEST_DATA, PAGE));
	EXPECT_EQ(-EINVAL, sev_launch_update(vm, vm->mem + SEV_GUEST_DATA + PAGE - 16, 32));
	EXPECT_EQ(-EINVAL, sev_launch_update(vm, vm->mem + SEV_GUEST_DATA - PAGE, 3 * PAGE));
	EXPECT_EQ(SEV_GUEST_STATE_LUPDATE, guest_state(vm));
	EXPECT_EQ(0, sev_holdings_now().pinned - self->before.pinned);
	/* Its neighbours are private, and it can be, too. */
	OK(sev_launch_update(vm, vm->mem + SEV_GUEST_DATA + PAGE, PAGE));
	OK(sev_vm_set_private(vm, SEV_GUEST_DATA, PAGE, true));
	OK(sev_launch_update(vm, vm->mem + SEV_GUEST_DATA, PAGE));
}

/* In place, as stock, where memory has no private half: firmware in flash is such. */
TEST_F_TIMEOUT(update, slot_without_file, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	static uint8_t plain[2 * PAGE], copy[2 * PAGE] __aligned(4096);

	memset(vm->shared, 0x5a, 2 * PAGE);
	memcpy(plain, vm->shared, 2 * PAGE);
	OK(sev_launch_start(vm, 0, 0));
	OK(sev_launch_update(vm, vm->shared + 16, PAGE));
	memcpy(self->fed.data, plain + 16, PAGE);
	self->fed.len = PAGE;
	OK(sev_dbg_decrypt(vm, vm->shared + 16, copy, PAGE));
	EXPECT_EQ(0, memcmp(plain + 16, copy, PAGE));
	OK(feed(vm, &self->fed, 0, PAGE));
	EXPECT_TRUE(measured_as_fed(vm, &self->keys, &self->fed));
	if (PRIVATE)
		EXPECT_EQ(1, pvm_file_pages(vm->file));
}

/* Two slots whose mappings are neighbours, and frames of which are not. */
TEST_F_TIMEOUT(update, across_slots, SEV_TEST_SECONDS)
{
	const uint64_t half = SIZE / 2, far = 0x20000000;
	struct sev_vm *vm = &self->vm;
	static uint8_t plain[SIZE];
	int file;

	if (variant->memory != SEV_MEMORY_PRIVATE)
		return;
	memcpy(plain, vm->mem, SIZE);
	file = pvm_create_file(NULL, PVM_RESTRICTED, half);
	ASSERT_LE(0, file);
	OK(sev_vm_set_slot(vm, 0, 0, NULL, 0, -1, 0));
	OK(sev_vm_set_slot(vm, 0, 0, vm->mem, half / PAGE, vm->file, 0));
	OK(sev_vm_set_slot(vm, 2, far, vm->mem + half, half / PAGE, file, 0));
	OK(sev_vm_set_private(vm, far, half, true));
	OK(sev_launch_start(vm, 0, 0));
	OK(feed(vm, &self->fed, half - 2 * PAGE, 4 * PAGE));
	EXPECT_EQ(2, pvm_file_pages(vm->file));
	EXPECT_EQ(2, pvm_file_pages(file));
	EXPECT_EQ(0, found(vm, half - 2 * PAGE, plain + half - 2 * PAGE, 4 * PAGE));
	EXPECT_TRUE(measured_as_fed(vm, &self->keys, &self->fed));
	close(file);
}

/* One mapping shown by two slots: the private pages are those of the slot that has some. */
TEST_F_TIMEOUT(update, mapping_of_two_slots, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	static uint8_t plain[SIZE];

	if (!PRIVATE)
		return;
	memcpy(plain, vm->mem, SIZE);
	OK(sev_vm_set_slot(vm, 2, 0x20000000, vm->mem, SEV_DEFAULT_PAGES, -1, 0));
	OK(sev_launch_start(vm, 0, 0));
	OK(feed(vm, &self->fed, SEV_GUEST_DATA, 2 * PAGE));
	EXPECT_EQ(2, pvm_file_pages(vm->file));
	EXPECT_EQ(0, found(vm, SEV_GUEST_DATA, plain + SEV_GUEST_DATA, 2 * PAGE));
	EXPECT_EQ(0, memcmp(plain, vm->mem, SIZE));
	OK(sev_vm_set_slot(vm, 2, 0, NULL, 0, -1, 0));
	EXPECT_EQ(0, found(vm, SEV_GUEST_DATA, plain + SEV_GUEST_DATA, 2 * PAGE));
}

/* A range that begins in a slot and ends in none: what no slot shows is encrypted where it is. */
TEST_F_TIMEOUT(update, end_of_the_slot, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	const uint64_t half = SIZE / 2;

	if (!PRIVATE)
		return;
	OK(sev_vm_set_slot(vm, 0, 0, NULL, 0, -1, 0));
	OK(sev_vm_set_slot(vm, 0, 0, vm->mem, half / PAGE, vm->file, 0));
	OK(sev_launch_start(vm, 0, 0));
	OK(feed(vm, &self->fed, half - PAGE, 2 * PAGE));
	EXPECT_EQ(1, pvm_file_pages(vm->file));
	EXPECT_EQ(0, found(vm, half - PAGE, self->fed.data, 2 * PAGE));
	EXPECT_TRUE(measured_as_fed(vm, &self->keys, &self->fed));
}

/* Lost to a memory error: no command finds it, until the VMM gives it up. */
TEST_F_TIMEOUT(update, poisoned_page, SEV_TEST_SECONDS)
{
	static unsigned long pfns[SEV_DEFAULT_PAGES];
	struct sev_vm *vm = &self->vm;
	uint64_t page = SEV_GUEST_DATA / PAGE;
	struct rmem_trace trace;
	uint8_t buf[16];
	char text[32];

	if (!PRIVATE)
		return;
	OK(sev_launch_start(vm, 0, 0));
	ASSERT_EQ(0, rmem_trace_start(&trace));
	OK(sev_launch_update(vm, vm->mem + SEV_GUEST_DATA, 2 * PAGE));
	EXPECT_EQ(2, rmem_trace_pfns(&trace, pfns, SEV_DEFAULT_PAGES));
	rmem_trace_stop(&trace);
	ASSERT_NE(0, pfns[page]);
	snprintf(text, sizeof(text), "%#lx", pfns[page] * PAGE);
	ASSERT_EQ(0, rmem_write("/sys/devices/system/memory/hard_offline_page", text));
	EXPECT_EQ(1, pvm_file_pages(vm->file));

	EXPECT_EQ(-EHWPOISON, sev_launch_update(vm, vm->mem + SEV_GUEST_DATA, 16));
	EXPECT_EQ(-EHWPOISON, sev_launch_update(vm, vm->mem + SEV_GUEST_DATA - PAGE, 3 * PAGE));
	EXPECT_EQ(-EHWPOISON, sev_vm_peek(vm, SEV_GUEST_DATA, buf, sizeof(buf)));
	EXPECT_EQ(-EHWPOISON, sev_dbg_encrypt(vm, buf, vm->mem + SEV_GUEST_DATA, sizeof(buf)));
	OK(sev_vm_peek(vm, SEV_GUEST_DATA + PAGE, buf, sizeof(buf)));
	ASSERT_EQ(0, pvm_punch(vm->file, SEV_GUEST_DATA, PAGE));
	OK(sev_launch_update(vm, vm->mem + SEV_GUEST_DATA, PAGE));
	EXPECT_EQ(0, found(vm, SEV_GUEST_DATA, vm->mem + SEV_GUEST_DATA, PAGE));
}

struct puncher {
	int file;
	atomic_bool stop;
	unsigned long punches;
	int error;
};

static void *punch_all_the_time(void *data)
{
	struct puncher *p = data;
	unsigned int seed = 1;

	while (!p->stop && !p->error) {
		uint64_t at = rand_r(&seed) % SEV_DEFAULT_PAGES;

		p->error = pvm_punch(p->file, at * PAGE, 32 * PAGE);
		p->punches++;
	}
	return NULL;
}

/* A punch that wins takes the result, not more; the measurement is of what was fed. */
TEST_F_TIMEOUT(update, punched_meanwhile, SEV_TEST_SECONDS)
{
	struct puncher puncher = { .file = self->vm.file };
	struct sev_vm *vm = &self->vm;
	pthread_t thread;

	if (!PRIVATE)
		return;
	OK(sev_launch_start(vm, 0, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, punch_all_the_time, &puncher));
	for (unsigned int i = 0; i < 400; i++) {
		uint64_t gpa = i * 0x7350 % (SIZE - 16 * PAGE) & -16ull;

		if (feed(vm, &self->fed, gpa, 2 * PAGE + i % 64 * 16))
			break;
	}
	puncher.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, puncher.error);
	EXPECT_LT(0, puncher.punches);
	EXPECT_TRUE(measured_as_fed(vm, &self->keys, &self->fed));
	ASSERT_EQ(0, pvm_punch(vm->file, 0, SIZE));
	EXPECT_EQ(0, pvm_file_pages(vm->file));
}

static void *convert_all_the_time(void *data)
{
	FIXTURE_DATA(update) *self = data;
	unsigned int seed = 1;

	for (unsigned int i = 0; i < 3000; i++) {
		uint64_t at = rand_r(&seed) % (SEV_DEFAULT_PAGES - 8);

		if (sev_vm_set_private(&self->vm, at * PAGE, 8 * PAGE, i % 2))
			return (void *)1;
	}
	return NULL;
}

/* A conversion at the same time: each piece is fed or refused, and nothing else. */
TEST_F_TIMEOUT(update, converted_meanwhile, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	unsigned int fed = 0;
	pthread_t thread;
	void *failed;

	if (!PRIVATE)
		return;
	OK(sev_launch_start(vm, 0, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, convert_all_the_time, self));
	for (unsigned int i = 0; i < 300; i++) {
		int ret = sev_launch_update(vm, vm->mem + i * 0x7350 % (SIZE - PAGE) / 16 * 16, 256);

		EXPECT_TRUE(!ret || ret == -EINVAL) {
			TH_LOG("%d", ret);
		}
		fed += !ret;
	}
	pthread_join(thread, &failed);
	EXPECT_EQ(NULL, failed);
	EXPECT_LT(0, fed);
	EXPECT_EQ(SEV_GUEST_STATE_LUPDATE, guest_state(vm));
	EXPECT_EQ(0, sev_holdings_now().pinned - self->before.pinned);
}

/* Secrets: where the owner wants them, inside of a page. */
static int seal(FIXTURE_DATA(update) *self, struct sev_secret_header *hdr, uint8_t *data, uint32_t len,
		const uint8_t *blob)
{
	memset(hdr, 0, sizeof(*hdr));
	memcpy(hdr->iv, "counter block 16", 16);
	return sev_seal_secret(&self->keys, hdr, data, len, blob) ? 0 : -EIO;
}

static int inject(struct sev_vm *vm, struct sev_secret_header *hdr, uint8_t *data, uint32_t len,
		  uint64_t gpa)
{
	struct kvm_sev_launch_secret secret = {
		.hdr_uaddr = (uintptr_t)hdr, .hdr_len = sizeof(*hdr),
		.guest_uaddr = (uintptr_t)vm->mem + gpa, .guest_len = len,
		.trans_uaddr = (uintptr_t)data, .trans_len = len,
	};

	return sev_launch_secret(vm, &secret);
}

TEST_F_TIMEOUT(update, secrets, SEV_TEST_SECONDS)
{
	static const struct range places[] = {
		{ SEV_GUEST_DATA, PAGE }, { SEV_GUEST_DATA + 2 * PAGE, 16 },
		{ SEV_GUEST_DATA + 4 * PAGE - 16, 16 }, { SEV_GUEST_DATA + 5 * PAGE + 0x120, 0x340 },
	};
	uint8_t blob[SEV_MEASURE_LEN], plain[PAGE], sealed[PAGE];
	struct sev_secret_header hdr;
	struct sev_vm *vm = &self->vm;
	uint32_t len = sizeof(blob);

	sev_vm_load_guest(vm);
	OK(sev_launch_start(vm, 0, 0));
	OK(sev_launch_update(vm, vm->mem, 16 * PAGE));
	OK(sev_launch_measure(vm, blob, &len));
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = i * 7 + i / 256;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		memcpy(sealed, plain, places[i].len);
		ASSERT_EQ(0, seal(self, &hdr, sealed, places[i].len, blob));
		OK(inject(vm, &hdr, sealed, places[i].len, places[i].gpa));
		EXPECT_EQ(0, found(vm, places[i].gpa, plain, places[i].len));
	}
	if (!PRIVATE)
		return;
	/* The VMM's page saw nothing of it. */
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		EXPECT_NE(0, memcmp(vm->mem + places[i].gpa, plain, places[i].len));
	/* Private pages are next to each other by luck only, and that does not count. */
	memcpy(sealed, plain, 32);
	ASSERT_EQ(0, seal(self, &hdr, sealed, 32, blob));
	for (uint64_t page = 1; page < 16; page++)
		EXPECT_EQ(-EINVAL, inject(vm, &hdr, sealed, 32, page * PAGE - 16));
	EXPECT_EQ(0, sev_holdings_now().pinned - self->before.pinned);
}

TEST_HARNESS_MAIN
