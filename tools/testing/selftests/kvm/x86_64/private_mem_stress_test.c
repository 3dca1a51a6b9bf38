// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stress of private memory: vCPUs write and check signatures while their pages are converted
 * between private and shared, and while actors punch the file, change memslots, invalidate the
 * mapping of the shared half, and so on. One line of result for each combination of actors.
 *
 * What must hold all the time: a private page never shows what was written to the shared half, nor
 * the other way round; a page that has become private reads zero; what a vCPU wrote stays until
 * somebody takes it away. And at the end: nothing is charged any more, and each vCPU can see all of
 * its memory. Warnings of the kernel are for the one who runs the test to see: KASAN and lockdep do
 * their part.
 *
 * Locking: see private_stress.h. Each combination has a process and a memory cgroup of its own;
 * this one only watches it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "private_stress.h"
#include "restrictedmem_util.h"

/* Takes less than a minute in an emulated debug host. */
#define CONVERSIONS	5000
/* Without a conversion for so long, the test hangs. */
#define HANG_SECONDS	120

static const struct {
	const char *name;
	unsigned int actors;
} combinations[] = {
	{ "conversions", STRESS_HOSTRW },
	{ "punches", STRESS_HOSTRW | STRESS_PUNCH },
	{ "memslots", STRESS_HOSTRW | STRESS_SLOTS },
	{ "invalidations", STRESS_HOSTRW | STRESS_HVA },
	{ "two-vms-and-prefault", STRESS_HOSTRW | STRESS_TWIN | STRESS_PREFAULT },
	{ "new-files", STRESS_PUNCH | STRESS_REOPEN | STRESS_TWIN },
	{ "passing-vms", STRESS_CYCLE | STRESS_HVA },
	{ "everything", STRESS_HOSTRW | STRESS_PUNCH | STRESS_SLOTS | STRESS_HVA | STRESS_PREFAULT |
			STRESS_TWIN | STRESS_REOPEN | STRESS_CYCLE },
	{ "memory-limit", STRESS_SQUEEZE | STRESS_PREFAULT },
	{ "memory-errors", STRESS_POISON },
};

static const struct {
	const char *name;
	unsigned int actor;
	const char *help;
} actor_names[] = {
	{ "hostrw", STRESS_HOSTRW, "the host reads and writes the shared half" },
	{ "punch", STRESS_PUNCH, "the file is punched" },
	{ "slots", STRESS_SLOTS, "memslots go and come, the dirty log of one goes on and off" },
	{ "hva", STRESS_HVA, "the mapping is dropped, merged, collapsed, forked, its pages move" },
	{ "prefault", STRESS_PREFAULT, "vCPUs use KVM_PRE_FAULT_MEMORY" },
	{ "twin", STRESS_TWIN, "a second VM uses the same file and mapping" },
	{ "reopen", STRESS_REOPEN, "the file is closed, the slots get a new one" },
	{ "cycle", STRESS_CYCLE, "VMs come and go while their file is punched" },
	{ "squeeze", STRESS_SQUEEZE, "private pages run into a limit of the memory cgroup" },
	{ "poison", STRESS_POISON, "pages get hardware errors, and are lost to the machine" },
};

struct options {
	unsigned long conversions;
	unsigned int seconds;
	unsigned int vcpus;
	unsigned int converters;
	uint64_t seed;
	unsigned int only;	/* if not 0: the one combination to run */
	unsigned int without;
	const char *name;
};

static bool file_has(const char *path, const char *text)
{
	char content[4096] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, content, sizeof(content) - 1) < 0)
		content[0] = '\0';
	close(fd);
	return strstr(content, text);
}

/* Under the limit only private pages may be new. */
static void populate(struct stress *s)
{
	for (size_t i = 0; i < STRESS_PAGES; i++)
		*(volatile uint8_t *)(s->shared + i * PVM_PAGE) = 0;
	for (size_t i = 0; i < STRESS_CTL_SIZE; i += PVM_PAGE)
		*((volatile uint8_t *)s->ctl + i) += 0;
}

