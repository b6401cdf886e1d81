#include "seal/keyring.h"

#include "base/clock.h"
#include "base/siphash.h"
#include "seal/xaes.h"

#include <stdlib.h>

enum { NAME_MAX_BYTES = 63 };

/* In its bucket, and in the ring's list from the oldest unwrapping to the newest: that is the order of expiry. */
struct entry {
    struct entry *next_in_bucket, *older, *newer;
    uint64_t hash, expires_ns;
    struct class_key key;
    bool current, used;
    uint8_t customer_len, class_len;
    char names[]; /* customer, then class */
};

struct keyring {
    struct entry **buckets;
    uint64_t bucket_mask, lifetime_ns;
    struct siphash_key hash_key;
    struct entry *oldest, *newest;
    struct entry *hand; /* where the search for a key to drop goes on; NULL: at the oldest */
    size_t count, keys_max;
};

static uint64_t hash_names(const struct keyring *ring, struct str customer, struct str class)
{
    char names[2 * NAME_MAX_BYTES + 1];
    if (customer.len > NAME_MAX_BYTES || class.len > NAME_MAX_BYTES)
        return 0; /* no such key is ever put */
    memcpy(names, customer.ptr, customer.len);
    names[customer.len] = '/'; /* in no identifier: here the first name ends */
    memcpy(names + customer.len + 1, class.ptr, class.len);
    return siphash(&ring->hash_key, (struct str){ names, customer.len + 1 + class.len }).words[0];
}

static bool entry_is_of(const struct entry *entry, uint64_t hash, struct str customer, struct str class)
{
    return entry->hash == hash && str_eq((struct str){ entry->names, entry->customer_len }, customer) &&
           str_eq((struct str){ entry->names + entry->customer_len, entry->class_len }, class);
}

static struct entry **bucket_of(const struct keyring *ring, uint64_t hash)
{
    return &ring->buckets[hash & ring->bucket_mask];
}

static void entry_drop(struct keyring *ring, struct entry *entry)
{
    struct entry **at = bucket_of(ring, entry->hash);
    while (*at != entry)
        at = &(*at)->next_in_bucket;
    *at = entry->next_in_bucket;
    if (entry->older != NULL)
        entry->older->newer = entry->newer;
    else
        ring->oldest = entry->newer;
    if (entry->newer != NULL)
        entry->newer->older = entry->older;
    else
        ring->newest = entry->older;
    if (ring->hand == entry)
        ring->hand = entry->newer;
    ring->count--;
    classkey_free(&entry->key);
    free(entry);
}

static void entry_link(struct keyring *ring, struct entry *entry)
{
    struct entry **bucket = bucket_of(ring, entry->hash);
    entry->next_in_bucket = *bucket;
    *bucket = entry;
    entry->older = ring->newest;
    if (ring->newest != NULL)
        ring->newest->newer = entry;
    else
        ring->oldest = entry;
    ring->newest = entry;
    ring->count++;
}

result keyring_new(struct keyring **ret, size_t keys_max, uint64_t lifetime_ms)
{
    if (keys_max == 0 || keys_max > KEYRING_KEYS_MAX || lifetime_ms == 0 || lifetime_ms > SEC(86400))
        return FAIL(E_LIMIT, "Keep at most 50000 keys, for at most one day.",
                    "a keyring of %zu keys for %llu ms is not possible", keys_max,
                    (unsigned long long)lifetime_ms);
    size_t buckets = 64;
    while (buckets < keys_max)
        buckets *= 2;
    struct keyring *ring = calloc(1, sizeof *ring);
    struct entry **table = calloc(buckets, sizeof(struct entry *));
    if (ring == NULL || table == NULL) {
        free(ring);
        free(table);
        return FAIL(E_MEMORY, NULL, "no memory for a keyring");
    }
    *ring = (struct keyring){ .buckets = table,
                              .bucket_mask = buckets - 1,
                              .lifetime_ns = lifetime_ms * 1000000,
                              .keys_max = keys_max };
    random_bytes(&ring->hash_key, sizeof ring->hash_key);
    *ret = ring;
    return OK;
}

void keyring_free(struct keyring *ring)
{
    if (ring == NULL)
        return;
    keyring_forget_all(ring);
    free(ring->buckets);
    free(ring);
}

static const uint32_t current_version = UINT32_MAX;

