/* System calls on one directory, counted, and at the chosen one: killed before or after it, or answered with an error.

   Preloaded, so that calls of Python, of SQLite and of Arrow are met alike. A process arms itself with arm(). Calls on
   files elsewhere pass untouched and uncounted.

       what  0 only count and log, 1 kill before the call, 2 kill after it, 3 errno once, 4 errno from then on,
             5 writes take no more than a sector from then on (other calls: as 0)
             6 power cut before the call, with the seed code: each sector that was written since its file was last
               synced gets back, or not, what stood in it before; then killed. Names are left as they are.
             7 errno for WHILE_CALLS calls: long enough for frames to be given up, and then it is over

   Armed for a power cut, calls come one at a time, and every write is preceded by a read of what it covers. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define WHILE_CALLS 10

static char directory[4096];
static size_t directory_bytes;
static long when;
static int what, code, log_fd = -1;
static __thread int ours; /* whether the call at hand is on the directory */
static atomic_long count;

void arm(const char *where, int what_, long when_, int code_, int log_fd_)
{
    snprintf(directory, sizeof directory, "%s/", where);
    directory_bytes = strlen(directory);
    when = when_, code = code_, log_fd = log_fd_;
    atomic_store(&count, 0);
    what = what_;
}

long calls(void) { return atomic_load(&count); }

static int met(const char *name, const char *path)
{
    ours = directory_bytes && !strncmp(path, directory, directory_bytes) && !strstr(path, "-shm");
    if (!ours)
        return 0;
    long number = atomic_fetch_add(&count, 1) + 1;
    if (log_fd >= 0) {
        char line[4200];
        int length = snprintf(line, sizeof line, "%ld %s %s\n", number, name, path + directory_bytes);
        syscall(SYS_write, log_fd, line, (size_t)length);
    }
    if (number == when || ((what == 4 || what == 5) && number > when))
        return what;
    if (what == 7 && number > when && number < when + WHILE_CALLS)
        return what;
    return 0;
}

static int met_fd(const char *name, int fd)
{
    char link[64], path[4096];
    ours = 0;
    if (!directory_bytes)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 2);
    if (length < 0)
        return 0;
    if ((size_t)length + 1 == directory_bytes)
        path[length++] = '/';
    path[length] = 0;
    return met(name, path);
}

/* ---- a disk that forgets ---- */

#define SECTOR 512

struct sector {
    struct sector *before;
    ino_t file;
    int handle; /* of its own, not direct; shared by all sectors of a file, never closed */
    off64_t at;
    char data[SECTOR];
};

static struct sector *unsynced;
static struct { ino_t file; int handle; } handles[4096];
static int handle_count;
static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;

static int handle_of(int fd, ino_t file)
{
    char link[64];
    for (int place = 0; place < handle_count; place++)
        if (handles[place].file == file)
            return handles[place].handle;
    if (handle_count == 4096)
        return -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    handles[handle_count].file = file;
    handles[handle_count].handle = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDWR);
    return handles[handle_count++].handle;
}

/* Keep what stands in the sectors that are about to be written. */
static void keep(int fd, off64_t at, size_t bytes)
{
    struct stat about;
    if (fstat(fd, &about))
        return;
    int handle = handle_of(fd, about.st_ino);
    off64_t end = at + (off64_t)bytes;
    for (at -= at % SECTOR; at < end && handle >= 0; at += SECTOR) {
        struct sector *one = calloc(1, sizeof *one);
        if (!one)
            return;
        syscall(SYS_pread64, handle, one->data, SECTOR, at);
        one->file = about.st_ino, one->handle = handle, one->at = at, one->before = unsynced;
        unsynced = one;
    }
}

static void synced(int fd)
{
    struct stat about;
    if (fstat(fd, &about))
        return;
    for (struct sector **link = &unsynced; *link;) {
        struct sector *one = *link;
        if (one->file == about.st_ino) {
            *link = one->before;
            free(one);
        } else {
            link = &one->before;
        }
    }
}

static void forget(void)
{
    unsigned seed = (unsigned)code;
    for (struct sector *one = unsynced; one; one = one->before) {
        struct stat about;
        if (rand_r(&seed) % 2 && !fstat(one->handle, &about) && one->at < about.st_size) {
            off64_t left = about.st_size - one->at;
            syscall(SYS_pwrite64, one->handle, one->data, left < SECTOR ? (size_t)left : SECTOR, one->at);
        }
    }
}

static int locked(void)
{
    if (what != 6)
        return 0;
    pthread_mutex_lock(&disk);
    return 1;
}

static void unlock(int *held)
{
    if (*held)
        pthread_mutex_unlock(&disk);
}

