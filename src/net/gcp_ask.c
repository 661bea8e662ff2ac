/* One exchange with a token service, and what may be told of it. */
#include <string.h>

#include "gcp_source.h"
#include "json.h"

void gcp_reply_init(struct http_reply *r)
{
	struct error ignored;
	char *at;

	http_reply_init(r);
	/* All the room at once: a buffer that moved would leave copies behind unwiped. */
	IGNORE(buf_room(&r->body, GCP_REPLY_MAX, &at, &ignored));
}

void gcp_reply_free(struct http_reply *r)
{
	if (r->body.p != NULL)
		explicit_bzero(r->body.p, r->body.cap);
	http_reply_free(r);
}

static bool is_token_byte(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c != '\0' && strchr("-._~+=%", c) != NULL);
}

/* Adds a service's words, cut, in one line, without the token and all that looks like one. */
static void add_said(struct buf *out, struct str said, const struct secret *hidden)
{
	struct str token = STR_NONE;
	size_t most = out->n + 400;

	if (hidden != NULL && secret_is_set(hidden))
		token = str_of(secret_reveal(hidden));
	while (said.n > 0 && out->n < most) {
		size_t run = 0;
		if (token.n > 0 && str_starts(said, token))
			run = token.n;
		else
			while (run < said.n && is_token_byte(said.p[run]))
				run++;
		if (run >= 48 || (run == token.n && run > 0 && str_starts(said, token)))
			buf_puts(out, "(left out)");
		else if (run > 0)
			buf_put(out, str_make(said.p, run));
		else
			buf_putc(out, (unsigned char)said.p[0] < ' ' ? ' ' : said.p[0]);
		said = str_from(said, run > 0 ? run : 1);
	}
}

/* {"error":"invalid_grant","error_description":"..."} or {"error":{"status","message"}}. */
static void add_reason(struct buf *out, const struct http_reply *reply, const struct secret *hidden)
{
	struct error ignored;
	json_t *o = NULL;

	if (json_read(buf_str(&reply->body), "the answer", &o, &ignored) != OK) {
		buf_puts(out, "it gave no reason that can be read");
		return;
	}
	const json_t *inner = json_object_get(o, "error");
	struct str code = json_get_str(o, "error"), text = json_get_str(o, "error_description");
	if (json_is_object(inner)) {
		code = json_get_str(inner, "status");
		text = json_get_str(inner, "message");
	}
	add_said(out, code.n > 0 ? code : STR("no code"), hidden);
	buf_puts(out, ": ");
	add_said(out, text, hidden);
	json_decref(o);
}

enum err gcp_ask(struct gcp_fetch *f, const struct http_call *call, const char *doing,
	const struct secret *hidden, const char *advice, struct http_reply *reply, struct error *e)
{
	struct buf said;
	enum err kind;

	if (http_client_send(f->http, call, reply, e) != OK)
		return error_wrap(e, "%s", doing);
	if (reply->status >= 200 && reply->status < 300)
		return OK;
	kind = http_status_kind(reply->status) == ERR_UNAVAILABLE ? ERR_UNAVAILABLE : ERR_USAGE;
	buf_init(&said, 4096);
	add_reason(&said, reply, hidden);
	(void)FAIL(e, kind, "%s: %s answered %u: %s; %s", doing,
		call->shown != NULL ? call->shown : call->url, reply->status, buf_cstr(&said),
		kind == ERR_UNAVAILABLE ? "it may answer later" : advice);
	buf_free(&said);
	return kind;
}

/* The member's text lives as long as *hold. */
static enum err reply_object(
	const struct http_reply *r, const char *doing, json_t **hold, struct error *e)
{
	struct error quoting; /* may quote the answer, which is secret */

	if (json_read(buf_str(&r->body), "the answer", hold, &quoting) == OK &&
		json_is_object(*hold))
		return OK;
	json_decref(*hold);
	*hold = NULL;
	return FAIL(e, ERR_INPUT,
		"%s: the answer is no JSON object; check that it is the service you mean", doing);
}

enum err gcp_reply_secret(const struct http_reply *r, const char *member, const char *doing,
	struct secret *out, struct error *e)
{
	json_t *hold = NULL;

	TRY(reply_object(r, doing, &hold, e));
	struct str text = json_get_str(hold, member);
	if (text.n > 0)
		secret_set(out, text);
	json_decref(hold);
	if (text.n > 0)
		return OK;
	return FAIL(e, ERR_INPUT,
		"%s: the answer has no \"%s\"; check that it is the service you mean", doing,
		member);
}
