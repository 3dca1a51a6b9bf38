// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded before Debian's QEMU in the emulated host, a stand-in for a VMM that wants to be told
 * which pages of its guest are encrypted: it offers KVM_HC_MAP_GPA_RANGE, answers it, and checks
 * each report.
 *
 *	cc -shared -fPIC -o page-reports.so page-reports.c
 *
 * A report must be page aligned, name RAM only and change each page that it names. Then the guest's
 * page tables are walked, all of them: each page of RAM that is mapped must have the encryption bit
 * that its last report said. So a change that was not reported is found at the next report. This is
 * possible because the emulated machine does not encrypt (enc=none); on hardware the tables could
 * not be read.
 *
 * Environment:
 *	REPORTS_LOG	the file that gets a line for each report and each mistake
 *	REPORTS_OFFER	0: answer the hypercall, but do not offer it; 2: offer it to Linux too,
 *			and check nothing: its tables map memory elsewhere
 *	REPORTS_REFUSE	1: answer with an error, name each exit that the guest makes after that,
 *			and end QEMU after some seconds
 *	REPORTS_MEM	size of the guest's RAM in bytes, up to 2 GiB (then it is one piece)
 *
 * Log lines: "report ADDRESS PAGES ENCRYPTED VCPU" and "bad ..."; "refused ADDRESS", "after
 * EXIT_REASON" and "end".
 *
 * Locking: the firmware reports from one processor, and the map and the slots are used while that
 * one waits for its answer; a second reporter at the same time would be a mistake, and is found by
 * the lock.
 * Lifetime: everything lasts as long as the process, which has one VM.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/kvm.h>

#define HC_MAP_GPA_RANGE	12
#define HC_ENCRYPTED		(1ULL << 4)
#define FEATURE_MAP_GPA_RANGE	(1U << 16)
#define FEATURE_MIGRATION	(1U << 17)	/* what Linux looks for */
#define KVM_SIGNATURE		0x4b4d564bU	/* "KVMK" in ebx */

#define PAGE		4096ULL
#define MAX_PAGES	(1UL << 19)		/* 2 GiB */
#define MAX_SLOTS	64
#define MAX_VCPUS	16
#define MAX_BAD		20		/* of one report: one mistake may be in many pages */
#define WATCH_SECONDS	15

#define PTE_PRESENT	(1ULL << 0)
#define PTE_LARGE	(1ULL << 7)
#define PTE_CBIT	(1ULL << 47)		/* as guest.sh starts QEMU */
#define PTE_ADDRESS	0x00007ffffffff000ULL

/* VGA memory and option ROMs: devices cover this part of RAM, the firmware maps it as I/O. */
#define HOLE_START	0xa0000ULL
#define HOLE_END	0x100000ULL

static pthread_mutex_t reporting = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static int offer = 1;
static bool refuse, refused;
static uint64_t mem;
static bool shared[MAX_PAGES];
static struct kvm_userspace_memory_region slots[MAX_SLOTS];
static struct vcpu {
	int fd;
	struct kvm_run *run;
} vcpus[MAX_VCPUS];
static int nr_vcpus;
static int run_size;
static int bad;

static int call(int fd, unsigned long request, unsigned long argument)
{
	return syscall(SYS_ioctl, fd, request, argument);
}

__attribute__((constructor)) static void set_up(void)
{
	const char *path = getenv("REPORTS_LOG"), *size = getenv("REPORTS_MEM");

	/* Other programs that were started with the same environment are left alone. */
	if (!path || !size || strncmp(program_invocation_short_name, "qemu-system", 11))
		return;
	log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	mem = strtoull(size, NULL, 0);
	if (getenv("REPORTS_OFFER"))
		offer = atoi(getenv("REPORTS_OFFER"));
	refuse = getenv("REPORTS_REFUSE") && atoi(getenv("REPORTS_REFUSE"));
	if (log_fd < 0 || !mem || mem % PAGE || mem / PAGE > MAX_PAGES)
		abort();
}

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
	va_list list;

	if (bad++ >= MAX_BAD)
		return;
	dprintf(log_fd, "bad ");
	va_start(list, format);
	vdprintf(log_fd, format, list);
	va_end(list);
	dprintf(log_fd, "\n");
}

/* A page of guest memory as QEMU sees it. */
static const uint64_t *table(uint64_t address)
{
	int i;

	address &= PTE_ADDRESS;
	for (i = 0; i < MAX_SLOTS; i++) {
		const struct kvm_userspace_memory_region *slot = &slots[i];

		if (address >= slot->guest_phys_addr &&
		    address - slot->guest_phys_addr < slot->memory_size)
			return (const uint64_t *)(slot->userspace_addr +
						  (address - slot->guest_phys_addr));
	}
	return NULL;
}

static bool is_ram(uint64_t address)
{
	return address < mem && (address < HOLE_START || address >= HOLE_END);
}

static void check_leaf(uint64_t entry, uint64_t address, uint64_t size)
{
	bool is_shared = !(entry & PTE_CBIT);
	uint64_t end = address + size;

	if (end > mem)
		end = mem;
	for (; address < end; address += PAGE) {
		if (is_ram(address) && shared[address / PAGE] != is_shared)
			complain("page %#llx: the tables say %s, the reports do not",
				 (unsigned long long)address, is_shared ? "shared" : "encrypted");
	}
}

/* The firmware's tables map all memory at its own address. */
static void check_tables(uint64_t entry, int level, uint64_t address)
{
	const uint64_t *entries = table(entry);
	uint64_t size = PAGE << 9 * (level - 1);
	int i;

	if (!entries) {
		complain("the page table at %#llx is not in a slot", (unsigned long long)entry);
		return;
	}
	for (i = 0; i < 512 && address < mem; i++, address += size) {
		if (!(entries[i] & PTE_PRESENT))
			continue;
		if (level == 1 || (level < 4 && entries[i] & PTE_LARGE))
			check_leaf(entries[i], address, size);
		else
			check_tables(entries[i], level - 1, address);
	}
}

