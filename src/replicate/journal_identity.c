#include "journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "json.h"

#define IDENTITY_PATH 4096

static void identity_path(char out[IDENTITY_PATH], const char *dir)
{
	snprintf(out, IDENTITY_PATH, "%s/identity.json", dir);
}

static void copy_name(char out[64], struct str s)
{
	size_t n = s.n < 63 ? s.n : 63;

	memcpy(out, s.p, n);
	out[n] = '\0';
}

static enum err identity_parse(const json_t *doc, struct journal_identity *out, struct error *e)
{
	struct str system_id, start, slot, publication;
	int64_t timeline;

	TRY(json_want_str(doc, "system_id", &system_id, e));
	TRY(json_want_i64(doc, "timeline", &timeline, e));
	TRY(json_want_str(doc, "slot", &slot, e));
	TRY(json_want_str(doc, "publication", &publication, e));
	TRY(json_want_str(doc, "start", &start, e));
	TRY(json_want_bool(doc, "settled", &out->settled, e));
	if (!str_to_u64(system_id, &out->system_id) || !lsn_parse(start, &out->start))
		return FAIL(e, ERR_INPUT, "system_id or start is not what sluice writes");
	out->timeline = (uint32_t)timeline;
	copy_name(out->slot, slot);
	copy_name(out->publication, publication);
	return OK;
}

enum err journal_identity_read(const char *dir, struct journal_identity *out, struct error *e)
{
	char path[IDENTITY_PATH];
	struct buf text;
	json_t *doc = NULL;

	identity_path(path, dir);
	*out = (struct journal_identity){0};
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return FAIL(
			e, ERR_NOT_FOUND, "there is no journal in %s yet; run: sluice init", dir);
	buf_init(&text, 1 << 20);
	enum err rc = file_read(path, &text, e);
	if (rc == OK)
		rc = json_read(buf_str(&text), path, &doc, e);
	if (rc == OK)
		rc = identity_parse(doc, out, e);
	if (rc != OK)
		error_wrap(e, "reading the journal's identity %s", path);
	json_decref(doc);
	buf_free(&text);
	return rc;
}

enum err journal_identity_write(const char *dir, const struct journal_identity *id, struct error *e)
{
	char path[IDENTITY_PATH], number[24], start[LSN_TEXT];
	struct buf text;
	struct json_out j;

	TRY(file_mkdirs(dir, e));
	identity_path(path, dir);
	snprintf(number, sizeof(number), "%" PRIu64, id->system_id);
	buf_init(&text, 1 << 16);
	jo_init(&j, &text);
	jo_object(&j, NULL);
	jo_cstr(&j, "system_id", number);
	jo_i64(&j, "timeline", id->timeline);
	jo_cstr(&j, "slot", id->slot);
	jo_cstr(&j, "publication", id->publication);
	jo_cstr(&j, "start", lsn_format(id->start, start));
	jo_bool(&j, "settled", id->settled);
	jo_end_object(&j);
	buf_putc(&text, '\n');
	enum err rc = file_write_atomic(path, buf_str(&text), e);
	buf_free(&text);
	return rc;
}
