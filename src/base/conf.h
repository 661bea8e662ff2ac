/*
 * conf: sluice.conf as a table. One row per key says where the value goes in a plain struct, its
 * type, default, range and meaning; defaults, validation, `--help`, the man page and the
 * environment all come from the rows.
 *
 * The file: INI sections; "key = value" to the end of the line, white space trimmed; whole-line
 * comments with # or ;. A value is taken as it stands: no quotes, no inline comments, any length.
 * SLUICE_SECTION_KEY in the environment overrides the file (SLUICE_TABLE_PUBLIC_BOOKINGS_KEY for
 * [table public.bookings], when the file has that section); SLUICE_SECTION_KEY_FILE and the key
 * with "_file" appended read a secret from a file. A key that is set twice in one place, and a
 * variable below a section's prefix that is no key of it, are errors.
 */
#ifndef SLUICE_CONF_H
#define SLUICE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "err.h"
#include "secret.h"

enum conf_type {
	CONF_STRING, /* const char * */
	CONF_SECRET, /* struct secret */
	CONF_BOOL,   /* bool: true, false, on, off, yes, no, 1, 0 */
	CONF_INT,    /* int64_t */
	CONF_SIZE,   /* int64_t bytes: 64MB, 1GiB, 4096; powers of 1024, as in postgresql.conf */
	CONF_TIME,   /* int64_t microseconds: 250ms, 10s, 5min, 2h, 1d; 0 needs no unit */
	CONF_CHOICE, /* const char *, one of choices */
};

struct conf_key {
	const char *name;
	enum conf_type type;
	size_t offset;       /* into the section's struct */
	const char *initial; /* default as text, or NULL: empty, false, 0 */
	const char *choices; /* CONF_CHOICE: "merge|cdc|append" */
	int64_t min, max;    /* CONF_INT, CONF_SIZE, CONF_TIME; both 0: any */
	const char *help;    /* one or two sentences */
};

#define CONF_KEY_END                                                                               \
	{                                                                                          \
		.name = NULL                                                                       \
	}

struct conf_section {
	const char *name;     /* "source"; "table" for [table SCHEMA.NAME] */
	const char *argument; /* "SCHEMA.NAME" when the section repeats, else NULL */
	size_t offset;        /* of the struct, or of a struct conf_list when it repeats */
	size_t size; /* of one struct; its first member is const char *name when it repeats */
	const struct conf_key *keys;
	const char *help;
};

#define CONF_SECTION_END                                                                           \
	{                                                                                          \
		.name = NULL                                                                       \
	}

/* The sections that repeat: items of conf_section.size bytes, first member the name. */
struct conf_list {
	void *items;
	size_t n;
};

/*
 * Fills *into (zeroed by the caller) from defaults, then the file, then the environment.
 * path NULL: no file. A file that must exist and does not is ERR_USAGE when `required`.
 * Errors are ERR_USAGE with path:line, the key, what is allowed, and the nearest known name.
 * Everything allocated lives in `mem`.
 */
enum err conf_load(const struct conf_section *sections, const char *path, bool required,
	char *const *environ, void *into, struct arena *mem, struct error *e) MUST_CHECK;

/* The value in force as text, secrets as "(set)" or "(not set)", for `--show` and errors. */
void conf_print(const struct conf_section *sections, const void *from, struct buf *out);

void conf_roff(const struct conf_section *sections, struct buf *out);   /* body of sluice.conf(5) */
void conf_sample(const struct conf_section *sections, struct buf *out); /* commented sample file */

/* Calls secret_free for every secret in the struct. */
void conf_free(const struct conf_section *sections, void *from);

#endif
