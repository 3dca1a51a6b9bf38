// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts flushes of caches. See sev_flushes.h.
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

/* The event has the name of its function. */
static int enable(struct sev_flushes *flushes, const char *value)
{
	char file[96];

	snprintf(file, sizeof(file), "events/" GROUP "/%s/enable", flushes->function);
	return write_in(flushes, file, value);
}

int sev_flushes_start(struct sev_flushes *flushes, const char *function)
{
	char line[96];
	int ret;

	flushes->function = function;
	snprintf(flushes->dir, sizeof(flushes->dir), TRACING "/instances/" GROUP "-%s", function);
	snprintf(line, sizeof(line), "p:" GROUP "/%s %s", function, function);
	ret = change_probe(line);
	if (ret)
		return ret;
	if (mkdir(flushes->dir, 0700) && errno != EEXIST)
		return -errno;
	return enable(flushes, "1");
}

void sev_flushes_stop(struct sev_flushes *flushes)
{
	char line[96];

	if (!flushes->function)
		return;
	enable(flushes, "0");
	rmdir(flushes->dir);
	snprintf(line, sizeof(line), "-:" GROUP "/%s", flushes->function);
	change_probe(line);
	flushes->function = NULL;
}

long sev_flushes_take(struct sev_flushes *flushes)
{
	char path[192], line[512], event[96];
	FILE *file;
	long n = 0;
	int fd;

	snprintf(event, sizeof(event), " %s: ", flushes->function);
	snprintf(path, sizeof(path), "%s/trace", flushes->dir);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file))
		n += !!strstr(line, event);
	fclose(file);
	/* Opened like this it is emptied. */
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(fd);
	return n;
}
