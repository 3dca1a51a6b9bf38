// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMM of an SEV guest on private memory is killed: in its set-up, in the launch, while two
 * vCPUs run and convert pages, while it ends. No page, charge, VM, firmware context or ASID may
 * be left.
 *
 * Locking: each VMM is a process of its own, with a thread for each vCPU.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "restrictedmem_util.h"
#include "sev_convert.h"
#include "sev_holdings.h"
#include "sev_test.h"

#define SECONDS		900
#define KILLS		20
#define RUN_MS		300		/* that the guest runs */
#define PAGES		4096ul		/* 16 MiB: a launch takes a while */
#define RANGE		256ul
#define MAX_ASIDS	600
/* Nobody else counts as this user. */
#define USER		2302
#define CHARGE_PAGES	16l

/* Where a VMM is in its life, for whoever kills it. */
enum stage {
	LAUNCHES,
	RUNS,
	ENDS,
	NR_STAGES
};

FIXTURE(killed) {
	struct sev_holdings before;
	struct sev_group group;
	unsigned int asids;
	/* Shared with the VMMs. */
	enum stage *stage;
};

FIXTURE_VARIANT(killed) {
	enum sev_memory memory;
};

FIXTURE_VARIANT_ADD(killed, restricted) {
	.memory = SEV_MEMORY_PRIVATE,
};

FIXTURE_VARIANT_ADD(killed, guest_memfd) {
	.memory = SEV_MEMORY_GUEST_MEMFD,
};

static void at_stage(enum stage *at, enum stage stage)
{
	__atomic_store_n(at, stage, __ATOMIC_SEQ_CST);
}

FIXTURE_SETUP(killed)
{
	struct sev_cpu_info info;

	SKIP_IF(sev_type_unavailable());
	ASSERT_TRUE(sev_cpu_info(&info));
	self->asids = info.max_asid - info.min_sev_asid + 1;
	ASSERT_EQ(0, chmod("/dev/kvm", 0666));
	ASSERT_EQ(0, chmod("/dev/sev", 0666));
	self->stage = mmap(NULL, sizeof(*self->stage), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->stage);
	/* Its page is not for a VMM's cgroup to pay. */
	at_stage(self->stage, LAUNCHES);
	ASSERT_EQ(0, sev_group_create(&self->group, "sev-killed"));
	self->before = sev_holdings_now();
}

FIXTURE_TEARDOWN(killed)
{
	sev_group_destroy(&self->group);
	munmap(self->stage, sizeof(*self->stage));
}

struct runner {
	struct sev_vcpu *vcpu;
	struct sev_convert *convert;
	unsigned int ms;
};

static void *run_vcpu(void *data)
{
	struct runner *r = data;

	if (sev_vcpu_run_converting(r->vcpu, r->convert, SEV_RUN_DEADLINE_MS) == SEV_EVENT_SYNC)
		sev_vcpu_run_converting(r->vcpu, r->convert, r->ms);
	return NULL;
}

/* From the creation of a VM to its end. */
static int one_life(enum sev_memory memory, unsigned int ms, enum stage *stage)
{
	struct sev_vm_config cfg = {
		.sev = true, .memory = memory, .pages = PAGES, .vcpus = 2,
		.program = SEV_GUEST_CHURN, .args = { SEV_GUEST_DATA, RANGE },
	};
	static struct sev_vm vm;
	struct sev_convert convert = { 0 };
	struct runner runners[2];
	pthread_t threads[2];
	int ret;

	at_stage(stage, LAUNCHES);
	ret = sev_vm_boot(&vm, &cfg);
	if (!ret)
		ret = sev_convert_init(&convert, &vm);
	at_stage(stage, RUNS);
	for (int i = 0; i < 2 && !ret; i++) {
		runners[i] = (struct runner) { &vm.vcpus[i], &convert, ms };
		ret = -pthread_create(&threads[i], NULL, run_vcpu, &runners[i]);
	}
	for (int i = 0; i < 2 && !ret; i++)
		pthread_join(threads[i], NULL);
	if (!ret && !convert.requests)
		ret = -EPROTO;
	at_stage(stage, ENDS);
	sev_convert_free(&convert);
	sev_vm_destroy(&vm);
	return ret;
}

/* Life after life, as a user without privileges, until it is killed. A life that fails ends it. */
static void __noreturn vmm(const struct sev_group *group, enum sev_memory memory, enum stage *stage)
{
	struct rlimit limit = { 2 * PAGES * SEV_PAGE_SIZE, 2 * PAGES * SEV_PAGE_SIZE };
	int ret;

	if (sev_group_enter(group) || setrlimit(RLIMIT_MEMLOCK, &limit) || rmem_become(USER, false))
		_exit(100);
	do {
		ret = one_life(memory, RUN_MS, stage);
	} while (!ret);
	fprintf(stderr, "# a VMM ended by itself: %d\n", ret);
	_exit(101);
}

