/* domiciled: the gateway of one region. Reads the configuration, connects the parts, runs. */
#include "api/api.h"
#include "base/log.h"
#include "control/control.h"
#include "gateway/wire.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct invocation {
    const char *config_dir, *region;
    result outcome;
};

static void print_help(FILE *out)
{
    fputs("Usage: domiciled --config DIR --region REGION\n"
          "\n"
          "Serves the API of one region: see domiciled(8).\n"
          "\n"
          "  -c, --config DIR     the configuration: DIR/regions/*.cfg and DIR/policies/*.cfg\n"
          "  -r, --region REGION  the region to serve\n"
          "      --routes         print the API's methods and paths, and exit\n"
          "  -h, --help           print this help, and exit\n"
          "  -V, --version        print the version, and exit\n"
          "\n"
          "SIGHUP reads the configuration and the certificates again; SIGTERM finishes open requests and "
          "exits.\n",
          out);
}

static void print_routes(void)
{
#define X(method, pattern, function) printf("%s %s\n", http_method_name(method), pattern);
#include "api/routes.def"
#include "api/status_routes.def"
#undef X
}

/* No core file: memory has cleartext and keys. As many descriptors as allowed: each client needs one. */
static void limit_process(void)
{
    const struct rlimit no_core = { 0, 0 };
    must(setrlimit(RLIMIT_CORE, &no_core) == 0);
    must(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0)
            log_event(LOG_WARNING, "cannot raise the limit on open files, ignoring");
    }
    signal(SIGPIPE, SIG_IGN);
    umask(0027);
}

/* Its cells' files stay those of the configuration that the process started with. */
static result start_control(struct control *control, struct gateway_process *process)
{
    result r =
        control_start(control, process->first->config, process->gateway.region, process->gateway.directory);
    if (failed(r))
        gateway_stop(process);
    return r;
}

static void run(void *arg)
{
    static const int signals[] = { SIGHUP, SIGTERM, SIGINT };
    struct invocation *invocation = arg;
    static struct gateway_process process;
    static struct control control;
    static struct api api;
    struct signal_watch *watch;
    invocation->outcome = signal_watch_new(signals, COUNT(signals), &watch);
    if (failed(invocation->outcome))
        return;
    api_init(&api, &process.gateway, &control);
    const struct gateway_options options = { invocation->config_dir, invocation->region, api_serve,
                                             api_serve_status,       api_body_first,     &api };
    invocation->outcome = gateway_start(&process, &options);
    if (!failed(invocation->outcome))
        invocation->outcome = start_control(&control, &process);
    if (failed(invocation->outcome)) {
        signal_watch_free(watch);
        api_done(&api);
        return;
    }
    for (;;) {
        int caught;
        result r = signal_watch_wait(watch, &caught);
        must(!failed(r));
        if (caught != SIGHUP)
            break;
        r = gateway_reload(&process);
        if (failed(r))
            log_failure(LOG_ERROR, &r.error, "reload failed; the configuration in use is unchanged");
    }
    signal_watch_free(watch); /* so that a second SIGTERM does not wait */
    log_event(LOG_INFO, "stopping");
    gateway_drain(&process);
    control_stop(&control);
    gateway_stop(&process);
    api_done(&api);
    log_event(LOG_INFO, "stopped");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "region", required_argument, NULL, 'r' },
        { "routes", no_argument, NULL, 'R' },       { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },      { NULL, 0, NULL, 0 },
    };
    struct invocation invocation = { .outcome = OK };
    for (int option; (option = getopt_long(argc, argv, "c:r:hV", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            invocation.config_dir = optarg;
            break;
        case 'r':
            invocation.region = optarg;
            break;
        case 'R':
            print_routes();
            return EXIT_SUCCESS;
        case 'h':
            print_help(stdout);
            return EXIT_SUCCESS;
        case 'V':
            puts("domiciled " DOMICILE_VERSION);
            return EXIT_SUCCESS;
        default:
            print_help(stderr);
            return error_exit_status(E_ARGUMENT);
        }
    }
    if (invocation.config_dir == NULL || invocation.region == NULL || optind != argc) {
        print_help(stderr);
        return error_exit_status(E_ARGUMENT);
    }
    limit_process();
    result r = loop_run(run, &invocation);
    if (!failed(r))
        r = invocation.outcome;
    if (failed(r))
        log_failure(LOG_ERROR, &r.error, "cannot run the gateway of region \"%s\"", invocation.region);
    return failed(r) ? error_exit_status(r.error.code) : EXIT_SUCCESS;
}
