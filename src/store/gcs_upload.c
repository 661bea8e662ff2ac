/*
 * How content gets into Cloud Storage: in one request, or, when it is larger than a part, in parts
 * over a resumable session.
 *
 * Every put names itself in the object's metadata. When a precondition fails, or an answer makes no
 * sense, the object is looked at: if it bears the name of this put, the put has succeeded and its
 * acknowledgement was lost.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crc32c.h"
#include "enc.h"
#include "endpoint.h"
#include "gcs_store.h"
#include "http_retry.h"
#include "json.h"
#include "log.h"
#include "mem.h"
#include "sigv4.h"

#define PUT_NAME     33 /* bytes, with the NUL */
#define MOST_FAILS   12 /* in a row, of a session's requests */
#define MOST_RESTART 3

struct put {
	struct gcs_store *s;
	struct str key, body;
	enum store_condition cond;
	const char *condition; /* "&ifGenerationMatch=..." or "" */
	const char *doing;
	char name[PUT_NAME], crc[12];
	struct arena mem;
	struct http_reply reply;
	struct gcs_object object; /* what there is now */
};

void gcs_crc32c(struct str bytes, char out[12])
{
	uint32_t crc = crc32c(0, bytes.p, bytes.n);
	const uint8_t be[4] = {
		(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8), (uint8_t)crc};
	struct buf b;

	buf_init(&b, 64);
	enc_base64(str_make(be, sizeof be), &b);
	snprintf(out, 12, "%s", buf_cstr(&b));
	buf_free(&b);
}

static void copy_text(char *out, size_t n, struct str s)
{
	snprintf(out, n, "%.*s", STR_ARG(s));
}

enum err gcs_read_object(struct str json, struct gcs_object *out, struct error *e)
{
	json_t *o = NULL;
	struct str generation, crc, size;

	TRY(json_read(json, "Cloud Storage's answer", &o, e));
	enum err rc = json_want_str(o, "generation", &generation, e);
	if (rc == OK)
		rc = json_want_str(o, "crc32c", &crc, e);
	if (rc == OK)
		rc = json_want_str(o, "size", &size, e);
	if (rc == OK && (generation.n >= sizeof out->generation || !str_to_u64(size, &out->bytes)))
		rc = FAIL(e, ERR_INPUT, "reading Cloud Storage's answer: it makes no sense");
	if (rc == OK) {
		copy_text(out->generation, sizeof out->generation, generation);
		copy_text(out->crc32c, sizeof out->crc32c, crc);
		copy_text(out->put, sizeof out->put,
			json_get_str(json_object_get(o, "metadata"), "sluice-put"));
	}
	json_decref(o);
	return rc;
}

/* The object's description, without its content: what Google is to check and to keep. */
static void describe(const struct put *p, struct buf *out)
{
	struct json_out j;

	jo_init(&j, out);
	jo_object(&j, NULL);
	jo_cstr(&j, "contentType", "application/octet-stream");
	jo_cstr(&j, "crc32c", p->crc);
	jo_object(&j, "metadata");
	jo_cstr(&j, "sluice-put", p->name);
	jo_end_object(&j);
	jo_end_object(&j);
}

/* *ours: the object is there and made by this put. */
static enum err look(struct put *p, bool *ours, struct error *e)
{
	const struct gcs_call call = {
		.method = "GET", .url = gcs_url(p->s, p->key, &p->mem), .doing = p->doing};

	*ours = false;
	TRY(gcs_send(p->s, &call, &p->reply, e));
	if (p->reply.status == 404)
		return OK;
	if (p->reply.status != 200)
		return gcs_fail(p->s, p->doing, &p->reply, e);
	TRY(gcs_read_object(buf_str(&p->reply.body), &p->object, e));
	*ours = strcmp(p->object.put, p->name) == 0 && strcmp(p->object.crc32c, p->crc) == 0;
	return OK;
}

static enum err conflict(const struct put *p, struct error *e)
{
	return FAIL(e, ERR_CONFLICT, "%s: %s; read it again and decide anew", p->doing,
		p->cond == STORE_IF_ABSENT
			? "it exists already"
			: "it does not exist, or has been changed by another writer");
}

/* What an upload's last answer comes to. */
static enum err conclude(struct put *p, struct error *e)
{
	bool ours = false;
	struct error unread;

