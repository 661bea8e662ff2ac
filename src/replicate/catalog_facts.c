#include "catalog_facts.h"

#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "marks.h"

/*
 * tables: {"relation": [place in the publication, schema, name]}; labels: {"enum label's oid":
 * [type, label]}; leaves: {"leaf's oid": [root, name, attached, by, file]}. Who is taken out of the
 * publication and put back has another place in it. A partition that was made as one has its
 * columns and its place in pg_inherits by different commands; ATTACH writes both by one.
 */
static const char facts_form[] =
	"WITH RECURSIVE published AS (SELECT c.oid, n.nspname, c.relname, "
	"coalesce((SELECT r.oid FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = b.oid AND "
	"r.prrelid = c.oid), %s, b.oid)::bigint AS place FROM pg_catalog.pg_publication_tables p "
	"JOIN pg_catalog.pg_publication b ON b.pubname = p.pubname "
	"JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname "
	"JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename "
	"WHERE p.pubname = $1), "
	"leaves AS (SELECT p.oid AS root, i.inhrelid AS leaf, i.xmin AS by, i.cmin AS command "
	"FROM published p "
	"JOIN pg_catalog.pg_class c ON c.oid = p.oid AND c.relkind = 'p' "
	"JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid "
	"UNION ALL SELECT l.root, i.inhrelid, i.xmin, i.cmin FROM leaves l "
	"JOIN pg_catalog.pg_inherits i ON i.inhparent = l.leaf), "
	"kept AS (SELECT pg_catalog.jsonb_build_object('tables', "
	"(SELECT coalesce(pg_catalog.jsonb_object_agg(p.oid::text, pg_catalog.jsonb_build_array("
	"p.place, p.nspname, p.relname)), '{}') FROM published p), 'labels', "
	"(SELECT coalesce(pg_catalog.jsonb_object_agg(e.oid::text, "
	"pg_catalog.jsonb_build_array(e.enumtypid::bigint, e.enumlabel)), '{}') "
	"FROM pg_catalog.pg_enum e WHERE EXISTS (SELECT FROM pg_catalog.pg_attribute a "
	"JOIN published p ON p.oid = a.attrelid WHERE a.atttypid = e.enumtypid)), 'leaves', "
	"(SELECT coalesce(pg_catalog.jsonb_object_agg(l.leaf::text, pg_catalog.jsonb_build_array("
	"l.root::bigint, c.relname, l.by <> t.xmin OR EXISTS (SELECT FROM "
	"pg_catalog.pg_attribute a WHERE a.attrelid = l.leaf AND a.attnum > 0 AND a.xmin = l.by "
	"AND a.cmin = l.command), l.by::text::bigint, "
	"coalesce(pg_catalog.pg_relation_filenode(c.oid), 0)::bigint)), '{}') FROM leaves l "
	"JOIN pg_catalog.pg_class c ON c.oid = l.leaf "
	"JOIN pg_catalog.pg_type t ON t.oid = c.reltype))::text AS facts), "
	"columns AS (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attrelid, a.attnum, "
	"a.attname, a.atttypid, a.atttypmod, a.attisdropped, c.relname, c.relnamespace, "
	"c.relreplident, (SELECT pg_catalog.string_agg(i.indkey::text, ',') FROM pg_catalog.pg_index i "
	"WHERE i.indrelid = c.oid AND (i.indisprimary OR i.indisreplident))), ';' "
	"ORDER BY a.attrelid, a.attnum) AS list FROM published p "
	"JOIN pg_catalog.pg_class c ON c.oid = p.oid "
	"JOIN pg_catalog.pg_attribute a ON a.attrelid = p.oid AND a.attnum > 0) "
	"SELECT facts, pg_catalog.md5(coalesce(facts, '') || coalesce(list, '')), "
	"pg_catalog.pg_current_wal_flush_lsn()::text, pg_catalog.pg_current_wal_insert_lsn()::text "
	"FROM kept, columns";

/* From 15 on a publication may have whole schemas. */
#define SCHEMAS_SINCE 150000
#define OF_SCHEMA                                                                                  \
	"(SELECT s.oid FROM pg_catalog.pg_publication_namespace s WHERE s.pnpubid = b.oid AND "    \
	"s.pnnspid = n.oid)"

