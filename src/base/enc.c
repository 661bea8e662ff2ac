#include "enc.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "mem.h"

#define SHA256_BYTES 32

void enc_hex(struct str bytes, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes.n; i++) {
		unsigned char c = (unsigned char)bytes.p[i];
		*out++ = digits[c >> 4];
		*out++ = digits[c & 15];
	}
	*out = '\0';
}

static int unhex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool enc_unhex(struct str hex, void *out)
{
	unsigned char *to = out;

	if (hex.n % 2 != 0)
		return false;
	for (size_t i = 0; i < hex.n; i += 2) {
		int high = unhex(hex.p[i]), low = unhex(hex.p[i + 1]);
		if (high < 0 || low < 0)
			return false;
		*to++ = (unsigned char)(high << 4 | low);
	}
	return true;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void base64(struct str s, const char *letters, bool pad, struct buf *out)
{
	for (size_t i = 0; i < s.n; i += 3) {
		size_t have = s.n - i < 3 ? s.n - i : 3;
		uint32_t bits = 0;
		char text[4] = {'=', '=', '=', '='};
		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < have ? (unsigned char)s.p[i + k] : 0U);
		for (size_t k = 0; k <= have; k++)
			text[k] = letters[bits >> (18 - 6 * k) & 63];
		buf_put(out, str_make(text, pad ? 4 : have + 1));
	}
}

void enc_base64(struct str bytes, struct buf *out)
{
	base64(bytes, alphabet, true, out);
}

void enc_base64url(struct str bytes, struct buf *out)
{
	base64(bytes, alphabet_url, false, out);
}

static int unbase64(char c)
{
	const char *at;

	if (c == '-')
		return 62;
	if (c == '_')
		return 63;
	at = c != '\0' ? strchr(alphabet, c) : NULL;
	return at != NULL ? (int)(at - alphabet) : -1;
}

/* Padding may be left out; if it is there it must complete the last four. */
enum err enc_unbase64(struct str text, struct buf *out, struct error *e)
{
	size_t n = text.n;
	uint32_t bits = 0;
	char *to;

	while (n > 0 && text.n - n < 2 && text.p[n - 1] == '=')
		n--;
	if (n % 4 == 1 || (n != text.n && text.n % 4 != 0))
		return FAIL(e, ERR_INPUT, "base64 text of %zu characters is cut short", text.n);
	TRY(buf_room(out, n / 4 * 3 + 3, &to, e));
	size_t made = 0;
	for (size_t i = 0; i < n; i++) {
		int v = unbase64(text.p[i]);
		if (v < 0)
			return FAIL(
				e, ERR_INPUT, "base64 text has a bad character at offset %zu", i);
		bits = bits << 6 | (uint32_t)v;
		if (i % 4 != 0)
			to[made++] = (char)(bits >> (6 - 2 * (i % 4)) & 0xff);
	}
	if (n % 4 != 0 && (bits & (n % 4 == 2 ? 15U : 3U)) != 0)
		return FAIL(e, ERR_INPUT, "base64 text ends in bits that stand for nothing");
	buf_took(out, made);
	return OK;
}

void enc_sha256(struct str bytes, char out[ENC_SHA256_TEXT])
{
	unsigned char digest[SHA256_BYTES];
	int done = EVP_Digest(
		bytes.n > 0 ? bytes.p : "", bytes.n, digest, NULL, EVP_sha256(), NULL);

	assert(done == 1);
	enc_hex(str_make(digest, sizeof digest), out);
}

static enum err digest_fd(EVP_MD_CTX *ctx, int fd, const char *path, struct error *e)
{
	const size_t size = (size_t)256 << 10;
	char *piece = mem_alloc(size);
	enum err rc = OK;
	ssize_t n;

	do {
		n = read(fd, piece, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = FAIL_ERRNO(e, ERR_FAILED, "reading %s", path);
		else if (EVP_DigestUpdate(ctx, piece, (size_t)n) != 1)
			rc = FAIL(e, ERR_FAILED, "hashing %s: OpenSSL refused", path);
	} while (rc == OK && n != 0);
	mem_free(piece);
	return rc;
}

enum err enc_sha256_file(const char *path, char out[ENC_SHA256_TEXT], struct error *e)
{
	unsigned char digest[SHA256_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return FAIL_ERRNO(
			e, errno == ENOENT ? ERR_NOT_FOUND : ERR_FAILED, "opening %s", path);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	enum err rc = OK;
	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		rc = FAIL(e, ERR_FAILED, "hashing %s: OpenSSL has no SHA-256", path);
	if (rc == OK)
		rc = digest_fd(ctx, fd, path, e);
	if (rc == OK && EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
		rc = FAIL(e, ERR_FAILED, "hashing %s: OpenSSL refused", path);
	EVP_MD_CTX_free(ctx);
	close(fd);
	if (rc == OK)
		enc_hex(str_make(digest, sizeof digest), out);
	return rc;
}