/* As the killed ones: all that the user may lock can be had, and no page more. */
static int pages_of_the_user(void)
{
	struct rlimit limit = { CHARGE_PAGES * SEV_PAGE_SIZE, CHARGE_PAGES * SEV_PAGE_SIZE };
	pid_t pid = fork();
	int status;

	if (!pid) {
		int fd, ret;

		if (setrlimit(RLIMIT_MEMLOCK, &limit) || rmem_become(USER, false))
			_exit(200);
		fd = rmem_create_sized(2 * CHARGE_PAGES);
		ret = rmem_alloc(fd, 0, 2 * CHARGE_PAGES);
		_exit(ret == -EDQUOT ? rmem_pages(fd) : 201);
	}
	status = rmem_wait(pid, SEV_TEST_SECONDS);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* How many VMs can be launched at a time. */
static unsigned int count_asids(void)
{
	struct sev_vm *vms = calloc(MAX_ASIDS, sizeof(*vms));
	struct sev_vm_config cfg = { .sev = true, .memory = SEV_MEMORY_PRIVATE };
	unsigned int n;

	if (!vms)
		return 0;
	for (n = 0; n < MAX_ASIDS; n++)
		if (sev_vm_create(&vms[n], &cfg) || sev_launch_start(&vms[n], 0, 0))
			break;
	for (unsigned int i = 0; i <= n && i < MAX_ASIDS; i++)
		sev_vm_destroy(&vms[i]);
	free(vms);
	return n;
}

/*
 * A first life that nobody ends shows how long one takes here, and that there is something to
 * kill.
 */
static unsigned int life_us(struct __test_metadata *_metadata, FIXTURE_DATA(killed) *self,
			    enum sev_memory memory)
{
	double start = rmem_now();
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(sev_group_enter(&self->group) || one_life(memory, RUN_MS, self->stage));
	status = rmem_wait(pid, SEV_TEST_SECONDS);
	ASSERT_EQ(0, status);
	return (rmem_now() - start) * 1e6;
}

static void wait_until_it_runs(const enum stage *stage, pid_t pid)
{
	siginfo_t ended;

	while (__atomic_load_n(stage, __ATOMIC_SEQ_CST) != RUNS) {
		ended.si_pid = 0;
		/* By itself: the test will see it. */
		if (waitid(P_PID, pid, &ended, WEXITED | WNOHANG | WNOWAIT) || ended.si_pid)
			return;
		usleep(1000);
	}
}

TEST_F_TIMEOUT(killed, at_random_moments, SECONDS)
{
	unsigned int seed = 20230, life = life_us(_metadata, self, variant->memory);
	unsigned int killed[NR_STAGES] = { 0 };
	const char *left;
	int status;

	for (int i = 0; i < KILLS; i++) {
		/* All over the first life, and into the next; or from when the guest runs on. */
		unsigned int us = rand_r(&seed) % (i & 1 ? RUN_MS * 1000 : life + life / 4);
		pid_t pid;

		at_stage(self->stage, LAUNCHES);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			vmm(&self->group, variant->memory, self->stage);
		if (i & 1)
			wait_until_it_runs(self->stage, pid);
		usleep(us);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		killed[*self->stage]++;
		EXPECT_TRUE(WIFSIGNALED(status)) {
			TH_LOG("status %#x", status);
		}
		NOTHING_LEFT_SINCE(&self->before);
	}
	TH_LOG("killed: %u in the launch, %u while it ran, %u at its end", killed[LAUNCHES], killed[RUNS], killed[ENDS]);
	EXPECT_LT(0, killed[LAUNCHES]);
	EXPECT_LT(0, killed[RUNS]);
	left = sev_group_residue(&self->group);
	EXPECT_EQ(NULL, left) {
		TH_LOG("%s", left);
	}
	if (sev_group_value(&self->group, "misc.current", "sev") >= 0)
		EXPECT_EQ(0, sev_group_value(&self->group, "misc.current", "sev"));
	EXPECT_EQ(0, sev_group_value(&self->group, "memory.events", "oom_kill"));
	EXPECT_EQ(CHARGE_PAGES, pages_of_the_user());
	EXPECT_EQ(self->asids, count_asids());
	NOTHING_LEFT_SINCE(&self->before);
}

TEST_HARNESS_MAIN
