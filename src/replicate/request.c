/* What others have the apply thread do for them. */
#include <errno.h>
#include <time.h>

#include "dead_letters.h"
#include "engine.h"

#define SLICE_US INT64_C(100000)

struct engine_request {
	enum err (*fn)(struct replicate *r, void *arg, struct error *e);
	void *arg;
	enum { ASKED, TAKEN, DONE } state;
	enum err rc;
	struct error error;
};

bool engine_is_asked(struct replicate *r)
{
	pthread_mutex_lock(&r->lock);
	bool asked = r->request != NULL;
	pthread_mutex_unlock(&r->lock);
	return asked;
}

void engine_serve(struct replicate *r)
{
	pthread_mutex_lock(&r->lock);
	struct engine_request *q = r->request;
	if (q != NULL)
		q->state = TAKEN;
	pthread_mutex_unlock(&r->lock);
	if (q == NULL)
		return;
	enum err rc = q->fn(r, q->arg, &q->error);
	pthread_mutex_lock(&r->lock);
	q->rc = rc;
	q->state = DONE;
	r->request = NULL;
	pthread_cond_broadcast(&r->moved);
	pthread_mutex_unlock(&r->lock);
}

/* Under the lock. */
static void wait_moment(struct replicate *r)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += SLICE_US * 1000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&r->moved, &r->lock, &until);
}

static enum err too_late(const struct replicate *r, struct error *e)
{
	const char *why = r->p.apply_error.kind != OK ? r->p.apply_error.text
						      : "a transaction or a copy is in work";

	if (r->p.failed || atomic_load(&r->stop))
		return FAIL(e, ERR_UNAVAILABLE, "replication is ending; try again");
	return FAIL(
		e, ERR_UNAVAILABLE, "replication has not come to it in time (%s); try again", why);
}

enum err engine_request(struct replicate *r,
	enum err (*fn)(struct replicate *r, void *arg, struct error *e), void *arg,
	int64_t timeout_us, struct error *e)
{
	struct engine_request q = {.fn = fn, .arg = arg};
	int64_t give_up = clock_mono(clock_system()) + timeout_us;
	enum err rc = OK;

	pthread_mutex_lock(&r->lock);
	for (;;) {
		bool mine = r->request == &q;
		if (q.state == DONE)
			break;
		/* What has been begun is waited for, whatever the time. */
		if (q.state == ASKED &&
			(r->p.failed || atomic_load(&r->stop) ||
				clock_mono(clock_system()) >= give_up)) {
			if (mine)
				r->request = NULL;
			rc = too_late(r, e);
			break;
		}
		if (!mine && r->request == NULL) {
			r->request = &q;
			pthread_mutex_unlock(&r->lock);
			engine_wake(r);
			pthread_mutex_lock(&r->lock);
			continue;
		}
		wait_moment(r);
	}
	pthread_mutex_unlock(&r->lock);
	if (rc == OK && q.rc != OK) {
		*e = q.error;
		rc = q.rc;
	}
	return rc;
}

struct retry_request {
	struct str schema, name;
	struct dead_letters_retried *out;
};

static enum err retry(struct replicate *r, void *arg, struct error *e)
{
	struct retry_request *q = arg;

	return dead_letters_retry(r->w, &r->env, q->schema, q->name, q->out, e);
}

enum err replicate_retry(struct replicate *r, struct str schema, struct str name,
	int64_t timeout_us, struct dead_letters_retried *out, struct error *e)
{
	struct retry_request q = {.schema = schema, .name = name, .out = out};

	*out = (struct dead_letters_retried){0};
	return engine_request(r, retry, &q, timeout_us, e);
}
