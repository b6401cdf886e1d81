/* The watch without a server: its table, its store of findings, and the log's pieces. */
#include "config/shipped.h"
#include "loop/on_loop.h"

#include "base/clock.h"
#include "hosts/conf.h"
#include "loop/fiber.h"
#include "watch/watch_internal.h"

#include <ctype.h>
#include <stdio.h>

/* ---- the table ---- */

static void every_channel_is_whole(void **state)
{
    assert_true(watch_channel_count > 40);
    for (size_t i = 0; i < watch_channel_count; i++) {
        const struct watch_channel *channel = &watch_channels[i];
        const char *const sentences[] = { channel->advice, channel->blinds };
        assert_true(str_is_id(str_from(channel->id)));
        assert_ptr_equal(watch_channel_named(str_from(channel->id)), channel);
        assert_true(strlen(channel->title) > 5 && strchr(channel->title, '|') == NULL);
        for (size_t s = 0; s < 2; s++) {
            size_t len = strlen(sentences[s]);
            if (len < 10 || sentences[s][len - 1] != '.' || !isupper((unsigned char)sentences[s][0]) ||
                strchr(sentences[s], '|') != NULL)
                fail_msg("\"%s\" of %s is no sentence", sentences[s], channel->id);
        }
        if (channel->query != NULL && strstr(watch_query_sql(channel->query), channel->id) == NULL &&
            strncmp(channel->id, "slot-", 5) != 0)
            fail_msg("the question \"%s\" does not name %s", channel->query, channel->id);
    }
    assert_null(watch_channel_named(STR("nonsense")));
    assert_null(watch_query_sql("none"));
}

static void every_question_says_what_it_asks(void **state)
{
    for (size_t i = 0; i < WATCH_QUERY_none; i++) {
        bool used = false;
        for (size_t c = 0; c < watch_channel_count; c++)
            used |= watch_channel_query(&watch_channels[c]) == (enum watch_query_id)i;
        assert_true(used);
        assert_memory_equal(watch_queries[i].sql, "-- ", 3);
    }
}

/* ---- a watch ---- */

static struct shipped shipped;
static struct config *config;
static struct cell_watch *watch;
static const struct node *node;

static void refresh(void *arg)
{
    check_ok(watch_known_refresh(&watch->known));
}

static int begin_watch(void **state)
{
    shipped_init(&shipped);
    shipped_change(&shipped, "regions/eu-fr.cfg", "pool = {",
                   "watch = { roles = [ \"auditor\" ]; clients = [ \"10.1.0.0/16\" ]; };\npool = {");
    shipped_change(&shipped, "regions/eu-fr.cfg", "superuser = {", "# superuser = {");
    shipped_change(&shipped, "regions/us.cfg", "country = \"US\"; },",
                   "country = \"US\"; networks = [ \"198.51.100.0/24\" ]; },");
    check_ok(shipped_load(&shipped, &config, NULL));
    const struct cell *cell = config_find_cell(config_find_region(config, STR("eu-fr")), STR("eu-fr-1"));
    watch = cell_watch_new(config, cell);
    node = cell->primary;
    on_loop(refresh, NULL);
    return 0;
}

static int end_watch(void **state)
{
    cell_watch_free(watch);
    config_free(config);
    shipped_done(&shipped);
    return 0;
}

static void another_region_is_known_by_its_addresses(void **state)
{
    assert_non_null(strstr(watch->known.json,
                           "\"abroad\":[\"127.20.1.1\",\"127.20.2.1\",\"127.20.0.1\",\"198.51.100.0/24\"]"));
    assert_non_null(strstr(watch->known.json, "\"home\":[\"127.10.1.1\",\"127.10.2.1\",\"127.10.0.1\",\"10.1."
                                              "0.0/16\",\"127.0.0.0/8\",\"127.0.0.0/8\"]"));
    assert_non_null(
        strstr(watch->known.json, "\"replication_home\":[\"127.10.1.1\",\"127.10.2.1\",\"127.0.0.0/8\"]"));
    assert_non_null(
        strstr(watch->known.json, "\"standby_slots\":[\"eu1\",\"domicile_eu1\",\"eu2\",\"domicile_eu2\"]"));
    assert_true(watch_known_home(&watch->known, STR("10.1.200.3")));
    assert_false(watch_known_home(&watch->known, STR("10.2.0.1")));
    assert_false(watch_known_home(&watch->known, STR("eu1")));
    assert_true(watch_known_role(&watch->known, STR("auditor"), false));
    assert_true(watch_known_role(&watch->known, STR("domicile_gateway"), false));
    assert_false(watch_known_role(&watch->known, STR("domicile_evil"), false));
    assert_false(watch_known_replication(&watch->known, STR("domicile_gateway")));
}

