#pragma once
/* A folder for one account alone, such as state_path. */
#include "base/result.h"

/* Opens the folder. If it does not exist, it is created with mode 0700 and synced to disk. Blocks on the disk. A folder
 * that root creates belongs to the owner of the parent folder, who could not use it otherwise. Refused with `code`: it
 * is a link or no directory, accessible to other users, or owned by another user (root accepts every owner). The caller
 * closes. */
result folder_open_private(const char *path, enum error_code code, int *ret_fd) MUST_USE;

/* For a file created in that folder: root makes the folder's owner the file's owner. False: errno says why. */
bool folder_give(int folder_fd, int file_fd) MUST_USE;
