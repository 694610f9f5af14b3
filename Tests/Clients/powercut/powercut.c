/*
 * A disk that keeps what was synced, and nothing else. Loaded into a program with LD_PRELOAD.
 *
 * The model, which is the least that POSIX promises of fsync(2): a file has the bytes that it had at its last
 * fsync or fdatasync, a folder has the names that it had at its last one. A file whose name is durable but which was
 * never synced is empty; one that was synced but whose name was not is not there.
 *
 * POWERCUT_ROOT is the folder that is followed, POWERCUT_DISK where the disk is kept:
 *   files/ID     the durable bytes of a file
 *   folders/ID   the durable names of a folder, a line each: "f ID NAME" or "d ID NAME"
 *   root         the ID of POWERCUT_ROOT
 *   syncs        a line for each sync: "file|folder|pretended BYTES PATH"
 * An ID is made of inode and birth time, so that an inode number that is used again is another file. What is there
 * when the program starts is durable.
 *
 * Only the bytes written since the last sync are copied. Writes through mmap are not seen: what is written that way
 * (SQLite's -shm) is not durable here.
 *
 * Planted faults: POWERCUT_LIE is a pattern (fnmatch(3)) of "file /PATH" or "folder /PATH", the path below the root.
 * A sync that it matches is pretended (POWERCUT_LIE_KIND=never), or a file's does what the sync before should have
 * done, so that the newest write is acknowledged before it is durable (=late).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES_MAX 4096 /* files with bytes to copy; a sync makes room again */
#define FOLDERS_DEEP_MAX 8

struct range {
    off_t from, to; /* nothing where from >= to */
    off_t size;     /* of the file, for a copy that comes late */
};

struct file {
    char id[64];
    struct range written, late;
};

static struct file files[FILES_MAX];
static int file_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX], disk[PATH_MAX];
static const char *lie;
static bool is_late;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

/* Libraries may write before this one's turn to begin has come. */
static void resolve(void)
{
    if (real_write)
        return;
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_write = dlsym(RTLD_NEXT, "write");
}

/* A disk that is wrong would make every finding worthless: the program ends instead. */
static void give_up(const char *what)
{
    fprintf(stderr, "Fatal error: powercut: %s: %s\n", what, strerror(errno));
    abort();
}

static bool is_followed(const char *path)
{
    size_t length = strlen(root);
    return length && !strncmp(path, root, length) && (path[length] == '/' || !path[length]);
}

/* Where an open file stands, if that is below the root. Deleted ones have " (deleted)" at their end. */
static bool path_of(int fd, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return false;
    path[length] = 0;
    return is_followed(path);
}

static bool identify(int folder, const char *name, char *id, struct statx *status)
{
    int flags = AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH);
    if (statx(folder, name, flags, STATX_BASIC_STATS | STATX_BTIME, status) != 0)
        return false;
    if (!(status->stx_mask & STATX_BTIME)) {
        errno = ENOTSUP;
        give_up("this file system keeps no birth times");
    }
    snprintf(id, 64, "%llu-%lld-%u", (unsigned long long)status->stx_ino, (long long)status->stx_btime.tv_sec,
        status->stx_btime.tv_nsec);
    return true;
}

static struct file *file_of(const char *id)
{
    for (int i = 0; i < file_count; i++)
        if (!strcmp(files[i].id, id))
            return &files[i];
    if (file_count == FILES_MAX)
        give_up("too many files with bytes that were never synced");
    struct file *file = &files[file_count++];
    memset(file, 0, sizeof *file);
    snprintf(file->id, sizeof file->id, "%s", id);
    return file;
}

static void forget(struct file *file)
{
    *file = files[--file_count];
}

static void extend(struct range *range, off_t from, off_t to)
{
    if (range->from >= range->to) {
        range->from = from;
        range->to = to;
        return;
    }
    if (from < range->from)
        range->from = from;
    if (to > range->to)
        range->to = to;
}

