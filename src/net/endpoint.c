#include "endpoint.h"

#include <string.h>

static enum err bad(const char *url, const char *why, struct error *e)
{
	/* The whole is not shown when it may hold a password. */
	return FAIL(e, ERR_USAGE, "using the address \"%s\": %s; write https://host[:port]",
		strchr(url, '@') != NULL ? "(with a user name)" : url, why);
}

static bool split_port(struct str authority, struct endpoint *out)
{
	ptrdiff_t bracket = str_find(authority, STR("]"));
	struct str after = bracket < 0 ? authority : str_from(authority, (size_t)bracket + 1);
	struct str head;
	uint64_t port;

	out->host = authority;
	out->port = STR_NONE;
	if (!str_cut(&after, ':', &head))
		return bracket < 0 || after.n == 0;
	if (bracket >= 0 && head.n > 0)
		return false;
	out->host.n = authority.n - after.n - 1;
	out->port = after;
	return str_to_u64(after, &port) && port > 0 && port < 65536;
}

enum err endpoint_parse(const char *url, struct endpoint *out, struct error *e)
{
	struct str s = str_of(url), authority;

	*out = (struct endpoint){.tls = str_starts(s, STR("https://"))};
	if (!out->tls && !str_starts(s, STR("http://")))
		return bad(url, "it begins neither with https:// nor with http://", e);
	s = str_from(s, out->tls ? 8 : 7);
	if (strpbrk(url, "@?# \t\r\n\\\"<>%") != NULL)
		return bad(url, "it has a user name, a query, a fragment or a blank", e);
	ptrdiff_t slash = str_find(s, STR("/"));
	authority = slash < 0 ? s : str_make(s.p, (size_t)slash);
	out->path = slash < 0 ? STR_NONE : str_from(s, (size_t)slash);
	if (!split_port(authority, out) || out->host.n == 0)
		return bad(url, "it names no host and port", e);
	bool usual = str_eqc(out->port, out->tls ? "443" : "80");
	out->authority = usual ? out->host : authority;
	return OK;
}

bool endpoint_is_loopback(const struct endpoint *p)
{
	struct str rest = p->host, part;
	uint64_t v;
	int n = 0;

	if (str_ieq(p->host, STR("localhost")) || str_eqc(p->host, "[::1]"))
		return true;
	/* All four numbers, for 127.example.com is anybody's. */
	while (str_next(&rest, '.', &part)) {
		if (!str_to_u64(part, &v) || v > 255 || (n == 0 && v != 127))
			return false;
		n++;
	}
	return n == 4;
}

enum err endpoint_want(const char *url, const char *setting, struct endpoint *out, struct error *e)
{
	if (endpoint_parse(url, out, e) != OK)
		return error_wrap(e, "%s", setting);
	if (!out->tls && !endpoint_is_loopback(out))
		return FAIL(e, ERR_USAGE,
			"%s: \"%s\" is plain http to another machine, where anybody on the way could read "
			"and change what is sent; write https:// (plain http is for 127.0.0.1, [::1] and "
			"localhost only)",
			setting, url);
	return OK;
}
