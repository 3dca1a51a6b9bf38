/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test of private RAM in a machine: the memory map changes under it, as
 * firmware makes it. RAM that is covered by something else for a while keeps
 * the state of each of its pages, and their content; what is asked for
 * meanwhile is not meant for it.
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "private-ram-test.h"

#define PATTERN         0x77

/* A register of the host bridge. */
typedef struct Reg {
    uint8_t offset;             /* 0: none */
    uint8_t value;
} Reg;

typedef struct Cover {
    const char *name;
    const char *type;           /* of the machine */
    bool vga;                   /* whose window it is that covers RAM */
    Reg before;                 /* is set first, and stays */
    uint8_t offset;
    uint8_t ram, other;         /* what shows RAM, and what does not */
    uint64_t gpa;
    uint64_t pages;
} Cover;

#define Q35_PAM0        0x90
#define Q35_SMRAM       0x9d
#define Q35_ESMRAMC     0x9e
#define I440FX_PAM0     0x59
#define I440FX_SMRAM    0x72
#define SMRAM_D_OPEN    0x40
#define SMRAM_G_SMRAME  0x08
#define ESMRAMC_H_SMRAME 0x80
#define ESMRAMC_TSEG    0x03    /* T_EN, 2 MiB */

#define HIGH_SMRAM      0xfeda0000ULL

static const Cover covers[] = {
    {
        .name = "q35/pam", .type = "q35",
        .offset = Q35_PAM0, .ram = 0x30, .other = 0x00,
        .gpa = 0xf0000, .pages = 64 * KiB / PAGE,
    }, {
        .name = "q35/smram", .type = "q35", .vga = true,
        .offset = Q35_SMRAM, .ram = SMRAM_D_OPEN, .other = 0,
        .gpa = 0xa0000, .pages = 128 * KiB / PAGE,
    }, {
        /* Open above, and closed at its own address. */
        .name = "q35/high-smram", .type = "q35", .vga = true,
        .before = { Q35_SMRAM, SMRAM_D_OPEN },
        .offset = Q35_ESMRAMC, .ram = 0, .other = ESMRAMC_H_SMRAME,
        .gpa = 0xa0000, .pages = 128 * KiB / PAGE,
    }, {
        .name = "q35/tseg", .type = "q35",
        .before = { Q35_SMRAM, SMRAM_G_SMRAME },
        .offset = Q35_ESMRAMC, .ram = 0, .other = ESMRAMC_TSEG,
        .gpa = LOW_SIZE - 2 * MiB, .pages = 2 * MiB / PAGE,
    }, {
        .name = "i440fx/pam", .type = "pc",
        .offset = I440FX_PAM0, .ram = 0x30, .other = 0x00,
        .gpa = 0xf0000, .pages = 64 * KiB / PAGE,
    }, {
        .name = "i440fx/smram", .type = "pc", .vga = true,
        .offset = I440FX_SMRAM, .ram = SMRAM_D_OPEN, .other = 0,
        .gpa = 0xa0000, .pages = 128 * KiB / PAGE,
    },
};

static void set_reg(Machine *m, uint8_t offset, uint8_t value)
{
    QPCIDevice *bridge = qpci_device_find(m->bus, QPCI_DEVFN(0, 0));

    qpci_config_writeb(bridge, offset, value);
    g_free(bridge);
}

static void show_ram(Machine *m, const Cover *c)
{
    set_reg(m, c->offset, c->ram);
}

static void show_other(Machine *m, const Cover *c)
{
    set_reg(m, c->offset, c->other);
}

static void write_pattern(Machine *m, uint64_t gpa)
{
    g_assert_cmpuint(machine_cmd(m, TESTDEV_WRITE, gpa, 8, PATTERN), ==, 0);
}

static bool has_pattern(Machine *m, uint64_t gpa)
{
    return machine_cmd(m, TESTDEV_READ, gpa, 8, 0) == 0 &&
           machine_data(m) == PATTERN;
}

static Machine *cover_new(const Cover *c)
{
    Machine *m = machine_new_of(c->type, "",
                                c->vga ? "-device VGA,romfile=" : "");

    if (c->before.offset) {
        set_reg(m, c->before.offset, c->before.value);
    }
    show_ram(m, c);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 0);
    return m;
}

/* The first half of it is shared, the second one is private. */
static void test_cover(const void *opaque)
{
    const Cover *c = opaque;
    Machine *m = cover_new(c);
    uint64_t half = c->pages / 2;

    machine_convert(m, c->gpa, half, false);
    write_pattern(m, c->gpa);

    show_other(m, c);
    g_assert(!has_pattern(m, c->gpa));
    machine_convert(m, c->gpa, c->pages, true);
    machine_convert(m, c->gpa, c->pages, false);
    machine_convert(m, c->gpa + half * PAGE, half, false);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, half * PAGE);
    g_assert_cmpuint(machine_stat(m, "pages-to-shared"), ==, half);

    show_ram(m, c);
    g_assert(has_pattern(m, c->gpa));
    g_assert_cmpuint(machine_stat(m, "shared"), ==, half * PAGE);
    /* Which half it is: of each, nothing or all changes. */
    machine_convert(m, c->gpa, half, false);
    g_assert_cmpuint(machine_stat(m, "pages-to-shared"), ==, half);
    machine_convert(m, c->gpa + half * PAGE, half, true);
    g_assert_cmpuint(machine_stat(m, "pages-to-private"), ==, 0);
    g_assert(has_pattern(m, c->gpa));

    machine_convert(m, c->gpa, c->pages, true);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 0);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, 0);
    g_assert_cmpuint(machine_strays(m), ==, 0);
    machine_free(m);
}