static void check_report(uint64_t address, uint64_t pages, uint64_t attributes)
{
	bool to_shared = !(attributes & HC_ENCRYPTED);
	uint64_t page;

	if (address % PAGE || !pages || attributes & ~HC_ENCRYPTED)
		complain("a malformed report");
	if (address >= mem || pages > (mem - address) / PAGE) {
		complain("a report of no RAM");
		return;
	}
	for (page = address / PAGE; page < address / PAGE + pages; page++) {
		if (!is_ram(page * PAGE))
			complain("a report of no RAM, page %#llx", (unsigned long long)page);
		else if (shared[page] == to_shared)
			complain("nothing changes, page %#llx", (unsigned long long)page);
		shared[page] = to_shared;
	}
}

static void take_report(const struct vcpu *vcpu, uint64_t address, uint64_t pages,
			uint64_t attributes)
{
	struct kvm_sregs sregs;

	if (pthread_mutex_trylock(&reporting)) {
		complain("two reports at a time");
		return;
	}
	bad = 0;
	dprintf(log_fd, "report %#llx %llu %d %d\n", (unsigned long long)address,
		(unsigned long long)pages, !!(attributes & HC_ENCRYPTED), (int)(vcpu - vcpus));
	check_report(address, pages, attributes);
	if (call(vcpu->fd, KVM_GET_SREGS, (unsigned long)&sregs))
		complain("no registers: %d", errno);
	else
		check_tables(sregs.cr3, 4, 0);
	pthread_mutex_unlock(&reporting);
}

/* The guest has had its time to go on in spite of the refusal. */
static void *stop_watching(void *unused)
{
	(void)unused;
	sleep(WATCH_SECONDS);
	dprintf(log_fd, "end\n");
	_exit(0);
}

static void refuse_report(uint64_t address)
{
	pthread_t thread;

	dprintf(log_fd, "refused %#llx\n", (unsigned long long)address);
	if (!refused && pthread_create(&thread, NULL, stop_watching, NULL))
		abort();
	refused = true;
}

static int run_vcpu(const struct vcpu *vcpu, unsigned long argument)
{
	struct kvm_run *run = vcpu->run;
	int ret;

	for (;;) {
		ret = call(vcpu->fd, KVM_RUN, argument);
		if (ret < 0)
			return ret;
		if (run->exit_reason != KVM_EXIT_HYPERCALL || run->hypercall.nr != HC_MAP_GPA_RANGE)
			break;
		if (refuse) {
			refuse_report(run->hypercall.args[0]);
			run->hypercall.ret = -(uint64_t)ENOMEM;
		} else {
			if (offer <= 1)
				take_report(vcpu, run->hypercall.args[0], run->hypercall.args[1],
					    run->hypercall.args[2]);
			run->hypercall.ret = 0;
		}
	}
	if (refused)
		dprintf(log_fd, "after %u\n", run->exit_reason);
	return ret;
}

static void offer_hypercall(struct kvm_cpuid2 *cpuid)
{
	uint32_t base = 0, i;

	for (i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function >> 16 == 0x4000 &&
		    cpuid->entries[i].ebx == KVM_SIGNATURE)
			base = cpuid->entries[i].function;
	}
	for (i = 0; base && offer && i < cpuid->nent; i++) {
		if (cpuid->entries[i].function == base + 1)
			cpuid->entries[i].eax |= FEATURE_MAP_GPA_RANGE |
						 (offer > 1 ? FEATURE_MIGRATION : 0);
	}
}

static void new_vm(int kvm, int vm)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_EXIT_HYPERCALL,
		.args = { 1 << HC_MAP_GPA_RANGE },
	};

	run_size = call(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (run_size <= 0 || call(vm, KVM_ENABLE_CAP, (unsigned long)&cap))
		abort();
}

static void new_vcpu(int fd)
{
	struct vcpu *vcpu = &vcpus[nr_vcpus];

	if (nr_vcpus == MAX_VCPUS)
		abort();
	vcpu->fd = fd;
	vcpu->run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (vcpu->run == MAP_FAILED)
		abort();
	nr_vcpus++;
}

static const struct vcpu *find_vcpu(int fd)
{
	int i;

	for (i = 0; i < nr_vcpus; i++) {
		if (vcpus[i].fd == fd)
			return &vcpus[i];
	}
	abort();
}

int ioctl(int fd, unsigned long request, ...)
{
	const struct kvm_userspace_memory_region *slot;
	unsigned long argument;
	va_list list;
	int ret;

	va_start(list, request);
	argument = va_arg(list, unsigned long);
	va_end(list);

	/* QEMU's wrappers have the number as an int, and the highest bit may be set. */
	request = (uint32_t)request;
	if (log_fd < 0)
		return call(fd, request, argument);
	if (request == KVM_RUN)
		return run_vcpu(find_vcpu(fd), argument);
	if (request == KVM_SET_CPUID2)
		offer_hypercall((struct kvm_cpuid2 *)argument);
	ret = call(fd, request, argument);
	if (ret < 0)
		return ret;
	switch (request) {
	case KVM_CREATE_VM:
		new_vm(fd, ret);
		break;
	case KVM_CREATE_VCPU:
		new_vcpu(ret);
		break;
	case KVM_SET_USER_MEMORY_REGION:
		slot = (const struct kvm_userspace_memory_region *)argument;
		if (slot->slot < MAX_SLOTS)
			slots[slot->slot] = *slot;
		break;
	}
	return ret;
}
