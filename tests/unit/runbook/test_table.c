/* Tables: what is refused, how the operator's own steps come in, what is printed, and what a plan asks. */
#include "runbook/world.h"

#include "config/config.h"

static struct world world;
static struct arena arena;

static int set_up(void **state)
{
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&arena);
    return 0;
}

static const struct runbook *const list[] = { &whole_runbook, &free_runbook, &last_runbook, NULL };

/* ---- self-check ---- */
static void tables_are_sound_and_found(void **state)
{
    assert_ptr_equal(runbook_find(list, STR("free")), &free_runbook);
    assert_null(runbook_find(list, STR("no-such-runbook")));
    check_ok(runbook_check(&whole_runbook));
    check_ok(runbook_check(&free_runbook));
    check_ok(runbook_check(&last_runbook));
}

static struct runbook_step copies[6];
static const struct runbook_step *steps[RUNBOOK_STEPS_MAX + 1];
static struct runbook runbook;

static void fresh(void)
{
    runbook = whole_runbook;
    runbook.steps = steps;
    for (size_t i = 0; i < 6; i++)
        copies[i] = *whole_steps[i];
    for (size_t i = 0; i < COUNT(steps); i++)
        steps[i] = &copies[i < 6 ? i : 5];
}

static void refused(const char *why)
{
    result r = runbook_check(&runbook);
    if (r.error.code != E_RUNBOOK || strstr(r.error.what, why) == NULL)
        fail_msg("\"%s\" does not say: %s", r.error.what, why);
    fresh();
}

static void what_is_not_sound_is_refused(void **state)
{
    fresh();
    check_ok(runbook_check(&runbook));
    copies[2].id = "close", refused("two steps have the id \"close\"");
    copies[2].id = "Close", refused("step 3 has no id in kebab-case");
    copies[2].id = "a--b", refused("step 3 has no id in kebab-case");
    copies[2].id = "ab-", refused("step 3 has no id in kebab-case");
    copies[2].id = NULL, refused("step 3 has no id in kebab-case");
    copies[2].title = "switch it", refused("title of step \"note\"");
    copies[2].title = "Switch it.", refused("title of step \"note\"");
    copies[2].title = NULL, refused("title of step \"note\"");
    copies[2].question = NULL, refused("the goal of step \"note\" is no question");
    copies[2].question = "lamp is on", refused("is no question");
    copies[2].ask = NULL, refused("cannot be asked");
    copies[2].ask_within_ms = RUNBOOK_WITHIN_MS_MAX + 1ULL, refused("beyond a day");
    copies[2].within_ms = 0, refused("step \"note\" has no limit");
    copies[2].within_ms = RUNBOOK_WITHIN_MS_MAX + 1ULL, refused("beyond a day");
    copies[2].tries = 0, refused("step \"note\" has 0 tries");
    copies[2].tries = RUNBOOK_TRIES_MAX + 1, refused("tries");
    copies[0].undo = undo_lamp, refused("step \"look\" is a check");
    copies[0].no_return = true, refused("step \"look\" is a check");
    copies[4].undo = undo_lamp, refused("\"promote\" has an undo at or behind the point of no return");
    copies[5].undo = undo_lamp, refused("\"route\" has an undo at or behind the point of no return");
    runbook.name = "No", refused("no name in kebab-case");
    runbook.name = "a-name-that-is-much-too-long-for-the-id-of-a-run", refused("no name");
    runbook.title = "", refused("title");
    runbook.step_count = 0, refused("0 steps");
    runbook.step_count = RUNBOOK_STEPS_MAX + 1, refused("65 steps");
    copies[1].within_ms = 0, copies[2].tries = 0, refused("(and 1 more)");
}

static void limits_add_up(void **state)
{
    assert_int_equal(runbook_step_limit_ms(whole_steps[0]), 2 * SEC(5) + RUNBOOK_PAUSE_MS);
    assert_int_equal(runbook_step_limit_ms(whole_steps[1]), 2 * (SEC(10) + 2 * SEC(5)) + RUNBOOK_PAUSE_MS);
    assert_int_equal(runbook_step_limit_ms(whole_steps[5]), SEC(10) + 2 * SEC(5));
    assert_int_equal(runbook_limit_ms(&last_runbook), 2 * runbook_step_limit_ms(last_steps[0]));
}

/* ---- the operator's own ---- */
static const struct config_word words[] = { { { "/usr/local/bin/move-dns", 23 }, 7 }, { { "par2", 4 }, 7 } };
static struct cell_step row(const char *name, const char *after)
{
    return (struct cell_step){
        .source = { "regions/eu-fr.cfg", 42 },
        .name = str_from(name),
        .runbook = STR("whole"),
        .after = str_from(after),
        .on_name = STR("eu2"),
        .run = { words, 2 },
        .check = { words, 1 },
        .within_ms = 5000,
        .tries = 2,
    };
}

