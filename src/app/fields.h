/*
 * fields: the members of a JSON body as a table. From the rules come validation, the statement's
 * parameters and the OpenAPI document, so that none of them can say something else.
 */
#ifndef SLUICE_APP_FIELDS_H
#define SLUICE_APP_FIELDS_H

#include <jansson.h>

#include "arena.h"
#include "problem.h"

enum field_kind {
	FIELD_INT,     /* whole number from min to max */
	FIELD_DECIMAL, /* number, or text, with at most two decimals, from min to max */
	FIELD_BOOL,
	FIELD_TEXT,   /* min to max characters after trimming, no control characters */
	FIELD_EMAIL,  /* likewise, with an @ inside */
	FIELD_CODE,   /* min to max capital letters A-Z */
	FIELD_CHOICE, /* one of choices, separated by | */
	FIELD_DATE,   /* YYYY-MM-DD, 1990 to 2200 */
	FIELD_TIME,   /* RFC 3339 with a zone; not later than now */
};

enum field_flag {
	FIELD_REQUIRED = 1,
	FIELD_NULLABLE = 2,
	FIELD_IMPORT = 4, /* accepted in import mode only */
};

struct field_rule {
	const char *name;
	enum field_kind kind;
	unsigned flags;
	int64_t min, max;
	const char *choices;
	const char *initial; /* value when absent; NULL: SQL NULL */
	const char *help;    /* a sentence for the API's description */
};

#define FIELDS_MAX        40
#define FIELDS_MAX_ERRORS 32

/* Filled by fields_read: one text parameter for each rule, in order. */
struct fields {
	struct arena *mem;
	bool import_mode;
	int64_t now_us;
	const char *values[FIELDS_MAX]; /* NULL: SQL NULL */
	bool given[FIELDS_MAX];
	size_t n; /* rules read so far */
	struct problem_field errors[FIELDS_MAX_ERRORS];
	size_t nerrors; /* more than fit are left out */
};

/*
 * Reads an object by its rules, appending to f->values. `prefix` is the JSON pointer of the object,
 * "" at the top. `also` names members that the caller reads itself; NULL: none. Unknown members
 * are errors. object NULL: every rule as if absent.
 */
void fields_read(struct fields *f, const json_t *object, const struct field_rule *rules, size_t n,
	const char *prefix, const char *also);

void fields_error(struct fields *f, const char *prefix, const char *name, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/* The value of a rule that was read as a number or a day (days since 1970), 0 when NULL. */
int64_t fields_number(const struct fields *f, size_t i);
int64_t fields_day(const struct fields *f, size_t i);

#endif
