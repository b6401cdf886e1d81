#include "runbook/journal.h"

#include "base/json.h"
#include "base/text.h"
#include "runbook/internal.h"

#include <openssl/evp.h>
#include <stdio.h>

const char *journal_word(enum journal_kind kind)
{
    static const char *const words[JOURNAL_KINDS] = {
#define X(kind, word) [kind] = word,
#include "runbook/journal.def"
#undef X
    };
    must(kind >= 0 && kind < JOURNAL_KINDS);
    return words[kind];
}

void journal_sum(const char before[JOURNAL_SUM_HEX + 1], struct str bytes, char ret[JOURNAL_SUM_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[32];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    must(context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
    must(EVP_DigestUpdate(context, before, strlen(before)) == 1);
    must(EVP_DigestUpdate(context, bytes.ptr, bytes.len) == 1);
    must(EVP_DigestFinal_ex(context, sum, NULL) == 1);
    EVP_MD_CTX_free(context);
    for (size_t i = 0; i < JOURNAL_SUM_HEX / 2; i++) {
        ret[2 * i] = digits[sum[i] >> 4];
        ret[2 * i + 1] = digits[sum[i] & 15];
    }
    ret[JOURNAL_SUM_HEX] = '\0';
}

/* ---- writing ---- */
static void set_text(json_t *object, const char *name, const char *text)
{
    char clean[JOURNAL_TEXT_MAX];
    if (text == NULL || text[0] == '\0')
        return;
    text_fit(clean, sizeof clean, "%s", text);
    clean_text(clean);
    must(json_object_set_new(object, name, json_string(clean)) == 0);
}

static void set_number(json_t *object, const char *name, uint64_t number)
{
    if (number != 0)
        must(json_object_set_new(object, name, json_integer((json_int_t)number)) == 0);
}

static void set_flag(json_t *object, const char *name, bool flag)
{
    if (flag)
        must(json_object_set_new(object, name, json_true()) == 0);
}

json_t *journal_event_json(const struct journal_event *event)
{
    json_t *object = json_object();
    set_text(object, "at", event->at);
    set_text(object, "event", journal_word(event->kind));
    set_text(object, "run", event->run);
    set_text(object, "runbook", event->runbook);
    set_text(object, "subject", event->subject);
    set_text(object, "shape", event->shape);
    if (event->kind == JOURNAL_BEGIN) {
        json_t *steps = json_array();
        for (size_t i = 0; i < event->step_count; i++)
            must(json_array_append_new(steps, json_string(event->steps[i])) == 0);
        must(json_object_set_new(object, "steps", steps) == 0);
    }
    set_number(object, "fence", event->fence);
    set_text(object, "step", event->step);
    set_number(object, "attempt", event->attempt);
    set_number(object, "serial", event->serial);
    set_flag(object, "no_return", event->no_return);
    set_flag(object, "cancelled", event->cancelled);
    set_text(object, "evidence", event->evidence);
    set_text(object, "error", event->error);
    if (event->kind == JOURNAL_END)
        set_text(object, "state", run_state_word(event->state));
    set_text(object, "why", event->why);
    return object;
}

result journal_line(const struct journal_chain *chain, const struct journal_event *event, struct buf *ret)
{
    char at[CLOCK_TEXT_SIZE], sum[JOURNAL_SUM_HEX + 1];
    clock_format(clock_wall_ms(), at);
    struct journal_event timed = *event;
    timed.at = at;
    json_t *object = json_object(), *members = journal_event_json(&timed);
    set_number(object, "seq", chain->seq + 1);
    must(json_object_update(object, members) == 0);
    char *body = json_dumps(object, JSON_COMPACT);
    must(body != NULL);
    json_decref(members);
    json_decref(object);
    struct str open = { body, strlen(body) - 1 }; /* without the brace at the end */
    journal_sum(chain->sum, open, sum);
    buf_clear(ret);
    bool fits = open.len + JOURNAL_TAIL_BYTES <= JOURNAL_LINE_MAX &&
                buf_printf(ret, "%.*s,\"sum\":\"%s\"}\n", STR_ARG(open), sum);
    free(body);
    return fits ? OK : FAIL(E_LIMIT, NULL, "a line of a journal has more than %d bytes", JOURNAL_LINE_MAX);
}

void journal_chain_take(struct journal_chain *chain, struct str line)
{
    must(line.len > JOURNAL_TAIL_BYTES);
    memcpy(chain->sum, line.ptr + line.len - 3 - JOURNAL_SUM_HEX, JOURNAL_SUM_HEX);
    chain->sum[JOURNAL_SUM_HEX] = '\0';
    chain->seq++;
}

/* ---- where the run stands ---- */
static result impossible(const struct journal_event *event, const char *why)
{
    return FAIL(E_JOURNAL, NULL, "\"%s\"%s%s%s is not possible here: %s", journal_word(event->kind),
                event->step ? " of \"" : "", event->step ? event->step : "", event->step ? "\"" : "", why);
}

static result check_going(const struct journal_standing *standing, const struct journal_event *event)
{
    bool stopped = standing->state == RUN_NEEDS_PERSON;
    bool abandons = event->kind == JOURNAL_END && event->state == RUN_ABANDONED;
    if (standing->state != RUN_OPEN && !stopped)
        return impossible(event, "the run has ended");
    if (stopped && event->kind != JOURNAL_RESUME && !abandons)
        return impossible(event, "the run was not resumed");
    return OK;
}

static result check_way(const struct journal_standing *standing, const struct journal_event *event)
{
    switch (event->kind) {
    case JOURNAL_SKIP:
    case JOURNAL_ACT:
    case JOURNAL_DONE:
    case JOURNAL_NOT_DONE:
    case JOURNAL_UNKNOWN:
        return standing->walking ? impossible(event, "the run walks back") : OK;
    case JOURNAL_UNDO:
    case JOURNAL_UNDONE:
    case JOURNAL_NOT_UNDONE:
    case JOURNAL_KEPT:
        return standing->walking ? OK : impossible(event, "the run does not walk back");
    case JOURNAL_BACK:
        if (standing->passed)
            return impossible(event, "the point of no return is passed");
        return standing->walking ? impossible(event, "the run already walks back") : OK;
    default:
        return OK;
    }
}

static bool any_acted(const struct journal_standing *standing)
{
    for (size_t i = 0; i < standing->step_count; i++)
        if (standing->acted[i])
            return true;
    return false;
}

static result check_end(const struct journal_standing *standing, const struct journal_event *event)
{
    bool wrong = (event->state == RUN_DONE && standing->walking) || event->state == RUN_OPEN ||
                 (event->state == RUN_UNDONE && (!standing->walking || any_acted(standing)));
    return wrong ? impossible(event, "that is not the state of the run") : OK;
}

static result check_numbers(const struct journal_standing *standing, const struct journal_event *event)
{
    bool serial = event->kind == JOURNAL_ACT || event->kind == JOURNAL_UNDO;
    if (serial && event->serial <= standing->serial)
        return impossible(event, "its serial does not grow");
    if (event->kind == JOURNAL_RESUME && event->fence <= standing->fence)
        return impossible(event, "its fence does not grow");
    return OK;
}

static result find_step(const struct journal_standing *standing, const struct journal_event *event,
                        size_t *ret)
{
    bool about = event->kind >= JOURNAL_SKIP && event->kind <= JOURNAL_KEPT && event->kind != JOURNAL_BACK;
    if (about != (event->step != NULL))
        return impossible(event, about ? "it has no step" : "it must not have a step");
    for (*ret = 0; about && *ret < standing->step_count; (*ret)++)
        if (strcmp(standing->steps[*ret], event->step) == 0)
            return OK;
    return about ? impossible(event, "the run has no such step") : OK;
}

result journal_take(struct journal_standing *standing, const struct journal_event *event)
{
    size_t step = 0;
    TRY(check_going(standing, event));
    TRY(check_way(standing, event));
    TRY(check_numbers(standing, event));
    TRY(find_step(standing, event, &step));
    switch (event->kind) {
    case JOURNAL_BEGIN:
        return impossible(event, "the run has begun");
    case JOURNAL_RESUME:
        standing->fence = event->fence;
        standing->state = RUN_OPEN;
        break;
    case JOURNAL_ACT:
        standing->acted[step] = true;
        standing->serial = event->serial;
        standing->passed |= event->no_return;
        break;
    case JOURNAL_SKIP:
        standing->passed |= event->no_return;
        break;
    case JOURNAL_BACK:
        standing->walking = true;
        standing->cancelled = event->cancelled;
        break;
    case JOURNAL_UNDO:
        standing->serial = event->serial;
        break;
    case JOURNAL_UNDONE:
    case JOURNAL_KEPT:
        standing->acted[step] = false;
        break;
    case JOURNAL_END:
        TRY(check_end(standing, event));
        standing->state = event->state;
        break;
    default:
        break;
    }
    return OK;
}
