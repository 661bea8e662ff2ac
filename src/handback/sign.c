#include "release_sign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "buf.h"
#include "enc.h"
#include "file.h"
#include "handback.h"
#include "mem.h"
#include "secret.h"

#define TRUST_MAX 16

struct sign_key {
	EVP_PKEY *pkey;
	char id[SIGN_KEY_ID];
};

struct sign_trust {
	struct sign_key keys[TRUST_MAX];
	size_t n;
};

/* OpenSSL's own words for the failure seen last, and its queue emptied. */
static const char *reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return text != NULL ? text : "no reason given";
}

static enum err find_id(EVP_PKEY *pkey, char id[SIGN_KEY_ID], struct error *e)
{
	uint8_t raw[32];
	size_t n = sizeof raw;
	char digest[ENC_SHA256_TEXT];

	if (EVP_PKEY_get_raw_public_key(pkey, raw, &n) != 1 || n != sizeof raw)
		return FAIL(e, ERR_FAILED, "reading the public half of a key: %s", reason());
	enc_sha256(str_make(raw, n), digest);
	memcpy(id, digest, SIGN_KEY_ID - 1);
	id[SIGN_KEY_ID - 1] = '\0';
	return OK;
}

/* Never asks on the terminal: a key that wants a passphrase is refused. */
static int no_passphrase(char *text, int size, int writing, void *arg)
{
	(void)text;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static enum err take_private(
	struct sign_key *k, const struct secret *pem, const char *path, struct error *e)
{
	BIO *bio = BIO_new_mem_buf(secret_reveal(pem), (int)pem->length);

	if (bio == NULL)
		return FAIL(e, ERR_FAILED, "reading the signing key %s: %s", path, reason());
	k->pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (k->pkey == NULL)
		return FAIL(e, ERR_USAGE,
			"reading the signing key %s: %s; it must be a PEM private key without a "
			"passphrase",
			path, reason());
	if (EVP_PKEY_get_base_id(k->pkey) != EVP_PKEY_ED25519)
		return FAIL(e, ERR_USAGE,
			"reading the signing key %s: it is no Ed25519 key; make one with "
			"\"openssl genpkey -algorithm ed25519\"",
			path);
	return find_id(k->pkey, k->id, e);
}

static bool is_set(const char *path)
{
	return path != NULL && path[0] != '\0';
}

enum err sign_key_read(struct sign_key **out, const char *path, struct error *e)
{
	struct secret pem = {0};

	*out = NULL;
	if (!is_set(path))
		return FAIL(e, ERR_USAGE,
			"signing a release: no key is configured; set [handback] signing_key to a "
			"PEM file with an Ed25519 private key");
	if (secret_read_file(&pem, path, e) != OK) {
		error_wrap(e, "reading the signing key (set [handback] signing_key)");
		return e->kind = ERR_USAGE;
	}
	struct sign_key *k = mem_zalloc(sizeof *k);
	enum err rc = take_private(k, &pem, path, e);
	secret_free(&pem);
	if (rc == OK)
		*out = k;
	else
		sign_key_free(k);
	return rc;
}

void sign_key_free(struct sign_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);
	mem_free(k);
}

const char *sign_key_id(const struct sign_key *k)
{
	return k->id;
}

enum err sign_message(const struct sign_key *k, struct str message, uint8_t signature[SIGN_BYTES],
	struct error *e)
{
	size_t n = SIGN_BYTES;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool done = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) == 1 &&
		EVP_DigestSign(ctx, signature, &n, (const uint8_t *)message.p, message.n) == 1;

	EVP_MD_CTX_free(ctx);
	if (!done || n != SIGN_BYTES)
		return FAIL(e, ERR_FAILED, "signing with key %s: %s", k->id, reason());
	return OK;
}

static enum err take_public(struct sign_trust *t, BIO *bio, const char *path, struct error *e)
{
	EVP_PKEY *pkey;

	while ((pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL)) != NULL) {
		if (t->n == TRUST_MAX || EVP_PKEY_get_base_id(pkey) != EVP_PKEY_ED25519) {
			EVP_PKEY_free(pkey);
			return FAIL(e, ERR_USAGE,
				"reading the trusted keys %s: at most %d Ed25519 public keys are "
				"allowed, and nothing else",
				path, TRUST_MAX);
		}
		struct sign_key *k = &t->keys[t->n++];
		k->pkey = pkey;
		TRY(find_id(pkey, k->id, e));
	}
	const char *why = reason();
	if (t->n == 0)
		return FAIL(e, ERR_USAGE,
			"reading the trusted keys %s: no PEM public key in it (%s)", path, why);
	return OK;
}