/* From here to the end of the function no other call is under way. */
#define ALONE int held_ __attribute__((cleanup(unlock))) = locked()

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) \
    real = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
    ALONE

#define AROUND(how, call, failed) \
    int how_ = (how), error_; \
    if (how_ == 6) \
        forget(); \
    if (how_ == 1 || how_ == 6) \
        die(); \
    if (how_ == 3 || how_ == 4 || how_ == 7) { \
        errno = code; \
        return failed; \
    } \
    __typeof__(call) result_ = (call); \
    error_ = errno; \
    if (how_ == 2) \
        die(); \
    errno = error_; \
    return result_

ssize_t write(int fd, const void *data, size_t bytes)
{
    REAL(write);
    int how = met_fd("write", fd);
    if (how == 5 && bytes > 1)
        bytes /= 2;
    if (held_ && how != 6 && ours)
        keep(fd, lseek(fd, 0, SEEK_CUR), bytes);
    AROUND(how, real(fd, data, bytes), -1);
}

#define PWRITE(name, offset_t_) \
    ssize_t name(int fd, const void *data, size_t bytes, offset_t_ offset) \
    { \
        REAL(name); \
        int how = met_fd("pwrite", fd); \
        if (how == 5 && bytes > 1) \
            bytes /= 2; \
        if (held_ && how != 6 && ours) \
            keep(fd, offset, bytes); \
        AROUND(how, real(fd, data, bytes, offset), -1); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

static size_t bytes_of(const struct iovec *parts, int number)
{
    size_t bytes = 0;
    while (number--)
        bytes += parts[number].iov_len;
    return bytes;
}

/* Whole sectors: the descriptor may be direct. */
static ssize_t sector(int fd, const struct iovec *part, off64_t offset)
{
    size_t bytes = part[0].iov_len < 512 ? part[0].iov_len : 512;
    return syscall(SYS_pwrite64, fd, part[0].iov_base, bytes, offset);
}

#define PWRITEV(name, offset_t_) \
    ssize_t name(int fd, const struct iovec *parts, int number, offset_t_ offset) \
    { \
        REAL(name); \
        int how = met_fd("pwritev", fd); \
        if (how == 5) \
            return sector(fd, parts, offset); \
        if (held_ && how != 6 && ours) \
            keep(fd, offset, bytes_of(parts, number)); \
        AROUND(how, real(fd, parts, number, offset), -1); \
    }
PWRITEV(pwritev, off_t)
PWRITEV(pwritev64, off64_t)

#define PWRITEV2(name, offset_t_) \
    ssize_t name(int fd, const struct iovec *parts, int number, offset_t_ offset, int flags) \
    { \
        REAL(name); \
        int how = met_fd("pwritev", fd); \
        if (how == 5) \
            return sector(fd, parts, offset); \
        if (held_ && how != 6 && ours) \
            keep(fd, offset, bytes_of(parts, number)); \
        AROUND(how, real(fd, parts, number, offset, flags), -1); \
    }
PWRITEV2(pwritev2, off_t)
PWRITEV2(pwritev64v2, off64_t)

int fsync(int fd)
{
    REAL(fsync);
    int how = met_fd("fsync", fd);
    if (how == 6)
        forget(), die();
    if (held_ && ours)
        synced(fd);
    AROUND(how, real(fd), -1);
}
int fdatasync(int fd)
{
    REAL(fdatasync);
    int how = met_fd("fdatasync", fd);
    if (how == 6)
        forget(), die();
    if (held_ && ours)
        synced(fd);
    AROUND(how, real(fd), -1);
}
int ftruncate(int fd, off_t size) { REAL(ftruncate); AROUND(met_fd("ftruncate", fd), real(fd, size), -1); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); AROUND(met_fd("ftruncate", fd), real(fd, size), -1); }
int posix_fallocate(int fd, off_t at, off_t bytes)
{
    REAL(posix_fallocate);
    AROUND(met_fd("fallocate", fd), real(fd, at, bytes), code);
}
int posix_fallocate64(int fd, off64_t at, off64_t bytes)
{
    REAL(posix_fallocate64);
    AROUND(met_fd("fallocate", fd), real(fd, at, bytes), code);
}
int rename(const char *from, const char *to) { REAL(rename); AROUND(met("rename", to), real(from, to), -1); }
int unlink(const char *path) { REAL(unlink); AROUND(met("unlink", path), real(path), -1); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); AROUND(met("mkdir", path), real(path, mode), -1); }

#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & O_CREAT) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        int how = (flags & (O_CREAT | O_WRONLY | O_RDWR)) ? met("open", path) : 0; \
        AROUND(how, real(path, flags, mode), -1); \
    }
OPEN(open)
OPEN(open64)
