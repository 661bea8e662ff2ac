/*
 * Commands that the design promises and this version does not have yet. Each says so and exits
 * with 2, rather than pretending.
 */
#include "cmd_all.h"

struct later_args {
	const char *words[8];
};

static const struct opt_arg later_positional[] = {
	{.name = "WORD", .offset = offsetof(struct later_args, words[0]), .optional = true},
	{.name = "WORD", .offset = offsetof(struct later_args, words[1]), .optional = true},
	{.name = "WORD", .offset = offsetof(struct later_args, words[2]), .optional = true},
	{.name = "WORD", .offset = offsetof(struct later_args, words[3]), .optional = true},
	OPT_ARG_END,
};

static enum err run_later(struct context *c, const void *args, struct error *e)
{
	(void)c;
	(void)args;
	return FAIL(
		e, ERR_USAGE, "this command is not in this version of sluice; nothing was done");
}

#define LATER(variable, name_, summary_)                                                           \
	const struct command variable = {.name = name_,                                            \
		.summary = summary_ " (not in this version)",                                      \
		.positional = later_positional,                                                    \
		.args_size = sizeof(struct later_args),                                            \
		.run = run_later}

LATER(cmd_report_build, "report build", "build reporting tables");
LATER(cmd_endpoint_list, "endpoint list", "endpoints that serve online");
LATER(cmd_endpoint_create, "endpoint create", "make an endpoint");
LATER(cmd_endpoint_deploy, "endpoint deploy", "deploy a model version to an endpoint");
LATER(cmd_endpoint_undeploy, "endpoint undeploy", "take a model version from an endpoint");
LATER(cmd_endpoint_split, "endpoint split", "divide an endpoint's traffic");
LATER(cmd_serve, "serve", "serve the Vertex-compatible API");
LATER(cmd_pipeline_run, "pipeline run", "run a KFP pipeline spec");
LATER(cmd_pipeline_list, "pipeline list", "pipeline runs");
LATER(cmd_pipeline_show, "pipeline show", "one pipeline run");
LATER(cmd_pipeline_cancel, "pipeline cancel", "cancel a pipeline run");