static const struct runbook_own own = { ask_lamp, act_lamp, undo_lamp };

static void own_steps_come_after_what_they_name(void **state)
{
    struct cell_step rows[] = { row("dns", "note"), row("mail", "note"), row("log", "dns"),
                                row("other", "one") };
    rows[1].title = "Move the mail";
    rows[3].runbook = STR("free");
    rows[0].undo = rows[0].run;
    check_ok(runbook_extend(&whole_runbook, rows, 4, &own, &arena, &runbook));
    static const char *const wanted[] = { "look", "close", "note",    "dns",  "log",
                                          "mail", "drain", "promote", "route" };
    assert_int_equal(runbook.step_count, 9);
    for (size_t i = 0; i < 9; i++)
        assert_string_equal(runbook.steps[i]->id, wanted[i]);
    const struct runbook_step *dns = runbook.steps[3];
    assert_string_equal(dns->title, "Run \"/usr/local/bin/move-dns par2\" on eu2");
    assert_string_equal(dns->question, "does \"/usr/local/bin/move-dns\" on eu2 exit with 0?");
    assert_string_equal(runbook.steps[5]->title, "Move the mail");
    assert_ptr_equal(dns->own, &rows[0]);
    assert_true(dns->undo == undo_lamp);
    assert_null(runbook.steps[5]->undo);
    assert_int_equal(dns->within_ms, 5000);
    check_ok(runbook_check(&runbook));
    check_ok(runbook_extend(&whole_runbook, rows, 0, &own, &arena, &runbook));
    assert_int_equal(runbook.step_count, whole_runbook.step_count);
}

static void refuses_row(struct cell_step given, const char *why)
{
    struct cell_step rows[] = { row("dns", "note"), given };
    result r = runbook_extend(&whole_runbook, rows, 2, &own, &arena, &runbook);
    if (r.error.code != E_CONFIG || strstr(r.error.what, why) == NULL)
        fail_msg("\"%s\" does not say: %s", r.error.what, why);
}

static void own_steps_obey_the_rules(void **state)
{
    struct cell_step behind = row("late", "promote"), limitless = row("late", "note"),
                     loud = row("late", "note");
    behind.undo = behind.run;
    limitless.within_ms = 0;
    loud.title = "Shout.";
    refuses_row(row("late", "nowhere"),
                "regions/eu-fr.cfg:42: the runbook \"whole\" has no step \"nowhere\"");
    refuses_row(row("close", "note"),
                "regions/eu-fr.cfg:42: the runbook \"whole\" already has a step \"close\"");
    refuses_row(row("dns", "note"), "already has a step \"dns\"");
    refuses_row(behind, "regions/eu-fr.cfg:42: the step \"late\" has an undo, but comes after \"promote\"");
    refuses_row(limitless, "step \"late\" has no limit");
    refuses_row(loud, "title of step \"late\"");
    struct cell_step rows[RUNBOOK_STEPS_MAX];
    for (size_t i = 0; i < RUNBOOK_STEPS_MAX; i++)
        rows[i] = row(arena_printf(&arena, "step-%zu", i), "note");
    check_fails(E_CONFIG, runbook_extend(&whole_runbook, rows, RUNBOOK_STEPS_MAX, &own, &arena, &runbook));
    check_ok(runbook_check_rows(list, rows, 1));
    rows[0].runbook = STR("no-such-runbook");
    check_fails(E_CONFIG, runbook_check_rows(list, rows, 1));
    check_ok(runbook_check_rows(list, rows, 0));
}

/* ---- printing ---- */
static void is_in(const char *text, const char *wanted)
{
    if (strstr(text, wanted) == NULL)
        fail_msg("\"%s\" is not in: %s", wanted, text);
}

