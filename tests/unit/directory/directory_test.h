#pragma once
/* A directory file in a folder of its own. */
#include "loop/on_loop.h"

#include "directory/sqlite.h"
#include "loop/fiber.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[96];

static inline int make_folder(void **state)
{
    strcpy(folder, "/tmp/domicile-directory-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/directory.sqlite", folder);
    return 0;
}

static inline int remove_folder(void **state)
{
    DIR *files = opendir(folder);
    for (struct dirent *file; files != NULL && (file = readdir(files)) != NULL;)
        (void)unlinkat(dirfd(files), file->d_name, 0);
    if (files != NULL)
        closedir(files);
    return rmdir(folder);
}

static inline struct directory *open_here(void)
{
    struct directory *directory = NULL;
    check_ok(directory_open_sqlite(path, &directory));
    return directory;
}

static inline struct directory_entry entry_of(const char *id, const char *region, uint32_t epoch)
{
    return (struct directory_entry){ .id = str_from(id),
                                     .region = str_from(region),
                                     .cell = STR("main"),
                                     .epoch = epoch,
                                     .services_version = 3,
                                     .state = CUSTOMER_ACTIVE };
}
