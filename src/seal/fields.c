#include "seal/fields.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

static void put(struct fields *fields, const void *bytes, size_t len)
{
    if (len > FIELDS_MAX - fields->len) {
        fields->overflow = true;
        return;
    }
    if (len > 0)
        memcpy(fields->bytes + fields->len, bytes, len);
    fields->len += len;
}

static void put_number(struct fields *fields, uint64_t n, size_t bytes)
{
    uint8_t encoded[8];
    for (size_t i = 0; i < bytes; i++)
        encoded[i] = (uint8_t)(n >> (8 * (bytes - 1 - i)));
    put(fields, encoded, bytes);
}

void fields_begin(struct fields *fields, struct str label)
{
    fields->len = 0;
    fields->overflow = false;
    fields_str(fields, label, label.len);
}

void fields_str(struct fields *fields, struct str s, size_t max)
{
    if (s.len > max || s.len > UINT16_MAX) {
        fields->overflow = true;
        return;
    }
    put_number(fields, s.len, 2);
    put(fields, s.ptr, s.len);
}

void fields_u32(struct fields *fields, uint32_t n)
{
    put_number(fields, n, 4);
}

void fields_u64(struct fields *fields, uint64_t n)
{
    put_number(fields, n, 8);
}

void seal_hkdf(const struct secret *secret, struct str info, uint8_t *out, size_t len)
{
    static EVP_KDF *hkdf; /* fetched once */
    if (hkdf == NULL)
        hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    must(hkdf != NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(hkdf);
    must(context != NULL);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret->ptr, secret->len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info.ptr, info.len),
        OSSL_PARAM_construct_end(),
    };
    must(EVP_KDF_derive(context, out, len, params) == 1);
    EVP_KDF_CTX_free(context);
}
