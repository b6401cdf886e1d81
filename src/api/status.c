/* How the gateway is: for load balancers, and for Prometheus. None of it names a customer, and none of it needs a
 * token. */
#include "api/call.h"
#include "base/buf.h"
#include "base/clock.h"

static const struct http_header plain_text = { { "content-type", 12 }, { "text/plain; charset=utf-8", 25 } };

result health_show(struct api_call *call)
{
    http_respond(call->request, 200, &plain_text, 1, STR("ok\n"));
    return OK;
}

/* ---- readiness ---- */

static json_t *check_json(const char *name, bool ok, const char *detail, int64_t since_ms)
{
    json_t *json = json_object();
    json_object_set_new(json, "name", json_string(name));
    json_object_set_new(json, "ok", json_boolean(ok));
    json_object_set_new(json, "detail", json_string(detail));
    if (since_ms != 0) {
        char since[CLOCK_TEXT_SIZE];
        clock_format(since_ms, since);
        json_object_set_new(json, "since", json_string(since));
    }
    return json;
}

/* A lost directory does not take the gateway out of service: it goes on for the customers it knows, and says so. */
result ready_show(struct api_call *call)
{
    const struct gateway *gateway = call->gateway;
    struct directory_health directory = directory_replica_health(gateway->replica);
    json_t *checks = json_array();
    json_array_append_new(
        checks,
        check_json("directory", directory.ok,
                   directory.ok ? "followed" : "lost: only customers that this gateway knows are served",
                   directory.since_ms));
    bool serving = !gateway->draining;
    for (size_t i = 0; i < gateway->store.cell_count; i++) {
        bool up = pg_pool_healthy(gateway->store.cells[i].pool);
        serving = serving && up;
        const char *name = arena_printf(&call->request->arena, "cell %s", gateway->store.cells[i].name);
        json_array_append_new(checks, check_json(name, up, up ? "connected" : "not connected", 0));
    }
    if (gateway->draining)
        json_array_append_new(checks, check_json("draining", false, "the gateway is stopping", 0));
    json_t *answer = json_object();
    json_object_set_new(answer, "status",
                        json_string(!serving       ? "unavailable"
                                    : directory.ok ? "ready"
                                                   : "degraded"));
    json_object_set_new(answer, "region", json_string(gateway->region));
    json_object_set_new(answer, "checks", checks);
    api_answer_json(call, serving ? 200 : 503, answer);
    return OK;
}

/* ---- metrics ---- */

result metrics_show(struct api_call *call)
{
    static const struct http_header type = { { "content-type", 12 },
                                             { "text/plain; version=0.0.4; charset=utf-8", 40 } };
    struct buf out;
    buf_init(&out, 1024 * 1024);
    gateway_metrics(&out, call->gateway);
    control_metrics(&out, call->control);
    http_respond(call->request, 200, &type, 1, buf_str(&out));
    buf_done(&out);
    return OK;
}
