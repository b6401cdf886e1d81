/* What a gateway, or something that stands in its place, says when it refuses. */
#include "cli/gateway.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct cli cli;
    cli_init(&cli, stdout, stderr);
    result r = gateway_problem(&cli, size % 2 == 0 ? 421 : 503, (struct str){ (const char *)bytes, size });
    must(failed(r) && r.error.code > E_OK && r.error.code < E_COUNT);
    cli_done(&cli);
    return 0;
}
