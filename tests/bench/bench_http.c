/* A server that echoes, to be measured from outside: bench_http PORT [cleartext]. GET answers 1 KiB; PUT answers what it
 * was sent; GET /stream streams 64 MiB. On SIGINT or SIGTERM it stops and prints its CPU time over the requests it served,
 * and its resident memory at that moment; on SIGUSR1 it prints and goes on.
 *   wrk -t1 -c64 -d5 https://127.0.0.1:8443/        h2load -n200000 -c8 -m16 https://127.0.0.1:8443/ */
#include "base/clock.h"
#include "http/certificate.h"
#include "http/problem.h"
#include "http/server.h"
#include "loop/fiber.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static char kilobyte[1024];

static void stream(struct http_request *request)
{
    static char block[64 * 1024];
    http_stream_begin(request, 200, NULL, 0);
    for (int i = 0; i < 1024; i++)
        if (failed(http_stream_write(request, (struct str){ block, sizeof block })))
            return;
    http_stream_end(request);
}

static void on_request(struct http_request *request, void *context)
{
    const struct http_header type = { STR("Content-Type"), STR("application/octet-stream") };
    struct str body = { kilobyte, sizeof kilobyte };
    (void)context;
    if (str_eq(request->path, STR("/stream"))) {
        stream(request);
        return;
    }
    if (request->body_length != 0) {
        result r = http_body_read_all(request, 16 * 1024 * 1024, &body);
        if (failed(r)) {
            http_problem(request, &r.error, NULL);
            return;
        }
    }
    http_respond(request, 200, &type, 1, body);
}

static long resident_kib(void)
{
    long pages = 0, ignored;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &ignored, &pages) != 2)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* Since the last call. */
static void print_figures(struct http_server *running)
{
    static double user_before, system_before;
    static uint64_t requests_before;
    const struct http_stats *stats = http_server_stats(running);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double user = seconds(usage.ru_utime), system = seconds(usage.ru_stime);
    uint64_t requests = stats->requests[0][2] + stats->requests[1][2], served = requests - requests_before;
    double per = served == 0 ? 0 : 1e6 / (double)served;
    printf("requests %llu  cpu per request %.2f us (user %.2f, system %.2f)  connections %zu  resident %ld "
           "KiB\n",
           (unsigned long long)served, (user - user_before + system - system_before) * per,
           (user - user_before) * per, (system - system_before) * per, stats->connections, resident_kib());
    fflush(stdout);
    user_before = user;
    system_before = system;
    requests_before = requests;
}

static struct http_server_options options;
static struct http_server *server;

static void serve(void *arg)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGUSR1 };
    result r = http_server_new(&server, &options);
    (void)arg;
    if (failed(r)) {
        fprintf(stderr, "%s\n", r.error.what);
        return;
    }
    struct signal_watch *watch = NULL;
    int caught = 0;
    r = signal_watch_new(signals, 3, &watch);
    while (!failed(r) && !failed(signal_watch_wait(watch, &caught)) && caught == SIGUSR1)
        print_figures(server);
    print_figures(server);
    signal_watch_free(watch);
    http_server_free(server);
}

int main(int argc, char **argv)
{
    char certificate[] = "/tmp/bench-cert-XXXXXX", key[] = "/tmp/bench-key-XXXXXX";
    if (argc < 2 || mkstemp(certificate) < 0 || mkstemp(key) < 0)
        return 2;
    make_certificate(certificate, key, "localhost", -60, 3600);
    options = (struct http_server_options){
        .listeners = { { "127.0.0.1", (uint16_t)atoi(argv[1]), argc > 2 } },
        .listener_count = 1,
        .reuse_port = true,
        .certificate_file = certificate,
        .key_file = key,
        .limits = { .requests_per_connection = 100 * 1000 * 1000 },
        .on_request = on_request,
    };
    result r = loop_run(serve, NULL);
    unlink(certificate);
    unlink(key);
    return failed(r);
}
