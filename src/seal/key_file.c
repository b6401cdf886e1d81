#include "seal/key_file.h"

#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static result check(int fd, const char *path, enum error_code code)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return FAIL(code, NULL, "cannot look at \"%s\": %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return FAIL(code, "Name the file that holds the key.", "\"%s\" is not a regular file", path);
    if ((status.st_mode & 0177) != 0)
        return FAIL(code, "Run chmod 0600 on the file, and find out who could read it.",
                    "the key file \"%s\" is accessible to other users (mode %04o)", path,
                    (unsigned)(status.st_mode & 07777));
    return OK;
}

result key_file_open(const char *path, enum error_code code, int *ret_fd)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return FAIL(code, "Check the path and the owner of the file.", "cannot open the key file \"%s\": %s",
                    path, strerror(errno));
    result r = check(fd, path, code);
    if (failed(r)) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return OK;
}

static result sync_folder(const char *path)
{
    struct arena arena;
    arena_init(&arena);
    const char *slash = strrchr(path, '/');
    const char *folder =
        slash == NULL ? "." : arena_cstr(&arena, (struct str){ path, (size_t)(slash - path) + 1 });
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    result r = OK;
    if (fd < 0 || fsync(fd) != 0)
        r = FAIL(E_IO, NULL, "cannot sync the folder \"%s\": %s", folder, strerror(errno));
    if (fd >= 0)
        close(fd);
    arena_done(&arena);
    return r;
}

static result fill(int fd, const char *path, mode_t mode, struct str bytes)
{
    if (write(fd, bytes.ptr, bytes.len) != (ssize_t)bytes.len || fchmod(fd, mode) != 0 || fsync(fd) != 0)
        return FAIL(E_IO, "Check the free space on the disk.", "cannot write \"%s\": %s", path,
                    strerror(errno));
    return sync_folder(path);
}

result key_file_create(const char *path, mode_t mode, struct str bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return FAIL(E_CONFLICT, "Move the file away if it is not needed: a key file is never overwritten.",
                    "the file \"%s\" already exists", path);
    if (fd < 0)
        return FAIL(E_IO, "Check that the folder exists and that this user may write to it.",
                    "cannot create \"%s\": %s", path, strerror(errno));
    result r = fill(fd, path, mode, bytes);
    close(fd);
    if (failed(r))
        unlink(path);
    return r;
}
