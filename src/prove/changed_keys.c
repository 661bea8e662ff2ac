#include "changed_keys.h"

#include <inttypes.h>
#include <stdio.h>

#include "mem.h"
#include "touched.h"

bool changed_keys_possible(const struct table *t)
{
	for (size_t k = 0; k < t->nkeys; k++) {
		const struct column *c = &t->columns[t->keys[k]];

		switch (c->type.kind) {
		case T_BOOL:
		case T_INT2:
		case T_INT4:
		case T_INT8:
		case T_UINT4:
		case T_DECIMAL:
		case T_TEXT:
		case T_BYTES:
		case T_UUID:
		case T_DATE:
		case T_TIMESTAMP:
		case T_TIMESTAMPTZ:
			break;
		case T_FLOAT4:
		case T_FLOAT8:
		case T_JSON:
		case T_TIME:
		case T_INTERVAL:
		case T_KINDS:
			return false;
		}
		if (c->guard != NULL)
			return false;
	}
	return t->nkeys > 0 && !table_is_bag(t);
}

void changed_keys_free(struct changed_keys *keys)
{
	mem_free(keys->list);
	arena_free(&keys->mem);
	*keys = (struct changed_keys){.n = 0};
}

struct reading {
	struct changed_keys *keys;
	struct vec *cols; /* the table's, of which only those of the key are set */
	struct buf scratch, text;
	uint64_t before; /* only rows of current from before this LSN; 0: the answer has none */
};

static enum err take_key(struct reading *r, const struct chunk *c, size_t at, struct error *e)
{
	struct changed_keys *keys = r->keys;
	const struct subject *s = keys->subject;
	struct str *values = arena_array(&keys->mem, s->nkeys, sizeof *values);

	if (keys->n == keys->cap) {
		keys->cap = keys->cap > 0 ? keys->cap * 2 : 1024;
		keys->list = mem_realloc_array(keys->list, keys->cap, sizeof *keys->list);
	}
	for (size_t k = 0; k < s->nkeys; k++) {
		buf_reset(&r->text);
		type_print(&c->cols[k], at, &r->text);
		values[k] = arena_str(&keys->mem, buf_str(&r->text));
	}
	struct changed_key *key = &keys->list[keys->n++];
	key->values = values;
	return row_key_hash(s, r->cols, at, STR_NONE, &r->scratch, &key->hash, e);
}

static bool is_stale(const struct vec *at, size_t row, uint64_t before)
{
	return vec_is_null(at, row) || VEC_AT(at, uint64_t, row) < before;
}

static enum err take_keys(void *arg, const struct chunk *c, struct error *e)
{
	struct reading *r = arg;
	const struct subject *s = r->keys->subject;

	for (size_t k = 0; k < s->nkeys; k++) {
		struct vec *v = &r->cols[s->keys[k]];

		*v = c->cols[k];
		if (v->type.kind == T_JSON) /* an engine may have one type for both */
			v->type.kind = T_TEXT;
	}
	for (size_t i = 0; i < c->rows; i++)
		if (r->before == 0 || is_stale(&c->cols[s->nkeys], i, r->before))
			TRY(take_key(r, c, i, e));
	return OK;
}

static enum err read_keys(struct changed_keys *keys, const struct sides *s,
	const struct subject *subject, struct buf *sql, uint64_t before, struct error *e)
{
	struct reading r = {.keys = keys, .before = before};

	keys->subject = subject;
	r.cols = mem_array(subject->table->ncolumns + 1, sizeof *r.cols);
	buf_init(&r.scratch, BUF_MAX_DEFAULT);
	buf_init(&r.text, BUF_MAX_DEFAULT);
	enum err rc = warehouse_query(s->replica, buf_str(sql), take_keys, &r, e);
	mem_free(r.cols);
	buf_free(&r.scratch);
	buf_free(&r.text);
	return rc;
}

