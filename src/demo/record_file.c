/* Records from the hotel booking demand file. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "buf.h"
#include "clock.h"
#include "mem.h"
#include "record.h"

enum field {
	F_HOTEL,
	F_CANCELED,
	F_LEAD,
	F_YEAR,
	F_MONTH,
	F_WEEK,
	F_DAY,
	F_WEEKEND,
	F_WEEKDAYS,
	F_ADULTS,
	F_CHILDREN,
	F_BABIES,
	F_MEAL,
	F_COUNTRY,
	F_SEGMENT,
	F_CHANNEL,
	F_REPEATED,
	F_PREV_CANCEL,
	F_PREV_STAYS,
	F_RESERVED,
	F_ASSIGNED,
	F_CHANGES,
	F_DEPOSIT,
	F_AGENT,
	F_COMPANY,
	F_WAITING,
	F_CUSTOMER,
	F_RATE,
	F_PARKING,
	F_REQUESTS,
	F_STATUS,
	F_STATUS_DATE,
	FIELDS
};

static const char *const field_names[FIELDS] = {"hotel", "is_canceled", "lead_time",
	"arrival_date_year", "arrival_date_month", "arrival_date_week_number",
	"arrival_date_day_of_month", "stays_in_weekend_nights", "stays_in_week_nights", "adults",
	"children", "babies", "meal", "country", "market_segment", "distribution_channel",
	"is_repeated_guest", "previous_cancellations", "previous_bookings_not_canceled",
	"reserved_room_type", "assigned_room_type", "booking_changes", "deposit_type", "agent",
	"company", "days_in_waiting_list", "customer_type", "adr", "required_car_parking_spaces",
	"total_of_special_requests", "reservation_status", "reservation_status_date"};

struct line {
	const char *path;
	size_t number;
	struct str fields[FIELDS];
};

static enum err gunzip_file(const char *path, struct buf *out, struct error *e)
{
	gzFile f = gzopen(path, "rb"); /* reads plain files as they stand */
	if (f == NULL)
		return FAIL_ERRNO(e, ERR_USAGE, "opening the bookings in %s", path);
	enum err rc = OK;
	int n = 1;
	while (rc == OK && n > 0) {
		char *room = NULL;
		rc = buf_room(out, 1 << 16, &room, e);
		if (rc == OK && (n = gzread(f, room, 1 << 16)) > 0)
			buf_took(out, (size_t)n);
	}
	int code = Z_OK;
	const char *why = gzerror(f, &code);
	if (rc == OK && n < 0)
		rc = FAIL(e, ERR_INPUT, "unpacking the bookings in %s: %s", path, why);
	gzclose(f);
	return rc;
}

static enum err split_line(struct str text, struct line *l, struct error *e)
{
	size_t n = 0;
	struct str field;
	if (str_ends(text, STR("\r")))
		text.n--;
	for (; str_cut(&text, ',', &field); n++)
		if (n < FIELDS)
			l->fields[n] = field;
	if (n < FIELDS)
		l->fields[n] = text;
	if (n + 1 != FIELDS)
		return FAIL(e, ERR_INPUT, "%s line %zu has %zu fields instead of %d", l->path,
			l->number, n + 1, FIELDS);
	return OK;
}

static enum err check_header(const struct line *l, struct error *e)
{
	for (size_t i = 0; i < FIELDS; i++)
		if (!str_eqc(l->fields[i], field_names[i]))
			return FAIL(e, ERR_INPUT,
				"%s is not the hotel booking file: column %zu is '%.*s', expected '%s'",
				l->path, i + 1, STR_ARG(l->fields[i]), field_names[i]);
	return OK;
}

/* A reader that stays bad and remembers the first field that was. */
struct scan {
	const struct line *line;
	int bad; /* field, or -1 */
};

static int32_t take_int(struct scan *s, enum field f, int32_t absent)
{
	struct str t = s->line->fields[f];
	double v;
	if (t.n == 0 || str_eqc(t, "NULL") || str_eqc(t, "NA"))
		return absent;
	if (str_to_double(t, &v) && v == floor(v) && fabs(v) < 1e9)
		return (int32_t)v;
	if (s->bad < 0)
		s->bad = (int)f;
	return absent;
}

static unsigned month_of(struct str name)
{
	static const char *const months[] = {"January", "February", "March", "April", "May", "June",
		"July", "August", "September", "October", "November", "December"};
	for (unsigned i = 0; i < 12; i++)
		if (str_eqc(name, months[i]))
			return i + 1;
	return 0;
}

static struct str take_text(struct scan *s, enum field f)
{
	struct str t = s->line->fields[f];
	return str_eqc(t, "NULL") ? STR_NONE : t;
}

static int64_t take_day(struct scan *s, enum field f)
{
	int64_t us = 0;
	if (!clock_parse(s->line->fields[f], &us) && s->bad < 0)
		s->bad = (int)f;
	return us;
}

