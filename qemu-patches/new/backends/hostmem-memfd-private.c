/*
 * Guest memory with a private half: memory-backend-memfd-private.
 *
 * The shared half is an ordinary memfd, mapped here as with
 * memory-backend-memfd. The private half is a file that nobody can read, write
 * or map: made by memfd_restricted(2) where the kernel has it, by the
 * accelerator otherwise. Which page is in which half is the guest's choice,
 * and is kept by softmmu/private-ram.c.
 *
 * Properties that would allocate or bind a half as a whole, past the state of
 * the pages, are refused. reserve, merge, prealloc-threads and prealloc-context
 * mean nothing for such files, and are taken and do nothing.
 *
 * Locking: the BQL.
 *
 * Lifetime: the private half belongs to the RAM block from private_ram_new()
 * on. The backend cannot be deleted while the machine uses it, and nothing but
 * the machine can use it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <sys/syscall.h>
#include "qapi/error.h"
#include "qapi/qapi-builtin-visit.h"
#include "qapi/qapi-types-private-ram.h"
#include "qapi/qapi-types-qom.h"
#include "qemu/error-report.h"
#include "qemu/madvise.h"
#include "qemu/memfd.h"
#include "qemu/module.h"
#include "qom/object_interfaces.h"
#include "exec/private-ram.h"
#include "hw/boards.h"
#include "hw/qdev-core.h"
#include "migration/blocker.h"
#include "sysemu/hostmem.h"
#include "sysemu/kvm.h"
#include "sysemu/memfd-private.h"
#include "sysemu/qtest.h"
#include "sysemu/runstate.h"
#include "sysemu/sysemu.h"

OBJECT_DECLARE_SIMPLE_TYPE(HostMemoryBackendMemfdPrivate,
                           MEMORY_BACKEND_MEMFD_PRIVATE)

struct HostMemoryBackendMemfdPrivate {
    HostMemoryBackend parent_obj;

    PrivateRAMStrayPolicy stray_dma;
    bool allow_unreporting;
    Notifier machine_done;
};

/* What the command line and the accelerator said; written before vCPUs run. */
static bool expected;
static bool expected_stop;
static bool enabled;
static MemfdPrivateCreate *create_for_vm;
static Error *migration_blocker;

void memfd_private_expect(const ObjectOptions *options)
{
    const MemoryBackendMemfdPrivateProperties *props =
        &options->u.memory_backend_memfd_private;

    if (options->qom_type == OBJECT_TYPE_MEMORY_BACKEND_MEMFD_PRIVATE) {
        expected = true;
        expected_stop |= !props->has_stray_dma ||
                         props->stray_dma == PRIVATE_RAM_STRAY_STOP;
    }
}

bool memfd_private_expected(void)
{
    return expected;
}

bool memfd_private_expected_stop(void)
{
    return expected_stop;
}

void memfd_private_enable(MemfdPrivateCreate *create)
{
    enabled = true;
    create_for_vm = create;
}

bool memfd_private_enabled(void)
{
    return enabled;
}

bool memfd_private_owns(const MemoryRegion *mr)
{
    return object_dynamic_cast(mr->owner, TYPE_MEMORY_BACKEND_MEMFD_PRIVATE);
}

static int allow_unreporting_one(Object *obj, void *opaque)
{
    Object *backend = object_dynamic_cast(obj,
                                          TYPE_MEMORY_BACKEND_MEMFD_PRIVATE);

    return backend && MEMORY_BACKEND_MEMFD_PRIVATE(backend)->allow_unreporting;
}

/* The firmware is one for all backends: one backend's word is enough. */
bool memfd_private_allow_unreporting(void)
{
    return object_child_foreach(object_get_objects_root(),
                                allow_unreporting_one, NULL);
}

/*
 * The number is in no kernel's header but the one of a host that has the call.
 * No other kernel uses it: numbers from 512 to 547 are those of x32, and those
 * above are not given out.
 */
