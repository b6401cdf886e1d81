/* What a head may say, whichever protocol carried it. */
#include "http/internal.h"

static bool is_alphanumeric(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 9110 5.6.2 */
static bool is_token_char(unsigned char c)
{
    if (is_alphanumeric(c))
        return true;
    switch (c) {
    case '!':
    case '#':
    case '$':
    case '%':
    case '&':
    case '\'':
    case '*':
    case '+':
    case '-':
    case '.':
    case '^':
    case '_':
    case '`':
    case '|':
    case '~':
        return true;
    default:
        return false;
    }
}

/* RFC 3986: unreserved, sub-delims, and what each place adds */
static bool is_plain_char(unsigned char c)
{
    if (is_alphanumeric(c))
        return true;
    switch (c) {
    case '-':
    case '.':
    case '_':
    case '~':
    case '!':
    case '$':
    case '&':
    case '\'':
    case '(':
    case ')':
    case '*':
    case '+':
    case ',':
    case ';':
    case '=':
    case '%':
        return true;
    default:
        return false;
    }
}

static bool is_target_char(unsigned char c)
{
    return is_plain_char(c) || c == ':' || c == '@' || c == '/' || c == '?';
}

bool head_is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_token_char((unsigned char)s.ptr[i]))
            return false;
    return s.len > 0;
}

static bool is_value_char(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* Whether one of eight bytes is below 0x20 or is 0x7f: every byte of every head comes by here. */
static bool has_control(const char *eight)
{
    const uint64_t ones = 0x0101010101010101, high = ones * 0x80;
    uint64_t word;
    memcpy(&word, eight, sizeof word);
    uint64_t delete = word ^ (ones * 0x7f);
    return ((((word - ones * 0x20) & ~word) | ((delete - ones) & ~delete)) & high) != 0;
}

bool head_is_value(struct str s)
{
    size_t at = 0;
    for (; at + 8 <= s.len; at += 8)
        if (has_control(s.ptr + at))
            for (size_t i = at; i < at + 8; i++)
                if (!is_value_char((unsigned char)s.ptr[i]))
                    return false;
    for (; at < s.len; at++)
        if (!is_value_char((unsigned char)s.ptr[at]))
            return false;
    return true;
}

/* Origin form, or the absolute form of http and https (RFC 9112 3.2.2). */
result head_set_target(struct http_request *request, struct str target, struct str *ret_authority)
{
    struct str authority = { 0 };
    struct str scheme = str_starts(target, STR("https://")) ? STR("https://") : STR("http://");
    if (str_starts(target, scheme)) {
        authority = (struct str){ target.ptr + scheme.len, target.len - scheme.len };
        const char *slash = memchr(authority.ptr, '/', authority.len);
        size_t length = slash == NULL ? authority.len : (size_t)(slash - authority.ptr);
        target = (struct str){ authority.ptr + length, authority.len - length };
        authority.len = length;
    }
    if (target.len == 0 || target.ptr[0] != '/')
        return FAIL(E_TARGET, "Send a path that begins with a slash.", "the request target is not a path");
    for (size_t i = 0; i < target.len; i++)
        if (!is_target_char((unsigned char)target.ptr[i]))
            return FAIL(E_TARGET, "Percent-encode what RFC 3986 does not allow in a path or query.",
                        "the request target has a byte 0x%02x at %zu", (unsigned char)target.ptr[i], i);
    const char *question = memchr(target.ptr, '?', target.len);
    request->target = request->path = target;
    request->query = (struct str){ 0 };
    if (question != NULL) {
        request->path.len = (size_t)(question - target.ptr);
        request->query = (struct str){ question + 1, target.len - request->path.len - 1 };
    }
    *ret_authority = authority;
    return OK;
}

/* uri-host [ ":" port ] (RFC 9110 7.2), without user information. */
static bool is_authority(struct str s)
{
    if (s.len == 0 || s.len > 300)
        return false;
    const char *at = s.ptr, *end = s.ptr + s.len;
    if (*at == '[') {
        at++;
        while (at < end && (is_alphanumeric((unsigned char)*at) || *at == ':' || *at == '.'))
            at++;
        if (at == end || *at != ']' || at == s.ptr + 1)
            return false;
        at++;
    } else {
        while (at < end && is_plain_char((unsigned char)*at))
            at++;
        if (at == s.ptr)
            return false;
    }
    if (at == end)
        return true;
    uint64_t port;
    struct str digits = { at + 1, (size_t)(end - at) - 1 };
    return *at == ':' && (digits.len == 0 || str_to_u64(digits, 65535, &port));
}

result head_set_authority(struct http_request *request, struct str authority)
{
    if (!is_authority(authority))
        return FAIL(E_HEAD, "Send one Host header with the name, and the port if it is not 443.",
                    "the Host of the request is not a host and port");
    request->authority = authority;
    return OK;
}

static const struct str methods[METHOD_COUNT] = {
    [METHOD_GET] = { "GET", 3 },         [METHOD_HEAD] = { "HEAD", 4 },     [METHOD_PUT] = { "PUT", 3 },
    [METHOD_POST] = { "POST", 4 },       [METHOD_DELETE] = { "DELETE", 6 }, [METHOD_PATCH] = { "PATCH", 5 },
    [METHOD_OPTIONS] = { "OPTIONS", 7 },
};

enum http_method head_method(struct str name)
{
    for (size_t i = 0; i < METHOD_COUNT; i++)
        if (str_eq(methods[i], name))
            return (enum http_method)i;
    return METHOD_OTHER;
}

const char *http_method_name(enum http_method method)
{
    return method < METHOD_COUNT ? methods[method].ptr : "another method";
}

/* printf takes a tenth of an HTTP/2 answer's time. */
struct str head_number(char text[HEAD_NUMBER_SIZE], uint64_t number)
{
    size_t at = HEAD_NUMBER_SIZE;
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return (struct str){ text + at, HEAD_NUMBER_SIZE - at };
}

const char *head_reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 421:
        return "Misdirected Request";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 503:
        return "Service Unavailable";
    default: /* the phrase may be empty (RFC 9112 4) */
        return "";
    }
}
