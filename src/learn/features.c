/* Which columns are features, and the dictionaries of those that are text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"
#include "mem.h"

#define FEATURES_MAX 4096
/* Every place in a dictionary must be a float32 of its own. */
#define VALUES_MAX ((size_t)1 << 24)

static bool kind_of(struct str type, enum feature_kind *out)
{
	static const char *const numbers[] = {"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT",
		"HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE"};

	*out = FEATURE_NUMBER;
	if (str_starts(type, STR("DECIMAL")))
		return true;
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (str_eqc(type, numbers[i]))
			return true;
	*out = FEATURE_TEXT;
	return str_eqc(type, "VARCHAR");
}

struct column_reader {
	const struct feature_set *f;
	struct arena *mem;
	struct features *out;
	size_t roles; /* columns that the head names, found so far */
};

static enum err take_column(
	struct column_reader *r, struct str name, struct str type, struct error *e)
{
	enum feature_kind kind;

	if (feature_set_is_role(r->f, name)) {
		r->roles++;
		return OK;
	}
	if (!kind_of(type, &kind))
		return FAIL(e, ERR_USAGE,
			"the feature \"%.*s\" of set \"%.*s\" is %.*s, which is no number; cast it "
			"to "
			"BIGINT, DOUBLE or VARCHAR, or take it out",
			STR_ARG(name), STR_ARG(r->f->name), STR_ARG(type));
	if (r->out->n == FEATURES_MAX)
		return FAIL(e, ERR_USAGE, "the set \"%.*s\" has more than %d features",
			STR_ARG(r->f->name), FEATURES_MAX);
	r->out->items[r->out->n++] = (struct feature){
		.name = arena_str(r->mem, name), .kind = kind};
	return OK;
}

static enum err take_columns(void *arg, const struct chunk *c, struct error *e)
{
	for (size_t i = 0; i < c->rows; i++)
		TRY(take_column(arg, vec_text(&c->cols[0], i), vec_text(&c->cols[1], i), e));
	return OK;
}

static size_t count_roles(const struct feature_set *f)
{
	return 5 + (size_t)(f->mature_at.n > 0) + (size_t)(f->duplicate.n > 0);
}

enum err features_of(struct warehouse *w, const struct feature_set *f, struct arena *mem,
	struct features *out, struct error *e)
{
	struct column_reader r = {.f = f, .mem = mem, .out = out};
	struct buf sql;
	enum err rc;

	out->n = 0;
	out->items = arena_array(mem, FEATURES_MAX, sizeof *out->items);
	buf_init(&sql, 1 << 16);
	buf_puts(&sql,
		"SELECT column_name, data_type FROM information_schema.columns WHERE "
		"table_schema = 'features' AND table_name = ");
	sql_text(&sql, f->name);
	buf_puts(&sql, " ORDER BY ordinal_position");
	rc = warehouse_query(w, buf_str(&sql), take_columns, &r, e);
	buf_free(&sql);
	if (rc == OK && r.roles != count_roles(f))
		return FAIL(e, ERR_USAGE,
			"the set \"%.*s\" gives %zu of the %zu columns that its head names; see "
			"that entity, as_of, label, label_at, open, mature_at and duplicate each "
			"name a column of its own",
			STR_ARG(f->name), r.roles, count_roles(f));
	if (rc == OK && out->n == 0)
		return FAIL(e, ERR_USAGE, "the set \"%.*s\" has no feature", STR_ARG(f->name));
	return rc;
}

static int compare_str(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

struct value_reader {
	struct feature *f;
	struct arena *mem;
	size_t cap;
};

static enum err take_values(void *arg, const struct chunk *c, struct error *e)
{
	struct value_reader *r = arg;
	struct feature *f = r->f;

	for (size_t i = 0; i < c->rows; i++) {
		if (f->nvalues == VALUES_MAX)
			return FAIL(e, ERR_USAGE,
				"the feature \"%.*s\" has more than %zu values; it is no category",
				STR_ARG(f->name), VALUES_MAX);
		if (f->nvalues == r->cap) {
			r->cap = r->cap == 0 ? 64 : r->cap * 2;
			f->values = mem_realloc_array(f->values, r->cap, sizeof *f->values);
		}
		f->values[f->nvalues++] = arena_str(r->mem, vec_text(&c->cols[0], i));
	}
	return OK;
}

static enum err learn_values(struct warehouse *w, const struct feature_set *f, struct str where,
	struct arena *mem, struct feature *feature, struct error *e)
{
	struct value_reader r = {.f = feature, .mem = mem};
	struct str *found;
	struct buf sql;
	enum err rc;

	buf_init(&sql, 1 << 16);
	buf_puts(&sql, "SELECT DISTINCT ");
	sql_name(&sql, feature->name);
	buf_puts(&sql, " FROM ");
	feature_table_name(f, "", &sql);
	buf_puts(&sql, " WHERE ");
	sql_name(&sql, feature->name);
	buf_puts(&sql, " IS NOT NULL AND ");
	buf_put(&sql, where);
	feature->nvalues = 0;
	rc = warehouse_query(w, buf_str(&sql), take_values, &r, e);
	buf_free(&sql);
	found = feature->values;
	feature->values = arena_array(mem, feature->nvalues + 1, sizeof *found);
	if (feature->nvalues > 0) {
		memcpy(feature->values, found, feature->nvalues * sizeof *found);
		qsort(feature->values, feature->nvalues, sizeof *found, compare_str);
	}
	mem_free(found);
	return rc;
}

enum err features_learn(struct warehouse *w, const struct feature_set *f, struct str where,
	struct arena *mem, struct features *features, struct error *e)
{
	for (size_t i = 0; i < features->n; i++)
		if (features->items[i].kind == FEATURE_TEXT)
			TRY(learn_values(w, f, where, mem, &features->items[i], e));
	return OK;
}

float feature_code(const struct feature *f, struct str text)
{
	const struct str *at = f->nvalues == 0
		? NULL
		: bsearch(&text, f->values, f->nvalues, sizeof text, compare_str);

	return at == NULL ? NAN : (float)(at - f->values);
}
