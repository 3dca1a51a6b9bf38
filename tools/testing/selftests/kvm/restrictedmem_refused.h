/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table of restrictedmem_fd_test.c: what happens to each system call on a restricted file of
 * PAGES pages, half of them allocated. No include guard: the test includes it for the functions and
 * again for the table.
 *
 * ROW(name, owner, other, call): the errno for root, who created the file, and for an unprivileged
 * process of another user that was handed the descriptor. 0: succeeds, and must change nothing. "c"
 * is the struct rows of the test.
 */

/* Reading: there is no ->read_iter. Files of the kernel's own mounts have no position to give either. */
ROW(read,		EINVAL, EINVAL, read(c->fd, c->buf, RMEM_PAGE))
ROW(readv,		EINVAL, EINVAL, readv(c->fd, &c->iov, 1))
ROW(pread,		ESPIPE, ESPIPE, pread(c->fd, c->buf, RMEM_PAGE, 0))
ROW(preadv,		ESPIPE, ESPIPE, preadv(c->fd, &c->iov, 1, 0))
ROW(preadv2,		EINVAL, EINVAL, preadv2(c->fd, &c->iov, 1, -1, 0))
ROW(preadv2_nowait,	EINVAL, EINVAL, preadv2(c->fd, &c->iov, 1, -1, RWF_NOWAIT))
ROW(aio_read,		EINVAL, EINVAL, aio(c, IOCB_CMD_PREAD))
ROW(aio_readv,		EINVAL, EINVAL, aio(c, IOCB_CMD_PREADV))

ROW(write,		EINVAL, EINVAL, write(c->fd, c->buf, RMEM_PAGE))
ROW(writev,		EINVAL, EINVAL, writev(c->fd, &c->iov, 1))
ROW(pwrite,		ESPIPE, ESPIPE, pwrite(c->fd, c->buf, RMEM_PAGE, 0))
ROW(pwritev,		ESPIPE, ESPIPE, pwritev(c->fd, &c->iov, 1, 0))
ROW(pwritev2,		EINVAL, EINVAL, pwritev2(c->fd, &c->iov, 1, -1, 0))
ROW(pwritev2_append,	EINVAL, EINVAL, pwritev2(c->fd, &c->iov, 1, -1, RWF_APPEND))
ROW(aio_write,		EINVAL, EINVAL, aio(c, IOCB_CMD_PWRITE))
ROW(aio_fsync,		EINVAL, EINVAL, aio(c, IOCB_CMD_FSYNC))

/* Mapping: no mapping, so nothing that takes an address can reach the pages. */
ROW(mmap_shared,	ENODEV, ENODEV, map(c, PROT_READ | PROT_WRITE, MAP_SHARED))
ROW(mmap_private,	ENODEV, ENODEV, map(c, PROT_READ | PROT_WRITE, MAP_PRIVATE))
ROW(mmap_read,		ENODEV, ENODEV, map(c, PROT_READ, MAP_SHARED))
ROW(mmap_none,		ENODEV, ENODEV, map(c, PROT_NONE, MAP_SHARED))
ROW(mmap_none_private,	ENODEV, ENODEV, map(c, PROT_NONE, MAP_PRIVATE))
ROW(mmap_validate,	ENODEV, ENODEV, map(c, PROT_READ, MAP_SHARED_VALIDATE))
ROW(mmap_populate,	ENODEV, ENODEV, map(c, PROT_READ, MAP_SHARED | MAP_POPULATE))
ROW(mmap_fixed,		ENODEV, ENODEV, map_fixed(c, MAP_SHARED))
ROW(mmap_fixed_private,	ENODEV, ENODEV, map_fixed(c, MAP_PRIVATE))
ROW(mmap_exec,		EPERM,  EPERM,  map(c, PROT_READ | PROT_EXEC, MAP_PRIVATE))
ROW(execveat,		EACCES, EACCES, execveat(c->fd, "", c->argv, NULL, AT_EMPTY_PATH))
ROW(execve_path,	EACCES, EACCES, execve(c->path, c->argv, NULL))

