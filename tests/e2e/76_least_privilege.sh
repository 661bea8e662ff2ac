# A role with LOGIN, REPLICATION and SELECT on the published tables is enough, over TLS that proves
# the server's name; a wrong name or authority is refused with the reason.
. "$here/lib.sh"

# An authority for this run only, and a certificate for the name localhost.
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
		-keyout "$T/$1.key" -out "$T/$1.pem" 2>/dev/null
}
authority trusted
authority stranger
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
	-keyout server.key -out server.csr 2>/dev/null
printf 'subjectAltName=DNS:localhost\n' >server.ext
openssl x509 -req -in server.csr -CA trusted.pem -CAkey trusted.key -CAcreateserial -days 2 \
	-extfile server.ext -out server.pem 2>/dev/null || die "no certificate"

# PostgreSQL speaks TLS over TCP only: on an address of this machine, at a port that is free.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
PORT=$(free_port)
start_pg listen_addresses=127.0.0.1 port="$PORT" max_slot_wal_keep_size=1GB
DATA=$(sql -c 'SHOW data_directory')
HBA=$(sql -c 'SHOW hba_file')
install -m 600 server.key "$DATA/server.key"
install -m 644 server.pem "$DATA/server.crt"
chown --reference="$DATA" "$DATA/server.key" "$DATA/server.crt"
printf 'hostssl all reader 127.0.0.1/32 scram-sha-256\nhostssl replication reader 127.0.0.1/32 scram-sha-256\n' >hba.new
cat hba.new >"$HBA.new" && printf 'local all all trust\nlocal replication all trust\n' >>"$HBA.new"
cat "$HBA.new" >"$HBA"

# The owner prepares: a role that may read two tables and replicate, and nothing else.
sql <<'SQL'
ALTER SYSTEM SET ssl = on;
SELECT pg_reload_conf();
CREATE ROLE reader LOGIN REPLICATION PASSWORD 'only for this run';
CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (id int PRIMARY KEY, v text);
CREATE TABLE later (id int PRIMARY KEY, v text);
INSERT INTO a SELECT i, 'a' || i FROM generate_series(1, 500) i;
INSERT INTO b SELECT i, 'b' || i FROM generate_series(1, 500) i;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT SELECT ON a, b TO reader;
SQL
DB=$(sql -c 'SELECT current_database()')
printf 'only for this run\n' >password
chmod 600 password

# conf HOST AUTHORITY
conf() {
	cat >sluice.conf <<CONF
[source]
url = host=$1 hostaddr=127.0.0.1 port=$PORT dbname=$DB user=reader sslmode=verify-full sslrootcert=$T/$2.pem
password_file = $T/password
CONF
}

# A wrong name, a wrong authority: each is refused with its reason, and it is wrong configuration.
conf 127.0.0.1 trusted
until_ok sql -c "SELECT 1 WHERE current_setting('ssl') = 'on'"
expect 2 "$SLUICE" init
err_has 'does not match host name'
err_has 'sslrootcert'
conf localhost stranger
expect 2 "$SLUICE" init
err_has 'certificate verify failed'
conf localhost trusted

# Without a publication it says what the owner is to run, and leaves nothing behind.
expect 2 "$SLUICE" init
err_has 'have the owner of the tables run: CREATE PUBLICATION "sluice" FOR TABLE'
[ "$(sql -c 'SELECT count(*) FROM pg_replication_slots')" = 0 ] || die "a slot was left behind"
sql -c 'CREATE PUBLICATION sluice FOR TABLE a, b WITH (publish_via_partition_root = true)'

# With it, it uses what is there, and says what it could not do.
expect 0 "$SLUICE" init --json
json_is '.tables == ["public.a", "public.b"] and (.cannot | test("ADD TABLE \"public\".\"later\""))'
expect 0 "$SLUICE" init
grep -q 'Not done: tables that are not published' "$T/out" || die "init does not say it: $(cat "$T/out")"
expect 3 "$SLUICE" doctor --json
grep -q '"check":"grants","ok":false,"detail":"the role may not read public.later"' "$T/out" || die "$(cat "$T/out")"
printf 'tables = public.a, public.b\n' | sed -i '/^url/r /dev/stdin' sluice.conf
expect 0 "$SLUICE" doctor --json
grep -q '"check":"tls","ok":true,"detail":"TLSv1.3, sslmode verify-full' "$T/out" || die "tls: $(cat "$T/out")"
expect 0 "$SLUICE" replicate --until caught-up --json
sql -c "UPDATE a SET v = 'new' WHERE id <= 100" -c 'DELETE FROM b WHERE id > 450' -c "INSERT INTO later VALUES (1, 'x')"
expect 0 "$SLUICE" replicate --until caught-up --json
expect 0 "$SLUICE" reconcile --json
json_is '.ok and ([.tables[].source_rows] == [500, 450])'
expect 0 "$SLUICE" status --json
json_is '.source.reachable and .slot.exists and .position.lag_bytes < 100000'
[ "$(sql -c "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'reader'")" = f ] ||
	die "the role has more rights than it is to have"

# A certificate that is changed to one of a stranger while it runs ends the connection for good.
background later "$SLUICE" replicate
RUNNING=$BG
until_ok sql -c "SELECT 1 / count(*) FROM pg_replication_slots WHERE active"
openssl x509 -req -in server.csr -CA stranger.pem -CAkey stranger.key -CAcreateserial -days 2 \
	-extfile server.ext -out strange.pem 2>/dev/null
cat strange.pem >"$DATA/server.crt"
sql -c 'SELECT pg_reload_conf()' -c 'SELECT pg_sleep(0.5)' -c 'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots' >/dev/null
code=0
timeout 60 tail --pid="$RUNNING" -f /dev/null || die "it goes on with a stranger"
wait "$RUNNING" || code=$?
[ "$code" -eq 2 ] || die "it ended with $code instead of 2"
grep -q 'certificate verify failed' "$T/later.log" || die "no reason: $(cat "$T/later.log")"
