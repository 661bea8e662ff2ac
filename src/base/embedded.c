#include "embedded.h"

#include <string.h>

/* Sorted, but there are a few dozen at most: a straight search is fast enough. */
const struct embedded_file *embedded_find(const char *name)
{
	for (size_t i = 0; i < embedded_count; i++)
		if (strcmp(embedded_files[i].name, name) == 0)
			return &embedded_files[i];
	return NULL;
}

struct str embedded_text(const struct embedded_file *f)
{
	return str_make(f->data, f->size);
}

enum err embedded_each(const char *prefix,
	enum err (*fn)(void *arg, const struct embedded_file *f, struct error *e), void *arg,
	struct error *e)
{
	for (size_t i = 0; i < embedded_count; i++) {
		const struct embedded_file *f = &embedded_files[i];
		if (!str_starts(str_of(f->name), str_of(prefix)))
			continue;
		TRY(fn(arg, f, e));
	}
	return OK;
}
