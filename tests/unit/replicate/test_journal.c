#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "crc32c.h"
#include "failpoint.h"
#include "file.h"
#include "journal.h"
#include "rnd.h"

struct ground {
	struct env env;
	struct rnd rnd;
	struct clock_manual clock;
	char dir[128], journal[160];
	struct journal_options o;
};

static int begin(void **state)
{
	static struct ground g;

	g = (struct ground){.env = {.rnd = &g.rnd}};
	rnd_seed(&g.rnd, 1);
	/* Files carry the system's time, so retention is counted from there. */
	clock_manual_init(&g.clock, clock_wall(clock_system()));
	g.env.clock = &g.clock.base;
	unit_tmpdir(g.dir, sizeof(g.dir));
	snprintf(g.journal, sizeof(g.journal), "%s/journal", g.dir);
	g.o = (struct journal_options){.dir = g.journal,
		.identity = {.system_id = 7001,
			.timeline = 1,
			.slot = "s",
			.publication = "p",
			.start = {1000}},
		.segment_size = 1 << 20,
		.retention_us = 0};
	*state = &g;
	return 0;
}

static int end(void **state)
{
	struct ground *g = *state;
	struct error e = {.kind = OK};

	failpoints_free(g->env.failpoints);
	assert_ok(file_remove_tree(g->dir, &e), &e);
	return 0;
}

static struct journal *open_ok(struct ground *g)
{
	struct error e = {.kind = OK};
	struct journal *j;

	assert_ok(journal_open(&j, &g->o, &g->env, &e), &e);
	return j;
}

/* ---- messages as PostgreSQL sends them ---- */

static void append(struct journal *j, lsn at, struct buf *b)
{
	struct error e = {.kind = OK};

	assert_ok(journal_append(j, at, buf_str(b), &e), &e);
	buf_free(b);
}

static void put_begin(struct journal *j, uint64_t commit, uint32_t xid)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_put_u8(&b, 'B');
	buf_put_be64(&b, commit);
	buf_put_be64(&b, 0);
	buf_put_be32(&b, xid);
	append(j, (lsn){commit - 10}, &b);
}

static void put_commit(struct journal *j, uint64_t commit)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_put_u8(&b, 'C');
	buf_put_u8(&b, 0);
	buf_put_be64(&b, commit);
	buf_put_be64(&b, commit + 5);
	buf_put_be64(&b, 0);
	append(j, (lsn){commit + 5}, &b);
}

static void put_relation(struct journal *j, uint32_t relid, uint64_t at)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_put_u8(&b, 'R');
	buf_put_be32(&b, relid);
	buf_put(&b, str_make("public\0t", 9));
	buf_put_u8(&b, 'd');
	buf_put_be16(&b, 0);
	append(j, (lsn){at}, &b);
}

static void put_insert(struct journal *j, uint32_t relid, uint64_t at, size_t size, char fill)
{
	struct buf b;

	buf_init(&b, 1 << 24);
	buf_put_u8(&b, 'I');
	buf_put_be32(&b, relid);
	for (size_t i = 0; i < size; i++)
		buf_putc(&b, fill);
	append(j, (lsn){at}, &b);
}

/* A transaction with one row, of commit record `commit`, ending at commit + 5. */
static void put_tx(struct journal *j, uint64_t commit, size_t size)
{
	put_begin(j, commit, (uint32_t)commit);
	put_insert(j, 42, commit - 5, size, (char)('a' + commit % 26));
	put_commit(j, commit);
}

static void sync_ok(struct journal *j)
{
	struct error e = {.kind = OK};

	assert_ok(journal_sync(j, &e), &e);
}

/* ---- reading it back ---- */

struct seen {
	size_t begins, commits, relations, inserts, positions;
	uint64_t last; /* commit of the last transaction that was whole */
	enum err rc;
	struct error e;
};

