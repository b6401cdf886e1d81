/* The server's log: its lines, and the pieces in which they arrive. */
#include "watch/watch_log.h"

#include "base/clock.h"
#include "base/text.h"
#include "watch/watch_internal.h"

#include <stdio.h>

enum { LINE_MAX_BYTES = 16 * 1024 };

/* ---- a line ---- */

static bool cut_at(struct str *rest, const char *separator, struct str *ret_before)
{
    const char *at = rest->len == 0 ? NULL : memmem(rest->ptr, rest->len, separator, strlen(separator));
    if (at == NULL)
        return false;
    size_t before = (size_t)(at - rest->ptr), taken = before + strlen(separator);
    *ret_before = (struct str){ rest->ptr, before };
    *rest = (struct str){ rest->ptr + taken, rest->len - taken };
    return true;
}

static bool take(struct str *rest, struct str prefix)
{
    if (!str_starts(*rest, prefix))
        return false;
    *rest = (struct str){ rest->ptr + prefix.len, rest->len - prefix.len };
    return true;
}

/* "2026-11-25 20:16:00.123 UTC"; 0: it is not UTC, or no time. */
static int64_t parse_time(struct str text)
{
    char whole[CLOCK_TEXT_SIZE];
    int64_t ms;
    if (text.len != CLOCK_TEXT_SIZE + 2 || memcmp(&text.ptr[23], " UTC", 4) != 0 || text.ptr[10] != ' ')
        return 0;
    memcpy(whole, text.ptr, 23);
    whole[10] = 'T';
    whole[23] = 'Z';
    return clock_parse((struct str){ whole, 24 }, &ms) ? ms : 0;
}

/* "user=x database=y application_name=z SSL enabled (...)": a name may hold spaces; the next key ends it. */
static struct str value_of(struct str text, const char *key, const char *const *next)
{
    struct str before, value = { 0 };
    if (!cut_at(&text, key, &before))
        return value;
    value = text;
    for (; *next != NULL; next++) {
        struct str rest = text, found;
        if (cut_at(&rest, *next, &found) && found.len < value.len)
            value = found;
    }
    return value;
}

static void parse_connection(struct str text, struct watch_log_line *line)
{
    static const char *const keys[] = { " database=", " application_name=", " SSL enabled (", " GSS (",
                                        NULL };
    line->user = value_of(text, "user=", keys);
    line->application = value_of(text, " application_name=", keys);
    line->tls = memmem(text.ptr, text.len, " SSL enabled (", strlen(" SSL enabled (")) != NULL;
}

static void parse_command(struct str text, struct watch_log_line *line)
{
    size_t len = 0;
    while (len < text.len && ((text.ptr[len] >= 'A' && text.ptr[len] <= 'Z') || text.ptr[len] == '_'))
        len++;
    line->command = (struct str){ text.ptr, len };
}

struct watch_log_line watch_log_parse(struct str text)
{
    struct watch_log_line line = { 0 };
    struct str time, pid, database;
    if (!cut_at(&text, " [", &time))
        return line;
    line.at_ms = parse_time(time);
    if (!cut_at(&text, "] ", &pid) || !cut_at(&text, "@", &line.user) ||
        !cut_at(&text, " from ", &database) || !cut_at(&text, " LOG:  ", &line.host))
        return (struct watch_log_line){ .at_ms = line.at_ms };
    if (memmem(text.ptr, text.len, " LOG:  ", strlen(" LOG:  ")) != NULL)
        line.kind = WATCH_LOG_FORGED;
    else if (take(&text, STR("connection authorized: "))) {
        line.kind = WATCH_LOG_CONNECTION;
        parse_connection(text, &line);
    } else if (take(&text, STR("replication connection authorized: "))) {
        line.kind = WATCH_LOG_REPLICATION;
        parse_connection(text, &line);
    } else if (take(&text, STR("received replication command: "))) {
        line.kind = WATCH_LOG_COMMAND;
        parse_command(text, &line);
    }
    return line;
}

/* ---- findings of a line ---- */

static bool is_local(struct str host)
{
    return str_is(host, "[local]");
}

static void note_command(struct cell_watch *watch, const struct watch_node *node,
                         const struct watch_log_line *line, int64_t at_ms)
{
    char subject[WATCH_TEXT_MAX];
    if (watch_known_replication(&watch->known, line->user) &&
        watch_known_replication_home(&watch->known, line->user, line->host))
        return;
    text_fit(subject, sizeof subject, "%.*s by %.*s from %.*s", STR_ARG(line->command), STR_ARG(line->user),
             STR_ARG(line->host));
    watch_note(watch, watch_channel_named(STR("log-replication")), node->node->name.ptr, str_from(subject),
               STR("received replication command"), at_ms);
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

static void note_connection(struct cell_watch *watch, const struct watch_node *node,
                            const struct watch_log_line *line, int64_t at_ms)
{
    char subject[WATCH_TEXT_MAX];
    const char *fault = connection_fault(&watch->known, line);
    if (fault == NULL)
        return;
    text_fit(subject, sizeof subject, "%s%.*s from %.*s as %.*s",
             line->kind == WATCH_LOG_REPLICATION ? "replication by " : "", STR_ARG(line->user),
             STR_ARG(line->host), STR_ARG(line->application));
    watch_note(watch, watch_channel_named(STR("log-connection")), node->node->name.ptr, str_from(subject),
               str_from(fault), at_ms);
}

static void judge_line(struct cell_watch *watch, struct watch_node *node, struct str text)
{
    const struct watch_log_line line = watch_log_parse(text);
    int64_t at_ms = line.at_ms != 0 ? line.at_ms : clock_wall_ms();
    if (node->log.from_ms == 0)
        node->log.from_ms = line.at_ms;
    if (at_ms < watch->since_ms)
        return;
    if (line.kind == WATCH_LOG_FORGED)
        watch_note(watch, watch_channel_named(STR("log-connection")), node->node->name.ptr,
                   STR("a line within a line"), text, at_ms);
    else if (line.kind == WATCH_LOG_COMMAND)
        note_command(watch, node, &line, at_ms);
    else if (line.kind != WATCH_LOG_OTHER)
        note_connection(watch, node, &line, at_ms);
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

/* Of a line that is too long only the beginning is judged, which has all that matters. */
static void add_bytes(struct cell_watch *watch, struct watch_node *node, struct str bytes)
{
    struct watch_log *log = &node->log;
    if (log->skipping)
        return;
    size_t room = LINE_MAX_BYTES - log->rest.len;
    struct str part = { bytes.ptr, bytes.len < room ? bytes.len : room };
    must(buf_append(&log->rest, part));
    if (part.len < bytes.len) {
        end_line(watch, node);
        log->skipping = true;
    }
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
