/* What a gateway, or something that stands in its place, says when it refuses. */
#include "client/gateway_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena arena;
    struct gateway_refusal refusal = { 0 };
    arena_init(&arena);
    result r = gateway_refused(&refusal, &arena, size % 2 == 0 ? 421 : 503,
                               (struct str){ (const char *)bytes, size });
    must(failed(r) && r.error.code > E_OK && r.error.code < E_COUNT);
    gateway_refusal_done(&refusal);
    arena_done(&arena);
    return 0;
}
