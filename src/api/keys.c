/* Rotation of class keys: writes switch at once, and records are re-sealed afterwards. */
#include "records/keys.h"

#include "api/call.h"
#include "base/log.h"

static json_t *rotation_json(const struct record_shelf *shelf, const struct record_rotation *rotation)
{
    json_t *json = json_object();
    json_object_set_new(json, "class", json_stringn(shelf->class.ptr, shelf->class.len));
    json_object_set_new(json, "key_version", json_integer(rotation->key_version));
    json_object_set_new(json, "state", json_string(rotation->done ? "done" : "running"));
    json_object_set_new(json, "remaining", json_integer((json_int_t)rotation->remaining));
    json_object_set_new(json, "remaining_is", json_string(rotation->counted_all ? "exact" : "at-least"));
    return json;
}

static result admit_sealed(struct api_call *call, struct record_shelf *ret)
{
    TRY(api_admit_shelf(call, ACTION_ROTATE_KEY, ret));
    if (!ret->sealed)
        return FAIL(E_CONFLICT, NULL, "the class \"%.*s\" is not sealed, so it has no key",
                    STR_ARG(ret->class));
    return OK;
}

result key_rotate(struct api_call *call)
{
    struct record_shelf shelf;
    TRY(admit_sealed(call, &shelf));
    uint32_t version;
    TRY(record_key_rotate(&shelf, &version));
    log_event(LOG_INFO, "class key of \"%.*s\" rotated to version %u", STR_ARG(shelf.class), version);
    gateway_want_reseal(call->gateway);
    struct record_rotation rotation = { .key_version = version };
    result counted = record_key_rotation(&shelf, &rotation);
    if (failed(counted)) /* it has happened all the same */
        log_failure(LOG_WARNING, &counted.error, "cannot read the progress of the rotation, ignoring");
    api_answer_json(call, 202, rotation_json(&shelf, &rotation));
    return OK;
}

result key_rotation_show(struct api_call *call)
{
    struct record_shelf shelf;
    TRY(admit_sealed(call, &shelf));
    struct record_rotation rotation;
    TRY(record_key_rotation(&shelf, &rotation));
    api_answer_json(call, 200, rotation_json(&shelf, &rotation));
    return OK;
}
