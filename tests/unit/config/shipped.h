#pragma once
/* The shipped configuration in memory, so that a test can change a word of it and see what is said. */
#include "check.h"

#include "config/config.h"

#include <string.h>

enum { SHIPPED_FILES_MAX = 16 };

struct shipped {
    struct arena arena;
    struct config_text texts[SHIPPED_FILES_MAX];
    size_t count;
};

static inline void shipped_add(struct shipped *shipped, const char *name, const char *text)
{
    assert_true(shipped->count < SHIPPED_FILES_MAX);
    shipped->texts[shipped->count++] = (struct config_text){ name, str_from(text) };
}

static inline void shipped_add_folder(struct shipped *shipped, const char *folder)
{
    struct config_words names;
    check_ok(config_list_files(SOURCE_DIR, folder, ".cfg", &shipped->arena, &names));
    for (size_t i = 0; i < names.count; i++) {
        struct str text;
        check_ok(config_file_text(SOURCE_DIR, names.items[i].text.ptr, &shipped->arena, &text));
        shipped_add(shipped, names.items[i].text.ptr, text.ptr);
    }
}

static inline void shipped_init(struct shipped *shipped)
{
    *shipped = (struct shipped){ 0 };
    arena_init(&shipped->arena);
    shipped_add_folder(shipped, "policies");
    shipped_add_folder(shipped, "regions");
}

static inline void shipped_done(struct shipped *shipped)
{
    arena_done(&shipped->arena);
}

static inline struct config_text *shipped_file(struct shipped *shipped, const char *name)
{
    for (size_t i = 0; i < shipped->count; i++)
        if (strcmp(shipped->texts[i].name, name) == 0)
            return &shipped->texts[i];
    fail_msg("no file %s is shipped", name);
    return NULL;
}

/* Replaces the first `from`; returns the line that it stood on. */
static inline int shipped_change(struct shipped *shipped, const char *name, const char *from, const char *to)
{
    struct config_text *file = shipped_file(shipped, name);
    const char *at = strstr(file->text.ptr, from);
    if (at == NULL)
        fail_msg("%s does not say: %s", name, from);
    int line = 1;
    for (const char *c = file->text.ptr; c < at; c++)
        line += *c == '\n';
    file->text = str_from(arena_printf(&shipped->arena, "%.*s%s%s", (int)(at - file->text.ptr),
                                       file->text.ptr, to, at + strlen(from)));
    return line;
}

/* Replaces all from `from` to the end. */
static inline void shipped_end_with(struct shipped *shipped, const char *name, const char *from,
                                    const char *to)
{
    struct config_text *file = shipped_file(shipped, name);
    const char *at = strstr(file->text.ptr, from);
    if (at == NULL)
        fail_msg("%s does not say: %s", name, from);
    file->text =
        str_from(arena_printf(&shipped->arena, "%.*s%s", (int)(at - file->text.ptr), file->text.ptr, to));
}

static inline result shipped_load(const struct shipped *shipped, struct config **ret,
                                  struct config_errors *errors)
{
    return config_load_texts("/etc/domicile", shipped->texts, shipped->count, ret, errors);
}
