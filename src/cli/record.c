/* record put, get, list, delete: one record, or the keys of a class. */
#include "base/encode.h"
#include "cli/cli.h"

#include <string.h>

static const char *record_path(struct cli *cli)
{
    return gateway_path(&cli->arena, cli->arguments[0], "records", cli->arguments[1],
                        cli->argument_count > 2 ? cli->arguments[2] : NULL, NULL);
}

static result ask_once(struct cli *cli, const struct gateway_ask *ask, struct gateway_answer *ret)
{
    struct gateway_session *session = NULL;
    TRY(cli_gateway(cli, &session));
    result r = gateway_ask(session, ask, ret);
    gateway_session_free(session);
    return r;
}

result cli_record_put(struct cli *cli)
{
    struct gateway_ask ask = { .method = "PUT",
                               .path = record_path(cli),
                               .type = cli_has(cli, OPT_TYPE) ? cli->values[OPT_TYPE]
                                                              : "application/octet-stream",
                               .if_match = cli->values[OPT_IF_MATCH],
                               .if_none_match = cli_has(cli, OPT_IF_NONE_MATCH) ? "*" : NULL };
    struct gateway_answer answer;
    TRY(cli_read_file(cli, cli->arguments[3], CONFIG_BODY_BYTES_MAX, &ask.body));
    TRY(ask_once(cli, &ask, &answer));
    bool created = answer.status == 201;
    if (cli_has(cli, OPT_JSON))
        cli_print_json(cli, json_pack("{s:s,s:b}", "etag", answer.etag, "created", created));
    else
        fprintf(cli->out, "%s %s\n", created ? "created" : "replaced", cli_safe(cli, answer.etag));
    gateway_answer_done(&answer);
    return OK;
}

static bool write_out(void *context, struct str bytes)
{
    return cli_write_bytes(context, bytes);
}

/* Bytes, whatever they are: their content type says how to read them. */
static result get_json(struct cli *cli)
{
    const struct gateway_ask ask = { .method = "GET", .path = record_path(cli), .accept = "*/*" };
    struct gateway_answer answer;
    TRY(ask_once(cli, &ask, &answer));
    struct str value = encode_base64(&cli->arena, buf_str(&answer.body));
    cli_print_json(cli, json_pack("{s:s,s:s,s:s,s:s%}", "key", cli->arguments[2], "etag", answer.etag,
                                  "content_type", answer.type, "value_base64", value.ptr, value.len));
    gateway_answer_done(&answer);
    return OK;
}

result cli_record_get(struct cli *cli)
{
    if (cli_has(cli, OPT_JSON))
        return get_json(cli);
    const struct gateway_ask ask = {
        .method = "GET", .path = record_path(cli), .accept = "*/*", .take = write_out, .context = cli
    };
    struct gateway_answer answer;
    TRY(ask_once(cli, &ask, &answer));
    gateway_answer_done(&answer);
    return OK;
}

result cli_record_delete(struct cli *cli)
{
    const struct gateway_ask ask = { .method = "DELETE",
                                     .path = record_path(cli),
                                     .if_match = cli->values[OPT_IF_MATCH] };
    struct gateway_answer answer;
    TRY(ask_once(cli, &ask, &answer));
    gateway_answer_done(&answer);
    if (cli_has(cli, OPT_JSON))
        cli_print_json(cli, json_pack("{s:b}", "deleted", 1));
    else
        fputs("deleted\n", cli->out);
    return OK;
}

/* ---- list ---- */

static void print_page(struct cli *cli, const json_t *records)
{
    size_t i;
    json_t *record;
    json_array_foreach(records, i, record)
    {
        const char *key = json_string_value(json_object_get(record, "key"));
        const char *etag = json_string_value(json_object_get(record, "etag"));
        const char *written = json_string_value(json_object_get(record, "written_at"));
        long long bytes = json_integer_value(json_object_get(record, "stored_bytes"));
        fprintf(cli->out, "%s  %s  %9lld  %s\n", written ? cli_safe(cli, written) : "-",
                etag ? cli_safe(cli, etag) : "-", bytes, key ? cli_safe(cli, key) : "-");
    }
}

static const char *page_query(struct cli *cli, const char *after)
{
    const char *query = "limit=1000";
    if (cli_has(cli, OPT_PREFIX))
        query = arena_printf(&cli->arena, "%s&prefix=%s", query,
                             gateway_escape(&cli->arena, cli->values[OPT_PREFIX]));
    if (after != NULL)
        query = arena_printf(&cli->arena, "%s&after=%s", query, gateway_escape(&cli->arena, after));
    return query;
}

/* `all` keeps the records for one document; NULL: they are printed as they come. */
static result list_pages(struct cli *cli, struct gateway_session *session, json_t *all)
{
    const char *after = NULL;
    do {
        const struct gateway_ask ask = { .method = "GET",
                                         .path = record_path(cli),
                                         .query = page_query(cli, after) };
        json_t *page = NULL;
        TRY(gateway_ask_json(session, &ask, &page));
        json_t *records = json_object_get(page, "records");
        const char *next = json_string_value(json_object_get(page, "next"));
        after = next == NULL ? NULL : arena_cstr(&cli->arena, str_from(next));
        if (all == NULL)
            print_page(cli, records);
        else if (records != NULL)
            json_array_extend(all, records);
        json_decref(page);
    } while (after != NULL && !ferror(cli->out));
    return OK;
}

result cli_record_list(struct cli *cli)
{
    struct gateway_session *session = NULL;
    json_t *all = cli_has(cli, OPT_JSON) ? json_array() : NULL;
    result r = cli_gateway(cli, &session);
    if (!failed(r))
        r = list_pages(cli, session, all);
    if (!failed(r) && all != NULL)
        cli_print_json(cli, json_pack("{s:O}", "records", all));
    json_decref(all);
    gateway_session_free(session);
    return r;
}
