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

#include "private_vm.h"
#include "sev_guest.h"

#define CPUID_SEV_LEAF		0x8000001f
#define CPUID_SEV_BIT		(1u << 1)
#define CPUID_COHERENT_BIT	(1u << 10)

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
	info->coherent = eax & CPUID_COHERENT_BIT;
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

const char *sev_type_unavailable(void)
{
	const char *why = sev_unavailable();
	int types, fd;

	if (why)
		return why;
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	types = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);
	close(fd);
	return types > 0 && types & 1 << KVM_X86_SEV_VM ? NULL : "KVM has no VMs of the SEV type";
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
	/* INIT2 has the first number behind those of <linux/kvm.h>. */
	static const char *const names[KVM_SEV_INIT2 + 1] = {
		[KVM_SEV_INIT] = "KVM_SEV_INIT",
		[KVM_SEV_INIT2] = "KVM_SEV_INIT2",
		[KVM_SEV_LAUNCH_START] = "LAUNCH_START",
		[KVM_SEV_LAUNCH_UPDATE_DATA] = "LAUNCH_UPDATE_DATA",
		[KVM_SEV_LAUNCH_SECRET] = "LAUNCH_SECRET",
		[KVM_SEV_LAUNCH_MEASURE] = "LAUNCH_MEASURE",
		[KVM_SEV_LAUNCH_FINISH] = "LAUNCH_FINISH",
		[KVM_SEV_GUEST_STATUS] = "GUEST_STATUS",
		[KVM_SEV_DBG_DECRYPT] = "DBG_DECRYPT",
		[KVM_SEV_DBG_ENCRYPT] = "DBG_ENCRYPT",
	};

	return id <= KVM_SEV_INIT2 && names[id] ? names[id] : "SEV command";
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

int sev_init2(struct sev_vm *vm, const struct kvm_sev_init *init)
{
	struct kvm_sev_init copy = *init;

	return sev_cmd(vm, KVM_SEV_INIT2, &copy);
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

int sev_vm_set_slot(struct sev_vm *vm, uint32_t slot, uint64_t gpa, void *mem, uint64_t pages,
		    int file, uint64_t offset)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = pages * SEV_PAGE_SIZE,
		.userspace_addr = (uintptr_t)mem,
	};

	if (file < 0)
		/* The older call: it is there on every kernel. */
		return vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region, "memslot");
	region.flags = KVM_MEM_GUEST_MEMFD;
	region.guest_memfd = file;
	region.guest_memfd_offset = offset;
	return vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region, "memslot with a file");
}

int sev_vm_set_private(struct sev_vm *vm, uint64_t gpa, uint64_t size, bool private)
{
	struct kvm_memory_attributes attributes = {
		.address = gpa,
		.size = size,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return vm_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes, "memory attributes");
}

static uint64_t far_pages(const struct sev_vm *vm)
{
	return vm->cfg.far_gib << 30 >> 12;
}

static int add_far_memory(struct sev_vm *vm)
{
	uint64_t pages = far_pages(vm);
	int ret = sev_vm_set_slot(vm, 2, SEV_GUEST_FAR, vm->far, pages, vm->file,
				  vm->cfg.pages * SEV_PAGE_SIZE);

	return ret ? ret : sev_vm_set_private(vm, SEV_GUEST_FAR, pages * SEV_PAGE_SIZE, true);
}

/* The slots, and what is private of them: all that can be. */
int sev_vm_add_memory(struct sev_vm *vm)
{
	uint64_t pages = vm->cfg.pages;
	int ret = sev_vm_set_slot(vm, 0, 0, vm->mem, pages, vm->file, 0);

	if (!ret && vm->file >= 0)
		ret = sev_vm_set_private(vm, 0, pages * SEV_PAGE_SIZE, true);
	if (!ret && vm->far)
		ret = add_far_memory(vm);
	return ret ? ret : sev_vm_set_slot(vm, 1, SEV_GUEST_SHARED, vm->shared,
					   vm->cfg.shared_pages, -1, 0);
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
	vm->file = -1;
	for (unsigned int i = 0; i < SEV_GUEST_MAX_VCPUS; i++) {
		vm->vcpus[i].vm = vm;
		vm->vcpus[i].index = i;
		vm->vcpus[i].fd = -1;
	}
}

unsigned long sev_vm_type(const struct sev_vm *vm)
{
	return vm->cfg.memory == SEV_MEMORY_DEFAULT ? KVM_X86_DEFAULT_VM : KVM_X86_SEV_VM;
}

static int open_vm(struct sev_vm *vm, unsigned long type)
{
	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		return sev_vm_error(vm, -errno, "/dev/kvm");
	vm->run_size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, type);
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

/* As the type of the VM wants it. */
static int init_sev(struct sev_vm *vm)
{
	const struct kvm_sev_init init = { 0 };

	if (!vm->cfg.sev)
		return 0;
	return vm->cfg.memory == SEV_MEMORY_DEFAULT ? sev_init(vm) : sev_init2(vm, &init);
}

static int open_file(struct sev_vm *vm)
{
	struct pvm owner = { .fd = vm->fd };
	uint64_t size = (vm->cfg.pages + far_pages(vm)) * SEV_PAGE_SIZE;
	int file;

	if (!sev_vm_is_private(vm))
		return 0;
	file = pvm_create_file(&owner, vm->cfg.memory == SEV_MEMORY_PRIVATE ? PVM_RESTRICTED :
			       PVM_GUEST_MEMFD, size);
	if (file < 0)
		return sev_vm_error(vm, file, "a file of private memory");
	vm->file = file;
	return 0;
}

