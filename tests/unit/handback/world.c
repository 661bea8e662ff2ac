#include "world.h"

#include <math.h>

#include "file.h"
#include "pg_server.h"

#define NOW_US INT64_C(1700000000000000)

void world_open(struct world *w)
{
	struct error e = {0};

	memset(w, 0, sizeof *w);
	unit_tmpdir(w->dir, sizeof w->dir);
	snprintf(w->url, sizeof w->url, "file://%s/store", w->dir);
	snprintf(w->key, sizeof w->key, "%s/key.pem", w->dir);
	snprintf(w->pub, sizeof w->pub, "%s/pub.pem", w->dir);
	snprintf(w->other_key, sizeof w->other_key, "%s/other-key.pem", w->dir);
	snprintf(w->other_pub, sizeof w->other_pub, "%s/other-pub.pem", w->dir);
	assert_ok(handback_make_key(w->key, w->pub, &e), &e);
	assert_ok(handback_make_key(w->other_key, w->other_pub, &e), &e);
	assert_ok(store_open(&w->store, w->url, NULL, &e), &e);
	clock_manual_init(&w->clock, NOW_US);
	rnd_seed(&w->rnd, 1);
	w->env = (struct env){.clock = &w->clock.base, .rnd = &w->rnd};
	w->policy = (struct release_policy){
		.workflow = WORKFLOW,
		.trusted_key = w->pub,
		.model = "cancel_risk",
		.key_column = "booking_id",
		.reference = "public.bookings.booking_id",
		.open_rows = "status = 'booked'",
		.min_coverage = 0.9,
		.min_auc = 0.7,
		.max_psi = 0.25,
		.max_age = INT64_C(3600) * 1000000,
		.approvals = 2,
	};
}

void world_close(struct world *w)
{
	struct error e = {0};

	pg_close(w->pg);
	store_close(w->store);
	arena_free(&w->mem);
	assert_ok(file_remove_tree(w->dir, &e), &e);
}

struct server {
	struct pg_server *pg;
	char dir[128];
	struct rnd rnd;
	struct env env;
};

static struct server server;

int world_pg_start(void **state)
{
	struct error e = {0};
	char path[192];
	(void)state;

	unit_tmpdir(server.dir, sizeof server.dir);
	snprintf(path, sizeof path, "%s/pg", server.dir);
	rnd_seed(&server.rnd, 1);
	server.env = (struct env){.clock = clock_system(), .rnd = &server.rnd};
	const struct pg_server_options o = {.dir = path, .database = "app"};
	if (pg_server_start(&server.pg, &o, &server.env, &e) != OK) {
		print_message("%s\n", e.text);
		return -1;
	}
	return 0;
}

int world_pg_stop(void **state)
{
	struct error e = {0};
	(void)state;

	pg_server_stop(server.pg, true);
	return file_remove_tree(server.dir, &e) == OK ? 0 : -1;
}

struct pg *world_pg_connect(struct world *w)
{
	struct error e = {0};
	struct pg *c = NULL;
	const struct pg_options o = {.conninfo = pg_server_conninfo(server.pg)};

	assert_ok(pg_open(&c, &o, &w->env, &e), &e);
	return c;
}

void world_bookings(struct world *w, int n, int open)
{
	struct error e = {0};
	char sql[512];

	if (w->pg == NULL)
		w->pg = world_pg_connect(w);
	snprintf(sql, sizeof sql,
		"SET client_min_messages = warning; DROP SCHEMA IF EXISTS sluice CASCADE; "
		"DROP TABLE IF EXISTS bookings; CREATE TABLE bookings (booking_id bigint PRIMARY "
		"KEY, status text NOT NULL); INSERT INTO bookings SELECT i, CASE WHEN i <= %d THEN "
		"'booked' ELSE 'cancelled' END FROM generate_series(1, %d) AS i",
		open, n);
	assert_ok(pg_exec(w->pg, sql, "making bookings", &e), &e);
}

static struct str sha256_of(struct world *w, const char *text)
{
	char digest[ENC_SHA256_TEXT];

	enc_sha256(str_of(text), digest);
	return arena_str(&w->mem, str_of(digest));
}

static struct str time_of(struct world *w, int64_t us)
{
	char text[CLOCK_TEXT];

	return arena_str(&w->mem, str_of(clock_format(us, text, sizeof text)));
}

static void fill(struct world *w, struct manifest *m)
{
	*m = (struct manifest){
		.workflow = STR(WORKFLOW),
		.created_at = time_of(w, w->clock.now_us),
		.columns = STR(MANIFEST_COLUMNS),
		.key_column = STR("booking_id"),
		.model = STR("cancel_risk"),
		.model_version = 3,
		.model_sha256 = sha256_of(w, "model"),
		.query_sha256 = sha256_of(w, "query"),
		.training_cut = STR("{\"lsn\":\"0/10\",\"snapshot\":\"5:5:\"}"),
		.evaluation = STR("{\"auc\":0.8}"),
		.leak_proof = STR("{\"ok\":true}"),
		.scoring_id = STR("scoring-1"),
		.scored_at = time_of(w, w->clock.now_us - 60 * 1000000),
		.scoring_lsn = STR("0/2000"),
		.reconciled = true,
		.report = STR("{\"ok\":true,\"whole\":true,\"tables\":[]}"),
		.report_finished_at = time_of(w, w->clock.now_us - 30 * 1000000),
		.report_lsn = STR("0/3000"),
		.report_snapshot = STR("9:9:"),
		.producer = STR("publisher"),
		.program = STR("sluice test"),
	};
	m->report_sha256 = sha256_of(w, m->report.p);
}