static void see(struct journal_reader *r, struct seen *s)
{
	struct journal_record rec;
	bool got = true;
	uint64_t commit = 0;

	while ((s->rc = journal_reader_next(r, &rec, &got, &s->e)) == OK && got) {
		char kind = rec.payload.p[0];
		if (rec.kind == JOURNAL_POSITION) {
			s->positions++;
			continue;
		}
		if (kind == 'B') {
			s->begins++;
			commit = 0;
			for (int i = 1; i <= 8; i++)
				commit = commit << 8 | (uint8_t)rec.payload.p[i];
		}
		if (kind == 'I') {
			/* Every byte is the one that was written. */
			for (size_t i = 5; i < rec.payload.n; i++)
				assert_int_equal(rec.payload.p[i], (char)('a' + commit % 26));
			s->inserts++;
		}
		s->relations += kind == 'R';
		s->commits += kind == 'C';
		if (kind == 'C')
			s->last = commit;
		journal_reader_release(r);
	}
}

static struct seen read_all(struct ground *g, struct journal *live, uint64_t from)
{
	struct seen s = {0};
	struct journal_reader *r = NULL;

	s.rc = journal_reader_open(&r, g->journal, live, (lsn){from}, &s.e);
	if (s.rc == OK)
		see(r, &s);
	journal_reader_close(r);
	return s;
}

/* ---- tests ---- */

static void test_crc32c_is_the_standard_one(void **state)
{
	(void)state;
	/* RFC 3720, B.4 */
	char zeros[32] = {0}, ones[32];
	memset(ones, 0xFF, sizeof(ones));
	assert_int_equal(crc32c(0, zeros, 32), 0x8A9136AA);
	assert_int_equal(crc32c(0, ones, 32), 0x62A8AB43);
	assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283);
	assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xE3069283);
	assert_int_equal(crc32c_portable(0, "123456789", 9), 0xE3069283);
	assert_int_equal(crc32c_portable(0, ones, 32), 0x62A8AB43);
}

static void test_reads_back_what_was_synced(void **state)
{
	struct ground *g = *state;
	struct error e = {.kind = OK};
	struct journal *j = open_ok(g);

	put_begin(j, 2000, 5);
	put_relation(j, 42, 1990);
	put_insert(j, 42, 1995, 100, (char)('a' + 2000 % 26));
	assert_true(journal_in_transaction(j));
	put_commit(j, 2000);
	assert_false(journal_in_transaction(j));
	assert_int_equal(journal_durable(j).v, 1000);
	assert_int_equal(journal_end(j).v, 2005);
	/* Nothing is shown, and nothing may be acknowledged, before it is synced. */
	assert_int_equal(read_all(g, j, 1000).begins, 0);
	sync_ok(j);
	assert_int_equal(journal_durable(j).v, 2005);
	struct seen s = read_all(g, j, 1000);
	assert_ok(s.rc, &s.e);
	assert_int_equal(s.begins + s.commits + s.relations + s.inserts, 4);
	/* An open transaction is neither durable nor shown. */
	put_begin(j, 3000, 6);
	put_insert(j, 42, 2990, 300000, (char)('a' + 3000 % 26));
	sync_ok(j);
	assert_int_equal(journal_durable(j).v, 2005);
	assert_int_equal(read_all(g, j, 1000).begins, 1);
	/* A new session takes it back, and sends it again. */
	assert_ok(journal_rewind(j, &e), &e);
	put_tx(j, 3000, 20);
	sync_ok(j);
	s = read_all(g, j, 1000);
	assert_ok(s.rc, &s.e);
	assert_int_equal(s.commits, 2);
	assert_int_equal(s.last, 3000);
	journal_close(j);
}

