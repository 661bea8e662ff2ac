/* reconcile_print: reports of reconciliations and counts as tables for people. */
#ifndef SLUICE_RECONCILE_PRINT_H
#define SLUICE_RECONCILE_PRINT_H

#include "command.h"
#include "counts.h"
#include "reconcile.h"

void reconcile_print(struct context *c, const struct reconcile_report *r);
size_t reconcile_tables_that_differ(const struct reconcile_report *r);
void counts_print(struct context *c, const struct counts_report *r);

#endif
