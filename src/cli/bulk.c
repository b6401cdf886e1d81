/* record import, record export: a class as lines of JSON. */
#include "cli/cli.h"

#include <errno.h>
#include <string.h>

enum { ANSWER_LINE_MAX = 64 * 1024, PROGRESS_EVERY = 500 };

/* ---- import ---- */

struct import {
    struct cli *cli;
    struct buf rest; /* of the answer, after its last newline */
    size_t stored, refused;
    json_t *failures; /* with --json */
    bool broken_off;  /* the gateway stopped: its last line says why */
};

static void note_refusal(struct import *import, const json_t *answer)
{
    const char *key = json_string_value(json_object_get(answer, "key"));
    const json_t *error = json_object_get(answer, "error");
    const char *detail = json_string_value(json_object_get(error, "detail"));
    size_t line = import->stored + import->refused;
    if (import->failures != NULL) {
        json_array_append_new(import->failures, json_pack("{s:I,s:s?,s:O?}", "line", (json_int_t)line, "key",
                                                          key, "error", error));
        return;
    }
    cli_progress_end(import->cli);
    fprintf(import->cli->err, "line %zu%s%s%s: %s\n", line, key ? " (\"" : "",
            key ? cli_safe(import->cli, key) : "", key ? "\")" : "",
            detail ? cli_safe(import->cli, detail) : "refused");
}

/* A line of the answer for each line that was sent, in their order. */
static void take_line(struct import *import, struct str text)
{
    json_t *answer = NULL;
    if (failed(json_parse(text, JSON_DEPTH_MAX, &answer))) {
        import->broken_off = true;
        return;
    }
    long long status = json_integer_value(json_object_get(answer, "status"));
    bool stored = status >= 200 && status < 300;
    import->stored += stored;
    import->refused += !stored;
    if (!stored)
        note_refusal(import, answer);
    if ((import->stored + import->refused) % PROGRESS_EVERY == 0)
        cli_progress(import->cli, "%zu records", import->stored);
    json_decref(answer);
}

static bool take_answer(void *context, struct str bytes)
{
    struct import *import = context;
    if (!buf_append(&import->rest, bytes))
        return false;
    size_t taken = 0;
    const char *newline;
    while ((newline = memchr(import->rest.ptr + taken, '\n', import->rest.len - taken)) != NULL) {
        size_t len = (size_t)(newline - import->rest.ptr) - taken;
        take_line(import, (struct str){ import->rest.ptr + taken, len });
        taken += len + 1;
    }
    buf_consume(&import->rest, taken);
    return true;
}

static void print_imported(struct import *import)
{
    struct cli *cli = import->cli;
    cli_progress_end(cli);
    if (import->failures == NULL) {
        fprintf(cli->out, "%zu records stored, %zu refused\n", import->stored, import->refused);
        return;
    }
    cli_print_json(cli, json_pack("{s:I,s:I,s:O}", "stored", (json_int_t)import->stored, "refused",
                                  (json_int_t)import->refused, "failures", import->failures));
}

static result import_from(struct import *import, FILE *file)
{
    struct cli *cli = import->cli;
    struct gateway_session *session = NULL;
    struct gateway_answer answer;
    TRY(cli_gateway(cli, &session));
    const struct gateway_ask ask = { .method = "POST",
                                     .path = gateway_path(&cli->arena, cli->arguments[0], "records",
                                                          cli->arguments[1], NULL),
                                     .type = "application/x-ndjson",
                                     .accept = "application/x-ndjson",
                                     .upload = file,
                                     .take = take_answer,
                                     .context = import };
    result r = gateway_ask(session, &ask, &answer);
    if (!failed(r))
        gateway_answer_done(&answer);
    if (!failed(r) && import->rest.len > 0)
        import->broken_off = true;
    gateway_session_free(session);
    return r;
}

static result judge(const struct import *import)
{
    if (import->broken_off)
        return FAIL(E_UNAVAILABLE, "Import again from there: a record may be stored twice without harm.",
                    "the gateway's answer ended early, after %zu lines", import->stored + import->refused);
    if (import->refused > 0)
        return FAIL(E_BODY, "Correct those lines and import them again.", "%zu of %zu lines were refused",
                    import->refused, import->stored + import->refused);
    return OK;
}

