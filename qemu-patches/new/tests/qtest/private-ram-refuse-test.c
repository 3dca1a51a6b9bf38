/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test of memory-backend-memfd-private without KVM: what its properties do, and
 * what is refused. A command line that is refused ends QEMU with one line that
 * says why; the same without the one thing that is refused starts. What needs
 * KVM is tested in an emulated host, by vmm-refuse.sh.
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "qemu/units.h"
#include "libqtest.h"
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qlist.h"

#define BACKEND     "-object memory-backend-memfd-private,id=ram1,size=64M"
#define MACHINE     "-machine q35,memory-backend=ram1 -nodefaults -m 64M"

/* An empty firmware: the machine wants a file. */
static char *bios;

static void bios_create(void)
{
    static const char zeroes[64 * KiB];
    int fd;

    bios = g_strdup_printf("%s/private-ram-refuse-XXXXXX", g_get_tmp_dir());
    fd = g_mkstemp(bios);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, zeroes, sizeof(zeroes)), ==, sizeof(zeroes));
    close(fd);
}

/*
 * Run QEMU with these arguments to its end, which its monitor asks for as soon
 * as the machine is there. Returns what it said on stderr. The option ROM that
 * is switched off is not where QEMU was built. The bound is for one that should
 * have been refused, and waits for somebody else.
 */
static char *run(const char *args, int *status)
{
    const char *qemu = getenv("QTEST_QEMU_BINARY");
    g_autofree char *line = g_strdup_printf("echo quit | timeout -k 5 60 %s"
                                            " -accel qtest -S"
                                            " -display none -monitor stdio"
                                            " -global apic-common.vapic=off"
                                            " -bios %s %s", qemu, bios, args);
    char *argv[] = { (char *)"sh", (char *)"-c", line, NULL };
    char *err = NULL;
    int wait_status;

    g_assert(g_spawn_sync(NULL, argv, NULL,
                          G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL,
                          NULL, NULL, NULL, &err, &wait_status, NULL));
    g_assert(WIFEXITED(wait_status));
    *status = WEXITSTATUS(wait_status);
    return err;
}

static void starts(const char *args)
{
    g_autofree char *err = NULL;
    int status;

    err = run(args, &status);
    g_test_message("'%s': status %d, '%s'", args, status, err);
    g_assert_cmpint(status, ==, 0);
    g_assert_cmpstr(err, ==, "");
}

static void refused(const char *args, const char *why)
{
    g_autofree char *err = NULL;
    char *said, *end;
    int status;

    err = run(args, &status);
    g_test_message("'%s': status %d, '%s'", args, status, err);
    g_assert_cmpint(status, ==, 1);
    /* The build tree has no option ROMs. */
    said = g_str_has_prefix(err, "Could not open option rom")
           ? strchr(err, '\n') + 1 : err;
    g_assert_nonnull(strstr(said, why));
    end = strchr(said, '\n');
    g_assert(end && end[1] == '\0');
}

static void test_starts(void)
{
    starts(MACHINE " " BACKEND);
    starts(MACHINE " " BACKEND ",stray-dma=stop");
    starts(MACHINE " " BACKEND ",stray-dma=warn,allow-unreporting=on");
    starts(MACHINE " " BACKEND ",prealloc=on,prealloc-threads=2");
    starts(MACHINE " " BACKEND ",merge=on,dump=off");
    starts(MACHINE " " BACKEND ",reserve=off");
    starts("-machine q35 -nodefaults -m 128M " BACKEND
           " -object memory-backend-memfd-private,id=ram2,size=64M"
           " -numa node,memdev=ram1 -numa node,memdev=ram2");
}

static void test_properties(void)
{
    refused(MACHINE " " BACKEND ",share=off", "share=off:");
    refused(MACHINE " " BACKEND ",host-nodes=0,policy=bind",
            "host-nodes and policy:");
    refused(MACHINE " " BACKEND ",policy=interleave,host-nodes=0",
            "host-nodes and policy:");
    refused(MACHINE " " BACKEND ",stray-dma=ignore", "ignore");
    refused(MACHINE " " BACKEND ",prealloc=on,reserve=off", "'prealloc=on'");
    refused(MACHINE " -object memory-backend-memfd-private,id=ram1",
            "'size' is missing");
    refused(MACHINE " -object memory-backend-memfd-private,id=ram1,size=0",
            "doesn't take value '0'");
    refused(MACHINE " -object memory-backend-memfd-private,id=ram1,"
            "size=67108865", "size=67108865: not a multiple");
    refused(MACHINE " " BACKEND " -overcommit mem-lock=on",
            "mem-lock=on would allocate the shared half");
}

