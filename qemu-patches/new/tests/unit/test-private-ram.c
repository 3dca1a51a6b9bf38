/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test of the bookkeeping of private RAM: conversions, replay, reset, and what
 * is left after a failure.
 */
#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "private-ram-world.h"

#define FOREVER UINT64_MAX

static void convert(uint64_t gpa_page, uint64_t npages, bool to_private)
{
    int ret = private_ram_convert(gpa_page * PAGE, npages, to_private,
                                  &error_abort);

    g_assert_cmpint(ret, ==, 0);
}

static bool is_private(RAMBlock *rb, uint64_t page)
{
    return private_ram_test(rb->private_ram, page * PAGE);
}

static void test_new(void)
{
    RAMBlock rb;
    MemoryRegion mr;
    Error *err = NULL;
    int fd = world_file(8), small = world_file(7), shared;

    world_block(&rb, &mr, 8);

    rb.flags = 0;
    g_assert_null(private_ram_new(&rb, "x", fd, 0, &err));
    error_free_or_abort(&err);
    rb.flags = RAM_SHARED;

    rb.page_size = 2 * MiB;
    g_assert_null(private_ram_new(&rb, "x", fd, 0, &err));
    error_free_or_abort(&err);
    rb.page_size = PAGE;

    shared = rb.fd;
    rb.fd = -1;
    g_assert_null(private_ram_new(&rb, "x", fd, 0, &err));
    error_free_or_abort(&err);
    rb.fd = shared;

    rb.max_length += PAGE;
    g_assert_null(private_ram_new(&rb, "x", fd, 0, &err));
    error_free_or_abort(&err);
    rb.max_length -= PAGE;

    g_assert_null(private_ram_new(&rb, "x", small, 0, &err));
    error_free_or_abort(&err);
    g_assert_null(private_ram_new(&rb, "x", -1, 0, &err));
    error_free_or_abort(&err);
    g_assert_null(rb.private_ram);
    g_assert_null(private_ram_of(&mr));

    /* A refused file stays the caller's. */
    g_assert_cmpint(fcntl(small, F_GETFD), >=, 0);
    close(small);

    g_assert(private_ram_new(&rb, "x", fd, 0, &error_abort));
    g_assert(private_ram_of(&mr) == rb.private_ram);
    g_assert_cmpint(private_ram_fd(rb.private_ram), ==, fd);
    g_assert_cmpstr(private_ram_id(rb.private_ram), ==, "x");
    g_assert(private_ram_test(rb.private_ram, 0));
    g_assert(private_ram_test(rb.private_ram, 8 * PAGE - 1));

    /* Behind the block there is nothing, and nothing overflows. */
    g_assert(!private_ram_test(rb.private_ram, 8 * PAGE));
    g_assert(!private_ram_test(rb.private_ram, UINT64_MAX));
    g_assert(private_ram_any_private(rb.private_ram, PAGE, UINT64_MAX));
    g_assert(!private_ram_any_private(rb.private_ram, 0, 0));

    world_free_block(&rb);
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1);
}

static void test_halves(void)
{
    PrivateRAMStats *stats;

    world_begin(PRIVATE_RAM_STRAY_STOP);
    stats = &world.a.private_ram->stats;
    world_fill_private(&world.a, 3);
    world_fill_private(&world.a, 4);

    convert(3, 1, false);
    g_assert(!is_private(&world.a, 3));
    g_assert(is_private(&world.a, 2) && is_private(&world.a, 4));
    g_assert(!world_private_filled(&world.a, 3));
    g_assert(world_private_filled(&world.a, 4));
    g_assert(world.accel.told[3] && !world.accel.priv[3]);
    g_assert(!world.accel.told[2] && !world.accel.told[4]);

    world_fill_shared(&world.a, 3);
    convert(3, 1, true);
    g_assert(is_private(&world.a, 3));
    g_assert(!world_shared_filled(&world.a, 3));
    world_check(&world.a);

    g_assert_cmpuint(stats->pages_to_shared, ==, 1);
    g_assert_cmpuint(stats->pages_to_private, ==, 1);
    g_assert_cmpuint(stats->discarded_private, ==, PAGE);
    g_assert_cmpuint(stats->discarded_shared, ==, PAGE);
    world_end();
}

