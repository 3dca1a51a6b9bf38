// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the encrypted memory of a SEV guest is to everybody else. The host sees the VM's mapping,
 * which is the guest's memory as it lies in DRAM; it moves pages, changes bits, gives a page to
 * another guest, and the guest says what it then reads.
 *
 * Needs a machine that encrypts (enc=xts). SEV_PARANOID=1: it has paranoid=on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "sev_machine.h"
#include "sev_test.h"

#define PAGE		SEV_PAGE_SIZE
#define WORDS		(PAGE / sizeof(uint64_t))
#define DATA		SEV_GUEST_DATA
#define PAGES		4ul
#define ALL		SEV_PAGE_BLOCKS

#define OK(call)	OK_VM(&self->vm, call)
#define RUN(event)	RUN_VCPU(&self->vm.vcpus[0], event)

FIXTURE(enc) {
	struct sev_vm vm, other;
	uint8_t *data;			/* the guest's pages as the host has them */
};

FIXTURE_SETUP(enc)
{
	SKIP_IF(sev_unavailable());
}

FIXTURE_TEARDOWN(enc)
{
	/* What was never made has no descriptors but zeros. */
	if (self->other.cfg.sev)
		sev_vm_destroy(&self->other);
	if (self->vm.cfg.sev)
		sev_vm_destroy(&self->vm);
}

#define BOOT(vm_, ...) do {						\
	struct sev_vm_config cfg_ = { .sev = true, __VA_ARGS__ };	\
									\
	OK_VM(vm_, sev_vm_boot(vm_, &cfg_));				\
	self->data = self->vm.mem + DATA;				\
} while (0)

/* The guest writes pages of a pattern and says how much of it is there, on demand. */
#define BOOT_COMPARING(vm_)						\
	BOOT(vm_, .program = SEV_GUEST_COMPARE, .args = { DATA, PAGES, 7, 1 })

/* Have @vcpu count the blocks of @pages pages that are as they were written. */
static bool compare(struct sev_vcpu *vcpu, uint64_t pages)
{
	vcpu->nr_values = 0;
	return sev_vcpu_run(vcpu, SEV_RUN_DEADLINE_MS) == SEV_EVENT_SYNC &&
	       vcpu->nr_values == pages;
}

#define EXPECT_BLOCKS(vcpu_, ...) do {					\
	const uint64_t want_[] = { __VA_ARGS__ };			\
	const unsigned int n_ = sizeof(want_) / sizeof(*want_);	\
									\
	ASSERT_TRUE(compare(vcpu_, n_)) TH_LOG("%s", (vcpu_)->vm->error);	\
	for (unsigned int i_ = 0; i_ < n_; i_++) {			\
		EXPECT_EQ(want_[i_], (vcpu_)->values[i_]) TH_LOG("page %u", i_);	\
	}								\
} while (0)

/* Blocks of the pattern that the host finds in what it sees. */
static unsigned int plain_blocks(const uint8_t *mem, uint64_t pages, uint64_t seed)
{
	const uint64_t *words = (const void *)mem;
	unsigned int n = 0;

	for (uint64_t i = 0; i < pages * WORDS; i += 2)
		n += words[i] == sev_guest_pattern(seed, i) &&
		     words[i + 1] == sev_guest_pattern(seed, i + 1);
	return n;
}

static unsigned int same_blocks(const uint8_t *a, const uint8_t *b)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < PAGE; i += SEV_BLOCK_SIZE)
		n += !memcmp(a + i, b + i, SEV_BLOCK_SIZE);
	return n;
}

static void swap_pages(uint8_t *a, uint8_t *b)
{
	static uint8_t copy[PAGE];

	memcpy(copy, a, PAGE);
	memcpy(a, b, PAGE);
	memcpy(b, copy, PAGE);
}

TEST_F_TIMEOUT(enc, host_sees_ciphertext, SEV_TEST_SECONDS)
{
	static uint8_t copy[PAGES * PAGE] __aligned(4096);

	BOOT_COMPARING(&self->vm);
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
	EXPECT_EQ(0, plain_blocks(self->data, PAGES, 7));
	OK(sev_vm_peek(&self->vm, DATA, copy, sizeof(copy)));
	EXPECT_EQ(PAGES * ALL, plain_blocks(copy, PAGES, 7));
	/* Nor does what was launched show: the image, and pages of zeros. */
	EXPECT_EQ(0, same_blocks(self->vm.mem + SEV_GUEST_IMAGE, sev_guest_image));
	memset(copy, 0, PAGE);
	EXPECT_EQ(0, same_blocks(self->data + 8 * PAGE, copy));
	EXPECT_EQ(0, same_blocks(self->data + 8 * PAGE, self->data + 9 * PAGE));
}

