#include "check.h"

#include "base/siphash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

/* Against the library's own: same key, same bytes, every length of the last word. */
static void it_is_the_librarys_siphash(void **state)
{
    unsigned char bytes[64], key_bytes[16], wanted[16];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    memcpy(key_bytes, bytes, sizeof key_bytes);
    struct siphash_key key;
    memcpy(&key, key_bytes, sizeof key);
    for (size_t len = 0; len < sizeof bytes; len++) {
        size_t size = sizeof wanted, wanted_len;
        unsigned int c_rounds = 1, d_rounds = 3;
        const OSSL_PARAM params[] = { OSSL_PARAM_size_t(OSSL_MAC_PARAM_SIZE, &size),
                                      OSSL_PARAM_uint(OSSL_MAC_PARAM_C_ROUNDS, &c_rounds),
                                      OSSL_PARAM_uint(OSSL_MAC_PARAM_D_ROUNDS, &d_rounds), OSSL_PARAM_END };
        assert_non_null(EVP_Q_mac(NULL, "SIPHASH", NULL, NULL, params, key_bytes, sizeof key_bytes, bytes,
                                  len, wanted, sizeof wanted, &wanted_len));
        struct siphash got = siphash(&key, (struct str){ (const char *)bytes, len });
        assert_memory_equal(&got, wanted, sizeof wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_librarys_siphash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
