#include "http/problem.h"

#include "base/log.h"
#include "http/internal.h"

#include <jansson.h>
#include <stdlib.h>

/* jansson takes UTF-8 only, and an error's text may quote a peer's bytes, or be cut in the middle of a character. */
static json_t *json_text(struct arena *arena, struct str s)
{
    if (str_is_utf8(s))
        return json_stringn(s.ptr, s.len);
    char *copy = arena_cstr(arena, s);
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)copy[i] >= 0x80)
            copy[i] = '?';
    return json_stringn(copy, s.len);
}

static void set(json_t *object, struct arena *arena, const char *name, const char *value)
{
    if (value != NULL)
        must(json_object_set_new(object, name, json_text(arena, str_from(value))) == 0);
}

static const char *detail(struct arena *arena, const struct error *error, int status)
{
    if (status >= 500)
        return error_title(error->code);
    return error->hint == NULL ? error->what : arena_printf(arena, "%s. %s", error->what, error->hint);
}

json_t *http_problem_json(struct arena *arena, const struct error *error)
{
    int status = error_http_status(error->code);
    json_t *object = json_object();
    must(object != NULL);
    set(object, arena, "type", arena_printf(arena, "urn:domicile:error:%s", error_slug(error->code)));
    set(object, arena, "title", error_title(error->code));
    must(json_object_set_new(object, "status", json_integer(status)) == 0);
    set(object, arena, "detail", detail(arena, error, status));
    return object;
}

static struct str write_document(struct http_request *request, const struct error *error,
                                 const struct http_problem_extra *extra)
{
    struct arena *arena = &request->arena;
    json_t *object = http_problem_json(arena, error);
    set(object, arena, "instance", arena_printf(arena, "urn:domicile:request:%s", request->id));
    set(object, arena, "region", extra->region);
    set(object, arena, "home_region", extra->home_region);
    set(object, arena, "home_endpoint", extra->home_endpoint);
    set(object, arena, "policy_rule", extra->policy_rule);
    if (extra->members != NULL)
        must(json_object_update_missing(object, extra->members) == 0);
    char *text = json_dumps(object, JSON_COMPACT);
    must(text != NULL);
    struct str document = arena_str(arena, str_from(text));
    free(text);
    json_decref(object);
    return document;
}

static bool closes(const struct http_request *request, enum error_code code)
{
    if (code == E_WRONG_REGION)
        return true;
    return request->protocol == HTTP_PROTOCOL_1_1 &&
           (code == E_BODY_SIZE || code == E_SLOW || code == E_BODY);
}

void http_problem(struct http_request *request, const struct error *error,
                  const struct http_problem_extra *extra)
{
    static const struct http_problem_extra none;
    struct http_header headers[4] = { { STR("Content-Type"), STR("application/problem+json") } };
    size_t count = 1;
    int status = error_http_status(error->code);
    if (extra == NULL)
        extra = &none;
    if (status == 500)
        log_failure(LOG_ERROR, error, "a request failed: request=%s", request->id);
    if (http_answered(request))
        return;
    if (status == 401)
        headers[count++] =
            (struct http_header){ STR("WWW-Authenticate"),
                                  str_from(extra->authenticate ? extra->authenticate : "Bearer") };
    if (status == 405 && extra->allow != NULL)
        headers[count++] = (struct http_header){ STR("Allow"), str_from(extra->allow) };
    if (status == 429 || status == 503)
        headers[count++] = (struct http_header){
            STR("Retry-After"), str_from(arena_printf(&request->arena, "%u",
                                                      extra->retry_after_s == 0 ? 1 : extra->retry_after_s))
        };
    struct str document = write_document(request, error, extra);
    if (closes(request, error->code))
        http_respond_and_close(request, status, headers, count, document);
    else
        http_respond(request, status, headers, count, document);
}
