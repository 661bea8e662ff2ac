/* The Cloud Storage driver: gs://bucket/prefix. See gcs_store.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint.h"
#include "gcs_store.h"
#include "json.h"
#include "log.h"
#include "mem.h"
#include "sigv4.h"
#include "store_drivers.h"

#define QUANTUM      ((size_t)262144) /* parts are multiples of it */
#define PART_SIZE    ((size_t)8 << 20)
#define NAME_BYTES   1024 /* at most, of an object's name */
#define DAMAGED_MOST 3

static struct gcs_store *of(struct store *s)
{
	return (struct gcs_store *)s;
}

static const char *address(struct gcs_store *s, const char *before, const char *between,
	struct str key, struct arena *mem)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	buf_putf(&b, "%s%s/storage/v1/b/%s/o%s", s->endpoint, before, s->bucket, between);
	sigv4_encode(str_of(s->prefix), true, &b);
	sigv4_encode(key, true, &b);
	const char *url = arena_cstr(mem, buf_str(&b));
	buf_free(&b);
	return url;
}

const char *gcs_url(struct gcs_store *s, struct str key, struct arena *mem)
{
	return address(s, "", "/", key, mem);
}

const char *gcs_upload_url(struct gcs_store *s, const char *how, struct str key, struct arena *mem)
{
	return address(s, "/upload", arena_fmt(mem, "?uploadType=%s&name=", how).p, key, mem);
}

static const char *doing(struct gcs_store *s, const char *verb, struct str key, struct arena *mem)
{
	return arena_fmt(mem, "%s %.*s in %s", verb, STR_ARG(key), s->url).p;
}

static enum err check_length(struct gcs_store *s, struct str key, struct error *e)
{
	size_t n = strlen(s->prefix) + key.n;

	if (n <= NAME_BYTES)
		return OK;
	return FAIL(e, ERR_INPUT,
		"using the key %.*s in %s: with the prefix it has %zu bytes, and an object's name "
		"at most %d",
		STR_ARG(key), s->url, n, NAME_BYTES);
}

static enum err put(struct store *store, struct str key, struct str body, enum store_condition cond,
	const char *match, char *etag, struct error *e)
{
	TRY(check_length(of(store), key, e));
	return gcs_put(store, key, body, cond, match, etag, e);
}

/* "crc32c=AAAAAA==,md5=..."; perhaps in a header each. Empty when there is none. */
static struct str sent_crc(const struct http_reply *reply)
{
	for (size_t i = 0; i < reply->nheaders; i++) {
		struct str rest = reply->headers[i].value, part;
		if (!str_ieq(reply->headers[i].name, STR("x-goog-hash")))
			continue;
		while (str_next(&rest, ',', &part)) {
			part = str_trim(part);
			if (str_starts(part, STR("crc32c=")))
				return str_from(part, strlen("crc32c="));
		}
	}
	return STR_NONE;
}

static bool arrived_whole(const struct http_reply *reply)
{
	char crc[12];

	gcs_crc32c(buf_str(&reply->body), crc);
	return str_eqc(sent_crc(reply), crc);
}

/* What is damaged on its way is fetched again. */
static enum err fetch(
	struct gcs_store *s, const struct gcs_call *call, struct http_reply *reply, struct error *e)
{
	for (unsigned times = 1; times <= DAMAGED_MOST; times++) {
		TRY(gcs_send(s, call, reply, e));
		if (reply->status != 200)
			return gcs_fail(s, call->doing, reply, e);
		if (arrived_whole(reply))
			return OK;
		log_warn(s->env->log, "store", "what arrived from Cloud Storage is damaged",
			F_CSTR("doing", call->doing), F_I64("bytes", reply->body.n));
	}
	return FAIL(e, ERR_INPUT,
		"%s: its CRC-32C is not what Cloud Storage says, in %d attempts; look at the "
		"network and the object",
		call->doing, DAMAGED_MOST);
}

static enum err get(
	struct store *store, struct str key, struct buf *body, char *etag, struct error *e)
{
	struct gcs_store *s = of(store);
	struct arena mem = {.chunks = NULL};
	struct http_reply reply;
	/* The bytes as they are stored, whatever encoding their writer declared. */
	const struct http_pair raw = {STR("Accept-Encoding"), STR("gzip")};
	size_t room = body->max - body->n;
	const struct gcs_call call = {.method = "GET",
		.url = arena_fmt(&mem, "%s?alt=media", gcs_url(s, key, &mem)).p,
		.doing = doing(s, "reading", key, &mem),
		.headers = &raw,
		.nheaders = 1,
		.max_response = room > 65536 ? room : 65536};

