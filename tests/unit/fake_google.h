/* tests/fakes/google.mjs as a child of a unit test: Google's token services and Cloud Storage. */
#ifndef SLUICE_FAKE_GOOGLE_H
#define SLUICE_FAKE_GOOGLE_H

#include "fake.h"
#include "file.h"

struct fake_google {
	struct fake fake;
	char dir[128]; /* with token.jwt and the credential files */
	const char *sts, *iam, *metadata, *gcs;
	struct env env;
};

static inline void fake_google_start(struct fake_google *g)
{
	unit_tmpdir(g->dir, sizeof g->dir);
	fake_start(&g->fake, "google.mjs", g->dir);
	g->sts = fake_says(&g->fake, "sts");
	g->iam = fake_says(&g->fake, "iam");
	g->metadata = fake_says(&g->fake, "metadata");
	g->gcs = fake_says(&g->fake, "gcs");
	g->env = g->fake.env;
}

static inline void fake_google_stop(struct fake_google *g)
{
	struct error e = {0};

	fake_stop(&g->fake);
	assert_ok(file_remove_tree(g->dir, &e), &e);
}

/* what: "faults", "set", "log", "state". The reply is the caller's. */
static inline void fake_google_tell(struct fake_google *g, const char *base, const char *what,
	const char *json, struct http_reply *reply)
{
	struct arena mem = {0};
	struct error e = {0};
	const struct http_call call = {.method = json != NULL ? "POST" : "GET",
		.url = arena_fmt(&mem, "%s/_fake/%s", base, what).p,
		.body = str_of(json)};

	http_reply_init(reply);
	assert_ok(http_client_want(g->fake.http, &call, reply, &e), &e);
	arena_free(&mem);
}

static inline void fake_google_set(
	struct fake_google *g, const char *base, const char *what, const char *json)
{
	struct http_reply reply;

	fake_google_tell(g, base, what, json, &reply);
	http_reply_free(&reply);
}

/* A number out of /_fake/state or /_fake/log: member, or member.of when that is not NULL. */
static inline int64_t fake_google_count(struct fake_google *g, const char *base, const char *what,
	const char *member, const char *of)
{
	struct http_reply reply;
	struct error e = {0};
	json_t *o;

	fake_google_tell(g, base, what, NULL, &reply);
	assert_ok(json_read(buf_str(&reply.body), "the fake", &o, &e), &e);
	const json_t *v = json_object_get(o, member);
	if (of != NULL)
		v = json_object_get(v, of);
	int64_t n = json_is_array(v) ? (int64_t)json_array_size(v) : json_integer_value(v);
	json_decref(o);
	http_reply_free(&reply);
	return n;
}

#endif