static void put_keys_since(
	struct buf *sql, const struct subject *subject, const struct cut *outside, uint64_t first)
{
	touched_put_history(sql, subject->table);
	buf_puts(sql, " WHERE _op <> 'T' AND ");
	touched_put_since(sql, outside, first);
	touched_put_part(sql, subject);
}

enum err changed_keys_read(struct changed_keys *keys, const struct sides *s,
	const struct subject *subject, const struct cut *outside, uint64_t first, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 4 << 20);
	buf_puts(&sql, "SELECT DISTINCT ");
	touched_put_key_list(&sql, subject);
	buf_puts(&sql, " FROM ");
	put_keys_since(&sql, subject, outside, first);
	enum err rc = read_keys(keys, s, subject, &sql, 0, e);
	buf_free(&sql);
	return rc;
}

enum err changed_keys_stale(struct changed_keys *keys, const struct sides *s,
	const struct subject *subject, const struct cut *outside, uint64_t first, struct error *e)
{
	const char *open = subject->nkeys > 1 ? "(" : "", *close = subject->nkeys > 1 ? ")" : "";
	const struct table *t = subject->table;
	struct buf sql;

	buf_init(&sql, 4 << 20);
	buf_puts(&sql, "SELECT ");
	touched_put_key_list(&sql, subject);
	/* A condition on _lsn would make DuckDB gather the rows of current, not those few keys. */
	buf_puts(&sql, ", _lsn FROM ");
	sql_name(&sql, t->schema);
	buf_putc(&sql, '.');
	sql_name(&sql, t->name);
	buf_putf(&sql, " WHERE %s", open);
	touched_put_key_list(&sql, subject);
	buf_putf(&sql, "%s IN (SELECT %s", close, open);
	touched_put_key_list(&sql, subject);
	buf_putf(&sql, "%s FROM ", close);
	put_keys_since(&sql, subject, outside, first);
	buf_putc(&sql, ')');
	touched_put_part(&sql, subject);
	enum err rc = read_keys(keys, s, subject, &sql, first, e);
	buf_free(&sql);
	return rc;
}

/* ---- conditions ---- */

static const struct changed_key *key_at(
	const struct changed_keys *keys, const size_t *list, size_t i)
{
	return &keys->list[list != NULL ? list[i] : i];
}

/* '{"a","b"}'::type[], with what is special in an array and in a literal escaped. */
static void put_array(struct buf *out, const struct changed_keys *keys, struct str type,
	const size_t *list, size_t from, size_t n, size_t column)
{
	buf_puts(out, "E'{");
	for (size_t i = from; i < from + n; i++) {
		struct str v = key_at(keys, list, i)->values[column];

		buf_puts(out, i > from ? ",\"" : "\"");
		for (size_t k = 0; k < v.n; k++) {
			if (v.p[k] == '"')
				buf_puts(out, "\\\\\"");
			else if (v.p[k] == '\\')
				buf_puts(out, "\\\\\\\\");
			else if (v.p[k] == '\'')
				buf_puts(out, "''");
			else
				buf_putc(out, v.p[k]);
		}
		buf_putc(out, '"');
	}
	buf_putf(out, "}'::%.*s[]", STR_ARG(type));
}

void changed_keys_put_source(struct buf *out, const struct changed_keys *keys,
	const struct str *types, const size_t *list, size_t from, size_t n)
{
	const struct subject *s = keys->subject;
	struct arena mem = {0};

	buf_puts(out, s->nkeys > 1 ? "(" : "");
	for (size_t k = 0; k < s->nkeys; k++)
		buf_putf(out, "%s%.*s", k > 0 ? ", " : "",
			STR_ARG(pg_ident(&mem, str_of(s->key_names[k]))));
	buf_puts(out, s->nkeys > 1 ? ") IN (SELECT * FROM ROWS FROM (" : " = ANY (");
	for (size_t k = 0; k < s->nkeys; k++) {
		buf_puts(out, k > 0 ? ", " : "");
		buf_puts(out, s->nkeys > 1 ? "pg_catalog.unnest(" : "");
		put_array(out, keys, types[k], list, from, n, k);
		buf_puts(out, s->nkeys > 1 ? ")" : "");
	}
	buf_puts(out, s->nkeys > 1 ? "))" : ")");
	arena_free(&mem);
}

