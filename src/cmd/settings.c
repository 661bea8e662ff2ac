/* The table of every configuration key. */
#include "settings.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MINUTE INT64_C(60000000)
#define DAY    (24 * 60 * MINUTE)

#define KEY(struct_, name_, ...)                                                                   \
	{                                                                                          \
		.name = #name_, .offset = offsetof(struct struct_, name_), __VA_ARGS__             \
	}

static const struct conf_key source_keys[] = {
	KEY(source_settings, url, .type = CONF_STRING,
		.help = "Connection string of the PostgreSQL to replicate, as libpq takes it: "
			"postgresql://user@host/database?sslmode=verify-full, or key=value words. "
			"Required by every command that reads the source."),
	KEY(source_settings, password, .type = CONF_SECRET,
		.help = "Password of that connection. Better given as password_file or through "
			"SLUICE_SOURCE_PASSWORD_FILE."),
	KEY(source_settings, publication, .type = CONF_STRING, .initial = "sluice",
		.help = "Publication that `sluice init` makes and replication reads."),
	KEY(source_settings, slot, .type = CONF_STRING, .initial = "sluice",
		.help = "Logical replication slot. One slot has one reader."),
	KEY(source_settings, tables, .type = CONF_STRING, .initial = "public.*",
		.help = "Tables to replicate: names and patterns joined by commas, such as "
			"public.*, sales.orders, !public.audit. ! leaves out; later patterns win."),
	KEY(source_settings, iam_auth, .type = CONF_BOOL, .initial = "false",
		.help = "Log in to RDS with a token of our AWS identity ([aws]) instead of a password. "
			"The connection string names one host and user, and "
			"sslmode=verify-full; RDS needs rds.iam_auth_for_replication = 1."),
	CONF_KEY_END,
};

static const struct conf_key warehouse_keys[] = {
	KEY(warehouse_settings, url, .type = CONF_STRING, .initial = "duckdb://warehouse.duckdb",
		.help = "Where the rows go: duckdb:///path (embedded). A relative path starts at "
			"the directory of the configuration file."),
	KEY(warehouse_settings, memory_limit, .type = CONF_SIZE, .initial = "2GB",
		.help = "Memory the embedded warehouse may use; 0 leaves it to the engine."),
	KEY(warehouse_settings, threads, .type = CONF_INT, .initial = "2", .max = 1024,
		.help = "Threads of the embedded warehouse; 0 leaves it to the engine."),
	CONF_KEY_END,
};

static const struct conf_key store_keys[] = {
	KEY(store_settings, url, .type = CONF_STRING, .initial = "file://store",
		.help = "Object store of the releases: file:///directory, s3://bucket/prefix or "
			"gs://bucket/prefix."),
	KEY(store_settings, endpoint, .type = CONF_STRING,
		.help = "Another address of the service than the vendor's: https://host[:port]. Plain "
			"http only to this machine (127.0.0.1, [::1], localhost)."),
	KEY(store_settings, ca_file, .type = CONF_STRING,
		.help = "PEM file of the certificates that the service and its token services are "
			"checked with, instead of the system's."),
	KEY(store_settings, credentials, .type = CONF_STRING,
		.help = "gs://: file that says how to become a Google identity, as `gcloud iam "
			"workload-identity-pools create-cred-config` writes it. Empty: "
			"GOOGLE_APPLICATION_CREDENTIALS, then the metadata server."),
	KEY(store_settings, region, .type = CONF_STRING,
		.help = "s3://: region of the bucket. Empty: AWS_REGION, then AWS_DEFAULT_REGION."),
	KEY(store_settings, path_style, .type = CONF_BOOL, .initial = "false",
		.help = "s3://: name the bucket in the path instead of the host."),
	KEY(store_settings, checksums, .type = CONF_BOOL, .initial = "true",
		.help = "s3://: have the service check SHA-256 checksums, beside our own. Off: for "
			"servers that know none."),
	KEY(store_settings, part_size, .type = CONF_SIZE, .initial = "8MB", .min = 1 << 18,
		.max = INT64_C(1) << 32,
		.help = "Content larger than this is sent in parts of this size. S3 takes no parts "
			"below 5MB; for gs:// it is rounded down to a multiple of 256kB."),
	CONF_KEY_END,
};

