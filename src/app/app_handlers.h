/*
 * app_handlers: the handlers of the reservation API, by subject.
 */
#ifndef SLUICE_APP_HANDLERS_H
#define SLUICE_APP_HANDLERS_H

#include "http_route.h"

/* bookings_write.c */
http_handler booking_create, booking_change;
http_handler booking_cancel, booking_check_in, booking_check_out, booking_no_show;

/* bookings_read.c */
http_handler booking_get, booking_list;

/* guests.c */
http_handler guest_get, guest_erase;

/* app_ops.c */
http_handler ops_live, ops_ready, ops_metrics, ops_openapi;

#endif
