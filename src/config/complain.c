#include "config/internal.h"

void config_errors_init(struct config_errors *errors)
{
    *errors = (struct config_errors){ 0 };
    arena_init(&errors->arena);
}

void config_errors_done(struct config_errors *errors)
{
    arena_done(&errors->arena);
}

void config_complain(struct loader *loader, const char *file, int line, const char *hint, const char *format,
                     ...)
{
    struct config_errors *errors = loader->errors;
    if (errors->count == CONFIG_ERRORS_MAX) {
        errors->dropped++;
        return;
    }
    va_list args;
    va_start(args, format);
    const char *what = arena_vprintf(&errors->arena, format, args);
    va_end(args);
    errors->items[errors->count++] = (struct config_error){
        .file = arena_cstr(&errors->arena, str_from(file)),
        .line = line,
        .what = what,
        .hint = hint,
    };
}
