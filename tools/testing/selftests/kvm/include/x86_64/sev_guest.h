/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small library that makes a SEV VM, or the same VM without SEV, through raw
 * KVM ioctls and runs the tiny guest in it. See sev_guest_abi.h for what the
 * guest is told and Documentation/dev/sev-guest-tests.rst for the whole.
 *
 * Functions return 0 or a negative errno. One that talks to the firmware leaves
 * its status in vm->fw_error, and each failure leaves a sentence in vm->error.
 *
 * Locking: none. A vCPU is used by one thread; everything else by the thread
 * that created the VM.
 *
 * Lifetime: sev_vm_create() makes what sev_vm_destroy() releases, also after a
 * failed create or launch. A mirror must be destroyed before the memory of the
 * VM that it mirrors; so must the target of a move.
 */
#ifndef SELFTEST_KVM_SEV_GUEST_H
#define SELFTEST_KVM_SEV_GUEST_H

#include <linux/kvm.h>
#include <linux/psp-sev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sev_guest_abi.h"

#define SEV_PAGE_SIZE		4096ul
#define SEV_DEFAULT_PAGES	512ul	/* 2 MiB of private memory */
#define SEV_DEFAULT_SHARED	16ul
#define SEV_MAX_VALUES		64
#define SEV_RUN_DEADLINE_MS	20000

#define SEV_MEASURE_LEN		48	/* HMAC-SHA256, then a nonce of 16 */
#define SEV_POLICY_NODBG	(1u << 0)
#define SEV_POLICY_NOKS		(1u << 1)
#define SEV_POLICY_ES		(1u << 2)

/* Guest states of GUEST_STATUS, from the SEV API. */
enum sev_guest_state {
	SEV_GUEST_STATE_UNINIT,
	SEV_GUEST_STATE_LUPDATE,
	SEV_GUEST_STATE_LSECRET,
	SEV_GUEST_STATE_RUNNING,
};

/* Which type a SEV VM has, and where its private memory comes from. */
enum sev_memory {
	SEV_MEMORY_DEFAULT,	/* the default type; the VMM's mapping, pinned */
	SEV_MEMORY_PINNED,	/* KVM_X86_SEV_VM; likewise */
	SEV_MEMORY_PRIVATE,	/* KVM_X86_SEV_VM; memfd_restricted(2) */
	SEV_MEMORY_GUEST_MEMFD,	/* KVM_X86_SEV_VM; KVM_CREATE_GUEST_MEMFD */
};

struct sev_vm_config {
	bool sev;
	enum sev_memory memory;
	uint32_t policy;
	uint64_t pages;			/* private; 0: SEV_DEFAULT_PAGES */
	uint64_t launch_pages;		/* of these, from the first on; 0: all */
	uint64_t shared_pages;		/* 0: SEV_DEFAULT_SHARED */
	uint64_t far_gib;		/* from SEV_GUEST_FAR on, private, not launched */
	unsigned int vcpus;		/* 0: one */
	enum sev_guest_program program;
	uint64_t args[SEV_GUEST_NR_ARGS];
};

/* Why sev_vcpu_run() came back. */
enum sev_event {
	SEV_EVENT_DONE,		/* the guest is finished */
	SEV_EVENT_SYNC,		/* value: what the guest waits for */
	SEV_EVENT_PIO,		/* run->io describes it; complete with sev_vcpu_run() */
	SEV_EVENT_MMIO,		/* run->mmio */
	SEV_EVENT_HYPERCALL,	/* run->hypercall; set its ret */
	SEV_EVENT_FAULT,	/* run->memory_fault; vcpu->run_error says why */
	SEV_EVENT_ASSERT,	/* the guest found something wrong; see vm->error */
	SEV_EVENT_DEADLINE,
	SEV_EVENT_SHUTDOWN,	/* triple fault */
	SEV_EVENT_ERROR,	/* KVM_RUN failed, or an exit nobody expects */
};

/* The guest program, linked in by sev_guest_image.S. */
extern const uint8_t sev_guest_image[], sev_guest_image_end[];

struct sev_vm;

struct sev_vcpu {
	struct sev_vm *vm;
	unsigned int index;
	int fd;
	struct kvm_run *run;
	int run_error;			/* of the last KVM_RUN; 0 or negative */
	uint64_t value;			/* of SEV_EVENT_SYNC */
	uint32_t value_lo;
	uint64_t values[SEV_MAX_VALUES];	/* what the guest reported */
	unsigned int nr_values;
	char line[128];
	unsigned int line_len;
};

