# The memory that one large transaction needs. BIG_ROWS: 10,000,000. The reference is the most that
# it may be.
# shellcheck shell=bash
bench_big_transaction() {
	local rows=${BIG_ROWS:-10000000} took kb

	begin big_transaction
	say "big transaction: $rows rows"
	make_item 1000
	"$SLUICE" init --json >/dev/null
	until_caught_up >/dev/null
	replicate big
	sql -c "INSERT INTO item SELECT i, i % 1000, 1, now(), md5(i::text) || md5((i + 1)::text)
		FROM generate_series(1001, $rows + 1000) i"
	took=$(until_caught_up | jq .seconds)
	kb=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$REPLICATE/status")
	say "big transaction: in the warehouse $took s after its commit"
	emit big_transaction_rss_mb "$(jq -n --argjson kb "$kb" '$kb / 1024')" MB "the most that it may be" 512
	retire "$REPLICATE"
	[ "$("$SLUICE" query 'SELECT count(*) AS n FROM public.item' --json 2>/dev/null | jq .n)" -eq $((rows + 1000)) ] ||
		die "rows are missing after the large transaction"
}
