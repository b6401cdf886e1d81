/* Access tokens. The first byte says what the rest is:
 *     t  a token as a stranger sends it: never verifies
 *     s  header, line feed, claims: signed with a known key, so that the claims are read; what verifies is sound
 *     p  a patch for a good token: verifies only if it changes nothing */
#include "auth/token_internal.h"
#include "base/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const int64_t now_ms = INT64_C(1790000000000);
static struct token_keys *keys;
static struct token_signer *signer;

static void prepare(void)
{
    char folder[] = "/tmp/domicile-fuzz-XXXXXX", private_key[64], public_key[64];
    must(mkdtemp(folder) != NULL);
    snprintf(private_key, sizeof private_key, "%s/key", folder);
    snprintf(public_key, sizeof public_key, "%s/pub", folder);
    must(!failed(token_key_generate(private_key, public_key)));
    must(!failed(token_keys_new(&keys)) && !failed(token_keys_add_file(keys, STR("eu-fr"), public_key)));
    must(!failed(token_signer_new(&signer, STR("eu-fr"), private_key)));
    unlink(private_key);
    unlink(public_key);
    rmdir(folder);
}

static void check_sound(const struct principal *who)
{
    must(role_is_grantable(who->role) && str_is_id(str_from(who->client)));
    must((who->customer[0] != '\0') == (role_kind(who->role) == ROLE_OF_CUSTOMER));
    must(who->customer[0] == '\0' || str_is_id(str_from(who->customer)));
    must(str_is(str_from(who->region), "eu-fr"));
    must(who->expires_ms > who->issued_ms && who->expires_ms - who->issued_ms <= TOKEN_LIFETIME_MAX_S * 1000);
    must(!principal_is_expired(who, now_ms));
}

/* KID in the header stands for the key's own. */
static struct str sign(struct arena *arena, struct str header, struct str claims)
{
    const char *kid = memmem(header.ptr, header.len, "KID", 3);
    if (kid != NULL)
        header = str_from(arena_printf(arena, "%.*s%s%.*s", (int)(kid - header.ptr), header.ptr,
                                       signer->key.kid, (int)(header.ptr + header.len - kid - 3), kid + 3));
    const char *text = arena_printf(arena, "%s.%s", encode_base64url(arena, header).ptr,
                                    encode_base64url(arena, claims).ptr);
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    size_t len = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    must(EVP_DigestSignInit(context, NULL, NULL, NULL, signer->key.key) == 1);
    must(EVP_DigestSign(context, signature, &len, (const uint8_t *)text, strlen(text)) == 1);
    EVP_MD_CTX_free(context);
    return str_from(arena_printf(arena, "%s.%s", text,
                                 encode_base64url(arena, (struct str){ (char *)signature, len }).ptr));
}

static void try_signed(struct arena *arena, struct str rest)
{
    struct str header;
    struct principal who;
    if (rest.len == 0 || !str_cut(&rest, '\n', &header) || rest.ptr == NULL)
        return;
    if (!failed(token_verify(keys, sign(arena, header, rest), now_ms, &who)))
        check_sound(&who);
}

static void try_patched(struct arena *arena, struct str patch)
{
    const struct principal app = { .role = ROLE_CUSTOMER_APP, .client = "c-one", .customer = "clinique" };
    struct principal who;
    struct str token;
    bool changed = false;
    must(!failed(token_sign(signer, &app, now_ms, 900, arena, &token)));
    char *bytes = arena_cstr(arena, token);
    for (size_t i = 0; i < patch.len && i < token.len; i++) {
        changed |= patch.ptr[i] != 0;
        bytes[i] = (char)(bytes[i] ^ patch.ptr[i]);
    }
    must(failed(token_verify(keys, (struct str){ bytes, token.len }, now_ms, &who)) == changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (keys == NULL)
        prepare();
    if (size == 0)
        return 0;
    struct arena arena;
    struct str rest = { (const char *)bytes + 1, size - 1 };
    struct principal who;
    arena_init(&arena);
    if (bytes[0] == 's')
        try_signed(&arena, rest);
    else if (bytes[0] == 'p')
        try_patched(&arena, rest);
    else
        must(token_verify(keys, rest, now_ms, &who).error.code == E_UNAUTHENTICATED);
    arena_done(&arena);
    return 0;
}