static const struct conf_key aws_keys[] = {
	KEY(aws_settings, region, .type = CONF_STRING,
		.help = "Region of STS and, where [store] region and a host name do not say another, "
			"of S3 and RDS. Empty: AWS_REGION, AWS_DEFAULT_REGION, the profile's."),
	KEY(aws_settings, profile, .type = CONF_STRING,
		.help = "Profile of AWS's shared files (~/.aws/config, ~/.aws/credentials). Empty: "
			"AWS_PROFILE, and then AWS's usual places: environment, [default], web identity "
			"token (EKS), container (EKS Pod Identity, ECS), instance."),
	KEY(aws_settings, role_arn, .type = CONF_STRING,
		.help = "Role to assume with what is found there."),
	KEY(aws_settings, external_id, .type = CONF_STRING,
		.help = "External id that the role's trust policy asks for."),
	KEY(aws_settings, sts_endpoint, .type = CONF_STRING,
		.help = "Another address of AWS STS: https://host[:port]. Empty: that of the region."),
	KEY(aws_settings, ca_file, .type = CONF_STRING,
		.help = "PEM file of the certificates that STS is checked with, instead of the "
			"system's. Empty: [store] ca_file."),
	CONF_KEY_END,
};

static const struct conf_key models_keys[] = {
	KEY(models_settings, url, .type = CONF_STRING, .initial = "local://models",
		.help = "Model registry: local:///directory."),
	KEY(models_settings, features, .type = CONF_STRING,
		.help = "Directory of feature sets, NAME.sql, looked in before the built-in ones."),
	KEY(models_settings, evaluation_cut, .type = CONF_STRING, .initial = "",
		.help = "Time split of the evaluation, a date or RFC 3339 time: labels known before it "
			"train, entities that came after it test. Empty: the latest fifth tests."),
	KEY(models_settings, trees, .type = CONF_INT, .initial = "400", .min = 1, .max = 100000,
		.help = "Most boosting rounds."),
	KEY(models_settings, depth, .type = CONF_INT, .initial = "6", .min = 1, .max = 16,
		.help = "Depth of a tree."),
	KEY(models_settings, learning_rate, .type = CONF_STRING, .initial = "0.05",
		.help = "Shrinkage of each round, above 0 and at most 1."),
	KEY(models_settings, threads, .type = CONF_INT, .initial = "2", .min = 1, .max = 1024,
		.help = "Threads for training and scoring."),
	KEY(models_settings, seed, .type = CONF_INT, .initial = "20170301", .min = 0,
		.max = INT32_MAX,
		.help = "Seed of training. The same data and seed give the same model."),
	CONF_KEY_END,
};

static const struct conf_key replicate_keys[] = {
	KEY(replicate_settings, journal, .type = CONF_STRING, .initial = "journal",
		.help = "Directory of the journal: what PostgreSQL sent, durable before it is acknowledged."),
	KEY(replicate_settings, segment_size, .type = CONF_SIZE, .initial = "64MB", .min = 1 << 16,
		.max = INT64_C(1) << 32, .help = "Size at which a journal segment is sealed."),
	KEY(replicate_settings, retention, .type = CONF_TIME, .initial = "1d", .max = 3650 * DAY,
		.help = "How long an applied segment is kept for windows and replay."),
	KEY(replicate_settings, batch_rows, .type = CONF_INT, .initial = "245760", .min = 1,
		.max = 10000000,
		.help = "Row changes applied in one warehouse transaction at most, whole "
			"source transactions not being split."),
	KEY(replicate_settings, flush_interval, .type = CONF_TIME, .initial = "200ms", .min = 1000,
		.max = 60 * MINUTE, .help = "How long a change may wait for its batch."),
	KEY(replicate_settings, fsync_interval, .type = CONF_TIME, .initial = "20ms", .max = MINUTE,
		.help = "How long a commit may wait for the fsync of its group."),
	KEY(replicate_settings, max_lag, .type = CONF_TIME, .initial = "60s", .max = DAY,
		.help = "Lag beyond which readiness fails."),
	KEY(replicate_settings, hash_key, .type = CONF_SECRET,
		.help = "Key of the hashes that [table] hash puts in the place of values: a long random "
			"text. Better given as hash_key_file or through SLUICE_REPLICATE_HASH_KEY_FILE. "
			"Another key gives other hashes: resynchronise the tables when it changes."),
	KEY(replicate_settings, stall_after, .type = CONF_TIME, .initial = "20s", .min = 1000000,
		.max = 60 * MINUTE,
		.help = "How long a stage may have work and not move before the watchdog reports a "
			"stall, in the log, the metrics, readiness and status."),
	KEY(replicate_settings, silence_limit, .type = CONF_TIME, .initial = "60s", .min = 1000000,
		.max = 60 * MINUTE,
		.help = "How long the source may say nothing, though it is asked every five seconds, "
			"before the connection is given up and made again."),
	KEY(replicate_settings, snapshot_workers, .type = CONF_INT, .initial = "2", .min = 1,
		.max = 16,
		.help = "Ranges of tables that are copied at a time, each over a connection to the "
			"source of its own, open only while there is something to copy."),
	CONF_KEY_END,
};

