// SPDX-License-Identifier: GPL-2.0-only
/*
 * VM types: which there are, what KVM says that each can do, and that it refuses the rest. A VM of the
 * default type has nothing of private memory but the new ioctl for slots.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "private_vm.h"

#define SIZE	PVM_MIB

static int create_vm(int kvm, unsigned long type)
{
	int fd = ioctl(kvm, KVM_CREATE_VM, type);

	return fd < 0 ? -errno : fd;
}

TEST(advertised_types_exist)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int types = pvm_check_cap(kvm, KVM_CAP_VM_TYPES);

	ASSERT_LE(0, kvm);
	ASSERT_LE(0, types);
	EXPECT_EQ(1 << KVM_X86_DEFAULT_VM | 1 << KVM_X86_SW_PROTECTED_VM,
		  types & (1 << KVM_X86_DEFAULT_VM | 1 << KVM_X86_SW_PROTECTED_VM));
	for (unsigned int type = 0; type < 64; type++) {
		int vm = create_vm(kvm, type);

		if (type < 32 && types & 1u << type) {
			EXPECT_LE(0, vm);
			EXPECT_EQ(types, pvm_check_cap(vm, KVM_CAP_VM_TYPES));
			close(vm);
		} else {
			EXPECT_EQ(-EINVAL, vm) {
				TH_LOG("type %u", type);
			}
		}
	}
	/* What does not fit into an int is no type either. */
	EXPECT_EQ(-EINVAL, create_vm(kvm, 1ul << 32));
	EXPECT_EQ(-EINVAL, create_vm(kvm, 1ul << 32 | KVM_X86_SW_PROTECTED_VM));
	EXPECT_EQ(-EINVAL, create_vm(kvm, -1ul));
	close(kvm);
}

struct cap {
	long cap;
	int system, ordinary, private;
};

TEST(capabilities)
{
	const int prefault = !pvm_shadow_paging();
	const struct cap caps[] = {
		{ KVM_CAP_USER_MEMORY2, 1, 1, 1 },
		{ KVM_CAP_MEMORY_FAULT_INFO, 1, 1, 1 },
		{ KVM_CAP_MEMORY_ATTRIBUTES, KVM_MEMORY_ATTRIBUTE_PRIVATE, 0, KVM_MEMORY_ATTRIBUTE_PRIVATE },
		{ KVM_CAP_GUEST_MEMFD, 1, 0, 1 },
		{ KVM_CAP_MULTI_ADDRESS_SPACE, 2, 2, 1 },
		{ KVM_CAP_X86_SMM, 1, 1, 0 },
		{ KVM_CAP_PRE_FAULT_MEMORY, prefault, prefault, prefault },
	};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int ordinary = create_vm(kvm, KVM_X86_DEFAULT_VM);
	int private = create_vm(kvm, KVM_X86_SW_PROTECTED_VM);

	ASSERT_LE(0, ordinary);
	ASSERT_LE(0, private);
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		EXPECT_EQ(caps[i].system, pvm_check_cap(kvm, caps[i].cap)) {
			TH_LOG("capability %ld of KVM", caps[i].cap);
		}
		EXPECT_EQ(caps[i].ordinary, pvm_check_cap(ordinary, caps[i].cap)) {
			TH_LOG("capability %ld of the default type", caps[i].cap);
		}
		EXPECT_EQ(caps[i].private, pvm_check_cap(private, caps[i].cap)) {
			TH_LOG("capability %ld of the private type", caps[i].cap);
		}
	}
	close(private);
	close(ordinary);
	close(kvm);
}