/* What is so already keeps its content, and costs no call. */
static void test_unchanged(void)
{
    world_begin(PRIVATE_RAM_STRAY_STOP);
    convert(10, 5, false);
    world_fill_shared(&world.a, 12);
    world_fill_private(&world.a, 20);
    world.accel.calls = world.discard.calls = 0;

    convert(10, 5, false);
    convert(15, 50, true);
    g_assert_cmpuint(world.accel.calls, ==, 0);
    g_assert_cmpuint(world.discard.calls, ==, 0);
    g_assert(world_shared_filled(&world.a, 12));
    g_assert(world_private_filled(&world.a, 20));
    g_assert_cmpuint(world.a.private_ram->stats.unchanged, ==, 2);

    /* Only what is between the first and the last change is touched. */
    convert(10, 50, false);
    g_assert_cmpuint(world.accel.calls, ==, 1);
    g_assert(world_shared_filled(&world.a, 12));
    g_assert(!world_private_filled(&world.a, 20));
    world_check(&world.a);
    world_end();
}

/* A request goes over holes and blocks; it can name anything. */
static void test_clamp(void)
{
    uint64_t page;

    world_begin(PRIVATE_RAM_STRAY_STOP);
    convert(A_LOW_PAGES - 1, A_HIGH_GPA - A_LOW_PAGES + 2, false);
    g_assert(!is_private(&world.a, A_LOW_PAGES - 1));
    g_assert(!is_private(&world.a, A_LOW_PAGES));
    g_assert(is_private(&world.a, A_LOW_PAGES + 1));
    g_assert_cmpuint(world.a.private_ram->nr_shared, ==, 2);
    for (page = A_LOW_PAGES; page < A_HIGH_GPA; page++) {
        g_assert(!world.accel.told[page]);
    }

    convert(0, FOREVER, false);
    g_assert_cmpuint(world.a.private_ram->nr_shared, ==, A_PAGES);
    g_assert_cmpuint(world.b.private_ram->nr_shared, ==, B_PAGES);
    world_check(&world.a);
    world_check(&world.b);
    world_end();
}

static void test_hostile(void)
{
    static const struct {
        hwaddr gpa;
        uint64_t npages;
    } requests[] = {
        { 1, 1 }, { PAGE - 1, FOREVER }, { 0x800, 2 },        /* misaligned */
        { 0, 0 },
        { A_LOW_PAGES * PAGE, A_HIGH_GPA - A_LOW_PAGES },     /* no RAM */
        { MAP_PAGES * PAGE, 1ULL << 40 },
        { 1ULL << 52, FOREVER }, { 1ULL << 63, 1ULL << 51 },
        { -PAGE, 1 }, { -PAGE, 2 }, { -PAGE, FOREVER },       /* wraps round */
        { -2 * PAGE, 3 }, { UINT64_MAX, FOREVER },
    };
    size_t i;

    world_begin(PRIVATE_RAM_STRAY_STOP);
    for (i = 0; i < ARRAY_SIZE(requests); i++) {
        int ret = private_ram_convert(requests[i].gpa, requests[i].npages,
                                      i & 1, &error_abort);

        g_assert_cmpint(ret, ==, 0);
    }
    g_assert_cmpuint(world.accel.calls, ==, 0);
    g_assert_cmpuint(world.a.private_ram->nr_shared, ==, 0);

    /* The sums that overflow: what they still hold is converted. */
    convert(B_GPA, 1ULL << 40, false);
    convert(A_HIGH_GPA, 1ULL << 52, false);
    convert(A_HIGH_GPA + 1, (1ULL << 52) - A_HIGH_GPA, true);
    g_assert_cmpuint(world.a.private_ram->nr_shared, ==, 1);
    g_assert_cmpuint(world.b.private_ram->nr_shared, ==, 0);
    world_check(&world.a);
    world_end();
}

/* Every second page: still one call for each part of the map. */
static void test_alternating(void)
{
    uint64_t page;

    world_begin(PRIVATE_RAM_STRAY_STOP);
    for (page = 0; page < A_LOW_PAGES; page += 2) {
        convert(page, 1, false);
        world_fill_shared(&world.a, page);
        world_fill_private(&world.a, page + 1);
    }
    world.accel.calls = world.discard.calls = 0;
    convert(0, FOREVER, true);
    g_assert_cmpuint(world.accel.calls, ==, 1);
    g_assert_cmpuint(world.discard.calls, ==, 1);
    g_assert_cmpuint(world.a.private_ram->stats.pages_to_private, ==,
                     A_LOW_PAGES / 2);
    for (page = 1; page < A_LOW_PAGES; page += 2) {
        g_assert(world_private_filled(&world.a, page));
    }
    world_check(&world.a);
    world_end();
}

