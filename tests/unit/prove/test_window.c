/* A window is what it was when it was recorded, or it is refused; replayed, it gives the state
 * that the warehouse had, however it is replayed. */
#include "prove_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "failpoint.h"
#include "file.h"
#include "mem.h"
#include "replicate.h"
#include "segment.h"
#include "window.h"
#include "window_file.h"
#include "window_manifest.h"

struct world {
	struct fixture f;
	struct replicate_options options;
	char journal[160], windows[160], dir[192], copy[192]; /* dir: the window of all tests */
	struct window_info info;
};

static void catch_up(struct world *w)
{
	struct error e = {.kind = OK};
	struct replicate_result result;
	const struct replicate_until until = {.kind = REPLICATE_CAUGHT_UP};

	assert_ok(replicate_run(&w->options, w->f.warehouse, &w->f.env, until, &result, &e), &e);
}

/* Every kind of change, to tables with every landing. */
static void change(struct world *w, unsigned round)
{
	char sql[2048];

	snprintf(sql, sizeof sql,
		"BEGIN; UPDATE items SET price = price + %u, name = name || '%u' WHERE id %% 7 = %u; "
		"SAVEPOINT s; DELETE FROM items WHERE id %% 2 = 0; ROLLBACK TO s; "
		"DELETE FROM items WHERE id = 40 + %u; COMMIT; "
		"BEGIN; UPDATE pairs SET v = 0; ROLLBACK; "
		"UPDATE items SET id = id + 1000 WHERE id = 100 + %u; "
		"UPDATE items SET at = '4714-11-24 00:00:00+00 BC', amount = 'NaN', "
		"day = '5874897-12-31', span = '1 year -3 days 04:05:06.7' WHERE id = 200 + %u; "
		"INSERT INTO pairs SELECT 'n%u', i::text, i FROM generate_series(1, 30) i; "
		"INSERT INTO nothing VALUES (%u, NULL)",
		round, round, round % 7, round, round, round, round, round);
	source_run(&w->f, sql);
}

static void make_changes(struct world *w)
{
	for (unsigned round = 1; round <= 4; round++)
		change(w, round);
	catch_up(w);
	source_run(&w->f, "TRUNCATE nothing");
	source_run(&w->f, "ALTER TABLE pairs ADD COLUMN more text, ALTER v TYPE bigint");
	for (unsigned round = 5; round <= 8; round++)
		change(w, round);
	source_run(&w->f, "UPDATE pairs SET more = 'x' WHERE v % 3 = 0");
	catch_up(w);
}

static enum err record(struct world *w, const char *name, int64_t segment, struct window_info *out,
	struct error *e)
{
	const struct window_record_options o = {.windows = w->windows,
		.journal = w->journal,
		.name = name,
		.segment_size = segment};
	return window_record(&o, w->f.warehouse, &w->f.env, out, e);
}

static int setup(void **state)
{
	static struct world w;
	struct error e = {.kind = OK};
	struct replicate_init_report made = {.created = false};

	fixture_open(&w.f);
	fixture_empty(&w.f);
	snprintf(w.journal, sizeof w.journal, "%s/journal", w.f.dir);
	snprintf(w.windows, sizeof w.windows, "%s/windows", w.f.dir);
	snprintf(w.dir, sizeof w.dir, "%s/one", w.windows);
	snprintf(w.copy, sizeof w.copy, "%s/copy", w.windows);
	w.options = (struct replicate_options){.conninfo = pg_server_conninfo(w.f.server),
		.publication = PUBLICATION,
		.slot = "sluice",
		.tables = "public.*",
		.journal = w.journal,
		.segment_size = 1 << 16,
		.retention_us = INT64_C(3600000000),
		.batch_rows = 1000,
		.flush_interval_us = 10000,
		.fsync_interval_us = 1000};
	assert_ok(replicate_init(&w.options, w.f.warehouse, &w.f.env, &made, &e), &e);
	replicate_init_report_free(&made);
	catch_up(&w);
	make_changes(&w);
	assert_ok(record(&w, "one", 1 << 14, &w.info, &e), &e);
	assert_true(w.info.changes > 400);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	window_info_free(&w->info);
	fixture_close(&w->f);
	return 0;
}

/* ---- tampering ---- */

