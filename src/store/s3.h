/*
 * s3: what the files of the S3 driver share. Private to src/store/s3*.c.
 *
 * Sources: Amazon S3 API reference (2006-03-01); Amazon S3 user guide, "Conditional requests",
 * "Checking object integrity", "Uploading an object using multipart upload".
 *
 * Every put carries a random id in its metadata. When an answer was lost and the repetition meets
 * "it exists already", reading the id back says whether that was we.
 */
#ifndef SLUICE_S3_H
#define SLUICE_S3_H

#include <pthread.h>

#include "aws_identity.h"
#include "gcp_identity.h"
#include "http_client.h"
#include "store_drivers.h"
#include "xml.h"

#define S3_SECOND    INT64_C(1000000)
#define S3_ID        33 /* 32 hex digits and a NUL */
#define S3_META_PUT  "x-amz-meta-sluice-put"
#define S3_META_SHA  "x-amz-meta-sluice-sha256"
#define S3_META_PART "x-amz-meta-sluice-part-size"

struct s3 {
	struct store base; /* first: a struct store * is a struct s3 * */
	const struct env *env;
	struct arena mem;  /* the strings below */
	struct str prefix; /* empty, or ending in '/' */
	const char *shown; /* "s3://bucket/prefix", for messages */
	const char *bucket, *region;
	const char *origin;   /* "https://host[:port]" */
	struct str authority; /* as the Host header has it */
	const char *root;     /* what stands in the path before "/key": "" or "/bucket" */
	const char *ca_file;  /* NULL: the system's */
	size_t part_size;
	bool checksums;
	bool own_endpoint, sts_known; /* not AWS's address; an STS was named beside it */
	struct aws_identity *identity;
	struct gcp_identity *google; /* whose ID token is the web identity; or NULL */
	struct gcp_web_identity web;

	pthread_mutex_t lock; /* around the members below */
	struct http_client **idle;
	size_t nidle, cap;
	struct rnd rnd;
};

struct s3_call {
	const char *method;
	struct str key; /* the whole key, with the prefix; empty: the bucket itself */
	const struct http_pair *query, *headers;
	size_t nquery, nheaders;
	struct str body;
	const char *body_sha256; /* hex; NULL: found here */
	size_t max_response;     /* 0: 1 MiB */
	bool slow;               /* S3 may take minutes before it answers */
	bool error_in_200;       /* a 200 may carry an <Error> */
	bool keep_conflict;      /* 409 is not to be tried again by itself */
};

struct s3_reply {
	struct http_reply http;
	unsigned status;
	struct str code, message, region; /* of an error; in http.mem */
};

void s3_reply_init(struct s3_reply *r);
void s3_reply_free(struct s3_reply *r);

/* OK once S3 has given an answer that asking again would not change, whatever it is. Signs each
 * attempt anew; waits and repeats for throttling, lost connections, 5xx, a clock that S3 calls
 * wrong and credentials that it calls expired. Every request of ours may be repeated. */
enum err s3_send(
	struct s3 *s, const struct s3_call *c, struct s3_reply *r, struct error *e) MUST_CHECK;

/* The failure that an answer stands for: "<doing>: S3 answered ...". */
enum err s3_refused(struct s3 *s, const struct s3_reply *r, const char *doing, struct error *e);

/* The key with the prefix, in mem. */
struct str s3_key(struct s3 *s, struct str key, struct arena *mem);

void s3_new_id(struct s3 *s, char id[S3_ID]);

/* The opaque etag from an ETag and a version id (may be empty): "ETAG VERSION", or "ETAG". The
 * version is left out when there is no room. */
enum err s3_etag(
	struct str etag, struct str version, char out[STORE_ETAG], struct error *e) MUST_CHECK;

/* What a put is about, for both ways of putting. */
struct s3_put {
	struct str key, body; /* key with the prefix */
	enum store_condition cond;
	struct str match;   /* ETag alone; empty unless STORE_IF_MATCH */
	char id[S3_ID];     /* of this put */
	const char *sha256; /* hex, of the body; NULL: in parts, each with S3's own checksum */
	size_t part_size;   /* where it goes in parts */
	const char *doing;  /* "storing KEY in s3://..." */
	struct arena *mem;
};

/* Adds the metadata, and the condition when `conditional`, to h; returns how many (at most 4). */
size_t s3_put_headers(const struct s3_put *p, bool meta, bool conditional, struct http_pair *h);

/* A condition that does not hold: ERR_CONFLICT, unless what stands there is this very put, carried
 * out by an attempt whose answer was lost; then OK and the etag. Asked every time: libcurl sends a
 * request again by itself when a connection that was kept open turns out to be dead. `status` is
 * what the put was answered. */
enum err s3_settle(struct s3 *s, const struct s3_put *p, unsigned status, char *etag,
	struct error *e) MUST_CHECK;

/* In parts, several at a time. */
enum err s3_put_parts(struct s3 *s, struct s3_put *p, char *etag, struct error *e) MUST_CHECK;

enum err s3_list(struct store *base, struct str prefix, store_key_fn *fn, void *arg,
	struct error *e) MUST_CHECK;
enum err s3_who(struct store *base, struct buf *text, struct error *e) MUST_CHECK;

#endif
