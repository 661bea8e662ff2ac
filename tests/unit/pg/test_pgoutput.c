/* Messages made by hand after the documentation; damage in every place. */
#include "unit.h"

#include "buf.h"
#include "pgoutput.h"

#define AT      1700000000123456 /* microseconds since 1970 */
#define PG_AT   (AT - 946684800000000)
#define MAX_MSG 512

static struct buf message;

static struct str make(const char *kind)
{
	buf_free(&message);
	buf_init(&message, MAX_MSG);
	buf_puts(&message, kind);
	return buf_str(&message);
}

static void put_cstr(const char *text)
{
	buf_put(&message, str_make(text, strlen(text) + 1));
}

static void put_value(char kind, const char *text)
{
	buf_putc(&message, kind);
	if (text == NULL)
		return;
	buf_put_be32(&message, (uint32_t)strlen(text));
	buf_puts(&message, text);
}

static void decode(struct pgoutput *d, struct pgoutput_msg *m)
{
	struct error e = {.kind = OK};

	assert_true(buf_ok(&message));
	assert_ok(pgoutput_decode(d, buf_str(&message), m, &e), &e);
}

/* Every beginning of the message, and the message with a byte more, is refused. */
static void refuse_damage(bool in_stream)
{
	struct error e = {.kind = OK};
	struct pgoutput_msg m;
	char copy[MAX_MSG + 1];

	memcpy(copy, message.p, message.n);
	copy[message.n] = 0;
	for (size_t n = 0; n <= message.n + 1; n++) {
		if (n == message.n)
			continue;
		struct pgoutput *d = pgoutput_new();
		if (in_stream)
			assert_ok(pgoutput_decode(d, str_make("S\0\0\0\7\1", 6), &m, &e), &e);
		char *exact = malloc(n > 0 ? n : 1); /* its end is where the sanitizer looks */
		memcpy(exact, copy, n);
		assert_err(pgoutput_decode(d, str_make(exact, n), &m, &e), ERR_INPUT, &e);
		free(exact);
		pgoutput_free(d);
	}
}

static void put_relation(void)
{
	buf_put_be32(&message, 16384);
	put_cstr("public");
	put_cstr("a.b");
	buf_putc(&message, 'd');
	buf_put_be16(&message, 2);
	buf_put_u8(&message, 1);
	put_cstr("id");
	buf_put_be32(&message, 23);
	buf_put_be32(&message, UINT32_MAX);
	buf_put_u8(&message, 0);
	put_cstr("price");
	buf_put_be32(&message, 1700);
	buf_put_be32(&message, 655366);
}

static void check_relation(const struct pgoutput_msg *m)
{
	assert_int_equal(m->kind, PGO_RELATION);
	assert_int_equal(m->relation.relid, 16384);
	assert_str(m->relation.schema, "public");
	assert_str(m->relation.name, "a.b");
	assert_int_equal(m->relation.identity, IDENTITY_DEFAULT);
	assert_int_equal(m->relation.n, 2);
	assert_int_equal(m->relation.columns[0].flags, 1);
	assert_str(m->relation.columns[0].name, "id");
	assert_int_equal(m->relation.columns[0].modifier, -1);
	assert_int_equal(m->relation.columns[1].type, 1700);
	assert_int_equal(m->relation.columns[1].modifier, 655366);
}

static void put_update(void)
{
	buf_put_be32(&message, 16384);
	buf_puts(&message, "K");
	buf_put_be16(&message, 2);
	put_value('t', "1");
	put_value('n', NULL);
	buf_puts(&message, "N");
	buf_put_be16(&message, 3);
	put_value('t', "");
	put_value('u', NULL);
	put_value('b', "\1\2");
}

static void check_update(const struct pgoutput_msg *m)
{
	assert_int_equal(m->kind, PGO_UPDATE);
	assert_int_equal(m->relid, 16384);
	assert_int_equal(m->old_kind, 'K');
	assert_int_equal(m->old_row.n, 2);
	assert_str(m->old_row.values[0].bytes, "1");
	assert_int_equal(m->old_row.values[1].kind, PGV_NULL);
	assert_int_equal(m->new_row.n, 3);
	assert_int_equal(m->new_row.values[0].kind, PGV_TEXT);
	assert_int_equal(m->new_row.values[0].bytes.n, 0);
	assert_int_equal(m->new_row.values[1].kind, PGV_UNCHANGED);
	assert_str(m->new_row.values[2].bytes, "\1\2");
}