TEST_F_TIMEOUT(enc, swapped_pages, SEV_TEST_SECONDS)
{
	static uint8_t copy[3 * PAGE] __aligned(4096);

	BOOT_COMPARING(&self->vm);
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
	swap_pages(self->data, self->data + 2 * PAGE);
	EXPECT_BLOCKS(&self->vm.vcpus[0], 0, ALL, 0, ALL);
	/* It is garbage, and not what the other page holds. */
	OK(sev_vm_peek(&self->vm, DATA, copy, sizeof(copy)));
	swap_pages(copy, copy + 2 * PAGE);
	EXPECT_EQ(ALL, plain_blocks(copy, 3, 7));
	swap_pages(self->data, self->data + 2 * PAGE);
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
}

TEST_F_TIMEOUT(enc, flipped_bits, SEV_TEST_SECONDS)
{
	BOOT_COMPARING(&self->vm);
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
	self->data[PAGE + 100] ^= 4;
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL - 1, ALL, ALL);
	self->data[PAGE + 111] ^= 1;
	self->data[PAGE + 112] ^= 1;
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL - 2, ALL, ALL);
	self->data[PAGE + 100] ^= 4;
	self->data[PAGE + 111] ^= 1;
	self->data[PAGE + 112] ^= 1;
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
}

/* An old copy put back in its place is accepted: SEV has no memory of what was there. */
TEST_F_TIMEOUT(enc, ciphertext_copied_back, SEV_TEST_SECONDS)
{
	static uint8_t copy[PAGE];

	BOOT_COMPARING(&self->vm);
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
	memcpy(copy, self->data + PAGE, PAGE);
	memset(self->data + PAGE, 0, PAGE);
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, 0, ALL, ALL);
	memcpy(self->data + PAGE, copy, PAGE / 2);
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL / 2, ALL, ALL);
	memcpy(self->data + PAGE, copy, PAGE);
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
}

/* The kernel copies pages, too, when their ciphertext is moved by a system call. */
TEST_F_TIMEOUT(enc, written_by_a_system_call, SEV_TEST_SECONDS)
{
	static uint8_t copy[PAGE] __aligned(4096);
	int pipes[2];

	BOOT_COMPARING(&self->vm);
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
	memcpy(copy, self->data, PAGE);
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(PAGE, write(pipes[1], self->data + PAGE, PAGE));
	ASSERT_EQ(PAGE, read(pipes[0], self->data, PAGE));
	EXPECT_BLOCKS(&self->vm.vcpus[0], 0, ALL, ALL, ALL);
	ASSERT_EQ(PAGE, write(pipes[1], copy, PAGE));
	ASSERT_EQ(PAGE, read(pipes[0], self->data, PAGE));
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
	close(pipes[0]);
	close(pipes[1]);
}

/* A device reads and writes the guest's pages where they lie. The machine needs a second disk, to write to. */
TEST_F_TIMEOUT(enc, written_by_a_device, SEV_TEST_SECONDS)
{
	static uint8_t copy[PAGE] __aligned(4096);
	int fd = open("/dev/vdb", O_RDWR | O_DIRECT | O_CLOEXEC);

	SKIP_IF(fd < 0 ? "no disk that can be written to" : NULL);
	BOOT_COMPARING(&self->vm);
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
	ASSERT_EQ(PAGE, pwrite(fd, self->data, PAGE, 0));
	ASSERT_EQ(PAGE, pread(fd, copy, PAGE, 0));
	EXPECT_EQ(ALL, same_blocks(copy, self->data));
	EXPECT_EQ(0, plain_blocks(copy, 1, 7));
	ASSERT_EQ(PAGE, pread(fd, self->data + PAGE, PAGE, 0));
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, 0, ALL, ALL);
	memset(self->data, 0, PAGE);
	EXPECT_BLOCKS(&self->vm.vcpus[0], 0, 0, ALL, ALL);
	ASSERT_EQ(PAGE, pread(fd, self->data, PAGE, 0));
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, 0, ALL, ALL);
	close(fd);
}

