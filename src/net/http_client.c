#include "http_client.h"

#include <curl/curl.h>

#include "http_retry.h"
#include "json.h"
#include "log.h"
#include "mem.h"
#include "rnd.h"

#define MAX_REPLY_HEADERS 128

struct http_client {
	CURL *curl;
	const struct env *env;
	struct rnd rnd; /* env's serves one thread only */
	char *user_agent, *ca_file;
	int64_t connect_timeout_us;
	char detail[CURL_ERROR_SIZE];
};

enum err http_client_new(struct http_client **out, const struct http_client_options *o,
	const struct env *env, struct error *e)
{
	CURL *curl = curl_easy_init();

	if (curl == NULL)
		return FAIL(e, ERR_FAILED, "making an HTTP client: libcurl does not initialise");
	struct http_client *c = mem_zalloc(sizeof *c);
	c->curl = curl;
	c->env = env;
	c->connect_timeout_us = 5 * 1000000LL;
	rnd_system(&c->rnd);
	if (o != NULL && o->connect_timeout_us > 0)
		c->connect_timeout_us = o->connect_timeout_us;
	if (o != NULL && o->ca_file != NULL)
		c->ca_file = mem_strdup(o->ca_file);
	c->user_agent = mem_strdup(o != NULL && o->user_agent != NULL ? o->user_agent : "sluice");
	*out = c;
	return OK;
}

void http_client_free(struct http_client *c)
{
	if (c == NULL)
		return;
	curl_easy_cleanup(c->curl);
	mem_free(c->user_agent);
	mem_free(c->ca_file);
	mem_free(c);
}

void http_reply_init(struct http_reply *r)
{
	*r = (struct http_reply){.status = 0};
	buf_init(&r->body, BUF_MAX_DEFAULT);
}

void http_reply_free(struct http_reply *r)
{
	buf_free(&r->body);
	arena_free(&r->mem);
}

struct str http_reply_header(const struct http_reply *r, const char *name)
{
	for (size_t i = 0; i < r->nheaders; i++)
		if (str_ieq(r->headers[i].name, str_of(name)))
			return r->headers[i].value;
	return STR_NONE;
}

static void reply_reset(struct http_reply *r, size_t max)
{
	buf_reset(&r->body);
	r->body.max = max > r->body.cap ? max : r->body.cap;
	arena_reset(&r->mem);
	r->headers = arena_array(&r->mem, MAX_REPLY_HEADERS, sizeof *r->headers);
	r->nheaders = 0;
	r->status = 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_reply *r = arg;
	struct error ignored;

	return buf_add(&r->body, str_make(p, size * n), &ignored) == OK ? size * n : 0;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_reply *r = arg;
	struct str name, value = str_make(p, size * n);

	/* An interim answer (100) comes before the real one: its headers do not count. */
	if (str_starts(value, STR("HTTP/")))
		r->nheaders = 0;
	else if (str_cut(&value, ':', &name) && r->nheaders < MAX_REPLY_HEADERS)
		r->headers[r->nheaders++] = (struct http_pair){
			arena_str(&r->mem, name), arena_str(&r->mem, str_trim(value))};
	return size * n;
}

static int on_progress(
	void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
	const struct http_client *c = arg;

	(void)dltotal;
	(void)dlnow;
	(void)ultotal;
	(void)ulnow;
	return env_stopping(c->env) ? 1 : 0;
}

static const char *shown_url(const struct http_call *call)
{
	return call->shown != NULL ? call->shown : call->url;
}

/* A proxy from the environment cannot reach this machine's own addresses and metadata servers. */
static bool is_local(const char *url)
{
	struct str s = str_of(url), scheme;

	if (!str_cut(&s, '/', &scheme))
		return false;
	s = str_from(s, 1);
	return str_starts(s, STR("127.")) || str_starts(s, STR("[::1]")) ||
		str_starts(s, STR("localhost")) || str_starts(s, STR("169.254.")) ||
		str_starts(s, STR("[fd00:ec2::")) || str_starts(s, STR("metadata.google.internal"));
}

