/* `domicile cell watch` against a real server: what it prints, and how it ends. */
#include "watch_test.h"

#include "cli/cli_test.h"

#include <sys/stat.h>

static char config_dir[256];

static int cell_watch(const char *options)
{
    char line[400];
    snprintf(line, sizeof line, "--config %s cell watch eu-fr/eu-fr-1 %s", config_dir, options);
    return domicile(line);
}

static int since(const char *time)
{
    char *words[] = { "domicile",      "--config", config_dir, "cell",      "watch",
                      "eu-fr/eu-fr-1", "--json",   "--since",  (char *)time };
    return domicile_words(COUNT(words), words);
}

static void make_folder(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", config_dir, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

/* The configuration of the tests, as files, with eu1 alone. */
static void write_config(void)
{
    snprintf(config_dir, sizeof config_dir, "%s", server_path("config"));
    make_folder("");
    make_folder("regions");
    make_folder("policies");
    struct config_text *eu = shipped_file(&w.shipped, "regions/eu-fr.cfg");
    const char *eu2 = strstr(eu->text.ptr, ",{ name = \"eu2\"");
    assert_non_null(eu2);
    eu->text = str_from(arena_printf(&w.shipped.arena, "%.*s%s", (int)(eu2 - eu->text.ptr), eu->text.ptr,
                                     strchr(eu2, '}') + 1));
    for (size_t i = 0; i < w.shipped.count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", config_dir, w.shipped.texts[i].name);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(w.shipped.texts[i].text.ptr, 1, w.shipped.texts[i].text.len, file),
                         w.shipped.texts[i].text.len);
        fclose(file);
    }
}

static void prepare(void)
{
    watching_begin("");
    write_config();
    watching_end();
}

static void a_clean_cell(void **state)
{
    on_loop_do(prepare);
    assert_int_equal(cell_watch(""), 0);
    assert_string_equal(out, "eu-fr/eu-fr-1: no findings\n");
    assert_int_equal(cell_watch("--json"), 0);
    json_t *json;
    check_ok(json_parse(str_from(out), JSON_DEPTH_MAX, &json));
    json_t *cell = json_array_get(json_object_get(json, "cells"), 0);
    assert_string_equal(json_string_value(json_object_get(cell, "cell")), "eu-fr/eu-fr-1");
    assert_int_equal(json_array_size(json_object_get(cell, "findings")), 0);
    json_decref(json);
}

static void open_publication(void)
{
    server_run("CREATE PUBLICATION p FOR TABLE domicile.class_key");
}

static void close_publication(void)
{
    server_run("DROP PUBLICATION p");
}

static void findings_have_an_exit_status_of_their_own(void **state)
{
    on_loop_do(open_publication);
    assert_int_equal(cell_watch(""), error_exit_status(E_FINDING));
    assert_non_null(strstr(out, "critical  publication-keys"));
    assert_non_null(strstr(out, "Drop it at once"));
    assert_true(strstr(out, "critical") < strstr(out, "high "));
    assert_non_null(strstr(err, "2 findings are open"));
    assert_int_equal(cell_watch("--json"), error_exit_status(E_FINDING));
    json_t *json;
    check_ok(json_parse(str_from(out), JSON_DEPTH_MAX, &json));
    json_t *cell = json_array_get(json_object_get(json, "cells"), 0);
    json_t *finding = json_array_get(json_object_get(cell, "findings"), 0);
    static const char *const members[] = { "channel", "severity", "node", "subject", "evidence", "begin" };
    for (size_t i = 0; i < COUNT(members); i++)
        assert_true(json_is_string(json_object_get(finding, members[i])));
    assert_true(json_is_null(json_object_get(finding, "end")));
    assert_string_equal(json_string_value(json_object_get(finding, "channel")), "publication-keys");
    json_decref(json);
    on_loop_do(close_publication);
    assert_int_equal(cell_watch(""), 0);
}

/* A watch that records, as a gateway's does. */
static void open_and_close_recorded(void)
{
    watching_begin("");
    open_publication();
    ask_once();
    close_publication();
    ask_once();
    check_ok(watch_record(w.watch, w.monitor));
    watching_end();
}

static void hide_what_has_ended(void)
{
    server_run("REVOKE EXECUTE ON FUNCTION domicile.findings_ended FROM domicile_monitor");
}

static void show_what_has_ended(void)
{
    server_run("GRANT EXECUTE ON FUNCTION domicile.findings_ended TO domicile_monitor");
}

static void what_has_ended_is_told_on_request(void **state)
{
    json_t *json;
    on_loop_do(open_and_close_recorded);
    assert_int_equal(cell_watch("--json"), 0);
    assert_null(strstr(out, "\"ended\""));
    assert_int_equal(since("1h"), error_exit_status(E_FINDING));
    assert_non_null(strstr(err, "0 findings are open, and 2 have ended"));
    check_ok(json_parse(str_from(out), JSON_DEPTH_MAX, &json));
    json_t *cell = json_array_get(json_object_get(json, "cells"), 0);
    assert_int_equal(json_array_size(json_object_get(cell, "findings")), 0);
    assert_int_equal(json_array_size(json_object_get(cell, "ended")), 2);
    json_t *ended = json_array_get(json_object_get(cell, "ended"), 0);
    assert_string_equal(json_string_value(json_object_get(ended, "subject")), "p");
    assert_true(strcmp(json_string_value(json_object_get(ended, "begin")),
                       json_string_value(json_object_get(ended, "end"))) <= 0);
    assert_true(json_is_null(json_object_get(json_object_get(cell, "logs_from"), "eu1")));
    json_decref(json);

    assert_int_equal(cell_watch("--since 2026-01-01"), error_exit_status(E_FINDING));
    assert_non_null(strstr(out, "2 findings ended since 2026-01-01T00:00:00.000Z"));
    assert_non_null(strstr(out, "publication-keys"));
    assert_non_null(strstr(out, "eu1: its log was not read"));
    assert_int_equal(since("2100-01-01T00:00:00Z"), 0);
    on_loop_do(hide_what_has_ended);
    assert_int_equal(since("2100-01-01T00:00:00Z"), error_exit_status(E_FINDING));
    assert_non_null(strstr(out, "what has ended"));
    assert_non_null(strstr(out, "\"ended\": null"));
    on_loop_do(show_what_has_ended);
    static const char *const wrong[] = { "",     "h",       "1",         "1w",        "-1h",
                                         "1.5h", "100001d", "yesterday", "1960-01-01" };
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(since(wrong[i]), error_exit_status(E_ARGUMENT));
}

static void a_silent_node_is_a_finding(void **state)
{
    char path[512], text[65536];
    snprintf(path, sizeof path, "%s/regions/eu-fr.cfg", config_dir);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    char port[32], *at;
    snprintf(port, sizeof port, "port = %u", server_port());
    at = strstr(text, port);
    assert_non_null(at);
    memcpy(at, "port = 1    ", strlen(port));
    rewind(file);
    fwrite(text, 1, len, file);
    fclose(file);
    assert_int_equal(cell_watch(""), error_exit_status(E_FINDING));
    assert_non_null(strstr(out, "the node"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_cell),
        cmocka_unit_test(findings_have_an_exit_status_of_their_own),
        cmocka_unit_test(what_has_ended_is_told_on_request),
        cmocka_unit_test(a_silent_node_is_a_finding),
    };
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    domicile_done();
    return status;
}
