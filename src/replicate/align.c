#include "align.h"

#include <stdio.h>

#include "mem.h"

enum cell {
	CELL_NAME,
	CELL_NUM,
	CELL_LIVE,
	CELL_TYPE,
	CELL_MODIFIER,
	CELL_HAS_VALUE,
	CELL_VALUE,
	CELL_FILLED,
};

enum err attributes_ask(
	struct pg *c, uint32_t relid, struct arena *mem, struct attributes *out, struct error *e)
{
	static const char sql[] =
		"SELECT attname, attnum, NOT attisdropped, atttypid, atttypmod, atthasmissing, "
		"(attmissingval::text::text[])[1], NOT atthasmissing AND "
		"(atthasdef OR attnotnull OR attidentity <> '') FROM pg_catalog.pg_attribute "
		"WHERE attrelid = $1::oid AND attnum > 0 ORDER BY attnum";
	char text[16];
	const char *params[] = {text};
	PGresult *r;

	snprintf(text, sizeof(text), "%u", relid);
	TRY(pg_query(c, sql, 1, params, "asking for the columns of a table", mem, &r, e));
	*out = (struct attributes){.n = (size_t)PQntuples(r)};
	out->items = arena_array(mem, out->n + 1, sizeof(*out->items));
	for (int row = 0; row < PQntuples(r); row++)
		out->items[row] = (struct attribute){.name = pg_cell_str(r, row, CELL_NAME),
			.num = (int16_t)pg_cell_i64(r, row, CELL_NUM),
			.live = pg_cell_bool(r, row, CELL_LIVE),
			.type = (uint32_t)pg_cell_i64(r, row, CELL_TYPE),
			.modifier = (int32_t)pg_cell_i64(r, row, CELL_MODIFIER),
			.has_value = pg_cell_bool(r, row, CELL_HAS_VALUE),
			.value = pg_cell_str(r, row, CELL_VALUE),
			.value_null = pg_cell(r, row, CELL_VALUE) == NULL,
			.filled = pg_cell_bool(r, row, CELL_FILLED)};
	return OK;
}

const struct attribute *attributes_find(const struct attributes *a, int16_t num)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->items[i].num == num)
			return &a->items[i];
	return NULL;
}

static const struct attribute *find_live(const struct attributes *a, struct str name)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->items[i].live && str_eq(a->items[i].name, name))
			return &a->items[i];
	return NULL;
}

/* ---- the cheapest story that leads from `before` to `said` ---- */

#define FORBIDDEN (1 << 20)

struct aligning {
	const struct table *before, *said;
	const struct attributes *now;
	int *cost;     /* (nb + 1) * (ns + 1): of what is left from i, j on */
	uint8_t *step; /* which way is the cheapest */
	bool gone;     /* the catalog has nothing to say */
};

enum { STEP_SAME, STEP_DROPPED, STEP_NEW };

static int cost_same(const struct aligning *a, const struct column *was, const struct column *is)
{
	int cost = was->pg_type == is->pg_type ? 0 : 2;
	const struct attribute *live = find_live(a->now, is->name);

	/* A name that stands in the catalog for another column is hardly this one's: it was dropped
	 * and added again. */
	if (live != NULL && was->attnum != 0 && live->num != was->attnum)
		cost += 6;
	return str_eq(was->name, is->name) ? cost : cost + 3;
}

static int cost_dropped(const struct aligning *a, const struct column *was)
{
	const struct attribute *at = attributes_find(a->now, was->attnum);

	if (a->gone || was->attnum == 0)
		return 3;
	/* What lives now has lived then; it may have left the publication's column list. */
	return at != NULL && at->live ? 12 : 1;
}

static int16_t highest_known(const struct table *t)
{
	int16_t most = t->highest;

	for (size_t i = 0; i < t->ncolumns; i++)
		if (t->columns[i].attnum > most)
			most = t->columns[i].attnum;
	return most;
}

