#include "model_rules.h"

#include <string.h>

#include "json.h"

#define NAME_MAX_BYTES  128
#define ALIAS_MAX_BYTES 128

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_letter(char c)
{
	return is_lower(c) || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

enum err model_name_check(struct str model, struct error *e)
{
	bool good = model.n > 0 && model.n <= NAME_MAX_BYTES && is_letter(model.p[0]);

	for (size_t i = 1; good && i < model.n; i++)
		good = is_letter(model.p[i]) || is_digit(model.p[i]) || model.p[i] == '_' ||
			model.p[i] == '-';
	if (good)
		return OK;
	return FAIL(e, ERR_USAGE,
		"naming a model \"%.*s\": a name is a letter and then at most %d letters, digits, "
		"'_' or '-'",
		STR_ARG(model), NAME_MAX_BYTES - 1);
}

enum err model_alias_check(struct str alias, struct error *e)
{
	bool good = alias.n >= 2 && alias.n <= ALIAS_MAX_BYTES && is_lower(alias.p[0]);

	for (size_t i = 1; good && i < alias.n; i++)
		good = is_letter(alias.p[i]) || is_digit(alias.p[i]) || alias.p[i] == '-';
	if (good) {
		char last = alias.p[alias.n - 1];
		good = is_lower(last) || is_digit(last);
	}
	if (good)
		return OK;
	return FAIL(e, ERR_USAGE,
		"naming an alias \"%.*s\": an alias fits [a-z][a-zA-Z0-9-]{0,126}[a-z0-9], such as "
		"\"champion\"",
		STR_ARG(alias));
}

static enum err check_cut(const json_t *o, struct error *e)
{
	struct str lsn, snapshot;
	json_t *cut;

	TRY(json_want_object(o, "cut", &cut, e));
	TRY(json_want_str(cut, "lsn", &lsn, e));
	TRY(json_want_str(cut, "snapshot", &snapshot, e));
	if (lsn.n == 0 || snapshot.n == 0)
		return FAIL(e, ERR_INPUT, "the member \"cut\" has an empty lsn or snapshot");
	return OK;
}

static enum err check_query(const json_t *o, struct error *e)
{
	struct str sha;

	TRY(json_want_str(o, "query_sha256", &sha, e));
	if (sha.n != 64 || strspn(sha.p, "0123456789abcdef") != 64)
		return FAIL(e, ERR_INPUT,
			"the member \"query_sha256\" is not 64 lower-case hex digits");
	return OK;
}

static enum err check_members(const json_t *o, struct error *e)
{
	json_t *proof, *features;
	bool ok;

	if (!json_is_object(o))
		return FAIL(e, ERR_INPUT, "it is not a JSON object");
	TRY(check_cut(o, e));
	TRY(check_query(o, e));
	TRY(json_want_object(o, "leak_proof", &proof, e));
	TRY(json_want_bool(proof, "ok", &ok, e));
	if (!ok)
		return FAIL(e, ERR_INPUT, "its leak proof says no (leak_proof.ok is false)");
	TRY(json_want_array(o, "features", &features, e));
	if (json_array_size(features) == 0)
		return FAIL(e, ERR_INPUT, "the member \"features\" is empty");
	return OK;
}

enum err model_metadata_check(struct str metadata, struct error *e)
{
	json_t *o = NULL;
	enum err rc = json_read(metadata, "model metadata", &o, e);

	if (rc == OK) {
		rc = check_members(o, e);
		json_decref(o);
	}
	if (rc != OK)
		return error_wrap(
			e, "registering a model whose metadata does not say what it was made from");
	return OK;
}
