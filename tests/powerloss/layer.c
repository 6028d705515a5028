/* A page cache that loses what was not synced.
 *
 * Preloaded (LD_PRELOAD) into a process, this library writes a journal of everything the process does to the files below
 * one directory: writes with their data, sizes, names, and completed syncs with the point of the journal that each of
 * them covers. After the process was killed, replay.py builds the tree that a power failure would have left: what a
 * completed sync of that file (for names: of that directory) covers, and of the rest nothing, or a random part.
 *
 *   POWERLOSS_ROOT     the directory, a real path without a slash at the end
 *   POWERLOSS_JOURNAL  the journal, outside of it
 *   POWERLOSS_KILL     the number of an entry of the journal: the process is killed when it has written that one
 *   POWERLOSS_IGNORE   syncs of paths that end so are not noted ("/" stands for directories): a disk that lies, to prove
 *                      that the test notices
 *
 * One lock orders every operation with its entry in the journal. A write that happened and was not noted because the
 * process was killed in between counts as lost; nobody can have been told about it. Memory-mapped writes are not seen:
 * mapping a file for shared writing is noted as a fault, but for SQLite's -shm, which may be lost. Raw system calls are
 * not seen either; the driver compares the journal with strace.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, TRUNCATE, ALLOCATE, CREATE, MKDIR, UNLINK, RENAME, LINK, SYNC, SYNC_ALL, FAULT, SYMLINK };

struct entry {
    uint32_t magic, op;
    uint64_t object, directory, directory2, offset, length;
    uint32_t name, name2; /* octets of each; then length octets of data if op is WRITE */
};

#define MAGIC 0x50574c31u
#define FDS 65536