static void replication_comes_from_where_standbys_are(void **state)
{
    const struct str own = STR(CONF_REPLICATION);
    assert_true(watch_known_replication_home(&watch->known, own, STR("127.10.2.1")));
    assert_true(watch_known_replication_home(&watch->known, own, STR("127.0.0.1")));   /* standby_networks */
    assert_false(watch_known_replication_home(&watch->known, own, STR("127.20.1.1"))); /* abroad */
    assert_true(watch_known_home(&watch->known, STR("10.1.200.3")));
    assert_false(watch_known_replication_home(&watch->known, own, STR("10.1.200.3")));
    assert_true(watch_known_replication_home(&watch->known, STR("auditor"), STR("10.1.200.3")));
    assert_false(watch_known_replication_home(&watch->known, STR("auditor"), STR("10.2.0.1")));
}

/* ---- findings ---- */

static const struct watch_channel *channel(const char *id)
{
    return watch_channel_named(str_from(id));
}

static void a_finding_begins_once_and_ends_once(void **state)
{
    struct watch_findings *findings = &watch->findings;
    struct held_finding *held =
        watch_see(findings, channel("table"), STR("eu-fr-1"), STR("public.t"), STR("one"), 1000);
    assert_non_null(held);
    assert_ptr_equal(watch_see(findings, channel("table"), STR("eu-fr-1"), STR("public.t"), STR("two"), 2000),
                     held);
    assert_int_equal(watch_finding_count(watch), 1);
    assert_int_equal(held->finding.began_ms, 1000);
    assert_string_equal(held->finding.evidence, "two");
    assert_non_null(watch_see(findings, channel("table"), STR("eu-fr-2"), STR("public.t"), STR("x"), 2000));
    assert_non_null(watch_see(findings, channel("copy"), STR("eu-fr-1"), STR("public.t"), STR("x"), 2000));
    assert_int_equal(watch_finding_count(watch), 3);
    watch_gone(findings, &findings->items[0], 3000);
    assert_int_equal(watch_finding_count(watch), 2);
    assert_int_equal(watch_event_count(watch), 4);
    const struct watch_event *end = watch_event_at(watch, 3);
    assert_int_equal(end->kind, WATCH_END);
    assert_int_equal(end->at_ms, 3000);
    assert_int_equal(end->finding.began_ms, 1000);
    watch_events_forget(watch, 3);
    assert_int_equal(watch_event_count(watch), 1);
    assert_int_equal(watch_event_at(watch, 0)->kind, WATCH_END);
}

static void what_is_shown_is_harmless_and_short(void **state)
{
    char longer[WATCH_TEXT_MAX * 2];
    memset(longer, 'a', sizeof longer);
    memcpy(longer, "begin", 5);
    memcpy(longer + sizeof longer - 3, "end", 3);
    const struct held_finding *held = watch_see(&watch->findings, channel("role"), STR("eu1"),
                                                STR("a\033[2Jb\n"), (struct str){ longer, sizeof longer }, 1);
    assert_string_equal(held->finding.subject, "a?[2Jb?");
    assert_int_equal(strlen(held->finding.evidence), WATCH_TEXT_MAX);
    assert_memory_equal(held->finding.evidence, "beginaaa", 8);
    assert_non_null(strstr(held->finding.evidence, "a...a"));
    assert_string_equal(held->finding.evidence + WATCH_TEXT_MAX - 4, "aend");
    held = watch_see(&watch->findings, channel("role"), STR("eu1"), STR("\xff\xfe"), STR(""), 1);
    assert_string_equal(held->finding.subject, "??");
    assert_string_equal(held->finding.evidence, "?");
}

static struct held_finding *see_numbered(const char *of, const char *label, int i)
{
    char subject[32];
    snprintf(subject, sizeof subject, "public.t%d", i);
    return watch_see(&watch->findings, channel(of), str_from(label), str_from(subject), STR("x"), 1);
}

