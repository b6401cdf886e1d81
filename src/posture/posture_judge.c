#include "posture/posture_judge.h"

#include "base/clock.h"

const struct posture_check posture_checks[POSTURE_COUNT] = {
#define X(id, name, question, asked, advice) [id] = { name, question, asked, advice },
#include "posture/posture.def"
#undef X
};
/* A row without its texts does not compile. */
#define X(id, name, question, asked, advice)                                                                 \
    _Static_assert(sizeof(question) > 10 && sizeof(asked) > 5 && sizeof(advice) > 10,                        \
                   "a check without words: " name);
#include "posture/posture.def"
#undef X

const char *posture_verdict_word(enum posture_verdict verdict)
{
    static const char *const words[] = { "unknown", "ok", "finding" };
    return words[verdict];
}

const char *posture_grade_word(enum posture_grade grade)
{
    static const char *const words[] = { "-", "observed", "declared" };
    return words[grade];
}

/* ---- lines ---- */
struct posture_line posture_observed(bool fine, const char *answer, const char *told_by)
{
    return (struct posture_line){ fine ? POSTURE_OK : POSTURE_FINDING, POSTURE_OBSERVED, answer, told_by };
}

struct posture_line posture_untold(const char *why, const char *tried)
{
    return (struct posture_line){ POSTURE_UNKNOWN, POSTURE_NOBODY, why, tried };
}

static struct posture_line unanswered(const struct posture_said *said)
{
    return posture_untold(said->why, said->command);
}

static struct posture_line misread(const struct posture_subject *subject, const result *r,
                                   const char *command)
{
    return posture_untold(posture_clean(str_from(r->error.what), subject->arena), command);
}

static const char *both(const struct posture_subject *subject, const struct posture_said *a,
                        const struct posture_said *b)
{
    return arena_printf(subject->arena, "%s; %s", a->command, b->command);
}

const char *posture_join(const struct posture_subject *subject, const char *list, const char *item)
{
    return arena_printf(subject->arena, "%s%s%s", list, list[0] != '\0' ? ", " : "", item);
}

/* Without its last newline. */
static const char *one_line(const struct posture_subject *subject, struct str text)
{
    struct str line;
    return str_cut(&text, '\n', &line) ? posture_clean(line, subject->arena) : "";
}

static const char *date_text(const struct posture_subject *subject, int64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format(at_ms, text);
    return arena_printf(subject->arena, "%.10s", text);
}

/* ---- the system ---- */
struct posture_line posture_judge_os(const struct posture_subject *subject,
                                     const struct posture_said *release, const struct posture_said *kernel)
{
    const char *name = NULL, *ends = NULL;
    if (release->why != NULL || kernel->why != NULL)
        return unanswered(release->why != NULL ? release : kernel);
    result r = posture_parse_variable(release->out, "PRETTY_NAME", subject->arena, &name);
    if (!failed(r))
        r = posture_parse_variable(release->out, "SUPPORT_END", subject->arena, &ends);
    if (failed(r))
        return misread(subject, &r, release->command);
    if (name == NULL)
        return posture_untold("/etc/os-release has no name of a system", release->command);
    const char *answer = arena_printf(subject->arena, "%s, kernel %s", name, one_line(subject, kernel->out));
    if (ends != NULL)
        answer = arena_printf(subject->arena, "%s, supported until %s", answer, ends);
    bool ended = ends != NULL && strcmp(ends, date_text(subject, subject->now_ms)) < 0;
    return posture_observed(!ended, answer, both(subject, release, kernel));
}

/* "test -e" exits with 1 if there is no such file; that is its answer. */
struct posture_line posture_judge_restart(const struct posture_said *said)
{
    if (said->why != NULL && said->exit_status != 1)
        return unanswered(said);
    return posture_observed(said->why != NULL,
                            said->why != NULL ? "no update needs a restart" : "an update needs a restart",
                            said->command);
}

