// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV VMs for selftests: the VM, its memory, and the firmware's commands.
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sev_guest.h"

#define CPUID_SEV_LEAF		0x8000001f
#define CPUID_SEV_BIT		(1u << 1)

bool sev_cpu_info(struct sev_cpu_info *info)
{
	unsigned int eax, ebx, ecx, edx;

	if (!__get_cpuid_count(CPUID_SEV_LEAF, 0, &eax, &ebx, &ecx, &edx) ||
	    !(eax & CPUID_SEV_BIT))
		return false;
	info->cbit = ebx & 0x3f;
	info->phys_reduction = (ebx >> 6) & 0x3f;
	info->max_asid = ecx;
	info->min_sev_asid = edx;
	return true;
}

const char *kvm_unavailable(void)
{
	int vm, fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return "no usable /dev/kvm";
	vm = ioctl(fd, KVM_CREATE_VM, 0);
	close(fd);
	if (vm < 0)
		return "KVM cannot create a VM";
	close(vm);
	return NULL;
}

const char *sev_unavailable(void)
{
	struct sev_cpu_info info;
	const char *why = kvm_unavailable();

	if (why)
		return why;
	if (access("/dev/sev", R_OK | W_OK))
		return "no usable /dev/sev";
	if (!sev_cpu_info(&info))
		return "CPUID says no SEV";
	if (info.min_sev_asid > info.max_asid)
		return "no ASID for SEV without ES";
	return NULL;
}

int sev_vm_error(struct sev_vm *vm, int err, const char *what)
{
	snprintf(vm->error, sizeof(vm->error), "%s: %s (firmware status %d)",
		 what, strerror(-err), (int)vm->fw_error);
	return err;
}

static int vm_ioctl(struct sev_vm *vm, unsigned long request, void *arg, const char *what)
{
	int ret = ioctl(vm->fd, request, arg);

	return ret < 0 ? sev_vm_error(vm, -errno, what) : ret;
}

static const char *cmd_name(uint32_t id)
{
	static const char *const names[KVM_SEV_NR_MAX] = {
		[KVM_SEV_INIT] = "KVM_SEV_INIT",
		[KVM_SEV_LAUNCH_START] = "LAUNCH_START",
		[KVM_SEV_LAUNCH_UPDATE_DATA] = "LAUNCH_UPDATE_DATA",
		[KVM_SEV_LAUNCH_SECRET] = "LAUNCH_SECRET",
		[KVM_SEV_LAUNCH_MEASURE] = "LAUNCH_MEASURE",
		[KVM_SEV_LAUNCH_FINISH] = "LAUNCH_FINISH",
		[KVM_SEV_GUEST_STATUS] = "GUEST_STATUS",
		[KVM_SEV_DBG_DECRYPT] = "DBG_DECRYPT",
		[KVM_SEV_DBG_ENCRYPT] = "DBG_ENCRYPT",
	};

	return id < KVM_SEV_NR_MAX && names[id] ? names[id] : "SEV command";
}

int sev_cmd(struct sev_vm *vm, uint32_t id, void *data)
{
	struct kvm_sev_cmd cmd = {
		.id = id,
		.data = (uintptr_t)data,
		/* What KVM leaves when it refuses before it asks the firmware. */
		.error = 0,
		.sev_fd = vm->sev_fd,
	};
	int ret = ioctl(vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd);

	vm->fw_error = cmd.error;
	return ret < 0 ? sev_vm_error(vm, -errno, cmd_name(id)) : 0;
}

int sev_init(struct sev_vm *vm)
{
	return sev_cmd(vm, KVM_SEV_INIT, NULL);
}

int sev_launch_start(struct sev_vm *vm, uint32_t policy, uint32_t handle)
{
	struct kvm_sev_launch_start start = { .policy = policy, .handle = handle };
	int ret = sev_cmd(vm, KVM_SEV_LAUNCH_START, &start);

	if (!ret)
		vm->handle = start.handle;
	return ret;
}

int sev_launch_update(struct sev_vm *vm, const void *addr, uint32_t len)
{
	struct kvm_sev_launch_update_data update = { .uaddr = (uintptr_t)addr, .len = len };

	return sev_cmd(vm, KVM_SEV_LAUNCH_UPDATE_DATA, &update);
}

int sev_launch_measure(struct sev_vm *vm, void *blob, uint32_t *len)
{
	struct kvm_sev_launch_measure measure = { .uaddr = (uintptr_t)blob, .len = *len };
	int ret = sev_cmd(vm, KVM_SEV_LAUNCH_MEASURE, &measure);

	*len = measure.len;
	return ret;
}

int sev_launch_secret(struct sev_vm *vm, const struct kvm_sev_launch_secret *secret)
{
	struct kvm_sev_launch_secret copy = *secret;

	return sev_cmd(vm, KVM_SEV_LAUNCH_SECRET, &copy);
}

int sev_launch_finish(struct sev_vm *vm)
{
	return sev_cmd(vm, KVM_SEV_LAUNCH_FINISH, NULL);
}

