#include "repair_check.h"

#include <inttypes.h>

#include "enc.h"
#include "json.h"
#include "log.h"
#include "reconcile_visit.h"
#include "repair_progress.h"
#include "repair_sql.h"
#include "warehouse.h"

/* Keys that the report of the check lists, as `sluice reconcile` does. */
#define LISTED 20

struct checking {
	struct warehouse *w;
	struct repair_report *out;
};

/* Kept before the comparison lets go of its ranges: none of them is compared again for it. */
static enum err take_verdict(
	void *arg, const struct reconcile_report *r, const struct parts *parts, struct error *e)
{
	struct checking *c = arg;

	(void)parts;
	c->out->verdict = r->ok ? REPAIR_EQUAL : REPAIR_DIFFERENT;
	c->out->whole = r->whole;
	c->out->checked_at = r->cut.at;
	return repair_progress_check(c->w, c->out, e);
}

enum err repair_check(const struct reconcile_options *o, struct warehouse *w, const struct env *env,
	struct repair_report *out, struct error *e)
{
	struct reconcile_options again = *o;
	struct reconcile_report r = {.ok = false};

	struct checking c = {.w = w, .out = out};

	again.max_keys = LISTED;
	again.history = true;
	enum err rc = reconcile_then(&again, take_verdict, &c, w, env, &r, e);
	if (rc == OK) {
		log_info(env->log, "repair", "checked again", F_STR("repair_id", out->repair_id),
			F_BOOL("equal", r.ok), F_BOOL("whole", r.whole));
	} else {
		out->verdict = REPAIR_UNCHECKED;
		error_wrap(e,
			"checking again after the repair %.*s, which is done; run `sluice "
			"reconcile` when this is mended",
			STR_ARG(out->repair_id));
	}
	reconcile_report_free(&r);
	return rc;
}

void repair_put_doubt(struct buf *out, struct str id, struct str table, int64_t now_us)
{
	struct buf report;
	struct json_out j;
	char digest[ENC_SHA256_TEXT];

	buf_init(&report, 1 << 16);
	jo_init(&j, &report);
	jo_object(&j, NULL);
	jo_bool(&j, "ok", false);
	jo_bool(&j, "whole", false);
	jo_str(&j, "undone", id);
	jo_str(&j, "table", table);
	jo_end_object(&j);
	enc_sha256(buf_str(&report), digest);
	/* No position is compared: the lowest one says nothing of any cut. */
	buf_puts(out,
		"INSERT INTO ops.reconciliations (finished_at, ok, lsn, lsn_number, snapshot, "
		"report, digest, whole) SELECT make_timestamptz(");
	buf_putf(out, "%" PRId64 "), false, '0/0', 0, '', ", now_us);
	sql_text(out, buf_str(&report));
	buf_putf(out, ", '%s', false WHERE EXISTS (SELECT 1 FROM " REPAIR_CHOSEN ");", digest);
	buf_free(&report);
}