static void more_than_there_is_room_for_is_said(void **state)
{
    const int room = WATCH_FINDINGS_MAX - WATCH_FINDINGS_RESERVED;
    for (int i = 0; i <= room; i++)
        assert_int_equal(see_numbered("table", "eu-fr-1", i) == NULL, i == room);
    assert_true(watch->findings.overflow);
    for (int i = 0; i < WATCH_EVENTS_MAX; i++)
        watch_note_severed(&watch->findings, &watch->findings.items[0].finding, true, 1);
    assert_int_equal(watch_event_count(watch), WATCH_EVENTS_MAX);
    assert_int_equal(watch->findings.events_dropped, room);
}

static void small_findings_leave_room_for_large_ones(void **state)
{
    struct watch_findings *findings = &watch->findings;
    for (int i = 0; i < WATCH_FINDINGS_MAX; i++)
        see_numbered("table", "eu-fr-1", i);
    assert_non_null(see_numbered("replication-abroad", "eu1", 0));
    for (int i = 0; i < WATCH_FINDINGS_MAX; i++)
        see_numbered("copy", "eu-fr-1", i);
    assert_null(see_numbered("copy", "eu-fr-1", WATCH_FINDINGS_MAX));
    assert_non_null(see_numbered("blind", "eu1", 0));
    for (int i = 0; i < WATCH_FINDINGS_MAX; i++)
        see_numbered("blind", "eu1", i);
    assert_null(see_numbered("blind", "eu1", WATCH_FINDINGS_MAX));
    for (int i = 0; i < 16; i++) { /* of as many nodes as a cell may have */
        char label[32];
        snprintf(label, sizeof label, "eu%d", i);
        assert_non_null(
            watch_see(findings, channel("blind"), str_from(label), STR(WATCH_OVERFLOW), STR("x"), 1));
    }
    assert_int_equal(findings->count, WATCH_FINDINGS_MAX);
}

static void a_node_that_is_silent_says_too_that_there_is_no_room(void **state)
{
    struct error why = FAIL(E_UNAVAILABLE, NULL, "nobody answers").error;
    for (int i = 0; i < WATCH_FINDINGS_MAX; i++)
        see_numbered("log-connection", "eu1", i);
    watch_miss(watch, node, &why);
    const struct watch_finding *last = watch_finding_at(watch, watch_finding_count(watch) - 1);
    assert_string_equal(last->channel->id, "blind");
    assert_string_equal(last->subject, WATCH_OVERFLOW);
    assert_false(watch->findings.overflow);
}

static void what_cannot_be_severed_is_told_once(void **state)
{
    struct watch_findings *findings = &watch->findings;
    struct held_finding *held = see_numbered("replication-abroad", "eu1", 0);
    const struct watch_finding same = held->finding;
    watch_note_severed(findings, &same, false, 1);
    watch_note_severed(findings, &same, false, 2);
    assert_int_equal(watch_event_count(watch), 2);
    assert_int_equal(watch_event_at(watch, 1)->kind, WATCH_NOT_SEVERED);
    watch_note_severed(findings, &same, true, 3);
    assert_int_equal(watch_event_at(watch, 2)->kind, WATCH_SEVERED);
    watch_gone(findings, held, 4);
    held = see_numbered("replication-abroad", "eu1", 0); /* another one */
    watch_note_severed(findings, &held->finding, false, 5);
    assert_int_equal(watch_event_at(watch, watch_event_count(watch) - 1)->kind, WATCH_NOT_SEVERED);
}

/* ---- the log ---- */

#define LOGGED(user, database, host, severity, message)                                                      \
    "{\"timestamp\":\"2026-11-25 20:16:00.123 UTC\",\"user\":\"" user "\",\"dbname\":\"" database            \
    "\",\"pid\":123,\"remote_host\":\"" host "\",\"ps\":\"authentication\",\"error_severity\":\"" severity   \
    "\",\"message\":\"" message "\",\"backend_type\":\"client backend\"}\n"
#define SESSION(user, host, rest)                                                                            \
    LOGGED(user, "domicile", host, "LOG", "connection authorized: user=" user " database=domicile" rest)
#define REPLICATION(user, host, rest)                                                                        \
    LOGGED(user, "domicile", host, "LOG", "replication connection authorized: user=" user rest)
