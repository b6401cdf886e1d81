/* What changed between two snapshots, in words, found by walking both along the schema. */
#include "config/internal.h"

enum { CHANGES_MAX = 1000 };

struct comparison {
    struct arena *arena;
    struct config_change *items;
    size_t count;
};

/* Where in the configuration: "region "us": limits." */
struct path {
    const char *text;
    bool restart;
};

static void add_change(struct comparison *comparison, const struct path *path, const char *what)
{
    if (comparison->count < CHANGES_MAX)
        comparison->items[comparison->count++] = (struct config_change){ what, path->restart };
}

/* ---- values ---- */
static bool words_equal(const struct config_words *a, const struct config_words *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!str_eq(a->items[i].text, b->items[i].text))
            return false;
    return true;
}

static struct str string_at(const struct schema_key *key, const void *at)
{
    if (key->kind == KEY_NAME || key->kind == KEY_BLOC)
        return *(const struct str *)at;
    return str_from(*(const char *const *)at);
}

static bool value_equal(const struct schema_key *key, const void *a, const void *b)
{
    switch (key->kind) {
    case KEY_INT:
        return *(const uint32_t *)a == *(const uint32_t *)b;
    case KEY_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case KEY_DEGREES:
        return memcmp(a, b, sizeof(double)) == 0;
    case KEY_WORDS:
    case KEY_PATHS:
        return words_equal(a, b);
    default:
        return str_eq(string_at(key, a), string_at(key, b));
    }
}

static const char *words_text(struct arena *arena, const struct config_words *words)
{
    const char *text = "";
    for (size_t i = 0; i < words->count; i++)
        text = arena_printf(arena, "%s%s%s", text, i > 0 ? " " : "", words->items[i].text.ptr);
    return arena_printf(arena, "[%s]", text);
}

static const char *value_text(struct arena *arena, const struct schema_key *key, const void *at)
{
    switch (key->kind) {
    case KEY_INT:
        return arena_printf(arena, "%u", *(const uint32_t *)at);
    case KEY_BOOL:
        return *(const bool *)at ? "true" : "false";
    case KEY_DEGREES:
        return arena_printf(arena, "%g", *(const double *)at);
    case KEY_WORDS:
    case KEY_PATHS:
        return words_text(arena, at);
    default:
        return string_at(key, at).ptr == NULL ? "not set"
                                              : arena_printf(arena, "\"%s\"", string_at(key, at).ptr);
    }
}

/* ---- groups ---- */
static void compare_group(struct comparison *comparison, const struct path *path, const struct schema *schema,
                          const void *from, const void *to);

struct group_list {
    const char *items;
    size_t count;
};

static struct group_list list_at(const struct schema_key *key, const void *group)
{
    struct group_list list;
    memcpy(&list.items, (const char *)group + key->offset, sizeof list.items);
    memcpy(&list.count, (const char *)group + key->count_offset, sizeof list.count);
    must(list.items != NULL || list.count == 0);
    return list;
}

/* Groups without a name (listen addresses) are known by their number. */
static struct str group_name(const struct schema *schema, const void *group)
{
    const struct schema_key *key = schema_find(schema, "name");
    return key == NULL ? (struct str){ 0 } : string_at(key, (const char *)group + key->offset);
}

static const void *find_group(const struct schema *schema, const struct group_list *list, struct str name,
                              size_t index)
{
    if (name.ptr == NULL)
        return index < list->count ? list->items + index * schema->size : NULL;
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(group_name(schema, list->items + i * schema->size), name))
            return list->items + i * schema->size;
    return NULL;
}

static const char *group_text(struct arena *arena, const struct schema *schema, struct str name, size_t index)
{
    return name.ptr == NULL ? arena_printf(arena, "%s %zu", schema->what, index + 1)
                            : arena_printf(arena, "%s \"%s\"", schema->what, name.ptr);
}

static void compare_lists(struct comparison *comparison, const struct path *path, const struct schema *schema,
                          const struct group_list *from, const struct group_list *to)
{
    for (size_t i = 0; i < from->count; i++) {
        const void *old = from->items + i * schema->size;
        struct str name = group_name(schema, old);
        const void *new = find_group(schema, to, name, i);
        const char *text = group_text(comparison->arena, schema, name, i);
        const struct path inner = { arena_printf(comparison->arena, "%s%s: ", path->text, text),
                                    path->restart };
        if (new == NULL)
            add_change(comparison, path, arena_printf(comparison->arena, "%s%s is gone", path->text, text));
        else
            compare_group(comparison, &inner, schema, old, new);
    }
    for (size_t i = 0; i < to->count; i++) {
        struct str name = group_name(schema, to->items + i * schema->size);
        if (find_group(schema, from, name, i) == NULL)
            add_change(comparison, path,
                       arena_printf(comparison->arena, "%s%s is new", path->text,
                                    group_text(comparison->arena, schema, name, i)));
    }
}

static void compare_key(struct comparison *comparison, const struct path *path, const struct schema_key *key,
                        const void *from, const void *to)
{
    struct arena *arena = comparison->arena;
    const void *a = (const char *)from + key->offset, *b = (const char *)to + key->offset;
    const struct path here = { path->text, path->restart || key->restart };
    if (key->kind == KEY_GROUPS) {
        const struct group_list old = list_at(key, from), new = list_at(key, to);
        compare_lists(comparison, &here, key->schema, &old, &new);
    } else if (key->kind == KEY_GROUP) {
        const struct path inner = { arena_printf(arena, "%s%s.", path->text, key->name), here.restart };
        compare_group(comparison, &inner, key->schema, a, b);
    } else if (!value_equal(key, a, b)) {
        add_change(comparison, &here,
                   arena_printf(arena, "%s%s was %s, is %s", path->text, key->name, value_text(arena, key, a),
                                value_text(arena, key, b)));
    }
}

static void compare_group(struct comparison *comparison, const struct path *path, const struct schema *schema,
                          const void *from, const void *to)
{
    for (size_t i = 0; i < schema->count; i++)
        compare_key(comparison, path, &schema->keys[i], from, to);
}

void config_compare(const struct config *from, const struct config *to, struct arena *arena,
                    struct config_changes *ret)
{
    static const struct schema *const schemas[] = { &schema_top, &schema_whole, &schema_policies };
    struct comparison comparison = { arena, arena_array(arena, struct config_change, CHANGES_MAX), 0 };
    for (size_t i = 0; i < COUNT(schemas); i++)
        compare_group(&comparison, &(struct path){ "", false }, schemas[i], from, to);
    *ret = (struct config_changes){ comparison.items, comparison.count };
}
