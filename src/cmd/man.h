/*
 * man: manual pages in roff, made from the tables of commands, options and configuration keys.
 */
#ifndef SLUICE_MAN_H
#define SLUICE_MAN_H

#include "buf.h"
#include "command.h"

void man_overview(struct buf *out);                         /* sluice(1) */
void man_command(const struct command *c, struct buf *out); /* sluice-NAME(1) */
void man_configuration(struct buf *out);                    /* sluice.conf(5) */

#endif
