/* Expectations from memory, over a small policy: every line is passed, failed or empty. Each line's words are explained
 * as well, since they come from a command line. */
#include "policy/policy.h"

static const char region[] =
    "name = \"us\"; title = \"x\"; jurisdiction = { country = \"US\"; bloc = \"US\"; };\n"
    "endpoint = \"https://us.example.com\"; listen = ( { address = \"127.0.0.1\"; port = 8080; tls = false; "
    "} );\n"
    "token = { public_key = \"t.pub\"; private_key = \"t.key\"; }; root_key = { file = \"root\"; };\n"
    "sites = ( { name = \"iad1\"; country = \"US\"; } );\n"
    "cells = ( { name = \"us-1\"; primary = \"us1\"; ca = \"ca\"; gateway = { certificate = \"c\"; "
    "private_key = \"k\"; };\n"
    "  admin = { certificate = \"c\"; private_key = \"k\"; };\n"
    "  nodes = ( { name = \"us1\"; site = \"iad1\"; address = \"db\"; } ); } );\n";
static const char policy[] =
    "services_version = 1; blocs = ( { name = \"US\"; countries = [ \"US\", \"PR\" ]; } );\n"
    "classes = ( { name = \"health\"; description = \"x\"; sealed = true; audit_reads = true; } );\n"
    "rules = ( { name = \"home\"; allow = [ \"any\" ]; classes = [ \"health\" ]; places = [ \"home\" ]; "
    "reason = \"x\"; },\n"
    "          { name = \"staff\"; deny = [ \"read\" ]; roles = [ \"sysadmin\" ]; reason = \"x\"; } );\n";

static struct config *load(void)
{
    const struct config_text texts[] = { { "policies/policy.cfg", str_from(policy) },
                                         { "regions/us.cfg", str_from(region) } };
    struct config *config = NULL;
    must(!failed(config_load_texts("/etc/domicile", texts, COUNT(texts), &config, NULL)));
    return config;
}

static void explain(const struct config *config, struct str line, struct arena *arena)
{
    struct str words[5] = { 0 };
    for (size_t i = 0; i < 5 && str_cut(&line, ' ', &words[i]); i++)
        continue;
    const struct policy_words asked = { words[0], words[1], words[2], words[3], words[4] };
    must(policy_explain(config, &asked, arena).len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct config *config;
    static struct policy_test_report report;
    if (config == NULL)
        config = load();
    const struct str text = { (const char *)bytes, size };
    struct str rest = text, line;
    struct arena arena;
    size_t lines = 0;
    arena_init(&arena);
    policy_test_run(config, "fuzz.test", text, &arena, &report);
    for (; str_cut(&rest, '\n', &line); lines++)
        explain(config, line, &arena);
    must(report.passed + report.failed <= lines);
    arena_done(&arena);
    return 0;
}
