#pragma once
/* Keys in a temporary folder, and tokens made by hand. */
#include "check.h"

#include "auth/token.h"
#include "base/encode.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const int64_t now_ms = INT64_C(1790000000000);

static char key_folder[] = "/tmp/domicile-auth-XXXXXX";

struct key_files {
    char private_key[64], public_key[64];
};

static inline struct key_files key_files(const char *region)
{
    struct key_files files;
    snprintf(files.private_key, sizeof files.private_key, "%s/%s.key", key_folder, region);
    snprintf(files.public_key, sizeof files.public_key, "%s/%s.pub", key_folder, region);
    return files;
}

static const char *const key_regions[] = { "eu-fr", "us", "foreign" };

static inline int make_keys(void **state)
{
    if (mkdtemp(key_folder) == NULL)
        return -1;
    for (size_t i = 0; i < 3; i++) {
        struct key_files files = key_files(key_regions[i]);
        if (failed(token_key_generate(files.private_key, files.public_key)))
            return -1;
    }
    return 0;
}

static inline int drop_keys(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        struct key_files files = key_files(key_regions[i]);
        unlink(files.private_key);
        unlink(files.public_key);
    }
    return rmdir(key_folder);
}

/* Of eu-fr and us; the third key is nobody's. */
static inline struct token_keys *known_keys(void)
{
    struct token_keys *keys = NULL;
    check_ok(token_keys_new(&keys));
    for (size_t i = 0; i < 2; i++)
        check_ok(token_keys_add_file(keys, str_from(key_regions[i]), key_files(key_regions[i]).public_key));
    return keys;
}

static inline struct token_signer *signer_of(const char *region)
{
    struct token_signer *signer = NULL;
    check_ok(token_signer_new(&signer, str_from(region), key_files(region).private_key));
    return signer;
}

static inline struct principal an_app(void)
{
    return (struct principal){ .role = ROLE_CUSTOMER_APP, .client = "c-one", .customer = "clinique-lumiere" };
}

/* A token over exactly these texts, signed with that region's private key (NULL: an empty signature). */
static inline struct str forge(struct arena *arena, const char *header, const char *claims,
                               const char *region)
{
    const char *text = arena_printf(arena, "%s.%s", encode_base64url(arena, str_from(header)).ptr,
                                    encode_base64url(arena, str_from(claims)).ptr);
    uint8_t signature[64];
    size_t len = 0;
    if (region != NULL) {
        FILE *file = fopen(key_files(region).private_key, "r");
        assert_non_null(file);
        EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        fclose(file);
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        len = sizeof signature;
        assert_true(EVP_DigestSignInit(context, NULL, NULL, NULL, key) &&
                    EVP_DigestSign(context, signature, &len, (const uint8_t *)text, strlen(text)));
        EVP_MD_CTX_free(context);
        EVP_PKEY_free(key);
    }
    return str_from(arena_printf(arena, "%s.%s", text,
                                 encode_base64url(arena, (struct str){ (char *)signature, len }).ptr));
}

static inline const char *header_of(struct arena *arena, const char *region)
{
    struct token_signer *signer = signer_of(region);
    const char *header = arena_printf(arena, "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
                                      token_signer_kid(signer));
    token_signer_free(signer);
    return header;
}

#define WHO "\"iss\":\"eu-fr\",\"aud\":\"eu-fr\",\"sub\":\"c-one\",\"client_id\":\"c-one\","
#define APP "\"role\":\"customer-app\",\"customer\":\"clinique-lumiere\","
#define TIMES "\"iat\":1790000000,\"exp\":1790000900,"
#define ID "\"jti\":\"x\""

/* A good token of exactly so many bytes: what it lacks is in a claim of no meaning. */
static inline struct str forge_of_length(struct arena *arena, size_t len)
{
    const char *header = header_of(arena, "eu-fr");
    for (size_t spaces = 0; spaces < 2; spaces++) /* there is no base64url of 4 n + 1 */
        for (size_t more = 1; more < len; more++) {
            const char *pad = arena_printf(arena, "%*s", (int)more, "");
            const char *claims = arena_printf(arena, "{" WHO APP TIMES "\"pad\":\"%s\"," ID "}", pad);
            struct str token =
                forge(arena, arena_printf(arena, "%s%*s", header, (int)spaces, ""), claims, "eu-fr");
            if (token.len == len)
                return token;
        }
    fail_msg("no token has %zu bytes", len);
    return (struct str){ 0 };
}
