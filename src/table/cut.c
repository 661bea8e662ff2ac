#include "cut.h"

#include <inttypes.h>

/* The ids after the second colon: ascending, each in [xmin, xmax). */
static enum err parse_running(struct str list, struct arena *mem, struct cut *c, struct error *e)
{
	size_t most = 1;
	struct str item;

	if (str_ends(list, STR(",")))
		return FAIL(e, ERR_INPUT, "reading a snapshot: the list \"%.*s\" ends in a comma",
			STR_ARG(list));
	for (size_t i = 0; i < list.n; i++)
		most += list.p[i] == ',';
	uint64_t *ids = arena_array(mem, most, sizeof *ids);
	size_t n = 0;
	while (str_next(&list, ',', &item)) {
		uint64_t id;

		if (!str_to_u64(item, &id) || id < c->xmin || id >= c->xmax)
			return FAIL(e, ERR_INPUT,
				"reading a snapshot: \"%.*s\" is no transaction id between %" PRIu64
				" and %" PRIu64,
				STR_ARG(item), c->xmin, c->xmax);
		if (n > 0 && ids[n - 1] >= id)
			return FAIL(e, ERR_INPUT,
				"reading a snapshot: transaction id %" PRIu64 " is out of order",
				id);
		ids[n++] = id;
	}
	c->running = ids;
	c->nrunning = n;
	return OK;
}

enum err cut_parse(struct str snapshot, lsn at, struct arena *mem, struct cut *out, struct error *e)
{
	struct str rest = snapshot, xmin, xmax;

	*out = (struct cut){.at = at};
	if (!str_cut(&rest, ':', &xmin) || !str_cut(&rest, ':', &xmax) ||
		!str_to_u64(xmin, &out->xmin) || !str_to_u64(xmax, &out->xmax) || out->xmin == 0 ||
		out->xmin > out->xmax)
		return FAIL(e, ERR_INPUT,
			"reading a snapshot: \"%.*s\" is not of the form xmin:xmax:xid,xid,...",
			STR_ARG(snapshot));
	return parse_running(rest, mem, out, e);
}

void cut_print_snapshot(const struct cut *c, struct buf *out)
{
	buf_putf(out, "%" PRIu64 ":%" PRIu64 ":", c->xmin, c->xmax);
	for (size_t i = 0; i < c->nrunning; i++)
		buf_putf(out, "%s%" PRIu64, i > 0 ? "," : "", c->running[i]);
}

bool cut_sees_xid(const struct cut *c, uint64_t xid)
{
	if (xid < c->xmin)
		return true;
	if (xid >= c->xmax)
		return false;
	size_t low = 0, high = c->nrunning;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (c->running[mid] == xid)
			return false;
		if (c->running[mid] < xid)
			low = mid + 1;
		else
			high = mid;
	}
	return true;
}

bool cut_includes(const struct cut *c, uint64_t xid, lsn commit)
{
	/* Rows of the first snapshot have no transaction: they stand before every cut. */
	if (xid == 0)
		return true;
	return commit.v <= c->at.v && cut_sees_xid(c, xid);
}

uint64_t xid_widen(uint32_t xid, uint64_t near)
{
	const uint64_t epoch = (uint64_t)1 << 32;
	uint64_t id = (near & ~(epoch - 1)) | xid;

	if (id > near && id - near > epoch / 2 && id >= epoch)
		return id - epoch;
	if (id < near && near - id > epoch / 2 && id <= UINT64_MAX - epoch)
		return id + epoch;
	return id;
}
