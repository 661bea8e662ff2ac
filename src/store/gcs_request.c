/* One request to Cloud Storage: its token, its repetitions, what its answer means. */
#include <string.h>

#include "clock.h"
#include "gcs_store.h"
#include "http_retry.h"
#include "json.h"
#include "log.h"
#include "mem.h"
#include "sigv4.h"

#define BUDGET_US   INT64_C(120000000) /* for repetitions */
#define ATTEMPT_US  INT64_C(60000000)  /* for one, and a second more for every 64 kB of it */
#define MAX_HEADERS 6

struct gcs_client {
	struct http_client *http;
	struct gcs_client *next;
};

static enum err borrow(struct gcs_store *s, struct gcs_client **out, struct error *e)
{
	const struct http_client_options o = {.ca_file = s->ca_file};
	struct http_client *http;

	pthread_mutex_lock(&s->lock);
	struct gcs_client *c = s->idle;
	if (c != NULL)
		s->idle = c->next;
	pthread_mutex_unlock(&s->lock);
	*out = c;
	if (c != NULL)
		return OK;
	TRY(http_client_new(&http, &o, s->env, e));
	*out = mem_zalloc(sizeof **out);
	(*out)->http = http;
	return OK;
}

static void give_back(struct gcs_store *s, struct gcs_client *c)
{
	pthread_mutex_lock(&s->lock);
	c->next = s->idle;
	s->idle = c;
	pthread_mutex_unlock(&s->lock);
}

void gcs_clients_free(struct gcs_store *s)
{
	while (s->idle != NULL) {
		struct gcs_client *c = s->idle;
		s->idle = c->next;
		http_client_free(c->http);
		mem_free(c);
	}
}

/* Google's errors[0].reason; empty when there is none. */
static bool reason_is(const struct http_reply *reply, const char *a, const char *b)
{
	struct error ignored;
	json_t *o = NULL;
	bool is = false;

	if (json_read(buf_str(&reply->body), "the answer", &o, &ignored) == OK) {
		const json_t *errors = json_object_get(json_object_get(o, "error"), "errors");
		struct str reason = json_get_str(json_array_get(errors, 0), "reason");
		is = str_eqc(reason, a) || str_eqc(reason, b);
	}
	json_decref(o);
	return is;
}

bool gcs_transient(const struct http_reply *reply)
{
	if (http_retry_status(reply->status))
		return true;
	return reply->status == 403 &&
		reason_is(reply, "rateLimitExceeded", "userRateLimitExceeded");
}

enum err gcs_wait(struct gcs_store *s, unsigned next, int64_t asked_us, struct error *e)
{
	pthread_mutex_lock(&s->lock);
	int64_t wait = http_retry_wait_us(next, asked_us, &s->rnd);
	pthread_mutex_unlock(&s->lock);
	env_sleep(s->env, wait);
	return env_check(s->env, e);
}

static enum err send_as(struct gcs_client *c, const struct gcs_call *call,
	const struct secret *token, struct http_reply *reply, struct error *e)
{
	struct arena mem = {.chunks = NULL};
	struct http_pair headers[MAX_HEADERS + 1];
	struct str bearer = arena_fmt(&mem, "Bearer %s", secret_reveal(token));
	const struct http_call http = {.method = call->method,
		.url = call->url,
		.shown = call->shown,
		.headers = headers,
		.nheaders = call->nheaders + 1,
		.body = call->body,
		.deadline_us = ATTEMPT_US + (int64_t)(call->body.n / 65536) * 1000000,
		.max_response = call->max_response};

	sigv4_wipe_later(&mem, bearer);
	headers[0] = (struct http_pair){STR("Authorization"), bearer};
	if (call->nheaders > 0)
		memcpy(headers + 1, call->headers, call->nheaders * sizeof *headers);
	enum err rc = http_client_send(c->http, &http, reply, e);
	arena_free(&mem);
	return rc;
}

/* Once with the token at hand and, when that is refused, once with another. */
static enum err send_once(struct gcs_store *s, struct gcs_client *c, const struct gcs_call *call,
	struct http_reply *reply, struct error *e)
{
	for (bool renewed = false;; renewed = true) {
		struct secret token = {.hidden = NULL};
		TRY(gcp_identity_token(s->identity, &token, e));
		enum err rc = send_as(c, call, &token, reply, e);
		bool refused = rc == OK && reply->status == 401;
		if (refused)
			gcp_identity_refused(s->identity, &token);
		secret_free(&token);
		if (!refused || renewed)
			return rc;
	}
}

enum err gcs_send(
	struct gcs_store *s, const struct gcs_call *call, struct http_reply *reply, struct error *e)
{
	int64_t end = clock_mono(s->env->clock) + BUDGET_US;
	struct gcs_client *c;
	enum err rc;

	TRY(borrow(s, &c, e));
	for (unsigned next = 2;; next++) {
		rc = send_once(s, c, call, reply, e);
		bool again = rc == OK ? gcs_transient(reply) : rc == ERR_UNAVAILABLE;
		if (!again || call->once || clock_mono(s->env->clock) >= end)
			break;
		log_debug(s->env->log, "store", "asking Cloud Storage again",
			F_CSTR("doing", call->doing), F_I64("status", reply->status),
			F_I64("attempt", next));
		int64_t asked = http_retry_after_us(http_reply_header(reply, "retry-after"));
		rc = gcs_wait(s, next, asked, e);
		if (rc != OK)
			break;
	}
	give_back(s, c);
	return rc == OK ? OK : error_wrap(e, "%s", call->doing);
}

static enum err kind_of(const struct http_reply *reply, struct str said)
{
	if (gcs_transient(reply))
		return ERR_UNAVAILABLE;
	/* A bucket that is not there is no missing key. */
	if (reply->status == 404 && str_find(said, STR("bucket")) >= 0 &&
		str_find(said, STR("object")) < 0)
		return ERR_USAGE;
	enum err kind = http_status_kind(reply->status);
	return kind == OK ? ERR_FAILED : kind;
}

static const char *advice(enum err kind, const struct http_reply *reply)
{
	if (reply->status == 403)
		return "; grant roles/storage.objectUser (to read only: "
		       "roles/storage.objectViewer) on the bucket to who `sluice doctor` says "
		       "we are";
	if (reply->status == 401)
		return "; our tokens are not taken: see `sluice doctor`";
	if (kind == ERR_USAGE)
		return "; make the bucket, or correct [store] url";
	return "";
}

enum err gcs_fail(
	struct gcs_store *s, const char *doing, const struct http_reply *reply, struct error *e)
{
	struct error ignored;
	json_t *o = NULL;
	struct str said = STR_NONE;

	(void)s;
	if (json_read(buf_str(&reply->body), "the answer", &o, &ignored) == OK)
		said = json_get_str(json_object_get(o, "error"), "message");
	if (said.n > 400)
		said.n = 400;
	enum err kind = kind_of(reply, said);
	(void)FAIL(e, kind, "%s: Cloud Storage answered %u %s: %.*s%s", doing, reply->status,
		http_reason(reply->status), STR_ARG(said), advice(kind, reply));
	json_decref(o);
	return kind;
}