	if (p->reply.status == 200 || p->reply.status == 201) {
		if (gcs_read_object(buf_str(&p->reply.body), &p->object, &unread) == OK &&
			strcmp(p->object.crc32c, p->crc) == 0 && p->object.bytes == p->body.n)
			return OK;
		TRY(look(p, &ours, e));
		return ours ? OK
			    : FAIL(e, ERR_FAILED,
				      "%s: Cloud Storage holds something else than was sent; "
				      "store it again",
				      p->doing);
	}
	if (p->reply.status != 412)
		return gcs_fail(p->s, p->doing, &p->reply, e);
	TRY(look(p, &ours, e));
	return ours ? OK : conflict(p, e);
}

/* multipart/related: the description, then the content. */
static enum err put_whole(struct put *p, struct error *e)
{
	struct str boundary = arena_fmt(&p->mem, "sluice-%s", p->name);
	const struct http_pair type = {STR("Content-Type"),
		arena_fmt(&p->mem, "multipart/related; boundary=%s", boundary.p)};
	struct buf body;

	buf_init(&body, p->body.n + 4096);
	buf_putf(
		&body, "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n", boundary.p);
	describe(p, &body);
	buf_putf(&body, "\r\n--%s\r\nContent-Type: application/octet-stream\r\n\r\n", boundary.p);
	buf_put(&body, p->body);
	buf_putf(&body, "\r\n--%s--\r\n", boundary.p);
	const struct gcs_call call = {.method = "POST",
		.url = arena_fmt(&p->mem, "%s%s",
			gcs_upload_url(p->s, "multipart", p->key, &p->mem), p->condition)
			       .p,
		.doing = p->doing,
		.headers = &type,
		.nheaders = 1,
		.body = buf_str(&body)};
	enum err rc = gcs_send(p->s, &call, &p->reply, e);
	buf_free(&body);
	return rc == OK ? conclude(p, e) : rc;
}

/* Our token and the content go where the session's address says: only to the same service. */
static enum err check_session(struct put *p, struct str location, struct error *e)
{
	struct endpoint ours, theirs;
	struct str rest = location, bare = location;
	struct error ignored;

	if (str_cut(&rest, '?', &bare) &&
		endpoint_parse(arena_cstr(&p->mem, bare), &theirs, &ignored) == OK &&
		endpoint_parse(p->s->endpoint, &ours, &ignored) == OK && ours.tls == theirs.tls &&
		str_ieq(ours.authority, theirs.authority))
		return OK;
	return FAIL(e, ERR_INPUT,
		"%s: the upload session's address is at another service than %s; check [store] "
		"endpoint",
		p->doing, p->s->endpoint);
}

static enum err start(struct put *p, const char **session, struct error *e)
{
	struct buf body;
	const struct http_pair headers[] = {
		{STR("Content-Type"), STR("application/json; charset=UTF-8")},
		{STR("X-Upload-Content-Type"), STR("application/octet-stream")},
		{STR("X-Upload-Content-Length"), arena_fmt(&p->mem, "%zu", p->body.n)}};

	buf_init(&body, 4096);
	describe(p, &body);
	const struct gcs_call call = {.method = "POST",
		.url = arena_fmt(&p->mem, "%s%s",
			gcs_upload_url(p->s, "resumable", p->key, &p->mem), p->condition)
			       .p,
		.doing = p->doing,
		.headers = headers,
		.nheaders = 3,
		.body = buf_str(&body)};
	enum err rc = gcs_send(p->s, &call, &p->reply, e);
	buf_free(&body);
	*session = NULL;
	if (rc != OK || p->reply.status != 200)
		return rc;
	struct str location = http_reply_header(&p->reply, "location");
	*session = arena_cstr(&p->mem, location);
	sigv4_wipe_later(&p->mem, str_of(*session));
	return check_session(p, location, e);
}

static enum err session_call(struct put *p, const char *session, const char *method,
	struct str range, struct str body, struct error *e)
{
	const struct http_pair headers[] = {{STR("Content-Type"), STR("application/octet-stream")},
		{STR("Content-Range"), range}};
	const struct gcs_call call = {.method = method,
		.url = session,
		.shown = "the upload session",
		.doing = p->doing,
		.headers = headers,
		.nheaders = range.n > 0 ? 2 : 1,
		.body = body,
		.once = true};

	return gcs_send(p->s, &call, &p->reply, e);
}

/* How much of it Google has, by the Range of a 308: "bytes=0-N", or none of it. */
static enum err stored_bytes(struct put *p, size_t *at, struct error *e)
{
	struct str range = http_reply_header(&p->reply, "range");
	uint64_t last;

	*at = 0;
	if (range.n == 0)
		return OK;
	if (str_starts(range, STR("bytes=0-")) && str_to_u64(str_from(range, 8), &last) &&
		last < p->body.n) {
		*at = (size_t)last + 1;
		return OK;
	}
	return FAIL(e, ERR_INPUT, "%s: Cloud Storage says it has %.*s of %zu bytes", p->doing,
		STR_ARG(range), p->body.n);
}

