#pragma once
/* The process's log: one line an event on standard error, logfmt (key=value), with the time, the level and the message
 * first. It is for operators; no record, key, secret, token or request header is ever written to it. Only the caller
 * that decides about an error logs it, once. */
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_ALARM };

/* An alarm is a line that someone must read: a record that does not open, a cell of another region. */
void log_event(enum log_level level, const char *format, ...) PRINTF(2, 3);
void log_failure(enum log_level level, const struct error *error, const char *format, ...) PRINTF(3, 4);

void log_set_level(enum log_level level); /* LOG_INFO at start */
/* Tests catch lines; NULL restores standard error. line has no newline. */
void log_set_sink(void (*sink)(void *context, enum log_level level, const char *line), void *context);