static void test_positions_move_only_between_transactions(void **state)
{
	struct ground *g = *state;
	struct error e = {.kind = OK};
	struct journal *j = open_ok(g);

	assert_ok(journal_position(j, (lsn){1500}, &e), &e);
	put_begin(j, 2000, 5);
	assert_ok(journal_position(j, (lsn){1800}, &e), &e);
	assert_int_equal(journal_end(j).v, 1500);
	put_commit(j, 2000);
	assert_ok(journal_position(j, (lsn){1900}, &e), &e);
	assert_int_equal(journal_end(j).v, 2005);
	assert_ok(journal_position(j, (lsn){2500}, &e), &e);
	sync_ok(j);
	assert_int_equal(journal_durable(j).v, 2500);
	struct seen s = read_all(g, j, 1000);
	assert_int_equal(s.positions, 2);
	assert_int_equal(read_all(g, j, 2005).positions, 1);
	journal_close(j);
	j = open_ok(g);
	assert_int_equal(journal_end(j).v, 2500);
	journal_close(j);
}

static void test_segments_roll_and_compress_and_keep_relations(void **state)
{
	struct ground *g = *state;
	char path[256];

	g->o.segment_size = 20000;
	struct journal *j = open_ok(g);
	put_begin(j, 2000, 5);
	put_relation(j, 42, 1990);
	put_commit(j, 2000);
	for (uint64_t i = 1; i <= 200; i++)
		put_tx(j, 2000 + 100 * i, 500);
	sync_ok(j);
	journal_settle(j);
	snprintf(path, sizeof(path), "%s/0000000000000001.seg.zst", g->journal);
	assert_true(file_exists(path));
	snprintf(path, sizeof(path), "%s/0000000000000001.seg", g->journal);
	assert_false(file_exists(path));
	/* Both ways of reading, from the beginning and from every place in between. */
	for (uint64_t i = 0; i <= 200; i += 7) {
		struct seen live = read_all(g, j, 2005 + 100 * i);
		assert_ok(live.rc, &live.e);
		assert_int_equal(live.inserts, 200 - i);
		assert_true(live.relations > 0); /* from the header at least */
		struct seen cold = read_all(g, NULL, 2005 + 100 * i);
		assert_ok(cold.rc, &cold.e);
		assert_int_equal(cold.inserts, 200 - i);
	}
	journal_close(j);
	j = open_ok(g);
	put_tx(j, 50000, 10);
	sync_ok(j);
	struct seen s = read_all(g, j, 1000);
	assert_ok(s.rc, &s.e);
	assert_int_equal(s.inserts, 201);
	journal_close(j);
}

static void test_retention_keeps_what_is_not_applied(void **state)
{
	struct ground *g = *state;
	struct error e = {.kind = OK};

	g->o.segment_size = 5000;
	g->o.retention_us = 60000000;
	struct journal *j = open_ok(g);
	for (uint64_t i = 1; i <= 60; i++)
		put_tx(j, 2000 + 100 * i, 500);
	sync_ok(j);
	journal_settle(j);
	uint64_t before = journal_bytes(j);
	assert_ok(journal_trim(j, (lsn){1 << 20}, &e), &e);
	assert_int_equal(journal_bytes(j), before);
	g->clock.now_us += 61000000;
	assert_ok(journal_trim(j, (lsn){5005}, &e), &e);
	assert_true(journal_bytes(j) < before);
	struct seen s = read_all(g, j, 5005);
	assert_ok(s.rc, &s.e);
	assert_int_equal(s.inserts, 30);
	s = read_all(g, j, 1000);
	assert_err(s.rc, ERR_CHECK, &s.e);
	assert_has(s.e.text, "it begins at");
	journal_close(j);
}

static void copy_file(const char *from, const char *to, size_t n)
{
	struct error e = {.kind = OK};
	struct buf b;

	buf_init(&b, 1 << 24);
	assert_ok(file_read(from, &b, &e), &e);
	b.n = n < b.n ? n : b.n;
	assert_ok(file_write_atomic(to, buf_str(&b), &e), &e);
	buf_free(&b);
}

