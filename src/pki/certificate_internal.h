#pragma once
/* What the files of certificates share. */
#include <time.h>

time_t certificate_now(void);
