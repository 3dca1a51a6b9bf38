// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV guests that are larger than what their user may lock, or their memory cgroup may have: they
 * start, and the page that crosses the limit is a fault that says so. Nothing is killed, and the
 * guest goes on where it was when there is room again.
 *
 * The host runs with cgroup.memory=nokmem, so that it is a page of the guest's that crosses the limit,
 * and not one of KVM's (private_mem_cgroup_test).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"
#include "sev_holdings.h"
#include "sev_test.h"

#define PAGE		SEV_PAGE_SIZE
#define LAUNCHED	(SEV_GUEST_DATA / PAGE)
#define LIMIT		(64ul << 20)	/* RLIMIT_MEMLOCK of a Debian user */
#define PAGES		(96ul << 20 >> 12)
/* No other test has pages as this user. */
#define USER		2301

static struct sev_vm_config sev_config(uint64_t pages)
{
	return (struct sev_vm_config) {
		.sev = true, .memory = SEV_MEMORY_PRIVATE, .pages = pages, .launch_pages = LAUNCHED,
		.program = SEV_GUEST_TOUCH, .args = { SEV_GUEST_DATA, pages - LAUNCHED, 1, 9 },
	};
}

FIXTURE(memlock) {
	struct sev_vm vm;
};

FIXTURE_SETUP(memlock)
{
	struct rlimit limit = { LIMIT, RLIM_INFINITY };

	SKIP_IF(sev_type_unavailable());
	ASSERT_EQ(0, chmod("/dev/kvm", 0666));
	ASSERT_EQ(0, chmod("/dev/sev", 0666));
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, rmem_become(USER, false));
}

FIXTURE_TEARDOWN(memlock)
{
	sev_vm_destroy(&self->vm);
}

#define OK(call)	OK_VM(&self->vm, call)

/* The vCPU stopped at a private page that it cannot have. */
#define STOPPED(error, page) do {					\
	struct sev_vcpu *v_ = &self->vm.vcpus[0];			\
									\
	EXPECT_EQ(-(error), v_->run_error);				\
	EXPECT_TRUE(v_->run->memory_fault.flags == KVM_MEMORY_EXIT_FLAG_PRIVATE &&	\
		    v_->run->memory_fault.gpa == (page) * PAGE &&	\
		    v_->run->memory_fault.size == PAGE) {		\
		TH_LOG("flags %#llx gpa %#llx size %#llx, page %#lx wanted",	\
		       v_->run->memory_fault.flags, v_->run->memory_fault.gpa,	\
		       v_->run->memory_fault.size, (unsigned long)(page));	\
	}								\
} while (0)

TEST_F_TIMEOUT(memlock, guest_larger_than_the_limit, SEV_TEST_SECONDS)
{
	struct sev_vm_config cfg = sev_config(PAGES);
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	struct sev_vm *vm = &self->vm;

	OK(sev_vm_boot(vm, &cfg));
	EXPECT_EQ((long)LAUNCHED, pvm_file_pages(vm->file));
	RUN_VCPU(&vm->vcpus[0], FAULT);
	STOPPED(EDQUOT, LIMIT / PAGE);
	EXPECT_EQ((long)(LIMIT / PAGE), pvm_file_pages(vm->file));
	/* It stays at that, as long as nothing changes. */
	RUN_VCPU(&vm->vcpus[0], FAULT);
	STOPPED(EDQUOT, LIMIT / PAGE);
	/* One page comes back, one can be had. */
	ASSERT_EQ(0, pvm_punch(vm->file, SEV_GUEST_DATA, PAGE));
	RUN_VCPU(&vm->vcpus[0], FAULT);
	STOPPED(EDQUOT, LIMIT / PAGE + 1);
	/* The rest, but for what was punched. */
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	RUN_VCPU(&vm->vcpus[0], ASSERT);
	EXPECT_EQ((long)PAGES, pvm_file_pages(vm->file));
}

TEST_F_TIMEOUT(memlock, more_room, SEV_TEST_SECONDS)
{
	struct sev_vm_config cfg = sev_config(LIMIT / PAGE + 16);
	struct rlimit limit = { LIMIT + 16 * PAGE, RLIM_INFINITY };
	struct sev_vm *vm = &self->vm;

	OK(sev_vm_boot(vm, &cfg));
	RUN_VCPU(&vm->vcpus[0], FAULT);
	STOPPED(EDQUOT, LIMIT / PAGE);
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	RUN_VCPU(&vm->vcpus[0], DONE);
	EXPECT_EQ(LIMIT / PAGE + 16 - LAUNCHED, vm->vcpus[0].values[0]);
}

