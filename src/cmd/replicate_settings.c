#include "replicate_settings.h"

#include "guard.h"
#include "shared.h"
#include "source_token.h"

void replicate_settings_options(struct context *c, struct replicate_options *out)
{
	const struct settings *s = c->set;
	const struct table_settings *t = s->tables.items;
	struct replicate_valid_time *times = arena_array(c->mem, s->tables.n + 1, sizeof *times);
	size_t ntimes = 0;

	for (size_t i = 0; i < s->tables.n; i++)
		if (t[i].valid_time != NULL && t[i].valid_time[0] != '\0')
			times[ntimes++] = (struct replicate_valid_time){
				.table = t[i].name, .column = t[i].valid_time};
	const char **insert_only = arena_array(c->mem, s->tables.n + 1, sizeof *insert_only);
	size_t ninsert_only = 0;

	for (size_t i = 0; i < s->tables.n; i++)
		if (t[i].insert_only)
			insert_only[ninsert_only++] = t[i].name;
	const struct secret *key = &s->replicate.hash_key;
	struct guard *guard = arena_alloc(c->mem, sizeof *guard);
	if (secret_is_set(key))
		guard->key = str_of(secret_reveal(key));
	for (size_t i = 0; i < s->tables.n; i++)
		guard_add(guard, c->mem, t[i].name, t[i].exclude, t[i].hash, t[i].mask);
	*out = (struct replicate_options){.conninfo = s->source.url,
		.password = secret_is_set(&s->source.password) ? secret_reveal(&s->source.password)
							       : NULL,
		.password_file = s->source.password.file,
		.token = source_token_of(shared_token(c->shared)),
		.publication = s->source.publication,
		.slot = s->source.slot,
		.tables = s->source.tables,
		.journal = s->replicate.journal,
		.segment_size = s->replicate.segment_size,
		.retention_us = s->replicate.retention,
		.batch_rows = s->replicate.batch_rows,
		.flush_interval_us = s->replicate.flush_interval,
		.fsync_interval_us = s->replicate.fsync_interval,
		.stall_after_us = s->replicate.stall_after,
		.silence_us = s->replicate.silence_limit,
		.snapshot_workers = s->replicate.snapshot_workers,
		.valid_times = times,
		.nvalid_times = ntimes,
		.insert_only = insert_only,
		.ninsert_only = ninsert_only,
		.guard = guard};
}
