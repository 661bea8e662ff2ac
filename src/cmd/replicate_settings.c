#include "replicate_settings.h"

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
	*out = (struct replicate_options){.conninfo = s->source.url,
		.password = secret_is_set(&s->source.password) ? secret_reveal(&s->source.password)
							       : NULL,
		.publication = s->source.publication,
		.slot = s->source.slot,
		.tables = s->source.tables,
		.journal = s->replicate.journal,
		.segment_size = s->replicate.segment_size,
		.retention_us = s->replicate.retention,
		.batch_rows = s->replicate.batch_rows,
		.flush_interval_us = s->replicate.flush_interval,
		.fsync_interval_us = s->replicate.fsync_interval,
		.valid_times = times,
		.nvalid_times = ntimes};
}
