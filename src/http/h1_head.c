/* The head of an HTTP/1.1 request. It is read twice: by the scan and checks here, which are strict, and by llhttp;
 * where the two see different framing, the request is refused. */
#include "http/internal.h"

#include <llhttp.h>

static enum h1_found check_line(const char *line, size_t length)
{
    if (length == 0 || line[length - 1] != '\r')
        return H1_MALFORMED; /* a bare LF */
    if (line[0] == ' ' || line[0] == '\t')
        return H1_MALFORMED; /* a folded header */
    return head_is_value((struct str){ line, length - 1 }) ? H1_INCOMPLETE : H1_MALFORMED;
}

enum h1_found h1_find_head(struct h1_scan *scan, struct str bytes, size_t *ret_length)
{
    for (;;) {
        const char *lf =
            scan->seen < bytes.len ? memchr(bytes.ptr + scan->seen, '\n', bytes.len - scan->seen) : NULL;
        if (lf == NULL) {
            scan->seen = bytes.len;
            return H1_INCOMPLETE;
        }
        const char *line = bytes.ptr + scan->line_at;
        size_t length = (size_t)(lf - line);
        scan->line_at = scan->seen = (size_t)(lf - bytes.ptr) + 1;
        if (length == 1 && line[0] == '\r') {
            if (line == bytes.ptr)
                continue; /* one empty line before the request line is passed over (RFC 9112 2.2) */
            *ret_length = scan->line_at;
            return scan->line_at == 4 ? H1_MALFORMED : H1_COMPLETE;
        }
        if (check_line(line, length) == H1_MALFORMED)
            return H1_MALFORMED;
    }
}

struct parse {
    struct str url;
    struct http_header *headers;
    size_t count, max;
    bool value_begun, overflow;
};

/* A span that comes in two pieces is one that llhttp changed on the way: none that we accept is. */
static int on_url(llhttp_t *parser, const char *at, size_t length)
{
    struct parse *parse = parser->data;
    if (parse->url.ptr != NULL)
        return -1;
    parse->url = (struct str){ at, length };
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t length)
{
    struct parse *parse = parser->data;
    if (parse->count == parse->max) {
        parse->overflow = true;
        return -1;
    }
    parse->headers[parse->count++] = (struct http_header){ .name = { at, length } };
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t length)
{
    struct parse *parse = parser->data;
    struct http_header *header = parse->count == 0 ? NULL : &parse->headers[parse->count - 1];
    if (header == NULL || header->value.ptr != NULL)
        return -1;
    header->value = str_trim((struct str){ at, length });
    if (header->value.ptr == NULL)
        header->value.ptr = at;
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    return HPE_PAUSED; /* the body is ours */
}

static const llhttp_settings_t settings = { .on_url = on_url,
                                            .on_header_field = on_field,
                                            .on_header_value = on_value,
                                            .on_headers_complete = on_complete };

static result malformed(const char *why)
{
    return FAIL(E_HEAD, "Send a request as RFC 9112 describes it.", "the request head is refused: %s", why);
}

struct seen {
    struct str host, length, coding, expect;
    size_t hosts, lengths, codings;
    bool close;
};

static bool has_token(struct str list, struct str token)
{
    struct str part;
    while (str_cut(&list, ',', &part))
        if (str_eq_nocase(str_trim(part), token))
            return true;
    return false;
}

static void note(struct seen *seen, const struct http_header *header)
{
    if (str_eq(header->name, STR("host"))) {
        seen->host = header->value;
        seen->hosts++;
    } else if (str_eq(header->name, STR("content-length"))) {
        seen->length = header->value;
        seen->lengths++;
    } else if (str_eq(header->name, STR("transfer-encoding"))) {
        seen->coding = header->value;
        seen->codings++;
    } else if (str_eq(header->name, STR("connection"))) {
        seen->close = seen->close || has_token(header->value, STR("close"));
    } else if (str_eq(header->name, STR("expect"))) {
        seen->expect = header->value;
    }
}

static void to_lower(struct str name)
{
    char *at = (char *)(uintptr_t)name.ptr; /* it is in the head, which is ours to write to */
    for (size_t i = 0; i < name.len; i++)
        if (at[i] >= 'A' && at[i] <= 'Z')
            at[i] = (char)(at[i] | 0x20);
}

