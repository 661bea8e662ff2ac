/* Who Cloud Storage takes us for, and what that may do. */
#include <string.h>

#include "gcs_store.h"
#include "json.h"

static const char *const wanted[] = {"get", "list", "create", "delete"};
#define NWANTED (sizeof wanted / sizeof wanted[0])

/* Bit i: wanted[i] is held. Asking needs no permission. */
static enum err test_permissions(struct gcs_store *s, unsigned *held, struct error *e)
{
	struct arena mem = {.chunks = NULL};
	struct http_reply reply;
	struct buf url;
	json_t *o = NULL, *one;
	size_t i;

	buf_init(&url, 1 << 16);
	buf_putf(&url, "%s/storage/v1/b/%s/iam/testPermissions?", s->endpoint, s->bucket);
	for (i = 0; i < NWANTED; i++)
		buf_putf(&url, "%spermissions=storage.objects.%s", i > 0 ? "&" : "", wanted[i]);
	http_reply_init(&reply);
	const struct gcs_call call = {.method = "GET",
		.url = buf_cstr(&url),
		.doing = arena_fmt(&mem, "asking what we may do in %s", s->url).p};
	enum err rc = gcs_send(s, &call, &reply, e);
	if (rc == OK && reply.status != 200)
		rc = gcs_fail(s, call.doing, &reply, e);
	if (rc == OK)
		rc = json_read(buf_str(&reply.body), "Cloud Storage's answer", &o, e);
	*held = 0;
	json_array_foreach (json_object_get(o, "permissions"), i, one) {
		for (size_t k = 0; k < NWANTED; k++)
			if (json_is_string(one) &&
				str_eqc(str_from(str_of(json_string_value(one)),
						strlen("storage.objects.")),
					wanted[k]))
				*held |= 1U << k;
	}
	json_decref(o);
	http_reply_free(&reply);
	buf_free(&url);
	arena_free(&mem);
	return rc;
}

static void name_permissions(struct buf *text, unsigned held)
{
	bool first = true;

	for (size_t i = 0; i < NWANTED; i++)
		if ((held & (1U << i)) != 0) {
			buf_putf(text, "%s%s", first ? "" : ", ", wanted[i]);
			first = false;
		}
	if (first)
		buf_puts(text, "nothing");
}

enum err gcs_who(struct store *store, struct buf *text, struct error *e)
{
	struct gcs_store *s = (struct gcs_store *)store;
	struct arena mem = {.chunks = NULL};
	struct str name;
	unsigned held = 0;
	enum err rc = gcp_identity_who(s->identity, &mem, &name, e);

	if (rc == OK)
		rc = test_permissions(s, &held, e);
	if (rc == OK) {
		buf_putf(text, "%.*s; may ", STR_ARG(name));
		name_permissions(text, held);
		if (held != (1U << NWANTED) - 1) {
			buf_puts(text, "; may not ");
			name_permissions(text, ~held);
		}
	}
	/* Landing needs get and list; a moved HEAD replaces an object, which takes delete too. */
	if (rc == OK && (held & 3U) != 3U)
		rc = FAIL(e, ERR_CHECK,
			"we are %.*s, and may not both get and list in %s; grant "
			"roles/storage.objectViewer on the bucket, or roles/storage.objectUser "
			"where releases are made",
			STR_ARG(name), s->url);
	arena_free(&mem);
	return rc;
}
