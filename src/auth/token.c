#include "auth/token_internal.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/secret.h"

#include <stdlib.h>

enum { DEPTH_MAX = 4, DECODED_MAX = TOKEN_MAX / 4 * 3, JTI_BYTES = 16 };

/* header.claims.signature */
struct parts {
    struct str header, claims, signature;
    struct str signed_text; /* header.claims */
};

static result refuse(const char *why)
{
    return FAIL(E_UNAUTHENTICATED, "Get a new access token from /oauth/token.", "the access token %s", why);
}

static bool split(struct str token, struct parts *ret)
{
    if (token.len == 0 || token.len > TOKEN_MAX)
        return false;
    const char *end = token.ptr + token.len;
    const char *first = memchr(token.ptr, '.', token.len);
    const char *second = first == NULL ? NULL : memchr(first + 1, '.', (size_t)(end - first) - 1);
    if (second == NULL || memchr(second + 1, '.', (size_t)(end - second) - 1) != NULL)
        return false;
    *ret = (struct parts){
        .header = { token.ptr, (size_t)(first - token.ptr) },
        .claims = { first + 1, (size_t)(second - first) - 1 },
        .signature = { second + 1, (size_t)(end - second) - 1 },
        .signed_text = { token.ptr, (size_t)(second - token.ptr) },
    };
    return true;
}

/* NULL: no object in base64url. */
static json_t *decode_object(struct str part)
{
    char text[DECODED_MAX];
    json_t *value = NULL;
    struct str decoded = { text, 0 };
    if (!decode_base64url(part, text, sizeof text, &decoded.len) ||
        failed(json_parse(decoded, DEPTH_MAX, &value)))
        return NULL;
    if (!json_is_object(value)) {
        json_decref(value);
        return NULL;
    }
    return value;
}

/* The key that the header names; NULL if the header is not exactly what it must be. */
static const struct token_key *header_key(const struct token_keys *keys, struct str part)
{
    static const char *const names[] = { "alg", "typ", "kid", NULL };
    json_t *header = decode_object(part);
    const struct token_key *key = NULL;
    if (header != NULL && !failed(json_only_members(header, names)) &&
        str_is(json_member_str(header, "alg"), "EdDSA") && str_is(json_member_str(header, "typ"), "at+jwt"))
        key = token_keys_find(keys, json_member_str(header, "kid"));
    json_decref(header);
    return key;
}

static bool signature_is_good(const struct token_key *key, const struct parts *parts)
{
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    size_t len = 0;
    if (!decode_base64url(parts->signature, signature, sizeof signature, &len) || len != sizeof signature)
        return false;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    must(context != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->key) == 1);
    bool good = EVP_DigestVerify(context, signature, sizeof signature,
                                 (const uint8_t *)parts->signed_text.ptr, parts->signed_text.len) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

/* Whole seconds since 1970, within reason; -1 for anything else. */
static int64_t member_time(const json_t *claims, const char *name)
{
    const json_t *value = json_object_get(claims, name);
    json_int_t seconds = json_is_integer(value) ? json_integer_value(value) : -1;
    return seconds >= 0 && seconds < INT64_C(1) << 40 ? seconds : -1;
}

static bool member_is(const json_t *claims, const char *name, const char *expected)
{
    return str_is(json_member_str(claims, name), expected);
}

static bool take_id(const json_t *claims, const char *name, char id[64])
{
    struct str text = json_member_str(claims, name);
    if (text.ptr == NULL || !str_is_id(text))
        return false;
    memcpy(id, text.ptr, text.len);
    id[text.len] = '\0';
    return true;
}

/* A customer's client names its customer, and nobody else names one. */
static bool who_is_sound(const struct principal *principal)
{
    return role_is_grantable(principal->role) && str_is_id(str_from(principal->client)) &&
           (principal->customer[0] != '\0') == (role_kind(principal->role) == ROLE_OF_CUSTOMER);
}

static result read_who(const json_t *claims, struct principal *principal)
{
    if (!take_id(claims, "client_id", principal->client) || !member_is(claims, "sub", principal->client))
        return refuse("does not name a client");
    if (json_object_get(claims, "customer") != NULL && !take_id(claims, "customer", principal->customer))
        return refuse("names a malformed customer");
    struct str role = json_member_str(claims, "role");
    principal->role = role.ptr == NULL ? ROLE_UNKNOWN : role_from(role);
    if (!who_is_sound(principal))
        return refuse("has no role, or a role that does not match its customer");
    struct str id = json_member_str(claims, "jti");
    return id.ptr != NULL && id.len > 0 ? OK : refuse("has no id");
}