static void test_uses(void)
{
    static const char own[] = "ram2: memory-backend-memfd-private is for the"
                              " machine's own memory";

    refused(MACHINE " " BACKEND
            " -object memory-backend-memfd-private,id=ram2,size=64M", own);
    refused("-machine q35,memory-backend=ram1 -nodefaults"
            " -m 64M,slots=2,maxmem=1G " BACKEND
            " -object memory-backend-memfd-private,id=ram2,size=128M"
            " -device pc-dimm,memdev=ram2", own);
    refused("-machine q35,memory-backend=ram1 -nodefaults"
            " -m 64M,slots=2,maxmem=1G " BACKEND
            " -object memory-backend-ram,id=vm0,size=128M"
            " -device virtio-mem-pci,memdev=vm0", "virtio-mem: not with");
    refused(MACHINE " " BACKEND " -device ramfb", "ramfb: not with");
    refused(MACHINE " " BACKEND " -device vmgenid", "vmgenid: not with");
    refused(MACHINE " " BACKEND " -incoming defer",
            "-incoming: private guest memory");
    refused(MACHINE " " BACKEND " -only-migratable",
            "disallowing migration blocker");
}

/* Devices of other processes, of which nobody sees what they reach for. */
static void test_vhost(void)
{
    static const char why[] = "stray-dma=stop: nothing would notice";
    static const char chardev[] = " -chardev socket,id=chr0,server=on,"
                                  "wait=off,path=";
    g_autofree char *path = g_strdup_printf("%s.socket", bios);
    g_autofree char *net = g_strdup_printf(MACHINE " " BACKEND "%s%s"
                                           " -netdev vhost-user,id=net0,"
                                           "chardev=chr0", chardev, path);

    refused(net, why);
    refused(MACHINE " " BACKEND " -netdev tap,id=net0,vhost=on", why);
    refused(MACHINE " " BACKEND " -chardev null,id=chr0"
            " -device vhost-user-blk-pci,chardev=chr0", why);
    refused(MACHINE " " BACKEND " -device vhost-vsock-pci,guest-cid=3,"
            "vhostfd=9 9< /dev/null", why);
    g_unlink(path);
}

/* Devices of the host. There need not be one: it is not looked for. */
static void test_vfio(void)
{
    refused(MACHINE " " BACKEND " -device vfio-pci,host=0000:00:01.0",
            "VFIO: not with");
    refused(MACHINE " " BACKEND ",stray-dma=warn"
            " -device vfio-pci,host=0000:00:01.0", "VFIO: not with");
}

#ifdef CONFIG_VHOST_NET_VDPA
static void test_vdpa(void)
{
    refused(MACHINE " " BACKEND
            " -netdev vhost-vdpa,id=net0,vhostdev=/dev/null",
            "vhost-vdpa: not with");
}
#endif

/* Its pages are kept by the host's udmabuf. */
static void test_blobs(void)
{
    refused(MACHINE " " BACKEND " -device virtio-gpu-pci,blob=on",
            "virtio-gpu blob=on: not with");
    starts(MACHINE " " BACKEND " -device virtio-gpu-pci");
}

/* A library that is not everywhere. No device is looked for before this. */
#ifdef CONFIG_BLKIO
#define BLKIO_DISK  " -blockdev node-name=disk0,cache.direct=on,path=none," \
                    "driver=virtio-blk-"

static void test_blkio(void)
{
    g_autofree char *err = NULL;
    int status;

    refused(MACHINE " " BACKEND BLKIO_DISK "vfio-pci",
            "virtio-blk-vfio-pci: not with");
    refused(MACHINE " " BACKEND BLKIO_DISK "vhost-vdpa",
            "virtio-blk-vhost-vdpa: not with");
    refused(MACHINE " " BACKEND BLKIO_DISK "vhost-user",
            "stray-dma=stop: nothing would notice");

    err = run(MACHINE " " BACKEND ",stray-dma=warn" BLKIO_DISK "vhost-user",
              &status);
    g_test_message("status %d, '%s'", status, err);
    g_assert_cmpint(status, ==, 1);
    g_assert_nonnull(strstr(err, "blkio_connect failed"));
}
#endif

