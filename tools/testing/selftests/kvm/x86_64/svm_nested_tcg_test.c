// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does the machine's SVM do what KVM relies on?
 *
 * A guest of KVM shows how the processor below KVM behaves at VMRUN and #VMEXIT. Each test is one
 * that QEMU 7.2's TCG failed, or a feature that TCG lacked and KVM's SEV code cannot do without:
 * interrupts delivered once, the interrupt shadow, CR8 with an interrupt pending, the XSETBV
 * intercept, next RIP, decode assists and injected software interrupts. On other processors the
 * tests pass too, and say little. Each is done twice: as a plain guest and as an SEV guest, whose
 * code and page tables are private.
 *
 * The guest (svm_nested_tcg_guest.S) is 64-bit code without an operating system. It talks to the
 * test by OUT: PORT_SYNC asks the test to act and then goes on, PORT_DONE ends a run, PORT_FAULT
 * reports an event that nobody expected. What it counts is in a page that both see (struct shared).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/psp-sev.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "kselftest_harness.h"
#include "svm_nested_tcg_guest.h"

#define RAM_SIZE	0x200000
#define CODE_SEL	0x08

FIXTURE(guest)
{
	int kvm, vm, vcpu, stats, sev;
	int early_exit;		/* how a run before the launch was over ended */
	uint8_t *ram, *idt;
	struct kvm_run *run;
	struct shared *shared;
};

FIXTURE_VARIANT(guest)
{
	bool sev;
};

FIXTURE_VARIANT_ADD(guest, plain)
{
	.sev = false,
};

FIXTURE_VARIANT_ADD(guest, sev)
{
	.sev = true,
};

static uint64_t guest_addr(const char *label)
{
	return CODE + (label - guest_start);
}

static void set_gate(uint8_t *idt, int vector, uint64_t addr)
{
	uint8_t gate[16] = { addr, addr >> 8, CODE_SEL, 0, 0, 0x8e, addr >> 16, addr >> 24 };

	memcpy(idt + vector * 16, gate, sizeof(gate));
}

static void fill_memory(uint8_t *ram, uint8_t *idt)
{
	uint64_t *pml4 = (void *)(ram + PML4), *pdpt = (void *)(ram + PDPT);
	uint64_t *gdt = (void *)(ram + GDT);
	uint64_t *low = (void *)(ram + PD_LOW), *high = (void *)(ram + PD_HIGH);

	gdt[CODE_SEL / 8] = 0x00af9b000000ffff;
	gdt[CODE_SEL / 8 + 1] = 0x00cf93000000ffff;
	pml4[0] = PDPT | 3;
	pdpt[0] = PD_LOW | 3;
	pdpt[3] = PD_HIGH | 3;
	for (uint64_t i = 0; i < 512; i++) {
		low[i] = i << 21 | 0x83;
		high[i] = 0xc0000000 | i << 21 | 0x83;
	}
	memcpy(ram + CODE, guest_start, guest_end - guest_start);
	for (int i = 0; i < 256; i++)
		set_gate(idt, i, guest_addr(guest_fault));
	set_gate(idt, IRQ_VECTOR, guest_addr(guest_irq));
	set_gate(idt, SOFT_VECTOR, guest_addr(guest_soft));
	set_gate(idt, 3, guest_addr(guest_soft));
}

static int add_slot(int vm, int slot, uint64_t gpa, void *mem, size_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (uintptr_t)mem,
	};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static int long_mode(int vcpu)
{
	struct kvm_segment data = { .limit = ~0u, .selector = 0x10, .type = 3, .present = 1,
				    .db = 1, .s = 1, .g = 1 };
	struct kvm_segment code = { .limit = ~0u, .selector = CODE_SEL, .type = 11, .present = 1,
				    .s = 1, .l = 1, .g = 1 };
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return -1;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr0 = 0x80000011;
	sregs.cr3 = PML4;
	sregs.cr4 = 0x20;
	sregs.efer = 0x500;
	sregs.gdt.base = GDT;
	sregs.gdt.limit = 0x17;
	sregs.idt.base = IDT;
	sregs.idt.limit = 0xfff;
	return ioctl(vcpu, KVM_SET_SREGS, &sregs);
}

