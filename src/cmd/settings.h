/*
 * settings: sluice.conf as a struct. The table in settings.c says for each member its key, type,
 * default and meaning. Only the commands read it; lower layers get option structs of their own.
 */
#ifndef SLUICE_SETTINGS_H
#define SLUICE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "secret.h"

struct source_settings {
	const char *url; /* libpq connection string */
	struct secret password;
	const char *publication;
	const char *slot;
	const char *tables; /* patterns, see pg_match_tables() */
	bool iam_auth;      /* the password is an RDS token of our AWS identity */
};

struct warehouse_settings {
	const char *url;
	int64_t memory_limit; /* bytes */
	int64_t threads;
};

struct store_settings {
	const char *url;
	const char *endpoint, *ca_file; /* of s3:// and gs:// */
	const char *credentials;        /* gs: credential file */
	const char *region;             /* s3 */
	bool path_style, checksums;     /* s3 */
	int64_t part_size;              /* bytes */
};

/* Who we are towards AWS; see aws_identity.h. */
struct aws_settings {
	const char *region, *profile, *role_arn, *external_id, *sts_endpoint, *ca_file;
};

struct models_settings {
	const char *url;
	const char *features; /* directory of feature sets beside the built-in ones; may be empty */
	const char *evaluation_cut; /* time split: labels known before it train, bookings after it
				       test */
	int64_t trees, depth, threads, seed;
	const char *learning_rate; /* decimal text */
};

struct replicate_settings {
	const char *journal;                                         /* directory */
	int64_t segment_size, retention, batch_rows, flush_interval; /* bytes, us, rows, us */
	int64_t fsync_interval;   /* us: how long a commit may wait for its group's fsync */
	int64_t max_lag;          /* us; readiness fails beyond it */
	struct secret hash_key;   /* of the hashes that stand in the place of personal data */
	int64_t stall_after;      /* us: what stands still so long has stalled */
	int64_t silence_limit;    /* us: a source silent for so long is connected to anew */
	int64_t snapshot_workers; /* threads that copy tables */
};

struct reconcile_settings {
	int64_t range_rows;                     /* of one transaction */
	int64_t resume;                         /* us */
	int64_t pause_lag;                      /* bytes of log not applied yet */
	int64_t pause_sessions;                 /* that run a statement */
	int64_t pause_transaction, pause_limit; /* us */
	const char *hashes;                     /* directory; empty: none are kept */
};

struct handback_settings {
	const char *signing_key; /* PEM file, Ed25519 private key; only where releases are made */
	const char *trusted_key; /* PEM file, Ed25519 public key; where releases are landed */
	const char *person; /* who acts, for approvals and releases; default: the user's login */
};

struct serve_settings {
	const char *roles;  /* what `sluice up` runs: replicate, operator, api, worker */
	const char *listen; /* address:port of the operator API; port 0: any free one */
};

struct app_settings {
	const char *listen;
	const char *database; /* libpq connection string; empty: [source] url */
	struct secret database_password;
	int64_t threads;
	bool import_mode;      /* accept backdated business times */
	const char *workflow;  /* the workflow whose gate the worker reads */
	const char *threshold; /* decimal text: score at and above which a guest is asked to
				  reconfirm */
	int64_t poll_interval; /* us */
};

struct table_settings {
	const char *name; /* "public.bookings" */
	const char *valid_time;
	const char *exclude, *hash, *mask; /* lists of columns, see guard_add() */
	bool insert_only;                  /* published though nothing tells its rows apart */
};

struct workflow_settings {
	const char *name; /* "cancel-risk" */
	const char *model, *features, *key;
	const char *min_auc; /* decimal text */
	int64_t max_age;     /* us: a release older than this is stale */
	int64_t approvals;
	const char *reference;    /* "public.bookings.booking_id": scored keys must exist there */
	const char *open_rows;    /* SQL condition on the reference table: rows that need a score */
	const char *min_coverage; /* decimal text: least share of those rows that have one */
	const char *max_psi;
};

struct settings {
	struct source_settings source;
	struct warehouse_settings warehouse;
	struct store_settings store;
	struct aws_settings aws;
	struct models_settings models;
	struct replicate_settings replicate;
	struct reconcile_settings reconcile;
	struct handback_settings handback;
	struct serve_settings serve;
	struct app_settings app;
	struct conf_list tables;    /* struct table_settings */
	struct conf_list workflows; /* struct workflow_settings */
};

extern const struct conf_section settings_sections[];

/* The directory of a configuration file, where its relative paths start; the working directory
 * when path is NULL or there is no such file. */
const char *settings_directory(const char *path, struct arena *mem);

/* Makes relative paths start at `dir`, the directory of the configuration file. */
void settings_resolve(struct settings *s, const char *dir, struct arena *mem);

/* NULL when the file has no such section. */
const struct table_settings *settings_table(const struct settings *s, const char *name);
const struct workflow_settings *settings_workflow(const struct settings *s, const char *name);

#endif
