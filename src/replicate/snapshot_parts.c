#include "snapshot_parts.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "mem.h"

#define RANGE_BYTES   (64.0 * 1024 * 1024) /* of a range, TOAST included, as far as is known */
#define BLOCK_ROWS    100.0                /* a guess, for a table that was never analysed */
#define BLOCK_BYTES   8192.0
#define ROWS_OF_BLOCK 291 /* MaxHeapTuplesPerPage of blocks of 8 kB */
#define FIRST_RANGES  14  /* the server's version that scans ranges of blocks */

void parts_free(struct copy_parts *p)
{
	for (size_t i = 0; i < p->n; i++)
		mem_free(p->items[i].in);
	*p = (struct copy_parts){.n = 0};
}

/* ---- asking ---- */

#define SHAPE_OF(oid_)                                                                             \
	"(SELECT pg_catalog.string_agg(pg_catalog.concat_ws(':', attnum, attname, atttypid, "      \
	"atttypmod, attisdropped, attgenerated), ',' ORDER BY attnum) FROM "                       \
	"pg_catalog.pg_attribute WHERE attrelid = " oid_ " AND attnum > 0), "                      \
	"(SELECT relreplident::text FROM pg_catalog.pg_class WHERE oid = " oid_ "), "              \
	"(SELECT pg_catalog.string_agg(pg_catalog.concat_ws(':', indexrelid, indkey, "             \
	"indisprimary, indisreplident), ',' ORDER BY indexrelid) FROM pg_catalog.pg_index WHERE "  \
	"indrelid = " oid_ " AND (indisprimary OR indisreplident))"

#define PRINT                                                                                                                      \
	"pg_catalog.md5(pg_catalog.concat_ws('|', pg_catalog.pg_relation_filenode(c.oid), " SHAPE_OF(                              \
		"c.oid") ", " SHAPE_OF("$1::pg_catalog.oid") ", (SELECT pg_catalog.string_agg(xmin::text, ',' ORDER BY oid) FROM " \
							     "pg_catalog.pg_publication_rel WHERE prrelid = $1::pg_catalog.oid)))"

#define PARTS                                                                                      \
	" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "    \
	"WHERE c.relkind = 'r' AND (c.oid = $1::pg_catalog.oid OR c.oid IN (SELECT relid FROM "    \
	"pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) WHERE isleaf))"

enum cell { CELL_OID, CELL_SCHEMA, CELL_NAME, CELL_PRINT, CELL_BLOCKS, CELL_DENSITY, CELL_BYTES };

static uint32_t step_of(double blocks, double density, double bytes, size_t rows)
{
	double by_rows = (double)rows / (density > 0 ? density : BLOCK_ROWS);
	double by_bytes = blocks > 0 && bytes > 0 ? RANGE_BYTES / (bytes / blocks)
						  : RANGE_BYTES / BLOCK_BYTES;
	double step = by_rows < by_bytes ? by_rows : by_bytes;

	if (step < 1)
		return 1;
	return step < 1e9 ? (uint32_t)step : (uint32_t)1e9;
}

static void take_part(
	const PGresult *r, int row, size_t rows, struct arena *mem, struct copy_part *out)
{
	double blocks = (double)pg_cell_i64(r, row, CELL_BLOCKS);
	double density = strtod(pg_cell(r, row, CELL_DENSITY), NULL);

	*out = (struct copy_part){.relid = (uint32_t)pg_cell_i64(r, row, CELL_OID),
		.schema = arena_str(mem, pg_cell_str(r, row, CELL_SCHEMA)),
		.name = arena_str(mem, pg_cell_str(r, row, CELL_NAME)),
		.print = arena_str(mem, pg_cell_str(r, row, CELL_PRINT)),
		.blocks = (uint32_t)blocks};
	if (rows > 0)
		out->step = step_of(blocks, density, (double)pg_cell_i64(r, row, CELL_BYTES), rows);
}

enum err parts_ask(struct pg *c, uint32_t root, size_t rows, struct arena *mem,
	struct copy_parts *out, struct error *e)
{
	static const char sql[] =
		"SELECT c.oid, n.nspname, c.relname, " PRINT
		", pg_catalog.pg_relation_size(c.oid) / "
		"pg_catalog.current_setting('block_size')::int8, "
		"CASE WHEN c.relpages > 0 AND c.reltuples > 0 THEN c.reltuples / c.relpages ELSE 0 "
		"END, pg_catalog.pg_table_size(c.oid)" PARTS " ORDER BY c.oid";
	char oid[16];
	const char *params[] = {oid};
	PGresult *r;

	snprintf(oid, sizeof(oid), "%u", root);
	TRY(pg_query(c, sql, 1, params, "asking how large a table is", mem, &r, e));
	out->n = (size_t)PQntuples(r);
	out->items = arena_array(mem, out->n + 1, sizeof(*out->items));
	for (size_t i = 0; i < out->n; i++)
		take_part(r, (int)i, rows, mem, &out->items[i]);
	return OK;
}

enum err parts_ask_print(struct pg *c, uint32_t root, uint32_t part, struct arena *mem,
	struct str *out, struct error *e)
{
	static const char sql[] = "SELECT " PRINT PARTS " AND c.oid = $2::pg_catalog.oid";
	char oids[2][16];
	const char *params[] = {oids[0], oids[1]};
	PGresult *r;

	snprintf(oids[0], sizeof(oids[0]), "%u", root);
	snprintf(oids[1], sizeof(oids[1]), "%u", part);
	*out = STR_NONE;
	TRY(pg_query(c, sql, 2, params, "asking whether a table is as it was", mem, &r, e));
	if (PQntuples(r) > 0)
		*out = arena_str(mem, pg_cell_str(r, 0, 0));
	return OK;
}

