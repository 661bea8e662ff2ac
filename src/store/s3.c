/* The S3 driver: opening, and single objects. */
#include "s3.h"

#include <stdio.h>
#include <string.h>

#include "enc.h"
#include "endpoint.h"
#include "log.h"
#include "mem.h"

#define KEY_MOST    1024
#define PART_LEAST  ((size_t)5 << 20) /* S3 takes no smaller part but the last */
#define PART_USUAL  ((size_t)8 << 20)
#define PUT_HEADERS 8
#define AUDIENCE    "sts.amazonaws.com"

struct str s3_key(struct s3 *s, struct str key, struct arena *mem)
{
	return arena_fmt(mem, "%.*s%.*s", STR_ARG(s->prefix), STR_ARG(key));
}

void s3_new_id(struct s3 *s, char id[S3_ID])
{
	pthread_mutex_lock(&s->lock);
	uint64_t a = rnd_u64(&s->rnd), b = rnd_u64(&s->rnd);
	pthread_mutex_unlock(&s->lock);
	(void)snprintf(id, S3_ID, "%016llx%016llx", (unsigned long long)a, (unsigned long long)b);
}

enum err s3_etag(struct str etag, struct str version, char out[STORE_ETAG], struct error *e)
{
	if (etag.n == 0 || etag.n >= STORE_ETAG || memchr(etag.p, ' ', etag.n) != NULL)
		return FAIL(e, ERR_INPUT,
			"reading what S3 answered: it has no ETag, or one that is longer than %d "
			"bytes",
			STORE_ETAG - 1);
	if (version.n > 0 && etag.n + 1 + version.n < STORE_ETAG)
		(void)snprintf(out, STORE_ETAG, "%.*s %.*s", STR_ARG(etag), STR_ARG(version));
	else
		(void)snprintf(out, STORE_ETAG, "%.*s", STR_ARG(etag));
	return OK;
}

static enum err reply_etag(const struct s3_reply *r, char *etag, struct error *e)
{
	char unused[STORE_ETAG];

	return s3_etag(http_reply_header(&r->http, "etag"),
		http_reply_header(&r->http, "x-amz-version-id"), etag != NULL ? etag : unused, e);
}

/* --- put --- */

size_t s3_put_headers(const struct s3_put *p, bool meta, bool conditional, struct http_pair *h)
{
	size_t n = 0;

	if (meta) {
		h[n++] = (struct http_pair){STR(S3_META_PUT), str_of(p->id)};
		/* Of parts S3 gives a digest of digests, which their size is needed to check. */
		h[n++] = p->sha256 != NULL ? (struct http_pair){STR(S3_META_SHA), str_of(p->sha256)}
					   : (struct http_pair){STR(S3_META_PART),
						     arena_fmt(p->mem, "%zu", p->part_size)};
		h[n++] = (struct http_pair){STR("Content-Type"), STR("application/octet-stream")};
	}
	if (conditional && p->cond == STORE_IF_ABSENT)
		h[n++] = (struct http_pair){STR("If-None-Match"), STR("*")};
	if (conditional && p->cond == STORE_IF_MATCH)
		h[n++] = (struct http_pair){STR("If-Match"), p->match};
	return n;
}

/* *ours: what stands at the key was put by this very put. */
static enum err read_back(
	struct s3 *s, const struct s3_put *p, bool *ours, char *etag, struct error *e)
{
	struct s3_reply r;

	*ours = false;
	s3_reply_init(&r);
	enum err rc = s3_send(s, &(struct s3_call){.method = "HEAD", .key = p->key}, &r, e);
	if (rc == OK && r.status == 200)
		*ours = str_eqc(http_reply_header(&r.http, S3_META_PUT), p->id);
	else if (rc == OK && r.status != 404)
		rc = s3_refused(s, &r, p->doing, e);
	if (rc == OK && *ours)
		rc = reply_etag(&r, etag, e);
	s3_reply_free(&r);
	return rc == OK ? OK : error_wrap(e, "reading back whether it was done");
}