int sev_guest_status(struct sev_vm *vm, struct kvm_sev_guest_status *status)
{
	memset(status, 0, sizeof(*status));
	return sev_cmd(vm, KVM_SEV_GUEST_STATUS, status);
}

int sev_dbg_decrypt(struct sev_vm *vm, const void *src, void *dst, uint32_t len)
{
	struct kvm_sev_dbg dbg = {
		.src_uaddr = (uintptr_t)src, .dst_uaddr = (uintptr_t)dst, .len = len,
	};

	return sev_cmd(vm, KVM_SEV_DBG_DECRYPT, &dbg);
}

int sev_dbg_encrypt(struct sev_vm *vm, const void *src, void *dst, uint32_t len)
{
	struct kvm_sev_dbg dbg = {
		.src_uaddr = (uintptr_t)src, .dst_uaddr = (uintptr_t)dst, .len = len,
	};

	return sev_cmd(vm, KVM_SEV_DBG_ENCRYPT, &dbg);
}

int sev_platform_cmd(uint32_t id, void *data, uint32_t *fw_error)
{
	struct sev_issue_cmd cmd = { .cmd = id, .data = (uintptr_t)data };
	int ret, fd = open("/dev/sev", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ret = ioctl(fd, SEV_ISSUE_CMD, &cmd) < 0 ? -errno : 0;
	close(fd);
	if (fw_error)
		*fw_error = cmd.error;
	return ret;
}

int sev_platform_status(struct sev_user_data_status *status)
{
	memset(status, 0, sizeof(*status));
	return sev_platform_cmd(SEV_PLATFORM_STATUS, status, NULL);
}

int sev_vm_peek(struct sev_vm *vm, uint64_t gpa, void *buf, uint32_t len)
{
	if (gpa + len > vm->cfg.pages * SEV_PAGE_SIZE)
		return sev_vm_error(vm, -EFAULT, "peek outside private memory");
	if (vm->cfg.sev)
		return sev_dbg_decrypt(vm, vm->mem + gpa, buf, len);
	memcpy(buf, vm->mem + gpa, len);
	return 0;
}

static int add_slot(struct sev_vm *vm, uint32_t slot, uint64_t gpa, void *mem, uint64_t pages)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = pages * SEV_PAGE_SIZE,
		.userspace_addr = (uintptr_t)mem,
	};

	return vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region, "memslot");
}

static int add_slots(struct sev_vm *vm)
{
	int ret = add_slot(vm, 0, 0, vm->mem, vm->cfg.pages);

	return ret ? ret : add_slot(vm, 1, SEV_GUEST_SHARED, vm->shared, vm->cfg.shared_pages);
}

