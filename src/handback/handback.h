/*
 * handback: scores from the warehouse back to the application: published as signed releases,
 * landed in its database once every check says yes, used once a gate is open.
 *
 * A release is one immutable version of a workflow's scores in the object store:
 *   releases/WORKFLOW/objects/SHA256.csv.gz     data, under its own digest
 *   releases/WORKFLOW/manifests/000042.json     what it is and where it comes from, signed
 *   releases/WORKFLOW/HEAD                      {"manifest_sha256","version"}, moved last
 *
 * In the application's database, schema sluice: releases, workflows (the pointer), scores, the
 * view live_scores, gates, gate_approvals, audit (sql/handback).
 *
 * A check that could not run has failed. Functions that answer with checks return ERR_CHECK when
 * one says no, and have filled in the answer then. No function may be called by two threads on
 * the same connection at once.
 */
#ifndef SLUICE_HANDBACK_H
#define SLUICE_HANDBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "env.h"
#include "err.h"
#include "json.h"
#include "str.h"

struct pg;
struct store;
struct warehouse;

/* --- checks --- */

struct check {
	const char *name; /* "signature"; static or in the arena */
	bool ok;
	struct str detail; /* a sentence; why not, or what was seen */
};

struct checks {
	struct arena *mem;
	struct check *items;
	size_t n, cap;
};

void checks_init(struct checks *c, struct arena *mem);
void checks_add(struct checks *c, const char *name, bool ok, struct str detail); /* copies */
bool checks_ok(const struct checks *c); /* false when there are none */
void checks_print(const struct checks *c, struct json_out *j, const char *key);
/* From what checks_print() wrote. */
enum err checks_read(struct checks *c, const json_t *array, struct error *e) MUST_CHECK;
/* ERR_CHECK naming the first that says no and how many do; OK when all say yes. */
enum err checks_result(const struct checks *c, const char *doing, struct error *e) MUST_CHECK;

/* --- keys --- */

/* A new Ed25519 pair as PEM files, the private one readable by its owner only. ERR_CONFLICT when
 * either exists: a key is never overwritten. */
enum err handback_make_key(
	const char *private_path, const char *public_path, struct error *e) MUST_CHECK;

/* --- the rules of a workflow --- */

struct release_policy {
	const char *workflow;    /* "cancel-risk" */
	const char *trusted_key; /* PEM file, one or more Ed25519 public keys */
	const char *model;       /* the model that may score it; NULL or "": any */
	const char *key_column;  /* "booking_id" */
	const char *reference;   /* "public.bookings.booking_id" */
	const char *open_rows;   /* SQL condition on that table: the rows that need a score */
	double min_coverage;     /* least share of those rows that have one */
	double min_auc, max_psi;
	int64_t max_age; /* us since it was scored */
	int64_t approvals;
};

/* Makes schema sluice what this program expects. Idempotent, safe to call at once by many. */
enum err handback_ensure_schema(struct pg *c, struct error *e) MUST_CHECK;

/* The login name of who runs this process, or "uid 1000" when it has none. */
struct str handback_login(struct arena *mem);

/* --- publish --- */

struct publish_options {
	const char *workflow;
	const char *signing_key; /* PEM file, Ed25519 private key */
	const char *person;      /* the producer; may never approve it */
	int64_t rows_per_file;   /* 0: the default, half a million */
};

struct publish_result {
	int64_t version, rows;
	char manifest_sha256[65];
};

/*
 * Publishes the newest scoring of the workflow (ops.scorings, scores.predictions). ERR_CHECK when
 * the newest reconciliation of every table at or after the scoring's position is not there or not
 * ok, when a later one of a single table is not, when the scores are not fit to be landed, or
 * when what HEAD names is damaged. Whatever fails, HEAD names a whole release, and publishing
 * again is right. Publishers may race: each gets a version of its own.
 */
enum err handback_publish(struct warehouse *w, struct store *s, const struct publish_options *o,
	const struct env *env, struct publish_result *out, struct error *e) MUST_CHECK;

/* --- land --- */

struct land_options {
	struct release_policy policy;
	int64_t version;    /* 0: what HEAD names */
	const char *person; /* who lands it, for the audit */
	bool offline;       /* verifying only: without the checks that need the database */
};

struct land_result {
	int64_t version, rows; /* 0 while not known */
	bool ok;
	bool already_live; /* nothing was done: this very release was live */
	struct checks checks;
	const char *gate; /* its state afterwards: "closed", "requested", "open"; static */
};

/* Verifies everything, then in one transaction loads, registers and flips. *out lives in mem. */
enum err handback_land(struct pg *c, struct store *s, const struct land_options *o,
	const struct env *env, struct arena *mem, struct land_result *out,
	struct error *e) MUST_CHECK;

/* The same checks without landing. c may be NULL: then those that need the database say no,
 * since they could not be run, unless o->offline leaves them out. */
enum err handback_verify(struct pg *c, struct store *s, const struct land_options *o,
	const struct env *env, struct arena *mem, struct land_result *out,
	struct error *e) MUST_CHECK;

/* --- releases --- */

struct release_entry {
	int64_t version;
	struct str manifest_sha256, created_at, producer, model;
	int64_t rows, model_version;
	bool head; /* HEAD names it */
	/* From the application's database; false when c was NULL. */
	bool landed, live, kept, rolled_back; /* kept: its scores can be rolled back to */
	struct str problem; /* why its manifest cannot be read; empty when it can */
};

struct release_list {
	struct release_entry *items; /* by version */
	size_t n;
};

/* A manifest that is damaged is listed with its problem. ERR_CHECK when HEAD is damaged; then *out
 * is filled, and no release has `head`. */
enum err handback_list(struct pg *c, struct store *s, const char *workflow, struct arena *mem,
	struct release_list *out, struct error *e) MUST_CHECK;

struct rollback_options {
	struct release_policy policy;
	int64_t to; /* 0: the newest landed version below the live one whose scores are kept */
	const char *person;
};

struct rollback_result {
	int64_t from, version, rows;
	const char *gate; /* static */
};

/* Moves the pointer to a version that was landed before. ERR_CHECK when its scores are gone. */
enum err handback_rollback(struct pg *c, const struct rollback_options *o, const struct env *env,
	struct rollback_result *out, struct error *e) MUST_CHECK;

/* --- gate --- */

struct gate_approval {
	struct str person, at, note;
};

struct gate_status {
	const char
		*state; /* "closed", "requested", "open"; "open" only when every check says yes */
	const char *stored;   /* what the database says, and what applications act on */
	int64_t version;      /* asked for, or open for; 0: none */
	int64_t live_version; /* 0: none */
	int64_t age;          /* us since the live version was scored; -1: not known */
	struct checks checks;
	struct gate_approval *approvals; /* of that version's manifest */
	size_t napprovals;
};

enum gate_action { GATE_REQUEST, GATE_APPROVE, GATE_OPEN, GATE_CLOSE };

/* OK also when the gate is shut; ERR_CHECK only when it is stored open but cannot be proven. */
enum err handback_gate_status(struct pg *c, const struct release_policy *p, const struct env *env,
	struct arena *mem, struct gate_status *out, struct error *e) MUST_CHECK;

/* One step of the gate, then its status. ERR_CHECK when the step is not allowed; then nothing
 * has changed, and for GATE_OPEN the checks say what is missing. */
enum err handback_gate_act(struct pg *c, const struct release_policy *p, enum gate_action action,
	const char *person, const char *note, const struct env *env, struct arena *mem,
	struct gate_status *out, struct error *e) MUST_CHECK;

#endif
