#include "gateway/trace_minute.h"

static void copy_word(char *to, size_t size, struct str word)
{
    size_t len = word.len < size ? word.len : size - 1;
    if (len > 0)
        memcpy(to, word.ptr, len);
    to[len] = '\0';
}

static struct str cut(struct str word, size_t size)
{
    return (struct str){ word.ptr, word.len < size ? word.len : size - 1 };
}

/* Ids of one gateway begin alike, and only those make a range: see http_request.id. */
static bool begin_alike(const char *id, struct str other)
{
    enum { PREFIX = 16 };
    return str_eq(cut(str_from(id), PREFIX + 1), cut(other, PREFIX + 1));
}

static struct trace_sum *add_sum(struct trace_minute *minute, enum trace_kind kind, struct str outcome,
                                 struct str rule, struct str role, struct str home)
{
    struct trace_sum *sum = &minute->sums[minute->sum_count++];
    *sum = (struct trace_sum){ .kind = kind };
    copy_word(sum->outcome, sizeof sum->outcome, outcome);
    copy_word(sum->rule, sizeof sum->rule, rule);
    copy_word(sum->role, sizeof sum->role, role);
    copy_word(sum->home, sizeof sum->home, home);
    return sum;
}

static struct trace_sum *find_other(struct trace_minute *minute, enum trace_kind kind)
{
    for (size_t i = TRACE_SUMS_MAX; i < minute->sum_count; i++)
        if (minute->sums[i].kind == kind)
            return &minute->sums[i];
    return add_sum(minute, kind, STR("other"), STR("other"), STR("other"), STR("other"));
}

static struct trace_sum *find_sum(struct trace_minute *minute, enum trace_kind kind, struct str outcome,
                                  struct str rule, struct str role, struct str home, struct str request)
{
    size_t own = minute->sum_count < TRACE_SUMS_MAX ? minute->sum_count : TRACE_SUMS_MAX;
    for (size_t i = 0; i < own; i++) {
        struct trace_sum *sum = &minute->sums[i];
        if (sum->kind == kind && str_is(cut(outcome, sizeof sum->outcome), sum->outcome) &&
            str_is(cut(rule, sizeof sum->rule), sum->rule) &&
            str_is(cut(role, sizeof sum->role), sum->role) &&
            str_is(cut(home, sizeof sum->home), sum->home) && begin_alike(sum->first, request))
            return sum;
    }
    return own < TRACE_SUMS_MAX ? add_sum(minute, kind, outcome, rule, role, home) : find_other(minute, kind);
}

static void count(struct trace_sum *sum, struct str request)
{
    request = cut(request, sizeof sum->first);
    if (sum->count == 0 || str_compare(request, str_from(sum->first)) < 0)
        copy_word(sum->first, sizeof sum->first, request);
    if (sum->count == 0 || str_compare(request, str_from(sum->last)) > 0)
        copy_word(sum->last, sizeof sum->last, request);
    if (sum->count < INT32_MAX) /* the row's column is an integer */
        sum->count++;
}

bool trace_minute_keeps(struct trace_minute *minute, enum trace_kind kind, struct str outcome,
                        struct str rule, struct str role, struct str home, struct str request)
{
    if (minute->kept[kind] < TRACE_KEPT) {
        minute->kept[kind]++;
        return true;
    }
    count(find_sum(minute, kind, outcome, rule, role, home, request), request);
    return false;
}
