#include "posture/posture_parse.h"

#include "base/json.h"

#include <ctype.h>

#define NOT_AS_KNOWN "Perhaps the command has an unknown version: run it on the host and look at its output."

const char *posture_clean(struct str text, struct arena *arena)
{
    bool cut = text.len > POSTURE_WORD_MAX;
    if (cut)
        text.len = POSTURE_WORD_MAX;
    char *clean = arena_cstr(arena, text);
    bool utf8 = str_is_utf8(text);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)clean[i];
        if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
            clean[i] = '?';
    }
    return cut ? arena_printf(arena, "%s...", clean) : clean;
}

static result check_size(struct str text, const char *what)
{
    size_t lines = 0;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    if (text.len > POSTURE_TEXT_MAX || lines > POSTURE_LINES_MAX)
        return FAIL(E_LIMIT, NOT_AS_KNOWN, "%s is too long", what);
    return OK;
}

static size_t lines_of(struct str text)
{
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    return lines;
}

/* The next word of a line, at spaces and tabs. */
static bool next_word(struct str *line, struct str *ret)
{
    *line = str_trim(*line);
    if (line->len == 0)
        return false;
    size_t len = 0;
    while (len < line->len && line->ptr[len] != ' ' && line->ptr[len] != '\t')
        len++;
    *ret = (struct str){ line->ptr, len };
    *line = (struct str){ line->ptr + len, line->len - len };
    return true;
}

/* ---- disks ---- */
static result json_of(struct str text, const char *list, const char *what, json_t **ret_document,
                      json_t **ret_list)
{
    json_t *document = NULL;
    TRY(check_size(text, what));
    result r = json_parse(text, 2 * POSTURE_DEPTH_MAX + 2, &document);
    if (failed(r))
        return FAIL(E_FORMAT, NOT_AS_KNOWN, "%s is not JSON: %s", what, r.error.what);
    json_t *items = json_object_get(document, list);
    if (!json_is_array(items) || json_array_size(items) == 0) {
        json_decref(document);
        return FAIL(E_FORMAT, NOT_AS_KNOWN, "%s has no \"%s\"", what, list);
    }
    *ret_document = document;
    *ret_list = items;
    return OK;
}

static result take_mount(const json_t *mount, struct arena *arena, struct posture_mount *ret)
{
    struct str source = json_member_str(mount, "source"), target = json_member_str(mount, "target"),
               type = json_member_str(mount, "fstype");
    if (source.len == 0 || target.len == 0 || type.len == 0)
        return FAIL(E_FORMAT, NOT_AS_KNOWN, "the output of findmnt has no source, target or type");
    const char *bracket = source.ptr[0] == '/' ? memchr(source.ptr, '[', source.len) : NULL;
    if (bracket != NULL)
        source.len = (size_t)(bracket - source.ptr);
    ret->source = posture_clean(source, arena);
    ret->target = posture_clean(target, arena);
    ret->type = posture_clean(type, arena);
    return OK;
}

result posture_parse_mount(struct str text, struct arena *arena, struct posture_mount *ret)
{
    json_t *document = NULL, *list = NULL;
    TRY(json_of(text, "filesystems", "the output of findmnt", &document, &list));
    const json_t *innermost = json_array_get(list, json_array_size(list) - 1);
    result r = take_mount(innermost, arena, ret);
    json_decref(document);
    return r;
}

