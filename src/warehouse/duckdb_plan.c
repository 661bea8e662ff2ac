#include "duckdb_driver.h"

#include "json.h"
#include "mem.h"

/*
 * Whether an answer may be streamed. DuckDB 1.4 can wait for itself for ever when a streamed
 * answer is fed by more than one pipeline (a UNION ALL whose first branch fills the buffer while
 * the second has still to be prepared; joins that give rows in two phases). One pipeline is
 * certain when, from the top of the plan down, only operators that pass rows on stand before one
 * that has gathered all of its input, or before a scan. Everything else is asked to be gathered
 * first (WITH .. AS MATERIALIZED), which DuckDB spills to disk beyond its memory limit.
 */

static const char *const pass_on[] = {
	"PROJECTION", "FILTER", "LIMIT", "STREAMING_LIMIT", "STREAMING_WINDOW", "UNNEST"};
static const char *const gather[] = {"ORDER_BY", "TOP_N", "HASH_GROUP_BY", "PERFECT_HASH_GROUP_BY",
	"UNGROUPED_AGGREGATE", "WINDOW"};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool is_one_of(struct str name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eqc(name, list[i]))
			return true;
	return false;
}

static bool one_pipeline(const json_t *plan)
{
	while (plan != NULL) {
		const json_t *children = json_object_get(plan, "children");
		struct str name = str_trim(json_get_str(plan, "name"));
		size_t n = json_array_size(children);

		if (n == 0 || is_one_of(name, gather, COUNT(gather)))
			return true;
		if (str_eqc(name, "CTE")) /* its last child is what is read */
			plan = json_array_get(children, n - 1);
		else if (n == 1 && is_one_of(name, pass_on, COUNT(pass_on)))
			plan = json_array_get(children, 0);
		else
			return false;
	}
	return false;
}

static enum err take_plan(void *arg, const struct chunk *c, struct error *e)
{
	bool *safe = arg;
	json_t *plans = NULL;

	if (c->rows == 0 || c->ncols < 2)
		return OK;
	TRY(json_read(vec_text(&c->cols[1], 0), "a query plan", &plans, e));
	*safe = one_pipeline(json_array_get(plans, 0));
	json_decref(plans);
	return OK;
}

bool duck_may_stream(duckdb_connection c, struct str sql)
{
	struct error ignored = {0};
	struct buf text;
	bool safe = false;

	buf_init(&text, BUF_MAX_DEFAULT);
	buf_puts(&text, "EXPLAIN (FORMAT JSON) ");
	buf_put(&text, sql);
	/* What cannot be explained (DESCRIBE, SHOW) has short answers, which never block. */
	if (duck_run(c, buf_str(&text), NULL, "explaining", take_plan, &safe, &ignored) != OK)
		safe = ignored.kind == ERR_INPUT;
	buf_free(&text);
	return safe;
}