static int all_cpuid(int kvm, int vcpu)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[128];
	} cpuid = { .head.nent = 128 };

	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid))
		return -1;
	return ioctl(vcpu, KVM_SET_CPUID2, &cpuid);
}

static int start_at(int vcpu, const char *label, uint64_t rflags, uint64_t rcx)
{
	struct kvm_regs regs = { .rip = guest_addr(label), .rsp = STACK_TOP, .rflags = rflags | 2,
				 .rcx = rcx, .r12 = 2 };

	return ioctl(vcpu, KVM_SET_REGS, &regs);
}

/* Run to the next OUT and return its port; anything else is its negative exit reason. */
static int run_to_port(int vcpu, struct kvm_run *run)
{
	if (ioctl(vcpu, KVM_RUN, 0))
		return -0x1000 - errno;
	if (run->exit_reason != KVM_EXIT_IO || run->io.direction != KVM_EXIT_IO_OUT)
		return -(int)run->exit_reason;
	return run->io.port;
}

static int sev_command(int vm, int sev, int id, void *data)
{
	struct kvm_sev_cmd cmd = { .id = id, .data = (uintptr_t)data, .sev_fd = sev };

	return ioctl(vm, KVM_MEMORY_ENCRYPT_OP, &cmd);
}

/* What the guest uses as private memory: its page tables and its code. */
static int sev_launch(int vm, int sev, uint8_t *ram)
{
	struct kvm_sev_launch_start start = {};
	struct kvm_sev_launch_update_data update = { .uaddr = (uintptr_t)ram + PML4,
						     .len = PD_HIGH + 0x1000 - PML4 };
	struct kvm_enc_region region = { .addr = (uintptr_t)ram, .size = RAM_SIZE };
	int rc = ioctl(vm, KVM_MEMORY_ENCRYPT_REG_REGION, &region);

	rc = rc ?: sev_command(vm, sev, KVM_SEV_LAUNCH_START, &start);
	rc = rc ?: sev_command(vm, sev, KVM_SEV_LAUNCH_UPDATE_DATA, &update);
	update.uaddr = (uintptr_t)ram + CODE;
	update.len = 0x1000;
	return rc ?: sev_command(vm, sev, KVM_SEV_LAUNCH_UPDATE_DATA, &update);
}

static int sev_finish(int vm, int sev)
{
	char blob[48];
	struct kvm_sev_launch_measure measure = { .uaddr = (uintptr_t)blob, .len = sizeof(blob) };

	return sev_command(vm, sev, KVM_SEV_LAUNCH_MEASURE, &measure) ?:
	       sev_command(vm, sev, KVM_SEV_LAUNCH_FINISH, NULL);
}

