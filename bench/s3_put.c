/*
 * s3_put: what bench/s3.sh measures. Takes the identity from the environment.
 *
 * usage: s3_put put ENDPOINT BUCKET FILE COUNT     seconds that COUNT puts of the file take
 *        s3_put presign ENDPOINT BUCKET KEY FILE   a URL for curl to put it with, and the header
 * that goes with it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws_identity.h"
#include "enc.h"
#include "endpoint.h"
#include "file.h"
#include "store.h"

#define REGION "eu-west-1"

static enum err put_all(const char *const *args, const struct env *env, struct error *e)
{
	struct arena mem = {0};
	struct store *s = NULL;
	struct buf body;
	int64_t count = 0;

	buf_init(&body, BUF_MAX_DEFAULT);
	const struct store_options o = {.url = arena_fmt(&mem, "s3://%s", args[1]).p,
		.endpoint = args[0],
		.region = REGION};
	enum err rc = file_read(args[2], &body, e);
	if (rc == OK && !str_to_i64(str_of(args[3]), &count))
		rc = FAIL(e, ERR_USAGE, "COUNT is a number");
	if (rc == OK)
		rc = store_open_with(&s, &o, env, e);
	int64_t began = clock_mono(env->clock);
	for (int64_t i = 0; i < count && rc == OK; i++)
		rc = store_put(s, arena_fmt(&mem, "bench/%lld", (long long)i), buf_str(&body),
			STORE_IF_ABSENT, NULL, NULL, e);
	if (rc == OK)
		printf("%.6f\n", (double)(clock_mono(env->clock) - began) / 1e6);
	store_close(s);
	buf_free(&body);
	arena_free(&mem);
	return rc;
}

static enum err checksum_of(const char *file, struct buf *base64, struct error *e)
{
	char hex[ENC_SHA256_TEXT];
	unsigned char raw[32];

	TRY(enc_sha256_file(file, hex, e));
	(void)enc_unhex(str_of(hex), raw); /* it came from enc_sha256_file */
	enc_base64(str_make(raw, sizeof raw), base64);
	return OK;
}

static enum err presign_with(
	struct aws_identity *who, const char *const *args, struct arena *mem, struct error *e)
{
	struct aws_credentials c = {.expires_us = 0};
	struct endpoint at;
	struct buf sum;

	buf_init(&sum, 64);
	TRY(endpoint_want(args[0], "ENDPOINT", &at, e));
	TRY(checksum_of(args[3], &sum, e));
	TRY(aws_identity_get(who, 0, &c, e));
	const struct http_pair h = {STR("x-amz-checksum-sha256"), buf_str(&sum)};
	const struct sigv4_request r = {.method = "PUT",
		.host = at.authority,
		.path = arena_fmt(mem, "/%s/%s", args[1], args[2]),
		.headers = &h,
		.nheaders = 1,
		.payload_sha256 = SIGV4_UNSIGNED,
		.s3 = true,
		.region = REGION,
		.service = "s3",
		.at_us = aws_identity_now(who)};
	printf("%s%s?%s\nx-amz-checksum-sha256: %s\n", args[0], r.path.p,
		sigv4_presign(&r, &c, 3600, mem).p, buf_cstr(&sum));
	aws_credentials_free(&c);
	buf_free(&sum);
	return OK;
}

static enum err presign(const char *const *args, const struct env *env, struct error *e)
{
	struct arena mem = {0};
	struct aws_identity *who = NULL;
	enum err rc = aws_identity_new(
		&who, &(struct aws_identity_options){.region = REGION}, env, e);

	if (rc == OK)
		rc = presign_with(who, args, &mem, e);
	aws_identity_free(who);
	arena_free(&mem);
	return rc;
}

int main(int argc, char **argv)
{
	struct rnd rnd;
	struct error e = {.kind = OK};

	rnd_system(&rnd);
	const struct env env = {.clock = clock_system(), .rnd = &rnd};
	const char *args[4] = {0};
	if (argc != 6) {
		fprintf(stderr, "usage: s3_put put|presign ENDPOINT BUCKET ...\n");
		return 2;
	}
	for (int i = 0; i < 4; i++)
		args[i] = argv[i + 2];
	enum err rc = strcmp(argv[1], "put") == 0 ? put_all(args, &env, &e)
						  : presign(args, &env, &e);
	if (rc != OK)
		fprintf(stderr, "s3_put: %s\n", e.text);
	return error_exit_code(rc);
}