/* A device and the devices below it. If there are several, it is encrypted if all of them are. */
static result take_block(const json_t *block, struct arena *arena, size_t depth, struct posture_blocks *ret)
{
    struct str name = json_member_str(block, "name"), type = json_member_str(block, "type");
    const json_t *below = json_object_get(block, "children");
    if (name.len == 0 || type.len == 0 || (below != NULL && !json_is_array(below)))
        return FAIL(E_FORMAT, NOT_AS_KNOWN, "the output of lsblk has no device or no type");
    if (depth > POSTURE_DEPTH_MAX)
        return FAIL(E_LIMIT, NOT_AS_KNOWN, "more than %d block devices are stacked on each other",
                    POSTURE_DEPTH_MAX);
    ret->chain = arena_printf(arena, "%s (%s)", posture_clean(name, arena), posture_clean(type, arena));
    ret->encrypted = str_is(type, "crypt");
    bool all = json_array_size(below) > 0;
    for (size_t i = 0; i < json_array_size(below); i++) {
        struct posture_blocks lower = { 0 };
        TRY(take_block(json_array_get(below, i), arena, depth + 1, &lower));
        all = all && lower.encrypted;
        if (strlen(ret->chain) > 2 * POSTURE_WORD_MAX)
            continue; /* who has so many disks knows them */
        ret->chain = arena_printf(arena, "%s %s %s", ret->chain, i == 0 ? "on" : "and", lower.chain);
    }
    ret->encrypted = ret->encrypted || all;
    return OK;
}

result posture_parse_blocks(struct str text, struct arena *arena, struct posture_blocks *ret)
{
    json_t *document = NULL, *list = NULL;
    struct posture_blocks blocks = { 0 };
    TRY(json_of(text, "blockdevices", "the output of lsblk", &document, &list));
    result r = json_array_size(list) == 1
                   ? take_block(json_array_get(list, 0), arena, 1, &blocks)
                   : FAIL(E_FORMAT, NOT_AS_KNOWN, "the output of lsblk has more than one device");
    json_decref(document);
    TRY(r);
    *ret = blocks;
    return OK;
}

result posture_parse_swaps(struct str text, struct arena *arena, struct posture_swaps *ret)
{
    struct posture_swaps swaps = { 0 };
    struct str line, name, type, word;
    TRY(check_size(text, "/proc/swaps"));
    swaps.items = arena_array(arena, struct posture_swap, lines_of(text));
    if (!str_cut(&text, '\n', &line) || !next_word(&line, &word) || !str_is(word, "Filename"))
        return FAIL(E_FORMAT, NOT_AS_KNOWN, "/proc/swaps has no header line");
    while (text.len > 0 && str_cut(&text, '\n', &line)) {
        if (str_trim(line).len == 0)
            continue;
        if (!next_word(&line, &name) || !next_word(&line, &type) || !next_word(&line, &word))
            return FAIL(E_FORMAT, NOT_AS_KNOWN, "a line of /proc/swaps is too short");
        swaps.items[swaps.count++] =
            (struct posture_swap){ posture_clean(name, arena), posture_clean(type, arena) };
    }
    *ret = swaps;
    return OK;
}

/* ---- sockets ---- */
/* "127.0.0.53%lo:53", "[::]:22", "*:80": the interface is removed; "[::]", "0.0.0.0" and "*" mean all addresses. */
static bool parse_local(struct str text, bool udp, struct config_socket *ret)
{
    char plain[80];
    size_t len = 0;
    bool skipping = false;
    for (size_t i = 0; i < text.len; i++) {
        skipping = (skipping || text.ptr[i] == '%') && text.ptr[i] != ']' && text.ptr[i] != ':';
        if (skipping)
            continue;
        if (len + sizeof "/udp" >= sizeof plain)
            return false;
        plain[len++] = text.ptr[i];
    }
    memcpy(plain + len, "/udp", sizeof "/udp");
    if (!udp)
        plain[len] = '\0';
    if (!config_socket_parse(str_from(plain), ret))
        return false;
    bool zero = true;
    for (unsigned i = 0; i < ret->address.length; i++)
        zero = zero && ret->address.bytes[i] == 0;
    if (zero)
        ret->address = (struct config_network){ 0 };
    return true;
}

