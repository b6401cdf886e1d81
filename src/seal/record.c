#include "seal/record.h"

#include "seal/fields.h"
#include "seal/xaes.h"

enum { FORMAT = 0xd1, NAME_MAX_BYTES = 63, AT_VERSION = 1, AT_NONCE = 5 };
_Static_assert(AT_NONCE + XAES_NONCE_BYTES == RECORD_HEADER_BYTES, "the header is as record.h says");
_Static_assert(RECORD_HEADER_BYTES + XAES_TAG_BYTES == RECORD_OVERHEAD_BYTES,
               "the overhead is as record.h says");

static bool associate(struct fields *aad, const struct record_place *place, uint32_t key_version)
{
    fields_begin(aad, STR("domicile record v1"));
    fields_str(aad, place->region, NAME_MAX_BYTES);
    fields_str(aad, place->customer, NAME_MAX_BYTES);
    fields_str(aad, place->class, NAME_MAX_BYTES);
    fields_str(aad, place->key, RECORD_KEY_MAX);
    fields_u64(aad, (uint64_t)place->revision);
    fields_u32(aad, key_version);
    return !aad->overflow;
}

result record_seal(const struct class_key *key, const struct record_place *place, struct str plaintext,
                   uint8_t *out)
{
    must(key->secret.len == XAES_KEY_BYTES);
    struct fields aad;
    if (plaintext.len > RECORD_PLAINTEXT_MAX)
        return FAIL(E_LIMIT, "Split the record, or store it elsewhere and keep its location here.",
                    "the record has %zu bytes, more than %d", plaintext.len, RECORD_PLAINTEXT_MAX);
    if (!associate(&aad, place, key->version))
        return FAIL(E_LIMIT, "Use identifiers of at most 63 bytes and keys of at most 512.",
                    "an identifier or the key of the record is too long");
    out[0] = FORMAT;
    for (size_t i = 0; i < 4; i++)
        out[AT_VERSION + i] = (uint8_t)(key->version >> (24 - 8 * i));
    random_bytes(out + AT_NONCE, XAES_NONCE_BYTES);
    xaes_seal(key->secret.ptr, out + AT_NONCE, fields_bytes(&aad), plaintext, out + RECORD_HEADER_BYTES);
    return OK;
}

/* The one error of opening, whatever the reason. */
static result does_not_open(void)
{
    return FAIL(E_SEAL,
                "Compare the row with the audit log and restore it from a backup: it was changed, moved, or "
                "replaced by an older one.",
                "a sealed record cannot be opened");
}

result record_key_version(struct str sealed, uint32_t *ret)
{
    const uint8_t *bytes = (const uint8_t *)sealed.ptr;
    if (sealed.len < RECORD_OVERHEAD_BYTES || bytes[0] != FORMAT)
        return does_not_open();
    uint32_t version = 0;
    for (size_t i = 0; i < 4; i++)
        version = version << 8 | bytes[AT_VERSION + i];
    if (version == 0 || version > CLASSKEY_VERSION_MAX)
        return does_not_open();
    *ret = version;
    return OK;
}

result record_open(const struct class_key *key, const struct record_place *place, struct str sealed,
                   uint8_t *out, size_t *ret_len)
{
    must(key->secret.len == XAES_KEY_BYTES);
    struct fields aad;
    uint32_t version = 0;
    TRY(record_key_version(sealed, &version));
    if (version != key->version || sealed.len > record_sealed_size(RECORD_PLAINTEXT_MAX) ||
        !associate(&aad, place, version))
        return does_not_open();
    const uint8_t *nonce = (const uint8_t *)sealed.ptr + AT_NONCE;
    struct str text = { sealed.ptr + RECORD_HEADER_BYTES, sealed.len - RECORD_HEADER_BYTES };
    if (!xaes_open(key->secret.ptr, nonce, fields_bytes(&aad), text, out))
        return does_not_open();
    *ret_len = record_plaintext_size(sealed.len);
    return OK;
}
