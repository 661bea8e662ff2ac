-- One booking with its guest, its event, its outbox row and the answer kept for its key, or none.
-- $1-$28 as the rules in booking_fields.c, $29 key, $30 fingerprint, $31 traceparent.
WITH gate AS MATERIALIZED (
	SELECT $29::text IS NULL OR (pg_try_advisory_xact_lock(hashtextextended($29::text, 0))
		AND NOT EXISTS (SELECT FROM idempotency_keys WHERE key = $29::text)) AS pass
),
guest AS (
	INSERT INTO guests (full_name, email, country, created_at)
	SELECT $26::text, $27::text, $28::text, coalesce($5::timestamptz, now())
	FROM gate WHERE pass AND $26::text IS NOT NULL
	RETURNING guest_id
),
b AS (
	INSERT INTO bookings (hotel_id, guest_id, agent_id, company_id, status, booked_at,
		arrival_date, weekend_nights, week_nights, adults, children, babies, meal, country,
		market_segment, distribution_channel, is_repeated_guest, previous_cancellations,
		previous_stays, reserved_room_type, assigned_room_type, deposit_type, customer_type,
		daily_rate, parking_spaces, special_requests, changed_at)
	SELECT $1::int, coalesce($2::bigint, (SELECT guest_id FROM guest)), $3::int, $4::int,
		'booked', coalesce($5::timestamptz, now()), $6::date, $7::int, $8::int, $9::int,
		$10::int, $11::int, $12::text, $13::text, $14::text, $15::text, $16::boolean, $17::int,
		$18::int, $19::text, coalesce($20::text, $19::text), $21::text, $22::text, $23::numeric,
		$24::int, $25::int, coalesce($5::timestamptz, now())
	FROM gate WHERE pass
	RETURNING *
),
event AS (
	INSERT INTO booking_events (booking_id, kind, occurred_at, hotel_id, agent_id, arrival_date,
		nights)
	SELECT booking_id, 'created', booked_at, hotel_id, agent_id, arrival_date,
		weekend_nights + week_nights
	FROM b
	RETURNING event_id, booking_id
),
sent AS (
	INSERT INTO outbox (topic, booking_id, payload, trace_parent)
	SELECT 'booking.created', booking_id, jsonb_build_object('event_id', event_id, 'version',
		b.version, 'occurred_at', b.booked_at), $31::text
	FROM b JOIN event USING (booking_id)
),
answer AS (
	SELECT booking_id, version, row_to_json(b)::text AS body FROM b
),
kept AS (
	INSERT INTO idempotency_keys (key, fingerprint, status, version, booking_id, body)
	SELECT $29::text, $30::text, 201, version, booking_id, body
	FROM answer WHERE $29::text IS NOT NULL
)
SELECT pass, booking_id, version, body FROM gate LEFT JOIN answer ON true
