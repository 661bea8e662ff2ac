# A window over changes of tables replays to the same rows: what live apply asked the source for
# (which column is which, defaults, rows read again, labels of enums) is kept and goes with it.
. "$here/lib.sh"

start_pg
write_conf '[replicate]
flush_interval = 20ms
segment_size = 256KB'
sql <<'SQL'
CREATE TYPE mood AS ENUM ('calm', 'tense');
CREATE TABLE guests (id int PRIMARY KEY, name text, age int, spent numeric(12,2), mood mood, gone text);
CREATE TABLE "Old.Name" (id int PRIMARY KEY, v text);
CREATE TABLE still (id int PRIMARY KEY, v text);
CREATE TABLE keyed (a int, b text, v text, PRIMARY KEY (a, b));
INSERT INTO keyed SELECT i, 'b' || i % 3, 'v' || i FROM generate_series(1, 60) i;
CREATE TABLE rekeyed (a int PRIMARY KEY, b int NOT NULL);
INSERT INTO rekeyed SELECT i, 1000 + i FROM generate_series(1, 20) i;
CREATE TABLE nothing (id int PRIMARY KEY, v text);
CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (1) TO (100);
INSERT INTO guests SELECT i, 'guest ' || i, i, i / 4.0, 'calm', 'gone ' || i FROM generate_series(1, 300) i;
INSERT INTO "Old.Name" SELECT i, 'v' || i FROM generate_series(1, 50) i;
INSERT INTO still SELECT i, 'w' || i FROM generate_series(1, 50) i;
SQL
expect 0 "$SLUICE" init
sql -c 'CREATE TABLE parted_2 (id int PRIMARY KEY, v text)'
expect 0 "$SLUICE" replicate --until caught-up --json
begin=$(json .lsn)

background replicate "$SLUICE" replicate
follower=$BG
changed_has() { "$SLUICE" query --format csv "SELECT count(*) FROM ops.schema_changes WHERE change LIKE '%$1%'" >"$T/seen" 2>&1 && [ "$(tail -n 1 "$T/seen")" -ge "${2:-1}" ]; }
answers_has() { "$SLUICE" query --format csv "SELECT count(*) FROM ops.schema_answers WHERE kind = '$1'" >"$T/seen" 2>&1 && [ "$(tail -n 1 "$T/seen")" -ge "${2:-1}" ]; }

# Each followed by a row, so that the stream tells of it.
sql -c "UPDATE guests SET gone = 'changed' WHERE id < 20" -c "INSERT INTO guests VALUES (1001, 'early', 1, 1, 'tense', 'x')"
sql -c 'ALTER TABLE guests RENAME name TO "full name"' -c 'UPDATE guests SET age = age + 1 WHERE id % 7 = 0'
until_ok changed_has 'renamed name'
sql -c "ALTER TABLE guests ADD city text DEFAULT 'Praha'" -c "INSERT INTO guests (id, age) VALUES (1002, 2)"
until_ok changed_has 'added city'
sql -c 'ALTER TABLE guests ADD tag uuid DEFAULT gen_random_uuid()' -c 'UPDATE guests SET age = age + 1 WHERE id % 11 = 0'
until_ok changed_has 'added tag'
until_ok answers_has refilled 1
sql -c "ALTER TABLE guests ALTER age TYPE text USING 'age ' || age" -c "INSERT INTO guests (id, age) VALUES (1003, 'three')"
until_ok changed_has 'retyped age'
until_ok answers_has refilled 2
sql -c 'ALTER TABLE guests DROP COLUMN gone' -c "ALTER TABLE guests ADD gone text DEFAULT 'again'" -c "INSERT INTO guests (id) VALUES (1004)"
until_ok changed_has 'gone'
sql -c "INSERT INTO \"Old.Name\" VALUES (60, 'old')" -c 'ALTER TABLE "Old.Name" RENAME TO "New.Name"' -c "INSERT INTO \"New.Name\" VALUES (61, 'new')"
until_ok changed_has 'table renamed'

# Columns of the key, one after the other, then each with the other's name.
sql -c "UPDATE keyed SET v = 'was a' WHERE a < 10" -c 'DELETE FROM keyed WHERE a = 11' -c 'ALTER TABLE keyed RENAME a TO "key a"' \
	-c "UPDATE keyed SET v = 'is key a' WHERE \"key a\" < 5" -c 'DELETE FROM keyed WHERE "key a" = 12'
until_ok changed_has 'renamed a'
sql -c "ALTER TABLE keyed RENAME b TO a" -c "INSERT INTO keyed VALUES (61, 'b61', 'v61')" -c "UPDATE keyed SET \"key a\" = 100 WHERE \"key a\" = 13"
until_ok changed_has 'renamed b'

