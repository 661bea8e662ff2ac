/*
 * Who S3 takes us for, and what that may do. Nothing is changed: reading asks for a key that is
 * not there, writing for the replacement of it by condition.
 */
#include <stdio.h>

#include "s3.h"

#define PROBE STORE_PRIVATE "/probe"

struct rights {
	bool list, read, write, conditions;
	char why[1024]; /* of the first that is missing */
};

static void missing(
	struct s3 *s, struct rights *rights, const struct s3_reply *r, const char *doing)
{
	struct error e = {.kind = OK};

	if (rights->why[0] != '\0')
		return;
	s3_refused(s, r, doing, &e);
	(void)snprintf(rights->why, sizeof rights->why, "%s", e.text);
}

/* Whatever but a refusal of the role is a failure to look. */
static enum err probe(struct s3 *s, const struct s3_call *c, const char *doing, bool *allowed,
	unsigned *status, struct rights *rights, struct error *e)
{
	struct s3_reply r;

	s3_reply_init(&r);
	enum err rc = s3_send(s, c, &r, e);
	*status = r.status;
	*allowed = rc == OK && r.status != 403;
	if (rc != OK)
		rc = error_wrap(e, "%s", doing);
	else if (r.status == 403 && str_eqc(r.code, "AccessDenied"))
		missing(s, rights, &r, doing);
	else if (r.status != 200 && r.status != 404 && r.status != 412)
		rc = s3_refused(s, &r, doing, e);
	else if (str_eqc(r.code, "NoSuchBucket"))
		rc = s3_refused(s, &r, doing, e);
	s3_reply_free(&r);
	return rc;
}

static enum err take_probe_away(struct s3 *s, struct str key, struct error *e)
{
	struct s3_reply r;

	s3_reply_init(&r);
	enum err rc = s3_send(s, &(struct s3_call){.method = "DELETE", .key = key}, &r, e);
	s3_reply_free(&r);
	return rc;
}

static enum err look(struct s3 *s, struct arena *mem, struct rights *out, struct error *e)
{
	const struct http_pair query[] = {{STR("list-type"), STR("2")}, {STR("max-keys"), STR("1")},
		{STR("prefix"), s->prefix}};
	const struct http_pair never = {
		STR("If-Match"), STR("\"00000000000000000000000000000000\"")};
	struct str key = s3_key(s, STR(PROBE), mem);
	const struct s3_call list = {.method = "GET", .query = query, .nquery = 3};
	const struct s3_call get = {.method = "GET", .key = key};
	const struct s3_call put = {.method = "PUT", .key = key, .headers = &never, .nheaders = 1};
	unsigned status;

	TRY(probe(s, &list, "listing", &out->list, &status, out, e));
	TRY(probe(s, &get, "reading", &out->read, &status, out, e));
	TRY(probe(s, &put, "writing", &out->write, &status, out, e));
	/* A server that does not know the condition has written an empty object. */
	out->conditions = status != 200;
	return out->conditions ? OK : take_probe_away(s, key, e);
}

static void put_who(struct s3 *s, struct arena *mem, struct buf *text)
{
	struct error e = {.kind = OK};
	struct str arn, source = aws_identity_source(s->identity, mem);

	/* A server that is not AWS's does not take its word from AWS's STS. */
	if (s->own_endpoint && !s->sts_known)
		buf_putf(text, "whoever has the credentials of %.*s", STR_ARG(source));
	else if (aws_identity_who(s->identity, mem, &arn, &e) == OK)
		buf_putf(text, "%.*s (credentials of %.*s)", STR_ARG(arn), STR_ARG(source));
	else
		buf_putf(text,
			"whoever has the credentials of %.*s (who that is could not be asked: %s)",
			STR_ARG(source), e.text);
}

static enum err say(struct s3 *s, const struct rights *r, struct buf *text, struct error *e)
{
	if (!r->list || !r->read)
		return FAIL(e, ERR_CHECK, "%.*s may not read %s: %s", STR_ARG(buf_str(text)),
			s->shown, r->why);
	if (!r->conditions)
		return FAIL(e, ERR_CHECK,
			"%s at %s ignores If-Match: two writers could overwrite each other; use a "
			"server that knows conditional writes",
			s->shown, s->origin);
	if (r->write)
		buf_putf(text, ", which may list, read and write %s in %s", s->shown, s->region);
	else
		buf_putf(text,
			", which may list and read %s in %s but not write: releases can be landed "
			"from here, not published",
			s->shown, s->region);
	return OK;
}

enum err s3_who(struct store *base, struct buf *text, struct error *e)
{
	struct s3 *s = (struct s3 *)base;
	struct arena mem = {0};
	struct rights rights = {.list = false};
	enum err rc = look(s, &mem, &rights, e);

	if (rc == OK) {
		put_who(s, &mem, text);
		rc = say(s, &rights, text, e);
	}
	arena_free(&mem);
	return rc;
}
