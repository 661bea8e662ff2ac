#include "rds_token.h"

#include <string.h>

#define SECOND   INT64_C(1000000)
#define LIFETIME 900

/* The region in NAME.ID.REGION.rds.amazonaws.com[.cn]; empty when the name is another. */
static struct str region_in(struct str host)
{
	struct str region;
	ptrdiff_t at = str_find(host, STR(".rds.amazonaws.com"));

	if (at <= 0)
		return STR_NONE;
	region = str_make(host.p, (size_t)at);
	for (size_t i = region.n; i > 0; i--)
		if (region.p[i - 1] == '.')
			return str_from(region, i);
	return STR_NONE;
}

static enum err find_region(struct aws_identity *i, const char *given, const char *host,
	struct arena *mem, const char **out, struct error *e)
{
	struct str region = str_of(given);

	if (region.n == 0)
		region = region_in(str_of(host));
	if (region.n == 0)
		TRY(aws_identity_region(i, mem, &region, e));
	if (region.n == 0)
		return FAIL(e, ERR_USAGE,
			"making an RDS token for %s: no region is known; set [aws] region or "
			"AWS_REGION to the database's",
			host);
	*out = arena_cstr(mem, region);
	return OK;
}

static void make_token(struct aws_identity *i, const struct aws_credentials *c, const char *region,
	const char *host, const char *port, const char *user, struct arena *mem, struct secret *out)
{
	const struct http_pair query[] = {
		{STR("Action"), STR("connect")}, {STR("DBUser"), str_of(user)}};
	struct str authority = arena_fmt(mem, "%s:%s", host, port);
	const struct sigv4_request r = {.method = "GET",
		.host = authority,
		.path = STR("/"),
		.query = query,
		.nquery = 2,
		.payload_sha256 = SIGV4_NOTHING,
		.region = region,
		.service = "rds-db",
		.at_us = aws_identity_now(i)};
	struct str signed_query = sigv4_presign(&r, c, LIFETIME, mem);
	struct str whole = arena_fmt(mem, "%.*s/?%.*s", STR_ARG(authority), STR_ARG(signed_query));

	sigv4_wipe_later(mem, whole);
	secret_set(out, whole);
}

enum err rds_token(struct aws_identity *i, const char *region, const char *host, const char *port,
	const char *user, struct secret *out, struct error *e)
{
	struct aws_credentials c = {.expires_us = 0};
	struct arena mem = {0};
	const char *in = NULL;
	enum err rc = find_region(i, region, host, &mem, &in, e);

	if (rc == OK)
		rc = aws_identity_get(i, LIFETIME * SECOND, &c, e);
	if (rc == OK)
		make_token(i, &c, in, host, port, user, &mem, out);
	aws_credentials_free(&c);
	arena_free(&mem);
	return rc;
}
