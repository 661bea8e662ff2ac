#include "matrix.h"

#include <math.h>
#include <string.h>

#include "map.h"
#include "mem.h"

/* Places of the columns in the query; slices and then features follow. */
enum { COL_KEY, COL_AS_OF, COL_LABEL, COL_LABEL_AT, COL_MATURE_AT, COL_DUPLICATE, COL_FIRST };

struct loader {
	struct matrix *m;
	const struct features *features;
	struct map texts; /* each slice value is kept once */
};

static void put_cast(struct buf *sql, struct str column, const char *type)
{
	buf_puts(sql, ", CAST(");
	sql_name(sql, column);
	buf_putf(sql, " AS %s)", type);
}

static void put_time(struct buf *sql, struct str column)
{
	if (column.n == 0) {
		buf_puts(sql, ", CAST(NULL AS BIGINT)");
		return;
	}
	buf_puts(sql, ", epoch_us(");
	sql_name(sql, column);
	buf_putc(sql, ')');
}

/* Numbers are cast to DOUBLE by the engine and to float32 here, in one place for all. */
static void put_query(const struct feature_set *f, const struct features *features,
	struct str where, struct buf *sql)
{
	buf_puts(sql, "SELECT CAST(");
	sql_name(sql, f->entity);
	buf_puts(sql, " AS VARCHAR)");
	put_time(sql, f->as_of);
	put_cast(sql, f->label, "INTEGER");
	put_time(sql, f->label_at);
	put_time(sql, f->mature_at);
	if (f->duplicate.n > 0)
		put_cast(sql, f->duplicate, "VARCHAR");
	else
		buf_puts(sql, ", CAST(NULL AS VARCHAR)");
	for (size_t i = 0; i < f->nslices; i++)
		put_cast(sql, f->slices[i], "VARCHAR");
	for (size_t i = 0; i < features->n; i++)
		put_cast(sql, features->items[i].name,
			features->items[i].kind == FEATURE_TEXT ? "VARCHAR" : "DOUBLE");
	buf_puts(sql, " FROM ");
	feature_table_name(f, "", sql);
	if (where.n > 0) {
		buf_puts(sql, " WHERE ");
		buf_put(sql, where);
	}
	buf_puts(sql, " ORDER BY ");
	sql_name(sql, f->entity);
}

static void grow(struct matrix *m, size_t rows)
{
	if (rows <= m->cap)
		return;
	m->cap = rows > m->cap * 2 ? rows : m->cap * 2;
	m->x = mem_realloc_array(m->x, m->cap, m->cols * sizeof *m->x);
	m->label = mem_realloc_array(m->label, m->cap, sizeof *m->label);
	m->as_of = mem_realloc_array(m->as_of, m->cap, sizeof *m->as_of);
	m->label_at = mem_realloc_array(m->label_at, m->cap, sizeof *m->label_at);
	m->mature_at = mem_realloc_array(m->mature_at, m->cap, sizeof *m->mature_at);
	m->duplicate = mem_realloc_array(m->duplicate, m->cap, sizeof *m->duplicate);
	m->key = mem_realloc_array(m->key, m->cap, sizeof *m->key);
	for (size_t i = 0; i < m->nslices; i++)
		m->slices[i] = mem_realloc_array(m->slices[i], m->cap, sizeof **m->slices);
}

static int64_t time_or(const struct vec *v, size_t row, int64_t otherwise)
{
	int64_t us;

	return vec_integer(v, row, &us) ? us : otherwise;
}

static struct str keep_once(struct loader *l, struct str text)
{
	struct str *kept = map_get(&l->texts, text);

	if (kept == NULL) {
		kept = arena_alloc(&l->m->mem, sizeof *kept);
		*kept = arena_str(&l->m->mem, text);
		map_put(&l->texts, text, kept);
	}
	return *kept;
}

static enum err take_label(
	struct matrix *m, const struct vec *v, size_t from, size_t to, struct error *e)
{
	int64_t label;

	if (vec_is_null(v, from)) {
		m->label[to] = LABEL_UNKNOWN;
		return OK;
	}
	if (!vec_integer(v, from, &label) || label < 0 || label > 1)
		return FAIL(e, ERR_INPUT,
			"the label of entity %.*s is not 0, 1 or NULL; the model predicts a yes or "
			"a no",
			STR_ARG(m->key[to]));
	m->label[to] = (uint8_t)label;
	return OK;
}

static enum err take_roles(
	struct loader *l, const struct chunk *c, size_t from, size_t to, struct error *e)
{
	struct matrix *m = l->m;
	struct str twin = vec_text(&c->cols[COL_DUPLICATE], from);

	m->key[to] = arena_str(&m->mem, vec_text(&c->cols[COL_KEY], from));
	m->as_of[to] = time_or(&c->cols[COL_AS_OF], from, TIME_UNKNOWN);
	m->label_at[to] = time_or(&c->cols[COL_LABEL_AT], from, TIME_UNKNOWN);
	m->mature_at[to] = time_or(&c->cols[COL_MATURE_AT], from, m->label_at[to]);
	m->duplicate[to] = twin.n > 0 ? str_hash(twin) : to;
	for (size_t i = 0; i < m->nslices; i++)
		m->slices[i][to] = keep_once(l, vec_text(&c->cols[COL_FIRST + i], from));
	return take_label(m, &c->cols[COL_LABEL], from, to, e);
}

static void take_features(struct loader *l, const struct chunk *c, size_t from, float *x)
{
	const struct vec *cols = c->cols + COL_FIRST + l->m->nslices;

	for (size_t i = 0; i < l->features->n; i++) {
		const struct feature *f = &l->features->items[i];
		if (vec_is_null(&cols[i], from))
			x[i] = NAN;
		else if (f->kind == FEATURE_TEXT)
			x[i] = feature_code(f, vec_text(&cols[i], from));
		else
			x[i] = (float)vec_number(&cols[i], from);
	}
}

static enum err take_chunk(void *arg, const struct chunk *c, struct error *e)
{
	struct loader *l = arg;
	struct matrix *m = l->m;

	grow(m, m->rows + c->rows);
	for (size_t i = 0; i < c->rows; i++) {
		TRY(take_roles(l, c, i, m->rows, e));
		take_features(l, c, i, m->x + m->rows * m->cols);
		m->rows++;
	}
	return OK;
}

enum err matrix_load(struct warehouse *w, const struct feature_set *f,
	const struct features *features, struct str where, struct matrix *out, struct error *e)
{
	struct loader l = {.m = out, .features = features};
	struct buf sql;
	enum err rc;

	*out = (struct matrix){.cols = features->n, .nslices = f->nslices};
	out->slices = mem_array(f->nslices + 1, sizeof(struct str *));
	buf_init(&sql, 16 << 20);
	put_query(f, features, where, &sql);
	rc = warehouse_query(w, buf_str(&sql), take_chunk, &l, e);
	buf_free(&sql);
	map_free(&l.texts);
	if (rc != OK)
		matrix_free(out);
	return rc;
}

void matrix_free(struct matrix *m)
{
	mem_free(m->x);
	mem_free(m->label);
	mem_free(m->as_of);
	mem_free(m->label_at);
	mem_free(m->mature_at);
	mem_free(m->duplicate);
	mem_free(m->key);
	for (size_t i = 0; i < m->nslices; i++)
		mem_free(m->slices[i]);
	mem_free(m->slices);
	arena_free(&m->mem);
	*m = (struct matrix){0};
}
