/* The control socket's address and its one message. */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "json.h"
#include "mem.h"

#define REQUEST_MAX     ((size_t)1 << 20)
#define REQUEST_SECONDS 5

/*
 * A socket address holds 107 bytes, a warehouse may lie deeper: the directory is opened and named
 * through /proc/self/fd, which is always short. The descriptor is the caller's to close.
 */
static int open_address(const char *url, struct sockaddr_un *at)
{
	static const char scheme[] = "duckdb://";
	if (strncmp(url, scheme, sizeof scheme - 1) != 0) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	const char *path = url + sizeof scheme - 1;
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL
		? mem_strdup(".")
		: mem_cstr(str_make(path, slash == path ? 1 : (size_t)(slash - path)));
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	mem_free(dir);
	if (fd < 0)
		return -1;
	*at = (struct sockaddr_un){.sun_family = AF_UNIX};
	int n = snprintf(at->sun_path, sizeof at->sun_path, "/proc/self/fd/%d/%s.sock", fd,
		slash == NULL ? path : slash + 1);
	if (n < 0 || (size_t)n >= sizeof at->sun_path) {
		close(fd);
		errno = ENAMETOOLONG;
		return -1;
	}
	return fd;
}

static int make_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* Closes and leaves errno to the caller, who has not looked at it yet. */
static void close_quietly(int fd)
{
	int saved = errno;
	close(fd);
	errno = saved;
}

int control_listen(const char *url)
{
	struct sockaddr_un at;
	int dir = open_address(url, &at);
	if (dir < 0)
		return -1;
	int fd = make_socket();
	/* Whoever holds the warehouse owns the name: what stands there is of a dead process. */
	unlink(at.sun_path);
	if (fd >= 0 &&
		(fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
			listen(fd, 16) != 0)) {
		close_quietly(fd);
		fd = -1;
	}
	close_quietly(dir);
	return fd;
}

int control_connect(const char *url)
{
	struct sockaddr_un at;
	int dir = open_address(url, &at);
	if (dir < 0)
		return -1;
	int fd = make_socket();
	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) != 0) {
		close_quietly(fd);
		fd = -1;
	}
	close_quietly(dir);
	return fd;
}

void control_unlink(const char *url)
{
	struct sockaddr_un at;
	int dir = open_address(url, &at);
	if (dir < 0)
		return;
	unlink(at.sun_path);
	close(dir);
}

static void put_strings(struct json_out *j, const char *key, char *const *v, const char *prefix)
{
	jo_array(j, key);
	for (; *v != NULL; v++)
		if (strncmp(*v, prefix, strlen(prefix)) == 0)
			jo_cstr(j, NULL, *v);
	jo_end_array(j);
}

static void build_request(struct buf *b, const struct control_request *r)
{
	struct json_out j;
	jo_init(&j, b);
	jo_object(&j, NULL);
	put_strings(&j, "argv", r->argv, "");
	jo_cstr(&j, "config", r->config);
	jo_cstr(&j, "cwd", r->cwd);
	put_strings(&j, "env", r->env, "SLUICE_");
	jo_end_object(&j);
	buf_putc(b, '\n');
}

/* Variables may hold secrets. */
static void wipe(struct buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->cap);
	buf_free(b);
}

union fd_control {
	char bytes[CMSG_SPACE(CONTROL_FDS * sizeof(int))];
	struct cmsghdr align;
};

/* The descriptors ride on the first byte; the rest follows as plain bytes. */
static enum err send_with_fds(int fd, struct str body, struct error *e)
{
	union fd_control control = {.bytes = {0}};
	struct iovec io = {.iov_base = (void *)(uintptr_t)body.p, .iov_len = body.n};
	struct msghdr m = {.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	const int fds[CONTROL_FDS] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fds);
	memcpy(CMSG_DATA(c), fds, sizeof fds);

	while (io.iov_len > 0) {
		ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return FAIL_ERRNO(e, ERR_UNAVAILABLE,
				"sending the command to the process that holds the warehouse");
		io.iov_base = (char *)io.iov_base + n;
		io.iov_len -= (size_t)n;
		m.msg_control = NULL;
		m.msg_controllen = 0;
	}
	return OK;
}

enum err control_send_request(int fd, const struct control_request *r, struct error *e)
{
	struct buf b;
	buf_init(&b, REQUEST_MAX);
	build_request(&b, r);
	enum err rc = buf_ok(&b)
		? send_with_fds(fd, buf_str(&b), e)
		: FAIL(e, ERR_USAGE, "the arguments and SLUICE_ variables exceed %zu bytes",
			  REQUEST_MAX);
	wipe(&b);
	return rc;
}

