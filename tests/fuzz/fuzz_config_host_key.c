/* Pins: what is taken has one form, and is what its base64 says. */
#include "base/encode.h"
#include "config/host_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t blob[HOST_KEY_BLOB_BYTES];
    struct str given = { (const char *)data, size };
    if (data == NULL || !host_key_parse(given, blob))
        return 0;
    struct arena arena;
    arena_init(&arena);
    struct str base64 = encode_base64(&arena, (struct str){ (const char *)blob, sizeof blob });
    struct str line = str_from(arena_printf(&arena, "ssh-ed25519 %s", base64.ptr));
    must(str_starts(given, line));
    must(size == line.len || given.ptr[line.len] == ' ');
    arena_done(&arena);
    return 0;
}
