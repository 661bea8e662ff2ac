#include "log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "file.h"
#include "json.h"
#include "mem.h"

/* One text in a line is cut at this length: a log is not where a document is kept. */
#define TEXT_MAX       ((size_t)8 << 10)
#define LINE_MAX_BYTES ((size_t)1 << 20)

struct log {
	int fd;
	bool json, colour;
	enum log_level at_least;
	struct clock *clock;
	pthread_mutex_t lock;
};

static const struct {
	const char *name, *label, *colour;
} levels[] = {
	[LOG_DEBUG] = {"debug", "DEBUG", "\033[2m"},
	[LOG_INFO] = {"info", "INFO ", "\033[32m"},
	[LOG_WARN] = {"warn", "WARN ", "\033[33m"},
	[LOG_ERROR] = {"error", "ERROR", "\033[31m"},
};

struct log *log_open(int fd, enum log_format format, enum log_level at_least, struct clock *clock)
{
	struct log *l = mem_zalloc(sizeof *l);
	bool terminal = isatty(fd) != 0;
	const char *no_colour = getenv("NO_COLOR");

	l->fd = fd;
	l->json = format == LOG_JSON || (format == LOG_AUTO && !terminal);
	l->colour = terminal && (no_colour == NULL || no_colour[0] == '\0');
	l->at_least = at_least;
	l->clock = clock;
	pthread_mutex_init(&l->lock, NULL);
	return l;
}

void log_close(struct log *l)
{
	if (l == NULL)
		return;
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}

static struct str shortened(struct str s)
{
	return s.n > TEXT_MAX ? str_make(s.p, TEXT_MAX) : s;
}

static void field_json(struct json_out *j, const struct log_field *f)
{
	switch (f->type) {
	case LOG_STR:
		jo_str(j, f->key, shortened(f->v.s));
		break;
	case LOG_I64:
		jo_i64(j, f->key, f->v.i);
		break;
	case LOG_F64:
		jo_f64(j, f->key, f->v.f);
		break;
	case LOG_BOOL:
		jo_bool(j, f->key, f->v.b);
		break;
	}
}

/* Control characters would let a value from outside forge lines or drive the terminal. */
static void put_safe(struct buf *b, struct str s)
{
	s = shortened(s);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '\n')
			buf_puts(b, "\\n");
		else if (c < 0x20 || c == 0x7f)
			buf_putf(b, "\\x%02x", c);
		else
			buf_putc(b, s.p[i]);
	}
}

static void field_text(struct buf *b, const struct log_field *f)
{
	buf_putf(b, " %s=", f->key);
	switch (f->type) {
	case LOG_STR: {
		bool quoted = f->v.s.n == 0 || str_find(f->v.s, STR(" ")) >= 0;
		buf_puts(b, quoted ? "\"" : "");
		put_safe(b, f->v.s);
		buf_puts(b, quoted ? "\"" : "");
		break;
	}
	case LOG_I64:
		buf_putf(b, "%lld", (long long)f->v.i);
		break;
	case LOG_F64:
		buf_put_f64(b, f->v.f);
		break;
	case LOG_BOOL:
		buf_puts(b, f->v.b ? "true" : "false");
		break;
	}
}

/* What a line is made of, before anything is formatted. */
struct event {
	const char *time, *component;
	enum log_level level;
	struct str msg;
	const struct log_field *fields;
	size_t nfields;
};

static void line_json(struct buf *b, const struct event *ev)
{
	struct json_out j;

	jo_init(&j, b);
	jo_object(&j, NULL);
	jo_cstr(&j, "ts", ev->time);
	jo_cstr(&j, "level", levels[ev->level].name);
	jo_cstr(&j, "component", ev->component);
	jo_str(&j, "msg", shortened(ev->msg));
	for (size_t i = 0; i < ev->nfields; i++)
		if (ev->fields[i].key != NULL)
			field_json(&j, &ev->fields[i]);
	jo_end_object(&j);
	buf_putc(b, '\n');
}

static void line_text(struct buf *b, const struct event *ev, bool colour)
{
	buf_putf(b, "%s %s%s%s %s: ", ev->time, colour ? levels[ev->level].colour : "",
		levels[ev->level].label, colour ? "\033[0m" : "", ev->component);
	put_safe(b, ev->msg);
	for (size_t i = 0; i < ev->nfields; i++)
		if (ev->fields[i].key != NULL)
			field_text(b, &ev->fields[i]);
	buf_putc(b, '\n');
}

/* A log that cannot be written is nobody's to report: the work goes on. */
static void write_line(struct log *l, struct str line)
{
	pthread_mutex_lock(&l->lock);
	IGNORE(file_write_all(l->fd, line.p, line.n, "the log", NULL));
	pthread_mutex_unlock(&l->lock);
}

void log_event(struct log *l, enum log_level level, const char *component,
	const struct log_field *fields, size_t nfields, const char *fmt, ...)
{
	char time[CLOCK_TEXT];
	struct buf msg, line;
	va_list args;

	if (l == NULL || level < l->at_least)
		return;
	buf_init(&msg, LINE_MAX_BYTES);
	va_start(args, fmt);
	buf_putv(&msg, fmt, args);
	va_end(args);

	struct event ev = {clock_format(clock_wall(l->clock), time, sizeof time), component, level,
		buf_str(&msg), fields, nfields};
	buf_init(&line, LINE_MAX_BYTES);
	if (l->json)
		line_json(&line, &ev);
	else
		line_text(&line, &ev, l->colour);
	if (!buf_ok(&line)) { /* absurdly many fields: the message alone */
		ev.nfields = 0;
		buf_reset(&line);
		line_json(&line, &ev);
	}
	write_line(l, buf_str(&line));
	buf_free(&line);
	buf_free(&msg);
}