static void *map_anonymous(uint64_t pages)
{
	void *mem = mmap(NULL, pages * SEV_PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

static void init_fields(struct sev_vm *vm, const struct sev_vm_config *cfg)
{
	memset(vm, 0, sizeof(*vm));
	vm->cfg = *cfg;
	if (!vm->cfg.pages)
		vm->cfg.pages = SEV_DEFAULT_PAGES;
	if (!vm->cfg.shared_pages)
		vm->cfg.shared_pages = SEV_DEFAULT_SHARED;
	if (!vm->cfg.vcpus)
		vm->cfg.vcpus = 1;
	vm->kvm_fd = -1;
	vm->sev_fd = -1;
	vm->fd = -1;
	for (unsigned int i = 0; i < SEV_GUEST_MAX_VCPUS; i++) {
		vm->vcpus[i].vm = vm;
		vm->vcpus[i].index = i;
		vm->vcpus[i].fd = -1;
	}
}

static int open_vm(struct sev_vm *vm)
{
	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		return sev_vm_error(vm, -errno, "/dev/kvm");
	vm->run_size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		return sev_vm_error(vm, -errno, "KVM_CREATE_VM");
	if (!vm->cfg.sev)
		return 0;
	vm->sev_fd = open("/dev/sev", O_RDWR | O_CLOEXEC);
	return vm->sev_fd < 0 ? sev_vm_error(vm, -errno, "/dev/sev") : 0;
}

static int set_c_mask(struct sev_vm *vm)
{
	struct sev_cpu_info info;

	if (!vm->cfg.sev)
		return 0;
	if (!sev_cpu_info(&info))
		return sev_vm_error(vm, -ENODEV, "CPUID 0x8000001f");
	vm->c_mask = 1ull << info.cbit;
	return 0;
}

/* The VM, with SEV initialized, its irqchip and its memory; no vCPU. */
int sev_vm_create(struct sev_vm *vm, const struct sev_vm_config *cfg)
{
	int ret;

	init_fields(vm, cfg);
	if (vm->cfg.pages * SEV_PAGE_SIZE <= SEV_GUEST_DATA ||
	    vm->cfg.pages * SEV_PAGE_SIZE > SEV_GUEST_SHARED ||
	    vm->cfg.vcpus > SEV_GUEST_MAX_VCPUS)
		return sev_vm_error(vm, -EINVAL, "VM configuration");
	ret = open_vm(vm);
	if (!ret)
		ret = set_c_mask(vm);
	if (!ret && cfg->sev)
		ret = sev_init(vm);
	if (!ret)
		ret = vm_ioctl(vm, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
	if (ret)
		return ret;

	vm->mem = map_anonymous(vm->cfg.pages);
	vm->shared = map_anonymous(vm->cfg.shared_pages);
	if (!vm->mem || !vm->shared)
		return sev_vm_error(vm, -ENOMEM, "guest memory");
	return add_slots(vm);
}

/* A VM that runs with @source's key and in @source's memory. */
int sev_vm_create_mirror(struct sev_vm *mirror, struct sev_vm *source)
{
	int ret;

	init_fields(mirror, &source->cfg);
	mirror->borrowed = true;
	ret = open_vm(mirror);
	if (!ret)
		ret = set_c_mask(mirror);
	if (!ret)
		ret = sev_vm_enable_cap(mirror, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, source->fd);
	if (!ret)
		ret = vm_ioctl(mirror, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
	if (ret)
		return ret;
	mirror->mem = source->mem;
	mirror->shared = source->shared;
	return add_slots(mirror);
}

/* SEV memory cannot be moved or swapped: KVM pins it for the VM's lifetime. */
int sev_vm_register_memory(struct sev_vm *vm)
{
	struct kvm_enc_region mem = {
		.addr = (uintptr_t)vm->mem, .size = vm->cfg.pages * SEV_PAGE_SIZE,
	};
	struct kvm_enc_region shared = {
		.addr = (uintptr_t)vm->shared, .size = vm->cfg.shared_pages * SEV_PAGE_SIZE,
	};
	int ret = vm_ioctl(vm, KVM_MEMORY_ENCRYPT_REG_REGION, &mem, "REG_REGION");

	return ret ? ret : vm_ioctl(vm, KVM_MEMORY_ENCRYPT_REG_REGION, &shared, "REG_REGION");
}

/* All of it before the launch: afterwards the host writes only ciphertext. */
void sev_vm_load_guest(struct sev_vm *vm)
{
	struct sev_guest_params *params = (void *)(vm->mem + SEV_GUEST_PARAMS);

	memcpy(vm->mem + SEV_GUEST_IMAGE, sev_guest_image, sev_guest_image_end - sev_guest_image);
	sev_vm_build_tables(vm);
	params->program = vm->cfg.program;
	for (int i = 0; i < SEV_GUEST_NR_ARGS; i++)
		params->args[i] = vm->cfg.args[i];
}

int sev_vm_launch(struct sev_vm *vm)
{
	uint8_t blob[SEV_MEASURE_LEN];
	uint32_t len = sizeof(blob);
	int ret = sev_vm_register_memory(vm);

	if (!ret)
		ret = sev_launch_start(vm, vm->cfg.policy, 0);
	if (!ret)
		ret = sev_launch_update(vm, vm->mem, vm->cfg.pages * SEV_PAGE_SIZE);
	if (!ret)
		ret = sev_launch_measure(vm, blob, &len);
	return ret ? ret : sev_launch_finish(vm);
}

int sev_vm_boot(struct sev_vm *vm, const struct sev_vm_config *cfg)
{
	int ret = sev_vm_create(vm, cfg);

	if (ret)
		return ret;
	sev_vm_load_guest(vm);
	if (vm->cfg.sev)
		ret = sev_vm_launch(vm);
	return ret ? ret : sev_vm_add_vcpus(vm);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void sev_vm_destroy(struct sev_vm *vm)
{
	for (unsigned int i = 0; i < SEV_GUEST_MAX_VCPUS; i++) {
		if (vm->vcpus[i].run)
			munmap(vm->vcpus[i].run, vm->run_size);
		vm->vcpus[i].run = NULL;
		close_fd(&vm->vcpus[i].fd);
	}
	close_fd(&vm->fd);
	close_fd(&vm->sev_fd);
	close_fd(&vm->kvm_fd);
	if (!vm->borrowed) {
		if (vm->shared)
			munmap(vm->shared, vm->cfg.shared_pages * SEV_PAGE_SIZE);
		if (vm->mem)
			munmap(vm->mem, vm->cfg.pages * SEV_PAGE_SIZE);
	}
	vm->mem = NULL;
	vm->shared = NULL;
}

int sev_vm_enable_cap(struct sev_vm *vm, uint32_t cap, uint64_t arg0)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg0 } };

	return vm_ioctl(vm, KVM_ENABLE_CAP, &enable, "KVM_ENABLE_CAP");
}

int sev_vm_irq_line(struct sev_vm *vm, uint32_t gsi, uint32_t level)
{
	struct kvm_irq_level irq = { .irq = gsi, .level = level };

	return vm_ioctl(vm, KVM_IRQ_LINE, &irq, "KVM_IRQ_LINE");
}

/* To the local APIC with id 0, fixed delivery. Returns how many took it. */
int sev_vm_signal_msi(struct sev_vm *vm, uint32_t vector)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = vector };

	return vm_ioctl(vm, KVM_SIGNAL_MSI, &msi, "KVM_SIGNAL_MSI");
}