static int cost_new(const struct aligning *a, size_t i, size_t j)
{
	bool last = i == a->before->ncolumns;
	const struct attribute *live = find_live(a->now, a->said->columns[j].name);
	bool other = live != NULL;

	for (size_t k = 0; other && k < a->before->ncolumns; k++)
		other = a->before->columns[k].attnum != live->num;
	/* New columns have higher numbers than all others, unless they came by a column list. Where
	 * no such number was ever given, this is an old column, which is gone by now. */
	if (last && !a->gone && !other &&
		a->now->items[a->now->n - 1].num <= highest_known(a->before))
		return 12;
	if (last)
		return 1;
	return other ? 2 : 12;
}

static void weigh(struct aligning *a, size_t i, size_t j)
{
	size_t nb = a->before->ncolumns, ns = a->said->ncolumns, width = ns + 1;
	int best = i == nb && j == ns ? 0 : FORBIDDEN, way[3] = {FORBIDDEN, FORBIDDEN, FORBIDDEN};
	size_t at = i * width + j;

	if (i < nb && j < ns)
		way[STEP_SAME] = a->cost[at + width + 1] +
			cost_same(a, &a->before->columns[i], &a->said->columns[j]);
	if (i < nb)
		way[STEP_DROPPED] = a->cost[at + width] + cost_dropped(a, &a->before->columns[i]);
	if (j < ns)
		way[STEP_NEW] = a->cost[at + 1] + cost_new(a, i, j);
	for (uint8_t k = 0; k < 3; k++)
		if (way[k] < best) {
			best = way[k];
			a->step[at] = k;
		}
	a->cost[at] = best;
}

/* New columns of which the catalog does not know the name any more: by their order. */
static int16_t number_of(
	const struct table *said, size_t j, const struct attributes *now, int16_t most)
{
	const struct column *c = &said->columns[j];
	const struct attribute *live = find_live(now, c->name);
	const struct attribute *next = attributes_find(now, (int16_t)(most + 1));

	/* One of another type may be a later one of the same name, if there was another between. */
	if (live != NULL && (live->type == c->pg_type || next == NULL || next->live))
		return live->num;
	/* The next number, when no other column can have it. */
	for (size_t k = 0; next != NULL && next->live && k < said->ncolumns; k++)
		if (str_eq(said->columns[k].name, next->name))
			return 0;
	return next != NULL ? next->num : 0;
}

static void number_new(const struct table *before, struct table *said, const struct attributes *now,
	const int *from)
{
	/* A number that a column had which is gone now is not given again. */
	int16_t most = highest_known(before);

	for (size_t j = 0; j < said->ncolumns; j++) {
		struct column *c = &said->columns[j];
		if (from[j] >= 0)
			continue;
		c->attnum = number_of(said, j, now, most);
		if (c->attnum > most)
			most = c->attnum;
	}
	said->highest = most;
}

bool attributes_agree(const struct attributes *now, const struct table *known)
{
	for (size_t i = 0; i < known->ncolumns; i++) {
		const struct column *c = &known->columns[i];
		const struct attribute *live = find_live(now, c->name);
		if (c->attnum != 0 && live != NULL && live->num != c->attnum)
			return false;
	}
	return true;
}

void align_columns(
	const struct table *before, struct table *said, const struct attributes *now, int *from)
{
	size_t nb = before->ncolumns, ns = said->ncolumns, width = ns + 1;
	struct aligning a = {.before = before,
		.said = said,
		.now = now,
		.gone = now->n == 0,
		.cost = mem_array((nb + 1) * width, sizeof(*a.cost)),
		.step = mem_array((nb + 1) * width, sizeof(*a.step))};

	for (size_t i = nb + 1; i-- > 0;)
		for (size_t j = ns + 1; j-- > 0;)
			weigh(&a, i, j);
	for (size_t i = 0, j = 0; j < ns;) {
		uint8_t step = a.step[i * width + j];
		if (step == STEP_SAME) {
			said->columns[j].attnum = before->columns[i].attnum;
			from[j++] = (int)i++;
		} else if (step == STEP_DROPPED) {
			i++;
		} else {
			said->columns[j].attnum = 0;
			from[j++] = -1;
		}
	}
	number_new(before, said, now, from);
	mem_free(a.cost);
	mem_free(a.step);
}
