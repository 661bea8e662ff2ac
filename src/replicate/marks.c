#include "marks.h"

#include <inttypes.h>
#include <stdio.h>

#include "json.h"

struct str mark_name(struct arena *mem, const char *what, struct str schema, struct str name)
{
	return arena_fmt(mem, "%s:%.*s.%.*s", what, STR_ARG(schema), STR_ARG(name));
}

static struct str keep(struct arena *mem, struct buf *b)
{
	struct str s = arena_str(mem, buf_str(b));

	buf_free(b);
	return s;
}

/* ---- position ---- */

struct str mark_position(struct arena *mem, const struct replicate_position *p)
{
	struct buf b;
	struct json_out j;
	char text[LSN_TEXT], xid[24];

	buf_init(&b, 1 << 16);
	jo_init(&j, &b);
	snprintf(xid, sizeof(xid), "%" PRIu64, p->xid);
	jo_object(&j, NULL);
	jo_cstr(&j, "lsn", lsn_format(p->at, text));
	jo_cstr(&j, "xid", xid);
	jo_i64(&j, "committed_us", p->committed_us);
	jo_end_object(&j);
	return keep(mem, &b);
}

static enum err parse_position(const json_t *doc, struct replicate_position *out, struct error *e)
{
	struct str at, xid;

	TRY(json_want_str(doc, "lsn", &at, e));
	TRY(json_want_str(doc, "xid", &xid, e));
	TRY(json_want_i64(doc, "committed_us", &out->committed_us, e));
	if (!lsn_parse(at, &out->at) || !str_to_u64(xid, &out->xid))
		return FAIL(e, ERR_INPUT, "lsn or xid is not what sluice writes");
	out->found = true;
	return OK;
}

/* The mark as a document; NULL when there is none. */
static enum err read_mark(struct warehouse *w, struct str name, json_t **doc, struct error *e)
{
	struct buf text;

	*doc = NULL;
	buf_init(&text, BUF_MAX_DEFAULT);
	enum err rc = warehouse_mark(w, name, &text, e);
	if (rc == OK && text.n > 0) {
		rc = json_read(buf_str(&text), "the mark", doc, e);
		if (rc != OK)
			error_wrap(e, "reading the mark %.*s of the warehouse", STR_ARG(name));
	}
	buf_free(&text);
	return rc;
}

enum err replicate_position(struct warehouse *w, struct replicate_position *out, struct error *e)
{
	json_t *doc;

	*out = (struct replicate_position){0};
	TRY(read_mark(w, STR("position"), &doc, e));
	if (doc == NULL)
		return OK;
	enum err rc = parse_position(doc, out, e);
	if (rc != OK)
		error_wrap(e, "reading the mark position of the warehouse");
	json_decref(doc);
	return rc;
}

/* ---- snapshot ---- */

struct str mark_snapshot(struct arena *mem, const struct replicate_snapshot *s)
{
	struct buf b, cut;
	struct json_out j;
	char text[LSN_TEXT];

	buf_init(&b, 1 << 24);
	buf_init(&cut, 1 << 24);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_cstr(&j, "state", s->state == SNAPSHOT_DONE ? "done" : "running");
	jo_i64(&j, "relid", s->relid);
	jo_cstr(&j, "floor", lsn_format(s->floor, text));
	cut_print_snapshot(&s->cut, &cut);
	jo_cstr(&j, "lsn", lsn_format(s->cut.at, text));
	jo_str(&j, "snapshot", buf_str(&cut));
	jo_i64(&j, "at_us", s->at_us);
	jo_u64(&j, "rows", s->rows);
	jo_bool(&j, "over", s->over);
	if (s->parts.n > 0)
		jo_raw(&j, "parts", s->parts);
	jo_end_object(&j);
	buf_free(&cut);
	return keep(mem, &b);
}

