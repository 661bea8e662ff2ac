-- $1 workflow. No row: nobody has ever asked for this gate. The version is that of the scores that
-- readers see now.
SELECT state, (SELECT version FROM sluice.live_scores WHERE workflow = $1::text LIMIT 1)
FROM sluice.gates WHERE workflow = $1::text
