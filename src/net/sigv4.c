#include "sigv4.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "clock.h"
#include "enc.h"

#define HASH_BYTES 32
#define DATE_TEXT  17 /* "20150830T123600Z" and a NUL */

void aws_credentials_free(struct aws_credentials *c)
{
	secret_free(&c->key);
	secret_free(&c->token);
	*c = (struct aws_credentials){.expires_us = 0};
}

static void copy_secret(struct secret *to, const struct secret *from)
{
	if (secret_is_set(from))
		secret_set(to, str_of(secret_reveal(from)));
	else
		secret_free(to);
}

void aws_credentials_copy(struct aws_credentials *to, const struct aws_credentials *from)
{
	copy_secret(&to->key, &from->key);
	copy_secret(&to->token, &from->token);
	(void)snprintf(to->key_id, sizeof to->key_id, "%s", from->key_id);
	to->expires_us = from->expires_us;
}

struct wiped {
	char *p;
	size_t n;
};

static void wipe(void *arg)
{
	struct wiped *w = arg;
	explicit_bzero(w->p, w->n);
}

void sigv4_wipe_later(struct arena *mem, struct str secret)
{
	struct wiped *w = arena_alloc(mem, sizeof *w);

	/* The arena's own memory, lent as a view that may not write. */
	*w = (struct wiped){(char *)(uintptr_t)secret.p, secret.n};
	arena_defer(mem, wipe, w);
}

static bool unreserved(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		c == '-' || c == '.' || c == '_' || c == '~';
}

void sigv4_encode(struct str s, bool slash, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (unreserved(s.p[i]) || (c == '/' && !slash)) {
			buf_putc(out, s.p[i]);
			continue;
		}
		buf_putc(out, '%');
		buf_putc(out, digits[c >> 4]);
		buf_putc(out, digits[c & 15]);
	}
}

static void date_text(int64_t at_us, char out[DATE_TEXT])
{
	char iso[CLOCK_TEXT];

	/* "2015-08-30T12:36:00.000000Z" without its marks and its fraction. */
	clock_format(at_us, iso, sizeof iso);
	(void)snprintf(
		out, DATE_TEXT, "%.4s%.2s%.5s%.2s%.2s", iso, iso + 5, iso + 8, iso + 14, iso + 17);
	out[DATE_TEXT - 2] = 'Z';
}

/* --- the canonical request --- */

/* RFC 3986's remove_dot_segments, and runs of '/' as one. */
static struct str normalise(struct str path, struct arena *mem)
{
	struct str rest = path, part;
	char *out = arena_alloc(mem, path.n + 2);
	size_t n = 0;
	bool directory = path.n == 0 || path.p[path.n - 1] == '/';

	while (str_next(&rest, '/', &part)) {
		directory = part.n == 0 || str_eqc(part, ".") || str_eqc(part, "..");
		if (str_eqc(part, ".."))
			while (n > 0 && out[--n] != '/')
				;
		if (directory)
			continue;
		out[n++] = '/';
		memcpy(out + n, part.p, part.n);
		n += part.n;
	}
	if (path.n > 0 && path.p[path.n - 1] == '/')
		directory = true;
	if (n == 0 || directory)
		out[n++] = '/';
	return str_make(out, n);
}

static void put_path(const struct sigv4_request *r, struct arena *mem, struct buf *out)
{
	if (r->path.n == 0)
		buf_putc(out, '/');
	else if (r->s3)
		buf_put(out, r->path);
	else
		sigv4_encode(normalise(r->path, mem), false, out);
}

static int by_name_and_value(const void *a, const void *b)
{
	const struct http_pair *x = a, *y = b;
	int c = str_cmp(x->name, y->name);
	return c != 0 ? c : str_cmp(x->value, y->value);
}

static struct str encoded(struct str s, struct arena *mem)
{
	struct buf b;

	buf_init(&b, 3 * s.n + 1);
	sigv4_encode(s, true, &b);
	struct str copy = arena_str(mem, buf_str(&b));
	if (b.p != NULL)
		explicit_bzero(b.p, b.cap);
	buf_free(&b);
	return copy;
}

/* Sorted by what stands in the request, so encoded first. */
static struct str canonical_query(
	const struct http_pair *query, size_t n, struct arena *mem, struct buf *b)
{
	struct http_pair *sorted = arena_array(mem, n + 1, sizeof *sorted);

	for (size_t i = 0; i < n; i++)
		sorted[i] = (struct http_pair){
			encoded(query[i].name, mem), encoded(query[i].value, mem)};
	if (n > 1)
		qsort(sorted, n, sizeof *sorted, by_name_and_value);
	for (size_t i = 0; i < n; i++) {
		buf_puts(b, i > 0 ? "&" : "");
		buf_put(b, sorted[i].name);
		buf_putc(b, '=');
		buf_put(b, sorted[i].value);
	}
	return buf_str(b);
}

