/*
 * gcs_store: Cloud Storage over its JSON API, in parts: gcs.c is the driver, gcs_request.c one
 * request with its token and repetitions, gcs_upload.c how content gets there. Private to gcs*.c.
 *
 * A key is the object "PREFIX/KEY". Its etag is the object's generation. Every object is sent with
 * its CRC-32C, which Google checks, and received with it, which is checked here.
 */
#ifndef SLUICE_GCS_STORE_H
#define SLUICE_GCS_STORE_H

#include <pthread.h>

#include "arena.h"
#include "gcp_identity.h"
#include "http_client.h"
#include "rnd.h"
#include "store.h"

struct gcs_client;

struct gcs_store {
	struct store base; /* first: a struct store * is a struct gcs_store * */
	const struct env *env;
	struct arena mem;
	const char *url;      /* as configured, for people */
	const char *endpoint; /* "https://storage.googleapis.com" */
	const char *bucket;
	const char *prefix; /* "" or "a/b/" */
	const char *ca_file;
	size_t part_size; /* a multiple of 256 KiB */
	struct gcp_identity *identity;
	pthread_mutex_t lock;    /* over what follows */
	struct gcs_client *idle; /* HTTP clients that nobody uses */
	struct rnd rnd;
};

struct gcs_call {
	const char *method, *url;
	const char *shown; /* instead of a URL that is secret */
	const char *doing; /* "storing releases/x" */
	const struct http_pair *headers;
	size_t nheaders; /* at most 6 */
	struct str body;
	size_t max_response; /* 0: 64 MiB */
	bool once;           /* the caller repeats it */
};

/*
 * OK with any answer that repeating would not change. The token is renewed once when it is refused;
 * 408, 429, 5xx, limits of rate and lost connections are tried again for two minutes. Nothing that
 * is called so does harm when it is done twice.
 */
enum err gcs_send(struct gcs_store *s, const struct gcs_call *call, struct http_reply *reply,
	struct error *e) MUST_CHECK;

/* Would the same request, made again, have another answer? */
bool gcs_transient(const struct http_reply *reply);

/* The error for an answer: what was done, the status, Google's words, what to do. */
enum err gcs_fail(
	struct gcs_store *s, const char *doing, const struct http_reply *reply, struct error *e);

/* Waits before repetition `next`; ERR_INTERRUPTED when asked to stop. */
enum err gcs_wait(struct gcs_store *s, unsigned next, int64_t asked_us, struct error *e) MUST_CHECK;

/* An object's address, in mem; and the one it is uploaded to, how being "multipart" or "resumable".
 */
const char *gcs_url(struct gcs_store *s, struct str key, struct arena *mem);
const char *gcs_upload_url(struct gcs_store *s, const char *how, struct str key, struct arena *mem);

void gcs_clients_free(struct gcs_store *s);

/* An object as JSON describes it. */
struct gcs_object {
	char generation[24], crc32c[12], put[40]; /* put: whose put made it; see gcs_upload.c */
	uint64_t bytes;
};
enum err gcs_read_object(struct str json, struct gcs_object *out, struct error *e) MUST_CHECK;

/* What gcs.c's put is. */
enum err gcs_put(struct store *store, struct str key, struct str body, enum store_condition cond,
	const char *match, char *etag, struct error *e) MUST_CHECK;

/* What gcs.c's who is (gcs_who.c). */
enum err gcs_who(struct store *store, struct buf *text, struct error *e) MUST_CHECK;

/* Base64 of the big-endian CRC-32C. */
void gcs_crc32c(struct str bytes, char out[12]);

#endif
