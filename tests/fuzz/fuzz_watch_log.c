/* A line of the server's log: whatever is read from it is within it. */
#include "watch/watch_log.h"

static void check_within(struct str part, struct str line)
{
    must(part.len == 0 || (part.ptr >= line.ptr && part.ptr + part.len <= line.ptr + line.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct str line = { (const char *)bytes, length };
    const struct watch_log_line parsed = watch_log_parse(line);
    check_within(parsed.user, line);
    check_within(parsed.host, line);
    check_within(parsed.application, line);
    check_within(parsed.command, line);
    must(parsed.kind <= WATCH_LOG_FORGED);
    must((parsed.kind == WATCH_LOG_COMMAND) || parsed.command.len == 0);
    return 0;
}