	http_reply_init(&reply);
	enum err rc = check_length(s, key, e);
	if (rc == OK)
		rc = fetch(s, &call, &reply, e);
	if (rc == OK)
		rc = buf_add(body, buf_str(&reply.body), e);
	struct str generation = http_reply_header(&reply, "x-goog-generation");
	if (rc == OK && etag != NULL && (generation.n == 0 || generation.n >= STORE_ETAG))
		rc = FAIL(e, ERR_INPUT, "%s: Cloud Storage names no generation", call.doing);
	if (rc == OK && etag != NULL) {
		memcpy(etag, generation.p, generation.n);
		etag[generation.n] = '\0';
	}
	http_reply_free(&reply);
	arena_free(&mem);
	return rc;
}

struct listing {
	struct gcs_store *s;
	store_key_fn *fn;
	void *arg;
	const char *doing;
	struct str token; /* of the next page; empty: there is none */
	struct arena mem; /* holds it */
};

static enum err give_item(struct listing *l, const json_t *item, struct error *e)
{
	struct str name, size;
	uint64_t bytes;
	size_t before = strlen(l->s->prefix);

	TRY(json_want_str(item, "name", &name, e));
	TRY(json_want_str(item, "size", &size, e));
	if (!str_to_u64(size, &bytes))
		return FAIL(e, ERR_INPUT, "%s: an object has the size \"%.*s\"", l->doing,
			STR_ARG(size));
	struct str key = str_from(name, before);
	/* Not everything in a bucket is a key: "a/" stands for a directory in some tools. */
	if (!store_key_allowed(key))
		return OK;
	return l->fn(l->arg, key, (size_t)bytes, e);
}

static enum err give_page(struct listing *l, struct str page, struct error *e)
{
	json_t *o = NULL;
	size_t i;
	json_t *item;

	TRY(json_read(page, "Cloud Storage's listing", &o, e));
	enum err rc = OK;
	json_array_foreach (json_object_get(o, "items"), i, item) {
		rc = give_item(l, item, e);
		if (rc != OK)
			break;
	}
	l->token = arena_str(&l->mem, json_get_str(o, "nextPageToken"));
	json_decref(o);
	return rc;
}

static const char *page_url(struct listing *l, struct str prefix)
{
	struct gcs_store *s = l->s;
	struct buf b;

	buf_init(&b, 1 << 16);
	buf_putf(&b,
		"%s/storage/v1/b/%s/o?maxResults=1000&fields=items(name%%2Csize)%%2CnextPageToken"
		"&prefix=",
		s->endpoint, s->bucket);
	sigv4_encode(str_of(s->prefix), true, &b);
	sigv4_encode(prefix, true, &b);
	if (l->token.n > 0) {
		buf_puts(&b, "&pageToken=");
		sigv4_encode(l->token, true, &b);
	}
	const char *url = arena_cstr(&l->mem, buf_str(&b));
	buf_free(&b);
	return url;
}

/* Google sorts names as UTF-8, which is bytewise. A page may be empty and not the last. */
static enum err list(
	struct store *store, struct str prefix, store_key_fn *fn, void *arg, struct error *e)
{
	struct listing l = {.s = of(store), .fn = fn, .arg = arg};
	struct http_reply reply;
	enum err rc;

	http_reply_init(&reply);
	l.doing = doing(l.s, "listing", prefix, &l.mem);
	do {
		const struct gcs_call call = {
			.method = "GET", .url = page_url(&l, prefix), .doing = l.doing};
		rc = gcs_send(l.s, &call, &reply, e);
		if (rc == OK && reply.status != 200)
			rc = gcs_fail(l.s, l.doing, &reply, e);
		if (rc == OK)
			rc = give_page(&l, buf_str(&reply.body), e);
	} while (rc == OK && l.token.n > 0);
	http_reply_free(&reply);
	arena_free(&l.mem);
	return rc;
}

static enum err remove_key(struct store *store, struct str key, struct error *e)
{
	struct gcs_store *s = of(store);
	struct arena mem = {.chunks = NULL};
	struct http_reply reply;
	const struct gcs_call call = {.method = "DELETE",
		.url = gcs_url(s, key, &mem),
		.doing = doing(s, "removing", key, &mem)};

