/* AWS's Security Token Service: roles, and who one is. Source: AWS STS API reference, 2011-06-15.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "aws_parts.h"
#include "clock.h"
#include "enc.h"
#include "endpoint.h"
#include "xml.h"

#define VERSION "2011-06-15"
#define MINUTE  INT64_C(60000000)

struct sts_place {
	const char *url, *region;
	struct endpoint at;
};

static const char *domain_of(struct str region)
{
	return str_starts(region, STR("cn-")) ? "amazonaws.com.cn" : "amazonaws.com";
}

static enum err find_place(
	struct aws_identity *i, struct arena *mem, struct sts_place *out, struct error *e)
{
	struct str region;

	TRY(aws_identity_region(i, mem, &region, e));
	/* Where AWS's own clients go when nothing says otherwise. */
	if (region.n == 0)
		region = STR("us-east-1");
	out->region = arena_cstr(mem, region);
	out->url = i->o.sts_endpoint != NULL
		? i->o.sts_endpoint
		: arena_fmt(mem, "https://sts.%s.%s", out->region, domain_of(region)).p;
	return endpoint_want(out->url, "[aws] sts_endpoint", &out->at, e);
}

static void put_field(struct buf *form, const char *name, struct str value)
{
	buf_puts(form, form->n > 0 ? "&" : "");
	buf_puts(form, name);
	buf_putc(form, '=');
	sigv4_encode(value, true, form);
}

/* The Action and Version open every form. */
static void begin_form(struct buf *form, const char *action)
{
	/* Room at once, for a buffer that moved would leave secrets behind. */
	char *room;
	struct error ignored;

	buf_init(form, BUF_MAX_DEFAULT);
	IGNORE(buf_room(form, 128 << 10, &room, &ignored)); /* it grows as well */
	put_field(form, "Action", str_of(action));
	put_field(form, "Version", STR(VERSION));
}

static void end_form(struct buf *form)
{
	if (form->p != NULL)
		explicit_bzero(form->p, form->cap);
	buf_free(form);
}

static void put_role(struct aws_identity *i, struct buf *form, const struct aws_role *role)
{
	const char *session = aws_env(i, "AWS_ROLE_SESSION_NAME");
	char seconds[24];

	put_field(form, "RoleArn", role->arn);
	put_field(form, "RoleSessionName",
		role->session.n > 0                 ? role->session
			: i->o.session_name != NULL ? str_of(i->o.session_name)
			: session != NULL           ? str_of(session)
						    : STR("sluice"));
	(void)snprintf(seconds, sizeof seconds, "%" PRId64,
		role->seconds > 0 ? role->seconds : INT64_C(3600));
	put_field(form, "DurationSeconds", str_of(seconds));
}

/* What an error answer says: its code and message, both in mem. */
static void explain(
	const struct http_reply *reply, struct arena *mem, struct str *code, struct str *message)
{
	struct xml *root;
	struct error ignored;

	*code = STR("");
	*message = STR("(without an explanation)");
	if (xml_read(buf_str(&reply->body), "the answer", mem, &root, &ignored) != OK)
		return;
	const struct xml *error = xml_child(root, "Error");
	if (error == NULL)
		return;
	*code = xml_text(error, "Code");
	*message = xml_text(error, "Message");
}

static enum err refused(struct aws_identity *i, const struct sts_place *place, const char *action,
	const struct http_reply *reply, struct error *e)
{
	struct arena mem = {0};
	struct str code, message;
	enum err kind = http_status_kind(reply->status);

	(void)i;
	explain(reply, &mem, &code, &message);
	/* A token or key that is wrong is a matter of configuration, whatever the status. */
	if (reply->status == 400)
		kind = str_eqc(code, "Throttling") || str_eqc(code, "IDPCommunicationError")
			? ERR_UNAVAILABLE
			: ERR_USAGE;
	(void)FAIL(e, kind, "asking AWS STS at %s for %s: it answered %u %.*s: %.*s", place->url,
		action, reply->status, STR_ARG(code), STR_ARG(message));
	arena_free(&mem);
	return kind;
}

/* A signed call whose clock was called wrong is made again with the time that the answer gave. */
static bool clock_was_wrong(struct aws_identity *i, const struct http_reply *reply)
{
	return (reply->status == 400 || reply->status == 403) &&
		aws_identity_saw_date(i, http_reply_header(reply, "date"));
}

static enum err send_form(struct aws_identity *i, const struct sts_place *place,
	const struct buf *form, const struct aws_credentials *sign, struct http_reply *reply,
	struct error *e)
{
	struct arena mem = {0};
	struct sigv4_signed s = {.nheaders = 0};
	const struct http_pair type = {
		STR("Content-Type"), STR("application/x-www-form-urlencoded; charset=utf-8")};
	char digest[ENC_SHA256_TEXT];
	struct http_call call = {.method = "POST",
		.url = arena_fmt(&mem, "%s/", place->url).p,
		.body = buf_str(form),
		.headers = &type,
		.nheaders = 1,
		.max_response = 1 << 20,
		.deadline_us = MINUTE / 2,
		.idempotent = true};

