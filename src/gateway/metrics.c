/* What Prometheus reads of a gateway: text format 0.0.4. None of it names a customer. */
#include "base/buf.h"
#include "gateway/gateway.h"
#include "loop/loop.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void family_of_type(struct buf *out, const char *name, const char *type, const char *help)
{
    must(buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type));
}

static void family(struct buf *out, const char *name, bool counter, const char *help)
{
    family_of_type(out, name, counter ? "counter" : "gauge", help);
}

static void metric(struct buf *out, const char *name, bool counter, const char *help, double value)
{
    family(out, name, counter, help);
    must(buf_printf(out, "%s %.17g\n", name, value));
}

static void duration_metrics(struct buf *out, const struct http_stats *stats)
{
    static const uint32_t bounds_us[HTTP_DURATION_BOUNDS] = HTTP_DURATION_BOUNDS_US;
    static const char name[] = "domicile_http_request_duration_seconds";
    uint64_t count = 0;
    family_of_type(out, name, "histogram", "Time from the head of a request to the start of its answer.");
    for (size_t i = 0; i < HTTP_DURATION_BOUNDS; i++) {
        count += stats->durations[i];
        must(buf_printf(out, "%s_bucket{le=\"%g\"} %llu\n", name, bounds_us[i] / 1e6,
                        (unsigned long long)count));
    }
    count += stats->durations[HTTP_DURATION_BOUNDS];
    must(buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.17g\n%s_count %llu\n", name,
                    (unsigned long long)count, name, (double)stats->durations_us / 1e6, name,
                    (unsigned long long)count));
}

static void http_metrics(struct buf *out, const struct http_stats *stats)
{
    static const char *const protocols[] = { "1.1", "2" };
    family(out, "domicile_http_requests_total", true, "Requests answered, by protocol and class of status.");
    for (size_t protocol = 0; protocol < 2; protocol++)
        for (size_t class = 1; class < 6; class ++)
            must(buf_printf(out, "domicile_http_requests_total{protocol=\"%s\",status=\"%zuxx\"} %llu\n",
                            protocols[protocol], class,
                            (unsigned long long)stats->requests[protocol][class]));
    duration_metrics(out, stats);
    metric(out, "domicile_http_connections", false, "Open connections.", (double)stats->connections);
    metric(out, "domicile_http_requests_in_flight", false, "Requests being served.",
           (double)stats->requests_in_flight);
    metric(out, "domicile_http_connections_accepted_total", true, "Connections accepted.",
           (double)stats->connections_accepted);
    metric(out, "domicile_http_connections_refused_total", true, "Connections over the limit.",
           (double)stats->connections_refused);
    metric(out, "domicile_http_connections_evicted_total", true,
           "Connections without a request, closed to make room for others.",
           (double)stats->connections_evicted);
    metric(out, "domicile_http_requests_evicted_total", true,
           "Requests that waited for their client, ended to make room for others.",
           (double)stats->requests_evicted);
    metric(out, "domicile_http_requests_refused_total", true, "Requests refused over a limit.",
           (double)stats->requests_refused);
    metric(out, "domicile_http_held_bytes", false, "Bytes of bodies and answers held for clients.",
           (double)stats->held_bytes);
    metric(out, "domicile_tls_handshakes_failed_total", true, "TLS handshakes that failed.",
           (double)stats->handshakes_failed);
    metric(out, "domicile_http_heads_refused_total", true, "Request heads refused.",
           (double)stats->heads_refused);
    metric(out, "domicile_http_floods_cut_total", true,
           "Connections closed for a flood of frames or TLS records.", (double)stats->floods_cut);
    metric(out, "domicile_http_answers_broken_off_total", true,
           "Answers that the peer did not receive completely.", (double)stats->answers_broken_off);
    metric(out, "domicile_http_received_bytes_total", true, "Bytes received on the wire.",
           (double)stats->bytes_received);
    metric(out, "domicile_http_sent_bytes_total", true, "Bytes sent on the wire.", (double)stats->bytes_sent);
}