/* The VM, with SEV initialized, its irqchip and its memory; no vCPU. */
int sev_vm_create(struct sev_vm *vm, const struct sev_vm_config *cfg)
{
	int ret;

	init_fields(vm, cfg);
	if (vm->cfg.pages * SEV_PAGE_SIZE <= SEV_GUEST_DATA ||
	    vm->cfg.pages * SEV_PAGE_SIZE > SEV_GUEST_SHARED ||
	    vm->cfg.vcpus > SEV_GUEST_MAX_VCPUS || vm->cfg.far_gib > SEV_GUEST_FAR_MAX_GIB ||
	    (vm->cfg.far_gib && !sev_vm_is_private(vm)))
		return sev_vm_error(vm, -EINVAL, "VM configuration");
	ret = open_vm(vm, sev_vm_type(vm));
	if (!ret)
		ret = set_c_mask(vm);
	if (!ret)
		ret = init_sev(vm);
	if (!ret)
		ret = vm_ioctl(vm, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
	if (ret)
		return ret;

	vm->mem = pvm_map(vm->cfg.pages * SEV_PAGE_SIZE);
	vm->shared = pvm_map(vm->cfg.shared_pages * SEV_PAGE_SIZE);
	if (vm->cfg.far_gib)
		vm->far = pvm_map(far_pages(vm) * SEV_PAGE_SIZE);
	if (!vm->mem || !vm->shared || (vm->cfg.far_gib && !vm->far))
		return sev_vm_error(vm, -ENOMEM, "guest memory");
	ret = open_file(vm);
	return ret ? ret : sev_vm_add_memory(vm);
}

int sev_vm_create_heir(struct sev_vm *heir, struct sev_vm *source, unsigned long type)
{
	int ret;

	init_fields(heir, &source->cfg);
	heir->borrowed = true;
	heir->mem = source->mem;
	heir->shared = source->shared;
	heir->far = source->far;
	ret = open_vm(heir, type);
	if (!ret)
		ret = set_c_mask(heir);
	if (!ret && source->file >= 0) {
		heir->file = dup(source->file);
		if (heir->file < 0)
			ret = sev_vm_error(heir, -errno, "dup of the file");
	}
	return ret ? ret : vm_ioctl(heir, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
}

/* A VM that runs with @source's key and in @source's memory. */
int sev_vm_create_mirror(struct sev_vm *mirror, struct sev_vm *source)
{
	int ret = sev_vm_create_heir(mirror, source, sev_vm_type(source));

	if (!ret)
		ret = sev_vm_enable_cap(mirror, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, source->fd);
	return ret ? ret : sev_vm_add_memory(mirror);
}

static int region_ioctl(struct sev_vm *vm, unsigned long request, const void *addr, uint64_t size,
			const char *what)
{
	struct kvm_enc_region region = { .addr = (uintptr_t)addr, .size = size };

	return vm_ioctl(vm, request, &region, what);
}

int sev_vm_register(struct sev_vm *vm, const void *addr, uint64_t size)
{
	return region_ioctl(vm, KVM_MEMORY_ENCRYPT_REG_REGION, addr, size, "REG_REGION");
}

int sev_vm_unregister(struct sev_vm *vm, const void *addr, uint64_t size)
{
	return region_ioctl(vm, KVM_MEMORY_ENCRYPT_UNREG_REGION, addr, size, "UNREG_REGION");
}

/*
 * Memory that is encrypted in place cannot be moved or swapped: KVM pins it for the VM's
 * lifetime. A VMM that does not know better says so of private memory too; of memory that is
 * never encrypted there is nothing to say, but stock VMMs do.
 */
int sev_vm_register_memory(struct sev_vm *vm)
{
	int ret = sev_vm_register(vm, vm->mem, vm->cfg.pages * SEV_PAGE_SIZE);

	if (ret || sev_vm_is_private(vm))
		return ret;
	return sev_vm_register(vm, vm->shared, vm->cfg.shared_pages * SEV_PAGE_SIZE);
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

static uint64_t launch_pages(const struct sev_vm *vm)
{
	return vm->cfg.launch_pages ? vm->cfg.launch_pages : vm->cfg.pages;
}

int sev_vm_launch(struct sev_vm *vm)
{
	uint8_t blob[SEV_MEASURE_LEN];
	uint32_t len = sizeof(blob);
	int ret = sev_vm_register_memory(vm);

	if (!ret)
		ret = sev_launch_start(vm, vm->cfg.policy, 0);
	if (!ret)
		ret = sev_launch_update(vm, vm->mem, launch_pages(vm) * SEV_PAGE_SIZE);
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
	close_fd(&vm->file);
	if (!vm->borrowed) {
		if (vm->shared)
			munmap(vm->shared, vm->cfg.shared_pages * SEV_PAGE_SIZE);
		if (vm->mem)
			munmap(vm->mem, vm->cfg.pages * SEV_PAGE_SIZE);
		if (vm->far)
			munmap(vm->far, far_pages(vm) * SEV_PAGE_SIZE);
	}
	vm->mem = NULL;
	vm->shared = NULL;
	vm->far = NULL;
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
