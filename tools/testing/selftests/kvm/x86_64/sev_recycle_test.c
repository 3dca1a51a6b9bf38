// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV guests come and go: nothing may be left of one that was destroyed or
 * whose VMM was killed. ASIDs, firmware contexts, pinned pages and memory are
 * compared with what there was before the test.
 *
 * All of these are global to the machine: the test wants it for itself, and the
 * tolerances below are for what an idle machine does anyway.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "restrictedmem_util.h"
#include "sev_holdings.h"
#include "sev_test.h"

#define SECONDS		600
#define LAUNCHES	100
#define WARM_UP		10
#define MAX_ASIDS	600
/*
 * In all, for 100 launches of 2 MiB each: three lost pages a launch would be
 * seen, and five lost objects of 1 KiB. Ten times less is what an idle machine
 * was seen to vary by.
 */
#define FREE_TOLERANCE_KB	1024
#define SLAB_TOLERANCE_KB	512

FIXTURE(recycle) {
	struct sev_holdings before;
	unsigned int asids;
};

static struct sev_vm_config sev_config(enum sev_guest_program program)
{
	return (struct sev_vm_config) {
		.sev = true, .program = program, .args = { SEV_GUEST_DATA },
	};
}

FIXTURE_SETUP(recycle)
{
	struct sev_cpu_info info;

	SKIP_IF(sev_unavailable());
	ASSERT_TRUE(sev_cpu_info(&info));
	self->asids = info.max_asid - info.min_sev_asid + 1;
	self->before = sev_holdings_now();
	ASSERT_LE(0, self->before.guests);
	ASSERT_LE(0, rmem_value("/proc/vmstat", "nr_foll_pin_acquired"));
	ASSERT_LE(0, self->before.locked_kb);
}

FIXTURE_TEARDOWN(recycle)
{
}

#define NOTHING_LEFT()	NOTHING_LEFT_SINCE(&self->before)

/* One VM from its creation to its end; every fourth guest really runs. */
static int one_life(struct sev_vm *vm, unsigned int round)
{
	struct sev_vm_config cfg = sev_config(SEV_GUEST_COUNT);
	int ret = sev_vm_boot(vm, &cfg);

	if (!ret && round % 4 == 0 &&
	    sev_vcpu_run(&vm->vcpus[0], SEV_RUN_DEADLINE_MS) != SEV_EVENT_DONE)
		ret = -EPROTO;
	sev_vm_destroy(vm);
	return ret;
}

static void empty_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "3", 1) == 1)
		usleep(300000);
	close(fd);
}

struct memory {
	long free_kb, slab_kb;
};

/* A KASAN kernel does not reuse what was freed: its memory says nothing here. */
static bool keeps_freed_memory(void)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	char line[512];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, " kasan_quarantine_put");
	if (file)
		fclose(file);
	return found;
}

/* Free pages that the CPUs keep for themselves: megabytes, and not in MemFree. */
static long per_cpu_free_kb(void)
{
	FILE *file = fopen("/proc/zoneinfo", "re");
	long n, pages = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, " count: %ld", &n) == 1)
			pages += n;
	}
	if (file)
		fclose(file);
	return pages * (long)(SEV_PAGE_SIZE / 1024);
}

static struct memory memory_now(void)
{
	struct memory now;

	empty_caches();
	sev_fold_counters();
	now.free_kb = rmem_value("/proc/meminfo", "MemFree") + per_cpu_free_kb();
	now.slab_kb = rmem_value("/proc/meminfo", "Slab");
	return now;
}

/* The cgroup controller's account of ASIDs, where the kernel has one. */
static long misc_charged(const char *group)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/misc.current", group);
	return rmem_value(path, "sev");
}

/* A cgroup of our own with the misc controller; NULL: this kernel has none. */
static const char *enter_misc_group(void)
{
	static const char group[] = "/sys/fs/cgroup/sev_recycle_test";
	int fd = open("/sys/fs/cgroup/cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, "+misc", 5) == 5;
	char path[256];

	if (fd >= 0)
		close(fd);
	if (!ok || (mkdir(group, 0755) && errno != EEXIST))
		return NULL;
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, "0", 1) == 1;
	if (fd >= 0)
		close(fd);
	return ok ? group : NULL;
}

static void leave_misc_group(const char *group)
{
	int fd = open("/sys/fs/cgroup/cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, "0", 1) == 1)
			rmdir(group);
		close(fd);
	}
}

