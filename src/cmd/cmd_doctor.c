/* sluice doctor: every requirement, what is wrong, how to mend it. */
#include <stdarg.h>
#include <stdio.h>

#include "cmd_all.h"
#include "doctor.h"
#include "json.h"
#include "print_table.h"

static struct str format(struct doctor *d, const char *fmt, va_list args)
{
	char text[1024];
	vsnprintf(text, sizeof text, fmt, args);
	return arena_str(d->mem, str_of(text));
}

void finding_ok(struct doctor *d, struct finding *f, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	*f = (struct finding){.ok = true, .detail = format(d, fmt, args)};
	va_end(args);
}

void finding_no(struct doctor *d, struct finding *f, const char *fix, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	*f = (struct finding){
		.detail = format(d, fmt, args), .fix = arena_str(d->mem, str_of(fix))};
	va_end(args);
}

void finding_unknown(struct doctor *d, struct finding *f, const struct error *e, const char *fix)
{
	finding_no(d, f, fix, "%s", e->text);
}

static void print_json(struct context *c, const char *name, const struct finding *f)
{
	struct buf b;
	struct json_out j;

	buf_init(&b, 1 << 20);
	jo_init(&j, &b);
	jo_object(&j, NULL);
	jo_cstr(&j, "check", name);
	jo_bool(&j, "ok", f->ok);
	jo_str(&j, "detail", f->detail);
	if (f->ok)
		jo_null(&j, "fix");
	else
		jo_str(&j, "fix", f->fix);
	jo_end_object(&j);
	context_emit(c, &b);
	buf_free(&b);
}

static void print_text(struct context *c, const char *name, const struct finding *f)
{
	bool colour = print_colour(c->terminal);
	const char *on = !colour ? "" : f->ok ? "\033[32m" : "\033[31m";

	fprintf(c->out, "%s%-4s%s%-24s%.*s\n", on, f->ok ? "ok" : "NO", colour ? "\033[0m" : "",
		name, STR_ARG(f->detail));
	if (!f->ok)
		fprintf(c->out, "    %-24sfix: %.*s\n", "", STR_ARG(f->fix));
	fflush(c->out);
}

static void look(struct doctor *d, const struct doctor_check *check, struct finding *f)
{
	if (!check->source || d->source != NULL) {
		check->look(d, f);
		return;
	}
	/* The first check that needs the source says why; the others need not say it again. */
	finding_no(d, f, "make the source reachable: [source] url, network, password, pg_hba.conf",
		"not known, for the source is not reachable%s%.*s", d->down.n > 0 ? ": " : "",
		STR_ARG(d->down));
	d->down = STR_NONE;
}

/* How many say no. */
static size_t run_checks(struct doctor *d, const struct doctor_check *checks)
{
	size_t no = 0;

	for (; checks->name != NULL; checks++) {
		struct finding f = {.ok = false};
		look(d, checks, &f);
		no += !f.ok;
		if (d->c->json)
			print_json(d->c, checks->name, &f);
		else
			print_text(d->c, checks->name, &f);
	}
	return no;
}

static enum err run_doctor(struct context *c, const void *args, struct error *e)
{
	struct doctor d = {.c = c, .mem = c->mem};
	struct error down = {.kind = OK};

	(void)args;
	if (context_source(c, &d.source, &down) != OK) {
		d.source = NULL;
		d.down = arena_str(c->mem, str_of(down.text));
	}
	size_t no = run_checks(&d, doctor_local_checks);
	no += run_checks(&d, doctor_source_checks);
	no += run_checks(&d, doctor_server_checks);
	pg_close(d.source);
	if (no > 0)
		return FAIL(e, ERR_CHECK,
			"%zu of the requirements %s not met; each says how to mend it", no,
			no == 1 ? "is" : "are");
	return OK;
}

const struct command cmd_doctor = {
	.name = "doctor",
	.summary = "look at every requirement, say what is wrong and how to mend it",
	.details =
		"Looks at the configuration, the source, the warehouse, the store, the registry "
		"and "
		"the keys, and goes on when one of them is down. What could not be looked at "
		"counts "
		"as not met. Nothing in the source is changed. Of a store in a cloud it says who "
		"it became there and what that may do.\n\n"
		"Exit 0 when every requirement is met, 3 when one is not.",
	.examples = "sluice doctor          # for people\n"
		    "sluice doctor --json   # one object a check",
	.needs = WANTS_WAREHOUSE,
	.run = run_doctor,
};
