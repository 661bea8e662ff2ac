-- At most 5000 at a time: a short transaction holds no one up.
DELETE FROM idempotency_keys WHERE key IN (SELECT key FROM idempotency_keys
	WHERE created_at < now() - interval '1 day' LIMIT 5000)
