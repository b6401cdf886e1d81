#pragma once
/* Within cell/: what the files of certificates share. */
#include <stdbool.h>
#include <time.h>

time_t certificate_now(void);
bool certificate_is_numeric(const char *address);
