#include "type_values.h"

#include <stddef.h>

const char internal_types[] =
	"'pg_node_tree', 'pg_ndistinct', 'pg_dependencies', 'pg_mcv_list', "
	"'pg_brin_bloom_summary', 'pg_brin_minmax_multi_summary', 'gtsvector'";

#define VOLATILE(head, body) "CREATE FUNCTION " head " LANGUAGE sql VOLATILE AS $$" body "$$;"

const char drawing_functions[] = VOLATILE("r(n bigint) RETURNS bigint",
	"SELECT floor(random() * n)::bigint") VOLATILE("pick(list text[]) RETURNS text",
	"SELECT list[1 + r(cardinality(list))]") VOLATILE("chance(share float8) RETURNS boolean",
	"SELECT random() < share") VOLATILE("bits() RETURNS bigint",
	"SELECT ((r(4294967296) - 2147483648) << 32) + r(4294967296)") VOLATILE("whole() RETURNS bigint",
	"SELECT bits() >> r(64)::integer") VOLATILE("digits(n bigint) RETURNS text",
	"SELECT coalesce(string_agg(r(10)::text, ''), '') FROM generate_series(1, n)") VOLATILE("words() RETURNS text",
	"SELECT coalesce(string_agg(pick(ARRAY['a', 'bc', 'NULL', 'null', '\"', '\\', '{', '}',"
	" ',', ';', ' ', E'\\t', E'\\n', E'\\r', E'\\x01', E'\\x7f', 'é', '🎉', '''', '=>',"
	" '(', ')', '[', ']', '\\N', '0', '-']), ''), '') FROM generate_series(1, r(8))") VOLATILE("fine() RETURNS float8",
	"SELECT CASE r(5) WHEN 0 THEN pick('{NaN,Infinity,-Infinity,-0,0,5e-324,1e23,"
	"9007199254740993,1.7976931348623157e308,2.2250738585072014e-308}')::float8"
	" WHEN 1 THEN (pick('{-,\"\"}') || digits(1 + r(17)) || 'e' || r(600) - 310)::float8"
	" WHEN 2 THEN round((random() * 1e6)::numeric, 2)::float8"
	" WHEN 3 THEN (digits(1 + r(3)) || 'e' || r(60) - 20)::float8 ELSE random() END")
	VOLATILE("plain() RETURNS float8", "SELECT (random() - 0.5) * 10 ^ r(9)") VOLATILE(
		"decimals(whole bigint, part bigint) RETURNS numeric",
		"SELECT (pick('{-,\"\"}') || '0' || digits(r(whole + 1)) || '.' || "
		"digits(r(part + 1)) || '0')::numeric") VOLATILE("moment() RETURNS timestamp",
		"SELECT CASE r(4) WHEN 0 THEN pick('{infinity,-infinity,4714-11-24 00:00:00 BC,"
		"294276-12-31 23:59:59.999999,0001-01-01 00:00:00,0001-12-31 23:59:59 BC,"
		"294247-01-10 04:00:54.775807,1970-01-01 00:00:00,9999-12-31 23:59:59.999999}')"
		"::timestamp WHEN 1 THEN timestamp '2000-01-01' + make_interval(secs => "
		"random() * 9.2e12 - 2.1e11) ELSE timestamp '2000-01-01' + make_interval(secs => "
		"random() * 2e9 - 1e9) END") VOLATILE("span() RETURNS interval",
		"SELECT make_interval(months => (bits() >> (32 + r(32)::integer))::integer, "
		"days => (bits() >> (32 + r(32)::integer))::integer, "
		"secs => (whole() % 1000000000000) / 1000000.0)") VOLATILE("hex(n integer) RETURNS text",
		"SELECT left(md5(random()::text) || md5(random()::text), n)") VOLATILE("address() RETURNS inet",
		"SELECT (CASE r(2) WHEN 0 THEN concat_ws('.', r(256), r(256), r(256), r(256)) || '/' ||"
		" r(33) ELSE pick('{::1,2001:db8::,::ffff:1.2.3.4,fe80::1:2}') || '/' || r(129) "
		"END)::inet") VOLATILE("document() RETURNS jsonb",
		"SELECT CASE r(4) WHEN 0 THEN to_jsonb(words()) WHEN 1 THEN to_jsonb(decimals(30, 30)) "
		"WHEN 2 THEN jsonb_build_array(whole(), NULL, words(), true, '{}'::jsonb) "
		"ELSE jsonb_build_object(words(), words(), 'n', whole(), 'deep', "
		"jsonb_build_array(jsonb_build_object(words(), decimals(5, 5)))) END")
		VOLATILE("lower_end(v text) RETURNS text",
			"SELECT pick('{[,(}') || CASE WHEN chance(0.8) THEN v ELSE '' END")
			VOLATILE("upper_end(v text) RETURNS text",
				"SELECT ',' || CASE WHEN chance(0.8) THEN v ELSE '' END || pick('{],)}')");

