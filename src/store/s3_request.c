/* One request to S3: signed, sent, and repeated where that may help. */
#include <stdio.h>
#include <string.h>

#include "enc.h"
#include "http_retry.h"
#include "log.h"
#include "mem.h"
#include "s3.h"

#define MOST_ATTEMPTS 9 /* with the waits between them about half a minute */
#define STALL         (30 * S3_SECOND)
#define SLOW_DEADLINE (600 * S3_SECOND)
#define SLOWEST       262144 /* bytes a second that a transfer is given time for */

void s3_reply_init(struct s3_reply *r)
{
	*r = (struct s3_reply){.status = 0};
	http_reply_init(&r->http);
}

void s3_reply_free(struct s3_reply *r)
{
	http_reply_free(&r->http);
}

/* --- connections: one client for each request that is under way --- */

static enum err take_client(struct s3 *s, struct http_client **out, struct error *e)
{
	const struct http_client_options o = {.ca_file = s->ca_file};

	pthread_mutex_lock(&s->lock);
	*out = s->nidle > 0 ? s->idle[--s->nidle] : NULL;
	pthread_mutex_unlock(&s->lock);
	return *out != NULL ? OK : http_client_new(out, &o, s->env, e);
}

static void give_client(struct s3 *s, struct http_client *c)
{
	pthread_mutex_lock(&s->lock);
	if (s->nidle == s->cap) {
		s->cap = s->cap > 0 ? 2 * s->cap : 4;
		s->idle = mem_realloc_array(s->idle, s->cap, sizeof(struct http_client *));
	}
	s->idle[s->nidle++] = c;
	pthread_mutex_unlock(&s->lock);
}

static void pause_before(struct s3 *s, unsigned next, const struct s3_reply *r)
{
	int64_t asked = http_retry_after_us(http_reply_header(&r->http, "retry-after"));

	pthread_mutex_lock(&s->lock);
	int64_t wait = http_retry_wait_us(next, asked, &s->rnd);
	pthread_mutex_unlock(&s->lock);
	env_sleep(s->env, wait);
}

/* --- one attempt --- */

static struct str path_of(const struct s3 *s, const struct s3_call *c, struct arena *mem)
{
	struct buf b;

	buf_init(&b, 8192);
	buf_puts(&b, s->root);
	buf_putc(&b, '/');
	sigv4_encode(c->key, false, &b);
	struct str path = arena_str(mem, buf_str(&b));
	buf_free(&b);
	return path;
}

static int64_t deadline_of(const struct s3_call *c)
{
	int64_t body = (int64_t)(c->body.n / SLOWEST) * S3_SECOND;

	if (c->slow || c->max_response > 0)
		return SLOW_DEADLINE + body;
	return 60 * S3_SECOND + body;
}

static enum err attempt(struct s3 *s, const struct s3_call *c, const struct aws_credentials *who,
	struct s3_reply *r, struct error *e)
{
	struct arena mem = {0};
	struct http_client *client = NULL;
	struct sigv4_signed sent;
	const struct sigv4_request q = {.method = c->method,
		.host = s->authority,
		.path = path_of(s, c, &mem),
		.query = c->query,
		.nquery = c->nquery,
		.headers = c->headers,
		.nheaders = c->nheaders,
		.payload_sha256 = c->body_sha256,
		.s3 = true,
		.region = s->region,
		.service = "s3",
		.at_us = aws_identity_now(s->identity)};

	sigv4_sign(&q, who, &mem, &sent);
	const struct http_call call = {.method = c->method,
		.url = arena_fmt(&mem, "%s%.*s%s%.*s", s->origin, STR_ARG(q.path),
			sent.query.n > 0 ? "?" : "", STR_ARG(sent.query))
			       .p,
		.headers = sent.headers,
		.nheaders = sent.nheaders,
		.body = c->body,
		.deadline_us = deadline_of(c),
		.stall_us = c->slow ? 0 : STALL,
		.max_response = c->max_response > 0 ? c->max_response : 1 << 20};
	enum err rc = take_client(s, &client, e);
	if (rc == OK) {
		rc = http_client_send(client, &call, &r->http, e);
		give_client(s, client);
	}
	arena_free(&mem);
	return rc;
}

