# SPDX-License-Identifier: GPL-2.0-only
#
# Included by sev.mk: tests of calls on the address of a guest's page, which share a library.

surface := private_surface private_surface_check private_surface_io
surface-objects := $(surface:%=$(OUT)/%.o)
surface-programs := private_mem_surface_copy_test private_mem_surface_pin_test \
	private_mem_surface_send_test private_mem_surface_uffd_test

$(surface-objects): $(OUT)/%.o: $(L)/%.c $(headers) | $(OUT)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

$(surface-programs:%=$(OUT)/%): $(surface-objects)
$(surface-programs:%=$(OUT)/%): LDLIBS := $(surface-objects) $(LDLIBS) -luring
