// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is around the launch of SEV guests: keys that guests share, mirrors, the
 * memory that KVM pins, and the platform's own commands on /dev/sev.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "sev_test.h"

FIXTURE(platform) {
	struct sev_vm vm;
	struct sev_user_data_status before;
};

static struct sev_vm_config sev_config(void)
{
	return (struct sev_vm_config) {
		.sev = true, .program = SEV_GUEST_COUNT, .args = { SEV_GUEST_DATA },
	};
}

FIXTURE_SETUP(platform)
{
	struct sev_vm_config cfg = sev_config();

	SKIP_IF(sev_unavailable());
	ASSERT_EQ(0, sev_platform_status(&self->before));
	OK_VM(&self->vm, sev_vm_create(&self->vm, &cfg));
	sev_vm_load_guest(&self->vm);
}

FIXTURE_TEARDOWN(platform)
{
	sev_vm_destroy(&self->vm);
}

#define OK(call)		OK_VM(&self->vm, call)

static int update(struct sev_vm *vm, uint64_t gpa, uint32_t len)
{
	return sev_launch_update(vm, vm->mem + gpa, len);
}

static uint32_t guests(void)
{
	struct sev_user_data_status status;

	return sev_platform_status(&status) ? UINT32_MAX : status.guest_count;
}

TEST_F_TIMEOUT(platform, shared_key, SEV_TEST_SECONDS)
{
	struct sev_vm_config cfg = sev_config();
	struct sev_vm other;

	OK(sev_launch_start(&self->vm, SEV_POLICY_NODBG, 0));
	OK_VM(&other, sev_vm_create(&other, &cfg));
	REFUSED_VM(&other, SEV_RET_INVALID_GUEST,
		   sev_launch_start(&other, SEV_POLICY_NODBG, self->vm.handle + 1000));
	REFUSED_VM(&other, SEV_RET_POLICY_FAILURE, sev_launch_start(&other, 0, self->vm.handle));
	EXPECT_EQ(self->before.guest_count + 1, guests());
	OK_VM(&other, sev_launch_start(&other, SEV_POLICY_NODBG, self->vm.handle));
	EXPECT_NE(self->vm.handle, other.handle);
	EXPECT_EQ(self->before.guest_count + 2, guests());
	sev_vm_destroy(&other);
	EXPECT_EQ(self->before.guest_count + 1, guests());
}

TEST_F_TIMEOUT(platform, no_key_sharing, SEV_TEST_SECONDS)
{
	struct sev_vm_config cfg = sev_config();
	struct sev_vm other;

	OK(sev_launch_start(&self->vm, SEV_POLICY_NOKS, 0));
	OK_VM(&other, sev_vm_create(&other, &cfg));
	REFUSED_VM(&other, SEV_RET_POLICY_FAILURE,
		   sev_launch_start(&other, SEV_POLICY_NOKS, self->vm.handle));
	sev_vm_destroy(&other);
}

static uint64_t run_count(struct sev_vm *vm)
{
	if (sev_vcpu_run(&vm->vcpus[0], SEV_RUN_DEADLINE_MS) != SEV_EVENT_DONE)
		return UINT64_MAX;
	return vm->vcpus[0].nr_values == 1 ? vm->vcpus[0].values[0] : UINT64_MAX;
}

TEST_F_TIMEOUT(platform, mirror, SEV_TEST_SECONDS)
{
	struct kvm_sev_guest_status status;
	struct sev_vm mirror, second;
	uint8_t blob[SEV_MEASURE_LEN];
	uint32_t len = sizeof(blob);

	OK(sev_vm_launch(&self->vm));
	OK(sev_vm_add_vcpus(&self->vm));
	EXPECT_EQ(1, run_count(&self->vm)) TH_LOG("%s", self->vm.error);

	OK_VM(&mirror, sev_vm_create_mirror(&mirror, &self->vm));
	OK_VM(&mirror, sev_guest_status(&mirror, &status));
	EXPECT_EQ(self->vm.handle, status.handle);
	EXPECT_EQ(SEV_GUEST_STATE_RUNNING, status.state);
	/* Only the owner decides about the launch and the memory. */
	EXPECT_EQ(-EINVAL, sev_launch_start(&mirror, 0, 0));
	EXPECT_EQ(-EINVAL, update(&mirror, 0, SEV_PAGE_SIZE));
	EXPECT_EQ(-EINVAL, sev_launch_measure(&mirror, blob, &len));
	EXPECT_EQ(-EINVAL, sev_vm_register_memory(&mirror));
	EXPECT_EQ(-EINVAL, sev_vm_create_mirror(&second, &mirror));
	sev_vm_destroy(&second);

	/* It runs with the owner's key: it sees what the owner's guest wrote. */
	OK_VM(&mirror, sev_vm_add_vcpus(&mirror));
	EXPECT_EQ(2, run_count(&mirror)) TH_LOG("%s", mirror.error);
	EXPECT_EQ(self->before.guest_count + 1, guests());
	sev_vm_destroy(&mirror);
	EXPECT_EQ(self->before.guest_count + 1, guests());
}

