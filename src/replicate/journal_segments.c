/* The files of the journal as the writer makes them. */
#include "journal_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "file.h"
#include "json.h"
#include "mem.h"

static void segments_add(struct journal *j)
{
	struct segment_list *l = &j->segments;

	pthread_mutex_lock(&j->lock);
	l->items = mem_realloc_array(l->items, l->n + 1, sizeof(*l->items));
	l->items[l->n++] = (struct segment_file){.number = j->head.number,
		.first = j->head.first,
		.bytes = j->written,
		.changed_us = clock_wall(j->env->clock)};
	pthread_mutex_unlock(&j->lock);
}

/* Makes the next segment whole under a temporary name, so that a header is never torn. */
enum err journal_segment_begin(struct journal *j, struct error *e)
{
	char tmp[SEGMENT_PATH];
	struct buf header;

	buf_init(&header, BUF_MAX_DEFAULT);
	j->head.number++;
	j->head.first = j->whole.end;
	j->head.chain = j->whole.chain;
	segment_path(tmp, j->dir, j->head.number, SEGMENT_TMP);
	segment_path(j->path, j->dir, j->head.number, SEGMENT_RAW);
	enum err rc = segment_head_write(&j->head, &j->relations, &header, e);
	if (rc == OK) {
		j->fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (j->fd < 0)
			rc = FAIL_ERRNO(e, ERR_FAILED, "creating the journal segment %s", tmp);
	}
	if (rc == OK)
		rc = file_write_all(j->fd, header.p, header.n, tmp, e);
	if (rc == OK && fsync(j->fd) != 0)
		rc = FAIL_ERRNO(e, ERR_FAILED, "syncing the journal segment %s", tmp);
	if (rc == OK && rename(tmp, j->path) != 0)
		rc = FAIL_ERRNO(e, ERR_FAILED, "renaming the journal segment %s", tmp);
	if (rc == OK)
		rc = file_fsync_dir(j->dir, e);
	if (rc == OK) {
		j->written = header.n;
		j->whole.offset = header.n;
		j->whole.transactions = j->whole.records = 0;
		j->at = j->whole;
		relset_zero(&j->relations);
		segments_add(j);
	}
	buf_free(&header);
	return rc;
}

static void footer_table(struct json_out *o, const struct rel_item *item)
{
	struct str schema, name;
	char digest[DIGEST_TEXT];
	const struct rel_count *n = &item->settled;

	if (item->message == NULL ||
		!relation_name(str_make(item->message, item->length), &schema, &name))
		return;
	jo_object(o, NULL);
	jo_str(o, "schema", schema);
	jo_str(o, "table", name);
	jo_u64(o, "inserts", n->inserts);
	jo_u64(o, "updates", n->updates);
	jo_u64(o, "deletes", n->deletes);
	jo_u64(o, "truncates", n->truncates);
	jo_cstr(o, "digest", digest_format(&n->digest, digest));
	jo_end_object(o);
}

void journal_footer(const struct journal *j, struct buf *out)
{
	struct json_out o;
	char text[LSN_TEXT], hash[20];

	buf_putc(out, 'f');
	jo_init(&o, out);
	jo_object(&o, NULL);
	jo_u64(&o, "records", j->whole.records);
	jo_u64(&o, "transactions", j->whole.transactions);
	jo_cstr(&o, "first", lsn_format(j->head.first, text));
	jo_cstr(&o, "end", lsn_format(j->whole.end, text));
	snprintf(hash, sizeof(hash), "%016" PRIx64, j->whole.chain);
	jo_cstr(&o, "hash", hash);
	jo_array(&o, "tables");
	for (size_t i = 0; i < j->relations.n; i++)
		footer_table(&o, &j->relations.items[i]);
	jo_end_array(&o);
	jo_end_object(&o);
}