result posture_parse_sockets(struct str text, bool udp, struct arena *arena, struct posture_sockets *ret)
{
    struct posture_sockets sockets = { 0 };
    struct str line, state, word, local;
    TRY(check_size(text, "the output of ss"));
    sockets.items = arena_array(arena, struct config_socket, lines_of(text));
    while (text.len > 0 && str_cut(&text, '\n', &line)) {
        if (str_trim(line).len == 0)
            continue;
        bool whole = next_word(&line, &state) && next_word(&line, &word) && next_word(&line, &word) &&
                     next_word(&line, &local) && next_word(&line, &word);
        if (!whole || !str_is(state, udp ? "UNCONN" : "LISTEN") ||
            !parse_local(local, udp, &sockets.items[sockets.count]))
            return FAIL(E_FORMAT, NOT_AS_KNOWN, "a line of ss has no socket");
        sockets.count++;
    }
    *ret = sockets;
    return OK;
}

/* ---- files ---- */
result posture_parse_files(struct str text, struct arena *arena, struct posture_files *ret)
{
    struct posture_files files = { 0 };
    struct str line, mode, owner, type;
    TRY(check_size(text, "a list of files"));
    files.items = arena_array(arena, struct posture_file, lines_of(text));
    while (text.len > 0 && str_cut(&text, '\n', &line)) {
        if (line.len == 0)
            continue;
        struct posture_file *file = &files.items[files.count++];
        if (!next_word(&line, &mode) || !next_word(&line, &owner) || !next_word(&line, &type) ||
            type.len != 1 || line.len < 2 || mode.len > 4)
            return FAIL(E_FORMAT, NOT_AS_KNOWN, "a line of find has no path");
        file->mode = 0;
        for (size_t i = 0; i < mode.len; i++) {
            if (mode.ptr[i] < '0' || mode.ptr[i] > '7')
                return FAIL(E_FORMAT, NOT_AS_KNOWN, "a line of find has no mode");
            file->mode = file->mode * 8 + (unsigned)(mode.ptr[i] - '0');
        }
        file->owner = posture_clean(owner, arena);
        file->type = type.ptr[0];
        file->path = posture_clean((struct str){ line.ptr + 1, line.len - 1 }, arena);
    }
    *ret = files;
    return OK;
}

/* ---- packages ---- */
static bool has_word(struct str line, const char *word)
{
    return line.len > 0 && memmem(line.ptr, line.len, word, strlen(word)) != NULL;
}

static bool is_security(struct str line)
{
    return has_word(line, "-security") || has_word(line, "Security:") || has_word(line, "Debian-Security");
}

/* "Inst NAME [OLD] (NEW ORIGIN [ARCH])". apt-get always prints the line with the counts: without it the text was cut, or is
 * not a list of upgrades. */
result posture_parse_upgrades(struct str text, struct arena *arena, struct posture_upgrades *ret)
{
    enum { NAMES_MAX = 8 };
    struct posture_upgrades upgrades = { .names = "" };
    struct str line, word, name;
    bool counted = false;
    TRY(check_size(text, "the output of apt-get"));
    while (text.len > 0 && str_cut(&text, '\n', &line)) {
        struct str rest = line;
        counted = counted || (has_word(line, " upgraded, ") && has_word(line, " newly installed, "));
        if (!next_word(&rest, &word) || !str_is(word, "Inst"))
            continue;
        if (!next_word(&rest, &name))
            return FAIL(E_FORMAT, NOT_AS_KNOWN, "a line of apt-get has no package");
        upgrades.count++;
        if (!is_security(rest))
            continue;
        if (upgrades.security++ < NAMES_MAX)
            upgrades.names = arena_printf(arena, "%s%s%s", upgrades.names,
                                          upgrades.names[0] != '\0' ? ", " : "", posture_clean(name, arena));
    }
    if (!counted)
        return FAIL(E_FORMAT, NOT_AS_KNOWN, "the output of apt-get has no count of packages");
    *ret = upgrades;
    return OK;
}