#define COMMAND(user, host, command)                                                                         \
    LOGGED(user, "domicile", host, "LOG", "received replication command: " command)
#define TLS " SSL enabled (protocol=TLSv1.3, cipher=TLS_AES_256_GCM_SHA384, bits=256)"

static void feed(const char *file, uint64_t offset, const char *text)
{
    watch_log_feed(watch, node, &(struct watch_log_piece){ str_from(file), offset, str_from(text) });
}

static const struct watch_finding *only_finding(void)
{
    if (watch_finding_count(watch) != 1)
        fail_msg("there are %zu findings", watch_finding_count(watch));
    return watch_finding_at(watch, 0);
}

static const char declared[] = SESSION("auditor", "10.1.0.7", " application_name=psql" TLS)
    REPLICATION("domicile_replication", "127.10.1.1", " application_name=eu1" TLS) COMMAND(
        "domicile_replication", "127.10.1.1", "START_REPLICATION SLOT \\\"eu1\\\" 0/3000000 TIMELINE 1")
        SESSION("domicile_gateway", "[local]",
                "") "{\"timestamp\":\"2026-11-25 20:16:00.123 "
                    "UTC\",\"pid\":99,\"error_severity\":\"LOG\",\"message\":"
                    "\"checkpoint starting: time\",\"backend_type\":\"checkpointer\"}\n\n";

static const char intruder[] = SESSION("x", "10.9.9.9", TLS);

static void what_is_declared_is_no_finding(void **state)
{
    feed("1:1", 0, declared);
    assert_int_equal(watch_finding_count(watch), 0);
}

static void undeclared_lines_are_findings(void **state)
{
    static const struct {
        const char *line, *channel, *subject, *evidence;
    } lines[] = {
        { SESSION("x", "10.1.0.7", " application_name=a b" TLS), "log-connection", "x from 10.1.0.7",
          "its role is not declared (application \"a b\")" },
        { SESSION("auditor", "10.2.0.7", TLS), "log-connection", "auditor from 10.2.0.7",
          "its address is not declared (application \"\")" },
        { SESSION("auditor", "10.1.0.7", " application_name=SSL enabled"), "log-connection",
          "auditor from 10.1.0.7", "it does not use TLS (application \"SSL enabled\")" },
        { REPLICATION("domicile_gateway", "10.1.0.7", " application_name=eu1" TLS), "log-connection",
          "replication by domicile_gateway from 10.1.0.7", "its role may not replicate" },
        { REPLICATION("domicile_replication", "127.10.1.1", " application_name=pg_receivewal" TLS),
          "log-connection", "replication by domicile_replication from 127.10.1.1",
          "it is not a declared standby (application \"pg_receivewal\")" },
        { REPLICATION("domicile_replication", "10.1.0.7", " application_name=eu1" TLS), "log-connection",
          "replication by domicile_replication from 10.1.0.7", "its address belongs to no standby" },
        { COMMAND("domicile_replication", "10.1.0.7", "BASE_BACKUP"), "log-replication",
          "BASE_BACKUP by domicile_replication from 10.1.0.7", "received" },
        { COMMAND("domicile_replication", "127.20.1.1", "BASE_BACKUP ( LABEL 'x')"), "log-replication",
          "BASE_BACKUP by domicile_replication from 127.20.1.1", "received replication command" },
        { COMMAND("domicile_replication", "127.20.1.1", "ANYTHING_AT_ALL"), "log-replication",
          "another command by domicile_replication from 127.20.1.1", "received replication command" },
        /* a role whose name is not UTF-8, or like the words behind it */
        { SESSION("r\xf4le", "10.1.0.7", TLS), "log-connection", "r?le from 10.1.0.7", "not declared" },
        { SESSION("x database=y SSL enabled (", "10.1.0.7", TLS), "log-connection",
          "x database=y SSL enabled ( from 10.1.0.7", "its role is not declared" },
    };
    uint64_t offset = 0;
    for (size_t i = 0; i < COUNT(lines); i++) {
        size_t len = strlen(lines[i].line);
        char cut[1024];
        snprintf(cut, sizeof cut, "%.*s", (int)len - 1, lines[i].line);
        feed("1:1", offset, cut);
        feed("1:1", offset += len - 1, "\n");
        offset++;
        const struct watch_finding *finding = only_finding();
        assert_string_equal(finding->channel->id, lines[i].channel);
        assert_string_equal(finding->subject, lines[i].subject);
        assert_non_null(strstr(finding->evidence, lines[i].evidence));
        assert_int_equal(finding->began_ms, 1795637760123);
        watch_gone(&watch->findings, &watch->findings.items[0], 1);
    }
}