static struct { uint8_t tracked, append, sync, directory, ignored; uint64_t object; } fds[FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int journal = -1;
static char root[PATH_MAX];
static size_t root_length;
static const char *ignore;
static unsigned long until_killed;

#define REAL(type, name, ...) static type (*real_##name)(__VA_ARGS__)
REAL(int, openat, int, const char *, int, ...);
REAL(int, close, int);
REAL(int, closedir, DIR *);
REAL(int, dup, int);
REAL(int, dup2, int, int);
REAL(int, dup3, int, int, int);
REAL(int, fcntl, int, int, ...);
REAL(ssize_t, write, int, const void *, size_t);
REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
REAL(ssize_t, writev, int, const struct iovec *, int);
REAL(ssize_t, pwritev, int, const struct iovec *, int, off_t);
REAL(ssize_t, pwritev2, int, const struct iovec *, int, off_t, int);
REAL(ssize_t, sendfile, int, int, off_t *, size_t);
REAL(ssize_t, copy_file_range, int, off_t *, int, off_t *, size_t, unsigned);
REAL(int, ftruncate, int, off_t);
REAL(int, truncate, const char *, off_t);
REAL(int, fallocate, int, int, off_t, off_t);
REAL(int, posix_fallocate, int, off_t, off_t);
REAL(void *, mmap, void *, size_t, int, int, int, off_t);
REAL(int, renameat2, int, const char *, int, const char *, unsigned);
REAL(int, linkat, int, const char *, int, const char *, int);
REAL(int, symlinkat, const char *, int, const char *);
REAL(int, unlinkat, int, const char *, int);
REAL(int, mkdirat, int, const char *, mode_t);
REAL(int, fsync, int);
REAL(int, fdatasync, int);
REAL(void, sync, void);
REAL(int, syncfs, int);

static void set_up(void) {
#define FIND(name) *(void **)&real_##name = dlsym(RTLD_NEXT, #name)
    FIND(openat); FIND(close); FIND(closedir); FIND(dup); FIND(dup2); FIND(dup3); FIND(fcntl); FIND(write); FIND(pwrite);
    FIND(writev); FIND(pwritev); FIND(pwritev2); FIND(sendfile); FIND(copy_file_range); FIND(ftruncate);
    FIND(truncate); FIND(fallocate); FIND(posix_fallocate); FIND(mmap); FIND(renameat2); FIND(linkat);
    FIND(symlinkat); FIND(unlinkat); FIND(mkdirat); FIND(fsync); FIND(fdatasync); FIND(sync); FIND(syncfs);
    const char *directory = getenv("POWERLOSS_ROOT"), *file = getenv("POWERLOSS_JOURNAL");
    ignore = getenv("POWERLOSS_IGNORE");
    until_killed = getenv("POWERLOSS_KILL") ? strtoul(getenv("POWERLOSS_KILL"), NULL, 10) : 0;
    if (!directory || !file) return;
    root_length = strlen(directory);
    memcpy(root, directory, root_length + 1);
    int fd = real_openat(AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    /* Out of the way of programs that close or count low descriptors. */
    journal = real_fcntl(fd, F_DUPFD_CLOEXEC, FDS);
    if (journal < 0) journal = fd; else real_close(fd);
    if (journal < 0) { dprintf(2, "powerloss: cannot open %s\n", file); abort(); }
}

static int active(void) {
    pthread_once(&once, set_up);
    return journal >= 0;
}

#define LOCK() int saved_; pthread_mutex_lock(&lock)
#define UNLOCK() do { saved_ = errno; pthread_mutex_unlock(&lock); errno = saved_; } while (0)

static int below_root(const char *path) {
    return !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below_root(path);
}

static uint64_t position(void) { return (uint64_t)lseek(journal, 0, SEEK_END); }

static void append(struct entry *entry, const char *name, const char *name2, const struct iovec *data, int count) {
    int saved = errno;
    static struct iovec parts[IOV_MAX];
    entry->magic = MAGIC;
    entry->name = name ? strlen(name) : 0;
    entry->name2 = name2 ? strlen(name2) : 0;
    int used = 0;
    parts[used++] = (struct iovec){entry, sizeof *entry};
    if (entry->name) parts[used++] = (struct iovec){(void *)name, entry->name};
    if (entry->name2) parts[used++] = (struct iovec){(void *)name2, entry->name2};
    uint64_t left = entry->op == WRITE ? entry->length : 0, total = sizeof *entry + entry->name + entry->name2 + left;
    char *copy = NULL;
    if (count + used > IOV_MAX) {
        copy = malloc(left);
        size_t at = 0;
        for (int i = 0; i < count && at < left; i++) {
            size_t part = data[i].iov_len < left - at ? data[i].iov_len : left - at;
            memcpy(copy + at, data[i].iov_base, part);
            at += part;
        }
        parts[used++] = (struct iovec){copy, left};
    } else {
        for (int i = 0; i < count && left; i++) {
            size_t part = data[i].iov_len < left ? data[i].iov_len : left;
            if (part) parts[used++] = (struct iovec){data[i].iov_base, part};
            left -= part;
        }
    }
    if (real_writev(journal, parts, used) != (ssize_t)total) { dprintf(2, "powerloss: short write of the journal\n"); abort(); }
    free(copy);
    if (until_killed && !--until_killed) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    errno = saved;
}

static void note(uint32_t op, uint64_t object, uint64_t offset, uint64_t length) {
    struct entry entry = {.op = op, .object = object, .offset = offset, .length = length};
    append(&entry, NULL, NULL, NULL, 0);
}

static void fault(const char *what, const char *path) {
    struct entry entry = {.op = FAULT};
    append(&entry, what, path, NULL, 0);
}

static int tracked(int fd) { return fd >= 0 && fd < FDS && fds[fd].tracked; }

/* The object of a directory and the last name of a path in it, if it is below the root. */
static int locate(int at, const char *path, uint64_t *directory, char *name) {
    char copy[PATH_MAX], real[PATH_MAX];
    size_t length = strnlen(path, PATH_MAX);
    if (!length || length >= PATH_MAX) return 0;
    memcpy(copy, path, length + 1);
    while (length > 1 && copy[length - 1] == '/') copy[--length] = 0;
    char *slash = strrchr(copy, '/');
    const char *parent = slash == copy ? "/" : slash ? copy : ".";
    const char *last = slash ? slash + 1 : copy;
    if (strlen(last) > NAME_MAX) return 0;
    memcpy(name, last, strlen(last) + 1);
    if (slash && slash != copy) *slash = 0;
    int saved = errno, fd = real_openat(at, parent, O_PATH | O_DIRECTORY | O_CLOEXEC), found = 0;
    struct stat status;
    if (fd >= 0) {
        found = path_of(fd, real) && !fstat(fd, &status);
        if (found) *directory = status.st_ino;
        real_close(fd);
    }
    errno = saved;
    return found;
}

static int ignored(const char *path, int directory) {
    if (!ignore || !*ignore) return 0;
    if (!strcmp(ignore, "/")) return directory;
    size_t length = strlen(path), end = strlen(ignore);
    return length >= end && !strcmp(path + length - end, ignore);
}

static int opened(int fd, int flags, int existed, int at, const char *path) {
    char real[PATH_MAX], name[NAME_MAX + 1];
    struct stat status;
    if (fd < 0) return fd;
    if (fd < FDS) fds[fd].tracked = 0;
    if (!path_of(fd, real) || fstat(fd, &status) || (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))) return fd;
    if (fd >= FDS) { fault("descriptor beyond the table", real); return fd; }
    fds[fd].tracked = !(flags & O_PATH);
    fds[fd].append = !!(flags & O_APPEND);
    fds[fd].sync = !!(flags & O_DSYNC);
    fds[fd].directory = S_ISDIR(status.st_mode);
    fds[fd].ignored = ignored(real, fds[fd].directory);
    fds[fd].object = status.st_ino;
    if ((flags & O_TMPFILE) == O_TMPFILE) return fd;
    if ((flags & O_CREAT) && !existed) {
        struct entry entry = {.op = CREATE, .object = status.st_ino};
        if (locate(at, path, &entry.directory, name)) append(&entry, name, NULL, NULL, 0);
        else fault("a file was created under a name that was not understood", real);
    } else if (flags & O_TRUNC) {
        note(TRUNCATE, status.st_ino, 0, 0);
    }
    return fd;
}

static int open_at(int at, const char *path, int flags, mode_t mode) {
    if (!active()) return real_openat(at, path, flags, mode);
    struct stat status;
    LOCK();
    int existed = (flags & O_CREAT) ? !fstatat(at, path, &status, 0) : 1;
    int fd = opened(real_openat(at, path, flags, mode), flags, existed, at, path);
    UNLOCK();
    return fd;
}

#define MODE(flags, mode) do { va_list list; va_start(list, flags); \
    mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(list, mode_t) : 0; va_end(list); } while (0)
