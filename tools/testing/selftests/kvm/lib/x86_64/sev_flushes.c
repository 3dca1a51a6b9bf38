// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts flushes of the caches of all CPUs. See sev_flushes.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "restrictedmem_util.h"
#include "sev_flushes.h"

#define TRACING	"/sys/kernel/tracing"
#define PROBES	TRACING "/kprobe_events"
#define GROUP	"sev_flushes"
#define EVENT	"all_cpus"

const char *sev_flushes_unavailable(void)
{
	return access(PROBES, W_OK) ? "the kernel has no kprobe events" : NULL;
}

static int write_in(struct sev_flushes *flushes, const char *file, const char *text)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", flushes->dir, file);
	return rmem_write(path, text);
}

/* Probes are a list: a line that is appended adds one. */
static int change_probe(const char *line)
{
	int fd = open(PROBES, O_WRONLY | O_APPEND | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, line, strlen(line)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int sev_flushes_start(struct sev_flushes *flushes)
{
	int ret;

	snprintf(flushes->dir, sizeof(flushes->dir), TRACING "/instances/" GROUP);
	ret = change_probe("p:" GROUP "/" EVENT " wbinvd_on_all_cpus");
	if (ret)
		return ret;
	if (mkdir(flushes->dir, 0700) && errno != EEXIST)
		return -errno;
	return write_in(flushes, "events/" GROUP "/" EVENT "/enable", "1");
}

void sev_flushes_stop(struct sev_flushes *flushes)
{
	write_in(flushes, "events/" GROUP "/" EVENT "/enable", "0");
	rmdir(flushes->dir);
	change_probe("-:" GROUP "/" EVENT);
}

long sev_flushes_take(struct sev_flushes *flushes)
{
	char path[192], line[512];
	FILE *file;
	long n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/trace", flushes->dir);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file))
		n += !!strstr(line, " " EVENT ":");
	fclose(file);
	/* Opened like this it is emptied. */
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(fd);
	return n;
}
