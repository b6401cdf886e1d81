#include "base/result.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct error_row {
    const char *name, *slug, *title;
    int http, exit;
};

static const struct error_row rows[E_COUNT] = {
    [E_OK] = { "E_OK", "ok", "No error", 200, 0 },
#define X(code, slug, http, exit, title) [code] = { #code, slug, title, http, exit },
#include "base/error.def"
#undef X
};

result error_make(enum error_code code, const char *file, int line, const char *hint, const char *format, ...)
{
    result r = { .error = { .code = code, .line = line, .file = file, .hint = hint } };
    va_list args;
    va_start(args, format);
    text_vfit(r.error.what, sizeof r.error.what, format, args);
    va_end(args);
    return r;
}

void must_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "domicile: bug at %s:%d: %s does not hold\n", file, line, condition);
    abort();
}

static const struct error_row *row(enum error_code code)
{
    must(code >= 0 && code < E_COUNT);
    return &rows[code];
}

const char *error_name(enum error_code code)
{
    return row(code)->name;
}

const char *error_slug(enum error_code code)
{
    return row(code)->slug;
}

const char *error_title(enum error_code code)
{
    return row(code)->title;
}

int error_http_status(enum error_code code)
{
    return row(code)->http;
}

int error_exit_status(enum error_code code)
{
    return row(code)->exit;
}
