/*
 * What is refused, by which check, and that no row of it is loaded.
 */
#include "world.h"

#include <math.h>

#define LIVE_VERSION "SELECT coalesce(max(live_version), 0) FROM sluice.workflows"
#define ALL_ROWS     "SELECT count(*) FROM sluice.scores"

static void land_good(struct world *w, int64_t want)
{
	struct error e = {0};
	struct land_result r;

	assert_int_equal(world_release(w, &(struct measure){0}), want);
	assert_ok(world_land(w, 0, &r, &e), &e);
	assert_int_equal(r.version, want);
}

static struct str manifest_key(struct world *w)
{
	return release_manifest_key(&w->mem, WORKFLOW, 2);
}

static struct manifest parsed(struct world *w)
{
	struct error e = {0};
	struct manifest m;
	struct str bytes;

	assert_ok(release_get(w->store, manifest_key(w), MANIFEST_MAX, &w->mem, &bytes, &e), &e);
	assert_ok(manifest_read(bytes, &w->mem, &m, &e), &e);
	return m;
}

static struct str object_key(struct world *w)
{
	return release_object_key(&w->mem, WORKFLOW, parsed(w).files[0].sha256);
}

static size_t offset_in_manifest(struct world *w, const char *text)
{
	struct error e = {0};
	struct str bytes;

	assert_ok(release_get(w->store, manifest_key(w), MANIFEST_MAX, &w->mem, &bytes, &e), &e);
	ptrdiff_t at = str_find(bytes, str_of(text));
	assert_true(at >= 0);
	return (size_t)at + strlen(text);
}

static void good(struct world *w)
{
	world_release(w, &(struct measure){0});
}

static void manifest_byte(struct world *w)
{
	good(w);
	world_flip_byte(
		w, manifest_key(w), offset_in_manifest(w, "\"producer\":{\"person\":\"publ"));
}

static void manifest_structure(struct world *w)
{
	good(w);
	world_flip_byte(w, manifest_key(w), 0);
}

static void manifest_missing(struct world *w)
{
	struct error e = {0};

	good(w);
	assert_ok(store_remove(w->store, manifest_key(w), &e), &e);
}

/* One letter of base64 becomes another, so that the manifest can still be read. */
static void signature_byte(struct world *w)
{
	good(w);
	size_t at = offset_in_manifest(w, "\"signature\":\"") + 4;

	world_change_byte(w, manifest_key(w), at, 'A', 'B');
}

static void key_id_byte(struct world *w)
{
	good(w);
	world_flip_byte(w, manifest_key(w), offset_in_manifest(w, "\"key_id\":\""));
}

static void data_byte(struct world *w)
{
	good(w);
	world_flip_byte(w, object_key(w), 40);
}

static void data_missing(struct world *w)
{
	struct error e = {0};

	good(w);
	assert_ok(store_remove(w->store, object_key(w), &e), &e);
}

static void data_longer(struct world *w)
{
	struct error e = {0};
	struct buf b;

	good(w);
	buf_init(&b, 1 << 20);
	assert_ok(store_get(w->store, object_key(w), &b, NULL, &e), &e);
	buf_putc(&b, 'x');
	assert_ok(store_put(w->store, object_key(w), buf_str(&b), STORE_ANY, NULL, NULL, &e), &e);
	buf_free(&b);
}

static void head_byte(struct world *w)
{
	good(w);
	world_flip_byte(w, STR("releases/" WORKFLOW "/HEAD"), 0);
}

static void head_digest(struct world *w)
{
	good(w);
	world_flip_byte(w, STR("releases/" WORKFLOW "/HEAD"), strlen("{\"manifest_sha256\":\""));
}

static void head_missing(struct world *w)
{
	struct error e = {0};

	good(w);
	assert_ok(store_remove(w->store, STR("releases/" WORKFLOW "/HEAD"), &e), &e);
}

static void parent_changed(struct world *w)
{
	good(w);
	world_flip_byte(w, release_manifest_key(&w->mem, WORKFLOW, 1), 20);
}

static void one_row_fewer_said(struct world *w, struct manifest *m)
{
	(void)w;
	m->files[0].rows--;
	m->rows--;
}

static void extra_row(struct world *w)
{
	world_release(w, &(struct measure){.manifest = one_row_fewer_said});
}

static void foreign_key(struct world *w)
{
	world_release(w, &(struct measure){.sign_by = w->other_key});
}

static void nan_row(int i, char key[64], double *score)
{
	(void)key;
	*score = i == 50 ? (double)NAN : *score;
}

static void not_a_number(struct world *w)
{
	world_release(w, &(struct measure){.row = nan_row});
}

static void big_row(int i, char key[64], double *score)
{
	(void)key;
	*score = i == 50 ? 1.0000001 : *score;
}

static void above_one(struct world *w)
{
	world_release(w, &(struct measure){.row = big_row});
}

static void double_row(int i, char key[64], double *score)
{
	(void)score;
	if (i == 99)
		snprintf(key, 64, "42");
}