#ifdef HOST_X86_64
#define NR_MEMFD_RESTRICTED 548
#endif

static int memfd_restricted(unsigned int flags)
{
#ifdef NR_MEMFD_RESTRICTED
    return syscall(NR_MEMFD_RESTRICTED, flags);
#else
    errno = ENOSYS;
    return -1;
#endif
}

static int create_private_half(uint64_t size, Error **errp)
{
    int fd;

    /* No guest runs: a file that counts its pages and has holes will do. */
    if (qtest_enabled()) {
        return qemu_memfd_create("memory-backend-memfd-private-test", size,
                                 false, 0, 0, errp);
    }
    fd = memfd_restricted(O_CLOEXEC);
    if (fd < 0 && errno == ENOSYS) {
        return create_for_vm(size, errp);
    }
    if (fd < 0) {
        error_setg_errno(errp, errno, "memfd_restricted() failed");
        return -1;
    }
    if (ftruncate(fd, size) < 0) {
        error_setg_errno(errp, errno,
                         "cannot give a restricted memfd %" PRIu64 " bytes",
                         size);
        close(fd);
        return -1;
    }
    return fd;
}

static bool check_vm(Error **errp)
{
    if (!kvm_enabled() && !qtest_enabled()) {
        error_setg(errp, TYPE_MEMORY_BACKEND_MEMFD_PRIVATE
                   " needs KVM (-accel kvm): no other accelerator can keep"
                   " guest memory from this process");
        return false;
    }
    if (!enabled && !qtest_enabled()) {
        error_setg(errp, "this VM cannot have private memory: its type was"
                   " chosen when it was created, and no "
                   TYPE_MEMORY_BACKEND_MEMFD_PRIVATE
                   " was on the command line");
        return false;
    }
    if (phase_check(PHASE_MACHINE_READY)) {
        error_setg(errp, TYPE_MEMORY_BACKEND_MEMFD_PRIVATE
                   " is for the machine's own memory: it cannot be added to"
                   " a machine that runs");
        return false;
    }
    return true;
}

static bool check_properties(HostMemoryBackend *backend, Error **errp)
{
    if (!QEMU_IS_ALIGNED(backend->size, qemu_real_host_page_size())) {
        error_setg(errp, "size=%" PRIu64 ": not a multiple of the page size,"
                   " which private memory is converted by", backend->size);
        return false;
    }
    if (!backend->share) {
        error_setg(errp, "share=off: pages that the guest shares are shared"
                   " with everybody who maps them; they cannot be copied on"
                   " write");
        return false;
    }
    if (enable_mlock) {
        error_setg(errp, "-overcommit mem-lock=on would allocate the shared"
                   " half as a whole; private pages need no lock, they are"
                   " never swapped");
        return false;
    }
    if (backend->policy != HOST_MEM_POLICY_DEFAULT ||
        !bitmap_empty(backend->host_nodes, MAX_NODES)) {
        error_setg(errp, "host-nodes and policy: private pages have no mapping"
                   " to bind; they come from the node that the policy of the"
                   " thread chooses that touches them first (numactl(8))");
        return false;
    }
    return true;
}

/*
 * Of two halves as large as the guest, one would be sent, saved or restored:
 * the one that is empty where it matters. Blocked from the start, not from the
 * launch on: a snapshot of a machine that was never started is wrong as well.
 */
static bool block_migration(Error **errp)
{
    if (migration_blocker) {
        return true;
    }
    if (runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "-incoming: private guest memory ("
                   TYPE_MEMORY_BACKEND_MEMFD_PRIVATE ") cannot be written");
        return false;
    }
    error_setg(&migration_blocker, "private guest memory ("
               TYPE_MEMORY_BACKEND_MEMFD_PRIVATE
               ") can be neither read nor written, so it cannot be migrated,"
               " nor saved in a snapshot");
    if (migrate_add_blocker(migration_blocker, errp) < 0) {
        error_free(migration_blocker);
        migration_blocker = NULL;
        return false;
    }
    return true;
}

