/* Credential files: what Google's libraries read, checked before anything is sent anywhere. */
#include <string.h>

#include "buf.h"
#include "endpoint.h"
#include "file.h"
#include "gcp_source.h"
#include "json.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)

struct reading {
	struct gcp_source *s;
	const char *path;
	struct arena *mem;
	struct error *e;
	unsigned depth;
};

static enum err wrong(struct reading *r, const char *what)
{
	return FAIL(r->e, ERR_USAGE, "reading the Google credential file %s: %s", r->path, what);
}

/* NULL when absent or empty. */
static const char *text_of(struct reading *r, const json_t *o, const char *key)
{
	struct str s = json_get_str(o, key);

	return s.n > 0 ? arena_cstr(r->mem, s) : NULL;
}

static enum err want_text(struct reading *r, const json_t *o, const char *key, const char **out)
{
	*out = text_of(r, o, key);
	if (*out == NULL)
		return wrong(r, arena_fmt(r->mem, "\"%s\" is missing", key).p);
	return OK;
}

/* A place that gets or gives tokens: https, or this machine's own. */
static enum err check_url(struct reading *r, const char *key, const char *url, bool link_local)
{
	struct endpoint at;
	struct error why;
	struct str bare = str_of(url);
	ptrdiff_t authority = str_find(bare, STR("://"));

	/* Whatever stands behind the host is fine here: '@' in a path, a query. */
	for (size_t i = authority >= 0 ? (size_t)authority + 3 : bare.n; i < bare.n; i++)
		if (bare.p[i] == '/' || bare.p[i] == '?')
			bare.n = i;
	if (endpoint_parse(arena_cstr(r->mem, bare), &at, &why) != OK)
		return wrong(r, arena_fmt(r->mem, "\"%s\" is no URL", key).p);
	if (at.tls || endpoint_is_loopback(&at) ||
		(link_local && str_starts(at.host, STR("169.254."))))
		return OK;
	return wrong(r,
		arena_fmt(r->mem,
			"\"%s\" is not https: tokens do not travel in plain text, but to this "
			"machine's own addresses",
			key)
			.p);
}

/* Members that change whom we become and that are not known here. */
static enum err refuse(struct reading *r, const json_t *o, const char *key, const char *why)
{
	if (json_object_get(o, key) == NULL)
		return OK;
	return wrong(r, arena_fmt(r->mem, "\"%s\" is not supported: %s", key, why).p);
}

static enum err read_impersonation(struct reading *r, const json_t *o)
{
	struct gcp_source *s = r->s;
	const json_t *more = json_object_get(o, "service_account_impersonation");
	const json_t *seconds = json_object_get(more, "token_lifetime_seconds");
	const json_t *delegates = json_object_get(o, "delegates");
	struct buf list;

	s->impersonate = text_of(r, o, "service_account_impersonation_url");
	s->lifetime_s = 3600;
	if (s->impersonate == NULL)
		return OK;
	TRY(check_url(r, "service_account_impersonation_url", s->impersonate, false));
	if (!str_ends(str_of(s->impersonate), STR(":generateAccessToken")))
		return wrong(r,
			"\"service_account_impersonation_url\" does not end in "
			":generateAccessToken");
	if (seconds != NULL)
		s->lifetime_s = json_is_integer(seconds) ? json_integer_value(seconds) : 0;
	if (s->lifetime_s < 600 || s->lifetime_s > 43200)
		return wrong(r, "\"token_lifetime_seconds\" must be 600 to 43200");
	if (delegates == NULL || json_array_size(delegates) == 0)
		return OK;
	buf_init(&list, FILE_MAX_BYTES);
	enum err rc = json_write(delegates, &list, r->e);
	if (rc == OK)
		s->delegates = arena_cstr(r->mem, buf_str(&list));
	buf_free(&list);
	return rc;
}

static enum err read_headers(struct reading *r, const json_t *headers)
{
	const char *name;
	const json_t *value;
	json_t *each = (json_t *)(uintptr_t)headers; /* the macro takes no const */