static void test_fail_attribute(void)
{
    Error *err = NULL;
    int ret;

    world_begin(PRIVATE_RAM_STRAY_STOP);
    world_fill_private(&world.a, 5);
    world.accel.fail = ENOMEM;
    ret = private_ram_convert(5 * PAGE, 2, false, &err);
    g_assert_cmpint(ret, ==, -ENOMEM);
    g_assert(strstr(error_get_pretty(err), "from 0x5000 to 0x7000 shared"));
    error_free(err);

    /* As if it had not been asked. */
    g_assert(is_private(&world.a, 5) && world_private_filled(&world.a, 5));
    g_assert_cmpuint(world.a.private_ram->stats.conversions_to_shared, ==, 0);
    world_check(&world.a);
    convert(5, 2, false);
    world_check(&world.a);

    /* Nothing is discarded where nothing is. */
    world.discard.calls = 0;
    convert(5, 2, true);
    g_assert_cmpuint(world.discard.calls, ==, 0);
    g_assert_cmpuint(world.a.private_ram->stats.discarded_shared, ==, 0);
    world_end();
}

/* Of the pages before the failure the conversion holds. */
static void test_fail_midway(void)
{
    Error *err = NULL;

    world_begin(PRIVATE_RAM_STRAY_STOP);
    convert(0, FOREVER, false);
    world_fill_shared(&world.a, A_PAGES - 1);
    world.discard.fail = EPERM;
    g_assert_cmpint(private_ram_convert((A_HIGH_GPA + 1) * PAGE, FOREVER, true,
                                        &err), ==, -EPERM);
    g_assert(strstr(error_get_pretty(err), "shared half of 'a'"));
    error_free(err);

    /* The bitmap follows the attribute, a half is left, no more is changed. */
    g_assert(is_private(&world.a, A_PAGES - 1));
    g_assert(world.accel.priv[A_HIGH_GPA + 1]);
    g_assert(world_shared_filled(&world.a, A_PAGES - 1));
    g_assert_cmpuint(world.b.private_ram->nr_shared, ==, B_PAGES);

    g_assert_cmpint(private_ram_reset_all(&error_abort), ==, 0);
    world_check(&world.a);
    world_check(&world.b);
    world_end();
}

static void test_fail_private_half(void)
{
    Error *err = NULL;
    int fd;

    world_begin(PRIVATE_RAM_STRAY_STOP);
    fd = private_ram_fd(world.a.private_ram);
    world_fill_private(&world.a, 7);
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), ==, 0);
    g_assert_cmpint(private_ram_convert(7 * PAGE, 1, false, &err), ==, -EPERM);
    g_assert(strstr(error_get_pretty(err), "private half of 'a'"));
    error_free(err);
    g_assert(!is_private(&world.a, 7));
    g_assert(world.accel.told[7] && !world.accel.priv[7]);
    g_assert_cmpuint(world.a.private_ram->stats.discarded_private, ==, 0);

    g_assert_cmpint(private_ram_reset_all(&error_abort), ==, 0);
    world_check(&world.a);
    world_end();
}

static unsigned int flickers;

/* The whole of a range is told at once, and as it is. */
static void watch_replay(hwaddr gpa, uint64_t size, bool to_private)
{
    uint64_t page;

    for (page = 0; page < size / PAGE; page++) {
        uint64_t offset = gpa - A_HIGH_GPA * PAGE + (A_LOW_PAGES + page) * PAGE;

        flickers += private_ram_test(world.a.private_ram, offset) != to_private;
    }
}

