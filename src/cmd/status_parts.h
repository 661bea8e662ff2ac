/*
 * status_parts: what the parts of the status share, and the parts that have files of their own.
 */
#ifndef SLUICE_STATUS_PARTS_H
#define SLUICE_STATUS_PARTS_H

#include "command.h"
#include "json.h"
#include "lsn.h"

#define STATUS_ERRORS 64

struct status {
	struct context *c;
	struct json_out j;
	struct pg *source;           /* NULL: down */
	struct warehouse *warehouse; /* NULL: cannot be opened */
	lsn flushed;                 /* of the source; LSN_NONE: not known */
	struct str errors[STATUS_ERRORS];
	size_t nerrors;
};

/* Why a part is null: goes into `errors`. */
void status_note(struct status *s, const char *part, const char *text);
void status_put_lsn(struct status *s, const char *key, lsn at); /* LSN_NONE: null */

/* Each writes the member of its name. */
void status_put_position(struct status *s);
void status_put_tables(struct status *s);
void status_put_reconciliation(struct status *s);
void status_put_schema_changes(struct status *s);
void status_put_models(struct status *s);
void status_put_workflows(struct status *s);
void status_put_replication(struct status *s);
void status_put_dead_letters(struct status *s);

#endif