static result read_times(const json_t *claims, int64_t wall_ms, struct principal *principal)
{
    int64_t issued = member_time(claims, "iat"), expires = member_time(claims, "exp"), begins = issued;
    if (json_object_get(claims, "nbf") != NULL)
        begins = member_time(claims, "nbf");
    if (issued < 0 || begins < 0 || expires <= issued || expires - issued > TOKEN_LIFETIME_MAX_S)
        return refuse("has missing or impossible times");
    int64_t latest = begins > issued ? begins : issued;
    if (latest * 1000 > wall_ms + TOKEN_SKEW_MS)
        return refuse("is not valid yet");
    principal->issued_ms = issued * 1000;
    principal->expires_ms = expires * 1000;
    if (principal_is_expired(principal, wall_ms))
        return FAIL(E_TOKEN_EXPIRED, "Get a new access token from /oauth/token.",
                    "the access token has expired");
    return OK;
}

static result read_claims(const json_t *claims, const struct token_key *key, int64_t wall_ms,
                          struct principal *ret)
{
    struct principal principal = { 0 };
    if (!take_id(claims, "aud", principal.region) || !member_is(claims, "iss", principal.region) ||
        strcmp(principal.region, key->region) != 0)
        return refuse("is for another region than its key");
    TRY(read_who(claims, &principal));
    TRY(read_times(claims, wall_ms, &principal));
    *ret = principal;
    return OK;
}

result token_verify(const struct token_keys *keys, struct str token, int64_t wall_ms, struct principal *ret)
{
    struct parts parts;
    if (!split(token, &parts))
        return refuse("is malformed");
    const struct token_key *key = header_key(keys, parts.header);
    if (key == NULL)
        return refuse("is of another type, or signed by an unknown key");
    if (!signature_is_good(key, &parts))
        return refuse("has a wrong signature");
    json_t *claims = decode_object(parts.claims);
    if (claims == NULL)
        return refuse("is malformed");
    result r = read_claims(claims, key, wall_ms, ret);
    json_decref(claims);
    return r;
}

static struct str encode_object(struct arena *arena, json_t *object)
{
    must(object != NULL);
    char *text = json_dumps(object, JSON_COMPACT);
    must(text != NULL);
    struct str encoded = encode_base64url(arena, str_from(text));
    free(text);
    json_decref(object);
    return encoded;
}

static json_t *claims_of(const struct principal *principal, const char *region, int64_t issued,
                         int64_t expires, const char *jti)
{
    const char *customer = principal->customer[0] != '\0' ? principal->customer : NULL;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*, s:I, s:I, s:s}", "iss", region, "aud", region, "sub",
                     principal->client, "client_id", principal->client, "role", role_word(principal->role),
                     "customer", customer, "iat", (json_int_t)issued, "exp", (json_int_t)expires, "jti", jti);
}

result token_sign(const struct token_signer *signer, const struct principal *principal, int64_t wall_ms,
                  uint32_t lifetime_s, struct arena *arena, struct str *ret)
{
    must(lifetime_s >= 1 && lifetime_s <= TOKEN_LIFETIME_MAX_S && wall_ms >= 0);
    if (!who_is_sound(principal) ||
        (principal->customer[0] != '\0' && !str_is_id(str_from(principal->customer))))
        return FAIL(E_INTERNAL, NULL, "cannot create a token for client \"%s\" with role \"%s\"",
                    principal->client, role_word(principal->role));
    uint8_t id[JTI_BYTES], signature[ED25519_SIGNATURE_BYTES];
    random_bytes(id, sizeof id);
    struct str jti = encode_base64url(arena, (struct str){ (char *)id, sizeof id });
    int64_t issued = wall_ms / 1000;
    struct str header = encode_object(
        arena, json_pack("{s:s, s:s, s:s}", "alg", "EdDSA", "typ", "at+jwt", "kid", signer->key.kid));
    struct str claims =
        encode_object(arena, claims_of(principal, signer->key.region, issued, issued + lifetime_s, jti.ptr));
    const char *text = arena_printf(arena, "%s.%s", header.ptr, claims.ptr);
    size_t len = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    must(context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, signer->key.key) == 1);
    must(EVP_DigestSign(context, signature, &len, (const uint8_t *)text, strlen(text)) == 1 &&
         len == sizeof signature);
    EVP_MD_CTX_free(context);
    struct str encoded = encode_base64url(arena, (struct str){ (char *)signature, len });
    *ret = str_from(arena_printf(arena, "%s.%s", text, encoded.ptr));
    must(ret->len <= TOKEN_MAX);
    return OK;
}
