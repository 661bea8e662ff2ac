/*
 * replicate_settings: replication's options, from the configuration.
 */
#ifndef SLUICE_REPLICATE_SETTINGS_H
#define SLUICE_REPLICATE_SETTINGS_H

#include "command.h"
#include "replicate.h"

/* Everything *out points to lives as long as the settings, or in c->mem. */
void replicate_settings_options(struct context *c, struct replicate_options *out);

#endif
