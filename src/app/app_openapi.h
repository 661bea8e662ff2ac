/*
 * app_openapi: the API's description (OpenAPI 3.1), made from the rules that validate it.
 */
#ifndef SLUICE_APP_OPENAPI_H
#define SLUICE_APP_OPENAPI_H

#include "buf.h"

void app_openapi_write(struct buf *out);

#endif