FIXTURE_SETUP(guest)
{
	int prot = PROT_READ | PROT_WRITE;

	self->sev = self->kvm = -1;
	if (variant->sev)
		self->sev = open("/dev/sev", O_RDWR | O_CLOEXEC);
	if (variant->sev && self->sev < 0)
		SKIP(return, "no /dev/sev");
	self->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (self->kvm < 0)
		SKIP(return, "no /dev/kvm");
	self->vm = ioctl(self->kvm, KVM_CREATE_VM, 0);
	ASSERT_GE(self->vm, 0);
	if (variant->sev)
		ASSERT_EQ(0, sev_command(self->vm, self->sev, KVM_SEV_INIT, NULL));
	ASSERT_EQ(0, ioctl(self->vm, KVM_CREATE_IRQCHIP, 0));
	self->ram = mmap(NULL, RAM_SIZE, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	self->idt = mmap(NULL, 0x1000, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->ram);
	ASSERT_NE(MAP_FAILED, (void *)self->idt);
	fill_memory(self->ram, self->idt);
	self->shared = (void *)(self->ram + SHARED);
	ASSERT_EQ(0, add_slot(self->vm, 0, 0, self->ram, RAM_SIZE));
	ASSERT_EQ(0, add_slot(self->vm, 1, IDT, self->idt, 0x1000));
	self->vcpu = ioctl(self->vm, KVM_CREATE_VCPU, 0);
	ASSERT_GE(self->vcpu, 0);
	self->stats = ioctl(self->vcpu, KVM_GET_STATS_FD, NULL);
	ASSERT_GE(self->stats, 0);
	self->run = mmap(NULL, ioctl(self->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), prot, MAP_SHARED,
			 self->vcpu, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->run);
	ASSERT_EQ(0, all_cpuid(self->kvm, self->vcpu));
	ASSERT_EQ(0, long_mode(self->vcpu));
	if (!variant->sev)
		return;
	ASSERT_EQ(0, sev_launch(self->vm, self->sev, self->ram));
	ASSERT_EQ(0, start_at(self->vcpu, run_nops, 0, 0));
	self->early_exit = run_to_port(self->vcpu, self->run);
	ASSERT_EQ(0, sev_finish(self->vm, self->sev));
}

FIXTURE_TEARDOWN(guest)
{
	if (self->kvm < 0)
		return;
	munmap(self->run, ioctl(self->kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	close(self->stats);
	close(self->vcpu);
	close(self->vm);
	close(self->kvm);
	if (self->sev >= 0)
		close(self->sev);
	munmap(self->idt, 0x1000);
	munmap(self->ram, RAM_SIZE);
}

static int send_irq(int vm)
{
	struct kvm_msi msi = { .address_lo = APIC, .data = IRQ_VECTOR };

	return ioctl(vm, KVM_SIGNAL_MSI, &msi);
}

static int stat_read(int fd, const char *name, uint64_t *value)
{
	struct kvm_stats_header head;
	char buf[sizeof(struct kvm_stats_desc) + 256];
	struct kvm_stats_desc *desc = (void *)buf;

	if (pread(fd, &head, sizeof(head), 0) != sizeof(head) || head.name_size > 256)
		return -1;
	for (uint32_t i = 0; i < head.num_desc; i++) {
		size_t size = sizeof(*desc) + head.name_size;

		if (pread(fd, buf, size, head.desc_offset + i * size) != (ssize_t)size)
			return -1;
		if (!strncmp(desc->name, name, head.name_size))
			return pread(fd, value, 8, head.data_offset + desc->offset) == 8 ? 0 : -1;
	}
	return -1;
}

/* Is @flag, with a space on each side, in the first processor's line of flags? */
static bool cpu_flag(const char *flag)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[4096];
	bool found = false;

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = ' ';
		found = !strncmp(line, "flags", 5) && strstr(line, flag);
	}
	fclose(f);
	return found;
}

#define ENABLE_APIC() do {						\
	ASSERT_EQ(0, start_at(self->vcpu, run_init, 0, 0));		\
	ASSERT_EQ(PORT_DONE, run_to_port(self->vcpu, self->run));	\
} while (0)

/* CR8 is written while KVM waits for the guest to take interrupts. */
TEST_F(guest, cr8_with_interrupt_pending)
{
	ENABLE_APIC();
	ASSERT_EQ(0, start_at(self->vcpu, run_cr8, 0, 0));
	ASSERT_EQ(PORT_SYNC, run_to_port(self->vcpu, self->run));
	ASSERT_EQ(1, send_irq(self->vm));
	ASSERT_EQ(PORT_DONE, run_to_port(self->vcpu, self->run));
	EXPECT_EQ(1u, self->shared->count);
}

