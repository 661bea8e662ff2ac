# lib.sh: what the campaigns share, on top of what the end-to-end tests share. Sourced.
# shellcheck shell=bash disable=SC2086
. "$(dirname "$here")/e2e/lib.sh"

TOOLS=$(dirname "$SLUICE")/tests/fault
LOAD=$TOOLS/mixed_load
LONG=${SLUICE_LONG:-}

# The seed of everything random here; a run with the same one draws the same again.
SEED=${SLUICE_SEED:-$(date +%s)}
RANDOM=$((SEED % 32768))
echo "seed: SLUICE_SEED=$SEED"

# No command of a campaign waits for ever.
LIMIT="timeout ${SLUICE_FAULT_LIMIT:-300}"

# The columns of TABLE whose names satisfy CONDITION, as text that is made alike on both sides
# (SIDE: source or replica); @ is the column, # its exact text. A value that is kept exactly beside the typed column
# is taken from there. The source's catalog says what there is.
columns_of() { # SIDE TABLE CONDITION
	sql -f - <<SQL
SELECT string_agg(CASE WHEN '$1' = 'source' THEN 'coalesce(' || s || ', ''-'')'
	ELSE 'coalesce(' || replace(r, '#', exact) || ', ''-'')' END, ', ' ORDER BY attnum)
FROM (SELECT attnum, replace(f.s, '@', quoted) AS s, replace(f.r, '@', quoted) AS r,
		'_exact->>''\$."' || replace(replace(attname, '"', '\\"'), '''', '''''') || '"''' AS exact
	FROM pg_attribute a JOIN pg_type y ON y.oid = atttypid,
	LATERAL (SELECT '"' || replace(attname, '"', '""') || '"' AS quoted) q,
	LATERAL (SELECT CASE typname
			WHEN 'text' THEN 'left(md5(@), 10)'
			WHEN 'jsonb' THEN 'left(md5(@::text), 10)'
			WHEN 'numeric' THEN 'trim_scale(@)::text'
			WHEN 'bytea' THEN 'encode(@, ''hex'')'
			WHEN 'timestamptz' THEN 'CASE WHEN isfinite(@) THEN (extract(epoch FROM @) * 1000000)::bigint::text ELSE @::text END'
			ELSE '@::text' END AS s,
		CASE typname
			WHEN 'text' THEN 'left(md5(coalesce(#, @)), 10)'
			WHEN 'jsonb' THEN 'left(md5(coalesce(#, @::varchar)), 10)'
			WHEN 'numeric' THEN 'regexp_replace(regexp_replace(coalesce(#, @::varchar), ''(\.[0-9]*?)0+\$'', ''\1''), ''\.\$'', '''')'
			WHEN 'bytea' THEN 'coalesce(#, lower(hex(@)))'
			WHEN 'timestamptz' THEN 'coalesce(#, CASE WHEN isfinite(@) THEN epoch_us(@)::varchar ELSE @::varchar END)'
			ELSE 'coalesce(#, @::varchar)' END AS r) f
	WHERE attrelid = '$2'::regclass AND attnum > 0 AND NOT attisdropped AND $3) x
SQL
}

source_rows() { # TABLE CONDITION FILE
	local columns
	columns=$(columns_of source "$1" "$2") || die "the columns of $1"
	sql -c "SELECT concat_ws('|', $columns) FROM $1" | LC_ALL=C sort >"$3" || die "reading $1"
}

# FROM is what stands after FROM in the warehouse.
replica_rows() { # TABLE CONDITION FROM FILE
	local columns
	columns=$(columns_of replica "$1" "$2") || die "the columns of $1"
	"$SLUICE" query --format csv "SELECT concat_ws('|', $columns) AS r FROM $3" |
		tail -n +2 | sed 's/^"\(.*\)"$/\1/; s/""/"/g' | LC_ALL=C sort >"$4" || die "reading $1"
}

same_files() { # WHAT SOURCE REPLICA
	cmp -s "$2" "$3" && return 0
	{
		echo "$1: $(wc -l <"$2") rows at the source, $(wc -l <"$3") in the warehouse"
		diff "$2" "$3" | head -n 12
	} >&2
	die "$1 is not what the source has"
}

key_columns() { # TABLE: of the primary key, or of the identity's index; nothing when it has none
	sql -c "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute a
		WHERE attrelid = '$1'::regclass AND EXISTS (SELECT 1 FROM pg_index WHERE indrelid = attrelid
		AND (indisprimary OR indisreplident) AND attnum = ANY (indkey::int2[]))"
}

# Every change is there once; for tables with a key, folding history gives what the source has.
# What the schema changed later stands in old history as it was, so only its first columns are
# compared there.
check_history() { # TABLE
	local h=${1/public./public_history.} key
	expect 0 "$SLUICE" query --json "SELECT count(*) - count(DISTINCT (_lsn, _seq)) AS twice FROM $h"
	json_is '.twice == 0'
	key=$(key_columns "$1") || die "the key of $1"
	[ -n "$key" ] || return 0
	source_rows "$1" "attname !~ '^[xy]_'" "$T/source.rows"
	replica_rows "$1" "attname !~ '^[xy]_'" "(SELECT * FROM $h
		WHERE (_lsn, _seq) > coalesce((SELECT max((_lsn, _seq)) FROM $h WHERE _op = 'T'), (-1, 0))
		QUALIFY row_number() OVER (PARTITION BY $key ORDER BY _lsn DESC, _seq DESC) = 1) f
		WHERE _op <> 'D'" "$T/folded.rows"
	same_files "the folded history of $1" "$T/source.rows" "$T/folded.rows"
}

# With writers at rest and everything applied: the whole content, by our own comparison and by
# sluice's.
check_equal() {
	local table
	expect 0 $LIMIT "$SLUICE" replicate --until caught-up --json
	sql -c "SELECT format('%I.%I', schemaname, tablename) FROM pg_publication_tables
		WHERE pubname = 'sluice' ORDER BY 1" >"$T/tables"
	while read -r table; do
		source_rows "$table" true "$T/source.rows"
		replica_rows "$table" true "$table" "$T/replica.rows"
		same_files "$table" "$T/source.rows" "$T/replica.rows"
		check_history "$table"
	done <"$T/tables"
	expect 0 $LIMIT "$SLUICE" reconcile --json
	json_is '.ok and ([.tables[] | .missing + .extra + .different] | add) == 0'
	json_is "(.tables | length) == $(wc -l <"$T/tables")"
}

# LOAD_WITH leaves parts of the load out, to look into the others: "drops=0 schema=0".
load() { "$LOAD" "$PG" seed="$SEED" "$@" ${LOAD_WITH:-} 9>&-; }

# load_on NAME...: in the background; its pid in $WRITER.
load_on() {
	"$LOAD" "$PG" seed="$SEED" "$@" ${LOAD_WITH:-} >"$T/load.out" 2>"$T/load.err" </dev/null 9>&- &
	WRITER=$!
	CHILDREN="$CHILDREN $WRITER"
}

load_ended() { wait "$WRITER" || die "the load failed: $(cat "$T/load.err")"; }

# The server, restarted: restart_pg f (fast) or i (immediate, as after a crash).
restart_pg() {
	local before
	before=$(wc -l <"$T/pg.out")
	printf '%s' "$1" >&9
	until [ "$(wc -l <"$T/pg.out")" -gt "$before" ]; do
		kill -0 "$PG_PID" 2>/dev/null || die "PostgreSQL did not come back: $(cat "$T/pg.err")"
		sleep 0.05
	done
}

confirmed() { sql -c "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'sluice'"; }
