/* The store of findings. turn() is the only place where one begins or ends. */
#include "watch/watch_internal.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

enum finding_state { FINDING_GONE, FINDING_OPEN };

/* A server's text is shown on terminals: no control characters, valid UTF-8, and a limit. */
static char *shown_copy(struct str text)
{
    char *copy = malloc((text.len < WATCH_TEXT_MAX ? text.len : WATCH_TEXT_MAX) + 2);
    must(copy != NULL);
    size_t len = text_shorten(copy, WATCH_TEXT_MAX + 1, text);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)copy[i] < 0x20 || copy[i] == 0x7f)
            copy[i] = '?';
    if (!str_is_utf8((struct str){ copy, len }))
        for (size_t i = 0; i < len; i++)
            copy[i] = (unsigned char)copy[i] >= 0x80 ? '?' : copy[i];
    if (len == 0)
        copy[len++] = '?';
    copy[len] = '\0';
    return copy;
}

static struct watch_finding finding_copy(const struct watch_channel *channel, struct str node,
                                         struct str subject, struct str evidence, int64_t at_ms)
{
    return (struct watch_finding){ channel, shown_copy(node), shown_copy(subject), shown_copy(evidence),
                                   at_ms };
}

static void finding_done(struct watch_finding *finding)
{
    free((char *)finding->node);
    free((char *)finding->subject);
    free((char *)finding->evidence);
}

static void add_event(struct watch_findings *findings, enum watch_event_kind kind,
                      const struct watch_finding *finding, int64_t at_ms)
{
    if (findings->told != NULL) {
        const struct watch_event event = { kind, *finding, at_ms };
        findings->told(findings->told_context, &event);
    }
    if (findings->event_count == WATCH_EVENTS_MAX) {
        findings->events_dropped++;
        return;
    }
    if (findings->events == NULL)
        findings->events = malloc(WATCH_EVENTS_MAX * sizeof findings->events[0]);
    must(findings->events != NULL);
    findings->events[findings->event_count++] = (struct watch_event){
        .kind = kind,
        .finding = finding_copy(finding->channel, str_from(finding->node), str_from(finding->subject),
                                str_from(finding->evidence), finding->began_ms),
        .at_ms = at_ms,
    };
}

static void turn(struct watch_findings *findings, struct held_finding *held, enum finding_state to,
                 int64_t at_ms)
{
    if (to == FINDING_OPEN) {
        must(held == &findings->items[findings->count]);
        findings->count++;
        add_event(findings, WATCH_BEGIN, &held->finding, at_ms);
        return;
    }
    add_event(findings, WATCH_END, &held->finding, at_ms);
    finding_done(&held->finding);
    size_t at = (size_t)(held - findings->items);
    memmove(held, held + 1, (findings->count - at - 1) * sizeof *held);
    findings->count--;
}

static struct held_finding *find(const struct watch_findings *findings, const struct watch_finding *wanted)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct watch_finding *finding = &findings->items[i].finding;
        if (finding->channel == wanted->channel && strcmp(finding->node, wanted->node) == 0 &&
            strcmp(finding->subject, wanted->subject) == 0)
            return &findings->items[i];
    }
    return NULL;
}

/* An attacker can create thousands of small findings to hide a large one. So critical findings have places of their own,
 * blind has some after these, and "there is no place", of each node, has the last. */
static size_t places_for(const struct watch_finding *finding)
{
    enum { FOR_OVERFLOW = 16, FOR_BLIND = 16 };
    if (finding->channel == watch_channel_named(STR("blind")))
        return strcmp(finding->subject, WATCH_OVERFLOW) == 0 ? WATCH_FINDINGS_MAX
                                                             : WATCH_FINDINGS_MAX - FOR_OVERFLOW;
    return finding->channel->severity == WATCH_CRITICAL ? WATCH_FINDINGS_MAX - FOR_OVERFLOW - FOR_BLIND
                                                        : WATCH_FINDINGS_MAX - WATCH_FINDINGS_RESERVED;
}

