#include "health/health_json.h"

#include "base/clock.h"

#include <stddef.h>

/* ---- one fact a row: its name, its place in struct health_node, and its source ---- */
#define AT(member) offsetof(struct health_node, member)
static const struct {
    const char *name;
    size_t offset;
    const char *source;
    enum health_role role; /* of whom it is asked; HEALTH_ROLE_UNKNOWN: of every node */
} numbers[] = {
    { "clock_offset_us", AT(clock_offset_us), "server", HEALTH_ROLE_UNKNOWN },
    { "clock_uncertainty_us", AT(clock_uncertainty_us), "server", HEALTH_ROLE_UNKNOWN },
    { "certificate_expires_ms", AT(certificate_expires_ms), "tls session", HEALTH_ROLE_UNKNOWN },
    { "own_certificate_expires_ms", AT(own_certificate_expires_ms), "certificate file", HEALTH_ROLE_UNKNOWN },
    { "position", AT(position), "primary", HEALTH_PRIMARY },
    { "writes_waiting", AT(writes_waiting), "primary", HEALTH_PRIMARY },
    { "confirm_us", AT(confirm_us), "pg_stat_replication", HEALTH_PRIMARY },
    { "degraded_since_ms", AT(degraded_since_ms), "beat", HEALTH_PRIMARY },
    { "epoch", AT(epoch), "beat", HEALTH_ROLE_UNKNOWN },
    { "position", AT(position), "pg_stat_wal_receiver", HEALTH_STANDBY },
    { "received", AT(received), "pg_stat_wal_receiver", HEALTH_STANDBY },
    { "last_message_age_ms", AT(last_message_age_ms), "pg_stat_wal_receiver", HEALTH_STANDBY },
    { "receive_lag_bytes", AT(receive_lag_bytes), "pg_stat_wal_receiver, primary", HEALTH_STANDBY },
    { "replay_lag_bytes", AT(replay_lag_bytes), "pg_stat_wal_receiver, primary", HEALTH_STANDBY },
    { "lag_ms", AT(lag_ms), "beat", HEALTH_STANDBY },
    { "walsender_flush_lag_bytes", AT(walsender.flush_lag_bytes), "pg_stat_replication", HEALTH_STANDBY },
    { "walsender_replay_lag_bytes", AT(walsender.replay_lag_bytes), "pg_stat_replication", HEALTH_STANDBY },
    { "disk_total_bytes", AT(host.disk_total_bytes), "host", HEALTH_ROLE_UNKNOWN },
    { "disk_free_bytes", AT(host.disk_free_bytes), "host", HEALTH_ROLE_UNKNOWN },
};

static const struct {
    const char *name;
    size_t offset;
    const char *source;
    enum health_role role;
} texts[] = {
    { "synchronous_standby_names", AT(sync_names), "primary", HEALTH_PRIMARY },
    { "receiver_status", AT(receiver_status), "pg_stat_wal_receiver", HEALTH_STANDBY },
    { "sender_host", AT(sender_host), "pg_stat_wal_receiver", HEALTH_STANDBY },
    { "slot_name", AT(slot_name), "pg_stat_wal_receiver", HEALTH_STANDBY },
    { "walsender_state", AT(walsender.state), "pg_stat_replication", HEALTH_STANDBY },
    { "sync_state", AT(walsender.sync_state), "pg_stat_replication", HEALTH_STANDBY },
    { "walsender_address", AT(walsender.address), "pg_stat_replication", HEALTH_STANDBY },
};

static const char *const answers[] = { [HEALTH_NOT_ASKED] = "not asked",
                                       [HEALTH_ANSWERS] = "answers",
                                       [HEALTH_SLOW] = "slow",
                                       [HEALTH_REFUSED] = "refused",
                                       [HEALTH_UNREACHABLE] = "unreachable" };
static const char *const roles[] = {
    [HEALTH_ROLE_UNKNOWN] = "unknown", [HEALTH_PRIMARY] = "primary", [HEALTH_STANDBY] = "standby"
};
static const char *const three[] = { [HEALTH_UNKNOWN] = "unknown", [HEALTH_YES] = "yes", [HEALTH_NO] = "no" };
static const char *const views[] = {
    [HEALTH_VIEW_UNKNOWN] = "unknown", [HEALTH_VIEW_RECEIVES] = "receives", [HEALTH_VIEW_LOST] = "lost"
};

static json_t *time_json(int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];
    if (wall_ms == 0)
        return json_null();
    clock_format(wall_ms, text);
    return json_string(text);
}

/* A server's text may be UTF-8 that jansson refuses; then it is not shown. */
static json_t *text_json(const char *text)
{
    json_t *json = json_string(text);
    return json != NULL ? json : json_null();
}

static json_t *number_json(const struct health_number *number)
{
    return number->known ? json_integer(number->value) : json_null();
}

/* A node, and the primary, which tells what it sees of it. */
struct subject {
    const struct health_node *node, *primary;
    json_t *facts;
};

static void add_fact(const struct subject *subject, const char *name, json_t *value, const char *source)
{
    bool from_primary = subject->primary != NULL && strcmp(source, "pg_stat_replication") == 0;
    const struct health_node *node = from_primary ? subject->primary : subject->node;
    json_t *fact = json_object();
    json_object_set_new(fact, "fact", json_string(name));
    json_object_set_new(fact, "value", value);
    json_object_set_new(fact, "source", json_string(source));
    json_object_set_new(fact, "host", json_sprintf("%s:%u", node->node->address, node->node->port));
    json_object_set_new(fact, "at", time_json(node->asked_at_ms));
    json_array_append_new(subject->facts, fact);
}

