#include "live.h"

#include "clock.h"
#include "http_client.h"
#include "json.h"
#include "mem.h"
#include "thread.h"

#define MAX_CLIENTS 64

struct client {
	const struct live_options *o;
	struct env env;
	struct rnd rnd;
	unsigned index;
	atomic_bool *failed; /* one client's failure ends the others */
	struct http_client *http;
	struct buf body, url;
	struct http_reply reply;
	struct thread thread;
};

static void jo_time(struct json_out *j, const char *key, int64_t us)
{
	char text[CLOCK_TEXT];
	jo_cstr(j, key, clock_format(us, text, sizeof text));
}

static void jo_date(struct json_out *j, const char *key, int32_t days)
{
	int64_t year;
	unsigned month, day;
	char text[32];
	clock_civil(days, &year, &month, &day);
	snprintf(text, sizeof text, "%04lld-%02u-%02u", (long long)year, month, day);
	jo_cstr(j, key, text);
}

static void create_guest(struct json_out *j, size_t number)
{
	char text[64];
	jo_object(j, "guest");
	snprintf(text, sizeof text, "Guest %zu", number);
	jo_cstr(j, "full_name", text);
	snprintf(text, sizeof text, "guest%zu@example.com", number);
	jo_cstr(j, "email", text);
	jo_end_object(j);
}

static void create_sale(struct json_out *j, const struct record *r)
{
	jo_str(j, "meal", r->meal);
	jo_str(j, "market_segment", r->market_segment);
	jo_str(j, "distribution_channel", r->distribution_channel);
	jo_bool(j, "is_repeated_guest", r->repeated_guest);
	jo_i64(j, "previous_cancellations", r->previous_cancellations);
	jo_i64(j, "previous_stays", r->previous_stays);
	jo_str(j, "reserved_room_type", r->reserved_room);
	jo_str(j, "deposit_type", r->deposit);
	jo_str(j, "customer_type", r->customer);
	jo_str(j, "daily_rate", r->daily_rate);
	jo_i64(j, "special_requests", r->special_requests);
}

static void create_body(struct json_out *j, const struct record *r, size_t number)
{
	jo_i64(j, "hotel_id", r->hotel + 1);
	create_guest(j, number);
	if (r->agent != 0)
		jo_i64(j, "agent_id", r->agent);
	if (r->company != 0)
		jo_i64(j, "company_id", r->company);
	jo_date(j, "arrival_date", r->arrival_days);
	jo_i64(j, "weekend_nights", r->weekend_nights);
	jo_i64(j, "week_nights", r->week_nights);
	jo_i64(j, "adults", r->adults);
	if (r->children >= 0)
		jo_i64(j, "children", r->children);
	jo_i64(j, "babies", r->babies);
	create_sale(j, r);
	jo_time(j, "booked_at", r->booked_us);
}

struct verb {
	const char *method, *path; /* path after /v1/bookings/ID or /v1/guests/ID */
	bool guest;
};

static const struct verb verbs[ACT_KINDS] = {
	[ACT_CREATE] = {"POST", "", false},
	[ACT_ROOM] = {"PATCH", "", false},
	[ACT_CANCEL] = {"POST", "/cancel", false},
	[ACT_NO_SHOW] = {"POST", "/no-show", false},
	[ACT_CHECK_IN] = {"POST", "/check-in", false},
	[ACT_CHECK_OUT] = {"POST", "/check-out", false},
	[ACT_ERASE] = {"DELETE", "", true},
};

static void build_body(struct client *c, const struct action *a)
{
	const struct record *r = &c->o->records->items[a->record];
	struct json_out j;
	buf_reset(&c->body);
	if (a->kind == ACT_ERASE)
		return;
	jo_init(&j, &c->body);
	jo_object(&j, NULL);
	if (a->kind == ACT_CREATE)
		create_body(&j, r, (size_t)a->record + 1);
	else
		jo_time(&j, "occurred_at", a->at_us);
	if (a->kind == ACT_ROOM)
		jo_str(&j, "assigned_room_type", r->assigned_room);
	jo_end_object(&j);
}

