/* What this machine must have: configuration, directories, warehouse, store, registry, keys. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "doctor.h"
#include "file.h"
#include "models.h"
#include "store.h"
#include "warehouse.h"

#define LEAST_FREE INT64_C(1073741824)

static bool is_set(const char *s)
{
	return s != NULL && s[0] != '\0';
}

static void check_config(struct doctor *d, struct finding *f)
{
	const char *path = d->c->config_path;
	if (!is_set(d->c->set->source.url))
		finding_no(d, f,
			"put url = postgresql://... under [source] in sluice.conf, or set "
			"SLUICE_SOURCE_URL",
			"%s%s", path != NULL ? path : "there is no configuration file",
			path != NULL ? " names no source"
				     : ", and no environment names the source");
	else
		finding_ok(d, f, "%s",
			path != NULL ? path : "no file; settings come from the environment");
}

/* The directory itself, or the nearest one above it that exists. */
static struct str existing_above(struct doctor *d, const char *path)
{
	struct str at = str_of(path);
	while (at.n > 0 && !file_exists(arena_cstr(d->mem, at))) {
		while (at.n > 0 && at.p[at.n - 1] != '/')
			at.n--;
		while (at.n > 1 && at.p[at.n - 1] == '/')
			at.n--;
	}
	return at.n > 0 ? at : STR(".");
}

static int64_t free_bytes(const char *dir)
{
	struct statvfs v;
	return statvfs(dir, &v) == 0 ? (int64_t)(v.f_bavail * v.f_frsize) : -1;
}

static void judge_directory(
	struct doctor *d, struct finding *f, const char *what, const char *path, int64_t least)
{
	const char *at = arena_cstr(d->mem, existing_above(d, path));
	char reason[128];

	if (access(at, W_OK | X_OK) != 0) {
		const char *why = strerror_r(errno, reason, sizeof reason);
		finding_no(d, f,
			arena_fmt(
				d->mem, "let this user write to %s, or name another directory", at)
				.p,
			"%s %s: %s: %s", what, path, at, why);
		return;
	}
	int64_t left = free_bytes(at);
	if (left < least)
		finding_no(d, f, "free space there, or name a directory on another disk",
			"%s %s: %lld MB are free, %lld MB are needed", what, path,
			(long long)(left >> 20), (long long)(least >> 20));
	else
		finding_ok(d, f, "%s %s, %lld GB free", what, path, (long long)(left >> 30));
}

static void check_journal(struct doctor *d, struct finding *f)
{
	const struct replicate_settings *r = &d->c->set->replicate;
	int64_t segments = 4 * r->segment_size;
	judge_directory(
		d, f, "directory", r->journal, segments > LEAST_FREE ? segments : LEAST_FREE);
}

/* Opening would make an embedded warehouse that is not there: then its place is looked at. */
static void check_warehouse(struct doctor *d, struct finding *f)
{
	const char *url = d->c->set->warehouse.url, *embedded = "duckdb://";
	struct warehouse *w = NULL;
	struct error e = {.kind = OK};
	int64_t one = 0;

	if (strncmp(url, embedded, strlen(embedded)) == 0 && !file_exists(url + strlen(embedded))) {
		judge_directory(d, f,
			"not made yet (`sluice init` makes it):", url + strlen(embedded),
			LEAST_FREE);
		return;
	}
	enum err rc = context_warehouse(d->c, &w, &e);
	if (rc == OK)
		rc = warehouse_i64(w, STR("SELECT 1"), &one, &e);
	if (rc == OK)
		rc = warehouse_ensure_ops(w, &e);
	if (rc == ERR_CONFLICT)
		finding_unknown(d, f, &e,
			"end the process that holds the warehouse, or let `sluice up` hold it: "
			"this "
			"command then runs inside it");
	else if (rc != OK)
		finding_unknown(
			d, f, &e, "correct [warehouse] url, or mend what the message names");
	else
		finding_ok(d, f, "%s opens and can be written", url);
}

static enum err see_key(void *arg, struct str key, size_t bytes, struct error *e)
{
	(void)key;
	(void)bytes;
	(void)e;
	++*(size_t *)arg;
	return OK;
}

static void check_store(struct doctor *d, struct finding *f)
{
	struct store *s = NULL;
	struct error e = {.kind = OK};
	struct buf who;
	size_t keys = 0;
	enum err rc = context_store(d->c, &s, &e);

	/* Who first: a refusal then names the one that was refused. */
	buf_init(&who, 4096);
	if (rc == OK)
		rc = store_who(s, &who, &e);
	if (rc == OK)
		rc = store_list(s, STR("releases/"), see_key, &keys, &e);
	if (rc != OK)
		finding_unknown(d, f, &e, "correct [store] url, or mend what the message names");
	else
		finding_ok(d, f, "%s answers; %zu files of releases%s%s", d->c->set->store.url,
			keys, who.n > 0 ? "; we are " : "", buf_cstr(&who));
	buf_free(&who);
}

static enum err see_version(void *arg, const struct model_version *v, struct error *e)
{
	(void)v;
	(void)e;
	++*(size_t *)arg;
	return OK;
}

static void check_models(struct doctor *d, struct finding *f)
{
	struct models *m = NULL;
	struct error e = {.kind = OK};
	size_t versions = 0;
	enum err rc = context_models(d->c, &m, &e);

	if (rc == OK)
		rc = models_list(m, STR_NONE, see_version, &versions, &e);
	if (rc != OK)
		finding_unknown(d, f, &e, "correct [models] url, or mend what the message names");
	else
		finding_ok(d, f, "%s answers; %zu model versions", d->c->set->models.url, versions);
}

/* `mask`: permissions that nobody but the owner may have. */
static void judge_key(struct doctor *d, struct finding *f, const char *path, mode_t mask,
	const char *mode, const char *unset)
{
	struct stat st;
	char reason[128];

	if (!is_set(path))
		finding_ok(d, f, "%s", unset);
	else if (stat(path, &st) != 0)
		finding_no(d, f, "make the key, or correct its path under [handback]", "%s: %s",
			path, strerror_r(errno, reason, sizeof reason));
	else if (!S_ISREG(st.st_mode) || access(path, R_OK) != 0)
		finding_no(d, f, "name a file that this user can read", "%s cannot be read", path);
	else if ((st.st_mode & mask) != 0)
		finding_no(d, f, arena_fmt(d->mem, "chmod %s %s", mode, path).p,
			"%s has the permissions %04o: others could use or replace it", path,
			(unsigned)(st.st_mode & 07777));
	else
		finding_ok(d, f, "%s, permissions %04o", path, (unsigned)(st.st_mode & 07777));
}

static void check_signing_key(struct doctor *d, struct finding *f)
{
	judge_key(d, f, d->c->set->handback.signing_key, S_IRWXG | S_IRWXO, "600",
		"not set: no releases are made here");
}

static void check_trusted_key(struct doctor *d, struct finding *f)
{
	judge_key(d, f, d->c->set->handback.trusted_key, S_IWGRP | S_IWOTH, "go-w",
		"not set: no releases are landed here");
}

const struct doctor_check doctor_local_checks[] = {
	{"config", false, check_config},
	{"journal", false, check_journal},
	{"warehouse", false, check_warehouse},
	{"store", false, check_store},
	{"models", false, check_models},
	{"signing_key", false, check_signing_key},
	{"trusted_key", false, check_trusted_key},
	{.name = NULL},
};