static void put_cast(struct buf *out, struct str value, const char *type)
{
	buf_puts(out, "CAST(");
	sql_text(out, value);
	buf_putf(out, " AS %s)", type);
}

/* '0044-03-15 12:00:00 BC' of PostgreSQL is '0044-03-15 (BC) 12:00:00' elsewhere. */
static void put_moment(struct buf *out, struct str value, const char *type)
{
	struct arena mem = {0};
	size_t n = value.n > 3 ? value.n - 3 : 0, day = 0;

	if (n > 0 && str_eqc(str_make(value.p + n, 3), " BC")) {
		while (day < n && value.p[day] != ' ')
			day++;
		value = arena_fmt(
			&mem, "%.*s (BC)%.*s", (int)day, value.p, (int)(n - day), value.p + day);
	}
	put_cast(out, value, type);
	arena_free(&mem);
}

static void put_bytes(struct buf *out, struct str hex)
{
	buf_puts(out, "from_hex(");
	sql_text(out, str_make(hex.p + 2, hex.n - 2)); /* behind its \x */
	buf_putc(out, ')');
}

static void put_literal(struct buf *out, struct type type, struct str value)
{
	char decimal[32];

	switch ((int)type.kind) {
	case T_BOOL:
		buf_puts(out, str_eqc(value, "t") || str_eqc(value, "true") ? "TRUE" : "FALSE");
		break;
	case T_INT2:
	case T_INT4:
	case T_INT8:
	case T_UINT4:
		buf_put(out, value);
		break;
	case T_DECIMAL:
		snprintf(decimal, sizeof decimal, "DECIMAL(%u, %u)", type.precision, type.scale);
		put_cast(out, value, decimal);
		break;
	case T_BYTES:
		put_bytes(out, value);
		break;
	case T_UUID:
		put_cast(out, value, "UUID");
		break;
	case T_DATE:
		put_moment(out, value, "DATE");
		break;
	case T_TIMESTAMP:
		put_moment(out, value, "TIMESTAMP");
		break;
	case T_TIMESTAMPTZ:
		put_moment(out, value, "TIMESTAMP WITH TIME ZONE");
		break;
	default:
		sql_text(out, value);
	}
}

void changed_keys_put_replica(
	struct buf *out, const struct changed_keys *keys, const size_t *list, size_t n)
{
	const struct subject *s = keys->subject;
	const char *open = s->nkeys > 1 ? "(" : "", *close = s->nkeys > 1 ? ")" : "";

	buf_puts(out, open);
	touched_put_key_list(out, s);
	buf_putf(out, "%s IN (", close);
	for (size_t i = 0; i < n; i++) {
		buf_putf(out, "%s%s", i > 0 ? ", " : "", open);
		for (size_t k = 0; k < s->nkeys; k++) {
			buf_puts(out, k > 0 ? ", " : "");
			put_literal(out, s->table->columns[s->keys[k]].type,
				key_at(keys, list, i)->values[k]);
		}
		buf_puts(out, close);
	}
	buf_putc(out, ')');
}

enum err changed_keys_types(struct pg *c, const struct subject *subject, struct arena *mem,
	struct str *out, struct error *e)
{
	struct buf sql;
	PGresult *r;

	buf_init(&sql, 1 << 16);
	for (size_t k = 0; k < subject->nkeys; k++)
		buf_putf(&sql, "%s pg_catalog.format_type(%u, NULL)", k > 0 ? "," : "SELECT",
			subject->table->columns[subject->keys[k]].pg_type);
	enum err rc = pg_query(
		c, buf_cstr(&sql), 0, NULL, "reading the types of a key", mem, &r, e);
	for (size_t k = 0; rc == OK && k < subject->nkeys; k++)
		out[k] = pg_cell_str(r, 0, (int)k);
	buf_free(&sql);
	return rc;
}