/* The primary's view of a standby is known even if the standby does not answer. */
static bool is_asked(const struct subject *subject, enum health_role of, const char *source)
{
    bool from_primary = of == HEALTH_STANDBY && strcmp(source, "pg_stat_replication") == 0;
    if (from_primary)
        return subject->primary != NULL && subject->primary != subject->node;
    return of == HEALTH_ROLE_UNKNOWN || of == subject->node->role;
}

static void add_beat(const struct subject *subject)
{
    const struct health_node *node = subject->node;
    bool known = node->beat_known;
    const struct health_beat *beat = &node->beat;
    add_fact(subject, "heartbeat_sequence", known ? json_integer(beat->sequence) : json_null(), "beat");
    add_fact(subject, "heartbeat_age_ms", known ? json_integer(beat->age_ms) : json_null(), "beat");
    add_fact(subject, "heartbeat_at", known ? time_json(beat->at_ms) : json_null(), "beat");
    add_fact(subject, "heartbeat_fence", known ? json_integer(beat->fence) : json_null(), "beat");
    add_fact(subject, "heartbeat_writer", known ? text_json(beat->writer) : json_null(), "beat");
}

static json_t *slots_json(const struct health_node *node)
{
    json_t *list = json_array();
    for (size_t i = 0; i < node->slot_count; i++) {
        const struct health_slot *slot = &node->slots[i];
        json_t *json = json_object();
        json_object_set_new(json, "slot", text_json(slot->name));
        json_object_set_new(json, "active", json_boolean(slot->active));
        json_object_set_new(json, "wal_status", text_json(slot->wal_status));
        json_object_set_new(json, "retained_bytes", number_json(&slot->retained_bytes));
        json_object_set_new(json, "safe_bytes", number_json(&slot->safe_bytes));
        json_array_append_new(list, json);
    }
    return list;
}

static void add_role_facts(const struct subject *subject)
{
    const struct health_node *node = subject->node;
    if (node->role == HEALTH_PRIMARY) {
        add_fact(subject, "writable", json_string(three[node->writable]),
                 node->probed ? "probe" : "heartbeat");
        add_fact(subject, "confirmations_required", json_integer(node->sync_required), "primary");
        add_fact(subject, "slots", slots_json(node), "pg_replication_slots");
        add_fact(subject, "slots_left_out", json_integer((json_int_t)node->slots_left_out),
                 "pg_replication_slots");
    } else if (node->role == HEALTH_STANDBY) {
        add_fact(subject, "sees_primary", json_string(views[node->view]), "pg_stat_wal_receiver");
        bool visible = subject->primary != NULL && subject->primary->replication_visible;
        bool confirms = node->walsender.current && node->walsender.synchronous;
        add_fact(subject, "confirms", visible ? json_boolean(confirms) : json_null(), "pg_stat_replication");
    }
}

static void add_facts(const struct subject *subject)
{
    const char *base = (const char *)subject->node;
    add_role_facts(subject);
    for (size_t i = 0; i < COUNT(numbers); i++)
        if (is_asked(subject, numbers[i].role, numbers[i].source))
            add_fact(subject, numbers[i].name,
                     number_json((const struct health_number *)(base + numbers[i].offset)),
                     numbers[i].source);
    for (size_t i = 0; i < COUNT(texts); i++)
        if (is_asked(subject, texts[i].role, texts[i].source))
            add_fact(subject, texts[i].name, text_json(base + texts[i].offset), texts[i].source);
    add_beat(subject);
}

static json_t *node_json(const struct health_node *node, const struct health_node *primary)
{
    const struct subject subject = { node, primary, json_array() };
    json_t *json = json_object();
    add_facts(&subject);
    json_object_set_new(json, "node", json_string(node->node->name.ptr));
    json_object_set_new(json, "site", json_string(node->node->site_name.ptr));
    json_object_set_new(json, "role", json_string(roles[node->role]));
    json_object_set_new(json, "answer", json_string(answers[node->answer]));
    json_object_set_new(json, "why", node->why[0] == '\0' ? json_null() : text_json(node->why));
    json_object_set_new(json, "round_trip_us", json_integer(node->round_trip_us));
    json_object_set_new(json, "facts", subject.facts);
    return json;
}

json_t *health_json(const struct cell_health *health)
{
    json_t *json = json_object(), *nodes = json_array();
    enum cell_state state = health_observe(health);
    for (size_t i = 0; i < health->node_count; i++)
        json_array_append_new(nodes, node_json(&health->nodes[i], health_primary(health)));
    json_object_set_new(json, "cell",
                        json_sprintf("%s/%s", health->cell->region->name.ptr, health->cell->name.ptr));
    json_object_set_new(json, "state", json_string(cell_state_name(state)));
    json_object_set_new(json, "words", json_string(cell_state_words(state)));
    json_object_set_new(json, "on_standby_loss", json_string(health->cell->on_standby_loss));
    json_object_set_new(json, "asked_at", time_json(health->asked_at_ms));
    json_object_set_new(json, "nodes", nodes);
    return json;
}

json_t *health_questions_json(void)
{
    json_t *json = json_object();
    for (size_t i = 0; i < health_question_count; i++)
        json_object_set_new(json, health_questions[i].name, json_string(health_questions[i].sql));
    return json;
}
