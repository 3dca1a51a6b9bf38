/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test of accesses to private RAM: what devices and debuggers get, what is
 * counted, and that a conversion which overtakes an access leaves nothing in
 * the wrong half.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "private-ram-world.h"

static void convert(uint64_t page, uint64_t npages, bool to_private)
{
    private_ram_convert(page * PAGE, npages, to_private, &error_abort);
}

static PrivateRAMStats *stats(void)
{
    return &world.a.private_ram->stats;
}

static bool may_access(hwaddr offset, hwaddr len, bool is_write)
{
    return private_ram_may_access(&world.as, &world.mr_a, offset, len,
                                  is_write);
}

static MemTxResult accessed(hwaddr offset, hwaddr len, bool is_write)
{
    return private_ram_accessed(&world.as, &world.mr_a, offset, len, is_write);
}

/* A device model that writes a byte, as physmem.c does it. */
static MemTxResult device_write(uint64_t page)
{
    if (!may_access(page * PAGE, 1, true)) {
        return MEMTX_ACCESS_ERROR;
    }
    world_fill_shared(&world.a, page);
    return accessed(page * PAGE, 1, true);
}

static void begin_running(PrivateRAMStrayPolicy stray)
{
    world_begin(stray);
    g_assert_cmpint(private_ram_seal(&error_abort), ==, 0);
}

static void test_loaders(void)
{
    world_begin(PRIVATE_RAM_STRAY_STOP);
    g_assert_cmpint(device_write(1), ==, MEMTX_OK);
    g_assert(world_shared_filled(&world.a, 1));
    g_assert_cmpint(private_ram_seal(&error_abort), ==, 0);
    g_assert(!world_shared_filled(&world.a, 1));
    g_assert_cmpuint(world.stops, ==, 0);
    g_assert_cmpint(device_write(1), ==, MEMTX_ACCESS_ERROR);
    g_assert(!world_shared_filled(&world.a, 1));
    g_assert_cmpuint(world.stops, ==, 1);
    world_end();
}

static void test_stray(void)
{
    PrivateRAMStray *last;
    uint8_t data[4];

    begin_running(PRIVATE_RAM_STRAY_WARN);
    last = &world.a.private_ram->last_stray;
    convert(4, 4, false);

    /* All of it shared; then its last byte, its first, its middle private. */
    g_assert(may_access(4 * PAGE, 4 * PAGE, false));
    g_assert_null(last->device);
    g_assert(!may_access(4 * PAGE + 1, 4 * PAGE, false));
    g_assert_cmphex(last->offset, ==, 8 * PAGE);
    g_assert_cmpuint(last->size, ==, 1);
    g_assert(!may_access(4 * PAGE - 1, 2, true));
    g_assert_cmphex(last->offset, ==, 4 * PAGE - 1);
    convert(5, 1, true);
    g_assert(!may_access(4 * PAGE, 4 * PAGE, true));
    g_assert_cmphex(last->offset, ==, 5 * PAGE);
    g_assert_cmpuint(last->size, ==, 3 * PAGE);
    g_assert(last->is_write && last->mapped);
    g_assert(strstr(last->device, "'world'"));

    g_assert_cmpuint(stats()->stray_reads, ==, 1);
    g_assert_cmpuint(stats()->stray_writes, ==, 2);
    g_assert_cmpuint(world.stops, ==, 0);

    /* The high part has another address. */
    g_assert(!may_access((A_LOW_PAGES + 2) * PAGE, 8, false));
    g_assert_cmphex(last->gpa, ==, (A_HIGH_GPA + 2) * PAGE);

    g_assert_cmphex(private_ram_no_data(), ==, UINT64_MAX);
    private_ram_fill_no_data(data, sizeof(data));
    g_assert_cmphex(data[0] & data[3], ==, 0xff);
    world_end();
}

/*
 * A vCPU's access that found no memory, and finds private RAM. What a device
 * does then is a device's.
 */
static void test_early(void)
{
    begin_running(PRIVATE_RAM_STRAY_STOP);
    private_ram_vcpu_begin((A_HIGH_GPA + 2) * PAGE + 8);
    g_assert(!may_access((A_LOW_PAGES + 2) * PAGE + 8, 4, false));
    g_assert(!may_access((A_LOW_PAGES + 2) * PAGE + 8, 4, true));
    g_assert_cmpuint(world.stops, ==, 0);
    g_assert_cmpuint(stats()->stray_reads + stats()->stray_writes, ==, 0);
    g_assert_null(world.a.private_ram->last_stray.device);
    g_assert(!may_access((A_LOW_PAGES + 3) * PAGE, 4, true));
    g_assert_cmpuint(world.stops, ==, 1);
    private_ram_vcpu_end();
    g_assert(!may_access((A_LOW_PAGES + 2) * PAGE + 8, 4, true));
    g_assert_cmpuint(world.stops, ==, 2);
    g_assert_cmpuint(stats()->stray_writes, ==, 2);
    world_end();
}