static struct curl_slist *header_list(const struct http_call *call, struct arena *mem)
{
	/* curl waits a second for "100 Continue" unless told not to ask for it. */
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");

	for (size_t i = 0; i < call->nheaders; i++)
		list = curl_slist_append(list,
			arena_fmt(mem, "%.*s: %.*s", STR_ARG(call->headers[i].name),
				STR_ARG(call->headers[i].value))
				.p);
	return list;
}

static void set_body(CURL *h, const struct http_call *call)
{
	bool get = str_eqc(STR("GET"), call->method);

	if (str_eqc(STR("HEAD"), call->method)) {
		(void)curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
	} else if (call->body.n > 0 || str_eqc(STR("POST"), call->method) ||
		str_eqc(STR("PUT"), call->method) || str_eqc(STR("PATCH"), call->method)) {
		(void)curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
		(void)curl_easy_setopt(h, CURLOPT_POSTFIELDS, call->body.n > 0 ? call->body.p : "");
		if (call->body.n > 1 << 20)
			(void)curl_easy_setopt(h, CURLOPT_UPLOAD_BUFFERSIZE, 1L << 19);
	}
	if (!get || call->body.n > 0)
		(void)curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, call->method);
}

static void set_limits(struct http_client *c, const struct http_call *call, int64_t left_us)
{
	CURL *h = c->curl;
	int64_t connect_us = c->connect_timeout_us < left_us ? c->connect_timeout_us : left_us;

	(void)curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)(left_us / 1000 + 1));
	(void)curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect_us / 1000 + 1));
	(void)curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	/* The URL is sent as it stands: what was signed must not be tidied up. */
	(void)curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
	if (call->stall_us > 0) {
		(void)curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
		(void)curl_easy_setopt(
			h, CURLOPT_LOW_SPEED_TIME, (long)(call->stall_us / 1000000 + 1));
	}
	(void)curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 1L);
	(void)curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L);
	if (c->ca_file != NULL)
		(void)curl_easy_setopt(h, CURLOPT_CAINFO, c->ca_file);
	if (is_local(call->url))
		(void)curl_easy_setopt(h, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
	(void)curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)curl_easy_setopt(h, CURLOPT_XFERINFODATA, c);
}

/* curl_easy_reset keeps the connections. */
static CURLcode perform(struct http_client *c, const struct http_call *call, int64_t left_us,
	struct http_reply *reply)
{
	CURL *h = c->curl;
	struct arena mem = {.chunks = NULL};
	struct curl_slist *headers = header_list(call, &mem);
	long status = 0;

	curl_easy_reset(h);
	c->detail[0] = '\0';
	(void)curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->detail);
	(void)curl_easy_setopt(h, CURLOPT_URL, call->url);
	(void)curl_easy_setopt(h, CURLOPT_USERAGENT, c->user_agent);
	(void)curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(h, CURLOPT_WRITEDATA, reply);
	(void)curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(h, CURLOPT_HEADERDATA, reply);
	set_body(h, call);
	set_limits(c, call, left_us);
	CURLcode code = curl_easy_perform(h);
	(void)curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
	reply->status = (unsigned)status;
	curl_slist_free_all(headers);
	arena_free(&mem);
	return code;
}

static enum err classify(CURLcode code)
{
	switch ((int)code) {
	case CURLE_OK:
		return OK;
	case CURLE_ABORTED_BY_CALLBACK:
		return ERR_INTERRUPTED;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_SSL_CACERT_BADFILE:
		return ERR_USAGE;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ISSUER_ERROR:
		return ERR_FAILED;
	case CURLE_WRITE_ERROR:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
		return ERR_INPUT;
	default:
		return ERR_UNAVAILABLE;
	}
}