static bool is_pretended(const char *kind, const char *path)
{
    char line[PATH_MAX + 16];
    snprintf(line, sizeof line, "%s %s", kind, path + strlen(root));
    return lie && fnmatch(lie, line, 0) == 0;
}

static void note_sync(const char *kind, long long bytes, const char *path)
{
    char name[PATH_MAX + 16], line[PATH_MAX + 64];
    snprintf(name, sizeof name, "%s/syncs", disk);
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int length = snprintf(line, sizeof line, "%s %lld %s\n", kind, bytes, path + strlen(root));
    if (fd < 0 || real_write(fd, line, length) != length)
        give_up("syncs");
    close(fd);
}

/* The bytes of a range, as they are now. The file may be open for writing alone, so it is opened again. */
static void copy_range(int fd, const char *id, struct range range)
{
    char link[64], name[PATH_MAX + 80], buffer[1 << 16];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    snprintf(name, sizeof name, "%s/files/%s", disk, id);
    int from = open(link, O_RDONLY | O_CLOEXEC), to = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (from < 0 || to < 0 || real_ftruncate(to, range.size) != 0)
        give_up(name);
    for (off_t at = range.from; at < range.to && at < range.size;) {
        size_t wanted = range.to - at < (off_t)sizeof buffer ? range.to - at : (off_t)sizeof buffer;
        ssize_t count = pread(from, buffer, wanted, at);
        if (count < 0 || real_pwrite(to, buffer, count, at) != count)
            give_up(name);
        if (count == 0)
            break;
        at += count;
    }
    close(from);
    close(to);
}

static void sync_file(int fd, const char *path, const char *id, off_t size)
{
    struct file *file = file_of(id);
    struct range now = file->written;
    now.size = size;
    if (is_pretended("file", path)) {
        if (is_late) {
            if (file->late.size || file->late.to)
                copy_range(fd, id, file->late);
            file->late = now;
            file->written = (struct range){0};
        }
        note_sync("pretended", now.to - now.from, path);
        return;
    }
    copy_range(fd, id, now);
    note_sync("file", now.to > now.from ? now.to - now.from : 0, path);
    forget(file);
}

/* All names of a folder, written beside and renamed, so that they are the old ones or the new ones. */
static void keep_names(int fd, const char *id)
{
    char name[PATH_MAX + 80], part[PATH_MAX + 80];
    snprintf(name, sizeof name, "%s/folders/%s", disk, id);
    snprintf(part, sizeof part, "%s/folders/%s.part", disk, id);
    /* The descriptor's place in the folder is its owner's. */
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = again < 0 ? NULL : fdopendir(again);
    FILE *list = fopen(part, "we");
    if (!folder || !list)
        give_up(name);
    for (struct dirent *entry; (entry = readdir(folder));) {
        struct statx status;
        char entry_id[64];
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        /* Removed a moment ago: its name may be durable or not. */
        if (!identify(again, entry->d_name, entry_id, &status))
            continue;
        if (S_ISREG(status.stx_mode) || S_ISDIR(status.stx_mode))
            fprintf(list, "%c %s %s\n", S_ISDIR(status.stx_mode) ? 'd' : 'f', entry_id, entry->d_name);
    }
    closedir(folder);
    if (fclose(list) != 0 || rename(part, name) != 0)
        give_up(name);
}

static void sync_folder(int fd, const char *path, const char *id)
{
    bool is_kept = !is_pretended("folder", path);
    if (is_kept)
        keep_names(fd, id);
    note_sync(is_kept ? "folder" : "pretended", 0, path);
}

static void synced(int fd)
{
    char path[PATH_MAX], id[64];
    struct statx status;
    int kept = errno;
    if (!path_of(fd, path) || !identify(fd, "", id, &status))
        return;
    pthread_mutex_lock(&lock);
    if (S_ISDIR(status.stx_mode))
        sync_folder(fd, path, id);
    else if (S_ISREG(status.stx_mode))
        sync_file(fd, path, id, status.stx_size);
    pthread_mutex_unlock(&lock);
    errno = kept;
}