result posture_parse_lists(struct str text, struct posture_lists *ret)
{
    struct posture_lists lists = { 0 };
    struct str line, type, time;
    TRY(check_size(text, "the list of package lists"));
    while (text.len > 0 && str_cut(&text, '\n', &line)) {
        int64_t at_ms;
        if (str_trim(line).len == 0)
            continue;
        if (!next_word(&line, &type) || type.len != 1 || !next_word(&line, &time))
            return FAIL(E_FORMAT, NOT_AS_KNOWN, "a line of find has no package list");
        TRY(posture_parse_time(time, &at_ms));
        if (type.ptr[0] == 'd')
            lists.newest_ms = at_ms > lists.newest_ms ? at_ms : lists.newest_ms;
        else
            lists.count++;
        lists.security += type.ptr[0] != 'd' && has_word(line, "security");
    }
    *ret = lists;
    return OK;
}

/* ---- others ---- */
result posture_parse_variable(struct str text, const char *name, struct arena *arena, const char **ret)
{
    struct str line, key;
    TRY(check_size(text, "a list of variables"));
    *ret = NULL;
    while (text.len > 0 && str_cut(&text, '\n', &line)) {
        line = str_trim(line);
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        if (memchr(line.ptr, '=', line.len) == NULL)
            return FAIL(E_FORMAT, NOT_AS_KNOWN, "a line sets no variable");
        str_cut(&line, '=', &key);
        if (!str_is(key, name))
            continue;
        bool quoted = line.len >= 2 && (line.ptr[0] == '"' || line.ptr[0] == '\'') &&
                      line.ptr[line.len - 1] == line.ptr[0];
        *ret = posture_clean(quoted ? (struct str){ line.ptr + 1, line.len - 2 } : line, arena);
    }
    return OK;
}

result posture_parse_chrony(struct str text, struct arena *arena, const char **ret_leap)
{
    struct str line, key;
    TRY(check_size(text, "the output of chronyc"));
    while (text.len > 0 && str_cut(&text, '\n', &line)) {
        if (!str_cut(&line, ':', &key) || !str_is(str_trim(key), "Leap status"))
            continue;
        *ret_leap = posture_clean(str_trim(line), arena);
        return OK;
    }
    return FAIL(E_FORMAT, NOT_AS_KNOWN, "the output of chronyc has no leap status");
}

result posture_parse_core_limit(struct str text, uint64_t *ret)
{
    struct str line, soft = { 0 };
    TRY(check_size(text, "a list of limits"));
    while (text.len > 0 && str_cut(&text, '\n', &line)) {
        if (!str_starts(line, STR("Max core file size ")))
            continue;
        line = (struct str){ line.ptr + 19, line.len - 19 };
        if (next_word(&line, &soft) && str_is(soft, "unlimited"))
            *ret = UINT64_MAX;
        else if (!str_to_u64(soft, INT64_MAX, ret))
            break;
        return OK;
    }
    return FAIL(E_FORMAT, NOT_AS_KNOWN, "/proc/PID/limits has no size of core files");
}

result posture_parse_time(struct str text, int64_t *ret_ms)
{
    struct str seconds, fraction = text;
    uint64_t s = 0, ms = 0;
    while (fraction.len > 0 && fraction.ptr[fraction.len - 1] == '\n')
        fraction.len--;
    if (!str_cut(&fraction, '.', &seconds) || !str_to_u64(seconds, INT32_MAX * UINT64_C(1000), &s) ||
        fraction.len < 3)
        return FAIL(E_FORMAT, NOT_AS_KNOWN, "a time is not in seconds and nanoseconds");
    for (size_t i = 0; i < fraction.len; i++) {
        if (!isdigit((unsigned char)fraction.ptr[i]))
            return FAIL(E_FORMAT, NOT_AS_KNOWN, "a time is not in seconds and nanoseconds");
        if (i < 3)
            ms = ms * 10 + (uint64_t)(fraction.ptr[i] - '0');
    }
    *ret_ms = (int64_t)(s * 1000 + ms);
    return OK;
}