/* What the controller says about one VM while it is there; 1 is right. */
static long charged_for_one(const char *group)
{
	struct sev_vm_config cfg = sev_config(SEV_GUEST_COUNT);
	struct sev_vm vm;
	long n = sev_vm_create(&vm, &cfg) ? -1 : misc_charged(group);

	sev_vm_destroy(&vm);
	return n;
}

TEST_F_TIMEOUT(recycle, hundred_launches, SECONDS)
{
	struct memory before, after;
	const char *group;
	struct sev_vm vm;

	ASSERT_GT(LAUNCHES, self->asids) TH_LOG("too many ASIDs to wear them out");
	group = enter_misc_group();
	for (unsigned int i = 0; i < WARM_UP; i++)
		OK_VM(&vm, one_life(&vm, i));
	before = memory_now();
	for (unsigned int i = 0; i < LAUNCHES; i++)
		OK_VM(&vm, one_life(&vm, i));
	NOTHING_LEFT();
	after = memory_now();
	if (!keeps_freed_memory()) {
		EXPECT_LE(before.free_kb - FREE_TOLERANCE_KB, after.free_kb);
		EXPECT_GE(before.slab_kb + SLAB_TOLERANCE_KB, after.slab_kb);
	}
	TH_LOG("free %+ld kB, Slab %+ld kB", after.free_kb - before.free_kb,
	       after.slab_kb - before.slab_kb);
	if (group) {
		EXPECT_EQ(1, charged_for_one(group));
		EXPECT_EQ(0, misc_charged(group));
		leave_misc_group(group);
	}
}

/* As many VMs as can be at once; the next one's error is in @vms[n].error. */
static unsigned int fill_asids(struct sev_vm *vms, unsigned int max, int *err)
{
	struct sev_vm_config cfg = sev_config(SEV_GUEST_COUNT);
	unsigned int n;

	for (n = 0; n < max; n++) {
		*err = sev_vm_create(&vms[n], &cfg);
		if (!*err)
			*err = sev_launch_start(&vms[n], 0, 0);
		if (*err)
			break;
	}
	return n;
}

static struct sev_vm *new_vms(void)
{
	/* One more, for the VM that is refused. */
	return calloc(MAX_ASIDS + 1, sizeof(struct sev_vm));
}

static unsigned int count_asids(int *err)
{
	struct sev_vm *vms = new_vms();
	unsigned int n = vms ? fill_asids(vms, MAX_ASIDS, err) : 0;

	for (unsigned int i = 0; vms && i <= n && i < MAX_ASIDS; i++)
		sev_vm_destroy(&vms[i]);
	free(vms);
	return n;
}

TEST_F_TIMEOUT(recycle, more_vms_than_asids, SECONDS)
{
	struct sev_vm_config cfg = sev_config(SEV_GUEST_COUNT);
	struct sev_vm *vms, plain;
	unsigned int n;
	int err = 0;

	vms = new_vms();
	ASSERT_NE(NULL, vms);
	n = fill_asids(vms, MAX_ASIDS, &err);
	EXPECT_EQ(self->asids, n);
	EXPECT_EQ(-EBUSY, err) TH_LOG("%s", vms[n].error);
	sev_vm_destroy(&vms[n]);
	EXPECT_EQ(self->before.guests + n, sev_holdings_now().guests);

	/* Still none; a VM without SEV needs none. */
	EXPECT_EQ(-EBUSY, sev_vm_create(&vms[n], &cfg));
	sev_vm_destroy(&vms[n]);
	cfg.sev = false;
	OK_VM(&plain, sev_vm_boot(&plain, &cfg));
	EXPECT_EQ(SEV_EVENT_DONE, sev_vcpu_run(&plain.vcpus[0], SEV_RUN_DEADLINE_MS));
	sev_vm_destroy(&plain);

	/* One leaves, one can come, and it works; again, none is left. */
	sev_vm_destroy(&vms[n / 2]);
	OK_VM(&vms[n / 2], one_life(&vms[n / 2], 0));
	cfg.sev = true;
	OK_VM(&vms[n / 2], sev_vm_create(&vms[n / 2], &cfg));
	EXPECT_EQ(-EBUSY, sev_vm_create(&vms[n], &cfg));
	for (unsigned int i = 0; i <= n; i++)
		sev_vm_destroy(&vms[i]);
	free(vms);
	NOTHING_LEFT();
	EXPECT_EQ(self->asids, count_asids(&err));
}