/* Moving between descriptors, each way. */
ROW(splice_out,		EINVAL, EINVAL, splice(c->fd, NULL, c->pipe[1], NULL, RMEM_PAGE, 0))
ROW(splice_out_at,	EINVAL, EINVAL, splice(c->fd, &c->zero, c->pipe[1], NULL, RMEM_PAGE, 0))
ROW(splice_in,		EINVAL, EINVAL, splice(c->pipe[0], NULL, c->fd, NULL, RMEM_PAGE, 0))
ROW(splice_in_at,	EINVAL, EINVAL, splice(c->pipe[0], NULL, c->fd, &c->zero, RMEM_PAGE, 0))
ROW(splice_in_move,	EINVAL, EINVAL, splice(c->pipe[0], NULL, c->fd, NULL, RMEM_PAGE, SPLICE_F_MOVE))
ROW(tee_out,		EINVAL, EINVAL, tee(c->fd, c->pipe[1], RMEM_PAGE, 0))
ROW(tee_in,		EINVAL, EINVAL, tee(c->pipe[0], c->fd, RMEM_PAGE, 0))
ROW(vmsplice,		EBADF,  EBADF,  vmsplice(c->fd, &c->iov, 1, 0))
ROW(sendfile_out,	EINVAL, EINVAL, sendfile(c->plain, c->fd, NULL, RMEM_PAGE))
ROW(sendfile_out_at,	ESPIPE, ESPIPE, sendfile(c->plain, c->fd, &c->zero, RMEM_PAGE))
ROW(sendfile_pipe,	EINVAL, EINVAL, sendfile(c->pipe[1], c->fd, NULL, RMEM_PAGE))
ROW(sendfile_socket,	EINVAL, EINVAL, sendfile(c->sock[0], c->fd, NULL, RMEM_PAGE))
ROW(sendfile_in,	EINVAL, EINVAL, sendfile(c->fd, c->plain, &c->zero, RMEM_PAGE))
ROW(copy_out,		EXDEV,  EXDEV,  copy_file_range(c->fd, &c->zero, c->plain, &c->zero, RMEM_PAGE, 0))
ROW(copy_in,		EXDEV,  EXDEV,  copy_file_range(c->plain, &c->zero, c->fd, &c->zero, RMEM_PAGE, 0))
ROW(copy_same,		EINVAL, EINVAL, copy_file_range(c->fd, &c->zero, c->twin, &c->zero, RMEM_PAGE, 0))
ROW(clone_out,		EXDEV,  EXDEV,  ioctl(c->plain, FICLONE, c->fd))
ROW(clone_in,		EXDEV,  EXDEV,  ioctl(c->fd, FICLONE, c->plain))
ROW(clone_same,		EOPNOTSUPP, EOPNOTSUPP, ioctl(c->fd, FICLONE, c->twin))
ROW(dedupe,		EOPNOTSUPP, EOPNOTSUPP, dedupe(c))

/* Position. */
ROW(lseek_set,		ESPIPE, ESPIPE, lseek(c->fd, 0, SEEK_SET))
ROW(lseek_cur,		ESPIPE, ESPIPE, lseek(c->fd, 0, SEEK_CUR))
ROW(lseek_end,		ESPIPE, ESPIPE, lseek(c->fd, 0, SEEK_END))
ROW(lseek_data,		ESPIPE, ESPIPE, lseek(c->fd, 0, SEEK_DATA))
ROW(lseek_hole,		ESPIPE, ESPIPE, lseek(c->fd, 0, SEEK_HOLE))

/* Another open file of the same inode: the inode's own file operations have no ->open. */
ROW(open_read,		ENXIO,  EACCES, open(c->path, O_RDONLY))
ROW(open_write,		ENXIO,  EACCES, open(c->path, O_WRONLY))
ROW(open_rdwr,		ENXIO,  EACCES, open(c->path, O_RDWR))
ROW(open_trunc,		ENXIO,  EACCES, open(c->path, O_RDWR | O_TRUNC))
ROW(open_append,	ENXIO,  EACCES, open(c->path, O_WRONLY | O_APPEND))
ROW(open_creat,		ENXIO,  EACCES, open(c->path, O_RDWR | O_CREAT, 0600))
ROW(open_path,		0,      0,      opened(open(c->path, O_PATH)))
ROW(read_by_o_path,	EBADF,  EBADF,  use_o_path(c, read_fd))
ROW(map_by_o_path,	EBADF,  EBADF,  use_o_path(c, map_fd))
ROW(alloc_by_o_path,	EBADF,  EBADF,  use_o_path(c, alloc_fd))
ROW(reopen_o_path,	ENXIO,  EACCES, use_o_path(c, reopen_fd))
ROW(handle,		EOPNOTSUPP, EOPNOTSUPP, handle(c))
ROW(link,		EXDEV,  EXDEV,  linkat(AT_FDCWD, c->path, AT_FDCWD, "/tmp/rmem-link", AT_SYMLINK_FOLLOW))
ROW(bind_mount,		EINVAL, EPERM,  syscall(SYS_mount, c->path, "/tmp", NULL, MS_BIND, NULL))
ROW(swapon,		ENXIO,  EPERM,  syscall(SYS_swapon, c->path, 0))

/* Size. Setting it the first time is restrictedmem_file_test.c's. */
ROW(ftruncate_grow,	EINVAL, EINVAL, ftruncate(c->fd, (PAGES + 1) * RMEM_PAGE))
ROW(ftruncate_shrink,	EINVAL, EINVAL, ftruncate(c->fd, RMEM_PAGE))
ROW(ftruncate_zero,	EINVAL, EINVAL, ftruncate(c->fd, 0))
ROW(ftruncate_odd,	EINVAL, EINVAL, ftruncate(c->fd, PAGES * RMEM_PAGE - 1))
ROW(ftruncate_same,	EINVAL, EINVAL, ftruncate(c->fd, PAGES * RMEM_PAGE))
ROW(ftruncate_negative,	EINVAL, EINVAL, ftruncate(c->fd, -(long)RMEM_PAGE))
ROW(truncate_grow,	EINVAL, EACCES, truncate(c->path, (PAGES + 1) * RMEM_PAGE))
ROW(truncate_zero,	EINVAL, EACCES, truncate(c->path, 0))

