# Partitions that come with rows, go with them or are emptied alone, and tables that are out of the
# publication for a moment: nothing of it is in the stream, and no command mends it by hand.
. "$here/lib.sh"

start_pg
write_conf '[replicate]
flush_interval = 20ms
batch_rows = 500
snapshot_workers = 3'
sql <<'SQL'
CREATE TABLE part (id int, day int, v text, PRIMARY KEY (id, day)) PARTITION BY LIST (day);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2);
CREATE TABLE deep PARTITION OF part FOR VALUES IN (10, 11) PARTITION BY LIST (day);
CREATE TABLE deep_1 PARTITION OF deep FOR VALUES IN (10);
CREATE TABLE other (id int PRIMARY KEY, v int);
CREATE TABLE busy (id int PRIMARY KEY, v int);
CREATE TABLE lines (line text);
ALTER TABLE lines REPLICA IDENTITY FULL;
INSERT INTO part SELECT i, 1 + i % 2, 'v' || i FROM generate_series(1, 4000) i;
INSERT INTO part SELECT i, 10, 'deep' || i FROM generate_series(1, 500) i;
INSERT INTO other SELECT i, i FROM generate_series(1, 2000) i;
INSERT INTO busy VALUES (1, 0);
INSERT INTO lines SELECT 'line ' || i % 10 FROM generate_series(1, 3000) i;
SQL
expect 0 "$SLUICE" init
up() { background up env SLUICE_FAILPOINTS="${1:-}" "$SLUICE" replicate; }
down() {
	kill -TERM "$BG"
	wait "$BG" 2>/dev/null
}
answer() { "$SLUICE" query --format csv "$1" 2>/dev/null | tail -n 1; }
answers() { [ "$(answer "$1")" = "$2" ]; }
# How often such an event was recorded.
told() { answer "SELECT count(*) FROM ops.schema_changes WHERE change LIKE '%$1%'"; }
is_told() { [ "$(told "$1")" -ge "${2:-1}" ]; }
equal() { "$SLUICE" reconcile --json >"$T/out" 2>"$T/err" && json_is .ok; }
# The answer may say no while a copy is under way.
all_equal() { until_ok eval '(equal)'; }
rows() { sql -c "SELECT count(*) FROM ${2:-part}" >"$T/rows"; answers "SELECT count(*) FROM public.${2:-part}" "$(cat "$T/rows")"; }
level() { # EVENT [TIMES]: it was told, and the table is level
	until_ok is_told "$1" "${2:-1}"
	until_ok rows
	all_equal
}

up
until_ok rows
all_equal

# Attached with rows; detached with them; dropped; each alone, and readers see rows all the while.
sql -c "CREATE TABLE loose (LIKE part INCLUDING ALL); INSERT INTO loose SELECT i, 3, 'was there' FROM generate_series(1, 1500) i"
sql -c 'ALTER TABLE part ATTACH PARTITION loose FOR VALUES IN (3)'
level 'partition loose attached'
sql -c 'ALTER TABLE part DETACH PARTITION part_2'
level 'partition part_2 detached'
answers 'SELECT count(*) FROM public.part WHERE day = 2' 0 || die 'rows of a partition that is gone'
sql -c "INSERT INTO part_2 VALUES (-1, 2, 'while it was by itself'); DELETE FROM part_2 WHERE id > 0 AND id < 100"
sql -c 'ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES IN (2)'
level 'partition part_2 attached'
answers 'SELECT v FROM public.part WHERE id = -1' 'while it was by itself' || die 'a row of its time alone'
sql -c 'DROP TABLE deep_1'
level 'partition deep_1 detached or dropped'

# Made, filled and attached in one transaction; made as a partition, the stream brings its rows.
sql -c "BEGIN; CREATE TABLE at_once (LIKE part INCLUDING ALL); INSERT INTO at_once VALUES (1, 4, 'before'), (2, 4, 'before');
	ALTER TABLE part ATTACH PARTITION at_once FOR VALUES IN (4); INSERT INTO part VALUES (3, 4, 'after'); COMMIT"
level 'partition at_once attached'
answers 'SELECT count(*) FROM public.part WHERE day = 4' 3 || die 'attached in the transaction that makes it'
sql -c "CREATE TABLE made PARTITION OF part (v DEFAULT 'x') FOR VALUES IN (5); INSERT INTO part VALUES (1, 5, 'streamed')"
sql -c "BEGIN; CREATE TABLE made_too (LIKE part INCLUDING ALL); ALTER TABLE part ATTACH PARTITION made_too FOR VALUES IN (6); COMMIT"
level 'partition made_too attached'
[ "$(told 'partition made attached')" = 0 ] || die 'a partition that was made as one counts as attached'

# One below a partition that is partitioned itself.
sql -c "CREATE TABLE deep_2 (LIKE part INCLUDING ALL); INSERT INTO deep_2 SELECT i, 11, 'deep' FROM generate_series(1, 700) i"
sql -c 'ALTER TABLE deep ATTACH PARTITION deep_2 FOR VALUES IN (11)'
level 'partition deep_2 attached'

# Emptied alone. Emptied with the others it is in the stream, and copied once more at most.
sql -c 'TRUNCATE part_1'
level 'partition part_1 emptied'
answers 'SELECT count(*) FROM public.part WHERE day = 1' 0 || die 'a partition emptied alone has rows'
sql -c "TRUNCATE part; INSERT INTO part SELECT i, 1 + i % 6, 'anew' FROM generate_series(1, 3000) i"
until_ok rows
all_equal

