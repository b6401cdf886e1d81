/* Walks the tree that libconfig made of a file against the schema, and writes what it finds where the schema says. */
#include "config/internal.h"

#include <arpa/inet.h>
#include <ctype.h>

enum { TEXT_MAX = 512 };

struct reading {
    struct loader *loader;
    const char *file, *what; /* the file, and the kind of group that the key is in */
    const struct schema_key *key;
    const config_setting_t *setting;
    void *target; /* of the key */
};

static struct arena *arena_of(const struct reading *reading)
{
    return &reading->loader->config->arena;
}

static int line_of(const config_setting_t *setting)
{
    return (int)config_setting_source_line(setting);
}

#define COMPLAIN(reading, hint, ...)                                                                         \
    config_complain((reading)->loader, (reading)->file, line_of((reading)->setting), (hint), __VA_ARGS__)

static void complain_type(const struct reading *reading, const char *wanted)
{
    COMPLAIN(reading, reading->key->help, "\"%s\" of a %s is not %s", reading->key->name, reading->what,
             wanted);
}

/* ---- strings ---- */
static bool is_text(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return false;
    return s.len > 0 && str_is_utf8(s);
}

static bool all_of(struct str s, int (*is)(int), const char *others)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is((unsigned char)s.ptr[i]) && strchr(others, s.ptr[i]) == NULL)
            return false;
    return true;
}

static int is_upper_or_digit(int c)
{
    return isupper(c) || isdigit(c);
}

static bool is_bloc(struct str s)
{
    return s.len >= 2 && s.len <= 16 && s.ptr[0] != '-' && all_of(s, is_upper_or_digit, "-");
}

static bool is_country(struct str s)
{
    return s.len == 2 && all_of(s, isupper, "");
}

static bool is_address(struct str s)
{
    struct in6_addr address;
    return inet_pton(AF_INET, s.ptr, &address) == 1 || inet_pton(AF_INET6, s.ptr, &address) == 1;
}

static bool is_host(struct str s)
{
    return is_address(s) || (s.len <= 253 && isalnum((unsigned char)s.ptr[0]) && all_of(s, isalnum, "-.") &&
                             strstr(s.ptr, "..") == NULL && s.ptr[s.len - 1] != '-');
}

/* https://host or https://host:port, where host may be [IPv6]. */
static bool is_url(struct str s)
{
    if (!str_starts(s, STR("https://")) || s.len > 300)
        return false;
    char host[301];
    memcpy(host, s.ptr + 8, s.len - 8 + 1);
    char *end = host[0] == '[' ? strchr(host, ']') : host + strcspn(host, ":");
    if (end == NULL)
        return false;
    char *after = end + (*end == ']');
    uint64_t port = 1;
    if (*after != '\0' && (*after != ':' || !str_to_u64(str_from(after + 1), 65535, &port) || port == 0))
        return false;
    bool bracketed = host[0] == '[';
    *end = '\0';
    struct str name = str_from(host + bracketed);
    return name.len > 0 && (bracketed ? strchr(name.ptr, ':') != NULL && is_address(name)
                                      : strchr(name.ptr, ':') == NULL && is_host(name));
}

static bool is_choice(const struct schema_key *key, struct str s)
{
    for (const char *const *choice = key->choices; *choice != NULL; choice++)
        if (str_is(s, *choice))
            return true;
    return false;
}

/* NULL: it fits. Else what it should have been. */
static const char *string_misfit(const struct schema_key *key, struct str s)
{
    if (!is_text(s) || s.len > (key->max != 0 && key->kind == KEY_TEXT ? key->max : TEXT_MAX))
        return "a text of that length without control characters";
    switch (key->kind) {
    case KEY_NAME:
        return str_is_id(s) ? NULL : "a name: 2 to 63 of a-z, 0-9 and \"-\", and not \"-\" first";
    case KEY_BLOC:
        return is_bloc(s) ? NULL : "the name of a bloc: 2 to 16 of A-Z, 0-9 and \"-\"";
    case KEY_COUNTRY:
        return is_country(s) ? NULL : "a country in two capital letters";
    case KEY_ADDRESS:
        return is_address(s) ? NULL : "a numeric address";
    case KEY_HOST:
        return is_host(s) ? NULL : "a host name or a numeric address";
    case KEY_URL:
        return is_url(s) ? NULL : "https://HOST or https://HOST:PORT";
    case KEY_WORD:
        return is_choice(key, s) ? NULL : "one of the allowed words";
    default:
        return NULL;
    }
}

