#include "seal/key_file.h"

#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_trusted(uid_t owner)
{
    return owner == 0 || owner == geteuid();
}

/* `part` is a path from the root up to one of its parts, which `stat` of the directory above has led to. */
static result check_part(const char *part, const char *folder, const char *path, enum error_code code)
{
    struct stat above, at;
    if (stat(folder, &above) != 0 || lstat(part, &at) != 0)
        return FAIL(code, NULL, "cannot look at \"%s\": %s", part, strerror(errno));
    if ((above.st_mode & S_IWOTH) == 0 || ((above.st_mode & S_ISVTX) != 0 && is_trusted(at.st_uid)))
        return OK;
    return FAIL(code, "Move the file to where only root and the account that uses it can write.",
                "another account can exchange the key file \"%s\": everybody can write \"%s\"", path, folder);
}

/* `whole` is absolute. */
static result check_parts(const char *whole, const char *path, enum error_code code)
{
    char part[PATH_MAX], folder[PATH_MAX] = "/";
    for (const char *at = whole; *at != '\0';) {
        at += strspn(at, "/");
        at += strcspn(at, "/");
        size_t len = (size_t)(at - whole);
        if (len >= sizeof part)
            return FAIL(code, "Use a shorter path.", "the path \"%s\" is too long", path);
        memcpy(part, whole, len);
        part[len] = '\0';
        TRY(check_part(part, folder, path, code));
        memcpy(folder, part, len + 1);
    }
    return OK;
}

/* The way as it is written, and as it is after its links: either could be turned to another file. */
static result check_way(const char *path, enum error_code code)
{
    char here[PATH_MAX] = "", written[2 * PATH_MAX], real[PATH_MAX];
    if ((path[0] != '/' && getcwd(here, sizeof here) == NULL) || realpath(path, real) == NULL)
        return FAIL(code, "Check the path and the owner of the file.", "cannot look at \"%s\": %s", path,
                    strerror(errno));
    snprintf(written, sizeof written, "%s%s%s", here, here[0] != '\0' ? "/" : "", path);
    TRY(check_parts(written, path, code));
    return check_parts(real, path, code);
}

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
    if (!is_trusted(status.st_uid))
        return FAIL(
            code,
            "Run the command as that account (runuser -u ACCOUNT), or give the file to root if root alone "
            "uses it.",
            "the key file \"%s\" belongs to user %u, who could change it", path, (unsigned)status.st_uid);
    return check_way(path, code);
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
