# Every type, drawn at random: half of the rows by the snapshot, half by the stream, then updates
# that leave TOASTed values alone. Both sides are equal, and what the warehouse shows of each value,
# or keeps of it in _exact, is PostgreSQL's own text. An enum's values change while it runs.
. "$here/lib.sh"

DRAWN=$(dirname "$PRIVATE_PG")/drawn_types
SEED=${SLUICE_SEED:-$(date +%s)}
N=$([ -n "${SLUICE_LONG:-}" ] && echo 400 || echo 30)
printf 'seed: SLUICE_SEED=%s\n' "$SEED"

start_pg
write_conf '[replicate]
flush_interval = 20ms'
"$DRAWN" schema | sql -f - || die "the schema"
draw() { "$DRAWN" rows "$SEED" "$1" "$2" | sql -f - >/dev/null || die "drawing rows"; }
draw 1 "$N"
expect 0 "$SLUICE" init
expect 0 "$SLUICE" replicate --until caught-up --json
json_is ".rows == $N"
MIDDLE=$(json .lsn)

SEED=$((SEED + 1))
draw $((N + 1)) $((2 * N))
COLUMNS=$("$DRAWN" columns)
MOOD=$(awk -F'\t' '$3 == "mood" { print $1 }' <<<"$COLUMNS")
sql <<SQL || die "changing rows"
UPDATE every_type t SET v2 = o.v2, a3 = o.a3, d4 = o.d4 FROM every_type o
	WHERE o.id = t.id + 1 AND t.id % 3 = 0;
DELETE FROM every_type WHERE id % 11 = 0;
UPDATE every_type SET v2 = 0 WHERE id % 7 = 0;
ALTER TYPE mood ADD VALUE 'glad' BEFORE 'so so';
SQL
sql -c "UPDATE every_type SET v$MOOD = 'glad', a$MOOD = '{glad,NULL}' WHERE id % 5 = 0" || die "a new label"
sql -c "ALTER TYPE mood RENAME VALUE 'glad' TO 'very glad'"
sql -c "UPDATE every_type SET d$MOOD = 'very glad' WHERE id % 5 = 1"
expect 0 "$SLUICE" replicate --until caught-up --json

# A renamed label is another text in every row that has it, though no row was written.
sql -c "ALTER TYPE mood RENAME VALUE 'very glad' TO 'glad'"
sql -c "UPDATE every_type SET d$MOOD = 'glad' WHERE id % 5 = 1"
expect 0 "$SLUICE" replicate --until caught-up --json
expect 0 "$SLUICE" reconcile --json
json_is '.ok and .tables[0].missing == 0 and .tables[0].extra == 0 and .tables[0].different == 0'

# A window carries every type in its opening state and in its changes.
expect 0 "$SLUICE" window record --name types --from "$MIDDLE" --json
expect 0 "$SLUICE" window replay types --json
json_is '.ok and .digest == .expected_digest'

# Damage to lists, objects and numbers is repaired to the same.
OBJECT=$(awk -F'\t' '$3 == "hstore" { print $1 }' <<<"$COLUMNS")
expect 0 "$(dirname "$PRIVATE_PG")/warehouse_sql" "$T/warehouse.duckdb" "UPDATE public.every_type
	SET a2 = '[9]', a5 = NULL, v$OBJECT = '{}', v3 = 9, v10 = 9, v15 = 9 WHERE id % 13 = 1"
expect 3 "$SLUICE" reconcile --json
expect 0 "$SLUICE" repair --json
expect 0 "$SLUICE" reconcile --json
json_is .ok

# What the warehouse shows of each column, and keeps as text beside it, goes back to PostgreSQL.
LIST=$(awk -F'\t' '{ printf ", v%s, a%s, d%s", $1, $1, $1 }' <<<"$COLUMNS")
expect 0 "$SLUICE" query --format csv "SELECT id$LIST, _exact FROM public.every_type ORDER BY id"
cp "$T/out" "$T/shown.csv"
sql -c "CREATE TABLE shown (id integer PRIMARY KEY$(sed 's/, [^,]*/& text/g' <<<"$LIST"), exact json)"
sql -c "\\copy shown FROM '$T/shown.csv' CSV HEADER" || die "loading what is shown"
[ "$(sql -c 'SELECT count(*) FROM shown')" = "$(sql -c 'SELECT count(*) FROM every_type')" ] ||
	die "not all rows are shown"

