# SPDX-License-Identifier: GPL-2.0-only
#
# Build the selftests of SEV and of restricted memory out of tree:
#
#   make -C tools/testing/selftests/kvm -f sev.mk OUT=DIR KSRC=LINUX-TREE HDR=HEADERS
#
# OUT   where everything goes (absolute)
# KSRC  the kernel tree: its tools/testing/selftests has kselftest_harness.h
# HDR   what "make headers_install INSTALL_HDR_PATH=HDR" made of that tree, or its include folder
#
# The programs are linked with Debian's libc, libgcrypt and liburing; the guest is freestanding.

ifeq ($(and $(OUT),$(KSRC),$(HDR)),)
$(error usage: make -f sev.mk OUT=DIR KSRC=LINUX-TREE HDR=HEADERS)
endif

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.PHONY: all clean

S := x86_64
L := lib/x86_64
I := include/x86_64
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = @printf '  %-7s %s\n' $(1) $(notdir $@)

CC ?= gcc
headers-dir := $(if $(wildcard $(HDR)/include/linux/kvm.h),$(HDR)/include,$(HDR))
WARN := -Wall -Wextra -Werror
# The harness is not free of warnings: it is included as a system header.
CFLAGS := -std=gnu11 -O2 -g $(WARN) -pthread -I$(I) -Iinclude -isystem $(headers-dir) \
	-isystem $(KSRC)/tools/testing/selftests
LDLIBS := -lgcrypt -pthread

# No SSE: the guest does not save it. No red zone: interrupts use the same stack.
GUEST_CFLAGS := -std=gnu11 -O2 -g $(WARN) -I$(I) -m64 -ffreestanding -nostdinc -fno-pic -fno-pie \
	-mcmodel=small -mno-red-zone -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-tree-loop-distribute-patterns
GUEST_LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack \
	-Wl,--no-warn-rwx-segments

private := sev_private_init_test sev_private_launch_test sev_private_dbg_test \
	sev_private_guest_test sev_private_shared_test sev_private_context_test \
	sev_private_limits_test sev_private_kill_test sev_private_hostile_test \
	sev_private_flush_test sev_private_flags_test
programs := $(private) sev_guest_test sev_launch_test sev_platform_test sev_recycle_test svm_decode_test sev_encryption_test sev_known_answer_test \
	sev_counters_test sev_strict_test sev_reports_test \
	sev_check_test \
	svm_vmcb_test svm_nested_tcg_test private_mem_types_test private_mem_slots_test \
	private_mem_attributes_test private_mem_exits_test private_mem_cgroup_test private_mem_conversion_test private_mem_huge_test \
	private_mem_accessors_test private_mem_prefault_test private_mem_lifetime_test private_mem_overtaken_test \
	private_mem_cached_test private_mem_smm_test private_mem_numa_test private_mem_yield_test \
	private_mem_stress_test private_mem_perf_test private_mem_nested_test private_mem_progress_test \
	private_mem_surface_copy_test private_mem_surface_pin_test private_mem_surface_send_test \
	private_mem_surface_uffd_test
guest := sev_guest_entry sev_guest_payload sev_guest_payload_io sev_guest_payload_cpu \
	sev_guest_payload_irq sev_guest_payload_share sev_guest_payload_enc \
	sev_guest_payload_check
library := sev_guest sev_guest_setup sev_guest_run sev_crypto svm_vm private_vm private_vm_run \
	sev_holdings sev_convert sev_flushes sev_machine sev_skip
headers := $(wildcard $(I)/sev_*.h $(I)/svm_*.h $(I)/private_*.h) include/restrictedmem_util.h sev.mk

# Tests of the file need no guest, and no library but one of their own.
files := restrictedmem_account_test restrictedmem_fault_test restrictedmem_fd_test \
	restrictedmem_file_test restrictedmem_mm_test restrictedmem_numa_test \
	restrictedmem_signal_test restrictedmem_uring_test
file-headers := include/restrictedmem_util.h restrictedmem_refused.h sev.mk

# A machine's only software: multiboot images, which must be 32-bit ELF whatever they hold.
bare := svm_bare svm_bare_sev svm_bare_nosev svm_bare_strict svm_bare_busy svm_bare_monitor
bare-library := svm_bare_entry svm_bare_lib svm_bare_psp svm_bare_launch

# The kernel's own test of moving and mirroring SEV VMs, as it is in the tree.
upstream := sev_migrate_tests

# What runs programs, or reads results, in the emulated host.
scripts := exits.sh kunit_results.sh run_all.sh

all: $(programs:%=$(OUT)/%) $(files:%=$(OUT)/%) $(upstream:%=$(OUT)/%) $(bare:%=$(OUT)/%) \
	$(scripts:%=$(OUT)/%)

$(OUT):
	$(Q)mkdir -p $@

$(scripts:%=$(OUT)/%): $(OUT)/%: % | $(OUT)
	$(Q)cp $< $@

$(guest:%=$(OUT)/guest-%.o): $(OUT)/guest-%.o: | $(OUT)
$(OUT)/guest-%.o: $(S)/%.c $(S)/sev_guest_payload.h $(headers)
	$(call say,GUEST)
	$(Q)$(CC) $(GUEST_CFLAGS) -c -o $@ $<
