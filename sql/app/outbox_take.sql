-- Turns at most $1 outbox rows into tasks, in one transaction. Rows that another worker holds are
-- left to it. A task that stands already is not made again.
WITH picked AS MATERIALIZED (
	SELECT outbox_id FROM outbox ORDER BY outbox_id LIMIT $1::int FOR UPDATE SKIP LOCKED
),
taken AS (
	DELETE FROM outbox USING picked WHERE outbox.outbox_id = picked.outbox_id
	RETURNING outbox.topic, outbox.booking_id, outbox.payload, outbox.trace_parent
),
made AS (
	INSERT INTO worker_tasks (kind, booking_id, details)
	SELECT CASE topic WHEN 'booking.created' THEN 'confirmation' ELSE 'cancellation_notice' END,
		booking_id, jsonb_build_object('event_id', payload -> 'event_id', 'trace_parent',
		trace_parent)
	FROM taken
	WHERE topic IN ('booking.created', 'booking.cancelled')
	ORDER BY booking_id
	ON CONFLICT (kind, booking_id) DO NOTHING
	RETURNING task_id
)
SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM made)
