#include "parts.h"

#include <string.h>

#include "enc.h"
#include "parts_key.h"

/* A range that costs a reading of the whole table is not worth a short snapshot beyond this. */
#define MOST_SCANS 8
/* Keys looked at for each boundary, and at least. */
#define SAMPLE_EACH  400
#define SAMPLE_LEAST 20000

struct str parts_shape(const struct table *t, struct arena *mem)
{
	struct buf b;
	char digest[ENC_SHA256_TEXT];

	buf_init(&b, 1 << 22);
	for (size_t i = 0; i < t->ncolumns; i++)
		buf_putf(&b, "%.*s %u %d %d %u %u %d%s\n", STR_ARG(t->columns[i].name),
			t->columns[i].pg_type, t->columns[i].pg_modifier,
			(int)t->columns[i].type.kind, t->columns[i].type.precision,
			t->columns[i].type.scale, t->columns[i].is_key,
			t->columns[i].guard != NULL ? " guarded" : "");
	buf_put(&b, t->filter);
	enc_sha256(buf_str(&b), digest);
	buf_free(&b);
	return arena_fmt(mem, "%u-%.16s", t->relid, digest);
}

static enum err expected_rows(struct pg *c, const struct table *t, uint64_t *out, struct error *e)
{
	struct arena mem = {0};
	const char *const params[] = {arena_fmt(&mem, "%u", t->relid).p};
	PGresult *r;
	/* Never analyzed: guessed by size. */
	enum err rc = pg_query(c,
		"SELECT coalesce(sum(CASE WHEN reltuples >= 0 AND relpages > 0 THEN reltuples ELSE "
		"pg_catalog.pg_relation_size(oid) / 100.0 END), 0)::pg_catalog.int8 "
		"FROM pg_catalog.pg_class WHERE relkind = 'r' AND (oid = $1::pg_catalog.oid OR oid IN "
		"(SELECT relid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass)))",
		1, params, "estimating a table's rows", &mem, &r, e);

	if (rc == OK)
		*out = (uint64_t)pg_cell_i64(r, 0, 0);
	arena_free(&mem);
	return rc;
}

static void put_sample(struct buf *sql, const struct table *t, const struct cut_key *k,
	uint64_t rows, uint64_t want, struct arena *mem)
{
	buf_puts(sql, "SELECT ");
	for (size_t i = 0; i < k->n; i++)
		/* By another name than the column's, or ORDER BY would mean the text. */
		buf_putf(sql, "%s(%.*s)::pg_catalog.text AS sluice_key_%zu", i > 0 ? ", " : "",
			STR_ARG(k->columns[i].expression), i);
	buf_putf(sql, " FROM %.*s.%.*s", STR_ARG(pg_ident(mem, t->schema)),
		STR_ARG(pg_ident(mem, t->name)));
	if (rows > 2 * want)
		buf_putf(sql, " TABLESAMPLE SYSTEM (%.6f)", 100.0 * (double)want / (double)rows);
	buf_puts(sql, " WHERE true");
	for (size_t i = 0; i < k->n; i++)
		if (k->columns[i].held.n > 0)
			buf_putf(sql, " AND %.*s", STR_ARG(k->columns[i].held));
	for (size_t i = 0; i < k->n; i++)
		buf_putf(sql, "%s%.*s%.*s", i > 0 ? ", " : " ORDER BY ",
			STR_ARG(k->columns[i].expression), STR_ARG(k->columns[i].collate));
	buf_putf(sql, " LIMIT %llu", (unsigned long long)(20 * want));
}

/* Moments before our era and the infinities are written otherwise elsewhere: no boundaries. */
static bool is_boundary(const PGresult *r, int row, const struct cut_key *k)
{
	for (size_t i = 0; i < k->n; i++) {
		enum type_kind kind = k->columns[i].column->type.kind;
		const char *text = pg_cell(r, row, (int)i);

		if ((kind == T_DATE || kind == T_TIMESTAMP || kind == T_TIMESTAMPTZ) &&
			(text[0] < '0' || text[0] > '9' || strstr(text, "BC") != NULL ||
				strchr(text, '-') - text != 4))
			return false;
	}
	return true;
}

static bool same_values(const struct str *a, const struct str *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!str_eq(a[i], b[i]))
			return false;
	return true;
}

/* At most n - 1 boundaries, ascending and unlike; each is k->n texts in mem. */
static size_t choose_boundaries(
	const PGresult *r, const struct cut_key *k, uint32_t n, struct arena *mem, struct str **out)
{
	uint64_t rows = (uint64_t)PQntuples(r);
	size_t found = 0;

	for (uint32_t i = 1; i < n; i++) {
		int row = (int)(rows * i / n);

		if (row == 0 || !is_boundary(r, row, k))
			continue;
		struct str *values = arena_array(mem, k->n, sizeof *values);
		for (size_t c = 0; c < k->n; c++)
			values[c] = arena_str(mem, pg_cell_str(r, row, (int)c));
		if (found == 0 || !same_values(out[found - 1], values, k->n))
			out[found++] = values;
	}
	return found;
}

