#pragma once
/* The facts of one round as JSON, for the command line and for reports. Each fact has its value (null: not asked for, or not
 * answered), the question that gave it, the host that answered, and when. */
#include "base/json.h"
#include "health/health_ask.h"

/* The caller owns it. */
json_t *health_json(const struct cell_health *health);
json_t *health_questions_json(void); /* the questions by name, as SQL */
