/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Private memory of KVM guests: the part of KVM's uAPI that is new with it. Include
 * <linux/kvm.h>, which includes this file.
 *
 * Numbers and layouts are those of mainline 6.8 (memslots, attributes, guest_memfd), 6.10 (SEV)
 * and 6.11 (pre-faulting): a program written for mainline runs unmodified here, and the other way
 * round.
 * All sizes and addresses are bytes.
 */
#ifndef __LINUX_KVM_PRIVATE_MEM_H
#define __LINUX_KVM_PRIVATE_MEM_H

#include <linux/types.h>

/* VM ioctl, KVM_CAP_USER_MEMORY2. A memslot that may have a private half. */
#define KVM_SET_USER_MEMORY_REGION2	_IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)

struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;			/* KVM_MEM_* */
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;		/* where shared pages come from */
	__u64 guest_memfd_offset;	/* of the first private page, with KVM_MEM_GUEST_MEMFD */
	__u32 guest_memfd;		/* where private pages come from, likewise */
	__u32 pad1;
	__u64 pad2[14];
};

/* VM ioctl, KVM_CAP_MEMORY_ATTRIBUTES. Which guest pages are private; all or nothing. */
#define KVM_SET_MEMORY_ATTRIBUTES	_IOW(KVMIO, 0xd2, struct kvm_memory_attributes)

#define KVM_MEMORY_ATTRIBUTE_PRIVATE	(1ULL << 3)

struct kvm_memory_attributes {
	__u64 address;			/* guest physical, page aligned */
	__u64 size;			/* not zero, page aligned */
	__u64 attributes;		/* KVM_MEMORY_ATTRIBUTE_* of all pages in the range */
	__u64 flags;			/* 0 */
};

/* VM ioctl, KVM_CAP_GUEST_MEMFD. Returns a file descriptor that only this VM can bind. */
#define KVM_CREATE_GUEST_MEMFD		_IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)

struct kvm_create_guest_memfd {
	__u64 size;			/* not zero, page aligned */
	__u64 flags;			/* 0 */
	__u64 reserved[6];
};

/* vCPU ioctl, KVM_CAP_PRE_FAULT_MEMORY. Map guest memory before the guest touches it. */
#define KVM_PRE_FAULT_MEMORY		_IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)

struct kvm_pre_fault_memory {
	__u64 gpa;			/* in: first byte, out: first byte that is left */
	__u64 size;			/* in: bytes, out: bytes that are left */
	__u64 flags;			/* 0 */
	__u64 padding[5];
};

/*
 * KVM_MEMORY_ENCRYPT_OP, a command of VMs of type KVM_X86_SEV_VM and KVM_X86_SEV_ES_VM. Makes the
 * VM an SEV guest; before its first vCPU. (An enumerator in mainline, behind those of 6.1.)
 */
#define KVM_SEV_INIT2		22

struct kvm_sev_init {
	__u64 vmsa_features;		/* of KVM_X86_SEV_VMSA_FEATURES; 0 for KVM_X86_SEV_VM */
	__u32 flags;			/* 0 */
	__u16 ghcb_version;		/* 0 for KVM_X86_SEV_VM */
	__u16 pad1;
	__u32 pad2[8];
};

/* KVM_{HAS,GET}_DEVICE_ATTR of /dev/kvm: a group, and its attribute, a __u64 of bits. */
#define KVM_X86_GRP_SEV			1
#define KVM_X86_SEV_VMSA_FEATURES	0

#endif /* __LINUX_KVM_PRIVATE_MEM_H */