enum err catalog_ask(struct pg *c, const char *publication, struct arena *mem,
	struct catalog_facts *out, struct error *e)
{
	PGresult *r;
	struct str sql = arena_fmt(mem, facts_form,
		c->server_version >= SCHEMAS_SINCE ? OF_SCHEMA : "NULL::pg_catalog.oid");

	*out = (struct catalog_facts){.at = LSN_NONE};
	TRY(pg_query(c, sql.p, 1, &publication, "looking at the catalog", mem, &r, e));
	if (PQntuples(r) == 0 || !lsn_parse(pg_cell_str(r, 0, 2), &out->at) ||
		!lsn_parse(pg_cell_str(r, 0, 3), &out->written))
		return FAIL(e, ERR_INPUT, "looking at the catalog: the position is no LSN");
	out->kept = arena_str(mem, pg_cell_str(r, 0, 0));
	snprintf(out->version, sizeof(out->version), "%s", pg_cell(r, 0, 1));
	return pg_publication_tables(c, publication, mem, &out->tables, e);
}

#define MARK STR("catalog")

enum err catalog_keep(struct warehouse *w, const struct catalog_facts *now, struct error *e)
{
	struct mark mark = {.name = MARK, .value = now->kept};

	return marks_put(w, &mark, 1, e);
}

static struct str text_at(const json_t *array, size_t i, struct arena *mem)
{
	const json_t *s = json_array_get(array, i);

	return arena_str(mem, str_make(json_string_value(s), json_string_length(s)));
}

static uint32_t oid_at(const json_t *array, size_t i)
{
	return (uint32_t)json_integer_value(json_array_get(array, i));
}

static void compare_labels(
	json_t *before, json_t *now, struct arena *mem, struct catalog_changes *out)
{
	const char *oid;
	json_t *was;

	out->labels = arena_array(mem, json_object_size(before) + 1, sizeof(*out->labels));
	json_object_foreach (before, oid, was) {
		const json_t *is = json_object_get(now, oid);
		struct label_change l = {.type = oid_at(was, 0), .was = text_at(was, 1, mem)};
		if (is == NULL)
			continue;
		l.now = text_at(is, 1, mem);
		if (!str_eq(l.was, l.now))
			out->labels[out->nlabels++] = l;
	}
}

/* Whether what was kept knows the table; nothing was kept of tables by earlier versions. */
static bool knows_root(const json_t *tables, const json_t *leaf)
{
	char relid[16];

	snprintf(relid, sizeof(relid), "%u", oid_at(leaf, 0));
	return tables == NULL || json_object_get(tables, relid) != NULL;
}

/* Both are known, and differ. */
static bool another(const json_t *was, const json_t *is, size_t i)
{
	json_int_t a = json_integer_value(json_array_get(was, i));
	json_int_t b = json_integer_value(json_array_get(is, i));

	return a != 0 && b != 0 && a != b;
}

static void add_leaf(
	struct catalog_changes *out, const json_t *leaf, enum leaf_news news, struct arena *mem)
{
	out->leaves[out->nleaves++] = (struct leaf_change){
		.root = oid_at(leaf, 0), .name = text_at(leaf, 1, mem), .news = news};
}

static void compare_leaves(
	json_t *before, json_t *now, struct arena *mem, struct catalog_changes *out)
{
	json_t *was_all = json_object_get(before, "leaves"), *leaf;
	json_t *is_all = json_object_get(now, "leaves"),
	       *tables = json_object_get(before, "tables");
	const char *oid;

	out->leaves = arena_array(mem, json_object_size(was_all) + json_object_size(is_all) + 1,
		sizeof(*out->leaves));
	json_object_foreach (was_all, oid, leaf)
		if (json_object_get(is_all, oid) == NULL)
			add_leaf(out, leaf, LEAF_GONE, mem);
	json_object_foreach (is_all, oid, leaf) {
		const json_t *was = json_object_get(was_all, oid);
		/* One that was made as a partition has brought its rows by the stream, and the copy
		 * of a new table all that it has. */
		if (was == NULL && json_is_true(json_array_get(leaf, 2)) &&
			knows_root(tables, leaf))
			add_leaf(out, leaf, LEAF_ATTACHED, mem);
		else if (was != NULL && (another(was, leaf, 0) || another(was, leaf, 3)))
			add_leaf(out, leaf, LEAF_ATTACHED, mem);
		else if (was != NULL && another(was, leaf, 4))
			add_leaf(out, leaf, LEAF_ANEW, mem);
	}
}

