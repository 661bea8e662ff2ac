#include "secret.h"

#include <string.h>

#include "buf.h"
#include "file.h"
#include "mem.h"

#define SECRET_MAX ((size_t)1 << 20)

void secret_set(struct secret *s, struct str plain)
{
	char *copy = mem_cstr(plain); /* first: plain may point into the old one */

	secret_free(s);
	*s = (struct secret){.hidden = copy, .length = plain.n};
}

void secret_free(struct secret *s)
{
	if (s->hidden != NULL)
		explicit_bzero(s->hidden, s->length);
	mem_free(s->hidden);
	*s = (struct secret){0};
}

bool secret_is_set(const struct secret *s)
{
	return s->hidden != NULL && s->length > 0;
}

const char *secret_reveal(const struct secret *s)
{
	return s->hidden != NULL ? s->hidden : "";
}

enum err secret_read_file(struct secret *s, const char *path, struct error *e)
{
	struct buf content;
	char *room;

	/* All the room at once: a buffer that moved would leave copies behind unwiped. */
	buf_init(&content, SECRET_MAX);
	enum err rc = buf_room(&content, SECRET_MAX, &room, e);
	if (rc == OK)
		rc = file_read(path, &content, e);
	if (rc == OK) {
		struct str text = buf_str(&content);
		if (str_ends(text, STR("\n")))
			text.n--;
		secret_set(s, text);
	}
	if (content.p != NULL)
		explicit_bzero(content.p, content.cap);
	buf_free(&content);
	return rc;
}