/* Private memory does not stand in the way: the device has no other side. */
static void test_vhost_warn(void)
{
    g_autofree char *err = NULL;
    int status;

    err = run(MACHINE " " BACKEND ",stray-dma=warn"
              " -device vhost-vsock-pci,guest-cid=3,vhostfd=9 9< /dev/null",
              &status);
    g_test_message("status %d, '%s'", status, err);
    g_assert_cmpint(status, ==, 1);
    g_assert_nonnull(strstr(err, "vhost_set_owner failed"));
    g_assert_null(strstr(err, "stray-dma"));
}

static QTestState *machine_new(const char *backend_args, const char *args)
{
    return qtest_initf(MACHINE " " BACKEND "%s -bios %s %s", backend_args,
                       bios, args);
}

static void G_GNUC_PRINTF(3, 4) check_error(QTestState *qts, const char *why,
                                            const char *cmd, ...)
{
    QDict *response, *error;
    va_list ap;

    va_start(ap, cmd);
    response = qtest_vqmp(qts, cmd, ap);
    va_end(ap);
    error = qdict_get_qdict(response, "error");
    g_assert_nonnull(error);
    g_test_message("%s: %s", cmd, qdict_get_str(error, "desc"));
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"), why));
    qobject_unref(response);
}

static uint64_t populated(QTestState *qts, const char *half)
{
    QDict *response = qtest_qmp(qts, "{ 'execute': 'query-private-memory' }");
    QList *list = qdict_get_qlist(response, "return");
    uint64_t bytes = qdict_get_int(qobject_to(QDict, qlist_peek(list)), half);

    qobject_unref(response);
    return bytes;
}

/* A job that ends, and says why. */
static void check_job(QTestState *qts, const char *why, const char *cmd)
{
    const char *status = "", *error;
    QDict *response, *job;

    qtest_qmp_assert_success(qts, "{ 'execute': %s, 'arguments': {"
                             "'job-id': 'job0', 'tag': 'x', 'vmstate': 'disk0',"
                             "'devices': [ 'disk0' ] } }", cmd);
    for (;;) {
        response = qtest_qmp(qts, "{ 'execute': 'query-jobs' }");
        job = qobject_to(QDict,
                         qlist_peek(qdict_get_qlist(response, "return")));
        status = qdict_get_str(job, "status");
        if (g_str_equal(status, "concluded")) {
            break;
        }
        qobject_unref(response);
    }
    error = qdict_get_str(job, "error");
    g_test_message("%s: %s", cmd, error);
    g_assert_nonnull(strstr(error, why));
    qobject_unref(response);
    qtest_qmp_assert_success(qts, "{ 'execute': 'job-dismiss',"
                             "'arguments': { 'id': 'job0' } }");
}

static void check_hmp(QTestState *qts, const char *why, const char *cmd)
{
    g_autofree char *out = qtest_hmp(qts, "%s", cmd);

    g_test_message("%s: %s", cmd, out);
    g_assert_nonnull(strstr(out, why));
}

/* To load a snapshot takes a disk that can have one: vmm-refuse.sh. */
static void test_migration(void)
{
    static const char saved[] = "nor saved in a snapshot";
    QTestState *qts = machine_new("", "-blockdev null-co,node-name=disk0");

    check_error(qts, "cannot be migrated", "{ 'execute': 'migrate',"
                "'arguments': { 'uri': 'exec:cat > /dev/null' } }");
    check_job(qts, saved, "snapshot-save");
    check_hmp(qts, saved, "savevm x");
    g_assert_cmpuint(populated(qts, "populated-shared"), ==, 0);
    g_assert_cmpuint(populated(qts, "populated-private"), ==, 0);
    qtest_quit(qts);
}

