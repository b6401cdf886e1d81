#pragma once
/* The class keys of a shelf: from the keyring, or from the cell, unwrapped under the region's root key. The secret of a
 * returned key is good until the next wait. All of it waits, unless the keyring has the key. */
#include "records/store.h"

/* The key that writes use; the first write of a (customer, class) makes it. */
result record_key_current(const struct record_shelf *shelf, const struct class_key **ret) MUST_USE;

/* The key of a version that a record names. E_KEY_VERSION_UNKNOWN. */
result record_key_version_get(const struct record_shelf *shelf, uint32_t version,
                              const struct class_key **ret) MUST_USE;

/* Asks the cell again which key is current: after the cell has refused a write under an older one. */
result record_key_refresh(const struct record_shelf *shelf) MUST_USE;

/* Asks the cell; the key is in the ring afterwards. *ret_version is 0 when the class has no key. E_SEAL: it does not open. */
result record_key_ask_current(const struct record_shelf *shelf, uint32_t *ret_version) MUST_USE;

/* ---- rotation ---- */
struct record_rotation {
    uint32_t key_version; /* that writes use; 0: the class has no key yet */
    bool done;            /* there is no older key any more, and no record under one */
    uint64_t remaining;   /* records that are still sealed with an older one, as far as they were counted */
    bool counted_all;     /* there are no others */
};

/* Writes use a new key from now on. E_CONFLICT: there is no key to rotate; E_STALE: another rotation came first;
 * E_BUSY: writes would have waited too long for it; nothing was done. */
result record_key_rotate(const struct record_shelf *shelf, uint32_t *ret_version) MUST_USE;

result record_key_rotation(const struct record_shelf *shelf, struct record_rotation *ret) MUST_USE;

/* Re-seals, under the current key, all records that are sealed with an older one, and deletes the old keys when no
 * record needs them. A record that changes meanwhile is left alone: its writer used the new key. Revisions stay. It can
 * be stopped at any point and started again: the cell keeps the progress. E_SEAL: done, except for records that do not
 * open or whose key is missing. */
result record_key_reseal(const struct record_shelf *shelf) MUST_USE;

/* The (customer, class) pairs of a cell with records to re-seal; strings in the arena. */
struct record_pending {
    struct str customer, class;
};
result record_key_pending(struct record_cell *cell, struct arena *arena, struct record_pending **ret,
                          size_t *ret_count) MUST_USE;