	http_reply_init(&reply);
	enum err rc = gcs_send(s, &call, &reply, e);
	if (rc == OK && (reply.status < 200 || reply.status >= 300))
		rc = gcs_fail(s, call.doing, &reply, e);
	if (rc == ERR_NOT_FOUND)
		rc = OK;
	http_reply_free(&reply);
	arena_free(&mem);
	return rc;
}

static void close_store(struct store *store)
{
	struct gcs_store *s = of(store);

	gcs_clients_free(s);
	gcp_identity_close(s->identity);
	pthread_mutex_destroy(&s->lock);
	arena_free(&s->mem);
	mem_free(s);
}

static const struct store_ops gcs_ops = {
	.scheme = "gs",
	.put = put,
	.get = get,
	.list = list,
	.remove = remove_key,
	.who = gcs_who,
	.close = close_store,
};

static bool bucket_allowed(struct str name)
{
	if (name.n < 3 || name.n > 222)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!(name.p[i] >= 'a' && name.p[i] <= 'z') &&
			!(name.p[i] >= '0' && name.p[i] <= '9') &&
			(name.p[i] == '\0' || strchr("-_.", name.p[i]) == NULL))
			return false;
	return true;
}

/* "bucket/a/b/" gives the bucket and the prefix "a/b/". */
static enum err read_place(struct gcs_store *s, const char *rest, struct error *e)
{
	struct str prefix, bucket = store_bucket(rest, &prefix);

	if (!bucket_allowed(bucket) || (prefix.n > 0 && !store_key_allowed(prefix)))
		return FAIL(e, ERR_USAGE,
			"opening the object store: \"%s\" is no bucket with a prefix; set [store] "
			"url to gs://bucket or gs://bucket/prefix",
			s->url);
	s->bucket = arena_cstr(&s->mem, bucket);
	s->prefix = prefix.n > 0 ? arena_fmt(&s->mem, "%.*s/", STR_ARG(prefix)).p : "";
	return OK;
}

static bool given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

static enum err read_endpoint(struct gcs_store *s, const struct store_options *o, struct error *e)
{
	struct endpoint at;

	s->endpoint = "https://storage.googleapis.com";
	if (getenv("STORAGE_EMULATOR_HOST") != NULL && !given(o->endpoint))
		log_warn(s->env->log, "store",
			"STORAGE_EMULATOR_HOST is set and not obeyed, for releases would go astray "
			"unnoticed; set [store] endpoint if you mean it");
	if (!given(o->endpoint))
		return OK;
	TRY(endpoint_want(o->endpoint, "[store] endpoint", &at, e));
	s->endpoint =
		arena_fmt(&s->mem, "%s://%.*s", at.tls ? "https" : "http", STR_ARG(at.authority)).p;
	if (at.path.n > 1)
		return FAIL(e, ERR_USAGE,
			"using [store] endpoint: \"%s\" has a path; a host and a port are enough",
			o->endpoint);
	return OK;
}

static enum err open_identity(struct gcs_store *s, const struct store_options *o, struct error *e)
{
	const struct gcp_identity_options identity = {.file = o->credentials,
		.setting = "[store] credentials",
		.scope = "https://www.googleapis.com/auth/devstorage.read_write",
		.ca_file = s->ca_file};

	return gcp_identity_open(&s->identity, &identity, s->env, e);
}

enum err store_gcs_open(struct store **out, const struct store_options *o, const char *rest,
	const struct env *env, struct error *e)
{
	struct gcs_store *s = mem_zalloc(sizeof *s);
	size_t part = o->part_size > 0 ? (size_t)o->part_size : PART_SIZE;

	s->base.ops = &gcs_ops;
	s->env = env;
	pthread_mutex_init(&s->lock, NULL);
	rnd_system(&s->rnd);
	s->url = arena_cstr(&s->mem, str_of(o->url));
	s->ca_file = given(o->ca_file) ? arena_cstr(&s->mem, str_of(o->ca_file)) : NULL;
	s->part_size = part < QUANTUM ? QUANTUM : part / QUANTUM * QUANTUM;
	enum err rc = read_place(s, rest, e);
	if (rc == OK)
		rc = read_endpoint(s, o, e);
	if (rc == OK)
		rc = open_identity(s, o, e);
	if (rc != OK) {
		close_store(&s->base);
		return rc;
	}
	*out = &s->base;
	return OK;
}
