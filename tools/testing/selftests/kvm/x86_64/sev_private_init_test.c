// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMs of the SEV type: which there are, how SEV is initialized in them, what they can do and what
 * they refuse. That the default type is as it was is said by the other tests of SEV.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"
#include "sev_holdings.h"
#include "sev_test.h"

#define SIZE	(64 * SEV_PAGE_SIZE)

static const struct kvm_sev_init zero_init;

/* A VM of a type and nothing in it: what a library would do for it is the test's business. */
FIXTURE(type) {
	struct sev_vm vm;
	struct sev_holdings before;
};

FIXTURE_VARIANT(type) {
	unsigned long type;
};

FIXTURE_VARIANT_ADD(type, ordinary) {
	.type = KVM_X86_DEFAULT_VM,
};

FIXTURE_VARIANT_ADD(type, sw_protected) {
	.type = KVM_X86_SW_PROTECTED_VM,
};

FIXTURE_VARIANT_ADD(type, sev) {
	.type = KVM_X86_SEV_VM,
};

FIXTURE_SETUP(type)
{
	struct sev_vm *vm = &self->vm;

	SKIP_IF(sev_type_unavailable());
	self->before = sev_holdings_now();
	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, vm->kvm_fd);
	vm->sev_fd = open("/dev/sev", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, vm->sev_fd);
	vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, variant->type);
	ASSERT_LE(0, vm->fd);
	for (int i = 0; i < SEV_GUEST_MAX_VCPUS; i++)
		vm->vcpus[i].fd = -1;
	vm->file = -1;
}

FIXTURE_TEARDOWN(type)
{
	sev_vm_destroy(&self->vm);
	NOTHING_LEFT_SINCE(&self->before);
}

#define IS_SEV		(variant->type == KVM_X86_SEV_VM)
#define OK(call)	OK_VM(&self->vm, call)

TEST_F_TIMEOUT(type, capabilities, SEV_TEST_SECONDS)
{
	const bool private = variant->type != KVM_X86_DEFAULT_VM;
	int fd = self->vm.fd, types = pvm_check_cap(fd, KVM_CAP_VM_TYPES);

	EXPECT_EQ(types, pvm_check_cap(self->vm.kvm_fd, KVM_CAP_VM_TYPES));
	EXPECT_EQ(1 << KVM_X86_SEV_VM, types & 1 << KVM_X86_SEV_VM);
	EXPECT_EQ(0, types & 1 << KVM_X86_SEV_ES_VM);
	EXPECT_EQ(1, pvm_check_cap(fd, KVM_CAP_USER_MEMORY2));
	EXPECT_EQ(1, pvm_check_cap(fd, KVM_CAP_MEMORY_FAULT_INFO));
	EXPECT_EQ(private, pvm_check_cap(fd, KVM_CAP_GUEST_MEMFD));
	EXPECT_EQ(private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
		  pvm_check_cap(fd, KVM_CAP_MEMORY_ATTRIBUTES));
	EXPECT_EQ(!private, pvm_check_cap(fd, KVM_CAP_X86_SMM));
	EXPECT_EQ(private ? 1 : 2, pvm_check_cap(fd, KVM_CAP_MULTI_ADDRESS_SPACE));
}

/* Not before SEV-ES is supported, whatever else is in the number. */
TEST_F_TIMEOUT(type, no_encrypted_state, SEV_TEST_SECONDS)
{
	EXPECT_EQ(-1, ioctl(self->vm.kvm_fd, KVM_CREATE_VM, KVM_X86_SEV_ES_VM));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_NE(0, sev_cmd(&self->vm, KVM_SEV_ES_INIT, NULL));
}

/* Each type has one way. */
TEST_F_TIMEOUT(type, one_way_to_initialize, SEV_TEST_SECONDS)
{
	if (IS_SEV) {
		EXPECT_EQ(-EINVAL, sev_init(&self->vm));
		EXPECT_EQ(self->before.guests, sev_holdings_now().guests);
		OK(sev_init2(&self->vm, &zero_init));
	} else {
		EXPECT_EQ(-EINVAL, sev_init2(&self->vm, &zero_init));
	}
	EXPECT_EQ(variant->type == KVM_X86_DEFAULT_VM ? 0 : -EINVAL, sev_init(&self->vm));
	EXPECT_EQ(variant->type == KVM_X86_SW_PROTECTED_VM ? -ENOTTY : 0,
		  sev_launch_start(&self->vm, 0, 0));
}