# And without one: only the catalog tells.
sql -c "ALTER TYPE mood RENAME VALUE 'tense' TO 'taut'"
until_ok changed_has 'renamed the value'
sql -c "ALTER TABLE still ADD more int DEFAULT 7" -c 'ALTER TABLE still RENAME v TO "V"'
until_ok changed_has 'added more'
until_ok changed_has 'renamed v'
sql -c 'ALTER TABLE still RENAME TO stiller'
until_ok changed_has 'table renamed' 2
sql -c "UPDATE guests SET spent = spent + 1 WHERE id % 5 = 0"
kill "$follower"
wait "$follower" 2>/dev/null
expect 0 "$SLUICE" replicate --until caught-up --json
middle=$(json .lsn)
expect 0 "$SLUICE" reconcile

expect 0 "$SLUICE" window record --name all --json
expect 0 "$SLUICE" window record --name part --from "$begin" --json

# Changes after the end of a window, before it is recorded.
sql -c 'ALTER TABLE guests RENAME city TO town' -c "ALTER TABLE guests ADD late int DEFAULT 3" -c 'ALTER TABLE guests DROP COLUMN spent' \
	-c "INSERT INTO guests (id) VALUES (1005)"
expect 0 "$SLUICE" replicate --until caught-up
expect 0 "$SLUICE" window record --name earlier --from "$begin" --to "$middle" --json
expect 0 "$SLUICE" window record --name late --from "$middle" --json

for w in all part earlier late; do
	expect 0 "$SLUICE" window verify $w --json
	for batch in 1 50 10000; do
		expect 0 "$SLUICE" window replay $w --batch-rows $batch --json
		json_is '.ok and .digest == .expected_digest'
	done
done
# Rows that a copy has brought are in no message: such a stretch is refused, the next is not.
sql -c "INSERT INTO parted VALUES (1, 'a')" -c "INSERT INTO parted_2 VALUES (100, 'b'), (101, 'c')"
expect 0 "$SLUICE" replicate --until caught-up --json
before=$(json .lsn)
background again "$SLUICE" replicate
follower=$BG
sql -c 'ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES FROM (100) TO (200)'
there() { "$SLUICE" query --format csv 'SELECT count(*) FROM public.parted' >"$T/seen" 2>&1 && [ "$(tail -n 1 "$T/seen")" -eq 3 ]; }
until_ok there
sql -c "INSERT INTO parted VALUES (2, 'd'), (102, 'e')"
kill "$follower"
wait "$follower" 2>/dev/null
expect 0 "$SLUICE" replicate --until caught-up --json
after=$(json .lsn)
expect 2 "$SLUICE" window record --name copied --from "$before"
err_has 'public.parted'
err_has 'record with --from'
expect 0 "$SLUICE" window record --name after --from "$after"

# A key of other columns is no new name: refused until it has that key.
sql -c 'UPDATE rekeyed SET b = b + 1 WHERE a < 5' -c 'ALTER TABLE rekeyed DROP CONSTRAINT rekeyed_pkey' \
	-c 'ALTER TABLE rekeyed ADD PRIMARY KEY (b)' -c 'ALTER TABLE rekeyed RENAME a TO c' -c 'ALTER TABLE rekeyed RENAME b TO a' \
	-c 'DELETE FROM rekeyed WHERE c = 7'
expect 0 "$SLUICE" replicate --until caught-up
expect 2 "$SLUICE" window record --name rekeyed --from "$after"
err_has 'public.rekeyed'
expect 0 "$SLUICE" replicate --until caught-up --json

# A copy by hand within the stretch is found, also where it brought no row that stands there still.
sql -c "UPDATE keyed SET v = 'before' WHERE \"key a\" = 20" -c "INSERT INTO nothing VALUES (1, 'x')" -c 'DELETE FROM nothing'
expect 0 "$SLUICE" replicate --until caught-up --json
before=$(json .lsn)
expect 0 "$SLUICE" table resync public.keyed
sql -c "UPDATE keyed SET v = 'after' WHERE \"key a\" = 21"
expect 0 "$SLUICE" replicate --until caught-up --json
middle=$(json .lsn)
expect 2 "$SLUICE" window record --name resynced --from "$before"
err_has 'public.keyed was copied again'
# Before the copy there is no telling either: its rows went over those that stood there.
expect 2 "$SLUICE" window record --name resynced --from "$before" --to "$before"
err_has 'public.keyed was copied again'
expect 0 "$SLUICE" table resync public.nothing
sql -c "INSERT INTO nothing VALUES (2, 'y')"
expect 0 "$SLUICE" replicate --until caught-up
expect 2 "$SLUICE" window record --name resynced --from "$middle"
err_has 'public.nothing was copied again'
from=$(sed -n 's/.*record with --from \([0-9A-F/]*\), or later.*/\1/p' "$T/err")
sql -c "UPDATE nothing SET v = 'z'" -c 'DELETE FROM keyed WHERE "key a" < 30'
expect 0 "$SLUICE" replicate --until caught-up
expect 0 "$SLUICE" window record --name resynced --from "$from" --json
json_is '.changes > 10'
expect 0 "$SLUICE" window replay resynced --json
json_is '.ok and .digest == .expected_digest'

# The answers are part of what is checked.
[ -s windows/all/answers.jsonl ] || die 'no answers'
sed -i '1s/true/True/; 1s/false/False/' windows/all/answers.jsonl
expect 3 "$SLUICE" window verify all
err_has 'answers.jsonl'