TEST_F(guest, interrupt_delivered_once)
{
	ENABLE_APIC();
	ASSERT_EQ(0, start_at(self->vcpu, run_once, 0, 0));
	ASSERT_EQ(PORT_SYNC, run_to_port(self->vcpu, self->run));
	for (uint32_t i = 1; i <= 5000; i++) {
		ASSERT_EQ(1, send_irq(self->vm));
		ASSERT_EQ(PORT_SYNC, run_to_port(self->vcpu, self->run));
		ASSERT_EQ(i, self->shared->count);
	}
	EXPECT_EQ(0u, self->shared->nested);
}

#define SLEEPS 2000

struct waker {
	int vm;
	struct shared *shared;
	bool stuck;
};

static void *wake_guest(void *arg)
{
	struct timespec pause = {};
	struct waker *w = arg;

	for (uint32_t i = 0; i < SLEEPS && !w->stuck; i++) {
		time_t deadline = time(NULL) + 10;

		pause.tv_nsec = i % 7 * 20000;
		nanosleep(&pause, NULL);
		send_irq(w->vm);
		while (__atomic_load_n(&w->shared->seen, __ATOMIC_ACQUIRE) != i + 1) {
			if (time(NULL) > deadline) {
				w->stuck = true;
				break;
			}
			sched_yield();
		}
	}
	/* One more interrupt lets a guest that slept over the last one end its run. */
	for (int i = 0; w->stuck && i < SLEEPS; i++) {
		send_irq(w->vm);
		usleep(1000);
	}
	return NULL;
}

/* STI;HLT: an interrupt is taken after HLT or before STI, never between them. */
TEST_F(guest, sti_hlt_loses_no_wakeup)
{
	struct waker w = { .vm = self->vm, .shared = self->shared };
	pthread_t thread;

	ENABLE_APIC();
	ASSERT_EQ(0, start_at(self->vcpu, run_hlt, 0, SLEEPS));
	ASSERT_EQ(0, pthread_create(&thread, NULL, wake_guest, &w));
	EXPECT_EQ(PORT_DONE, run_to_port(self->vcpu, self->run));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_FALSE(w.stuck);
}

static int set_shadow(int vcpu, int shadow)
{
	struct kvm_vcpu_events events;

	if (ioctl(vcpu, KVM_GET_VCPU_EVENTS, &events))
		return -1;
	events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	events.interrupt.shadow = shadow;
	return ioctl(vcpu, KVM_SET_VCPU_EVENTS, &events);
}

/* Where does an interrupt that is pending at VMRUN hit? */
TEST_F(guest, interrupt_shadow)
{
	const struct {
		const char *start;
		uint64_t rflags;
		int shadow;
		int hits_at;
	} cases[] = {
		{ run_nops, 0x200, 0, 0 },
		{ run_nops, 0x200, KVM_X86_SHADOW_INT_STI, 1 },
		{ run_sti, 0, 0, 2 },	/* a shadow of the host's would make it 1 */
	};

	ENABLE_APIC();
	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_EQ(0, start_at(self->vcpu, cases[i].start, cases[i].rflags, 0));
		ASSERT_EQ(0, set_shadow(self->vcpu, cases[i].shadow));
		ASSERT_EQ(1, send_irq(self->vm));
		ASSERT_EQ(PORT_DONE, run_to_port(self->vcpu, self->run));
		EXPECT_EQ(i + 1u, self->shared->count);
		EXPECT_EQ(guest_addr(cases[i].start) + cases[i].hits_at, self->shared->rip) {
			TH_LOG("case %d", i);
		}
	}
}

