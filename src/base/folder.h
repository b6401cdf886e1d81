#pragma once
/* A folder for one account alone, such as state_path. */
#include "base/result.h"

/* Opens it; made, with mode 0700, if it is not there, and there after a crash. Blocks on the disk. What root makes belongs
 * to whoever has the folder above, who could not use it otherwise. Refused with `code`: it is no directory but a link, open to
 * others, or of another user (root takes whoever's). The caller closes. */
result folder_open_private(const char *path, enum error_code code, int *ret_fd) MUST_USE;

/* A file that was made in that folder: root gives it to whoever has the folder. False: errno says why. */
bool folder_give(int folder_fd, int file_fd) MUST_USE;
