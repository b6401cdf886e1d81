/* The file itself: made once, and the same one as long as it is open. */
#include "directory/sqlite_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

result sqlite_file_identify(const char *path, struct file_identity *ret)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return FAIL(E_DIRECTORY,
                    "Put the file back where it was; if it is lost, restore it and restart the gateways.",
                    "directory file \"%s\": %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return FAIL(E_DIRECTORY, "Choose another path for the directory.",
                    "directory \"%s\" is not a regular file", path);
    if ((st.st_mode & S_IRWXO) != 0)
        return FAIL(E_DIRECTORY, "Run: chmod 0640 FILE.",
                    "directory file \"%s\" is accessible to other users (mode %04o)", path,
                    st.st_mode & 07777U);
    *ret = (struct file_identity){ st.st_dev, st.st_ino };
    return OK;
}

result sqlite_file_still_there(const char *path, struct file_identity known)
{
    struct file_identity now;
    TRY(sqlite_file_identify(path, &now));
    if (now.device != known.device || now.inode != known.inode)
        return FAIL(E_DIRECTORY, "Put the earlier file back; if that is not possible, restart the gateways.",
                    "directory file \"%s\" was replaced while the program was running", path);
    return OK;
}

/* Only a file that was not there is opened here: closing a descriptor of one that another handle of this process has
 * open would drop that one's locks (fcntl(2)). */
result sqlite_file_create(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0 && errno == EEXIST)
        return OK;
    if (fd < 0)
        return FAIL(E_DIRECTORY, "Create its folder, and allow the gateway's user to write there.",
                    "directory file \"%s\" cannot be created: %s", path, strerror(errno));
    close(fd);
    char *copy = strdup(path);
    must(copy != NULL);
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    bool synced = folder >= 0 && fsync(folder) == 0;
    int cause = errno;
    if (folder >= 0)
        close(folder);
    if (!synced)
        return FAIL(E_DIRECTORY, "Check the disk that holds the directory, and the kernel's log.",
                    "cannot sync the folder of the directory file \"%s\": %s", path, strerror(cause));
    return OK;
}