/* Three, once, are the streams; any other descriptor that came is not wanted. */
static void take_fds(struct msghdr *m, int fds[CONTROL_FDS])
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n == CONTROL_FDS && fds[0] < 0) {
			memcpy(fds, CMSG_DATA(c), n * sizeof(int));
			continue;
		}
		for (size_t i = 0; i < n; i++) {
			int unwanted;
			memcpy(&unwanted, CMSG_DATA(c) + i * sizeof(int), sizeof unwanted);
			close(unwanted);
		}
	}
}

static enum err wait_readable(int fd, const atomic_bool *closing, int64_t give_up, struct error *e)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (closing != NULL && atomic_load(closing))
			return FAIL(e, ERR_INTERRUPTED,
				"a client's command had not come when the control socket closed");
		int n = poll(&p, 1, 50);
		if (n < 0 && errno != EINTR)
			return FAIL_ERRNO(e, ERR_INPUT, "waiting on the control socket");
		if (n > 0)
			return OK;
		if (clock_mono(clock_system()) >= give_up)
			return FAIL(e, ERR_INPUT,
				"a client of the control socket sent no whole command in %d s",
				REQUEST_SECONDS);
	}
}

static enum err receive_body(
	int fd, const atomic_bool *closing, struct buf *b, int fds[CONTROL_FDS], struct error *e)
{
	int64_t give_up = clock_mono(clock_system()) + REQUEST_SECONDS * INT64_C(1000000);
	while (b->n == 0 || b->p[b->n - 1] != '\n') {
		union fd_control control;
		char *room;
		TRY(wait_readable(fd, closing, give_up, e));
		TRY(buf_room(b, 4096, &room, e));
		struct iovec io = {.iov_base = room, .iov_len = 4096};
		struct msghdr m = {.msg_iov = &io,
			.msg_iovlen = 1,
			.msg_control = control.bytes,
			.msg_controllen = sizeof control.bytes};
		ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return FAIL_ERRNO(
				e, ERR_INPUT, "receiving a command on the control socket");
		if (n == 0)
			return FAIL(e, ERR_INPUT,
				"a client left the control socket before its command");
		take_fds(&m, fds);
		buf_took(b, (size_t)n);
	}
	return OK;
}

static enum err parse_strings(
	const json_t *root, const char *key, char ***out, int *n, struct error *e)
{
	json_t *list, *item;
	size_t i;
	TRY(json_want_array(root, key, &list, e));
	if (json_array_size(list) > 4096)
		return FAIL(
			e, ERR_INPUT, "a command on the control socket has too long an %s", key);
	*n = (int)json_array_size(list);
	*out = mem_array((size_t)*n + 1, sizeof **out);
	json_array_foreach (list, i, item)
		(*out)[i] = mem_strdup(json_is_string(item) ? json_string_value(item) : "");
	return OK;
}

static enum err parse_request(struct str body, struct control_request *out, struct error *e)
{
	json_t *root;
	int nenv;
	TRY(json_read(body, "a command on the control socket", &root, e));
	const char *config = json_string_value(json_object_get(root, "config"));
	const char *cwd = json_string_value(json_object_get(root, "cwd"));
	out->config = config != NULL ? mem_strdup(config) : NULL;
	out->cwd = mem_strdup(cwd != NULL ? cwd : "");
	enum err rc = parse_strings(root, "argv", &out->argv, &out->argc, e);
	if (rc == OK)
		rc = parse_strings(root, "env", &out->env, &nenv, e);
	if (rc == OK && (out->argc == 0 || out->cwd[0] != '/'))
		rc = FAIL(e, ERR_INPUT,
			"a command on the control socket has no sensible argv or cwd");
	json_decref(root);
	return rc;
}

enum err control_receive_request(
	int fd, const atomic_bool *closing, struct control_request *out, struct error *e)
{
	struct buf b;
	buf_init(&b, REQUEST_MAX);
	*out = (struct control_request){0};
	for (int i = 0; i < CONTROL_FDS; i++)
		out->fds[i] = -1;
	enum err rc = receive_body(fd, closing, &b, out->fds, e);
	if (rc == OK && out->fds[0] < 0)
		rc = FAIL(e, ERR_INPUT, "a command on the control socket came without descriptors");
	if (rc == OK)
		rc = parse_request(str_trim(buf_str(&b)), out, e);
	wipe(&b);
	for (int i = 0; rc != OK && i < CONTROL_FDS; i++)
		if (out->fds[i] >= 0)
			close(out->fds[i]);
	if (rc != OK)
		control_free_request(out);
	return rc;
}

static void free_strings(char **v, bool secret)
{
	for (size_t i = 0; v != NULL && v[i] != NULL; i++) {
		if (secret)
			explicit_bzero(v[i], strlen(v[i]));
		mem_free(v[i]);
	}
	mem_free(v);
}

void control_free_request(struct control_request *r)
{
	free_strings(r->argv, false);
	free_strings(r->env, true);
	mem_free(r->config);
	mem_free(r->cwd);
	*r = (struct control_request){0};
}
