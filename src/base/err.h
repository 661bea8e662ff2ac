/*
 * Errors: a kind that decides what the caller does, and a sentence that tells the reader what
 * was being done, on what, why it failed and what to do next.
 *
 * A function that can fail returns `enum err` and takes the caller's `struct error` last. It
 * fills the error exactly once, where the failure is seen; callers on the way up may put their
 * own words in front with error_wrap(). The error is printed once, in main or at the boundary
 * of a request.
 */
#ifndef SLUICE_ERR_H
#define SLUICE_ERR_H

#include <stdbool.h>
#include <stdarg.h>

enum err {
	OK = 0,
	ERR_FAILED,      /* it could not be done, and trying again will not help */
	ERR_USAGE,       /* wrong arguments or configuration */
	ERR_CHECK,       /* a check ran and says no */
	ERR_UNAVAILABLE, /* a dependency did not answer; it may later */
	ERR_INPUT,       /* bytes from outside are malformed or damaged */
	ERR_NOT_FOUND,   /* the thing named does not exist */
	ERR_CONFLICT,    /* a precondition no longer holds: it exists, or was changed */
	ERR_INTERRUPTED, /* a stop was asked for */
	ERR_BUG,         /* an invariant of ours does not hold */
};

struct error {
	enum err kind;     /* OK until a failure is recorded */
	const char *where; /* function that saw the failure; static storage */
	char text[1024];   /* NUL-terminated UTF-8; cut at the end if longer */
};

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* Record a failure and return its kind: return FAIL(e, ERR_INPUT, "reading %s: ...", path). */
#define FAIL(e, kind, ...) error_set((e), (kind), __func__, __VA_ARGS__)

/* Return at once when an expression fails. Only for functions that own nothing yet. */
#define TRY(expr)                                                                                  \
	do {                                                                                       \
		enum err try_rc_ = (expr);                                                         \
		if (try_rc_ != OK)                                                                 \
			return try_rc_;                                                            \
	} while (0)

/* For the failure of a clean-up that changes nothing for anybody; say why beside it. */
#define IGNORE(expr)                                                                               \
	do {                                                                                       \
		enum err ignored_rc_ = (expr);                                                     \
		(void)ignored_rc_;                                                                 \
	} while (0)

/* Sets *e (which may be NULL) and returns kind. Overwrites whatever *e held. */
enum err error_set(struct error *e, enum err kind, const char *where, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/* Puts "<formatted>: " before the text already in *e; returns e->kind. */
enum err error_wrap(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* As error_set, with strerror(errnum) appended: "<formatted>: No such file or directory". */
enum err error_errno(struct error *e, enum err kind, int errnum, const char *where, const char *fmt,
	...) PRINTF_LIKE(5, 6);
#define FAIL_ERRNO(e, kind, ...) error_errno((e), (kind), errno, __func__, __VA_ARGS__)

void error_clear(struct error *e);

/* The process exit code for a kind, as promised in the documentation: 0, 1, 2, 3, 4 or 130. */
int error_exit_code(enum err kind);

/* "failed", "usage", "unavailable", ...: a stable word for logs. */
const char *error_kind_name(enum err kind);

#endif
