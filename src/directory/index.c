/* Entries lie one behind the other in one large reservation of address space, so that they never move and a 32-bit
 * number finds each. The hash table holds only those numbers and 32 bits of the hash: it can be rebuilt without
 * touching an entry, and a lookup touches two places in memory, a slot and the entry with its id. */
#include "directory/index.h"

#include "base/secret.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
    UNIT = 8,                /* bytes: entries begin at multiples, so that 32 bits reach 32 GiB */
    COMMIT_BYTES = 32 << 20, /* of address space; pages come when they are touched */
    SLOTS_MIN = 1024,
    MOVES_PER_PUT = 64,
    NAMES_MAX = 1024,
};
static const size_t RESERVED_BYTES = (size_t)UNIT << 32;

struct node {
    uint64_t version;
    uint32_t epoch, services_version;
    uint16_t region, cell; /* numbers in index->names */
    uint8_t state, id_len;
    char id[];
};
enum { CLASSES = (offsetof(struct node, id) + DIRECTORY_NAME_MAX + UNIT - 1) / UNIT + 1 };

struct slot {
    uint32_t node; /* in units from the base; 0: never used, GONE: used before */
    uint32_t hash;
};
static const uint32_t GONE = UINT32_MAX;

struct table {
    struct slot *slots;
    size_t count; /* a power of two, or 0 */
    size_t used;  /* slots that are not 0 */
};

struct directory_index {
    struct table table;
    struct table old; /* while growing: what is not yet moved */
    size_t moved;     /* slots of old that are done with */
    char *base;
    size_t top, committed;
    uint32_t unused[CLASSES]; /* lists of removed entries by their size in units */
    size_t entries, id_bytes;
    uint64_t seed[2];
    char *names[NAMES_MAX];
    size_t name_count;
};

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
    v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson and Bernstein), the variant that hash tables use. */
static uint32_t hash_of(const struct directory_index *index, struct str id)
{
    uint64_t v[4] = { index->seed[0] ^ 0x736f6d6570736575, index->seed[1] ^ 0x646f72616e646f6d,
                      index->seed[0] ^ 0x6c7967656e657261, index->seed[1] ^ 0x7465646279746573 };
    uint64_t word;
    size_t at = 0;
    for (; id.len - at >= sizeof word; at += sizeof word) {
        memcpy(&word, id.ptr + at, sizeof word);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)id.len << 56;
    for (size_t i = 0; at + i < id.len; i++)
        word |= (uint64_t)(unsigned char)id.ptr[at + i] << 8 * i;
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return (uint32_t)(v[0] ^ v[1] ^ v[2] ^ v[3]);
}

static void *map(size_t bytes, int protection)
{
    void *memory = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(memory != MAP_FAILED);
    (void)madvise(memory, bytes,
                  MADV_HUGEPAGE); /* fewer TLB misses where the kernel offers it; else nothing lost */
    return memory;
}

static void table_map(struct table *table, size_t count)
{
    *table =
        (struct table){ .slots = map(count * sizeof(struct slot), PROT_READ | PROT_WRITE), .count = count };
}

static void table_unmap(struct table *table)
{
    if (table->count > 0)
        munmap(table->slots, table->count * sizeof(struct slot));
    *table = (struct table){ 0 };
}

struct directory_index *directory_index_new(void)
{
    struct directory_index *index = calloc(1, sizeof *index);
    must(index != NULL);
    random_bytes(index->seed, sizeof index->seed);
    index->base = map(RESERVED_BYTES, PROT_NONE);
    index->top = UNIT; /* node 0 is no node */
    table_map(&index->table, SLOTS_MIN);
    return index;
}

void directory_index_free(struct directory_index *index)
{
    if (index == NULL)
        return;
    table_unmap(&index->table);
    table_unmap(&index->old);
    munmap(index->base, RESERVED_BYTES);
    for (size_t i = 0; i < index->name_count; i++)
        free(index->names[i]);
    free(index);
}

/* ---- the table ---- */

static struct node *node_at(const struct directory_index *index, uint32_t number)
{
    return (struct node *)(void *)(index->base + (size_t)number * UNIT);
}

static struct slot *table_find(const struct directory_index *index, const struct table *table, struct str id,
                               uint32_t hash)
{
    if (table->count == 0)
        return NULL;
    for (size_t at = hash & (table->count - 1);; at = (at + 1) & (table->count - 1)) {
        struct slot *slot = &table->slots[at];
        if (slot->node == 0)
            return NULL;
        if (slot->hash != hash || slot->node == GONE)
            continue;
        const struct node *node = node_at(index, slot->node);
        if (node->id_len == id.len && memcmp(node->id, id.ptr, id.len) == 0)
            return slot;
    }
}

static struct slot *find(const struct directory_index *index, struct str id)
{
    uint32_t hash = hash_of(index, id);
    struct slot *slot = table_find(index, &index->table, id, hash);
    return slot != NULL ? slot : table_find(index, &index->old, id, hash);
}

static void table_add(struct table *table, struct slot added)
{
    size_t at = added.hash & (table->count - 1);
    while (table->slots[at].node != 0)
        at = (at + 1) & (table->count - 1);
    table->slots[at] = added;
    table->used++;
}