static void duplicate_key(struct world *w)
{
	world_release(w, &(struct measure){.row = double_row});
}

static void empty_row(int i, char key[64], double *score)
{
	(void)score;
	if (i == 99)
		key[0] = '\0';
}

static void empty_key(struct world *w)
{
	world_release(w, &(struct measure){.row = empty_row});
}

static void ghost_row(int i, char key[64], double *score)
{
	(void)score;
	if (i == 99)
		snprintf(key, 64, "'; DROP TABLE bookings; --");
}

static void unknown_key(struct world *w)
{
	world_release(w, &(struct measure){.row = ghost_row});
}

static void too_few(struct world *w)
{
	world_release(w, &(struct measure){.rows = 89});
}

static void drifted(struct world *w)
{
	world_release(w, &(struct measure){.shift = 0.4});
}

static void other_mean(struct world *w, struct manifest *m)
{
	(void)w;
	m->stats.mean += 0.01;
}

static void distribution_said(struct world *w)
{
	world_release(w, &(struct measure){.manifest = other_mean});
}

static void old_scores(struct world *w, struct manifest *m)
{
	(void)w;
	m->scored_at = STR("2023-11-14T21:00:00Z");
}

static void stale(struct world *w)
{
	world_release(w, &(struct measure){.manifest = old_scores});
}

static void coming_scores(struct world *w, struct manifest *m)
{
	(void)w;
	m->scored_at = STR("2030-01-01T00:00:00Z");
}

static void from_the_future(struct world *w)
{
	world_release(w, &(struct measure){.manifest = coming_scores});
}

static void weak(struct world *w, struct manifest *m)
{
	(void)w;
	m->evaluation = STR("{\"auc\":0.69}");
}

static void weak_model(struct world *w)
{
	world_release(w, &(struct measure){.manifest = weak});
}

static void leaks(struct world *w, struct manifest *m)
{
	(void)w;
	m->leak_proof = STR("{\"ok\":false}");
}

static void leaking_model(struct world *w)
{
	world_release(w, &(struct measure){.manifest = leaks});
}

static void named(struct world *w, struct manifest *m)
{
	(void)w;
	m->model = STR("other_model");
}

static void other_model(struct world *w)
{
	world_release(w, &(struct measure){.manifest = named});
}

static void no_hash(struct world *w, struct manifest *m)
{
	(void)w;
	m->model_sha256 = STR("none");
}

static void model_without_hash(struct world *w)
{
	world_release(w, &(struct measure){.manifest = no_hash});
}

static void set_report(struct world *w, struct manifest *m, struct str report)
{
	char digest[ENC_SHA256_TEXT];

	m->report = report;
	enc_sha256(m->report, digest);
	m->report_sha256 = arena_str(&w->mem, str_of(digest));
}

static void differs(struct world *w, struct manifest *m)
{
	set_report(w, m, STR("{\"ok\":false,\"whole\":true,\"tables\":[]}"));
}

static void not_reconciled(struct world *w)
{
	world_release(w, &(struct measure){.manifest = differs});
}

static void one_table(struct world *w, struct manifest *m)
{
	set_report(w, m, STR("{\"ok\":true,\"whole\":false,\"tables\":[]}"));
}

static void reconciled_in_part(struct world *w)
{
	world_release(w, &(struct measure){.manifest = one_table});
}

static void no_scope(struct world *w, struct manifest *m)
{
	set_report(w, m, STR("{\"ok\":true,\"tables\":[]}"));
}

static void reconciled_in_unknown_part(struct world *w)
{
	world_release(w, &(struct measure){.manifest = no_scope});
}

static void other_report(struct world *w, struct manifest *m)
{
	(void)w;
	m->report = STR("{\"ok\":true,\"tables\":[1]}");
}

static void report_exchanged(struct world *w)
{
	world_release(w, &(struct measure){.manifest = other_report});
}

static void before(struct world *w, struct manifest *m)
{
	(void)w;
	m->report_lsn = STR("0/1FFF");
}

static void reconciled_too_early(struct world *w)
{
	world_release(w, &(struct measure){.manifest = before});
}

static void another_key(struct world *w, struct manifest *m)
{
	(void)w;
	m->key_column = STR("guest_id");
}

static void other_key_column(struct world *w)
{
	world_release(w, &(struct measure){.manifest = another_key});
}

static void other_type(struct world *w, struct manifest *m)
{
	(void)w;
	m->columns = STR("[{\"name\":\"key\",\"type\":\"text\"}]");
}

static void other_columns(struct world *w)
{
	world_release(w, &(struct measure){.manifest = other_type});
}

static void another_workflow(struct world *w, struct manifest *m)
{
	(void)w;
	m->workflow = STR("other");
}

static void other_workflow(struct world *w)
{
	world_release(w, &(struct measure){.manifest = another_workflow});
}

static void wrong_parent(struct world *w, struct manifest *m)
{
	char digest[ENC_SHA256_TEXT];

	enc_sha256(STR("not the parent"), digest);
	m->parent_sha256 = arena_str(&w->mem, str_of(digest));
}

