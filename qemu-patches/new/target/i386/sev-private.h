/*
 * SEV guests on private memory: what sev.c calls.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef I386_SEV_PRIVATE_H
#define I386_SEV_PRIVATE_H

/*
 * How a VM of the SEV type is initialized: changes *@cmd, and returns what the
 * command takes. For VMs of the default type nothing, and NULL.
 */
void *sev_private_init(int *cmd);

/*
 * [@gpa, @gpa + @len), any alignment, was launched: its content is in the
 * private half, and the shared half, from where it was copied, is let go.
 * Nothing to do for memory without a private half.
 */
bool sev_private_launched(hwaddr gpa, uint64_t len, Error **errp);

#endif