static void test_transaction(void **state)
{
	(void)state;
	struct pgoutput *d = pgoutput_new();
	struct pgoutput_msg m;

	make("B");
	buf_put_be64(&message, 0x16B374D848);
	buf_put_be64(&message, PG_AT);
	buf_put_be32(&message, 771);
	decode(d, &m);
	assert_int_equal(m.kind, PGO_BEGIN);
	assert_int_equal(m.commit.v, 0x16B374D848);
	assert_int_equal(m.committed_us, AT);
	assert_int_equal(m.xid, 771);
	refuse_damage(false);

	make("R");
	put_relation();
	decode(d, &m);
	check_relation(&m);
	refuse_damage(false);

	make("U");
	put_update();
	decode(d, &m);
	check_update(&m);
	refuse_damage(false);

	make("C");
	buf_put_u8(&message, 0);
	buf_put_be64(&message, 100);
	buf_put_be64(&message, 148);
	buf_put_be64(&message, PG_AT);
	decode(d, &m);
	assert_int_equal(m.kind, PGO_COMMIT);
	assert_int_equal(m.commit.v, 100);
	assert_int_equal(m.end.v, 148);
	assert_int_equal(m.committed_us, AT);
	refuse_damage(false);
	pgoutput_free(d);
}

static void test_other_changes(void **state)
{
	(void)state;
	struct pgoutput *d = pgoutput_new();
	struct pgoutput_msg m;

	make("I");
	buf_put_be32(&message, 5);
	buf_puts(&message, "N");
	buf_put_be16(&message, 1);
	put_value('t', "x");
	decode(d, &m);
	assert_int_equal(m.kind, PGO_INSERT);
	assert_str(m.new_row.values[0].bytes, "x");
	assert_int_equal(m.old_row.n, 0);
	refuse_damage(false);

	make("D");
	buf_put_be32(&message, 5);
	buf_puts(&message, "O");
	buf_put_be16(&message, 1);
	put_value('t', "gone");
	decode(d, &m);
	assert_int_equal(m.old_kind, 'O');
	assert_str(m.old_row.values[0].bytes, "gone");
	refuse_damage(false);

	make("T");
	buf_put_be32(&message, 2);
	buf_put_u8(&message, 3);
	buf_put_be32(&message, 10);
	buf_put_be32(&message, 11);
	decode(d, &m);
	assert_int_equal(m.nrelids, 2);
	assert_int_equal(m.relids[1], 11);
	assert_int_equal(m.truncate_flags, 3);
	refuse_damage(false);

	make("M");
	buf_put_u8(&message, 1);
	buf_put_be64(&message, 77);
	put_cstr("sluice");
	buf_put_be32(&message, 4);
	buf_puts(&message, "beat");
	decode(d, &m);
	assert_true(m.transactional);
	assert_str(m.prefix, "sluice");
	assert_str(m.content, "beat");
	refuse_damage(false);

	make("Y");
	buf_put_be32(&message, 16999);
	put_cstr("public");
	put_cstr("mood");
	decode(d, &m);
	refuse_damage(false);

	make("O");
	buf_put_be64(&message, 9);
	put_cstr("upstream");
	decode(d, &m);
	assert_str(m.prefix, "upstream");
	refuse_damage(false);
	pgoutput_free(d);
}

