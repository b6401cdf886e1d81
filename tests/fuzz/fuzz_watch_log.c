/* A line of the server's structured log: whatever is read from it is whole, and nothing is read from what has another form. */
#include "watch/watch_log.h"

static void check_text(struct str part)
{
    must(part.len == 0 || (part.ptr != NULL && memchr(part.ptr, '\0', part.len) == NULL));
    must(str_is_utf8(part));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct watch_log_line line;
    if (!watch_log_parse((struct str){ (const char *)bytes, length }, &line))
        return 0;
    check_text(line.user);
    check_text(line.host);
    check_text(line.application);
    check_text(line.command);
    must(line.kind <= WATCH_LOG_COMMAND);
    must(line.kind == WATCH_LOG_OTHER || line.user.len > 0);
    must((line.kind == WATCH_LOG_COMMAND) == (line.command.len > 0));
    must(!line.tls || line.kind == WATCH_LOG_CONNECTION || line.kind == WATCH_LOG_REPLICATION);
    watch_log_line_done(&line);
    return 0;
}
