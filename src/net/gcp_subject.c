/* The token that stands for us in federation: read from a file or a URL, or made of a request that
 * our AWS identity signs. */
#include <string.h>

#include "clock.h"
#include "endpoint.h"
#include "file.h"
#include "gcp_source.h"
#include "json.h"
#include "sigv4.h"

static enum err nothing_there(const struct gcp_source *s, struct error *e)
{
	return FAIL(e, ERR_USAGE,
		"reading the token of federation from %s: %s%s%s; check credential_source in %s",
		s->place, s->field != NULL ? "it is no JSON with a text \"" : "it is empty",
		s->field != NULL ? s->field : "", s->field != NULL ? "\"" : "", s->file);
}

/* The token itself, or the member of a JSON document that holds it. */
static enum err pick(
	const struct gcp_source *s, struct str text, struct secret *out, struct error *e)
{
	struct error quoting;
	json_t *o = NULL;

	if (s->field == NULL)
		secret_set(out, str_trim(text));
	else if (json_read(text, "the token", &o, &quoting) == OK)
		secret_set(out, json_get_str(o, s->field));
	json_decref(o);
	return secret_is_set(out) ? OK : nothing_there(s, e);
}

/* Read at every exchange: whoever writes the file changes it before it expires. */
static enum err from_file(const struct gcp_source *s, struct secret *out, struct error *e)
{
	struct secret text = {.hidden = NULL};

	if (secret_read_file(&text, s->place, e) != OK)
		return FAIL(e, ERR_USAGE,
			"reading the token of federation: %s cannot be read; mount the service "
			"account's projected token there, or correct credential_source in %s",
			s->place, s->file);
	enum err rc = pick(s, str_of(secret_reveal(&text)), out, e);
	secret_free(&text);
	return rc;
}

static enum err from_url(struct gcp_fetch *f, struct secret *out, struct error *e)
{
	const struct gcp_source *s = f->source;
	struct http_reply reply;
	const struct http_call call = {.method = "GET",
		.url = s->place,
		.headers = s->headers,
		.nheaders = s->nheaders,
		.max_response = (size_t)256 << 10,
		.idempotent = true};

	gcp_reply_init(&reply);
	enum err rc = gcp_ask(f, &call, "fetching the token of federation", NULL,
		"check credential_source in the credential file", &reply, e);
	if (rc == OK)
		rc = pick(s, buf_str(&reply.body), out, e);
	gcp_reply_free(&reply);
	return rc;
}

/* "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15" */
static const char *put_region(const char *template, struct str region, struct arena *mem)
{
	struct str hole = STR("{region}");
	ptrdiff_t at = str_find(str_of(template), hole);

	if (at < 0)
		return template;
	return arena_fmt(mem, "%.*s%.*s%s", (int)at, template, STR_ARG(region),
		template + (size_t)at + hole.n)
		.p;
}

static size_t read_query(struct str query, struct http_pair *out, size_t most, struct arena *mem)
{
	struct str pair, name;
	size_t n = 0;

	while (n < most && str_next(&query, '&', &pair)) {
		if (!str_cut(&pair, '=', &name)) {
			name = pair;
			pair = STR_NONE;
		}
		if (http_percent_decode(name, mem, &out[n].name) &&
			http_percent_decode(pair, mem, &out[n].value))
			n++;
	}
	return n;
}

static void write_header(struct json_out *j, const char *name, struct str value)
{
	jo_object(j, NULL);
	jo_cstr(j, "key", name);
	jo_str(j, "value", value);
	jo_end_object(j);
}

/* What Google sends on to AWS, to learn who signed it. */
static void write_request(const char *url, struct str host, const struct sigv4_signed *signed_,
	struct arena *mem, struct buf *out)
{
	struct json_out j;

	jo_init(&j, out);
	jo_object(&j, NULL);
	jo_cstr(&j, "url", url);
	jo_cstr(&j, "method", "POST");
	jo_array(&j, "headers");
	write_header(&j, "host", host);
	for (size_t i = 0; i < signed_->nheaders; i++)
		write_header(
			&j, arena_cstr(mem, signed_->headers[i].name), signed_->headers[i].value);
	jo_end_array(&j);
	jo_end_object(&j);
}

static enum err find_region(
	struct gcp_fetch *f, struct arena *mem, struct str *out, struct error *e)
{
	TRY(aws_identity_region(f->aws, mem, out, e));
	if (out->n > 0)
		return OK;
	return FAIL(e, ERR_USAGE,
		"signing for federation from AWS: no region is known; set AWS_REGION, such as "
		"eu-west-1");
}

/* The header x-goog-cloud-target-resource is signed too, so that what is signed can be used for no
 * other provider. */
static enum err sign_request(struct gcp_fetch *f, const struct aws_credentials *credentials,
	struct arena *mem, struct buf *json, struct error *e)
{
	const struct gcp_source *s = f->source;
	struct http_pair query[16],
		target = {STR("x-goog-cloud-target-resource"), str_of(s->audience)};
	struct str region, rest, head;
	struct endpoint at;
	struct sigv4_signed done;

	TRY(find_region(f, mem, &region, e));
	const char *url = put_region(s->place, region, mem);
	rest = str_of(url);
	if (!str_cut(&rest, '?', &head)) {
		head = rest;
		rest = STR_NONE;
	}
	TRY(endpoint_parse(arena_cstr(mem, head), &at, e));
	const struct sigv4_request r = {.method = "POST",
		.host = at.authority,
		.path = at.path.n > 0 ? at.path : STR("/"),
		.query = query,
		.nquery = read_query(rest, query, 16, mem),
		.headers = &target,
		.nheaders = 1,
		.payload_sha256 = SIGV4_NOTHING,
		.region = arena_cstr(mem, region),
		.service = "sts",
		.at_us = aws_identity_now(f->aws)};
	sigv4_sign(&r, credentials, mem, &done);
	write_request(url, at.authority, &done, mem, json);
	return OK;
}

static enum err from_aws(struct gcp_fetch *f, struct secret *out, struct error *e)
{
	struct aws_credentials credentials = {.expires_us = 0};
	struct arena mem = {.chunks = NULL};
	struct buf json, text;
	char *at;

	TRY(aws_identity_get(f->aws, 0, &credentials, e));
	buf_init(&json, (size_t)1 << 17);
	buf_init(&text, (size_t)1 << 18);
	enum err rc = buf_room(&json, (size_t)1 << 16, &at, e);
	if (rc == OK)
		rc = buf_room(&text, (size_t)1 << 17, &at, e);
	if (rc == OK)
		rc = sign_request(f, &credentials, &mem, &json, e);
	if (rc == OK) {
		sigv4_encode(buf_str(&json), true, &text);
		secret_set(out, buf_str(&text));
		explicit_bzero(json.p, json.cap);
		explicit_bzero(text.p, text.cap);
	}
	buf_free(&json);
	buf_free(&text);
	arena_free(&mem);
	aws_credentials_free(&credentials);
	return rc;
}

enum err gcp_subject_token(struct gcp_fetch *f, struct secret *out, struct error *e)
{
	switch (f->source->subject) {
	case GCP_SUBJECT_FILE:
		return from_file(f->source, out, e);
	case GCP_SUBJECT_URL:
		return from_url(f, out, e);
	case GCP_SUBJECT_AWS:
		return from_aws(f, out, e);
	default:
		return FAIL(e, ERR_BUG, "fetching the token of federation: from nowhere");
	}
}
