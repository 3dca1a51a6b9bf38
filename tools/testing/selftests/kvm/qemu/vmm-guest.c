// SPDX-License-Identifier: GPL-2.0-only
/*
 * A firmware that does as it is told: it reads commands from the serial port, and answers each with
 * one line. For tests of the VMM, which want a guest that touches one page, at one moment.
 *
 *	r ADDRESS	read a word			"read VALUE"
 *	w ADDRESS VALUE	write one			"wrote ADDRESS"
 *	s ADDRESS	ask for the page to be shared	"shared RESULT"
 *	p ADDRESS	ask for it to be private	"private RESULT"
 *	g MSR		RDMSR				"msr HIGH LOW", or "refused MSR" for #GP
 *	t MSR LOW	WRMSR, the upper half as LOW's	"set MSR", or "refused MSR"
 *	m 1, m 0	take machine checks, or not	"cr4 VALUE"
 *	d ADDRESS	have fw_cfg do DMA as told there	"dma ADDRESS"
 *	b REGISTER	read a byte of the host bridge's	"bridge VALUE"
 *	c REGISTER VALUE	write one			"bridge VALUE"
 *
 * Numbers are hexadecimal, without 0x. At its start it says "ready". A machine check takes the
 * place of the answer: "mc MCG_STATUS STATUS ADDRESS", each with both halves. The guest is then as
 * it was.
 *
 * It has no paging, so that all its accesses are private ones, and runs from its image at the end
 * of 4 GiB, so that there can be RAM where the machine shows it below 1 MiB. Of memory it uses a
 * page for its stack. Its image has a table that says where the VMM may put the hashes of a kernel.
 */
#include <stdint.h>

#define COM1			0x3f8
#define COM1_STATUS		(COM1 + 5)
#define COM1_READY		0x01
#define COM1_EMPTY		0x20

#define FW_CFG_DMA_HIGH		0x514
#define FW_CFG_DMA_LOW		0x518		/* starts it */

#define PCI_ADDRESS		0xcf8
#define PCI_DATA		0xcfc
#define PCI_ENABLED		0x80000000

#define HC_MAP_GPA_RANGE	12
#define HC_ENCRYPTED		(1 << 4)

#define MSR_MCG_STATUS		0x17a
#define BANK			9		/* where QEMU puts the errors of guest memory */
#define MSR_BANK(n)		(0x400 + 4 * BANK + (n))
#define MSR_BANK_STATUS		MSR_BANK(1)
#define MSR_BANK_ADDRESS	MSR_BANK(2)

#define CR4_MCE			(1 << 6)

struct msr {
	uint32_t low, high;
};

static uint8_t in(uint16_t port)
{
	uint8_t value;

	asm volatile("inb %1, %0" : "=a"(value) : "d"(port));
	return value;
}

static void out(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "d"(port));
}

static void out_long(uint16_t port, uint32_t value)
{
	asm volatile("outl %0, %1" : : "a"(value), "d"(port));
}

static void put(char c)
{
	while (!(in(COM1_STATUS) & COM1_EMPTY))
		;
	out(COM1, c);
}

static void say(const char *text)
{
	while (*text)
		put(*text++);
}

static void say_number(uint32_t value)
{
	int shift;

	put(' ');
	for (shift = 28; shift >= 0; shift -= 4)
		put("0123456789abcdef"[value >> shift & 15]);
}

static void say_line(const char *what, uint32_t value)
{
	say(what);
	say_number(value);
	put('\n');
}

/* A poll is an exit: the guest rests in between, for the sake of the machine around it. */
static char get(void)
{
	int rest;

	while (!(in(COM1_STATUS) & COM1_READY)) {
		for (rest = 0; rest < 20000; rest++)
			asm volatile("pause");
	}
	return in(COM1);
}

/* The number, and in @end what came behind it. */
static uint32_t get_number(char *end)
{
	uint32_t value = 0;
	char c;

	for (c = get(); c == ' '; c = get())
		;
	for (; c != ' ' && c != '\n'; c = get())
		value = value << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
	*end = c;
	return value;
}

