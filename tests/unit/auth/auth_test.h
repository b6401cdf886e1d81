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