static void test_apply(void)
{
    uint64_t page;

    world_begin(PRIVATE_RAM_STRAY_STOP);
    convert(A_HIGH_GPA + 10, 3, false);
    convert(A_HIGH_GPA + 20, 1, false);
    world_fill_shared(&world.a, A_LOW_PAGES + 11);
    memset(world.accel.told, 0, sizeof(world.accel.told));
    world.accel.calls = world.discard.calls = flickers = 0;
    world.accel.hook = watch_replay;

    g_assert_cmpint(private_ram_apply(world.a.private_ram,
                                      (A_HIGH_GPA + 5) * PAGE,
                                      (A_LOW_PAGES + 5) * PAGE, 16 * PAGE,
                                      &error_abort), ==, 0);
    g_assert_cmpuint(flickers, ==, 0);
    g_assert_cmpuint(world.accel.calls, ==, 4);
    g_assert_cmpuint(world.discard.calls, ==, 0);
    g_assert(world_shared_filled(&world.a, A_LOW_PAGES + 11));
    for (page = 0; page < A_HIGH_PAGES; page++) {
        g_assert_cmpint(world.accel.told[A_HIGH_GPA + page], ==,
                        page >= 5 && page < 21);
    }
    world_check(&world.a);

    world.accel.fail = ENOSPC;
    g_assert_cmpint(private_ram_apply(world.a.private_ram, 0, 0, PAGE, NULL),
                    ==, -ENOSPC);
    world_end();
}

static void test_reset(void)
{
    uint64_t page;

    world_begin(PRIVATE_RAM_STRAY_STOP);
    for (page = 0; page < A_PAGES; page += 3) {
        convert(world_gpa(&world.a, page), 1, false);
        world_fill_shared(&world.a, page);
        world_fill_private(&world.a, page + 1 < A_PAGES ? page + 1 : 1);
    }
    /* A page that is populated although it is private: a loader's. */
    world_fill_shared(&world.a, 2);
    g_assert_cmpint(private_ram_reset_all(&error_abort), ==, 0);
    for (page = 0; page < A_PAGES; page++) {
        g_assert(is_private(&world.a, page));
        g_assert(!world_shared_filled(&world.a, page));
    }
    g_assert(world_private_filled(&world.a, 1));
    g_assert(world.accel.priv[0]);
    g_assert_cmpuint(world.b.private_ram->stats.unchanged, ==, 0);
    world_check(&world.a);
    world_end();
}

/* The shared half of private pages goes, that of shared ones is in use. */
static void test_discard_shared(void)
{
    uint64_t page;

    world_begin(PRIVATE_RAM_STRAY_STOP);
    convert(3, 1, false);
    for (page = 0; page < 8; page++) {
        world_fill_shared(&world.a, page);
    }
    /* Bytes of pages 2 to 5, unaligned at both ends. */
    g_assert_cmpint(private_ram_discard_shared(world.a.private_ram,
                                               2 * PAGE + 100, 3 * PAGE,
                                               &error_abort), ==, 0);
    for (page = 0; page < 8; page++) {
        g_assert_cmpint(world_shared_filled(&world.a, page), ==,
                        page < 2 || page == 3 || page > 5);
    }

    g_assert(!private_ram_sealed);
    g_assert_cmpint(private_ram_seal(&error_abort), ==, 0);
    g_assert(private_ram_sealed);
    g_assert(world_shared_filled(&world.a, 3));
    world_check(&world.a);
    world_end();
}

/* A block of more than one piece: no call is larger, and none is wasted. */
static void test_pieces(void)
{
    PrivateRAMStats *stats;

    world_begin(PRIVATE_RAM_STRAY_STOP);
    world_block(&world.big, &world.mr_big, BIG_PAGES);
    g_assert(private_ram_new(&world.big, "big", world_file(BIG_PAGES), 0,
                             &error_abort));
    stats = &world.big.private_ram->stats;

    convert(BIG_GPA, 1ULL << 40, false);
    g_assert_cmpuint(world.accel.calls, ==, 3);
    g_assert_cmpuint(world.accel.largest, ==, PRIVATE_RAM_PIECE);
    g_assert_cmpuint(stats->pages_to_shared, ==, BIG_PAGES);
    g_assert_cmpuint(stats->conversions_to_shared, ==, 3);
    g_assert_cmpuint(stats->discarded_private, ==, BIG_PAGES * PAGE);
    g_assert(!private_ram_any_private(world.big.private_ram, 0, UINT64_MAX));

    /* A page at either end of a piece takes the piece, not its neighbours. */
    world.accel.calls = 0;
    convert(BIG_GPA + 1, BIG_PAGES - 2, true);
    g_assert_cmpuint(world.accel.calls, ==, 3);
    convert(BIG_GPA, BIG_PAGES, true);
    g_assert_cmpuint(world.accel.calls, ==, 5);
    g_assert_cmpuint(stats->unchanged, ==, 1);
    world_check(&world.big);
    world_free_block(&world.big);
    world_end();
}