static const char *resolve(struct loader *loader, struct str path)
{
    struct arena *arena = &loader->config->arena;
    return path.ptr[0] == '/' ? arena_cstr(arena, path)
                              : arena_printf(arena, "%s/%.*s", loader->dir, STR_ARG(path));
}

static void store_string(struct loader *loader, const struct schema_key *key, struct str s, void *target)
{
    if (key->kind == KEY_NAME || key->kind == KEY_BLOC)
        *(struct str *)target = arena_str(&loader->config->arena, s);
    else
        *(const char **)target =
            key->kind == KEY_PATH ? resolve(loader, s) : arena_cstr(&loader->config->arena, s);
}

static void read_string(const struct reading *reading)
{
    const char *text = config_setting_get_string(reading->setting);
    if (config_setting_type(reading->setting) != CONFIG_TYPE_STRING || text == NULL) {
        complain_type(reading, "a string in quotes");
        return;
    }
    const char *misfit = string_misfit(reading->key, str_from(text));
    if (misfit != NULL)
        COMPLAIN(reading, reading->key->help, "\"%s\" of a %s is \"%s\", which is not %s", reading->key->name,
                 reading->what, text, misfit);
    else
        store_string(reading->loader, reading->key, str_from(text), reading->target);
}

/* ---- numbers ---- */
static void read_int(const struct reading *reading)
{
    int type = config_setting_type(reading->setting);
    if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) {
        complain_type(reading, "a whole number");
        return;
    }
    long long value = config_setting_get_int64(reading->setting);
    if (value < reading->key->min || value > reading->key->max)
        COMPLAIN(reading, reading->key->help, "\"%s\" of a %s is %lld; it must be from %u to %u",
                 reading->key->name, reading->what, value, reading->key->min, reading->key->max);
    else
        *(uint32_t *)reading->target = (uint32_t)value;
}

static void read_bool(const struct reading *reading)
{
    if (config_setting_type(reading->setting) != CONFIG_TYPE_BOOL)
        complain_type(reading, "true or false");
    else
        *(bool *)reading->target = config_setting_get_bool(reading->setting) != 0;
}

static void read_degrees(const struct reading *reading)
{
    int type = config_setting_type(reading->setting);
    bool whole = type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
    if (!whole && type != CONFIG_TYPE_FLOAT) {
        complain_type(reading, "a number of degrees, as in 48.86");
        return;
    }
    double value = whole ? (double)config_setting_get_int64(reading->setting)
                         : config_setting_get_float(reading->setting);
    double most = reading->key->max;
    if (!(value >= -most && value <= most))
        COMPLAIN(reading, reading->key->help, "\"%s\" of a %s is %g; it must be from -%u to %u",
                 reading->key->name, reading->what, value, reading->key->max, reading->key->max);
    else
        *(double *)reading->target = value;
}

/* ---- lists ---- */
/* How many there are; -1: it is no list of that length, and a complaint was made. */
static int read_length(const struct reading *reading, const char *of_what)
{
    if (!config_setting_is_list(reading->setting) && !config_setting_is_array(reading->setting)) {
        complain_type(reading, of_what);
        return -1;
    }
    int length = config_setting_length(reading->setting);
    if ((uint32_t)length < reading->key->min || (uint32_t)length > reading->key->max) {
        COMPLAIN(reading, reading->key->help, "\"%s\" of a %s has %d entries; it must have from %u to %u",
                 reading->key->name, reading->what, length, reading->key->min, reading->key->max);
        return -1;
    }
    return length;
}

static void read_words(const struct reading *reading)
{
    int length = read_length(reading, "a list of strings, as in [ \"a\", \"b\" ]");
    if (length < 0)
        return;
    struct config_word *words = arena_array(arena_of(reading), struct config_word, (size_t)length);
    for (int i = 0; i < length; i++) {
        const config_setting_t *setting = config_setting_get_elem(reading->setting, (unsigned)i);
        struct str text = str_from(config_setting_get_string(setting));
        if (config_setting_type(setting) != CONFIG_TYPE_STRING || !is_text(text) || text.len > TEXT_MAX) {
            complain_type(reading, "a list of strings, as in [ \"a\", \"b\" ]");
            return;
        }
        words[i].line = line_of(setting);
        words[i].text = reading->key->kind == KEY_PATHS ? str_from(resolve(reading->loader, text))
                                                        : arena_str(arena_of(reading), text);
    }
    *(struct config_words *)reading->target = (struct config_words){ words, (size_t)length };
}

