/* sshd's settings and its algorithms, and sockets in words. */
#include "posture/posture_parse.h"

#include <arpa/inet.h>
#include <ctype.h>

/* The characters of a name; sshd also accepts "=" between name and value. */
static size_t name_length(struct str line)
{
    size_t len = 0;
    while (len < line.len && isalnum((unsigned char)line.ptr[len]))
        len++;
    return len;
}

static const char *lowered(struct str text, struct arena *arena)
{
    char *copy = arena_cstr(arena, text);
    for (size_t i = 0; i < text.len; i++)
        copy[i] = (char)tolower((unsigned char)copy[i]);
    return copy;
}

static struct str unquoted(struct str value)
{
    value = str_trim(value);
    if (value.len > 0 && value.ptr[0] == '=')
        value = str_trim((struct str){ value.ptr + 1, value.len - 1 });
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = (struct str){ value.ptr + 1, value.len - 2 };
    return value;
}

/* A list of algorithms is longer than the words of posture_clean. */
static const char *clean_whole(struct str value, struct arena *arena)
{
    char *copy = arena_cstr(arena, value);
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)copy[i] < 0x20 || (unsigned char)copy[i] >= 0x7f)
            copy[i] = '?';
    return copy;
}

static bool is_settled(const struct posture_setting *items, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(items[i].name, name) == 0)
            return true;
    return false;
}

result posture_parse_sshd(struct str text, struct arena *arena, struct posture_settings *ret)
{
    enum { SETTINGS_MAX = 512 };
    struct posture_settings settings = { 0 };
    struct str line;
    bool in_match = false;
    settings.items = arena_array(arena, struct posture_setting, SETTINGS_MAX);
    settings.matched = arena_array(arena, struct posture_setting, SETTINGS_MAX);
    if (text.len > POSTURE_TEXT_MAX)
        return FAIL(E_LIMIT, "Check sshd's configuration on the host.", "sshd's configuration is too long");
    while (text.len > 0 && str_cut(&text, '\n', &line)) {
        line = str_trim(line);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        size_t len = name_length(line);
        if (len == 0 || (len < line.len && strchr(" \t=", line.ptr[len]) == NULL))
            return FAIL(E_FORMAT, "Check sshd's configuration on the host.",
                        "a line of sshd's configuration has no name");
        if (settings.count == SETTINGS_MAX || settings.matched_count == SETTINGS_MAX)
            return FAIL(E_LIMIT, "Check sshd's configuration on the host.",
                        "sshd's configuration has too many settings");
        const char *name = lowered((struct str){ line.ptr, len }, arena);
        const char *value = clean_whole(unquoted((struct str){ line.ptr + len, line.len - len }), arena);
        if (strcmp(name, "match") == 0)
            in_match = strcasecmp(value, "all") != 0;
        else if (strcmp(name, "include") == 0)
            settings.includes = true;
        else if (in_match)
            settings.matched[settings.matched_count++] = (struct posture_setting){ name, value };
        else if (!is_settled(settings.items, settings.count, name))
            settings.items[settings.count++] = (struct posture_setting){ name, value };
    }
    *ret = settings;
    return OK;
}

static bool is_directory(struct str path)
{
    for (size_t i = 0; i < path.len; i++)
        if (!isalnum((unsigned char)path.ptr[i]) &&
            (path.ptr[i] == '\0' || strchr("/._-", path.ptr[i]) == NULL))
            return false;
    return path.len > 0 && path.ptr[0] == '/';
}

/* The Include that Debian ships: all files of a directory that end in .conf, before any Match. */
bool posture_sshd_include(struct str text, struct arena *arena, struct posture_include *ret)
{
    static const char ending[] = "/*.conf";
    const char *begin = text.ptr;
    struct str rest = text, line;
    while (rest.len > 0 && str_cut(&rest, '\n', &line)) {
        struct str trimmed = str_trim(line);
        size_t len = name_length(trimmed);
        const char *name = lowered((struct str){ trimmed.ptr, len }, arena);
        if (strcmp(name, "match") == 0)
            return false;
        if (strcmp(name, "include") != 0)
            continue;
        struct str pattern = unquoted((struct str){ trimmed.ptr + len, trimmed.len - len });
        size_t most = sizeof ending - 1;
        if (pattern.len <= most || memcmp(pattern.ptr + pattern.len - most, ending, most) != 0 ||
            !is_directory((struct str){ pattern.ptr, pattern.len - most }))
            return false;
        ret->directory = arena_cstr(arena, (struct str){ pattern.ptr, pattern.len - most });
        ret->before = (struct str){ begin, (size_t)(line.ptr - begin) };
        ret->after = rest;
        return true;
    }
    return false;
}

const char *posture_setting(const struct posture_settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->count; i++)
        if (strcmp(settings->items[i].name, name) == 0)
            return settings->items[i].value;
    return NULL;
}

/* ---- algorithms ---- broken, too short, or too old ones are weak */
static const char *const weak_kex[] = { "sha1", "group1-", NULL };
static const char *const weak_ciphers[] = { "cbc", "arcfour", "3des", "blowfish", "cast128", "none", NULL };
static const char *const weak_macs[] = { "md5", "sha1", "umac-64", "ripemd160", "-96", "none", NULL };

static bool is_weak(struct str word, const char *const *marks)
{
    for (; *marks != NULL; marks++)
        if (word.len > 0 && memmem(word.ptr, word.len, *marks, strlen(*marks)) != NULL)
            return true;
    return false;
}

const char *posture_weak(enum posture_algorithms kind, const char *list, struct arena *arena)
{
    static const char *const *const marks[] = { weak_kex, weak_ciphers, weak_macs };
    struct str rest = str_from(list), word;
    const char *weak = "";
    while (rest.len > 0 && str_cut(&rest, ',', &word))
        if (is_weak(word, marks[kind]))
            weak = arena_printf(arena, "%s%s%.*s", weak, weak[0] != '\0' ? ", " : "", STR_ARG(word));
    return weak;
}

/* ---- sockets ---- */
const char *posture_socket_text(const struct config_socket *socket, struct arena *arena)
{
    char address[INET6_ADDRSTRLEN] = "*";
    bool v6 = socket->address.length == 16;
    if (socket->address.length != 0)
        must(inet_ntop(v6 ? AF_INET6 : AF_INET, socket->address.bytes, address, sizeof address) != NULL);
    return arena_printf(arena, "%s%s%s:%u%s", v6 ? "[" : "", address, v6 ? "]" : "", socket->port,
                        socket->udp ? "/udp" : "");
}