static void report(struct stress *s, unsigned long seconds)
{
	unsigned long locked = 0, raced = 0, busy = 0;

	for (unsigned int i = 0; i < STRESS_MAX_VCPUS; i++) {
		locked += s->ctl->vcpu[i].locked;
		raced += s->ctl->vcpu[i].raced;
		busy += s->ctl->vcpu[i].busy;
	}
	printf("# %lu conversions of %lu pages in %lu s\n", s->conversions, s->converted_pages,
	       seconds);
	printf("# accesses: %lu checked, %lu raced, %lu of busy pages\n", locked, raced, busy);
	printf("# %lu memory faults, %lu MMIO, %lu pre-faults, %lu punches, %lu slot changes\n",
	       s->memory_faults, s->mmio, s->prefaults, s->punches, s->slot_changes);
	printf("# %lu dirty logs, %lu new files, %lu passing VMs, %lu squeezes\n", s->logs,
	       s->reopened, s->cycles, s->squeezed);
	printf("# mapping: %lu drops, %lu unmappings, %lu forks, %lu merges, %lu huge pages, %lu moves\n",
	       s->drops, s->unmaps, s->forks, s->merges, s->collapses, s->moves);
	printf("# %lu private and %lu shared pages broken, %lu replaced\n",
	       s->poisoned_private, s->poisoned_shared, s->replaced);
}

static void combination_process(struct stress *s)
{
	time_t start = time(NULL);
	int ret = stress_prepare_process(s);

	if (!ret)
		ret = stress_set_up(s);
	if (ret) {
		printf("# set-up: %s\n", strerror(-ret));
		exit(1);
	}
	if (s->actors & STRESS_SQUEEZE)
		populate(s);
	if (s->actors & STRESS_POISON)
		stress_expect_poison();
	stress_run_actors(s);
	stress_check_residue(s);
	stress_tear_down(s);
	close(s->file);
	close(s->cycle_file);
	stress_check_limit(s);
	report(s, time(NULL) - start);
	exit(s->failed);
}

static void print_stacks(pid_t pid)
{
	char command[128];

	snprintf(command, sizeof(command),
		 "cd /proc/%d/task && head -n 40 */comm */stack 2> /dev/null | sed 's/^/# /'", pid);
	fflush(stdout);
	if (system(command))
		ksft_print_msg("no stacks\n");
}

/* The exit status of a combination; it is killed when it does nothing any more. */
static bool watch(pid_t pid, struct stress *s)
{
	unsigned long seen = 0;
	time_t since = time(NULL);
	int status;

	while (!waitpid(pid, &status, WNOHANG)) {
		unsigned long now = __atomic_load_n(&s->conversions, __ATOMIC_RELAXED);

		if (now != seen) {
			seen = now;
			since = time(NULL);
		} else if (time(NULL) - since > HANG_SECONDS) {
			ksft_print_msg("nothing happens any more, after %lu conversions\n", now);
			print_stacks(pid);
			kill(pid, SIGKILL);
			since = time(NULL);
		}
		usleep(20000);
	}
	if (WIFSIGNALED(status))
		ksft_print_msg("died of signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static bool run_combination(unsigned int actors, const struct options *o, unsigned long conversions)
{
	struct stress *s;
	pid_t pid;
	bool ok;

	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED || mkdir(STRESS_CGROUP, 0755)) {
		ksft_print_msg("%s: %s\n", STRESS_CGROUP, strerror(errno));
		return false;
	}
	s->actors = actors & ~o->without;
	s->vcpus = o->vcpus;
	s->converters = o->converters;
	s->target = conversions;
	s->seconds = o->seconds;
	s->seed = o->seed;
	fflush(stdout);
	pid = fork();
	if (!pid)
		combination_process(s);
	ok = pid > 0 && watch(pid, s);
	ok &= stress_uncharged(s);
	if (rmdir(STRESS_CGROUP))
		ksft_print_msg("%s: %s\n", STRESS_CGROUP, strerror(errno));
	munmap(s, sizeof(*s));
	return ok;
}

static void help(const char *program)
{
	printf("usage: %s [-c CONVERSIONS] [-t SECONDS] [-s SEED] [-v VCPUS] [-n CONVERTERS]\n"
	       "       [-o COMBINATION] [-a ACTOR,...] [-x ACTOR,...]\n\n"
	       "  -c  conversions in all combinations together (%u)\n"
	       "  -t  end a combination after so many seconds, whatever it has done\n"
	       "  -s  seed of the random numbers (random; printed)\n"
	       "  -v  vCPUs of the first VM, 1 to %u (2)\n"
	       "  -n  threads that convert, 1 to 4 (2)\n"
	       "  -o  only this combination\n"
	       "  -a  one combination, of these actors\n"
	       "  -x  leave these actors out\n\ncombinations:",
	       program, CONVERSIONS, STRESS_MAX_VCPUS - 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(combinations); i++)
		printf(" %s", combinations[i].name);
	printf("\nactors:\n");
	for (unsigned int i = 0; i < ARRAY_SIZE(actor_names); i++)
		printf("  %-9s %s\n", actor_names[i].name, actor_names[i].help);
}

static void usage_error(const char *program, const char *what, const char *value)
{
	fprintf(stderr, "%s: %s: %s\n", program, what, value);
	exit(KSFT_FAIL);
}

static unsigned int parse_actors(const char *program, char *list)
{
	unsigned int actors = 0;

	for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
		unsigned int i;

		for (i = 0; i < ARRAY_SIZE(actor_names); i++)
			if (!strcmp(name, actor_names[i].name))
				break;
		if (i == ARRAY_SIZE(actor_names))
			usage_error(program, "no such actor", name);
		actors |= actor_names[i].actor;
	}
	return actors;
}

