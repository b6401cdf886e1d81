#include "runbook/internal.h"

#include "base/text.h"

/* How many bytes the character at `at` has; 0: it is none. */
static size_t character(struct str rest)
{
    unsigned char c = (unsigned char)rest.ptr[0];
    size_t bytes = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return bytes <= rest.len && str_is_utf8((struct str){ rest.ptr, bytes }) ? bytes : 0;
}

void clean_text(char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len;) {
        size_t bytes = character((struct str){ text + i, len - i });
        if (bytes == 0 || (unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
        i += bytes == 0 ? 1 : bytes;
    }
}

static void say(struct runbook_call *call, const char *format, va_list args)
{
    text_vfit(call->evidence, sizeof call->evidence, format, args);
    clean_text(call->evidence);
}

void runbook_evidence(struct runbook_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(call, format, args);
    va_end(args);
}

void runbook_answer(struct runbook_call *call, enum answer *ret, bool yes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(call, format, args);
    va_end(args);
    *ret = yes ? ANSWER_YES : ANSWER_NO;
}

const char *answer_word(enum answer answer)
{
    static const char *const words[] = {
        [ANSWER_NO] = "no", [ANSWER_YES] = "yes", [ANSWER_UNKNOWN] = "unknown"
    };
    must(answer >= ANSWER_NO && answer <= ANSWER_UNKNOWN);
    return words[answer];
}

const char *run_state_word(enum run_state state)
{
    static const char *const words[] = { [RUN_OPEN] = "open",
                                         [RUN_DONE] = "done",
                                         [RUN_UNDONE] = "undone",
                                         [RUN_NEEDS_PERSON] = "needs-person",
                                         [RUN_ABANDONED] = "abandoned" };
    must(state >= RUN_OPEN && state <= RUN_ABANDONED);
    return words[state];
}

const char *duration_text(uint64_t ms, struct arena *arena)
{
    static const struct unit {
        uint64_t ms;
        const char *name;
    } units[] = { { SEC(3600), "h" }, { SEC(60), "min" }, { SEC(1), "s" }, { MS(1), "ms" } };
    const char *text = "";
    int parts = 0;
    for (size_t i = 0; i < COUNT(units) && parts < 2; i++) {
        uint64_t whole = ms / units[i].ms;
        if (whole > 0) {
            text = arena_printf(arena, "%s%s%llu %s", text, parts > 0 ? " " : "", (unsigned long long)whole,
                                units[i].name);
            parts++;
        }
        ms %= units[i].ms;
    }
    return parts > 0 ? text : "0 s";
}
