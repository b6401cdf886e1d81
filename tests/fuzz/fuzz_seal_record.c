/* Opening foreign bytes: nothing opens, nothing is read out of bounds. The first byte says what the rest is: a sealed
 * record as it came, or a patch for a good one, which opens only if the patch changed nothing. */
#include "seal/record.h"

#include <stdlib.h>

static struct class_key key;
static const struct record_place place = {
    { "eu-fr", 5 }, { "clinique-lumiere", 16 }, { "health", 6 }, { "k", 1 }, 7
};

static void open_patched(const uint8_t *patch, size_t size)
{
    static const char text[] = "a record of some length";
    uint8_t sealed[sizeof text + RECORD_OVERHEAD_BYTES], out[sizeof text];
    size_t len = 0;
    bool changed = false;
    must(!failed(record_seal(&key, &place, (struct str){ text, sizeof text }, sealed)));
    for (size_t i = 0; i < size && i < sizeof sealed; i++) {
        changed |= patch[i] != 0;
        sealed[i] ^= patch[i];
    }
    result r = record_open(&key, &place, (struct str){ (char *)sealed, sizeof sealed }, out, &len);
    must(failed(r) == changed && (changed || (len == sizeof text && memcmp(out, text, len) == 0)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (key.secret.ptr == NULL)
        must(!failed(classkey_generate(1, &key)));
    if (size == 0)
        return 0;
    struct str rest = { (const char *)bytes + 1, size - 1 };
    if (bytes[0] == 'p') {
        open_patched(bytes + 1, rest.len);
        return 0;
    }
    uint32_t version = 0;
    size_t plain = record_plaintext_size(rest.len), len = 0;
    uint8_t *out = malloc(plain + 1);
    bool has_version = !failed(record_key_version(rest, &version));
    must(!has_version || version != 0);
    result r = record_open(&key, &place, rest, out, &len);
    must(r.error.code == E_SEAL);
    free(out);
    return 0;
}
