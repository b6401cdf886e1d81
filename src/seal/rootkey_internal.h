#pragma once
/* What the files of the root key share; nobody else includes it. */
#include "seal/rootkey.h"

enum { ROOTKEY_INPUT_MAX = 128 };

/* `from` names the source in errors. */
result rootkey_decode(struct str given, const char *from, struct root_key *ret) MUST_USE;