/* Mode, owner, times: nothing opens the file, so they would promise what nobody enforces. */
ROW(fchmod,		EINVAL, EINVAL, fchmod(c->fd, 0666))
ROW(chmod,		EINVAL, EINVAL, chmod(c->path, 0666))
ROW(fchown,		EINVAL, EINVAL, fchown(c->fd, OTHER_USER, OTHER_USER))
ROW(futimens,		EINVAL, EINVAL, futimens(c->fd, c->times))
ROW(futimens_now,	EINVAL, EACCES, futimens(c->fd, NULL))

/* Advice and write-back: nothing to read ahead, nothing to write, and nothing that could be dropped. */
ROW(fadvise_normal,	0, 0, advise(c, POSIX_FADV_NORMAL))
ROW(fadvise_random,	0, 0, advise(c, POSIX_FADV_RANDOM))
ROW(fadvise_sequential,	0, 0, advise(c, POSIX_FADV_SEQUENTIAL))
ROW(fadvise_willneed,	0, 0, advise(c, POSIX_FADV_WILLNEED))
ROW(fadvise_noreuse,	0, 0, advise(c, POSIX_FADV_NOREUSE))
ROW(fadvise_dontneed,	0, 0, advise(c, POSIX_FADV_DONTNEED))
ROW(fadvise_unknown,	EINVAL, EINVAL, advise(c, 99))
ROW(readahead,		0, 0, readahead(c->fd, 0, PAGES * RMEM_PAGE))
ROW(sync_file_range,	0, 0, sync_file_range(c->fd, 0, 0, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER))
ROW(syncfs,		0, 0, syncfs(c->fd))
ROW(fsync,		EINVAL, EINVAL, fsync(c->fd))
ROW(fdatasync,		EINVAL, EINVAL, fdatasync(c->fd))

/* Flags, locks, seals. */
ROW(direct,		EINVAL, EINVAL, fcntl(c->fd, F_SETFL, O_RDWR | O_DIRECT))
ROW(append,		0, 0, fcntl(c->fd, F_SETFL, O_RDWR | O_APPEND))
ROW(no_append,		0, 0, fcntl(c->fd, F_SETFL, O_RDWR))
ROW(add_seals,		EINVAL, EINVAL, fcntl(c->fd, F_ADD_SEALS, F_SEAL_WRITE))
ROW(get_seals,		EINVAL, EINVAL, fcntl(c->fd, F_GET_SEALS))
ROW(pipe_size,		EBADF,  EBADF,  fcntl(c->fd, F_SETPIPE_SZ, 65536))
ROW(flock,		0, 0, flock(c->fd, LOCK_EX | LOCK_NB))
ROW(flock_unlock,	0, 0, flock(c->fd, LOCK_UN))
ROW(record_lock,	0, 0, fcntl(c->fd, F_SETLK, &c->lock))
ROW(lease_read,		0,      EACCES, fcntl(c->fd, F_SETLEASE, F_RDLCK))
ROW(lease_end,		0,      EACCES, fcntl(c->fd, F_SETLEASE, F_UNLCK))
ROW(epoll,		EPERM,  EPERM,  epoll(c))

/* Control of a file system's files. */
ROW(getflags,		ENOTTY, ENOTTY, ioctl(c->fd, FS_IOC_GETFLAGS, c->buf))
ROW(setflags,		ENOTTY, ENOTTY, ioctl(c->fd, FS_IOC_SETFLAGS, c->buf))
ROW(fsgetxattr,		ENOTTY, ENOTTY, ioctl(c->fd, FS_IOC_FSGETXATTR, c->buf))
ROW(fiemap,		EOPNOTSUPP, EOPNOTSUPP, ioctl(c->fd, FS_IOC_FIEMAP, c->buf))
ROW(fibmap,		EINVAL, EPERM,  ioctl(c->fd, FIBMAP, &c->block))
ROW(zero_range,		EOPNOTSUPP, EOPNOTSUPP, ioctl(c->fd, RMEM_IOC_ZERO_RANGE, &c->space))
ROW(freeze,		EOPNOTSUPP, EPERM, ioctl(c->fd, FIFREEZE, 0))
ROW(ioctl_unknown,	ENOTTY, ENOTTY, ioctl(c->fd, _IO('r', 1), 0))
ROW(getdents,		ENOTDIR, ENOTDIR, syscall(SYS_getdents64, c->fd, c->buf, RMEM_PAGE))
ROW(setxattr,		EOPNOTSUPP, EACCES, fsetxattr(c->fd, "user.a", "b", 1, 0))
ROW(getxattr,		EOPNOTSUPP, EACCES, fgetxattr(c->fd, "user.a", c->buf, 16))
ROW(uring_eventfd,	EINVAL, EINVAL, uring_eventfd(c))
