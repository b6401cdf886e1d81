/* JSON from strangers: a member's raw bytes parse to the very value that the whole document has there. */
#include "base/json.h"

static void check_member(struct str text, const char *name, const json_t *value)
{
    struct str raw = json_member_raw(text, name);
    if (raw.ptr == NULL) {
        must(memchr(text.ptr, '\\', text.len) != NULL); /* only a name with escapes is not found */
        return;
    }
    must(raw.ptr >= text.ptr && raw.ptr + raw.len <= text.ptr + text.len);
    json_t *again = NULL;
    result r = json_parse(raw, JSON_DEPTH_MAX, &again);
    must(!failed(r) && json_equal(value, again));
    json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str text = { (const char *)bytes, size };
    (void)json_member_raw(text, "value");
    json_t *whole = NULL;
    if (failed(json_parse(text, JSON_DEPTH_MAX, &whole)))
        return 0;
    if (json_is_object(whole)) {
        const char *name;
        json_t *value;
        json_object_foreach(whole, name, value) check_member(text, name, value);
    }
    json_decref(whole);
    return 0;
}