static void memfd_private_alloc(HostMemoryBackend *backend, Error **errp)
{
    HostMemoryBackendMemfdPrivate *m = MEMORY_BACKEND_MEMFD_PRIVATE(backend);
    g_autofree char *name = host_memory_backend_get_name(backend);
    uint32_t flags = RAM_SHARED | (backend->reserve ? 0 : RAM_NORESERVE);
    Error *err = NULL;
    int shared, private;

    if (!check_vm(errp) || !check_properties(backend, errp) ||
        !block_migration(errp)) {
        return;
    }

    private = create_private_half(backend->size, errp);
    if (private < 0) {
        return;
    }
    shared = qemu_memfd_create(TYPE_MEMORY_BACKEND_MEMFD_PRIVATE, backend->size,
                               false, 0,
                               F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL, errp);
    if (shared < 0) {
        goto err_private;
    }

    memory_region_init_ram_from_fd(&backend->mr, OBJECT(backend), name,
                                   backend->size, flags, shared, 0, &err);
    if (err) {
        error_propagate(errp, err);
        goto err_shared;
    }
    /* From here on the mapping's descriptor goes when the block goes. */
    if (!private_ram_new(backend->mr.ram_block, name, private, m->stray_dma,
                         errp)) {
        goto err_private;
    }
    /*
     * Pages are shared and discarded one by one: a huge page would be there
     * for all its neighbours, which are in the private half.
     */
    qemu_madvise(memory_region_get_ram_ptr(&backend->mr), backend->size,
                 QEMU_MADV_NOHUGEPAGE);
    return;

err_shared:
    close(shared);
err_private:
    close(private);
}

/*
 * The half that the guest starts with. One thread does it: there is no mapping
 * to touch, and the pages are charged to whoever allocates them, as they are
 * to the vCPU that touches them otherwise. A guest that has run may have shared
 * some of the pages, and goes on sharing more while this allocates.
 */
static void memfd_private_prealloc(HostMemoryBackend *backend, Error **errp)
{
    int fd = private_ram_fd(private_ram_of(&backend->mr));
    int ret;

    if (phase_check(PHASE_MACHINE_READY)) {
        error_setg(errp, "prealloc: for the start only: of a machine that runs,"
                   " pages that the guest shares would be allocated twice");
        return;
    }
    do {
        ret = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, backend->size);
    } while (ret < 0 && errno == EINTR);
    if (ret < 0) {
        ret = errno;
        /* With no page of its own left, this process could not say why. */
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  backend->size);
        error_setg_errno(errp, ret, "prealloc: %" PRIu64
                         " bytes of private memory cannot be allocated%s",
                         backend->size,
                         ret == EDQUOT ? " (RLIMIT_MEMLOCK)" : "");
    }
}

/*
 * The machine's memory is the whole backend, or one NUMA node of several. A
 * DIMM, virtio-mem, virtio-pmem or shared memory device has uses for the
 * region's mapping that go past the state of its pages.
 */
static bool is_machine_memory(HostMemoryBackend *backend)
{
    const MemoryRegion *ram = current_machine->ram;

    return ram && host_memory_backend_is_mapped(backend) &&
        (&backend->mr == ram || backend->mr.container == ram);
}

static void memfd_private_machine_done(Notifier *notifier, void *data)
{
    HostMemoryBackendMemfdPrivate *m =
        container_of(notifier, HostMemoryBackendMemfdPrivate, machine_done);
    HostMemoryBackend *backend = MEMORY_BACKEND(m);

    if (!is_machine_memory(backend)) {
        g_autofree char *name = host_memory_backend_get_name(backend);

        error_report("%s: " TYPE_MEMORY_BACKEND_MEMFD_PRIVATE " is for the"
                     " machine's own memory only (-machine memory-backend=%s,"
                     " or -numa node,memdev=)", name, name);
        exit(EXIT_FAILURE);
    }
    memfd_private_refuse_devices();
}

