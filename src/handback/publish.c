/*
 * Publishing: data files under their own digests, then the manifest if no other has its number,
 * then HEAD if nobody has moved it. What a failure leaves behind is never named by HEAD.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "clock.h"
#include "failpoint.h"
#include "handback.h"
#include "mem.h"
#include "publish_input.h"
#include "release_data.h"
#include "release_db.h"
#include "release_store.h"
#include "version.h"

#define ROWS_PER_FILE 500000
#define TRIES         100

struct publishing {
	const struct env *env;
	struct warehouse *warehouse;
	struct store *store;
	const char *workflow;
	struct arena *mem;
	struct sign_key *key;
	struct manifest m;
	size_t capfiles;

	struct data_writer *writer;
	struct buf previous; /* key of the row before */
	double *scores;
	size_t n, cap;
};

/* The same digest may stand there already. Then it must be the same bytes. */
static enum err confirm_object(
	struct publishing *p, struct str key, const struct data_file *f, struct error *e)
{
	struct arena mem = {0};
	struct str there;
	enum err rc = release_get(p->store, key, f->bytes.n + 4096, &mem, &there, e);
	bool same = rc == OK && str_eq(there, f->bytes);

	arena_free(&mem);
	if (rc == ERR_UNAVAILABLE || same)
		return rc;
	return FAIL(e, ERR_CHECK,
		"publishing %s: the store holds other bytes under %.*s; remove it and publish "
		"again",
		p->workflow, STR_ARG(key));
}

static void note_file(struct publishing *p, const struct data_file *f)
{
	struct manifest *m = &p->m;

	if (m->nfiles == p->capfiles) {
		size_t cap = p->capfiles > 0 ? p->capfiles * 2 : 8;
		struct manifest_file *wider = arena_array(p->mem, cap, sizeof *wider);
		for (size_t i = 0; i < m->nfiles; i++)
			wider[i] = m->files[i];
		m->files = wider;
		p->capfiles = cap;
	}
	m->files[m->nfiles++] = (struct manifest_file){
		.sha256 = arena_str(p->mem, str_of(f->sha256)),
		.rows = f->rows,
		.bytes = (int64_t)f->bytes.n,
	};
	m->rows += f->rows;
}

static enum err put_object(void *arg, const struct data_file *f, struct error *e)
{
	struct publishing *p = arg;
	struct str key = release_object_key(p->mem, p->workflow, str_of(f->sha256));

	TRY(failpoint_hit(p->env, "publish.object", e));
	enum err rc = store_put(p->store, key, f->bytes, STORE_IF_ABSENT, NULL, NULL, e);
	if (rc == ERR_CONFLICT)
		rc = confirm_object(p, key, f, e);
	if (rc == OK)
		note_file(p, f);
	return rc;
}

/* Rows come sorted by key: a key that is not greater than the one before stands there twice. */
static enum err take_row(struct publishing *p, struct str key, double score, struct error *e)
{
	if (key.n == 0 || memchr(key.p, '\0', key.n) != NULL)
		return FAIL(e, ERR_CHECK, "publishing %s: a key is empty or no text", p->workflow);
	if (p->n > 0 && str_cmp(buf_str(&p->previous), key) >= 0)
		return FAIL(e, ERR_CHECK,
			"publishing %s: the key \"%.*s\" was scored more than once; score again",
			p->workflow, STR_ARG(key));
	if (!isfinite(score) || score < 0 || score > 1)
		return FAIL(e, ERR_CHECK,
			"publishing %s: the score of key \"%.*s\" is %g; a number from 0 to 1 is "
			"wanted",
			p->workflow, STR_ARG(key), score);
	if (p->n == p->cap) {
		p->cap = p->cap > 0 ? p->cap * 2 : 4096;
		p->scores = mem_realloc_array(p->scores, p->cap, sizeof *p->scores);
	}
	p->scores[p->n++] = score;
	buf_reset(&p->previous);
	TRY(buf_add(&p->previous, key, e));
	return data_writer_add(p->writer, key, score, e);
}

static enum err take_chunk(void *arg, const struct chunk *c, struct error *e)
{
	struct publishing *p = arg;

	TRY(env_check(p->env, e));
	for (size_t i = 0; i < c->rows; i++) {
		bool whole = !vec_is_null(&c->cols[0], i) && !vec_is_null(&c->cols[1], i);
		struct str key = whole ? vec_text(&c->cols[0], i) : STR_NONE;
		TRY(take_row(p, key, vec_number(&c->cols[1], i), e));
	}
	return OK;
}

static enum err write_data(struct publishing *p, int64_t expected, struct error *e)
{
	struct buf sql;

	buf_init(&sql, 1 << 16);
	buf_puts(&sql, "SELECT key, score FROM scores.predictions WHERE scoring_id = ");
	sql_text(&sql, p->m.scoring_id);
	buf_puts(&sql, " ORDER BY key");
	enum err rc = warehouse_query(p->warehouse, buf_str(&sql), take_chunk, p, e);
	buf_free(&sql);
	TRY(rc);
	if (p->n == 0 || (int64_t)p->n != expected)
		return FAIL(e, ERR_CHECK,
			"publishing %s: scoring %.*s says %" PRId64 " rows, %zu stand in "
			"scores.predictions; run `sluice score %s`",
			p->workflow, STR_ARG(p->m.scoring_id), expected, p->n, p->workflow);
	TRY(data_writer_finish(p->writer, e));
	stats_compute(p->scores, p->n, &p->m.stats);
	return OK;
}