/* While no guest runs the machine has its plain text, unless it is to forget it: paranoid=on. */
TEST_F_TIMEOUT(enc, plain_text_while_no_guest_runs, SEV_TEST_SECONDS)
{
	bool paranoid = getenv("SEV_PARANOID");
	struct sev_machine machine;

	BOOT_COMPARING(&self->vm);
	ASSERT_EQ(0, sev_machine_open(&machine));
	for (int i = 0; i < 3; i++) {
		uint64_t pages;

		EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
		pages = sev_machine_counter(&machine, SEV_COUNTER_SHADOW_PAGES);
		EXPECT_LE(paranoid ? 0 : PAGES, pages);
		EXPECT_GE(paranoid ? 0 : SEV_DEFAULT_PAGES, pages);
	}
	sev_machine_close(&machine);
}

TEST_F_TIMEOUT(enc, guests_write_differently, SEV_TEST_SECONDS)
{
	BOOT_COMPARING(&self->vm);
	BOOT_COMPARING(&self->other);
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
	EXPECT_BLOCKS(&self->other.vcpus[0], ALL, ALL, ALL, ALL);
	for (uint64_t at = 0; at < PAGES * PAGE; at += PAGE)
		EXPECT_EQ(0, same_blocks(self->data + at, self->other.mem + DATA + at));
}

/* The first guest's page in the second guest, which takes it for its own. */
TEST_F_TIMEOUT(enc, page_of_another_guest, SEV_TEST_SECONDS)
{
	const uint64_t half = SEV_DEFAULT_PAGES * PAGE;

	BOOT_COMPARING(&self->vm);
	BOOT(&self->other, .pages = 2 * SEV_DEFAULT_PAGES, .program = SEV_GUEST_COMPARE,
	     .args = { half, 1, 7, 0 });
	OK_VM(&self->other, sev_vm_set_slot(&self->other, 0, 0, NULL, 0, -1, 0));
	OK_VM(&self->other, sev_vm_set_slot(&self->other, 0, 0, self->other.mem,
					    SEV_DEFAULT_PAGES, -1, 0));
	OK_VM(&self->other, sev_vm_set_slot(&self->other, 3, half, self->data, 1, -1, 0));
	for (int i = 0; i < 3; i++) {
		EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
		EXPECT_BLOCKS(&self->other.vcpus[0], 0);
	}
}

static int boot_mirror(struct sev_vm *mirror, struct sev_vm *source)
{
	int ret = sev_vm_create_mirror(mirror, source);

	return ret ? ret : sev_vm_add_vcpus(mirror);
}

TEST_F_TIMEOUT(enc, mirror_reads_the_same, SEV_TEST_SECONDS)
{
	BOOT_COMPARING(&self->vm);
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
	/* The mirror starts where the guest did, writes the same and reads it. */
	OK_VM(&self->other, boot_mirror(&self->other, &self->vm));
	swap_pages(self->data, self->data + PAGE);
	EXPECT_BLOCKS(&self->vm.vcpus[0], 0, 0, ALL, ALL);
	EXPECT_BLOCKS(&self->other.vcpus[0], ALL, ALL, ALL, ALL);
	EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
	EXPECT_EQ(0, plain_blocks(self->data, PAGES, 7));
}

TEST_F_TIMEOUT(enc, code_is_decrypted_always, SEV_TEST_SECONDS)
{
	BOOT(&self->vm, .program = SEV_GUEST_SHARED_CODE, .args = { DATA, 1 });
	RUN(DONE);
}

TEST_F_TIMEOUT(enc, page_tables_are_decrypted_always, SEV_TEST_SECONDS)
{
	static uint8_t copy[PAGE] __aligned(4096);

	BOOT(&self->vm, .program = SEV_GUEST_SHARED_TABLE, .args = { DATA });
	/* The tables are written; what changes them from here on is the walk. */
	RUN(SYNC);
	RUN(SYNC);
	EXPECT_EQ(0, plain_blocks(self->data + PAGE, 1, 2));
	OK(sev_vm_peek(&self->vm, DATA + PAGE, copy, PAGE));
	EXPECT_EQ(ALL, plain_blocks(copy, 1, 2));
	RUN(SYNC);
	RUN(DONE);
}

