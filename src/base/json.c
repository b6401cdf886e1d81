#include "base/json.h"

#include <ctype.h>

/* Depth and strings only: whether it is JSON at all is for the parser to say. */
static bool depth_within(struct str text, size_t depth_max)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > depth_max)
                return false;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

result json_parse(struct str text, size_t depth_max, json_t **ret)
{
    if (!depth_within(text, depth_max))
        return FAIL(E_JSON, "Send a document with fewer nested levels.",
                    "the JSON document has more than %zu nested levels", depth_max);
    json_error_t error;
    json_t *value = json_loadb(text.ptr == NULL ? "" : text.ptr, text.len,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (value == NULL)
        return FAIL(E_JSON, "Send one JSON document in UTF-8, without duplicate members.",
                    "line %d, column %d: %s", error.line, error.column, error.text);
    *ret = value;
    return OK;
}

static size_t skip_space(struct str text, size_t at)
{
    while (at < text.len && isspace((unsigned char)text.ptr[at]))
        at++;
    return at;
}

static size_t skip_string(struct str text, size_t at)
{
    for (at++; at < text.len && text.ptr[at] != '"'; at++)
        if (text.ptr[at] == '\\')
            at++;
    return at < text.len ? at + 1 : text.len;
}

static size_t skip_value(struct str text, size_t at)
{
    size_t depth = 0;
    while (at < text.len) {
        char c = text.ptr[at];
        if (c == '"') {
            at = skip_string(text, at);
        } else if (c == '{' || c == '[') {
            depth++;
            at++;
        } else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            return at;
        } else {
            if (c == '}' || c == ']')
                depth--;
            at++;
        }
    }
    return at;
}

struct str json_member_raw(struct str object, const char *name)
{
    size_t at = skip_space(object, 0);
    if (at == object.len || object.ptr[at] != '{')
        return (struct str){ 0 };
    for (at = skip_space(object, at + 1); at < object.len && object.ptr[at] == '"';) {
        size_t name_at = at + 1;
        at = skip_string(object, at);
        struct str here = { object.ptr + name_at, at - name_at - 1 };
        at = skip_space(object, at);
        size_t value_at = skip_space(object, at < object.len ? at + 1 : at);
        at = skip_value(object, value_at);
        if (str_is(here, name)) {
            struct str value = { object.ptr + value_at, at - value_at };
            while (value.len > 0 && isspace((unsigned char)value.ptr[value.len - 1]))
                value.len--;
            return value;
        }
        at = skip_space(object, at < object.len ? at + 1 : at);
    }
    return (struct str){ 0 };
}

struct str json_member_str(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    if (!json_is_string(member))
        return (struct str){ 0 };
    struct str value = { json_string_value(member), json_string_length(member) };
    return memchr(value.ptr, '\0', value.len) == NULL ? value : (struct str){ 0 };
}

result json_only_members(const json_t *object, const char *const *names)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        bool known = false;
        for (const char *const *at = names; *at != NULL && !known; at++)
            known = strcmp(*at, name) == 0;
        if (!known)
            return FAIL(E_JSON, "Leave the member out, or correct its name.",
                        "the member \"%s\" is not known", name);
    }
    return OK;
}
