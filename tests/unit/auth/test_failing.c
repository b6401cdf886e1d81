/* What the disk and the memory can refuse: an error, and nothing half done. */
#include "auth_test.h"
#include "failing.h"

#include "auth/scrypt.h"
#include "auth/token_cache.h"

static void what_has_no_memory_is_not_made(void **state)
{
    struct token_keys *keys = NULL;
    struct token_signer *signer = NULL;
    struct token_cache *cache = NULL;
    int before = open_files();
    fail_at("calloc", 0, ENOMEM);
    check_fails(E_MEMORY, token_keys_new(&keys));
    assert_true(has_failed());
    fail_at("malloc", 1, ENOMEM); /* the first is the arena's */
    check_fails(E_MEMORY, token_signer_new(&signer, STR("eu-fr"), key_files("eu-fr").private_key));
    assert_true(has_failed());
    for (int after = 0; after < 2; after++) {
        fail_at("calloc", after, ENOMEM);
        check_fails(E_MEMORY, token_cache_new(&cache, 64));
        assert_true(has_failed());
    }
    assert_true(keys == NULL && signer == NULL && cache == NULL);
    assert_int_equal(open_files(), before);
    token_signer_free(NULL);
}

static void a_token_that_cannot_be_kept_is_good_all_the_same(void **state)
{
    struct arena arena;
    arena_init(&arena);
    struct token_keys *keys = known_keys();
    struct token_signer *signer = signer_of("eu-fr");
    struct token_cache *cache = NULL;
    struct principal app = an_app(), who;
    struct str token;
    check_ok(token_cache_new(&cache, 64));
    check_ok(token_sign(signer, &app, now_ms, 900, &arena, &token));
    fail_at("malloc", 0, ENOMEM);
    check_ok(token_cache_verify(cache, keys, token, now_ms, &who));
    assert_true(has_failed());
    assert_string_equal(who.client, "c-one");
    assert_int_equal(token_cache_stats(cache).tokens, 0);
    check_ok(token_cache_verify(cache, keys, token, now_ms, &who));
    assert_int_equal(token_cache_stats(cache).tokens, 1);
    token_cache_free(cache);
    token_signer_free(signer);
    token_keys_free(keys);
    arena_done(&arena);
}

static void a_pair_of_keys_is_there_whole_or_not_at_all(void **state)
{
    struct key_files files = key_files("new");
    int before = open_files();
    for (int after = 0; after < 2; after++) { /* the private one, then the public one */
        fail_at("write", after, ENOSPC);
        check_fails(E_IO, token_key_generate(files.private_key, files.public_key));
        assert_true(has_failed());
        assert_int_not_equal(access(files.private_key, F_OK), 0);
        assert_int_not_equal(access(files.public_key, F_OK), 0);
    }
    assert_int_equal(open_files(), before);
}

static void a_key_is_read_into_locked_memory_or_not(void **state)
{
    struct token_signer *signer = NULL;
    int before = open_files();
    fail_at("mlock", 0, ENOMEM);
    check_fails(E_RESOURCE, token_signer_new(&signer, STR("eu-fr"), key_files("eu-fr").private_key));
    assert_true(has_failed());
    fail_at("read", 0, EIO);
    check_fails(E_CONFIG, token_signer_new(&signer, STR("eu-fr"), key_files("eu-fr").private_key));
    assert_true(has_failed());
    assert_null(signer);
    assert_int_equal(open_files(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_read_into_locked_memory_or_not), /* first: there is no locked memory yet */
        cmocka_unit_test(what_has_no_memory_is_not_made),
        cmocka_unit_test(a_token_that_cannot_be_kept_is_good_all_the_same),
        cmocka_unit_test(a_pair_of_keys_is_there_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