enum err s3_settle(
	struct s3 *s, const struct s3_put *p, unsigned status, char *etag, struct error *e)
{
	bool ours = false;

	TRY(read_back(s, p, &ours, etag, e));
	if (ours) {
		log_debug(s->env->log, "s3", "an answer was lost; the put had been carried out",
			F_STR("key", p->key));
		return OK;
	}
	const char *why = p->cond == STORE_IF_ABSENT ? "it exists already"
		: status == 404                      ? "it does not exist"
						     : "it has been changed by another writer";
	return FAIL(e, ERR_CONFLICT, "%s: %s; read it again and decide anew", p->doing, why);
}

static struct str checksum_of(const char *hex, struct arena *mem)
{
	unsigned char raw[32];
	struct buf b;

	(void)enc_unhex(str_of(hex), raw); /* it came from enc_sha256 */
	buf_init(&b, 64);
	enc_base64(str_make(raw, sizeof raw), &b);
	struct str text = arena_str(mem, buf_str(&b));
	buf_free(&b);
	return text;
}

static enum err put_whole(struct s3 *s, const struct s3_put *p, char *etag, struct error *e)
{
	struct http_pair h[PUT_HEADERS];
	struct s3_reply r;
	size_t n = s3_put_headers(p, true, true, h);

	if (s->checksums)
		h[n++] = (struct http_pair){
			STR("x-amz-checksum-sha256"), checksum_of(p->sha256, p->mem)};
	s3_reply_init(&r);
	enum err rc = s3_send(s,
		&(struct s3_call){.method = "PUT",
			.key = p->key,
			.headers = h,
			.nheaders = n,
			.body = p->body,
			.body_sha256 = p->sha256},
		&r, e);
	if (rc != OK)
		rc = error_wrap(e, "%s", p->doing);
	else if (r.status == 200)
		rc = reply_etag(&r, etag, e);
	else if (r.status == 412 || (r.status == 404 && str_eqc(r.code, "NoSuchKey")))
		rc = s3_settle(s, p, r.status, etag, e);
	else
		rc = s3_refused(s, &r, p->doing, e);
	s3_reply_free(&r);
	return rc;
}

/* The ETag of an opaque etag: what stands before the version. */
static struct str etag_alone(const char *match)
{
	struct str s = str_of(match), head;
	return str_cut(&s, ' ', &head) ? head : s;
}

static enum err s3_put(struct store *base, struct str key, struct str body,
	enum store_condition cond, const char *match, char *etag, struct error *e)
{
	struct s3 *s = (struct s3 *)base;
	struct arena mem = {0};
	char digest[ENC_SHA256_TEXT], own[STORE_ETAG];
	struct s3_put p = {.key = s3_key(s, key, &mem),
		.body = body,
		.cond = cond,
		.match = etag_alone(match),
		.mem = &mem};
	enum err rc;

	if (etag == NULL)
		etag = own;
	p.doing = arena_fmt(&mem, "storing %.*s in %s", STR_ARG(key), s->shown).p;
	s3_new_id(s, p.id);
	bool parts = body.n > s->part_size;
	if (!parts || !s->checksums) {
		enc_sha256(body, digest);
		p.sha256 = digest;
	}
	if (p.key.n > KEY_MOST)
		rc = FAIL(e, ERR_INPUT, "%s: with the prefix the key has %zu bytes, S3 takes %d",
			p.doing, p.key.n, KEY_MOST);
	else
		rc = parts ? s3_put_parts(s, &p, etag, e) : put_whole(s, &p, etag, e);
	if (rc == OK)
		log_info(s->env->log, "s3", "stored", F_STR("key", p.key), F_I64("bytes", body.n),
			F_CSTR("etag_and_version", etag));
	arena_free(&mem);
	return rc;
}

/* --- get --- */

/* S3's digest of an object in parts: that of the digests of its parts. */
static struct str composite_of(struct str body, size_t part_size, struct arena *mem)
{
	size_t n = (body.n + part_size - 1) / part_size;
	unsigned char *digests = arena_array(mem, n + 1, 32);
	char hex[ENC_SHA256_TEXT];

