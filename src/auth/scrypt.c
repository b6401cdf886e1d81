#include "auth/scrypt.h"

#include "base/arena.h"
#include "base/encode.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdio.h>

enum { SALT_MAX = 48, MEMORY_MAX = 128 * 1024 * 1024 };

static uint64_t memory_of(struct scrypt_cost cost)
{
    return (uint64_t)128 * cost.r << cost.ln;
}

result scrypt_derive(struct str secret, struct str salt, struct scrypt_cost cost, uint8_t *out, size_t len)
{
    uint64_t n = UINT64_C(1) << cost.ln, memory_max = memory_of(cost) + (uint64_t)128 * cost.r * (cost.p + 2);
    EVP_KDF *scrypt = EVP_KDF_fetch(NULL, "SCRYPT", NULL); /* each time: this runs on several threads */
    EVP_KDF_CTX *context = scrypt != NULL ? EVP_KDF_CTX_new(scrypt) : NULL;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)(secret.ptr ? secret.ptr : ""),
                                          secret.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(salt.ptr ? salt.ptr : ""), salt.len),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &cost.r),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &cost.p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory_max),
        OSSL_PARAM_construct_end(),
    };
    bool derived = context != NULL && EVP_KDF_derive(context, out, len, params) == 1;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(scrypt);
    ERR_clear_error();
    return derived ? OK
                   : FAIL(E_MEMORY, "Give the process more memory.", "not enough memory to hash a secret");
}

/* A part of the text: base64 without padding, of at least `min` and at most `max` bytes. */
static bool decode_part(struct str part, uint8_t *bytes, size_t min, size_t max, size_t *ret_len)
{
    char padded[4 * ((SALT_MAX + 2) / 3) + 4];
    size_t len = part.len;
    if (len == 0 || len % 4 == 1 || len > sizeof padded - 3)
        return false;
    memcpy(padded, part.ptr, len);
    while (len % 4 != 0)
        padded[len++] = '=';
    bool ends_in_letter = part.ptr[part.len - 1] != '=';
    return ends_in_letter && decode_base64((struct str){ padded, len }, bytes, max, ret_len) &&
           *ret_len >= min;
}

static bool take_number(struct str *rest, const char *name, char separator, uint64_t min, uint64_t max,
                        uint32_t *ret)
{
    struct str part;
    uint64_t n = 0;
    if (!str_cut(rest, separator, &part) || !str_starts(part, str_from(name)))
        return false;
    struct str digits = { part.ptr + strlen(name), part.len - strlen(name) };
    if (!str_to_u64(digits, max, &n) || n < min)
        return false;
    *ret = (uint32_t)n;
    return true;
}

struct parsed {
    struct scrypt_cost cost;
    size_t salt_len;
    uint8_t salt[SALT_MAX], hash[SCRYPT_HASH_BYTES];
};

static bool parse(struct str text, struct parsed *ret)
{
    struct str prefix = STR("$scrypt$"), salt;
    struct scrypt_cost *cost = &ret->cost;
    size_t hash_len = 0;
    if (text.len >= SCRYPT_TEXT_SIZE || !str_starts(text, prefix))
        return false;
    struct str rest = { text.ptr + prefix.len, text.len - prefix.len };
    return take_number(&rest, "ln=", ',', 14, 17, &cost->ln) &&
           take_number(&rest, "r=", ',', 8, 16, &cost->r) && take_number(&rest, "p=", '$', 1, 4, &cost->p) &&
           memory_of(*cost) <= MEMORY_MAX && str_cut(&rest, '$', &salt) && rest.ptr != NULL &&
           decode_part(salt, ret->salt, SCRYPT_SALT_BYTES, sizeof ret->salt, &ret->salt_len) &&
           decode_part(rest, ret->hash, sizeof ret->hash, sizeof ret->hash, &hash_len);
}

static struct str without_padding(struct str encoded)
{
    while (encoded.len > 0 && encoded.ptr[encoded.len - 1] == '=')
        encoded.len--;
    return encoded;
}

result scrypt_hash(struct str secret, struct scrypt_cost cost, char text[SCRYPT_TEXT_SIZE])
{
    uint8_t salt[SCRYPT_SALT_BYTES], hash[SCRYPT_HASH_BYTES];
    random_bytes(salt, sizeof salt);
    TRY(scrypt_derive(secret, (struct str){ (char *)salt, sizeof salt }, cost, hash, sizeof hash));
    struct arena arena;
    arena_init(&arena);
    struct str salt_text = without_padding(encode_base64(&arena, (struct str){ (char *)salt, sizeof salt }));
    struct str hash_text = without_padding(encode_base64(&arena, (struct str){ (char *)hash, sizeof hash }));
    int len = snprintf(text, SCRYPT_TEXT_SIZE, "$scrypt$ln=%u,r=%u,p=%u$%.*s$%.*s", cost.ln, cost.r, cost.p,
                       STR_ARG(salt_text), STR_ARG(hash_text));
    must(len > 0 && len < SCRYPT_TEXT_SIZE);
    arena_done(&arena);
    return OK;
}

result scrypt_verify(struct str text, struct str secret, bool *ret_matches)
{
    struct parsed parsed;
    uint8_t hash[SCRYPT_HASH_BYTES];
    if (!parse(text, &parsed))
        return FAIL(E_FORMAT, "Create a new client and use it instead.",
                    "the stored hash of a secret is malformed");
    TRY(scrypt_derive(secret, (struct str){ (char *)parsed.salt, parsed.salt_len }, parsed.cost, hash,
                      sizeof hash));
    *ret_matches = secret_equal(hash, parsed.hash, sizeof hash);
    return OK;
}
