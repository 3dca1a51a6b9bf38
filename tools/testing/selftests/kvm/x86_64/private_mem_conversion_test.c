// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private and shared halves are two memories: what the guest finds in a page after it had it converted,
 * and that nothing that happens to the VMM's mapping reaches a private page, or to the file a shared one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/kvm_para.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"

#define SIZE	(4 * PVM_MIB)
#define PAGES	(SIZE / PVM_PAGE)

/* What the guest writes to its private pages, and to its shared ones: the page's address is added. */
#define PRIVATE_VALUE	0x1111000000000000ull
#define SHARED_VALUE	0x2222000000000000ull


FIXTURE(conversion) {
	struct pvm vm;
	int fd;
	void *hva;
};

static int64_t convert(struct pvm *vm, uint64_t gpa, uint64_t size, bool private);

FIXTURE_SETUP(conversion)
{
	ASSERT_EQ(0, pvm_create(&self->vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, pvm_enable_cap(&self->vm, KVM_CAP_EXIT_HYPERCALL, 1 << KVM_HC_MAP_GPA_RANGE));
	ASSERT_EQ(0, pvm_add_vcpus(&self->vm, 1));
	self->hva = pvm_add_data(&self->vm, PVM_GUEST_MEMFD, SIZE, &self->fd);
	ASSERT_NE(NULL, self->hva);
	self->vm.convert = convert;
	self->vm.data = self;
}

FIXTURE_TEARDOWN(conversion)
{
	pvm_destroy(&self->vm);
	close(self->fd);
	munmap(self->hva, SIZE);
}

/* As a VMM does it: the state first, then the half that is no longer used is given back. */
static int64_t convert(struct pvm *vm, uint64_t gpa, uint64_t size, bool private)
{
	FIXTURE_DATA(conversion) *self = vm->data;
	int ret = pvm_set_private(vm, gpa, size, private);

	if (ret)
		return ret;
	if (!private)
		return pvm_punch(self->fd, gpa - PVM_DATA, size);
	return madvise(self->hva + (gpa - PVM_DATA), size, MADV_DONTNEED) ? -errno : 0;
}

/* What the guest got for its hypercall. */
static int64_t ask(struct pvm *vm, uint64_t gpa, uint64_t size, bool private)
{
	int64_t answer = -1;
	int ret = pvm_hypercall(vm, gpa, size, private ? KVM_MAP_GPA_RANGE_ENCRYPTED :
				KVM_MAP_GPA_RANGE_DECRYPTED, &answer);

	return ret ? ret : answer;
}

static uint64_t alias(FIXTURE_DATA(conversion) *self, uint64_t page)
{
	return *(uint64_t *)(self->hva + page * PVM_PAGE);
}

TEST_F_TIMEOUT(conversion, asked_for_by_the_guest, PVM_TEST_SECONDS)
{
	struct pvm *vm = &self->vm;

	ASSERT_EQ(0, pvm_fill(vm, PVM_DATA, SIZE, SHARED_VALUE, 1));
	EXPECT_EQ(PAGES, pvm_resident(self->hva, SIZE));

	/* Fresh private pages are empty, and the shared ones are gone. */
	ASSERT_EQ(0, ask(vm, PVM_DATA + PVM_MIB, PVM_MIB, true));
	EXPECT_EQ(0, pvm_check(vm, PVM_DATA + PVM_MIB, PVM_MIB, 0, 0));
	EXPECT_EQ(0, pvm_check(vm, PVM_DATA, PVM_MIB, SHARED_VALUE, 1));
	EXPECT_EQ(0, pvm_check(vm, PVM_DATA + 2 * PVM_MIB, SIZE - 2 * PVM_MIB, SHARED_VALUE, 1));
	EXPECT_EQ(PAGES - PAGES / 4, pvm_resident(self->hva, SIZE));
	EXPECT_EQ(PAGES / 4, pvm_file_pages(self->fd));

	/* And back: what the guest kept to itself does not show. */
	ASSERT_EQ(0, pvm_fill(vm, PVM_DATA + PVM_MIB, PVM_MIB, PRIVATE_VALUE, 1));
	ASSERT_EQ(0, ask(vm, PVM_DATA + PVM_MIB, PVM_MIB, false));
	EXPECT_EQ(0, pvm_file_pages(self->fd));
	EXPECT_EQ(0, pvm_check(vm, PVM_DATA + PVM_MIB, PVM_MIB, 0, 0));
	for (uint64_t page = PAGES / 4; page < PAGES / 2; page++)
		ASSERT_EQ(0, alias(self, page));
}

/* Guests ask for the state of all their memory when they start: pages that have it keep their content. */
TEST_F_TIMEOUT(conversion, state_that_is_there, PVM_TEST_SECONDS)
{
	struct pvm *vm = &self->vm;
	int64_t faults, flushes;

	ASSERT_EQ(0, pvm_set_private(vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, pvm_fill_pages(vm, PVM_DATA, SIZE, PRIVATE_VALUE, 1));
	ASSERT_EQ(0, ask(vm, PVM_DATA, SIZE, true));
	EXPECT_EQ(0, pvm_check_pages(vm, PVM_DATA, SIZE, PRIVATE_VALUE, 1));
	EXPECT_EQ(0, pvm_resident(self->hva, SIZE));

	/* Nor are they unmapped, all or any. */
	faults = pvm_stat(vm, 0, "pf_taken");
	flushes = pvm_vm_stat(vm, "remote_tlb_flush_requests");
	ASSERT_LE(0, faults);
	ASSERT_LE(0, flushes);
	ASSERT_EQ(0, ask(vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, ask(vm, PVM_DATA + 3 * PVM_PAGE, PVM_MIB, true));
	EXPECT_EQ(0, pvm_check_pages(vm, PVM_DATA, SIZE, PRIVATE_VALUE, 1));
	EXPECT_EQ(faults, pvm_stat(vm, 0, "pf_taken"));
	EXPECT_EQ(flushes, pvm_vm_stat(vm, "remote_tlb_flush_requests"));
}

/* The VMM's answer is the guest's result. */
static int64_t refuse(struct pvm *vm __attribute__((unused)), uint64_t gpa, uint64_t size, bool private)
{
	return gpa == PVM_DATA && size == SIZE && private ? -77 : 0;
}

TEST_F_TIMEOUT(conversion, answer, PVM_TEST_SECONDS)
{
	self->vm.convert = refuse;
	EXPECT_EQ(-77, ask(&self->vm, PVM_DATA, SIZE, true));
	EXPECT_EQ(0, ask(&self->vm, PVM_DATA, SIZE, false));
	/* KVM looks at no more than the form. */
	EXPECT_EQ(-KVM_EINVAL, ask(&self->vm, PVM_DATA + 1, SIZE, true));
	EXPECT_EQ(-KVM_EINVAL, ask(&self->vm, PVM_DATA, 0, true));
}

/* Without a punch, each half keeps what it has, whatever becomes of the state and of the slot. */
TEST_F_TIMEOUT(conversion, halves_keep_their_content, PVM_TEST_SECONDS)
{
	struct pvm *vm = &self->vm;

	ASSERT_EQ(0, pvm_fill(vm, PVM_DATA, SIZE, SHARED_VALUE, 1));
	ASSERT_EQ(0, pvm_set_private(vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, pvm_fill(vm, PVM_DATA, SIZE, PRIVATE_VALUE, 1));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, pvm_set_private(vm, PVM_DATA, SIZE, false));
		EXPECT_EQ(0, pvm_check(vm, PVM_DATA, SIZE, SHARED_VALUE, 1));
		if (i == 1) {
			ASSERT_EQ(0, pvm_delete_slot(vm, PVM_SLOT));
			ASSERT_EQ(0, pvm_add_slot(vm, PVM_SLOT, PVM_DATA, SIZE, self->hva,
						  self->fd, 0));
		}
		ASSERT_EQ(0, pvm_set_private(vm, PVM_DATA, SIZE, true));
		EXPECT_EQ(0, pvm_check(vm, PVM_DATA, SIZE, PRIVATE_VALUE, 1));
	}
}

static int64_t check_every_other(struct pvm *vm, uint64_t first, uint64_t value, uint64_t mul)
{
	struct pvm_cmd cmd = { .op = PVM_CHECK, .addr = PVM_DATA + first * PVM_PAGE,
			       .len = SIZE - PVM_PAGE, .value = value, .mul = mul,
			       .step = 2 * PVM_PAGE };
	int ret = pvm_command(vm, 0, &cmd);

	return ret ? ret : (int64_t)vm->vcpu[0].cmd->result;
}

/*
 * Odd pages private, even ones shared, all mapped in the guest, and all of the VMM's mapping present:
 * whatever KVM hears of the mapping, it hears of pages beside and beneath private ones.
 */
static int make_checkered(FIXTURE_DATA(conversion) *self)
{
	struct pvm *vm = &self->vm;
	int ret;

	memset(self->hva, 0x33, SIZE);
	ret = pvm_fill_pages(vm, PVM_DATA, SIZE, SHARED_VALUE, 1);
	for (uint64_t page = 1; !ret && page < PAGES; page += 2)
		ret = pvm_set_private(vm, PVM_DATA + page * PVM_PAGE, PVM_PAGE, true);
	for (uint64_t page = 1; !ret && page < PAGES; page += 2)
		ret = pvm_write(vm, PVM_DATA + page * PVM_PAGE,
				PRIVATE_VALUE + PVM_DATA + page * PVM_PAGE);
	return ret;
}

#define PRIVATE_PAGES_INTACT() \
	EXPECT_EQ(0, check_every_other(&self->vm, 1, PRIVATE_VALUE, 1))
#define SHARED_PAGES_INTACT() \
	EXPECT_EQ(0, check_every_other(&self->vm, 0, SHARED_VALUE, 1))

TEST_F_TIMEOUT(conversion, mapping_discarded, PVM_TEST_SECONDS)
{
	int64_t faults;

	ASSERT_EQ(0, make_checkered(self));
	PRIVATE_PAGES_INTACT();
	SHARED_PAGES_INTACT();
	faults = pvm_stat(&self->vm, 0, "pf_taken");
	ASSERT_EQ(0, madvise(self->hva, SIZE, MADV_DONTNEED));
	/* Not even unmapped. */
	PRIVATE_PAGES_INTACT();
	EXPECT_EQ(faults, pvm_stat(&self->vm, 0, "pf_taken"));
	EXPECT_EQ(0, pvm_resident(self->hva, SIZE));
	EXPECT_EQ(0, check_every_other(&self->vm, 0, 0, 0));
}

TEST_F_TIMEOUT(conversion, mapping_protected, PVM_TEST_SECONDS)
{
	uint64_t value;

	ASSERT_EQ(0, make_checkered(self));
	ASSERT_EQ(0, mprotect(self->hva, SIZE, PROT_NONE));
	PRIVATE_PAGES_INTACT();
	ASSERT_EQ(0, pvm_write(&self->vm, PVM_DATA + PVM_PAGE, PRIVATE_VALUE + PVM_DATA + PVM_PAGE));
	EXPECT_EQ(-EFAULT, pvm_read(&self->vm, PVM_DATA, &value));
	EXPECT_NE(KVM_EXIT_MEMORY_FAULT, self->vm.vcpu[0].run->exit_reason);
	ASSERT_EQ(0, mprotect(self->hva, SIZE, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, pvm_resume(&self->vm, 0));
	PRIVATE_PAGES_INTACT();
	SHARED_PAGES_INTACT();
}

TEST_F_TIMEOUT(conversion, mapping_gone, PVM_TEST_SECONDS)
{
	uint64_t value;

	ASSERT_EQ(0, make_checkered(self));
	ASSERT_EQ(0, munmap(self->hva, SIZE));
	PRIVATE_PAGES_INTACT();
	EXPECT_EQ(-EFAULT, pvm_read(&self->vm, PVM_DATA, &value));
	ASSERT_EQ(0, pvm_drop(&self->vm, 0));
	ASSERT_EQ(self->hva, mmap(self->hva, SIZE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	PRIVATE_PAGES_INTACT();
}

/* A child makes all pages copy-on-write; the parent's writes then change what the mapping points to. */
TEST_F_TIMEOUT(conversion, mapping_copied, PVM_TEST_SECONDS)
{
	int status, pipes[2];
	pid_t child;
	char byte;

	ASSERT_EQ(0, make_checkered(self));
	ASSERT_EQ(0, pipe(pipes));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		close(pipes[1]);
		_exit(read(pipes[0], &byte, 1));
	}
	close(pipes[0]);
	for (uint64_t page = 0; page < PAGES; page++)
		((uint8_t *)self->hva)[page * PVM_PAGE + 100] = 1;
	PRIVATE_PAGES_INTACT();
	SHARED_PAGES_INTACT();
	close(pipes[1]);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	PRIVATE_PAGES_INTACT();
}

#define KHUGEPAGED "/sys/kernel/mm/transparent_hugepage/khugepaged/"

/* No page of the mapping has been used lately, as far as this process's page table knows. */
static int forget_uses(void)
{
	return rmem_write("/proc/self/clear_refs", "1");
}

/* Let khugepaged look at all of the mapping: how many huge pages it has made there. */
static long huge_pages_made(FIXTURE_DATA(conversion) *self)
{
	long made = rmem_value(KHUGEPAGED "pages_collapsed", NULL);
	long scans = rmem_value(KHUGEPAGED "full_scans", NULL) + 3;

	if (madvise(self->hva, SIZE, MADV_HUGEPAGE) || rmem_write(KHUGEPAGED "scan_sleep_millisecs", "10"))
		return -errno;
	for (int i = 0; i < 600 && rmem_value(KHUGEPAGED "full_scans", NULL) < scans; i++)
		usleep(100000);
	if (rmem_value(KHUGEPAGED "full_scans", NULL) < scans || madvise(self->hva, SIZE, MADV_NOHUGEPAGE))
		return -ETIME;
	return rmem_value(KHUGEPAGED "pages_collapsed", NULL) - made;
}

/*
 * Who ages the mapping's pages asks KVM whether the guest has used them, khugepaged among others: it makes
 * a huge page of no memory that nobody uses. That a guest uses its private frames is no use of what lies
 * beneath.
 */
TEST_F_TIMEOUT(conversion, mapping_aged, PVM_TEST_SECONDS)
{
	struct pvm *vm = &self->vm;
	uint64_t value;

	memset(self->hva, 0x33, SIZE);
	ASSERT_EQ(0, pvm_set_private(vm, PVM_DATA, SIZE, true));
	ASSERT_EQ(0, pvm_fill_pages(vm, PVM_DATA, SIZE, PRIVATE_VALUE, 1));
	ASSERT_EQ(0, forget_uses());
	EXPECT_EQ(0, huge_pages_made(self));
	EXPECT_EQ(0, pvm_check_pages(vm, PVM_DATA, SIZE, PRIVATE_VALUE, 1));

	/* One shared page that the guest, and it alone, has used makes the difference. */
	ASSERT_EQ(0, pvm_set_private(vm, PVM_DATA, PVM_PAGE, false));
	ASSERT_EQ(0, pvm_read(vm, PVM_DATA, &value));
	EXPECT_EQ(0x3333333333333333ull, value);
	ASSERT_EQ(0, forget_uses());
	EXPECT_EQ(1, huge_pages_made(self));
	EXPECT_EQ(0, pvm_check_pages(vm, PVM_DATA + PVM_PAGE, SIZE - PVM_PAGE, PRIVATE_VALUE, 1));
	ASSERT_EQ(0, pvm_read(vm, PVM_DATA, &value));
	EXPECT_EQ(0x3333333333333333ull, value);
}

#define KSM "/sys/kernel/mm/ksm/"

/*
 * Equal pages become one, and KVM is told which page now lies under an address. The first page of the mapping
 * that KSM makes read-only and puts in the place of others lies beneath private pages, too.
 */
TEST_F_TIMEOUT(conversion, mapping_merged, PVM_TEST_SECONDS)
{
	ASSERT_EQ(0, make_checkered(self));
	/* Equal again, with the guest's shared pages mapped. */
	for (uint64_t page = 0; page < PAGES; page++)
		memset(self->hva + page * PVM_PAGE, 0x44, PVM_PAGE);
	EXPECT_EQ(PAGES / 2, check_every_other(&self->vm, 0, SHARED_VALUE, 1));
	ASSERT_EQ(0, rmem_write(KSM "pages_to_scan", "10000"));
	ASSERT_EQ(0, rmem_write(KSM "sleep_millisecs", "10"));
	ASSERT_EQ(0, madvise(self->hva, SIZE, MADV_MERGEABLE));
	ASSERT_EQ(0, rmem_write(KSM "run", "1"));
	for (int i = 0; i < 600 && rmem_value(KSM "pages_sharing", NULL) < (long)PAGES * 3 / 4; i++)
		usleep(100000);
	EXPECT_LE((long)PAGES * 3 / 4, rmem_value(KSM "pages_sharing", NULL));
	PRIVATE_PAGES_INTACT();

	/* A write, the VMM's or the guest's, makes it two pages again. */
	for (uint64_t page = 0; page < PAGES / 2; page++)
		((uint8_t *)self->hva)[page * PVM_PAGE + 100] = page;
	PRIVATE_PAGES_INTACT();
	for (uint64_t page = 0; page < PAGES; page += 2) {
		ASSERT_EQ(0, pvm_write(&self->vm, PVM_DATA + page * PVM_PAGE,
				       SHARED_VALUE + PVM_DATA + page * PVM_PAGE));
	}
	ASSERT_EQ(0, rmem_write(KSM "run", "2"));
	PRIVATE_PAGES_INTACT();
	SHARED_PAGES_INTACT();
	ASSERT_EQ(0, rmem_write(KSM "run", "0"));
	for (uint64_t page = 1; page < PAGES; page += 2)
		ASSERT_EQ(0x4444444444444444ull, alias(self, page));
}

/* Punches of the file do not even make the guest fault on shared pages; private ones are empty then. */
TEST_F_TIMEOUT(conversion, file_punched, PVM_TEST_SECONDS)
{
	int64_t faults;

	ASSERT_EQ(0, make_checkered(self));
	SHARED_PAGES_INTACT();
	faults = pvm_stat(&self->vm, 0, "pf_taken");
	ASSERT_LT(0, faults);
	ASSERT_EQ(0, pvm_punch(self->fd, 0, SIZE));
	EXPECT_EQ(0, pvm_file_pages(self->fd));
	SHARED_PAGES_INTACT();
	EXPECT_EQ(faults, pvm_stat(&self->vm, 0, "pf_taken"));
	for (uint64_t page = 1; page < PAGES; page += 2)
		ASSERT_EQ(0, pvm_check(&self->vm, PVM_DATA + page * PVM_PAGE, PVM_PAGE, 0, 0));
	EXPECT_EQ(faults + (int64_t)PAGES / 2, pvm_stat(&self->vm, 0, "pf_taken"));
	SHARED_PAGES_INTACT();
}

#define WATCH_ROUNDS	200

static void *watch(void *arg)
{
	FIXTURE_DATA(conversion) *self = arg;
	struct pvm_cmd cmd = { .op = PVM_WATCH, .addr = PVM_DATA };

	/* Not the one that punches: they are to run beside each other. */
	rmem_stay_on(1);
	return (void *)(long)pvm_command(&self->vm, 0, &cmd);
}

static uint64_t load(uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/*
 * A CPU that runs the guest all the time has the page's address in its TLB. When the punch is over it
 * must not use it any more. Each exit empties the TLB, and a tick of the host's clock may be one, so
 * not each round can show a flush that is missing.
 */
TEST_F_TIMEOUT(conversion, file_punched_beside_the_guest, PVM_TEST_SECONDS)
{
	struct pvm_cmd *cmd = self->vm.vcpu[0].cmd;
	pthread_t thread;
	void *ret;

	ASSERT_EQ(0, rmem_stay_on(0));
	ASSERT_EQ(0, pvm_set_private(&self->vm, PVM_DATA, SIZE, true));
	for (unsigned int round = 0; round < WATCH_ROUNDS; round++) {
		ASSERT_EQ(0, pvm_write(&self->vm, PVM_DATA, PRIVATE_VALUE + round));
		cmd->seen = 0;
		ASSERT_EQ(0, pthread_create(&thread, NULL, watch, self));
		while (!load(&cmd->seen))
			usleep(100);
		ASSERT_EQ(0, pvm_punch(self->fd, 0, PVM_PAGE));
		__atomic_store_n(&cmd->mul, 1, __ATOMIC_SEQ_CST);
		pthread_join(thread, &ret);
		ASSERT_EQ(NULL, ret);
		ASSERT_EQ(0, cmd->result) TH_LOG("round %u", round);
	}
}

TEST_HARNESS_MAIN