static const struct conf_key reconcile_keys[] = {
	KEY(reconcile_settings, range_rows, .type = CONF_INT, .initial = "2000000", .min = 1,
		.max = INT64_C(1) << 40,
		.help = "Rows that one transaction on the source compares, about: larger tables are "
			"compared in key ranges, each at a cut of its own."),
	KEY(reconcile_settings, resume, .type = CONF_TIME, .initial = "6h", .max = 30 * DAY,
		.help = "How long a reconciliation that was broken off can be gone on with. 0: each "
			"begins afresh."),
	KEY(reconcile_settings, pause_lag, .type = CONF_SIZE, .initial = "1GB",
		.max = INT64_C(1) << 50,
		.help = "Log not yet applied beyond which no further range is begun. 0: no limit."),
	KEY(reconcile_settings, pause_sessions, .type = CONF_INT, .initial = "0", .max = 1000000,
		.help = "Sessions of the source that run a statement, beyond which no further range "
			"is begun. 0: no limit."),
	KEY(reconcile_settings, pause_transaction, .type = CONF_TIME, .initial = "0",
		.max = 30 * DAY,
		.help = "Age of the source's oldest transaction beyond which no further range is "
			"begun. 0: no limit."),
	KEY(reconcile_settings, pause_limit, .type = CONF_TIME, .initial = "10min", .max = 30 * DAY,
		.help = "How long a pause may last before the reconciliation gives up, to be gone on "
			"with later. 0: for ever."),
	KEY(reconcile_settings, hashes, .type = CONF_STRING, .initial = "hashes",
		.help = "Directory where the hash of each row is kept for `sluice reconcile --changed`, "
			"24 bytes a row. It may be removed at any time. Empty: none are kept, and a "
			"check of the changes reads history."),
	CONF_KEY_END,
};

static const struct conf_key handback_keys[] = {
	KEY(handback_settings, signing_key, .type = CONF_STRING,
		.help = "PEM file of the Ed25519 key that signs releases. Only where they are made."),
	KEY(handback_settings, trusted_key, .type = CONF_STRING,
		.help = "PEM file of the public key whose releases are landed."),
	KEY(handback_settings, person, .type = CONF_STRING,
		.help = "Who acts, in approvals and releases. Empty: the login name."),
	CONF_KEY_END,
};

static const struct conf_key serve_keys[] = {
	KEY(serve_settings, roles, .type = CONF_STRING, .initial = "replicate, operator",
		.help = "What `sluice up` runs in this process: any of replicate, operator, api, worker."),
	KEY(serve_settings, listen, .type = CONF_STRING, .initial = "127.0.0.1:0",
		.help = "Address and port of the operator API (/livez, /readyz, /metrics, /status); "
			"port 0 takes any free one."),
	CONF_KEY_END,
};

