#include "auth/credentials.h"

#include "base/encode.h"

#include <limits.h>

/* application/x-www-form-urlencoded: percent-encoding in which "+" is a space. False: a broken escape, or buf is full. */
static bool form_decode(struct str text, char *buf, size_t size, size_t *ret_len)
{
    struct str part;
    size_t len = 0, decoded = 0;
    while (str_cut(&text, '+', &part)) {
        if (!str_percent_decode(part, buf + len, size - len, &decoded))
            return false;
        len += decoded;
        if (text.ptr != NULL) {
            if (len == size)
                return false;
            buf[len++] = ' ';
        }
    }
    *ret_len = len;
    return true;
}

/* The value of an Authorization header of that scheme; ptr is NULL if it is of another one. */
static struct str scheme_value(struct str authorization, const char *scheme)
{
    struct str rest = str_trim(authorization), word;
    if (rest.len == 0 || !str_cut(&rest, ' ', &word) || rest.ptr == NULL ||
        !str_eq_nocase(word, str_from(scheme)))
        return (struct str){ 0 };
    return str_trim(rest);
}

void basic_wipe(struct basic_credentials *credentials)
{
    secret_wipe(credentials, sizeof *credentials);
}

static bool basic_decode(struct str value, struct basic_credentials *ret)
{
    char pair[BASIC_TEXT_MAX / 4 * 3];
    struct str rest = { pair, 0 }, id;
    bool good = value.ptr != NULL && value.len <= BASIC_TEXT_MAX &&
                decode_base64(value, pair, sizeof pair, &rest.len) && str_cut(&rest, ':', &id) &&
                rest.ptr != NULL && form_decode(id, ret->id, sizeof ret->id - 1, &ret->id_len) &&
                form_decode(rest, ret->secret, sizeof ret->secret, &ret->secret_len) && ret->secret_len > 0 &&
                str_is_id((struct str){ ret->id, ret->id_len });
    secret_wipe(pair, sizeof pair);
    return good;
}

result basic_parse(struct str authorization, struct basic_credentials *ret)
{
    struct basic_credentials credentials = { 0 };
    bool good = basic_decode(scheme_value(authorization, "Basic"), &credentials);
    if (good)
        *ret = credentials;
    basic_wipe(&credentials);
    return good ? OK
                : FAIL(E_CLIENT,
                       "Send \"Authorization: Basic\" with the client's id and secret (RFC 6749 2.3.1).",
                       "the request has no well-formed client credentials");
}

/* A table: a token is long, and this is asked of every letter of every request. */
static const bool token_letter[UCHAR_MAX + 1] = {
    ['-'] = true, ['.'] = true, ['_'] = true, ['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true,
    ['4'] = true, ['5'] = true, ['6'] = true, ['7'] = true, ['8'] = true, ['9'] = true, ['A'] = true,
    ['B'] = true, ['C'] = true, ['D'] = true, ['E'] = true, ['F'] = true, ['G'] = true, ['H'] = true,
    ['I'] = true, ['J'] = true, ['K'] = true, ['L'] = true, ['M'] = true, ['N'] = true, ['O'] = true,
    ['P'] = true, ['Q'] = true, ['R'] = true, ['S'] = true, ['T'] = true, ['U'] = true, ['V'] = true,
    ['W'] = true, ['X'] = true, ['Y'] = true, ['Z'] = true, ['a'] = true, ['b'] = true, ['c'] = true,
    ['d'] = true, ['e'] = true, ['f'] = true, ['g'] = true, ['h'] = true, ['i'] = true, ['j'] = true,
    ['k'] = true, ['l'] = true, ['m'] = true, ['n'] = true, ['o'] = true, ['p'] = true, ['q'] = true,
    ['r'] = true, ['s'] = true, ['t'] = true, ['u'] = true, ['v'] = true, ['w'] = true, ['x'] = true,
    ['y'] = true, ['z'] = true,
};

result bearer_parse(struct str authorization, struct str *ret_token)
{
    struct str token = scheme_value(authorization, "Bearer");
    bool good = token.len > 0;
    for (size_t i = 0; good && i < token.len; i++)
        good = token_letter[(unsigned char)token.ptr[i]];
    if (!good)
        return FAIL(E_UNAUTHENTICATED,
                    "Send \"Authorization: Bearer\" with an access token from /oauth/token.",
                    "the request has no well-formed access token");
    *ret_token = token;
    return OK;
}

struct form_scan {
    struct token_form *form;
    size_t used, fields;
    struct str names[TOKEN_FORM_FIELDS_MAX];
};

static result malformed(const char *why)
{
    return FAIL(E_BODY, "Send grant_type=client_credentials, form-encoded, each field once.", "the form %s",
                why);
}

static bool form_take(struct form_scan *scan, struct str text, struct str *ret)
{
    char *at = scan->form->text + scan->used;
    size_t len = 0;
    if (!form_decode(text, at, sizeof scan->form->text - scan->used, &len))
        return false;
    scan->used += len;
    *ret = (struct str){ len > 0 ? at : NULL, len };
    return true;
}

static result form_field(struct form_scan *scan, struct str field)
{
    struct str rest = field, name, value = { 0 };
    if (field.len == 0)
        return OK;
    if (scan->fields == TOKEN_FORM_FIELDS_MAX)
        return malformed("has too many fields");
    if (!str_cut(&rest, '=', &name) || !form_take(scan, name, &name) || !form_take(scan, rest, &value))
        return malformed("has a malformed percent escape");
    for (size_t i = 0; i < scan->fields; i++)
        if (str_eq(scan->names[i], name))
            return malformed("has a field twice");
    scan->names[scan->fields++] = name;
    if (str_is(name, "grant_type"))
        scan->form->grant_type = value;
    else if (str_is(name, "scope"))
        scan->form->scope = value;
    else if (str_is(name, "client_id"))
        scan->form->client_id = value;
    else if (str_is(name, "client_secret") && value.len > 0)
        return malformed("has a client_secret, which belongs in the Authorization header");
    return OK;
}

result token_form_parse(struct str body, struct token_form *ret)
{
    if (body.len > TOKEN_FORM_MAX)
        return FAIL(E_BODY_SIZE, "Send only grant_type=client_credentials.",
                    "the form has %zu bytes, more than %d", body.len, TOKEN_FORM_MAX);
    struct form_scan scan = { .form = ret };
    struct str rest = body, field;
    ret->grant_type = ret->scope = ret->client_id = (struct str){ 0 };
    while (str_cut(&rest, '&', &field))
        TRY(form_field(&scan, field));
    return ret->grant_type.ptr != NULL ? OK : malformed("has no grant_type");
}