/* The names of a failed connect are whatever a stranger sends; PostgreSQL escapes them, but for bytes above 0x7f. */
#define FORGED                                                                                               \
    "x\\n2026-11-25 20:16:00.123 UTC [1] evil@domicile from 203.0.113.9 LOG:  connection authorized: "       \
    "user=evil database=domicile\\n{\\\"error_severity\\\":\\\"LOG\\\",\\\"user\\\":\\\"evil\\\"}\\n\xff"

static void p6_a_stranger_writes_no_evidence(void **state)
{
    static const char text[] = LOGGED(FORGED, FORGED, "203.0.113.9", "FATAL",
                                      "no pg_hba.conf entry for host \\\"203.0.113.9\\\", user \\\"" FORGED
                                      "\\\", database \\\"" FORGED "\\\", no encryption")
        LOGGED("connection authorized: user=x", "connection authorized: user=x", "203.0.113.9", "FATAL",
               "connection authorized: user=x") "{\"timestamp\":\"2026-11-25 20:16:00.123 "
                                                "UTC\",\"user\":\"domicile_gateway\",\"dbname\":\"domicile\","
                                                "\"remote_host\":\"127.10.0.1\",\"error_severity\":\"LOG\","
                                                "\"message\":\"connection authorized: "
                                                "user=evil database=domicile\",\"context\":\"PL/pgSQL "
                                                "function inline_code_block line 1 at "
                                                "RAISE\"}\n";
    feed("1:1", 0, text);
    assert_int_equal(watch_finding_count(watch), 0);
    feed("1:1", strlen(text), intruder);
    assert_string_equal(only_finding()->subject, "x from 10.9.9.9");
}

/* What a log of text has can be forged by anybody at the port. */
static void lines_of_text_count_for_nothing_and_are_told(void **state)
{
    static const char text[] =
        "2026-11-25 20:16:00.123 UTC [123] x@domicile from 10.9.9.9 LOG:  connection authorized: user=x "
        "database=domicile SSL enabled (p)\n[1]\n\"x\"\n{}\n";
    feed("1:1", 0, text);
    assert_string_equal(only_finding()->channel->id, "blind");
    assert_string_equal(only_finding()->subject, WATCH_LOG_TEXT);
    assert_non_null(strstr(only_finding()->evidence, "4 lines"));
    feed("1:1", strlen(text), intruder);
    assert_int_equal(watch_finding_count(watch), 2);
}

static void feed_next(const char *text)
{
    struct str file;
    uint64_t offset = 0;
    watch_log_position(watch, node, &file, &offset);
    feed("1:1", offset, text);
}

static void feed_session(const char *role)
{
    char line[1024];
    snprintf(line, sizeof line,
             "{\"timestamp\":\"2026-11-25 20:16:00.123 UTC\",\"user\":\"%s\",\"dbname\":\"domicile\","
             "\"remote_host\":\"10.9.9.9\",\"error_severity\":\"LOG\",\"message\":\"connection authorized: "
             "user=%s database=domicile application_name=%d" TLS "\"}\n",
             role, role, rand());
    feed_next(line);
}

static void forget_all(void)
{
    while (watch_finding_count(watch) > 0)
        watch_gone(&watch->findings, &watch->findings.items[0], 1);
    watch_events_forget(watch, watch_event_count(watch));
}

