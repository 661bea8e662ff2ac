#include "table_hold.h"

#include <inttypes.h>
#include <stdio.h>

#include "journal_files.h"
#include "json.h"

static void put_from(struct json_out *j, const struct table_hold *h)
{
	char text[LSN_TEXT], xid[24];

	snprintf(xid, sizeof(xid), "%" PRIu64, h->from.xid);
	jo_i64(j, "relid", h->relid);
	jo_cstr(j, "lsn", lsn_format(h->from.at, text));
	jo_cstr(j, "xid", xid);
	jo_i64(j, "committed_us", h->from.committed_us);
}

struct mark table_hold_mark(
	struct arena *mem, struct str schema, struct str name, const struct table_hold *h)
{
	struct buf b;
	struct json_out j;

	buf_init(&b, 1 << 16);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_bool(&j, "paused", h != NULL && h->paused);
	if (h != NULL && h->has_from)
		put_from(&j, h);
	jo_end_object(&j);
	struct mark mark = {.name = mark_name(mem, "table", schema, name),
		.value = arena_str(mem, buf_str(&b))};
	buf_free(&b);
	return mark;
}

static enum err parse(const json_t *doc, struct table_hold *out, struct error *e)
{
	struct str at, xid;
	int64_t relid;

	TRY(json_want_bool(doc, "paused", &out->paused, e));
	/* Without it the table was not whole when it was held back. */
	if (json_object_get(doc, "lsn") == NULL)
		return OK;
	TRY(json_want_i64(doc, "relid", &relid, e));
	TRY(json_want_str(doc, "lsn", &at, e));
	TRY(json_want_str(doc, "xid", &xid, e));
	TRY(json_want_i64(doc, "committed_us", &out->from.committed_us, e));
	if (!lsn_parse(at, &out->from.at) || !str_to_u64(xid, &out->from.xid) || relid < 0 ||
		relid > UINT32_MAX)
		return FAIL(e, ERR_INPUT, "lsn, xid or relid is not what sluice writes");
	out->relid = (uint32_t)relid;
	out->from.found = out->has_from = true;
	return OK;
}

enum err table_hold_read(struct warehouse *w, struct str schema, struct str name,
	struct table_hold *out, struct error *e)
{
	struct arena mem = {0};
	struct buf text;
	json_t *doc = NULL;

	*out = (struct table_hold){.paused = false};
	buf_init(&text, BUF_MAX_DEFAULT);
	enum err rc = warehouse_mark(w, mark_name(&mem, "table", schema, name), &text, e);
	if (rc == OK && text.n > 0)
		rc = json_read(buf_str(&text), "the mark of a table", &doc, e);
	if (rc == OK && doc != NULL)
		rc = parse(doc, out, e);
	if (rc != OK)
		error_wrap(e, "reading whether %.*s.%.*s is held back", STR_ARG(schema),
			STR_ARG(name));
	json_decref(doc);
	buf_free(&text);
	arena_free(&mem);
	return rc;
}

enum err table_hold_journal(
	const char *dir, lsn from, bool *reaches, uint64_t *bytes, struct error *e)
{
	struct segment_list l;

	*reaches = false;
	*bytes = 0;
	TRY(segment_list_read(dir, &l, e));
	for (size_t i = 0; i < l.n; i++) {
		*reaches |= l.items[i].first.v <= from.v;
		/* One that ends before it is not needed. */
		if (i + 1 == l.n || l.items[i + 1].first.v > from.v)
			*bytes += l.items[i].bytes;
	}
	segment_list_free(&l);
	return OK;
}