	r->s->headers = arena_array(r->mem, json_object_size(headers) + 1, sizeof *r->s->headers);
	json_object_foreach (each, name, value) {
		if (!json_is_string(value) || strpbrk(json_string_value(value), "\r\n") != NULL)
			return wrong(r, "a header in \"credential_source\" is no line of text");
		r->s->headers[r->s->nheaders++] = (struct http_pair){
			arena_str(r->mem, str_of(name)),
			arena_str(r->mem, str_of(json_string_value(value)))};
	}
	return OK;
}

static enum err read_format(struct reading *r, const json_t *source)
{
	const json_t *format = json_object_get(source, "format");
	struct str type = json_get_str(format, "type");

	if (type.n == 0 || str_eqc(type, "text"))
		return OK;
	if (!str_eqc(type, "json"))
		return wrong(r, "the \"format\" of \"credential_source\" is neither text nor json");
	return want_text(r, format, "subject_token_field_name", &r->s->field);
}

static bool is_aws_sts(struct reading *r, const char *url)
{
	struct str rest = str_of(url), head, region = STR("{region}");
	struct endpoint at;
	struct error ignored;
	ptrdiff_t hole = str_find(rest, region);

	if (hole >= 0)
		rest = arena_fmt(r->mem, "%.*sx%.*s", (int)hole, rest.p,
			STR_ARG(str_from(rest, (size_t)hole + region.n)));
	if (str_cut(&rest, '?', &head))
		rest = head;
	return endpoint_parse(arena_cstr(r->mem, rest), &at, &ignored) == OK && at.tls &&
		str_starts(at.host, STR("sts.")) &&
		(str_ends(at.host, STR(".amazonaws.com")) ||
			str_ends(at.host, STR(".amazonaws.com.cn")));
}

/* Only AWS's own STS: Google takes no other, and what is signed would speak for us there. */
static enum err read_aws(struct reading *r, const json_t *source)
{
	struct gcp_source *s = r->s;
	struct str environment = json_get_str(source, "environment_id");

	s->subject = GCP_SUBJECT_AWS;
	if (!str_eqc(environment, "aws1"))
		return wrong(r, "\"environment_id\" is another version than aws1");
	TRY(want_text(r, source, "regional_cred_verification_url", &s->place));
	return is_aws_sts(r, s->place)
		? OK
		: wrong(r, "\"regional_cred_verification_url\" is not AWS's STS");
}

static enum err read_external_source(struct reading *r, const json_t *source)
{
	struct gcp_source *s = r->s;
	const char *file = text_of(r, source, "file"), *url = text_of(r, source, "url");

	if (!json_is_object(source))
		return wrong(r, "\"credential_source\" is missing");
	TRY(refuse(r, source, "executable",
		"sluice runs no programs for tokens; have the token written into a file"));
	TRY(refuse(r, source, "certificate", "use a token file, or the AWS form"));
	if (json_object_get(source, "environment_id") != NULL)
		return read_aws(r, source);
	if ((file == NULL) == (url == NULL))
		return wrong(r, "\"credential_source\" must name a file or a url, one of them");
	s->subject = file != NULL ? GCP_SUBJECT_FILE : GCP_SUBJECT_URL;
	s->place = file != NULL ? file : url;
	if (url != NULL)
		TRY(check_url(r, "url", url, true));
	if (url != NULL && json_is_object(json_object_get(source, "headers")))
		TRY(read_headers(r, json_object_get(source, "headers")));
	return read_format(r, source);
}

static enum err read_external(struct reading *r, const json_t *o)
{
	struct gcp_source *s = r->s;

	s->kind = GCP_EXTERNAL;
	TRY(refuse(r, o, "client_id", "it belongs to the federation of persons"));
	TRY(refuse(r, o, "workforce_pool_user_project", "it belongs to the federation of persons"));
	TRY(want_text(r, o, "audience", &s->audience));
	TRY(want_text(r, o, "subject_token_type", &s->subject_type));
	TRY(want_text(r, o, "token_url", &s->token_url));
	TRY(check_url(r, "token_url", s->token_url, false));
	return read_external_source(r, json_object_get(o, "credential_source"));
}

static enum err read_key(struct reading *r, const json_t *o)
{
	struct gcp_source *s = r->s;
	struct str key = json_get_str(o, "private_key");

