#pragma once
/* The facts of a look as JSON, for the command line and for reports: every fact with its value, or null if it was not asked
 * for or not answered, the question that told it, the host that answered, and when. */
#include "base/json.h"
#include "health/health_ask.h"

/* The caller owns it. */
json_t *health_json(const struct cell_health *health);
json_t *health_questions_json(void); /* the questions by name, as SQL */