static unsigned long parse_number(const char *program, const char *text, unsigned long most)
{
	char *end;
	unsigned long n = strtoul(text, &end, 0);

	if (!*text || *end || !n || n > most)
		usage_error(program, "not a number that is possible here", text);
	return n;
}

static void parse_count(const char *program, int option, struct options *o)
{
	switch (option) {
	case 'c':
		o->conversions = parse_number(program, optarg, ~0ul);
		break;
	case 't':
		o->seconds = parse_number(program, optarg, 1u << 30);
		break;
	case 's':
		o->seed = parse_number(program, optarg, ~0ul);
		break;
	case 'v':
		o->vcpus = parse_number(program, optarg, STRESS_MAX_VCPUS - 1);
		break;
	case 'n':
		o->converters = parse_number(program, optarg, 4);
		break;
	}
}

static void parse_options(int argc, char **argv, struct options *o)
{
	int option;

	while ((option = getopt(argc, argv, "c:t:s:v:n:o:a:x:h")) >= 0) {
		switch (option) {
		case 'o':
			o->name = optarg;
			break;
		case 'a':
			o->only = parse_actors(argv[0], optarg);
			break;
		case 'x':
			o->without = parse_actors(argv[0], optarg);
			break;
		case 'h':
			help(argv[0]);
			exit(0);
		case '?':
			exit(KSFT_FAIL);
		default:
			parse_count(argv[0], option, o);
		}
	}
}

/* Why a combination cannot be run here, or NULL. */
static const char *not_here(unsigned int actors)
{
	/* What the kernel itself allocates at the limit would call the OOM killer. */
	if (actors & STRESS_SQUEEZE && !file_has("/proc/cmdline", "cgroup.memory=nokmem"))
		return "the host was not booted with cgroup.memory=nokmem";
	return NULL;
}

static bool chosen(const struct options *o, unsigned int i)
{
	return !o->name || !strcmp(o->name, combinations[i].name);
}

static void run_and_report(const char *name, unsigned int actors, const struct options *o,
			   unsigned long conversions)
{
	const char *why = not_here(actors & ~o->without);

	if (why)
		ksft_test_result_skip("%s: %s\n", name, why);
	else
		ksft_test_result(run_combination(actors, o, conversions), "%s\n", name);
}

static void run_all(const struct options *o, unsigned int planned)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(combinations); i++)
		if (chosen(o, i))
			run_and_report(combinations[i].name, combinations[i].actors, o,
				       o->conversions / planned + 1);
}

int main(int argc, char **argv)
{
	struct options o = { .conversions = CONVERSIONS, .vcpus = 2, .converters = 2 };
	unsigned int planned = 0;
	const char *why;
	int ret;

	if (getrandom(&o.seed, sizeof(o.seed), 0) < 0)
		o.seed = time(NULL);
	parse_options(argc, argv, &o);
	for (unsigned int i = 0; i < ARRAY_SIZE(combinations); i++)
		planned += chosen(&o, i);
	if (!planned)
		usage_error(argv[0], "no such combination", o.name);
	ksft_print_header();
	why = stress_unavailable();
	if (why)
		ksft_exit_skip("%s\n", why);
	ret = rmem_write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	if (ret)
		ksft_exit_skip("no memory controller: %s\n", strerror(-ret));
	rmem_write("/sys/kernel/mm/ksm/pages_to_scan", "1000");
	ksft_print_msg("seed 0x%llx\n", (unsigned long long)o.seed);
	if (o.only) {
		ksft_set_plan(1);
		run_and_report("chosen-actors", o.only, &o, o.conversions);
	} else {
		ksft_set_plan(planned);
		run_all(&o, planned);
	}
	ksft_finished();
}