/* NULL: there is no place for it. */
static struct held_finding *place_for(struct watch_findings *findings, const struct watch_finding *finding)
{
    if (findings->items == NULL)
        findings->items = calloc(WATCH_FINDINGS_MAX, sizeof findings->items[0]);
    must(findings->items != NULL);
    if (findings->count < places_for(finding))
        return &findings->items[findings->count];
    findings->overflow = true;
    return NULL;
}

struct held_finding *watch_see(struct watch_findings *findings, const struct watch_channel *channel,
                               struct str node, struct str subject, struct str evidence, int64_t at_ms)
{
    struct watch_finding finding = finding_copy(channel, node, subject, evidence, at_ms);
    struct held_finding *held = find(findings, &finding);
    if (held != NULL) { /* new evidence, old begin */
        const char *stale = held->finding.evidence;
        held->finding.evidence = finding.evidence;
        finding.evidence = stale;
        finding_done(&finding);
        return held;
    }
    held = place_for(findings, &finding);
    if (held == NULL) {
        finding_done(&finding);
        return NULL;
    }
    *held = (struct held_finding){ .finding = finding };
    turn(findings, held, FINDING_OPEN, at_ms);
    return held;
}

struct held_finding *watch_held(const struct watch_findings *findings, const struct watch_channel *channel,
                                struct str node, struct str subject)
{
    struct watch_finding finding = finding_copy(channel, node, subject, (struct str){ 0 }, 0);
    struct held_finding *held = find(findings, &finding);
    finding_done(&finding);
    return held;
}

void watch_remember(struct watch_findings *findings, const struct watch_finding *finding)
{
    if (find(findings, finding) != NULL)
        return;
    struct held_finding *held = place_for(findings, finding);
    if (held == NULL)
        return;
    *held = (struct held_finding){ .finding = finding_copy(finding->channel, str_from(finding->node),
                                                           str_from(finding->subject),
                                                           str_from(finding->evidence), finding->began_ms) };
    findings->count++;
}

void watch_gone(struct watch_findings *findings, struct held_finding *held, int64_t at_ms)
{
    turn(findings, held, FINDING_GONE, at_ms);
}

void watch_note_severed(struct watch_findings *findings, const struct watch_finding *finding, bool done,
                        int64_t at_ms)
{
    struct watch_finding shown =
        finding_copy(finding->channel, str_from(finding->node), str_from(finding->subject),
                     str_from(finding->evidence), finding->began_ms);
    struct held_finding *held = find(findings, &shown);
    bool told = held != NULL && held->not_severed;
    if (held != NULL)
        held->not_severed |= !done;
    if (done || !told)
        add_event(findings, done ? WATCH_SEVERED : WATCH_NOT_SEVERED, &shown, at_ms);
    finding_done(&shown);
}

void watch_findings_done(struct watch_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        finding_done(&findings->items[i].finding);
    for (size_t i = 0; i < findings->event_count; i++)
        finding_done(&findings->events[i].finding);
    free(findings->items);
    free(findings->events);
    *findings = (struct watch_findings){ 0 };
}

/* ---- looking ---- */

size_t watch_finding_count(const struct cell_watch *watch)
{
    return watch->findings.count;
}

const struct watch_finding *watch_finding_at(const struct cell_watch *watch, size_t i)
{
    must(i < watch->findings.count);
    return &watch->findings.items[i].finding;
}

size_t watch_event_count(const struct cell_watch *watch)
{
    return watch->findings.event_count;
}

const struct watch_event *watch_event_at(const struct cell_watch *watch, size_t i)
{
    must(i < watch->findings.event_count);
    return &watch->findings.events[i];
}

void watch_events_forget(struct cell_watch *watch, size_t count)
{
    struct watch_findings *findings = &watch->findings;
    must(count <= findings->event_count);
    for (size_t i = 0; i < count; i++)
        finding_done(&findings->events[i].finding);
    if (count > 0)
        memmove(findings->events, findings->events + count,
                (findings->event_count - count) * sizeof findings->events[0]);
    findings->event_count -= count;
}
