SELECT fingerprint, status, version, booking_id, body FROM idempotency_keys WHERE key = $1::text
