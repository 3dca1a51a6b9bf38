# SPDX-License-Identifier: GPL-2.0-only
#
# Included by sev.mk: the stress test of private memory, which has a library and a guest of its own.

stress := private_stress_vm private_stress_pages private_stress_actors private_stress_mm \
	private_stress_limits private_stress_charge
stress-objects := $(stress:%=$(OUT)/%.o) $(OUT)/private_stress_guest.o

# Copied into a guest from one section: no jump tables, nothing outside of it.
STRESS_GUEST_CFLAGS := $(filter-out -fno-pic -fno-pie -mcmodel=small -nostdinc,$(GUEST_CFLAGS)) \
	-fpie -fno-jump-tables -isystem $(headers-dir)

$(stress:%=$(OUT)/%.o): $(OUT)/%.o: $(L)/%.c $(S)/private_stress_guest.h $(headers) | $(OUT)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS) -I$(S) -c -o $@ $<

$(OUT)/private_stress_guest.o: $(S)/private_stress_guest.c $(S)/private_stress_guest.h $(headers) | $(OUT)
	$(call say,GUEST)
	$(Q)$(CC) $(STRESS_GUEST_CFLAGS) -c -o $@ $<

$(OUT)/private_mem_stress_test: $(stress-objects)
$(OUT)/private_mem_stress_test: LDLIBS := $(stress-objects) $(LDLIBS)
