/*
 * process: child programs. No shell is ever involved.
 */
#ifndef SLUICE_PROCESS_H
#define SLUICE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "clock.h"
#include "err.h"

struct process {
	pid_t pid;  /* 0 once reaped */
	int status; /* as waitpid gives it, once reaped */
};

struct process_options {
	char *const *argv;    /* argv[0] is searched on PATH unless it has a slash */
	char *const *environ; /* NULL: inherit */
	const char *cwd;      /* NULL: inherit */
	int out_fd, err_fd;   /* -1: inherit */
	uid_t uid;            /* with gid: run as that user when switch_user */
	gid_t gid;
	bool switch_user;
	bool die_with_parent; /* PR_SET_PDEATHSIG SIGTERM */
};

enum err process_start(
	struct process *p, const struct process_options *o, struct error *e) MUST_CHECK;

/* Waits for the end. *exit_code is 0..255, or 128 + signal. */
enum err process_wait(struct process *p, int *exit_code, struct error *e) MUST_CHECK;

/* As process_wait, at most timeout_us; *ended is false when it still runs. */
enum err process_wait_for(struct process *p, struct clock *clock, int64_t timeout_us, bool *ended,
	int *exit_code, struct error *e) MUST_CHECK;

/* SIGTERM, then SIGKILL after grace_us; reaps. Nothing when not running. */
void process_stop(struct process *p, struct clock *clock, int64_t grace_us);

/* Runs to the end with stdout collected; stderr inherited unless err is given. */
enum err process_run(const struct process_options *o, struct buf *out, struct buf *err,
	int *exit_code, struct error *e) MUST_CHECK;

#endif
