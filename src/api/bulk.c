/* Many records in one request, a line each (application/x-ndjson). */
#include "api/stream.h"
#include "api/work.h"
#include "base/buf.h"
#include "base/encode.h"
#include "base/log.h"
#include "loop/fiber.h"

#include <stdlib.h>

enum {
    WINDOW_LINES = 128, /* in flight at once: they share commits */
    LINE_OVERHEAD_BYTES = 16 * 1024,
    READ_BYTES = 64 * 1024,
    PAGE_RECORDS = 64
};
static const uint64_t bulk_bytes_max = UINT64_C(4) << 30;
static const struct http_header ndjson = { { "content-type", 12 }, { "application/x-ndjson", 20 } };

/* A line of the answer; to be freed. */
static char *line_text(json_t *line, struct str *ret)
{
    char *text = json_dumps(line, JSON_COMPACT);
    json_decref(line);
    must(text != NULL);
    *ret = str_from(text);
    text[ret->len++] = '\n'; /* in place of its NUL */
    return text;
}

static result stream_line(struct api_stream *stream, json_t *line)
{
    struct str bytes;
    char *text = line_text(line, &bytes);
    result r = api_stream_write(stream, bytes);
    free(text);
    return r;
}

/* ---- in ---- */

struct line {
    const struct record_shelf *shelf;
    struct arena arena;
    struct record_write write;
    result outcome;
    struct record_written written;
};

struct window {
    struct api_stream *stream;
    size_t body_max;
    struct line lines[WINDOW_LINES];
    size_t count;
    struct api_work work;
};

static result line_value(struct line *line, const json_t *object, struct str text)
{
    bool is_json = json_object_get(object, "value") != NULL;
    if (is_json == (json_object_get(object, "value_base64") != NULL))
        return FAIL(E_BODY, "Send either \"value\" or \"value_base64\" in each line.",
                    "the line has no value, or two values");
    struct str type = is_json ? STR("application/json") : STR("application/octet-stream");
    if (json_object_get(object, "content_type") != NULL)
        type = json_member_str(object, "content_type");
    TRY(api_check_content_type(type));
    line->write.type = arena_str(&line->arena, type);
    if (is_json) {
        struct str value = json_member_raw(text, "value");
        if (value.ptr == NULL)
            return FAIL(E_BODY, "Write the name \"value\" without escapes.",
                        "the name \"value\" in the line has an escape");
        line->write.body = arena_str(&line->arena, value);
        return OK;
    }
    struct str base64 = json_member_str(object, "value_base64");
    if (base64.ptr == NULL)
        return FAIL(E_BODY, "Send it as a string.", "the line's \"value_base64\" is not a string");
    char *bytes = arena_alloc(&line->arena, base64.len);
    if (!decode_base64(base64, bytes, base64.len, &line->write.body.len))
        return FAIL(E_BODY, "Encode it as in RFC 4648, section 4.",
                    "the line's \"value_base64\" is not base64");
    line->write.body.ptr = bytes;
    return OK;
}

static result line_parse(struct line *line, struct str text, size_t body_max)
{
    static const char *const members[] = { "key", "value", "value_base64", "content_type", NULL };
    json_t *object = NULL;
    TRY(json_parse(text, JSON_DEPTH_MAX, &object));
    result r = json_is_object(object)
                   ? json_only_members(object, members)
                   : FAIL(E_JSON, "Send one JSON object in each line.", "the line is not a JSON object");
    if (!failed(r)) {
        line->write.key = arena_str(&line->arena, json_member_str(object, "key"));
        r = http_check_key(line->write.key);
    }
    if (!failed(r))
        r = line_value(line, object, text);
    json_decref(object);
    TRY(r);
    if (line->write.body.len > body_max)
        return FAIL(E_BODY_SIZE, "Store a smaller record.", "the record is larger than %zu bytes", body_max);
    return OK;
}

struct parsing {
    struct line *line;
    struct str text;
    size_t body_max;
};

/* api_work: a line has an arena of its own, and its text stays until it is parsed. */
static void parse_line(void *arg)
{
    struct parsing *parsing = arg;
    parsing->line->outcome = line_parse(parsing->line, parsing->text, parsing->body_max);
}

static void line_run(void *arg)
{
    struct line *line = arg;
    line->outcome = records_put(line->shelf, &line->arena, &line->write, &line->written);
}

static json_t *line_answer(struct line *line)
{
    json_t *answer = json_object();
    if (line->write.key.len > 0)
        json_object_set_new(answer, "key", json_stringn(line->write.key.ptr, line->write.key.len));
    if (failed(line->outcome)) {
        json_object_set_new(answer, "status", json_integer(error_http_status(line->outcome.error.code)));
        json_object_set_new(answer, "error", http_problem_json(&line->arena, &line->outcome.error));
        return answer;
    }
    char etag[REVISION_ETAG_SIZE];
    revision_format_etag(line->written.revision, etag);
    json_object_set_new(answer, "status", json_integer(line->written.created ? 201 : 200));
    json_object_set_new(answer, "etag", json_string(etag));
    return answer;
}