/* A crash may leave any number of bytes of what was being written. */
static void test_torn_tail_at_every_byte(void **state)
{
	struct ground *g = *state;
	char path[256], whole[256];
	struct stat st;
	off_t two, three;

	snprintf(path, sizeof(path), "%s/0000000000000001.seg", g->journal);
	snprintf(whole, sizeof(whole), "%s/whole", g->dir);
	struct journal *j = open_ok(g);
	put_tx(j, 2000, 50);
	put_tx(j, 3000, 50);
	sync_ok(j);
	assert_int_equal(stat(path, &st), 0);
	two = st.st_size;
	put_tx(j, 4000, 50);
	sync_ok(j);
	journal_close(j);
	assert_int_equal(stat(path, &st), 0);
	three = st.st_size;
	copy_file(path, whole, SIZE_MAX);
	for (off_t n = two; n <= three; n++) {
		copy_file(whole, path, (size_t)n);
		j = open_ok(g);
		assert_int_equal(journal_end(j).v, n == three ? 4005 : 3005);
		/* It goes on as if the torn transaction had never been there. */
		put_tx(j, 5000, 10);
		sync_ok(j);
		struct seen s = read_all(g, j, 1000);
		assert_ok(s.rc, &s.e);
		assert_int_equal(s.commits, n == three ? 4 : 3);
		assert_int_equal(s.last, 5000);
		journal_close(j);
	}
}

