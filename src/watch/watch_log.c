/* The server's log: what its lines say of sessions, and the pieces in which they arrive. */
#include "watch/watch_log.h"

#include "base/clock.h"
#include "base/text.h"
#include "watch/watch_internal.h"

#include <stdio.h>

enum { LINE_MAX_BYTES = 64 * 1024 };

/* ---- how many may begin ---- */

/* A session that comes and goes begins a finding each time, and each is two rows of the audit log. Whoever has a key could
 * fill the cell with them; so those of a source, and of a node, are counted for a day. */
static void turn_day(struct watch_log *log)
{
    enum { DAY_S = 24 * 60 * 60 };
    uint64_t now_s = clock_monotonic_ns() / 1000000000ULL + 1; /* 0: no day has begun */
    if (log->day_began_s != 0 && now_s - log->day_began_s < DAY_S)
        return;
    log->day_began_s = now_s;
    log->begins = log->unshown = 0;
    memset(log->source_begins, 0, sizeof log->source_begins);
}

static bool may_begin(struct watch_log *log, const char *subject)
{
    uint16_t *of_source = &log->source_begins[str_hash(STR_HASH_INIT, str_from(subject)) % WATCH_LOG_SOURCES];
    turn_day(log);
    if (log->begins == WATCH_LOG_BEGINS_A_DAY || *of_source == WATCH_LOG_BEGINS_OF_SOURCE)
        return false;
    log->begins++;
    (*of_source)++;
    return true;
}

/* Stays open while its day lasts, so that it cannot begin again and again itself. */
static void note_unshown(struct cell_watch *watch, struct watch_node *node)
{
    char evidence[WATCH_TEXT_MAX];
    text_fit(evidence, sizeof evidence, "%llu lines today; the last: %s",
             (unsigned long long)node->log.unshown, node->log.last_unshown);
    watch_note(watch, watch_channel_named(STR("log-connection")), node->node->name.ptr, STR(WATCH_LOG_MORE),
               str_from(evidence), clock_wall_ms());
}

/* A source (who, from where, and what it did) is one finding, however many lines it has. */
static void note_source(struct cell_watch *watch, struct watch_node *node, const char *channel,
                        const char *subject, const char *why, int64_t at_ms)
{
    const struct watch_channel *of = watch_channel_named(str_from(channel));
    struct watch_log *log = &node->log;
    char evidence[WATCH_TEXT_MAX];
    struct held_finding *held =
        watch_held(&watch->findings, of, str_from(node->node->name.ptr), str_from(subject));
    if (held == NULL && !may_begin(log, subject)) {
        log->unshown++;
        text_fit(log->last_unshown, sizeof log->last_unshown, "%s: %s", subject, why);
        note_unshown(watch, node);
        return;
    }
    uint64_t lines = held == NULL ? 1 : held->lines + 1;
    if (lines == 1)
        text_fit(evidence, sizeof evidence, "%s", why);
    else
        text_fit(evidence, sizeof evidence, "%s; %llu lines", why, (unsigned long long)lines);
    held = watch_see(&watch->findings, of, str_from(node->node->name.ptr), str_from(subject),
                     str_from(evidence), at_ms);
    if (held == NULL)
        return;
    held->seen_at = watch->clock;
    held->lines = lines;
}

/* ---- findings of a line ---- */

static bool is_local(struct str host)
{
    return str_is(host, "[local]");
}

static void note_command(struct cell_watch *watch, struct watch_node *node, const struct watch_log_line *line,
                         int64_t at_ms)
{
    char subject[WATCH_TEXT_MAX];
    if (watch_known_replication(&watch->known, line->user) &&
        watch_known_replication_home(&watch->known, line->user, line->host))
        return;
    text_fit(subject, sizeof subject, "%.*s by %.*s from %.*s", STR_ARG(line->command), STR_ARG(line->user),
             STR_ARG(line->host));
    note_source(watch, node, "log-replication", subject, "received replication command", at_ms);
}

static const char *connection_fault(const struct watch_known *known, const struct watch_log_line *line)
{
    if (!watch_known_role(known, line->user, is_local(line->host)))
        return "its role is not declared";
    if (!is_local(line->host) && !line->tls)
        return "it does not use TLS";
    if (!is_local(line->host) && !watch_known_home(known, line->host))
        return "its address is not declared";
    if (line->kind != WATCH_LOG_REPLICATION)
        return NULL;
    if (!watch_known_replication(known, line->user))
        return "its role may not replicate";
    if (!is_local(line->host) && !watch_known_replication_home(known, line->user, line->host))
        return "its address belongs to no standby";
    return watch_known_standby(known, line->application) || str_is(line->application, "pg_basebackup")
               ? NULL
               : "it is not a declared standby";
}

