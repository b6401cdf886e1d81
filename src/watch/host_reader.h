#pragma once
/* What only a host tells, over SSH: what its server has logged, for the watch, and how full the disk is below the data
 * directory, for the monitor. It only looks. One session a node, kept between rounds, and made anew when it was lost. */
#include "health/health.h"
#include "hosts/host_log.h"
#include "watch/watch.h"

struct host_reader;
/* The cell and the log of its commands outlive it. Does not wait. */
result host_reader_new(const struct cell *cell, struct host_log *log, struct host_reader **ret) MUST_USE;
void host_reader_free(struct host_reader *reader); /* takes NULL; closes the sessions */

/* Feeds the watch with what each server has logged since the last round, and asks for the disks; after a watch_round. The
 * first time it begins HOST_READER_FIRST_BYTES before the log's end, or what host_reader_reach says. One round reads at
 * most HOST_READER_ROUND_BYTES of a log, the next goes on. A log that was cut in place, or rotated away, it goes
 * on with from the new beginning, and says so (blind): what the old one got after the last round is not looked for. Not
 * seen is a log that was cut and has grown beyond where it was within one round, and a new file with the inode of the old
 * that is no shorter. A host that has ssh and does not answer, or whose log or data directory cannot be read, is a finding
 * (log-unread) until it can; a path that the region's file does not name is not asked for. Waits, for some seconds a node
 * at most. */
enum {
    HOST_READER_FIRST_BYTES = 1024 * 1024,
    HOST_READER_PIECE_BYTES = SSH_OUTPUT_BYTES,
    HOST_READER_ROUND_BYTES = 64 * HOST_READER_PIECE_BYTES,
};
void host_reader_round(struct host_reader *reader, struct cell_watch *watch);
void host_reader_reach(struct host_reader *reader, uint64_t bytes);
/* Some log had more than that round could read. */
bool host_reader_behind(const struct host_reader *reader);

/* The disks alone. Waits, likewise. */
void host_reader_disks(struct host_reader *reader);

/* As of the last round; unknown numbers where nobody could ask. Does not wait. */
void host_reader_facts(const struct host_reader *reader, const struct node *node, struct health_host *ret);
