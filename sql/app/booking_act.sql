-- A step of the booking's state machine: its row, event, outbox row and the answer kept for the
-- key, or nothing at all when the booking is elsewhere, changed meanwhile or later than $5.
-- $1 booking, $2 states it may be in, $3 state to go to, $4 event kind, $5 when or NULL for now,
-- $6 versions or NULL for any, $7 key, $8 fingerprint, $9 traceparent.
WITH gate AS MATERIALIZED (
	SELECT $7::text IS NULL OR (pg_try_advisory_xact_lock(hashtextextended($7::text, 0))
		AND NOT EXISTS (SELECT FROM idempotency_keys WHERE key = $7::text)) AS pass
),
b AS (
	UPDATE bookings
	SET status = $3::text,
		changed_at = coalesce($5::timestamptz, greatest(now(), changed_at)),
		cancelled_at = CASE WHEN $3::text = 'cancelled'
			THEN coalesce($5::timestamptz, greatest(now(), changed_at)) ELSE cancelled_at END,
		checked_in_at = CASE WHEN $3::text = 'checked_in'
			THEN coalesce($5::timestamptz, greatest(now(), changed_at)) ELSE checked_in_at END,
		checked_out_at = CASE WHEN $3::text = 'checked_out'
			THEN coalesce($5::timestamptz, greatest(now(), changed_at)) ELSE checked_out_at END,
		version = version + 1
	WHERE booking_id = $1::bigint AND (SELECT pass FROM gate)
		AND status = ANY ($2::text[])
		AND ($6::int[] IS NULL OR version = ANY ($6::int[]))
		AND ($5::timestamptz IS NULL OR changed_at <= $5::timestamptz)
	RETURNING *
),
event AS (
	INSERT INTO booking_events (booking_id, kind, occurred_at, hotel_id, agent_id, arrival_date,
		nights)
	SELECT booking_id, $4::text, changed_at, hotel_id, agent_id, arrival_date,
		weekend_nights + week_nights
	FROM b
	RETURNING event_id, booking_id
),
sent AS (
	INSERT INTO outbox (topic, booking_id, payload, trace_parent)
	SELECT 'booking.' || $4::text, booking_id, jsonb_build_object('event_id', event_id, 'version',
		b.version, 'occurred_at', b.changed_at), $9::text
	FROM b JOIN event USING (booking_id)
),
answer AS (
	SELECT booking_id, version, row_to_json(b)::text AS body FROM b
),
kept AS (
	INSERT INTO idempotency_keys (key, fingerprint, status, version, booking_id, body)
	SELECT $7::text, $8::text, 200, version, booking_id, body
	FROM answer WHERE $7::text IS NOT NULL
)
SELECT pass, booking_id, version, body FROM gate LEFT JOIN answer ON true
