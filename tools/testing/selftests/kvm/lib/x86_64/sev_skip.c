// SPDX-License-Identifier: GPL-2.0-only
/*
 * Has the kernel leave out a function of its own. See sev_skip.h and, in the kernel's documentation,
 * fault-injection/fault-injection.rst.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>

#include "restrictedmem_util.h"
#include "sev_skip.h"

#define DIR	"/sys/kernel/debug/fail_function"

const char *sev_skip_unavailable(void)
{
	return access(DIR "/inject", W_OK) ? "the kernel leaves out no functions" : NULL;
}

static int set(const char *name, int value)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), DIR "/%s", name);
	snprintf(text, sizeof(text), "%d", value);
	return rmem_write(path, text);
}

int sev_skip(const char *function, int times)
{
	int ret;

	/* Silently: the log is read for warnings. */
	ret = set("verbose", 0);
	if (!ret)
		ret = set("interval", 1);
	if (!ret)
		ret = set("probability", 100);
	if (!ret)
		ret = set("times", times);
	return ret ? ret : rmem_write(DIR "/inject", function);
}

int sev_skipped(int times)
{
	FILE *file = fopen(DIR "/times", "re");
	int left = times;

	if (!file)
		return 0;
	if (fscanf(file, "%d", &left) != 1)
		left = times;
	fclose(file);
	return times - left;
}

void sev_skip_end(void)
{
	set("probability", 0);
	/* An empty line takes all functions off the list. */
	rmem_write(DIR "/inject", "\n");
}
