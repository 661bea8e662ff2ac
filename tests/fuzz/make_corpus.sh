#!/usr/bin/env bash
# Makes the corpora of fuzz_pgoutput and fuzz_copy from a real server: streamed transactions,
# aborted ones, two-phase commits, logical messages, TRUNCATE, keys that change, values that are
# not sent, and a value of every built-in type, as text and in binary. The columns are those of
# all_types.h, in that order. Run by hand when a type or a message is added.
#
# usage: make_corpus.sh BUILD-DIR
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "$1")
work=$(mktemp -d)
trap 'exec 9>&-; wait; rm -rf "$work"' EXIT

mkfifo "$work/stdin"
"$build/tests/e2e/private_pg" "$work/pg" logical_decoding_work_mem=64kB <"$work/stdin" >"$work/out" &
exec 9>"$work/stdin"
until [ -s "$work/out" ]; do sleep 0.1; done
PG=$(cat "$work/out")
sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$PG" "$@"; }

TYPES=(bool int2 int4 int8 oid float4 float8 numeric 'numeric(10,2)'
	text varchar 'char(5)' name '"char"' json jsonb bytea uuid xml
	date time timetz timestamp timestamptz interval
	money xid xid8 tid pg_lsn 'bit(3)' varbit
	inet cidr macaddr macaddr8 point box tsvector tsquery
	'int4[]' 'text[]' 'numeric[]' 'bool[]' 'bytea[]' 'timestamptz[]' 'jsonb[]' 'box[]' 'uuid[]'
	int4range numrange tstzrange int4multirange)
ONE=(t -5 77 9 3 1.5 -0.1 55.0663154460798130 1.25
	'héllot' 'a b' abc name x '{"a": 1, "a":2}' '{"a":[1,null]}' '\x00ff' f81d4fae-7dec-11d0-a765-00a0c91e6bf6 '<a/>'
	2024-02-29 24:00:00 '12:34:56.789+02' '4713-01-01 00:00:00 BC' infinity '1 year 2 mons -3 days 04:05:06.78'
	'-1234.11' 42 42 '(1,2)' 16/B374D848 101 10110
	192.168.0.1/24 10.0.0.0/8 08:00:2b:01:02:03 08:00:2b:01:02:03:04:05 '(1,2)' '((0,0),(1,1))' 'a:1 b:2' 'a & b'
	'[2:3]={1,NULL}' '{{a,"b \"c\"",NULL},{"","NULL",d}}' '{NaN,1.10,Infinity}' '{t,f}' '{"\\x00"}' '{infinity,"2024-01-01 00:00:00+00"}' '{"{\"a\": 1}"}' '{(1,1),(0,0);(2,2),(1,1)}' '{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}'
	'[1,5)' '(,1.5]' '["2024-01-01 00:00:00+00",infinity)' '{[1,3),[5,8)}')
TWO=(f 32767 -2147483648 9223372036854775807 4294967295 NaN 5e-324 NaN -99999999.99
	'' 'NULL' ' ' '' '' 'null' '1e400' '' 00000000-0000-0000-0000-000000000000 ''
	infinity 00:00:00.000249 '00:00:00-15:59' '294276-12-31 23:59:59.999999' '0001-01-01 00:00:00+00' '-178000000 years'
	'92233720368547758.07' 0 18446744073709551615 '(0,0)' 0/0 000 ''
	::1 ::/0 ff:ff:ff:ff:ff:ff ff:ff:ff:ff:ff:ff:ff:ff '(NaN,Infinity)' '((-1e300,0),(1,1))' '' ''
	'{}' '{}' '{}' '{NULL}' '{}' '{}' '{}' '{}' '{}' empty empty '(,)' '{}')

