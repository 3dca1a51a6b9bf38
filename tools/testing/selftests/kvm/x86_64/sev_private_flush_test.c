// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that a guest wrote encrypted go back to the host only after all CPUs have flushed their
 * caches. That is dear: it is done once for each way back, however many pages go, and not where
 * no such page goes; nor where the caches are coherent.
 *
 * Counts are of calls of wbinvd_on_all_cpus(). The firmware's own commands need flushes too; a
 * test counts what lies between two points where there are none, or compares with a VM without
 * private memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"
#include "sev_convert.h"
#include "sev_flushes.h"
#include "sev_test.h"

#define PAGE	SEV_PAGE_SIZE
#define SIZE	(SEV_DEFAULT_PAGES * PAGE)
#define DATA	SEV_GUEST_DATA

FIXTURE(flush) {
	struct sev_flushes flushes;
	struct sev_vm vm;
	struct sev_convert convert;
	bool coherent;
};

FIXTURE_SETUP(flush)
{
	struct sev_cpu_info info;

	SKIP_IF(sev_type_unavailable());
	SKIP_IF(sev_flushes_unavailable());
	ASSERT_TRUE(sev_cpu_info(&info));
	self->coherent = info.coherent;
	/* Who asks for such a CPU must not get the other tests once more. */
	ASSERT_TRUE(self->coherent || !getenv("SEV_COHERENT"));
	ASSERT_EQ(0, sev_flushes_start(&self->flushes, SEV_FLUSH_ALL));
}

FIXTURE_TEARDOWN(flush)
{
	sev_convert_free(&self->convert);
	if (self->vm.vcpus[0].vm)
		sev_vm_destroy(&self->vm);
	sev_flushes_stop(&self->flushes);
}

#define OK(call)	OK_VM(&self->vm, call)

/* So many flushes since the last count, where the CPU needs any. */
#define NEEDED(n)	(self->coherent ? 0 : (n))
#define FLUSHES(n)	EXPECT_EQ(NEEDED(n), sev_flushes_take(&self->flushes))

/*
 * Boot a VM whose memory is written, and forget what that took. The VMM gives up its copy of the
 * image, and the pages of zeroes that came where it was only read: each write to one of them
 * would flush.
 */
#define BOOT(memory_, ...) do {						\
	struct sev_vm_config cfg_ = { .sev = true, .memory = memory_, __VA_ARGS__ };	\
									\
	OK(sev_vm_boot(&self->vm, &cfg_));				\
	if (sev_vm_is_private(&self->vm))				\
		ASSERT_EQ(0, madvise(self->vm.mem, self->vm.cfg.pages * PAGE, MADV_DONTNEED));	\
	sev_flushes_take(&self->flushes);				\
} while (0)

static const struct sev_vm_config counting = {
	.sev = true, .program = SEV_GUEST_COUNT, .args = { DATA },
};

TEST_F_TIMEOUT(flush, counter_counts, SEV_TEST_SECONDS)
{
	FLUSHES(0);
	BOOT(SEV_MEMORY_DEFAULT, .program = SEV_GUEST_COUNT, .args = { DATA });
	/* Stock: what may be encrypted is taken from the guest. */
	ASSERT_EQ(0, madvise(self->vm.shared, PAGE, MADV_DONTNEED));
	EXPECT_LE(1, sev_flushes_take(&self->flushes));
}

TEST_F_TIMEOUT(flush, one_for_a_punch, SEV_TEST_SECONDS)
{
	BOOT(SEV_MEMORY_PRIVATE, .program = SEV_GUEST_COUNT, .args = { DATA });
	ASSERT_EQ(0, pvm_punch(self->vm.file, DATA, PAGE));
	FLUSHES(1);
	ASSERT_EQ(0, pvm_punch(self->vm.file, DATA + 16 * PAGE, 128 * PAGE));
	FLUSHES(1);
	ASSERT_EQ(0, pvm_punch(self->vm.file, 0, SIZE));
	FLUSHES(1);
	EXPECT_EQ(0, pvm_file_pages(self->vm.file));
	/* There is nothing that could go. */
	ASSERT_EQ(0, pvm_punch(self->vm.file, 0, SIZE));
	FLUSHES(0);
}

