// SPDX-License-Identifier: GPL-2.0-only
/*
 * Has the kernel leave out flushes. See sev_skip.h and, in the kernel's documentation,
 * fault-injection/fault-injection.rst.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "kselftest.h"
#include "restrictedmem_util.h"
#include "sev_skip.h"

#define DIR	"/sys/kernel/debug/fail_sev_flush"

static const char * const flushes[] = { SEV_SKIP_RECLAIM, SEV_SKIP_PREPARE, SEV_SKIP_COMMAND };

const char *sev_skip_unavailable(void)
{
	return access(DIR, W_OK) ? "the kernel leaves out no flushes" : NULL;
}

static int set(const char *flush, const char *name, int value)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), DIR "/%s/%s", flush, name);
	snprintf(text, sizeof(text), "%d", value);
	return rmem_write(path, text);
}

int sev_skip(const char *flush, int times)
{
	int ret;

	/* Silently: the log is read for warnings. */
	ret = set(flush, "verbose", 0);
	if (!ret)
		ret = set(flush, "interval", 1);
	if (!ret)
		ret = set(flush, "times", times);
	return ret ? ret : set(flush, "probability", 100);
}

int sev_skipped(const char *flush, int times)
{
	char path[64];
	FILE *file;
	int left = times;

	snprintf(path, sizeof(path), DIR "/%s/times", flush);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%d", &left) != 1)
		left = times;
	fclose(file);
	return times - left;
}

void sev_skip_end(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(flushes); i++)
		set(flushes[i], "probability", 0);
}
