/*
 * release_sign: Ed25519 (RFC 8032) by OpenSSL. A key's id is the first 16 hex digits of the
 * SHA-256 of its 32 raw public bytes. Private to src/handback.
 */
#ifndef SLUICE_RELEASE_SIGN_H
#define SLUICE_RELEASE_SIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "str.h"

#define SIGN_KEY_ID 17 /* 16 hex digits and a NUL */
#define SIGN_BYTES  64

struct sign_key;
struct sign_trust;

/* ERR_USAGE when the file is not there or holds no Ed25519 private key. */
enum err sign_key_read(struct sign_key **out, const char *path, struct error *e) MUST_CHECK;
void sign_key_free(struct sign_key *k); /* NULL is fine */
const char *sign_key_id(const struct sign_key *k);
enum err sign_message(const struct sign_key *k, struct str message, uint8_t signature[SIGN_BYTES],
	struct error *e) MUST_CHECK;

/* The public keys of a PEM file, at least one: several while keys are being changed. */
enum err sign_trust_read(struct sign_trust **out, const char *path, struct error *e) MUST_CHECK;
void sign_trust_free(struct sign_trust *t); /* NULL is fine */
bool sign_trusts(const struct sign_trust *t, struct str key_id);
/* ERR_CHECK unless the trusted key of that id made the signature. */
enum err sign_verify(const struct sign_trust *t, struct str key_id, struct str message,
	struct str signature, struct error *e) MUST_CHECK;

#endif
