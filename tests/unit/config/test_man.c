/* The reference part of domicile.cfg(5) is what the schema says. "test_config_man --print" prints it anew. */
#include "check.h"

#include "base/buf.h"
#include "config/internal.h"

#include <stdio.h>

static const char begins[] =
    ".\\\" Made from src/config/schema.c and the .def files beside it: tests hold it to them.\n";
static const char ends[] = ".\\\" Here ends what is made from src/config.\n";

static struct buf page;

static void say(const char *format, ...) PRINTF(1, 2);
static void say(const char *format, ...)
{
    char line[2048];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    must(length >= 0 && (size_t)length < sizeof line &&
         buf_append(&page, (struct str){ line, (size_t)length }));
}

static const char *kind_text(enum key_kind kind)
{
    static const char *const texts[] = {
        [KEY_NAME] = "name",
        [KEY_BLOC] = "name of a bloc",
        [KEY_TEXT] = "text",
        [KEY_WORD] = "word",
        [KEY_PATH] = "path",
        [KEY_COUNTRY] = "country",
        [KEY_ADDRESS] = "numeric address",
        [KEY_HOST] = "host name or address",
        [KEY_URL] = "URL",
        [KEY_INT] = "number",
        [KEY_BOOL] = "true or false",
        [KEY_DEGREES] = "degrees",
        [KEY_WORDS] = "list of strings",
        [KEY_PATHS] = "list of paths",
        [KEY_GROUP] = "group",
        [KEY_GROUPS] = "list of groups",
    };
    return texts[kind];
}

/* In mdoc a sentence begins on a line of its own. */
static void say_sentences(const char *text)
{
    const char *end;
    for (; (end = strstr(text, ". ")) != NULL; text = end + 2)
        say("%.*s\n", (int)(end + 1 - text), text);
    say("%s\n", text);
}

static void say_limits(const struct schema_key *key)
{
    if (key->kind == KEY_INT)
        say(" from %u to %u", key->min, key->max);
    else if (key->kind == KEY_DEGREES)
        say(" from -%u to %u", key->max, key->max);
    else if (key->kind == KEY_TEXT)
        say(" of at most %u bytes", key->max);
    else if (key->max != 0 && key->min == 0)
        say(", at most %u", key->max);
    else if (key->max != 0)
        say(", %u to %u", key->min, key->max);
}

static void say_keys(const struct schema *schema, const char *prefix)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_key *key = &schema->keys[i];
        say(".It Ic %s%s\n", prefix, key->name);
        say_sentences(key->help);
        say("(%s", kind_text(key->kind));
        say_limits(key);
        if (key->required)
            say("; required");
        if (key->preset != NULL)
            say("; %s if left out", key->preset);
        if (key->restart)
            say("; a change needs a restart");
        say(")\n");
        if (key->schema != NULL) {
            char inner[256];
            snprintf(inner, sizeof inner, "%s%s%s.", prefix, key->name, key->kind == KEY_GROUPS ? "[]" : "");
            say_keys(key->schema, inner);
        }
    }
}

static void say_file(const char *name, const struct schema *schema)
{
    say(".Ss %s\n.Bl -tag -width Ds\n", name);
    say_keys(schema, "");
    say(".El\n");
}

static void say_vocabulary(void)
{
    say(".Ss Roles\n.Bl -tag -width \"customer-admin\" -compact\n");
    for (enum role role = ROLE_UNKNOWN + 1; role < ROLE_COUNT; role++)
        say(".It Cm %s\n%s\n", role_word(role), role_help(role));
    say(".El\n.Ss Actions\n.Bl -tag -width \"disable-clients\" -compact\n");
    for (enum action action = ACTION_UNKNOWN + 1; action < ACTION_COUNT; action++)
        say(".It Cm %s\n%s%s\n", action_word(action), action_help(action),
            action_is_about_class(action) ? "" : " (not about a class)");
    say(".El\n");
}

