// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small KVM guest for tests of private memory: creation and memory. See private_vm.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "private_vm.h"

#define PTE_FLAGS	0x63ull			/* present, writable, accessed, dirty */
#define PTE_LARGE	(1ull << 7)
#define LARGE_SHIFT	21

bool pvm_module_parameter(const char *module, const char *name)
{
	char path[128], value = 0;
	int fd;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, &value, 1) != 1)
		value = 0;
	close(fd);
	return value == 'Y' || value == '1';
}

bool pvm_shadow_paging(void)
{
	return !pvm_module_parameter("kvm_amd", "npt");
}

static void build_page_tables(uint8_t *low)
{
	uint64_t *pd = (uint64_t *)(low + PVM_PD);

	*(uint64_t *)(low + PVM_PML4) = PVM_PDPT | PTE_FLAGS;
	for (uint64_t i = 0; i < 4; i++)
		((uint64_t *)(low + PVM_PDPT))[i] = (PVM_PD + i * PVM_PAGE) | PTE_FLAGS;
	for (uint64_t i = 0; i < 4 * 512; i++)
		pd[i] = i << LARGE_SHIFT | PTE_LARGE | PTE_FLAGS;
}

static void build_descriptors(uint8_t *low)
{
	uint64_t *idt = (uint64_t *)(low + PVM_IDT);

	((uint64_t *)(low + PVM_GDT))[1] = 0x00af9b000000ffffull;
	((uint64_t *)(low + PVM_GDT))[2] = 0x00cf93000000ffffull;
	for (uint64_t i = 0; i < PVM_VECTORS; i++)
		/* A present interrupt gate of selector 8. */
		idt[2 * i] = 0x8e0000080000ull | (PVM_CODE + i * PVM_VECTOR_SIZE);
}

static int make_low_memory(struct pvm *vm)
{
	vm->low = pvm_map(PVM_LOW_SIZE);
	if (!vm->low)
		return -ENOMEM;
	build_page_tables(vm->low);
	build_descriptors(vm->low);
	memcpy(vm->low + PVM_CODE, pvm_guest_start, pvm_guest_end - pvm_guest_start);
	return pvm_add_slot(vm, PVM_LOW_SLOT, 0, PVM_LOW_SIZE, vm->low, -1, 0);
}

int pvm_create(struct pvm *vm, unsigned long type)
{
	int ret;

	*vm = (struct pvm){ .kvm = -1, .fd = -1 };
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		return -errno;
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, type);
	vm->run_size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	ret = vm->fd < 0 ? -errno : make_low_memory(vm);
	if (ret)
		pvm_destroy(vm);
	return ret;
}

void pvm_destroy(struct pvm *vm)
{
	for (unsigned int i = 0; i < vm->nr_vcpus; i++) {
		munmap(vm->vcpu[i].run, vm->run_size);
		close(vm->vcpu[i].fd);
	}
	vm->nr_vcpus = 0;
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->kvm >= 0)
		close(vm->kvm);
	vm->fd = vm->kvm = -1;
	if (vm->low)
		munmap(vm->low, PVM_LOW_SIZE);
	vm->low = NULL;
}

int pvm_create_file(struct pvm *vm, enum pvm_file kind, uint64_t size)
{
	struct kvm_create_guest_memfd create = { .size = size };
	int fd;

	if (kind == PVM_GUEST_MEMFD) {
		fd = ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &create);
		return fd < 0 ? -errno : fd;
	}
	fd = syscall(PVM_NR_RESTRICTED, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, size)) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

long pvm_file_pages(int fd)
{
	unsigned long bytes;
	char path[64], line[128];
	long pages = -ENOENT;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	if (!info)
		return -errno;
	while (fgets(line, sizeof(line), info))
		if (sscanf(line, "resident: %lu", &bytes) == 1)
			pages = bytes / PVM_PAGE;
	fclose(info);
	return pages;
}

int pvm_punch(int fd, uint64_t offset, uint64_t size)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size) ? -errno : 0;
}

void *pvm_map(size_t size)
{
	const size_t align = 1ul << LARGE_SHIFT;
	uint8_t *addr, *start;

	addr = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (addr == MAP_FAILED)
		return NULL;
	start = (uint8_t *)(((uintptr_t)addr + align - 1) & -align);
	if (start > addr)
		munmap(addr, start - addr);
	if (addr + align > start)
		munmap(start + size, addr + align - start);
	return start;
}

long pvm_resident(const void *addr, size_t size)
{
	size_t pages = size / PVM_PAGE;
	uint8_t *vec = malloc(pages);
	long resident = 0;

	if (!vec)
		return -ENOMEM;
	if (mincore((void *)addr, size, vec))
		resident = -errno;
	else
		for (size_t i = 0; i < pages; i++)
			resident += vec[i] & 1;
	free(vec);
	return resident;
}

/* A kernel without private memory does what the older call can say. */
int pvm_set_region(struct pvm *vm, const struct kvm_userspace_memory_region2 *region)
{
	struct kvm_userspace_memory_region old = {
		.slot = region->slot,
		.flags = region->flags,
		.guest_phys_addr = region->guest_phys_addr,
		.memory_size = region->memory_size,
		.userspace_addr = region->userspace_addr,
	};

	if (!ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, region))
		return 0;
	if (errno != ENOTTY || region->flags & KVM_MEM_GUEST_MEMFD)
		return -errno;
	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &old) ? -errno : 0;
}

int pvm_add_slot(struct pvm *vm, uint32_t slot, uint64_t gpa, uint64_t size, void *hva, int fd,
		 uint64_t offset)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	if (fd != -1) {
		region.flags = KVM_MEM_GUEST_MEMFD;
		region.guest_memfd = fd;
		region.guest_memfd_offset = offset;
	}
	return pvm_set_region(vm, &region);
}

void *pvm_add_data(struct pvm *vm, enum pvm_file kind, uint64_t size, int *fd)
{
	void *hva = pvm_map(size);

	*fd = pvm_create_file(vm, kind, size);
	if (!hva || *fd < 0 || pvm_add_slot(vm, PVM_SLOT, PVM_DATA, size, hva, *fd, 0))
		return NULL;
	return hva;
}

int pvm_delete_slot(struct pvm *vm, uint32_t slot)
{
	return pvm_add_slot(vm, slot, 0, 0, NULL, -1, 0);
}

int pvm_set_private(struct pvm *vm, uint64_t gpa, uint64_t size, bool private)
{
	struct kvm_memory_attributes attributes = {
		.address = gpa,
		.size = size,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES, &attributes) ? -errno : 0;
}

int pvm_check_cap(int fd, long cap)
{
	int ret = ioctl(fd, KVM_CHECK_EXTENSION, cap);

	return ret < 0 ? -errno : ret;
}

int pvm_enable_cap(struct pvm *vm, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &enable) ? -errno : 0;
}
