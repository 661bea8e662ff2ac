/*
 * log: one event a line. Text with colours on a terminal, JSON otherwise
 * {"ts","level","component","msg",...fields}. Thread-safe: a line is one write(2).
 * Secrets cannot be logged: struct secret has no formatter.
 */
#ifndef SLUICE_LOG_H
#define SLUICE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_format { LOG_AUTO, LOG_TEXT, LOG_JSON };

struct log_field {
	const char *key;
	enum { LOG_STR, LOG_I64, LOG_F64, LOG_BOOL } type;
	union {
		struct str s;
		int64_t i;
		double f;
		bool b;
	} v;
};

struct log;
struct clock;

/* Writes to fd, which stays the caller's. LOG_AUTO looks at isatty(fd) and NO_COLOR. */
struct log *log_open(int fd, enum log_format format, enum log_level at_least, struct clock *clock);
void log_close(struct log *l);

void log_event(struct log *l, enum log_level level, const char *component,
	const struct log_field *fields, size_t nfields, const char *fmt, ...) PRINTF_LIKE(6, 7);

/* log_info(log, "apply", "batch done", F_I64("rows", n), F_STR("table", name)). A NULL log is
 * silent. */
#define log_debug(l, c, msg, ...) LOG_AT(l, LOG_DEBUG, c, msg, ##__VA_ARGS__)
#define log_info(l, c, msg, ...)  LOG_AT(l, LOG_INFO, c, msg, ##__VA_ARGS__)
#define log_warn(l, c, msg, ...)  LOG_AT(l, LOG_WARN, c, msg, ##__VA_ARGS__)
#define log_error(l, c, msg, ...) LOG_AT(l, LOG_ERROR, c, msg, ##__VA_ARGS__)

#define LOG_AT(l, level, c, msg, ...)                                                              \
	log_event((l), (level), (c), (const struct log_field[]){{.key = NULL}, ##__VA_ARGS__},     \
		sizeof((const struct log_field[]){{.key = NULL}, ##__VA_ARGS__}) /                 \
			sizeof(struct log_field),                                                  \
		"%s", (msg))

#define F_STR(k, view) ((struct log_field){.key = (k), .type = LOG_STR, .v.s = (view)})
#define F_CSTR(k, c)   ((struct log_field){.key = (k), .type = LOG_STR, .v.s = str_of(c)})
#define F_I64(k, n)    ((struct log_field){.key = (k), .type = LOG_I64, .v.i = (int64_t)(n)})
#define F_F64(k, x)    ((struct log_field){.key = (k), .type = LOG_F64, .v.f = (x)})
#define F_BOOL(k, x)   ((struct log_field){.key = (k), .type = LOG_BOOL, .v.b = (x)})

#endif
