/* Unwrapping foreign bytes: a patched key opens only if the patch changed nothing, other bytes never do. */
#include "seal/classkey.h"

static struct root_key root;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct class_key_name name = {
        { "us", 2 }, { "lakeside-health", 15 }, { "identity", 8 }, 2
    };
    static uint8_t wrapped[CLASSKEY_WRAPPED_BYTES];
    if (root.secret.ptr == NULL) {
        struct class_key key = { 0 };
        must(!failed(secret_new(&root.secret, ROOTKEY_BYTES)));
        random_bytes(root.secret.ptr, ROOTKEY_BYTES);
        must(!failed(classkey_generate(2, &key)) && !failed(classkey_wrap(&root, &name, &key, wrapped)));
        classkey_free(&key);
    }
    struct class_key back = { 0 };
    result r = classkey_unwrap(&root, &name, (struct str){ (const char *)bytes, size }, &back);
    must(r.error.code == E_SEAL && back.secret.ptr == NULL);

    uint8_t patched[CLASSKEY_WRAPPED_BYTES];
    bool changed = false;
    for (size_t i = 0; i < sizeof patched; i++) {
        uint8_t flip = i < size ? bytes[i] : 0;
        changed |= flip != 0;
        patched[i] = wrapped[i] ^ flip;
    }
    r = classkey_unwrap(&root, &name, (struct str){ (char *)patched, sizeof patched }, &back);
    must(failed(r) == changed);
    classkey_free(&back);
    return 0;
}
