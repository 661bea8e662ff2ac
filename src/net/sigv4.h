/*
 * sigv4: AWS Signature Version 4 for headers and for presigned URLs. Pure; any thread.
 * Source: AWS General Reference, "Signature Version 4 signing process", and for S3 "Authenticating
 * Requests (AWS Signature Version 4)".
 */
#ifndef SLUICE_SIGV4_H
#define SLUICE_SIGV4_H

#include "arena.h"
#include "http_message.h"
#include "secret.h"

#define AWS_KEY_ID 129 /* bytes of an access key id, with its NUL */

/* A key pair, perhaps of a session. Freed with aws_credentials_free(). */
struct aws_credentials {
	char key_id[AWS_KEY_ID];
	struct secret key, token; /* token not set: no session */
	int64_t expires_us;       /* wall time; 0: never */
};
void aws_credentials_free(struct aws_credentials *c);
void aws_credentials_copy(struct aws_credentials *to, const struct aws_credentials *from);

struct sigv4_request {
	const char *method;
	struct str host; /* as the Host header will be sent: without the scheme's default port */
	struct str path; /* as sent: absolute and percent-encoded once */
	const struct http_pair *query; /* decoded; encoded and sorted here */
	size_t nquery;
	const struct http_pair *headers; /* besides Host; all of them are signed */
	size_t nheaders;
	const char *payload_sha256; /* lower-case hex of the body's; or SIGV4_UNSIGNED */
	/* S3: the path is signed as it is sent, and x-amz-content-sha256 is sent along. Elsewhere
	 * the path is normalised and encoded once more, as AWS does. */
	bool s3;
	const char *region, *service; /* "eu-west-1", "s3" */
	int64_t at_us;                /* wall time */
};

#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"
/* The SHA-256 of no bytes. */
#define SIGV4_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct sigv4_signed {
	struct str query; /* to be sent behind '?', in this very form; may be empty */
	struct http_pair
		*headers; /* to be sent: the request's, then those of the signature; no Host */
	size_t nheaders;
};

/* *out lives in mem; what is secret of it is wiped when mem is reset or freed. */
void sigv4_sign(const struct sigv4_request *r, const struct aws_credentials *c, struct arena *mem,
	struct sigv4_signed *out);

/* The query of a presigned request, valid for `seconds`: whoever has it may make the request.
 * Headers are signed by name, and must be sent as given. */
struct str sigv4_presign(const struct sigv4_request *r, const struct aws_credentials *c,
	int64_t seconds, struct arena *mem);

/* Percent-encodes everything but A-Z a-z 0-9 - . _ ~, and '/' only when asked to. */
void sigv4_encode(struct str s, bool slash, struct buf *out);

/* Wipes the bytes of a text in an arena when the arena is reset or freed. */
void sigv4_wipe_later(struct arena *mem, struct str secret);

#endif