static void read_whole(const char *dir, const char *name, struct buf *out)
{
	struct error e = {.kind = OK};
	char path[512];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	buf_init(out, BUF_MAX_DEFAULT);
	assert_ok(file_read(path, out, &e), &e);
}

static void write_whole(const char *dir, const char *name, struct str bytes)
{
	char path[512];

	/* Nothing here has to last: no fsync. */
	snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	assert_int_equal(fwrite(bytes.p, 1, bytes.n, out), bytes.n);
	assert_int_equal(fclose(out), 0);
}

static enum err copy_name(void *arg, const char *name, struct error *e)
{
	const char *const *dirs = arg;
	char from[512], to[512];
	struct stat st;

	snprintf(from, sizeof from, "%s/%s", dirs[0], name);
	snprintf(to, sizeof to, "%s/%s", dirs[1], name);
	assert_int_equal(stat(from, &st), 0);
	if (S_ISDIR(st.st_mode)) {
		const char *below[] = {from, to};
		TRY(file_mkdirs(to, e));
		return file_list(from, copy_name, below, e);
	}
	struct buf b;
	read_whole(dirs[0], name, &b);
	write_whole(dirs[1], name, buf_str(&b));
	buf_free(&b);
	return OK;
}

/* w->copy becomes a copy of a window. */
static void copy_window(struct world *w, const char *dir)
{
	struct error e = {.kind = OK};
	const char *dirs[] = {dir, w->copy};

	assert_ok(file_remove_tree(w->copy, &e), &e);
	assert_ok(file_mkdirs(w->copy, &e), &e);
	assert_ok(file_list(dir, copy_name, dirs, &e), &e);
}

static enum err verify(struct world *w, const char *dir, struct error *e)
{
	struct window_info info;
	enum err rc = window_verify(dir, &w->f.env, &info, e);

	window_info_free(&info);
	return rc;
}

/* Makes the manifest fit the files again, as one would who wants to deceive. */
static void reseal(struct world *w, const char *dir)
{
	struct error e = {.kind = OK};
	struct window_info info;

	(void)w;
	assert_ok(window_read(dir, &info, &e), &e);
	for (size_t i = 0; i < info.nfiles; i++)
		assert_ok(window_file_sum(dir, &info.mem, &info.files[i], &e), &e);
	assert_ok(window_manifest_write(dir, &info, &e), &e);
	window_info_free(&info);
}

static void test_sound(void **state)
{
	struct world *w = *state;
	struct error e = {.kind = OK};
	struct window_info info;

	assert_ok(window_verify(w->dir, &w->f.env, &info, &e), &e);
	assert_int_equal(info.ntables, 3);
	assert_int_equal(info.changes, w->info.changes);
	assert_string_equal(info.sha256, w->info.sha256);
	assert_true(info.nfiles > 5);
	window_info_free(&info);
	copy_window(w, w->dir);
	assert_ok(verify(w, w->copy, &e), &e);
	reseal(w, w->copy);
	assert_ok(verify(w, w->copy, &e), &e);
}

static void test_flipped_byte(void **state)
{
	struct world *w = *state;
	char bytes[997];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)rnd_u64(&w->f.rnd);
	for (unsigned i = 0; i < 100; i++) {
		struct window_file f = {.path = STR("flip")};
		struct arena mem = {0};
		struct error e = {.kind = OK};
		uint8_t raw[4];
		size_t at = (size_t)rnd_below(&w->f.rnd, sizeof bytes);
		write_whole(w->f.dir, "flip", str_make(bytes, sizeof bytes));
		assert_ok(window_file_sum(w->f.dir, &mem, &f, &e), &e);
		assert_true(enc_unhex(f.blocks, raw));
		uint32_t was = (uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 |
			(uint32_t)raw[2] << 8 | raw[3];
		bytes[at] = (char)(bytes[at] ^ 1 << rnd_below(&w->f.rnd, 8));
		assert_int_equal(window_flipped_byte(bytes, sizeof bytes, was), at);
		arena_free(&mem);
	}
}

/* The file and byte of a position that counts through all files. */
static struct str choose_file(const struct window_info *info, size_t manifest, uint64_t *at)
{
	for (size_t i = 0; i < info->nfiles; i++) {
		if (*at < info->files[i].bytes)
			return info->files[i].path;
		*at -= info->files[i].bytes;
	}
	assert_true(*at < manifest);
	return STR(WINDOW_MANIFEST);
}