/* Appends to what an earlier file has put there. */
static void read_groups(const struct reading *reading, size_t *count)
{
    int length = read_length(reading, "a list of groups, as in ( { ... }, { ... } )");
    if (length <= 0)
        return;
    const struct schema *schema = reading->key->schema;
    void *before;
    memcpy(&before, reading->target, sizeof before);
    if (*count + (size_t)length > reading->key->max) {
        COMPLAIN(reading, reading->key->help, "there are more than %u entries in \"%s\" of all files",
                 reading->key->max, reading->key->name);
        return;
    }
    char *groups = arena_zalloc_array(arena_of(reading), schema->size, *count + (size_t)length);
    if (*count > 0)
        memcpy(groups, before, *count * schema->size);
    for (int i = 0; i < length; i++) {
        config_setting_t *setting = config_setting_get_elem(reading->setting, (unsigned)i);
        char *group = groups + (*count + (size_t)i) * schema->size;
        *(struct config_source *)(void *)group = (struct config_source){ reading->file, line_of(setting) };
        schema_preset(schema, reading->loader, group);
        if (config_setting_is_group(setting))
            schema_read(schema, reading->loader, reading->file, setting, group);
        else
            complain_type(reading, "a list of groups, as in ( { ... }, { ... } )");
    }
    memcpy(reading->target, &groups, sizeof groups);
    *count += (size_t)length;
}

/* ---- groups ---- */
static void read_key(const struct reading *reading, size_t *count)
{
    switch (reading->key->kind) {
    case KEY_INT:
        read_int(reading);
        break;
    case KEY_BOOL:
        read_bool(reading);
        break;
    case KEY_DEGREES:
        read_degrees(reading);
        break;
    case KEY_WORDS:
    case KEY_PATHS:
        read_words(reading);
        break;
    case KEY_GROUP:
        if (config_setting_is_group(reading->setting))
            schema_read(reading->key->schema, reading->loader, reading->file,
                        (config_setting_t *)reading->setting, reading->target);
        else
            complain_type(reading, "a group, as in { ... }");
        break;
    case KEY_GROUPS:
        read_groups(reading, count);
        break;
    default:
        read_string(reading);
        break;
    }
}

static void refuse_unknown_keys(const struct schema *schema, struct loader *loader, const char *file,
                                const config_setting_t *group)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        if (schema_find(schema, config_setting_name(setting)) == NULL)
            config_complain(loader, file, line_of(setting), "See domicile.cfg(5) for the list of keys.",
                            "a %s has no key \"%s\"", schema->what, config_setting_name(setting));
    }
}

void schema_read(const struct schema *schema, struct loader *loader, const char *file,
                 config_setting_t *group, void *target)
{
    refuse_unknown_keys(schema, loader, file, group);
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_key *key = &schema->keys[i];
        const config_setting_t *setting = config_setting_get_member(group, key->name);
        if (setting == NULL) {
            if (key->required)
                config_complain(loader, file, line_of(group), key->help, "a %s lacks \"%s\"", schema->what,
                                key->name);
            continue;
        }
        struct reading reading = { loader, file, schema->what, key, setting, (char *)target + key->offset };
        read_key(&reading, (size_t *)(void *)((char *)target + key->count_offset));
    }
}

void schema_preset(const struct schema *schema, struct loader *loader, void *target)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_key *key = &schema->keys[i];
        void *at = (char *)target + key->offset;
        if (key->kind == KEY_GROUP)
            schema_preset(key->schema, loader, at);
        else if (key->preset != NULL && key->kind == KEY_INT)
            *(uint32_t *)at = schema_preset_int(key);
        else if (key->preset != NULL && key->kind == KEY_BOOL)
            *(bool *)at = strcmp(key->preset, "true") == 0;
        else if (key->preset != NULL)
            store_string(loader, key, str_from(key->preset), at);
    }
}