static const char *advice(enum err kind)
{
	switch (kind) {
	case ERR_USAGE:
		return "check the URL";
	case ERR_FAILED:
		return "give the certificate authority that signed it";
	case ERR_INPUT:
		return "check that it is the service you mean";
	case ERR_UNAVAILABLE:
		return "check that it is running and can be reached";
	case OK:
	case ERR_CHECK:
	case ERR_NOT_FOUND:
	case ERR_CONFLICT:
	case ERR_INTERRUPTED:
	case ERR_BUG:
	default:
		return "it was asked to stop";
	}
}

static enum err fail_code(const struct http_client *c, const struct http_call *call, CURLcode code,
	const struct http_reply *reply, struct error *e)
{
	enum err kind = classify(code);

	if (code == CURLE_WRITE_ERROR)
		return FAIL(e, kind, "%s %s: the answer is larger than %zu bytes; %s", call->method,
			shown_url(call), reply->body.max, advice(kind));
	return FAIL(e, kind, "%s %s: %s; %s", call->method, shown_url(call),
		c->detail[0] != '\0' ? c->detail : curl_easy_strerror(code), advice(kind));
}

static bool again(const struct http_call *call, CURLcode code, const struct http_reply *reply,
	unsigned attempt)
{
	unsigned most = call->attempts > 0 ? call->attempts : 4;

	if (!call->idempotent || attempt >= most)
		return false;
	return code == CURLE_OK ? http_retry_status(reply->status)
				: classify(code) == ERR_UNAVAILABLE;
}

enum err http_client_send(struct http_client *c, const struct http_call *call,
	struct http_reply *reply, struct error *e)
{
	int64_t allowed = call->deadline_us > 0 ? call->deadline_us : 30 * 1000000LL;
	int64_t end = clock_mono(c->env->clock) + allowed;
	size_t max = call->max_response > 0 ? call->max_response : (size_t)64 << 20;

	for (unsigned attempt = 1;; attempt++) {
		TRY(env_check(c->env, e));
		int64_t left = end - clock_mono(c->env->clock);
		reply_reset(reply, max);
		reply->attempts = attempt;
		CURLcode code = perform(c, call, left > 1000 ? left : 1000, reply);
		int64_t asked = http_retry_after_us(http_reply_header(reply, "retry-after"));
		int64_t wait = http_retry_wait_us(attempt + 1, asked, &c->rnd);
		left = end - clock_mono(c->env->clock);
		if (wait >= left || !again(call, code, reply, attempt))
			return code == CURLE_OK ? OK : fail_code(c, call, code, reply, e);
		log_debug(c->env->log, "http", "asking again", F_CSTR("url", shown_url(call)),
			F_I64("status", reply->status), F_I64("attempt", attempt),
			F_I64("wait_us", wait));
		env_sleep(c->env, wait);
	}
}

/* What the answer says about itself: a problem's detail, Google's error.message, or its start. */
static struct str explanation(const struct http_reply *reply, json_t **hold)
{
	struct error ignored;
	struct str body = buf_str(&reply->body);

	*hold = NULL;
	if (json_read(body, "the answer", hold, &ignored) == OK) {
		struct str said = json_get_str(*hold, "detail");
		if (said.n == 0)
			said = json_get_str(json_object_get(*hold, "error"), "message");
		if (said.n == 0)
			said = json_get_str(*hold, "title");
		if (said.n > 0)
			return said;
	}
	return str_make(body.p, body.n > 300 ? 300 : body.n);
}

enum err http_client_want(struct http_client *c, const struct http_call *call,
	struct http_reply *reply, struct error *e)
{
	json_t *hold;

	TRY(http_client_send(c, call, reply, e));
	if (reply->status >= 200 && reply->status < 300)
		return OK;
	enum err kind = http_status_kind(reply->status);
	struct str said = explanation(reply, &hold);
	(void)FAIL(e, kind == OK ? ERR_FAILED : kind, "%s %s: the server answered %u %s: %.*s",
		call->method, shown_url(call), reply->status, http_reason(reply->status),
		STR_ARG(said));
	json_decref(hold);
	return e->kind;
}