/* The code of an error answer; a HEAD has none, for it has no body. */
static void read_error(struct s3_reply *r, const struct s3_call *c)
{
	struct arena *mem = &r->http.mem;
	struct error ignored;
	struct xml *root;

	r->status = r->http.status;
	r->code = r->message = STR_NONE;
	r->region = http_reply_header(&r->http, "x-amz-bucket-region");
	bool maybe = c->error_in_200 && r->status == 200;
	if (r->status < 300 && !maybe)
		return;
	if (r->http.body.n == 0 ||
		xml_read(buf_str(&r->http.body), "the answer", mem, &root, &ignored) != OK) {
		/* A 200 that ends in the middle, or before anything was said, is no success. */
		if (maybe)
			r->status = 500;
		return;
	}
	if (!str_eqc(root->name, "Error"))
		return;
	r->code = xml_text(root, "Code");
	r->message = xml_text(root, "Message");
	if (xml_child(root, "Region") != NULL)
		r->region = xml_text(root, "Region");
	if (maybe)
		r->status = 500;
}

/* --- again? --- */

static bool is_one_of(struct str code, const char *const *list)
{
	for (; *list != NULL; list++)
		if (str_eqc(code, *list))
			return true;
	return false;
}

enum again { AGAIN_NO, AGAIN_WAIT, AGAIN_NOW };

static enum again judge(struct s3 *s, const struct s3_call *c, const struct aws_credentials *who,
	const struct s3_reply *r)
{
	static const char *const busy[] = {"SlowDown", "InternalError", "ServiceUnavailable",
		"RequestTimeout", "OperationAborted", "Throttling", "ThrottlingException",
		"RequestThrottled", NULL};
	static const char *const old[] = {"ExpiredToken", "ExpiredTokenException", "InvalidToken",
		"TokenRefreshRequired", "InvalidAccessKeyId", NULL};
	static const char *const late[] = {"RequestTimeTooSkewed", "RequestExpired", NULL};

	/* An error inside a 200 says by its code alone whether it may pass. */
	if (is_one_of(r->code, busy) ||
		(http_retry_status(r->status) && !(r->http.status == 200 && r->code.n > 0)))
		return AGAIN_WAIT;
	if (str_eqc(r->code, "ConditionalRequestConflict"))
		return c->keep_conflict ? AGAIN_NO : AGAIN_WAIT;
	if (is_one_of(r->code, late))
		return aws_identity_saw_date(s->identity, http_reply_header(&r->http, "date"))
			? AGAIN_NOW
			: AGAIN_NO;
	if (is_one_of(r->code, old))
		return aws_identity_refused(s->identity, who) ? AGAIN_NOW : AGAIN_NO;
	/* A HEAD that is refused does not say why: the clock is all that can be looked at. */
	if (r->status == 403 && r->code.n == 0 &&
		aws_identity_saw_date(s->identity, http_reply_header(&r->http, "date")))
		return AGAIN_NOW;
	return AGAIN_NO;
}

static void log_again(struct s3 *s, const struct s3_call *c, const struct s3_reply *r, enum err rc,
	unsigned number, const struct error *e)
{
	log_debug(s->env->log, "s3", "asking again", F_CSTR("method", c->method),
		F_STR("key", c->key), F_I64("attempt", number),
		F_I64("status", rc == OK ? r->status : 0),
		F_STR("code", rc == OK ? r->code : STR("")),
		F_CSTR("error", rc == OK ? "" : e->text));
}

/* One attempt with credentials that are valid now, and what it calls for. */
static enum err attempt_and_judge(struct s3 *s, const struct s3_call *c, struct s3_reply *r,
	enum again *again, struct error *e)
{
	struct aws_credentials who = {.expires_us = 0};