static enum err get_parent(
	struct publishing *p, int64_t version, struct str *bytes, struct error *e)
{
	enum err rc = release_get(p->store, release_manifest_key(p->mem, p->workflow, version),
		MANIFEST_MAX, p->mem, bytes, e);

	if (rc != ERR_INPUT && rc != ERR_NOT_FOUND)
		return rc;
	error_wrap(e,
		"publishing %s: HEAD names version %" PRId64
		", whose manifest is not there whole: put it back from a copy, see `sluice "
		"release verify %s`",
		p->workflow, version, p->workflow);
	return release_damaged(rc, e);
}

/* The release that HEAD names becomes the parent, once it is seen to be what HEAD says. */
static enum err take_parent(struct publishing *p, const struct release_head *head, struct error *e)
{
	struct str bytes;
	char digest[ENC_SHA256_TEXT];

	p->m.parent = head->exists ? head->version : 0;
	p->m.parent_sha256 = head->manifest_sha256;
	if (!head->exists)
		return OK;
	TRY(get_parent(p, head->version, &bytes, e));
	enc_sha256(bytes, digest);
	if (!str_eqc(head->manifest_sha256, digest))
		return FAIL(e, ERR_CHECK,
			"publishing %s: the manifest of version %" PRId64
			" is not the one that HEAD "
			"names; see `sluice release verify %s`",
			p->workflow, head->version, p->workflow);
	return OK;
}

static enum err put_manifest(struct publishing *p, struct str bytes, struct error *e)
{
	struct str key = release_manifest_key(p->mem, p->workflow, p->m.version);

	TRY(failpoint_hit(p->env, "publish.manifest", e));
	return store_put(p->store, key, bytes, STORE_IF_ABSENT, NULL, NULL, e);
}

/* One try at a number. ERR_CONFLICT when another publisher has it, or has moved HEAD. */
static enum err try_version(
	struct publishing *p, int64_t least, struct publish_result *out, struct error *e)
{
	struct release_head head;
	struct buf bytes;

	TRY(env_check(p->env, e));
	TRY(release_head_read(p->store, p->workflow, p->mem, &head, e));
	TRY(take_parent(p, &head, e));
	p->m.version = p->m.parent + 1 > least ? p->m.parent + 1 : least;
	if (p->m.version > MANIFEST_MAX_VERSION)
		return FAIL(e, ERR_FAILED,
			"publishing %s: version numbers have six digits and all "
			"are used; begin a new workflow",
			p->workflow);
	buf_init(&bytes, MANIFEST_MAX);
	enum err rc = manifest_write(&p->m, p->key, &bytes, e);
	if (rc == OK)
		rc = put_manifest(p, buf_str(&bytes), e);
	enc_sha256(buf_str(&bytes), out->manifest_sha256);
	buf_free(&bytes);
	TRY(rc);
	TRY(failpoint_hit(p->env, "publish.head", e));
	return release_head_write(
		p->store, p->workflow, &head, p->m.version, str_of(out->manifest_sha256), e);
}

static enum err put_release(struct publishing *p, struct publish_result *out, struct error *e)
{
	int64_t least = 1;

	for (int i = 0; i < TRIES; i++) {
		enum err rc = try_version(p, least, out, e);
		if (rc != ERR_CONFLICT) {
			out->version = p->m.version;
			out->rows = p->m.rows;
			return rc;
		}
		error_clear(e);
		least = p->m.version + 1; /* that number is taken, by us or another */
	}
	return FAIL(e, ERR_UNAVAILABLE,
		"publishing %s: others took the next number %d times; try again", p->workflow,
		TRIES);
}

static enum err publish(struct publishing *p, const struct publish_options *o,
	struct publish_result *out, struct error *e)
{
	char now[CLOCK_TEXT];
	const char *person;
	int64_t expected = 0;

	TRY(release_person(o->person, p->mem, &person, e));
	TRY(sign_key_read(&p->key, o->signing_key, e));
	TRY(publish_input(p->warehouse, p->workflow, p->mem, &p->m, &expected, e));
	TRY(write_data(p, expected, e));
	clock_format(clock_wall(p->env->clock), now, sizeof now);
	p->m.workflow = str_of(p->workflow);
	p->m.created_at = arena_str(p->mem, str_of(now));
	p->m.columns = STR(MANIFEST_COLUMNS);
	p->m.producer = str_of(person);
	p->m.program = arena_fmt(p->mem, "sluice %s", sluice_version());
	return put_release(p, out, e);
}

enum err handback_publish(struct warehouse *w, struct store *s, const struct publish_options *o,
	const struct env *env, struct publish_result *out, struct error *e)
{
	struct arena mem = {0};
	struct publishing p = {
		.env = env,
		.warehouse = w,
		.store = s,
		.workflow = o->workflow,
		.mem = &mem,
	};

	*out = (struct publish_result){.version = 0};
	TRY(release_check_workflow(o->workflow, e));
	buf_init(&p.previous, 1 << 20);
	p.writer = data_writer_new(
		o->rows_per_file > 0 ? o->rows_per_file : ROWS_PER_FILE, put_object, &p);
	enum err rc = publish(&p, o, out, e);
	data_writer_free(p.writer);
	sign_key_free(p.key);
	buf_free(&p.previous);
	mem_free(p.scores);
	arena_free(&mem);
	return rc;
}