/* RAM without a private half, and a length of nothing, are no business. */
static void test_no_stray(void)
{
    RAMBlock plain = { };
    MemoryRegion mr = { .ram_block = &plain }, io = { };

    begin_running(PRIVATE_RAM_STRAY_STOP);
    g_assert(private_ram_may_access(&world.as, &mr, 0, PAGE, true));
    g_assert_cmpint(private_ram_accessed(&world.as, &mr, 0, PAGE, true), ==,
                    MEMTX_OK);
    g_assert(private_ram_may_cache(&mr) && private_ram_may_cache(&io));
    g_assert(!private_ram_may_cache(&world.mr_a));
    g_assert(may_access(0, 0, true));
    g_assert_cmpuint(world.stops, ==, 0);
    world_end();
}

static void test_inspect(void)
{
    world_begin(PRIVATE_RAM_STRAY_STOP);
    convert(2, 1, false);
    {
        PRIVATE_RAM_INSPECT_GUARD();

        /* Before the machine runs too. */
        g_assert(may_access(2 * PAGE, 8, false));
        g_assert(!private_ram_inspect_hit());
        g_assert_cmpstr(private_ram_inspect_reason(), ==, "");
        g_assert(!private_ram_inspect_denied(0, NULL));
        {
            PRIVATE_RAM_INSPECT_GUARD();

            g_assert(!may_access(1 * PAGE, 8, true));
        }
        g_assert(private_ram_inspect_hit());
        g_assert_cmphex(private_ram_no_data(), ==, 0);
    }
    g_assert(private_ram_inspect_hit());
    g_assert(private_ram_inspect_denied(0, NULL));
    g_assert_cmpuint(stats()->stray_reads + stats()->stray_writes, ==, 0);

    /* The scope is over: now it is a loader's access. */
    g_assert(may_access(1 * PAGE, 8, true));
    {
        PRIVATE_RAM_INSPECT_GUARD();

        g_assert(!private_ram_inspect_hit());
    }
    world_end();
}

static void test_reload(void)
{
    world_begin(PRIVATE_RAM_STRAY_STOP);
    {
        PRIVATE_RAM_RELOAD_GUARD();

        g_assert_cmpint(device_write(1), ==, MEMTX_OK);
    }
    private_ram_seal(&error_abort);
    {
        PRIVATE_RAM_RELOAD_GUARD();

        g_assert_cmpint(device_write(1), ==, MEMTX_ACCESS_ERROR);
    }
    g_assert_cmpuint(world.stops, ==, 0);
    g_assert_cmpuint(stats()->stray_writes, ==, 0);
    world_end();
}

static void test_map(void)
{
    hwaddr len = 3 * PAGE;

    begin_running(PRIVATE_RAM_STRAY_WARN);
    convert(4, 2, false);

    /* Shared: as far as it goes. */
    g_assert(!private_ram_map_bounces(&world.mr_a, 4 * PAGE + 8, &len));
    g_assert_cmpuint(len, ==, 3 * PAGE);
    g_assert_cmpuint(private_ram_map_length(&world.mr_a, 4 * PAGE + 8, len),
                     ==, 2 * PAGE - 8);
    g_assert_cmpuint(private_ram_map_length(&world.mr_a, 4 * PAGE + 8, 16),
                     ==, 16);
    g_assert_cmpuint(private_ram_map_length(&world.mr_a, 4 * PAGE, 2 * PAGE),
                     ==, 2 * PAGE);

    /* Private: the rest of a page of the bounce buffer. */
    g_assert(private_ram_map_bounces(&world.mr_a, 3 * PAGE + 8, &len));
    g_assert_cmpuint(len, ==, PAGE - 8);
    g_assert_null(world.a.private_ram->last_stray.device);
    world_end();
}