/* "damaged at byte N" of a file; of the manifest, the line's bytes hold N. */
static void assert_position(const char *text, const char *name, uint64_t at)
{
	char want[256];

	snprintf(want, sizeof want, "/%s: damaged at byte ", name);
	assert_has(text, want);
	if (strcmp(name, WINDOW_MANIFEST) == 0) {
		const char *range = strstr(text, "(bytes ");
		assert_non_null(range);
		char *end;
		uint64_t from = strtoull(range + 7, &end, 10);
		uint64_t to = strtoull(end + 4, NULL, 10);
		if (at < from || at > to)
			fail_msg("byte %llu is not in: %s", (unsigned long long)at, text);
		return;
	}
	snprintf(want, sizeof want, "damaged at byte %llu: one bit", (unsigned long long)at);
	assert_has(text, want);
}

static void test_every_flipped_bit_is_refused(void **state)
{
	struct world *w = *state;
	unsigned flips = getenv("SLUICE_LONG") != NULL ? 1000 : 300;
	struct buf manifest;

	copy_window(w, w->dir);
	read_whole(w->copy, WINDOW_MANIFEST, &manifest);
	for (unsigned i = 0; i < flips; i++) {
		struct error e = {.kind = OK};
		uint64_t at = rnd_below(&w->f.rnd, w->info.bytes + manifest.n);
		/* A third in the manifest, which is small. */
		if (i % 3 == 0)
			at = w->info.bytes + rnd_below(&w->f.rnd, manifest.n);
		const char *name = arena_cstr(&w->info.mem, choose_file(&w->info, manifest.n, &at));
		struct buf b;
		read_whole(w->copy, name, &b);
		char bit = (char)(1 << rnd_below(&w->f.rnd, 8));
		b.p[at] = (char)(b.p[at] ^ bit);
		write_whole(w->copy, name, buf_str(&b));
		assert_err(verify(w, w->copy, &e), ERR_CHECK, &e);
		assert_position(e.text, name, at);
		b.p[at] = (char)(b.p[at] ^ bit);
		write_whole(w->copy, name, buf_str(&b));
		buf_free(&b);
	}
	struct error e = {.kind = OK};
	assert_ok(verify(w, w->copy, &e), &e);
	buf_free(&manifest);
}

static void test_files_that_are_not_those(void **state)
{
	struct world *w = *state;
	struct error e = {.kind = OK};
	char path[512], other[512];

	for (size_t i = 0; i < w->info.nfiles; i++) {
		const char *name = arena_cstr(&w->info.mem, w->info.files[i].path);
		struct buf b;
		copy_window(w, w->dir);
		read_whole(w->copy, name, &b);
		b.n--;
		write_whole(w->copy, name, buf_str(&b));
		assert_err(verify(w, w->copy, &e), ERR_CHECK, &e);
		assert_has(e.text, name);
		b.n++;
		buf_puts(&b, "more");
		write_whole(w->copy, name, buf_str(&b));
		assert_err(verify(w, w->copy, &e), ERR_CHECK, &e);
		snprintf(other, sizeof other, "%s: damaged at byte %llu or after", name,
			(unsigned long long)w->info.files[i].bytes);
		assert_has(e.text, other);
		buf_free(&b);
		snprintf(path, sizeof path, "%s/%s", w->copy, name);
		assert_int_equal(unlink(path), 0);
		assert_err(verify(w, w->copy, &e), ERR_CHECK, &e);
		assert_has(e.text, name);
		assert_has(e.text, "missing");
	}
	copy_window(w, w->dir);
	write_whole(w->copy, "journal/0000000000000099.seg", STR("x"));
	assert_err(verify(w, w->copy, &e), ERR_CHECK, &e);
	assert_has(e.text, "journal/0000000000000099.seg");
	copy_window(w, w->dir);
	snprintf(path, sizeof path, "%s/" WINDOW_MANIFEST, w->copy);
	assert_int_equal(unlink(path), 0);
	assert_err(verify(w, w->copy, &e), ERR_CHECK, &e);
	assert_has(e.text, WINDOW_MANIFEST);
	snprintf(path, sizeof path, "%s/nobody", w->windows);
	assert_err(verify(w, path, &e), ERR_NOT_FOUND, &e);
}

/* ---- messages taken away, doubled, in another order ---- */