struct sev_vm {
	struct sev_vm_config cfg;
	int kvm_fd, sev_fd, fd;
	int file;			/* of private memory, or -1; that of far memory behind it */
	size_t run_size;
	uint64_t c_mask;		/* 0 without SEV */
	uint32_t handle;
	uint32_t fw_error;
	bool borrowed;			/* memory belongs to another VM */
	uint8_t *mem, *shared, *far;
	struct sev_vcpu vcpus[SEV_GUEST_MAX_VCPUS];
	char error[256];
};

/* CPUID 0x8000001f of this machine; false: it has no SEV. */
struct sev_cpu_info {
	unsigned int cbit;
	unsigned int phys_reduction;
	unsigned int max_asid;
	unsigned int min_sev_asid;
	bool coherent;			/* caches keep lines of different keys coherent */
};

bool sev_cpu_info(struct sev_cpu_info *info);
/* Why SEV cannot be tested here, or NULL. */
const char *sev_unavailable(void);
/* Why VMs of the SEV type cannot. */
const char *sev_type_unavailable(void);
const char *kvm_unavailable(void);

/* Steps; sev_vm_boot() below is all of them. */
int sev_vm_create(struct sev_vm *vm, const struct sev_vm_config *cfg);
int sev_vm_create_mirror(struct sev_vm *mirror, struct sev_vm *source);
/*
 * A VM of @type without SEV that borrows @source's memory and file: it can take
 * the encryption context over. The two steps of the function above.
 */
int sev_vm_create_heir(struct sev_vm *heir, struct sev_vm *source, unsigned long type);
int sev_vm_add_memory(struct sev_vm *vm);
unsigned long sev_vm_type(const struct sev_vm *vm);
int sev_vm_register_memory(struct sev_vm *vm);
int sev_vm_add_vcpus(struct sev_vm *vm);
void sev_vm_load_guest(struct sev_vm *vm);
int sev_vm_launch(struct sev_vm *vm);
void sev_vm_destroy(struct sev_vm *vm);
/* Create, load, launch, add vCPUs: ready to run. */
int sev_vm_boot(struct sev_vm *vm, const struct sev_vm_config *cfg);

/* The firmware's commands, as KVM offers them for a VM. */
int sev_cmd(struct sev_vm *vm, uint32_t id, void *data);
int sev_init(struct sev_vm *vm);
int sev_init2(struct sev_vm *vm, const struct kvm_sev_init *init);
int sev_launch_start(struct sev_vm *vm, uint32_t policy, uint32_t handle);
int sev_launch_update(struct sev_vm *vm, const void *addr, uint32_t len);
int sev_launch_measure(struct sev_vm *vm, void *blob, uint32_t *len);
int sev_launch_secret(struct sev_vm *vm, const struct kvm_sev_launch_secret *secret);
int sev_launch_finish(struct sev_vm *vm);
int sev_guest_status(struct sev_vm *vm, struct kvm_sev_guest_status *status);
int sev_dbg_decrypt(struct sev_vm *vm, const void *src, void *dst, uint32_t len);
int sev_dbg_encrypt(struct sev_vm *vm, const void *src, void *dst, uint32_t len);

/* The platform's commands, on /dev/sev. */
int sev_platform_cmd(uint32_t id, void *data, uint32_t *fw_error);
int sev_platform_status(struct sev_user_data_status *status);

static inline bool sev_vm_is_private(const struct sev_vm *vm)
{
	return vm->cfg.memory >= SEV_MEMORY_PRIVATE;
}

int sev_vm_set_slot(struct sev_vm *vm, uint32_t slot, uint64_t gpa, void *mem, uint64_t pages,
		    int file, uint64_t offset);
int sev_vm_set_private(struct sev_vm *vm, uint64_t gpa, uint64_t size, bool private);
int sev_vm_register(struct sev_vm *vm, const void *addr, uint64_t size);
int sev_vm_unregister(struct sev_vm *vm, const void *addr, uint64_t size);

/* What is in guest memory at @gpa as the guest sees it (private, plain). */
int sev_vm_peek(struct sev_vm *vm, uint64_t gpa, void *buf, uint32_t len);

enum sev_event sev_vcpu_run(struct sev_vcpu *vcpu, unsigned int deadline_ms);
const char *sev_event_name(enum sev_event event);

int sev_vm_enable_cap(struct sev_vm *vm, uint32_t cap, uint64_t arg0);
int sev_vm_irq_line(struct sev_vm *vm, uint32_t gsi, uint32_t level);
int sev_vm_signal_msi(struct sev_vm *vm, uint32_t vector);
int sev_vm_error(struct sev_vm *vm, int err, const char *what);

/* lib/x86_64/sev_guest_setup.c: what the host puts into guest memory. */
void sev_vm_build_tables(struct sev_vm *vm);
int sev_vcpu_set_state(struct sev_vcpu *vcpu);

#endif /* SELFTEST_KVM_SEV_GUEST_H */
