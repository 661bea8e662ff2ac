/* models_drivers: what models.c needs of each driver. Not for other layers. */
#ifndef SLUICE_MODELS_DRIVERS_H
#define SLUICE_MODELS_DRIVERS_H

#include "models.h"

/* `dir` is the path of a local:// URL; made when absent. */
enum err models_local_open(
	struct models **out, const char *dir, const struct env *env, struct error *e) MUST_CHECK;

#endif