static void other_parent(struct world *w)
{
	world_release(w, &(struct measure){.manifest = wrong_parent});
}

static void bad_reference(struct world *w)
{
	good(w);
	w->policy.reference = "public.nowhere.id";
}

static void no_reference(struct world *w)
{
	good(w);
	w->policy.reference = "";
}

static void no_open_rows(struct world *w)
{
	good(w);
	w->policy.open_rows = NULL;
}

static void bad_open_rows(struct world *w)
{
	good(w);
	w->policy.open_rows = "no_such_column = 1";
}

static void no_trusted_key(struct world *w)
{
	good(w);
	w->policy.trusted_key = NULL;
}

static const struct {
	const char *what;
	void (*make)(struct world *w);
	const char *check;
	const char *says;
} tampers[] = {
	{"a byte of the manifest", manifest_byte, "signature", "changed"},
	{"the manifest's structure", manifest_structure, "manifest", ""},
	{"no manifest", manifest_missing, "manifest", "no such key"},
	{"a byte of the signature", signature_byte, "signature", "changed"},
	{"a byte of the key's id", key_id_byte, "key_trusted", ""},
	{"a byte of the data", data_byte, "files", "SHA-256"},
	{"no data file", data_missing, "files", "no such key"},
	{"a longer data file", data_longer, "files", "bytes"},
	{"a byte of HEAD", head_byte, "head", ""},
	{"HEAD's digest", head_digest, "parent", "HEAD"},
	{"no HEAD", head_missing, "head", "nothing is published"},
	{"the parent's manifest", parent_changed, "parent", "successor"},
	{"another parent", other_parent, "parent", "version 1"},
	{"one row more than said", extra_row, "files", "100 rows"},
	{"a key that is not trusted", foreign_key, "key_trusted", "does not hold"},
	{"NaN", not_a_number, "scores", "\"51\""},
	{"a score above 1", above_one, "scores", "\"51\""},
	{"a key twice", duplicate_key, "keys", "\"42\""},
	{"an empty key", empty_key, "keys", "row 100"},
	{"a key nobody has", unknown_key, "reference", "DROP TABLE"},
	{"too few rows", too_few, "coverage", "89 of 100"},
	{"another distribution", drifted, "drift", "PSI"},
	{"a wrong distribution in the manifest", distribution_said, "distribution", "mean"},
	{"old scores", stale, "freshness", "max_age"},
	{"scores of the future", from_the_future, "freshness", "future"},
	{"a weak model", weak_model, "evaluation", "0.69"},
	{"a leaking model", leaking_model, "leak_proof", "false"},
	{"another model", other_model, "model", "other_model"},
	{"a model without hash", model_without_hash, "manifest", "sha256"},
	{"a failed reconciliation", not_reconciled, "reconciliation", "differences"},
	{"a reconciliation of one table", reconciled_in_part, "reconciliation", "every table"},
	{"a reconciliation of nobody knows what", reconciled_in_unknown_part, "reconciliation",
		"every table"},
	{"an exchanged report", report_exchanged, "reconciliation", "digest"},
	{"a reconciliation before the scores", reconciled_too_early, "reconciliation", "before"},
	{"another key column", other_key_column, "columns", "guest_id"},
	{"other columns", other_columns, "columns", "wanted"},
	{"another workflow's manifest", other_workflow, "manifest", "other"},
	{"a reference that is not there", bad_reference, "reference", "nowhere"},
	{"no reference configured", no_reference, "reference", "SCHEMA.TABLE.COLUMN"},
	{"no open rows configured", no_open_rows, "coverage", "open_rows"},
	{"open rows that are no SQL", bad_open_rows, "coverage", "no_such_column"},
	{"no trusted key configured", no_trusted_key, "key_trusted", "trusted_key"},
};

static void test_tampers_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof tampers / sizeof tampers[0]; i++) {
		struct world w;
		struct error e = {0};
		struct land_result r;

		print_message("%s\n", tampers[i].what);
		world_open(&w);
		world_bookings(&w, 200, 100);
		land_good(&w, 1);
		tampers[i].make(&w);
		assert_err(world_land(&w, 0, &r, &e), ERR_CHECK, &e);
		assert_false(r.ok);
		const struct check *c = world_check(&r.checks, tampers[i].check);
		assert_false(c->ok);
		if (str_find(c->detail, str_of(tampers[i].says)) < 0)
			fail_msg("%s says: %.*s", c->name, STR_ARG(c->detail));
		assert_int_equal(world_count(&w, ALL_ROWS), 100);
		assert_int_equal(world_count(&w, LIVE_VERSION), 1);
		assert_int_equal(world_count(&w, "SELECT count(*) FROM sluice.releases"), 1);
		assert_int_equal(world_count(&w,
					 "SELECT count(*) FROM sluice.audit WHERE action = "
					 "'land_refused'"),
			1);
		world_close(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tampers_are_refused),
	};
	return cmocka_run_group_tests(tests, world_pg_start, world_pg_stop);
}
