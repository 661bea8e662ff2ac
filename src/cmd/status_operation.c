/* How the replication of this process fares, and the rows that the warehouse refused. */
#include "dead_letters.h"
#include "replicate.h"
#include "shared.h"
#include "status_parts.h"

static const char *state_of(const struct replicate_progress *p)
{
	if (p->failed)
		return "failed";
	if (p->stalled)
		return "stalled";
	if (!p->connected)
		return "not connected";
	if (p->snapshotting)
		return "copying";
	return p->caught_up ? "caught up" : "streaming";
}

/* Null when it runs in another process, or nowhere. */
void status_put_replication(struct status *s)
{
	struct replicate *running = shared_replicate(s->c->shared);
	struct replicate_progress p;

	if (running == NULL) {
		jo_null(&s->j, "replication");
		return;
	}
	replicate_progress(running, &p);
	shared_leave_replicate(s->c->shared);
	jo_object(&s->j, "replication");
	jo_cstr(&s->j, "state", state_of(&p));
	jo_bool(&s->j, "stalled", p.stalled);
	jo_cstr(&s->j, "stall", p.stalled ? p.stall : NULL);
	status_put_lsn(s, "received_lsn", p.received);
	status_put_lsn(s, "durable_lsn", p.durable);
	status_put_lsn(s, "acknowledged_lsn", p.acked);
	jo_end_object(&s->j);
}

void status_put_dead_letters(struct status *s)
{
	struct error e = {.kind = OK};
	struct dead_letters_summary sum;

	if (s->warehouse == NULL || dead_letters_summary(s->warehouse, s->c->mem, &sum, &e) != OK) {
		jo_null(&s->j, "dead_letters");
		if (s->warehouse != NULL)
			status_note(s, "dead_letters", e.text);
		return;
	}
	jo_object(&s->j, "dead_letters");
	jo_u64(&s->j, "waiting", sum.waiting);
	jo_u64(&s->j, "settled", sum.settled);
	if (sum.waiting > 0) {
		jo_str(&s->j, "table", sum.table);
		jo_str(&s->j, "reason", sum.reason);
		jo_str(&s->j, "seen_at", sum.seen_at);
	}
	jo_end_object(&s->j);
}
