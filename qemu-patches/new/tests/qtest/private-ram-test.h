/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test of private RAM in a machine: what its files share.
 */
#ifndef TESTS_QTEST_PRIVATE_RAM_TEST_H
#define TESTS_QTEST_PRIVATE_RAM_TEST_H

#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/pci-pc.h"
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qlist.h"
#include "qapi/qmp/qnum.h"
#include "hw/misc/private-ram-testdev.h"

#define PAGE            4096ULL

/* A q35 machine with 2 GiB of its memory below 4 GiB and 1 GiB above. */
#define RAM_SIZE        (3 * GiB)
#define LOW_SIZE        (2 * GiB)
#define HIGH_GPA        (4 * GiB)
#define SOMEWHERE       (16 * MiB)

typedef struct Machine {
    QTestState *qts;
    char *bios;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar regs;
} Machine;

/* An empty firmware: a file to unlink, its name to free. */
char *bios_new(void);

/* A machine whose memory is all private, with its test device 'dev0'. */
Machine *machine_new(const char *backend_args, const char *args);
/* The same of another type; "pc" has all of it below 4 GiB. */
Machine *machine_new_of(const char *type, const char *backend_args,
                        const char *args);
void machine_free(Machine *m);

/* A command of the test device; its result. */
uint64_t machine_cmd(Machine *m, uint64_t cmd, uint64_t addr, uint64_t len,
                     uint64_t data);
uint64_t machine_data(Machine *m);
uint64_t machine_len(Machine *m);

void machine_convert(Machine *m, uint64_t gpa, uint64_t npages,
                     bool to_private);

/* A number of the backend's query-private-memory. */
uint64_t machine_stat(Machine *m, const char *name);

/* Its last stray access, to be unref'd; NULL if there was none. */
QDict *machine_last_stray(Machine *m);
uint64_t machine_strays(Machine *m);

/* The error that a QMP command ends with; to be freed. */
char *machine_qmp_error(Machine *m, const char *cmd, ...) G_GNUC_PRINTF(2, 3);
bool machine_is_in_state(Machine *m, const char *state);
void machine_reset(Machine *m);

void add_map_tests(void);
void add_remap_tests(void);
void add_dma_tests(void);
void add_monitor_tests(void);

#endif