/* Random operations, beside a model that has an entry a page. */

typedef struct Model {
    bool is_private[A_PAGES];
    uint64_t to_private, to_shared;
} Model;

static void model_convert(Model *model, uint64_t gpa, uint64_t npages,
                          bool to_private)
{
    uint64_t page;

    for (page = 0; page < A_PAGES; page++) {
        uint64_t at = world_gpa(&world.a, page);

        if (at < gpa || at - gpa >= npages ||
            model->is_private[page] == to_private) {
            continue;
        }
        model->is_private[page] = to_private;
        if (to_private) {
            model->to_private++;
        } else {
            model->to_shared++;
        }
    }
}

static void random_convert(Model *model)
{
    uint64_t gpa = g_test_rand_int_range(0, MAP_PAGES);
    uint64_t npages = g_test_rand_int_range(0, 40);
    bool to_private = g_test_rand_int() & 1;

    if (g_test_rand_int_range(0, 50) == 0) {
        npages = FOREVER - g_test_rand_int();
    }
    if (g_test_rand_int_range(0, 4)) {
        gpa %= A_HIGH_GPA + A_HIGH_PAGES;
    }
    convert(gpa, npages, to_private);
    model_convert(model, gpa, npages, to_private);
}

/* As the guest and the devices do it: in the half that is in use. */
static void random_fill(Model *model)
{
    uint64_t page = g_test_rand_int_range(0, A_PAGES);

    if (model->is_private[page]) {
        world_fill_private(&world.a, page);
    } else {
        world_fill_shared(&world.a, page);
    }
}

static void random_apply(void)
{
    uint64_t page = g_test_rand_int_range(0, A_LOW_PAGES);
    uint64_t npages = g_test_rand_int_range(1, A_LOW_PAGES - page + 1);

    g_assert_cmpint(private_ram_apply(world.a.private_ram, page * PAGE,
                                      page * PAGE, npages * PAGE,
                                      &error_abort), ==, 0);
}

static void test_random(void)
{
    Model model = { };
    PrivateRAMStats *stats;
    uint64_t page;
    int i;

    world_begin(PRIVATE_RAM_STRAY_STOP);
    memset(model.is_private, true, sizeof(model.is_private));
    for (i = 0; i < 4000; i++) {
        switch (g_test_rand_int_range(0, 12)) {
        case 0:
            random_apply();
            break;
        case 1:
            if (i % 100 == 0) {
                private_ram_reset_all(&error_abort);
                model_convert(&model, 0, FOREVER, true);
            }
            break;
        case 2 ... 5:
            random_fill(&model);
            break;
        default:
            random_convert(&model);
        }
        for (page = 0; page < A_PAGES; page++) {
            g_assert_cmpint(is_private(&world.a, page), ==,
                            model.is_private[page]);
        }
        if (i % 16 == 0) {
            world_check(&world.a);
        }
    }
    stats = &world.a.private_ram->stats;
    g_assert_cmpuint(stats->pages_to_private, ==, model.to_private);
    g_assert_cmpuint(stats->pages_to_shared, ==, model.to_shared);
    world_check(&world.a);
    world_end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/private-ram/new", test_new);
    g_test_add_func("/private-ram/halves", test_halves);
    g_test_add_func("/private-ram/unchanged", test_unchanged);
    g_test_add_func("/private-ram/clamp", test_clamp);
    g_test_add_func("/private-ram/hostile", test_hostile);
    g_test_add_func("/private-ram/alternating", test_alternating);
    g_test_add_func("/private-ram/fail/attribute", test_fail_attribute);
    g_test_add_func("/private-ram/fail/midway", test_fail_midway);
    g_test_add_func("/private-ram/fail/private-half", test_fail_private_half);
    g_test_add_func("/private-ram/apply", test_apply);
    g_test_add_func("/private-ram/reset", test_reset);
    g_test_add_func("/private-ram/discard-shared", test_discard_shared);
    g_test_add_func("/private-ram/pieces", test_pieces);
    g_test_add_func("/private-ram/random", test_random);
    return g_test_run();
}