/* The launch is not above the limit; what it took before stays usable. */
TEST_F_TIMEOUT(memlock, launch_at_the_limit, SEV_TEST_SECONDS)
{
	struct sev_vm_config cfg = sev_config(PAGES);
	struct rlimit limit = { 32 * PAGE, RLIM_INFINITY };
	struct sev_vm *vm = &self->vm;
	uint8_t blob[SEV_MEASURE_LEN];
	uint32_t len = sizeof(blob);

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	OK(sev_vm_create(vm, &cfg));
	OK(sev_vm_register_memory(vm));
	OK(sev_launch_start(vm, 0, 0));
	EXPECT_EQ(-EDQUOT, sev_launch_update(vm, vm->mem, 33 * PAGE));
	EXPECT_GE(32, pvm_file_pages(vm->file));
	OK(sev_launch_update(vm, vm->mem, 32 * PAGE));
	EXPECT_EQ(32, pvm_file_pages(vm->file));
	EXPECT_EQ(-EDQUOT, sev_launch_update(vm, vm->mem + 32 * PAGE, 16));
	OK(sev_launch_measure(vm, blob, &len));
}

/* Two VMs of one user share what the user may have. */
TEST_F_TIMEOUT(memlock, one_limit_for_all_vms, SEV_TEST_SECONDS)
{
	struct sev_vm_config cfg = sev_config(4 * LAUNCHED);
	struct rlimit limit = { 6 * LAUNCHED * PAGE, RLIM_INFINITY };
	struct sev_vm first, *vm = &self->vm;

	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	OK_VM(&first, sev_vm_boot(&first, &cfg));
	RUN_VCPU(&first.vcpus[0], DONE);
	OK(sev_vm_boot(vm, &cfg));
	RUN_VCPU(&vm->vcpus[0], FAULT);
	STOPPED(EDQUOT, 2 * LAUNCHED);
	sev_vm_destroy(&first);
	RUN_VCPU(&vm->vcpus[0], DONE);
}

/* The stock path needs room for all of the guest at once, or does not start. */
TEST_F_TIMEOUT(memlock, pinned_guest_does_not_start, SEV_TEST_SECONDS)
{
	struct sev_vm_config cfg = sev_config(PAGES);

	cfg.memory = SEV_MEMORY_PINNED;
	EXPECT_EQ(-ENOMEM, sev_vm_boot(&self->vm, &cfg));
}

FIXTURE(memcg) {
	struct sev_vm vm;
	struct sev_group group;
	int max;
};

FIXTURE_SETUP(memcg)
{
	char path[160];

	SKIP_IF(sev_type_unavailable());
	ASSERT_EQ(0, sev_group_create(&self->group, "sev-limits"));
	snprintf(path, sizeof(path), "%s/memory.max", self->group.dir);
	self->max = open(path, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, self->max);
	ASSERT_EQ(0, sev_group_enter(&self->group));
}

FIXTURE_TEARDOWN(memcg)
{
	sev_vm_destroy(&self->vm);
	close(self->max);
	sev_group_destroy(&self->group);
}

/*
 * From the write of a limit to that of "max" the test touches nothing that it has not touched
 * before.
 */
TEST_F_TIMEOUT(memcg, guest_larger_than_the_limit, SEV_TEST_SECONDS)
{
	const uint64_t pages = 8192;
	struct sev_vm_config cfg = sev_config(pages);
	struct sev_vm *vm = &self->vm;
	enum sev_event event;
	uint32_t reason;
	char limit[32];
	int written;
	long had;

	OK(sev_vm_boot(vm, &cfg));
	sev_vm_error(vm, -ENOMEM, "a rehearsal");
	written = snprintf(limit, sizeof(limit), "%ld",
			   sev_group_value(&self->group, "memory.current", NULL) + (8l << 20));
	ASSERT_EQ(written, write(self->max, limit, written));
	event = sev_vcpu_run(&vm->vcpus[0], SEV_RUN_DEADLINE_MS);
	reason = vm->vcpus[0].run->exit_reason;
	ASSERT_EQ(3, write(self->max, "max", 3));

	ASSERT_EQ(SEV_EVENT_FAULT, event) TH_LOG("%s: %s", sev_event_name(event), vm->error);
	EXPECT_EQ(KVM_EXIT_MEMORY_FAULT, reason);
	had = pvm_file_pages(vm->file);
	EXPECT_LT((long)LAUNCHED, had);
	EXPECT_GT((long)pages, had);
	STOPPED(ENOMEM, had);
	EXPECT_EQ(0, sev_group_value(&self->group, "memory.events", "oom_kill"));
	EXPECT_LT(0, sev_group_value(&self->group, "memory.events", "max"));
	/* It was not its fault: it goes on. */
	RUN_VCPU(&vm->vcpus[0], DONE);
	EXPECT_EQ(pages - LAUNCHED, vm->vcpus[0].values[0]);
	EXPECT_EQ((long)pages, pvm_file_pages(vm->file));
	EXPECT_LE((long)(pages * PAGE), sev_group_value(&self->group, "memory.current", NULL));
}

TEST_HARNESS_MAIN
