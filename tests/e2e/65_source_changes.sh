# What the owners of the source do to it: a key dropped, a column added, a table that is new.
. "$here/lib.sh"

start_pg
write_conf '[replicate]
flush_interval = 20ms'
sql <<'SQL'
CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (id int PRIMARY KEY, v text);
ALTER TABLE b REPLICA IDENTITY FULL;
INSERT INTO a SELECT i, 'v' FROM generate_series(1, 1000) i;
INSERT INTO b SELECT i, 'v' FROM generate_series(1, 10) i;
SQL
expect 0 "$SLUICE" init
expect 0 "$SLUICE" replicate --until caught-up --json

# Without a key every row stays, and what the current table loses is seen.
sql -c 'ALTER TABLE a DROP CONSTRAINT a_pkey; ALTER TABLE b DROP CONSTRAINT b_pkey'
sql -c "BEGIN; INSERT INTO a VALUES (1, 'x'); INSERT INTO a VALUES (1, 'x'); INSERT INTO a VALUES (2, 'y'); COMMIT"
sql -c "INSERT INTO b VALUES (1, 'other'), (2, 'other')"
expect 0 "$SLUICE" replicate --until caught-up --json
err_has 'has lost its key'
expect 0 "$SLUICE" query --json 'SELECT (SELECT count(*) FROM public.a) AS a, (SELECT count(*) FROM public.b) AS b'
json_is '.a == 1003 and .b == 12'
expect 0 "$SLUICE" reconcile --json
json_is '.ok and .tables[0].replica_rows == 1003'
expect 0 "$(dirname "$PRIVATE_PG")/warehouse_sql" "$T/warehouse.duckdb" "DELETE FROM public.a WHERE v = 'y'"
expect 3 "$SLUICE" reconcile --json
json_is '.tables[0].missing == 1'

# The default of an added column is in the rows that stood there.
sql -c "ALTER TABLE b ADD COLUMN w text NOT NULL DEFAULT 'w'; INSERT INTO b VALUES (50, 'v', 'w')"
expect 0 "$SLUICE" replicate --until caught-up --json
expect 0 "$SLUICE" reconcile --table b --json
json_is .ok

# A server that refuses us is no server that is away.
expect 2 env SLUICE_SOURCE_URL="$PG user=nobody_at_all" "$SLUICE" replicate --until caught-up
err_has 'nobody_at_all'
expect 2 env SLUICE_SOURCE_URL="$PG dbname=nowhere" "$SLUICE" replicate --until caught-up
expect 4 env SLUICE_SOURCE_URL="host=/nonexistent dbname=shop" "$SLUICE" replicate --until caught-up
