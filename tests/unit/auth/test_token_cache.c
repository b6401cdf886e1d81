#include "auth_test.h"

#include "auth/token_cache.h"

struct world {
    struct arena arena;
    struct token_keys *keys, *no_keys;
    struct token_signer *signer;
    struct token_cache *cache;
};

static struct world world_of(size_t tokens)
{
    struct world world = { .keys = known_keys(), .signer = signer_of("eu-fr") };
    arena_init(&world.arena);
    check_ok(token_keys_new(&world.no_keys));
    check_ok(token_cache_new(&world.cache, tokens));
    return world;
}

static void world_done(struct world *world)
{
    token_cache_free(world->cache);
    token_signer_free(world->signer);
    token_keys_free(world->keys);
    token_keys_free(world->no_keys);
    arena_done(&world->arena);
}

static struct str sign(struct world *world, uint32_t lifetime_s)
{
    struct principal app = an_app();
    struct str token;
    check_ok(token_sign(world->signer, &app, now_ms, lifetime_s, &world->arena, &token));
    return token;
}

/* Without keys nothing verifies, so what is good then came from the cache. */
static bool is_cached(struct world *world, struct str token, int64_t wall_ms)
{
    struct principal who;
    return !failed(token_cache_verify(world->cache, world->no_keys, token, wall_ms, &who));
}

static void a_verified_token_is_known_again(void **state)
{
    struct world world = world_of(64);
    struct str token = sign(&world, 900), other = sign(&world, 900);
    struct principal who = { 0 }, again = { 0 };
    assert_false(is_cached(&world, token, now_ms));
    check_ok(token_cache_verify(world.cache, world.keys, token, now_ms, &who));
    check_ok(token_cache_verify(world.cache, world.no_keys, token, now_ms, &again));
    assert_memory_equal(&who, &again, sizeof who);
    assert_string_equal(who.client, "c-one");
    assert_false(is_cached(&world, other, now_ms));
    struct token_cache_stats stats = token_cache_stats(world.cache);
    assert_int_equal(stats.tokens, 1);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.misses, 3);
    world_done(&world);
}