static void render(void)
{
    buf_init(&page, 1 << 20);
    say("%s.Sh REFERENCE\n", begins);
    say_file("regions/NAME.cfg", &schema_region);
    say_file("policies/NAME.cfg", &schema_policies);
    say_vocabulary();
    say_file("domicile.cfg", &schema_top);
    say("%s", ends);
}

static void the_man_page_has_what_the_schema_says(void **state)
{
    struct arena arena;
    struct str man;
    arena_init(&arena);
    render();
    check_ok(config_file_text(SOURCE_DIR, "docs/man/domicile.cfg.5", &arena, &man));
    const char *from = strstr(man.ptr, begins), *to = strstr(man.ptr, ends);
    if (from == NULL || to == NULL || (size_t)(to - from) + strlen(ends) != page.len ||
        memcmp(from, page.ptr, page.len) != 0)
        fail_msg(
            "domicile.cfg(5) is not what the schema says; print that part with: test_config_man --print");
    buf_done(&page);
    arena_done(&arena);
}

static void check_key(const struct schema *schema, const struct schema_key *key)
{
    size_t length = key->help == NULL ? 0 : strlen(key->help);
    if (length < 10 || key->help[length - 1] != '.')
        fail_msg("\"%s\" of a %s has no sentence of help", key->name, schema->what);
    if (schema_find(schema, key->name) != key)
        fail_msg("\"%s\" of a %s is declared twice", key->name, schema->what);
    if ((key->kind == KEY_GROUP || key->kind == KEY_GROUPS) != (key->schema != NULL))
        fail_msg("\"%s\" of a %s has a schema and is no group, or the reverse", key->name, schema->what);
    bool limited = key->kind == KEY_INT || key->kind == KEY_DEGREES || key->kind == KEY_TEXT ||
                   key->kind == KEY_WORDS || key->kind == KEY_PATHS || key->kind == KEY_GROUPS;
    if (limited != (key->max != 0) || key->min > key->max)
        fail_msg("the limits of \"%s\" of a %s make no sense", key->name, schema->what);
    if (key->kind == KEY_INT && key->preset != NULL &&
        (schema_preset_int(key) < key->min || schema_preset_int(key) > key->max))
        fail_msg("the preset of \"%s\" of a %s is beyond its limits", key->name, schema->what);
    if (key->required && key->preset != NULL)
        fail_msg("\"%s\" of a %s is required and has a preset", key->name, schema->what);
}

static void check_schema(const struct schema *schema)
{
    for (size_t i = 0; i < schema->count; i++) {
        check_key(schema, &schema->keys[i]);
        if (schema->keys[i].schema != NULL)
            check_schema(schema->keys[i].schema);
    }
}

static void the_schema_is_sound(void **state)
{
    check_schema(&schema_region);
    check_schema(&schema_policies);
    check_schema(&schema_top);
    check_schema(&schema_whole);
}

static void words_and_their_enums_agree(void **state)
{
    for (enum role role = ROLE_UNKNOWN; role < ROLE_COUNT; role++)
        assert_int_equal(role_from(str_from(role_word(role))), role);
    for (enum action action = ACTION_UNKNOWN; action < ACTION_COUNT; action++)
        assert_int_equal(action_from(str_from(action_word(action))), action);
    assert_int_equal(role_from((struct str){ 0 }), ROLE_UNKNOWN);
    assert_string_equal(role_word((enum role)99), "unknown");
    assert_string_equal(action_word((enum action)99), "unknown");
    assert_false(role_is_grantable(ROLE_UNKNOWN));
    assert_false(role_is_grantable(ROLE_SYSTEM));
    assert_false(role_is_grantable((enum role)99));
    assert_true(role_is_grantable(ROLE_COMPLIANCE));
    assert_true(role_is_grantable(ROLE_CUSTOMER_APP));
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--print") == 0) {
        render();
        fwrite(page.ptr, 1, page.len, stdout);
        buf_done(&page);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schema_is_sound),
        cmocka_unit_test(words_and_their_enums_agree),
        cmocka_unit_test(the_man_page_has_what_the_schema_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