#define POINT  "point(plain(), plain())"
#define POINTS "'(' || plain() || ',' || plain() || '),(' || plain() || ',' || plain() || ')'"
/* A range's ends on either side of a middle. */
#define RANGE(below, above)                                                                        \
	"(CASE WHEN chance(0.1) THEN 'empty' ELSE lower_end((" below                               \
	")::text) || upper_end((" above ")::text) END)"
/* Two pieces with a gap. */
#define PIECES(a, b, c, d)                                                                         \
	"('{[' || " a " || ',' || " b " || '),[' || " c                                            \
	" || ',' || CASE WHEN chance(0.5) THEN (" d ")::text ELSE '' END || ')}')"
#define QUOTED(v) "'\"' || (" v ") || '\"'"
#define SNAPSHOT  "(r(9000000) || ':' || 9000010 || ':' || 9000001 || ',' || 9000003 + r(5))"

/* Kinds that stand in `lands` are a promise; docs/types.md makes it to users. */
const struct drawn_type drawn_types[] = {
	{"boolean", T_BOOL, "chance(0.5)", NULL},
	{"smallint", T_INT2, "r(65536) - 32768", NULL},
	{"integer", T_INT4, "bits() >> 32", NULL},
	{"bigint", T_INT8, "whole()", NULL},
	{"oid", T_UINT4, "r(4294967296)", NULL},
	{"xid", T_UINT4, "r(4294967296)::text", NULL},
	{"cid", T_UINT4, "r(4294967296)::text", NULL},
	{"xid8", T_DECIMAL,
		"trunc((r(4294967296)::numeric * 4294967296 + r(4294967296)) / 10 ^ r(20))::text",
		NULL},
	{"tid", T_TEXT, "'(' || r(4294967295) || ',' || r(65536) || ')'", NULL},
	{"real", T_FLOAT4,
		"CASE r(3) WHEN 0 THEN pick('{NaN,Infinity,-Infinity,-0,1e-45,3.4028235e38,"
		"1.17549435e-38,16777217,33554432}') WHEN 1 THEN pick('{-,\"\"}') || digits(1 + r(9)) "
		"|| 'e' || r(70) - 44 ELSE (random() * 1000)::text END",
		NULL},
	{"double precision", T_FLOAT8, "fine()", NULL},
	{"numeric", T_DECIMAL,
		"CASE WHEN chance(0.1) THEN pick('{NaN,Infinity,-Infinity,1e100,1e-100}')::numeric "
		"ELSE decimals(r(45), r(45)) END",
		NULL},
	{"numeric(12,3)", T_DECIMAL, "decimals(8, 5)", NULL},
	{"numeric(60,10)", T_DECIMAL, "decimals(48, 12)", NULL},
	{"numeric(6,-2)", T_DECIMAL, "decimals(7, 2)", NULL},
	{"money", T_DECIMAL, "whole()::numeric / 100", NULL},
	{"text", T_TEXT, "words()", NULL},
	{"character varying(20)", T_TEXT, "left(words(), 20)", NULL},
	{"character(7)", T_TEXT, "left(words(), 7)", NULL},
	{"\"char\"", T_TEXT, "CASE WHEN chance(0.9) THEN chr(1 + r(127)::integer) ELSE '' END",
		NULL},
	{"name", T_TEXT, "left(words(), 20)", NULL},
	{"bytea", T_BYTES, "decode(hex(2 * r(33)::integer), 'hex')", NULL},
	{"bit(5)", T_TEXT, "r(32)::integer", NULL},
	{"bit varying", T_TEXT, "left(bits()::bit(64)::text, r(65)::integer)", NULL},
	{"date", T_DATE,
		"CASE r(3) WHEN 0 THEN pick('{infinity,-infinity,4714-11-24 BC,5874897-12-31,"
		"0001-12-31 BC,10000-03-14}')::date ELSE date '2000-01-01' + (r(2147480000) / 10 ^ r(7) "
		"- 2451507)::integer END",
		NULL},
	{"time", T_TIME,
		"CASE WHEN chance(0.1) THEN '24:00:00' ELSE (interval '1 microsecond' * r(86400000000))"
		"::text END",
		NULL},
	{"time with time zone", T_TEXT,
		"(interval '1 microsecond' * r(86400000000))::text || "
		"pick('{+00,-15:59:59,+15:59:59,+05:30,-03}')",
		NULL},
	{"timestamp", T_TIMESTAMP, "moment()", NULL},
	{"timestamp with time zone", T_TIMESTAMPTZ, "moment() AT TIME ZONE 'UTC'", NULL},
	{"interval", T_INTERVAL, "span()", NULL},
	{"uuid", T_UUID, "hex(32)", NULL},
	{"json", T_JSON, "pick(ARRAY['', '  ']) || document()::text || pick(ARRAY['', E'\\n'])",
		NULL},
	{"jsonb", T_JSON, "document()", NULL},
	{"jsonpath", T_TEXT,
		"pick(ARRAY['$.a', 'strict $[*] ? (@.x > 1.50)', 'lax $.\"a b\"[1 to 2].keyvalue()'])",
		NULL},
	{"xml", T_TEXT,
		"xmlelement(name a, xmlattributes(r(9) AS b), replace(words(), chr(1), ''))", NULL},
	{"inet", T_TEXT, "address()", NULL},
	{"cidr", T_TEXT, "network(address())", NULL},
	{"macaddr", T_TEXT, "hex(12)", NULL},
	{"macaddr8", T_TEXT, "hex(16)", NULL},
	{"point", T_TEXT, POINT, NULL},
	{"line", T_TEXT, "line(" POINT ", " POINT ")", NULL},
	{"lseg", T_TEXT, "lseg(" POINT ", " POINT ")", NULL},
	{"box", T_TEXT, "box(" POINT ", " POINT ")", NULL},
	{"path", T_TEXT,
		"CASE WHEN chance(0.5) THEN '[' || " POINTS " || ']' ELSE '(' || " POINTS
		" || ')' END",
		NULL},
	{"polygon", T_TEXT, "'(' || " POINTS " || ')'", NULL},
	{"circle", T_TEXT, "circle(" POINT ", abs(plain()))", NULL},
	{"tsvector", T_TEXT,
		"CASE WHEN chance(0.5) THEN setweight(to_tsvector('simple', words()), 'A') ELSE array_to_tsvector(ARRAY['x' || words()]) END",
		NULL},
	{"tsquery", T_TEXT, "pick(ARRAY['a & !b', '''x y'':*AB | c', 'a <-> b <3> c', ''])", NULL},
	{"pg_lsn", T_TEXT, "to_hex(r(4294967296)) || '/' || to_hex(r(4294967296))", NULL},
	{"txid_snapshot", T_TEXT, SNAPSHOT, NULL},
	{"pg_snapshot", T_TEXT, SNAPSHOT, NULL},
	{"refcursor", T_TEXT, "words()", NULL},
	{"aclitem", T_TEXT, "pick('{postgres=r/postgres,=X/postgres,postgres=arwdDxt*/postgres}')",
		NULL},
	{"int2vector", T_TEXT, "pick('{1 2 3,\"\",-5}')", NULL},
	{"oidvector", T_TEXT, "pick('{1 2 3,\"\",4294967295}')", NULL},
	{"regproc", T_TEXT, "pick('{now,array_in,-,4294967295}')", NULL},
	{"regprocedure", T_TEXT, "pick('{lower(text),now(),\"int4pl(integer,integer)\",-}')", NULL},
	{"regoper", T_TEXT, "pick('{||/,|/,0}')", NULL},
	{"regoperator", T_TEXT, "pick('{\"+(integer,integer)\",\"||(text,text)\",0}')", NULL},
	{"regclass", T_TEXT,
		"CASE r(4) WHEN 0 THEN 'pg_class'::regclass WHEN 1 THEN 0::oid::regclass WHEN 2 THEN 4294967294::oid::regclass ELSE 'pg_catalog.pg_type'::regclass END",
		NULL},
	{"regtype", T_TEXT, "pick('{integer,text[],\"timestamp with time zone\",-}')", NULL},
	{"regconfig", T_TEXT, "pick('{english,simple}')", NULL},
	{"regdictionary", T_TEXT, "pick('{simple,english_stem}')", NULL},
	{"regnamespace", T_TEXT, "pick('{pg_catalog,public,-}')", NULL},
	{"regrole", T_TEXT, "pick('{postgres,pg_monitor,-}')", NULL},
	{"regcollation", T_TEXT, "pick(ARRAY['\"C\"', '\"POSIX\"', '-'])", NULL},
	{"int4range", T_TEXT, RANGE("r(1000) - 1000", "1 + r(1000)"), NULL},
	{"int8range", T_TEXT, RANGE("-1 - abs(whole() / 2)", "1 + abs(whole() / 2)"), NULL},
	{"numrange", T_TEXT, RANGE("-1 - abs(decimals(20, 20))", "abs(decimals(20, 20))"), NULL},
	{"daterange", T_TEXT,
		RANGE("date '2000-01-01' - r(9999)::integer",
			"date '2000-01-02' + r(9999)::integer"),
		NULL},
	{"tsrange", T_TEXT,
		RANGE(QUOTED("timestamp '2000-01-01' - random() * interval '900 years'"),
			QUOTED("timestamp '2000-01-02' + random() * interval '900 years'")),
		NULL},
	{"tstzrange", T_TEXT,
		RANGE(QUOTED("timestamptz '2000-01-01+00' - random() * interval '900 years'"),
			QUOTED("timestamptz '2000-01-02+00' + random() * interval '9000 years'")),
		NULL},
	{"int4multirange", T_TEXT, PIECES("r(9)", "10 + r(9)", "20 + r(9)", "30 + r(9)"), NULL},
	{"int8multirange", T_TEXT,
		PIECES("r(9)", "10 + r(9)", "20 + r(9)", "30 + abs(whole() / 2)"), NULL},
	{"nummultirange", T_TEXT,
		PIECES("random()", "10 + random()", "20.50 + r(9)", "30 + random()"), NULL},
	{"datemultirange", T_TEXT,
		PIECES("date '2000-01-01' + r(9)::integer", "date '2001-01-01' + r(9)::integer",
			"date '2002-01-01' + r(9)::integer", "date '2003-01-01'"),
		NULL},
	{"tsmultirange", T_TEXT,
		PIECES("'2000-01-01'",
			QUOTED("timestamp '2000-01-02' + random() * interval '1 year'"),
			"'2002-01-01'", "'infinity'"),
		NULL},
	{"tstzmultirange", T_TEXT,
		PIECES("'2000-01-01'",
			QUOTED("timestamptz '2000-01-02+00' + random() * interval '1 year'"),
			"'2002-01-01'", "'infinity'"),
		NULL},
	{"mood", T_TEXT, "pick('{sad,so so,\"o,k\",NULL}')", NULL},
	{"hstore", T_JSON,
		"hstore(ARRAY[words(), 'k' || words(), ''], ARRAY[words(), NULL, 'NULL'])",
		"hstore"},
	{"citext", T_TEXT, "words()", "citext"},
	{"cube", T_TEXT, "cube(ARRAY[plain(), plain()], ARRAY[plain(), plain()])", "cube"},
	{"ltree", T_TEXT, "pick('{a.b.c,\"\",Top.Science_1}')", "ltree"},
	{"lquery", T_TEXT, "pick(ARRAY['*.b.*', 'a{1}'])", "ltree"},
	{"ltxtquery", T_TEXT, "pick('{a & b*@}')", "ltree"},
	{"isbn13", T_TEXT, "pick('{978-0-393-04002-9,978-0-306-40615-7}')", "isn"},
	{"seg", T_TEXT, "pick('{1.50 .. 2,~3.0,< 5.00,7.2(+-)0.1}')", "seg"},
};

const size_t ndrawn_types = sizeof drawn_types / sizeof *drawn_types;