/* The application is what the client likes: it makes no finding of its own. */
static void note_connection(struct cell_watch *watch, struct watch_node *node,
                            const struct watch_log_line *line, int64_t at_ms)
{
    char subject[WATCH_TEXT_MAX], why[WATCH_TEXT_MAX / 2];
    const char *fault = connection_fault(&watch->known, line);
    if (fault == NULL)
        return;
    text_fit(subject, sizeof subject, "%s%.*s from %.*s",
             line->kind == WATCH_LOG_REPLICATION ? "replication by " : "", STR_ARG(line->user),
             STR_ARG(line->host));
    text_fit(why, sizeof why, "%s (application \"%.*s\")", fault, STR_ARG(line->application));
    note_source(watch, node, "log-connection", subject, why, at_ms);
}

static void judge_line(struct cell_watch *watch, struct watch_node *node, struct str text)
{
    struct watch_log_line line;
    if (!watch_log_parse(text, &line)) {
        node->log.unreadable++;
        return;
    }
    node->log.readable++;
    int64_t at_ms = line.at_ms != 0 ? line.at_ms : clock_wall_ms();
    if (node->log.from_ms == 0)
        node->log.from_ms = line.at_ms;
    if (at_ms < watch->since_ms)
        ; /* older than what is asked for */
    else if (line.kind == WATCH_LOG_COMMAND)
        note_command(watch, node, &line, at_ms);
    else if (line.kind != WATCH_LOG_OTHER)
        note_connection(watch, node, &line, at_ms);
    watch_log_line_done(&line);
}

/* ---- between rounds ---- */

static void note_unreadable(struct cell_watch *watch, const struct watch_node *node, uint64_t lines)
{
    char evidence[WATCH_TEXT_MAX];
    snprintf(evidence, sizeof evidence,
             "%llu lines of it are not those of a structured log, and count for nothing: see log_destination",
             (unsigned long long)lines);
    watch_blind(watch, node->node->name.ptr, WATCH_LOG_TEXT, evidence);
}

/* A log that has lines of both kinds, round after round, is one finding all the while. */
void watch_log_note(struct cell_watch *watch, struct watch_node *node)
{
    struct watch_log *log = &node->log;
    turn_day(log);
    if (log->readable + log->unreadable > 0)
        log->unreadable_before = log->unreadable;
    log->readable = log->unreadable = 0;
    if (log->unreadable_before > 0)
        note_unreadable(watch, node, log->unreadable_before);
    if (log->unshown > 0)
        note_unshown(watch, node);
}

bool watch_log_channel(const struct watch_channel *channel)
{
    return channel == watch_channel_named(STR("log-replication")) ||
           channel == watch_channel_named(STR("log-connection")) ||
           channel == watch_channel_named(STR("log-unread"));
}

/* ---- pieces ---- */

void watch_log_init(struct watch_log *log)
{
    *log = (struct watch_log){ 0 };
    buf_init(&log->rest, LINE_MAX_BYTES);
}

void watch_log_done(struct watch_log *log)
{
    buf_done(&log->rest);
}

static void end_line(struct cell_watch *watch, struct watch_node *node)
{
    if (!node->log.skipping && node->log.rest.len > 0)
        judge_line(watch, node, buf_str(&node->log.rest));
    buf_clear(&node->log.rest);
    node->log.skipping = false;
}

/* No client that has not logged in can make a line as long as that; who has logged in is told with it. */
static void note_too_long(struct cell_watch *watch, struct watch_node *node)
{
    char why[WATCH_TEXT_MAX / 2];
    text_fit(why, sizeof why, "%.*s", (int)(sizeof why - 1), node->log.rest.ptr);
    note_source(watch, node, "log-connection", "a line that is too long", why, clock_wall_ms());
    buf_clear(&node->log.rest);
    node->log.skipping = true;
}

