#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(memory, bytes) (void)0
#define ASAN_UNPOISON_MEMORY_REGION(memory, bytes) (void)0
#endif

enum { BLOCK_BYTES = 8 * 1024, ALIGN = 16 };

struct arena_block {
    struct arena_block *older;
    size_t bytes;
    _Alignas(ALIGN) char memory[];
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena){ 0 };
}

void arena_done(struct arena *arena)
{
    while (arena->block != NULL) {
        struct arena_block *block = arena->block;
        arena->block = block->older;
        free(block);
    }
    arena_init(arena);
}

static void block_use(struct arena *arena, struct arena_block *block)
{
    arena->next = block->memory;
    arena->end = block->memory + block->bytes;
    ASAN_POISON_MEMORY_REGION(block->memory, block->bytes); /* what is not handed out is out of bounds */
}

void arena_reset(struct arena *arena)
{
    while (arena->block != NULL && arena->block->older != NULL) {
        struct arena_block *block = arena->block;
        arena->block = block->older;
        free(block);
    }
    if (arena->block != NULL)
        block_use(arena, arena->block);
}

static void block_add(struct arena *arena, size_t at_least)
{
    size_t bytes = at_least > BLOCK_BYTES ? at_least : BLOCK_BYTES;
    must(bytes <= SIZE_MAX - sizeof(struct arena_block));
    struct arena_block *block = malloc(sizeof *block + bytes);
    must(block != NULL);
    block->bytes = bytes;
    block->older = arena->block;
    arena->block = block;
    block_use(arena, block);
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    must(bytes <= SIZE_MAX / 2);
    size_t rounded = (bytes == 0 ? ALIGN : (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1)) + ARENA_GAP_BYTES;
    if (arena->next == NULL || (size_t)(arena->end - arena->next) < rounded)
        block_add(arena, rounded);
    void *memory = arena->next;
    arena->next += rounded;
    ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
    return memory;
}

void *arena_zalloc(struct arena *arena, size_t bytes)
{
    return memset(arena_alloc(arena, bytes), 0, bytes);
}

void *arena_zalloc_array(struct arena *arena, size_t size, size_t count)
{
    size_t bytes;
    must(!__builtin_mul_overflow(size, count, &bytes));
    return arena_zalloc(arena, bytes);
}

char *arena_cstr(struct arena *arena, struct str s)
{
    char *copy = arena_alloc(arena, s.len + 1);
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

struct str arena_str(struct arena *arena, struct str s)
{
    return (struct str){ arena_cstr(arena, s), s.len };
}

char *arena_vprintf(struct arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    must(length >= 0);
    char *text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}