/* A reset finds the pages that are covered. */
static void test_covered_reset(const void *opaque)
{
    const Cover *c = opaque;
    Machine *m = cover_new(c);

    machine_convert(m, c->gpa, c->pages, false);
    write_pattern(m, c->gpa);
    show_other(m, c);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, PAGE);
    machine_reset(m);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 0);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, 0);
    machine_free(m);
}

/* The same pages at a second address: one state, and one content. */
static void test_second_view(void)
{
    Machine *m = machine_new("", "");

    set_reg(m, Q35_SMRAM, SMRAM_D_OPEN);
    machine_convert(m, 0xa0000, 2, false);
    write_pattern(m, 0xa1000);
    set_reg(m, Q35_ESMRAMC, ESMRAMC_H_SMRAME);
    g_assert(has_pattern(m, HIGH_SMRAM + 0x1000));
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 2 * PAGE);
    machine_convert(m, HIGH_SMRAM, 2, false);
    g_assert_cmpuint(machine_stat(m, "pages-to-shared"), ==, 2);
    set_reg(m, Q35_ESMRAMC, 0);
    g_assert(has_pattern(m, 0xa1000));
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 2 * PAGE);
    g_assert_cmpuint(machine_strays(m), ==, 0);
    machine_free(m);
}

/*
 * Flash is read as memory, or answers commands: a register file then, until it
 * is told otherwise. It has the last 64 KiB below 4 GiB.
 */
#define FLASH_SIZE      (64 * KiB)
#define FLASH_GPA       (HIGH_GPA - FLASH_SIZE)
#define FLASH_STATUS    0x70    /* a command: read the status */
#define FLASH_READ      0xff    /* another: be memory */
#define FLASH_READY     0x80

static void check_flash_modes(Machine *m)
{
    uint64_t before = machine_stat(m, "pages-to-shared");

    /* Half of them are shared, with something in the first and the last. */
    machine_convert(m, SOMEWHERE, 8, false);
    machine_convert(m, HIGH_GPA, 1, false);
    write_pattern(m, SOMEWHERE);
    write_pattern(m, SOMEWHERE + 7 * PAGE);
    write_pattern(m, HIGH_GPA);

    qtest_writeb(m->qts, FLASH_GPA, FLASH_STATUS);
    g_assert_cmphex(qtest_readb(m->qts, FLASH_GPA), ==, FLASH_READY);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 9 * PAGE);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, 3 * PAGE);
    g_assert(has_pattern(m, SOMEWHERE));

    /* From below the flash to a page above it: that one is RAM, and private. */
    machine_convert(m, FLASH_GPA - PAGE, FLASH_SIZE / PAGE + 3, false);
    g_assert_cmpuint(machine_stat(m, "pages-to-shared"), ==, before + 10);
    machine_convert(m, SOMEWHERE, 4, true);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 6 * PAGE);

    qtest_writeb(m->qts, FLASH_GPA, FLASH_READ);
    g_assert_cmphex(qtest_readb(m->qts, FLASH_GPA), ==, 0);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 6 * PAGE);
    g_assert_cmpuint(machine_stat(m, "populated-shared"), ==, 2 * PAGE);
    g_assert(has_pattern(m, SOMEWHERE + 7 * PAGE));
    g_assert(has_pattern(m, HIGH_GPA));
    machine_convert(m, FLASH_GPA, FLASH_SIZE / PAGE, false);
    g_assert_cmpuint(machine_stat(m, "shared"), ==, 6 * PAGE);
}

static void test_flash(void)
{
    g_autofree char *flash = bios_new();
    g_autofree char *args =
        g_strdup_printf("-drive if=pflash,format=raw,file=%s", flash);
    Machine *m = machine_new("", args);

    check_flash_modes(m);
    machine_reset(m);
    check_flash_modes(m);
    g_assert_cmpuint(machine_strays(m), ==, 0);
    machine_free(m);
    g_unlink(flash);
}

void add_remap_tests(void)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(covers); i++) {
        g_autofree char *cover =
            g_strdup_printf("/private-ram/remap/%s", covers[i].name);
        g_autofree char *reset = g_strdup_printf("%s/reset", cover);

        qtest_add_data_func(cover, &covers[i], test_cover);
        qtest_add_data_func(reset, &covers[i], test_covered_reset);
    }
    qtest_add_func("/private-ram/remap/second-view", test_second_view);
    qtest_add_func("/private-ram/remap/flash", test_flash);
}
