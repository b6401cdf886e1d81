#include "auth/token_cache.h"

#include "base/secret.h"
#include "directory/siphash.h"

#include <stdlib.h>

/* A token has one set of WAYS slots to be in, by the hash of its last bytes: they are of its signature, so they differ
 * from token to token, and hashing all of it would take as long as comparing it. The key of the hash keeps a stranger
 * from aiming at a set. */
enum { WAYS = 4, HASHED_BYTES = 64 };

struct slot {
    uint64_t hash;
    size_t len; /* 0: free */
    char *token;
    struct principal principal;
};

struct token_cache {
    struct siphash_key key;
    size_t set_mask;
    struct slot *slots;
    struct token_cache_stats stats;
};

result token_cache_new(struct token_cache **ret, size_t tokens)
{
    if (tokens == 0 || tokens > TOKEN_CACHE_MAX)
        return FAIL(E_LIMIT, "Keep between 1 and 1048576 tokens.", "a cache of %zu tokens is not possible",
                    tokens);
    size_t sets = 1;
    while (sets * WAYS < tokens)
        sets *= 2;
    struct token_cache *cache = calloc(1, sizeof *cache);
    struct slot *slots = calloc(sets * WAYS, sizeof *slots);
    if (cache == NULL || slots == NULL) {
        free(cache);
        free(slots);
        return FAIL(E_MEMORY, NULL, "no memory for a cache of %zu tokens", tokens);
    }
    cache->set_mask = sets - 1;
    cache->slots = slots;
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
    for (size_t i = 0; i < (cache->set_mask + 1) * WAYS; i++)
        slot_empty(cache, &cache->slots[i]);
}

void token_cache_free(struct token_cache *cache)
{
    if (cache == NULL)
        return;
    token_cache_clear(cache);
    free(cache->slots);
    free(cache);
}

static uint64_t hash_of(const struct token_cache *cache, struct str token)
{
    size_t len = token.len < HASHED_BYTES ? token.len : HASHED_BYTES;
    return siphash(&cache->key, (struct str){ token.ptr + token.len - len, len }).words[0];
}

static struct slot *find(struct slot *set, uint64_t hash, struct str token)
{
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].hash == hash && set[i].len == token.len &&
            secret_equal(set[i].token, token.ptr, token.len))
            return &set[i];
    return NULL;
}

static void keep(struct token_cache *cache, struct slot *set, uint64_t hash, struct str token,
                 const struct principal *principal)
{
    char *copy = malloc(token.len);
    if (copy == NULL)
        return; /* it is checked again the next time */
    memcpy(copy, token.ptr, token.len);
    struct slot *slot = &set[0];
    for (size_t i = 1; i < WAYS && slot->len != 0; i++)
        if (set[i].len == 0 || set[i].principal.expires_ms < slot->principal.expires_ms)
            slot = &set[i];
    slot_empty(cache, slot);
    *slot = (struct slot){ .hash = hash, .len = token.len, .token = copy, .principal = *principal };
    cache->stats.tokens++;
}

result token_cache_verify(struct token_cache *cache, const struct token_keys *keys, struct str token,
                          int64_t wall_ms, struct principal *ret)
{
    if (token.len == 0 || token.len > TOKEN_MAX)
        return token_verify(keys, token, wall_ms, ret);
    uint64_t hash = hash_of(cache, token);
    struct slot *set = &cache->slots[(hash & cache->set_mask) * WAYS];
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