static const struct conf_key app_keys[] = {
	KEY(app_settings, listen, .type = CONF_STRING, .initial = "127.0.0.1:0",
		.help = "Address and port of the reservation API; port 0 takes any free one."),
	KEY(app_settings, database, .type = CONF_STRING,
		.help = "Connection string of the application's database. Empty: [source] url."),
	KEY(app_settings, database_password, .type = CONF_SECRET,
		.help = "Password of that connection. Empty: [source] password."),
	KEY(app_settings, threads, .type = CONF_INT, .initial = "4", .min = 1, .max = 256,
		.help = "Threads that answer requests, each with a database connection."),
	KEY(app_settings, import_mode, .type = CONF_BOOL, .initial = "false",
		.help = "Accept business times in the past, for importing bookings."),
	KEY(app_settings, workflow, .type = CONF_STRING, .initial = "cancel-risk",
		.help = "Workflow whose gate the worker reads."),
	KEY(app_settings, threshold, .type = CONF_STRING, .initial = "0.5",
		.help = "Score at and above which a guest is asked to reconfirm."),
	KEY(app_settings, poll_interval, .type = CONF_TIME, .initial = "200ms", .min = 1000,
		.max = 60 * MINUTE, .help = "How often the worker looks for work when idle."),
	CONF_KEY_END,
};

static const struct conf_key table_keys[] = {
	KEY(table_settings, valid_time, .type = CONF_STRING,
		.help = "Column with the business time of a row's version. The table's _versions view "
			"then uses it instead of the commit time."),
	KEY(table_settings, insert_only, .type = CONF_BOOL, .initial = "false",
		.help = "Replicate the table though it has no key and no other replica identity: its rows "
			"are only ever added. PostgreSQL then refuses UPDATE and DELETE on it."),
	KEY(table_settings, exclude, .type = CONF_STRING,
		.help = "Columns that are left out, joined by commas: they are written nowhere on this "
			"side. A name with special characters stands in double quotes; ? after a name "
			"says that the table need not have it."),
	KEY(table_settings, hash, .type = CONF_STRING,
		.help = "Columns whose values are replaced by HMAC-SHA-256 of their text under "
			"[replicate] hash_key, in hexadecimal. Equal values stay equal, so joins "
			"work. The only one of the three that a key column may have."),
	KEY(table_settings, mask, .type = CONF_STRING,
		.help = "Columns whose values are replaced by ****, by another text (NAME:\"text\"), "
			"or by their shape (NAME:shape, letters as x and X, digits as 0)."),
	CONF_KEY_END,
};

static const struct conf_key workflow_keys[] = {
	KEY(workflow_settings, model, .type = CONF_STRING, .initial = "cancel_risk",
		.help = "Model in the registry."),
	KEY(workflow_settings, features, .type = CONF_STRING, .initial = "cancel_risk",
		.help = "Feature set that the model scores."),
	KEY(workflow_settings, key, .type = CONF_STRING, .initial = "booking_id",
		.help = "Column that names what is scored."),
	KEY(workflow_settings, reference, .type = CONF_STRING,
		.initial = "public.bookings.booking_id",
		.help = "Column of the application's database in which every scored key must exist."),
	KEY(workflow_settings, open_rows, .type = CONF_STRING, .initial = "status = 'booked'",
		.help = "SQL condition on that column's table: the rows that need a score."),
	KEY(workflow_settings, min_coverage, .type = CONF_STRING, .initial = "0.95",
		.help = "Least share of those rows that a release must cover, 0 to 1."),
	KEY(workflow_settings, min_auc, .type = CONF_STRING, .initial = "0.70",
		.help = "Least AUC of the model's time-split evaluation."),
	KEY(workflow_settings, max_psi, .type = CONF_STRING, .initial = "0.25",
		.help = "Most population stability index of the scores against the live version."),
	KEY(workflow_settings, max_age, .type = CONF_TIME, .initial = "1d", .min = MINUTE,
		.max = 365 * DAY, .help = "Age beyond which a release is stale and is not landed."),
	KEY(workflow_settings, approvals, .type = CONF_INT, .initial = "2", .min = 1, .max = 10,
		.help = "Persons who must approve before the gate opens; never the publisher."),
	CONF_KEY_END,
};