# While it is held back: letting it go on copies it again, and does not build upon what it has.
expect 0 "$SLUICE" table pause public.part
sql -c "CREATE TABLE held (LIKE part INCLUDING ALL); INSERT INTO held SELECT i, 8, 'held' FROM generate_series(1, 100) i"
sql -c "ALTER TABLE part ATTACH PARTITION held FOR VALUES IN (8); UPDATE part SET v = 'held back' WHERE id % 7 = 0"
until_ok is_told 'partition held attached'
expect 0 "$SLUICE" table resume public.part
until_ok rows
all_equal

# While it is copied: other tables go on, and what comes and goes is in it.
down
up 'snapshot.read=sleep:300@1+'
expect 0 "$SLUICE" table resync public.part --no-wait
sql -c "ALTER TABLE part DETACH PARTITION loose; CREATE TABLE came (LIKE part INCLUDING ALL);
	INSERT INTO came SELECT i, 7, 'came' FROM generate_series(1, 300) i; ALTER TABLE part ATTACH PARTITION came FOR VALUES IN (7); TRUNCATE part_2"
sql -c 'UPDATE busy SET v = 1'
until_ok answers 'SELECT v FROM public.busy' 1
until_ok is_told 'partition came attached'
for i in 2 3 4; do
	sql -c "UPDATE busy SET v = $i"
	until_ok answers 'SELECT v FROM public.busy' $i
done
until_ok rows
down

# Taken out of the publication and put back between two looks; also while nothing runs.
up
until_ok rows
all_equal
sql -c 'ALTER PUBLICATION sluice DROP TABLE other; DELETE FROM other WHERE id <= 700; UPDATE other SET v = -v WHERE id > 1500'
sql -c 'ALTER PUBLICATION sluice ADD TABLE other'
until_ok is_told 'taken out of the publication and put back'
until_ok rows '' other
all_equal
down
sql -c 'ALTER PUBLICATION sluice DROP TABLE other; DELETE FROM other WHERE id <= 900'
sql -c 'ALTER PUBLICATION sluice ADD TABLE other'

# Killed when the wish is written down, and in the copy that follows.
sql -c 'TRUNCATE part_1'
for place in catalog.resync catalog.resync snapshot.begin snapshot.range snapshot.done; do
	code=0
	SLUICE_FAILPOINTS="$place=kill" timeout 60 "$SLUICE" replicate >"$T/killed" 2>&1 </dev/null 9>&- || code=$?
	[ "$code" = 137 ] || die "$place: exit $code: $(tail -n 2 "$T/killed")"
done
up
until_ok rows
until_ok rows '' other
all_equal
down

# A table without a key that changes while it is copied, also in its shape.
up 'snapshot.batch=sleep:500@1+'
expect 0 "$SLUICE" table resync public.lines --no-wait
sql -c "INSERT INTO lines SELECT 'meanwhile' FROM generate_series(1, 50); DELETE FROM lines WHERE ctid IN (SELECT ctid FROM lines WHERE line = 'line 3' LIMIT 20);
	UPDATE lines SET line = 'other' WHERE line = 'line 4'"
sql -c "ALTER TABLE lines ADD COLUMN more int DEFAULT 7; INSERT INTO lines SELECT 'wider', i FROM generate_series(1, 20) i"
until_ok rows '' lines
expect 0 "$SLUICE" table resync public.part --no-wait
sql -c "ALTER TABLE part ADD COLUMN more int DEFAULT 7; UPDATE part SET more = 8 WHERE id % 10 = 0; ALTER TABLE part DROP COLUMN v"
until_ok rows
all_equal
down

# What an UPDATE does not send while it is copied again is not taken from the row that stood there.
sql -c "ALTER TABLE other ADD COLUMN big text; ALTER TABLE other ALTER big SET STORAGE EXTERNAL; UPDATE other SET big = repeat('a' || id, 1500) WHERE id > 1700"
up
until_ok answers 'SELECT count(big) FROM public.other' 300
down
expect 0 "$SLUICE" table resync public.other --no-wait
sql -c "UPDATE other SET big = repeat('b' || id, 1500) WHERE id > 1800"
up 'snapshot.read=sleep:700@1+'
going() { grep -q 'copying a table.*other' "$T/up.log"; }
until_ok going
for i in $(seq 10); do
	sql -c "UPDATE other SET v = $i; SELECT pg_sleep(0.1)" >/dev/null
done
all_equal
answers "SELECT count(*) FROM public.other WHERE left(big, 1) = 'b'" 200 || die 'a value from before the copy'
down

# Dropped before it is copied, and while it is: the others go on.
sql -c 'CREATE TABLE never (id int PRIMARY KEY); INSERT INTO never SELECT generate_series(1, 100)'
sql -c 'CREATE TABLE half (id int PRIMARY KEY); INSERT INTO half SELECT generate_series(1, 60000)'
sql -c 'CREATE TABLE last (id int PRIMARY KEY); INSERT INTO last SELECT generate_series(1, 100)'
expect 0 "$SLUICE" init
sql -c 'DROP TABLE never'
up 'snapshot.read=sleep:200@1+'
copied() { grep -q 'copying a table.*half' "$T/up.log"; }
until_ok copied
sql -c 'DROP TABLE half'
until_ok answers 'SELECT count(*) FROM public.last' 100
sql -c 'CREATE TABLE half (id int PRIMARY KEY, another text)' -c "INSERT INTO half SELECT i, 'another' FROM generate_series(1, 50) i" \
	-c 'ALTER PUBLICATION sluice ADD TABLE half'
until_ok rows '' half
until_ok is_told 'dropped, or taken out of the publication'
all_equal
kill -0 "$BG" || die 'replication has ended'
down
grep -h '"level":"error"\|level=error' "$T"/up.log && die 'errors in the log'
exit 0