static struct entry *find(struct keyring *ring, struct str customer, struct str class, uint32_t version)
{
    uint64_t hash = hash_names(ring, customer, class);
    for (struct entry *entry = *bucket_of(ring, hash); entry != NULL; entry = entry->next_in_bucket) {
        bool is_version = version == current_version ? entry->current : version == entry->key.version;
        if (is_version && entry_is_of(entry, hash, customer, class))
            return entry;
    }
    return NULL;
}

static const struct class_key *find_fresh(struct keyring *ring, struct str customer, struct str class,
                                          uint32_t version)
{
    struct entry *entry = find(ring, customer, class, version);
    if (entry == NULL)
        return NULL;
    if (clock_monotonic_ns() >= entry->expires_ns) {
        entry_drop(ring, entry);
        xaes_forget();
        return NULL;
    }
    entry->used = true;
    return &entry->key;
}

const struct class_key *keyring_find(struct keyring *ring, struct str customer, struct str class,
                                     uint32_t version)
{
    return version == 0 || version > CLASSKEY_VERSION_MAX ? NULL : find_fresh(ring, customer, class, version);
}

const struct class_key *keyring_find_current(struct keyring *ring, struct str customer, struct str class)
{
    return find_fresh(ring, customer, class, current_version);
}

/* Second chance: the hand goes round from old to new, and takes the first key that was not used since it last came by.
 * Each step pays for one use, so a round through a whole ring is rare. */
static void evict_one(struct keyring *ring)
{
    struct entry *entry = ring->hand;
    while (entry == NULL || entry->used) {
        if (entry != NULL)
            entry->used = false;
        entry = entry != NULL && entry->newer != NULL ? entry->newer : ring->oldest;
    }
    ring->hand = entry;
    entry_drop(ring, entry);
}

static struct entry *entry_new(const struct keyring *ring, struct str customer, struct str class)
{
    struct entry *entry = calloc(1, sizeof *entry + customer.len + class.len);
    if (entry == NULL)
        return NULL;
    entry->hash = hash_names(ring, customer, class);
    entry->expires_ns = clock_monotonic_ns() + ring->lifetime_ns;
    entry->customer_len = (uint8_t)customer.len;
    entry->class_len = (uint8_t) class.len;
    memcpy(entry->names, customer.ptr, customer.len);
    memcpy(entry->names + customer.len, class.ptr, class.len);
    return entry;
}

result keyring_put(struct keyring *ring, struct str customer, struct str class, struct class_key *key,
                   bool is_current)
{
    must(key->version >= 1 && key->version <= CLASSKEY_VERSION_MAX && key->secret.len == CLASSKEY_BYTES);
    bool fits =
        customer.len >= 1 && customer.len <= NAME_MAX_BYTES && class.len >= 1 && class.len <= NAME_MAX_BYTES;
    struct entry *entry = fits ? entry_new(ring, customer, class) : NULL;
    if (entry == NULL) {
        classkey_free(key);
        return fits ? FAIL(E_MEMORY, NULL, "no memory for a class key")
                    : FAIL(E_LIMIT, "Use identifiers of at most 63 bytes.",
                           "a name in a class key is too long");
    }
    struct entry *same = find(ring, customer, class, key->version);
    if (same != NULL)
        entry_drop(ring, same);
    struct entry *current = is_current ? find(ring, customer, class, current_version) : NULL;
    if (current != NULL)
        current->current = false;
    if (ring->count == ring->keys_max)
        evict_one(ring);
    entry->key = *key;
    entry->current = is_current;
    *key = (struct class_key){ 0 };
    entry_link(ring, entry);
    return OK;
}

/* Those that expire by then. */
static void drop_oldest(struct keyring *ring, uint64_t until_ns)
{
    struct entry *newer;
    for (struct entry *entry = ring->oldest; entry != NULL && entry->expires_ns <= until_ns; entry = newer) {
        newer = entry->newer;
        entry_drop(ring, entry);
    }
    xaes_forget();
}

void keyring_forget_all(struct keyring *ring)
{
    drop_oldest(ring, UINT64_MAX);
}

void keyring_expire(struct keyring *ring)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (ring->oldest != NULL && ring->oldest->expires_ns <= now_ns)
        drop_oldest(ring, now_ns);
}

size_t keyring_count(const struct keyring *ring)
{
    return ring->count;
}