/* Marks of earlier versions have none of it: such a copy begins anew. */
static enum err parse_progress(
	const json_t *doc, struct arena *mem, struct replicate_snapshot *out, struct error *e)
{
	const json_t *parts = json_object_get(doc, "parts");
	int64_t rows = 0;
	struct buf b;

	if (json_object_get(doc, "rows") != NULL)
		TRY(json_want_i64(doc, "rows", &rows, e));
	if (json_object_get(doc, "at_us") != NULL)
		TRY(json_want_i64(doc, "at_us", &out->at_us, e));
	if (json_object_get(doc, "over") != NULL)
		TRY(json_want_bool(doc, "over", &out->over, e));
	out->rows = (uint64_t)rows;
	if (parts == NULL)
		return OK;
	buf_init(&b, BUF_MAX_DEFAULT);
	enum err rc = json_write(parts, &b, e);
	out->parts = arena_str(mem, buf_str(&b));
	buf_free(&b);
	return rc;
}

static enum err parse_snapshot(
	const json_t *doc, struct arena *mem, struct replicate_snapshot *out, struct error *e)
{
	struct str state, floor, at, snapshot;
	int64_t relid;
	lsn cut_at;

	TRY(json_want_str(doc, "state", &state, e));
	TRY(json_want_i64(doc, "relid", &relid, e));
	TRY(json_want_str(doc, "floor", &floor, e));
	TRY(json_want_str(doc, "lsn", &at, e));
	TRY(json_want_str(doc, "snapshot", &snapshot, e));
	if (!lsn_parse(floor, &out->floor) || !lsn_parse(at, &cut_at))
		return FAIL(e, ERR_INPUT, "lsn or floor is not what sluice writes");
	out->relid = (uint32_t)relid;
	out->state = str_eqc(state, "done") ? SNAPSHOT_DONE : SNAPSHOT_RUNNING;
	TRY(parse_progress(doc, mem, out, e));
	return cut_parse(snapshot, cut_at, mem, &out->cut, e);
}

enum err replicate_snapshot(struct warehouse *w, struct str schema, struct str name,
	struct arena *mem, struct replicate_snapshot *out, struct error *e)
{
	struct str mark = mark_name(mem, "snapshot", schema, name);
	json_t *doc;

	*out = (struct replicate_snapshot){.state = SNAPSHOT_NONE};
	TRY(read_mark(w, mark, &doc, e));
	if (doc == NULL)
		return OK;
	enum err rc = parse_snapshot(doc, mem, out, e);
	if (rc != OK)
		error_wrap(e, "reading the mark %.*s of the warehouse", STR_ARG(mark));
	json_decref(doc);
	return rc;
}

/* ---- shape ---- */

struct str mark_shape(struct arena *mem, const struct table *t)
{
	char identity = (char)(t->identity != 0 ? t->identity : IDENTITY_DEFAULT);
	struct buf b;
	struct json_out j;

	buf_init(&b, 1 << 24);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_array(&j, "columns");
	for (size_t i = 0; i < t->ncolumns; i++) {
		const struct column *c = &t->columns[i];
		jo_object(&j, NULL);
		jo_str(&j, "name", c->name);
		jo_i64(&j, "type", c->pg_type);
		jo_i64(&j, "modifier", c->pg_modifier);
		jo_bool(&j, "key", c->is_key);
		jo_cstr(&j, "lands", type_name(c->type.kind));
		jo_i64(&j, "precision", c->type.precision);
		jo_i64(&j, "scale", c->type.scale);
		if (c->attnum != 0)
			jo_i64(&j, "number", c->attnum);
		if (c->type.form != FORM_PLAIN)
			jo_i64(&j, "form", c->type.form);
		jo_end_object(&j);
	}
	jo_end_array(&j);
	jo_str(&j, "identity", str_make(&identity, 1));
	if (t->highest != 0)
		jo_i64(&j, "highest", t->highest);
	jo_end_object(&j);
	return keep(mem, &b);
}

static enum err parse_landing(const json_t *doc, struct type *out, struct error *e)
{
	struct str lands;
	int64_t precision, scale, form = FORM_PLAIN;

	TRY(json_want_str(doc, "lands", &lands, e));
	TRY(json_want_i64(doc, "precision", &precision, e));
	TRY(json_want_i64(doc, "scale", &scale, e));
	if (json_object_get(doc, "form") != NULL)
		TRY(json_want_i64(doc, "form", &form, e));
	if (form < 0 || form >= FORMS)
		return FAIL(
			e, ERR_INPUT, "no form of a value has the number %lld", (long long)form);
	out->precision = (uint8_t)precision;
	out->scale = (uint8_t)scale;
	out->form = (uint8_t)form;
	for (int kind = 0; kind < T_KINDS; kind++)
		if (str_eqc(lands, type_name((enum type_kind)kind))) {
			out->kind = (enum type_kind)kind;
			return OK;
		}
	return FAIL(e, ERR_INPUT, "no kind of value is called %.*s", STR_ARG(lands));
}

