# Wrong use gets a sentence and the promised exit code.
. "$here/lib.sh"

# The command line.
expect 2 "$SLUICE" frobnicate
err_has "there is no command 'frobnicate'"
expect 2 "$SLUICE" quer 'SELECT 1'
err_has "did you mean 'query'?"
expect 2 "$SLUICE" gate
err_has "needs one more word"
expect 2 "$SLUICE" reconcile --tabel x
err_has "--table"
expect 0 "$SLUICE" help
expect 0 "$SLUICE" help gate approve
expect 0 "$SLUICE" --version

# What comes later says so.
for later in "serve" "endpoint list" "pipeline run" "report build"; do
	# shellcheck disable=SC2086
	expect 2 "$SLUICE" $later
	err_has "not in this version"
done

# The configuration.
printf '[source]\nurll = x\n' >sluice.conf
expect 2 "$SLUICE" status
err_has "urll"
err_has "url"
printf '[sorce]\nurl = x\n' >sluice.conf
expect 2 "$SLUICE" status
err_has "source"
printf '[replicate]\nbatch_rows = many\n' >sluice.conf
expect 2 "$SLUICE" status
err_has "batch_rows"
rm sluice.conf
expect 2 "$SLUICE" status --config nowhere.conf
err_has "nowhere.conf"
expect 2 "$SLUICE" init
err_has "[source] url"
printf '[warehouse]\nurl = bigquery://project\n' >sluice.conf
expect 2 "$SLUICE" query 'SELECT 1'
err_has "BigQuery"
printf '[store]\nurl = s3://bucket\n' >sluice.conf
expect 2 "$SLUICE" release list cancel-risk
printf '[store]\nurl = s3://bucket\n[workflow cancel-risk]\n' >sluice.conf
expect 2 env -u AWS_REGION -u AWS_DEFAULT_REGION "$SLUICE" release list cancel-risk
err_has "AWS_REGION"
printf '[store]\nurl = gs://Bucket\n[workflow cancel-risk]\n' >sluice.conf
expect 2 "$SLUICE" release list cancel-risk
err_has "gs://bucket/prefix"

# PostgreSQL is not there.
printf '[source]\nurl = host=%s/nowhere dbname=app user=postgres\n' "$T" >sluice.conf
expect 4 "$SLUICE" init
err_has "nowhere"
expect 4 "$SLUICE" reconcile
expect 4 "$SLUICE" replicate --until caught-up

# PostgreSQL does not write what decoding needs.
start_pg wal_level=replica
write_conf
sql -c 'CREATE TABLE t (id int PRIMARY KEY)'
expect 2 "$SLUICE" init
err_has "wal_level"
err_has "logical"
stop_pg
rm -rf "$T/postgres"

# A table without a key.
start_pg
write_conf
sql -c 'CREATE TABLE good (id int PRIMARY KEY); CREATE TABLE keyless (a int)'
expect 2 "$SLUICE" init
err_has "public.keyless"
err_has "REPLICA IDENTITY"
write_conf 'tables = public.*, !public.keyless'
expect 0 "$SLUICE" init --json
json_is '.publication == "sluice" and .slot == "sluice"'
expect 0 "$SLUICE" init --json
expect 0 "$SLUICE" replicate --until caught-up --json
json_is '.lsn and (.rows >= 0) and (.seconds >= 0)'

# A directory that cannot be written: a file stands where it should be.
touch "$T/blocked"
write_conf 'tables = public.good
[replicate]
journal = blocked/journal'
"$SLUICE" replicate --until caught-up >"$T/out" 2>"$T/err" && die "wrote into a file"
err_has "blocked/journal"

# SQL that the warehouse refuses.
write_conf 'tables = public.good'
expect 2 "$SLUICE" query 'SELEC 1'
err_has "SELEC"
expect 0 "$SLUICE" query 'SELECT 42 AS answer' --json
json_is '.answer == 42'