static struct str lower(struct str s, struct arena *mem)
{
	char *p = arena_cstr(mem, s);
	for (size_t i = 0; i < s.n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] - 'A' + 'a');
	return str_make(p, s.n);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void put_header_value(struct str value, struct buf *out)
{
	struct str s = str_trim(value);

	for (size_t i = 0; i < s.n; i++)
		if (!is_space(s.p[i]))
			buf_putc(out, s.p[i]);
		else if (!is_space(s.p[i - 1]))
			buf_putc(out, ' ');
}

/* Stable, for the values of one name stand in the order they are sent in. */
static void sort_headers(struct http_pair *h, size_t n)
{
	for (size_t i = 1; i < n; i++)
		for (size_t k = i; k > 0 && str_cmp(h[k - 1].name, h[k].name) > 0; k--) {
			struct http_pair held = h[k];
			h[k] = h[k - 1];
			h[k - 1] = held;
		}
}

static void put_headers(const struct http_pair *h, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		bool same = i > 0 && str_eq(h[i - 1].name, h[i].name);
		if (!same)
			buf_put(out, h[i].name);
		buf_putc(out, same ? ',' : ':');
		put_header_value(h[i].value, out);
		if (i + 1 == n || !str_eq(h[i + 1].name, h[i].name))
			buf_putc(out, '\n');
	}
}

static struct str signed_names(const struct http_pair *h, size_t n, struct arena *mem)
{
	struct buf b;

	buf_init(&b, BUF_MAX_DEFAULT);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && str_eq(h[i - 1].name, h[i].name))
			continue;
		buf_puts(&b, i > 0 ? ";" : "");
		buf_put(&b, h[i].name);
	}
	struct str names = arena_str(mem, buf_str(&b));
	buf_free(&b);
	return names;
}

/* Host and `headers`, in lower case and sorted. */
static struct http_pair *canonical_headers(
	struct str host, const struct http_pair *headers, size_t n, struct arena *mem)
{
	struct http_pair *all = arena_array(mem, n + 1, sizeof *all);

	all[0] = (struct http_pair){STR("host"), host};
	for (size_t i = 0; i < n; i++)
		all[i + 1] = (struct http_pair){lower(headers[i].name, mem), headers[i].value};
	sort_headers(all, n + 1);
	return all;
}

/* --- the signature --- */

struct signing {
	char date[DATE_TEXT];
	struct str scope; /* "20150830/us-east-1/s3/aws4_request" */
};

static struct signing signing_of(const struct sigv4_request *r, struct arena *mem)
{
	struct signing s = {.scope = STR_NONE};

	date_text(r->at_us, s.date);
	s.scope = arena_fmt(mem, "%.8s/%s/%s/aws4_request", s.date, r->region, r->service);
	return s;
}

static void hmac(const void *key, size_t nkey, struct str data, unsigned char out[HASH_BYTES])
{
	unsigned int n = HASH_BYTES;
	/* Fails only where SHA-256 itself is missing, and then nothing was signed: refused there.
	 */
	unsigned char *done = HMAC(
		EVP_sha256(), key, (int)nkey, (const unsigned char *)data.p, data.n, out, &n);
	assert(done != NULL);
	(void)done;
}

static void derive_key(const struct sigv4_request *r, const struct aws_credentials *c,
	const char *date, unsigned char key[HASH_BYTES])
{
	struct secret first = {.hidden = NULL};
	struct buf b;

	buf_init(&b, 4 + c->key.length);
	buf_puts(&b, "AWS4");
	buf_puts(&b, secret_reveal(&c->key));
	secret_set(&first, buf_str(&b));
	explicit_bzero(b.p, b.cap);
	buf_free(&b);
	hmac(secret_reveal(&first), first.length, str_make(date, 8), key);
	secret_free(&first);
	hmac(key, HASH_BYTES, str_of(r->region), key);
	hmac(key, HASH_BYTES, str_of(r->service), key);
	hmac(key, HASH_BYTES, STR("aws4_request"), key);
}

/* Of the canonical request in *b. */
static struct str signature(const struct sigv4_request *r, const struct aws_credentials *c,
	const struct signing *s, struct str canonical, struct arena *mem)
{
	unsigned char key[HASH_BYTES], mac[HASH_BYTES];
	char digest[ENC_SHA256_TEXT], *hex = arena_alloc(mem, ENC_SHA256_TEXT);

	enc_sha256(canonical, digest);
	struct str text = arena_fmt(
		mem, "AWS4-HMAC-SHA256\n%s\n%.*s\n%s", s->date, STR_ARG(s->scope), digest);
	derive_key(r, c, s->date, key);
	hmac(key, sizeof key, text, mac);
	explicit_bzero(key, sizeof key);
	enc_hex(str_make(mac, sizeof mac), hex);
	return str_of(hex);
}

