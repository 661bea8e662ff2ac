/*
 * release_report: what a reconciliation's report says, as its own text has it. Private to
 * src/handback.
 */
#ifndef SLUICE_RELEASE_REPORT_H
#define SLUICE_RELEASE_REPORT_H

#include "err.h"
#include "str.h"

/*
 * OK when it compared every table and all were equal. ERR_CHECK when it found differences,
 * compared a single table, does not say what it covers, or cannot be read. `at` is the position
 * it was made at, for the error.
 */
enum err release_report_check(struct str report, struct str at, struct error *e) MUST_CHECK;

#endif
