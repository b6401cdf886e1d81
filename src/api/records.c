#include "records/records.h"

#include "api/call.h"
#include "base/clock.h"

static result read_if_match(const struct http_request *request, struct record_condition *ret)
{
    struct str match = http_header(request, "if-match"), none = http_header(request, "if-none-match");
    if (match.ptr != NULL && none.ptr != NULL)
        return FAIL(E_ARGUMENT, "Send either If-Match or If-None-Match.",
                    "the request has both If-Match and If-None-Match");
    if (match.ptr != NULL && str_is(match, "*"))
        ret->if_present = true;
    else if (match.ptr != NULL && !revision_parse_etag(match, &ret->if_revision))
        return FAIL(E_PRECONDITION, "Send one ETag exactly as it was received.",
                    "no record has the ETag of If-Match");
    if (none.ptr != NULL && !str_is(none, "*"))
        return FAIL(E_ARGUMENT, "Send \"If-None-Match: *\", or If-Match.",
                    "If-None-Match in a write must be \"*\"");
    ret->if_absent = none.ptr != NULL;
    return OK;
}

static result read_idempotency_key(const struct http_request *request, struct str *ret)
{
    *ret = http_header(request, "idempotency-key");
    if (ret->ptr == NULL)
        return OK;
    bool visible = ret->len > 0 && ret->len <= RECORDS_IDEMPOTENCY_MAX;
    for (size_t i = 0; i < ret->len && visible; i++)
        visible = ret->ptr[i] > ' ' && ret->ptr[i] <= '~';
    return visible ? OK
                   : FAIL(E_ARGUMENT, "Send 1 to 128 visible ASCII characters.",
                          "the Idempotency-Key is malformed");
}

/* In HTTP/1.1 a request that says nothing of a body has none; for a record that is more likely a mistake. */
static result check_length_is_known(const struct http_request *request)
{
    if (request->protocol == HTTP_PROTOCOL_1_1 && http_header(request, "content-length").ptr == NULL &&
        http_header(request, "transfer-encoding").ptr == NULL)
        return FAIL(E_BODY_LENGTH, "Send Content-Length: 0 for an empty record.",
                    "the request has no Content-Length");
    return OK;
}

result record_put(struct api_call *call)
{
    struct record_shelf shelf;
    TRY(api_admit_shelf(call, ACTION_STORE, &shelf));
    struct record_write write = { .key = http_parameter(&call->match, "key"),
                                  .type = http_header(call->request, "content-type") };
    TRY(api_check_content_type(write.type));
    TRY(read_if_match(call->request, &write.condition));
    TRY(read_idempotency_key(call->request, &write.idempotency_key));
    TRY(check_length_is_known(call->request));
    size_t max = api_body_max(call);
    http_body_allow(call->request, max, call->snapshot->region->limits.body_within_ms);
    TRY(http_body_read_all(call->request, max, &write.body));
    struct record_written written;
    TRY(records_put(&shelf, &call->request->arena, &write, &written));
    char etag[REVISION_ETAG_SIZE];
    revision_format_etag(written.revision, etag);
    const struct http_header headers[] = { { STR("etag"), str_from(etag) } };
    http_respond(call->request, written.created ? 201 : 200, headers, 1, (struct str){ 0 });
    return OK;
}

result record_get(struct api_call *call)
{
    struct record_shelf shelf;
    TRY(api_admit_shelf(call, ACTION_READ, &shelf));
    struct record record;
    TRY(records_get(&shelf, &call->request->arena, http_parameter(&call->match, "key"), &record));
    char etag[REVISION_ETAG_SIZE];
    revision_format_etag(record.revision, etag);
    const struct http_header headers[] = { { STR("etag"), str_from(etag) },
                                           { STR("cache-control"), STR("private, no-store") },
                                           { STR("x-content-type-options"), STR("nosniff") },
                                           { STR("content-type"), record.type } };
    if (str_is(http_header(call->request, "if-none-match"), etag))
        http_respond(call->request, 304, headers, 2, (struct str){ 0 });
    else
        http_respond(call->request, 200, headers, 4, record.body);
    return OK;
}

result record_delete(struct api_call *call)
{
    struct record_shelf shelf;
    TRY(api_admit_shelf(call, ACTION_DELETE, &shelf));
    struct record_condition condition = { 0 };
    TRY(read_if_match(call->request, &condition));
    if (condition.if_absent)
        return FAIL(E_ARGUMENT, "Send If-Match, or no condition.",
                    "If-None-Match cannot be used in a deletion");
    TRY(records_delete(&shelf, http_parameter(&call->match, "key"), &condition));
    http_respond(call->request, 204, NULL, 0, (struct str){ 0 });
    return OK;
}

/* ---- lists ---- */

enum list_form { LIST_JSON, LIST_NDJSON, LIST_NEITHER };

/* The first type in Accept that we have is used; quality values are ignored, since clients never ask for both forms. */
static enum list_form list_form(const struct http_request *request)
{
    struct str accept = http_header(request, "accept"), part;
    if (accept.ptr == NULL)
        return LIST_JSON;
    while (str_cut(&accept, ',', &part)) {
        part = str_trim(part);
        if (api_media_type_is(part, "application/x-ndjson"))
            return LIST_NDJSON;
        if (api_media_type_is(part, "application/json") || api_media_type_is(part, "application/*") ||
            api_media_type_is(part, "*/*"))
            return LIST_JSON;
    }
    return LIST_NEITHER;
}

static json_t *item_json(const struct record_item *item)
{
    char etag[REVISION_ETAG_SIZE], written[CLOCK_TEXT_SIZE];
    revision_format_etag(item->revision, etag);
    clock_format(item->written_ms, written);
    json_t *json = json_object();
    json_object_set_new(json, "key", json_stringn(item->key.ptr, item->key.len));
    json_object_set_new(json, "etag", json_string(etag));
    json_object_set_new(json, "stored_bytes", json_integer((json_int_t)item->stored_bytes));
    json_object_set_new(json, "written_at", json_string(written));
    return json;
}

result record_list(struct api_call *call)
{
    enum list_form form = list_form(call->request);
    if (form == LIST_NDJSON)
        return api_bulk_out(call);
    struct record_shelf shelf;
    TRY(api_admit_shelf(call, ACTION_LIST, &shelf));
    if (form == LIST_NEITHER)
        return FAIL(E_NOT_ACCEPTABLE,
                    "Accept application/json, or application/x-ndjson for lists with contents.",
                    "lists are available only as JSON or NDJSON");
    struct str prefix, after;
    size_t limit = 0;
    TRY(api_query_key(call, "prefix", &prefix));
    TRY(api_query_key(call, "after", &after));
    TRY(api_query_limit(call, &limit));
    struct record_page page;
    TRY(records_page(&shelf, &call->request->arena, prefix, after, limit, false, &page));
    json_t *records = json_array();
    for (size_t i = 0; i < page.count; i++)
        json_array_append_new(records, item_json(&page.items[i]));
    struct str last = page.more ? page.items[page.count - 1].key : (struct str){ 0 };
    json_t *answer = json_object();
    json_object_set_new(answer, "records", records);
    json_object_set_new(answer, "next", page.more ? json_stringn(last.ptr, last.len) : json_null());
    api_answer_json(call, 200, answer);
    return OK;
}
