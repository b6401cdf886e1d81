#pragma once
/* Calls of the C library that fail when a test says so. tests/unit/FOLDER/test_failing.c is linked so that these of its
 * folder come here (CMakeLists.txt has the same list): what a full disk or a lack of memory does can then be seen. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    const char *name; /* of the call; NULL: none fails */
    int after;        /* so many of them go well before it */
    int code;         /* what errno then says */
} failing;

static inline void fail_at(const char *name, int after, int code)
{
    failing.name = name;
    failing.after = after;
    failing.code = code;
}

/* True if a call failed since fail_at, so that a test sees that it tests something. */
static inline bool has_failed(void)
{
    bool has = failing.name == NULL;
    failing.name = NULL;
    return has;
}

static inline bool fails_now(const char *name)
{
    if (failing.name == NULL || strcmp(failing.name, name) != 0 || failing.after-- > 0)
        return false;
    failing.name = NULL;
    errno = failing.code;
    return true;
}

#define FAILING(type, failure, name, parameters, arguments)                                                  \
    type __real_##name parameters;                                                                           \
    type __wrap_##name parameters;                                                                           \
    type __wrap_##name parameters                                                                            \
    {                                                                                                        \
        return fails_now(#name) ? (failure) : __real_##name arguments;                                       \
    }

FAILING(void *, NULL, malloc, (size_t size), (size))
FAILING(void *, NULL, calloc, (size_t count, size_t size), (count, size))
FAILING(void *, NULL, realloc, (void *memory, size_t size), (memory, size))
FAILING(void *, NULL, aligned_alloc, (size_t align, size_t size), (align, size))
FAILING(void *, MAP_FAILED, mmap, (void *at, size_t size, int prot, int flags, int fd, off_t offset),
        (at, size, prot, flags, fd, offset))
FAILING(int, -1, mlock, (const void *at, size_t size), (at, size))
FAILING(ssize_t, -1, read, (int fd, void *bytes, size_t size), (fd, bytes, size))
FAILING(ssize_t, -1, write, (int fd, const void *bytes, size_t size), (fd, bytes, size))
FAILING(int, -1, fsync, (int fd), (fd))
FAILING(int, -1, fchmod, (int fd, mode_t mode), (fd, mode))
FAILING(int, -1, fstat, (int fd, struct stat *status), (fd, status))
FAILING(int, -1, pipe2, (int ends[2], int flags), (ends, flags))
FAILING(int, -1, pidfd_open, (pid_t pid, unsigned int flags), (pid, flags))
FAILING(int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol))
FAILING(int, -1, poll, (struct pollfd * fds, nfds_t count, int within_ms), (fds, count, within_ms))

/* How many files this process has open. */
static inline int open_files(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}
