// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tiny SEV guest: ports, MMIO, hypercalls. All of these exit to the test,
 * which checks what arrived and gives known values back.
 */
#include "sev_guest_payload.h"

#define GUEST_FILE	SEV_GUEST_FILE_IO
#define HC_MAP_GPA_RANGE	12
#define HC_UNKNOWN		0x7777
#define HC_ENOSYS		1000

#define RAX_BEFORE	0x1122334455667788ull

/* An input must leave the rest of the register alone, but 32 bits clear it. */
static void pio_in(void)
{
	u64 rax = RAX_BEFORE;

	asm volatile("inb %%dx, %%al" : "+a"(rax) : "d"(SEV_PORT_DEVICE));
	GUEST_EQ(0x11223344556677a5ull, rax);
	rax = RAX_BEFORE;
	asm volatile("inw %%dx, %%ax" : "+a"(rax) : "d"(SEV_PORT_DEVICE));
	GUEST_EQ(0x112233445566b6c7ull, rax);
	rax = RAX_BEFORE;
	asm volatile("inl %%dx, %%eax" : "+a"(rax) : "d"(SEV_PORT_DEVICE));
	GUEST_EQ(0x00000000d8e9fa0bull, rax);
	rax = RAX_BEFORE;
	asm volatile("inb %1, %%al" : "+a"(rax) : "i"(SEV_PORT_IMM));
	GUEST_EQ(0x11223344556677a5ull, rax);
}

void guest_pio(const u64 *args)
{
	u64 rax = RAX_BEFORE;

	(void)args;
	out8(SEV_PORT_DEVICE, 0x5a);
	out16(SEV_PORT_DEVICE, 0x6b7c);
	out32(SEV_PORT_DEVICE, 0x8d9eafb0);
	asm volatile("outb %%al, %0" : : "i"(SEV_PORT_IMM), "a"(0x3c));
	asm volatile("outw %%ax, %%dx" : "+a"(rax) : "d"(SEV_PORT_DEVICE));
	GUEST_EQ(RAX_BEFORE, rax);
	pio_in();
}

static u8 string_buffer[16];

static u64 try_outsb(const u8 *from, u64 n)
{
	asm volatile(TRY_BEGIN "rep outsb" TRY_END
		     : "+S"(from), "+c"(n) : "d"(SEV_PORT_DEVICE) : "r11", "memory");
	return guest_caught.vector;
}

static u64 try_insw(u8 *to, u64 n)
{
	asm volatile(TRY_BEGIN "rep insw" TRY_END
		     : "+D"(to), "+c"(n) : "d"(SEV_PORT_DEVICE) : "r11", "memory");
	return guest_caught.vector;
}

/*
 * KVM emulates string I/O by decoding the instruction and by reading guest
 * memory. It can do neither to a SEV guest, which gets #UD for it.
 */
void guest_pio_string(const u64 *args)
{
	u64 want = args[0] ? UD_VECTOR : NO_VECTOR;

	for (u32 i = 0; i < sizeof(string_buffer); i++)
		string_buffer[i] = 0x40 + i;
	GUEST_EQ(want, try_outsb(string_buffer, 4));
	GUEST_EQ(want, try_insw(string_buffer, 2));
	if (args[0])
		return;
	GUEST_EQ(0xc7, string_buffer[0]);
	GUEST_EQ(0xb6, string_buffer[1]);
	GUEST_EQ(0xc7, string_buffer[2]);
	GUEST_EQ(0x44, string_buffer[4]);
}

static void mmio_loads(void)
{
	u64 v;

	asm volatile("movb 0x10(%1), %b0" : "=a"(v) : "r"((u64)SEV_GUEST_MMIO), "0"(RAX_BEFORE));
	GUEST_EQ((RAX_BEFORE & ~0xffull) | 0x91, v);
	asm volatile("movw 0x12(%1), %w0" : "=a"(v) : "r"((u64)SEV_GUEST_MMIO), "0"(RAX_BEFORE));
	GUEST_EQ((RAX_BEFORE & ~0xffffull) | 0x9493, v);
	asm volatile("movl 0x14(%1), %k0" : "=a"(v) : "r"((u64)SEV_GUEST_MMIO), "0"(RAX_BEFORE));
	GUEST_EQ(0x98979695, v);
}

static void mmio_load_forms(void)
{
	/* Registers whose encoding takes a REX prefix. */
	register u64 base asm("r9") = SEV_GUEST_MMIO;
	register u64 index asm("r10") = 3;
	u64 v;

	asm volatile("movq (%1,%2,8), %0" : "=r"(v) : "r"(base), "r"(index) : "memory");
	GUEST_EQ(0xa09f9e9d9c9b9a99ull, v);
	asm volatile("movzbl 0x10(%1), %k0" : "=r"(v) : "r"(base) : "memory");
	GUEST_EQ(0x91, v);
	asm volatile("movswq 0x12(%1), %0" : "=r"(v) : "r"(base) : "memory");
	GUEST_EQ(0xffffffffffff9493ull, v);
	/* From one page's last byte to the next page. */
	GUEST_EQ(0x98979695, guest_read_across((volatile void *)(SEV_GUEST_MMIO + 0x14ull)));
}

static void mmio_stores(void)
{
	u64 base = SEV_GUEST_MMIO;

	asm volatile("movb %b0, 0x20(%1)" : : "q"(0x21ull), "r"(base) : "memory");
	asm volatile("movw %w0, 0x22(%1)" : : "r"(0x2322ull), "r"(base) : "memory");
	asm volatile("movl %k0, 0x24(%1)" : : "r"(0x27262524ull), "r"(base) : "memory");
	asm volatile("movq %0, 0x28(%1)" : : "r"(0x2f2e2d2c2b2a2928ull), "r"(base) : "memory");
	asm volatile("movl $0x33323130, 0x30(%0)" : : "r"(base) : "memory");
	/* Read, then write: two exits for one instruction. */
	asm volatile("orl $0x0f000000, 0x30(%0)" : : "r"(base) : "memory");
	GUEST_EQ(0x3f323130, mmio_read32(base + 0x30));
}

void guest_mmio_access(const u64 *args)
{
	(void)args;
	mmio_loads();
	mmio_load_forms();
	mmio_stores();
}

static u64 vmmcall(u64 nr, u64 a0, u64 a1, u64 a2)
{
	u64 ret;

	asm volatile("vmmcall"
		     : "=a"(ret) : "a"(nr), "b"(a0), "c"(a1), "d"(a2) : "memory");
	return ret;
}

void guest_hypercall(const u64 *args)
{
	GUEST_EQ(-(u64)HC_ENOSYS, vmmcall(HC_UNKNOWN, 1, 2, 3));
	guest_report(vmmcall(HC_MAP_GPA_RANGE, args[0], args[1], args[2]));
	/* Not a page's address: KVM refuses this before the host sees it. */
	GUEST_EQ(-22ull, vmmcall(HC_MAP_GPA_RANGE, args[0] + 1, args[1], args[2]));
	GUEST_EQ(-(u64)HC_ENOSYS, vmmcall(HC_UNKNOWN, 1, 2, 3));
}
