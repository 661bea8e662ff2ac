/* JWTs signed with a service account's key: RS256 (RFC 7515, RFC 7523). */
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "enc.h"
#include "gcp_source.h"
#include "json.h"
#include "mem.h"

#define JWT_MAX ((size_t)1 << 16)

/* Never asks on the terminal: a key that wants a passphrase is refused. */
static int no_passphrase(char *text, int size, int writing, void *arg)
{
	(void)text;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static enum err read_key(const struct gcp_source *s, EVP_PKEY **out, struct error *e)
{
	const char *pem = secret_reveal(&s->key);
	BIO *bio = BIO_new_mem_buf(pem, (int)strlen(pem));

	*out = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	BIO_free(bio);
	ERR_clear_error();
	if (*out != NULL && EVP_PKEY_base_id(*out) == EVP_PKEY_RSA)
		return OK;
	EVP_PKEY_free(*out);
	*out = NULL;
	return FAIL(e, ERR_USAGE,
		"signing with the service-account key in %s: \"private_key\" is no RSA key in PEM; "
		"use workload identity federation, or fetch the file anew",
		s->file);
}

static void write_head(const struct gcp_source *s, struct buf *jwt)
{
	struct buf json;
	struct json_out j;

	buf_init(&json, JWT_MAX);
	jo_init(&j, &json);
	jo_object(&j, NULL);
	jo_cstr(&j, "alg", "RS256");
	jo_cstr(&j, "typ", "JWT");
	if (s->key_id != NULL)
		jo_cstr(&j, "kid", s->key_id);
	jo_end_object(&j);
	enc_base64url(buf_str(&json), jwt);
	buf_free(&json);
}

static void write_claims(const struct gcp_source *s, const char *scope, const char *audience,
	int64_t now, struct buf *jwt)
{
	struct buf json;
	struct json_out j;

	buf_init(&json, JWT_MAX);
	jo_init(&j, &json);
	jo_object(&j, NULL);
	jo_cstr(&j, "iss", s->email);
	jo_cstr(&j, "aud", s->token_url);
	jo_i64(&j, "iat", now);
	jo_i64(&j, "exp", now + 3600);
	if (scope != NULL)
		jo_cstr(&j, "scope", scope);
	else
		jo_cstr(&j, "target_audience", audience);
	jo_end_object(&j);
	enc_base64url(buf_str(&json), jwt);
	buf_free(&json);
}

static enum err sign(EVP_PKEY *key, struct buf *jwt, struct error *e)
{
	uint8_t signature[1024];
	size_t n = sizeof signature;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool done = ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		EVP_DigestSign(ctx, signature, &n, (const uint8_t *)jwt->p, jwt->n) == 1;

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	if (!done)
		return FAIL(
			e, ERR_FAILED, "signing with a service-account key: OpenSSL refuses it");
	buf_putc(jwt, '.');
	enc_base64url(str_make(signature, n), jwt);
	return OK;
}

enum err gcp_jwt_assertion(const struct gcp_source *s, const char *scope, const char *audience,
	int64_t wall_us, struct secret *out, struct error *e)
{
	EVP_PKEY *key;
	struct buf jwt;

	TRY(read_key(s, &key, e));
	buf_init(&jwt, JWT_MAX);
	write_head(s, &jwt);
	buf_putc(&jwt, '.');
	write_claims(s, scope, audience, wall_us / 1000000, &jwt);
	enum err rc = sign(key, &jwt, e);
	if (rc == OK)
		secret_set(out, buf_str(&jwt));
	EVP_PKEY_free(key);
	buf_free(&jwt);
	return rc;
}