#define SECTION(name_, help_)                                                                      \
	{                                                                                          \
		.name = #name_, .offset = offsetof(struct settings, name_),                        \
		.size = sizeof(struct name_##_settings), .keys = name_##_keys, .help = (help_)     \
	}
#define REPEATED(name_, member_, argument_, help_)                                                 \
	{                                                                                          \
		.name = #name_, .argument = (argument_),                                           \
		.offset = offsetof(struct settings, member_),                                      \
		.size = sizeof(struct name_##_settings), .keys = name_##_keys, .help = (help_)     \
	}

const struct conf_section settings_sections[] = {
	SECTION(source, "The PostgreSQL that is the system of record."),
	SECTION(warehouse, "Where replicated rows go and questions are asked."),
	SECTION(store, "Where releases are kept."),
	SECTION(aws, "Who we are towards AWS, for s3:// and RDS."),
	SECTION(models, "Feature sets, training and the model registry."),
	SECTION(replicate, "How rows cross."),
	SECTION(reconcile, "How the warehouse is compared with the source."),
	SECTION(handback, "How scores come back: keys and persons."),
	SECTION(serve, "What `sluice up` runs and where it listens."),
	SECTION(app, "The reservation service."),
	REPEATED(table, tables, "SCHEMA.NAME", "What is special about one table."),
	REPEATED(workflow, workflows, "NAME", "An application behaviour that uses scores."),
	CONF_SECTION_END,
};

const struct table_settings *settings_table(const struct settings *s, const char *name)
{
	const struct table_settings *t = s->tables.items;
	for (size_t i = 0; i < s->tables.n; i++)
		if (strcmp(t[i].name, name) == 0)
			return &t[i];
	return NULL;
}

const struct workflow_settings *settings_workflow(const struct settings *s, const char *name)
{
	const struct workflow_settings *w = s->workflows.items;
	for (size_t i = 0; i < s->workflows.n; i++)
		if (strcmp(w[i].name, name) == 0)
			return &w[i];
	return NULL;
}

/* "scheme://relative" with the directory put in; anything else as it stands. */
static const char *resolve_url(const char *url, const char *dir, struct arena *mem)
{
	static const char *const local[] = {"duckdb://", "file://", "local://"};
	for (size_t i = 0; i < sizeof local / sizeof *local; i++) {
		size_t n = strlen(local[i]);
		if (strncmp(url, local[i], n) == 0 && url[n] != '/')
			return arena_fmt(mem, "%s%s/%s", local[i], dir, url + n).p;
	}
	return url;
}

static const char *resolve_path(const char *path, const char *dir, struct arena *mem)
{
	if (path == NULL || path[0] == '\0' || path[0] == '/')
		return path;
	return arena_fmt(mem, "%s/%s", dir, path).p;
}

const char *settings_directory(const char *path, struct arena *mem)
{
	char real[PATH_MAX];
	if (path == NULL || realpath(path, real) == NULL)
		return getcwd(real, sizeof real) != NULL ? arena_cstr(mem, str_of(real)) : ".";
	char *slash = strrchr(real, '/');
	return arena_cstr(mem, str_make(real, slash == real ? 1 : (size_t)(slash - real)));
}

void settings_resolve(struct settings *s, const char *dir, struct arena *mem)
{
	s->warehouse.url = resolve_url(s->warehouse.url, dir, mem);
	s->store.url = resolve_url(s->store.url, dir, mem);
	s->store.ca_file = resolve_path(s->store.ca_file, dir, mem);
	s->store.credentials = resolve_path(s->store.credentials, dir, mem);
	s->aws.ca_file = resolve_path(s->aws.ca_file, dir, mem);
	s->models.url = resolve_url(s->models.url, dir, mem);
	s->models.features = resolve_path(s->models.features, dir, mem);
	s->replicate.journal = resolve_path(s->replicate.journal, dir, mem);
	s->handback.signing_key = resolve_path(s->handback.signing_key, dir, mem);
	s->handback.trusted_key = resolve_path(s->handback.trusted_key, dir, mem);
}
