#include "check.h"

#include "base/arena.h"

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#endif

static void allocations_are_aligned_and_do_not_touch(void **state)
{
    struct arena arena;
    arena_init(&arena);
    unsigned char *blocks[400];
    for (size_t i = 0; i < 400; i++) {
        blocks[i] = arena_alloc(&arena, i);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        memset(blocks[i], (int)(i & 255), i);
    }
    for (size_t i = 0; i < 400; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_equal(blocks[i][j], i & 255);
    for (size_t i = 1; i < 400; i++)
        assert_ptr_not_equal(blocks[i], blocks[i - 1]); /* also the one of no bytes is one */
    arena_done(&arena);
}

static void zeroed_memory_is_zero_also_when_used_again(void **state)
{
    struct arena arena;
    arena_init(&arena);
    for (int round = 0; round < 3; round++) {
        unsigned char *memory = arena_zalloc(&arena, 1000);
        uint64_t *numbers = arena_array(&arena, uint64_t, 100);
        for (size_t i = 0; i < 1000; i++)
            assert_int_equal(memory[i], 0);
        for (size_t i = 0; i < 100; i++)
            assert_int_equal(numbers[i], 0);
        memset(memory, 0xFF, 1000);
        memset(numbers, 0xFF, 100 * sizeof *numbers);
        arena_reset(&arena);
    }
    arena_done(&arena);
}

static void a_reset_keeps_the_first_block_and_frees_the_rest(void **state)
{
    struct arena arena;
    arena_init(&arena);
    void *first = arena_alloc(&arena, 100);
    for (int i = 0; i < 100; i++)
        memset(arena_alloc(&arena, 4000), i, 4000);
    memset(arena_alloc(&arena, 1 << 20), 1, 1 << 20);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 100), first);
    arena_done(&arena);
    assert_null(arena.block);
    arena_reset(&arena); /* of an empty one: nothing */
    assert_non_null(arena_alloc(&arena, 1));
    arena_done(&arena);
}

static void a_block_is_filled_to_its_last_byte(void **state)
{
    struct arena arena;
    arena_init(&arena);
    char *first = arena_alloc(&arena, 16);
    size_t left = (size_t)(arena.end - arena.next);
    char *rest = arena_alloc(&arena, left - ARENA_GAP_BYTES);
    assert_ptr_equal(rest, first + 16 + ARENA_GAP_BYTES);
    memset(rest, 'x', left - ARENA_GAP_BYTES);
    struct arena_block *block = arena.block;
    arena_alloc(&arena, 1);
    assert_ptr_not_equal(arena.block, block);
    arena_done(&arena);
}

#ifdef WITH_ASAN
/* Else neither the sanitizers nor the fuzzers would see what reads beyond its piece of an arena. */
static void what_was_not_asked_for_is_closed(void **state)
{
    struct arena arena;
    arena_init(&arena);
    for (int round = 0; round < 2; round++) {
        for (size_t bytes = 1; bytes < 40; bytes++) {
            char *memory = arena_alloc(&arena, bytes);
            assert_false(__asan_address_is_poisoned(memory));
            assert_false(__asan_address_is_poisoned(memory + bytes - 1));
            assert_true(__asan_address_is_poisoned(memory + bytes));
        }
        arena_reset(&arena);
    }
    arena_done(&arena);
}
#endif

static void copies_have_a_nul_behind(void **state)
{
    struct arena arena;
    arena_init(&arena);
    char source[] = { 'a', '\0', 'b', 'X' };
    struct str copy = arena_str(&arena, (struct str){ source, 3 });
    source[0] = '!';
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.ptr, "a\0b", 4);
    assert_string_equal(arena_cstr(&arena, (struct str){ 0 }), "");
    assert_string_equal(arena_printf(&arena, "%s-%05d", "x", 42), "x-00042");
    assert_string_equal(arena_printf(&arena, "%s", ""), "");
    char *large = arena_printf(&arena, "%*s", 20000, "y");
    assert_int_equal(strlen(large), 20000);
    assert_int_equal(large[19999], 'y');
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_and_do_not_touch),
        cmocka_unit_test(zeroed_memory_is_zero_also_when_used_again),
        cmocka_unit_test(a_reset_keeps_the_first_block_and_frees_the_rest),
        cmocka_unit_test(a_block_is_filled_to_its_last_byte),
#ifdef WITH_ASAN
        cmocka_unit_test(what_was_not_asked_for_is_closed),
#endif
        cmocka_unit_test(copies_have_a_nul_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