	for (size_t i = 0; i < n; i++) {
		struct str rest = str_from(body, i * part_size);
		enc_sha256(str_make(rest.p, rest.n < part_size ? rest.n : part_size), hex);
		(void)enc_unhex(str_of(hex), digests + i * 32); /* it came from enc_sha256 */
	}
	enc_sha256(str_make(digests, n * 32), hex);
	return arena_fmt(mem, "%.*s-%zu", STR_ARG(checksum_of(hex, mem)), n);
}

static bool fits(struct str body, struct str theirs, struct str part_size, struct arena *mem)
{
	char hex[ENC_SHA256_TEXT];
	uint64_t size;

	if (theirs.n == 0)
		return true;
	if (memchr(theirs.p, '-', theirs.n) == NULL) {
		enc_sha256(body, hex);
		return str_eq(theirs, checksum_of(hex, mem));
	}
	/* An object that others put in parts: nobody tells their size. */
	if (!str_to_u64(part_size, &size) || size == 0 || size > SIZE_MAX)
		return true;
	return str_eq(theirs, composite_of(body, (size_t)size, mem));
}

/* What was stored is what came: by our own digest, and by S3's. */
static bool is_intact(const struct s3_reply *r)
{
	struct str body = buf_str(&r->http.body);
	struct str said = http_reply_header(&r->http, S3_META_SHA);
	struct arena mem = {0};
	char digest[ENC_SHA256_TEXT];
	bool intact;

	if (said.n > 0) {
		enc_sha256(body, digest);
		intact = str_eqc(said, digest);
	} else {
		intact = fits(body, http_reply_header(&r->http, "x-amz-checksum-sha256"),
			http_reply_header(&r->http, S3_META_PART), &mem);
	}
	arena_free(&mem);
	return intact;
}

static enum err take_body(
	const struct s3_reply *r, struct buf *body, char *etag, const char *doing, struct error *e)
{
	if (buf_add(body, buf_str(&r->http.body), e) != OK)
		return error_wrap(e, "%s", doing);
	return etag != NULL ? reply_etag(r, etag, e) : OK;
}

static enum err get_once(struct s3 *s, struct str key, size_t room, struct s3_reply *r,
	const char *doing, struct error *e)
{
	const struct http_pair mode = {STR("x-amz-checksum-mode"), STR("ENABLED")};
	const struct s3_call c = {.method = "GET",
		.key = key,
		.headers = &mode,
		.nheaders = 1,
		/* An error's text needs some room as well. */
		.max_response = room > 65536 ? room : 65536};

	if (s3_send(s, &c, r, e) != OK)
		return error_wrap(e, "%s", doing);
	return r->status == 200 ? OK : s3_refused(s, r, doing, e);
}

static enum err s3_get(
	struct store *base, struct str key, struct buf *body, char *etag, struct error *e)
{
	struct s3 *s = (struct s3 *)base;
	struct arena mem = {0};
	struct s3_reply r;
	struct str whole = s3_key(s, key, &mem);
	const char *doing = arena_fmt(&mem, "reading %.*s from %s", STR_ARG(key), s->shown).p;

	s3_reply_init(&r);
	enum err rc = get_once(s, whole, body->max - body->n, &r, doing, e);
	/* Once more: the damage may have come on the way. */
	if (rc == OK && !is_intact(&r)) {
		rc = get_once(s, whole, body->max - body->n, &r, doing, e);
		if (rc == OK && !is_intact(&r))
			rc = FAIL(e, ERR_INPUT,
				"%s: what came is not what was stored: its SHA-256 is another",
				doing);
	}
	if (rc == OK)
		rc = take_body(&r, body, etag, doing, e);
	s3_reply_free(&r);
	arena_free(&mem);
	return rc;
}

static enum err s3_remove(struct store *base, struct str key, struct error *e)
{
	struct s3 *s = (struct s3 *)base;
	struct arena mem = {0};
	struct s3_reply r;

