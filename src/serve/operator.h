/*
 * operator: the small HTTP API through which a running `sluice up` is watched: /livez (the
 * process answers), /readyz (it does its work; ?verbose says why not), /healthz (the same as
 * /livez), /metrics (Prometheus text) and /status (JSON, as `sluice status --json`).
 */
#ifndef SLUICE_OPERATOR_H
#define SLUICE_OPERATOR_H

#include "buf.h"
#include "env.h"
#include "err.h"

struct operator_server;

struct operator_options {
	const char *listen; /* "127.0.0.1:0" */
	/* OK when ready; otherwise the error's text says why. Called from handler threads. */
	enum err (*ready)(void *arg, struct error *e);
	/* Appends the status as one JSON object. Called from handler threads. */
	enum err (*status)(void *arg, struct buf *out, struct error *e);
	void *arg;
};

enum err operator_start(struct operator_server **out, const struct operator_options *o,
	const struct env *env, struct error *e) MUST_CHECK;
const char *operator_address(const struct operator_server *s); /* "127.0.0.1:41234" */
void operator_stop(struct operator_server *s);                 /* NULL is fine */

#endif
