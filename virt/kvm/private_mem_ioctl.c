// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private guest memory: the ioctls and capabilities. The uAPI is mainline's, see
 * include/uapi/linux/kvm_private_mem.h and Documentation/virt/kvm/private-memory.rst.
 *
 * Locking: kvm->slots_lock for attributes; the vCPU's mutex for pre-faulting.
 */
#include <linux/build_bug.h>
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/restrictedmem.h>

#include "private_mem.h"

static_assert(sizeof(struct kvm_userspace_memory_region2) == 160);
static_assert(offsetof(struct kvm_userspace_memory_region2, guest_memfd_offset) == 32);
static_assert(offsetof(struct kvm_userspace_memory_region2, guest_memfd) == 40);
static_assert(sizeof(struct kvm_memory_attributes) == 32);
static_assert(sizeof(struct kvm_create_guest_memfd) == 64);
static_assert(sizeof(struct kvm_pre_fault_memory) == 64);
static_assert(KVM_SET_USER_MEMORY_REGION2 == 0x40a0ae49);
static_assert(KVM_SET_MEMORY_ATTRIBUTES == 0x4020aed2);
static_assert(KVM_CREATE_GUEST_MEMFD == 0xc040aed4);
static_assert(KVM_PRE_FAULT_MEMORY == 0xc040aed5);

/* Attributes that a frame of the VM can have; without a VM, those of any. */
static u64 supported_attributes(struct kvm *kvm)
{
	return !kvm || kvm_arch_has_private_mem(kvm) ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
}

/*
 * Make the frames of [start, end) private or shared, all or none of them. What costs is what
 * changes: frames that have the state already are neither unmapped nor stored. 1: there was
 * something to change.
 */
static int set_private(struct kvm *kvm, gfn_t start, gfn_t end, bool private)
{
	struct kvm_private_map_change change;
	int r;

	lockdep_assert_held(&kvm->slots_lock);

	if (!kvm_private_map_has(&kvm->private_map, start, end, !private))
		return 0;

	/* All that can fail, while nothing has happened yet. */
	r = kvm_private_map_prepare(&kvm->private_map, start, end, private, &change);
	if (r)
		return r;

	/*
	 * A fault that has seen the old state either finds the change in progress or the
	 * sequence number moved, or has installed its mapping before, which is then zapped
	 * here. A stale mapping that survived would be two pages for one frame, and the end of
	 * the host.
	 */
	kvm_private_mem_begin(kvm, start, end, !private);
	kvm_private_map_commit(&change);
	kvm_private_mem_end(kvm);
	return 1;
}

static int kvm_set_memory_attributes(struct kvm *kvm, const struct kvm_memory_attributes *attrs)
{
	gfn_t start = attrs->address >> PAGE_SHIFT;
	gfn_t end = (attrs->address + attrs->size) >> PAGE_SHIFT;
	bool private = attrs->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
	int r;

	if (attrs->flags || attrs->attributes & ~supported_attributes(kvm))
		return -EINVAL;
	if (!attrs->size || attrs->address + attrs->size < attrs->address)
		return -EINVAL;
	if (!PAGE_ALIGNED(attrs->address) || !PAGE_ALIGNED(attrs->size))
		return -EINVAL;

	mutex_lock(&kvm->slots_lock);
	r = set_private(kvm, start, end, private);
	mutex_unlock(&kvm->slots_lock);

	/*
	 * A fault, or an access of KVM's own, that saw the frame shared maps nothing any more. But
	 * it may still ask for the VMM's page, which then appears after the VMM has discarded the
	 * shared half, and stays there. Such an access is over when its read section is. The other
	 * way round restrictedmem_ops.stale says no.
	 */
	if (r > 0 && private)
		synchronize_srcu_expedited(&kvm->srcu);
	return min(r, 0);
}

/* The descriptor is inherited over exec, as mainline's is: no flag asks for anything else. */
static int kvm_create_guest_memfd(struct kvm *kvm, const struct kvm_create_guest_memfd *args)
{
	struct file *file;
	int fd;

	if (args->flags)
		return -EINVAL;
	if ((loff_t)args->size <= 0 || !PAGE_ALIGNED(args->size))
		return -EINVAL;

	fd = get_unused_fd_flags(0);
	if (fd < 0)
		return fd;

	file = restrictedmem_file_create(args->size, kvm->private_owner);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}

long kvm_private_mem_vm_ioctl(struct kvm *kvm, unsigned int ioctl, void __user *argp)
{
	union {
		struct kvm_memory_attributes attributes;
		struct kvm_create_guest_memfd guest_memfd;
	} u;

	switch (ioctl) {
	case KVM_SET_MEMORY_ATTRIBUTES:
		if (copy_from_user(&u.attributes, argp, sizeof(u.attributes)))
			return -EFAULT;
		return kvm_set_memory_attributes(kvm, &u.attributes);
	case KVM_CREATE_GUEST_MEMFD:
		if (copy_from_user(&u.guest_memfd, argp, sizeof(u.guest_memfd)))
			return -EFAULT;
		return kvm_create_guest_memfd(kvm, &u.guest_memfd);
	default:
		return -ENOTTY;
	}
}

/*
 * Try once, in a read section of its own: a fault is tried again until a memslot that is being
 * deleted is gone, and the deletion waits for readers that may still see it.
 */
static long pre_fault_once(struct kvm_vcpu *vcpu, struct kvm_pre_fault_memory *range)
{
	long r;
	int idx;

	idx = srcu_read_lock(&vcpu->kvm->srcu);
	r = kvm_arch_vcpu_pre_fault_memory(vcpu, range);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
	return r;
}

static int pre_fault_range(struct kvm_vcpu *vcpu, struct kvm_pre_fault_memory *range)
{
	u64 size = range->size;
	long r;

	if (range->flags)
		return -EINVAL;
	if (!PAGE_ALIGNED(range->gpa) || !PAGE_ALIGNED(size) || range->gpa + size <= range->gpa)
		return -EINVAL;

	vcpu_load(vcpu);
	do {
		r = signal_pending(current) ? -EINTR : pre_fault_once(vcpu, range);
		cond_resched();
		if (r == -EAGAIN)
			continue;
		if (r <= 0)
			break;
		range->gpa += r;
		range->size -= r;
	} while (range->size);
	vcpu_put(vcpu);

	/* Some of it is mapped: that is success, and @range tells how much is left. */
	return r < 0 && range->size == size ? r : 0;
}

int kvm_vcpu_pre_fault_memory(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_pre_fault_memory range;
	int r;

	if (copy_from_user(&range, argp, sizeof(range)))
		return -EFAULT;
	r = pre_fault_range(vcpu, &range);
	if (copy_to_user(argp, &range, sizeof(range)))
		return -EFAULT;
	return r;
}

/* The value of a capability, or -ENOENT if private memory has no say in it. */
int kvm_private_mem_check_extension(struct kvm *kvm, long cap)
{
	switch (cap) {
	case KVM_CAP_USER_MEMORY2:
	case KVM_CAP_MEMORY_FAULT_INFO:
		return 1;
	case KVM_CAP_MEMORY_ATTRIBUTES:
		return supported_attributes(kvm);
	case KVM_CAP_GUEST_MEMFD:
		return !kvm || kvm_arch_has_private_mem(kvm);
	case KVM_CAP_MULTI_ADDRESS_SPACE:
		/* One frame, one state: a second address space could show it in another. */
		return kvm && kvm_arch_has_private_mem(kvm) ? 1 : -ENOENT;
	default:
		return kvm_arch_private_mem_check_extension(kvm, cap);
	}
}