/* In a streamed block each change begins with its transaction; outside it does not. */
static void test_streamed_blocks(void **state)
{
	(void)state;
	struct pgoutput *d = pgoutput_new();
	struct error e = {.kind = OK};
	struct pgoutput_msg m;

	assert_err(pgoutput_decode(d, STR("E"), &m, &e), ERR_INPUT, &e);
	make("S");
	buf_put_be32(&message, 900);
	buf_put_u8(&message, 1);
	decode(d, &m);
	assert_int_equal(m.xid, 900);
	assert_true(m.first_segment);
	refuse_damage(false);

	make("R");
	buf_put_be32(&message, 901);
	put_relation();
	decode(d, &m);
	assert_int_equal(m.xid, 901);
	check_relation(&m);
	refuse_damage(true);

	make("U");
	buf_put_be32(&message, 902);
	put_update();
	decode(d, &m);
	assert_int_equal(m.xid, 902);
	check_update(&m);
	refuse_damage(true);

	make("E");
	decode(d, &m);
	make("U");
	put_update();
	decode(d, &m);
	assert_int_equal(m.xid, 0);
	check_update(&m);

	make("c");
	buf_put_be32(&message, 900);
	buf_put_u8(&message, 0);
	buf_put_be64(&message, 100);
	buf_put_be64(&message, 148);
	buf_put_be64(&message, PG_AT);
	decode(d, &m);
	assert_int_equal(m.xid, 900);
	assert_int_equal(m.end.v, 148);
	refuse_damage(false);

	make("A");
	buf_put_be32(&message, 900);
	buf_put_be32(&message, 903);
	decode(d, &m);
	assert_int_equal(m.subxid, 903);
	buf_put_be64(&message, 200); /* protocol 4 */
	buf_put_be64(&message, PG_AT);
	decode(d, &m);
	assert_int_equal(m.commit.v, 200);
	assert_int_equal(m.committed_us, AT);
	pgoutput_free(d);
}

static void test_two_phase(void **state)
{
	(void)state;
	static const char kinds[] = "bPKrp";
	struct pgoutput *d = pgoutput_new();
	struct pgoutput_msg m;

	for (size_t i = 0; kinds[i] != '\0'; i++) {
		char kind[2] = {kinds[i], '\0'};
		make(kind);
		if (kinds[i] != 'b')
			buf_put_u8(&message, 0);
		buf_put_be64(&message, 300);
		buf_put_be64(&message, 350);
		if (kinds[i] == 'r')
			buf_put_be64(&message, 0); /* when it was prepared */
		buf_put_be64(&message, PG_AT);
		buf_put_be32(&message, 1234);
		put_cstr("gid 'one'");
		decode(d, &m);
		assert_int_equal(m.kind, kinds[i]);
		assert_int_equal(m.commit.v, 300);
		assert_int_equal(m.end.v, 350);
		assert_int_equal(m.committed_us, AT);
		assert_int_equal(m.xid, 1234);
		assert_str(m.gid, "gid 'one'");
		refuse_damage(false);
	}
	pgoutput_free(d);
}

static void test_lies_about_sizes(void **state)
{
	(void)state;
	static const struct str lies[] = {
		{"", 0}, {"Z", 1}, {"I\0\0\0\5N\xff\xff", 8}, /* 65,535 values in no bytes */
		{"I\0\0\0\5N\0\1t\xff\xff\xff\xff", 13},      /* a value of -1 bytes */
		{"I\0\0\0\5N\0\1t\x7f\xff\xff\xff", 13},      /* of 2 GB */
		{"I\0\0\0\5N\0\1q", 9},                       /* no such kind of value */
		{"T\xff\xff\xff\xff\0", 6},                   /* 4 billion tables */
		{"D\0\0\0\5N\0\0", 8},                        /* a delete with a new row */
		{"R\0\0\0\5a\0b\0x\0\0", 12},                 /* no such replica identity */
		{"R\0\0\0\5a\0b\0d\xff\xff", 12},             /* 65,535 columns in no bytes */
		{"C\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 26}, /* flags */
	};
	struct pgoutput *d = pgoutput_new();
	struct error e = {.kind = OK};
	struct pgoutput_msg m;

	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
		assert_err(pgoutput_decode(d, lies[i], &m, &e), ERR_INPUT, &e);
	pgoutput_free(d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transaction),
		cmocka_unit_test(test_other_changes),
		cmocka_unit_test(test_streamed_blocks),
		cmocka_unit_test(test_two_phase),
		cmocka_unit_test(test_lies_about_sizes),
	};

	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	buf_free(&message);
	return failed;
}
