/*
 * apply_record: changes of tables, as events in the warehouse (ops.schema_changes).
 */
#ifndef SLUICE_APPLY_RECORD_H
#define SLUICE_APPLY_RECORD_H

#include "apply.h"

/* One row for each change; running again after a crash adds none. Empty text: nothing. */
enum err apply_record_change(
	struct apply *a, const struct table *t, struct str what, struct error *e) MUST_CHECK;

#endif