static void compare_tables(
	json_t *before, json_t *now, struct arena *mem, struct catalog_changes *out)
{
	const char *oid;
	json_t *was;

	out->tables = arena_array(mem, json_object_size(before) + 1, sizeof(*out->tables));
	json_object_foreach (before, oid, was) {
		const json_t *is = json_object_get(now, oid);
		if (is != NULL && !another(was, is, 0))
			continue;
		out->tables[out->ntables++] = (struct table_change){
			.relid = (uint32_t)strtoul(oid, NULL, 10),
			.schema = text_at(was, 1, mem),
			.name = text_at(was, 2, mem),
			.gone = is == NULL};
	}
}

/* What was kept; *out is NULL when nothing was. */
static enum err read_kept(struct warehouse *w, json_t **out, struct error *e)
{
	struct buf text;

	*out = NULL;
	buf_init(&text, BUF_MAX_DEFAULT);
	enum err rc = warehouse_mark(w, MARK, &text, e);
	if (rc == OK && text.n > 0)
		rc = json_read(buf_str(&text), "the mark catalog", out, e);
	buf_free(&text);
	return rc;
}

enum err catalog_compare(struct warehouse *w, const struct catalog_facts *now, struct arena *mem,
	struct catalog_changes *out, struct error *e)
{
	json_t *before = NULL, *is = NULL;

	*out = (struct catalog_changes){.nlabels = 0};
	enum err rc = read_kept(w, &before, e);
	if (rc == OK && before != NULL)
		rc = json_read(now->kept, "the catalog's facts", &is, e);
	if (rc == OK && before != NULL) {
		compare_labels(
			json_object_get(before, "labels"), json_object_get(is, "labels"), mem, out);
		compare_leaves(before, is, mem, out);
		compare_tables(
			json_object_get(before, "tables"), json_object_get(is, "tables"), mem, out);
	}
	json_decref(before);
	json_decref(is);
	return rc;
}

/* ---- new tables ---- */

/* True when *before has got something. */
static bool add_new(json_t *before, json_t *now)
{
	json_t *tables = json_object_get(before, "tables"), *all = json_object_get(now, "tables");
	json_t *leaf;
	const char *oid;
	size_t had = json_object_size(tables);

	if (tables == NULL)
		return false;
	json_object_foreach (json_object_get(now, "leaves"), oid, leaf)
		if (!knows_root(tables, leaf))
			json_object_set(json_object_get(before, "leaves"), oid, leaf);
	json_object_update_missing(
		json_object_get(before, "labels"), json_object_get(now, "labels"));
	json_object_update_missing(tables, all);
	return json_object_size(tables) > had;
}

static enum err keep(struct warehouse *w, json_t *facts, struct error *e)
{
	struct buf text;

	buf_init(&text, BUF_MAX_DEFAULT);
	enum err rc = json_write(facts, &text, e);
	struct mark mark = {.name = MARK, .value = buf_str(&text)};
	if (rc == OK)
		rc = marks_put(w, &mark, 1, e);
	buf_free(&text);
	return rc;
}

enum err catalog_keep_new(struct warehouse *w, const struct catalog_facts *now, struct error *e)
{
	json_t *before = NULL, *is = NULL;
	enum err rc = read_kept(w, &before, e);

	if (rc == OK && before == NULL)
		return catalog_keep(w, now, e);
	if (rc == OK)
		rc = json_read(now->kept, "the catalog's facts", &is, e);
	if (rc == OK && add_new(before, is))
		rc = keep(w, before, e);
	json_decref(before);
	json_decref(is);
	return rc;
}
