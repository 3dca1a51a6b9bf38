// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of the emulated host: mount what programs expect, run one command as root in the folder that
 * the machine was given, and send stdout, stderr and the verdict to the machine over virtio-serial
 * ports of their own, so that no console noise can pass or fail a test.
 *
 * The machine (host.sh) provides:
 *   /dev/vda                         ext4, read-only: a Debian 12 userland
 *   fw_cfg opt/memfd-private/command the command, a line of shell; none: an interactive shell
 *   9p "dir"                         the folder, mounted read-only at /mnt
 *   virtio ports stdout stderr result
 *
 * The result port gets the line "begin" and then lines "name value": status (exit status, 128 + signal), warnings (records of
 * the kernel log since the host's start that look like a bug), warning (the first few of them),
 * done. A machine that ends without "done" has failed, whatever else it said.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/reboot.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMAND_FILE "/sys/firmware/qemu_fw_cfg/by_name/opt/memfd-private/command/raw"
#define MAX_REPORTED_WARNINGS 5

/* What a line of the kernel log holds when something went wrong that a test must not survive. */
static const char *const warning_signs[] = {
	"WARNING:", "BUG:", "BUG ", "Oops", "general protection fault", "INFO: task ", "INFO: rcu",
	"rcu_sched self-detected", "rcu_preempt self-detected", "Call Trace:", "KASAN:", "UBSAN:",
	"possible recursive locking", "possible circular locking", "inconsistent lock state",
	"possible irq lock inversion", "suspicious RCU usage", "bad unlock balance", "held lock freed",
	"lock held when returning", "sleeping function called", "unreferenced object", "kmemleak: ",
	"Bad page state", "Bad rss-counter", "soft lockup", "psp: command", "Out of memory:",
};

/* Signs that match above, on lines that are harmless. */
static const char *const harmless_signs[] = {
	"kmemleak: Kernel memory leak detector initialized",
	"kmemleak: Automatic memory scanning thread",
	"WARNING: Spectre", "WARNING: Unprivileged eBPF",
};

static FILE *result_port;

static void __attribute__((noreturn)) power_off(void)
{
	sync();
	reboot(LINUX_REBOOT_CMD_POWER_OFF);
	for (;;)
		pause();
}

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (result_port) {
		fprintf(result_port, "error ");
		vfprintf(result_port, fmt, args);
		fprintf(result_port, "\n");
		fflush(result_port);
	}
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
	power_off();
}

static void try_mount(const char *source, const char *target, const char *type,
		      unsigned long flags, const char *data)
{
	mkdir(target, 0755);
	if (mount(source, target, type, flags, data))
		fprintf(stderr, "init: mount %s: %s\n", target, strerror(errno));
}

/* Debian's userland is the root; what must be writable is tmpfs. */
static void mount_root(void)
{
	mkdir("/dev", 0755);
	mkdir("/root", 0755);
	if (mount("dev", "/dev", "devtmpfs", 0, NULL))
		fail("init: no devtmpfs: %s", strerror(errno));
	if (mount("/dev/vda", "/root", "ext4", MS_RDONLY, NULL))
		fail("init: no userland on /dev/vda: %s", strerror(errno));
	if (mount("/dev", "/root/dev", NULL, MS_MOVE, NULL))
		fail("init: cannot move /dev: %s", strerror(errno));
	if (chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		fail("init: cannot enter the userland: %s", strerror(errno));

	try_mount("proc", "/proc", "proc", 0, NULL);
	try_mount("sys", "/sys", "sysfs", 0, NULL);
	try_mount("pts", "/dev/pts", "devpts", 0, "ptmxmode=666");
	try_mount("shm", "/dev/shm", "tmpfs", 0, "mode=1777");
	try_mount("tmp", "/tmp", "tmpfs", 0, "mode=1777");
	try_mount("run", "/run", "tmpfs", 0, NULL);
	try_mount("home", "/root", "tmpfs", 0, NULL);
	try_mount("var", "/var/tmp", "tmpfs", 0, "mode=1777");
	try_mount("debug", "/sys/kernel/debug", "debugfs", 0, NULL);
	try_mount("trace", "/sys/kernel/tracing", "tracefs", 0, NULL);
	try_mount("cgroup", "/sys/fs/cgroup", "cgroup2", 0, NULL);
	symlink("/proc/self/fd", "/dev/fd");
	symlink("/proc/self/fd/0", "/dev/stdin");
	symlink("/proc/self/fd/1", "/dev/stdout");
	symlink("/proc/self/fd/2", "/dev/stderr");
}

/* Open the virtio-serial port with the given name; there is no udev to make named links. */
static int open_port(const char *name)
{
	char path[PATH_MAX], got[64];
	struct dirent *entry;
	int fd = -1;
	DIR *dir;

	dir = opendir("/sys/class/virtio-ports");
	while (dir && fd < 0 && (entry = readdir(dir))) {
		FILE *file;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fgets(got, sizeof(got), file)) {
			got[strcspn(got, "\n")] = '\0';
			if (!strcmp(got, name)) {
				snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
				fd = open(path, O_WRONLY | O_CLOEXEC);
			}
		}
		fclose(file);
	}
	if (dir)
		closedir(dir);
	return fd;
}

/* The names arrive by a control message after the ports do: give them a moment. */
static int wait_port(const char *name)
{
	int fd, tries;

	for (tries = 0; tries < 100; tries++) {
		fd = open_port(name);
		if (fd >= 0)
			return fd;
		usleep(20000);
	}
	fail("init: no virtio port '%s'", name);
}

