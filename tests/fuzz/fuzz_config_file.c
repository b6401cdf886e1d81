/* One configuration file from memory, beside others that are right. The first byte says which it is: 'r' regions/us.cfg,
 * 't' domicile.cfg, else a policy. What is refused is refused with words; what is taken equals itself. */
#include "config/config.h"

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
    "services_version = 1; blocs = ( { name = \"US\"; countries = [ \"US\" ]; } );\n"
    "classes = ( { name = \"health\"; description = \"x\"; sealed = true; audit_reads = true; } );\n"
    "rules = ( { name = \"all\"; allow = [ \"any\" ]; classes = [ \"health\" ]; reason = \"x\"; } );\n";

static void check_refusal(const struct config_errors *errors)
{
    must(errors->count > 0);
    for (size_t i = 0; i < errors->count; i++)
        must(errors->items[i].file != NULL && errors->items[i].what[0] != '\0');
}

static void check_config(struct config *config)
{
    struct arena arena;
    struct config_changes changes;
    arena_init(&arena);
    config_compare(config, config, &arena, &changes);
    must(changes.count == 0);
    arena_done(&arena);
    config_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct config_errors errors;
    if (size == 0)
        return 0;
    const struct str text = { (const char *)bytes + 1, size - 1 };
    const struct config_text texts[] = {
        { bytes[0] == 't' ? "domicile.cfg" : "policies/more.cfg",
          bytes[0] == 'r' ? (struct str){ 0 } : text },
        { "policies/policy.cfg", bytes[0] == 'p' ? (struct str){ 0 } : str_from(policy) },
        { "regions/us.cfg", bytes[0] == 'r' ? text : str_from(region) },
    };
    struct config *config = NULL;
    config_errors_init(&errors);
    if (failed(config_load_texts("/etc/domicile", texts, COUNT(texts), &config, &errors)))
        check_refusal(&errors);
    else
        check_config(config);
    config_errors_done(&errors);
    return 0;
}