/* A punch goes by steps of 64 MiB. These are four, with pages in each. */
TEST_F_TIMEOUT(flush, one_for_a_large_punch, SEV_TEST_SECONDS)
{
	const uint64_t pages = (256 << 20) / PAGE, launched = DATA / PAGE, stride = 64;

	BOOT(SEV_MEMORY_PRIVATE, .pages = pages, .launch_pages = launched, .program = SEV_GUEST_TOUCH,
	     .args = { DATA, pages - launched, stride, 5 });
	RUN_VCPU(&self->vm.vcpus[0], DONE);
	FLUSHES(0);
	ASSERT_EQ((long)(launched + (pages - launched) / stride), pvm_file_pages(self->vm.file));
	ASSERT_EQ(0, pvm_punch(self->vm.file, 0, pages * PAGE));
	FLUSHES(1);
}

TEST_F_TIMEOUT(flush, conversions, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;

	BOOT(SEV_MEMORY_PRIVATE, .program = SEV_GUEST_COUNT, .args = { DATA });
	/* The attribute alone returns no page. */
	OK(sev_vm_set_private(vm, DATA, 64 * PAGE, false));
	FLUSHES(0);
	ASSERT_EQ(0, pvm_punch(vm->file, DATA, 64 * PAGE));
	FLUSHES(1);
	memset(vm->mem + DATA, 1, 64 * PAGE);
	FLUSHES(0);
	OK(sev_vm_set_private(vm, DATA, 64 * PAGE, true));
	FLUSHES(0);
	/* A guest may have written with its key to what it said it would share. */
	ASSERT_EQ(0, madvise(vm->mem + DATA, 64 * PAGE, MADV_DONTNEED));
	FLUSHES(1);
	/* Private again and untouched: none there. */
	ASSERT_EQ(0, pvm_punch(vm->file, DATA, 64 * PAGE));
	FLUSHES(0);
}

/* As the guest does it: one flush for each change, and none for using the pages. */
TEST_F_TIMEOUT(flush, conversions_of_a_guest, SEV_TEST_SECONDS)
{
	const unsigned int rounds = 5;

	BOOT(SEV_MEMORY_PRIVATE, .program = SEV_GUEST_CONVERT, .args = { DATA, 8, 0, rounds });
	OK(sev_convert_init(&self->convert, &self->vm));
	for (unsigned int i = 0; i < rounds; i++) {
		uint64_t *mem = (void *)(self->vm.mem + DATA);

		for (int stage = SEV_SYNC_SHARED; stage <= SEV_SYNC_REWRITTEN; stage++) {
			ASSERT_EQ(SEV_EVENT_SYNC, sev_vcpu_run_converting(&self->vm.vcpus[0], &self->convert,
									  SEV_RUN_DEADLINE_MS)) {
				TH_LOG("%s", self->vm.error);
			}
			FLUSHES(stage == SEV_SYNC_SHARED || stage == SEV_SYNC_PRIVATE);
			for (uint64_t j = 0; j < 8 * PAGE / 8 && stage == SEV_SYNC_SHARED; j++)
				mem[j] = sev_guest_pattern(i * SEV_CONVERT_SEEDS + 1, j);
		}
	}
}

/* Registration of private memory holds nothing, so its end gives nothing back. */
TEST_F_TIMEOUT(flush, registration, SEV_TEST_SECONDS)
{
	BOOT(SEV_MEMORY_PRIVATE, .program = SEV_GUEST_COUNT, .args = { DATA });
	OK(sev_vm_register(&self->vm, self->vm.mem, 16 * PAGE));
	FLUSHES(0);
	OK(sev_vm_unregister(&self->vm, self->vm.mem, 16 * PAGE));
	FLUSHES(0);
}

