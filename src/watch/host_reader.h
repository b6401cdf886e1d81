#pragma once
/* What only a host can tell, over SSH: the server's structured log (conf_log_json), for the watch, and the free space of the data directory's disk, for
 * the monitor. It changes nothing. One session a node, kept between rounds, and opened again when it was lost. */
#include "health/health.h"
#include "hosts/host_log.h"
#include "watch/watch.h"

struct host_reader;
/* The cell and the log of commands must outlive it. Does not wait. */
result host_reader_new(const struct cell *cell, struct host_log *log, struct host_reader **ret) MUST_USE;
void host_reader_free(struct host_reader *reader); /* takes NULL; closes the sessions */

/* Call it after a watch_round. Gives the watch what each server has logged since the last round, and asks for the disks. The
 * first round begins HOST_READER_FIRST_BYTES before the end of the log, or as many as host_reader_reach says. A round reads
 * at most HOST_READER_ROUND_BYTES of a log; the next round continues.
 *
 * When a log was truncated or rotated, it continues at the new beginning, with a finding (blind): lines that the old file
 * got after the last round are not read. Two cases are not noticed: a log that was truncated and has grown beyond its old
 * length within one round; a new file with the old file's inode that is not shorter.
 *
 * A host that has ssh in the region's file and does not answer, or whose log or data directory cannot be read, is a finding
 * (log-unread) as long as that lasts. A path that the region's file does not name is not asked for. Waits, for at most some
 * seconds a node. */
enum {
    HOST_READER_FIRST_BYTES = 1024 * 1024,
    HOST_READER_PIECE_BYTES = SSH_OUTPUT_BYTES,
    HOST_READER_ROUND_BYTES = 64 * HOST_READER_PIECE_BYTES,
};
void host_reader_round(struct host_reader *reader, struct cell_watch *watch);
void host_reader_reach(struct host_reader *reader, uint64_t bytes);
/* A log had more than the last round could read. */
bool host_reader_behind(const struct host_reader *reader);

/* Asks for the disks only. Waits, as above. */
void host_reader_disks(struct host_reader *reader);

/* The facts of the last round; a number that could not be asked is unknown. Does not wait. */
void host_reader_facts(const struct host_reader *reader, const struct node *node, struct health_host *ret);
