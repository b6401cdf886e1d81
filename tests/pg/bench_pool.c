/* The pool under load: CALLERS fibers that put or get records of 1 KiB for SECONDS. Prints statements a second and the
 * CPU of this process for each. usage: bench_pool put|get|mixed CALLERS SECONDS [CONNECTIONS]; environment: tests/pg/run */
#include "base/clock.h"
#include "pg/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { PUT, GET, KEYS = 100000, PAYLOAD_BYTES = 1024 + 64 };

static const struct pg_statement statements[] = {
    { "record_put",
      "SELECT * FROM domicile.record_put($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16)", false,
      false },
    { "record_get", "SELECT * FROM domicile.record_get($1,$2,$3,$4,$5)", true, false },
};

static struct {
    struct pg_pool *pool;
    const char *mode;
    size_t callers, connections;
    uint64_t until_ns, calls, failures;
    int64_t revision;
    char payload[PAYLOAD_BYTES];
} bench;

static void must_ok(result r)
{
    if (failed(r)) {
        fprintf(stderr, "%s: %s\n", error_name(r.error.code), r.error.what);
        exit(1);
    }
}

static result put(struct str key, uint64_t shard, struct pg_reply *reply)
{
    struct pg_value params[] = { pg_text(STR("eu-fr")),
                                 pg_int8(1),
                                 pg_text(STR("clinique-lumiere")),
                                 pg_text(STR("health")),
                                 pg_text(key),
                                 pg_int8(++bench.revision),
                                 pg_int4(1),
                                 pg_bytes((struct str){ bench.payload, PAYLOAD_BYTES }),
                                 pg_int8(0),
                                 pg_bool(false),
                                 pg_text(STR("c-abcdefghijk")),
                                 pg_text(STR("customer-app")),
                                 pg_text(STR("customer-app-own")),
                                 pg_text(STR("req-0123456789abcdef")),
                                 pg_null(),
                                 pg_null() };
    return pg_pool_call(bench.pool, PUT, shard, params, 16, reply);
}

static result get(struct str key, struct pg_reply *reply)
{
    struct pg_value params[] = { pg_text(STR("eu-fr")), pg_int8(1), pg_text(STR("clinique-lumiere")),
                                 pg_text(STR("health")), pg_text(key) };
    return pg_pool_call(bench.pool, GET, 0, params, 5, reply);
}

static void caller(void *arg)
{
    unsigned random = (unsigned)(size_t)arg;
    while (clock_monotonic_ns() < bench.until_ns) {
        unsigned number = (unsigned)rand_r(&random) % KEYS + 1;
        char key[32];
        struct str name = { key, (size_t)snprintf(key, sizeof key, "patient/%u", number) };
        bool is_put = bench.mode[0] == 'p' || (bench.mode[0] == 'm' && rand_r(&random) % 4 == 0);
        struct pg_reply reply = PG_REPLY_INIT;
        result r = is_put ? put(name, number * 2654435761U, &reply) : get(name, &reply);
        struct str outcome = failed(r) ? STR("") : pg_reply_str(&reply, 0, 0);
        bool good = str_is(outcome, "created") || str_is(outcome, "replaced") || str_is(outcome, "found");
        if (!good && bench.failures++ == 0)
            fprintf(stderr, "%s %.*s\n", failed(r) ? r.error.what : "", STR_ARG(outcome));
        bench.calls++;
        pg_reply_done(&reply);
    }
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void run(void *arg)
{
    uint64_t seconds = *(uint64_t *)arg;
    char path[3][256];
    const char *dir = getenv("PGT_DIR");
    snprintf(path[0], sizeof path[0], "%s/gateway.crt", dir);
    snprintf(path[1], sizeof path[1], "%s/gateway.key", dir);
    snprintf(path[2], sizeof path[2], "%s/ca.crt", dir);
    struct pg_pool_options options = { .connect = { .host = "cell.test",
                                                    .address = "127.0.0.1",
                                                    .port = (uint16_t)atoi(getenv("PGT_PORT")),
                                                    .database = "domicile",
                                                    .user = "domicile_gateway",
                                                    .certificate = path[0],
                                                    .private_key = path[1],
                                                    .ca = path[2] },
                                       .statements = statements,
                                       .statement_count = 2,
                                       .connections = bench.connections };
    must_ok(pg_pool_new(&options, &bench.pool));
    struct deadline deadline;
    deadline_begin(&deadline, SEC(5));
    while (!pg_pool_healthy(bench.pool))
        must_ok(fiber_sleep(5));
    deadline_end(&deadline);
    must_ok(fiber_sleep(200));

    bench.revision = clock_wall_ms() << 16;
    bench.until_ns = clock_monotonic_ns() + seconds * 1000000000;
    struct scope scope = SCOPE_INIT;
    double cpu = cpu_seconds();
    for (size_t i = 0; i < bench.callers; i++)
        must_ok(fiber_spawn(&scope, "caller", caller, (void *)(i + 1)));
    must_ok(scope_join(&scope));
    cpu = cpu_seconds() - cpu;
    struct pg_pool_stats stats = pg_pool_stats(bench.pool);
    printf("pool %s: %zu callers, %zu connections: %.0f/s, %.1f us of CPU a call, %.1f calls a batch, %llu "
           "failed, "
           "%llu batches undone\n",
           bench.mode, bench.callers, stats.connections, (double)bench.calls / (double)seconds,
           cpu * 1e6 / (double)bench.calls, (double)stats.statements / (double)stats.batches,
           (unsigned long long)bench.failures, (unsigned long long)stats.batches_undone);
    pg_pool_free(bench.pool);
}

int main(int argc, char **argv)
{
    if (argc < 4 || getenv("PGT_DIR") == NULL) {
        fprintf(stderr, "usage: tests/pg/run bench_pool put|get|mixed CALLERS SECONDS [CONNECTIONS]\n");
        return 2;
    }
    bench.mode = argv[1];
    bench.callers = (size_t)atoi(argv[2]);
    uint64_t seconds = (uint64_t)atoi(argv[3]);
    bench.connections = argc > 4 ? (size_t)atoi(argv[4]) : 0;
    must_ok(loop_run(run, &seconds));
    return bench.failures != 0;
}
