#include "pgoutput.h"

#include <assert.h>
#include <string.h>

#include "mem.h"
#include "pg_time.h"
#include "reader.h"

enum { OLD_ROW, NEW_ROW, ROWS };

struct values {
	struct pgoutput_value *p;
	size_t cap;
};

struct pgoutput {
	struct values values[ROWS];
	struct pgoutput_column *columns;
	size_t columns_cap;
	uint32_t *relids;
	size_t relids_cap;
	bool in_stream; /* between stream start and stream stop, where changes carry their xid */
};

struct pgoutput *pgoutput_new(void)
{
	return mem_zalloc(sizeof(struct pgoutput));
}

void pgoutput_free(struct pgoutput *d)
{
	if (d == NULL)
		return;
	for (int i = 0; i < ROWS; i++)
		mem_free(d->values[i].p);
	mem_free(d->columns);
	mem_free(d->relids);
	mem_free(d);
}

/* Room for n items; what was there is not kept. */
static void *room(void *p, size_t *cap, size_t n, size_t size)
{
	if (n <= *cap)
		return p;
	*cap = n < 64 ? 64 : n;
	mem_free(p);
	return mem_array(*cap, size);
}

/* A length that is not a size_t by any reading makes the reader bad through read_bytes. */
static size_t read_length(struct reader *r)
{
	uint32_t n = read_be32(r);

	if (n > INT32_MAX)
		r->bad = true;
	return n;
}

/* Commit and prepare messages have a byte of flags that is not used yet. */
static void read_no_flags(struct reader *r)
{
	if (read_u8(r) != 0)
		r->bad = true;
}

static lsn read_lsn(struct reader *r)
{
	return (lsn){read_be64(r)};
}

static void read_value(struct reader *r, struct pgoutput_value *v)
{
	v->kind = read_u8(r);
	v->bytes = STR_NONE;
	switch (v->kind) {
	case PGV_NULL:
	case PGV_UNCHANGED:
		break;
	case PGV_TEXT:
	case PGV_BINARY:
		v->bytes = read_bytes(r, read_length(r));
		break;
	default:
		r->bad = true;
	}
}

static void read_tuple(struct pgoutput *d, int which, struct reader *r, struct pgoutput_tuple *out)
{
	struct values *v = &d->values[which];
	uint16_t n = read_be16(r);

	if (n > reader_left(r)) /* a value takes at least its kind */
		r->bad = true;
	if (r->bad)
		return;
	v->p = room(v->p, &v->cap, n, sizeof *v->p);
	for (uint16_t i = 0; i < n && !r->bad; i++)
		read_value(r, &v->p[i]);
	*out = (struct pgoutput_tuple){n, v->p};
}

static void read_new(struct pgoutput *d, struct reader *r, struct pgoutput_msg *out)
{
	if (read_u8(r) != 'N')
		r->bad = true;
	read_tuple(d, NEW_ROW, r, &out->new_row);
}

static void read_old(struct pgoutput *d, struct reader *r, struct pgoutput_msg *out)
{
	out->old_kind = read_u8(r);
	if (out->old_kind != 'K' && out->old_kind != 'O')
		r->bad = true;
	read_tuple(d, OLD_ROW, r, &out->old_row);
}

static void read_update(struct pgoutput *d, struct reader *r, struct pgoutput_msg *out)
{
	out->relid = read_be32(r);
	if (reader_left(r) > 0 && *r->p != 'N')
		read_old(d, r, out);
	read_new(d, r, out);
}

static void read_relation(struct pgoutput *d, struct reader *r, struct pgoutput_relation *out)
{
	out->relid = read_be32(r);
	out->schema = read_cstr(r);
	if (out->schema.n == 0)
		out->schema = STR("pg_catalog");
	out->name = read_cstr(r);
	out->identity = read_u8(r);
	if (out->identity == '\0' || strchr("dnfi", out->identity) == NULL)
		r->bad = true;
	out->n = read_be16(r);
	if ((size_t)out->n * 10 > reader_left(r)) /* flags, an empty name, type, modifier */
		r->bad = true;
	if (r->bad)
		return;
	d->columns = room(d->columns, &d->columns_cap, out->n, sizeof *d->columns);
	for (uint16_t i = 0; i < out->n; i++) {
		struct pgoutput_column *c = &d->columns[i];
		c->flags = read_u8(r);
		c->name = read_cstr(r);
		c->type = read_be32(r);
		c->modifier = (int32_t)read_be32(r);
	}
	out->columns = d->columns;
}

static void read_truncate(struct pgoutput *d, struct reader *r, struct pgoutput_msg *out)
{
	uint32_t n = read_be32(r);

	out->truncate_flags = read_u8(r);
	if (n > reader_left(r) / 4)
		r->bad = true;
	if (r->bad)
		return;
	d->relids = room(d->relids, &d->relids_cap, n, sizeof *d->relids);
	for (uint32_t i = 0; i < n; i++)
		d->relids[i] = read_be32(r);
	out->nrelids = n;
	out->relids = d->relids;
}

/* Type messages name a type that is not built in; we land those as text and need no name. */
static void read_type(struct reader *r)
{
	read_be32(r);
	read_cstr(r);
	read_cstr(r);
}