	*again = AGAIN_NO;
	TRY(aws_identity_get(s->identity, 0, &who, e));
	enum err rc = attempt(s, c, &who, r, e);
	if (rc == OK) {
		read_error(r, c);
		*again = judge(s, c, &who, r);
	} else if (rc == ERR_UNAVAILABLE) {
		*again = AGAIN_WAIT;
	}
	aws_credentials_free(&who);
	return rc;
}

enum err s3_send(struct s3 *s, const struct s3_call *call, struct s3_reply *r, struct error *e)
{
	struct s3_call c = *call;
	char digest[ENC_SHA256_TEXT];
	enum again again;

	if (c.body_sha256 == NULL) {
		enc_sha256(c.body, digest);
		c.body_sha256 = digest;
	}
	for (unsigned number = 1;; number++) {
		TRY(env_check(s->env, e));
		enum err rc = attempt_and_judge(s, &c, r, &again, e);
		if (again == AGAIN_NO || number >= MOST_ATTEMPTS)
			return rc;
		log_again(s, &c, r, rc, number, e);
		if (again == AGAIN_WAIT)
			pause_before(s, number + 1, r);
	}
}

/* --- what an answer means --- */

static enum err kind_of(const struct s3_reply *r)
{
	static const char *const setup[] = {"NoSuchBucket", "InvalidBucketName",
		"AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
		"PermanentRedirect", "TemporaryRedirect", "InvalidAccessKeyId", "ExpiredToken",
		"InvalidToken", "SignatureDoesNotMatch", "AllAccessDisabled", NULL};

	if (is_one_of(r->code, setup) || (r->status >= 300 && r->status < 400))
		return ERR_USAGE;
	if (str_eqc(r->code, "ConditionalRequestConflict"))
		return ERR_UNAVAILABLE;
	if (str_eqc(r->code, "NoSuchKey"))
		return ERR_NOT_FOUND;
	/* A 404 of somebody else, such as a proxy, does not say that the key is absent. */
	if (r->status == 404)
		return ERR_USAGE;
	if (r->status == 409)
		return ERR_FAILED;
	enum err kind = http_status_kind(r->status);
	return kind == OK ? ERR_FAILED : kind;
}

static const char *advice_of(const struct s3_reply *r)
{
	static const struct {
		const char *code, *advice;
	} all[] = {
		{"NoSuchBucket", "make the bucket, or correct [store] url"},
		{"AccessDenied", "give the role the rights of docs/s3.md"},
		{"InvalidAccessKeyId", "the keys are wrong, or were deleted"},
		{"SignatureDoesNotMatch",
			"the secret key is wrong, or something on the way changes requests"},
		{"ExpiredToken", "the session has ended: get new credentials"},
		{"InvalidToken", "the session token does not belong to the keys"},
		{"RequestTimeTooSkewed", "set this machine's clock"},
		{"KMS.DisabledException", "enable the bucket's key"},
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (str_eqc(r->code, all[i].code))
			return all[i].advice;
	if (r->status == 403)
		return "give the role the rights of docs/s3.md";
	return r->status >= 500 ? "try again later" : "see docs/s3.md";
}

enum err s3_refused(struct s3 *s, const struct s3_reply *r, const char *doing, struct error *e)
{
	struct str there = r->region;

	if (there.n > 0 && !str_eqc(there, s->region) && r->status >= 300 && r->status < 500)
		return FAIL(e, ERR_USAGE,
			"%s: the bucket %s is in the region %.*s, not in %s: set [store] region = "
			"%.*s",
			doing, s->bucket, STR_ARG(there), s->region, STR_ARG(there));
	return FAIL(e, kind_of(r), "%s: S3 answered %u %.*s%s%.*s; %s", doing, r->http.status,
		STR_ARG(r->code.n > 0 ? r->code : str_of(http_reason(r->http.status))),
		r->message.n > 0 ? ": " : "", STR_ARG(r->message), advice_of(r));
}