struct posture_line posture_judge_updates(const struct posture_subject *subject,
                                          const struct posture_said *lists,
                                          const struct posture_said *upgrades)
{
    enum { STALE_DAYS = 7 };
    const int64_t day_ms = INT64_C(24) * 3600 * 1000;
    struct posture_lists found;
    struct posture_upgrades pending;
    const char *told_by = both(subject, upgrades, lists);
    if (lists->why != NULL || upgrades->why != NULL)
        return unanswered(upgrades->why != NULL ? upgrades : lists);
    result r = posture_parse_lists(lists->out, &found);
    if (!failed(r))
        r = posture_parse_upgrades(upgrades->out, subject->arena, &pending);
    if (failed(r))
        return misread(subject, &r, told_by);
    if (found.count == 0)
        return posture_untold("the host has no package lists: updates are not known", told_by);
    long long age_days = (long long)((subject->now_ms - found.newest_ms) / day_ms);
    const char *answer = arena_printf(
        subject->arena, "%zu security updates pending%s%s, %zu updates in all; lists %lld days old",
        pending.security, pending.security > 0 ? ": " : "", pending.names, pending.count, age_days);
    if (pending.security > 0)
        return posture_observed(false, answer, told_by);
    if (found.security == 0)
        return posture_observed(
            false, arena_printf(subject->arena, "no package list of a security archive; %s", answer),
            told_by);
    return age_days >= STALE_DAYS || age_days < -1
               ? posture_untold(arena_printf(subject->arena, "the package lists are too old: %s", answer),
                                told_by)
               : posture_observed(true, answer, told_by);
}

/* ---- disks ---- */
enum encryption { ENCRYPTED, CLEAR, UNCLEAR };

/* *ret_words: the devices below it, or why they are not known. */
static enum encryption encryption_of(const struct posture_subject *subject, const struct posture_place *place,
                                     const char **ret_words)
{
    struct posture_mount mount = { 0 };
    struct posture_blocks blocks;
    if (place->mount.command != NULL && place->mount.why != NULL) {
        *ret_words = place->mount.why;
        return UNCLEAR;
    }
    if (place->mount.command != NULL) {
        result r = posture_parse_mount(place->mount.out, subject->arena, &mount);
        *ret_words = failed(r) ? posture_clean(str_from(r.error.what), subject->arena)
                               : arena_printf(subject->arena, "%s is %s on %s, which is not a block device",
                                              mount.target, mount.type, mount.source);
        if (failed(r) || place->blocks.command == NULL)
            return UNCLEAR;
    }
    *ret_words = place->blocks.why;
    if (place->blocks.command == NULL || place->blocks.why != NULL)
        return UNCLEAR;
    result r = posture_parse_blocks(place->blocks.out, subject->arena, &blocks);
    *ret_words = failed(r) ? posture_clean(str_from(r.error.what), subject->arena) : blocks.chain;
    return failed(r) ? UNCLEAR : blocks.encrypted ? ENCRYPTED : CLEAR;
}

static const char *commands_of(const struct posture_subject *subject, const struct posture_place *places,
                               size_t count)
{
    const char *text = "";
    for (size_t i = 0; i < count; i++) {
        const char *const commands[] = { places[i].mount.command, places[i].blocks.command };
        for (size_t j = 0; j < 2; j++)
            if (commands[j] != NULL && strstr(text, commands[j]) == NULL)
                text = arena_printf(subject->arena, "%s%s%s", text, text[0] != '\0' ? "; " : "", commands[j]);
    }
    return text;
}

struct posture_line posture_judge_disk(const struct posture_subject *subject,
                                       const struct posture_place *places, size_t count)
{
    const char *declared = subject->node->disk_encryption, *words = "", *answer = "";
    const char *told_by = commands_of(subject, places, count);
    enum encryption all = ENCRYPTED;
    for (size_t i = 0; i < count; i++) {
        enum encryption one = encryption_of(subject, &places[i], &words);
        const char *item = arena_printf(subject->arena, "%s: %s%s", places[i].path,
                                        one == CLEAR ? "not encrypted: " : "", words);
        answer = i == 0 ? item : arena_printf(subject->arena, "%s; %s", answer, item);
        all = one == CLEAR || all == CLEAR ? CLEAR : one == UNCLEAR ? UNCLEAR : all;
    }
    if (all == ENCRYPTED)
        return posture_observed(true, answer, told_by);
    if (declared != NULL)
        return (struct posture_line){ POSTURE_OK, POSTURE_DECLARED,
                                      arena_printf(subject->arena, "declared: %s (observed: %s)",
                                                   posture_clean(str_from(declared), subject->arena), answer),
                                      arena_printf(subject->arena, "disk_encryption of the node \"%s\"",
                                                   subject->node->name.ptr) };
    return all == CLEAR ? posture_observed(false, answer, told_by) : posture_untold(answer, told_by);
}

