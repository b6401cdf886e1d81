#pragma once
/* A directory file in a folder of its own, and checks for code that runs on a fiber: cmocka's fail() must not jump off
 * a fiber's stack, so the first thing found wrong is kept and judged outside. */
#include "check.h"

#include "base/text.h"
#include "directory/sqlite.h"
#include "loop/fiber.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char found[1024];
#define expect(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition) && found[0] == '\0')                                                                \
            text_fit(found, sizeof found, "%s:%d: %s", __FILE__, __LINE__, #condition);                      \
    } while (0)
#define expect_code(expected, expression)                                                                    \
    do {                                                                                                     \
        const result expect_result_ = (expression);                                                          \
        if (expect_result_.error.code != (expected) && found[0] == '\0')                                     \
            text_fit(found, sizeof found, "%s:%d: %s gave %s (%s), expected %s", __FILE__, __LINE__,         \
                     #expression, error_name(expect_result_.error.code), expect_result_.error.what,          \
                     error_name(expected));                                                                  \
    } while (0)
#define expect_ok(expression) expect_code(E_OK, expression)

static char folder[64], path[96];

static inline void run_on_loop(void (*body)(void *arg))
{
    found[0] = '\0';
    check_ok(loop_run(body, NULL));
    if (found[0] != '\0')
        fail_msg("%s", found);
}

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
    expect_ok(directory_open_sqlite(path, &directory));
    if (directory == NULL)
        fprintf(stderr, "%s\n", found), abort();
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
