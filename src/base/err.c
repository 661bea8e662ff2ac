#include "err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "str.h"

/* A text cut in the middle of a UTF-8 sequence loses the whole sequence. */
static void trim_partial(char *text, size_t n)
{
	size_t start = n;

	while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
		start--;
	if (start > 0)
		start--;
	if (str_utf8_length(text + start, n - start) != n - start)
		text[start] = '\0';
}

/* Appends what fits; true when not all did. */
static bool append(char *text, size_t size, const char *more)
{
	size_t have = strlen(text), n = strlen(more);
	size_t room = size - 1 - have;
	size_t take = n < room ? n : room;

	memcpy(text + have, more, take);
	text[have + take] = '\0';
	return take < n;
}

/* Formats beside the old text first, because the arguments may point into it. */
PRINTF_LIKE(2, 0)
static void put_text(struct error *e, const char *fmt, va_list args, const char *tail)
{
	char text[sizeof e->text];
	int n = vsnprintf(text, sizeof text, fmt, args);
	bool cut = n >= (int)sizeof text;

	if (n < 0)
		text[0] = '\0';
	if (tail != NULL)
		cut = append(text, sizeof text, ": ") || append(text, sizeof text, tail) || cut;
	if (cut)
		trim_partial(text, strlen(text));
	memcpy(e->text, text, sizeof text);
}

enum err error_set(struct error *e, enum err kind, const char *where, const char *fmt, ...)
{
	if (e == NULL)
		return kind;
	va_list args;
	va_start(args, fmt);
	put_text(e, fmt, args, NULL);
	va_end(args);
	e->kind = kind;
	e->where = where;
	return kind;
}

enum err error_wrap(struct error *e, const char *fmt, ...)
{
	if (e == NULL)
		return ERR_FAILED; /* the caller did not want to know what it was */
	char before[sizeof e->text];
	memcpy(before, e->text, sizeof before);
	va_list args;
	va_start(args, fmt);
	put_text(e, fmt, args, before);
	va_end(args);
	return e->kind;
}

enum err error_errno(
	struct error *e, enum err kind, int errnum, const char *where, const char *fmt, ...)
{
	if (e == NULL)
		return kind;
	char reason[128];
	va_list args;
	va_start(args, fmt);
	put_text(e, fmt, args, strerror_r(errnum, reason, sizeof reason));
	va_end(args);
	e->kind = kind;
	e->where = where;
	return kind;
}

void error_clear(struct error *e)
{
	if (e == NULL)
		return;
	e->kind = OK;
	e->where = NULL;
	e->text[0] = '\0';
}

static const struct {
	const char *name;
	int exit_code;
} kinds[] = {
	[OK] = {"ok", 0},
	[ERR_FAILED] = {"failed", 1},
	[ERR_USAGE] = {"usage", 2},
	[ERR_CHECK] = {"check", 3},
	[ERR_UNAVAILABLE] = {"unavailable", 4},
	[ERR_INPUT] = {"input", 1},
	[ERR_NOT_FOUND] = {"not_found", 1},
	[ERR_CONFLICT] = {"conflict", 1},
	[ERR_INTERRUPTED] = {"interrupted", 130},
	[ERR_BUG] = {"bug", 1},
};

int error_exit_code(enum err kind)
{
	return (size_t)kind < sizeof kinds / sizeof kinds[0] ? kinds[kind].exit_code : 1;
}

const char *error_kind_name(enum err kind)
{
	return (size_t)kind < sizeof kinds / sizeof kinds[0] ? kinds[kind].name : "unknown";
}