TEST_F_TIMEOUT(platform, commands_need_sev, SEV_TEST_SECONDS)
{
	struct sev_vm_config cfg = { .sev = false };
	struct kvm_sev_guest_status status;
	struct sev_vm plain;

	OK_VM(&plain, sev_vm_create(&plain, &cfg));
	plain.sev_fd = dup(self->vm.sev_fd);
	EXPECT_EQ(-ENOTTY, sev_launch_start(&plain, 0, 0));
	EXPECT_EQ(-ENOTTY, update(&plain, 0, SEV_PAGE_SIZE));
	EXPECT_EQ(-ENOTTY, sev_guest_status(&plain, &status));
	EXPECT_EQ(-ENOTTY, sev_vm_register_memory(&plain));
	EXPECT_EQ(-EINVAL, sev_cmd(&plain, KVM_SEV_NR_MAX, NULL));
	/* Too late: the vCPUs have their intercepts. */
	OK_VM(&plain, sev_vm_add_vcpus(&plain));
	EXPECT_EQ(-EINVAL, sev_init(&plain));
	sev_vm_destroy(&plain);
	/* /dev/sev is what LAUNCH_START needs, not any file. */
	close(self->vm.sev_fd);
	self->vm.sev_fd = dup(self->vm.kvm_fd);
	EXPECT_EQ(-EBADF, sev_launch_start(&self->vm, 0, 0));
}

TEST_F_TIMEOUT(platform, memory_regions, SEV_TEST_SECONDS)
{
	struct kvm_enc_region region = { 0 };

	region.addr = (uintptr_t)self->vm.mem;
	EXPECT_EQ(-1, ioctl(self->vm.fd, KVM_MEMORY_ENCRYPT_REG_REGION, &region));
	EXPECT_EQ(EINVAL, errno);
	region.size = SEV_PAGE_SIZE;
	EXPECT_EQ(-1, ioctl(self->vm.fd, KVM_MEMORY_ENCRYPT_UNREG_REGION, &region));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, ioctl(self->vm.fd, KVM_MEMORY_ENCRYPT_REG_REGION, &region));
	EXPECT_EQ(0, ioctl(self->vm.fd, KVM_MEMORY_ENCRYPT_UNREG_REGION, &region));
	EXPECT_EQ(-1, ioctl(self->vm.fd, KVM_MEMORY_ENCRYPT_UNREG_REGION, &region));
}

TEST_F_TIMEOUT(platform, locked_memory_limit, SEV_TEST_SECONDS)
{
	struct rlimit limit = { SEV_PAGE_SIZE * 16, SEV_PAGE_SIZE * 16 };

	OK(sev_launch_start(&self->vm, 0, 0));
	/* The superuser may lock more than the limit; others may not. */
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_EQ(0, seteuid(65534));
	EXPECT_EQ(-ENOMEM, sev_vm_register_memory(&self->vm));
	EXPECT_EQ(-ENOMEM, update(&self->vm, 0, SEV_PAGE_SIZE * 17));
	EXPECT_EQ(0, update(&self->vm, 0, SEV_PAGE_SIZE * 16)) TH_LOG("%s", self->vm.error);
	ASSERT_EQ(0, seteuid(0));
	EXPECT_EQ(0, sev_vm_register_memory(&self->vm));
}

TEST_F_TIMEOUT(platform, status, SEV_TEST_SECONDS)
{
	struct sev_user_data_status status;

	EXPECT_LE(1, self->before.state);
	EXPECT_NE(0, self->before.api_major | self->before.api_minor);
	OK(sev_launch_start(&self->vm, 0, 0));
	ASSERT_EQ(0, sev_platform_status(&status));
	EXPECT_EQ(2, status.state);
	EXPECT_EQ(self->before.guest_count + 1, status.guest_count);
	EXPECT_EQ(self->before.api_major, status.api_major);
	EXPECT_EQ(self->before.api_minor, status.api_minor);
	EXPECT_EQ(self->before.build, status.build);
	sev_vm_destroy(&self->vm);
	ASSERT_EQ(0, sev_platform_status(&status));
	EXPECT_EQ(self->before.guest_count, status.guest_count);
	EXPECT_EQ(self->before.guest_count ? 2 : 1, status.state);
}

TEST_F_TIMEOUT(platform, id, SEV_TEST_SECONDS)
{
	struct sev_user_data_get_id2 id2 = { 0 };
	struct sev_user_data_get_id both;
	uint8_t id[256] = { 0 }, zero[64] = { 0 };
	uint32_t fw_error;

	EXPECT_EQ(-EIO, sev_platform_cmd(SEV_GET_ID2, &id2, &fw_error));
	EXPECT_EQ(SEV_RET_INVALID_LEN, fw_error);
	ASSERT_LE(64, id2.length);
	ASSERT_GE(sizeof(id), id2.length);
	id2.address = (uintptr_t)id;
	EXPECT_EQ(0, sev_platform_cmd(SEV_GET_ID2, &id2, &fw_error));
	EXPECT_NE(0, memcmp(id, zero, 64));
	EXPECT_EQ(0, sev_platform_cmd(SEV_GET_ID, &both, &fw_error));
	EXPECT_EQ(0, memcmp(both.socket1, id, 64));
	EXPECT_EQ(-EINVAL, sev_platform_cmd(SEV_MAX, NULL, NULL));
}

TEST_HARNESS_MAIN
