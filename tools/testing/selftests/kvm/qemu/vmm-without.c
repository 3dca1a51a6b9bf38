// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run a program as on a kernel, or in a sandbox, that lacks something:
 *
 *	vmm-without [-s CALL=ERRNO] [-i REQUEST=ERRNO]... COMMAND [ARGUMENT]...
 *
 * -s: the system call of this number fails with this error; -i: so does the ioctl of this request.
 * Numbers are those of <sys/syscall.h>, <linux/...> and <errno.h>. A seccomp filter does it, which
 * the program cannot take off and its threads have too.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_RULES	8

/* An argument's lower half, where a request is. */
#define ARGUMENT(n)	(offsetof(struct seccomp_data, args) + 8 * (n))

static struct sock_filter filter[5 + 5 * MAX_RULES];
static unsigned short length;

static void add(unsigned short code, unsigned int k, unsigned char if_true, unsigned char if_false)
{
	filter[length++] = (struct sock_filter){ code, if_true, if_false, k };
}

static void load(unsigned int offset)
{
	add(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void leave(unsigned int action)
{
	add(BPF_RET | BPF_K, action, 0, 0);
}

/* The call's number is loaded, and is when this is through. */
static void fail_call(unsigned int number, unsigned int error)
{
	add(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
	leave(SECCOMP_RET_ERRNO | error);
}

static void fail_ioctl(unsigned int request, unsigned int error)
{
	add(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4);
	load(ARGUMENT(1));
	add(BPF_JMP | BPF_JEQ | BPF_K, request, 0, 1);
	leave(SECCOMP_RET_ERRNO | error);
	load(offsetof(struct seccomp_data, nr));
}

static int explain(void)
{
	fprintf(stderr, "usage: vmm-without [-s CALL=ERRNO] [-i REQUEST=ERRNO]... COMMAND [ARGUMENT]...\n");
	return 125;
}

static int add_rule(int kind, const char *text)
{
	char *end;
	unsigned long what = strtoul(text, &end, 0), error;

	if (end == text || *end != '=')
		return -1;
	text = end + 1;
	error = strtoul(text, &end, 0);
	if (end == text || *end || !error || error > SECCOMP_RET_DATA)
		return -1;
	if (kind == 's')
		fail_call(what, error);
	else
		fail_ioctl(what, error);
	return 0;
}

int main(int argc, char **argv)
{
	struct sock_fprog program = { .filter = filter };
	int option, rules = 0;

	/* Another architecture's calls have other numbers, and are none that QEMU makes. */
	load(offsetof(struct seccomp_data, arch));
	add(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	leave(SECCOMP_RET_KILL_PROCESS);
	load(offsetof(struct seccomp_data, nr));
	while ((option = getopt(argc, argv, "+s:i:")) != -1) {
		if (option == '?' || ++rules > MAX_RULES || add_rule(option, optarg))
			return explain();
	}
	if (optind == argc)
		return explain();
	leave(SECCOMP_RET_ALLOW);

	program.len = length;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0)) {
		fprintf(stderr, "vmm-without: no seccomp filter: %s\n", strerror(errno));
		return 125;
	}
	execvp(argv[optind], argv + optind);
	fprintf(stderr, "vmm-without: %s: %s\n", argv[optind], strerror(errno));
	return 127;
}