static bool session_gone(const struct put *p)
{
	return p->reply.status == 404 || p->reply.status == 410;
}

/* A session's request that may be made again: after a failure Google is asked how far it is. */
struct progress {
	size_t at;
	unsigned fails; /* in a row */
	bool ask;
};

static enum err one_request(
	struct put *p, const char *session, const struct progress *g, struct error *e)
{
	size_t n = p->body.n - g->at;

	if (g->ask)
		return session_call(p, session, "PUT", arena_fmt(&p->mem, "bytes */%zu", p->body.n),
			STR_NONE, e);
	if (n > p->s->part_size)
		n = p->s->part_size;
	return session_call(p, session, "PUT",
		arena_fmt(&p->mem, "bytes %zu-%zu/%zu", g->at, g->at + n - 1, p->body.n),
		str_make(p->body.p + g->at, n), e);
}

/* OK once there is a final answer, the session's end included. */
static enum err send_parts(struct put *p, const char *session, struct error *e)
{
	struct progress g = {.at = 0};

	for (;;) {
		enum err rc = one_request(p, session, &g, e);
		if (rc != OK && rc != ERR_UNAVAILABLE)
			return rc;
		if (rc == OK && p->reply.status == 308) {
			size_t before = g.at;
			TRY(stored_bytes(p, &g.at, e));
			g.ask = false;
			if (g.at > before)
				g.fails = 0;
			else
				g.fails++;
		} else if (rc == OK && !gcs_transient(&p->reply)) {
			return OK;
		} else {
			g.ask = true;
			g.fails++;
		}
		if (g.fails > MOST_FAILS)
			return rc != OK ? rc : gcs_fail(p->s, p->doing, &p->reply, e);
		if (g.fails > 0)
			TRY(gcs_wait(p->s, g.fails + 1,
				http_retry_after_us(http_reply_header(&p->reply, "retry-after")),
				e));
	}
}

/* A session left behind costs nothing and ends by itself after a week; this is for order. */
static void cancel(struct put *p, const char *session)
{
	struct error ignored;

	if (session != NULL)
		IGNORE(session_call(p, session, "DELETE", STR_NONE, STR_NONE, &ignored));
}

static enum err put_parts(struct put *p, struct error *e)
{
	for (unsigned times = 1;; times++) {
		const char *session;
		TRY(start(p, &session, e));
		if (session == NULL)
			return conclude(p, e);
		enum err rc = send_parts(p, session, e);
		if (rc == OK && session_gone(p) && times < MOST_RESTART) {
			log_info(p->s->env->log, "store",
				"an upload session ended early; beginning anew",
				F_STR("key", p->key));
			continue;
		}
		if (rc == OK)
			rc = conclude(p, e);
		if (rc != OK)
			cancel(p, session);
		return rc;
	}
}

static bool is_generation(const char *match)
{
	uint64_t n;

	return str_to_u64(str_of(match), &n) && n > 0;
}

static void name_put(struct put *p)
{
	pthread_mutex_lock(&p->s->lock);
	uint64_t a = rnd_u64(&p->s->rnd), b = rnd_u64(&p->s->rnd);
	pthread_mutex_unlock(&p->s->lock);
	snprintf(p->name, sizeof p->name, "%016" PRIx64 "%016" PRIx64, a, b);
}

enum err gcs_put(struct store *store, struct str key, struct str body, enum store_condition cond,
	const char *match, char *etag, struct error *e)
{
	struct put p = {.s = (struct gcs_store *)store, .key = key, .body = body, .cond = cond};
	bool parts = body.n > p.s->part_size;

	p.doing = arena_fmt(&p.mem, "storing %.*s in %s", STR_ARG(key), p.s->url).p;
	p.condition = "";
	if (cond == STORE_IF_ABSENT)
		p.condition = "&ifGenerationMatch=0";
	if (cond == STORE_IF_MATCH)
		p.condition = arena_fmt(&p.mem, "&ifGenerationMatch=%s", match).p;
	http_reply_init(&p.reply);
	gcs_crc32c(body, p.crc);
	name_put(&p);
	enum err rc;
	if (cond == STORE_IF_MATCH && !is_generation(match))
		rc = conflict(&p, e); /* no object of ours has such an etag */
	else if (parts)
		rc = put_parts(&p, e);
	else
		rc = put_whole(&p, e);
	if (rc == OK && etag != NULL)
		copy_text(etag, STORE_ETAG, str_of(p.object.generation));
	http_reply_free(&p.reply);
	arena_free(&p.mem);
	return rc;
}