# same(): PostgreSQL's text and what is shown. A number is the same with other zeros at its end,
# money without its ornaments, and hstore is an object. same_array(): the leaves of the lists, and
# how deep they lie.
sql <<'SQL' || die "the comparison's functions"
CREATE FUNCTION leaves(j json) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE e json; out text[] := '{}';
BEGIN
	FOR e IN SELECT * FROM json_array_elements(j) LOOP
		out := out || CASE json_typeof(e) WHEN 'array' THEN leaves(e)
			WHEN 'boolean' THEN ARRAY[left(e #>> '{}', 1)] ELSE ARRAY[e #>> '{}'] END;
	END LOOP;
	RETURN out;
END $$;
CREATE FUNCTION lengths(j json) RETURNS integer[] LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN json_typeof(j) <> 'array' OR json_array_length(j) = 0 THEN '{}'::integer[]
		ELSE json_array_length(j) || lengths(j -> 0) END $$;
CREATE FUNCTION lengths(a anyarray) RETURNS integer[] LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce(array_agg(array_length(a, n) ORDER BY n), '{}')
		FROM generate_series(1, array_ndims(a)) n $$;
CREATE FUNCTION same(kind text, value text, typed text, exact text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN value IS NULL THEN typed IS NULL AND exact IS NULL
		WHEN typed IS NOT NULL AND exact IS NOT NULL THEN false
		WHEN typed IS NULL THEN exact IS NOT DISTINCT FROM value
		WHEN kind = 'json object' THEN hstore_to_jsonb(value::hstore) = typed::jsonb
		WHEN kind = 'decimal' THEN translate(value, '$,', '')::numeric = typed::numeric
		ELSE typed = value END $$;
CREATE FUNCTION same_array(value anyarray, typed text, exact text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN value IS NULL THEN typed IS NULL AND exact IS NULL
		WHEN typed IS NULL THEN exact = concat(value)
		ELSE exact IS NULL AND lengths(typed::json) = lengths(value) AND leaves(typed::json)
			IS NOT DISTINCT FROM ARRAY(SELECT CASE WHEN u IS NOT NULL THEN concat(u) END
				FROM unnest(value) u) END $$;
CREATE TABLE wrong (col text, id integer, postgres text, typed text, exact text);
SQL
check() { # COLUMN CONDITION
	printf "INSERT INTO wrong SELECT '%s', t.id, concat(t.%s), s.%s, s.exact ->> '%s' FROM every_type t JOIN shown s USING (id) WHERE (%s) IS NOT TRUE;\n" \
		"$1" "$1" "$1" "$1" "$2"
}
while IFS=$(printf '\t') read -r i kind type; do
	[ "$type" = hstore ] && kind='json object'
	for c in "v$i" "d$i"; do
		check "$c" "same('$kind', CASE WHEN t.$c IS NOT NULL THEN concat(t.$c) END, s.$c, s.exact ->> '$c')"
	done
	check "a$i" "same_array(t.a$i, s.a$i, s.exact ->> 'a$i')"
done <<<"$COLUMNS" | sql -c 'SET lc_monetary = "C"' -c 'SET timezone = UTC' -f - ||
	die "the comparison"
WRONG=$(sql -c "SELECT * FROM wrong LIMIT 20")
[ -z "$WRONG" ] || die "the warehouse shows another text (column|id|PostgreSQL|shown|_exact):
$WRONG"
# The comparison had something to compare, on both sides of it.
expect 0 "$SLUICE" query --json "SELECT count(_exact) AS kept, count(a0) AS lists, count(v3) AS n FROM public.every_type"
json_is '.kept > 0 and .lists > 0 and .n > 0'
