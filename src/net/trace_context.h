/*
 * trace_context: the ids that follow a request from service to service: W3C Trace Context's
 * traceparent (version 00) and X-Request-Id. Pure, but for the randomness handed in.
 */
#ifndef SLUICE_TRACE_CONTEXT_H
#define SLUICE_TRACE_CONTEXT_H

#include "arena.h"
#include "rnd.h"
#include "str.h"

/* "00-<32 hex>-<16 hex>-<2 hex>", lower case, neither id all zeros. */
bool trace_parent_valid(struct str s);

/* What to pass on: `received` when valid, else a new one with the sampled flag clear. */
struct str trace_parent_take(struct str received, struct rnd *rnd, struct arena *mem);

/* `received` when it is 1 to 128 visible ASCII characters, else 16 hex digits. */
struct str request_id_take(struct str received, struct rnd *rnd, struct arena *mem);

#endif