columns= one= two= binary=
for i in "${!TYPES[@]}"; do
	q=${ONE[$i]//\'/\'\'} r=${TWO[$i]//\'/\'\'}
	columns="$columns, c$i ${TYPES[$i]}"
	one="$one, '$q'" two="$two, '$r'"
done
sql -c "CREATE TABLE t (id int PRIMARY KEY$columns)" -c "CREATE TABLE full_row (id int, big text);
	ALTER TABLE full_row REPLICA IDENTITY FULL; ALTER TABLE full_row ALTER big SET STORAGE EXTERNAL;
	CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE moods (id int PRIMARY KEY, m mood);
	CREATE PUBLICATION p FOR ALL TABLES"

# Of a large transaction's rows one in ten is enough.
SMALL=true
# messages NAME VERSION OPTION...: what the slot gives, each with a length of two bytes before it.
messages() {
	local name=$1 version=$2
	shift 2
	sql -c "SELECT lpad(to_hex(length(data)), 4, '0') || encode(data, 'hex')
		FROM pg_logical_slot_get_binary_changes('$name', NULL, NULL, 'proto_version', '$version',
		'publication_names', 'p'$*) WHERE length(data) < 65536
		AND (get_byte(data, 0) <> ascii('I') OR hashtext(data::text) % 10 = 0 OR $SMALL)" | tr -d '\n' | xxd -r -p
}
slot() { sql -c "SELECT pg_create_logical_replication_slot('$1', 'pgoutput', false, ${2:-false})" >/dev/null; }
changes() {
	sql -c "BEGIN; INSERT INTO t VALUES (1$one), (2$two); INSERT INTO t (id) VALUES (3); UPDATE t SET id = 10 WHERE id = 1;
		UPDATE t SET c1 = 3 WHERE id = 2; DELETE FROM t WHERE id = 3; COMMIT" \
		-c "INSERT INTO full_row VALUES (1, repeat('x', 2100)); UPDATE full_row SET id = 2; DELETE FROM full_row" \
		-c "INSERT INTO moods VALUES (1, 'ok')" \
		-c "SELECT pg_logical_emit_message(true, 'sluice', 'said'), pg_logical_emit_message(false, 'sluice', '')" \
		-c "TRUNCATE t, full_row CASCADE" >/dev/null
}
large() { # in-progress, with a part and a whole that are aborted
	sql -c "BEGIN; SAVEPOINT a; INSERT INTO full_row SELECT i, repeat('y', 40) FROM generate_series(1, 500) i; ROLLBACK TO a;
		INSERT INTO full_row SELECT i, 'z' FROM generate_series(1, 900) i; SELECT pg_logical_emit_message(true, 'in', 'it');
		TRUNCATE moods; COMMIT" >/dev/null
}
corpus=$here/corpus/pgoutput
slot text
slot binary
changes
messages text 1 ", 'messages', 'true'" >"$corpus/text"
messages binary 2 ", 'binary', 'true', 'messages', 'true'" >"$corpus/binary"
SMALL=false
slot streamed
large
messages streamed 2 ", 'streaming', 'on', 'messages', 'true'" >"$corpus/streamed"
slot prepared true
sql -c "BEGIN; INSERT INTO moods VALUES (7, 'sad'); PREPARE TRANSACTION 'g1'" -c "COMMIT PREPARED 'g1'" \
	-c "BEGIN; INSERT INTO moods VALUES (8, 'sad'); PREPARE TRANSACTION 'g 2'" -c "ROLLBACK PREPARED 'g 2'" \
	-c "BEGIN; INSERT INTO full_row SELECT i, repeat('p', 40) FROM generate_series(1, 700) i; PREPARE TRANSACTION 'g3'" -c "COMMIT PREPARED 'g3'"
messages prepared 3 ", 'streaming', 'on', 'two_phase', 'on'" >"$corpus/prepared"

# COPY: two bytes for the pieces, then rows as the SELECT of sluice asks for them: a type whose
# binary form is not read comes as text.
changes
sql -c "INSERT INTO t VALUES (1$one), (2$two); INSERT INTO t (id) VALUES (3)"
for i in "${!TYPES[@]}"; do
	case ${TYPES[$i]} in
	bool | int2 | int4 | int8 | oid | float4 | float8 | numeric* | text | varchar | json | jsonb | bytea | uuid | date | time | timestamp | timestamptz | interval)
		binary="$binary, c$i" ;;
	*) binary="$binary, c$i::text" ;;
	esac
done
for row in 1 2 3; do
	{
		printf '\x07\x01'
		psql -X -q -d "$PG" -c "COPY (SELECT ${binary#, } FROM t WHERE id >= $row ORDER BY id) TO STDOUT (FORMAT binary)"
	} >"$here/corpus/copy/rows-$row"
done
ls -l "$corpus" "$here/corpus/copy"