#define SEGMENT "journal/0000000000000001.seg"
#define MOST    4096

struct frames {
	struct buf bytes;
	size_t at[MOST + 1], n; /* where each begins, and the end */
};

static void frames_read(struct world *w, struct frames *f)
{
	read_whole(w->copy, SEGMENT, &f->bytes);
	size_t at = segment_head_length(f->bytes.p);
	for (f->n = 0; at < f->bytes.n; f->n++) {
		bool own;
		assert_true(f->n < MOST);
		f->at[f->n] = at;
		at += RECORD_HEAD + record_length(f->bytes.p + at, &own);
	}
	f->at[f->n] = at;
	assert_int_equal(at, f->bytes.n);
}

static struct str frame(const struct frames *f, size_t i)
{
	return (struct str){f->bytes.p + f->at[i], f->at[i + 1] - f->at[i]};
}

enum tampering { REMOVED, DOUBLED, SWAPPED, TAMPERINGS };

/* The frames with one of them tampered with. rechain: as one who writes the chain anew would. */
static void tamper(
	struct world *w, const struct frames *f, enum tampering how, size_t i, bool rechain)
{
	struct buf out;
	struct segment_head head;

	buf_init(&out, BUF_MAX_DEFAULT);
	buf_put(&out, (struct str){f->bytes.p, f->at[0]});
	assert_null(segment_head_read(buf_str(&out), &head));
	uint64_t chain = head.chain;
	for (size_t k = 0; k < f->n; k++) {
		size_t take[2] = {how == SWAPPED && k == i     ? i + 1
				: how == SWAPPED && k == i + 1 ? i
							       : k,
			k};
		size_t n = how == REMOVED && k == i ? 0 : how == DOUBLED && k == i ? 2 : 1;
		for (size_t t = 0; t < n; t++) {
			struct str one = frame(f, take[t]);
			size_t at = out.n;
			bool own;
			buf_put(&out, one);
			(void)record_length(out.p + at, &own);
			lsn start;
			memcpy(&start.v, out.p + at + 16, 8);
			if (rechain)
				record_head_write(out.p + at, &chain, own, start,
					str_make(out.p + at + RECORD_HEAD, one.n - RECORD_HEAD));
		}
	}
	write_whole(w->copy, SEGMENT, buf_str(&out));
	buf_free(&out);
}

static void test_frames_that_are_not_those(void **state)
{
	struct world *w = *state;
	struct error e = {.kind = OK};
	struct window_info info;
	struct frames f;
	char dir[192], want[64];

	assert_ok(record(w, "large", 1 << 30, &info, &e), &e);
	window_info_free(&info);
	snprintf(dir, sizeof dir, "%s/large", w->windows);
	copy_window(w, dir);
	frames_read(w, &f);
	assert_true(f.n > 400);
	for (unsigned i = 0; i < 60; i++) {
		enum tampering how = i % TAMPERINGS;
		size_t at = 5 + (size_t)rnd_below(&w->f.rnd, f.n - 8);
		if (how == SWAPPED && str_eq(frame(&f, at), frame(&f, at + 1)))
			continue;
		/* The file is not the one recorded... */
		copy_window(w, dir);
		tamper(w, &f, how, at, false);
		assert_err(verify(w, w->copy, &e), ERR_CHECK, &e);
		assert_has(e.text, SEGMENT ": damaged");
		/* ...and if it were, its chain is broken just there. */
		reseal(w, w->copy);
		assert_err(verify(w, w->copy, &e), ERR_CHECK, &e);
		assert_has(e.text, SEGMENT);
		snprintf(want, sizeof want, "damaged at byte %zu ",
			how == DOUBLED ? f.at[at + 1] : f.at[at]);
		assert_has(e.text, want);
		/* And if that were mended too, it is not the chain that was recorded. */
		tamper(w, &f, how, at, true);
		reseal(w, w->copy);
		assert_err(verify(w, w->copy, &e), ERR_CHECK, &e);
		assert_has(e.text, "journal");
	}
	/* Without its last messages it would only seem to end earlier. */
	copy_window(w, dir);
	write_whole(w->copy, SEGMENT, (struct str){f.bytes.p, f.at[f.n - 3]});
	reseal(w, w->copy);
	assert_err(verify(w, w->copy, &e), ERR_CHECK, &e);
	buf_free(&f.bytes);
}

