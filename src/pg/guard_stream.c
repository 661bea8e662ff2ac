/* The guard's side of the replication stream: messages written anew without what must not cross. */
#include "guard.h"

#include "map.h"
#include "mem.h"
#include "pg_types.h"
#include "pgoutput.h"
#include "reader.h"

#define MESSAGE_MAX ((size_t)1 << 31)

/* One relation of the stream that has rules. */
struct guarded {
	uint16_t n;
	const struct guard_column **columns; /* NULL: as it stands */
};

struct guard_stream {
	const struct guard *guard;
	struct pgoutput *decoder;
	struct map relations; /* relid, four bytes -> struct guarded */
	bool in_stream;       /* changes carry their transaction's id */
	struct buf out;
};

struct guard_stream *guard_stream_new(const struct guard *g)
{
	struct guard_stream *s = mem_zalloc(sizeof *s);

	s->guard = g;
	s->decoder = pgoutput_new();
	buf_init(&s->out, MESSAGE_MAX);
	return s;
}

static void guarded_free(struct guarded *one)
{
	if (one == NULL)
		return;
	mem_free(one->columns);
	mem_free(one);
}

void guard_stream_free(struct guard_stream *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->relations.n; i++)
		guarded_free(s->relations.entries[i].value);
	map_free(&s->relations);
	pgoutput_free(s->decoder);
	buf_free(&s->out);
	mem_free(s);
}

static bool is_change(uint8_t kind)
{
	return kind == PGO_INSERT || kind == PGO_UPDATE || kind == PGO_DELETE;
}

static struct str key_of(uint32_t relid, uint32_t *room)
{
	*room = relid;
	return str_make(room, sizeof *room);
}

static struct guarded *find(const struct guard_stream *s, uint32_t relid)
{
	uint32_t room;

	return map_get(&s->relations, key_of(relid, &room));
}

/* The relation of a change, without decoding its rows. */
static uint32_t relid_of(const struct guard_stream *s, struct str payload)
{
	struct reader r = reader_of(str_from(payload, s->in_stream ? 5 : 1));

	return read_be32(&r);
}

/* ---- relations ---- */

static enum err check_relation(
	const struct guard_table *rules, const struct pgoutput_relation *r, struct error *e)
{
	struct arena mem = {0};
	struct table t = {.schema = r->schema,
		.name = r->name,
		.identity = (enum identity)r->identity,
		.ncolumns = r->n,
		.columns = arena_array(&mem, (size_t)r->n + 1, sizeof *t.columns)};

	for (uint16_t i = 0; i < r->n; i++)
		t.columns[i] = (struct column){.name = r->columns[i].name,
			/* With REPLICA IDENTITY FULL every column has the flag; what the real key
			 * is the catalog says, and its description is checked likewise. */
			.is_key = (r->columns[i].flags & 1) != 0 && r->identity != IDENTITY_FULL};
	table_index_keys(&t, &mem);
	enum err rc = guard_describe(rules->columns[0].guard, &t, &mem, e);
	arena_free(&mem);
	return rc;
}

static struct guarded *learn(
	struct guard_stream *s, const struct guard_table *rules, const struct pgoutput_relation *r)
{
	struct guarded *one = mem_zalloc(sizeof *one);
	uint32_t room;

	one->n = r->n;
	one->columns = mem_array((size_t)r->n + 1, sizeof *one->columns);
	for (uint16_t i = 0; i < r->n; i++)
		one->columns[i] = guard_find_column(rules, r->columns[i].name);
	guarded_free(map_remove(&s->relations, key_of(r->relid, &room)));
	map_put(&s->relations, key_of(r->relid, &room), one);
	return one;
}

static bool is_kept(const struct guarded *g, size_t i)
{
	return g->columns[i] == NULL || g->columns[i]->kind != GUARD_EXCLUDE;
}

static uint16_t count_kept(const struct guarded *g)
{
	uint16_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		n += is_kept(g, i);
	return n;
}

static void put_cstr(struct buf *out, struct str s)
{
	buf_put(out, s);
	buf_put_u8(out, 0);
}

static void put_head(struct guard_stream *s, const struct pgoutput_msg *m)
{
	buf_reset(&s->out);
	buf_put_u8(&s->out, (uint8_t)m->kind);
	if (s->in_stream)
		buf_put_be32(&s->out, m->xid);
}

static void put_relation(
	struct guard_stream *s, const struct pgoutput_msg *m, const struct guarded *g)
{
	const struct pgoutput_relation *r = &m->relation;

