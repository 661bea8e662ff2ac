/* What has happened to the shape of tables lately. */
#include "clock.h"
#include "status_parts.h"
#include "vec.h"
#include "warehouse.h"

static enum err put_changes(void *arg, const struct chunk *c, struct error *e)
{
	static const char *const names[] = {"table", "lsn", "at", "change"};
	struct status *s = arg;
	char time[CLOCK_TEXT];

	(void)e;
	for (size_t row = 0; row < c->rows; row++) {
		jo_object(&s->j, NULL);
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (c->cols[i].type.kind == T_TIMESTAMPTZ)
				jo_cstr(&s->j, names[i],
					clock_format(VEC_AT(&c->cols[i], int64_t, row), time,
						sizeof time));
			else
				jo_str(&s->j, names[i], vec_text(&c->cols[i], row));
		jo_end_object(&s->j);
	}
	return OK;
}

void status_put_schema_changes(struct status *s)
{
	struct error e = {.kind = OK};
	enum err rc = OK;

	jo_array(&s->j, "schema_changes");
	if (s->warehouse != NULL)
		rc = warehouse_query(s->warehouse,
			STR("SELECT table_name, lsn, seen_at, change FROM ops.schema_changes "
			    "ORDER BY seen_at DESC, lsn DESC LIMIT 20"),
			put_changes, s, &e);
	if (rc != OK)
		status_note(s, "schema_changes", e.text);
	jo_end_array(&s->j);
}
