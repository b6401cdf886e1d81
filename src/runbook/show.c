/* A table as people read it: as a table, as JSON, and drawn. */
#include "runbook/internal.h"

static const char *undo_text(const struct runbook_step *step, bool passed)
{
    if (step->act == NULL)
        return "-";
    if (passed || step->no_return)
        return "never";
    return step->undo != NULL ? "yes" : "stays";
}

static const char *notes_text(const struct runbook_step *step, struct arena *arena)
{
    const char *text = step->no_return ? "point of no return" : step->act == NULL ? "check" : "";
    if (step->own == NULL)
        return text;
    return arena_printf(arena, "%s%soperator's", text, text[0] ? ", " : "");
}

struct runbook_table runbook_show(const struct runbook *runbook, struct arena *arena)
{
    static const char *const head[RUNBOOK_SHOW_COLUMNS] = { "N",     "ID",    "TITLE", "GOAL",
                                                            "LIMIT", "TRIES", "UNDO",  "" };
    struct runbook_table table = { .rows = runbook->step_count + 1 };
    table.cells = arena_array(arena, const char *, table.rows *RUNBOOK_SHOW_COLUMNS);
    memcpy(table.cells, head, sizeof head);
    bool passed = false;
    for (size_t i = 0; i < runbook->step_count; i++) {
        const struct runbook_step *step = runbook->steps[i];
        const char **row = &table.cells[(i + 1) * RUNBOOK_SHOW_COLUMNS];
        row[0] = arena_printf(arena, "%zu", i + 1);
        row[1] = step->id;
        row[2] = step->title;
        row[3] = step->question;
        row[4] = duration_text(step->within_ms, arena);
        row[5] = arena_printf(arena, "%u", step->tries);
        row[6] = undo_text(step, passed);
        row[7] = notes_text(step, arena);
        passed |= step->no_return;
    }
    return table;
}

static json_t *step_json(const struct runbook_step *step, size_t number, bool passed)
{
    return json_pack("{s:i,s:s,s:s,s:s,s:I,s:I,s:i,s:I,s:I,s:b,s:b,s:b,s:b}", "number", (int)number, "id",
                     step->id, "title", step->title, "goal", step->question, "within_ms",
                     (json_int_t)step->within_ms, "ask_within_ms", (json_int_t)runbook_ask_within_ms(step),
                     "tries", (int)step->tries, "pause_ms", (json_int_t)runbook_pause_ms(step), "limit_ms",
                     (json_int_t)runbook_step_limit_ms(step), "check", step->act == NULL, "undo",
                     step->undo != NULL && !passed, "no_return", step->no_return, "operators",
                     step->own != NULL);
}

json_t *runbook_json(const struct runbook *runbook)
{
    json_t *steps = json_array();
    bool passed = false;
    for (size_t i = 0; i < runbook->step_count; i++) {
        json_array_append_new(steps, step_json(runbook->steps[i], i + 1, passed));
        passed |= runbook->steps[i]->no_return;
    }
    return json_pack("{s:s,s:s,s:I,s:o}", "name", runbook->name, "title", runbook->title, "limit_ms",
                     (json_int_t)runbook_limit_ms(runbook), "steps", steps);
}

/* ---- drawn ---- down what is done, and up beside it how the run walks back */
const char *runbook_draw_text(const struct runbook *runbook, struct arena *arena)
{
    const char *text = arena_printf(arena, "%s: %s\n\n", runbook->name, runbook->title);
    bool passed = false;
    for (size_t i = 0; i < runbook->step_count; i++) {
        const struct runbook_step *step = runbook->steps[i];
        const char *way = passed ? " " : "^";
        if (i > 0)
            text = arena_printf(arena, "%s     |      %s\n", text, way);
        if (step->no_return && !passed)
            text = arena_printf(
                arena, "%s  ===|====== the point of no return: from here on nothing is undone\n     |\n",
                text);
        passed |= step->no_return;
        text = arena_printf(arena, "%s  [%2zu] %s%s  %s%s\n", text, i + 1, step->act == NULL ? "check " : "",
                            step->id, step->title,
                            step->undo != NULL            ? "  (walks back)"
                            : passed || step->act == NULL ? ""
                                                          : "  (stays)");
        text = arena_printf(arena, "%s     |        %s\n", text, step->question);
    }
    return arena_printf(arena, "%s     |\n  done\n", text);
}

/* A text inside quotes of the dot language. */
static const char *dot_text(const char *text, struct arena *arena)
{
    char *copy = arena_alloc(arena, 2 * strlen(text) + 1), *to = copy;
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            *to++ = '\\';
        *to++ = *text;
    }
    *to = '\0';
    return copy;
}

static const char *draw_back(const struct runbook *runbook, struct arena *arena, const char *text)
{
    const char *to = "undone";
    for (size_t i = 0; i < runbook->step_count && !runbook->steps[i]->no_return; i++) {
        const struct runbook_step *step = runbook->steps[i];
        if (step->undo == NULL)
            continue;
        text = arena_printf(arena, "%s  \"%s\" -> \"%s\" [style=dashed, constraint=false, label=\"undo\"];\n",
                            text, step->id, to);
        to = step->id;
    }
    return text;
}

const char *runbook_draw_dot(const struct runbook *runbook, struct arena *arena)
{
    const char *text = arena_printf(arena, "digraph \"%s\" {\n  label=\"%s\";\n  node [shape=box];\n",
                                    runbook->name, dot_text(runbook->title, arena));
    for (size_t i = 0; i < runbook->step_count; i++) {
        const struct runbook_step *step = runbook->steps[i];
        const char *look = step->no_return ? ", peripheries=2" : step->act == NULL ? ", style=rounded" : "";
        text = arena_printf(arena, "%s  \"%s\" [label=\"%zu. %s\\n%s\"%s];\n", text, step->id, i + 1,
                            dot_text(step->title, arena), dot_text(step->question, arena), look);
        text = arena_printf(arena, "%s  \"%s\" -> \"%s\";\n", text, step->id,
                            i + 1 < runbook->step_count ? runbook->steps[i + 1]->id : "done");
    }
    return arena_printf(arena, "%s  \"done\" [shape=oval];\n  \"undone\" [shape=oval];\n%s}\n", text,
                        draw_back(runbook, arena, ""));
}