/* Of a source that stays there is one finding, with a count; one that comes and goes cannot fill the cell. */
static void p8_who_has_a_key_cannot_fill_the_cell(void **state)
{
    size_t events = 0;
    for (int i = 0; i < 100; i++)
        feed_session("visitor");
    assert_int_equal(watch_event_count(watch), 1);
    assert_non_null(strstr(only_finding()->evidence, "100 lines"));
    forget_all();
    for (int i = 0; i < 10000; i++) {
        char role[32];
        snprintf(role, sizeof role, "visitor%d", i % 700);
        feed_session(role);
        for (size_t f = watch_finding_count(watch); f-- > 0;)
            if (strcmp(watch_finding_at(watch, f)->subject, WATCH_LOG_MORE) != 0)
                watch_gone(&watch->findings, &watch->findings.items[f], 1);
        events += watch_event_count(watch);
        watch_events_forget(watch, watch_event_count(watch));
    }
    assert_int_equal(events, 2 * (WATCH_LOG_BEGINS_A_DAY - 1) + 1);
    assert_string_equal(only_finding()->subject, WATCH_LOG_MORE);
    assert_non_null(strstr(only_finding()->evidence, "lines today; the last: visitor"));
    forget_all();
    watch_log_note(watch, watch_node_of(watch, node));
    assert_string_equal(only_finding()->subject, WATCH_LOG_MORE); /* all day long */
    watch_node_of(watch, node)->log.day_began_s = 0;
    forget_all();
    feed_session("visitor");
    assert_string_equal(only_finding()->subject, "visitor from 10.9.9.9");
}

static void p8_one_source_leaves_room_for_another(void **state)
{
    for (int i = 0; i < 1000; i++) {
        feed_session("visitor");
        forget_all();
    }
    feed_session("another");
    assert_string_equal(only_finding()->subject, "another from 10.9.9.9");
}

/* A command is as long as its sender likes, who is told all the same. */
static void who_sends_a_long_command_is_told(void **state)
{
    static char line[32 * 1024];
    static const char head[] =
        "{\"timestamp\":\"2026-11-25 20:16:00.123 UTC\",\"user\":\"spy\",\"remote_host\":\"203.0.113.1\","
        "\"error_severity\":\"LOG\",\"message\":\"received replication command: ";
    memset(line, 'C', sizeof line);
    memcpy(line, head, sizeof head - 1);
    memcpy(line + sizeof line - 4, "\"}\n", 4);
    feed("1:1", 0, line);
    assert_string_equal(only_finding()->subject, "another command by spy from 203.0.113.1");
}

static size_t begins(void)
{
    size_t count = 0;
    for (size_t i = 0; i < watch_event_count(watch); i++)
        count += watch_event_at(watch, i)->kind == WATCH_BEGIN;
    return count;
}

static void nothing_is_seen_twice_or_missed(void **state)
{
    char text[sizeof intruder * 2];
    struct str file;
    uint64_t offset;
    snprintf(text, sizeof text, "%s", intruder);
    size_t len = strlen(text);
    for (size_t cut = 0; cut <= len; cut++) { /* in two pieces, the second beginning before the first ends */
        char name[32];
        watch_node_of(watch, node)->log.day_began_s = 0; /* a day for each */
        snprintf(name, sizeof name, "1:%zu", cut);
        watch_log_feed(watch, node, &(struct watch_log_piece){ str_from(name), 0, { text, cut } });
        watch_log_feed(
            watch, node,
            &(struct watch_log_piece){ str_from(name), cut / 2, { text + cut / 2, len - cut / 2 } });
        watch_log_feed(watch, node, &(struct watch_log_piece){ str_from(name), 0, { text, len } });
        watch_log_position(watch, node, &file, &offset);
        assert_string_equal(file.ptr, name);
        assert_int_equal(offset, len);
        assert_string_equal(only_finding()->channel->id, "log-connection");
        assert_int_equal(begins(), cut + 1);
        watch_gone(&watch->findings, &watch->findings.items[0], 1);
    }
}

static void a_file_that_was_rotated_away_ends_its_last_line(void **state)
{
    char cut[sizeof intruder];
    snprintf(cut, sizeof cut, "%.*s", (int)strlen(intruder) - 1, intruder);
    feed("1:1", 0, cut);
    assert_int_equal(watch_finding_count(watch), 0);
    feed("1:2", 0, "");
    assert_string_equal(only_finding()->channel->id, "log-connection");
}

static void a_gap_is_a_finding(void **state)
{
    feed("1:1", 0, declared);
    feed("1:1", strlen(declared) + 100, "rest of a line\n");
    assert_string_equal(only_finding()->channel->id, "blind");
    assert_non_null(strstr(only_finding()->evidence, "100 bytes"));
    feed("1:2", 50, "rest of a line\n"); /* the next file, and not from its beginning */
    assert_non_null(strstr(only_finding()->evidence, "50 bytes"));
}

