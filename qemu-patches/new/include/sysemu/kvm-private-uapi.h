/*
 * KVM's uAPI of private guest memory, as far as the imported <linux/kvm.h>
 * of this QEMU is too old for it. The numbers are those of Linux 6.8 (slots,
 * attributes, guest memfd) and 6.10 (VM types, KVM_SEV_INIT2); to include
 * instead of <linux/kvm.h>. Headers that know a name win over this file.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSEMU_KVM_PRIVATE_UAPI_H
#define SYSEMU_KVM_PRIVATE_UAPI_H

#include <linux/kvm.h>

#ifndef KVM_CAP_USER_MEMORY2
#define KVM_CAP_USER_MEMORY2 231
#define KVM_CAP_MEMORY_FAULT_INFO 232
#define KVM_CAP_MEMORY_ATTRIBUTES 233
#define KVM_CAP_GUEST_MEMFD 234
#define KVM_CAP_VM_TYPES 235

#define KVM_MEM_GUEST_MEMFD (1UL << 2)

struct kvm_userspace_memory_region2 {
    __u32 slot;
    __u32 flags;
    __u64 guest_phys_addr;
    __u64 memory_size;
    __u64 userspace_addr;
    __u64 guest_memfd_offset;
    __u32 guest_memfd;
    __u32 pad1;
    __u64 pad2[14];
};

#define KVM_SET_USER_MEMORY_REGION2 \
    _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)

struct kvm_memory_attributes {
    __u64 address;
    __u64 size;
    __u64 attributes;
    __u64 flags;
};

#define KVM_MEMORY_ATTRIBUTE_PRIVATE (1ULL << 3)
#define KVM_SET_MEMORY_ATTRIBUTES \
    _IOW(KVMIO, 0xd2, struct kvm_memory_attributes)

struct kvm_create_guest_memfd {
    __u64 size;
    __u64 flags;
    __u64 reserved[6];
};

#define KVM_CREATE_GUEST_MEMFD \
    _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)

#define KVM_EXIT_MEMORY_FAULT 39
#define KVM_MEMORY_EXIT_FLAG_PRIVATE (1ULL << 3)
#endif /* KVM_CAP_USER_MEMORY2 */

/*
 * The exit's part of struct kvm_run. The union of an old header has no such
 * member, so it is read from where all members begin.
 */
typedef struct KVMMemoryFaultExit {
    uint64_t flags;
    uint64_t gpa;
    uint64_t size;
} KVMMemoryFaultExit;

#define kvm_run_memory_fault(run) \
    ((const KVMMemoryFaultExit *)&(run)->hw)

/* Types for KVM_CREATE_VM, x86. */
#ifndef KVM_X86_SEV_VM
#define KVM_X86_SEV_VM 2
#endif

/* KVM_SEV_INIT2 is an enumerator where it exists: hence a name of our own. */
#define KVM_PRIVATE_SEV_INIT2 22

typedef struct KVMPrivateSevInit {
    uint64_t vmsa_features;
    uint32_t flags;
    uint16_t ghcb_version;
    uint16_t pad1;
    uint32_t pad2[8];
} KVMPrivateSevInit;

QEMU_BUILD_BUG_ON(sizeof(struct kvm_userspace_memory_region2) != 160);
QEMU_BUILD_BUG_ON(sizeof(KVMPrivateSevInit) != 48);

#endif