/* After a write: another thread that syncs meanwhile is not asked for these bytes, one that syncs later is. */
static void written(int fd, off_t from, off_t to)
{
    char path[PATH_MAX], id[64];
    struct statx status;
    int kept = errno;
    if (from < to && path_of(fd, path) && identify(fd, "", id, &status) && S_ISREG(status.stx_mode)) {
        pthread_mutex_lock(&lock);
        extend(&file_of(id)->written, from, to);
        pthread_mutex_unlock(&lock);
    }
    errno = kept;
}

/* After a write at the file's own place, which the write has moved; what has no place is no file. */
static void written_here(int fd, ssize_t count)
{
    int kept = errno;
    off_t end = count > 0 ? lseek(fd, 0, SEEK_CUR) : -1;
    errno = kept;
    if (end >= 0)
        written(fd, end - count, end);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    resolve();
    ssize_t count = real_write(fd, bytes, size);
    written_here(fd, count);
    return count;
}

ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
    resolve();
    ssize_t count = real_writev(fd, parts, part_count);
    written_here(fd, count);
    return count;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at)
{
    resolve();
    ssize_t count = real_pwrite(fd, bytes, size, at);
    written(fd, at, at + count);
    return count;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    return pwrite64(fd, bytes, size, at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int part_count, off_t at)
{
    resolve();
    ssize_t count = real_pwritev(fd, parts, part_count, at);
    written(fd, at, at + count);
    return count;
}

ssize_t pwritev(int fd, const struct iovec *parts, int part_count, off_t at)
{
    return pwritev64(fd, parts, part_count, at);
}

/* What is cut off and written again later, with a hole between, reads as zeros there. */
int ftruncate64(int fd, off_t size)
{
    struct stat before;
    bool is_known = fstat(fd, &before) == 0;
    resolve();
    int result = real_ftruncate(fd, size);
    if (result == 0 && is_known)
        written(fd, before.st_size < size ? before.st_size : size, before.st_size < size ? size : before.st_size);
    return result;
}

int ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}

int fsync(int fd)
{
    resolve();
    int result = real_fsync(fd);
    if (result == 0)
        synced(fd);
    return result;
}

int fdatasync(int fd)
{
    resolve();
    int result = real_fdatasync(fd);
    if (result == 0)
        synced(fd);
    return result;
}

/* What is there at the start is durable. */
static void take_over(int folder, int depth)
{
    char id[64];
    struct statx status;
    if (depth > FOLDERS_DEEP_MAX || !identify(folder, "", id, &status))
        give_up("a folder that is there at the start");
    keep_names(folder, id);
    DIR *entries = fdopendir(dup(folder));
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        int fd = openat(folder, entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || !identify(fd, "", id, &status))
            give_up(entry->d_name);
        if (S_ISDIR(status.stx_mode))
            take_over(fd, depth + 1);
        else
            copy_range(fd, id, (struct range){0, status.stx_size, status.stx_size});
        close(fd);
    }
    closedir(entries);
}

__attribute__((constructor)) static void begin(void)
{
    resolve();
    /* Programs that this one starts have nothing to do with the disk. */
    unsetenv("LD_PRELOAD");
    const char *folder = getenv("POWERCUT_ROOT"), *kept = getenv("POWERCUT_DISK"), *kind = getenv("POWERCUT_LIE_KIND");
    if (!folder || !kept)
        return;
    char name[PATH_MAX + 16], id[64];
    struct statx status;
    if (!realpath(folder, root) || !realpath(kept, disk))
        give_up("POWERCUT_ROOT and POWERCUT_DISK");
    int top = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0 || !identify(top, "", id, &status))
        give_up(root);
    take_over(top, 0);
    close(top);
    snprintf(name, sizeof name, "%s/root", disk);
    FILE *file = fopen(name, "we");
    if (!file || fprintf(file, "%s\n", id) < 0 || fclose(file) != 0)
        give_up(name);
    lie = getenv("POWERCUT_LIE");
    is_late = kind && !strcmp(kind, "late");
}