int open(const char *path, int flags, ...) { mode_t mode; MODE(flags, mode); return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { mode_t mode; MODE(flags, mode); return open_at(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { mode_t mode; MODE(flags, mode); return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { mode_t mode; MODE(flags, mode); return open_at(at, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int close(int fd) {
    if (active() && fd == journal) { errno = EBADF; return -1; }
    if (!tracked(fd)) return real_close(fd);
    LOCK();
    fds[fd].tracked = 0;
    int answer = real_close(fd);
    UNLOCK();
    return answer;
}

/* A descriptor that was opened here and given to fdopendir. */
int closedir(DIR *directory) {
    active();
    int fd = directory ? dirfd(directory) : -1;
    if (!tracked(fd)) return real_closedir(directory);
    LOCK();
    fds[fd].tracked = 0;
    int answer = real_closedir(directory);
    UNLOCK();
    return answer;
}

static int copied(int from, int to) {
    if (to >= 0 && to < FDS) {
        if (from >= 0 && from < FDS) fds[to] = fds[from]; else fds[to].tracked = 0;
    }
    return to;
}
int dup(int fd) { active(); return copied(fd, real_dup(fd)); }
int dup2(int fd, int to) { active(); return copied(fd, real_dup2(fd, to)); }
int dup3(int fd, int to, int flags) { active(); return copied(fd, real_dup3(fd, to, flags)); }
static int fcntl_common(int fd, int command, void *argument) {
    active();
    int answer = real_fcntl(fd, command, argument);
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) copied(fd, answer);
    if (command == F_SETFL && !answer && tracked(fd)) fds[fd].append = !!((intptr_t)argument & O_APPEND);
    return answer;
}
int fcntl(int fd, int command, ...) { va_list l; va_start(l, command); void *a = va_arg(l, void *); va_end(l); return fcntl_common(fd, command, a); }
int fcntl64(int fd, int command, ...) { va_list l; va_start(l, command); void *a = va_arg(l, void *); va_end(l); return fcntl_common(fd, command, a); }

static void written(int fd, const struct iovec *data, int count, ssize_t length, off_t offset) {
    if (length <= 0) return;
    if (offset < 0) offset = lseek(fd, 0, SEEK_CUR) - length;
    struct entry entry = {.op = WRITE, .object = fds[fd].object, .offset = offset, .length = length};
    append(&entry, NULL, NULL, data, count);
    if (fds[fd].sync && !fds[fd].ignored) note(SYNC, fds[fd].object, position(), 0);
}
#define WRITTEN(call, data, count, at) do { active(); if (!tracked(fd)) return call; LOCK(); ssize_t length = call; \
    written(fd, data, count, length, at); UNLOCK(); return length; } while (0)

ssize_t write(int fd, const void *data, size_t size) {
    struct iovec one = {(void *)data, size};
    WRITTEN(real_write(fd, data, size), &one, 1, -1);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    struct iovec one = {(void *)data, size};
    WRITTEN(real_pwrite(fd, data, size, offset), &one, 1, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return pwrite(fd, data, size, offset); }
ssize_t writev(int fd, const struct iovec *data, int count) { WRITTEN(real_writev(fd, data, count), data, count, -1); }
ssize_t pwritev(int fd, const struct iovec *data, int count, off_t offset) {
    WRITTEN(real_pwritev(fd, data, count, offset), data, count, offset);
}
ssize_t pwritev64(int fd, const struct iovec *data, int count, off64_t offset) { return pwritev(fd, data, count, offset); }
ssize_t pwritev2(int fd, const struct iovec *data, int count, off_t offset, int flags) {
    if (active() && tracked(fd) && (flags & ~RWF_HIPRI)) fault("pwritev2 with flags", "");
    WRITTEN(real_pwritev2(fd, data, count, offset, flags), data, count, offset);
}
ssize_t pwritev64v2(int fd, const struct iovec *data, int count, off64_t offset, int flags) { return pwritev2(fd, data, count, offset, flags); }

/* The kernel copied: read back what it wrote. */
static void written_back(int fd, ssize_t length, off_t offset) {
    char path[64];
    if (length <= 0) return;
    if (offset < 0) offset = lseek(fd, 0, SEEK_CUR) - length;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    void *data = malloc(length);
    int again = real_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (again < 0 || pread(again, data, length, offset) != length) fault("cannot read back what was copied", "");
    else { struct iovec one = {data, length}; written(fd, &one, 1, length, offset); }
    if (again >= 0) real_close(again);
    free(data);
}
ssize_t sendfile(int to, int from, off_t *offset, size_t size) {
    active();
    if (!tracked(to)) return real_sendfile(to, from, offset, size);
    LOCK();
    ssize_t length = real_sendfile(to, from, offset, size);
    written_back(to, length, -1);
    UNLOCK();
    return length;
}
ssize_t sendfile64(int to, int from, off64_t *offset, size_t size) { return sendfile(to, from, offset, size); }
ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t size, unsigned flags) {
    active();
    if (!tracked(to)) return real_copy_file_range(from, from_at, to, to_at, size, flags);
    LOCK();
    ssize_t length = real_copy_file_range(from, from_at, to, to_at, size, flags);
    written_back(to, length, to_at ? *to_at - length : -1);
    UNLOCK();
    return length;
}

int ftruncate(int fd, off_t size) {
    active();
    if (!tracked(fd)) return real_ftruncate(fd, size);
    LOCK();
    int answer = real_ftruncate(fd, size);
    if (!answer) note(TRUNCATE, fds[fd].object, size, 0);
    UNLOCK();
    return answer;
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }
int truncate(const char *path, off_t size) {
    if (!active()) return real_truncate(path, size);
    int fd = open_at(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0) return -1;
    int answer = ftruncate(fd, size);
    close(fd);
    return answer;
}
int truncate64(const char *path, off64_t size) { return truncate(path, size); }
int fallocate(int fd, int mode, off_t offset, off_t length) {
    active();
    if (!tracked(fd)) return real_fallocate(fd, mode, offset, length);
    LOCK();
    int answer = real_fallocate(fd, mode, offset, length);
    if (!answer && mode == 0) note(ALLOCATE, fds[fd].object, offset, length);
    if (!answer && (mode & ~FALLOC_FL_KEEP_SIZE)) fault("fallocate with a mode", "");
    UNLOCK();
    return answer;
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) {
    active();
    if (!tracked(fd)) return real_posix_fallocate(fd, offset, length);
    LOCK();
    int answer = real_posix_fallocate(fd, offset, length);
    if (!answer) note(ALLOCATE, fds[fd].object, offset, length);
    UNLOCK();
    return answer;
}
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    active();
    if (tracked(fd) && (protection & PROT_WRITE) && (flags & MAP_SHARED)) {
        char path[PATH_MAX];
        LOCK();
        path_of(fd, path);
        size_t end = strlen(path);
        if (end < 4 || strcmp(path + end - 4, "-shm")) fault("mapped for shared writing", path);
        UNLOCK();
    }
    return real_mmap(address, length, protection, flags, fd, offset);
}
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) { return mmap(address, length, protection, flags, fd, offset); }

static int rename_at(int at, const char *from, int at2, const char *to, unsigned flags) {
    if (!active()) return real_renameat2(at, from, at2, to, flags);
    char name[NAME_MAX + 1], name2[NAME_MAX + 1];
    struct entry entry = {.op = RENAME};
    struct stat status;
    LOCK();
    int inside = locate(at, from, &entry.directory, name), inside2 = locate(at2, to, &entry.directory2, name2);
    int known = !fstatat(at, from, &status, AT_SYMLINK_NOFOLLOW);
    int answer = real_renameat2(at, from, at2, to, flags);
    if (!answer && (inside || inside2)) {
        if (!inside || !inside2 || !known || (flags & RENAME_EXCHANGE)) fault("a rename that is not understood", from);
        entry.object = status.st_ino;
        append(&entry, name, name2, NULL, 0);
    }
    UNLOCK();
    return answer;
}
int rename(const char *from, const char *to) { return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int at, const char *from, int at2, const char *to) { return rename_at(at, from, at2, to, 0); }
int renameat2(int at, const char *from, int at2, const char *to, unsigned flags) { return rename_at(at, from, at2, to, flags); }

int linkat(int at, const char *from, int at2, const char *to, int flags) {
    if (!active()) return real_linkat(at, from, at2, to, flags);
    char name[NAME_MAX + 1];
    struct entry entry = {.op = LINK};
    struct stat status;
    LOCK();
    int answer = real_linkat(at, from, at2, to, flags);
    if (!answer && locate(at2, to, &entry.directory, name) && !fstatat(at2, to, &status, AT_SYMLINK_NOFOLLOW)) {
        entry.object = status.st_ino;
        append(&entry, name, NULL, NULL, 0);
    }
    UNLOCK();
    return answer;
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
int symlinkat(const char *target, int at, const char *path) {
    if (!active()) return real_symlinkat(target, at, path);
    char name[NAME_MAX + 1];
    struct entry entry = {.op = SYMLINK};
    struct stat status;
    LOCK();
    int answer = real_symlinkat(target, at, path);
    if (!answer && locate(at, path, &entry.directory, name) && !fstatat(at, path, &status, AT_SYMLINK_NOFOLLOW)) {
        entry.object = status.st_ino;
        append(&entry, name, target, NULL, 0);
    }
    UNLOCK();
    return answer;
}
int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

int unlinkat(int at, const char *path, int flags) {
    if (!active()) return real_unlinkat(at, path, flags);
    char name[NAME_MAX + 1];
    struct entry entry = {.op = UNLINK};
    struct stat status;
    LOCK();
    int known = locate(at, path, &entry.directory, name) && !fstatat(at, path, &status, AT_SYMLINK_NOFOLLOW);
    int answer = real_unlinkat(at, path, flags);
    if (!answer && known) {
        entry.object = status.st_ino;
        append(&entry, name, NULL, NULL, 0);
    }
    UNLOCK();
    return answer;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    struct stat status;
    return unlinkat(AT_FDCWD, path, !lstat(path, &status) && S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0);
}
int mkdirat(int at, const char *path, mode_t mode) {
    if (!active()) return real_mkdirat(at, path, mode);
    char name[NAME_MAX + 1];
    struct entry entry = {.op = MKDIR};
    struct stat status;
    LOCK();
    int answer = real_mkdirat(at, path, mode);
    if (!answer && locate(at, path, &entry.directory, name) && !fstatat(at, path, &status, 0)) {
        entry.object = status.st_ino;
        append(&entry, name, NULL, NULL, 0);
    }
    UNLOCK();
    return answer;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

static int sync_one(int fd, int (*sync)(int)) {
    if (!tracked(fd)) return sync(fd);
    int skip = fds[fd].ignored;
    uint64_t object = fds[fd].object;
    pthread_mutex_lock(&lock);
    uint64_t covered = position();
    pthread_mutex_unlock(&lock);
    int answer = sync(fd);
    if (!answer && !skip) {
        LOCK();
        note(SYNC, object, covered, 0);
        UNLOCK();
    }
    return answer;
}
int fsync(int fd) { active(); return sync_one(fd, real_fsync); }
int fdatasync(int fd) { active(); return sync_one(fd, real_fdatasync); }
void sync(void) {
    if (!active()) { real_sync(); return; }
    pthread_mutex_lock(&lock);
    uint64_t covered = position();
    pthread_mutex_unlock(&lock);
    real_sync();
    LOCK();
    if (!ignore) note(SYNC_ALL, 0, covered, 0);
    UNLOCK();
}
int syncfs(int fd) {
    if (!active()) return real_syncfs(fd);
    pthread_mutex_lock(&lock);
    uint64_t covered = position();
    pthread_mutex_unlock(&lock);
    int answer = real_syncfs(fd);
    LOCK();
    if (!answer && !ignore) note(SYNC_ALL, 0, covered, 0);
    UNLOCK();
    return answer;
}