struct writing {
	struct world *w;
	struct manifest *m;
};

static enum err put_file(void *arg, const struct data_file *f, struct error *e)
{
	struct writing *to = arg;
	struct manifest_file *one = arena_alloc(&to->w->mem, sizeof *one);

	one->sha256 = arena_str(&to->w->mem, str_of(f->sha256));
	one->rows = f->rows;
	one->bytes = (int64_t)f->bytes.n;
	to->m->files = one;
	to->m->nfiles = 1;
	to->m->rows = f->rows;
	return store_put(to->w->store, release_object_key(&to->w->mem, WORKFLOW, one->sha256),
		f->bytes, STORE_ANY, NULL, NULL, e);
}

static void write_rows(struct world *w, const struct measure *how, struct manifest *m)
{
	struct error e = {0};
	struct writing to = {w, m};
	struct data_writer *d = data_writer_new(1000000, put_file, &to);
	int n = how->rows > 0 ? how->rows : 100;
	double *good = calloc((size_t)n, sizeof *good);
	size_t ngood = 0;

	for (int i = 0; i < n; i++) {
		char key[64];
		double score = fmin(1, fmax(0, (i + 0.5) / n + how->shift));
		snprintf(key, sizeof key, "%d", i + 1);
		if (how->row != NULL)
			how->row(i, key, &score);
		if (isfinite(score) && score >= 0 && score <= 1)
			good[ngood++] = score;
		assert_ok(data_writer_add(d, str_of(key), score, &e), &e);
	}
	assert_ok(data_writer_finish(d, &e), &e);
	stats_compute(good, ngood, &m->stats);
	data_writer_free(d);
	free(good);
}

int64_t world_release(struct world *w, const struct measure *how)
{
	struct error e = {0};
	struct manifest m;
	struct release_head head;
	struct sign_key *key;
	struct buf bytes;
	char digest[ENC_SHA256_TEXT];

	fill(w, &m);
	assert_ok(release_head_read(w->store, WORKFLOW, &w->mem, &head, &e), &e);
	m.parent = head.exists ? head.version : 0;
	m.parent_sha256 = head.manifest_sha256;
	m.version = how->version > 0 ? how->version : m.parent + 1;
	write_rows(w, how, &m);
	if (how->manifest != NULL)
		how->manifest(w, &m);
	assert_ok(sign_key_read(&key, how->sign_by != NULL ? how->sign_by : w->key, &e), &e);
	buf_init(&bytes, MANIFEST_MAX);
	assert_ok(manifest_write(&m, key, &bytes, &e), &e);
	enc_sha256(buf_str(&bytes), digest);
	int64_t version = how->version > 0 ? how->version : m.parent + 1;
	assert_ok(store_put(w->store, release_manifest_key(&w->mem, WORKFLOW, version),
			  buf_str(&bytes), STORE_ANY, NULL, NULL, &e),
		&e);
	if (!how->keep_head)
		assert_ok(
			release_head_write(w->store, WORKFLOW, &head, version, str_of(digest), &e),
			&e);
	buf_free(&bytes);
	sign_key_free(key);
	return version;
}

enum err world_land(struct world *w, int64_t version, struct land_result *out, struct error *e)
{
	const struct land_options o = {.policy = w->policy, .version = version, .person = "lander"};

	return handback_land(w->pg, w->store, &o, &w->env, &w->mem, out, e);
}

const struct check *world_check(const struct checks *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->items[i].name, name) == 0)
			return &c->items[i];
	fail_msg("there is no check \"%s\" among %zu", name, c->n);
	return NULL;
}

int64_t world_count(struct world *w, const char *sql)
{
	struct error e = {0};
	PGresult *r;

	assert_ok(pg_query(w->pg, sql, 0, NULL, sql, &w->mem, &r, &e), &e);
	return pg_cell_i64(r, 0, 0);
}

void world_change_byte(struct world *w, struct str key, size_t at, char to, char other)
{
	struct error e = {0};
	struct buf b;

	buf_init(&b, MANIFEST_MAX);
	assert_ok(store_get(w->store, key, &b, NULL, &e), &e);
	assert_true(at < b.n);
	b.p[at] = b.p[at] == to ? other : to;
	assert_ok(store_put(w->store, key, buf_str(&b), STORE_ANY, NULL, NULL, &e), &e);
	buf_free(&b);
}

void world_flip_byte(struct world *w, struct str key, size_t at)
{
	struct error e = {0};
	struct buf b;

	buf_init(&b, MANIFEST_MAX);
	assert_ok(store_get(w->store, key, &b, NULL, &e), &e);
	assert_true(at < b.n);
	world_change_byte(w, key, at, (char)(b.p[at] ^ 1), 0);
	buf_free(&b);
}