/* What a guest leaves behind is ciphertext, which its successor cannot read. */
TEST_F_TIMEOUT(enc, successor_reads_garbage, SEV_TEST_SECONDS)
{
	const uint64_t half = SEV_DEFAULT_PAGES * PAGE;
	uint8_t *left = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	ASSERT_NE(MAP_FAILED, left);
	for (int i = 0; i < 5; i++) {
		/* The first guest writes there; each later one only looks. */
		BOOT(&self->vm, .pages = 2 * SEV_DEFAULT_PAGES, .program = SEV_GUEST_COMPARE,
		     .args = { half, PAGES, 7, !i });
		OK(sev_vm_set_slot(&self->vm, 0, 0, NULL, 0, -1, 0));
		OK(sev_vm_set_slot(&self->vm, 0, 0, self->vm.mem, SEV_DEFAULT_PAGES, -1, 0));
		OK(sev_vm_set_slot(&self->vm, 3, half, left, PAGES, -1, 0));
		if (i)
			EXPECT_BLOCKS(&self->vm.vcpus[0], 0, 0, 0, 0);
		else
			EXPECT_BLOCKS(&self->vm.vcpus[0], ALL, ALL, ALL, ALL);
		sev_vm_destroy(&self->vm);
		EXPECT_EQ(0, plain_blocks(left, PAGES, 7));
	}
	munmap(left, PAGES * PAGE);
}

/* The host's disk, read past the page cache while guests come and go. */
struct disk {
	int fd;
	bool stop;
	unsigned int reads, wrong;
};

#define DISK_CHUNK	(1ul << 20)
#define DISK_CHUNKS	24

static uint64_t checksum(const uint64_t *words)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < DISK_CHUNK / sizeof(*words); i++)
		sum = (sum << 1 | sum >> 63) ^ words[i];
	return sum;
}

/* Each buffer is new, so that it may be memory that a guest had. */
static bool read_chunk(int fd, unsigned int i, uint64_t *sum)
{
	void *buf = mmap(NULL, DISK_CHUNK, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool ok = buf != MAP_FAILED && pread(fd, buf, DISK_CHUNK, i * DISK_CHUNK) == DISK_CHUNK;

	if (ok)
		*sum = checksum(buf);
	if (buf != MAP_FAILED)
		munmap(buf, DISK_CHUNK);
	return ok;
}

static void *read_disk(void *arg)
{
	struct disk *disk = arg;
	uint64_t first[DISK_CHUNKS], sum;

	for (unsigned int i = 0; !__atomic_load_n(&disk->stop, __ATOMIC_SEQ_CST); i++) {
		unsigned int at = i % DISK_CHUNKS;

		if (!read_chunk(disk->fd, at, i < DISK_CHUNKS ? &first[at] : &sum))
			disk->wrong++;
		else if (i >= DISK_CHUNKS && sum != first[at])
			disk->wrong++;
		disk->reads++;
	}
	return NULL;
}

TEST_F_TIMEOUT(enc, disk_while_guests_come_and_go, 10 * SEV_TEST_SECONDS)
{
	const char *rounds = getenv("SEV_DISK_ROUNDS");
	struct disk disk = { .fd = open("/dev/vda", O_RDONLY | O_DIRECT) };
	int n = rounds ? atoi(rounds) : 12;
	pthread_t thread;

	ASSERT_LE(0, disk.fd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_disk, &disk));
	for (int i = 0; i < n; i++) {
		BOOT(&self->vm, .pages = 4 * SEV_DEFAULT_PAGES, .program = SEV_GUEST_COMPARE,
		     .args = { DATA, 3 * SEV_DEFAULT_PAGES, i, 1 });
		/* Wherever it is in its work. */
		sev_vcpu_run(&self->vm.vcpus[0], 20 + i % 7 * 30);
		sev_vm_destroy(&self->vm);
	}
	__atomic_store_n(&disk.stop, true, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	close(disk.fd);
	EXPECT_LT(2 * DISK_CHUNKS, disk.reads);
	EXPECT_EQ(0, disk.wrong) TH_LOG("of %u reads", disk.reads);
}

TEST_HARNESS_MAIN
