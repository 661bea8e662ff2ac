/* What gRPC says in headers and trailers. Pure. */
#include "enc.h"
#include "grpc_parts.h"

static const struct {
	const char *name;
	enum err kind;
} codes[] = {
	[GRPC_OK] = {"OK", OK},
	[GRPC_CANCELLED] = {"CANCELLED", ERR_UNAVAILABLE},
	[GRPC_UNKNOWN] = {"UNKNOWN", ERR_UNAVAILABLE},
	[GRPC_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", ERR_FAILED},
	[GRPC_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", ERR_UNAVAILABLE},
	[GRPC_NOT_FOUND] = {"NOT_FOUND", ERR_NOT_FOUND},
	[GRPC_ALREADY_EXISTS] = {"ALREADY_EXISTS", ERR_CONFLICT},
	[GRPC_PERMISSION_DENIED] = {"PERMISSION_DENIED", ERR_USAGE},
	[GRPC_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", ERR_UNAVAILABLE},
	[GRPC_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", ERR_FAILED},
	[GRPC_ABORTED] = {"ABORTED", ERR_UNAVAILABLE},
	[GRPC_OUT_OF_RANGE] = {"OUT_OF_RANGE", ERR_FAILED},
	[GRPC_UNIMPLEMENTED] = {"UNIMPLEMENTED", ERR_FAILED},
	[GRPC_INTERNAL] = {"INTERNAL", ERR_UNAVAILABLE},
	[GRPC_UNAVAILABLE] = {"UNAVAILABLE", ERR_UNAVAILABLE},
	[GRPC_DATA_LOSS] = {"DATA_LOSS", ERR_FAILED},
	[GRPC_UNAUTHENTICATED] = {"UNAUTHENTICATED", ERR_USAGE},
};
#define NCODES (sizeof codes / sizeof codes[0])

const char *grpc_code_name(enum grpc_code code)
{
	return (size_t)code < NCODES ? codes[code].name : "UNKNOWN";
}

enum err grpc_code_kind(enum grpc_code code)
{
	return (size_t)code < NCODES ? codes[code].kind : ERR_FAILED;
}

/* "HTTP to gRPC Status Code Mapping" */
enum grpc_code grpc_code_of_http(unsigned status)
{
	switch (status) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

enum grpc_code grpc_code_of_h2(uint32_t error)
{
	switch (error) {
	case NGHTTP2_REFUSED_STREAM:
		return GRPC_UNAVAILABLE;
	case NGHTTP2_CANCEL:
		return GRPC_CANCELLED;
	case NGHTTP2_ENHANCE_YOUR_CALM:
		return GRPC_RESOURCE_EXHAUSTED;
	case NGHTTP2_INADEQUATE_SECURITY:
		return GRPC_PERMISSION_DENIED;
	default:
		return GRPC_INTERNAL;
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What is no escape stays as it stands: a message must not be lost for being badly encoded. */
struct str grpc_message_decode(struct str percent, struct arena *mem)
{
	char *out = arena_alloc(mem, percent.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < percent.n; i++) {
		int high = -1, low = -1;
		if (percent.p[i] == '%' && i + 2 < percent.n) {
			high = hex_digit(percent.p[i + 1]);
			low = hex_digit(percent.p[i + 2]);
		}
		if (high >= 0 && low >= 0) {
			out[n++] = (char)(high * 16 + low);
			i += 2;
		} else {
			out[n++] = percent.p[i];
		}
	}
	return str_make(out, n);
}

struct str grpc_bin_decode(struct str base64, struct arena *mem)
{
	struct buf bytes;
	struct error ignored;
	struct str out = STR_NONE;

	buf_init(&bytes, base64.n + 16);
	while (base64.n > 0 && base64.p[base64.n - 1] == '=')
		base64.n--;
	if (enc_unbase64(base64, &bytes, &ignored) == OK)
		out = arena_str(mem, buf_str(&bytes));
	buf_free(&bytes);
	return out;
}

/* At most eight digits and a unit. */
struct str grpc_timeout_text(int64_t us, struct arena *mem)
{
	if (us < 1)
		us = 1;
	if (us < 100000000)
		return arena_fmt(mem, "%lldu", (long long)us);
	if (us / 1000 < 100000000)
		return arena_fmt(mem, "%lldm", (long long)(us / 1000));
	us /= 1000000;
	return arena_fmt(mem, "%lldS", (long long)(us < 99999999 ? us : 99999999));
}