/*
 * Bits without a meaning are refused, one by one, and leave the VM as it was. The padding is not
 * looked at, as in mainline.
 */
TEST_F_TIMEOUT(type, arguments_of_init2, SEV_TEST_SECONDS)
{
	struct kvm_sev_init init = { 0 };
	uint8_t *bytes = (uint8_t *)&init;

	for (unsigned int bit = 0; bit < 8 * offsetof(struct kvm_sev_init, pad1); bit++) {
		bytes[bit / 8] ^= 1 << bit % 8;
		EXPECT_EQ(-EINVAL, sev_init2(&self->vm, &init)) {
			TH_LOG("bit %u", bit);
		}
		bytes[bit / 8] ^= 1 << bit % 8;
	}
	if (!IS_SEV)
		return;
	EXPECT_EQ(-EFAULT, sev_cmd(&self->vm, KVM_SEV_INIT2, (void *)SEV_PAGE_SIZE));
	init.pad1 = 1;
	init.pad2[7] = 1u << 31;
	OK(sev_init2(&self->vm, &init));
	EXPECT_EQ(-EINVAL, sev_init2(&self->vm, &zero_init));
	OK(sev_launch_start(&self->vm, 0, 0));
}

/* Before SEV is initialized there is no command but that. */
TEST_F_TIMEOUT(type, nothing_before_init, SEV_TEST_SECONDS)
{
	static uint8_t page[SEV_PAGE_SIZE] __aligned(4096);
	struct kvm_sev_guest_status status;
	uint8_t blob[SEV_MEASURE_LEN];
	struct sev_vm *vm = &self->vm;
	uint32_t len = sizeof(blob);

	EXPECT_EQ(-ENOTTY, sev_launch_start(vm, 0, 0));
	EXPECT_EQ(-ENOTTY, sev_launch_update(vm, page, sizeof(page)));
	EXPECT_EQ(-ENOTTY, sev_launch_measure(vm, blob, &len));
	EXPECT_EQ(-ENOTTY, sev_launch_finish(vm));
	EXPECT_EQ(-ENOTTY, sev_guest_status(vm, &status));
	EXPECT_EQ(-ENOTTY, sev_dbg_decrypt(vm, page, page, 16));
	EXPECT_EQ(-ENOTTY, sev_dbg_encrypt(vm, page, page, 16));
	EXPECT_EQ(-ENOTTY, sev_vm_register(vm, page, sizeof(page)));
	EXPECT_EQ(self->before.guests, sev_holdings_now().guests);
}

/* A VMM may have built the whole VM, but its vCPUs. */
TEST_F_TIMEOUT(type, init2_after_memory, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	struct pvm owner = { .fd = vm->fd };
	void *hva;

	if (!IS_SEV)
		return;
	hva = pvm_map(SIZE);
	ASSERT_NE(NULL, hva);
	vm->file = pvm_create_file(&owner, PVM_GUEST_MEMFD, SIZE);
	ASSERT_LE(0, vm->file);
	ASSERT_EQ(0, ioctl(vm->fd, KVM_CREATE_IRQCHIP, NULL));
	OK(sev_vm_set_slot(vm, 0, 0, hva, SIZE / SEV_PAGE_SIZE, vm->file, 0));
	OK(sev_vm_set_private(vm, 0, SIZE, true));
	OK(sev_init2(vm, &zero_init));
	OK(sev_launch_start(vm, 0, 0));
	OK(sev_launch_update(vm, hva, SIZE));
	EXPECT_EQ(SIZE / SEV_PAGE_SIZE, pvm_file_pages(vm->file));
}

/* A vCPU gets its intercepts when it is created: too late for SEV. Nor does it run without. */
TEST_F_TIMEOUT(type, init2_after_vcpu, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	struct sev_vcpu *vcpu = &vm->vcpus[0];
	int size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (!IS_SEV)
		return;
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	if (vcpu->fd < 0) {
		EXPECT_EQ(EINVAL, errno);
		return;
	}
	ASSERT_LE(0, size);
	EXPECT_EQ(-EINVAL, sev_init2(vm, &zero_init));
	EXPECT_EQ(-1, ioctl(vcpu->fd, KVM_RUN, NULL));
	EXPECT_EQ(EINVAL, errno);
}

