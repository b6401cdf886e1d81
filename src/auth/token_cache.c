#include "auth/token_cache.h"

#include "base/secret.h"
#include "base/siphash.h"

#include <stdlib.h>

/* The hash of a token's last bytes selects its set of slots: they are of its signature, so they differ from token to
 * token, and hashing all of it would take as long as comparing it. The key of the hash stops an attacker from choosing
 * the set. There are twice as many slots as tokens, so that few sets overflow when the cache is full. */
enum { WAYS = 8, HASHED_BYTES = 64, SIGNATURE_BYTES = 86 };

struct slot {
    size_t len; /* 0: free */
    char *token;
    struct principal principal;
};

struct set {
    uint64_t hashes[WAYS]; /* one cache line: most looks go no further than this and one slot */
    struct slot slots[WAYS];
};

struct token_cache {
    struct siphash_key key;
    size_t set_mask;
    struct set *sets;
    struct token_cache_stats stats;
};

result token_cache_new(struct token_cache **ret, size_t tokens)
{
    if (tokens == 0 || tokens > TOKEN_CACHE_MAX)
        return FAIL(E_LIMIT, "Set a size between 1 and 1048576 tokens.",
                    "a cache of %zu tokens is not possible", tokens);
    size_t count = 1;
    while (count * WAYS < 2 * tokens)
        count *= 2;
    struct token_cache *cache = calloc(1, sizeof *cache);
    struct set *sets = calloc(count, sizeof *sets);
    if (cache == NULL || sets == NULL) {
        free(cache);
        free(sets);
        return FAIL(E_MEMORY, NULL, "no memory for a cache of %zu tokens", tokens);
    }
    cache->set_mask = count - 1;
    cache->sets = sets;
    random_bytes(&cache->key, sizeof cache->key);
    *ret = cache;
    return OK;
}

static void slot_empty(struct token_cache *cache, struct slot *slot)
{
    if (slot->len == 0)
        return;
    secret_wipe(slot->token, slot->len);
    free(slot->token);
    *slot = (struct slot){ 0 };
    cache->stats.tokens--;
}

void token_cache_clear(struct token_cache *cache)
{
    for (size_t i = 0; i <= cache->set_mask; i++)
        for (size_t way = 0; way < WAYS; way++)
            slot_empty(cache, &cache->sets[i].slots[way]);
}

void token_cache_free(struct token_cache *cache)
{
    if (cache == NULL)
        return;
    token_cache_clear(cache);
    free(cache->sets);
    free(cache);
}

static uint64_t hash_of(const struct token_cache *cache, struct str token)
{
    size_t len = token.len < HASHED_BYTES ? token.len : HASHED_BYTES;
    return siphash(&cache->key, (struct str){ token.ptr + token.len - len, len }).words[0];
}

/* The signature in constant time. Whoever has the signature has the rest too, so the rest need not be. */
static bool is_token(const struct slot *slot, struct str token)
{
    if (slot->len != token.len)
        return false;
    size_t signature = token.len < SIGNATURE_BYTES ? token.len : SIGNATURE_BYTES,
           rest = token.len - signature;
    return secret_equal(slot->token + rest, token.ptr + rest, signature) &&
           memcmp(slot->token, token.ptr, rest) == 0;
}

static struct slot *find(struct set *set, uint64_t hash, struct str token)
{
    for (size_t i = 0; i < WAYS; i++)
        if (set->hashes[i] == hash && is_token(&set->slots[i], token))
            return &set->slots[i];
    return NULL;
}

/* A free slot, or the one whose token expires first. */
static size_t way_for_new(const struct set *set)
{
    size_t best = 0;
    for (size_t i = 0; i < WAYS && set->slots[best].len != 0; i++)
        if (set->slots[i].len == 0 ||
            set->slots[i].principal.expires_ms < set->slots[best].principal.expires_ms)
            best = i;
    return best;
}

static void keep(struct token_cache *cache, struct set *set, uint64_t hash, struct str token,
                 const struct principal *principal)
{
    char *copy = malloc(token.len);
    if (copy == NULL)
        return; /* it is checked again the next time */
    memcpy(copy, token.ptr, token.len);
    size_t way = way_for_new(set);
    slot_empty(cache, &set->slots[way]);
    set->hashes[way] = hash;
    set->slots[way] = (struct slot){ .len = token.len, .token = copy, .principal = *principal };
    cache->stats.tokens++;
}

result token_cache_verify(struct token_cache *cache, const struct token_keys *keys, struct str token,
                          int64_t wall_ms, struct principal *ret)
{
    if (token.len == 0 || token.len > TOKEN_MAX)
        return token_verify(keys, token, wall_ms, ret);
    uint64_t hash = hash_of(cache, token);
    struct set *set = &cache->sets[hash & cache->set_mask];
    struct slot *slot = find(set, hash, token);
    if (slot != NULL && !principal_is_expired(&slot->principal, wall_ms)) {
        cache->stats.hits++;
        *ret = slot->principal;
        return OK;
    }
    if (slot != NULL)
        slot_empty(cache, slot);
    cache->stats.misses++;
    struct principal principal;
    TRY(token_verify(keys, token, wall_ms, &principal));
    keep(cache, set, hash, token, &principal);
    *ret = principal;
    return OK;
}

struct token_cache_stats token_cache_stats(const struct token_cache *cache)
{
    return cache->stats;
}