static enum err parse_trust(struct sign_trust *t, struct str pem, const char *path, struct error *e)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);

	if (bio == NULL)
		return FAIL(e, ERR_FAILED, "reading the trusted keys %s: %s", path, reason());
	enum err rc = take_public(t, bio, path, e);
	BIO_free(bio);
	return rc;
}

enum err sign_trust_read(struct sign_trust **out, const char *path, struct error *e)
{
	struct buf pem;

	*out = NULL;
	if (!is_set(path))
		return FAIL(e, ERR_USAGE,
			"verifying a release: no key is trusted; set [handback] trusted_key to the "
			"publisher's PEM public key");
	buf_init(&pem, 1 << 20);
	if (file_read(path, &pem, e) != OK) {
		buf_free(&pem);
		error_wrap(e, "reading the trusted key (set [handback] trusted_key)");
		return e->kind = ERR_USAGE;
	}
	struct sign_trust *t = mem_zalloc(sizeof *t);
	enum err rc = parse_trust(t, buf_str(&pem), path, e);
	buf_free(&pem);
	if (rc == OK)
		*out = t;
	else
		sign_trust_free(t);
	return rc;
}

void sign_trust_free(struct sign_trust *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++)
		EVP_PKEY_free(t->keys[i].pkey);
	mem_free(t);
}

static const struct sign_key *trusted(const struct sign_trust *t, struct str key_id)
{
	for (size_t i = 0; i < t->n; i++)
		if (str_eqc(key_id, t->keys[i].id))
			return &t->keys[i];
	return NULL;
}

bool sign_trusts(const struct sign_trust *t, struct str key_id)
{
	return trusted(t, key_id) != NULL;
}

enum err sign_verify(const struct sign_trust *t, struct str key_id, struct str message,
	struct str signature, struct error *e)
{
	const struct sign_key *k = trusted(t, key_id);

	if (k == NULL)
		return FAIL(e, ERR_CHECK, "key %.*s is not trusted", STR_ARG(key_id));
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k->pkey) == 1 &&
		EVP_DigestVerify(ctx, (const uint8_t *)signature.p, signature.n,
			(const uint8_t *)message.p, message.n) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	if (!good)
		return FAIL(e, ERR_CHECK,
			"the signature is not that of key %s over this manifest; it was changed "
			"after it was signed",
			k->id);
	return OK;
}

/* A new file; never one that was there. */
static enum err write_key(const char *path, mode_t mode, struct str pem, struct error *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	if (fd < 0 && errno == EEXIST)
		return FAIL(e, ERR_CONFLICT,
			"making a key: %s exists already and is not overwritten; name another file",
			path);
	if (fd < 0)
		return FAIL_ERRNO(e, ERR_FAILED, "making the key file %s", path);
	enum err rc = file_write_all(fd, pem.p, pem.n, path, e);
	if (rc == OK && fsync(fd) != 0)
		rc = FAIL_ERRNO(e, ERR_FAILED, "writing %s", path);
	if (close(fd) != 0 && rc == OK)
		rc = FAIL_ERRNO(e, ERR_FAILED, "writing %s", path);
	if (rc != OK)
		(void)unlink(path); /* the first failure is the one to tell */
	return rc;
}

static struct str bio_text(BIO *bio)
{
	char *p = NULL;
	long n = BIO_get_mem_data(bio, &p);

	return str_make(p, n > 0 ? (size_t)n : 0);
}

static enum err write_pair(EVP_PKEY *pkey, BIO *private_pem, BIO *public_pem,
	const char *private_path, const char *public_path, struct error *e)
{
	if (private_pem == NULL || public_pem == NULL ||
		PEM_write_bio_PrivateKey(private_pem, pkey, NULL, NULL, 0, NULL, NULL) != 1 ||
		PEM_write_bio_PUBKEY(public_pem, pkey) != 1)
		return FAIL(e, ERR_FAILED, "writing a key as PEM: %s", reason());
	if (file_exists(public_path))
		return FAIL(e, ERR_CONFLICT,
			"making a key: %s exists already and is not overwritten; name another file",
			public_path);
	TRY(write_key(private_path, 0600, bio_text(private_pem), e));
	enum err rc = write_key(public_path, 0644, bio_text(public_pem), e);
	if (rc != OK)
		(void)unlink(private_path); /* half a pair is of no use */
	return rc;
}

enum err handback_make_key(const char *private_path, const char *public_path, struct error *e)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	if (pkey == NULL)
		return FAIL(e, ERR_FAILED, "making an Ed25519 key: %s", reason());
	BIO *private_pem = BIO_new(BIO_s_secmem());
	BIO *public_pem = BIO_new(BIO_s_mem());
	enum err rc = write_pair(pkey, private_pem, public_pem, private_path, public_path, e);
	BIO_free(private_pem);
	BIO_free(public_pem);
	EVP_PKEY_free(pkey);
	return rc;
}