/* The slot goes and the file stays: once, with the slot. */
TEST_F_TIMEOUT(flush, slot_deleted, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;

	BOOT(SEV_MEMORY_PRIVATE, .program = SEV_GUEST_COUNT, .args = { DATA });
	OK(sev_vm_set_slot(vm, 0, 0, NULL, 0, -1, 0));
	FLUSHES(1);
	ASSERT_EQ(0, pvm_punch(vm->file, 0, SIZE));
	FLUSHES(0);
}

/* Two VMs that have the same pages. */
TEST_F_TIMEOUT(flush, one_for_two_vms, SEV_TEST_SECONDS)
{
	struct sev_vm mirror;

	BOOT(SEV_MEMORY_PRIVATE, .program = SEV_GUEST_COUNT, .args = { DATA });
	OK_VM(&mirror, sev_vm_create_mirror(&mirror, &self->vm));
	OK_VM(&mirror, sev_vm_add_vcpus(&mirror));
	RUN_VCPU(&mirror.vcpus[0], DONE);
	sev_flushes_take(&self->flushes);
	ASSERT_EQ(0, pvm_punch(self->vm.file, 0, SIZE));
	FLUSHES(1);
	sev_vm_destroy(&mirror);
}

/* From the VM's end to the file's, in both orders; @file_first: the slot is the last to hold it. */
static long flushes_of_an_end(struct sev_flushes *flushes, enum sev_memory memory, bool file_first)
{
	struct sev_vm_config cfg = counting;
	struct sev_vm vm;
	int file;

	cfg.memory = memory;
	if (sev_vm_boot(&vm, &cfg) || sev_vcpu_run(&vm.vcpus[0], SEV_RUN_DEADLINE_MS) != SEV_EVENT_DONE)
		return -1;
	file = vm.file;
	vm.file = -1;
	if (file_first && file >= 0)
		close(file);
	sev_flushes_take(flushes);
	sev_vm_destroy(&vm);
	if (!file_first && file >= 0)
		close(file);
	return sev_flushes_take(flushes);
}

TEST_F_TIMEOUT(flush, end_of_a_vm, SEV_TEST_SECONDS)
{
	/* Stock, always: with the VMM's mapping, and once more with the context. */
	EXPECT_EQ(2, flushes_of_an_end(&self->flushes, SEV_MEMORY_DEFAULT, false));
	EXPECT_EQ(NEEDED(1), flushes_of_an_end(&self->flushes, SEV_MEMORY_PINNED, false));
	EXPECT_EQ(NEEDED(1), flushes_of_an_end(&self->flushes, SEV_MEMORY_PRIVATE, false));
	EXPECT_EQ(NEEDED(1), flushes_of_an_end(&self->flushes, SEV_MEMORY_PRIVATE, true));
	EXPECT_EQ(NEEDED(1), flushes_of_an_end(&self->flushes, SEV_MEMORY_GUEST_MEMFD, true));
}

/* After a move it is the target's pages that go. */
TEST_F_TIMEOUT(flush, moved, SEV_TEST_SECONDS)
{
	struct sev_vm heir;

	BOOT(SEV_MEMORY_PRIVATE, .program = SEV_GUEST_COUNT, .args = { DATA });
	OK_VM(&heir, sev_vm_create_heir(&heir, &self->vm, KVM_X86_SEV_VM));
	OK_VM(&heir, sev_vm_enable_cap(&heir, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, self->vm.fd));
	/* Nobody has bound the file but the dead source. */
	sev_flushes_take(&self->flushes);
	ASSERT_EQ(0, pvm_punch(self->vm.file, DATA, PAGE));
	FLUSHES(1);
	OK_VM(&heir, sev_vm_add_memory(&heir));
	sev_flushes_take(&self->flushes);
	ASSERT_EQ(0, pvm_punch(self->vm.file, 0, PAGE));
	FLUSHES(1);
	sev_vm_destroy(&heir);
}