/* What can only be said before the backend is there. */
static void test_later(void)
{
    QTestState *qts = machine_new("", "");

    check_error(qts, "a machine that runs", "{ 'execute': 'object-add',"
                "'arguments': { 'qom-type': 'memory-backend-memfd-private',"
                "'id': 'ram2', 'size': 67108864 } }");
    check_error(qts, "cannot change property", "{ 'execute': 'qom-set',"
                "'arguments': { 'path': '/objects/ram1',"
                "'property': 'stray-dma', 'value': 'warn' } }");
    check_error(qts, "prealloc: for the start only", "{ 'execute': 'qom-set',"
                "'arguments': { 'path': '/objects/ram1',"
                "'property': 'prealloc', 'value': true } }");
    check_error(qts, "", "{ 'execute': 'object-del',"
                "'arguments': { 'id': 'ram1' } }");
    g_assert_cmpuint(populated(qts, "populated-private"), ==, 0);
    qtest_quit(qts);
}

static void test_prealloc(void)
{
    QTestState *qts = machine_new(",prealloc=on", "");

    g_assert_cmpuint(populated(qts, "populated-private"), ==, 64 * MiB);
    g_assert_cmpuint(populated(qts, "populated-shared"), ==, 0);
    qtest_quit(qts);
}

/* Does the process leave its mapping of the shared half out of a core dump? */
static bool is_left_out(const char *pidfile)
{
    g_autofree char *pid = NULL;
    g_autofree char *path = NULL;
    g_autofree char *maps = NULL;
    char *mapping, *flags;

    g_assert(g_file_get_contents(pidfile, &pid, NULL, NULL));
    path = g_strdup_printf("/proc/%s/smaps", g_strchomp(pid));
    g_assert(g_file_get_contents(path, &maps, NULL, NULL));
    mapping = strstr(maps, "memfd:memory-backend-memfd-private ");
    g_assert_nonnull(mapping);
    flags = strstr(mapping, "VmFlags:");
    g_assert_nonnull(flags);
    *strchr(flags, '\n') = '\0';
    return strstr(flags, " dd");
}

static void set_dump(QTestState *qts, bool dump)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'qom-set',"
                             "'arguments': { 'path': '/objects/ram1',"
                             "'property': 'dump', 'value': %i } }", dump);
}

static void test_dump(void)
{
    g_autofree char *pidfile = g_strdup_printf("%s.pid", bios);
    g_autofree char *args = g_strdup_printf("-pidfile %s", pidfile);
    QTestState *qts = machine_new(",dump=off", args);

    g_assert(is_left_out(pidfile));
    set_dump(qts, true);
    g_assert(!is_left_out(pidfile));
    set_dump(qts, false);
    g_assert(is_left_out(pidfile));
    qtest_quit(qts);

    qts = machine_new("", args);
    g_assert(!is_left_out(pidfile));
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    bios_create();
    qtest_add_func("/private-ram-refuse/starts", test_starts);
    qtest_add_func("/private-ram-refuse/properties", test_properties);
    qtest_add_func("/private-ram-refuse/uses", test_uses);
    if (qtest_has_device("vhost-vsock-pci") &&
        qtest_has_device("vhost-user-blk-pci")) {
        qtest_add_func("/private-ram-refuse/vhost", test_vhost);
        qtest_add_func("/private-ram-refuse/vhost-warn", test_vhost_warn);
    }
    if (qtest_has_device("vfio-pci")) {
        qtest_add_func("/private-ram-refuse/vfio", test_vfio);
    }
#ifdef CONFIG_VHOST_NET_VDPA
    qtest_add_func("/private-ram-refuse/vdpa", test_vdpa);
#endif
    if (qtest_has_device("virtio-gpu-pci")) {
        qtest_add_func("/private-ram-refuse/blobs", test_blobs);
    }
#ifdef CONFIG_BLKIO
    qtest_add_func("/private-ram-refuse/blkio", test_blkio);
#endif
    qtest_add_func("/private-ram-refuse/migration", test_migration);
    qtest_add_func("/private-ram-refuse/later", test_later);
    qtest_add_func("/private-ram-refuse/prealloc", test_prealloc);
    qtest_add_func("/private-ram-refuse/dump", test_dump);
    ret = g_test_run();
    g_unlink(bios);
    g_free(bios);
    return ret;
}
