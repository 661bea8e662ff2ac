# Rows: what identifies them, values that are not sent, filters, column lists, partitions, names.
. "$here/lib.sh"

start_pg
write_conf '[source]
url = '"$PG"'
tables = public.*, "Other.Schema".*
[replicate]
flush_interval = 20ms'
sed -i '1,2d' "$T/sluice.conf"
long=$(printf 'n%.0s' $(seq 63))
sql <<SQL
CREATE TABLE by_key (id int PRIMARY KEY, big text, v int);
ALTER TABLE by_key ALTER COLUMN big SET STORAGE EXTERNAL;
CREATE TABLE by_index (a int NOT NULL, b text NOT NULL, v int);
CREATE UNIQUE INDEX by_index_ab ON by_index (a, b);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_ab;
CREATE TABLE by_row (a int, b text, big text);
ALTER TABLE by_row ALTER COLUMN big SET STORAGE EXTERNAL;
ALTER TABLE by_row REPLICA IDENTITY FULL;
CREATE TABLE full_key (id int PRIMARY KEY, big text, v int);
ALTER TABLE full_key ALTER COLUMN big SET STORAGE EXTERNAL;
ALTER TABLE full_key REPLICA IDENTITY FULL;
CREATE TABLE parent (id serial PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent);
CREATE TABLE computed (id int PRIMARY KEY, w int, area int GENERATED ALWAYS AS (w * w) STORED);
CREATE TABLE part (id int, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE SCHEMA "Other.Schema";
CREATE TABLE "Other.Schema"."Odd ""table"", with é.dot" ("The Key" int PRIMARY KEY, "a.b" text, "q""uote" text, "$long" text, "SELECT" int, "日本" text);
INSERT INTO by_key SELECT i, repeat('big' || i, 2000), i FROM generate_series(1, 50) i;
INSERT INTO by_index SELECT i, 'b' || i, i FROM generate_series(1, 50) i;
INSERT INTO by_row SELECT i % 3, 'same', repeat('r', 5000) FROM generate_series(1, 30) i;
INSERT INTO by_row VALUES (NULL, NULL, NULL), (NULL, NULL, NULL), (NULL, NULL, NULL);
INSERT INTO full_key SELECT i, repeat('big' || i, 2000), i FROM generate_series(1, 50) i;
INSERT INTO parent SELECT FROM generate_series(1, 5);
INSERT INTO child SELECT i, i FROM generate_series(1, 5) i;
INSERT INTO computed (id, w) VALUES (1, 2), (2, 3);
INSERT INTO part SELECT i, date '2024-01-01' + i, 'v' || i FROM generate_series(0, 50) i;
INSERT INTO "Other.Schema"."Odd ""table"", with é.dot" VALUES (1, 'a', 'q', 'l', 1, 'é🎉'), (2, NULL, '', 'l', 2, '本');
SQL
expect 0 "$SLUICE" init
expect 0 "$SLUICE" replicate --until caught-up
background up "$SLUICE" replicate

same() { # SQL [TABLE]
	sql -c "$1" >/dev/null || die "psql: $1"
	expect 0 "$SLUICE" reconcile --json
	json_is .ok
}
rows() { "$SLUICE" query --format csv "$1" | tail -n 1; }
is() { [ "$(rows "$1")" = "$2" ] || die "$1 gives $(rows "$1"), not $2"; }

# Values that are not sent, alone and with a key that changes, once and in a row.
same "UPDATE by_key SET v = 0 WHERE id < 10; UPDATE full_key SET v = 0 WHERE id < 10"
same "UPDATE by_key SET id = id + 1000 WHERE id < 5; UPDATE full_key SET id = id + 1000 WHERE id < 5"
same "BEGIN; UPDATE by_key SET id = id + 1000 WHERE id > 1000; UPDATE by_key SET id = id + 1000, v = 7 WHERE id > 2000; DELETE FROM by_key WHERE id = 3001; INSERT INTO by_key VALUES (3001, 'new', 1); COMMIT"
same "UPDATE by_index SET b = b || 'x', v = v + 1 WHERE a % 2 = 0; DELETE FROM by_index WHERE a % 5 = 0; UPDATE by_index SET a = -a WHERE a = 7"

# Equal rows: each deletion takes one of them, and none is lost.
is "SELECT count(*) FROM public.by_row" 33
same "DELETE FROM by_row WHERE ctid IN (SELECT ctid FROM by_row WHERE a = 1 LIMIT 3)"
is "SELECT count(*) FROM public.by_row WHERE a = 1" 7
same "UPDATE by_row SET b = 'other' WHERE ctid IN (SELECT ctid FROM by_row WHERE a = 2 LIMIT 4)"
same "UPDATE by_row SET b = b WHERE a = 2; DELETE FROM by_row WHERE ctid = (SELECT ctid FROM by_row WHERE a IS NULL LIMIT 1)"
same "BEGIN; INSERT INTO by_row VALUES (9, 'x', 'x'), (9, 'x', 'x'), (9, 'x', 'x'); DELETE FROM by_row WHERE ctid = (SELECT ctid FROM by_row WHERE a = 9 LIMIT 1); UPDATE by_row SET a = 10 WHERE ctid = (SELECT ctid FROM by_row WHERE a = 9 LIMIT 1); INSERT INTO by_row SELECT * FROM by_row; COMMIT"
is "SELECT (SELECT count(*) FROM public.by_row) = (SELECT count(*) FROM public_history.by_row_versions WHERE _valid_to = 'infinity')" t
before=$(rows "SELECT count(*) FROM public.by_row WHERE a = 10")
[ "$before" = 2 ] || die "$before rows"
same "BEGIN; DELETE FROM by_row WHERE a = 10; TRUNCATE by_row; INSERT INTO by_row VALUES (1, 'after', NULL), (1, 'after', NULL); COMMIT"
is "SELECT count(*) FROM public_history.by_row_versions WHERE _valid_to = 'infinity'" 2
# A change that comes while the sides are compared: history is counted, too.
for i in 1 2 3 4 5 6 7 8; do
	sql -c "INSERT INTO by_row SELECT $i, 'busy', NULL FROM generate_series(1, 200); DELETE FROM by_row WHERE ctid IN (SELECT ctid FROM by_row WHERE b = 'busy' LIMIT 90)" &
	expect 0 "$SLUICE" reconcile --table by_row --json
	json_is .ok
	wait $!
done

same "TRUNCATE parent RESTART IDENTITY CASCADE; INSERT INTO parent DEFAULT VALUES; INSERT INTO child VALUES (1, 1)"
is "SELECT count(*) FROM public.child" 1
is "SELECT count(*) FROM public_history.child WHERE _op = 'T'" 1
is "SELECT id FROM public.parent" 1
same "BEGIN; INSERT INTO parent VALUES (77); TRUNCATE parent CASCADE; INSERT INTO parent VALUES (78); COMMIT"

# A generated column is in neither: before PostgreSQL 18 it is not in the stream.
same "UPDATE computed SET w = 10 WHERE id = 1"
expect 2 "$SLUICE" query 'SELECT area FROM public.computed'

same "UPDATE \"Other.Schema\".\"Odd \"\"table\"\", with é.dot\" SET \"a.b\" = 'x', \"SELECT\" = 9 WHERE \"The Key\" = 1; DELETE FROM \"Other.Schema\".\"Odd \"\"table\"\", with é.dot\" WHERE \"The Key\" = 2"
is "SELECT count(*) FROM \"Other.Schema\".\"Odd \"\"table\"\", with é.dot\"" 1

# Partitions: rows that move between them, new ones.
same "UPDATE part SET day = day + 31 WHERE id = 3; INSERT INTO part VALUES (900, '2024-02-20', 'new'); DELETE FROM part WHERE id = 4"
same "CREATE TABLE part_3 PARTITION OF part FOR VALUES FROM ('2024-03-01') TO ('2024-04-01'); INSERT INTO part VALUES (901, '2024-03-05', 'in a new one')"
told() { [ "$(rows "SELECT count(*) > 0 FROM ops.schema_changes WHERE change LIKE '%$1%'")" = t ]; }
sql -c "CREATE TABLE loose (id int, day date, v text, PRIMARY KEY (id, day))"
sql -c "INSERT INTO loose VALUES (950, '2024-04-02', 'was there')"
sql -c "ALTER TABLE part ATTACH PARTITION loose FOR VALUES FROM ('2024-04-01') TO ('2024-05-01'); ALTER TABLE part DETACH PARTITION part_2"
until_ok told 'partition loose attached'
until_ok told 'partition part_2 detached'
expect 0 "$SLUICE" status
grep -q 'partition part_2 detached' "$T/out" || die 'not in the status'
equal() { expect 0 "$SLUICE" reconcile --json && json_is .ok; }
until_ok eval '(equal)'
sql -c "INSERT INTO loose VALUES (951, '2024-04-03', 'by itself'); DELETE FROM part WHERE day >= '2024-04-01'; ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')"
until_ok told 'partition part_2 attached'
until_ok eval '(equal)'


kill -TERM "$BG"
wait "$BG" 2>/dev/null
CHILDREN=

# A filter and a column list of the publication: copy, stream and comparison keep to them.
sql <<'SQL'
CREATE TABLE filtered (id int PRIMARY KEY, region text NOT NULL, secret text, v int);
ALTER TABLE filtered REPLICA IDENTITY FULL;
INSERT INTO filtered SELECT i, CASE WHEN i % 2 = 0 THEN 'eu' ELSE 'us' END, 'secret', i FROM generate_series(1, 100) i;
CREATE TABLE listed (id int PRIMARY KEY, secret text, v int);
INSERT INTO listed SELECT i, 'PLANTED', i FROM generate_series(1, 20) i;
ALTER PUBLICATION sluice ADD TABLE filtered WHERE (region = 'eu' AND v < 1000), TABLE listed (id, v);
SQL
expect 0 "$SLUICE" init
expect 0 "$SLUICE" replicate --until caught-up
expect 0 "$SLUICE" replicate --until caught-up
is "SELECT count(*) FROM public.filtered" 50
same "UPDATE filtered SET region = 'eu' WHERE id = 1; UPDATE filtered SET region = 'us' WHERE id = 2; UPDATE filtered SET v = 5 WHERE id IN (3, 4); UPDATE filtered SET v = 5000 WHERE id = 6; DELETE FROM filtered WHERE id IN (7, 8); UPDATE listed SET v = 0, secret = 'PLANTED'; INSERT INTO listed VALUES (99, 'PLANTED', 1)"
is "SELECT string_agg(_op, '' ORDER BY _lsn, _seq) FROM public_history.filtered WHERE id IN (1, 2) AND _op <> 'r'" ID
is "SELECT count(*) FROM information_schema.columns WHERE table_name = 'listed' AND column_name = 'secret'" 0
grep -raq PLANTED "$T/journal" "$T/warehouse.duckdb" && die 'a column that is not in the list has crossed'

# Without anything that tells rows apart, only when the configuration says that none will change.
sql -c "CREATE TABLE log_lines (line text); INSERT INTO log_lines VALUES ('a'), ('a'); CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING"
expect 2 "$SLUICE" init
err_has 'insert_only = true'
cat >>"$T/sluice.conf" <<'CONF'
[table public.log_lines]
insert_only = true
[table public.nothing]
insert_only = true
CONF
expect 0 "$SLUICE" init
grep -q 'public.nothing (insert-only)' "$T/out" || die 'init does not say that it is insert-only'
expect 0 "$SLUICE" replicate --until caught-up
expect 0 "$SLUICE" replicate --until caught-up
same "INSERT INTO log_lines VALUES ('a'), ('b'); INSERT INTO nothing VALUES (1), (2); TRUNCATE nothing; INSERT INTO nothing VALUES (3)"
is "SELECT count(*) FROM public.log_lines" 4
"$SLUICE" doctor >"$T/doctor" 2>&1
grep -q 'insert-only.*public.log_lines' "$T/doctor" || die 'doctor does not say that it is insert-only'
exit 0