static void add_bytes(struct cell_watch *watch, struct watch_node *node, struct str bytes)
{
    struct watch_log *log = &node->log;
    if (log->skipping)
        return;
    size_t room = LINE_MAX_BYTES - log->rest.len;
    struct str part = { bytes.ptr, bytes.len < room ? bytes.len : room };
    must(buf_append(&log->rest, part));
    if (part.len < bytes.len)
        note_too_long(watch, node);
}

static void feed_text(struct cell_watch *watch, struct watch_node *node, struct str text)
{
    node->log.offset += text.len;
    while (text.len > 0) {
        const char *newline = memchr(text.ptr, '\n', text.len);
        size_t len = newline == NULL ? text.len : (size_t)(newline - text.ptr);
        add_bytes(watch, node, (struct str){ text.ptr, len });
        if (newline == NULL)
            return;
        end_line(watch, node);
        text = (struct str){ newline + 1, text.len - len - 1 };
    }
}

static void note_gap(struct cell_watch *watch, struct watch_node *node, uint64_t bytes)
{
    char evidence[WATCH_TEXT_MAX];
    snprintf(evidence, sizeof evidence, "%llu bytes of it were not read", (unsigned long long)bytes);
    watch_blind(watch, node->node->name.ptr, WATCH_LOG_PART, evidence);
    buf_clear(&node->log.rest);
    node->log.skipping = true; /* up to the next line's begin */
}

/* A log that is first read in its middle begins there: earlier lines do not count. */
static void begin_file(struct cell_watch *watch, struct watch_node *node, const struct watch_log_piece *piece)
{
    bool first = node->log.file[0] == '\0';
    end_line(watch, node);
    must(piece->file.len > 0 && piece->file.len < sizeof node->log.file);
    memcpy(node->log.file, piece->file.ptr, piece->file.len);
    node->log.file[piece->file.len] = '\0';
    node->log.offset = first ? piece->offset : 0;
    node->log.skipping = first && piece->offset > 0;
}

void watch_log_feed(struct cell_watch *watch, const struct node *which, const struct watch_log_piece *piece)
{
    struct watch_node *node = watch_node_of(watch, which);
    struct watch_log *log = &node->log;
    struct str text = piece->text;
    must(watch->known.json != NULL);
    if (!str_is(piece->file, log->file))
        begin_file(watch, node, piece);
    if (piece->offset > log->offset) {
        note_gap(watch, node, piece->offset - log->offset);
        log->offset = piece->offset;
    }
    uint64_t seen = log->offset - piece->offset;
    if (seen >= text.len)
        return;
    feed_text(watch, node, (struct str){ text.ptr + seen, text.len - (size_t)seen });
    if (log->unreadable > 0)
        note_unreadable(watch, node, log->unreadable);
}

void watch_log_cut(struct cell_watch *watch, const struct node *which)
{
    struct watch_node *node = watch_node_of(watch, which);
    char evidence[WATCH_TEXT_MAX];
    must(watch->known.json != NULL);
    snprintf(evidence, sizeof evidence,
             "it was truncated or rotated: if it had more than %llu bytes, the rest was not read",
             (unsigned long long)node->log.offset);
    watch_blind(watch, which->name.ptr, WATCH_LOG_PART, evidence);
    end_line(watch, node);
    node->log.offset = 0;
}

void watch_log_unfinished(struct cell_watch *watch)
{
    for (size_t i = 0; i < watch->node_count; i++) {
        const struct watch_node *node = &watch->nodes[i];
        char evidence[WATCH_TEXT_MAX];
        if (node->log.file[0] == '\0')
            continue;
        snprintf(evidence, sizeof evidence, "only its first %llu bytes were read; it may have more",
                 (unsigned long long)node->log.offset);
        watch_blind(watch, node->node->name.ptr, WATCH_LOG_PART, evidence);
    }
}

int64_t watch_log_from(const struct cell_watch *watch, const struct node *node)
{
    for (size_t i = 0; i < watch->node_count; i++)
        if (watch->nodes[i].node == node)
            return watch->nodes[i].log.from_ms;
    return 0;
}

void watch_log_position(const struct cell_watch *watch, const struct node *node, struct str *ret_file,
                        uint64_t *ret_offset)
{
    for (size_t i = 0; i < watch->node_count; i++) {
        if (watch->nodes[i].node != node)
            continue;
        *ret_file = str_from(watch->nodes[i].log.file);
        *ret_offset = watch->nodes[i].log.offset;
    }
}
