#pragma once
/* The embedded directory: one SQLite file (WAL, synchronous=FULL) shared by the gateways of one host. A kill
 * -9 or a power cut at any time leaves it whole. On a local file system only: WAL needs shared memory.
 *
 * The file is created if it is not there, mode 0640; its -wal and -shm files follow. A statement waits at
 * most two seconds for another process's write. A file that is replaced or removed under an open directory
 * makes every call fail with E_DIRECTORY until the file is back: another file has other contents.
 */
#include "directory/directory.h"

/* Waits. E_DIRECTORY: no such folder, no permission, not a database, another program's database, a newer
 * schema, a mode that allows other users to read or write. */
result directory_open_sqlite(const char *path, struct directory **ret) MUST_USE;