/* The guest takes a page back that a device has mapped. */
static void test_unmap(void)
{
    begin_running(PRIVATE_RAM_STRAY_STOP);
    convert(4, 4, false);

    /* Not overtaken */
    world_fill_shared(&world.a, 4);
    private_ram_unmapped(&world.as, &world.mr_a, 4 * PAGE, PAGE, PAGE, true);
    g_assert(world_shared_filled(&world.a, 4));
    g_assert_cmpuint(world.stops, ==, 0);

    /* Overtaken, and never accessed, or not so far */
    convert(5, 1, true);
    world_fill_shared(&world.a, 5);
    private_ram_unmapped(&world.as, &world.mr_a, 4 * PAGE, 2 * PAGE, 0, true);
    g_assert(!world_shared_filled(&world.a, 5));
    g_assert(world_shared_filled(&world.a, 4));
    private_ram_unmapped(&world.as, &world.mr_a, 4 * PAGE, 2 * PAGE, PAGE,
                         true);
    g_assert_cmpuint(stats()->stray_writes, ==, 0);

    /* Overtaken and accessed */
    world_fill_shared(&world.a, 5);
    private_ram_unmapped(&world.as, &world.mr_a, 4 * PAGE, 2 * PAGE,
                         PAGE + 1, true);
    g_assert(!world_shared_filled(&world.a, 5));
    g_assert_cmpuint(stats()->stray_writes, ==, 1);
    g_assert_cmpuint(world.stops, ==, 1);
    world_check(&world.a);
    world_end();
}

/*
 * The ways in which an access and a conversion to private can meet. An access
 * is a test, a write and a test; a conversion the attribute, the bitmap and
 * the discard.
 */
static MemTxResult met;

static void write_at_attribute(hwaddr gpa, uint64_t size, bool to_private)
{
    met = device_write(gpa / PAGE);
}

static void write_at_discard(ram_addr_t offset, uint64_t size)
{
    met = device_write(offset / PAGE);
}

/* Write and second test, after a first test that saw a shared page. */
static void late_write(ram_addr_t offset, uint64_t size)
{
    world.discard.before = world.discard.after = world.discard.nothing = NULL;
    world_fill_shared(&world.a, offset / PAGE);
    met = accessed(offset, 1, true);
}

static void meet(void)
{
    convert(9, 1, true);
    world.accel.hook = NULL;
    world.discard.before = world.discard.after = world.discard.nothing = NULL;
    world_check(&world.a);
    g_assert(!world_shared_filled(&world.a, 9));
    convert(9, 1, false);
}

static void test_overtaking(void)
{
    begin_running(PRIVATE_RAM_STRAY_WARN);
    convert(9, 1, false);

    /* Before the bitmap: it counts as before the conversion. */
    world.accel.hook = write_at_attribute;
    meet();
    g_assert_cmpint(met, ==, MEMTX_OK);
    g_assert_cmpuint(stats()->stray_writes, ==, 0);

    /* After the bitmap, before the discard and after it: refused. */
    world_fill_shared(&world.a, 9);
    world.discard.before = write_at_discard;
    meet();
    g_assert_cmpint(met, ==, MEMTX_ACCESS_ERROR);
    world_fill_shared(&world.a, 9);
    world.discard.after = write_at_discard;
    meet();
    g_assert_cmpint(met, ==, MEMTX_ACCESS_ERROR);
    g_assert_cmpuint(stats()->stray_writes, ==, 2);

    /* The first test before all of it, the write on either side. */
    world_fill_shared(&world.a, 9);
    world.discard.before = late_write;
    meet();
    g_assert_cmpint(met, ==, MEMTX_ACCESS_ERROR);
    world_fill_shared(&world.a, 9);
    world.discard.after = late_write;
    meet();
    g_assert_cmpint(met, ==, MEMTX_ACCESS_ERROR);
    g_assert_cmpuint(stats()->stray_writes, ==, 4);

    /* And after the look that found nothing to discard */
    met = MEMTX_OK;
    world.discard.nothing = late_write;
    meet();
    g_assert_cmpint(met, ==, MEMTX_ACCESS_ERROR);
    g_assert_cmpuint(stats()->stray_writes, ==, 5);
    world_end();
}

/* The same by threads: two vCPUs that convert the same pages, two devices. */

#define RACE_PAGES  16
#define RACE_ROUNDS 20000

static void *vcpu_thread(void *opaque)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(GPOINTER_TO_UINT(opaque));
    int i;

    for (i = 0; i < RACE_ROUNDS; i++) {
        uint64_t page = g_rand_int_range(rand, 0, RACE_PAGES);

        convert(page, g_rand_int_range(rand, 1, 4), g_rand_boolean(rand));
    }
    return NULL;
}

static bool race_over;