static void request_metrics(struct buf *out, const struct gateway *gateway)
{
    const struct gateway_counters *counters = &gateway->counters;
    metric(out, "domicile_tokens_issued_total", true, "Access tokens issued.",
           (double)counters->tokens_issued);
    metric(out, "domicile_clients_refused_total", true, "Client credentials refused.",
           (double)counters->clients_refused);
    metric(out, "domicile_tokens_refused_total", true, "Access tokens refused.",
           (double)counters->tokens_refused);
    metric(out, "domicile_streams_broken_off_total", true,
           "Exports and bulk requests that ended before their end, by our side.",
           (double)counters->streams_broken_off);
    metric(out, "domicile_policy_denials_total", true, "Requests that the policy refused.",
           (double)counters->policy_denials);
    metric(out, "domicile_wrong_region_total", true, "Requests of customers of another region.",
           (double)counters->wrong_region);
    metric(out, "domicile_customers_unknown_total", true, "Requests for customers that are not known.",
           (double)counters->customers_unknown);
    metric(out, "domicile_alarms_total", true, "Records and keys that could not be opened.",
           (double)counters->alarms);
    struct trace_stats trace = trace_stats(gateway->trace);
    metric(out, "domicile_trace_rows_total", true,
           "Refusals, tokens and alarms with an audit row of their own.", (double)trace.rows);
    metric(out, "domicile_trace_summed_total", true,
           "Refusals, tokens and alarms that were counted in a sum of their minute.", (double)trace.summed);
    metric(out, "domicile_trace_dropped_total", true,
           "Refusals, tokens and alarms whose audit row was lost: their cell was away.",
           (double)trace.dropped);
    metric(out, "domicile_trace_rows_queued", false, "Audit rows that wait for their cell.",
           (double)trace.queued);
    metric(out, "domicile_class_keys", false, "Class keys held in clear in locked memory.",
           (double)keyring_count(gateway->store.keyring));
    struct directory_health directory = directory_replica_health(gateway->replica);
    metric(out, "domicile_directory_up", false, "1 while the gateway follows the directory.", directory.ok);
    metric(out, "domicile_directory_customers", false, "Customers known to this gateway.",
           (double)directory.customers);
}

static void cell_metrics(struct buf *out, const struct record_store *store)
{
    static const struct {
        const char *name, *help;
        bool counter;
    } families[] = {
        { "domicile_cell_connections_up", "Connections to the cell's primary.", false },
        { "domicile_cell_calls_queued", "Calls that wait to be sent.", false },
        { "domicile_cell_calls_in_flight", "Calls that wait for an answer.", false },
        { "domicile_cell_statements_total", "Statements sent.", true },
        { "domicile_cell_batches_total", "Batches sent, each with one commit.", true },
        { "domicile_cell_batches_undone_total", "Batches undone because one statement failed.", true },
        { "domicile_cell_connections_lost_total", "Connections lost.", true },
        { "domicile_cell_calls_refused_total", "Calls refused because the queue was full.", true },
        { "domicile_cell_calls_late_total", "Calls that passed their deadline.", true },
        { "domicile_cell_answers_unfit_total", "Answers that a function of the schema cannot give.", true },
    };
    for (size_t i = 0; i < COUNT(families); i++) {
        family(out, families[i].name, families[i].counter, families[i].help);
        for (size_t j = 0; j < store->cell_count; j++) {
            struct pg_pool_stats stats = pg_pool_stats(store->cells[j].pool);
            const uint64_t values[] = { stats.connections_up, stats.queued,  stats.in_flight,
                                        stats.statements,     stats.batches, stats.batches_undone,
                                        stats.losses,         stats.busy,    stats.late,
                                        stats.unfit };
            must(buf_printf(out, "%s{cell=\"%s\"} %llu\n", families[i].name, store->cells[j].name,
                            (unsigned long long)values[i]));
        }
    }
}

/* How many descriptors are open, and how much memory is resident; 0 where /proc does not tell. */
static size_t open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    size_t count = 0;
    if (directory == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count - 1; /* the one that reads */
}

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long total = 0, resident = 0;
    bool known = file != NULL && fscanf(file, "%llu %llu", &total, &resident) == 2;
    if (file != NULL)
        fclose(file);
    return known ? (size_t)resident * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/* The names that every Prometheus client library has for a process. */
static void process_metrics(struct buf *out, const struct gateway *gateway)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    metric(out, "process_cpu_seconds_total", true, "User and system CPU time.", cpu);
    metric(out, "process_start_time_seconds", false, "When the process started, since the Unix epoch.",
           (double)gateway->started_ms / 1e3);
    metric(out, "process_resident_memory_bytes", false, "Resident memory.", (double)resident_bytes());
    metric(out, "process_open_fds", false, "Open descriptors.", (double)open_descriptors());
    struct loop_stats loop = loop_stats();
    metric(out, "domicile_fibers", false, "Fibers alive.", (double)loop.fibers_alive);
    metric(out, "domicile_fiber_stacks", false, "Stacks mapped.", (double)loop.stacks_mapped);
    family(out, "domicile_build_info", false, "The version that runs.");
    must(buf_printf(out, "domicile_build_info{version=\"%s\",region=\"%s\"} 1\n", DOMICILE_VERSION,
                    gateway->region));
}

void gateway_metrics(struct buf *out, const struct gateway *gateway)
{
    http_metrics(out, http_server_stats(gateway->server));
    request_metrics(out, gateway);
    cell_metrics(out, &gateway->store);
    process_metrics(out, gateway);
}
