/* Multipart upload: several parts at a time, completed as one object or not at all. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "enc.h"
#include "log.h"
#include "mem.h"
#include "s3.h"
#include "thread.h"

#define LANES      4     /* parts under way at a time */
#define MOST_PARTS 10000 /* S3's own limit */
#define RESTARTS   3     /* after a conflict with another writer */

struct part {
	char etag[STORE_ETAG];
	char checksum[48]; /* base64 of the part's SHA-256 */
};

struct upload {
	struct s3 *s;
	const struct s3_put *p;
	const char *id;
	size_t part_size, nparts;
	struct part *parts;
	atomic_size_t next;
	atomic_bool failed;
};

static struct str slice(const struct upload *u, size_t n)
{
	size_t from = n * u->part_size, left = u->p->body.n - from;
	return str_make(u->p->body.p + from, left < u->part_size ? left : u->part_size);
}

static enum err begin(struct s3 *s, const struct s3_put *p, struct str *id, struct error *e)
{
	const struct http_pair query = {STR("uploads"), STR("")};
	struct http_pair h[8];
	struct s3_reply r;
	struct xml *root = NULL;
	size_t n = s3_put_headers(p, true, false, h);

	if (s->checksums) {
		h[n++] = (struct http_pair){STR("x-amz-checksum-algorithm"), STR("SHA256")};
		h[n++] = (struct http_pair){STR("x-amz-checksum-type"), STR("COMPOSITE")};
	}
	s3_reply_init(&r);
	enum err rc = s3_send(s,
		&(struct s3_call){.method = "POST",
			.key = p->key,
			.query = &query,
			.nquery = 1,
			.headers = h,
			.nheaders = n},
		&r, e);
	if (rc != OK)
		rc = error_wrap(e, "%s: beginning an upload in parts", p->doing);
	else if (r.status != 200)
		rc = s3_refused(s, &r, p->doing, e);
	else
		rc = xml_read(buf_str(&r.http.body), "S3's answer", p->mem, &root, e);
	s3_reply_free(&r);
	*id = xml_text(root, "UploadId");
	if (rc == OK && id->n == 0)
		rc = FAIL(e, ERR_INPUT, "%s: S3 began an upload without an UploadId", p->doing);
	return rc;
}

static enum err send_part(struct upload *u, size_t n, struct error *e)
{
	struct str body = slice(u, n);
	char digest[ENC_SHA256_TEXT], number[24];
	unsigned char raw[32];
	struct buf b;
	struct s3_reply r;
	struct part *part = &u->parts[n];

	enc_sha256(body, digest);
	(void)enc_unhex(str_of(digest), raw); /* it came from enc_sha256 */
	buf_init(&b, 64);
	enc_base64(str_make(raw, sizeof raw), &b);
	(void)snprintf(part->checksum, sizeof part->checksum, "%.*s", STR_ARG(buf_str(&b)));
	buf_free(&b);
	(void)snprintf(number, sizeof number, "%zu", n + 1);
	const struct http_pair query[] = {
		{STR("partNumber"), str_of(number)}, {STR("uploadId"), str_of(u->id)}};
	const struct http_pair h = {STR("x-amz-checksum-sha256"), str_of(part->checksum)};
	s3_reply_init(&r);
	enum err rc = s3_send(u->s,
		&(struct s3_call){.method = "PUT",
			.key = u->p->key,
			.query = query,
			.nquery = 2,
			.headers = &h,
			.nheaders = u->s->checksums ? 1 : 0,
			.body = body,
			.body_sha256 = digest},
		&r, e);
	if (rc != OK)
		rc = error_wrap(e, "%s: part %s", u->p->doing, number);
	else if (r.status != 200)
		rc = s3_refused(u->s, &r, u->p->doing, e);
	else
		rc = s3_etag(http_reply_header(&r.http, "etag"), STR_NONE, part->etag, e);
	s3_reply_free(&r);
	return rc;
}

static enum err lane(void *arg, struct error *e)
{
	struct upload *u = arg;
	enum err rc = OK;

	while (rc == OK && !atomic_load(&u->failed)) {
		size_t n = atomic_fetch_add(&u->next, 1);
		if (n >= u->nparts)
			break;
		rc = send_part(u, n, e);
	}
	if (rc != OK)
		atomic_store(&u->failed, true);
	return rc;
}

/* The first lane that failed says why. */
static enum err send_all(struct upload *u, struct error *e)
{
	struct thread *lanes = mem_array(LANES, sizeof *lanes);
	size_t n = u->nparts < LANES ? u->nparts : LANES;
	struct error own = {.kind = OK};
	enum err rc = OK;

	for (size_t i = 0; i < n && rc == OK; i++)
		rc = thread_start(&lanes[i], "s3 part", lane, u, e);
	if (rc != OK)
		atomic_store(&u->failed, true);
	for (size_t i = 0; i < n; i++)
		if (thread_join(&lanes[i], &own) != OK && rc == OK) {
			rc = own.kind;
			if (e != NULL)
				*e = own;
		}
	mem_free(lanes);
	return rc;
}

static void put_escaped(struct buf *b, const char *text)
{
	for (; *text != '\0'; text++)
		if (*text == '"')
			buf_puts(b, "&quot;");
		else if (*text == '&')
			buf_puts(b, "&amp;");
		else if (*text == '<')
			buf_puts(b, "&lt;");
		else
			buf_putc(b, *text);
}

