# Personal data: what the configuration names is written nowhere on this side, neither by the
# copy nor by the stream, and still both sides can be compared and mended.
. "$here/lib.sh"

start_pg logical_decoding_work_mem=64kB
printf 'a long random text that only this test knows\n' >"$T/hash.key"
write_conf '[replicate]
flush_interval = 20ms
hash_key_file = hash.key
[table public.people]
exclude = ssn
hash = email, "Passport No"
mask = phone:shape, note, card:"[withheld]"
[table public.orders]
hash = email
[table public.whole]
exclude = secret
mask = born'
sql <<'SQL'
CREATE TABLE people (id int PRIMARY KEY, ssn text, email text, "Passport No" bigint, phone text,
	note text, card char(20), city text);
CREATE TABLE orders (email text PRIMARY KEY, total numeric(10,2));
CREATE TABLE whole (name text, secret text, born date);
ALTER TABLE whole REPLICA IDENTITY FULL;
ALTER TABLE people ALTER COLUMN ssn SET STORAGE EXTERNAL;
INSERT INTO people SELECT i, 'PLANTED-ssn-' || i, 'PLANTED.' || i || '@example.org', 771100000 + i,
	'+49 (30) PLANTED-' || i, 'PLANTED-note', 'PLANTED-card', 'Kiel' FROM generate_series(1, 500) i;
INSERT INTO people VALUES (1000, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO orders SELECT 'PLANTED.' || i || '@example.org', i FROM generate_series(1, 50) i;
INSERT INTO whole SELECT 'same', 'PLANTED-' || i, date '1971-02-03' FROM generate_series(1, 5) i;
SQL
expect 0 "$SLUICE" init --json
expect 0 "$SLUICE" replicate --until caught-up
background up "$SLUICE" replicate --log-level debug

# The stream: every kind of change, one transaction large enough to be sent while it runs, a value
# that is not sent because it has not changed, and the old rows that REPLICA IDENTITY FULL sends.
sql <<'SQL'
UPDATE people SET email = 'PLANTED-new@example.org', ssn = repeat('PLANTED', 2000) WHERE id = 1;
UPDATE people SET city = 'Bonn' WHERE id = 1;
UPDATE people SET id = 2000, phone = '0800 PLANTED' WHERE id = 2;
DELETE FROM people WHERE id = 3;
INSERT INTO orders VALUES ('PLANTED-new@example.org', 7);
UPDATE orders SET email = 'PLANTED.other@example.org' WHERE total = 1;
DELETE FROM orders WHERE email = 'PLANTED.5@example.org';
DELETE FROM whole WHERE ctid = (SELECT ctid FROM whole LIMIT 1);
UPDATE whole SET name = 'another', secret = 'PLANTED' WHERE ctid = (SELECT ctid FROM whole LIMIT 1);
BEGIN;
INSERT INTO people SELECT i, 'PLANTED' || i, 'PLANTED' || i, i, 'PLANTED', 'PLANTED', 'PLANTED', 'Ulm'
	FROM generate_series(10001, 13000) i;
SAVEPOINT s;
INSERT INTO people SELECT i, 'PLANTED' || i, 'PLANTED' || i, i, 'PLANTED', 'PLANTED', 'PLANTED', 'Ulm'
	FROM generate_series(20001, 22000) i;
ROLLBACK TO s;
COMMIT;
SQL
expect 0 "$SLUICE" reconcile --json
json_is '.ok and ([.tables[].source_rows] | add) == 3554'
expect 0 "$SLUICE" query --json "SELECT count(*) AS n FROM public.people p JOIN public.orders o USING (email)"
json_is '.n == 48'
expect 0 "$SLUICE" query --json "SELECT phone, note, card, email, \"Passport No\" AS pass FROM public.people WHERE id = 2000"
json_is '.phone == "0000 XXXXXXX" and .note == "****" and .card == "[withheld]" and (.email | test("^[0-9a-f]{64}$"))'
want=$(printf %s 771100002 | openssl dgst -sha256 -hmac "$(cat "$T/hash.key")" | sed 's/.*= //')
json_is ".pass == \"$want\""
expect 0 "$SLUICE" query --json "SELECT count(*) AS n FROM public.people WHERE id = 1000 AND email IS NULL AND note IS NULL"
json_is '.n == 1'
expect 2 "$SLUICE" query "SELECT ssn FROM public.people"

# Nothing of it is on this side: in the warehouse, the journal, the spill, the logs, the status.
kill -TERM "$BG"
wait "$BG" 2>/dev/null
CHILDREN=
"$SLUICE" status >"$T/status.txt" 2>&1
mkdir "$T/open"
find "$T/journal" -name '*.zst' -exec sh -c 'zstd -qdc "$1" >"$2/$(basename "$1").plain"' _ {} "$T/open" \;
found=$(grep -rlaE 'PLANTED|7711000|1971-02-03' "$T" --exclude-dir=postgres --exclude=out --exclude=err \
	--exclude=hash.key || true)
[ -z "$found" ] || die "planted values in: $found"
[ -n "$(find "$T/journal" -type f)" ] || die 'no journal to look into'

# It is mended in the guarded form.
expect 0 "$(dirname "$PRIVATE_PG")/warehouse_sql" "$T/warehouse.duckdb" "UPDATE public.people SET email = 'x', phone = 'y' WHERE id = 7"
expect 3 "$SLUICE" reconcile --json
expect 0 "$SLUICE" repair --json
expect 0 "$SLUICE" reconcile --json
json_is .ok
grep -qa PLANTED "$T/warehouse.duckdb" && die 'repair has brought a planted value'

# A column that was renamed would cross under its new name: that stops it, with the remedy.
sql -c "ALTER TABLE people RENAME COLUMN email TO mail; UPDATE people SET mail = 'PLANTED-again' WHERE id = 9"
expect 2 "$SLUICE" replicate --until caught-up
err_has 'names the column email'
grep -raq PLANTED "$T/journal" && die 'a renamed column has crossed'
sed -i 's/^hash = email, /hash = email?, mail?, /' "$T/sluice.conf"
expect 0 "$SLUICE" replicate --until caught-up
expect 0 "$SLUICE" reconcile --table people --json
json_is .ok
grep -raqE PLANTED "$T/journal" "$T/warehouse.duckdb" && die 'a renamed column has crossed'

# What cannot be right is refused before anything is made.
bad() { # MESSAGE LINE
	write_conf "[replicate]
hash_key_file = hash.key
[table public.people]
$2"
	expect 2 "$SLUICE" init
	err_has "$1"
}
bad 'hash it' 'exclude = id'
bad 'hash it' 'mask = id'
bad 'names the column nowhere' 'mask = nowhere'
bad 'more than once' 'mask = note
hash = note'
bad 'write names of columns' 'mask = note:"open'
bad 'write names of columns' 'hash = a b'
write_conf '[table public.people]
hash = note'
expect 2 "$SLUICE" init
err_has 'hash_key'
