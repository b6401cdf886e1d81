#pragma once
/* An arena: memory of one request or one run, freed whole. Allocation aborts when the system has no memory
 * left; the caller limits what a peer may make it allocate, before it allocates. Not for secrets. */
#include "base/sanitizers.h"
#include "base/str.h"

enum {
#ifdef WITH_ASAN
    ARENA_GAP_BYTES = 16 /* behind each allocation: to touch it is an error */
#else
    ARENA_GAP_BYTES = 0
#endif
};

struct arena_block;

struct arena {
    struct arena_block *block; /* the newest */
    char *next, *end;
};

void arena_init(struct arena *arena);
void arena_done(struct arena *arena);
void arena_reset(struct arena *arena); /* frees all but the first block, which is used again */

/* Aligned to 16 bytes, not cleared. */
void *arena_alloc(struct arena *arena, size_t bytes) __attribute__((malloc, alloc_size(2), returns_nonnull));
void *arena_zalloc(struct arena *arena, size_t bytes) __attribute__((malloc, alloc_size(2), returns_nonnull));
#define arena_new(arena, type) ((type *)arena_zalloc((arena), sizeof(type)))
#define arena_array(arena, type, count) ((type *)arena_zalloc_array((arena), sizeof(type), (count)))
void *arena_zalloc_array(struct arena *arena, size_t size, size_t count)
    __attribute__((malloc, returns_nonnull));

/* Copies with a NUL behind. */
struct str arena_str(struct arena *arena, struct str s);
char *arena_cstr(struct arena *arena, struct str s);
char *arena_printf(struct arena *arena, const char *format, ...) PRINTF(2, 3)
__attribute__((returns_nonnull));
char *arena_vprintf(struct arena *arena, const char *format, va_list args) PRINTF(2, 0)
__attribute__((returns_nonnull));