static struct part *one_part(struct parts *out, size_t index, uint64_t rows, struct arena *mem)
{
	out->list = arena_array(mem, 1, sizeof *out->list);
	out->n = 1;
	out->list[0] = (struct part){
		.table = index, .number = 1, .of = 1, .rows = rows, .chosen = true};
	return out->list;
}

static struct str taken(struct buf *b, struct arena *mem)
{
	struct str s = arena_str(mem, buf_str(b));

	buf_reset(b);
	return s;
}

static void make_parts(struct parts *out, size_t index, const struct cut_key *k,
	struct str *const *boundary, size_t nboundaries, uint64_t rows, struct arena *mem)
{
	struct buf b;

	buf_init(&b, 1 << 22);
	out->n = nboundaries + 1;
	out->list = arena_array(mem, out->n, sizeof *out->list);
	for (size_t i = 0; i < out->n; i++) {
		struct part *p = &out->list[i];
		const struct str *low = i > 0 ? boundary[i - 1] : NULL;
		const struct str *high = i < nboundaries ? boundary[i] : NULL;

		*p = (struct part){.table = index,
			.number = (uint32_t)i + 1,
			.of = (uint32_t)out->n,
			.rows = rows / out->n,
			.chosen = true};
		cut_key_put_source(&b, k, low, high, high == NULL);
		p->where[SIDE_SOURCE] = taken(&b, mem);
		cut_key_put_replica(&b, k, low, high, high == NULL);
		p->where[SIDE_REPLICA] = taken(&b, mem);
	}
	buf_free(&b);
}

static enum err cut_up(struct pg *c, const struct table *t, size_t index, const struct cut_key *k,
	uint64_t rows, uint32_t n, struct arena *mem, struct parts *out, struct error *e)
{
	uint64_t want = SAMPLE_EACH * (uint64_t)n;
	struct str **boundary = arena_array(mem, n, sizeof *boundary);
	struct arena sample = {0};
	struct buf sql;
	PGresult *r;

	buf_init(&sql, 1 << 20);
	put_sample(&sql, t, k, rows, want > SAMPLE_LEAST ? want : SAMPLE_LEAST, mem);
	enum err rc = pg_query(c, buf_cstr(&sql), 0, NULL, "choosing key ranges", &sample, &r, e);
	size_t found = rc == OK ? choose_boundaries(r, k, n, mem, boundary) : 0;
	arena_free(&sample);
	buf_free(&sql);
	if (rc != OK)
		return rc;
	if (found > 0)
		make_parts(out, index, k, boundary, found, rows, mem);
	else
		one_part(out, index, rows, mem);
	return OK;
}

enum err parts_plan(struct pg *c, const struct table *t, size_t index,
	const struct parts_options *o, struct arena *mem, struct parts *out, struct error *e)
{
	struct cut_key k = {.n = 0};
	struct str shape = parts_shape(t, mem);
	uint64_t rows = 0, n = 1;
	enum err rc = OK;

	TRY(expected_rows(c, t, &rows, e));
	if (o->range_rows > 0 && rows > o->range_rows + o->range_rows / 2)
		n = (rows + o->range_rows - 1) / o->range_rows;
	if (o->fine > 0 && rows > 2000)
		n = rows / 1000 < o->fine ? rows / 1000 : o->fine;
	if (n > 1)
		TRY(cut_key_of(c, t, mem, &k, e));
	if (n > 1 && k.scans && n > MOST_SCANS)
		n = MOST_SCANS;
	if (n > o->most)
		n = o->most;
	if (n > 1 && k.n > 0)
		rc = cut_up(c, t, index, &k, rows, (uint32_t)n, mem, out, e);
	else
		one_part(out, index, rows, mem);
	for (size_t i = 0; rc == OK && i < out->n; i++)
		out->list[i].shape = shape;
	return rc;
}

void parts_append(struct parts *parts, size_t *cap, const struct parts *more, struct arena *mem)
{
	if (parts->n + more->n > *cap) {
		*cap = *cap * 2 + more->n;
		struct part *list = arena_array(mem, *cap, sizeof *list);
		if (parts->n > 0)
			memcpy(list, parts->list, parts->n * sizeof *list);
		parts->list = list;
	}
	memcpy(parts->list + parts->n, more->list, more->n * sizeof *more->list);
	parts->n += more->n;
}
