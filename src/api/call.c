#include "api/call.h"
#include "api/work.h"

#include "base/secret.h"
#include "seal/record.h"

#include <stdlib.h>

enum { JSON_BODY_BYTES = 64 * 1024 };

/* ---- bodies ---- */

struct str api_media_type(struct str content_type)
{
    struct str type = { 0 };
    return str_cut(&content_type, ';', &type) ? str_trim(type) : type;
}

bool api_media_type_is(struct str content_type, const char *media_type)
{
    return str_eq_nocase(api_media_type(content_type), str_from(media_type));
}

result api_check_content_type(struct str content_type)
{
    if (!record_type_is_sound(content_type))
        return FAIL(E_MEDIA_TYPE, "Send a Content-Type such as \"application/fhir+json\".",
                    "the record has no well-formed content type");
    return OK;
}

size_t api_body_max(const struct api_call *call)
{
    return call->class->max_body_bytes != 0 ? call->class->max_body_bytes
                                            : call->snapshot->region->limits.max_body_bytes;
}

struct reading {
    struct str text;
    json_t *value; /* NULL: it is none */
    result outcome;
};

static void read_document(void *arg)
{
    struct reading *reading = arg;
    reading->outcome = json_parse(reading->text, JSON_DEPTH_MAX, &reading->value);
}

result api_read_json(struct api_call *call, const char *const *members, json_t **ret)
{
    if (!api_media_type_is(http_header(call->request, "content-type"), "application/json"))
        return FAIL(E_MEDIA_TYPE, "Send a Content-Type of application/json.",
                    "the Content-Type of the body is not JSON");
    struct reading reading = { .outcome = OK };
    struct api_work work = { 0 };
    TRY(http_body_read_all(call->request, JSON_BODY_BYTES, &reading.text));
    result done = api_work(&work, reading.text.len, read_document, &reading);
    if (failed(done))
        json_decref(reading.value);
    TRY(done);
    TRY(reading.outcome);
    json_t *value = reading.value;
    result r = json_is_object(value) ? json_only_members(value, members)
                                     : FAIL(E_JSON, NULL, "the document is not a JSON object");
    if (failed(r))
        json_decref(value);
    else
        *ret = value;
    return r;
}

/* ---- parameters ---- */

result api_query_limit(struct api_call *call, size_t *ret)
{
    struct str text;
    uint64_t limit = 100;
    TRY(http_query(call->request, "limit", &text));
    if (text.ptr != NULL && (!str_to_u64(text, RECORDS_PAGE_MAX, &limit) || limit == 0))
        return FAIL(E_ARGUMENT, "Send a number from 1 to 1000.", "the limit is not a number from 1 to 1000");
    *ret = (size_t)limit;
    return OK;
}

result api_query_key(struct api_call *call, const char *name, struct str *ret)
{
    TRY(http_query(call->request, name, ret));
    if (ret->len > RECORD_KEY_MAX)
        return FAIL(E_ARGUMENT, "Send at most 512 bytes.",
                    "the parameter \"%s\" is longer than a record key may be", name);
    if (ret->ptr == NULL)
        *ret = (struct str){ "", 0 };
    return OK;
}

/* ---- answers ---- */

/* Some answers hold a secret or a token, so their text goes through no buffer that is not wiped here. */
static void answer(struct api_call *call, int status, json_t *value, const char *location)
{
    must(value != NULL);
    size_t size = json_dumpb(value, NULL, 0, JSON_COMPACT);
    must(size > 0);
    char *text = malloc(size);
    must(text != NULL && json_dumpb(value, text, size, JSON_COMPACT) == size);
    json_decref(value);
    const struct http_header headers[] = { { STR("content-type"), STR("application/json") },
                                           { STR("cache-control"), STR("no-store") },
                                           { STR("location"), str_from(location) } };
    http_respond(call->request, status, headers, location == NULL ? 2 : 3, (struct str){ text, size });
    secret_wipe(text, size);
    free(text);
}

json_t *api_secret_json(struct api_call *call, struct str secret)
{
    json_t *string = json_stringn(secret.ptr, secret.len);
    must(string != NULL && call->secret == NULL);
    call->secret = json_incref(string);
    return string;
}

void api_answer_json(struct api_call *call, int status, json_t *value)
{
    answer(call, status, value, NULL);
}

void api_answer_created(struct api_call *call, json_t *value, const char *location)
{
    answer(call, 201, value, location);
}