/* One of a window is enough: what is wrong with a cell is wrong for all. */
static void window_log(const struct window *window)
{
    for (size_t i = 0; i < window->count; i++) {
        const struct error *error = &window->lines[i].outcome.error;
        if (error->code == E_OK || error_http_status(error->code) != 500)
            continue;
        log_failure(LOG_ERROR, error, "a line of a request failed: request=%s",
                    window->stream->call->request->id);
        return;
    }
}

/* Stores the lines of the window together, and answers them in their order. */
static result window_flush(struct window *window)
{
    struct scope scope = SCOPE_INIT;
    result r = api_stream_check(window->stream);
    for (size_t i = 0; i < window->count && !failed(r); i++)
        if (!failed(window->lines[i].outcome))
            r = fiber_spawn(&scope, "bulk line", line_run, &window->lines[i]);
    result joined = scope_join(&scope);
    if (!failed(r))
        r = joined;
    window_log(window);
    for (size_t i = 0; i < window->count; i++) {
        if (!failed(r))
            r = stream_line(window->stream, line_answer(&window->lines[i]));
        arena_done(&window->lines[i].arena);
    }
    window->count = 0;
    return r;
}

static bool window_has_key(const struct window *window, struct str key)
{
    for (size_t i = 0; i < window->count; i++)
        if (str_eq(window->lines[i].write.key, key))
            return true;
    return false;
}

/* Lines of one key are stored one after the other: the last one stays. */
static result window_add(struct window *window, struct str text)
{
    struct line line = { .shelf = &window->stream->shelf, .outcome = OK };
    struct parsing parsing = { &line, text, window->body_max };
    result r = api_work(&window->work, text.len, parse_line, &parsing);
    if (!failed(r) && window_has_key(window, line.write.key))
        r = window_flush(window);
    if (failed(r)) {
        arena_done(&line.arena);
        return r;
    }
    window->lines[window->count++] = line;
    return window->count == WINDOW_LINES ? window_flush(window) : OK;
}

struct lines {
    struct buf buf;
    size_t searched; /* bytes at its beginning that have no newline in them */
};

/* Takes whole lines out of the buffer. A last line needs no newline. A line that comes in many small parts is searched
 * once, and not again with each part. */
static result lines_take(struct window *window, struct lines *lines, bool at_end)
{
    struct buf *buf = &lines->buf;
    size_t taken = 0, searched = lines->searched;
    while (taken < buf->len) {
        const char *newline =
            searched < buf->len ? memchr(buf->ptr + searched, '\n', buf->len - searched) : NULL;
        if (newline == NULL && !at_end)
            break;
        size_t end = newline != NULL ? (size_t)(newline - buf->ptr) : buf->len;
        struct str line = { buf->ptr + taken, end - taken };
        taken = searched = end + (newline != NULL);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len > 0)
            TRY(window_add(window, line));
    }
    buf_consume(buf, taken);
    lines->searched = buf->len;
    return OK;
}

static result lines_read(struct window *window, struct lines *lines)
{
    struct buf *buf = &lines->buf;
    char *chunk = arena_alloc(&window->stream->call->request->arena, READ_BYTES);
    for (;;) {
        size_t len;
        TRY(api_stream_read(window->stream, chunk, READ_BYTES, &len));
        if (len > 0 && !buf_append(buf, (struct str){ chunk, len }))
            return FAIL(E_BODY_SIZE, "Send shorter lines.", "a line is longer than %zu bytes",
                        buf->max - READ_BYTES);
        TRY(lines_take(window, lines, len == 0));
        if (len == 0)
            return window_flush(window);
    }
}

/* Not by api_stream_write: what failed may be its check. */
static void say_last_line(struct api_call *call, const struct error *error)
{
    json_t *last = json_object();
    json_object_set_new(last, "status", json_integer(error_http_status(error->code)));
    json_object_set_new(last, "error", http_problem_json(&call->request->arena, error));
    struct str bytes;
    char *text = line_text(last, &bytes);
    result said = http_stream_write(call->request, bytes);
    free(text);
    if (failed(said) && said.error.code != E_PEER_GONE)
        log_failure(LOG_WARNING, &said.error, "request %s: cannot send the last line of the answer",
                    call->request->id);
}

/* The answer begins before the request ends: a failure after that is reported in a last line, and the answer is cut
 * off. */
