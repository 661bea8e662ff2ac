/*
 * cmd_all: every command there is. One object a command, each in the file of its family.
 */
#ifndef SLUICE_CMD_ALL_H
#define SLUICE_CMD_ALL_H

#include "command.h"

extern const struct command cmd_demo;
extern const struct command cmd_up;
extern const struct command cmd_init;
extern const struct command cmd_doctor;
extern const struct command cmd_replicate;
extern const struct command cmd_status;
extern const struct command cmd_query;
extern const struct command cmd_reconcile;
extern const struct command cmd_repair;
extern const struct command cmd_table_add;
extern const struct command cmd_table_drop;
extern const struct command cmd_table_resync;
extern const struct command cmd_table_pause;
extern const struct command cmd_table_resume;
extern const struct command cmd_table_retry;
extern const struct command cmd_window_list;
extern const struct command cmd_window_record;
extern const struct command cmd_window_verify;
extern const struct command cmd_window_replay;
extern const struct command cmd_window_push;
extern const struct command cmd_window_fetch;
extern const struct command cmd_features_build;
extern const struct command cmd_features_check;
extern const struct command cmd_report_build;
extern const struct command cmd_train;
extern const struct command cmd_score;
extern const struct command cmd_model_list;
extern const struct command cmd_model_show;
extern const struct command cmd_model_alias;
extern const struct command cmd_model_delete;
extern const struct command cmd_endpoint_list;
extern const struct command cmd_endpoint_create;
extern const struct command cmd_endpoint_deploy;
extern const struct command cmd_endpoint_undeploy;
extern const struct command cmd_endpoint_split;
extern const struct command cmd_serve;
extern const struct command cmd_publish;
extern const struct command cmd_land;
extern const struct command cmd_release_list;
extern const struct command cmd_release_verify;
extern const struct command cmd_release_rollback;
extern const struct command cmd_gate_status;
extern const struct command cmd_gate_request;
extern const struct command cmd_gate_approve;
extern const struct command cmd_gate_open;
extern const struct command cmd_gate_close;
extern const struct command cmd_pipeline_run;
extern const struct command cmd_pipeline_list;
extern const struct command cmd_pipeline_show;
extern const struct command cmd_pipeline_cancel;
extern const struct command cmd_app_api;
extern const struct command cmd_app_worker;
extern const struct command cmd_config;
extern const struct command cmd_help;

#endif
