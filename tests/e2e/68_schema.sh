# Changes of tables, in order: after each, both sides are equal, and nothing is copied anew.
. "$here/lib.sh"

start_pg
write_conf '[replicate]
flush_interval = 20ms'
sql <<'SQL'
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE t (id int PRIMARY KEY, a int, b text, c varchar(10), d numeric(10,2), m mood, ts timestamptz);
CREATE TABLE other (id int PRIMARY KEY, v text);
CREATE TABLE spare (id int PRIMARY KEY, v int);
INSERT INTO t SELECT i, i, 'b' || i, 'c' || i, i / 100.0, 'ok', '2024-03-05 06:07:08+00' FROM generate_series(1, 500) i;
INSERT INTO other SELECT i, 'o' || i FROM generate_series(1, 20) i;
INSERT INTO spare SELECT i, i FROM generate_series(1, 20) i;
SQL
expect 0 "$SLUICE" init
expect 0 "$SLUICE" replicate --until caught-up
copied=$("$SLUICE" query --format csv "SELECT count(*) FROM public_history.t WHERE _op = 'r'" | tail -n 1)
background up "$SLUICE" replicate

# same [SQL]: runs it, then both sides are equal.
same() {
	[ -z "${1:-}" ] || sql -c "$1" || die "psql: $1"
	expect 0 "$SLUICE" reconcile --json
	json_is .ok
}
rows() { "$SLUICE" query --format csv "$1" | tail -n 1; }
is() { [ "$(rows "$1")" = "$2" ] || die "$1 gives $(rows "$1"), not $2"; }

# Added: without a default, with one value for all rows, with a value computed for each row.
same "ALTER TABLE t ADD COLUMN e int; UPDATE t SET e = 1 WHERE id < 10"
same "ALTER TABLE t ADD COLUMN f text DEFAULT 'it''s'; UPDATE t SET e = 2 WHERE id < 5"
is "SELECT count(*) FROM public.t WHERE f = 'it''s'" 500
same "ALTER TABLE t ADD COLUMN g uuid NOT NULL DEFAULT gen_random_uuid(), ADD COLUMN s serial; UPDATE t SET id = id + 10000 WHERE id = 3"
is "SELECT count(DISTINCT g) FROM public.t" 500
# Rows that change after the cut are asked of history: they have the values there as well.
same "UPDATE t SET a = a + 1"
# Several in a row, with rows between them in one transaction.
same "BEGIN; INSERT INTO t (id, a) VALUES (20001, 1); ALTER TABLE t ADD COLUMN h int DEFAULT 7; INSERT INTO t (id, a) VALUES (20002, 1); ALTER TABLE t DROP COLUMN h; ALTER TABLE t ADD COLUMN h text DEFAULT 'seven'; INSERT INTO t (id, a) VALUES (20003, 1); COMMIT"
is "SELECT count(*) FROM public.t WHERE h = 'seven'" 503

# Renamed: the data stays, in history too.
same "ALTER TABLE t RENAME COLUMN b TO bee; UPDATE t SET a = 0 WHERE id = 20"
is "SELECT bee FROM public_history.t WHERE id = 20 AND _op = 'r'" b20
same "ALTER TABLE t RENAME COLUMN bee TO b1; ALTER TABLE t RENAME COLUMN b1 TO b2; ALTER TABLE t RENAME COLUMN a TO aa; UPDATE t SET aa = 1 WHERE id = 21"
same "ALTER TABLE t RENAME COLUMN aa TO tmp; ALTER TABLE t RENAME COLUMN e TO aa; ALTER TABLE t RENAME COLUMN tmp TO e; UPDATE t SET aa = 9 WHERE id = 22"
same "BEGIN; INSERT INTO t (id, aa, e) VALUES (20011, 1, 2); ALTER TABLE t RENAME COLUMN b2 TO b3; INSERT INTO t (id, b3) VALUES (20012, 'x'); COMMIT"

# Dropped, and one of the same name added: what history had it keeps.
same "ALTER TABLE t DROP COLUMN c; UPDATE t SET aa = 3 WHERE id = 23"
is "SELECT c FROM public_history.t WHERE id = 23 AND _op = 'r'" c23
same "ALTER TABLE t ADD COLUMN c int DEFAULT 5; UPDATE t SET aa = 4 WHERE id = 24"
is "SELECT c__was_varchar FROM public_history.t WHERE id = 24 AND _op = 'r'" c24
same "ALTER TABLE t DROP COLUMN c, ADD COLUMN k text; ALTER TABLE t RENAME COLUMN k TO c; UPDATE t SET c = 'new' WHERE id = 25"

