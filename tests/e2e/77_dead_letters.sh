# Rows that the warehouse refuses are kept with their reason, the stream flows on, status shows it,
# and a retry brings them in.
. "$here/lib.sh"
WAREHOUSE_SQL=$(dirname "$SLUICE")/tests/e2e/warehouse_sql

start_pg
write_conf
sql <<'SQL'
CREATE TABLE t (id int PRIMARY KEY, v text, n int);
CREATE TABLE other (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'v' || i, i FROM generate_series(1, 100) i;
SQL
expect 0 "$SLUICE" init
expect 0 "$SLUICE" replicate --until caught-up --json
expect 0 "$SLUICE" status --json
json_is '.dead_letters.waiting == 0'

# Somebody puts a constraint on the current table by hand.
expect 0 "$WAREHOUSE_SQL" warehouse.duckdb 'ALTER TABLE public.t ALTER v SET NOT NULL'
sql <<'SQL'
BEGIN;
INSERT INTO t SELECT i, CASE WHEN i % 50 <> 0 THEN 'w' || i END, i FROM generate_series(101, 1000) i;
INSERT INTO other SELECT i, 'o' FROM generate_series(1, 20) i;
COMMIT;
UPDATE t SET v = NULL WHERE id = 7;
SQL
expect 0 "$SLUICE" replicate --until caught-up --json
expect 0 "$SLUICE" query "SELECT count(*) AS n FROM public.t" --json
json_is '.n == 982'
expect 0 "$SLUICE" query "SELECT count(*) AS n FROM public.other" --json
json_is '.n == 20'
expect 0 "$SLUICE" query "SELECT v FROM public.t WHERE id = 7" --json
json_is '.v == "v7"'
expect 0 "$SLUICE" status --json
json_is '.dead_letters.waiting == 19 and .dead_letters.table == "public.t" and (.dead_letters.reason | test("NOT NULL"))'
expect 0 "$SLUICE" status
grep -q 'dead_letters *19 wait' "$T/out" || die "status does not show them: $(cat "$T/out")"
expect 0 "$SLUICE" query "SELECT row_key, row_json, lsn, seq, op FROM ops.dead_letters WHERE row_key LIKE '%\"150\"%'" --json
json_is '(.row_key | fromjson) == {"id":"150"} and (.row_json | fromjson) == {"id":"150","v":null,"n":"150"} and .op == "I"'

# What is different is what is said to be: the reconciliation finds those and no others.
expect 3 "$SLUICE" reconcile --json
json_is '[.tables[] | .missing + .different + .extra] | add == 19'

# While the cause stands a retry changes nothing; newer state of a key is never overwritten.
expect 0 "$SLUICE" table retry public.t --json
json_is '.refused == 19 and .applied == 0'
sql -c "UPDATE t SET v = 'newer' WHERE id = 7"
expect 0 "$SLUICE" replicate --until caught-up --json
expect 0 "$WAREHOUSE_SQL" warehouse.duckdb 'ALTER TABLE public.t ALTER v DROP NOT NULL'
expect 0 "$SLUICE" table retry public.t --json
json_is '.applied == 18 and .superseded == 1 and .refused == 0'
expect 0 "$SLUICE" reconcile --json
json_is '.ok'
expect 0 "$SLUICE" query "SELECT v FROM public.t WHERE id = 7" --json
json_is '.v == "newer"'
expect 0 "$SLUICE" status --json
json_is '.dead_letters.waiting == 0 and .dead_letters.settled == 19'
