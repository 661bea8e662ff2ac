/*
 * enc: bytes as text and back. Hex is lower case; base64 is the standard alphabet with padding,
 * or the URL alphabet without.
 */
#ifndef SLUICE_ENC_H
#define SLUICE_ENC_H

#include "buf.h"
#include "err.h"
#include "str.h"

void enc_hex(struct str bytes, char *out /* 2n + 1 bytes */);
bool enc_unhex(struct str hex, void *out /* n/2 bytes */); /* false on a bad digit or odd length */
void enc_base64(struct str bytes, struct buf *out);
void enc_base64url(struct str bytes, struct buf *out);
enum err enc_unbase64(
	struct str text, struct buf *out, struct error *e) MUST_CHECK; /* both alphabets */

/* Lower-case hex of SHA-256 (FIPS 180-4), 64 characters and a NUL. */
#define ENC_SHA256_TEXT 65
void enc_sha256(struct str bytes, char out[ENC_SHA256_TEXT]);
enum err enc_sha256_file(const char *path, char out[ENC_SHA256_TEXT], struct error *e) MUST_CHECK;

#endif
