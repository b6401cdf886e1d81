#include "watch/watch_log.h"

#include "base/clock.h"
#include "base/count.h"

#include <stdlib.h>

enum { LINE_DEPTH_MAX = 2 };

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

static size_t last_of(struct str text, struct str part)
{
    for (size_t at = text.len; at >= part.len; at--)
        if (memcmp(text.ptr + at - part.len, part.ptr, part.len) == 0)
            return at - part.len;
    return text.len;
}

/* " database=y application_name=z SSL enabled (...)": the database is known; only the application's name is a client's. */
static void parse_connection(struct str text, struct str database, struct watch_log_line *line)
{
    if (!take(&text, line->user))
        return;
    if (line->kind == WATCH_LOG_CONNECTION && (!take(&text, STR(" database=")) || !take(&text, database)))
        return;
    size_t at = last_of(text, STR(" SSL enabled (protocol="));
    line->tls = at < text.len;
    text.len = at;
    if (take(&text, STR(" application_name=")))
        line->application = text;
}

/* What follows is as its sender likes; PostgreSQL logs it before it reads it. */
static struct str known_command(struct str text)
{
    static const char *const known[] = {
        "BASE_BACKUP",     "START_REPLICATION",     "CREATE_REPLICATION_SLOT", "TIMELINE_HISTORY",
        "IDENTIFY_SYSTEM", "DROP_REPLICATION_SLOT", "READ_REPLICATION_SLOT",   "SHOW"
    };
    for (size_t i = 0; i < COUNT(known); i++)
        if (str_starts(text, str_from(known[i])))
            return str_from(known[i]);
    return STR("another command");
}

static void parse_message(struct str text, struct watch_log_line *line)
{
    struct str database = json_member_str(line->json, "dbname");
    if (take(&text, STR("connection authorized: user="))) {
        line->kind = WATCH_LOG_CONNECTION;
        parse_connection(text, database, line);
    } else if (take(&text, STR("replication connection authorized: user="))) {
        line->kind = WATCH_LOG_REPLICATION;
        parse_connection(text, database, line);
    } else if (take(&text, STR("received replication command: "))) {
        line->kind = WATCH_LOG_COMMAND;
        line->command = known_command(text);
    }
}

/* A session can write lines too (RAISE LOG), but not without their context. */
static bool is_servers(const json_t *json)
{
    return str_is(json_member_str(json, "error_severity"), "LOG") && json_object_get(json, "context") == NULL;
}

/* A name may have bytes that are no UTF-8: PostgreSQL writes them as they came, and they end no string. */
static result parse_bytes(struct str text, json_t **ret)
{
    if (str_is_utf8(text))
        return json_parse(text, LINE_DEPTH_MAX, ret);
    char *copy = malloc(text.len);
    must(copy != NULL);
    for (size_t i = 0; i < text.len; i++)
        copy[i] = (unsigned char)text.ptr[i] >= 0x80 ? '?' : text.ptr[i];
    result r = json_parse((struct str){ copy, text.len }, LINE_DEPTH_MAX, ret);
    free(copy);
    return r;
}

bool watch_log_parse(struct str text, struct watch_log_line *ret)
{
    struct watch_log_line line = { 0 };
    if (failed(parse_bytes(text, &line.json)))
        return false;
    struct str time = json_member_str(line.json, "timestamp"),
               message = json_member_str(line.json, "message");
    if (time.ptr == NULL || json_member_str(line.json, "error_severity").ptr == NULL) {
        json_decref(line.json);
        return false;
    }
    line.at_ms = parse_time(time);
    line.user = json_member_str(line.json, "user");
    line.host = json_member_str(line.json, "remote_host");
    if (is_servers(line.json) && line.user.len > 0)
        parse_message(message, &line);
    *ret = line;
    return true;
}

void watch_log_line_done(struct watch_log_line *line)
{
    json_decref(line->json);
    *line = (struct watch_log_line){ 0 };
}