/* What would take private pages out of the VM, or into it, is not there yet. */
TEST_F_TIMEOUT(type, no_migration, SEV_TEST_SECONDS)
{
	static const uint32_t commands[] = {
		KVM_SEV_SEND_START, KVM_SEV_SEND_UPDATE_DATA, KVM_SEV_SEND_FINISH, KVM_SEV_SEND_CANCEL,
		KVM_SEV_RECEIVE_START, KVM_SEV_RECEIVE_UPDATE_DATA, KVM_SEV_RECEIVE_FINISH,
	};
	uint8_t data[256] = { 0 };

	if (!IS_SEV)
		return;
	OK(sev_init2(&self->vm, &zero_init));
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		EXPECT_EQ(-EOPNOTSUPP, sev_cmd(&self->vm, commands[i], data)) {
			TH_LOG("command %u before the launch", commands[i]);
		}
	}
	OK(sev_launch_start(&self->vm, 0, 0));
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		EXPECT_EQ(-EOPNOTSUPP, sev_cmd(&self->vm, commands[i], data)) {
			TH_LOG("command %u in the launch", commands[i]);
		}
	}
}

static int get_attribute(int fd, uint32_t group, uint64_t attr, void *value)
{
	struct kvm_device_attr device = { .group = group, .attr = attr, .addr = (uintptr_t)value };

	return ioctl(fd, KVM_GET_DEVICE_ATTR, &device) ? -errno : 0;
}

static int has_attribute(int fd, uint32_t group, uint64_t attr)
{
	struct kvm_device_attr device = { .group = group, .attr = attr };

	return ioctl(fd, KVM_HAS_DEVICE_ATTR, &device) ? -errno : 0;
}

/* What KVM says of itself before there is a VM: no feature of a VMSA, since there are none. */
TEST(vmsa_features)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	uint64_t features = -1;

	SKIP_IF(sev_type_unavailable());
	ASSERT_LE(0, kvm);
	EXPECT_EQ(0, has_attribute(kvm, KVM_X86_GRP_SEV, KVM_X86_SEV_VMSA_FEATURES));
	EXPECT_EQ(0, get_attribute(kvm, KVM_X86_GRP_SEV, KVM_X86_SEV_VMSA_FEATURES, &features));
	EXPECT_EQ(0, features);
	EXPECT_EQ(-EFAULT, get_attribute(kvm, KVM_X86_GRP_SEV, KVM_X86_SEV_VMSA_FEATURES,
					 (void *)SEV_PAGE_SIZE));
	EXPECT_EQ(-ENXIO, has_attribute(kvm, KVM_X86_GRP_SEV, KVM_X86_SEV_VMSA_FEATURES + 1));
	EXPECT_EQ(-ENXIO, get_attribute(kvm, KVM_X86_GRP_SEV, KVM_X86_SEV_VMSA_FEATURES + 1, &features));
	EXPECT_EQ(-ENXIO, has_attribute(kvm, KVM_X86_GRP_SEV + 1, KVM_X86_SEV_VMSA_FEATURES));
	/* The group of old: XCOMP guest support. */
	EXPECT_EQ(0, has_attribute(kvm, 0, KVM_X86_XCOMP_GUEST_SUPP));
	close(kvm);
}

/*
 * A VM of the SEV type whose memory has no file is what SEV VMs always were: registered memory is
 * pinned, in units of what was registered. Of private memory nothing is.
 */
FIXTURE(memory) {
	struct sev_vm vm;
	struct sev_holdings before;
};

FIXTURE_VARIANT(memory) {
	enum sev_memory memory;
};

FIXTURE_VARIANT_ADD(memory, pinned) {
	.memory = SEV_MEMORY_PINNED,
};

FIXTURE_VARIANT_ADD(memory, restricted) {
	.memory = SEV_MEMORY_PRIVATE,
};

FIXTURE_VARIANT_ADD(memory, guest_memfd) {
	.memory = SEV_MEMORY_GUEST_MEMFD,
};

