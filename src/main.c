/* main: find the command, make its surroundings, run it here or where the warehouse is held. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "clock.h"
#include "control.h"
#include "env.h"
#include "failpoint.h"
#include "log.h"
#include "mem.h"
#include "metrics.h"
#include "rnd.h"
#include "run.h"
#include "settings.h"
#include "shared.h"
#include "version.h"

/* Signal handlers can reach nothing else. */
static atomic_bool stop_asked;

static void ask_stop(int sig)
{
	(void)sig;
	/* The second time the default action comes: a way out of anything that hangs. */
	atomic_store(&stop_asked, true);
}

static void handle_signals(void)
{
	struct sigaction stop = {.sa_handler = ask_stop, .sa_flags = (int)SA_RESETHAND};
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static enum log_level level_of(const char *name)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	for (int i = 0; i < 4; i++)
		if (name != NULL && strcmp(name, names[i]) == 0)
			return (enum log_level)i;
	return LOG_INFO;
}

static enum log_format format_of(const char *name)
{
	if (name != NULL && strcmp(name, "text") == 0)
		return LOG_TEXT;
	if (name != NULL && strcmp(name, "json") == 0)
		return LOG_JSON;
	return LOG_AUTO;
}

struct program {
	struct arena mem;
	struct settings settings;
	const char *config; /* NULL when there is no file */
	struct env env;
	struct rnd rnd;
};

static enum err load_settings(struct program *p, const struct global_args *g, struct error *e)
{
	const char *path = g->config != NULL ? g->config : "sluice.conf";
	TRY(conf_load(
		settings_sections, path, g->config != NULL, environ, &p->settings, &p->mem, e));
	if (access(path, R_OK) == 0)
		p->config = path;
	settings_resolve(&p->settings, settings_directory(p->config, &p->mem), &p->mem);
	return OK;
}

static enum err make_env(struct program *p, const struct global_args *g, struct error *e)
{
	rnd_system(&p->rnd);
	p->env = (struct env){.clock = clock_system(),
		.rnd = &p->rnd,
		.stop = &stop_asked,
		.metrics = metrics_new()};
	p->env.log = log_open(
		STDERR_FILENO, format_of(g->log_format), level_of(g->log_level), p->env.clock);
	const char *spec = getenv("SLUICE_FAILPOINTS");
	if (spec != NULL)
		TRY(failpoints_parse(&p->env.failpoints, str_of(spec), e));
	return OK;
}

static void program_free(struct program *p)
{
	failpoints_free(p->env.failpoints);
	metrics_free(p->env.metrics);
	log_close(p->env.log);
	conf_free(settings_sections, &p->settings);
	arena_free(&p->mem);
}

/* How long another command may hold the embedded warehouse before we give up. */
#define HELD_PATIENCE_US INT64_C(15000000)
#define HELD_RETRY_US    INT64_C(20000)

/*
 * Commands that need the embedded warehouse run in the process that holds it. Who holds it and
 * does not listen is just starting, just ending, or no sluice: look again for a while.
 */
static enum err settle(struct program *p, struct shared *shared, int argc, char **argv,
	bool *served, int *code, struct error *e)
{
	int64_t give_up = clock_mono(p->env.clock) + HELD_PATIENCE_US;
	for (;;) {
		struct warehouse *w;
		TRY(control_run(p->settings.warehouse.url, argc, argv, p->config, &p->env, served,
			code, e));
		if (*served)
			return OK;
		enum err rc = shared_warehouse(shared, &w, e);
		if (rc != ERR_CONFLICT)
			return rc;
		if (clock_mono(p->env.clock) >= give_up) {
			e->kind = ERR_UNAVAILABLE;
			return ERR_UNAVAILABLE;
		}
		env_sleep(&p->env, HELD_RETRY_US);
		TRY(env_check(&p->env, e));
	}
}

static enum err run_anywhere(struct program *p, const struct invocation *inv, int argc, char **argv,
	int *code, struct error *e)
{
	struct shared *shared = shared_new(&p->env, &p->settings, argv[0], p->config);
	const struct streams io = {.in = stdin, .out = stdout, .err = stderr};
	bool served = false;
	enum err rc = OK;
	unsigned needs = inv->global.help ? 0 : inv->command->needs;
	if ((needs & (NEEDS_WAREHOUSE | WANTS_WAREHOUSE)) != 0)
		rc = settle(p, shared, argc, argv, &served, code, e);
	if ((needs & WANTS_WAREHOUSE) != 0 && rc != ERR_INTERRUPTED)
		rc = OK; /* the command looks for itself, and says what it finds */
	if (rc == OK && !served)
		*code = run_invocation(shared, NULL, &p->env, inv, &io, &p->mem);
	shared_free(shared);
	return rc;
}

static int print_overview(const struct global_args *g)
{
	if (g->version) {
		printf("sluice %s\n", sluice_version());
		return 0;
	}
	struct buf b;
	buf_init(&b, 1 << 20);
	help_overview(&b);
	fwrite(b.p, 1, b.n, g->help ? stdout : stderr);
	buf_free(&b);
	return g->help ? 0 : 2;
}

static int print_group(const char *group)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	help_group(group, &b);
	fwrite(b.p, 1, b.n, stdout);
	buf_free(&b);
	return 0;
}

static const char *first_word(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (argv[i][0] != '-')
			return argv[i];
	return "";
}

static int run_program(struct program *p, int argc, char **argv)
{
	struct error e = {0};
	struct invocation inv;
	int code = 1;
	enum err rc = invocation_parse(argc, argv, &p->mem, &inv, &e);
	if (rc == OK && inv.command == NULL && inv.global.help &&
		help_is_group(first_word(argc, argv)))
		return print_group(first_word(argc, argv));
	if (rc == OK && (inv.command == NULL || inv.global.version))
		return print_overview(&inv.global);
	if (rc == OK)
		rc = load_settings(p, &inv.global, &e);
	if (rc == OK)
		rc = make_env(p, &inv.global, &e);
	if (rc == OK)
		rc = run_anywhere(p, &inv, argc, argv, &code, &e);
	if (rc == OK)
		return code;
	report_error(stderr, &e);
	return error_exit_code(rc);
}

int main(int argc, char **argv)
{
	struct program p = {0};
	handle_signals();
	int code = run_program(&p, argc, argv);
	program_free(&p);
	if (fflush(stdout) != 0 && code == 0)
		code = 1;
	return code;
}
