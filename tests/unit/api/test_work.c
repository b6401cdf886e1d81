/* How long work on a peer's bytes keeps the others waiting: counted in turns, and as a part of the work's own time. */
#include "loop/on_loop.h"

#include "api/work.h"
#include "base/json.h"

#include <stdlib.h>
#include <time.h>

enum { LARGE = 1000 * 1000, SMALL = 12 * 1000 };

/* [{},{},...]: the most to do for its bytes. */
static char *many_objects(size_t len)
{
    char *text = malloc(len + 1);
    assert_non_null(text);
    for (size_t i = 0; i < len; i++)
        text[i] = "{},"[i % 3];
    text[0] = '[';
    size_t end = 1;
    for (; end + 5 < len; end += 3)
        memcpy(text + end, "{},", 3);
    memcpy(text + end, "{}]", 4);
    return text;
}

struct document {
    struct str text;
    bool is_json;
};

static void parse(void *arg)
{
    struct document *document = arg;
    json_t *value = NULL;
    document->is_json = !failed(json_parse(document->text, JSON_DEPTH_MAX, &value));
    json_decref(value);
}

/* Of this thread alone: others of the machine do not count. */
static uint64_t cpu_us(void)
{
    struct timespec now;
    must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct others {
    size_t turns;
    uint64_t last_us, longest_us;
    bool over;
};

/* Whoever else has work: how often it runs, and how long it had to wait at most. */
static void run_others(void *arg)
{
    struct others *others = arg;
    others->last_us = cpu_us();
    while (!others->over) {
        must(!failed(fiber_yield()));
        uint64_t now_us = cpu_us(), waited_us = now_us - others->last_us;
        others->longest_us = waited_us > others->longest_us ? waited_us : others->longest_us;
        others->last_us = now_us;
        others->turns++;
    }
}

/* While `count` documents of `len` bytes are parsed one after the other. */
static struct others others_during(size_t len, size_t count)
{
    struct others others = { 0 };
    struct scope scope = SCOPE_INIT;
    struct api_work budget = { 0 };
    char *text = many_objects(len);
    struct document document = { { text, strlen(text) }, false };
    check_ok(fiber_spawn(&scope, "others", run_others, &others));
    check_ok(fiber_yield());
    size_t before = others.turns;
    for (size_t i = 0; i < count; i++) {
        document.is_json = false;
        check_ok(api_work(&budget, document.text.len, parse, &document));
        assert_true(document.is_json);
    }
    others.turns -= before;
    size_t turns = others.turns;
    check_ok(fiber_yield()); /* the last wait counts as well */
    others.over = true;
    check_ok(scope_join(&scope));
    others.turns = turns;
    free(text);
    return others;
}

/* 1 MB in one piece, on the loop: the smallest of three. */
static uint64_t whole_us(void)
{
    uint64_t least = UINT64_MAX;
    char *text = many_objects(LARGE);
    for (int i = 0; i < 3; i++) {
        struct document document = { { text, strlen(text) }, false };
        uint64_t begin = cpu_us();
        parse(&document);
        uint64_t took = cpu_us() - begin;
        assert_true(document.is_json);
        least = took < least ? took : least;
    }
    free(text);
    return least;
}

static void check_held(const char *what, const struct others *others, size_t turns_least)
{
    uint64_t whole = whole_us();
    print_message("%s: %zu turns of others, the loop held for %llu us at most; in one piece %llu us\n", what,
                  others->turns, (unsigned long long)others->longest_us, (unsigned long long)whole);
    assert_true(others->turns >= turns_least);
    assert_true(others->longest_us * 8 < whole);
}

ON_LOOP(p8_a_large_document_holds_up_nobody)
{
    struct others others = others_during(LARGE, 1);
    check_held("1 MB at once", &others, 20);
}

ON_LOOP(p8_many_small_documents_hold_up_nobody)
{
    struct others others = others_during(SMALL, LARGE / SMALL);
    check_held("1 MB in documents of 12 kB", &others, LARGE / SMALL - 2);
}

ON_LOOP(what_is_small_is_done_at_once)
{
    struct others others = others_during(300, 20);
    assert_int_equal(others.turns, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p8_a_large_document_holds_up_nobody),
        cmocka_unit_test(p8_many_small_documents_hold_up_nobody),
        cmocka_unit_test(what_is_small_is_done_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