	s3_reply_init(&r);
	const struct s3_call c = {.method = "DELETE", .key = s3_key(s, key, &mem)};
	const char *doing = arena_fmt(&mem, "removing %.*s from %s", STR_ARG(key), s->shown).p;
	enum err rc = s3_send(s, &c, &r, e);
	if (rc != OK)
		rc = error_wrap(e, "%s", doing);
	else if (r.status != 204 && r.status != 200 &&
		!(r.status == 404 && str_eqc(r.code, "NoSuchKey")))
		rc = s3_refused(s, &r, doing, e);
	s3_reply_free(&r);
	arena_free(&mem);
	return rc;
}

/* --- opening --- */

static void s3_close(struct store *base)
{
	struct s3 *s = (struct s3 *)base;

	for (size_t i = 0; i < s->nidle; i++)
		http_client_free(s->idle[i]);
	mem_free(s->idle);
	aws_identity_free(s->identity);
	gcp_identity_close(s->google);
	pthread_mutex_destroy(&s->lock);
	arena_free(&s->mem);
	mem_free(s);
}

static const struct store_ops s3_ops = {
	.scheme = "s3",
	.put = s3_put,
	.get = s3_get,
	.list = s3_list,
	.remove = s3_remove,
	.who = s3_who,
	.close = s3_close,
};

static bool is_set(const char *s)
{
	return s != NULL && s[0] != '\0';
}

static enum err bad_bucket(struct str bucket, const char *why, struct error *e)
{
	return FAIL(e, ERR_USAGE, "opening the object store s3://%.*s: %s", STR_ARG(bucket), why);
}

/* The rules for names of general purpose buckets. */
static enum err check_bucket(struct str bucket, struct error *e)
{
	static const char rule[] =
		"a bucket's name has 3 to 63 lower-case letters, digits, '-' and "
		"'.', a letter or digit first and last";

	if (bucket.n < 3 || bucket.n > 63)
		return bad_bucket(bucket, rule, e);
	for (size_t i = 0; i < bucket.n; i++) {
		char c = bucket.p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		bool inner = i > 0 && i + 1 < bucket.n && (c == '-' || c == '.');
		if (!letter && !inner)
			return bad_bucket(bucket, rule, e);
	}
	if (str_ends(bucket, STR("--x-s3")))
		return bad_bucket(bucket,
			"directory buckets are not served: they list in no order and sign in another "
			"way; use a general purpose bucket",
			e);
	return OK;
}

/* "bucket[/prefix]" */
static enum err set_place(struct s3 *s, const char *rest, struct error *e)
{
	struct str prefix, bucket = store_bucket(rest, &prefix);

	TRY(check_bucket(bucket, e));
	if (prefix.n > 0 && !store_key_allowed(prefix))
		return FAIL(e, ERR_USAGE,
			"opening the object store s3://%s: the prefix has an empty part, \".\" or "
			"\"..\"",
			rest);
	s->bucket = arena_cstr(&s->mem, bucket);
	s->shown = arena_fmt(&s->mem, "s3://%s", rest).p;
	if (prefix.n > 0)
		s->prefix = arena_fmt(&s->mem, "%.*s/", STR_ARG(prefix));
	return OK;
}

static enum err set_identity(struct s3 *s, const struct store_options *o, struct error *e)
{
	struct aws_identity_options who = {
		.region = is_set(o->sts_region) ? o->sts_region : o->region,
		.profile = o->profile,
		.role_arn = o->role_arn,
		.external_id = o->external_id,
		.sts_endpoint = o->sts_endpoint,
		.ca_file = is_set(o->sts_ca_file) ? o->sts_ca_file : o->ca_file};