	if (sign != NULL) {
		enc_sha256(buf_str(form), digest);
		const struct sigv4_request r = {.method = "POST",
			.host = place->at.authority,
			.path = STR("/"),
			.headers = &type,
			.nheaders = 1,
			.payload_sha256 = digest,
			.region = place->region,
			.service = "sts",
			.at_us = aws_identity_now(i)};
		sigv4_sign(&r, sign, &mem, &s);
		call.headers = s.headers;
		call.nheaders = s.nheaders;
	}
	enum err rc = http_client_send(i->sts, &call, reply, e);
	arena_free(&mem);
	return rc;
}

/* OK with the answer's tree in mem. */
static enum err ask(struct aws_identity *i, const char *action, const struct buf *form,
	const struct aws_credentials *sign, struct arena *mem, struct xml **out, struct error *e)
{
	struct sts_place place;
	struct http_reply reply;

	TRY(find_place(i, mem, &place, e));
	http_reply_init(&reply);
	enum err rc = send_form(i, &place, form, sign, &reply, e);
	if (rc == OK && sign != NULL && clock_was_wrong(i, &reply))
		rc = send_form(i, &place, form, sign, &reply, e);
	if (rc != OK)
		error_wrap(e, "asking AWS STS for %s", action);
	else if (reply.status != 200)
		rc = refused(i, &place, action, &reply, e);
	else
		rc = xml_read(buf_str(&reply.body), "the answer of AWS STS", mem, out, e);
	if (reply.body.p != NULL)
		explicit_bzero(reply.body.p, reply.body.cap);
	http_reply_free(&reply);
	return rc;
}

static enum err take_credentials(
	const struct xml *root, const char *result, struct aws_credentials *out, struct error *e)
{
	const struct xml *c = xml_child(xml_child(root, result), "Credentials");
	int64_t expires;

	if (c == NULL || !clock_parse(xml_text(c, "Expiration"), &expires))
		return FAIL(e, ERR_INPUT,
			"asking AWS STS for credentials: its answer has none, or no Expiration");
	return aws_credentials_set(out, xml_text(c, "AccessKeyId"), xml_text(c, "SecretAccessKey"),
		xml_text(c, "SessionToken"), expires, "AWS STS", e);
}

/* The tree holds the new secrets. */
static void wipe_tree(const struct xml *node, struct arena *mem)
{
	for (; node != NULL; node = node->next) {
		if (node->text.n > 0)
			sigv4_wipe_later(mem, node->text);
		wipe_tree(node->child, mem);
	}
}

static enum err credentials_by(struct aws_identity *i, const char *action, const char *result,
	const struct buf *form, const struct aws_credentials *sign, struct aws_credentials *out,
	struct error *e)
{
	struct arena mem = {0};
	struct xml *root = NULL;
	enum err rc = ask(i, action, form, sign, &mem, &root, e);

	wipe_tree(root, &mem);
	if (rc == OK)
		rc = take_credentials(root, result, out, e);
	arena_free(&mem);
	return rc;
}

enum err aws_sts_assume_role(struct aws_identity *i, const struct aws_credentials *base,
	const struct aws_role *role, struct aws_credentials *out, struct error *e)
{
	struct buf form;

	begin_form(&form, "AssumeRole");
	put_role(i, &form, role);
	if (role->external_id.n > 0)
		put_field(&form, "ExternalId", role->external_id);
	enum err rc = credentials_by(i, "AssumeRole", "AssumeRoleResult", &form, base, out, e);
	end_form(&form);
	return rc == OK ? OK : error_wrap(e, "assuming %.*s", STR_ARG(role->arn));
}

enum err aws_sts_web_identity(struct aws_identity *i, const struct secret *token,
	const struct aws_role *role, struct aws_credentials *out, struct error *e)
{
	struct buf form;

	begin_form(&form, "AssumeRoleWithWebIdentity");
	put_role(i, &form, role);
	put_field(&form, "WebIdentityToken", str_trim(str_of(secret_reveal(token))));
	enum err rc = credentials_by(i, "AssumeRoleWithWebIdentity",
		"AssumeRoleWithWebIdentityResult", &form, NULL, out, e);
	end_form(&form);
	return rc == OK
		? OK
		: error_wrap(e, "assuming %.*s with a web identity token", STR_ARG(role->arn));
}

enum err aws_sts_who(struct aws_identity *i, const struct aws_credentials *c, struct arena *mem,
	struct str *arn, struct error *e)
{
	struct buf form;
	struct xml *root = NULL;

	begin_form(&form, "GetCallerIdentity");
	enum err rc = ask(i, "GetCallerIdentity", &form, c, mem, &root, e);
	end_form(&form);
	if (rc != OK)
		return rc;
	*arn = xml_text(xml_child(root, "GetCallerIdentityResult"), "Arn");
	if (arn->n == 0)
		return FAIL(e, ERR_INPUT, "asking AWS STS who we are: its answer has no Arn");
	return OK;
}