static void *device_thread(void *opaque)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(GPOINTER_TO_UINT(opaque));
    uint64_t ok = 0;

    while (!qatomic_read(&race_over)) {
        ok += device_write(g_rand_int_range(rand, 0, RACE_PAGES)) == MEMTX_OK;
    }
    return (void *)(uintptr_t)ok;
}

static void test_threads(void)
{
    QemuThread vcpus[2], devices[2];
    uint64_t ok = 0;
    int i;

    begin_running(PRIVATE_RAM_STRAY_WARN);
    race_over = false;
    for (i = 0; i < 2; i++) {
        qemu_thread_create(&vcpus[i], "vcpu", vcpu_thread,
                           GUINT_TO_POINTER(g_test_rand_int()),
                           QEMU_THREAD_JOINABLE);
        qemu_thread_create(&devices[i], "device", device_thread,
                           GUINT_TO_POINTER(g_test_rand_int()),
                           QEMU_THREAD_JOINABLE);
    }
    for (i = 0; i < 2; i++) {
        qemu_thread_join(&vcpus[i]);
    }
    qatomic_set(&race_over, true);
    for (i = 0; i < 2; i++) {
        ok += (uintptr_t)qemu_thread_join(&devices[i]);
    }
    world_check(&world.a);

    /* Both happened, or this has tested nothing. */
    g_assert_cmpuint(ok, >, 0);
    g_assert_cmpuint(stats()->stray_writes, >, 0);
    g_assert_cmpuint(stats()->pages_to_private, >, 0);
    world_end();
}

static void test_refuses(void)
{
    Error *err = NULL;

    g_assert(!private_ram_refuses("a dump", NULL));
    world_begin(PRIVATE_RAM_STRAY_STOP);
    g_assert(private_ram_refuses("a dump", &err));
    g_assert(strstr(error_get_pretty(err), "a dump"));
    error_free(err);
    world_end();
    g_assert(!private_ram_refuses("a dump", NULL));
}

static struct {
    unsigned calls;
    hwaddr offset, len;
    bool is_write;
} observed;

static void observe(AddressSpace *as, MemoryRegion *mr, hwaddr offset,
                    hwaddr len, bool is_write)
{
    g_assert(as == &world.as);
    observed.calls++;
    observed.offset = offset;
    observed.len = len;
    observed.is_write = is_write;
}

/* RAM of any kind is shown, once an access; inspection is not. The last one. */
static void test_observer(void)
{
    RAMBlock plain = { };
    MemoryRegion mr = { .ram_block = &plain };

    begin_running(PRIVATE_RAM_STRAY_WARN);
    g_assert(private_ram_may_cache(&mr));
    private_ram_observe(observe);
    g_assert(!private_ram_may_cache(&mr));
    g_assert(private_ram_may_access(&world.as, &mr, 8, 16, true));
    g_assert_cmpint(private_ram_accessed(&world.as, &mr, 8, 16, true), ==,
                    MEMTX_OK);
    g_assert_cmpuint(observed.calls, ==, 1);
    g_assert_cmphex(observed.offset, ==, 8);
    g_assert_cmphex(observed.len, ==, 16);
    g_assert(observed.is_write);
    /* A stray access is one. */
    g_assert(!may_access(PAGE, 1, false));
    g_assert_cmpuint(observed.calls, ==, 2);
    g_assert(!observed.is_write);
    private_ram_unmapped(&world.as, &mr, PAGE, 2 * PAGE, PAGE, false);
    g_assert_cmpuint(observed.calls, ==, 3);
    g_assert_cmphex(observed.len, ==, PAGE);
    {
        PRIVATE_RAM_INSPECT_GUARD();
        private_ram_may_access(&world.as, &mr, 0, 1, false);
    }
    g_assert_cmpuint(observed.calls, ==, 3);
    world_end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/private-ram-access/refuses", test_refuses);
    g_test_add_func("/private-ram-access/loaders", test_loaders);
    g_test_add_func("/private-ram-access/stray", test_stray);
    g_test_add_func("/private-ram-access/early", test_early);
    g_test_add_func("/private-ram-access/no-stray", test_no_stray);
    g_test_add_func("/private-ram-access/inspect", test_inspect);
    g_test_add_func("/private-ram-access/reload", test_reload);
    g_test_add_func("/private-ram-access/map", test_map);
    g_test_add_func("/private-ram-access/unmap", test_unmap);
    g_test_add_func("/private-ram-access/overtaking", test_overtaking);
    g_test_add_func("/private-ram-access/threads", test_threads);
    g_test_add_func("/private-ram-access/observer", test_observer);
    return g_test_run();
}
