#include "part_json.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

static void put_digest(struct json_out *j, const char *name, const struct digest *d)
{
	char text[DIGEST_TEXT];

	jo_object(j, name);
	jo_cstr(j, "digest", digest_format(d, text));
	jo_u64(j, "rows", d->rows);
	jo_end_object(j);
}

static void put_counts(struct json_out *j, const uint64_t count[DIFFERENCES])
{
	for (int d = 0; d < DIFFERENCES; d++)
		jo_u64(j, difference_name((enum difference)d), count[d]);
}

/* The key is JSON with all its digits: it travels as text, so that none is lost. */
static void put_key(struct json_out *j, const struct reconcile_key *k)
{
	jo_object(j, NULL);
	jo_str(j, "key", k->key);
	jo_i64(j, "kind", k->kind);
	jo_i64(j, "blame", k->blame);
	jo_bool(j, "in_history", k->in_history);
	jo_array(j, "columns");
	for (size_t c = 0; c < k->ncolumns; c++)
		jo_str(j, NULL, k->columns[c]);
	jo_end_array(j);
	jo_end_object(j);
}

static void put_result(struct json_out *j, const struct part *p)
{
	char at[LSN_TEXT];
	struct buf snapshot;

	buf_init(&snapshot, BUF_MAX_DEFAULT);
	cut_print_snapshot(&p->cut, &snapshot);
	jo_cstr(j, "lsn", lsn_format(p->cut.at, at));
	jo_str(j, "snapshot", buf_str(&snapshot));
	buf_free(&snapshot);
	put_digest(j, "source", &p->source);
	put_digest(j, "replica", &p->replica);
	put_counts(j, p->count);
	jo_fixed(j, "seconds", p->seconds, 6);
	jo_i64(j, "scanned_us", p->scanned_us);
	jo_bool(j, "history_keyless", p->history.keyless);
	if (p->history.compared) {
		jo_object(j, "history");
		put_digest(j, "fold", &p->history.digest);
		put_counts(j, p->history.count);
		jo_end_object(j);
	}
	jo_array(j, "keys");
	for (size_t k = 0; k < p->nkeys; k++)
		put_key(j, &p->keys[k]);
	jo_end_array(j);
	jo_array(j, "blamed");
	for (int b = 0; b < BLAMES; b++)
		jo_u64(j, NULL, p->blamed.by[b]);
	jo_end_array(j);
	jo_u64(j, "looked_at", p->blamed.keys);
}

void part_json_write(const struct part *p, struct buf *out)
{
	struct json_out j;

	buf_reset(out);
	jo_init(&j, out);
	jo_object(&j, NULL);
	jo_u64(&j, "number", p->number);
	jo_u64(&j, "of", p->of);
	jo_str(&j, "source_where", p->where[SIDE_SOURCE]);
	jo_str(&j, "replica_where", p->where[SIDE_REPLICA]);
	jo_str(&j, "shape", p->shape);
	jo_u64(&j, "expected", p->rows);
	jo_bool(&j, "chosen", p->chosen);
	jo_bool(&j, "done", p->done);
	if (p->done)
		put_result(&j, p);
	jo_end_object(&j);
}

static enum err read_text(
	const json_t *o, const char *name, struct arena *mem, struct str *out, struct error *e)
{
	struct str s;

	TRY(json_want_str(o, name, &s, e));
	*out = s.n > 0 ? arena_str(mem, s) : STR_NONE;
	return OK;
}

static enum err read_u64(const json_t *o, const char *name, uint64_t *out, struct error *e)
{
	int64_t v;

	TRY(json_want_i64(o, name, &v, e));
	*out = (uint64_t)v;
	return OK;
}

static enum err read_digest(const json_t *o, const char *name, struct digest *out, struct error *e)
{
	json_t *d;
	struct str text;
	char half[17] = "";

	TRY(json_want_object(o, name, &d, e));
	TRY(json_want_str(d, "digest", &text, e));
	TRY(read_u64(d, "rows", &out->rows, e));
	if (text.n != 32)
		return FAIL(
			e, ERR_INPUT, "reading a kept range: \"%.*s\" is no digest", STR_ARG(text));
	memcpy(half, text.p, 16);
	out->hi = strtoull(half, NULL, 16);
	memcpy(half, text.p + 16, 16);
	out->lo = strtoull(half, NULL, 16);
	return OK;
}

static enum err read_counts(const json_t *o, uint64_t count[DIFFERENCES], struct error *e)
{
	for (int d = 0; d < DIFFERENCES; d++)
		TRY(read_u64(o, difference_name((enum difference)d), &count[d], e));
	return OK;
}