/* Rows and totals that fit their checksums, but not each other. */
static void test_state_that_is_not_that(void **state)
{
	struct world *w = *state;
	struct error e = {.kind = OK};
	const char *name = arena_cstr(&w->info.mem, w->info.tables[0].file);
	struct window_info info;
	struct buf b;

	copy_window(w, w->dir);
	read_whole(w->copy, name, &b);
	b.p[b.n - 1] ^= 1;
	write_whole(w->copy, name, buf_str(&b));
	reseal(w, w->copy);
	assert_err(verify(w, w->copy, &e), ERR_CHECK, &e);
	assert_has(e.text, name);
	buf_free(&b);

	copy_window(w, w->dir);
	assert_ok(window_read(w->copy, &info, &e), &e);
	info.tables[0].end.rows++;
	assert_ok(window_manifest_write(w->copy, &info, &e), &e);
	window_info_free(&info);
	assert_err(verify(w, w->copy, &e), ERR_CHECK, &e);
	assert_has(e.text, WINDOW_MANIFEST);
}

/* ---- replaying ---- */

static enum err replay(struct world *w, const char *dir, int64_t threads, int64_t batch,
	struct window_replayed *out, struct error *e)
{
	const struct window_replay_options o = {.dir = dir,
		.threads = threads,
		.batch_rows = batch,
		.flush_interval_us = INT64_C(3600000000)};
	return window_replay(&o, &w->f.env, out, e);
}

static void test_one_digest(void **state)
{
	static const int64_t threads[] = {1, 2, 4}, batches[] = {1, 100, 10000};
	struct world *w = *state;
	struct error e = {.kind = OK};

	for (size_t t = 0; t < 3; t++)
		for (size_t b = 0; b < 3; b++) {
			struct window_replayed r;
			assert_ok(replay(w, w->dir, threads[t], batches[b], &r, &e), &e);
			assert_string_equal(r.digest, w->info.end_digest);
			assert_true(r.ok);
			assert_false(r.resumed);
			assert_false(file_exists(r.scratch));
			window_replayed_free(&r);
		}
}

/* Whatever fails, another try goes on from there to the same digest. */
static void test_failures_between(void **state)
{
	static const char *const places[] = {
		"window.load", "apply.before", "apply.after", "window.compared"};
	struct world *w = *state;
	unsigned failed = 0, resumed = 0;

	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		for (unsigned nth = 1; nth <= 11; nth += 5) {
			struct error e = {.kind = OK};
			struct window_replayed r;
			char spec[64];
			snprintf(spec, sizeof spec, "%s=error@%u", places[i], nth);
			assert_ok(failpoints_parse(&w->f.env.failpoints, str_of(spec), &e), &e);
			enum err rc = replay(w, w->dir, 1, 30, &r, &e);
			failpoints_free(w->f.env.failpoints);
			w->f.env.failpoints = NULL;
			if (rc != OK) {
				failed++;
				assert_int_equal(rc, ERR_UNAVAILABLE);
				assert_ok(replay(w, w->dir, 1, 50, &r, &e), &e);
				resumed += r.resumed;
			}
			assert_true(r.ok);
			assert_string_equal(r.digest, w->info.end_digest);
			window_replayed_free(&r);
		}
	assert_true(failed >= 6);
	assert_true(resumed >= 4);
}

/* Live, a hand changes a row: what was recorded then is not what the messages give. */
static void test_a_hand_on_the_warehouse(void **state)
{
	struct world *w = *state;
	struct error e = {.kind = OK};
	struct window_info info;
	struct window_replayed r;
	char dir[192];

	warehouse_run(&w->f, "UPDATE public.pairs SET v = v + 1 WHERE a = 'n8' AND b = '3'");
	assert_ok(record(w, "spoiled", 1 << 20, &info, &e), &e);
	window_info_free(&info);
	warehouse_run(&w->f, "UPDATE public.pairs SET v = v - 1 WHERE a = 'n8' AND b = '3'");
	snprintf(dir, sizeof dir, "%s/spoiled", w->windows);
	assert_ok(replay(w, dir, 1, 1000, &r, &e), &e);
	assert_false(r.ok);
	assert_string_not_equal(r.digest, r.window.end_digest);
	for (size_t i = 0; i < r.window.ntables; i++)
		assert_int_equal(strcmp(r.tables[i].digest, r.window.tables[i].end.digest) != 0,
			str_eqc(r.window.tables[i].name, "pairs"));
	window_replayed_free(&r);
}

