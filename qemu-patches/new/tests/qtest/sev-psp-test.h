/*
 * Test of the emulated AMD secure processor: what its files share.
 *
 * Status codes, command numbers and structures are written down here a
 * second time, from the SEV API, so that a mistake in the device is not
 * repeated by the test.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_QTEST_SEV_PSP_TEST_H
#define TESTS_QTEST_SEV_PSP_TEST_H

#include "libqtest.h"
#include "libqos/pci-pc.h"

/* Registers in BAR 2. */
#define REG_INTEN       0x10690
#define REG_INTSTS      0x10694
#define REG_CMDRESP     0x10980
#define REG_CMDBUF_LO   0x109e0
#define REG_CMDBUF_HI   0x109e4
#define REG_FEATURE     0x109fc

/* The machine: RAM is [0, RAM_END). */
#define RAM_MB          128
#define RAM_END         (RAM_MB * 1024ULL * 1024)
#define CMD_BUF         0x100000ULL
#define DATA            0x200000ULL
#define DATA2           0x300000ULL
#define MSI_ADDR        0x400000ULL
#define NV_AREA         0x500000ULL
#define TMR             0x600000ULL
#define BIG             0x1000000ULL

#define CBITPOS         47
#define MIN_ASID        5
#define MAX_ASID        8

enum {
    OK, INVALID_PLATFORM_STATE, INVALID_GUEST_STATE, INVALID_CONFIG,
    INVALID_LEN, ALREADY_OWNED, INVALID_CERTIFICATE, POLICY_FAILURE, INACTIVE,
    INVALID_ADDRESS, BAD_SIGNATURE, BAD_MEASUREMENT, ASID_OWNED, INVALID_ASID,
    WBINVD_REQUIRED, DFFLUSH_REQUIRED, INVALID_GUEST, INVALID_COMMAND, ACTIVE,
    HW_PLATFORM, HW_UNSAFE, UNSUPPORTED, INVALID_PARAM, RESOURCE_LIMIT,
    SECURE_DATA_INVALID,
};

enum {
    CMD_INIT = 0x001, CMD_SHUTDOWN, CMD_FACTORY_RESET, CMD_PLATFORM_STATUS,
    CMD_PEK_GEN, CMD_PEK_CSR, CMD_PEK_CERT_IMPORT, CMD_PDH_CERT_EXPORT,
    CMD_PDH_GEN, CMD_DF_FLUSH, CMD_DOWNLOAD_FIRMWARE, CMD_GET_ID, CMD_INIT_EX,
    CMD_DECOMMISSION = 0x020, CMD_ACTIVATE, CMD_DEACTIVATE, CMD_GUEST_STATUS,
    CMD_LAUNCH_START = 0x030, CMD_LAUNCH_UPDATE_DATA, CMD_LAUNCH_UPDATE_VMSA,
    CMD_LAUNCH_MEASURE, CMD_LAUNCH_UPDATE_SECRET, CMD_LAUNCH_FINISH,
    CMD_ATTESTATION_REPORT,
    CMD_SEND_START = 0x040, CMD_SEND_UPDATE_DATA, CMD_SEND_UPDATE_VMSA,
    CMD_SEND_FINISH, CMD_SEND_CANCEL,
    CMD_RECEIVE_START = 0x050, CMD_RECEIVE_UPDATE_DATA,
    CMD_RECEIVE_UPDATE_VMSA, CMD_RECEIVE_FINISH,
    CMD_DBG_DECRYPT = 0x060, CMD_DBG_ENCRYPT,
};

enum { PSTATE_UNINIT, PSTATE_INIT, PSTATE_WORKING };
enum { GSTATE_LUPDATE = 1, GSTATE_LSECRET, GSTATE_RUNNING };

/* A command buffer; fields are put with the put32/put64 helpers. */
typedef struct Buf {
    uint8_t b[64];
} Buf;

typedef struct Psp {
    QTestState *qts;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar regs;
    uint64_t regs_size;
    char *bios;
} Psp;

/* A machine with one device; @opts are further options of the device. */
Psp *psp_new(const char *opts);
Psp *psp_new_args(const char *opts, const char *args);
void psp_free(Psp *p);
/* A file of zeroes for -bios: no CPU runs, the machine only wants one. */
char *bios_new(void);

uint32_t reg_get(Psp *p, uint32_t reg);
void reg_set(Psp *p, uint32_t reg, uint32_t val);

void put32(Buf *buf, unsigned off, uint32_t val);
void put64(Buf *buf, unsigned off, uint64_t val);
uint32_t get32(const Buf *buf, unsigned off);

/* Runs a command with @buf (NULL: none) at CMD_BUF and returns its status. */
uint32_t psp_cmd(Psp *p, uint32_t id, Buf *buf);
uint32_t psp_cmd_at(Psp *p, uint32_t id, uint64_t buf_pa, bool ioc);
void psp_wbinvd_all(Psp *p, bool done);

/* The usual commands; those without "expect" assert success. */
uint32_t psp_init(Psp *p);
void psp_up(Psp *p);                    /* INIT, WBINVD, DF_FLUSH */
void psp_flush(Psp *p);                 /* WBINVD, DF_FLUSH */
void psp_status(Psp *p, uint8_t *state, uint32_t *guests);
uint32_t launch_start(Psp *p, uint32_t policy);
uint32_t handle_cmd(Psp *p, uint32_t id, uint32_t handle);
uint32_t activate(Psp *p, uint32_t handle, uint32_t asid);
uint32_t update_data(Psp *p, uint32_t handle, uint64_t pa, uint32_t len);
uint32_t measure(Psp *p, uint32_t handle, uint8_t out[48]);
uint32_t dbg(Psp *p, uint32_t id, uint32_t handle, uint64_t src, uint64_t dst,
             uint32_t len);

void add_mailbox_tests(void);
void add_platform_tests(void);
void add_guest_tests(void);
void add_launch_tests(void);
void add_encryption_tests(void);
void add_monitor_tests(void);

#endif