TEST_F_TIMEOUT(recycle, failed_launches, SECONDS)
{
	struct sev_vm_config cfg = sev_config(SEV_GUEST_COUNT);
	struct sev_vm vm;
	int err = 0;

	/* More than there are ASIDs, each refused by the firmware. */
	for (unsigned int i = 0; i < 3 * self->asids; i++) {
		OK_VM(&vm, sev_vm_create(&vm, &cfg));
		EXPECT_EQ(-EIO, sev_launch_start(&vm, 0xff << 16, 0));
		OK_VM(&vm, sev_vm_register_memory(&vm));
		sev_vm_destroy(&vm);
	}
	NOTHING_LEFT();
	EXPECT_EQ(self->asids, count_asids(&err));
}

/* How far the VMM comes before it is killed. */
enum stage {
	STAGE_CREATED, STAGE_REGISTERED, STAGE_STARTED, STAGE_UPDATED, STAGE_MEASURED,
	STAGE_FINISHED, STAGE_VCPUS, STAGE_RUNNING, STAGE_MIRRORED, NR_STAGES,
};

static int reach_stage(struct sev_vm *vm, enum stage stage)
{
	struct sev_vm_config cfg = sev_config(SEV_GUEST_SPIN);
	uint8_t blob[SEV_MEASURE_LEN];
	uint32_t len = sizeof(blob);
	static struct sev_vm mirror;
	int ret = sev_vm_create(vm, &cfg);

	if (ret)
		return ret;
	sev_vm_load_guest(vm);
	if (stage >= STAGE_REGISTERED)
		ret = sev_vm_register_memory(vm);
	if (!ret && stage >= STAGE_STARTED)
		ret = sev_launch_start(vm, 0, 0);
	if (!ret && stage >= STAGE_UPDATED)
		ret = sev_launch_update(vm, vm->mem, vm->cfg.pages * SEV_PAGE_SIZE);
	if (!ret && stage >= STAGE_MEASURED)
		ret = sev_launch_measure(vm, blob, &len);
	if (!ret && stage >= STAGE_FINISHED)
		ret = sev_launch_finish(vm);
	if (!ret && stage >= STAGE_VCPUS)
		ret = sev_vm_add_vcpus(vm);
	if (!ret && stage >= STAGE_RUNNING &&
	    sev_vcpu_run(&vm->vcpus[0], SEV_RUN_DEADLINE_MS) != SEV_EVENT_SYNC)
		ret = -EPROTO;
	if (!ret && stage >= STAGE_MIRRORED)
		ret = sev_vm_create_mirror(&mirror, vm);
	return ret;
}

/* The child says 0 when it is there, and then runs the guest or sleeps. */
static void __noreturn vmm(enum stage stage, int fd)
{
	static struct sev_vm vm;
	int ret = reach_stage(&vm, stage);

	if (write(fd, &ret, sizeof(ret)) != sizeof(ret))
		_exit(1);
	if (!ret && stage >= STAGE_RUNNING)
		sev_vcpu_run(&vm.vcpus[0], 3600 * 1000);
	for (;;)
		pause();
}

/* Returns what the child said, or -EPIPE when it died by itself. */
static int kill_at(enum stage stage, unsigned int delay_us)
{
	int fds[2], ret = -EPIPE, status;
	pid_t pid;

	if (pipe(fds))
		return -errno;
	pid = fork();
	if (!pid) {
		close(fds[0]);
		vmm(stage, fds[1]);
	}
	close(fds[1]);
	if (pid > 0) {
		if (read(fds[0], &ret, sizeof(ret)) != sizeof(ret))
			ret = -EPIPE;
		usleep(delay_us);
		kill(pid, SIGKILL);
		if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
			ret = ret ? ret : -ECHILD;
	}
	close(fds[0]);
	return ret;
}

TEST_F_TIMEOUT(recycle, killed_at_each_stage, SECONDS)
{
	int err = 0;

	for (unsigned int round = 0; round < 3; round++) {
		for (int stage = 0; stage < NR_STAGES; stage++) {
			ASSERT_EQ(0, kill_at(stage, round * 1500)) TH_LOG("stage %d", stage);
			NOTHING_LEFT();
		}
	}
	EXPECT_EQ(self->asids, count_asids(&err));
}

TEST_F_TIMEOUT(recycle, killed_anywhere, SECONDS)
{
	unsigned int delay = 0;
	int status, err = 0;

	/* At no particular place: also in the middle of a command. */
	for (unsigned int i = 0; i < 40; i++, delay += 500) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			static struct sev_vm vm;

			for (;;)
				one_life(&vm, 1);
		}
		usleep(delay);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
	NOTHING_LEFT();
	EXPECT_EQ(self->asids, count_asids(&err));
}

TEST_HARNESS_MAIN
