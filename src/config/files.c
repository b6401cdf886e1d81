#include "config/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool ends_with(const char *name, const char *suffix)
{
    size_t length = strlen(name), tail = strlen(suffix);
    return length > tail && name[0] != '.' && strcmp(name + length - tail, suffix) == 0;
}

static int by_text(const void *a, const void *b)
{
    return str_compare(((const struct config_word *)a)->text, ((const struct config_word *)b)->text);
}

result config_list_files(const char *dir, const char *subdirectory, const char *suffix, struct arena *arena,
                         struct config_words *ret)
{
    const char *path = arena_printf(arena, "%s/%s", dir, subdirectory);
    DIR *open = opendir(path);
    if (open == NULL)
        return FAIL(E_CONFIG, "A configuration directory has regions/ and policies/; see domicile.cfg(5).",
                    "the directory \"%s\" cannot be read: %s", path, strerror(errno));
    struct config_word *words = arena_array(arena, struct config_word, CONFIG_FILES_MAX);
    size_t count = 0;
    bool full = false;
    const struct dirent *entry;
    while ((entry = readdir(open)) != NULL && !full) {
        if (!ends_with(entry->d_name, suffix))
            continue;
        full = count == CONFIG_FILES_MAX;
        if (!full)
            words[count++].text = str_from(arena_printf(arena, "%s/%s", subdirectory, entry->d_name));
    }
    closedir(open);
    if (full)
        return FAIL(E_CONFIG, "Merge some of the files.",
                    "the directory \"%s\" has more than %d files \"*%s\"", path, CONFIG_FILES_MAX, suffix);
    qsort(words, count, sizeof words[0], by_text);
    *ret = (struct config_words){ words, count };
    return OK;
}

static result read_all(int fd, const char *path, struct arena *arena, struct str *ret)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return FAIL(E_CONFIG, NULL, "\"%s\" is not a file", path);
    if (status.st_size > CONFIG_FILE_BYTES_MAX)
        return FAIL(E_CONFIG, "Split the file.", "the file \"%s\" is larger than %d bytes", path,
                    CONFIG_FILE_BYTES_MAX);
    size_t size = (size_t)status.st_size, used = 0;
    char *text = arena_alloc(arena, size + 1);
    while (used < size) {
        ssize_t got = read(fd, text + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return FAIL(E_CONFIG, NULL, "the file \"%s\" cannot be read: %s", path, strerror(errno));
        if (got == 0)
            break;
        used += (size_t)got;
    }
    text[used] = '\0';
    *ret = (struct str){ text, used };
    return OK;
}

result config_file_text(const char *dir, const char *name, struct arena *arena, struct str *ret)
{
    const char *path = name[0] == '/' ? name : arena_printf(arena, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us */
    if (fd < 0)
        return FAIL(E_CONFIG, NULL, "the file \"%s\" cannot be read: %s", path, strerror(errno));
    result r = read_all(fd, path, arena, ret);
    close(fd);
    return r;
}