struct posture_line posture_judge_swap(const struct posture_subject *subject, const struct posture_said *said,
                                       const struct posture_place *places, size_t count)
{
    struct posture_swaps swaps;
    const char *clear = "", *unclear = "", *words = "";
    if (said->why != NULL)
        return unanswered(said);
    result r = posture_parse_swaps(said->out, subject->arena, &swaps);
    if (failed(r))
        return misread(subject, &r, said->command);
    if (swaps.count == 0)
        return posture_observed(true, "no swap", said->command);
    const char *told_by =
        arena_printf(subject->arena, "%s; %s", said->command, commands_of(subject, places, count));
    for (size_t i = 0; i < swaps.count; i++) {
        const char *name = swaps.items[i].name;
        if (strstr(name, "/zram") != NULL) /* compressed memory, not a disk */
            continue;
        enum encryption one = i < count ? encryption_of(subject, &places[i], &words) : UNCLEAR;
        if (one == CLEAR)
            clear = posture_join(subject, clear, arena_printf(subject->arena, "%s on %s", name, words));
        else if (one == UNCLEAR)
            unclear = posture_join(subject, unclear,
                                   arena_printf(subject->arena, "%s (%s)", name,
                                                i < count ? words : "not checked: too many swap areas"));
    }
    if (clear[0] != '\0')
        return posture_observed(false, arena_printf(subject->arena, "not encrypted: %s", clear), told_by);
    if (unclear[0] != '\0')
        return posture_untold(unclear, told_by);
    return posture_observed(
        true, arena_printf(subject->arena, "%zu swap areas, encrypted or in memory", swaps.count), told_by);
}

/* ---- core dumps ---- a program that collects them gets them despite the limit (core(5)) */
struct posture_line posture_judge_cores(const struct posture_subject *subject,
                                        const struct posture_said *pattern, const struct posture_said *limits)
{
    uint64_t limit = 0;
    if (pattern->why != NULL)
        return unanswered(pattern);
    const char *where = one_line(subject, pattern->out), *told_by = both(subject, pattern, limits);
    if (where[0] == '|')
        return strcmp(where, "|/bin/false") == 0
                   ? posture_observed(true, "core dumps are discarded", pattern->command)
                   : posture_observed(
                         false, arena_printf(subject->arena, "core dumps go to %s, despite the limit", where),
                         pattern->command);
    if (limits->why != NULL)
        return posture_untold(limits->why, told_by);
    result r = posture_parse_core_limit(limits->out, &limit);
    if (failed(r))
        return misread(subject, &r, limits->command);
    if (limit == 0)
        return posture_observed(true, "PostgreSQL's limit is 0", told_by);
    return posture_observed(
        false,
        limit == UINT64_MAX
            ? arena_printf(subject->arena, "PostgreSQL writes core dumps of any size to \"%s\"", where)
            : arena_printf(subject->arena, "PostgreSQL writes core dumps of up to %llu bytes to \"%s\"",
                           (unsigned long long)limit, where),
        told_by);
}

/* ---- clocks ---- */
struct posture_line posture_judge_clock_sync(const struct posture_subject *subject,
                                             const struct posture_said *timedatectl,
                                             const struct posture_said *chrony)
{
    const char *synchronised = NULL, *leap = NULL;
    if (timedatectl->why == NULL) {
        result r = posture_parse_variable(timedatectl->out, "NTPSynchronized", subject->arena, &synchronised);
        if (failed(r) || synchronised == NULL)
            return posture_untold("timedatectl does not show NTPSynchronized", timedatectl->command);
        bool yes = strcmp(synchronised, "yes") == 0;
        return posture_observed(
            yes, yes ? "the kernel's clock is synchronised" : "the kernel's clock is not synchronised",
            timedatectl->command);
    }
    if (chrony->why != NULL)
        return posture_untold(arena_printf(subject->arena, "%s; %s", timedatectl->why, chrony->why),
                              both(subject, timedatectl, chrony));
    result r = posture_parse_chrony(chrony->out, subject->arena, &leap);
    if (failed(r))
        return misread(subject, &r, chrony->command);
    return posture_observed(strcmp(leap, "Normal") == 0,
                            arena_printf(subject->arena, "chrony: leap status %s", leap), chrony->command);
}

struct posture_line posture_judge_clock_offset(const struct posture_subject *subject,
                                               const struct posture_clock *clock)
{
    int64_t limit_ms = subject->cell->fit.clock_offset_ms;
    if (!clock->known)
        return unanswered(&clock->said);
    int64_t size_ms = clock->offset_ms < 0 ? -clock->offset_ms : clock->offset_ms;
    const char *answer =
        arena_printf(subject->arena, "%+lld ms, plus or minus %lld ms; the limit is %lld ms",
                     (long long)clock->offset_ms, (long long)clock->uncertainty_ms, (long long)limit_ms);
    if (size_ms - clock->uncertainty_ms > limit_ms)
        return posture_observed(false, answer, clock->said.command);
    return size_ms + clock->uncertainty_ms <= limit_ms ? posture_observed(true, answer, clock->said.command)
                                                       : posture_untold(answer, clock->said.command);
}
