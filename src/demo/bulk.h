/*
 * bulk: the older part of the stories, written straight into the application's tables by COPY,
 * as a migration from an earlier system would.
 */
#ifndef SLUICE_BULK_H
#define SLUICE_BULK_H

#include "pg_conn.h"
#include "record.h"

struct bulk_result {
	int64_t bookings, events;
};

/*
 * Loads every booking made before until_us, as it stood then, with its guest and events; hotels
 * and agents of all records too. booking_id and guest_id are the record's index + 1, and the
 * sequences go on after all of them. One transaction. The tables must be empty.
 */
enum err bulk_load(struct pg *c, const struct records *r, int64_t until_us, struct bulk_result *out,
	struct error *e) MUST_CHECK;

#endif