# Retyped: wider, narrower, and by an expression that only the source knows.
same "ALTER TABLE t ALTER COLUMN e TYPE bigint; UPDATE t SET e = 5000000000 WHERE id = 26"
same "ALTER TABLE t ALTER COLUMN d TYPE numeric(12,1); INSERT INTO t (id) VALUES (30001)"
same "ALTER TABLE t ALTER COLUMN b3 TYPE int USING length(b3) * 2; INSERT INTO t (id, b3) VALUES (30002, 8)"
same "ALTER TABLE t ALTER COLUMN ts TYPE date USING (ts AT TIME ZONE 'Pacific/Auckland')::date; INSERT INTO t (id) VALUES (30003)"
same "ALTER TABLE t ALTER COLUMN e TYPE text; INSERT INTO t (id, e) VALUES (30004, 'word')"

# Keys: dropped, added, another.
same "ALTER TABLE other DROP CONSTRAINT other_pkey; INSERT INTO other VALUES (1, 'twice')"
sql -c "ALTER TABLE other REPLICA IDENTITY FULL; DELETE FROM other WHERE v = 'twice'"
same "ALTER TABLE other ADD COLUMN w int NOT NULL DEFAULT 1; UPDATE other SET w = id"
same "ALTER TABLE other ADD PRIMARY KEY (w); ALTER TABLE other REPLICA IDENTITY DEFAULT; UPDATE other SET v = 'by w' WHERE w = 3; UPDATE other SET w = 100 WHERE w = 4"

# Enum: a value added.
sql -c "ALTER TYPE mood ADD VALUE 'glad'"
same "UPDATE t SET m = 'glad' WHERE id = 27"

# What brings no row with it is found in the catalog: a column, a name, a value of an enum.
told() { [ "$(rows "SELECT count(*) > 0 FROM ops.schema_changes WHERE change LIKE '%$1%'")" = t ]; }
sql -c "ALTER TABLE t ADD COLUMN quiet int DEFAULT 12"
until_ok told 'added quiet'
same
is "SELECT count(*) FROM public.t WHERE quiet = 12" "$(sql -c 'SELECT count(*) FROM t')"
sql -c "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'"
until_ok told 'renamed the value ok of m to fine'
same
same "UPDATE t SET m = 'fine' WHERE id = 30"

# Tables renamed, in a circle too, moved to another schema, dropped and made anew.
same "ALTER TABLE t RENAME TO u; UPDATE u SET m = 'sad' WHERE id = 28"
is "SELECT count(*) FROM public_history.u WHERE _op = 'r'" "$copied"
is "SELECT bool_or(table_name = 't') FROM information_schema.tables WHERE table_schema LIKE 'public%'" f
same "ALTER TABLE other RENAME TO spare2; ALTER TABLE spare RENAME TO other; ALTER TABLE spare2 RENAME TO spare; UPDATE spare SET v = 'was other'; UPDATE other SET v = 3"
same "CREATE SCHEMA \"second.one\"; ALTER TABLE u SET SCHEMA \"second.one\"; UPDATE \"second.one\".u SET m = 'fine'"
is 'SELECT count(*) FROM "second.one_history".u WHERE _op = '"'r'" "$copied"
sql -c "DROP TABLE spare; CREATE TABLE spare (name text PRIMARY KEY, z bool); ALTER PUBLICATION sluice ADD TABLE spare; INSERT INTO spare VALUES ('new', true)"
expect 0 "$SLUICE" init
settled() { "$SLUICE" reconcile --json | jq -e .ok; }
until_ok settled
is 'SELECT count(*) FROM public.spare' 1

# All of it is on record.
expect 0 "$SLUICE" status --json
json_is '.schema_changes | length >= 10'
json_is '.schema_changes[0] | has("table") and has("lsn") and has("at") and has("change")'
expect 0 "$SLUICE" status
grep -q 'renamed' "$T/out" || die 'the changes are not in the status'
for what in 'added g' 'renamed b to bee' 'dropped c' 'retyped e' 'no longer key v' 'table renamed from public.t'; do
	[ "$(rows "SELECT count(*) > 0 FROM ops.schema_changes WHERE change LIKE '%$what%'")" = t ] || die "no event: $what"
done
grep -q 'could not be applied' "$T/up.log" && die 'it has stalled on the way'
is "SELECT count(*) FROM \"second.one_history\".u WHERE _op = 'r'" "$copied"