/* False: #GP, which takes the number of the MSR away. */
static int read_msr(uint32_t number, struct msr *msr)
{
	asm volatile("rdmsr" : "=a"(msr->low), "=d"(msr->high), "+c"(number));
	return number;
}

static int write_msr(uint32_t number, const struct msr *msr)
{
	asm volatile("wrmsr" : "+c"(number) : "a"(msr->low), "d"(msr->high) : "memory");
	return number;
}

static void say_msr(uint32_t number)
{
	struct msr msr;

	read_msr(number, &msr);
	say_number(msr.high);
	say_number(msr.low);
}

static void clear_msr(uint32_t number)
{
	static const struct msr zero;

	write_msr(number, &zero);
}

/*
 * Called by vmm-guest-entry.S, as guest_main() is. It does not go on where it was: what it would
 * have read is lost.
 */
void guest_machine_check(void)
{
	say("mc");
	say_msr(MSR_MCG_STATUS);
	say_msr(MSR_BANK_STATUS);
	say_msr(MSR_BANK_ADDRESS);
	put('\n');
	clear_msr(MSR_BANK_STATUS);
	clear_msr(MSR_MCG_STATUS);
}

void guest_unexpected(void)
{
	say("an exception that nobody expected\n");
}

static uint32_t convert(uint32_t address, uint32_t attributes)
{
	uint32_t result;

	asm volatile("vmmcall"
		     : "=a"(result)
		     : "a"(HC_MAP_GPA_RANGE), "b"(address), "c"(1), "d"(attributes)
		     : "memory");
	return result;
}

static void take_machine_checks(uint32_t yes)
{
	uint32_t cr4;

	asm volatile("movl %%cr4, %0" : "=r"(cr4));
	cr4 = yes ? cr4 | CR4_MCE : cr4 & ~CR4_MCE;
	asm volatile("movl %0, %%cr4" : : "r"(cr4));
	say_line("cr4", cr4);
}

static void get_msr(uint32_t number)
{
	struct msr msr;

	if (!read_msr(number, &msr)) {
		say_line("refused", number);
		return;
	}
	say("msr");
	say_number(msr.high);
	say_number(msr.low);
	put('\n');
}

/* The upper half is all ones or zero, as the lower half's sign says: no MSR here wants more. */
static void set_msr(uint32_t number, uint32_t low)
{
	struct msr msr = { .low = low, .high = (int32_t)low < 0 ? ~0 : 0 };

	say_line(write_msr(number, &msr) ? "set" : "refused", number);
}

static void start_dma(uint32_t address)
{
	out_long(FW_CFG_DMA_HIGH, 0);
	out_long(FW_CFG_DMA_LOW, __builtin_bswap32(address));
	say_line("dma", address);
}

/* The port that has a register of the host bridge, the first device of the first bus. */
static uint16_t bridge_port(uint8_t reg)
{
	out_long(PCI_ADDRESS, PCI_ENABLED | (reg & ~3));
	return PCI_DATA + (reg & 3);
}

static void obey(char name, uint32_t a, uint32_t b)
{
	volatile uint32_t *word = (void *)a;

	switch (name) {
	case 'r':
		say_line("read", *word);
		break;
	case 'w':
		*word = b;
		say_line("wrote", a);
		break;
	case 's':
		say_line("shared", convert(a, 0));
		break;
	case 'p':
		say_line("private", convert(a, HC_ENCRYPTED));
		break;
	case 'g':
		get_msr(a);
		break;
	case 't':
		set_msr(a, b);
		break;
	case 'm':
		take_machine_checks(a);
		break;
	case 'd':
		start_dma(a);
		break;
	case 'c':
		out(bridge_port(a), b);
		/* fall through */
	case 'b':
		say_line("bridge", in(bridge_port(a)));
		break;
	default:
		say("no such command\n");
	}
}

void guest_begin(void)
{
	say("ready\n");
}

/* Comes here again after a machine check. */
void guest_main(void)
{
	uint32_t a, b;
	char name, end;

	for (;;) {
		name = get();
		if (name == '\n')
			continue;
		a = get_number(&end);
		b = end == '\n' ? 0 : get_number(&end);
		obey(name, a, b);
	}
}
