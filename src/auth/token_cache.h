#pragma once
/* Tokens that were verified a moment ago. A signature costs more to check than all the rest of a request, and a client
 * sends the same token many times. Bounded; a token leaves when it expires, when its place is needed, or when the keys
 * are loaded again (token_cache_clear). A look-up takes less than 300 ns. One thread. */
#include "auth/token.h"

enum { TOKEN_CACHE_MAX = 1 << 20 };

struct token_cache;
/* Room for `tokens`, and never for more than four times as many: 240 bytes a slot, taken when used, and each token's
 * own bytes. E_LIMIT, E_MEMORY. */
result token_cache_new(struct token_cache **ret, size_t tokens) MUST_USE;
void token_cache_free(struct token_cache *cache); /* takes NULL */

/* token_verify, or what it said before of the same bytes. */
result token_cache_verify(struct token_cache *cache, const struct token_keys *keys, struct str token,
                          int64_t wall_ms, struct principal *ret) MUST_USE;

void token_cache_clear(struct token_cache *cache); /* call it when the keys have changed */

struct token_cache_stats {
    size_t tokens;
    uint64_t hits, misses;
};
struct token_cache_stats token_cache_stats(const struct token_cache *cache);
