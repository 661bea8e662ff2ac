-- What sluice keeps about itself in the warehouse. Every statement may run again.
CREATE SCHEMA IF NOT EXISTS ops;
CREATE SCHEMA IF NOT EXISTS features;
CREATE SCHEMA IF NOT EXISTS scores;
CREATE SCHEMA IF NOT EXISTS reports;

-- Text kept in the same transaction as the rows that it speaks of: positions, progress. Without a
-- primary key, on purpose: DuckDB's index refuses a name that was deleted a moment ago.
CREATE TABLE IF NOT EXISTS ops.marks (
	name VARCHAR NOT NULL,
	value VARCHAR NOT NULL
);

-- One row for each reconciliation. lsn_number is the cut's LSN as an integer, for comparing.
CREATE TABLE IF NOT EXISTS ops.reconciliations (
	finished_at TIMESTAMPTZ NOT NULL,
	ok BOOLEAN NOT NULL,
	lsn VARCHAR NOT NULL,
	lsn_number BIGINT NOT NULL,
	snapshot VARCHAR NOT NULL,
	report VARCHAR NOT NULL,  -- JSON, as `sluice reconcile --json` printed it
	digest VARCHAR NOT NULL,  -- SHA-256 of report
	whole BOOLEAN DEFAULT false -- every table was compared, not one that was named
);
-- Reports of earlier versions do not say what they cover, so they do not count as whole.
ALTER TABLE ops.reconciliations ADD COLUMN IF NOT EXISTS whole BOOLEAN DEFAULT false;

-- One row for each batch scoring of a workflow; its rows stand in scores.WORKFLOW.
CREATE TABLE IF NOT EXISTS ops.scorings (
	scoring_id VARCHAR NOT NULL,
	workflow VARCHAR NOT NULL,
	scored_at TIMESTAMPTZ NOT NULL,
	model VARCHAR NOT NULL,
	model_version BIGINT NOT NULL,
	model_sha256 VARCHAR NOT NULL,
	model_metadata VARCHAR NOT NULL, -- JSON of the registry: training cut, evaluation, leak proof
	rows_scored BIGINT NOT NULL,
	lsn VARCHAR NOT NULL,            -- position of the warehouse when it was scored
	lsn_number BIGINT NOT NULL,
	key_column VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS scores.predictions (
	scoring_id VARCHAR NOT NULL,
	key VARCHAR NOT NULL,
	score DOUBLE NOT NULL
);

-- One row for each build of a feature set.
CREATE TABLE IF NOT EXISTS ops.feature_builds (
	feature_set VARCHAR NOT NULL,
	built_at TIMESTAMPTZ NOT NULL,
	lsn VARCHAR NOT NULL,
	lsn_number BIGINT NOT NULL,
	rows_built BIGINT NOT NULL,
	sql_sha256 VARCHAR NOT NULL
);

-- Changes of table shape, in the order in which the stream brought them.
CREATE TABLE IF NOT EXISTS ops.schema_changes (
	table_name VARCHAR NOT NULL,
	lsn VARCHAR NOT NULL,
	seen_at TIMESTAMPTZ NOT NULL,
	change VARCHAR NOT NULL
);

-- What apply took from the source beside the stream, so that it can be done again without asking:
-- see src/replicate/answers.h.
CREATE TABLE IF NOT EXISTS ops.schema_answers (
	n BIGINT NOT NULL,               -- the order in which they were given
	relid BIGINT NOT NULL,
	lsn_number BIGINT NOT NULL,      -- of the transaction, or the position between two
	at_rest BOOLEAN NOT NULL,        -- between two transactions
	kind VARCHAR NOT NULL,
	schema_name VARCHAR NOT NULL,
	table_name VARCHAR NOT NULL,
	shape_before VARCHAR NOT NULL,   -- as marks have it; empty: none
	shape_said VARCHAR NOT NULL,
	body VARCHAR NOT NULL
);

-- Rows that the warehouse refused, with their reason. A row whose settled_at is NULL waits for
-- `sluice table retry`. Values are PostgreSQL's text, as strings.
CREATE TABLE IF NOT EXISTS ops.dead_letters (
	table_name VARCHAR NOT NULL,
	lsn VARCHAR NOT NULL,
	seq BIGINT NOT NULL,
	op VARCHAR NOT NULL,
	reason VARCHAR NOT NULL,
	row_json VARCHAR NOT NULL,
	seen_at TIMESTAMPTZ NOT NULL
);
ALTER TABLE ops.dead_letters ADD COLUMN IF NOT EXISTS lsn_number BIGINT;
ALTER TABLE ops.dead_letters ADD COLUMN IF NOT EXISTS row_key VARCHAR;   -- JSON of the key columns
ALTER TABLE ops.dead_letters ADD COLUMN IF NOT EXISTS unchanged VARCHAR; -- JSON array: values not sent
ALTER TABLE ops.dead_letters ADD COLUMN IF NOT EXISTS xid BIGINT;
ALTER TABLE ops.dead_letters ADD COLUMN IF NOT EXISTS committed_us BIGINT;
ALTER TABLE ops.dead_letters ADD COLUMN IF NOT EXISTS settled_at TIMESTAMPTZ;
ALTER TABLE ops.dead_letters ADD COLUMN IF NOT EXISTS outcome VARCHAR;   -- applied, superseded