/* Pages that no guest wrote encrypted are like any other. */
TEST_F_TIMEOUT(flush, not_without_encryption, SEV_TEST_SECONDS)
{
	void *hva = pvm_map(SIZE);
	struct pvm plain;
	int fd;

	ASSERT_NE(NULL, hva);
	ASSERT_EQ(0, pvm_create(&plain, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, pvm_add_vcpus(&plain, 1));
	fd = pvm_create_file(&plain, PVM_RESTRICTED, SIZE);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pvm_add_slot(&plain, PVM_SLOT, PVM_DATA, SIZE, hva, fd, 0));
	ASSERT_EQ(0, pvm_set_private(&plain, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, pvm_fill_pages(&plain, PVM_DATA, SIZE, 1, 1));
	ASSERT_EQ(0, pvm_punch(fd, 0, SIZE));
	pvm_destroy(&plain);
	close(fd);
	FLUSHES(0);
	munmap(hva, SIZE);
}

/*
 * The other way round: what the host has written to a page, its zeroes or the image, must be in
 * memory before the guest writes there with its key. Once for a page that is new, whoever gets it
 * first.
 */
TEST_F_TIMEOUT(flush, new_pages, SEV_TEST_SECONDS)
{
	const uint64_t pages = DATA / PAGE + 64;
	struct sev_vm_config cfg = {
		.sev = true, .memory = SEV_MEMORY_PRIVATE, .pages = pages, .launch_pages = DATA / PAGE,
		.program = SEV_GUEST_TOUCH, .args = { DATA, 64, 1, 3 },
	};
	struct sev_vm *vm = &self->vm;
	struct sev_flushes lines;
	uint64_t word[2];

	ASSERT_EQ(0, sev_flushes_start(&lines, SEV_FLUSH_LINES));
	OK(sev_vm_create(vm, &cfg));
	sev_vm_load_guest(vm);
	OK(sev_launch_start(vm, 0, 0));
	sev_flushes_take(&lines);
	/* Zeroes, and then the copy. */
	OK(sev_launch_update(vm, vm->mem, PAGE));
	EXPECT_EQ(NEEDED(2), sev_flushes_take(&lines));
	OK(sev_launch_update(vm, vm->mem, PAGE));
	EXPECT_EQ(NEEDED(1), sev_flushes_take(&lines));
	sev_vm_destroy(vm);

	OK(sev_vm_boot(vm, &cfg));
	sev_flushes_take(&lines);
	RUN_VCPU(&vm->vcpus[0], DONE);
	EXPECT_EQ(NEEDED(64), sev_flushes_take(&lines));
	/* They are the guest's now; a page that was given up comes back new. */
	ASSERT_EQ(0, pvm_punch(vm->file, DATA, PAGE));
	RUN_VCPU(&vm->vcpus[0], DONE);
	EXPECT_EQ(0, sev_flushes_take(&lines));
	OK(sev_vm_peek(vm, DATA, word, sizeof(word)));
	EXPECT_LE(NEEDED(1), sev_flushes_take(&lines));
	sev_flushes_stop(&lines);
}

/* A memory error takes one page. */
TEST_F_TIMEOUT(flush, memory_error, SEV_TEST_SECONDS)
{
	static unsigned long pfns[SEV_DEFAULT_PAGES];
	struct rmem_trace trace;
	char text[32];

	ASSERT_EQ(0, rmem_trace_start(&trace));
	BOOT(SEV_MEMORY_PRIVATE, .program = SEV_GUEST_COUNT, .args = { DATA });
	ASSERT_LE((long)SEV_DEFAULT_PAGES, rmem_trace_pfns(&trace, pfns, SEV_DEFAULT_PAGES));
	rmem_trace_stop(&trace);
	ASSERT_NE(0, pfns[DATA / PAGE]);
	snprintf(text, sizeof(text), "%#lx", pfns[DATA / PAGE] * PAGE);
	ASSERT_EQ(0, rmem_write("/sys/devices/system/memory/hard_offline_page", text));
	FLUSHES(1);
	RUN_VCPU(&self->vm.vcpus[0], FAULT);
	EXPECT_EQ(-EHWPOISON, self->vm.vcpus[0].run_error);
	EXPECT_EQ(DATA, self->vm.vcpus[0].run->memory_fault.gpa);
}

TEST_HARNESS_MAIN