result cli_record_import(struct cli *cli)
{
    const char *path = cli->arguments[2];
    bool from_file = path != NULL && strcmp(path, "-") != 0;
    FILE *file = from_file ? fopen(path, "re") : stdin;
    if (file == NULL)
        return FAIL(E_IO, "Check the file's name and permissions.", "\"%s\" cannot be read: %s", path,
                    strerror(errno));
    struct import import = { .cli = cli, .failures = cli_has(cli, OPT_JSON) ? json_array() : NULL };
    buf_init(&import.rest, ANSWER_LINE_MAX);
    result r = import_from(&import, file);
    if (!failed(r) || import.stored + import.refused > 0)
        print_imported(&import);
    if (!failed(r))
        r = judge(&import);
    json_decref(import.failures);
    buf_done(&import.rest);
    if (from_file)
        fclose(file);
    return r;
}

/* ---- export ---- */

struct export
{
    struct cli *cli;
    size_t records, bytes;
    bool line_open;
};

static const char list_begin[] = "{\"records\": [\n";

/* Lines to elements of a list: a comma before each line but the first. */
static bool write_elements(const struct export *export, struct str bytes)
{
    FILE *out = export->cli->out;
    bool at_start = !export->line_open, first = export->bytes == 0;
    bool ok = !first || bytes.len == 0 || fputs(list_begin, out) >= 0;
    for (size_t i = 0; i < bytes.len && ok; i++) {
        if (at_start && !first)
            ok = fputs(",\n", out) >= 0;
        at_start = bytes.ptr[i] == '\n';
        first = false;
        if (!at_start)
            ok = putc(bytes.ptr[i], out) != EOF && ok;
    }
    return ok;
}

static bool write_records(const struct export *export, struct str bytes)
{
    if (cli_has(export->cli, OPT_JSON))
        return write_elements(export, bytes);
    return cli_write_bytes(export->cli, bytes);
}

static bool take_records(void *context, struct str bytes)
{
    struct export *export = context;
    bool written = write_records(export, bytes);
    size_t before = export->records / PROGRESS_EVERY;
    for (const char *at = bytes.ptr, *end = at + bytes.len;
         (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        export->records++;
    export->bytes += bytes.len;
    export->line_open = bytes.len > 0 && bytes.ptr[bytes.len - 1] != '\n';
    if (export->records / PROGRESS_EVERY != before)
        cli_progress(export->cli, "%zu records", export->records);
    return written;
}

static result export_with(struct cli *cli, struct gateway_session *session, struct export *export)
{
    const char *query =
        cli_has(cli, OPT_PREFIX)
            ? arena_printf(&cli->arena, "prefix=%s", gateway_escape(&cli->arena, cli->values[OPT_PREFIX]))
            : NULL;
    const struct gateway_ask ask = { .method = "GET",
                                     .path = gateway_path(&cli->arena, cli->arguments[0], "records",
                                                          cli->arguments[1], NULL),
                                     .query = query,
                                     .accept = "application/x-ndjson",
                                     .take = take_records,
                                     .context = export };
    struct gateway_answer answer;
    TRY(gateway_ask(session, &ask, &answer));
    gateway_answer_done(&answer);
    if (export->line_open)
        return FAIL(E_UNAVAILABLE, "Export again: the last line is incomplete.", "the export ended early");
    return OK;
}

result cli_record_export(struct cli *cli)
{
    struct gateway_session *session = NULL;
    struct export export = { .cli = cli };
    TRY(cli_gateway(cli, &session));
    result r = export_with(cli, session, &export);
    gateway_session_free(session);
    cli_progress_end(cli);
    if (cli_has(cli, OPT_JSON) && !failed(r)) /* an incomplete export is not a document */
        fprintf(cli->out, "%s\n]}\n", export.bytes == 0 ? list_begin : "");
    if (!failed(r) && cli->progress)
        fprintf(cli->err, "%zu records, %zu bytes\n", export.records, export.bytes);
    return r;
}
