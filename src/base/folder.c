#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool folder_give(int folder_fd, int file_fd)
{
    struct stat owner;
    return geteuid() != 0 ||
           (fstat(folder_fd, &owner) == 0 && fchown(file_fd, owner.st_uid, owner.st_gid) == 0);
}

static bool settle(int fd)
{
    int above = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool settled = above >= 0 && folder_give(above, fd) && fsync(above) == 0;
    int why = errno;
    if (above >= 0)
        close(above);
    errno = why;
    return settled;
}

static result check(int fd, const char *path, enum error_code code)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return FAIL(code, NULL, "cannot look at \"%s\": %s", path, strerror(errno));
    if ((status.st_uid != geteuid() && geteuid() != 0) || (status.st_mode & 077) != 0)
        return FAIL(code, "Make it a directory that belongs to this user, and run: chmod 0700 on it.",
                    "\"%s\" is accessible to other users, or is not a directory of this user", path);
    return OK;
}

result folder_open_private(const char *path, enum error_code code, int *ret_fd)
{
    static const char hint[] = "Check the disk and the permissions of the parent directory, then try again.";
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return FAIL(code, hint, "cannot create \"%s\": %s", path, strerror(errno));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return FAIL(code, hint, "cannot open the directory \"%s\": %s", path, strerror(errno));
    result r = made && !settle(fd) ? FAIL(code, hint, "cannot create \"%s\": %s", path, strerror(errno))
                                   : check(fd, path, code);
    if (failed(r)) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return OK;
}