static char *read_command(void)
{
	static char command[65536];
	size_t got = 0;
	ssize_t len;
	int fd;

	fd = open(COMMAND_FILE, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	/* sysfs gives a page at a time. */
	do {
		len = read(fd, command + got, sizeof(command) - 1 - got);
		if (len < 0)
			fail("init: cannot read the command: %s", strerror(errno));
		got += len;
	} while (len > 0);
	close(fd);
	if (got == sizeof(command) - 1)
		fail("init: the command is longer than %zu bytes", sizeof(command) - 2);
	return command;
}

static void loopback_up(void)
{
	struct ifreq req = { .ifr_name = "lo" };
	int fd;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (!ioctl(fd, SIOCGIFFLAGS, &req)) {
		req.ifr_flags |= IFF_UP;
		ioctl(fd, SIOCSIFFLAGS, &req);
	}
	close(fd);
}

static void set_up(void)
{
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("LANG", "C.UTF-8", 1);
	setenv("TERM", "linux", 0);
	sethostname("emulated-host", 13);
	loopback_up();
	if (mount("dir", "/mnt", "9p", MS_RDONLY, "trans=virtio,version=9p2000.L,msize=512000,cache=loose") &&
	    errno != ENODEV && errno != ENOENT)
		fprintf(stderr, "init: no folder at /mnt: %s\n", strerror(errno));
	if (chdir("/mnt"))
		fail("init: chdir /mnt: %s", strerror(errno));
}

static pid_t start(char *const argv[], int in, int out, int err, bool terminal)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	if (terminal)
		ioctl(0, TIOCSCTTY, 0);
	execv(argv[0], argv);
	fprintf(stderr, "init: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Reap everything until @pid is gone; return its status as a shell does. */
static int wait_for(pid_t pid)
{
	int status;
	pid_t got;

	do {
		got = wait(&status);
	} while (got != pid && !(got < 0 && errno == ECHILD));
	if (got != pid)
		return 255;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool has_sign(const char *line, const char *const *signs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strstr(line, signs[i]))
			return true;
	}
	return false;
}

/* Everything that the debug kernel's leak detector can say, it must say now. */
static void scan_for_leaks(void)
{
	int fd = open("/sys/kernel/debug/kmemleak", O_RDWR | O_CLOEXEC);
	char line[512];
	FILE *file;

	if (fd < 0)
		return;
	/* Objects younger than a few seconds are not reported, and a single scan may race. */
	sleep(6);
	for (int i = 0; i < 2; i++) {
		if (write(fd, "scan", 4) < 0)
			break;
	}
	file = fdopen(fd, "r+");
	while (file && fgets(line, sizeof(line), file)) {
		FILE *kmsg = fopen("/dev/kmsg", "we");

		if (kmsg) {
			fprintf(kmsg, "<4>%s", line);
			fclose(kmsg);
		}
	}
	if (file)
		fclose(file);
}

/* Count the records of the kernel log from @fd on that look like a bug; report the first few. */
static void report_warnings(int fd)
{
	char record[8192];
	int warnings = 0;
	ssize_t len;

	for (;;) {
		len = read(fd, record, sizeof(record) - 1);
		if (len < 0 && errno == EPIPE) {
			/* The log went round: what was lost may have been a warning. */
			warnings++;
			fprintf(result_port, "warning the kernel log overflowed\n");
			continue;
		}
		if (len <= 0)
			break;
		record[len] = '\0';
		record[strcspn(record, "\n")] = '\0';
		char *text = strchr(record, ';');

		if (!text || !has_sign(text, warning_signs, sizeof(warning_signs) / sizeof(*warning_signs)) ||
		    has_sign(text, harmless_signs, sizeof(harmless_signs) / sizeof(*harmless_signs)))
			continue;
		if (++warnings <= MAX_REPORTED_WARNINGS)
			fprintf(result_port, "warning %s\n", text + 1);
	}
	fprintf(result_port, "warnings %d\n", warnings);
}

static void run_command(char *command)
{
	char *argv[] = { "/bin/bash", "-c", command, NULL };
	int out = wait_port("stdout"), err = wait_port("stderr");
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int log, status;

	log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log < 0)
		fail("init: /dev/kmsg: %s", strerror(errno));
	/* The kernel's own boot is part of what is tested: the log is read from its start. */
	status = wait_for(start(argv, in, out, err, false));
	kill(-1, SIGKILL);
	while (wait(NULL) > 0)
		;
	scan_for_leaks();
	fprintf(result_port, "status %d\n", status);
	report_warnings(log);
}

static void run_shell(void)
{
	char *argv[] = { "/bin/bash", "-l", NULL };
	int tty = open("/dev/hvc0", O_RDWR | O_NOCTTY);

	if (tty < 0)
		fail("init: /dev/hvc0: %s", strerror(errno));
	wait_for(start(argv, tty, tty, tty, true));
	fprintf(result_port, "status 0\n");
}

int main(void)
{
	struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };
	char *command;
	int console;

	mount_root();
	console = open("/dev/console", O_RDWR);
	if (console >= 0) {
		dup2(console, 0);
		dup2(console, 1);
		dup2(console, 2);
	}
	result_port = fdopen(wait_port("result"), "w");
	if (!result_port)
		fail("init: result port: %s", strerror(errno));
	fprintf(result_port, "begin\n");
	fflush(result_port);
	setrlimit(RLIMIT_CORE, &core);
	set_up();

	command = read_command();
	if (command)
		run_command(command);
	else
		run_shell();
	fprintf(result_port, "done\n");
	fflush(result_port);
	power_off();
}