result bulk_in(struct api_call *call)
{
    struct api_stream stream;
    TRY(api_stream_begin(&stream, call, ACTION_STORE));
    if (!api_media_type_is(http_header(call->request, "content-type"), "application/x-ndjson"))
        return FAIL(E_MEDIA_TYPE, "Send a Content-Type of application/x-ndjson.",
                    "the body has the wrong media type");
    struct window *window = calloc(1, sizeof *window);
    if (window == NULL)
        return FAIL(E_MEMORY, "Try again later.", "not enough memory for a bulk request");
    window->stream = &stream;
    window->body_max = api_body_max(call);
    struct lines lines = { .searched = 0 };
    buf_init(&lines.buf, window->body_max * 2 + LINE_OVERHEAD_BYTES + READ_BYTES);
    http_body_allow(call->request, bulk_bytes_max, call->snapshot->region->limits.stream_within_ms);
    http_stream_begin(call->request, 200, &ndjson, 1);
    result r = lines_read(window, &lines);
    if (failed(r)) {
        for (size_t i = 0; i < window->count; i++)
            arena_done(&window->lines[i].arena);
        api_stream_broken_off(&stream, &r.error);
        say_last_line(call, &r.error);
    } else {
        http_stream_end(call->request);
    }
    buf_done(&lines.buf);
    free(window);
    return OK;
}

/* ---- out ---- */

static bool is_json_type(struct str type)
{
    struct str base = api_media_type(type);
    return str_eq_nocase(base, STR("application/json")) ||
           (base.len > 5 && str_eq_nocase((struct str){ base.ptr + base.len - 5, 5 }, STR("+json")));
}

struct rendering {
    struct arena *arena;
    const struct record_item *item;
    struct str json, base64; /* one of them; the other's ptr is NULL */
};

/* api_work. JSON goes as it was stored, digits and all, but on one line: outside of strings a newline is white space, and
 * inside there is none. */
static void render_item(void *arg)
{
    struct rendering *rendering = arg;
    struct str body = rendering->item->body;
    json_t *value = NULL;
    if (!is_json_type(rendering->item->type) || failed(json_parse(body, JSON_DEPTH_MAX, &value))) {
        rendering->base64 = encode_base64(rendering->arena, body);
        return;
    }
    json_decref(value);
    char *line = arena_cstr(rendering->arena, body);
    for (size_t i = 0; i < body.len; i++)
        if (line[i] == '\n' || line[i] == '\r')
            line[i] = ' ';
    rendering->json = (struct str){ line, body.len };
}

/* A line that can be read back by bulk in. */
static result item_write(struct api_stream *stream, struct api_work *work, struct arena *arena,
                         const struct record_item *item)
{
    char etag[REVISION_ETAG_SIZE];
    struct rendering rendering = { .arena = arena, .item = item };
    TRY(api_work(work, item->body.len, render_item, &rendering));
    bool as_json = rendering.json.ptr != NULL;
    revision_format_etag(item->revision, etag);
    json_t *head = json_object();
    json_object_set_new(head, "key", json_stringn(item->key.ptr, item->key.len));
    json_object_set_new(head, "etag", json_string(etag));
    json_object_set_new(head, "content_type", json_stringn(item->type.ptr, item->type.len));
    if (!as_json)
        json_object_set_new(head, "value_base64", json_string(rendering.base64.ptr));
    char *text = json_dumps(head, JSON_COMPACT);
    json_decref(head);
    must(text != NULL);
    struct str parts[4] = { { text, strlen(text) - as_json } };
    size_t count = 1;
    if (as_json) {
        parts[count++] = STR(",\"value\":");
        parts[count++] = rendering.json;
    }
    parts[count++] = as_json ? STR("}\n") : STR("\n");
    result r = OK;
    for (size_t i = 0; i < count && !failed(r); i++)
        r = api_stream_write(stream, parts[i]);
    free(text);
    return r;
}

static result pages_write(struct api_stream *stream, struct str prefix, struct arena *arena, char *after)
{
    struct api_call *call = stream->call;
    struct str last = { after, 0 };
    struct api_work work = { 0 };
    for (bool more = true; more;) {
        struct record_page page;
        TRY(records_page(&stream->shelf, arena, prefix, last, PAGE_RECORDS, true, &page));
        if (!http_answered(call->request))
            http_stream_begin(call->request, 200, &ndjson, 1);
        for (size_t i = 0; i < page.count; i++)
            TRY(item_write(stream, &work, arena, &page.items[i]));
        more = page.more;
        if (more) {
            TRY(api_stream_check(stream));
            last.len = page.items[page.count - 1].key.len;
            memcpy(after, page.items[page.count - 1].key.ptr, last.len);
        }
        arena_reset(arena);
    }
    http_stream_end(call->request);
    return OK;
}

result api_bulk_out(struct api_call *call)
{
    struct api_stream stream;
    TRY(api_stream_begin(&stream, call, ACTION_EXPORT));
    struct str prefix;
    TRY(api_query_key(call, "prefix", &prefix));
    struct arena arena;
    arena_init(&arena);
    result r = pages_write(&stream, prefix, &arena, arena_alloc(&call->request->arena, HTTP_KEY_MAX));
    arena_done(&arena);
    if (failed(r) && http_answered(call->request)) {
        api_stream_broken_off(&stream, &r.error);
        return OK;
    }
    return r;
}
