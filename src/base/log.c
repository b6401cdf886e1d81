#include "base/log.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdio.h>
#include <unistd.h>

static const char *const level_names[] = { "debug", "info", "warning", "error", "alarm" };
static enum log_level level_in_use = LOG_INFO;
static void (*sink_in_use)(void *context, enum log_level level, const char *line);
static void *sink_context;

void log_set_level(enum log_level level)
{
    level_in_use = level;
}

void log_set_sink(void (*sink)(void *context, enum log_level level, const char *line), void *context)
{
    sink_in_use = sink;
    sink_context = context;
}

/* A peer's bytes may stand in a line: nothing in it may end the line, or steer a terminal. */
static void make_printable(char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        struct text_unit unit = text_unit((struct str){ text, left });
        if (*text == '"')
            *text = '\'';
        else if (!unit.is_safe)
            memset(text, '?', unit.len);
        text += unit.len;
        left -= unit.len;
    }
}

static void write_line(enum log_level level, const char *words, const struct error *error)
{
    char line[2048], now[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_ms(), now);
    int length = snprintf(line, sizeof line, "time=%s level=%s msg=\"%s\"", now, level_names[level], words);
    if (error != NULL && length > 0 && (size_t)length < sizeof line) {
        char what[sizeof error->what];
        snprintf(what, sizeof what, "%s", error->what);
        make_printable(what);
        const char *file = error->file == NULL ? "?" : error->file;
        const char *src = strstr(file, "src/");
        snprintf(line + length, sizeof line - (size_t)length, " error=%s what=\"%s\"%s%s%s at=%s:%d",
                 error_slug(error->code), what, error->hint != NULL ? " hint=\"" : "",
                 error->hint != NULL ? error->hint : "", error->hint != NULL ? "\"" : "",
                 src != NULL ? src : file, error->line);
    }
    if (sink_in_use != NULL) {
        sink_in_use(sink_context, level, line);
        return;
    }
    size_t used = strlen(line);
    line[used < sizeof line - 1 ? used : sizeof line - 2] = '\n';
    used = used < sizeof line - 1 ? used + 1 : sizeof line - 1;
    if (write(STDERR_FILENO, line, used) < 0)
        return; /* there is nowhere left to say it */
}

static void log_words(enum log_level level, const struct error *error, const char *format, va_list args)
{
    if (level < level_in_use)
        return;
    char words[768];
    text_vfit(words, sizeof words, format, args);
    make_printable(words);
    write_line(level, words, error);
}

void log_event(enum log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_words(level, NULL, format, args);
    va_end(args);
}

void log_failure(enum log_level level, const struct error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_words(level, error, format, args);
    va_end(args);
}