/* What is moved out of the old table leaves GONE behind, so that the chains through it still hold. */
static void move_some(struct directory_index *index, size_t slots)
{
    for (; slots > 0 && index->moved < index->old.count; slots--, index->moved++) {
        struct slot *slot = &index->old.slots[index->moved];
        if (slot->node == 0 || slot->node == GONE)
            continue;
        table_add(&index->table, *slot);
        slot->node = GONE;
    }
    if (index->moved == index->old.count)
        table_unmap(&index->old);
}

/* At four fifths the table is full. The new one is twice as large, or as large again if most of this one is GONE. The
 * moves of a put outrun its one addition by far, so the old table is empty long before the new one is full. */
static void make_room(struct directory_index *index)
{
    move_some(index, MOVES_PER_PUT);
    if (index->table.used < index->table.count / 5 * 4)
        return;
    move_some(index, SIZE_MAX);
    size_t count = index->entries > index->table.count / 5 * 2 ? index->table.count * 2 : index->table.count;
    index->old = index->table;
    index->moved = 0;
    table_map(&index->table, count);
}

/* ---- the entries ---- */

static size_t units_of(size_t id_len)
{
    return (offsetof(struct node, id) + id_len + UNIT - 1) / UNIT;
}

static result node_new(struct directory_index *index, size_t id_len, uint32_t *ret)
{
    size_t units = units_of(id_len);
    uint32_t reused = index->unused[units];
    if (reused != 0) {
        memcpy(&index->unused[units], node_at(index, reused), sizeof reused);
        *ret = reused;
        return OK;
    }
    size_t end = index->top + units * UNIT;
    if (end >= RESERVED_BYTES - UNIT)
        return FAIL(E_LIMIT, "Split the customers over more gateways.", "the directory's index is full");
    while (end > index->committed) {
        if (mprotect(index->base + index->committed, COMMIT_BYTES, PROT_READ | PROT_WRITE) != 0)
            return FAIL(E_MEMORY, "Give the gateway more memory.", "no memory for the directory's index");
        index->committed += COMMIT_BYTES;
    }
    *ret = (uint32_t)(index->top / UNIT);
    index->top = end;
    return OK;
}

static void node_free(struct directory_index *index, uint32_t number)
{
    struct node *node = node_at(index, number);
    size_t units = units_of(node->id_len);
    memcpy(node, &index->unused[units], sizeof number);
    index->unused[units] = number;
}

static result node_add(struct directory_index *index, struct str id, struct node **ret)
{
    uint32_t number;
    TRY(node_new(index, id.len, &number));
    make_room(index);
    table_add(&index->table, (struct slot){ .node = number, .hash = hash_of(index, id) });
    index->entries++;
    index->id_bytes += id.len;
    *ret = node_at(index, number);
    (*ret)->id_len = (uint8_t)id.len;
    memcpy((*ret)->id, id.ptr, id.len);
    return OK;
}

static result name_number(struct directory_index *index, struct str name, uint16_t *ret)
{
    for (size_t i = 0; i < index->name_count; i++) {
        if (str_is(name, index->names[i])) {
            *ret = (uint16_t)i;
            return OK;
        }
    }
    if (index->name_count == NAMES_MAX)
        return FAIL(E_LIMIT, "Look into the directory for entries that no configuration of yours made.",
                    "more than %d names of regions and cells in the directory", NAMES_MAX);
    char *copy = strndup(name.ptr, name.len);
    must(copy != NULL);
    *ret = (uint16_t)index->name_count;
    index->names[index->name_count++] = copy;
    return OK;
}

bool directory_index_find(const struct directory_index *index, struct str id, struct directory_entry *ret)
{
    const struct slot *slot = find(index, id);
    if (slot == NULL)
        return false;
    const struct node *node = node_at(index, slot->node);
    *ret = (struct directory_entry){
        .id = { node->id, node->id_len },
        .region = str_from(index->names[node->region]),
        .cell = str_from(index->names[node->cell]),
        .epoch = node->epoch,
        .services_version = node->services_version,
        .state = (enum customer_state)node->state,
        .version = node->version,
    };
    return true;
}

result directory_index_put(struct directory_index *index, const struct directory_entry *entry)
{
    if (!str_is_id(entry->id) || !str_is_id(entry->region) || !str_is_id(entry->cell))
        return FAIL(E_ID, "Look at the directory's entries; one was not written by domicile.",
                    "an entry of the directory has a name without the shape of one");
    uint16_t region, cell;
    TRY(name_number(index, entry->region, &region));
    TRY(name_number(index, entry->cell, &cell));
    const struct slot *slot = find(index, entry->id);
    struct node *node;
    if (slot == NULL)
        TRY(node_add(index, entry->id, &node));
    else
        node = node_at(index, slot->node);
    if (slot != NULL && node->version > entry->version)
        return OK;
    node->version = entry->version;
    node->epoch = entry->epoch;
    node->services_version = entry->services_version;
    node->region = region;
    node->cell = cell;
    node->state = (uint8_t)entry->state;
    return OK;
}

void directory_index_remove(struct directory_index *index, struct str id, uint64_t version)
{
    struct slot *slot = find(index, id);
    if (slot == NULL || node_at(index, slot->node)->version > version)
        return;
    node_free(index, slot->node);
    slot->node = GONE;
    index->entries--;
    index->id_bytes -= id.len;
}

struct directory_index_stats directory_index_stats(const struct directory_index *index)
{
    return (struct directory_index_stats){
        .entries = index->entries,
        .bytes = (index->table.count + index->old.count) * sizeof(struct slot) + index->top,
        .id_bytes = index->id_bytes,
    };
}