FIXTURE_SETUP(memory)
{
	struct sev_vm_config cfg = { .sev = true, .memory = variant->memory, .program = SEV_GUEST_COUNT,
				     .args = { SEV_GUEST_DATA } };

	SKIP_IF(sev_type_unavailable());
	self->before = sev_holdings_now();
	OK(sev_vm_create(&self->vm, &cfg));
	/*
	 * 6.1 pins memory that was never written as the page of zeroes, which does not count: for a
	 * number of pins there must be pages.
	 */
	memset(self->vm.mem, 1, self->vm.cfg.pages * SEV_PAGE_SIZE);
	memset(self->vm.shared, 1, self->vm.cfg.shared_pages * SEV_PAGE_SIZE);
	sev_vm_load_guest(&self->vm);
	*(uint64_t *)(self->vm.mem + SEV_GUEST_DATA) = 0;
}

FIXTURE_TEARDOWN(memory)
{
	sev_vm_destroy(&self->vm);
	NOTHING_LEFT_SINCE(&self->before);
}

#define PINNED()	(sev_holdings_now().pinned - self->before.pinned)

TEST_F_TIMEOUT(memory, registration, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	const long all = vm->cfg.pages, pins = sev_vm_is_private(vm) ? 0 : 1;

	OK(sev_vm_register(vm, vm->mem, all * SEV_PAGE_SIZE));
	EXPECT_EQ(pins * all, PINNED());
	/* A part of it as well, also not aligned, and twice the same. */
	OK(sev_vm_register(vm, vm->mem + 100, 2 * SEV_PAGE_SIZE));
	OK(sev_vm_register(vm, vm->mem + 100, 2 * SEV_PAGE_SIZE));
	EXPECT_EQ(pins * (all + 6), PINNED());
	/* What has no private half is pinned in any VM. */
	OK(sev_vm_register(vm, vm->shared, 3 * SEV_PAGE_SIZE));
	EXPECT_EQ(pins * (all + 6) + 3, PINNED());

	EXPECT_EQ(-EINVAL, sev_vm_unregister(vm, vm->mem, 2 * SEV_PAGE_SIZE));
	EXPECT_EQ(-EINVAL, sev_vm_unregister(vm, vm->mem + SEV_PAGE_SIZE, SEV_PAGE_SIZE));
	OK(sev_vm_unregister(vm, vm->mem + 100, 2 * SEV_PAGE_SIZE));
	OK(sev_vm_unregister(vm, vm->mem + 100, 2 * SEV_PAGE_SIZE));
	EXPECT_EQ(-EINVAL, sev_vm_unregister(vm, vm->mem + 100, 2 * SEV_PAGE_SIZE));
	EXPECT_EQ(pins * all + 3, PINNED());
	OK(sev_vm_unregister(vm, vm->mem, all * SEV_PAGE_SIZE));
	EXPECT_EQ(3, PINNED());
	OK(sev_vm_unregister(vm, vm->shared, 3 * SEV_PAGE_SIZE));
	EXPECT_EQ(0, PINNED());
}

TEST_F_TIMEOUT(memory, bad_registration, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;

	EXPECT_EQ(-EINVAL, sev_vm_register(vm, vm->mem, 0));
	EXPECT_EQ(-EINVAL, sev_vm_register(vm, vm->mem, -SEV_PAGE_SIZE));
	EXPECT_NE(0, sev_vm_register(vm, (void *)SEV_PAGE_SIZE, SEV_PAGE_SIZE));
	EXPECT_EQ(0, PINNED());
}

/* From the registration to the end of the VM, and nothing that the launch forgets. */
TEST_F_TIMEOUT(memory, pins_of_a_running_guest, SEV_TEST_SECONDS)
{
	struct sev_vm *vm = &self->vm;
	const bool private = sev_vm_is_private(vm);
	long all = vm->cfg.pages + vm->cfg.shared_pages;

	OK(sev_vm_launch(vm));
	EXPECT_EQ(private ? 0 : all, PINNED());
	OK(sev_vm_add_vcpus(vm));
	RUN_VCPU(&vm->vcpus[0], DONE);
	EXPECT_EQ(1, vm->vcpus[0].values[0]);
	EXPECT_EQ(private ? 0 : all, PINNED());
	if (private)
		EXPECT_EQ((long)vm->cfg.pages, pvm_file_pages(vm->file));
}

TEST_HARNESS_MAIN