	if (is_set(o->credentials)) {
		const struct gcp_identity_options google = {.file = o->credentials,
			.setting = "[store] credentials",
			.ca_file = o->ca_file};
		if (!is_set(o->role_arn))
			return FAIL(e, ERR_USAGE,
				"opening %s: [store] credentials names a Google identity, which AWS "
				"takes only for a role: set [aws] role_arn",
				s->shown);
		TRY(gcp_identity_open(&s->google, &google, s->env, e));
		s->web = (struct gcp_web_identity){s->google, AUDIENCE};
		who.web_token = gcp_identity_web_token;
		who.web_token_arg = &s->web;
	}
	return aws_identity_new(&s->identity, &who, s->env, e);
}

static enum err set_region(struct s3 *s, const struct store_options *o, struct error *e)
{
	struct str region = str_of(o->region);

	if (region.n == 0)
		TRY(aws_identity_region(s->identity, &s->mem, &region, e));
	if (region.n == 0 && !s->own_endpoint)
		return FAIL(e, ERR_USAGE,
			"opening %s: no region is known; set [store] region, or AWS_REGION, to the "
			"bucket's",
			s->shown);
	s->region = region.n > 0 ? arena_cstr(&s->mem, region) : "us-east-1";
	return OK;
}

/* A name that is an address cannot carry the bucket in front. */
static bool is_address(struct str host)
{
	bool numeric = host.n > 0;

	for (size_t i = 0; i < host.n; i++)
		numeric = numeric && (host.p[i] == '.' || (host.p[i] >= '0' && host.p[i] <= '9'));
	return numeric || str_starts(host, STR("[")) || str_ieq(host, STR("localhost"));
}

static enum err set_endpoint(struct s3 *s, const struct store_options *o, struct error *e)
{
	const char *domain = strncmp(s->region, "cn-", 3) == 0 ? "amazonaws.com.cn"
							       : "amazonaws.com";
	const char *url = s->own_endpoint
		? o->endpoint
		: arena_fmt(&s->mem, "https://s3.%s.%s", s->region, domain).p;
	struct endpoint at;

	TRY(endpoint_want(url, "[store] endpoint", &at, e));
	if (at.path.n > 1)
		return FAIL(e, ERR_USAGE,
			"[store] endpoint: \"%s\" has a path; write "
			"https://host[:port]",
			url);
	/* AWS's certificate covers one label in front of its name. */
	bool in_path = o->path_style || is_address(at.host) || strchr(s->bucket, '.') != NULL;
	const char *front = in_path ? "" : arena_fmt(&s->mem, "%s.", s->bucket).p;
	s->authority = arena_fmt(&s->mem, "%s%.*s", front, STR_ARG(at.authority));
	s->origin = arena_fmt(&s->mem, "http%s://%.*s", at.tls ? "s" : "", STR_ARG(s->authority)).p;
	s->root = in_path ? arena_fmt(&s->mem, "/%s", s->bucket).p : "";
	return OK;
}

static enum err set_up(
	struct s3 *s, const struct store_options *o, const char *rest, struct error *e)
{
	s->own_endpoint = is_set(o->endpoint);
	s->sts_known = is_set(o->sts_endpoint);
	s->checksums = !o->no_checksums;
	s->ca_file = is_set(o->ca_file) ? arena_cstr(&s->mem, str_of(o->ca_file)) : NULL;
	s->part_size = o->part_size > 0 ? (size_t)o->part_size : PART_USUAL;
	if (s->part_size < PART_LEAST)
		s->part_size = PART_LEAST;
	TRY(set_place(s, rest, e));
	TRY(set_identity(s, o, e));
	TRY(set_region(s, o, e));
	return set_endpoint(s, o, e);
}

enum err store_s3_open(struct store **out, const struct store_options *o, const char *rest,
	const struct env *env, struct error *e)
{
	struct s3 *s = mem_zalloc(sizeof *s);

	s->base.ops = &s3_ops;
	s->env = env;
	pthread_mutex_init(&s->lock, NULL);
	rnd_system(&s->rnd);
	enum err rc = set_up(s, o, rest, e);
	if (rc != OK) {
		s3_close(&s->base);
		return rc;
	}
	*out = &s->base;
	return OK;
}
