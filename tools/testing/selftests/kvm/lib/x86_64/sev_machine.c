// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the emulated machine counts and reports. See sev_machine.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sev_machine.h"

#define VENDOR		0x1022
#define DEVICE		0x14ca
#define REGS_SIZE	0x20000
#define WINDOW		0x1f000
#define MAGIC		0x31564553

static unsigned int read_id(const char *dir, const char *name)
{
	unsigned int id = 0;
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%x", &id) != 1)
		id = 0;
	fclose(file);
	return id;
}

static const volatile uint32_t *map_regs(const char *dir)
{
	char path[256];
	void *regs;
	int fd;

	snprintf(path, sizeof(path), "%s/resource2", dir);
	fd = open(path, O_RDONLY | O_SYNC | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	regs = mmap(NULL, REGS_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	return regs == MAP_FAILED ? NULL : regs;
}

int sev_machine_open(struct sev_machine *machine)
{
	glob_t devices;

	machine->regs = NULL;
	if (glob("/sys/bus/pci/devices/*", 0, NULL, &devices))
		return -ENODEV;
	for (size_t i = 0; i < devices.gl_pathc && !machine->regs; i++) {
		const char *dir = devices.gl_pathv[i];

		if (read_id(dir, "vendor") == VENDOR && read_id(dir, "device") == DEVICE)
			machine->regs = map_regs(dir);
	}
	globfree(&devices);
	return machine->regs && machine->regs[WINDOW / 4] == MAGIC ? 0 : -ENODEV;
}

void sev_machine_close(struct sev_machine *machine)
{
	if (machine->regs)
		munmap((void *)machine->regs, REGS_SIZE);
	machine->regs = NULL;
}

uint64_t sev_machine_counter(const struct sev_machine *machine, enum sev_counter counter)
{
	const volatile uint32_t *reg = &machine->regs[(WINDOW + 8 + 8 * counter) / 4];
	uint32_t lo = reg[0];

	return lo | (uint64_t)reg[1] << 32;
}

struct sev_violation sev_machine_last_violation(const struct sev_machine *machine)
{
	uint64_t what = sev_machine_counter(machine, SEV_COUNTER_LAST_WHAT);

	return (struct sev_violation) {
		.address = sev_machine_counter(machine, SEV_COUNTER_LAST_ADDRESS),
		.use = what & 0xff,
		.host_lines = what >> 8 & 0xff,
		.asid = what >> 16 & 0xffff,
		.handle = what >> 32,
	};
}