/* KVM goes past an intercepted instruction, and knows its operand, without reading it. */
TEST_F(guest, skip_without_decoding)
{
	uint64_t before, after;

	if (!cpu_flag(" nrip_save ") || !cpu_flag(" decodeassists "))
		SKIP(return, "the processor has no next RIP or no decode assists");
	ENABLE_APIC();
	ASSERT_EQ(0, stat_read(self->stats, "insn_emulation", &before));
	EXPECT_GT(before, 0);	/* the store to the local APIC was emulated: the counter counts */
	for (int i = 0; i < SKIP_COUNT; i++) {
		ASSERT_EQ(0, start_at(self->vcpu, run_skip[i].code, 0, 0));
		ASSERT_EQ(PORT_DONE, run_to_port(self->vcpu, self->run)) {
			TH_LOG("%s", run_skip[i].name);
		}
		ASSERT_EQ(0, stat_read(self->stats, "insn_emulation", &after));
		EXPECT_EQ(before, after) {
			TH_LOG("%s", run_skip[i].name);
		}
		before = after;
	}
}

/* The processor refuses a guest that was not launched, and leaves its state as it was. */
TEST_F(guest, runs_once_launched)
{
	if (variant->sev)
		ASSERT_EQ(-KVM_EXIT_FAIL_ENTRY, self->early_exit);
	ASSERT_EQ(0, start_at(self->vcpu, run_nops, 0, 0));
	EXPECT_EQ(PORT_DONE, run_to_port(self->vcpu, self->run));
}

TEST_F(guest, xsetbv_exits)
{
	struct kvm_xcrs xcrs;

	ASSERT_EQ(0, start_at(self->vcpu, run_xsetbv, 0, 0));
	ASSERT_EQ(PORT_DONE, run_to_port(self->vcpu, self->run));
	ASSERT_EQ(0, ioctl(self->vcpu, KVM_GET_XCRS, &xcrs));
	EXPECT_EQ(3, xcrs.xcrs[0].value);
}

/* The IDT's page is mapped by the fault that INT causes, and KVM injects INT again. */
TEST_F(guest, soft_interrupt_reinjected)
{
	ASSERT_EQ(0, start_at(self->vcpu, run_int, 0, 0));
	ASSERT_EQ(PORT_DONE, run_to_port(self->vcpu, self->run));
	EXPECT_EQ(1u, self->shared->count);
	EXPECT_EQ(guest_addr(run_int_end), self->shared->rip);
}

TEST_F(guest, breakpoint_reinjected)
{
	ASSERT_EQ(0, start_at(self->vcpu, run_int3, 0, 0));
	ASSERT_EQ(PORT_DONE, run_to_port(self->vcpu, self->run));
	EXPECT_EQ(1u, self->shared->count);
	EXPECT_EQ(guest_addr(run_int3_end), self->shared->rip);
}

TEST_F(guest, mmio_instructions)
{
	const struct {
		uint64_t addr, data;
		int len, is_write;
	} want[] = {
		{ MMIO, 0x1122334455667788, 8, 1 }, { MMIO + 0x10, 0x7788, 2, 1 },
		{ MMIO + 0x1234, 0xcafe, 4, 1 }, { MMIO + 0x30, 0xa5, 1, 0 },
		{ MMIO, 0xff000000, 4, 0 }, { MMIO, 0xff667788, 4, 1 },
	};
	struct kvm_regs regs;

	ASSERT_EQ(0, start_at(self->vcpu, run_mmio, 0, 0));
	for (int i = 0; i < 6; i++) {
		uint64_t data = 0;

		ASSERT_EQ(-KVM_EXIT_MMIO, run_to_port(self->vcpu, self->run));
		EXPECT_EQ(want[i].addr, self->run->mmio.phys_addr);
		EXPECT_EQ(want[i].len, self->run->mmio.len);
		ASSERT_EQ(want[i].is_write, self->run->mmio.is_write);
		if (want[i].is_write) {
			memcpy(&data, self->run->mmio.data, want[i].len);
			EXPECT_EQ(want[i].data, data);
		} else {
			memcpy(self->run->mmio.data, &want[i].data, want[i].len);
		}
	}
	ASSERT_EQ(PORT_DONE, run_to_port(self->vcpu, self->run));
	ASSERT_EQ(0, ioctl(self->vcpu, KVM_GET_REGS, &regs));
	EXPECT_EQ(0xa5, regs.r13);
}

TEST_HARNESS_MAIN