static void a_log_that_was_cut_begins_again(void **state)
{
    struct str file;
    uint64_t offset;
    feed("1:1", 0, declared);
    feed("1:1", strlen(declared), intruder);
    watch_gone(&watch->findings, &watch->findings.items[0], 1);
    watch_log_cut(watch, node);
    assert_string_equal(only_finding()->channel->id, "blind");
    assert_non_null(strstr(only_finding()->evidence, "was truncated"));
    watch_log_position(watch, node, &file, &offset);
    assert_string_equal(file.ptr, "1:1");
    assert_int_equal(offset, 0);
    feed("1:1", 0, intruder);
    assert_int_equal(watch_finding_count(watch), 2);
}

static void a_log_that_is_read_from_its_middle_begins_there(void **state)
{
    feed("1:1", 5000, "rest of a line\n");
    feed("1:1", 5015, intruder);
    assert_string_equal(only_finding()->channel->id, "log-connection");
}

static void a_line_that_is_too_long_is_a_finding(void **state)
{
    char filler[1000];
    uint64_t offset = strlen(intruder) - 3;
    memset(filler, 'x', sizeof filler);
    watch_log_feed(watch, node, &(struct watch_log_piece){ STR("1:1"), 0, { intruder, offset } });
    for (int i = 0; i < 80; i++, offset += sizeof filler)
        watch_log_feed(watch, node,
                       &(struct watch_log_piece){ STR("1:1"), offset, { filler, sizeof filler } });
    assert_string_equal(only_finding()->channel->id, "log-connection");
    assert_string_equal(only_finding()->subject, "a line that is too long");
    assert_non_null(strstr(only_finding()->evidence, "10.9.9.9"));
    assert_int_equal(begins(), 1);
    feed("1:1", offset, "\"}\n");
    feed("1:1", offset + 3, declared);
    assert_int_equal(begins(), 1);
}

/* What a second writer stores is lost when one of the two is stopped. */
static void p5_findings_are_recorded_in_one_writer(void **state)
{
    struct watch_node *primary = watch_node_of(watch, node), *other = NULL;
    for (size_t i = 0; i < watch->node_count; i++)
        other = &watch->nodes[i] != primary ? &watch->nodes[i] : other;
    primary->answered = primary->writable = other->answered = other->writable = true;
    assert_true(watch_records_at(watch, primary) && !watch_records_at(watch, other));
    primary->answered = false;
    assert_true(watch_records_at(watch, other));
    primary->answered = true;
    primary->writable = false;
    assert_true(!watch_records_at(watch, primary) && watch_records_at(watch, other));
    other->writable = false;
    assert_false(watch_records_at(watch, other));
}

int main(void)
{
#define WITH_WATCH(test) cmocka_unit_test_setup_teardown(test, begin_watch, end_watch)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_channel_is_whole),
        cmocka_unit_test(every_question_says_what_it_asks),
        WITH_WATCH(another_region_is_known_by_its_addresses),
        WITH_WATCH(replication_comes_from_where_standbys_are),
        WITH_WATCH(a_finding_begins_once_and_ends_once),
        WITH_WATCH(what_is_shown_is_harmless_and_short),
        WITH_WATCH(more_than_there_is_room_for_is_said),
        WITH_WATCH(small_findings_leave_room_for_large_ones),
        WITH_WATCH(a_node_that_is_silent_says_too_that_there_is_no_room),
        WITH_WATCH(what_cannot_be_severed_is_told_once),
        WITH_WATCH(what_is_declared_is_no_finding),
        WITH_WATCH(undeclared_lines_are_findings),
        WITH_WATCH(p6_a_stranger_writes_no_evidence),
        WITH_WATCH(lines_of_text_count_for_nothing_and_are_told),
        WITH_WATCH(p8_who_has_a_key_cannot_fill_the_cell),
        WITH_WATCH(p8_one_source_leaves_room_for_another),
        WITH_WATCH(who_sends_a_long_command_is_told),
        WITH_WATCH(nothing_is_seen_twice_or_missed),
        WITH_WATCH(a_file_that_was_rotated_away_ends_its_last_line),
        WITH_WATCH(a_gap_is_a_finding),
        WITH_WATCH(a_log_that_was_cut_begins_again),
        WITH_WATCH(a_log_that_is_read_from_its_middle_begins_there),
        WITH_WATCH(a_line_that_is_too_long_is_a_finding),
        WITH_WATCH(p5_findings_are_recorded_in_one_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
