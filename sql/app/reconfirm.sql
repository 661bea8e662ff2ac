-- Asks guests at risk to reconfirm: $1 workflow, $2 score at and above which. The gate and the scores
-- are read in the same snapshot as the bookings. Not-a-number compares above everything, so it is
-- left out by name.
INSERT INTO worker_tasks (kind, booking_id, details)
SELECT 'reconfirm', b.booking_id,
	jsonb_build_object('workflow', s.workflow, 'version', s.version, 'score', s.score)
FROM sluice.live_scores s
JOIN bookings b ON b.booking_id::text = s.key
WHERE s.workflow = $1::text AND s.score >= $2::double precision AND s.score <> 'NaN'
	AND b.status = 'booked'
	AND EXISTS (SELECT FROM sluice.gates WHERE workflow = $1::text AND state = 'open')
	AND NOT EXISTS (SELECT FROM worker_tasks t
		WHERE t.kind = 'reconfirm' AND t.booking_id = b.booking_id)
ORDER BY b.booking_id
ON CONFLICT (kind, booking_id) DO NOTHING