static void build_url(struct client *c, const struct action *a)
{
	const struct verb *v = &verbs[a->kind];
	const struct live_ids *ids = &c->o->ids;
	buf_reset(&c->url);
	if (a->kind == ACT_CREATE)
		buf_putf(&c->url, "%s/v1/bookings", c->o->url);
	else
		buf_putf(&c->url, "%s/v1/%s/%lld%s", c->o->url, v->guest ? "guests" : "bookings",
			(long long)(v->guest ? ids->guest[a->record] : ids->booking[a->record]),
			v->path);
}

static enum err note_ids(struct client *c, const struct action *a, struct error *e)
{
	json_t *root;
	TRY(json_read(buf_str(&c->reply.body), "the answer to a new booking", &root, e));
	enum err rc = json_want_i64(root, "booking_id", &c->o->ids.booking[a->record], e);
	if (rc == OK)
		rc = json_want_i64(root, "guest_id", &c->o->ids.guest[a->record], e);
	json_decref(root);
	return rc;
}

static enum err act(struct client *c, const struct action *a, struct error *e)
{
	const struct http_pair json_type = {
		.name = STR("Content-Type"), .value = STR("application/json")};
	build_body(c, a);
	build_url(c, a);
	const struct http_call call = {.method = verbs[a->kind].method,
		.url = buf_cstr(&c->url),
		.headers = &json_type,
		.nheaders = c->body.n > 0 ? 1 : 0,
		.body = buf_str(&c->body)};
	TRY(http_client_want(c->http, &call, &c->reply, e));
	if (a->kind == ACT_CREATE)
		TRY(note_ids(c, a, e));
	if (c->o->done != NULL)
		atomic_fetch_add(c->o->done, 1);
	return OK;
}

static enum err live_client(void *arg, struct error *e)
{
	struct client *c = arg;
	const struct plan *p = c->o->plan;
	enum err rc = OK;
	for (size_t i = 0; rc == OK && i < p->n && !atomic_load(c->failed); i++) {
		if (p->items[i].record % c->o->clients != c->index)
			continue;
		rc = env_check(&c->env, e);
		if (rc == OK)
			rc = act(c, &p->items[i], e);
	}
	if (rc != OK)
		atomic_store(c->failed, true);
	return rc;
}

static enum err client_open(struct client *c, const struct live_options *o, unsigned index,
	atomic_bool *failed, const struct env *env, struct error *e)
{
	*c = (struct client){.o = o, .index = index, .failed = failed, .env = *env};
	rnd_seed(&c->rnd, index);
	c->env.rnd = &c->rnd;
	buf_init(&c->body, 1 << 16);
	buf_init(&c->url, 1 << 12);
	http_reply_init(&c->reply);
	return http_client_new(&c->http, NULL, &c->env, e);
}

static void client_close(struct client *c)
{
	http_client_free(c->http);
	http_reply_free(&c->reply);
	buf_free(&c->url);
	buf_free(&c->body);
}

enum err live_run(const struct live_options *o, const struct env *env, struct error *e)
{
	atomic_bool failed = false;
	enum err rc = OK;
	unsigned opened = 0;
	if (o->clients == 0 || o->clients > MAX_CLIENTS)
		return FAIL(e, ERR_USAGE, "%u clients were asked for; 1 to %d can be", o->clients,
			MAX_CLIENTS);
	struct client *clients = mem_array(o->clients, sizeof *clients);
	for (; rc == OK && opened < o->clients; opened++) {
		rc = client_open(&clients[opened], o, opened, &failed, env, e);
		if (rc == OK)
			rc = thread_start(
				&clients[opened].thread, "live", live_client, &clients[opened], e);
	}
	if (rc != OK)
		atomic_store(&failed, true);
	for (unsigned i = 0; i < opened; i++) {
		struct error mine = {0};
		enum err ended = thread_join(&clients[i].thread, &mine);
		if (rc == OK && ended != OK) {
			*e = mine;
			rc = ended;
		}
		client_close(&clients[i]);
	}
	mem_free(clients);
	return rc;
}
