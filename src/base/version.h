/* version: what this program calls itself. */
#ifndef SLUICE_VERSION_H
#define SLUICE_VERSION_H

const char *sluice_version(void); /* "0.1.0" */

#endif