static void write_parts(const struct upload *u, struct buf *b)
{
	buf_puts(b, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (size_t i = 0; i < u->nparts; i++) {
		buf_puts(b, "<Part>");
		if (u->s->checksums)
			buf_putf(b, "<ChecksumSHA256>%s</ChecksumSHA256>", u->parts[i].checksum);
		buf_puts(b, "<ETag>");
		put_escaped(b, u->parts[i].etag);
		buf_putf(b, "</ETag><PartNumber>%zu</PartNumber></Part>", i + 1);
	}
	buf_puts(b, "</CompleteMultipartUpload>");
}

enum completed { DONE, AGAIN, NO };

/* A 200 may say <Error>: s3_send has made an error of it then. */
static enum err judge_completed(struct upload *u, const struct s3_reply *r, enum completed *out,
	char *etag, struct error *e)
{
	struct xml *root = NULL;

	*out = NO;
	if (r->status == 200) {
		*out = DONE;
		TRY(xml_read(buf_str(&r->http.body), "S3's answer", u->p->mem, &root, e));
		return s3_etag(xml_text(root, "ETag"),
			http_reply_header(&r->http, "x-amz-version-id"), etag, e);
	}
	if (str_eqc(r->code, "ConditionalRequestConflict")) {
		*out = AGAIN;
		return s3_refused(u->s, r, u->p->doing, e);
	}
	/* An upload that is gone was completed by us, or aborted by others. */
	bool gone = str_eqc(r->code, "NoSuchUpload");
	bool condition = r->status == 412 || (r->status == 404 && str_eqc(r->code, "NoSuchKey"));
	if (!gone && !condition)
		return s3_refused(u->s, r, u->p->doing, e);
	enum err rc = s3_settle(u->s, u->p, r->status, etag, e);
	if (rc == OK)
		*out = DONE;
	else if (gone && rc == ERR_CONFLICT)
		rc = s3_refused(u->s, r, u->p->doing, e);
	return rc;
}

static enum err complete(struct upload *u, enum completed *out, char *etag, struct error *e)
{
	const struct http_pair query = {STR("uploadId"), str_of(u->id)};
	struct http_pair h[4];
	struct s3_reply r;
	struct buf b;

	*out = NO;
	buf_init(&b, BUF_MAX_DEFAULT);
	write_parts(u, &b);
	s3_reply_init(&r);
	enum err rc = s3_send(u->s,
		&(struct s3_call){.method = "POST",
			.key = u->p->key,
			.query = &query,
			.nquery = 1,
			.headers = h,
			.nheaders = s3_put_headers(u->p, false, true, h),
			.body = buf_str(&b),
			.slow = true,
			.error_in_200 = true,
			.keep_conflict = true},
		&r, e);
	if (rc != OK)
		rc = error_wrap(e, "%s: completing the upload", u->p->doing);
	else
		rc = judge_completed(u, &r, out, etag, e);
	s3_reply_free(&r);
	buf_free(&b);
	return rc;
}

/* What was sent costs money until it is taken away. */
static void give_up(struct upload *u)
{
	const struct http_pair query = {STR("uploadId"), str_of(u->id)};
	const struct s3_call c = {
		.method = "DELETE", .key = u->p->key, .query = &query, .nquery = 1};
	struct s3_reply r;
	struct error e = {.kind = OK};

	s3_reply_init(&r);
	enum err rc = s3_send(u->s, &c, &r, &e);
	if (rc == OK && r.status != 204 && r.status != 200 && r.status != 404)
		rc = s3_refused(u->s, &r, "aborting an upload", &e);
	if (rc != OK)
		log_warn(u->s->env->log, "s3",
			"an upload that failed could not be aborted; its parts cost storage until the "
			"bucket's lifecycle rule takes them away",
			F_STR("key", u->p->key), F_CSTR("error", e.text));
	s3_reply_free(&r);
}

static enum err put_once(
	struct s3 *s, const struct s3_put *p, enum completed *how, char *etag, struct error *e)
{
	struct upload u = {.s = s, .p = p, .part_size = p->part_size};
	struct str id;

	*how = NO;
	u.nparts = (p->body.n + u.part_size - 1) / u.part_size;
	u.parts = arena_array(p->mem, u.nparts, sizeof *u.parts);
	TRY(begin(s, p, &id, e));
	u.id = arena_cstr(p->mem, id);
	enum err rc = send_all(&u, e);
	if (rc == OK)
		rc = complete(&u, how, etag, e);
	if (rc != OK)
		give_up(&u);
	return rc;
}

enum err s3_put_parts(struct s3 *s, struct s3_put *p, char *etag, struct error *e)
{
	enum completed how = NO;
	enum err rc = OK;

	p->part_size = s->part_size;
	while (p->body.n / p->part_size >= MOST_PARTS)
		p->part_size *= 2;

	/* S3 says of a conflict here that the whole upload is to be made again. */
	for (int pass = 0; pass < RESTARTS; pass++) {
		rc = put_once(s, p, &how, etag, e);
		if (rc == OK || how != AGAIN)
			return rc;
	}
	return rc;
}