static void tables_print_themselves(void **state)
{
    struct cell_step rows[] = { row("dns", "promote") };
    check_ok(runbook_extend(&whole_runbook, rows, 1, &own, &arena, &runbook));
    const struct runbook_table table = runbook_show(&runbook, &arena);
    assert_int_equal(table.rows, 8);
    static const char *const wanted[][RUNBOOK_SHOW_COLUMNS] = {
        { "1", "look", "Look at the lamps", "is the lamp on?", "5 s", "2", "-", "check" },
        { "2", "close", "Switch close", "is the lamp on?", "10 s", "2", "yes", "" },
        { "3", "note", "Switch note", "is the lamp on?", "10 s", "2", "stays", "" },
        { "4", "drain", "Switch drain", "is the lamp on?", "10 s", "2", "yes", "" },
        { "5", "promote", "Switch promote", "is the lamp on?", "10 s", "2", "never", "point of no return" },
        { "6", "dns", "Run \"/usr/local/bin/move-dns par2\" on eu2",
          "does \"/usr/local/bin/move-dns\" on eu2 exit with 0?", "5 s", "2", "never", "operator's" },
    };
    for (size_t i = 0; i < COUNT(wanted); i++)
        for (size_t column = 0; column < RUNBOOK_SHOW_COLUMNS; column++)
            assert_string_equal(table.cells[(i + 1) * RUNBOOK_SHOW_COLUMNS + column], wanted[i][column]);
    const char *text = runbook_draw_text(&runbook, &arena), *dot = runbook_draw_dot(&runbook, &arena);
    assert_true(strstr(text, "point of no return") > strstr(text, "drain"));
    assert_true(strstr(text, "point of no return") < strstr(text, "promote"));
    is_in(dot, "\"close\" -> \"note\";");
    is_in(dot, "\"drain\" -> \"close\" [style=dashed");
    is_in(dot, "\"close\" -> \"undone\" [style=dashed");
    is_in(dot, "Run \\\"/usr/local/bin/move-dns par2\\\" on eu2");
    json_t *json = runbook_json(&runbook);
    assert_int_equal(json_array_size(json_object_get(json, "steps")), 7);
    static const struct {
        const char *id;
        bool check, undo, no_return, operators;
    } shown[] = { { "look", true, false, false, false },    { "close", false, true, false, false },
                  { "note", false, false, false, false },   { "drain", false, true, false, false },
                  { "promote", false, false, true, false }, { "dns", false, false, false, true },
                  { "route", false, false, false, false } };
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        const json_t *row = json_array_get(json_object_get(json, "steps"), i);
        assert_string_equal(json_string_value(json_object_get(row, "id")), shown[i].id);
        assert_int_equal(json_is_true(json_object_get(row, "check")), shown[i].check);
        assert_int_equal(json_is_true(json_object_get(row, "undo")), shown[i].undo);
        assert_int_equal(json_is_true(json_object_get(row, "no_return")), shown[i].no_return);
        assert_int_equal(json_is_true(json_object_get(row, "operators")), shown[i].operators);
    }
    json_decref(json);
}

static void durations_read_well(void **state)
{
    assert_string_equal(duration_text(0, &arena), "0 s");
    assert_string_equal(duration_text(250, &arena), "250 ms");
    assert_string_equal(duration_text(SEC(20), &arena), "20 s");
    assert_string_equal(duration_text(SEC(90), &arena), "1 min 30 s");
    assert_string_equal(duration_text(SEC(7200), &arena), "2 h");
}

static void evidence_is_printable(void **state)
{
    struct runbook_call call = { 0 };
    runbook_evidence(&call, "a\nb\x01%s\xff\xc3\xa9", "c");
    assert_string_equal(call.evidence, "a?b?c?\xc3\xa9");
    char longer[2 * RUNBOOK_EVIDENCE_MAX];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    runbook_evidence(&call, "\"%s/data\" holds PostgreSQL", longer);
    assert_int_equal(strlen(call.evidence), RUNBOOK_EVIDENCE_MAX - 1);
    assert_string_equal(call.evidence + RUNBOOK_EVIDENCE_MAX - 1 - 24, "x/data\" holds PostgreSQL");
}

/* ---- a plan ---- */
static const struct runbook_planned *planned;
static result plan_result;

static void plan(void *arg)
{
    loop_use_virtual_clock(0);
    plan_result = runbook_plan(world.runbook, &world, &arena, &planned);
}

static void a_plan_asks_and_changes_nothing(void **state)
{
    world_init(&world, &whole_runbook, 2, ASK_FAILS);
    world.lamps[1].on = true;
    on_loop(plan, NULL);
    check_ok(plan_result);
    static const enum answer wanted[] = { ANSWER_YES, ANSWER_YES, ANSWER_UNKNOWN,
                                          ANSWER_NO,  ANSWER_NO,  ANSWER_NO };
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(planned[i].answer, wanted[i]);
        assert_int_equal(world.lamps[i].asks, 1);
        assert_int_equal(world.lamps[i].acts, 0);
    }
    assert_string_equal(planned[2].evidence, "lamp 2 does not answer");
    json_t *json = runbook_plan_json(&whole_runbook, planned);
    const json_t *would = json_object_get(json_array_get(json_object_get(json, "steps"), 3), "would");
    assert_string_equal(json_string_value(would), "act");
    json_decref(json);
    world_init(&world, &whole_runbook, 1, ASK_HANGS);
    on_loop(plan, NULL);
    check_ok(plan_result);
    assert_int_equal(planned[1].answer, ANSWER_UNKNOWN);
    assert_int_equal(planned[1].took_ms, SEC(5));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(tables_are_sound_and_found),
        TEST(what_is_not_sound_is_refused),
        TEST(limits_add_up),
        TEST(own_steps_come_after_what_they_name),
        TEST(own_steps_obey_the_rules),
        TEST(tables_print_themselves),
        TEST(durations_read_well),
        TEST(evidence_is_printable),
        TEST(a_plan_asks_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