static void take_outcome(struct scan *s, struct record *r)
{
	struct str status = s->line->fields[F_STATUS];
	if (str_eqc(status, "Check-Out"))
		r->outcome = OUTCOME_STAYED;
	else if (str_eqc(status, "Canceled"))
		r->outcome = OUTCOME_CANCELLED;
	else if (str_eqc(status, "No-Show"))
		r->outcome = OUTCOME_NO_SHOW;
	else if (s->bad < 0)
		s->bad = F_STATUS;
}

static void take_when(struct scan *s, struct record *r)
{
	unsigned month = month_of(s->line->fields[F_MONTH]);
	if (month == 0 && s->bad < 0)
		s->bad = F_MONTH;
	r->arrival_days = (int32_t)clock_days(
		take_int(s, F_YEAR, 1970), month == 0 ? 1 : month, (unsigned)take_int(s, F_DAY, 1));
	r->booked_us = (r->arrival_days - take_int(s, F_LEAD, 0)) * DAY_US;
	int64_t status_day = take_day(s, F_STATUS_DATE);
	record_times(r, status_day, status_day, s->line->number);
}

static void take_guest(struct scan *s, struct record *r)
{
	r->adults = take_int(s, F_ADULTS, 0);
	r->children = take_int(s, F_CHILDREN, -1);
	r->babies = take_int(s, F_BABIES, 0);
	r->country = take_text(s, F_COUNTRY);
	r->repeated_guest = take_int(s, F_REPEATED, 0) != 0;
	r->previous_cancellations = take_int(s, F_PREV_CANCEL, 0);
	r->previous_stays = take_int(s, F_PREV_STAYS, 0);
	r->customer = take_text(s, F_CUSTOMER);
}

static void take_stay(struct scan *s, struct record *r)
{
	r->hotel = str_eqc(s->line->fields[F_HOTEL], record_hotels[0].name) ? 0 : 1;
	if (r->hotel == 1 && !str_eqc(s->line->fields[F_HOTEL], record_hotels[1].name) &&
		s->bad < 0)
		s->bad = F_HOTEL;
	r->agent = take_int(s, F_AGENT, 0);
	r->company = take_int(s, F_COMPANY, 0);
	r->weekend_nights = take_int(s, F_WEEKEND, 0);
	r->week_nights = take_int(s, F_WEEKDAYS, 0);
	r->meal = str_trim(take_text(s, F_MEAL));
	r->market_segment = take_text(s, F_SEGMENT);
	r->distribution_channel = take_text(s, F_CHANNEL);
	r->reserved_room = str_trim(take_text(s, F_RESERVED));
	r->assigned_room = str_trim(take_text(s, F_ASSIGNED));
	r->deposit = str_trim(take_text(s, F_DEPOSIT));
	r->daily_rate = take_text(s, F_RATE);
	r->parking_spaces = take_int(s, F_PARKING, 0);
	r->special_requests = take_int(s, F_REQUESTS, 0);
	r->changes = take_int(s, F_CHANGES, 0);
	r->cancel_probability = NAN;
	double rate;
	if (!str_to_double(r->daily_rate, &rate) && s->bad < 0)
		s->bad = F_RATE;
}

static enum err parse_record(const struct line *l, struct record *r, struct error *e)
{
	struct scan s = {.line = l, .bad = -1};
	take_outcome(&s, r);
	take_when(&s, r);
	take_guest(&s, r);
	take_stay(&s, r);
	if (s.bad >= 0)
		return FAIL(e, ERR_INPUT, "%s line %zu: %s is '%.*s', which it cannot be", l->path,
			l->number, field_names[s.bad], STR_ARG(l->fields[s.bad]));
	return OK;
}

static size_t count_lines(struct str text)
{
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\n';
	return n + 1;
}

static enum err parse_all(
	const char *path, struct str text, struct arena *mem, struct records *out, struct error *e)
{
	struct line l = {.path = path};
	struct str row;
	out->n = 0;
	out->items = arena_array(mem, count_lines(text), sizeof *out->items);
	while (str_next(&text, '\n', &row)) {
		l.number++;
		if (row.n == 0)
			continue;
		TRY(split_line(row, &l, e));
		if (l.number == 1)
			TRY(check_header(&l, e));
		else
			TRY(parse_record(&l, &out->items[out->n++], e));
	}
	if (out->n == 0)
		return FAIL(e, ERR_INPUT, "%s has no bookings", path);
	return OK;
}

enum err records_from_file(
	const char *path, struct arena *mem, struct records *out, struct error *e)
{
	struct buf b;
	buf_init(&b, BUF_MAX_DEFAULT);
	enum err rc = gunzip_file(path, &b, e);
	/* The records' texts point into the arena's copy. */
	if (rc == OK)
		rc = parse_all(path, arena_str(mem, buf_str(&b)), mem, out, e);
	buf_free(&b);
	if (rc == OK)
		records_sort(out);
	return rc;
}
