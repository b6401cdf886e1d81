#pragma once
/* Files with a key in them. */
#include "base/str.h"

#include <sys/types.h>

/* Opens for reading. Refused with `code`: it cannot be opened, is not a regular file, has a mode other than 0600 or 0400,
 * belongs neither to this user nor to root, or stands where another account could put another file in its place: below a
 * directory that everybody can write, unless that is sticky and the part of the path in it this user's or root's. Root has
 * no more trust: who chooses the key that root seals with can read what is sealed. Directories that a group may write are
 * the operator's choice. The caller closes. Does not wait for a FIFO's writer. Blocks on the disk. */
result key_file_open(const char *path, enum error_code code, int *ret_fd) MUST_USE;

/* A new file with these bytes and this mode, whatever the umask; on disk when this returns. E_CONFLICT: there is one
 * already, and it is left alone; E_IO: and there is none. */
result key_file_create(const char *path, mode_t mode, struct str bytes) MUST_USE;