static struct str sign(const struct sigv4_request *r, const struct aws_credentials *c,
	const struct signing *s, const struct http_pair *query, size_t nquery,
	const struct http_pair *headers, size_t nheaders, struct str names, struct arena *mem,
	struct str *query_text)
{
	struct buf b, q;

	buf_init(&b, BUF_MAX_DEFAULT);
	buf_init(&q, BUF_MAX_DEFAULT);
	buf_putf(&b, "%s\n", r->method);
	put_path(r, mem, &b);
	buf_putc(&b, '\n');
	*query_text = arena_str(mem, canonical_query(query, nquery, mem, &q));
	buf_put(&b, *query_text);
	buf_putc(&b, '\n');
	put_headers(headers, nheaders, &b);
	buf_putf(&b, "\n%.*s\n%s", STR_ARG(names), r->payload_sha256);
	struct str mac = signature(r, c, s, buf_str(&b), mem);
	/* Both may hold the session's token. */
	explicit_bzero(b.p, b.cap);
	if (q.p != NULL)
		explicit_bzero(q.p, q.cap);
	buf_free(&b);
	buf_free(&q);
	return mac;
}

static struct str token_copy(const struct aws_credentials *c, struct arena *mem)
{
	struct str token = arena_str(mem, str_of(secret_reveal(&c->token)));
	sigv4_wipe_later(mem, token);
	return token;
}

void sigv4_sign(const struct sigv4_request *r, const struct aws_credentials *c, struct arena *mem,
	struct sigv4_signed *out)
{
	struct signing s = signing_of(r, mem);
	struct http_pair *send = arena_array(mem, r->nheaders + 4, sizeof *send);
	size_t n = r->nheaders;

	if (n > 0)
		memcpy(send, r->headers, n * sizeof *send);
	send[n++] = (struct http_pair){STR("x-amz-date"), arena_str(mem, str_of(s.date))};
	if (r->s3)
		send[n++] = (struct http_pair){
			STR("x-amz-content-sha256"), arena_str(mem, str_of(r->payload_sha256))};
	if (secret_is_set(&c->token))
		send[n++] = (struct http_pair){STR("x-amz-security-token"), token_copy(c, mem)};
	const struct http_pair *all = canonical_headers(r->host, send, n, mem);
	struct str names = signed_names(all, n + 1, mem);
	struct str mac = sign(r, c, &s, r->query, r->nquery, all, n + 1, names, mem, &out->query);
	send[n++] = (struct http_pair){STR("Authorization"),
		arena_fmt(mem,
			"AWS4-HMAC-SHA256 Credential=%s/%.*s, SignedHeaders=%.*s, Signature=%.*s",
			c->key_id, STR_ARG(s.scope), STR_ARG(names), STR_ARG(mac))};
	out->headers = send;
	out->nheaders = n;
}

struct str sigv4_presign(const struct sigv4_request *r, const struct aws_credentials *c,
	int64_t seconds, struct arena *mem)
{
	struct signing s = signing_of(r, mem);
	const struct http_pair *all = canonical_headers(r->host, r->headers, r->nheaders, mem);
	struct str names = signed_names(all, r->nheaders + 1, mem), text;
	struct http_pair *query = arena_array(mem, r->nquery + 6, sizeof *query);
	size_t n = r->nquery;

	if (n > 0)
		memcpy(query, r->query, n * sizeof *query);
	query[n++] = (struct http_pair){STR("X-Amz-Algorithm"), STR("AWS4-HMAC-SHA256")};
	query[n++] = (struct http_pair){
		STR("X-Amz-Credential"), arena_fmt(mem, "%s/%.*s", c->key_id, STR_ARG(s.scope))};
	query[n++] = (struct http_pair){STR("X-Amz-Date"), arena_str(mem, str_of(s.date))};
	query[n++] = (struct http_pair){
		STR("X-Amz-Expires"), arena_fmt(mem, "%lld", (long long)seconds)};
	query[n++] = (struct http_pair){STR("X-Amz-SignedHeaders"), names};
	if (secret_is_set(&c->token))
		query[n++] = (struct http_pair){STR("X-Amz-Security-Token"), token_copy(c, mem)};
	struct str mac = sign(r, c, &s, query, n, all, r->nheaders + 1, names, mem, &text);
	struct str whole = arena_fmt(mem, "%.*s&X-Amz-Signature=%.*s", STR_ARG(text), STR_ARG(mac));
	sigv4_wipe_later(mem, text);
	sigv4_wipe_later(mem, whole);
	return whole;
}