$(OUT)/guest-%.o: $(S)/%.S $(headers)
	$(call say,GUEST)
	$(Q)$(CC) $(GUEST_CFLAGS) -c -o $@ $<

$(OUT)/sev_guest_payload.ld: $(S)/sev_guest_payload.lds $(headers) | $(OUT)
	$(Q)$(CC) -E -P -x assembler-with-cpp -I$(I) -o $@ $<

# The ELF file is kept: it has the symbols for the RIP of a failure message.
$(OUT)/sev_guest_payload.elf: $(OUT)/sev_guest_payload.ld $(guest:%=$(OUT)/guest-%.o)
	$(call say,LINK)
	$(Q)$(CC) $(GUEST_LDFLAGS) -T $< -o $@ $(guest:%=$(OUT)/guest-%.o)

$(OUT)/sev_guest_payload.bin: $(OUT)/sev_guest_payload.elf
	$(Q)objcopy -O binary $< $@

$(OUT)/sev_guest_image.o: $(S)/sev_guest_image.S $(OUT)/sev_guest_payload.bin
	$(Q)$(CC) -c -Wa,-I$(OUT) -o $@ $<

$(library:%=$(OUT)/%.o): $(OUT)/%.o: $(L)/%.c $(headers) | $(OUT)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

$(OUT)/restrictedmem_util.o: lib/restrictedmem_util.c $(file-headers) | $(OUT)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

$(files:%=$(OUT)/%): $(OUT)/%: %.c $(OUT)/restrictedmem_util.o $(file-headers)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $< $(OUT)/restrictedmem_util.o $(FILE_LDLIBS)

$(OUT)/restrictedmem_uring_test: FILE_LDLIBS := -luring

# Guest code as data of the program, position-independent.
$(OUT)/private_vm_guest.o: $(L)/private_vm_guest.S $(headers) | $(OUT)
	$(Q)$(CC) -c -I$(I) -o $@ $<

objects := $(patsubst %,$(OUT)/%.o,private_vm_guest $(library) restrictedmem_util sev_guest_image)

$(programs:%=$(OUT)/%): $(OUT)/%: $(S)/%.c $(objects) $(headers)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -o $@ $< $(objects) $(LDLIBS)

$(OUT)/svm_nested_tcg_guest.o: $(S)/svm_nested_tcg_guest.S $(S)/svm_nested_tcg_guest.h | $(OUT)
	$(Q)$(CC) -c -I$(S) -o $@ $<

$(OUT)/svm_nested_tcg_test: $(OUT)/svm_nested_tcg_guest.o
$(OUT)/svm_nested_tcg_test: CFLAGS += $(OUT)/svm_nested_tcg_guest.o

$(bare:%=$(OUT)/bare-%.o) $(bare-library:%=$(OUT)/bare-%.o): $(S)/svm_bare.h $(S)/svm_bare_launch.h | $(OUT)
$(OUT)/bare-%.o: $(S)/%.c $(headers)
	$(call say,BARE)
	$(Q)$(CC) $(GUEST_CFLAGS) -c -o $@ $<
$(OUT)/bare-%.o: $(S)/%.S $(headers)
	$(call say,BARE)
	$(Q)$(CC) $(GUEST_CFLAGS) -c -o $@ $<

$(bare:%=$(OUT)/%.elf): $(OUT)/%.elf: $(bare-library:%=$(OUT)/bare-%.o) $(OUT)/bare-%.o
	$(call say,LINK)
	$(Q)$(CC) $(GUEST_LDFLAGS) -Wl,-N -Wl,-Ttext=0x100000 -Wl,-e,_start -o $@ $^

$(bare:%=$(OUT)/%): $(OUT)/%: $(OUT)/%.elf
	$(Q)objcopy -O elf32-i386 $< $@

include private_stress.mk
include private_surface.mk

# Its objects go below OUT too: the kernel tree stays clean.
$(upstream:%=$(OUT)/%): $(OUT)/%: $(KSRC)/tools/testing/selftests/kvm/x86_64/%.c sev.mk | $(OUT)
	$(call say,UPSTRM)
	$(Q)$(MAKE) -s -C $(KSRC)/tools/testing/selftests/kvm OUTPUT=$(OUT)/upstream ARCH=x86_64 \
		KHDR_INCLUDES="-isystem $(headers-dir)" $(OUT)/upstream/x86_64/$*
	$(Q)cp $(OUT)/upstream/x86_64/$* $@

clean:
	$(Q)rm -f $(programs:%=$(OUT)/%) $(files:%=$(OUT)/%) $(upstream:%=$(OUT)/%) $(bare:%=$(OUT)/%)
	$(Q)rm -f $(OUT)/guest-*.o $(OUT)/bare-*.o $(OUT)/sev_*.o $(OUT)/sev_guest_payload.* \
		$(OUT)/restrictedmem_util.o $(OUT)/*.elf
	$(Q)rm -rf $(OUT)/upstream
