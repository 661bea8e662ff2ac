-- Will this booking be lost, cancelled or not shown up for? Asked at the moment it is made, of what
-- was known then.
--
-- entity: booking_id
-- as_of: booked_at
-- label: cancelled
-- label_at: label_at
-- mature_at: arrives_at
-- open: is_open
-- duplicate: lookalike
-- slices: market_segment, hotel
--
-- What a booking is never changed in is read by {{fixed}}, and the leak proof checks that it never
-- was. What the guest may change is read as first known: exact where the making of the booking was
-- replicated. Dates are read from the event of the booking's making, as is all that happens over time.
-- Not used, because they are filled in only after the booking was made: country,
-- assigned_room_type, changes, parking_spaces.
--
-- Aggregates over agents, segments and hotels count whole days (UTC) before the day of the booking;
-- those over the same arrival date and party count up to the microsecond before it.
WITH booking AS (
	SELECT a.*, b.weekend_nights, b.week_nights, b.adults, b.children, b.babies, b.meal,
		b.reserved_room_type, b.special_requests
	FROM {{fixed public.bookings by booking_id: company_id, market_segment,
		distribution_channel, is_repeated_guest, previous_cancellations, previous_stays,
		deposit_type, customer_type, daily_rate}} a
	JOIN {{first public.bookings by booking_id: weekend_nights, week_nights, adults, children,
		babies, meal, reserved_room_type, special_requests}} b ON b.booking_id = a.booking_id
),
event AS (
	SELECT e.event_id, e.booking_id, e.kind, e.occurred_at, epoch_us(e.occurred_at) AS at_us,
		date_diff('day', DATE '1970-01-01', CAST(make_timestamp(epoch_us(e.occurred_at)) AS DATE))
			AS day,
		e.hotel_id, coalesce(e.agent_id, -1) AS agent_id, e.arrival_date, e.nights,
		b.market_segment, b.daily_rate,
		CAST(e.kind = 'created' AS INTEGER) AS made,
		CAST(e.kind = 'checked_in' AS INTEGER) AS kept,
		CAST(e.kind IN ('cancelled', 'no_show') AS INTEGER) AS lost
	FROM {{versions public.booking_events}} e
	JOIN booking b ON b.booking_id = e.booking_id
	WHERE e.kind IN ('created', 'checked_in', 'cancelled', 'no_show')
),
outcome AS (
	SELECT booking_id, CAST(arg_max(lost, (at_us, event_id)) AS INTEGER) AS cancelled,
		max(occurred_at) AS label_at
	FROM event
	WHERE kind <> 'created'
	GROUP BY booking_id
),
agent_day AS (
	SELECT agent_id, day, sum(made) AS made, sum(kept) AS kept, sum(lost) AS lost
	FROM event
	GROUP BY agent_id, day
),
agent AS (
	SELECT agent_id, day,
		sum(made) OVER week AS made_7, sum(lost) OVER week AS lost_7,
		sum(made) OVER quarter AS made_90, sum(kept) OVER quarter AS kept_90,
		sum(lost) OVER quarter AS lost_90,
		sum(kept) OVER year AS kept_365, sum(lost) OVER year AS lost_365
	FROM agent_day
	WINDOW
		week AS (PARTITION BY agent_id ORDER BY day RANGE BETWEEN 7 PRECEDING AND 1 PRECEDING),
		quarter AS (PARTITION BY agent_id ORDER BY day RANGE BETWEEN 90 PRECEDING AND 1 PRECEDING),
		year AS (PARTITION BY agent_id ORDER BY day RANGE BETWEEN 365 PRECEDING AND 1 PRECEDING)
),
segment_day AS (
	SELECT market_segment, day, sum(kept) AS kept, sum(lost) AS lost
	FROM event
	GROUP BY market_segment, day
),
segment AS (
	SELECT market_segment, day, sum(kept) OVER quarter AS kept_90, sum(lost) OVER quarter AS lost_90
	FROM segment_day
	WINDOW quarter AS (PARTITION BY market_segment ORDER BY day
		RANGE BETWEEN 90 PRECEDING AND 1 PRECEDING)
),
hotel_day AS (
	SELECT hotel_id, day, sum(kept) AS kept, sum(lost) AS lost
	FROM event
	GROUP BY hotel_id, day
),
hotel AS (
	SELECT hotel_id, day, sum(kept) OVER month AS kept_30, sum(lost) OVER month AS lost_30
	FROM hotel_day
	WINDOW month AS (PARTITION BY hotel_id ORDER BY day
		RANGE BETWEEN 30 PRECEDING AND 1 PRECEDING)
),
running AS (
	SELECT *,
		sum(made) OVER arrival AS arrival_made, sum(lost) OVER arrival AS arrival_lost,
		sum(made) OVER party AS party_made, sum(lost) OVER party AS party_lost,
		sum(made) OVER twin AS twin_made, sum(lost) OVER twin AS twin_lost
	FROM event
	WINDOW
		arrival AS (PARTITION BY hotel_id, arrival_date ORDER BY at_us
			RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
		party AS (PARTITION BY hotel_id, arrival_date, agent_id ORDER BY at_us
			RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
		twin AS (PARTITION BY hotel_id, arrival_date, agent_id, daily_rate ORDER BY at_us
			RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
SELECT
	r.booking_id,
	r.occurred_at AS booked_at,
	o.cancelled,
	o.label_at,
	CAST(r.arrival_date AS TIMESTAMP) AS arrives_at,
	o.cancelled IS NULL AS is_open,
	md5(concat_ws('|', r.hotel_id, r.agent_id, r.arrival_date, r.day, r.nights,
		coalesce(CAST(b.company_id AS VARCHAR), '-'), b.adults,
		coalesce(CAST(b.children AS VARCHAR), '-'), b.babies, b.meal, b.market_segment,
		b.distribution_channel, b.reserved_room_type, b.deposit_type, b.customer_type,
		b.daily_rate, b.special_requests)) AS lookalike,
	CAST(r.hotel_id AS VARCHAR) AS hotel,
	CASE WHEN r.agent_id >= 0 THEN CAST(r.agent_id AS VARCHAR) END AS agent,
	CAST(b.company_id AS VARCHAR) AS company,
	date_diff('day', DATE '1970-01-01', r.arrival_date) - r.day AS lead_days,
	month(r.arrival_date) AS arrival_month,
	week(r.arrival_date) AS arrival_week,
	isodow(r.arrival_date) AS arrival_weekday,
	isodow(DATE '1970-01-01' + CAST(r.day AS INTEGER)) AS booked_weekday,
	r.nights,
	b.weekend_nights,
	b.week_nights,
	b.adults,
	b.children,
	b.babies,
	b.adults + coalesce(b.children, 0) + b.babies AS guests,
	b.meal,
	b.market_segment,
	b.distribution_channel,
	b.is_repeated_guest,
	b.previous_cancellations,
	b.previous_stays,
	b.reserved_room_type,
	b.deposit_type,
	b.customer_type,
	CAST(b.daily_rate AS DOUBLE) AS daily_rate,
	CAST(b.daily_rate AS DOUBLE) * r.nights AS stay_price,
	b.special_requests,
	CAST(coalesce(a.made_7, 0) AS BIGINT) AS agent_made_7d,
	CAST(coalesce(a.lost_7, 0) AS BIGINT) AS agent_lost_7d,
	CAST(coalesce(a.made_90, 0) AS BIGINT) AS agent_made_90d,
	a.lost_90 / nullif(a.kept_90 + a.lost_90, 0) AS agent_loss_rate_90d,
	a.lost_365 / nullif(a.kept_365 + a.lost_365, 0) AS agent_loss_rate_365d,
	s.lost_90 / nullif(s.kept_90 + s.lost_90, 0) AS segment_loss_rate_90d,
	h.lost_30 / nullif(h.kept_30 + h.lost_30, 0) AS hotel_loss_rate_30d,
	CAST(coalesce(r.arrival_made - r.arrival_lost, 0) AS BIGINT) AS arrival_rooms_booked,
	CAST(coalesce(r.arrival_lost, 0) AS BIGINT) AS arrival_rooms_lost,
	CAST(coalesce(r.party_made, 0) AS BIGINT) AS party_made,
	CAST(coalesce(r.party_lost, 0) AS BIGINT) AS party_lost,
	CAST(coalesce(r.twin_made, 0) AS BIGINT) AS twin_made,
	CAST(coalesce(r.twin_lost, 0) AS BIGINT) AS twin_lost
FROM running r
JOIN booking b ON b.booking_id = r.booking_id
JOIN agent a ON a.agent_id = r.agent_id AND a.day = r.day
JOIN segment s ON s.market_segment = r.market_segment AND s.day = r.day
JOIN hotel h ON h.hotel_id = r.hotel_id AND h.day = r.day
LEFT JOIN outcome o ON o.booking_id = r.booking_id
WHERE r.kind = 'created'
