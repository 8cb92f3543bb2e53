/* Preloaded: counts the calls that change files, and kills the process at the n-th, which a write does by half.
 *
 * A mapped file is the control: the number of the call to die at (0: none), and how many there were. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static uint64_t *control;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("PROBITY_KILL");
    int (*really)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    int file = path ? really(path, O_RDWR) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) control = mapped;
    close(file);
}

static int dies(void) {
    return control && __atomic_add_fetch(&control[1], 1, __ATOMIC_SEQ_CST) == control[0];
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

#define REAL(result, name, ...) ((result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))
#define WRAP(result, name, parameters, arguments, ...) \
    result name parameters {                           \
        if (dies()) die();                             \
        return REAL(result, name, __VA_ARGS__) arguments; \
    }

WRAP(int, fsync, (int file), (file), int)
WRAP(int, fdatasync, (int file), (file), int)
WRAP(int, rename, (const char *from, const char *to), (from, to), const char *, const char *)
WRAP(int, unlink, (const char *path), (path), const char *)
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode), const char *, mode_t)
WRAP(int, fchmod, (int file, mode_t mode), (file, mode), int, mode_t)
WRAP(int, ftruncate, (int file, off_t length), (file, length), int, off_t)
WRAP(int, ftruncate64, (int file, off64_t length), (file, length), int, off64_t)
WRAP(ssize_t, copy_file_range, (int a, off64_t *i, int b, off64_t *j, size_t n, unsigned f), (a, i, b, j, n, f), int, off64_t *,
     int, off64_t *, size_t, unsigned)

/* Standard output and error are no files of ours. */
ssize_t write(int file, const void *bytes, size_t n) {
    ssize_t (*really)(int, const void *, size_t) = REAL(ssize_t, write, int, const void *, size_t);
    if (file > 2 && dies()) {
        really(file, bytes, n / 2);
        die();
    }
    return really(file, bytes, n);
}

ssize_t writev(int file, const struct iovec *parts, int n) {
    ssize_t (*really)(int, const struct iovec *, int) = REAL(ssize_t, writev, int, const struct iovec *, int);
    if (file > 2 && dies()) die();
    return really(file, parts, n);
}

#define PWRITE(name, offset_t)                                                                                        \
    ssize_t name(int file, const void *bytes, size_t n, offset_t at) {                                                \
        ssize_t (*really)(int, const void *, size_t, offset_t) = REAL(ssize_t, name, int, const void *, size_t, offset_t); \
        if (dies()) {                                                                                                 \
            really(file, bytes, n / 2, at);                                                                           \
            die();                                                                                                    \
        }                                                                                                             \
        return really(file, bytes, n, at);                                                                            \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define OPEN(name)                                                                         \
    int name(const char *path, int flags, ...) {                                           \
        va_list rest;                                                                      \
        va_start(rest, flags);                                                             \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;          \
        va_end(rest);                                                                      \
        if (flags & (O_CREAT | O_TRUNC) && dies()) die();                                  \
        return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name))(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
