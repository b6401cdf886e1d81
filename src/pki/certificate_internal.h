#pragma once
/* Shared by the certificate files. */
#include <time.h>

time_t certificate_now(void);
