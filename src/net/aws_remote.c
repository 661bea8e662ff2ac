/* Credentials from the container's agent (ECS, EKS Pod Identity) and the instance's metadata
 * service (IMDSv2). */
#include <string.h>

#include "aws_parts.h"
#include "clock.h"
#include "endpoint.h"
#include "json.h"

#define SECOND      INT64_C(1000000)
#define TOKEN_TTL_S 21600
#define IMDS        "http://169.254.169.254"
#define IMDS_ROLES  "/latest/meta-data/iam/security-credentials/"

/* The error says nothing of the text: it may hold a secret. */
static enum err read_answer(struct str text, const char *from, json_t **out, struct error *e)
{
	struct error ignored;

	if (json_read(text, from, out, &ignored) != OK || !json_is_object(*out))
		return FAIL(e, ERR_INPUT,
			"taking credentials from %s: its answer is no JSON object", from);
	return OK;
}

/* {"AccessKeyId","SecretAccessKey","Token","Expiration"}, and from IMDS "Code". */
static enum err take_answer(
	struct str text, const char *from, struct aws_credentials *out, struct error *e)
{
	json_t *o = NULL;
	int64_t expires;

	enum err rc = read_answer(text, from, &o, e);
	struct str code = json_get_str(o, "Code");
	if (rc == OK && code.n > 0 && !str_eqc(code, "Success"))
		rc = FAIL(e, ERR_UNAVAILABLE, "taking credentials from %s: it says %.*s: %.*s",
			from, STR_ARG(code), STR_ARG(json_get_str(o, "Message")));
	if (rc == OK && !clock_parse(json_get_str(o, "Expiration"), &expires))
		rc = FAIL(e, ERR_INPUT, "taking credentials from %s: its answer has no Expiration",
			from);
	if (rc == OK)
		rc = aws_credentials_set(out, json_get_str(o, "AccessKeyId"),
			json_get_str(o, "SecretAccessKey"), json_get_str(o, "Token"), expires, from,
			e);
	json_decref(o);
	return rc;
}

static enum err get(struct aws_identity *i, const char *url, const struct http_pair *header,
	struct http_reply *reply, struct error *e)
{
	const struct http_call call = {.method = "GET",
		.url = url,
		.headers = header,
		.nheaders = header != NULL ? 1 : 0,
		.deadline_us = 5 * SECOND,
		.max_response = 1 << 16,
		.idempotent = true,
		.attempts = 3};
	return http_client_send(i->local, &call, reply, e);
}

static void wipe_reply(struct http_reply *reply)
{
	if (reply->body.p != NULL)
		explicit_bzero(reply->body.p, reply->body.cap);
	http_reply_free(reply);
}

/* --- containers --- */

