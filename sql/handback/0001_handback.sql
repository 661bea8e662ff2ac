-- What sluice keeps in the application's database: releases that were landed, their scores, which
-- of them is live, and the gate of each workflow. An application reads sluice.live_scores and
-- sluice.gates and nothing else.

-- Every release that was ever landed, with the signed manifest it came by and the checks it
-- passed.
CREATE TABLE sluice.releases (
	workflow        text COLLATE "C" NOT NULL,
	version         bigint NOT NULL CHECK (version > 0),
	manifest        text NOT NULL,
	manifest_sha256 text NOT NULL,
	producer        text NOT NULL,
	row_count       bigint NOT NULL CHECK (row_count >= 0),
	checks          jsonb NOT NULL,
	checks_ok       boolean NOT NULL,
	landed_at       timestamptz NOT NULL DEFAULT now(),
	landed_by       text NOT NULL,
	rolled_back_at  timestamptz, -- the live version was moved away from it; landing refuses it
	dropped_at      timestamptz, -- its scores were old and have been removed
	PRIMARY KEY (workflow, version)
);

-- The pointer: readers see the rows of this version and of no other.
CREATE TABLE sluice.workflows (
	workflow     text COLLATE "C" PRIMARY KEY,
	live_version bigint NOT NULL,
	moved_at     timestamptz NOT NULL DEFAULT now(),
	FOREIGN KEY (workflow, live_version) REFERENCES sluice.releases (workflow, version)
);

-- The key serves a look-up by key and the scan of one version alike.
CREATE TABLE sluice.scores (
	workflow text COLLATE "C" NOT NULL,
	version  bigint NOT NULL,
	key      text COLLATE "C" NOT NULL,
	score    double precision NOT NULL CHECK (score >= 0 AND score <= 1),
	PRIMARY KEY (workflow, version, key)
);

CREATE VIEW sluice.live_scores AS
	SELECT s.workflow, s.version, s.key, s.score
	FROM sluice.workflows AS w
	JOIN sluice.scores AS s ON s.workflow = w.workflow AND s.version = w.live_version;

-- A workflow without a row here is closed.
CREATE TABLE sluice.gates (
	workflow        text COLLATE "C" PRIMARY KEY,
	state           text NOT NULL CHECK (state IN ('closed', 'requested', 'open')),
	version         bigint,      -- asked for, or open for
	manifest_sha256 text,
	changed_by      text NOT NULL,
	changed_at      timestamptz NOT NULL DEFAULT now(),
	CHECK (state = 'closed' OR (version IS NOT NULL AND manifest_sha256 IS NOT NULL))
);

-- An approval is of one manifest, not of whatever carries the number.
CREATE TABLE sluice.gate_approvals (
	workflow        text COLLATE "C" NOT NULL,
	version         bigint NOT NULL,
	manifest_sha256 text NOT NULL,
	person          text NOT NULL CHECK (person = btrim(person) AND person <> ''),
	at              timestamptz NOT NULL DEFAULT now(),
	note            text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX gate_approvals_once
	ON sluice.gate_approvals (workflow, version, manifest_sha256, lower(person));

CREATE TABLE sluice.audit (
	audit_id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
	at       timestamptz NOT NULL DEFAULT now(),
	workflow text NOT NULL,
	action   text NOT NULL,
	version  bigint,
	person   text NOT NULL,
	detail   text NOT NULL DEFAULT ''
);