	s->kind = GCP_KEY;
	TRY(want_text(r, o, "client_email", &s->email));
	s->key_id = text_of(r, o, "private_key_id");
	TRY(want_text(r, o, "token_uri", &s->token_url));
	TRY(check_url(r, "token_uri", s->token_url, false));
	if (key.n == 0)
		return wrong(r, "\"private_key\" is missing");
	secret_set(&s->key, key);
	return OK;
}

static enum err read_object(struct reading *r, const json_t *o);

static enum err read_impersonated(struct reading *r, const json_t *o)
{
	const json_t *inner = json_object_get(o, "source_credentials");

	if (r->depth++ > 0 || !json_is_object(inner))
		return wrong(r, "\"source_credentials\" is missing, or nested");
	TRY(read_object(r, inner));
	if (r->s->impersonate != NULL)
		return wrong(r, "it impersonates twice; name the second account in \"delegates\"");
	TRY(read_impersonation(r, o));
	return r->s->impersonate != NULL
		? OK
		: wrong(r, "\"service_account_impersonation_url\" is missing");
}

static enum err read_object(struct reading *r, const json_t *o)
{
	struct str type = json_get_str(o, "type");
	struct str universe = json_get_str(o, "universe_domain");

	if (universe.n > 0 && !str_eqc(universe, "googleapis.com"))
		return wrong(r, "another \"universe_domain\" than googleapis.com is not supported");
	if (str_eqc(type, "external_account")) {
		TRY(read_external(r, o));
		return read_impersonation(r, o);
	}
	if (str_eqc(type, "service_account"))
		return read_key(r, o);
	if (str_eqc(type, "impersonated_service_account"))
		return read_impersonated(r, o);
	if (str_eqc(type, "authorized_user"))
		return wrong(r,
			"it is a person's own login (authorized_user), which does not belong into a "
			"service; use workload identity federation, or gcloud auth "
			"application-default login --impersonate-service-account with a source "
			"other than a person");
	return wrong(r,
		"its \"type\" is none of external_account, impersonated_service_account, "
		"service_account");
}

enum err gcp_source_read(struct gcp_source *s, const char *path, struct arena *mem, struct error *e)
{
	struct reading r = {.s = s, .path = path, .mem = mem, .e = e};
	struct secret text = {.hidden = NULL};
	struct error cause;
	struct error quoting; /* the parser's words may quote the file */
	json_t *o = NULL;
	enum err rc = secret_read_file(&text, path, &cause);

	s->file = arena_cstr(mem, str_of(path));
	if (rc != OK)
		rc = FAIL(e, ERR_USAGE,
			"reading the Google credential file: %s; name a file that this user may read",
			cause.text);
	else if (json_read(str_of(secret_reveal(&text)), path, &o, &quoting) != OK)
		rc = wrong(&r, "it is no JSON");
	else
		rc = read_object(&r, o);
	json_decref(o);
	secret_free(&text);
	return rc;
}

enum err gcp_source_metadata(
	struct gcp_source *s, const char *host, struct arena *mem, struct error *e)
{
	struct endpoint at;

	s->kind = GCP_METADATA;
	s->lifetime_s = 3600;
	if (host == NULL || host[0] == '\0')
		host = "metadata.google.internal";
	s->metadata = arena_fmt(mem, "http://%s", host).p;
	if (endpoint_parse(s->metadata, &at, e) != OK)
		return error_wrap(e, "using GCE_METADATA_HOST");
	if (endpoint_is_loopback(&at) || str_starts(at.host, STR("169.254.")) ||
		str_eqc(at.host, "metadata.google.internal"))
		return OK;
	return FAIL(e, ERR_USAGE,
		"using GCE_METADATA_HOST: \"%s\" is neither Google's metadata server nor this "
		"machine; unset it",
		host);
}

struct str gcp_source_email(const struct gcp_source *s)
{
	struct str url = str_of(s->impersonate), verb = STR(":generateAccessToken");
	ptrdiff_t at = str_find(url, STR("/serviceAccounts/"));

	if (at < 0 || !str_ends(url, verb))
		return STR_NONE;
	url.n -= verb.n;
	return str_from(url, (size_t)at + strlen("/serviceAccounts/"));
}