static enum err read_key(
	const json_t *o, struct arena *mem, struct reconcile_key *out, struct error *e)
{
	json_t *columns;
	int64_t kind, blame;

	TRY(read_text(o, "key", mem, &out->key, e));
	TRY(json_want_i64(o, "kind", &kind, e));
	TRY(json_want_i64(o, "blame", &blame, e));
	TRY(json_want_bool(o, "in_history", &out->in_history, e));
	TRY(json_want_array(o, "columns", &columns, e));
	if (kind < 0 || kind >= DIFFERENCES || blame < 0 || blame >= BLAMES)
		return FAIL(e, ERR_INPUT, "reading a kept range: an unknown kind of difference");
	out->kind = (enum difference)kind;
	out->blame = (enum blame)blame;
	out->ncolumns = json_array_size(columns);
	struct str *names = arena_array(mem, out->ncolumns + 1, sizeof *names);
	for (size_t c = 0; c < out->ncolumns; c++) {
		const json_t *name = json_array_get(columns, c);
		names[c] = arena_str(
			mem, str_make(json_string_value(name), json_string_length(name)));
	}
	out->columns = names;
	return OK;
}

static enum err read_keys(const json_t *o, struct arena *mem, struct part *out, struct error *e)
{
	json_t *keys;

	TRY(json_want_array(o, "keys", &keys, e));
	out->nkeys = json_array_size(keys);
	out->keys = arena_array(mem, out->nkeys + 1, sizeof *out->keys);
	for (size_t k = 0; k < out->nkeys; k++)
		TRY(read_key(json_array_get(keys, k), mem, &out->keys[k], e));
	return OK;
}

/* Ranges that were kept before these were counted have none. */
static void read_blamed(const json_t *o, struct blamed *out)
{
	const json_t *by = json_object_get(o, "blamed");

	for (size_t b = 0; b < BLAMES && b < json_array_size(by); b++)
		out->by[b] = (uint64_t)json_integer_value(json_array_get(by, b));
	out->keys = (uint64_t)json_integer_value(json_object_get(o, "looked_at"));
}

static enum err read_history(const json_t *o, struct reconcile_history *out, struct error *e)
{
	const json_t *h = json_object_get(o, "history");

	out->keyless = json_is_true(json_object_get(o, "history_keyless"));
	if (h == NULL)
		return OK;
	out->compared = true;
	TRY(read_digest(h, "fold", &out->digest, e));
	return read_counts(h, out->count, e);
}

static enum err read_result(const json_t *o, struct arena *mem, struct part *out, struct error *e)
{
	struct str at, snapshot;
	lsn cut_at;

	TRY(json_want_str(o, "lsn", &at, e));
	TRY(json_want_str(o, "snapshot", &snapshot, e));
	if (!lsn_parse(at, &cut_at))
		return FAIL(
			e, ERR_INPUT, "reading a kept range: \"%.*s\" is no position", STR_ARG(at));
	TRY(cut_parse(arena_str(mem, snapshot), cut_at, mem, &out->cut, e));
	TRY(read_digest(o, "source", &out->source, e));
	TRY(read_digest(o, "replica", &out->replica, e));
	TRY(read_counts(o, out->count, e));
	TRY(json_want_f64(o, "seconds", &out->seconds, e));
	TRY(json_want_i64(o, "scanned_us", &out->scanned_us, e));
	TRY(read_history(o, &out->history, e));
	read_blamed(o, &out->blamed);
	return read_keys(o, mem, out, e);
}

static enum err read_part(const json_t *o, struct arena *mem, struct part *out, struct error *e)
{
	uint64_t number, of;

	TRY(read_u64(o, "number", &number, e));
	TRY(read_u64(o, "of", &of, e));
	out->number = (uint32_t)number;
	out->of = (uint32_t)of;
	TRY(read_text(o, "source_where", mem, &out->where[SIDE_SOURCE], e));
	TRY(read_text(o, "replica_where", mem, &out->where[SIDE_REPLICA], e));
	TRY(read_text(o, "shape", mem, &out->shape, e));
	TRY(read_u64(o, "expected", &out->rows, e));
	TRY(json_want_bool(o, "chosen", &out->chosen, e));
	TRY(json_want_bool(o, "done", &out->done, e));
	return out->done ? read_result(o, mem, out, e) : OK;
}

enum err part_json_read(struct str text, struct arena *mem, struct part *out, struct error *e)
{
	json_t *o = NULL;

	*out = (struct part){.table = 0};
	TRY(json_read(text, "a kept range", &o, e));
	enum err rc = read_part(o, mem, out, e);
	json_decref(o);
	return rc;
}