static enum err parse_column(
	const json_t *doc, struct arena *mem, struct column *out, struct error *e)
{
	struct str name;
	int64_t type, modifier, number = 0;

	TRY(parse_landing(doc, &out->type, e));
	TRY(json_want_str(doc, "name", &name, e));
	TRY(json_want_i64(doc, "type", &type, e));
	TRY(json_want_i64(doc, "modifier", &modifier, e));
	TRY(json_want_bool(doc, "key", &out->is_key, e));
	/* Marks of earlier versions do not have it. */
	if (json_object_get(doc, "number") != NULL)
		TRY(json_want_i64(doc, "number", &number, e));
	out->attnum = (int16_t)number;
	out->name = arena_str(mem, name);
	out->pg_type = (uint32_t)type;
	out->pg_modifier = (int32_t)modifier;
	out->nullable = true;
	return OK;
}

static enum err parse_shape(const json_t *doc, struct arena *mem, struct table *t, struct error *e)
{
	json_t *columns;

	TRY(json_want_array(doc, "columns", &columns, e));
	t->ncolumns = json_array_size(columns);
	if (t->ncolumns > TABLE_MAX_COLUMNS)
		return FAIL(
			e, ERR_INPUT, "%zu columns are more than a table can have", t->ncolumns);
	t->columns = arena_array(mem, t->ncolumns, sizeof(*t->columns));
	for (size_t i = 0; i < t->ncolumns; i++)
		TRY(parse_column(json_array_get(columns, i), mem, &t->columns[i], e));
	table_index_keys(t, mem);
	return OK;
}

static enum err make_shape(const json_t *doc, struct str schema, struct str name, struct arena *mem,
	struct table **out, struct error *e)
{
	struct table *t = arena_alloc(mem, sizeof(*t));

	t->schema = arena_str(mem, schema);
	t->name = arena_str(mem, name);
	t->identity = IDENTITY_DEFAULT;
	struct str identity;
	if (json_object_get(doc, "identity") != NULL) {
		TRY(json_want_str(doc, "identity", &identity, e));
		if (identity.n == 1)
			t->identity = (enum identity)identity.p[0];
	}
	int64_t highest = 0;
	if (json_object_get(doc, "highest") != NULL)
		TRY(json_want_i64(doc, "highest", &highest, e));
	t->highest = (int16_t)highest;
	TRY(parse_shape(doc, mem, t, e));
	*out = t;
	return OK;
}

enum err marks_shape(struct warehouse *w, struct str schema, struct str name, struct arena *mem,
	struct table **out, struct error *e)
{
	struct str mark = mark_name(mem, "shape", schema, name);
	json_t *doc;

	*out = NULL;
	TRY(read_mark(w, mark, &doc, e));
	if (doc == NULL)
		return OK;
	enum err rc = make_shape(doc, schema, name, mem, out, e);
	if (rc != OK)
		error_wrap(e, "reading the mark %.*s of the warehouse", STR_ARG(mark));
	json_decref(doc);
	return rc;
}

enum err mark_read_shape(struct str text, struct str schema, struct str name, struct arena *mem,
	struct table **out, struct error *e)
{
	json_t *doc;

	*out = NULL;
	TRY(json_read(text, "a table's shape", &doc, e));
	enum err rc = make_shape(doc, schema, name, mem, out, e);
	json_decref(doc);
	return rc;
}

enum err marks_put(struct warehouse *w, const struct mark *marks, size_t n, struct error *e)
{
	struct change_set set = {.marks = marks, .nmarks = n};

	return warehouse_apply(w, &set, e);
}

#define TRIES  50
#define NAP_US 50000

enum err script_again(struct warehouse *w, const struct env *env, struct str sql, struct error *e)
{
	enum err rc = warehouse_script(w, sql, e);

	for (unsigned n = 1; n < TRIES && rc == ERR_UNAVAILABLE && !env_stopping(env); n++) {
		error_clear(e);
		env_sleep(env, NAP_US);
		rc = warehouse_script(w, sql, e);
	}
	return rc;
}
