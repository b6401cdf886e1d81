#pragma once
#include "policy/policy.h"

/* Why a rule does not speak to a question: the first thing in it that does not match. */
enum policy_misfit { MISFIT_NONE, MISFIT_ACTION, MISFIT_ROLE, MISFIT_CLASS, MISFIT_HOME, MISFIT_PLACE };

/* The question has no unknown member. */
enum policy_misfit policy_rule_misfit(const struct policy_rule *rule, const struct policy_question *question);