TEST(default_type_has_no_private_memory)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = PVM_SLOT,
		.guest_phys_addr = PVM_DATA,
		.memory_size = SIZE,
	};
	void *hva = pvm_map(SIZE);
	uint64_t value = 1;
	struct pvm vm;
	int fd;

	ASSERT_NE(NULL, hva);
	ASSERT_EQ(0, pvm_create(&vm, KVM_X86_DEFAULT_VM));
	ASSERT_EQ(0, pvm_add_vcpus(&vm, 1));
	fd = pvm_create_file(NULL, PVM_RESTRICTED, SIZE);
	ASSERT_LE(0, fd);
	region.userspace_addr = (uintptr_t)hva;
	region.guest_memfd = fd;
	region.flags = KVM_MEM_GUEST_MEMFD;
	EXPECT_EQ(-EINVAL, pvm_set_region(&vm, &region));
	EXPECT_EQ(-EINVAL, pvm_set_private(&vm, PVM_DATA, SIZE, true));

	/* The new ioctl does what the old one does. */
	region.flags = KVM_MEM_LOG_DIRTY_PAGES;
	EXPECT_EQ(0, pvm_set_region(&vm, &region));
	EXPECT_EQ(0, pvm_write(&vm, PVM_DATA, 5));
	EXPECT_EQ(5, *(uint64_t *)hva);
	/* And a slot may move. */
	region.flags = 0;
	EXPECT_EQ(0, pvm_set_region(&vm, &region));
	region.guest_phys_addr += SIZE;
	EXPECT_EQ(0, pvm_set_region(&vm, &region));
	EXPECT_EQ(0, pvm_read(&vm, PVM_DATA + SIZE, &value));
	EXPECT_EQ(5, value);
	pvm_destroy(&vm);
	close(fd);
	munmap(hva, SIZE);
}

/* Of SW_PROTECTED VMs too, slots without a file are as ever. */
TEST(ordinary_slots_of_a_private_type)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = PVM_SLOT,
		.guest_phys_addr = PVM_DATA,
		.memory_size = SIZE,
	};
	void *hva = pvm_map(SIZE);
	uint64_t value = 1;
	struct pvm vm;

	ASSERT_NE(NULL, hva);
	ASSERT_EQ(0, pvm_create(&vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, pvm_add_vcpus(&vm, 1));
	region.userspace_addr = (uintptr_t)hva;
	ASSERT_EQ(0, pvm_set_region(&vm, &region));
	EXPECT_EQ(0, pvm_write(&vm, PVM_DATA, 5));
	region.guest_phys_addr += SIZE;
	EXPECT_EQ(0, pvm_set_region(&vm, &region));
	region.flags = KVM_MEM_LOG_DIRTY_PAGES;
	EXPECT_EQ(0, pvm_set_region(&vm, &region));
	EXPECT_EQ(0, pvm_read(&vm, PVM_DATA + SIZE, &value));
	EXPECT_EQ(5, value);
	region.flags = KVM_MEM_READONLY;
	EXPECT_EQ(-EINVAL, pvm_set_region(&vm, &region));
	pvm_destroy(&vm);
	munmap(hva, SIZE);
}

TEST(guest_memfd_arguments)
{
	struct kvm_create_guest_memfd create;
	struct pvm vm;
	int fd;
	const uint64_t bad_sizes[] = {
		0, 1, PVM_PAGE - 1, PVM_PAGE + 1, 1ull << 63, -1ull, -PVM_PAGE,
	};

	ASSERT_EQ(0, pvm_create(&vm, KVM_X86_SW_PROTECTED_VM));
	for (size_t i = 0; i < ARRAY_SIZE(bad_sizes); i++) {
		EXPECT_EQ(-EINVAL, pvm_create_file(&vm, PVM_GUEST_MEMFD, bad_sizes[i])) {
			TH_LOG("size %#lx", bad_sizes[i]);
		}
	}
	for (int bit = 0; bit < 64; bit++) {
		create = (struct kvm_create_guest_memfd){ .size = PVM_PAGE, .flags = 1ull << bit };
		EXPECT_EQ(-1, ioctl(vm.fd, KVM_CREATE_GUEST_MEMFD, &create));
		EXPECT_EQ(EINVAL, errno);
	}
	create = (struct kvm_create_guest_memfd){ .size = PVM_PAGE, .reserved = { -1, -1, -1, -1, -1, -1 } };
	fd = ioctl(vm.fd, KVM_CREATE_GUEST_MEMFD, &create);
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(-1, ioctl(vm.fd, KVM_CREATE_GUEST_MEMFD, NULL));
	EXPECT_EQ(EFAULT, errno);
	pvm_destroy(&vm);
}

TEST(guest_memfd_without_a_descriptor)
{
	struct rlimit limit;
	struct pvm vm;

	ASSERT_EQ(0, pvm_create(&vm, KVM_X86_SW_PROTECTED_VM));
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = 3;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(-EMFILE, pvm_create_file(&vm, PVM_GUEST_MEMFD, PVM_PAGE));
	pvm_destroy(&vm);
}

TEST_HARNESS_MAIN