static int memfd_private_get_stray_dma(Object *obj, Error **errp)
{
    return MEMORY_BACKEND_MEMFD_PRIVATE(obj)->stray_dma;
}

static void memfd_private_set_stray_dma(Object *obj, int value, Error **errp)
{
    if (host_memory_backend_mr_inited(MEMORY_BACKEND(obj))) {
        error_setg(errp, "cannot change property value");
        return;
    }
    MEMORY_BACKEND_MEMFD_PRIVATE(obj)->stray_dma = value;
}

static bool memfd_private_get_unreporting(Object *obj, Error **errp)
{
    return MEMORY_BACKEND_MEMFD_PRIVATE(obj)->allow_unreporting;
}

static void memfd_private_set_unreporting(Object *obj, bool value, Error **errp)
{
    MEMORY_BACKEND_MEMFD_PRIVATE(obj)->allow_unreporting = value;
}

static void memfd_private_instance_init(Object *obj)
{
    HostMemoryBackendMemfdPrivate *m = MEMORY_BACKEND_MEMFD_PRIVATE(obj);
    HostMemoryBackend *backend = MEMORY_BACKEND(obj);

    backend->share = true;
    backend->merge = false;
    m->stray_dma = PRIVATE_RAM_STRAY_STOP;
}

/* Not in instance_init: an object may be made only to list its properties. */
static void memfd_private_complete(UserCreatable *uc, Error **errp)
{
    HostMemoryBackendMemfdPrivate *m = MEMORY_BACKEND_MEMFD_PRIVATE(uc);
    UserCreatableClass *parent = USER_CREATABLE_CLASS(
        object_class_by_name(TYPE_MEMORY_BACKEND));
    Error *err = NULL;

    parent->complete(uc, &err);
    if (err) {
        error_propagate(errp, err);
        return;
    }
    m->machine_done.notify = memfd_private_machine_done;
    qemu_add_machine_init_done_notifier(&m->machine_done);
}

static void memfd_private_finalize(Object *obj)
{
    HostMemoryBackendMemfdPrivate *m = MEMORY_BACKEND_MEMFD_PRIVATE(obj);

    if (m->machine_done.notify) {
        qemu_remove_machine_init_done_notifier(&m->machine_done);
    }
}

static void memfd_private_class_init(ObjectClass *oc, void *data)
{
    HostMemoryBackendClass *bc = MEMORY_BACKEND_CLASS(oc);
    UserCreatableClass *ucc = USER_CREATABLE_CLASS(oc);

    bc->alloc = memfd_private_alloc;
    bc->prealloc = memfd_private_prealloc;
    ucc->complete = memfd_private_complete;

    object_class_property_add_enum(oc, "stray-dma", "PrivateRAMStrayPolicy",
                                   &PrivateRAMStrayPolicy_lookup,
                                   memfd_private_get_stray_dma,
                                   memfd_private_set_stray_dma);
    object_class_property_set_description(oc, "stray-dma",
        "What a device model's access to a private page does (stop, warn)");
    object_class_property_add_bool(oc, "allow-unreporting",
                                   memfd_private_get_unreporting,
                                   memfd_private_set_unreporting);
    object_class_property_set_description(oc, "allow-unreporting",
        "Run firmware that does not report which pages it shares");
}

static const TypeInfo memfd_private_info = {
    .name = TYPE_MEMORY_BACKEND_MEMFD_PRIVATE,
    .parent = TYPE_MEMORY_BACKEND,
    .instance_init = memfd_private_instance_init,
    .instance_finalize = memfd_private_finalize,
    .class_init = memfd_private_class_init,
    .instance_size = sizeof(HostMemoryBackendMemfdPrivate),
};

static void register_types(void)
{
    if (qemu_memfd_check(MFD_ALLOW_SEALING)) {
        type_register_static(&memfd_private_info);
    }
}

type_init(register_types);