static void p8_an_altered_token_is_not_known(void **state)
{
    struct world world = world_of(64);
    struct str token = sign(&world, 900);
    struct principal who;
    check_ok(token_cache_verify(world.cache, world.keys, token, now_ms, &who));
    char *bytes = arena_cstr(&world.arena, token);
    for (size_t bit = 0; bit < 8 * token.len;
         bit++) { /* its claims as well: the hash is of the signature alone */
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        check_fails(E_UNAUTHENTICATED, token_cache_verify(world.cache, world.keys,
                                                          (struct str){ bytes, token.len }, now_ms, &who));
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_false(is_cached(&world, (struct str){ bytes + 1, token.len - 1 }, now_ms));
    assert_false(is_cached(&world, (struct str){ bytes, token.len - 1 }, now_ms));
    assert_false(is_cached(&world, STR(""), now_ms));
    assert_true(is_cached(&world, token, now_ms));
    assert_int_equal(token_cache_stats(world.cache).tokens, 1);
    world_done(&world);
}

static void p8_what_does_not_verify_is_not_kept(void **state)
{
    struct world world = world_of(64);
    struct principal who;
    char big[TOKEN_MAX + 1];
    memset(big, 'a', sizeof big);
    check_fails(E_UNAUTHENTICATED, token_cache_verify(world.cache, world.keys, STR("a.b.c"), now_ms, &who));
    check_fails(E_UNAUTHENTICATED,
                token_cache_verify(world.cache, world.keys, (struct str){ big, sizeof big }, now_ms, &who));
    check_fails(E_TOKEN_EXPIRED,
                token_cache_verify(world.cache, world.keys, sign(&world, 1), now_ms + 60000, &who));
    assert_int_equal(token_cache_stats(world.cache).tokens, 0);
    world_done(&world);
}

static void p8_a_token_is_kept_up_to_the_length_that_one_may_have(void **state)
{
    struct world world = world_of(64);
    struct principal who;
    struct str longest = forge_of_length(&world.arena, TOKEN_MAX);
    check_ok(token_cache_verify(world.cache, world.keys, longest, now_ms, &who));
    assert_true(is_cached(&world, longest, now_ms));
    struct str longer = forge_of_length(&world.arena, TOKEN_MAX + 1);
    check_fails(E_UNAUTHENTICATED, token_cache_verify(world.cache, world.keys, longer, now_ms, &who));
    check_fails(E_UNAUTHENTICATED, token_cache_verify(world.cache, world.keys, STR(""), now_ms, &who));
    assert_int_equal(token_cache_stats(world.cache).misses, 1); /* what cannot be a token is not looked for */
    world_done(&world);
}

static void a_known_token_expires(void **state)
{
    struct world world = world_of(64);
    struct str token = sign(&world, 60);
    struct principal who;
    check_ok(token_cache_verify(world.cache, world.keys, token, now_ms, &who));
    assert_true(is_cached(&world, token, now_ms + 89999));
    check_fails(E_TOKEN_EXPIRED, token_cache_verify(world.cache, world.keys, token, now_ms + 90000, &who));
    assert_int_equal(token_cache_stats(world.cache).tokens, 0);
    world_done(&world);
}

static void new_keys_make_it_forget(void **state)
{
    struct world world = world_of(64);
    struct str token = sign(&world, 900);
    struct principal who;
    check_ok(token_cache_verify(world.cache, world.keys, token, now_ms, &who));
    token_cache_clear(world.cache);
    assert_false(is_cached(&world, token, now_ms));
    assert_int_equal(token_cache_stats(world.cache).tokens, 0);
    world_done(&world);
}

/* A set has eight slots, and this cache one of them: whose token would be of no use first makes room. */
static void the_first_to_expire_makes_room(void **state)
{
    enum { SLOTS = 8 };
    static const uint32_t lifetimes_s[SLOTS + 1] = { 500, 700, 300, 900, 400, 800, 600, 850, 450 };
    struct world world = world_of(SLOTS / 2);
    struct principal who;
    struct str tokens[SLOTS + 1];
    for (size_t i = 0; i <= SLOTS; i++) {
        tokens[i] = sign(&world, lifetimes_s[i]);
        check_ok(token_cache_verify(world.cache, world.keys, tokens[i], now_ms, &who));
    }
    assert_int_equal(token_cache_stats(world.cache).tokens, SLOTS);
    for (size_t i = 0; i <= SLOTS; i++)
        assert_int_equal(is_cached(&world, tokens[i], now_ms), lifetimes_s[i] != 300);
    world_done(&world);
}

static void p8_the_cache_is_bounded(void **state)
{
    enum { ROOM = 16, SIGNED = 200 };
    struct world world = world_of(ROOM);
    struct principal who;
    struct str last = { 0 };
    for (int i = 0; i < SIGNED; i++) {
        last = sign(&world, 900);
        check_ok(token_cache_verify(world.cache, world.keys, last, now_ms, &who));
        assert_true(is_cached(&world, last, now_ms));
        assert_true(token_cache_stats(world.cache).tokens <= 4 * ROOM);
    }
    assert_true(token_cache_stats(world.cache).tokens >= ROOM);
    struct token_cache *none = NULL;
    check_fails(E_LIMIT, token_cache_new(&none, 0));
    check_fails(E_LIMIT, token_cache_new(&none, TOKEN_CACHE_MAX + 1));
    token_cache_free(NULL);
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verified_token_is_known_again),
        cmocka_unit_test(p8_an_altered_token_is_not_known),
        cmocka_unit_test(p8_what_does_not_verify_is_not_kept),
        cmocka_unit_test(p8_a_token_is_kept_up_to_the_length_that_one_may_have),
        cmocka_unit_test(a_known_token_expires),
        cmocka_unit_test(new_keys_make_it_forget),
        cmocka_unit_test(the_first_to_expire_makes_room),
        cmocka_unit_test(p8_the_cache_is_bounded),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
