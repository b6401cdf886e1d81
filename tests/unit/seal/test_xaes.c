#include "check.h"

#include "base/encode.h"
#include "seal/xaes.h"

#include <openssl/evp.h>
#include <stdlib.h>

/* The vectors of c2sp.org/XAES-256-GCM. */
struct vector {
    uint8_t key_byte;
    struct str aad;
    const char *sealed;
};
static const struct vector vectors[] = {
    { 1, { "", 0 }, "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271" },
    { 3, { "c2sp.org/XAES-256-GCM", 21 }, "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d" },
};
static const uint8_t *const nonce = (const uint8_t *)"ABCDEFGHIJKLMNOPQRSTUVWX";

static void the_published_vectors_hold(void **state)
{
    for (size_t i = 0; i < COUNT(vectors); i++) {
        uint8_t key[32], expected[28], sealed[28], opened[12];
        size_t len = 0;
        memset(key, vectors[i].key_byte, sizeof key);
        assert_true(decode_hex(str_from(vectors[i].sealed), expected, sizeof expected, &len));
        xaes_seal(key, nonce, vectors[i].aad, STR("XAES-256-GCM"), sealed);
        assert_memory_equal(sealed, expected, sizeof expected);
        assert_true(
            xaes_open(key, nonce, vectors[i].aad, (struct str){ (char *)sealed, sizeof sealed }, opened));
        assert_memory_equal(opened, "XAES-256-GCM", sizeof opened);
    }
}

/* The spec's generator: one long SHAKE-128 of nothing. 10,000 rounds take 3.2 MB of it. */
static struct str take(struct str *stream, size_t len)
{
    assert_true(stream->len >= len);
    struct str taken = { stream->ptr, len };
    *stream = (struct str){ stream->ptr + len, stream->len - len };
    return taken;
}

static struct str take_vector(struct str *stream)
{
    return take(stream, (unsigned char)take(stream, 1).ptr[0]);
}

static void the_accumulated_vectors_hold(void **state)
{
    enum { ROUNDS = 10000, STREAM = 4 << 20 };
    uint8_t *bytes = malloc(STREAM), digest[32], expected[32];
    EVP_MD_CTX *shake = EVP_MD_CTX_new(), *hash = EVP_MD_CTX_new();
    assert_true(EVP_DigestInit_ex(shake, EVP_shake128(), NULL) && EVP_DigestFinalXOF(shake, bytes, STREAM));
    assert_true(EVP_DigestInit_ex(hash, EVP_shake128(), NULL));
    struct str stream = { (char *)bytes, STREAM };
    for (int i = 0; i < ROUNDS; i++) {
        const uint8_t *key = (const uint8_t *)take(&stream, XAES_KEY_BYTES).ptr;
        const uint8_t *own_nonce = (const uint8_t *)take(&stream, XAES_NONCE_BYTES).ptr;
        struct str plaintext = take_vector(&stream), aad = take_vector(&stream);
        uint8_t sealed[255 + XAES_TAG_BYTES], opened[255];
        struct str whole = { (char *)sealed, plaintext.len + XAES_TAG_BYTES };
        xaes_seal(key, own_nonce, aad, plaintext, sealed);
        assert_true(xaes_open(key, own_nonce, aad, whole, opened));
        assert_true(str_eq((struct str){ (char *)opened, plaintext.len }, plaintext));
        EVP_DigestUpdate(hash, sealed, whole.len);
    }
    assert_true(EVP_DigestFinalXOF(hash, digest, sizeof digest));
    size_t len = 0;
    assert_true(decode_hex(STR("e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"), expected,
                           sizeof expected, &len));
    assert_memory_equal(digest, expected, sizeof expected);
    EVP_MD_CTX_free(shake);
    EVP_MD_CTX_free(hash);
    free(bytes);
}

static void no_flipped_bit_and_no_cut_opens(void **state)
{
    uint8_t key[32], own_nonce[24], sealed[28], opened[12];
    memset(key, 3, sizeof key);
    memcpy(own_nonce, nonce, sizeof own_nonce);
    const uint8_t zeros[12] = { 0 };
    struct str aad = STR("aad"), whole = { (char *)sealed, sizeof sealed };
    xaes_seal(key, own_nonce, aad, STR("XAES-256-GCM"), sealed);
    struct part {
        uint8_t *bytes;
        size_t len;
    } parts[] = { { key, sizeof key }, { own_nonce, sizeof own_nonce }, { sealed, sizeof sealed } };
    for (size_t p = 0; p < 3; p++) {
        for (size_t bit = 0; bit < 8 * parts[p].len; bit++) {
            parts[p].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            memset(opened, 0xff, sizeof opened);
            assert_false(xaes_open(key, own_nonce, aad, whole, opened));
            assert_memory_equal(opened, zeros, sizeof zeros);
            parts[p].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
    for (size_t len = 0; len < sizeof sealed; len++)
        assert_false(xaes_open(key, own_nonce, aad, (struct str){ (char *)sealed, len }, opened));
    assert_false(xaes_open(key, own_nonce, STR("aad2"), whole, opened));
    assert_false(xaes_open(key, own_nonce, STR(""), whole, opened));
    assert_true(xaes_open(key, own_nonce, aad, whole, opened));
}

static void it_works_again_after_forgetting_and_with_nothing_inside(void **state)
{
    uint8_t key[32] = { 7 }, sealed[16], opened[1];
    xaes_seal(key, nonce, STR(""), STR(""), sealed);
    xaes_forget();
    xaes_forget();
    assert_true(xaes_open(key, nonce, STR(""), (struct str){ (char *)sealed, sizeof sealed }, opened));
    xaes_forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors_hold),
        cmocka_unit_test(the_accumulated_vectors_hold),
        cmocka_unit_test(no_flipped_bit_and_no_cut_opens),
        cmocka_unit_test(it_works_again_after_forgetting_and_with_nothing_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