static void test_wrong_use(void **state)
{
	struct world *w = *state;
	struct error e = {.kind = OK};
	struct window_info info;
	struct window_record_options o = {.windows = w->windows,
		.journal = w->journal,
		.name = "one",
		.segment_size = 1 << 20};

	assert_err(window_record(&o, w->f.warehouse, &w->f.env, &info, &e), ERR_CONFLICT, &e);
	o.name = "a/b";
	assert_err(window_record(&o, w->f.warehouse, &w->f.env, &info, &e), ERR_USAGE, &e);
	o.name = "two";
	o.from = (lsn){1};
	assert_err(window_record(&o, w->f.warehouse, &w->f.env, &info, &e), ERR_USAGE, &e);
	assert_has(e.text, "begins at");
	o.from = w->info.to;
	o.to = w->info.from;
	assert_err(window_record(&o, w->f.warehouse, &w->f.env, &info, &e), ERR_USAGE, &e);
	o.from = LSN_NONE;
	o.to = (lsn){UINT64_MAX / 2};
	assert_err(window_record(&o, w->f.warehouse, &w->f.env, &info, &e), ERR_USAGE, &e);
	/* A stretch in which nothing happened is one, too. */
	o.from = o.to = w->info.to;
	o.name = "empty";
	assert_ok(window_record(&o, w->f.warehouse, &w->f.env, &info, &e), &e);
	assert_int_equal(info.changes, 0);
	assert_string_equal(info.start_digest, info.end_digest);
	window_info_free(&info);
	char dir[192];
	struct window_replayed r;
	snprintf(dir, sizeof dir, "%s/empty", w->windows);
	assert_ok(replay(w, dir, 1, 100, &r, &e), &e);
	assert_true(r.ok);
	window_replayed_free(&r);
}

/* A table that was made anew within: its rows of before are not known, and that is said. */
static void test_table_made_anew(void **state)
{
	struct world *w = *state;
	struct error e = {.kind = OK};
	struct window_info info;
	struct replicate_init_report made = {.created = false};

	source_run(&w->f,
		"INSERT INTO nothing VALUES (77, 'old'); DROP TABLE nothing; "
		"CREATE TABLE nothing (id int PRIMARY KEY, v text); "
		"ALTER PUBLICATION " PUBLICATION " ADD TABLE nothing; "
		"INSERT INTO nothing VALUES (1, 'new')");
	assert_ok(replicate_init(&w->options, w->f.warehouse, &w->f.env, &made, &e), &e);
	replicate_init_report_free(&made);
	catch_up(w);
	assert_err(record(w, "anew", 1 << 20, &info, &e), ERR_USAGE, &e);
	assert_has(e.text, "public.nothing");
	assert_has(e.text, "made anew");
	/* From the position that is named it can be recorded. */
	struct window_record_options o = {.windows = w->windows,
		.journal = w->journal,
		.name = "anew",
		.segment_size = 1 << 20};
	const char *from = strstr(e.text, "--from ");
	assert_non_null(from);
	assert_true(lsn_parse(str_make(from + 7, strcspn(from + 7, ",")), &o.from));
	source_run(&w->f, "INSERT INTO nothing VALUES (2, 'newer')");
	catch_up(w);
	assert_ok(window_record(&o, w->f.warehouse, &w->f.env, &info, &e), &e);
	assert_int_equal(info.changes, 1);
	window_info_free(&info);
	char dir[192];
	struct window_replayed r;
	snprintf(dir, sizeof dir, "%s/anew", w->windows);
	assert_ok(replay(w, dir, 1, 100, &r, &e), &e);
	assert_true(r.ok);
	window_replayed_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_flipped_byte),
		cmocka_unit_test(test_every_flipped_bit_is_refused),
		cmocka_unit_test(test_files_that_are_not_those),
		cmocka_unit_test(test_frames_that_are_not_those),
		cmocka_unit_test(test_state_that_is_not_that),
		cmocka_unit_test(test_one_digest),
		cmocka_unit_test(test_failures_between),
		cmocka_unit_test(test_a_hand_on_the_warehouse),
		cmocka_unit_test(test_wrong_use),
		cmocka_unit_test(test_table_made_anew),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
