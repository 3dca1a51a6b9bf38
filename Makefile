# SPDX-License-Identifier: GPL-2.0-only
#
# memfd-private: every command of the workbench. `make help` lists them. Recipes call the scripts in
# tools/workbench; everything they make goes under build/.

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
# The recipes share build trees: one at a time, whatever -j says; each build is parallel in itself.
.NOTPARALLEL:

W := tools/workbench
Q := tools/testing/selftests/kvm/qemu

# Variables that a user may set, with their meaning for `make help`.
VARS := DIR CMD SMP MEM KERNEL HOST_ARGS MACHINE_ARGS CPU_ARGS PSP_ARGS ICOUNT GUEST GUEST_MEM GUEST_SMP FIRMWARE \
	MEMORY N LOAD STRESS PRIVATE SEED T TIMEOUT DEBUG J DISCARD DIRTY V
unknown := $(strip $(foreach v,$(filter-out MAKEFLAGS MAKEOVERRIDES SHELL $(VARS),$(.VARIABLES)),\
	$(if $(filter command% override%,$(origin $(v))),$(filter-out -%,$(v)))))
ifneq ($(filter-out GNUMAKEFLAGS,$(unknown)),)
$(error unknown variable: $(unknown) (known: $(VARS)))
endif
# Values are the user's text, not make's: a command may hold a dollar sign.
$(foreach v,$(VARS),$(if $(filter command%,$(origin $v)),$(eval override $v := $$(value $v))))

$(foreach v,DEBUG DIRTY STRESS PRIVATE V,$(if $(filter-out 0 1,$($v)),$(error $v=$($v): 0 or 1)))
$(if $(J),$(if $(shell [[ '$(subst ','"'"',$(J))' =~ ^[1-9][0-9]*$$ ]] && echo y),,$(error J=$(J): not a positive number)))

# For the time that a command took, builds included.
export MP_START := $(shell date +%s)

ifeq ($(DEBUG),1)
KERNEL ?= $(CURDIR)/build/linux-dbg-o/arch/x86/boot/bzImage
host-kernel := debug
else
host-kernel := kernel
endif
export $(VARS)

.PHONY: all
all: host guest-6.1 selftests ## build everything that `make run` and `make check` need
	@[ '$(or $(MAKECMDGOALS),all)' != all ] || \
		printf '  %-8s %s\n' TIME "$$(($$(date +%s) - MP_START)) s (budget 5 with nothing changed)" >&2

##@ Run

.PHONY: run check soak peers mutants exec shell bench
run: args-run host guest-6.1 ## boot the emulated SEV host and an SEV guest in it; report in build/report/run.json
	@$W/run.sh

check: args-check all debug stock guest-6.12 ## run all tests; the last line is "N passed, N failed, N skipped"
	@$W/check.sh

soak: args-soak $(if $(filter 1,$(STRESS)),debug qemu host-parts selftests,host guest-6.1 $(if $(filter 1,$(PRIVATE)),debug)) ## boot N plain guests in a row; STRESS=1, PRIVATE=1: private memory
	@$W/soak.sh

peers: args-peers host ## run the KVM selftests of 6.1 and 6.12 on the stock kernel and on ours and compare (T=PATTERN: some)
	@$W/peers.sh compare "$$T"

mutants: args-mutants all debug ## take one rule at a time out of the kernel, and see its test fail (T=PATTERN: some)
	@$W/mutants.sh

exec: args-exec host ## run CMD as root in the emulated host, with DIR visible at /mnt
	@$Q/host.sh "$$DIR" "$$CMD"

shell: args-shell host ## an interactive shell in the emulated host (DIR at /mnt; leave with exit)
	@$Q/host.sh --shell "$${DIR:-.}"

bench: args-bench host guest-6.1 selftests ## measure in deterministic mode; report in build/report/bench.json
	@$W/bench.sh

# Bad values are refused before anything is built.
.PHONY: args-run args-soak args-check args-mutants args-gdb args-shell args-exec
args-run args-soak args-check args-mutants args-gdb: args-%:
	@$W/$*.sh --check

.PHONY: args-bench args-peers args-discard
args-bench:
	@$W/bench.sh --check

args-peers:
	@$W/peers.sh --check "$$T"

args-discard:
	@test -n "$$DISCARD" || { echo "make discard: DISCARD=linux, qemu or edk2 is needed" >&2; exit 2; }

args-shell:
	@$Q/host.sh --check "$${DIR:-.}" true

args-exec:
	@test -n "$$DIR" -a -n "$$CMD" || { echo "make exec: DIR=<folder> CMD='<command>' are needed" >&2; exit 2; }
	@$Q/host.sh --check "$$DIR" "$$CMD"

##@ Build

.PHONY: tree kernel debug headers stock qemu ovmf selftests host host-parts guest-6.1 guest-6.12
tree: deps ## unpack the pinned sources, apply the edits, link the new files
	@$W/tree.sh linux
	@$W/tree.sh qemu

kernel: deps ## the host kernel, 6.1 with our edits
	@$W/tree.sh linux
	@$W/build.sh kernel

debug: deps ## the debug host kernel: KASAN, lockdep, DEBUG_VM, kmemleak, fault injection
	@$W/tree.sh linux
	@$W/build.sh debug

headers: kernel
	@$W/build.sh headers

stock: kernel
	@$W/build.sh stock

qemu: deps ## QEMU 7.2 with the emulated SEV platform
	@$W/tree.sh qemu
	@$W/build.sh qemu

ovmf: deps ## OVMF from Debian's edk2 source, X64, 4M, with our edits
	@$W/tree.sh edk2
	@$W/build.sh ovmf

selftests: headers ## the tests that run in the emulated host
	@$W/selftests.sh

host: $(host-kernel) qemu host-parts
host-parts: deps
	@$W/build.sh initrd
	@$W/build.sh userland
	@$W/build.sh firmware

guest-6.1 guest-6.12: ovmf qemu
	@$W/build.sh guest $@
	@$W/build.sh vmm $@

.PHONY: deps
deps:
	@$W/deps.sh

##@ Patches

.PHONY: refresh discard mbox bisect lint gdb
refresh: ## turn the commits in build/linux, build/qemu, build/edk2 back into patches
	@$W/refresh.sh

discard: args-discard ## give up unexported work in build/DISCARD (linux, qemu or edk2); it is kept under a ref
	@$W/discard.sh "$$DISCARD"

mbox: tree ## a mail-ready series for each component in build/mail
	@$W/mbox.sh

bisect: tree ## build the kernel at each commit of the mailed series
	@$W/bisect.sh

lint: tree ## checkpatch, shellcheck, series and budget checks
	@$W/lint.sh

gdb: args-gdb debug host-parts qemu ## boot the debug host stopped, and attach gdb with the kernel's scripts
	@$W/gdb.sh

##@ Other

.PHONY: help clean distclean
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9. -]+:.*## / { split($$1, t, " "); printf "  make %-10s %s\n", t[1], $$2 }' Makefile
	@sed 's/^/  /' $W/variables.txt

clean: ## remove what was built; trees with unexported work are refused
	@$W/clean.sh

distclean: ## clean, and remove downloads and compiler cache too
	@$W/clean.sh all