static void read_message(struct reader *r, struct pgoutput_msg *out)
{
	uint8_t flags = read_u8(r);

	if (flags > 1)
		r->bad = true;
	out->transactional = flags == 1;
	out->commit = read_lsn(r);
	out->prefix = read_cstr(r);
	out->content = read_bytes(r, read_length(r));
}

static void read_begin(struct reader *r, struct pgoutput_msg *out)
{
	out->commit = read_lsn(r);
	out->committed_us = read_pg_time(r);
	out->xid = read_be32(r);
}

static void read_commit(struct reader *r, struct pgoutput_msg *out)
{
	read_no_flags(r);
	out->commit = read_lsn(r);
	out->end = read_lsn(r);
	out->committed_us = read_pg_time(r);
}

static void read_prepare(struct reader *r, struct pgoutput_msg *out)
{
	out->commit = read_lsn(r);
	out->end = read_lsn(r);
	out->committed_us = read_pg_time(r);
	out->xid = read_be32(r);
	out->gid = read_cstr(r);
}

static void read_rollback_prepared(struct reader *r, struct pgoutput_msg *out)
{
	read_no_flags(r);
	out->commit = read_lsn(r);
	out->end = read_lsn(r);
	read_pg_time(r); /* of the prepare */
	out->committed_us = read_pg_time(r);
	out->xid = read_be32(r);
	out->gid = read_cstr(r);
}

/* From protocol 4 on with streaming 'parallel' the abort's LSN and time follow. */
static void read_stream_abort(struct reader *r, struct pgoutput_msg *out)
{
	out->xid = read_be32(r);
	out->subxid = read_be32(r);
	if (reader_left(r) == 0)
		return;
	out->commit = read_lsn(r);
	out->committed_us = read_pg_time(r);
}

/* Messages about one row or relation: inside a streamed block the xid stands before them. */
static bool read_change(
	struct pgoutput *d, uint8_t kind, struct reader *r, struct pgoutput_msg *out)
{
	if (strchr("MRYIUDT", kind) == NULL || kind == 0)
		return false;
	if (d->in_stream)
		out->xid = read_be32(r);
	switch (kind) {
	case PGO_MESSAGE:
		read_message(r, out);
		break;
	case PGO_RELATION:
		read_relation(d, r, &out->relation);
		break;
	case PGO_TYPE:
		read_type(r);
		break;
	case PGO_INSERT:
		out->relid = read_be32(r);
		read_new(d, r, out);
		break;
	case PGO_UPDATE:
		read_update(d, r, out);
		break;
	case PGO_DELETE:
		out->relid = read_be32(r);
		read_old(d, r, out);
		break;
	default:
		read_truncate(d, r, out);
	}
	return true;
}

static bool read_transaction(uint8_t kind, struct reader *r, struct pgoutput_msg *out)
{
	switch (kind) {
	case PGO_BEGIN:
		read_begin(r, out);
		return true;
	case PGO_COMMIT:
		read_commit(r, out);
		return true;
	case PGO_ORIGIN:
		out->commit = read_lsn(r);
		out->prefix = read_cstr(r);
		return true;
	case PGO_BEGIN_PREPARE:
		read_prepare(r, out);
		return true;
	case PGO_PREPARE:
	case PGO_COMMIT_PREPARED:
	case PGO_STREAM_PREPARE:
		read_no_flags(r);
		read_prepare(r, out);
		return true;
	case PGO_ROLLBACK_PREPARED:
		read_rollback_prepared(r, out);
		return true;
	case PGO_STREAM_COMMIT:
		out->xid = read_be32(r);
		read_commit(r, out);
		return true;
	case PGO_STREAM_ABORT:
		read_stream_abort(r, out);
		return true;
	default:
		return false;
	}
}

static bool read_stream_edge(
	struct pgoutput *d, uint8_t kind, struct reader *r, struct pgoutput_msg *out)
{
	if (kind == PGO_STREAM_START) {
		out->xid = read_be32(r);
		out->first_segment = read_u8(r) == 1;
		if (d->in_stream) /* blocks do not nest */
			r->bad = true;
		d->in_stream = !r->bad;
		return true;
	}
	if (kind == PGO_STREAM_STOP) {
		if (!d->in_stream)
			r->bad = true;
		d->in_stream = false;
		return true;
	}
	return false;
}

enum err pgoutput_decode(
	struct pgoutput *d, struct str payload, struct pgoutput_msg *out, struct error *e)
{
	struct reader r = reader_of(payload);
	uint8_t kind = read_u8(&r);

	memset(out, 0, sizeof *out);
	out->kind = (enum pgoutput_kind)kind;
	bool known = read_change(d, kind, &r, out) || read_transaction(kind, &r, out) ||
		read_stream_edge(d, kind, &r, out);
	if (known && !r.bad && reader_left(&r) == 0)
		return OK;
	d->in_stream = false;
	if (!known)
		return FAIL(e, ERR_INPUT,
			"decoding a replication message of %zu bytes: kind 0x%02x is not one of "
			"pgoutput's; the stream is damaged or of a newer protocol",
			payload.n, kind);
	return FAIL(e, ERR_INPUT,
		"decoding a replication message '%c' of %zu bytes: %s; the stream is damaged", kind,
		payload.n, r.bad ? "it is cut short or malformed" : "bytes follow its end");
}