/* The hosts that AWS's own clients allow: https, this machine, and the agents' addresses. */
static enum err check_container_url(const char *url, struct arena *mem, struct error *e)
{
	static const char *const agents[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
	struct str s = str_of(url), bare;
	struct endpoint p;

	/* The address may carry a query, which endpoint_parse does not take. */
	if (!str_cut(&s, '?', &bare))
		bare = s;
	if (endpoint_parse(arena_cstr(mem, bare), &p, e) != OK)
		return error_wrap(e, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	for (size_t k = 0; k < sizeof agents / sizeof *agents; k++)
		if (str_ieq(p.host, str_of(agents[k])))
			return OK;
	if (p.tls || endpoint_is_loopback(&p))
		return OK;
	return FAIL(e, ERR_USAGE,
		"AWS_CONTAINER_CREDENTIALS_FULL_URI is %s: credentials are asked for only over "
		"https, of this machine, or of the agents at 169.254.170.2, 169.254.170.23 and "
		"[fd00:ec2::23]",
		url);
}

/* The file is read anew each time: the kubelet replaces it. */
static enum err container_token(struct aws_identity *i, struct secret *out, struct error *e)
{
	const char *file = aws_env(i, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *plain = aws_env(i, "AWS_CONTAINER_AUTHORIZATION_TOKEN");

	if (file != NULL)
		TRY(secret_read_file(out, file, e));
	else if (plain != NULL)
		secret_set(out, str_of(plain));
	if (strpbrk(secret_reveal(out), "\r\n") != NULL)
		return FAIL(e, ERR_USAGE,
			"the container's authorization token has a line break: it would end the "
			"header it is sent in");
	return OK;
}

static enum err ask_container(struct aws_identity *i, const char *url, struct arena *mem,
	struct aws_credentials *out, struct error *e)
{
	struct secret token = {.hidden = NULL};
	struct http_reply reply;
	struct http_pair header = {STR("Authorization"), STR_NONE};

	http_reply_init(&reply);
	enum err rc = container_token(i, &token, e);
	header.value = str_of(secret_reveal(&token));
	if (rc == OK)
		rc = get(i, url, header.value.n > 0 ? &header : NULL, &reply, e);
	if (rc == OK && reply.status != 200)
		rc = FAIL(e,
			http_status_kind(reply.status) == OK ? ERR_FAILED
							     : http_status_kind(reply.status),
			"taking credentials from the container's agent at %s: it answered %u %s; "
			"check the pod's or task's role",
			url, reply.status, http_reason(reply.status));
	if (rc == OK)
		rc = take_answer(buf_str(&reply.body),
			arena_fmt(mem, "the container's agent at %s", url).p, out, e);
	secret_free(&token);
	wipe_reply(&reply);
	return rc;
}

enum err aws_container_credentials(
	struct aws_identity *i, struct aws_credentials *out, struct error *e)
{
	const char *relative = aws_env(i, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *url = aws_env(i, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	struct arena mem = {0};

	if (relative != NULL)
		url = arena_fmt(
			&mem, "http://169.254.170.2%s%s", relative[0] == '/' ? "" : "/", relative)
			      .p;
	enum err rc = check_container_url(url, &mem, e);
	if (rc == OK)
		rc = ask_container(i, url, &mem, out, e);
	arena_free(&mem);
	return rc;
}

/* --- the instance --- */

static enum err imds_place(struct aws_identity *i, struct str *out, struct error *e)
{
	const char *given = aws_env(i, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *mode = aws_env(i, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
	const char *url = given != NULL                              ? given
		: mode != NULL && str_ieq(str_of(mode), STR("IPv6")) ? "http://[fd00:ec2::254]"
								     : IMDS;
	struct endpoint p;

	if (endpoint_parse(url, &p, e) != OK)
		return error_wrap(e, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
	if (!p.tls && !endpoint_is_loopback(&p) && !str_eqc(p.host, "169.254.169.254") &&
		!str_ieq(p.host, STR("[fd00:ec2::254]")))
		return FAIL(e, ERR_USAGE,
			"AWS_EC2_METADATA_SERVICE_ENDPOINT is %s: plain http is for "
			"169.254.169.254, [fd00:ec2::254] and this machine only",
			url);
	*out = str_of(url);
	while (out->n > 0 && out->p[out->n - 1] == '/')
		out->n--;
	return OK;
}

static enum err imds_login(
	struct aws_identity *i, struct str place, struct arena *mem, struct error *e)
{
	const struct http_pair ttl = {STR("X-aws-ec2-metadata-token-ttl-seconds"), STR("21600")};
	struct http_reply reply;
	const struct http_call call = {.method = "PUT",
		.url = arena_fmt(mem, "%.*s/latest/api/token", STR_ARG(place)).p,
		.headers = &ttl,
		.nheaders = 1,
		.deadline_us = 3 * SECOND,
		.max_response = 1 << 16,
		.idempotent = true,
		.attempts = 2};

	http_reply_init(&reply);
	enum err rc = http_client_send(i->local, &call, &reply, e);
	struct str token = str_trim(buf_str(&reply.body));
	if (rc == ERR_UNAVAILABLE)
		rc = FAIL(e, ERR_NOT_FOUND, "there is no instance metadata service at %.*s",
			STR_ARG(place));
	else if (rc == OK && (reply.status != 200 || token.n == 0))
		rc = FAIL(e, reply.status >= 500 ? ERR_UNAVAILABLE : ERR_NOT_FOUND,
			"asking the instance metadata service at %.*s for a session: it answered %u "
			"%s (only version 2 of it is used)",
			STR_ARG(place), reply.status, http_reason(reply.status));
	if (rc == OK) {
		secret_set(&i->imds_token, token);
		i->imds_token_until = clock_mono(i->env->clock) + (TOKEN_TTL_S - 300) * SECOND;
	}
	wipe_reply(&reply);
	return rc;
}

/* A session that has ended (401) is begun anew, once. */
static enum err imds_get(struct aws_identity *i, struct str place, const char *path,
	struct http_reply *reply, struct arena *mem, struct error *e)
{
	const char *url = arena_fmt(mem, "%.*s%s", STR_ARG(place), path).p;

	for (int pass = 0; pass < 2; pass++) {
		if (pass > 0 || clock_mono(i->env->clock) >= i->imds_token_until)
			TRY(imds_login(i, place, mem, e));
		const struct http_pair header = {
			STR("X-aws-ec2-metadata-token"), str_of(secret_reveal(&i->imds_token))};
		TRY(get(i, url, &header, reply, e));
		if (reply->status != 401)
			break;
	}
	if (reply->status == 404)
		return FAIL(e, ERR_NOT_FOUND, "this instance has no role (%s answered 404)", url);
	if (reply->status != 200)
		return FAIL(e, reply->status >= 500 ? ERR_UNAVAILABLE : ERR_USAGE,
			"asking the instance metadata service for %s: it answered %u %s", url,
			reply->status, http_reason(reply->status));
	return OK;
}

static enum err imds_both(struct aws_identity *i, struct http_reply *reply, struct arena *mem,
	struct aws_credentials *out, struct error *e)
{
	struct str place = STR_NONE, role, rest;

	TRY(imds_place(i, &place, e));
	TRY(imds_get(i, place, IMDS_ROLES, reply, mem, e));
	rest = str_trim(buf_str(&reply->body));
	if (!str_cut(&rest, '\n', &role))
		role = rest;
	role = str_trim(role);
	if (role.n == 0)
		return FAIL(e, ERR_NOT_FOUND, "this instance has no role");
	const char *path = arena_fmt(mem, IMDS_ROLES "%.*s", STR_ARG(role)).p;
	TRY(imds_get(i, place, path, reply, mem, e));
	return take_answer(buf_str(&reply->body), "the instance metadata service", out, e);
}

enum err aws_imds_credentials(struct aws_identity *i, struct aws_credentials *out, struct error *e)
{
	struct arena mem = {0};
	struct http_reply reply;

	http_reply_init(&reply);
	enum err rc = imds_both(i, &reply, &mem, out, e);
	wipe_reply(&reply);
	arena_free(&mem);
	return rc;
}