	put_head(s, m);
	buf_put_be32(&s->out, r->relid);
	put_cstr(&s->out, r->schema);
	put_cstr(&s->out, r->name);
	buf_put_u8(&s->out, r->identity);
	buf_put_be16(&s->out, count_kept(g));
	for (size_t i = 0; i < g->n; i++) {
		const struct pgoutput_column *c = &r->columns[i];
		if (!is_kept(g, i))
			continue;
		buf_put_u8(&s->out, c->flags);
		put_cstr(&s->out, c->name);
		buf_put_be32(&s->out, g->columns[i] != NULL ? PG_TEXT : c->type);
		buf_put_be32(&s->out, g->columns[i] != NULL ? UINT32_MAX : (uint32_t)c->modifier);
	}
}

static enum err on_relation(
	struct guard_stream *s, struct str payload, struct str *out, struct error *e)
{
	struct pgoutput_msg m;
	uint32_t room;

	TRY(pgoutput_decode(s->decoder, payload, &m, e));
	const struct guard_table *rules = guard_find(s->guard, m.relation.schema, m.relation.name);
	if (rules == NULL || rules->n == 0) {
		guarded_free(map_remove(&s->relations, key_of(m.relation.relid, &room)));
		return OK;
	}
	TRY(check_relation(rules, &m.relation, e));
	put_relation(s, &m, learn(s, rules, &m.relation));
	*out = buf_str(&s->out);
	return OK;
}

/* ---- rows ---- */

static enum err put_value(struct guard_stream *s, const struct guard_column *c,
	const struct pgoutput_value *v, struct error *e)
{
	buf_put_u8(&s->out, v->kind);
	if (v->kind != PGV_TEXT && v->kind != PGV_BINARY)
		return OK;
	/* What a binary value would look like as text is not known here; it is not asked for. */
	if (c != NULL && v->kind == PGV_BINARY)
		return FAIL(e, ERR_BUG, "guarding the column %.*s: its value came in binary form",
			STR_ARG(c->name));
	if (c == NULL) {
		buf_put_be32(&s->out, (uint32_t)v->bytes.n);
		buf_put(&s->out, v->bytes);
		return OK;
	}
	size_t at = s->out.n;
	buf_put_be32(&s->out, 0);
	guard_value(c, v->bytes, &s->out);
	size_t n = s->out.n - at - 4;
	for (size_t i = 0; buf_ok(&s->out) && i < 4; i++)
		s->out.p[at + i] = (char)(n >> (24 - 8 * i));
	return OK;
}

static enum err put_tuple(struct guard_stream *s, const struct guarded *g, char kind,
	const struct pgoutput_tuple *t, struct error *e)
{
	if (t->n != g->n)
		return FAIL(e, ERR_INPUT,
			"guarding personal data: a row has %u values, its table %u columns; the "
			"stream is damaged",
			t->n, g->n);
	buf_put_u8(&s->out, (uint8_t)kind);
	buf_put_be16(&s->out, count_kept(g));
	for (size_t i = 0; i < t->n; i++)
		if (is_kept(g, i))
			TRY(put_value(s, g->columns[i], &t->values[i], e));
	return OK;
}

static enum err on_change(struct guard_stream *s, const struct guarded *g, struct str payload,
	struct str *out, struct error *e)
{
	struct pgoutput_msg m;

	TRY(pgoutput_decode(s->decoder, payload, &m, e));
	put_head(s, &m);
	buf_put_be32(&s->out, m.relid);
	if (m.old_kind != 0)
		TRY(put_tuple(s, g, (char)m.old_kind, &m.old_row, e));
	if (m.kind != PGO_DELETE)
		TRY(put_tuple(s, g, 'N', &m.new_row, e));
	*out = buf_str(&s->out);
	return OK;
}

static enum err on_edge(struct guard_stream *s, struct str payload, bool begins, struct error *e)
{
	struct pgoutput_msg m;

	s->in_stream = begins;
	return pgoutput_decode(s->decoder, payload, &m, e);
}

enum err guard_message(struct guard_stream *s, struct str payload, struct str *out, struct error *e)
{
	uint8_t kind = payload.n > 0 ? (uint8_t)payload.p[0] : 0;

	*out = payload;
	if (s->guard == NULL || s->guard->n == 0)
		return OK;
	if (kind == PGO_STREAM_START || kind == PGO_STREAM_STOP)
		return on_edge(s, payload, kind == PGO_STREAM_START, e);
	if (kind == PGO_RELATION)
		TRY(on_relation(s, payload, out, e));
	else if (is_change(kind)) {
		const struct guarded *g = find(s, relid_of(s, payload));
		if (g != NULL)
			TRY(on_change(s, g, payload, out, e));
	}
	if (!buf_ok(&s->out))
		return FAIL(e, ERR_INPUT,
			"guarding personal data: a message is larger than %zu bytes", MESSAGE_MAX);
	return OK;
}