bool parts_same(const struct copy_parts *a, const struct copy_parts *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->items[i].relid != b->items[i].relid ||
			!str_eq(a->items[i].print, b->items[i].print))
			return false;
	return true;
}

/* ---- ranges ---- */

void part_add(struct copy_part *p, struct block_range r)
{
	size_t at = 0, end;

	while (at < p->nin && p->in[at].to < r.from)
		at++;
	for (end = at; end < p->nin && p->in[end].from <= r.to; end++) {
		if (p->in[end].from < r.from)
			r.from = p->in[end].from;
		if (p->in[end].to > r.to)
			r.to = p->in[end].to;
	}
	if (end == at && p->nin == p->capin) {
		p->capin = p->capin == 0 ? 8 : p->capin * 2;
		p->in = mem_realloc_array(p->in, p->capin, sizeof(*p->in));
	}
	memmove(p->in + at + 1, p->in + end, (p->nin - end) * sizeof(*p->in));
	p->nin = p->nin - (end - at) + 1;
	p->in[at] = r;
}

bool part_next(const struct copy_part *p, uint32_t from, struct block_range *out)
{
	uint32_t limit = BLOCK_END;

	for (size_t i = 0; i < p->nin; i++) {
		if (p->in[i].from > from) {
			limit = p->in[i].from;
			break;
		}
		if (p->in[i].to > from)
			from = p->in[i].to;
	}
	if (from >= limit)
		return false;
	*out = (struct block_range){from, limit};
	/* What lies beyond the blocks that there were is one range, open at its end. */
	if (p->step > 0 && from < p->blocks && limit - from > p->step && p->blocks - from > p->step)
		out->to = from + p->step;
	return true;
}

void part_where(int server_version, struct block_range r, struct buf *out)
{
	if (server_version / 10000 >= FIRST_RANGES || r.to == BLOCK_END) {
		buf_putf(out, "ctid >= '(%u,0)'::pg_catalog.tid", r.from);
		if (r.to != BLOCK_END)
			buf_putf(out, " AND ctid < '(%u,0)'::pg_catalog.tid", r.to);
		return;
	}
	buf_putf(out,
		"ctid = ANY (ARRAY(SELECT ('(' || b || ',' || i || ')')::pg_catalog.tid FROM "
		"pg_catalog.generate_series(%u, %u) b, pg_catalog.generate_series(1, %d) i))",
		r.from, r.to - 1, ROWS_OF_BLOCK);
}

/* ---- as JSON ---- */

void parts_write(const struct copy_parts *p, struct buf *out)
{
	struct json_out j;

	jo_init(&j, out);
	jo_array(&j, NULL);
	for (size_t i = 0; i < p->n; i++) {
		const struct copy_part *part = &p->items[i];
		jo_object(&j, NULL);
		jo_u64(&j, "relid", part->relid);
		jo_str(&j, "schema", part->schema);
		jo_str(&j, "name", part->name);
		jo_str(&j, "print", part->print);
		jo_u64(&j, "step", part->step);
		jo_u64(&j, "blocks", part->blocks);
		jo_array(&j, "in");
		for (size_t k = 0; k < part->nin; k++) {
			jo_u64(&j, NULL, part->in[k].from);
			jo_u64(&j, NULL, part->in[k].to);
		}
		jo_end_array(&j);
		jo_end_object(&j);
	}
	jo_end_array(&j);
}

static enum err want_u32(const json_t *o, const char *key, uint32_t *out, struct error *e)
{
	int64_t v;

	TRY(json_want_i64(o, key, &v, e));
	if (v < 0 || v > UINT32_MAX)
		return FAIL(e, ERR_INPUT, "%s is out of range", key);
	*out = (uint32_t)v;
	return OK;
}

static enum err read_in(const json_t *in, struct copy_part *p, struct error *e)
{
	for (size_t i = 0; i + 1 < json_array_size(in); i += 2) {
		json_int_t from = json_integer_value(json_array_get(in, i));
		json_int_t to = json_integer_value(json_array_get(in, i + 1));
		if (from < 0 || to <= from || to > UINT32_MAX)
			return FAIL(e, ERR_INPUT, "a range of blocks is out of range");
		part_add(p, (struct block_range){(uint32_t)from, (uint32_t)to});
	}
	return OK;
}

static enum err read_part(
	const json_t *doc, struct arena *mem, struct copy_part *p, struct error *e)
{
	struct str schema, name, print;
	json_t *in;

	TRY(want_u32(doc, "relid", &p->relid, e));
	TRY(want_u32(doc, "step", &p->step, e));
	TRY(want_u32(doc, "blocks", &p->blocks, e));
	TRY(json_want_str(doc, "schema", &schema, e));
	TRY(json_want_str(doc, "name", &name, e));
	TRY(json_want_str(doc, "print", &print, e));
	TRY(json_want_array(doc, "in", &in, e));
	p->schema = arena_str(mem, schema);
	p->name = arena_str(mem, name);
	p->print = arena_str(mem, print);
	return read_in(in, p, e);
}

enum err parts_read(struct str json, struct arena *mem, struct copy_parts *out, struct error *e)
{
	json_t *doc;
	enum err rc = OK;

	TRY(json_read(json, "how far a copy is", &doc, e));
	out->items = arena_array(mem, json_array_size(doc) + 1, sizeof(*out->items));
	for (out->n = 0; rc == OK && out->n < json_array_size(doc); out->n++)
		rc = read_part(json_array_get(doc, out->n), mem, &out->items[out->n], e);
	json_decref(doc);
	if (rc != OK)
		parts_free(out);
	return rc;
}
