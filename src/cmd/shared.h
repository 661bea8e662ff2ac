/*
 * shared: what one process holds open for all the commands that run in it: the warehouse, the
 * store, the registry. Opened on first use, under a lock. While the embedded warehouse is open
 * the process listens on its control socket, so that other commands can run here.
 */
#ifndef SLUICE_SHARED_H
#define SLUICE_SHARED_H

#include "env.h"
#include "err.h"
#include "settings.h"

struct control_server;
struct warehouse;
struct store;
struct models;
struct replicate;
struct source_token;

struct shared;

struct shared *shared_new(const struct env *env, const struct settings *set, const char *program,
	const char *config_path);
/* Lets commands that run for clients end, then closes everything. NULL is fine. */
void shared_free(struct shared *s);

/* ERR_CONFLICT when another process holds the embedded warehouse. */
enum err shared_warehouse(struct shared *s, struct warehouse **out, struct error *e) MUST_CHECK;
enum err shared_store(struct shared *s, struct store **out, struct error *e) MUST_CHECK;
enum err shared_models(struct shared *s, struct models **out, struct error *e) MUST_CHECK;

/*
 * A process replicates once at a time. shared_join_replicate gives the replication that runs in
 * this process; when none does, it gives NULL and the caller has the sole right to start one, until
 * it says by shared_set_replicate what came of it: the handle, or NULL for none (any more). Waits
 * while another caller has that right. A handle that was given is used until
 * shared_leave_replicate() gives it back; it is not freed before.
 */
struct replicate *shared_join_replicate(struct shared *s);
void shared_set_replicate(struct shared *s, struct replicate *r);

/* For looking at: the replication that runs now, or NULL. Does not wait. Give it back too. */
struct replicate *shared_replicate(struct shared *s);
void shared_leave_replicate(struct shared *s);

/*
 * The owner of a handle takes it back before replicate_stop(): its users are woken, and waited for.
 * Nobody starts another until shared_set_replicate(s, NULL) says that this one has ended.
 */
void shared_take_replicate(struct shared *s);

/* What the source is logged in to with, when it takes tokens. */
const struct source_token *shared_token(const struct shared *s);

const struct env *shared_env(const struct shared *s);
const struct settings *shared_settings(const struct shared *s);
const char *shared_program(const struct shared *s);
const char *shared_config_path(const struct shared *s);

#endif