static void flip(const char *path, off_t at, unsigned bit)
{
	int fd = open(path, O_RDWR);
	unsigned char c;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= (unsigned char)(1U << bit);
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

/* A sealed segment: no bit of it can change unseen. */
static void test_flipped_bit_in_a_sealed_segment(void **state)
{
	struct ground *g = *state;
	char path[256];
	struct stat st;

	g->o.segment_size = 4096;
	struct journal *j = open_ok(g);
	put_begin(j, 2000, 5);
	put_relation(j, 42, 1990);
	put_commit(j, 2000);
	for (uint64_t i = 1; i <= 9; i++)
		put_tx(j, 2000 + 100 * i, 600);
	sync_ok(j);
	journal_settle(j);
	snprintf(path, sizeof(path), "%s/0000000000000001.seg.zst", g->journal);
	assert_int_equal(stat(path, &st), 0);
	for (off_t at = 0; at < st.st_size; at++) {
		unsigned bit = (unsigned)rnd_below(&g->rnd, 8);
		flip(path, at, bit);
		struct seen s = read_all(g, NULL, 1000);
		if (s.rc == OK)
			/* Bits that zstd does not use change nothing. */
			assert_int_equal(s.inserts, 9);
		else {
			assert_int_equal(s.rc, ERR_CHECK);
			assert_has(s.e.text, "0000000000000001.seg");
			assert_has(s.e.text, "resynchronise");
		}
		flip(path, at, bit);
	}
	journal_close(j);
}

/* The uncompressed form, every bit of it: refused with the byte, or what is left is whole. */
static void test_flipped_bit_in_the_last_segment(void **state)
{
	struct ground *g = *state;
	char path[256];
	struct stat st;
	struct error e = {.kind = OK};

	snprintf(path, sizeof(path), "%s/0000000000000001.seg", g->journal);
	struct journal *j = open_ok(g);
	put_tx(j, 2000, 40);
	put_tx(j, 3000, 40);
	sync_ok(j);
	assert_int_equal(stat(path, &st), 0);
	/* The slot has been told 3005: whatever is damaged is missing. */
	g->o.confirmed = (lsn){3005};
	for (off_t at = 0; at < st.st_size; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			flip(path, at, bit);
			/* Live: this process has written and synced those bytes. */
			struct seen s = read_all(g, j, 1000);
			assert_err(s.rc, ERR_CHECK, &s.e);
			assert_has(s.e.text, "damaged at byte");
			flip(path, at, bit);
		}
	journal_close(j);
	for (off_t at = 0; at < st.st_size; at += 3) {
		struct journal *other = NULL;
		flip(path, at, 5);
		enum err rc = journal_open(&other, &g->o, &g->env, &e);
		assert_err(rc, ERR_CHECK, &e);
		assert_has(e.text, "damaged at byte");
		flip(path, at, 5);
	}
	j = open_ok(g);
	journal_close(j);
}

static void test_one_writer_and_the_right_source(void **state)
{
	struct ground *g = *state;
	struct error e = {.kind = OK};
	struct journal *j = open_ok(g), *other = NULL;

	put_tx(j, 2000, 10);
	sync_ok(j);
	assert_err(journal_open(&other, &g->o, &g->env, &e), ERR_CONFLICT, &e);
	assert_has(e.text, "another process");
	journal_close(j);
	struct journal_options o = g->o;
	o.identity.system_id = 8;
	assert_err(journal_open(&other, &o, &g->env, &e), ERR_CHECK, &e);
	o = g->o;
	o.identity.timeline = 2;
	assert_err(journal_open(&other, &o, &g->env, &e), ERR_CHECK, &e);
	o = g->o;
	o.confirmed = (lsn){2006};
	assert_err(journal_open(&other, &o, &g->env, &e), ERR_CHECK, &e);
	assert_has(e.text, "changes between the two are lost");
	assert_null(other);
}

static void test_failed_write_is_never_tried_again(void **state)
{
	static const char *const points[] = {
		"journal.append=enospc@4", "journal.fsync=eio@2", "journal.fsync=error@2"};
	struct ground *g = *state;

	for (size_t i = 0; i < 3; i++) {
		struct error e = {.kind = OK};
		enum err rc = OK;
		struct journal *j = open_ok(g);
		lsn before = journal_durable(j);
		uint64_t commit = before.v + 1000;
		/* Opening an old journal syncs it once. */
		failpoints_free(g->env.failpoints);
		assert_ok(failpoints_parse(&g->env.failpoints, str_of(points[i]), &e), &e);
		for (unsigned n = 0; rc == OK && n < 3; n++, commit += 1000) {
			char b[21] = {'B'}, c[26] = {'C'};
			for (int k = 0; k < 8; k++) {
				b[1 + k] = (char)(commit >> (56 - 8 * k));
				c[2 + k] = (char)(commit >> (56 - 8 * k));
				c[10 + k] = (char)((commit + 5) >> (56 - 8 * k));
			}
			rc = journal_append(j, (lsn){commit}, str_make(b, sizeof(b)), &e);
			if (rc == OK)
				rc = journal_append(j, (lsn){commit}, str_make(c, sizeof(c)), &e);
			if (rc == OK)
				rc = journal_sync(j, &e);
		}
		assert_err(rc, ERR_FAILED, &e);
		lsn durable = journal_durable(j);
		/* The failpoint has passed, but the journal does not trust its file any more. */
		assert_err(journal_sync(j, &e), ERR_FAILED, &e);
		assert_err(journal_rewind(j, &e), ERR_FAILED, &e);
		assert_err(journal_append(j, (lsn){commit}, STR("B12345678"), &e), ERR_FAILED, &e);
		assert_int_equal(journal_durable(j).v, durable.v);
		journal_close(j);
		failpoints_free(g->env.failpoints);
		g->env.failpoints = NULL;
		/* Nothing that was durable is gone. */
		j = open_ok(g);
		assert_true(journal_end(j).v >= durable.v);
		journal_close(j);
	}
}

/* Crash between the footer and the next segment, and between the two forms of one. */
static void test_crash_while_sealing(void **state)
{
	struct ground *g = *state;
	char raw[256], zst[256], old[256];

	g->o.segment_size = 4096;
	snprintf(raw, sizeof(raw), "%s/0000000000000001.seg", g->journal);
	snprintf(zst, sizeof(zst), "%s/0000000000000001.seg.zst", g->journal);
	snprintf(old, sizeof(old), "%s/0000000000000002.seg", g->journal);
	struct journal *j = open_ok(g);
	for (uint64_t i = 1; i <= 9; i++)
		put_tx(j, 2000 + 100 * i, 500);
	sync_ok(j);
	journal_settle(j);
	struct seen all = read_all(g, j, 1000);
	journal_close(j);
	assert_true(file_exists(zst));
	/* The second segment was never made. */
	struct seen first;
	assert_int_equal(rename(old, raw), 0); /* put away under a name that is looked at last */
	assert_int_equal(unlink(raw), 0);
	j = open_ok(g);
	first = read_all(g, j, 1000);
	assert_ok(first.rc, &first.e);
	assert_true(first.inserts > 0 && first.inserts < all.inserts);
	put_tx(j, 9000, 10);
	sync_ok(j);
	struct seen after = read_all(g, j, 1000);
	assert_ok(after.rc, &after.e);
	assert_int_equal(after.inserts, first.inserts + 1);
	journal_close(j);
}

static void test_missing_segment_is_named(void **state)
{
	struct ground *g = *state;
	struct error e = {.kind = OK};
	char path[256];

	g->o.segment_size = 4096;
	struct journal *j = open_ok(g);
	for (uint64_t i = 1; i <= 30; i++)
		put_tx(j, 2000 + 100 * i, 500);
	sync_ok(j);
	journal_settle(j);
	journal_close(j);
	snprintf(path, sizeof(path), "%s/0000000000000002.seg.zst", g->journal);
	assert_int_equal(unlink(path), 0);
	struct seen s = read_all(g, NULL, 1000);
	assert_err(s.rc, ERR_CHECK, &s.e);
	assert_has(s.e.text, "segment 0000000000000002 is missing");
	assert_err(journal_open(&j, &g->o, &g->env, &e), ERR_CHECK, &e);
}

/* Reading and listing while segments are sealed and compressed underneath. */
static void test_reads_while_it_is_written(void **state)
{
	struct ground *g = *state;
	struct error e = {.kind = OK};
	struct journal_reader *r = NULL;
	struct seen s = {0};

	g->o.segment_size = 4096;
	struct journal *j = open_ok(g);
	assert_ok(journal_reader_open(&r, g->journal, j, (lsn){1000}, &e), &e);
	for (uint64_t i = 1; i <= 400; i++) {
		put_tx(j, 2000 + 100 * i, 300);
		sync_ok(j);
		see(r, &s);
		assert_ok(s.rc, &s.e);
		assert_int_equal(s.commits, i);
		if (i % 3 == 0) {
			struct seen other = read_all(
				g, i % 2 == 0 ? j : NULL, 2005 + 100 * (i - 1));
			assert_ok(other.rc, &other.e);
			assert_int_equal(other.commits, 1);
		}
	}
	assert_false(journal_reader_wait(r, 1000));
	journal_reader_close(r);
	journal_close(j);
}

static void test_identity_survives(void **state)
{
	struct ground *g = *state;
	struct error e = {.kind = OK};
	struct journal_identity id;

	assert_err(journal_identity_read(g->journal, &id, &e), ERR_NOT_FOUND, &e);
	assert_ok(journal_identity_write(g->journal, &g->o.identity, &e), &e);
	assert_ok(journal_identity_read(g->journal, &id, &e), &e);
	assert_int_equal(id.system_id, 7001);
	assert_int_equal(id.start.v, 1000);
	assert_string_equal(id.slot, "s");
	assert_false(id.settled);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc32c_is_the_standard_one),
		TEST(test_reads_back_what_was_synced),
		TEST(test_positions_move_only_between_transactions),
		TEST(test_segments_roll_and_compress_and_keep_relations),
		TEST(test_retention_keeps_what_is_not_applied),
		TEST(test_torn_tail_at_every_byte),
		TEST(test_flipped_bit_in_a_sealed_segment),
		TEST(test_flipped_bit_in_the_last_segment),
		TEST(test_one_writer_and_the_right_source),
		TEST(test_failed_write_is_never_tried_again),
		TEST(test_crash_while_sealing),
		TEST(test_missing_segment_is_named),
		TEST(test_reads_while_it_is_written),
		TEST(test_identity_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
