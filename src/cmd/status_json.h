/*
 * status_json: the state of everything in one JSON object, part by part. A part that cannot be
 * read is null, and `errors` says why: nothing is invented.
 */
#ifndef SLUICE_STATUS_JSON_H
#define SLUICE_STATUS_JSON_H

#include "buf.h"
#include "command.h"

/*
 * Appends the object: source, slot, position, journal, tables, reconciliation, models,
 * workflows, replication, dead_letters, last_error, errors. Fails only when interrupted or when the
 * text grows past the buffer's ceiling.
 */
enum err status_json(struct context *c, struct buf *out, struct error *e) MUST_CHECK;

#endif
