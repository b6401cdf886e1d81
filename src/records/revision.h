#pragma once
/* Revisions of records: a hybrid logical clock (Kulkarni et al., 2014, "Logical Physical Clocks"). A revision is known
 * before the record is sealed, since the seal is bound to it, and only grows: wall-clock milliseconds in the upper 47
 * bits, a counter in the next 6, and in the lowest 10 a number that each process draws, so that two gateways do not
 * give the same revision to two contents. A cell refuses a revision that is not greater than the stored one and says
 * which is stored; revision_observe then moves this clock past it. A wall clock that jumps back costs nothing but its
 * meaning. */
#include "base/str.h"

#include <stdint.h>

enum { REVISION_PROCESS_BITS = 10 };

struct revision_clock {
    int64_t last;
    uint16_t process; /* of REVISION_PROCESS_BITS */
};

void revision_clock_init(struct revision_clock *clock); /* draws the process's number */

int64_t revision_next(struct revision_clock *clock); /* greater than all before it and all observed; > 0 */
void revision_observe(struct revision_clock *clock, int64_t seen);

/* A strong entity tag (RFC 9110 8.8.3): the revision as 16 hexadecimal digits in quotes. */
enum { REVISION_ETAG_SIZE = 19 }; /* NUL included */
void revision_format_etag(int64_t revision, char etag[REVISION_ETAG_SIZE]);
bool revision_parse_etag(struct str etag, int64_t *ret); /* exactly that form; a weak tag (W/) is none */