/* RFC 9112 6.3, and stricter: one length or one coding, said once. */
static result read_framing(const struct seen *seen, const llhttp_t *parser, struct h1_framing *ret)
{
    *ret = (struct h1_framing){ .close = seen->close };
    if (seen->lengths + seen->codings > 1)
        return malformed("it gives the length of its body more than once");
    if (seen->codings == 1) {
        if (!str_eq_nocase(seen->coding, STR("chunked")) || (parser->flags & F_CHUNKED) == 0)
            return malformed("its Transfer-Encoding is not \"chunked\"");
        ret->length = HTTP_LENGTH_UNKNOWN;
    } else if (seen->lengths == 1) {
        if (!str_to_u64(seen->length, INT64_MAX, &ret->length) || parser->content_length != ret->length)
            return malformed("its Content-Length is not a number");
    }
    if ((parser->flags & F_CHUNKED) != 0 && seen->codings == 0)
        return malformed("its Transfer-Encoding is not valid");
    if (seen->expect.ptr != NULL) {
        if (!str_eq_nocase(seen->expect, STR("100-continue")))
            return FAIL(E_EXPECT, "Leave the Expect header out.",
                        "only \"100-continue\" is supported in Expect");
        ret->expects_continue = ret->length != 0;
    }
    return OK;
}

static result check(struct http_request *request, struct parse *parse, const llhttp_t *parser,
                    struct h1_framing *ret)
{
    if (parser->http_major != 1 || parser->http_minor != 1)
        return malformed("its version is not HTTP/1.1");
    struct seen seen = { 0 };
    for (size_t i = 0; i < parse->count; i++) {
        struct http_header *header = &parse->headers[i];
        if (!head_is_token(header->name))
            return malformed("a header name has a character that is not allowed");
        to_lower(header->name);
        note(&seen, header);
    }
    struct str authority;
    TRY(head_set_target(request, parse->url, &authority));
    if (seen.hosts != 1)
        return malformed("it has no Host, or more than one");
    if (authority.ptr != NULL && !str_eq_nocase(authority, seen.host))
        return malformed("its target and its Host differ");
    TRY(head_set_authority(request, seen.host));
    TRY(read_framing(&seen, parser, ret));
    request->method = head_method(str_from(llhttp_method_name(parser->method)));
    request->body_length = ret->length;
    return OK;
}

/* llhttp takes any number of spaces in the request line; another party may see a target that begins with one. */
static bool has_single_spaces(const char *head, size_t length, struct str url)
{
    static const char version[] = " HTTP/1.1\r\n";
    const char *behind = url.ptr + url.len;
    return url.ptr - head >= 2 && url.ptr[-1] == ' ' && url.ptr[-2] != ' ' &&
           (size_t)(head + length - behind) >= sizeof version - 1 &&
           memcmp(behind, version, sizeof version - 1) == 0;
}

result h1_parse_head(struct http_request *request, char *head, size_t length, size_t headers_max,
                     struct h1_framing *ret)
{
    /* A header takes at least "a:\r\n", so this is never much more than the head itself. */
    size_t possible = length / 4 + 1;
    struct parse parse = { .max = possible < headers_max ? possible : headers_max };
    parse.headers = arena_alloc(&request->arena, parse.max * sizeof *parse.headers);
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &parse;
    llhttp_errno_t error = llhttp_execute(&parser, head, length);
    if (parse.overflow)
        return FAIL(E_HEAD_SIZE, "Send fewer headers.", "the request has more than %zu headers", headers_max);
    if (error != HPE_PAUSED)
        return malformed(error == HPE_OK ? "it does not end" : llhttp_get_error_reason(&parser));
    if (llhttp_get_error_pos(&parser) < head + length - 1)
        return malformed("it ends too early");
    TRY(check(request, &parse, &parser, ret));
    if (!has_single_spaces(head, length, parse.url))
        return malformed("its request line has more than two spaces");
    request->headers = parse.headers;
    request->header_count = parse.count;
    return OK;
}
